package emv

import (
	"crypto/cipher"
	"crypto/des" // #nosec G502 -- PBOC cards of the old kind know triple DES only
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"

	"github.com/emmansun/gmsm/sm4"

	"github.com/shebao-pay/shebao/cardauth/tlv"
)

// Cipher is the block cipher of a card's keys.
type Cipher uint8

// The ciphers.
const (
	TDES Cipher = iota + 1 // two-key triple DES, 8-byte blocks
	SM4                    // GB/T 32907, 16-byte blocks
)

// String writes 3DES or SM4.
func (c Cipher) String() string {
	switch c {
	case TDES:
		return "3DES"
	case SM4:
		return "SM4"
	}
	return fmt.Sprintf("Cipher(%d)", uint8(c))
}

// ErrCipher is returned for a cipher that is neither 3DES nor SM4.
var ErrCipher = errors.New("emv: cipher is neither 3DES nor SM4")

// ErrDigits is returned for an account or sequence number that is not digits.
var ErrDigits = errors.New("emv: account or sequence number is not digits")

// ErrCryptogramData is returned when a data object that the cryptogram covers
// is missing or has another length than the standard gives it.
var ErrCryptogramData = errors.New("emv: data object of the cryptogram is missing or has the wrong length")

// Key is a 16-byte key of either cipher. It prints redacted under every verb.
type Key [16]byte

// String writes nothing of the key.
func (Key) String() string { return "(redacted)" }

// Format writes nothing of the key, whatever the verb.
func (Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "(redacted)") }

// ATC is the application transaction counter of a card (tag 9F36).
type ATC uint16

// block makes the cipher; both kinds take every 16-byte key.
func (c Cipher) block(k Key) (cipher.Block, error) {
	switch c {
	case TDES:
		return des.NewTripleDESCipher(append(k[:], k[:8]...)) // #nosec G405 -- PBOC cards of the old kind know triple DES only
	case SM4:
		return sm4.NewCipher(k[:])
	}
	return nil, ErrCipher
}

// CardKey derives a card's key (UDK) from the issuer's master key, the digits
// of the account number and the two digits of its sequence number: E(IMK, Y ‖ ~Y)
// with Y the rightmost 16 digits of both together (EMV 4.3 Book 2, A1.4.1;
// PBOC leaves the parity of DES keys alone). digits and psn are not kept.
func CardKey(c Cipher, imk Key, digits, psn string) (Key, error) {
	var k Key
	y, err := rightmost16(digits + psn)
	if err != nil || digits == "" || len(psn) != 2 {
		return k, ErrDigits
	}
	b, err := c.block(imk)
	if err != nil {
		return k, err
	}
	copy(k[:8], y[:])
	for i, v := range y {
		k[8+i] = ^v
	}
	encryptECB(b, k[:])
	return k, nil
}

// EMVCardKey is CardKey by 3DES with the odd parity that EMV asks for.
func EMVCardKey(imk Key, digits, psn string) (Key, error) {
	k, err := CardKey(TDES, imk, digits, psn)
	return oddParity(k), err
}

// SessionKey derives the key of one transaction: E(UDK, 00×6 ‖ ATC ‖ 00×6 ‖ ~ATC)
// as the PBOC profile has it.
func SessionKey(c Cipher, udk Key, atc ATC) (Key, error) {
	var k Key
	b, err := c.block(udk)
	if err != nil {
		return k, err
	}
	binary.BigEndian.PutUint16(k[6:], uint16(atc))
	binary.BigEndian.PutUint16(k[14:], ^uint16(atc))
	encryptECB(b, k[:])
	return k, nil
}

// EMVSessionKey is the common session key derivation (EMV 4.3 Book 2, A1.3)
// from the eight diversification bytes R, with odd parity; R is ATC ‖ 00×6 for a
// cryptogram.
func EMVSessionKey(mk Key, r [8]byte) (Key, error) {
	var k Key
	b, err := TDES.block(mk)
	if err != nil {
		return k, err
	}
	copy(k[:8], r[:])
	copy(k[8:], r[:])
	k[2], k[10] = 0xF0, 0x0F
	encryptECB(b, k[:])
	return oddParity(k), nil
}

// oddParity sets the lowest bit of each byte so that its ones are odd in number.
func oddParity(k Key) Key {
	for i, v := range k {
		if bits.OnesCount8(v)%2 == 0 {
			k[i] = v ^ 1
		}
	}
	return k
}

