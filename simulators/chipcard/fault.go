package chipcard

// Kind is what a card does wrong.
type Kind string

// The faults of the way: they act at one command, counted from power-up, or at
// every command if At is 0.
const (
	Mute       Kind = "mute"        // no answer, for ever
	PullBefore Kind = "pull-before" // pulled before it works on the command
	PullAfter  Kind = "pull-after"  // pulled after it did, before it answers
	Slow       Kind = "slow"        // answers after Millis
	WrongSW    Kind = "wrong-sw"    // answers 6F00
	Loop61     Kind = "loop-61"     // answers 6110 for ever
	Loop6C     Kind = "loop-6c"     // answers 6C10 for ever
	Truncated  Kind = "truncated"   // loses the last byte of its data
	Oversize   Kind = "oversize"    // answers more than a short answer holds
	WrongTag   Kind = "wrong-tag"   // changes the first byte of its data
	ResetSelf  Kind = "reset"       // loses its state as after a reset
)

// The faults of the bank application. At does not count for them.
const (
	YesCard        Kind = "yes-card"         // TC where an ARQC was asked
	DeclinesFirst  Kind = "aac-first"        // AAC for the first cryptogram
	DeclinesSecond Kind = "aac-second"       // AAC for the second
	BelievesAll    Kind = "believes-all"     // accepts every issuer's proof
	BelievesNone   Kind = "believes-none"    // accepts no issuer's proof
	CounterBack    Kind = "counter-back"     // the ATC goes down
	Replays        Kind = "replays"          // gives its first cryptogram again
	NoSecond       Kind = "no-second"        // refuses the second GENERATE AC
	OtherRecords   Kind = "other-records"    // other records from the second reading on
	WrongCrypto    Kind = "wrong-cryptogram" // cryptograms of another key, as a clone has
)

// Fault is one fault of a card.
type Fault struct {
	Kind   Kind `json:"kind"`
	At     int  `json:"at,omitempty"`     // command number from power-up; 0: every command
	Millis int  `json:"millis,omitempty"` // Slow only
}

// faulty tells whether a fault of the bank application is on.
func (c *Card) faulty(kind Kind) bool {
	for _, f := range c.faults {
		if f.Kind == kind {
			return true
		}
	}
	return false
}

// now gives the fault of the way that meets the present command, if any.
func (c *Card) now() Fault {
	for _, f := range c.faults {
		switch f.Kind {
		case Loop61, Loop6C: // once begun they never end
			if c.count >= f.At {
				return f
			}
		case Mute, PullBefore, PullAfter, Slow, WrongSW, Truncated, Oversize, WrongTag, ResetSelf:
			if f.At == c.count || f.At == 0 {
				return f
			}
		}
	}
	return Fault{}
}
