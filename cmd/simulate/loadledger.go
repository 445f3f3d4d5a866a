package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/shebao-pay/shebao/ledger"
	"github.com/shebao-pay/shebao/simulators/load"
	"github.com/shebao-pay/shebao/simulators/stage"
)

// ledgerResult is what a run of the ledger alone came to.
type ledgerResult struct {
	loadResult
	Longest      float64 `json:"longest_ms"`
	PerBatch     float64 `json:"payments_per_batch"`
	SyncMicros   float64 `json:"sync_us"`
	HeapPerDue   float64 `json:"heap_bytes_per_due"`
	HeapPerPay   float64 `json:"heap_bytes_per_payment,omitempty"`
	Lag          int     `json:"checkpoint_lag"`
	Checkpoints  uint64  `json:"checkpoints"`
	Days         int     `json:"days_sealed"`
	CutLongest   float64 `json:"cutover_longest_ms,omitempty"`
	SealLongest  float64 `json:"seal_longest_ms,omitempty"`
	Tail         int     `json:"tail_records,omitempty"`
	RestartMs    float64 `json:"restart_ms,omitempty"`
	StateBytes   int64   `json:"state_bytes"`
	VerifySecond float64 `json:"verify_s"`
}

// The ledger alone: which one it is, and how often its gauges are read.
const (
	directRegion = 1
	directArea   = 330110
	gaugeEvery   = 250 * time.Millisecond
	// tailCommand is this program again, as a ledger that is killed.
	tailCommand = "ledger-tail"
)

// benchNode opens a ledger node as settled does.
func benchNode(dir string, null bool) (*ledger.Node, error) {
	return ledger.Open(ledger.Config{Dir: dir, Region: directRegion, Area: directArea, NullState: null, MinFree: 1})
}

