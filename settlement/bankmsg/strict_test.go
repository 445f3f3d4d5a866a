package bankmsg

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/settlement/profile"
)

// frameOf gives the wire of the reference payment, with a code in its place.
func frameOf(t testing.TB, c *Codec) []byte {
	t.Helper()
	var f Frame
	if err := c.Encode(&f, profile.Debit, false, reference(t, c)); err != nil {
		t.Fatal(err)
	}
	f.PutMAC([8]byte{1, 2, 3, 4, 5, 6, 7, 8})
	return f.Wire
}

// fix writes the length of a changed frame.
func (c *Codec) fix(frame []byte) []byte {
	c.putLength(frame)
	return frame
}

// splice replaces the bytes of one element of a frame, given in wire form, and
// mends the length.
func splice(t *testing.T, c *Codec, frame []byte, de int, wire []byte) []byte {
	t.Helper()
	at, n := place(t, c, frame, de)
	return c.fix(slices.Concat(frame[:at], wire, frame[at+n:]))
}

// place finds where an element stands in a good frame.
func place(t *testing.T, c *Codec, frame []byte, de int) (at, n int) {
	t.Helper()
	var m Message
	set, used, err := c.readType(frame[c.bodyAt():], &m)
	if err != nil {
		t.Fatal(err)
	}
	at = c.bodyAt() + used
	for d := 2; d <= maxDE; d++ {
		if !set.has(d) {
			continue
		}
		if n = 8; d != c.p.MACField {
			var why reason
			if n, _, why = c.fields[d].decode(frame[at:], make([]byte, 2048)); why != ok {
				t.Fatalf("DE %d: %s", d, reasons[why])
			}
		}
		if d == de {
			return at, n
		}
		at += n
	}
	t.Fatalf("DE %d is not in the frame", de)
	return 0, 0
}

func refused(t *testing.T, c *Codec, frame []byte, de int, what string) {
	t.Helper()
	var m Message
	var in Inbound
	err := c.Decode(frame, &m, &in)
	var fe *FieldError
	switch {
	case err == nil:
		t.Errorf("Decode of %s: got no error", what)
	case de >= 0 && (!errors.As(err, &fe) || fe.DE != de):
		t.Errorf("Decode of %s: got %v, want an error about DE %d", what, err, de)
	case de < 0 && !errors.Is(err, ErrFrame):
		t.Errorf("Decode of %s: got %v, want %v", what, err, ErrFrame)
	}
}

// TestTraps feeds both codecs what the library is known to accept and a bank
// link must refuse. A library that learns to refuse one fails the test, so
// that the list stays true.
func TestTraps(t *testing.T) {
	c := demoCodec(t, "ccb")
	o := newOracle(t, c)
	good := frameOf(t, c)
	for _, tc := range []struct {
		name string
		de   int // that our error names
		make func() []byte
	}{
		{"message type zzzz", 0, func() []byte { f := slices.Clone(good); copy(f[cupsHead:], "zzzz"); return f }},
		{"bytes left over", 128, func() []byte { return c.fix(append(slices.Clone(good), "tail"...)) }},
		{"length with a sign", 32, func() []byte {
			at, _ := place(t, c, good, 32)
			f := slices.Clone(good)
			copy(f[at:], "+8")
			return f
		}},
		{"amount of letters", 4, func() []byte { return splice(t, c, good, 4, []byte("ABCDEFGHIJKL")) }},
		{"amount with minus", 4, func() []byte { return splice(t, c, good, 4, []byte("-00000000001")) }},
		{"amount with plus", 4, func() []byte { return splice(t, c, good, 4, []byte("+00000000001")) }},
		{"trace number of spaces", 11, func() []byte { return splice(t, c, good, 11, []byte("   1 2")) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			frame := tc.make()
			refused(t, c, frame, tc.de, tc.name)
			if _, err := o.unpack(frame[cupsHead:]); err != nil {
				t.Errorf("the library refuses this now: %v", err)
			}
		})
	}
}

// TestChainedBitmaps: one bitmap in the POS dialect, two at most in the CUPS
// dialect, where the library takes any number.
func TestChainedBitmaps(t *testing.T) {
	a := demoCodec(t, "rcb")
	f := slices.Clone(frameOf(t, a))
	f[posHead+2] |= 0x80
	refused(t, a, f, 1, "a second bitmap in the POS dialect")

	b := demoCodec(t, "ccb")
	chain := slices.Concat(frameOf(t, b)[:cupsHead], []byte("0200"), bytes.Repeat([]byte{0x80, 0, 0, 0, 0, 0, 0, 0}, 100))
	refused(t, b, b.fix(chain), 65, "a third bitmap")
	empty := slices.Concat(frameOf(t, b)[:cupsHead], []byte("0200"), []byte{0x80, 0, 0, 0, 0, 0, 0, 0}, make([]byte, 8))
	refused(t, b, b.fix(empty), 1, "an empty second bitmap")
}

