package termsrv

import (
	"encoding/hex"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/termapi"
)

type sessionID [16]byte

// session is one card in one terminal.
type session struct {
	id          sessionID
	terminal    si.Terminal
	cardSession [16]byte
	bank        si.Bank
	panHash     si.Hash
	person      si.PersonNo
	idTail      string
	name        string // masked
	problem     string
	proven      bool
	last        time.Time
}

// sessions holds the sessions of this process, bounded and by their last call.
type sessions struct {
	mu   sync.Mutex
	byID map[sessionID]*session
}

// open stores a session; it ends any earlier one of the same terminal, because
// a terminal has one card slot.
func (ss *sessions) open(s *session, now time.Time) bool {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	for id, o := range ss.byID {
		if o.terminal == s.terminal || now.Sub(o.last) > SessionIdle {
			delete(ss.byID, id)
		}
	}
	if len(ss.byID) >= MaxSessions {
		return false
	}
	s.last = now
	ss.byID[s.id] = s
	return true
}

// get gives a copy of a live session of that terminal and marks its use.
func (ss *sessions) get(text string, t si.Terminal, now time.Time) (session, *failure) {
	none := problem(http.StatusNotFound, termapi.ErrNoSession, "this session has ended; insert the card again")
	var id sessionID
	if n, err := hex.Decode(id[:], []byte(text)); err != nil || n != len(id) || len(text) != 2*len(id) {
		return session{}, none
	}
	ss.mu.Lock()
	defer ss.mu.Unlock()
	s, ok := ss.byID[id]
	if !ok || s.terminal != t {
		return session{}, none // another terminal's session is as good as none
	}
	if now.Sub(s.last) > SessionIdle {
		delete(ss.byID, id)
		return session{}, none
	}
	s.last = now
	return *s, nil
}

// proven gives a session that a bank has proven.
func (ss *sessions) proven(text string, t si.Terminal, now time.Time) (session, *failure) {
	s, p := ss.get(text, t, now)
	if p == nil && !s.proven {
		p = problem(http.StatusForbidden, termapi.ErrNotProven, "the PIN has not been proven in this session")
	}
	return s, p
}

func (ss *sessions) prove(id sessionID) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if s, ok := ss.byID[id]; ok {
		s.proven = true
	}
}

func (ss *sessions) end(id sessionID) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	delete(ss.byID, id)
}

// guard counts wrong PINs per card and day, and what terminals ask, in memory:
// the bank's own counter is the truth, this one only saves it from a flood.
type guard struct {
	mu     sync.Mutex
	day    si.BusinessDate
	wrong  map[si.Hash]int
	asking map[si.Hash]int // calls under way
	// Of each terminal on record, so their number is that of the fleet.
	terminals map[si.Terminal]*allowance
}

// allowance is what one terminal may do in a time. It bounds what a stolen
// certificate costs: calls, ids closed for ever in the ledger, and journal on
// this node's disk.
type allowance struct{ calls, closes, journal *rate.Limiter }

func (g *guard) of(t si.Terminal) *allowance {
	g.mu.Lock()
	defer g.mu.Unlock()
	a, ok := g.terminals[t]
	if !ok {
		a = &allowance{
			calls:   rate.NewLimiter(CallsPerSecond, CallBurst),
			closes:  rate.NewLimiter(ClosesPerSecond, CloseBurst),
			journal: rate.NewLimiter(JournalPerSecond, JournalBurst),
		}
		g.terminals[t] = a
	}
	return a
}

func (g *guard) roll(now time.Time) {
	if d := si.DateOf(now); d != g.day {
		g.day = d
		clear(g.wrong)
	}
}

func (g *guard) tries(pan si.Hash, now time.Time) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.roll(now)
	return g.wrong[pan]
}

// begin takes one of the card's tries of the day, so that calls at the same time
// have no more than those one after the other; end gives it back unless the PIN
// was wrong.
func (g *guard) begin(pan si.Hash, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.roll(now)
	if g.wrong[pan]+g.asking[pan] >= WrongPINsPerDay {
		return false
	}
	g.asking[pan]++
	return true
}

func (g *guard) end(pan si.Hash, wrong bool, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.roll(now)
	if g.asking[pan]--; g.asking[pan] == 0 {
		delete(g.asking, pan)
	}
	if wrong {
		g.wrong[pan]++
	}
}

func (g *guard) forgive(pan si.Hash) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.wrong, pan)
}
