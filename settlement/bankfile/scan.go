package bankfile

import (
	"bytes"
	"encoding/binary"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/transform"

	"github.com/shebao-pay/shebao/si"
)

// maxFields is the most fields of a line, its mark among them.
const maxFields = 24

// scan takes one line apart and checks each field. It is made once for a file
// and allocates nothing for a line.
type scan struct {
	l      *Layout
	decode transform.Transformer // of characters beyond ASCII; nil for UTF-8
	wide   [4 * MaxLine]byte     // what it decodes to
	v      [maxFields][]byte     // fields by column
	start  [maxFields]int        // of each, from the line's first byte
	days   [2]struct {           // dates read last: a file has few
		text [8]byte
		date si.BusinessDate
	}
}

func newScan(l *Layout) *scan {
	s := &scan{l: l}
	switch l.Charset {
	case GB18030:
		s.decode = simplifiedchinese.GB18030.NewDecoder().Transformer
	case GBK:
		s.decode = simplifiedchinese.GBK.NewDecoder().Transformer
	}
	return s
}

// fault is what is wrong with a line: which column, -1 for the line itself.
type fault struct {
	col int
	why string
}

func (f fault) bad() bool { return f.why != "" }

// line splits a line without its end into the fields of f and checks each.
func (s *scan) line(f *form, line []byte) fault {
	var bad fault
	if f.cells == nil {
		bad = s.split(f, line)
	} else {
		bad = s.cut(f, line)
	}
	if bad.bad() {
		return bad
	}
	for i := range f.cols {
		if why := s.check(&f.cols[i], s.v[i], f.cells != nil); why != "" {
			return fault{i, why}
		}
	}
	return fault{}
}

// split parts a line at its separators. Field 0 is the mark; column i is field
// i+1. The line ends with a separator.
func (s *scan) split(f *form, line []byte) fault {
	sep, n, from := s.l.Separator, -1, 0
	for i := 0; ; {
		next := bytes.IndexByte(line[i:], sep[0])
		if next < 0 {
			break
		}
		if s.decode != nil && wide(line[i:i+next]) {
			end, ok := s.walk(line[i:], next)
			if !ok {
				return fault{-1, "a character is cut or not of the file's set"}
			}
			if end != next { // it was the second byte of a character
				i += end
				continue
			}
		}
		i += next
		if len(sep) == 2 && (i+1 == len(line) || line[i+1] != sep[1]) {
			return fault{-1, "a separator is not whole"}
		}
		switch {
		case n < 0 && !(i == 1 && line[0] == f.mark):
			return fault{-1, "the first field is not the letter of this line"}
		case n >= len(f.cols):
			return fault{-1, "too many fields"}
		case n >= 0:
			s.v[n], s.start[n] = line[from:i], from
		}
		n++
		i += len(sep)
		from = i
	}
	if n != len(f.cols) || from != len(line) {
		return fault{-1, "too few fields, or no separator at the end"}
	}
	return fault{}
}

// walk goes over whole characters up to the byte at least, and says where it
// came to.
func (s *scan) walk(b []byte, at int) (end int, ok bool) {
	for end < at {
		size := 1
		if b[end] >= 0x80 {
			size = s.character(b[end:])
		}
		if size == 0 {
			return end, false
		}
		end += size
	}
	return end, true
}

// wide tells whether a line has bytes beyond ASCII.
func wide(b []byte) bool {
	for len(b) >= 8 {
		if binary.LittleEndian.Uint64(b)&0x8080808080808080 != 0 {
			return true
		}
		b = b[8:]
	}
	for _, c := range b {
		if c >= 0x80 {
			return true
		}
	}
	return false
}

// character is the size of the GB 18030 or GBK character at the start of b,
// which is beyond ASCII; 0 if it is none.
func (s *scan) character(b []byte) int {
	if b[0] == 0x80 || b[0] == 0xff || len(b) < 2 {
		return 0
	}
	switch c := b[1]; {
	case c >= 0x40 && c <= 0xfe && c != 0x7f:
		return 2
	case c >= '0' && c <= '9' && s.l.Charset == GB18030 && len(b) >= 4 &&
		b[2] >= 0x81 && b[2] <= 0xfe && b[3] >= '0' && b[3] <= '9':
		return 4
	}
	return 0
}

// cut takes a fixed-width record apart and the padding off.
func (s *scan) cut(f *form, line []byte) fault {
	if len(line) != s.l.fixedRecordBytes {
		return fault{-1, "the record has not the length of its table"}
	}
	for i, c := range f.cells {
		from := c.Start - 1
		v := line[from : from+c.Length]
		at := f.at[i]
		switch {
		case at < 0 && c.Name == "record" && v[0] != f.mark:
			return fault{-1, "the first byte is not the letter of this record"}
		case at < 0 && c.Name == "filler" && len(bytes.Trim(v, string(rune(c.Pad)))) > 0:
			return fault{-1, "the filler holds something"}
		case at < 0:
			continue
		}
		s.start[at] = from
		switch v = trim(v, c); {
		case c.Type == N && f.cols[at].class != signed && onlyDigits(v) != "":
			return fault{at, "has a character that is no digit"}
		case c.Type == DATE && len(v) != 0 && len(v) != c.Length:
			return fault{at, "is no date"}
		}
		s.v[at] = v
		if c.Pad == '0' {
			s.v[at] = zeros(v, &f.cols[at])
		}
	}
	return fault{}
}

