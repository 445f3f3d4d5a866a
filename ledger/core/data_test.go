package core

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// TestAssess makes dues, makes them again, changes them, and supplements what
// is paid.
func TestAssess(t *testing.T) {
	r := newRig(t, Config{}).open(3)
	if got := r.assess(si.PensionRes, si.Resident, si.YearPeriod(2026), 100_000, 1, 2); got.Count != 4 {
		t.Errorf("Assess made %d dues, want 4: a person's and a subsidy each", got.Count)
	}
	if got := r.assess(si.PensionRes, si.Resident, si.YearPeriod(2026), 100_000, 1, 2, 3); got.Count != 2 {
		t.Errorf("Assess again made %d dues, want the 2 of the third person", got.Count)
	}
	r.assess(si.PensionRes, si.Resident, si.YearPeriod(2026), 300_000, 1) // another grade while open
	open := func(no si.PersonNo) (amounts []si.Fen, kinds []ledgerapi.DueKind) {
		for _, d := range r.m.DuesOf(no, 0) {
			if d.Payer == ledgerapi.PayerPerson && d.State == ledgerapi.DueOpen {
				amounts, kinds = append(amounts, d.Ref.Amount), append(kinds, d.Kind)
			}
		}
		return amounts, kinds
	}
	if got, _ := open(1); !slices.Equal(got, []si.Fen{300_000}) {
		t.Errorf("open after the change of grade: %v, want 3000.00 alone", got)
	}
	p := r.pay(2)
	r.must(p)
	r.assess(si.PensionRes, si.Resident, si.YearPeriod(2026), 300_000, 2) // another grade when paid
	got, kinds := open(2)
	if !slices.Equal(got, []si.Fen{200_000}) || kinds[0] != ledgerapi.DueSupplement {
		t.Errorf("open after the change of a paid grade: %v %v, want a supplement of 2000.00", got, kinds)
	}
	r.assess(si.PensionRes, si.Resident, si.YearPeriod(2026), 300_000, 2)
	if got, _ := open(2); len(got) != 1 {
		t.Errorf("assessing that again leaves %d open dues, want 1", len(got))
	}
	// A due that left memory still counts.
	r.cut()
	r.must(ledgerapi.SealDay{ID: r.id(), Date: firstDay})
	if got := r.assess(si.PensionRes, si.Resident, si.YearPeriod(2026), 300_000, 2); got.Count != 0 {
		t.Errorf("assessing after the seal made %d dues, want none", got.Count)
	}
	r.check()
}

func TestAssessRefuses(t *testing.T) {
	base := ledgerapi.Assess{Fund: si.MedRes, PType: si.Resident, Period: si.YearPeriod(2026), Kind: ledgerapi.DueYear, DueDay: 1, Version: 1,
		Items: []ledgerapi.AssessItem{{Person: 1}}}
	for _, tc := range []struct {
		name   string
		change func(c *ledgerapi.Assess)
		want   ledgerapi.Code
	}{
		{"as it is", func(*ledgerapi.Assess) {}, ledgerapi.OK},
		{"unknown version", func(c *ledgerapi.Assess) { c.Version = 2 }, ledgerapi.NotFound},
		{"unknown person", func(c *ledgerapi.Assess) { c.Items = []ledgerapi.AssessItem{{Person: 1}, {Person: 9}} }, ledgerapi.NotFound},
		{"no row", func(c *ledgerapi.Assess) { c.Fund = si.Unemp }, ledgerapi.NotFound},
		{"before the first row", func(c *ledgerapi.Assess) { c.Period = si.YearPeriod(2024) }, ledgerapi.NotFound},
		{"month for a yearly row", func(c *ledgerapi.Assess) { c.Period = si.MonthPeriod(2026, 1) }, ledgerapi.Malformed},
		{"unknown grade", func(c *ledgerapi.Assess) { c.Fund = si.PensionRes; c.Items[0].Base = 1 }, ledgerapi.Malformed},
		{"negative base", func(c *ledgerapi.Assess) { c.Items[0].Base = -1 }, ledgerapi.Malformed},
		{"nobody", func(c *ledgerapi.Assess) { c.Items = nil }, ledgerapi.Malformed},
		{"no fund", func(c *ledgerapi.Assess) { c.Fund = 0 }, ledgerapi.Malformed},
		{"no kind", func(c *ledgerapi.Assess) { c.Kind = 0 }, ledgerapi.Malformed},
		{"no due day", func(c *ledgerapi.Assess) { c.DueDay = 0 }, ledgerapi.Malformed},
	} {
		r := newRig(t, Config{}).open(1)
		c := base
		c.ID, c.Items = r.id(), slices.Clone(base.Items)
		tc.change(&c)
		if got := r.do(c); got.Code != tc.want {
			t.Errorf("%s: Assess = %s, want %s", tc.name, got.Code, tc.want)
		}
		if got := len(r.m.DuesOf(1, 0)); (got > 0) != (tc.want == ledgerapi.OK) {
			t.Errorf("%s: %d dues were made", tc.name, got)
		}
	}
}

