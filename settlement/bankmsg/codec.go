package bankmsg

import (
	"encoding/binary"
	"fmt"
	"sort"
	"strconv"

	"github.com/shebao-pay/shebao/settlement/profile"
)

// Role is which end of the wire we are. It decides the messages that Decode
// lets in.
type Role uint8

// The roles.
const (
	AnyEnd    Role = iota // both directions: tools, tests, a bank played in a test
	HubLink               // our link to the bank's host
	HubServer             // our server, to which the bank connects
)

// Codec is one profile compiled. It is never changed after Compile.
type Codec struct {
	p      *profile.Profile
	role   Role
	fields [maxDE + 1]element
	rules  [profile.KindEnd][2]*rule // request, reply
	byType [256][]*rule              // by the two middle digits of the type
	most   uint64                    // largest DE 4
	limit  string                    // most as twelve digits
}

// rule is one field list compiled.
type rule struct {
	kind      profile.Kind
	reply     bool
	bankSends bool
	mti       uint16
	repeat    uint16 // mti again if a repeat has no type of its own
	must, may bitmap // may includes must
	drop      bitmap
	mac       bool // the code is in the list
	macMust   bool
	judged    bool // its approval counts for something, so it needs a code
	proc      string
	function  string
	networks  []string
	tail      string
	fixed     []fixedValue
}

// fixedValue is a value that never changes. Up to eight bytes are compared as
// one number.
type fixedValue struct {
	de    int
	value string
	word  uint64
	mask  uint64
}

func newFixed(de int, v string) fixedValue {
	f := fixedValue{de: de, value: v}
	if len(v) <= 8 {
		var b [8]byte
		copy(b[:], v)
		f.word, f.mask = binary.LittleEndian.Uint64(b[:]), 1<<(8*len(v))-1
	}
	return f
}

// is tells whether the element, if present, has the value.
func (f *fixedValue) is(m *Message) bool {
	if !m.bits.has(f.de) {
		return true
	}
	at, n := m.off[f.de], int(m.n[f.de])
	if f.mask != 0 {
		return n == len(f.value) && binary.LittleEndian.Uint64(m.arena[at:])&f.mask == f.word
	}
	return string(m.arena[at:int(at)+n]) == f.value
}

// Compile makes the codec of a profile that profile.Load accepted, and makes each
// message that we send once: a profile that could not is refused here and not at
// the first payment.
func Compile(p *profile.Profile) (*Codec, error) {
	c := &Codec{p: p, most: uint64(p.Limits.MaxAmount), limit: fmt.Sprintf("%012d", p.Limits.MaxAmount)}
	for de, f := range p.Fields {
		if f.Length == 0 || de < 2 {
			continue
		}
		if f.Content == 0 || f.Encoding == 0 {
			return nil, fmt.Errorf("bankmsg: profile %s: field %d has no content or encoding", p.Code, de)
		}
		c.fields[de] = element{enc: f.Encoding, content: f.Content, max: f.Length,
			halves: f.Encoding == profile.BCD || f.Encoding == profile.LBCD, digits: f.LengthDigits, bcd: f.LengthBCD, separator: p.TrackSeparator}
	}
	for k := profile.Kind(1); k < profile.KindEnd; k++ {
		for i, r := range []*profile.MessageRule{&p.Rules[k].Request, &p.Rules[k].Reply} {
			if !r.Used() {
				continue
			}
			cr, err := c.compileRule(k, i == 1, r)
			if err != nil {
				return nil, fmt.Errorf("bankmsg: profile %s: %s: %w", p.Code, k, err)
			}
			c.rules[k][i] = cr
			c.byType[cr.mti>>4&0xFF] = append(c.byType[cr.mti>>4&0xFF], cr)
		}
	}
	if err := c.rehearse(); err != nil {
		return nil, fmt.Errorf("bankmsg: profile %s: %w", p.Code, err)
	}
	return c, nil
}

