package bankmsg

import (
	"bytes"
	"fmt"
	"io"

	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
)

// The elements that a reply echoes. What a request has not, its reply is not
// compared for; DE 2, 37, 61 and 90 are compared only when the reply has them as
// well.
var (
	echoed        = [...]int{3, 4, 7, 11, 32, 33, 41, 42, 49, 70}
	echoedIfThere = [...]int{2, 37, 61, 90}
)

// maxDateDrift is how many days the bank's date may lie from ours.
const maxDateDrift = 2

// Sent is what is kept of a request to judge its reply. It holds the PAN, so
// it lives as long as the request is under way and no longer.
type Sent struct {
	kind profile.Kind
	mti  uint16
	bits bitmap
	off  [maxDE + 1]uint8
	n    [maxDE + 1]uint8
	used uint8
	buf  [200]byte
}

// String hides what it holds.
func (s *Sent) String() string { return "(request sent)" }

// Format hides what it holds.
func (s *Sent) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// Kind is the kind of the request.
func (s *Sent) Kind() profile.Kind { return s.kind }

// Wipe zeroes everything.
func (s *Sent) Wipe() { *s = Sent{} }

// Keep notes what the reply to this request must echo.
func (s *Sent) Keep(k profile.Kind, m *Message) {
	s.kind, s.mti, s.bits, s.used = k, m.mti, bitmap{}, 0
	keep := func(de int, v []byte) {
		if v == nil || int(s.used)+len(v) > len(s.buf) {
			return
		}
		s.bits.set(de)
		s.off[de], s.n[de] = s.used, uint8(len(v))
		s.used += uint8(copy(s.buf[s.used:], v))
	}
	for _, de := range echoed {
		keep(de, m.Field(de))
	}
	for _, de := range echoedIfThere {
		keep(de, m.Field(de))
	}
	if f := m.Field(60); len(f) >= 11 {
		keep(60, f[:11])
	}
}

func (s *Sent) field(de int) []byte {
	if !s.bits.has(de) {
		return nil
	}
	return s.buf[s.off[de] : s.off[de]+s.n[de]]
}

// CheckReply tells whether a decoded reply whose code was found good belongs to
// the request: same kind, message type plus 10, and every echoed field equal.
// An error means that the outcome is unknown. today is our own date, to which
// DE 15 must lie near where the code covers it.
func (c *Codec) CheckReply(s *Sent, m *Message, in *Inbound, today si.BusinessDate) error {
	r := c.rule(s.kind, true)
	if r == nil || !in.Reply || in.Kind != s.kind || m.mti != r.mti {
		return &FieldError{DE: 0, Reason: "is not that of the answer", of: ErrEcho}
	}
	for _, de := range echoed {
		if want := s.field(de); want != nil && (r.must.has(de) || m.Has(de)) && !bytes.Equal(m.Field(de), want) {
			return &FieldError{DE: de, Reason: "differs from the request's", of: ErrEcho}
		}
	}
	for _, de := range echoedIfThere {
		if want := s.field(de); want != nil && m.Has(de) && !bytes.Equal(m.Field(de), want) {
			return &FieldError{DE: de, Reason: "differs from the request's", of: ErrEcho}
		}
	}
	// DE 60 of the POS dialect: the batch belongs to the key of the request. A
	// sign-on answer brings the batch number to use.
	if want := s.field(60); want != nil && c.p.Dialect == profile.POS && s.kind != profile.SignOn {
		if f := m.Field(60); len(f) < 11 || !bytes.Equal(f[:11], want) {
			return &FieldError{DE: 60, Reason: "differs from the request's", of: ErrEcho}
		}
	}
	if _, given := c.SettleDate(m, in, today); given < 0 {
		return &FieldError{DE: 15, Reason: "is no date near ours", of: ErrEcho}
	}
	return nil
}

// SettleDate reads the bank's date. given is 1 when the date may be used, 0
// when there is none or the code does not cover it, -1 when it is no date
// within two days of today.
func (c *Codec) SettleDate(m *Message, in *Inbound, today si.BusinessDate) (date si.BusinessDate, given int) {
	f := m.Field(15)
	if f == nil || !in.HasMAC || !c.Covered(in.Kind, 15) {
		return 0, 0
	}
	d, ok := nearDate(f, today, maxDateDrift)
	if !ok {
		return 0, -1
	}
	return d, 1
}

// AnnouncedDate reads the date that a cutover message announces, within two days
// of today; false when it is none. Whether the code covers it is the caller's to
// ask.
func AnnouncedDate(m *Message, today si.BusinessDate) (si.BusinessDate, bool) {
	return nearDate(m.Field(15), today, maxDateDrift)
}

// nearDate finds the day MMDD within drift days of today, from today outwards.
func nearDate(mmdd []byte, today si.BusinessDate, drift int) (si.BusinessDate, bool) {
	if len(mmdd) != 4 || !allOf(mmdd, isDigit) {
		return 0, false
	}
	want := int(number(mmdd))
	for i := 0; i <= 2*drift; i++ {
		d := int(today) + (i+1)/2
		if i%2 == 0 {
			d = int(today) - i/2
		}
		if d <= 0 || d > 0xFFFF {
			continue
		}
		t := si.BusinessDate(d).Time()
		if int(t.Month())*100+t.Day() == want {
			return si.BusinessDate(d), true
		}
	}
	return 0, false
}

// MatchKey is what tells a reply whose request it answers, beside the link it
// came on. It is comparable and holds no card data.
type MatchKey struct {
	class uint8 // second digit of the message type
	kind  profile.Kind
	text  [48]byte
}

// Class is the second digit of the message type: 2 for 0200 and 0210.
func (k MatchKey) Class() uint8 { return k.class }

// MatchKey makes the key of a request or of its reply. POS: DE 41, 42, 11 and
// the batch; CUPS: DE 32, 33, 7 and 11, which a message of the link has in
// part. A reversal's own key differs from its original's by the class.
func (c *Codec) MatchKey(k profile.Kind, m *Message) MatchKey {
	key := MatchKey{class: uint8(m.mti >> 8 & 15), kind: k}
	out := key.text[:0]
	if c.p.Dialect == profile.POS {
		out = append(append(append(out, m.Field(41)...), m.Field(42)...), m.Field(11)...)
		if f := m.Field(60); len(f) >= 8 && k != profile.SignOn {
			out = append(out, f[2:8]...)
		}
	} else {
		for _, de := range []int{32, 33} {
			out = append(append(out, m.Field(de)...), '/')
		}
		out = append(append(out, m.Field(7)...), m.Field(11)...)
	}
	_ = out
	return key
}

// Batch reads the batch number of a POS message, 60.2.
func Batch(m *Message) (uint32, bool) {
	f := m.Field(60)
	if len(f) < 8 || !allOf(f, isDigit) {
		return 0, false
	}
	return uint32(number(f[2:8])), true
}

// NewKey reads a key delivery of the CUPS dialect: the TR-31 block, and whether
// it is the PIN key.
func NewKey(m *Message) (block string, forPIN bool, err error) {
	v, ok := Record(m.Field(48), RecNewKey)
	if !ok {
		return "", false, refuseText(48, "has no record NK")
	}
	f := m.Field(53)
	if len(f) == 0 {
		return "", false, refuse(53, whyMissing)
	}
	return string(v), f[0] == '1', nil
}
