package bankhost

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/shebao-pay/shebao/settlement/profile"
)

// Fault is what the host does wrong with one request.
type Fault struct {
	act   act
	code  string
	delay time.Duration
	de    int
	lost  int
}

type act uint8

const (
	actNone act = iota
	actDropRequest
	actDropReply
	actLate
	actWrongMAC
	actDecline
	actCloseOnReply
	actCloseBefore
	actWrongField
	actNoMAC
	actDuplicate
	actStall
	actCrash
	actGarbage
	actTorn
	actOtherCode
	actWrongType
	actTwice
	actOther
)

// The faults without a parameter.
var (
	None         = Fault{}
	DropRequest  = Fault{act: actDropRequest}  // does nothing and says nothing
	DropReply    = Fault{act: actDropReply}    // does its work and says nothing
	WrongMAC     = Fault{act: actWrongMAC}     // one bit of the code is wrong
	NoMAC        = Fault{act: actNoMAC}        // the reply has no code
	CloseBefore  = Fault{act: actCloseBefore}  // hangs up without doing anything
	CloseOnReply = Fault{act: actCloseOnReply} // does its work and hangs up
	Duplicate    = Fault{act: actDuplicate}    // sends the reply twice
	Garbage      = Fault{act: actGarbage}      // does its work and sends bytes that are no message
	TornReply    = Fault{act: actTorn}         // does its work, sends half of the reply and hangs up
	WrongType    = Fault{act: actWrongType}    // does its work and replies with another message type
	BookTwice    = Fault{act: actTwice}        // debits twice and replies once: the day's match must find it
	OtherPayment = Fault{act: actOther}        // answers an inquiry with what became of another payment, under a good code
)

// LateReply does its work at once and answers after d.
func LateReply(d time.Duration) Fault { return Fault{act: actLate, delay: d} }

// Decline does nothing and answers with the code.
func Decline(code string) Fault { return Fault{act: actDecline, code: code} }

// LateDecline does nothing and answers with the code after d.
func LateDecline(code string, d time.Duration) Fault {
	return Fault{act: actDecline, code: code, delay: d}
}

// LateWork looks at the request only after d: what comes in between is done
// before it.
func LateWork(d time.Duration) Fault { return Fault{act: actStall, delay: d} }

// Answer does its work and answers with another code, under a good MAC.
func Answer(code string) Fault { return Fault{act: actOtherCode, code: code} }

// CrashAfter does its work and crashes; see Host.Crash.
func CrashAfter(lost int) Fault { return Fault{act: actCrash, lost: lost} }

// WrongField does its work and changes the last character of a field of the
// reply, under a good code.
func WrongField(de int) Fault { return Fault{act: actWrongField, de: de} }

// Named is a fault with a name for people and scripts.
type Named struct {
	Name  string
	What  string
	Fault Fault
	// Lies: the bank's books are not what it answered, or two answers of it
	// contradict each other, so that no message can set it right.
	Lies bool
}

// late is longer than a quick hub waits for a reply, and soon enough for a test.
const late = 3500 * time.Millisecond

// AllFaults are the faults that a request may meet, in the order in which they
// are listed.
var AllFaults = []Named{
	{"drop-request", "does nothing and says nothing", DropRequest, false},
	{"drop-reply", "does its work and says nothing", DropReply, false},
	{"slow-reply", "answers after a second", LateReply(time.Second), false},
	{"late-reply", "answers when nobody waits any more", LateReply(late), false},
	{"late-work", "looks at the request when its reversal is through", LateWork(late), false},
	{"late-decline", "declines when nobody waits any more", LateDecline("05", late), false},
	{"decline", "declines", Decline("05"), false},
	{"unknown-code", "does its work and answers that the issuer is silent", Answer("68"), false},
	{"wrong-mac", "the reply's code is wrong", WrongMAC, false},
	{"no-mac", "the reply has no code", NoMAC, false},
	{"wrong-amount", "the reply names another amount", WrongField(4), false},
	{"wrong-trace", "the reply has another trace number", WrongField(11), false},
	{"wrong-type", "the reply is of another message type", WrongType, false},
	{"garbage", "bytes that are no message", Garbage, false},
	{"torn-reply", "half of a reply, then hangs up", TornReply, false},
	{"duplicate", "replies twice", Duplicate, false},
	{"hang-up-before", "hangs up without doing anything", CloseBefore, false},
	{"hang-up-after", "does its work and hangs up", CloseOnReply, false},
	{"crash", "does its work and crashes; its journal is whole", CrashAfter(0), false},
	{"crash-and-forget", "crashes and has lost the last entry of its journal", CrashAfter(1), true},
	{"book-twice", "debits twice", BookTwice, true},
}

