package escpos

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"github.com/shebao-pay/shebao/terminal/device"
)

// Limits.
const (
	// JobTimeout is the longest a job may take to its last state.
	JobTimeout = 30 * time.Second
	// StatusTimeout is how long a printer may think about a status request; real
	// ones answer in milliseconds.
	StatusTimeout = 2 * time.Second
	// PollEvery is how often a printing job asks for faults.
	PollEvery = 500 * time.Millisecond
	// MaxDoc is the largest document, as terminal/print makes them.
	MaxDoc = 64 << 10
)

// Times are the driver's waits. New uses the constants above.
type Times struct {
	Job, Status, Poll time.Duration
}

// Printer is one printer at an address. One job or question runs at a time.
type Printer struct {
	network, address string
	times            Times

	mu  sync.Mutex
	job uint16 // counts process ids
}

var _ device.Printer = (*Printer)(nil)

// New makes a driver for the printer at a Unix socket ("unix", path) or TCP
// address ("tcp", host:port). It does not connect yet.
func New(network, address string) *Printer {
	return NewTimes(network, address, Times{JobTimeout, StatusTimeout, PollEvery})
}

// NewTimes is New with other waits.
func NewTimes(network, address string, t Times) *Printer {
	return &Printer{network: network, address: address, times: t}
}

// State asks the printer for its state. A printer that cannot be reached is
// offline, one that does not answer is unknown.
func (p *Printer) State(ctx context.Context) device.PrinterState {
	p.mu.Lock()
	defer p.mu.Unlock()
	l, err := p.dial(ctx)
	if err != nil {
		return device.PrinterOffline
	}
	defer l.close()
	return l.state(ctx, p.times.Status)
}

// Print prints doc. It asks for the state first and prints nothing when the
// printer has a fault. state hears each step; the last one is also returned.
func (p *Printer) Print(ctx context.Context, doc []byte, state func(device.JobState)) (device.JobState, device.PrinterState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if state == nil {
		state = func(device.JobState) {}
	}
	state(device.JobQueued)
	ctx, cancel := context.WithTimeout(ctx, p.times.Job)
	defer cancel()
	job, printer := p.print(ctx, doc, state)
	state(job)
	return job, printer
}

func (p *Printer) print(ctx context.Context, doc []byte, state func(device.JobState)) (device.JobState, device.PrinterState) {
	if len(doc) == 0 || len(doc) > MaxDoc {
		return device.JobFailed, device.PrinterUnknown
	}
	l, err := p.dial(ctx)
	if err != nil {
		return device.JobFailed, device.PrinterOffline
	}
	defer l.close()
	before := l.state(ctx, p.times.Status)
	if !prints(before) {
		return device.JobFailed, before
	}
	state(device.JobPrinting)
	p.job++
	id := processID(p.job)
	if err := l.write(ctx, append(append([]byte{}, doc...), requestID(id)...)); err != nil {
		return device.JobFailed, device.PrinterOffline
	}
	if before == device.PrinterUnknown {
		// It answered nothing before; it will confirm nothing now.
		return device.JobSent, device.PrinterUnknown
	}
	return l.await(ctx, id, p.times, before)
}

// prints tells whether a document may be sent to a printer in this state. A
// silent one may print; it cannot say so.
func prints(s device.PrinterState) bool {
	return s == device.PrinterReady || s == device.PrinterPaperLow || s == device.PrinterUnknown
}

// processID makes the four bytes of a job; each byte is 20h to 7Eh.
func processID(n uint16) [4]byte {
	const base = 0x30
	return [4]byte{base + byte(n>>12), base + byte(n>>8&15), base + byte(n>>4&15), base + byte(n&15)}
}

// requestID is GS ( H, function 48: report id when all before it is printed.
func requestID(id [4]byte) []byte {
	return []byte{0x1D, '(', 'H', 6, 0, 48, 48, id[0], id[1], id[2], id[3]}
}

// link is one connection with its reader.
type link struct {
	conn net.Conn
	in   chan reply // closed when the printer hangs up
	stop chan struct{}
	done chan struct{}
}

// reply is one answer: a status byte or a process id.
type reply struct {
	status byte
	id     [4]byte
	isID   bool
}

func (p *Printer) dial(ctx context.Context) (*link, error) {
	d := net.Dialer{Timeout: p.times.Status}
	c, err := d.DialContext(ctx, p.network, p.address)
	if err != nil {
		return nil, err
	}
	l := &link{conn: c, in: make(chan reply), stop: make(chan struct{}), done: make(chan struct{})}
	go l.read()
	return l, nil
}

// close hangs up and waits for the reader.
func (l *link) close() {
	close(l.stop)
	_ = l.conn.Close() // nothing is left to be said
	<-l.done
}

