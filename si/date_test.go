package si

import (
	"testing"
	"time"
)

func TestBusinessDate(t *testing.T) {
	for _, tc := range []struct {
		year    int
		month   time.Month
		day     int
		want    BusinessDate
		text    string
		compact string
	}{
		{2000, time.January, 1, 0, "2000-01-01", "20000101"},
		{2000, time.January, 2, 1, "2000-01-02", "20000102"},
		{2000, time.December, 31, 365, "2000-12-31", "20001231"},
		{2024, time.February, 29, 8825, "2024-02-29", "20240229"},
		{2026, time.November, 22, 9822, "2026-11-22", "20261122"},
		{2179, time.June, 6, 65535, "2179-06-06", "21790606"},
	} {
		d := Date(tc.year, tc.month, tc.day)
		if d != tc.want || d.String() != tc.text || d.Compact() != tc.compact {
			t.Errorf("Date(%d, %d, %d) = %d %s %s, want %d %s %s", tc.year, tc.month, tc.day,
				d, d, d.Compact(), tc.want, tc.text, tc.compact)
		}
		if back := DateOf(d.Time()); back != d {
			t.Errorf("DateOf(%s.Time()) = %s", d, back)
		}
	}
}

// TestDateOf holds that a day is a day in China: it begins at 16:00 UTC.
func TestDateOf(t *testing.T) {
	before := time.Date(2026, 11, 21, 15, 59, 59, 999_999_999, time.UTC)
	if got := DateOf(before); got.String() != "2026-11-21" {
		t.Errorf("DateOf(%s) = %s, want 2026-11-21", before, got)
	}
	if got := DateOf(before.Add(1)); got.String() != "2026-11-22" {
		t.Errorf("DateOf(%s) = %s, want 2026-11-22", before.Add(1), got)
	}
	if midnight := Date(2026, 11, 22).Time(); !midnight.Equal(before.Add(1)) {
		t.Errorf("2026-11-22 begins at %s", midnight.UTC())
	}
}

func TestParseDate(t *testing.T) {
	for _, s := range []string{"", "2026-1-1", "20261122", "2026-02-29", "1999-12-31", "2179-01-01", "2026-11-22 ", "0000-00-00"} {
		if d, err := ParseDate(s); err == nil {
			t.Errorf("ParseDate(%q) = %s, want an error", s, d)
		}
	}
	for _, s := range []string{"2000-01-01", "2024-02-29", "2178-12-31"} {
		if d, err := ParseDate(s); err != nil || d.String() != s {
			t.Errorf("ParseDate(%q) = %s, %v", s, d, err)
		}
	}
}

func TestPeriod(t *testing.T) {
	nov := MonthPeriod(2026, time.November)
	if nov != 322 || nov.String() != "2026-11" || nov.IsYear() || nov.Year() != 2026 || nov.Month() != time.November {
		t.Errorf("MonthPeriod(2026, 11) = %d %s", nov, nov)
	}
	year := YearPeriod(2026)
	if year != 0x8000|312 || year.String() != "2026" || !year.IsYear() || year.Year() != 2026 || year.Month() != 0 {
		t.Errorf("YearPeriod(2026) = %d %s", year, year)
	}
	if year.Start() != MonthPeriod(2026, time.January).Start() || year.Start() >= nov.Start() {
		t.Errorf("2026 starts at %d, 2026-11 at %d", year.Start(), nov.Start())
	}
	for _, s := range []string{"2000-01", "2026-11", "2199-12", "2000", "2026", "2199"} {
		if p, err := ParsePeriod(s); err != nil || p.String() != s {
			t.Errorf("ParsePeriod(%q) = %s, %v", s, p, err)
		}
	}
	for _, s := range []string{"", "1999", "1999-12", "2200", "2026-13", "2026-00", "2026-1", "26", "2026-11-01"} {
		if p, err := ParsePeriod(s); err == nil {
			t.Errorf("ParsePeriod(%q) = %s, want an error", s, p)
		}
	}
}

func TestBirthMonth(t *testing.T) {
	b := BirthMonthOf(1949, time.October)
	if b.Year() != 1949 || b.Month() != time.October {
		t.Errorf("BirthMonthOf(1949, 10) = %d-%d", b.Year(), b.Month())
	}
}

// TestEveryDay holds each day to the calendar, whatever arithmetic makes it.
func TestEveryDay(t *testing.T) {
	for d := range 1 << 16 {
		c := time.Date(2000, 1, 1+d, 0, 0, 0, 0, China)
		got := BusinessDate(d).Time()
		if !got.Equal(c) || got.String() != c.String() || DateOf(got) != BusinessDate(d) || DateOf(got.Add(-1)) != BusinessDate(d)-1 && d > 0 {
			t.Fatalf("BusinessDate(%d).Time() = %v, want %v", d, got, c)
		}
	}
}
