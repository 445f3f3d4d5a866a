package evening

import (
	"bytes"
	"testing"
)

// TestSamePlanSameDay: a plan is one day, and another seed is another.
func TestSamePlanSameDay(t *testing.T) {
	file := func(seed uint64) []byte {
		p := Plan{Seed: seed, Lines: 300, Breaks: 40, Date: "20261129", CutMillis: 1_000_000_000}
		truths, err := p.Truths()
		if err != nil {
			t.Fatal(err)
		}
		planted := map[string]int{}
		for _, x := range truths {
			planted[x]++
		}
		for i, c := range Classes {
			want := 40 / len(Classes)
			if i < 40%len(Classes) {
				want++
			}
			if planted[c] != want {
				t.Errorf("%d of class %s, want %d", planted[c], c, want)
			}
		}
		var b bytes.Buffer
		if err := p.WriteFile(&b, truths); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	if !bytes.Equal(file(1), file(1)) || bytes.Equal(file(1), file(2)) {
		t.Error("the same plan is two days, or two plans are one")
	}
}

func TestBounds(t *testing.T) {
	for _, p := range []Plan{{Lines: 0}, {Lines: 10, Breaks: 6}, {Lines: 10, Breaks: -1}} {
		if _, err := p.Truths(); err == nil {
			t.Errorf("%+v: accepted", p)
		}
	}
	if _, err := (Plan{Lines: 10, Breaks: 5}).Truths(); err != nil {
		t.Error(err)
	}
	for s, want := range map[string]int{serial(7): 7, serial(7 + second): 7, serial(7 + 2*second): 7, "x": -1, "": -1} {
		if got := Number(s); got != want {
			t.Errorf("Number(%q) = %d, want %d", s, got, want)
		}
	}
}
