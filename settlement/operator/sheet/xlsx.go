package sheet

import (
	"archive/zip"
	"bufio"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"
)

const (
	// MaxParts bounds the parts of a workbook: one with one sheet has a dozen.
	MaxParts = 128
	// MaxSmall bounds the parts that say what the workbook holds, unpacked.
	MaxSmall = 1 << 20
	// MaxSheet bounds the sheet unpacked, in bytes: the model district's register
	// has about 500 MB.
	MaxSheet = 1 << 30
	// MaxShared bounds the shared strings unpacked, which are kept in memory: the
	// model district's have about 100 MB of XML and 60 MB of text.
	MaxShared = 256 << 20
	// MaxRatio bounds how much longer a part may become when it is unpacked.
	// Sheets of our columns are below 20; what swells more is made to swell. Parts
	// below freeUnpacked may swell as they like.
	MaxRatio     = 40
	freeUnpacked = 1 << 20
	// MaxRowCells bounds the cells of a row; our tables have a dozen.
	MaxRowCells = 64
	// MaxToken bounds one piece of XML, which the decoder keeps whole: four times
	// the longest cell text a spreadsheet knows.
	MaxToken = 128 << 10
	// exactDigits is how many digits of a number a spreadsheet keeps.
	exactDigits = 15
)

// workbook reads the one sheet of a workbook as CSV.
type workbook struct {
	sheet  *tokens
	shared *texts
	out    []byte
	at     int // of out
	row    int // last row written
	width  int // cells of the header
	begun  bool
}

// bookError is an error of the file as a whole.
func bookError(format string, args ...any) error {
	return fmt.Errorf("workbook: "+format, args...)
}

func newWorkbook(r io.ReaderAt, size int64) (*workbook, error) {
	z, err := zip.NewReader(r, size)
	if err != nil {
		return nil, bookError("not a whole ZIP file; was it copied to its end? %w", err)
	}
	if len(z.File) > MaxParts {
		return nil, bookError("%d parts, at most %d: not a table", len(z.File), MaxParts)
	}
	parts := make(map[string]*zip.File, len(z.File))
	for _, f := range z.File {
		name := strings.ToLower(strings.ReplaceAll(f.Name, "\\", "/"))
		switch {
		case path.Clean("/"+name) != "/"+strings.TrimSuffix(name, "/"):
			return nil, bookError("a part's name leads out of the file")
		case parts[name] != nil:
			return nil, bookError("a part is there twice")
		case strings.HasSuffix(name, "vbaproject.bin"), strings.HasPrefix(name, "xl/externallinks/"):
			return nil, bookError("it has macros or links to other files; save the sheet as CSV UTF-8")
		}
		parts[name] = f
	}
	sheet, err := onlySheet(parts)
	if err != nil {
		return nil, err
	}
	b := &workbook{shared: &texts{}}
	if f := parts["xl/sharedstrings.xml"]; f != nil {
		if err := b.shared.load(f); err != nil {
			return nil, err
		}
	}
	in, err := unpack(sheet, MaxSheet)
	if err != nil {
		return nil, err
	}
	b.sheet = decoder(in)
	return b, nil
}

// onlySheet finds the part of the workbook's one sheet.
func onlySheet(parts map[string]*zip.File) (*zip.File, error) {
	var book struct {
		Sheets []struct {
			ID string `xml:"http://schemas.openxmlformats.org/officeDocument/2006/relationships id,attr"`
		} `xml:"sheets>sheet"`
	}
	if err := small(parts["xl/workbook.xml"], &book); err != nil {
		return nil, err
	}
	if len(book.Sheets) != 1 {
		return nil, bookError("%d sheets; keep the one with the table", len(book.Sheets))
	}
	var rels struct {
		Rel []struct {
			ID     string `xml:"Id,attr"`
			Target string `xml:"Target,attr"`
		} `xml:"Relationship"`
	}
	if err := small(parts["xl/_rels/workbook.xml.rels"], &rels); err != nil {
		return nil, err
	}
	for _, r := range rels.Rel {
		if r.ID != book.Sheets[0].ID {
			continue
		}
		target := strings.ToLower(path.Join("/xl", r.Target))
		if strings.HasPrefix(r.Target, "/") {
			target = strings.ToLower(path.Clean(r.Target))
		}
		if f := parts[strings.TrimPrefix(target, "/")]; f != nil {
			return f, nil
		}
	}
	return nil, bookError("its sheet is missing")
}

// small reads a part that describes the workbook.
func small(f *zip.File, into any) error {
	if f == nil {
		return bookError("not a workbook: a part is missing")
	}
	in, err := unpack(f, MaxSmall)
	if err != nil {
		return err
	}
	d := decoder(in)
	d.left = MaxSmall
	if err := d.xml.Decode(into); err != nil {
		return bookError("part %s: %w", path.Base(f.Name), err)
	}
	return nil
}

