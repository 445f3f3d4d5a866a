package vpcd_test

import (
	"slices"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/simulators/chipcard"
)

// BenchmarkAPDU prints what one command costs from cardauth/pcsc through a real
// pcscd and back. Bar: p99 ≤ 2 ms on two cores.
func BenchmarkAPDU(b *testing.B) {
	d := newDesk(b)
	card, _ := d.take(chipcard.Example(1), chipcard.State{})
	took := make([]time.Duration, 0, b.N)
	for b.Loop() {
		begin := time.Now()
		if _, err := card.Transmit([]byte{0x00, 0xA4, 0x00, 0x00, 0x00}); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(begin))
	}
	b.StopTimer()
	slices.Sort(took)
	for _, q := range []struct {
		name string
		at   int
	}{{"p50-µs", 500}, {"p99-µs", 990}, {"p99.9-µs", 999}} {
		b.ReportMetric(float64(took[len(took)*q.at/1000].Microseconds()), q.name)
	}
	if _, err := d.rig.Remove(0); err != nil {
		b.Fatal(err)
	}
}