// TestDueStates walks every due state against what a payment may do with it.
// The states that no command of this version reaches are set by hand.
func TestDueStates(t *testing.T) {
	want := map[ledgerapi.DueState]ledgerapi.Code{
		ledgerapi.DueAssessed: ledgerapi.BadTransition, ledgerapi.DueNoticed: ledgerapi.BadTransition,
		ledgerapi.DueOpen: ledgerapi.OK, ledgerapi.DueStateHeld: ledgerapi.DueHeld, ledgerapi.DueStatePaid: ledgerapi.DuePaid,
		ledgerapi.DueReversing: ledgerapi.DueHeld, ledgerapi.DueWrittenOff: ledgerapi.DueChanged,
		ledgerapi.DueRefunded: ledgerapi.DueChanged, ledgerapi.DueCancelled: ledgerapi.DueChanged, ledgerapi.DueReplaced: ledgerapi.DueChanged,
	}
	for state := ledgerapi.DueAssessed; state <= ledgerapi.DueReplaced; state++ {
		for _, byNotice := range []bool{false, true} {
			r := newRig(t, Config{}).open(2)
			r.medical(2026, 1)
			n := r.must(ledgerapi.Notice{ID: r.id(), Person: 1, Date: firstDay, ValidUntil: firstDay})
			c, p := r.reserve(1), r.pay(1)
			if byNotice {
				p.Notice, p.Dues = n.Notice, nil
			}
			other := r.reserve(1)
			switch state {
			case ledgerapi.DueStateHeld, ledgerapi.DueStatePaid, ledgerapi.DueReversing:
				r.must(other)
				if state != ledgerapi.DueStateHeld {
					r.must(approval(other.ID, 0))
				}
				if state == ledgerapi.DueReversing {
					r.must(ledgerapi.Unpost{ID: other.ID, Reason: ledgerapi.UnpostARPC})
				}
			default:
				r.m.dues.at(r.m.dueByID.get(1)).state = state
			}
			if !byNotice {
				if got := r.do(c); got.Code != want[state] {
					t.Errorf("Reserve of a due that is %s = %s, want %s", state, got.Code, want[state])
				}
				continue
			}
			if got := r.do(p); got.Code != want[state] {
				t.Errorf("Pay of a notice whose due is %s = %s, want %s", state, got.Code, want[state])
			}
			if v, ok := r.m.NoticeByNo(n.Notice, 0); !ok || v.Paid != (state == ledgerapi.DueStatePaid || state == ledgerapi.DueOpen) ||
				v.Held != (want[state] == ledgerapi.DueHeld) {
				t.Errorf("NoticeByNo when the due is %s = %+v", state, v)
			}
		}
	}
}

func TestPutPerson(t *testing.T) {
	r := newRig(t, Config{})
	c := ledgerapi.PutPerson{ID: r.id(), IDHash: hashOf("id", 1), PType: si.Flex, Household: 330199, Birth: 600, Sex: 1, Sealed: []byte("one")}
	first := r.must(c)
	if first.Person != 1 || first.Version != 1 {
		t.Errorf("PutPerson = person %d version %d, want 1 and 1", first.Person, first.Version)
	}
	if got := r.do(c); got.Code != ledgerapi.Exists || got.Person != 1 {
		t.Errorf("the same command = %s, person %d", got.Code, got.Person)
	}
	again := c
	again.ID, again.Sealed = r.id(), []byte("sealed anew")
	if got := r.do(again); got.Code != ledgerapi.Exists || got.Person != 1 {
		t.Errorf("the same facts in another import = %s, want EXISTS", got.Code)
	}
	again.Sex = 2
	if got := r.do(again); got.Code != ledgerapi.BadTransition || got.Version != 1 {
		t.Errorf("other facts as a new person = %s version %d, want BAD_TRANSITION and 1", got.Code, got.Version)
	}
	again.ExpectVersion = 1
	if got := r.must(again); got.Version != 2 {
		t.Errorf("the change has version %d, want 2", got.Version)
	}
	if p, ok := r.m.Person(c.IDHash); !ok || p.Sex != 2 || string(p.Sealed) != "sealed anew" || p.No != 1 || p.Region != 1 {
		t.Errorf("Person = %+v, %v", p, ok)
	}
	stale := again
	stale.ID = r.id()
	if got := r.do(stale); got.Code != ledgerapi.BadTransition {
		t.Errorf("a change of an old version = %s, want BAD_TRANSITION", got.Code)
	}
	unknown := c
	unknown.ID, unknown.IDHash, unknown.ExpectVersion = r.id(), hashOf("id", 2), 1
	if got := r.do(unknown); got.Code != ledgerapi.NotFound {
		t.Errorf("a change of nobody = %s, want NOT_FOUND", got.Code)
	}
	unknown.ID, unknown.ExpectVersion, unknown.PType = r.id(), 0, 0
	if got := r.do(unknown); got.Code != ledgerapi.Malformed {
		t.Errorf("a person of no type = %s, want MALFORMED", got.Code)
	}
	if _, ok := r.m.PersonByNo(2); ok {
		t.Error("a refused command made a person")
	}
}

