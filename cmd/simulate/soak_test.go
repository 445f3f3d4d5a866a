package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// soakOf is a soak whose parts are given, in a folder of its own.
func soakOf(t *testing.T, skips string, parts ...soakPart) *soak {
	t.Helper()
	list, err := readSkips(skips)
	if err != nil {
		t.Fatal(err)
	}
	old, oldBars := soakParts, soakBarsElsewhere
	soakParts, soakBarsElsewhere = parts, nil
	t.Cleanup(func() { soakParts, soakBarsElsewhere = old, oldBars })
	return &soak{hours: 0.001, report: t.TempDir(), seed: 1, errOut: io.Discard, skips: list}
}

// TestSoakParts holds what a soak makes of its parts: a bar that is not met and a
// part that nobody may skip are failures, and the reports say so.
func TestSoakParts(t *testing.T) {
	good := soakPart{"good", func(_ context.Context, _ *soak, r *partReport) error {
		r.Bars = []bar{least("runs", 7, 7), most("losses", 0, 0)}
		return nil
	}}
	short := soakPart{"short", func(_ context.Context, _ *soak, r *partReport) error {
		r.Bars = []bar{least("runs", 6, 7)}
		return nil
	}}
	broken := soakPart{"broken", func(context.Context, *soak, *partReport) error { return errors.New("fell over") }}
	for _, c := range []struct {
		name, skips, fails string
		parts              []soakPart
		complete           bool
	}{
		{"all good", "", "", []soakPart{good}, true},
		{"a bar is not met", "", "short did not pass", []soakPart{good, short}, false},
		{"a part breaks", "", "broken did not pass", []soakPart{broken, good}, false},
		{"a part may be skipped", "absent: is not built", "", []soakPart{good, {"absent", nil}}, true},
		{"a part may not be skipped", "other: is not built", "absent did not pass", []soakPart{good, {"absent", nil}}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := soakOf(t, c.skips, c.parts...)
			err := s.run(t.Context())
			if (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
				t.Errorf("got %v, want %q", err, c.fails)
			}
			var whole soakReport
			readReport(t, s.report, "soak", &whole)
			if whole.Complete != c.complete || len(whole.Parts) != len(c.parts) || whole.Commit == "" || whole.Machine == "" {
				t.Errorf("report %+v", whole)
			}
			for _, p := range c.parts {
				var r partReport
				readReport(t, s.report, "soak-"+p.name, &r)
				if want := p.name == "good"; r.Passed != want || !want && r.Why == "" {
					t.Errorf("report of %s: %+v", p.name, r)
				}
			}
		})
	}
}

// TestSoakResumes holds that a part which passed on this commit is not run again,
// and that one which passed on another, or did not pass, is.
func TestSoakResumes(t *testing.T) {
	runs := 0
	part := soakPart{"part", func(context.Context, *soak, *partReport) error { runs++; return nil }}
	s := soakOf(t, "", part)
	for _, r := range []partReport{
		{origin: origin{Commit: "abc"}, Part: "part", Passed: true},
		{origin: origin{Commit: "abc"}, Part: "part"},
	} {
		if _, err := writeReport(s.report, "soak-part", r); err != nil {
			t.Fatal(err)
		}
		if got := s.passed("part", "abc"); (got != "") != r.Passed {
			t.Errorf("%+v: found %q", r, got)
		}
	}
	for _, commit := range []string{"abd", "abc, changed", "unknown"} {
		if _, err := writeReport(s.report, "soak-part", partReport{origin: origin{Commit: commit}, Part: "part", Passed: true}); err != nil {
			t.Fatal(err)
		}
		asked := commit
		if commit == "abd" {
			asked = "abc"
		}
		if got := s.passed("part", asked); got != "" {
			t.Errorf("passed on %q counts for %q: %s", commit, asked, got)
		}
	}
	if err := s.run(t.Context()); err != nil || runs != 1 {
		t.Errorf("%d runs, %v", runs, err)
	}
}

func readReport(t *testing.T, dir, kind string, into any) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "????-??-??-"+kind+".json"))
	if err != nil || len(files) != 1 {
		t.Fatalf("reports of %s: %v, %v", kind, files, err)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatal(err)
	}
}

// TestSkips holds the list of what may be left out: every name is a part without
// a run or a bar that no part has, and each has its reason.
func TestSkips(t *testing.T) {
	skips, err := readSkips(skipList)
	if err != nil {
		t.Fatal(err)
	}
	may := map[string]bool{}
	for _, p := range soakParts {
		if p.run == nil {
			may[p.name] = true
		}
	}
	for _, b := range soakBarsElsewhere {
		may[b] = true
	}
	for name := range skips {
		if !may[name] {
			t.Errorf("%s is on the list of skips, and is no part or bar that is missing", name)
		}
	}
	for name := range may {
		if skips[name] == "" {
			t.Errorf("%s is missing and has no reason in skips.txt", name)
		}
	}
	for _, bad := range []string{"fuzz", "fuzz:", "fuzz: ", ": no name", "a: x\na: y"} {
		if _, err := readSkips(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// TestSoakReads holds what a soak reads off the hunt and the fuzz script.
func TestSoakReads(t *testing.T) {
	hunt := "=== RUN   TestPlanted\n\t\"trust-bad-mac\": {1, \"I12\"},\n\t\"card-no-ignored\": {17, \"R8\"},\n--- PASS\n"
	if got := huntLine.FindAllStringSubmatch(hunt, -1); len(got) != 2 || got[1][1] != "card-no-ignored" || got[1][2] != "17" || got[1][3] != "R8" {
		t.Errorf("the hunt reads as %q", got)
	}
	fuzz := "ok si/FuzzParse 1234 executions\nFAILED cardauth/tlv/FuzzDOL\n  ok x\nfuzz: 2 targets fed, 1234 executions, 1 failed\n"
	if got := fuzzLine.FindAllStringSubmatch(fuzz, -1); len(got) != 2 || got[0][3] != "1234" || got[1][1] != "FAILED" {
		t.Errorf("the fuzz script reads as %q", got)
	}
}

// TestBegun adds up the payments of a run of simulate faults.
func TestBegun(t *testing.T) {
	var f map[string]any
	line := `{"terminal_payments":3,"counter_payments":4,"unanswered":1,"refused":{"BANK_AWAY":2,"NOT_CHARGED OTHER":5},"lost":9}`
	if err := json.Unmarshal([]byte(line), &f); err != nil {
		t.Fatal(err)
	}
	if got := begun(f); got != 15 {
		t.Errorf("%g payments, want 15", got)
	}
}

// TestBars holds that a number counts at its minimum and not one below, and at
// its maximum and not one above.
func TestBars(t *testing.T) {
	for _, c := range []struct {
		b  bar
		ok bool
	}{
		{least("x", 5, 5), true}, {least("x", 4, 5), false}, {most("x", 5, 5), true}, {most("x", 6, 5), false},
	} {
		if c.b.OK != c.ok || (notMet([]bar{c.b}) == nil) != c.ok {
			t.Errorf("%+v, want %t", c.b, c.ok)
		}
	}
}
