package bankmsg

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/shebao-pay/shebao/settlement/profile"
)

// TestRehearsal changes single bytes of the demo profiles: what Load and Compile
// both accept makes a debit, its reversal, a proof, sign-on and echo of the kind
// that the tests send, so that no profile fails at the first payment.
func TestRehearsal(t *testing.T) {
	rnd := newRand(9)
	const tries = 150 // of each bank: a load reads some 30 KiB of YAML
	for _, code := range demoBanks {
		spec, rules, err := profile.ReadFS(os.DirFS(banksDir), code)
		if err != nil {
			t.Fatal(err)
		}
		loaded, compiled := 0, 0
		for range tries {
			s, r := append([]byte(nil), spec...), append([]byte(nil), rules...)
			b := r
			if rnd.IntN(2) == 0 {
				b = s
			}
			at := rnd.IntN(len(b))
			for b[at] < '0' || b[at] > '9' { // digits are what profiles are made of
				at = rnd.IntN(len(b))
			}
			b[at] = '0' + byte(rnd.IntN(10))
			p, err := profile.Load(s, r)
			if err != nil {
				continue
			}
			loaded++
			c, err := Compile(p)
			if err != nil {
				continue
			}
			compiled++
			speaks(t, c, string(b[max(0, at-40):min(len(b), at+20)]))
		}
		t.Logf("%s: of %d changed profiles %d load and %d compile", code, tries, loaded, compiled)
	}
}

// speaks makes the messages of a payment's life.
func speaks(t *testing.T, c *Codec, near string) {
	t.Helper()
	var m Message
	var f Frame
	d := referenceDebit(t, c)
	d.Amount = 1
	r := &ReversalRequest{Place: d.Place, STAN: d.STAN, RRN: d.RRN, DE7: d.DE7, NewDE7: d.DE7, At: d.At, Amount: 1,
		PAN: d.Card.PAN, PSN: "01", Expiry: "3312", Reason: "98", EMV: []byte{0x9F, 0x36, 2, 0, 7}}
	net := &NetRequest{Place: d.Place, STAN: 900_001, DE7: d.DE7, At: d.At}
	for kind, fill := range map[profile.Kind]func() error{
		profile.Debit:    func() error { return c.Debit(&m, d) },
		profile.Reversal: func() error { return c.Reversal(&m, r) },
		profile.PINProof: func() error {
			return c.PINProof(&m, &ProofRequest{Place: d.Place, STAN: d.STAN, RRN: d.RRN, DE7: d.DE7, At: d.At, Card: d.Card})
		},
		profile.SignOn: func() error { return c.SignOn(&m, net) },
		profile.Echo:   func() error { return c.Echo(&m, net) },
	} {
		err := fill()
		if err == nil {
			err = c.Encode(&f, kind, false, &m)
		}
		if err != nil {
			t.Errorf("%s: %s, after a change near %q: %v", c.p.Code, kind, near, err)
		}
	}
}

// TestCompileRefuses names the message that could never be sent.
func TestCompileRefuses(t *testing.T) {
	spec, rules, err := profile.ReadFS(os.DirFS(banksDir), "ccb")
	if err != nil {
		t.Fatal(err)
	}
	for old, want := range map[string]string{
		"mandatory: [2, 3, 4, 7, 11, 12, 13, 18, 22, 25, 32, 33, 37, 39, 41, 42, 43, 49, 60, 90, 128]": "messages.reversal.request cannot be made: bankmsg: message refused: DE 5: missing",
		"mandatory: [7, 11, 33, 70]": "messages.sign_on.request cannot be made: bankmsg: message refused: DE 5: missing",
	} {
		bad := bytes.Replace(rules, []byte(old), []byte(strings.Replace(old, "[", "[5, ", 1)), 1)
		if bytes.Equal(bad, rules) {
			t.Fatalf("no %q to change", old)
		}
		p, err := profile.Load(spec, bad)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Compile(p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
