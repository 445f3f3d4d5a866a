package banklink

import "time"

// Breaker closes a bank to new payments after too many time-outs in too short
// a time, before anyone enters a PIN for it. It is a pure machine. When it has
// been open for the window it asks for a probe; a good message closes it.
type Breaker struct {
	count  int
	window time.Duration
	times  []time.Time // of the last time-outs, oldest first
	open   bool
	since  time.Time
	probe  time.Time
}

// NewBreaker makes a closed breaker that opens at count time-outs within the
// window. With count 0 it never opens.
func NewBreaker(count int, window time.Duration) *Breaker {
	return &Breaker{count: count, window: window, times: make([]time.Time, 0, max(count, 0))}
}

// Open tells whether the bank is closed to new payments.
func (b *Breaker) Open() bool { return b.open }

// TimedOut counts a request that got no answer. opened is true when this one
// opened the breaker.
func (b *Breaker) TimedOut(now time.Time) (opened bool) {
	if b.count <= 0 {
		return false
	}
	keep := 0
	for _, t := range b.times {
		if now.Sub(t) < b.window {
			b.times[keep] = t
			keep++
		}
	}
	b.times = b.times[:keep]
	if len(b.times) == b.count {
		b.times = append(b.times[:0], b.times[1:]...)
	}
	b.times = append(b.times, now)
	if b.open || len(b.times) < b.count {
		return false
	}
	b.open, b.since, b.probe = true, now, now.Add(b.window)
	return true
}

// Heard notes a good message. closed is true when it closed the breaker.
func (b *Breaker) Heard(now time.Time) (closed bool) {
	if !b.open || now.Sub(b.since) < b.window/2 {
		return false // so soon after the time-outs one answer says little
	}
	b.open, b.times = false, b.times[:0]
	return true
}

// Probe tells whether an echo is due, and times the next.
func (b *Breaker) Probe(now time.Time) bool {
	if !b.open || now.Before(b.probe) {
		return false
	}
	b.probe = now.Add(b.window)
	return true
}
