package core

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// thisYear is the year of firstDay, for which the shipped rates have grades.
var thisYear = si.YearPeriod(2026)

const testGrade = si.Fen(100_000)

// enrolled is an import of a resident pension of a grade.
func enrolled(person si.PersonNo) *ledgerapi.Enrol {
	return &ledgerapi.Enrol{Person: person, Fund: si.PensionRes, PType: si.Resident, Base: testGrade, From: thisYear, Rates: 1}
}

func arriving(person si.PersonNo) *ledgerapi.TransferIn {
	return &ledgerapi.TransferIn{Enrol: *enrolled(person), Area: 330199, Start: si.MonthPeriod(2020, 1), End: si.MonthPeriod(2025, 12),
		Months: 72, Paid: 600_000, Issued: firstDay - 9}
}

func coverAct(person si.PersonNo, from si.Period) ledgerapi.CoverAct {
	return ledgerapi.CoverAct{Person: person, Fund: si.PensionRes, From: from}
}

// coverActs are the commands of cover by the letter of the tables below.
func coverActs(person si.PersonNo, from si.Period) map[byte]ledgerapi.Body {
	c := coverAct(person, from)
	return map[byte]ledgerapi.Body{
		'E': enrolled(person), 'I': arriving(person),
		'S': &ledgerapi.Suspend{CoverAct: c}, 'R': &ledgerapi.Resume{CoverAct: c},
		'G': &ledgerapi.ChangeGrade{CoverAct: c, Base: 300_000, Rates: 1},
		'O': &ledgerapi.TransferOut{CoverAct: c, To: 330199},
		'T': &ledgerapi.Terminate{CoverAct: c, Reason: ledgerapi.TerminateEmigrated},
	}
}

// inState brings a person's resident pension into a state by commands.
func (r *rig) inState(person si.PersonNo, s ledgerapi.CoverState) {
	r.t.Helper()
	if s == ledgerapi.CoverNone {
		return
	}
	r.must(r.act(enrolled(person)))
	letter := map[ledgerapi.CoverState]byte{ledgerapi.CoverSuspended: 'S', ledgerapi.CoverTransferredOut: 'O', ledgerapi.CoverTerminated: 'T'}[s]
	if letter != 0 {
		r.must(r.act(coverActs(person, thisYear)[letter]))
	}
}

func (r *rig) coverState(person si.PersonNo) (s ledgerapi.CoverState, spells int) {
	for _, c := range r.m.CoversOf(person) {
		if c.Fund == si.PensionRes {
			s, spells = c.State, spells+1
		}
	}
	return s, spells
}

// TestCoverMatrix walks every state of cover against every command, and compares
// with a table written out by hand from the rules: the state afterwards, or "."
// for BAD_TRANSITION with the state that the command met.
func TestCoverMatrix(t *testing.T) {
	const acts = "EISRGOT"
	letters := map[byte]ledgerapi.CoverState{'A': ledgerapi.CoverActive, 'S': ledgerapi.CoverSuspended,
		'O': ledgerapi.CoverTransferredOut, 'T': ledgerapi.CoverTerminated}
	for from, want := range map[ledgerapi.CoverState]string{
		//                             E I S R G O T
		ledgerapi.CoverNone:           "A A . . . . .",
		ledgerapi.CoverActive:         ". . S . A O T",
		ledgerapi.CoverSuspended:      ". . . A S O T",
		ledgerapi.CoverTransferredOut: "A A . . . . .",
		ledgerapi.CoverTerminated:     "A A . . . . .",
	} {
		for i := range len(acts) {
			r := newRig(t, Config{}).open(1)
			r.inState(1, from)
			_, before := r.coverState(1)
			got := r.do(r.act(coverActs(1, thisYear)[acts[i]]))
			after, spells := r.coverState(1)
			to, legal := letters[want[2*i]]
			switch {
			case legal && (got.Code != ledgerapi.OK || after != to):
				t.Errorf("%s, %c = %s and %s, want %s", from, acts[i], got.Code, after, to)
			case legal && (acts[i] == 'E' || acts[i] == 'I') != (spells == before+1):
				t.Errorf("%s, %c: %d spells after %d", from, acts[i], spells, before)
			case !legal && (got.Code != ledgerapi.BadTransition || after != from || ledgerapi.Reasons(got.Reasons)&ledgerapi.ReasonFrom(from) == 0):
				t.Errorf("%s, %c = %s %s and %s, want BAD_TRANSITION with the state", from, acts[i], got.Code, ledgerapi.Reasons(got.Reasons), after)
			}
			r.check()
		}
	}
}

