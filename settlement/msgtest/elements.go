package msgtest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/shebao-pay/shebao/settlement/bankmsg"
	"github.com/shebao-pay/shebao/settlement/profile"
)

// element spoils one element of the message.
func (k *maker) element(part Part) {
	f := k.p.Fields[part.DE]
	at := part.At + part.Prefix
	halves := f.Encoding == profile.BCD || f.Encoding == profile.LBCD
	if part.Prefix > 0 {
		k.lengths(part, f)
	}
	if part.Size == 0 {
		return
	}
	value := func(class string, with ...byte) { k.put(class, part.DE, k.set(at, with...)) }
	last := at + part.Size - 1
	switch {
	case f.Content == profile.Track && halves:
		value("track without a separator", bytes.Repeat([]byte{0x11}, part.Size)...)
		value("track of separators", bytes.Repeat([]byte{0xDD}, part.Size)...)
		value("track with a strange half byte", k.w.Frame[at]|0xF0)
	case f.Content == profile.Track:
		value("track without a separator", bytes.Repeat([]byte{'1'}, part.Size)...)
		value("track of separators", bytes.Repeat([]byte{k.p.TrackSeparator}, part.Size)...)
		value("track with a letter", 'x')
	case halves:
		for _, b := range []byte{0xA0, 0x0A, 0xD0, 0x0D, 0xFF} {
			if part.Elements&1 == 1 && f.Encoding == profile.BCD && b&0xF0 == 0 {
				continue // covered by the padding below
			}
			value("half byte that is no digit", b)
		}
		value("letters in a number", bytes.Repeat([]byte{0xCC}, part.Size)...)
		if part.Elements&1 == 1 && f.Encoding == profile.BCD {
			value("padding that is not 0", k.w.Frame[at]|0x10)
		}
		if part.Elements&1 == 1 && f.Encoding == profile.LBCD {
			k.put("padding that is not 0", part.DE, k.set(last, k.w.Frame[last]|0x01))
		}
	case f.Content == profile.Digits:
		for _, b := range []byte{'-', '+', ' ', 'A', 'a', 'O', '.', 0, 0x80, 0xB2} {
			value("number that is not digits", b)
			k.put("number that is not digits", part.DE, k.set(last, b))
		}
		value("letters in a number", []byte(strings.Repeat("ABCDEFGHIJKL", part.Size)[:part.Size])...)
	case f.Content == profile.Alphanumeric, f.Content == profile.Printable:
		for _, b := range []byte{0, '\n', 0x1B, 0x7F, 0x80, 0xFF} {
			value("text that is not printable", b)
			k.put("text that is not printable", part.DE, k.set(last, b))
		}
		if f.Content == profile.Alphanumeric && part.Size > 1 {
			value("space inside a number of letters and digits", ' ')
			value("sign in a number of letters and digits", '-')
		}
	case f.Content == profile.ICC:
		k.chip(part)
	case f.Content == profile.RecordContent:
		for _, v := range badRecords() {
			k.put("records that are none", part.DE, k.w.Value(part, v, len(v)))
		}
	}
	k.fixed(part, f)
}

// lengths spoils the length of an element: bombs, none, forms that are no number.
func (k *maker) lengths(part Part, f profile.Field) {
	most := 99
	if f.LengthDigits == 3 {
		most = 999
	}
	for _, n := range []int{0, most, f.Length + 1, part.Elements + 1, part.Elements - 1} {
		if n < 0 || n > most || n == part.Elements {
			continue
		}
		if half := f.Encoding == profile.BCD || f.Encoding == profile.LBCD; half && (n+1)/2 == part.Size && n > 0 && n <= f.Length {
			continue // the same bytes with another padding are a class of their own
		}
		k.put("length that is not the element's", part.DE, k.set(part.At, k.w.prefix(part.DE, n)...))
	}
	forms := [][]byte{[]byte("+5"), []byte("-1"), []byte(" 9"), []byte("1x"), {0, 0}, {0xFF, 0xFF}}
	if f.LengthDigits == 3 {
		forms = [][]byte{[]byte("+55"), []byte("-01"), []byte(" 09"), []byte("0x9"), {0, 0, 0}, {0xFF, 0xFF, 0xFF}}
	}
	if f.LengthBCD {
		forms = [][]byte{{0xAA}, {0x1F}, {0xFF}}
		if f.LengthDigits == 3 {
			forms = [][]byte{{0xF0, 0x01}, {0x10, 0x01}, {0x00, 0xA1}, {0xFF, 0xFF}}
		}
	}
	for _, b := range forms {
		k.put("length that is no number", part.DE, k.set(part.At, b...))
	}
}

// fixed breaks values that the profile prescribes.
func (k *maker) fixed(part Part, f profile.Field) {
	at := part.At + part.Prefix
	_, fixed := k.rule.Fixed[part.DE]
	if fixed || part.DE == 3 && k.rule.Proc != "" {
		for i := range part.Size {
			b := k.w.Frame[at+i] ^ 1
			if f.Encoding == profile.LBCD && i == part.Size-1 && part.Elements&1 == 1 {
				continue
			}
			k.put("value other than the profile's", part.DE, k.set(at+i, b))
		}
	}
	if part.DE == 4 {
		over := fmt.Sprintf("%012d", int64(k.p.Limits.MaxAmount)+1)
		for _, v := range []string{over, "999999999999"} {
			b := []byte(v)
			if f.Encoding == profile.BCD || f.Encoding == profile.LBCD {
				b = packed(v)
			}
			k.put("amount over the limit", 4, k.set(at, b...))
		}
	}
}

func packed(digits string) []byte {
	b := make([]byte, len(digits)/2)
	for i := range b {
		b[i] = (digits[2*i]-'0')<<4 | (digits[2*i+1] - '0')
	}
	return b
}

