package load

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/simulators/bankhost"
)

// Bounds and defaults of a run.
const (
	maxLinks    = 1000 // a profile allows no more connections
	maxInFlight = 256  // the server lets in no more on one link
	answerWait  = 10 * time.Second
	reconnect   = 20 * time.Millisecond
	defaultEnd  = 30 * time.Second
	// repeatEvery is one payment in so many that is asked for a second time.
	repeatEvery = 1000
	// keepLast answered payments of a link are asked for again after it broke.
	keepLast = 16
	// maxFaults texts of errors are kept; the rest is counted.
	maxFaults = 10
)

// Config says what a run is.
type Config struct {
	Addrs   []string // of the ISO 8583 servers of the hub's nodes; one of them leads
	Profile *profile.Profile
	Keys    bankhost.Keys
	// Links are kept, each with up to InFlight payments under way.
	Links, InFlight int
	// Rate is payments a second over all links; 0 is a closed loop.
	Rate int
	// Duration is how long new payments are begun. A run also ends when Next has
	// no more.
	Duration time.Duration
	// Grace is how long after that payments may wait for their answers, a server
	// that starts again included; 0 takes 30 s.
	Grace time.Duration
	// Next gives a notice that nobody has paid, with its amount; false when there
	// are no more. Any link's goroutine calls it.
	Next func() (si.NoticeNo, si.Fen, bool)
	// OnAck hears of each payment that the server said is paid, once. Any link's
	// goroutine calls it, and waits.
	OnAck func(Ack)
	// OnBegin hears that all links are there and payments begin.
	OnBegin func()
	// NoReceipts is for a server without a ledger, whose receipts are empty.
	NoReceipts bool
}

// Ack is one payment that the server said is paid.
type Ack struct {
	Payment si.PaymentID // in the ledger
	Notice  si.NoticeNo
	Amount  si.Fen
	Receipt si.ReceiptNo
	Serial  uint64 // DE 37
	// Linked is when the connection that carried the answer was made.
	Linked time.Time
}

// Report is what a run came to.
type Report struct {
	Payments   uint64  `json:"payments"` // answered 00
	Seconds    float64 `json:"seconds"`  // from the first request to the last answer
	PerSecond  float64 `json:"per_second"`
	P50        float64 `json:"p50_ms"`
	P99        float64 `json:"p99_ms"`
	P999       float64 `json:"p999_ms"`
	Errors     uint64  `json:"errors"`
	Repeats    uint64  `json:"repeats"`     // asked a second time, same receipt
	AskedAgain uint64  `json:"asked_again"` // without an answer when their link broke
	BegunAgain uint64  `json:"begun_again"` // visits at a terminal that were cut off
	Reconnects uint64  `json:"reconnects"`
	Unanswered uint64  `json:"unanswered"` // at the end of the grace; counted as errors
	// Refused are the answers other than 00, by code; counted as errors.
	Refused map[string]uint64 `json:"refused,omitempty"`
	// Faults are the first errors in words.
	Faults []string `json:"faults,omitempty"`
}

// run is what the links share.
type run struct {
	cfg      Config
	t        *template
	zero     time.Time
	stop     context.Context // ends when no new payment is to begin
	seq      atomic.Uint64
	receipts receipts

	mu      sync.Mutex
	faults  []string
	refused map[string]uint64
}

// Run pays until the duration is over or there is nothing left to pay, and
// until what is under way is answered. It answers an error only when nothing
// could be measured at all; what went wrong with payments is in the report.
func Run(ctx context.Context, cfg Config) (Report, error) {
	if err := cfg.check(); err != nil {
		return Report{}, err
	}
	t, err := newTemplate(cfg.Profile)
	if err != nil {
		return Report{}, err
	}
	stop, cancel := context.WithTimeout(ctx, cfg.Duration)
	defer cancel()
	r := &run{cfg: cfg, t: t, zero: time.Now(), stop: stop, refused: map[string]uint64{}}
	// Serials of different runs differ: seconds of the day's third, then a count.
	r.seq.Store(uint64(r.zero.Unix()%10_000) * 100_000_000)
	links := make([]*link, cfg.Links)
	for i := range links {
		links[i] = newLink(r, i)
		if err := links[i].connect(ctx); err != nil {
			for _, l := range links[:i+1] {
				l.hangUp()
			}
			return Report{}, fmt.Errorf("load: link %d of %d: %w", i+1, cfg.Links, err)
		}
	}
	// The signing on of many links is no part of what is measured.
	cancel()
	r.stop, cancel = context.WithTimeout(ctx, cfg.Duration)
	defer cancel()
	r.zero = time.Now()
	if cfg.OnBegin != nil {
		cfg.OnBegin()
	}
	var wg sync.WaitGroup
	for _, l := range links {
		wg.Go(l.run)
	}
	wg.Wait()
	return r.report(links), nil
}

func (c *Config) check() error {
	set := func(v *time.Duration, def time.Duration) {
		if *v == 0 {
			*v = def
		}
	}
	set(&c.Grace, defaultEnd)
	if c.OnAck == nil {
		c.OnAck = func(Ack) {}
	}
	switch {
	case len(c.Addrs) == 0:
		return errors.New("load: a server's address is needed")
	case c.Profile == nil || c.Next == nil:
		return errors.New("load: a profile and a supply of notices are needed")
	case c.Links < 1 || c.Links > maxLinks:
		return fmt.Errorf("load: %d links; 1 to %d are possible", c.Links, maxLinks)
	case c.Links > c.Profile.Limits.Connections:
		return fmt.Errorf("load: %d links; the profile of %s allows %d connections", c.Links, c.Profile.Code, c.Profile.Limits.Connections)
	case c.InFlight < 1 || c.InFlight > maxInFlight:
		return fmt.Errorf("load: %d in flight; 1 to %d are possible", c.InFlight, maxInFlight)
	case c.Duration <= 0 || c.Rate < 0:
		return errors.New("load: duration and rate must not be negative, and some time is needed")
	}
	return nil
}

// fault counts an error by its words.
func (r *run) fault(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.faults) < maxFaults {
		r.faults = append(r.faults, text)
	}
}

func (r *run) refuse(code string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refused[code]++
}

func (r *run) report(links []*link) Report {
	var all histogram
	out := Report{Refused: maps.Clone(r.refused), Faults: r.faults}
	last := int64(1)
	for _, l := range links {
		all.merge(&l.latency)
		out.Payments += l.paid
		out.Errors += l.errors
		out.Repeats += l.repeats
		out.AskedAgain += l.askedAgain
		out.Reconnects += l.reconnects
		out.Unanswered += l.unanswered
		last = max(last, l.lastAnswer)
	}
	out.Errors += out.Unanswered
	out.Seconds = time.Duration(last).Seconds()
	out.PerSecond = float64(out.Payments) / out.Seconds
	out.P50, out.P99, out.P999 = all.quantile(500), all.quantile(990), all.quantile(999)
	return out
}

// String is the report in lines for a person.
func (r Report) String() string {
	s := fmt.Sprintf("%d payments in %.1f s: %.0f per second; p50 %.2f ms, p99 %.2f ms, p99.9 %.2f ms; %d errors",
		r.Payments, r.Seconds, r.PerSecond, r.P50, r.P99, r.P999, r.Errors)
	if r.Reconnects > 0 {
		s += fmt.Sprintf("\n%d links made again, %d payments asked for again", r.Reconnects, r.AskedAgain)
	}
	for _, f := range r.Faults {
		s += "\n" + f
	}
	return s
}
