package bankmsg

import (
	"encoding/binary"
	"math/bits"

	"github.com/shebao-pay/shebao/settlement/profile"
)

// Encode writes the frame of a message (length, header, body, room for the
// code) into f, whose buffers it uses again. It allocates nothing when they
// have room. The message must have the type of the kind, the fields that the
// profile demands and none that it does not list.
func (c *Codec) Encode(f *Frame, k profile.Kind, reply bool, m *Message) error {
	return c.encode(f, k, reply, m, nil)
}

// EncodeAnswer is Encode for the answer to a decoded request, which goes back
// the way the request came.
func (c *Codec) EncodeAnswer(f *Frame, in *Inbound, m *Message) error {
	return c.encode(f, in.Kind, true, m, &in.Routing)
}

func (c *Codec) encode(f *Frame, k profile.Kind, reply bool, m *Message, routing *[10]byte) error {
	f.Wire, f.MACIn, f.macAt = f.Wire[:0], nil, 0
	r := c.rule(k, reply)
	if r == nil {
		return refuse(0, whyUnmatched)
	}
	if m.overflow {
		return refuse(0, whyArena)
	}
	if m.mti != r.mti && m.mti != r.repeat || !c.fits(r, m) {
		return refuse(0, whyUnmatched)
	}
	set := m.bits
	if r.mac && (r.macMust || !f.WithoutMAC) {
		set.set(c.p.MACField)
	} else if r.mac {
		set.clear(c.p.MACField)
		if r.judged && c.approves(m) {
			return refuse(c.p.MACField, whyBare)
		}
	}
	if err := c.checkSet(r, &set); err != nil {
		return err
	}
	if err := c.checkValues(r, m); err != nil {
		return err
	}
	if cap(f.Wire) < wireRoom {
		f.Wire = make([]byte, 0, wireRoom)
	}
	at := len(c.appendType(c.appendHead(f.Wire, r.bankSends, routing), m.mti, &set))
	buf := f.Wire[:wireRoom]
	for i, word := range set {
		for word != 0 {
			lead := bits.LeadingZeros64(word)
			word &^= 1 << 63 >> (lead & 63)
			de := i*64 + lead + 1
			if de == c.p.MACField { // it is the last
				f.macAt = at
				clear(buf[at : at+8])
				at += 8
				break
			}
			n, why := c.fields[de].encode(buf[at:], m.arena[m.off[de]:m.off[de]+m.n[de]])
			if at += n; why == ok && at > c.p.Limits.MaxFrame {
				why = whyArena
			}
			if why != ok {
				f.macAt = 0
				return refuse(de, why)
			}
		}
	}
	if f.Wire = buf[:at]; !c.putLength(f.Wire) {
		f.Wire, f.macAt = buf[:0], 0
		return refuse(0, whyArena)
	}
	if f.macAt > 0 {
		if c.p.MACScope == profile.MACFull {
			f.MACIn = f.Wire[c.bodyAt():f.macAt]
		} else {
			text, small := c.selectedText(f.text[:0], m, k)
			if f.text = text; small != 0 {
				f.Wire, f.macAt = buf[:0], 0
				return refuse(small, whySmall)
			}
			f.MACIn = f.text
		}
	}
	return nil
}

// wireRoom is the buffer of a frame: the longest one, and one more element,
// which is written before the length is judged.
const wireRoom = 2048 + maxElement

// appendType writes message type and bitmaps.
func (c *Codec) appendType(b []byte, mti uint16, set *bitmap) []byte {
	if c.p.Fields[0].Encoding == profile.BCD {
		b = binary.BigEndian.AppendUint16(b, mti)
	} else {
		b = appendMTI(b, mti)
	}
	if set[1] == 0 {
		return binary.BigEndian.AppendUint64(b, set[0])
	}
	b = binary.BigEndian.AppendUint64(b, set[0]|1<<63)
	return binary.BigEndian.AppendUint64(b, set[1])
}

func appendMTI(b []byte, mti uint16) []byte {
	return append(b, '0'+byte(mti>>12), '0'+byte(mti>>8&15), '0'+byte(mti>>4&15), '0'+byte(mti&15))
}

// checkSet holds the elements present to the field list.
func (c *Codec) checkSet(r *rule, set *bitmap) error {
	extra := bitmap{set[0] &^ r.may[0], set[1] &^ r.may[1]}
	if de := extra.first(); de != 0 {
		return refuse(de, whyNot)
	}
	missing := bitmap{r.must[0] &^ set[0], r.must[1] &^ set[1]}
	if de := missing.first(); de != 0 {
		return refuse(de, whyMissing)
	}
	return nil
}

// checkValues holds single values to the profile, on the way out and on the way
// in alike.
func (c *Codec) checkValues(r *rule, m *Message) error {
	for i := range r.fixed {
		if !r.fixed[i].is(m) {
			return refuse(r.fixed[i].de, whyFixed)
		}
	}
	// DE 4 has twelve digits, so text compares like the number.
	if v := m.Field(4); v != nil && (len(v) != len(c.limit) || string(v) > c.limit) {
		return refuse(4, whyAmount)
	}
	if de := c.p.RecordField; r.kind >= profile.Inquiry && r.kind <= profile.PayReversal && m.Has(de) && !wholeRecords(m.Field(de)) {
		return refuse(de, whyRecords)
	}
	return nil
}
