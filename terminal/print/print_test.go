package print

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/termapi"
	"github.com/shebao-pay/shebao/simulators/printer"
)

var update = flag.Bool("update", false, "write the golden files")

func sample() termapi.Receipt {
	return termapi.Receipt{
		No:      si.ReceiptNo{Area: 330110, Date: si.Date(2026, time.November, 22), Seq: 17}.String(),
		Payment: "0193a1b2c3d4e5f60718293a4b5c6d7e", Time: "2026-11-22 10:32:05",
		Name: "李*明", IDTail: "1234", Area: "330110", Bank: "示例农商银行", CardTail: "0304",
		Terminal: "T0000001", STAN: "000123", RRN: "632610000123", Auth: "A1B2C3", BankDate: "2026-11-22",
		Total: 149200, Channel: "TERMINAL",
		Dues: []termapi.Due{
			{ID: "1", Fund: "PENSION_RES", Period: "2026", Kind: "YEAR", Amount: 100000},
			{ID: "2", Fund: "MED_RES", Period: "2026-03", Kind: "ARREARS", Amount: 48000, LateFee: 1200},
		},
	}
}

func options() Options {
	return Options{Lang: "zh", Demo: true, Agency: "示范区社会保险经办中心", Hotline: "12333", Verify: "https://verify.example/r"}
}

func pending() Pending {
	r := sample()
	id, _ := si.ParsePaymentID(r.Payment)
	return Pending{Payment: id, Time: r.Time, Name: r.Name, IDTail: r.IDTail, Bank: r.Bank,
		CardTail: r.CardTail, Terminal: r.Terminal, Total: si.Fen(r.Total), Dues: r.Dues}
}

// TestGolden holds the layouts: the printer's own reading of the bytes is
// compared with the golden text.
func TestGolden(t *testing.T) {
	dup := sample()
	dup.Duplicate = 2
	english := options()
	english.Lang, english.Demo, english.Verify = "en", false, ""
	counter := sample()
	counter.Channel, counter.CardTail, counter.Terminal, counter.Auth = "COUNTER", "", "", ""
	tests := []struct {
		name string
		doc  func() ([]byte, error)
	}{
		{"receipt", func() ([]byte, error) { return Receipt(sample(), options()) }},
		{"receipt-duplicate", func() ([]byte, error) { return Receipt(dup, options()) }},
		{"receipt-english", func() ([]byte, error) { return Receipt(sample(), english) }},
		{"receipt-counter", func() ([]byte, error) { return Receipt(counter, options()) }},
		{"pending", func() ([]byte, error) { return PendingSlip(pending(), options()) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			doc, err := tt.doc()
			if err != nil {
				t.Fatal(err)
			}
			paper, err := printer.Interpret(doc)
			if err != nil {
				t.Fatalf("the printer refuses the document: %v", err)
			}
			got := paper.Plain()
			file := filepath.Join("testdata", tt.name+".txt")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s differs from %s (write it again with -update and look at it):\n%s", tt.name, file, got)
			}
			if !paper.Cut {
				t.Error("no cut at the end")
			}
			for _, l := range paper.Lines {
				if w := width(l.Text) * l.Size; l.Kind == printer.Text && w > Columns {
					t.Errorf("line %q is %d columns wide, paper has %d", l.Text, w, Columns)
				}
			}
		})
	}
}

// TestWords holds what must and must not stand on each paper.
func TestWords(t *testing.T) {
	doc, err := PendingSlip(pending(), options())
	if err != nil {
		t.Fatal(err)
	}
	slip, err := printer.Interpret(doc)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"回单号", "已缴", "Paid.", "缴费成功"} {
		if strings.Contains(slip.Plain(), bad) {
			t.Errorf("the pending slip says %q", bad)
		}
	}
	plain := sample()
	doc, err = Receipt(plain, Options{Lang: "zh"})
	if err != nil {
		t.Fatal(err)
	}
	paper, err := printer.Interpret(doc)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"补打", "演示", "DEMO"} {
		if strings.Contains(paper.Plain(), bad) {
			t.Errorf("a first receipt outside a demo says %q", bad)
		}
	}
}

