package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of a proxy.
const (
	// maxConns is more than a bank has links, and few enough for one process.
	maxConns = 1024
	// maxFrame is the largest frame; the longest of a bank has 2,048 bytes.
	maxFrame = 64 << 10
	// maxHeld frames of one direction are held back at once; more go through.
	maxHeld = 64
	// writeWait ends a side that takes nothing any more.
	writeWait = 30 * time.Second
	dialWait  = 5 * time.Second
)

// Config says what a proxy is.
type Config struct {
	Addr   string // where it listens; empty takes a free port of 127.0.0.1
	Target string // where it connects to
	Seed   uint64
	Plan   Plan
	// Split gives the length of the frame that b begins with, 0 if more bytes are
	// needed to know, and below 0 if b is no frame: then bytes go through as they
	// come.
	Split func(b []byte) int
	// Pause is the longest of the short waits (delay, half, drip, slow read), 0
	// takes 200 ms; Hold the longest that a frame is held back, 0 takes 5 s, which
	// is longer than a quick hub waits for an answer.
	Pause, Hold time.Duration
}

// Proxy is a line under way.
type Proxy struct {
	cfg    Config
	ln     net.Listener
	plan   atomic.Pointer[Plan]
	counts [kindEnd]atomic.Uint64
	conns  atomic.Uint64
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu   sync.Mutex
	live map[*line]struct{}
}

// Start listens and forwards until Close.
func Start(cfg Config) (*Proxy, error) {
	if cfg.Target == "" || cfg.Split == nil {
		return nil, errors.New("proxy: a target and a way to find frames are needed")
	}
	if n := cfg.Plan.sum(); n < 0 || n > 10_000 {
		return nil, fmt.Errorf("proxy: a plan of %d faults in 10,000 frames", n)
	}
	set := func(v *time.Duration, def time.Duration) {
		if *v <= 0 {
			*v = def
		}
	}
	set(&cfg.Pause, 200*time.Millisecond)
	set(&cfg.Hold, 5*time.Second)
	if cfg.Addr == "" {
		cfg.Addr = "127.0.0.1:0"
	}
	ln, err := net.Listen("tcp", cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	p := &Proxy{cfg: cfg, ln: ln, live: map[*line]struct{}{}}
	p.plan.Store(&cfg.Plan)
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.wg.Go(p.accept)
	return p, nil
}

// Addr is where the proxy listens.
func (p *Proxy) Addr() string { return p.ln.Addr().String() }

// Set takes another plan for the frames from now on.
func (p *Proxy) Set(plan Plan) { p.plan.Store(&plan) }

// Heal lets everything through from now on; frames that are held back still come.
func (p *Proxy) Heal() { p.Set(Plan{}) }

// Counts are how many frames met each kind of fault.
func (p *Proxy) Counts() map[Kind]uint64 {
	out := map[Kind]uint64{}
	for _, k := range Kinds() {
		out[k] = p.counts[k].Load()
	}
	return out
}

// Frames is how many frames went through without a fault.
func (p *Proxy) Frames() uint64 { return p.counts[None].Load() }

// Close hangs up and waits until everything has ended.
func (p *Proxy) Close() {
	p.cancel()
	_ = p.ln.Close()
	p.mu.Lock()
	for l := range p.live {
		l.hangUp()
	}
	p.mu.Unlock()
	p.wg.Wait()
}

func (p *Proxy) accept() {
	for {
		a, err := p.ln.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.join(a) })
	}
}

// line is one connection with both of its ends.
type line struct {
	a, b net.Conn
	once sync.Once
	gone chan struct{}
}

func (l *line) hangUp() {
	l.once.Do(func() {
		close(l.gone)
		_, _ = l.a.Close(), l.b.Close()
	})
}

// join connects to the target and forwards both ways.
func (p *Proxy) join(a net.Conn) {
	d := net.Dialer{Timeout: dialWait}
	b, err := d.DialContext(p.ctx, "tcp", p.cfg.Target)
	if err != nil {
		_ = a.Close() // as if nobody listened
		return
	}
	l := &line{a: a, b: b, gone: make(chan struct{})}
	p.mu.Lock()
	full := len(p.live) >= maxConns || p.ctx.Err() != nil
	if !full {
		p.live[l] = struct{}{}
	}
	p.mu.Unlock()
	if full {
		l.hangUp()
		return
	}
	n := p.conns.Add(1)
	var both sync.WaitGroup
	both.Go(func() { p.forward(l, a, b, newDeck(p.cfg.Seed, n, false)) })
	both.Go(func() { p.forward(l, b, a, newDeck(p.cfg.Seed, n, true)) })
	both.Wait()
	p.mu.Lock()
	delete(p.live, l)
	p.mu.Unlock()
}

