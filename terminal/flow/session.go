package flow

import (
	"reflect"
	"time"

	"github.com/shebao-pay/shebao/cardauth"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/termapi"
)

// MaxPressValue bounds the value of a press: a due id or a receipt number.
const MaxPressValue = 64

// press is a touch on the page.
func (m *Machine) press(p Press) {
	if p.Step != m.step || len(p.Value) > MaxPressValue {
		m.again()
		return
	}
	switch p.Action {
	case ActLanguage:
		if m.lang == langZh {
			m.lang = langEn
		} else {
			m.lang = langZh
		}
		m.touched()
		return
	case ActLarge:
		m.large = !m.large
		m.touched()
		return
	}
	may, _ := m.actions()
	for _, a := range may {
		if a == p.Action {
			m.act(p.Action, p.Value)
			return
		}
	}
	m.again()
}

// touched shows the same screen again after a touch that changed it.
func (m *Machine) touched() {
	if d := &table[m.state]; d.pace == idle || m.state == stWarning {
		m.restart()
	}
	if m.state == stAttract {
		m.deadline = m.now.Add(m.set.Times.Attract)
	}
	m.fresh()
}

// act does an allowed action.
func (m *Machine) act(a Action, value string) {
	switch a {
	case ActExit:
		m.endSession()
	case ActHelp:
		m.beneath = m.state
		m.enter(stHelp)
	case ActMenu:
		m.toMenu()
	case ActPay:
		m.lookDues(nil)
	case ActReceipts:
		m.lookReceipts()
	case ActContinue:
		m.enter(m.beneath)
	case ActToggle:
		m.toggle(value)
	case ActAll:
		m.toggleAll()
	case ActConfirm:
		m.confirm()
	case ActPrint:
		m.print()
	case ActShowQR:
		m.receipted()
		m.enter(stReceiptQR)
	case ActNoReceipt:
		m.noReceipt()
	case ActReprint:
		m.chooseReceipt(value)
	case ActNext:
		m.next()
	case ActBack:
		m.back()
	case ActRetry:
		m.tryAgain()
	case ActPage:
		m.restart() // the page turned a list by itself: a touch, nothing else
	default:
		m.again()
	}
}

// next is the way on from a screen.
func (m *Machine) next() {
	switch m.state {
	case stUnresolved:
		m.s.before++
		m.toMenu()
	case stPayList:
		m.enter(stPayConfirm)
	case stPaid:
		m.enter(stReceiptChoice)
	}
}

// back is the way back from a screen.
func (m *Machine) back() {
	switch m.state {
	case stHelp:
		m.enter(m.beneath)
	case stPayList, stPayEmpty:
		m.toMenu()
	case stPayConfirm:
		m.enter(stPayList)
	case stPayPIN:
		m.do(CancelPIN{})
		m.payFailed(ReasonCancelled)
	case stNotCharged:
		m.s.pay = nil
		m.lookDues(nil)
	case stReceiptQR:
		m.enter(stReceiptChoice)
	case stReceipts:
		m.toMenu()
	}
}

// tryAgain takes the failed step again.
func (m *Machine) tryAgain() {
	switch m.state {
	case stPINWrong, stBankAway:
		m.startPIN()
	case stNotCharged:
		m.payAgain()
	case stPrinterFault:
		m.print()
	case stCannotShow:
		switch m.s.retry {
		case stLookDues:
			m.lookDues(m.s.again)
		case stLookReceipts:
			m.lookReceipts()
		default:
			m.lookOverview()
		}
	}
}

// browserSet follows the one live page. A page that comes back sees the present
// screen; one that stays away ends the session.
func (m *Machine) browserSet(connected bool) {
	if connected {
		m.goneAt = time.Time{}
		m.again()
		return
	}
	if m.goneAt.IsZero() {
		m.goneAt = m.now
	}
}

// cardInserted begins a session. A card that comes while another session's card
// was never seen to leave ends that session first.
func (m *Machine) cardInserted() {
	if table[m.state].session || m.state == stTakeCard || m.state == stRetained {
		m.abandon()
		m.wipe()
	}
	m.cardIn = true
	m.sessions++
	if g, shut := m.gate(); shut {
		// A terminal out of service keeps no card.
		m.note(NoteCard, "", "out of service: "+g.String())
		m.do(Eject{})
		m.s.problem = CardTerminalBusy
		m.enter(stTakeCard)
		return
	}
	m.note(NoteOpen, "", "")
	m.enter(stReading)
	m.do(Read{m.newOp()})
}

