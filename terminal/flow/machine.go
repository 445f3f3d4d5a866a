package flow

import (
	"errors"
	"time"

	"github.com/shebao-pay/shebao/cardauth"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/termapi"
)

// Setup is what a Machine is made with.
type Setup struct {
	Times Times
	// NewID makes payment and proof ids: the machine's only source of anything
	// random, given from outside so that a run can be repeated.
	NewID func(at time.Time) si.PaymentID
	// QR gives the text of a receipt's code on the screen.
	QR func(termapi.Receipt) string
	// Retains says that the slot can keep a card that was left behind.
	Retains bool
}

// Machine is one terminal: its session, its services, and the payments whose
// end is not known yet. It is not safe for use by two goroutines.
type Machine struct {
	set   Setup
	now   time.Time
	out   []Effect
	state state
	step  uint64 // of the screen
	op    uint64 // the answer that the state waits for
	ops   uint64 // last Op given out

	deadline time.Time // of the state; zero: none
	tickAt   time.Time // next second of a countdown; zero: none
	beneath  state     // help and warning: the state they cover
	lang     string
	large    bool

	gates     [gateEnd]bool
	conf      termapi.Config
	confNext  *termapi.Config // arrived in a session
	noPaper   bool
	cardIn    bool
	goneAt    time.Time // browser gone since; zero: there
	sessions  uint64
	s         session
	unsettled unsettled
}

// session is everything that belongs to the citizen in front. The wipe replaces
// it as a whole.
type session struct {
	card     cardauth.Card
	hub      string // the hub's session id
	token    string // the hub's name for the card
	overview *termapi.Overview
	problem  string // card-problem
	tries    int    // pin-wrong
	keys     int
	pinBegan time.Time
	verdict  termapi.PINProofResult
	alarm    bool
	before   int // unresolved payments shown so far

	lines  []line
	skip   bool // allow_skip
	most   int  // max_dues
	again  []termapi.PayLine
	askPIN bool // again: straight to the PIN, nothing changed
	pay    *payment
	retry  state // cannot-show: the look to take again

	receipts []termapi.Receipt
	chosen   *termapi.Receipt
	reprint  bool
	prints   map[string]int // jobs started per receipt number
	printer  string
	slip     bool // the job is a slip
}

// ErrSetup is returned for a machine that lacks a function.
var ErrSetup = errors.New("flow: NewID and QR must be given")

// New gives a machine that is out of service until Boot has been worked off
// and every gate that stands at the start is opened: reader, hub,
// configuration.
func New(set Setup) (*Machine, error) {
	if set.NewID == nil || set.QR == nil {
		return nil, ErrSetup
	}
	if err := set.Times.Validate(); err != nil {
		return nil, err
	}
	m := &Machine{set: set, state: stOut, lang: langZh}
	for _, g := range []Gate{GateReader, GateHub, GateConfig, GateStarting} {
		m.gates[g] = true
	}
	return m, nil
}

// The two languages. Chinese is the fallback and what a wipe returns to.
const (
	langZh = "zh"
	langEn = "en"
)

// Step takes one event and appends what must be done to out. The time must not
// go back; an earlier one counts as the last one.
func (m *Machine) Step(now time.Time, ev Event, out []Effect) []Effect {
	if now.After(m.now) {
		m.now = now
	}
	m.out = out
	m.handle(ev)
	m.settle()
	out, m.out = m.out, nil
	return out
}

// handle sends an event to its place.
func (m *Machine) handle(ev Event) {
	switch ev := ev.(type) {
	case Boot:
		m.boot(ev.Intents)
	case Tick:
		m.tick()
	case GateSet:
		m.setGate(ev.Gate, ev.On)
	case Configured:
		m.configured(ev.Config)
	case PaperSet:
		m.paperSet(ev.OK)
	case Browser:
		m.browserSet(ev.Connected)
	case CardIn:
		m.cardInserted()
	case CardOut:
		m.cardPulled()
	case Press:
		m.press(ev)
	case Keys:
		m.keysHeld(ev)
	case Journaled:
		m.journaled(ev)
	case PaymentTold:
		m.paymentTold(ev)
	case HubFailed:
		m.hubFailed(ev)
	default:
		m.answer(ev)
	}
}

// answer handles what only the state that asked may hear.
func (m *Machine) answer(ev Event) {
	switch ev := ev.(type) {
	case CardRead:
		if m.waits(ev.Op, stReading) {
			m.cardRead(ev.Card)
		}
	case PINEnded:
		if m.waits(ev.Op, stPIN) {
			m.pinEnded(ev.End)
		} else if m.waits(ev.Op, stPayPIN) {
			m.payPINEnded(ev.End)
		}
	case Authorised:
		if m.waits(ev.Op, stProofChip) {
			m.proofAuthorised(ev.Problem)
		} else if m.waits(ev.Op, stPayChip) {
			m.payAuthorised(ev.Problem)
		}
	case Completed:
		if m.waits(ev.Op, stProofCard) {
			m.proofCompleted(ev.Word)
		} else if m.waits(ev.Op, stPayCard) {
			m.payCompleted(ev.Word)
		}
	case Opened:
		if m.waits(ev.Op, stOpening) {
			m.opened(ev.Answer)
		}
	case Proved:
		if m.waits(ev.Op, stProofHub) {
			m.proved(ev.Answer)
		}
	case Overviewed:
		if m.waits(ev.Op, stLookOverview) {
			m.overviewed(ev.Answer)
		}
	case DuesListed:
		if m.waits(ev.Op, stLookDues) {
			m.duesListed(ev.Answer)
		}
	case ReceiptsListed:
		if m.waits(ev.Op, stLookReceipts) {
			m.receiptsListed(ev.Answer)
		}
	case Printed:
		if m.waits(ev.Op, stPrinting) {
			m.printed(ev)
		}
	}
}

