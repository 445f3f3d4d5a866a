package engine

import (
	"time"

	"github.com/shebao-pay/shebao/si"
)

// Stage is a part of a payment's way whose time is measured.
type Stage uint8

// The stages.
const (
	StageReserve Stage = iota // from the ask to the durable reservation
	StageBank                 // from the 0200 to its approval
	StagePost                 // from the approval to the durable posting
	StageTotal                // from the ask to "paid"
	stageEnd
)

var stageNames = [stageEnd]string{"reserve", "bank", "post", "total"}

// String writes the stage's name.
func (s Stage) String() string {
	if s >= stageEnd {
		return "Stage(?)"
	}
	return stageNames[s]
}

// timingBounds are the upper ends of the counts of a Timing: from what a fast
// disk takes to the longest that a terminal waits.
var timingBounds = [...]time.Duration{
	time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second,
	10 * time.Second, 30 * time.Second, 60 * time.Second,
}

// Timing counts how long something took.
type Timing struct {
	Counts [len(timingBounds) + 1]uint64 // the last is of what took longer than every bound
	Sum    time.Duration
}

// TimingBounds are the upper ends of a Timing's counts but the last.
func TimingBounds() []time.Duration { return append([]time.Duration(nil), timingBounds[:]...) }

func (t *Timing) add(d time.Duration) {
	i := 0
	for i < len(timingBounds) && d > timingBounds[i] {
		i++
	}
	t.Counts[i]++
	t.Sum += d
}

// Endings counts what became of a bank's payments since the engine was made.
type Endings struct{ Paid, NotCharged, Refused, Doubts, Reversals, Proven uint64 }

// measure notes a payment's step into a state.
func (e *Engine) measure(p *payment, to State) {
	switch {
	case to == Translating:
		e.stats.Stages[StageReserve].add(e.now.Sub(p.since))
	case to == Sent:
		p.step = e.now
	case to == Posting:
		if p.state == Sent {
			e.stats.Stages[StageBank].add(e.now.Sub(p.step))
		}
		p.step = e.now
	case to == Posted && p.state == Posting:
		e.stats.Stages[StagePost].add(e.now.Sub(p.step))
		e.stats.Stages[StageTotal].add(e.now.Sub(p.since))
	}
}

// Endings gives what became of a bank's payments.
func (e *Engine) Endings(n si.Bank) Endings {
	if b := e.banks[n]; b != nil {
		return b.endings
	}
	return Endings{}
}
