package core

import (
	"cmp"
	"slices"
	"sort"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
	"github.com/shebao-pay/shebao/si/ledgerapi/wire"
)

// oldRows are the rows of what left memory as long as they may not be durable:
// they answer in place of Past until Release. They hold no pointer a row, because
// many leave in a short time.
type oldRows struct {
	pieces   [][]byte
	pays     map[uint64]place
	dues     map[si.DueID]place
	acks     map[si.PaymentID]place
	links    map[si.PaymentID]oldLink
	paidBy   map[si.DueID]uint64
	receipts map[si.ReceiptNo]si.PaymentID
	closings map[si.BusinessDate]place
}

// place is where a row stands in pieces.
type place struct{ piece, at, n uint32 }

// oldLink finds a payment that left memory: its number, and that of the person's
// payment that left before it.
type oldLink struct{ no, prev uint64 }

func (o *oldRows) init() {
	o.pays, o.dues, o.acks = map[uint64]place{}, map[si.DueID]place{}, map[si.PaymentID]place{}
	o.links, o.paidBy = map[si.PaymentID]oldLink{}, map[si.DueID]uint64{}
	o.receipts, o.closings = map[si.ReceiptNo]si.PaymentID{}, map[si.BusinessDate]place{}
}

func (o *oldRows) add(row []byte) place {
	n := len(o.pieces)
	if n == 0 || cap(o.pieces[n-1])-len(o.pieces[n-1]) < len(row) {
		o.pieces = append(o.pieces, make([]byte, 0, max(len(row), rowChunkSize)))
		n++
	}
	p := place{uint32(n - 1), uint32(len(o.pieces[n-1])), uint32(len(row))}
	o.pieces[n-1] = append(o.pieces[n-1], row...)
	return p
}

// recent looks a key up in one of the maps of oldRows: in what left memory since
// the last Freeze, then in what the checkpoint under way brings to Past.
func recent[K comparable, V any](m *Machine, in func(*oldRows) map[K]V, k K) (o *oldRows, v V, ok bool) {
	o = &m.old
	v, ok = in(o)[k]
	if !ok && m.frozen != nil {
		o = &m.frozen.old
		v, ok = in(o)[k]
	}
	return o, v, ok
}

// recentRow is recent for rows.
func recentRow[K comparable](m *Machine, in func(*oldRows) map[K]place, k K) ([]byte, bool) {
	o, p, ok := recent(m, in, k)
	if !ok {
		return nil, false
	}
	return o.pieces[p.piece][p.at : p.at+p.n], true
}

// mayBeMissing tells whether Past may not have a record as it stands: it changed
// since the last checkpoint that is durable.
func (m *Machine) mayBeMissing(k class, i uint32) bool {
	return m.cfg.Past == nil || m.cfg.Volatile || m.frozen != nil || m.track[k].has(i, m.gen)
}

func (m *Machine) pastGet(b Bucket, key []byte) ([]byte, bool) {
	if m.cfg.Past == nil {
		return nil, false
	}
	return m.cfg.Past.Get(b, key)
}

// oldLinkOf finds a payment that left memory.
func (m *Machine) oldLinkOf(id si.PaymentID) (oldLink, bool) {
	if _, l, ok := recent(m, func(o *oldRows) map[si.PaymentID]oldLink { return o.links }, id); ok {
		return l, true
	}
	row, ok := m.pastGet(BucketPayOld, id[:])
	if !ok {
		return oldLink{}, false
	}
	r := wire.NewReader(row)
	l := oldLink{r.U64(), r.U64()}
	if r.End() != nil {
		m.fail("the stored place of payment %s is unreadable", id)
	}
	return l, true
}

// loadOld reads a payment that left memory into m.oldPay.
func (m *Machine) loadOld(id si.PaymentID) bool {
	l, ok := m.oldLinkOf(id)
	return ok && m.loadOldNo(l.no)
}

// loadOldNo is loadOld by number. A payment that was taken back on a later date
// is given as it stands now; its row is not altered.
func (m *Machine) loadOldNo(no uint64) bool {
	row, ok := recentRow(m, func(o *oldRows) map[uint64]place { return o.pays }, no)
	if !ok {
		row, ok = m.pastGet(BucketPay, be64(nil, no))
	}
	r := wire.NewReader(row)
	m.oldPay, m.oldHold = pay{no: no}, hold{}
	items, held, _ := m.readPay(&r, &m.oldPay, &m.oldHold, m.oldDues)
	m.oldDues = items
	if held {
		m.oldPay.hold = 1
	}
	if !ok || r.End() != nil {
		m.fail("stored payment %d is missing or unreadable", no)
		return false
	}
	if u := m.undone.get(m.oldPay.id); u != nil {
		m.oldPay.state, m.oldPay.ended = ledgerapi.PayVoided, u.at
		m.oldPay.flags |= payCorrected
	}
	return true
}

