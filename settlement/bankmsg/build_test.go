package bankmsg

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
)

func fieldsOf(m *Message) []int {
	var all []int
	for de := 2; de <= maxDE; de++ {
		if m.Has(de) {
			all = append(all, de)
		}
	}
	return all
}

func referenceReversal(t *testing.T, c *Codec) *ReversalRequest {
	d := referenceDebit(t, c)
	r := &ReversalRequest{Place: d.Place, STAN: d.STAN, RRN: d.RRN, DE7: d.DE7, At: d.At, Amount: d.Amount, PAN: d.Card.PAN,
		PSN: d.Card.PSN, Expiry: d.Card.Expiry, Auth: "A1B2C3", Reason: "98",
		EMV: PickTags(nil, d.Card.DE55, c.p.DE55["reversal"])}
	copy(r.NewDE7[:], "1122093100")
	return r
}

// TestVector is a message laid out by hand from the field list of
// docs/spec/bank-wire.md, so that the codec is not checked against itself.
func TestVector(t *testing.T) {
	c := demoCodec(t, "rcb")
	r := referenceReversal(t, c)
	var m Message
	if err := c.Reversal(&m, r); err != nil {
		t.Fatal(err)
	}
	var f Frame
	if err := c.Encode(&f, profile.Reversal, false, &m); err != nil {
		t.Fatal(err)
	}
	f.PutMAC([8]byte([]byte("B3A092AE")))
	want := strings.Join([]string{
		"0090", "6000030000", "603210320072", // length 144, TPDU, header
		"0400", "7024048006C08219", // type; 2 3 4 11 14 22 25 38 39 41 42 49 55 60 61 64
		"16" + "6299000100000014",        // DE 2
		"000000",                         // DE 3
		"000000038000",                   // DE 4
		"000007",                         // DE 11
		"3312",                           // DE 14
		"0510",                           // DE 22, left aligned
		"00",                             // DE 25
		"413142324333",                   // DE 38
		"3938",                           // DE 39
		"3830313130303031",               // DE 41
		"333330313130303438313630303031", // DE 42
		"313536",                         // DE 49
		"0034" + "95058000040800" + "9F101307020103A4B904010A01000000" + "00001BFC423C" + "9F3602000E", // DE 55
		"0014" + "22000001000500",   // DE 60: 22, batch, 000, 500
		"0016" + "0000010000071122", // DE 61: batch, trace number, date
		"4233413039324145",          // DE 64
	}, "")
	if got := strings.ToUpper(hex.EncodeToString(f.Wire)); got != want {
		t.Errorf("Encode of a 0400: got\n%s, want\n%s", got, want)
	}
	if got := strings.ToUpper(hex.EncodeToString(f.MACIn)); got != want[26:len(want)-16] {
		t.Errorf("input of the code: got\n%s", got)
	}
}

// TestSelectedText lays out the text of the selected scope by hand.
func TestSelectedText(t *testing.T) {
	c := demoCodec(t, "boc")
	var m Message
	if err := c.Reversal(&m, referenceReversal(t, c)); err != nil {
		t.Fatal(err)
	}
	var f Frame
	if err := c.Encode(&f, profile.Reversal, false, &m); err != nil {
		t.Fatal(err)
	}
	want := "0420 166299000100000014 000000 000000038000 1122093100 000007 9399 00 0848330114 0800330114 A1B2C3 98 " +
		"70110004 330110048160004 02000000071122093015"
	if string(f.MACIn) != want {
		t.Errorf("text of the code: got\n%q, want\n%q", f.MACIn, want)
	}
	for de, covered := range map[int]bool{4: true, 90: true, 15: false, 37: false, 55: false, 128: false} {
		if got := c.Covered(profile.Debit, de); got != covered {
			t.Errorf("Covered(debit, %d): got %v", de, got)
		}
	}
	if !c.Covered(profile.KeyReset, 70) || c.Covered(profile.Debit, 70) {
		t.Error("Covered: the list of key messages is another one")
	}
}