// direction is one way of a line.
type direction struct {
	p    *Proxy
	l    *line
	deck deck
	to   net.Conn

	mu   sync.Mutex // one write at a time
	held sync.WaitGroup
	some atomic.Int32 // frames held back
}

// forward reads frames from one end and gives each to its fate.
func (p *Proxy) forward(l *line, from, to net.Conn, deck deck) {
	defer l.hangUp() // a half-open line is of no use to either side
	d := &direction{p: p, l: l, deck: deck, to: to}
	defer d.held.Wait()
	buf := make([]byte, 0, maxFrame)
	for {
		n, err := from.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		rest, ok := d.split(buf)
		if !ok {
			return
		}
		buf = buf[:copy(buf[:cap(buf)], rest)]
		if err != nil || len(buf) == cap(buf) {
			return
		}
	}
}

// split sends the whole frames of b on and gives what is left.
func (d *direction) split(b []byte) (rest []byte, ok bool) {
	for len(b) > 0 {
		n := d.p.cfg.Split(b)
		if n < 0 || n > maxFrame {
			return nil, d.write(b)
		}
		if n == 0 || n > len(b) {
			return b, true
		}
		if !d.frame(append([]byte(nil), b[:n]...)) {
			return nil, false
		}
		b = b[n:]
	}
	return nil, true
}

// write sends bytes; false when the line is gone.
func (d *direction) write(b []byte) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_ = d.to.SetWriteDeadline(time.Now().Add(writeWait)) // fails only on a closed socket, which Write tells
	_, err := d.to.Write(b)
	return err == nil
}

// wait pauses; false when the line is gone meanwhile.
func (d *direction) wait(t time.Duration) bool {
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-d.l.gone:
		return false
	}
}

// part is a share of a time, at least a tenth of it.
func part(of time.Duration, share uint64) time.Duration {
	least := of / 10
	return least + time.Duration(share%uint64(of-least+1))
}

// frame does to one frame what is drawn for it; false ends the line.
func (d *direction) frame(f []byte) bool {
	w := d.deck.next(d.p.plan.Load())
	if w.kind == Reorder && d.some.Load() >= maxHeld {
		w.kind = None
	}
	d.p.counts[w.kind].Add(1)
	pause := part(d.p.cfg.Pause, w.share)
	switch w.kind {
	case Delay:
		return d.wait(pause) && d.write(f)
	case Drop:
		return true
	case Cut:
		return false
	case Reorder:
		d.hold(f, part(d.p.cfg.Hold, w.share))
		return true
	case Corrupt:
		bit := w.bit % uint64(8*len(f))
		f[bit/8] ^= 1 << (bit % 8)
	case Duplicate:
		if !d.write(f) {
			return false
		}
	case Half:
		return d.write(f[:len(f)/2]) && d.wait(pause) && d.write(f[len(f)/2:])
	case Torn:
		_ = d.write(f[:len(f)/2]) // the line ends either way
		return false
	case Drip:
		return d.drip(f, pause)
	case SlowRead:
		return d.write(f) && d.wait(pause) // nobody reads meanwhile
	case None, kindEnd:
	}
	return d.write(f)
}

// dripSteps is how many pauses a dripping frame has at most.
const dripSteps = 20

// drip sends byte by byte and pauses a few times.
func (d *direction) drip(f []byte, pause time.Duration) bool {
	every := max(1, len(f)/dripSteps)
	for i := range f {
		if !d.write(f[i : i+1]) {
			return false
		}
		if i%every == 0 && !d.wait(pause/dripSteps) {
			return false
		}
	}
	return true
}

// hold sends a frame later, while others pass.
func (d *direction) hold(f []byte, t time.Duration) {
	d.some.Add(1)
	d.held.Go(func() {
		defer d.some.Add(-1)
		if d.wait(t) {
			_ = d.write(f) // into a line that is gone: lost, as it would be
		}
	})
}