// eachOldPay visits the payments of a person that left memory, the last to leave
// first, until visit returns false. The payment is good until visit loads another.
func (m *Machine) eachOldPay(who si.PersonNo, visit func(p *pay) bool) {
	for no := m.personOf(who).oldPay; no != 0; {
		if !m.loadOldNo(no) {
			return
		}
		l, ok := m.oldLinkOf(m.oldPay.id)
		if !ok {
			m.fail("payment %d of person %d left memory without a trace", no, who)
			return
		}
		if no = l.prev; !visit(&m.oldPay) {
			return
		}
	}
}

// paysFor tells whether a payment is the one that paid a due.
func (m *Machine) paysFor(p *pay, id si.DueID) bool {
	return p.state == ledgerapi.PayPosted && m.lists(p, id) && !m.isRefunded(p.id, id)
}

// oldPayer is the payment that paid a due which left memory, with its late fee;
// zero if the due died unpaid. It reads over m.oldPay.
func (m *Machine) oldPayer(d *due) (id si.PaymentID, late si.Fen) {
	if d.dead() {
		return id, 0
	}
	take := func(p *pay) bool {
		if !m.paysFor(p, d.id) {
			return true
		}
		for i := range int(p.n) {
			if x, fee := m.item(p, i); x == d.id {
				id, late = p.id, fee
			}
		}
		return false
	}
	if no, ok := m.otherPayer(d.id); ok && m.loadOldNo(no) && !take(&m.oldPay) {
		return id, late
	}
	m.eachOldPay(d.person, take)
	return id, late
}

// otherPayer is the number of the last payment of another person that paid a due
// and left memory with it.
func (m *Machine) otherPayer(id si.DueID) (no uint64, ok bool) {
	if _, no, ok = recent(m, func(o *oldRows) map[si.DueID]uint64 { return o.paidBy }, id); ok {
		return no, true
	}
	row, ok := m.pastGet(BucketPaidBy, be64(nil, uint64(id)))
	if !ok {
		return 0, false
	}
	r := wire.NewReader(row)
	if no = r.U64(); r.End() != nil {
		m.fail("the stored payer of due %d is unreadable", id)
	}
	return no, true
}

// oldDueRow is the row of a due that left memory.
func (m *Machine) oldDueRow(id si.DueID) ([]byte, bool) {
	if row, ok := recentRow(m, func(o *oldRows) map[si.DueID]place { return o.dues }, id); ok {
		return row, true
	}
	block, ok := m.pastGet(BucketDue, be64(nil, uint64(blockOf(id))))
	at := inBlock(id)
	if !ok || len(block) < at+dueSize {
		return nil, false
	}
	return block[at : at+dueSize], true
}

// oldDue is a due that left memory. One that had not died was paid: that is the
// other way to leave.
func (m *Machine) oldDue(id si.DueID) (d due, ok bool) {
	if m.pastDues == 0 || id == 0 || uint64(id) > m.lastDue {
		return d, false
	}
	row, ok := m.oldDueRow(id)
	r := wire.NewReader(row)
	d = readDue(&r)
	if !ok || r.End() != nil || d.id != id {
		m.fail("stored due %d is missing or unreadable", id)
		return due{}, false
	}
	if !d.dead() {
		d.state = ledgerapi.DueStatePaid
	}
	return d, true
}

// eachOldDue visits the dues of a person that left memory and did not come back,
// newest first.
func (m *Machine) eachOldDue(who si.PersonNo, visit func(d *due)) {
	if m.pastDues == 0 {
		return
	}
	for id := m.personOf(who).lastDue; id != 0; {
		if slot := m.dueByID.get(id); slot != 0 {
			id = m.dues.at(slot).prev
			continue
		}
		d, ok := m.oldDue(id)
		if !ok {
			return
		}
		visit(&d)
		id = d.prev
	}
}

// oldAck is a command of a sealed date.
func (m *Machine) oldAck(id si.PaymentID) *ack {
	if m.sealed == 0 {
		return nil
	}
	row, ok := recentRow(m, func(o *oldRows) map[si.PaymentID]place { return o.acks }, id)
	if !ok {
		row, ok = m.pastGet(BucketAckOld, id[:])
	}
	if !ok {
		return nil
	}
	a := &ack{id: id}
	r := wire.NewReader(row)
	if readAck(&r, a); r.End() != nil {
		m.fail("stored command %s is unreadable", id)
		return nil
	}
	return a
}