func (c *Codec) compileRule(k profile.Kind, reply bool, r *profile.MessageRule) (*rule, error) {
	mti, err := strconv.ParseUint(r.MTI, 16, 16)
	if err != nil || mti>>12 != 0 {
		return nil, fmt.Errorf("message type %q", r.MTI)
	}
	cr := &rule{kind: k, reply: reply, bankSends: k.BankSends() != reply, mti: uint16(mti), repeat: uint16(mti),
		proc: r.Proc, function: r.Function, tail: r.Tail}
	switch k {
	case profile.Debit, profile.PINProof, profile.Reversal, profile.StatusInquiry, profile.ScriptNotify, profile.Inquiry, profile.NoticePay, profile.PayStatus, profile.PayReversal:
		cr.judged = reply
	}
	if r.Repeat != "" {
		rep, err := strconv.ParseUint(r.Repeat, 16, 16)
		if err != nil || rep>>4 != mti>>4 {
			return nil, fmt.Errorf("repeat type %q must differ in the last digit only", r.Repeat)
		}
		cr.repeat = uint16(rep)
	}
	if r.Network != "" {
		cr.networks = append([]string{r.Network}, r.Networks...)
	}
	for i, list := range [][]int{r.Mandatory, r.Optional} {
		for _, de := range list {
			if de < 2 || de > maxDE || c.fields[de].max == 0 {
				return nil, fmt.Errorf("field %d is not defined", de)
			}
			if de == c.p.MACField {
				cr.mac, cr.macMust = true, i == 0
			}
			cr.may.set(de)
			if i == 0 {
				cr.must.set(de)
			}
		}
	}
	for _, de := range r.Dropped {
		cr.drop.set(de)
	}
	for de, v := range r.Fixed { // order-free: sorted below
		cr.fixed = append(cr.fixed, newFixed(de, v))
	}
	sort.Slice(cr.fixed, func(i, j int) bool { return cr.fixed[i].de < cr.fixed[j].de })
	return cr, nil
}

// Profile is the profile that was compiled.
func (c *Codec) Profile() *profile.Profile { return c.p }

// For gives the codec of one end: its Decode refuses what the other side never
// sends to this end.
func (c *Codec) For(r Role) *Codec {
	d := *c
	d.role = r
	return &d
}

// Has tells whether the profile has the message.
func (c *Codec) Has(k profile.Kind) bool { return c.rule(k, false) != nil }

// Covered tells whether the code of a message of this kind covers the element.
// What it does not cover must not decide about money.
func (c *Codec) Covered(k profile.Kind, de int) bool {
	if de == c.p.MACField {
		return false
	}
	if c.p.MACScope == profile.MACFull {
		return true
	}
	for _, d := range selectedFields(k) {
		if d == de {
			return true
		}
	}
	return false
}

func (c *Codec) rule(k profile.Kind, reply bool) *rule {
	if k == 0 || k >= profile.KindEnd {
		return nil
	}
	if reply {
		return c.rules[k][1]
	}
	return c.rules[k][0]
}

// find tells which message this is; nil if the profile has none such from that
// side.
func (c *Codec) find(m *Message, bankSends bool) *rule {
	for _, r := range c.byType[m.mti>>4&0xFF] {
		if r.bankSends == bankSends && (m.mti == r.mti || m.mti == r.repeat) && c.fits(r, m) && c.lets(r) {
			return r
		}
	}
	return nil
}

// lets tells whether this end takes the message.
func (c *Codec) lets(r *rule) bool {
	switch c.role {
	case HubLink:
		return r.bankSends && (r.reply || r.kind == profile.KeyDelivery || r.kind == profile.CutoverFrom || r.kind == profile.PeerEcho)
	case HubServer:
		return r.bankSends && !r.reply
	}
	return true
}

// fits compares what tells messages of one type apart: processing code,
// function and network code.
func (c *Codec) fits(r *rule, m *Message) bool {
	if r.proc != "" && string(m.Field(3)) != r.proc {
		return false
	}
	if len(r.networks) == 0 {
		return true
	}
	code := m.Field(70)
	if c.p.Dialect == profile.POS {
		f := m.Field(60)
		if len(f) < 11 || string(f[:2]) != r.function {
			return false
		}
		code = f[8:11]
	}
	for _, n := range r.networks {
		if string(code) == n {
			return true
		}
	}
	return false
}
