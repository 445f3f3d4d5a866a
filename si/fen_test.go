package si

import (
	"errors"
	"math"
	"testing"
)

func TestParseFen(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want Fen
	}{
		{"0.00", 0}, {"0.01", 1}, {"0.10", 10}, {"1.00", 100}, {"12.30", 1230}, {"-0.01", -1},
		{"1234567.89", 123_456_789}, {"9999999999.99", MaxFen}, {"-9999999999.99", -MaxFen},
	} {
		got, err := ParseFen(tc.in)
		if err != nil || got != tc.want {
			t.Errorf("ParseFen(%q) = %d, %v, want %d", tc.in, got, err, tc.want)
		}
		if s := tc.want.String(); s != tc.in {
			t.Errorf("Fen(%d).String() = %q, want %q", tc.want, s, tc.in)
		}
	}
	for _, tc := range []struct {
		in   string
		want error
	}{
		{"", ErrAmountForm}, {"12", ErrAmountForm}, {"12.3", ErrAmountForm}, {"+12.30", ErrAmountForm},
		{"012.30", ErrAmountForm}, {"00.00", ErrAmountForm}, {".00", ErrAmountForm}, {"-0.00", ErrAmountForm},
		{"1,234.00", ErrAmountForm}, {"12.3a", ErrAmountForm}, {"12:30", ErrAmountForm}, {" 1.00", ErrAmountForm},
		{"--1.00", ErrAmountForm}, {"１.00", ErrAmountForm}, {"1e9.00", ErrAmountForm},
		{"10000000000.00", ErrAmountForm}, {"-10000000000.00", ErrAmountForm},
	} {
		if got, err := ParseFen(tc.in); !errors.Is(err, tc.want) {
			t.Errorf("ParseFen(%q) = %d, %v, want %v", tc.in, got, err, tc.want)
		}
	}
	if got := Fen(math.MinInt64).String(); got != "-92233720368547758.08" {
		t.Errorf("the least Fen prints as %s", got)
	}
}

// FuzzParseFen holds that whatever is read is written the same.
func FuzzParseFen(f *testing.F) {
	for _, s := range []string{"0.00", "-0.01", "9999999999.99", "012.30", "1.2", "", "-"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if v, err := ParseFen(s); err == nil && v.String() != s {
			t.Errorf("ParseFen(%q) = %d, which prints as %q", s, v, v.String())
		}
	})
}

func TestGrouped(t *testing.T) {
	for _, tc := range []struct {
		in   Fen
		want string
	}{
		{0, "0.00"}, {99_999, "999.99"}, {100_000, "1,000.00"}, {123_456_789, "1,234,567.89"},
		{-100_000, "-1,000.00"}, {-99_999, "-999.99"}, {MaxFen, "9,999,999,999.99"},
	} {
		if got := tc.in.Grouped(); got != tc.want {
			t.Errorf("Fen(%d).Grouped() = %q, want %q", tc.in, got, tc.want)
		}
	}
}

// TestCapitals has the examples of 支付结算办法 annex 1 (those with 1,409.50 to
// 325.04 in the reading listed first) and cases laid out by hand.
func TestCapitals(t *testing.T) {
	for _, tc := range []struct {
		in   Fen
		want string
	}{
		{140_950, "壹仟肆佰零玖元伍角整"},
		{600_714, "陆仟零柒元壹角肆分"},
		{168_032, "壹仟陆佰捌拾元零叁角贰分"},
		{10_700_053, "壹拾万柒仟元零伍角叁分"},
		{1_640_902, "壹万陆仟肆佰零玖元零贰分"},
		{32_504, "叁佰贰拾伍元零肆分"},
		{0, "零元整"},
		{1, "壹分"},
		{10, "壹角整"},
		{105, "壹元零伍分"},
		{1000, "壹拾元整"},
		{1_000_000, "壹万元整"},
		{1_000_100, "壹万零壹元整"},
		{10_010_000, "壹拾万零壹佰元整"},
		{100_000_500_000, "壹拾亿零伍仟元整"},
		{1_000_000_000_00, "壹拾亿元整"},
		{100_000_000_01, "壹亿元零壹分"},
		{100_001_000_000, "壹拾亿零壹万元整"},
		{MaxFen, "玖拾玖亿玖仟玖佰玖拾玖万玖仟玖佰玖拾玖元玖角玖分"},
		{-123_456, "负壹仟贰佰叁拾肆元伍角陆分"},
	} {
		if got := tc.in.Capitals(); got != tc.want {
			t.Errorf("Fen(%d).Capitals() = %s, want %s", tc.in, got, tc.want)
		}
	}
}