func TestPutCard(t *testing.T) {
	r := newRig(t, Config{}).open(2)
	card := func(person, no, pan int, s ledgerapi.CardState) ledgerapi.PutCard {
		return ledgerapi.PutCard{ID: r.id(), IDHash: hashOf("id", person-1), CardHash: hashOf("card", no), NoHash: hashOf("no", no),
			PANHash: hashOf("pan", pan), Bank: testBank, State: s, Source: ledgerapi.CardImport, Since: firstDay}
	}
	active := func(pan, person int) {
		t.Helper()
		c, ok := r.m.CardByPAN(hashOf("pan", pan))
		if ok != (person != 0) || (ok && (c.Person != si.PersonNo(person) || c.State == ledgerapi.CardReplaced)) {
			t.Errorf("CardByPAN(%d) = person %d %d, %v, want person %d", pan, c.Person, c.State, ok, person)
		}
	}
	r.must(card(1, 1, 1, ledgerapi.CardActive))
	active(1, 1)
	if got := r.do(card(1, 1, 1, ledgerapi.CardActive)); got.Code != ledgerapi.Exists || got.Person != 1 {
		t.Errorf("the same card again = %s, want EXISTS", got.Code)
	}
	r.must(card(1, 2, 2, ledgerapi.CardActive)) // a new card replaces the old one
	active(1, 0)
	active(2, 1)
	if all := r.m.Cards(1); len(all) != 2 || all[0].State != ledgerapi.CardReplaced || all[1].State != ledgerapi.CardActive {
		t.Errorf("Cards = %+v", all)
	}
	if got := r.do(card(2, 3, 2, ledgerapi.CardActive)); got.Code != ledgerapi.BadTransition {
		t.Errorf("another person's account = %s, want BAD_TRANSITION", got.Code)
	}
	if got := r.do(card(2, 2, 9, ledgerapi.CardActive)); got.Code != ledgerapi.BadTransition {
		t.Errorf("another person's card = %s, want BAD_TRANSITION", got.Code)
	}
	r.must(card(1, 2, 2, ledgerapi.CardLost))
	active(2, 1)
	r.must(card(1, 3, 2, ledgerapi.CardActive)) // the same account on a new card
	active(2, 1)
	r.must(card(1, 3, 2, ledgerapi.CardReplaced))
	active(2, 0)
	r.must(card(2, 4, 2, ledgerapi.CardActive)) // the account is free again
	active(2, 2)
	if got := r.do(card(9, 9, 9, ledgerapi.CardActive)); got.Code != ledgerapi.NotFound {
		t.Errorf("a card of nobody = %s, want NOT_FOUND", got.Code)
	}
	if got := r.do(card(1, 5, 5, 0)); got.Code != ledgerapi.Malformed {
		t.Errorf("a card of no state = %s, want MALFORMED", got.Code)
	}
}

