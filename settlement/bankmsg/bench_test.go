package bankmsg

import (
	"slices"
	"testing"
	"time"

	"github.com/moov-io/iso8583"

	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
)

// reference is the message of the figures in docs/spec/bank-wire.md: a payment
// with chip data, track and PIN block.
func reference(t testing.TB, c *Codec) *Message {
	t.Helper()
	d := referenceDebit(t, c)
	m := new(Message)
	if err := c.Debit(m, d); err != nil {
		t.Fatal(err)
	}
	return m
}

func referenceDebit(t testing.TB, c *Codec) *DebitRequest {
	t.Helper()
	pan, err := si.ParsePAN("6299000100000014")
	if err != nil {
		t.Fatal(err)
	}
	track, err := si.ParseTrack2("6299000100000014D33122200000012345678")
	if err != nil {
		t.Fatal(err)
	}
	size := 8
	if c.p.PINFormat != si.PINFormat0TDES {
		size = 16
	}
	block, err := si.NewPINBlock([]byte("\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff\x00")[:size])
	if err != nil {
		t.Fatal(err)
	}
	d := &DebitRequest{STAN: 7, Amount: 38_000, At: time.Date(2026, 11, 22, 9, 30, 15, 0, si.China),
		Card: CardPart{PAN: pan, PSN: "01", Track2: track, Expiry: "3312", PINBlock: block, DE55: referenceICC}}
	copy(d.RRN[:], "112209000007")
	copy(d.DE7[:], "1122093015")
	if len(c.p.Terminals) > 0 {
		d.Place = Place{Terminal: c.p.Terminals[0], Batch: 1}
	}
	return d
}

var referenceICC = []byte("\x9f\x26\x08\xf2\x94\xd7\x02\x2f\xa9\xb0\x58\x9f\x27\x01\x80\x9f\x10\x13\x07\x02\x01\x03\xa4\xb9\x04\x01\x0a\x01\x00\x00\x00\x00\x00\x1b\xfc\x42\x3c" +
	"\x9f\x37\x04\x09\x03\x20\x11\x9f\x36\x02\x00\x0e\x95\x05\x80\x00\x04\x08\x00\x9a\x03\x26\x11\x22\x9c\x01\x00\x9f\x02\x06\x00\x00\x00\x03\x80\x00\x5f\x2a\x02\x01\x56\x82\x02\x7c\x00" +
	"\x9f\x1a\x02\x01\x56\x9f\x03\x06\x00\x00\x00\x00\x00\x00\x9f\x33\x03\x20\x40\x00")

// roundTrip is one encoding and one decoding with everything that is checked.
func roundTrip(t testing.TB, c *Codec, m, got *Message, f *Frame, in *Inbound) {
	if err := c.Encode(f, profile.Debit, false, m); err != nil {
		t.Fatal(err)
	}
	if err := c.Decode(f.Wire, got, in); err != nil {
		t.Fatal(err)
	}
}

// TestNoAllocation holds encoding and decoding of the reference payment, and of
// every message of every profile, to no allocation.
func TestNoAllocation(t *testing.T) {
	for _, code := range askedBanks {
		c := demoCodec(t, code)
		m := reference(t, c)
		var got Message
		var f Frame
		var in Inbound
		roundTrip(t, c, m, &got, &f, &in)
		if n := testing.AllocsPerRun(200, func() { roundTrip(t, c, m, &got, &f, &in) }); n != 0 {
			t.Errorf("%s: encode and decode: got %v allocations, want 0", code, n)
		}
		rnd := newRand(5)
		for _, ru := range c.messagesOf() {
			c.sample(rnd, ru.kind, ru.reply, m)
			trip := func() {
				if err := c.Encode(&f, ru.kind, ru.reply, m); err != nil {
					t.Fatal(err)
				}
				if err := c.Decode(f.Wire, &got, &in); err != nil {
					t.Fatal(err)
				}
			}
			trip()
			if n := testing.AllocsPerRun(20, trip); n != 0 {
				t.Errorf("%s: %s (reply %v): got %v allocations, want 0", code, ru.kind, ru.reply, n)
			}
		}
	}
}

// BenchmarkRoundTrip measures, on the same payment and in turns within the same
// run, our encoding and decoding with all checks and the library's packing and
// unpacking. It prints the median of many short turns and the best one, because
// others may use the machine. Bars: 1 µs and 100 times the library for rcb; the
// ratio of the ASCII dialect (ccb) stands beside it.
func BenchmarkRoundTrip(b *testing.B) {
	for _, code := range []string{"rcb", "ccb"} {
		b.Run(code, func(b *testing.B) {
			c := demoCodec(b, code)
			m := reference(b, c)
			var got Message
			var f Frame
			var in Inbound
			roundTrip(b, c, m, &got, &f, &in)
			o := newOracle(b, c)
			body := f.Wire[c.bodyAt():]
			var encode, decode, library []float64
			turn := func(list *[]float64, times int, do func()) {
				began := time.Now()
				for range times {
					do()
				}
				*list = append(*list, float64(time.Since(began).Nanoseconds())/float64(times))
			}
			for b.Loop() {
				turn(&encode, 200, func() { must(b, c.Encode(&f, profile.Debit, false, m)) })
				turn(&decode, 200, func() { must(b, c.Decode(f.Wire, &got, &in)) })
				turn(&library, 2, func() { libraryRoundTrip(b, o, body) })
			}
			for _, list := range [][]float64{encode, decode, library} {
				slices.Sort(list)
			}
			mid := len(encode) / 2
			b.ReportMetric(0, "ns/op") // of a whole turn: says nothing
			b.ReportMetric(encode[mid], "encode-ns")
			b.ReportMetric(decode[mid], "decode-ns")
			b.ReportMetric(encode[mid]+decode[mid], "ours-ns")
			b.ReportMetric(encode[0]+decode[0], "ours-best-ns")
			b.ReportMetric(library[mid], "library-ns")
			b.ReportMetric(library[mid]/(encode[mid]+decode[mid]), "times-library")
			b.ReportMetric(float64(len(f.Wire)), "wire-bytes")
		})
	}
}

func must(b *testing.B, err error) {
	if err != nil {
		b.Fatal(err)
	}
}

// libraryRoundTrip lets the library read the body and write it again.
func libraryRoundTrip(b *testing.B, o *oracle, body []byte) {
	lm := iso8583.NewMessage(o.spec)
	if err := lm.Unpack(body); err != nil {
		b.Fatal("the library refused the message")
	}
	if _, err := lm.Pack(); err != nil {
		b.Fatal("the library cannot pack")
	}
}