// chip gives DE 55 that no chip has.
func (k *maker) chip(part Part) {
	deep := []byte{0x9F, 0x36, 2, 0, 7}
	for range 6 {
		deep = append([]byte{0x72, byte(len(deep))}, deep...)
	}
	for _, v := range [][]byte{
		deep,
		{0x95, 5, 0, 0, 0, 0, 0, 0x95, 5, 0, 0, 0, 0, 0}, // twice
		{0x95, 0x81, 5, 0, 0, 0, 0, 0},                   // overlong length
		{0x95, 0x84, 0x7F, 0xFF, 0xFF, 0xFF},             // length of gigabytes
		{0x95, 0x80, 0, 0},                               // indefinite length
		{0x9F, 0x26, 9, 1, 2, 3},                         // cut short
		{0x9F}, {0x95}, {0x00, 0x00}, {0xFF, 0xFF},       // no element
		{0x9F, 0x80, 0x80, 0x80, 0x01, 0x00}, {0x1F, 0x80, 0x00}, // endless tag
		bytes.Repeat([]byte{0x72, 0x02, 0x86, 0x00}, 63),         // over 64 elements
		append(bytes.Repeat([]byte{0x72, 0x00}, 64), 0x95, 0x00), // one over
		{0x72, 0x03, 0x86, 0x05, 0x00}, {0x72, 0x81, 0x02, 1, 2}, // broken inside
		{0x95, 0x05, 0, 0, 0, 0, 0, 0x9F},                                             // a byte left over
		[]byte("<xml>not TLV</xml>"), {0x95, 0xFF}, {0x3F, 0xFF, 0xFF, 0xFF, 0x7F, 0}, // strangers
	} {
		k.put("chip data that is none", 55, k.w.Value(part, v, len(v)))
	}
}

// records spoils the records of a counter's message.
func (k *maker) records() {
	if k.rule.Kind < profile.Inquiry || k.rule.Kind > profile.PayReversal {
		return
	}
	for _, part := range k.w.Parts {
		if part.DE != k.p.RecordField || k.p.Fields[part.DE].Content == profile.RecordContent {
			continue
		}
		for _, v := range badRecords() {
			k.put("records that are none", part.DE, k.w.Value(part, v, len(v)))
		}
	}
}

// badRecords are contents of DE 48 or DE 62 that are no records.
func badRecords() [][]byte {
	nn := string(bankmsg.AppendRecord(nil, bankmsg.RecNotice, "12345678901234567890"))
	var many strings.Builder
	for i := range bankmsg.MaxRecords + 1 {
		fmt.Fprintf(&many, "%c%c001x", 'A'+i/26, 'A'+i%26)
	}
	list := [][]byte{}
	for _, s := range []string{
		nn + nn, "NN021" + nn[5:], "NN999" + nn[5:], "NN" + nn[5:], "nn" + nn[2:], "N", "NN", "NN02", "NN-01x", "NN+01x", "NN 01x",
		nn + "\x00", nn + "CH", "\x00\x00000", many.String(), "11" + nn[2:], "NN0x1x",
	} {
		list = append(list, []byte(s))
	}
	return list
}

// codes spoils the code and what is under it, and plays old messages again.
func (k *maker) codes(f *bankmsg.Frame) {
	mac := k.w.Parts[len(k.w.Parts)-1]
	good := k.w.Frame
	for i := range 8 {
		for _, bit := range []byte{0x01, 0x10, 0x80} {
			k.put("code with a wrong bit", mac.DE, k.set(mac.At+i, good[mac.At+i]^bit))
		}
	}
	k.put("code of zeros", mac.DE, k.set(mac.At, make([]byte, 8)...))
	old := Code(k.keys.Yesterday, f.MACIn)
	k.put("replay of yesterday's message", mac.DE, k.set(mac.At, old[:]...))
	k.put("code of seven bytes", mac.DE, k.w.Put(mac.At, 1))
	k.put("code of nine bytes", mac.DE, k.w.Put(mac.At, 0, 'x'))
	if k.rule.Reply && slices.Contains(k.rule.Optional, k.p.MACField) && k.judged() {
		k.bare(mac)
	}
	// Under the full scope every byte counts: one other digit in each element.
	if k.p.MACScope != profile.MACFull {
		return
	}
	for _, part := range k.w.Parts[:len(k.w.Parts)-1] {
		at := part.At + part.Prefix
		for _, bit := range []byte{0x01, 0x02, 0x04} {
			k.put("element changed under the code", part.DE, k.set(at, good[at]^bit))
		}
	}
}

// judged tells whether an approval of this kind counts for something.
func (k *maker) judged() bool {
	switch k.rule.Kind {
	case profile.Debit, profile.PINProof, profile.Reversal, profile.StatusInquiry, profile.ScriptNotify, profile.Inquiry, profile.NoticePay, profile.PayStatus, profile.PayReversal:
		return true
	}
	return false
}

// bare makes an approval without a code.
func (k *maker) bare(mac Part) {
	f := slices.Clone(k.w.Frame)
	for _, part := range k.w.Parts {
		if part.DE == 39 {
			copy(f[part.At:], "00")
		}
	}
	f = f[:mac.At]
	f[k.w.Bits+(mac.DE-1)/8] &^= 1
	if k.w.Maps == 2 && bytes.Equal(f[k.w.Bits+8:k.w.Bits+16], make([]byte, 8)) {
		f[k.w.Bits] &^= 0x80
		f = slices.Delete(f, k.w.Bits+8, k.w.Bits+16)
	}
	k.put("approval without a code", mac.DE, k.w.Mend(f))
}
