package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/shebao-pay/shebao/settlement/recon"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/simulators/evening"
)

// dayFlags are what simulate day is asked for.
type dayFlags struct {
	lines, breaks int
	seed          uint64
	keep          string
	asJSON        bool
}

// dayResult is what a match found of what was planted.
type dayResult struct {
	Lines   int `json:"lines"` // payments; each source has about so many rows
	Planted int `json:"planted"`
	Found   int `json:"found"`       // with their class
	Wrong   int `json:"wrong_class"` // of another class
	Extra   int `json:"extra"`       // breaks, or other verdicts, that nobody planted
	matchFigures
}

// matchFigures are those of the process that matches, from reading the files to
// its result file.
type matchFigures struct {
	Seconds float64 `json:"seconds"`
	RSS     int     `json:"rss_mb"` // at most
	Hash    string  `json:"hash"`
}

// The date of the made-up day, and its files.
const (
	dayDate   = "20261129"
	dayLedger = "ledger.rows"
	dayTerms  = "terminals.rows"
	dayResFil = "result.txt"
)

var dayOf = si.Date(2026, time.November, 29)

func dayCommand() *cobra.Command {
	var f dayFlags
	c := &cobra.Command{
		Use: "day", Args: cobra.NoArgs,
		Short: "A settlement day with planted differences, matched three ways by a process of its own",
		Long: "Makes the bank's detail file, the ledger's payments and the terminals' journals of one date, with planted\n" +
			"breaks of every class, has another process match them, and compares its result with what was planted.\n" +
			"Ends with 1 if a break was missed, of another class, or found where none is.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			tell := func(line string) { _, _ = fmt.Fprintf(cmd.ErrOrStderr(), "  %s\n", line) }
			r, err := f.run(cmd.Context(), tell)
			if err != nil {
				return err
			}
			if err := f.say(cmd, r); err != nil {
				return err
			}
			if r.Found != r.Planted || r.Wrong+r.Extra > 0 {
				return errors.New("the match is wrong: see found, wrong_class and extra above")
			}
			return nil
		},
	}
	fl := c.Flags()
	fl.IntVar(&f.lines, "lines", 100_000, "payments of the day")
	fl.IntVar(&f.breaks, "breaks", 500, "planted, of every class in turn")
	fl.Uint64Var(&f.seed, "seed", defaultSeed, "another seed is another day")
	fl.StringVar(&f.keep, "keep", "", "folder in which the files stay")
	fl.BoolVar(&f.asJSON, "json", false, "the result as one JSON line")
	return c
}

func (f *dayFlags) run(ctx context.Context, tell func(string)) (dayResult, error) {
	out := dayResult{Lines: f.lines, Planted: f.breaks}
	if f.lines < 100 || f.lines > recon.MaxRows*9/10 || f.breaks < 0 || f.breaks > f.lines/2 {
		return out, fmt.Errorf("--lines is 100 to %d, --breaks 0 to half of them", recon.MaxRows*9/10)
	}
	dir := f.keep
	if dir == "" {
		tmp, err := os.MkdirTemp("", "shebao-day-")
		if err != nil {
			return out, fmt.Errorf("temporary folder: %w", err)
		}
		defer func() { _ = os.RemoveAll(tmp) }()
		dir = tmp
	} else if err := os.MkdirAll(dir, 0o700); err != nil {
		return out, fmt.Errorf("--keep: %w", err)
	}
	plan := evening.Plan{Seed: f.seed, Lines: f.lines, Breaks: f.breaks, Date: dayDate, CutMillis: dayOf.Time().Add(23*time.Hour + 30*time.Minute).UnixMilli()}
	truths, err := plan.Truths()
	if err != nil {
		return out, err
	}
	began := time.Now()
	if err := writeDay(dir, plan, truths); err != nil {
		return out, err
	}
	tell(fmt.Sprintf("%d payments with %d breaks made in %.1f s", f.lines, f.breaks, time.Since(began).Seconds()))
	self, err := os.Executable()
	if err != nil {
		return out, fmt.Errorf("own program: %w", err)
	}
	child := exec.CommandContext(ctx, self, "day-match", "--dir", dir, "--cut", fmt.Sprint(plan.CutMillis)) // #nosec G204 -- our own program
	child.Stderr = os.Stderr
	said, err := child.Output()
	if err != nil {
		return out, fmt.Errorf("the process that matches: %w", err)
	}
	if err := json.Unmarshal(said, &out.matchFigures); err != nil {
		return out, fmt.Errorf("the process that matches said %q: %w", said, err)
	}
	return out, out.judge(filepath.Join(dir, dayResFil), truths)
}

// judge compares the result file with what was planted.
func (r *dayResult) judge(file string, truths []string) error {
	in, err := os.Open(file) // #nosec G304 -- a file of the folder that the day is made in
	if err != nil {
		return fmt.Errorf("result: %w", err)
	}
	defer func() { _ = in.Close() }()
	got := make([]string, len(truths))
	s := bufio.NewScanner(in)
	for s.Scan() {
		verdict, rest, _ := strings.Cut(s.Text(), "|")
		if verdict == "END" {
			break
		}
		if class, _, ok := strings.Cut(verdict, " "); ok && evening.IsBreak(class) {
			verdict = class
		}
		n := paymentOfLine(rest)
		if n < 0 || n >= len(truths) || got[n] != "" {
			r.Extra++
			continue
		}
		got[n] = verdict
	}
	if err := s.Err(); err != nil {
		return fmt.Errorf("result: %w", err)
	}
	for n, truth := range truths {
		switch {
		case evening.IsBreak(truth) && got[n] == truth:
			r.Found++
		case evening.IsBreak(truth):
			r.Wrong++
		case got[n] != truth:
			r.Extra++
		}
	}
	return nil
}

func (f *dayFlags) say(cmd *cobra.Command, r dayResult) error {
	if f.asJSON {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(r)
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%d payments in three sources: %d of %d breaks found with their class, %d of another, %d extra\nmatched in %.2f s with %d MB at most; result %s\n",
		r.Lines, r.Found, r.Planted, r.Wrong, r.Extra, r.Seconds, r.RSS, r.Hash)
	return err
}