// TestStrictPOS walks the rules of half bytes, padding and lengths.
func TestStrictPOS(t *testing.T) {
	c := demoCodec(t, "rcb")
	good := frameOf(t, c)
	var m Message
	var in Inbound
	if err := c.Decode(good, &m, &in); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		de   int
		wire string
	}{
		{"half byte A in the amount", 4, "\x00\x00\x00\x03\x80\x0A"},
		{"amount over the limit", 4, "\x00\x00\x05\x00\x00\x01"},
		{"padding of DE 22", 22, "\x05\x11"},
		{"padding of DE 23", 23, "\x10\x01"},
		{"other entry mode than the profile's", 22, "\x07\x10"},
		{"other currency", 49, "840"},
		{"length of DE 2 over 19", 2, "\x20\x62\x99\x00\x01\x00\x00\x00\x14\x00\x00"},
		{"length of DE 2 not digits", 2, "\x1A\x62\x99\x00\x01\x00\x00\x00\x14"},
		{"length of DE 2 zero", 2, "\x00"},
		{"track without separator", 35, "\x16\x62\x99\x00\x01\x00\x00\x00\x14"},
		{"track with two separators", 35, "\x04\x1D\xD1"},
		{"track with half byte E", 35, "\x04\x1D\xE1"},
		{"padding of the track", 35, "\x05\x1D\x11\x11"},
		{"control character in DE 41", 41, "8011000\n"},
		{"high byte in DE 42", 42, "33011004816000\xFF"},
		{"length of DE 60 with a fourth digit", 60, "\x10\x14\x22\x00\x00\x01\x00\x05\x00"},
		{"chip data with a tag twice", 55, "\x00\x08\x9F\x36\x01\x00\x9F\x36\x01\x00"},
		{"chip data cut short", 55, "\x00\x03\x95\x05\x00"},
		{"chip data with an overlong length", 55, "\x00\x04\x95\x81\x01\x00"},
		{"chip data in four levels", 55, "\x00\x09\x71\x07\x72\x05\x73\x03\x74\x01\x95"},
	} {
		refused(t, c, splice(t, c, good, tc.de, []byte(tc.wire)), tc.de, tc.name)
	}
	f := slices.Clone(good)
	f[posHead+2] |= 0x08 // DE 5
	refused(t, c, f, 5, "a bit the profile does not define")
	f = slices.Clone(good)
	f[posHead] = 0x03
	refused(t, c, f, 0, "a message type that nobody has")
	f = slices.Clone(good)
	f[posHead], f[posHead+1] = 0x02, 0x10
	refused(t, c, f, 0, "the type of a reply, from the hub")
	at, n := place(t, c, good, 4)
	f = slices.Concat(good[:at], good[at+n:])
	f[posHead+2] &^= 0x10
	refused(t, c, c.fix(f), 4, "a payment without an amount")
}

