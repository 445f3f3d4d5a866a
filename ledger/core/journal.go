package core

import (
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
	"github.com/shebao-pay/shebao/si/ledgerapi/wire"
)

// JournalKind is what a journal row tells. The numbers are in the file.
type JournalKind uint8

// The kinds. Rows up to JournalReverse are about a payment and list its dues;
// the others list their lines.
const (
	JournalPost JournalKind = iota + 1
	JournalPay
	JournalVoid
	JournalUnpost
	JournalReverse
	JournalFundsCredited
	JournalSweep
	JournalSuspenseIn
	JournalSuspenseUse
	JournalRefundApprove
	JournalRefundPaid
	JournalRefundWithdraw
	JournalCorrectUnpaid
	JournalInterest
	JournalPeriodClose
	journalEnd
)

var journalNames = [...]string{"", "POST", "PAY", "VOID", "UNPOST", "REVERSE", "FUNDS_CREDITED", "SWEEP", "SUSPENSE_IN",
	"SUSPENSE_USE", "REFUND_APPROVE", "REFUND_PAID", "REFUND_WITHDRAW", "CORRECT_UNPAID", "INTEREST", "PERIOD_CLOSE"}

// String writes the kind's name.
func (k JournalKind) String() string {
	if k == 0 || k >= journalEnd {
		return "JournalKind(?)"
	}
	return journalNames[k]
}

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
func (m *Machine) journalRow(kind JournalKind, p *pay, actor si.Actor, n *journalNote) {
	if m.cfg.Volatile {
		return
	}
	v := append(m.value[:0], byte(kind))
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
	m.putJournal(v)
}

// entryRow writes an entry that is no payment under the last journal number.
func (m *Machine) entryRow(e *journalEntry) {
	if m.cfg.Volatile {
		return
	}
	v := append(m.value[:0], byte(e.kind))
	v = append(v, e.act.id[:]...)
	v = le.AppendUint64(v, uint64(m.at))
	v = le.AppendUint32(v, uint32(e.act.maker))
	v = le.AppendUint32(v, uint32(e.act.checker))
	v = append(v, byte(e.bank))
	v = le.AppendUint16(v, uint16(e.date))
	v = le.AppendUint64(v, e.corrects)
	v = append(v, e.payment[:]...)
	v = le.AppendUint64(v, uint64(e.due))
	v = le.AppendUint64(v, e.no)
	v = le.AppendUint64(v, uint64(e.brk))
	v = le.AppendUint32(v, uint32(e.run))
	v = le.AppendUint16(v, uint16(e.statement.Date))
	v = wire.AppendString16(v, e.statement.Ref)
	v = append(v, byte(len(e.lines)))
	for i := range e.lines {
		l := &e.lines[i]
		v = appendSheetKey(v, sheetKey{l.fund, l.acc, l.bank, l.date})
		v = le.AppendUint64(le.AppendUint64(v, uint64(l.dr)), uint64(l.cr))
	}
	m.putJournal(v)
}

func (m *Machine) putJournal(v []byte) {
	m.row(BucketJournal, be64(m.key[:0], m.journal), v)
}

// JournalLine is one line of a journal row.
type JournalLine struct {
	Fund   si.Fund
	Code   uint32
	Part   Part
	Bank   si.Bank
	Date   si.BusinessDate
	Dr, Cr si.Fen
}

// JournalRow is one row of the journal. Which fields carry a value depends on
// the kind.
type JournalRow struct {
	No             uint64
	Kind           JournalKind
	ID             si.PaymentID // payment, or act
	AtMillis       int64
	Maker, Checker si.Actor
	Bank           si.Bank
	Channel        si.Channel
	OurDate        si.BusinessDate
	BankDate       si.BusinessDate
	Date           si.BusinessDate // booked or closed on
	Receipt        si.ReceiptNo
	Corrects       uint64 // journal number of the posting that is undone
	Total          si.Fen
	Source         uint8 // of the evidence, or proof, or reason, by kind
	Resp           [2]byte
	HostSerial     string
	Dues           []JournalDue
	Payment        si.PaymentID // that a refund or correction is about
	Due            si.DueID
	Subject        uint64 // number of the suspense or refund
	Break          ledgerapi.BreakNo
	Run            ledgerapi.RunNo
	StatementDate  si.BusinessDate
	StatementRef   string
	Lines          []JournalLine // what moved the posted columns
}

// JournalDue is one due of a payment's journal row.
type JournalDue struct {
	ID         si.DueID
	Person     si.PersonNo
	Fund       si.Fund
	Period     si.Period
	Amount     si.Fen
	Individual si.Fen
	LateFee    si.Fen
}

// readJournal reads a row of either form.
func (m *Machine) readJournal(no uint64, row []byte) (j JournalRow, ok bool) {
	r := wire.NewReader(row)
	j.No, j.Kind = no, JournalKind(r.U8())
	r.Fill(j.ID[:])
	j.AtMillis = int64(r.U64())
	switch {
	case j.Kind == 0 || j.Kind >= journalEnd:
		return j, false
	case j.Kind <= JournalReverse:
		m.readPaymentRow(&r, &j)
	default:
		readEntryRow(&r, &j)
	}
	return j, r.End() == nil
}