func TestPutConfig(t *testing.T) {
	r := newRig(t, Config{})
	put := func(kind ledgerapi.ConfigKind, name, body string, from si.BusinessDate, maker, checker si.Actor) ledgerapi.Result {
		return r.do(ledgerapi.PutConfig{ID: r.id(), Kind: kind, Name: name, From: from, Body: []byte(body), Maker: maker, Checker: checker})
	}
	other := strings.Replace(string(shippedRates(t)), `region: "330110"`, `region: "330111"`, 1)
	for _, tc := range []struct {
		name           string
		kind           ledgerapi.ConfigKind
		key, body      string
		maker, checker si.Actor
		want           ledgerapi.Code
	}{
		{"no checker", ledgerapi.ConfigCalendar, "2026", "x", 1, 0, ledgerapi.NeedsSecondPerson},
		{"no maker", ledgerapi.ConfigCalendar, "2026", "x", 0, 1, ledgerapi.NeedsSecondPerson},
		{"the same", ledgerapi.ConfigCalendar, "2026", "x", 1, 1, ledgerapi.SamePerson},
		{"good", ledgerapi.ConfigCalendar, "2026", "x", 1, 2, ledgerapi.OK},
		{"no name", ledgerapi.ConfigCalendar, "", "x", 1, 2, ledgerapi.Malformed},
		{"no body", ledgerapi.ConfigCalendar, "2026", "", 1, 2, ledgerapi.Malformed},
		{"no kind", 0, "2026", "x", 1, 2, ledgerapi.Malformed},
		{"bad rates", ledgerapi.ConfigRates, "330110", "x", 1, 2, ledgerapi.Malformed},
		{"another region's rates", ledgerapi.ConfigRates, "330111", other, 1, 2, ledgerapi.WrongRegion},
		{"bad facts", ledgerapi.ConfigBankFacts, "ccb", "x", 1, 2, ledgerapi.Malformed},
	} {
		if got := put(tc.kind, tc.key, tc.body, 1, tc.maker, tc.checker); got.Code != tc.want {
			t.Errorf("%s: PutConfig = %s, want %s", tc.name, got.Code, tc.want)
		}
	}
	put(ledgerapi.ConfigCalendar, "2026", "later", firstDay, 1, 2)
	put(ledgerapi.ConfigCalendar, "2026", "corrected", firstDay, 1, 2)
	put(ledgerapi.ConfigCalendar, "2026", "earlier", firstDay-10, 1, 2)
	for _, tc := range []struct {
		on   si.BusinessDate
		want string
	}{{firstDay - 11, "x"}, {firstDay - 1, "earlier"}, {firstDay, "corrected"}, {firstDay + 99, "corrected"}} {
		if got, ok := r.m.Config(ledgerapi.ConfigCalendar, "2026", tc.on); !ok || string(got.Body) != tc.want {
			t.Errorf("Config on %s = %q, want %q", tc.on, got.Body, tc.want)
		}
	}
	if got := r.m.Configs(ledgerapi.ConfigCalendar); len(got) != 4 || got[0].Version != 1 || got[3].Version != 4 {
		t.Errorf("Configs = %+v", got)
	}
}

func TestPutTerminal(t *testing.T) {
	r := newRig(t, Config{})
	c := ledgerapi.PutTerminal{ID: r.id(), Terminal: 9, Bank: 1, Outlet: "main street", State: ledgerapi.TerminalNew}
	for i, tc := range []struct {
		terminal si.Terminal
		state    ledgerapi.TerminalState
		want     ledgerapi.Code
	}{
		{9, ledgerapi.TerminalNew, ledgerapi.OK}, {3, ledgerapi.TerminalNew, ledgerapi.OK}, {9, ledgerapi.TerminalInService, ledgerapi.OK},
		{9, ledgerapi.TerminalRevoked, ledgerapi.OK}, {9, ledgerapi.TerminalRevoked, ledgerapi.OK}, {9, ledgerapi.TerminalInService, ledgerapi.BadTransition},
		{0, ledgerapi.TerminalNew, ledgerapi.Malformed}, {4, 0, ledgerapi.Malformed},
	} {
		c.ID, c.Terminal, c.State = r.id(), tc.terminal, tc.state
		if got := r.do(c); got.Code != tc.want {
			t.Errorf("step %d: PutTerminal %d to %d = %s, want %s", i, tc.terminal, tc.state, got.Code, tc.want)
		}
	}
	if got, ok := r.m.Terminal(9); !ok || got.State != ledgerapi.TerminalRevoked || got.Outlet != "main street" {
		t.Errorf("Terminal(9) = %+v, %v", got, ok)
	}
	if _, ok := r.m.Terminal(4); ok {
		t.Error("a refused terminal is there")
	}
}

