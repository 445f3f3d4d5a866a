package msgtest

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/shebao-pay/shebao/settlement/bankmsg"
	"github.com/shebao-pay/shebao/settlement/profile"
)

// Sampler fills messages of one profile.
type Sampler struct {
	P   *profile.Profile
	Rnd *rand.Rand
}

// NewSampler makes a sampler; the same seed gives the same messages.
func NewSampler(p *profile.Profile, seed uint64) *Sampler {
	return &Sampler{P: p, Rnd: rand.New(rand.NewPCG(seed, 2))} // #nosec G404 -- messages of tests, the same again from a seed
}

// Rule is one message of a profile.
type Rule struct {
	Kind  profile.Kind
	Reply bool
	*profile.MessageRule
}

// Rules lists the messages that the profile has, by kind, requests first.
func Rules(p *profile.Profile) (all []Rule) {
	for k := profile.Kind(1); k < profile.KindEnd; k++ {
		for _, r := range []Rule{{k, false, &p.Rules[k].Request}, {k, true, &p.Rules[k].Reply}} {
			if r.Used() {
				all = append(all, r)
			}
		}
	}
	return all
}

// Fill fills m with the message: everything mandatory, half of what is optional.
func (s *Sampler) Fill(r Rule, m *bankmsg.Message) {
	m.Reset(mti(r.MTI))
	list := slices.Concat(r.Mandatory, r.Optional)
	slices.Sort(list)
	for _, de := range list {
		if de == s.P.MACField || !slices.Contains(r.Mandatory, de) && s.Rnd.IntN(2) == 0 {
			continue
		}
		m.Set(de, s.value(r, de))
	}
}

func mti(digits string) (v uint16) {
	for _, c := range digits {
		v = v<<4 | uint16(c-'0')
	}
	return v
}

func (s *Sampler) digits(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = '0' + byte(s.Rnd.IntN(10))
	}
	return string(b)
}

// value makes a good value of one element.
func (s *Sampler) value(r Rule, de int) []byte {
	f := s.P.Fields[de]
	n := f.Length
	if f.LengthDigits > 0 {
		n = 1 + s.Rnd.IntN(min(n, 60))
	}
	v := ""
	fixed, isFixed := r.Fixed[de]
	switch {
	case isFixed:
		v = fixed
	case de == 3 && r.Proc != "":
		v = r.Proc
	case de == 4:
		v = fmt.Sprintf("%012d", 1+s.Rnd.Int64N(int64(s.P.Limits.MaxAmount)))
	case de == 39:
		v = []string{"00", "51", "55", "96", "A0"}[s.Rnd.IntN(5)]
	case de == 60 && r.Network != "" && s.P.Dialect == profile.POS:
		v = r.Function + s.digits(6) + r.Network + r.Tail
	case de == 70:
		v = r.Network
	case de == s.P.RecordField && r.Kind >= profile.Inquiry && r.Kind <= profile.PayReversal, f.Content == profile.RecordContent:
		v = string(bankmsg.AppendRecord(bankmsg.AppendRecord(nil, bankmsg.RecNotice, s.digits(20)), bankmsg.RecName, "\xc0\xee*"))
	default:
		v = s.content(f.Content, n)
	}
	return []byte(v)
}

func (s *Sampler) content(c profile.Content, n int) string {
	switch c {
	case profile.Digits:
		return s.digits(n)
	case profile.Track:
		return s.digits(19) + "D" + s.digits(s.Rnd.IntN(17))
	case profile.SignedNumber:
		return "C" + s.digits(n-1)
	case profile.ICC:
		return "\x9f\x26\x08" + s.bytes(8) + "\x95\x05" + s.bytes(5) + "\x72\x05\x86\x03\x84\x24\x00\x72\x02\x86\x00"
	case profile.Alphanumeric:
		return ("AB3" + s.digits(n))[:n]
	case profile.Printable:
		return ("X ~!" + s.digits(n))[:n]
	}
	return s.bytes(n)
}

func (s *Sampler) bytes(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(s.Rnd.IntN(256))
	}
	return string(b)
}

// Code is the message authentication code of tests that need one that nobody
// without the key can make, and none that a bank uses.
func Code(key, text []byte) (mac [8]byte) {
	h := sha256.New()
	h.Write(key)
	h.Write(text)
	sum := h.Sum(nil)
	copy(mac[:], sum)
	return mac
}