// applySealDay freezes a date that all banks have left. What ended on it is
// history from here on, and leaves memory a little with each record that follows,
// so that no batch waits for a day of payments; what is still in doubt stays, and
// will be booked on the open date.
func (m *Machine) applySealDay(h *ledgerapi.Header, body []byte, out *ledgerapi.Result) {
	var c ledgerapi.SealDay
	if c.DecodeBody(h.ID, body) != nil || c.Date == 0 {
		out.Code = ledgerapi.Malformed
		return
	}
	windows := 0
	for i := range m.banks {
		if open := m.banks[i].open; open != 0 {
			windows++
			if open <= c.Date {
				refuse(out, ledgerapi.BadTransition)
				out.Bank = open
			}
		}
	}
	if windows == 0 {
		refuse(out, ledgerapi.BadTransition)
	}
	if c.Date <= m.sealed {
		refuse(out, ledgerapi.Sealed)
	}
	if out.Code != 0 {
		return
	}
	m.closeDay(c.Date)
	for len(m.postedOn) > 0 && m.postedOn[0].date <= c.Date {
		out.Count += m.postedOn[0].Count
		out.Total += m.postedOn[0].Amount
		m.postedOn = m.postedOn[1:]
	}
	m.sealed = c.Date
	m.retireClosed()
	for _, slot := range m.deadDues {
		m.retireDue(slot)
	}
	m.deadDues = m.deadDues[:0]
	old := 0 // times never run backwards, so the oldest come first
	for ; old < len(m.ackQueue) && dateOfMillis(m.acks.at(m.ackQueue[old]).at) <= m.sealed; old++ {
		m.retireAck(m.acks.at(m.ackQueue[old]), m.ackQueue[old])
	}
	m.ackQueue = m.ackQueue[:copy(m.ackQueue, m.ackQueue[old:])]
	m.sweep = sweep{date: 1}
	m.sweepOn(cmp.Or(m.cfg.sweepFirst, sweepFirst))
	out.Code, out.OurDate = ledgerapi.OK, c.Date
}

// datedSum is what is POSTED on a date that is not sealed. It is in no row:
// those payments are in memory.
type datedSum struct {
	date si.BusinessDate
	Sum
}

// tally adds a payment that has become POSTED to its date; sign −1 takes one off
// that is no longer.
func (m *Machine) tally(p *pay, sign int) {
	i := len(m.postedOn)
	for i > 0 && m.postedOn[i-1].date >= p.book {
		i--
	}
	if i == len(m.postedOn) || m.postedOn[i].date != p.book {
		m.postedOn = slices.Insert(m.postedOn, i, datedSum{date: p.book})
	}
	s := &m.postedOn[i]
	s.Count += uint32(sign)
	s.Amount += si.Fen(sign) * p.total
}

// isSealed tells whether a payment is of a sealed date and can never change.
func (m *Machine) isSealed(p *pay) bool { return p.book <= m.sealed && !p.live() }

// retireClosed has what ended without a receipt leave memory, in order of number.
func (m *Machine) retireClosed() {
	keep := m.closed[:0]
	var leaving []uint32
	for _, slot := range m.closed {
		if m.isSealed(m.pays.at(slot)) {
			leaving = append(leaving, slot)
		} else {
			keep = append(keep, slot)
		}
	}
	m.closed = keep
	sort.Slice(leaving, func(i, j int) bool { return m.pays.at(leaving[i]).no < m.pays.at(leaving[j]).no })
	for _, slot := range leaving {
		m.retirePay(m.pays.at(slot), slot)
	}
}

// sweep is the walk over the receipts of sealed dates by which payments leave
// memory: the next place to look at. Date 0 is at rest.
type sweep struct {
	date si.BusinessDate
	seq  uint32 // receipts of the date that were looked at
}

const (
	// sweepPer is how many receipts are looked at for each record: two, because
	// a record makes at most one, so that a day has left before the next ends.
	sweepPer = 2
	// sweepFirst are looked at in the seal itself, about 3 ms of work: a quiet
	// day is gone at once.
	sweepFirst = 2000
)

// sweepOn looks at n more receipts. It depends on the log alone, like everything
// in Apply: rows must not depend on when a node was started.
func (m *Machine) sweepOn(n int) {
	for i := 0; m.sweep.date != 0 && n > 0; {
		for i < len(m.receipts) && m.receipts[i].date < m.sweep.date {
			i++
		}
		if i == len(m.receipts) || m.receipts[i].date > m.sealed {
			m.sweep = sweep{}
			return
		}
		d := m.receipts[i]
		if d.date != m.sweep.date {
			m.sweep = sweep{date: d.date}
		}
		for ; n > 0 && m.sweep.seq < d.last; n-- {
			if slot := d.slots[m.sweep.seq]; slot != 0 && m.isSealed(m.pays.at(slot)) {
				m.retirePay(m.pays.at(slot), slot)
				d.slots[m.sweep.seq] = 0
				d.left--
			}
			m.sweep.seq++
		}
		if m.sweep.seq == d.last {
			m.sweep = sweep{date: d.date + 1}
			if d.left == 0 {
				m.row(BucketSequence, be16(append(m.key[:0], 1), uint16(d.date)), nil)
				m.receipts = slices.Delete(m.receipts, i, i+1)
			}
		}
	}
}

