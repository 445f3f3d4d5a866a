package core

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"sort"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
	"github.com/shebao-pay/shebao/si/ledgerapi/wire"
)

// ErrRows is returned when durable rows do not make a ledger: a damaged file, a
// file of another region, or one that another program wrote.
var ErrRows = errors.New("core: stored state does not fit")

// Restore fills an empty machine from the live buckets (up to LastLive), fed in
// bucket order and ascending key order; ok false ends the feed. A machine that
// Restore gave an error must not be used. Nothing is kept of the slices.
func (m *Machine) Restore(next func() (c Change, ok bool, err error)) error {
	if m.applied != 0 || m.payments != 0 || m.persons.used != 0 {
		return fmt.Errorf("%w: the machine is not empty", ErrRows)
	}
	var last Change
	for {
		c, ok, err := next()
		if err != nil {
			return fmt.Errorf("core: restore: %w", err)
		}
		if !ok {
			break
		}
		if c.Bucket < last.Bucket || (c.Bucket == last.Bucket && bytes.Compare(c.Key, last.Key) <= 0) || c.Bucket > LastLive {
			return fmt.Errorf("%w: row %s/%x is out of order", ErrRows, c.Bucket, c.Key)
		}
		if err := m.restoreRow(c); err != nil {
			return fmt.Errorf("%w: row %s/%x", err, c.Bucket, c.Key)
		}
		last = Change{Bucket: c.Bucket, Key: append(last.Key[:0], c.Key...)}
	}
	m.relink()
	if m.broken != nil {
		return m.broken
	}
	return nil
}

func (m *Machine) restoreRow(c Change) error {
	for _, s := range m.shelves {
		if s != nil && s.in() == c.Bucket {
			return s.restore(c.Key, c.Value)
		}
	}
	r := wire.NewReader(c.Value)
	k := wire.NewReader(c.Key)
	switch c.Bucket {
	case BucketMeta:
		switch string(c.Key) {
		case "ledger":
			if area := m.readMeta(&r); area != m.cfg.Area {
				return ErrRows
			}
		case "tree":
			m.treeFrom = r.U64()
			if !m.tree.Read(r.Bytes(r.Len())) {
				r.Fail()
			}
		default:
			return ErrRows
		}
	case BucketConfig:
		x := readConfig(&r)
		if r.Err() != nil || m.putConfig(x) != ledgerapi.OK {
			return ErrRows
		}
	case BucketTerminal:
		m.terminals = append(m.terminals, readTerminal(&r))
	case BucketWindow:
		b := &m.banks[k.U8()]
		b.open, b.prev, b.rrn = si.BusinessDate(r.U16()), si.BusinessDate(r.U16()), r.U32()
	case BucketSequence:
		m.restoreSequence(&k, &r)
	case BucketAccount:
		m.restoreAccount(&k, &r)
	case BucketPerson:
		slot, p := m.persons.take()
		if m.readPerson(&r, p); slot != beU32(&k) {
			r.Fail()
		}
		m.byIDHash.put(p.idHash, slot)
	case BucketCard:
		slot, x := m.cards.take()
		if *x = readCard(&r); slot != beU32(&k) || m.personOf(x.person) == nil {
			return ErrRows
		}
		m.byCard.put(x.cardHash, slot)
		if x.state != ledgerapi.CardReplaced {
			m.byPAN.put(x.panHash, slot)
		}
		p := m.personOf(x.person)
		x.next, p.cards = p.cards, slot
	case BucketPay:
		return m.restorePay(&k, &r)
	case BucketDue:
		return m.restoreBlock(&k, &r)
	case BucketNotice:
		slot, n := m.notices.take()
		if *n = m.readNotice(&r); slot != beU32(&k) || m.personOf(n.person) == nil {
			return ErrRows
		}
		m.byNotice.put(n.no, slot)
		p := m.personOf(n.person)
		n.next, p.notices = p.notices, slot
	case BucketAck:
		slot, a := m.acks.take()
		k.Fill(a.id[:])
		readAck(&r, a)
		m.ackByID.put(a.id, slot)
	case BucketIndividual:
		slot, x := m.indivs.take()
		x.key = indivKey{person: si.PersonNo(beU32(&k)), fund: si.Fund(k.U8())}
		x.key.year = beU16(&k)
		x.paid, x.subsidy = si.Fen(r.U64()), si.Fen(r.U64())
		if !x.key.fund.Valid() {
			return ErrRows
		}
		m.byIndiv.put(x.key, slot)
		m.indivSum[x.key.fund] += x.paid + x.subsidy
	default:
		return ErrRows
	}
	// Meta, business data and terminals repeat their key in the value.
	whole := c.Bucket == BucketMeta || c.Bucket == BucketConfig || c.Bucket == BucketTerminal
	if r.End() != nil || (!whole && k.End() != nil) {
		return ErrRows
	}
	return nil
}

