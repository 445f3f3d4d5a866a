package main

import (
	"fmt"
	"time"

	"github.com/shebao-pay/shebao/settlement/engine"
	"github.com/shebao-pay/shebao/settlement/operator"
	"github.com/shebao-pay/shebao/si"
)

// agency is what stands on payment notices.
func (p *program) agency() operator.Agency {
	a := operator.Agency{
		Name: p.cfg.Region.Name + "社会保险经办机构", Hotline: p.cfg.Region.Hotline, Area: fmt.Sprintf("%06d", p.cfg.Region.Area), Banks: []string{}, Demo: p.cfg.Demo,
	}
	for _, b := range sorted(p.dir.Profiles()) {
		if b.BankInitiated {
			a.Banks = append(a.Banks, b.Name)
		}
	}
	return a
}

// pending are the payments in doubt, oldest first, and why one needs a person.
func (p *program) pending() []operator.PendingView {
	s := p.now.Load()
	if s == nil || s.hub == nil {
		return nil
	}
	var out []operator.PendingView
	banks := p.dir.Profiles()
	for _, o := range s.hub.Unresolved() {
		v := operator.PendingView{
			ID: o.ID.String(), State: o.State.String(), Amount: int64(o.Amount), STAN: o.STAN, Tries: o.Tries,
			Since: o.Since.In(si.China).Format(time.RFC3339),
		}
		if b, ok := banks[o.Bank]; ok {
			v.Bank = b.Code
		}
		if o.STAN != 0 {
			v.RRN = string(o.RRN[:])
		}
		switch {
		case o.State == engine.Desk:
			v.Why = operator.NeedsCrossDay
		case o.Called:
			v.Why = operator.NeedsUnanswered
		}
		out = append(out, v)
	}
	return out
}

// decided tells the hub what two persons decided, and writes down whose word it
// was.
func (p *program) decided(d operator.Decision) {
	p.log.Warn().Str("payment", d.ID.String()).Str("state", d.State.String()).Uint32("maker", uint32(d.Maker)).
		Uint32("checker", uint32(d.Checker)).Str("reference", d.Reference).Msg("payment ended by two persons")
	if s := p.now.Load(); s != nil && s.hub != nil {
		s.hub.Resolved(d.ID, d.State)
	}
}