func trim(v []byte, c Cell) []byte {
	if len(bytes.TrimLeft(v, " ")) == 0 {
		return nil
	}
	if c.Pad == '0' {
		return v
	}
	if c.Right {
		return bytes.TrimLeft(v, " ")
	}
	return bytes.TrimRight(v, " ")
}

// zeros takes the padding off a number. Digits of a fixed length stay, and of a
// signed amount as well: check reads it with its zeros.
func zeros(v []byte, c *column) []byte {
	for (c.class == count || c.class == amount) && len(v) > 1 && v[0] == '0' {
		v = v[1:]
	}
	return v
}

// check holds a field against its column.
func (s *scan) check(c *column, v []byte, padded bool) string {
	switch {
	case len(v) == 0 && c.min == 0:
		return ""
	case len(v) == 0:
		return "is empty"
	case len(v) < c.min:
		return "is too short"
	case len(v) > c.max:
		return "is too long"
	}
	switch c.class {
	case amount:
		return s.amount(v)
	case signed:
		if v[0] != '-' {
			return s.padded(v, padded)
		}
		if why := s.padded(v[1:], padded); why != "" {
			return why
		}
		return oneOf(s.fen(v) != 0, "has a minus before nothing")
	case text:
		return s.text(v)
	}
	return classes[c.class](v, c)
}

func (s *scan) padded(v []byte, padded bool) string {
	if !padded {
		return s.amount(v)
	}
	if len(v) == 0 || len(v) > sumDigits {
		return "has no digit, or too many"
	}
	return onlyDigits(v)
}

func (s *scan) amount(v []byte) string {
	if !s.l.Decimals {
		if len(v) == 0 || len(v) > sumDigits {
			return "has no digit, or too many"
		}
		return plainNumber(v)
	}
	if len(v) < 4 || v[len(v)-3] != '.' || onlyDigits(v[len(v)-2:]) != "" {
		return "is not yuan with two decimals"
	}
	return plainNumber(v[:len(v)-3])
}

// text refuses control characters in whatever form, marks that turn or hide
// text, and spaces at the ends, which padding would swallow.
func (s *scan) text(v []byte) string {
	if v[0] == ' ' || v[len(v)-1] == ' ' {
		return "begins or ends with a space"
	}
	if !wide(v) {
		for _, c := range v {
			if c < 0x20 || c == 0x7f || c == '|' {
				return "has a control character or a separator"
			}
		}
		return ""
	}
	u := v
	if s.decode != nil {
		if _, ok := s.walk(v, len(v)); !ok { // the decoder takes more than the standard gives
			return "has a character that is cut or not of the file's set"
		}
		s.decode.Reset()
		n, _, err := s.decode.Transform(s.wide[:], v, true)
		if err != nil {
			return "has a character that is not of the file's set"
		}
		u = s.wide[:n]
	}
	for len(u) > 0 {
		r, size := utf8.DecodeRune(u)
		switch {
		case r > 0x3000 && r < 0xd800: // Chinese, Japanese, Korean: letters and marks that are seen
		case r == utf8.RuneError:
			return "has a character that is not of the file's set"
		case r == '|', unicode.IsControl(r), r == '\u2028', r == '\u2029', unicode.Is(unicode.Cf, r):
			return "has a control character or a separator"
		}
		u = u[size:]
	}
	return ""
}

// What follows reads fields that check has passed.

func (s *scan) number(col int) uint64 {
	var n uint64
	for _, c := range s.v[col] {
		n = n*10 + uint64(c-'0')
	}
	return n
}

// fen reads amount and signed: at most sumDigits digits.
func (s *scan) fen(v []byte) si.Fen {
	var n si.Fen
	for _, c := range v {
		if c >= '0' && c <= '9' {
			n = n*10 + si.Fen(c-'0')
		}
	}
	if len(v) > 0 && v[0] == '-' {
		return -n
	}
	return n
}

func (s *scan) money(col int) si.Fen { return s.fen(s.v[col]) }

func (s *scan) letter(col int) byte {
	if len(s.v[col]) == 0 {
		return 0
	}
	return s.v[col][0]
}

// day reads a date; 0 for an empty field.
func (s *scan) day(col int) si.BusinessDate {
	v := s.v[col]
	if len(v) != 8 {
		return 0
	}
	for i := range s.days {
		if string(v) == string(s.days[i].text[:]) {
			return s.days[i].date
		}
	}
	d, _ := dateOf(v)
	s.days[1] = s.days[0]
	copy(s.days[0].text[:], v)
	s.days[0].date = d
	return d
}
