package paper

import (
	"errors"
	"fmt"
	"sort"
	"unicode/utf16"
)

// ErrFont is wrapped by every error about a font file.
var ErrFont = errors.New("paper: font")

// maxFaces bounds the faces of one collection; Noto Sans CJK has ten.
const maxFaces = 64

// Font is one face of an OpenType file, read only as far as pages need it.
type Font struct {
	name              string // PostScript name
	cmap              table  // groups of 12 bytes: first, last, glyph of the first
	hmtx              table
	widths            int // glyphs with a width of their own
	glyphs            int
	ascent, descent   int
	capital           int // height of capital letters
	llx, lly, urx, up int
	cff               *cff
}

// OpenFont reads the face of that family, such as "Noto Sans CJK SC", out of a
// font file or collection. The file's bytes must not change afterwards.
func OpenFont(file []byte, family string) (*Font, error) {
	t := table(file)
	starts := []int{0}
	if tag(t, 0) == "ttcf" {
		n := t.u32(8)
		if n < 1 || n > maxFaces {
			return nil, fmt.Errorf("%w: a collection of %d faces, 1 to %d are read", ErrFont, n, maxFaces)
		}
		starts = starts[:0]
		for i := range n {
			starts = append(starts, t.u32(12+4*i))
		}
	}
	for _, at := range starts {
		tables := directory(t, at)
		if nameOf(tables["name"], 1) == family {
			return openFace(tables)
		}
	}
	return nil, fmt.Errorf("%w: the file has no face of the family %q", ErrFont, family)
}

func tag(t table, o int) string {
	b, ok := t.cut(o, 4)
	if !ok {
		return ""
	}
	return string(b)
}

// directory finds the tables of a face. Those that reach beyond the file are
// left out.
func directory(t table, at int) map[string]table {
	out := map[string]table{}
	for i := range min(t.u16(at+4), 256) {
		e := at + 12 + 16*i
		if body, ok := t.cut(t.u32(e+8), t.u32(e+12)); ok {
			out[tag(t, e)] = body
		}
	}
	return out
}

// nameOf gives a name of the face in UTF-16 of the Windows platform.
func nameOf(t table, id int) string {
	store := t.u16(4)
	for i := range t.u16(2) {
		e := 6 + 12*i
		if t.u16(e) != 3 || t.u16(e+2) != 1 || t.u16(e+4) != 0x409 || t.u16(e+6) != id {
			continue
		}
		b, ok := t.cut(store+t.u16(e+10), t.u16(e+8))
		if !ok {
			return ""
		}
		units := make([]uint16, len(b)/2)
		for k := range units {
			units[k] = uint16(b.u16(2 * k)) // #nosec G115 -- of two bytes
		}
		return string(utf16.Decode(units))
	}
	return ""
}

func openFace(tables map[string]table) (*Font, error) {
	for _, need := range []string{"head", "hhea", "hmtx", "maxp", "OS/2", "cmap", "CFF "} {
		if len(tables[need]) == 0 {
			return nil, fmt.Errorf("%w: no table %q; an OpenType font with CFF outlines is needed", ErrFont, need)
		}
	}
	head, hhea, os2 := tables["head"], tables["hhea"], tables["OS/2"]
	if em := head.u16(18); em != 1000 {
		return nil, fmt.Errorf("%w: %d units an em, 1000 are needed", ErrFont, em)
	}
	f := &Font{
		name: nameOf(tables["name"], 6), hmtx: tables["hmtx"], widths: hhea.u16(34), glyphs: tables["maxp"].u16(4),
		ascent: signed(hhea.u16(4)), descent: signed(hhea.u16(6)), capital: signed(os2.u16(88)),
		llx: signed(head.u16(36)), lly: signed(head.u16(38)), urx: signed(head.u16(40)), up: signed(head.u16(42)),
	}
	if f.widths < 1 || f.widths > f.glyphs || len(f.hmtx) < 4*f.widths {
		return nil, fmt.Errorf("%w: widths of %d of %d glyphs", ErrFont, f.widths, f.glyphs)
	}
	if !plainName(f.name) {
		return nil, fmt.Errorf("%w: PostScript name %q", ErrFont, f.name)
	}
	var err error
	if f.cmap, err = groups(tables["cmap"]); err != nil {
		return nil, err
	}
	if f.cff, err = openCFF(tables["CFF "]); err != nil {
		return nil, err
	}
	if n := f.cff.chars.len(); n < f.glyphs {
		return nil, fmt.Errorf("%w: outlines of %d of %d glyphs", ErrFont, n, f.glyphs)
	}
	return f, nil
}

func signed(u int) int { return int(int16(uint16(u))) } // #nosec G115 -- of two bytes

// plainName tells whether a name can stand in a PDF file as it is.
func plainName(s string) bool {
	for _, c := range s {
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '-' {
			return false
		}
	}
	return s != "" && len(s) <= 63
}

// groups finds the character map that reaches beyond U+FFFF.
func groups(t table) (table, error) {
	for i := range t.u16(2) {
		e := 4 + 8*i
		if t.u16(e) != 3 || t.u16(e+2) != 10 {
			continue
		}
		at := t.u32(e + 4)
		n := t.u32(at + 12)
		if t.u16(at) != 12 || n > len(t)/12 {
			break
		}
		if g, ok := t.cut(at+16, 12*n); ok {
			return g, nil
		}
	}
	return nil, fmt.Errorf("%w: no character map for all of Unicode (format 12)", ErrFont)
}

// glyph finds the glyph of a character; 0 is the empty box.
func (f *Font) glyph(r rune) int {
	n := len(f.cmap) / 12
	i := sort.Search(n, func(i int) bool { return f.cmap.u32(12*i+4) >= int(r) })
	if i == n || f.cmap.u32(12*i) > int(r) {
		return 0
	}
	g := f.cmap.u32(12*i+8) + int(r) - f.cmap.u32(12*i)
	if g >= f.glyphs {
		return 0
	}
	return g
}

// advance is a glyph's width in thousandths of the size.
func (f *Font) advance(g int) int { return f.hmtx.u16(4 * min(g, f.widths-1)) }

// Has tells whether the font has a character.
func (f *Font) Has(r rune) bool { return f.glyph(r) != 0 }

// Width is how long s is in tenths of a millimetre at a size.
func (f *Font) Width(s string, size int) int {
	sum := 0
	for _, r := range s {
		sum += f.advance(f.glyph(r))
	}
	return (sum*size + 999) / 1000
}
