package paper

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const family = "Noto Sans CJK SC"

func fontBytes(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile("/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc")
	if err != nil {
		t.Fatalf("%v: install fonts-noto-cjk", err)
	}
	return b
}

func open(t testing.TB) *Font {
	t.Helper()
	f, err := OpenFont(fontBytes(t), family)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// write makes a file of pages with one line each.
func write(t testing.TB, f *Font, lines ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	d := New(&b, f, "試験 <(\\)>")
	for _, s := range lines {
		p := d.Page()
		p.Text(200, 300, 60, s)
		if err := d.Add(p); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// read gives the text that poppler finds, which must have nothing to complain of.
func read(t testing.TB, pdf []byte, tool string, args ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "f.pdf")
	if err := os.WriteFile(path, pdf, 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	c := exec.Command(tool, append(args, path, "-")...)
	if tool == "pdffonts" || tool == "pdfinfo" {
		c = exec.Command(tool, append(args, path)...)
	}
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); err != nil || errs.Len() > 0 {
		t.Fatalf("%s: %v: %s", tool, err, errs.String())
	}
	return out.String()
}

// TestText holds that what is written can be read: digits of both widths, the
// capitals of vouchers, a name with a middle dot, characters of every plane.
func TestText(t *testing.T) {
	lines := []string{
		"0123456789 ABCxyz ,.()", "０１２３４５６７８９", "零壹贰叁肆伍陆柒捌玖拾佰仟万亿元角分整", "阿依古丽·麦麦提", "𠮷田 王㛃 赵䶮 李𬀩", "￥1,234.56",
	}
	pdf := write(t, open(t), lines...)
	got := strings.Split(strings.TrimRight(read(t, pdf, "pdftotext"), "\f"), "\f")
	for i, want := range lines {
		if i >= len(got) || strings.TrimSpace(got[i]) != want {
			t.Errorf("page %d: got %q, want %q", i+1, strings.TrimSpace(strings.Join(got[i:min(i+1, len(got))], "")), want)
		}
	}
	if s := read(t, pdf, "pdffonts"); !strings.Contains(s, "CID Type 0C") || strings.Count(s, "\n") != 3 || !strings.Contains(s, "yes yes yes") {
		t.Errorf("want one font, embedded, a subset, with characters: %s", s)
	}
	if s := read(t, pdf, "pdfinfo"); !strings.Contains(s, "A4") || !strings.Contains(s, "試験 <(\\)>") {
		t.Errorf("pdfinfo: %s", s)
	}
}

// TestOutlines draws every kind of glyph that notices use and looks that ink is
// on the page: an outline that a reader refuses is left out silently.
func TestOutlines(t *testing.T) {
	f := open(t)
	for _, s := range []string{"国", "𠮷", "A", "8", "￥", "·", "壹", "ａ"} {
		pdf := write(t, f, s)
		path := filepath.Join(t.TempDir(), "f.pdf")
		if err := os.WriteFile(path, pdf, 0o600); err != nil {
			t.Fatal(err)
		}
		pgm, err := exec.Command("pdftoppm", "-r", "50", "-gray", path).Output()
		if err != nil {
			t.Fatal(err)
		}
		if white := bytes.Count(pgm, []byte{0xFF}); white == 0 || white > len(pgm)-20 {
			t.Errorf("%s: the page is blank", s)
		}
	}
}

func TestSame(t *testing.T) {
	f := open(t)
	if a, b := write(t, f, "一二三", "abc"), write(t, f, "一二三", "abc"); !bytes.Equal(a, b) {
		t.Error("the same pages gave other bytes")
	}
	if n := len(write(t, f, "一")); n > 8<<10 {
		t.Errorf("one character takes %d bytes: more than it needs of the font is in the file", n)
	}
}

// TestMissing names what the font lacks, once.
func TestMissing(t *testing.T) {
	f := open(t)
	d := New(io.Discard, f, "")
	p := d.Page()
	p.Text(0, 0, 40, "好\U000F0000\U000F0001\U000F0000")
	if got := d.Missing(); !slices.Equal(got, []rune{0xF0000, 0xF0001}) {
		t.Errorf("got %U", got)
	}
	if f.Has(0xF0000) || !f.Has('𠮷') {
		t.Error("Has")
	}
}

// TestTree has pages on one node, on the bound and beyond.
func TestTree(t *testing.T) {
	f := open(t)
	for _, n := range []int{1, branch, branch + 1, 3*branch + 1} {
		lines := make([]string, n)
		for i := range lines {
			lines[i] = fmt.Sprintf("page%d", i+1)
		}
		got := strings.Split(strings.TrimRight(read(t, write(t, f, lines...), "pdftotext"), "\f"), "\f")
		for i, want := range lines {
			if i >= len(got) || strings.TrimSpace(got[i]) != want {
				t.Fatalf("%d pages: page %d is not %q", n, i+1, want)
			}
		}
	}
}

func TestFitAndEdges(t *testing.T) {
	f := open(t)
	d := New(io.Discard, f, "")
	if w := f.Width("国国", 40); w != 80 {
		t.Errorf("two square characters of 40: %d wide, want 80", w)
	}
	for _, c := range []struct {
		text string
		size string
	}{{"国国", "/F 40 "}, {strings.Repeat("国", 10), "/F 20 "}, {strings.Repeat("国", 100), "/F 14 "}} {
		p := d.Page()
		if p.Fit(0, 0, 40, 200, c.text); !bytes.Contains(p.body, []byte(c.size)) {
			t.Errorf("%d characters in 200: got %s, want %s", len([]rune(c.text)), p.body, c.size)
		}
	}
	p := d.Page()
	p.Right(100, 0, 40, "国")
	p.Centre(100, 0, 40, "国")
	if !bytes.Contains(p.body, []byte(" 60 2970 Td")) || !bytes.Contains(p.body, []byte(" 80 2970 Td")) {
		t.Errorf("right and centre: %s", p.body)
	}
}

type full struct{ left int }

func (w *full) Write(b []byte) (int, error) {
	if w.left -= len(b); w.left < 0 {
		return 0, errors.New("disk full")
	}
	return len(b), nil
}

// TestErrors: a writer that fails is told at once and at the end, and a file
// without pages is none.
func TestErrors(t *testing.T) {
	f := open(t)
	d := New(&full{100}, f, "")
	p := d.Page()
	p.Text(0, 0, 40, "一")
	if err := d.Add(p); err == nil {
		t.Error("Add: the full disk was not told")
	}
	if err := d.Close(); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("Close: got %v", err)
	}
	if New(io.Discard, f, "").Close() == nil {
		t.Error("a file without pages was closed well")
	}
	d = New(io.Discard, f, "")
	d.pages = make([]int, MaxPages-1)
	if err := d.Add(d.Page()); err != nil {
		t.Errorf("the last page: %v", err)
	}
	if err := d.Add(d.Page()); !errors.Is(err, ErrPages) {
		t.Errorf("one page too many: got %v", err)
	}
	for _, bad := range [][]byte{nil, []byte("ttcf"), []byte("%!PS"), fontBytes(t)[:100_000]} {
		if _, err := OpenFont(bad, family); !errors.Is(err, ErrFont) {
			t.Errorf("%d bytes: got %v", len(bad), err)
		}
	}
	if _, err := OpenFont(fontBytes(t), "Noto Sans Nowhere"); !errors.Is(err, ErrFont) {
		t.Errorf("no such family: got %v", err)
	}
}

// TestLevels holds the bounds of an outline at the limit and one beyond.
func TestLevels(t *testing.T) {
	// A chain of subroutines: each calls the next, the last ends. With less than
	// 1,240 of them number n is called as n-107.
	chain := func(n int) *cff {
		var list [][]byte
		for i := range n - 1 {
			list = append(list, []byte{byte(i + 1 - 107 + 139), 10})
		}
		list = append(list, []byte{14})
		x, err := readIndex(appendIndex(nil, list), 0)
		if err != nil {
			t.Fatal(err)
		}
		return &cff{chars: x}
	}
	for n, ok := range map[int]bool{1: true, maxLevels: true, maxLevels + 1: false} {
		c := chain(n)
		got, err := c.flat(table{byte(-107 + 139), 10}, c.chars)
		if (err == nil) != ok || ok && !bytes.Equal(got, []byte{14}) {
			t.Errorf("%d levels: got %x, %v", n, got, err)
		}
	}
	// Subroutines that write nothing and call on and on.
	var list [][]byte
	for i := range maxLevels {
		list = append(list, bytes.Repeat([]byte{byte(i + 1 - 107 + 139), 10}, 30))
	}
	x, err := readIndex(appendIndex(nil, append(list, []byte{11})), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (&cff{}).flat(table{byte(-107 + 139), 10, 14}, x); !errors.Is(err, ErrFont) {
		t.Errorf("30 calls on each of %d levels: %v", maxLevels, err)
	}
	long := append(bytes.Repeat([]byte{139, 139, 5}, maxOutline/3+1), 139, 14)
	if _, err := (&cff{}).flat(long, index{}); !errors.Is(err, ErrFont) {
		t.Errorf("an outline that is too long: %v", err)
	}
	if _, err := (&cff{}).flat(append(bytes.Repeat([]byte{139}, maxOperands), 14), index{}); err != nil {
		t.Errorf("%d operands: %v", maxOperands, err)
	}
	if _, err := (&cff{}).flat(append(bytes.Repeat([]byte{139}, maxOperands+1), 14), index{}); !errors.Is(err, ErrFont) {
		t.Errorf("%d operands: %v", maxOperands+1, err)
	}
}

// smallFont is a font of a few glyphs cut out of the real one, in the container
// of a single face: small enough to be a seed.
func smallFont(t testing.TB) []byte {
	t.Helper()
	f := open(t)
	glyphs := []int{0, f.glyph('一'), f.glyph('A'), f.glyph('𠮷')}
	outlines, err := f.cff.subset("Small", glyphs)
	if err != nil {
		t.Fatal(err)
	}
	be := func(v ...int) []byte {
		var b []byte
		for _, n := range v {
			b = append(b, byte(n>>8), byte(n))
		}
		return b
	}
	head, hhea, os2 := make([]byte, 54), make([]byte, 36), make([]byte, 96)
	copy(head[18:], be(1000))
	copy(hhea[34:], be(4))
	var name []byte
	for _, s := range []string{"Small", "Small"} {
		for _, c := range s {
			name = append(name, 0, byte(c))
		}
	}
	name = append(be(0, 2, 30, 3, 1, 0x409, 1, 10, 0, 3, 1, 0x409, 6, 10, 10), name...)
	cmap := be(0, 1, 3, 10, 0, 12, 12, 0, 0, 52, 0, 0, 0, 3)
	for i, r := range []int{'A', '一', '𠮷'} {
		cmap = append(cmap, be(r>>16, r, r>>16, r, 0, []int{2, 1, 3}[i])...)
	}
	tables := []struct {
		tag  string
		body []byte
	}{{"head", head}, {"hhea", hhea}, {"hmtx", be(1000, 0, 1000, 0, 600, 0, 1000, 0)}, {"maxp", be(0, 1, 4)}, {"OS/2", os2}, {"name", name}, {"cmap", cmap}, {"CFF ", outlines}}
	out := append([]byte("OTTO"), be(len(tables), 0, 0, 0)...)
	at := len(out) + 16*len(tables)
	var bodies []byte
	for _, t := range tables {
		out = append(append(out, t.tag...), be(0, 0, (at+len(bodies))>>16, at+len(bodies), len(t.body)>>16, len(t.body))...)
		bodies = append(bodies, t.body...)
	}
	return append(out, bodies...)
}

// TestSmallFont: what subset writes is itself a font that can be read.
func TestSmallFont(t *testing.T) {
	f, err := OpenFont(smallFont(t), "Small")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(read(t, write(t, f, "A一𠮷"), "pdftotext")); got != "A一𠮷" {
		t.Errorf("got %q", got)
	}
}

// FuzzOpenFont feeds OpenFont broken fonts: it refuses, or pages can be made with
// what it gives.
func FuzzOpenFont(f *testing.F) {
	f.Add(smallFont(f))
	f.Add([]byte("ttcf\x00\x01\x00\x00\x00\x00\x00\x01\x00\x00\x00\x10"))
	f.Fuzz(func(t *testing.T, b []byte) {
		font, err := OpenFont(b, "Small")
		if err != nil {
			return
		}
		d := New(io.Discard, font, "")
		p := d.Page()
		p.Text(0, 0, 40, "A一𠮷b")
		if d.Add(p) == nil {
			if err := d.Close(); err != nil && !errors.Is(err, ErrFont) {
				t.Errorf("closed with %v", err)
			}
		}
	})
}
