package banklink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shebao-pay/shebao/settlement/bankmsg"
	"github.com/shebao-pay/shebao/settlement/profile"
)

// Bounds of one link.
const (
	// batchMost is how many frames are coded, MACed and written, or read,
	// checked and told, in one go. It keeps one HSM call well under its bound
	// of 1,024 jobs and one write under 64 KiB at frames of 2,048 bytes.
	batchMost = 31
	readBuf   = 64 << 10
	inputMost = 64 // inputs that wait for the session: net messages come one at a time
	// tick is how exactly waits are kept: they are seconds and minutes.
	tick = 100 * time.Millisecond
	// grace is how much longer a slot is kept than its owner waits, so that the
	// owner's time-out comes first and a slot is free before a repeat.
	grace = time.Second
)

// Errors told by Alarm events. Each says what to look at.
var (
	errSilent     = errors.New("banklink: echoes unanswered; the link is taken down and made anew")
	errOutOfOrder = errors.New("banklink: too many bad replies in a row; the link is out of service for a while: check keys and profile with the bank")
	errRefused    = errors.New("banklink: sign-on refused; tried again later")
	errNoKeys     = errors.New("banklink: the sign-on answer brings no keys and there are none yet")
	errTaken      = errors.New("banklink: a request with this key is under way, or the table is full")
	errKeyChanged = errors.New("banklink: the PIN key changed before the request was written")
	errClosed     = errors.New("banklink: the link went down before the request was written")
	errLate       = errors.New("banklink: the send deadline passed")

	errCutoverDate = errors.New("banklink: the bank announces a settlement date more than two days from ours; it was refused: compare the clocks with the bank")
)

// Link is one link: the shell around a session.
type Link struct {
	n       uint8
	pool    *Pool
	codec   *bankmsg.Codec
	prof    *profile.Profile
	term    profile.VirtualTerminal // POS
	addrs   []string
	ring    keyring
	session *Session
	numbers numbers

	inputs chan input
	quit   chan struct{}
	ended  chan struct{}
	heard  atomic.Bool
	state  atomic.Uint32 // the session's, for others to read

	mu      sync.Mutex
	up      bool
	batch   uint32
	queue   []*Request
	netq    []*netOut
	pending *pending
	wake    chan struct{}

	// Of the run goroutine alone.
	conn   *conn
	dial   context.CancelFunc
	dialed sync.WaitGroup
	tries  int // of addresses
	gotPIN bool
	gotMAC bool
}

// input is what the run goroutine is told. conn is nil for what does not come
// from a connection; an input of an earlier connection is stale.
type input struct {
	in   Input
	conn *conn
	made net.Conn // InConnected
	try  int      // of the dial that this answers
	net  *netIn
	err  error
	// apart: a good message came between this bad one and the one before.
	apart bool
}

// netIn is a message that is about the link itself.
type netIn struct {
	msg     bankmsg.Message
	inbound bankmsg.Inbound
	mac     MACState
}

// netOut is such a message on its way out.
type netOut struct {
	kind   profile.Kind
	msg    bankmsg.Message
	answer *bankmsg.Inbound // of the request that this answers, nil for a request
}

// run is the life of the link until Stop.
func (l *Link) run(ctx context.Context) {
	defer close(l.ended)
	t := time.NewTicker(tick)
	defer t.Stop()
	l.step(ctx, InStart)
	quit := l.quit
	for l.session.State() != Stopped {
		select {
		case <-ctx.Done():
			l.step(ctx, InStop)
			l.step(ctx, InIdle)
		case <-quit:
			quit = nil
			l.step(ctx, InStop)
		case in := <-l.inputs:
			l.take(ctx, in)
		case <-t.C:
			if l.heard.Swap(false) {
				l.step(ctx, InHeard)
			}
			l.expire()
			if l.session.State() == Draining && l.idle() {
				l.step(ctx, InIdle)
			}
			l.step(ctx, InTick)
		}
	}
	l.dialed.Wait()
	for { // a dial that won the race against its own cancelling
		select {
		case in := <-l.inputs:
			if in.made != nil {
				_ = in.made.Close()
			}
		default:
			return
		}
	}
}

