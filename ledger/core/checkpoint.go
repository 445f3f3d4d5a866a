package core

import (
	"crypto/sha256"

	"github.com/shebao-pay/shebao/si"
)

// class is a kind of record whose changes are tracked one by one.
type class uint8

const (
	classPay class = iota
	classDue       // by block
	classPerson
	classHead // by block
	classPayGone
	classDueGone
	classCard
	classNotice
	classAck
	classIndividual
	classProxy
	classCover
	classCoverMove
	classArrival
	classCoverCert
	classMandate
	classBinding
	classCertified
	classStatement
	classCase
	classCaseStep
	classBooking
	classProposal
	classStatementLine
	classSuspense
	classRefund
	classUndone
	classBreak
	classFile
	classRun
	classRunLine
	classDayHead
	classAnchor
	classUser
	classes
)

// touch is called before a record changes: it will be in the next checkpoint,
// and the one under way gets it as it still is.
func (m *Machine) touch(k class, i uint32) {
	if m.cfg.Volatile {
		return
	}
	t := &m.track[k]
	if m.frozen != nil && t.has(i, m.frozen.gen) {
		m.frozen.encode(k, i)
	}
	t.set(i, m.gen)
}

func (m *Machine) touchDue(id si.DueID) { m.touch(classDue, blockOf(id)) }

func (m *Machine) touchHead(no si.PersonNo) { m.touch(classHead, uint32(no)>>blockBits) }

// row adds a row that is final as it is given: history, business data, or with
// a nil value the deletion of a key.
func (m *Machine) row(b Bucket, key, value []byte) {
	m.key = key[:0]
	if value != nil {
		m.value = value[:0]
	}
	if !m.cfg.Volatile {
		m.rows.add(b, key, value)
	}
}

// encodeRow adds the row of a tracked record as it stands.
func (m *Machine) encodeRow(k class, i uint32, to *rowBuf) {
	if s := m.shelves[k]; s != nil {
		s.encode(i, to)
		return
	}
	key, v := m.key[:0], m.value[:0]
	b := BucketPay
	switch k {
	case classPay:
		p := m.pays.at(i)
		key, v = be64(key, p.no), m.payValue(v, p)
	case classDue:
		b, key, v = BucketDue, be64(key, uint64(i)), m.blockValue(v, i)
	case classHead:
		b, key, v = BucketHead, be32(key, i), m.headValue(v, i)
	case classPayGone:
		b, key, v = BucketPayGone, be64(key, uint64(i)), m.payGone.value(v, i)
	case classDueGone:
		b, key, v = BucketDueGone, be64(key, uint64(i)), m.dueGone.value(v, i)
	case classPerson:
		b, key, v = BucketPerson, be32(key, i), m.personValue(v, m.persons.at(i))
	case classCard:
		b, key, v = BucketCard, be32(key, i), cardValue(v, m.cards.at(i))
	case classNotice:
		b, key, v = BucketNotice, be32(key, i), m.noticeValue(v, m.notices.at(i))
	case classAck:
		a := m.acks.at(i)
		b, key, v = BucketAck, append(key, a.id[:]...), ackValue(v, a)
	case classIndividual:
		x := m.indivs.at(i)
		b, key, v = BucketIndividual, indivKeyRow(key, x.key), individualValue(v, x)
	default: // on a shelf
	}
	m.key, m.value = key, v
	to.add(b, key, v)
}

