package core

import (
	"bytes"
	"sort"

	"github.com/shebao-pay/shebao/si/ledgerapi/wire"
)

// shelf keeps the records of one kind that are off the payment path: found by
// key, never deleted, each one row of its bucket. A kind states its key and its
// fields once; checkpoint, restart and digest follow from that.
//
// The order of slots is that of arrival until a restart and that of keys after
// it, so nothing that Apply decides may hang on it.
type shelf[K comparable, T any] struct {
	shelfPool[T]
	m      *Machine
	class  class
	bucket Bucket
	index  table[K]
	key    func(*T) K
	rowKey func(dst []byte, k K) []byte // ascends with what it counts
	fields func(*wire.Form, *T)
	// placed is told of each record that is new on the shelf or restored, for
	// indexes beside the key; nil if there are none.
	placed func(slot uint32, v *T)
	value  []byte
}

// shelfPool keeps the records of a shelf. Its chunks are small: most kinds are
// few, and there are many kinds.
type shelfPool[T any] struct {
	chunks []*[shelfChunk]T
	used   uint32 // slots handed out
}

// shelfChunk is how many records a chunk of a shelf holds.
const shelfChunk = 1 << 10

func (p *shelfPool[T]) at(slot uint32) *T {
	return &p.chunks[(slot-1)/shelfChunk][(slot-1)%shelfChunk]
}

func (p *shelfPool[T]) take() (uint32, *T) {
	if int(p.used) == len(p.chunks)*shelfChunk {
		p.chunks = append(p.chunks, new([shelfChunk]T))
	}
	p.used++
	return p.used, p.at(p.used)
}

// kept is what the machine needs of every shelf.
type kept interface {
	in() Bucket
	encode(slot uint32, to *rowBuf)
	restore(key, value []byte) error
	sorted() []uint32
}

// shelve makes a shelf and registers it for checkpoint, restart and digest.
func shelve[K comparable, T any](m *Machine, c class, b Bucket, hash func(K) uint64, key func(*T) K,
	rowKey func([]byte, K) []byte, fields func(*wire.Form, *T)) *shelf[K, T] {
	s := &shelf[K, T]{m: m, class: c, bucket: b, key: key, rowKey: rowKey, fields: fields}
	s.index = newTable(hash, func(slot uint32) K { return s.key(s.at(slot)) })
	m.shelves[c] = s
	return s
}

// get finds a record to read, nil if there is none.
func (s *shelf[K, T]) get(k K) *T {
	slot := s.index.get(k)
	if slot == 0 {
		return nil
	}
	return s.at(slot)
}

// change finds a record that is about to change, nil if there is none.
func (s *shelf[K, T]) change(k K) *T {
	slot := s.index.get(k)
	if slot == 0 {
		return nil
	}
	s.m.touch(s.class, slot)
	return s.at(slot)
}

// add puts a record whose key is not there yet.
func (s *shelf[K, T]) add(v T) {
	slot, to := s.take()
	*to = v
	s.m.touch(s.class, slot)
	s.place(slot, to)
}

func (s *shelf[K, T]) place(slot uint32, v *T) {
	s.index.put(s.key(v), slot)
	if s.placed != nil {
		s.placed(slot, v)
	}
}

func (s *shelf[K, T]) in() Bucket { return s.bucket }

func (s *shelf[K, T]) encode(slot uint32, to *rowBuf) {
	v := s.at(slot)
	s.value = wire.Append(s.value[:0], func(f *wire.Form) { s.fields(f, v) })
	s.m.key = s.rowKey(s.m.key[:0], s.key(v))
	to.add(s.bucket, s.m.key, s.value)
}

// restore takes a row back. The key must be the one that the value says.
func (s *shelf[K, T]) restore(key, value []byte) error {
	var v T
	r := wire.NewReader(value)
	wire.Read(&r, func(f *wire.Form) { s.fields(f, &v) })
	if r.End() != nil || !bytes.Equal(s.rowKey(nil, s.key(&v)), key) {
		return ErrRows
	}
	slot, to := s.take()
	*to = v
	s.place(slot, to)
	return nil
}

// sorted are the slots in order of their row keys.
func (s *shelf[K, T]) sorted() []uint32 {
	slots := make([]uint32, s.used)
	keys := make([][]byte, s.used)
	for i := range slots {
		slots[i] = uint32(i + 1)
		keys[i] = s.rowKey(nil, s.key(s.at(slots[i])))
	}
	sort.Slice(slots, func(i, j int) bool { return bytes.Compare(keys[slots[i]-1], keys[slots[j]-1]) < 0 })
	return slots
}
