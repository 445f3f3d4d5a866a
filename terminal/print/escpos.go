package print

import (
	"errors"
	"fmt"

	"golang.org/x/text/encoding/simplifiedchinese"
)

// Columns is the width of 80 mm paper in half-width characters: 576 dots of a
// 203 dpi head, 12 dots a character. A Chinese character takes two.
const Columns = 48

// Limits of one document. A receipt of 24 dues is about 4 KiB.
const (
	MaxDoc     = 64 << 10 // what the driver sends as one job
	MaxQR      = 512      // bytes; version 14 or so, still readable at 4 dots a module
	MaxCode128 = 22       // digits; in code set B 277 modules of 2 dots fit 576 dots
)

// Errors of the encoder.
var (
	ErrControl = errors.New("print: control character in text; clean the value before it is printed")
	ErrTooLong = errors.New("print: document or symbol is larger than the printer takes")
	ErrDigits  = errors.New("print: a barcode takes an even number of digits")
)

// Align places a line on the paper.
type Align byte

// The three places.
const (
	Left Align = iota
	Center
	Right
)

// builder collects one document. The first error sticks and Bytes reports it, so
// that a layout reads from top to bottom without a check on every line.
type builder struct {
	buf []byte
	err error
}

// newBuilder starts with a reset printer in Chinese mode.
func newBuilder() *builder {
	return &builder{buf: []byte{0x1B, '@', 0x1C, '&'}} // ESC @, FS &
}

// bytes returns the document or the first error.
func (b *builder) bytes() ([]byte, error) {
	if b.err == nil && len(b.buf) > MaxDoc {
		b.err = fmt.Errorf("%w: %d bytes, limit %d", ErrTooLong, len(b.buf), MaxDoc)
	}
	if b.err != nil {
		return nil, b.err
	}
	return b.buf, nil
}

func (b *builder) fail(err error) {
	if b.err == nil {
		b.err = err
	}
}

func (b *builder) raw(p ...byte) { b.buf = append(b.buf, p...) }

// align sets the place of the lines that follow (ESC a).
func (b *builder) align(a Align) { b.raw(0x1B, 'a', byte(a)) }

// style sets size 1 or 2 and weight (GS ! and ESC E; FS ! for Chinese).
func (b *builder) style(size int, bold bool) {
	s, fs, e := byte(0), byte(0), byte(0)
	if size == 2 {
		s, fs = 0x11, 0x0C
	}
	if bold {
		e = 1
	}
	b.raw(0x1D, '!', s, 0x1C, '!', fs, 0x1B, 'E', e)
}

// missing is set for a character that GB 18030 cannot hold exactly (some of the
// private use area): the mark that Chinese printers use for a missing sort.
const missing = '〓'

// text appends s in GB 18030, without a line end.
func (b *builder) text(s string) {
	encode := simplifiedchinese.GB18030.NewEncoder()
	decode := simplifiedchinese.GB18030.NewDecoder()
	for _, r := range s {
		if r < 0x20 || r == 0x7F || (r >= 0x80 && r < 0xA0) || r == 0xFFFD {
			b.fail(ErrControl)
			return
		}
		if r < 0x80 {
			b.raw(byte(r))
			continue
		}
		out, err := encode.Bytes([]byte(string(r)))
		if err == nil {
			var back []byte
			if back, err = decode.Bytes(out); err == nil && string(back) == string(r) {
				b.raw(out...)
				continue
			}
		}
		if r == missing {
			b.fail(fmt.Errorf("print: text to GB 18030: %w", err))
			return
		}
		b.text(string(missing))
	}
}

// line appends s, broken at the paper's width for the present size.
func (b *builder) line(s string, size int) {
	for _, part := range wrap(s, Columns/size) {
		b.text(part)
		b.raw('\n')
	}
}

// pair appends a label at the left and a value at the right edge. A value that
// does not fit beside its label goes to lines of its own.
func (b *builder) pair(label, value string) {
	gap := Columns - width(label) - width(value)
	if gap >= 1 {
		b.text(label + spaces(gap) + value)
		b.raw('\n')
		return
	}
	b.line(label, 1)
	for _, part := range wrap(value, Columns-2) {
		b.text(spaces(Columns-width(part)) + part)
		b.raw('\n')
	}
}

