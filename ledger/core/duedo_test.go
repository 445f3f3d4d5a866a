package core

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// The letters of due states in the tables: ASSESSED, NOTICED, OPEN, OPEN and in
// arrears (L), HELD, PAID, REVERSING, WRITTEN_OFF, REFUNDED (F), CANCELLED,
// REPLACED (X).
const dueLetters = "ANOLHPRWFCX"

// dueIn makes a person's due of the resident pension of 2026 and brings it into
// a state. States that end a due are set as the commands set them.
func (r *rig) dueIn(letter byte, person si.PersonNo) uint32 {
	r.t.Helper()
	c := ledgerapi.Assess{ID: r.id(), Fund: si.PensionRes, PType: si.Resident, Period: thisYear, Kind: ledgerapi.DueYear,
		DueDay: firstDay + 30, Version: 1, Later: letter == 'A' || letter == 'N', Items: []ledgerapi.AssessItem{{Person: person, Base: testGrade}}}
	if letter == 'L' {
		c.DueDay = firstDay - 1
	}
	r.must(c)
	slot := r.m.personOf(person).dues
	for r.m.dues.at(slot).payer != ledgerapi.PayerPerson {
		slot = r.m.dues.at(slot).next
	}
	switch letter {
	case 'N':
		r.must(ledgerapi.Notice{ID: r.id(), Person: person, Date: firstDay, ValidUntil: firstDay + 30, Dues: []si.DueID{r.m.dues.at(slot).id}})
	case 'H', 'P', 'R':
		p := r.reserve(person)
		r.must(p)
		if letter != 'H' {
			r.must(approval(p.ID, 0))
		}
		if letter == 'R' {
			r.must(ledgerapi.Unpost{ID: p.ID, Reason: ledgerapi.UnpostARPC})
		}
	}
	if s, ok := map[byte]ledgerapi.DueState{'W': ledgerapi.DueWrittenOff, 'F': ledgerapi.DueRefunded, 'C': ledgerapi.DueCancelled,
		'X': ledgerapi.DueReplaced}[letter]; ok {
		r.m.endDue(slot, s)
	}
	if got := r.letterOf(slot); got != letter {
		r.t.Fatalf("the due is in %c, want %c", got, letter)
	}
	return slot
}

func (r *rig) letterOf(slot uint32) byte {
	d := r.m.dues.at(slot)
	if r.m.inArrears(d) {
		return 'L'
	}
	return "?ANOHPRWFCX"[d.state]
}

func (r *rig) dueAct(slot uint32) ledgerapi.DueAct {
	d := r.m.dues.at(slot)
	return ledgerapi.DueAct{Due: d.id, Version: d.version, Reason: "reason"}
}

// approved does an act of two persons.
func (r *rig) approved(a ledgerapi.Act) ledgerapi.Result {
	r.t.Helper()
	if got := r.as(1, a); got.Code != ledgerapi.NeedsSecondPerson {
		r.t.Fatalf("%T by one person = %s, want NEEDS_SECOND_PERSON", a.Do, got.Code)
	}
	if got := r.as(1, r.act(&ledgerapi.Approve{Subject: a.ID, Verdict: ledgerapi.VerdictYes})); got.Code != ledgerapi.SamePerson {
		r.t.Fatalf("Approve by the same person = %s, want SAME_PERSON", got.Code)
	}
	return r.as(2, r.act(&ledgerapi.Approve{Subject: a.ID, Verdict: ledgerapi.VerdictYes}))
}

