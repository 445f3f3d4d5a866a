package ledger

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// pump sends n commands with a number of them in flight and waits for all.
func pump(b *testing.B, node *Node, inFlight int, next func(i int) ledgerapi.Command) {
	b.Helper()
	slots := make(chan struct{}, inFlight)
	var bad atomic.Int64
	done := func(r ledgerapi.Result, err error) {
		if err != nil || r.Code != ledgerapi.OK {
			bad.Add(1)
		}
		<-slots
	}
	for i := range b.N {
		slots <- struct{}{}
		node.Submit(next(i), 0, done)
	}
	for range inFlight {
		slots <- struct{}{}
	}
	if bad.Load() != 0 {
		b.Fatalf("%d of %d commands were refused", bad.Load(), b.N)
	}
}

func reportLog(b *testing.B, node *Node, began time.Time) {
	b.Helper()
	s := node.Stats().Log
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "commands/s")
	b.ReportMetric(float64(s.Records)/float64(max(s.Batches, 1)), "commands/batch")
	b.ReportMetric(float64(s.SyncNanos)/float64(max(s.Appends, 1))/1e3, "µs/sync")
	b.ReportMetric(float64(s.Bytes)/float64(b.N), "bytes/command")
}

// payment is a Pay as a bank sends it, with an id of its own.
func payment(i int) ledgerapi.Pay {
	var id si.PaymentID
	for k := range 8 {
		id[8+k] = byte(i >> (56 - 8*k))
	}
	id[0], id[1], id[2], id[3] = 1, 0x8B, 0xCF, 0xE5
	return ledgerapi.Pay{
		ID: id, Channel: si.ChannelCounter, Bank: 1, Total: 12345, HostSerial: "000000000001",
		BankDate: 9822, OurDate: 9822, STAN: uint32(i%899999 + 1),
		Dues: []ledgerapi.DueRef{{ID: si.DueID(i + 1), Version: 1, Amount: 12345}},
	}
}

// BenchmarkNull is the log alone: encode, group commit, sync, answer.
func BenchmarkNull(b *testing.B) {
	for _, inFlight := range []int{1, 64, 256, 1024} {
		b.Run(fmt.Sprintf("inflight=%d", inFlight), func(b *testing.B) {
			node, err := Open(Config{Dir: b.TempDir(), Region: 1, Area: 330110, NullState: true, Election: 10 * time.Millisecond})
			if err != nil {
				b.Fatal(err)
			}
			defer node.Close()
			b.ResetTimer()
			began := time.Now()
			pump(b, node, inFlight, func(i int) ledgerapi.Command { return payment(i) })
			b.StopTimer()
			reportLog(b, node, began)
		})
	}
}
