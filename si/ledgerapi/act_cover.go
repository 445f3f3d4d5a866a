package ledgerapi

import (
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi/wire"
)

// Enrol begins a person's cover in an insurance type (参保登记). BAD_TRANSITION
// carries the Reasons why not. An import, which has no consent record, is held to
// cover that is there and to death alone, and may leave Rates 0.
type Enrol struct {
	Person  si.PersonNo
	Fund    si.Fund
	PType   si.PType
	Base    si.Fen    // declared base, or the grade's own amount
	From    si.Period // first month or year owed
	Rates   uint32    // version of the rate table that Base was chosen from
	Consent [16]byte  // id of the consent record, zero for an import
}

// Type is the number of the command in the log.
func (*Enrol) Type() Type { return TypeEnrol }

func (c *Enrol) fields(f *wire.Form) {
	wire.U32(f, &c.Person)
	wire.U8(f, &c.Fund)
	wire.U8(f, &c.PType)
	wire.U64(f, &c.Base)
	wire.U16(f, &c.From)
	wire.U32(f, &c.Rates)
	f.Fixed(c.Consent[:])
}

// CoverAct names the live cover of a person in a fund, and from when it changes.
type CoverAct struct {
	Person si.PersonNo
	Fund   si.Fund
	From   si.Period
}

func (c *CoverAct) fields(f *wire.Form) {
	wire.U32(f, &c.Person)
	wire.U8(f, &c.Fund)
	wire.U16(f, &c.From)
}

// Suspend pauses cover (停保, 暂停缴费). ASSESSED and NOTICED dues from then on
// are cancelled, open ones stay; refused while one of them is held. Result:
// Count of dues cancelled.
type Suspend struct{ CoverAct }

// Type is the number of the command in the log.
func (*Suspend) Type() Type { return TypeSuspend }

// Resume ends a pause (续保). Result: Count of months in between that may be
// paid back, 0 where the region does not allow it.
type Resume struct{ CoverAct }

// Type is the number of the command in the log.
func (*Resume) Type() Type { return TypeResume }

// ChangeGrade changes grade or declared base for periods that are neither paid
// nor held (档次变更). Arrears stay as they are. Result: Count of dues replaced.
type ChangeGrade struct {
	CoverAct
	Base  si.Fen
	Rates uint32
}

// Type is the number of the command in the log.
func (*ChangeGrade) Type() Type { return TypeChangeGrade }

func (c *ChangeGrade) fields(f *wire.Form) {
	c.CoverAct.fields(f)
	wire.U64(f, &c.Base)
	wire.U32(f, &c.Rates)
}

// TransferOut ends cover here because it goes on in another region (转出). From
// is the first period that is no longer ours; ASSESSED and NOTICED dues from then
// on are cancelled. Refused while a due of the fund is held. Result: No, the number of the
// certificate (参保凭证); Count and Total of the arrears that it lists.
type TransferOut struct {
	CoverAct
	To si.AreaCode
}

// Type is the number of the command in the log.
func (*TransferOut) Type() Type { return TypeTransferOut }

func (c *TransferOut) fields(f *wire.Form) {
	c.CoverAct.fields(f)
	wire.U32(f, &c.To)
}

// TransferIn begins cover from another region's certificate (转入). Unless
// Verified, the cover is marked and a case is opened for the desk. Result: No,
// the number of that case, 0 if none.
type TransferIn struct {
	Enrol
	Area     si.AreaCode // of the certificate
	Start    si.Period   // what it says of the cover there
	End      si.Period
	Months   uint16
	Paid     si.Fen
	Issued   si.BusinessDate
	Verified bool // the other region is one of ours and says that it ended
}

// Type is the number of the command in the log.
func (*TransferIn) Type() Type { return TypeTransferIn }

func (c *TransferIn) fields(f *wire.Form) {
	c.Enrol.fields(f)
	wire.U32(f, &c.Area)
	wire.U16(f, &c.Start)
	wire.U16(f, &c.End)
	wire.U16(f, &c.Months)
	wire.U64(f, &c.Paid)
	wire.U16(f, &c.Issued)
	f.Bool(&c.Verified)
}

// TerminateReason says why cover ended.
type TerminateReason uint8

// The reasons.
const (
	TerminateDeath TerminateReason = iota + 1
	TerminateRetired
	TerminateEmigrated
	TerminateMerged
)