func TestBankFacts(t *testing.T) {
	f, err := ParseBankFacts([]byte(testFacts))
	if err != nil || f.Bank != 3 || f.Account(si.MedRes) != "330110-3-INCOME" || f.Account(si.Unemp) != "" || f.Account(99) != "" {
		t.Errorf("ParseBankFacts = %+v, %v", f, err)
	}
	head := factsHeader + "\n"
	for _, body := range []string{"", head, factsHeader, "shebao-bank-facts 2\nbank 1\n", head + "bank 0\n", head + "bank 256\n", head + "bank 01\n",
		head + "bank 1\nbank 1\n", head + "bank 1", head + "bank  1\n", head + "bank 1\naccount A\n", head + "bank 1\naccount A 1\naccount A 2\n",
		head + "bank 1\nfund MED_RES A\n", head + "bank 1\naccount A 1\nfund MED_RES A\nfund MED_RES A\n", head + "bank 1\naccount A 1\nfund X A\n",
		head + "bank 1\naccount A " + strings.Repeat("1", 33) + "\n", head + "bank 1\r\n", head + "bank 1\n\n",
		head + "bank 1\n" + strings.Repeat("#\n", MaxFactLines)} {
		if f, err := ParseBankFacts([]byte(body)); !errors.Is(err, ErrFacts) {
			t.Errorf("ParseBankFacts(%q) = %+v, %v, want ErrFacts", body, f, err)
		}
	}
	if _, err := ParseBankFacts([]byte(head + "bank 1\n" + strings.Repeat("#\n", MaxFactLines-2))); err != nil {
		t.Errorf("facts of %d lines: %v", MaxFactLines, err)
	}
}

// FuzzBankFacts holds that any text is read or refused.
func FuzzBankFacts(f *testing.F) {
	f.Add([]byte(testFacts))
	f.Add([]byte(factsHeader + "\nbank 1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if facts, err := ParseBankFacts(b); err == nil && facts.Bank == 0 {
			t.Errorf("ParseBankFacts(%q) gives no bank", b)
		}
	})
}

// TestSealDay moves a day out of memory, and holds that what is asked about it
// afterwards is answered as before.
func TestSealDay(t *testing.T) {
	for _, durable := range []bool{false, true} {
		past := newMemPast()
		r := newRig(t, Config{Past: past}).open(4)
		r.medical(2026, 1, 2, 3, 4)
		posted, paid, voided, live := r.reserve(1), r.pay(2), r.reserve(3), r.reserve(4)
		r.must(posted)
		post := approval(posted.ID, firstDay)
		receipt := r.must(post).Receipt
		r.must(paid)
		r.must(voided)
		r.must(voidBy(voided.ID, ledgerapi.ProofDeclined))
		r.must(live)
		tomb := r.id()
		r.must(voidBy(tomb, ledgerapi.ProofNotSent))
		views := map[si.PaymentID]ledgerapi.Payment{}
		for _, id := range []si.PaymentID{posted.ID, paid.ID, voided.ID} {
			views[id], _ = r.m.Payment(id)
		}
		seal := ledgerapi.SealDay{ID: r.id(), Date: firstDay}
		if got := r.do(seal); got.Code != ledgerapi.BadTransition {
			t.Errorf("SealDay of an open date = %s, want BAD_TRANSITION", got.Code)
		}
		r.cut()
		if got := r.must(seal); got.Count != 2 || got.Total != 102_000 {
			t.Errorf("SealDay = %d payments of %s, want 2 of 1020.00", got.Count, got.Total)
		}
		if got := r.do(ledgerapi.SealDay{ID: r.id(), Date: firstDay}); got.Code != ledgerapi.Sealed {
			t.Errorf("SealDay of a sealed date = %s, want SEALED", got.Code)
		}
		r.check()
		if n := r.m.payByID.n; n != 1 {
			t.Errorf("%d payments are left in memory, want the live one", n)
		}
		if durable {
			c := r.m.Freeze()
			c.Step(1 << 30)
			(&storeRows{past: past}).save(t, c)
			r.m.Release(c)
			if len(r.m.old.pays) != 0 {
				t.Error("old rows stay in memory after Release")
			}
		}
		for _, tc := range []struct {
			name string
			c    ledgerapi.Command
			want ledgerapi.Code
		}{
			{"Reserve of a posted one", posted, ledgerapi.Exists}, {"Post again", post, ledgerapi.Exists}, {"Pay again", paid, ledgerapi.Exists},
			{"Void again", voidBy(voided.ID, ledgerapi.ProofDeclined), ledgerapi.Exists}, {"Void of a tombstone", voidBy(tomb, ledgerapi.ProofNotSent), ledgerapi.Exists},
			{"Void of a posted one", voidBy(posted.ID, ledgerapi.ProofDesk), ledgerapi.BadTransition},
			{"Unpost", ledgerapi.Unpost{ID: posted.ID, Reason: ledgerapi.UnpostARPC}, ledgerapi.Sealed},
			{"Unpost of a voided one", ledgerapi.Unpost{ID: voided.ID, Reason: ledgerapi.UnpostARPC}, ledgerapi.BadTransition},
			{"Reverse", ledgerapi.Reverse{ID: paid.ID, Bank: testBank, BankDate: firstDay}, ledgerapi.NotSameDay},
			{"Annotate", reversing(posted.ID), ledgerapi.BadTransition},
			{"Pay on the sealed date", func() ledgerapi.Command { p := r.pay(3); p.BankDate = firstDay; return p }(), ledgerapi.Sealed},
			{"Reserve of a paid due", func() ledgerapi.Command { c := posted; c.ID = r.id(); return c }(), ledgerapi.DuePaid},
			{"Seal again", seal, ledgerapi.Exists},
		} {
			if got := r.do(tc.c); got.Code != tc.want {
				t.Errorf("durable %v: %s = %s, want %s", durable, tc.name, got.Code, tc.want)
			}
		}
		for id, want := range views {
			if got, ok := r.m.Payment(id); !ok || got.State != want.State || got.Receipt != want.Receipt || !slices.Equal(got.Dues, want.Dues) || got.Total != want.Total {
				t.Errorf("durable %v: Payment of a sealed date = %+v, want %+v", durable, got, want)
			}
		}
		if v, ok := r.m.PaymentByReceipt(receipt); !ok || v.ID != posted.ID {
			t.Errorf("durable %v: PaymentByReceipt = %v, %v", durable, v.ID, ok)
		}
		if got := r.m.PaymentsOf(2, 3); len(got) != 1 || got[0].ID != paid.ID {
			t.Errorf("durable %v: PaymentsOf = %+v", durable, got)
		}
		if got := r.m.DuesOf(1, 0); len(got) != 1 || got[0].State != ledgerapi.DueStatePaid || got[0].HeldBy != posted.ID {
			t.Errorf("durable %v: DuesOf = %+v", durable, got)
		}
		r.check()
	}
}

