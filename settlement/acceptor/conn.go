package acceptor

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shebao-pay/shebao/settlement/bankmsg"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/hsmapi"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// request is one request from decoding to its answer. Requests are reused.
type request struct {
	c     *conn
	msg   bankmsg.Message
	in    bankmsg.Inbound
	raw   []byte // the frame, which in.MACIn points into
	call  bankmsg.BankCall
	id    si.PaymentID  // of the payment that the call is about
	key   hsmapi.KeyRef // what its code was good under; its answer gets the same
	bare  bool          // the answer carries no code: there is no key yet
	net   bool          // a message of the link itself
	code  string        // of a network answer
	reply bankmsg.BankAnswer

	// finish turns the ledger's result into the answer. The writer calls it: the
	// ledger's own goroutine only puts the result here.
	result ledgerapi.Result
	finish func(*request)
}

// conn is one connection of a bank.
type conn struct {
	s    *Server
	nc   net.Conn
	free chan *request // every request that is not under way; its size bounds them
	done chan *request // answered, to be written; room for all
	quit chan struct{} // closed when the connection is to end
	once sync.Once
	why  atomic.Int32
	left sync.WaitGroup // requests at the ledger

	// Of the reader alone.
	keys, old hsmapi.KeyRef // this generation's MAC key and the one before
	jobs      []hsmapi.MACJob
	batch     []*request
}

func newConn(s *Server, nc net.Conn) *conn {
	n := min(s.prof.Limits.InFlight, maxUnderWay)
	c := &conn{s: s, nc: nc, free: make(chan *request, n), done: make(chan *request, n), quit: make(chan struct{})}
	for range n {
		c.free <- nil // made when first used: most connections need a few
	}
	return c
}

// end closes the connection for a reason; the first one counts.
func (c *conn) end(why Reason) {
	c.once.Do(func() {
		c.why.Store(int32(why))
		c.s.ended[why].Add(1)
		close(c.quit)
		_ = c.nc.SetReadDeadline(time.Unix(1, 0)) // wakes the reader; the writer goes on
	})
}

// run serves the connection to its end.
func (c *conn) run() {
	written := make(chan struct{})
	go func() {
		defer close(written)
		c.write()
	}()
	c.end(c.read())
	c.left.Wait() // the ledger's answers come in any case
	close(c.done)
	<-written
	_ = c.nc.Close()
}

// take gets a free request, or nil and a reason when the connection ends first.
// Before it waits for one it starts what it has gathered: those requests must
// not wait for the answers of others.
func (c *conn) take() (*request, Reason) {
	var r *request
	select {
	case r = <-c.free:
	default:
		if why := c.start(); why != PeerClosed {
			return nil, why
		}
		select {
		case r = <-c.free:
		case <-c.quit:
			return nil, Reason(c.why.Load())
		}
	}
	if r == nil {
		r = &request{c: c}
	}
	return r, PeerClosed
}

// read takes frames off the socket and starts what they ask.
func (c *conn) read() Reason {
	buf := make([]byte, readBuf)
	have := 0
	until := time.Now().Add(c.s.waits.idle)
	for {
		// Set before quit is looked at: end closes quit first and then sets a
		// deadline in the past, so one of the two is always seen.
		_ = c.nc.SetReadDeadline(until) // fails only on a closed socket, which Read tells
		select {
		case <-c.quit:
			return Reason(c.why.Load())
		default:
		}
		n, err := c.nc.Read(buf[have:])
		before := have
		have += n
		used, why := c.frames(buf[:have])
		if why != PeerClosed {
			return why
		}
		have = copy(buf, buf[used:have])
		if err != nil {
			return c.reasonOf(err, have)
		}
		switch {
		case have == 0:
			until = time.Now().Add(c.s.waits.idle)
		case before == 0 || used > 0: // a frame has begun; its time runs from here
			until = time.Now().Add(c.s.waits.frame)
		}
	}
}

func (c *conn) reasonOf(err error, have int) Reason {
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		select {
		case <-c.quit:
			return Reason(c.why.Load())
		default:
		}
		if have > 0 {
			return SlowFrame
		}
		return Idle
	case errors.Is(err, io.EOF) && have > 0:
		return BadFrame
	}
	return PeerClosed
}

// frames decodes every whole frame in buf, checks their codes together and
// starts them. PeerClosed means that the connection goes on.
func (c *conn) frames(buf []byte) (used int, why Reason) {
	c.batch = c.batch[:0]
	for {
		n, err := c.s.codec.Next(buf[used:])
		if err != nil {
			return used, c.refuse(BadFrame)
		}
		if n == 0 {
			break
		}
		r, why := c.take()
		if r == nil {
			return used, why
		}
		r.raw = append(r.raw[:0], buf[used:used+n]...)
		used += n
		if err := c.s.codec.Decode(r.raw, &r.msg, &r.in); err != nil || r.in.Reply {
			c.free <- r
			return used, c.refuse(BadFrame)
		}
		c.s.requests.Add(1)
		r.net = isNet(r.in.Kind)
		// What a message of the link changes, such as the key, holds for what
		// comes after it and not for what came before.
		if r.net {
			if why := c.start(); why != PeerClosed {
				c.free <- r
				return used, why
			}
		}
		c.batch = append(c.batch, r)
		if r.net || len(c.batch) == hsmapi.MaxMACJobs {
			if why := c.start(); why != PeerClosed {
				return used, why
			}
		}
	}
	return used, c.start()
}

// refuse starts what came before the bad frame and then ends the connection.
func (c *conn) refuse(why Reason) Reason {
	if w := c.start(); w != PeerClosed {
		return w
	}
	return why
}

