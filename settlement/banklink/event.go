package banklink

import (
	"context"
	"net"
	"time"

	"github.com/shebao-pay/shebao/settlement/bankmsg"
	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/hsmapi"
)

// HSM is the verbs of the HSM process that a link needs.
type HSM interface {
	MAC(ctx context.Context, jobs []hsmapi.MACJob) error
	ImportDE62(ctx context.Context, r hsmapi.ImportDE62) (hsmapi.WorkingKeys, error)
	ImportTR31(ctx context.Context, r hsmapi.ImportTR31) (hsmapi.ImportedKey, error)
}

// Conn is a connection to a bank's host.
type Conn = net.Conn

// Sink takes what a pool tells. It is called by several goroutines and may
// block; it must not call the pool back and wait.
type Sink interface{ Deliver(Event) }

// Request is one message that wants an answer. Send takes it over: the link
// wipes the card's data once the frame is made.
type Request struct {
	ID  si.PaymentID
	Seq uint32
	By  time.Time // after it no byte may leave; zero is no bound
	// PINKey is the key that the PIN block is enciphered for. If the link has
	// another by the time of writing, the request is not sent.
	PINKey hsmapi.KeyRef

	// One of the five.
	Debit    *bankmsg.DebitRequest
	Proof    *bankmsg.ProofRequest
	Reversal *bankmsg.ReversalRequest
	Script   *bankmsg.ScriptNotice
	Inquiry  *bankmsg.InquiryRequest // By is also when its answer is waited for no more
}

// Kind is what the request asks.
func (r *Request) Kind() profile.Kind {
	switch {
	case r.Debit != nil:
		return profile.Debit
	case r.Proof != nil:
		return profile.PINProof
	case r.Inquiry != nil:
		return profile.StatusInquiry
	case r.Script != nil:
		return profile.ScriptNotify
	}
	return profile.Reversal
}

// wipe forgets the card.
func (r *Request) wipe() {
	if r.Debit != nil {
		r.Debit.Card = bankmsg.CardPart{}
	}
	if r.Proof != nil {
		r.Proof.Card = bankmsg.CardPart{}
	}
	if r.Reversal != nil {
		r.Reversal.PAN.Wipe()
	}
	if r.Script != nil {
		r.Script.PAN.Wipe()
	}
	if r.Inquiry != nil {
		r.Inquiry.PAN.Wipe()
	}
}

// EventKind is what an Event tells.
type EventKind uint8

// The kinds.
const (
	LinkUp        EventKind = iota + 1 // signed on; Acq and Batch say as what
	LinkDown                           // takes no more requests
	NotSent                            // proven: no byte of the request left; Late if its time had passed
	Lost                               // the connection ended with the request unanswered
	Replied                            // the reply to a request
	Stray                              // a reply to nothing under way
	BreakerOpen                        // the bank is closed to new payments
	BreakerClosed                      // and open again
	Cutover                            // the bank announces a settlement date: Date, End and Covered say it
	Alarm                              // Err says what an operator must look at
)

// MACState is what became of a reply's code.
type MACState uint8

// The states.
const (
	MACNone MACState = iota
	MACBad
	MACGood
)

// Event is what a pool tells its owner.
type Event struct {
	Kind EventKind
	Link uint8

	ID   si.PaymentID // NotSent, Lost, Replied
	Seq  uint32
	Op   profile.Kind // also of a Stray
	Late bool

	Acq   [8]byte // LinkUp, Stray
	Batch uint32
	STAN  uint32   // Stray
	DE7   [10]byte // Stray

	Reply Reply
	Date  si.BusinessDate // Cutover
	Err   error           // Alarm, NotSent
	// Of a Cutover. End is false for the announcement that the date begins (201)
	// and true for the one that the change is over (202). Covered tells that a
	// good code of this link's keys stood over the date: an announcement without
	// one is anybody's word, to be looked at and not to be acted on.
	End, Covered bool
}

// Reply is a bank's reply as far as the link judges it.
type Reply struct {
	MAC      MACState
	Mismatch bool
	Resp     [2]byte
	Amount   si.Fen
	Auth     [6]byte
	RRN      [12]byte
	Date     si.BusinessDate // DE 15 where the code covers it, else 0
	KeyGen   uint32
	Issuer   bankmsg.IssuerData
}
