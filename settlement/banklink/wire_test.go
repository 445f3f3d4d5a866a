package banklink

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/settlement/banklink/linktest"
	"github.com/shebao-pay/shebao/settlement/bankmsg"
	"github.com/shebao-pay/shebao/settlement/profile"
)

// tap sits on a connection and sees each write, with the deadline that was set
// for it.
type tap struct {
	net.Conn
	mu       sync.Mutex
	deadline time.Time
	writes   [][]byte
	without  int // writes that had no deadline of their own
	stuck    chan struct{}
}

func (c *tap) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	return c.Conn.SetWriteDeadline(t)
}

// Write notes the bytes. While stuck is set the peer takes none, until the
// deadline has passed.
func (c *tap) Write(p []byte) (int, error) {
	c.mu.Lock()
	if c.deadline.IsZero() {
		c.without++
	}
	left := time.Until(c.deadline)
	c.deadline = time.Time{}
	c.writes = append(c.writes, append([]byte(nil), p...))
	stuck := c.stuck
	c.mu.Unlock()
	if stuck == nil {
		return c.Conn.Write(p)
	}
	t := time.NewTimer(left)
	defer t.Stop()
	select {
	case <-stuck:
		return c.Conn.Write(p)
	case <-t.C:
		return 0, errors.New("the deadline of the write has passed")
	}
}

func (c *tap) stick(ch chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stuck = ch
}

// seen gives the writes since the last call.
func (c *tap) seen() [][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.writes
	c.writes = nil
	return w
}

// newTapped is newLine with a tap on each connection; the last one is given.
func newTapped(t *testing.T, code string, change func(*profile.Profile)) (*line, func() *tap) {
	t.Helper()
	var mu sync.Mutex
	var last *tap
	l := newLineOn(t, code, change, func(ctx context.Context, addr string) (net.Conn, error) {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", addr)
		if err != nil {
			return nil, err
		}
		mu.Lock()
		defer mu.Unlock()
		last = &tap{Conn: c}
		return last, nil
	})
	return l, func() *tap {
		mu.Lock()
		defer mu.Unlock()
		return last
	}
}

// TestOneWritePerFlush lets requests gather while the writer is held up: what
// waits leaves in one write of whole frames, under 64 KiB, each with a deadline.
func TestOneWritePerFlush(t *testing.T) {
	for _, code := range []string{"rcb", "ccb"} {
		l, last := newTapped(t, code, nil)
		c := last()
		l.send(l.debit(999)) // behind whatever the sign-on still had to say
		l.ear.wait(t, Replied)
		c.seen()
		link := l.pool.links[0]
		const many = 3*batchMost + 5
		link.mu.Lock() // the writer finds them all at once
		for n := uint32(1); n <= many; n++ {
			if !link.enqueue(l.debit(n)) {
				t.Fatalf("request %d was not taken", n)
			}
		}
		link.mu.Unlock()
		link.rouse()
		for range many {
			if ev := l.ear.wait(t, Replied); ev.Reply.MAC != MACGood {
				t.Fatalf("got %+v", ev)
			}
		}
		codec := testCodec(t, code)
		writes, frames := c.seen(), 0
		for _, w := range writes {
			if len(w) > 64<<10 {
				t.Errorf("%s: a write of %d bytes", code, len(w))
			}
			for len(w) > 0 {
				n, err := codec.Next(w)
				if err != nil || n == 0 {
					t.Fatalf("%s: a write ends inside a frame: %d bytes left, %v", code, len(w), err)
				}
				w = w[n:]
				frames++
			}
		}
		if len(writes) != 4 || frames != many {
			t.Errorf("%s: %d frames in %d writes, want %d in 4", code, frames, len(writes), many)
		}
		if c.without != 0 {
			t.Errorf("%s: %d writes without a deadline", code, c.without)
		}
	}
}

// TestWriteDeadline has a peer that takes no byte: the write ends at its
// deadline, the requests of it are told, and the link comes back.
func TestWriteDeadline(t *testing.T) {
	l, last := newTapped(t, "ccb", func(p *profile.Profile) { p.Timers.Write = 50 * time.Millisecond })
	stuck := make(chan struct{})
	defer close(stuck)
	last().stick(stuck)
	l.send(l.debit(1))
	if ev := l.ear.wait(t, Lost); ev.Seq != 1 { // no bare socket: what left is not known
		t.Errorf("got %+v", ev)
	}
	l.ear.wait(t, LinkDown)
	l.ear.wait(t, LinkUp)
	l.send(l.debit(2))
	l.ear.wait(t, Replied)
}

