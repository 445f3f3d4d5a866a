// Package mac makes and checks the message authentication codes of bank links:
// CUP ECB-MAC and its SM4 shape, the retail MAC of ANSI X9.19 (ISO/IEC 9797-1
// algorithm 3) with padding 1 or 2, and CMAC (RFC 4493) over AES and SM4.
//
// A [Key] is expanded once and then serves any number of goroutines; [Key.Append]
// and [Key.Sum] allocate nothing. Codes are compared in constant time. Which
// bytes of a message are covered is the caller's matter.
//
// CUP ECB-MAC folds a message by exclusive or before it enciphers: its eight
// characters carry 32 bits, and messages whose blocks change places, or whose
// changes cancel, have the same code. It is offered because banks use it, and
// belongs inside TLS or on a private line.
//
// Specification: docs/spec/keys-and-macs.md.
package mac

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des" // #nosec G502 -- bank links still use it
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/emmansun/gmsm/sm4"

	"github.com/shebao-pay/shebao/si/hsmapi"
)

// Size is the length of every code: the first eight bytes of a longer one.
const Size = 8

// ErrKeyLength is returned for a key that the algorithm cannot take.
var ErrKeyLength = errors.New("mac: key has the wrong length for its algorithm")

// ErrAlgorithm is returned for an algorithm this package does not know.
var ErrAlgorithm = errors.New("mac: unknown algorithm")

// Key is an expanded key bound to one algorithm.
type Key struct {
	alg   hsmapi.MACAlg
	block cipher.Block // of CUP ECB-MAC and SM4 POS; the left half's DES for X9.19
	right cipher.Block // X9.19: the right half's DES
	cmac  *CMAC
}

// NewKey expands key: 8 or 16 bytes for CUP ECB-MAC, 16 for X9.19, 16, 24 or 32
// for AES, 16 for SM4. The caller may wipe key afterwards.
func NewKey(alg hsmapi.MACAlg, key []byte) (*Key, error) {
	k := &Key{alg: alg}
	var err error
	switch alg {
	case hsmapi.MACCUPECB:
		if len(key) != 8 && len(key) != 16 {
			return nil, ErrKeyLength
		}
		k.block, err = DES(key)
	case hsmapi.MACX919Pad1, hsmapi.MACX919Pad2:
		if len(key) != 16 {
			return nil, ErrKeyLength
		}
		if k.block, err = DES(key[:8]); err == nil {
			k.right, err = DES(key[8:])
		}
	case hsmapi.MACAESCMAC:
		k.block, err = aes.NewCipher(key)
	case hsmapi.MACSM4CMAC, hsmapi.MACSM4POS:
		k.block, err = sm4.NewCipher(key)
	default:
		return nil, fmt.Errorf("%w: %d", ErrAlgorithm, alg)
	}
	if err != nil {
		return nil, ErrKeyLength
	}
	if alg == hsmapi.MACAESCMAC || alg == hsmapi.MACSM4CMAC {
		k.cmac = NewCMAC(k.block)
	}
	return k, nil
}

// Alg is the algorithm the key is bound to.
func (k *Key) Alg() hsmapi.MACAlg { return k.alg }

// Append appends the code of data to dst.
func (k *Key) Append(dst, data []byte) []byte {
	sum := k.Sum(data)
	return append(dst, sum[:]...)
}

// Verify tells whether code is that of data.
func (k *Key) Verify(data []byte, code [Size]byte) bool {
	sum := k.Sum(data)
	return subtle.ConstantTimeCompare(sum[:], code[:]) == 1
}

// Sum is the code of data.
func (k *Key) Sum(data []byte) (sum [Size]byte) {
	s := scratches.Get().(*scratch)
	switch k.alg {
	case hsmapi.MACCUPECB:
		sum = k.cupECB(s, data)
	case hsmapi.MACX919Pad1, hsmapi.MACX919Pad2:
		sum = k.x919(s, data)
	case hsmapi.MACSM4POS:
		sum = k.sm4POS(s, data)
	default:
		k.cmac.sum(s, data)
		copy(sum[:], s.x[:])
	}
	*s = scratch{}
	scratches.Put(s)
	return sum
}

