package ledgerapi

import "github.com/shebao-pay/shebao/si"

// Type is a command's number in the log. It never changes.
type Type uint8

// The commands. The numbers leave room beside each group.
const (
	TypeReserve  Type = 1
	TypeAnnotate Type = 2
	TypePost     Type = 3
	TypeVoid     Type = 4
	TypePay      Type = 5
	TypeReverse  Type = 6
	TypeUnpost   Type = 7

	TypeAssess      Type = 20
	TypeNotice      Type = 21
	TypeOpen        Type = 22
	TypeReplace     Type = 23
	TypeCancel      Type = 24
	TypeBackPay     Type = 25
	TypeWriteOff    Type = 26
	TypeSetLateRule Type = 27

	TypeEnrol       Type = 30
	TypeSuspend     Type = 31
	TypeResume      Type = 32
	TypeChangeGrade Type = 33
	TypeTransferOut Type = 34
	TypeTransferIn  Type = 35
	TypeTerminate   Type = 36

	TypePutPerson      Type = 40
	TypePutCard        Type = 41
	TypeProxy          Type = 42
	TypeBind           Type = 43
	TypeCertify        Type = 44
	TypeCaseOpen       Type = 45
	TypeCaseMove       Type = 46
	TypeBook           Type = 47
	TypeCancelBooking  Type = 48
	TypeIssueStatement Type = 49
	TypeMandateSign    Type = 50
	TypeMandateMove    Type = 51
	TypeRunOpen        Type = 55
	TypeRunLine        Type = 56
	TypeRunMove        Type = 57

	TypeCutover       Type = 60
	TypeSealDay       Type = 61
	TypeDaySignature  Type = 62
	TypeFileRegister  Type = 63
	TypeBreakOpen     Type = 64
	TypeBreakMove     Type = 65
	TypeBreakResolve  Type = 66
	TypeFundsCredited Type = 67
	TypeSweep         Type = 68
	TypeSuspenseIn    Type = 69
	TypeSuspenseUse   Type = 70
	TypeRefundApprove Type = 71
	TypeRefundMove    Type = 72
	TypeRefundPaid    Type = 73
	TypeCorrectUnpaid Type = 74
	TypeInterest      Type = 75
	TypePeriodClose   Type = 76
	TypeAuditAnchor   Type = 77

	TypePutConfig   Type = 80
	TypePutTerminal Type = 81
	TypePutUser     Type = 82
	TypeApprove     Type = 90
)

// Command is one request to change the ledger. Commands are values: the ledger
// encodes one before Submit returns and keeps no reference to it.
type Command interface {
	Type() Type
	// Key is the 16-byte id that makes the command idempotent: the payment id,
	// or a client-made id for commands that are no payment.
	Key() si.PaymentID
	// AppendBody appends the canonical body without header and id.
	AppendBody(dst []byte) []byte
}

// DueRef names a due as the citizen saw it. A payment is refused if any part
// of it has changed.
type DueRef struct {
	ID      si.DueID
	Version uint16
	Amount  si.Fen
	LateFee si.Fen // 滞纳金, collected with the due as a separate amount
}

// MaxDues is how many dues one payment may hold: two years of monthly dues,
// the most a citizen is asked to look over before one PIN.
const MaxDues = 24

// MaxMemo bounds settlement's sealed note on a reservation, in bytes.
const MaxMemo = 1024

// Reserve holds dues for one payment before a debit is asked of a bank. When it
// answers OK, the 0200 may have been sent.
type Reserve struct {
	ID       si.PaymentID
	Channel  si.Channel
	Terminal si.Terminal
	Acq      [8]byte // DE 41 of the bank link that will carry it
	Batch    uint32  // DE 60.2 of that link, 0 where the dialect has none
	Bank     si.Bank
	CardKind uint8
	Dues     []DueRef
	Total    si.Fen // dues and late fees
	OurDate  si.BusinessDate
	Memo     []byte
}

// Stage is how far settlement's effort for a payment has gone.
type Stage uint8

