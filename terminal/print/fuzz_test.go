package print

import (
	"testing"

	"github.com/shebao-pay/shebao/simulators/printer"
)

// FuzzText feeds outside text to the layout. What the encoder accepts, the
// printer must read back as that text: nothing in a value may act as a command.
func FuzzText(f *testing.F) {
	for _, s := range []string{"李*明", "𠮷野家·阿卜杜*", "plain", "\x1b@", "\x10\x04\x01", "￥1,000.00", "", "\u0085", "a\u00a0b", "\ue5fd"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > 40 {
			return // one line of paper is enough
		}
		b := newBuilder()
		b.text(s)
		b.raw('\n')
		doc, err := b.bytes()
		if err != nil {
			return
		}
		p, err := printer.Interpret(doc)
		if err != nil {
			t.Fatalf("%q is accepted and the printer refuses it: %v", s, err)
		}
		if s == "" {
			return
		}
		if len(p.Lines) != 1 {
			t.Fatalf("%q came out as %+v", s, p.Lines)
		}
		got, want := []rune(p.Lines[0].Text), []rune(s)
		for i, r := range want {
			if len(got) != len(want) || (got[i] != r && got[i] != missing) {
				t.Fatalf("%q came out as %q", s, p.Lines[0].Text)
			}
		}
	})
}