// TestDueMatrix walks every state of a due against every act on dues, and
// compares with a table written by hand from the rules.
func TestDueMatrix(t *testing.T) {
	refused := map[byte]ledgerapi.Code{'!': ledgerapi.DueHeld, '$': ledgerapi.DuePaid, '~': ledgerapi.DueChanged, '-': ledgerapi.BadTransition}
	for _, tc := range []struct {
		name string
		do   func(r *rig, slot uint32) ledgerapi.Command
		// want has two characters for each state: what the due is in afterwards
		// or why the act is refused (! DUE_HELD, $ DUE_PAID, ~ DUE_CHANGED,
		// - BAD_TRANSITION), and 2 if two persons are needed, + if a new due is
		// made beside it.
		want string
	}{
		//                  A  N  O  L  H  P  R  W  F  C  X
		{"Cancel", func(r *rig, s uint32) ledgerapi.Command { return r.act(&ledgerapi.Cancel{DueAct: r.dueAct(s)}) },
			"C  C  C  C2 !  $  !  ~  ~  ~  ~"},
		{"WriteOff", func(r *rig, s uint32) ledgerapi.Command { return r.act(&ledgerapi.WriteOff{DueAct: r.dueAct(s)}) },
			"-  -  -  W2 !  $  !  ~  ~  ~  ~"},
		{"SetLateRule", func(r *rig, s uint32) ledgerapi.Command {
			return r.act(&ledgerapi.SetLateRule{DueAct: r.dueAct(s), Rule: 1})
		}, "A2 N2 O2 L2 !  $  !  ~  ~  ~  ~"},
		{"Replace by more", func(r *rig, s uint32) ledgerapi.Command {
			return r.act(&ledgerapi.Replace{DueAct: r.dueAct(s), Base: 300_000, Rates: 1})
		}, "X+ X+ X+ X+ H+ P+ R+ ~  ~  ~  ~"},
		{"Replace by less", func(r *rig, s uint32) ledgerapi.Command {
			return r.act(&ledgerapi.Replace{DueAct: r.dueAct(s), Base: 50_000, Rates: 1})
		}, "X+ X+ X+ X2 -  -  -  ~  ~  ~  ~"},
		{"Replace by the same", func(r *rig, s uint32) ledgerapi.Command {
			return r.act(&ledgerapi.Replace{DueAct: r.dueAct(s), Base: testGrade, Rates: 1})
		}, "A  N  O  L  H  P  R  ~  ~  ~  ~"},
		{"Open", func(r *rig, _ uint32) ledgerapi.Command {
			return r.act(&ledgerapi.Open{Fund: si.PensionRes, Period: thisYear, First: 1, Last: 1})
		}, "O  O  O  L  H  P  R  W  F  C  X"},
		{"Notice", func(r *rig, s uint32) ledgerapi.Command {
			return ledgerapi.Notice{ID: r.id(), Person: 1, Date: firstDay + 1, ValidUntil: firstDay + 30, Dues: []si.DueID{r.m.dues.at(s).id}}
		}, "N  N  O  L  !  $  !  ~  ~  ~  ~"},
		{"BackPay", func(r *rig, _ uint32) ledgerapi.Command {
			return r.act(&ledgerapi.BackPay{Person: 1, Fund: si.PensionRes, PType: si.Resident, Period: thisYear, Base: testGrade, Rates: 1, DueDay: firstDay + 60})
		}, "-  -  -  -  !  $  !  W+ -  C+ X+"},
		{"Reserve", func(r *rig, s uint32) ledgerapi.Command {
			d := r.m.dues.at(s)
			c := r.reserve(1)
			c.Dues, c.Total = []ledgerapi.DueRef{{ID: d.id, Version: d.version, Amount: d.amount}}, d.amount
			return c
		}, "-  -  H  H  !  $  !  ~  ~  ~  ~"},
	} {
		for i := range len(dueLetters) {
			r := newRig(t, Config{}).open(1)
			r.must(r.act(enrolled(1)))
			slot := r.dueIn(dueLetters[i], 1)
			version, last := r.m.dues.at(slot).version, r.m.lastDue
			c := tc.do(r, slot)
			want, note := tc.want[3*i], (tc.want + " ")[3*i+1]
			var got ledgerapi.Result
			if note == '2' {
				got = r.approved(c.(ledgerapi.Act))
			} else {
				got = r.as(1, c)
			}
			code, ok := refused[want]
			if !ok {
				code = ledgerapi.OK
			} else {
				want = dueLetters[i]
			}
			if got.Code != code || r.letterOf(slot) != want {
				t.Errorf("%s of a due in %c = %s and %c, want %s and %c", tc.name, dueLetters[i], got.Code, r.letterOf(slot), code, want)
			}
			if made := r.m.lastDue - last; (made != 0) != (note == '+' || note == '2' && strings.HasPrefix(tc.name, "Replace")) {
				t.Errorf("%s of a due in %c made %d dues", tc.name, dueLetters[i], made)
			}
			if moved := r.m.dues.at(slot).version != version; want != dueLetters[i] && want != 'H' && !moved {
				t.Errorf("%s of a due in %c left its version", tc.name, dueLetters[i])
			}
			if len(r.m.Waiting()) != 0 {
				t.Errorf("%s of a due in %c leaves an act that waits", tc.name, dueLetters[i])
			}
		}
	}
}

