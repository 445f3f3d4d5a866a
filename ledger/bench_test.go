package ledger

import (
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/ledger/replog"
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

func reportLog(b *testing.B, node *Node, began time.Time, before replog.Stats) {
	b.Helper()
	took, s := time.Since(began), node.Stats().Log
	b.ReportMetric(float64(b.N)/took.Seconds(), "commands/s")
	b.ReportMetric(float64(s.Records-before.Records)/float64(max(s.Batches-before.Batches, 1)), "commands/batch")
	b.ReportMetric(float64(s.SyncNanos-before.SyncNanos)/float64(max(s.Appends-before.Appends, 1))/1e3, "µs/sync")
	b.ReportMetric(float64(s.Bytes-before.Bytes)/float64(b.N), "bytes/command")
}

// BenchmarkNull is the log alone: encode, group commit, sync, answer.
func BenchmarkNull(b *testing.B) {
	for _, inFlight := range []int{1, 64, 256, 1024} {
		b.Run(fmt.Sprintf("inflight=%d", inFlight), func(b *testing.B) {
			cfg := testConfig(b.TempDir())
			cfg.Segment, cfg.NullState = 0, true
			node := openNode(b, cfg)
			b.ResetTimer()
			began := time.Now()
			pump(b, node, inFlight, func(i int) ledgerapi.Command { return payDue(i) })
			b.StopTimer()
			reportLog(b, node, began, replog.Stats{})
			closeNode(b, node)
		})
	}
}

// BenchmarkPay is the whole node without a network: encode, group commit, sync,
// apply, answer, with checkpoints at their defaults.
func BenchmarkPay(b *testing.B) {
	for _, inFlight := range []int{1, 64, 256, 1024} {
		b.Run(fmt.Sprintf("inflight=%d", inFlight), func(b *testing.B) {
			cfg := testConfig(b.TempDir())
			cfg.Segment, cfg.CheckpointRecords = 0, 0
			node := openNode(b, cfg)
			settle(b, node, b.N)
			if err := node.Checkpoint(); err != nil {
				b.Fatal(err)
			}
			before := node.Stats().Log
			b.ResetTimer()
			began := time.Now()
			pump(b, node, inFlight, func(i int) ledgerapi.Command { return payDue(i) })
			b.StopTimer()
			reportLog(b, node, began, before)
			b.ReportMetric(float64(node.Stats().Checkpoints), "checkpoints")
			closeNode(b, node)
		})
	}
}

// BenchmarkRestart is a start without a state file: every record of the log is
// read, checked and applied. One iteration is one record.
func BenchmarkRestart(b *testing.B) {
	cfg := testConfig(b.TempDir())
	cfg.Segment, cfg.CheckpointRecords = 0, 0
	node := openNode(b, cfg)
	settle(b, node, b.N)
	pump(b, node, 64, func(i int) ledgerapi.Command { return payDue(i) })
	records := node.Stats().Log.Records
	closeNode(b, node)
	if err := os.Remove(filepath.Join(cfg.Dir, stateName)); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	began := time.Now()
	node = openNode(b, cfg)
	b.StopTimer()
	b.ReportMetric(float64(records)/time.Since(began).Seconds(), "records/s")
	closeNode(b, node)
}
