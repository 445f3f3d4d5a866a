package day

import (
	"testing"
	"time"

	"github.com/shebao-pay/shebao/si"
)

func TestOpenAndNext(t *testing.T) {
	at := func(s string) time.Time {
		v, err := time.ParseInLocation("2006-01-02 15:04:05", s, si.China)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, c := range []struct {
		now     string
		cutover time.Duration
		open    string
		next    string
	}{
		{"2026-11-22 21:59:59", 22 * time.Hour, "2026-11-22", "2026-11-22 22:00:00"},
		{"2026-11-22 22:00:00", 22 * time.Hour, "2026-11-23", "2026-11-23 22:00:00"},
		{"2026-12-31 23:30:00", 23*time.Hour + 30*time.Minute, "2027-01-01", "2027-01-01 23:30:00"},
		{"2026-11-22 23:59:59", 24 * time.Hour, "2026-11-22", "2026-11-23 00:00:00"},
		{"2026-11-23 00:00:00", 24 * time.Hour, "2026-11-23", "2026-11-24 00:00:00"},
		{"2026-11-22 12:00:00", 0, "2026-11-22", "2026-11-23 00:00:00"},
	} {
		now := at(c.now)
		if got := Open(now, c.cutover); got.String() != c.open {
			t.Errorf("Open(%s, %s) = %s, want %s", c.now, c.cutover, got, c.open)
		}
		if got := Next(now, c.cutover); !got.Equal(at(c.next)) {
			t.Errorf("Next(%s, %s) = %s, want %s", c.now, c.cutover, got, c.next)
		}
		// Whatever zone the clock speaks, the day is China's.
		if got := Open(now.UTC(), c.cutover); got.String() != c.open {
			t.Errorf("Open(%s in UTC) = %s, want %s", c.now, got, c.open)
		}
	}
}

// TestNextChangesTheDate walks two years in odd steps: the date is constant up
// to Next and greater at it.
func TestNextChangesTheDate(t *testing.T) {
	for _, cutover := range []time.Duration{22 * time.Hour, 23*time.Hour + 30*time.Minute, 24 * time.Hour} {
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, si.China)
		for range 1500 {
			now = now.Add(11*time.Hour + 37*time.Minute)
			next := Next(now, cutover)
			if !next.After(now) || Open(next.Add(-1), cutover) != Open(now, cutover) || Open(next, cutover) != Open(now, cutover)+1 {
				t.Fatalf("at %s with cutover %s: next is %s", now, cutover, next)
			}
		}
	}
}
