package core

import (
	"encoding/binary"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
	"github.com/shebao-pay/shebao/si/ledgerapi/wire"
)

// Rows are the records in durable form: keys big-endian, so that they ascend
// with what they count, values little-endian with one encoding each. No row
// holds a slot; docs/format/ledger-rows.md lays them out.

var le = binary.LittleEndian

func be16(dst []byte, v uint16) []byte { return binary.BigEndian.AppendUint16(dst, v) }
func be32(dst []byte, v uint32) []byte { return binary.BigEndian.AppendUint32(dst, v) }
func be64(dst []byte, v uint64) []byte { return binary.BigEndian.AppendUint64(dst, v) }

func (m *Machine) metaValue(dst []byte) []byte {
	dst = le.AppendUint64(dst, m.applied)
	dst = append(dst, m.head[:]...)
	dst = le.AppendUint64(dst, uint64(m.at))
	dst = le.AppendUint64(dst, m.payments)
	dst = le.AppendUint64(dst, m.journal)
	dst = le.AppendUint64(dst, m.lastDue)
	dst = le.AppendUint16(dst, uint16(m.noticeYear))
	dst = le.AppendUint64(dst, m.noticeNo)
	dst = le.AppendUint16(dst, uint16(m.sealed))
	dst = le.AppendUint64(dst, uint64(m.pastMillis))
	dst = le.AppendUint64(dst, m.pastDues)
	dst = le.AppendUint16(dst, uint16(m.sweep.date))
	dst = le.AppendUint32(dst, m.sweep.seq)
	return le.AppendUint32(dst, uint32(m.cfg.Area))
}

func (m *Machine) readMeta(r *wire.Reader) (area si.AreaCode) {
	m.applied = r.U64()
	r.Fill(m.head[:])
	m.at = int64(r.U64())
	m.payments, m.journal, m.lastDue = r.U64(), r.U64(), r.U64()
	m.noticeYear, m.noticeNo = int(r.U16()), r.U64()
	m.sealed = si.BusinessDate(r.U16())
	m.pastMillis, m.pastDues = int64(r.U64()), r.U64()
	m.sweep.date, m.sweep.seq = si.BusinessDate(r.U16()), r.U32()
	return si.AreaCode(r.U32())
}

// paySize is about what a payment's row takes.
const paySize = 200

func (m *Machine) payValue(dst []byte, p *pay) []byte {
	dst = append(dst, p.id[:]...)
	dst = append(dst, p.fp[:]...)
	dst = le.AppendUint64(dst, p.journal)
	dst = le.AppendUint64(dst, uint64(p.total))
	dst = le.AppendUint64(dst, uint64(p.at))
	dst = le.AppendUint64(dst, uint64(p.ended))
	dst = le.AppendUint32(dst, uint32(p.person))
	dst = le.AppendUint32(dst, p.receipt)
	dst = le.AppendUint32(dst, p.stan)
	dst = le.AppendUint32(dst, p.de7)
	dst = le.AppendUint16(dst, uint16(p.our))
	dst = le.AppendUint16(dst, uint16(p.bankDate))
	dst = le.AppendUint16(dst, uint16(p.book))
	dst = le.AppendUint16(dst, uint16(p.receiptDate))
	dst = append(dst, p.resp[0], p.resp[1], byte(p.bank), byte(p.channel), byte(p.state),
		p.flags&^payInline, byte(p.proof), p.n)
	for i := range int(p.n) {
		id, late := m.item(p, i)
		dst = le.AppendUint64(dst, uint64(id))
		dst = le.AppendUint64(dst, uint64(late))
	}
	h := m.holdOf(p)
	if dst = wire.AppendBool(dst, h != nil); h == nil {
		return dst
	}
	dst = append(dst, h.endFP[:]...)
	dst = le.AppendUint32(dst, uint32(h.terminal))
	dst = le.AppendUint32(dst, h.batch)
	dst = le.AppendUint32(dst, h.rrn)
	dst = append(dst, m.acquirers[h.acq].de41[:]...)
	dst = append(dst, h.auth[:]...)
	dst = append(dst, h.reason[0], h.reason[1], h.cardKind, byte(h.source), byte(h.unpost))
	if h.memo == 0 {
		return wire.AppendString32(dst, nil)
	}
	return wire.AppendString32(dst, m.blobs.get(h.memo, int(h.memoLen)))
}

