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

// String writes the state's name as in the terminal's journal.
func (s intentState) String() string {
	return [...]string{"", "CREATED", "SENT", "UNKNOWN", "UNDOING", "POSTED", "RECEIPTED", "DECLINED", "FAILED"}[s]
}

func (s intentState) open() bool { return s <= intentUndoing }

// intent is a payment as a terminal knows it.
type intent struct {
	id    si.PaymentID
	state intentState
	who   *citizen
	dues  []ledgerapi.DueRef
	total si.Fen
	asked bool // a question about it is under way
	calls int  // how often it was sent

	outcome  engine.CardOutcome // the card's last word, on disk once said is set
	de55     []byte             // what issuer scripts did, beside it
	said     bool
	reported bool // the hub has heard it
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
	told    []word
}

// word is what a terminal was told of a payment.
type word struct {
	id     si.PaymentID
	ending engine.Ending
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
				if i.reported = false; !i.said {
					i.state = intentUnknown
				}
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
				if i.state == intentSent {
					t.w.meets(Impatience, i.id)
					t.pay(i)
				}
			})
		}
		t.soon(payWait, func() {
			if i.state == intentSent {
				t.w.story(i.id, "terminal %d has waited %s for an answer", t.no, payWait)
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
func (t *terminal) call(i *intent, ask func(answer func(engine.Answer)), then func(engine.Answer)) (times int) {
	w, id := t.w, i.id
	times = 1
	if w.chance(t.d, AskTwice) {
		times = 2
	}
	lostThere, lostBack := w.chance(t.d, AskLost), w.chance(t.d, AskLost)
	if lostThere || lostBack {
		w.meets(AskLost, id)
	}
	if lostThere {
		return times
	}
	back := func(a engine.Answer) {
		if !lostBack {
			t.soon(t.d.tail(wireTime), func() {
				if a.Ending != 0 {
					t.hears(i, a)
				}
				then(a)
			})
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
	return times
}

// hears notes the hub's word.
func (t *terminal) hears(i *intent, a engine.Answer) {
	t.told = append(t.told, word{i.id, a.Ending})
	t.w.story(i.id, "terminal %d (%s) hears: %s%s", t.no, i.state, endingNames[a.Ending], [...]string{"", ", and the card's word is awaited"}[bit(a.AwaitCard)])
}

// pay sends the payment.
func (t *terminal) pay(i *intent) {
	i.calls += t.call(i, func(answer func(engine.Answer)) { t.w.hub.pay(t.w.intentOf(t, i), answer) }, func(a engine.Answer) { t.answered(i, a) })
}

// answered takes the hub's word about a payment.
func (t *terminal) answered(i *intent, a engine.Answer) {
	if !i.state.open() {
		return
	}
	switch a.Ending {
	case engine.Paid:
		switch {
		case i.state == intentUndoing:
			// Told so by a hub that had not made the card's no durable when it
			// died, or by one that has not heard the card's word yet.
			i.reported = false
		case !a.AwaitCard:
			t.print(i)
		case i.state == intentSent:
			t.card(i)
		}
	case engine.Refused:
		// A kiosk sends once, and a refusal ends that. Sent twice, another copy
		// may still be accepted: the id is closed first.
		if i.calls > 1 && i.state != intentUndoing {
			i.calls, i.state = 1, intentUnknown
			t.close(i)
			t.poll(i, pollFirst)
			return
		}
		i.state = intentDeclined
	case engine.NotCharged:
		i.state = intentDeclined
	case engine.Pending:
		if i.state == intentSent {
			i.state = intentUnknown
		}
		t.poll(i, pollFirst)
	}
}

func (t *terminal) print(i *intent) {
	i.state = intentReceipted
	t.w.story(i.id, "terminal %d prints the receipt", t.no)
	t.w.truth.printed(i.id)
}

// card is the chip's last word about an approved payment, and its report.
func (t *terminal) card(i *intent) {
	i.state, i.outcome = intentUndoing, engine.CardTC
	if t.w.chance(t.d, CardNo) {
		i.outcome = []engine.CardOutcome{engine.CardAAC, engine.CardARPCBad, engine.CardRemoved}[t.d.IntN(3)]
		t.w.meets(CardNo, i.id)
	}
	if i.id[15]%4 == 0 { // the issuer sent a script
		i.de55 = []byte{0x9F, 0x36, 2, 0, i.id[14], 0xDF, 0x31, 5, 0x20, 0, 0, 0, i.id[15]}
	}
	t.soon(t.d.between(100*time.Millisecond, 2*time.Second), func() {
		t.w.story(i.id, "the card says: %s", [...]string{engine.CardTC: "agreed", engine.CardAAC: "refused", engine.CardARPCBad: "the bank's cryptogram is wrong",
			engine.CardRemoved: "nothing, it was pulled"}[i.outcome])
		i.said = true
		t.report(i)
		t.soon(time.Second, func() { t.report(i) }) // a report may be repeated
		t.poll(i, pollFirst)
	})
}

// report tells the hub the card's word. What it answers to that is final, or
// says that the payment is being taken back.
func (t *terminal) report(i *intent) {
	t.call(i, func(answer func(engine.Answer)) {
		t.w.hub.card(i.id, i.outcome, i.de55)
		t.w.hub.ask(i.id, answer)
	}, func(a engine.Answer) {
		i.reported = true
		switch {
		case !i.state.open():
		case a.Ending == engine.Paid:
			t.print(i)
		default:
			t.answered(i, a)
		}
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
		switch {
		case !i.state.open():
			return
		case i.state == intentUndoing && !i.reported:
			t.report(i)
		default:
			t.call(i, func(answer func(engine.Answer)) { t.w.hub.ask(i.id, answer) }, func(a engine.Answer) {
				if a.Ending == 0 {
					t.close(i)
					return
				}
				t.answered(i, a)
			})
		}
		t.poll(i, min(2*wait, pollMost))
	})
}

// close makes sure that an id which the hub never saw is never paid.
func (t *terminal) close(i *intent) {
	t.w.story(i.id, "the hub knows no such payment; terminal %d has its id closed", t.no)
	t.call(i, func(answer func(engine.Answer)) { t.w.hub.close(i.id, answer) }, func(a engine.Answer) { t.answered(i, a) })
}
