package ledgerapi

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi/wire"
)

// RunNo numbers the auto-debit runs (批量代扣) of a region.
type RunNo uint32

// RunState is where a run is.
type RunState uint8

// The states, in order.
const (
	RunCreated RunState = iota + 1
	RunSent
	RunAcked
	RunRejected // the bank says that it did not process the file
	RunResult   // every line is answered
	RunFundsConfirmed
	RunPosted
	RunClosed
)

// RunOpen begins a run of one bank and day. Result: No, its number.
type RunOpen struct {
	Bank si.Bank
	Date si.BusinessDate
}

// Type is the number of the command in the log.
func (*RunOpen) Type() Type { return TypeRunOpen }

func (c *RunOpen) fields(f *wire.Form) {
	wire.U8(f, &c.Bank)
	wire.U16(f, &c.Date)
}

// LineResult is a bank's answer to one line of a run.
type LineResult uint8

// The results.
const (
	LineNone LineResult = iota
	LineSuccess
	LineInsufficient
	LineCardReplaced
	LineOutOfDate
	LineFrozen
	LineSystemFault
	LineDuplicate
)

// RunLine adds a line to a created run (Result 0: the dues are held by the
// payment whose id is that of run and line), or says how the bank answered it.
type RunLine struct {
	Run     RunNo
	Line    uint32
	Mandate MandateNo
	Dues    []DueRef
	Total   si.Fen
	Result  LineResult
	Serial  string // host serial, with LineSuccess
	Date    si.BusinessDate
}

// Type is the number of the command in the log.
func (*RunLine) Type() Type { return TypeRunLine }

func (c *RunLine) fields(f *wire.Form) {
	wire.U32(f, &c.Run)
	wire.U32(f, &c.Line)
	wire.U64(f, &c.Mandate)
	wire.List(f, &c.Dues, MaxDues, dueRefFields)
	wire.U64(f, &c.Total)
	wire.U8(f, &c.Result)
	f.Text(&c.Serial, MaxSerial)
	wire.U16(f, &c.Date)
}

func dueRefFields(f *wire.Form, d *DueRef) {
	wire.U64(f, &d.ID)
	wire.U16(f, &d.Version)
	wire.U64(f, &d.Amount)
	wire.U64(f, &d.LateFee)
}

// RunMove moves a run on. RunFundsConfirmed needs two persons and the sum of
// the statement's credits, equal to that of the successes to the fen; the
// successes are then posted and the failures voided by commands of their own.
type RunMove struct {
	Run   RunNo
	To    RunState
	File  [32]byte // hash of the file sent or received, zero if none
	Count uint32   // what the bank's receipt or the statement says
	Sum   si.Fen
}

// Type is the number of the command in the log.
func (*RunMove) Type() Type { return TypeRunMove }

func (c *RunMove) fields(f *wire.Form) {
	wire.U32(f, &c.Run)
	wire.U8(f, &c.To)
	f.Fixed(c.File[:])
	wire.U32(f, &c.Count)
	wire.U64(f, &c.Sum)
}

// SignatureAlg is how a day head is signed.
type SignatureAlg uint8

// The algorithms.
const (
	SignEd25519 SignatureAlg = iota + 1
	SignSM2
)

// MaxSignature bounds a signature, in bytes.
const MaxSignature = 128

// DaySignature puts the signature of a sealed day's head into the log. The head
// it signs is named by its hash, so that a signature of another head is refused.
type DaySignature struct {
	Date      si.BusinessDate
	Head      [32]byte // SHA-256 of the day head's bytes
	Alg       SignatureAlg
	Key       [8]byte // first bytes of SHA-256 of the public key
	Signature []byte
}

// Type is the number of the command in the log.
func (*DaySignature) Type() Type { return TypeDaySignature }

func (c *DaySignature) fields(f *wire.Form) {
	wire.U16(f, &c.Date)
	f.Fixed(c.Head[:])
	wire.U8(f, &c.Alg)
	f.Fixed(c.Key[:])
	f.Blob(&c.Signature, MaxSignature)
}

// FileVerdict is what became of a file.
type FileVerdict uint8

// The verdicts.
const (
	FileAccepted FileVerdict = iota + 1
	FileQuarantined
)

// MaxFileName bounds a file's name, in bytes.
const MaxFileName = 128

