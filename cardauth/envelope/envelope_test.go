package envelope

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/shebao-pay/shebao/si"
)

// person is a card of nobody: area code 330199 is not assigned.
func person(t testing.TB) Fields {
	t.Helper()
	first17 := "33019919480229002"
	check, err := si.IDCheckDigit(first17)
	if err != nil {
		t.Fatal(err)
	}
	id, err := si.ParseIDNumber(first17 + string(check))
	if err != nil {
		t.Fatal(err)
	}
	luhn, err := si.LuhnDigit("629900010000001")
	if err != nil {
		t.Fatal(err)
	}
	digits := "629900010000001" + string(luhn)
	pan, err := si.ParsePAN(digits)
	if err != nil {
		t.Fatal(err)
	}
	track, err := si.ParseTrack2(digits + "D30122201234500")
	if err != nil {
		t.Fatal(err)
	}
	return Fields{
		IDNumber: id, Name: si.NewName("阿卜杜拉·𠮷"), CardID: "330100D1560000050000000112345678",
		CardNo: "D2143569X", ATR: []byte{0x3B, 0x6D, 0, 0}, PAN: pan, PSN: "01", Track2: track, Expiry: "3012",
		IssuerID: id.Reveal("test"),
	}
}

var session = [16]byte{1, 2, 3}

func TestSealOpen(t *testing.T) {
	private, public, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := PublicKey(private); err != nil || !bytes.Equal(got, public) {
		t.Fatalf("PublicKey = %x, %v, want %x", got, err, public)
	}
	want := person(t)
	sealed, err := Seal(public, 7, session, 3, want)
	if err != nil {
		t.Fatal(err)
	}
	if len(sealed) != Size {
		t.Errorf("Seal gave %d bytes, want %d", len(sealed), Size)
	}
	got, err := Open(private, 7, session, 3, sealed)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Open = %+v, %v, want %+v", got, err, want)
	}
	short := want
	short.Name, short.IssuerID, short.ATR = si.NewName("王"), "", nil
	if other, err := Seal(public, 7, session, 3, short); err != nil || len(other) != Size {
		t.Errorf("Seal of a short name: %d bytes, %v, want %d", len(other), err, Size)
	}
	// What is sealed shows nothing.
	for _, secret := range []string{want.IDNumber.Reveal("test"), want.Name.Reveal("test"), want.PAN.Reveal("test"), want.CardNo} {
		if bytes.Contains(sealed, []byte(secret)) {
			t.Error("the envelope shows a field")
		}
	}
}

// TestBound opens with everything a little different.
func TestBound(t *testing.T) {
	private, public, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	otherKey, _, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := Seal(public, 7, session, 3, person(t))
	if err != nil {
		t.Fatal(err)
	}
	refused := func(name string, key []byte, terminal si.Terminal, s [16]byte, counter uint64, b []byte) {
		t.Helper()
		if f, err := Open(key, terminal, s, counter, b); !errors.Is(err, ErrRefused) || !f.PAN.IsZero() {
			t.Errorf("Open with another %s: %v, want ErrRefused", name, err)
		}
	}
	refused("key", otherKey, 7, session, 3, sealed)
	refused("terminal", private, 8, session, 3, sealed)
	refused("session", private, 7, [16]byte{9}, 3, sealed)
	refused("counter", private, 7, session, 4, sealed)
	refused("length", private, 7, session, 3, sealed[:Size-1])
	refused("length", private, 7, session, 3, append(bytes.Clone(sealed), 0))
	for i := 0; i < Size; i += 7 {
		b := bytes.Clone(sealed)
		b[i] ^= 0x40
		refused(fmt.Sprintf("byte %d", i), private, 7, session, 3, b)
	}
	if _, err := Open(private[:31], 7, session, 3, sealed); err == nil {
		t.Error("Open took a short key")
	}
	if _, err := Seal(public[:31], 7, session, 3, person(t)); err == nil {
		t.Error("Seal took a short key")
	}
	if _, err := Seal(make([]byte, KeySize), 7, session, 3, person(t)); err == nil {
		t.Error("Seal took the zero point")
	}
}

func TestFieldRules(t *testing.T) {
	_, public, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Fields){
		"no ID number":        func(f *Fields) { f.IDNumber.Wipe() },
		"no PAN":              func(f *Fields) { f.PAN.Wipe() },
		"no track":            func(f *Fields) { f.Track2.Wipe() },
		"name over the bound": func(f *Fields) { f.Name = si.NewName(strings.Repeat("a", MaxName+1)) },
		"name not UTF-8":      func(f *Fields) { f.Name = si.NewName("\xff") },
		"card id short":       func(f *Fields) { f.CardID = f.CardID[1:] },
		"card id letters":     func(f *Fields) { f.CardID = strings.Repeat("G", 32) },
		"card number short":   func(f *Fields) { f.CardNo = "12345678" },
		"card number control": func(f *Fields) { f.CardNo = "12345678\n" },
		"ATR over the bound":  func(f *Fields) { f.ATR = make([]byte, MaxATR+1) },
		"PSN":                 func(f *Fields) { f.PSN = "1" },
		"expiry":              func(f *Fields) { f.Expiry = "30-2" },
		"issuer's ID number":  func(f *Fields) { f.IssuerID = strings.Repeat("1", maxIssuerID+1) },
	} {
		f := person(t)
		change(&f)
		if _, err := Seal(public, 1, session, 1, f); err == nil {
			t.Errorf("%s: Seal took it", name)
		}
	}
	f := person(t)
	f.Name, f.ATR, f.IssuerID = si.NewName(strings.Repeat("名", MaxName/3)), make([]byte, MaxATR), strings.Repeat("1", maxIssuerID)
	if _, err := Seal(public, 1, session, 1, f); err != nil {
		t.Errorf("fields at their bounds: %v", err)
	}
	if f.ATR == nil || len(f.ATR) != MaxATR {
		t.Error("Seal changed the caller's ATR")
	}
}

// TestSealKeepsCaller shows that Seal does not wipe what the caller still uses.
func TestSealKeepsCaller(t *testing.T) {
	_, public, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	f, want := person(t), person(t)
	if _, err := Seal(public, 1, session, 1, f); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(f, want) {
		t.Error("Seal changed its argument")
	}
}

// FuzzDecode: whatever is read is written back the same.
func FuzzDecode(f *testing.F) {
	fields := person(f)
	good, err := encode(&fields)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(make([]byte, plainSize))
	f.Add([]byte{formVersion})
	f.Fuzz(func(t *testing.T, plain []byte) {
		got, err := decode(plain)
		if err != nil {
			return
		}
		again, err := encode(&got)
		if err != nil || !bytes.Equal(again, plain) {
			t.Errorf("decode took what encode does not write: %v", err)
		}
	})
}

// FuzzOpen: never a panic, never a card out of noise.
func FuzzOpen(f *testing.F) {
	private, public, err := NewKey()
	if err != nil {
		f.Fatal(err)
	}
	sealed, err := Seal(public, 7, session, 3, person(f))
	if err != nil {
		f.Fatal(err)
	}
	sealed[0] ^= 1
	f.Add(sealed)
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := Open(private, 7, session, 3, b); err == nil {
			t.Error("noise opened")
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	private, public, err := NewKey()
	if err != nil {
		b.Fatal(err)
	}
	sealed, err := Seal(public, 7, session, 3, person(b))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := Open(private, 7, session, 3, sealed); err != nil {
			b.Fatal(err)
		}
	}
}
