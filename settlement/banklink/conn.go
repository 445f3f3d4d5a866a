package banklink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/shebao-pay/shebao/settlement/bankmsg"
	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/hsmapi"
)

// conn is one connection with its reader and its writer.
type conn struct {
	l       *Link
	net     net.Conn
	done    chan struct{}
	flushed chan struct{}
	once    sync.Once
	wg      sync.WaitGroup

	// The writer's.
	items  [batchMost]item
	frames [batchMost]bankmsg.Frame
	jobs   []hsmapi.MACJob
	buf    []byte

	// The reader's.
	in    [batchMost]arrived
	reads []hsmapi.MACJob
}

// item is one message on its way out.
type item struct {
	req  *Request
	net  *netOut
	slot bankmsg.MatchKey
	kept bool // a slot waits for the reply
	job  int  // place of its code among the jobs, -1 for none
	from int  // place in the buffer
}

// arrived is one message that came.
type arrived struct {
	msg     bankmsg.Message
	inbound bankmsg.Inbound
	slot    slot
	matched bool
	job     int
	jobs    int
}

func newConn(l *Link, c net.Conn) *conn {
	x := &conn{l: l, net: c, done: make(chan struct{}), flushed: make(chan struct{}, 1)}
	x.wg.Go(x.read)
	x.wg.Go(x.write)
	return x
}

// close ends the connection and waits for its goroutines.
func (c *conn) close() {
	c.shut()
	c.wg.Wait()
}

func (c *conn) shut() {
	c.once.Do(func() {
		close(c.done)
		_ = c.net.Close()
	})
}

// tell hands the session an input, unless the connection ends meanwhile.
func (c *conn) tell(in input) {
	in.conn = c
	if in.in == InBad {
		in.apart = c.l.heard.Swap(false)
	}
	select {
	case c.l.inputs <- in:
	case <-c.done:
	}
}

// fail ends the connection from inside. A plain end is no alarm: the peer may
// hang up, and the session comes back.
func (c *conn) fail(err error) {
	c.tell(input{in: InFailed, err: err})
}

// write is the writer: whatever waits is coded, MACed in one call to the HSM
// process, and written in one go.
func (c *conn) write() {
	for {
		select {
		case <-c.done:
			return
		case <-c.l.wake:
		}
		for {
			n := c.gather()
			if n == 0 {
				break
			}
			ok := c.flush(n)
			select {
			case c.flushed <- struct{}{}:
			default:
			}
			if !ok {
				return
			}
		}
	}
}

// gather takes what waits: messages of the link first, then requests.
func (c *conn) gather() int {
	l := c.l
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for n < batchMost && len(l.netq) > 0 {
		c.items[n] = item{net: l.netq[0], job: -1}
		l.netq = l.netq[1:]
		n++
	}
	for n < batchMost && len(l.queue) > 0 {
		c.items[n] = item{req: l.queue[0], job: -1}
		l.queue[0] = nil
		l.queue = l.queue[1:]
		n++
	}
	return n
}

// flush sends a batch. False: the connection is over.
func (c *conn) flush(n int) bool {
	now := c.l.pool.now()
	c.jobs = c.jobs[:0]
	var msg bankmsg.Message
	for i := range n {
		it := &c.items[i]
		if err := c.prepare(it, &c.frames[i], &msg, now); err != nil {
			c.drop(it, err)
		}
	}
	msg.Wipe()
	defer c.forget(n)
	if len(c.jobs) > 0 {
		ctx, cancel := context.WithTimeout(context.Background(), c.l.prof.Timers.Write)
		err := c.l.pool.hsm.MAC(ctx, c.jobs)
		cancel()
		if err != nil {
			err = fmt.Errorf("banklink: the HSM process makes no codes; the link signs on again: %w", err)
			for i := range n {
				c.drop(&c.items[i], err)
			}
			c.fail(err)
			return false
		}
	}
	c.assemble(n)
	if len(c.buf) == 0 {
		return true
	}
	c.l.pool.counters.writes.Add(1)
	_ = c.net.SetWriteDeadline(time.Now().Add(c.l.prof.Timers.Write))
	wrote, err := c.net.Write(c.buf)
	if err == nil {
		return true
	}
	// What lies beyond the bytes that the kernel took has provably not left.
	// Only of a bare socket is that count exact.
	if _, tcp := c.net.(*net.TCPConn); tcp {
		for i := range n {
			if it := &c.items[i]; it.from >= wrote {
				c.drop(it, errClosed)
			}
		}
	}
	c.fail(nil)
	return false
}