// TestCoverAndDues walks the commands that end or change cover against every
// state of a due of their fund, and compares with a table written by hand: the
// due afterwards, or a refusal of the whole command.
func TestCoverAndDues(t *testing.T) {
	states := "ANOLHPRWFCX"
	for _, tc := range []struct {
		act   byte
		early bool // the due's period lies before the command's
		want  string
	}{
		//          A N O L H P R W F C X     ! is DUE_HELD, $ DUE_PAID
		{'S', false, "C C O L ! P ! W F C X"},
		{'S', true, "A N O L H P R W F C X"},
		{'O', false, "C C O L ! P ! W F C X"},
		{'O', true, "A N O L ! P ! W F C X"}, // no due of the fund may be held
		{'T', false, "C C O L ! P ! W F C X"},
		{'T', true, "A N O L H P R W F C X"},
		{'G', false, "X X X L ! $ ! W F C X"}, // arrears stay as they were
		{'G', true, "A N O L H P R W F C X"},
		{'D', false, "C C C C ! P ! W F C X"}, // death cancels open dues too
		{'D', true, "A N O L H P R W F C X"},
	} {
		for i := range len(states) {
			r := newRig(t, Config{}).open(1)
			r.inState(1, ledgerapi.CoverActive)
			slot := r.dueIn(states[i], 1)
			from := thisYear
			if tc.early {
				from = si.YearPeriod(2027)
				if tc.act == 'G' {
					from = si.YearPeriod(2026)
					r.m.dues.at(slot).period = si.YearPeriod(2025)
				}
			}
			do := coverActs(1, from)[tc.act]
			if tc.act == 'D' {
				month := si.MonthPeriod(2025, 12)
				if tc.early {
					month = si.MonthPeriod(2026, 1) // the year of death is owed
				}
				do = &ledgerapi.Terminate{CoverAct: ledgerapi.CoverAct{Person: 1, From: month}, Reason: ledgerapi.TerminateDeath}
			}
			got := r.do(r.act(do))
			want, code := tc.want[2*i], ledgerapi.OK
			switch want {
			case '!':
				want, code = states[i], ledgerapi.DueHeld
			case '$':
				want, code = states[i], ledgerapi.DuePaid
			}
			if got.Code != code || r.letterOf(slot) != want {
				t.Errorf("%c (due before: %v) with a due in %c = %s and %c, want %s and %c", tc.act, tc.early, states[i], got.Code,
					r.letterOf(slot), code, want)
			}
			if s, _ := r.coverState(1); code != ledgerapi.OK && s != ledgerapi.CoverActive {
				t.Errorf("%c was refused and left %s", tc.act, s)
			}
		}
	}
}

