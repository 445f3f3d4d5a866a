package ledgerapi

import "github.com/shebao-pay/shebao/si"

// Code is a command's result. The list is closed; where several fit, the one
// that stands first is given.
type Code uint8

// The result codes in order of precedence.
const (
	OK                Code = iota + 1
	Exists                 // same id, same content: the first result again
	IDReused               // same id, other content
	DueHeld                // held by another payment: HeldBy
	DuePaid                // already paid
	DueChanged             // version or amount differs: Due, Now
	NotOldest              // an older due of the fund must go first: Due
	NotFound               //
	WrongRegion            //
	NoBeneficiary          // the region has no account at this bank
	SeqExhausted           //
	BadTransition          // the state does not allow it: State
	Tombstoned             // the id was closed before it was seen
	Sealed                 // the date is sealed
	NeedsSecondPerson      //
	SamePerson             //
	EvidenceWeak           // an approval without MAC
	Late                   // approval after the reversal was durable
	NotSameDay             // reversal of another date
	IDTooOld               //
	Malformed              // a field outside its range; nothing was changed
	codeEnd
)

var codeNames = [...]string{"", "OK", "EXISTS", "ID_REUSED", "DUE_HELD", "DUE_PAID", "DUE_CHANGED",
	"NOT_OLDEST", "NOT_FOUND", "WRONG_REGION", "NO_BENEFICIARY", "SEQ_EXHAUSTED", "BAD_TRANSITION",
	"TOMBSTONED", "SEALED", "NEEDS_SECOND_PERSON", "SAME_PERSON", "EVIDENCE_WEAK", "LATE",
	"NOT_SAME_DAY", "ID_TOO_OLD", "MALFORMED"}

// String writes the code's name, such as DUE_HELD.
func (c Code) String() string {
	if c == 0 || c >= codeEnd {
		return "Code(?)"
	}
	return codeNames[c]
}

// PayState is the ledger's state of a payment
// (docs/format/ledger-rows.md).
type PayState uint8

// The states.
const (
	PayNone      PayState = iota
	PayReserved           // dues held; the 0200 may have left
	PayReversing          // the reversal is durable and under way
	PayPosted             // dues paid
	PayVoided             // hold ended, nothing paid
	PayTombstone          // closed before it was seen
)

var payStateNames = [...]string{"NONE", "RESERVED", "REVERSING", "POSTED", "VOIDED", "TOMBSTONE"}

// String writes the state's name.
func (s PayState) String() string {
	if int(s) >= len(payStateNames) {
		return "PayState(?)"
	}
	return payStateNames[s]
}

// Result answers a command. Which fields carry a value depends on the command
// and the code; the others are zero.
type Result struct {
	Code  Code
	First Code // with Exists: the code of the first time
	State PayState

	STAN    uint32 // Reserve
	RRN     [12]byte
	DE7     [10]byte
	Receipt si.ReceiptNo // Post, Pay
	Journal uint64
	OurDate si.BusinessDate
	Bank    si.BusinessDate // bank date booked on
	Unknown bool            // Reverse of a payment never seen

	HeldBy si.PaymentID // DueHeld
	Due    si.DueID     // DueHeld, DuePaid, DueChanged, NotOldest
	Now    DueRef       // DueChanged

	Notice  si.NoticeNo // Notice
	Total   si.Fen
	Person  si.PersonNo // PutPerson
	Count   uint32      // Assess: dues made
	Version uint32      // PutConfig

	No      uint64 // number given to a case, break, mandate, refund, file, …
	Reasons uint32 // why a person is not eligible or an act cannot be done: a Reasons
}

// Waiting is an act that waits for a second person.
type Waiting struct {
	ID       si.PaymentID
	Maker    si.Actor
	AtMillis int64
	Do       Body
}

// DueState is the state of a due (docs/format/ledger-rows.md).
type DueState uint8

// The states.
const (
	DueAssessed DueState = iota + 1
	DueNoticed
	DueOpen
	DueStateHeld
	DueStatePaid
	DueReversing
	DueWrittenOff
	DueRefunded
	DueCancelled
	DueReplaced
)

var dueStateNames = [...]string{"", "ASSESSED", "NOTICED", "OPEN", "HELD", "PAID", "REVERSING",
	"WRITTEN_OFF", "REFUNDED", "CANCELLED", "REPLACED"}

// String writes the state's name.
func (s DueState) String() string {
	if s == 0 || int(s) >= len(dueStateNames) {
		return "DueState(?)"
	}
	return dueStateNames[s]
}

// Due is a view of one due.
type Due struct {
	Ref    DueRef
	Person si.PersonNo
	Fund   si.Fund
	Period si.Period
	Kind   DueKind
	Payer  Payer
	State  DueState
	DueDay si.BusinessDate
	HeldBy si.PaymentID // HELD and PAID: the payment
}

// Person is a view of a person's record.
type Person struct {
	No        si.PersonNo
	IDHash    si.Hash
	Region    si.Region
	PType     si.PType
	Household si.AreaCode
	Birth     si.BirthMonth
	Sex       uint8
	Flags     PersonFlags
	Version   uint16
	Sealed    []byte
}

// Card is a view of a registered card.
type Card struct {
	Person   si.PersonNo
	CardHash si.Hash
	NoHash   si.Hash
	PANHash  si.Hash
	Bank     si.Bank
	State    CardState
	Source   CardSource
	Since    si.BusinessDate
}

// Payment is a view of one payment.
type Payment struct {
	ID       si.PaymentID
	State    PayState
	Channel  si.Channel
	Terminal si.Terminal
	Acq      [8]byte
	Batch    uint32
	Bank     si.Bank
	Person   si.PersonNo // of the first due
	STAN     uint32
	RRN      [12]byte
	DE7      [10]byte
	Dues     []Due // as they stand now, amounts as paid
	Total    si.Fen
	OurDate  si.BusinessDate
	BankDate si.BusinessDate
	Receipt  si.ReceiptNo
	Auth     [6]byte
	Reason   [2]byte // of the reversal
	Resp     [2]byte // of the last evidence or proof
	Proof    Proof
	Memo     []byte
	Advice   bool  // posted, and an advice to its bank waits for the answer
	AtMillis int64 // of the reserve or pay
	EndedAt  int64 // of the post or void
}

// NoticeView is a payment notice recomputed at the moment of asking.
type NoticeView struct {
	No         si.NoticeNo
	Person     si.PersonNo
	ValidUntil si.BusinessDate
	Dues       []Due  // open ones
	Total      si.Fen // of the open ones, late fees included
	Ahead      []Due  // ASSESSED and NOTICED ones: not payable yet
	Paid       bool   // nothing is open because all was paid
	Held       bool   // some due is held by another payment
}

// Config is one version of business data.
type Config struct {
	Kind    ConfigKind
	Name    string
	Version uint32
	From    si.BusinessDate
	Body    []byte
}
