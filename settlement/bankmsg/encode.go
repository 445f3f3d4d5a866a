package bankmsg

import (
	"encoding/binary"

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
	b := c.appendHead(f.Wire, r.bankSends, routing)
	b = c.appendType(b, m.mti, &set)
	for rest := set; ; {
		de := rest.first()
		if de == 0 {
			break
		}
		rest.clear(de)
		if de == c.p.MACField {
			f.macAt = len(b)
			b = append(b, 0, 0, 0, 0, 0, 0, 0, 0)
			break // it is the last
		}
		var why string
		if b, why = c.fields[de].encode(b, m.Field(de)); why != "" {
			return refuse(de, why)
		}
	}
	if !c.putLength(b) {
		f.Wire = b[:0]
		return refuse(0, whyArena)
	}
	f.Wire = b
	if f.macAt > 0 {
		if c.p.MACScope == profile.MACFull {
			f.MACIn = b[c.bodyAt():f.macAt]
		} else {
			f.text = c.selectedText(f.text[:0], m, k)
			f.MACIn = f.text
		}
	}
	return nil
}

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
		if v := m.Field(r.fixed[i].de); v != nil && string(v) != r.fixed[i].value {
			return refuse(r.fixed[i].de, whyFixed)
		}
	}
	if m.Has(4) {
		if v, ok := m.Number(4); !ok || v > c.most {
			return refuse(4, whyAmount)
		}
	}
	if de := c.p.RecordField; r.kind >= profile.Inquiry && r.kind <= profile.PayReversal && m.Has(de) && !wholeRecords(m.Field(de)) {
		return refuse(de, whyRecords)
	}
	return nil
}
