package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/shebao-pay/shebao/ledger"
	"github.com/shebao-pay/shebao/simulators/load"
	"github.com/shebao-pay/shebao/simulators/rivals"
	"github.com/shebao-pay/shebao/simulators/stage"
)

// compareFlags say how long simulate bench measures.
type compareFlags struct {
	out, dir, part string
	short          bool
}

// benchParts are what can be measured alone: the section of the page is printed.
var benchParts = []string{"engines", "ledger", "tcp"}

func benchCommand() *cobra.Command {
	var f compareFlags
	c := &cobra.Command{
		Use: "bench", Args: cobra.NoArgs,
		Short: "The ledger beside other engines, and every bar, as a page of Markdown",
		RunE: func(cmd *cobra.Command, _ []string) error {
			tell := func(line string) { _, _ = fmt.Fprintf(cmd.ErrOrStderr(), "  %s\n", line) }
			if f.part != "" && (!slices.Contains(benchParts, f.part) || f.out != "") {
				return fmt.Errorf("--part %q: one of %s, and without --out: a page has all of them", f.part, strings.Join(benchParts, ", "))
			}
			page, err := f.run(cmd.Context(), tell)
			if err != nil {
				return err
			}
			if f.out == "" {
				_, err = io.WriteString(cmd.OutOrStdout(), page)
			} else {
				err = os.WriteFile(f.out, []byte(page), 0o644) // #nosec G306 -- a page of the documentation
			}
			if err != nil {
				return fmt.Errorf("write the page: %w", err)
			}
			return nil
		},
	}
	c.Flags().StringVar(&f.out, "out", "", "file for the page (default standard output)")
	c.Flags().StringVar(&f.dir, "dir", "", "where data directories are made (default the folder for temporary files)")
	c.Flags().StringVar(&f.part, "part", "", "print one section alone: "+strings.Join(benchParts, ", "))
	c.Flags().BoolVar(&f.short, "short", false, "minutes instead of half an hour: shorter rounds of small ledgers; shows that everything runs, judges nothing")
	return c
}

// contender is one engine of a comparison and what its rounds came to.
type contender struct {
	name string
	d    *load.Direct
	node *ledger.Node // nil for an engine of others
	pid  int
	end  func() error
	got  []measured
}

// measured is one round.
type measured struct {
	load.DirectReport
	cpu, bytes, perBatch, sync float64 // µs and bytes a payment, payments, µs
	batches                    [24]uint64
}

// over ends an engine and lets go of all but its figures: what comes next is
// measured in the same process and needs the memory.
func (c *contender) over() error {
	err := c.end()
	c.d, c.node, c.end = nil, nil, nil
	debug.FreeOSMemory()
	return err
}

// round has an engine pay for a while.
func (c *contender) round(ctx context.Context, run load.DirectRun) error {
	// What another engine has left to be written is not this one's.
	syscall.Sync()
	var before ledger.Stats
	if c.node != nil {
		before = c.node.Stats()
	}
	spent := usedBy(c.pid)
	rep, err := c.d.Run(ctx, run)
	if err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	if rep.Errors > 0 {
		return fmt.Errorf("%s: %d wrong answers, the run is void: %v", c.name, rep.Errors, rep.Faults)
	}
	spent = usedBy(c.pid).minus(spent)
	n := float64(max(rep.Payments, 1))
	m := measured{DirectReport: rep, cpu: float64(spent.cpu.Microseconds()) / n, bytes: float64(spent.written) / n}
	if c.node != nil {
		s := c.node.Stats()
		m.perBatch = float64(s.Log.Records-before.Log.Records) / float64(max(s.Log.Batches-before.Log.Batches, 1))
		m.sync = float64(s.Log.SyncNanos-before.Log.SyncNanos) / 1000 / float64(max(s.Log.Appends-before.Log.Appends, 1))
		for i := range m.batches {
			m.batches[i] = s.Log.BatchRecords[i] - before.Log.BatchRecords[i]
		}
	}
	c.got = append(c.got, m)
	return nil
}

// median is the middle of a figure over a contender's rounds.
func (c *contender) median(of func(m *measured) float64) float64 {
	all := make([]float64, len(c.got))
	for i := range c.got {
		all[i] = of(&c.got[i])
	}
	slices.Sort(all)
	return all[len(all)/2]
}

func (c *contender) rate() float64 { return c.median(func(m *measured) float64 { return m.PerSecond }) }

// openLedger makes a filled ledger of its own, opened again behind its filling.
func openLedger(ctx context.Context, name, dir string, persons, dues int) (*contender, error) {
	node, err := benchNode(dir, false)
	if err != nil {
		return nil, err
	}
	d, err := load.NewDirect(load.DirectConfig{Taker: node, Persons: persons, Dues: dues})
	if err == nil {
		err = d.Fill(ctx, func(string) {})
	}
	if err = errors.Join(err, node.Close()); err != nil {
		return nil, err
	}
	if node, err = benchNode(dir, false); err != nil {
		return nil, err
	}
	d.SetTaker(node)
	return &contender{name: name, d: d, node: node, end: func() error { return node.Close() }}, nil
}

