package engine

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// TestWorld lets a random history of faults happen to payments between a
// terminal, the engine, a ledger and two banks: lost, late, doubled and altered
// messages, commits of unknown outcome, links that come and go, crashes, cards
// that refuse. At every step no due may be paid without its debit standing, and
// after the faults stop every payment must come to its end, with the bank's
// money exactly where the ledger says.
func TestWorld(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newEarth(t, rt)
		for range rapid.IntRange(20, 200).Draw(rt, "steps") {
			w.act()
			w.check()
		}
		w.heal()
	})
}

// account is what a bank knows of one payment.
type account struct {
	debited, reversed bool
	declined          string
}

// wired is a message under way.
type wired struct {
	toBank bool
	bank   si.Bank
	op     Op
	id     si.PaymentID
	life   int // of the hub that sent it
	link   LinkID
	debit  SendDebit
	undo   SendReversal
	reply  Reply
}

type earth struct {
	rt    *rapid.T
	r     *rig
	life  int
	net   []wired
	banks map[string]*account // by bank, trace number and time
	asked int
	ends  map[si.PaymentID]Ending
	calm  bool
}

func newEarth(t *testing.T, rt *rapid.T) *earth {
	w := &earth{rt: rt, r: newRig(t), banks: map[string]*account{}, ends: map[si.PaymentID]Ending{}}
	w.r.banks[0].CardRefusal.RemovedReverses = rapid.Bool().Draw(rt, "removed reverses")
	w.up()
	return w
}

func (w *earth) draw(n int, what string) int { return rapid.IntRange(0, n-1).Draw(w.rt, what) }

// luck is true once in n times while faults are about.
func (w *earth) luck(n int, what string) bool { return !w.calm && w.draw(n, what) == 0 }

func (w *earth) up() {
	w.r.linkUp(pos, 0)
	w.r.linkUp(pos, 1)
	w.r.linkUp(cups, 0)
	w.r.linkUp(cups, 1)
}

func (w *earth) act() {
	switch a := w.draw(20, "act"); {
	case a < 3:
		w.ask()
	case a < 13:
		w.work()
	case a < 15:
		w.deliver()
	case a == 15:
		w.r.pass(time.Duration(w.draw(40_000, "milliseconds")) * time.Millisecond)
	case a == 16:
		w.later()
	case a == 17:
		w.link()
	case a == 18:
		w.card()
	default:
		if w.luck(3, "crash") {
			w.crash()
		}
	}
}

// ask starts a payment, or asks again for an old one.
func (w *earth) ask() {
	n := w.asked + 1
	if w.asked > 0 && w.draw(4, "again") == 0 {
		n = 1 + w.draw(w.asked, "which")
	} else {
		w.asked++
	}
	bank := []si.Bank{pos, cups}[n%2]
	i := intent(w.r.t, n, bank)
	i.Card.PAN = testPAN(w.r.t, n%5)
	i.Dues[0].ID = si.DueID(n % 7) // dues and cards meet
	ask := Ask{Intent: i}
	if _, live := w.r.e.Answer(i.ID); !live {
		ask.Known = w.r.book.view(i.ID)
	}
	w.r.step(ask)
}

// work carries out one waiting effect.
func (w *earth) work() {
	if len(w.r.out) == 0 {
		return
	}
	i := w.draw(len(w.r.out), "effect")
	ef := w.r.out[i]
	w.r.out = append(w.r.out[:i], w.r.out[i+1:]...)
	switch ef := ef.(type) {
	case Submit:
		w.commit(ef)
	case Translate:
		b, _ := si.NewPINBlock([]byte("bankward"))
		w.r.step(Translated{ID: ef.ID, Op: ef.Op, Block: b, OK: !w.luck(8, "no HSM")})
	case OpenMemo:
		w.r.step(MemoOpened{ID: ef.ID, Memo: w.r.book.memos[ef.ID], OK: !w.luck(4, "no HSM")})
	case Look:
		v := w.r.book.view(ef.ID)
		v.ID = ef.ID
		w.r.step(Seen{v})
	case SendDebit:
		w.send(wired{toBank: true, bank: ef.Link.Bank, op: OpDebit, id: ef.ID, life: w.life, link: ef.Link, debit: ef}, ef.Seq, w.r.now.After(ef.By))
	case SendReversal:
		// A repeat may still leave after an earlier one was answered.
		if v := w.r.book.view(ef.ID); v.State != ledgerapi.PayReversing && v.Proof != ledgerapi.ProofReversalAck {
			w.rt.Fatalf("a reversal of %v leaves while the ledger says %v", ef.ID, v.State)
		}
		if ef.Memo.Tries > w.r.book.memos[ef.ID].Tries {
			w.rt.Fatalf("attempt %d leaves, durable is %d", ef.Memo.Tries, w.r.book.memos[ef.ID].Tries)
		}
		w.send(wired{toBank: true, bank: ef.Link.Bank, op: OpReversal, id: ef.ID, life: w.life, link: ef.Link, undo: ef}, ef.Seq, false)
	}
}