// TestDueActs holds what an act needs beside the state.
func TestDueActs(t *testing.T) {
	r := newRig(t, Config{}).open(1)
	slot := r.dueIn('O', 1)
	act := r.dueAct(slot)
	with := func(change func(*ledgerapi.DueAct)) ledgerapi.DueAct {
		c := act
		change(&c)
		return c
	}
	for _, tc := range []struct {
		name string
		do   ledgerapi.Body
		want ledgerapi.Code
	}{
		{"no reason", &ledgerapi.Cancel{DueAct: with(func(c *ledgerapi.DueAct) { c.Reason = "" })}, ledgerapi.Malformed},
		{"another version", &ledgerapi.Cancel{DueAct: with(func(c *ledgerapi.DueAct) { c.Version++ })}, ledgerapi.DueChanged},
		{"no such due", &ledgerapi.WriteOff{DueAct: with(func(c *ledgerapi.DueAct) { c.Due = 99 })}, ledgerapi.NotFound},
		{"no such late rule", &ledgerapi.SetLateRule{DueAct: act, Rule: 9}, ledgerapi.NotFound},
		{"no such table", &ledgerapi.Replace{DueAct: act, Base: testGrade, Rates: 9}, ledgerapi.NotFound},
		{"no such grade", &ledgerapi.Replace{DueAct: act, Base: 7, Rates: 1}, ledgerapi.Malformed},
		{"a machine alone", &ledgerapi.SetLateRule{DueAct: act, Rule: 1}, ledgerapi.NeedsSecondPerson},
		{"open: no fund", &ledgerapi.Open{Period: thisYear, First: 1, Last: 1}, ledgerapi.Malformed},
		{"open: nobody", &ledgerapi.Open{Fund: si.PensionRes, Period: thisYear, First: 2, Last: 3}, ledgerapi.NotFound},
		{"open: from 0", &ledgerapi.Open{Fund: si.PensionRes, Period: thisYear, Last: 3}, ledgerapi.Malformed},
		{"open: backwards", &ledgerapi.Open{Fund: si.PensionRes, Period: thisYear, First: 2, Last: 1}, ledgerapi.Malformed},
		{"open: at the bound", &ledgerapi.Open{Fund: si.PensionRes, Period: thisYear, First: 1, Last: ledgerapi.MaxAssess}, ledgerapi.OK},
		{"open: one past it", &ledgerapi.Open{Fund: si.PensionRes, Period: thisYear, First: 1, Last: ledgerapi.MaxAssess + 1}, ledgerapi.Malformed},
	} {
		if got := r.do(r.act(tc.do)); got.Code != tc.want {
			t.Errorf("%s = %s, want %s", tc.name, got.Code, tc.want)
		}
	}
	got := r.do(r.act(&ledgerapi.Cancel{DueAct: with(func(c *ledgerapi.DueAct) { c.Version = 7 })}))
	if got.Due != act.Due || got.Now != (ledgerapi.DueRef{ID: act.Due, Version: act.Version, Amount: testGrade}) {
		t.Errorf("Cancel of another version tells %+v", got)
	}
	if n := len(r.m.Waiting()); n != 0 {
		t.Errorf("%d acts wait that no user made", n)
	}
}

