package replog

import (
	"context"
	"encoding/binary"
	"errors"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/shebao-pay/shebao/internal/faultfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// result is what a test's waiter was told.
type result struct {
	index uint64
	pos   int // in the batch
	err   error
}

type testWaiter chan result

func (w testWaiter) Fail(err error) { w <- result{err: err} }

// recorder is a machine that keeps every batch. Records are 8 bytes long.
type recorder struct {
	mu      sync.Mutex
	entries []Entry
	gate    chan struct{} // when set, Apply waits for it before it answers
	begun   chan struct{} // when set, gets a value as Apply begins
}

func (r *recorder) Apply(e Entry, waiters []Waiter) {
	if r.begun != nil {
		r.begun <- struct{}{}
	}
	if r.gate != nil {
		<-r.gate
	}
	r.mu.Lock()
	r.entries = append(r.entries, e)
	r.mu.Unlock()
	for i, w := range waiters {
		w.(testWaiter) <- result{index: e.Index, pos: i}
	}
}

func (r *recorder) numbers() []uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []uint64
	for _, e := range r.entries {
		for b := e.Data; len(b) >= 8; b = b[8:] {
			all = append(all, binary.LittleEndian.Uint64(b))
		}
	}
	return all
}

func testConfig(dir string) Config {
	return Config{
		Dir: filepath.Join(dir, "log"), Meta: filepath.Join(dir, "raft.meta"), NodeID: "n1",
		Segment: 64 << 10, Election: 10 * time.Millisecond, Lease: 10 * time.Millisecond,
	}
}

func openLog(t *testing.T, cfg Config, m Machine) *Log {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	l, err := Open(ctx, cfg, m)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return l
}

func record(n uint64) []byte { return binary.LittleEndian.AppendUint64(nil, n) }

func TestLogKeepsOrderAcrossRestart(t *testing.T) {
	cfg := testConfig(t.TempDir())
	var want []uint64
	for round := range 3 {
		r := &recorder{}
		l := openLog(t, cfg, r)
		if got := r.numbers(); len(got) != len(want) {
			t.Fatalf("round %d: replay applied %d records, want %d", round, len(got), len(want))
		}
		done := make(testWaiter, 5000)
		for n := range uint64(5000) {
			want = append(want, n)
			if err := l.Submit(record(n), done); err != nil {
				t.Fatalf("Submit: %v", err)
			}
		}
		for range 5000 {
			if res := <-done; res.err != nil {
				t.Fatalf("waiter: %v", res.err)
			}
		}
		got := r.numbers()
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("round %d: record %d is %d, want %d", round, i, got[i], want[i])
			}
		}
		if err := l.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
	}
}

