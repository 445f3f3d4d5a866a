package flow

import (
	"errors"
	"fmt"
	"time"
)

// Times are all time-outs of the screen. They are configuration; DefaultTimes
// gives the defaults and Validate holds the relations between them.
type Times struct {
	Idle         time.Duration // no touch on a screen, then the warning
	Warning      time.Duration // the warning, then the card is returned
	IdleLarge    time.Duration // the same two in large type
	WarningLarge time.Duration

	PINFirst   time.Duration // until the first key
	PINBetween time.Duration // between keys
	PINWhole   time.Duration // the whole entry

	Reading time.Duration // the card, until it counts as unreadable
	Chip    time.Duration // one EMV step: first cryptogram, or the last word
	HubRead time.Duration // a question to the hub, without its one silent retry
	HubPay  time.Duration // Pay or PIN proof; then "pending" or "bank away"

	Result   time.Duration // an ending, then the card is returned
	Printer  time.Duration // a job, until "presented"
	TakeCard time.Duration // until a card left in the slot is retained
	Alarm    time.Duration // until the alarm sounds on the take-card page
	Retained time.Duration // the retained page
	Attract  time.Duration // language and type choice that reached no person
	Browser  time.Duration // browser gone in a session

	AskFirst time.Duration // between two questions about one unresolved payment
	AskMost  time.Duration // the same after doubling
}

// DefaultTimes are the times of docs/spec/terminal-session.md.
func DefaultTimes() Times {
	return Times{
		Idle: 60 * time.Second, Warning: 20 * time.Second,
		IdleLarge: 120 * time.Second, WarningLarge: 30 * time.Second,
		PINFirst: 30 * time.Second, PINBetween: 30 * time.Second, PINWhole: 120 * time.Second,
		Reading: 20 * time.Second, Chip: 15 * time.Second,
		HubRead: 8 * time.Second, HubPay: 45 * time.Second,
		Result: 30 * time.Second, Printer: 30 * time.Second,
		TakeCard: 30 * time.Second, Alarm: 5 * time.Second, Retained: 10 * time.Second,
		Attract: 30 * time.Second, Browser: 5 * time.Second,
		AskFirst: 5 * time.Second, AskMost: 60 * time.Second,
	}
}

// Bounds between times.
const (
	// OldestID is how old a payment id may be when the hub sees it first: it is
	// made at the confirm page, before the PIN is entered.
	OldestID = 5 * time.Minute
	// LeastWarning is what WCAG 2.2.1 asks for: at least 20 s to extend.
	LeastWarning = 20 * time.Second
	// BankDeadline is the longest that a bank profile may wait for a 0200, and
	// PayMargin what the hub needs around it.
	BankDeadline = 30 * time.Second
	PayMargin    = 5 * time.Second
	// LongestTime keeps a mistyped unit from switching a time-out off.
	LongestTime = 10 * time.Minute
)

// ErrTimes is wrapped by every error of Validate.
var ErrTimes = errors.New("flow: times")

// Validate tells which time or relation is wrong.
func (t Times) Validate() error {
	for _, d := range []struct {
		name string
		d    time.Duration
	}{
		{"idle", t.Idle}, {"warning", t.Warning}, {"idle_large", t.IdleLarge}, {"warning_large", t.WarningLarge},
		{"pin_first", t.PINFirst}, {"pin_between", t.PINBetween}, {"pin_whole", t.PINWhole},
		{"reading", t.Reading}, {"chip", t.Chip}, {"hub_read", t.HubRead}, {"hub_pay", t.HubPay},
		{"result", t.Result}, {"printer", t.Printer}, {"take_card", t.TakeCard}, {"alarm", t.Alarm},
		{"retained", t.Retained}, {"attract", t.Attract}, {"browser", t.Browser},
		{"ask_first", t.AskFirst}, {"ask_most", t.AskMost},
	} {
		if d.d <= 0 || d.d > LongestTime {
			return fmt.Errorf("%w: %s is %v, want more than 0 and at most %v", ErrTimes, d.name, d.d, LongestTime)
		}
	}
	for _, r := range []struct {
		ok   bool
		says string
	}{
		{t.Warning >= LeastWarning, "warning must be at least 20s"},
		{t.WarningLarge >= t.Warning, "warning_large must not be shorter than warning"},
		{t.IdleLarge >= t.Idle, "idle_large must not be shorter than idle"},
		{t.PINFirst <= t.PINWhole, "pin_first must not be longer than pin_whole"},
		{t.PINBetween <= t.PINWhole, "pin_between must not be longer than pin_whole"},
		{t.HubPay >= BankDeadline+PayMargin, "hub_pay must be at least the bank deadline of 30s and 5s more"},
		{t.PINWhole+t.Chip < OldestID, "pin_whole and chip together must be under the 5 minutes in which the hub takes a payment id"},
		{t.Alarm < t.TakeCard, "alarm must come before take_card ends"},
		{t.AskFirst <= t.AskMost, "ask_first must not be longer than ask_most"},
	} {
		if !r.ok {
			return fmt.Errorf("%w: %s", ErrTimes, r.says)
		}
	}
	return nil
}

// readWait is how long a screen waits for a question: the first try, the silent
// retry, and a second for the way.
func (t Times) readWait() time.Duration { return 2*t.HubRead + time.Second }
