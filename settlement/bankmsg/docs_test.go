package bankmsg

import (
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/shebao-pay/shebao/settlement/profile"
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

// TestDocumented holds the worked examples of the specification page to the
// codec: what the page shows is what goes over the wire.
func TestDocumented(t *testing.T) {
	want, err := hex.DecodeString(strings.Join(strings.Fields(block(t, "hex rcb-0200")), ""))
	if err != nil {
		t.Fatal(err)
	}
	if got := frameOf(t, demoCodec(t, "rcb")); string(got) != string(want) {
		t.Errorf("payment: got\n%X, the page has\n%X", got, want)
	}
	c := demoCodec(t, "boc")
	var m Message
	var f Frame
	if err := c.Reversal(&m, referenceReversal(t, c)); err != nil {
		t.Fatal(err)
	}
	if err := c.Encode(&f, profile.Reversal, false, &m); err != nil {
		t.Fatal(err)
	}
	if got, want := string(f.MACIn), block(t, "selected"); got != want {
		t.Errorf("text of the code: got\n%s, the page has\n%s", got, want)
	}
}
