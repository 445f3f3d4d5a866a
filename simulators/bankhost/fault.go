package bankhost

import (
	"fmt"
	"time"

	"github.com/shebao-pay/shebao/settlement/profile"
)

// Fault is what the host does wrong with one request.
type Fault struct {
	act   act
	code  string
	delay time.Duration
	de    int
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
)

// LateReply does its work at once and answers after d.
func LateReply(d time.Duration) Fault { return Fault{act: actLate, delay: d} }

// Decline does nothing and answers with the code.
func Decline(code string) Fault { return Fault{act: actDecline, code: code} }

// WrongField does its work and changes the last character of a field of the
// reply, under a good code.
func WrongField(de int) Fault { return Fault{act: actWrongField, de: de} }

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