// TestCoverCounts holds what the commands answer beside the code.
func TestCoverCounts(t *testing.T) {
	r := newRig(t, Config{}).open(1)
	r.must(r.act(&ledgerapi.Enrol{Person: 1, Fund: si.PensionEmp, PType: si.Flex, From: si.MonthPeriod(2026, 1), Rates: 1}))
	month := func(m time.Month, later bool) {
		r.must(ledgerapi.Assess{ID: r.id(), Fund: si.PensionEmp, PType: si.Flex, Period: si.MonthPeriod(2026, m), Kind: ledgerapi.DueCurrent,
			DueDay: si.Date(2026, m, 28), Version: 1, Later: later, Items: []ledgerapi.AssessItem{{Person: 1}}})
	}
	for m := time.January; m <= time.December; m++ {
		month(m, m > 10)
	}
	p := r.pay(1)
	p.Dues = p.Dues[:3]
	p.Total = 3 * 79_140
	r.must(p)
	r.cut()
	r.must(ledgerapi.SealDay{ID: r.id(), Date: firstDay})
	act := ledgerapi.CoverAct{Person: 1, Fund: si.PensionEmp, From: si.MonthPeriod(2026, 11)}
	if got := r.must(r.act(&ledgerapi.Suspend{CoverAct: act})); got.Count != 2 {
		t.Errorf("Suspend cancelled %d dues, want the 2 that were not open", got.Count)
	}
	early, back := act, act
	early.From, back.From = si.MonthPeriod(2026, 10), si.MonthPeriod(2028, 11)
	if got := r.do(r.act(&ledgerapi.Resume{CoverAct: early})); got.Code != ledgerapi.Malformed {
		t.Errorf("Resume before the pause = %s, want MALFORMED", got.Code)
	}
	if got := r.do(r.act(&ledgerapi.Resume{CoverAct: ledgerapi.CoverAct{Person: 1, Fund: si.PensionEmp, From: si.MonthPeriod(2028, 12)}})); got.Code != ledgerapi.Malformed {
		t.Errorf("Resume 25 months ahead = %s, want MALFORMED", got.Code)
	}
	if got := r.must(r.act(&ledgerapi.Resume{CoverAct: back})); got.Count != 12 {
		t.Errorf("Resume after 24 months offers %d to pay back, want the 12 that the region takes", got.Count)
	}
	r.must(r.act(&ledgerapi.Suspend{CoverAct: back}))
	if got := r.must(r.act(&ledgerapi.Resume{CoverAct: back})); got.Count != 0 {
		t.Errorf("Resume from the month of the pause offers %d months, want none", got.Count)
	}
	out := r.must(r.act(&ledgerapi.TransferOut{CoverAct: back, To: 330199}))
	if out.No != 1 || out.Count != 7 || out.Total != 7*79_140 {
		t.Errorf("TransferOut = certificate %d, %d arrears of %s, want 1, 7 and 5539.80", out.No, out.Count, out.Total)
	}
	want := ledgerapi.Certificate{No: 1, Person: 1, Fund: si.PensionEmp, Spell: 1, To: 330199, Start: si.MonthPeriod(2026, 1), End: back.From,
		Months: 3, Paid: 3 * 79_140, ArrearsCount: 7, Arrears: 7 * 79_140, Issued: firstDay + 1}
	if got, ok := r.m.Certificate(1); !ok || got != want {
		t.Errorf("Certificate = %+v, want %+v", got, want)
	}
	if got := r.m.CertificatesOf(1); !slices.Equal(got, []ledgerapi.Certificate{want}) {
		t.Errorf("CertificatesOf = %+v", got)
	}
	acts := []ledgerapi.Type{}
	for _, c := range r.m.CoversOf(1)[0].Changes {
		acts = append(acts, c.Act)
	}
	if !slices.Equal(acts, []ledgerapi.Type{ledgerapi.TypeEnrol, ledgerapi.TypeSuspend, ledgerapi.TypeResume, ledgerapi.TypeSuspend,
		ledgerapi.TypeResume, ledgerapi.TypeTransferOut}) {
		t.Errorf("history = %v", acts)
	}
	r.check()
}

// TestCertificateOfYears counts a paid year as twelve months, once.
func TestCertificateOfYears(t *testing.T) {
	r := newRig(t, Config{}).open(1)
	r.must(r.act(enrolled(1)))
	r.pension(2026, testGrade, 1)
	r.must(r.pay(1))
	r.pension(2026, 300_000, 1) // a supplement of the same year
	r.must(r.pay(1))
	r.must(r.act(&ledgerapi.TransferOut{CoverAct: coverAct(1, si.YearPeriod(2027)), To: 330199}))
	if got, _ := r.m.Certificate(1); got.Months != 12 || got.Paid != 300_000 || got.ArrearsCount != 1 {
		t.Errorf("Certificate = %+v, want 12 months, 3000.00 and the open subsidy", got)
	}
}

