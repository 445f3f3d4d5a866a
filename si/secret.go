package si

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
)

// ErrSecret is returned by every attempt to marshal a value that must not
// leave the process in a readable form.
var ErrSecret = errors.New("si: this value must not be written out")

// Purpose says why a secret value is revealed. internal/lint holds the list of
// files that may call Reveal.
type Purpose string

// redacted is what secrets print under every verb.
const redacted = "(redacted)"

// blindPad covers the bytes of secrets in memory. Package fmt prints unexported
// fields of other structs, and everything under %p, without asking the value's
// methods; what it finds there is then of no use. Two equal secrets are equal
// as values.
var blindPad = func() (pad [64]byte) {
	if _, err := rand.Read(pad[:]); err != nil {
		panic("si: the system's random source failed: " + err.Error())
	}
	return pad
}()

// blind covers or uncovers bytes in place.
func blind(b []byte) {
	for i := range b {
		b[i] ^= blindPad[i%len(blindPad)]
	}
}

// uncovered appends the clear form of covered bytes.
func uncovered(dst, b []byte) []byte {
	n := len(dst)
	dst = append(dst, b...)
	blind(dst[n:])
	return dst
}

// secret is the printing side that all secret types share.
type secret struct{}

func (secret) String() string                 { return redacted }
func (secret) GoString() string               { return redacted }
func (secret) Format(f fmt.State, _ rune)     { _, _ = io.WriteString(f, redacted) }
func (secret) MarshalJSON() ([]byte, error)   { return nil, ErrSecret }
func (secret) MarshalText() ([]byte, error)   { return nil, ErrSecret }
func (secret) MarshalBinary() ([]byte, error) { return nil, ErrSecret }

// PAN is a primary account number (ISO/IEC 7812-1), 13 to 19 digits. It prints
// as its last four digits behind asterisks.
type PAN struct {
	digits [19]byte
	n      uint8
}

// ParsePAN takes 13 to 19 digits with a good Luhn digit.
func ParsePAN(s string) (PAN, error) {
	var p PAN
	if len(s) < 13 || len(s) > 19 {
		return p, ErrNumberForm
	}
	last, err := LuhnDigit(s[:len(s)-1])
	if err != nil {
		return p, err
	}
	if last != s[len(s)-1] {
		return p, ErrCheckDigit
	}
	p.n = uint8(copy(p.digits[:], s))
	blind(p.digits[:p.n])
	return p, nil
}

// Reveal gives the clear digits.
func (p PAN) Reveal(Purpose) string { return string(p.clear()) }

func (p *PAN) clear() []byte { return uncovered(nil, p.digits[:p.n]) }

// AppendDigits appends the clear digits without making a string.
func (p *PAN) AppendDigits(dst []byte, _ Purpose) []byte { return uncovered(dst, p.digits[:p.n]) }

// IsZero tells whether there is no PAN.
func (p PAN) IsZero() bool { return p.n == 0 }

// Tail is the last four digits, which screens and paper may show.
func (p PAN) Tail() string {
	if p.n == 0 {
		return ""
	}
	return string(p.clear()[p.n-4:])
}

// Masked is the first six and last four digits with asterisks between, the
// most that a console may show.
func (p PAN) Masked() string {
	if p.n == 0 {
		return ""
	}
	b := p.clear()
	for i := 6; i < len(b)-4; i++ {
		b[i] = '*'
	}
	return string(b)
}

// Wipe zeroes the digits.
func (p *PAN) Wipe() { *p = PAN{} }

func (p PAN) String() string               { return "PAN ****" + p.Tail() }
func (p PAN) GoString() string             { return p.String() }
func (p PAN) Format(f fmt.State, _ rune)   { _, _ = io.WriteString(f, p.String()) }
func (p PAN) MarshalJSON() ([]byte, error) { return nil, ErrSecret }
func (p PAN) MarshalText() ([]byte, error) { return nil, ErrSecret }

// IDNumber is a social security number (社会保障号码), which is the citizen
// number of GB 11643. It prints as its last four characters behind asterisks.
type IDNumber struct {
	chars [18]byte
	ok    bool
}

// ParseIDNumber takes 18 characters with a good check digit.
func ParseIDNumber(s string) (IDNumber, error) {
	var id IDNumber
	if len(s) != 18 {
		return id, ErrNumberForm
	}
	last, err := IDCheckDigit(s[:17])
	if err != nil {
		return id, err
	}
	if last != s[17] {
		return id, ErrCheckDigit
	}
	copy(id.chars[:], s)
	blind(id.chars[:])
	id.ok = true
	return id, nil
}

// Reveal gives the clear number.
func (id IDNumber) Reveal(Purpose) string {
	return string(id.clear())
}

func (id *IDNumber) clear() []byte {
	if !id.ok {
		return nil
	}
	return uncovered(nil, id.chars[:])
}

