package stage

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/shebao-pay/shebao/settlement/operator"
	"github.com/shebao-pay/shebao/simulators/bankhost"
	"github.com/shebao-pay/shebao/simulators/chipcard"
	"github.com/shebao-pay/shebao/simulators/load"
	"github.com/shebao-pay/shebao/simulators/proxy"
)

// Soak says what a run under faults is: both paths at once, over lines and at
// banks that misbehave, and then a healthy time in which everything must end.
type Soak struct {
	Duration time.Duration // of payments being begun; the last sixth is healthy
	Rate     int           // payments a second, half of them at terminals
	Each     int           // of ten thousand frames meet each fault; of requests at banks twice as many
	Least    uint64        // how often each fault must have happened
	// Final is how long after the last payment everything may take to end.
	Final time.Duration
	Tell  func(string)
}

// SoakBanks are the banks that take part. At boc "no such payment" proves
// nothing, so that a payment which never reached the bank stays held until two
// persons end it by the bank's books.
var SoakBanks = []string{"rcb", "icbc", "ccb", "boc"}

// counterBank is whose counters pay: the load generator speaks for it.
const counterBank = "ccb"

// SoakResult is what a run came to. The ledger's side is added by whoever can
// look into it.
type SoakResult struct {
	Seconds    float64           `json:"seconds"`
	Terminals  uint64            `json:"terminal_payments"`
	Counters   uint64            `json:"counter_payments"`
	Refused    map[string]uint64 `json:"refused,omitempty"` // by code or reason
	Unanswered uint64            `json:"unanswered"`
	AskedAgain uint64            `json:"asked_again"`
	Faults     map[string]uint64 `json:"faults"` // how often each happened
	FinalMS    int64             `json:"final_ms"`
	Pending    int               `json:"pending"` // at the end
	Decided    map[string]int    `json:"decided"` // ended by two persons, by ending
	BankFen    map[string]int64  `json:"bank_fen"`
	// Of settled, in the middle and when everything has ended.
	Goroutines [2]int  `json:"goroutines"`
	MemoryMiB  [2]int  `json:"memory_mib"`
	P99        float64 `json:"counter_p99_ms"`

	Words []string `json:"words,omitempty"` // the first troubles of the payers in words
}

// What may be left over when everything has ended: some keep-alives, and memory
// that the system has not taken back, beside what each payment takes in the
// ledger's memory, its log's cache included.
const (
	goroutinesOver = 24
	memoryOverMiB  = 96
	bytesPerPay    = 4096
)

// Flat tells whether goroutines and memory of settled are where they were.
func (r *SoakResult) Flat() error {
	pays := int(r.Terminals+r.Counters) * bytesPerPay >> 20 // #nosec G115 -- payments of a run
	if r.Goroutines[1] > r.Goroutines[0]+goroutinesOver {
		return fmt.Errorf("settled has %d goroutines when everything has ended and had %d under load", r.Goroutines[1], r.Goroutines[0])
	}
	if r.MemoryMiB[1] > r.MemoryMiB[0]+memoryOverMiB+pays {
		return fmt.Errorf("settled takes %d MiB when everything has ended and took %d under load", r.MemoryMiB[1], r.MemoryMiB[0])
	}
	return nil
}

// lane is what both paths of a soak add to.
type lane struct {
	mu  sync.Mutex
	res SoakResult
	err error
}

func (l *lane) add(r *load.Report, terminal bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = errors.Join(l.err, err)
	if terminal {
		l.res.Terminals += r.Payments
	} else {
		l.res.Counters, l.res.P99 = l.res.Counters+r.Payments, r.P99
	}
	l.res.Unanswered += r.Unanswered
	l.res.AskedAgain += r.AskedAgain
	for code, n := range r.Refused {
		l.res.Refused[code] += n
	}
	l.res.Words = append(l.res.Words, r.Faults...)
}

// Soak runs on a stage with Lines and stops settled at the end. It answers the
// payments that counters were told are paid.
func (s *Stage) Soak(ctx context.Context, k Soak) (SoakResult, []load.Ack, error) {
	if len(s.Lines) == 0 {
		return SoakResult{}, nil, errors.New("stage: a soak needs lines")
	}
	l := &lane{res: SoakResult{Refused: map[string]uint64{}, Faults: map[string]uint64{}, BankFen: map[string]int64{}, Decided: map[string]int{}}}
	var acks []load.Ack
	var mu sync.Mutex
	began := time.Now()
	var paths sync.WaitGroup
	paths.Go(func() {
		r, err := s.soakCounters(ctx, k, func(a load.Ack) {
			mu.Lock()
			defer mu.Unlock()
			acks = append(acks, a)
		})
		l.add(&r, false, err)
	})
	paths.Go(func() {
		r, err := s.soakTerminals(ctx, k)
		l.add(&r, true, err)
	})
	s.storm(ctx, k, l)
	decided, leave := s.openDesk(ctx)
	paths.Wait()
	if l.err != nil {
		return l.res, acks, errors.Join(l.err, leave())
	}
	last := time.Now()
	err := errors.Join(s.allFinal(ctx, k.Final, &l.res), leave())
	l.res.Decided = decided
	l.res.FinalMS = time.Since(last).Milliseconds()
	l.res.Seconds = time.Since(began).Seconds()
	l.res.Goroutines[1], l.res.MemoryMiB[1] = s.vitals()
	for _, code := range SoakBanks {
		l.res.BankFen[code] = int64(s.Banks[code].Total())
	}
	for _, a := range acks {
		l.res.BankFen[counterBank] += int64(a.Amount)
	}
	s.StopHub()
	for name, n := range l.res.Faults {
		if n < k.Least {
			err = errors.Join(err, fmt.Errorf("the fault %s happened %d times, wanted %d: take more time or a higher rate", name, n, k.Least))
		}
	}
	if l.res.Unanswered > 0 {
		err = errors.Join(err, fmt.Errorf("%d payments have no answer", l.res.Unanswered))
	}
	return l.res, acks, errors.Join(err, l.res.Flat())
}

