package load

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/ledger"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// testAmount is what a resident pays for the year's medical insurance by the
// demo's rates.
const testAmount si.Fen = 51_000

// world is HSM process and hub, as processes.
type world struct {
	t    testing.TB
	dir  string
	env  []string
	addr string
	hsm  *child
	hub  *child
}

func newWorld(t testing.TB, persons int, env ...string) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir()}
	w.env = append([]string{envDir + "=" + w.dir, fmt.Sprintf("%s=%d", envPersons, persons)}, env...)
	w.hsm, _ = spawn(t, "hsm", w.env...)
	w.hub, w.addr = spawn(t, "hub", append(w.env, envAddr+"=127.0.0.1:0")...)
	return w
}

func (w *world) stop() string {
	said := w.hub.stop(w.t)
	w.hsm.stop(w.t)
	return said
}

func (w *world) config(links, inFlight int) Config {
	w.t.Helper()
	p, err := testProfile()
	if err != nil {
		w.t.Fatal(err)
	}
	return Config{Addrs: []string{w.addr}, Profile: p, Keys: testKeys(), Links: links, InFlight: inFlight, Duration: 5 * time.Second}
}

// acks collects what was acknowledged.
type acks struct {
	mu   sync.Mutex
	list []Ack
}

func (a *acks) add(k Ack) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.list = append(a.list, k)
}

// allThereIs is long enough to pay every notice on the slowest machine; a run
// ends when there are no more.
const allThereIs = 2 * time.Minute

// TestEveryNoticeOnce pays every notice there is and compares with the ledger.
func TestEveryNoticeOnce(t *testing.T) {
	const persons = 3000
	w := newWorld(t, persons)
	supply, got := &notices{most: persons}, &acks{}
	cfg := w.config(4, 8)
	cfg.Next, cfg.OnAck, cfg.Duration = supply.Next, got.add, allThereIs
	rep, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.stop()
	if rep.Payments != persons || rep.Errors != 0 || len(got.list) != persons || rep.Unanswered != 0 {
		t.Fatalf("report %+v, want %d payments and no error", rep, persons)
	}
	compare(t, w.dir, got.list, persons)
}

// TestRefill has more made twice when there is none left: nothing is under way
// meanwhile, and the time it takes is not counted.
func TestRefill(t *testing.T) {
	const persons, each, takes = 300, 100, 2 * time.Second
	w := newWorld(t, persons)
	all, got := &notices{most: persons}, &acks{}
	left, refills := each, 0
	var mu sync.Mutex
	cfg := w.config(4, 8)
	cfg.OnAck, cfg.Duration = got.add, allThereIs
	cfg.Next = func() (si.NoticeNo, si.Fen, bool) {
		mu.Lock()
		defer mu.Unlock()
		if left--; left < 0 {
			return 0, 0, false
		}
		return all.Next()
	}
	cfg.Refill = func() error {
		refills++
		got.mu.Lock()
		defer got.mu.Unlock()
		if len(got.list) != refills*each {
			t.Errorf("refill %d with %d payments made, want %d", refills, len(got.list), refills*each)
		}
		if refills == persons/each {
			return errors.New("that was all")
		}
		mu.Lock()
		defer mu.Unlock()
		left = each
		time.Sleep(takes / (persons/each - 1)) // what is not to be counted
		return nil
	}
	began := time.Now()
	rep, err := Run(t.Context(), cfg)
	took := time.Since(began)
	if err != nil {
		t.Fatal(err)
	}
	w.stop()
	if rep.Payments != persons || rep.Unanswered != 0 || len(rep.Faults) != 1 || !strings.Contains(rep.Faults[0], "that was all") {
		t.Errorf("report %+v, want %d payments and the refill's error", rep, persons)
	}
	if counted := time.Duration(rep.Seconds * float64(time.Second)); counted > took-takes {
		t.Errorf("%s counted of %s, of which refills took %s", counted, took, takes)
	}
}

// compare looks every acknowledged payment up in the ledger.
func compare(t *testing.T, dir string, list []Ack, persons int) {
	t.Helper()
	node, err := ledger.Open(ledger.Config{Dir: filepath.Join(dir, "ledger"), Region: 1, Area: 330110, MinFree: 1})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[si.NoticeNo]bool{}
	for _, a := range list {
		p, ok := node.Payment(a.Payment)
		if !ok || p.State != ledgerapi.PayPosted || p.Receipt != a.Receipt || p.Total != a.Amount {
			t.Fatalf("acknowledged %+v; the ledger has %+v, %v", a, p, ok)
		}
		if seen[a.Notice] {
			t.Fatalf("notice %s was acknowledged twice", a.Notice)
		}
		seen[a.Notice] = true
	}
	tot := node.Totals(3, si.DateOf(time.Now()))
	if int(tot.Payments.Count) < len(list) || int(tot.Payments.Count) > persons {
		t.Errorf("the ledger has %d payments, %d were acknowledged", tot.Payments.Count, len(list))
	}
	if err := node.Check(); err != nil {
		t.Error(err)
	}
	if err := node.Close(); err != nil {
		t.Error(err)
	}
}