func TestChangeGrade(t *testing.T) {
	r := newRig(t, Config{}).open(1)
	r.must(r.act(enrolled(1)))
	r.pension(2026, testGrade, 1)
	change := func(base si.Fen) *ledgerapi.ChangeGrade {
		return &ledgerapi.ChangeGrade{CoverAct: coverAct(1, thisYear), Base: base, Rates: 1}
	}
	if got := r.must(r.act(change(300_000))); got.Count != 2 {
		t.Errorf("ChangeGrade replaced %d dues, want the person's and the subsidy", got.Count)
	}
	if got := r.must(r.act(change(300_000))); got.Count != 0 {
		t.Errorf("the same grade again replaced %d dues", got.Count)
	}
	var amounts []si.Fen
	for _, d := range r.m.DuesOf(1, 0) {
		amounts = append(amounts, d.Ref.Amount)
		if d.State != ledgerapi.DueOpen || d.Kind != ledgerapi.DueYear {
			t.Errorf("after the change of grade: %+v", d)
		}
	}
	if !slices.Equal(amounts, []si.Fen{300_000, 28_000}) {
		t.Errorf("after the change of grade the dues are %v, want 3000.00 and the subsidy of 280.00", amounts)
	}
	for _, tc := range []struct {
		name string
		c    *ledgerapi.ChangeGrade
		want ledgerapi.Code
	}{
		{"no such grade", change(300_001), ledgerapi.Malformed},
		{"no such table", &ledgerapi.ChangeGrade{CoverAct: coverAct(1, thisYear), Base: 300_000, Rates: 9}, ledgerapi.NotFound},
		{"before the cover", &ledgerapi.ChangeGrade{CoverAct: coverAct(1, si.YearPeriod(2025)), Base: 300_000, Rates: 1}, ledgerapi.Malformed},
		{"nobody", &ledgerapi.ChangeGrade{CoverAct: coverAct(2, thisYear), Base: 300_000, Rates: 1}, ledgerapi.NotFound},
	} {
		if got := r.do(r.act(tc.c)); got.Code != tc.want {
			t.Errorf("%s: ChangeGrade = %s, want %s", tc.name, got.Code, tc.want)
		}
	}
	// A due of another fund and back-pay are not touched; what a sealed date paid
	// still counts.
	r.must(r.pay(1))
	r.cut()
	r.must(ledgerapi.SealDay{ID: r.id(), Date: firstDay})
	if got := r.do(r.act(change(500_000))); got.Code != ledgerapi.DuePaid {
		t.Errorf("ChangeGrade of a paid year = %s, want DUE_PAID", got.Code)
	}
	v := r.m.CoversOf(1)[0]
	if v.Base != 300_000 || v.Changes[0].Base != testGrade || v.Changes[1].Base != 300_000 {
		t.Errorf("history of the grade = %+v", v)
	}
	r.check()
}

