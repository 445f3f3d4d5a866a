package msgtest

import (
	"bytes"
	"slices"

	"github.com/shebao-pay/shebao/settlement/bankmsg"
	"github.com/shebao-pay/shebao/settlement/profile"
)

// Case is one malformed frame.
type Case struct {
	Class string // what is wrong
	Of    Rule   // the good message that it was made of
	DE    int    // the element at fault, 0 where there is none
	Frame []byte
}

// Keys are the keys of the codes in a corpus (see Code): what the receiver has,
// and what it had yesterday.
type Keys struct{ Today, Yesterday []byte }

// Standard are the keys of the corpus whose SHA-256 is recorded.
var Standard = Keys{[]byte("the key of today"), []byte("the key of yesterday")}

// corpusSeed is part of the corpus: another seed is another corpus.
const corpusSeed = 20261122

// maker makes the cases of one profile and one end.
type maker struct {
	p     *profile.Profile
	s     *Sampler
	keys  Keys
	yield func(Case)

	rule Rule
	w    *Wire
}

// Corpus walks the malformed frames that a bank, or somebody in its place, sends
// to one end of ours: HubLink or HubServer. Every frame is a new slice.
func Corpus(c *bankmsg.Codec, end bankmsg.Role, keys Keys, yield func(Case)) error {
	p := c.Profile()
	s := NewSampler(p, corpusSeed)
	k := &maker{p: p, s: s, keys: keys, yield: yield}
	receiver := c.For(end)
	for _, r := range Rules(p) {
		var m, back bankmsg.Message
		var in bankmsg.Inbound
		var f bankmsg.Frame
		s.Fill(r, &m)
		if err := c.Encode(&f, r.Kind, r.Reply, &m); err != nil {
			return err
		}
		hasCode := f.MACIn != nil
		if hasCode {
			f.PutMAC(Code(keys.Today, f.MACIn))
		}
		k.rule, k.w = r, Take(p, slices.Clone(f.Wire))
		if receiver.Decode(f.Wire, &back, &in) != nil {
			k.put("message for the other end", 0, f.Wire)
			continue
		}
		k.framing()
		k.types()
		k.bitmaps()
		k.ends()
		for _, part := range k.w.Parts {
			k.element(part)
		}
		k.records()
		if hasCode {
			k.codes(&f)
		}
	}
	k.garbage()
	return nil
}

func (k *maker) put(class string, de int, frame []byte) {
	k.yield(Case{Class: class, Of: k.rule, DE: de, Frame: slices.Clone(frame)})
}

// set gives the good frame with bytes overwritten at a place.
func (k *maker) set(at int, with ...byte) []byte {
	f := slices.Clone(k.w.Frame)
	copy(f[at:], with)
	return f
}

// framing spoils length and header.
func (k *maker) framing() {
	n := len(k.w.Frame)
	for cut := 0; cut < n; cut += 1 + n/60 {
		k.put("half a frame", 0, k.w.Frame[:cut])
	}
	if k.p.Dialect == profile.POS {
		for _, v := range []int{0, 1, 20, n - 3, n - 1, 2047, 4096, 65535} {
			k.put("length bomb", 0, k.set(0, byte(v>>8), byte(v)))
		}
		k.put("TPDU of another kind", 0, k.set(2, k.w.Frame[2]^0x08))
		k.put("header of another kind", 0, k.set(7, k.w.Frame[7]^0x10))
		for at := 3; at < 7; at++ {
			k.put("address of nobody", 0, k.set(at, k.w.Frame[at]^0x55))
		}
		return
	}
	for _, v := range []string{"0000", "0001", "9999", "2049", "-001", "+100", " 100", "1e03", "0x40", "\xff\xff\xff\xff"} {
		k.put("length bomb", 0, k.set(2, []byte(v)...))
	}
	for _, v := range []byte{0, 45, 47, 0xFF} {
		k.put("header length", 0, k.set(0, v))
	}
	k.put("version", 0, k.set(1, k.w.Frame[1]^1))
	for _, at := range []int{6, 16, 17, 27} {
		k.put("address of nobody", 0, k.set(at, k.w.Frame[at]^0x1F))
	}
	k.put("header not printable", 0, k.set(29, 0x07))
	for _, v := range []string{"00015", "00045", "99999", "0000x", "     "} {
		k.put("reject code", 0, k.set(41, []byte(v)...))
	}
}

