package bankfile

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/text/encoding/simplifiedchinese"
)

// Charset is the character set of a file.
type Charset uint8

// The character sets. In a GB 18030 or GBK file the separator's byte may be the
// second byte of a character; it is not a separator there.
const (
	GB18030 Charset = iota + 1 // one, two or four bytes a character
	GBK                        // one or two: a character of four is refused
	UTF8                       // without a byte order mark, as all of them
)

// Digest is the hash in the trailer.
type Digest uint8

// The digests. MD5 is for banks that give nothing else; it finds accidents, not
// forgers.
const (
	SHA256 Digest = iota + 1
	MD5
)

// Settings are the choices a bank's profile makes. The zero value of each is the
// layout SHEBAO-RECON-1 as it stands in the specification.
type Settings struct {
	Title     string  // first field of a header, at most 14 characters; SHEBAO-RECON-1, or SHEBAO-FIXED-1 for Fixed
	Charset   Charset // GB18030
	CRLF      bool    // lines end in CR LF
	Separator string  // "|", or "|!"
	Decimals  bool    // amounts are yuan with two decimals, not whole fen
	Digest    Digest  // SHA256
	DebitView bool    // P and B are debits (D), R and F credits: the payer's account, not the agency's
	Fixed     *Fixed  // fixed width; files of details only
}

// Fixed are the tables of a fixed-width file. Every byte of a record belongs to
// one column; the columns stand in order without a gap.
type Fixed struct {
	Record int // bytes of a record, without the line end
	Head   []Cell
	Detail []Cell
	Tail   []Cell
}

// CellType is what the characters of a cell are.
type CellType uint8

// The types.
const (
	N    CellType = iota + 1 // digits; spaces alone: empty
	AN                       // characters
	DATE                     // YYYYMMDD; spaces alone: empty
)

// Cell is one column of a fixed-width record.
type Cell struct {
	Name   string // of the field as the specification names it; "record" is H or T, "filler" is padding alone
	Start  int    // its first byte, from 1
	Length int    // in bytes of the file's character set
	Type   CellType
	Pad    byte // '0' or ' '
	Right  bool // the value stands at the right, the padding before it
}

// ErrLayout is returned for settings that fit no file.
var ErrLayout = errors.New("bankfile: layout")

// titleLen is the longest title, in characters.
const titleLen = 14

// Layout is checked settings. It is never changed after NewLayout and may be
// used by several readers at once.
type Layout struct {
	Settings
	digest           int // characters of the digest in a trailer
	head, tail       *form
	detail           *form
	separator, crlf  int // bytes
	fixedRecordBytes int
}

// form is the columns of one kind of line in one layout. cells is nil where
// separators part the fields; else cell i holds column at[i], or -1.
type form struct {
	mark  byte // first field of a separated line
	cols  []column
	cells []Cell
	at    []int
}

// NewLayout checks settings. Errors are ErrLayout with the setting at fault.
func NewLayout(s Settings) (*Layout, error) {
	bad := func(format string, args ...any) (*Layout, error) {
		return nil, fmt.Errorf("%w: %s", ErrLayout, fmt.Sprintf(format, args...))
	}
	if s.Charset == 0 {
		s.Charset = GB18030
	}
	if s.Separator == "" {
		s.Separator = "|"
	}
	if s.Digest == 0 {
		s.Digest = SHA256
	}
	if s.Title == "" {
		s.Title = "SHEBAO-RECON-1"
		if s.Fixed != nil {
			s.Title = "SHEBAO-FIXED-1"
		}
	}
	switch {
	case s.Charset > UTF8:
		return bad("character set %d is unknown", s.Charset)
	case s.Digest > MD5:
		return bad("digest %d is unknown", s.Digest)
	case s.Separator != "|" && s.Separator != "|!":
		return bad("separator %q is neither | nor |!", s.Separator)
	case classes[printable]([]byte(s.Title), nil) != "" || len(s.Title) > titleLen:
		return bad("title %q has other than 1 to %d printable characters", s.Title, titleLen)
	case s.Fixed != nil && s.Decimals:
		return bad("fixed width has amounts in whole fen; drop the decimals")
	}
	l := &Layout{Settings: s, digest: 64, separator: len(s.Separator)}
	if s.Digest == MD5 {
		l.digest = 32
	}
	if s.CRLF {
		l.crlf = 1
	}
	tail := slices.Clone(tailColumns)
	tail[tailDigest].min, tail[tailDigest].max = l.digest, l.digest
	l.head = &form{mark: 'H', cols: headColumns}
	l.tail = &form{mark: 'T', cols: tail}
	l.detail = &form{mark: 'D', cols: detailColumns}
	if s.Fixed == nil {
		return l, nil
	}
	if s.Fixed.Record < 1 || s.Fixed.Record > MaxLine {
		return bad("a record has %d bytes, want 1 to %d", s.Fixed.Record, MaxLine)
	}
	l.fixedRecordBytes = s.Fixed.Record
	for _, t := range []struct {
		name  string
		form  *form
		cells []Cell
	}{{"head", l.head, s.Fixed.Head}, {"detail", l.detail, s.Fixed.Detail}, {"tail", l.tail, s.Fixed.Tail}} {
		if err := t.form.fix(t.cells, s.Fixed.Record, t.name == "detail"); err != nil {
			return nil, fmt.Errorf("%w: table %s: %w", ErrLayout, t.name, err)
		}
	}
	return l, nil
}

