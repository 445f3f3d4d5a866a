package bankmsg

import (
	"bytes"
	"fmt"
	"testing"
)

// TestConformance holds every message of every demo profile to the library:
// the same bytes from both, the same meaning in both, and our own round trip.
func TestConformance(t *testing.T) {
	for _, code := range askedBanks {
		t.Run(code, func(t *testing.T) {
			c := demoCodec(t, code)
			o := newOracle(t, c)
			rnd := newRand(7)
			for _, ru := range c.messagesOf() {
				t.Run(fmt.Sprintf("%s reply=%v", ru.kind, ru.reply), func(t *testing.T) {
					for i := 0; i < 25; i++ {
						conform(t, c, o, ru, func(m *Message) { c.sample(rnd, ru.kind, ru.reply, m) })
					}
				})
			}
		})
	}
}

func conform(t *testing.T, c *Codec, o *oracle, ru *rule, fill func(*Message)) {
	t.Helper()
	var m, got Message
	var f, again Frame
	var in Inbound
	fill(&m)
	if err := c.Encode(&f, ru.kind, ru.reply, &m); err != nil {
		t.Fatalf("Encode: %v", err)
	}
	if ru.mac {
		f.PutMAC([8]byte{1, 2, 3, 4, 5, 6, 7, 8})
	}
	if n, err := c.Next(f.Wire); n != len(f.Wire) || err != nil {
		t.Fatalf("Next: got %d, %v, want %d", n, err, len(f.Wire))
	}
	if err := c.Decode(f.Wire, &got, &in); err != nil {
		t.Fatalf("Decode: %v", err)
	}
	if in.Kind != ru.kind || in.Reply != ru.reply || in.HasMAC != ru.mac || in.Repeat != (m.mti != ru.mti) {
		t.Fatalf("Decode: got kind %v reply %v code %v repeat %v", in.Kind, in.Reply, in.HasMAC, in.Repeat)
	}
	if !bytes.Equal(in.MACIn, f.MACIn) {
		t.Fatalf("Decode: input of the code differs from Encode's")
	}
	lib, err := o.unpack(f.Wire[c.bodyAt():])
	if err != nil {
		t.Fatalf("library: %v", err)
	}
	for de := 2; de <= maxDE; de++ {
		if de == c.p.MACField || !m.Has(de) {
			continue
		}
		if v := o.value(t, lib, de); !bytes.Equal(v, m.Field(de)) {
			t.Fatalf("library read DE %d differently", de)
		}
		if v := got.Field(de); !ru.drop.has(de) && !bytes.Equal(v, m.Field(de)) {
			t.Fatalf("Decode gave another DE %d", de)
		} else if ru.drop.has(de) && v != nil {
			t.Fatalf("Decode kept DE %d, which is to be dropped", de)
		}
	}
	packed, err := lib.Pack()
	if err != nil {
		t.Fatal("library: cannot pack what it unpacked")
	}
	if !bytes.Equal(packed, f.Wire[c.bodyAt():]) {
		t.Fatalf("library packs\n%x, we\n%x", packed, f.Wire[c.bodyAt():])
	}
	if !ru.drop.empty() {
		return
	}
	if err := c.Encode(&again, in.Kind, in.Reply, &got); err != nil {
		t.Fatalf("Encode of what was decoded: %v", err)
	}
	again.PutMAC(in.MAC)
	if !bytes.Equal(again.Wire, f.Wire) {
		t.Fatalf("second encoding differs")
	}
}
