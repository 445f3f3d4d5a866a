package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// DirectRun says how long and how hard a Direct pays.
type DirectRun struct {
	// InFlight clients each wait for their answer before they pay again.
	InFlight int
	// Rate is payments a second; 0 is a closed loop.
	Rate     int
	Duration time.Duration
	// Payments ends the run after so many; 0 does not.
	Payments int
	// DayEvery cuts the bank's date over and seals the date before it so often;
	// 0 never does.
	DayEvery time.Duration
	// OnMinute hears how each minute went.
	OnMinute func(Minute)
}

// Minute is what one minute of a direct run came to.
type Minute struct {
	N              int
	Payments       uint64
	PerSecond      float64
	P50, P99, P999 float64 // ms
	Longest        float64 // ms
}

// DirectReport is what a direct run came to.
type DirectReport struct {
	Report
	Assessed uint64 `json:"dues_assessed"` // while it went on
	Days     int    `json:"days_sealed"`
	// CutLongest and SealLongest are the longest answers, in milliseconds, of
	// payments that were under way together with a cutover or a seal.
	CutLongest  float64 `json:"cutover_longest_ms"`
	SealLongest float64 `json:"seal_longest_ms"`
	Longest     float64 `json:"longest_ms"`
}

// directSlot is one client: it has at most one payment under way.
type directSlot struct {
	pay    ledgerapi.Pay
	dues   [1]ledgerapi.DueRef
	from   time.Duration // when it was sent, or fell due
	live   bool          // waits for its answer
	again  bool
	first  si.ReceiptNo // when asked a second time
	result ledgerapi.Result
	err    error
	done   func(ledgerapi.Result, error)
}

// directRun is one run. One goroutine does everything but the answers' arrival.
type directRun struct {
	d     *Direct
	cfg   DirectRun
	zero  time.Time
	slots []directSlot
	free  []int
	marks *marks
	day   si.BusinessDate // of marks

	mu       sync.Mutex
	answered []int
	others   []other
	wake     chan struct{}
	spare    []int

	all, minute histogram
	rep         DirectReport
	begun       int
	due         time.Duration // open loop: when the next payment falls due
	last        time.Duration // last answer
	minutes     int
	longest     time.Duration // of this minute

	assessing int
	act       dayAct
}

// other is the answer to a command that is no payment.
type other struct {
	what   ledgerapi.Command
	result ledgerapi.Result
	err    error
}

// dayAct is a cutover or seal under way, or the one before.
type dayAct struct {
	busy, seal bool
	from, to   time.Duration
	at         time.Duration // when the next is due
}

// Run pays until the time or number is over and everything under way is
// answered. One at a time may be running.
func (d *Direct) Run(ctx context.Context, cfg DirectRun) (DirectReport, error) {
	if cfg.InFlight < 1 || cfg.InFlight > MaxDirectInFlight {
		return DirectReport{}, fmt.Errorf("load: %d in flight; 1 to %d are possible", cfg.InFlight, MaxDirectInFlight)
	}
	if cfg.Duration <= 0 || cfg.Rate < 0 {
		return DirectReport{}, errors.New("load: a direct run needs some time and no negative rate")
	}
	r := &directRun{d: d, cfg: cfg, slots: make([]directSlot, cfg.InFlight), wake: make(chan struct{}, 1)}
	r.act.at = cfg.DayEvery
	r.rep.Refused = map[string]uint64{}
	for i := range r.slots {
		s := &r.slots[i]
		s.done = func(res ledgerapi.Result, err error) {
			s.result, s.err = res, err
			r.hand(i)
		}
		r.free = append(r.free, i)
	}
	r.zero = time.Now()
	for {
		now := time.Since(r.zero)
		r.settle(now)
		over := now >= cfg.Duration || ctx.Err() != nil || cfg.Payments > 0 && r.begun >= cfg.Payments
		if over && len(r.free) == len(r.slots) && r.assessing == 0 && !r.act.busy {
			break
		}
		var wait time.Duration
		if !over {
			r.refill()
			r.turnDay(now)
			wait = r.submit(now)
		}
		r.rest(wait)
	}
	r.endMinute(time.Since(r.zero), true)
	return r.report(), ctx.Err()
}

