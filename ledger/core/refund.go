package core

import (
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
	"github.com/shebao-pay/shebao/si/ledgerapi/wire"
)

// refund is money owed back to a payer, through the bank that it came by.
type refund struct {
	no       ledgerapi.RefundNo
	state    ledgerapi.RefundState
	payment  si.PaymentID // zero for suspense
	due      si.DueID
	suspense ledgerapi.SuspenseNo
	bank     si.Bank
	fund     si.Fund
	amount   si.Fen
	late     si.Fen // of amount
	brk      ledgerapi.BreakNo
	reason   string
	resp     [2]byte
	journal  uint64 // of the approval
	paid     uint64 // journal number of the money gone out, 0 if it is not
	reopened bool
	at       int64 // of the last change
}

func refundFields(f *wire.Form, x *refund) {
	wire.U64(f, &x.no)
	wire.U8(f, &x.state)
	f.Fixed(x.payment[:])
	wire.U64(f, &x.due)
	wire.U64(f, &x.suspense)
	wire.U8(f, &x.bank)
	wire.U8(f, &x.fund)
	wire.U64(f, &x.amount)
	wire.U64(f, &x.late)
	wire.U64(f, &x.brk)
	f.Text(&x.reason, ledgerapi.MaxNote)
	f.Fixed(x.resp[:])
	wire.U64(f, &x.journal)
	wire.U64(f, &x.paid)
	f.Bool(&x.reopened)
	wire.U64(f, &x.at)
	if x.state < ledgerapi.RefundApproved || x.state > ledgerapi.RefundWithdrawn || !x.fund.Valid() {
		f.Fail()
	}
}

// isRefunded tells whether the money that a payment paid for a due went back or
// will.
func (m *Machine) isRefunded(payment si.PaymentID, id si.DueID) bool {
	x := m.refunds.get(m.refundOf[paidDue{payment, id}])
	return x != nil && x.state != ledgerapi.RefundWithdrawn
}

// open tells whether the money is still owed.
func (x *refund) open() bool {
	return x.state != ledgerapi.RefundDone && x.state != ledgerapi.RefundWithdrawn
}

// applyRefundApprove owes money back. brk is the break that it resolves, 0 if
// none.
func (m *Machine) applyRefundApprove(a *act, c *ledgerapi.RefundApprove, brk ledgerapi.BreakNo, out *ledgerapi.Result) {
	if c.Payment.IsZero() == (c.Suspense == 0) || (c.Due == 0) != c.Payment.IsZero() || c.Amount <= 0 || c.Reason == "" {
		out.Code = ledgerapi.Malformed
		return
	}
	x := refund{no: ledgerapi.RefundNo(m.refunds.used) + 1, state: ledgerapi.RefundApproved, payment: c.Payment, due: c.Due,
		suspense: c.Suspense, amount: c.Amount, brk: brk, reason: c.Reason, at: m.at}
	e := &journalEntry{kind: JournalRefundApprove, act: a, payment: c.Payment, due: c.Due, no: uint64(x.no), brk: brk}
	if c.Suspense != 0 {
		s := m.suspenses.get(c.Suspense)
		switch {
		case s == nil:
			out.Code = ledgerapi.NotFound
			return
		case c.Amount > s.rest:
			out.Code, out.Total = ledgerapi.BadTransition, s.rest
			return
		}
		x.bank, x.fund = s.bank, s.fund
	} else if !m.judgeRefund(&x, e, out) {
		return
	}
	e.date, e.bank = m.banks[x.bank].open, x.bank
	m.refundLines(&x, e, 1)
	if m.refuseEntry(e, out) {
		return
	}
	if a.second(out); out.Code != 0 {
		return
	}
	m.enter(e)
	x.journal = m.journal
	if x.suspense != 0 {
		m.suspenses.change(x.suspense).rest -= x.amount
	} else {
		slot := m.revive(x.due)
		d := m.dues.at(slot)
		m.touchDue(d.id)
		d.state, d.pay = ledgerapi.DueRefunded, 0
		d.version++
		m.deadDues = append(m.deadDues, slot)
		m.addIndividual(d, -d.individual)
	}
	m.refunds.add(x)
	*out = ledgerapi.Result{Code: ledgerapi.OK, No: uint64(x.no), Journal: m.journal, Bank: e.date, Total: x.amount, Due: x.due}
}

