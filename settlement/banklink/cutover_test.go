package banklink

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
)

// announced has the bank announce a date on one link whose profile may list the
// code in the message of the cutover, and may have the selected scope.
func announced(t *testing.T, code string, withCode bool, date si.BusinessDate, network string) (*line, Event) {
	t.Helper()
	l := newLine(t, code, func(p *profile.Profile) {
		if withCode {
			r := &p.Rules[profile.CutoverFrom].Request
			r.Optional = append(slices.Clone(r.Optional), p.MACField)
		}
	})
	l.bank.Announce(date.Time().Format("0102"), network)
	return l, l.ear.wait(t, Cutover)
}

// TestCutoverIsTold hands the bank's announcement up with its date, whether it
// begins or ends the change, and whether a good code stands over the date.
func TestCutoverIsTold(t *testing.T) {
	today := si.DateOf(time.Now())
	for _, tc := range []struct {
		name     string
		bank     string
		withCode bool
		network  string
		date     si.BusinessDate
		end      bool
		covered  bool
	}{
		{"bare", "ccb", false, "201", today + 1, false, false},
		{"with a code", "ccb", true, "201", today + 1, false, true},
		{"end", "ccb", true, "202", today, true, true},
		{"two days ahead", "ccb", true, "201", today + 2, false, true},
		{"a code that leaves DE 15 out", "boc", true, "201", today + 1, false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, ev := announced(t, tc.bank, tc.withCode, tc.date, tc.network)
			if ev.Date != tc.date || ev.End != tc.end || ev.Covered != tc.covered {
				t.Errorf("got date %v, end %v, covered %v, want %v, %v, %v", ev.Date, ev.End, ev.Covered, tc.date, tc.end, tc.covered)
			}
		})
	}
}

// TestCutoverFarAway refuses a date three days from ours: the owner is told that
// clocks differ, and of no date.
func TestCutoverFarAway(t *testing.T) {
	l := newLine(t, "ccb", nil)
	l.bank.Announce((si.DateOf(time.Now()) + 3).Time().Format("0102"), "201")
	if ev := l.ear.wait(t, Alarm); ev.Err == nil || !strings.Contains(ev.Err.Error(), "compare the clocks") {
		t.Errorf("got %v", ev.Err)
	}
	if l.ear.count(Cutover) != 0 {
		t.Error("the owner was told of the date")
	}
}