// readPay reads a row into p, its hold into h and its dues into items. Memo
// points into the row.
func (m *Machine) readPay(r *wire.Reader, p *pay, h *hold, items []uint64) (_ []uint64, held bool, memo []byte) {
	r.Fill(p.id[:])
	r.Fill(p.fp[:])
	p.journal = r.U64()
	p.total, p.at, p.ended = si.Fen(r.U64()), int64(r.U64()), int64(r.U64())
	p.person = si.PersonNo(r.U32())
	p.receipt, p.stan, p.de7 = r.U32(), r.U32(), r.U32()
	p.our, p.bankDate = si.BusinessDate(r.U16()), si.BusinessDate(r.U16())
	p.book, p.receiptDate = si.BusinessDate(r.U16()), si.BusinessDate(r.U16())
	r.Fill(p.resp[:])
	p.bank, p.channel, p.state = si.Bank(r.U8()), si.Channel(r.U8()), ledgerapi.PayState(r.U8())
	p.flags, p.proof, p.n = r.U8(), ledgerapi.Proof(r.U8()), r.U8()
	if p.n > ledgerapi.MaxDues || p.flags&payInline != 0 || p.state < ledgerapi.PayReserved || p.state > ledgerapi.PayTombstone {
		r.Fail()
		return items, false, nil
	}
	items = items[:0]
	for range 2 * int(p.n) {
		items = append(items, r.U64())
	}
	if held = r.Bool(); !held {
		return items, false, nil
	}
	r.Fill(h.endFP[:])
	h.terminal, h.batch, h.rrn = si.Terminal(r.U32()), r.U32(), r.U32()
	var de41 [8]byte
	r.Fill(de41[:])
	acq, known := m.acqByDE41[keyOfAcquirer(p.bank, de41)]
	if !known {
		r.Fail()
	}
	h.acq = acq
	r.Fill(h.auth[:])
	r.Fill(h.reason[:])
	h.cardKind, h.source, h.unpost = r.U8(), ledgerapi.Source(r.U8()), ledgerapi.UnpostReason(r.U8())
	memo = r.String32(ledgerapi.MaxMemo)
	h.memoLen = uint16(len(memo))
	return items, true, memo
}

// dueSize is the size of a due's row.
const dueSize = 8 + 8 + 8 + 8 + 4 + 4 + 2 + 2 + 2 + 6

// dueValue is a due without what its payment says: one that is held, paid or
// being taken back stands as OPEN, and whoever reads the payment knows better.
// So a payment changes no row of a due, and a checkpoint stays small however the
// payers are scattered.
func dueValue(dst []byte, d *due) []byte {
	dst = le.AppendUint64(dst, uint64(d.id))
	dst = le.AppendUint64(dst, uint64(d.amount))
	dst = le.AppendUint64(dst, uint64(d.individual))
	dst = le.AppendUint64(dst, uint64(d.prev))
	dst = le.AppendUint32(dst, uint32(d.person))
	dst = le.AppendUint32(dst, d.rates)
	dst = le.AppendUint16(dst, uint16(d.dueDay))
	dst = le.AppendUint16(dst, uint16(d.period))
	dst = le.AppendUint16(dst, d.version)
	state := d.state
	if d.taken() {
		state = ledgerapi.DueOpen
	}
	return append(dst, byte(d.fund), byte(d.kind), byte(state), byte(d.payer), d.lateRule, d.reversals)
}

func readDue(r *wire.Reader) (d due) {
	d.id, d.amount, d.individual = si.DueID(r.U64()), si.Fen(r.U64()), si.Fen(r.U64())
	d.prev, d.person = si.DueID(r.U64()), si.PersonNo(r.U32())
	d.rates = r.U32()
	d.dueDay, d.period, d.version = si.BusinessDate(r.U16()), si.Period(r.U16()), r.U16()
	d.fund, d.kind, d.state = si.Fund(r.U8()), ledgerapi.DueKind(r.U8()), ledgerapi.DueState(r.U8())
	d.payer, d.lateRule, d.reversals = ledgerapi.Payer(r.U8()), r.U8(), r.U8()
	if !d.fund.Valid() || d.state < ledgerapi.DueAssessed || d.state > ledgerapi.DueReplaced || d.taken() {
		r.Fail()
	}
	return d
}