// start checks the codes of the batch in one call and starts each request.
func (c *conn) start() Reason {
	batch := c.batch
	c.batch = c.batch[:0]
	if len(batch) == 0 {
		return PeerClosed
	}
	if !c.check(batch) {
		for _, r := range batch {
			c.free <- r
		}
		return HSMAway
	}
	for _, r := range batch {
		c.dispatch(r)
	}
	return PeerClosed
}

// check has the HSM process judge every code: under this generation's key, and
// those that fail under the one before.
func (c *conn) check(batch []*request) bool {
	for _, r := range batch {
		r.key, r.bare, r.finish = 0, false, nil
	}
	for _, key := range []hsmapi.KeyRef{c.keys, c.old} {
		if key == 0 {
			continue
		}
		c.jobs = c.jobs[:0]
		for _, r := range batch {
			if job, ok := r.in.Job(key, c.s.prof.MACAlg); ok && r.key == 0 {
				c.jobs = append(c.jobs, job)
			}
		}
		if len(c.jobs) == 0 {
			break
		}
		ctx, cancel := context.WithTimeout(context.Background(), c.s.waits.hsm)
		err := c.s.cfg.Codes.MAC(ctx, c.jobs)
		cancel()
		if err != nil {
			return false
		}
		i := 0
		for _, r := range batch {
			if r.in.HasMAC && r.key == 0 {
				if c.jobs[i].OK {
					r.key = key
				}
				i++
			}
		}
	}
	return true
}

// answered puts a finished request on the writer's queue, which has room.
func (c *conn) answered(r *request) { c.done <- r }

// submit hands a command to the ledger; finish turns its result into an answer.
func (c *conn) submit(r *request, cmd ledgerapi.Command, finish func(*request)) {
	r.finish = finish
	c.left.Add(1)
	c.s.cfg.Ledger.Submit(cmd, 0, func(res ledgerapi.Result, err error) {
		defer c.left.Done()
		if err != nil && c.s.cfg.NotWritten != nil && c.s.cfg.NotWritten(err) {
			r.finish = nil
			c.say(r, codeSystem)
			return
		}
		if err != nil {
			// Not known: the bank gets no word that it could take for one, and
			// asks again.
			c.end(OutcomeOpen)
			c.free <- r
			return
		}
		r.result = res
		c.answered(r)
	})
}

// write codes and writes answers, as many at once as are there.
func (c *conn) write() {
	var batch []*request
	frames := make([]bankmsg.Frame, writeMost)
	var msg bankmsg.Message
	var jobs []hsmapi.MACJob
	var out []byte
	broken := false
	for first := range c.done {
		batch = append(batch[:0], first)
	more:
		for len(batch) < writeMost {
			select {
			case r, ok := <-c.done:
				if !ok {
					break more
				}
				batch = append(batch, r)
			default:
				break more
			}
		}
		if !broken {
			out = c.encode(batch, frames, &msg, &jobs, out[:0])
		}
		for _, r := range batch {
			c.free <- r
		}
		if broken || len(out) == 0 {
			continue // drain: the ledger's answers must find their places
		}
		_ = c.nc.SetWriteDeadline(time.Now().Add(c.s.waits.write)) // fails only on a closed socket, which Write tells
		if _, err := c.nc.Write(out); err != nil {
			// Part of a frame may have left: nothing can follow it.
			broken = true
			c.end(SlowWriter)
			continue
		}
		c.s.writes.Add(1)
	}
}

// encode makes the frames of a batch, codes them in one call and joins them.
func (c *conn) encode(batch []*request, frames []bankmsg.Frame, msg *bankmsg.Message, jobs *[]hsmapi.MACJob, out []byte) []byte {
	*jobs = (*jobs)[:0]
	var coded [writeMost]bool
	for i, r := range batch {
		f := &frames[i]
		f.Wire = f.Wire[:0]
		f.WithoutMAC = r.bare
		if !c.fill(r, msg) {
			continue
		}
		if err := c.s.codec.EncodeAnswer(f, &r.in, msg); err != nil {
			f.Wire = f.Wire[:0]
			c.end(BadFrame)
			continue
		}
		if f.MACIn != nil && r.key != 0 {
			coded[i] = true
			*jobs = append(*jobs, hsmapi.MACJob{Key: r.key, Alg: c.s.prof.MACAlg, Data: f.MACIn})
		}
	}
	if len(*jobs) > 0 {
		ctx, cancel := context.WithTimeout(context.Background(), c.s.waits.hsm)
		err := c.s.cfg.Codes.MAC(ctx, *jobs)
		cancel()
		if err != nil {
			c.end(HSMAway)
			return out
		}
	}
	j := 0
	for i := range batch {
		f := &frames[i]
		if coded[i] {
			if !(*jobs)[j].OK {
				f.Wire = f.Wire[:0] // a key that is gone: no answer is better than a bare one
			}
			f.PutMAC((*jobs)[j].MAC)
			j++
		}
		if len(f.Wire) > 0 {
			c.s.answers.Add(1)
			out = append(out, f.Wire...)
		}
	}
	return out
}

// fill makes the answer's message.
func (c *conn) fill(r *request, msg *bankmsg.Message) bool {
	if r.finish != nil {
		r.finish(r)
	}
	var err error
	if r.net {
		err = c.s.codec.AnswerNet(msg, &r.msg, &r.in, r.code)
	} else {
		err = c.s.codec.Answer(msg, &r.msg, &r.in, &r.reply)
	}
	if err != nil {
		c.end(BadFrame)
	}
	return err == nil
}