// judgeRefund finds the due that a refund is of, and whether that payment has
// it and nobody else had the money back.
func (m *Machine) judgeRefund(x *refund, e *journalEntry, out *ledgerapi.Result) bool {
	p, slot := m.leave(x.payment)
	switch {
	case p == nil:
		out.Code = ledgerapi.NotFound
		return false
	case p.state != ledgerapi.PayPosted:
		wrongState(p, out)
		return false
	}
	x.bank, e.corrects = p.bank, p.journal
	listed := false
	for i := range int(p.n) {
		if id, late := m.item(p, i); id == x.due {
			listed, x.late = true, late
		}
	}
	if !listed {
		out.Code, out.Due = ledgerapi.NotFound, x.due
		return false
	}
	d, ok := m.paidBy(x.due, x.payment, slot)
	switch {
	case !ok:
		out.Code, out.Due = ledgerapi.DueChanged, x.due
		return false
	case x.amount != d.amount+x.late:
		out.Code, out.Due, out.Total = ledgerapi.DueChanged, x.due, d.amount+x.late
		return false
	}
	x.fund = d.fund
	return true
}

// paidBy gives a due of a POSTED payment that is PAID by it, wherever both stand.
func (m *Machine) paidBy(id si.DueID, payment si.PaymentID, slot uint32) (d due, ok bool) {
	if s := m.dueByID.get(id); s != 0 {
		d = *m.dues.at(s)
		return d, d.state == ledgerapi.DueStatePaid && slot != 0 && d.pay == slot
	}
	d, ok = m.oldDue(id)
	return d, ok && d.state == ledgerapi.DueStatePaid && !m.isRefunded(payment, id)
}

// whole tells whether a posted payment still has all its dues.
func (m *Machine) whole(p *pay, slot uint32) bool {
	for i := range int(p.n) {
		id, _ := m.item(p, i)
		if _, ok := m.paidBy(id, p.id, slot); !ok {
			return false
		}
	}
	return true
}

// refundLines are the lines of an approval; sign −1 takes them back in red.
func (m *Machine) refundLines(x *refund, e *journalEntry, sign si.Fen) {
	if x.suspense != 0 {
		e.debit(x.fund, accSuspense, sign*x.amount)
	} else {
		d, _ := m.anyDue(x.due)
		e.debit(x.fund, accPool, sign*(d.amount-d.individual))
		e.debit(x.fund, accIndiv, sign*d.individual)
		e.debit(x.fund, accLate, sign*x.late)
	}
	e.add(line{fund: x.fund, acc: accRefunds, bank: x.bank, cr: sign * x.amount})
}

// anyDue is a due in memory or in history.
func (m *Machine) anyDue(id si.DueID) (due, bool) {
	if slot := m.dueByID.get(id); slot != 0 {
		return *m.dues.at(slot), true
	}
	return m.oldDue(id)
}

// revive brings a due that left memory back into it, without a payment. 0 if
// there is no such due.
func (m *Machine) revive(id si.DueID) uint32 {
	if slot := m.dueByID.get(id); slot != 0 {
		return slot
	}
	d, ok := m.oldDue(id)
	if !ok {
		return 0
	}
	m.touchDue(id)
	m.touch(classDueGone, m.dueGone.of(uint64(id)))
	m.dueGone.del(uint64(id))
	slot, x := m.dues.take()
	*x = d
	m.linkDue(x, slot)
	m.dueByID.put(id, slot)
	return slot
}

// reopen makes a due payable again.
func (m *Machine) reopen(id si.DueID) {
	slot := m.revive(id)
	m.undead(slot)
	d := m.dues.at(slot)
	m.touchDue(id)
	d.state, d.pay = ledgerapi.DueOpen, 0
	d.version++
	if d.reversals < 255 {
		d.reversals++
	}
}

