package engine

import (
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// LinkID names one link of a bank: its place in the bank's list of links.
type LinkID struct {
	Bank si.Bank
	N    uint8
}

// Op is what a message on a link is for.
type Op uint8

// The operations.
const (
	OpDebit Op = iota + 1
	OpReversal
	OpProof
	OpInquiry
	OpScript
)

// Fault says how a submission to the ledger went wrong.
type Fault uint8

// The faults.
const (
	FaultNone    Fault = iota
	FaultUnsent        // proven not submitted: nothing will ever be in the log
	FaultUnknown       // submitted; whether it is in the log is not known
)

// Event is one input of the engine.
type Event interface{ event() }

type (
	// Ask is a terminal's wish to pay. Known is what the ledger already has
	// under the id, state PayNone if nothing.
	Ask struct {
		Intent Intent
		Known  ledgerapi.Payment
	}

	// LedgerDone answers a Submit. Seq is the Submit's.
	LedgerDone struct {
		ID     si.PaymentID
		Seq    uint32
		Fault  Fault
		Result ledgerapi.Result
	}

	// Translated answers a Translate.
	Translated struct {
		ID    si.PaymentID
		Op    Op
		Block si.PINBlock
		Gen   uint32 // key generation the block is enciphered for
		OK    bool
	}

	// MemoOpened answers an OpenMemo.
	MemoOpened struct {
		ID   si.PaymentID
		Memo Memo
		OK   bool
	}

	// Seen answers a Look.
	Seen struct{ Payment ledgerapi.Payment }

	// NotSent proves that no byte of a message was handed to the operating
	// system in this life of the hub. Late: its send deadline had passed, so
	// the payment is in doubt all the same.
	NotSent struct {
		ID   si.PaymentID
		Op   Op
		Seq  uint32
		Late bool
	}

	// Lost tells that the connection ended after the first byte of a message
	// and before its reply.
	Lost struct {
		ID  si.PaymentID
		Op  Op
		Seq uint32
	}

	// Replied is a reply that was matched with its request.
	Replied struct {
		ID    si.PaymentID
		Op    Op
		Reply Reply
	}

	// Stray is a reply that came after its request was given up.
	Stray struct {
		Bank  si.Bank
		Acq   [8]byte
		STAN  uint32
		Batch uint32   // POS dialect
		DE7   [10]byte // CUPS dialect: of the original
		Op    Op
		Reply Reply
	}

	// LinkUp tells that a link is signed on, with the batch it is in and how
	// many messages it carries at once. A second LinkUp of a link replaces the
	// first.
	LinkUp struct {
		Link  LinkID
		Acq   [8]byte
		Batch uint32
		Cap   int
	}

	// LinkDown tells that a link takes no more messages.
	LinkDown struct{ Link LinkID }

	// Breaker tells that a bank is closed to new payments and proofs, or open
	// again. Reversals are not held back by it.
	Breaker struct {
		Bank si.Bank
		Open bool // the breaker is open: the bank is closed
	}

	// CardSaid is the card's last word. Known is the ledger's view of a payment
	// that the engine does not hold.
	CardSaid struct {
		ID      si.PaymentID
		Outcome CardOutcome
		DE55    []byte // what the card and its scripts say, nil if nothing
		Known   ledgerapi.Payment
	}

	// Resume is one live payment found in the ledger when the hub starts.
	Resume struct{ Payment ledgerapi.Payment }

	// ResumeScript is a posted payment of which a script notice waits, found when
	// the hub starts.
	ResumeScript struct{ Payment ledgerapi.Payment }

	// CloseAsked is a terminal's wish to be sure that an id will never be paid.
	CloseAsked struct {
		ID    si.PaymentID
		Known ledgerapi.Payment
	}

	// Resolved tells that the ledger ended a payment by file or desk.
	Resolved struct {
		ID    si.PaymentID
		State ledgerapi.PayState
	}

	// AskProof is a terminal's wish for a PIN proof.
	AskProof struct{ Proof Proof }

	// Tick lets time pass; it is due at Engine.Next.
	Tick struct{}

	// Drain refuses new payments and proofs; the live ones go on.
	Drain struct{}
)

func (Ask) event()          {}
func (LedgerDone) event()   {}
func (Translated) event()   {}
func (MemoOpened) event()   {}
func (Seen) event()         {}
func (NotSent) event()      {}
func (Lost) event()         {}
func (Replied) event()      {}
func (Stray) event()        {}
func (LinkUp) event()       {}
func (LinkDown) event()     {}
func (Breaker) event()      {}
func (CardSaid) event()     {}
func (Resume) event()       {}
func (ResumeScript) event() {}
func (CloseAsked) event()   {}
func (Resolved) event()     {}
func (AskProof) event()     {}
func (Tick) event()         {}
func (Drain) event()        {}

// MACState is what became of a reply's code.
type MACState uint8

// The states. Only a good code makes a reply an answer.
const (
	MACNone MACState = iota
	MACBad
	MACGood
)

// Reply is what the engine needs of a bank's reply.
type Reply struct {
	MAC      MACState
	Mismatch bool    // a field that must repeat the request's does not
	Resp     [2]byte // DE 39
	Amount   si.Fen  // DE 4, 0 if absent
	// Evidence for the ledger; BankDate is 0 unless the code covers DE 15.
	Auth       [6]byte
	HostSerial string
	RRN        [12]byte
	BankDate   si.BusinessDate
	KeyGen     uint32
	Issuer     IssuerData
}
