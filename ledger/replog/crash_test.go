package replog

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/shebao-pay/shebao/internal/faultfs"
)

// crashSeeds is how many disks the store is crashed on; each crashes several times.
const crashSeeds = 400

// life is a store that appends until a planned call fails or enough is written,
// falls, and starts again. Each of its steps gives the first thing that is wrong.
type life struct {
	files *memFiles
	rng   *rand.Rand
	told  []error
	acked uint64 // entries of which a StoreLogs returned nil
	tried uint64 // entries that were begun
	known uint64 // of the last checkpoint
}

func (l *life) options() StoreOptions {
	opt := memOptions(l.files, MinSegment)
	opt.Known = l.known
	opt.Fatal = func(err error) { l.told = append(l.told, err) }
	return opt
}

// plan makes one call of some kind fail, soon.
func (l *life) plan() {
	kind := faultfs.Calls[l.rng.IntN(len(faultfs.Calls))]
	n := 1 + l.rng.IntN(6)
	if kind == faultfs.Write || kind == faultfs.Sync {
		n += l.rng.IntN(30)
	}
	l.files.FailAt(kind, n, []error{syscall.EIO, syscall.ENOSPC}[l.rng.IntN(2)])
}

// planned tells a failure that was planned.
func planned(err error) bool { return errors.Is(err, syscall.EIO) || errors.Is(err, syscall.ENOSPC) }

// run is one life, and the power failure at its end. A life may end in its start.
func (l *life) run(plan bool) (started bool, wrong error) {
	l.told = nil
	if plan {
		l.plan()
	}
	defer l.files.Crash()
	s, err := OpenStore(l.options())
	switch {
	case err != nil && plan && planned(err):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("a start behind a crash: %w", err)
	}
	defer func() {
		l.files.Crash()
		_ = s.Close() // its files are dead
	}()
	if err := l.holds(s); err != nil {
		return true, err
	}
	for range 1 + l.rng.IntN(12) {
		if l.rng.IntN(8) == 0 && s.last > s.first && s.first != 0 {
			l.known = max(l.known, s.last)
			if _, err := s.Archive(l.known, 1, l.known, [32]byte{7}); err != nil {
				break
			}
		}
		n := uint64(1 + l.rng.IntN(6))
		l.tried = l.acked + n
		if err := s.StoreLogs(entries(l.acked+1, l.tried, 0)); err != nil {
			return true, l.stopped(s, err)
		}
		l.acked = l.tried
	}
	return true, nil
}

// holds wants every acknowledged entry, as it was written, and nothing beyond
// what was tried.
func (l *life) holds(s *Store) error {
	if s.last < l.acked || s.last > l.tried {
		return fmt.Errorf("the log ends at %d; acknowledged %d, tried %d", s.last, l.acked, l.tried)
	}
	var e raft.Log
	for i := max(s.first, 1); i <= s.last; i++ {
		if err := s.GetLog(i, &e); err != nil || !sameEntry(&e, entry(i, 0)) {
			return fmt.Errorf("entry %d is not what was written: %w", i, err)
		}
	}
	l.acked, l.tried = s.last, s.last
	return nil
}

// stopped wants a store that met a failure to have told it once, and to take
// nothing more.
func (l *life) stopped(s *Store, err error) error {
	if !planned(err) {
		return fmt.Errorf("StoreLogs met what nobody planned: %w", err)
	}
	if again := s.StoreLogs(entries(l.acked+1, l.tried, 0)); !errors.Is(again, err) || len(l.told) != 1 {
		return fmt.Errorf("behind %w the store says %w and has told %v", err, again, l.told)
	}
	return nil
}

// crash lives one seed's lives; the last one is to start in peace.
func (l *life) crash(ended map[bool]int) error {
	for range 8 {
		started, err := l.run(l.rng.IntN(4) > 0)
		ended[started]++
		if err != nil {
			return err
		}
	}
	_, err := l.run(false)
	return err
}

func newLife(seed uint64) *life {
	return &life{files: &memFiles{faultfs.New(seed)}, rng: rand.New(rand.NewPCG(seed, 1))}
}

