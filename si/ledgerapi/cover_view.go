package ledgerapi

import (
	"math/bits"
	"strings"

	"github.com/shebao-pay/shebao/si"
)

// CoverState is where one spell of a person's cover in an insurance type is
// (docs/spec/cover.md).
type CoverState uint8

// The states.
const (
	CoverNone CoverState = iota // no spell yet
	CoverActive
	CoverSuspended
	CoverTransferredOut
	CoverTerminated
	coverStateEnd
)

var coverStateNames = [...]string{"NONE", "ACTIVE", "SUSPENDED", "TRANSFERRED_OUT", "TERMINATED"}

// String writes the state's name.
func (s CoverState) String() string {
	if s >= coverStateEnd {
		return "CoverState(?)"
	}
	return coverStateNames[s]
}

// Live tells whether the spell goes on: ACTIVE or SUSPENDED.
func (s CoverState) Live() bool { return s == CoverActive || s == CoverSuspended }

// Reasons say why an act on a person's record cannot be done, as a bit set in
// Result.Reasons. The list is closed: a terminal has words for each.
type Reasons uint32

// The reasons. Those up to ReasonReview are why a person is not eligible; the
// state bits say in which state an act met the cover.
const (
	ReasonNotOffered   Reasons = 1 << iota // the region has no such cover for the person type
	ReasonTooYoung                         //
	ReasonTooOld                           //
	ReasonAgeUnknown                       // the region asks for an age, the register has no birth month
	ReasonHousehold                        // registered in another region
	ReasonLand                             // the register does not say that land was requisitioned
	ReasonRetired                          //
	ReasonDeceased                         //
	ReasonCovered                          // has live cover in this insurance type
	ReasonExcluded                         // has active cover that excludes this one
	ReasonReview                           // that cover came from another region and is not verified yet
	ReasonNotPensioner                     // Certify: neither retired nor registered as a retiree
	ReasonNoBackPay                        // BackPay: the region does not take this period any more

	ReasonFromNone Reasons = 1 << (iota + 3) // bit 16 + CoverState
	ReasonFromActive
	ReasonFromSuspended
	ReasonFromTransferredOut
	ReasonFromTerminated
)

// ReasonFrom is the bit of the state in which an act met the cover.
func ReasonFrom(s CoverState) Reasons { return ReasonFromNone << s }

var reasonNames = map[Reasons]string{
	ReasonNotOffered: "NOT_OFFERED", ReasonTooYoung: "TOO_YOUNG", ReasonTooOld: "TOO_OLD", ReasonAgeUnknown: "AGE_UNKNOWN",
	ReasonHousehold: "HOUSEHOLD", ReasonLand: "LAND", ReasonRetired: "RETIRED", ReasonDeceased: "DECEASED",
	ReasonCovered: "COVERED", ReasonExcluded: "EXCLUDED", ReasonReview: "REVIEW", ReasonNotPensioner: "NOT_PENSIONER",
	ReasonNoBackPay: "NO_BACK_PAY", ReasonFromNone: "FROM_NONE", ReasonFromActive: "FROM_ACTIVE",
	ReasonFromSuspended: "FROM_SUSPENDED", ReasonFromTransferredOut: "FROM_TRANSFERRED_OUT",
	ReasonFromTerminated: "FROM_TERMINATED",
}

// String writes the names of the set reasons in order of their bits, such as
// TOO_OLD|EXCLUDED.
func (r Reasons) String() string {
	var names []string
	for ; r != 0; r &= r - 1 {
		name, ok := reasonNames[1<<bits.TrailingZeros32(uint32(r))]
		if !ok {
			name = "?"
		}
		names = append(names, name)
	}
	return strings.Join(names, "|")
}

// Has tells whether the set has a fund.
func (s FundSet) Has(f si.Fund) bool { return f.Valid() && s&(1<<f) != 0 }

// FundsOf makes a set of funds.
func FundsOf(all ...si.Fund) (s FundSet) {
	for _, f := range all {
		s |= 1 << f
	}
	return s
}

// Valid tells whether the set has at least one fund and nothing else.
func (s FundSet) Valid() bool {
	return s != 0 && s&^FundsOf(si.PensionEmp, si.PensionRes, si.PensionGov, si.MedEmp, si.MedRes, si.Injury, si.Unemp, si.Maternity) == 0
}

