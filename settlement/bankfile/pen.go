package bankfile

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/shebao-pay/shebao/si"
)

// pen collects the fields of one line in their order.
type pen struct {
	l    *Layout
	buf  []byte
	ends [maxFields]int
	n    int
}

func (p *pen) reset() { p.buf, p.n = p.buf[:0], 0 }

func (p *pen) end() {
	p.ends[p.n] = len(p.buf)
	p.n++
}

func (p *pen) text(s string) {
	p.buf = append(p.buf, s...)
	p.end()
}

func (p *pen) bytes(b []byte) {
	p.buf = append(p.buf, b...)
	p.end()
}

// fixed appends an array that is zero where the field is empty.
func (p *pen) fixed(b []byte) {
	if b[0] != 0 {
		p.buf = append(p.buf, b...)
	}
	p.end()
}

func (p *pen) letter(c byte) {
	if c != 0 {
		p.buf = append(p.buf, c)
	}
	p.end()
}

func (p *pen) count(n uint64) {
	p.buf = strconv.AppendUint(p.buf, n, 10)
	p.end()
}

func (p *pen) digits(n uint64, width int) {
	p.buf = fmt.Appendf(p.buf, "%0*d", width, n)
	p.end()
}

func (p *pen) hex(b []byte) {
	p.buf = hex.AppendEncode(p.buf, b)
	p.end()
}

func (p *pen) date(d si.BusinessDate) {
	if d != 0 {
		p.buf = append(p.buf, d.Compact()...)
	}
	p.end()
}

func (p *pen) fen(f si.Fen) {
	if p.l.Decimals {
		p.buf = append(p.buf, f.String()...)
	} else {
		p.buf = strconv.AppendInt(p.buf, int64(f), 10)
	}
	p.end()
}

// line appends the collected fields as one line with its end, or says which
// field does not fit its cell.
func (p *pen) line(dst []byte, f *form) ([]byte, error) {
	from := 0
	if f.cells == nil {
		dst = append(append(dst, f.mark), p.l.Separator...)
		for _, to := range p.ends[:p.n] {
			dst = append(append(dst, p.buf[from:to]...), p.l.Separator...)
			from = to
		}
		return p.newline(dst), nil
	}
	for i, c := range f.cells {
		var v []byte
		pad := int(c.Pad)
		if at := f.at[i]; at >= 0 {
			if at > 0 {
				from = p.ends[at-1]
			} else {
				from = 0
			}
			v = p.buf[from:p.ends[at]]
			if len(v) == 0 {
				pad = ' '
			}
		} else if c.Name == "record" {
			v = []byte{f.mark}
		}
		room := c.Length - len(v)
		if room < 0 {
			return dst, fmt.Errorf("bankfile: field %s has %d bytes, and its column %d", c.Name, len(v), c.Length)
		}
		padding := bytes.Repeat([]byte{byte(pad)}, room)
		switch {
		case c.Right && len(v) > 0 && v[0] == '-' && pad == '0':
			dst = append(append(append(dst, '-'), padding...), v[1:]...)
		case c.Right:
			dst = append(append(dst, padding...), v...)
		default:
			dst = append(append(dst, v...), padding...)
		}
	}
	return p.newline(dst), nil
}

func (p *pen) newline(dst []byte) []byte {
	if p.l.CRLF {
		dst = append(dst, '\r')
	}
	return append(dst, '\n')
}