// waits tells whether the state is the one that asked and op is its question.
func (m *Machine) waits(op uint64, s state) bool { return m.state == s && op == m.op && op != 0 }

// do appends effects.
func (m *Machine) do(e ...Effect) { m.out = append(m.out, e...) }

// newOp gives the next Op and makes it the one the state waits for.
func (m *Machine) newOp() uint64 {
	m.ops++
	m.op = m.ops
	return m.op
}

// sideOp gives an Op that no state waits for.
func (m *Machine) sideOp() uint64 {
	m.ops++
	return m.ops
}

// note writes a line of the electronic journal.
func (m *Machine) note(kind, ref, word string) {
	m.do(Note{Entry{Session: m.sessions, Kind: kind, Screen: table[m.state].screen, Ref: ref, Word: word}})
}

// enter goes to a state and shows its screen under a new step number. A state
// that waits for an answer must ask (newOp) after it was entered.
func (m *Machine) enter(s state) {
	m.state = s
	m.op = 0
	m.restart()
	m.tickAt = time.Time{}
	if s == stWarning || s == stTakeCard {
		m.tickAt = m.now.Add(time.Second)
	}
	m.fresh()
	m.note(NoteScreen, "", "")
}

// restart gives the state its full time again.
func (m *Machine) restart() {
	d := &table[m.state]
	switch d.pace {
	case still:
		m.deadline = time.Time{}
	case idle:
		m.deadline = m.now.Add(m.idleTime())
	case timed:
		m.deadline = m.now.Add(d.wait(m.set.Times))
		if m.state == stWarning && m.large {
			m.deadline = m.now.Add(m.set.Times.WarningLarge)
		}
	}
}

func (m *Machine) idleTime() time.Duration {
	if m.large {
		return m.set.Times.IdleLarge
	}
	return m.set.Times.Idle
}

// fresh shows the screen under a new step number: presses on the old one are
// stale from here on. again shows it under the same one.
func (m *Machine) fresh() {
	m.step++
	m.again()
}

func (m *Machine) again() { m.do(Show{m.screen()}) }

// Wake is when the next Tick is due; zero means that none is.
func (m *Machine) Wake() time.Time {
	at := m.deadline
	for _, t := range []time.Time{m.tickAt, m.goneDeadline(), m.unsettled.wake()} {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	return at
}

// goneDeadline is when a session ends because its page is gone. What is bound
// ends first.
func (m *Machine) goneDeadline() time.Time {
	d := &table[m.state]
	if m.goneAt.IsZero() || !d.session || d.bound {
		return time.Time{}
	}
	return m.goneAt.Add(m.set.Times.Browser)
}

// due tells whether a time has come.
func (m *Machine) due(t time.Time) bool { return !t.IsZero() && !m.now.Before(t) }

// tick does what the clock asks for.
func (m *Machine) tick() {
	if m.due(m.goneDeadline()) {
		m.note(NoteClose, "", "browser gone")
		m.endSession()
	}
	if m.due(m.deadline) {
		m.lapse()
	} else if m.due(m.tickAt) {
		m.countdown()
	}
}

// lapse is the end of the state's time.
func (m *Machine) lapse() {
	d := &table[m.state]
	switch {
	case m.state == stAttract:
		m.resetChoice()
		m.deadline = time.Time{}
		m.fresh()
	case d.pace == idle:
		m.beneath = m.under()
		m.enter(stWarning)
	case d.pace == timed:
		d.lapse(m)
	}
}

// under is the state that help and warning cover.
func (m *Machine) under() state {
	if m.state == stHelp {
		return m.beneath
	}
	return m.state
}

// countdown shows the next second, under the same step number.
func (m *Machine) countdown() {
	m.tickAt = m.now.Add(time.Second)
	if m.state == stTakeCard && !m.s.alarm && m.deadline.Sub(m.now) <= m.set.Times.TakeCard-m.set.Times.Alarm {
		m.s.alarm = true
		m.do(Alarm{On: true})
	}
	m.again()
}

// resetChoice returns to Chinese and normal type.
func (m *Machine) resetChoice() { m.lang, m.large = langZh, false }

// State names the state for logs and status pages.
func (m *Machine) State() string { return string(table[m.state].screen) }

// InSession tells whether a card's session is under way.
func (m *Machine) InSession() bool { return table[m.state].session || m.state == stTakeCard }

// Unsettled is the number of payments whose end the hub has not told yet.
func (m *Machine) Unsettled() int { return len(m.unsettled.list) }
