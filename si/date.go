package si

import (
	"fmt"
	"time"
)

// China is China time: UTC+8 without summer time. Every business date and every
// time on a wire, file, screen or paper is in it; logs and journals keep UTC.
var China = time.FixedZone("UTC+8", chinaSeconds)

const (
	chinaSeconds = 8 * 60 * 60 // east of UTC, all the year
	daySeconds   = 24 * 60 * 60
)

// BusinessDate is a day, counted from 2000-01-01 in China time. 0 means none.
type BusinessDate uint16

var epochDay = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// DateOf is the day on which t falls in China.
func DateOf(t time.Time) BusinessDate {
	y, m, d := t.In(China).Date()
	return Date(y, m, d)
}

// Date makes a business date; the day must lie between 2000-01-01 and 2179-06-05.
func Date(year int, month time.Month, day int) BusinessDate {
	return BusinessDate(time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Sub(epochDay) / (24 * time.Hour))
}

// Time is the midnight that begins the day in China.
func (d BusinessDate) Time() time.Time {
	return time.Unix(epochDay.Unix()+int64(d)*daySeconds-chinaSeconds, 0).In(China)
}

// String writes 2026-11-22.
func (d BusinessDate) String() string { return d.Time().Format("2006-01-02") }

// Compact writes 20261122.
func (d BusinessDate) Compact() string { return d.Time().Format("20060102") }

// ParseDate reads 2026-11-22.
func ParseDate(s string) (BusinessDate, error) {
	t, err := time.Parse("2006-01-02", s)
	if err != nil || t.Before(epochDay) || t.Year() > 2178 {
		return 0, fmt.Errorf("si: %q is not a date such as 2026-11-22", s)
	}
	return Date(t.Year(), t.Month(), t.Day()), nil
}

// Period is what a due is for: a month, counted from 2000-01, or a whole year.
type Period uint16

const yearPeriod Period = 0x8000

// MonthPeriod is the contribution month.
func MonthPeriod(year int, month time.Month) Period {
	return Period((year-2000)*12 + int(month) - 1)
}

// YearPeriod is the contribution year.
func YearPeriod(year int) Period { return yearPeriod | Period((year-2000)*12) }

// IsYear tells whether the period is a whole year.
func (p Period) IsYear() bool { return p&yearPeriod != 0 }

// Year is the calendar year of the period.
func (p Period) Year() int { return 2000 + int(p&^yearPeriod)/12 }

// Month is the month of a month period, and 0 for a year.
func (p Period) Month() time.Month {
	if p.IsYear() {
		return 0
	}
	return time.Month(int(p)%12 + 1)
}

// Start orders periods of both kinds by their first month.
func (p Period) Start() uint16 { return uint16(p &^ yearPeriod) }

// String writes 2026-11 for a month and 2026 for a year.
func (p Period) String() string {
	if p.IsYear() {
		return fmt.Sprintf("%04d", p.Year())
	}
	return fmt.Sprintf("%04d-%02d", p.Year(), int(p.Month()))
}

// ParsePeriod reads the form that String writes.
func ParsePeriod(s string) (Period, error) {
	if t, err := time.Parse("2006-01", s); err == nil && t.Year() >= 2000 && t.Year() < 2200 {
		return MonthPeriod(t.Year(), t.Month()), nil
	}
	if t, err := time.Parse("2006", s); err == nil && t.Year() >= 2000 && t.Year() < 2200 {
		return YearPeriod(t.Year()), nil
	}
	return 0, fmt.Errorf("si: %q is not a period such as 2026-11 or 2026", s)
}

// BirthMonth is the month of a birth, counted from 1900-01. 0 means unknown
// (nobody alive was born then).
type BirthMonth uint16

// BirthMonthOf makes a birth month; the year must be 1900 or later.
func BirthMonthOf(year int, month time.Month) BirthMonth {
	return BirthMonth((year-1900)*12 + int(month) - 1)
}

// Year is the year of the birth.
func (b BirthMonth) Year() int { return 1900 + int(b)/12 }

// Month is the month of the birth.
func (b BirthMonth) Month() time.Month { return time.Month(int(b)%12 + 1) }
