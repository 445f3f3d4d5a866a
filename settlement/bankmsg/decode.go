package bankmsg

import (
	"encoding/binary"
	"math/bits"

	"github.com/shebao-pay/shebao/settlement/profile"
)

// Decode parses one whole frame strictly into m and tells what it is. It
// accepts one form of each message only: what it accepts, Encode makes again
// byte for byte (fields that the profile drops apart). It allocates nothing.
func (c *Codec) Decode(frame []byte, m *Message, in *Inbound) error {
	*in = Inbound{text: in.text[:0]}
	m.Reset(0)
	body, bankSends, err := c.open(frame, in)
	if err != nil {
		return err
	}
	set, n, err := c.readType(body, m)
	if err != nil {
		return err
	}
	if err := c.readFields(body[n:], m, in, &set); err != nil {
		return err
	}
	r := c.find(m, bankSends)
	if r == nil {
		return refuse(0, whyUnmatched)
	}
	if err := c.checkSet(r, &set); err != nil {
		return err
	}
	if err := c.checkValues(r, m); err != nil {
		return err
	}
	in.Kind, in.Reply, in.Repeat = r.kind, r.reply, m.mti != r.mti
	for drop := r.drop; ; {
		de := drop.first()
		if de == 0 {
			break
		}
		drop.clear(de)
		if m.Has(de) {
			clear(m.Field(de))
			m.Clear(de)
		}
	}
	if !in.HasMAC {
		if r.judged && c.approves(m) {
			return refuse(c.p.MACField, whyBare)
		}
		return nil
	}
	if c.p.MACScope == profile.MACFull {
		in.MACIn = body[:len(body)-8]
	} else {
		text, small := c.selectedText(in.text, m, r.kind)
		if in.text = text; small != 0 {
			return refuse(small, whySmall)
		}
		in.MACIn = in.text
	}
	return nil
}

// readFields reads every element of the set, to the last byte.
func (c *Codec) readFields(rest []byte, m *Message, in *Inbound, set *bitmap) error {
	used := 0
	for i, word := range set {
		for word != 0 {
			lead := bits.LeadingZeros64(word)
			word &^= 1 << 63 >> (lead & 63)
			de := i*64 + lead + 1
			e := &c.fields[de]
			if e.max == 0 {
				return refuse(de, whyUnknown)
			}
			if de == c.p.MACField { // it is the last
				if len(rest) != len(in.MAC) {
					return refuse(de, whyLength)
				}
				in.HasMAC = true
				copy(in.MAC[:], rest)
				m.bits, m.used = *set, uint16(used)
				m.bits.clear(de)
				return nil
			}
			n, size, why := e.decode(rest, m.arena[used:])
			if why != ok {
				return refuse(de, why)
			}
			m.off[de], m.n[de] = uint16(used), uint16(size)
			used += size
			rest = rest[n:]
		}
	}
	if len(rest) > 0 {
		return refuse(1, whyLeftOver)
	}
	m.bits, m.used = *set, uint16(used)
	return nil
}

// approves tells whether the reply says that money moved.
func (c *Codec) approves(m *Message) bool {
	code := m.Field(39)
	return len(code) == 2 && c.p.Classes[string(code)] == profile.ClassApproved
}

// readType reads message type and bitmaps.
func (c *Codec) readType(body []byte, m *Message) (set bitmap, n int, err error) {
	if c.p.Fields[0].Encoding == profile.BCD {
		if len(body) < 10 {
			return set, 0, refuse(0, whyShort)
		}
		if pairOf[body[0]] == 0 || pairOf[body[1]] == 0 {
			return set, 0, refuse(0, whyDigits)
		}
		m.mti, n = binary.BigEndian.Uint16(body), 2
	} else {
		if len(body) < 12 {
			return set, 0, refuse(0, whyShort)
		}
		if !allOf(body[:4], isDigit) {
			return set, 0, refuse(0, whyDigits)
		}
		for _, d := range body[:4] {
			m.mti = m.mti<<4 | uint16(d-'0')
		}
		n = 4
	}
	if m.mti>>12 != 0 || c.byType[m.mti>>4&0xFF] == nil {
		return set, 0, refuse(0, whyUnmatched)
	}
	set[0] = binary.BigEndian.Uint64(body[n:])
	n += 8
	if set[0]>>63 == 0 {
		return set, n, nil
	}
	if c.p.Dialect == profile.POS {
		return set, 0, refuse(1, whySecondBitmap)
	}
	if len(body) < n+8 {
		return set, 0, refuse(1, whyShort)
	}
	set[0] &^= 1 << 63
	set[1] = binary.BigEndian.Uint64(body[n:])
	if set[1] == 0 {
		return set, 0, refuse(1, whyEmptyBitmap)
	}
	if set[1]>>63 == 1 {
		return set, 0, refuse(65, whyThirdBitmap)
	}
	return set, n + 8, nil
}