func (m *Machine) readPaymentRow(r *wire.Reader, j *JournalRow) {
	actor := si.Actor(r.U32())
	j.Bank, j.Channel = si.Bank(r.U8()), si.Channel(r.U8())
	j.OurDate, j.BankDate, j.Date = si.BusinessDate(r.U16()), si.BusinessDate(r.U16()), si.BusinessDate(r.U16())
	j.Receipt.Date, j.Receipt.Seq = si.BusinessDate(r.U16()), r.U32()
	if j.Receipt.Seq != 0 {
		j.Receipt.Area = m.cfg.Area
	}
	j.Corrects, j.Total = r.U64(), si.Fen(r.U64())
	_, _ = r.U32(), r.U32() // STAN and DE 7: the payment has them
	j.Source = r.U8()
	r.Fill(j.Resp[:])
	if j.Maker, j.Checker = si.Actor(r.U32()), si.Actor(r.U32()); j.Maker == 0 {
		j.Maker = actor
	}
	sign := si.Fen(0)
	switch j.Kind {
	case JournalPost, JournalPay:
		sign = 1
	case JournalUnpost, JournalReverse:
		sign = -1
	}
	for range r.U8() {
		d := JournalDue{ID: si.DueID(r.U64()), Person: si.PersonNo(r.U32()), Fund: si.Fund(r.U8()), Period: si.Period(r.U16()),
			Amount: si.Fen(r.U64()), Individual: si.Fen(r.U64()), LateFee: si.Fen(r.U64())}
		j.Dues = append(j.Dues, d)
		for _, l := range [...]JournalLine{
			{d.Fund, CodeClearing, PartNone, j.Bank, j.clearingDate(), sign * (d.Amount + d.LateFee), 0},
			{d.Fund, CodePerson, PartPool, 0, 0, 0, sign * (d.Amount - d.Individual)},
			{d.Fund, CodePerson, PartIndiv, 0, 0, 0, sign * d.Individual},
			{d.Fund, CodeLate, PartNone, 0, 0, 0, sign * d.LateFee},
		} {
			if l.Dr != 0 || l.Cr != 0 {
				j.Lines = append(j.Lines, l)
			}
		}
	}
	if r.Bool() {
		r.Bytes(6 + 12 + 1 + 4)
	}
	j.HostSerial = string(r.String16(ledgerapi.MaxSerial))
}

// clearingDate is the bank date whose clearing account a payment is booked on:
// of a line of a run always that of the debit.
func (j *JournalRow) clearingDate() si.BusinessDate {
	if j.Channel == si.ChannelBatch {
		return j.BankDate
	}
	return j.Date
}

func readEntryRow(r *wire.Reader, j *JournalRow) {
	j.Maker, j.Checker = si.Actor(r.U32()), si.Actor(r.U32())
	j.Bank, j.Date, j.Corrects = si.Bank(r.U8()), si.BusinessDate(r.U16()), r.U64()
	r.Fill(j.Payment[:])
	j.Due, j.Subject, j.Break, j.Run = si.DueID(r.U64()), r.U64(), ledgerapi.BreakNo(r.U64()), ledgerapi.RunNo(r.U32())
	j.StatementDate = si.BusinessDate(r.U16())
	j.StatementRef = string(r.String16(ledgerapi.MaxStatementRef))
	for range r.U8() {
		k := readSheetKey(r)
		l := JournalLine{k.fund, codeOf(k.fund, k.acc), chart[k.acc].part, k.bank, k.date, si.Fen(r.U64()), si.Fen(r.U64())}
		j.Lines = append(j.Lines, l)
		j.Total += l.Dr
	}
}

// Journal are the rows from a number on, at most limit.
func (m *Machine) Journal(from uint64, limit int) []JournalRow {
	from = max(from, 1)
	to := min(m.journal, from+uint64(max(limit, 0))-1)
	recent := map[uint64][]byte{}
	m.recentJournal(from, to, func(no uint64, row []byte) { recent[no] = row })
	var all []JournalRow
	for no := from; no <= to && limit > 0; no++ {
		row, ok := recent[no]
		if !ok {
			row, ok = m.pastGet(BucketJournal, be64(nil, no))
		}
		if !ok {
			continue // a volatile machine keeps none
		}
		j, ok := m.readJournal(no, row)
		if !ok {
			m.fail("journal row %d is unreadable", no)
			return nil
		}
		all = append(all, j)
	}
	return all
}

// recentJournal visits the rows from a number to another that Past cannot give
// yet.
func (m *Machine) recentJournal(from, to uint64, visit func(no uint64, row []byte)) {
	each := func(b *rowBuf) {
		for _, f := range b.between(BucketJournal, from, to) {
			visit(f.prefix, b.change(&f).Value)
		}
	}
	if m.frozen != nil {
		each(&m.frozen.rows)
	}
	each(&m.rows)
}

// JournalOn are the rows that are booked on a date, in order of number, from a
// number on, at most limit. The next call begins behind the last row given.
func (m *Machine) JournalOn(date si.BusinessDate, from uint64, limit int) []JournalRow {
	first, last := m.journalSpan(date)
	var all []JournalRow
	for no := max(first, from, 1); no <= last && len(all) < limit; no += journalPage {
		for _, j := range m.Journal(no, int(min(journalPage, last-no+1))) {
			if j.Date == date && len(all) < limit {
				all = append(all, j)
			}
		}
	}
	return all
}

// journalPage is how many rows are read at a time.
const journalPage = 1000

// journalSpan is where the rows of a date stand in the journal: not before
// first, not behind last.
func (m *Machine) journalSpan(date si.BusinessDate) (first, last uint64) {
	if date <= m.sealed {
		c, ok := m.closing(date)
		if !ok || c.date != date {
			return 1, 0
		}
		return c.from, c.journal
	}
	first = m.journal + 1
	for i := range m.banks {
		for _, d := range m.banks[i].days {
			if d.date == date && d.from != 0 {
				first = min(first, d.from)
			}
		}
	}
	for _, x := range m.dates {
		if x.date == date {
			first = min(first, x.from)
		}
	}
	return first, m.journal
}
