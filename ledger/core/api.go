package core

import (
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// Config is what a machine must know before its first record.
type Config struct {
	Region si.Region
	Area   si.AreaCode
	// Past answers for what has left memory. Nil means that nothing has: a new
	// ledger, a replay from the first record, a test.
	Past Past
	// Volatile machines are never checkpointed: they keep no journal rows and
	// no list of what changed, and hold what leaves the live state in a map.
	// For replays by verify, simulations and benchmarks.
	Volatile bool
	// sweepFirst is set by tests that want a day to leave memory in small steps.
	sweepFirst int
}

// Past reads rows that Changes has brought to durable storage. Apply asks it
// for ids and dues of sealed dates, so a row must be found from the moment
// Release is called. Rows of history are never altered afterwards, but those of
// BucketPaidBy and of dues, by a later checkpoint. Values need to be valid only
// until the next call.
type Past interface {
	// Get gives the value of a key.
	Get(b Bucket, key []byte) (value []byte, ok bool)
}

// Window is a bank's open business date.
type Window struct {
	Bank si.Bank
	Open si.BusinessDate
	Prev si.BusinessDate // the date before the last cutover, 0 if there was none
	// Sealed is the region's last sealed date, 0 if there is none.
	Sealed si.BusinessDate
}

// Sum is a number of payments and what they amount to.
type Sum struct {
	Count  uint32
	Amount si.Fen
}

// Totals are what a bank's business date comes to.
type Totals struct {
	Bank      si.Bank
	Date      si.BusinessDate
	Payments  Sum // posted
	Reversals Sum // red entries
	Funds     []FundTotals
}

// FundTotals are the part of one fund in Totals; Count counts payments that
// hold a due of the fund.
type FundTotals struct {
	Fund      si.Fund
	Payments  Sum
	Reversals Sum
}

// Part splits contribution income.
type Part uint8

// The parts of an account.
const (
	PartNone  Part = iota
	PartPool       // 统筹
	PartIndiv      // 个人账户
)

// Account codes of the books; docs/spec/books.md says what is booked on each.
// The code of the fund balance is another in each book: 3001.01 to 3005.
const (
	CodeDeposit  = 1002_00 // 收入户存款: per bank
	CodeSpending = 1003_00 // 支出户存款
	CodeFiscal   = 1004_00 // 财政专户存款
	CodeTreasury = 1005_00 // 国库存款
	CodeAdvance  = 1101_00 // 暂付款
	CodeClearing = 1191_00 // 待清算, ours: per bank and bank date
	CodePrepaid  = 2001_01 // 暂收款, prepaid
	CodeSuspense = 2001_02 // 暂收款, other: receipts that nobody could name yet
	CodeRefunds  = 2001_90 // 应退费, ours
	CodeEmployer = 4001_01 // 保险费收入, employer
	CodePerson   = 4001_02 // 保险费收入, individual payer
	CodeInterest = 4003_00 // 利息收入
	CodeTransfer = 4005_00 // 转移收入
	CodeSubsidy  = 4006_00 // 上级补助收入
	CodeLate     = 4090_00 // 滞纳金收入, ours
	CodeBenefits = 5001_00 // 待遇支出: booked by other systems
)

// Balance is one account of a book with its four columns.
type Balance struct {
	Fund      si.Fund
	Code      uint32          // Code… constants: four digits and two of the sub-account
	Bank      si.Bank         // CodeDeposit and CodeClearing only
	Date      si.BusinessDate // CodeClearing only
	Part      Part
	PostedDr  si.Fen
	PostedCr  si.Fen
	PendingDr si.Fen
	PendingCr si.Fen
}

// IndividualYear is one year of an individual account (个人账户).
type IndividualYear struct {
	Person  si.PersonNo
	Fund    si.Fund
	Year    uint16
	Paid    si.Fen
	Subsidy si.Fen
}

// TerminalRecord is a terminal as PutTerminal wrote it.
type TerminalRecord struct {
	Terminal si.Terminal
	Bank     si.Bank
	Outlet   string
	State    ledgerapi.TerminalState
	CertHash [32]byte
}