// TestKilledHub kills the hub twice in the middle and starts it again: every
// payment gets its answer, none two receipts, and the ledger has them all.
func TestKilledHub(t *testing.T) {
	const persons = 12_000
	w := newWorld(t, persons)
	supply, got := &notices{most: persons}, &acks{}
	cfg := w.config(4, 8)
	cfg.Next, cfg.OnAck = supply.Next, got.add
	cfg.Duration = 60 * time.Second
	done := make(chan Report, 1)
	go func() {
		rep, err := Run(t.Context(), cfg)
		if err != nil {
			t.Error(err)
		}
		done <- rep
	}()
	reached := func(n int) {
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
			got.mu.Lock()
			have := len(got.list)
			got.mu.Unlock()
			if have >= n {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d payments after 30 s, want %d", have, n)
			}
		}
	}
	for _, at := range []int{persons / 10, persons / 3} {
		reached(at)
		w.hub.kill(t)
		w.hub, _ = spawn(t, "hub", append(w.env, envAddr+"="+w.addr)...)
	}
	rep := <-done
	w.stop()
	if rep.Payments != persons || rep.Errors != 0 || rep.Unanswered != 0 || rep.Reconnects < 8 || rep.AskedAgain == 0 || rep.Repeats == 0 {
		t.Errorf("report %+v, want %d payments, no error, and links made again", rep, persons)
	}
	compare(t, w.dir, got.list, persons)
}

// TestOpenLoop pays at a rate.
func TestOpenLoop(t *testing.T) {
	w := newWorld(t, 3000)
	supply := &notices{most: 3000}
	cfg := w.config(4, 8)
	cfg.Next, cfg.Rate, cfg.Duration = supply.Next, 1000, 2*time.Second
	rep, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.stop()
	t.Log(rep)
	if rep.Errors != 0 || rep.Payments == 0 || rep.Payments > 2010 {
		t.Errorf("report %+v, want payments, and no more than 1000 a second for 2 s", rep)
	}
}

// TestRefusals counts what is not paid: notices that nobody made.
func TestRefusals(t *testing.T) {
	w := newWorld(t, 10)
	supply := &notices{most: 30}
	cfg := w.config(1, 4)
	cfg.Next = supply.Next
	rep, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.stop()
	if rep.Payments != 10 || rep.Errors != 20 || rep.Refused["25"] != 20 {
		t.Errorf("report %+v, want 10 payments and 20 refusals with 25", rep)
	}
}

// TestNullLedger pays invented notices.
func TestNullLedger(t *testing.T) {
	w := newWorld(t, 0, envNull+"=1")
	supply := &notices{most: 5000}
	cfg := w.config(2, 16)
	cfg.Next, cfg.NoReceipts, cfg.Duration = supply.Next, true, allThereIs
	rep, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.stop()
	if rep.Payments != 5000 || rep.Errors != 0 {
		t.Errorf("report %+v, want 5000 payments", rep)
	}
}

func TestConfigBounds(t *testing.T) {
	p, err := testProfile()
	if err != nil {
		t.Fatal(err)
	}
	good := Config{Addrs: []string{"127.0.0.1:1"}, Profile: p, Links: 1, InFlight: maxInFlight, Duration: time.Second, Next: (&notices{}).Next}
	if err := good.check(); err != nil {
		t.Errorf("at the bounds: %v", err)
	}
	for name, change := range map[string]func(*Config){
		"no links": func(c *Config) { c.Links = 0 }, "links over the profile": func(c *Config) { c.Links = p.Limits.Connections + 1 },
		"nothing in flight": func(c *Config) { c.InFlight = 0 }, "too many in flight": func(c *Config) { c.InFlight = maxInFlight + 1 },
		"no time": func(c *Config) { c.Duration = 0 }, "rate": func(c *Config) { c.Rate = -1 },
		"no supply": func(c *Config) { c.Next = nil }, "no profile": func(c *Config) { c.Profile = nil },
	} {
		c := good
		change(&c)
		if c.check() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := Run(t.Context(), good); err == nil {
		t.Error("a run without a server succeeded")
	}
}

// BenchmarkCounter is the bar of the throughput path: real processes for the
// hub and its HSM, real TCP, a code on every message, every payment durable
// before its answer. One iteration is one payment.
func BenchmarkCounter(b *testing.B) {
	for _, c := range []struct {
		name            string
		links, inFlight int
		null            bool
	}{{"64x8", 64, 8, false}, {"64x16", 64, 16, false}, {"128x1", 128, 1, false}, {"1x1", 1, 1, false}, {"64x16-null", 64, 16, true}} {
		b.Run(c.name, func(b *testing.B) {
			env := []string{envProfile + "=" + os.Getenv("CPUPROFILE_OF_HUB")}
			if c.null {
				env = append(env, envNull+"=1")
			}
			w := newWorld(b, b.N, env...)
			supply := &notices{most: uint64(b.N)}
			cfg := w.config(c.links, c.inFlight)
			cfg.Next, cfg.NoReceipts, cfg.Duration = supply.Next, c.null, time.Hour
			b.ResetTimer()
			began := cpu()
			rep, err := Run(b.Context(), cfg)
			used := cpu() - began
			b.StopTimer()
			if err != nil {
				b.Fatal(err)
			}
			if rep.Errors != 0 || rep.Payments != uint64(b.N) {
				b.Fatalf("%+v", rep)
			}
			b.ReportMetric(rep.PerSecond, "payments/s")
			b.ReportMetric(rep.P50, "p50-ms")
			b.ReportMetric(rep.P99, "p99-ms")
			b.ReportMetric(rep.P999, "p999-ms")
			b.Logf("generator %.1f µs of CPU a payment", float64(used.Microseconds())/float64(b.N))
			b.Log(w.hub.stop(b))
			w.hsm.stop(b)
			hsmCPU := w.hsm.cmd.ProcessState.UserTime() + w.hsm.cmd.ProcessState.SystemTime()
			b.Logf("HSM process %.1f µs of CPU a payment", float64(hsmCPU.Microseconds())/float64(b.N))
		})
	}
}
