package paper

import (
	"encoding/binary"
	"fmt"
)

// cff is the outlines of a font: what a subset needs of it.
type cff struct {
	data     table
	chars    index
	globals  index
	selector table // which private part a glyph belongs to
	privates []private
}

// private is one of the private parts of a font: its dictionary without the
// place of its subroutines, and these.
type private struct {
	dict  []byte
	subrs index
}

// index is a list of byte strings in the font.
type index struct {
	data    table // the whole table
	offsets table
	size    int // bytes of an offset
	base    int // what offsets count from
	count   int
	end     int // behind the list
}

func (x index) len() int { return x.count }

func (x index) offset(i int) int {
	v := 0
	for k := range x.size {
		v = v<<8 | x.offsets.u8(i*x.size+k)
	}
	return v
}

// get gives the i-th string, nil if it is not there.
func (x index) get(i int) table {
	if i < 0 || i >= x.count {
		return nil
	}
	from, to := x.offset(i), x.offset(i+1)
	if from < 1 || to < from {
		return nil
	}
	b, _ := x.data.cut(x.base+from, to-from)
	return b
}

// readIndex reads the list at o.
func readIndex(t table, o int) (index, error) {
	bad := fmt.Errorf("%w: a list of the outlines is cut short", ErrFont)
	if _, ok := t.cut(o, 2); !ok {
		return index{}, bad
	}
	x := index{data: t, count: t.u16(o), end: o + 2}
	if x.count == 0 {
		return x, nil
	}
	x.size = t.u8(o + 2)
	if x.size < 1 || x.size > 4 {
		return index{}, fmt.Errorf("%w: offsets of %d bytes", ErrFont, x.size)
	}
	var ok bool
	if x.offsets, ok = t.cut(o+3, x.size*(x.count+1)); !ok {
		return index{}, bad
	}
	x.base = o + 3 + len(x.offsets) - 1
	x.end = x.base + x.offset(x.count)
	if x.end > len(t) || x.end < x.base+1 {
		return index{}, bad
	}
	return x, nil
}

// Operators of the dictionaries. Those of two bytes have 12 before them.
const (
	opCharset  = 15
	opChars    = 17
	opPrivate  = 18
	opSubrs    = 19
	opROS      = 12<<8 | 30
	opCount    = 12<<8 | 34
	opFDArray  = 12<<8 | 36
	opFDSelect = 12<<8 | 37
)

// maxOperands is how many numbers stand before an operator at most.
const maxOperands = 48

// entry is one operator of a dictionary with its whole-number operands. Of a
// real number only the bytes count.
type entry struct {
	op   int
	args []int
	raw  table // operands and operator
}

// readDict splits a dictionary.
func readDict(t table) ([]entry, error) {
	var out []entry
	var args []int
	start := 0
	for o := 0; o < len(t); {
		b := t.u8(o)
		if b <= 21 {
			op, n := b, 1
			if b == 12 {
				op, n = 12<<8|t.u8(o+1), 2
			}
			raw, ok := t.cut(start, o+n-start)
			if !ok {
				break
			}
			out = append(out, entry{op, args, raw})
			o += n
			start, args = o, nil
			continue
		}
		v, n := dictNumber(t, o)
		if n == 0 || o+n > len(t) || len(args) == maxOperands {
			return nil, fmt.Errorf("%w: a dictionary of the outlines is not readable", ErrFont)
		}
		args = append(args, v)
		o += n
	}
	if start != len(t) {
		return nil, fmt.Errorf("%w: a dictionary of the outlines is cut short", ErrFont)
	}
	return out, nil
}

// dictNumber reads one operand and how many bytes it takes, 0 if it is none.
func dictNumber(t table, o int) (v, n int) {
	switch b := t.u8(o); {
	case b == 28:
		return signed(t.u16(o + 1)), 3
	case b == 29:
		return int(int32(uint32(t.u32(o + 1)))), 5 // #nosec G115 -- of four bytes
	case b == 30: // a real number: nibbles up to one that is 15
		for n = 1; o+n < len(t); n++ {
			if c := t.u8(o + n); c&15 == 15 || c>>4 == 15 {
				return 0, n + 1
			}
		}
		return 0, 0
	case b >= 32 && b <= 246:
		return b - 139, 1
	case b >= 247 && b <= 250:
		return (b-247)*256 + t.u8(o+1) + 108, 2
	case b >= 251 && b <= 254:
		return -(b-251)*256 - t.u8(o+1) - 108, 2
	}
	return 0, 0
}

// maxPrivates is how many private parts a font may have: what one byte counts.
const maxPrivates = 256

// openCFF reads the outlines of a font whose glyphs are chosen by number.
func openCFF(t table) (*cff, error) {
	if t.u8(0) != 1 {
		return nil, fmt.Errorf("%w: outlines of version %d, 1 is read", ErrFont, t.u8(0))
	}
	names, err := readIndex(t, t.u8(2))
	if err != nil {
		return nil, err
	}
	tops, err := readIndex(t, names.end)
	if err != nil {
		return nil, err
	}
	strs, err := readIndex(t, tops.end)
	if err != nil {
		return nil, err
	}
	c := &cff{data: t}
	if c.globals, err = readIndex(t, strs.end); err != nil {
		return nil, err
	}
	top, err := readDict(tops.get(0))
	if err != nil {
		return nil, err
	}
	chars, ok := number(top, opChars)
	array, isCID := number(top, opFDArray)
	sel, chosen := number(top, opFDSelect)
	if !ok || !isCID || !chosen {
		return nil, fmt.Errorf("%w: its glyphs are not chosen by number (CID)", ErrFont)
	}
	if c.chars, err = readIndex(t, chars); err != nil {
		return nil, err
	}
	if c.selector, ok = t.cut(sel, len(t)-sel); !ok {
		return nil, fmt.Errorf("%w: no choice of private parts", ErrFont)
	}
	return c, c.readPrivates(array)
}