// openOther makes an engine that has its dues already.
func openOther(name string, t load.Taker, persons, dues, pid int, null bool, end func() error) (*contender, error) {
	d, err := load.NewDirect(load.DirectConfig{Taker: t, Persons: persons, Dues: dues, PayOnly: !null, Null: null})
	if err != nil {
		return nil, errors.Join(err, end())
	}
	return &contender{name: name, d: d, pid: pid, end: end}, nil
}

// The comparison: dues of each engine, clients, and rounds in turn.
const (
	rivalDues     = 3_000_000 // more than any of the others pays in all rounds
	rivalPersons  = 300_000
	rivalInFlight = 512
	rivalRounds   = 5
	// nullDues is more than a null ledger pays in any run: nobody looks at them.
	nullDues = 1 << 40
)

// compare has all engines pay in turn.
func (f *compareFlags) compare(ctx context.Context, dir string, seconds int, tell func(string)) (all []*contender, err error) {
	defer func() {
		for _, c := range all {
			err = errors.Join(err, c.over())
		}
	}()
	add := func(c *contender, e error) bool {
		if e != nil {
			err = e
			return false
		}
		all = append(all, c)
		tell(c.name + " is ready")
		return true
	}
	if c, e := openLedger(ctx, "ledger", filepath.Join(dir, "ledger"), rivalPersons, rivalDues); !add(c, e) {
		return all, err
	}
	none, err := benchNode(filepath.Join(dir, "null"), true)
	if err != nil {
		return all, err
	}
	c, e := openOther("null ledger (the log alone)", none, rivalPersons, nullDues, 0, true, func() error { return none.Close() })
	if c != nil {
		c.node = none
	}
	if !add(c, e) {
		return all, err
	}
	b, err := rivals.Bolt(filepath.Join(dir, "rival.bolt"), rivalDues, int64(load.DirectAmount))
	if err != nil {
		return all, err
	}
	if c, e := openOther("bbolt 1.5, group commit", b, rivalPersons, rivalDues, 0, false, b.Close); !add(c, e) {
		return all, err
	}
	pgDir, err := os.MkdirTemp(f.dir, "pg-") // not below a folder that only root enters
	if err != nil {
		return all, err
	}
	pg, err := rivals.Postgres(ctx, pgDir, rivalDues, int64(load.DirectAmount))
	if err != nil {
		return all, errors.Join(err, os.RemoveAll(pgDir))
	}
	pgEnd := func() error { return errors.Join(pg.Close(), os.RemoveAll(pgDir)) }
	if c, e := openOther("PostgreSQL 15, batched", pg, rivalPersons, rivalDues, pg.PID(), false, pgEnd); !add(c, e) {
		return all, err
	}
	for i := range rivalRounds {
		for _, c := range all {
			if err := c.round(ctx, load.DirectRun{InFlight: rivalInFlight, Duration: time.Duration(seconds) * time.Second}); err != nil {
				return all, err
			}
			tell(fmt.Sprintf("round %d of %d: %s %.0f payments/s", i+1, rivalRounds, c.name, c.got[i].PerSecond))
		}
	}
	return all, nil
}

// plan is how long each part takes, in seconds, and how large the ledger is.
type plan struct{ round, load, sustain, persons, dues, tail int }

var (
	full  = plan{round: 10, load: 30, sustain: 600, persons: 903_000, dues: 5_000_000, tail: 1_000_000}
	short = plan{round: 2, load: 5, sustain: 65, persons: 50_000, dues: 250_000, tail: 100_000}
)

// sizes has a small and a large ledger pay in turn.
func (f *compareFlags) sizes(ctx context.Context, dir string, p *plan, tell func(string)) (small, large *contender, err error) {
	seconds := p.round
	if small, err = openLedger(ctx, "10,000 open dues", filepath.Join(dir, "small"), p.persons, 10_000); err != nil {
		return nil, nil, err
	}
	if large, err = openLedger(ctx, fmt.Sprintf("%d open dues", p.dues), filepath.Join(dir, "large"), p.persons, p.dues); err != nil {
		return nil, nil, errors.Join(err, small.end())
	}
	for i := range rivalRounds {
		for _, c := range []*contender{small, large} {
			if err = c.round(ctx, load.DirectRun{InFlight: rivalInFlight, Duration: time.Duration(seconds) * time.Second}); err != nil {
				return nil, nil, errors.Join(err, small.end(), large.end())
			}
			tell(fmt.Sprintf("round %d of %d: %s %.0f payments/s", i+1, rivalRounds, c.name, c.got[i].PerSecond))
		}
	}
	return small, large, errors.Join(small.over(), large.over())
}

