//go:build planted

package world

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/shebao-pay/shebao/si/planted"
)

var hunt = flag.Int("hunt", 0, "look for each planted bug from seed 1 up to this one, and print the table")

// found is the seed by which each planted bug is found, and by which invariant
// first, in days of testPayments payments. `go test -tags planted
// ./simulators/world -run Planted -hunt 200` makes the table anew.
var found = map[string]struct {
	seed      uint64
	invariant string
}{
	"trust-bad-mac":             {1, "I12"},
	"trust-mismatch":            {2, "I2"},
	"bad-mac-declines":          {1, "I2"},
	"unknown-code-declines":     {5, "I2"},
	"drop-reversal-after-six":   {8, "I10"},
	"drop-reversal-at-midnight": {21, "I10"},
	"reverse-before-durable":    {1, "I5"},
	"hold-freed-by-timer":       {1, "I2"},
	"not-sent-after-restart":    {1, "I2"},
	"revive-late-approval":      {1, "I12"},
	"send-on-exists":            {1, "R1"},
	"send-on-unknown":           {2, "I5"},
	"send-after-deadline":       {2, "R1"},
	"lost-is-not-sent":          {1, "I5"},
	"reversal-trusts-bad-mac":   {11, "I2"},
	"reversal-takes-any-code":   {1, "I2"},
	"no-original-always-final":  {33, "I2"},
	"cross-day-is-proof":        {11, "I2"},
	"card-no-ignored":           {1, "R8"},
	"told-not-charged-early":    {1, "R7"},
	"told-paid-early":           {1, "R7"},
	"unsent-post-is-paid":       {1, "R7"},
	"reversal-amount-off":       {1, "I5"},
	"reversal-other-trace":      {1, "I5"},
	"resume-forgets-reversing":  {1, "I10"},
	"resume-forgets-reserved":   {1, "I10"},
	"inquiry-always-proof":      {2, "I2"},
	"never-reconnects":          {9, "I10"},
	"trace-reused":              {2, "I5"},
	"due-not-held":              {1, "I3"},
	"held-due-paid":             {1, "I3"},
	"paid-due-paid":             {1, "I3"},
	"tombstone-ignored":         {1, "I12"},
	"receipt-twice":             {1, "I6"},
	"red-entry-forgotten":       {1, "I2"},
	"unpost-keeps-paid":         {1, "I3"},
	"void-keeps-hold":           {1, "I4"},
	"individual-forgotten":      {1, "I4"},
	"version-ignored":           {1, "I3"},
	"booked-on-our-date":        {1, "I2"},
	"pending-forgets":           {1, "I10"},
	"memo-dropped":              {1, "I10"},
	"repeat-pays-again":         {1, "I12"},
}

// TestPlanted switches one planted bug on after the other: each must be found
// by its seed, and every bug must have one.
func TestPlanted(t *testing.T) {
	if *hunt > 0 {
		huntAll(t, uint64(*hunt))
		return
	}
	doc, err := os.ReadFile("../../docs/proof.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range planted.Names() {
		f, ok := found[name]
		if !ok {
			t.Errorf("%s has no seed", name)
			continue
		}
		if row := fmt.Sprintf("| %s | %s | %d |", name, f.invariant, f.seed); !strings.Contains(string(doc), row) {
			t.Errorf("docs/proof.md has no row %q", row)
		}
		if inv := firstBroken(t, name, f.seed); inv != f.invariant {
			t.Errorf("%s: seed %d breaks %q, want %q", name, f.seed, inv, f.invariant)
		}
	}
	if len(found) != len(planted.Names()) {
		t.Errorf("%d seeds for %d bugs", len(found), len(planted.Names()))
	}
}

// firstBroken is the first invariant that a seed breaks with a bug, or nothing.
func firstBroken(t *testing.T, name string, seed uint64) string {
	t.Helper()
	if err := planted.Set(name); err != nil {
		t.Fatal(err)
	}
	d, err := Play(seed, Options{Payments: testPayments})
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Violations) == 0 {
		return ""
	}
	return d.Violations[0].Invariant
}

func huntAll(t *testing.T, last uint64) {
	for _, name := range planted.Names() {
		inv, seed := "", uint64(0)
		for inv == "" && seed < last {
			seed++
			inv = firstBroken(t, name, seed)
		}
		if inv == "" {
			t.Errorf("%s escapes %d seeds", name, last)
			continue
		}
		fmt.Printf("\t%q: {%d, %q},\n", name, seed, inv)
	}
}

// TestChecksMatter switches a planted bug on and the oracle that finds it off:
// the bug then survives, so it is that oracle that matters.
func TestChecksMatter(t *testing.T) {
	if err := planted.Set("card-no-ignored"); err != nil {
		t.Fatal(err)
	}
	for _, off := range []string{"", "R8"} {
		d, err := Play(found["card-no-ignored"].seed, Options{Payments: testPayments, Without: off})
		if err != nil {
			t.Fatal(err)
		}
		if (len(d.Violations) == 0) != (off != "") {
			t.Errorf("without %q: %d violations", off, len(d.Violations))
		}
	}
}

// TestPlantedRepro holds that the smaller plan of a seed that breaks an invariant breaks
// the same one again, with fewer faults.
func TestPlantedRepro(t *testing.T) {
	const name = "revive-late-approval"
	if err := planted.Set(name); err != nil {
		t.Fatal(err)
	}
	f, plan := found[name], PlanOf(found[name].seed)
	again := Breaks(f.seed, testPayments, f.invariant)
	small, err := Shrink(plan, again)
	if err != nil || len(small) == 0 || len(small) >= len(plan)/2 {
		t.Fatalf("of %d faults %d are left, %v", len(plan), len(small), err)
	}
	if still, err := again(small); err != nil || !still {
		t.Errorf("the smaller plan %v does not break %s, %v", small, f.invariant, err)
	}
}
