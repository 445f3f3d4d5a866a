package core

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
)

// rowBuf holds encoded rows in large pieces, so that adding one never moves many.
type rowBuf struct {
	chunks [][]byte
	full   [][]rowRef // pieces of refs that are full
	refs   []rowRef
	size   int
}

// rowRef is one row. prefix are the first eight bytes of its key, big-endian:
// most comparisons end there.
type rowRef struct {
	prefix uint64
	chunk  uint32
	at     uint32
	value  uint32 // length; noValue deletes
	key    uint16 // length
	bucket Bucket
}

const (
	noValue      = 1<<32 - 1
	rowChunkSize = 1 << 20
	// refChunk is how many refs a piece holds: 768 KiB.
	refChunk = 32 << 10
)

func (r *rowBuf) len() int { return len(r.full)*refChunk + len(r.refs) }

func (r *rowBuf) add(b Bucket, key, value []byte) {
	need := len(key) + len(value)
	n := len(r.chunks)
	if n == 0 || cap(r.chunks[n-1])-len(r.chunks[n-1]) < need {
		r.chunks = append(r.chunks, make([]byte, 0, max(need, rowChunkSize)))
		n++
	}
	c := r.chunks[n-1]
	ref := rowRef{prefix: prefixOf(key), chunk: uint32(n - 1), at: uint32(len(c)), value: uint32(len(value)),
		key: uint16(len(key)), bucket: b}
	if value == nil {
		ref.value = noValue
	}
	r.chunks[n-1] = append(append(c, key...), value...)
	if len(r.refs) == refChunk {
		r.full, r.refs = append(r.full, r.refs), make([]rowRef, 0, refChunk)
	}
	r.refs = append(r.refs, ref)
	r.size += need
}

func prefixOf(key []byte) uint64 {
	if len(key) >= 8 {
		return binary.BigEndian.Uint64(key)
	}
	var b [8]byte
	copy(b[:], key)
	return binary.BigEndian.Uint64(b[:])
}

// reset empties a buffer of few rows.
func (r *rowBuf) reset() {
	if len(r.chunks) > 1 {
		r.chunks = r.chunks[:1]
	}
	for i := range r.chunks {
		r.chunks[i] = r.chunks[i][:0]
	}
	r.full, r.refs, r.size = nil, r.refs[:0], 0
}

// between gives the rows of a bucket whose keys are numbers of eight bytes, from
// one to another, in the order they were added. It may be called while sorted is
// at work.
func (r *rowBuf) between(b Bucket, from, to uint64) (found []rowRef) {
	take := func(piece []rowRef) {
		for i := range piece {
			if f := &piece[i]; f.bucket == b && f.prefix >= from && f.prefix <= to {
				found = append(found, *f)
			}
		}
	}
	for _, piece := range r.full {
		take(piece)
	}
	take(r.refs)
	return found
}

func (r *rowBuf) keyOf(f *rowRef) []byte {
	return r.chunks[f.chunk][f.at : f.at+uint32(f.key) : f.at+uint32(f.key)]
}

func (r *rowBuf) change(f *rowRef) Change {
	c := Change{Bucket: f.bucket, Key: r.keyOf(f)}
	if f.value != noValue {
		at := f.at + uint32(f.key)
		c.Value = r.chunks[f.chunk][at : at+f.value : at+f.value]
	}
	return c
}

func (r *rowBuf) same(a, b *rowRef) bool {
	return a.bucket == b.bucket && a.prefix == b.prefix && bytes.Equal(r.keyOf(a), r.keyOf(b))
}

// sorted gives the rows ordered by bucket and key, those of one key in the order
// they were added. Rows of a bucket are gathered first: most of a checkpoint is
// payments and journal, which come in order and need no sorting.
func (r *rowBuf) sorted() []rowRef {
	var ends [bucketEnd + 1]int
	pieces := append(slices.Clone(r.full), r.refs)
	for _, p := range pieces {
		for i := range p {
			ends[p[i].bucket+1]++
		}
	}
	for b := 1; b < len(ends); b++ {
		ends[b] += ends[b-1]
	}
	next := ends
	out := make([]rowRef, r.len())
	for _, p := range pieces {
		for i := range p {
			at := &next[p[i].bucket]
			out[*at] = p[i]
			*at++
		}
	}
	order := func(a, b rowRef) int {
		if a.prefix != b.prefix {
			return cmp.Compare(a.prefix, b.prefix)
		}
		if c := bytes.Compare(r.keyOf(&a), r.keyOf(&b)); c != 0 {
			return c
		}
		// Rows are added one behind the other: place is order.
		return cmp.Or(cmp.Compare(a.chunk, b.chunk), cmp.Compare(a.at, b.at))
	}
	for b := range int(bucketEnd) {
		part := out[ends[b]:ends[b+1]]
		if !slices.IsSortedFunc(part, order) {
			slices.SortFunc(part, order)
		}
	}
	return out
}