// TestDeath ends everything of a person at once.
func TestDeath(t *testing.T) {
	r := newRig(t, Config{}).open(3)
	r.must(r.act(enrolled(1)))
	r.must(r.act(&ledgerapi.Enrol{Person: 1, Fund: si.MedRes, PType: si.Resident, From: si.YearPeriod(2026), Rates: 1}))
	r.must(r.act(coverActs(1, thisYear)['S']))
	r.medical(2026, 1)
	r.assess(si.MedRes, si.Resident, si.YearPeriod(2027), 0, 1)
	r.card(1, 1, 1, ledgerapi.CardActive)
	r.must(r.act(r.sign(1, 1)))
	r.must(r.act(&ledgerapi.Proxy{Person: 1, Agent: 2, Scope: 1, Until: firstDay}))
	r.must(r.act(&ledgerapi.Proxy{Person: 3, Agent: 1, Scope: 1, Until: firstDay}))
	version := r.m.persons.at(1).version
	death := func(fund si.Fund, month si.Period) *ledgerapi.Terminate {
		return &ledgerapi.Terminate{CoverAct: ledgerapi.CoverAct{Person: 1, Fund: fund, From: month}, Reason: ledgerapi.TerminateDeath}
	}
	for name, c := range map[string]*ledgerapi.Terminate{
		"one fund": death(si.MedRes, si.MonthPeriod(2026, 11)), "a year": death(0, thisYear), "next month": death(0, si.MonthPeriod(2026, 12)),
	} {
		if got := r.do(r.act(c)); got.Code != ledgerapi.Malformed {
			t.Errorf("death, %s = %s, want MALFORMED", name, got.Code)
		}
	}
	if got := r.must(r.act(death(0, si.MonthPeriod(2026, 11)))); got.Count != 1 {
		t.Errorf("death cancelled %d dues, want the one of 2027", got.Count)
	}
	for _, c := range r.m.CoversOf(1) {
		to := si.MonthPeriod(2026, 12)
		if c.Fund == si.PensionRes {
			to = thisYear // paused before
		}
		if c.State != ledgerapi.CoverTerminated || c.Reason != ledgerapi.TerminateDeath || c.To != to {
			t.Errorf("after death: %+v", c)
		}
	}
	p, _ := r.m.PersonByNo(1)
	if p.Flags&ledgerapi.FlagDeceased == 0 || p.Version != version+1 {
		t.Errorf("after death the person is %+v", p)
	}
	if x := r.m.MandatesOf(1); len(x) != 1 || x[0].State != ledgerapi.MandateCancelled {
		t.Errorf("after death the mandates are %+v", x)
	}
	if r.m.Scope(1, 2, firstDay) != 0 || r.m.Scope(3, 1, firstDay) != 0 {
		t.Error("leave to act outlives the principal or the agent")
	}
	if got := r.assess(si.MedRes, si.Resident, si.YearPeriod(2027), 0, 1, 2); got.Count != 1 {
		t.Errorf("Assess of a dead and a living person made %d dues, want 1", got.Count)
	}
	for _, do := range []ledgerapi.Body{death(0, si.MonthPeriod(2026, 11)), enrolled(1), r.sign(1, 1), &ledgerapi.Proxy{Person: 1, Agent: 2, Scope: 1, Until: firstDay}} {
		if got := r.do(r.act(do)); got.Code != ledgerapi.BadTransition || ledgerapi.Reasons(got.Reasons)&ledgerapi.ReasonDeceased == 0 {
			t.Errorf("%T after death = %s %s", do, got.Code, ledgerapi.Reasons(got.Reasons))
		}
	}
	r.check()
}

// TestTransferIn opens a case for what is not verified, and the desk's word
// verifies it.
func TestTransferIn(t *testing.T) {
	r := newRig(t, Config{}).open(3)
	got := r.must(r.act(arriving(1)))
	if got.No != 1 {
		t.Errorf("TransferIn opened case %d, want 1", got.No)
	}
	sure := arriving(2)
	sure.Verified = true
	if got := r.must(r.act(sure)); got.No != 0 || r.m.CoversOf(2)[0].Unverified {
		t.Errorf("a verified TransferIn opened case %d", got.No)
	}
	if a, ok := r.m.ArrivalOf(1, si.PensionRes, 1); !ok || a.Case != 1 || a.Area != 330199 || a.Months != 72 || a.Paid != 600_000 {
		t.Errorf("ArrivalOf = %+v, %v", a, ok)
	}
	if no, ok := r.m.Eligible(1, si.PensionEmp, si.Flex, 0); !ok || no&(ledgerapi.ReasonExcluded|ledgerapi.ReasonReview) != ledgerapi.ReasonExcluded|ledgerapi.ReasonReview {
		t.Errorf("Eligible beside unverified cover = %s, %v", no, ok)
	}
	if c, ok := r.m.Case(1); !ok || c.Kind != ledgerapi.CaseTransferIn || c.Person != 1 || c.Fund != si.PensionRes || c.Spell != 1 {
		t.Errorf("Case = %+v, %v", c, ok)
	}
	for _, to := range []ledgerapi.CaseState{ledgerapi.CaseAccepted, ledgerapi.CaseDone} {
		if !r.m.CoversOf(1)[0].Unverified {
			t.Errorf("the cover is verified before the case is in state %d", to)
		}
		r.must(r.act(&ledgerapi.CaseMove{Case: 1, To: to, Owner: 7}))
	}
	if r.m.CoversOf(1)[0].Unverified {
		t.Error("the cover is not verified when the case is done")
	}
	for name, change := range map[string]func(c *ledgerapi.TransferIn){
		"our own area": func(c *ledgerapi.TransferIn) { c.Area = testArea }, "no area": func(c *ledgerapi.TransferIn) { c.Area = 0 },
		"seven digits":   func(c *ledgerapi.TransferIn) { c.Area = 1_000_000 },
		"ends too early": func(c *ledgerapi.TransferIn) { c.End = c.Start - 1 }, "negative": func(c *ledgerapi.TransferIn) { c.Paid = -1 },
		"issued tomorrow": func(c *ledgerapi.TransferIn) { c.Issued = firstDay + 1 },
	} {
		c := arriving(3)
		change(c)
		if got := r.do(r.act(c)); got.Code != ledgerapi.Malformed {
			t.Errorf("%s: TransferIn = %s, want MALFORMED", name, got.Code)
		}
	}
	r.check()
}