// FileRegister records a bank file as received or sent, whole. The same bytes
// again answer EXISTS; other bytes need a higher version. Result: No, the file's
// number.
type FileRegister struct {
	Bank    si.Bank
	Kind    byte // T, D, A, M, B, R or J
	Date    si.BusinessDate
	Seq     uint16
	Version uint8
	Name    string
	Size    uint64
	SHA256  [32]byte
	Lines   uint32
	Sum     si.Fen // signed net
	Verdict FileVerdict
	Reason  uint8  // quarantine code
	Offset  uint64 // byte and line at fault
	Line    uint32
}

// Type is the number of the command in the log.
func (*FileRegister) Type() Type { return TypeFileRegister }

func (c *FileRegister) fields(f *wire.Form) {
	wire.U8(f, &c.Bank)
	wire.U8(f, &c.Kind)
	wire.U16(f, &c.Date)
	wire.U16(f, &c.Seq)
	wire.U8(f, &c.Version)
	f.Text(&c.Name, MaxFileName)
	wire.U64(f, &c.Size)
	f.Fixed(c.SHA256[:])
	wire.U32(f, &c.Lines)
	wire.U64(f, &c.Sum)
	wire.U8(f, &c.Verdict)
	wire.U8(f, &c.Reason)
	wire.U64(f, &c.Offset)
	wire.U32(f, &c.Line)
}

// BreakNo numbers the breaks (差错) of a region.
type BreakNo uint64

// BreakKind is the class of a break: 1 is B01, 25 is B25.
type BreakKind uint8

// LastBreak is the greatest class of a break.
const LastBreak BreakKind = 25

// MaxFields is how many fields a break may name, MaxField bounds each text.
const (
	MaxFields = 16
	MaxField  = 64
)

// FieldReason is one field in which the sources of a row differ.
type FieldReason struct{ Field, Terminal, Bank, Ledger string }

// BreakOpen records a row that does not match. Result: No, the break's number;
// EXISTS with it if the same row has one of the same class open.
type BreakOpen struct {
	Kind    BreakKind
	Bank    si.Bank
	Date    si.BusinessDate
	Payment si.PaymentID // zero if none
	Serial  string       // host serial, empty if none
	Amount  si.Fen       // at risk
	Reasons []FieldReason
}

// Type is the number of the command in the log.
func (*BreakOpen) Type() Type { return TypeBreakOpen }

func (c *BreakOpen) fields(f *wire.Form) {
	wire.U8(f, &c.Kind)
	wire.U8(f, &c.Bank)
	wire.U16(f, &c.Date)
	f.Fixed(c.Payment[:])
	f.Text(&c.Serial, MaxSerial)
	wire.U64(f, &c.Amount)
	wire.List(f, &c.Reasons, MaxFields, func(f *wire.Form, x *FieldReason) {
		f.Text(&x.Field, MaxField)
		f.Text(&x.Terminal, MaxField)
		f.Text(&x.Bank, MaxField)
		f.Text(&x.Ledger, MaxField)
	})
}

// BreakState is where a break is.
type BreakState uint8

// The states.
const (
	BreakNew BreakState = iota + 1
	BreakAssigned
	BreakProposed
	BreakReturned
	BreakEscalated
	BreakFollowUp // a refund is on its way
	BreakClosed
)

// BreakMove assigns, returns, escalates or closes a break that needs no entry.
type BreakMove struct {
	Break BreakNo
	To    BreakState
	Owner si.Actor
	Note  string
}

// Type is the number of the command in the log.
func (*BreakMove) Type() Type { return TypeBreakMove }

func (c *BreakMove) fields(f *wire.Form) {
	wire.U64(f, &c.Break)
	wire.U8(f, &c.To)
	wire.U32(f, &c.Owner)
	f.Text(&c.Note, MaxNote)
}

// MaxNested bounds the command inside a BreakResolve, in bytes.
const MaxNested = 2 << 10

// BreakResolve closes a break and does what resolves it in one record: Act is
// the number of the command inside (Post, Void, Unpost, CorrectUnpaid,
// SuspenseIn, SuspenseUse, RefundApprove), 0 for no entry. Two persons.
type BreakResolve struct {
	Break BreakNo
	Act   Type
	Key   si.PaymentID // id of the command inside
	Body  []byte       // its canonical body
	Note  string       // at least MinNote characters
}

// MinNote is how many characters the note of a resolution has at least.
const MinNote = 10

