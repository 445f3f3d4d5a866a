package core

import (
	"slices"
	"testing"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// both does an act by two persons, or gives what the first was answered.
func (r *rig) both(do ledgerapi.Body) ledgerapi.Result {
	r.t.Helper()
	a := r.act(do)
	if res := r.as(1, a); res.Code != ledgerapi.NeedsSecondPerson {
		return res
	}
	return r.as(2, r.act(&ledgerapi.Approve{Subject: a.ID, Verdict: ledgerapi.VerdictYes}))
}

func (r *rig) mustBoth(do ledgerapi.Body) ledgerapi.Result {
	r.t.Helper()
	res := r.both(do)
	if res.Code != ledgerapi.OK {
		r.t.Fatalf("%T by two = %s, want OK", do, res.Code)
	}
	return res
}

// shown is a line of the account statement that nobody has booked yet.
func (r *rig) shown() ledgerapi.StatementLine {
	return ledgerapi.StatementLine{Bank: testBank, Date: r.openDate(), Ref: "L" + string(r.id().String()[20:])}
}

func (r *rig) sealPrev() {
	r.t.Helper()
	r.cut()
	r.must(ledgerapi.SealDay{ID: r.id(), Date: r.openDate() - 1})
}

// openBreak opens a break about a payment and assigns it.
func (r *rig) openBreak(payment si.PaymentID) ledgerapi.BreakNo {
	r.t.Helper()
	no := ledgerapi.BreakNo(r.do(r.act(&ledgerapi.BreakOpen{Kind: 11, Bank: testBank, Date: firstDay, Payment: payment, Amount: 51_000})).No)
	r.must(r.act(&ledgerapi.BreakMove{Break: no, To: ledgerapi.BreakAssigned, Owner: 1}))
	return no
}

// refundOf asks for the first due of a payment back.
func (r *rig) refundOf(payment si.PaymentID) *ledgerapi.RefundApprove {
	c := &ledgerapi.RefundApprove{Payment: payment, Due: 1, Amount: 51_000, Reason: "paid twice"}
	if v, ok := r.m.Payment(payment); ok && len(v.Dues) > 0 {
		c.Due, c.Amount = v.Dues[0].Ref.ID, v.Dues[0].Ref.Amount+v.Dues[0].Ref.LateFee
	}
	return c
}

func (r *rig) paid(no si.PersonNo) si.PaymentID {
	r.t.Helper()
	p := r.pay(no)
	r.must(p)
	return p.ID
}

func (r *rig) posted(no si.PersonNo) si.PaymentID {
	r.t.Helper()
	c := r.reserve(no)
	r.must(c)
	r.must(approval(c.ID, 0))
	return c.ID
}

// inSuspense puts money in suspense and gives its number and break.
func (r *rig) inSuspense(amount si.Fen) (ledgerapi.SuspenseNo, ledgerapi.BreakNo) {
	r.t.Helper()
	b := r.openBreak(r.id())
	return ledgerapi.SuspenseNo(r.must(r.act(&ledgerapi.SuspenseIn{Bank: testBank, Date: r.openDate(), Fund: si.MedRes,
		Amount: amount, Break: b, Serial: "X1"})).No), b
}

// moneyPrep are further states of a payment: what refunds, corrections, seals,
// suspense and runs make of one.
var moneyPrep = []struct {
	name string
	to   func(r *rig) si.PaymentID
}{
	{"SEALED", func(r *rig) si.PaymentID { id := r.posted(1); r.sealPrev(); return id }},
	{"REFUNDED", func(r *rig) si.PaymentID { id := r.posted(1); r.mustBoth(r.refundOf(id)); return id }},
	{"SEALED, REFUNDED", func(r *rig) si.PaymentID {
		id := r.posted(1)
		r.sealPrev()
		r.mustBoth(r.refundOf(id))
		return id
	}},
	{"REOPENED", func(r *rig) si.PaymentID { id := r.posted(1); r.reopened(id); return id }},
	{"WITHDRAWN", func(r *rig) si.PaymentID {
		id := r.posted(1)
		no := r.mustBoth(r.refundOf(id)).No
		r.mustBoth(&ledgerapi.RefundMove{Refund: ledgerapi.RefundNo(no), To: ledgerapi.RefundWithdrawn})
		return id
	}},
	{"CORRECTED", func(r *rig) si.PaymentID {
		id := r.posted(1)
		r.mustBoth(&ledgerapi.CorrectUnpaid{Payment: id, Break: r.openBreak(id)})
		return id
	}},
	{"SEALED, CORRECTED", func(r *rig) si.PaymentID {
		id := r.posted(1)
		r.sealPrev()
		r.mustBoth(&ledgerapi.CorrectUnpaid{Payment: id, Break: r.openBreak(id)})
		return id
	}},
	{"BY SUSPENSE", func(r *rig) si.PaymentID {
		no, _ := r.inSuspense(51_000)
		refs, _ := r.refs(1)
		a := r.act(&ledgerapi.SuspenseUse{Suspense: no, Due: refs[0]})
		r.as(1, a)
		r.as(2, r.act(&ledgerapi.Approve{Subject: a.ID, Verdict: ledgerapi.VerdictYes}))
		return a.ID
	}},
	{"LINE HELD", func(r *rig) si.PaymentID { return r.runTo(ledgerapi.RunAcked) }},
	{"LINE PROVEN", func(r *rig) si.PaymentID { return r.runTo(ledgerapi.RunFundsConfirmed) }},
	{"LINE POSTED", func(r *rig) si.PaymentID { return r.runTo(ledgerapi.RunPosted) }},
}

func (r *rig) reopened(id si.PaymentID) {
	r.t.Helper()
	no := ledgerapi.RefundNo(r.mustBoth(r.refundOf(id)).No)
	r.must(r.act(&ledgerapi.RefundMove{Refund: no, To: ledgerapi.RefundSent}))
	r.must(r.act(&ledgerapi.RefundPaid{StatementLine: r.shown(), Refund: no, Amount: 51_000, Reopen: true}))
}

// runTo brings a run of one line, the first person's dues, to a state, and gives
// the line's payment. The number of the run is 1.
func (r *rig) runTo(to ledgerapi.RunState) si.PaymentID {
	r.t.Helper()
	r.must(r.act(&ledgerapi.RunOpen{Bank: testBank, Date: r.openDate()}))
	date := r.openDate()
	refs, total := r.refs(1)
	r.must(r.act(&ledgerapi.RunLine{Run: 1, Line: 1, Mandate: r.mandate(1), Dues: refs, Total: total}))
	id := ledgerapi.LinePayment(date, 1, 1)
	sent, result := [32]byte{1}, [32]byte{2}
	move := func(s ledgerapi.RunState, file [32]byte, sum si.Fen) {
		r.t.Helper()
		r.mustBoth(&ledgerapi.RunMove{Run: 1, To: s, File: file, Count: 1, Sum: sum})
	}
	for s := ledgerapi.RunSent; s <= to; s++ {
		switch s {
		case ledgerapi.RunRejected:
			if to == s {
				move(s, sent, 0)
			}
		case ledgerapi.RunSent, ledgerapi.RunAcked:
			if to != ledgerapi.RunRejected || s == ledgerapi.RunSent {
				move(s, sent, total)
			}
		case ledgerapi.RunResult:
			r.must(r.act(&ledgerapi.RunLine{Run: 1, Line: 1, Result: ledgerapi.LineSuccess, Serial: "B1", Date: date}))
			move(s, result, total)
		case ledgerapi.RunFundsConfirmed:
			r.must(r.act(&ledgerapi.FundsCredited{StatementLine: r.shown(), For: date, Run: 1, Funds: []ledgerapi.FundAmount{{Fund: si.MedRes, Amount: total}}}))
			move(s, [32]byte{3}, total)
		case ledgerapi.RunPosted:
			r.must(linePost(id, date))
			move(s, [32]byte{}, total)
		case ledgerapi.RunClosed:
			move(s, [32]byte{}, total)
		}
	}
	return id
}

func linePost(id si.PaymentID, date si.BusinessDate) ledgerapi.Post {
	p := approval(id, date)
	p.Evidence.Source = ledgerapi.SourceFile
	return p
}

const (
	cOK    = ledgerapi.OK
	cAgain = ledgerapi.Exists
	cBad   = ledgerapi.BadTransition
	cNone  = ledgerapi.NotFound
	cTomb  = ledgerapi.Tombstoned
	cDue   = ledgerapi.DueChanged
	cMal   = ledgerapi.Malformed
	cSeal  = ledgerapi.Sealed
	cDay   = ledgerapi.NotSameDay
	cLate  = ledgerapi.Late
	cTwo   = ledgerapi.NeedsSecondPerson
	cReuse = ledgerapi.IDReused
)

// TestMoneyStates walks every state of a payment, those of moneyPrep included,
// and the commands that take money back.
func TestMoneyStates(t *testing.T) {
	preps := append(slices.Clone(statePrep), moneyPrep...)
	type try func(r *rig, id si.PaymentID) ledgerapi.Result
	// NONE, RESERVED, REVERSING, POSTED, UNPOSTED, VOIDED, PAID, REVERSED, TOMBSTONE | SEALED, REFUNDED, SEALED+REFUNDED,
	// REOPENED, WITHDRAWN, CORRECTED, SEALED+CORRECTED, BY SUSPENSE, LINE HELD, LINE PROVEN, LINE POSTED.
	for _, row := range []struct {
		name string
		try  try
		want [20]ledgerapi.Code
	}{
		{"RefundApprove", func(r *rig, id si.PaymentID) ledgerapi.Result { return r.both(r.refundOf(id)) },
			[20]ledgerapi.Code{cNone, cBad, cBad, cOK, cBad, cBad, cOK, cBad, cTomb,
				cOK, cDue, cDue, cDue, cOK, cBad, cBad, cOK, cBad, cBad, cOK}},
		{"CorrectUnpaid", func(r *rig, id si.PaymentID) ledgerapi.Result {
			return r.both(&ledgerapi.CorrectUnpaid{Payment: id, Break: r.openBreak(id)})
		}, [20]ledgerapi.Code{cNone, cBad, cBad, cOK, cBad, cBad, cOK, cBad, cTomb,
			cOK, cBad, cBad, cBad, cOK, cBad, cBad, cBad, cBad, cBad, cBad}},
		{"Unpost", func(r *rig, id si.PaymentID) ledgerapi.Result {
			return r.do(ledgerapi.Unpost{ID: id, Reason: ledgerapi.UnpostARPC})
		}, [20]ledgerapi.Code{cNone, cBad, cBad, cOK, cBad, cBad, cBad, cBad, cTomb,
			cSeal, cBad, cSeal, cBad, cOK, cBad, cBad, cBad, cBad, cBad, cBad}},
		{"Reverse", func(r *rig, id si.PaymentID) ledgerapi.Result {
			return r.do(ledgerapi.Reverse{ID: id, Bank: testBank, BankDate: firstDay})
		}, [20]ledgerapi.Code{cOK, cBad, cBad, cBad, cBad, cBad, cOK, cAgain, cAgain,
			cBad, cBad, cBad, cBad, cBad, cBad, cBad, cBad, cBad, cBad, cBad}},
		{"Post WIRE", func(r *rig, id si.PaymentID) ledgerapi.Result { return r.do(approval(id, 0)) },
			[20]ledgerapi.Code{cNone, cOK, cLate, cAgain, cLate, cBad, cBad, cBad, cTomb,
				cAgain, cAgain, cAgain, cAgain, cAgain, cBad, cBad, cBad, cBad, cBad, cBad}},
		{"Post FILE of the debit's date", func(r *rig, id si.PaymentID) ledgerapi.Result { return r.do(linePost(id, firstDay)) },
			[20]ledgerapi.Code{cNone, cOK, cTwo, cBad, cTwo, cBad, cBad, cBad, cTomb,
				cBad, cBad, cBad, cBad, cBad, cBad, cBad, cBad, cBad, cOK, cAgain}},
		{"Void DESK", func(r *rig, id si.PaymentID) ledgerapi.Result { return r.do(voidBy(id, ledgerapi.ProofDesk)) },
			[20]ledgerapi.Code{cOK, cOK, cOK, cBad, cOK, cBad, cBad, cBad, cAgain,
				cBad, cBad, cBad, cBad, cBad, cBad, cBad, cBad, cBad, cBad, cBad}},
		{"Annotate REVERSING", func(r *rig, id si.PaymentID) ledgerapi.Result { return r.do(reversing(id)) },
			[20]ledgerapi.Code{cNone, cOK, cOK, cBad, cOK, cBad, cBad, cBad, cTomb,
				cBad, cBad, cBad, cBad, cBad, cBad, cBad, cBad, cBad, cBad, cBad}},
	} {
		for i, prep := range preps {
			r := newRig(t, Config{}).open(2)
			r.medical(2026, 1, 2)
			id := prep.to(r)
			books := r.m.TrialBalance()
			got := row.try(r, id)
			if got.Code != row.want[i] {
				t.Errorf("%s in %s = %s, want %s", row.name, prep.name, got.Code, row.want[i])
			}
			if got.Code != cOK && !slices.Equal(books, r.m.TrialBalance()) {
				t.Errorf("%s in %s was %s and moved the books", row.name, prep.name, got.Code)
			}
			r.check()
		}
	}
}

// TestRefundStates walks every pair of refund state and command.
func TestRefundStates(t *testing.T) {
	move := func(to ledgerapi.RefundState) func(r *rig) ledgerapi.Result {
		return func(r *rig) ledgerapi.Result { return r.both(&ledgerapi.RefundMove{Refund: 1, To: to}) }
	}
	pay := func(change func(c *ledgerapi.RefundPaid)) func(r *rig) ledgerapi.Result {
		return func(r *rig) ledgerapi.Result {
			c := &ledgerapi.RefundPaid{StatementLine: r.shown(), Refund: 1, Amount: 51_000, Reopen: true}
			change(c)
			return r.as(1, r.act(c))
		}
	}
	steps := [6][]ledgerapi.RefundState{ // how to come to each state
		{}, {ledgerapi.RefundSent}, {ledgerapi.RefundSent, ledgerapi.RefundAccepted}, {ledgerapi.RefundSent, ledgerapi.RefundDone},
		{ledgerapi.RefundSent, ledgerapi.RefundFailed}, {ledgerapi.RefundWithdrawn},
	}
	// APPROVED, SENT, ACCEPTED, DONE, FAILED, WITHDRAWN.
	for _, row := range []struct {
		name string
		try  func(r *rig) ledgerapi.Result
		want [6]ledgerapi.Code
	}{
		{"APPROVED", move(ledgerapi.RefundApproved), [6]ledgerapi.Code{cBad, cBad, cBad, cBad, cBad, cBad}},
		{"SENT", move(ledgerapi.RefundSent), [6]ledgerapi.Code{cOK, cAgain, cBad, cBad, cOK, cBad}},
		{"ACCEPTED", move(ledgerapi.RefundAccepted), [6]ledgerapi.Code{cBad, cOK, cAgain, cBad, cBad, cBad}},
		{"DONE", move(ledgerapi.RefundDone), [6]ledgerapi.Code{cBad, cBad, cBad, cBad, cBad, cBad}},
		{"FAILED", move(ledgerapi.RefundFailed), [6]ledgerapi.Code{cBad, cOK, cOK, cBad, cAgain, cBad}},
		{"WITHDRAWN", move(ledgerapi.RefundWithdrawn), [6]ledgerapi.Code{cOK, cBad, cBad, cBad, cOK, cAgain}},
		{"WITHDRAWN by one", func(r *rig) ledgerapi.Result {
			return r.as(1, r.act(&ledgerapi.RefundMove{Refund: 1, To: ledgerapi.RefundWithdrawn}))
		}, [6]ledgerapi.Code{cTwo, cBad, cBad, cBad, cTwo, cAgain}},
		{"no state", move(9), [6]ledgerapi.Code{cMal, cMal, cMal, cMal, cMal, cMal}},
		{"paid", pay(func(*ledgerapi.RefundPaid) {}), [6]ledgerapi.Code{cBad, cOK, cOK, cBad, cOK, cBad}},
		{"paid by another bank", pay(func(c *ledgerapi.RefundPaid) { c.Bank = 4 }), [6]ledgerapi.Code{cBad, cBad, cBad, cBad, cBad, cBad}},
		{"paid a fen more", pay(func(c *ledgerapi.RefundPaid) { c.Amount++ }), [6]ledgerapi.Code{cBad, cBad, cBad, cBad, cBad, cBad}},
		{"paid a fen less", pay(func(c *ledgerapi.RefundPaid) { c.Amount-- }), [6]ledgerapi.Code{cBad, cBad, cBad, cBad, cBad, cBad}},
		{"paid without a line", pay(func(c *ledgerapi.RefundPaid) { c.Ref = "" }), [6]ledgerapi.Code{cMal, cMal, cMal, cMal, cMal, cMal}},
		{"paid by a line that is booked", pay(func(c *ledgerapi.RefundPaid) { c.Ref = "used" }), [6]ledgerapi.Code{cBad, cBad, cBad, cBad, cBad, cBad}},
		{"the same due again", func(r *rig) ledgerapi.Result {
			v, _ := r.m.Refund(1)
			return r.both(r.refundOf(v.Payment))
		}, [6]ledgerapi.Code{cDue, cDue, cDue, cDue, cDue, cOK}},
	} {
		for i := range steps {
			r := newRig(t, Config{}).open(2)
			r.must(ledgerapi.PutConfig{ID: r.id(), Kind: ledgerapi.ConfigBankFacts, Name: "four", From: 1, Body: []byte("shebao-bank-facts 1\nbank 4\n"), Maker: 1, Checker: 2})
			r.must(ledgerapi.Cutover{ID: r.id(), Bank: 4, To: firstDay})
			r.medical(2026, 1, 2)
			r.must(r.act(&ledgerapi.Interest{StatementLine: ledgerapi.StatementLine{Bank: testBank, Date: firstDay, Ref: "used"},
				Funds: []ledgerapi.FundAmount{{Fund: si.MedRes, Amount: 5}}}))
			r.mustBoth(r.refundOf(r.posted(1)))
			for _, to := range steps[i] {
				if to == ledgerapi.RefundDone {
					r.must(r.act(&ledgerapi.RefundPaid{StatementLine: r.shown(), Refund: 1, Amount: 51_000}))
				} else {
					r.mustBoth(&ledgerapi.RefundMove{Refund: 1, To: to})
				}
			}
			if v, _ := r.m.Refund(1); v.State != ledgerapi.RefundState(i+1) {
				t.Fatalf("the refund came to state %d, want %d", v.State, i+1)
			}
			books := r.m.TrialBalance()
			if got := row.try(r); got.Code != row.want[i] {
				t.Errorf("%s in state %d = %s, want %s", row.name, i+1, got.Code, row.want[i])
			} else if got.Code != cOK && !slices.Equal(books, r.m.TrialBalance()) {
				t.Errorf("%s in state %d was %s and moved the books", row.name, i+1, got.Code)
			}
			r.check()
		}
	}
}

// breakTo brings break 1 to a state; what proposes its resolution has the id
// that is returned.
func (r *rig) breakTo(to ledgerapi.BreakState) (proposal si.PaymentID) {
	r.t.Helper()
	id := r.posted(1)
	r.must(r.act(&ledgerapi.BreakOpen{Kind: 11, Bank: testBank, Date: firstDay, Payment: id, Amount: 51_000}))
	move := func(to ledgerapi.BreakState, owner si.Actor) {
		r.t.Helper()
		r.must(r.act(&ledgerapi.BreakMove{Break: 1, To: to, Owner: owner}))
	}
	if to == ledgerapi.BreakNew {
		return id
	}
	if to == ledgerapi.BreakEscalated {
		move(to, 0)
		return id
	}
	if move(ledgerapi.BreakAssigned, 1); to == ledgerapi.BreakAssigned {
		return id
	}
	a := r.act(&ledgerapi.BreakResolve{Break: 1, Note: "bank and ledger agree"})
	if to == ledgerapi.BreakFollowUp {
		in := r.act(r.refundOf(id))
		a = r.act(&ledgerapi.BreakResolve{Break: 1, Act: in.Type(), Key: in.ID, Body: in.AppendBody(nil), Note: "银行已扣款，本地未入账，退回"})
	}
	if got := r.as(1, a); got.Code != cTwo {
		r.t.Fatalf("BreakResolve by one = %s", got.Code)
	}
	switch to {
	case ledgerapi.BreakReturned:
		r.as(2, r.act(&ledgerapi.Approve{Subject: a.ID, Verdict: ledgerapi.VerdictNo, Note: "look again"}))
	case ledgerapi.BreakFollowUp, ledgerapi.BreakClosed:
		if got := r.as(2, r.act(&ledgerapi.Approve{Subject: a.ID, Verdict: ledgerapi.VerdictYes})); got.Code != cOK {
			r.t.Fatalf("Approve of a resolution = %s", got.Code)
		}
	}
	return a.ID
}

// TestBreakStates walks every pair of break state and command.
func TestBreakStates(t *testing.T) {
	move := func(actor si.Actor, to ledgerapi.BreakState, owner si.Actor) func(r *rig, _ si.PaymentID) ledgerapi.Result {
		return func(r *rig, _ si.PaymentID) ledgerapi.Result {
			return r.as(actor, r.act(&ledgerapi.BreakMove{Break: 1, To: to, Owner: owner, Note: "x"}))
		}
	}
	resolve := func(note string) func(r *rig, _ si.PaymentID) ledgerapi.Result {
		return func(r *rig, _ si.PaymentID) ledgerapi.Result {
			return r.as(1, r.act(&ledgerapi.BreakResolve{Break: 1, Note: note}))
		}
	}
	// NEW, ASSIGNED, PROPOSED, RETURNED, ESCALATED, FOLLOW_UP, CLOSED.
	for _, row := range []struct {
		name string
		try  func(r *rig, proposal si.PaymentID) ledgerapi.Result
		want [7]ledgerapi.Code
	}{
		{"to NEW", move(1, ledgerapi.BreakNew, 0), [7]ledgerapi.Code{cBad, cBad, cBad, cBad, cBad, cBad, cBad}},
		{"to ASSIGNED", move(1, ledgerapi.BreakAssigned, 3), [7]ledgerapi.Code{cOK, cOK, cBad, cOK, cOK, cBad, cBad}},
		{"to ASSIGNED to nobody", move(1, ledgerapi.BreakAssigned, 0), [7]ledgerapi.Code{cMal, cMal, cMal, cMal, cMal, cMal, cMal}},
		{"to PROPOSED", move(1, ledgerapi.BreakProposed, 0), [7]ledgerapi.Code{cBad, cBad, cBad, cBad, cBad, cBad, cBad}},
		{"to RETURNED", move(1, ledgerapi.BreakReturned, 0), [7]ledgerapi.Code{cBad, cBad, cOK, cBad, cBad, cBad, cBad}},
		{"to ESCALATED", move(1, ledgerapi.BreakEscalated, 0), [7]ledgerapi.Code{cOK, cOK, cOK, cOK, cBad, cOK, cBad}},
		{"to FOLLOW_UP", move(1, ledgerapi.BreakFollowUp, 0), [7]ledgerapi.Code{cBad, cBad, cBad, cBad, cBad, cBad, cBad}},
		{"to CLOSED", move(1, ledgerapi.BreakClosed, 0), [7]ledgerapi.Code{cBad, cBad, cBad, cBad, cBad, cBad, cBad}},
		{"to CLOSED by the machine", move(0, ledgerapi.BreakClosed, 0), [7]ledgerapi.Code{cOK, cBad, cBad, cBad, cBad, cBad, cBad}},
		{"to nothing", move(1, 8, 0), [7]ledgerapi.Code{cMal, cMal, cMal, cMal, cMal, cMal, cMal}},
		{"opened again", func(r *rig, _ si.PaymentID) ledgerapi.Result {
			v, _ := r.m.Break(1)
			return r.do(r.act(&ledgerapi.BreakOpen{Kind: v.Kind, Bank: v.Bank, Date: v.Date, Payment: v.Payment}))
		}, [7]ledgerapi.Code{cAgain, cAgain, cAgain, cAgain, cAgain, cAgain, cOK}},
		{"a resolution proposed", resolve("nothing to do"), [7]ledgerapi.Code{cBad, cTwo, cBad, cBad, cBad, cBad, cBad}},
		{"a note of nine characters", resolve("查无此笔，无需处理"), [7]ledgerapi.Code{cMal, cMal, cMal, cMal, cMal, cMal, cMal}},
		{"the proposal approved", func(r *rig, id si.PaymentID) ledgerapi.Result {
			return r.as(2, r.act(&ledgerapi.Approve{Subject: id, Verdict: ledgerapi.VerdictYes}))
		}, [7]ledgerapi.Code{cNone, cNone, cOK, cBad, cNone, cBad, cBad}},
		{"the proposal approved by its maker", func(r *rig, id si.PaymentID) ledgerapi.Result {
			return r.as(1, r.act(&ledgerapi.Approve{Subject: id, Verdict: ledgerapi.VerdictYes}))
		}, [7]ledgerapi.Code{cNone, cNone, ledgerapi.SamePerson, cBad, cNone, cBad, cBad}},
		{"CorrectUnpaid", func(r *rig, _ si.PaymentID) ledgerapi.Result {
			v, _ := r.m.Break(1)
			return r.both(&ledgerapi.CorrectUnpaid{Payment: v.Payment, Break: 1})
		}, [7]ledgerapi.Code{cOK, cOK, cOK, cOK, cOK, cBad, cBad}},
		{"SuspenseIn", func(r *rig, _ si.PaymentID) ledgerapi.Result {
			return r.do(r.act(&ledgerapi.SuspenseIn{Bank: testBank, Date: firstDay, Fund: si.MedRes, Amount: 1, Break: 1}))
		}, [7]ledgerapi.Code{cOK, cOK, cOK, cOK, cOK, cOK, cBad}},
	} {
		for i := range 7 {
			r := newRig(t, Config{}).open(2)
			r.medical(2026, 1, 2)
			proposal := r.breakTo(ledgerapi.BreakState(i + 1))
			if v, _ := r.m.Break(1); v.State != ledgerapi.BreakState(i+1) {
				t.Fatalf("the break came to state %d, want %d", v.State, i+1)
			}
			if got := row.try(r, proposal); got.Code != row.want[i] {
				t.Errorf("%s in state %d = %s, want %s", row.name, i+1, got.Code, row.want[i])
			}
			r.check()
		}
	}
}

// TestRunStates walks every pair of run state and command.
func TestRunStates(t *testing.T) {
	move := func(to ledgerapi.RunState) func(r *rig, _ si.PaymentID) ledgerapi.Result {
		return func(r *rig, _ si.PaymentID) ledgerapi.Result {
			v, _ := r.m.Run(1)
			c := &ledgerapi.RunMove{Run: 1, To: to, File: v.Sent, Count: 1, Sum: 51_000}
			if to == ledgerapi.RunSent || to == ledgerapi.RunResult {
				c.File = [32]byte{byte(to)}
			}
			return r.both(c)
		}
	}
	off := func(to ledgerapi.RunState, change func(c *ledgerapi.RunMove)) func(r *rig, _ si.PaymentID) ledgerapi.Result {
		return func(r *rig, _ si.PaymentID) ledgerapi.Result {
			v, _ := r.m.Run(1)
			c := &ledgerapi.RunMove{Run: 1, To: to, File: v.Sent, Count: 1, Sum: 51_000}
			change(c)
			return r.both(c)
		}
	}
	line := func(c ledgerapi.RunLine) func(r *rig, _ si.PaymentID) ledgerapi.Result {
		return func(r *rig, _ si.PaymentID) ledgerapi.Result { x := c; return r.do(r.act(&x)) }
	}
	// CREATED, SENT, ACKED, REJECTED, RESULT, FUNDS_CONFIRMED, POSTED, CLOSED.
	for _, row := range []struct {
		name string
		try  func(r *rig, id si.PaymentID) ledgerapi.Result
		want [8]ledgerapi.Code
	}{
		{"to CREATED", move(ledgerapi.RunCreated), [8]ledgerapi.Code{cBad, cBad, cBad, cBad, cBad, cBad, cBad, cBad}},
		{"to SENT", move(ledgerapi.RunSent), [8]ledgerapi.Code{cOK, cAgain, cBad, cBad, cBad, cBad, cBad, cBad}},
		{"to ACKED", move(ledgerapi.RunAcked), [8]ledgerapi.Code{cBad, cOK, cAgain, cBad, cBad, cBad, cBad, cBad}},
		{"to ACKED, a fen off", off(ledgerapi.RunAcked, func(c *ledgerapi.RunMove) { c.Sum-- }),
			[8]ledgerapi.Code{cBad, cBad, cAgain, cBad, cBad, cBad, cBad, cBad}},
		{"to ACKED, another file", off(ledgerapi.RunAcked, func(c *ledgerapi.RunMove) { c.File[5]++ }),
			[8]ledgerapi.Code{cBad, cBad, cAgain, cBad, cBad, cBad, cBad, cBad}},
		{"to REJECTED", move(ledgerapi.RunRejected), [8]ledgerapi.Code{cOK, cOK, cBad, cAgain, cBad, cBad, cBad, cBad}},
		{"to RESULT", move(ledgerapi.RunResult), [8]ledgerapi.Code{cBad, cBad, cBad, cBad, cAgain, cBad, cBad, cBad}},
		{"to FUNDS_CONFIRMED without funds", move(ledgerapi.RunFundsConfirmed), [8]ledgerapi.Code{cBad, cBad, cBad, cBad, cBad, cAgain, cBad, cBad}},
		{"to POSTED before its lines", move(ledgerapi.RunPosted), [8]ledgerapi.Code{cBad, cBad, cBad, cBad, cBad, cBad, cAgain, cBad}},
		{"to CLOSED", move(ledgerapi.RunClosed), [8]ledgerapi.Code{cBad, cBad, cBad, cBad, cBad, cBad, cOK, cAgain}},
		{"a run of the same day", func(r *rig, _ si.PaymentID) ledgerapi.Result {
			return r.do(r.act(&ledgerapi.RunOpen{Bank: testBank, Date: firstDay}))
		}, [8]ledgerapi.Code{cAgain, cAgain, cAgain, cAgain, cAgain, cAgain, cAgain, cAgain}},
		{"a second line", func(r *rig, _ si.PaymentID) ledgerapi.Result {
			refs, total := r.refs(2)
			return r.do(r.act(&ledgerapi.RunLine{Run: 1, Line: 2, Mandate: r.mandate(2), Dues: refs, Total: total}))
		}, [8]ledgerapi.Code{cOK, cBad, cBad, cBad, cBad, cBad, cBad, cBad}},
		{"the first line again", line(ledgerapi.RunLine{Run: 1, Line: 1, Mandate: 1, Total: 51_000}),
			[8]ledgerapi.Code{cAgain, cAgain, cAgain, cAgain, cAgain, cAgain, cAgain, cAgain}},
		{"the first line of another", line(ledgerapi.RunLine{Run: 1, Line: 1, Mandate: 8, Total: 51_000}),
			[8]ledgerapi.Code{cReuse, cReuse, cReuse, cReuse, cReuse, cReuse, cReuse, cReuse}},
		{"a failure", line(ledgerapi.RunLine{Run: 1, Line: 1, Result: ledgerapi.LineInsufficient}),
			[8]ledgerapi.Code{cBad, cBad, cOK, cBad, cBad, cBad, cBad, cBad}},
		{"the success again", line(ledgerapi.RunLine{Run: 1, Line: 1, Result: ledgerapi.LineSuccess, Serial: "B1", Date: firstDay}),
			[8]ledgerapi.Code{cBad, cBad, cOK, cBad, cAgain, cAgain, cAgain, cAgain}},
		{"a success without a serial", line(ledgerapi.RunLine{Run: 1, Line: 1, Result: ledgerapi.LineSuccess, Date: firstDay}),
			[8]ledgerapi.Code{cMal, cMal, cMal, cMal, cMal, cMal, cMal, cMal}},
		{"its money", func(r *rig, _ si.PaymentID) ledgerapi.Result {
			return r.do(r.act(&ledgerapi.FundsCredited{StatementLine: r.shown(), For: firstDay, Run: 1, Funds: []ledgerapi.FundAmount{{Fund: si.MedRes, Amount: 51_000}}}))
		}, [8]ledgerapi.Code{cBad, cBad, cBad, cBad, cOK, cBad, cBad, cBad}},
		{"a fen more", func(r *rig, _ si.PaymentID) ledgerapi.Result {
			return r.do(r.act(&ledgerapi.FundsCredited{StatementLine: r.shown(), For: firstDay, Run: 1, Funds: []ledgerapi.FundAmount{{Fund: si.MedRes, Amount: 51_001}}}))
		}, [8]ledgerapi.Code{cBad, cBad, cBad, cBad, cBad, cBad, cBad, cBad}},
		{"a fen short, then FUNDS_CONFIRMED", func(r *rig, _ si.PaymentID) ledgerapi.Result {
			r.do(r.act(&ledgerapi.FundsCredited{StatementLine: r.shown(), For: firstDay, Run: 1, Funds: []ledgerapi.FundAmount{{Fund: si.MedRes, Amount: 50_999}}}))
			return r.both(&ledgerapi.RunMove{Run: 1, To: ledgerapi.RunFundsConfirmed, Sum: 51_000})
		}, [8]ledgerapi.Code{cBad, cBad, cBad, cBad, cBad, cAgain, cBad, cBad}},
		{"Post of the line", func(r *rig, id si.PaymentID) ledgerapi.Result { return r.do(linePost(id, firstDay)) },
			[8]ledgerapi.Code{cBad, cBad, cBad, cBad, cBad, cOK, cAgain, cAgain}},
		{"Void NOT_SENT of the line", func(r *rig, id si.PaymentID) ledgerapi.Result { return r.do(voidBy(id, ledgerapi.ProofNotSent)) },
			[8]ledgerapi.Code{cBad, cBad, cBad, cOK, cBad, cBad, cBad, cBad}},
		{"Void DECLINED of the line", func(r *rig, id si.PaymentID) ledgerapi.Result { return r.do(voidBy(id, ledgerapi.ProofDeclined)) },
			[8]ledgerapi.Code{cBad, cBad, cBad, cBad, cBad, cBad, cBad, cBad}},
		{"the due at a kiosk", func(r *rig, _ si.PaymentID) ledgerapi.Result {
			v, _ := r.m.Payment(ledgerapi.LinePayment(firstDay, 1, 1))
			c := r.reserve(2)
			c.Dues, c.Total = []ledgerapi.DueRef{v.Dues[0].Ref}, 51_000
			return r.do(c)
		}, [8]ledgerapi.Code{ledgerapi.DueHeld, ledgerapi.DueHeld, ledgerapi.DueHeld, ledgerapi.DueHeld, ledgerapi.DueHeld,
			ledgerapi.DueHeld, ledgerapi.DuePaid, ledgerapi.DuePaid}},
	} {
		for i := range 8 {
			r := newRig(t, Config{}).open(2)
			r.medical(2026, 1, 2)
			id := r.runTo(ledgerapi.RunState(i + 1))
			if v, _ := r.m.Run(1); v.State != ledgerapi.RunState(i+1) {
				t.Fatalf("the run came to state %d, want %d", v.State, i+1)
			}
			if got := row.try(r, id); got.Code != row.want[i] {
				t.Errorf("%s in state %d = %s, want %s", row.name, i+1, got.Code, row.want[i])
			}
			r.check()
		}
	}
}

// TestSuspenseStates walks what may become of money in suspense.
func TestSuspenseStates(t *testing.T) {
	use := func(r *rig, _ ledgerapi.BreakNo) ledgerapi.Result {
		refs, _ := r.refs(2)
		return r.both(&ledgerapi.SuspenseUse{Suspense: 1, Due: refs[0]})
	}
	give := func(amount si.Fen) func(r *rig, _ ledgerapi.BreakNo) ledgerapi.Result {
		return func(r *rig, _ ledgerapi.BreakNo) ledgerapi.Result {
			return r.both(&ledgerapi.RefundApprove{Suspense: 1, Amount: amount, Reason: "not ours"})
		}
	}
	// whole (1020.00), a half left, nothing left.
	for _, row := range []struct {
		name string
		try  func(r *rig, b ledgerapi.BreakNo) ledgerapi.Result
		want [3]ledgerapi.Code
	}{
		{"used", use, [3]ledgerapi.Code{cOK, cOK, cBad}},
		{"refunded whole", give(102_000), [3]ledgerapi.Code{cOK, cBad, cBad}},
		{"refunded by half", give(51_000), [3]ledgerapi.Code{cOK, cOK, cBad}},
		{"refunded by nothing", give(0), [3]ledgerapi.Code{cMal, cMal, cMal}},
		{"the same break again", func(r *rig, b ledgerapi.BreakNo) ledgerapi.Result {
			return r.do(r.act(&ledgerapi.SuspenseIn{Bank: testBank, Date: firstDay, Fund: si.MedRes, Amount: 1, Break: b}))
		}, [3]ledgerapi.Code{cBad, cBad, cBad}},
		{"of another fund", func(r *rig, _ ledgerapi.BreakNo) ledgerapi.Result {
			r.pension(2026, 30_000, 2)
			refs, _ := r.refs(2)
			return r.both(&ledgerapi.SuspenseUse{Suspense: 1, Due: refs[0]})
		}, [3]ledgerapi.Code{cBad, cBad, cBad}},
	} {
		for i := range 3 {
			r := newRig(t, Config{}).open(4)
			r.medical(2026, 1, 2, 3, 4)
			_, b := r.inSuspense(102_000)
			for n := range i {
				refs, _ := r.refs(si.PersonNo(n + 3))
				r.mustBoth(&ledgerapi.SuspenseUse{Suspense: 1, Due: refs[0]})
			}
			if got := row.try(r, b); got.Code != row.want[i] {
				t.Errorf("%s after %d uses = %s, want %s", row.name, i, got.Code, row.want[i])
			}
			r.check()
		}
	}
}
