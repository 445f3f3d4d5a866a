package core

import (
	"sort"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// Eligible gives the reasons why a person may not begin cover in a fund as a
// person type on a date, 0 if there is none; false if the ledger has no such
// person or no rules of that date.
func (m *Machine) Eligible(no si.PersonNo, fund si.Fund, ptype si.PType, on si.BusinessDate) (ledgerapi.Reasons, bool) {
	on = m.on(on)
	t := m.coverRules(on)
	if m.personOf(no) == nil || t == nil {
		return 0, false
	}
	return m.eligible(no, t, fund, ptype, on), true
}

// CoversOf are all spells of a person, by fund and spell, with their history.
func (m *Machine) CoversOf(no si.PersonNo) []ledgerapi.Cover {
	var all []ledgerapi.Cover
	for f := si.PensionEmp; f.Valid(); f++ {
		for spell := 1; spell <= maxSpells; spell++ {
			c := m.covers.get(coverKey{no, f, uint8(spell)})
			if c == nil {
				break
			}
			all = append(all, m.coverView(c))
		}
	}
	return all
}

func (m *Machine) coverView(c *cover) ledgerapi.Cover {
	v := ledgerapi.Cover{Person: c.key.person, Fund: c.key.fund, Spell: c.key.spell, PType: c.ptype, State: c.state, Base: c.base,
		Rates: c.rates, From: c.from, To: c.to, Consent: c.consent, Opened: c.opened, Reason: c.reason,
		Unverified: c.flags&coverUnverified != 0}
	began := ledgerapi.CoverChange{Act: ledgerapi.TypeEnrol, On: c.opened, From: c.from, Maker: c.maker}
	if c.flags&coverArrived != 0 {
		began.Act = ledgerapi.TypeTransferIn
	}
	v.Changes = append(v.Changes, began)
	for n := 1; n <= int(c.changes); n++ {
		x := m.coverChanges.get(coverChangeKey{c.key, uint16(n)})
		v.Changes[n-1].Base, v.Changes[n-1].Rates = x.base, x.rates
		v.Changes = append(v.Changes, ledgerapi.CoverChange{Act: x.act, On: x.on, From: x.from, Maker: x.maker})
	}
	v.Changes[c.changes].Base, v.Changes[c.changes].Rates = c.base, c.rates
	return v
}

// ArrivalOf is what another region's certificate said of a spell that came in.
func (m *Machine) ArrivalOf(no si.PersonNo, fund si.Fund, spell uint8) (ledgerapi.Arrival, bool) {
	a := m.arrivals.get(coverKey{no, fund, spell})
	if a == nil {
		return ledgerapi.Arrival{}, false
	}
	return ledgerapi.Arrival{Person: no, Fund: fund, Spell: spell, Area: a.area, Start: a.start, End: a.end, Months: a.months,
		Paid: a.paid, Issued: a.issued, Case: a.deskNo}, true
}

// Certificate finds a certificate of cover that we issued.
func (m *Machine) Certificate(no ledgerapi.CertificateNo) (ledgerapi.Certificate, bool) {
	c := m.certificates.get(no)
	if c == nil {
		return ledgerapi.Certificate{}, false
	}
	return ledgerapi.Certificate{No: c.no, Person: c.cover.person, Fund: c.cover.fund, Spell: c.cover.spell, To: c.to, Start: c.start,
		End: c.end, Months: c.months, Paid: c.paid, ArrearsCount: c.count, Arrears: c.arrears, Issued: c.issued}, true
}

// views makes the views of a person's records on a thread, in order of number.
func views[V any](t *thread, no si.PersonNo, view func(slot uint32) V) []V {
	var all []V
	for _, slot := range t.slots(no) {
		all = append(all, view(slot))
	}
	return all
}

// CertificatesOf are a person's certificates of cover, by number.
func (m *Machine) CertificatesOf(no si.PersonNo) []ledgerapi.Certificate {
	return views(m.certificatesOf, no, func(slot uint32) ledgerapi.Certificate {
		v, _ := m.Certificate(m.certificates.at(slot).no)
		return v
	})
}

// Mandate finds a mandate.
func (m *Machine) Mandate(no ledgerapi.MandateNo) (ledgerapi.Mandate, bool) {
	x := m.mandates.get(no)
	if x == nil {
		return ledgerapi.Mandate{}, false
	}
	return ledgerapi.Mandate{No: x.no, Person: x.person, Funds: x.funds, Bank: x.bank, Account: x.account, Limit: x.limit,
		Channel: x.channel, State: x.state, Consent: x.consent, Agreement: m.agreementOf(x), Signed: x.signed, Changed: x.changed}, true
}

// MandatesOf are a person's mandates, by number.
func (m *Machine) MandatesOf(no si.PersonNo) []ledgerapi.Mandate {
	return views(m.mandatesOf, no, func(slot uint32) ledgerapi.Mandate {
		v, _ := m.Mandate(m.mandates.at(slot).no)
		return v
	})
}

// BindingOf is a person's mobile number, false if none is bound.
func (m *Machine) BindingOf(no si.PersonNo) (ledgerapi.Binding, bool) {
	b := m.bindings.get(no)
	if b == nil || b.phone == (si.Hash{}) {
		return ledgerapi.Binding{}, false
	}
	return ledgerapi.Binding{Phone: b.phone, OptOut: b.optOut, Since: b.since,
		Sealed: append([]byte(nil), m.blobs.get(b.sealed, int(b.length))...)}, true
}

// CertifiedOf are a person's life certifications, oldest first.
func (m *Machine) CertifiedOf(no si.PersonNo) []ledgerapi.Certified {
	var all []ledgerapi.Certified
	for n := uint16(1); n != 0; n++ {
		c := m.certified.get(certifiedKey{no, n})
		if c == nil {
			break
		}
		all = append(all, ledgerapi.Certified{Kind: c.kind, On: c.on, Until: c.until, Next: c.next, Maker: c.maker})
	}
	return all
}

// AgentsOf are the leaves that a person has given, by agent; ended ones too.
func (m *Machine) AgentsOf(no si.PersonNo) []ledgerapi.Agency { return m.agenciesOf(0, no) }

// PrincipalsOf are the leaves that a person has been given, by principal.
func (m *Machine) PrincipalsOf(no si.PersonNo) []ledgerapi.Agency { return m.agenciesOf(1, no) }

func (m *Machine) agenciesOf(side int, no si.PersonNo) []ledgerapi.Agency {
	all := views(m.agencies[side], no, func(slot uint32) ledgerapi.Agency {
		p := m.proxies.at(slot)
		return ledgerapi.Agency{Person: p.key.person, Agent: p.key.agent, Scope: p.scope, Until: p.until}
	})
	sort.Slice(all, func(i, j int) bool {
		if all[i].Person != all[j].Person {
			return all[i].Person < all[j].Person
		}
		return all[i].Agent < all[j].Agent
	})
	return all
}

// Case finds a case with its steps.
func (m *Machine) Case(no ledgerapi.CaseNo) (ledgerapi.Case, bool) {
	c := m.cases.get(no)
	if c == nil {
		return ledgerapi.Case{}, false
	}
	v := ledgerapi.Case{No: c.no, Kind: c.kind, State: c.state, Person: c.person, Payment: c.payment, Fund: c.cover.fund,
		Spell: c.cover.spell, Office: c.office.String(), Owner: c.owner, Opened: c.opened, Deadline: c.deadline,
		Note: m.noteOf(c.note, c.noteLen)}
	for n := uint16(1); n <= c.steps; n++ {
		s := m.caseSteps.get(caseStepKey{no, n})
		v.Steps = append(v.Steps, ledgerapi.CaseStep{To: s.to, On: s.on, Owner: s.owner, Maker: s.maker, Note: m.noteOf(s.note, s.noteLen)})
	}
	return v, true
}

func (m *Machine) noteOf(ref, n uint32) string {
	if ref == 0 {
		return ""
	}
	return string(m.blobs.get(ref, int(n)))
}

// CasesOf are a person's cases, by number.
func (m *Machine) CasesOf(no si.PersonNo) []ledgerapi.Case {
	return views(m.casesOf, no, func(slot uint32) ledgerapi.Case {
		v, _ := m.Case(m.cases.at(slot).no)
		return v
	})
}

// OpenCases are the cases that are neither done nor refused, by number, at most
// limit.
func (m *Machine) OpenCases(limit int) []ledgerapi.Case {
	var all []ledgerapi.Case
	for slot := uint32(1); slot <= m.cases.used && len(all) < limit; slot++ {
		if c := m.cases.at(slot); c.state != ledgerapi.CaseDone && c.state != ledgerapi.CaseRefused {
			v, _ := m.Case(c.no)
			all = append(all, v)
		}
	}
	return all
}

// BookingsOf are a person's appointments, by number.
func (m *Machine) BookingsOf(no si.PersonNo) []ledgerapi.Booking {
	return views(m.bookingsOf, no, func(slot uint32) ledgerapi.Booking {
		b := m.bookings.at(slot)
		return ledgerapi.Booking{No: b.no, Person: b.person, Office: b.slot.office.String(), Date: b.slot.date, Minute: b.slot.minute,
			Service: b.service, State: b.state}
	})
}

// Booked is how many appointments stand in a slot of an office.
func (m *Machine) Booked(office string, date si.BusinessDate, minute uint16) int {
	return int(m.taken[slotKey{officeOf(office), date, minute}])
}

// Statement finds a statement that was issued.
func (m *Machine) Statement(no ledgerapi.StatementNo) (ledgerapi.Statement, bool) {
	s := m.papers.get(no)
	if s == nil {
		return ledgerapi.Statement{}, false
	}
	return ledgerapi.Statement{No: s.no, Person: s.person, Kind: s.kind, From: s.from, To: s.to, Hash: s.hash, Issued: s.issued}, true
}

// StatementsOf are a person's statements, by number.
func (m *Machine) StatementsOf(no si.PersonNo) []ledgerapi.Statement {
	return views(m.papersOf, no, func(slot uint32) ledgerapi.Statement {
		v, _ := m.Statement(m.papers.at(slot).no)
		return v
	})
}