// unpack opens a part. What comes out is counted: what the file says of its own
// length is only a first check.
func unpack(f *zip.File, most uint64) (io.Reader, error) {
	if f.Flags&1 != 0 {
		return nil, bookError("it is encrypted; save it without a password")
	}
	if f.UncompressedSize64 > most {
		return nil, bookError("part %s would have %d bytes unpacked, at most %d", path.Base(f.Name), f.UncompressedSize64, most)
	}
	in, err := f.Open()
	if err != nil {
		return nil, bookError("part %s: %w", path.Base(f.Name), err)
	}
	return &counted{in: in, left: int64(min(most, max(freeUnpacked, MaxRatio*f.CompressedSize64)))}, nil
}

// counted ends with an error when more comes than may.
type counted struct {
	in   io.Reader
	left int64
}

var errSwells = errors.New("unpacks to far more than a table does")

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.in.Read(b)
	if c.left -= int64(n); c.left < 0 {
		return 0, errSwells
	}
	return n, err
}

// tokens reads XML piece by piece, each within MaxToken bytes.
type tokens struct {
	in   *bufio.Reader
	left int
	xml  *xml.Decoder
}

func decoder(r io.Reader) *tokens {
	t := &tokens{in: bufio.NewReaderSize(r, bufSize), left: MaxToken}
	t.xml = xml.NewDecoder(t)
	t.xml.CharsetReader = func(string, io.Reader) (io.Reader, error) { return nil, errors.New("its XML is not UTF-8") }
	return t
}

var errToken = fmt.Errorf("a piece of XML longer than %d bytes", MaxToken)

// ReadByte is what the decoder takes.
func (t *tokens) ReadByte() (byte, error) {
	if t.left--; t.left < 0 {
		return 0, errToken
	}
	return t.in.ReadByte()
}

// Read is there because a decoder asks for a Reader; it uses ReadByte.
func (t *tokens) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	c, err := t.ReadByte()
	if err != nil {
		return 0, err
	}
	b[0] = c
	return 1, nil
}

// next is the next piece, names as they stand. Document types, which can define
// text that swells, are refused.
func (t *tokens) next() (xml.Token, error) {
	t.left = MaxToken
	tok, err := t.xml.RawToken()
	if _, bad := tok.(xml.Directive); bad {
		return nil, errors.New("its XML defines a document type")
	}
	return tok, err
}

// texts are the shared strings: their bytes side by side.
type texts struct {
	all []byte
	end []uint32
}

func (t *texts) load(f *zip.File) error {
	in, err := unpack(f, MaxShared)
	if err != nil {
		return err
	}
	d := decoder(in)
	text, phonetic := false, 0
	for {
		tok, err := d.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return bookError("shared strings: %w", err)
		}
		switch e := tok.(type) {
		case xml.StartElement:
			text = e.Name.Local == "t" && phonetic == 0
			if e.Name.Local == "rPh" {
				phonetic++
			}
		case xml.CharData:
			if text {
				t.all = append(t.all, e...)
			}
		case xml.EndElement:
			text = false
			switch e.Name.Local {
			case "si":
				t.end = append(t.end, uint32(len(t.all)))
			case "rPh":
				phonetic--
			}
		}
	}
}

func (t *texts) at(i int) (string, bool) {
	if i < 0 || i >= len(t.end) {
		return "", false
	}
	begin := uint32(0)
	if i > 0 {
		begin = t.end[i-1]
	}
	return string(t.all[begin:t.end[i]]), true
}

// Read gives the sheet as CSV.
func (b *workbook) Read(dst []byte) (int, error) {
	for b.at == len(b.out) {
		b.out, b.at = b.out[:0], 0
		if err := b.nextRow(); err != nil {
			return 0, err
		}
	}
	n := copy(dst, b.out[b.at:])
	b.at += n
	return n, nil
}

