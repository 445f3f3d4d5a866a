package bankfile

import (
	"bytes"
	"crypto/md5" // #nosec G501 -- banks that give nothing else; the profile chooses it, the flag file has SHA-256
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
)

// Limits of a file. What is over one is refused with OverLimit.
const (
	MaxSize  = 2 << 30   // bytes of a file
	MaxLines = 5_000_000 // lines, header and trailer among them: five busy days of a whole city
	MaxLine  = 1_024     // bytes of a line, without its end
)

// bufferSize is what a reader holds of a file: large enough that reading costs
// little, small enough that many files can be read.
const bufferSize = 256 << 10

// Want is what a caller knows of a file before it is read.
type Want struct {
	Name Name  // from its name; the header must say the same
	Flag *Flag // from its flag file; nil if the bank sends none
}

// pointer is a row type's pointer.
type pointer[T any] interface {
	*T
	row
}

// Read takes a file of size bytes whole: it hands each detail line to each, in
// the order of the file, and answers what the file came to. The row type says
// which kind of file it is. The row is valid until each returns.
//
// A fault of the file is a *Quarantine, and then no row counts. An error of each
// ends the reading and is returned as it is; one of src is wrapped.
func Read[T any, P pointer[T]](src io.ReaderAt, size int64, l *Layout, want Want, each func(*T) error) (Summary, error) {
	var t T
	r := newReader(src, size, l, want, P(&t))
	d, _ := any(&t).(*Detail)
	return r.read(func(offset int64) error {
		if d != nil {
			d.Offset = offset
		}
		return each(&t)
	})
}

// Reread reads the one detail line that begins at offset, which a Read of the
// same file has named. The row's bytes are its own.
func Reread[T any, P pointer[T]](src io.ReaderAt, l *Layout, offset int64) (*T, error) {
	t := new(T)
	if err := reread(src, newScan(l), l.formOf(P(t)), P(t), make([]byte, MaxLine+2), offset); err != nil {
		return nil, err
	}
	if d, ok := any(t).(*Detail); ok {
		d.Offset = offset
	}
	return t, nil
}

func reread(src io.ReaderAt, s *scan, f *form, t row, buf []byte, offset int64) error {
	n, err := src.ReadAt(buf, offset)
	end := bytes.IndexByte(buf[:n], '\n')
	if end < s.l.crlf {
		return fmt.Errorf("bankfile: read line again at byte %d: %w", offset, errors.Join(err, io.ErrUnexpectedEOF))
	}
	if bad := s.line(f, buf[:end-s.l.crlf]); bad.bad() {
		return fmt.Errorf("bankfile: read line again at byte %d: no detail line stands there", offset)
	}
	t.take(s)
	return nil
}

// formOf is how lines of a row type are laid out.
func (l *Layout) formOf(t row) *form {
	if t.kind() == Details {
		return l.detail
	}
	return &form{mark: 'D', cols: t.columns()}
}

// reader is one file on its way in.
type reader struct {
	src   io.ReaderAt
	size  int64
	l     *Layout
	want  Want
	s     *scan
	row   row
	form  *form
	lines lineSet
	keys  keySet

	buf        []byte
	start, end int   // of what is not taken yet, in buf
	base       int64 // offset of buf[0] in the file
	whole      hash.Hash
	short      hash.Hash // MD5, where the trailer has that; else nil
	hashed     int       // up to here in buf
	line       int       // lines taken
}

func newReader(src io.ReaderAt, size int64, l *Layout, want Want, t row) *reader {
	r := &reader{src: src, size: size, l: l, want: want, s: newScan(l), row: t, form: l.formOf(t), whole: sha256.New()}
	if l.Digest == MD5 {
		r.short = md5.New() // #nosec G401 -- see the import
	}
	return r
}

// refuse makes the verdict for the line that was taken last.
func (r *reader) refuse(code Code, offset int64, f *form, bad fault) error {
	q := &Quarantine{Code: code, Offset: offset, Line: r.line, Why: bad.why}
	if f != nil && bad.col >= 0 {
		q.Field = f.cols[bad.col].name
		q.Offset += int64(r.s.start[bad.col])
	}
	return q
}

func (r *reader) why(code Code, offset int64, why string) error {
	return r.refuse(code, offset, nil, fault{-1, why})
}