// TestReversalFields: what a reversal keeps, drops and adds.
func TestReversalFields(t *testing.T) {
	for code, want := range map[string][]int{
		"rcb":  {2, 3, 4, 11, 14, 22, 25, 38, 39, 41, 42, 49, 55, 60, 61},
		"icbc": {2, 3, 4, 11, 14, 22, 25, 38, 39, 41, 42, 49, 55, 60, 61},
		"ccb":  {2, 3, 4, 7, 11, 12, 13, 14, 18, 22, 23, 25, 32, 33, 37, 38, 39, 41, 42, 43, 49, 55, 60, 90},
		"boc":  {2, 3, 4, 7, 11, 12, 13, 14, 18, 22, 23, 25, 32, 33, 37, 38, 39, 41, 42, 43, 49, 55, 60, 90},
	} {
		c := demoCodec(t, code)
		r := referenceReversal(t, c)
		var m Message
		for _, repeat := range []bool{false, true} {
			r.Repeat = repeat
			if err := c.Reversal(&m, r); err != nil {
				t.Fatal(err)
			}
			if got := fieldsOf(&m); !slices.Equal(got, want) {
				t.Errorf("%s: fields: got %v, want %v", code, got, want)
			}
			mti := map[bool]map[profile.ReversalStyle]uint16{false: {profile.Request0400: 0x0400, profile.Advice0420: 0x0420},
				true: {profile.Request0400: 0x0401, profile.Advice0420: 0x0421}}[repeat][c.p.Reversal]
			if m.MTI() != mti {
				t.Errorf("%s: type: got %04x, want %04x", code, m.MTI(), mti)
			}
		}
		if c.p.Reversal == profile.Advice0420 {
			if got, want := string(m.Field(90)), "0200"+"000007"+"1122093015"+"000"+c.p.Acquirer+"000"+c.p.Forwarder; got != want {
				t.Errorf("%s: DE 90: got %s, want %s", code, got, want)
			}
			if string(m.Field(7)) != "1122093100" || string(m.Field(12)) != "093015" {
				t.Errorf("%s: DE 7 is not new or DE 12 is not the original's", code)
			}
		}
		r.Reason = ""
		if c.Reversal(&m, r) == nil {
			t.Errorf("%s: a reversal without a reason: got no error", code)
		}
	}
}

// TestInquiryFields: an inquiry has numbers of its own and names the debit as the
// reversal does; nothing of the card but its number is in it.
func TestInquiryFields(t *testing.T) {
	for code, want := range map[string][]int{
		"rcb+inquiry":  {2, 3, 4, 11, 41, 42, 49, 60, 61},
		"icbc+inquiry": {2, 3, 4, 11, 41, 42, 49, 60, 61},
		"ccb+inquiry":  {2, 3, 4, 7, 11, 12, 13, 32, 33, 37, 41, 42, 49, 90},
		"boc+inquiry":  {2, 3, 4, 7, 11, 12, 13, 32, 33, 37, 41, 42, 49, 90},
	} {
		c := demoCodec(t, code)
		r := referenceReversal(t, c)
		q := referenceInquiry(t, c)
		var m, rev Message
		if err := c.StatusInquiry(&m, q); err != nil {
			t.Fatal(err)
		}
		if err := c.Reversal(&rev, r); err != nil {
			t.Fatal(err)
		}
		if got := fieldsOf(&m); !slices.Equal(got, want) || m.MTI() != 0x0200 || string(m.Field(3)) != "340000" || string(m.Field(11)) != "900001" {
			t.Errorf("%s: type %04x, fields %v, DE 3 %s, DE 11 %s", code, m.MTI(), got, m.Field(3), m.Field(11))
		}
		for _, de := range []int{2, 4, 41, 42, 61, 90} {
			if !bytes.Equal(m.Field(de), rev.Field(de)) {
				t.Errorf("%s: DE %d is %s, in the reversal %s", code, de, m.Field(de), rev.Field(de))
			}
		}
		if c.p.Dialect == profile.POS && string(m.Field(60)) != fmt.Sprintf("01%06d000500", q.Place.Batch) {
			t.Errorf("%s: DE 60 is %s", code, m.Field(60))
		}
		for _, amount := range []si.Fen{0, -1, c.p.Limits.MaxAmount + 1} {
			q.Amount = amount
			if c.StatusInquiry(&m, q) == nil {
				t.Errorf("%s: an inquiry about %d fen is made", code, amount)
			}
		}
	}
	if err := demoCodec(t, "rcb").StatusInquiry(new(Message), &InquiryRequest{Amount: 1}); !errors.Is(err, ErrMessage) {
		t.Errorf("a bank that takes no inquiries: got %v", err)
	}
}

