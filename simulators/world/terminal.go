package world

import (
	"time"

	"github.com/shebao-pay/shebao/settlement/engine"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// intentState is a payment in a terminal's journal.
type intentState uint8

// The states. Each is on the terminal's disk before anything else happens.
const (
	intentCreated intentState = iota + 1
	intentSent
	intentUnknown
	intentUndoing // the card said no after the approval
	intentPosted
	intentReceipted
	intentDeclined
	intentFailed // never sent
)

func (s intentState) open() bool { return s <= intentUndoing }

// intent is a payment as a terminal knows it.
type intent struct {
	id    si.PaymentID
	state intentState
	who   *citizen
	dues  []ledgerapi.DueRef
	total si.Fen
	asked bool // a question about it is under way
}

// terminal is one kiosk: its journal, and what it does with one citizen after
// the other. A loss of power ends one life of it.
type terminal struct {
	w       *World
	d       dice
	no      si.Terminal
	life    int
	on      bool
	journal []*intent
}

// What a terminal waits, as the kiosk does.
const (
	payWait   = 45 * time.Second
	pollFirst = 3 * time.Second
	pollMost  = time.Minute
)

// soon has do called in this life of the terminal.
func (t *terminal) soon(wait time.Duration, do func()) {
	life := t.life
	t.w.k.after(wait, func() {
		if t.on && t.life == life {
			do()
		}
	})
}

// lose is a loss of power. On its return, what had not been sent never will be,
// and everything else is asked for.
func (t *terminal) lose() {
	t.on = false
	for _, i := range t.journal {
		if i.state.open() {
			t.w.meets(TerminalLoss, i.id)
		}
	}
	t.w.k.after(t.d.between(20*time.Second, 5*time.Minute), func() {
		t.life++
		t.on = true
		for _, i := range t.journal {
			i.asked = false
			switch i.state {
			case intentCreated:
				i.state = intentFailed
			case intentSent, intentUnknown, intentUndoing:
				i.state = intentUnknown
				t.poll(i, pollFirst)
			case intentPosted, intentReceipted, intentDeclined, intentFailed:
			}
		}
	})
}

// serve lets a citizen pay.
func (t *terminal) serve(who *citizen, dues []ledgerapi.DueRef) {
	i := &intent{id: t.w.newID(t.d), state: intentCreated, who: who, dues: dues}
	for _, d := range dues {
		i.total += d.Amount + d.LateFee
	}
	t.journal = append(t.journal, i)
	t.w.asked++
	t.w.story(i.id, "terminal %d: citizen %d confirms %d dues, %d fen, bank %s", t.no, who.n, len(dues), i.total, who.bank.prof.Code)
	t.soon(t.d.between(2*time.Second, 20*time.Second), func() { // the PIN, the cryptogram
		if t.w.chance(t.d, TerminalLoss) {
			t.lose()
			return
		}
		i.state = intentSent
		t.pay(i)
		if t.w.chance(t.d, Impatience) {
			t.soon(t.d.between(time.Millisecond, 3*time.Second), func() {
				t.w.meets(Impatience, i.id)
				t.pay(i)
			})
		}
		t.soon(payWait, func() {
			if i.state == intentSent {
				i.state = intentUnknown
				t.poll(i, pollFirst)
			}
		})
		if t.w.chance(t.d, TerminalLoss) {
			t.soon(t.d.between(0, 10*time.Second), t.lose)
		}
	})
}

// call carries a call to the hub and its answer back, with what happens to them
// on the way.
func (t *terminal) call(id si.PaymentID, ask func(answer func(engine.Answer)), then func(engine.Answer)) {
	w := t.w
	times := 1
	if w.chance(t.d, AskTwice) {
		times = 2
	}
	lostThere, lostBack := w.chance(t.d, AskLost), w.chance(t.d, AskLost)
	if lostThere || lostBack {
		w.meets(AskLost, id)
	}
	if lostThere {
		return
	}
	back := func(a engine.Answer) {
		if !lostBack {
			t.soon(t.d.tail(wireTime), func() { then(a) })
		}
	}
	for i := range times {
		w.k.after(t.d.tail(wireTime), func() { // whoever leads when it arrives
			if i > 0 {
				w.meets(AskTwice, id)
			}
			w.hub.soon(0, func() { ask(back) })
		})
	}
}

// pay sends the payment.
func (t *terminal) pay(i *intent) {
	t.call(i.id, func(answer func(engine.Answer)) { t.w.hub.pay(t.w.intentOf(t, i), answer) }, func(a engine.Answer) { t.answered(i, a) })
}

// answered takes the hub's word about a payment.
func (t *terminal) answered(i *intent, a engine.Answer) {
	if !i.state.open() {
		return
	}
	switch a.Ending {
	case engine.Paid:
		if a.AwaitCard && i.state != intentUnknown && i.state != intentUndoing {
			t.card(i)
			return
		}
		t.posted(i)
	case engine.NotCharged, engine.Refused:
		i.state = intentDeclined
	case engine.Pending:
		if i.state == intentSent {
			i.state = intentUnknown
		}
		t.poll(i, pollFirst)
	}
}

// posted ends a payment that is paid. What was asked about is asked once more
// before paper comes out, because a card may have said no meanwhile.
func (t *terminal) posted(i *intent) {
	if t.w.truth.state(i.id) != ledgerapi.PayPosted {
		i.state = intentUnknown
		t.poll(i, pollFirst)
		return
	}
	i.state = intentReceipted
	t.w.truth.printed(i.id)
}

// card is the chip's last word about an approved payment, and its report.
func (t *terminal) card(i *intent) {
	outcome := engine.CardTC
	if t.w.chance(t.d, CardNo) {
		outcome = []engine.CardOutcome{engine.CardAAC, engine.CardARPCBad, engine.CardRemoved}[t.d.IntN(3)]
		t.w.meets(CardNo, i.id)
	}
	i.state = intentUndoing
	var de55 []byte
	if i.id[15]%4 == 0 { // the issuer sent a script
		de55 = []byte{0x9F, 0x36, 2, 0, i.id[14], 0xDF, 0x31, 5, 0x20, 0, 0, 0, i.id[15]}
	}
	report := func() {
		t.call(i.id, func(func(engine.Answer)) { t.w.hub.card(i.id, outcome, de55) }, func(engine.Answer) {})
	}
	t.soon(t.d.between(100*time.Millisecond, 2*time.Second), func() {
		report()
		t.soon(time.Second, report) // a report may be repeated
		t.poll(i, pollFirst)
	})
}

// poll asks for a payment until it has an end.
func (t *terminal) poll(i *intent, wait time.Duration) {
	if i.asked {
		return
	}
	i.asked = true
	t.soon(wait, func() {
		i.asked = false
		if !i.state.open() {
			return
		}
		t.call(i.id, func(answer func(engine.Answer)) { t.w.hub.ask(i.id, answer) }, func(a engine.Answer) {
			if a.Ending == 0 {
				t.close(i)
				return
			}
			if a.Ending == engine.Paid && a.AwaitCard && i.state == intentUndoing {
				return // the report is on its way
			}
			t.answered(i, a)
		})
		t.poll(i, min(2*wait, pollMost))
	})
}

// close makes sure that an id which the hub never saw is never paid.
func (t *terminal) close(i *intent) {
	t.call(i.id, func(answer func(engine.Answer)) { t.w.hub.close(i.id, answer) }, func(a engine.Answer) { t.answered(i, a) })
}
