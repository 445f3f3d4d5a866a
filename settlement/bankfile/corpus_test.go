package bankfile

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the corpus anew")

// The corpus is broken files, at least twenty for each code that a reader can
// find. corpus makes them: a good file of ten details, or a good statement of
// four entries, each spoilt in one way; the hash in the trailer is made right
// again unless it is what is wrong. testdata/corpus holds the same bytes, for
// other readers and for the eye; -update writes them.

// corpusFile is one broken file. read refuses it.
type corpusFile struct {
	code Code
	name string
	b    []byte
	read func(b []byte) error
}

// draft is a details file on its way to being spoilt, line by line.
type draft struct {
	l     *Layout
	lines [][]byte // with their ends; the first is the header, the last the trailer
}

const corpusDetails = 10

func draftOf(t testing.TB, s Settings) *draft {
	l := layoutOf(t, s)
	b, _ := fileOf(t, l, corpusDetails)
	if s.Fixed == nil { // so that a bar is a separator
		b = bytes.ReplaceAll(b, []byte("\x87|"), nil)
	}
	return &draft{l, bytes.SplitAfter(bytes.TrimSuffix(b, []byte("\n")), []byte("\n"))}
}

// bytes is the file with a right hash, if its last line still is a trailer.
func (d *draft) bytes() []byte {
	last := len(d.lines) - 1
	return append(d.seal(bytes.Join(d.lines[:last], nil), bytes.Clone(d.lines[last])), '\n')
}

// seal puts the hash of body into a trailer without its line end, if it has a
// place for one, and joins them.
func (d *draft) seal(body, tail []byte) []byte {
	digest := fmt.Sprintf("%x", sha256.Sum256(body))
	if d.l.Digest == MD5 {
		digest = fmt.Sprintf("%x", md5.Sum(body))
	}
	separator := []byte(d.l.Separator)
	if d.l.Fixed != nil {
		copy(tail[min(48, len(tail)):], digest)
	} else if f := bytes.Split(tail, separator); len(f) == 7 {
		f[5] = []byte(digest)
		tail = bytes.Join(f, separator)
	}
	return append(body, tail...)
}

// set puts a value into a field: 0 is the letter of the line.
func (d *draft) set(line, field int, value string) *draft {
	f := bytes.Split(d.lines[line], []byte("|"))
	if field >= len(f)-1 {
		panic("no such field")
	}
	f[field] = []byte(value)
	d.lines[line] = bytes.Join(f, []byte("|"))
	return d
}

func (d *draft) get(line, field int) string {
	return string(bytes.Split(d.lines[line], []byte("|"))[field])
}

