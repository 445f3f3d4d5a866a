package banklink

import (
	"time"

	"github.com/shebao-pay/shebao/si/planted"
)

// State is where a link's session is.
type State uint8

// The states.
const (
	Down       State = iota // no connection; the next try is timed
	Connecting              // dialling
	SigningOn               // sign-on sent; with the POS dialect its answer brings the keys
	KeyChange               // CUPS: new keys asked for
	Up                      // carries messages
	Draining                // takes no new ones, waits for the answers under way
	Stopped                 // for good
	stateEnd
)

var stateNames = [...]string{"DOWN", "CONNECTING", "SIGNING_ON", "KEY_CHANGE", "UP", "DRAINING", "STOPPED"}

// String writes the state's name.
func (s State) String() string {
	if s >= stateEnd {
		return "State(?)"
	}
	return stateNames[s]
}

// Input is what a session is told.
type Input uint8

// The inputs.
const (
	InStart     Input = iota + 1 // begin
	InConnected                  // the connection stands
	InFailed                     // it could not be made, or it ended
	InSignedOn                   // the bank took the sign-on, and the keys are there
	InNeedKeys                   // the bank took the sign-on, keys are to be asked for
	InKeys                       // the asked keys are all there
	InRefused                    // sign-on refused, or keys that do not check
	InHeard                      // a good message of the bank
	InBad                        // a reply with a bad code or of another request
	InSignOn                     // the bank wants a new sign-on
	InProbe                      // find out at once whether the bank answers
	InStop                       // drain and end
	InIdle                       // nothing is under way any more
	InTick                       // time passed
	inputEnd
)

var inputNames = [...]string{"", "START", "CONNECTED", "FAILED", "SIGNED_ON", "NEED_KEYS", "KEYS", "REFUSED", "HEARD",
	"BAD", "SIGN_ON", "PROBE", "STOP", "IDLE", "TICK"}

// String writes the input's name.
func (i Input) String() string {
	if i == 0 || i >= inputEnd {
		return "Input(?)"
	}
	return inputNames[i]
}

// Act is what a session wants done.
type Act uint8

// The acts.
const (
	ActDial       Act = iota + 1 // connect; answered by InConnected or InFailed
	ActHang                      // close the connection; needs no answer
	ActSignOn                    // send a sign-on
	ActKeys                      // CUPS: ask for new keys
	ActEcho                      // send an echo
	ActSignOff                   // send a sign-off
	ActUp                        // tell that the link carries messages
	ActDown                      // tell that it does not
	ActOutOfOrder                // too many bad replies: tell the operator
	ActRefused                   // sign-on refused: tell the operator
	ActSilent                    // echoes were missed: tell the operator
)

// MissedEchoes is how many unanswered echoes in a row make a link down.
const MissedEchoes = 2

// Times are the waits and bounds of a session, from the bank's profile.
type Times struct {
	Connect       time.Duration
	SignOn        time.Duration // sign-on, keys, and the answer to an echo
	EchoIdle      time.Duration
	Drain         time.Duration // longest wait for answers under way
	ReconnectMin  time.Duration
	ReconnectMost time.Duration
	BadReplies    int
}

// Session is the life of one link: a pure machine. Time comes in as an
// argument, and Rand spreads the reconnects.
type Session struct {
	times Times
	rand  func() uint64

	state    State
	deadline time.Time // of what is waited for; zero if nothing is
	echoing  bool
	missed   int
	bad      int
	failures int // in a row
	told     bool
}

// NewSession makes a session that waits for InStart.
func NewSession(t Times, rand func() uint64) *Session { return &Session{times: t, rand: rand} }

// State is where the session is.
func (s *Session) State() State { return s.state }

// Next is when InTick is due; false if nothing waits for time.
func (s *Session) Next() (time.Time, bool) { return s.deadline, !s.deadline.IsZero() }

// Step takes one input and appends what is to be done, in order. What a state
// does not expect changes nothing.
func (s *Session) Step(now time.Time, in Input, out []Act) []Act {
	switch in {
	case InStop:
		return s.stop(now, out)
	case InFailed:
		if s.state == Stopped {
			return out
		}
		if s.state == Draining {
			return s.end(out)
		}
		return s.fall(now, out, s.backoff())
	case InTick:
		if s.deadline.IsZero() || now.Before(s.deadline) {
			return out
		}
		return s.late(now, out)
	case InStart, InConnected, InSignedOn, InNeedKeys, InKeys, InRefused, InHeard, InBad, InSignOn, InProbe, InIdle, inputEnd:
	}
	switch s.state {
	case Down:
		if in == InStart {
			return s.dial(now, out)
		}
	case Connecting:
		if in == InConnected {
			return s.signOn(now, out)
		}
	case SigningOn:
		switch in {
		case InSignedOn:
			return s.rise(now, out)
		case InNeedKeys:
			s.state, s.deadline = KeyChange, now.Add(s.times.SignOn)
			return append(out, ActKeys)
		case InRefused:
			return s.refused(now, out)
		}
	case KeyChange:
		switch in {
		case InKeys:
			return s.rise(now, out)
		case InRefused:
			return s.refused(now, out)
		}
	case Up:
		return s.up(now, in, out)
	case Draining:
		if in == InIdle {
			return s.end(append(out, ActSignOff))
		}
	case Stopped, stateEnd:
	}
	return out
}