// take takes one input.
func (l *Link) take(ctx context.Context, in input) {
	switch {
	case in.try != 0 && (in.try != l.tries || l.session.State() != Connecting):
		if in.made != nil {
			_ = in.made.Close()
		}
		return
	case in.made != nil:
		l.conn = newConn(l, in.made)
	case in.conn != nil && in.conn != l.conn:
		return
	}
	if in.err != nil {
		l.alarm(in.err)
	}
	if in.net != nil {
		l.network(ctx, in.net)
		return
	}
	if in.apart {
		l.step(ctx, InHeard)
	}
	l.step(ctx, in.in)
}

// step feeds the session and does what it wants.
func (l *Link) step(ctx context.Context, in Input) {
	acts := l.session.Step(l.pool.now(), in, nil)
	l.state.Store(uint32(l.session.State()))
	for _, a := range acts {
		l.do(ctx, a)
	}
}

func (l *Link) do(ctx context.Context, a Act) {
	switch a {
	case ActDial:
		l.startDial(ctx)
	case ActHang:
		l.hang()
	case ActSignOn:
		l.gotPIN, l.gotMAC = false, false
		l.sendNet(profile.SignOn, false)
	case ActKeys:
		// The code's key comes first: the answer to its delivery is the first
		// message that the bank can check on a new connection, and the answer to
		// the PIN key is then under a key that both have.
		l.sendNet(profile.KeyReset, false)
	case ActEcho:
		l.sendNet(profile.Echo, false)
	case ActSignOff:
		l.signOff(ctx)
	case ActUp:
		l.rise()
	case ActDown:
		l.fall()
	case ActOutOfOrder:
		l.alarm(errOutOfOrder)
	case ActRefused:
		l.alarm(errRefused)
	case ActSilent:
		l.alarm(errSilent)
	}
}

func (l *Link) alarm(err error) {
	l.pool.counters.alarms.Add(1)
	l.pool.deliver(Event{Kind: Alarm, Link: l.n, Err: err})
}

// startDial tries the next address; the answer comes as an input.
func (l *Link) startDial(ctx context.Context) {
	addr := l.addrs[l.tries%len(l.addrs)]
	l.tries++
	try := l.tries
	ctx, cancel := context.WithTimeout(ctx, l.prof.Timers.Connect)
	l.dial = cancel
	l.dialed.Go(func() {
		defer cancel()
		c, err := l.pool.dial(ctx, addr)
		in := input{in: InConnected, made: c, try: try}
		if err != nil {
			in = input{in: InFailed, try: try}
		}
		select {
		case l.inputs <- in:
		case <-l.ended:
			if c != nil {
				_ = c.Close()
			}
		}
	})
}

// hang ends the connection and every request that was on it: those of which a
// byte may have left are lost, the others proven not sent.
func (l *Link) hang() {
	if l.dial != nil {
		l.dial()
		l.dial = nil
	}
	if l.conn != nil {
		l.conn.close()
		l.conn = nil
	}
	l.unqueue(errClosed)
	for {
		l.mu.Lock()
		if len(l.pending.heap) == 0 {
			l.netq = l.netq[:0]
			l.mu.Unlock()
			return
		}
		s := &l.pending.slots[l.pending.heap[0]]
		ev := Event{Kind: Lost, Link: l.n, ID: s.id, Seq: s.seq, Op: s.kind}
		l.pending.remove(s)
		l.mu.Unlock()
		if payment(ev.Op) {
			l.pool.counters.lost.Add(1)
			l.pool.deliver(ev)
		}
	}
}

// payment tells whether the owner waits for messages of this kind.
func payment(k profile.Kind) bool {
	switch k {
	case profile.Debit, profile.PINProof, profile.Reversal, profile.StatusInquiry, profile.ScriptNotify:
		return true
	}
	return false
}

// unqueue gives back what was not handed to the writer.
func (l *Link) unqueue(err error) {
	l.mu.Lock()
	q := l.queue
	l.queue = nil
	l.mu.Unlock()
	for _, r := range q {
		l.notSent(r, err, false)
	}
}