func (r *reader) read(each func(int64) error) (Summary, error) {
	if err := r.before(); err != nil {
		return Summary{}, err
	}
	r.buf = make([]byte, min(bufferSize, int(r.size)))
	line, at, err := r.next()
	if err == io.EOF {
		return Summary{}, r.why(Truncated, 0, "the file is empty")
	}
	if err != nil {
		return Summary{}, err
	}
	if bad := r.s.line(r.l.head, line); bad.bad() {
		return Summary{}, r.refuse(BadForm, at, r.l.head, bad)
	}
	sum := Summary{Header: r.s.header(), Size: r.size}
	if err := r.placed(&sum.Header, at); err != nil {
		return Summary{}, err
	}
	r.lines.grow(sum.Count)
	r.keys.grow(min(sum.Count, int(r.size)/minDetail))
	var t tally
	for {
		line, at, err = r.next()
		if err == io.EOF {
			return Summary{}, r.why(Truncated, r.size, "the file ends without a trailer")
		}
		if err != nil {
			return Summary{}, err
		}
		if len(line) > 0 && line[0] == 'T' {
			break
		}
		if err := r.detail(&t, &sum.Header, line, at); err != nil {
			return Summary{}, err
		}
		if err := each(at); err != nil {
			return Summary{}, err
		}
	}
	if err := r.trailer(&t, &sum, line, at); err != nil {
		return Summary{}, err
	}
	sum.Lines = r.line
	return sum, r.after(&sum)
}

// minDetail is less than the shortest detail line has, so that a header that
// lies takes no memory.
const minDetail = 8

// before is what can be said before the first byte is read.
func (r *reader) before() error {
	if r.size < 0 {
		return fmt.Errorf("bankfile: size %d of a file", r.size)
	}
	if r.size > MaxSize {
		return r.why(OverLimit, MaxSize, "the file has more than 2 GiB")
	}
	if !r.want.Name.valid() {
		return fmt.Errorf("bankfile: read: %w", ErrName)
	}
	if r.want.Name.Kind != r.row.kind() {
		return r.why(Misplaced, 0, "the file's name is of another kind than was asked for")
	}
	if r.l.Fixed != nil && r.row.kind() != Details {
		return fmt.Errorf("%w: fixed width has tables for details only", ErrLayout)
	}
	if f := r.want.Flag; f != nil {
		if f.Name != r.want.Name.String() {
			return r.why(HashDiffers, 0, "the flag file names another file")
		}
		if f.Size != r.size {
			return r.why(HashDiffers, min(f.Size, r.size), "the size is not that of the flag file")
		}
	}
	return nil
}

// placed holds the header against the file's name and the limits.
func (r *reader) placed(h *Header, at int64) error {
	name := r.want.Name
	for _, x := range []struct {
		col  int
		same bool
	}{
		{headKind, h.Kind == name.Kind}, {headBank, h.Bank == name.Bank}, {headRegion, h.Region == name.Region},
		{headDate, h.Date == name.Date}, {headSeq, h.Seq == name.Seq}, {headVersion, h.Version == name.Version},
	} {
		if !x.same {
			return r.refuse(Misplaced, at, r.l.head, fault{x.col, "the header says another than the file's name"})
		}
	}
	if string(r.s.v[headLayout]) != r.l.Title {
		return r.refuse(BadForm, at, r.l.head, fault{headLayout, "is not the bank's layout"})
	}
	if h.Count > MaxLines-2 {
		return r.refuse(OverLimit, at, r.l.head, fault{headCount, "with header and trailer these are more than five million lines"})
	}
	return nil
}

// detail takes one detail line.
func (r *reader) detail(t *tally, h *Header, line []byte, at int64) error {
	if bad := r.s.line(r.form, line); bad.bad() {
		return r.refuse(BadForm, at, r.form, bad)
	}
	r.row.take(r.s)
	if bad := r.row.check(r.l); bad.bad() {
		return r.refuse(BadForm, at, r.form, bad)
	}
	t.rows++
	if t.rows > h.Count {
		return r.why(SumsDiffer, at, "there are more details than the header counts")
	}
	if d := r.row.settled(); d != 0 && d != h.Date {
		return r.why(OtherDate, at, "the line is of another settlement date than the header")
	}
	n := int(r.row.number())
	if n < 1 || n > h.Count {
		return r.why(SumsDiffer, at, "the line's number is not from 1 to the header's count")
	}
	if !r.lines.add(n) {
		return r.why(Duplicate, at, "the line's number came before")
	}
	if r.keys.add(r.row) {
		return r.why(Duplicate, at, "the row came before under another line number")
	}
	if why := r.row.add(t); why != "" {
		return r.why(SumsDiffer, at, why)
	}
	if !t.inRange() {
		return r.why(SumsDiffer, at, "the sum has more than eighteen digits")
	}
	return nil
}

