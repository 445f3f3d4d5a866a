package paper

// table reads big-endian numbers of a font; what lies outside is zero, and the
// caller checks what it needs with cut.
type table []byte

func (t table) u8(o int) int {
	if o < 0 || o >= len(t) {
		return 0
	}
	return int(t[o])
}

func (t table) u16(o int) int { return t.u8(o)<<8 | t.u8(o+1) }
func (t table) u32(o int) int { return t.u16(o)<<16 | t.u16(o+2) }

// cut gives n bytes from o on, and false if they are not all there.
func (t table) cut(o, n int) (table, bool) {
	if o < 0 || n < 0 || o > len(t) || n > len(t)-o {
		return nil, false
	}
	return t[o : o+n : o+n], true
}
