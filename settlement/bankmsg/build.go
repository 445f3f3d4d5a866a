package bankmsg

import (
	"encoding/hex"
	"fmt"
	"time"

	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
)

// forWire is why a card's data is revealed here.
const forWire si.Purpose = "bank message"

// The operator of a POS sign-on when nobody is named.
const defaultOperator = "001"

// Debit fills m with a 0200 that debits the card's account.
func (c *Codec) Debit(m *Message, d *DebitRequest) error {
	if d.Amount <= 0 || uint64(d.Amount) > c.most {
		return refuse(4, whyAmount)
	}
	return c.fill(m, profile.Debit, &source{place: d.Place, stan: d.STAN, rrn: &d.RRN, de7: &d.DE7, at: d.At,
		amount: d.Amount, card: &d.Card})
}

// PINProof fills m with a 0200 that moves no money and makes the bank judge the
// PIN.
func (c *Codec) PINProof(m *Message, d *ProofRequest) error {
	return c.fill(m, profile.PINProof, &source{place: d.Place, stan: d.STAN, rrn: &d.RRN, de7: &d.DE7, at: d.At, card: &d.Card})
}

// StatusInquiry fills m with the question what became of a debit.
func (c *Codec) StatusInquiry(m *Message, q *InquiryRequest) error {
	if q.Amount <= 0 || uint64(q.Amount) > c.most {
		return refuse(4, whyAmount)
	}
	return c.fill(m, profile.StatusInquiry, &source{place: q.Place, stan: q.STAN, rrn: &q.Original.RRN, de7: &q.DE7, at: q.At,
		amount: q.Amount, card: &CardPart{PAN: q.PAN}, original: &q.Original})
}

// ScriptNotify fills m with the notice of what issuer scripts did.
func (c *Codec) ScriptNotify(m *Message, n *ScriptNotice) error {
	if len(n.Resp) != 2 {
		return refuseText(39, "a script notice needs the payment's code")
	}
	if err := c.fill(m, profile.ScriptNotify, &source{stan: n.STAN, rrn: &n.RRN, de7: &n.NewDE7, at: n.At, amount: n.Amount,
		card: &CardPart{PAN: n.PAN, PSN: n.PSN, DE55: n.DE55}, reason: n.Resp,
		original: &OriginalPayment{STAN: n.STAN, DE7: n.DE7, At: n.At}}); err != nil {
		return err
	}
	if n.Repeat {
		m.mti = c.rule(profile.ScriptNotify, false).repeat
	}
	return nil
}

// Reversal fills m with a 0400 or 0420, or their repeat. The fields that it
// keeps of the original, and those that it drops, are the profile's list.
func (c *Codec) Reversal(m *Message, r *ReversalRequest) error {
	if r.Amount <= 0 || uint64(r.Amount) > c.most {
		return refuse(4, whyAmount)
	}
	if len(r.Reason) != 2 {
		return refuseText(39, "a reversal needs a reason")
	}
	card := CardPart{PAN: r.PAN, PSN: r.PSN, Expiry: r.Expiry, DE55: r.EMV}
	s := &source{place: r.Place, stan: r.STAN, rrn: &r.RRN, de7: &r.NewDE7, at: r.At, amount: r.Amount, card: &card,
		auth: r.Auth, reason: r.Reason, original: &OriginalPayment{Batch: r.Place.Batch, STAN: r.STAN, DE7: r.DE7, At: r.At}}
	if err := c.fill(m, profile.Reversal, s); err != nil {
		return err
	}
	if r.Repeat {
		m.mti = c.rule(profile.Reversal, false).repeat
	}
	return nil
}

// SignOn fills m with the sign-on of a link.
func (c *Codec) SignOn(m *Message, n *NetRequest) error { return c.net(m, profile.SignOn, n) }

// SignOff fills m with the sign-off of a link.
func (c *Codec) SignOff(m *Message, n *NetRequest) error { return c.net(m, profile.SignOff, n) }

// Echo fills m with an echo test.
func (c *Codec) Echo(m *Message, n *NetRequest) error { return c.net(m, profile.Echo, n) }

// KeyReset fills m with the wish for a new key (CUPS): n.PINKey says which.
func (c *Codec) KeyReset(m *Message, n *NetRequest) error { return c.net(m, profile.KeyReset, n) }

func (c *Codec) net(m *Message, k profile.Kind, n *NetRequest) error {
	return c.fill(m, k, &source{place: n.Place, stan: n.STAN, de7: &n.DE7, at: n.At, operator: n.Operator, pinKey: n.PINKey})
}

