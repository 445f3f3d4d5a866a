package core

import (
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
	"github.com/shebao-pay/shebao/si/ledgerapi/wire"
)

// oldRows are the rows that left memory and are not yet durable: they answer in
// place of Past until Release. A day leaves at once, so they hold no pointer a
// row: bytes stand in large pieces, lists are threaded through links.
type oldRows struct {
	pieces   [][]byte
	pays     map[si.PaymentID]place
	dues     map[si.DueID]place
	acks     map[si.PaymentID]place
	receipts map[si.ReceiptNo]si.PaymentID
	closings map[si.BusinessDate]place
	paysOf   map[si.PersonNo]uint32 // 1 + index of the head in payLinks
	duesOf   map[si.PersonNo]uint32 // the same in dueLinks
	payLinks []oldLink[si.PaymentID]
	dueLinks []oldLink[si.DueID]
}

// place is where a row stands in pieces.
type place struct{ piece, at, n uint32 }

type oldLink[K any] struct {
	id   K
	next uint32
}

// init makes room for n payments.
func (o *oldRows) init(n int) {
	o.pays = make(map[si.PaymentID]place, n)
	o.dues = make(map[si.DueID]place, n)
	o.acks = map[si.PaymentID]place{}
	o.closings = map[si.BusinessDate]place{}
	o.receipts = make(map[si.ReceiptNo]si.PaymentID, n)
	o.paysOf = make(map[si.PersonNo]uint32, n)
	o.duesOf = make(map[si.PersonNo]uint32, n)
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

func (o *oldRows) row(p place) []byte { return o.pieces[p.piece][p.at : p.at+p.n] }

// rowIn is a row of one of the maps of oldRows.
func rowIn[K comparable](o *oldRows, in map[K]place, k K) ([]byte, bool) {
	p, ok := in[k]
	if !ok {
		return nil, false
	}
	return o.row(p), true
}

// unreleased visits the sets of rows that Past cannot give yet.
func (m *Machine) unreleased(visit func(*oldRows) bool) {
	if visit(&m.old) && m.frozen != nil {
		visit(&m.frozen.old)
	}
}

func (m *Machine) pastGet(b Bucket, key []byte) ([]byte, bool) {
	if m.cfg.Past == nil {
		return nil, false
	}
	return m.cfg.Past.Get(b, key)
}

// oldPayRow is the row of a payment that left memory.
func (m *Machine) oldPayRow(id si.PaymentID) ([]byte, bool) {
	row, ok := rowIn(&m.old, m.old.pays, id)
	if !ok && m.frozen != nil {
		row, ok = rowIn(&m.frozen.old, m.frozen.old.pays, id)
	}
	if ok {
		return row, true
	}
	return m.pastGet(BucketPayOld, id[:])
}

// loadOld reads a payment that left memory into m.oldPay.
func (m *Machine) loadOld(id si.PaymentID) bool {
	row, ok := m.oldPayRow(id)
	if !ok {
		return false
	}
	r := wire.NewReader(row)
	m.oldPay, m.oldHold = pay{id: id}, hold{}
	items, held, _ := m.readPay(&r, &m.oldPay, &m.oldHold, m.oldDues)
	m.oldDues = items
	if held {
		m.oldPay.hold = 1
	}
	if r.End() != nil {
		m.fail("stored payment %s is unreadable", id)
		return false
	}
	if u := m.undone.get(id); u != nil {
		m.oldPay.state, m.oldPay.ended = ledgerapi.PayVoided, u.at
		m.oldPay.flags |= payCorrected
	}
	return true
}

// oldDue is a due that left memory, with the payment that paid it.
func (m *Machine) oldDue(id si.DueID) (d due, by si.PaymentID, ok bool) {
	if m.pastDues == 0 {
		return d, by, false
	}
	row, ok := rowIn(&m.old, m.old.dues, id)
	if !ok && m.frozen != nil {
		row, ok = rowIn(&m.frozen.old, m.frozen.old.dues, id)
	}
	if !ok {
		var owner []byte
		if owner, ok = m.pastGet(BucketDueOwner, be64(m.key[:0], uint64(id))); ok {
			row, ok = m.pastGet(BucketDueOld, be64(append([]byte(nil), owner...), uint64(id)))
		}
	}
	if !ok {
		return d, by, false
	}
	r := wire.NewReader(row)
	d, by = readDue(&r)
	if r.End() != nil {
		m.fail("stored due %d is unreadable", id)
		return due{}, by, false
	}
	return d, by, true
}

// eachOldDue visits the dues of a person that left memory and did not come back,
// each once, in an order that differs between a machine and its replay: what is
// made of them must not.
func (m *Machine) eachOldDue(who si.PersonNo, visit func(d *due, by si.PaymentID) bool) {
	if m.pastDues == 0 {
		return
	}
	more := true
	// read takes a row unless the due stands in a newer place.
	read := func(row []byte, newer ...*oldRows) bool {
		r := wire.NewReader(row)
		d, by := readDue(&r)
		if r.End() != nil {
			m.fail("a stored due of person %d is unreadable", who)
			return false
		}
		known := m.dueByID.get(d.id) != 0
		for _, o := range newer {
			_, there := o.dues[d.id]
			known = known || there
		}
		if !known {
			more = visit(&d, by)
		}
		return more
	}
	sets := []*oldRows{&m.old}
	if m.frozen != nil {
		sets = append(sets, &m.frozen.old)
	}
	if m.cfg.Past != nil {
		m.cfg.Past.Scan(BucketDueOld, be32(nil, uint32(who)), false, func(_, row []byte) bool { return read(row, sets...) })
	}
	for n, o := range sets {
		for i := o.duesOf[who]; i != 0 && more; i = o.dueLinks[i-1].next {
			row, _ := rowIn(o, o.dues, o.dueLinks[i-1].id)
			read(row, sets[:n]...)
		}
	}
}

// oldAck is a command of a sealed date.
func (m *Machine) oldAck(id si.PaymentID) *ack {
	if m.sealed == 0 {
		return nil
	}
	row, ok := rowIn(&m.old, m.old.acks, id)
	if !ok && m.frozen != nil {
		row, ok = rowIn(&m.frozen.old, m.frozen.old.acks, id)
	}
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

// applySealDay freezes a date that all banks have left. What ended on it goes
// to history; what is still in doubt stays, and is booked on the open date.
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
	if len(m.old.pieces) == 0 {
		m.old.init(m.payByID.n)
	}
	m.closeDay(c.Date)
	m.sealed = c.Date
	for slot := uint32(1); slot <= m.pays.used; slot++ {
		p := m.pays.at(slot)
		if p.state == 0 || p.live() || p.book > m.sealed {
			continue
		}
		if p.state == ledgerapi.PayPosted {
			out.Count++
			out.Total += p.total
		}
		m.retirePay(p, slot)
	}
	for _, slot := range m.deadDues {
		m.retireDue(slot, si.PaymentID{})
	}
	m.deadDues = m.deadDues[:0]
	for slot := uint32(1); slot <= m.acks.used; slot++ {
		if a := m.acks.at(slot); a.at != 0 && dateOfMillis(a.at) <= m.sealed {
			m.retireAck(a, slot)
		}
	}
	for len(m.receipts) > 0 && m.receipts[0].date <= m.sealed {
		r := m.receipts[0]
		m.row(BucketSequence, be16(append(m.key[:0], 1), uint16(r.date)), nil)
		m.receipts = m.receipts[1:]
	}
	out.Code, out.OurDate = ledgerapi.OK, c.Date
}

// retirePay moves a payment that has ended, and the dues that it paid, to history.
func (m *Machine) retirePay(p *pay, slot uint32) {
	m.touch(classPay, slot)
	m.track[classPay].clear(slot, m.gen)
	m.pastMillis = max(m.pastMillis, p.id.Millis())
	row := m.payValue(m.value[:0], p)
	m.old.pays[p.id] = m.old.add(row)
	m.row(BucketPayOld, append(m.key[:0], p.id[:]...), row)
	m.row(BucketPay, append(m.key[:0], p.id[:]...), nil)
	if p.person != 0 {
		m.old.payLinks = append(m.old.payLinks, oldLink[si.PaymentID]{p.id, m.old.paysOf[p.person]})
		m.old.paysOf[p.person] = uint32(len(m.old.payLinks))
		m.row(BucketPayPerson, be64(be32(m.key[:0], uint32(p.person)), p.no), append(m.value[:0], p.id[:]...))
		m.unlinkPay(p, slot)
	}
	if p.receipt != 0 {
		m.old.receipts[si.ReceiptNo{Area: m.cfg.Area, Date: p.receiptDate, Seq: p.receipt}] = p.id
		m.row(BucketReceipt, be32(be16(m.key[:0], uint16(p.receiptDate)), p.receipt), append(m.value[:0], p.id[:]...))
	}
	if p.state == ledgerapi.PayPosted {
		for i := range int(p.n) {
			id, _ := m.item(p, i)
			if due := m.dueByID.get(id); due != 0 && m.dues.at(due).pay == slot { // else it was refunded
				m.retireDue(due, p.id)
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

func (m *Machine) unlinkPay(p *pay, slot uint32) {
	link := &m.personOf(p.person).pays
	for *link != slot {
		link = &m.pays.at(*link).next
	}
	*link = p.next
}

func (m *Machine) retireDue(slot uint32, by si.PaymentID) {
	d := m.dues.at(slot)
	m.touchDue(d.id)
	m.pastDues++
	row := dueValue(m.value[:0], d, by)
	if _, known := m.old.dues[d.id]; !known { // else it came back and leaves again
		m.old.dueLinks = append(m.old.dueLinks, oldLink[si.DueID]{d.id, m.old.duesOf[d.person]})
		m.old.duesOf[d.person] = uint32(len(m.old.dueLinks))
	}
	m.old.dues[d.id] = m.old.add(row)
	m.row(BucketDueOld, be64(be32(m.key[:0], uint32(d.person)), uint64(d.id)), row)
	m.row(BucketDueOwner, be64(m.key[:0], uint64(d.id)), be32(m.value[:0], uint32(d.person)))
	link := &m.personOf(d.person).dues
	for *link != slot {
		link = &m.dues.at(*link).next
	}
	*link = d.next
	m.dueByID.del(d.id, slot)
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