func corpus(t testing.TB) []corpusFile {
	var out []corpusFile
	plain := Want{Name: nameOf(Details)}
	reading := func(l *Layout, want Want) func([]byte) error {
		return func(b []byte) error { _, _, err := readAll(b, l, want); return err }
	}
	add := func(code Code, d *draft, b []byte, format string, args ...any) {
		out = append(out, corpusFile{code, fmt.Sprintf(format, args...), b, reading(d.l, plain)})
	}
	fresh := func() *draft { return draftOf(t, Settings{}) }
	spoil := func(code Code, name string, f func(*draft)) {
		d := fresh()
		f(d)
		add(code, d, d.bytes(), "%s", name)
	}
	field := func(code Code, line, field int, value, name string) {
		spoil(code, name, func(d *draft) { d.set(line, field, value) })
	}
	good := fresh()
	whole := good.bytes()
	if _, _, err := readAll(whole, good.l, plain); err != nil {
		t.Fatalf("the file that is spoilt: %v", err)
	}

	// Q02
	for n := range corpusDetails + 1 {
		add(Truncated, good, bytes.Join(good.lines[:n+1], nil), "ends-after-line-%d", n+1)
	}
	add(Truncated, good, nil, "empty")
	for _, n := range []int{1, 2, 10, 40, 65, 90} {
		add(Truncated, good, whole[:len(whole)-n], "last-line-lacks-%d", n)
	}
	for name, more := range ordered[string]("line-end", "\n", "letter", "x", "zero-byte", "\x00", "second-trailer", string(good.lines[11])+"\n",
		"detail", string(good.lines[3]), "whole-file-again", string(whole)) {
		add(Truncated, good, append(bytes.Clone(whole), more...), "then-%s", name)
	}

	// Q03
	for name, v := range ordered[string]("less", "9", "more", "11") {
		field(SumsDiffer, 0, 8, v, "header-counts-"+name)
		field(SumsDiffer, 11, 1, v, "trailer-counts-"+name)
	}
	for _, by := range []int{-1, 1, 100} {
		var net, p, r, f int
		fmt.Sscan(good.get(0, 9), &net)
		fmt.Sscan(good.get(11, 2), &p)
		fmt.Sscan(good.get(11, 3), &r)
		fmt.Sscan(good.get(11, 4), &f)
		field(SumsDiffer, 0, 9, fmt.Sprint(net+by), fmt.Sprintf("header-sum%+d", by))
		for i, x := range []int{p, r, f} {
			field(SumsDiffer, 11, 2+i, fmt.Sprint(x+by), fmt.Sprintf("sum-%c%+d", "PRF"[i], by))
		}
		for _, n := range []int{1, 8, 9} {
			var a int
			fmt.Sscan(good.get(n, 13-1), &a)
			field(SumsDiffer, n, 12, fmt.Sprint(a+by), fmt.Sprintf("amount-of-line-%d%+d", n, by))
		}
	}
	field(SumsDiffer, 0, 9, "-"+good.get(0, 9), "header-sum-negative")
	field(SumsDiffer, 4, 1, "0", "line-number-0")
	field(SumsDiffer, 4, 1, "11", "line-number-beyond-count")
	spoil(SumsDiffer, "a-detail-is-gone", func(d *draft) { d.lines = append(d.lines[:3], d.lines[4:]...) })

	// Q04
	digest := good.get(11, 5)
	for i := 0; i < 64; i += 6 {
		d := fresh()
		c := byte('0')
		if digest[i] == c {
			c = 'f'
		}
		b := bytes.Clone(whole)
		b[len(b)-2-64+i] = c
		add(HashDiffers, d, b, "trailer-hash-digit-%d", i+1)
	}
	for n := 1; n <= 5; n++ {
		b := bytes.Clone(whole)
		at := bytes.Index(b, good.lines[n]) + bytes.IndexByte(good.lines[n], 'H')
		b[at] = 'G'
		add(HashDiffers, good, b, "serial-of-line-%d", n)
	}
	d := draftOf(t, Settings{Digest: MD5})
	b := d.bytes()
	b[len(b)-4] ^= 1
	if b[len(b)-4] > 'f' || b[len(b)-4] > '9' && b[len(b)-4] < 'a' {
		b[len(b)-4] = '0'
	}
	add(HashDiffers, d, b, "trailer-MD5")
	ok := Flag{Name: plain.Name.String(), Size: int64(len(whole)), SHA256: sha256.Sum256(whole)}
	flagged := func(name string, f Flag) {
		out = append(out, corpusFile{HashDiffers, name, whole, reading(good.l, Want{plain.Name, &f})})
	}
	for name, f := range ordered[func(*Flag)]("size+1", func(f *Flag) { f.Size++ }, "size-1", func(f *Flag) { f.Size-- }, "hash", func(f *Flag) { f.SHA256[31] ^= 1 },
		"name", func(f *Flag) { f.Name = strings.Replace(f.Name, "v1", "v2", 1) }) {
		x := ok
		f(&x)
		flagged("flag-file-has-another-"+name, x)
	}
	text := string(ok.Append(nil))
	for name, s := range ordered[string]("empty", "", "hash-in-capitals", strings.ToUpper(text[len(text)-68:]), "no-last-separator", strings.TrimSuffix(text, "|\n"),
		"hash-of-66-digits", strings.Replace(text, "|\n", "00|\n", 1), "hash-of-62-digits", text[:len(text)-4]+"|\n",
		"size-with-zero", strings.Replace(text, "|", "|0", 1), "path", "../"+text, "second-line", text+text, "long", text+strings.Repeat(" ", MaxFlag)) {
		out = append(out, corpusFile{HashDiffers, "flag-file-" + name, []byte(s), func(b []byte) error { _, err := ParseFlag(b); return err }})
	}

	// Q05
	for i, values := range [][]string{2: {"T", "A", "M", "B", "R"}, 3: {"icbc", "ccb2", "cc"}, 4: {"330111", "330100", "110110"},
		5: {"20261121", "20261123", "20251122"}, 6: {"002", "000", "999"}, 7: {"02", "00", "99"}} {
		for _, v := range values {
			field(Misplaced, 0, i, v, fmt.Sprintf("header-%s-%s", strings.ReplaceAll(headColumns[max(i-1, 0)].name, " ", "-"), v))
		}
	}

	// Q06
	for i, values := range [][]string{
		1: {"SHEBAO-RECON-2", "", "SHEBAO-RECON-11"}, 4: {"33011", "33O110"}, 5: {"20260230", "2026112", "19991231"}, 6: {"1", "0001"}, 7: {"1"},
		8: {"-10", "010", "ten"}, 9: {"+1", "-0", "1.00", "9999999999999999999"}, 10: {"20261123240000", "20261323010203"},
		11: {"20261121", "20261121:zz", "20261121:" + strings.Repeat("A", 64)}, 12: {strings.Repeat("a", 63), strings.Repeat("G", 64)}} {
		for n, v := range values {
			field(BadForm, 0, i, v, fmt.Sprintf("header-field-%d-%d", i+1, n+1))
		}
	}
	for i, values := range [][]string{
		0: {"X", "", "DD"}, 1: {"", "x", "01", "123456789"}, 2: {"X", "", "p"}, 3: {"", strings.Repeat("S", 21), "A B"}, 4: {"00000000001", "", "0000000000012"},
		5: {"00000", "0000A1", ""}, 6: {"1332010101", "1122250000", "11220000"}, 7: {"4833O113", "123456789012"}, 8: {"7011003", ""},
		9: {"20261131", "2026-11-22", ""}, 10: {"240000", "126000", "1200"}, 11: {"20261131", ""}, 12: {"0", "-10001", "010001", "100.01", "1000000000000", "", "1O001"},
		13: {"D", "X", ""}, 14: {"6299000012341234", "629900**1234", "62990*******1234", "629900******123x"}, 15: {strings.Repeat("N", 33), "A B"},
		16: {"SI-INCOME"}, 17: {"0", "000", ""}, 18: {"H000000000009"},
		19: {"a\x00b", "a\tb", "a\rb", "a\x7fb", " a", "a ", "\x81", "\x80a", "a\xff", "\xb2\x20", "\x81\x30\x81", "\x81\x30\x81\x30", "\xfe\x39\xfe\x39", "\x84\x31\xa4\x37",
			"\x84\x31\x95\x33", "\x81\x36\xa7\x31", strings.Repeat("n", 121)}} {
		for n, v := range values {
			field(BadForm, 1, i, v, fmt.Sprintf("detail-field-%d-%d", i+1, n+1))
		}
	}
	field(BadForm, 7, 18, "", "reversal-without-original")
	field(BadForm, 7, 13, "C", "reversal-that-credits")
	for i, values := range [][]string{1: {"x", "-1", ""}, 2: {"-1", "1.0"}, 4: {"01"}} {
		for n, v := range values {
			field(BadForm, 11, i, v, fmt.Sprintf("trailer-field-%d-%d", i+1, n+1))
		}
	}
	spoil(BadForm, "field-too-many", func(d *draft) { d.lines[2] = bytes.Replace(d.lines[2], []byte("|P|"), []byte("|P||"), 1) })
	spoil(BadForm, "field-too-few", func(d *draft) { d.lines[2] = bytes.Replace(d.lines[2], []byte("|P|"), []byte("|"), 1) })
	spoil(BadForm, "no-last-separator", func(d *draft) { d.lines[2] = bytes.Replace(d.lines[2], []byte("|\n"), []byte("\n"), 1) })
	spoil(BadForm, "blank-line", func(d *draft) { d.lines[2] = append([]byte("\n"), d.lines[2]...) })
	spoil(BadForm, "line-ends-in-CRLF", func(d *draft) { d.lines[2] = bytes.Replace(d.lines[2], []byte("\n"), []byte("\r\n"), 1) })
	spoil(BadForm, "second-header", func(d *draft) { d.lines[2] = d.lines[0] })
	spoil(BadForm, "no-header", func(d *draft) { d.lines = d.lines[1:] })
	for name, mark := range ordered[string]("UTF-8", "\xef\xbb\xbf", "GB18030", "\x84\x31\x95\x33", "UTF-16", "\xff\xfe") {
		add(BadForm, good, append([]byte(mark), whole...), "byte-order-mark-%s", name)
	}
	other := func(name string, s Settings, f func(*draft)) {
		d := draftOf(t, s)
		f(d)
		add(BadForm, d, d.bytes(), "%s", name)
	}
	other("CRLF-file-with-LF", Settings{CRLF: true}, func(d *draft) { d.lines[2] = bytes.Replace(d.lines[2], []byte("\r\n"), []byte("\n"), 1) })
	other("GBK-file-with-four-bytes", Settings{Charset: GBK}, func(d *draft) { d.set(1, 19, "\x95\x32\x82\x36") })
	for n, v := range []string{"\xc0\xaf", "\xe6\xb1", "\xed\xa0\x80", "\xef\xbb\xbfa", "\xc2\x85", "\xe2\x80\xae"} {
		other(fmt.Sprintf("UTF-8-%d", n+1), Settings{Charset: UTF8}, func(d *draft) { d.set(1, 19, v) })
	}
	for n, v := range []string{"1", "1.0", "1.000", ".50", "01.00", "-1.00", "1,00"} {
		other(fmt.Sprintf("decimals-%d", n+1), Settings{Decimals: true}, func(d *draft) { d.set(1, 12, v) })
	}
	fixed := Settings{Fixed: Reference()}
	put := func(at int, s string) func(*draft) { return func(d *draft) { copy(d.lines[1][at:], s) } }
	other("fixed-character-over-two-columns", fixed, put(192, "\xca\xbe"))
	other("fixed-four-byte-character-over-two-columns", fixed, put(191, "\x95\x32\x82\x36"))
	other("fixed-character-cut-at-the-end", fixed, put(219, "\xca"))
	other("fixed-letter-in-STAN", fixed, put(41, "00000x"))
	other("fixed-letter-in-amount", fixed, put(98, "000000000x001"))
	other("fixed-amount-of-spaces", fixed, put(98, "             "))
	other("fixed-date-of-zeros", fixed, put(76, "00000000"))
	other("fixed-record-one-longer", fixed, func(d *draft) { d.lines[1] = append([]byte("P"), d.lines[1]...) })
	other("fixed-record-one-shorter", fixed, func(d *draft) { d.lines[1] = d.lines[1][1:] })
	other("fixed-filler", fixed, func(d *draft) { d.lines[0][218] = 'x' })

	// Q07
	for n := 2; n <= 10; n++ {
		field(Duplicate, n, 1, "1", fmt.Sprintf("line-number-of-line-%d", n))
	}
	for _, a := range []int{1, 2, 3} {
		for _, b := range []int{4, 5, 6, 10} {
			field(Duplicate, b, 3, good.get(a, 3), fmt.Sprintf("serial-of-%d-in-%d", a, b))
		}
	}

	// Q08
	for n := 1; n <= corpusDetails; n++ {
		for _, day := range []string{"20261121", "20261123"} {
			field(OtherDate, n, 11, day, fmt.Sprintf("line-%d-of-%s", n, day))
		}
	}

	// Q09
	for n := range corpusDetails + 2 {
		spoil(OverLimit, fmt.Sprintf("line-%d-of-1025-bytes", n+1), func(d *draft) {
			more := MaxLine + 1 - len(bytes.TrimSuffix(d.lines[n], []byte("\n")))
			d.lines[n] = append(bytes.Repeat([]byte("x"), more), d.lines[n]...)
		})
	}
	for _, v := range []string{"4999999", "5000000", "5000001", "99999999"} {
		field(OverLimit, 0, 8, v, "header-counts-"+v)
	}
	add(OverLimit, good, bytes.Repeat([]byte("H"), MaxLine+1), "no-line-end-at-all")
	add(OverLimit, good, append(bytes.Clone(good.lines[0]), bytes.Repeat([]byte("D"), 4*MaxLine)...), "no-line-end-after-the-header")

	return append(out, statementCorpus(t)...)
}

