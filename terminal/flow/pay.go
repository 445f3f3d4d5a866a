package flow

import (
	"github.com/shebao-pay/shebao/cardauth"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/termapi"
)

// payment is the one under way in front of the citizen.
type payment struct {
	intent   Intent
	dues     []termapi.Due // as confirmed, for screen and slip
	told     termapi.PaymentState
	end      state  // the ending that the answer leads to
	then     then   // after the write under way
	upgrade  uint64 // the write after which a pending page may be corrected
	answered bool
}

// then is what follows a write.
type then uint8

const (
	thenChip then = iota + 1 // give the chip its answer
	thenEnd                  // show the ending
)

// mayPay tells whether this terminal may begin a payment now.
func (m *Machine) mayPay() bool {
	for _, g := range []Gate{GateJournal, GateSpace, GateClock, GateHub, GatePad} {
		if m.gates[g] {
			return false
		}
	}
	return len(m.unsettled.list) < MaxUnsettled
}

// confirm begins a payment: its intent goes to disk before anything else.
func (m *Machine) confirm() {
	lines := m.payLines()
	total, ok := confirmed(lines)
	if !ok || len(lines) > m.s.most {
		m.again()
		return
	}
	p := &payment{intent: Intent{ID: m.set.NewID(m.now), State: Created, Session: m.sessions,
		At: m.now, Bank: m.s.card.Bank, Lines: lines, Total: total}}
	for _, l := range m.s.lines {
		if l.chosen {
			p.dues = append(p.dues, l.due)
		}
	}
	m.s.pay = p
	m.note(NoteConfirm, p.intent.ID.String(), "")
	m.enter(stCreating)
	m.write()
}

// write puts the payment's intent on disk; the state waits for it.
func (m *Machine) write() { m.do(Journal{m.newOp(), m.s.pay.intent}) }

// writeAside puts it on disk without waiting.
func (m *Machine) writeAside() uint64 {
	op := m.sideOp()
	m.do(Journal{op, m.s.pay.intent})
	return op
}

// journaled is the end of a write.
func (m *Machine) journaled(j Journaled) {
	switch j.End {
	case JournalFull:
		m.setGate(GateSpace, true)
	case JournalOK:
	default:
		m.setGate(GateJournal, true)
	}
	done := j.End == JournalOK
	switch {
	case m.waits(j.Op, stCreating):
		if !done {
			m.s.pay.intent.Reason = ReasonTerminal
			m.enterEnding(stNotCharged)
			return
		}
		m.s.keys, m.s.pinBegan = 0, m.now
		m.enter(stPayPIN)
		m.do(StartPIN{Op: m.newOp(), Amount: m.s.pay.intent.Total})
	case m.waits(j.Op, stSending):
		if !done {
			m.payFailed(ReasonTerminal)
			return
		}
		m.enter(stPaying)
		i := &m.s.pay.intent
		m.do(Pay{Op: m.newOp(), Session: m.s.hub, ID: i.ID, Lines: i.Lines, Total: i.Total})
	case m.waits(j.Op, stMarking):
		m.marked(done)
	case m.waits(j.Op, stMarkWord):
		m.wordMarked(done)
	case m.state == stPending && m.s.pay != nil && j.Op == m.s.pay.upgrade && done:
		m.enterEnding(m.s.pay.end)
	}
}

// payFailed ends a payment of which nothing was sent.
func (m *Machine) payFailed(reason string) {
	p := m.s.pay
	if p.intent.State == Sent {
		// T_SENT may be on disk although the write failed: the truth is that
		// nothing left, and the hub will be asked to close the id.
		p.intent.State, p.intent.Reason = Unknown, reason
		m.writeAside()
		m.unsettle(p.intent)
	} else {
		p.intent.State, p.intent.Reason = Failed, reason
		m.writeAside()
	}
	m.enterEnding(stNotCharged)
}

func (m *Machine) payPINEnded(end PINEnd) {
	switch end {
	case PINEntered:
		m.enter(stPayChip)
		m.do(Authorise{Op: m.newOp(), Purpose: cardauth.ForPayment, Amount: m.s.pay.intent.Total})
	case PINPadFault:
		m.setGate(GatePad, true)
		m.payFailed(ReasonPad)
	case PINTimedOut:
		m.payFailed(ReasonPINTime)
	default:
		m.payFailed(ReasonCancelled)
	}
}

func (m *Machine) payPINTimedOut() {
	m.do(CancelPIN{})
	m.payFailed(ReasonPINTime)
}

func (m *Machine) payAuthorised(p cardauth.Problem) {
	if p != cardauth.OK {
		m.payFailed(termapi.ReasonCard)
		return
	}
	m.s.pay.intent.State = Sent
	m.enter(stSending)
	m.write()
}

func (m *Machine) payChipSilent() { m.payFailed(termapi.ReasonCard) }

