package core

import (
	"github.com/shebao-pay/shebao/ledger/assess"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// due is one due in memory: 64 bytes without a pointer, because there are
// millions. Paid and dead ones leave when their day is sealed.
type due struct {
	id         si.DueID
	amount     si.Fen
	individual si.Fen   // the part for the individual account
	prev       si.DueID // the person's due before it, in memory or not
	person     si.PersonNo
	next       uint32 // another due of the person in memory
	pay        uint32 // HELD, PAID, REVERSING: slot of the payment
	rates      uint32 // version of the rate table it was computed from
	dueDay     si.BusinessDate
	period     si.Period
	version    uint16
	fund       si.Fund
	kind       ledgerapi.DueKind
	state      ledgerapi.DueState
	payer      ledgerapi.Payer
	lateRule   uint8
	reversals  uint8
	_          [4]byte
}

// dead tells whether the due can never be paid again.
func (d *due) dead() bool {
	switch d.state {
	case ledgerapi.DueWrittenOff, ledgerapi.DueRefunded, ledgerapi.DueCancelled, ledgerapi.DueReplaced:
		return true
	case ledgerapi.DueAssessed, ledgerapi.DueNoticed, ledgerapi.DueOpen, ledgerapi.DueStateHeld,
		ledgerapi.DueStatePaid, ledgerapi.DueReversing:
	}
	return false
}

// taken tells whether a payment has the due.
func (d *due) taken() bool {
	return d.state == ledgerapi.DueStateHeld || d.state == ledgerapi.DueStatePaid || d.state == ledgerapi.DueReversing
}

// Flags of a payment.
const (
	payByBank    = 1 << iota // came as Pay: no hold, no STAN of ours
	payUnposted              // was posted and taken back by Unpost
	payReversed              // ended by Reverse
	payInline                // dues is the id of the only due, without late fee
	paySuspense              // paid with money that was in suspense
	payCorrected             // taken back by CorrectUnpaid
	payAdvice                // posted, and an advice to its bank waits for the answer
)

// pay is one payment in memory: 120 bytes without a pointer. What only a
// payment at a terminal needs stands in its hold.
type pay struct {
	id          si.PaymentID
	fp          [16]byte // of the Reserve or Pay
	no          uint64   // in order of creation
	journal     uint64   // of the posting in force
	total       si.Fen
	at          int64  // ms of the Reserve or Pay
	ended       int64  // ms of the Post or Void, 0 while live
	dues        uint64 // n 1: the due's id; more: reference to n pairs of id and late fee
	person      si.PersonNo
	next        uint32 // the person's payment before this one
	hold        uint32
	receipt     uint32 // sequence; the date is receiptDate
	stan        uint32
	de7         uint32          // MMDDhhmmss as a number
	our         si.BusinessDate // of the Reserve or Pay
	bankDate    si.BusinessDate // as the evidence says
	book        si.BusinessDate // the date it is booked on, or was closed on
	receiptDate si.BusinessDate
	resp        [2]byte
	n           uint8
	bank        si.Bank
	channel     si.Channel
	state       ledgerapi.PayState
	flags       uint8
	proof       ledgerapi.Proof
}

// live tells whether the outcome is still open.
func (p *pay) live() bool {
	return p.state == ledgerapi.PayReserved || p.state == ledgerapi.PayReversing
}

// hold is the part of a payment that goes over one of our bank links.
type hold struct {
	endFP    [16]byte // of the Post or Void that was accepted last
	terminal si.Terminal
	batch    uint32
	rrn      uint32
	memo     uint32 // reference to memoLen bytes
	live     uint32 // 1 + position in machine.live, 0 if the outcome is known
	memoLen  uint16
	acq      uint16 // index of machine.acquirers
	auth     [6]byte
	reason   [2]byte
	cardKind uint8
	source   ledgerapi.Source
	unpost   ledgerapi.UnpostReason
}

// person is one person's record; its slot is its number.
type person struct {
	idHash    si.Hash
	sealed    uint32 // reference to sealedLen bytes
	sealedLen uint16
	version   uint16
	household si.AreaCode
	birth     si.BirthMonth
	ptype     si.PType
	sex       uint8
	flags     ledgerapi.PersonFlags
	past      uint16   // greatest Start of the period of a due that left memory
	lastDue   si.DueID // heads of the lists through prev
	oldPay    uint64   // number of the payment that left memory last
	dues      uint32   // heads of the lists through next; dues are in order of period
	pays      uint32
	cards     uint32
	notices   uint32
}

// card is one registered card; slots are in order of registration.
type card struct {
	cardHash si.Hash
	noHash   si.Hash
	panHash  si.Hash
	person   si.PersonNo
	next     uint32
	since    si.BusinessDate
	bank     si.Bank
	state    ledgerapi.CardState
	source   ledgerapi.CardSource
}

// notice is one payment notice; slots are in order of making.
type notice struct {
	no     si.NoticeNo
	dues   uint64 // n 1: the due's id; more: reference to n ids
	person si.PersonNo
	next   uint32
	date   si.BusinessDate
	valid  si.BusinessDate
	n      uint8
}

// ack remembers a command that is no payment, with what its result said.
type ack struct {
	id          si.PaymentID
	fp          [16]byte
	at          int64
	notice      si.NoticeNo
	total       si.Fen
	due         si.DueID
	no          uint64
	journal     uint64
	person      si.PersonNo
	count       uint32
	version     uint32
	receipt     uint32
	reasons     uint32
	our         si.BusinessDate
	bank        si.BusinessDate
	receiptDate si.BusinessDate
	state       ledgerapi.PayState
}

// individual is one year of one individual account.
type individual struct {
	key     indivKey
	paid    si.Fen
	subsidy si.Fen
}

type indivKey struct {
	person si.PersonNo
	year   uint16
	fund   si.Fund
}

// columns are the four columns of an account.
type columns struct{ postedDr, postedCr, pendingDr, pendingCr si.Fen }

// funds is one more than the last insurance type: arrays are indexed by it.
const funds = int(si.Maternity) + 1

// book is the book of a fund: its accounts, and the date through which income
// was closed last.
type book struct {
	acc    [accounts]columns
	closed si.BusinessDate
}

// day is one bank's business date in the books.
type day struct {
	date    si.BusinessDate
	changed bool           // since the last checkpoint
	from    uint64         // no row of the journal about the date has a lower number
	funds   [funds]dayFund // index 0 is the whole; it has no clearing and no income
}

// dayFund is a fund's part in a bank's business date.
type dayFund struct {
	clearing            columns // 1191 of the bank date
	payments, reversals Sum
	// Income booked on the date by payments, red entries taken off.
	pool, indiv, late si.Fen
	// What moved the clearing account beside payments, on whatever date.
	batch, suspense, corrected, credited si.Fen
}

// meet notes that the date is about to change, or a row to be written about it.
func (d *day) meet(journal uint64) {
	d.changed = true
	if d.from == 0 {
		d.from = max(journal, 1)
	}
}

// bank is the ledger's side of one bank.
type bank struct {
	open, prev si.BusinessDate
	rrn        uint32         // last sequence given on the open date
	days       []*day         // ascending by date
	deposit    [funds]columns // 1002 of the bank
}

// day gives the books of a date, making them at its first entry.
func (b *bank) day(date si.BusinessDate) *day {
	i := len(b.days)
	for i > 0 && b.days[i-1].date >= date {
		i--
	}
	if i < len(b.days) && b.days[i].date == date {
		return b.days[i]
	}
	b.days = append(b.days, nil)
	copy(b.days[i+1:], b.days[i:])
	b.days[i] = &day{date: date}
	return b.days[i]
}

// acquirer is one DE 41 of a bank with its trace numbers.
type acquirer struct {
	bank si.Bank
	de41 [8]byte
	stan uint32 // the last one given
}

type acqKey [9]byte

func keyOfAcquirer(b si.Bank, de41 [8]byte) (k acqKey) {
	k[0] = byte(b)
	copy(k[1:], de41[:])
	return k
}

// traceKey is what must be unique among live payments of a link.
type traceKey struct {
	acq  uint16
	stan uint32
	de7  uint32
}

// receiptDay is the sequence of one date and the payments by it.
type receiptDay struct {
	date  si.BusinessDate
	last  uint32
	slots []uint32 // by sequence - 1; 0 if the payment left memory
	left  int      // of slots that are not 0
}

// rates is one version of the rate table.
type rates struct {
	from    si.BusinessDate
	version uint32
	table   *assess.Table
}

// facts is one version of a bank's facts.
type facts struct {
	from    si.BusinessDate
	name    string
	version uint32
	facts   *BankFacts
}

// config is one version of a piece of business data.
type config struct {
	kind    ledgerapi.ConfigKind
	name    string
	version uint32
	from    si.BusinessDate
	maker   si.Actor
	checker si.Actor
	body    []byte
}
