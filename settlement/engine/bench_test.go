package engine

import (
	"testing"
	"time"

	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// BenchmarkPaid is the engine's own part of one paid payment: six events.
func BenchmarkPaid(b *testing.B) {
	e, err := New(Config{Banks: []*profile.Profile{testBank(pos)}, Rand: func() uint64 { return 1 }})
	if err != nil {
		b.Fatal(err)
	}
	now := time.Now()
	e.Step(now, LinkUp{Link: LinkID{pos, 0}, Cap: 1 << 20}, nil)
	in := intent(b, 1, pos)
	block, _ := si.NewPINBlock([]byte("bankward"))
	good := reply("00")
	var out []Effect
	b.ReportAllocs()
	n := uint32(0)
	for b.Loop() {
		n++
		in.ID = si.PaymentID{12: byte(n >> 24), 13: byte(n >> 16), 14: byte(n >> 8), 15: byte(n)}
		out = e.Step(now, Ask{Intent: in}, out[:0])
		seq := out[0].(Submit).Seq
		out = e.Step(now, LedgerDone{ID: in.ID, Seq: seq, Result: ledgerapi.Result{Code: ledgerapi.OK, STAN: n}}, out[:0])
		out = e.Step(now, Translated{ID: in.ID, Op: OpDebit, Block: block, OK: true}, out[:0])
		out = e.Step(now, Replied{ID: in.ID, Op: OpDebit, Reply: good}, out[:0])
		seq = out[0].(Submit).Seq
		out = e.Step(now, LedgerDone{ID: in.ID, Seq: seq, Result: ledgerapi.Result{Code: ledgerapi.OK}}, out[:0])
		out = e.Step(now, CardSaid{ID: in.ID, Outcome: CardTC}, out[:0])
	}
	if e.Live() != 0 {
		b.Fatalf("%d payments left", e.Live())
	}
}
