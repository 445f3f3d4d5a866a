package core

import (
	"fmt"

	"github.com/shebao-pay/shebao/ledger/enrol"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// checkRecords walks the records of people that are not money.
func (m *Machine) checkRecords() error {
	for _, check := range []func() error{m.checkCovers, m.checkMandates, m.checkPapers, m.checkCases, m.checkBookings} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// checkCovers holds that a person has at most one live spell in a fund, the
// last, and at most one ACTIVE in each exclusive group.
func (m *Machine) checkCovers() error {
	spells, changes := 0, 0
	for no := si.PersonNo(1); no <= si.PersonNo(m.persons.used); no++ {
		var active []si.Fund
		for f := si.PensionEmp; f.Valid(); f++ {
			last := m.coverOf(no, f)
			if last == nil {
				continue
			}
			for spell := 1; spell <= int(last.key.spell); spell++ {
				c := m.covers.get(coverKey{no, f, uint8(spell)})
				spells++
				changes += int(c.changes)
				if err := m.checkCover(c, c == last); err != nil {
					return fmt.Errorf("spell %d of person %d in %s %w", spell, no, f, err)
				}
			}
			if last.state != ledgerapi.CoverActive {
				continue
			}
			for _, other := range active {
				if m.alwaysExclusive(other, f) {
					return fmt.Errorf("person %d is active in both %s and %s", no, other, f)
				}
			}
			active = append(active, f)
		}
	}
	if spells != int(m.covers.used) || changes != int(m.coverChanges.used) {
		return fmt.Errorf("%d spells with %d changes, %d and %d on the shelves", spells, changes, m.covers.used, m.coverChanges.used)
	}
	return nil
}

func (m *Machine) checkCover(c *cover, last bool) error {
	switch {
	case c.state.Live() && !last:
		return fmt.Errorf("is %s and not the last", c.state)
	case (c.to == 0) != (c.state == ledgerapi.CoverActive):
		return fmt.Errorf("is %s until %s", c.state, c.to)
	case (c.reason != 0) != (c.state == ledgerapi.CoverTerminated):
		return fmt.Errorf("is %s for reason %d", c.state, c.reason)
	case (c.flags&coverArrived != 0) != (m.arrivals.get(c.key) != nil):
		return fmt.Errorf("came in and has no certificate, or the reverse")
	}
	return nil
}

// alwaysExclusive tells whether every version of the region's rules lets at most
// one of two funds be active: only then has no one been let into both.
func (m *Machine) alwaysExclusive(a, b si.Fund) bool {
	for i := range m.coverTables {
		if !m.coverTables[i].table.Excludes(a, b) {
			return false
		}
	}
	return len(m.coverTables) > 0
}

// checkMandates holds that of a person, fund and bank at most one mandate lives.
func (m *Machine) checkMandates() error {
	type key struct {
		person si.PersonNo
		bank   si.Bank
	}
	live := map[key]ledgerapi.FundSet{}
	for slot := uint32(1); slot <= m.mandates.used; slot++ {
		x := m.mandates.at(slot)
		if x.no != ledgerapi.MandateNo(slot) || m.personOf(x.person) == nil || !x.funds.Valid() {
			return fmt.Errorf("mandate %d is in place %d, of person %d for funds %b", x.no, slot, x.person, x.funds)
		}
		if x.state == ledgerapi.MandateActive && x.agreed == 0 {
			return fmt.Errorf("mandate %d is active without an agreement", x.no)
		}
		if x.state == ledgerapi.MandateCancelled {
			continue
		}
		k := key{x.person, x.bank}
		if live[k]&x.funds != 0 {
			return fmt.Errorf("person %d has two mandates of funds %b at bank %d", x.person, live[k]&x.funds, x.bank)
		}
		live[k] |= x.funds
	}
	return linked(m.mandatesOf, "mandates", m.mandates.used, m.persons.used)
}

// linked holds that every record of a shelf is on the thread of one person.
func linked(t *thread, what string, records, persons uint32) error {
	n := 0
	for no := uint32(1); no <= persons; no++ {
		n += len(t.slots(si.PersonNo(no)))
	}
	if n != int(records) {
		return fmt.Errorf("%d %s, %d of them with a person", records, what, n)
	}
	return nil
}

// checkPapers holds that life certifications go forward in time, and that
// statements, certificates and leaves to act are with their persons.
func (m *Machine) checkPapers() error {
	n := 0
	for no := uint32(1); no <= m.persons.used; no++ {
		on := si.BusinessDate(0)
		for _, c := range m.CertifiedOf(si.PersonNo(no)) {
			if n++; c.On < on {
				return fmt.Errorf("a life certification of person %d is of %s, the one before of %s", no, c.On, on)
			}
			on = c.On
		}
	}
	if n != int(m.certified.used) {
		return fmt.Errorf("%d life certifications, %d of them with a person", m.certified.used, n)
	}
	for _, err := range []error{
		linked(m.papersOf, "statements", m.papers.used, m.persons.used),
		linked(m.certificatesOf, "certificates", m.certificates.used, m.persons.used),
		linked(m.agencies[0], "leaves to act", m.proxies.used, m.persons.used),
		linked(m.agencies[1], "leaves to act", m.proxies.used, m.persons.used),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

// checkCases holds that the steps of a case lead to its state by legal moves.
func (m *Machine) checkCases() error {
	steps := uint32(0)
	for slot := uint32(1); slot <= m.cases.used; slot++ {
		c := m.cases.at(slot)
		at := ledgerapi.CaseNew
		for n := uint16(1); n <= c.steps; n++ {
			s := m.caseSteps.get(caseStepKey{c.no, n})
			if s == nil || !enrol.Case(at, s.to) {
				return fmt.Errorf("step %d of case %d is missing or leads nowhere", n, c.no)
			}
			at = s.to
			steps++
		}
		if at != c.state {
			return fmt.Errorf("case %d is in state %d, its steps lead to %d", c.no, c.state, at)
		}
		if c.cover.fund != 0 && m.covers.get(c.cover) == nil {
			return fmt.Errorf("case %d is about cover that is not there", c.no)
		}
	}
	if steps != m.caseSteps.used {
		return fmt.Errorf("cases have %d steps, %d on the shelf", steps, m.caseSteps.used)
	}
	return nil
}

// checkBookings counts the appointments of each slot anew.
func (m *Machine) checkBookings() error {
	type slotCount struct{ taken, most uint16 }
	slots := map[slotKey]slotCount{}
	for i := uint32(1); i <= m.bookings.used; i++ {
		b := m.bookings.at(i)
		s := slots[b.slot]
		if b.state == ledgerapi.BookingTaken {
			s.taken++
		}
		s.most = max(s.most, b.capacity)
		slots[b.slot] = s
	}
	for i := uint32(1); i <= m.bookings.used; i++ {
		b := m.bookings.at(i)
		if s := slots[b.slot]; s.taken > s.most || s.taken != m.taken[b.slot] {
			return fmt.Errorf("slot %s %s %d has %d appointments of %d, counted as %d", b.slot.office.String(), b.slot.date, b.slot.minute,
				s.taken, s.most, m.taken[b.slot])
		}
	}
	return linked(m.bookingsOf, "appointments", m.bookings.used, m.persons.used)
}
