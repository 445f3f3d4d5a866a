package bankmsg

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moov-io/iso8583"
	"github.com/moov-io/iso8583/field"
	"github.com/moov-io/iso8583/specs"

	"github.com/shebao-pay/shebao/settlement/profile"
)

// demoBanks are the profiles that every test of the conformance suite runs over.
var demoBanks = []string{"rcb", "icbc", "ccb", "boc"}

// askedBanks are the demo banks and what they would be with status inquiries, or
// with script notices.
var askedBanks = append([]string{"rcb+inquiry", "icbc+inquiry", "ccb+inquiry", "boc+inquiry", "ccb+script", "boc+script"}, demoBanks...)

const banksDir = "../../data/banks"

func demoCodec(t testing.TB, code string) *Codec {
	t.Helper()
	code, told := strings.CutSuffix(code, "+script")
	code, asks := strings.CutSuffix(code, "+inquiry")
	spec, rules, err := profile.ReadFS(os.DirFS(banksDir), code)
	if err != nil {
		t.Fatal(err)
	}
	if asks {
		rules = profile.Inquiring(rules, true)
	}
	if told {
		rules = profile.ScriptTold(rules)
	}
	p, err := profile.Load(spec, rules)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Compile(p)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// oracle is the profile's specification as moov-io/iso8583 reads it: an
// independent implementation of the same bytes.
type oracle struct {
	spec *iso8583.MessageSpec
	c    *Codec
}

func newOracle(t testing.TB, c *Codec) *oracle {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(banksDir, c.Profile().Code, profile.SpecName))
	if err != nil {
		t.Fatal(err)
	}
	spec, err := specs.ImportJSON(raw)
	if err != nil {
		t.Fatal(err)
	}
	if c.Profile().Dialect == profile.POS {
		// The library's BCD has no half byte D, so a track needs a packer of
		// its own; this one is not the code under test.
		s := spec.Fields[35].Spec()
		s.Packer = field.PackerFunc(packTrack)
		s.Unpacker = field.UnpackerFunc(unpackTrack)
	}
	return &oracle{spec, c}
}

func packTrack(v []byte, s *field.Spec) ([]byte, error) {
	n, err := s.Pref.EncodeLength(s.Length, len(v))
	if err != nil {
		return nil, err
	}
	var h []byte
	if len(v)%2 == 1 {
		v = append(append([]byte(nil), v...), '0')
	}
	if _, err := fmt.Sscanf(string(v), "%x", &h); err != nil {
		return nil, errors.New("track is not half bytes")
	}
	return append(n, h...), nil
}

func unpackTrack(b []byte, s *field.Spec) ([]byte, int, error) {
	n, used, err := s.Pref.DecodeLength(s.Length, b)
	if err != nil {
		return nil, 0, err
	}
	size := (n + 1) / 2
	if len(b) < used+size {
		return nil, 0, errors.New("track cut short")
	}
	return []byte(fmt.Sprintf("%X", b[used:used+size])[:n]), used + size, nil
}

// unpack reads a body; the library's panics on short input are its own affair.
func (o *oracle) unpack(body []byte) (m *iso8583.Message, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errors.New("the library panicked")
		}
	}()
	m = iso8583.NewMessage(o.spec)
	if err = m.Unpack(body); err != nil {
		return nil, errors.New("the library refused the message")
	}
	return m, nil
}

// value is a field of a library message in our logical form.
func (o *oracle) value(t testing.TB, m *iso8583.Message, de int) []byte {
	t.Helper()
	b, err := m.GetBytes(de)
	if err != nil {
		t.Fatalf("library: DE %d: %v", de, err)
	}
	if de == 35 {
		b = bytes.ReplaceAll(b, []byte{o.c.p.TrackSeparator}, []byte{'D'})
	}
	return b
}

// sample fills m with a message of the kind: everything mandatory and about
// half of what is optional, values at random but well formed.
func (c *Codec) sample(r *rand.Rand, k profile.Kind, reply bool, m *Message) {
	ru := c.rule(k, reply)
	m.Reset(ru.mti)
	if ru.repeat != ru.mti && r.IntN(2) == 0 {
		m.mti = ru.repeat
	}
	for rest := ru.may; ; {
		de := rest.first()
		if de == 0 {
			break
		}
		rest.clear(de)
		if de == c.p.MACField || !ru.must.has(de) && r.IntN(2) == 0 {
			continue
		}
		m.Set(de, c.sampleValue(r, ru, de))
	}
}

func (c *Codec) sampleValue(r *rand.Rand, ru *rule, de int) []byte {
	for _, f := range ru.fixed {
		if f.de == de {
			return []byte(f.value)
		}
	}
	digits := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = '0' + byte(r.IntN(10))
		}
		return b
	}
	e := c.fields[de]
	n := e.max
	if e.digits > 0 {
		n = 1 + r.IntN(min(e.max, 60))
	}
	switch {
	case de == 3 && ru.proc != "":
		return []byte(ru.proc)
	case de == 4:
		return appendNumber(nil, uint64(1+r.IntN(int(c.most))), 12)
	case de == 39:
		return []byte([]string{"00", "51", "55", "96", "A0"}[r.IntN(5)])
	case de == 60 && len(ru.networks) > 0 && c.p.Dialect == profile.POS:
		return append(append(append([]byte(ru.function), digits(6)...), ru.networks[r.IntN(len(ru.networks))]...), ru.tail...)
	case de == 70:
		return []byte(ru.networks[r.IntN(len(ru.networks))])
	case de == c.p.RecordField && ru.kind >= profile.Inquiry && ru.kind <= profile.PayReversal,
		e.content == profile.RecordContent:
		return AppendRecord(AppendRecord(nil, RecNotice, string(digits(20))), RecName, "\xc0\xee*")
	}
	switch e.content {
	case profile.Digits:
		return digits(n)
	case profile.Track:
		return append(append(digits(19), 'D'), digits(r.IntN(17))...)
	case profile.SignedNumber:
		return append([]byte{'C'}, digits(n-1)...)
	case profile.ICC:
		return []byte("\x9f\x26\x08\x00\x11\x22\x33\x44\x55\x66\x77\x95\x05\x00\x00\x00\x00\x00\x72\x05\x86\x03\x84\x24\x00\x72\x02\x86\x00")
	case profile.Alphanumeric:
		return append([]byte("AB3"), digits(max(0, n-3))...)[:n]
	case profile.Printable:
		return append([]byte("X ~!"), digits(max(0, n-4))...)[:n]
	}
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.IntN(256))
	}
	return b
}

// messagesOf lists the kinds and directions that the profile has.
func (c *Codec) messagesOf() []*rule {
	var all []*rule
	for k := range c.rules {
		for _, r := range c.rules[k] {
			if r != nil {
				all = append(all, r)
			}
		}
	}
	return all
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }
