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
}{}

// TestPlanted switches the world's own I2 off, and then everything that it
// checks about money: what is planted is found by the second oracle all the same.
func TestPlanted(t *testing.T) {
	if *hunt > 0 {
		huntAll(t, uint64(*hunt))
		return
	}
	doc, err := os.ReadFile("../../docs/proof.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		if row := fmt.Sprintf("| %s | %s | %d |", f.bug, f.check, f.seed); !strings.Contains(string(doc), row) {
			t.Errorf("docs/proof.md has no row %q", row)
		}
		if err := planted.Set(f.bug); err != nil {
			t.Fatal(err)
		}
		tables := day(t, f.seed, world.Options{Without: "I2"})
		findings, err := Check(tables)
		if err != nil {
			t.Fatal(err)
		}
		if len(findings) == 0 || findings[0].Check != f.check {
			t.Errorf("%s: seed %d gives %v, want %s first", f.bug, f.seed, findings, f.check)
		}
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
