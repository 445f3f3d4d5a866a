package acceptor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/shebao-pay/shebao/settlement/bankmsg"
	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/hsmapi"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// Bounds of a connection.
const (
	// frameWait is how long a frame may take from its first byte to its last.
	frameWait = 5 * time.Second
	// idleWait is how long a connection may say nothing: banks echo each minute.
	idleWait = 5 * time.Minute
	// writeWait is how long the bank may take to accept our answers.
	writeWait = 5 * time.Second
	// readBuf holds what one read brings: some two hundred requests.
	readBuf = 64 << 10
	// maxUnderWay bounds the requests of one connection that are not answered yet,
	// beside the profile's in_flight: one read's worth. Each costs some 7 KiB.
	maxUnderWay = 256
	// writeMost is how many answers go out in one write: under 64 KiB.
	writeMost = 128
	// hsmWait bounds one call of the HSM process.
	hsmWait = 5 * time.Second
	// noticeDays is how long a notice made by an inquiry is valid.
	noticeDays = 30
	// acceptWait is how long a failed Accept rests before the next: out of file
	// descriptors, for one, is no reason to end.
	acceptWait = 100 * time.Millisecond
	// maxTellers bounds the tellers whose inquiries are counted; beyond it all
	// new ones share one allowance.
	maxTellers = 10_000
)

// Ledger takes the commands of banks and answers their questions.
type Ledger interface {
	Submit(c ledgerapi.Command, actor si.Actor, done func(ledgerapi.Result, error))
	NoticeByNo(no si.NoticeNo, on si.BusinessDate) (ledgerapi.NoticeView, bool)
	Payment(id si.PaymentID) (ledgerapi.Payment, bool)
}

// Persons finds whom an inquiry is about.
type Persons interface {
	Person(id si.Hash) (ledgerapi.Person, bool)
	PersonByNo(no si.PersonNo) (ledgerapi.Person, bool)
}

// Codes makes and checks message authentication codes in the HSM process, and
// takes the keys that a bank hands over.
type Codes interface {
	MAC(ctx context.Context, jobs []hsmapi.MACJob) error
	ImportDE62(ctx context.Context, r hsmapi.ImportDE62) (hsmapi.WorkingKeys, error)
	ImportTR31(ctx context.Context, r hsmapi.ImportTR31) (hsmapi.ImportedKey, error)
}

// Names hashes ID numbers and opens names, in the HSM process.
type Names interface {
	HashIDs(ctx context.Context, ids []si.IDNumber) ([]si.Hash, error)
	OpenPerson(ctx context.Context, blob []byte) (hsmapi.PersonView, error)
}

// Config is one bank's server.
type Config struct {
	Profile *profile.Profile
	Ledger  Ledger
	Persons Persons
	Codes   Codes
	Names   Names
	// NotWritten tells of an error of Submit whether nothing was written: the
	// bank is then answered 96 and asks again later. Every other error is an
	// unknown outcome, of which nothing is said. Nil takes every error for that.
	NotWritten func(error) bool
	// Current returns nil when what Ledger is asked now is as new as anything that
	// was answered; otherwise an inquiry ends the connection, and the bank asks the
	// node that leads. Nil is for a node that has no others.
	Current func() error
	// Open is the business date that is open for the bank: the date by which an
	// inquiry is reckoned, as the ledger reckons the payment.
	Open func(si.Bank) si.BusinessDate
	Now  func() time.Time
}

// Reason is why a connection ended.
type Reason uint8

// The reasons.
const (
	PeerClosed  Reason = iota // the bank hung up
	BadFrame                  // a frame or message against the rules
	SlowFrame                 // a frame took longer than frameWait
	Idle                      // nothing for idleWait
	SlowWriter                // the bank did not take our answers
	OutcomeOpen               // a commit ended without a known outcome
	HSMAway                   // codes could not be checked or made
	Full                      // one connection more than the profile allows
	Stopping                  // this node ends
	NotLeading                // another node may lead
	reasons
)

var reasonNames = [reasons]string{"peer_closed", "bad_frame", "slow_frame", "idle", "slow_writer", "outcome_open", "hsm_away", "full", "stopping", "not_leading"}

// String names the reason as metrics do.
func (r Reason) String() string {
	if r >= reasons {
		return "reason(?)"
	}
	return reasonNames[r]
}

