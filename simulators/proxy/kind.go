package proxy

import "math/rand/v2"

// Kind is what happens to a frame.
type Kind uint8

// The kinds.
const (
	None      Kind = iota // goes through
	Delay                 // the direction waits a little, order kept
	Drop                  // the frame vanishes
	Cut                   // both sides are hung up on, the frame is lost
	Reorder               // the frame is held back and others pass it
	Corrupt               // one bit is another
	Duplicate             // the frame goes twice
	Half                  // half of the frame, a pause, the rest
	Torn                  // half of the frame, then both sides are hung up on
	Drip                  // byte by byte
	SlowRead              // nothing more is read from the sender for a while
	kindEnd
)

var kindNames = [...]string{"none", "delay", "drop", "cut", "reorder", "corrupt", "duplicate", "half", "torn", "drip", "slow-read"}

// String writes the kind's name.
func (k Kind) String() string {
	if k >= kindEnd {
		return "Kind(?)"
	}
	return kindNames[k]
}

// Kinds are all kinds of faults.
func Kinds() []Kind {
	var all []Kind
	for k := Delay; k < kindEnd; k++ {
		all = append(all, k)
	}
	return all
}

// Plan says how often each kind happens, in frames of ten thousand. What is left
// goes through.
type Plan [kindEnd]int

// Even is a plan in which every kind happens to so many frames of ten thousand.
func Even(each int) Plan {
	var p Plan
	for k := range p {
		p[k] = each
	}
	p[None] = 0
	return p
}

// sum is how many of ten thousand frames meet a fault.
func (p *Plan) sum() (n int) {
	for k := Delay; k < kindEnd; k++ {
		n += p[k]
	}
	return n
}

// deck draws what happens to the frames of one direction. Every draw takes the
// same numbers from the source, so that a plan changed in the middle moves no
// later draw.
type deck struct{ r *rand.Rand }

// draw is what one frame meets: a kind, and two numbers for its details.
type draw struct {
	kind       Kind
	share, bit uint64
}

func newDeck(seed uint64, conn uint64, back bool) deck {
	n := conn << 1
	if back {
		n |= 1
	}
	return deck{rand.New(rand.NewPCG(seed, n))} // #nosec G404 -- faults that can be made again
}

func (d deck) next(p *Plan) draw {
	at, out := d.r.IntN(10_000), draw{share: d.r.Uint64(), bit: d.r.Uint64()}
	for k := Delay; k < kindEnd; k++ {
		if at < p[k] {
			out.kind = k
			return out
		}
		at -= p[k]
	}
	return out
}
