package printer

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/text/encoding/simplifiedchinese"
)

// Kind is what stands on one line of the paper.
type Kind uint8

// The kinds of line.
const (
	Text Kind = iota + 1
	Code128
	QR
	Feed // blank lines, Size of them
	Cut
)

// Align is the place of a line.
type Align uint8

// The places, in the numbers of ESC a.
const (
	Left Align = iota
	Center
	Right
)

// Line is one line of paper.
type Line struct {
	Kind  Kind
	Text  string // text, or the data of a symbol
	Align Align
	Size  int // 1 or 2; of a Feed the number of lines
	Bold  bool
}

// Paper is one strip from a reset to a cut.
type Paper struct {
	Lines []Line
	Cut   bool
}

// Plain is the text of the paper, symbols as [CODE128 …] and [QR …].
func (p Paper) Plain() string {
	var b strings.Builder
	for _, l := range p.Lines {
		switch l.Kind {
		case Text:
			b.WriteString(l.Text + "\n")
		case Code128:
			b.WriteString("[CODE128 " + l.Text + "]\n")
		case QR:
			b.WriteString("[QR " + l.Text + "]\n")
		case Feed:
			b.WriteString(strings.Repeat("\n", l.Size))
		case Cut:
			b.WriteString("[CUT]\n")
		}
	}
	return b.String()
}

// Errors of the interpreter.
var (
	ErrCommand = errors.New("printer: unknown command")
	ErrShort   = errors.New("printer: command cut short")
	ErrText    = errors.New("printer: text is not GB 18030")
	ErrSymbol  = errors.New("printer: symbol data outside the rules of the code")
)

// machine is the state of the printer between bytes.
type machine struct {
	in    []byte
	pos   int
	paper Paper
	row   []byte // GB 18030 bytes of the open line
	align Align
	size  int
	bold  bool
	qr    string
	ids   [][4]byte // process ids whose turn has come
}

// Interpret reads a whole document. What it drew before an error is returned
// with the error.
func Interpret(doc []byte) (Paper, error) {
	p, _, err := interpret(doc)
	return p, err
}

// interpret also answers the process ids that the document asks to be told.
func interpret(doc []byte) (Paper, [][4]byte, error) {
	m := machine{in: doc, size: 1}
	for m.pos < len(m.in) {
		if err := m.step(); err != nil {
			return m.paper, m.ids, fmt.Errorf("byte %d: %w", m.pos, err)
		}
	}
	return m.paper, m.ids, m.flush(false)
}

func (m *machine) step() error {
	switch c := m.in[m.pos]; c {
	case 0x1B:
		return m.esc()
	case 0x1C:
		return m.fs()
	case 0x1D:
		return m.gs()
	case '\n':
		m.pos++
		return m.flush(true)
	default:
		if c < 0x20 {
			return ErrCommand
		}
		m.row = append(m.row, c)
		m.pos++
		return nil
	}
}

// take returns the n bytes after the two of the command and moves past them.
func (m *machine) take(n int) ([]byte, error) {
	if m.pos+2+n > len(m.in) {
		return nil, ErrShort
	}
	p := m.in[m.pos+2 : m.pos+2+n]
	m.pos += 2 + n
	return p, nil
}

func (m *machine) letter() byte {
	if m.pos+1 < len(m.in) {
		return m.in[m.pos+1]
	}
	return 0
}

func (m *machine) esc() error {
	switch m.letter() {
	case '@':
		_, err := m.take(0)
		m.align, m.size, m.bold, m.row = Left, 1, false, nil
		return err
	case 'a':
		p, err := m.take(1)
		if err != nil || p[0] > 2 {
			return errors.Join(ErrCommand, err)
		}
		m.align = Align(p[0])
		return nil
	case 'E':
		p, err := m.take(1)
		if err == nil {
			m.bold = p[0]&1 == 1
		}
		return err
	case 'd':
		p, err := m.take(1)
		if err != nil {
			return err
		}
		if err := m.flush(false); err != nil {
			return err
		}
		if p[0] > 0 {
			m.add(Line{Kind: Feed, Size: int(p[0])})
		}
		return nil
	}
	return ErrCommand
}