// smallRows adds the rows that every checkpoint holds: few, and nearly all of
// them change between two.
func (m *Machine) smallRows(to *rowBuf, everyDay bool) {
	to.add(BucketMeta, []byte("ledger"), m.metaValue(nil))
	to.add(BucketMeta, []byte("tree"), m.tree.Append(le.AppendUint64(nil, m.treeFrom)))
	for i := range m.banks {
		b := &m.banks[i]
		if b.open != 0 {
			v := le.AppendUint16(nil, uint16(b.open))
			v = le.AppendUint16(v, uint16(b.prev))
			to.add(BucketWindow, []byte{byte(i)}, le.AppendUint32(v, b.rrn))
			to.add(BucketAccount, []byte{3, byte(i)}, depositValue(nil, b))
		}
		for _, d := range b.days {
			if everyDay || d.changed {
				to.add(BucketAccount, be16([]byte{1, byte(i)}, uint16(d.date)), dayValue(nil, d))
			}
		}
	}
	for f := 1; f < funds; f++ {
		to.add(BucketAccount, []byte{0, byte(f)}, bookValue(nil, &m.books[f]))
	}
	for _, x := range m.dates {
		to.add(BucketAccount, be16([]byte{2}, uint16(x.date)), dateBookValue(nil, x))
	}
	for _, a := range m.acquirers {
		to.add(BucketSequence, append([]byte{0, byte(a.bank)}, a.de41[:]...), le.AppendUint32(nil, a.stan))
	}
	for _, r := range m.receipts {
		to.add(BucketSequence, be16([]byte{1}, uint16(r.date)), le.AppendUint32(nil, r.last))
	}
}

// Freeze begins a checkpoint: everything that changed since the last one, as it
// stands now, and the whole live state the first time. It takes about constant
// time; the caller then calls Step until done, between batches as it likes. A
// second Freeze before Release is a mistake of the caller and panics.
func (m *Machine) Freeze() *Changes {
	if m.frozen != nil || m.cfg.Volatile {
		panic("core: Freeze while a checkpoint is under way, or of a volatile machine")
	}
	c := &Changes{m: m, gen: m.gen, rows: m.rows, old: m.old, applied: m.applied, head: m.head}
	m.smallRows(&c.rows, false)
	for i := range m.banks {
		for _, d := range m.banks[i].days {
			d.changed = false
		}
	}
	m.rows, m.old = rowBuf{}, oldRows{}
	m.old.init()
	m.gen ^= 1
	m.frozen = c
	return c
}

// Dirty is how many rows and about how many bytes the next Freeze would hold.
func (m *Machine) Dirty() (rows, size int) {
	rows, size = m.rows.len(), m.rows.size
	about := [classes]int{classPay: paySize, classDue: dueSize << blockBits, classPerson: 300,
		classHead: headSize << blockBits, classPayGone: goneLen / 8, classDueGone: goneLen / 8, classCard: 64,
		classNotice: 48, classAck: 120, classIndividual: 32}
	for k := range m.track {
		n, each := len(m.track[k].list[m.gen]), about[k]
		if each == 0 {
			each = shelfRow
		}
		rows += n
		size += n * each
	}
	return rows, size
}

// shelfRow is about what a record on a shelf takes.
const shelfRow = 64

// Release is called when a checkpoint is durable and visible through Past. What
// was kept in memory only until then is let go.
func (m *Machine) Release(c *Changes) {
	if m.frozen != c || !c.done {
		panic("core: Release of a checkpoint that is not under way or not stepped to its end")
	}
	m.frozen = nil
}

// Changes is a checkpoint in the making.
type Changes struct {
	m       *Machine
	gen     uint8
	class   class
	next    int // in the class's list
	done    bool
	rows    rowBuf
	old     oldRows
	applied uint64
	head    [32]byte
}

// Applied is the index of the last batch that the checkpoint contains.
func (c *Changes) Applied() uint64 { return c.applied }

// Head is the chain head at Applied.
func (c *Changes) Head() [32]byte { return c.head }

// Step encodes at most max further records and tells whether all are done. It
// belongs to the machine's owner, like ApplyBatch: call it under the same lock
// and let go of the lock between calls.
func (c *Changes) Step(max int) (done bool) {
	for !c.done && max > 0 {
		t := &c.m.track[c.class]
		list := t.list[c.gen]
		if c.next == len(list) {
			t.list[c.gen] = list[:0]
			c.next = 0
			c.class++
			c.done = c.class == classes
			continue
		}
		i := list[c.next]
		c.next++
		if t.has(i, c.gen) { // else it changed meanwhile and is encoded
			c.encode(c.class, i)
			if max--; c.class == classDue || c.class == classHead {
				max -= blockCost
			}
		}
	}
	return c.done
}

// blockCost is how many other records a block takes as long as to encode.
const blockCost = 40