// TestScriptFields: a script notice keeps the payment's numbers but for DE 7, names
// it in DE 90, and carries no track and no PIN block.
func TestScriptFields(t *testing.T) {
	for _, code := range []string{"ccb+script", "boc+script"} {
		c := demoCodec(t, code)
		r := referenceReversal(t, c)
		results := []byte{0x9F, 0x36, 2, 0, 7, 0xDF, 0x31, 5, 0x20, 1, 2, 3, 4}
		n := &ScriptNotice{STAN: r.STAN, RRN: r.RRN, DE7: r.DE7, NewDE7: r.NewDE7, At: r.At, Amount: r.Amount, PAN: r.PAN, PSN: r.PSN,
			Resp: "00", DE55: results}
		var m, rev Message
		if err := c.Reversal(&rev, r); err != nil {
			t.Fatal(err)
		}
		for _, repeat := range []bool{false, true} {
			n.Repeat = repeat
			if err := c.ScriptNotify(&m, n); err != nil {
				t.Fatal(err)
			}
			want := []int{2, 4, 7, 11, 12, 13, 18, 22, 23, 32, 33, 37, 39, 41, 42, 43, 49, 55, 60, 70, 90}
			if got := fieldsOf(&m); !slices.Equal(got, want) || m.MTI() != map[bool]uint16{false: 0x0620, true: 0x0621}[repeat] {
				t.Errorf("%s: type %04x, fields %v, want %v", code, m.MTI(), got, want)
			}
		}
		for _, de := range []int{2, 4, 7, 11, 12, 13, 37, 41, 42, 90} {
			if !bytes.Equal(m.Field(de), rev.Field(de)) {
				t.Errorf("%s: DE %d is %s, in the reversal %s", code, de, m.Field(de), rev.Field(de))
			}
		}
		if string(m.Field(39)) != "00" || string(m.Field(70)) != "951" || !bytes.Equal(m.Field(55), results) {
			t.Errorf("%s: DE 39 %s, DE 70 %s, DE 55 %x", code, m.Field(39), m.Field(70), m.Field(55))
		}
		n.DE55 = nil
		if c.ScriptNotify(&m, n) == nil {
			t.Errorf("%s: a notice without results is made", code)
		}
	}
	if err := demoCodec(t, "ccb").ScriptNotify(new(Message), &ScriptNotice{STAN: 1, Resp: "00"}); !errors.Is(err, ErrMessage) {
		t.Errorf("a bank that wants none: got %v", err)
	}
}

// referenceInquiry asks for the payment that referenceReversal takes back, a
// minute and a batch later.
func referenceInquiry(t *testing.T, c *Codec) *InquiryRequest {
	t.Helper()
	r := referenceReversal(t, c)
	q := &InquiryRequest{Place: r.Place, STAN: 900_001, At: r.At.Add(time.Minute), Amount: r.Amount, PAN: r.PAN,
		Original: OriginalPayment{Batch: r.Place.Batch, STAN: r.STAN, RRN: r.RRN, DE7: r.DE7, At: r.At}}
	q.Place.Batch++
	copy(q.DE7[:], "1122093115")
	return q
}

