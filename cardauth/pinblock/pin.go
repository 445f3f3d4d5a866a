// Package pinblock makes, opens and translates PIN blocks of ISO 9564-1 formats 0
// and 4. It is the one package that holds a clear PIN, and only two parties link
// it: the simulated PIN pad and the software HSM.
//
// Three forms are in use ([si.PINFormat]): format 4 under AES from pad to hub and
// to AES banks, format 0 under 3DES, and the format 0 block followed by eight zero
// bytes under SM4. Every form is bound to the PAN, so a block cannot be moved to
// another card. A [PIN] prints as nothing readable, refuses marshalling and is
// wiped by its holder.
//
// Left out: formats 1, 2 and 3, and every function that gives a PIN to a caller
// who asks for digits: there is none.
//
// Specification: ISO 9564-1:2017; docs/spec/keys-and-macs.md.
package pinblock

import (
	"errors"
	"fmt"
	"io"

	"github.com/shebao-pay/shebao/si"
)

// Bounds of a PIN (ISO 9564-1, 8.1).
const (
	MinDigits = 4
	MaxDigits = 12
)

// ErrPIN is returned for what is not 4 to 12 digits.
var ErrPIN = errors.New("pinblock: PIN is not 4 to 12 digits")

// PIN is a clear PIN. The zero value holds none. It is handled by pointer, so
// that Wipe leaves no copy behind.
type PIN struct {
	digits [MaxDigits]byte // 0 to 9, not characters
	n      uint8
}

// Push adds one digit character at the end; it tells whether there was room.
func (p *PIN) Push(digit byte) bool {
	if p.n >= MaxDigits || digit < '0' || digit > '9' {
		return false
	}
	p.digits[p.n] = digit - '0'
	p.n++
	return true
}

// Pop takes the last digit away.
func (p *PIN) Pop() {
	if p.n > 0 {
		p.n--
		p.digits[p.n] = 0
	}
}

// Len is the number of digits held.
func (p *PIN) Len() int { return int(p.n) }

// Wipe zeroes the digits.
func (p *PIN) Wipe() { *p = PIN{} }

// Format prints that there is something, under every verb.
func (PIN) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "(redacted)") }

// String and GoString print that there is something.
func (PIN) String() string { return "(redacted)" }

// GoString see String.
func (PIN) GoString() string { return "(redacted)" }

// MarshalJSON refuses.
func (PIN) MarshalJSON() ([]byte, error) { return nil, si.ErrSecret }

// MarshalText refuses.
func (PIN) MarshalText() ([]byte, error) { return nil, si.ErrSecret }

// MarshalBinary refuses.
func (PIN) MarshalBinary() ([]byte, error) { return nil, si.ErrSecret }
