package flow

import (
	"github.com/shebao-pay/shebao/si/termapi"
)

// Bounds of the pay flow.
const (
	// MaxDues is how many dues one payment may hold, whatever the hub says.
	MaxDues = 24
	// MaxLines is how many dues the list shows: four years of six insurance
	// types by the month would be 288; older ones come first, so the rest
	// follows after the first have been paid.
	MaxLines = 96
)

// line is one due on the list.
type line struct {
	due    termapi.Due
	chosen bool
}

// lookDues asks for the list; again holds lines to choose once more.
func (m *Machine) lookDues(again []termapi.PayLine) {
	m.s.again, m.s.retry = again, stLookDues
	m.enter(stLookDues)
	m.do(ListDues{m.newOp(), m.s.hub})
}

// duesListed takes the list, after a check of every figure in it.
func (m *Machine) duesListed(d termapi.Dues) {
	lines, ok := takeDues(d.Dues)
	if !ok {
		m.note(NoteOdd, "", "list of dues out of range")
		m.cannotShow()
		return
	}
	m.s.lines, m.s.skip, m.s.most = lines, d.AllowSkip, d.MaxDues
	if m.s.most <= 0 || m.s.most > MaxDues {
		m.s.most = MaxDues
	}
	again, askPIN := m.s.again, m.s.askPIN
	m.s.again, m.s.askPIN = nil, false
	switch {
	case len(lines) == 0:
		m.enter(stPayEmpty)
	case again != nil && m.choose(again):
		if askPIN && m.mayPay() {
			m.confirm()
			return
		}
		m.enter(stPayConfirm)
	default:
		m.preselect()
		m.enter(stPayList)
	}
}

// takeDues keeps at most MaxLines dues; it refuses what no ledger would say.
func takeDues(dues []termapi.Due) ([]line, bool) {
	lines := make([]line, 0, min(len(dues), MaxLines))
	seen := make(map[string]bool, len(dues))
	for _, d := range dues {
		if d.ID == "" || len(d.ID) > MaxPressValue || seen[d.ID] {
			return nil, false
		}
		seen[d.ID] = true
		if _, ok := confirmed([]termapi.PayLine{{Amount: d.Amount, LateFee: d.LateFee}}); !ok {
			return nil, false
		}
		if len(lines) < MaxLines {
			lines = append(lines, line{due: d})
		}
	}
	return lines, true
}

// choose ticks the same dues again. It is false if one of them is gone, cannot
// be paid, or asks for another amount: then the citizen must look again.
func (m *Machine) choose(again []termapi.PayLine) bool {
	for _, a := range again {
		i := m.find(a.ID)
		if i < 0 || m.why(i) != "" || m.s.lines[i].due.Amount != a.Amount || m.s.lines[i].due.LateFee != a.LateFee {
			for j := range m.s.lines {
				m.s.lines[j].chosen = false
			}
			return false
		}
		m.s.lines[i].chosen = true
	}
	return len(again) > 0
}

// preselect ticks the only due that can be paid; with several, the citizen
// chooses.
func (m *Machine) preselect() {
	one := -1
	for i := range m.s.lines {
		if !open(m.s.lines[i].due) {
			continue
		}
		if one >= 0 {
			return
		}
		one = i
	}
	if one >= 0 {
		m.s.lines[one].chosen = true
	}
}

// open tells whether a due can be paid here and now.
func open(d termapi.Due) bool { return d.Payable && d.State == dueOpen }

// dueOpen is the due state in which it can be paid; in the others (HELD,
// REVERSING) somebody pays it or its money is on the way back.
const dueOpen = "OPEN"

func (m *Machine) find(id string) int {
	for i := range m.s.lines {
		if m.s.lines[i].due.ID == id {
			return i
		}
	}
	return -1
}

// why says why a line cannot be ticked; empty means that it can.
func (m *Machine) why(i int) string {
	d := m.s.lines[i].due
	switch {
	case d.State != dueOpen:
		return WhyHeld
	case !d.Payable && d.Why == WhyNoAccount:
		return WhyNoAccount
	case !d.Payable:
		return WhyHeld
	}
	if m.s.lines[i].chosen {
		return ""
	}
	if !m.s.skip {
		for j := 0; j < i; j++ {
			if o := &m.s.lines[j]; o.due.Fund == d.Fund && open(o.due) && !o.chosen {
				return WhyOlderFirst
			}
		}
	}
	if m.chosen() >= m.s.most {
		return WhyMaxDues
	}
	if _, ok := confirmed(append(m.payLines(), payLine(d))); !ok {
		return WhyMaxDues
	}
	return ""
}

func (m *Machine) chosen() int {
	n := 0
	for _, l := range m.s.lines {
		if l.chosen {
			n++
		}
	}
	return n
}

func payLine(d termapi.Due) termapi.PayLine {
	return termapi.PayLine{ID: d.ID, Version: d.Version, Amount: d.Amount, LateFee: d.LateFee}
}

// payLines are the ticked dues as the payment names them.
func (m *Machine) payLines() []termapi.PayLine {
	var out []termapi.PayLine
	for _, l := range m.s.lines {
		if l.chosen {
			out = append(out, payLine(l.due))
		}
	}
	return out
}

// toggle ticks or unticks one due. Unticking takes the newer ones of its fund
// along, which may not be paid before it.
func (m *Machine) toggle(id string) {
	i := m.find(id)
	if i < 0 || m.why(i) != "" {
		m.again()
		return
	}
	l := &m.s.lines[i]
	if l.chosen = !l.chosen; !l.chosen && !m.s.skip {
		for j := i + 1; j < len(m.s.lines); j++ {
			if m.s.lines[j].due.Fund == l.due.Fund {
				m.s.lines[j].chosen = false
			}
		}
	}
	m.touched()
}

// toggleAll ticks what may be ticked, in order, or unticks everything.
func (m *Machine) toggleAll() {
	added := false
	for i := range m.s.lines {
		if l := &m.s.lines[i]; !l.chosen && m.why(i) == "" {
			l.chosen, added = true, true
		}
	}
	if !added {
		for i := range m.s.lines {
			m.s.lines[i].chosen = false
		}
	}
	m.touched()
}