// Terminate ends cover for good (终止). Fund 0 with TerminateDeath ends all of a
// person's cover (死亡上报): unpaid dues of periods after the month of From are
// cancelled, open ones too, every mandate with them, and the person is marked
// deceased. For the other reasons dues are as with Suspend. Result: Count of dues
// cancelled.
type Terminate struct {
	CoverAct
	Reason TerminateReason
}

// Type is the number of the command in the log.
func (*Terminate) Type() Type { return TypeTerminate }

func (c *Terminate) fields(f *wire.Form) {
	c.CoverAct.fields(f)
	wire.U8(f, &c.Reason)
}

// Scope is what a proxy may do, as a bit set.
type Scope uint8

// The scopes.
const (
	ScopeLook Scope = 1 << iota
	ScopePay
	ScopeCover
	ScopePaper
)

// Proxy lets one person act for another until a day, inclusive (委托授权). Scope
// 0 ends it.
type Proxy struct {
	Person si.PersonNo
	Agent  si.PersonNo
	Scope  Scope
	Until  si.BusinessDate
}

// Type is the number of the command in the log.
func (*Proxy) Type() Type { return TypeProxy }

func (c *Proxy) fields(f *wire.Form) {
	wire.U32(f, &c.Person)
	wire.U32(f, &c.Agent)
	wire.U8(f, &c.Scope)
	wire.U16(f, &c.Until)
}

// Bind gives a person a mobile number, as hash and sealed blob (手机绑定). A zero
// hash ends the binding.
type Bind struct {
	Person si.PersonNo
	Phone  si.Hash
	OptOut bool // no messages beyond codes and money
	Sealed []byte
}

// Type is the number of the command in the log.
func (*Bind) Type() Type { return TypeBind }

func (c *Bind) fields(f *wire.Form) {
	wire.U32(f, &c.Person)
	f.Fixed(c.Phone[:])
	f.Bool(&c.OptOut)
	f.Blob(&c.Sealed, MaxSealed)
}

// CertifyKind is how a pensioner was seen to be alive.
type CertifyKind uint8

// The kinds of evidence. No image is kept of any.
const (
	CertifyPINAndCard CertifyKind = iota + 1
	CertifyClerk
	CertifyRegister
	CertifyVisit
)

// Certify records a life certification (生存认证).
type Certify struct {
	Person si.PersonNo
	Kind   CertifyKind
	On     si.BusinessDate
	Until  si.BusinessDate // valid until, inclusive
	Next   si.BusinessDate // when the next one is asked for
}

// Type is the number of the command in the log.
func (*Certify) Type() Type { return TypeCertify }

func (c *Certify) fields(f *wire.Form) {
	wire.U32(f, &c.Person)
	wire.U8(f, &c.Kind)
	wire.U16(f, &c.On)
	wire.U16(f, &c.Until)
	wire.U16(f, &c.Next)
}

// CaseNo numbers the cases (办件) of a region.
type CaseNo uint64

// CaseKind is what a case is about.
type CaseKind uint8

// The kinds.
const (
	CaseTransferIn CaseKind = iota + 1
	CasePayment
	CaseRefund
	CaseCover
	CaseRecord
	CaseDevice
)

// CaseState is where a case is.
type CaseState uint8

// The states.
const (
	CaseNew CaseState = iota + 1
	CaseAccepted
	CaseWaiting // for the citizen
	CaseDone
	CaseRefused
)

// CaseOpen begins a case. Result: No, its number.
type CaseOpen struct {
	Kind     CaseKind
	Person   si.PersonNo  // 0 if unknown
	Payment  si.PaymentID // zero if none
	Office   string
	Deadline si.BusinessDate
	Note     string
}

// Type is the number of the command in the log.
func (*CaseOpen) Type() Type { return TypeCaseOpen }

func (c *CaseOpen) fields(f *wire.Form) {
	wire.U8(f, &c.Kind)
	wire.U32(f, &c.Person)
	f.Fixed(c.Payment[:])
	f.Text(&c.Office, MaxOffice)
	wire.U16(f, &c.Deadline)
	f.Text(&c.Note, MaxNote)
}

// CaseMove moves a case on.
type CaseMove struct {
	Case  CaseNo
	To    CaseState
	Owner si.Actor
	Note  string
}

