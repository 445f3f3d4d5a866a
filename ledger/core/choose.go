package core

import (
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
	"github.com/shebao-pay/shebao/si/planted"
)

// choose finds the dues that a payment names and what stands against each. The
// dues that are found are in m.chosen, good or not.
func (m *Machine) choose(refs []ledgerapi.DueRef, on si.BusinessDate, out *ledgerapi.Result) {
	m.chosen = m.chosen[:0]
	for i, ref := range refs {
		for _, other := range refs[:i] {
			if other.ID == ref.ID {
				refuse(out, ledgerapi.Malformed)
			}
		}
		slot := m.dueByID.get(ref.ID)
		if slot == 0 {
			m.refuseGone(ref.ID, out)
			continue
		}
		d := m.dues.at(slot)
		late := m.lateFee(d, on)
		m.chosen = append(m.chosen, chosen{slot, late})
		if planted.On(planted.VersionIgnored) {
			ref.Version = d.version
		}
		now := ledgerapi.DueRef{ID: d.id, Version: d.version, Amount: d.amount, LateFee: late}
		switch {
		case d.state == ledgerapi.DueOpen && d.payer != ledgerapi.PayerPerson:
			refuse(out, ledgerapi.BadTransition)
		case d.state == ledgerapi.DueOpen && now == ref:
		case d.state == ledgerapi.DueOpen:
			if refuse(out, ledgerapi.DueChanged) {
				out.Due, out.Now = d.id, now
			}
		case planted.On(planted.HeldDuePaid) && d.state == ledgerapi.DueStateHeld:
		case planted.On(planted.PaidDuePaid) && d.state == ledgerapi.DueStatePaid:
		default:
			m.refuseState(d, out)
		}
	}
	m.refuseNewer(on, out)
}

// chooseNotice chooses the open dues of a notice.
func (m *Machine) chooseNotice(no si.NoticeNo, on si.BusinessDate, out *ledgerapi.Result) {
	m.chosen = m.chosen[:0]
	slot := m.byNotice.get(no)
	if slot == 0 || m.notices.at(slot).valid < on {
		refuse(out, ledgerapi.NotFound)
		return
	}
	n := m.notices.at(slot)
	for i := range int(n.n) {
		if slot := m.dueByID.get(m.noticeDue(n, i)); slot != 0 {
			if d := m.dues.at(slot); d.state == ledgerapi.DueOpen && d.payer == ledgerapi.PayerPerson {
				m.chosen = append(m.chosen, chosen{slot, m.lateFee(d, on)})
			}
		}
	}
	if len(m.chosen) == 0 {
		for i := range int(n.n) {
			if slot := m.dueByID.get(m.noticeDue(n, i)); slot != 0 {
				m.refuseState(m.dues.at(slot), out)
			} else {
				m.refuseGone(m.noticeDue(n, i), out)
			}
		}
	}
	m.refuseNewer(on, out)
}

func (m *Machine) noticeDue(n *notice, i int) si.DueID {
	if n.n == 1 {
		return si.DueID(n.dues)
	}
	return si.DueID(m.items.get(uint32(n.dues), int(n.n))[i])
}

// refuseState says why a due that is not OPEN cannot be paid.
func (m *Machine) refuseState(d *due, out *ledgerapi.Result) {
	code := ledgerapi.BadTransition // ASSESSED, NOTICED: not payable yet
	switch d.state {
	case ledgerapi.DueStateHeld, ledgerapi.DueReversing:
		code = ledgerapi.DueHeld
	case ledgerapi.DueStatePaid:
		code = ledgerapi.DuePaid
	case ledgerapi.DueReplaced, ledgerapi.DueCancelled, ledgerapi.DueWrittenOff, ledgerapi.DueRefunded:
		code = ledgerapi.DueChanged
	case ledgerapi.DueAssessed, ledgerapi.DueNoticed, ledgerapi.DueOpen:
	}
	if refuse(out, code) {
		out.Due = d.id
		if code == ledgerapi.DueHeld {
			out.HeldBy = m.pays.at(d.pay).id
		}
	}
}

// refuseGone says why a due that is not in memory cannot be paid.
func (m *Machine) refuseGone(id si.DueID, out *ledgerapi.Result) {
	code := ledgerapi.NotFound
	if d, ok := m.oldDue(id); ok {
		code = ledgerapi.DueChanged
		if d.state == ledgerapi.DueStatePaid {
			code = ledgerapi.DuePaid
		}
	}
	if refuse(out, code) {
		out.Due = id
	}
}

// refuseNewer holds the rule that of each person and fund the oldest open due
// goes first. It looks no further than the period of the chosen due: a payer of
// the oldest costs the same however many dues are open.
func (m *Machine) refuseNewer(on si.BusinessDate, out *ledgerapi.Result) {
	if t := m.ratesOn(on); t != nil && t.AllowSkip {
		return
	}
	for i := range m.chosen {
		d := m.dues.at(m.chosen[i].slot)
		for slot := m.persons.at(uint32(d.person)).dues; slot != 0; {
			m.walked++
			o := m.dues.at(slot)
			if o.period.Start() >= d.period.Start() {
				break
			}
			if o.state == ledgerapi.DueOpen && o.fund == d.fund && o.payer == ledgerapi.PayerPerson &&
				!m.isChosen(slot) && refuse(out, ledgerapi.NotOldest) {
				out.Due = o.id
			}
			slot = o.next
		}
	}
}

func (m *Machine) isChosen(slot uint32) bool {
	for i := range m.chosen {
		if m.chosen[i].slot == slot {
			return true
		}
	}
	return false
}

// lateFee is what a due costs more on a date.
func (m *Machine) lateFee(d *due, on si.BusinessDate) si.Fen {
	if d.lateRule == 0 || on <= d.dueDay {
		return 0
	}
	t := m.ratesOn(on)
	if t == nil {
		return 0
	}
	return t.LateRule(d.lateRule).Fee(d.amount, d.dueDay, on)
}