// TestSTAN wraps the trace numbers and skips those that are alive at the moment
// of the same DE 7.
func TestSTAN(t *testing.T) {
	r := newRig(t, Config{}).open(3)
	r.medical(2026, 1, 2, 3)
	r.at -= r.at % 1000
	a := r.reserve(1)
	first := r.must(a)
	r.m.acquirers[0].stan = lastSTAN - 1
	c := r.reserve(2)
	if got := r.must(c); got.STAN != lastSTAN {
		t.Errorf("STAN = %d, want the last, %d", got.STAN, lastSTAN)
	}
	d := r.reserve(3)
	if got := r.must(d); got.DE7 != first.DE7 || got.STAN != 2 {
		t.Errorf("STAN after the wrap = %d at %s, want 2: 1 is alive at %s", got.STAN, got.DE7, first.DE7)
	}
	r.must(voidBy(a.ID, ledgerapi.ProofDeclined))
	r.m.acquirers[0].stan = lastSTAN
	if got := r.must(r.reserve(1)); got.STAN != 1 {
		t.Errorf("STAN after the payment ended = %d, want 1", got.STAN)
	}
	r.check()
}

func TestSequencesEnd(t *testing.T) {
	r := newRig(t, Config{}).open(2)
	r.medical(2026, 1, 2)
	r.m.banks[testBank].rrn = lastRRN - 1
	if got := r.must(r.reserve(1)); string(got.RRN[:]) != "632489999999" {
		t.Errorf("last RRN = %s", got.RRN)
	}
	if got := r.do(r.reserve(2)); got.Code != ledgerapi.SeqExhausted {
		t.Errorf("Reserve beyond the last RRN = %s, want SEQ_EXHAUSTED", got.Code)
	}
	refs, total := r.refs(2)
	run := r.must(r.act(&ledgerapi.RunOpen{Bank: testBank, Date: firstDay})).No
	line := &ledgerapi.RunLine{Run: ledgerapi.RunNo(run), Line: 1, Mandate: r.mandate(2), Dues: refs, Total: total}
	if got := r.must(r.act(line)); got.STAN != 0 || got.RRN != ([12]byte{}) || len(r.m.Pending(0)) != 1 {
		t.Errorf("a batch line got STAN %d, RRN %s", got.STAN, got.RRN)
	}
}

// TestYearOf compares with package time over every date there is.
func TestYearOf(t *testing.T) {
	for d := range 1 << 16 {
		at := si.BusinessDate(d).Time()
		year, start := yearOf(si.BusinessDate(d))
		if year != at.Year() || d-start+1 != at.YearDay() {
			t.Fatalf("yearOf(%d) = %d, day %d, want %d, day %d", d, year, d-start+1, at.Year(), at.YearDay())
		}
	}
	for _, at := range []time.Time{time.Date(2026, 11, 21, 15, 59, 59, 0, time.UTC), time.Date(2026, 11, 21, 16, 0, 0, 0, time.UTC)} {
		if got := dateOfMillis(at.UnixMilli()); got != si.DateOf(at) {
			t.Errorf("dateOfMillis(%s) = %s, want %s", at, got, si.DateOf(at))
		}
	}
}

