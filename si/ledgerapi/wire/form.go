package wire

import "encoding/binary"

// Form is a value's list of fields, walked in one of two directions: by Append
// it writes each field behind the last, by Take it reads each one back. A type
// states its fields once and has one encoding by construction.
type Form struct {
	dst     []byte
	r       Reader
	reading bool
}

// Append appends what fields lists.
func Append(dst []byte, fields func(*Form)) []byte {
	f := Form{dst: dst}
	fields(&f)
	return f.dst
}

// Take fills what fields lists from exactly the bytes of b, or gives ErrForm.
// Byte strings point into b.
func Take(b []byte, fields func(*Form)) error {
	f := Form{r: NewReader(b), reading: true}
	fields(&f)
	return f.r.End()
}

// Read fills what fields lists from the front of what r has left.
func Read(r *Reader, fields func(*Form)) {
	f := Form{r: *r, reading: true}
	fields(&f)
	*r = f.r
}

// Reading tells the direction.
func (f *Form) Reading() bool { return f.reading }

// Fail makes a value that is being read bad: a field is outside its range.
func (f *Form) Fail() {
	if f.reading {
		f.r.Fail()
	}
}

// U8 is a field of one byte.
func U8[T ~uint8](f *Form, v *T) {
	if f.reading {
		*v = T(f.r.U8())
		return
	}
	f.dst = append(f.dst, byte(*v))
}

// U16 is a field of two bytes.
func U16[T ~uint16](f *Form, v *T) {
	if f.reading {
		*v = T(f.r.U16())
		return
	}
	f.dst = binary.LittleEndian.AppendUint16(f.dst, uint16(*v))
}

// U32 is a field of four bytes.
func U32[T ~uint32](f *Form, v *T) {
	if f.reading {
		*v = T(f.r.U32())
		return
	}
	f.dst = binary.LittleEndian.AppendUint32(f.dst, uint32(*v))
}

// U64 is a field of eight bytes, signed or not.
func U64[T ~uint64 | ~int64](f *Form, v *T) {
	if f.reading {
		*v = T(f.r.U64())
		return
	}
	f.dst = binary.LittleEndian.AppendUint64(f.dst, uint64(*v))
}

// Bool is a field of one byte, 0 or 1.
func (f *Form) Bool(v *bool) {
	if f.reading {
		*v = f.r.Bool()
		return
	}
	f.dst = AppendBool(f.dst, *v)
}

// Fixed is a field of as many bytes as b has.
func (f *Form) Fixed(b []byte) {
	if f.reading {
		f.r.Fill(b)
		return
	}
	f.dst = append(f.dst, b...)
}

// Text is a length of two bytes, at most most, and as many bytes.
func (f *Form) Text(s *string, most int) {
	if f.reading {
		*s = string(f.r.String16(most))
		return
	}
	f.dst = AppendString16(f.dst, *s)
}

// Blob is a length of four bytes, at most most, and as many bytes.
func (f *Form) Blob(b *[]byte, most int) {
	if f.reading {
		*b = f.r.String32(most)
		return
	}
	f.dst = AppendString32(f.dst, *b)
}

// List is a count of four bytes, at most most, and as many items. Items that
// are read take the list's old memory.
func List[T any](f *Form, list *[]T, most int, item func(*Form, *T)) {
	if !f.reading {
		f.dst = binary.LittleEndian.AppendUint32(f.dst, uint32(len(*list)))
		for i := range *list {
			item(f, &(*list)[i])
		}
		return
	}
	n := f.r.Count(most)
	*list = (*list)[:0]
	for range n {
		var v T
		item(f, &v)
		*list = append(*list, v)
	}
}
