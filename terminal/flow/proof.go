package flow

import (
	"github.com/shebao-pay/shebao/cardauth"
	"github.com/shebao-pay/shebao/si/termapi"
)

// cardRead takes what the slot read.
func (m *Machine) cardRead(c cardauth.Card) {
	m.s.card = c
	m.note(NoteCard, c.Bank, cardProblem(c.Problem))
	switch {
	case c.Problem == cardauth.Removed:
		// The slot's own event ends the session; until it comes, nothing is read.
		m.cardProblem(CardUnreadable)
	case c.Problem != cardauth.OK:
		m.cardProblem(cardProblem(c.Problem))
	case m.bankDown(c.Bank):
		m.cardProblem(CardBankDown)
	default:
		m.enter(stOpening)
		m.do(Open{m.newOp()})
	}
}

// bankDown tells whether the hub said that this bank cannot be reached. A bank
// that the configuration does not know is for the hub to judge.
func (m *Machine) bankDown(code string) bool {
	for _, b := range m.conf.Banks {
		if b.Code == code {
			return !b.Up
		}
	}
	return false
}

func (m *Machine) cardProblem(kind string) {
	m.s.problem = kind
	m.enter(stCardProblem)
}

func (m *Machine) cardUnreadable() { m.cardProblem(CardUnreadable) }
func (m *Machine) hubAwayAtCard()  { m.cardProblem(CardHubAway) }

// opened takes the hub's session.
func (m *Machine) opened(a termapi.SessionOpened) {
	switch {
	case a.CardProblem != "":
		m.cardProblem(hubCardProblem(a.CardProblem))
	case a.Session == "":
		m.note(NoteOdd, "", "session without an id")
		m.cardProblem(CardHubAway)
	case !a.BankUp:
		m.cardProblem(CardBankDown)
	default:
		m.s.hub, m.s.token = a.Session, a.CardToken
		m.note(NoteCard, a.CardToken, "session")
		m.startPIN()
	}
}

// startPIN asks for the PIN that the bank will judge.
func (m *Machine) startPIN() {
	m.s.keys, m.s.pinBegan = 0, m.now
	m.enter(stPIN)
	m.do(StartPIN{Op: m.newOp()})
}

// keysHeld follows the pad. Each key restarts the time between keys, within the
// time of the whole entry.
func (m *Machine) keysHeld(k Keys) {
	if !m.waits(k.Op, stPIN) && !m.waits(k.Op, stPayPIN) {
		return
	}
	if k.Count < 0 || k.Count > MaxPINDigits {
		return
	}
	m.s.keys = k.Count
	m.deadline = m.now.Add(m.set.Times.PINBetween)
	if whole := m.s.pinBegan.Add(m.set.Times.PINWhole); whole.Before(m.deadline) {
		m.deadline = whole
	}
	m.again()
}

// MaxPINDigits is the longest PIN of ISO 9564-1.
const MaxPINDigits = 12

func (m *Machine) pinEnded(end PINEnd) {
	m.note(NotePIN, m.s.token, [...]string{"", "entered", "cancelled", "timed out", "pad fault"}[min(end, PINPadFault)])
	switch end {
	case PINEntered:
		m.enter(stProofChip)
		m.do(Authorise{Op: m.newOp(), Purpose: cardauth.ForPINProof})
	case PINPadFault:
		m.setGate(GatePad, true)
		m.cardProblem(CardPadFault)
	default:
		m.endSession()
	}
}

func (m *Machine) pinTimedOut() {
	m.note(NotePIN, m.s.token, "timed out")
	m.endSession()
}

func (m *Machine) proofAuthorised(p cardauth.Problem) {
	if p != cardauth.OK {
		m.chipRefused(p)
		return
	}
	m.enter(stProofHub)
	m.do(Prove{Op: m.newOp(), Session: m.s.hub, ID: m.set.NewID(m.now)})
}

// chipRefused is a card that makes no cryptogram.
func (m *Machine) chipRefused(p cardauth.Problem) {
	kind := cardProblem(p)
	if kind == "" {
		kind = CardUnreadable
	}
	m.cardProblem(kind)
}

func (m *Machine) proofChipSilent() { m.cardProblem(CardUnreadable) }

// proved takes the bank's judgement and hands the issuer's answer to the chip.
func (m *Machine) proved(r termapi.PINProofResult) {
	m.s.verdict = r
	m.note(NotePIN, m.s.token, r.Result)
	m.enter(stProofCard)
	m.do(Complete{Op: m.newOp(), Answer: hostAnswer(r.Result == termapi.PINProven, r.IssuerData)})
}

// hostAnswer is what the chip is told. Without an approval and without the
// issuer's response code the chip hears that nobody answered.
func hostAnswer(approved bool, d termapi.IssuerData) cardauth.HostAnswer {
	return cardauth.HostAnswer{Approved: approved, Answered: approved || d.ARC != "",
		ARC: d.ARC, Auth: d.Auth, Scripts: d.Scripts}
}

func (m *Machine) proofAway() {
	m.proved(termapi.PINProofResult{Result: termapi.PINAway, TriesLeft: -1})
}

func (m *Machine) proofWordSilent() { m.proofEnded() }

// proofCompleted takes the card's last word about a proof. A card that does not
// accept the issuer's proof may stand before a false host: no menu opens.
func (m *Machine) proofCompleted(w cardauth.LastWord) {
	if w.Outcome == cardauth.OutcomeARPCBad && m.s.verdict.Result == termapi.PINProven {
		m.note(NoteOdd, m.s.token, "card refused the issuer's proof")
		m.cardProblem(CardFault)
		return
	}
	m.proofEnded()
}

// proofEnded shows what the bank judged.
func (m *Machine) proofEnded() {
	r := m.s.verdict
	m.s.verdict = termapi.PINProofResult{}
	switch r.Result {
	case termapi.PINProven:
		m.lookOverview()
	case termapi.PINWrong:
		m.s.tries = r.TriesLeft
		m.enter(stPINWrong)
	case termapi.PINBlocked:
		m.cardProblem(CardPINTries)
	case termapi.PINCard:
		m.cardProblem(CardRefused)
	default:
		m.enter(stBankAway)
	}
}
