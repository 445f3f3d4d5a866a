package core

import (
	"sort"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// Break is a view of a break.
type Break struct {
	No       ledgerapi.BreakNo
	Kind     ledgerapi.BreakKind
	Bank     si.Bank
	Date     si.BusinessDate
	Payment  si.PaymentID
	Serial   string
	Amount   si.Fen
	Reasons  []ledgerapi.FieldReason
	State    ledgerapi.BreakState
	Owner    si.Actor
	OpenedAt int64
	Suspense ledgerapi.SuspenseNo
	Refund   ledgerapi.RefundNo // that it waits for
	Proposal si.PaymentID       // act that proposed its resolution last
	Act      ledgerapi.Type     // what resolved it, 0 if no entry did
	Journal  uint64             // of that entry
	History  []BreakEvent
}

// BreakEvent is one step of a break.
type BreakEvent struct {
	AtMillis int64
	Actor    si.Actor
	To       ledgerapi.BreakState
	Note     string
}

// list views the records of a shelf that are wanted, in order of their keys.
func list[K comparable, T, V any](s *shelf[K, T], want func(*T) bool, view func(*T) V) []V {
	var all []V
	for _, slot := range s.sorted() {
		if x := s.at(slot); want == nil || want(x) {
			all = append(all, view(x))
		}
	}
	return all
}

// one views a record.
func one[K comparable, T, V any](s *shelf[K, T], k K, view func(*T) V) (v V, ok bool) {
	x := s.get(k)
	if x == nil {
		return v, false
	}
	return view(x), true
}

func breakView(b *mismatch) Break {
	v := Break{No: b.no, Kind: b.row.kind, Bank: b.row.bank, Date: b.row.date, Payment: b.row.payment, Serial: b.row.serial,
		Amount: b.amount, Reasons: append([]ledgerapi.FieldReason(nil), b.reasons...), State: b.state, Owner: b.owner,
		OpenedAt: b.opened, Suspense: b.suspense, Refund: b.refund, Proposal: b.proposal, Act: b.act, Journal: b.journal}
	for _, x := range b.moves {
		v.History = append(v.History, BreakEvent{x.at, x.actor, x.to, x.note})
	}
	return v
}

// Break finds a break.
func (m *Machine) Break(no ledgerapi.BreakNo) (Break, bool) { return one(m.breaks, no, breakView) }

// Breaks are the breaks that are not closed, or all, by number.
func (m *Machine) Breaks(closed bool) []Break {
	return list(m.breaks, func(b *mismatch) bool { return closed || b.state != ledgerapi.BreakClosed }, breakView)
}

// Suspense is a view of money in suspense.
type Suspense struct {
	No      ledgerapi.SuspenseNo
	Bank    si.Bank
	Date    si.BusinessDate
	Fund    si.Fund
	Amount  si.Fen
	Rest    si.Fen // neither used nor refunded
	Break   ledgerapi.BreakNo
	Serial  string
	Journal uint64
}

func suspenseView(s *suspense) Suspense {
	return Suspense{s.no, s.bank, s.date, s.fund, s.amount, s.rest, s.brk, s.serial, s.journal}
}

// Suspenses are the receipts of which something is left, or all, by number.
func (m *Machine) Suspenses(empty bool) []Suspense {
	return list(m.suspenses, func(s *suspense) bool { return empty || s.rest > 0 }, suspenseView)
}

// Refund is a view of a refund.
type Refund struct {
	No        ledgerapi.RefundNo
	State     ledgerapi.RefundState
	Payment   si.PaymentID
	Due       si.DueID
	Suspense  ledgerapi.SuspenseNo
	Bank      si.Bank
	Fund      si.Fund
	Amount    si.Fen
	Break     ledgerapi.BreakNo
	Reason    string
	Resp      [2]byte
	Journal   uint64 // of the approval
	Paid      uint64 // journal number of the money gone out
	Reopened  bool
	ChangedAt int64
}

func refundView(x *refund) Refund {
	return Refund{x.no, x.state, x.payment, x.due, x.suspense, x.bank, x.fund, x.amount, x.brk, x.reason, x.resp, x.journal, x.paid,
		x.reopened, x.at}
}

// Refund finds a refund.
func (m *Machine) Refund(no ledgerapi.RefundNo) (Refund, bool) { return one(m.refunds, no, refundView) }

// Refunds are the refunds that are still owed, or all, by number.
func (m *Machine) Refunds(ended bool) []Refund {
	return list(m.refunds, func(x *refund) bool { return ended || x.open() }, refundView)
}

// Run is a view of an auto-debit run.
type Run struct {
	No        ledgerapi.RunNo
	Bank      si.Bank
	Date      si.BusinessDate
	State     ledgerapi.RunState
	Lines     uint32
	Total     si.Fen
	Answered  uint32
	Debited   uint32          // lines that the bank debited
	Live      uint32          // lines whose dues are held
	DebitDate si.BusinessDate // bank date of the debits
	Success   si.Fen          // what the bank debited
	Credited  si.Fen
	Posted    si.Fen
	Sent      [32]byte // hashes of the files
	Result    [32]byte
}

func runView(x *run) Run {
	v := Run{No: x.no, Bank: x.bank, Date: x.date, State: x.state, Lines: x.lines, Total: x.total, Answered: x.answered,
		Debited: x.won, Live: x.live, DebitDate: x.debit, Sent: x.sent, Result: x.result}
	for f := range x.success {
		v.Success += x.success[f]
		v.Credited += x.credited[f]
		v.Posted += x.posted[f]
	}
	return v
}

// Run finds a run.
func (m *Machine) Run(no ledgerapi.RunNo) (Run, bool) { return one(m.runs, no, runView) }

// Runs are all runs by number.
func (m *Machine) Runs() []Run { return list(m.runs, nil, runView) }

// RunLine is a view of one line of a run.
type RunLine struct {
	Line    uint32
	Mandate ledgerapi.MandateNo
	Payment si.PaymentID
	Total   si.Fen
	Result  ledgerapi.LineResult
	Serial  string
}

// RunLines are the lines of a run behind a line, at most limit.
func (m *Machine) RunLines(no ledgerapi.RunNo, after uint32, limit int) []RunLine {
	x := m.runs.get(no)
	if x == nil {
		return nil
	}
	var all []RunLine
	for n := after + 1; n <= x.lines && len(all) < limit; n++ {
		l := m.runLines.get(lineKey{no, n})
		all = append(all, RunLine{n, l.mandate, ledgerapi.LinePayment(x.date, no, n), l.total, l.result, l.serial})
	}
	return all
}

// File is a view of a registered file.
type File struct {
	No       uint64
	Bank     si.Bank
	Kind     byte
	Date     si.BusinessDate
	Seq      uint16
	Version  uint8
	Name     string
	Size     uint64
	SHA256   [32]byte
	Lines    uint32
	Sum      si.Fen
	Verdict  ledgerapi.FileVerdict
	Reason   uint8
	Offset   uint64
	Line     uint32
	AtMillis int64
}

// Files are the files of a bank's date, by kind, sequence and version.
func (m *Machine) Files(bank si.Bank, date si.BusinessDate) []File {
	return list(m.files, func(x *file) bool { return x.key.bank == bank && x.key.date == date }, func(x *file) File {
		return File{x.no, x.key.bank, x.key.kind, x.key.date, x.key.seq, x.key.version, x.name, x.size, x.hash, x.lines, x.sum,
			x.verdict, x.reason, x.offset, x.line, x.at}
	})
}

// User is a view of a user.
type User struct {
	User       si.Actor
	Login      string
	Roles      uint32
	Bank       si.Bank
	Office     string
	State      ledgerapi.UserState
	Credential []byte
	Version    uint32
}

func userView(u *user) User {
	return User{u.actor, u.login, u.roles, u.bank, u.office, u.state, append([]byte(nil), u.credential...), u.version}
}

// UserByLogin finds a user.
func (m *Machine) UserByLogin(login string) (User, bool) {
	return one(m.users, m.loginOf[login], userView)
}

// Users are all users by number.
func (m *Machine) Users() []User { return list(m.users, nil, userView) }

// Contribution is a due that was paid: one row of a statement of rights (权益单).
type Contribution struct {
	Fund       si.Fund
	Period     si.Period
	Kind       ledgerapi.DueKind
	Payer      ledgerapi.Payer
	Amount     si.Fen
	Individual si.Fen // the part for the individual account
	LateFee    si.Fen
	Payment    si.PaymentID
	PaidOn     si.BusinessDate
}

// Rights are what a person paid for the periods that begin from one to another,
// by fund and period, with the individual accounts by year. What was refunded
// and what is in doubt is left out.
func (m *Machine) Rights(no si.PersonNo, from, to si.Period) ([]Contribution, []IndividualYear) {
	who := m.personOf(no)
	if who == nil {
		return nil, nil
	}
	var all []Contribution
	var paid []si.PaymentID
	take := func(d *due, by si.PaymentID) {
		if d.state == ledgerapi.DueStatePaid && d.period.Start() >= from.Start() && d.period.Start() <= to.Start() {
			all = append(all, Contribution{Fund: d.fund, Period: d.period, Kind: d.kind, Payer: d.payer, Amount: d.amount,
				Individual: d.individual, Payment: by})
			paid = append(paid, by)
		}
	}
	ids := map[si.PaymentID]ledgerapi.Payment{}
	for slot := who.dues; slot != 0; slot = m.dues.at(slot).next {
		d := m.dues.at(slot)
		take(d, m.payerOf(d))
	}
	m.eachPaidDue(no, func(d *due, by si.PaymentID, _ si.Fen) { take(d, by) })
	for _, id := range paid {
		if _, ok := ids[id]; !ok {
			ids[id], _ = m.Payment(id)
		}
	}
	for i := range all {
		p := ids[all[i].Payment]
		all[i].PaidOn = p.OurDate
		for _, d := range p.Dues {
			if d.Fund == all[i].Fund && d.Period == all[i].Period && d.Ref.Amount == all[i].Amount {
				all[i].LateFee = d.Ref.LateFee
			}
		}
	}
	sort.SliceStable(all, func(i, j int) bool {
		if all[i].Fund != all[j].Fund {
			return all[i].Fund < all[j].Fund
		}
		return all[i].Period.Start() < all[j].Period.Start()
	})
	return all, m.IndividualOf(no)
}
