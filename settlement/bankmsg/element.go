package bankmsg

import (
	"github.com/shebao-pay/shebao/settlement/profile"
)

// element is the wire form of one data element.
type element struct {
	enc       profile.Encoding
	content   profile.Content
	bcd       bool // the length is BCD
	digits    int  // of the length, 0 for a fixed length
	max       int  // fixed or largest length in characters, digits or bytes
	separator byte // of a track in ASCII
}

// Character classes.
const (
	isDigit = 1 << iota
	isAlnum
	isPrint
)

// classOf gives the classes of a byte, pairOf the two digits that a BCD byte
// stands for (0 when a half byte is over 9).
var (
	classOf [256]uint8
	pairOf  [256]uint16
)

func init() {
	for i := range classOf {
		b := byte(i)
		digit := b >= '0' && b <= '9'
		if digit {
			classOf[i] |= isDigit
		}
		if digit || b >= 'A' && b <= 'Z' || b >= 'a' && b <= 'z' {
			classOf[i] |= isAlnum
		}
		if b >= ' ' && b <= '~' {
			classOf[i] |= isPrint
		}
		if b>>4 <= 9 && b&15 <= 9 {
			pairOf[i] = uint16('0'+b>>4)<<8 | uint16('0'+b&15)
		}
	}
}

// allOf tells whether every byte is of the class.
func allOf(b []byte, class uint8) bool {
	var all uint8 = 0xFF
	for _, c := range b {
		all &= classOf[c]
	}
	return all&class != 0 || len(b) == 0
}

// The reasons that refuse a field. They are constants so that the path of a
// good message makes no garbage.
const (
	whyShort     = "cut short"
	whyLength    = "length out of range"
	whyLenForm   = "length is not digits"
	whyDigits    = "not digits"
	whyPad       = "padding half byte is not 0"
	whyAlnum     = "not letters and digits"
	whyPrint     = "not printable"
	whyTrack     = "not a track"
	whySign      = "not C or D and digits"
	whyTLV       = "not well-formed BER-TLV"
	whyRecords   = "not well-formed records"
	whyAmount    = "over the limit of the profile"
	whyUnknown   = "not defined by the profile"
	whyNot       = "does not belong in this message"
	whyMissing   = "missing"
	whyFixed     = "not the value that the profile fixes"
	whyBare      = "missing from an approval"
	whyArena     = "message too large"
	whyUnmatched = "no message of the profile from this side"
)

// encode appends the field; why is empty when it fits.
func (e *element) encode(dst, v []byte) (out []byte, why string) {
	if len(v) == 0 || len(v) > e.max || e.digits == 0 && len(v) != e.max {
		return dst, whyLength
	}
	if why := e.check(v); why != "" {
		return dst, why
	}
	dst = e.appendLength(dst, len(v))
	switch e.enc {
	case profile.BCD, profile.LBCD:
		return e.appendHalfBytes(dst, v), ""
	case profile.ASCII:
		at := len(dst)
		dst = append(dst, v...)
		if e.content == profile.Track && e.separator != 'D' {
			for i := at; i < len(dst); i++ {
				if dst[i] == 'D' {
					dst[i] = e.separator
				}
			}
		}
		return dst, ""
	}
	return append(dst, v...), ""
}

func (e *element) appendLength(dst []byte, n int) []byte {
	if e.bcd {
		switch e.digits {
		case 2:
			return append(dst, byte(n/10<<4|n%10))
		case 3:
			return append(dst, byte(n/100), byte(n/10%10<<4|n%10))
		}
	}
	switch e.digits {
	case 2:
		return append(dst, byte('0'+n/10), byte('0'+n%10))
	case 3:
		return append(dst, byte('0'+n/100), byte('0'+n/10%10), byte('0'+n%10))
	}
	return dst
}

// half is the half byte of a digit or of the separator D.
func half(c byte) byte {
	if c == 'D' {
		return 0xD
	}
	return c & 15
}

func (e *element) appendHalfBytes(dst, v []byte) []byte {
	if len(v)&1 == 1 && e.enc == profile.BCD {
		dst = append(dst, half(v[0]))
		v = v[1:]
	}
	for ; len(v) >= 2; v = v[2:] {
		dst = append(dst, half(v[0])<<4|half(v[1]))
	}
	if len(v) == 1 {
		dst = append(dst, half(v[0])<<4)
	}
	return dst
}

