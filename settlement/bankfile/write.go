package bankfile

import (
	"bufio"
	"crypto/md5" // #nosec G501 -- see read.go
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"iter"
)

// Write makes the file that h names from rows, and answers what it came to. h
// gives name, time and heads; count and sum are those of the rows. rows is
// walked twice and must give the same both times, lines numbered from 1.
//
// Nothing is written that Read would refuse: each line is taken apart again
// before it leaves. On an error dst holds a part that is no file.
func Write[T any, P pointer[T]](dst io.Writer, l *Layout, h Header, rows iter.Seq[*T]) (Summary, error) {
	w := newWriter(dst, l)
	var t T
	w.row, w.form = P(&t), l.formOf(P(&t))
	if h.Kind != w.row.kind() || !h.valid() {
		return Summary{}, fmt.Errorf("bankfile: write: %w of kind %c", ErrName, byte(w.row.kind()))
	}
	if l.Fixed != nil && h.Kind != Details {
		return Summary{}, fmt.Errorf("%w: fixed width has tables for details only", ErrLayout)
	}
	w.keys.grow(0)
	for x := range rows {
		if err := w.count(P(x), &h); err != nil {
			return Summary{}, err
		}
	}
	if why := w.tally.done(); why != "" {
		return Summary{}, fmt.Errorf("bankfile: write: %s", why)
	}
	first := w.tally
	h.Count, h.Sum, w.tally = w.tally.rows, w.tally.net, tally{}
	w.lines.grow(h.Count)
	if err := w.head(&h); err != nil {
		return Summary{}, err
	}
	for x := range rows {
		if err := w.detail(P(x), &h); err != nil {
			return Summary{}, err
		}
	}
	if w.tally != first {
		return Summary{}, fmt.Errorf("bankfile: write: the rows were others when they were walked again")
	}
	return w.tail(&h)
}

type writer struct {
	out   *bufio.Writer
	l     *Layout
	s     *scan
	pen   pen
	buf   []byte
	row   row // what a line that was written reads as
	form  *form
	tally tally
	lines lineSet
	keys  keySet
	whole hash.Hash
	short hash.Hash
	size  int64
}

func newWriter(dst io.Writer, l *Layout) *writer {
	w := &writer{out: bufio.NewWriterSize(dst, bufferSize), l: l, s: newScan(l), pen: pen{l: l}, whole: sha256.New()}
	if l.Digest == MD5 {
		w.short = md5.New() // #nosec G401 -- see read.go
	}
	return w
}

// count is the first walk: how many rows, which sums, none twice.
func (w *writer) count(x row, h *Header) error {
	t := &w.tally
	t.rows++
	switch {
	case w.keys.add(x):
		return fmt.Errorf("bankfile: write: row %d comes twice", t.rows)
	case t.rows > MaxLines-2:
		return fmt.Errorf("bankfile: write: more than %d lines", MaxLines)
	case x.settled() != 0 && x.settled() != h.Date:
		return fmt.Errorf("bankfile: write: row %d is of %s, and the file of %s", t.rows, x.settled(), h.Date)
	}
	if why := x.add(t); why != "" {
		return fmt.Errorf("bankfile: write: row %d: %s", t.rows, why)
	}
	if !t.inRange() {
		return fmt.Errorf("bankfile: write: row %d: the sum has more than %d digits", t.rows, sumDigits)
	}
	return nil
}

func (w *writer) head(h *Header) error {
	w.pen.reset()
	h.put(&w.pen, w.l)
	return w.line(w.l.head, "header")
}

func (w *writer) detail(x row, h *Header) error {
	w.pen.reset()
	x.put(&w.pen)
	if err := w.line(w.form, "details"); err != nil {
		return fmt.Errorf("%w (number %d)", err, x.number())
	}
	w.row.take(w.s)
	if bad := w.row.check(w.l); bad.bad() {
		return fmt.Errorf("bankfile: write line %d: field %s %s", x.number(), w.form.cols[bad.col].name, bad.why)
	}
	n := int(x.number())
	if n < 1 || n > h.Count || !w.lines.add(n) {
		return fmt.Errorf("bankfile: write line %d: lines are numbered 1 to %d, each once", n, h.Count)
	}
	w.tally.rows++
	_ = w.row.add(&w.tally) // count has asked
	return nil
}

// line writes what the pen holds, once it reads as a line of the form.
func (w *writer) line(f *form, name string) error {
	var err error
	if w.buf, err = w.pen.line(w.buf[:0], f); err != nil {
		return err
	}
	line := w.buf[:len(w.buf)-1-w.l.crlf]
	if len(line) > MaxLine {
		return fmt.Errorf("bankfile: write %s: more than %d bytes", name, MaxLine)
	}
	if bad := w.s.line(f, line); bad.bad() {
		field := "the line"
		if bad.col >= 0 {
			field = "field " + f.cols[bad.col].name
		}
		return fmt.Errorf("bankfile: write %s: %s %s", name, field, bad.why)
	}
	if w.size += int64(len(w.buf)); w.size > MaxSize {
		return fmt.Errorf("bankfile: write %s: more than 2 GiB", name)
	}
	w.whole.Write(w.buf)
	if w.short != nil {
		w.short.Write(w.buf)
	}
	if _, err := w.out.Write(w.buf); err != nil {
		return fmt.Errorf("bankfile: write %s: %w", name, err)
	}
	return nil
}

func (w *writer) tail(h *Header) (Summary, error) {
	sum := Summary{Header: *h, P: w.tally.p, R: w.tally.r, F: w.tally.f, Lines: h.Count + 2}
	d := w.whole
	if w.short != nil {
		d = w.short
	}
	digest := hex.EncodeToString(d.Sum(nil))
	w.pen.reset()
	w.pen.count(uint64(h.Count))
	w.pen.fen(sum.P)
	w.pen.fen(sum.R)
	w.pen.fen(sum.F)
	w.pen.text(digest)
	if err := w.line(w.l.tail, "trailer"); err != nil {
		return Summary{}, err
	}
	if err := w.out.Flush(); err != nil {
		return Summary{}, fmt.Errorf("bankfile: write: %w", err)
	}
	sum.Size = w.size
	w.whole.Sum(sum.SHA256[:0])
	return sum, nil
}

// FlagOf is the flag file of a file that was written or read.
func FlagOf(s Summary) Flag { return Flag{Name: s.Name.String(), Size: s.Size, SHA256: s.SHA256} }
