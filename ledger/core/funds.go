package core

import (
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
	"github.com/shebao-pay/shebao/si/ledgerapi/wire"
)

// statementLine is a line of an account statement that has been booked. A line
// is booked once.
type statementLine struct {
	key     statementKey
	date    si.BusinessDate
	journal uint64
}

type statementKey struct {
	bank si.Bank
	ref  string
}

func statementRow(dst []byte, k statementKey) []byte {
	return append(append(dst, byte(k.bank)), k.ref...)
}

func statementFields(f *wire.Form, l *statementLine) {
	wire.U8(f, &l.key.bank)
	f.Text(&l.key.ref, ledgerapi.MaxStatementRef)
	wire.U16(f, &l.date)
	wire.U64(f, &l.journal)
}

// judgeLine finds what stands against booking a statement line.
func (m *Machine) judgeLine(c *ledgerapi.StatementLine, out *ledgerapi.Result) {
	if l := m.statements.get(statementKey{c.Bank, c.Ref}); l != nil && refuse(out, ledgerapi.BadTransition) {
		out.Journal = l.journal
	}
	if m.banks[c.Bank].open == 0 {
		refuse(out, ledgerapi.BadTransition)
	}
	if c.Bank == 0 || c.Date == 0 || c.Ref == "" {
		refuse(out, ledgerapi.Malformed)
	}
}

// judgeFunds holds amounts by fund: ascending, each once, none of nothing.
func judgeFunds(all []ledgerapi.FundAmount, out *ledgerapi.Result) {
	if len(all) == 0 {
		refuse(out, ledgerapi.Malformed)
	}
	for i, x := range all {
		if !x.Fund.Valid() || x.Amount <= 0 || x.Amount > si.MaxFen || (i > 0 && all[i-1].Fund >= x.Fund) {
			refuse(out, ledgerapi.Malformed)
		}
	}
}

// enterLine books an entry that a statement line shows, and the line with it.
func (m *Machine) enterLine(e *journalEntry, c *ledgerapi.StatementLine, out *ledgerapi.Result) {
	e.bank, e.statement = c.Bank, *c
	if m.refuseEntry(e, out) {
		return
	}
	m.enter(e)
	m.statements.add(statementLine{statementKey{c.Bank, c.Ref}, c.Date, m.journal})
	*out = ledgerapi.Result{Code: ledgerapi.OK, Journal: m.journal, Bank: e.date}
	for i := range e.lines {
		out.Total += e.lines[i].dr
	}
}

// applyFundsCredited takes no more from a bank date than its clearing account
// holds; what came beyond that is suspense, and is booked as such first. Money
// of a run comes before its lines are posted, so there the run's successes are
// the bound.
func (m *Machine) applyFundsCredited(a *act, c *ledgerapi.FundsCredited, out *ledgerapi.Result) {
	m.judgeLine(&c.StatementLine, out)
	judgeFunds(c.Funds, out)
	if c.For == 0 || c.For > m.banks[c.Bank].open {
		refuse(out, ledgerapi.Malformed)
	}
	if out.Code != 0 {
		return
	}
	var x *run
	if c.Run != 0 {
		x = m.runs.get(c.Run)
		if x == nil {
			out.Code = ledgerapi.NotFound
			return
		}
		if x.bank != c.Bank || x.debit != c.For || (x.state != ledgerapi.RunResult && x.state != ledgerapi.RunFundsConfirmed) {
			out.Code = ledgerapi.BadTransition
			return
		}
	}
	e := &journalEntry{kind: JournalFundsCredited, act: a, date: m.bookOn(c.Bank, c.Date), run: c.Run}
	for _, f := range c.Funds {
		left := m.clearingOf(c.Bank, c.For, f.Fund)
		if x != nil {
			left = x.success[f.Fund] - x.credited[f.Fund]
		}
		if f.Amount > left && refuse(out, ledgerapi.BadTransition) {
			out.Total = left
		}
		e.add(line{fund: f.Fund, acc: accDeposit, bank: c.Bank, dr: f.Amount})
		e.add(line{fund: f.Fund, acc: accClearing, bank: c.Bank, date: c.For, cr: f.Amount})
	}
	if out.Code != 0 {
		return
	}
	if m.enterLine(e, &c.StatementLine, out); out.Code == ledgerapi.OK && x != nil {
		x = m.runs.change(c.Run)
		for _, f := range c.Funds {
			x.credited[f.Fund] += f.Amount
		}
	}
}