// runLedger measures the ledger in this process.
func (f *loadFlags) runLedger(ctx context.Context, tell func(string)) (ledgerResult, error) {
	var out ledgerResult
	dir, err := os.MkdirTemp(f.dir, "shebao-ledger-")
	if err != nil {
		return out, fmt.Errorf("temporary folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	real := filepath.Join(dir, "ledger")
	node, err := benchNode(real, false)
	if err != nil {
		return out, err
	}
	empty := heapInUse()
	d, err := load.NewDirect(load.DirectConfig{Taker: node, Persons: f.persons, Dues: f.dues})
	if err != nil {
		return out, errors.Join(err, node.Close())
	}
	if err := errors.Join(d.Fill(ctx, tell), node.Checkpoint()); err != nil {
		return out, errors.Join(err, node.Close())
	}
	// A node that starts holds what it needs and nothing of how it came to it.
	if err := node.Close(); err != nil {
		return out, err
	}
	if node, err = benchNode(real, false); err != nil {
		return out, err
	}
	d.SetTaker(node)
	filled := heapInUse()
	out.HeapPerDue = float64(filled-empty) / float64(d.Open())
	tell(fmt.Sprintf("%d open dues, %.0f bytes each", d.Open(), out.HeapPerDue))
	if f.null {
		err = f.beside(ctx, d, node, filepath.Join(dir, "null"), &out, tell)
	} else {
		err = f.measure(ctx, d, node, f.seconds, &out, tell)
	}
	if err == nil && out.Days == 0 && f.dues >= f.persons {
		// A paid due stays with its payment until the date is sealed.
		err = node.Checkpoint()
		more := float64(heapInUse()-filled) - out.HeapPerDue*float64(d.Made()-f.dues)
		out.HeapPerPay = more / float64(max(out.Payments, 1))
	}
	if err = errors.Join(err, node.Close()); err != nil {
		return out, err
	}
	// Whoever starts behind a kill has the machine's memory to itself.
	d.SetTaker(nil)
	node = nil
	debug.FreeOSMemory()
	if f.tail > 0 {
		if err := f.killed(ctx, real, d, &out, tell); err != nil {
			return out, err
		}
	}
	return out, f.prove(real, &out, tell)
}

// measure pays for a while and adds what it came to.
func (f *loadFlags) measure(ctx context.Context, d *load.Direct, node *ledger.Node, seconds int, out *ledgerResult, tell func(string)) error {
	stop, err := profileTo(f.profile, "")
	if err != nil {
		return err
	}
	defer stop()
	g := watch(node)
	before, cpu := node.Stats(), cpuOfSelf()
	rep, err := d.Run(ctx, load.DirectRun{
		InFlight: f.inFlight, Rate: f.rate, Duration: time.Duration(seconds) * time.Second, DayEvery: f.day,
		OnMinute: func(m load.Minute) { tell(minuteLine(m, node.Stats())) },
	})
	cpu = cpuOfSelf() - cpu
	after := node.Stats()
	g.end()
	if err != nil {
		return err
	}
	n := float64(max(rep.Payments, 1))
	out.LoadResult = stage.LoadResult{
		Payments: out.Payments + rep.Payments, PerSecond: rep.PerSecond, P50: rep.P50, P99: rep.P99, P999: rep.P999,
		Errors: out.Errors + rep.Errors, Refills: int(rep.Assessed), Refused: rep.Refused, Faults: rep.Faults,
		CPUMicros: float64(cpu.Microseconds()) / n, LogBytes: float64(after.Log.Bytes-before.Log.Bytes) / n,
	}
	out.Longest, out.Days, out.CutLongest, out.SealLongest = rep.Longest, out.Days+rep.Days, rep.CutLongest, rep.SealLongest
	out.PerBatch = float64(after.Log.Records-before.Log.Records) / float64(max(after.Log.Batches-before.Log.Batches, 1))
	out.SyncMicros = float64(after.Log.SyncNanos-before.Log.SyncNanos) / 1000 / float64(max(after.Log.Appends-before.Log.Appends, 1))
	out.Lag, out.Checkpoints, out.StateBytes = g.lag, after.Checkpoints-before.Checkpoints, after.StateBytes
	return nil
}

// beside measures the ledger and a node without one in alternating slices.
func (f *loadFlags) beside(ctx context.Context, d *load.Direct, node *ledger.Node, dir string, out *ledgerResult, tell func(string)) error {
	none, err := benchNode(dir, true)
	if err != nil {
		return err
	}
	nd, err := load.NewDirect(load.DirectConfig{Taker: none, Persons: f.persons, Dues: 1 << 40, Null: true})
	part := max(1, f.seconds/turns)
	var real, null float64
	for i := 0; i < turns && err == nil; i++ {
		var n ledgerResult
		if err = f.measure(ctx, d, node, part, out, tell); err == nil {
			err = f.measure(ctx, nd, none, part, &n, tell)
		}
		out.Errors += n.Errors
		real, null = real+out.PerSecond, null+n.PerSecond
		tell(fmt.Sprintf("slice %d of %d: ledger %.0f, null ledger %.0f payments a second", i+1, turns, out.PerSecond, n.PerSecond))
	}
	out.PerSecond = real / turns
	mean, ratio := null/turns, real/null
	out.NullPerSecond, out.Ratio = &mean, &ratio
	return errors.Join(err, none.Close())
}

// killed has a process of its own pay so many records behind the last
// checkpoint, kills it with -9 in the middle of more, and times another one from
// its start to its first answered query.
func (f *loadFlags) killed(ctx context.Context, dir string, d *load.Direct, out *ledgerResult, tell func(string)) error {
	pays, said, err := self(ctx, append([]string{tailCommand, "--dir", dir, "--payments", strconv.Itoa(f.tail),
		"--inflight", strconv.Itoa(f.inFlight)}, d.Args()...)...)
	if err == nil {
		err = errors.Join(err, pays.Process.Kill())
		_ = pays.Wait() // it was killed
	}
	if err != nil {
		return fmt.Errorf("%s said %q: %w", tailCommand, said, err)
	}
	began := time.Now()
	start, said, err := self(ctx, tailCommand, "--dir", dir)
	out.RestartMs = ms(time.Since(began))
	if err == nil {
		_, err = fmt.Sscanf(said, "answered behind %d records", &out.Tail)
		err = errors.Join(err, start.Wait())
	}
	if err != nil {
		return fmt.Errorf("the start behind a kill said %q: %w", said, err)
	}
	tell(fmt.Sprintf("killed with -9 behind %d records; first query answered after %.0f ms", out.Tail, out.RestartMs))
	return nil
}

// self starts this program again and gives the first line that it says.
func self(ctx context.Context, args ...string) (*exec.Cmd, string, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	c := exec.CommandContext(ctx, path, args...) // #nosec G204 -- this program again
	c.Args[0] = os.Args[0]                       // and under the name it was started by
	c.Stderr = os.Stderr
	said, err := c.StdoutPipe()
	if err != nil {
		return nil, "", err
	}
	if err := c.Start(); err != nil {
		return nil, "", err
	}
	line, err := bufio.NewReader(said).ReadString('\n')
	return c, line, err
}

// tailCmd is the ledger that is killed: it pays, says so, and pays on. Without
// payments it is the one that starts again: it answers a query, says so, and ends.
func tailCmd() *cobra.Command {
	var dir string
	var payments, inFlight, persons, made, paid int
	c := &cobra.Command{
		Use: tailCommand, Hidden: true, Args: cobra.NoArgs,
		Short: "A ledger that pays without checkpoints until it is killed",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if payments == 0 {
				return answerOnce(dir, cmd.OutOrStdout())
			}
			node, err := ledger.Open(ledger.Config{Dir: dir, Region: directRegion, Area: directArea, MinFree: 1,
				CheckpointEvery: time.Hour, CheckpointBytes: 1 << 40, CheckpointRecords: 1 << 40})
			if err != nil {
				return err
			}
			d, err := load.Resume(load.DirectConfig{Taker: node, Persons: persons, Dues: made - paid}, made, paid)
			if err != nil {
				return err
			}
			if w, ok := node.Window(load.DirectBank); ok {
				d.SetOpen(w.Open)
			}
			run := load.DirectRun{InFlight: inFlight, Duration: time.Hour, Payments: payments}
			rep, err := d.Run(cmd.Context(), run)
			if err != nil || rep.Errors > 0 {
				return fmt.Errorf("%d errors %v: %w", rep.Errors, rep.Faults, err)
			}
			if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%d payments\n", rep.Payments); err != nil {
				return err
			}
			run.Payments = 0
			_, err = d.Run(cmd.Context(), run)
			return err
		},
	}
	fl := c.Flags()
	fl.StringVar(&dir, "dir", "", "data directory")
	fl.IntVar(&payments, "payments", 0, "payments before the word to kill")
	fl.IntVar(&inFlight, "inflight", 1, "payments under way")
	fl.IntVar(&persons, "persons", 0, "persons in the ledger")
	fl.IntVar(&made, "made", 0, "dues assessed")
	fl.IntVar(&paid, "paid", 0, "dues paid")
	return c
}