// fix takes a table's cells into a form.
func (f *form) fix(cells []Cell, record int, detail bool) error {
	next, seen := 1, 0
	for i, c := range cells {
		at := slices.IndexFunc(f.cols, func(col column) bool { return col.name == c.Name })
		switch {
		case c.Start != next || c.Length < 1:
			return fmt.Errorf("%s starts at byte %d with %d bytes, want byte %d", c.Name, c.Start, c.Length, next)
		case c.Type < N || c.Type > DATE:
			return fmt.Errorf("%s has no type", c.Name)
		case c.Pad != '0' && c.Pad != ' ' || c.Pad == '0' && !c.Right:
			return fmt.Errorf("%s is padded with %q: want spaces, or zeros before the value", c.Name, c.Pad)
		case c.Type == DATE && c.Length != 8:
			return fmt.Errorf("%s is a date of %d bytes, want 8", c.Name, c.Length)
		case c.Name == "record" && !detail && i == 0 && c.Length == 1, c.Name == "filler":
			at = -1
		case at < 0 || slices.Contains(f.at, at):
			return fmt.Errorf("%s is no field of this record, or comes twice", c.Name)
		case c.Length < f.cols[at].min:
			return fmt.Errorf("%s has %d bytes, and the field at least %d", c.Name, c.Length, f.cols[at].min)
		case f.cols[at].class == digits && c.Type == N && c.Length != f.cols[at].max:
			return fmt.Errorf("%s has %d bytes, and the field %d digits", c.Name, c.Length, f.cols[at].max)
		case c.Pad == '0' && !f.cols[at].class.number():
			return fmt.Errorf("%s is padded with zeros and is no number", c.Name)
		default:
			seen++
		}
		f.at = append(f.at, at)
		next += c.Length
	}
	first := "record"
	if detail {
		first = "type"
	}
	switch {
	case next-1 != record:
		return fmt.Errorf("its columns end at byte %d, want %d", next-1, record)
	case seen != len(f.cols):
		return fmt.Errorf("%d of the %d fields are in it", seen, len(f.cols))
	case cells[0].Name != first || cells[0].Length != 1:
		return fmt.Errorf("it begins with %s, want %s in one byte", cells[0].Name, first)
	}
	f.cells = cells
	return nil
}

// Reference is the fixed-width layout of the specification: records of 220
// bytes and a line end.
func Reference() *Fixed {
	return &Fixed{
		Record: 220,
		Head: table(
			cell{"record", 1, AN}, cell{"layout", 14, AN}, cell{"kind", 1, AN}, cell{"bank", 8, AN}, cell{"region", 6, N},
			cell{"settle date", 8, DATE}, cell{"seq", 3, N}, cell{"version", 2, N}, cell{"count", 8, N}, cell{"sum", 14, N},
			cell{"created", 14, N}, cell{"day head", 73, AN}, cell{"chain head", 64, AN}, cell{"filler", 4, AN}),
		Detail: table(
			cell{"type", 1, AN}, cell{"line", 8, N}, cell{"host serial", 20, AN}, cell{"RRN", 12, AN}, cell{"STAN", 6, N},
			cell{"DE7", 10, N}, cell{"DE32", 11, AN}, cell{"DE41", 8, AN}, cell{"txn date", 8, DATE}, cell{"txn time", 6, N},
			cell{"settle date", 8, DATE}, cell{"amount", 13, N}, cell{"D/C", 1, AN}, cell{"account", 19, AN},
			cell{"reference", 32, AN}, cell{"alias", 8, AN}, cell{"response", 2, AN}, cell{"original serial", 20, AN}, cell{"note", 27, AN}),
		Tail: table(
			cell{"record", 1, AN}, cell{"count", 8, N}, cell{"sum P", 13, N}, cell{"sum R", 13, N}, cell{"sum F", 13, N},
			cell{"digest", 64, AN}, cell{"filler", 108, AN}),
	}
}

type cell struct {
	name   string
	length int
	kind   CellType
}

// table lays cells one behind the other: numbers with zeros before them, the
// rest with spaces behind.
func table(cells ...cell) []Cell {
	out, at := []Cell(nil), 1
	for _, c := range cells {
		x := Cell{Name: c.name, Start: at, Length: c.length, Type: c.kind, Pad: ' '}
		if c.kind == N {
			x.Pad, x.Right = '0', true
		}
		out, at = append(out, x), at+c.length
	}
	return out
}

// Text turns bytes of a file in this layout into text, for a person's eyes.
func (l *Layout) Text(b []byte) (string, error) {
	var out []byte
	var err error
	switch l.Charset {
	case GB18030:
		out, err = simplifiedchinese.GB18030.NewDecoder().Bytes(b)
	case GBK:
		out, err = simplifiedchinese.GBK.NewDecoder().Bytes(b)
	default:
		out = b
	}
	if err != nil {
		return "", fmt.Errorf("bankfile: text: %w", err)
	}
	return string(out), nil
}

// Bytes turns text into bytes of the layout's character set. A character that
// the set does not have is an error: nothing is replaced.
func (l *Layout) Bytes(s string) ([]byte, error) {
	var out []byte
	var err error
	switch l.Charset {
	case GB18030:
		out, err = simplifiedchinese.GB18030.NewEncoder().Bytes([]byte(s))
	case GBK:
		out, err = simplifiedchinese.GBK.NewEncoder().Bytes([]byte(s))
	default:
		out = []byte(s)
	}
	if err != nil {
		return nil, fmt.Errorf("bankfile: text has a character that the file's set lacks: %w", err)
	}
	return out, nil
}
