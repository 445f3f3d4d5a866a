//go:build planted

package oracle

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/shebao-pay/shebao/si/planted"
	"github.com/shebao-pay/shebao/simulators/world"
)

var hunt = flag.Int("hunt", 0, "look for each planted bug from seed 1 up to this one, and print those that are found")

// found are the planted bugs that are about money and that plain SQL finds by
// itself, each by its seed and by the check that finds it first, in days of
// testPayments payments.
var found = []struct {
	bug   string
	seed  uint64
	check string
}{
	{"trust-bad-mac", 1, "i1_days"},
	{"trust-mismatch", 2, "i1_days"},
	{"bad-mac-declines", 1, "i1_days"},
	{"unknown-code-declines", 5, "i1_days"},
	{"reverse-before-durable", 1, "i1_days"},
	{"hold-freed-by-timer", 1, "i1_days"},
	{"not-sent-after-restart", 1, "i1_days"},
	{"revive-late-approval", 1, "i1_days"},
	{"send-on-unknown", 2, "i1_days"},
	{"lost-is-not-sent", 7, "i1_days"},
	{"reversal-trusts-bad-mac", 11, "i1_days"},
	{"reversal-takes-any-code", 1, "i1_days"},
	{"no-original-always-final", 33, "i1_days"},
	{"cross-day-is-proof", 11, "i1_days"},
	{"told-paid-early", 1, "i2_people"},
	{"unsent-post-is-paid", 1, "i2_people"},
	{"reversal-other-trace", 1, "i1_days"},
	{"inquiry-always-proof", 2, "i1_days"},
	{"trace-reused", 2, "i1_days"},
	{"due-not-held", 1, "i3_dues"},
	{"held-due-paid", 1, "i3_dues"},
	{"paid-due-paid", 1, "i3_dues"},
	{"tombstone-ignored", 1, "i1_days"},
	{"red-entry-forgotten", 1, "i1_totals"},
	{"booked-on-our-date", 1, "i1_days"},
	{"pending-forgets", 1, "i1_days"},
	{"repeat-pays-again", 1, "i1_days"},
}

// TestPlanted switches the world's own I2 off: what is planted is found by the
// second oracle all the same, and some of it by nothing else.
func TestPlanted(t *testing.T) {
	if *hunt > 0 {
		huntAll(t, uint64(*hunt))
		return
	}
	doc, err := os.ReadFile("../../docs/proof.md")
	if err != nil {
		t.Fatal(err)
	}
	alone := 0 // bugs that the world, its I2 off, says nothing about
	for _, f := range found {
		if row := fmt.Sprintf("| %s | %s | %d |", f.bug, f.check, f.seed); !strings.Contains(string(doc), row) {
			t.Errorf("docs/proof.md has no row %q", row)
		}
		if err := planted.Set(f.bug); err != nil {
			t.Fatal(err)
		}
		var findings []Finding
		d, err := world.Play(f.seed, world.Options{Payments: testPayments, Without: "I2", Export: func(_ uint64, tables []world.Table) (err error) {
			findings, err = Check(tables)
			return err
		}})
		if err != nil {
			t.Fatal(err)
		}
		if len(findings) == 0 || findings[0].Check != f.check {
			t.Errorf("%s: seed %d gives %v, want %s first", f.bug, f.seed, findings, f.check)
		}
		if len(d.Violations) == 0 {
			alone++
		}
	}
	t.Logf("%d of %d bugs are found by SQL alone when the world's I2 is off", alone, len(found))
	if alone == 0 {
		t.Error("the world finds everything without I2: the second oracle is not what finds it")
	}
}

// huntAll prints what the second oracle finds, bug by bug.
func huntAll(t *testing.T, last uint64) {
	for _, bug := range planted.Names() {
		if err := planted.Set(bug); err != nil {
			t.Fatal(err)
		}
		for seed := uint64(1); seed <= last; seed++ {
			findings, err := Check(day(t, seed, world.Options{Without: "I2"}))
			if err != nil {
				t.Logf("%s, seed %d: %v", bug, seed, err)
				continue
			}
			if len(findings) > 0 {
				fmt.Printf("\t{%q, %d, %q},\n", bug, seed, findings[0].Check)
				break
			}
		}
	}
}