// trailer takes the last line.
func (r *reader) trailer(t *tally, sum *Summary, line []byte, at int64) error {
	f := r.l.tail
	if bad := r.s.line(f, line); bad.bad() {
		return r.refuse(BadForm, at, f, bad)
	}
	for _, x := range []struct {
		col  int
		same bool
	}{
		{tailCount, int(r.s.number(tailCount)) == sum.Count && sum.Count == t.rows},
		{tailP, r.s.money(tailP) == t.p}, {tailR, r.s.money(tailR) == t.r}, {tailF, r.s.money(tailF) == t.f},
	} {
		if !x.same {
			return r.refuse(SumsDiffer, at, f, fault{x.col, "is not what header and details come to"})
		}
	}
	if sum.Sum != t.net {
		return r.why(SumsDiffer, at, "the header's sum is not the net of the details")
	}
	if why := t.done(); why != "" {
		return r.why(SumsDiffer, at, why)
	}
	sum.P, sum.R, sum.F = t.p, t.r, t.f
	r.digest(int(at - r.base))
	d := r.whole
	if r.short != nil {
		d = r.short
	}
	if hex.EncodeToString(d.Sum(nil)) != string(r.s.v[tailDigest]) {
		return r.refuse(HashDiffers, at, f, fault{tailDigest, "is not that of the bytes before the trailer"})
	}
	if rest := at + int64(len(line)+r.l.crlf+1); rest != r.size {
		return r.why(Truncated, rest, "bytes stand after the trailer")
	}
	return nil
}

// after holds the whole against flag file and size.
func (r *reader) after(sum *Summary) error {
	r.digest(r.end)
	r.whole.Sum(sum.SHA256[:0])
	if r.want.Flag != nil && r.want.Flag.SHA256 != sum.SHA256 {
		return r.why(HashDiffers, r.size, "the hash is not that of the flag file")
	}
	if n, _ := r.src.ReadAt(r.buf[:1], r.size); n > 0 { // an error means that it ends here, as it should
		return r.why(HashDiffers, r.size, "the file has grown while it was read")
	}
	return nil
}

// next takes a line without its end, and says at which byte of the file it
// begins. io.EOF comes after the last.
func (r *reader) next() ([]byte, int64, error) {
	for {
		at := r.base + int64(r.start)
		n := bytes.IndexByte(r.buf[r.start:r.end], '\n')
		if n < 0 && r.end-r.start <= MaxLine+1 && r.base+int64(r.end) < r.size {
			if err := r.fill(); err != nil {
				return nil, at, err
			}
			continue
		}
		if n < 0 && r.start == r.end {
			return nil, at, io.EOF
		}
		r.line++
		line := r.buf[r.start : r.start+max(n, 0)]
		switch {
		case n > MaxLine+r.l.crlf, n < 0 && r.end-r.start > MaxLine+r.l.crlf:
			return nil, at, r.why(OverLimit, at, "the line has more than 1,024 bytes")
		case n < 0:
			return nil, at, r.why(Truncated, r.size, "the last line has no end")
		case r.l.CRLF && (n == 0 || line[n-1] != '\r'):
			return nil, at, r.why(BadForm, at, "the line does not end in CR LF")
		case r.line > MaxLines:
			return nil, at, r.why(OverLimit, at, "the file has more than five million lines")
		}
		r.start += n + 1
		return line[:n-r.l.crlf], at, nil
	}
}

// fill reads more behind what is not taken yet.
func (r *reader) fill() error {
	r.digest(r.start)
	copy(r.buf, r.buf[r.start:r.end])
	r.base += int64(r.start)
	r.start, r.end, r.hashed = 0, r.end-r.start, 0
	room := min(int64(len(r.buf)-r.end), r.size-r.base-int64(r.end))
	n, err := r.src.ReadAt(r.buf[r.end:r.end+int(room)], r.base+int64(r.end))
	r.end += n
	if int64(n) == room {
		return nil
	}
	if err == nil || err == io.EOF {
		return r.why(HashDiffers, r.base+int64(r.end), "the file has fewer bytes than its size says")
	}
	return fmt.Errorf("bankfile: read at byte %d: %w", r.base+int64(r.end), err)
}

// digest hashes the buffer up to a place.
func (r *reader) digest(to int) {
	if to <= r.hashed {
		return
	}
	r.whole.Write(r.buf[r.hashed:to])
	if r.short != nil {
		r.short.Write(r.buf[r.hashed:to])
	}
	r.hashed = to
}

// lineSet is which line numbers have come.
type lineSet []uint64

func (s *lineSet) grow(n int) { *s = make([]uint64, n/64+1) }

func (s lineSet) add(n int) bool {
	bit := uint64(1) << (n % 64)
	if s[n/64]&bit != 0 {
		return false
	}
	s[n/64] |= bit
	return true
}
