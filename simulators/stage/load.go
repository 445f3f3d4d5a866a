package stage

import (
	"bytes"
	"context"
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
	// Dues is how many notices lie ready at least; when fewer are left the next
	// period is assessed and noticed while the run goes on. 0 refills only when
	// none is left.
	Dues int
	// Kill ends settled with -9 that many times at random moments.
	Kill int
	// Strike, if it is set, chooses how: it is given settled's process id and ends
	// it within about the given time, or returns, and then it is ended.
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
	// FailoverP50 and FailoverMax are from the kill of a leader to the next
	// acknowledged payment.
	FailoverP50 *float64 `json:"failover_ms_p50,omitempty"`
	FailoverMax *float64 `json:"failover_ms_max,omitempty"`
	Lost        *int     `json:"lost,omitempty"`
	Doubled     *int     `json:"doubled,omitempty"`
	Refills     int      `json:"refills"`
	AskedAgain  uint64   `json:"asked_again"`

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
	err     error
	busy    bool
	low     int
	done    bool
	newest  si.NoticeNo // the highest number given out: numbers only rise
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
	if !p.busy && !p.done && len(p.ready) < max(1, p.low) {
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

// refill assesses one more year for everybody and makes the notices.
func (p *supply) refill() {
	ctx := context.Background()
	p.mu.Lock()
	p.refills++
	year := strconv.Itoa(2026 + p.refills)
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

// Load drives the counter path and stops settled. Whoever calls it holds the
// acknowledged payments, which are kept only if settled is to be killed,
// against the ledger.
func (s *Stage) Load(ctx context.Context, l Load) (LoadResult, []load.Ack, error) {
	p, err := s.Bank(l.Bank)
	if err != nil {
		return LoadResult{}, nil, err
	}
	at, err := s.counterAddr(l.Bank)
	if err != nil {
		return LoadResult{}, nil, err
	}
	if s.several() && l.Kill > 0 {
		// Notices are made by the node that leads: enough must lie ready for the
		// time without one.
		l.Dues = max(l.Dues, s.cfg.Persons/2)
	}
	sup := &supply{s: s, null: s.cfg.NullLedger, low: l.Dues}
	if !sup.null {
		if err := sup.fill(ctx); err != nil {
			return LoadResult{}, nil, err
		}
		l.Tell(fmt.Sprintf("%d notices lie ready", len(sup.ready)))
	}
	var mu sync.Mutex
	var acks []load.Ack
	killing, stopKilling := context.WithCancel(ctx)
	defer stopKilling()
	killed := make(chan int, 1)
	over := &failovers{heard: make(chan time.Duration, 1)}
	var took []time.Duration
	go func() {
		if s.several() {
			took = s.killLeaders(killing, l, over)
			killed <- len(took)
			return
		}
		killed <- s.killAtRandom(killing, l)
	}()
	cpu, logs := s.spent()
	rep, err := load.Run(ctx, load.Config{
		Addrs: s.counterAddrs(l.Bank, at), Profile: p, Keys: s.keys.bank(p), Links: l.Links, InFlight: l.InFlight, Rate: l.Rate,
		Duration: time.Duration(l.Seconds) * time.Second, Next: sup.Next, NoReceipts: sup.null, Grace: startTime,
		OnAck: func(a load.Ack) {
			if l.Kill == 0 {
				return // the report counts; keeping millions would only cost
			}
			over.hear(a)
			mu.Lock()
			acks = append(acks, a)
			mu.Unlock()
		},
	})
	stopKilling()
	kills := <-killed
	sup.rest()
	cpuEnd, logsEnd := s.spent()
	cpu, logs = cpuEnd-cpu, logsEnd-logs
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
	s.StopHub()
	if l.Kill > 0 {
		out.Kills = &kills
	}
	if s.several() && l.Kill > 0 {
		out.note(took)
	}
	return out, acks, nil
}

// LedgerDir is the ledger's data directory, to be looked at when settled is stopped.
func (s *Stage) LedgerDir() string { return s.path("ledger") }

// killAtRandom kills settled l.Kill times over the run and starts it again.
func (s *Stage) killAtRandom(ctx context.Context, l Load) int {
	done := 0
	end := time.Now().Add(time.Duration(l.Seconds) * time.Second)
	for done < l.Kill {
		// A share of what is left for each; half of it is for the start.
		share := max(pollTime, time.Until(end)/time.Duration(l.Kill-done))
		within := rand.N(share)
		if done > 0 {
			within = rand.N(share / 2)
		}
		if l.Strike != nil {
			l.Strike(s.HubPID(), within)
			within = 0
		}
		t := time.NewTimer(within)
		select {
		case <-ctx.Done():
			t.Stop()
			return done
		case <-t.C:
		}
		s.mourn()
		s.KillHub()
		done++
		if err := s.StartHub(context.Background()); err != nil {
			l.Tell("settled did not start again: " + err.Error())
			return done
		}
	}
	return done
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