func (l *Link) notSent(r *Request, err error, late bool) {
	r.wipe()
	l.pool.counters.notSent.Add(1)
	l.pool.deliver(Event{Kind: NotSent, Link: l.n, ID: r.ID, Seq: r.Seq, Op: r.Kind(), Late: late, Err: err})
}

// rise opens the link to requests.
func (l *Link) rise() {
	ev := Event{Kind: LinkUp, Link: l.n}
	copy(ev.Acq[:], l.acq())
	l.mu.Lock()
	l.up = true
	ev.Batch = l.batch
	l.mu.Unlock()
	l.pool.deliver(ev)
}

func (l *Link) acq() string {
	if l.prof.Dialect == profile.POS {
		return l.term.DE41
	}
	return l.prof.TerminalB
}

// fall closes it. What is under way goes on.
func (l *Link) fall() {
	l.mu.Lock()
	l.up = false
	l.mu.Unlock()
	l.unqueue(errClosed)
	l.pool.deliver(Event{Kind: LinkDown, Link: l.n})
}

// send lines a request up for the writer. False: it was not taken, and nothing
// of it will ever leave.
func (l *Link) send(r *Request) bool {
	l.mu.Lock()
	ok := l.enqueue(r)
	l.mu.Unlock()
	if ok {
		l.rouse()
	}
	return ok
}

// enqueue queues a request if there is room. Called with l.mu held.
func (l *Link) enqueue(r *Request) bool {
	if !l.up || len(l.queue) >= l.prof.Limits.InFlight {
		return false
	}
	l.queue = append(l.queue, r)
	return true
}

func (l *Link) rouse() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *Link) idle() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pending.used == 0 && len(l.queue) == 0 && len(l.netq) == 0
}

// expire frees the slots of requests whose owner has given up, and counts them
// for the breaker.
func (l *Link) expire() {
	now := l.pool.now()
	for {
		l.mu.Lock()
		s := l.pending.due(now)
		if s == nil {
			l.mu.Unlock()
			return
		}
		kind := s.kind
		l.pending.remove(s)
		l.mu.Unlock()
		if payment(kind) {
			l.pool.timedOut(l.n)
		}
	}
}

// signOff says goodbye. It is a courtesy: nobody waits for the answer.
func (l *Link) signOff(ctx context.Context) {
	if !l.codec.Has(profile.SignOff) || l.conn == nil || ctx.Err() != nil {
		return
	}
	c := l.conn
	select { // of an earlier write
	case <-c.flushed:
	default:
	}
	l.sendNet(profile.SignOff, false)
	until := time.NewTimer(l.prof.Timers.Write)
	defer until.Stop()
	select {
	case <-c.flushed:
	case <-c.done:
	case <-until.C:
	}
}

// sendNet lines a message of the link itself up for the writer.
func (l *Link) sendNet(k profile.Kind, pinKey bool) {
	now := l.pool.now()
	req := bankmsg.NetRequest{DE7: de7(now), At: now, PINKey: pinKey}
	l.mu.Lock()
	req.STAN = l.numbers.stan(now)
	if l.prof.Dialect == profile.POS {
		req.Place = bankmsg.Place{Terminal: l.term, Batch: l.batch}
	}
	l.mu.Unlock()
	o := &netOut{kind: k}
	fill := map[profile.Kind]func(*bankmsg.Message, *bankmsg.NetRequest) error{
		profile.SignOn: l.codec.SignOn, profile.SignOff: l.codec.SignOff, profile.Echo: l.codec.Echo, profile.KeyReset: l.codec.KeyReset,
	}[k]
	if err := fill(&o.msg, &req); err != nil {
		l.alarm(fmt.Errorf("banklink: %s cannot be made: %w", k, err))
		return
	}
	l.putNet(o)
}

func (l *Link) putNet(o *netOut) {
	l.mu.Lock()
	l.netq = append(l.netq, o)
	l.mu.Unlock()
	l.rouse()
}
