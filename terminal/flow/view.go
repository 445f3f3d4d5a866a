package flow

import (
	"time"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/termapi"
)

// actions gives what may be pressed now, and what is shown grey.
func (m *Machine) actions() (may, grey []Action) {
	may = append(may, ActLanguage, ActLarge)
	for _, a := range table[m.state].actions {
		switch m.offer(a) {
		case offered:
			may = append(may, a)
		case greyed:
			grey = append(grey, a)
		case hidden:
		}
	}
	return may, grey
}

// offer says how an action that the state declares stands in this session.
type offer uint8

const (
	offered offer = iota
	greyed
	hidden
)

func when(ok bool, otherwise offer) offer {
	if ok {
		return offered
	}
	return otherwise
}

func (m *Machine) offer(a Action) offer {
	switch a {
	case ActPay, ActConfirm:
		return when(m.mayPay(), greyed)
	case ActNext:
		switch m.state {
		case stPayList:
			return when(m.chosen() > 0, greyed)
		case stPaid:
			return when(m.s.chosen != nil, hidden)
		}
	case ActRetry:
		if m.state == stNotCharged {
			return when(m.mayRetry(), hidden)
		}
	case ActBack:
		if m.state == stNotCharged {
			return when(m.mayGoOn(), hidden)
		}
	case ActMenu:
		if m.state == stNotCharged {
			return when(m.mayGoOn(), hidden)
		}
		return when(m.s.overview != nil, hidden)
	case ActPrint:
		return when(!m.noPaper, greyed)
	case ActShowQR:
		return when(m.s.chosen != nil && !m.s.slip, hidden)
	case ActReprint:
		return when(len(m.s.receipts) > 0, hidden)
	}
	return offered
}

// mayRetry tells whether the same payment can be tried again at once.
func (m *Machine) mayRetry() bool {
	switch m.s.pay.intent.Reason {
	case termapi.ReasonPINWrong, termapi.ReasonBankAway, termapi.ReasonSystem, ReasonCancelled, ReasonPINTime:
		return m.mayPay()
	}
	return false
}

// mayGoOn tells whether the card can be used for anything else after this
// ending.
func (m *Machine) mayGoOn() bool {
	switch m.s.pay.intent.Reason {
	case termapi.ReasonPINTries, termapi.ReasonCard, ReasonPad:
		return false
	}
	return true
}

// screen builds what the page shows: masked values of this state and session,
// and nothing else.
func (m *Machine) screen() Screen {
	d := &table[m.state]
	s := Screen{ID: d.screen, Step: m.step, Lang: m.lang, Large: m.large, Demo: m.conf.Demo,
		Region: m.conf.RegionName, Hotline: m.conf.Hotline}
	s.Actions, s.Disabled = m.actions()
	if d.session {
		m.viewCard(&s)
	}
	switch m.state {
	case stOut:
		if g, shut := m.gate(); shut {
			s.Problem = g.String()
		}
	case stCardProblem, stTakeCard:
		s.Problem = m.s.problem
	case stPIN:
		s.Keys = m.s.keys
	case stPINWrong:
		s.TriesLeft = m.s.tries
	case stUnresolved:
		m.viewBefore(&s)
	case stMenu:
		s.Unpaid, s.UnpaidSum = m.s.overview.Unpaid, si.Fen(m.s.overview.UnpaidFen)
	case stPayList, stPayConfirm:
		m.viewLines(&s)
	case stPayPIN:
		s.Keys, s.Total = m.s.keys, m.s.pay.intent.Total
	case stCreating, stPayChip, stSending, stPaying, stMarking, stPayCard, stMarkWord, stReporting:
		s.WorkStep, s.Total = workStep(m.state), m.s.pay.intent.Total
	case stPaid, stNotCharged, stPending:
		m.viewEnding(&s)
	case stReceiptChoice, stReceiptQR, stPrinting, stPrinted, stPrinterFault:
		m.viewReceipt(&s)
	case stReceipts:
		for _, r := range m.s.receipts {
			s.Receipts = append(s.Receipts, receiptView(&r))
		}
	case stHelp, stWarning:
		s.Over = table[m.beneath].screen
	}
	if m.state == stWarning || m.state == stTakeCard {
		s.Seconds = seconds(m.deadline.Sub(m.now))
	}
	s.NoPaper = m.noPaper
	return s
}

