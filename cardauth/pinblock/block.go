package pinblock

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"

	"github.com/emmansun/gmsm/sm4"

	"github.com/shebao-pay/shebao/cardauth/mac"
	"github.com/shebao-pay/shebao/si"
)

// ErrBlock is returned for a block that is not a well-formed PIN block of its
// format for its PAN: a wrong key, another card, or a damaged block. It does not
// say which, so that nothing can be learnt from trying.
var ErrBlock = errors.New("pinblock: block refused")

// ErrKey is returned for a key that the format cannot take.
var ErrKey = errors.New("pinblock: key does not fit the format")

const purpose si.Purpose = "bind a PIN block to its card"

// Cipher is an expanded PIN key bound to one format. It serves any number of
// goroutines.
type Cipher struct {
	block  cipher.Block
	format si.PINFormat
}

// NewCipher expands key: 16, 24 or 32 bytes for format 4, 16 for format 0 under
// 3DES (a key whose halves are equal is single DES and refused), 16 for SM4. The
// caller may wipe key afterwards.
func NewCipher(format si.PINFormat, key []byte) (*Cipher, error) {
	c := &Cipher{format: format}
	var err error
	switch format {
	case si.PINFormat4AES:
		c.block, err = aes.NewCipher(key)
	case si.PINFormat0TDES:
		if len(key) != 16 || subtle.ConstantTimeCompare(key[:8], key[8:]) == 1 {
			return nil, ErrKey
		}
		c.block, err = mac.DES(key)
	case si.PINFormat0SM4:
		c.block, err = sm4.NewCipher(key)
	default:
		return nil, fmt.Errorf("%w: format %d is unknown", ErrKey, format)
	}
	if err != nil {
		return nil, ErrKey
	}
	return c, nil
}

// Format is the format the key is bound to.
func (c *Cipher) Format() si.PINFormat { return c.format }

// Encipher makes the block of a PIN for a card. Format 4 takes eight random bytes
// from the system, so no two blocks are alike.
func (c *Cipher) Encipher(pin *PIN, pan *si.PAN) (si.PINBlock, error) {
	var digits [19]byte
	d := pan.AppendDigits(digits[:0], purpose)
	defer clear(digits[:])
	var fill [8]byte
	if c.format == si.PINFormat4AES {
		if _, err := rand.Read(fill[:]); err != nil {
			return si.PINBlock{}, fmt.Errorf("pinblock: random fill: %w", err)
		}
	}
	return c.encipher(pin, d, fill)
}

func (c *Cipher) encipher(pin *PIN, pan []byte, fill [8]byte) (si.PINBlock, error) {
	if pin.n < MinDigits || pin.n > MaxDigits {
		return si.PINBlock{}, ErrPIN
	}
	if len(pan) < 13 || len(pan) > 19 {
		return si.PINBlock{}, fmt.Errorf("%w: card number has %d digits, not 13 to 19", ErrBlock, len(pan))
	}
	x := make([]byte, c.block.BlockSize())
	defer clear(x)
	switch c.format {
	case si.PINFormat4AES:
		field4((*[16]byte)(x), pin, fill)
		c.block.Encrypt(x, x)
		panField := panField4(pan)
		subtle.XORBytes(x, x, panField[:])
	default: // format 0; under SM4 the last eight bytes stay zero
		field0((*[8]byte)(x), pin)
		panField := panField0(pan)
		subtle.XORBytes(x, x, panField[:])
	}
	c.block.Encrypt(x, x)
	return si.NewPINBlock(x)
}

// Decipher opens a block into pin. It answers ErrBlock for every block that is
// not well formed for the card.
func (c *Cipher) Decipher(block *si.PINBlock, pan *si.PAN, pin *PIN) error {
	var digits [19]byte
	d := pan.AppendDigits(digits[:0], purpose)
	defer clear(digits[:])
	return c.decipher(block, d, pin)
}

