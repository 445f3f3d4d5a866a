package core

import (
	"reflect"
	"testing"
	"unsafe"

	"pgregory.net/rapid"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// personAct draws an act on a person's records or dues: mostly one that may go
// through as things stand, some that may not.
func (p *player) personAct() ledgerapi.Command {
	n := func(name string, from, to int) int { return rapid.IntRange(from, to).Draw(p.t, name) }
	who := p.person()
	fund := rapid.SampledFrom([]si.Fund{si.PensionRes, si.MedRes, si.PensionEmp}).Draw(p.t, "fund")
	ptype, from, base := si.Resident, si.YearPeriod(2025+n("year", 0, 2)), si.Fen(0)
	switch fund {
	case si.PensionRes:
		base = rapid.SampledFrom([]si.Fen{10_000, 30_000, 50_000, 100_000}).Draw(p.t, "grade")
	case si.PensionEmp:
		ptype, from = si.Flex, si.MonthPeriod(2026, 11)+si.Period(n("month", 0, 3))
	}
	cover := ledgerapi.CoverAct{Person: who, Fund: fund, From: from}
	today := p.openDate()
	switch n("act", 0, 26) {
	case 0, 1, 2:
		c := ledgerapi.Enrol{Person: who, Fund: fund, PType: ptype, Base: base, From: from, Rates: 1}
		if n("citizen", 0, 2) == 0 {
			c.Consent[0] = 1
		}
		return p.newAct(&c)
	case 3:
		return p.newAct(&ledgerapi.TransferIn{Enrol: ledgerapi.Enrol{Person: who, Fund: fund, PType: ptype, Base: base, From: from, Rates: 1},
			Area: 330199, Start: 300, End: 310, Months: 10, Paid: 77, Issued: 9000, Verified: n("verified", 0, 1) == 1})
	case 4, 5:
		return p.newAct(&ledgerapi.Suspend{CoverAct: cover})
	case 6, 7:
		return p.newAct(&ledgerapi.Resume{CoverAct: cover})
	case 8, 9:
		return p.newAct(&ledgerapi.ChangeGrade{CoverAct: cover, Base: base, Rates: 1})
	case 10:
		return p.newAct(&ledgerapi.TransferOut{CoverAct: cover, To: 330199})
	case 11:
		c := ledgerapi.Terminate{CoverAct: cover, Reason: ledgerapi.TerminateReason(n("reason", 1, 4))}
		if c.Reason == ledgerapi.TerminateDeath {
			c.Fund, c.From = 0, si.MonthPeriod(2026, 6)
		}
		return p.newAct(&c)
	case 12:
		if n("employer", 0, 1) == 0 {
			c := ledgerapi.Assess{ID: p.rig.id(), Fund: si.PensionEmp, PType: si.Employee, Period: si.MonthPeriod(2026, 11) + si.Period(n("month", 0, 2)),
				Kind: ledgerapi.DueCurrent, DueDay: today, Version: 1, Undeclared: n("undeclared", 0, 1) == 1, Items: []ledgerapi.AssessItem{{Person: who}}}
			return c
		}
		return p.newAct(&ledgerapi.Open{Fund: fund, Period: from, First: 1, Last: si.PersonNo(p.persons)})
	case 13, 14, 15, 16:
		return p.newAct(p.dueAct(n))
	case 17:
		return p.newAct(&ledgerapi.BackPay{Person: who, Fund: fund, PType: ptype, Period: si.YearPeriod(2025), Base: base, Rates: 1, DueDay: today + 30})
	case 18, 19:
		c := p.sign(who, n("pan", 0, 3))
		if n("funds", 0, 3) == 0 {
			c.Funds = ledgerapi.FundsOf(fund)
		}
		return p.newAct(c)
	case 20:
		c := ledgerapi.MandateMove{Mandate: ledgerapi.MandateNo(n("mandate", 1, 4)), To: ledgerapi.MandateState(n("to", 2, 4))}
		if c.To == ledgerapi.MandateActive {
			c.Agreement = rapid.SampledFrom([]string{"A", "agreement of thirty-two letters!"}).Draw(p.t, "agreement")
		}
		return p.newAct(&c)
	case 21:
		c := ledgerapi.Bind{Person: who}
		if i := n("phone", 0, 2); i > 0 {
			c.Phone, c.Sealed, c.OptOut = hashOf("phone", i), make([]byte, 31+i), i == 2
		}
		return p.newAct(&c)
	case 22:
		return p.newAct(&ledgerapi.Certify{Person: who, Kind: 1, On: today - si.BusinessDate(n("days", 0, 3)), Until: today + 365, Next: today + 330})
	case 23:
		if n("open", 0, 1) == 0 {
			return p.newAct(&ledgerapi.CaseOpen{Kind: ledgerapi.CaseRecord, Person: who * si.PersonNo(n("known", 0, 1)), Office: "hall", Note: "note"})
		}
		return p.newAct(&ledgerapi.CaseMove{Case: ledgerapi.CaseNo(n("case", 1, 4)), To: ledgerapi.CaseState(n("to", 1, 5)), Owner: 3, Note: "step"})
	case 24:
		if n("cancel", 0, 2) == 0 {
			return p.newAct(&ledgerapi.CancelBooking{Booking: ledgerapi.BookingNo(n("booking", 1, 5))})
		}
		return p.newAct(&ledgerapi.Book{Person: who, Office: "hall", Date: today + 1, Minute: 540, Capacity: uint16(n("capacity", 1, 2))})
	case 25:
		if n("proxy", 0, 1) == 0 {
			return p.newAct(&ledgerapi.Proxy{Person: who, Agent: p.person(), Scope: ledgerapi.Scope(n("scope", 0, 15)), Until: today + 9})
		}
		return p.newAct(&ledgerapi.IssueStatement{Person: who, Kind: 1, From: 300, To: 310, Hash: [32]byte{1}})
	default:
		if len(p.acts) == 0 {
			return p.newAct(&ledgerapi.Open{Fund: fund, Period: from, First: who, Last: who})
		}
		subject := p.acts[len(p.acts)-1-n("subject", 0, min(len(p.acts)-1, 9))]
		for _, w := range p.m.Waiting() {
			subject = w.ID
		}
		return p.newAct(&ledgerapi.Approve{Subject: subject, Verdict: ledgerapi.Verdict(n("verdict", 1, 2))})
	}
}

// dueAct draws an act on one due, as it stands or as it once stood.
func (p *player) dueAct(n func(string, int, int) int) ledgerapi.Body {
	c := ledgerapi.DueAct{Due: si.DueID(n("due", 1, int(p.m.lastDue))), Version: uint16(n("version", 1, 2)), Reason: "reason"}
	if slot := p.m.dueByID.get(c.Due); slot != 0 && n("seen", 0, 5) > 0 {
		c.Version = p.m.dues.at(slot).version
	}
	switch n("due act", 0, 3) {
	case 0:
		return &ledgerapi.Cancel{DueAct: c}
	case 1:
		return &ledgerapi.WriteOff{DueAct: c}
	case 2:
		return &ledgerapi.SetLateRule{DueAct: c, Rule: uint8(n("rule", 0, 1))}
	}
	return &ledgerapi.Replace{DueAct: c, Base: rapid.SampledFrom([]si.Fen{10_000, 30_000, 100_000}).Draw(p.t, "base"), Rates: 1}
}

func (p *player) newAct(do ledgerapi.Body) ledgerapi.Command {
	a := p.act(do)
	p.acts = append(p.acts, a.ID)
	return a
}

// records is everything that the queries tell of a person beside money.
func records(m *Machine, no si.PersonNo) []any {
	b, bound := m.BindingOf(no)
	return []any{m.CoversOf(no), m.CertificatesOf(no), m.MandatesOf(no), b, bound, m.CertifiedOf(no), m.AgentsOf(no),
		m.PrincipalsOf(no), m.CasesOf(no), m.BookingsOf(no), m.StatementsOf(no)}
}

// sameRecords holds that two machines tell the same of everyone.
func sameRecords(t tester, got, want *Machine, persons int) {
	t.Helper()
	for i := range persons {
		no := si.PersonNo(i + 1)
		if g, w := records(got, no), records(want, no); !reflect.DeepEqual(g, w) {
			t.Fatalf("records of person %d = %+v, want %+v", no, g, w)
		}
	}
	if g, w := got.Waiting(), want.Waiting(); len(g) != len(w) {
		t.Fatalf("%d acts wait, want %d", len(g), len(w))
	}
}

// TestActsReach holds that the random streams are worth playing: over some of
// them, each act goes through and is refused.
func TestActsReach(t *testing.T) {
	done, refused := map[ledgerapi.Type]int{}, map[ledgerapi.Type]int{}
	rapid.Check(t, func(t *rapid.T) {
		p := newPlayer(t, Config{})
		for range 60 {
			c := p.personAct()
			if got := p.do(c); got.Code == ledgerapi.OK {
				done[c.Type()]++
			} else {
				refused[c.Type()]++
			}
		}
		p.check()
	})
	for _, k := range []ledgerapi.Type{ledgerapi.TypeOpen, ledgerapi.TypeReplace, ledgerapi.TypeCancel, ledgerapi.TypeBackPay,
		ledgerapi.TypeEnrol, ledgerapi.TypeSuspend, ledgerapi.TypeResume, ledgerapi.TypeChangeGrade, ledgerapi.TypeTransferOut,
		ledgerapi.TypeTransferIn, ledgerapi.TypeTerminate, ledgerapi.TypeBind, ledgerapi.TypeCaseOpen, ledgerapi.TypeCaseMove,
		ledgerapi.TypeBook, ledgerapi.TypeCancelBooking, ledgerapi.TypeIssueStatement, ledgerapi.TypeMandateSign,
		ledgerapi.TypeMandateMove, ledgerapi.TypeApprove} {
		if done[k] == 0 {
			t.Errorf("no act of type %d went through in all streams (%d were refused)", k, refused[k])
		}
	}
}

// TestRecordSizes holds what the records take that everyone has.
func TestRecordSizes(t *testing.T) {
	for _, tc := range []struct {
		name      string
		got, want uintptr
	}{
		{"cover", unsafe.Sizeof(cover{}), 56},
		{"coverChange", unsafe.Sizeof(coverChange{}), 40},
		{"mandate", unsafe.Sizeof(mandate{}), 80},
		{"binding", unsafe.Sizeof(binding{}), 32},
		{"certified", unsafe.Sizeof(certified{}), 20},
	} {
		if tc.got != tc.want {
			t.Errorf("%s takes %d bytes, want %d", tc.name, tc.got, tc.want)
		}
	}
}
