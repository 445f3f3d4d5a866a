package world

import (
	"encoding/binary"
	"time"

	"github.com/shebao-pay/shebao/settlement/engine"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// counter is the bank-initiated way: a teller takes money for dues and the
// bank's host tells us, again and again until it is answered, or takes it back.
type counter struct {
	w       *World
	b       *bank
	d       dice
	n       uint32
	tellers []*teller
	cash    si.Fen // taken and not given back
	out     si.Fen // of it, not ours: always 0 at the end
}

func newCounter(w *World, b *bank) *counter {
	return &counter{w: w, b: b, d: newDice(w.seed, streamCounter<<8|uint64(b.no))}
}

// teller is one payment at a counter.
type teller struct {
	c       *counter
	pay     ledgerapi.Pay
	tries   int
	undoing bool
	done    bool
	kept    bool // the money has not been given back
}

// How a bank's host waits and repeats.
const (
	counterWait  = 20 * time.Second
	counterTries = 3
)

// serve takes the money for dues and tells the hub.
func (c *counter) serve(dues []ledgerapi.DueRef) {
	c.n++
	t := &teller{c: c, kept: true}
	c.tellers = append(c.tellers, t)
	t.pay = ledgerapi.Pay{Channel: si.ChannelCounter, Bank: c.b.no, Dues: dues, BankDate: c.b.today(), STAN: c.n % 900_000}
	for _, d := range dues {
		t.pay.Total += d.Amount + d.LateFee
	}
	copy(t.pay.DE7[:], c.w.true().In(si.China).Format("0102150405"))
	t.pay.HostSerial = "00000000" + string(t.pay.DE7[6:10])
	// The id is made of the bank's own numbers, at midnight of its date.
	binary.BigEndian.PutUint64(t.pay.ID[:8], uint64(t.pay.BankDate.Time().UnixMilli())<<16)
	t.pay.ID[6], t.pay.ID[7] = byte(c.b.no), 0xC0
	binary.BigEndian.PutUint64(t.pay.ID[8:], uint64(c.n))
	f := c.w.truth.fact(t.pay.ID)
	f.bank, f.counter, f.cash = c.b.no, true, true
	c.cash += t.pay.Total
	c.b.si += t.pay.Total
	c.b.book = append(c.b.book, booking{id: t.pay.ID, kind: bookCash, date: t.pay.BankDate, fen: t.pay.Total})
	c.w.asked++
	c.w.story(t.pay.ID, "bank %s takes %d fen at its counter", c.b.prof.Code, t.pay.Total)
	if c.w.chance(c.d, CounterReverses) && c.d.IntN(2) == 0 {
		c.w.meets(CounterReverses, t.pay.ID)
		t.send() // the reversal may overtake it
		t.undo()
		return
	}
	t.send()
	t.await()
}

// send carries the payment to whoever leads.
func (t *teller) send() {
	c := t.c
	times := 1
	if c.w.chance(c.d, CounterRepeats) {
		times = 2
		c.w.meets(CounterRepeats, t.pay.ID)
	}
	for range times {
		if c.w.chance(c.w.net, RequestLost) {
			continue
		}
		c.w.k.after(c.d.tail(wireTime), func() {
			c.w.hub.soon(0, func() {
				c.w.ledger.submit(t.pay, 0, func(r ledgerapi.Result, f engine.Fault) { t.result(r, f) })
			})
		})
	}
}

// result is the ledger's; only what is known is answered.
func (t *teller) result(r ledgerapi.Result, f engine.Fault) {
	if f != engine.FaultNone || t.c.w.chance(t.c.w.net, ReplyLost) {
		return
	}
	t.c.w.k.after(t.c.d.tail(wireTime), func() {
		if t.done || t.undoing {
			return
		}
		t.done = true
		t.c.w.story(t.pay.ID, "bank %s hears: %s", t.c.b.prof.Code, r.Code)
		if r.Code == ledgerapi.OK || r.Code == ledgerapi.Exists {
			if t.c.w.chance(t.c.d, CounterReverses) {
				t.c.w.meets(CounterReverses, t.pay.ID)
				t.undo()
			}
			return
		}
		t.giveBack()
	})
}

// await repeats the payment, and takes it back when nobody answers.
func (t *teller) await() {
	t.c.w.k.after(counterWait, func() {
		switch {
		case t.done || t.undoing:
		case t.tries < counterTries:
			t.tries++
			t.send()
			t.await()
		default:
			t.undo()
		}
	})
}

// undo takes the payment back until that is answered.
func (t *teller) undo() {
	t.c.w.story(t.pay.ID, "bank %s takes the payment back", t.c.b.prof.Code)
	t.undoing, t.done = true, false
	t.reverse()
}

func (t *teller) reverse() {
	c := t.c
	if !c.w.chance(c.w.net, RequestLost) {
		c.w.k.after(c.d.tail(wireTime), func() {
			c.w.hub.soon(0, func() {
				c.w.ledger.submit(ledgerapi.Reverse{ID: t.pay.ID, Bank: c.b.no, BankDate: t.pay.BankDate, Reason: [2]byte{'9', '8'}}, 0,
					func(r ledgerapi.Result, f engine.Fault) { t.reversed(r, f) })
			})
		})
	}
	c.w.k.after(counterWait, func() {
		if !t.done {
			t.reverse()
		}
	})
}

func (t *teller) reversed(r ledgerapi.Result, f engine.Fault) {
	if f != engine.FaultNone || t.done || t.c.w.chance(t.c.w.net, ReplyLost) {
		return
	}
	switch r.Code {
	case ledgerapi.OK, ledgerapi.Exists:
		t.done = true
		t.giveBack()
	case ledgerapi.NotSameDay:
		t.done = true // a refund would follow; the money stays ours
	default:
		t.c.w.violate("I5", t.pay.ID, "a bank's reversal is answered %s", r.Code)
		t.done = true
	}
}

// giveBack returns the money to the citizen.
func (t *teller) giveBack() {
	t.c.w.story(t.pay.ID, "bank %s gives the money back", t.c.b.prof.Code)
	t.c.w.truth.fact(t.pay.ID).cash = false
	t.kept = false
	t.c.cash -= t.pay.Total
	t.c.b.si -= t.pay.Total
	t.c.b.book = append(t.c.b.book, booking{id: t.pay.ID, kind: bookCashBack, date: t.pay.BankDate, fen: -t.pay.Total})
}
