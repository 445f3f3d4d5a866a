package ledger

import (
	"github.com/shebao-pay/shebao/ledger/core"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// Eligible gives the reasons why a person may not begin cover, 0 if there is
// none; false if there is no such person or no rules of that date. 0 is today.
func (n *Node) Eligible(person si.PersonNo, fund si.Fund, ptype si.PType, on si.BusinessDate) (ledgerapi.Reasons, bool) {
	return found(n, func(m *core.Machine) (ledgerapi.Reasons, bool) { return m.Eligible(person, fund, ptype, n.day(on)) })
}

// CoversOf are all spells of a person's cover with their history.
func (n *Node) CoversOf(person si.PersonNo) []ledgerapi.Cover {
	return read(n, func(m *core.Machine) []ledgerapi.Cover { return m.CoversOf(person) })
}

// ArrivalOf is what another region's certificate said of a spell that came in.
func (n *Node) ArrivalOf(person si.PersonNo, fund si.Fund, spell uint8) (ledgerapi.Arrival, bool) {
	return found(n, func(m *core.Machine) (ledgerapi.Arrival, bool) { return m.ArrivalOf(person, fund, spell) })
}

// Certificate finds a certificate of cover that we issued.
func (n *Node) Certificate(no ledgerapi.CertificateNo) (ledgerapi.Certificate, bool) {
	return found(n, func(m *core.Machine) (ledgerapi.Certificate, bool) { return m.Certificate(no) })
}

// CertificatesOf are a person's certificates of cover.
func (n *Node) CertificatesOf(person si.PersonNo) []ledgerapi.Certificate {
	return read(n, func(m *core.Machine) []ledgerapi.Certificate { return m.CertificatesOf(person) })
}

// Mandate finds a mandate.
func (n *Node) Mandate(no ledgerapi.MandateNo) (ledgerapi.Mandate, bool) {
	return found(n, func(m *core.Machine) (ledgerapi.Mandate, bool) { return m.Mandate(no) })
}

// MandatesOf are a person's mandates.
func (n *Node) MandatesOf(person si.PersonNo) []ledgerapi.Mandate {
	return read(n, func(m *core.Machine) []ledgerapi.Mandate { return m.MandatesOf(person) })
}

// BindingOf is a person's mobile number.
func (n *Node) BindingOf(person si.PersonNo) (ledgerapi.Binding, bool) {
	return found(n, func(m *core.Machine) (ledgerapi.Binding, bool) { return m.BindingOf(person) })
}

// CertifiedOf are a person's life certifications, oldest first.
func (n *Node) CertifiedOf(person si.PersonNo) []ledgerapi.Certified {
	return read(n, func(m *core.Machine) []ledgerapi.Certified { return m.CertifiedOf(person) })
}

// Scope is what agent may do for person on a date; 0 is today.
func (n *Node) Scope(person, agent si.PersonNo, on si.BusinessDate) ledgerapi.Scope {
	return read(n, func(m *core.Machine) ledgerapi.Scope { return m.Scope(person, agent, n.day(on)) })
}

// AgentsOf are the leaves that a person has given to others.
func (n *Node) AgentsOf(person si.PersonNo) []ledgerapi.Agency {
	return read(n, func(m *core.Machine) []ledgerapi.Agency { return m.AgentsOf(person) })
}

// PrincipalsOf are the leaves that a person has been given by others.
func (n *Node) PrincipalsOf(person si.PersonNo) []ledgerapi.Agency {
	return read(n, func(m *core.Machine) []ledgerapi.Agency { return m.PrincipalsOf(person) })
}

// Case finds a case with its steps.
func (n *Node) Case(no ledgerapi.CaseNo) (ledgerapi.Case, bool) {
	return found(n, func(m *core.Machine) (ledgerapi.Case, bool) { return m.Case(no) })
}

// CasesOf are a person's cases.
func (n *Node) CasesOf(person si.PersonNo) []ledgerapi.Case {
	return read(n, func(m *core.Machine) []ledgerapi.Case { return m.CasesOf(person) })
}

// OpenCases are the cases that wait for someone, at most limit.
func (n *Node) OpenCases(limit int) []ledgerapi.Case {
	return read(n, func(m *core.Machine) []ledgerapi.Case { return m.OpenCases(limit) })
}

// BookingsOf are a person's appointments.
func (n *Node) BookingsOf(person si.PersonNo) []ledgerapi.Booking {
	return read(n, func(m *core.Machine) []ledgerapi.Booking { return m.BookingsOf(person) })
}

// Booked is how many appointments stand in a slot of an office.
func (n *Node) Booked(office string, date si.BusinessDate, minute uint16) int {
	return read(n, func(m *core.Machine) int { return m.Booked(office, date, minute) })
}

// Statement finds a statement that was issued.
func (n *Node) Statement(no ledgerapi.StatementNo) (ledgerapi.Statement, bool) {
	return found(n, func(m *core.Machine) (ledgerapi.Statement, bool) { return m.Statement(no) })
}

// StatementsOf are a person's statements.
func (n *Node) StatementsOf(person si.PersonNo) []ledgerapi.Statement {
	return read(n, func(m *core.Machine) []ledgerapi.Statement { return m.StatementsOf(person) })
}