// prepare codes one message and gives it a slot for its reply.
func (c *conn) prepare(it *item, f *bankmsg.Frame, m *bankmsg.Message, now time.Time) error {
	l := c.l
	cur, _ := l.ring.get()
	f.WithoutMAC = false
	if it.net != nil {
		f.WithoutMAC = cur.mac == 0
		if it.net.answer != nil {
			if err := l.codec.EncodeAnswer(f, it.net.answer, &it.net.msg); err != nil {
				return err
			}
			c.addJob(it, f, cur.mac)
			return nil
		}
		if err := l.codec.Encode(f, it.net.kind, false, &it.net.msg); err != nil {
			return err
		}
		return c.keep(it, f, it.net.kind, &it.net.msg, cur, now.Add(l.prof.Timers.SignOn))
	}
	r := it.req
	if !r.By.IsZero() && now.After(r.By) {
		return errLate
	}
	if r.PINKey != 0 && r.PINKey != cur.pin {
		return errKeyChanged
	}
	wait := l.prof.Timers.Reply
	var err error
	switch {
	case r.Debit != nil:
		err = l.codec.Debit(m, r.Debit)
	case r.Proof != nil:
		p := r.Proof
		l.mu.Lock()
		p.Place.Batch = l.batch
		p.STAN, p.RRN = l.numbers.proof(now)
		l.mu.Unlock()
		p.DE7, p.At = de7(now), now
		err = l.codec.PINProof(m, p)
	case r.Inquiry != nil:
		wait = r.By.Sub(now)
		q := r.Inquiry
		l.mu.Lock()
		q.Place.Batch = l.batch
		q.STAN = l.numbers.stan(now)
		l.mu.Unlock()
		q.DE7, q.At = de7(now), now
		err = l.codec.StatusInquiry(m, q)
	case r.Script != nil:
		wait = l.prof.Timers.ReversalReply
		r.Script.NewDE7 = de7(now)
		err = l.codec.ScriptNotify(m, r.Script)
	default:
		wait = l.prof.Timers.ReversalReply
		r.Reversal.NewDE7 = de7(now)
		err = l.codec.Reversal(m, r.Reversal)
	}
	if err == nil {
		err = l.codec.Encode(f, r.Kind(), false, m)
	}
	if err != nil {
		l.alarm(fmt.Errorf("banklink: a %s cannot be made and is not sent: %w", r.Kind(), err))
		return err
	}
	return c.keep(it, f, r.Kind(), m, cur, now.Add(wait+grace))
}

// keep gives a request its slot before any byte leaves.
func (c *conn) keep(it *item, f *bankmsg.Frame, k profile.Kind, m *bankmsg.Message, cur keys, deadline time.Time) error {
	l := c.l
	key := l.codec.MatchKey(k, m)
	l.mu.Lock()
	s := l.pending.add(key, deadline)
	if s != nil {
		s.kind, s.mac, s.gen = k, cur.mac, cur.gen
		if it.req != nil {
			s.id, s.seq = it.req.ID, it.req.Seq
		}
		s.sent.Keep(k, m)
	}
	l.mu.Unlock()
	if s == nil {
		return errTaken
	}
	it.slot, it.kept = key, true
	c.addJob(it, f, cur.mac)
	return nil
}

func (c *conn) addJob(it *item, f *bankmsg.Frame, key hsmapi.KeyRef) {
	if f.MACIn == nil {
		return
	}
	it.job = len(c.jobs)
	c.jobs = append(c.jobs, hsmapi.MACJob{Key: key, Alg: c.l.prof.MACAlg, Data: f.MACIn})
}