// scratch keeps the working blocks off the heap: what goes through the
// cipher.Block interface would escape on every call.
type scratch struct{ x [16]byte }

var scratches = sync.Pool{New: func() any { return new(scratch) }}

const upperHex = "0123456789ABCDEF"

func appendUpperHex(dst *[32]byte, src []byte) {
	for i, b := range src {
		dst[2*i], dst[2*i+1] = upperHex[b>>4], upperHex[b&15]
	}
}

// cupECB folds data into 8 bytes, writes them as 16 hexadecimal characters and
// enciphers the two halves one after the other; the code is the first eight
// hexadecimal characters of the result.
func (k *Key) cupECB(s *scratch, data []byte) (sum [Size]byte) {
	var fold uint64
	for len(data) >= 8 {
		fold ^= binary.BigEndian.Uint64(data)
		data = data[8:]
	}
	for i, b := range data {
		fold ^= uint64(b) << (56 - 8*i)
	}
	var folded [8]byte
	binary.BigEndian.PutUint64(folded[:], fold)
	var text [32]byte
	appendUpperHex(&text, folded[:])
	x := s.x[:8]
	copy(x, text[:8])
	k.block.Encrypt(x, x)
	subtle.XORBytes(x, x, text[8:16])
	k.block.Encrypt(x, x)
	appendUpperHex(&text, x[:4])
	copy(sum[:], text[:8])
	return sum
}

// sm4POS is the same shape with blocks of 16 bytes; the code is the first eight
// bytes of the result as they are.
func (k *Key) sm4POS(s *scratch, data []byte) (sum [Size]byte) {
	x := s.x[:]
	for len(data) >= 16 {
		subtle.XORBytes(x, x, data[:16])
		data = data[16:]
	}
	subtle.XORBytes(x, x, data)
	var text [32]byte
	appendUpperHex(&text, x)
	copy(x, text[:16])
	k.block.Encrypt(x, x)
	subtle.XORBytes(x, x, text[16:])
	k.block.Encrypt(x, x)
	copy(sum[:], x)
	return sum
}

// x919 is a CBC-MAC under the left half whose last block goes through the right
// half backwards and the left half again.
func (k *Key) x919(s *scratch, data []byte) (sum [Size]byte) {
	x := s.x[:8]
	empty := len(data) == 0
	for len(data) >= 8 {
		xor8(x, data)
		k.block.Encrypt(x, x)
		data = data[8:]
	}
	// What is left is padded; padding 2 always adds its 80, padding 1 fills up a
	// started block only. The empty message is one block of zeros.
	pad2 := k.alg == hsmapi.MACX919Pad2
	if len(data) > 0 || pad2 || empty {
		subtle.XORBytes(x, x, data)
		if pad2 {
			x[len(data)] ^= 0x80
		}
		k.block.Encrypt(x, x)
	}
	k.right.Decrypt(x, x)
	k.block.Encrypt(x, x)
	copy(sum[:], x)
	return sum
}

func xor8(x, data []byte) {
	binary.LittleEndian.PutUint64(x, binary.LittleEndian.Uint64(x)^binary.LittleEndian.Uint64(data))
}

// DES expands a key of 8 (single), 16 (double) or 24 (triple) bytes. Parity bits
// are ignored, as everywhere in payments.
func DES(key []byte) (cipher.Block, error) {
	switch len(key) {
	case 8:
		return des.NewCipher(key) // #nosec G405 -- bank links still use it
	case 16:
		var triple [24]byte
		copy(triple[:], key)
		copy(triple[16:], key[:8])
		b, err := des.NewTripleDESCipher(triple[:]) // #nosec G405 -- bank links still use it
		clear(triple[:])
		return b, err
	case 24:
		return des.NewTripleDESCipher(key) // #nosec G405 -- bank links still use it
	}
	return nil, ErrKeyLength
}
