package acceptor

import (
	"fmt"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// instant is a ledger that has every payment done at once: what is left is the
// server's own share.
type instant struct{ *book }

func (instant) Submit(c ledgerapi.Command, _ si.Actor, done func(ledgerapi.Result, error)) {
	done(ledgerapi.Result{Code: ledgerapi.OK, State: ledgerapi.PayPosted, Receipt: si.ReceiptNo{Area: 330110, Date: today, Seq: 7}}, nil)
}

// maxAllocs bounds the garbage of one payment: texts that the command and the
// answer consist of. The frame, the message and both codes make none.
const maxAllocs = 26

// TestAllocations counts what one payment allocates on its way through the
// server, its reader and writer included.
func TestAllocations(t *testing.T) {
	for _, code := range []string{"rcb", "ccb"} {
		r := start(t, code, func(_ *profile.Profile, s *Server) { s.cfg.Ledger = instant{s.cfg.Ledger.(*book)} })
		p := r.ready()
		frame := p.frame(profile.NoticePay, p.pay(noticeFast, testAmount, 1))
		buf := make([]byte, 4096)
		got := testing.AllocsPerRun(500, func() {
			if _, err := p.c.Write(frame); err != nil {
				t.Error(err)
			}
			if _, err := p.c.Read(buf); err != nil {
				t.Error(err)
			}
		})
		t.Logf("%s: %.1f allocations per payment", code, got)
		if got > maxAllocs && !raceEnabled {
			t.Errorf("%s: %.1f allocations per payment, want at most %d", code, got, maxAllocs)
		}
	}
}

// BenchmarkLoopback is one connection over loopback TCP with a ledger that
// answers at once and codes of the test's HSM: the server's own share, and the
// peer's on the same cores.
func BenchmarkLoopback(b *testing.B) {
	for _, inFlight := range []int{1, 16, 128} {
		b.Run(fmt.Sprintf("inflight=%d", inFlight), func(b *testing.B) {
			r := start(b, "ccb", func(_ *profile.Profile, s *Server) { s.cfg.Ledger = instant{s.cfg.Ledger.(*book)} })
			p := r.ready()
			frame := p.frame(profile.NoticePay, p.pay(noticeFast, testAmount, 1))
			var batch []byte
			for range inFlight {
				batch = append(batch, frame...)
			}
			buf := make([]byte, 64<<10)
			size := 0 // of one answer
			b.ReportAllocs()
			b.ResetTimer()
			began := time.Now()
			for done := 0; done < b.N; done += inFlight {
				if _, err := p.c.Write(batch); err != nil {
					b.Fatal(err)
				}
				for got := 0; size == 0 || got < size*inFlight; {
					n, err := p.c.Read(buf)
					if err != nil {
						b.Fatal(err)
					}
					if size == 0 {
						if size, err = p.codec.Next(buf[:n]); err != nil || size == 0 {
							b.Fatal("answer is no frame", err)
						}
					}
					got += n
				}
			}
			b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "payments/s")
			st := r.s.Stats()
			b.ReportMetric(float64(st.Answers)/float64(max(st.Writes, 1)), "answers/write")
		})
	}
}
