package flow

import (
	"time"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/termapi"
)

// PayState is a payment's state in the terminal's journal. Each is on disk
// before its effect can be seen.
type PayState uint8

// The states.
const (
	Created   PayState = iota + 1 // the citizen confirmed; nothing was sent
	Sent                          // the request may leave from here on
	Unknown                       // no answer, or in doubt: asked for by id until final
	Posted                        // the hub posted it
	Undoing                       // the card refused after approval; being reversed
	Declined                      // the hub: declined, refused, voided or closed
	Failed                        // never sent
	Receipted                     // posted, and the receipt delivered or declined
	Archived                      // uploaded and past the time it is kept for
	payStateEnd
)

var payStateNames = [...]string{"", "T_CREATED", "T_SENT", "T_UNKNOWN", "T_POSTED", "T_UNDOING", "T_DECLINED", "T_FAILED", "T_RECEIPTED", "T_ARCHIVED"}

// String writes the state's name, such as T_SENT.
func (s PayState) String() string {
	if s == 0 || s >= payStateEnd {
		return "PayState(?)"
	}
	return payStateNames[s]
}

// ParsePayState reads the form that String writes.
func ParsePayState(name string) (PayState, bool) {
	for s := Created; s < payStateEnd; s++ {
		if payStateNames[s] == name {
			return s, true
		}
	}
	return 0, false
}

// nextPay lists the legal steps. A state may be written again with new facts
// (the card's word) where it stands in its own row.
var nextPay = [payStateEnd][]PayState{
	0:         {Created},
	Created:   {Sent, Failed},
	Sent:      {Unknown, Posted, Declined},
	Unknown:   {Unknown, Posted, Declined},
	Posted:    {Posted, Undoing, Receipted, Archived},
	Undoing:   {Undoing, Posted, Declined},
	Declined:  {Archived},
	Failed:    {Archived},
	Receipted: {Archived},
	Archived:  nil,
}

// MayFollow tells whether a journal may go from one state to the other; 0 is
// "not there yet".
func MayFollow(from, to PayState) bool {
	if from >= payStateEnd {
		return false
	}
	for _, s := range nextPay[from] {
		if s == to {
			return true
		}
	}
	return false
}

// Intent is a payment as the terminal's journal holds it: what was confirmed
// and what became of it. It holds no name, number or cryptogram of the citizen.
type Intent struct {
	ID      si.PaymentID
	State   PayState
	Session uint64 // the terminal's own count of sessions
	At      time.Time
	Bank    string
	Lines   []termapi.PayLine
	Total   si.Fen

	Reason   string // Declined, Undoing: reason class
	Incident string
	Receipt  string // Posted: receipt number
	// Outcome is the card's last word (a termapi Outcome), once it is known, CardWord
	// what the chip and its scripts say beside it (DE 55, at most 255 bytes), kept
	// until Reported: the hub has answered to it.
	Outcome  string
	CardWord []byte
	Reported bool
}

// Open tells whether the hub must still be asked about the payment.
func (i Intent) Open() bool {
	switch i.State {
	case Created, Sent, Unknown, Undoing:
		return true
	case Posted:
		return !i.Reported
	default:
		return false
	}
}

// confirmed adds up what a citizen confirmed. It is false for a line without a
// positive amount and for a total that no bank message can carry.
func confirmed(lines []termapi.PayLine) (si.Fen, bool) {
	var sum si.Fen
	for _, l := range lines {
		if l.Amount <= 0 || l.LateFee < 0 || si.Fen(l.Amount) > si.MaxFen || si.Fen(l.LateFee) > si.MaxFen {
			return 0, false
		}
		sum += si.Fen(l.Amount) + si.Fen(l.LateFee)
		if sum > si.MaxFen {
			return 0, false
		}
	}
	return sum, sum > 0
}
