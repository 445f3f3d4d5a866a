package pinblock

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/shebao-pay/shebao/internal/vectors"
	"github.com/shebao-pay/shebao/si"
)

func newPIN(t testing.TB, digits string) *PIN {
	t.Helper()
	p := new(PIN)
	for i := range len(digits) {
		if !p.Push(digits[i]) {
			t.Fatalf("Push refused character %d of %d", i, len(digits))
		}
	}
	return p
}

func newCipher(t testing.TB, f si.PINFormat, keyHex string) *Cipher {
	t.Helper()
	c, err := NewCipher(f, vectors.Hex(keyHex))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const (
	keyA = "0123456789ABCDEFFEDCBA9876543210"
	keyB = "C1D0F8FB4958670DBA40AB1F3752EF0D"
)

func testPAN(t testing.TB, body string) *si.PAN {
	t.Helper()
	d, err := si.LuhnDigit(body)
	if err != nil {
		t.Fatal(err)
	}
	p, err := si.ParsePAN(body + string(d))
	if err != nil {
		t.Fatal(err)
	}
	return &p
}

func TestPublishedFields(t *testing.T) {
	for _, v := range vectors.PIN0s {
		var got [8]byte
		field0(&got, newPIN(t, v.PIN))
		pan := panField0([]byte(v.PAN))
		for i := range got {
			got[i] ^= pan[i]
		}
		if !bytes.Equal(got[:], vectors.Hex(v.Want)) {
			t.Errorf("format 0 of PAN %s = %X, want %s", v.PAN, got, v.Want)
		}
	}
	v := vectors.PIN4
	var got [16]byte
	field4(&got, newPIN(t, v.PIN), [8]byte(vectors.Hex(v.Random)))
	if !bytes.Equal(got[:], vectors.Hex(v.PINField)) {
		t.Errorf("format 4 PIN field = %X, want %s", got, v.PINField)
	}
	if got := panField4([]byte(v.PAN)); !bytes.Equal(got[:], vectors.Hex(v.PANField)) {
		t.Errorf("format 4 PAN field = %X, want %s", got, v.PANField)
	}
	c := newCipher(t, si.PINFormat4AES, v.Key)
	block, err := c.encipher(newPIN(t, v.PIN), []byte(v.PAN), [8]byte(vectors.Hex(v.Random)))
	if err != nil {
		t.Fatal(err)
	}
	if got := block.Reveal("test"); !bytes.Equal(got, vectors.Hex(v.Block)) {
		t.Errorf("format 4 block = %X, want %s", got, v.Block)
	}
	var back PIN
	if err := c.decipher(&block, []byte(v.PAN), &back); err != nil || back != *newPIN(t, v.PIN) {
		t.Errorf("decipher: error %v, or another PIN", err)
	}
}

var formats = []si.PINFormat{si.PINFormat4AES, si.PINFormat0TDES, si.PINFormat0SM4}

// TestTranslate goes through every pair of formats, every PIN length and every
// PAN length, and back.
func TestTranslate(t *testing.T) {
	for _, from := range formats {
		for _, to := range formats {
			a, b := newCipher(t, from, keyA), newCipher(t, to, keyB)
			for pinLen := MinDigits; pinLen <= MaxDigits; pinLen++ {
				pan := testPAN(t, "629900010000000001"[:12+pinLen%7])
				pin := newPIN(t, "902468135790"[:pinLen])
				block, err := a.Encipher(pin, pan)
				if err != nil {
					t.Fatal(err)
				}
				moved, err := Translate(a, b, &block, pan)
				if err != nil {
					t.Fatalf("Translate(%d to %d, %d digits): %v", from, to, pinLen, err)
				}
				var got PIN
				if err := b.Decipher(&moved, pan, &got); err != nil || got != *pin {
					t.Errorf("Translate(%d to %d, %d digits): PIN changed (error %v)", from, to, pinLen, err)
				}
			}
		}
	}
}

// TestRefused tries another PAN, another key and every single bit changed. Format
// 0 has little redundancy by its design: what it lets through is another PIN,
// which the bank refuses, and never the right one.
func TestRefused(t *testing.T) {
	for _, f := range formats {
		c, other := newCipher(t, f, keyA), newCipher(t, f, keyB)
		pan, otherPAN := testPAN(t, "629900010000001"), testPAN(t, "629900019999997")
		pin := newPIN(t, "123456")
		block, err := c.Encipher(pin, pan)
		if err != nil {
			t.Fatal(err)
		}
		var got PIN
		if err := c.Decipher(&block, otherPAN, &got); err == nil && got == *pin {
			t.Errorf("format %d: block of another card gave the PIN", f)
		}
		if err := other.Decipher(&block, pan, &got); err == nil && got == *pin {
			t.Errorf("format %d: another key gave the PIN", f)
		}
		raw := block.Reveal("test")
		for bit := range len(raw) * 8 {
			raw[bit/8] ^= 1 << (bit % 8)
			changed, _ := si.NewPINBlock(raw)
			err := c.Decipher(&changed, pan, &got)
			if err == nil && got == *pin {
				// Format 4's random half may change without touching the PIN only if the
				// whole block deciphers by chance: it cannot.
				t.Errorf("format %d: bit %d changed and the PIN came out", f, bit)
			}
			if err != nil && (!errors.Is(err, ErrBlock) || got.Len() != 0) {
				t.Errorf("format %d: bit %d: error %v with %d digits left", f, bit, err, got.Len())
			}
			raw[bit/8] ^= 1 << (bit % 8)
		}
	}
}

func TestBounds(t *testing.T) {
	c := newCipher(t, si.PINFormat4AES, keyA)
	pan := testPAN(t, "629900010000001")
	for n, want := range map[int]bool{0: false, 3: false, 4: true, 12: true} {
		_, err := c.Encipher(newPIN(t, "123456789012"[:n]), pan)
		if (err == nil) != want {
			t.Errorf("Encipher with %d digits: error %v, want accepted %v", n, err, want)
		}
	}
	full := newPIN(t, "123456789012")
	if full.Push('3') || full.Len() != MaxDigits {
		t.Error("Push took a 13th digit")
	}
	if new(PIN).Push('a') {
		t.Error("Push took a letter")
	}
	full.Pop()
	if full.Len() != 11 || full.digits[11] != 0 {
		t.Error("Pop left a digit behind")
	}
	if _, err := c.Encipher(newPIN(t, "1234"), &si.PAN{}); err == nil {
		t.Error("Encipher took an empty PAN")
	}
	for f, bad := range map[si.PINFormat][]int{
		si.PINFormat4AES: {0, 8, 15, 17, 33}, si.PINFormat0TDES: {0, 8, 24}, si.PINFormat0SM4: {0, 15, 24}, 9: {16},
	} {
		for _, n := range bad {
			key := bytes.Repeat([]byte{1, 2, 3}, 20)[:n]
			if _, err := NewCipher(f, key); !errors.Is(err, ErrKey) {
				t.Errorf("NewCipher(%d, %d bytes): error %v, want ErrKey", f, n, err)
			}
		}
	}
	if _, err := NewCipher(si.PINFormat0TDES, make([]byte, 16)); !errors.Is(err, ErrKey) {
		t.Error("NewCipher took a double key that is single DES")
	}
}

// TestBlocksDiffer holds format 4 to its randomness.
func TestBlocksDiffer(t *testing.T) {
	c := newCipher(t, si.PINFormat4AES, keyA)
	pan := testPAN(t, "629900010000001")
	seen := map[string]bool{}
	for range 100 {
		b, err := c.Encipher(newPIN(t, "123456"), pan)
		if err != nil {
			t.Fatal(err)
		}
		seen[string(b.Reveal("test"))] = true
	}
	if len(seen) != 100 {
		t.Errorf("100 blocks of one PIN: %d different", len(seen))
	}
}

func TestPINDoesNotPrint(t *testing.T) {
	pin := newPIN(t, "987654321")
	holder := struct{ P PIN }{*pin}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%b"} {
		for _, v := range []any{pin, *pin, holder, &holder, []PIN{*pin}} {
			s := fmt.Sprintf(verb, v)
			if !strings.Contains(s, "redacted") || strings.ContainsAny(s, "987654321") {
				t.Errorf("Sprintf(%q, %T) = %s", verb, v, s)
			}
		}
	}
	if b, err := json.Marshal(holder); err == nil {
		t.Errorf("json.Marshal gave %s", b)
	}
	if b, err := json.Marshal(map[string]any{"a": pin}); err == nil {
		t.Errorf("json.Marshal gave %s", b)
	}
	if _, err := pin.MarshalText(); !errors.Is(err, si.ErrSecret) {
		t.Errorf("MarshalText: %v", err)
	}
	if _, err := pin.MarshalBinary(); !errors.Is(err, si.ErrSecret) {
		t.Errorf("MarshalBinary: %v", err)
	}
	pin.Wipe()
	if *pin != (PIN{}) {
		t.Error("Wipe left something")
	}
}

