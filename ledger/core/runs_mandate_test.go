package core

import (
	"testing"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// TestLineUnderMandate holds that a line of a run is covered by its mandate in
// every respect.
func TestLineUnderMandate(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(r *rig, c *ledgerapi.RunLine)
		want   ledgerapi.Code
	}{
		{"covered", func(*rig, *ledgerapi.RunLine) {}, ledgerapi.OK},
		{"no such mandate", func(_ *rig, c *ledgerapi.RunLine) { c.Mandate = 99 }, ledgerapi.NotFound},
		{"another person's", func(r *rig, c *ledgerapi.RunLine) { c.Mandate = r.mandate(2) }, ledgerapi.BadTransition},
		{"suspended", func(r *rig, c *ledgerapi.RunLine) {
			r.must(r.act(&ledgerapi.MandateMove{Mandate: c.Mandate, To: ledgerapi.MandateSuspended}))
		}, ledgerapi.BadTransition},
		{"cancelled", func(r *rig, c *ledgerapi.RunLine) {
			r.must(r.act(&ledgerapi.MandateMove{Mandate: c.Mandate, To: ledgerapi.MandateCancelled}))
		}, ledgerapi.BadTransition},
		{"at its limit", func(r *rig, c *ledgerapi.RunLine) { r.m.mandates.change(c.Mandate).limit = c.Total }, ledgerapi.OK},
		{"one fen above its limit", func(r *rig, c *ledgerapi.RunLine) { r.m.mandates.change(c.Mandate).limit = c.Total - 1 }, ledgerapi.BadTransition},
		{"without a limit", func(r *rig, c *ledgerapi.RunLine) { r.m.mandates.change(c.Mandate).limit = 0 }, ledgerapi.OK},
		{"of another fund", func(r *rig, c *ledgerapi.RunLine) {
			r.m.mandates.change(c.Mandate).funds = ledgerapi.FundsOf(si.Injury)
		}, ledgerapi.BadTransition},
		{"of another bank", func(r *rig, c *ledgerapi.RunLine) { r.m.mandates.change(c.Mandate).bank = testBank + 1 }, ledgerapi.BadTransition},
	} {
		r := newRig(t, Config{}).open(2)
		r.medical(2026, 1, 2)
		r.must(r.act(&ledgerapi.RunOpen{Bank: testBank, Date: firstDay}))
		refs, total := r.refs(1)
		c := &ledgerapi.RunLine{Run: 1, Line: 1, Mandate: r.mandate(1), Dues: refs, Total: total}
		tc.change(r, c)
		if got := r.do(r.act(c)).Code; got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.name, got, tc.want)
		}
	}
}