// TestTimeNeverRunsBackwards holds that a clock set back changes no DE 7.
func TestTimeNeverRunsBackwards(t *testing.T) {
	r := newRig(t, Config{}).open(2)
	r.medical(2026, 1, 2)
	first := r.must(r.reserve(1))
	at := r.m.AtMillis()
	r.at -= 3_600_000
	c := r.reserve(2)
	if got := r.must(c); got.DE7 != first.DE7 || r.m.AtMillis() != at {
		t.Errorf("after the clock went back DE 7 is %s, want %s", got.DE7, first.DE7)
	}
}

// TestBadLog feeds what is no log: ApplyBatch stops for good.
func TestBadLog(t *testing.T) {
	good := ledgerapi.AppendRecord(nil, ledgerapi.Header{}, ledgerapi.SealDay{})
	for name, feed := range map[string]struct {
		index uint64
		batch []byte
	}{
		"empty": {1, nil}, "index 0": {0, good}, "cut": {1, good[:len(good)-1]}, "a byte behind": {1, append(slices.Clone(good), 0)},
	} {
		m := New(Config{Area: testArea})
		if _, err := m.ApplyBatch(feed.index, feed.batch, nil); !errors.Is(err, ErrLog) {
			t.Errorf("%s: ApplyBatch = %v, want ErrLog", name, err)
		}
		if _, err := m.ApplyBatch(9, good, nil); !errors.Is(err, ErrLog) {
			t.Errorf("%s: ApplyBatch after the error = %v, want ErrLog again", name, err)
		}
	}
}

// TestCheckFinds plants damage and holds that the full check sees each.
func TestCheckFinds(t *testing.T) {
	for name, plant := range map[string]func(m *Machine){
		"due freed":             func(m *Machine) { m.dues.at(1).state, m.dues.at(1).pay = ledgerapi.DueOpen, 0 },
		"due of another state":  func(m *Machine) { m.dues.at(1).state = ledgerapi.DueStatePaid },
		"due of another":        func(m *Machine) { m.dues.at(1).pay = 2 },
		"due amount":            func(m *Machine) { m.dues.at(1).amount++ },
		"due out of the list":   func(m *Machine) { m.persons.at(1).dues = 0 },
		"due out of the index":  func(m *Machine) { m.dueByID.del(1) },
		"payment state":         func(m *Machine) { m.pays.at(2).state = ledgerapi.PayVoided },
		"payment off the list":  func(m *Machine) { m.live = m.live[:0] },
		"payment off the index": func(m *Machine) { m.payByID.del(m.pays.at(2).id, 2) },
		"receipt twice":         func(m *Machine) { m.pays.at(2).receipt = m.pays.at(3).receipt },
		"clearing posted":       func(m *Machine) { m.banks[testBank].days[0].funds[si.MedRes].clearing.postedDr++ },
		"clearing pending":      func(m *Machine) { m.banks[testBank].days[0].funds[si.MedRes].clearing.pendingDr++ },
		"income":                func(m *Machine) { m.books[si.MedRes].acc[accPool].postedCr++ },
		"pending income":        func(m *Machine) { m.books[si.MedRes].acc[accPool].pendingCr++ },
		"individual":            func(m *Machine) { m.indivs.at(1).paid++ },
		"individual sum":        func(m *Machine) { m.indivSum[si.PensionRes]++ },
	} {
		r := newRig(t, Config{}).open(3)
		r.medical(2026, 1, 2, 3)
		r.pension(2026, 100_000, 3)
		r.must(r.reserve(1))
		r.must(r.pay(2))
		r.must(r.pay(3))
		r.check()
		plant(r.m)
		if err := r.m.Check(); !errors.Is(err, ErrInvariant) {
			t.Errorf("%s: Check = %v, want ErrInvariant", name, err)
		}
	}
}