// IsZero tells whether there is no number.
func (id IDNumber) IsZero() bool { return !id.ok }

// Tail is the last four characters, which the kiosk may show.
func (id IDNumber) Tail() string {
	if !id.ok {
		return ""
	}
	return string(id.clear()[14:])
}

// BirthDate is YYYYMMDD as the number says.
func (id IDNumber) BirthDate() string {
	if !id.ok {
		return ""
	}
	return string(id.clear()[6:14])
}

// Male tells the sex that the 17th digit says.
func (id IDNumber) Male() bool { return id.ok && (id.clear()[16]-'0')%2 == 1 }

// Wipe zeroes the characters.
func (id *IDNumber) Wipe() { *id = IDNumber{} }

func (id IDNumber) String() string               { return "ID ****" + id.Tail() }
func (id IDNumber) GoString() string             { return id.String() }
func (id IDNumber) Format(f fmt.State, _ rune)   { _, _ = io.WriteString(f, id.String()) }
func (id IDNumber) MarshalJSON() ([]byte, error) { return nil, ErrSecret }
func (id IDNumber) MarshalText() ([]byte, error) { return nil, ErrSecret }

// Name is a person's name. It prints as the surname and asterisks.
type Name struct{ covered string }

// NewName wraps a name.
func NewName(s string) Name { return Name{string(uncovered(nil, []byte(s)))} }

// Reveal gives the clear name.
func (n Name) Reveal(Purpose) string { return string(uncovered(nil, []byte(n.covered))) }

// IsZero tells whether there is no name.
func (n Name) IsZero() bool { return n.covered == "" }

// Masked keeps the first character, and the last of three or more: 李*明, 张*.
func (n Name) Masked() string {
	r := []rune(n.Reveal("mask"))
	for i := 1; i < len(r); i++ {
		if i < len(r)-1 || len(r) == 2 {
			r[i] = '*'
		}
	}
	return string(r)
}

func (n Name) String() string               { return n.Masked() }
func (n Name) GoString() string             { return n.Masked() }
func (n Name) Format(f fmt.State, _ rune)   { _, _ = io.WriteString(f, n.Masked()) }
func (n Name) MarshalJSON() ([]byte, error) { return nil, ErrSecret }
func (n Name) MarshalText() ([]byte, error) { return nil, ErrSecret }

// Track2 is tag 57 or DE 35 as digits and the separator D, at most 37 characters.
type Track2 struct {
	secret
	chars [37]byte
	n     uint8
}

// ParseTrack2 takes PAN, D, expiry YYMM, service code and discretionary digits.
func ParseTrack2(s string) (Track2, error) {
	var t Track2
	if len(s) < 13+1+7 || len(s) > 37 {
		return t, ErrNumberForm
	}
	seps := 0
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == 'D':
			seps++
		case s[i] < '0' || s[i] > '9':
			return Track2{}, ErrNumberForm
		}
	}
	if seps != 1 {
		return Track2{}, ErrNumberForm
	}
	t.n = uint8(copy(t.chars[:], s))
	blind(t.chars[:t.n])
	return t, nil
}

// Reveal gives the clear characters.
func (t Track2) Reveal(Purpose) string { return string(uncovered(nil, t.chars[:t.n])) }

// IsZero tells whether there is no track.
func (t Track2) IsZero() bool { return t.n == 0 }

// Wipe zeroes the characters.
func (t *Track2) Wipe() { *t = Track2{} }

// PINFormat is an ISO 9564-1 PIN block format with its cipher.
type PINFormat uint8

// The formats in use between pad, hub and banks.
const (
	PINFormat4AES  PINFormat = iota + 1 // ISO 9564 format 4, AES, 16 bytes
	PINFormat0TDES                      // ISO 9564 format 0, double-length 3DES, 8 bytes
	PINFormat0SM4                       // format 0 block, zero-padded to 16, under SM4 (profile boc)
)

// PINBlock is an enciphered PIN block, 8 or 16 bytes. It lives in memory until
// its message is written, and nowhere else.
type PINBlock struct {
	secret
	b [16]byte
	n uint8
}

// NewPINBlock takes 8 or 16 bytes.
func NewPINBlock(b []byte) (PINBlock, error) {
	var p PINBlock
	if len(b) != 8 && len(b) != 16 {
		return p, ErrNumberForm
	}
	p.n = uint8(copy(p.b[:], b))
	blind(p.b[:p.n])
	return p, nil
}

// Reveal gives the enciphered bytes.
func (p PINBlock) Reveal(Purpose) []byte { return uncovered(nil, p.b[:p.n]) }

// IsZero tells whether there is no block.
func (p PINBlock) IsZero() bool { return p.n == 0 }

// Wipe zeroes the bytes.
func (p *PINBlock) Wipe() { *p = PINBlock{} }
