package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// bar is one measure beside what it has to be.
type bar struct {
	Name string  `json:"bar"`
	Got  float64 `json:"got"`
	Want float64 `json:"want"`
	Sign string  `json:"is"` // "at least" or "at most"
	OK   bool    `json:"ok"`
}

// number is what a bar can measure.
type number interface{ ~int | ~uint64 | ~float64 }

func least[N number](name string, got, want N) bar {
	return bar{name, float64(got), float64(want), "at least", got >= want}
}

func most[N number](name string, got, want N) bar {
	return bar{name, float64(got), float64(want), "at most", got <= want}
}

// tellBars prints each bar with its number and its minimum.
func tellBars(out io.Writer, bars []bar) {
	for _, b := range bars {
		word := "ok"
		if !b.OK {
			word = "NOT MET"
		}
		_, _ = fmt.Fprintf(out, "  %-7s %s: %.4g, %s %.4g\n", word, b.Name, b.Got, b.Sign, b.Want)
	}
}

// notMet says which bars are not met, or nothing.
func notMet(bars []bar) error {
	var names []string
	for _, b := range bars {
		if !b.OK {
			names = append(names, fmt.Sprintf("%s: %.4g, %s %.4g", b.Name, b.Got, b.Sign, b.Want))
		}
	}
	if names == nil {
		return nil
	}
	return fmt.Errorf("not met: %s", strings.Join(names, "; "))
}

// origin says where and when a report was made.
type origin struct {
	Date    string `json:"date"`
	Commit  string `json:"commit"`
	Machine string `json:"machine"`
}

func originNow(began time.Time) (origin, error) {
	m, err := describe(os.TempDir())
	if err != nil {
		return origin{}, fmt.Errorf("report: %w", err)
	}
	return origin{Date: began.Format(time.RFC3339), Commit: m.commit, Machine: m.String()}, nil
}