// answerOnce starts a ledger, answers one query and closes it.
func answerOnce(dir string, out io.Writer) error {
	node, err := benchNode(dir, false)
	if err != nil {
		return err
	}
	if len(node.DuesOf(1, 0)) == 0 {
		return errors.Join(errors.New("the first query found no dues"), node.Close())
	}
	_, err = fmt.Fprintf(out, "answered behind %d records\n", node.Stats().Tail)
	return errors.Join(err, node.Close())
}

// prove verifies the stopped ledger as shebaoctl does.
func (f *loadFlags) prove(dir string, out *ledgerResult, tell func(string)) error {
	began, told := time.Now(), time.Now()
	stop, err := profileTo(f.profile, ".verify")
	if err != nil {
		return err
	}
	defer stop()
	rep, err := ledger.Verify(dir, func(done, total int64) {
		if time.Since(told) > 10*time.Second {
			told = time.Now()
			tell(fmt.Sprintf("verify: %d %% of the log", done*100/max(total, 1)))
		}
	})
	if err != nil {
		return err
	}
	out.VerifySecond = time.Since(began).Seconds()
	out.Verify = "ok"
	if !rep.OK() {
		out.Verify = strings.Join(rep.Problems, "; ")
	}
	tell(fmt.Sprintf("verified %d records in %.0f s", rep.Records, out.VerifySecond))
	return nil
}

// gauges watch a node while it is measured.
type gauges struct {
	quit chan struct{}
	wg   sync.WaitGroup
	lag  int // most records behind the last checkpoint
}

func watch(node *ledger.Node) *gauges {
	g := &gauges{quit: make(chan struct{})}
	g.wg.Add(1)
	go func() {
		defer g.wg.Done()
		t := time.NewTicker(gaugeEvery)
		defer t.Stop()
		for {
			select {
			case <-g.quit:
				return
			case <-t.C:
				g.lag = max(g.lag, node.Stats().Tail)
			}
		}
	}()
	return g
}

func (g *gauges) end() {
	close(g.quit)
	g.wg.Wait()
}

func minuteLine(m load.Minute, s ledger.Stats) string {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	return fmt.Sprintf("minute %d: %.0f payments/s, p50 %.2f, p99 %.2f, p99.9 %.2f, longest %.0f ms; live heap %d MiB, %d records behind the checkpoint, state file %d MiB",
		m.N, m.PerSecond, m.P50, m.P99, m.P999, m.Longest, live[0].Value.Uint64()>>20, s.Tail, s.StateBytes>>20)
}

// heapInUse is what is alive on the heap.
func heapInUse() int64 {
	runtime.GC()
	runtime.GC() // what a finaliser let go
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// cpuOfSelf is the processor time of this process so far.
func cpuOfSelf() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// profileTo writes a processor profile until the function it gives is called.
func profileTo(path, part string) (func(), error) {
	if path == "" {
		return func() {}, nil
	}
	w, err := os.Create(path + part) // #nosec G304 -- the file that was asked for
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(w); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return func() {
		pprof.StopCPUProfile()
		_ = w.Close()
	}, nil
}