// source is where the values of one request come from.
type source struct {
	place    Place
	stan     uint32
	rrn      *[12]byte
	de7      *[10]byte
	at       time.Time
	amount   si.Fen
	card     *CardPart
	auth     string
	reason   string
	operator string
	pinKey   bool
	original *OriginalPayment
}

// fill sets every element that the profile lists for the request and that has a
// value. A mandatory element without one is an error.
func (c *Codec) fill(m *Message, k profile.Kind, s *source) error {
	r := c.rule(k, false)
	if r == nil {
		return fmt.Errorf("%w: profile %s has no %s", ErrMessage, c.p.Code, k)
	}
	m.Reset(r.mti)
	for _, f := range r.fixed {
		m.SetString(f.de, f.value)
	}
	for rest := r.may; ; {
		de := rest.first()
		if de == 0 {
			break
		}
		rest.clear(de)
		if de == c.p.MACField || m.Has(de) {
			continue
		}
		if err := c.set(m, r, de, s); err != nil {
			return err
		}
		if r.must.has(de) && !m.Has(de) {
			return refuse(de, whyMissing)
		}
	}
	if m.overflow {
		return refuse(0, whyArena)
	}
	return nil
}

// set gives one element its value, or leaves it out when there is none.
func (c *Codec) set(m *Message, r *rule, de int, s *source) error {
	local := s.at.In(si.China)
	switch de {
	case 3:
		m.SetString(3, r.proc)
	case 4:
		m.SetNumber(4, uint64(s.amount), 12)
	case 7:
		if s.de7 != nil && s.de7[0] != 0 {
			m.Set(7, s.de7[:])
		}
	case 11:
		if s.stan == 0 || s.stan > 999_999 {
			return refuseText(11, "must be 1 to 999999")
		}
		m.SetNumber(11, uint64(s.stan), 6)
	case 12:
		m.SetNumber(12, uint64(local.Hour()*10000+local.Minute()*100+local.Second()), 6)
	case 13:
		m.SetNumber(13, uint64(int(local.Month())*100+local.Day()), 4)
	case 37:
		if s.rrn != nil && s.rrn[0] != 0 {
			m.Set(37, s.rrn[:])
		}
	case 38:
		c.optional(m, 38, s.auth)
	case 39:
		c.optional(m, 39, s.reason)
	case 53:
		m.SetString(53, keyChoice(s.pinKey))
	case 60:
		if s.place.Batch > 999_999 {
			return refuseText(60, "batch number over six digits")
		}
		c.setFunction(m, r, s.place.Batch)
	case 61:
		c.setOriginal61(m, s)
	case 63:
		c.set63(m, s)
	case 70:
		if len(r.networks) > 0 {
			m.SetString(70, r.networks[0])
		}
	case 90:
		c.setOriginal90(m, s)
	default:
		c.setParty(m, de, s)
		c.setCard(m, de, s.card)
	}
	return nil
}

// keyChoice is DE 53 of a key message: 1 the PIN key, 2 the code's key.
func keyChoice(pin bool) string {
	if pin {
		return "1000000000000000"
	}
	return "2000000000000000"
}

func (c *Codec) optional(m *Message, de int, v string) {
	if v != "" {
		m.SetString(de, v)
	}
}

// setParty sets the institutions and places.
func (c *Codec) setParty(m *Message, de int, s *source) {
	v := ""
	pos := c.p.Dialect == profile.POS
	switch de {
	case 32:
		v = c.p.Acquirer
	case 33:
		v = c.p.Forwarder
	case 41:
		if v = c.p.TerminalB; pos {
			v = s.place.Terminal.DE41
		}
	case 42:
		if v = c.p.MerchantB; pos {
			v = s.place.Terminal.DE42
		}
	case 103:
		v = c.p.Account
	}
	c.optional(m, de, v)
}

// setCard sets what comes from the card.
func (c *Codec) setCard(m *Message, de int, card *CardPart) {
	if card == nil {
		return
	}
	switch de {
	case 2:
		var digits [19]byte
		m.Set(2, card.PAN.AppendDigits(digits[:0], forWire))
		clear(digits[:])
	case 14:
		c.optional(m, 14, card.Expiry)
	case 23:
		if card.PSN != "" {
			v := "000" + card.PSN
			m.SetString(23, v[len(v)-3:])
		}
	case 35:
		if !card.Track2.IsZero() {
			m.SetString(35, card.Track2.Reveal(forWire))
		}
	case 52:
		if !card.PINBlock.IsZero() {
			b := card.PINBlock.Reveal(forWire)
			m.Set(52, b)
			clear(b)
		}
	case 55:
		if len(card.DE55) > 0 {
			m.Set(55, card.DE55)
		}
	}
}

