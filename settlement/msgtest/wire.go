package msgtest

import (
	"encoding/binary"
	"slices"
	"strconv"

	"github.com/shebao-pay/shebao/settlement/profile"
)

// Part is where one element of a frame stands: its length digits, then its value.
type Part struct {
	DE       int
	At       int // of the length digits, or of the value where there are none
	Prefix   int // bytes of the length
	Size     int // bytes of the value
	Elements int // characters, digits or bytes that the length counts
}

// Wire is a good frame taken apart by the profile's fields.
type Wire struct {
	P     *profile.Profile
	Frame []byte
	Type  int // where the message type begins
	Bits  int // where the first bitmap begins
	Maps  int // bitmaps
	Parts []Part
}

// Take takes a good frame apart.
func Take(p *profile.Profile, frame []byte) *Wire {
	w := &Wire{P: p, Frame: frame, Type: 13, Maps: 1}
	if p.Dialect == profile.CUPS {
		w.Type = 46
	}
	w.Bits = w.Type + 4
	if p.Fields[0].Encoding == profile.BCD {
		w.Bits = w.Type + 2
	}
	if frame[w.Bits]&0x80 != 0 {
		w.Maps = 2
	}
	at := w.Bits + 8*w.Maps
	for de := 2; de <= 64*w.Maps; de++ {
		if de == 65 || !w.Has(de) {
			continue
		}
		f := p.Fields[de]
		part := Part{DE: de, At: at, Elements: f.Length}
		if f.LengthDigits > 0 {
			part.Prefix, part.Elements = length(f, frame[at:])
		}
		part.Size = part.Elements
		if f.Encoding == profile.BCD || f.Encoding == profile.LBCD {
			part.Size = (part.Elements + 1) / 2
		}
		w.Parts = append(w.Parts, part)
		at += part.Prefix + part.Size
	}
	return w
}

func length(f profile.Field, b []byte) (size, n int) {
	if f.LengthBCD {
		size = (f.LengthDigits + 1) / 2
		for _, c := range b[:size] {
			n = n*100 + int(c>>4)*10 + int(c&15)
		}
		return size, n
	}
	n, _ = strconv.Atoi(string(b[:f.LengthDigits]))
	return f.LengthDigits, n
}

// Has tells whether the frame's bitmaps have the element.
func (w *Wire) Has(de int) bool {
	return w.Frame[w.Bits+(de-1)/8]>>(7-(de-1)%8)&1 == 1
}

// Bit gives the frame with the bit of an element turned.
func (w *Wire) Bit(de int) []byte {
	f := slices.Clone(w.Frame)
	f[w.Bits+(de-1)/8] ^= 1 << (7 - (de-1)%8)
	return f
}

// Put gives the frame with n bytes at a place replaced, and the length of the
// frame mended.
func (w *Wire) Put(at, n int, with ...byte) []byte {
	return w.Mend(slices.Concat(w.Frame[:at], with, w.Frame[at+n:]))
}

// Value gives the frame with the value of an element replaced, lengths and all.
func (w *Wire) Value(part Part, wire []byte, elements int) []byte {
	return w.Put(part.At, part.Prefix+part.Size, append(w.prefix(part.DE, elements), wire...)...)
}

// prefix writes the length of an element as its field has it, whatever it is.
func (w *Wire) prefix(de, n int) []byte {
	f := w.P.Fields[de]
	digits := []byte{byte(n / 100 % 10), byte(n / 10 % 10), byte(n % 10)}
	switch {
	case f.LengthDigits == 0:
		return nil
	case f.LengthBCD && f.LengthDigits == 2:
		return []byte{digits[1]<<4 | digits[2]}
	case f.LengthBCD:
		return []byte{digits[0], digits[1]<<4 | digits[2]}
	}
	for i := range digits {
		digits[i] += '0'
	}
	return digits[3-f.LengthDigits:]
}

// Mend writes the length of the frame into it.
func (w *Wire) Mend(f []byte) []byte {
	n := len(f)
	if w.P.Dialect == profile.POS {
		if w.P.LengthScope == "excludes" {
			n -= 2
		}
		binary.BigEndian.PutUint16(f, uint16(n)) // #nosec G115 -- a test's frame
		return f
	}
	switch w.P.LengthScope {
	case "excludes":
		n -= 46
	case "includes-less-length":
		n -= 4
	}
	for i := 5; i >= 2; i-- {
		f[i] = '0' + byte(n%10)
		n /= 10
	}
	return f
}
