package tr31

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/shebao-pay/shebao/cardauth/mac"
)

// Wrap writes key as a block of version B or D under the key block protection
// key: 16 or 24 bytes for B, 16, 24 or 32 for D. The padding is random.
func Wrap(kbpk []byte, h Header, key []byte) (string, error) {
	v, err := newVersion(h.Version, kbpk, true)
	if err != nil {
		return "", err
	}
	if len(key) == 0 || len(key) > maxKey {
		return "", fmt.Errorf("tr31: key of %d bytes, want 1 to %d", len(key), maxKey)
	}
	pad := make([]byte, (v.size-(2+len(key))%v.size)%v.size)
	if _, err := rand.Read(pad); err != nil {
		return "", fmt.Errorf("tr31: random padding: %w", err)
	}
	return v.wrap(h, key, pad)
}

// Unwrap opens a block. Every refusal is ErrRefused; the reason in its text names
// header fields only.
func Unwrap(kbpk []byte, block string, accept Accept) (Header, []byte, error) {
	h, body, err := parse(block)
	if err != nil {
		return Header{}, nil, err
	}
	v, err := newVersion(h.Version, kbpk, false)
	if err != nil {
		return Header{}, nil, err
	}
	if err := accept.check(h); err != nil {
		return Header{}, nil, err
	}
	key, _, err := v.unwrap(block, body)
	if err != nil {
		return Header{}, nil, err
	}
	if !lengthFits(h.Algorithm, len(key)) {
		clear(key)
		return Header{}, nil, fmt.Errorf("%w: key length does not fit algorithm %q", ErrRefused, h.Algorithm)
	}
	return h, key, nil
}

func lengthFits(algorithm byte, n int) bool {
	switch algorithm {
	case AlgorithmAES:
		return n == 16 || n == 24 || n == 32
	case AlgorithmDES:
		return n == 8
	case AlgorithmTDES:
		// Version A and C blocks of single length keys are marked T in practice.
		return n == 8 || n == 16 || n == 24
	}
	return n > 0 && n <= maxKey
}

// version is one way to protect a key: the cipher pair and the order of things.
type version struct {
	encrypt cipher.Block
	auth    cipher.Block
	size    int // of a cipher block
	macLen  int
	derived bool // B, D: the code is over the clear key and is the IV
}