// set63 is the operator of a POS sign-on, or the record of a PIN block of 16
// bytes that DE 52 has no room for.
func (c *Codec) set63(m *Message, s *source) {
	if c.p.Dialect == profile.POS {
		op := s.operator
		if op == "" {
			op = defaultOperator
		}
		m.SetString(63, op)
		return
	}
	if c.p.PINField == "63.SM" && s.card != nil && !s.card.PINBlock.IsZero() {
		b := s.card.PINBlock.Reveal(forWire)
		var rec [21]byte
		m.Set(63, append(append(rec[:0], RecSM4PIN+"016"...), b...))
		clear(b)
		clear(rec[:])
	}
}

// setFunction is DE 60 of the POS dialect: type, batch, network code and what
// the terminal can do. The CUPS dialect fixes it in the profile.
func (c *Codec) setFunction(m *Message, r *rule, batch uint32) {
	if c.p.Dialect != profile.POS || len(r.networks) == 0 {
		return
	}
	var b [17]byte
	out := append(b[:0], r.function...)
	out = appendNumber(out, uint64(batch), 6)
	out = append(append(out, r.networks[0]...), r.tail...)
	m.Set(60, out)
}

// setOriginal61 names the original of a 0400 or an inquiry: batch, trace number,
// date.
func (c *Codec) setOriginal61(m *Message, s *source) {
	if s.original == nil {
		return
	}
	local := s.original.At.In(si.China)
	var b [16]byte
	out := appendNumber(b[:0], uint64(s.original.Batch), 6)
	out = appendNumber(out, uint64(s.original.STAN), 6)
	out = appendNumber(out, uint64(int(local.Month())*100+local.Day()), 4)
	m.Set(61, out)
}

// setOriginal90 names the original of a 0420 or an inquiry.
func (c *Codec) setOriginal90(m *Message, s *source) {
	if s.original == nil {
		return
	}
	o := OriginalData{MTI: c.rule(profile.Debit, false).mti, STAN: s.original.STAN, DE7: s.original.DE7,
		Acquirer: c.p.Acquirer, Forwarder: c.p.Forwarder}
	m.Set(90, o.append(make([]byte, 0, originalLen)))
}

// originalLen is the length of DE 90 and of the record OD.
const originalLen = 42

// OriginalData names a message: DE 90, and the record OD where a message has
// 64 fields only.
type OriginalData struct {
	MTI       uint16
	STAN      uint32
	DE7       [10]byte
	Acquirer  string // DE 32, leading zeros of the field are no part of it
	Forwarder string // DE 33
}

func (o *OriginalData) append(dst []byte) []byte {
	dst = appendMTI(dst, o.MTI)
	dst = appendNumber(dst, uint64(o.STAN), 6)
	dst = append(dst, o.DE7[:]...)
	for _, id := range []string{o.Acquirer, o.Forwarder} {
		for i := len(id); i < 11; i++ {
			dst = append(dst, '0')
		}
		dst = append(dst, id...)
	}
	return dst
}

// parseOriginal reads 42 digits.
func parseOriginal(b []byte) (o OriginalData, ok bool) {
	if len(b) != originalLen || !allOf(b, isDigit) {
		return o, false
	}
	mti, err := hex.DecodeString(string(b[:4]))
	if err != nil {
		return o, false
	}
	o.MTI = uint16(mti[0])<<8 | uint16(mti[1])
	o.STAN = uint32(number(b[4:10]))
	copy(o.DE7[:], b[10:20])
	o.Acquirer, o.Forwarder = trimZeros(b[20:31]), trimZeros(b[31:42])
	return o, true
}

func trimZeros(b []byte) string {
	for len(b) > 0 && b[0] == '0' {
		b = b[1:]
	}
	return string(b)
}

// number reads digits that were checked.
func number(b []byte) (v uint64) {
	for _, c := range b {
		v = v*10 + uint64(c-'0')
	}
	return v
}

// appendNumber appends v as width digits; higher digits are cut.
func appendNumber(dst []byte, v uint64, width int) []byte {
	at := len(dst)
	for i := 0; i < width; i++ {
		dst = append(dst, '0')
	}
	for i := len(dst) - 1; i >= at; i-- {
		dst[i] = '0' + byte(v%10)
		v /= 10
	}
	return dst
}