// storm lets the faults begin after a sixth of the time and end before the last.
func (s *Stage) storm(ctx context.Context, k Soak, l *lane) {
	part := k.Duration / 6
	rest(ctx, part)
	l.res.Goroutines[0], l.res.MemoryMiB[0] = s.vitals()
	var names []string
	for _, f := range bankhost.AllFaults {
		if !f.Lies {
			names = append(names, f.Name)
		}
	}
	count := func(name string) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.res.Faults["bank:"+name]++
	}
	for _, name := range names {
		l.res.Faults["bank:"+name] = 0
	}
	for i, code := range SoakBanks {
		s.SetMood(code, bankhost.Moody(s.cfg.Seed+uint64(i), bankShare*k.Each*len(names), names, count))
	}
	s.SetLines(proxy.Even(k.Each))
	k.Tell("faults begin on every line and at every bank")
	rest(ctx, 4*part)
	s.SetLines(proxy.Plan{})
	for _, code := range SoakBanks {
		s.SetMood(code, nil)
	}
	k.Tell("everything is healthy again")
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range s.Lines {
		for kind, n := range line.Counts() {
			l.res.Faults["line:"+kind.String()] += n
		}
	}
}

func rest(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// vitals are settled's goroutines and memory.
func (s *Stage) vitals() (goroutines, mib int) {
	return int(metric(s.cfg.Ports.Admin, "go_goroutines")), int(metric(s.cfg.Ports.Admin, "process_resident_memory_bytes")) >> 20
}

// soakCounters pays notices at the counters of one bank.
func (s *Stage) soakCounters(ctx context.Context, k Soak, onAck func(load.Ack)) (load.Report, error) {
	p, err := s.Bank(counterBank)
	if err != nil {
		return load.Report{}, err
	}
	at, err := s.counterAddr(counterBank)
	if err != nil {
		return load.Report{}, err
	}
	sup := &supply{s: s, low: 1}
	if err := sup.fill(ctx); err != nil {
		return load.Report{}, err
	}
	r, err := load.Run(ctx, load.Config{
		Addrs: []string{at}, Profile: p, Keys: s.keys.bank(p), Links: 8, InFlight: 8, Rate: max(1, k.Rate/2), Duration: k.Duration,
		Next: sup.Next, Grace: k.Final, OnAck: onAck,
	})
	return r, errors.Join(err, sup.err)
}

// soakTerminals has the residents of the banks pay at the terminals, as many a
// second as the rate says.
func (s *Stage) soakTerminals(ctx context.Context, k Soak) (load.Report, error) {
	kiosks, err := s.kiosks()
	if err != nil {
		return load.Report{}, err
	}
	// A visit is some payments: each due is one.
	tick := time.NewTicker(time.Second * duesOfVisit / time.Duration(max(1, k.Rate/2)))
	defer tick.Stop()
	over, cancel := context.WithTimeout(ctx, k.Duration)
	defer cancel()
	var mu sync.Mutex
	turn := 0
	wallets := make([]*wallet, len(SoakBanks))
	for i, code := range SoakBanks {
		wallets[i] = &wallet{s: s, bank: code}
	}
	r, err := load.Terminals(ctx, load.TerminalConfig{
		URLs: []string{"https://" + addr(s.cfg.Ports.Terminals)}, Kiosks: kiosks, Duration: k.Duration, Grace: k.Final,
		NextCard: func() (chipcard.Data, string, bool) {
			select {
			case <-tick.C:
			case <-over.Done():
				return chipcard.Data{}, "", false
			}
			mu.Lock()
			turn++
			w := wallets[turn%len(wallets)]
			mu.Unlock()
			return w.Next()
		},
	})
	for _, w := range wallets {
		err = errors.Join(err, w.err)
	}
	return r, err
}

// bankShare is how many times more often than a frame a request at a bank meets a
// fault: there are fewer of them.
const bankShare = 2

// duesOfVisit is about how many dues a resident owes at the beginning.
const duesOfVisit = 2

// allFinal waits until the hub has no payment without an ending.
func (s *Stage) allFinal(ctx context.Context, within time.Duration, r *SoakResult) error {
	deadline := time.Now().Add(within)
	for {
		var st operator.Status
		if err := s.Operator.Ask(ctx, "/v1/status", nil, &st); err != nil {
			return err
		}
		if r.Pending = st.Pending; st.Pending == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d payments are without an ending %s after the last one began", st.Pending, within)
		}
		rest(ctx, pollFinal)
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}
