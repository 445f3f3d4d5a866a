package flow

import (
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/termapi"
)

// MaxReceipts is how many receipts the list takes from the hub: two years of
// monthly payments, with room for several insurance types. The page turns the
// list by itself.
const MaxReceipts = 240

func (m *Machine) lookReceipts() {
	m.s.retry = stLookReceipts
	m.enter(stLookReceipts)
	m.do(ListReceipts{m.newOp(), m.s.hub})
}

// receiptsListed takes the list of posted payments.
func (m *Machine) receiptsListed(r termapi.Receipts) {
	list := r.Receipts
	if len(list) > MaxReceipts {
		list = list[:MaxReceipts]
	}
	for i := range list {
		if !soundReceipt(&list[i]) {
			m.note(NoteOdd, "", "receipt out of range")
			m.cannotShow()
			return
		}
	}
	m.s.receipts, m.s.chosen = list, nil
	m.enter(stReceipts)
}

func soundReceipt(r *termapi.Receipt) bool {
	return r.No != "" && len(r.No) <= MaxPressValue && r.Total > 0 && si.Fen(r.Total) <= si.MaxFen
}

// chooseReceipt opens one receipt of the list. From here on its prints carry
// the duplicate mark: whoever asks for it again may have the first one.
func (m *Machine) chooseReceipt(no string) {
	for _, r := range m.s.receipts {
		if r.No == no {
			m.s.chosen, m.s.reprint = &r, true
			m.enter(stReceiptChoice)
			return
		}
	}
	m.again()
}

func (m *Machine) noReceipt() {
	m.receipted()
	if m.s.reprint {
		m.s.chosen = nil
		m.enter(stReceipts)
		return
	}
	m.toMenu()
}

// print starts a job: the slip from the pending page, else the receipt. The
// mark counts every start, because nobody knows what a failed job left on
// paper.
func (m *Machine) print() {
	if m.state == stPending {
		m.s.slip = true
	}
	doc := Document{Lang: m.lang}
	switch {
	case m.s.slip && m.s.pay != nil:
		doc.Slip = m.slip()
	case m.s.chosen != nil:
		r := *m.s.chosen
		if m.s.prints == nil {
			m.s.prints = make(map[string]int)
		}
		r.Duplicate += m.s.prints[r.No]
		if m.s.reprint && r.Duplicate == 0 {
			r.Duplicate = 1
		}
		m.s.prints[r.No]++
		doc.Receipt = &r
		m.note(NotePrint, r.No, "started")
	default:
		m.again()
		return
	}
	m.enter(stPrinting)
	m.do(Print{m.newOp(), doc})
}

// slip is the paper of a pending payment.
func (m *Machine) slip() *Slip {
	p := m.s.pay
	return &Slip{ID: p.intent.ID, Name: m.s.card.MaskedName, IDTail: m.s.card.IDTail, Dues: p.dues,
		Total: p.intent.Total, Bank: m.bankName(m.s.card.Bank), CardTail: m.s.card.PANTail,
		Time: p.intent.At.In(si.China).Format("2006-01-02 15:04:05")}
}

// printed takes the end of a job. "Printed" is said only if the device said
// that the paper came out.
func (m *Machine) printed(p Printed) {
	ref := ""
	if m.s.chosen != nil {
		ref = m.s.chosen.No
	}
	switch p.End {
	case PaperPresented:
		m.s.printer = ""
		m.note(NotePrint, ref, "presented")
	case PaperSent:
		m.s.printer = PrinterSent
		m.note(NotePrint, ref, "sent")
	default:
		m.s.printer = p.Printer
		if m.s.printer == "" {
			m.s.printer = PrinterUnknown
		}
		m.note(NotePrint, ref, "failed")
		m.enter(stPrinterFault)
		return
	}
	m.receipted()
	m.enter(stPrinted)
}

func (m *Machine) printerSilent() {
	m.s.printer = PrinterUnknown
	m.note(NotePrint, "", "no end in time")
	m.enter(stPrinterFault)
}

// receipted marks this session's own payment: its receipt was delivered, or the
// citizen wanted none.
func (m *Machine) receipted() {
	p := m.s.pay
	if p == nil || m.s.reprint || m.s.slip || p.intent.State != Posted {
		return
	}
	p.intent.State = Receipted
	m.writeAside()
}
