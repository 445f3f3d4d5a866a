package core

import "encoding/binary"

// chunkLen is how many records a chunk holds: large enough that the garbage
// collector sees few objects, small enough that growth does not stall a batch.
const chunkLen = 64 << 10

// pool keeps records of one kind in chunks, so that growing copies nothing and
// a pointer to a record stays good. Slot 0 is none.
type pool[T any] struct {
	chunks []*[chunkLen]T
	free   []uint32
	used   uint32 // slots ever handed out
}

func (p *pool[T]) at(slot uint32) *T {
	return &p.chunks[(slot-1)/chunkLen][(slot-1)%chunkLen]
}

// take hands out a zeroed record.
func (p *pool[T]) take() (uint32, *T) {
	if n := len(p.free); n > 0 {
		slot := p.free[n-1]
		p.free = p.free[:n-1]
		return slot, p.at(slot)
	}
	if int(p.used) == len(p.chunks)*chunkLen {
		p.chunks = append(p.chunks, new([chunkLen]T))
	}
	p.used++
	return p.used, p.at(p.used)
}

// drop zeroes a record and gives its slot back.
func (p *pool[T]) drop(slot uint32) {
	var zero T
	*p.at(slot) = zero
	p.free = append(p.free, slot)
}

// runs keeps short runs of values of different lengths. Freed runs are used
// again for runs of the same class, so that a steady load stops growing.
type runs[T any] struct {
	unit   int // lengths are rounded up to it
	chunks [][]T
	next   int // units handed out of the last chunk
	free   [][]uint32
}

// runsLen is the length of a chunk of runs in values.
const runsLen = 64 << 10

func (r *runs[T]) class(n int) int { return (n + r.unit - 1) / r.unit }

// take hands out a run of n values; their content is undefined. The reference
// is never 0.
func (r *runs[T]) take(n int) (uint32, []T) {
	class := r.class(n)
	for len(r.free) <= class {
		r.free = append(r.free, nil)
	}
	if f := r.free[class]; len(f) > 0 {
		ref := f[len(f)-1]
		r.free[class] = f[:len(f)-1]
		return ref, r.get(ref, n)
	}
	perChunk := runsLen / r.unit
	if len(r.chunks) == 0 || r.next+class > perChunk {
		r.chunks = append(r.chunks, make([]T, runsLen))
		r.next = 0
	}
	ref := uint32((len(r.chunks)-1)*perChunk + r.next + 1)
	r.next += class
	return ref, r.get(ref, n)
}

func (r *runs[T]) get(ref uint32, n int) []T {
	perChunk := runsLen / r.unit
	at := int(ref-1) % perChunk * r.unit
	return r.chunks[int(ref-1)/perChunk][at : at+n : at+n]
}

func (r *runs[T]) drop(ref uint32, n int) {
	if ref != 0 {
		class := r.class(n)
		r.free[class] = append(r.free[class], ref)
	}
}

// table finds the slot of a key by open addressing. It is made of shards that
// grow one by one, so that no batch waits while millions of entries move.
type table[K comparable] struct {
	shards [tableShards]shard
	n      int
	probes uint64 // entries looked at, for the test of its cost
	hash   func(K) uint64
	key    func(slot uint32) K
}

// shard is a part of a table. An entry is 8 bytes: the low half of the key's hash
// and the slot. Growing needs no key, and deleting leaves no grave.
type shard struct {
	entries []uint64 // hash<<32 | slot, 0 if free; the length is a power of two
	n       int
}

// tableShards: five million entries are 20,000 a shard, which move in about 0.1 ms.
const (
	tableShards = 256
	tableMin    = 16
)

func newTable[K comparable](hash func(K) uint64, key func(slot uint32) K) table[K] {
	return table[K]{hash: hash, key: key}
}

// find gives the shard of a key and the low half of its hash; the shard is chosen
// by bits of the other half.
func (t *table[K]) find(k K) (*shard, uint32) {
	h := t.hash(k)
	return &t.shards[h>>56], uint32(h)
}

// get gives the slot of a key, or 0.
func (t *table[K]) get(k K) uint32 {
	s, h := t.find(k)
	if s.n == 0 {
		return 0
	}
	mask := uint32(len(s.entries) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		t.probes++
		e := s.entries[i]
		if e == 0 {
			return 0
		}
		if uint32(e>>32) == h && t.key(uint32(e)) == k {
			return uint32(e)
		}
	}
}

// put adds a key that is not there.
func (t *table[K]) put(k K, slot uint32) {
	s, h := t.find(k)
	if 4*(s.n+1) > 3*len(s.entries) {
		s.grow()
	}
	s.insert(uint64(h)<<32 | uint64(slot))
	s.n++
	t.n++
}

func (s *shard) insert(e uint64) {
	mask := uint32(len(s.entries) - 1)
	i := uint32(e>>32) & mask
	for s.entries[i] != 0 {
		i = (i + 1) & mask
	}
	s.entries[i] = e
}

func (s *shard) grow() {
	old := s.entries
	s.entries = make([]uint64, max(tableMin, 2*len(old)))
	for _, e := range old {
		if e != 0 {
			s.insert(e)
		}
	}
}

// del removes the entry of a key and slot, if it is there, and closes the gap.
func (t *table[K]) del(k K, slot uint32) {
	s, h := t.find(k)
	if s.n == 0 {
		return
	}
	want := uint64(h)<<32 | uint64(slot)
	mask := uint32(len(s.entries) - 1)
	i := h & mask
	for s.entries[i] != want {
		if s.entries[i] == 0 {
			return
		}
		i = (i + 1) & mask
	}
	s.n--
	t.n--
	for j := i; ; {
		s.entries[i] = 0
		for {
			j = (j + 1) & mask
			e := s.entries[j]
			if e == 0 {
				return
			}
			// e may move to i unless its home lies behind i on the way to j.
			if home := uint32(e>>32) & mask; (j-home)&mask >= (j-i)&mask {
				break
			}
		}
		s.entries[i] = s.entries[j]
		i = j
	}
}

// mix spreads a number over all bits (the finaliser of splitmix64).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// mix16 spreads sixteen bytes.
func mix16(b [16]byte) uint64 {
	return mix(binary.LittleEndian.Uint64(b[:8])*0x9e3779b97f4a7c15 + binary.LittleEndian.Uint64(b[8:]))
}

// marks remembers which records changed since the last checkpoint, and which of
// those before it are not encoded yet. There are two generations: the current
// one, and the one of the checkpoint under way.
type marks struct {
	bits []uint8 // bit 1<<generation per record
	list [2][]uint32
}

func (k *marks) has(i uint32, gen uint8) bool {
	return int(i) < len(k.bits) && k.bits[i]&(1<<gen) != 0
}

func (k *marks) set(i uint32, gen uint8) {
	for int(i) >= len(k.bits) {
		k.bits = append(k.bits, make([]uint8, 1+len(k.bits))...)
	}
	if k.bits[i]&(1<<gen) == 0 {
		k.bits[i] |= 1 << gen
		k.list[gen] = append(k.list[gen], i)
	}
}

func (k *marks) clear(i uint32, gen uint8) {
	if int(i) < len(k.bits) {
		k.bits[i] &^= 1 << gen
	}
}
