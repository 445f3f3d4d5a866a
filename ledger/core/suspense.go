package core

import (
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
	"github.com/shebao-pay/shebao/si/ledgerapi/wire"
)

// suspense is money that came in and belongs to no payment yet. What is not used
// or refunded is rest.
type suspense struct {
	no      ledgerapi.SuspenseNo
	bank    si.Bank
	date    si.BusinessDate // bank date
	fund    si.Fund
	amount  si.Fen
	rest    si.Fen
	brk     ledgerapi.BreakNo
	serial  string
	journal uint64
	at      int64
}

func suspenseFields(f *wire.Form, s *suspense) {
	wire.U64(f, &s.no)
	wire.U8(f, &s.bank)
	wire.U16(f, &s.date)
	wire.U8(f, &s.fund)
	wire.U64(f, &s.amount)
	wire.U64(f, &s.rest)
	wire.U64(f, &s.brk)
	f.Text(&s.serial, ledgerapi.MaxSerial)
	wire.U64(f, &s.journal)
	wire.U64(f, &s.at)
	if !s.fund.Valid() || s.rest < 0 || s.rest > s.amount {
		f.Fail()
	}
}

// applySuspenseIn books money that a bank's file or statement shows and no
// payment explains. Each break puts money in suspense once.
func (m *Machine) applySuspenseIn(a *act, c *ledgerapi.SuspenseIn, out *ledgerapi.Result) {
	open := m.banks[c.Bank].open
	if c.Bank == 0 || !c.Fund.Valid() || c.Amount <= 0 || c.Amount > si.MaxFen || c.Date == 0 || c.Date > open {
		out.Code = ledgerapi.Malformed
		return
	}
	b := m.breaks.get(c.Break)
	switch {
	case b == nil:
		out.Code = ledgerapi.NotFound
		return
	case b.state == ledgerapi.BreakClosed || b.row.bank != c.Bank || b.suspense != 0:
		out.Code = ledgerapi.BadTransition
		return
	}
	e := &journalEntry{kind: JournalSuspenseIn, act: a, date: m.bookOn(c.Bank, c.Date), bank: c.Bank, brk: c.Break,
		no: uint64(m.suspenses.used) + 1}
	e.add(line{fund: c.Fund, acc: accClearing, bank: c.Bank, date: c.Date, dr: c.Amount})
	e.credit(c.Fund, accSuspense, c.Amount)
	if m.refuseEntry(e, out) {
		return
	}
	m.enter(e)
	m.suspenses.add(suspense{no: ledgerapi.SuspenseNo(e.no), bank: c.Bank, date: c.Date, fund: c.Fund, amount: c.Amount,
		rest: c.Amount, brk: c.Break, serial: c.Serial, journal: m.journal, at: m.at})
	m.breaks.change(c.Break).suspense = ledgerapi.SuspenseNo(e.no)
	*out = ledgerapi.Result{Code: ledgerapi.OK, No: e.no, Journal: m.journal, Bank: e.date, Total: c.Amount}
}

// applySuspenseUse pays an open due with money in suspense. It makes a payment
// of the act's id, which can be asked for and refunded like every other; the
// clearing account has nothing to do with it.
func (m *Machine) applySuspenseUse(a *act, c *ledgerapi.SuspenseUse, out *ledgerapi.Result) {
	s := m.suspenses.get(c.Suspense)
	if s == nil {
		out.Code = ledgerapi.NotFound
		return
	}
	if p, _ := m.find(a.id); p != nil {
		out.Code = ledgerapi.IDReused
		return
	}
	b := &m.banks[s.bank]
	m.choose([]ledgerapi.DueRef{c.Due}, b.open, out)
	if out.Code != 0 {
		return
	}
	u, late := m.dues.at(m.chosen[0].slot), m.chosen[0].late
	total := u.amount + late
	if u.fund != s.fund || total > s.rest {
		out.Code, out.Total = ledgerapi.BadTransition, s.rest
		return
	}
	e := &journalEntry{kind: JournalSuspenseUse, act: a, date: b.open, bank: s.bank, payment: a.id, due: u.id,
		no: uint64(s.no), brk: s.brk}
	e.debit(u.fund, accSuspense, total)
	e.income(u, late, 1)
	if m.refuseEntry(e, out) {
		return
	}
	if a.second(out); out.Code != 0 {
		return
	}
	m.suspenses.change(s.no).rest -= total
	slot, p := m.newPay(a.id, a.id, s.bank, si.ChannelDesk, b.open)
	m.holdDues(p, slot, total)
	p.flags |= paySuspense
	p.bankDate, p.book, p.state = s.date, b.open, ledgerapi.PayPosted
	m.addIndividual(u, u.individual)
	m.booked(p, slot, b)
	m.bookLines(e)
	m.entryRow(e)
	out.Code = ledgerapi.OK
	m.describe(p, out)
	out.No, out.Due = uint64(s.no), u.id
}

// income are the credit lines of a due that is paid; sign −1 takes them back by
// red lines, and a refund debits them.
func (e *journalEntry) income(u *due, late si.Fen, sign si.Fen) {
	e.credit(u.fund, accPool, sign*(u.amount-u.individual))
	e.credit(u.fund, accIndiv, sign*u.individual)
	e.credit(u.fund, accLate, sign*late)
}
