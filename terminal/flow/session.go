package flow

import (
	"reflect"
	"time"

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
// a reader: its card cannot be talked to any more. A page that only asks to take
// the card stays until it is taken: a mute card holds the reader up, not itself.
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
	case g == GateReader && on && table[m.state].session && m.state != stCardProblem:
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