// The stages; a live payment goes from the first to the second and never back.
// The others are of a posted one: an advice to its bank waits for the bank's
// answer, and waits no more. They change nothing but the memo.
const (
	StageReserved  Stage = 1
	StageReversing Stage = 2
	StageAdvice    Stage = 3
	StageAdvised   Stage = 4
)

// Annotate replaces the memo of a live payment, or of a posted one that went over
// one of our links, until its date leaves memory. Stage StageReversing must be
// durable before the first 0400 or 0420 leaves; from then on no approval from
// the wire is accepted.
type Annotate struct {
	ID     si.PaymentID
	Stage  Stage
	Reason [2]byte // DE 39 of the reversal: 98, A0, 06
	Memo   []byte
}

// Source says where the evidence of a posting comes from.
type Source uint8

// The sources of evidence.
const (
	SourceWire Source = iota + 1
	SourceInquiry
	SourceFile
	SourceDesk
)

// Evidence is what proves that the bank debited the account.
type Evidence struct {
	Source     Source
	Resp       [2]byte // DE 39
	Auth       [6]byte // DE 38, zero bytes if none
	HostSerial string  // the bank's own serial, at most 20 characters
	BankRRN    [12]byte
	BankDate   si.BusinessDate // DE 15, 0 if none that may be trusted
	MACOK      bool
	KeyGen     uint32
}

// Post makes the dues of a reserved payment paid.
type Post struct {
	ID       si.PaymentID
	Evidence Evidence
	Maker    si.Actor // both 0 unless Source is FILE or DESK
	Checker  si.Actor
}

// Proof says why a hold may end.
type Proof uint8

// The proofs that no money is with us.
const (
	ProofNotSent Proof = iota + 1
	ProofDeclined
	ProofReversalAck
	ProofFileAbsent
	ProofDesk
)

// Void ends a hold; the dues are open again. An unknown id becomes a tombstone.
type Void struct {
	ID      si.PaymentID
	Proof   Proof
	Resp    [2]byte // DE 39 that proved it, zero bytes if none
	Maker   si.Actor
	Checker si.Actor
}

// Pay reserves and posts in one record: the bank has taken the money and says so.
type Pay struct {
	ID         si.PaymentID
	Channel    si.Channel
	Bank       si.Bank
	Notice     si.NoticeNo // either a notice …
	Dues       []DueRef    // … or dues
	Total      si.Fen
	HostSerial string // DE 37, 12 characters
	BankDate   si.BusinessDate
	OurDate    si.BusinessDate
	STAN       uint32
	DE7        [10]byte
}

// Reverse undoes a Pay on its own settlement date at the bank's request. An
// unknown payment becomes a tombstone and answers OK with Unknown set.
type Reverse struct {
	ID       si.PaymentID
	Bank     si.Bank
	BankDate si.BusinessDate
	Reason   [2]byte
}

// UnpostReason says why an approved payment is taken back.
type UnpostReason uint8

// The reasons.
const (
	UnpostCardAAC UnpostReason = iota + 1
	UnpostCardRemoved
	UnpostARPC
	UnpostBankRequest
)

// Unpost takes a posted payment back to reversing by a red entry.
type Unpost struct {
	ID     si.PaymentID
	Reason UnpostReason
}

// DueKind is what a due is for.
type DueKind uint8

// The kinds; arrears are CURRENT dues whose day has passed.
const (
	DueCurrent DueKind = iota + 1
	DueBackPay
	DueSupplement
	DueYear
)

// Payer is who owes a due.
type Payer uint8

// The payers.
const (
	PayerPerson Payer = iota + 1
	PayerEmployer
	PayerGov
)

// AssessItem is one person's base in an Assess.
type AssessItem struct {
	Person si.PersonNo
	Base   si.Fen // declared base, or the grade's own amount for a grade row
}

// MaxAssess is how many persons one Assess may name.
const MaxAssess = 1000