// Cryptogram is the application cryptogram (tag 9F26) over data, which
// [CryptogramData] lays out: ISO/IEC 9797-1 algorithm 3 with padding 80 by 3DES,
// the left 8 bytes of a CBC-MAC with the same padding by SM4.
func Cryptogram(c Cipher, sk Key, data []byte) ([8]byte, error) {
	var ac [8]byte
	switch c {
	case TDES:
		left, err := des.NewCipher(sk[:8]) // #nosec G405 -- PBOC cards of the old kind know triple DES only
		if err != nil {
			return ac, err
		}
		right, err := des.NewCipher(sk[8:]) // #nosec G405 -- PBOC cards of the old kind know triple DES only
		if err != nil {
			return ac, err
		}
		cbcMAC(left, data, ac[:])
		right.Decrypt(ac[:], ac[:])
		left.Encrypt(ac[:], ac[:])
		return ac, nil
	case SM4:
		b, err := sm4.NewCipher(sk[:])
		if err != nil {
			return ac, err
		}
		var x [16]byte
		cbcMAC(b, data, x[:])
		copy(ac[:], x[:8])
		return ac, nil
	}
	return ac, ErrCipher
}

// ARPC is the issuer's answer to an ARQC by method 1: E(SK, ARQC xor (ARC ‖
// 00×6)), by SM4 with eight zero bytes behind and cut to the left 8.
func ARPC(c Cipher, sk Key, arqc [8]byte, arc [2]byte) ([8]byte, error) {
	var x [16]byte
	b, err := c.block(sk)
	if err != nil {
		return arqc, err
	}
	copy(x[:], arqc[:])
	x[0] ^= arc[0]
	x[1] ^= arc[1]
	n := b.BlockSize()
	b.Encrypt(x[:n], x[:n])
	return [8]byte(x[:8]), nil
}

// ARPC2 is the issuer's answer by method 2: the left four bytes of the MAC over
// ARQC ‖ card status update (EMV 4.3 Book 2, 8.2.2), without proprietary data.
func ARPC2(sk Key, arqc [8]byte, csu [4]byte) ([4]byte, error) {
	mac, err := Cryptogram(TDES, sk, append(arqc[:], csu[:]...))
	return [4]byte(mac[:4]), err
}

// covered is what a cryptogram of version 01 covers, in order, with the
// lengths. The last part, the CVR, stands inside tag 9F10.
var covered = []struct {
	tag tlv.Tag
	n   int
}{
	{TagAmount, 6}, {TagAmountOther, 6}, {TagCountry, 2}, {TagTVR, 5}, {TagCurrency, 2},
	{TagDate, 3}, {TagType, 1}, {TagUnpredictable, 4}, {TagAIP, 2}, {TagATC, 2},
}

// CryptogramData lays out what a cryptogram of version 01 covers, from the data
// objects of a DE 55: amount, other amount, country, TVR, currency, date, type,
// unpredictable number, AIP, ATC, and the CVR out of the issuer application data.
func CryptogramData(object func(tlv.Tag) []byte) ([]byte, error) {
	data := make([]byte, 0, 37)
	for _, part := range covered {
		v := object(part.tag)
		if len(v) != part.n {
			return nil, fmt.Errorf("%w: %v", ErrCryptogramData, part.tag)
		}
		data = append(data, v...)
	}
	cvr, err := CVR(object(TagIAD))
	if err != nil {
		return nil, err
	}
	return append(data, cvr...), nil
}

// CVR is the card verification results inside the issuer application data of
// PBOC: length 07, derivation key index, cryptogram version, CVR (4), cipher.
func CVR(iad []byte) ([]byte, error) {
	if len(iad) < 8 || iad[0] != 7 {
		return nil, fmt.Errorf("%w: %v", ErrCryptogramData, TagIAD)
	}
	return iad[3:7], nil
}

// cbcMAC leaves in x, one block long and zero, the CBC-MAC of data padded with
// 80 00… (ISO/IEC 9797-1 padding 2).
func cbcMAC(b cipher.Block, data, x []byte) {
	n := 0
	for _, v := range data {
		x[n] ^= v
		if n++; n == len(x) {
			b.Encrypt(x, x)
			n = 0
		}
	}
	x[n] ^= 0x80
	b.Encrypt(x, x)
}

// encryptECB enciphers whole blocks in place.
func encryptECB(b cipher.Block, p []byte) {
	for n := b.BlockSize(); len(p) >= n; p = p[n:] {
		b.Encrypt(p[:n], p[:n])
	}
}

// rightmost16 packs the last sixteen digits of s as BCD, with zeros in front of
// a shorter one.
func rightmost16(s string) ([8]byte, error) {
	var y [8]byte
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return y, ErrDigits
		}
	}
	for i := 0; i < 16 && i < len(s); i++ {
		d := s[len(s)-1-i] - '0'
		y[7-i/2] |= d << (4 * (i % 2))
	}
	return y, nil
}