// TestInquiryReply: the answer to an inquiry is about the same debit, and one
// that says approved has a code.
func TestInquiryReply(t *testing.T) {
	today := si.Date(2026, 11, 22)
	for _, code := range []string{"rcb+inquiry", "boc+inquiry"} {
		c := demoCodec(t, code)
		var req Message
		if err := c.StatusInquiry(&req, referenceInquiry(t, c)); err != nil {
			t.Fatal(err)
		}
		var sent Sent
		sent.Keep(profile.StatusInquiry, &req)
		reply := func(without bool, change func(*Message)) error {
			var m, got Message
			var f Frame
			var in Inbound
			ru := c.rule(profile.StatusInquiry, true)
			m.Reset(ru.mti)
			for de := 2; de <= maxDE; de++ {
				if v := req.Field(de); v != nil && ru.may.has(de) {
					m.Set(de, v)
				}
			}
			m.SetString(39, "00")
			change(&m)
			f.WithoutMAC = without
			if err := c.Encode(&f, profile.StatusInquiry, true, &m); err != nil {
				return err
			}
			if err := c.Decode(f.Wire, &got, &in); err != nil {
				return err
			}
			return c.CheckReply(&sent, &got, &in, today)
		}
		if err := reply(false, func(*Message) {}); err != nil {
			t.Fatalf("%s: good reply: %v", code, err)
		}
		if reply(true, func(*Message) {}) == nil {
			t.Errorf("%s: approved without a code: got no error", code)
		}
		others := map[int]string{2: "6299000100000022", 4: "000000038001", 11: "900002", 41: "80110009", 49: "840"}
		if c.p.Dialect == profile.POS {
			others[61] = string(req.Field(61)[:11]) + "9" + string(req.Field(61)[12:])
		} else {
			others[90] = string(req.Field(90)[:9]) + "9" + string(req.Field(90)[10:])
		}
		for de, v := range others {
			var fe *FieldError
			if err := reply(false, func(m *Message) { m.SetString(de, v) }); !errors.As(err, &fe) || fe.DE != de {
				t.Errorf("%s: reply with another DE %d: got %v", code, de, err)
			}
		}
	}
}

// TestProofFields: a proof has no amount, and a PIN block in one place.
func TestProofFields(t *testing.T) {
	for _, code := range demoBanks {
		c := demoCodec(t, code)
		d := referenceDebit(t, c)
		var m Message
		p := &ProofRequest{Place: d.Place, STAN: 900_001, RRN: d.RRN, DE7: d.DE7, At: d.At, Card: d.Card}
		if err := c.PINProof(&m, p); err != nil {
			t.Fatal(err)
		}
		if m.Has(4) || !m.Has(35) || m.Has(52) == m.Has(63) {
			t.Errorf("%s: proof has fields %v", code, fieldsOf(&m))
		}
		if err := c.Debit(&m, d); err != nil {
			t.Fatal(err)
		}
		if !m.Has(4) || m.Has(52) == m.Has(63) {
			t.Errorf("%s: payment has fields %v", code, fieldsOf(&m))
		}
	}
}

// TestBounds: each number at its bound and one beyond.
func TestBounds(t *testing.T) {
	c := demoCodec(t, "rcb")
	for _, tc := range []struct {
		name   string
		change func(*DebitRequest)
		good   bool
	}{
		{"amount at the limit", func(d *DebitRequest) { d.Amount = c.p.Limits.MaxAmount }, true},
		{"amount beyond", func(d *DebitRequest) { d.Amount = c.p.Limits.MaxAmount + 1 }, false},
		{"amount zero", func(d *DebitRequest) { d.Amount = 0 }, false},
		{"amount below", func(d *DebitRequest) { d.Amount = -1 }, false},
		{"STAN 1", func(d *DebitRequest) { d.STAN = 1 }, true},
		{"STAN 0", func(d *DebitRequest) { d.STAN = 0 }, false},
		{"STAN 999999", func(d *DebitRequest) { d.STAN = 999_999 }, true},
		{"STAN 1000000", func(d *DebitRequest) { d.STAN = 1_000_000 }, false},
		{"batch 999999", func(d *DebitRequest) { d.Place.Batch = 999_999 }, true},
		{"batch 1000000", func(d *DebitRequest) { d.Place.Batch = 1_000_000 }, false},
		{"no terminal", func(d *DebitRequest) { d.Place.Terminal = profile.VirtualTerminal{} }, false},
		{"no PIN block", func(d *DebitRequest) { d.Card.PINBlock = si.PINBlock{} }, false},
		{"no sequence number", func(d *DebitRequest) { d.Card.PSN = "" }, true},
		{"chip data of 255 bytes", func(d *DebitRequest) { d.Card.DE55 = long55(255) }, true},
		{"chip data of 256 bytes", func(d *DebitRequest) { d.Card.DE55 = long55(256) }, false},
	} {
		d := referenceDebit(t, c)
		tc.change(d)
		var m Message
		var f Frame
		err := c.Debit(&m, d)
		if err == nil {
			err = c.Encode(&f, profile.Debit, false, &m)
		}
		if (err == nil) != tc.good {
			t.Errorf("%s: got %v", tc.name, err)
		}
	}
}

