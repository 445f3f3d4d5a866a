package world

import "testing"

func TestDays(t *testing.T) {
	for seed := uint64(1); seed <= 400; seed++ {
		d, err := Play(seed, Options{Payments: 2000})
		if err != nil {
			t.Fatal(err)
		}
		if len(d.Violations) > 0 { t.Logf("seed %d: %d asked %d posted %d voided %d reversals %d breaks %d steps %s faults %d", seed, d.Asked, d.Posted, d.Voided, d.Reversals, d.Breaks, d.Steps, d.Hash[:8], len(d.Plan)) }
		for i, v := range d.Violations {
			if i < 3 {
				t.Errorf("seed %d: %+v", seed, v)
			}
		}
	}
}
