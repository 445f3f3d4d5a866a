package flow

import (
	"time"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/termapi"
)

// MaxUnsettled bounds the payments whose end the hub has not told yet. A
// terminal takes about one payment a minute; with this many open the hub or a
// bank has been away for hours, and no further payment is begun.
const MaxUnsettled = 256

// unsettled are the payments of this terminal that are not final: asked for by
// id, one at a time, until the hub gives a final answer.
type unsettled struct {
	list  []openPayment
	op    uint64 // question under way
	id    si.PaymentID
	until time.Time
	boot  bool // Boot has come
}

type openPayment struct {
	intent Intent
	asked  bool // the hub has answered, and nothing more can be done at once
	shut   bool // the hub does not know the id: close it
	next   time.Time
	wait   time.Duration
}

// wake is when the next question is due, or the one under way is given up.
func (u *unsettled) wake() time.Time {
	if u.op != 0 {
		return u.until
	}
	var at time.Time
	for _, o := range u.list {
		if at.IsZero() || o.next.Before(at) {
			at = o.next
		}
	}
	return at
}

func (u *unsettled) find(id si.PaymentID) int {
	for i := range u.list {
		if u.list[i].intent.ID == id {
			return i
		}
	}
	return -1
}

func (u *unsettled) remove(i int) { u.list = append(u.list[:i], u.list[i+1:]...) }

// boot takes over the payments of earlier runs: what was never sent has failed,
// what was sent is unknown, and its card is out of the slot.
func (m *Machine) boot(intents []Intent) {
	if m.unsettled.boot {
		return
	}
	m.unsettled.boot = true
	for _, i := range intents {
		switch i.State {
		case Created:
			i.State = Failed
			m.do(Journal{m.sideOp(), i})
			continue
		case Sent:
			i.State, i.Outcome = Unknown, termapi.OutcomeRemoved
			m.do(Journal{m.sideOp(), i})
		case Unknown, Posted:
			if i.Open() && i.Outcome == "" {
				i.Outcome = termapi.OutcomeRemoved
				m.do(Journal{m.sideOp(), i})
			}
		default:
		}
		if i.Open() {
			m.unsettled.list = append(m.unsettled.list, openPayment{intent: i, next: m.now, wait: m.set.Times.AskFirst})
		}
	}
	m.again()
}

// unsettle adds a payment. The one in front of a citizen is asked for after the
// first wait, for its own answer may still come.
func (m *Machine) unsettle(i Intent) {
	wait := m.set.Times.AskFirst
	o := openPayment{intent: i, asked: true, next: m.now.Add(wait), wait: wait}
	if at := m.unsettled.find(i.ID); at >= 0 {
		m.unsettled.list[at] = o
		return
	}
	m.unsettled.list = append(m.unsettled.list, o)
}

// settle asks the next question and opens the gate of the start once every
// payment of earlier runs has been asked for. It runs at the end of each step.
func (m *Machine) settle() {
	u := &m.unsettled
	if u.op != 0 && m.due(u.until) {
		m.unsettledFailed(HubFailed{Op: u.op, ID: u.id, Kind: FailUnknown})
	}
	if u.boot && m.gates[GateStarting] {
		all := true
		for _, o := range u.list {
			all = all && o.asked
		}
		if all {
			m.setGate(GateStarting, false)
		}
	}
	if u.op != 0 || m.gates[GateJournal] {
		return
	}
	first := -1
	for i, o := range u.list {
		if m.due(o.next) && (first < 0 || o.next.Before(u.list[first].next)) {
			first = i
		}
	}
	if first >= 0 {
		m.ask(&u.list[first])
	}
}

// ask puts the one question that brings the payment on.
func (m *Machine) ask(o *openPayment) {
	u := &m.unsettled
	u.op, u.id, u.until = m.sideOp(), o.intent.ID, m.now.Add(m.set.Times.readWait())
	i := o.intent
	switch {
	case o.shut:
		m.do(ClosePayment{u.op, i.ID})
	case i.State == Posted && i.Outcome != "" && !i.Reported:
		m.do(Report{u.op, i.ID, termapi.CardOutcome{Outcome: i.Outcome, DE55: i.CardWord}})
	default:
		m.do(AskPayment{u.op, i.ID})
	}
}

