package bankfile

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
)

// Source is one file for Diff.
type Source struct {
	File   io.ReaderAt
	Size   int64
	Want   Want
	Layout *Layout
}

// Change is one detail that two versions of a file do not have alike. A line
// number that is another is no change.
type Change struct {
	Kind   ChangeKind
	Old    int64    // byte offset of the line in the old version; -1: Added
	New    int64    // in the new one; -1: Gone
	Fields []string // of a Changed one, by the names of the specification, in the order of the line
}

// ChangeKind is what became of a row.
type ChangeKind uint8

// The kinds of change.
const (
	Gone ChangeKind = iota + 1
	Added
	Changed
)

// Diff reads two versions of one details file whole and lists what became of the
// rows, each known by type and host serial: first by kind of change, then in the
// order of the file. A file that Read refuses is refused here. Besides the
// changes it holds 40 bytes for each row of both.
func Diff(before, after Source) ([]Change, error) {
	a, err := before.rows()
	if err != nil {
		return nil, fmt.Errorf("bankfile: diff, old version: %w", err)
	}
	b, err := after.rows()
	if err != nil {
		return nil, fmt.Errorf("bankfile: diff, new version: %w", err)
	}
	var out []Change
	for len(a) > 0 || len(b) > 0 {
		order := 0
		switch {
		case len(b) == 0:
			order = -1
		case len(a) == 0:
			order = 1
		default:
			order = bytes.Compare(a[0].key[:], b[0].key[:])
		}
		switch {
		case order < 0:
			out, a = append(out, Change{Gone, a[0].at, -1, nil}), a[1:]
		case order > 0:
			out, b = append(out, Change{Added, -1, b[0].at, nil}), b[1:]
		default:
			if a[0].rest != b[0].rest {
				c := Change{Changed, a[0].at, b[0].at, nil}
				if c.Fields, err = differing(before, after, c); err != nil {
					return nil, err
				}
				out = append(out, c)
			}
			a, b = a[1:], b[1:]
		}
	}
	slices.SortFunc(out, func(x, y Change) int {
		return cmp.Or(cmp.Compare(x.Kind, y.Kind), cmp.Compare(x.Old, y.Old), cmp.Compare(x.New, y.New))
	})
	return out, nil
}

// whole is how rows are compared: in fen, however the file has them.
var whole = new(Layout)

// brief is a row as Diff holds it: halves of hashes of what names it and of all
// else but its line number.
type brief struct {
	key, rest [16]byte
	at        int64
}

func (s Source) rows() ([]brief, error) {
	var out []brief
	p := pen{l: whole}
	var key []byte
	_, err := Read(s.File, s.Size, s.Layout, s.Want, func(d *Detail) error {
		key = d.key(key[:0])
		x := brief{key: half(key), at: d.Offset}
		p.reset()
		d.put(&p)
		from := p.ends[0] // behind the line number
		for _, end := range p.ends[1:p.n] {
			p.buf = append(p.buf, byte(end-from), byte((end-from)>>8)) // where fields end tells them apart
		}
		x.rest = half(p.buf[from:])
		out = append(out, x)
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(out, func(a, b brief) int { return bytes.Compare(a.key[:], b.key[:]) })
	return out, nil
}

func half(b []byte) (h [16]byte) {
	sum := sha256.Sum256(b)
	copy(h[:], sum[:])
	return h
}

// differing names the fields of a changed row.
func differing(before, after Source, c Change) ([]string, error) {
	var fields [2][maxFields][]byte
	for i, x := range []struct {
		s  Source
		at int64
	}{{before, c.Old}, {after, c.New}} {
		d, err := Reread[Detail](x.s.File, x.s.Layout, x.at)
		if err != nil {
			return nil, err
		}
		p := pen{l: whole}
		d.put(&p)
		from := 0
		for n, end := range p.ends[:p.n] {
			fields[i][n], from = p.buf[from:end], end
		}
	}
	var out []string
	for n, col := range detailColumns {
		if n > 0 && !bytes.Equal(fields[0][n], fields[1][n]) {
			out = append(out, col.name)
		}
	}
	return out, nil
}
