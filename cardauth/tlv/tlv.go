// Package tlv reads and writes BER-TLV data objects (ISO/IEC 8825-1 as narrowed
// by EMV 4.3 Book 3, Annex B) and data object lists (DOLs).
//
// Everything is bounded, because the bytes come from a card that may be broken
// or hostile: tags of up to three bytes, lengths in up to three bytes, at most
// [MaxItems] objects on one level. Parsing copies nothing; values point into the
// input. Indefinite lengths are refused. Zero bytes between objects are skipped,
// as Annex B1 allows.
package tlv

import (
	"errors"
	"fmt"
)

// MaxItems bounds the data objects on one level. A real record has under
// thirty; DE 55 has under forty.
const MaxItems = 64

// Errors of a parse.
var (
	ErrShort  = errors.New("tlv: data ends inside an object")
	ErrTag    = errors.New("tlv: tag longer than three bytes")
	ErrLength = errors.New("tlv: length is indefinite or longer than two bytes")
	ErrMany   = errors.New("tlv: more than 64 objects")
	ErrAbsent = errors.New("tlv: object is missing")
)

// Tag is a tag with its bytes as one number, such as 0x9F26.
type Tag uint32

// String writes the tag as it is written in the standards.
func (t Tag) String() string { return fmt.Sprintf("%02X", uint32(t)) }

// Constructed tells whether the value holds further objects: bit 6 of the first
// byte of the tag.
func (t Tag) Constructed() bool {
	for t > 0xFF {
		t >>= 8
	}
	return t&0x20 != 0
}

// Append writes the tag's bytes.
func (t Tag) Append(dst []byte) []byte {
	if t > 0xFFFF {
		dst = append(dst, byte(t>>16))
	}
	if t > 0xFF {
		dst = append(dst, byte(t>>8))
	}
	return append(dst, byte(t))
}

// Item is one data object. Value points into what was parsed.
type Item struct {
	Tag   Tag
	Value []byte
}

// List is the objects of one level, in order.
type List []Item

// Find gives the value of the first object with the tag.
func (l List) Find(t Tag) ([]byte, bool) {
	for i := range l {
		if l[i].Tag == t {
			return l[i].Value, true
		}
	}
	return nil, false
}

// Parse reads all objects of one level. A constructed value is left as it is:
// parse it in turn.
func Parse(b []byte) (List, error) {
	var l List
	for len(b) > 0 {
		if b[0] == 0 {
			b = b[1:]
			continue
		}
		if len(l) == MaxItems {
			return nil, ErrMany
		}
		item, rest, err := next(b)
		if err != nil {
			return nil, err
		}
		l = append(l, item)
		b = rest
	}
	return l, nil
}

// Find parses b and follows the path of tags down to a value.
func Find(b []byte, path ...Tag) ([]byte, error) {
	for _, t := range path {
		l, err := Parse(b)
		if err != nil {
			return nil, err
		}
		v, ok := l.Find(t)
		if !ok {
			return nil, fmt.Errorf("%w: %v", ErrAbsent, t)
		}
		b = v
	}
	return b, nil
}

// Append writes one object with the shortest form of its length. The value must
// be shorter than 64 KiB, which every caller's own limits are far below.
func Append(dst []byte, t Tag, value []byte) []byte {
	dst = t.Append(dst)
	switch n := len(value); {
	case n < 0x80:
		dst = append(dst, byte(n))
	case n <= 0xFF:
		dst = append(dst, 0x81, byte(n))
	default:
		dst = append(dst, 0x82, byte(n>>8), byte(n))
	}
	return append(dst, value...)
}

// next takes one object off b, which is not empty.
func next(b []byte) (Item, []byte, error) {
	t, b, err := tag(b)
	if err != nil {
		return Item{}, nil, err
	}
	n, b, err := length(b)
	if err != nil {
		return Item{}, nil, err
	}
	if n > len(b) {
		return Item{}, nil, ErrShort
	}
	return Item{Tag: t, Value: b[:n:n]}, b[n:], nil
}

// tag takes one tag off b.
func tag(b []byte) (Tag, []byte, error) {
	if len(b) == 0 {
		return 0, nil, ErrShort
	}
	t := Tag(b[0])
	if b[0]&0x1F != 0x1F {
		return t, b[1:], nil
	}
	for i := 1; i < 3; i++ {
		if i == len(b) {
			return 0, nil, ErrShort
		}
		t = t<<8 | Tag(b[i])
		if b[i]&0x80 == 0 {
			return t, b[i+1:], nil
		}
	}
	return 0, nil, ErrTag
}

// length takes one length off b: one byte below 80, 81 and one, 82 and two.
func length(b []byte) (int, []byte, error) {
	if len(b) == 0 {
		return 0, nil, ErrShort
	}
	switch first := b[0]; {
	case first < 0x80:
		return int(first), b[1:], nil
	case first == 0x81:
		if len(b) < 2 {
			return 0, nil, ErrShort
		}
		return int(b[1]), b[2:], nil
	case first == 0x82:
		if len(b) < 3 {
			return 0, nil, ErrShort
		}
		return int(b[1])<<8 | int(b[2]), b[3:], nil
	}
	return 0, nil, ErrLength
}