func (c *Changes) encode(k class, i uint32) {
	c.m.track[k].clear(i, c.gen)
	c.m.encodeRow(k, i, &c.rows)
}

// Len is how many rows the checkpoint holds, those written twice included.
func (c *Changes) Len() int { return c.rows.len() }

// Each visits every change in ascending order of bucket and key, each key once.
// It may be called once Step has said done, by any goroutine, without the lock.
// Applied index and head are in BucketMeta like everything else. Key and Value
// are good until the next visit ends.
func (c *Changes) Each(visit func(Change) error) error {
	refs := c.rows.sorted()
	for i := range refs {
		if i+1 < len(refs) && c.rows.same(&refs[i], &refs[i+1]) {
			continue // the later row of a key counts
		}
		if err := visit(c.rows.change(&refs[i])); err != nil {
			return err
		}
	}
	return nil
}

// Digest is SHA-256 over the live state in canonical form: every row of the
// live buckets that is in memory, each as bucket u8, key length u16, key, value
// length u32, value; first those that are gathered and sorted, then persons,
// cards, notices, heads, the dues one by one under their ids, and the shelves, each
// part ascending. Two machines that applied the same log have the same digest,
// whether replayed or restored.
func (m *Machine) Digest() [32]byte {
	h := sha256.New()
	var head [7]byte
	write := func(b Bucket, key, value []byte) {
		head[0] = byte(b)
		le.PutUint16(head[1:], uint16(len(key)))
		le.PutUint32(head[3:], uint32(len(value)))
		_, _ = h.Write(head[:3])
		_, _ = h.Write(key)
		_, _ = h.Write(head[3:])
		_, _ = h.Write(value)
	}
	// Dues and persons are many and come in order by themselves; the rest is
	// gathered and sorted.
	var rows rowBuf
	m.smallRows(&rows, true)
	for _, x := range m.configs {
		rows.add(BucketConfig, configKey(nil, x), configValue(nil, x))
	}
	for i := range m.terminals {
		rows.add(BucketTerminal, be32(nil, uint32(m.terminals[i].Terminal)), terminalValue(nil, &m.terminals[i]))
	}
	for i := uint32(1); i <= m.pays.used; i++ {
		if m.pays.at(i).state != 0 {
			m.encodeRow(classPay, i, &rows)
		}
	}
	for i := uint32(1); i <= m.acks.used; i++ {
		if m.acks.at(i).at != 0 {
			m.encodeRow(classAck, i, &rows)
		}
	}
	for i := uint32(1); i <= m.indivs.used; i++ {
		m.encodeRow(classIndividual, i, &rows)
	}
	refs := rows.sorted()
	for i := range refs {
		c := rows.change(&refs[i])
		write(c.Bucket, c.Key, c.Value)
	}
	var one rowBuf
	each := func(k class, used uint32) {
		for i := uint32(1); i <= used; i++ {
			one.reset()
			m.encodeRow(k, i, &one)
			c := one.change(&one.refs[0])
			write(c.Bucket, c.Key, c.Value)
		}
	}
	each(classPerson, m.persons.used)
	each(classCard, m.cards.used)
	each(classNotice, m.notices.used)
	for i := range m.persons.used>>blockBits + 1 {
		one.reset()
		m.encodeRow(classHead, i, &one)
		c := one.change(&one.refs[0])
		write(c.Bucket, c.Key, c.Value)
	}
	var key, row []byte
	for id := m.dueGone.skip(1); id <= m.lastDue; id = m.dueGone.skip(id + 1) {
		if slot := m.dueByID.get(si.DueID(id)); slot != 0 {
			key, row = be64(key[:0], id), dueValue(row[:0], m.dues.at(slot))
			write(BucketDue, key, row)
		}
	}
	for k, s := range m.shelves {
		if s == nil {
			continue
		}
		for _, slot := range s.sorted() {
			one.reset()
			m.encodeRow(class(k), slot, &one)
			c := one.change(&one.refs[0])
			write(c.Bucket, c.Key, c.Value)
		}
	}
	var sum [32]byte
	h.Sum(sum[:0])
	return sum
}
