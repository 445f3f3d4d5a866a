package bankmsg

import (
	"fmt"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/si"
)

// TestValidTime compares every month, day, hour, minute and second, those that
// do not exist too, with the calendar of the standard library.
func TestValidTime(t *testing.T) {
	for _, today := range []si.BusinessDate{si.Date(2026, 11, 22), si.Date(2027, 3, 1), si.Date(2028, 2, 29), si.Date(2100, 6, 1)} {
		check := func(text string) {
			t.Helper()
			want, year := false, today.Time().Year()
			for _, y := range []int{year - 1, year, year + 1} {
				_, err := time.Parse("20060102150405", fmt.Sprintf("%04d%s", y, text))
				want = want || err == nil
			}
			if got := validTime([10]byte([]byte(text)), today); got != want {
				t.Errorf("validTime(%s) in %d = %v, want %v", text, year, got, want)
			}
		}
		for n := range 10_000 {
			check(fmt.Sprintf("%04d120000", n))
		}
		for n := range 100 {
			check(fmt.Sprintf("1122%02d0000", n))
			check(fmt.Sprintf("112200%02d00", n))
			check(fmt.Sprintf("11220000%02d", n))
		}
		for _, text := range []string{"11221200 0", "-122120000", "1122120O00"} {
			check(text)
		}
	}
}

// TestNearDate looks for every day around the turn of a year and a leap day.
func TestNearDate(t *testing.T) {
	for _, today := range []si.BusinessDate{si.Date(2026, 12, 31), si.Date(2028, 2, 29), si.Date(2000, 1, 2)} {
		for off := -40; off <= 40; off++ {
			day := int(today) + off
			if day <= 0 {
				continue
			}
			mmdd := si.BusinessDate(day).Time().Format("0102")
			got, ok := nearDate([]byte(mmdd), today, callDrift)
			if want := off >= -callDrift && off <= callDrift; ok != want || ok && int(got) != day {
				t.Errorf("nearDate(%s) near %v = %v, %v; want %v", mmdd, today, got, ok, want)
			}
		}
		for _, bad := range []string{"", "123", "12345", "0230", "1301", "1x01"} {
			if _, ok := nearDate([]byte(bad), today, callDrift); ok {
				t.Errorf("nearDate(%q) found a day", bad)
			}
		}
	}
}
