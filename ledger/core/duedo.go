package core

import (
	"errors"

	"github.com/shebao-pay/shebao/ledger/assess"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// unpaid tells whether no money has touched a due and it still stands.
func unpaid(d *due) bool {
	return d.state == ledgerapi.DueAssessed || d.state == ledgerapi.DueNoticed || d.state == ledgerapi.DueOpen
}

// underWay tells whether a payment of the due is open.
func underWay(d *due) bool {
	return d.state == ledgerapi.DueStateHeld || d.state == ledgerapi.DueReversing
}

// inArrears tells whether an open due's day has passed (欠费).
func (m *Machine) inArrears(d *due) bool {
	return d.state == ledgerapi.DueOpen && m.today() > d.dueDay
}

// setDueState moves an unpaid due; who saw it must look again.
func (m *Machine) setDueState(slot uint32, s ledgerapi.DueState) {
	d := m.dues.at(slot)
	m.touchDue(d.id)
	d.state = s
	d.version++
}

// endDue makes an unpaid due one that can never be paid; it leaves memory with
// the next seal.
func (m *Machine) endDue(slot uint32, s ledgerapi.DueState) {
	m.setDueState(slot, s)
	m.deadDues = append(m.deadDues, slot)
}

func (m *Machine) applyOpen(c *ledgerapi.Open, out *ledgerapi.Result) {
	if !c.Fund.Valid() || c.First == 0 || c.Last < c.First || c.Last-c.First >= ledgerapi.MaxAssess {
		refuse(out, ledgerapi.Malformed)
		return
	}
	if m.personOf(c.First) == nil {
		refuse(out, ledgerapi.NotFound)
		return
	}
	for no := c.First; no <= min(c.Last, si.PersonNo(m.persons.used)); no++ {
		for slot := m.personOf(no).dues; slot != 0; slot = m.dues.at(slot).next {
			d := m.dues.at(slot)
			if d.fund == c.Fund && d.period == c.Period && (d.state == ledgerapi.DueAssessed || d.state == ledgerapi.DueNoticed) {
				m.setDueState(slot, ledgerapi.DueOpen)
				out.Count++
				out.Total += d.amount
			}
		}
	}
	out.Code = ledgerapi.OK
}

// nameDue finds the due that a clerk names, in memory (slot not 0) or among
// those that left it, and refuses the act unless it is as the clerk saw it.
func (m *Machine) nameDue(c *ledgerapi.DueAct, out *ledgerapi.Result) (d due, slot uint32) {
	if c.Reason == "" {
		refuse(out, ledgerapi.Malformed)
	}
	if slot = m.dueByID.get(c.Due); slot != 0 {
		d = *m.dues.at(slot)
	} else if d, _ = m.oldDue(c.Due); d.id == 0 {
		refuse(out, ledgerapi.NotFound)
		return d, 0
	}
	if d.version != c.Version && refuse(out, ledgerapi.DueChanged) {
		out.Due = d.id
		out.Now = ledgerapi.DueRef{ID: d.id, Version: d.version, Amount: d.amount, LateFee: m.lateNow(&d)}
	}
	return d, slot
}

// lateNow is the late fee of today on an open due; any other has none that runs.
func (m *Machine) lateNow(d *due) si.Fen {
	if d.state != ledgerapi.DueOpen {
		return 0
	}
	return m.lateFee(d, m.today())
}

// unpaidDue is nameDue for acts that only an unpaid due allows.
func (m *Machine) unpaidDue(c *ledgerapi.DueAct, out *ledgerapi.Result) (d due, slot uint32) {
	d, slot = m.nameDue(c, out)
	switch {
	case d.id == 0:
	case slot == 0:
		m.refuseGone(d.id, out)
	case !unpaid(&d):
		m.refuseState(m.dues.at(slot), out)
	}
	return d, slot
}

func (m *Machine) applyCancel(a *act, c *ledgerapi.Cancel, out *ledgerapi.Result) {
	d, slot := m.unpaidDue(&c.DueAct, out)
	if m.inArrears(&d) {
		a.second(out)
	}
	if out.Code != 0 {
		return
	}
	m.endDue(slot, ledgerapi.DueCancelled)
	*out = ledgerapi.Result{Code: ledgerapi.OK, Due: d.id, Person: d.person, Total: d.amount}
}

func (m *Machine) applyWriteOff(a *act, c *ledgerapi.WriteOff, out *ledgerapi.Result) {
	d, slot := m.unpaidDue(&c.DueAct, out)
	if slot != 0 && unpaid(&d) && !m.inArrears(&d) {
		refuse(out, ledgerapi.BadTransition)
	}
	if a.second(out); out.Code != 0 {
		return
	}
	m.endDue(slot, ledgerapi.DueWrittenOff)
	*out = ledgerapi.Result{Code: ledgerapi.OK, Due: d.id, Person: d.person, Total: d.amount}
}

func (m *Machine) applySetLateRule(a *act, c *ledgerapi.SetLateRule, out *ledgerapi.Result) {
	d, slot := m.unpaidDue(&c.DueAct, out)
	if t := m.ratesOn(m.today()); c.Rule != 0 && (t == nil || t.LateRule(c.Rule).ID == 0) {
		refuse(out, ledgerapi.NotFound)
	}
	if a.second(out); out.Code != 0 {
		return
	}
	m.setDueState(slot, d.state)
	m.dues.at(slot).lateRule = c.Rule
	*out = ledgerapi.Result{Code: ledgerapi.OK, Due: d.id, Person: d.person, Total: d.amount}
}

// applyReplace computes what a payer owes for the period of a due anew, as an
// Assess with that base would: unpaid figures give way, what is held or paid
// stays and the rest becomes a supplement. Making arrears smaller is for two
// persons; making what is paid smaller is a refund and not done here.
func (m *Machine) applyReplace(a *act, c *ledgerapi.Replace, out *ledgerapi.Result) {
	d, slot := m.nameDue(&c.DueAct, out)
	if d.id == 0 {
		return
	}
	touched := unpaid(&d) || underWay(&d) || d.state == ledgerapi.DueStatePaid
	if !touched && slot != 0 {
		m.refuseState(m.dues.at(slot), out)
	} else if !touched {
		m.refuseGone(d.id, out)
	}
	if d.kind == ledgerapi.DueBackPay {
		refuse(out, ledgerapi.BadTransition) // cancel it and make another: its interest is of its day
	}
	t := m.ratesOf(c.Rates)
	if t == nil {
		refuse(out, ledgerapi.NotFound)
		return
	}
	ask := ledgerapi.Assess{Fund: d.fund, PType: m.ptypeIn(d.person, d.fund), Period: d.period, Kind: d.kind, Version: c.Rates,
		DueDay: max(d.dueDay, m.today()), Later: unpaid(&d) && d.state != ledgerapi.DueOpen}
	if unpaid(&d) {
		ask.DueDay = d.dueDay
	}
	var to *levy
	all := levies(t, &ask, c.Base, nil, out)
	for i := range all {
		if all[i].payer == d.payer {
			to = &all[i]
		}
	}
	if to == nil && out.Code == 0 {
		refuse(out, ledgerapi.NotFound)
	}
	if out.Code != 0 {
		return
	}
	fixed, open := m.owed(d.person, d.fund, d.period, d.payer)
	switch {
	case to.share.Total < fixed.Total:
		refuse(out, ledgerapi.BadTransition)
	case m.inArrears(&d) && to.share.Total < fixed.Total+open.Total:
		a.second(out)
	}
	if out.Code != 0 {
		return
	}
	*out = ledgerapi.Result{Code: ledgerapi.OK, Due: d.id, Person: d.person}
	if m.levy(&ask, d.person, *to) != 0 {
		out.Due = si.DueID(m.lastDue)
	}
	if slot := m.dueByID.get(out.Due); slot != 0 {
		out.Total = m.dues.at(slot).amount
	}
}

// ptypeIn is the person type that a person is assessed as in a fund: that of the
// cover, or where the ledger knows of none, that of the register.
func (m *Machine) ptypeIn(who si.PersonNo, fund si.Fund) si.PType {
	if k := m.coverOf(who, fund); k != nil {
		return k.ptype
	}
	return m.personOf(who).ptype
}

// owed is what stands for a person, fund, period and payer: fixed by money, and
// still open to change. What left memory paid counts as fixed.
func (m *Machine) owed(who si.PersonNo, fund si.Fund, period si.Period, payer ledgerapi.Payer) (fixed, open assess.Share) {
	add := func(to *assess.Share, d *due) {
		to.Total += d.amount
		to.Individual += d.individual
	}
	same := func(d *due) bool { return d.fund == fund && d.period == period && d.payer == payer }
	for slot := m.personOf(who).dues; slot != 0; slot = m.dues.at(slot).next {
		switch d := m.dues.at(slot); {
		case !same(d) || d.dead() && d.state != ledgerapi.DueRefunded:
		case unpaid(d):
			add(&open, d)
		default:
			add(&fixed, d)
		}
	}
	if period.Start() > m.personOf(who).past {
		return fixed, open // nothing of it can have left memory
	}
	m.eachOldDue(who, func(d *due) {
		if same(d) && (d.state == ledgerapi.DueStatePaid || d.state == ledgerapi.DueRefunded) {
			add(&fixed, d)
		}
	})
	return fixed, open
}

// applyBackPay makes the due of a missed period: the person's share, and interest
// until today, which goes to the pooled part.
func (m *Machine) applyBackPay(c *ledgerapi.BackPay, out *ledgerapi.Result) {
	if !c.Fund.Valid() || !c.PType.Valid() || c.DueDay < m.today() || int(c.Period.Start()) > m.thisMonth() {
		refuse(out, ledgerapi.Malformed)
		return
	}
	t, rules := m.ratesOf(c.Rates), m.coverRules(m.today())
	if m.personOf(c.Person) == nil || t == nil || rules == nil {
		refuse(out, ledgerapi.NotFound)
		return
	}
	if k := m.coverOf(c.Person, c.Fund); !coverState(k).Live() && refuse(out, ledgerapi.BadTransition) {
		out.Reasons = uint32(ledgerapi.ReasonFrom(coverState(k)))
	}
	if m.thisMonth()-int(c.Period.Start()) > rules.BackPay(c.Fund, c.PType) && refuse(out, ledgerapi.BadTransition) {
		out.Reasons = uint32(ledgerapi.ReasonNoBackPay)
	}
	m.refuseStanding(c.Person, c.Fund, c.Period, out)
	b, err := t.BackPay(c.Fund, c.PType, ledgerapi.PayerPerson, c.Period, c.Base, c.DueDay, m.today())
	total := b.Share.Total + b.Interest
	switch {
	case errors.Is(err, assess.ErrBase) || total > si.MaxFen:
		refuse(out, ledgerapi.Malformed)
	case err != nil || b.Share.Total == 0:
		refuse(out, ledgerapi.NotFound)
	}
	if out.Code != 0 {
		return
	}
	id := m.newDue(due{amount: total, individual: b.Share.Individual, person: c.Person, rates: c.Rates, dueDay: c.DueDay,
		period: c.Period, fund: c.Fund, kind: ledgerapi.DueBackPay, state: ledgerapi.DueOpen, payer: ledgerapi.PayerPerson,
		lateRule: b.LateRule})
	*out = ledgerapi.Result{Code: ledgerapi.OK, Due: id, Person: c.Person, Total: total}
}

// refuseStanding refuses to make a due of a person's for a period that has one
// already, unless it was written off, cancelled or replaced.
func (m *Machine) refuseStanding(who si.PersonNo, fund si.Fund, period si.Period, out *ledgerapi.Result) {
	judge := func(d *due) {
		if d.fund != fund || d.period != period || d.payer != ledgerapi.PayerPerson {
			return
		}
		code := ledgerapi.BadTransition
		switch d.state {
		case ledgerapi.DueWrittenOff, ledgerapi.DueCancelled, ledgerapi.DueReplaced:
			return
		case ledgerapi.DueStatePaid:
			code = ledgerapi.DuePaid
		case ledgerapi.DueStateHeld, ledgerapi.DueReversing:
			code = ledgerapi.DueHeld
		case ledgerapi.DueAssessed, ledgerapi.DueNoticed, ledgerapi.DueOpen, ledgerapi.DueRefunded:
		}
		m.refuseFirst(code, d, out)
	}
	for slot := m.personOf(who).dues; slot != 0; slot = m.dues.at(slot).next {
		judge(m.dues.at(slot))
	}
	m.eachOldDue(who, judge)
}

// newDue gives a due the next number and puts it into memory.
func (m *Machine) newDue(d due) si.DueID {
	d.id, d.version = si.DueID(m.lastDue+1), 1
	m.touchDue(d.id)
	m.touchHead(d.person)
	m.lastDue++
	slot, to := m.dues.take()
	p := m.personOf(d.person)
	d.prev, p.lastDue = p.lastDue, d.id
	*to = d
	m.linkDue(to, slot)
	m.dueByID.put(d.id, slot)
	return d.id
}

// undeclared is what an employer that did not declare owes for a person and
// month: last month's amount and a tenth. False if there is no last month.
func (m *Machine) undeclared(t *assess.Table, c *ledgerapi.Assess, who si.PersonNo) (levy, bool) {
	fixed, open := m.owed(who, c.Fund, c.Period-1, ledgerapi.PayerEmployer)
	l := levy{payer: ledgerapi.PayerEmployer, share: assess.Share{Total: assess.Undeclared(fixed.Total + open.Total)}}
	if r, ok := t.Row(c.Fund, c.PType, ledgerapi.PayerEmployer, c.Period); ok {
		l.lateRule = r.LateRule
	}
	return l, l.share.Total > 0 && l.share.Total <= si.MaxFen
}