// FuzzDecipher feeds arbitrary blocks: never a panic, and whatever opens is a PIN
// that makes a block which opens again.
func FuzzDecipher(f *testing.F) {
	f.Add(vectors.Hex(vectors.PIN4.Block), uint8(0))
	f.Add(make([]byte, 8), uint8(1))
	f.Add(make([]byte, 16), uint8(2))
	pan := testPAN(f, "629900010000001")
	f.Fuzz(func(t *testing.T, raw []byte, format uint8) {
		block, err := si.NewPINBlock(raw)
		if err != nil {
			return
		}
		c := newCipher(t, formats[int(format)%len(formats)], keyA)
		var pin PIN
		if c.Decipher(&block, pan, &pin) != nil {
			return
		}
		again, err := c.Encipher(&pin, pan)
		if err != nil {
			t.Fatal(err)
		}
		var back PIN
		if err := c.Decipher(&again, pan, &back); err != nil || back != pin {
			t.Errorf("PIN did not survive: %v", err)
		}
	})
}

func BenchmarkTranslate(b *testing.B) {
	from, to := newCipher(b, si.PINFormat4AES, keyA), newCipher(b, si.PINFormat0TDES, keyB)
	pan := testPAN(b, "629900010000001")
	block, err := from.Encipher(newPIN(b, "123456"), pan)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Translate(from, to, &block, pan); err != nil {
			b.Fatal(err)
		}
	}
}
