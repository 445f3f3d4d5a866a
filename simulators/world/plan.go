package world

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Fault is a kind of trouble.
type Fault uint8

// The faults. Each row is named with the failure that it brings about.
const (
	FaultNone       Fault = iota
	RequestLost           // F1: a message to the bank vanishes
	ReplyLost             // F3, F7: the bank's answer vanishes
	ReplyLate             // F4, F5: it comes after the hub gave up
	ReplyTwice            // F4: and again
	RequestTwice          // F9: the network doubles what we sent
	Tampered              // F6: one field changes on the way, the code does not
	BadCode               // F6: the bank's code is wrong
	StrangeCode           // F6: an answer code that is in no class
	Swapped               // F6: the bank\'s answer is that of another payment
	LinkCut               // F2, F30: a connection ends, with what is on it
	NoConnection          // F2: connecting fails
	BankSilent            // F30: the bank takes everything and says nothing for minutes
	BankSlow              // F30: its answers take seconds
	BankCrash             // F30: the bank restarts; connections end
	BankBusy              // F7: for minutes, reversals are answered "try again"
	BankForgets           // F25: the bank loses a debit that it approved
	BankDoubles           // F26: the bank debits twice for one message
	BankRefuses           // F19: wrong PIN, no money and the like
	HSMAway               // the HSM process does not answer
	LogUnsent             // F15: the log takes nothing for a moment
	LogUnknown            // F15: a commit ends without a word, done or not
	LogTwice              // F29: a command stands twice in the log
	LogSlow               // F15: a sync takes seconds
	HubCrash              // F12, F13, F29: the hub dies and another begins
	HubPause              // F29: the hub stands still for a while
	PauseOnCommit         // F29: and just when a commit is durable
	ClockJump             // F21: the hub's clock jumps
	TerminalLoss          // F11, F12, F14: a terminal loses power
	AskLost               // F9, F12: a terminal's call or its answer vanishes
	AskTwice              // F9: a terminal's call arrives twice
	CardNo                // F18: the card refuses after approval, or is pulled
	SameDue               // F10: two pay the same due at once
	Impatience            // F9: a citizen presses twice
	CounterRepeats        // F9: a bank sends its payment again
	CounterReverses       // F8: a bank takes its payment back, before or after it
	faultEnd
)

var faultNames = [...]string{"none", "request-lost", "reply-lost", "reply-late", "reply-twice", "request-twice",
	"tampered", "bad-code", "strange-code", "swapped", "link-cut", "no-connection", "bank-silent", "bank-slow", "bank-crash",
	"bank-busy", "bank-forgets", "bank-doubles", "bank-refuses", "hsm-away", "log-unsent", "log-unknown", "log-twice",
	"log-slow", "hub-crash", "hub-pause", "pause-on-commit", "clock-jump", "terminal-loss", "ask-lost", "ask-twice", "card-no", "same-due",
	"impatience", "counter-repeats", "counter-reverses"}

// String writes the fault's name.
func (f Fault) String() string {
	if f >= faultEnd {
		return fmt.Sprintf("Fault(%d)", uint8(f))
	}
	return faultNames[f]
}

// usual is how often a fault happens where a plan has it, in a million chances;
// a chance is one message, one call, one commit, or one second, whatever the
// fault is about.
var usual = [faultEnd]int{
	RequestLost: 20_000, ReplyLost: 30_000, ReplyLate: 20_000, ReplyTwice: 30_000, RequestTwice: 20_000,
	Tampered: 15_000, BadCode: 10_000, StrangeCode: 10_000, Swapped: 15_000, LinkCut: 15_000, NoConnection: 200_000, BankSilent: 400,
	BankSlow: 1000, BankCrash: 250, BankBusy: 300, BankForgets: 1500, BankDoubles: 1500, BankRefuses: 60_000,
	HSMAway: 10_000, LogUnsent: 12_000, LogUnknown: 5000, LogTwice: 8000, LogSlow: 3000, HubCrash: 700, HubPause: 700, PauseOnCommit: 8000,
	ClockJump: 200, TerminalLoss: 3000, AskLost: 50_000, AskTwice: 40_000, CardNo: 60_000, SameDue: 150_000,
	Impatience: 80_000, CounterRepeats: 100_000, CounterReverses: 100_000,
}

// Plan is which faults may happen in a day, and how often in a million chances.
type Plan map[Fault]int

// drawPlan is a seed's own plan: some faults, at some rates. A few plans have
// all of them, a few none.
func drawPlan(d dice) Plan {
	p := Plan{}
	share := []int{0, 2, 4, 7, 10}[d.IntN(5)]
	if d.IntN(12) == 0 {
		share = 10
	}
	for f := FaultNone + 1; f < faultEnd; f++ {
		if d.IntN(10) < share {
			p[f] = usual[f] * (1 + d.IntN(6)) / 3
		}
	}
	return p
}

// PlanOf is a seed's own plan.
func PlanOf(seed uint64) Plan { return drawPlan(newDice(seed, streamPlan)) }

// faults are the plan's faults in order.
func (p Plan) faults() []Fault {
	var all []Fault
	for f := FaultNone + 1; f < faultEnd; f++ {
		if p[f] > 0 {
			all = append(all, f)
		}
	}
	return all
}

// MarshalJSON writes the plan as names and rates.
func (p Plan) MarshalJSON() ([]byte, error) {
	named := map[string]int{}
	for _, f := range p.faults() {
		named[f.String()] = p[f]
	}
	return json.Marshal(named)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (p *Plan) UnmarshalJSON(b []byte) error {
	var named map[string]int
	if err := json.Unmarshal(b, &named); err != nil {
		return err
	}
	*p = Plan{}
	for name, ppm := range named {
		i := slices.Index(faultNames[:], name)
		if i <= 0 || ppm < 0 || ppm > million {
			return fmt.Errorf("world: plan: %q: %d is no fault with a rate of 0 to %d", name, ppm, million)
		}
		(*p)[Fault(i)] = ppm
	}
	return nil
}