// cardPulled ends whatever is under way: the terminal knows a citizen only
// while the card is in the slot.
func (m *Machine) cardPulled() {
	m.cardIn = false
	switch {
	case table[m.state].session:
		m.note(NoteClose, "", "card removed")
		m.abandon()
		m.wipe()
		m.rest()
	case m.state == stTakeCard:
		m.note(NoteClose, "", "card taken")
		m.wipe()
		m.rest()
	}
}

// endSession returns the card. What was under way is ended first; the states
// that may not be left this way are bound and never come here.
func (m *Machine) endSession() {
	m.abandon()
	if !m.cardIn {
		m.wipe()
		m.rest()
		return
	}
	m.note(NoteClose, "", "card returned")
	m.leave()
	m.do(Wipe{}, Eject{})
	m.s = session{}
	m.enter(stTakeCard)
}

// leave ends the hub's session, which nobody waits for: it dies by itself too.
func (m *Machine) leave() {
	if m.s.hub != "" {
		m.do(Leave{m.s.hub})
		m.s.hub = ""
	}
}

// abandon ends the work of the state without a word to the citizen: the pad's
// entry, and the payment by how far it has come.
func (m *Machine) abandon() {
	if m.state == stPIN || m.state == stPayPIN {
		m.do(CancelPIN{})
	}
	m.abandonPayment()
	m.op = 0
}

// wipe ends the session's data: here, on the page, and in the shell.
func (m *Machine) wipe() {
	m.leave()
	if m.s.alarm {
		m.do(Alarm{On: false})
	}
	m.s = session{}
	m.beneath = 0
	m.resetChoice()
	m.do(Wipe{})
	if m.confNext != nil {
		m.conf, m.confNext = *m.confNext, nil
		m.do(Apply{m.conf})
	}
}

// cardLeft is the end of the take-card time.
func (m *Machine) cardLeft() {
	if !m.set.Retains {
		// A hand-held slot cannot keep a card: the alarm goes on until it is
		// taken, and nothing of the session is left to protect.
		m.restart()
		m.again()
		return
	}
	m.note(NoteRetain, "", "")
	m.do(Retain{})
	m.cardIn = false
	m.wipe()
	m.enter(stRetained)
}

// rest is where the terminal waits for the next citizen.
func (m *Machine) rest() {
	if _, shut := m.gate(); shut {
		m.enter(stOut)
		return
	}
	m.enter(stAttract)
}

// gate gives the first reason for being out of service.
func (m *Machine) gate() (Gate, bool) {
	for g := Gate(0); g < gateEnd; g++ {
		if m.gates[g] {
			return g, true
		}
	}
	return 0, false
}

// setGate opens or shuts a reason. A session goes on to its end, except without
// a reader: its card cannot be talked to any more.
func (m *Machine) setGate(g Gate, on bool) {
	if g >= gateEnd || m.gates[g] == on {
		return
	}
	m.gates[g] = on
	if on {
		m.note(NoteGate, "", g.String()+" shut")
	} else {
		m.note(NoteGate, "", g.String()+" open")
	}
	switch {
	case m.state == stOut || m.state == stAttract:
		m.rest()
	case g == GateReader && on && (table[m.state].session || m.state == stTakeCard):
		m.note(NoteClose, "", "reader fault")
		m.abandon()
		m.do(Eject{})
		m.cardIn = false
		m.wipe()
		m.rest()
	}
}

// paperSet follows the printer; a screen that says so is shown anew.
func (m *Machine) paperSet(ok bool) {
	if m.noPaper == !ok {
		return
	}
	m.noPaper = !ok
	m.again()
}

// configured takes a configuration, between sessions.
func (m *Machine) configured(c termapi.Config) {
	if table[m.state].session || m.state == stTakeCard {
		m.confNext = &c
	} else if !reflect.DeepEqual(m.conf, c) {
		m.conf = c
		m.do(Apply{c})
		m.again()
	}
	up := len(c.Banks) == 0
	for _, b := range c.Banks {
		up = up || b.Up
	}
	m.setGate(GateBanks, !up)
	m.setGate(GateConfig, false)
}

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