// Type is the number of the command in the log.
func (*BreakResolve) Type() Type { return TypeBreakResolve }

func (c *BreakResolve) fields(f *wire.Form) {
	wire.U64(f, &c.Break)
	wire.U8(f, &c.Act)
	f.Fixed(c.Key[:])
	f.Blob(&c.Body, MaxNested)
	f.Text(&c.Note, MaxNote)
}

// MaxStatementRef bounds the reference of a line of an account statement, in
// bytes. A reference is booked once per bank.
const MaxStatementRef = 35

// StatementLine is the line of a bank's account statement that shows the money.
type StatementLine struct {
	Bank si.Bank
	Date si.BusinessDate // booking date
	Ref  string          // the bank's reference of the line
}

func (c *StatementLine) fields(f *wire.Form) {
	wire.U8(f, &c.Bank)
	wire.U16(f, &c.Date)
	f.Text(&c.Ref, MaxStatementRef)
}

// FundAmount is an amount of one fund.
type FundAmount struct {
	Fund   si.Fund
	Amount si.Fen
}

// MaxFunds is how many funds an amount may be split by.
const MaxFunds = 8

func fundAmountFields(f *wire.Form, x *FundAmount) {
	wire.U8(f, &x.Fund)
	wire.U64(f, &x.Amount)
}

// FundsCredited books what the statement shows as come in for a bank date: Dr
// 1002 / Cr 1191 per fund. Run names the auto-debit run it is for, 0 otherwise.
type FundsCredited struct {
	StatementLine
	For   si.BusinessDate // bank date whose clearing it settles
	Funds []FundAmount
	Run   RunNo
}

// Type is the number of the command in the log.
func (*FundsCredited) Type() Type { return TypeFundsCredited }

func (c *FundsCredited) fields(f *wire.Form) {
	c.StatementLine.fields(f)
	wire.U16(f, &c.For)
	wire.List(f, &c.Funds, MaxFunds, fundAmountFields)
	wire.U32(f, &c.Run)
}

// Sweep books the transfer of an income account to the fiscal account (归集): Dr
// 1004 / Cr 1002 per fund. Two persons.
type Sweep struct {
	StatementLine
	Funds []FundAmount
}

// Type is the number of the command in the log.
func (*Sweep) Type() Type { return TypeSweep }

func (c *Sweep) fields(f *wire.Form) {
	c.StatementLine.fields(f)
	wire.List(f, &c.Funds, MaxFunds, fundAmountFields)
}

// SuspenseNo numbers receipts that nobody could name yet (暂收款).
type SuspenseNo uint64

// SuspenseIn books money that belongs to no payment: Dr 1191 / Cr 2001.02.
// Result: No, its number.
type SuspenseIn struct {
	Bank   si.Bank
	Date   si.BusinessDate // bank date
	Fund   si.Fund
	Amount si.Fen
	Break  BreakNo
	Serial string // host serial
}

// Type is the number of the command in the log.
func (*SuspenseIn) Type() Type { return TypeSuspenseIn }

func (c *SuspenseIn) fields(f *wire.Form) {
	wire.U8(f, &c.Bank)
	wire.U16(f, &c.Date)
	wire.U8(f, &c.Fund)
	wire.U64(f, &c.Amount)
	wire.U64(f, &c.Break)
	f.Text(&c.Serial, MaxSerial)
}

// SuspenseUse pays an open due with money in suspense: Dr 2001.02 / Cr 4001.
// Two persons. Result: Receipt, Journal.
type SuspenseUse struct {
	Suspense SuspenseNo
	Due      DueRef
}

// Type is the number of the command in the log.
func (*SuspenseUse) Type() Type { return TypeSuspenseUse }

func (c *SuspenseUse) fields(f *wire.Form) {
	wire.U64(f, &c.Suspense)
	dueRefFields(f, &c.Due)
}

// RefundNo numbers the refunds (退费) of a region.
type RefundNo uint64

// RefundApprove owes a payer money back: of one due of a posted payment, whole,
// or of money in suspense. Dr 4001 (or 2001.02) / Cr 2001.90. It goes to the
// original bank and account only. Two persons. Result: No, the refund's number.
type RefundApprove struct {
	Payment  si.PaymentID // zero for suspense
	Due      si.DueID
	Suspense SuspenseNo
	Amount   si.Fen
	Reason   string
}