// put writes an open payment's new state.
func (m *Machine) put(o *openPayment, s PayState) uint64 {
	o.intent.State = s
	op := m.sideOp()
	m.do(Journal{op, o.intent})
	return op
}

// unsettledTold takes the hub's word about a payment that is not final. A late
// answer to Pay comes here too.
func (m *Machine) unsettledTold(t PaymentTold) {
	u := &m.unsettled
	report := false
	if u.op != 0 && t.Op == u.op {
		u.op = 0
		report = true
	}
	at := u.find(t.ID)
	if at < 0 {
		return
	}
	o := &u.list[at]
	if !trusted(o.intent, t.State) {
		m.note(NoteOdd, t.ID.String(), "answer to another payment")
		m.answered(o)
		return
	}
	o.shut = false
	switch t.State.State {
	case termapi.PaymentPosted:
		m.toldPosted(at, t, report)
	case termapi.PaymentNotCharged, termapi.PaymentRefused:
		m.toldNotCharged(at, t)
	default:
		if o.intent.State == Posted {
			// The bank's setting turned the card's word into a reversal.
			o.intent.Reported, o.intent.CardWord, o.intent.Reason = true, nil, termapi.ReasonCardRefuse
			m.put(o, Undoing)
		}
		m.answered(o)
	}
}

// toldPosted is a payment that stands in the ledger. While the hub waits for
// the card's word it may still be undone.
func (m *Machine) toldPosted(at int, t PaymentTold, asked bool) {
	o := &m.unsettled.list[at]
	o.intent.Receipt, o.intent.Incident = t.State.Receipt.No, t.State.Incident
	if o.intent.State == Undoing && o.intent.Outcome != "" {
		// The hub that announced the reversal stopped before it was durable. It
		// is told the card's word again; what it answers to that counts.
		o.intent.Reported, o.intent.Reason = false, ""
		m.put(o, Posted)
		o.next = m.now
		return
	}
	reported := asked && o.intent.State == Posted
	if t.State.AwaitCard && !reported {
		if o.intent.Outcome == "" {
			m.answered(o)
			return
		}
		if o.intent.State != Posted {
			m.put(o, Posted)
		}
		o.next = m.now
		return
	}
	o.intent.Reported, o.intent.CardWord, o.intent.Reason = true, nil, ""
	op := m.put(o, Posted)
	m.settled(o.intent, t.State, stPaid, op)
	m.unsettled.remove(at)
}

// toldNotCharged is proof that nothing was taken, or that it is back.
func (m *Machine) toldNotCharged(at int, t PaymentTold) {
	o := &m.unsettled.list[at]
	o.intent.Reason, o.intent.Incident = t.State.Reason, t.State.Incident
	if o.intent.State == Posted {
		o.intent.Reported, o.intent.CardWord, o.intent.Reason = true, nil, termapi.ReasonCardRefuse
		m.put(o, Undoing)
	}
	op := m.put(o, Declined)
	m.settled(o.intent, t.State, stNotCharged, op)
	m.unsettled.remove(at)
}

// settled corrects the pending page of a citizen who is still there, once the
// write is on disk.
func (m *Machine) settled(i Intent, s termapi.PaymentState, end state, op uint64) {
	p := m.s.pay
	if m.state != stPending || p == nil || p.intent.ID != i.ID {
		return
	}
	p.intent, p.told, p.end, p.upgrade = i, s, end, op
}

// unsettledFailed is a question without an answer. An id that the hub does not
// know is closed, so that a delayed request cannot pay later.
func (m *Machine) unsettledFailed(f HubFailed) {
	u := &m.unsettled
	if u.op == 0 || f.Op != u.op {
		return
	}
	u.op = 0
	at := u.find(u.id)
	if at < 0 {
		return
	}
	o := &u.list[at]
	if f.Kind == FailRefused && f.Code == termapi.ErrNotFound && !o.shut {
		o.shut, o.next = true, m.now
		return
	}
	o.shut = false
	m.later(o)
}

// answered puts a payment off about which the hub has said what it can.
func (m *Machine) answered(o *openPayment) {
	o.asked = true
	m.later(o)
}

// later puts a payment off, for twice as long each time.
func (m *Machine) later(o *openPayment) {
	o.next = m.now.Add(o.wait)
	o.wait = min(2*o.wait, m.set.Times.AskMost)
}
