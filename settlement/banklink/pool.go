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
	"github.com/shebao-pay/shebao/si/hsmapi"
)

// MaxLinks is how many links one bank may have.
const MaxLinks = 64

// Config is what a pool needs.
type Config struct {
	Codec *bankmsg.Codec
	// Addrs are the bank's hosts. With the POS dialect each virtual terminal of
	// the profile is a link and tries the addresses in turn; with CUPS each
	// address is a link.
	Addrs []string
	HSM   HSM
	Sink  Sink
	Now   func() time.Time                                         // nil is time.Now
	Rand  func() uint64                                            // spreads the reconnects; called by several goroutines
	Dial  func(ctx context.Context, addr string) (net.Conn, error) // nil is TCP; TLS is put here
}

// Pool is the links of one bank.
type Pool struct {
	prof    *profile.Profile
	hsm     HSM
	sink    Sink
	now     func() time.Time
	dial    func(ctx context.Context, addr string) (net.Conn, error)
	links   []*Link
	started atomic.Bool
	stop    sync.Once
	done    chan struct{}

	mu       sync.Mutex
	breaker  *Breaker
	open     atomic.Bool // the breaker's, for the fast path
	counters counters
}

type counters struct {
	sent, replies, strays, notSent, lost, timeouts, badReplies, writes, alarms, keyChanges atomic.Uint64
}

// Counters is what a pool counted since it was made.
type Counters struct {
	Sent, Replies, Strays, NotSent, Lost, Timeouts, BadReplies, Writes, Alarms, KeyChanges uint64
}

// New makes the pool; Start begins it.
func New(cfg Config) (*Pool, error) {
	if cfg.Codec == nil || cfg.HSM == nil || cfg.Sink == nil || cfg.Rand == nil {
		return nil, errors.New("banklink: codec, HSM, sink and rand are all needed")
	}
	prof := cfg.Codec.Profile()
	if len(cfg.Addrs) == 0 {
		return nil, fmt.Errorf("banklink: bank %s has no address", prof.Code)
	}
	p := &Pool{
		prof: prof, hsm: cfg.HSM, sink: cfg.Sink, now: cfg.Now, dial: cfg.Dial, done: make(chan struct{}),
		breaker: NewBreaker(prof.Limits.BreakerCount, prof.Limits.BreakerWindow),
	}
	if p.now == nil {
		p.now = time.Now
	}
	if p.dial == nil {
		d := &net.Dialer{KeepAlive: 15 * time.Second}
		p.dial = func(ctx context.Context, addr string) (net.Conn, error) { return d.DialContext(ctx, "tcp", addr) }
	}
	n := len(cfg.Addrs)
	if prof.Dialect == profile.POS {
		n = len(prof.Terminals)
	}
	if n == 0 || n > MaxLinks {
		return nil, fmt.Errorf("banklink: bank %s would have %d links; 1 to %d are possible", prof.Code, n, MaxLinks)
	}
	t := prof.Timers
	for i := range n {
		l := &Link{
			n: uint8(i), pool: p, codec: cfg.Codec.For(bankmsg.HubLink), prof: prof, addrs: cfg.Addrs,
			session: NewSession(Times{
				Connect: t.Connect, SignOn: t.SignOn, EchoIdle: t.EchoIdle, Drain: max(t.Reply, t.ReversalReply),
				ReconnectMin: t.ReconnectMin, ReconnectMost: t.ReconnectMost, BadReplies: prof.Limits.BadReplies,
			}, cfg.Rand),
			inputs: make(chan input, inputMost), quit: make(chan struct{}), ended: make(chan struct{}), wake: make(chan struct{}, 1),
			pending: newPending(2*prof.Limits.InFlight + batchMost),
		}
		if prof.Dialect == profile.POS {
			l.term = prof.Terminals[i]
		} else {
			l.addrs = append(append([]string(nil), cfg.Addrs[i:]...), cfg.Addrs[:i]...)
		}
		p.links = append(p.links, l)
	}
	return p, nil
}

// Start begins to connect. The links live until Stop or the end of ctx.
func (p *Pool) Start(ctx context.Context) {
	if !p.started.CompareAndSwap(false, true) {
		return
	}
	var links sync.WaitGroup
	for _, l := range p.links {
		links.Go(func() { l.run(ctx) })
	}
	go func() {
		links.Wait()
		close(p.done)
	}()
	go p.probe()
}

