package bankmsg

import "encoding/binary"

// Character classes.
const (
	isDigit = 1 << iota
	isAlnum
	isPrint
)

// notDigits marks an entry of pairOf in which a half byte is over 9.
const notDigits = 0x8080

// classOf gives the classes of a byte. pairOf gives the two characters that a
// byte of half bytes stands for, with notDigits where they are none (D for the
// separator of a track, ? for what nothing has). halfOf is the half byte of a
// character, 0xFF for those that have none.
var (
	classOf [256]uint8
	pairOf  [256]uint16
	halfOf  [256]uint8
)

func init() {
	char := func(h byte) uint16 {
		switch {
		case h <= 9:
			return uint16('0' + h)
		case h == 0xD:
			return 'D' | 0x80
		}
		return '?' | 0x80
	}
	for i := range classOf {
		b := byte(i)
		digit := b >= '0' && b <= '9'
		halfOf[i] = 0xFF
		if digit {
			classOf[i] |= isDigit
			halfOf[i] = b & 15
		}
		if digit || b >= 'A' && b <= 'Z' || b >= 'a' && b <= 'z' {
			classOf[i] |= isAlnum
		}
		if b >= ' ' && b <= '~' {
			classOf[i] |= isPrint
		}
		pairOf[i] = char(b>>4)<<8 | char(b&15)
	}
	halfOf['D'] = 0xD
}

// allOf tells whether every byte is of the class.
func allOf(b []byte, class uint8) bool {
	for _, c := range b {
		class &= classOf[c]
	}
	return class != 0
}

// allDigits is allOf for digits, eight at a time.
func allDigits(b []byte) bool {
	for ; len(b) >= 8; b = b[8:] {
		if !eightDigits(binary.BigEndian.Uint64(b)) {
			return false
		}
	}
	return allOf(b, isDigit)
}

// allPrint is allOf for printable characters, eight at a time.
func allPrint(b []byte) bool {
	for ; len(b) >= 8; b = b[8:] {
		if !eightPrint(binary.BigEndian.Uint64(b)) {
			return false
		}
	}
	return allOf(b, isPrint)
}

// eightPrint tells whether all eight bytes of x are from space to tilde: none
// has the high bit, all get it by adding 0x60, none by adding 1.
func eightPrint(x uint64) bool {
	const high = 0x8080808080808080
	return x&high == 0 && (x+0x6060606060606060)&high == high && (x+0x0101010101010101)&high == 0
}

// eightDigits tells whether all eight bytes of x are ASCII digits: the high
// halves are 3, and stay 3 when 6 is added to the low halves.
func eightDigits(x uint64) bool {
	const high, three = 0xF0F0F0F0F0F0F0F0, 0x3030303030303030
	return x&high == three && (x+0x0606060606060606)&high == three
}

// packEight packs eight ASCII digits into eight half bytes.
func packEight(x uint64) uint32 {
	x &= 0x0F0F0F0F0F0F0F0F
	x = (x | x>>4) & 0x00FF00FF00FF00FF
	x = (x | x>>8) & 0x0000FFFF0000FFFF
	return uint32(x | x>>16)
}

// unpackEight is the way back.
func unpackEight(u uint32) uint64 {
	x := uint64(u)
	x = (x | x<<16) & 0x0000FFFF0000FFFF
	x = (x | x<<8) & 0x00FF00FF00FF00FF
	x = (x | x<<4) & 0x0F0F0F0F0F0F0F0F
	return x | 0x3030303030303030
}

// halvesAreDigits tells whether all eight half bytes are at most 9: none carries
// into the next when 6 is added to each.
func halvesAreDigits(u uint32) bool {
	x := uint64(u)
	return (x+0x66666666^x^0x66666666)&0x111111110 == 0
}