func (c *Cipher) decipher(block *si.PINBlock, pan []byte, pin *PIN) error {
	pin.Wipe()
	x := block.Reveal(purpose)
	defer clear(x)
	if len(x) != c.block.BlockSize() || len(pan) < 13 || len(pan) > 19 {
		return ErrBlock
	}
	c.block.Decrypt(x, x)
	var ok bool
	if c.format == si.PINFormat4AES {
		panField := panField4(pan)
		subtle.XORBytes(x, x, panField[:])
		c.block.Decrypt(x, x)
		ok = parse4((*[16]byte)(x), pin)
	} else {
		panField := panField0(pan)
		subtle.XORBytes(x, x, panField[:])
		ok = parse0((*[8]byte)(x), pin)
		for _, b := range x[8:] {
			ok = ok && b == 0
		}
	}
	if !ok {
		pin.Wipe()
		return ErrBlock
	}
	return nil
}

// Translate opens a block under one key and makes it anew under another. PAN and
// PIN stay what they are; the PIN is in this call's stack only and is wiped.
func Translate(from, to *Cipher, block *si.PINBlock, pan *si.PAN) (si.PINBlock, error) {
	var pin PIN
	defer pin.Wipe()
	if err := from.Decipher(block, pan, &pin); err != nil {
		return si.PINBlock{}, err
	}
	return to.Encipher(&pin, pan)
}

// field0 is control 0, length, digits, fill F (ISO 9564-1, 9.3.2.2).
func field0(dst *[8]byte, pin *PIN) {
	dst[0] = pin.n
	putDigits(dst[1:], pin, 0xF)
}

// panField0 is the twelve right-most digits without the check digit, behind four
// zero nibbles.
func panField0(pan []byte) (f [8]byte) {
	account := pan[len(pan)-13 : len(pan)-1]
	for i := range 6 {
		f[2+i] = (account[2*i]-'0')<<4 | (account[2*i+1] - '0')
	}
	return f
}

// field4 is control 4, length, digits, fill A, eight random bytes (9.3.5.2).
func field4(dst *[16]byte, pin *PIN, random [8]byte) {
	dst[0] = 4<<4 | pin.n
	putDigits(dst[1:8], pin, 0xA)
	copy(dst[8:], random[:])
}

// panField4 is the PAN's length less twelve, the PAN, zeros (9.3.5.3).
func panField4(pan []byte) (f [16]byte) {
	f[0] = byte(len(pan)-12) << 4
	for i, d := range pan {
		nibble := i + 1
		if nibble%2 == 0 {
			f[nibble/2] |= (d - '0') << 4
		} else {
			f[nibble/2] |= d - '0'
		}
	}
	return f
}

// putDigits writes 14 nibbles: the digits, then fill.
func putDigits(dst []byte, pin *PIN, fill byte) {
	for i := range 14 {
		nibble := fill
		if i < int(pin.n) {
			nibble = pin.digits[i]
		}
		if i%2 == 0 {
			dst[i/2] = nibble << 4
		} else {
			dst[i/2] |= nibble
		}
	}
}

// takeDigits reads what putDigits wrote; it looks at every nibble, whatever it
// finds first.
func takeDigits(src []byte, n, fill byte, pin *PIN) bool {
	ok := n >= MinDigits && n <= MaxDigits
	for i := range 14 {
		nibble := src[i/2] >> 4
		if i%2 == 1 {
			nibble = src[i/2] & 15
		}
		if i >= int(n) {
			ok = ok && nibble == fill
			continue
		}
		ok = ok && nibble <= 9
		if i < MaxDigits {
			pin.digits[i] = nibble
		}
	}
	pin.n = n
	return ok
}

func parse0(x *[8]byte, pin *PIN) bool {
	control := x[0]>>4 == 0
	return takeDigits(x[1:], x[0]&15, 0xF, pin) && control
}

func parse4(x *[16]byte, pin *PIN) bool {
	control := x[0]>>4 == 4
	return takeDigits(x[1:8], x[0]&15, 0xA, pin) && control
}