// TestOpen counts what it opens, for every payer.
func TestOpen(t *testing.T) {
	r := newRig(t, Config{}).open(3)
	for i := range 3 {
		r.dueIn('A', si.PersonNo(i+1))
	}
	if got := r.must(r.act(&ledgerapi.Open{Fund: si.PensionRes, Period: thisYear, First: 1, Last: 2})); got.Count != 4 || got.Total != 2*(testGrade+13_000) {
		t.Errorf("Open = %d dues of %s, want 4 of 2260.00", got.Count, got.Total)
	}
	if got := r.must(r.act(&ledgerapi.Open{Fund: si.PensionRes, Period: thisYear, First: 1, Last: 9})); got.Count != 2 {
		t.Errorf("Open of the rest = %d dues, want 2", got.Count)
	}
	if got := r.must(r.act(&ledgerapi.Open{Fund: si.MedRes, Period: thisYear, First: 1, Last: 9})); got.Count != 0 {
		t.Errorf("Open of another fund = %d dues", got.Count)
	}
	// The employer's and the government's dues are in the books and not for a kiosk.
	r.must(ledgerapi.Assess{ID: r.id(), Fund: si.PensionEmp, PType: si.Employee, Period: si.MonthPeriod(2026, 11), Kind: ledgerapi.DueCurrent,
		DueDay: firstDay + 9, Version: 1, Items: []ledgerapi.AssessItem{{Person: 1, Base: 400_000}}})
	others := 0
	for _, d := range r.m.DuesOf(1, 0) {
		if d.Payer == ledgerapi.PayerPerson {
			continue
		}
		others++
		c := r.reserve(1)
		c.Dues, c.Total = []ledgerapi.DueRef{d.Ref}, d.Ref.Amount
		if got := r.do(c); got.Code != ledgerapi.BadTransition {
			t.Errorf("Reserve of a due of payer %d = %s, want BAD_TRANSITION", d.Payer, got.Code)
		}
	}
	if others != 2 {
		t.Errorf("%d dues of other payers, want the employer's and the subsidy", others)
	}
	r.check()
}

// TestNoticeAhead puts dues on a notice before their window opens.
func TestNoticeAhead(t *testing.T) {
	r := newRig(t, Config{}).open(1)
	slot := r.dueIn('A', 1)
	n := r.must(ledgerapi.Notice{ID: r.id(), Person: 1, Date: firstDay, ValidUntil: firstDay + 30})
	if n.Total != 0 || r.letterOf(slot) != 'N' {
		t.Errorf("Notice = %s and a due in %c, want nothing payable and N", n.Total, r.letterOf(slot))
	}
	if again := r.do(ledgerapi.Notice{ID: r.id(), Person: 1, Date: firstDay, ValidUntil: firstDay + 30}); again.Code != ledgerapi.Exists || again.Notice != n.Notice {
		t.Errorf("another Notice of the day = %s %d, want EXISTS %d", again.Code, again.Notice, n.Notice)
	}
	v, ok := r.m.NoticeByNo(n.Notice, 0)
	if !ok || len(v.Dues) != 0 || len(v.Ahead) != 1 || v.Ahead[0].State != ledgerapi.DueNoticed || v.Paid {
		t.Errorf("NoticeByNo = %+v, want one due ahead", v)
	}
	pay := r.pay(1)
	pay.Notice, pay.Dues, pay.Total = n.Notice, nil, testGrade
	if got := r.do(pay); got.Code != ledgerapi.BadTransition {
		t.Errorf("Pay before the window opens = %s, want BAD_TRANSITION", got.Code)
	}
	r.must(r.act(&ledgerapi.Open{Fund: si.PensionRes, Period: thisYear, First: 1, Last: 1}))
	if v, _ := r.m.NoticeByNo(n.Notice, 0); v.Total != testGrade || len(v.Ahead) != 0 {
		t.Errorf("NoticeByNo of an open window = %+v", v)
	}
	pay.ID = r.id()
	r.must(pay)
	// What is open goes on a notice of its own, what is not yet waits.
	r.medical(2026, 1)
	r.must(ledgerapi.Assess{ID: r.id(), Fund: si.MedRes, PType: si.Resident, Period: si.YearPeriod(2027), Kind: ledgerapi.DueYear, DueDay: firstDay + 90,
		Version: 1, Later: true, Items: []ledgerapi.AssessItem{{Person: 1}}})
	m := r.must(ledgerapi.Notice{ID: r.id(), Person: 1, Date: firstDay, ValidUntil: firstDay + 30})
	if v, _ := r.m.NoticeByNo(m.Notice, 0); m.Notice == n.Notice || v.Total != 51_000 || len(v.Ahead) != 0 {
		t.Errorf("the second notice = %+v", v)
	}
	r.check()
}

