package banklink

import (
	"slices"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/settlement/bankmsg"
)

var testTimes = Times{
	Connect: 3 * time.Second, SignOn: 10 * time.Second, EchoIdle: time.Minute, Drain: 30 * time.Second,
	ReconnectMin: time.Second, ReconnectMost: time.Minute, BadReplies: 3,
}

type life struct {
	t   *testing.T
	s   *Session
	now time.Time
}

func newLife(t *testing.T) *life {
	seed := uint64(1)
	return &life{t, NewSession(testTimes, func() uint64 { seed = seed*6364136223846793005 + 1; return seed >> 33 }), time.Unix(1_000_000, 0)}
}

// step gives an input and wants exactly these acts.
func (l *life) step(in Input, want ...Act) {
	l.t.Helper()
	if got := l.s.Step(l.now, in, nil); !slices.Equal(got, want) {
		l.t.Fatalf("%v in %v: got acts %v, want %v", in, l.s.State(), got, want)
	}
}

// ring lets the timer fire.
func (l *life) ring(want ...Act) {
	l.t.Helper()
	at, ok := l.s.Next()
	if !ok {
		l.t.Fatalf("%v waits for nothing", l.s.State())
	}
	l.now = at.Add(-1)
	l.step(InTick)
	l.now = at
	l.step(InTick, want...)
}

func (l *life) is(want State) {
	l.t.Helper()
	if got := l.s.State(); got != want {
		l.t.Fatalf("got state %v, want %v", got, want)
	}
}

func (l *life) up() {
	l.t.Helper()
	l.step(InStart, ActDial)
	l.step(InConnected, ActSignOn)
	l.step(InSignedOn, ActUp)
	l.is(Up)
}

func TestSessionRises(t *testing.T) {
	l := newLife(t)
	l.up()
	l = newLife(t)
	l.step(InStart, ActDial)
	l.step(InConnected, ActSignOn)
	l.step(InNeedKeys, ActKeys)
	l.is(KeyChange)
	l.step(InKeys, ActUp)
	l.is(Up)
}

func TestSessionEcho(t *testing.T) {
	l := newLife(t)
	l.up()
	l.ring(ActEcho)
	l.step(InHeard)
	l.ring(ActEcho) // one missed echo is repeated
	l.ring(ActEcho)
	l.step(InHeard)
	l.ring(ActEcho)
	l.ring(ActEcho)
	l.ring(ActSilent, ActDown, ActHang) // two are the end
	l.is(Down)
	l.ring(ActDial)

	l = newLife(t)
	l.up()
	l.step(InProbe, ActEcho)
	l.step(InProbe) // one at a time
}

func TestSessionFailures(t *testing.T) {
	for _, at := range []State{Connecting, SigningOn, KeyChange, Up} {
		for _, how := range []string{"failed", "late", "refused"} {
			l := newLife(t)
			l.step(InStart, ActDial)
			if at >= SigningOn {
				l.step(InConnected, ActSignOn)
			}
			if at == KeyChange {
				l.step(InNeedKeys, ActKeys)
			}
			want := []Act{ActHang}
			if at == Up {
				l.step(InSignedOn, ActUp)
				want = []Act{ActDown, ActHang}
			}
			switch {
			case how == "failed":
				l.step(InFailed, want...)
			case how == "late" && at != Up:
				l.ring(want...)
			case how == "refused" && (at == SigningOn || at == KeyChange):
				l.step(InRefused, ActRefused, ActHang)
			default:
				continue
			}
			l.is(Down)
			wait, _ := l.s.Next()
			if d := wait.Sub(l.now); d < time.Second || d > 2*time.Second {
				t.Errorf("%v %s: comes back after %v, want about a second", at, how, d)
			}
			l.ring(ActDial)
		}
	}
}

// TestSessionBackoff holds that reconnects spread and never stop.
func TestSessionBackoff(t *testing.T) {
	l := newLife(t)
	l.step(InStart, ActDial)
	for i := range 50 {
		l.step(InFailed, ActHang)
		at, _ := l.s.Next()
		d := at.Sub(l.now)
		if d < time.Second || d > time.Minute {
			t.Fatalf("try %d waits %v, want 1 s to 60 s", i, d)
		}
		if i > 8 && d < 30*time.Second {
			t.Errorf("try %d waits %v only", i, d)
		}
		l.ring(ActDial)
	}
	l.step(InConnected, ActSignOn)
	l.step(InSignedOn, ActUp)
	l.step(InFailed, ActDown, ActHang)
	if at, _ := l.s.Next(); at.Sub(l.now) > 2*time.Second {
		t.Error("success does not reset the wait")
	}
}

func TestSessionBadReplies(t *testing.T) {
	l := newLife(t)
	l.up()
	l.step(InBad)
	l.step(InBad)
	l.step(InHeard) // in a row
	l.step(InBad)
	l.step(InBad)
	l.step(InBad, ActOutOfOrder, ActDown, ActHang)
	if at, _ := l.s.Next(); at.Sub(l.now) != time.Minute {
		t.Errorf("out of service for %v, want the longest wait", at.Sub(l.now))
	}
}

func TestSessionSignOnAgain(t *testing.T) {
	l := newLife(t)
	l.up()
	l.step(InSignOn, ActDown, ActSignOn) // no hang: what is under way goes on
	l.step(InSignOn)
	l.step(InSignedOn, ActUp)
	l.step(InSignOn, ActDown, ActSignOn)
	l.step(InRefused, ActRefused, ActHang)
}

