package world

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// Cells counts what happened: each fault, and each fault by the state of the
// payment that it met.
type Cells struct {
	Faults [faultEnd]uint64
	Met    [faultEnd][ledgerapi.PayTombstone + 1]uint64
}

// wanted are the cells that a run must have filled: the states in which each
// fault can meet a payment and has to.
var wanted = func() (all [faultEnd][]ledgerapi.PayState) {
	const (
		none, reserved, reversing, posted = ledgerapi.PayNone, ledgerapi.PayReserved, ledgerapi.PayReversing, ledgerapi.PayPosted
	)
	set := func(states []ledgerapi.PayState, faults ...Fault) {
		for _, f := range faults {
			all[f] = states
		}
	}
	set([]ledgerapi.PayState{reserved, reversing}, RequestLost, ReplyLost, ReplyLate, ReplyTwice, RequestTwice, Tampered, BadCode,
		StrangeCode, Swapped, LinkCut, NoConnection, BankSilent, BankSlow, BankCrash, LogSlow, HubCrash, HubPause, ClockJump)
	set([]ledgerapi.PayState{reserved}, BankForgets, BankDoubles, BankRefuses)
	set([]ledgerapi.PayState{reserved, reversing, posted}, PauseOnCommit)
	set([]ledgerapi.PayState{reversing}, BankBusy)
	set([]ledgerapi.PayState{none, reserved, reversing}, HSMAway)
	set([]ledgerapi.PayState{none, reserved, reversing, posted}, LogUnsent, LogUnknown, LogTwice, TerminalLoss, AskLost, AskTwice)
	set([]ledgerapi.PayState{posted}, CardNo)
	set([]ledgerapi.PayState{none}, SameDue)
	set([]ledgerapi.PayState{none, reserved}, Impatience)
	set([]ledgerapi.PayState{none, posted}, CounterRepeats, CounterReverses)
	return all
}()

// Below lists the wanted cells that happened less than least times.
func (c *Cells) Below(least uint64) (cells []string) {
	for f := FaultNone + 1; f < faultEnd; f++ {
		for _, s := range wanted[f] {
			if c.Met[f][s] < least {
				cells = append(cells, fmt.Sprintf("%s × %s: %d of %d", f, s, c.Met[f][s], least))
			}
		}
	}
	return cells
}

// Least is the wanted cell that happened least, and how often.
func (c *Cells) Least() (cell string, n uint64) {
	for f := FaultNone + 1; f < faultEnd; f++ {
		for _, s := range wanted[f] {
			if cell == "" || c.Met[f][s] < n {
				cell, n = fmt.Sprintf("%s × %s", f, s), c.Met[f][s]
			}
		}
	}
	return cell, n
}

// Counts gives the counts by name: each fault, and each fault by the state of
// the payments that it met.
func (c *Cells) Counts() (faults map[string]uint64, met map[string]map[string]uint64) {
	faults, met = map[string]uint64{}, map[string]map[string]uint64{}
	for f := FaultNone + 1; f < faultEnd; f++ {
		faults[f.String()] = c.Faults[f]
		states := map[string]uint64{}
		for s, n := range c.Met[f] {
			if n > 0 {
				states[ledgerapi.PayState(s).String()] = n
			}
		}
		met[f.String()] = states
	}
	return faults, met
}

func (c *Cells) add(o *Cells) {
	for f := range c.Faults {
		c.Faults[f] += o.Faults[f]
		for s := range c.Met[f] {
			c.Met[f][s] += o.Met[f][s]
		}
	}
}

// Day is what came of one seed.
type Day struct {
	Seed       uint64
	Plan       Plan
	Hash       string
	Asked      int // payments that somebody wished for
	Posted     int
	Voided     int
	Reversals  int
	Inquiries  Inquiries
	Scripts    int // told to banks
	Breaks     int // that the match found, each a bank's lie
	Steps      uint64
	Violations []Violation
	Checks     map[string]uint64
	Cells      Cells
}

// Options of one day.
type Options struct {
	Payments int
	Plan     Plan // nil: the seed's own
	// Explain is a payment whose tale Tell is given, line by line.
	Explain si.PaymentID
	// Without switches an invariant off, to see that it matters.
	Without string
	Tell    func(line string)
	// Export is given the day's records at its end. PlayAll calls it from several
	// goroutines.
	Export func(seed uint64, tables []Table) error
}

