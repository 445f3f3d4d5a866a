package core

import (
	"testing"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// TestPaidForAnother holds that a due which another person's payment paid names
// that payment, in memory, behind the seal, and behind a restart; and that one
// which came back names the payment that paid it last.
func TestPaidForAnother(t *testing.T) {
	store := &storeRows{past: newMemPast(), first: 1}
	r := newRig(t, Config{Past: store.past, sweepFirst: 1}).open(2)
	r.medical(2026, 1, 2)
	one := r.pay(1)
	more, total := r.refs(2)
	one.Dues, one.Total = append(one.Dues, more...), one.Total+total
	r.must(one)
	holds := func(when string, by si.PaymentID) {
		t.Helper()
		dues := r.m.DuesOf(2, 0)
		if len(dues) != 1 || dues[0].State != ledgerapi.DueStatePaid || dues[0].HeldBy != by {
			t.Fatalf("%s: dues of the second person = %+v, want one paid by %s", when, dues, by)
		}
		if rights, _ := r.m.Rights(2, si.YearPeriod(2026), si.YearPeriod(2026)); len(rights) != 1 || rights[0].Payment != by {
			t.Fatalf("%s: rights of the second person = %+v, want the payment %s", when, rights, by)
		}
	}
	leave := func() {
		t.Helper()
		r.cut()
		r.must(ledgerapi.SealDay{ID: r.id(), Date: r.openDate() - 1})
		for range 4 {
			r.do(ledgerapi.Annotate{ID: r.id()}) // a record lets the day leave
		}
		if r.m.payByID.n != 0 {
			t.Fatalf("%d payments are in memory behind the seal", r.m.payByID.n)
		}
	}
	holds("on the day", one.ID)
	leave()
	holds("behind the seal", one.ID)
	store.finish(t, r.m, r.m.Freeze())
	holds("behind the checkpoint", one.ID)
	r.m = store.load(t)
	holds("behind the restart", one.ID)

	// The money goes back, and the person pays at home.
	no := ledgerapi.RefundNo(r.mustBoth(&ledgerapi.RefundApprove{Payment: one.ID, Due: more[0].ID, Amount: more[0].Amount, Reason: "paid at home"}).No)
	r.must(r.act(&ledgerapi.RefundMove{Refund: no, To: ledgerapi.RefundSent}))
	r.must(r.act(&ledgerapi.RefundPaid{StatementLine: r.shown(), Refund: no, Amount: more[0].Amount, Reopen: true}))
	own := r.pay(2)
	r.must(own)
	holds("paid again", own.ID)
	leave()
	holds("paid again and sealed", own.ID)
	if got, _ := r.m.Payment(one.ID); len(got.Dues) != 2 || got.Dues[0].HeldBy != one.ID || got.Dues[1].HeldBy != own.ID {
		t.Errorf("the first payment lists %+v", got.Dues)
	}
	store.finish(t, r.m, r.m.Freeze())
	r.m = store.load(t)
	holds("paid again, behind a restart", own.ID)
	r.check()
}