// beU32 takes four bytes of a key.
func beU32(k *wire.Reader) uint32 {
	b := k.Bytes(4)
	if b == nil {
		return 0
	}
	return binary.BigEndian.Uint32(b)
}

func beU16(k *wire.Reader) uint16 {
	b := k.Bytes(2)
	if b == nil {
		return 0
	}
	return binary.BigEndian.Uint16(b)
}

func (m *Machine) restoreSequence(k, r *wire.Reader) {
	if k.U8() == 1 {
		d := m.receiptDay(si.BusinessDate(beU16(k)))
		d.last = r.U32()
		return
	}
	a := acquirer{bank: si.Bank(k.U8()), stan: r.U32()}
	k.Fill(a.de41[:])
	m.acqByDE41[keyOfAcquirer(a.bank, a.de41)] = uint16(len(m.acquirers))
	m.acquirers = append(m.acquirers, a)
}

func (m *Machine) restoreAccount(k, r *wire.Reader) {
	switch k.U8() {
	case 0:
		f := si.Fund(k.U8())
		if !f.Valid() {
			r.Fail()
			return
		}
		m.books[f] = readBook(r)
	case 1:
		b := &m.banks[k.U8()]
		readDay(r, b.day(si.BusinessDate(beU16(k))))
	case 2:
		readDateBook(r, m.dateBook(si.BusinessDate(beU16(k))))
	case 3:
		readDeposit(r, &m.banks[k.U8()])
	default:
		r.Fail()
	}
}

func (m *Machine) restorePay(k, r *wire.Reader) error {
	slot, p := m.pays.take()
	k.Fill(p.id[:])
	var h hold
	items, held, memo := m.readPay(r, p, &h, m.oldDues)
	m.oldDues = items
	if r.End() != nil || k.End() != nil || (p.person != 0 && m.personOf(p.person) == nil) {
		return ErrRows
	}
	switch {
	case p.n == 1 && items[1] == 0:
		p.dues = items[0]
		p.flags |= payInline
	case p.n > 0:
		ref, run := m.items.take(len(items))
		copy(run, items)
		p.dues = uint64(ref)
	}
	if held {
		h.memo = m.putBlob(memo)
		ref, to := m.holds.take()
		*to = h
		p.hold = ref
	}
	m.payByID.put(p.id, slot)
	if p.live() {
		if !held {
			return ErrRows
		}
		m.addLive(slot, p)
	}
	if p.receipt != 0 && p.receiptDate > m.sealed {
		d := m.receiptDay(p.receiptDate)
		if p.receipt > d.last {
			return ErrRows
		}
		for len(d.slots) < int(d.last) {
			d.slots = append(d.slots, 0)
		}
		d.slots[p.receipt-1] = slot
	}
	return nil
}

func (m *Machine) restoreBlock(k, r *wire.Reader) error {
	block := uint64(beU32(k))<<32 | uint64(beU32(k))
	if k.End() != nil {
		return ErrRows
	}
	for r.Len() > 0 {
		x, by := readDue(r)
		if r.Err() != nil || uint64(x.id)>>blockBits != block || m.personOf(x.person) == nil || m.dueByID.get(x.id) != 0 {
			return ErrRows
		}
		slot, d := m.dues.take()
		*d = x
		if !by.IsZero() {
			if d.pay = m.payByID.get(by); d.pay == 0 {
				return ErrRows
			}
		}
		m.dueByID.put(d.id, slot)
		p := m.personOf(d.person)
		d.next, p.dues = p.dues, slot
		if d.dead() {
			m.deadDues = append(m.deadDues, slot)
		}
	}
	return r.Err()
}

// relink threads the payments of each person, newest first.
func (m *Machine) relink() {
	slots := make([]uint32, 0, m.pays.used)
	for i := uint32(1); i <= m.pays.used; i++ {
		if m.pays.at(i).person != 0 {
			slots = append(slots, i)
		}
	}
	sort.Slice(slots, func(i, j int) bool { return m.pays.at(slots[i]).no < m.pays.at(slots[j]).no })
	for _, s := range slots {
		p := m.pays.at(s)
		who := m.personOf(p.person)
		p.next, who.pays = who.pays, s
	}
}