func long55(n int) []byte {
	return append([]byte{0x9F, 0x10, 0x81, byte(n - 4)}, make([]byte, n-4)...)
}

// TestMessageBounds: what does not fit spoils the message and nothing else.
func TestMessageBounds(t *testing.T) {
	var m Message
	for _, spoil := range []func(){
		func() { m.Set(1, []byte("x")) }, func() { m.Set(129, []byte("x")) }, func() { m.Set(62, make([]byte, arenaSize+1)) },
		func() { m.SetNumber(11, 1_000_000, 6) }, func() { m.SetNumber(11, 1, 21) },
	} {
		m.Reset(0x0200)
		spoil()
		if !m.overflow {
			t.Error("a value that does not fit left the message good")
		}
	}
	m.Reset(0x0200)
	m.Set(62, make([]byte, arenaSize))
	m.SetNumber(11, 999_999, 6)
	if !m.overflow || m.Has(11) {
		t.Error("an arena that is full took another field")
	}
	m.Wipe()
	if m.arena != [len(m.arena)]byte{} {
		t.Error("Wipe left something")
	}
}

// TestCheckReply changes each echoed field of a good reply.
func TestCheckReply(t *testing.T) {
	today := si.Date(2026, 11, 22)
	for _, code := range demoBanks {
		c := demoCodec(t, code)
		req := reference(t, c)
		var sent Sent
		sent.Keep(profile.Debit, req)
		if text := fmt.Sprintf("%v %+v %#v %s", &sent, &sent, &sent, sent.String()); strings.Contains(text, "6299") {
			t.Errorf("Sent prints what it holds: %s", text)
		}
		reply := func(change func(*Message)) error {
			var m, got Message
			var f Frame
			var in Inbound
			r := c.rule(profile.Debit, true)
			m.Reset(r.mti)
			for de := 2; de <= maxDE; de++ {
				if v := req.Field(de); v != nil && r.may.has(de) && de != 55 {
					m.Set(de, v)
				}
			}
			m.SetString(39, "00")
			m.SetString(15, "1122")
			m.SetString(37, "112209000007")
			change(&m)
			if err := c.Encode(&f, profile.Debit, true, &m); err != nil {
				return err
			}
			if err := c.Decode(f.Wire, &got, &in); err != nil {
				return err
			}
			return c.CheckReply(&sent, &got, &in, today)
		}
		if err := reply(func(*Message) {}); err != nil {
			t.Fatalf("%s: good reply: %v", code, err)
		}
		for de, v := range map[int]string{2: "6299000100000022", 4: "000000038001", 11: "000008", 41: "80110009",
			42: "330110048160009", 49: "840"} {
			err := reply(func(m *Message) { m.SetString(de, v) })
			var fe *FieldError
			if !errors.As(err, &fe) || fe.DE != de || !errors.Is(err, ErrEcho) {
				t.Errorf("%s: reply with another DE %d: got %v", code, de, err)
			}
		}
		if err := reply(func(m *Message) { m.SetString(3, "310000") }); err == nil {
			t.Errorf("%s: reply with another processing code: got no error", code)
		}
		for mmdd, good := range map[string]bool{"1120": true, "1124": true, "1119": false, "1125": false, "1332": false} {
			err := reply(func(m *Message) { m.SetString(15, mmdd) })
			if (err == nil) != (good || c.p.MACScope == profile.MACSelected) {
				t.Errorf("%s: reply dated %s: got %v", code, mmdd, err)
			}
		}
		if c.p.Dialect == profile.POS {
			if err := reply(func(m *Message) { m.SetString(60, "22000002000500") }); !errors.Is(err, ErrEcho) {
				t.Errorf("%s: reply of another batch: got %v", code, err)
			}
		} else if err := reply(func(m *Message) { m.SetString(32, "99") }); !errors.Is(err, ErrEcho) {
			t.Errorf("%s: reply of another acquirer: got %v", code, err)
		}
	}
}

