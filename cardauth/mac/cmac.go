package mac

import (
	"crypto/cipher"
	"crypto/subtle"
)

// CMAC is RFC 4493 over any cipher with blocks of 8 or 16 bytes (ISO/IEC 9797-1
// algorithm 5). Key blocks need the full length; bank messages take the left
// eight bytes through [Key].
type CMAC struct {
	block  cipher.Block
	size   int
	k1, k2 [16]byte
}

// NewCMAC derives the two subkeys. The block must be of 8 or 16 bytes.
func NewCMAC(block cipher.Block) *CMAC {
	c := &CMAC{block: block, size: block.BlockSize()}
	l := make([]byte, c.size)
	block.Encrypt(l, l)
	double(c.k1[:c.size], l)
	double(c.k2[:c.size], c.k1[:c.size])
	clear(l)
	return c
}

// double is the multiplication by x in GF(2^64) or GF(2^128).
func double(dst, src []byte) {
	poly := byte(0x87)
	if len(src) == 8 {
		poly = 0x1B
	}
	carry := src[0] >> 7
	for i := range src {
		next := byte(0)
		if i+1 < len(src) {
			next = src[i+1] >> 7
		}
		dst[i] = src[i]<<1 | next
	}
	dst[len(src)-1] ^= poly * carry
}

// Append appends the code of data, as long as the cipher's block.
func (c *CMAC) Append(dst, data []byte) []byte {
	s := scratches.Get().(*scratch)
	c.sum(s, data)
	dst = append(dst, s.x[:c.size]...)
	*s = scratch{}
	scratches.Put(s)
	return dst
}

// sum leaves the code in s.x.
func (c *CMAC) sum(s *scratch, data []byte) {
	s.x = [16]byte{}
	x := s.x[:c.size]
	if c.size == 16 {
		for len(data) > 16 {
			xor8(x, data)
			xor8(x[8:], data[8:])
			c.block.Encrypt(x, x)
			data = data[16:]
		}
	} else {
		for len(data) > 8 {
			xor8(x, data)
			c.block.Encrypt(x, x)
			data = data[8:]
		}
	}
	subtle.XORBytes(x, x, data)
	if len(data) == c.size {
		subtle.XORBytes(x, x, c.k1[:c.size])
	} else {
		x[len(data)] ^= 0x80
		subtle.XORBytes(x, x, c.k2[:c.size])
	}
	c.block.Encrypt(x, x)
}

// KCV4 is the first four bytes of a zero block under the key, as banks show them
// for DES and SM4 keys.
func KCV4(block cipher.Block) (kcv [4]byte) {
	zero := make([]byte, block.BlockSize())
	block.Encrypt(zero, zero)
	copy(kcv[:], zero)
	return kcv
}

// CMACKCV4 is the first four bytes of the CMAC of a zero block, as X9.24-1 has it
// for AES keys.
func CMACKCV4(block cipher.Block) (kcv [4]byte) {
	zero := make([]byte, block.BlockSize())
	copy(kcv[:], NewCMAC(block).Append(nil, zero))
	return kcv
}
