package printer

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hello is a document laid out by hand: reset, Chinese mode, centred, large and
// bold "你好" (C4E3 BAC3 in GB 18030), a barcode, a QR code, a cut.
var hello = []byte("\x1b@\x1c&\x1ba\x01\x1d!\x11\x1c!\x0c\x1bE\x01\xc4\xe3\xba\xc3\n" +
	"\x1dh\x48\x1dw\x02\x1dH\x00\x1dk\x49\x04{C\x0c\x22\n" +
	"\x1d(k\x04\x00\x31\x41\x32\x00\x1d(k\x05\x00\x31\x50\x30hi\x1d(k\x03\x00\x31\x51\x30\n\x1bd\x02\x1dVB\x03")

func TestInterpret(t *testing.T) {
	p, err := Interpret(hello)
	if err != nil {
		t.Fatal(err)
	}
	want := []Line{
		{Kind: Text, Text: "你好", Align: Center, Size: 2, Bold: true},
		{Kind: Code128, Text: "1234", Align: Center, Size: 1},
		{Kind: QR, Text: "hi", Align: Center, Size: 1},
		{Kind: Feed, Size: 2},
		{Kind: Cut},
	}
	if len(p.Lines) != len(want) {
		t.Fatalf("got %d lines %+v, want %d", len(p.Lines), p.Lines, len(want))
	}
	for i, l := range p.Lines {
		if l != want[i] {
			t.Errorf("line %d: got %+v, want %+v", i, l, want[i])
		}
	}
}

func TestInterpretRefuses(t *testing.T) {
	tests := []struct {
		name, doc string
		want      error
	}{
		{"unknown escape", "\x1bZ", ErrCommand},
		{"bell", "\x07", ErrCommand},
		{"align 3", "\x1ba\x03", ErrCommand},
		{"cut short", "\x1d(k\x09\x00", ErrShort},
		{"barcode set A", "\x1dk\x49\x03{A1", ErrSymbol},
		{"barcode pair 100", "\x1dk\x49\x03{Cd", ErrSymbol},
		{"QR without data", "\x1d(k\x03\x001Q0", ErrSymbol},
		{"half a character", "\xc4\n", ErrText},
	}
	for _, tt := range tests {
		if _, err := Interpret([]byte(tt.doc)); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
}

// FuzzInterpret feeds any bytes; a drawing must come out well formed.
func FuzzInterpret(f *testing.F) {
	f.Add(hello)
	for _, s := range []string{"", "\x1b", "\x1d(k\xff\xff", "\x1dk\x49\xff", "\x1d(k\x03\x001P0", "<&>\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		if len(doc) > 1<<12 {
			return
		}
		p, err := Interpret(doc)
		if err != nil {
			return
		}
		d := xml.NewDecoder(strings.NewReader(p.SVG()))
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				return
			} else if err != nil {
				t.Fatalf("the picture is not XML: %v", err)
			}
		}
	})
}

func TestSVG(t *testing.T) {
	p, err := Interpret(hello)
	if err != nil {
		t.Fatal(err)
	}
	svg := p.SVG()
	// 你好 at size 2 is 96 dots wide: it begins at (640-96)/2
	for _, want := range []string{`x="272 320"`, ">你好<", "<path d=\"M"} {
		if !strings.Contains(svg, want) {
			t.Errorf("SVG has no %s", want)
		}
	}
	if strings.Contains(svg, "http") && strings.Count(svg, "http") != 1 {
		t.Error("SVG refers to something outside itself")
	}
}

// serving serves a printer and returns a connection to it.
func serving(t *testing.T) (*Server, net.Conn, <-chan struct{}) {
	t.Helper()
	changed := make(chan struct{}, 16)
	s := New(func() time.Time { return time.Unix(0, 0) }, func() { changed <- struct{}{} })
	path := filepath.Join(t.TempDir(), "p")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Close()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return s, c, changed
}

func TestStatus(t *testing.T) {
	s, c, _ := serving(t)
	want := map[Fault][4]byte{ // DLE EOT 1 to 4
		None:     {0x12, 0x12, 0x12, 0x12},
		PaperLow: {0x12, 0x12, 0x12, 0x1E},
		PaperOut: {0x1A, 0x32, 0x12, 0x7E},
		Jam:      {0x1A, 0x52, 0x16, 0x12},
		Cutter:   {0x1A, 0x52, 0x1A, 0x12},
	}
	for f, bytes4 := range want {
		s.SetFault(f)
		for n := range 4 {
			if _, err := c.Write([]byte{0x10, 0x04, byte(n + 1)}); err != nil {
				t.Fatal(err)
			}
			var b [1]byte
			if _, err := io.ReadFull(c, b[:]); err != nil {
				t.Fatal(err)
			}
			if b[0] != bytes4[n] {
				t.Errorf("%s, DLE EOT %d: got %02x, want %02x", f, n+1, b[0], bytes4[n])
			}
		}
	}
}

// TestPrint prints in small pieces and reads the process id back.
func TestPrint(t *testing.T) {
	s, c, changed := serving(t)
	doc := append(append([]byte{}, hello...), 0x1D, '(', 'H', 6, 0, 48, 48, 'a', 'b', 'c', 'd')
	for len(doc) > 0 {
		n := min(7, len(doc))
		if _, err := c.Write(doc[:n]); err != nil {
			t.Fatal(err)
		}
		doc = doc[n:]
	}
	got := make([]byte, 7)
	if _, err := io.ReadFull(c, got); err != nil {
		t.Fatal(err)
	}
	if want := []byte("\x37\x22abcd\x00"); !bytes.Equal(got, want) {
		t.Errorf("process id answer % x, want % x", got, want)
	}
	<-changed
	papers := s.Papers()
	if len(papers) != 1 || !papers[0].Whole || !papers[0].Paper.Cut || papers[0].No != 1 {
		t.Errorf("papers %+v, want one whole one", papers)
	}
	s.Clear()
	if len(s.Papers()) != 0 {
		t.Error("paper is left after Clear")
	}
}

func TestOfflineHangsUp(t *testing.T) {
	s, c, _ := serving(t)
	if _, err := c.Write([]byte{0x10, 0x04, 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	s.SetFault(Offline)
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("an offline printer answers")
	}
}

// TestPapersBound keeps the newest strips.
func TestPapersBound(t *testing.T) {
	s := New(time.Now, nil)
	doc := append(append([]byte{}, hello...), 0x1D, '(', 'H', 6, 0, 48, 48, 'a', 'b', 'c', 'd')
	for range maxPapers + 1 {
		s.print(io.Discard, doc)
	}
	p := s.Papers()
	if len(p) != maxPapers || p[0].No != 2 || p[len(p)-1].No != maxPapers+1 {
		t.Errorf("kept %d strips, first %d: want %d from number 2 on", len(p), p[0].No, maxPapers)
	}
}