// number gives the one operand of an operator.
func number(d []entry, op int) (int, bool) {
	for _, e := range d {
		if e.op == op && len(e.args) == 1 {
			return e.args[0], true
		}
	}
	return 0, false
}

func (c *cff) readPrivates(at int) error {
	array, err := readIndex(c.data, at)
	if err != nil {
		return err
	}
	if array.len() < 1 || array.len() > maxPrivates {
		return fmt.Errorf("%w: %d private parts, 1 to %d are read", ErrFont, array.len(), maxPrivates)
	}
	for i := range array.len() {
		d, err := readDict(array.get(i))
		if err != nil {
			return err
		}
		p := private{}
		for _, e := range d {
			if e.op != opPrivate || len(e.args) != 2 {
				continue
			}
			if p, err = c.readPrivate(e.args[1], e.args[0]); err != nil {
				return err
			}
		}
		c.privates = append(c.privates, p)
	}
	return nil
}

func (c *cff) readPrivate(at, size int) (p private, err error) {
	body, ok := c.data.cut(at, size)
	if !ok {
		return p, fmt.Errorf("%w: a private part lies outside", ErrFont)
	}
	d, err := readDict(body)
	if err != nil {
		return p, err
	}
	for _, e := range d {
		if e.op != opSubrs {
			p.dict = append(p.dict, e.raw...)
			continue
		}
		if len(e.args) == 1 {
			if p.subrs, err = readIndex(c.data, at+e.args[0]); err != nil {
				return p, err
			}
		}
	}
	return p, nil
}

// privateOf gives the number of a glyph's private part.
func (c *cff) privateOf(g int) int {
	s := c.selector
	part := 0
	switch s.u8(0) {
	case 0:
		part = s.u8(1 + g)
	case 3: // ranges of three bytes: first glyph, part
		lo, hi := 0, s.u16(1)
		for hi-lo > 1 {
			if mid := (lo + hi) / 2; s.u16(3+3*mid) <= g {
				lo = mid
			} else {
				hi = mid
			}
		}
		part = s.u8(5 + 3*lo)
	}
	return min(part, len(c.privates)-1)
}

// subset writes a font of the given glyphs, numbered anew from 0 in their order.
// The first must be 0, the empty box. No subroutines are left in it.
func (c *cff) subset(name string, glyphs []int) ([]byte, error) {
	chars := make([][]byte, len(glyphs))
	selector := []byte{0}
	for i, g := range glyphs {
		part := c.privateOf(g)
		selector = append(selector, byte(part))
		var err error
		if chars[i], err = c.flat(c.chars.get(g), c.privates[part].subrs); err != nil {
			return nil, fmt.Errorf("%w (glyph %d)", err, g)
		}
	}
	charset := []byte{2, 0, 1, 0, 0} // one run from 1 on
	binary.BigEndian.PutUint16(charset[3:], uint16(max(0, len(glyphs)-2)))
	if len(glyphs) == 1 {
		charset = []byte{0}
	}
	// Everything before the pointers has a known length, because every pointer
	// takes five bytes.
	head := append([]byte{1, 0, 4, 4}, appendIndex(nil, [][]byte{[]byte(name)})...)
	tail := append(appendIndex(nil, [][]byte{[]byte("Adobe"), []byte("Identity")}), 0, 0) // and no global subroutines
	topSize := len(appendIndex(nil, [][]byte{c.top(0, 0, 0, 0, len(glyphs))}))
	atCharset := len(head) + topSize + len(tail)
	atSelector := atCharset + len(charset)
	atChars := atSelector + len(selector)
	charsIndex := appendIndex(nil, chars)
	atPrivate := atChars + len(charsIndex)
	var privates []byte
	fonts := make([][]byte, len(c.privates))
	for i, p := range c.privates {
		fonts[i] = append(long(long(nil, len(p.dict)), atPrivate+len(privates)), opPrivate)
		privates = append(privates, p.dict...)
	}
	out := append(head, appendIndex(nil, [][]byte{c.top(atCharset, atSelector, atChars, atPrivate+len(privates), len(glyphs))})...)
	for _, part := range [][]byte{tail, charset, selector, charsIndex, privates, appendIndex(nil, fonts)} {
		out = append(out, part...)
	}
	return out, nil
}

// top is the dictionary of the whole font. Its strings are the first of its own.
func (c *cff) top(charset, selector, chars, fonts, glyphs int) []byte {
	const firstString = 391
	b := append(long(long(long(nil, firstString), firstString+1), 0), 12, opROS&0xFF)
	b = append(long(b, glyphs), 12, opCount&0xFF)
	b = append(long(b, charset), opCharset)
	b = append(long(b, selector), 12, opFDSelect&0xFF)
	b = append(long(b, chars), opChars)
	return append(long(b, fonts), 12, opFDArray&0xFF)
}

// long appends a number in five bytes.
func long(b []byte, v int) []byte {
	return binary.BigEndian.AppendUint32(append(b, 29), uint32(v)) // #nosec G115 -- places in a font of a few megabytes
}

// appendIndex appends a list with offsets of four bytes.
func appendIndex(b []byte, list [][]byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(list))) // #nosec G115 -- at most 65,535 glyphs
	if len(list) == 0 {
		return b
	}
	b = append(b, 4)
	at := uint32(1)
	for _, s := range append([][]byte{nil}, list...) {
		at += uint32(len(s)) // #nosec G115 -- a glyph is bounded
		b = binary.BigEndian.AppendUint32(b, at)
	}
	for _, s := range list {
		b = append(b, s...)
	}
	return b
}