func (l *link) read() {
	defer close(l.done)
	defer close(l.in)
	var d decoder
	buf := make([]byte, 64)
	for {
		n, err := l.conn.Read(buf)
		for _, c := range buf[:n] {
			r, ok := d.next(c)
			if !ok {
				continue
			}
			select {
			case l.in <- r:
			case <-l.stop:
				return
			}
		}
		if err != nil {
			return
		}
	}
}

var errClosed = errors.New("escpos: printer hung up")

func (l *link) write(ctx context.Context, p []byte) error {
	if t, ok := ctx.Deadline(); ok {
		if err := l.conn.SetWriteDeadline(t); err != nil {
			return err
		}
	}
	_, err := l.conn.Write(p)
	return err
}

// ask sends DLE EOT n and waits for one status byte.
func (l *link) ask(ctx context.Context, n byte, wait time.Duration) (byte, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	if err := l.write(ctx, []byte{0x10, 0x04, n}); errors.Is(err, os.ErrDeadlineExceeded) {
		return 0, err
	} else if err != nil {
		return 0, errors.Join(errClosed, err)
	}
	for {
		select {
		case r, ok := <-l.in:
			if !ok {
				return 0, errClosed
			}
			if !r.isID {
				return r.status, nil
			}
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// state puts the four status bytes together; the worst one counts.
func (l *link) state(ctx context.Context, wait time.Duration) device.PrinterState {
	var b [5]byte
	for n := byte(1); n <= 4; n++ {
		v, err := l.ask(ctx, n, wait)
		if err != nil {
			return stateOf(err)
		}
		b[n] = v
	}
	return judge(b[1], b[2], b[3], b[4])
}

func stateOf(err error) device.PrinterState {
	if errors.Is(err, errClosed) {
		return device.PrinterOffline
	}
	return device.PrinterUnknown
}

// judge reads the four bytes of DLE EOT 1 to 4.
func judge(printer, offline, fault, roll byte) device.PrinterState {
	switch {
	case fault&0x08 != 0:
		return device.PrinterCutter
	case roll&0x60 != 0 || offline&0x20 != 0:
		return device.PrinterPaperOut
	case fault&0x64 != 0 || offline&0x40 != 0:
		return device.PrinterJam
	case printer&0x08 != 0 || offline&0x04 != 0:
		return device.PrinterOffline
	case roll&0x0C != 0:
		return device.PrinterPaperLow
	}
	return device.PrinterReady
}

// await waits for the confirmation of id, asking for faults meanwhile.
func (l *link) await(ctx context.Context, id [4]byte, t Times, last device.PrinterState) (device.JobState, device.PrinterState) {
	poll := time.NewTicker(t.Poll)
	defer poll.Stop()
	// statuses in the order in which they were asked: 1 to 4, again and again
	var b [5]byte
	asked, got := byte(0), byte(0)
	var since time.Time // the open question
	for {
		select {
		case <-ctx.Done():
			// The bytes were taken, no fault was reported, nothing was confirmed.
			if asked != got && time.Since(since) >= t.Status {
				last = device.PrinterUnknown // it stopped answering
			}
			return device.JobSent, last
		case <-poll.C:
			if asked != got {
				continue // the last question is still open
			}
			asked, got, since = 4, 0, time.Now()
			err := l.write(ctx, []byte{0x10, 4, 1, 0x10, 4, 2, 0x10, 4, 3, 0x10, 4, 4})
			if errors.Is(err, os.ErrDeadlineExceeded) {
				continue // the job's time is over; ctx says so next
			}
			if err != nil {
				return device.JobFailed, device.PrinterOffline
			}
		case r, ok := <-l.in:
			switch {
			case !ok:
				return device.JobFailed, device.PrinterOffline
			case r.isID && r.id == id:
				return device.JobPresented, last
			case r.isID || got == asked:
				continue // an older job's, or a status nobody asked for
			}
			got++
			b[got] = r.status
			if got < 4 {
				continue
			}
			last = judge(b[1], b[2], b[3], b[4])
			if !prints(last) {
				return device.JobFailed, last
			}
		}
	}
}

// decoder cuts the printer's bytes into replies. Status bytes have bits 1 and 4
// set and bits 0 and 7 clear; a process id response is 37h 22h, four bytes, 00h.
type decoder struct {
	frame [7]byte
	n     int
}

func (d *decoder) next(c byte) (reply, bool) {
	if d.n == 0 {
		if c == 0x37 {
			d.frame[0], d.n = c, 1
			return reply{}, false
		}
		return reply{status: c}, c&0x93 == 0x12
	}
	d.frame[d.n] = c
	d.n++
	if d.n == 2 && c != 0x22 {
		d.n = 0
		return reply{}, false
	}
	if d.n < len(d.frame) {
		return reply{}, false
	}
	d.n = 0
	return reply{isID: true, id: [4]byte(d.frame[2:6])}, c == 0
}