// TestMoneyCheckFinds plants damage in the books of the money side.
func TestMoneyCheckFinds(t *testing.T) {
	for name, plant := range map[string]func(m *Machine){
		"suspense left":          func(m *Machine) { m.suspenses.at(1).rest-- },
		"suspense beyond":        func(m *Machine) { m.suspenses.at(1).rest, m.suspenses.at(1).amount = -1, 1 },
		"refund amount":          func(m *Machine) { m.refunds.at(1).amount++ },
		"refund ended":           func(m *Machine) { m.refunds.at(1).state = ledgerapi.RefundDone },
		"refunded due paid":      func(m *Machine) { m.dues.at(m.dueByID.get(m.refunds.at(1).due)).state = ledgerapi.DueOpen },
		"income account":         func(m *Machine) { m.banks[testBank].deposit[si.MedRes].postedDr++ },
		"income of the bank":     func(m *Machine) { m.books[si.MedRes].acc[accDeposit].postedDr++ },
		"credited":               func(m *Machine) { m.banks[testBank].days[0].funds[si.MedRes].credited++ },
		"pooled income":          func(m *Machine) { m.banks[testBank].days[0].funds[si.MedRes].pool++ },
		"taken on the date":      func(m *Machine) { m.banks[testBank].days[0].funds[0].payments.Amount++ },
		"move of a date":         func(m *Machine) { m.dates[0].moves[0].dr++ },
		"sealed date open":       func(m *Machine) { m.dates[0].date = m.sealed },
		"run counts":             func(m *Machine) { m.runs.at(1).live++ },
		"run posted":             func(m *Machine) { m.runs.at(1).posted[si.MedRes]++ },
		"line of no run":         func(m *Machine) { m.runLines.at(1).key.run = 9 },
		"line of another":        func(m *Machine) { m.runLines.at(1).total++ },
		"statement line twice":   func(m *Machine) { m.statements.add(*m.statements.at(1)) },
		"login of two":           func(m *Machine) { m.loginOf["li"] = 99 },
		"break twice":            func(m *Machine) { b := *m.breaks.at(1); b.no = 99; m.breaks.add(b) },
		"individual of the fund": func(m *Machine) { m.books[si.PensionRes].acc[accFundIndiv].postedCr++ },
	} {
		r := newRig(t, Config{}).open(4)
		r.medical(2026, 1, 2, 3, 4)
		r.runTo(ledgerapi.RunPosted)
		r.mustBoth(r.refundOf(r.posted(2)))
		r.paid(3)
		r.inSuspense(500)
		r.mustBoth(&ledgerapi.PutUser{User: 10, Login: "li", State: ledgerapi.UserActive})
		r.check()
		plant(r.m)
		if err := r.m.Check(); !errors.Is(err, ErrInvariant) {
			t.Errorf("%s: Check = %v, want ErrInvariant", name, err)
		}
	}
}

// TestBrokenBooksStop holds that a batch that finds the books broken gives an
// error, not an answer.
func TestBrokenBooksStop(t *testing.T) {
	r := newRig(t, Config{}).open(1)
	r.medical(2026, 1)
	c := r.reserve(1)
	r.must(c)
	r.m.dues.at(1).amount++
	rec := ledgerapi.AppendRecord(nil, ledgerapi.Header{}, approval(c.ID, 0))
	if _, err := r.m.ApplyBatch(r.index+1, rec, nil); !errors.Is(err, ErrInvariant) {
		t.Errorf("Post of a payment whose dues do not add up = %v, want ErrInvariant", err)
	}
}

// TestSealTwice seals two dates without a checkpoint between: what the first
// took out of memory must still be known after the second.
func TestSealTwice(t *testing.T) {
	r := newRig(t, Config{}).open(2)
	r.pension(2026, 100_000, 1)
	stale := r.reserve(1)
	r.pension(2026, 300_000, 1) // replaces the due that stale names
	r.cut()
	r.must(ledgerapi.SealDay{ID: r.id(), Date: firstDay})
	r.medical(2026, 2)
	p := r.pay(2)
	r.must(p)
	r.cut()
	r.must(ledgerapi.SealDay{ID: r.id(), Date: firstDay + 1})
	if got := r.do(stale); got.Code != ledgerapi.DueChanged || got.Due != stale.Dues[0].ID {
		t.Errorf("Reserve of a replaced due = %s %d, want DUE_CHANGED", got.Code, got.Due)
	}
	if got := r.do(p); got.Code != ledgerapi.Exists {
		t.Errorf("Pay of the second date = %s, want EXISTS", got.Code)
	}
	r.check()
}

// TestHousehold takes area codes of towns and nothing longer.
func TestHousehold(t *testing.T) {
	r := newRig(t, Config{})
	for area, want := range map[si.AreaCode]ledgerapi.Code{330110: ledgerapi.OK, maxArea: ledgerapi.OK, maxArea + 1: ledgerapi.Malformed} {
		c := ledgerapi.PutPerson{ID: r.id(), IDHash: hashOf("id", int(area)), PType: si.Flex, Household: area, Birth: 600, Sex: 1}
		if got := r.do(c); got.Code != want {
			t.Errorf("household %s: %s, want %s", area, got.Code, want)
		}
	}
}
