package paper

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"slices"
	"unicode/utf16"
)

// A4 in tenths of a millimetre.
const (
	Width  = 2100
	Height = 2970
)

// MaxPages bounds one file: more is printed from more files, and a number of a
// thing in the file stays below what every reader takes.
const MaxPages = 100_000

// ErrPages is returned for a page beyond MaxPages.
var ErrPages = fmt.Errorf("paper: more than %d pages in one file", MaxPages)

// Numbers of the things that every file has.
const (
	objCatalog = iota + 1
	objPages
	objFont
	objCIDFont
	objDescriptor
	objFontFile
	objUnicode
	objInfo
	firstFree
)

// Doc is a file under way.
type Doc struct {
	w       io.Writer
	font    *Font
	title   string
	at      int64
	places  []int64 // of each thing, by number
	pages   []int
	used    map[int]int // glyph to its number in the file
	order   []int       // glyphs by that number
	runes   []rune      // characters by that number
	missing []rune
	err     error
	buf     bytes.Buffer
	zip     *zlib.Writer
}

// New begins a file.
func New(w io.Writer, f *Font, title string) *Doc {
	d := &Doc{w: w, font: f, title: title, places: make([]int64, firstFree), used: map[int]int{0: 0}, order: []int{0}, runes: []rune{0}}
	d.zip = zlib.NewWriter(&d.buf)
	d.write([]byte("%PDF-1.7\n%\xE2\xE3\xCF\xD3\n"))
	return d
}

func (d *Doc) write(b []byte) {
	if d.err != nil {
		return
	}
	n, err := d.w.Write(b)
	d.at += int64(n)
	if err != nil {
		d.err = fmt.Errorf("paper: %w", err)
	}
}

// object writes a thing; body is what stands between obj and endobj.
func (d *Doc) object(no int, body string) {
	d.places[no] = d.at
	d.write(fmt.Appendf(nil, "%d 0 obj\n%s\nendobj\n", no, body))
}

// stream writes a compressed run of bytes with further entries of its dictionary.
func (d *Doc) stream(no int, entries string, body []byte) {
	d.buf.Reset()
	d.zip.Reset(&d.buf)
	_, _ = d.zip.Write(body) // a buffer takes everything
	_ = d.zip.Close()
	d.places[no] = d.at
	d.write(fmt.Appendf(nil, "%d 0 obj\n<<%s /Filter /FlateDecode /Length %d>>\nstream\n", no, entries, d.buf.Len()))
	d.write(d.buf.Bytes())
	d.write([]byte("\nendstream\nendobj\n"))
}

// take gives the next free number.
func (d *Doc) take() int {
	d.places = append(d.places, 0)
	return len(d.places) - 1
}

// Page begins a page; it is in the file when Add is called.
func (d *Doc) Page() *Page {
	// One unit is a tenth of a millimetre.
	return &Page{doc: d, body: []byte("0.2834646 0 0 0.2834646 0 0 cm\n")}
}

// Add writes a page.
func (d *Doc) Add(p *Page) error {
	if len(d.pages) == MaxPages {
		return ErrPages
	}
	content, page := d.take(), d.take()
	d.stream(content, "", p.body)
	d.object(page, fmt.Sprintf("<</Type /Page /Parent %d 0 R /Contents %d 0 R>>", objPages, content))
	d.pages = append(d.pages, page)
	return d.err
}

// Pages is how many pages are in the file.
func (d *Doc) Pages() int { return len(d.pages) }

// Missing are the characters that the font does not have, each once: an empty
// box stands for them.
func (d *Doc) Missing() []rune { return slices.Clone(d.missing) }

// Close ends the file. It does not close the writer.
func (d *Doc) Close() error {
	if len(d.pages) == 0 && d.err == nil {
		return errors.New("paper: a file without pages")
	}
	d.tree()
	name := "AAAAAA+" + d.font.name
	font, err := d.font.cff.subset(name, d.order)
	if err != nil {
		return err
	}
	d.fontObjects(name, font)
	d.object(objCatalog, fmt.Sprintf("<</Type /Catalog /Pages %d 0 R /Lang (zh-CN) /ViewerPreferences <</DisplayDocTitle true>>>>", objPages))
	d.object(objInfo, fmt.Sprintf("<</Title <%s>>>", hex16(0xFEFF, d.title)))
	start := d.at
	var b bytes.Buffer
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(d.places))
	for _, at := range d.places[1:] {
		fmt.Fprintf(&b, "%010d 00000 n \n", at)
	}
	fmt.Fprintf(&b, "trailer\n<</Size %d /Root %d 0 R /Info %d 0 R>>\nstartxref\n%d\n%%%%EOF\n", len(d.places), objCatalog, objInfo, start)
	d.write(b.Bytes())
	return d.err
}