// run measures everything and writes the page.
func (f *compareFlags) run(ctx context.Context, tell func(string)) (string, error) {
	dir, err := os.MkdirTemp(f.dir, "shebao-bench-")
	if err != nil {
		return "", fmt.Errorf("temporary folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	m, err := describe(dir)
	if err != nil {
		return "", err
	}
	tell(m.String())
	began := time.Now()
	steal, all := ticks()
	p := page{machine: m, short: f.short, plan: full}
	if f.short {
		p.plan = short
	}
	if f.wants("engines") {
		if p.engines, err = f.compare(ctx, dir, p.plan.round, tell); err != nil {
			return "", err
		}
	}
	if f.wants("ledger") {
		if err := f.ledgerAlone(ctx, dir, &p, tell); err != nil {
			return "", err
		}
	}
	if f.wants("tcp") {
		if p.wires, err = overWires(ctx, &p.plan, tell); err != nil {
			return "", err
		}
	}
	endSteal, endAll := ticks()
	p.steal = 100 * float64(endSteal-steal) / float64(max(endAll-all, 1))
	p.took = time.Since(began)
	return p.section(f.part), nil
}

func (f *compareFlags) wants(part string) bool { return f.part == "" || f.part == part }

// ledgerAlone measures the ledger without a network.
func (f *compareFlags) ledgerAlone(ctx context.Context, dir string, p *page, tell func(string)) (err error) {
	if p.small, p.large, err = f.sizes(ctx, dir, &p.plan, tell); err != nil {
		return err
	}
	if err := emptied(dir); err != nil {
		return err
	}
	closed := loadFlags{path: "ledger", inFlight: rivalInFlight, seconds: p.plan.load, persons: p.plan.persons, dues: p.plan.dues,
		tail: p.plan.tail, dir: dir}
	if p.closed, err = closed.runLedger(ctx, tell); err != nil {
		return err
	}
	long := closed
	long.rate, long.seconds, long.day = 50_000, p.plan.sustain, time.Minute
	p.long, err = long.runLedger(ctx, func(s string) { p.minutes = append(p.minutes, s); tell(s) })
	return err
}

// emptied removes what earlier parts left, so that later ones find the disk as
// they did.
func emptied(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	for _, p := range left {
		err = errors.Join(err, os.RemoveAll(p))
	}
	return err
}

// wire is one row of the path over TCP.
type wire struct {
	name                  string
	links, inFlight, rate int
	null                  bool
	bar                   string
	held                  func(r *loadResult) bool
}

// wires are the bars of the counter path.
var wires = []wire{
	{"64 links × 8 in flight", 64, 8, 0, false, "≥ 100,000/s, p99 ≤ 10 ms", func(r *loadResult) bool { return r.PerSecond >= 100_000 && r.P99 <= 10 }},
	{"64 links × 16 in flight", 64, 16, 0, false, "≥ 120,000/s, p99 ≤ 20 ms", func(r *loadResult) bool { return r.PerSecond >= 120_000 && r.P99 <= 20 }},
	{"64 × 16 against the null ledger", 64, 16, 0, true, "≥ 0.5 of it", func(r *loadResult) bool { return r.Ratio != nil && *r.Ratio >= 0.5 }},
	{"128 clients that wait", 128, 1, 0, false, "≥ 40,000/s, p99 ≤ 10 ms", func(r *loadResult) bool { return r.PerSecond >= 40_000 && r.P99 <= 10 }},
	{"open loop 20,000/s", 64, 16, 20_000, false, "p50 ≤ 0.7 ms, p99 ≤ 6 ms", func(r *loadResult) bool { return r.P50 <= 0.7 && r.P99 <= 6 }},
	{"one client", 1, 1, 0, false, "p99 ≤ 0.5 ms", func(r *loadResult) bool { return r.P99 <= 0.5 }},
}

// overWires measures the counter path: one hub, with the load set of the plan,
// and one without a ledger stand beside one another, and each row is paid at
// them in turn. The ledger is verified when all have been.
func overWires(ctx context.Context, p *plan, tell func(string)) (rows []loadResult, err error) {
	f := loadFlags{path: "counter", bank: "ccb", persons: p.persons, dues: p.dues, nodes: 1, seconds: p.load}
	real, err := f.begin(ctx, false, tell)
	if err != nil {
		return nil, err
	}
	defer real.end()
	null, err := f.begin(ctx, true, tell)
	if err != nil {
		return nil, err
	}
	defer null.end()
	for _, w := range wires {
		f.links, f.inFlight, f.rate = w.links, w.inFlight, w.rate
		var r loadResult
		if w.null {
			r, err = f.inTurn(ctx, real, null, tell)
		} else {
			r.LoadResult, err = f.once(ctx, real, p.load, true, tell)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", w.name, err)
		}
		tell(fmt.Sprintf("over TCP, %s: %.0f payments/s, p99 %.2f ms", w.name, r.PerSecond, r.P99))
		rows = append(rows, r)
	}
	real.StopHub()
	var end stage.LoadResult
	if err := held(real.LedgerDirs(), nil, nil, &end); err != nil {
		return nil, err
	}
	for i := range rows {
		rows[i].Verify = end.Verify
	}
	return rows, nil
}

func textOf(all ...string) string { return strings.Join(all, "\n") + "\n" }
