package oracle

import (
	"testing"

	"github.com/shebao-pay/shebao/simulators/world"
)

// BenchmarkDay is a day with and without the second oracle.
func BenchmarkDay(b *testing.B) {
	for _, c := range []struct {
		name   string
		export func(uint64, []world.Table) error
	}{
		{"world", nil},
		{"export", func(uint64, []world.Table) error { return nil }},
		{"check", func(_ uint64, all []world.Table) error { _, err := Check(all); return err }},
	} {
		b.Run(c.name, func(b *testing.B) {
			n := 0
			for b.Loop() {
				d, err := world.Play(1, world.Options{Payments: 2000, Export: c.export})
				if err != nil {
					b.Fatal(err)
				}
				n += d.Asked
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "payments/s")
		})
	}
}