// drop takes an item out of the batch before any byte of it left.
func (c *conn) drop(it *item, err error) {
	if it.kept {
		c.l.mu.Lock()
		if s := c.l.pending.find(it.slot); s != nil {
			c.l.pending.remove(s)
		}
		c.l.mu.Unlock()
	}
	r := it.req
	*it = item{job: -1}
	if r != nil {
		c.l.notSent(r, err, errors.Is(err, errLate))
	}
}

// assemble joins the frames that still may leave into one buffer.
func (c *conn) assemble(n int) {
	now := c.l.pool.now()
	c.buf = c.buf[:0]
	for i := range n {
		it := &c.items[i]
		if it.req == nil && it.net == nil {
			continue
		}
		if it.req != nil && !it.req.By.IsZero() && now.After(it.req.By) {
			c.drop(it, errLate)
			continue
		}
		if it.job >= 0 {
			if !c.jobs[it.job].OK {
				c.drop(it, hsmapi.ErrNoKey)
				continue
			}
			c.frames[i].PutMAC(c.jobs[it.job].MAC)
		}
		it.from = len(c.buf)
		c.buf = append(c.buf, c.frames[i].Wire...)
		c.l.pool.counters.sent.Add(1)
	}
}

// forget wipes what the batch held of cards.
func (c *conn) forget(n int) {
	for i := range n {
		if r := c.items[i].req; r != nil {
			r.wipe()
		}
		c.items[i] = item{}
		c.frames[i].Wipe()
	}
	clear(c.buf[:cap(c.buf)])
	clear(c.jobs[:cap(c.jobs)])
}

// read is the reader: all whole frames of one read are decoded, checked in one
// call to the HSM process, and told.
func (c *conn) read() {
	buf := make([]byte, readBuf)
	have := 0
	for {
		n, err := c.net.Read(buf[have:])
		have += n
		used, ferr := c.whole(buf[:have])
		have = copy(buf, buf[used:have])
		if ferr != nil {
			c.fail(ferr)
			return
		}
		if err != nil {
			c.fail(nil)
			return
		}
	}
}

// whole takes the whole frames off the front of what was read.
func (c *conn) whole(b []byte) (used int, err error) {
	for {
		n := 0
		for n < batchMost {
			size, err := c.l.codec.Next(b[used:])
			if err != nil {
				return used, fmt.Errorf("banklink: the bank's stream is out of step, the link is made anew: %w", err)
			}
			if size == 0 {
				break
			}
			frame := b[used : used+size]
			used += size
			a := &c.in[n]
			if err := c.l.codec.Decode(frame, &a.msg, &a.inbound); err != nil {
				if errors.Is(err, bankmsg.ErrFrame) {
					return used, fmt.Errorf("banklink: the bank's frame is refused, the link is made anew: %w", err)
				}
				c.l.pool.counters.badReplies.Add(1)
				c.tell(input{in: InBad, err: fmt.Errorf("banklink: a message of the bank was refused: %w", err)})
				continue
			}
			n++
		}
		if n == 0 {
			return used, nil
		}
		if err := c.judge(n); err != nil {
			return used, err
		}
	}
}

// judge matches messages with their requests, checks their codes, and tells.
func (c *conn) judge(n int) error {
	l := c.l
	c.reads = c.reads[:0]
	cur, prev := l.ring.get()
	for i := range n {
		a := &c.in[i]
		a.matched, a.job, a.jobs = false, len(c.reads), 0
		if a.inbound.Reply {
			l.mu.Lock()
			if s := l.pending.find(l.codec.MatchKey(a.inbound.Kind, &a.msg)); s != nil && s.kind == a.inbound.Kind {
				a.slot, a.matched = *s, true
				l.pending.remove(s)
			}
			l.mu.Unlock()
		}
		switch {
		case a.matched:
			c.check(a, a.slot.mac)
		default:
			c.check(a, cur.mac)
			c.check(a, prev.mac)
		}
	}
	if len(c.reads) > 0 {
		ctx, cancel := context.WithTimeout(context.Background(), l.prof.Timers.Write)
		err := l.pool.hsm.MAC(ctx, c.reads)
		cancel()
		if err != nil {
			c.unread(n)
			return fmt.Errorf("banklink: the HSM process checks no codes; the link signs on again: %w", err)
		}
	}
	for i := range n {
		c.settle(&c.in[i])
	}
	clear(c.reads[:cap(c.reads)])
	return nil
}

