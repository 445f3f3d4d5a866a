package ledgerapi

import (
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi/wire"
)

// Act is every command that is no payment and came after the first version of
// the log: an id that makes it idempotent, and what to do.
type Act struct {
	ID si.PaymentID
	Do Body
}

// Body is what an Act does. The types of this package that implement it are the
// only ones: each states its number in the log and its fields, once.
type Body interface {
	Type() Type
	fields(f *wire.Form)
}

// Type is the number of the command in the log.
func (c Act) Type() Type { return c.Do.Type() }

// Key is the id that makes the command idempotent.
func (c Act) Key() si.PaymentID { return c.ID }

// AppendBody appends the canonical body.
func (c Act) AppendBody(dst []byte) []byte { return wire.Append(dst, c.Do.fields) }

// NewBody makes an empty body of a type, nil if the type is not an Act's.
func NewBody(t Type) Body {
	if int(t) < len(bodies) && bodies[t] != nil {
		return bodies[t]()
	}
	return nil
}

// DecodeAct reads the body of an Act, or gives ErrBody. Byte strings point into
// body.
func DecodeAct(t Type, body []byte) (Body, error) {
	b := NewBody(t)
	if b == nil || wire.Take(body, b.fields) != nil {
		return nil, ErrBody
	}
	return b, nil
}

// bodies makes an empty body by its type.
var bodies = func() (all [256]func() Body) {
	for _, make := range []func() Body{
		func() Body { return new(Open) },
		func() Body { return new(Replace) },
		func() Body { return new(Cancel) },
		func() Body { return new(BackPay) },
		func() Body { return new(WriteOff) },
		func() Body { return new(SetLateRule) },
		func() Body { return new(Enrol) },
		func() Body { return new(Suspend) },
		func() Body { return new(Resume) },
		func() Body { return new(ChangeGrade) },
		func() Body { return new(TransferOut) },
		func() Body { return new(TransferIn) },
		func() Body { return new(Terminate) },
		func() Body { return new(Proxy) },
		func() Body { return new(Bind) },
		func() Body { return new(Certify) },
		func() Body { return new(CaseOpen) },
		func() Body { return new(CaseMove) },
		func() Body { return new(Book) },
		func() Body { return new(CancelBooking) },
		func() Body { return new(IssueStatement) },
		func() Body { return new(MandateSign) },
		func() Body { return new(MandateMove) },
		func() Body { return new(RunOpen) },
		func() Body { return new(RunLine) },
		func() Body { return new(RunMove) },
		func() Body { return new(DaySignature) },
		func() Body { return new(FileRegister) },
		func() Body { return new(BreakOpen) },
		func() Body { return new(BreakMove) },
		func() Body { return new(BreakResolve) },
		func() Body { return new(FundsCredited) },
		func() Body { return new(Sweep) },
		func() Body { return new(SuspenseIn) },
		func() Body { return new(SuspenseUse) },
		func() Body { return new(RefundApprove) },
		func() Body { return new(RefundMove) },
		func() Body { return new(RefundPaid) },
		func() Body { return new(CorrectUnpaid) },
		func() Body { return new(Interest) },
		func() Body { return new(PeriodClose) },
		func() Body { return new(AuditAnchor) },
		func() Body { return new(PutUser) },
		func() Body { return new(Approve) },
	} {
		all[make().Type()] = make
	}
	return all
}()

// MaxNote bounds a note or reason that a person writes, in bytes: about three
// hundred Chinese characters.
const MaxNote = 1024

// Verdict is what the second person says.
type Verdict uint8

// The verdicts.
const (
	VerdictYes Verdict = iota + 1
	VerdictNo
)

// Approve is the second person's word on an Act that was answered
// NEEDS_SECOND_PERSON and has waited since. The checker is the record's actor.
// Yes does the act, under its own id, and answers what the act answers; No ends
// it. SAME_PERSON if the actor made it.
type Approve struct {
	Subject si.PaymentID // id of the act that waits
	Verdict Verdict
	Note    string
}

// Type is the number of the command in the log.
func (*Approve) Type() Type { return TypeApprove }

func (c *Approve) fields(f *wire.Form) {
	f.Fixed(c.Subject[:])
	wire.U8(f, &c.Verdict)
	f.Text(&c.Note, MaxNote)
}

// UserState is where a user of the console is in life.
type UserState uint8

// The states.
const (
	UserActive UserState = iota + 1
	UserLocked
	UserEnded
)

// Bounds of a user's record, in bytes.
const (
	MaxLogin      = 64
	MaxCredential = 512
)

// PutUser writes a user of console and tools: roles as a bit set whose meaning
// and exclusions are the console's, and credentials as a sealed blob. Two persons.
type PutUser struct {
	User       si.Actor
	Login      string
	Roles      uint32
	Bank       si.Bank // the only bank whose rows the user sees, 0 for all
	Office     string
	State      UserState
	Credential []byte
}

// Type is the number of the command in the log.
func (*PutUser) Type() Type { return TypePutUser }

func (c *PutUser) fields(f *wire.Form) {
	wire.U32(f, &c.User)
	f.Text(&c.Login, MaxLogin)
	wire.U32(f, &c.Roles)
	wire.U8(f, &c.Bank)
	f.Text(&c.Office, MaxOffice)
	wire.U8(f, &c.State)
	f.Blob(&c.Credential, MaxCredential)
}

// MaxOffice bounds an office's code, in bytes.
const MaxOffice = 16
