package core

import (
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
	"github.com/shebao-pay/shebao/si/ledgerapi/wire"
)

// Kinds of journal rows. The numbers are in the file.
const (
	journalPost    = 1
	journalPay     = 2
	journalVoid    = 3
	journalUnpost  = 4
	journalReverse = 5
)

// journalNote is what a journal row says beyond the payment.
type journalNote struct {
	corrects       uint64 // the posting that a red entry undoes
	source         uint8  // of evidence, or proof, or reason, by kind
	resp           [2]byte
	maker, checker si.Actor
	evidence       *ledgerapi.Evidence
	serial         []byte
}

// journalRow writes what has just happened to a payment, with the lines that
// were booked, under the last journal number. Rows are never changed; Apply
// never reads them.
func (m *Machine) journalRow(kind uint8, p *pay, actor si.Actor, n *journalNote) {
	if m.cfg.Volatile {
		return
	}
	v := append(m.value[:0], kind)
	v = append(v, p.id[:]...)
	v = le.AppendUint64(v, uint64(m.at))
	v = le.AppendUint32(v, uint32(actor))
	v = append(v, byte(p.bank), byte(p.channel))
	v = le.AppendUint16(v, uint16(p.our))
	v = le.AppendUint16(v, uint16(p.bankDate))
	v = le.AppendUint16(v, uint16(p.book))
	v = le.AppendUint16(v, uint16(p.receiptDate))
	v = le.AppendUint32(v, p.receipt)
	v = le.AppendUint64(v, n.corrects)
	v = le.AppendUint64(v, uint64(p.total))
	v = le.AppendUint32(v, p.stan)
	v = le.AppendUint32(v, p.de7)
	v = append(v, n.source, n.resp[0], n.resp[1])
	v = le.AppendUint32(v, uint32(n.maker))
	v = le.AppendUint32(v, uint32(n.checker))
	v = append(v, byte(len(m.chosen)))
	for _, c := range m.chosen {
		d := m.dues.at(c.slot)
		v = le.AppendUint64(v, uint64(d.id))
		v = le.AppendUint32(v, uint32(d.person))
		v = append(v, byte(d.fund))
		v = le.AppendUint16(v, uint16(d.period))
		v = le.AppendUint64(v, uint64(d.amount))
		v = le.AppendUint64(v, uint64(d.individual))
		v = le.AppendUint64(v, uint64(c.late))
	}
	v = wire.AppendBool(v, n.evidence != nil)
	if e := n.evidence; e != nil {
		v = append(v, e.Auth[:]...)
		v = append(v, e.BankRRN[:]...)
		v = wire.AppendBool(v, e.MACOK)
		v = le.AppendUint32(v, e.KeyGen)
	}
	v = le.AppendUint16(v, uint16(len(n.serial)))
	v = append(v, n.serial...)
	m.row(BucketJournal, be64(m.key[:0], m.journal), v)
}