// TestLogGathersWhileSyncing holds Apply of one record and shows that all that
// came meanwhile share the next entries, at most MaxBatch to each.
func TestLogGathersWhileSyncing(t *testing.T) {
	r := &recorder{gate: make(chan struct{}), begun: make(chan struct{}, 16)}
	l := openLog(t, testConfig(t.TempDir()), r)
	done := make(testWaiter, 4000)
	submit := func(n int) {
		for i := range n {
			if err := l.Submit(record(uint64(i)), done); err != nil {
				t.Fatalf("Submit: %v", err)
			}
		}
	}
	submit(1)
	<-r.begun // the first is applied and held; the token is free again
	submit(1) // the second is synced beside it and waits for the machine
	for l.Stats().Batches < 2 {
		time.Sleep(time.Millisecond)
	}
	submit(2500) // these find the token taken
	close(r.gate)
	for range 2502 {
		if res := <-done; res.err != nil {
			t.Fatalf("waiter: %v", res.err)
		}
	}
	if got, want := l.Stats().Batches, uint64(5); got != want {
		t.Errorf("2502 records made %d batches, want %d", got, want)
	}
	for i, e := range r.entries {
		if len(e.Data) > 8*MaxBatch {
			t.Errorf("batch %d holds %d records, at most %d", i, len(e.Data)/8, MaxBatch)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestLogBounds(t *testing.T) {
	r := &recorder{gate: make(chan struct{})}
	cfg := testConfig(t.TempDir())
	cfg.Segment = 1 << 20
	l := openLog(t, cfg, r)
	done := make(testWaiter, MaxQueue+4*MaxBatch)
	if err := l.Submit(nil, done); !errors.Is(err, ErrTooLarge) {
		t.Errorf("Submit of nothing: %v, want ErrTooLarge", err)
	}
	if err := l.Submit(make([]byte, MaxRecord+1), done); !errors.Is(err, ErrTooLarge) {
		t.Errorf("Submit of one byte too many: %v, want ErrTooLarge", err)
	}
	if err := l.Submit(make([]byte, MaxRecord), done); err != nil {
		t.Errorf("Submit of MaxRecord bytes: %v", err)
	}
	sent := 1
	for {
		err := l.Submit(record(1), done)
		if errors.Is(err, ErrBusy) && l.Stats().Queued < MaxQueue {
			continue // the second batch has been taken from the queue meanwhile
		}
		if errors.Is(err, ErrBusy) {
			// A batch may have been taken since: only a queue that is full and
			// stays so is the bound.
			if got := l.Stats().Queued; got == MaxQueue {
				break
			}
			continue
		}
		if err != nil {
			t.Fatalf("Submit: %v", err)
		}
		sent++
	}
	close(r.gate)
	for range sent {
		if res := <-done; res.err != nil {
			t.Fatalf("waiter: %v", res.err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.Submit(record(1), done); !errors.Is(err, ErrClosed) {
		t.Errorf("Submit after Close: %v, want ErrClosed", err)
	}
}

// TestLogCloseFailsWhatWaits shows that nobody waits for ever: what is queued
// when the log closes is told so.
func TestLogCloseFailsWhatWaits(t *testing.T) {
	r := &recorder{gate: make(chan struct{}), begun: make(chan struct{}, 16)}
	l := openLog(t, testConfig(t.TempDir()), r)
	done := make(testWaiter, 3000)
	for i := range 1 {
		if err := l.Submit(record(uint64(i)), done); err != nil {
			t.Fatal(err)
		}
	}
	<-r.begun
	if err := l.Submit(record(1), done); err != nil {
		t.Fatal(err)
	}
	for l.Stats().Batches < 2 {
		time.Sleep(time.Millisecond)
	}
	for i := range 100 {
		if err := l.Submit(record(uint64(i)), done); err != nil {
			t.Fatal(err)
		}
	}
	closed := make(chan error)
	go func() { closed <- l.Close() }()
	for range 100 {
		if res := <-done; !errors.Is(res.err, ErrClosed) {
			t.Fatalf("waiter in the queue: %v, want ErrClosed", res.err)
		}
	}
	close(r.gate)
	for range 2 {
		if res := <-done; res.err != nil {
			t.Fatalf("waiter under way: %v, want an answer", res.err)
		}
	}
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
}

// TestLogSkipsTheCheckpoint starts a second life from a position.
func TestLogSkipsTheCheckpoint(t *testing.T) {
	cfg := testConfig(t.TempDir())
	r := &recorder{}
	l := openLog(t, cfg, r)
	done := make(testWaiter, 1)
	for n := range uint64(20) {
		if err := l.Submit(record(n), done); err != nil {
			t.Fatal(err)
		}
		<-done
	}
	at := r.entries[11].Position
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if at.ConfigIndex == 0 || len(at.Config) == 0 {
		t.Fatalf("position %+v carries no member list", at)
	}
	cfg.At = at
	r2 := &recorder{}
	l = openLog(t, cfg, r2)
	got := r2.numbers()
	if len(got) != 8 || got[0] != 12 || got[7] != 19 {
		t.Errorf("replay behind the checkpoint gave %v, want 12 to 19", got)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestLogUnknown breaks the disk under a record: its waiter learns that the
// outcome is unknown, and the process is told to stop.
func TestLogUnknown(t *testing.T) {
	cfg := testConfig(memDir)
	disk := newMemFiles()
	fatal := make(chan error, 8)
	cfg.Files, cfg.Fatal = disk, func(err error) { fatal <- err }
	l := openLog(t, cfg, &recorder{})
	stayDown(t, l)
	disk.FailAt(faultfs.Sync, 1, syscall.EIO)
	done := make(testWaiter, 1)
	if err := l.Submit(record(1), done); err != nil {
		t.Fatal(err)
	}
	if res := <-done; !errors.Is(res.err, ErrUnknown) {
		t.Errorf("waiter behind a failed sync: %v, want ErrUnknown", res.err)
	}
	if err := <-fatal; !errors.Is(err, syscall.EIO) {
		t.Errorf("Fatal was told %v, want the sync error", err)
	}
	disk.FailAt(faultfs.Sync, 0, nil)
	if err := l.Close(); err != nil {
		t.Logf("Close after a failure: %v", err)
	}
}