func (c *conn) check(a *arrived, key hsmapi.KeyRef) {
	job, ok := a.inbound.Job(key, c.l.prof.MACAlg)
	if ok && key != 0 {
		c.reads = append(c.reads, job)
		a.jobs++
	}
}

// unread tells the owner of requests whose reply came and could not be checked.
func (c *conn) unread(n int) {
	for i := range n {
		a := &c.in[i]
		if a.matched && payment(a.slot.kind) {
			c.l.pool.counters.lost.Add(1)
			c.l.pool.deliver(Event{Kind: Lost, Link: c.l.n, ID: a.slot.id, Seq: a.slot.seq, Op: a.slot.kind})
		}
		a.msg.Wipe()
	}
}

// settle judges one message and tells who waits for it.
func (c *conn) settle(a *arrived) {
	defer a.msg.Wipe()
	defer a.slot.sent.Wipe()
	l := c.l
	mac := MACNone
	if a.inbound.HasMAC {
		mac = MACBad
		for _, j := range c.reads[a.job : a.job+a.jobs] {
			if j.OK {
				mac = MACGood
			}
		}
	}
	money := payment(a.inbound.Kind) && a.inbound.Reply
	var differs error
	if a.matched {
		differs = l.codec.CheckReply(&a.slot.sent, &a.msg, &a.inbound, si.DateOf(l.pool.now()))
	}
	good := differs == nil && mac != MACBad && (mac == MACGood || !money)
	if !good {
		l.pool.counters.badReplies.Add(1)
		err := differs
		if err == nil || mac != MACGood && money {
			err = errors.New("banklink: a reply has a bad code or none")
		}
		c.tell(input{in: InBad, err: err})
	} else {
		l.heard.Store(true)
		l.pool.heard()
	}
	if !money {
		if good && (a.matched || !a.inbound.Reply) {
			n := &netIn{msg: a.msg, inbound: a.inbound, mac: mac}
			n.inbound.MACIn = nil
			c.tell(input{net: n})
		}
		return
	}
	ev := Event{Kind: Replied, Link: l.n, ID: a.slot.id, Seq: a.slot.seq, Op: a.inbound.Kind, Reply: c.reply(a, mac, differs)}
	if !a.matched {
		ev.Kind, ev.ID, ev.Seq = Stray, si.PaymentID{}, 0
		copy(ev.Acq[:], a.msg.Field(41))
		copy(ev.DE7[:], a.msg.Field(7))
		if v, ok := a.msg.Number(11); ok {
			ev.STAN = uint32(v)
		}
		ev.Batch, _ = bankmsg.Batch(&a.msg)
		l.pool.counters.strays.Add(1)
	} else {
		l.pool.counters.replies.Add(1)
	}
	l.pool.deliver(ev)
}

func (c *conn) reply(a *arrived, mac MACState, differs error) Reply {
	r := Reply{MAC: mac, Mismatch: differs != nil, KeyGen: a.slot.gen}
	copy(r.Resp[:], a.msg.Field(39))
	copy(r.Auth[:], a.msg.Field(38))
	copy(r.RRN[:], a.msg.Field(37))
	if v, ok := a.msg.Number(4); ok {
		r.Amount = si.Fen(v)
	}
	if mac == MACGood && differs == nil {
		r.Date, _ = c.l.codec.SettleDate(&a.msg, &a.inbound, si.DateOf(c.l.pool.now()))
		r.Issuer = bankmsg.Issuer(&a.msg)
	}
	return r
}
