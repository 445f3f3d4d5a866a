// Package day decides business dates: which settlement date (结算日) of a bank is
// open at a moment. It is pure; the node asks it by its clock and puts the
// answer into the ledger as a Cutover command, which is what counts.
//
// Left out: cutover announced by the bank, totals, calendars of holidays.
package day

import (
	"time"

	"github.com/shebao-pay/shebao/si"
)

// Open is the business date that is open at now for a bank whose cutover (日切)
// comes at that local time of day: the calendar day before it, the next day
// from it on. A cutover of 24 hours or more is midnight.
func Open(now time.Time, cutover time.Duration) si.BusinessDate {
	local := now.In(si.China)
	date := si.DateOf(local)
	if cutover > 0 && local.Sub(date.Time()) >= cutover {
		date++
	}
	return date
}

// Next is when the open date of such a bank changes after now.
func Next(now time.Time, cutover time.Duration) time.Time {
	midnight := si.DateOf(now).Time()
	if cutover <= 0 || cutover > 24*time.Hour {
		cutover = 24 * time.Hour
	}
	if at := midnight.Add(cutover); now.Before(at) {
		return at
	}
	return midnight.Add(24*time.Hour + cutover)
}
