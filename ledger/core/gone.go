package core

import "math/bits"

// goneLen is how many numbers share a row of gone bits: 512 bytes, so that even
// payers who are scattered over millions of dues change few pages.
const goneLen = 4096

// gone remembers which of the numbers 1, 2, 3 … have left memory, a bit each, so
// that a start reads past history without looking at it.
type gone struct{ chunks []*goneChunk }

// goneChunk is one row of bits; n counts them. Chunks that are full share one.
type goneChunk struct {
	bits [goneLen / 64]uint64
	n    int
}

var fullChunk = func() *goneChunk {
	c := &goneChunk{n: goneLen}
	for i := range c.bits {
		c.bits[i] = 1<<64 - 1
	}
	return c
}()

// of is the chunk of a number.
func (g *gone) of(n uint64) uint32 { return uint32(n / goneLen) }

// at gives the chunk of an index, making it when first asked for. No number is 0:
// its bit is set, or the first chunk would never be full.
func (g *gone) at(i uint32) *goneChunk {
	for int(i) >= len(g.chunks) {
		g.chunks = append(g.chunks, nil)
	}
	if g.chunks[i] == nil {
		c := &goneChunk{}
		if i == 0 {
			c.bits[0], c.n = 1, 1
		}
		g.chunks[i] = c
	}
	return g.chunks[i]
}

// add notes that a number that was there has left.
func (g *gone) add(n uint64) {
	i := g.of(n)
	c := g.at(i)
	c.bits[n%goneLen/64] |= 1 << (n % 64)
	if c.n++; c.n == goneLen {
		g.chunks[i] = fullChunk
	}
}

// del notes that a number that had left is there again.
func (g *gone) del(n uint64) {
	i := g.of(n)
	if g.chunks[i] == fullChunk {
		c := *fullChunk
		g.chunks[i] = &c
	}
	c := g.chunks[i]
	c.bits[n%goneLen/64] &^= 1 << (n % 64)
	c.n--
}

// has tells whether a number has left.
func (g *gone) has(n uint64) bool {
	i := int(g.of(n))
	return i < len(g.chunks) && g.chunks[i] != nil && g.chunks[i].bits[n%goneLen/64]&(1<<(n%64)) != 0
}

// skip is the least number from n on whose chunk is not full.
func (g *gone) skip(n uint64) uint64 {
	for i := int(g.of(n)); i < len(g.chunks) && g.chunks[i] == fullChunk; i++ {
		n = uint64(i+1) * goneLen
	}
	return n
}

// value is the row of a chunk.
func (g *gone) value(dst []byte, i uint32) []byte {
	for _, w := range g.at(i).bits {
		dst = le.AppendUint64(dst, w)
	}
	return dst
}

// restore reads the row of a chunk and tells whether it is one.
func (g *gone) restore(i uint64, row []byte) bool {
	if len(row) != goneLen/8 || i != uint64(uint32(i)) {
		return false
	}
	c := g.at(uint32(i))
	c.n = 0
	for k := range c.bits {
		c.bits[k] = le.Uint64(row[8*k:])
		c.n += bits.OnesCount64(c.bits[k])
	}
	if c.n == goneLen {
		g.chunks[i] = fullChunk
	}
	return true
}