func TestSessionStop(t *testing.T) {
	l := newLife(t)
	l.up()
	l.step(InStop, ActDown)
	l.is(Draining)
	l.step(InStop)
	l.step(InHeard)
	l.step(InIdle, ActSignOff, ActHang)
	l.is(Stopped)
	l = newLife(t)
	l.up()
	l.step(InStop, ActDown)
	l.ring(ActHang) // answers that never come end the draining, too
	l.is(Stopped)
	l = newLife(t)
	l.up()
	l.step(InStop, ActDown)
	l.step(InFailed, ActHang)
	l.is(Stopped)
	for _, begin := range [][]Input{{}, {InStart}, {InStart, InConnected}, {InStart, InConnected, InNeedKeys}} {
		l = newLife(t)
		for _, in := range begin {
			l.s.Step(l.now, in, nil)
		}
		l.step(InStop, ActHang)
		l.is(Stopped)
	}
}

// TestSessionTable gives every input in every state: what is not expected does
// nothing, and a stopped session stays so.
func TestSessionTable(t *testing.T) {
	paths := map[State][]Input{
		Down: {}, Connecting: {InStart}, SigningOn: {InStart, InConnected}, KeyChange: {InStart, InConnected, InNeedKeys},
		Up: {InStart, InConnected, InSignedOn}, Draining: {InStart, InConnected, InSignedOn, InStop}, Stopped: {InStop},
	}
	takes := map[State][]Input{
		Down: {InStart, InStop}, Connecting: {InConnected, InFailed, InStop}, SigningOn: {InSignedOn, InNeedKeys, InRefused, InFailed, InStop},
		KeyChange: {InKeys, InRefused, InFailed, InStop}, Up: {InFailed, InSignOn, InProbe, InStop}, Draining: {InFailed, InIdle},
	}
	for state, path := range paths {
		for in := InStart; in < inputEnd; in++ {
			l := newLife(t)
			for _, p := range path {
				l.s.Step(l.now, p, nil)
			}
			l.is(state)
			acts := l.s.Step(l.now, in, nil)
			changed := len(acts) > 0 || l.s.State() != state
			if want := slices.Contains(takes[state], in); changed != want {
				t.Errorf("%v in %v: acts %v, state %v; taken %v, want %v", in, state, acts, l.s.State(), changed, want)
			}
		}
	}
	seen := map[string]bool{}
	for s := Down; s < stateEnd; s++ {
		seen[s.String()] = true
	}
	for in := InStart; in < inputEnd; in++ {
		seen[in.String()] = true
	}
	if len(seen) != int(stateEnd)+int(inputEnd)-1 {
		t.Error("two states or inputs share a name")
	}
}

func TestBreaker(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	b := NewBreaker(5, 30*time.Second)
	for i := range 20 { // four within the window, for ever
		if b.TimedOut(now) {
			t.Fatalf("opened at time-out %d, never five within 30 s", i)
		}
		now = now.Add(7501 * time.Millisecond)
	}
	now = now.Add(time.Minute)
	for i := range 5 {
		if got, want := b.TimedOut(now), i == 4; got != want {
			t.Fatalf("time-out %d: opened %v, want %v", i+1, got, want)
		}
		now = now.Add(time.Second)
	}
	if !b.Open() || b.TimedOut(now) {
		t.Error("an open breaker opens again")
	}
	if b.Heard(now) {
		t.Error("an answer right after the time-outs closed it")
	}
	if b.Probe(now) {
		t.Error("probes at once")
	}
	now = now.Add(30 * time.Second)
	if !b.Probe(now) || b.Probe(now) {
		t.Error("wants one probe after the window")
	}
	if !b.Heard(now) || b.Open() || b.Heard(now) {
		t.Error("an answer after the window closes it, once")
	}
	if NewBreaker(0, time.Second).TimedOut(now) {
		t.Error("a breaker of count 0 opened")
	}
}

func TestPending(t *testing.T) {
	p := newPending(100)
	codec := testCodec(t, "rcb")
	key := func(stan int) bankmsg.MatchKey {
		var m bankmsg.Message
		m.Reset(0x0200)
		m.SetString(41, "80110001")
		m.SetNumber(11, uint64(stan), 6)
		return codec.MatchKey(1, &m)
	}
	base := time.Unix(0, 0)
	for i := range 100 {
		s := p.add(key(i), base.Add(time.Duration(i*37%100)*time.Second))
		if s == nil {
			t.Fatalf("slot %d of 100 refused", i)
		}
		s.seq = uint32(i)
	}
	if p.add(key(100), base) != nil {
		t.Error("one more than the table holds was taken")
	}
	p.remove(p.find(key(50)))
	if p.find(key(50)) != nil {
		t.Error("a removed slot is found")
	}
	if p.add(key(51), base) != nil {
		t.Error("a live key was taken twice")
	}
	if p.add(key(50), base.Add(time.Hour)) == nil {
		t.Error("a free slot was refused")
	}
	last, n := time.Time{}, 0
	for s := p.due(base.Add(2 * time.Hour)); s != nil; s = p.due(base.Add(2 * time.Hour)) {
		if s.deadline.Before(last) {
			t.Fatal("deadlines out of order")
		}
		last = s.deadline
		n++
		p.remove(s)
	}
	if n != 100 || p.used != 0 || len(p.index) != 0 {
		t.Errorf("got %d slots, %d still used", n, p.used)
	}
	if p.due(base) != nil {
		t.Error("an empty table has something due")
	}
}