// hand puts a slot into the list of those that are answered.
func (r *directRun) hand(i int) {
	r.mu.Lock()
	r.answered = append(r.answered, i)
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// send sends a command that is no payment.
func (r *directRun) send(c ledgerapi.Command) {
	r.d.taker.Submit(c, 0, func(res ledgerapi.Result, err error) {
		r.mu.Lock()
		r.others = append(r.others, other{c, res, err})
		r.mu.Unlock()
		select {
		case r.wake <- struct{}{}:
		default:
		}
	})
}

// settle takes the answers that have come.
func (r *directRun) settle(now time.Duration) {
	r.mu.Lock()
	got, others := r.answered, r.others
	r.answered, r.others = r.spare[:0], nil
	r.mu.Unlock()
	r.spare = got
	for _, o := range others {
		if a, ok := o.what.(ledgerapi.Assess); ok {
			r.assessing--
			r.d.made += len(a.Items)
			r.rep.Assessed += uint64(o.result.Count)
			if int(o.result.Count) != len(a.Items) {
				r.fault(fmt.Sprintf("%d persons have %d new dues for %v", len(a.Items), o.result.Count, a.Period))
			}
		} else {
			r.act.busy, r.act.to = false, now
		}
		if o.err != nil || o.result.Code != ledgerapi.OK {
			r.fault(fmt.Sprintf("%T: %s, %v", o.what, o.result.Code, o.err))
		}
	}
	for _, i := range got {
		r.check(i, now)
	}
	r.endMinute(now, false)
}

// check looks at one answer and frees its client, or has it ask again.
func (r *directRun) check(i int, now time.Duration) {
	s := &r.slots[i]
	res := &s.result
	took := now - s.from
	switch {
	case s.err != nil:
		r.fault(fmt.Sprintf("payment %s: %v", s.pay.ID, s.err))
	case s.again && (res.Code != ledgerapi.Exists || res.Receipt != s.first):
		r.fault(fmt.Sprintf("payment %s asked again: %s, receipt %v after %v", s.pay.ID, res.Code, res.Receipt, s.first))
	case s.again:
		r.rep.Repeats++
	case res.Code != ledgerapi.OK:
		r.rep.Refused[res.Code.String()]++
		r.fault(fmt.Sprintf("payment %s of due %d: %s", s.pay.ID, s.dues[0].ID, res.Code))
	case !r.d.null && (res.Total != DirectAmount || !r.fresh(res.Receipt)):
		r.fault(fmt.Sprintf("payment %s: %d fen, receipt %v", s.pay.ID, res.Total, res.Receipt))
	default:
		r.rep.Payments++
		r.last = now
		r.all.add(took)
		r.minute.add(took)
		r.longest = max(r.longest, took)
		r.near(s.from, took, now)
		if !r.d.null && !r.d.only && r.rep.Payments%repeatEvery == 0 {
			s.again, s.first = true, res.Receipt
			r.d.taker.Submit(&s.pay, 0, s.done)
			return
		}
	}
	s.live, s.again = false, false
	r.free = append(r.free, i)
}

// fresh tells whether no other payment has the receipt.
func (r *directRun) fresh(no si.ReceiptNo) bool {
	if r.marks == nil || no.Date != r.day {
		r.marks, r.day = r.d.receipts.of(day{no.Area, no.Date}), no.Date
	}
	return no.Seq != 0 && r.marks.first(no.Seq)
}

// near notes the answer of a payment that was under way beside a day's act.
func (r *directRun) near(from, took, now time.Duration) {
	a := &r.act
	if a.from == 0 || now < a.from || !a.busy && from > a.to {
		return
	}
	ms := float64(took) / float64(time.Millisecond)
	if a.seal {
		r.rep.SealLongest = max(r.rep.SealLongest, ms)
	} else {
		r.rep.CutLongest = max(r.rep.CutLongest, ms)
	}
}

func (r *directRun) fault(text string) {
	r.rep.Errors++
	if len(r.rep.Faults) < maxFaults {
		r.rep.Faults = append(r.rep.Faults, text)
	}
}

// refill assesses more dues when fewer than wanted are open.
func (r *directRun) refill() {
	d := r.d
	for !d.only && !d.null && r.assessing < maxAssessing && d.asked-d.paid < d.keep {
		r.assessing++
		r.send(d.assess())
	}
}

// sealAfter is how long after a cutover the date before it is sealed, if no
// payment of that date is still under way.
const sealAfter = time.Second

// turnDay cuts the bank's date over when it is time, and then seals.
func (r *directRun) turnDay(now time.Duration) {
	a, d := &r.act, r.d
	if r.cfg.DayEvery == 0 || a.busy || now < a.at {
		return
	}
	seal := a.to != 0 && !a.seal
	if seal && r.behind(d.open) {
		return
	}
	a.busy, a.seal, a.from = true, seal, now
	var c ledgerapi.Command
	if a.seal {
		c = ledgerapi.SealDay{ID: d.id('s', uint64(d.open)), Date: d.open - 1}
		a.at += r.cfg.DayEvery - sealAfter
		r.rep.Days++
	} else {
		c = ledgerapi.Cutover{ID: d.id('w', uint64(d.open)), Bank: DirectBank, From: d.open, To: d.open + 1}
		d.open++
		a.at += sealAfter
	}
	r.send(c)
}

// behind tells whether a payment of an earlier date is under way.
func (r *directRun) behind(open si.BusinessDate) bool {
	for i := range r.slots { // by place: an answer may be arriving in the rest of it
		if s := &r.slots[i]; s.live && s.pay.BankDate < open {
			return true
		}
	}
	return false
}

// submit begins what may begin now and tells how long until the next payment
// falls due; 0 is until an answer comes.
func (r *directRun) submit(now time.Duration) time.Duration {
	step := time.Duration(0)
	if r.cfg.Rate > 0 {
		step = time.Second / time.Duration(r.cfg.Rate)
	}
	for len(r.free) > 0 && (r.cfg.Payments == 0 || r.begun < r.cfg.Payments) {
		if step > 0 && r.due > now {
			return r.due - now
		}
		due, ok := r.d.next()
		if !ok {
			return 0
		}
		i := r.free[len(r.free)-1]
		r.free = r.free[:len(r.free)-1]
		s := &r.slots[i]
		s.live, s.from = true, now
		if step > 0 {
			s.from = r.due
			r.due += step
		}
		s.dues[0] = ledgerapi.DueRef{ID: due, Version: 1, Amount: DirectAmount}
		s.pay = ledgerapi.Pay{ID: r.d.payID(r.d.open), Channel: si.ChannelCounter, Bank: DirectBank, Total: DirectAmount,
			HostSerial: "000000000001", BankDate: r.d.open, OurDate: r.d.open, STAN: uint32(r.d.seq%899_999 + 1), Dues: s.dues[:]}
		r.begun++
		r.d.taker.Submit(&s.pay, 0, s.done)
	}
	return 0
}

// idleWait bounds how long a run rests without an answer.
const idleWait = 100 * time.Millisecond

// rest waits for an answer, at most d; 0 is a while.
func (r *directRun) rest(d time.Duration) {
	if d == 0 || d > idleWait {
		d = idleWait
	}
	r.mu.Lock()
	some := len(r.answered)+len(r.others) > 0
	r.mu.Unlock()
	if some {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-r.wake:
	case <-t.C:
	}
}

// endMinute tells of each minute that is over.
func (r *directRun) endMinute(now time.Duration, end bool) {
	for at := time.Duration(r.minutes+1) * time.Minute; now >= at || end; at += time.Minute {
		r.minutes++
		took := time.Minute - max(0, at-now)
		m := Minute{N: r.minutes, Payments: r.minute.n, PerSecond: float64(r.minute.n) / took.Seconds(), P50: r.minute.quantile(500),
			P99: r.minute.quantile(990), P999: r.minute.quantile(999), Longest: float64(r.longest) / float64(time.Millisecond)}
		r.rep.Longest = max(r.rep.Longest, m.Longest)
		if r.cfg.OnMinute != nil && m.Payments > 0 {
			r.cfg.OnMinute(m)
		}
		r.minute, r.longest = histogram{}, 0
		if end {
			return
		}
	}
}

func (r *directRun) report() DirectReport {
	out := r.rep
	out.Seconds = max(r.last, time.Microsecond).Seconds()
	out.PerSecond = float64(out.Payments) / out.Seconds
	out.P50, out.P99, out.P999 = r.all.quantile(500), r.all.quantile(990), r.all.quantile(999)
	return out
}