// TestStoreCrashes runs a log on a disk that fails at any call and loses, tears
// and reorders what was not synced, again and again. What was acknowledged is
// there as it was written, nothing is invented, and what a power failure leaves
// is never taken for damage.
func TestStoreCrashes(t *testing.T) {
	ended := map[bool]int{}
	var entries uint64
	for seed := range uint64(crashSeeds / stride) {
		l := newLife(seed)
		if err := l.crash(ended); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		entries += l.acked
	}
	t.Logf("%d lives ended in their start, %d later; %d entries kept", ended[false], ended[true], entries)
	if ended[false] == 0 || ended[true] == 0 || entries == 0 {
		t.Error("the crashes came too early to say anything")
	}
}

// TestLogCrashes does the same to the whole log with its groups of records: what
// a waiter was told is applied again, once and in the same place; a start and its
// replay give one history.
func TestLogCrashes(t *testing.T) {
	kept := 0
	for seed := range uint64(40) {
		files := &memFiles{faultfs.New(seed)}
		if err := errors.Join(files.MkdirAll(memDir), files.SyncDir("/")); err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(seed, 2))
		var history []uint64 // records as the last start replayed them
		acked := map[uint64]bool{}
		next := uint64(1)
		for range 4 {
			r := &recorder{}
			cfg := testConfig(memDir)
			cfg.Segment, cfg.Files, cfg.Fatal = MinSegment, files, func(error) {}
			l := openLog(t, cfg, r)
			stayDown(t, l)
			got := r.numbers()
			holdsRecords(t, seed, history, got, acked, next)
			history = got
			files.FailAt([]faultfs.Call{faultfs.Write, faultfs.Sync, faultfs.Rename}[rng.IntN(3)], 1+rng.IntN(25), syscall.EIO)
			acked = submitSome(t, l, rng, &next, acked)
			files.Crash()
			_ = l.Close() // its files are dead
		}
		r := &recorder{}
		cfg := testConfig(memDir)
		cfg.Segment, cfg.Files = MinSegment, files
		l := openLog(t, cfg, r)
		holdsRecords(t, seed, history, r.numbers(), acked, next)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		kept += len(acked)
	}
	if kept == 0 {
		t.Error("nothing was acknowledged")
	}
}

// stayDown keeps raft from an election when the log has failed: it would end this
// process at a vote that cannot be written, where Fatal has ended a real one.
func stayDown(t *testing.T, l *Log) {
	t.Helper()
	c := l.raft.ReloadableConfig()
	c.HeartbeatTimeout, c.ElectionTimeout = time.Hour, time.Hour
	if err := l.raft.ReloadConfig(c); err != nil {
		t.Fatal(err)
	}
}

// submitSome submits groups of records until one is not acknowledged.
func submitSome(t *testing.T, l *Log, rng *rand.Rand, next *uint64, acked map[uint64]bool) map[uint64]bool {
	t.Helper()
	for range 20 {
		n := 1 + rng.IntN(40)
		waits := make([]testWaiter, n)
		for i := range waits {
			waits[i] = make(testWaiter, 1)
			if err := l.Submit(record(*next+uint64(i)), waits[i]); err != nil {
				t.Fatal(err)
			}
		}
		lost := false
		for i, w := range waits {
			if res := <-w; res.err == nil {
				acked[*next+uint64(i)] = true
			} else {
				lost = true
			}
		}
		*next += uint64(n)
		if lost {
			break
		}
	}
	return acked
}

// holdsRecords compares a replay with the one before it and with what was told.
func holdsRecords(t *testing.T, seed uint64, before, got []uint64, acked map[uint64]bool, next uint64) {
	t.Helper()
	if len(got) < len(before) || !slices.Equal(got[:len(before)], before) {
		t.Fatalf("seed %d: the replay is not the one before it and more", seed)
	}
	seen := map[uint64]bool{}
	for _, n := range got {
		if seen[n] || n == 0 || n >= next {
			t.Fatalf("seed %d: record %d stands twice or was never submitted", seed, n)
		}
		seen[n] = true
	}
	for n := range acked {
		if !seen[n] {
			t.Fatalf("seed %d: record %d was acknowledged and is gone; before %d, got %d, next %d", seed, n, len(before), len(got), next)
		}
	}
}