// undead takes a due off the list of those that leave at the next seal.
func (m *Machine) undead(slot uint32) {
	for i, s := range m.deadDues {
		if s == slot {
			m.deadDues = append(m.deadDues[:i], m.deadDues[i+1:]...)
			return
		}
	}
}

// refundMoves says where RefundMove may take a refund, by its state.
var refundMoves = map[ledgerapi.RefundState][]ledgerapi.RefundState{
	ledgerapi.RefundApproved: {ledgerapi.RefundSent, ledgerapi.RefundWithdrawn},
	ledgerapi.RefundSent:     {ledgerapi.RefundAccepted, ledgerapi.RefundFailed},
	ledgerapi.RefundAccepted: {ledgerapi.RefundFailed},
	ledgerapi.RefundFailed:   {ledgerapi.RefundSent, ledgerapi.RefundWithdrawn},
}

// has tells whether a list of states names one.
func has[S comparable](all []S, s S) bool {
	for _, x := range all {
		if x == s {
			return true
		}
	}
	return false
}

func (m *Machine) applyRefundMove(a *act, c *ledgerapi.RefundMove, out *ledgerapi.Result) {
	x := m.refunds.get(c.Refund)
	switch {
	case c.To < ledgerapi.RefundApproved || c.To > ledgerapi.RefundWithdrawn:
		out.Code = ledgerapi.Malformed
		return
	case x == nil:
		out.Code = ledgerapi.NotFound
		return
	case c.To == x.state && c.Resp == x.resp && c.To != ledgerapi.RefundApproved && c.To != ledgerapi.RefundDone:
		out.Code, out.First, out.No = ledgerapi.Exists, ledgerapi.OK, uint64(x.no)
		return
	case !has(refundMoves[x.state], c.To):
		out.Code = ledgerapi.BadTransition
		return
	}
	if c.To == ledgerapi.RefundWithdrawn {
		if m.withdraw(a, x, out); out.Code != 0 {
			return
		}
	}
	x = m.refunds.change(c.Refund)
	x.state, x.resp, x.at = c.To, c.Resp, m.at
	m.followUp(a, x)
	out.Code, out.No = ledgerapi.OK, uint64(x.no)
}

// withdraw takes a refund back that no bank carries out: a red entry of its
// approval, and the due is paid again by the payment that paid it.
func (m *Machine) withdraw(a *act, x *refund, out *ledgerapi.Result) {
	e := &journalEntry{kind: JournalRefundWithdraw, act: a, date: m.banks[x.bank].open, bank: x.bank, corrects: x.journal,
		payment: x.payment, due: x.due, no: uint64(x.no), brk: x.brk}
	m.refundLines(x, e, -1)
	if m.refuseEntry(e, out) {
		return
	}
	if a.second(out); out.Code != 0 {
		return
	}
	m.enter(e)
	out.Journal, out.Bank, out.Total = m.journal, e.date, x.amount
	if x.suspense != 0 {
		m.suspenses.change(x.suspense).rest += x.amount
		return
	}
	slot := m.revive(x.due)
	m.undead(slot)
	d := m.dues.at(slot)
	m.touchDue(d.id)
	d.state = ledgerapi.DueStatePaid
	d.version++
	m.addIndividual(d, d.individual)
	if p, paid := m.leave(x.payment); paid != 0 {
		d.pay = paid
	} else {
		m.retirePaid(slot, p)
	}
}

