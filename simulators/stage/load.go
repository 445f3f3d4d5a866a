package stage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/shebao-pay/shebao/settlement/operator"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/simulators/load"
	"github.com/shebao-pay/shebao/simulators/residents"
)

// Load says what a measured run of the counter path is.
type Load struct {
	Bank            string
	Links, InFlight int
	Rate            int
	Seconds         int
	// Dues is how many dues are open at least when the run begins: further years
	// are assessed behind the notices, which do not name them.
	Dues int
	// Ready is how many notices lie ready at least; when fewer are left the next
	// year is assessed and noticed while the run goes on. 0 does so when none is
	// left, and the clock stands still meanwhile.
	Ready int
	// Stay lets settled go on, for the next load; it goes on with what the one
	// before has left.
	Stay bool
	// Kill ends settled with -9 that many times at random moments; of several
	// nodes the one that leads. Pause lets the one that leads stand still.
	Kill, Pause int
	// Strike, if it is set, chooses how the only node is killed: it is given
	// settled's process id and ends it within about the given time, or returns, and
	// then it is ended.
	Strike func(pid int, within time.Duration)
	Tell   func(string)
}

// LoadResult is what a run came to.
type LoadResult struct {
	Payments  uint64  `json:"payments"`
	PerSecond float64 `json:"per_second"`
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	P999      float64 `json:"p999_ms"`
	Errors    uint64  `json:"errors"`
	CPUMicros float64 `json:"cpu_us_per_payment"`
	LogBytes  float64 `json:"log_bytes_per_payment"`
	Verify    string  `json:"verify"`
	Kills     *int    `json:"kills,omitempty"`
	Pauses    *int    `json:"pauses,omitempty"`
	// FailoverP50 and FailoverMax are from the kill of a leader to the next
	// acknowledged payment, PauseP50 and PauseMax from the begin of a pause.
	FailoverP50 *float64 `json:"failover_ms_p50,omitempty"`
	FailoverMax *float64 `json:"failover_ms_max,omitempty"`
	PauseP50    *float64 `json:"pause_ms_p50,omitempty"`
	PauseMax    *float64 `json:"pause_ms_max,omitempty"`
	Lost        *int     `json:"lost,omitempty"`
	Doubled     *int     `json:"doubled,omitempty"`
	Refills     int      `json:"refills"`
	AskedAgain  uint64   `json:"asked_again"`
	// BegunAgain are visits that a kill cut off.
	BegunAgain uint64 `json:"begun_again,omitempty"`
	// BankFen is what the bank says it has debited and not given back, LedgerFen
	// what the ledger says; of the terminal path under kills.
	BankFen   *int64 `json:"bank_fen,omitempty"`
	LedgerFen *int64 `json:"ledger_fen,omitempty"`

	Refused map[string]uint64 `json:"refused,omitempty"`
	Faults  []string          `json:"faults,omitempty"`
}

// refillTries with refillPause between them outlast any start of settled.
const (
	refillTries = 60
	refillPause = 500 * time.Millisecond
)

// supply keeps notices ready.
type supply struct {
	s    *Stage
	null bool

	mu      sync.Mutex
	ready   []load.Ack // notice and amount
	made    uint64
	refills int
	years   int // assessed behind the demo's own
	err     error
	busy    bool
	low     int // fewer ready begin a refill beside the run; 0 never does
	done    bool
	newest  si.NoticeNo // the highest number given out: numbers only rise

	// What settled has spent on refills while the clock stood still.
	cpu  time.Duration
	logs int64
}

// Next gives a notice that nobody has paid.
func (p *supply) Next() (si.NoticeNo, si.Fen, bool) {
	p.mu.Lock()
	if p.null { // nobody looks at the number: it only has to be well formed
		p.made++
		n := p.made
		p.mu.Unlock()
		return si.NewNoticeNo(regionArea, 26, n), 51_000, true
	}
	if !p.busy && !p.done && len(p.ready) < p.low {
		p.busy = true
		go p.refill()
	}
	for len(p.ready) == 0 {
		if p.done || !p.busy {
			p.mu.Unlock()
			return 0, 0, false
		}
		p.mu.Unlock()
		time.Sleep(pollTime)
		p.mu.Lock()
	}
	n := p.ready[len(p.ready)-1]
	p.ready = p.ready[:len(p.ready)-1]
	p.mu.Unlock()
	return n.Notice, n.Amount, true
}