// Stats are counters since the start.
type Stats struct {
	Connections   int64 // open now
	Requests      uint64
	Answers       uint64
	Payments      uint64 // answered 00, repeats included
	BadCodes      uint64
	Writes        uint64
	Ended         [reasons]uint64 // connections, by Reason
	InquiryDenied uint64          // over the teller's allowance
	AcceptFailed  uint64
}

// Server is the ISO 8583 server of one bank.
type Server struct {
	cfg   Config
	codec *bankmsg.Codec
	prof  *profile.Profile
	waits waits
	quit  chan struct{} // closed by Close

	open     atomic.Int64
	requests atomic.Uint64
	answers  atomic.Uint64
	payments atomic.Uint64
	bad      atomic.Uint64
	writes   atomic.Uint64
	denied   atomic.Uint64
	failed   atomic.Uint64
	ended    [reasons]atomic.Uint64

	mu      sync.Mutex
	conns   map[*conn]struct{}
	tellers map[string]*rate.Limiter
	closed  bool
	work    sync.WaitGroup
}

// waits are the bounds of time; tests have shorter ones.
type waits struct{ frame, idle, write, hsm time.Duration }

// New compiles the bank's profile into a server.
func New(cfg Config) (*Server, error) {
	if cfg.Profile == nil || !cfg.Profile.BankInitiated {
		return nil, errors.New("acceptor: a profile with bank_initiated is needed")
	}
	codec, err := bankmsg.Compile(cfg.Profile)
	if err != nil {
		return nil, fmt.Errorf("acceptor: %w", err)
	}
	return &Server{
		cfg: cfg, codec: codec.For(bankmsg.HubServer), prof: cfg.Profile,
		waits: waits{frame: frameWait, idle: idleWait, write: writeWait, hsm: hsmWait}, quit: make(chan struct{}),
		conns: map[*conn]struct{}{}, tellers: map[string]*rate.Limiter{},
	}, nil
}

// Serve takes connections until the listener closes; that is an error unless
// Close was called first. Any other failure to accept is counted and tried again.
func (s *Server) Serve(l net.Listener) error {
	for {
		nc, err := l.Accept()
		if err == nil {
			s.begin(nc)
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			select {
			case <-s.quit:
				return nil
			default:
				return fmt.Errorf("acceptor: bank %s: %w", s.prof.Code, err)
			}
		}
		s.failed.Add(1)
		select {
		case <-s.quit:
			return nil
		case <-time.After(acceptWait):
		}
	}
}

// today is the date by which the ledger reckons a payment that comes now.
func (s *Server) today() si.BusinessDate { return s.cfg.Open(s.prof.Number) }

// begin starts a connection, unless there are as many as may be.
func (s *Server) begin(nc net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.conns) >= s.prof.Limits.Connections {
		s.ended[Full].Add(1)
		_ = nc.Close() // there is nothing to tell in this protocol
		return
	}
	c := newConn(s, nc)
	s.conns[c] = struct{}{}
	s.open.Add(1)
	s.work.Go(func() {
		c.run()
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
		s.open.Add(-1)
	})
}

// Close ends every connection after the answers under way and waits for them.
// The listener is the caller's to close afterwards, which ends Serve.
func (s *Server) Close() {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.quit)
	}
	for c := range s.conns {
		c.end(Stopping)
	}
	s.mu.Unlock()
	s.work.Wait()
}

// Stats reads the counters.
func (s *Server) Stats() Stats {
	st := Stats{
		Connections: s.open.Load(), Requests: s.requests.Load(), Answers: s.answers.Load(), Payments: s.payments.Load(),
		BadCodes: s.bad.Load(), Writes: s.writes.Load(), InquiryDenied: s.denied.Load(), AcceptFailed: s.failed.Load(),
	}
	for i := range s.ended {
		st.Ended[i] = s.ended[i].Load()
	}
	return st
}

// mayInquire takes one inquiry by ID number from the teller's allowance.
func (s *Server) mayInquire(teller string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, ok := s.tellers[teller]
	if !ok {
		if len(s.tellers) >= maxTellers {
			teller = ""
		}
		perMinute := s.prof.Limits.InquiryPerMin
		if l, ok = s.tellers[teller]; !ok {
			l = rate.NewLimiter(rate.Limit(perMinute)/60, perMinute)
			s.tellers[teller] = l
		}
	}
	if l.AllowN(s.cfg.Now(), 1) {
		return true
	}
	s.denied.Add(1)
	return false
}