// ordered walks pairs of a name and a value in the order they are given.
func ordered[V any](pairs ...any) func(func(string, V) bool) {
	return func(yield func(string, V) bool) {
		for i := 0; i < len(pairs); i += 2 {
			if !yield(pairs[i].(string), pairs[i+1].(V)) {
				return
			}
		}
	}
}

// TestCorpus: each broken file is refused with its code, and testdata holds it.
func TestCorpus(t *testing.T) {
	count, names := map[Code]int{}, map[string]bool{}
	dir := filepath.Join("testdata", "corpus")
	if *update {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range corpus(t) {
		end := ".txt"
		if bytes.HasPrefix(f.b, []byte("<")) {
			end = ".xml"
		}
		path := filepath.Join(dir, f.code.String(), f.name+end)
		if names[path] {
			t.Errorf("%s comes twice in the corpus", path)
		}
		names[path] = true
		count[f.code]++
		err := f.read(f.b)
		q, ok := errors.AsType[*Quarantine](err)
		if !ok || q.Code != f.code || q.Why == "" || q.Offset < 0 || q.Offset > int64(len(f.b))+1 {
			t.Errorf("%s: read says %v, want %s", path, err, f.code)
		}
		if *update {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, f.b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if stored, err := os.ReadFile(path); err != nil || !bytes.Equal(stored, f.b) {
			t.Errorf("%s is not what the generator makes (%v): run with -update", path, err)
		}
	}
	for c := Truncated; c <= BadStatement; c++ {
		if count[c] < 20 {
			t.Errorf("the corpus has %d files of %s, want 20", count[c], c)
		}
	}
	stored, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil || len(stored) != len(names) {
		t.Errorf("testdata holds %d broken files, the generator makes %d (%v)", len(stored), len(names), err)
	}
}
