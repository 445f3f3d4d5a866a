package wire

import (
	"bytes"
	"strings"
	"testing"
)

func TestReader(t *testing.T) {
	r := NewReader([]byte{1, 2, 3})
	if r.U8() != 1 || r.Len() != 2 || r.U32() != 0 || r.Err() == nil || r.U8() != 0 || r.End() == nil {
		t.Error("a reader that ran out gives values")
	}
	r = NewReader([]byte{2})
	if r.Bool() || r.Err() == nil {
		t.Error("2 is taken as a boolean")
	}
	r = NewReader([]byte{0xff, 0xff, 0xff, 0xff})
	if r.String32(1<<20) != nil || r.Err() == nil {
		t.Error("a length of 4 GiB is taken")
	}
	r = NewReader(nil)
	if r.Bytes(-1) != nil || r.Err() == nil {
		t.Error("a negative length is taken")
	}
}

func TestStrings(t *testing.T) {
	b := AppendString16(AppendString32(AppendBool(AppendBool(nil, true), false), []byte("abc")), "de")
	if want := []byte("\x01\x00\x03\x00\x00\x00abc\x02\x00de"); !bytes.Equal(b, want) {
		t.Errorf("appended %q, want %q", b, want)
	}
	r := NewReader(b)
	if !r.Bool() || r.Bool() || string(r.String32(3)) != "abc" || string(r.String16(2)) != "de" || r.End() != nil {
		t.Error("what was appended is not read back")
	}
	r = NewReader(b[2:])
	if r.String32(2) != nil || r.Err() == nil {
		t.Error("a string one past its bound is taken")
	}
	if n := len(AppendString16(nil, strings.Repeat("x", 1<<16))); n != 2+longest16 {
		t.Errorf("a string of 65,536 bytes takes %d, want it cut to %d", n, 2+longest16)
	}
	r = NewReader([]byte{5, 0, 0, 0})
	if r.Count(5) != 5 || r.Err() != nil {
		t.Error("a count at its bound is refused")
	}
	r = NewReader([]byte{6, 0, 0, 0})
	if r.Count(5) != 0 || r.Err() == nil {
		t.Error("a count one past its bound is taken")
	}
}