// branch is how many pages hang on one node: readers find a page of thousands
// without reading a list of thousands.
const branch = 64

// tree writes the pages' tree. What all pages have in common stands at its root.
func (d *Doc) tree() {
	kids := d.pages
	if len(kids) > branch {
		kids = nil
		for part := range slices.Chunk(d.pages, branch) {
			no := d.take()
			kids = append(kids, no)
			d.object(no, fmt.Sprintf("<</Type /Pages /Parent %d 0 R /Count %d /Kids [%s]>>", objPages, len(part), refs(part)))
		}
	}
	d.object(objPages, fmt.Sprintf("<</Type /Pages /Count %d /Kids [%s] /MediaBox [0 0 595.2756 841.8898] /Resources <</Font <</F %d 0 R>>>>>>",
		len(d.pages), refs(kids), objFont))
}

func refs(list []int) string {
	var b bytes.Buffer
	for _, no := range list {
		fmt.Fprintf(&b, "%d 0 R ", no)
	}
	return b.String()
}

// fontObjects writes the font in the parts that PDF wants.
func (d *Doc) fontObjects(name string, file []byte) {
	f := d.font
	var widths bytes.Buffer
	for i, g := range d.order {
		if w := f.advance(g); w != 1000 {
			fmt.Fprintf(&widths, "%d [%d] ", i, w)
		}
	}
	d.object(objFont, fmt.Sprintf("<</Type /Font /Subtype /Type0 /BaseFont /%s /Encoding /Identity-H /DescendantFonts [%d 0 R] /ToUnicode %d 0 R>>",
		name, objCIDFont, objUnicode))
	d.object(objCIDFont, fmt.Sprintf("<</Type /Font /Subtype /CIDFontType0 /BaseFont /%s /CIDSystemInfo <</Registry (Adobe) /Ordering (Identity) /Supplement 0>> "+
		"/FontDescriptor %d 0 R /DW 1000 /W [%s]>>", name, objDescriptor, widths.String()))
	d.object(objDescriptor, fmt.Sprintf("<</Type /FontDescriptor /FontName /%s /Flags 4 /FontBBox [%d %d %d %d] /ItalicAngle 0 /Ascent %d /Descent %d "+
		"/CapHeight %d /StemV 80 /FontFile3 %d 0 R>>", name, f.llx, f.lly, f.urx, f.up, f.ascent, f.descent, f.capital, objFontFile))
	d.stream(objFontFile, "/Subtype /CIDFontType0C", file)
	d.stream(objUnicode, "", d.unicode())
}

// mapRun is how many lines one block of a character map may have.
const mapRun = 100

// unicode says which character each glyph is, so that text can be read back.
func (d *Doc) unicode() []byte {
	var b bytes.Buffer
	b.WriteString("/CIDInit /ProcSet findresource begin\n12 dict begin\nbegincmap\n" +
		"/CIDSystemInfo <</Registry (Adobe) /Ordering (UCS) /Supplement 0>> def\n/CMapName /Adobe-Identity-UCS def\n/CMapType 2 def\n" +
		"1 begincodespacerange\n<0000> <FFFF>\nendcodespacerange\n")
	for from := 1; from < len(d.runes); from += mapRun {
		part := d.runes[from:min(from+mapRun, len(d.runes))]
		fmt.Fprintf(&b, "%d beginbfchar\n", len(part))
		for i, r := range part {
			fmt.Fprintf(&b, "<%04X> <%s>\n", from+i, hex16(0, string(r)))
		}
		b.WriteString("endbfchar\n")
	}
	b.WriteString("endcmap\nCMapName currentdict /CMap defineresource pop\nend\nend\n")
	return b.Bytes()
}

// hex16 writes text in UTF-16 as hexadecimal digits, after a mark if it is not 0.
func hex16(mark uint16, s string) string {
	units := utf16.Encode([]rune(s))
	if mark != 0 {
		units = append([]uint16{mark}, units...)
	}
	var b bytes.Buffer
	for _, u := range units {
		fmt.Fprintf(&b, "%04X", u)
	}
	return b.String()
}

// number gives the number of a character's glyph in the file.
func (d *Doc) number(r rune) int {
	g := d.font.glyph(r)
	if g == 0 {
		if !slices.Contains(d.missing, r) {
			d.missing = append(d.missing, r)
		}
		return 0
	}
	no, ok := d.used[g]
	if !ok {
		no = len(d.order)
		d.used[g] = no
		d.order, d.runes = append(d.order, g), append(d.runes, r)
	}
	return no
}