// rule appends a dashed line.
func (b *builder) rule() {
	dashes := make([]byte, Columns)
	for i := range dashes {
		dashes[i] = '-'
	}
	b.text(string(dashes))
	b.raw('\n')
}

// feed moves the paper n lines (ESC d).
func (b *builder) feed(n byte) { b.raw(0x1B, 'd', n) }

// code128 appends digits as Code 128 (GS k 73), 2 dots a module and 72 dots high,
// digits not repeated beneath. Code set C packs two digits into a byte; where a
// byte pair would read DLE EOT, DLE ENQ or DLE DC4, which a printer obeys at any
// place of the stream, code set B is used instead.
func (b *builder) code128(digits string) {
	if len(digits) == 0 || len(digits)%2 != 0 {
		b.fail(ErrDigits)
		return
	}
	if len(digits) > MaxCode128 {
		b.fail(fmt.Errorf("%w: %d digits in a barcode, limit %d", ErrTooLong, len(digits), MaxCode128))
		return
	}
	data := []byte{'{', 'C'}
	for i := 0; i < len(digits); i += 2 {
		hi, lo := digits[i]-'0', digits[i+1]-'0'
		if hi > 9 || lo > 9 {
			b.fail(ErrDigits)
			return
		}
		data = append(data, hi*10+lo)
	}
	if realTime(data) {
		data = append([]byte{'{', 'B'}, digits...)
	}
	b.raw(0x1D, 'h', 72, 0x1D, 'w', 2, 0x1D, 'H', 0)
	b.raw(0x1D, 'k', 73, byte(len(data)))
	b.raw(data...)
	b.raw('\n')
}

// realTime tells whether p holds the first two bytes of a real-time command.
func realTime(p []byte) bool {
	for i := 0; i+1 < len(p); i++ {
		if p[i] == 0x10 && (p[i+1] == 0x04 || p[i+1] == 0x05 || p[i+1] == 0x14) {
			return true
		}
	}
	return false
}

// qr appends s as a QR code of model 2, level M, 5 dots a module (GS ( k,
// functions 165, 167, 169, 180 and 181).
func (b *builder) qr(s string) {
	if len(s) == 0 || len(s) > MaxQR {
		b.fail(fmt.Errorf("%w: %d bytes in a QR code, limit %d", ErrTooLong, len(s), MaxQR))
		return
	}
	b.raw(0x1D, '(', 'k', 4, 0, 49, 65, 50, 0)
	b.raw(0x1D, '(', 'k', 3, 0, 49, 67, 5)
	b.raw(0x1D, '(', 'k', 3, 0, 49, 69, 49)
	n := len(s) + 3
	b.raw(0x1D, '(', 'k', byte(n&0xFF), byte(n>>8), 49, 80, 48)
	b.raw([]byte(s)...)
	b.raw(0x1D, '(', 'k', 3, 0, 49, 81, 48)
	b.raw('\n')
}

// cut feeds past the blade and cuts, leaving one point (GS V 66).
func (b *builder) cut() { b.raw(0x1D, 'V', 66, 3) }

// width counts s in half-width columns as the printer sets it: what is one byte
// in GB 18030 takes one column, everything else two.
func width(s string) int {
	n := 0
	for _, r := range s {
		n += runeWidth(r)
	}
	return n
}

func runeWidth(r rune) int {
	if r < 0x80 {
		return 1
	}
	return 2
}

// wrap breaks s into parts of at most cols columns, at a space where one is in
// the second half of the part.
func wrap(s string, cols int) []string {
	var parts []string
	rest := []rune(s)
	for {
		n, w, space := 0, 0, -1
		for n < len(rest) && w+runeWidth(rest[n]) <= cols {
			if rest[n] == ' ' && w >= cols/2 {
				space = n
			}
			w += runeWidth(rest[n])
			n++
		}
		if n == len(rest) {
			return append(parts, string(rest))
		}
		if space > 0 {
			parts = append(parts, string(rest[:space]))
			rest = rest[space+1:]
			continue
		}
		parts = append(parts, string(rest[:n]))
		rest = rest[n:]
	}
}

func spaces(n int) string {
	if n <= 0 {
		return ""
	}
	p := make([]byte, n)
	for i := range p {
		p[i] = ' '
	}
	return string(p)
}