func (m *machine) fs() error {
	switch m.letter() {
	case '&':
		_, err := m.take(0)
		return err
	case '!':
		_, err := m.take(1) // the size of Chinese follows GS !
		return err
	}
	return ErrCommand
}

func (m *machine) gs() error {
	switch m.letter() {
	case '!':
		p, err := m.take(1)
		if err != nil {
			return err
		}
		if p[0] != 0 && p[0] != 0x11 {
			return ErrCommand
		}
		m.size = 1 + int(p[0]&1)
		return nil
	case 'h', 'w', 'H':
		_, err := m.take(1)
		return err
	case 'k':
		return m.code128()
	case 'V':
		p, err := m.take(2)
		if err != nil || p[0] != 66 {
			return errors.Join(ErrCommand, err)
		}
		if err := m.flush(false); err != nil {
			return err
		}
		m.add(Line{Kind: Cut})
		m.paper.Cut = true
		return nil
	case '(':
		return m.function()
	}
	return ErrCommand
}

// code128 reads GS k 73 n d1…dn in code set C, or digits in code set B.
func (m *machine) code128() error {
	if m.pos+4 > len(m.in) {
		return ErrShort
	}
	if m.in[m.pos+2] != 73 {
		return ErrCommand
	}
	p, err := m.take(2 + int(m.in[m.pos+3]))
	if err != nil {
		return err
	}
	d := p[2:]
	if len(d) < 3 || d[0] != '{' {
		return ErrSymbol
	}
	var b strings.Builder
	for _, v := range d[2:] {
		switch {
		case d[1] == 'C' && v <= 99:
			fmt.Fprintf(&b, "%02d", v)
		case d[1] == 'B' && v >= '0' && v <= '9':
			b.WriteByte(v)
		default:
			return ErrSymbol
		}
	}
	m.add(Line{Kind: Code128, Text: b.String(), Align: m.align, Size: 1})
	m.row = nil
	return nil
}

// function reads GS ( k, the QR family, and GS ( H, the process id.
func (m *machine) function() error {
	if m.pos+5 > len(m.in) {
		return ErrShort
	}
	family := m.in[m.pos+2]
	n := int(m.in[m.pos+3]) | int(m.in[m.pos+4])<<8
	p, err := m.take(3 + n)
	if err != nil {
		return err
	}
	p = p[3:]
	switch {
	case family == 'H' && len(p) == 6 && p[0] == 48 && p[1] == 48:
		m.ids = append(m.ids, [4]byte(p[2:6]))
		return nil
	case family == 'k' && len(p) >= 3 && p[0] == 49:
		return m.qrFunction(p[1], p[2:])
	}
	return ErrCommand
}

func (m *machine) qrFunction(fn byte, p []byte) error {
	switch fn {
	case 65, 67, 69: // model, module size, level
		return nil
	case 80:
		m.qr = string(p[1:])
		return nil
	case 81:
		if m.qr == "" {
			return ErrSymbol
		}
		m.add(Line{Kind: QR, Text: m.qr, Align: m.align, Size: 1})
		return nil
	}
	return ErrCommand
}

func (m *machine) add(l Line) { m.paper.Lines = append(m.paper.Lines, l) }

// flush ends the open line. An empty one counts only after a line feed that
// does not merely end a symbol.
func (m *machine) flush(feed bool) error {
	if len(m.row) == 0 {
		n := len(m.paper.Lines)
		if feed && (n == 0 || m.paper.Lines[n-1].Kind == Text || m.paper.Lines[n-1].Kind == Feed) {
			m.add(Line{Kind: Feed, Size: 1})
		}
		return nil
	}
	out, err := simplifiedchinese.GB18030.NewDecoder().Bytes(m.row)
	if err != nil || strings.ContainsRune(string(out), 0xFFFD) {
		return ErrText
	}
	m.add(Line{Kind: Text, Text: string(out), Align: m.align, Size: m.size, Bold: m.bold})
	m.row = nil
	return nil
}