// TestLateFeeFreezes holds the vector of 30 days, the fee of a held due, and the
// fee once the hold has ended.
func TestLateFeeFreezes(t *testing.T) {
	r := newRig(t, Config{}).open(1)
	r.must(ledgerapi.Assess{ID: r.id(), Fund: si.PensionEmp, PType: si.Flex, Period: si.MonthPeriod(2025, 12), Kind: ledgerapi.DueCurrent,
		DueDay: firstDay - 30, Version: 1, Items: []ledgerapi.AssessItem{{Person: 1, Base: 380_300}}})
	late := func(on si.BusinessDate) si.Fen { return r.m.DuesOf(1, on)[0].Ref.LateFee }
	if got := late(firstDay); got != 0 {
		t.Errorf("late fee without a rule = %s, want 0", got)
	}
	set := r.act(&ledgerapi.SetLateRule{DueAct: r.dueAct(1), Rule: 1})
	if got := r.approved(set); got.Code != ledgerapi.OK || got.Due != 1 {
		t.Errorf("Approve of SetLateRule = %s", got.Code)
	}
	if got := late(firstDay); got != 1_141 {
		t.Errorf("late fee of 760.60 after 30 days = %s, want 11.41", got)
	}
	c := r.reserve(1)
	if c.Total != 76_060+1_141 {
		t.Errorf("the due and its late fee come to %s", c.Total)
	}
	r.must(c)
	r.cut()
	if got := late(firstDay + 1); got != 1_141 {
		t.Errorf("late fee while the due is held = %s, want 11.41", got)
	}
	for _, do := range []ledgerapi.Body{&ledgerapi.SetLateRule{DueAct: r.dueAct(1)}, &ledgerapi.Cancel{DueAct: r.dueAct(1)}} {
		if got := r.as(1, r.act(do)); got.Code != ledgerapi.DueHeld || got.HeldBy != c.ID {
			t.Errorf("%T while the due is held = %s", do, got.Code)
		}
	}
	r.must(voidBy(c.ID, ledgerapi.ProofDeclined))
	if got := late(firstDay + 1); got != 1_179 {
		t.Errorf("late fee after the hold = %s, want the 11.79 of 31 days", got)
	}
	r.check()
}

// TestUndeclared holds the 110 % of an employer that did not declare.
func TestUndeclared(t *testing.T) {
	r := newRig(t, Config{}).open(2)
	month := func(m time.Month, undeclared bool, base si.Fen, person si.PersonNo) ledgerapi.Assess {
		return ledgerapi.Assess{ID: r.id(), Fund: si.PensionEmp, PType: si.Employee, Period: si.MonthPeriod(2026, m), Kind: ledgerapi.DueCurrent,
			DueDay: si.Date(2026, m, 25), Version: 1, Undeclared: undeclared, Items: []ledgerapi.AssessItem{{Person: person, Base: base}}}
	}
	r.must(month(9, false, 380_300, 1))
	if got := r.must(month(10, true, 0, 1)); got.Count != 1 {
		t.Errorf("undeclared: %d dues, want the employer's alone", got.Count)
	}
	if got := r.must(month(10, true, 0, 1)); got.Count != 0 {
		t.Errorf("undeclared again: %d dues, want none", got.Count)
	}
	r.must(month(11, true, 0, 1))
	var amounts []si.Fen
	for _, d := range r.m.DuesOf(1, 1) {
		if d.Payer == ledgerapi.PayerEmployer {
			amounts = append(amounts, d.Ref.Amount)
		}
	}
	if want := []si.Fen{63_312, 69_643, 76_607}; !slices.Equal(amounts, want) { // 16 % of 3957.00; 69,643.2 and 76,607.3
		t.Errorf("the employer owes %v, want %v", amounts, want)
	}
	year := month(1, true, 0, 1)
	year.Period = thisYear
	for _, tc := range []struct {
		name string
		c    ledgerapi.Assess
		want ledgerapi.Code
	}{
		{"no last month", month(10, true, 0, 2), ledgerapi.NotFound}, {"with a base", month(12, true, 1, 1), ledgerapi.Malformed},
		{"a year", year, ledgerapi.Malformed},
	} {
		if got := r.do(tc.c); got.Code != tc.want {
			t.Errorf("%s: Assess = %s, want %s", tc.name, got.Code, tc.want)
		}
	}
	r.check()
}