// Assess makes dues of one kind and period for many persons. The rate table in
// force at that version decides the amounts; assessing twice changes nothing. Who
// is dead, or has cover in the fund that does not reach the period, is passed over.
type Assess struct {
	ID      si.PaymentID
	Fund    si.Fund
	PType   si.PType
	Period  si.Period
	Kind    DueKind
	DueDay  si.BusinessDate
	Version uint32 // of the rate table
	Later   bool   // the dues become payable by an Open, not at once
	// Undeclared asks for the employer's share alone, computed from last month's
	// instead of a base, which must be 0 (Social Insurance Law, art. 62).
	Undeclared bool
	Items      []AssessItem
}

// Notice makes the payment notice of a person, one per person and day. ASSESSED
// dues on it become NOTICED; they are payable by it once they are open.
type Notice struct {
	ID         si.PaymentID
	Person     si.PersonNo
	Date       si.BusinessDate
	ValidUntil si.BusinessDate
	Dues       []si.DueID // empty: all that are open, or else all that will be
}

// PersonFlags mark facts about a person.
type PersonFlags uint8

// The flags.
const (
	FlagRetired PersonFlags = 1 << iota
	FlagDeceased
	FlagLandRequisitioned
	FlagProxyAllowed
)

// PutPerson writes a person's record if its version is still ExpectVersion
// (0 for a new person, who is given the next number).
type PutPerson struct {
	ID            si.PaymentID
	ExpectVersion uint16
	IDHash        si.Hash
	PType         si.PType
	Household     si.AreaCode
	Birth         si.BirthMonth
	Sex           uint8 // 1, 2, 9 as on the card
	Flags         PersonFlags
	Sealed        []byte // name, ID number, phone, address; see hsmapi
}

// CardState is the state of a registered card.
type CardState uint8

// The states.
const (
	CardActive CardState = iota + 1
	CardLost
	CardReplaced
)

// CardSource says who vouched for the card.
type CardSource uint8

// The sources.
const (
	CardImport CardSource = iota + 1
	CardCounter
	CardBank
)

// PutCard registers the card of a person; an earlier ACTIVE one becomes REPLACED.
type PutCard struct {
	ID       si.PaymentID
	IDHash   si.Hash // finds the person
	CardHash si.Hash // 卡识别码
	NoHash   si.Hash // 卡号
	PANHash  si.Hash
	Bank     si.Bank
	State    CardState
	Source   CardSource
	Since    si.BusinessDate
}

// Cutover closes a bank's settlement date and opens the next in one record.
type Cutover struct {
	ID   si.PaymentID
	Bank si.Bank
	From si.BusinessDate
	To   si.BusinessDate
}

// SealDay freezes a business date of all banks; its payments leave memory.
type SealDay struct {
	ID   si.PaymentID
	Date si.BusinessDate
}

// ConfigKind is a kind of business data kept in the log.
type ConfigKind uint8

// The kinds.
const (
	ConfigBankProfile ConfigKind = iota + 1 // key: bank code; body: archive of spec and rules
	ConfigIINTable                          // key: region
	ConfigBankFacts                         // key: bank code
	ConfigRates                             // key: region
	ConfigOffices                           // key: region
	ConfigCalendar                          // key: year
	ConfigCover                             // key: region
)

// PutConfig puts a dated version of business data. Two persons.
type PutConfig struct {
	ID      si.PaymentID
	Kind    ConfigKind
	Name    string // at most 64 bytes
	From    si.BusinessDate
	Body    []byte // at most MaxConfig bytes
	Maker   si.Actor
	Checker si.Actor
}

// MaxConfig bounds one piece of business data, in bytes.
const MaxConfig = 192 << 10

// TerminalState is where a terminal is in its life.
type TerminalState uint8

// The states.
const (
	TerminalNew TerminalState = iota + 1
	TerminalInService
	TerminalLocked
	TerminalRetired
	TerminalRevoked
)

// PutTerminal writes a terminal's record.
type PutTerminal struct {
	ID       si.PaymentID
	Terminal si.Terminal
	Bank     si.Bank // whose outlet it stands in
	Outlet   string  // at most 32 bytes
	State    TerminalState
	CertHash [32]byte // SHA-256 of the certificate, zero before enrolment
}
