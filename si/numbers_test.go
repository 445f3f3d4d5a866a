package si

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

// TestNoticeNo has two numbers whose check digits were computed by hand
// (ISO 7064 MOD 97-10: the whole number leaves 1).
func TestNoticeNo(t *testing.T) {
	for _, tc := range []struct {
		serial uint64
		want   string
	}{
		{1, "33011026000000000119"},
		{12345, "33011026000001234541"},
	} {
		n := NewNoticeNo(330110, 2026, tc.serial)
		if n.String() != tc.want {
			t.Errorf("notice %d = %s, want %s", tc.serial, n, tc.want)
		}
		if back, err := ParseNoticeNo(tc.want); err != nil || back != n {
			t.Errorf("ParseNoticeNo(%s) = %d, %v, want %d", tc.want, back, err, n)
		}
	}
}

// TestNoticeDigits holds that every single wrong digit and every swap of two
// neighbours is found.
func TestNoticeDigits(t *testing.T) {
	good := "33011026000001234541"
	for i := range good {
		for d := byte('0'); d <= '9'; d++ {
			b := []byte(good)
			if b[i] = d; string(b) == good {
				continue
			}
			if _, err := ParseNoticeNo(string(b)); !errors.Is(err, ErrCheckDigit) {
				t.Errorf("ParseNoticeNo(%s) = %v, want ErrCheckDigit", b, err)
			}
		}
		if i > 0 && good[i] != good[i-1] {
			b := []byte(good)
			b[i], b[i-1] = b[i-1], b[i]
			if _, err := ParseNoticeNo(string(b)); !errors.Is(err, ErrCheckDigit) {
				t.Errorf("ParseNoticeNo(%s) = %v, want ErrCheckDigit", b, err)
			}
		}
	}
	for _, s := range []string{"", good[1:], good + "0", "3301102600000123454x", "33011026０00001234541"} {
		if _, err := ParseNoticeNo(s); !errors.Is(err, ErrNumberForm) {
			t.Errorf("ParseNoticeNo(%q) = %v, want ErrNumberForm", s, err)
		}
	}
	// 98 - 97 = 1: check digits are never 00 or 99, which also leave 1.
	for serial := range uint64(500) {
		n := NewNoticeNo(330110, 2026, serial)
		if c := n.String()[18:]; c < "02" || c > "98" {
			t.Errorf("notice %d has check digits %s", serial, c)
		}
	}
}

func TestReceiptNo(t *testing.T) {
	r := ReceiptNo{Area: 330110, Date: Date(2026, time.November, 22), Seq: 42}
	const want = "33011026112200000042"
	if r.String() != want {
		t.Errorf("receipt = %s, want %s", r, want)
	}
	if back, err := ParseReceiptNo(want); err != nil || back != r {
		t.Errorf("ParseReceiptNo(%s) = %+v, %v", want, back, err)
	}
	if (ReceiptNo{}).String() != "" {
		t.Error("no receipt prints as something")
	}
	for _, s := range []string{"", want[1:], want + "1", "33011026133200000042", "3301102611 200000042", "-3011026112200000042", "33011026112200000+42"} {
		if _, err := ParseReceiptNo(s); err == nil {
			t.Errorf("ParseReceiptNo(%q) has no error", s)
		}
	}
}

// TestIDCheckDigit computes GB 11643 by the weights of the standard, apart from
// the code's way of doing it.
func TestIDCheckDigit(t *testing.T) {
	weights := []int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2}
	for i := range 200 {
		first17 := fmt.Sprintf("330199%04d%02d%02d%03d", 1930+i%90, 1+i%12, 1+i%28, i)
		sum := 0
		for k, w := range weights {
			sum += int(first17[k]-'0') * w
		}
		want := "10X98765432"[sum%11]
		if got, err := IDCheckDigit(first17); err != nil || got != want {
			t.Errorf("IDCheckDigit(%s) = %c, %v, want %c", first17, got, err, want)
		}
	}
	for _, s := range []string{"", "3301991990010112", "330199199001011234", "33019919900101a23"} {
		if _, err := IDCheckDigit(s); !errors.Is(err, ErrNumberForm) {
			t.Errorf("IDCheckDigit(%q) = %v, want ErrNumberForm", s, err)
		}
	}
}

func TestLuhnDigit(t *testing.T) {
	for _, tc := range []struct{ digits, want string }{
		{"7992739871", "3"}, // the example of the algorithm's usual description
		{"", "0"}, {"0", "0"}, {"1", "8"}, {"629900011000000", "4"},
	} {
		got, err := LuhnDigit(tc.digits)
		if err != nil || string(got) != tc.want {
			t.Errorf("LuhnDigit(%q) = %c, %v, want %s", tc.digits, got, err, tc.want)
		}
	}
	if _, err := LuhnDigit("12a"); !errors.Is(err, ErrNumberForm) {
		t.Errorf("LuhnDigit(12a) = %v, want ErrNumberForm", err)
	}
}

func TestPaymentID(t *testing.T) {
	at := time.UnixMilli(1_795_000_000_123)
	id := NewPaymentID(at)
	if id.Millis() != at.UnixMilli() {
		t.Errorf("id of %d says %d", at.UnixMilli(), id.Millis())
	}
	if id == NewPaymentID(at) {
		t.Error("two ids of one moment are the same")
	}
	if back, err := ParsePaymentID(id.String()); err != nil || back != id {
		t.Errorf("ParsePaymentID(%s) = %s, %v", id, back, err)
	}
	if (PaymentID{}).IsZero() != true || id.IsZero() {
		t.Error("IsZero is wrong")
	}
	for _, s := range []string{"", id.String()[1:], id.String() + "0", "zz" + id.String()[2:]} {
		if _, err := ParsePaymentID(s); !errors.Is(err, ErrPaymentID) {
			t.Errorf("ParsePaymentID(%q) = %v, want ErrPaymentID", s, err)
		}
	}
}

func TestNames(t *testing.T) {
	for f := PensionEmp; f.Valid(); f++ {
		if back, err := ParseFund(f.String()); err != nil || back != f {
			t.Errorf("ParseFund(%s) = %d, %v", f, back, err)
		}
	}
	for p := Employee; p.Valid(); p++ {
		if back, err := ParsePType(p.String()); err != nil || back != p {
			t.Errorf("ParsePType(%s) = %d, %v", p, back, err)
		}
	}
	if Fund(0).Valid() || Fund(9).Valid() || PType(0).Valid() || PType(8).Valid() {
		t.Error("a number outside the list is valid")
	}
	for _, tc := range []struct{ got, want string }{
		{Fund(0).String(), "Fund(0)"}, {Fund(200).String(), "Fund(200)"}, {PType(99).String(), "PType(99)"},
		{ChannelDesk.String(), "DESK"}, {Channel(0).String(), "Channel(0)"}, {Channel(6).String(), "Channel(6)"},
		{AreaCode(1101).String(), "001101"}, {Hash{0xab}.String(), "ab000000000000000000000000000000"},
	} {
		if tc.got != tc.want {
			t.Errorf("got %s, want %s", tc.got, tc.want)
		}
	}
	if _, err := ParseFund("pension_res"); err == nil {
		t.Error("a fund in lower case is taken")
	}
}

func TestCounty(t *testing.T) {
	for area, want := range map[AreaCode]AreaCode{330110: 330110, 330110901: 330110, 999999: 999999, 100000000: 100000} {
		if got := area.County(); got != want {
			t.Errorf("county of %s = %s, want %s", area, got, want)
		}
	}
}