// blockBits is how many low bits of a due's id are its place in a block: 256
// dues share a row, so that a checkpoint touches few pages. So do the heads of
// 256 persons.
const blockBits = 8

func blockOf(id si.DueID) uint32 { return uint32(id >> blockBits) }

// inBlock is where a due's row begins in its block; ids begin with 1 and have no
// gaps.
func inBlock(id si.DueID) int {
	return int(id-max(1, id>>blockBits<<blockBits)) * dueSize
}

// blockValue is the row of a block: all its dues, ascending. Those that left
// memory are copied from the row that there is.
func (m *Machine) blockValue(dst []byte, block uint32) []byte {
	first := max(1, si.DueID(block)<<blockBits)
	for id := first; id < si.DueID(block+1)<<blockBits && id <= si.DueID(m.lastDue); id++ {
		if slot := m.dueByID.get(id); slot != 0 {
			dst = dueValue(dst, m.dues.at(slot))
			continue
		}
		row, ok := m.oldDueRow(id)
		if !ok {
			m.fail("due %d is neither in memory nor stored", id)
			break
		}
		dst = append(dst, row...)
	}
	return dst
}

// headSize is one person's part of a block of heads.
const headSize = 8 + 8 + 2

// headValue is a block of heads of 256 persons.
func (m *Machine) headValue(dst []byte, block uint32) []byte {
	for no := max(1, block<<blockBits); no < (block+1)<<blockBits && no <= m.persons.used; no++ {
		p := m.persons.at(no)
		dst = le.AppendUint64(dst, uint64(p.lastDue))
		dst = le.AppendUint64(dst, p.oldPay)
		dst = le.AppendUint16(dst, p.past)
	}
	return dst
}

// payerOf is the payment that has a due in memory, zero if none.
func (m *Machine) payerOf(d *due) (id si.PaymentID) {
	if d.pay != 0 {
		id = m.pays.at(d.pay).id
	}
	return id
}

func (m *Machine) personValue(dst []byte, p *person) []byte {
	dst = append(dst, p.idHash[:]...)
	dst = le.AppendUint16(dst, p.version)
	dst = le.AppendUint32(dst, uint32(p.household))
	dst = le.AppendUint16(dst, uint16(p.birth))
	dst = append(dst, byte(p.ptype), p.sex, byte(p.flags))
	if p.sealed == 0 {
		return wire.AppendString32(dst, nil)
	}
	return wire.AppendString32(dst, m.blobs.get(p.sealed, int(p.sealedLen)))
}

func (m *Machine) readPerson(r *wire.Reader, p *person) {
	r.Fill(p.idHash[:])
	p.version, p.household, p.birth = r.U16(), si.AreaCode(r.U32()), si.BirthMonth(r.U16())
	p.ptype, p.sex, p.flags = si.PType(r.U8()), r.U8(), ledgerapi.PersonFlags(r.U8())
	sealed := r.String32(ledgerapi.MaxSealed)
	p.sealed, p.sealedLen = m.putBlob(sealed), uint16(len(sealed))
}

func cardValue(dst []byte, c *card) []byte {
	dst = append(dst, c.cardHash[:]...)
	dst = append(dst, c.noHash[:]...)
	dst = append(dst, c.panHash[:]...)
	dst = le.AppendUint32(dst, uint32(c.person))
	dst = le.AppendUint16(dst, uint16(c.since))
	return append(dst, byte(c.bank), byte(c.state), byte(c.source))
}

func readCard(r *wire.Reader) (c card) {
	r.Fill(c.cardHash[:])
	r.Fill(c.noHash[:])
	r.Fill(c.panHash[:])
	c.person, c.since = si.PersonNo(r.U32()), si.BusinessDate(r.U16())
	c.bank, c.state, c.source = si.Bank(r.U8()), ledgerapi.CardState(r.U8()), ledgerapi.CardSource(r.U8())
	return c
}

func (m *Machine) noticeValue(dst []byte, n *notice) []byte {
	dst = le.AppendUint64(dst, uint64(n.no))
	dst = le.AppendUint32(dst, uint32(n.person))
	dst = le.AppendUint16(dst, uint16(n.date))
	dst = le.AppendUint16(dst, uint16(n.valid))
	dst = append(dst, n.n)
	for i := range int(n.n) {
		dst = le.AppendUint64(dst, uint64(m.noticeDue(n, i)))
	}
	return dst
}