func (m *Machine) applyRefundPaid(a *act, c *ledgerapi.RefundPaid, out *ledgerapi.Result) {
	m.judgeLine(&c.StatementLine, out)
	if out.Code != 0 {
		return
	}
	x := m.refunds.get(c.Refund)
	switch {
	case x == nil:
		out.Code = ledgerapi.NotFound
		return
	case x.suspense != 0 && c.Reopen:
		out.Code = ledgerapi.Malformed
		return
	case x.state != ledgerapi.RefundSent && x.state != ledgerapi.RefundAccepted && x.state != ledgerapi.RefundFailed,
		x.bank != c.Bank, x.amount != c.Amount:
		out.Code, out.Total = ledgerapi.BadTransition, x.amount
		return
	}
	e := &journalEntry{kind: JournalRefundPaid, act: a, date: m.bookOn(c.Bank, c.Date), payment: x.payment, due: x.due,
		no: uint64(x.no), brk: x.brk}
	e.add(line{fund: x.fund, acc: accRefunds, bank: x.bank, dr: x.amount})
	e.add(line{fund: x.fund, acc: accDeposit, bank: c.Bank, cr: x.amount})
	if m.enterLine(e, &c.StatementLine, out); out.Code != ledgerapi.OK {
		return
	}
	x = m.refunds.change(c.Refund)
	x.state, x.paid, x.reopened, x.at = ledgerapi.RefundDone, m.journal, c.Reopen, m.at
	if c.Reopen {
		m.reopen(x.due)
	}
	m.followUp(a, x)
	out.No, out.Due = uint64(x.no), x.due
}

// undone is a posting that CorrectUnpaid took back. Payments of sealed dates are
// not altered; this says what became of them.
type undone struct {
	payment si.PaymentID
	brk     ledgerapi.BreakNo
	journal uint64
	at      int64
}

func undoneFields(f *wire.Form, u *undone) {
	f.Fixed(u.payment[:])
	wire.U64(f, &u.brk)
	wire.U64(f, &u.journal)
	wire.U64(f, &u.at)
}

// applyCorrectUnpaid undoes a posting that no bank has money for. The red entry
// stands on the open date; a payment for which the bank has credited the money
// is not undone.
func (m *Machine) applyCorrectUnpaid(a *act, c *ledgerapi.CorrectUnpaid, out *ledgerapi.Result) {
	b := m.breaks.get(c.Break)
	p, slot := m.leave(c.Payment)
	switch {
	case b == nil || p == nil:
		out.Code = ledgerapi.NotFound
		return
	case p.state != ledgerapi.PayPosted || p.channel == si.ChannelBatch || p.flags&paySuspense != 0 || !m.whole(p, slot):
		wrongState(p, out)
		return
	case b.state == ledgerapi.BreakClosed || b.row.payment != c.Payment:
		out.Code, out.State = ledgerapi.BadTransition, p.state
		return
	}
	e := &journalEntry{kind: JournalCorrectUnpaid, act: a, date: m.banks[p.bank].open, bank: p.bank, corrects: p.journal,
		payment: c.Payment, brk: c.Break}
	var ids []si.DueID
	var need [funds]si.Fen
	for i := range int(p.n) {
		id, late := m.item(p, i)
		d, _ := m.anyDue(id)
		ids = append(ids, id)
		need[d.fund] += d.amount + late
		e.add(line{fund: d.fund, acc: accClearing, bank: p.bank, date: p.book, dr: -(d.amount + late)})
		e.income(&d, late, -1)
	}
	for f := 1; f < funds; f++ {
		if left := m.clearingOf(p.bank, p.book, si.Fund(f)); need[f] > left && refuse(out, ledgerapi.BadTransition) {
			out.State, out.Total = p.state, left
		}
	}
	if out.Code != 0 || m.refuseEntry(e, out) {
		return
	}
	if a.second(out); out.Code != 0 {
		out.State = p.state
		return
	}
	total := p.total
	m.enter(e)
	if slot != 0 {
		m.touch(classPay, slot)
		m.tally(p, -1)
		p.state, p.ended = ledgerapi.PayVoided, m.at
		p.flags |= payCorrected
	}
	m.undone.add(undone{c.Payment, c.Break, m.journal, m.at})
	for _, id := range ids {
		m.reopen(id)
		d := m.dues.at(m.dueByID.get(id))
		m.addIndividual(d, -d.individual)
	}
	*out = ledgerapi.Result{Code: ledgerapi.OK, State: ledgerapi.PayVoided, Journal: m.journal, Bank: e.date, Total: total}
}
