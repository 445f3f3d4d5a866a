package sheet

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

const (
	// MaxLine bounds one line in bytes: the longest record, with a name of 50 and
	// an address of 200 characters, has less than 1,200.
	MaxLine = 4 << 10
	// MaxLines bounds a file, header included: twice the model district. What is
	// remembered of each line to find it a second time then stays below 100 MB.
	// A larger region brings a file for each county.
	MaxLines = 2_000_000
)

const bufSize = 64 << 10

// A LineError says where a table is not as it must be, and why. It never
// repeats what stands there.
type LineError struct {
	Line   int    // the header is line 1
	Column string // header name, empty for the whole line
	Why    string
}

func (e *LineError) Error() string {
	if e.Column != "" {
		return fmt.Sprintf("line %d: %s: %s", e.Line, e.Column, e.Why)
	}
	return fmt.Sprintf("line %d: %s", e.Line, e.Why)
}

// Reader reads the lines of a CSV stream (RFC 4180, one record a line).
type Reader struct {
	in      *bufio.Reader
	columns []string
	line    int
}

// NewReader reads the header, which must name exactly these columns in this
// order.
func NewReader(r io.Reader, columns []string) (*Reader, error) {
	c := &Reader{in: bufio.NewReaderSize(r, bufSize), columns: columns}
	want := "the header must be " + strings.Join(columns, ",")
	head, err := c.in.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("the file stops before its end: %w", err)
	}
	switch {
	case bytes.HasPrefix(head, []byte("\xff\xfe")), bytes.HasPrefix(head, []byte("\xfe\xff")):
		return nil, &LineError{Line: 1, Why: "the file is UTF-16; save it as CSV UTF-8"}
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		return nil, &LineError{Line: 1, Why: "the file is a packed one; a workbook goes through shebaoctl, which reads it"}
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf")): // as spreadsheets write CSV UTF-8
		_, _ = c.in.Discard(3)
	}
	cells, _, err := c.Next()
	if bad := (*LineError)(nil); errors.Is(err, io.EOF) || errors.As(err, &bad) && bad.Column == "" && strings.Contains(bad.Why, "columns") {
		return nil, &LineError{Line: 1, Why: want}
	}
	if err != nil {
		return nil, err
	}
	if strings.Join(cells, ",") != strings.Join(columns, ",") {
		return nil, &LineError{Line: 1, Why: want}
	}
	return c, nil
}

// Next gives the cells of the next line and its number, and io.EOF behind the
// last.
func (c *Reader) Next() (cells []string, line int, err error) {
	raw, err := c.in.ReadSlice('\n')
	if len(raw) == 0 && errors.Is(err, io.EOF) {
		return nil, 0, io.EOF
	}
	c.line++
	switch {
	case errors.Is(err, bufio.ErrBufferFull), len(raw) > MaxLine:
		return nil, 0, &LineError{Line: c.line, Why: fmt.Sprintf("longer than %d bytes", MaxLine)}
	case err != nil && !errors.Is(err, io.EOF):
		return nil, 0, fmt.Errorf("line %d: the file stops before its end: %w", c.line, err)
	case c.line > MaxLines:
		return nil, 0, &LineError{Line: c.line, Why: fmt.Sprintf("more than %d lines; bring the rest in a second file", MaxLines)}
	}
	raw = bytes.TrimSuffix(bytes.TrimSuffix(raw, []byte("\n")), []byte("\r"))
	if why := badText(raw); why != "" {
		return nil, 0, &LineError{Line: c.line, Why: why}
	}
	cells, why := split(string(raw), len(c.columns))
	if why != "" {
		return nil, 0, &LineError{Line: c.line, Why: why}
	}
	return cells, c.line, nil
}

// Column is the name of a column, for errors.
func (c *Reader) Column(i int) string { return c.columns[i] }

// badText says what a line holds that is no text.
func badText(raw []byte) string {
	if len(raw) == 0 {
		return "empty"
	}
	if !utf8.Valid(raw) {
		return "not UTF-8 (a file saved as GBK or ANSI is not); save it as CSV UTF-8"
	}
	for _, b := range raw {
		if b < 0x20 || b == 0x7f {
			return "holds a control character"
		}
	}
	return ""
}

// split takes a line apart. The cells are parts of the line wherever they can
// be.
func split(s string, columns int) (cells []string, why string) {
	cells = make([]string, 0, columns)
	for {
		var cell string
		if strings.HasPrefix(s, `"`) {
			end := closing(s)
			if end < 0 {
				return nil, "a quotation mark is not closed; a cell must end in its line"
			}
			cell, s = strings.ReplaceAll(s[1:end], `""`, `"`), s[end+1:]
			if s != "" && s[0] != ',' {
				return nil, "text behind a closing quotation mark"
			}
		} else {
			end := strings.IndexByte(s, ',')
			if end < 0 {
				end = len(s)
			}
			cell, s = s[:end], s[end:]
			if strings.Contains(cell, `"`) {
				return nil, "a quotation mark inside a cell that is not quoted"
			}
		}
		if len(cells) == columns {
			return nil, fmt.Sprintf("not %d comma-separated columns", columns)
		}
		cells = append(cells, cell)
		if s == "" {
			break
		}
		s = s[1:]
	}
	if len(cells) != columns {
		return nil, fmt.Sprintf("not %d comma-separated columns", columns)
	}
	return cells, ""
}

// closing is the place of the mark that closes the quoted cell at the start of
// s, or below 0.
func closing(s string) int {
	for i := 1; i < len(s); i++ {
		if s[i] != '"' {
			continue
		}
		if i+1 == len(s) || s[i+1] != '"' {
			return i
		}
		i++
	}
	return -1
}

// appendCell writes a cell so that split reads it back. The cell must have no
// control character.
func appendCell(dst []byte, cell string) []byte {
	if !strings.ContainsAny(cell, `",`) {
		return append(dst, cell...)
	}
	dst = append(dst, '"')
	dst = append(dst, strings.ReplaceAll(cell, `"`, `""`)...)
	return append(dst, '"')
}