// TestBackPay makes the due of a missed period, and the order of payment.
func TestBackPay(t *testing.T) {
	r := newRig(t, Config{}).open(2)
	ask := func(change func(*ledgerapi.BackPay)) ledgerapi.Act {
		c := &ledgerapi.BackPay{Person: 1, Fund: si.PensionRes, PType: si.Resident, Period: si.YearPeriod(2025), Base: testGrade, Rates: 1, DueDay: firstDay + 60}
		if change != nil {
			change(c)
		}
		return r.act(c)
	}
	if got := r.do(ask(nil)); got.Code != ledgerapi.BadTransition || ledgerapi.Reasons(got.Reasons) != ledgerapi.ReasonFromNone {
		t.Errorf("BackPay without cover = %s %s", got.Code, ledgerapi.Reasons(got.Reasons))
	}
	r.must(r.act(enrolled(1)))
	r.pension(2026, testGrade, 1)
	for _, tc := range []struct {
		name    string
		a       ledgerapi.Act
		want    ledgerapi.Code
		reasons ledgerapi.Reasons
	}{
		{"too long ago", ask(func(c *ledgerapi.BackPay) { c.Period = si.YearPeriod(2011) }), ledgerapi.NotFound, 0}, // no rate row either
		{"not taken back", ask(func(c *ledgerapi.BackPay) { c.PType = si.Flex; c.Fund = si.PensionRes }), ledgerapi.NotFound, 0},
		{"nobody", ask(func(c *ledgerapi.BackPay) { c.Person = 9 }), ledgerapi.NotFound, 0},
		{"no such table", ask(func(c *ledgerapi.BackPay) { c.Rates = 9 }), ledgerapi.NotFound, 0},
		{"no such grade", ask(func(c *ledgerapi.BackPay) { c.Base = 7 }), ledgerapi.Malformed, 0},
		{"next year", ask(func(c *ledgerapi.BackPay) { c.Period = si.YearPeriod(2027) }), ledgerapi.Malformed, 0},
		{"due yesterday", ask(func(c *ledgerapi.BackPay) { c.DueDay = firstDay - 1 }), ledgerapi.Malformed, 0},
	} {
		if got := r.do(tc.a); got.Code != tc.want || ledgerapi.Reasons(got.Reasons) != tc.reasons {
			t.Errorf("%s: BackPay = %s %s, want %s", tc.name, got.Code, ledgerapi.Reasons(got.Reasons), tc.want)
		}
	}
	got := r.must(ask(nil))
	// Ten months, January to October, at 1.5 % a year.
	if got.Total != testGrade+1_250 || got.Person != 1 {
		t.Errorf("BackPay = due %d of %s for %d, want 1000.00 and interest of 12.50", got.Due, got.Total, got.Person)
	}
	if d := r.m.dues.at(r.m.dueByID.get(got.Due)); d.individual != testGrade {
		t.Errorf("of the back-pay %s is individual, want the principal", d.individual)
	}
	if d := r.m.DuesOf(1, 0)[0]; d.Ref.ID != got.Due || d.Kind != ledgerapi.DueBackPay || d.State != ledgerapi.DueOpen || d.Period != si.YearPeriod(2025) {
		t.Errorf("the due is %+v", d)
	}
	p := r.pay(1)
	p.Dues = p.Dues[1:]
	p.Total = p.Dues[0].Amount
	if no := r.do(p); no.Code != ledgerapi.NotOldest || no.Due != got.Due {
		t.Errorf("Pay of the newer year = %s %d, want NOT_OLDEST %d", no.Code, no.Due, got.Due)
	}
	slot := r.m.dueByID.get(got.Due)
	if no := r.do(r.act(&ledgerapi.Replace{DueAct: r.dueAct(slot), Base: 300_000, Rates: 1})); no.Code != ledgerapi.BadTransition {
		t.Errorf("Replace of back-pay = %s, want BAD_TRANSITION", no.Code)
	}
	r.must(r.pay(1))
	r.cut()
	r.must(ledgerapi.SealDay{ID: r.id(), Date: firstDay})
	if no := r.do(ask(nil)); no.Code != ledgerapi.DuePaid {
		t.Errorf("BackPay of a period paid on a sealed date = %s, want DUE_PAID", no.Code)
	}
	// Months that the region takes back no more.
	r.must(r.act(&ledgerapi.Enrol{Person: 2, Fund: si.PensionEmp, PType: si.Flex, From: si.MonthPeriod(2025, 1), Rates: 1}))
	flex := func(period si.Period) ledgerapi.Act {
		return ask(func(c *ledgerapi.BackPay) {
			c.Person, c.Fund, c.PType, c.Period, c.Base = 2, si.PensionEmp, si.Flex, period, 0
		})
	}
	r.must(flex(si.MonthPeriod(2025, 11)))
	if no := r.do(flex(si.MonthPeriod(2025, 10))); no.Code != ledgerapi.BadTransition || ledgerapi.Reasons(no.Reasons) != ledgerapi.ReasonNoBackPay {
		t.Errorf("BackPay of 13 months ago = %s %s, want NO_BACK_PAY", no.Code, ledgerapi.Reasons(no.Reasons))
	}
	r.check()
}