// newVersion derives or varies the two keys of a version from kbpk.
func newVersion(letter byte, kbpk []byte, writing bool) (*version, error) {
	var enc, auth []byte
	v := &version{size: 8, macLen: 8, derived: true}
	switch {
	case letter == VersionD && (len(kbpk) == 16 || len(kbpk) == 24 || len(kbpk) == 32):
		v.size, v.macLen = aes.BlockSize, 16
		b, err := aes.NewCipher(kbpk)
		if err != nil {
			return nil, fmt.Errorf("tr31: %w", err)
		}
		algorithm := uint16(len(kbpk) / 8) // 2, 3, 4 for AES-128, 192, 256
		enc, auth = derive(b, algorithm, len(kbpk), 0), derive(b, algorithm, len(kbpk), 1)
	case letter == VersionB && (len(kbpk) == 16 || len(kbpk) == 24):
		b, err := mac.DES(kbpk)
		if err != nil {
			return nil, fmt.Errorf("tr31: %w", err)
		}
		algorithm := uint16(len(kbpk)/8 - 2) // 0, 1 for two and three keys
		enc, auth = derive(b, algorithm, len(kbpk), 0), derive(b, algorithm, len(kbpk), 1)
	case (letter == VersionA || letter == VersionC) && !writing && (len(kbpk) == 16 || len(kbpk) == 24):
		v.macLen, v.derived = 4, false
		enc, auth = vary(kbpk, 0x45), vary(kbpk, 0x4D)
	default:
		return nil, fmt.Errorf("%w: version %q with a protection key of %d bytes", ErrRefused, letter, len(kbpk))
	}
	defer clear(enc)
	defer clear(auth)
	var err error
	if v.size == aes.BlockSize {
		if v.encrypt, err = aes.NewCipher(enc); err == nil {
			v.auth, err = aes.NewCipher(auth)
		}
	} else {
		if v.encrypt, err = mac.DES(enc); err == nil {
			v.auth, err = mac.DES(auth)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("tr31: %w", err)
	}
	return v, nil
}

// derive is the derivation of X9.143, 7.2: CMACs over counter, use (0 encipher,
// 1 authenticate), a zero byte, algorithm and length in bits.
func derive(b cipher.Block, algorithm uint16, length int, use uint16) []byte {
	c := mac.NewCMAC(b)
	var in [8]byte
	binary.BigEndian.PutUint16(in[1:], use)
	binary.BigEndian.PutUint16(in[4:], algorithm)
	binary.BigEndian.PutUint16(in[6:], uint16(length*8))
	var key []byte
	for in[0] = 1; len(key) < length; in[0]++ {
		key = c.Append(key, in[:])
	}
	return key[:length]
}

func vary(kbpk []byte, with byte) []byte {
	key := make([]byte, len(kbpk))
	for i, b := range kbpk {
		key[i] = b ^ with
	}
	return key
}

func (v *version) wrap(h Header, key, pad []byte) (string, error) {
	clearText := binary.BigEndian.AppendUint16(nil, uint16(len(key)*8))
	clearText = append(append(clearText, key...), pad...)
	defer clear(clearText)
	head, err := h.text(headerLen + 2*len(clearText) + 2*v.macLen)
	if err != nil {
		return "", err
	}
	covered := append([]byte(head), clearText...)
	defer clear(covered)
	code := mac.NewCMAC(v.auth).Append(nil, covered)
	sealed := make([]byte, len(clearText))
	cipher.NewCBCEncrypter(v.encrypt, code).CryptBlocks(sealed, clearText) // #nosec G407 -- X9.143 takes the code as IV
	return head + strings.ToUpper(hex.EncodeToString(sealed)+hex.EncodeToString(code)), nil
}

// unwrap answers the key and, for tests, the padding behind it.
func (v *version) unwrap(block string, body int) (key, pad []byte, err error) {
	raw, err := hex.DecodeString(block[body:])
	if err != nil || strings.ContainsAny(block[body:], "abcdef") || body%v.size != 0 ||
		len(raw) < v.size+v.macLen || (len(raw)-v.macLen)%v.size != 0 {
		return nil, nil, fmt.Errorf("%w: length or characters behind the header", ErrRefused)
	}
	sealed, code := raw[:len(raw)-v.macLen], raw[len(raw)-v.macLen:]
	clearText := make([]byte, len(sealed))
	var want []byte
	if v.derived {
		cipher.NewCBCDecrypter(v.encrypt, code).CryptBlocks(clearText, sealed)
		covered := append([]byte(block[:body]), clearText...)
		want = mac.NewCMAC(v.auth).Append(nil, covered)
		clear(covered)
	} else {
		covered := append([]byte(block[:body]), sealed...)
		chained := make([]byte, len(covered))
		cipher.NewCBCEncrypter(v.auth, make([]byte, v.size)).CryptBlocks(chained, covered)
		want = chained[len(chained)-v.size:][:v.macLen]
		cipher.NewCBCDecrypter(v.encrypt, []byte(block[:v.size])).CryptBlocks(clearText, sealed)
	}
	if subtle.ConstantTimeCompare(code, want) != 1 {
		clear(clearText)
		return nil, nil, fmt.Errorf("%w: not genuine", ErrRefused)
	}
	bits := int(binary.BigEndian.Uint16(clearText))
	if bits == 0 || bits%8 != 0 || bits/8 > maxKey || 2+bits/8 > len(clearText) {
		clear(clearText)
		return nil, nil, fmt.Errorf("%w: length of the key inside", ErrRefused)
	}
	key = append([]byte(nil), clearText[2:2+bits/8]...)
	pad = append([]byte(nil), clearText[2+bits/8:]...)
	clear(clearText)
	return key, pad, nil
}
