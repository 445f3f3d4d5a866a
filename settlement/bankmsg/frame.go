package bankmsg

import (
	"bytes"
	"encoding/binary"

	"github.com/shebao-pay/shebao/settlement/profile"
)

// Shapes of the two framings (docs/spec/bank-wire.md).
const (
	posPrefix = 2
	posHead   = posPrefix + 5 + 6 // length, TPDU, header
	posLeast  = posHead + 2 + 8   // with message type and bitmap

	cupsHead  = 46
	cupsLeast = cupsHead + 4 + 8
)

// Next tells the length of the first whole frame in buf: n > 0 when it is
// there, 0 when more bytes are needed. After an error nobody knows where the
// next frame begins, and the link must be closed.
func (c *Codec) Next(buf []byte) (n int, err error) {
	if c.p.Dialect == profile.POS {
		if len(buf) < posPrefix {
			return 0, nil
		}
		n = int(binary.BigEndian.Uint16(buf))
		if c.p.LengthScope == "excludes" {
			n += posPrefix
		}
		if n < posLeast || n > c.p.Limits.MaxFrame {
			return 0, frameError("length out of range")
		}
	} else {
		if len(buf) > 0 && buf[0] != cupsHead {
			return 0, &HeaderError{Code: RejectLength, Reason: "header length is not 46"}
		}
		if len(buf) < 6 {
			return 0, nil
		}
		if !allOf(buf[2:6], isDigit) {
			return 0, &HeaderError{Code: RejectTotal, Reason: "length is not digits"}
		}
		for _, d := range buf[2:6] {
			n = n*10 + int(d-'0')
		}
		n += c.cupsUncounted()
		if n < cupsLeast || n > c.p.Limits.MaxFrame {
			return 0, &HeaderError{Code: RejectTotal, Reason: "length out of range"}
		}
	}
	if len(buf) < n {
		return 0, nil
	}
	return n, nil
}

// cupsUncounted is how many bytes of the frame the header's length leaves out.
func (c *Codec) cupsUncounted() int {
	switch c.p.LengthScope {
	case "excludes":
		return cupsHead
	case "includes-less-length":
		return 4
	}
	return 0
}

// open checks length and header of one whole frame: the body, and whether the
// bank sent it.
func (c *Codec) open(frame []byte, in *Inbound) (body []byte, bankSends bool, err error) {
	n, err := c.Next(frame)
	if err != nil {
		return nil, false, err
	}
	if n == 0 || n != len(frame) {
		return nil, false, frameError("length does not fit the frame")
	}
	if c.p.Dialect == profile.POS {
		return c.openPOS(frame, in)
	}
	return c.openCUPS(frame, in)
}

func (c *Codec) openPOS(frame []byte, in *Inbound) (body []byte, bankSends bool, err error) {
	tpdu, head := frame[posPrefix:posPrefix+5], frame[posPrefix+5:posHead]
	dest, source := tpdu[1:3], tpdu[3:5]
	hub, bank := c.p.TPDU[3:5], c.p.TPDU[1:3]
	switch {
	case tpdu[0] != c.p.TPDU[0]:
		return nil, false, frameError("TPDU does not begin with the profile's byte")
	case bytes.Equal(dest, hub) && bytes.Equal(source, bank):
		bankSends = true
	case !bytes.Equal(dest, bank) || !bytes.Equal(source, hub):
		return nil, false, frameError("TPDU addresses are not the profile's")
	}
	// The other five bytes of the header are the peer's version and wishes.
	if head[0] != c.p.Header[0] {
		return nil, false, frameError("header does not begin with the profile's byte")
	}
	copy(in.Routing[:4], tpdu[1:])
	copy(in.Routing[4:], head)
	return frame[posHead:], bankSends, nil
}

// The parts of the CUPS header, as offsets.
const (
	cupsFlag   = 1
	cupsLength = 2
	cupsDest   = 6
	cupsSource = 17
	cupsSpare  = 28
	cupsUser   = 31 // batch 1, transaction information 8, user information 1
	cupsReject = 41
)

