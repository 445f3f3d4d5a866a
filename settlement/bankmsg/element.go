package bankmsg

import (
	"encoding/binary"

	"github.com/shebao-pay/shebao/settlement/profile"
)

// element is the wire form of one data element.
type element struct {
	enc       profile.Encoding
	content   profile.Content
	halves    bool // BCD or LBCD
	bcd       bool // the length is BCD
	digits    int  // of the length, 0 for a fixed length
	max       int  // fixed or largest length in characters, digits or bytes
	separator byte // of a track in ASCII
}

// maxElement is the longest wire form of one element: 999 bytes and the three
// digits of their length.
const maxElement = 1002

// encode writes the field to dst, which has room for maxElement bytes.
func (e *element) encode(dst, v []byte) (n int, why reason) {
	if len(v) == 0 || len(v) > e.max || e.digits == 0 && len(v) != e.max {
		return 0, whyLength
	}
	if e.digits > 0 {
		n = e.putLength(dst, len(v))
		dst = dst[n:]
	}
	switch {
	case e.content == profile.Track:
		return n + e.putTrack(dst, v), checkTrack(v)
	case e.halves:
		return n + (len(v)+1)/2, e.putDigits(dst, v)
	}
	return n + copy(dst, v), e.check(v)
}

func (e *element) putLength(dst []byte, n int) int {
	switch {
	case e.bcd && e.digits == 2:
		dst[0] = byte(n/10<<4 | n%10)
		return 1
	case e.bcd:
		dst[0], dst[1] = byte(n/100), byte(n/10%10<<4|n%10)
		return 2
	case e.digits == 2:
		dst[0], dst[1] = byte('0'+n/10), byte('0'+n%10)
		return 2
	}
	dst[0], dst[1], dst[2] = byte('0'+n/100), byte('0'+n/10%10), byte('0'+n%10)
	return 3
}

// putDigits packs two digits into a byte.
func (e *element) putDigits(dst, v []byte) reason {
	if len(v)&1 == 1 && e.enc == profile.BCD {
		if classOf[v[0]]&isDigit == 0 {
			return whyDigits
		}
		dst[0] = v[0] & 15
		v, dst = v[1:], dst[1:]
	}
	for ; len(v) >= 8; v, dst = v[8:], dst[4:] {
		x := binary.BigEndian.Uint64(v)
		if !eightDigits(x) {
			return whyDigits
		}
		binary.BigEndian.PutUint32(dst, packEight(x))
	}
	for ; len(v) >= 2; v, dst = v[2:], dst[1:] {
		if classOf[v[0]]&classOf[v[1]]&isDigit == 0 {
			return whyDigits
		}
		dst[0] = v[0]<<4 | v[1]&15
	}
	if len(v) == 1 {
		if classOf[v[0]]&isDigit == 0 {
			return whyDigits
		}
		dst[0] = v[0] << 4
	}
	return ok
}

// putTrack writes a track, whose form is checked apart.
func (e *element) putTrack(dst, v []byte) int {
	if !e.halves {
		copy(dst, v)
		for i, c := range v {
			if c == 'D' {
				dst[i] = e.separator
			}
		}
		return len(v)
	}
	n := len(v) / 2
	for i := 0; i < n; i++ {
		dst[i] = halfOf[v[2*i]]<<4 | halfOf[v[2*i+1]]&15
	}
	if len(v)&1 == 1 {
		dst[n] = halfOf[v[2*n]] << 4
		n++
	}
	return n
}

// decode reads the field at the beginning of src and writes its logical value
// to dst. It gives the bytes it took of src and those it wrote.
func (e *element) decode(src, dst []byte) (n, size int, why reason) {
	size = e.max
	if e.digits > 0 {
		if size, n, why = e.length(src); why != ok {
			return 0, 0, why
		}
		if size == 0 || size > e.max {
			return 0, 0, whyLength
		}
	}
	bytes := size
	if e.halves {
		bytes = (size + 1) / 2
	}
	if len(src)-n < bytes {
		return 0, 0, whyShort
	}
	if len(dst) < size {
		return 0, 0, whyArena
	}
	src, dst = src[n:n+bytes], dst[:size]
	n += bytes
	switch {
	case e.content == profile.Track:
		return n, size, e.readTrack(dst, src)
	case e.halves:
		return n, size, e.readDigits(dst, src)
	}
	copy(dst, src)
	return n, size, e.check(dst)
}

// length reads the length of a variable field: its value and its bytes.
func (e *element) length(src []byte) (v, n int, why reason) {
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
		return v, n, ok
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
	return v, e.digits, ok
}

// readDigits unpacks half bytes that must all be digits; len(v) says how many.
func (e *element) readDigits(v, src []byte) reason {
	if len(v)&1 == 1 {
		if e.enc == profile.BCD {
			if src[0]>>4 != 0 {
				return whyPad
			}
			if src[0] > 9 {
				return whyDigits
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
	for ; len(src) >= 4; v, src = v[8:], src[4:] {
		u := binary.BigEndian.Uint32(src)
		if !halvesAreDigits(u) {
			return whyDigits
		}
		binary.BigEndian.PutUint64(v, unpackEight(u))
	}
	for i, b := range src {
		p := pairOf[b]
		if p&notDigits != 0 {
			return whyDigits
		}
		v[2*i], v[2*i+1] = byte(p>>8), byte(p)
	}
	return ok
}

// readTrack unpacks digits with one separator.
func (e *element) readTrack(v, src []byte) reason {
	if !e.halves {
		for i, b := range src {
			if b == 'D' && e.separator != 'D' {
				return whyTrack
			}
			if b == e.separator {
				b = 'D'
			}
			v[i] = b
		}
		return checkTrack(v)
	}
	n := len(v) / 2
	for i, b := range src[:n] {
		p := pairOf[b]
		v[2*i], v[2*i+1] = byte(p>>8)&^0x80, byte(p)&^0x80
	}
	if len(v)&1 == 1 {
		if src[n]&15 != 0 {
			return whyPad
		}
		v[2*n] = byte(pairOf[src[n]]>>8) &^ 0x80
	}
	return checkTrack(v)
}

func checkTrack(v []byte) reason {
	separators := 0
	for _, c := range v {
		h := halfOf[c]
		if h > 9 {
			if h != 0xD {
				return whyTrack
			}
			separators++
		}
	}
	if separators != 1 {
		return whyTrack
	}
	return ok
}

// check tests a logical value that stands on the wire as it is.
func (e *element) check(v []byte) reason {
	switch e.content {
	case profile.Digits:
		if !allDigits(v) {
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
		if !allPrint(v) {
			return whyPrint
		}
	case profile.SignedNumber:
		if len(v) < 2 || v[0] != 'C' && v[0] != 'D' || !allDigits(v[1:]) {
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
	return ok
}