// Play plays one seed's day.
func Play(seed uint64, o Options) (Day, error) {
	plan := o.Plan
	if plan == nil {
		plan = PlanOf(seed)
	}
	w, err := newWorld(seed, plan)
	if err != nil {
		return Day{}, err
	}
	w.tale, w.without = tale{id: o.Explain, tell: o.Tell}, o.Without
	w.safely(func() { w.live(o.Payments) })
	w.epilogue()
	if o.Export != nil {
		tables, err := w.export()
		if err != nil {
			w.violate("I4", si.PaymentID{}, "%v", err)
		} else if err := o.Export(seed, tables); err != nil {
			return Day{}, fmt.Errorf("seed %d: %w", seed, err)
		}
	}
	return Day{Seed: seed, Plan: plan, Hash: w.hash(), Asked: w.asked, Posted: w.truth.posted, Voided: w.truth.voided,
		Reversals: w.truth.reversals, Inquiries: w.truth.inquiries, Scripts: w.truth.scripts, Breaks: len(w.truth.breaks), Steps: w.k.steps,
		Violations: w.found, Checks: w.checks, Cells: w.cells}, nil
}

// safely makes a violation of a panic: a core that panics has broken its first
// promise.
func (w *World) safely(live func()) {
	defer func() {
		if r := recover(); r != nil {
			w.violate("panic", si.PaymentID{}, "%v", r)
		}
	}()
	live()
}

// Sum is what came of many seeds.
type Sum struct {
	Seeds, Payments, Posted, Voided, Reversals, Breaks int
	Inquiries                                          Inquiries
	Scripts                                            int
	Hours                                              float64
	Violations                                         []Violation
	Checks                                             map[string]uint64
	Cells                                              Cells
	Hash                                               string   // over the days' hashes in the order of seeds
	Hashes                                             []string // of the days
}

// dayHours is how long one day is.
const dayHours = float64(dayEnd) / float64(3600*1e9)

const gcPercent = 400

// PlayAll plays the seeds from a to b, as many at once as there are processors,
// and adds up. tell is called after each, in no order.
func PlayAll(ctx context.Context, a, b uint64, o Options, tell func(done int)) (Sum, error) {
	// A day is short and small; collecting its garbage less often is a tenth of
	// the time.
	defer debug.SetGCPercent(debug.SetGCPercent(gcPercent))
	n := int(b - a + 1)
	days := make([]Day, n)
	errs := make([]error, n)
	next := make(chan int)
	var workers sync.WaitGroup
	var mu sync.Mutex
	done := 0
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for i := range next {
				days[i], errs[i] = Play(a+uint64(i), o)
				mu.Lock()
				done++
				tell(done)
				mu.Unlock()
			}
		})
	}
	var err error
	for i := 0; i < n && err == nil; i++ {
		select {
		case next <- i:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	close(next)
	workers.Wait()
	if err != nil {
		return Sum{}, fmt.Errorf("world: %w", err)
	}
	return addUp(days, errs)
}

// Add adds the seeds that were played after those of s. The hash is that of the
// hashes so far.
func (s *Sum) Add(o *Sum) {
	s.add(o)
	s.Hashes = append(s.Hashes, o.Hashes...)
	s.Hash = hashOf(s.Hashes)
}

func (s *Sum) add(o *Sum) {
	s.Seeds += o.Seeds
	s.Payments += o.Payments
	s.Posted += o.Posted
	s.Voided += o.Voided
	s.Reversals += o.Reversals
	s.Breaks += o.Breaks
	s.Inquiries.Posted += o.Inquiries.Posted
	s.Inquiries.Voided += o.Inquiries.Voided
	s.Inquiries.Reversed += o.Inquiries.Reversed
	s.Scripts += o.Scripts
	s.Hours += o.Hours
	s.Violations = append(s.Violations, o.Violations...)
	if s.Checks == nil {
		s.Checks = map[string]uint64{}
	}
	for k, v := range o.Checks {
		s.Checks[k] += v
	}
	s.Cells.add(&o.Cells)
}

func addUp(days []Day, errs []error) (Sum, error) {
	s := Sum{Hours: dayHours * float64(len(days)), Checks: map[string]uint64{}}
	for i := range days {
		if errs[i] != nil {
			return Sum{}, errs[i]
		}
		d := &days[i]
		s.add(&Sum{Seeds: 1, Payments: d.Asked, Posted: d.Posted, Voided: d.Voided, Reversals: d.Reversals, Inquiries: d.Inquiries, Scripts: d.Scripts,
			Breaks: d.Breaks, Violations: d.Violations, Checks: d.Checks, Cells: d.Cells})
		s.Hashes = append(s.Hashes, d.Hash)
	}
	s.Hash = hashOf(s.Hashes)
	return s, nil
}

func hashOf(hashes []string) string {
	h := sha256.New()
	for _, x := range hashes {
		_, _ = h.Write([]byte(x))
	}
	return hex.EncodeToString(h.Sum(nil))
}
