package tlv

import (
	"errors"
	"fmt"
)

// MaxDOLData bounds what a DOL may ask for: the data of one short command
// (255 bytes) less the template 83 and its length around it.
const MaxDOLData = 252

// Errors of a DOL.
var (
	ErrDOLSize  = errors.New("tlv: DOL asks for more than 252 bytes")
	ErrDOLEntry = errors.New("tlv: DOL entry is constructed, empty or longer than one length byte")
)

// Format says how a value is fitted to the length that a DOL asks for (EMV 4.3
// Book 3, 5.4).
type Format uint8

// The formats.
const (
	Binary            Format = iota // b, an, ans: cut at the right, padded right with 00
	Numeric                         // n: cut at the left, padded left with 00
	CompressedNumeric               // cn: cut at the right, padded right with FF
)

// Entry is one line of a DOL: a tag and the length that is wanted of it.
type Entry struct {
	Tag Tag
	Len int
}

// DOL is a data object list.
type DOL []Entry

// ParseDOL reads a data object list: pairs of a tag and a length of one byte. A
// constructed tag or a zero length is refused (assumed, see docs/spec/card.md).
func ParseDOL(b []byte) (DOL, error) {
	var d DOL
	total := 0
	for len(b) > 0 {
		t, rest, err := tag(b)
		if err != nil {
			return nil, err
		}
		if len(rest) == 0 {
			return nil, ErrShort
		}
		n := int(rest[0])
		if n == 0 || n > 0x7F || t.Constructed() {
			return nil, fmt.Errorf("%w: %v", ErrDOLEntry, t)
		}
		if len(d) == MaxItems {
			return nil, ErrMany
		}
		if total += n; total > MaxDOLData {
			return nil, ErrDOLSize
		}
		d = append(d, Entry{t, n})
		b = rest[1:]
	}
	return d, nil
}

// Len is the number of bytes the list asks for.
func (d DOL) Len() int {
	total := 0
	for _, e := range d {
		total += e.Len
	}
	return total
}

// Build concatenates the values in the order of the list, each fitted to its
// length. value gives nil for a data object that the terminal does not have: it
// becomes zero bytes.
func (d DOL) Build(value func(Tag) ([]byte, Format)) []byte {
	out := make([]byte, 0, d.Len())
	for _, e := range d {
		v, f := value(e.Tag)
		out = fit(out, v, e.Len, f)
	}
	return out
}

// Split cuts data that was built from the list into its values: the card's side
// of Build.
func (d DOL) Split(data []byte) (List, error) {
	if len(data) != d.Len() {
		return nil, ErrShort
	}
	l := make(List, 0, len(d))
	for _, e := range d {
		l = append(l, Item{e.Tag, data[:e.Len:e.Len]})
		data = data[e.Len:]
	}
	return l, nil
}

// fit appends v cut or padded to n bytes.
func fit(dst, v []byte, n int, f Format) []byte {
	if v == nil {
		return append(dst, make([]byte, n)...)
	}
	if more := len(v) - n; more > 0 {
		if f == Numeric {
			return append(dst, v[more:]...)
		}
		return append(dst, v[:n]...)
	}
	pad := make([]byte, n-len(v))
	switch f {
	case Numeric:
		return append(append(dst, pad...), v...)
	case CompressedNumeric:
		for i := range pad {
			pad[i] = 0xFF
		}
	}
	return append(append(dst, v...), pad...)
}
