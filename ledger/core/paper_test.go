package core

import (
	"slices"
	"strings"
	"testing"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// codes does acts one after the other and compares their results.
func (r *rig) codes(all []struct {
	name string
	do   ledgerapi.Body
	want ledgerapi.Code
}) {
	r.t.Helper()
	for _, tc := range all {
		if got := r.do(r.act(tc.do)); got.Code != tc.want {
			r.t.Errorf("%s: %T = %s, want %s", tc.name, tc.do, got.Code, tc.want)
		}
		r.check()
	}
}

type actCodes = []struct {
	name string
	do   ledgerapi.Body
	want ledgerapi.Code
}

func TestBind(t *testing.T) {
	r := newRig(t, Config{}).open(1)
	phone := func(n int, optOut bool, sealed string) *ledgerapi.Bind {
		c := &ledgerapi.Bind{Person: 1, OptOut: optOut, Sealed: []byte(sealed)}
		if n != 0 {
			c.Phone = hashOf("phone", n)
		}
		return c
	}
	if _, ok := r.m.BindingOf(1); ok {
		t.Error("a number is bound from the start")
	}
	r.codes(actCodes{
		{"none to end", phone(0, false, ""), ledgerapi.Exists},
		{"bound", phone(1, false, "sealed"), ledgerapi.OK},
		{"again, sealed anew", phone(1, false, "anew"), ledgerapi.Exists},
		{"opted out", phone(1, true, "anew"), ledgerapi.OK},
		{"another number", phone(2, false, "two"), ledgerapi.OK},
		{"without a seal", phone(2, false, ""), ledgerapi.Malformed},
		{"an end with a seal", phone(0, false, "x"), ledgerapi.Malformed},
		{"an end with a wish", phone(0, true, ""), ledgerapi.Malformed},
		{"nobody", &ledgerapi.Bind{Person: 9}, ledgerapi.NotFound},
	})
	if b, ok := r.m.BindingOf(1); !ok || b.Phone != hashOf("phone", 2) || b.OptOut || string(b.Sealed) != "two" || b.Since != firstDay {
		t.Errorf("BindingOf = %+v, %v", b, ok)
	}
	r.codes(actCodes{{"ended", phone(0, false, ""), ledgerapi.OK}, {"ended twice", phone(0, false, ""), ledgerapi.Exists}})
	if _, ok := r.m.BindingOf(1); ok {
		t.Error("an ended binding is told")
	}
}

func TestCertify(t *testing.T) {
	r := newRig(t, Config{}).open(1)
	retired := ledgerapi.PutPerson{ID: r.id(), IDHash: hashOf("id", 50), PType: si.Resident, Flags: ledgerapi.FlagRetired}
	no := r.must(retired).Person
	seen := func(person si.PersonNo, on si.BusinessDate) *ledgerapi.Certify {
		return &ledgerapi.Certify{Person: person, Kind: ledgerapi.CertifyClerk, On: on, Until: on + 365, Next: on + 330}
	}
	with := func(change func(*ledgerapi.Certify)) *ledgerapi.Certify {
		c := seen(no, firstDay)
		change(c)
		return c
	}
	r.codes(actCodes{
		{"not a pensioner", seen(1, firstDay), ledgerapi.BadTransition},
		{"nobody", seen(9, firstDay), ledgerapi.NotFound},
		{"seen", seen(no, firstDay-9), ledgerapi.OK},
		{"the same again", seen(no, firstDay-9), ledgerapi.Exists},
		{"before that", seen(no, firstDay-10), ledgerapi.BadTransition},
		{"on the same day by another way", &ledgerapi.Certify{Person: no, Kind: ledgerapi.CertifyVisit, On: firstDay - 9, Until: firstDay, Next: firstDay}, ledgerapi.OK},
		{"tomorrow", seen(no, firstDay+1), ledgerapi.Malformed},
		{"no kind", with(func(c *ledgerapi.Certify) { c.Kind = 0 }), ledgerapi.Malformed},
		{"a fifth kind", with(func(c *ledgerapi.Certify) { c.Kind = ledgerapi.CertifyVisit + 1 }), ledgerapi.Malformed},
		{"ends before", with(func(c *ledgerapi.Certify) { c.Until = c.On - 1 }), ledgerapi.Malformed},
		{"next before", with(func(c *ledgerapi.Certify) { c.Next = c.On - 1 }), ledgerapi.Malformed},
		{"today", seen(no, firstDay), ledgerapi.OK},
	})
	if got := r.do(r.act(seen(1, firstDay))); ledgerapi.Reasons(got.Reasons) != ledgerapi.ReasonNotPensioner {
		t.Errorf("Certify of no pensioner = %s", ledgerapi.Reasons(got.Reasons))
	}
	if all := r.m.CertifiedOf(no); len(all) != 3 || all[0].On != firstDay-9 || all[1].Kind != ledgerapi.CertifyVisit || all[2].On != firstDay {
		t.Errorf("CertifiedOf = %+v", all)
	}
}

func TestStatements(t *testing.T) {
	r := newRig(t, Config{}).open(2)
	paper := func(change func(*ledgerapi.IssueStatement)) *ledgerapi.IssueStatement {
		c := &ledgerapi.IssueStatement{Person: 1, Kind: 1, From: si.MonthPeriod(2026, 1), To: si.MonthPeriod(2026, 10), Hash: [32]byte{1}}
		if change != nil {
			change(c)
		}
		return c
	}
	r.codes(actCodes{
		{"issued", paper(nil), ledgerapi.OK},
		{"another", paper(nil), ledgerapi.OK},
		{"of nobody", paper(func(c *ledgerapi.IssueStatement) { c.Person = 9 }), ledgerapi.NotFound},
		{"of no kind", paper(func(c *ledgerapi.IssueStatement) { c.Kind = 0 }), ledgerapi.Malformed},
		{"of nothing", paper(func(c *ledgerapi.IssueStatement) { c.Hash = [32]byte{} }), ledgerapi.Malformed},
		{"backwards", paper(func(c *ledgerapi.IssueStatement) { c.To = c.From - 1 }), ledgerapi.Malformed},
	})
	if all := r.m.StatementsOf(1); len(all) != 2 || all[1].No != 2 || all[1].Issued != firstDay || len(r.m.StatementsOf(2)) != 0 {
		t.Errorf("StatementsOf = %+v", all)
	}
	if s, ok := r.m.Statement(2); !ok || s.Hash != [32]byte{1} {
		t.Errorf("Statement = %+v, %v", s, ok)
	}
	if _, ok := r.m.Statement(3); ok {
		t.Error("Statement(3) was never issued")
	}
}

func TestAgencies(t *testing.T) {
	r := newRig(t, Config{}).open(4)
	for _, c := range []ledgerapi.Proxy{{Person: 1, Agent: 3}, {Person: 1, Agent: 2}, {Person: 4, Agent: 3}, {Person: 2, Agent: 3}} {
		c.Scope, c.Until = ledgerapi.ScopePay, firstDay
		r.must(r.act(&c))
	}
	r.must(r.act(&ledgerapi.Proxy{Person: 1, Agent: 3}))
	who := func(all []ledgerapi.Agency) (no []si.PersonNo) {
		for _, a := range all {
			no = append(no, a.Person, a.Agent)
		}
		return no
	}
	if got := who(r.m.AgentsOf(1)); !slices.Equal(got, []si.PersonNo{1, 2, 1, 3}) {
		t.Errorf("AgentsOf(1) = %v", got)
	}
	if got := who(r.m.PrincipalsOf(3)); !slices.Equal(got, []si.PersonNo{1, 3, 2, 3, 4, 3}) {
		t.Errorf("PrincipalsOf(3) = %v", got)
	}
	if got := r.m.AgentsOf(1); got[1].Scope != 0 || got[0].Scope != ledgerapi.ScopePay {
		t.Errorf("AgentsOf(1) = %+v, want the leave of 3 ended", got)
	}
	r.check()
}

// TestCaseMatrix walks every state of a case against every move.
func TestCaseMatrix(t *testing.T) {
	path := map[ledgerapi.CaseState][]ledgerapi.CaseState{
		ledgerapi.CaseNew: nil, ledgerapi.CaseAccepted: {ledgerapi.CaseAccepted}, ledgerapi.CaseWaiting: {ledgerapi.CaseAccepted, ledgerapi.CaseWaiting},
		ledgerapi.CaseDone: {ledgerapi.CaseAccepted, ledgerapi.CaseDone}, ledgerapi.CaseRefused: {ledgerapi.CaseRefused},
	}
	for s, want := range map[ledgerapi.CaseState]string{
		//                      N A W D R
		ledgerapi.CaseNew:      "xx..x",
		ledgerapi.CaseAccepted: ".xxxx",
		ledgerapi.CaseWaiting:  ".xx.x",
		ledgerapi.CaseDone:     ".....",
		ledgerapi.CaseRefused:  ".....",
	} {
		for to := ledgerapi.CaseNew; to <= ledgerapi.CaseRefused; to++ {
			r := newRig(t, Config{}).open(1)
			r.must(r.act(&ledgerapi.CaseOpen{Kind: ledgerapi.CaseRecord, Person: 1, Office: "hall", Note: "note"}))
			for _, by := range path[s] {
				r.must(r.act(&ledgerapi.CaseMove{Case: 1, To: by}))
			}
			code, after := ledgerapi.BadTransition, s
			if want[to-1] == 'x' {
				code, after = ledgerapi.OK, to
			}
			got := r.do(r.act(&ledgerapi.CaseMove{Case: 1, To: to, Owner: 5, Note: "moved"}))
			if c, _ := r.m.Case(1); got.Code != code || c.State != after || (code == ledgerapi.OK) != (c.Owner == 5) {
				t.Errorf("case in %d to %d = %s and %+v, want %s", s, to, got.Code, c, code)
			}
			r.check()
		}
	}
}

func TestCases(t *testing.T) {
	r := newRig(t, Config{}).open(2)
	open := func(change func(*ledgerapi.CaseOpen)) *ledgerapi.CaseOpen {
		c := &ledgerapi.CaseOpen{Kind: ledgerapi.CaseCover, Person: 1, Payment: r.id(), Office: strings.Repeat("o", ledgerapi.MaxOffice), Deadline: firstDay, Note: "why"}
		if change != nil {
			change(c)
		}
		return c
	}
	r.codes(actCodes{
		{"opened", open(nil), ledgerapi.OK},
		{"of nobody known", open(func(c *ledgerapi.CaseOpen) { c.Person = 0; c.Office, c.Note, c.Deadline = "", "", 0 }), ledgerapi.OK},
		{"of nobody", open(func(c *ledgerapi.CaseOpen) { c.Person = 9 }), ledgerapi.NotFound},
		{"of no kind", open(func(c *ledgerapi.CaseOpen) { c.Kind = 0 }), ledgerapi.Malformed},
		{"of a seventh kind", open(func(c *ledgerapi.CaseOpen) { c.Kind = ledgerapi.CaseDevice + 1 }), ledgerapi.Malformed},
		{"late from the start", open(func(c *ledgerapi.CaseOpen) { c.Deadline = firstDay - 1 }), ledgerapi.Malformed},
		{"an office one too long", open(func(c *ledgerapi.CaseOpen) { c.Office += "o" }), ledgerapi.Malformed},
		{"moved to nowhere", &ledgerapi.CaseMove{Case: 1, To: 0}, ledgerapi.Malformed},
		{"no such case", &ledgerapi.CaseMove{Case: 9, To: ledgerapi.CaseAccepted}, ledgerapi.NotFound},
	})
	if got := r.as(8, r.act(&ledgerapi.CaseMove{Case: 1, To: ledgerapi.CaseAccepted, Owner: 7, Note: "taken"})); got.Code != ledgerapi.OK || got.No != 1 {
		t.Errorf("CaseMove = %+v", got)
	}
	c, _ := r.m.Case(1)
	if c.Office != strings.Repeat("o", ledgerapi.MaxOffice) || c.Note != "why" || c.Deadline != firstDay || c.Payment.IsZero() || c.Fund != 0 ||
		!slices.Equal(c.Steps, []ledgerapi.CaseStep{{To: ledgerapi.CaseAccepted, On: firstDay, Owner: 7, Maker: 8, Note: "taken"}}) {
		t.Errorf("Case = %+v", c)
	}
	if got := r.m.CasesOf(1); len(got) != 1 || got[0].No != 1 {
		t.Errorf("CasesOf = %+v", got)
	}
	if got := r.m.OpenCases(9); len(got) != 2 || len(r.m.OpenCases(1)) != 1 {
		t.Errorf("OpenCases = %+v", got)
	}
	r.must(r.act(&ledgerapi.CaseMove{Case: 2, To: ledgerapi.CaseRefused}))
	if got := r.m.OpenCases(9); len(got) != 1 || got[0].No != 1 {
		t.Errorf("OpenCases = %+v, want case 1 alone", got)
	}
	for range maxSteps - 1 {
		r.must(r.act(&ledgerapi.CaseMove{Case: 1, To: ledgerapi.CaseAccepted}))
	}
	if got := r.do(r.act(&ledgerapi.CaseMove{Case: 1, To: ledgerapi.CaseAccepted})); got.Code != ledgerapi.SeqExhausted {
		t.Errorf("step %d = %s, want SEQ_EXHAUSTED", maxSteps+1, got.Code)
	}
	r.check()
}

func TestBookings(t *testing.T) {
	r := newRig(t, Config{}).open(4)
	book := func(person si.PersonNo, change func(*ledgerapi.Book)) *ledgerapi.Book {
		c := &ledgerapi.Book{Person: person, Office: "hall", Date: firstDay + 1, Minute: 540, Capacity: 2, Service: 1}
		if change != nil {
			change(c)
		}
		return c
	}
	r.codes(actCodes{
		{"first", book(1, nil), ledgerapi.OK},
		{"the same person again", book(1, nil), ledgerapi.Exists},
		{"second", book(2, nil), ledgerapi.OK},
		{"third of two", book(3, nil), ledgerapi.BadTransition},
		{"third of three", book(3, func(c *ledgerapi.Book) { c.Capacity = 3 }), ledgerapi.OK},
		{"fourth of two", book(4, nil), ledgerapi.BadTransition},
		{"another slot", book(4, func(c *ledgerapi.Book) { c.Minute = 555 }), ledgerapi.OK},
		{"another office", book(4, func(c *ledgerapi.Book) { c.Office = "town" }), ledgerapi.OK},
		{"today", book(4, func(c *ledgerapi.Book) { c.Date = firstDay }), ledgerapi.OK},
		{"yesterday", book(4, func(c *ledgerapi.Book) { c.Date = firstDay - 1 }), ledgerapi.Malformed},
		{"at the end", book(4, func(c *ledgerapi.Book) { c.Date = firstDay + maxBookDays; c.Minute = 1439 }), ledgerapi.OK},
		{"a day past it", book(4, func(c *ledgerapi.Book) { c.Date = firstDay + maxBookDays + 1 }), ledgerapi.Malformed},
		{"after midnight", book(4, func(c *ledgerapi.Book) { c.Minute = 1440 }), ledgerapi.Malformed},
		{"no place at all", book(4, func(c *ledgerapi.Book) { c.Capacity = 0 }), ledgerapi.Malformed},
		{"nowhere", book(4, func(c *ledgerapi.Book) { c.Office = "" }), ledgerapi.Malformed},
		{"nobody", book(9, nil), ledgerapi.NotFound},
		{"no such booking", &ledgerapi.CancelBooking{Booking: 99}, ledgerapi.NotFound},
		{"given back", &ledgerapi.CancelBooking{Booking: 1}, ledgerapi.OK},
		{"given back twice", &ledgerapi.CancelBooking{Booking: 1}, ledgerapi.Exists},
		{"still two of two", book(4, nil), ledgerapi.BadTransition},
		{"given back", &ledgerapi.CancelBooking{Booking: 2}, ledgerapi.OK},
		{"a place is free", book(4, nil), ledgerapi.OK},
	})
	if got := r.m.Booked("hall", firstDay+1, 540); got != 2 {
		t.Errorf("Booked = %d, want 2", got)
	}
	if all := r.m.BookingsOf(1); len(all) != 1 || all[0].State != ledgerapi.BookingCancelled || all[0].Office != "hall" {
		t.Errorf("BookingsOf = %+v", all)
	}
	r.at = (firstDay + 2).Time().UnixMilli()
	r.codes(actCodes{{"one that has been", &ledgerapi.CancelBooking{Booking: 3}, ledgerapi.BadTransition}})
}
