package bankmsg

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
)

var callDay = si.Date(2026, 11, 22)

// callOf makes a decoded request of a bank with the given records, and other
// fields changed.
func callOf(t *testing.T, c *Codec, k profile.Kind, records string, change map[int]string) (*Message, *Inbound, error) {
	t.Helper()
	r := c.rule(k, false)
	m, got, in := new(Message), new(Message), new(Inbound)
	m.Reset(r.mti)
	for de, v := range map[int]string{3: r.proc, 4: "000000038000", 7: "1122093015", 11: "000007", 12: "093015", 13: "1122",
		15: "1122", 32: "48330110", 33: "0010", 37: "093015000007", 39: "98", 41: "80110001", 42: "330110048160001", 49: "156",
		c.p.RecordField: records, 90: "0200000006112209301500048330110" + "00000000010"} {
		if x, ok := change[de]; ok {
			v = x
		}
		if r.may.has(de) && v != "" {
			m.SetString(de, v)
		}
	}
	var f Frame
	if err := c.Encode(&f, k, false, m); err != nil {
		return nil, nil, err
	}
	if err := c.Decode(f.Wire, got, in); err != nil {
		return nil, nil, err
	}
	return got, in, nil
}

const (
	notice20 = "330110260000000007"
	original = "0200000007" + "1122093015" + "00048330110" + "00000000000"
)

func TestReadCall(t *testing.T) {
	a, b := demoCodec(t, "rcb"), demoCodec(t, "ccb")
	nn := "NN020" + si.NewNoticeNo(330110, 2026, 7).String()
	first := "33019919700101001"
	last, err := si.IDCheckDigit(first)
	if err != nil {
		t.Fatal(err)
	}
	id := "ID018" + first + string(last)
	for _, tc := range []struct {
		name    string
		c       *Codec
		kind    profile.Kind
		records string
		change  map[int]string
		de      int // at fault, 0 for none
	}{
		{"inquiry by notice", a, profile.Inquiry, nn + "CH003CTROP0051 -~ ", nil, 0},
		{"inquiry by ID", b, profile.Inquiry, id, nil, 0},
		{"inquiry by both", a, profile.Inquiry, nn + id, nil, 62},
		{"inquiry by none", a, profile.Inquiry, "CH003CTR", nil, 62},
		{"notice of 19 digits", a, profile.Inquiry, "NN019" + notice20 + "0", nil, 62},
		{"notice with wrong check digits", a, profile.Inquiry, "NN020" + notice20 + "00", nil, 62},
		{"ID in a payment", b, profile.NoticePay, nn + id, nil, 48},
		{"unknown record", b, profile.NoticePay, nn + "XX001x", nil, 48},
		{"unknown channel", b, profile.NoticePay, nn + "CH003ATM", nil, 48},
		{"teller of 16", a, profile.NoticePay, nn + "OP0161234567890123456", nil, 0},
		{"teller of 17", a, profile.NoticePay, nn + "OP01712345678901234567", nil, 62},
		{"payment of zero", b, profile.NoticePay, nn, map[int]string{4: "000000000000"}, 4},
		{"payment dated 31 days back", b, profile.NoticePay, nn, map[int]string{15: "1022"}, 0},
		{"payment dated 32 days back", b, profile.NoticePay, nn, map[int]string{15: "1021"}, 15},
		{"no such day", b, profile.NoticePay, nn, map[int]string{15: "1131"}, 15},
		{"no such time", b, profile.NoticePay, nn, map[int]string{7: "1122250000"}, 7},
		{"leap day", b, profile.NoticePay, nn, map[int]string{7: "0229120000"}, 7},
		{"status by OD", a, profile.PayStatus, "OD042" + original, nil, 0},
		{"status without OD", a, profile.PayStatus, "CH003CTR", nil, 62},
		{"OD of letters", a, profile.PayStatus, "OD042" + strings.Repeat("x", 42), nil, 62},
		{"reversal by DE 90", b, profile.PayReversal, "", nil, 0},
		{"reversal of nothing", b, profile.PayReversal, "", map[int]string{90: strings.Repeat("0", 42)}, 48},
	} {
		m, in, err := callOf(t, tc.c, tc.kind, tc.records, tc.change)
		if err == nil {
			err = tc.c.ReadCall(m, in, callDay, new(BankCall))
		}
		var fe *FieldError
		if tc.de == 0 && err != nil || tc.de != 0 && (!errors.As(err, &fe) || fe.DE != tc.de) {
			t.Errorf("%s: got %v, want an error about DE %d", tc.name, err, tc.de)
		}
	}
	// Records that break their own form never get past the codec.
	for _, bad := range []string{"NN", "NN0", "NN02x12", "NN020123", "nn001x", "CH003CTRCH003CTR", nn + "C", strings.Repeat("AA000", 2)} {
		if _, _, err := callOf(t, a, profile.Inquiry, bad, nil); err == nil {
			t.Errorf("records %q: got no error", bad)
		}
	}
}

