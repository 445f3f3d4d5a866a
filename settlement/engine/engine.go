package engine

import (
	"errors"
	"fmt"
	"time"

	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// DefaultMaxLive is how many payments the engine holds at once before it
// refuses new ones: minutes of the highest rate we plan for, 1,200 a second,
// at about one kilobyte each. Payments found at start always fit.
const DefaultMaxLive = 200_000

// MaxLinks is how many links one bank may have.
const MaxLinks = 64

// Config is what an engine needs to know.
type Config struct {
	Banks   []*profile.Profile
	Rand    func() uint64 // spreads the retries; a seeded source makes the engine repeatable
	MaxLive int           // 0 is DefaultMaxLive
}

// Engine holds every live payment and PIN proof of a hub. It is driven by one
// goroutine: nothing in it waits, and the time comes in as an argument.
type Engine struct {
	rand     func() uint64
	maxLive  int
	banks    [256]*bank
	nobank   bank // stands for the bank of an id that is only being closed
	pays     map[si.PaymentID]*payment
	proofs   map[si.PaymentID]*proof
	scripts  map[si.PaymentID]*script
	wires    map[wireKey]*payment
	cards    map[si.PAN]int // payments of a card whose reversal is not proven
	timers   timers
	head     *payment // all live payments in the order of their coming
	tail     *payment
	draining bool
	started  bool
	fence    time.Time // before it, nothing found at start is acted on
	stats    Stats

	// The step in hand.
	now time.Time
	out []Effect
	in  input
}

// input is what the event in hand brings to an action.
type input struct {
	reply  Reply
	result ledgerapi.Result
	fault  Fault
	link   uint8
}

// Stats counts what happened since the engine was made.
type Stats struct {
	Asked, Paid, NotCharged, Refused   uint64
	Doubts, Reversals, ReversalsProven uint64
	Inquiries, InquiriesProven         uint64
	Scripts, ScriptsTold               uint64
	Late, Unmatched, BadMAC, Mismatch  uint64
	Undeclared, Stale                  uint64
	Proofs, Proven                     uint64
	Stages                             [stageEnd]Timing // of payments that were paid; of each up to where it came
}

// bank is the engine's view of one bank.
type bank struct {
	prof    *profile.Profile
	links   [MaxLinks]link
	next    uint8 // round robin
	closed  bool  // the breaker is open
	opening int   // resumed payments whose memo was not tried yet
	endings Endings
	waiting map[[8]byte]*line
}

// link is the engine's view of one link.
type link struct {
	up    bool
	acq   [8]byte
	batch uint32
	cap   int
	live  int
}

// wireKey finds a payment by what a reply repeats. DE 41 with the batch names a
// POS payment, the transmission time a CUPS payment.
type wireKey struct {
	bank  si.Bank
	acq   [8]byte
	stan  uint32
	batch uint32
	de7   [10]byte
}

// New makes an engine.
func New(cfg Config) (*Engine, error) {
	if cfg.Rand == nil {
		return nil, errors.New("engine: no source for the spread of retries")
	}
	e := &Engine{
		rand: cfg.Rand, maxLive: cfg.MaxLive,
		pays: map[si.PaymentID]*payment{}, proofs: map[si.PaymentID]*proof{}, scripts: map[si.PaymentID]*script{},
		wires: map[wireKey]*payment{}, cards: map[si.PAN]int{},
		nobank: bank{prof: &profile.Profile{}},
	}
	if e.maxLive <= 0 {
		e.maxLive = DefaultMaxLive
	}
	for _, p := range cfg.Banks {
		if p.Number == 0 || e.banks[p.Number] != nil {
			return nil, fmt.Errorf("engine: bank %s: number %d is missing or used twice", p.Code, p.Number)
		}
		e.banks[p.Number] = &bank{prof: p, waiting: map[[8]byte]*line{}}
	}
	return e, nil
}

// Step takes one event at the given time and appends what is to be done. The
// effects are to be carried out in order.
func (e *Engine) Step(now time.Time, ev Event, out []Effect) []Effect {
	e.now, e.out = now, out
	switch ev := ev.(type) {
	case Ask:
		e.ask(&ev.Intent, &ev.Known)
	case LedgerDone:
		e.ledgerDone(&ev)
	case Translated:
		e.translated(&ev)
	case MemoOpened:
		e.memoOpened(&ev)
	case NotSent:
		e.linkWord(ev.ID, ev.Op, ev.Seq, linkNotSent, ev.Late)
	case Lost:
		e.linkWord(ev.ID, ev.Op, ev.Seq, linkLost, false)
	case Replied:
		e.replied(ev.ID, ev.Op, &ev.Reply)
	case Stray:
		e.stray(&ev)
	case LinkUp:
		e.linkUp(&ev)
	case LinkDown:
		if l := e.link(ev.Link); l != nil {
			l.up = false
		}
	case Breaker:
		if b := e.banks[ev.Bank]; b != nil {
			b.closed = ev.Open
		}
	case CardSaid:
		e.cardSaid(&ev)
	case Resume:
		e.resume(&ev.Payment)
	case ResumeScript:
		e.resumeScript(&ev.Payment)
	case CloseAsked:
		e.closeAsked(&ev)
	case Resolved:
		e.resolved(&ev)
	case Seen:
		e.seen(&ev.Payment)
	case AskProof:
		e.askProof(&ev.Proof)
	case Drain:
		e.draining = true
	case Tick:
	}
	e.tick()
	out, e.out, e.in = e.out, nil, input{}
	return out
}

// tick fires every timer that is due.
func (e *Engine) tick() {
	for t := e.timers.due(e.now); t != nil; t = e.timers.due(e.now) {
		if t.proof != nil {
			e.endProof(t.proof, ProofAnswer{Verdict: BankAway, TriesLeft: -1})
			continue
		}
		if t.script != nil {
			e.scriptDue(t.script)
			continue
		}
		p := t.pay
		if p.state == Posted { // no report of the card counts as removed
			e.fire(p, p.cardTrigger(CardRemoved))
			continue
		}
		if p.state == Waiting && p.askable { // found at start
			e.fire(p, InquiryDue)
			continue
		}
		e.fire(p, TimeUp)
	}
}

// Next is when a Tick is due; false when nothing waits for time.
func (e *Engine) Next() (time.Time, bool) {
	if len(e.timers.heap) == 0 {
		return time.Time{}, false
	}
	return e.timers.heap[0].at, true
}

// Stats gives the counters.
func (e *Engine) Stats() Stats { return e.stats }

// Live is how many payments are held.
func (e *Engine) Live() int { return len(e.pays) }

// BankUp tells whether a payment at the bank would be tried now.
func (e *Engine) BankUp(n si.Bank) bool {
	b := e.banks[n]
	if b == nil || b.closed || e.draining {
		return false
	}
	for i := range b.links {
		if b.links[i].up {
			return true
		}
	}
	return false
}

// Settling is how many payments wait for the ledger or a bank without being in
// doubt: what a hub that stops should still give a moment.
func (e *Engine) Settling() (n int) {
	for p := e.head; p != nil; p = p.after {
		switch p.state {
		case Reserving, Translating, Sent, Posting, Voiding, Unposting, Noting, Closing:
			n++
		case Gone, InDoubt, Inquiring, Posted, Opening, Queued, Undoing, Waiting, Desk, stateEnd:
		}
	}
	return n
}

// Answer is what a terminal may be told of a live payment; false if the engine
// does not hold it, and then the ledger knows.
func (e *Engine) Answer(id si.PaymentID) (Answer, bool) {
	p := e.pays[id]
	if p == nil {
		return Answer{}, false
	}
	return p.answer(), true
}

// Known is what a terminal may be told of a payment that the engine does not
// hold, from the ledger's view of it. The zero Answer means that nobody knows
// the id.
func Known(p *ledgerapi.Payment) Answer {
	switch p.State {
	case ledgerapi.PayPosted:
		return Answer{Ending: Paid, Resp: p.Resp}
	case ledgerapi.PayVoided, ledgerapi.PayTombstone:
		return Answer{Ending: NotCharged, Resp: p.Resp}
	case ledgerapi.PayReserved, ledgerapi.PayReversing:
		return Answer{Ending: Pending}
	case ledgerapi.PayNone:
	}
	return Answer{}
}

// Open describes a live payment whose outcome is not proven.
type Open struct {
	ID     si.PaymentID
	Bank   si.Bank
	State  State
	Amount si.Fen
	STAN   uint32
	RRN    [12]byte
	Tries  int
	Since  time.Time
	Called bool // an operator was called: so many reversals brought no proof
}

// Unresolved lists the payments in doubt, oldest first.
func (e *Engine) Unresolved() []Open {
	var list []Open
	for p := e.head; p != nil; p = p.after {
		if p.doubtful() {
			list = append(list, Open{
				ID: p.id, Bank: p.bank.prof.Number, State: p.state, Amount: p.total,
				STAN: p.stan, RRN: p.rrn, Tries: int(p.memo.Tries), Since: p.since, Called: p.alarmed,
			})
		}
	}
	return list
}

// link finds a link, nil if there is no such bank or place.
func (e *Engine) link(id LinkID) *link {
	b := e.banks[id.Bank]
	if b == nil || id.N >= MaxLinks {
		return nil
	}
	return &b.links[id.N]
}

// pick chooses a link for a new payment or proof, each in turn.
func (b *bank) pick() (n uint8, why Why) {
	if b.closed {
		return 0, WhyBankAway
	}
	why = WhyBankAway
	for range MaxLinks {
		b.next = (b.next + 1) % MaxLinks
		if l := &b.links[b.next]; l.up {
			if l.live < l.cap {
				return b.next, WhyNone
			}
			why = WhyBusy
		}
	}
	return 0, why
}

func (e *Engine) linkUp(ev *LinkUp) {
	l := e.link(ev.Link)
	if l == nil {
		return
	}
	l.up, l.acq, l.batch, l.cap = true, ev.Acq, ev.Batch, ev.Cap
	b := e.banks[ev.Link.Bank]
	e.pump(b, b.lineKey(ev.Acq))
}

func (e *Engine) note(kind NoteKind, p *payment, more Note) {
	more.Kind = kind
	if p != nil {
		more.ID, more.Bank, more.STAN, more.RRN = p.id, p.bank.prof.Number, p.stan, p.rrn
		more.State, more.Tries = p.state, int(p.memo.Tries)
	}
	e.out = append(e.out, more)
}
