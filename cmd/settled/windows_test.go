package main

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/shebao-pay/shebao/ledger"
	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
)

// TestCut opens the first date, goes over cutovers and days off, never back, and
// is not held up for one bank by another.
func TestCut(t *testing.T) {
	node, err := ledger.Open(ledger.Config{Dir: t.TempDir(), Region: 1, Area: 330110, MinFree: 1, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := node.Close(); err != nil {
			t.Error(err)
		}
	})
	rcb, err := profile.LoadFS(os.DirFS("../../data/banks"), "rcb")
	if err != nil {
		t.Fatal(err)
	}
	early, late, broken := *rcb, *rcb, *rcb
	early.Number, early.CutoverAt = 1, 22*time.Hour
	late.Number, late.CutoverAt = 2, 24*time.Hour
	broken.Number = 0 // a bank that the ledger refuses
	p := &program{node: node, log: zerolog.Nop(), dir: &directory{profiles: map[si.Bank]*profile.Profile{1: &early, 2: &late}}}
	at := func(d, h, m int) time.Time { return time.Date(2026, 11, d, h, m, 0, 0, si.China) }
	for _, c := range []struct {
		when        string
		now, next   time.Time
		early, late int // days of November
	}{
		{"first window", at(22, 10, 0), at(22, 22, 0), 22, 22},
		{"nothing new", at(22, 21, 59), at(22, 22, 0), 22, 22},
		{"first bank's cutover", at(22, 22, 0), at(23, 0, 0), 23, 22},
		{"clock set back", at(22, 21, 0), at(22, 22, 0), 23, 22},
		{"midnight", at(23, 0, 0), at(23, 22, 0), 23, 23},
		{"off for days", at(28, 23, 0), at(29, 0, 0), 29, 28},
	} {
		next, err := p.cut(context.Background(), c.now)
		if err != nil {
			t.Fatalf("%s: %v", c.when, err)
		}
		one, _ := node.Window(1)
		two, _ := node.Window(2)
		if one.Open != si.Date(2026, 11, c.early) || two.Open != si.Date(2026, 11, c.late) || !next.Equal(c.next) {
			t.Errorf("%s: open are %s and %s, next is %s; want the %d and the %d, %s", c.when, one.Open, two.Open, next, c.early, c.late, c.next)
		}
	}
	p.dir.profiles[0] = &broken // first in order
	if _, err := p.cut(context.Background(), at(30, 10, 0)); err == nil {
		t.Error("a bank that the ledger refuses: no error")
	}
	if w, _ := node.Window(2); w.Open != si.Date(2026, 11, 30) {
		t.Errorf("the bank behind it stands at %s", w.Open)
	}
}