// clearingOf is what a bank still owes for a bank date and fund, money of runs
// that was credited ahead of its posting left aside.
func (m *Machine) clearingOf(b si.Bank, date si.BusinessDate, f si.Fund) si.Fen {
	for _, d := range m.banks[b].days {
		if d.date == date {
			left := d.funds[f].clearing.postedDr - d.funds[f].clearing.postedCr
			for _, slot := range m.runs.sorted() {
				if x := m.runs.at(slot); x.bank == b && x.debit == date {
					left += x.credited[f] - x.posted[f]
				}
			}
			return left
		}
	}
	return 0
}

func (m *Machine) applySweep(a *act, c *ledgerapi.Sweep, out *ledgerapi.Result) {
	m.judgeLine(&c.StatementLine, out)
	judgeFunds(c.Funds, out)
	if out.Code != 0 {
		return
	}
	e := &journalEntry{kind: JournalSweep, act: a, date: m.bookOn(c.Bank, c.Date)}
	for _, f := range c.Funds {
		d := &m.banks[c.Bank].deposit[f.Fund]
		if held := d.postedDr - d.postedCr; f.Amount > held && refuse(out, ledgerapi.BadTransition) {
			out.Total = held
		}
		e.debit(f.Fund, accFiscal, f.Amount)
		e.add(line{fund: f.Fund, acc: accDeposit, bank: c.Bank, cr: f.Amount})
	}
	if out.Code == 0 {
		a.second(out)
	}
	if out.Code == 0 {
		m.enterLine(e, &c.StatementLine, out)
	}
}

func (m *Machine) applyInterest(a *act, c *ledgerapi.Interest, out *ledgerapi.Result) {
	m.judgeLine(&c.StatementLine, out)
	judgeFunds(c.Funds, out)
	if out.Code != 0 {
		return
	}
	e := &journalEntry{kind: JournalInterest, act: a, date: m.bookOn(c.Bank, c.Date)}
	for _, f := range c.Funds {
		e.add(line{fund: f.Fund, acc: accDeposit, bank: c.Bank, dr: f.Amount})
		e.credit(f.Fund, accInterest, f.Amount)
	}
	m.enterLine(e, &c.StatementLine, out)
}

// applyPeriodClose moves what the income accounts held when the last sealed date
// ended to the balance of the fund. The part of the individual accounts keeps to
// itself there too, so that it still equals their sum.
func (m *Machine) applyPeriodClose(a *act, c *ledgerapi.PeriodClose, out *ledgerapi.Result) {
	if !c.Fund.Valid() || c.Through == 0 {
		out.Code = ledgerapi.Malformed
		return
	}
	if c.Through != m.sealed || m.books[c.Fund].closed >= c.Through {
		out.Code, out.OurDate = ledgerapi.BadTransition, m.sealed
		return
	}
	e := &journalEntry{kind: JournalPeriodClose, act: a, date: m.firstOpen()}
	var pool, indiv si.Fen
	for _, l := range m.sheetOn(m.sealed + 1) {
		if l.fund != c.Fund || !isIncome(l.acc) {
			continue
		}
		e.debit(c.Fund, l.acc, -l.opening)
		if l.acc == accIndiv {
			indiv -= l.opening
		} else {
			pool -= l.opening
		}
	}
	e.credit(c.Fund, accFundPool, pool)
	e.credit(c.Fund, accFundIndiv, indiv)
	if m.refuseEntry(e, out) {
		return
	}
	if a.second(out); out.Code != 0 {
		return
	}
	m.enter(e)
	m.books[c.Fund].closed = c.Through
	*out = ledgerapi.Result{Code: ledgerapi.OK, Journal: m.journal, Bank: e.date, Total: pool + indiv}
}

func isIncome(a account) bool {
	for _, x := range income {
		if x == a {
			return true
		}
	}
	return false
}

// firstOpen is the earliest open date of any bank, 0 if no bank has one.
func (m *Machine) firstOpen() (first si.BusinessDate) {
	for i := range m.banks {
		if open := m.banks[i].open; open != 0 && (first == 0 || open < first) {
			first = open
		}
	}
	return first
}