// TestSameKeyTwice refuses a request whose reply could not be told from that of
// one under way, and proves that it was not sent.
func TestSameKeyTwice(t *testing.T) {
	for _, code := range []string{"rcb", "ccb"} {
		l := newLine(t, code, nil)
		free := make(chan struct{})
		l.bank.Script(func(profile.Kind, *bankmsg.Message) linktest.Fault { return linktest.Fault{Wait: free} })
		first, second := l.debit(7), l.debit(7)
		second.Seq = 8
		l.send(first)
		l.send(second)
		if ev := l.ear.wait(t, NotSent); ev.Seq != 8 || !errors.Is(ev.Err, errTaken) {
			t.Errorf("%s: got %+v", code, ev)
		}
		close(free)
		if ev := l.ear.wait(t, Replied); ev.Seq != 7 || ev.Reply.MAC != MACGood {
			t.Errorf("%s: got %+v", code, ev)
		}
		if n := l.bank.Seen(profile.Debit); n != 1 {
			t.Errorf("%s: the bank saw %d requests", code, n)
		}
	}
}

// outOfOrder hears the replies and gives each a token back.
type outOfOrder struct {
	up     chan Event
	tokens chan struct{}
	mu     sync.Mutex
	seen   []bool
	bad    int
}

func (o *outOfOrder) Deliver(ev Event) {
	switch ev.Kind {
	case LinkUp:
		o.up <- ev
	case Replied, NotSent, Lost, Stray:
		o.mu.Lock()
		if ev.Kind != Replied || o.seen[ev.Seq] || ev.Reply.MAC != MACGood || ev.Reply.Mismatch {
			o.bad++
		}
		o.seen[ev.Seq] = true
		o.mu.Unlock()
		o.tokens <- struct{}{}
	}
}

// TestHundredThousandOutOfOrder sends 100,000 requests over one connection to a
// bank that answers them in an order of its own: each gets its own reply, once.
func TestHundredThousandOutOfOrder(t *testing.T) {
	const many, flight, group = 100_000, 400, 50
	p := testProfile(t, "ccb")
	bank, err := linktest.NewBank(p)
	if err != nil {
		t.Fatal(err)
	}
	defer bank.Close()
	// Every request of a group waits for a gate of its own; a full group is let
	// go in a random order.
	rnd := rand.New(rand.NewPCG(3, 5))
	var gates []chan struct{}
	left := many
	bank.Script(func(k profile.Kind, _ *bankmsg.Message) linktest.Fault {
		if k != profile.Debit {
			return linktest.Fault{}
		}
		gate := make(chan struct{})
		gates = append(gates, gate)
		if left--; len(gates) == group || left == 0 {
			rnd.Shuffle(len(gates), func(i, j int) { gates[i], gates[j] = gates[j], gates[i] })
			for _, g := range gates {
				close(g)
			}
			gates = gates[:0]
		}
		return linktest.Fault{Wait: gate}
	})
	o := &outOfOrder{up: make(chan Event, 1), tokens: make(chan struct{}, flight), seen: make([]bool, many+1)}
	pool, err := New(Config{Codec: testCodec(t, "ccb"), Addrs: []string{bank.Addr}, HSM: &linktest.HSM{}, Sink: o, Rand: func() uint64 { return 1 }})
	if err != nil {
		t.Fatal(err)
	}
	pool.Start(context.Background())
	defer pool.Stop(context.Background())
	<-o.up
	l := &line{t: t, prof: p, pool: pool, day: de7(time.Now())}
	sample := l.debit(1)
	for range flight {
		o.tokens <- struct{}{}
	}
	began := time.Now()
	for n := uint32(1); n <= many; n++ {
		<-o.tokens
		d := *sample.Debit
		d.STAN = n
		if !pool.Send(0, &Request{Seq: n, PINKey: sample.PINKey, Debit: &d}) {
			t.Fatalf("request %d was not taken", n)
		}
	}
	for range flight {
		<-o.tokens
	}
	took := time.Since(began)
	c := pool.Counters()
	t.Logf("%d requests in %v, %.0f a second, %.1f in a write", many, took.Round(time.Millisecond), many/took.Seconds(), float64(c.Sent)/float64(c.Writes))
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.bad != 0 {
		t.Errorf("%d requests had no good reply of their own", o.bad)
	}
	for n := 1; n <= many; n++ {
		if !o.seen[n] {
			t.Fatalf("request %d was never answered", n)
		}
	}
	if c.Strays != 0 || c.Lost != 0 || c.Timeouts != 0 {
		t.Errorf("got %+v", c)
	}
}
