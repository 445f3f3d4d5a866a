package bankfile

import (
	"bytes"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/si"
)

// What the tests' files are made of: everything follows from a number.

var theDay = si.Date(2026, time.November, 22)

func nameOf(k Kind) Name {
	return Name{Bank: "ccb", Region: 330110, Kind: k, Date: theDay, Seq: 1, Version: 1}
}

func headerOf(k Kind) Header {
	return Header{Name: nameOf(k), Created: time.Date(2026, 11, 23, 1, 2, 3, 0, si.China),
		DayHead: DayHead{Date: theDay - 1, SHA256: [32]byte{1, 2, 3}}, ChainHead: [32]byte{4, 5, 6}}
}

func layoutOf(t testing.TB, s Settings) *Layout {
	t.Helper()
	l, err := NewLayout(s)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// detailOf fills d as the nth of a file. Each type comes, and a Chinese note.
func detailOf(d *Detail, n int, note []byte) {
	*d = Detail{Line: uint32(n), Type: Pay, HostSerial: fmt.Appendf(nil, "H%012d", n), DE32: []byte("48330113"),
		TxnDate: theDay, Settle: theDay, Amount: si.Fen(10_000 + n), Sign: 'C', Account: []byte("629900******1234"),
		Reference: fmt.Appendf(nil, "N%011d", n), Alias: []byte("SI-PENS"), Note: note}
	copy(d.RRN[:], fmt.Appendf(nil, "%012d", n))
	copy(d.STAN[:], fmt.Appendf(nil, "%06d", n%1_000_000))
	copy(d.DE7[:], fmt.Appendf(nil, "1122%02d%02d%02d", n/3600%24, n/60%60, n%60))
	copy(d.DE41[:], "70110003")
	copy(d.TxnTime[:], d.DE7[4:])
	copy(d.Response[:], "00")
	switch n % 10 {
	case 7:
		d.Type, d.Sign, d.Original = Reversal, 'D', []byte("H000000000001")
	case 8:
		*d = Detail{Line: d.Line, Type: Refund, HostSerial: d.HostSerial, TxnDate: theDay, TxnTime: d.TxnTime, Settle: theDay,
			Amount: d.Amount, Sign: 'D', Original: []byte("H000000000002"), Note: note}
	case 9:
		*d = Detail{Line: d.Line, Type: BatchCredit, HostSerial: d.HostSerial, TxnDate: theDay, TxnTime: d.TxnTime, Settle: theDay,
			Amount: d.Amount, Sign: 'C', Reference: d.Reference}
	}
}

// noteOf is a note with characters of one, two and, where the set has them, four
// bytes; the third has the separator's byte for its second in GB 18030.
func noteOf(t testing.TB, l *Layout) []byte {
	t.Helper()
	s := "A 示范" + string(separatorTwin(t)) + "居民"
	if l.Charset != GBK {
		s += "𠮷"
	}
	b, err := l.Bytes(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// separatorTwin is a character whose second byte in GBK is that of the separator.
func separatorTwin(t testing.TB) rune {
	t.Helper()
	l := layoutOf(t, Settings{Charset: GBK})
	s, err := l.Text([]byte{0x87, '|'})
	if err != nil || len([]rune(s)) != 1 {
		t.Fatalf("Text(87 7c) = %q, %v", s, err)
	}
	return []rune(s)[0]
}

func details(t testing.TB, l *Layout, n int) iter.Seq[*Detail] {
	note := noteOf(t, l)
	return func(yield func(*Detail) bool) {
		var d Detail
		for i := 1; i <= n; i++ {
			if detailOf(&d, i, note); l.DebitView {
				d.Sign ^= 'C' ^ 'D'
			}
			if !yield(&d) {
				return
			}
		}
	}
}

// fileOf writes a details file of n lines.
func fileOf(t testing.TB, l *Layout, n int) ([]byte, Summary) {
	t.Helper()
	var b bytes.Buffer
	sum, err := Write(&b, l, headerOf(Details), details(t, l, n))
	if err != nil {
		t.Fatalf("Write of %d details: %v", n, err)
	}
	return b.Bytes(), sum
}

// own gives a row that may be kept.
func (d *Detail) own() Detail {
	c := *d
	for _, b := range []*[]byte{&c.HostSerial, &c.DE32, &c.Account, &c.Reference, &c.Alias, &c.Original, &c.Note} {
		*b = slices.Clone(*b)
	}
	return c
}

func readAll(b []byte, l *Layout, want Want) ([]Detail, Summary, error) {
	var out []Detail
	sum, err := Read(bytes.NewReader(b), int64(len(b)), l, want, func(d *Detail) error {
		out = append(out, d.own())
		return nil
	})
	return out, sum, err
}

var layouts = []struct {
	name string
	s    Settings
}{
	{"recon", Settings{}},
	{"GBK", Settings{Charset: GBK}},
	{"UTF-8", Settings{Charset: UTF8}},
	{"CRLF", Settings{CRLF: true}},
	{"decimals", Settings{Decimals: true}},
	{"two-character separator", Settings{Separator: "|!"}},
	{"MD5", Settings{Digest: MD5}},
	{"debit view", Settings{DebitView: true}},
	{"all at once", Settings{Charset: UTF8, CRLF: true, Decimals: true, Separator: "|!", Digest: MD5, DebitView: true, Title: "BANK-FILE"}},
	{"fixed", Settings{Fixed: Reference()}},
	{"fixed, CRLF, GBK", Settings{Fixed: Reference(), CRLF: true, Charset: GBK}},
}