func (m *Machine) readNotice(r *wire.Reader) (n notice) {
	n.no, n.person = si.NoticeNo(r.U64()), si.PersonNo(r.U32())
	n.date, n.valid, n.n = si.BusinessDate(r.U16()), si.BusinessDate(r.U16()), r.U8()
	switch {
	case n.n == 0 || n.n > ledgerapi.MaxDues:
		r.Fail()
	case n.n == 1:
		n.dues = r.U64()
	default:
		ref, run := m.items.take(int(n.n))
		for i := range run {
			run[i] = r.U64()
		}
		n.dues = uint64(ref)
	}
	return n
}

func ackValue(dst []byte, a *ack) []byte {
	dst = append(dst, a.fp[:]...)
	dst = le.AppendUint64(dst, uint64(a.at))
	dst = le.AppendUint64(dst, uint64(a.notice))
	dst = le.AppendUint64(dst, uint64(a.total))
	dst = le.AppendUint32(dst, uint32(a.person))
	dst = le.AppendUint32(dst, a.count)
	dst = le.AppendUint32(dst, a.version)
	dst = le.AppendUint16(dst, uint16(a.our))
	dst = le.AppendUint16(dst, uint16(a.bank))
	dst = le.AppendUint64(dst, uint64(a.due))
	dst = le.AppendUint64(dst, a.no)
	dst = le.AppendUint64(dst, a.journal)
	dst = le.AppendUint32(dst, a.receipt)
	dst = le.AppendUint16(dst, uint16(a.receiptDate))
	dst = le.AppendUint32(dst, a.reasons)
	return append(dst, byte(a.state))
}

func readAck(r *wire.Reader, a *ack) {
	r.Fill(a.fp[:])
	a.at, a.notice, a.total = int64(r.U64()), si.NoticeNo(r.U64()), si.Fen(r.U64())
	a.person, a.count, a.version = si.PersonNo(r.U32()), r.U32(), r.U32()
	a.our, a.bank = si.BusinessDate(r.U16()), si.BusinessDate(r.U16())
	a.due, a.no, a.journal = si.DueID(r.U64()), r.U64(), r.U64()
	a.receipt, a.receiptDate, a.reasons = r.U32(), si.BusinessDate(r.U16()), r.U32()
	a.state = ledgerapi.PayState(r.U8())
}

func indivKeyRow(dst []byte, k indivKey) []byte {
	return be16(append(be32(dst, uint32(k.person)), byte(k.fund)), k.year)
}

func individualValue(dst []byte, x *individual) []byte {
	return le.AppendUint64(le.AppendUint64(dst, uint64(x.paid)), uint64(x.subsidy))
}

func configKey(dst []byte, x *config) []byte {
	return be32(append(append(append(dst, byte(x.kind)), x.name...), 0), x.version)
}

func configValue(dst []byte, x *config) []byte {
	dst = append(dst, byte(x.kind))
	dst = le.AppendUint32(dst, x.version)
	dst = le.AppendUint16(dst, uint16(x.from))
	dst = le.AppendUint32(dst, uint32(x.maker))
	dst = le.AppendUint32(dst, uint32(x.checker))
	dst = wire.AppendString16(dst, x.name)
	return wire.AppendString32(dst, x.body)
}

func readConfig(r *wire.Reader) *config {
	x := &config{kind: ledgerapi.ConfigKind(r.U8()), version: r.U32(), from: si.BusinessDate(r.U16()),
		maker: si.Actor(r.U32()), checker: si.Actor(r.U32())}
	x.name = string(r.String16(ledgerapi.MaxName))
	x.body = append([]byte(nil), r.String32(ledgerapi.MaxConfig)...)
	return x
}

func terminalValue(dst []byte, t *TerminalRecord) []byte {
	dst = le.AppendUint32(dst, uint32(t.Terminal))
	dst = append(dst, byte(t.Bank), byte(t.State))
	dst = append(dst, t.CertHash[:]...)
	return wire.AppendString16(dst, t.Outlet)
}

func readTerminal(r *wire.Reader) (t TerminalRecord) {
	t.Terminal, t.Bank, t.State = si.Terminal(r.U32()), si.Bank(r.U8()), ledgerapi.TerminalState(r.U8())
	r.Fill(t.CertHash[:])
	t.Outlet = string(r.String16(ledgerapi.MaxOutlet))
	return t
}

