package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/shebao-pay/shebao/simulators/evening"
)

// TestDay makes days, matches their files and finds what was planted; with a
// planted break that the result does not have, it says so.
func TestDay(t *testing.T) {
	for seed := range uint64(3) {
		dir := t.TempDir()
		plan := evening.Plan{Seed: seed, Lines: 3000, Breaks: 190, Date: dayDate, CutMillis: dayOf.Time().UnixMilli()}
		truths, err := plan.Truths()
		if err != nil {
			t.Fatal(err)
		}
		if err := writeDay(dir, plan, truths); err != nil {
			t.Fatal(err)
		}
		res, err := matchDay(dir, plan.CutMillis)
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.Create(filepath.Join(dir, dayResFil))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(res.Write(f), f.Close()); err != nil {
			t.Fatal(err)
		}
		var r dayResult
		if err := r.judge(f.Name(), truths); err != nil || r.Found != 190 || r.Wrong+r.Extra != 0 {
			t.Errorf("seed %d: %+v, %v; want 190 found", seed, r, err)
		}
		for n := range truths {
			if !evening.IsBreak(truths[n]) {
				truths[n] = "B06"
				break
			}
		}
		r = dayResult{}
		if err := r.judge(f.Name(), truths); err != nil || r.Wrong != 1 {
			t.Errorf("seed %d with a break that is not there: %+v, %v", seed, r, err)
		}
	}
}