// TestEnrol holds who is let in: a citizen by every rule, an import by the hard
// ones.
func TestEnrol(t *testing.T) {
	r := newRig(t, Config{}).open(0)
	put := func(i int, birth si.BirthMonth, household si.AreaCode) si.PersonNo {
		return r.must(ledgerapi.PutPerson{ID: r.id(), IDHash: hashOf("id", i), PType: si.Resident, Birth: birth, Household: household}).Person
	}
	adult, child, stranger := put(1, si.BirthMonthOf(1980, 5), 330110), put(2, si.BirthMonthOf(2015, 5), 330110), put(3, si.BirthMonthOf(1980, 5), 330111)
	ask := func(person si.PersonNo, fund si.Fund, ptype si.PType) *ledgerapi.Enrol {
		c := &ledgerapi.Enrol{Person: person, Fund: fund, PType: ptype, Base: testGrade, From: thisYear, Rates: 1, Consent: [16]byte{1}}
		if fund == si.PensionEmp || fund == si.MedEmp {
			c.From = si.MonthPeriod(2026, 12)
		}
		return c
	}
	with := func(c *ledgerapi.Enrol, change func(*ledgerapi.Enrol)) *ledgerapi.Enrol {
		change(c)
		return c
	}
	for _, tc := range []struct {
		name    string
		c       *ledgerapi.Enrol
		want    ledgerapi.Code
		reasons ledgerapi.Reasons
	}{
		{"a child", ask(child, si.PensionRes, si.Resident), ledgerapi.BadTransition, ledgerapi.ReasonTooYoung},
		{"a stranger", ask(stranger, si.PensionRes, si.Resident), ledgerapi.BadTransition, ledgerapi.ReasonHousehold},
		{"a stranger by import", with(ask(stranger, si.PensionRes, si.Resident), func(c *ledgerapi.Enrol) { c.Consent = [16]byte{} }), ledgerapi.OK, 0},
		{"an adult", ask(adult, si.PensionRes, si.Resident), ledgerapi.OK, 0},
		{"twice", ask(adult, si.PensionRes, si.Resident), ledgerapi.BadTransition, ledgerapi.ReasonCovered | ledgerapi.ReasonFromActive},
		{"an excluded one", ask(adult, si.PensionEmp, si.Flex), ledgerapi.BadTransition, ledgerapi.ReasonExcluded},
		{"an excluded one by import", with(ask(adult, si.PensionEmp, si.Flex), func(c *ledgerapi.Enrol) { c.Consent = [16]byte{} }),
			ledgerapi.BadTransition, ledgerapi.ReasonExcluded},
		{"another group", ask(adult, si.MedEmp, si.Flex), ledgerapi.OK, 0},
		{"no such grade", with(ask(child, si.PensionRes, si.Resident), func(c *ledgerapi.Enrol) { c.Base = 7 }), ledgerapi.BadTransition, ledgerapi.ReasonTooYoung},
		{"no such table", with(ask(child, si.MedRes, si.Student), func(c *ledgerapi.Enrol) { c.Rates = 9 }), ledgerapi.NotFound, 0},
		{"a citizen without a table", with(ask(child, si.MedRes, si.Student), func(c *ledgerapi.Enrol) { c.Rates = 0 }), ledgerapi.NotFound, 0},
		{"an import without a table", with(ask(child, si.MedEmp, si.Retiree), func(c *ledgerapi.Enrol) { c.Rates, c.Consent = 0, [16]byte{} }), ledgerapi.OK, 0},
		{"no fund", ask(adult, 0, si.Flex), ledgerapi.Malformed, 0},
		{"no person type", ask(adult, si.Injury, 0), ledgerapi.Malformed, 0},
		{"nobody", ask(9, si.MedRes, si.Student), ledgerapi.NotFound, 0},
		{"three years ahead", with(ask(child, si.MedRes, si.Student), func(c *ledgerapi.Enrol) { c.From = si.YearPeriod(2029) }), ledgerapi.Malformed, 0},
	} {
		if got := r.do(r.act(tc.c)); got.Code != tc.want || ledgerapi.Reasons(got.Reasons) != tc.reasons {
			t.Errorf("%s: Enrol = %s %s, want %s %s", tc.name, got.Code, ledgerapi.Reasons(got.Reasons), tc.want, tc.reasons)
		}
	}
	if _, ok := r.m.Eligible(9, si.MedRes, si.Student, 0); ok {
		t.Error("Eligible of nobody is known")
	}
	// A suspended one does not exclude, but cannot come back beside the other.
	r.must(r.act(&ledgerapi.Suspend{CoverAct: ledgerapi.CoverAct{Person: adult, Fund: si.PensionRes, From: thisYear}}))
	r.must(r.act(ask(adult, si.PensionEmp, si.Flex)))
	got := r.do(r.act(&ledgerapi.Resume{CoverAct: ledgerapi.CoverAct{Person: adult, Fund: si.PensionRes, From: si.YearPeriod(2027)}}))
	if got.Code != ledgerapi.BadTransition || ledgerapi.Reasons(got.Reasons) != ledgerapi.ReasonExcluded {
		t.Errorf("Resume beside an exclusive one = %s %s", got.Code, ledgerapi.Reasons(got.Reasons))
	}
	r.check()
}