// TestFraming walks lengths and headers of both dialects, at the bound and one
// beyond.
func TestFraming(t *testing.T) {
	a, b := demoCodec(t, "rcb"), demoCodec(t, "boc")
	for _, tc := range []struct {
		c    *Codec
		buf  string
		n    int
		fail bool
	}{
		{a, "", 0, false}, {a, "\x00", 0, false}, {a, "\x00\x15", 0, false}, {a, "\x00\x14", 0, true},
		{a, "\x07\xFE", 0, false}, {a, "\x07\xFF", 0, true}, {a, "\xFF\xFF", 0, true},
		{b, "", 0, false}, {b, ".", 0, false}, {b, "-", 0, true}, {b, ".\x820012", 0, false},
		{b, ".\x820011", 0, true}, {b, ".\x822002", 0, false}, {b, ".\x822003", 0, true}, {b, ".\x82+012", 0, true},
	} {
		n, err := tc.c.Next([]byte(tc.buf))
		if n != tc.n || (err != nil) != tc.fail {
			t.Errorf("Next(%q): got %d, %v", tc.buf, n, err)
		}
	}
	for _, c := range []*Codec{a, b, demoCodec(t, "ccb")} {
		good := frameOf(t, c)
		for i := range len(good) {
			if n, err := c.Next(good[:i]); n != 0 || err != nil {
				t.Fatalf("%s: Next of %d bytes: got %d, %v", c.p.Code, i, n, err)
			}
		}
		two := slices.Concat(good, good)
		if n, err := c.Next(two); n != len(good) || err != nil {
			t.Errorf("%s: Next of two frames: got %d, %v, want %d", c.p.Code, n, err, len(good))
		}
		refused(t, c, two, -1, "two frames as one")
	}
	good := frameOf(t, a)
	f := slices.Clone(good)
	f[2] = 0x61
	refused(t, a, f, -1, "other TPDU")
	f = slices.Clone(good)
	f[3], f[5] = f[5], f[3]
	f[4], f[6] = f[6], f[4]
	refused(t, a, f, 0, "our own payment, from the bank")
	f = slices.Clone(good)
	f[4] ^= 1
	refused(t, a, f, -1, "unknown TPDU address")

	good = frameOf(t, b)
	for _, tc := range []struct {
		at   int
		with string
		code string
		peer bool
	}{
		{cupsFlag, "\x02", RejectVersion, false}, {cupsDest, "x", RejectDestination, false}, {cupsSource, "x", RejectSource, false},
		{cupsReject, "00045", "00045", true}, {0, "\x2D", RejectLength, false}, {cupsLength, "00x0", RejectTotal, false},
	} {
		f := slices.Clone(good)
		copy(f[tc.at:], tc.with)
		err := b.Decode(f, new(Message), new(Inbound))
		var he *HeaderError
		if !errors.As(err, &he) || he.Code != tc.code || he.ByPeer != tc.peer {
			t.Errorf("header %q at %d: got %v, want code %s", tc.with, tc.at, err, tc.code)
		}
	}
	back := b.AppendReject(nil, good, RejectVersion)
	var he *HeaderError
	if err := b.Decode(back, new(Message), new(Inbound)); !errors.As(err, &he) || !he.ByPeer || he.Code != RejectVersion {
		t.Errorf("Decode of a reject: got %v", err)
	}
	if again := b.AppendReject(nil, back, RejectVersion); len(again) != 0 {
		t.Error("AppendReject answered a reject")
	}
}

// TestMutations changes one byte of good messages at random. Under the full
// scope nothing is accepted whose input of the code differs from what was sent
// while the code stays; what Decode does accept it must encode again, byte for
// byte, and the library must read alike. No error may hold a value.
func TestMutations(t *testing.T) {
	for _, code := range demoBanks {
		c := demoCodec(t, code)
		o := newOracle(t, c)
		rnd := newRand(11)
		rules := c.messagesOf()
		var m, got Message
		var f, again Frame
		var in Inbound
		accepted := 0
		start := time.Now()
		const tries = 6000
		for range tries {
			ru := rules[rnd.IntN(len(rules))]
			c.sample(rnd, ru.kind, ru.reply, &m)
			if err := c.Encode(&f, ru.kind, ru.reply, &m); err != nil {
				t.Fatal(err)
			}
			f.PutMAC([8]byte{9, 9, 9, 9, 9, 9, 9, 9})
			bad := slices.Clone(f.Wire)
			at := rnd.IntN(len(bad))
			switch rnd.IntN(4) {
			case 0:
				bad[at] ^= 1 << rnd.IntN(8)
			case 1:
				bad = c.fix(slices.Delete(bad, at, at+1))
			case 2:
				bad = c.fix(slices.Insert(bad, at, byte(rnd.IntN(256))))
			case 3:
				bad = bad[:at]
			}
			if c.Decode(bad, &got, &in) != nil {
				continue
			}
			accepted++
			if c.p.MACScope == profile.MACFull && in.HasMAC && bytes.Equal(in.MACIn, f.MACIn) && in.MAC == [8]byte{9, 9, 9, 9, 9, 9, 9, 9} &&
				!bytes.Equal(bad[c.bodyAt():], f.Wire[c.bodyAt():]) {
				t.Fatal("another body under the same input of the code")
			}
			lib, err := o.unpack(bad[c.bodyAt():])
			if err != nil {
				t.Fatalf("%s: we accept a %v that the library refuses", code, in.Kind)
			}
			for de := 2; de <= maxDE; de++ {
				if got.Has(de) && !bytes.Equal(o.value(t, lib, de), got.Field(de)) {
					t.Fatalf("%s: %v DE %d: the library reads another value", code, in.Kind, de)
				}
			}
			if r := c.rule(in.Kind, in.Reply); !r.drop.empty() {
				continue
			}
			again.WithoutMAC = !in.HasMAC
			if err := c.Encode(&again, in.Kind, in.Reply, &got); err != nil {
				t.Fatalf("%s: Encode of what was accepted: %v", code, err)
			}
			again.PutMAC(in.MAC)
			if !bytes.Equal(again.Wire[c.bodyAt():], bad[c.bodyAt():]) {
				t.Fatalf("%s: %v: accepted in two forms", code, in.Kind)
			}
		}
		t.Logf("%s: %d of %d changed frames are other good messages, %v each", code, accepted, tries, time.Since(start)/tries)
	}
}

