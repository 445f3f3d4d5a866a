package bankhost

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/emmansun/gmsm/sm4"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/hsmapi"
)

var errKey = errors.New("bankhost: key has the wrong length")

// tdes is 3DES with a key of 8 or 16 bytes.
func tdes(key []byte) (cipher.Block, error) {
	switch len(key) {
	case 8:
		return des.NewTripleDESCipher([]byte(strings.Repeat(string(key), 3)))
	case 16:
		return des.NewTripleDESCipher(append(append([]byte(nil), key...), key[:8]...))
	}
	return nil, errKey
}

// makeMAC is the code by each algorithm of the profiles.
func makeMAC(alg hsmapi.MACAlg, key, text []byte) (code [8]byte, err error) {
	switch alg {
	case hsmapi.MACCUPECB:
		return cupECB(key, text)
	case hsmapi.MACX919Pad1, hsmapi.MACX919Pad2:
		return retail(key, text, alg == hsmapi.MACX919Pad2)
	case hsmapi.MACAESCMAC, hsmapi.MACSM4CMAC:
		var b cipher.Block
		if alg == hsmapi.MACAESCMAC {
			b, err = aes.NewCipher(key)
		} else {
			b, err = sm4.NewCipher(key)
		}
		if err != nil {
			return code, errKey
		}
		copy(code[:], cmac(b, text))
		return code, nil
	case hsmapi.MACSM4POS:
		return sm4POS(key, text)
	}
	return code, fmt.Errorf("bankhost: no code of kind %d", alg)
}

// sm4POS folds the text into one block of 16, and enciphers its 32 hexadecimal
// characters in two steps.
func sm4POS(key, text []byte) (code [8]byte, err error) {
	b, err := sm4.NewCipher(key)
	if err != nil {
		return code, errKey
	}
	var x [16]byte
	for i, c := range text {
		x[i%16] ^= c
	}
	chars := strings.ToUpper(hex.EncodeToString(x[:]))
	t := []byte(chars[:16])
	b.Encrypt(t, t)
	for i := range t {
		t[i] ^= chars[16+i]
	}
	b.Encrypt(t, t)
	copy(code[:], t)
	return code, nil
}

// cupECB folds the text into one block, and enciphers its sixteen hexadecimal
// characters in two steps; the code is eight characters.
func cupECB(key, text []byte) (code [8]byte, err error) {
	b, err := tdes(key)
	if err != nil {
		return code, err
	}
	var x [8]byte
	for i, c := range text {
		x[i%8] ^= c
	}
	chars := strings.ToUpper(hex.EncodeToString(x[:]))
	t := []byte(chars[:8])
	b.Encrypt(t, t)
	for i := range t {
		t[i] ^= chars[8+i]
	}
	b.Encrypt(t, t)
	copy(code[:], strings.ToUpper(hex.EncodeToString(t[:4])))
	return code, nil
}

// retail is ANSI X9.19: single DES over all blocks, the last one by 3DES.
func retail(key, text []byte, pad80 bool) (code [8]byte, err error) {
	if len(key) != 16 {
		return code, errKey
	}
	left, err := des.NewCipher(key[:8])
	if err != nil {
		return code, errKey
	}
	right, err := des.NewCipher(key[8:])
	if err != nil {
		return code, errKey
	}
	p := append([]byte(nil), text...)
	if pad80 {
		p = append(p, 0x80)
	}
	for len(p)%8 != 0 || len(p) == 0 {
		p = append(p, 0)
	}
	for ; len(p) > 0; p = p[8:] {
		for i := range code {
			code[i] ^= p[i]
		}
		left.Encrypt(code[:], code[:])
	}
	right.Decrypt(code[:], code[:])
	left.Encrypt(code[:], code[:])
	return code, nil
}

// cmac is RFC 4493 over any cipher of 16-byte blocks.
func cmac(b cipher.Block, text []byte) []byte {
	double := func(in []byte) []byte {
		out := make([]byte, 16)
		for i := 0; i < 15; i++ {
			out[i] = in[i]<<1 | in[i+1]>>7
		}
		out[15] = in[15] << 1
		if in[0]&0x80 != 0 {
			out[15] ^= 0x87
		}
		return out
	}
	k := make([]byte, 16)
	b.Encrypt(k, k)
	k1 := double(k)
	x := make([]byte, 16)
	p := append([]byte(nil), text...)
	last := k1
	if len(p) == 0 || len(p)%16 != 0 {
		last = double(k1)
		p = append(p, 0x80)
		for len(p)%16 != 0 {
			p = append(p, 0)
		}
	}
	for at := 0; at < len(p); at += 16 {
		for i := range x {
			x[i] ^= p[at+i]
			if at+16 == len(p) {
				x[i] ^= last[i]
			}
		}
		b.Encrypt(x, x)
	}
	return x
}