// TestEnrolWithoutRules refuses cover in a region that has put no rules.
func TestEnrolWithoutRules(t *testing.T) {
	r := newRig(t, Config{})
	r.must(ledgerapi.PutPerson{ID: r.id(), IDHash: hashOf("id", 1), PType: si.Resident})
	c := &ledgerapi.Enrol{Person: 1, Fund: si.MedRes, PType: si.Resident, From: thisYear}
	if got := r.do(r.act(c)); got.Code != ledgerapi.NotFound {
		t.Errorf("Enrol without rules = %s, want NOT_FOUND", got.Code)
	}
	put := ledgerapi.PutConfig{ID: r.id(), Kind: ledgerapi.ConfigCover, Name: "330110", From: firstDay + 1, Body: shipped(t, "cover"), Maker: 1, Checker: 2}
	r.must(put)
	if got := r.do(r.act(c)); got.Code != ledgerapi.NotFound {
		t.Errorf("Enrol a day before the rules = %s, want NOT_FOUND", got.Code)
	}
	r.at = (firstDay + 1).Time().UnixMilli()
	r.must(r.act(c))
	put.ID, put.Body = r.id(), []byte("format: shebao-cover-1\nregion: \"330111\"\n")
	if got := r.do(put); got.Code != ledgerapi.WrongRegion {
		t.Errorf("rules of another region = %s, want WRONG_REGION", got.Code)
	}
	put.ID, put.Body = r.id(), []byte("format: shebao-cover-2\n")
	if got := r.do(put); got.Code != ledgerapi.Malformed {
		t.Errorf("rules of another format = %s, want MALFORMED", got.Code)
	}
}

// TestSpells ends with the last number that a spell can have.
func TestSpells(t *testing.T) {
	r := newRig(t, Config{}).open(1)
	for range maxSpells {
		r.must(r.act(enrolled(1)))
		r.must(r.act(coverActs(1, thisYear)['T']))
	}
	if got := r.do(r.act(enrolled(1))); got.Code != ledgerapi.SeqExhausted {
		t.Errorf("spell %d = %s, want SEQ_EXHAUSTED", maxSpells+1, got.Code)
	}
	if got := len(r.m.CoversOf(1)); got != maxSpells {
		t.Errorf("%d spells, want %d", got, maxSpells)
	}
	r.check()
}