// trusted tells whether the hub speaks of this payment. The amount is ours; an
// answer with another one is no answer.
func trusted(i Intent, s termapi.PaymentState) bool {
	if s.ID != i.ID.String() {
		return false
	}
	switch s.State {
	case termapi.PaymentPosted:
		return si.Fen(s.Total) == i.Total && s.Receipt != nil && s.Receipt.No != "" &&
			si.Fen(s.Receipt.Total) == i.Total
	case termapi.PaymentNotCharged, termapi.PaymentRefused, termapi.PaymentPending:
		return true
	}
	return false
}

// paymentTold sends the hub's word about a payment to who waits for it.
func (m *Machine) paymentTold(t PaymentTold) {
	switch {
	case m.waits(t.Op, stPaying) && t.ID == m.s.pay.intent.ID:
		m.payTold(t.State)
	case m.waits(t.Op, stReporting) && t.ID == m.s.pay.intent.ID:
		m.reportTold(t.State)
	default:
		m.unsettledTold(t)
	}
}

// payTold takes the answer to Pay.
func (m *Machine) payTold(s termapi.PaymentState) {
	p := m.s.pay
	if !trusted(p.intent, s) {
		m.note(NoteOdd, p.intent.ID.String(), "answer to another payment")
		s = termapi.PaymentState{ID: p.intent.ID.String(), State: termapi.PaymentPending}
	}
	p.told, p.answered = s, true
	p.intent.Reason, p.intent.Incident = s.Reason, s.Incident
	switch s.State {
	case termapi.PaymentPosted:
		p.intent.State, p.intent.Receipt, p.intent.Reason = Posted, s.Receipt.No, ""
		p.end = stPaid
	case termapi.PaymentNotCharged, termapi.PaymentRefused:
		p.intent.State = Declined
		p.end = stNotCharged
	default:
		p.intent.State = Unknown
		p.end = stPending
		m.unsettle(p.intent)
	}
	m.mark(thenChip)
}

// mark writes the answer and goes on from there.
func (m *Machine) mark(next then) {
	m.s.pay.then = next
	m.enter(stMarking)
	m.write()
}

// payFailedAtHub is Pay without an answer about the payment.
func (m *Machine) payFailedAtHub(f HubFailed) {
	p := m.s.pay
	switch f.Kind {
	case FailRefused:
		if reason, proof := refusal(f.Code); proof {
			p.intent.State, p.intent.Reason = Declined, reason
			p.end = stNotCharged
			m.mark(thenChip)
			return
		}
	case FailNotSent:
		// Nothing left this process, so nothing was charged. The id is closed at
		// the hub all the same: T_SENT is on disk.
		p.intent.State, p.intent.Reason = Unknown, termapi.ReasonSystem
		p.end = stNotCharged
		m.unsettle(p.intent)
		m.mark(thenChip)
		return
	case FailUnknown: // as below
	}
	m.paySilent()
}

// refusal maps the hub's problem to a reason. It is proof that no money moved
// only where the hub says so before it reserves anything.
func refusal(code string) (reason string, proof bool) {
	switch code {
	case termapi.ErrNoSession, termapi.ErrNotProven, termapi.ErrClock, termapi.ErrOutOfService,
		termapi.ErrForm, termapi.ErrTooMany:
		return termapi.ReasonSystem, true
	case termapi.ErrOtherCard:
		return termapi.ReasonCard, true
	case termapi.ErrBankAway:
		return termapi.ReasonBankAway, true
	case termapi.ErrNotYours, termapi.ErrDueConflict:
		return termapi.ReasonDueTaken, true
	case termapi.ErrNotPayable:
		return termapi.ReasonOther, true
	case termapi.ErrTooManyTries:
		return termapi.ReasonPINTries, true
	}
	return "", false
}

// paySilent is a payment without a trusted answer in time.
func (m *Machine) paySilent() {
	p := m.s.pay
	p.intent.State = Unknown
	p.end = stPending
	m.unsettle(p.intent)
	m.mark(thenChip)
}

// marked follows the write of an answer. Without the journal nobody is told
// "paid": the journal of the next run asks the hub.
func (m *Machine) marked(done bool) {
	p := m.s.pay
	if p.then == thenEnd {
		m.enterEnding(p.end)
		return
	}
	if !done && p.end == stPaid {
		p.end = stPending
	}
	m.enter(stPayCard)
	m.do(Complete{Op: m.newOp(),
		Answer: hostAnswer(p.told.State == termapi.PaymentPosted, p.told.IssuerData)})
}

// payCompleted takes the card's last word about a payment.
func (m *Machine) payCompleted(w cardauth.LastWord) {
	p := m.s.pay
	if p.intent.State != Posted {
		m.enterEnding(p.end)
		return
	}
	p.intent.Outcome, p.intent.CardWord = outcome(w.Outcome), w.DE55
	m.enter(stMarkWord)
	m.write()
}