// TestMatchKey: a reply has its request's key, other requests have others.
func TestMatchKey(t *testing.T) {
	for _, code := range demoBanks {
		c := demoCodec(t, code)
		m := reference(t, c)
		key := c.MatchKey(profile.Debit, m)
		other := *m
		other.mti = 0x0210
		if c.MatchKey(profile.Debit, &other) != key {
			t.Errorf("%s: the reply has another key", code)
		}
		other.SetNumber(11, 8, 6)
		if c.MatchKey(profile.Debit, &other) == key {
			t.Errorf("%s: another trace number has the same key", code)
		}
		var rev Message
		if err := c.Reversal(&rev, referenceReversal(t, c)); err != nil {
			t.Fatal(err)
		}
		if c.MatchKey(profile.Reversal, &rev) == key {
			t.Errorf("%s: the reversal has the key of its original", code)
		}
	}
}

// TestIssuer reads what comes back for the chip.
func TestIssuer(t *testing.T) {
	var m Message
	m.Reset(0x0210)
	m.SetString(39, "00")
	auth := bytes.Repeat([]byte{7}, 10)
	m.Set(55, slices.Concat([]byte{0x91, 10}, auth, []byte{0x72, 2, 0x86, 0, 0x72, 2, 0x86, 0, 0x71, 2, 0x86, 0}))
	d := Issuer(&m)
	if d.ARC != "00" || !bytes.Equal(d.Auth, auth) || len(d.Scripts) != 12 {
		t.Errorf("Issuer: got %q, %d bytes, %d bytes of scripts", d.ARC, len(d.Auth), len(d.Scripts))
	}
	m.Set(55, []byte{0x8A, 2, 'Z', '3'})
	if d := Issuer(&m); d.ARC != "Z3" || d.Auth != nil {
		t.Errorf("Issuer: got %q", d.ARC)
	}
}

// TestRoles: each end lets in what the other side sends to it, and no more.
func TestRoles(t *testing.T) {
	for _, code := range demoBanks {
		any := demoCodec(t, code)
		rnd := newRand(3)
		var m, got Message
		var f Frame
		var in Inbound
		for _, ru := range any.messagesOf() {
			any.sample(rnd, ru.kind, ru.reply, &m)
			if err := any.Encode(&f, ru.kind, ru.reply, &m); err != nil {
				t.Fatal(err)
			}
			fromBank := ru.kind.BankSends() != ru.reply
			link := fromBank && (ru.reply || ru.kind == profile.KeyDelivery || ru.kind == profile.CutoverFrom || ru.kind == profile.PeerEcho)
			server := fromBank && !ru.reply
			if err := any.For(HubLink).Decode(f.Wire, &got, &in); (err == nil) != link {
				t.Errorf("%s: link: %v reply=%v: got %v", code, ru.kind, ru.reply, err)
			}
			if err := any.For(HubServer).Decode(f.Wire, &got, &in); (err == nil) != server {
				t.Errorf("%s: server: %v reply=%v: got %v", code, ru.kind, ru.reply, err)
			}
		}
	}
}