// Type is the number of the command in the log.
func (*RefundApprove) Type() Type { return TypeRefundApprove }

func (c *RefundApprove) fields(f *wire.Form) {
	f.Fixed(c.Payment[:])
	wire.U64(f, &c.Due)
	wire.U64(f, &c.Suspense)
	wire.U64(f, &c.Amount)
	f.Text(&c.Reason, MaxNote)
}

// RefundState is where a refund is.
type RefundState uint8

// The states.
const (
	RefundApproved RefundState = iota + 1
	RefundSent
	RefundAccepted
	RefundDone // the statement shows the money gone out
	RefundFailed
	RefundWithdrawn
)

// RefundMove is what became of the instruction to the bank. Withdrawing one
// before it was sent, or after it failed, takes two persons and makes the due
// paid again.
type RefundMove struct {
	Refund RefundNo
	To     RefundState
	Resp   [2]byte // the bank's answer
}

// Type is the number of the command in the log.
func (*RefundMove) Type() Type { return TypeRefundMove }

func (c *RefundMove) fields(f *wire.Form) {
	wire.U64(f, &c.Refund)
	wire.U8(f, &c.To)
	f.Fixed(c.Resp[:])
}

// RefundPaid books the outgoing line of the statement: Dr 2001.90 / Cr 1002 of
// the original bank. Reopen makes the due payable again.
type RefundPaid struct {
	StatementLine
	Refund RefundNo
	Amount si.Fen
	Reopen bool
}

// Type is the number of the command in the log.
func (*RefundPaid) Type() Type { return TypeRefundPaid }

func (c *RefundPaid) fields(f *wire.Form) {
	c.StatementLine.fields(f)
	wire.U64(f, &c.Refund)
	wire.U64(f, &c.Amount)
	f.Bool(&c.Reopen)
}

// CorrectUnpaid takes back a posting that no bank has money for: a red entry,
// the dues open again. Two persons.
type CorrectUnpaid struct {
	Payment si.PaymentID
	Break   BreakNo
}

// Type is the number of the command in the log.
func (*CorrectUnpaid) Type() Type { return TypeCorrectUnpaid }

func (c *CorrectUnpaid) fields(f *wire.Form) {
	f.Fixed(c.Payment[:])
	wire.U64(f, &c.Break)
}

// Interest books interest of an income account: Dr 1002 / Cr 4003.
type Interest struct {
	StatementLine
	Funds []FundAmount
}

// Type is the number of the command in the log.
func (*Interest) Type() Type { return TypeInterest }

func (c *Interest) fields(f *wire.Form) {
	c.StatementLine.fields(f)
	wire.List(f, &c.Funds, MaxFunds, fundAmountFields)
}

// PeriodClose moves a fund's income accounts to its fund balance: Dr 4001, 4003,
// 4090 / Cr 300x. Through must be the last sealed date. Two persons.
type PeriodClose struct {
	Fund    si.Fund
	Through si.BusinessDate
}

// Type is the number of the command in the log.
func (*PeriodClose) Type() Type { return TypePeriodClose }

func (c *PeriodClose) fields(f *wire.Form) {
	wire.U8(f, &c.Fund)
	wire.U16(f, &c.Through)
}

// AuditAnchor puts the head of a node's audit log under the day seal. Numbers
// of one node only grow.
type AuditAnchor struct {
	Node string
	Seq  uint64
	Head [32]byte
}

// Type is the number of the command in the log.
func (*AuditAnchor) Type() Type { return TypeAuditAnchor }

func (c *AuditAnchor) fields(f *wire.Form) {
	f.Text(&c.Node, MaxName)
	wire.U64(f, &c.Seq)
	f.Fixed(c.Head[:])
}

// LinePayment is the id of the payment that holds the dues of a line: the
// midnight that begins the run's date, then the first ten bytes of SHA-256 over
// run and line.
func LinePayment(date si.BusinessDate, run RunNo, line uint32) (id si.PaymentID) {
	var b [8]byte
	binary.LittleEndian.PutUint32(b[:], uint32(run))
	binary.LittleEndian.PutUint32(b[4:], line)
	sum := sha256.Sum256(b[:])
	binary.BigEndian.PutUint64(b[:], uint64(date.Time().UnixMilli()))
	copy(id[:6], b[2:])
	copy(id[6:], sum[:])
	return id
}
