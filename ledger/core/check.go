package core

import (
	"fmt"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// checkBatch asserts after every batch what costs no walk: each book's sums.
func (m *Machine) checkBatch() {
	for f := 1; f < funds; f++ {
		var posted, pending si.Fen
		b := &m.books[f].acc
		for i := range b {
			posted += b[i].postedDr - b[i].postedCr
			pending += b[i].pendingDr - b[i].pendingCr
		}
		if posted != 0 {
			m.fail("posted debits and credits of %s differ", si.Fund(f))
		}
		if pending != 0 {
			m.fail("pending debits and credits of %s differ", si.Fund(f))
		}
		if held := b[accIndiv].credit() + b[accFundIndiv].credit(); m.indivSum[f] != held {
			m.fail("individual accounts of %s hold %d fen, the books %d", si.Fund(f), m.indivSum[f], held)
		}
	}
}

// credit is the posted balance of an account that stands on the credit side.
func (c *columns) credit() si.Fen { return c.postedCr - c.postedDr }

// Check walks the whole live state and returns the first broken invariant.
func (m *Machine) Check() error {
	if m.checkBatch(); m.broken != nil {
		return m.broken
	}
	if err := m.checkDues(); err != nil {
		return fmt.Errorf("%w: %w", ErrInvariant, err)
	}
	if err := m.checkPays(); err != nil {
		return fmt.Errorf("%w: %w", ErrInvariant, err)
	}
	if err := m.checkBooks(); err != nil {
		return fmt.Errorf("%w: %w", ErrInvariant, err)
	}
	if err := m.checkRecords(); err != nil {
		return fmt.Errorf("%w: %w", ErrInvariant, err)
	}
	if err := m.checkMoney(); err != nil {
		return fmt.Errorf("%w: %w", ErrInvariant, err)
	}
	return nil
}

// wantDue is the state that a payment's dues must have.
func wantDue(p *pay) ledgerapi.DueState {
	switch p.state {
	case ledgerapi.PayReserved:
		return ledgerapi.DueStateHeld
	case ledgerapi.PayReversing:
		if p.flags&payUnposted != 0 {
			return ledgerapi.DueReversing
		}
		return ledgerapi.DueStateHeld
	case ledgerapi.PayPosted:
		return ledgerapi.DueStatePaid
	case ledgerapi.PayNone, ledgerapi.PayVoided, ledgerapi.PayTombstone:
	}
	return 0
}

// checkDues holds that a due is held, paid or being taken back if and only if
// exactly one payment has it so.
func (m *Machine) checkDues() error {
	n := 0
	for slot := uint32(1); slot <= m.dues.used; slot++ {
		d := m.dues.at(slot)
		if d.id == 0 {
			continue
		}
		n++
		taken := d.taken()
		switch {
		case m.dueByID.get(d.id) != slot:
			return fmt.Errorf("due %d is not in the index", d.id)
		case d.id > si.DueID(m.lastDue):
			return fmt.Errorf("due %d is above the last number %d", d.id, m.lastDue)
		case taken != (d.pay != 0):
			return fmt.Errorf("due %d is %s and has payment slot %d", d.id, d.state, d.pay)
		case d.individual < 0 || d.individual > d.amount || d.amount <= 0:
			return fmt.Errorf("due %d of %d fen has an individual part of %d", d.id, d.amount, d.individual)
		case taken:
			p := m.pays.at(d.pay)
			if wantDue(p) != d.state || !m.lists(p, d.id) {
				return fmt.Errorf("due %d is %s, its payment %s is %s", d.id, d.state, p.id, p.state)
			}
		}
	}
	if n != m.dueByID.n {
		return fmt.Errorf("%d dues, %d in the index", n, m.dueByID.n)
	}
	linked := 0
	for i := uint32(1); i <= m.persons.used; i++ {
		for s := m.persons.at(i).dues; s != 0; s = m.dues.at(s).next {
			if linked++; linked > n || m.dues.at(s).person != si.PersonNo(i) {
				return fmt.Errorf("the list of dues of person %d is broken", i)
			}
		}
	}
	if linked != n {
		return fmt.Errorf("%d dues, %d in the lists of persons", n, linked)
	}
	return nil
}

func (m *Machine) lists(p *pay, id si.DueID) bool {
	for i := range int(p.n) {
		if d, _ := m.item(p, i); d == id {
			return true
		}
	}
	return false
}

func (m *Machine) checkPays() error {
	n, live, traces := 0, 0, 0
	receipts := map[si.ReceiptNo]bool{}
	for slot := uint32(1); slot <= m.pays.used; slot++ {
		p := m.pays.at(slot)
		if p.state == 0 {
			continue
		}
		n++
		if m.payByID.get(p.id) != slot {
			return fmt.Errorf("payment %s is not in the index", p.id)
		}
		if p.live() {
			live++
			if pos := m.holds.at(p.hold).live; pos == 0 || int(pos) > len(m.live) || m.live[pos-1] != slot {
				return fmt.Errorf("payment %s is %s and not in the list of live ones", p.id, p.state)
			}
			if p.stan != 0 {
				traces++
				if m.byTrace.get(m.traceOf(slot)) == 0 {
					return fmt.Errorf("payment %s has no trace entry", p.id)
				}
			}
		} else if p.hold != 0 && m.holds.at(p.hold).live != 0 {
			return fmt.Errorf("payment %s is %s and in the list of live ones", p.id, p.state)
		}
		if want := wantDue(p); want != 0 {
			for i := range int(p.n) {
				id, _ := m.item(p, i)
				if s := m.dueByID.get(id); (s == 0 || m.dues.at(s).state != want || m.dues.at(s).pay != slot) && !m.isRefunded(p.id, id) {
					return fmt.Errorf("payment %s is %s, its due %d is not %s by it", p.id, p.state, id, want)
				}
			}
		}
		if (p.state == ledgerapi.PayPosted) != (p.receipt != 0) && p.flags&(payReversed|payUnposted) == 0 && p.receipt == 0 {
			return fmt.Errorf("payment %s is posted without a receipt", p.id)
		}
		if p.receipt != 0 {
			r := si.ReceiptNo{Area: m.cfg.Area, Date: p.receiptDate, Seq: p.receipt}
			if receipts[r] {
				return fmt.Errorf("receipt %s is there twice", r)
			}
			receipts[r] = true
		}
	}
	if n != m.payByID.n || live != len(m.live) || traces != m.byTrace.n {
		return fmt.Errorf("%d payments (%d live, %d traced), %d, %d and %d in the indexes", n, live, traces,
			m.payByID.n, len(m.live), m.byTrace.n)
	}
	return nil
}

func (c *columns) merge(o *columns) {
	c.postedDr += o.postedDr
	c.postedCr += o.postedCr
	c.pendingDr += o.pendingDr
	c.pendingCr += o.pendingCr
}

// checkBooks computes the pending columns anew from the live payments, and the
// sums of clearing from its accounts.
func (m *Machine) checkBooks() error {
	type clearingKey struct {
		bank si.Bank
		date si.BusinessDate
		fund si.Fund
	}
	clearing := map[clearingKey]si.Fen{}
	var want [funds]book
	for _, slot := range m.live {
		p := m.pays.at(slot)
		for i := range int(p.n) {
			id, late := m.item(p, i)
			d := m.dues.at(m.dueByID.get(id))
			clearing[clearingKey{p.bank, m.pendingDate(p), d.fund}] += d.amount + late
			b := &want[d.fund].acc
			b[accIndiv].pendingCr += d.individual
			b[accPool].pendingCr += d.amount - d.individual
			b[accLate].pendingCr += late
		}
	}
	var sum, deposit [funds]columns
	for i := range m.banks {
		last := si.BusinessDate(0)
		for f := range deposit {
			deposit[f].merge(&m.banks[i].deposit[f])
		}
		for _, d := range m.banks[i].days {
			if d.date <= last {
				return fmt.Errorf("the dates of bank %d are out of order", i)
			}
			last = d.date
			for f := 1; f < funds; f++ {
				x := &d.funds[f]
				c := &x.clearing
				if c.pendingDr != clearing[clearingKey{si.Bank(i), d.date, si.Fund(f)}] || c.pendingCr != 0 {
					return fmt.Errorf("1191 of %s, bank %d, %s has %d fen pending, its payments %d", si.Fund(f), i, d.date,
						c.pendingDr, clearing[clearingKey{si.Bank(i), d.date, si.Fund(f)}])
				}
				paid := x.payments.Amount - x.reversals.Amount
				if paid != x.pool+x.indiv+x.late {
					return fmt.Errorf("%s, bank %d, %s took %d fen and has an income of %d", si.Fund(f), i, d.date,
						paid, x.pool+x.indiv+x.late)
				}
				if want := paid + x.batch + x.suspense - x.corrected; c.postedDr != want || c.postedCr != x.credited {
					return fmt.Errorf("1191 of %s, bank %d, %s has %d − %d fen, the day's totals say %d − %d", si.Fund(f), i, d.date,
						c.postedDr, c.postedCr, want, x.credited)
				}
				sum[f].merge(c)
			}
		}
	}
	for f := 1; f < funds; f++ {
		b := &m.books[f].acc
		if sum[f] != b[accClearing] || deposit[f] != b[accDeposit] {
			return fmt.Errorf("1191 and 1002 of %s: the accounts come to %+v and %+v, their sums are %+v and %+v", si.Fund(f),
				sum[f], deposit[f], b[accClearing], b[accDeposit])
		}
		for a := range accounts {
			if a != accClearing && (b[a].pendingDr != 0 || b[a].pendingCr != want[f].acc[a].pendingCr) {
				return fmt.Errorf("%d of %s has %d fen pending, its payments %d", codeOf(si.Fund(f), a), si.Fund(f),
					b[a].pendingCr, want[f].acc[a].pendingCr)
			}
		}
	}
	total := [funds]si.Fen{}
	for i := uint32(1); i <= m.indivs.used; i++ {
		x := m.indivs.at(i)
		total[x.key.fund] += x.paid + x.subsidy
	}
	if total != m.indivSum {
		return fmt.Errorf("individual accounts come to %v, their sums say %v", total, m.indivSum)
	}
	return nil
}