// Cover is a view of one spell of cover.
type Cover struct {
	Person     si.PersonNo
	Fund       si.Fund
	Spell      uint8 // 1 for the first
	PType      si.PType
	State      CoverState
	Base       si.Fen // declared base, or the grade's own amount, as last changed
	Rates      uint32
	From       si.Period // first period owed
	To         si.Period // first period that is not covered any more, 0 while ACTIVE
	Consent    [16]byte
	Opened     si.BusinessDate
	Reason     TerminateReason // of a TERMINATED one
	Unverified bool            // came from another region that has not confirmed it
	Changes    []CoverChange   // oldest first, the beginning first of all
}

// CoverChange is one act in the history of a spell.
type CoverChange struct {
	Act   Type
	On    si.BusinessDate
	From  si.Period
	Base  si.Fen // in force after it
	Rates uint32
	Maker si.Actor
}

// Arrival is what another region's certificate said when cover came in.
type Arrival struct {
	Person si.PersonNo
	Fund   si.Fund
	Spell  uint8
	Area   si.AreaCode
	Start  si.Period
	End    si.Period
	Months uint16
	Paid   si.Fen
	Issued si.BusinessDate
	Case   CaseNo // the desk's case, 0 if the other region confirmed it
}

// CertificateNo numbers the certificates of cover (参保凭证) of a region.
type CertificateNo uint64

// Certificate is what a region gives along when cover goes to another one.
type Certificate struct {
	No           CertificateNo
	Person       si.PersonNo
	Fund         si.Fund
	Spell        uint8
	To           si.AreaCode
	Start        si.Period
	End          si.Period // first period that is not ours any more
	Months       uint16    // paid ones
	Paid         si.Fen
	ArrearsCount uint32
	Arrears      si.Fen
	Issued       si.BusinessDate
}

// Mandate is a view of a standing leave to debit.
type Mandate struct {
	No        MandateNo
	Person    si.PersonNo
	Funds     FundSet
	Bank      si.Bank
	Account   si.Hash
	Limit     si.Fen
	Channel   si.Channel
	State     MandateState
	Consent   [16]byte
	Agreement string
	Signed    si.BusinessDate // last
	Changed   si.BusinessDate
}

// Binding is a person's mobile number.
type Binding struct {
	Phone  si.Hash
	OptOut bool
	Since  si.BusinessDate
	Sealed []byte
}

// Certified is one life certification.
type Certified struct {
	Kind  CertifyKind
	On    si.BusinessDate
	Until si.BusinessDate
	Next  si.BusinessDate
	Maker si.Actor
}

// Agency is a view of one leave to act for another.
type Agency struct {
	Person si.PersonNo
	Agent  si.PersonNo
	Scope  Scope // 0 if it was ended
	Until  si.BusinessDate
}

// Case is a view of a case with its steps.
type Case struct {
	No       CaseNo
	Kind     CaseKind
	State    CaseState
	Person   si.PersonNo
	Payment  si.PaymentID
	Fund     si.Fund // of a CaseTransferIn, with Spell
	Spell    uint8
	Office   string
	Owner    si.Actor
	Opened   si.BusinessDate
	Deadline si.BusinessDate
	Note     string
	Steps    []CaseStep
}

// CaseStep is one move of a case.
type CaseStep struct {
	To    CaseState
	On    si.BusinessDate
	Owner si.Actor
	Maker si.Actor
	Note  string
}

// BookingState is whether an appointment stands.
type BookingState uint8

// The states.
const (
	BookingTaken BookingState = iota + 1
	BookingCancelled
)

// Booking is a view of an appointment.
type Booking struct {
	No      BookingNo
	Person  si.PersonNo
	Office  string
	Date    si.BusinessDate
	Minute  uint16
	Service uint8
	State   BookingState
}

// Statement is a view of a statement that was issued.
type Statement struct {
	No     StatementNo
	Person si.PersonNo
	Kind   uint8
	From   si.Period
	To     si.Period
	Hash   [32]byte
	Issued si.BusinessDate
}
