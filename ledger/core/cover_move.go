package core

import (
	"slices"

	"github.com/shebao-pay/shebao/ledger/enrol"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// meet finds the cover that an act is about and the state that the act takes it
// to, or refuses the act.
func (m *Machine) meet(by ledgerapi.Type, c *ledgerapi.CoverAct, out *ledgerapi.Result) (k *cover, to ledgerapi.CoverState) {
	if !c.Fund.Valid() || m.tooFarAhead(c.From) {
		refuse(out, ledgerapi.Malformed)
		return nil, 0
	}
	if m.personOf(c.Person) == nil {
		refuse(out, ledgerapi.NotFound)
		return nil, 0
	}
	k = m.coverOf(c.Person, c.Fund)
	to, ok := enrol.Cover(coverState(k), by)
	switch {
	case !ok:
		refuse(out, ledgerapi.BadTransition)
		out.Reasons = uint32(ledgerapi.ReasonFrom(coverState(k)))
		return nil, 0
	case c.From.Start() < k.from.Start():
		refuse(out, ledgerapi.Malformed)
		return nil, 0
	}
	return k, to
}

// move takes a spell to another state and writes that into its history. base and
// rates are those in force afterwards.
func (m *Machine) move(a *act, by ledgerapi.Type, k *cover, to ledgerapi.CoverState, from si.Period, base si.Fen, rates uint32) *cover {
	k = m.covers.change(k.key)
	if k.changes < maxChanges {
		k.changes++
		m.coverChanges.add(coverChange{key: coverChangeKey{k.key, k.changes}, act: by, on: m.today(), from: from, base: k.base,
			rates: k.rates, maker: a.maker})
	}
	k.state, k.base, k.rates = to, base, rates
	switch {
	case to == ledgerapi.CoverActive:
		k.to = 0
	case by != ledgerapi.TypeChangeGrade && (k.to == 0 || from.Start() < k.to.Start()):
		k.to = from // what ends while it is paused was covered until the pause
	}
	return k
}

// maxChanges is what the number of a change can say; later ones are in the log
// alone.
const maxChanges = 1<<16 - 1

func (m *Machine) applySuspend(a *act, c *ledgerapi.Suspend, out *ledgerapi.Result) {
	k, to := m.meet(c.Type(), &c.CoverAct, out)
	if k == nil {
		return
	}
	from := func(d *due) bool { return d.fund == c.Fund && d.period.Start() >= c.From.Start() }
	if m.refuseHeld(c.Person, from, out); out.Code != 0 {
		return
	}
	m.move(a, c.Type(), k, to, c.From, k.base, k.rates)
	*out = ledgerapi.Result{Code: ledgerapi.OK, Person: c.Person, Count: m.cancelDues(c.Person, func(d *due) bool {
		return from(d) && d.state != ledgerapi.DueOpen
	})}
}

// refuseHeld refuses an act while one of a person's dues that it touches is
// being paid or taken back.
func (m *Machine) refuseHeld(who si.PersonNo, touches func(*due) bool, out *ledgerapi.Result) {
	for slot := m.personOf(who).dues; slot != 0; slot = m.dues.at(slot).next {
		if d := m.dues.at(slot); underWay(d) && touches(d) {
			m.refuseState(d, out)
		}
	}
}

// cancelDues cancels the unpaid dues of a person that pick chooses.
func (m *Machine) cancelDues(who si.PersonNo, pick func(*due) bool) (n uint32) {
	for slot := m.personOf(who).dues; slot != 0; slot = m.dues.at(slot).next {
		if d := m.dues.at(slot); unpaid(d) && pick(d) {
			m.endDue(slot, ledgerapi.DueCancelled)
			n++
		}
	}
	return n
}

func (m *Machine) applyResume(a *act, c *ledgerapi.Resume, out *ledgerapi.Result) {
	k, to := m.meet(c.Type(), &c.CoverAct, out)
	if k == nil {
		return
	}
	if c.From.Start() < k.to.Start() {
		refuse(out, ledgerapi.Malformed)
	}
	t := m.coverRules(m.today())
	if t == nil {
		refuse(out, ledgerapi.NotFound)
		return
	}
	var no ledgerapi.Reasons
	if m.dead(c.Person) {
		no |= ledgerapi.ReasonDeceased
	}
	for f := si.PensionEmp; f.Valid(); f++ {
		if coverState(m.coverOf(c.Person, f)) == ledgerapi.CoverActive && t.Excludes(f, c.Fund) {
			no |= ledgerapi.ReasonExcluded
		}
	}
	if no != 0 && refuse(out, ledgerapi.BadTransition) {
		out.Reasons = uint32(no)
	}
	if out.Code != 0 {
		return
	}
	gap := int(c.From.Start()) - int(k.to.Start())
	m.move(a, c.Type(), k, to, c.From, k.base, k.rates)
	*out = ledgerapi.Result{Code: ledgerapi.OK, Person: c.Person, Count: uint32(min(gap, t.BackPay(c.Fund, k.ptype)))}
}

// applyChangeGrade replaces the unpaid dues of a person from a period on that
// are not arrears yet. Arrears stay as they were assessed: making them smaller is
// for two persons (Replace).
func (m *Machine) applyChangeGrade(a *act, c *ledgerapi.ChangeGrade, out *ledgerapi.Result) {
	k, to := m.meet(c.Type(), &c.CoverAct, out)
	if k == nil {
		return
	}
	m.checkBase(c.Fund, k.ptype, c.From, c.Base, c.Rates, out)
	from := func(d *due) bool {
		return d.fund == c.Fund && d.period.Start() >= c.From.Start() && d.kind != ledgerapi.DueBackPay
	}
	m.refuseHeld(c.Person, from, out)
	if m.refusePaid(c.Person, from, out); out.Code != 0 {
		return
	}
	slots := m.newFigures(c.Person, from)
	ask := ledgerapi.Assess{Fund: c.Fund, PType: k.ptype, Version: c.Rates}
	t := m.ratesOf(c.Rates)
	for _, slot := range slots {
		ask.Period = m.dues.at(slot).period
		levies(t, &ask, c.Base, nil, out)
	}
	if out.Code != 0 {
		return
	}
	n := uint32(0)
	for _, slot := range slots {
		d := *m.dues.at(slot)
		ask.Period, ask.Kind, ask.DueDay, ask.Later = d.period, d.kind, d.dueDay, d.state != ledgerapi.DueOpen
		for _, l := range levies(t, &ask, c.Base, nil, out) {
			if l.payer == d.payer {
				m.levy(&ask, c.Person, l)
			}
		}
		if m.dues.at(slot).state == ledgerapi.DueReplaced {
			n++
		}
	}
	m.move(a, c.Type(), k, to, c.From, c.Base, c.Rates)
	*out = ledgerapi.Result{Code: ledgerapi.OK, Person: c.Person, Count: n}
}

// newFigures are the dues among those that touches chooses which a change of
// grade computes anew, oldest first: unpaid, and no part of their period and
// payer is arrears.
func (m *Machine) newFigures(who si.PersonNo, touches func(*due) bool) []uint32 {
	var slots, late []uint32
	for slot := m.personOf(who).dues; slot != 0; slot = m.dues.at(slot).next {
		switch d := m.dues.at(slot); {
		case !unpaid(d) || !touches(d):
		case m.inArrears(d):
			late = append(late, slot)
		default:
			slots = append(slots, slot)
		}
	}
	return slices.DeleteFunc(slots, func(slot uint32) bool {
		d := m.dues.at(slot)
		return slices.ContainsFunc(late, func(other uint32) bool {
			o := m.dues.at(other)
			return o.period == d.period && o.payer == d.payer
		})
	})
}

// refusePaid refuses an act that would change what is paid already, also on a
// sealed date.
func (m *Machine) refusePaid(who si.PersonNo, touches func(*due) bool, out *ledgerapi.Result) {
	paid := func(d *due) {
		if d.state == ledgerapi.DueStatePaid && touches(d) {
			m.refuseFirst(ledgerapi.DuePaid, d, out)
		}
	}
	for slot := m.personOf(who).dues; slot != 0; slot = m.dues.at(slot).next {
		paid(m.dues.at(slot))
	}
	m.eachOldDue(who, paid)
}

// refuseFirst refuses for a due, and of several with one code names the one with
// the least number, wherever the others stand.
func (m *Machine) refuseFirst(code ledgerapi.Code, d *due, out *ledgerapi.Result) {
	if refuse(out, code) || (out.Code == code && d.id < out.Due) {
		out.Due = d.id
		out.HeldBy = si.PaymentID{}
		if code == ledgerapi.DueHeld {
			out.HeldBy = m.pays.at(d.pay).id
		}
	}
}

func (m *Machine) applyTransferOut(a *act, c *ledgerapi.TransferOut, out *ledgerapi.Result) {
	if c.To == 0 || c.To > maxAreaCode || c.To == m.cfg.Area {
		refuse(out, ledgerapi.Malformed)
	}
	k, to := m.meet(c.Type(), &c.CoverAct, out)
	if k == nil {
		return
	}
	ours := func(d *due) bool { return d.fund == c.Fund }
	if m.refuseHeld(c.Person, ours, out); out.Code != 0 {
		return
	}
	m.cancelDues(c.Person, func(d *due) bool {
		return ours(d) && d.period.Start() >= c.From.Start() && d.state != ledgerapi.DueOpen
	})
	k = m.move(a, c.Type(), k, to, c.From, k.base, k.rates)
	x := certificate{no: ledgerapi.CertificateNo(m.certificates.used) + 1, cover: k.key, to: c.To, start: k.from, end: k.to, issued: m.today()}
	x.months, x.paid = m.paidIn(c.Person, c.Fund, k.from, c.From)
	for slot := m.personOf(c.Person).dues; slot != 0; slot = m.dues.at(slot).next {
		if d := m.dues.at(slot); ours(d) && d.state == ledgerapi.DueOpen {
			x.count++
			x.arrears += d.amount
		}
	}
	m.certificates.add(x)
	*out = ledgerapi.Result{Code: ledgerapi.OK, Person: c.Person, No: uint64(x.no), Count: x.count, Total: x.arrears}
}

// paidIn counts the months paid in a fund in the periods from a first one to
// before a last one, and what was paid for them by all payers.
func (m *Machine) paidIn(who si.PersonNo, fund si.Fund, first, end si.Period) (months uint16, paid si.Fen) {
	var periods []si.Period
	add := func(d *due) {
		if d.state == ledgerapi.DueStatePaid && d.fund == fund && d.period.Start() >= first.Start() && d.period.Start() < end.Start() {
			paid += d.amount
			periods = append(periods, d.period)
		}
	}
	for slot := m.personOf(who).dues; slot != 0; slot = m.dues.at(slot).next {
		add(m.dues.at(slot))
	}
	m.eachOldDue(who, add)
	slices.Sort(periods)
	for _, p := range slices.Compact(periods) {
		if months++; p.IsYear() {
			months += 11
		}
	}
	return months, paid
}

func (m *Machine) applyTerminate(a *act, c *ledgerapi.Terminate, out *ledgerapi.Result) {
	if c.Reason < ledgerapi.TerminateDeath || c.Reason > ledgerapi.TerminateMerged {
		refuse(out, ledgerapi.Malformed)
		return
	}
	if c.Reason == ledgerapi.TerminateDeath {
		m.applyDeath(a, c, out)
		return
	}
	k, to := m.meet(c.Type(), &c.CoverAct, out)
	if k == nil {
		return
	}
	from := func(d *due) bool { return d.fund == c.Fund && d.period.Start() >= c.From.Start() }
	if m.refuseHeld(c.Person, from, out); out.Code != 0 {
		return
	}
	m.move(a, c.Type(), k, to, c.From, k.base, k.rates).reason = c.Reason
	*out = ledgerapi.Result{Code: ledgerapi.OK, Person: c.Person, Count: m.cancelDues(c.Person, func(d *due) bool {
		return from(d) && d.state != ledgerapi.DueOpen
	})}
}

// applyDeath ends all cover and every mandate of a person who died in the month
// of From, and cancels what would be owed for later ones, open dues too.
func (m *Machine) applyDeath(a *act, c *ledgerapi.Terminate, out *ledgerapi.Result) {
	if c.Fund != 0 || c.From.IsYear() || int(c.From.Start()) > m.thisMonth() {
		refuse(out, ledgerapi.Malformed)
		return
	}
	p := m.personOf(c.Person)
	if p == nil {
		refuse(out, ledgerapi.NotFound)
		return
	}
	if m.dead(c.Person) && refuse(out, ledgerapi.BadTransition) {
		out.Reasons = uint32(ledgerapi.ReasonDeceased)
	}
	if p.version == 1<<16-1 {
		refuse(out, ledgerapi.SeqExhausted)
	}
	after := func(d *due) bool { return d.period.Start() > c.From.Start() }
	if m.refuseHeld(c.Person, after, out); out.Code != 0 {
		return
	}
	m.touch(classPerson, uint32(c.Person))
	p.flags |= ledgerapi.FlagDeceased
	p.version++
	for f := si.PensionEmp; f.Valid(); f++ {
		if k := m.coverOf(c.Person, f); coverState(k).Live() {
			m.move(a, c.Type(), k, ledgerapi.CoverTerminated, max(c.From+1, si.Period(k.from.Start())), k.base, k.rates).reason = c.Reason
		}
	}
	m.moveMandates(c.Person, ledgerapi.MandateCancelled, func(*mandate) bool { return true })
	*out = ledgerapi.Result{Code: ledgerapi.OK, Person: c.Person, Count: m.cancelDues(c.Person, after)}
}
