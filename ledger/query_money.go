package ledger

import (
	"github.com/shebao-pay/shebao/ledger/core"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// Break finds a break.
func (n *Node) Break(no ledgerapi.BreakNo) (core.Break, bool) {
	return found(n, func(m *core.Machine) (core.Break, bool) { return m.Break(no) })
}

// Breaks are the breaks that are not closed, or all.
func (n *Node) Breaks(closed bool) []core.Break {
	return read(n, func(m *core.Machine) []core.Break { return m.Breaks(closed) })
}

// Suspenses are the receipts of which something is left, or all.
func (n *Node) Suspenses(empty bool) []core.Suspense {
	return read(n, func(m *core.Machine) []core.Suspense { return m.Suspenses(empty) })
}

// Refund finds a refund.
func (n *Node) Refund(no ledgerapi.RefundNo) (core.Refund, bool) {
	return found(n, func(m *core.Machine) (core.Refund, bool) { return m.Refund(no) })
}

// Refunds are the refunds that are still owed, or all.
func (n *Node) Refunds(ended bool) []core.Refund {
	return read(n, func(m *core.Machine) []core.Refund { return m.Refunds(ended) })
}

// Run finds an auto-debit run.
func (n *Node) Run(no ledgerapi.RunNo) (core.Run, bool) {
	return found(n, func(m *core.Machine) (core.Run, bool) { return m.Run(no) })
}

// Runs are all auto-debit runs.
func (n *Node) Runs() []core.Run {
	return read(n, func(m *core.Machine) []core.Run { return m.Runs() })
}

// RunLines are the lines of a run behind a line, at most limit.
func (n *Node) RunLines(no ledgerapi.RunNo, after uint32, limit int) []core.RunLine {
	return read(n, func(m *core.Machine) []core.RunLine { return m.RunLines(no, after, limit) })
}

// Files are the registered files of a bank's date.
func (n *Node) Files(bank si.Bank, date si.BusinessDate) []core.File {
	return read(n, func(m *core.Machine) []core.File { return m.Files(bank, date) })
}

// UserByLogin finds a user of console and tools.
func (n *Node) UserByLogin(login string) (core.User, bool) {
	return found(n, func(m *core.Machine) (core.User, bool) { return m.UserByLogin(login) })
}

// Users are all users of console and tools.
func (n *Node) Users() []core.User {
	return read(n, func(m *core.Machine) []core.User { return m.Users() })
}

// Waiting are the acts that wait for a second person.
func (n *Node) Waiting() []ledgerapi.Waiting {
	return read(n, func(m *core.Machine) []ledgerapi.Waiting { return m.Waiting() })
}

// JournalOn are the journal rows booked on a date, from a number on, at most
// limit; the next call begins behind the last row given.
func (n *Node) JournalOn(date si.BusinessDate, from uint64, limit int) []core.JournalRow {
	return read(n, func(m *core.Machine) []core.JournalRow { return m.JournalOn(date, from, limit) })
}

// BalanceOn is the trial balance of a date: as it was sealed, or as it stands.
func (n *Node) BalanceOn(date si.BusinessDate) core.DayBalance {
	return read(n, func(m *core.Machine) core.DayBalance { return m.BalanceOn(date) })
}

// DayHead finds a sealed date.
func (n *Node) DayHead(date si.BusinessDate) (core.SealedDay, bool) {
	return found(n, func(m *core.Machine) (core.SealedDay, bool) { return m.DayHead(date) })
}

// DayHeads are the sealed dates after a date.
func (n *Node) DayHeads(after si.BusinessDate) []core.SealedDay {
	return read(n, func(m *core.Machine) []core.SealedDay { return m.DayHeads(after) })
}

// Rights are what a person paid for periods, and the individual accounts.
func (n *Node) Rights(person si.PersonNo, from, to si.Period) ([]core.Contribution, []core.IndividualYear) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.machine.Rights(person, from, to)
}
