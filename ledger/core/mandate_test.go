package core

import (
	"testing"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// card registers a person's card.
func (r *rig) card(person si.PersonNo, no, pan int, s ledgerapi.CardState) {
	r.t.Helper()
	r.must(ledgerapi.PutCard{ID: r.id(), IDHash: hashOf("id", int(person)-1), CardHash: hashOf("card", no), NoHash: hashOf("no", no),
		PANHash: hashOf("pan", pan), Bank: testBank, State: s, Source: ledgerapi.CardImport, Since: firstDay})
}

// mandate gives a person a card and an active mandate on it, and its number.
func (r *rig) mandate(person si.PersonNo) ledgerapi.MandateNo {
	r.t.Helper()
	if len(r.m.Cards(person)) == 0 {
		r.card(person, int(person)-1, int(person)-1, ledgerapi.CardActive)
	}
	no := ledgerapi.MandateNo(r.must(r.act(r.sign(person, int(person)-1))).No)
	r.must(r.act(&ledgerapi.MandateMove{Mandate: no, To: ledgerapi.MandateActive, Agreement: "A1"}))
	return no
}

// sign is a mandate of the resident funds on an account.
func (r *rig) sign(person si.PersonNo, pan int) *ledgerapi.MandateSign {
	return &ledgerapi.MandateSign{Person: person, Funds: ledgerapi.FundsOf(si.PensionRes, si.MedRes), Bank: testBank,
		Account: hashOf("pan", pan), Limit: 1_000_000, Channel: si.ChannelTerminal, Consent: [16]byte{1}}
}

func (r *rig) mandateIn(s ledgerapi.MandateState) {
	r.t.Helper()
	r.card(1, 1, 1, ledgerapi.CardActive)
	r.must(r.act(r.sign(1, 1)))
	switch s {
	case ledgerapi.MandateActive:
		r.must(r.act(&ledgerapi.MandateMove{Mandate: 1, To: s, Agreement: "A1"}))
	case ledgerapi.MandateSuspended, ledgerapi.MandateCancelled:
		r.must(r.act(&ledgerapi.MandateMove{Mandate: 1, To: s}))
	case ledgerapi.MandateSigned:
	}
}

// TestMandateMatrix walks every state of a mandate against what is asked of it:
// signing the same again, and each move.
func TestMandateMatrix(t *testing.T) {
	for s, want := range map[ledgerapi.MandateState]string{
		//                          sign active suspended cancelled; = EXISTS, . BAD_TRANSITION, n a new one
		ledgerapi.MandateSigned:    "= A S C",
		ledgerapi.MandateActive:    "= = S C",
		ledgerapi.MandateSuspended: "s . = C",
		ledgerapi.MandateCancelled: "n . . =",
	} {
		for i, do := range []ledgerapi.Body{nil, &ledgerapi.MandateMove{Mandate: 1, To: ledgerapi.MandateActive, Agreement: "A1"},
			&ledgerapi.MandateMove{Mandate: 1, To: ledgerapi.MandateSuspended}, &ledgerapi.MandateMove{Mandate: 1, To: ledgerapi.MandateCancelled}} {
			r := newRig(t, Config{}).open(1)
			r.mandateIn(s)
			if do == nil {
				do = r.sign(1, 1)
			}
			got := r.do(r.act(do))
			after, _ := r.m.Mandate(1)
			code, state, no := ledgerapi.OK, s, uint64(1)
			switch want[2*i] {
			case '=':
				code = ledgerapi.Exists
			case '.':
				code, no = ledgerapi.BadTransition, 0
			case 'n':
				no = 2
			case 's':
				state = ledgerapi.MandateSigned
			case 'A':
				state = ledgerapi.MandateActive
			case 'S':
				state = ledgerapi.MandateSuspended
			case 'C':
				state = ledgerapi.MandateCancelled
			}
			if got.Code != code || got.No != no || after.State != state {
				t.Errorf("state %d, act %d = %s no %d and %d, want %s no %d and %d", s, i, got.Code, got.No, after.State, code, no, state)
			}
			r.check()
		}
	}
}

func TestMandate(t *testing.T) {
	r := newRig(t, Config{}).open(2)
	with := func(change func(*ledgerapi.MandateSign)) *ledgerapi.MandateSign {
		c := r.sign(1, 1)
		change(c)
		return c
	}
	move := func(to ledgerapi.MandateState, bank si.Bank, agreement string) *ledgerapi.MandateMove {
		return &ledgerapi.MandateMove{Mandate: 1, To: to, Bank: bank, Agreement: agreement}
	}
	for i, tc := range []struct {
		name string
		do   ledgerapi.Body
		want ledgerapi.Code
	}{
		{"no card", r.sign(1, 1), ledgerapi.NotFound},
		{"signed", nil, ledgerapi.OK},
		{"another limit", with(func(c *ledgerapi.MandateSign) { c.Limit++ }), ledgerapi.BadTransition},
		{"fewer funds", with(func(c *ledgerapi.MandateSign) { c.Funds = ledgerapi.FundsOf(si.MedRes) }), ledgerapi.BadTransition},
		{"other funds", with(func(c *ledgerapi.MandateSign) { c.Funds = ledgerapi.FundsOf(si.PensionEmp) }), ledgerapi.OK},
		{"another bank's account", with(func(c *ledgerapi.MandateSign) { c.Bank++ }), ledgerapi.NotFound},
		{"another's account", with(func(c *ledgerapi.MandateSign) { c.Person = 2 }), ledgerapi.NotFound},
		{"no funds", with(func(c *ledgerapi.MandateSign) { c.Funds = 0 }), ledgerapi.Malformed},
		{"no such fund", with(func(c *ledgerapi.MandateSign) { c.Funds |= 1 }), ledgerapi.Malformed},
		{"a ninth fund", with(func(c *ledgerapi.MandateSign) { c.Funds |= 1 << 9 }), ledgerapi.Malformed},
		{"negative limit", with(func(c *ledgerapi.MandateSign) { c.Limit = -1 }), ledgerapi.Malformed},
		{"no channel", with(func(c *ledgerapi.MandateSign) { c.Channel = 0 }), ledgerapi.Malformed},
		{"another bank confirms", move(ledgerapi.MandateActive, 9, "A"), ledgerapi.BadTransition},
		{"without an agreement", move(ledgerapi.MandateActive, testBank, ""), ledgerapi.Malformed},
		{"the bank confirms", move(ledgerapi.MandateActive, testBank, "A"), ledgerapi.OK},
		{"again", move(ledgerapi.MandateActive, testBank, "A"), ledgerapi.Exists},
		{"with another agreement", move(ledgerapi.MandateActive, testBank, "B"), ledgerapi.BadTransition},
		{"another bank cancels", move(ledgerapi.MandateCancelled, 9, ""), ledgerapi.BadTransition},
		{"back to signed", move(ledgerapi.MandateSigned, 0, ""), ledgerapi.Malformed},
		{"no such mandate", &ledgerapi.MandateMove{Mandate: 9, To: ledgerapi.MandateCancelled}, ledgerapi.NotFound},
		{"the bank cancels", move(ledgerapi.MandateCancelled, testBank, ""), ledgerapi.OK},
		{"we cancel too", move(ledgerapi.MandateCancelled, 0, ""), ledgerapi.Exists},
	} {
		if i == 1 {
			r.card(1, 1, 1, ledgerapi.CardActive)
			tc.do = r.sign(1, 1)
		}
		if got := r.do(r.act(tc.do)); got.Code != tc.want {
			t.Errorf("%s = %s, want %s", tc.name, got.Code, tc.want)
		}
		r.check()
	}
	if all := r.m.MandatesOf(1); len(all) != 2 || all[0].Agreement != "A" || all[1].No != 2 || all[1].State != ledgerapi.MandateSigned {
		t.Errorf("MandatesOf = %+v", all)
	}
	r.card(1, 1, 1, ledgerapi.CardLost)
	if got := r.do(r.act(r.sign(1, 1))); got.Code != ledgerapi.BadTransition {
		t.Errorf("MandateSign on a lost card = %s, want BAD_TRANSITION", got.Code)
	}
}

// TestReplacedCardSuspends holds up the mandate on the account of a replaced
// card, however it is replaced, and no other.
func TestReplacedCardSuspends(t *testing.T) {
	for name, replace := range map[string]func(r *rig){
		"a new card":                      func(r *rig) { r.card(1, 2, 2, ledgerapi.CardActive) },
		"a new card on the account":       func(r *rig) { r.card(1, 2, 1, ledgerapi.CardActive) },
		"the card says so":                func(r *rig) { r.card(1, 1, 1, ledgerapi.CardReplaced) },
		"another account on the old card": func(r *rig) { r.card(1, 1, 2, ledgerapi.CardActive) },
	} {
		r := newRig(t, Config{}).open(2)
		r.mandateIn(ledgerapi.MandateActive)
		r.card(2, 7, 7, ledgerapi.CardActive)
		r.must(r.act(r.sign(2, 7)))
		replace(r)
		if x, _ := r.m.Mandate(1); x.State != ledgerapi.MandateSuspended || x.Agreement != "A1" {
			t.Errorf("%s: the mandate is %+v, want it suspended", name, x)
		}
		if x, _ := r.m.Mandate(2); x.State != ledgerapi.MandateSigned {
			t.Errorf("%s: another person's mandate is %+v", name, x)
		}
		r.check()
	}
	r := newRig(t, Config{}).open(1)
	r.mandateIn(ledgerapi.MandateActive)
	r.card(1, 1, 1, ledgerapi.CardLost)
	if x, _ := r.m.Mandate(1); x.State != ledgerapi.MandateActive {
		t.Errorf("a lost card: the mandate is %+v, want it active", x)
	}
	r.card(1, 2, 2, ledgerapi.CardActive)
	if got := r.must(r.act(r.sign(1, 2))); got.No != 1 {
		t.Errorf("signing again gave mandate %d, want 1", got.No)
	}
	if x, _ := r.m.Mandate(1); x.State != ledgerapi.MandateSigned || x.Account != hashOf("pan", 2) || x.Agreement != "" {
		t.Errorf("signed again: %+v", x)
	}
	r.check()
}