// retirePay has a payment that has ended, and the dues that it paid, leave memory.
// Their rows stay where they are.
func (m *Machine) retirePay(p *pay, slot uint32) {
	m.pastMillis = max(m.pastMillis, p.id.Millis())
	dirty := m.track[classPay].has(slot, m.gen)
	keep := m.mayBeMissing(classPay, slot)
	m.touch(classPay, slot)
	m.track[classPay].clear(slot, m.gen)
	if keep {
		row := m.payValue(m.value[:0], p)
		m.old.pays[p.no] = m.old.add(row)
		if dirty {
			m.row(BucketPay, be64(m.key[:0], p.no), row)
		}
	}
	m.touch(classPayGone, m.payGone.of(p.no))
	m.payGone.add(p.no)
	l := oldLink{no: p.no}
	if p.person != 0 {
		m.touchHead(p.person)
		who := m.personOf(p.person)
		l.prev, who.oldPay = who.oldPay, p.no
		m.unlinkPay(p, slot)
	}
	m.old.links[p.id] = l
	m.row(BucketPayOld, append(m.key[:0], p.id[:]...), le.AppendUint64(le.AppendUint64(m.value[:0], l.no), l.prev))
	if p.receipt != 0 {
		m.old.receipts[si.ReceiptNo{Area: m.cfg.Area, Date: p.receiptDate, Seq: p.receipt}] = p.id
		m.row(BucketReceipt, be32(be16(m.key[:0], uint16(p.receiptDate)), p.receipt), append(m.value[:0], p.id[:]...))
	}
	if p.state == ledgerapi.PayPosted {
		for i := range int(p.n) {
			id, _ := m.item(p, i)
			if due := m.dueByID.get(id); due != 0 && m.dues.at(due).pay == slot { // else it was refunded
				m.retirePaid(due, p)
			}
		}
	}
	if p.hold != 0 {
		h := m.holds.at(p.hold)
		m.blobs.drop(h.memo, int(h.memoLen))
		m.holds.drop(p.hold)
	}
	if p.n > 0 && p.flags&payInline == 0 {
		m.items.drop(uint32(p.dues), 2*int(p.n))
	}
	m.payByID.del(p.id, slot)
	m.pays.drop(slot)
}

// retireNow has a payment of a sealed date leave memory before its turn.
func (m *Machine) retireNow(p *pay, slot uint32) {
	for _, d := range m.receipts {
		if d.date != p.receiptDate {
			continue
		}
		if i := slices.Index(d.slots, slot); i >= 0 {
			d.slots[i] = 0
			d.left--
		}
	}
	m.retirePay(p, slot)
}

func (m *Machine) unlinkPay(p *pay, slot uint32) {
	link := &m.personOf(p.person).pays
	for *link != slot {
		link = &m.pays.at(*link).next
	}
	*link = p.next
}

// retirePaid is retireDue for a due that a payment paid.
func (m *Machine) retirePaid(slot uint32, p *pay) {
	if d := m.dues.at(slot); d.person != p.person {
		m.old.paidBy[d.id] = p.no
		m.row(BucketPaidBy, be64(m.key[:0], uint64(d.id)), le.AppendUint64(m.value[:0], p.no))
	}
	m.retireDue(slot)
}

func (m *Machine) retireDue(slot uint32) {
	d := m.dues.at(slot)
	m.pastDues++
	if m.mayBeMissing(classDue, blockOf(d.id)) {
		m.old.dues[d.id] = m.old.add(dueValue(m.value[:0], d))
	}
	m.touch(classDueGone, m.dueGone.of(uint64(d.id)))
	m.dueGone.add(uint64(d.id))
	m.touchHead(d.person)
	who := m.personOf(d.person)
	who.past = max(who.past, d.period.Start())
	link := &who.dues
	for *link != slot {
		link = &m.dues.at(*link).next
	}
	*link = d.next
	m.dueByID.del(d.id)
	m.dues.drop(slot)
}

func (m *Machine) retireAck(a *ack, slot uint32) {
	m.touch(classAck, slot)
	m.track[classAck].clear(slot, m.gen)
	row := ackValue(m.value[:0], a)
	m.old.acks[a.id] = m.old.add(row)
	m.row(BucketAckOld, append(m.key[:0], a.id[:]...), row)
	m.row(BucketAck, append(m.key[:0], a.id[:]...), nil)
	m.ackByID.del(a.id, slot)
	m.acks.drop(slot)
}
