package flow

import (
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/termapi"
)

func (m *Machine) lookOverview() {
	m.s.retry = stLookOverview
	m.enter(stLookOverview)
	m.do(Overview{m.newOp(), m.s.hub})
}

// overviewed takes the first look. Payments of before come first.
func (m *Machine) overviewed(o termapi.Overview) {
	if o.Unpaid < 0 || o.UnpaidFen < 0 || si.Fen(o.UnpaidFen) > si.MaxFen {
		m.note(NoteOdd, "", "overview out of range")
		m.cannotShow()
		return
	}
	first := m.s.overview == nil
	m.s.overview = &o
	if first {
		m.s.before = 0
	} else {
		m.s.before = len(o.Unresolved)
	}
	m.toMenu()
}

// toMenu shows the payments of before that were not shown yet, then the menu.
// After a payment the overview is asked for again: its figures have changed.
func (m *Machine) toMenu() {
	if m.s.overview == nil {
		m.lookOverview()
		return
	}
	if m.s.pay != nil {
		m.s.pay, m.s.chosen, m.s.slip = nil, nil, false
		m.lookOverview()
		return
	}
	m.s.chosen, m.s.receipts, m.s.lines = nil, nil, nil
	if m.s.before < min(len(m.s.overview.Unresolved), MaxShownBefore) {
		m.enter(stUnresolved)
		return
	}
	m.enter(stMenu)
}

// MaxShownBefore is how many payments of before are shown one by one.
const MaxShownBefore = 5

// cannotShow is a question that found no answer in time.
func (m *Machine) cannotShow() {
	m.enter(stCannotShow)
}

// lookFailed is a question that the hub answered with a problem, or not.
func (m *Machine) lookFailed(f HubFailed) {
	if f.Kind == FailRefused && (f.Code == termapi.ErrNoSession || f.Code == termapi.ErrNotProven) {
		m.cardProblem(CardSessionLost)
		return
	}
	m.cannotShow()
}

// hubFailed sends a failed call to who made it.
func (m *Machine) hubFailed(f HubFailed) {
	switch {
	case m.waits(f.Op, stOpening):
		m.openFailed(f)
	case m.waits(f.Op, stProofHub):
		m.proofFailed(f)
	case m.waits(f.Op, stLookOverview), m.waits(f.Op, stLookDues), m.waits(f.Op, stLookReceipts):
		m.lookFailed(f)
	case m.waits(f.Op, stPaying):
		m.payFailedAtHub(f)
	case m.waits(f.Op, stReporting):
		m.reportSilent()
	default:
		m.unsettledFailed(f)
	}
}

func (m *Machine) openFailed(f HubFailed) {
	switch {
	case f.Kind != FailRefused:
		m.cardProblem(CardHubAway)
	case f.Code == termapi.ErrTooManyTries:
		m.cardProblem(CardPINTries)
	case f.Code == termapi.ErrBankAway:
		m.cardProblem(CardBankDown)
	case f.Code == termapi.ErrEnvelope:
		m.cardProblem(CardUnreadable)
	default:
		m.cardProblem(CardHubAway)
	}
}

// proofFailed is a PIN proof without a judgement. Nothing moved; the chip is
// still told, so that its session ends well.
func (m *Machine) proofFailed(f HubFailed) {
	if f.Kind == FailRefused {
		switch f.Code {
		case termapi.ErrNoSession, termapi.ErrOtherCard, termapi.ErrEnvelope:
			m.cardProblem(CardSessionLost)
			return
		case termapi.ErrTooManyTries:
			m.proved(termapi.PINProofResult{Result: termapi.PINBlocked})
			return
		}
	}
	m.proofAway()
}