// decode reads the field at the beginning of src into the message and gives the
// bytes it took; why is empty when it fits.
func (e *element) decode(src []byte, m *Message, de int) (n int, why string) {
	size := e.max
	if e.digits > 0 {
		if size, n, why = e.length(src); why != "" {
			return 0, why
		}
		if size == 0 || size > e.max {
			return 0, whyLength
		}
	}
	bytes := size
	halves := e.enc == profile.BCD || e.enc == profile.LBCD
	if halves {
		bytes = (size + 1) / 2
	}
	if len(src)-n < bytes {
		return 0, whyShort
	}
	src = src[n : n+bytes]
	v := m.reserve(de, size)
	if v == nil {
		return 0, whyArena
	}
	switch {
	case e.content == profile.Track:
		why = e.readTrack(v, src, halves)
	case halves:
		why = e.readDigits(v, src)
	default:
		copy(v, src)
		why = e.check(v)
	}
	return n + bytes, why
}

// length reads the length of a variable field: its value and its bytes.
func (e *element) length(src []byte) (v, n int, why string) {
	if e.bcd {
		n = (e.digits + 1) / 2
		if len(src) < n {
			return 0, 0, whyShort
		}
		for i, b := range src[:n] {
			if b>>4 > 9 || b&15 > 9 || i == 0 && e.digits&1 == 1 && b>>4 != 0 {
				return 0, 0, whyLenForm
			}
			v = v*100 + int(b>>4)*10 + int(b&15)
		}
		return v, n, ""
	}
	if len(src) < e.digits {
		return 0, 0, whyShort
	}
	for _, b := range src[:e.digits] {
		if classOf[b]&isDigit == 0 {
			return 0, 0, whyLenForm
		}
		v = v*10 + int(b-'0')
	}
	return v, e.digits, ""
}

// readDigits unpacks half bytes that must all be digits; len(v) says how many.
func (e *element) readDigits(v, src []byte) string {
	if len(v)&1 == 1 {
		if e.enc == profile.BCD {
			if src[0] > 9 {
				return padOrDigit(src[0] >> 4)
			}
			v[0] = '0' + src[0]
			v, src = v[1:], src[1:]
		} else {
			last := src[len(src)-1]
			if last&15 != 0 {
				return whyPad
			}
			if last>>4 > 9 {
				return whyDigits
			}
			v[len(v)-1] = '0' + last>>4
			v, src = v[:len(v)-1], src[:len(src)-1]
		}
	}
	for i, b := range src {
		p := pairOf[b]
		if p == 0 {
			return whyDigits
		}
		v[2*i], v[2*i+1] = byte(p>>8), byte(p)
	}
	return ""
}

func padOrDigit(high byte) string {
	if high != 0 {
		return whyPad
	}
	return whyDigits
}

// readTrack unpacks digits with one separator.
func (e *element) readTrack(v, src []byte, halves bool) string {
	if !halves {
		for i, b := range src {
			switch {
			case b == e.separator:
				v[i] = 'D'
			case classOf[b]&isDigit == 0:
				return whyTrack
			default:
				v[i] = b
			}
		}
		return checkTrack(v)
	}
	for i := range v {
		h := src[i/2] >> 4
		if i&1 == 1 {
			h = src[i/2] & 15
		}
		switch {
		case h <= 9:
			v[i] = '0' + h
		case h == 0xD:
			v[i] = 'D'
		default:
			return whyTrack
		}
	}
	if len(v)&1 == 1 && src[len(src)-1]&15 != 0 {
		return whyPad
	}
	return checkTrack(v)
}

func checkTrack(v []byte) string {
	separators := 0
	for _, c := range v {
		if c == 'D' {
			separators++
		} else if classOf[c]&isDigit == 0 {
			return whyTrack
		}
	}
	if separators != 1 {
		return whyTrack
	}
	return ""
}

// check tests the logical value against the content.
func (e *element) check(v []byte) string {
	switch e.content {
	case profile.Digits:
		if !allOf(v, isDigit) {
			return whyDigits
		}
	case profile.Alphanumeric:
		n := len(v)
		for n > 1 && v[n-1] == ' ' {
			n--
		}
		if !allOf(v[:n], isAlnum) {
			return whyAlnum
		}
	case profile.Printable:
		if !allOf(v, isPrint) {
			return whyPrint
		}
	case profile.Track:
		return checkTrack(v)
	case profile.SignedNumber:
		if len(v) < 2 || v[0] != 'C' && v[0] != 'D' || !allOf(v[1:], isDigit) {
			return whySign
		}
	case profile.ICC:
		if !wellFormed(v) {
			return whyTLV
		}
	case profile.RecordContent:
		if !wholeRecords(v) {
			return whyRecords
		}
	}
	return ""
}
