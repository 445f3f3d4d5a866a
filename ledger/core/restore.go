package core

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
	"github.com/shebao-pay/shebao/si/ledgerapi/wire"
)

// ErrRows is returned when durable rows do not make a ledger: a damaged file, a
// file of another region, or one that another program wrote.
var ErrRows = errors.New("core: stored state does not fit")

// Restore fills an empty machine from the live buckets (up to LastLive), which it
// asks for in order. next gives a bucket's row behind the last one that it gave
// of it, or, if from is not nil, the first at or behind that key; ok false is the
// bucket's end. A machine that Restore gave an error must not be used. Nothing is
// kept of the slices.
func (m *Machine) Restore(next func(b Bucket, from []byte) (c Change, ok bool, err error)) error {
	if m.applied != 0 || m.payments != 0 || m.persons.used != 0 {
		return fmt.Errorf("%w: the machine is not empty", ErrRows)
	}
	for b := BucketMeta; b <= LastLive; b++ {
		var last []byte
		from := m.skip(b, nil)
		for {
			c, ok, err := next(b, from)
			if err != nil {
				return fmt.Errorf("core: restore: %w", err)
			}
			if !ok {
				break
			}
			if c.Bucket != b || last != nil && bytes.Compare(c.Key, last) <= 0 {
				return fmt.Errorf("%w: row %s/%x is out of order", ErrRows, c.Bucket, c.Key)
			}
			if err := m.restoreRow(c); err != nil {
				return fmt.Errorf("%w: row %s/%x", err, c.Bucket, c.Key)
			}
			last = append(last[:0], c.Key...)
			from = m.skip(b, last)
		}
	}
	if err := m.relink(); err != nil {
		return err
	}
	return m.broken
}

// skip is the key to go on with behind the last one, past rows that are history;
// nil is the next.
func (m *Machine) skip(b Bucket, last []byte) []byte {
	next := uint64(1) // a payment's number, a due's id
	if last != nil {
		if len(last) != 8 {
			return nil
		}
		next = binary.BigEndian.Uint64(last) + 1
	}
	switch b {
	case BucketPay:
		if n := m.payGone.skip(next); n > next {
			return be64(nil, n)
		}
	case BucketDue:
		if last != nil {
			next <<= blockBits
		}
		if n := m.dueGone.skip(next); n > next {
			return be64(nil, uint64(blockOf(si.DueID(n))))
		}
	default:
	}
	return nil
}

func (m *Machine) restoreRow(c Change) error {
	if c.Bucket > BucketIndividual {
		for _, s := range m.shelves {
			if s != nil && s.in() == c.Bucket {
				return s.restore(c.Key, c.Value)
			}
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
	case BucketHead:
		m.restoreHead(beU32(&k), &r)
	case BucketPayGone, BucketDueGone:
		g := &m.payGone
		if c.Bucket == BucketDueGone {
			g = &m.dueGone
		}
		if !g.restore(beU64(&k), c.Value) || k.End() != nil {
			return ErrRows
		}
		return nil
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
		m.ackQueue = append(m.ackQueue, slot)
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

func beU64(k *wire.Reader) uint64 {
	b := k.Bytes(8)
	if b == nil {
		return 0
	}
	return binary.BigEndian.Uint64(b)
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
		d.slots = make([]uint32, d.last)
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
	no := beU64(k)
	if k.End() != nil || no == 0 || no > m.payments {
		return ErrRows
	}
	if m.payGone.has(no) {
		return nil
	}
	slot, p := m.pays.take()
	p.no = no
	var h hold
	items, held, memo := m.readPay(r, p, &h, m.oldDues)
	m.oldDues = items
	if r.End() != nil || (p.person != 0 && m.personOf(p.person) == nil) || m.payByID.get(p.id) != 0 {
		return ErrRows
	}
	if p.person != 0 { // numbers ascend: the newest comes last
		who := m.personOf(p.person)
		p.next, who.pays = who.pays, slot
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
	if p.receipt == 0 {
		if !p.live() {
			m.closed = append(m.closed, slot)
		}
		return nil
	}
	d := m.receiptDay(p.receiptDate)
	if p.receipt > d.last || d.slots[p.receipt-1] != 0 {
		return ErrRows
	}
	d.slots[p.receipt-1] = slot
	d.left++
	return nil
}

// restoreHead reads the heads of a block of persons.
func (m *Machine) restoreHead(block uint32, r *wire.Reader) {
	for no := max(1, block<<blockBits); no < (block+1)<<blockBits && no <= m.persons.used; no++ {
		p := m.persons.at(no)
		p.lastDue, p.oldPay, p.past = si.DueID(r.U64()), r.U64(), r.U16()
	}
}

func (m *Machine) restoreBlock(k, r *wire.Reader) error {
	block := beU64(k)
	if k.End() != nil {
		return ErrRows
	}
	for id := max(1, si.DueID(block)<<blockBits); r.Len() > 0; id++ {
		x := readDue(r)
		if r.Err() != nil || x.id != id || uint64(id) > m.lastDue || uint64(blockOf(id)) != block || m.personOf(x.person) == nil {
			return ErrRows
		}
		if m.dueGone.has(uint64(x.id)) {
			continue
		}
		slot, d := m.dues.take()
		*d = x
		m.dueByID.put(d.id, slot)
		m.linkDue(d, slot)
		if d.dead() {
			m.deadDues = append(m.deadDues, slot)
		}
	}
	return r.Err()
}

// relink gives the dues that a payment has the state that the payment says, and
// puts what came in order of id into order of time.
func (m *Machine) relink() error {
	slices.SortFunc(m.ackQueue, func(a, b uint32) int { return cmp.Compare(m.acks.at(a).at, m.acks.at(b).at) })
	for slot := uint32(1); slot <= m.pays.used; slot++ {
		p := m.pays.at(slot)
		state := wantDue(p)
		if state == 0 {
			continue
		}
		if p.state == ledgerapi.PayPosted && p.book > m.sealed {
			m.tally(p, 1)
		}
		for i := range int(p.n) {
			id, _ := m.item(p, i)
			if m.isRefunded(p.id, id) {
				continue
			}
			s := m.dueByID.get(id)
			if s == 0 || m.dues.at(s).pay != 0 {
				return fmt.Errorf("%w: due %d of payment %s is missing or has another payment", ErrRows, id, p.id)
			}
			m.dues.at(s).state, m.dues.at(s).pay = state, slot
		}
	}
	return nil
}