// fill makes the notices of everybody who owes something.
func (p *supply) fill(ctx context.Context) error {
	var csv bytes.Buffer
	csv.WriteString(strings.Join(operator.NoticeColumns, ",") + "\n")
	for i := range p.s.cfg.Persons {
		r, err := p.s.gen.At(i)
		if err != nil {
			return err
		}
		csv.WriteString(r.IDNumber + "\n")
	}
	_, err := p.s.Operator.Notices(ctx, operator.NoticeAsk{Days: 30}, &csv, func(l operator.NoticeLine) {
		no, err := si.ParseNoticeNo(l.Notice)
		if err != nil || l.Total == 0 {
			return
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if no <= p.newest { // given out before
			return
		}
		p.ready, p.newest = append(p.ready, load.Ack{Notice: no, Amount: si.Fen(l.Total)}), no
	})
	return err
}

// nextYear assesses one more year for everybody.
func (p *supply) nextYear(ctx context.Context) error {
	p.mu.Lock()
	p.years++
	year := strconv.Itoa(2026 + p.years)
	p.mu.Unlock()
	return p.s.assessYear(ctx, year)
}

// deepen assesses years until at least so many dues are open. The notices that
// lie ready do not name them.
func (p *supply) deepen(ctx context.Context, dues int, tell func(string)) error {
	for open := duesOfVisit * p.s.cfg.Persons; open < dues; open += p.s.cfg.Persons {
		if err := p.nextYear(ctx); err != nil {
			return err
		}
		tell(fmt.Sprintf("about %d dues are open", open+p.s.cfg.Persons))
	}
	return nil
}

// refill makes the notices of another year while the run goes on.
func (p *supply) refill() {
	ctx := context.Background()
	p.mu.Lock()
	p.refills++
	p.years++
	year := strconv.Itoa(2026 + p.years)
	p.mu.Unlock()
	// A node that is killed in the middle is asked again when it is back: both
	// steps change nothing that is there already.
	var err error
	for try := 0; try < refillTries; try++ {
		if err = p.s.assessYear(ctx, year); err == nil {
			if err = p.fill(ctx); err == nil {
				break
			}
		}
		time.Sleep(refillPause)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy = false
	p.err = err
	p.done = p.done || err != nil
}

// stock makes notices of what is open while the run stands still, and assesses
// another year where nothing is.
func (p *supply) stock() error {
	ctx := context.Background()
	p.refills++
	cpu, logs := p.s.spent()
	err := p.fill(ctx)
	if err == nil && len(p.ready) == 0 {
		if err = p.nextYear(ctx); err == nil {
			err = p.fill(ctx)
		}
	}
	cpuEnd, logsEnd := p.s.spent()
	p.cpu, p.logs = p.cpu+cpuEnd-cpu, p.logs+logsEnd-logs
	return err
}

// rest waits until no refill is under way: the hub is stopped next.
func (p *supply) rest() {
	for {
		p.mu.Lock()
		p.done = true // none begins any more
		busy := p.busy
		p.mu.Unlock()
		if !busy {
			return
		}
		time.Sleep(pollTime)
	}
}

// assessYear makes next years' dues for every person of the stage.
func (s *Stage) assessYear(ctx context.Context, year string) error {
	var csv bytes.Buffer
	csv.WriteString(strings.Join(residents.BaseColumns, ",") + "\n")
	for i := range s.cfg.Persons {
		r, err := s.gen.At(i)
		if err != nil {
			return err
		}
		fmt.Fprintf(&csv, "%s,%s,%d,%d\n", r.IDNumber, r.PType, r.Grade, r.Base)
	}
	for _, ptype := range []string{"RESIDENT", "STUDENT"} {
		q := dues("MED_RES", ptype, year, "year", year+"-12-31", "base")
		q.Set("rates", strconv.Itoa(int(s.rates)))
		o, err := s.Operator.Upload(ctx, "/v1/assess", q, bytes.NewReader(csv.Bytes()), func(int, int) {})
		if err != nil {
			return err
		}
		if !o.OK {
			return fmt.Errorf("stage: dues of %s: %d lines refused: %v", year, o.Refused, o.Codes)
		}
	}
	return nil
}

// stocked gives the stage's supply with notices for a load.
func (s *Stage) stocked(ctx context.Context, l *Load) (*supply, error) {
	sup := s.supply
	if sup == nil {
		sup = &supply{s: s, null: s.cfg.NullLedger}
	}
	s.supply = sup
	sup.mu.Lock()
	sup.low, sup.done, sup.refills, sup.cpu, sup.logs = l.Ready, false, 0, 0, 0
	left := len(sup.ready)
	sup.mu.Unlock()
	switch {
	case sup.null || left > 0:
		return sup, nil
	case sup.newest > 0:
		return sup, sup.stock()
	}
	if err := sup.fill(ctx); err != nil {
		return nil, err
	}
	l.Tell(fmt.Sprintf("%d notices lie ready", len(sup.ready)))
	return sup, sup.deepen(ctx, l.Dues, l.Tell)
}

// Load drives the counter path and stops settled, unless it is to stay. Whoever
// calls it holds the acknowledged payments, which are kept only if settled is to
// be killed, against the ledger.
func (s *Stage) Load(ctx context.Context, l Load) (LoadResult, []load.Ack, error) {
	p, err := s.Bank(l.Bank)
	if err != nil {
		return LoadResult{}, nil, err
	}
	at, err := s.counterAddr(l.Bank)
	if err != nil {
		return LoadResult{}, nil, err
	}
	if l.strikes() > 0 {
		l.Ready = max(l.Ready, 1)
	}
	if s.several() && l.strikes() > 0 {
		// Notices are made by the node that leads: enough must lie ready for the
		// time without one.
		l.Ready = max(l.Ready, s.cfg.Persons/2)
	}
	sup, err := s.stocked(ctx, &l)
	if err != nil {
		return LoadResult{}, nil, err
	}
	var refill func() error
	if l.Ready == 0 && !sup.null {
		refill = sup.stock
	}
	t := s.trouble(ctx, l)
	cpu, logs := s.spent()
	rep, err := load.Run(t.ctx, load.Config{
		Addrs: s.counterAddrs(l.Bank, at), Profile: p, Keys: s.keys.bank(p), Links: l.Links, InFlight: l.InFlight, Rate: l.Rate,
		Duration: t.duration, Next: sup.Next, Refill: refill, NoReceipts: sup.null, Grace: startTime, OnBegin: t.begin, OnAck: t.hear,
	})
	err = errors.Join(err, t.end())
	sup.rest()
	cpuEnd, logsEnd := s.spent()
	cpu, logs = cpuEnd-cpu-sup.cpu, logsEnd-logs-sup.logs
	if err != nil {
		return LoadResult{}, nil, err
	}
	if sup.err != nil {
		rep.Errors++
		rep.Faults = append(rep.Faults, "refill: "+sup.err.Error())
	}
	out := LoadResult{
		Payments: rep.Payments, PerSecond: rep.PerSecond, P50: rep.P50, P99: rep.P99, P999: rep.P999, Errors: rep.Errors,
		Refills: sup.refills, AskedAgain: rep.AskedAgain, Refused: rep.Refused, Faults: rep.Faults,
	}
	if n := float64(rep.Payments); n > 0 {
		out.CPUMicros, out.LogBytes = float64(cpu.Microseconds())/n, float64(logs)/n
	}
	if !l.Stay {
		s.StopHub()
	}
	if l.strikes() > 0 {
		t.note(&out)
	}
	return out, t.acks, nil
}

// strikes is how often the hub is troubled in a run.
func (l *Load) strikes() int { return l.Kill + l.Pause }

// trouble strikes the hub while a load goes on, and keeps what was acknowledged.
// A load under trouble lasts until all strikes have been made, at most
// longerRuns times the time that was asked for.
type trouble struct {
	ctx      context.Context // of the load
	duration time.Duration

	began  chan struct{}      // closed by begin
	stop   context.CancelFunc // no more strikes
	enough context.CancelFunc // no more payments
	done   chan error
	over   *failovers

	mu            sync.Mutex
	acks          []load.Ack
	kills, pauses []time.Duration
	on, several   bool
}

const longerRuns = 4

// trouble waits for begin.
func (s *Stage) trouble(ctx context.Context, l Load) *trouble {
	t := &trouble{duration: time.Duration(l.Seconds) * time.Second, began: make(chan struct{}), done: make(chan error, 1), on: l.strikes() > 0,
		several: s.several(), over: &failovers{heard: make(chan time.Duration, 1)}}
	shortest := t.duration
	if t.on {
		t.duration *= longerRuns
	}
	load, enough := context.WithCancel(ctx)
	striking, stop := context.WithCancel(ctx)
	t.ctx, t.stop, t.enough = load, stop, enough
	if !t.on {
		t.done <- nil
		return t
	}
	go func() {
		defer enough()
		select {
		case <-t.began:
		case <-striking.Done():
			t.done <- striking.Err()
			return
		}
		end := time.Now().Add(shortest)
		var err error
		if s.several() {
			t.kills, t.pauses, err = s.strikeLeaders(striking, l, t.over)
		} else {
			t.kills, err = s.killAtRandom(striking, l)
		}
		if err == nil {
			rest(striking, time.Until(end))
		}
		t.done <- err
	}()
	return t
}

// begin is told that the load has begun: who is only connecting must not be cut
// off.
func (t *trouble) begin() { close(t.began) }

// hear is told each acknowledged payment.
func (t *trouble) hear(a load.Ack) {
	if !t.on {
		return // the report counts; keeping millions would only cost
	}
	t.over.hear(a)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.acks = append(t.acks, a)
}

// end waits for the strike that is under way. That the run was over before all
// strikes were made is no error: their number is in the result.
func (t *trouble) end() error {
	t.stop()
	t.enough()
	if err := <-t.done; !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// LedgerDir is the ledger's data directory, to be looked at when settled is stopped.
func (s *Stage) LedgerDir() string { return s.path("ledger") }

// killAtRandom kills settled l.Kill times over the run and starts it again. It
// answers how long each start took.
func (s *Stage) killAtRandom(ctx context.Context, l Load) (took []time.Duration, err error) {
	end := time.Now().Add(time.Duration(l.Seconds) * time.Second)
	for len(took) < l.Kill {
		// A share of what is left for each; half of it is for the start.
		share := max(pollTime, time.Until(end)/time.Duration(l.Kill-len(took)))
		if len(took) > 0 {
			share /= 2
		}
		if within := rand.N(share); l.Strike != nil {
			l.Strike(s.HubPID(), within)
		} else {
			rest(ctx, within)
		}
		if ctx.Err() != nil {
			return took, ctx.Err()
		}
		s.mourn()
		s.KillHub()
		began := time.Now()
		if err := s.StartHub(context.Background()); err != nil {
			return took, fmt.Errorf("settled did not start again: %w", err)
		}
		took = append(took, time.Since(began))
	}
	return took, nil
}

// spent is the processor time and the log bytes of settled and its HSM process
// so far, those of killed ones included.
func (s *Stage) spent() (cpu time.Duration, logBytes int64) {
	s.mu.Lock()
	cpu, logBytes = s.deadCPU, s.deadLog
	s.mu.Unlock()
	if s.several() {
		c, l := s.nodesSpent()
		return cpu + c + s.cpu(s.hsm), logBytes + l
	}
	return cpu + s.cpu(s.settled, s.hsm), logBytes + logSize(s.cfg.Ports.Admin)
}

// mourn adds what settled has spent before it is killed.
func (s *Stage) mourn() {
	cpu, logs := s.cpu(s.settled), logSize(s.cfg.Ports.Admin)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deadCPU += cpu
	s.deadLog += logs
}

// cpu is the processor time of programs so far.
func (s *Stage) cpu(list ...*process) time.Duration {
	var sum time.Duration
	for _, p := range list {
		b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid), "stat"))
		if err != nil {
			continue
		}
		// Fields 14 and 15, in ticks of 10 ms, counted behind the name in brackets.
		f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		if len(f) > 13 {
			user, _ := strconv.Atoi(f[11])
			sys, _ := strconv.Atoi(f[12])
			sum += time.Duration(user+sys) * 10 * time.Millisecond
		}
	}
	return sum
}

// logSize is what settled, asked at its admin port, says it has written to its
// log since it started.
func logSize(admin int) int64 { return int64(metric(admin, "shebao_ledger_log_bytes_total")) }

// metric reads one number that settled, asked at its admin port, says of itself;
// 0 if it does not.
func metric(admin int, name string) float64 {
	u := url.URL{Scheme: "http", Host: addr(admin), Path: "/metrics"}
	resp, err := http.Get(u.String())
	if err != nil {
		return 0
	}
	defer func() { _ = resp.Body.Close() }()
	var b bytes.Buffer
	if _, err := b.ReadFrom(resp.Body); err != nil {
		return 0
	}
	for line := range strings.Lines(b.String()) {
		if v, ok := strings.CutPrefix(line, name+" "); ok {
			f, _ := strconv.ParseFloat(strings.TrimSpace(v), 64)
			return f
		}
	}
	return 0
}