// Stop takes no more requests, waits for the answers under way as long as ctx
// and the profile allow, signs off, and ends. It is safe to call it again.
func (p *Pool) Stop(ctx context.Context) {
	if !p.started.Load() {
		return
	}
	p.stop.Do(func() {
		for _, l := range p.links {
			close(l.quit)
		}
	})
	select {
	case <-p.done:
		return
	case <-ctx.Done():
	}
	for _, l := range p.links {
		select { // whoever is still draining is cut off
		case l.inputs <- input{in: InIdle}:
		case <-l.ended:
		}
	}
	<-p.done
}

// Send hands a request to a link. False: it was not taken, and nothing of it
// ever leaves.
func (p *Pool) Send(link uint8, r *Request) bool {
	if int(link) >= len(p.links) {
		return false
	}
	return p.links[link].send(r)
}

// PINKey is the key that PIN blocks for a link are enciphered with now.
func (p *Pool) PINKey(link uint8) (hsmapi.KeyRef, bool) {
	if int(link) >= len(p.links) {
		return 0, false
	}
	cur, _ := p.links[link].ring.get()
	return cur.pin, cur.pin != 0
}

// Terminal is the virtual terminal of a POS link.
func (p *Pool) Terminal(link uint8) profile.VirtualTerminal {
	if int(link) >= len(p.links) {
		return profile.VirtualTerminal{}
	}
	return p.links[link].term
}

// SignOn takes a link through a new sign-on.
func (p *Pool) SignOn(link uint8) {
	if int(link) >= len(p.links) {
		return
	}
	l := p.links[link]
	select {
	case l.inputs <- input{in: InSignOn}:
	default: // as full as that, it is on its way anyway
	}
}

// CheckKeys takes a link through a new sign-on if the HSM process does not know
// its MAC key any more: it was started anew. Sign-on and echo carry no code, so
// the link itself notices only at its next message of a payment, and there is
// none while no PIN can be re-enciphered.
func (p *Pool) CheckKeys(ctx context.Context, link uint8) {
	if int(link) >= len(p.links) {
		return
	}
	cur, _ := p.links[link].ring.get()
	if cur.mac == 0 {
		return
	}
	job := []hsmapi.MACJob{{Key: cur.mac, Alg: p.prof.MACAlg, Data: make([]byte, 8)}}
	if errors.Is(p.hsm.MAC(ctx, job), hsmapi.ErrNoKey) {
		p.SignOn(link)
	}
}

// States lists the sessions' states by link.
func (p *Pool) States() []State {
	s := make([]State, len(p.links))
	for i, l := range p.links {
		s[i] = State(l.state.Load())
	}
	return s
}

// Counters gives the counters.
func (p *Pool) Counters() Counters {
	c := &p.counters
	return Counters{
		Sent: c.sent.Load(), Replies: c.replies.Load(), Strays: c.strays.Load(), NotSent: c.notSent.Load(), Lost: c.lost.Load(),
		Timeouts: c.timeouts.Load(), BadReplies: c.badReplies.Load(), Writes: c.writes.Load(), Alarms: c.alarms.Load(), KeyChanges: c.keyChanges.Load(),
	}
}

func (p *Pool) deliver(ev Event) { p.sink.Deliver(ev) }

// timedOut counts a request without an answer.
func (p *Pool) timedOut(link uint8) {
	p.counters.timeouts.Add(1)
	p.mu.Lock()
	opened := p.breaker.TimedOut(p.now())
	if opened {
		p.open.Store(true)
	}
	p.mu.Unlock()
	if opened {
		p.deliver(Event{Kind: BreakerOpen, Link: link})
	}
}

// heard notes a good message of the bank.
func (p *Pool) heard() {
	if !p.open.Load() {
		return
	}
	p.mu.Lock()
	closed := p.breaker.Heard(p.now())
	if closed {
		p.open.Store(false)
	}
	p.mu.Unlock()
	if closed {
		p.deliver(Event{Kind: BreakerClosed})
	}
}

// probe asks the links for an echo while the breaker is open.
func (p *Pool) probe() {
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		select {
		case <-p.done:
			return
		case <-t.C:
		}
		if !p.open.Load() {
			continue
		}
		p.mu.Lock()
		due := p.breaker.Probe(p.now())
		p.mu.Unlock()
		for _, l := range p.links {
			if due {
				select {
				case l.inputs <- input{in: InProbe}:
				default:
				}
			}
		}
	}
}
