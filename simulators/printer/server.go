package printer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// Fault is what is wrong with the printer.
type Fault uint8

// The faults.
const (
	None     Fault = iota
	PaperLow       // prints, and says that the roll is near its end
	PaperOut       // prints nothing and says so
	Jam            // stops after half of the next document and says so
	Cutter         // prints, the blade does not move, and says so
	Offline        // hangs up on everyone
	Silent         // prints and never answers: nobody knows
)

// String names the fault.
func (f Fault) String() string {
	names := [...]string{"none", "paper-low", "paper-out", "jam", "cutter", "offline", "silent"}
	if int(f) < len(names) {
		return names[f]
	}
	return "unknown"
}

// Limits.
const (
	// maxJob is the printer's buffer; a host that sends more is cut off.
	maxJob = 128 << 10
	// maxPapers is how many strips are kept, the newest ones.
	maxPapers = 50
	// maxConns bounds the hosts that are connected at one time.
	maxConns = 8
)

// Strip is a paper that came out.
type Strip struct {
	No    int // counts from 1
	At    time.Time
	Paper Paper
	Whole bool // false: it stopped half way
}

// Server is the printer on a socket. Its zero value is not ready: use New.
type Server struct {
	now     func() time.Time
	changed func()

	mu     sync.Mutex
	fault  Fault
	papers []Strip
	count  int
	bad    int // documents that broke the command rules
	conns  map[net.Conn]struct{}
	wg     sync.WaitGroup
}

// New makes a printer. now dates the strips; changed, when not nil, is called
// after each strip and each change of fault, outside the printer's lock.
func New(now func() time.Time, changed func()) *Server {
	if changed == nil {
		changed = func() {}
	}
	return &Server{now: now, changed: changed, conns: map[net.Conn]struct{}{}}
}

// Fault answers what is wrong.
func (s *Server) Fault() Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fault
}

// SetFault makes the printer faulty or sound.
func (s *Server) SetFault(f Fault) {
	s.mu.Lock()
	s.fault = f
	if f == Offline {
		for c := range s.conns {
			_ = c.Close() // the host sees its end
		}
	}
	s.mu.Unlock()
	s.changed()
}

// Papers answers the strips that came out, oldest first.
func (s *Server) Papers() []Strip {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Strip(nil), s.papers...)
}

// Refused counts documents that broke the command rules.
func (s *Server) Refused() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bad
}

// Clear tears the paper off.
func (s *Server) Clear() {
	s.mu.Lock()
	s.papers = nil
	s.mu.Unlock()
	s.changed()
}

// Serve answers hosts on l until ctx ends, then closes l and every connection
// and waits for them.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	stop := context.AfterFunc(ctx, func() {
		_ = l.Close()
		s.mu.Lock()
		defer s.mu.Unlock()
		for c := range s.conns {
			_ = c.Close()
		}
	})
	defer stop()
	defer s.wg.Wait()
	for {
		c, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			return err
		}
		if !s.admit(ctx, c) {
			_ = c.Close()
			continue
		}
		s.wg.Go(func() {
			s.serve(c)
			s.mu.Lock()
			delete(s.conns, c)
			s.mu.Unlock()
			_ = c.Close()
		})
	}
}

func (s *Server) admit(ctx context.Context, c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fault == Offline || len(s.conns) >= maxConns || ctx.Err() != nil {
		return false
	}
	s.conns[c] = struct{}{}
	return true
}

// serve reads one host: real-time requests (DLE EOT n) are answered at once,
// everything else is buffered until a cut or a process id ends a document.
func (s *Server) serve(c net.Conn) {
	var job []byte
	buf := make([]byte, 4096)
	for {
		n, err := c.Read(buf)
		job = append(job, buf[:n]...)
		job = s.realTime(c, job)
		if len(job) > maxJob {
			return
		}
		job = s.documents(c, job)
		if err != nil {
			return
		}
	}
}

// realTime answers and removes the status requests.
func (s *Server) realTime(c io.Writer, job []byte) []byte {
	for {
		i := bytes.Index(job, []byte{0x10, 0x04})
		if i < 0 || i+2 >= len(job) {
			return job
		}
		n := job[i+2]
		job = append(job[:i:i], job[i+3:]...)
		if f := s.Fault(); f != Silent {
			_, _ = c.Write([]byte{Status(f, n)}) // a host that left reads nothing
		}
	}
}

// Status is the answer to DLE EOT n. Bits 1 and 4 are always set; the others are
// those of the ESC/POS real-time status table.
func Status(f Fault, n byte) byte {
	const fixed = 0x12
	switch {
	case n == 1 && (f == PaperOut || f == Jam || f == Cutter):
		return fixed | 0x08 // off line
	case n == 2 && f == PaperOut:
		return fixed | 0x20 // stopped by paper end
	case n == 2 && (f == Jam || f == Cutter):
		return fixed | 0x40 // error
	case n == 3 && f == Jam:
		return fixed | 0x04 // mechanical error
	case n == 3 && f == Cutter:
		return fixed | 0x08
	case n == 4 && f == PaperOut:
		return fixed | 0x6C // near end and end
	case n == 4 && f == PaperLow:
		return fixed | 0x0C
	}
	return fixed
}

// processID asks to be told when everything before it is printed: GS ( H,
// function 48.
var processID = []byte{0x1D, '(', 'H', 6, 0, 48, 48}

// documents prints what is complete and returns the rest. A document ends with a
// process id request.
func (s *Server) documents(c io.Writer, job []byte) []byte {
	for {
		i := bytes.Index(job, processID)
		if i < 0 || i+len(processID)+4 > len(job) {
			return job
		}
		end := i + len(processID) + 4
		doc := job[:end]
		job = job[end:]
		s.print(c, doc)
	}
}

// print draws one document as the fault allows and reports its process id.
func (s *Server) print(c io.Writer, doc []byte) {
	paper, ids, err := interpret(doc)
	s.mu.Lock()
	f := s.fault
	if err != nil {
		s.bad++
	}
	strip := Strip{No: s.count + 1, At: s.now(), Paper: paper, Whole: err == nil}
	out := f != PaperOut && f != Offline && len(paper.Lines) > 0
	if f == Jam {
		strip.Whole = false
		strip.Paper = Paper{Lines: paper.Lines[:len(paper.Lines)/2]}
	}
	if f == Cutter {
		strip.Paper.Cut = false
	}
	if out {
		s.count++
		s.papers = append(s.papers, strip)
		if len(s.papers) > maxPapers {
			s.papers = s.papers[1:]
		}
	}
	s.mu.Unlock()
	if out {
		s.changed()
	}
	if err == nil && (f == None || f == PaperLow) {
		for _, id := range ids {
			_, _ = c.Write(append([]byte{0x37, 0x22}, id[0], id[1], id[2], id[3], 0)) // a host that left reads nothing
		}
	}
}