// TestAssessFollowsCover makes no due for a period that a person's cover does not
// reach, whatever list an Assess brings.
func TestAssessFollowsCover(t *testing.T) {
	r := newRig(t, Config{}).open(2)
	act := func(m time.Month) ledgerapi.CoverAct {
		return ledgerapi.CoverAct{Person: 1, Fund: si.PensionEmp, From: si.MonthPeriod(2026, m)}
	}
	begin := func(m time.Month) {
		r.must(r.act(&ledgerapi.Enrol{Person: 1, Fund: si.PensionEmp, PType: si.Flex, From: si.MonthPeriod(2026, m), Rates: 1}))
	}
	begin(2)
	r.must(r.act(&ledgerapi.Suspend{CoverAct: act(4)}))
	r.must(r.act(&ledgerapi.Resume{CoverAct: act(6)}))
	r.must(r.act(&ledgerapi.ChangeGrade{CoverAct: act(7), Base: 500_000, Rates: 1}))
	r.must(r.act(&ledgerapi.Terminate{CoverAct: act(8), Reason: ledgerapi.TerminateMerged}))
	begin(10)
	r.must(r.act(&ledgerapi.Suspend{CoverAct: act(12)}))
	var got strings.Builder
	for m := time.January; m <= time.December; m++ {
		// Of the second person the ledger knows no cover: the list is right.
		res := r.must(ledgerapi.Assess{ID: r.id(), Fund: si.PensionEmp, PType: si.Flex, Period: si.MonthPeriod(2026, m), Kind: ledgerapi.DueCurrent,
			DueDay: firstDay, Version: 1, Items: []ledgerapi.AssessItem{{Person: 1}, {Person: 2}}})
		got.WriteByte(byte('0' + res.Count))
	}
	if want := "122112211221"; got.String() != want {
		t.Errorf("dues of each month = %s, want %s", got.String(), want)
	}
	r.check()
}

// TestRefusalsNameOneDue holds that a refusal names the same due whether what is
// paid is in the file, waits for a checkpoint, or was never written.
func TestRefusalsNameOneDue(t *testing.T) {
	store := &storeRows{past: newMemPast()}
	r := newRig(t, Config{Past: store.past}).open(1)
	r.must(r.act(&ledgerapi.Enrol{Person: 1, Fund: si.PensionEmp, PType: si.Flex, From: si.MonthPeriod(2026, 1), Rates: 1}))
	for m := time.January; m <= time.April; m++ {
		r.must(ledgerapi.Assess{ID: r.id(), Fund: si.PensionEmp, PType: si.Flex, Period: si.MonthPeriod(2026, m), Kind: ledgerapi.DueCurrent,
			DueDay: firstDay + 9, Version: 1, Items: []ledgerapi.AssessItem{{Person: 1}}})
	}
	for range 2 { // two dates of two dues, the first in the file
		p := r.pay(1)
		p.Dues = p.Dues[:2]
		p.Total = p.Dues[0].Amount + p.Dues[1].Amount
		r.must(p)
		r.cut()
		r.must(ledgerapi.SealDay{ID: r.id(), Date: r.openDate() - 1})
		if r.openDate() == firstDay+1 {
			c := r.m.Freeze()
			c.Step(1 << 30)
			store.save(t, c)
			r.m.Release(c)
		}
	}
	r.do(r.act(&ledgerapi.ChangeGrade{CoverAct: ledgerapi.CoverAct{Person: 1, Fund: si.PensionEmp, From: si.MonthPeriod(2026, 2)}, Rates: 1}))
	m := New(Config{Region: 1, Area: testArea, Volatile: true})
	var last []ledgerapi.Result
	for i, b := range r.log {
		var err error
		if last, err = m.ApplyBatch(uint64(i+1), b, last[:0]); err != nil {
			t.Fatal(err)
		}
	}
	if m.Head() != r.m.Head() || last[0].Code != ledgerapi.DuePaid || last[0].Due != 2 {
		t.Errorf("the replay answers %s %d and has head %x, want DUE_PAID 2 and %x", last[0].Code, last[0].Due, m.Head(), r.m.Head())
	}
}
