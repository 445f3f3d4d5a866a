package engine

import (
	"time"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// Effect is one output of the engine. Each is carried out once; whether it
// worked comes back as an event.
type Effect interface{ effect() }

type (
	// Submit asks the ledger. With a Memo, the shell seals it for (Bank, Date,
	// ID) and puts it, with the date, into the Reserve or Annotate first; if it
	// cannot, it answers FaultUnsent. Answered by LedgerDone with the same Seq.
	Submit struct {
		ID      si.PaymentID
		Seq     uint32
		Command ledgerapi.Command
		Memo    *Memo
		Bank    si.Bank
		Date    si.BusinessDate
	}

	// Translate asks the HSM process to re-encipher a PIN block for a link.
	// Answered by Translated.
	Translate struct {
		ID   si.PaymentID
		Op   Op
		Link LinkID
		Card CardData
	}

	// OpenMemo asks the HSM process to open a sealed memo. Answered by
	// MemoOpened.
	OpenMemo struct {
		ID   si.PaymentID
		Bank si.Bank
		Data []byte // as the shell put it into the Reserve or Annotate
	}

	// Look asks for the ledger's view of a payment. Answered by Seen.
	Look struct{ ID si.PaymentID }

	// SendDebit puts a 0200 on a link, and only on this one. After By it must
	// not leave. Answered by NotSent, Lost or Replied.
	SendDebit struct {
		ID     si.PaymentID
		Seq    uint32
		Link   LinkID
		By     time.Time
		STAN   uint32
		RRN    [12]byte
		DE7    [10]byte
		Date   si.BusinessDate
		Batch  uint32
		Amount si.Fen
		Card   CardData
		Gen    uint32 // key generation of the PIN block
	}

	// SendReversal puts a 0400 or 0420 on a link. Answered as SendDebit.
	SendReversal struct {
		ID     si.PaymentID
		Seq    uint32
		Link   LinkID
		STAN   uint32
		RRN    [12]byte
		DE7    [10]byte // of the original
		Date   si.BusinessDate
		Amount si.Fen
		Memo   Memo
		Repeat bool
	}

	// SendInquiry asks the bank on a link what became of a debit. By is when the
	// reversal begins instead: after it the inquiry must not leave. Answered as
	// SendDebit.
	SendInquiry struct {
		ID     si.PaymentID
		Seq    uint32
		Link   LinkID
		By     time.Time
		STAN   uint32
		RRN    [12]byte
		DE7    [10]byte // of the debit
		Date   si.BusinessDate
		Amount si.Fen
		Memo   Memo
	}

	// SendScript puts the notice of what issuer scripts did on a link. Answered as
	// SendDebit.
	SendScript struct {
		ID     si.PaymentID
		Seq    uint32
		Link   LinkID
		STAN   uint32
		RRN    [12]byte
		DE7    [10]byte // of the payment
		Date   si.BusinessDate
		Amount si.Fen
		Resp   [2]byte // DE 39 of the payment
		Memo   Memo
		Repeat bool
	}

	// ScriptHeld tells that the notice about a payment is durable, or over.
	ScriptHeld struct{ ID si.PaymentID }

	// SendProof puts a PIN proof on a link. Answered as SendDebit.
	SendProof struct {
		ID   si.PaymentID
		Seq  uint32
		Link LinkID
		By   time.Time
		Card CardData
		Gen  uint32
	}

	// SignOnAgain takes a link through a new sign-on.
	SignOnAgain struct{ Link LinkID }

	// Tell answers everyone who waits for a payment; with Asker set, only who
	// just asked, because the answer is not about the payment that others wait
	// for, or is not its ending.
	Tell struct {
		ID     si.PaymentID
		Answer Answer
		Asker  bool
	}

	// TellProof answers everyone who waits for a PIN proof.
	TellProof struct {
		ID     si.PaymentID
		Answer ProofAnswer
	}

	// Note is for the journal, the counters and, by its kind, the operator.
	Note struct {
		Kind    NoteKind
		ID      si.PaymentID
		Bank    si.Bank
		STAN    uint32
		RRN     [12]byte
		State   State
		Trigger Trigger
		Resp    [2]byte
		Code    ledgerapi.Code
		Tries   int
	}
)

func (Submit) effect()       {}
func (Translate) effect()    {}
func (OpenMemo) effect()     {}
func (Look) effect()         {}
func (SendDebit) effect()    {}
func (SendReversal) effect() {}
func (SendInquiry) effect()  {}
func (SendScript) effect()   {}
func (ScriptHeld) effect()   {}
func (SendProof) effect()    {}
func (SignOnAgain) effect()  {}
func (Tell) effect()         {}
func (TellProof) effect()    {}
func (Note) effect()         {}

// NoteKind is what a Note tells.
type NoteKind uint8

// The kinds. The operator is called for those that Alarm names.
const (
	NoteUndeclared    NoteKind = iota + 1 // an event that the state does not allow
	NoteDoubt                             // a debit's outcome is unknown: the bank is asked, or it is reversed
	NoteLateApproval                      // an approval after the debit was given up
	NoteLateDecline                       // a refusal after the debit was given up
	NoteUnmatched                         // a reply to nothing we know
	NoteBadMAC                            // a reply with a bad code or none
	NoteMismatch                          // a reply that is not its request's
	NoteUnknownCode                       // a DE 39 in no class
	NoteInquiryVain                       // an inquiry brought no proof: the debit is reversed
	NoteReversalAgain                     // a reversal was not answered finally and is repeated
	NoteReversalStuck                     // so many tries that an operator should look
	NoteNoOriginal                        // the bank does not know the original: for the day's match
	NoteCrossDay                          // a reversal that the bank forbids: a refund case
	NoteCardKept                          // the card said no or nothing; by its profile the payment stays
	NoteCardReversed                      // the card said no: the payment is taken back
	NoteCardLate                          // a card's word too late to count
	NoteLedgerOdd                         // the ledger refused what it cannot refuse
	NoteLedgerUnknown                     // a commit of unknown outcome
	NoteMemo                              // a memo could not be opened
	NoteSignOn                            // the bank wants a new sign-on
	NoteScriptLost                        // a script notice that the bank did not take
	noteEnd
)

var noteNames = [...]string{"", "undeclared event", "in doubt", "late approval", "late decline", "unmatched reply",
	"bad MAC", "reply mismatch", "unknown response code", "inquiry in vain", "reversal repeated", "reversal stuck", "no original",
	"cross-day reversal forbidden", "card refusal kept", "card refusal reversed", "late card outcome",
	"ledger refused", "commit unknown", "memo not opened", "sign-on wanted", "script notice lost"}

// String says what happened.
func (k NoteKind) String() string {
	if k == 0 || k >= noteEnd {
		return "NoteKind(?)"
	}
	return noteNames[k]
}

// Alarm tells whether a person must look at it.
func (k NoteKind) Alarm() bool {
	switch k {
	case NoteBadMAC, NoteMismatch, NoteUnknownCode, NoteReversalStuck, NoteCrossDay, NoteLedgerOdd, NoteMemo, NoteSignOn, NoteScriptLost, NoteUndeclared:
		return true
	case NoteDoubt, NoteLateApproval, NoteLateDecline, NoteUnmatched, NoteInquiryVain, NoteReversalAgain, NoteNoOriginal,
		NoteCardKept, NoteCardReversed, NoteCardLate, NoteLedgerUnknown, noteEnd:
	}
	return false
}