// TestReplaceKeeps what is paid, on a sealed date too, and supplements it.
func TestReplaceKeeps(t *testing.T) {
	r := newRig(t, Config{}).open(1)
	slot := r.dueIn('P', 1)
	act := r.dueAct(slot)
	r.cut()
	r.must(ledgerapi.SealDay{ID: r.id(), Date: firstDay})
	got := r.must(r.act(&ledgerapi.Replace{DueAct: act, Base: 300_000, Rates: 1}))
	if got.Total != 200_000 || got.Due == act.Due {
		t.Errorf("Replace of a paid due = due %d of %s, want a supplement of 2000.00", got.Due, got.Total)
	}
	d := r.m.dues.at(r.m.dueByID.get(got.Due))
	if d.kind != ledgerapi.DueSupplement || d.dueDay < r.m.today() || d.state != ledgerapi.DueOpen {
		t.Errorf("the supplement is %+v", d)
	}
	if got := r.must(r.act(&ledgerapi.Replace{DueAct: act, Base: 300_000, Rates: 1})); got.Due != act.Due || got.Total != 0 {
		t.Errorf("Replace by what is owed already = due %d of %s", got.Due, got.Total)
	}
	r.check()
}

// TestOldDuesCountOnce assesses between a checkpoint's commit and its release,
// when what left memory stands in both places.
func TestOldDuesCountOnce(t *testing.T) {
	past := newMemPast()
	r := newRig(t, Config{Past: past}).open(1)
	r.pension(2026, testGrade, 1)
	r.must(r.pay(1))
	r.cut()
	r.must(ledgerapi.SealDay{ID: r.id(), Date: firstDay})
	c := r.m.Freeze()
	c.Step(1 << 30)
	(&storeRows{past: past}).save(t, c)
	r.pension(2026, 300_000, 1)
	if n := len(r.m.DuesOf(1, 0)); n != 3 {
		t.Errorf("%d dues, want the paid one, its supplement and the subsidy", n)
	}
	for _, d := range r.m.DuesOf(1, 0) {
		if d.Kind == ledgerapi.DueSupplement && d.Payer == ledgerapi.PayerPerson && d.Ref.Amount != 200_000 {
			t.Errorf("the supplement is %s, want 2000.00", d.Ref.Amount)
		}
	}
	r.m.Release(c)
	r.check()
}