// TestSmallLetters refuses under the selected scope a small letter in a field
// that the code covers: the code is made over capitals and could not tell.
func TestSmallLetters(t *testing.T) {
	c := demoCodec(t, "boc")
	m := new(Message)
	rule := c.rule(profile.Debit, true)
	for _, small := range []bool{false, true} {
		c.sample(newRand(3), profile.Debit, true, m)
		m.SetString(38, "AB12C3")
		if small {
			m.SetString(38, "AB12c3")
		}
		var f Frame
		err := c.Encode(&f, profile.Debit, true, m)
		var fe *FieldError
		if small != (errors.As(err, &fe) && fe.DE == 38) {
			t.Errorf("Encode, small letter %v: got %v", small, err)
		}
	}
	c.sample(newRand(3), profile.Debit, true, m)
	m.SetString(38, "AB12C3")
	var f Frame
	if err := c.Encode(&f, rule.kind, true, m); err != nil {
		t.Fatal(err)
	}
	at, _ := place(t, c, f.Wire, 38)
	bad := slices.Clone(f.Wire)
	bad[at] |= 0x20
	refused(t, c, bad, 38, "a small letter under the code")
}

// TestErrorsHoldNoValue: no error text of a broken payment has its PAN, its
// track or its PIN block.
func TestErrorsHoldNoValue(t *testing.T) {
	for _, code := range demoBanks {
		c := demoCodec(t, code)
		good := frameOf(t, c)
		for at := range good {
			bad := slices.Clone(good)
			bad[at] ^= 0x55
			err := c.Decode(bad, new(Message), new(Inbound))
			if err == nil {
				continue
			}
			text := fmt.Sprintf("%v %+v %#v", err, err, err)
			for _, secret := range []string{"62990001", "0000001", "33122", "1122334455", "\x11\x22\x33"} {
				if strings.Contains(text, secret) {
					t.Fatalf("%s: error with a value: %v", code, err)
				}
			}
		}
	}
}

// FuzzDecode feeds every profile what a hostile peer could send. Whatever is
// accepted must encode again byte for byte and mean the same to the library.
func FuzzDecode(f *testing.F) {
	codecs := map[byte]*Codec{}
	oracles := map[byte]*oracle{}
	for i, code := range demoBanks {
		c := demoCodec(f, code)
		codecs[byte(i)], oracles[byte(i)] = c, newOracle(f, c)
		rnd := newRand(uint64(i))
		var m Message
		var fr Frame
		for _, ru := range c.messagesOf() {
			c.sample(rnd, ru.kind, ru.reply, &m)
			if err := c.Encode(&fr, ru.kind, ru.reply, &m); err != nil {
				f.Fatal(err)
			}
			f.Add(byte(i), slices.Clone(fr.Wire))
		}
	}
	f.Fuzz(func(t *testing.T, which byte, frame []byte) {
		c, o := codecs[which%4], oracles[which%4]
		var m Message
		var in Inbound
		if n, err := c.Next(frame); err != nil || n < 0 || n > len(frame) || n > c.p.Limits.MaxFrame {
			return
		}
		if c.Decode(frame, &m, &in) != nil {
			return
		}
		var again Frame
		again.WithoutMAC = !in.HasMAC
		if r := c.rule(in.Kind, in.Reply); r.drop.empty() {
			if err := c.Encode(&again, in.Kind, in.Reply, &m); err != nil {
				t.Fatalf("Encode of what was accepted: %v", err)
			}
			again.PutMAC(in.MAC)
			if !bytes.Equal(again.Wire[c.bodyAt():], frame[c.bodyAt():]) {
				t.Fatal("accepted in two forms")
			}
		}
		lib, err := o.unpack(frame[c.bodyAt():])
		if err != nil {
			t.Fatal("the library refuses what we accept")
		}
		for de := 2; de <= maxDE; de++ {
			if m.Has(de) && !bytes.Equal(o.value(t, lib, de), m.Field(de)) {
				t.Fatalf("DE %d: the library reads another value", de)
			}
		}
	})
}
