package envelope

import (
	"fmt"
	"unicode/utf8"

	"github.com/shebao-pay/shebao/si"
)

// The clear form: a version byte, then the ten fields in the order of Fields,
// each a length byte and the bytes, then zeros up to plainSize. Every field but
// IssuerID and CardNo has a fixed alphabet; decode takes nothing else and writes
// back what it read (see the fuzz test).
const (
	formVersion = 1
	plainSize   = 384

	// MaxName bounds a name in UTF-8. A card holds 50 bytes of GB 18030, at most
	// 50 characters of three bytes.
	MaxName = 150
	// MaxATR bounds an answer to reset (ISO/IEC 7816-3).
	MaxATR = 33
	// maxIssuerID bounds tag 9F61.
	maxIssuerID = 40
	maxCardNo   = 9
	maxCardID   = 32
)

const purpose si.Purpose = "seal the card for the hub's HSM process"

func encode(f *Fields) ([]byte, error) {
	fields := [...]struct {
		name  string
		value []byte
		max   int
	}{
		{"ID number", []byte(f.IDNumber.Reveal(purpose)), 18},
		{"name", []byte(f.Name.Reveal(purpose)), MaxName},
		{"card id", []byte(f.CardID), maxCardID},
		{"card number", []byte(f.CardNo), maxCardNo},
		{"ATR", f.ATR, MaxATR},
		{"PAN", []byte(f.PAN.Reveal(purpose)), 19},
		{"PSN", []byte(f.PSN), 2},
		{"track 2", []byte(f.Track2.Reveal(purpose)), 37},
		{"expiry", []byte(f.Expiry), 4},
		{"issuer's ID number", []byte(f.IssuerID), maxIssuerID},
	}
	b := append(make([]byte, 0, plainSize), formVersion)
	for i := range fields {
		v := &fields[i]
		if len(v.value) > v.max {
			clear(b)
			return nil, fmt.Errorf("envelope: %s has %d bytes, at most %d", v.name, len(v.value), v.max)
		}
		b = append(b, byte(len(v.value)))
		b = append(b, v.value...)
		if v.name != "ATR" { // the ATR is the caller's slice, the others are copies
			clear(v.value)
		}
	}
	b = b[:plainSize]
	// What was sealed must open: the same rules at both ends.
	if _, err := decode(b); err != nil {
		clear(b)
		return nil, fmt.Errorf("envelope: fields are not a card's: %w", err)
	}
	return b, nil
}

func decode(plain []byte) (Fields, error) {
	var f Fields
	refuse := func(what string) (Fields, error) {
		return Fields{}, fmt.Errorf("%w: %s", ErrRefused, what)
	}
	if len(plain) != plainSize || plain[0] != formVersion {
		return refuse("form version or length")
	}
	rest := plain[1:]
	var values [10][]byte
	for i := range values {
		if len(rest) == 0 || len(rest) < 1+int(rest[0]) {
			return refuse("a field is cut")
		}
		values[i], rest = rest[1:1+int(rest[0])], rest[1+int(rest[0]):]
	}
	for _, b := range rest {
		if b != 0 {
			return refuse("padding")
		}
	}
	var err error
	if f.IDNumber, err = si.ParseIDNumber(string(values[0])); err != nil {
		return refuse("ID number")
	}
	if len(values[1]) > MaxName || !utf8.Valid(values[1]) {
		return refuse("name")
	}
	f.Name = si.NewName(string(values[1]))
	f.CardID, f.CardNo = string(values[2]), string(values[3])
	if len(f.CardID) != maxCardID || !all(f.CardID, isHex) {
		return refuse("card id")
	}
	if len(f.CardNo) != maxCardNo || !all(f.CardNo, isPrint) {
		return refuse("card number")
	}
	if len(values[4]) > MaxATR {
		return refuse("ATR")
	}
	f.ATR = append([]byte(nil), values[4]...)
	if f.PAN, err = si.ParsePAN(string(values[5])); err != nil {
		return refuse("PAN")
	}
	f.PSN, f.Expiry, f.IssuerID = string(values[6]), string(values[8]), string(values[9])
	if len(f.PSN) != 2 || !all(f.PSN, isDigit) {
		return refuse("PSN")
	}
	if f.Track2, err = si.ParseTrack2(string(values[7])); err != nil {
		return refuse("track 2")
	}
	if len(f.Expiry) != 4 || !all(f.Expiry, isDigit) {
		return refuse("expiry")
	}
	if len(f.IssuerID) > maxIssuerID || !all(f.IssuerID, isPrint) {
		return refuse("issuer's ID number")
	}
	return f, nil
}

func all(s string, ok func(byte) bool) bool {
	for i := range len(s) {
		if !ok(s[i]) {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isPrint(c byte) bool { return c >= 0x20 && c <= 0x7E }
func isHex(c byte) bool   { return isDigit(c) || c >= 'A' && c <= 'F' || c >= 'a' && c <= 'f' }