// nextRow reads up to the end of the next row and writes it, unless it is empty.
func (b *workbook) nextRow() error {
	for {
		tok, err := b.sheet.next()
		if err != nil {
			if errors.Is(err, io.EOF) && b.begun {
				return io.EOF
			}
			return bookError("behind line %d: %w", b.row, noEOF(err))
		}
		e, ok := tok.(xml.StartElement)
		if !ok {
			continue
		}
		b.begun = b.begun || e.Name.Local == "sheetData"
		if e.Name.Local == "row" {
			return b.writeRow(e)
		}
	}
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// writeRow writes one row. Rows without any text are nothing; one between
// others is an empty line and refused.
func (b *workbook) writeRow(e xml.StartElement) error {
	line := b.row + 1
	if r := attr(e, "r"); r != "" {
		n, err := strconv.Atoi(r)
		if err != nil || n < line {
			return bookError("behind line %d: rows are not in order", b.row)
		}
		line = n
	}
	var cells []string
	for {
		tok, err := b.sheet.next()
		if err != nil {
			return bookError("line %d: %w", line, noEOF(err))
		}
		if e, ok := tok.(xml.EndElement); ok && e.Name.Local == "row" {
			break
		}
		if e, ok := tok.(xml.StartElement); ok && e.Name.Local == "c" {
			if cells, err = b.cell(e, line, cells); err != nil {
				return err
			}
		}
	}
	if strings.Join(cells, "") == "" {
		return nil
	}
	if line != b.row+1 {
		return &LineError{Line: b.row + 1, Why: "empty"}
	}
	b.row = line
	if line == 1 {
		b.width = len(cells)
	}
	for len(cells) < b.width { // empty cells at the end are left out
		cells = append(cells, "")
	}
	for i, c := range cells {
		if i > 0 {
			b.out = append(b.out, ',')
		}
		b.out = appendCell(b.out, c)
	}
	b.out = append(b.out, '\n')
	return nil
}

// cell reads one cell and puts it into its place.
func (b *workbook) cell(e xml.StartElement, line int, cells []string) ([]string, error) {
	place, kind := len(cells), attr(e, "t")
	if ref := attr(e, "r"); ref != "" {
		place = columnOf(ref)
	}
	refuse := func(why string) ([]string, error) {
		return nil, &LineError{Line: line, Column: "column " + columnName(place), Why: why}
	}
	if place < len(cells) || place >= MaxRowCells {
		return nil, &LineError{Line: line, Why: fmt.Sprintf("cells are not in order, or more than %d", MaxRowCells)}
	}
	value, formula, err := b.value()
	switch {
	case err != nil:
		return nil, bookError("line %d: %w", line, noEOF(err))
	case formula:
		return refuse("a formula; put its value there")
	}
	switch kind {
	case "s":
		i, err := strconv.Atoi(value)
		text, ok := b.shared.at(i)
		if err != nil || !ok {
			return refuse("its text is missing in the workbook")
		}
		value = text
	case "inlineStr":
	case "", "n":
		if value != "" && !exactNumber(value) {
			return refuse("a number that a spreadsheet rounds or writes its own way; make the column text and enter it again")
		}
	default:
		return refuse("neither text nor a whole number")
	}
	if strings.ContainsFunc(value, func(r rune) bool { return r < 0x20 || r == 0x7f }) {
		return refuse("holds a line break or another control character")
	}
	for len(cells) < place {
		cells = append(cells, "")
	}
	return append(cells, value), nil
}

// value reads to the end of a cell: the text of v or of inline strings, and
// whether there is a formula.
func (b *workbook) value() (text string, formula bool, err error) {
	in, phonetic := false, 0
	for {
		tok, err := b.sheet.next()
		if err != nil {
			return "", false, err
		}
		switch e := tok.(type) {
		case xml.StartElement:
			in = (e.Name.Local == "v" || e.Name.Local == "t") && phonetic == 0
			formula = formula || e.Name.Local == "f"
			if e.Name.Local == "rPh" {
				phonetic++
			}
		case xml.CharData:
			if !in {
				continue
			}
			if len(text)+len(e) > MaxLine {
				return "", false, fmt.Errorf("longer than %d bytes", MaxLine)
			}
			text += string(e)
		case xml.EndElement:
			in = false
			switch e.Name.Local {
			case "rPh":
				phonetic--
			case "c":
				return text, formula, nil
			}
		}
	}
}

// exactNumber tells whether a number cell says exactly what was typed: digits
// only, no more than are kept.
func exactNumber(v string) bool {
	if len(v) > exactDigits || strings.Trim(v, "0123456789") != "" {
		return false
	}
	return v == "0" || v[0] != '0'
}

func attr(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name && a.Name.Space == "" {
			return a.Value
		}
	}
	return ""
}

// columnOf is the place of a cell such as B7, counted from 0; MaxRowCells for
// what is none or lies beyond.
func columnOf(ref string) int {
	n := 0
	for i := 0; i < len(ref) && ref[i] >= 'A' && ref[i] <= 'Z' && n <= MaxRowCells; i++ {
		n = n*26 + int(ref[i]-'A') + 1
	}
	if n < 1 || n > MaxRowCells {
		return MaxRowCells
	}
	return n - 1
}

// columnName is the letter of a column as a spreadsheet shows it.
func columnName(i int) string {
	if i < 26 {
		return string(rune('A' + i))
	}
	return string(rune('A'+i/26-1)) + string(rune('A'+i%26))
}