func appendColumns(dst []byte, c *columns) []byte {
	dst = le.AppendUint64(dst, uint64(c.postedDr))
	dst = le.AppendUint64(dst, uint64(c.postedCr))
	dst = le.AppendUint64(dst, uint64(c.pendingDr))
	return le.AppendUint64(dst, uint64(c.pendingCr))
}

func readColumns(r *wire.Reader) columns {
	return columns{si.Fen(r.U64()), si.Fen(r.U64()), si.Fen(r.U64()), si.Fen(r.U64())}
}

func appendSum(dst []byte, s Sum) []byte {
	return le.AppendUint64(le.AppendUint32(dst, s.Count), uint64(s.Amount))
}

func readSum(r *wire.Reader) Sum { return Sum{r.U32(), si.Fen(r.U64())} }

func bookValue(dst []byte, b *book) []byte {
	for i := range b.acc {
		dst = appendColumns(dst, &b.acc[i])
	}
	return le.AppendUint16(dst, uint16(b.closed))
}

func readBook(r *wire.Reader) (b book) {
	for i := range b.acc {
		b.acc[i] = readColumns(r)
	}
	b.closed = si.BusinessDate(r.U16())
	return b
}

func dayValue(dst []byte, d *day) []byte {
	dst = le.AppendUint64(dst, d.from)
	for f := range d.funds {
		x := &d.funds[f]
		dst = appendSum(appendSum(appendColumns(dst, &x.clearing), x.payments), x.reversals)
		for _, v := range [...]si.Fen{x.pool, x.indiv, x.late, x.batch, x.suspense, x.corrected, x.credited} {
			dst = le.AppendUint64(dst, uint64(v))
		}
	}
	return dst
}

func readDay(r *wire.Reader, d *day) {
	d.from = r.U64()
	for f := range d.funds {
		x := &d.funds[f]
		x.clearing, x.payments, x.reversals = readColumns(r), readSum(r), readSum(r)
		for _, v := range [...]*si.Fen{&x.pool, &x.indiv, &x.late, &x.batch, &x.suspense, &x.corrected, &x.credited} {
			*v = si.Fen(r.U64())
		}
	}
}

func depositValue(dst []byte, b *bank) []byte {
	for f := range b.deposit {
		dst = appendColumns(dst, &b.deposit[f])
	}
	return dst
}

func readDeposit(r *wire.Reader, b *bank) {
	for f := range b.deposit {
		b.deposit[f] = readColumns(r)
	}
}

func dateBookValue(dst []byte, x *dateBook) []byte {
	dst = le.AppendUint64(dst, x.from)
	for _, l := range x.moves {
		dst = appendSheetKey(dst, l.sheetKey)
		dst = le.AppendUint64(le.AppendUint64(dst, uint64(l.dr)), uint64(l.cr))
	}
	return dst
}

func readDateBook(r *wire.Reader, x *dateBook) {
	x.from = r.U64()
	for r.Len() > 0 {
		k := readSheetKey(r)
		if n := len(x.moves); n > 0 && !x.moves[n-1].sheetKey.less(k) {
			r.Fail()
		}
		x.moves = append(x.moves, sheetLine{sheetKey: k, dr: si.Fen(r.U64()), cr: si.Fen(r.U64())})
	}
}

// An account stands in a row as fund, code, part, bank and date.
func appendSheetKey(dst []byte, k sheetKey) []byte {
	dst = le.AppendUint32(append(dst, byte(k.fund)), codeOf(k.fund, k.acc))
	return le.AppendUint16(append(dst, byte(chart[k.acc].part), byte(k.bank)), uint16(k.date))
}

func readSheetKey(r *wire.Reader) (k sheetKey) {
	k.fund = si.Fund(r.U8())
	code, part := r.U32(), Part(r.U8())
	k.bank, k.date = si.Bank(r.U8()), si.BusinessDate(r.U16())
	if !k.fund.Valid() {
		r.Fail()
		return k
	}
	for k.acc = 0; k.acc < accounts; k.acc++ {
		if codeOf(k.fund, k.acc) == code && chart[k.acc].part == part {
			return k
		}
	}
	r.Fail()
	return k
}