// Type is the number of the command in the log.
func (*CaseMove) Type() Type { return TypeCaseMove }

func (c *CaseMove) fields(f *wire.Form) {
	wire.U64(f, &c.Case)
	wire.U8(f, &c.To)
	wire.U32(f, &c.Owner)
	f.Text(&c.Note, MaxNote)
}

// BookingNo numbers the appointments of a region.
type BookingNo uint64

// Book takes an appointment (预约): a place in a slot of an office. Result: No,
// its number; BAD_TRANSITION if the slot is full.
type Book struct {
	Person   si.PersonNo
	Office   string
	Date     si.BusinessDate
	Minute   uint16 // of the day at which the slot begins
	Capacity uint16 // of the slot, from the office's table
	Service  uint8
}

// Type is the number of the command in the log.
func (*Book) Type() Type { return TypeBook }

func (c *Book) fields(f *wire.Form) {
	wire.U32(f, &c.Person)
	f.Text(&c.Office, MaxOffice)
	wire.U16(f, &c.Date)
	wire.U16(f, &c.Minute)
	wire.U16(f, &c.Capacity)
	wire.U8(f, &c.Service)
}

// CancelBooking gives an appointment back.
type CancelBooking struct{ Booking BookingNo }

// Type is the number of the command in the log.
func (*CancelBooking) Type() Type { return TypeCancelBooking }

func (c *CancelBooking) fields(f *wire.Form) { wire.U64(f, &c.Booking) }

// StatementNo numbers the statements of rights (权益单) of a region.
type StatementNo uint64

// IssueStatement records that a statement was issued, by the hash of its
// canonical data. Result: No, its number.
type IssueStatement struct {
	Person si.PersonNo
	Kind   uint8
	From   si.Period
	To     si.Period
	Hash   [32]byte
}

// Type is the number of the command in the log.
func (*IssueStatement) Type() Type { return TypeIssueStatement }

func (c *IssueStatement) fields(f *wire.Form) {
	wire.U32(f, &c.Person)
	wire.U8(f, &c.Kind)
	wire.U16(f, &c.From)
	wire.U16(f, &c.To)
	f.Fixed(c.Hash[:])
}

// MandateNo numbers the mandates (代扣签约) of a region.
type MandateNo uint64

// FundSet is a set of insurance types: bit n is fund n.
type FundSet uint16

// MaxAgreement bounds a bank's agreement number, in bytes.
const MaxAgreement = 32

// MandateState is where a mandate is.
type MandateState uint8

// The states.
const (
	MandateSigned    MandateState = iota + 1 // waiting for the bank
	MandateActive                            // the bank agrees
	MandateSuspended                         // the card was replaced
	MandateCancelled
)

// MandateSign is a citizen's standing leave to debit an account. Signing again
// what is signed already answers EXISTS; signing a suspended one again keeps its
// number. The account is that of a card of the person's in use. Result: No, the mandate's number.
type MandateSign struct {
	Person  si.PersonNo
	Funds   FundSet
	Bank    si.Bank
	Account si.Hash // of the account's number
	Limit   si.Fen  // of one debit, 0 for none
	Channel si.Channel
	Consent [16]byte
}

// Type is the number of the command in the log.
func (*MandateSign) Type() Type { return TypeMandateSign }

func (c *MandateSign) fields(f *wire.Form) {
	wire.U32(f, &c.Person)
	wire.U16(f, &c.Funds)
	wire.U8(f, &c.Bank)
	f.Fixed(c.Account[:])
	wire.U64(f, &c.Limit)
	wire.U8(f, &c.Channel)
	f.Fixed(c.Consent[:])
}

// MandateMove is the bank's word, a replaced card or a cancellation. Cancelling
// what is cancelled answers EXISTS. Bank names the bank that cancels from its
// side, which must be the one that signed; 0 for our side.
type MandateMove struct {
	Mandate   MandateNo
	To        MandateState
	Bank      si.Bank
	Agreement string // the bank's number, with MandateActive
}

// Type is the number of the command in the log.
func (*MandateMove) Type() Type { return TypeMandateMove }

func (c *MandateMove) fields(f *wire.Form) {
	wire.U64(f, &c.Mandate)
	wire.U8(f, &c.To)
	wire.U8(f, &c.Bank)
	f.Text(&c.Agreement, MaxAgreement)
}