// payWordSilent is a card without a last word in time: it counts as removed.
func (m *Machine) payWordSilent() {
	m.payCompleted(cardauth.LastWord{Outcome: cardauth.OutcomeRemoved})
}

func outcome(o cardauth.Outcome) string {
	switch o {
	case cardauth.OutcomeTC:
		return termapi.OutcomeTC
	case cardauth.OutcomeAAC:
		return termapi.OutcomeAAC
	case cardauth.OutcomeARPCBad:
		return termapi.OutcomeARPCBad
	case cardauth.OutcomeRemoved:
		return termapi.OutcomeRemoved
	}
	return termapi.OutcomeRemoved
}

// wordMarked reports the card's last word; no receipt leaves before the hub has
// answered to it.
func (m *Machine) wordMarked(done bool) {
	p := m.s.pay
	if !done {
		p.end = stPending
	}
	m.enter(stReporting)
	m.do(Report{Op: m.newOp(), ID: p.intent.ID,
		Outcome: termapi.CardOutcome{Outcome: p.intent.Outcome, DE55: p.intent.CardWord}})
}

// reportTold takes what the hub makes of the card's word.
func (m *Machine) reportTold(s termapi.PaymentState) {
	p := m.s.pay
	if !trusted(p.intent, s) {
		m.note(NoteOdd, p.intent.ID.String(), "answer to another payment")
		m.reportSilent()
		return
	}
	p.intent.Reported, p.intent.CardWord = true, nil
	switch s.State {
	case termapi.PaymentPosted:
		p.told = s
		m.writeAside()
		if p.end != stPaid {
			m.enterEnding(stPending)
			return
		}
		m.enterEnding(stPaid)
	case termapi.PaymentNotCharged, termapi.PaymentRefused:
		p.intent.State, p.intent.Reason, p.intent.Incident = Undoing, termapi.ReasonCardRefuse, s.Incident
		m.writeAside()
		p.intent.State = Declined
		p.end = stNotCharged
		m.mark(thenEnd)
	default:
		p.intent.State, p.intent.Reason, p.intent.Incident = Undoing, termapi.ReasonCardRefuse, s.Incident
		p.end = stPending
		m.unsettle(p.intent)
		m.mark(thenEnd)
	}
}

// reportSilent is a word that the hub did not answer to. What the hub makes of
// its silence is the bank's setting, so the citizen is told "pending".
func (m *Machine) reportSilent() {
	m.unsettle(m.s.pay.intent)
	m.enterEnding(stPending)
}

// enterEnding shows one of the three endings.
func (m *Machine) enterEnding(end state) {
	if r := m.s.pay.told.Receipt; end == stPaid && r != nil {
		own := *r
		if o := m.s.overview; own.Name == "" && o != nil {
			// Asked by id, the hub tells no name; it is this session's person.
			own.Name, own.IDTail = o.Name, o.IDTail
		}
		m.s.chosen, m.s.reprint, m.s.slip = &own, false, false
	}
	m.enter(end)
	i := &m.s.pay.intent
	m.note(NoteEnding, i.ID.String(), i.Reason)
}

// abandonPayment ends a payment whose citizen or card has gone.
func (m *Machine) abandonPayment() {
	p := m.s.pay
	if p == nil {
		return
	}
	switch m.state {
	case stCreating, stPayPIN, stPayChip:
		p.intent.State, p.intent.Reason = Failed, ReasonCancelled
		m.writeAside()
	case stSending:
		p.intent.State = Unknown
		m.writeAside()
		m.unsettle(p.intent)
	case stPaying:
		p.intent.State, p.intent.Outcome = Unknown, termapi.OutcomeRemoved
		m.writeAside()
		m.unsettle(p.intent)
	case stMarking, stPayCard:
		if p.intent.State == Posted && p.intent.Outcome == "" {
			p.intent.Outcome = termapi.OutcomeRemoved
			m.writeAside()
			m.unsettle(p.intent)
		}
	case stMarkWord, stReporting:
		m.unsettle(p.intent)
	}
}

// payAgain begins anew after an ending without a charge: a new list, because
// amounts and versions may have changed, and a new id, PIN block and cryptogram.
// After a wrong PIN an unchanged list leads straight to the pad.
func (m *Machine) payAgain() {
	p := m.s.pay
	m.s.pay = nil
	switch p.intent.Reason {
	case termapi.ReasonPINWrong, ReasonCancelled, ReasonPINTime:
		m.s.askPIN = p.intent.Reason == termapi.ReasonPINWrong
		m.lookDues(p.intent.Lines)
	case termapi.ReasonBankAway, termapi.ReasonSystem:
		m.lookDues(p.intent.Lines)
	default:
		m.lookDues(nil)
	}
}