// FindFault gives the fault of a name.
func FindFault(name string) (Named, bool) {
	for _, f := range AllFaults {
		if f.Name == name {
			return f, true
		}
	}
	return Named{}, false
}

// Moody is a script drawn from a seed: of ten thousand requests about payments so
// many meet one of the named faults, each as often as the others. The same
// requests in the same order meet the same. count, if set, hears of each fault.
func Moody(seed uint64, rate int, names []string, count func(name string)) func(n int, k profile.Kind) Fault {
	r := rand.New(rand.NewPCG(seed, uint64(len(names)))) // #nosec G404 -- faults that can be made again
	var deck []Named
	return func(_ int, k profile.Kind) Fault {
		if k != profile.Debit && k != profile.Reversal && k != profile.PINProof || r.IntN(10_000) >= rate {
			return None
		}
		if len(deck) == 0 {
			for _, name := range names {
				if f, ok := FindFault(name); ok {
					deck = append(deck, f)
				}
			}
			r.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
		}
		if len(deck) == 0 {
			return None
		}
		f := deck[len(deck)-1]
		deck = deck[:len(deck)-1]
		if count != nil {
			count(f.Name)
		}
		return f.Fault
	}
}

// planned is a fault that waits for its requests.
type planned struct {
	kind  profile.Kind // 0 for debit, proof and reversal alike
	fault Fault
	times int
}

// SetFault makes the next requests about cards (debits, PIN proofs, reversals)
// meet the fault, that many times.
func (h *Host) SetFault(f Fault, times int) { h.SetFaultFor(0, f, times) }

// SetFaultFor is SetFault for requests of one kind.
func (h *Host) SetFaultFor(k profile.Kind, f Fault, times int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.plans = append(h.plans, planned{k, f, times})
}

// fault decides what the nth request of a kind meets. Called with h.mu held.
func (h *Host) fault(k profile.Kind) Fault {
	h.seen[k]++
	if h.cfg.Script != nil {
		if f := h.cfg.Script(h.seen[k], k); f != None {
			return f
		}
	}
	for i := range h.plans {
		p := &h.plans[i]
		about := p.kind == k || p.kind == 0 && (k == profile.Debit || k == profile.PINProof || k == profile.Reversal)
		if p.times > 0 && about {
			p.times--
			return p.fault
		}
	}
	return None
}

// FaultNames are the names that NamedFault knows, sorted.
var FaultNames = []string{"close-before", "close-on-reply", "decline", "drop-reply", "drop-request", "duplicate", "late-reply", "no-mac", "wrong-amount", "wrong-mac"}

// NamedFault finds a fault by the name that a person types: a decline is 51, a
// late reply comes after d.
func NamedFault(name string, d time.Duration) (Fault, error) {
	f, ok := map[string]Fault{
		"close-before": CloseBefore, "close-on-reply": CloseOnReply, "decline": Decline("51"), "drop-reply": DropReply,
		"drop-request": DropRequest, "duplicate": Duplicate, "late-reply": LateReply(d), "no-mac": NoMAC,
		"wrong-amount": WrongField(4), "wrong-mac": WrongMAC,
	}[name]
	if !ok {
		return None, fmt.Errorf("bankhost: no fault %q; there are %v", name, FaultNames)
	}
	return f, nil
}