func (w *earth) commit(s Submit) {
	if w.luck(12, "log") {
		fault := []Fault{FaultUnsent, FaultUnknown, FaultUnknown}[w.draw(3, "fault")]
		if fault == FaultUnknown && w.draw(2, "applied") == 0 {
			w.r.book.apply(w.r.now, s)
		}
		w.r.step(LedgerDone{ID: s.ID, Seq: s.Seq, Fault: fault})
		return
	}
	res := w.r.book.apply(w.r.now, s)
	if v, ok := s.Command.(ledgerapi.Void); ok && res.Code == ledgerapi.OK && v.Proof == ledgerapi.ProofNotSent && w.left(s.ID) {
		w.rt.Fatalf("payment %v is voided as not sent, and its 0200 has left", s.ID)
	}
	w.r.step(LedgerDone{ID: s.ID, Seq: s.Seq, Result: res})
}

// left tells whether a debit of the payment is under way or has arrived.
func (w *earth) left(id si.PaymentID) bool {
	for _, m := range w.net {
		if m.id == id && m.op == OpDebit {
			return true
		}
	}
	a := w.banks[w.keyOf(id)]
	return a != nil && (a.debited || a.declined != "")
}

// send puts a message on the wire, or proves that none left.
func (w *earth) send(m wired, seq uint32, late bool) {
	if late || w.luck(12, "not sent") {
		w.r.step(NotSent{ID: m.id, Op: m.op, Seq: seq, Late: late})
		return
	}
	w.net = append(w.net, m)
	if w.luck(15, "connection ends") {
		w.r.step(Lost{ID: m.id, Op: m.op, Seq: seq})
	}
}

// deliver brings one message to its end of the wire, in no order. A debit never
// reaches the bank so late that the next leader's reversal was there before and
// the bank forgot it: banks keep what they reversed.
func (w *earth) deliver() {
	if len(w.net) == 0 {
		return
	}
	i := w.draw(len(w.net), "message")
	m := w.net[i]
	if !w.luck(10, "twice") {
		w.net = append(w.net[:i], w.net[i+1:]...)
	}
	if w.luck(8, "lost") {
		return
	}
	if m.toBank {
		w.bank(m)
		return
	}
	if w.luck(15, "code") {
		m.reply.MAC = []MACState{MACNone, MACBad}[w.draw(2, "kind")]
	}
	if w.luck(25, "field") {
		m.reply.Mismatch = true
	}
	if m.life == w.life && w.draw(5, "slot") > 0 {
		w.r.step(Replied{ID: m.id, Op: m.op, Reply: m.reply})
		return
	}
	v := w.r.book.view(m.id)
	s := Stray{Bank: m.bank, Acq: v.Acq, STAN: v.STAN, Batch: v.Batch, DE7: v.DE7, Op: m.op, Reply: m.reply}
	w.r.step(s)
}

func (w *earth) keyOf(id si.PaymentID) string {
	v := w.r.book.view(id)
	return fmt.Sprintf("%d/%s/%d", v.Bank, v.DE7, v.STAN)
}

// bank does what a bank does: debit once, reverse once, refuse what came after
// its own reversal.
func (w *earth) bank(m wired) {
	key := w.keyOf(m.id)
	if m.op == OpReversal {
		if want := fmt.Sprintf("%d/%s/%d", m.bank, m.undo.DE7, m.undo.STAN); want != key {
			w.rt.Fatalf("the reversal names %s, the payment is %s", want, key)
		}
	}
	a := w.banks[key]
	if a == nil {
		a = &account{}
		w.banks[key] = a
	}
	code := "00"
	switch m.op {
	case OpDebit:
		switch {
		case a.reversed && !a.debited:
			code = "05"
		case a.declined != "":
			code = a.declined
		case !a.debited && w.luck(6, "declined"):
			a.declined = "51"
			code = a.declined
		default:
			a.debited = true
		}
	case OpReversal:
		if w.luck(8, "bank busy") {
			code = "96"
			break
		}
		if !a.debited && !a.reversed && m.bank == pos {
			code = "25"
		}
		a.reversed = true
	case OpProof:
	}
	m.toBank, m.reply = false, reply(code)
	m.reply.Amount = 38000
	w.net = append(w.net, m)
}

// later lets time run to the next thing that waits for it.
func (w *earth) later() {
	if at, ok := w.r.e.Next(); ok && at.After(w.r.now) {
		w.r.pass(at.Sub(w.r.now))
	}
}

func (w *earth) link() {
	id := LinkID{[]si.Bank{pos, cups}[w.draw(2, "bank")], uint8(w.draw(2, "link"))}
	if w.luck(2, "down") {
		w.r.step(LinkDown{id})
		return
	}
	w.r.linkUp(id.Bank, id.N)
}

