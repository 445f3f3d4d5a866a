package core

import (
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
	"github.com/shebao-pay/shebao/si/planted"
)

// pending and posted say which pair of columns an entry goes to.
const (
	posted  = false
	pending = true
)

// add moves both columns of an account. Red entries (红字) have a negative
// amount in the same column, as the accounting standard wants.
func (c *columns) add(dr, cr si.Fen, pend bool) {
	if pend {
		c.pendingDr += dr
		c.pendingCr += cr
		return
	}
	c.postedDr += dr
	c.postedCr += cr
}

// entry books the chosen dues of a payment on a bank's date: Dr 1191 / Cr
// 4001.02 pooled and individual, Cr 4090. sign -1 is the red entry. A posted
// entry also moves the individual accounts and the day's totals.
func (m *Machine) entry(p *pay, d *day, sign si.Fen, pend bool) {
	d.meet(m.journal)
	var sum si.Fen
	var seen [funds]bool
	for _, c := range m.chosen {
		u := m.dues.at(c.slot)
		f, x, b := u.fund, &d.funds[u.fund], &m.books[u.fund].acc
		whole := u.amount + c.late
		sum += whole
		x.clearing.add(sign*whole, 0, pend)
		b[accClearing].add(sign*whole, 0, pend)
		b[accIndiv].add(0, sign*u.individual, pend)
		b[accPool].add(0, sign*(u.amount-u.individual), pend)
		b[accLate].add(0, sign*c.late, pend)
		if pend {
			continue
		}
		x.indiv += sign * u.individual
		x.pool += sign * (u.amount - u.individual)
		x.late += sign * c.late
		if u.individual != 0 && !(planted.On(planted.IndividualForgotten) && sign < 0) {
			m.addIndividual(u, sign*u.individual)
		}
		s := &x.payments
		if sign < 0 {
			s = &x.reversals
		}
		if !seen[f] {
			seen[f] = true
			s.Count++
		}
		s.Amount += whole
	}
	if sum != p.total {
		m.fail("payment %s of %d fen has dues of %d fen", p.id, p.total, sum)
	}
	if pend {
		return
	}
	s := &d.funds[0].payments
	if sign < 0 {
		s = &d.funds[0].reversals
	}
	s.Count++
	s.Amount += sum
}

// addIndividual moves a person's individual account in the year of the period.
func (m *Machine) addIndividual(d *due, amount si.Fen) {
	key := indivKey{d.person, uint16(d.period.Year()), d.fund}
	slot := m.byIndiv.get(key)
	if slot == 0 {
		var x *individual
		slot, x = m.indivs.take()
		x.key = key
		m.byIndiv.put(key, slot)
	}
	m.touch(classIndividual, slot)
	x := m.indivs.at(slot)
	if d.payer == ledgerapi.PayerGov {
		x.subsidy += amount
	} else {
		x.paid += amount
	}
	m.indivSum[d.fund] += amount
}