// TestRefused holds what must never be laid out.
func TestRefused(t *testing.T) {
	tests := []struct {
		name   string
		change func(*termapi.Receipt)
		want   error
	}{
		{"no receipt number", func(r *termapi.Receipt) { r.No = "" }, ErrNoReceipt},
		{"lines do not add up", func(r *termapi.Receipt) { r.Total++ }, ErrTotal},
		{"whole card number", func(r *termapi.Receipt) { r.CardTail = "6299000112345678" }, ErrTail},
		{"whole ID number", func(r *termapi.Receipt) { r.IDTail = "330199194901011234" }, ErrTail},
		{"printer command in a name", func(r *termapi.Receipt) { r.Name = "李\x1b@明" }, ErrControl},
		{"line feed in a bank", func(r *termapi.Receipt) { r.Bank = "甲\n乙" }, ErrControl},
		{"negative amount", func(r *termapi.Receipt) { r.Dues[0].Amount = -1 }, si.ErrAmountRange},
		{"25 dues", func(r *termapi.Receipt) {
			r.Dues = make([]termapi.Due, MaxLines+1)
			r.Total = 0
		}, ErrTooLong},
	}
	for _, tt := range tests {
		r := sample()
		tt.change(&r)
		if _, err := Receipt(r, options()); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
	full := sample()
	full.Total = 0
	full.Dues = make([]termapi.Due, MaxLines)
	if _, err := Receipt(full, options()); err != nil {
		t.Errorf("%d dues: got %v, want a receipt", MaxLines, err)
	}
	if _, err := PendingSlip(Pending{}, options()); !errors.Is(err, ErrNoPayment) {
		t.Errorf("slip without payment: got %v, want %v", err, ErrNoPayment)
	}
}

// TestCode128 holds the vector, laid out by hand from the command's table, and
// the digits that would read as a real-time command inside it.
func TestCode128(t *testing.T) {
	b := newBuilder()
	b.buf = nil
	b.code128("123456")
	got, err := b.bytes()
	if err != nil {
		t.Fatal(err)
	}
	want := []byte{0x1D, 'h', 72, 0x1D, 'w', 2, 0x1D, 'H', 0, 0x1D, 'k', 73, 5, '{', 'C', 12, 34, 56, '\n'}
	if !bytes.Equal(got, want) {
		t.Errorf("got % x, want % x", got, want)
	}
	for _, digits := range []string{"160401", "160501", "162001", "33011016040100000017"} {
		b := newBuilder()
		b.code128(digits)
		doc, err := b.bytes()
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []byte{0x04, 0x05, 0x14} {
			if bytes.Contains(doc, []byte{0x10, c}) {
				t.Errorf("%s: the document holds the real-time command 10 %02x", digits, c)
			}
		}
		p, err := printer.Interpret(doc)
		if err != nil || p.Lines[0].Text != digits {
			t.Errorf("%s: read back %+v, %v", digits, p.Lines, err)
		}
	}
	for digits, want := range map[string]error{
		"": ErrDigits, "123": ErrDigits, "12a4": ErrDigits,
		strings.Repeat("1", MaxCode128): nil, strings.Repeat("1", MaxCode128+2): ErrTooLong,
	} {
		b := newBuilder()
		b.code128(digits)
		if _, err := b.bytes(); !errors.Is(err, want) {
			t.Errorf("code128(%q): got %v, want %v", digits, err, want)
		}
	}
}

func TestQRBounds(t *testing.T) {
	for n, want := range map[int]error{0: ErrTooLong, 1: nil, MaxQR: nil, MaxQR + 1: ErrTooLong} {
		b := newBuilder()
		b.qr(strings.Repeat("x", n))
		if _, err := b.bytes(); !errors.Is(err, want) {
			t.Errorf("qr of %d bytes: got %v, want %v", n, err, want)
		}
	}
}

func TestDocBound(t *testing.T) {
	b := newBuilder()
	b.buf = make([]byte, MaxDoc)
	if _, err := b.bytes(); err != nil {
		t.Errorf("document of %d bytes: got %v, want nil", MaxDoc, err)
	}
	b.raw(0)
	if _, err := b.bytes(); !errors.Is(err, ErrTooLong) {
		t.Errorf("document of %d bytes: got %v, want %v", MaxDoc+1, err, ErrTooLong)
	}
}

// TestRareCharacters prints characters that need four bytes of GB 18030 and
// reads them back.
func TestRareCharacters(t *testing.T) {
	r := sample()
	r.Name = "𠮷·阿卜*"
	doc, err := Receipt(r, options())
	if err != nil {
		t.Fatal(err)
	}
	p, err := printer.Interpret(doc)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(p.Plain(), r.Name) {
		t.Errorf("name %q is not on the paper:\n%s", r.Name, p.Plain())
	}
}

func TestWrap(t *testing.T) {
	tests := []struct {
		in   string
		cols int
		want []string
	}{
		{"", 4, []string{""}},
		{"abcd", 4, []string{"abcd"}},
		{"abcde", 4, []string{"abcd", "e"}},
		{"社会保险", 4, []string{"社会", "保险"}},
		{"a社会保险", 4, []string{"a社", "会保", "险"}},
		{"one two three", 8, []string{"one two", "three"}},
	}
	for _, tt := range tests {
		got := wrap(tt.in, tt.cols)
		if strings.Join(got, "|") != strings.Join(tt.want, "|") {
			t.Errorf("wrap(%q, %d) = %q, want %q", tt.in, tt.cols, got, tt.want)
		}
	}
}

// TestScan draws the receipt as the simulated printer does, photographs it and
// reads both symbols with zbarimg.
func TestScan(t *testing.T) {
	doc, err := Receipt(sample(), options())
	if err != nil {
		t.Fatal(err)
	}
	paper, err := printer.Interpret(doc)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "paper.png")
	if err := os.WriteFile(file, paper.PNG(), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("zbarimg", "--quiet", file).Output()
	if err != nil {
		t.Fatalf("zbarimg (package zbar-tools) reads nothing: %v", err)
	}
	for _, want := range []string{"CODE-128:" + sample().No, "QR-Code:https://verify.example/r/" + sample().No} {
		if !strings.Contains(string(out), want) {
			t.Errorf("zbarimg read %q, want %q in it", out, want)
		}
	}
}