func (c *Codec) openCUPS(frame []byte, in *Inbound) (body []byte, bankSends bool, err error) {
	h := frame[:cupsHead]
	if code := h[cupsReject:cupsHead]; string(code) != RejectNone {
		if !allOf(code, isDigit) {
			return nil, false, frameError("reject code is not digits")
		}
		return nil, false, &HeaderError{Code: string(code), ByPeer: true, Reason: "see the code"}
	}
	if h[cupsFlag] != c.p.HeaderFlag {
		return nil, false, &HeaderError{Code: RejectVersion, Reason: "flag and version are not the profile's"}
	}
	if !allOf(h[cupsSpare:cupsReject], isPrint) {
		return nil, false, frameError("header is not printable")
	}
	dest, source := string(h[cupsDest:cupsSource]), string(h[cupsSource:cupsSpare])
	switch dest {
	case c.p.HeaderSource:
		bankSends = true
		if source != c.p.HeaderDest {
			return nil, false, &HeaderError{Code: RejectSource, Reason: "source is not the bank"}
		}
	case c.p.HeaderDest:
		if source != c.p.HeaderSource {
			return nil, false, &HeaderError{Code: RejectSource, Reason: "source is not the hub"}
		}
	default:
		return nil, false, &HeaderError{Code: RejectDestination, Reason: "destination is not the profile's"}
	}
	copy(in.Routing[:], h[cupsUser:cupsReject])
	return frame[cupsHead:], bankSends, nil
}

// appendHead begins a frame. routing is that of the request when this is its
// answer.
func (c *Codec) appendHead(dst []byte, bankSends bool, routing *[10]byte) []byte {
	if c.p.Dialect == profile.POS {
		dst = append(dst, 0, 0, c.p.TPDU[0])
		if routing != nil {
			dst = append(dst, routing[2], routing[3], routing[0], routing[1])
			return append(dst, routing[4:]...)
		}
		if bankSends {
			dst = append(dst, c.p.TPDU[3], c.p.TPDU[4], c.p.TPDU[1], c.p.TPDU[2])
		} else {
			dst = append(dst, c.p.TPDU[1:]...)
		}
		return append(dst, c.p.Header...)
	}
	dst = append(dst, cupsHead, c.p.HeaderFlag, '0', '0', '0', '0')
	if bankSends {
		dst = append(append(dst, c.p.HeaderSource...), c.p.HeaderDest...)
	} else {
		dst = append(append(dst, c.p.HeaderDest...), c.p.HeaderSource...)
	}
	dst = append(dst, "000"...)
	if routing != nil {
		dst = append(dst, routing[:]...)
	} else {
		dst = append(dst, "0000000000"...)
	}
	return append(dst, RejectNone...)
}

// putLength completes the frame; false if it is too long.
func (c *Codec) putLength(frame []byte) bool {
	n := len(frame)
	if n > c.p.Limits.MaxFrame {
		return false
	}
	if c.p.Dialect == profile.POS {
		if c.p.LengthScope == "excludes" {
			n -= posPrefix
		}
		binary.BigEndian.PutUint16(frame, uint16(n))
		return true
	}
	n -= c.cupsUncounted()
	for i := cupsLength + 3; i >= cupsLength; i-- {
		frame[i] = '0' + byte(n%10)
		n /= 10
	}
	return true
}

// bodyAt is where the message type begins.
func (c *Codec) bodyAt() int {
	if c.p.Dialect == profile.POS {
		return posHead
	}
	return cupsHead
}

// AppendReject answers a CUPS frame whose header is refused: the frame goes
// back with the two ids swapped and the reject code set. Frames without a whole
// header, and rejects themselves, are not answered, so that two peers never
// reject each other for ever.
func (c *Codec) AppendReject(dst, frame []byte, code string) []byte {
	if c.p.Dialect != profile.CUPS || len(frame) < cupsHead || len(code) != 5 ||
		string(frame[cupsReject:cupsHead]) != RejectNone {
		return dst
	}
	at := len(dst)
	dst = append(dst, frame...)
	h := dst[at:]
	copy(h[cupsDest:], frame[cupsSource:cupsSpare])
	copy(h[cupsSource:], frame[cupsDest:cupsSource])
	copy(h[cupsReject:], code)
	return dst
}