// openPIN gives the digits of an enciphered PIN block, or false when the block
// is not well formed for this card.
func openPIN(format si.PINFormat, key, block []byte, pan string) (string, bool) {
	account, err := hex.DecodeString("0000" + pan[len(pan)-13:len(pan)-1])
	if err != nil {
		return "", false
	}
	clear8 := make([]byte, 8)
	switch format {
	case si.PINFormat0TDES:
		b, err := tdes(key)
		if err != nil || len(block) != 8 {
			return "", false
		}
		b.Decrypt(clear8, block)
	case si.PINFormat0SM4:
		b, err := sm4.NewCipher(key)
		if err != nil || len(block) != 16 {
			return "", false
		}
		out := make([]byte, 16)
		b.Decrypt(out, block)
		if strings.Trim(string(out[8:]), "\x00") != "" {
			return "", false
		}
		copy(clear8, out)
	case si.PINFormat4AES:
		return openFormat4(key, block, pan)
	default:
		return "", false
	}
	for i := range clear8 {
		clear8[i] ^= account[i]
	}
	return digitsOf(hex.EncodeToString(clear8), '0', 'f')
}

// openFormat4 undoes the two encipherments of ISO 9564 format 4.
func openFormat4(key, block []byte, pan string) (string, bool) {
	b, err := aes.NewCipher(key)
	if err != nil || len(block) != 16 {
		return "", false
	}
	second, err := hex.DecodeString((fmt.Sprintf("%d%s", len(pan)-12, pan) + strings.Repeat("0", 32))[:32])
	if err != nil {
		return "", false
	}
	x := make([]byte, 16)
	b.Decrypt(x, block)
	for i := range x {
		x[i] ^= second[i]
	}
	b.Decrypt(x, x)
	return digitsOf(hex.EncodeToString(x[:8]), '4', 'a')
}

// digitsOf reads control, length, digits and fill of a PIN field.
func digitsOf(field string, control, fill byte) (string, bool) {
	n := strings.IndexByte("0123456789abc", field[1])
	if field[0] != control || n < 4 || strings.Trim(field[2:2+n], "0123456789") != "" ||
		strings.Trim(field[2+n:], string(fill)) != "" {
		return "", false
	}
	return field[2 : 2+n], true
}

// wrapD writes a TR-31 block of version D: derived keys, a CMAC over header and
// clear key that is the IV of the encipherment. pad fills the last block.
func wrapD(kbpk []byte, usage string, algorithm, mode byte, key, pad []byte) (string, error) {
	enc, err := deriveD(kbpk, 0)
	if err != nil {
		return "", err
	}
	auth, err := deriveD(kbpk, 1)
	if err != nil {
		return "", err
	}
	clear := append([]byte{byte(len(key) * 8 >> 8), byte(len(key) * 8)}, key...)
	clear = append(clear, pad...)
	if len(clear)%16 != 0 {
		return "", errKey
	}
	head := fmt.Sprintf("D%04d%s%c%c00E0000", 16+2*len(clear)+32, usage, algorithm, mode)
	ab, err := aes.NewCipher(auth)
	if err != nil {
		return "", errKey
	}
	mac := cmac(ab, append([]byte(head), clear...))
	eb, err := aes.NewCipher(enc)
	if err != nil {
		return "", errKey
	}
	cipher.NewCBCEncrypter(eb, mac).CryptBlocks(clear, clear)
	return head + strings.ToUpper(hex.EncodeToString(clear)+hex.EncodeToString(mac)), nil
}

// deriveD derives the key for encipherment (use 0) or authentication (use 1).
func deriveD(kbpk []byte, use byte) ([]byte, error) {
	b, err := aes.NewCipher(kbpk)
	if err != nil {
		return nil, errKey
	}
	bits := len(kbpk) * 8
	alg := byte(2 + (bits-128)/64)
	var out []byte
	for i := byte(1); len(out) < len(kbpk); i++ {
		out = append(out, cmac(b, []byte{i, 0, use, 0, 0, alg, byte(bits >> 8), byte(bits)})...)
	}
	return out[:len(kbpk)], nil
}

// de62 is the block of working keys of a POS sign-on.
func de62(tmk, pik, mak []byte) (string, error) {
	k, err := tdes(tmk)
	if err != nil {
		return "", err
	}
	ecb := func(key []byte) []byte {
		out := make([]byte, len(key))
		for i := 0; i < len(key); i += 8 {
			k.Encrypt(out[i:i+8], key[i:i+8])
		}
		return out
	}
	check := func(key []byte) ([]byte, error) {
		b, err := tdes(key)
		if err != nil {
			return nil, err
		}
		out := make([]byte, 8)
		b.Encrypt(out, out)
		return out[:4], nil
	}
	pinCheck, err := check(pik)
	if err != nil {
		return "", err
	}
	macCheck, err := check(mak)
	if err != nil {
		return "", err
	}
	slot := append(ecb(mak), make([]byte, 8)...)[:16]
	return string(ecb(pik)) + string(pinCheck) + string(slot) + string(macCheck), nil
}
