package bankhost

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/shebao-pay/shebao/cardauth/mac"
	"github.com/shebao-pay/shebao/settlement/bankmsg"
	"github.com/shebao-pay/shebao/settlement/msgtest"
	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/hsmapi"
)

// changes is how many single bytes are changed for each kind of code.
const changes = 100_000

func fullCodec(t *testing.T, code string) *bankmsg.Codec {
	t.Helper()
	c, err := bankmsg.Compile(testProfile(t, code))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func keyOf(t *testing.T, alg hsmapi.MACAlg) *mac.Key {
	t.Helper()
	k, err := mac.NewKey(alg, []byte("sixteen byte key"))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestOneByteChanged changes one byte of good messages under the full scope, for
// each kind of code. What is still taken differs in the header alone, in bytes
// that nobody reads.
func TestOneByteChanged(t *testing.T) {
	for name, alg := range map[string]hsmapi.MACAlg{
		"cup-ecb": hsmapi.MACCUPECB, "x919-pad1": hsmapi.MACX919Pad1, "x919-pad2": hsmapi.MACX919Pad2,
		"aes-cmac": hsmapi.MACAESCMAC, "sm4-cmac": hsmapi.MACSM4CMAC, "sm4-pos": hsmapi.MACSM4POS,
	} {
		t.Run(name, func(t *testing.T) {
			key := keyOf(t, alg)
			for _, code := range []string{"rcb", "ccb"} { // one of each dialect
				c := fullCodec(t, code)
				s := msgtest.NewSampler(c.Profile(), uint64(alg))
				rules := slices.DeleteFunc(msgtest.Rules(c.Profile()), func(r msgtest.Rule) bool {
					return !slices.Contains(r.Mandatory, c.Profile().MACField) && !slices.Contains(r.Optional, c.Profile().MACField)
				})
				var m, got bankmsg.Message
				var f bankmsg.Frame
				var in bankmsg.Inbound
				header := 0
				for range changes / 2 {
					r := rules[s.Rnd.IntN(len(rules))]
					s.Fill(r, &m)
					if err := c.Encode(&f, r.Kind, r.Reply, &m); err != nil {
						t.Fatal(err)
					}
					f.PutMAC(key.Sum(f.MACIn))
					body := len(f.Wire) - len(f.MACIn) - 8
					bad := slices.Clone(f.Wire)
					bad[s.Rnd.IntN(len(bad))] ^= byte(1 + s.Rnd.IntN(255))
					if c.Decode(bad, &got, &in) != nil || !in.HasMAC || !key.Verify(in.MACIn, in.MAC) {
						continue
					}
					header++
					if !bytes.Equal(bad[body:], f.Wire[body:]) {
						t.Fatalf("%s: a changed %v (reply %v) is taken", code, r.Kind, r.Reply)
					}
				}
				t.Logf("%s: %d changes, 0 taken; %d more fell on header bytes that are only sent back", code, changes/2-header, header)
			}
		})
	}
}

// used is what the hub takes from a reply about money.
type used struct {
	kind                         profile.Kind
	mti                          uint16
	code, auth, rrn, amount, pan string
	date                         si.BusinessDate
	given                        int
}

func usedOf(c *bankmsg.Codec, m *bankmsg.Message, in *bankmsg.Inbound, today si.BusinessDate) used {
	date, given := c.SettleDate(m, in, today)
	return used{kind: in.Kind, mti: m.MTI(), code: string(m.Field(39)), auth: string(m.Field(38)), rrn: string(m.Field(37)),
		amount: string(m.Field(4)), pan: string(m.Field(2)), date: date, given: given}
}

// TestOneByteChangedSelected changes one byte of good replies under the selected
// scope, which leaves fields open: none is taken in which a value that is used
// differs. DE 55 is open and is handed to the card, whose own cryptogram judges
// it; how many changes fell there is printed.
func TestOneByteChangedSelected(t *testing.T) {
	today := si.Date(2026, 11, 22)
	for name, alg := range map[string]hsmapi.MACAlg{"sm4-cmac": hsmapi.MACSM4CMAC, "aes-cmac": hsmapi.MACAESCMAC} {
		t.Run(name, func(t *testing.T) {
			key := keyOf(t, alg)
			c := fullCodec(t, "boc")
			s := msgtest.NewSampler(c.Profile(), uint64(alg))
			open := map[string]int{}
			for _, k := range []profile.Kind{profile.Debit, profile.PINProof, profile.Reversal} {
				oneByteOfReplies(t, c, s, key, k, today, open)
			}
			t.Logf("taken with every used value equal, by where the change fell: %v", fmt.Sprint(open))
		})
	}
}

// oneByteOfReplies is a third of the changes, on replies of one kind.
func oneByteOfReplies(t *testing.T, c *bankmsg.Codec, s *msgtest.Sampler, key *mac.Key, k profile.Kind, today si.BusinessDate, open map[string]int) {
	t.Helper()
	p := c.Profile()
	ask := msgtest.Rule{Kind: k, MessageRule: &p.Rules[k].Request}
	tell := msgtest.Rule{Kind: k, Reply: true, MessageRule: &p.Rules[k].Reply}
	var req, m, got, plain bankmsg.Message
	var f bankmsg.Frame
	var in, inPlain bankmsg.Inbound
	var sent bankmsg.Sent
	for range changes/3 + 1 {
		s.Fill(ask, &req)
		sent.Keep(k, &req)
		s.Fill(tell, &m)
		for _, de := range []int{2, 3, 4, 7, 11, 32, 33, 37, 41, 42, 49, 90} {
			if v := req.Field(de); v != nil && m.Has(de) {
				m.Set(de, v)
			}
		}
		if m.Has(15) {
			m.SetString(15, "1122")
		}
		if err := c.Encode(&f, k, true, &m); err != nil {
			t.Fatal(err)
		}
		if f.MACIn == nil {
			continue
		}
		f.PutMAC(key.Sum(f.MACIn))
		if c.Decode(f.Wire, &plain, &inPlain) != nil || c.CheckReply(&sent, &plain, &inPlain, today) != nil {
			t.Fatalf("%v: the good reply is refused", k)
		}
		want := usedOf(c, &plain, &inPlain, today)
		at := s.Rnd.IntN(len(f.Wire))
		bad := slices.Clone(f.Wire)
		bad[at] ^= byte(1 + s.Rnd.IntN(255))
		if c.Decode(bad, &got, &in) != nil || !in.HasMAC || !key.Verify(in.MACIn, in.MAC) || c.CheckReply(&sent, &got, &in, today) != nil {
			continue
		}
		if have := usedOf(c, &got, &in, today); have != want {
			t.Fatalf("%v: taken with another value that is used", k)
		}
		open[placeOf(p, f.Wire, at)]++
	}
}

// placeOf names the element in which a byte of a frame stands.
func placeOf(p *profile.Profile, frame []byte, at int) string {
	w := msgtest.Take(p, frame)
	for _, part := range w.Parts {
		if at >= part.At && at < part.At+part.Prefix+part.Size {
			return fmt.Sprintf("DE %d", part.DE)
		}
	}
	if at < w.Type {
		return "header"
	}
	return "type and bitmaps"
}

// TestCodesAgree holds the host's codes to those of cardauth/mac, for each kind
// and for texts of every length around the block sizes: two writings of one
// definition, where most have no published vector.
func TestCodesAgree(t *testing.T) {
	key := []byte("sixteen byte key")
	for _, alg := range []hsmapi.MACAlg{hsmapi.MACCUPECB, hsmapi.MACX919Pad1, hsmapi.MACX919Pad2, hsmapi.MACAESCMAC, hsmapi.MACSM4CMAC, hsmapi.MACSM4POS} {
		k := keyOf(t, alg)
		text := []byte{}
		for n := range 100 {
			got, err := makeMAC(alg, key, text)
			must(t, err)
			if want := k.Sum(text); got != want {
				t.Fatalf("kind %d, %d bytes: got %X, cardauth/mac makes %X", alg, n, got, want)
			}
			text = append(text, byte(7*n+1))
		}
	}
}