// up takes the inputs of a link that carries messages.
func (s *Session) up(now time.Time, in Input, out []Act) []Act {
	switch in {
	case InHeard:
		s.echoing, s.missed, s.bad = false, 0, 0
		s.deadline = now.Add(s.times.EchoIdle)
	case InBad:
		if s.bad++; s.times.BadReplies > 0 && s.bad >= s.times.BadReplies {
			return s.fall(now, append(out, ActOutOfOrder), s.times.ReconnectMost)
		}
	case InSignOn:
		if planted.On(planted.NeverSignsOnAgain) {
			return out
		}
		out = s.tellDown(out)
		return s.signOn(now, out)
	case InProbe:
		if !s.echoing {
			return s.echo(now, out)
		}
	}
	return out
}

// late is what happens when the awaited thing did not come in time.
func (s *Session) late(now time.Time, out []Act) []Act {
	switch s.state {
	case Down:
		return s.dial(now, out)
	case Up:
		if !s.echoing {
			return s.echo(now, out)
		}
		if s.missed++; s.missed >= MissedEchoes {
			return s.fall(now, append(out, ActSilent), s.backoff())
		}
		return s.echo(now, out)
	case Draining:
		return s.end(out)
	case Connecting, SigningOn, KeyChange:
		return s.fall(now, out, s.backoff())
	case Stopped, stateEnd:
	}
	s.deadline = time.Time{}
	return out
}

func (s *Session) dial(now time.Time, out []Act) []Act {
	s.state, s.deadline = Connecting, now.Add(s.times.Connect)
	return append(out, ActDial)
}

func (s *Session) signOn(now time.Time, out []Act) []Act {
	s.state, s.deadline, s.echoing = SigningOn, now.Add(s.times.SignOn), false
	return append(out, ActSignOn)
}

func (s *Session) rise(now time.Time, out []Act) []Act {
	s.state, s.deadline = Up, now.Add(s.times.EchoIdle)
	s.echoing, s.missed, s.bad, s.failures, s.told = false, 0, 0, 0, true
	return append(out, ActUp)
}

func (s *Session) echo(now time.Time, out []Act) []Act {
	s.echoing, s.deadline = true, now.Add(s.times.SignOn)
	return append(out, ActEcho)
}

func (s *Session) refused(now time.Time, out []Act) []Act {
	return s.fall(now, append(out, ActRefused), s.backoff())
}

// fall gives the connection up and times the next try.
func (s *Session) fall(now time.Time, out []Act, wait time.Duration) []Act {
	out = s.tellDown(out)
	if s.state != Down {
		out = append(out, ActHang)
		s.failures++
		s.state, s.deadline = Down, now.Add(wait)
		if planted.On(planted.NeverReconnects) && s.failures > 2 {
			s.deadline = time.Time{}
		}
	}
	s.echoing = false
	return out
}

func (s *Session) stop(now time.Time, out []Act) []Act {
	switch s.state {
	case Draining, Stopped:
		return out
	case Up:
		out = s.tellDown(out)
		s.state, s.deadline = Draining, now.Add(s.times.Drain)
		return out
	case Down, Connecting, SigningOn, KeyChange, stateEnd:
	}
	return s.end(out)
}

func (s *Session) end(out []Act) []Act {
	out = s.tellDown(out)
	s.state, s.deadline = Stopped, time.Time{}
	return append(out, ActHang)
}

func (s *Session) tellDown(out []Act) []Act {
	if s.told {
		s.told = false
		out = append(out, ActDown)
	}
	return out
}

// backoff doubles with each failure in a row between the two bounds, spread
// over its upper half so that many links do not return together.
func (s *Session) backoff() time.Duration {
	d := s.times.ReconnectMin
	for i := 0; i < s.failures && d < s.times.ReconnectMost; i++ {
		d *= 2
	}
	d = min(d, s.times.ReconnectMost)
	if half := uint64(d / 2); half > 0 {
		d = d/2 + time.Duration(s.rand()%half)
	}
	return max(d, s.times.ReconnectMin)
}