// types gives the frame types that the profile has not.
func (k *maker) types() {
	for _, v := range []string{"0000", "0100", "0205", "0219", "0299", "0600", "1200", "9999"} {
		if k.p.Fields[0].Encoding == profile.BCD {
			k.put("wrong type", 0, k.set(k.w.Type, packed(v)...))
			continue
		}
		k.put("wrong type", 0, k.set(k.w.Type, []byte(v)...))
	}
	if k.p.Fields[0].Encoding == profile.BCD {
		for _, v := range [][]byte{{0x0A, 0x10}, {0x02, 0x1F}, {0xD2, 0x10}} {
			k.put("type that is no number", 0, k.set(k.w.Type, v...))
		}
		return
	}
	for _, v := range []string{"zzzz", "02 0", "+210", "0x10", "\x00\x00\x00\x00"} {
		k.put("type that is no number", 0, k.set(k.w.Type, []byte(v)...))
	}
}

// bitmaps turns bits and chains bitmaps.
func (k *maker) bitmaps() {
	listed := slices.Concat(k.rule.Mandatory, k.rule.Optional)
	for de := 2; de <= 64*k.w.Maps; de++ {
		switch {
		case de == 65:
			k.put("third bitmap", de, k.w.Bit(de))
		case k.w.Has(de): // its bytes stay and are read as something else
			k.put("bit without its place", de, k.w.Bit(de))
		case !slices.Contains(listed, de):
			k.put("element that the message has not", de, k.w.Bit(de))
		}
	}
	head := k.w.Frame[:k.w.Bits]
	one := []byte{0x80, 0, 0, 0, 0, 0, 0, 0}
	for _, n := range []int{1, 2, 3, 16, 100, 240} {
		k.put("endless bitmaps", 0, k.w.Mend(slices.Concat(head, bytes.Repeat(one, n))))
	}
	k.put("all bits", 0, k.w.Mend(slices.Concat(head, bytes.Repeat([]byte{0xFF}, 16), make([]byte, 500))))
	k.put("no bits", 0, k.w.Mend(slices.Concat(head, make([]byte, 8))))
	if k.w.Maps == 1 {
		k.put("empty second bitmap", 0, k.w.Mend(slices.Concat(head, []byte{k.w.Frame[k.w.Bits] | 0x80}, k.w.Frame[k.w.Bits+1:k.w.Bits+8], make([]byte, 8), k.w.Frame[k.w.Bits+8:])))
	}
}

// ends leaves bytes over and takes bytes away, with a good length.
func (k *maker) ends() {
	n := len(k.w.Frame)
	for _, extra := range []string{"\x00", "0", "tail", "\xff\xff", string(k.w.Frame[k.w.Type:])} {
		if n+len(extra) <= k.p.Limits.MaxFrame {
			k.put("bytes left over", 0, k.w.Mend(append(slices.Clone(k.w.Frame), extra...)))
		}
	}
	for _, less := range []int{1, 2, 4, 7, 8, 9, 16} {
		if n-less >= k.w.Bits+8 {
			k.put("bytes missing", 0, k.w.Mend(slices.Clone(k.w.Frame[:n-less])))
		}
	}
}

// garbage is bytes that never were a message.
func (k *maker) garbage() {
	for n := range 400 {
		b := make([]byte, 1+k.s.Rnd.IntN(1+n*4))
		for i := range b {
			b[i] = byte(k.s.Rnd.IntN(256))
		}
		k.put("garbage", 0, b)
		// The same under a good header: the parser must look at it.
		if f := slices.Concat(k.w.Frame[:k.w.Type], b); len(f) >= k.w.Type+12 && len(f) <= k.p.Limits.MaxFrame {
			k.put("garbage behind a header", 0, k.w.Mend(f))
		}
	}
	for n := 0; n < 40; n++ {
		k.put("one byte over and over", 0, bytes.Repeat([]byte{byte(n * 7)}, 1+n*50))
	}
}
