package bankhost

import (
	"bytes"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/shebao-pay/shebao/settlement/bankmsg"
	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
)

// block reads a fenced block of docs/spec/bank-wire.md by its label.
func block(t *testing.T, label string) string {
	t.Helper()
	b, err := os.ReadFile("../../docs/spec/bank-wire.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(b), "```"+label+"\n")
	text, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		t.Fatalf("docs/spec/bank-wire.md has no block %q", label)
	}
	return strings.TrimSpace(text)
}

// hexBlock reads a block of hexadecimal digits, white space apart.
func hexBlock(t *testing.T, label string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(block(t, label)), ""))
	if err != nil {
		t.Fatalf("block %q: %v", label, err)
	}
	return b
}

// keyAndCode reads a block of two lines, "key" and "code".
func keyAndCode(t *testing.T, label string) (key []byte, code [8]byte) {
	t.Helper()
	f := strings.Fields(block(t, label))
	if len(f) != 4 || f[0] != "key" || f[2] != "code" {
		t.Fatalf("block %q is not key and code", label)
	}
	key, err := hex.DecodeString(f[1])
	must(t, err)
	b, err := hex.DecodeString(f[3])
	must(t, err)
	if copy(code[:], b) != 8 {
		t.Fatalf("block %q: the code has not eight bytes", label)
	}
	return key, code
}

// TestDocumentedCodes makes the codes of the worked examples again, with the
// host's own implementation.
func TestDocumentedCodes(t *testing.T) {
	for _, tc := range []struct {
		bank, label string
		text        []byte
	}{
		{"rcb", "code rcb-0200", func() []byte { f := hexBlock(t, "hex rcb-0200"); return f[13 : len(f)-8] }()},
		{"ccb", "code ccb-0210", func() []byte { f := hexBlock(t, "hex ccb-0210"); return f[46 : len(f)-8] }()},
		{"boc", "code boc-0420", []byte(block(t, "selected"))},
	} {
		key, want := keyAndCode(t, tc.label)
		got, err := makeMAC(testProfile(t, tc.bank).MACAlg, key, tc.text)
		must(t, err)
		if got != want {
			t.Errorf("%s: got %X, the page has %X", tc.label, got, want)
		}
	}
}

// TestDocumentedAnswer reads the answer of the page with our codec and with the
// library: both find what the page says.
func TestDocumentedAnswer(t *testing.T) {
	frame := hexBlock(t, "hex ccb-0210")
	p := testProfile(t, "ccb")
	c, err := bankmsg.Compile(p)
	must(t, err)
	var m bankmsg.Message
	var in bankmsg.Inbound
	must(t, c.For(bankmsg.HubLink).Decode(frame, &m, &in))
	w, err := newWire(p)
	must(t, err)
	lib, err := w.read(bytes.NewReader(frame))
	must(t, err)
	if in.Kind != profile.Debit || !in.Reply || lib.mti != "0210" {
		t.Errorf("got %v, reply %v, type %s", in.Kind, in.Reply, lib.mti)
	}
	for de, want := range map[int]string{3: "000000", 4: "000000038000", 7: "1122093015", 11: "000007", 15: "1122", 37: "112209000007",
		38: "A1B2C3", 39: "00", 41: p.TerminalB, 42: p.MerchantB, 49: "156"} {
		if string(m.Field(de)) != want || lib.fields[de] != want {
			t.Errorf("DE %d: we read %q, the library %q, want %q", de, m.Field(de), lib.fields[de], want)
		}
	}
	if date, given := c.SettleDate(&m, &in, si.DateOf(noon)); given != 1 || date != si.DateOf(noon) {
		t.Errorf("settlement date %v, given %d", date, given)
	}
}

// TestDocumentedKeys makes the published DE 62 of the page again.
func TestDocumentedKeys(t *testing.T) {
	f := strings.Fields(block(t, "keys de62"))
	if len(f) != 8 {
		t.Fatalf("block has %d words, want tmk, de62, pik, mak", len(f))
	}
	v := map[string][]byte{}
	for i := 0; i < len(f); i += 2 {
		b, err := hex.DecodeString(f[i+1])
		must(t, err)
		v[f[i]] = b
	}
	got, err := de62(v["tmk"], v["pik"], v["mak"])
	must(t, err)
	if got != string(v["de62"]) {
		t.Errorf("got %X, the page has %X", got, v["de62"])
	}
}