// seconds rounds up, so that a countdown ends with 1 and not with 0.
func seconds(d time.Duration) int {
	return max(0, int((d+time.Second-1)/time.Second))
}

// workStep is the line that the working page marks.
func workStep(s state) int {
	switch s {
	case stCreating, stPayChip, stSending:
		return 1
	case stPaying:
		return 2
	case stMarking, stPayCard, stMarkWord, stReporting:
		return 3
	}
	return 0
}

// viewCard shows whose card it is. The name on the screen is the card's until
// the hub has told its own.
func (m *Machine) viewCard(s *Screen) {
	c := &m.s.card
	s.Bank, s.CardTail = m.bankName(c.Bank), c.PANTail
	for _, b := range m.conf.Banks {
		if b.Code == c.Bank {
			s.BankPhone = b.Phone
		}
	}
	if o := m.s.overview; o != nil {
		s.Name, s.IDTail, s.Area = o.Name, o.IDTail, o.Area
	} else if m.s.hub != "" {
		s.Name, s.IDTail = c.MaskedName, c.IDTail
	}
}

// bankName is a bank's name in the screen's language.
func (m *Machine) bankName(code string) string {
	for _, b := range m.conf.Banks {
		if b.Code != code {
			continue
		}
		if m.lang == langEn && b.NameE != "" {
			return b.NameE
		}
		return b.Name
	}
	return ""
}

func (m *Machine) viewBefore(s *Screen) {
	p := m.s.overview.Unresolved[m.s.before]
	s.Problem, s.Reason, s.Incident, s.Payment = p.State, "", p.Incident, p.ID
	if p.Reason != "" {
		s.Reason = knownReason(p.Reason)
	}
	if p.Total > 0 && si.Fen(p.Total) <= si.MaxFen {
		s.Total = si.Fen(p.Total)
	}
	s.Lines = dueLines(p.Dues)
	if p.Receipt != nil {
		v := receiptView(p.Receipt)
		s.Receipt = &v
	}
}

func (m *Machine) viewLines(s *Screen) {
	for i, l := range m.s.lines {
		if m.state == stPayConfirm && !l.chosen {
			continue
		}
		why := m.why(i)
		v := dueLine(l.due)
		v.Chosen, v.Payable, v.Why, v.Disabled = l.chosen, open(l.due), why, why != ""
		s.Lines = append(s.Lines, v)
	}
	s.Total, _ = confirmed(m.payLines())
	s.Chosen = m.chosen()
}

func (m *Machine) viewEnding(s *Screen) {
	p := m.s.pay
	s.Total, s.Incident = p.intent.Total, p.intent.Incident
	if p.intent.Reason != "" {
		s.Reason = knownReason(p.intent.Reason)
	} else if m.state == stNotCharged {
		s.Reason = termapi.ReasonOther
	}
	s.Payment = p.intent.ID.String()
	s.Lines = dueLines(p.dues)
	if m.state == stPaid && p.told.Receipt != nil {
		v := receiptView(p.told.Receipt)
		s.Receipt = &v
	}
}

func (m *Machine) viewReceipt(s *Screen) {
	s.Printer = m.s.printer
	if m.state == stPrinting {
		s.Printer = ""
	}
	if m.s.slip && m.s.pay != nil {
		s.Payment, s.Total = m.s.pay.intent.ID.String(), m.s.pay.intent.Total
		return
	}
	if r := m.s.chosen; r != nil {
		v := receiptView(r)
		s.Receipt, s.Total = &v, si.Fen(r.Total)
		if m.state == stReceiptQR {
			s.QR = m.set.QR(*r)
		}
	}
}

func dueLine(d termapi.Due) Line {
	return Line{ID: d.ID, Fund: d.Fund, Period: d.Period, Kind: d.Kind,
		Amount: si.Fen(d.Amount), LateFee: si.Fen(d.LateFee)}
}

func dueLines(dues []termapi.Due) []Line {
	var out []Line
	for _, d := range dues[:min(len(dues), MaxLines)] {
		out = append(out, dueLine(d))
	}
	return out
}

func receiptView(r *termapi.Receipt) ReceiptView {
	return ReceiptView{No: r.No, Time: r.Time, Total: si.Fen(r.Total), Lines: dueLines(r.Dues),
		CardTail: r.CardTail, Bank: r.Bank, Channel: r.Channel}
}