func (w *earth) card() {
	if w.asked == 0 {
		return
	}
	id := pid(1 + w.draw(w.asked, "which"))
	o := []CardOutcome{CardTC, CardAAC, CardARPCBad, CardRemoved}[w.draw(4, "outcome")]
	w.r.step(CardSaid{ID: id, Outcome: o, Known: w.r.book.view(id)})
}

// crash ends the hub. Commands that were asked may be in the log or not; what
// is on the wire stays there.
func (w *earth) crash() {
	for _, ef := range w.r.out {
		if s, ok := ef.(Submit); ok && w.draw(2, "applied") == 0 {
			w.r.book.apply(w.r.now, s)
		}
	}
	w.life++
	w.r.restart()
	for _, id := range w.r.book.order {
		if v := w.r.book.view(id); v.State == ledgerapi.PayReserved || v.State == ledgerapi.PayReversing {
			w.r.step(Resume{v})
		}
	}
	w.up()
}

// check holds what must hold at every moment.
func (w *earth) check() {
	for id, list := range w.r.tells {
		last := list[len(list)-1].Ending
		if before := w.ends[id]; before == NotCharged && last != NotCharged && last != Refused {
			w.rt.Fatalf("payment %v: told %d after not charged", id, last)
		}
		if last != Refused || w.ends[id] == 0 {
			w.ends[id] = last
		}
		if last == NotCharged {
			if s := w.r.book.view(id).State; s != ledgerapi.PayVoided && s != ledgerapi.PayTombstone {
				w.rt.Fatalf("payment %v: told not charged, ledger says %v", id, s)
			}
		}
		if last == Paid {
			if s := w.r.book.view(id).State; s != ledgerapi.PayPosted && s != ledgerapi.PayReversing && s != ledgerapi.PayVoided {
				w.rt.Fatalf("payment %v: told paid, ledger says %v", id, s)
			}
		}
	}
	for _, id := range w.r.book.order {
		v := w.r.book.view(id)
		a := w.banks[w.keyOf(id)]
		if v.State == ledgerapi.PayPosted && (a == nil || !a.debited || a.reversed) {
			w.rt.Fatalf("payment %v is posted and the bank has no standing debit: %+v", id, a)
		}
		if v.State == ledgerapi.PayVoided && a != nil && a.debited && !a.reversed {
			w.rt.Fatalf("payment %v is voided and the bank's debit stands", id)
		}
	}
}

// heal ends the faults and wants everything to end.
func (w *earth) heal() {
	w.calm = true
	w.up()
	end := w.r.now.Add(4 * time.Hour)
	for w.r.now.Before(end) && (w.r.e.Live() > 0 || len(w.net) > 0) {
		for len(w.r.out) > 0 || len(w.net) > 0 {
			w.work()
			w.deliver()
			w.check()
		}
		w.later()
	}
	if left := w.r.e.Unresolved(); len(left) > 0 || w.r.e.Live() > 0 {
		w.rt.Fatalf("%d payments are still live four hours after the last fault: %+v", w.r.e.Live(), left)
	}
	for _, id := range w.r.book.order {
		v, a := w.r.book.view(id), w.banks[w.keyOf(id)]
		stands := a != nil && a.debited && !a.reversed
		if (v.State == ledgerapi.PayPosted) != stands || v.State == ledgerapi.PayReserved || v.State == ledgerapi.PayReversing {
			w.rt.Fatalf("payment %v: ledger %v, debit stands %v", id, v.State, stands)
		}
	}
	e := w.r.e
	if len(e.cards) != 0 || len(e.wires) != 0 || len(e.timers.heap) != 0 || e.head != nil {
		w.rt.Fatalf("left behind: %d cards, %d keys, %d timers", len(e.cards), len(e.wires), len(e.timers.heap))
	}
	for _, n := range []si.Bank{pos, cups} {
		for i, l := range e.banks[n].links {
			if l.live != 0 {
				w.rt.Fatalf("bank %d link %d: %d places are never given back", n, i, l.live)
			}
		}
		if e.banks[n].opening != 0 {
			w.rt.Fatalf("bank %d still counts %d unopened memos", n, e.banks[n].opening)
		}
	}
}

// TestSame holds that the engine is repeatable: the same events give the same
// effects, byte for byte.
func TestSame(t *testing.T) {
	run := func() string {
		r := newRig(t)
		r.linkUp(pos, 0)
		text := ""
		for n := 1; n <= 8; n++ {
			r.sent(n, pos)
		}
		for range 200 {
			at, _ := r.e.Next()
			r.now = at
			r.step(Tick{})
			for count[Submit](r) > 0 {
				r.commit()
			}
			text += fmt.Sprintf("%v %v\n", at, r.out)
			r.out = nil
		}
		return text
	}
	if a, b := run(), run(); a != b {
		t.Error("two runs of the same events differ")
	}
}
