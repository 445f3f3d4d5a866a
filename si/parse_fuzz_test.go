package si

import (
	"fmt"
	"strings"
	"testing"
)

// FuzzParse feeds every text to every parser of this package: nothing panics,
// and whatever is read is written the same.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"", "2026-11-22", "2000-01-01", "1999-12-31", "2178-12-31", "2179-01-01", "2026-02-30", // dates
		"2026-11", "2026", "2199", "2200", "2026-13", // periods
		"MED_RES", "RESIDENT", "Fund(0)", "PType(1)", // closed names
		strings.Repeat("0", 32), "019AB2C3D4E5060708090A0B0C0D0E0F", strings.Repeat("0", 31), // payment ids
		"33011020000000000040", "00000000000000000098", "33011026112200000001", "33011026023000000001", // notices, receipts
		"6299000100000014", "62990001000001", "6299000100000015", // card numbers
		"33019919800101002X", "33019919800101002x", "330199198001010020", // citizens' numbers
		"6299000100000014D29122011234", "6299000100000014=2912201", "62990001D2912201D", // track 2
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		same := func(what string, got fmt.Stringer, err error) {
			if err == nil && got.String() != s {
				t.Errorf("%s of %q is written %q", what, s, got)
			}
		}
		date, err := ParseDate(s)
		same("ParseDate", date, err)
		period, err := ParsePeriod(s)
		same("ParsePeriod", period, err)
		fund, err := ParseFund(s)
		same("ParseFund", fund, err)
		ptype, err := ParsePType(s)
		same("ParsePType", ptype, err)
		notice, err := ParseNoticeNo(s)
		same("ParseNoticeNo", notice, err)
		receipt, err := ParseReceiptNo(s)
		same("ParseReceiptNo", receipt, err)
		if id, err := ParsePaymentID(s); err == nil && id.String() != strings.ToLower(s) {
			t.Errorf("ParsePaymentID of %q is written %q", s, id)
		}
		for what, clear := range map[string]func() (string, error){
			"ParsePAN":      func() (string, error) { v, err := ParsePAN(s); return v.Reveal("test"), err },
			"ParseIDNumber": func() (string, error) { v, err := ParseIDNumber(s); return v.Reveal("test"), err },
			"ParseTrack2":   func() (string, error) { v, err := ParseTrack2(s); return v.Reveal("test"), err },
		} {
			if got, err := clear(); err == nil && got != s {
				t.Errorf("%s of %q holds %q", what, s, got)
			}
		}
	})
}