// TestPaymentID: the payment, its repeat, its status question and its reversal
// have one id; anything else has another.
func TestPaymentID(t *testing.T) {
	nn := "NN020" + si.NewNoticeNo(330110, 2026, 7).String()
	for _, code := range []string{"rcb", "ccb", "boc"} {
		c := demoCodec(t, code)
		id := func(k profile.Kind, records string, change map[int]string) si.PaymentID {
			t.Helper()
			m, in, err := callOf(t, c, k, records, change)
			if err != nil {
				t.Fatal(err)
			}
			var b BankCall
			if err := c.ReadCall(m, in, callDay, &b); err != nil {
				t.Fatal(err)
			}
			return b.PaymentID(c.p.Number)
		}
		pay := id(profile.NoticePay, nn, nil)
		if pay.Millis() != callDay.Time().UnixMilli() {
			t.Errorf("%s: id begins at %d, want the midnight of the settlement date", code, pay.Millis())
		}
		forwarder := "00000000000"
		if c.p.Dialect == profile.CUPS {
			forwarder = "00000000010"
		}
		od := "0200000007" + "1122093015" + "00048330110" + forwarder
		rec := "OD042" + od
		if c.p.Dialect == profile.CUPS {
			rec = ""
		}
		later := map[int]string{90: od, 7: "1122100000", 11: "000009"}
		if got := id(profile.PayStatus, rec, later); got != pay {
			t.Errorf("%s: the status question has another id", code)
		}
		if got := id(profile.PayReversal, rec, later); got != pay {
			t.Errorf("%s: the reversal has another id", code)
		}
		if got := id(profile.NoticePay, nn, map[int]string{4: "000000000001"}); got != pay {
			t.Errorf("%s: another amount under the same key has another id", code)
		}
		for de, v := range map[int]string{7: "1122093016", 11: "000008", 15: "1123", 32: "48330111", 37: "093015000008"} {
			if got := id(profile.NoticePay, nn, map[int]string{de: v}); got == pay {
				t.Errorf("%s: another DE %d has the same id", code, de)
			}
		}
		var b BankCall
		if b.PaymentID(1) == b.PaymentID(2) {
			t.Error("two banks have the same id")
		}
	}
}

// TestRecordBounds: as many records as fit, and one more.
func TestRecordBounds(t *testing.T) {
	var b []byte
	for i := range MaxRecords {
		b = AppendRecord(b, string([]byte{'A', byte('A' + i)}), "v")
	}
	if !wholeRecords(b) {
		t.Errorf("%d records: refused", MaxRecords)
	}
	if wholeRecords(AppendRecord(b, "ZZ", "v")) {
		t.Errorf("%d records: accepted", MaxRecords+1)
	}
	if got := AppendRecord(nil, "NN", strings.Repeat("x", 1000)); got != nil {
		t.Error("AppendRecord took a value of 1000 bytes")
	}
	if got := AppendRecord(nil, "NN", strings.Repeat("x", 999)); len(got) != 1004 {
		t.Error("AppendRecord refused a value of 999 bytes")
	}
	if v, found := Record(b, "AC"); !found || string(v) != "v" {
		t.Errorf("Record: got %q", v)
	}
	stop := errors.New("stop")
	if err := Records(b, func(string, []byte) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("Records: got %v", err)
	}
}

// FuzzRecords and the chip data walk what a hostile peer could send.
func FuzzRecords(f *testing.F) {
	f.Add([]byte("NN020330110260000000007" + "12CH003CTR"))
	f.Add([]byte("NM006\xc0\xee*\xc3\xf7*ER000"))
	f.Add([]byte("\x9f\x36\x02\x00\x01\x72\x04\x86\x02\x84\x24"))
	f.Add([]byte("\x9f\x10\x81\x80"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if wholeRecords(b) {
			var again []byte
			if err := Records(b, func(tag string, v []byte) error {
				again = AppendRecord(again, tag, string(v))
				return nil
			}); err != nil || !slices.Equal(again, b) {
				t.Errorf("records in two forms: %v", err)
			}
		}
		if wellFormed(b) {
			n := 0
			for rest := b; len(rest) > 0; n++ {
				_, _, at, size, good := tlvHead(rest)
				if !good {
					t.Fatal("an element of good chip data is malformed")
				}
				rest = rest[at+size:]
			}
			if n > maxTLVCount {
				t.Errorf("%d elements accepted", n)
			}
		}
		Tag(b, 0x91)
		PickTags(nil, b, []uint32{0x95, 0x9F36})
	})
}
