// Package wire reads and writes the ledger's canonical little-endian bytes:
// numbers of fixed width, byte strings behind their length, nothing else. A
// value has one encoding, so a reader that ends exactly at the last byte has
// seen the only bytes that could have said it.
//
// Writing is encoding/binary's LittleEndian.Append… with the few helpers here.
package wire

import (
	"encoding/binary"
	"errors"
)

// ErrForm is returned for bytes that are cut short, too long, or outside the
// bounds of a field.
var ErrForm = errors.New("wire: bytes do not have the form")

// Reader takes values off the front of a byte slice. The first value that does
// not fit makes the reader bad; everything read from then on is zero, so a
// caller checks once, with End or Err.
type Reader struct {
	b   []byte
	bad bool
}

// NewReader reads from b, which it neither copies nor changes.
func NewReader(b []byte) Reader { return Reader{b: b} }

// Len is how many bytes are left.
func (r *Reader) Len() int { return len(r.b) }

// Fail makes the reader bad: the caller found a value outside its range.
func (r *Reader) Fail() { r.bad, r.b = true, nil }

// Err is ErrForm if any value did not fit.
func (r *Reader) Err() error {
	if r.bad {
		return ErrForm
	}
	return nil
}

// End is ErrForm if any value did not fit or bytes are left over.
func (r *Reader) End() error {
	if r.bad || len(r.b) != 0 {
		return ErrForm
	}
	return nil
}

// Bytes takes n bytes. The slice points into what NewReader was given.
func (r *Reader) Bytes(n int) []byte {
	if r.bad || n < 0 || n > len(r.b) {
		r.Fail()
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

// Fill copies len(dst) bytes.
func (r *Reader) Fill(dst []byte) { copy(dst, r.Bytes(len(dst))) }

// U8 takes one byte.
func (r *Reader) U8() uint8 {
	if v := r.Bytes(1); v != nil {
		return v[0]
	}
	return 0
}

// U16 takes two bytes.
func (r *Reader) U16() uint16 {
	if v := r.Bytes(2); v != nil {
		return binary.LittleEndian.Uint16(v)
	}
	return 0
}

// U32 takes four bytes.
func (r *Reader) U32() uint32 {
	if v := r.Bytes(4); v != nil {
		return binary.LittleEndian.Uint32(v)
	}
	return 0
}

// U64 takes eight bytes.
func (r *Reader) U64() uint64 {
	if v := r.Bytes(8); v != nil {
		return binary.LittleEndian.Uint64(v)
	}
	return 0
}

// Bool takes one byte that must be 0 or 1.
func (r *Reader) Bool() bool {
	v := r.U8()
	if v > 1 {
		r.Fail()
	}
	return v == 1
}

// String16 takes a length of two bytes, at most most, and as many bytes.
func (r *Reader) String16(most int) []byte {
	n := int(r.U16())
	if n > most {
		r.Fail()
		return nil
	}
	return r.Bytes(n)
}

// String32 takes a length of four bytes, at most most, and as many bytes.
func (r *Reader) String32(most int) []byte {
	n := r.U32()
	if uint64(n) > uint64(most) {
		r.Fail()
		return nil
	}
	return r.Bytes(int(n))
}

// Count takes a length of four bytes, at most most.
func (r *Reader) Count(most int) int {
	n := r.U32()
	if uint64(n) > uint64(most) {
		r.Fail()
		return 0
	}
	return int(n)
}

// longest16 is the longest byte string that a two-byte length can announce.
const longest16 = 1<<16 - 1

// AppendString16 appends a length of two bytes and the string. A string that is
// longer than two bytes can say is cut; every reader's bound is far below.
func AppendString16(dst []byte, s string) []byte {
	if len(s) > longest16 {
		s = s[:longest16]
	}
	return append(binary.LittleEndian.AppendUint16(dst, uint16(len(s))), s...)
}

// AppendString32 appends a length of four bytes and the bytes.
func AppendString32(dst, b []byte) []byte {
	return append(binary.LittleEndian.AppendUint32(dst, uint32(len(b))), b...)
}

// AppendBool appends 0 or 1.
func AppendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}
