package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/shebao-pay/shebao/terminal/flow"
)

// stride thins the exhaustive tests out where they run slowly.
const stride = 1 + 12*raceEnabled

// lines is how many payments the sample holds: enough for more than 64 KiB.
const lines = 40

// quickDir is a folder in memory where there is one: the tests below sync some ten
// thousand files, and none of them asks whether a sync works.
func quickDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "journal-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// sampled is a journal of some payments, as it lies on the disk, up to the last
// page that was ever used.
func sampled(t *testing.T) []byte {
	t.Helper()
	path := filepath.Join(quickDir(t), "journal.bolt")
	j := open(t, path)
	for n := range byte(lines) {
		for _, s := range []flow.PayState{flow.Created, flow.Sent, flow.Posted} {
			put(t, j, intent(n, s))
		}
		if n%2 == 0 {
			put(t, j, intent(n, flow.Receipted))
		}
	}
	used := int64(0)
	if err := j.db.View(func(tx *bolt.Tx) error { used = tx.Size(); return nil }); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b = b[:used]
	if len(b) < 64<<10 {
		t.Fatalf("the sample has %d bytes, the test wants 64 KiB", len(b))
	}
	return b
}

// whole wants the sample's payments and records in an open journal, with more
// payments put behind them.
func whole(j *Journal, more int) error {
	for n := range byte(lines) {
		want := intent(n, flow.Posted)
		if n%2 == 0 {
			want.State = flow.Receipted
		}
		got, found, err := j.Payment(want.ID)
		if err != nil || !found || got.State != want.State || got.Total != want.Total || !slices.Equal(got.Lines, want.Lines) {
			return fmt.Errorf("payment %d stands at %v, found %v, %w", n, got.State, found, err)
		}
	}
	u, err := j.Unresolved()
	if err != nil || len(u) != lines/2+more {
		return fmt.Errorf("%d payments are open, want %d: %w", len(u), lines/2+more, err)
	}
	if head := uint64(lines*3 + lines/2 + more); j.Head() != head {
		return fmt.Errorf("the head is %d, want %d", j.Head(), head)
	}
	return nil // Open has checked the rest
}

// errOneBack is what opened answers for a journal that stands one write before
// its last.
var errOneBack = errors.New("the last write is missing")

func oneBack(j *Journal) bool {
	last, found, err := j.Payment(intent(lines-1, flow.Sent).ID)
	return found && err == nil && last.State == flow.Sent && j.Head() == lines*3+lines/2-1
}

// opened opens damaged bytes. What it takes must be the sample. With more it must
// take a payment besides; behind that the file is the sample and that payment, or
// is refused.
func opened(path string, b []byte, more bool) (taken bool, err error) {
	if err := os.WriteFile(path, b, 0o600); err != nil {
		return false, err
	}
	defer func() { _ = os.Remove(path) }()
	j, err := Open(path, Options{Terminal: "terminal-1", Free: plenty})
	if err != nil {
		return false, nil
	}
	if err := whole(j, 0); err != nil {
		if oneBack(j) {
			return true, errors.Join(errOneBack, j.Close())
		}
		return true, fmt.Errorf("taken with another content: %w", err)
	}
	if !more {
		return true, j.Close()
	}
	err = guard(func() error { return j.Put(start.Add(time.Hour), intent(200, flow.Created)) })
	if err != nil {
		_ = j.db.Close()
		return true, nil // it says so and stops
	}
	if err := j.Close(); err != nil {
		return true, err
	}
	if j, err = Open(path, Options{Terminal: "terminal-1", Free: plenty}); err != nil {
		return true, nil
	}
	if err := whole(j, 1); err != nil {
		return true, fmt.Errorf("behind one payment more: %w", err)
	}
	return true, j.Close()
}

// TestCutAtEveryByte cuts the file at each byte of its last 64 KiB: it is refused,
// or nothing was in the part that is gone.
func TestCutAtEveryByte(t *testing.T) {
	b := sampled(t)
	dir := quickDir(t)
	taken := 0
	for at := len(b) - 64<<10; at < len(b); at += stride {
		ok, err := opened(filepath.Join(dir, fmt.Sprint(at)), b[:at], true)
		if err != nil {
			t.Fatalf("cut at byte %d of %d: %v", at, len(b), err)
		}
		if ok {
			taken++
		}
	}
	t.Logf("%d bytes; of %d cuts %d took nothing that was used", len(b), 64<<10/stride, taken)
	if ok, err := opened(filepath.Join(dir, "whole"), b, true); !ok || err != nil {
		t.Errorf("the whole file: taken %v, %v", ok, err)
	}
}

// TestEveryFlip flips one bit at 10,000 places: the file is refused, or it is read
// as it was written. The exception is bbolt's own head of the last write: damaged,
// it looks as if a power failure had torn it, and the file stands one write before.
func TestEveryFlip(t *testing.T) {
	b := sampled(t)
	dir := quickDir(t)
	rng := rand.New(rand.NewPCG(6, 6))
	refused, back := 0, 0
	for n := range 10_000 / stride {
		at, bit := rng.IntN(len(b)), byte(1)<<rng.IntN(8)
		bad := bytes.Clone(b)
		bad[at] ^= bit
		ok, err := opened(filepath.Join(dir, fmt.Sprint(n)), bad, n%8 == 0)
		if errors.Is(err, errOneBack) && at < 2*os.Getpagesize() {
			back++
			continue
		}
		if err != nil {
			t.Fatalf("bit %02x of byte %d: %v", bit, at, err)
		}
		if !ok {
			refused++
		}
	}
	t.Logf("of %d flips %d were refused, %d took the last write back, the others are in places that nothing uses", 10_000/stride, refused, back)
	if refused == 0 {
		t.Error("no flip was found")
	}
}

// TestDamagedHead: where bbolt falls back by one write, a payment whose T_SENT that
// write was is asked for at the hub, not taken for never sent.
func TestDamagedHead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.bolt")
	j := open(t, path)
	put(t, j, intent(1, flow.Created), intent(1, flow.Sent))
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for head := range 2 { // the newer one; then the older, which nothing needs
		bad := bytes.Clone(good)
		newer := txid(bad, 1) > txid(bad, 0)
		page := 0
		if newer == (head == 0) {
			page = 1
		}
		bad[page*os.Getpagesize()+headAt+20] ^= 4
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		j, err := Open(path, Options{Terminal: "terminal-1", Free: plenty})
		if err != nil {
			t.Fatal(err)
		}
		u, err := j.Unresolved()
		if err != nil || len(u) != 1 || u[0].State != flow.Sent || j.Head() != 2 {
			t.Errorf("head %d damaged: %+v, %v, %d records, want one payment at T_SENT", head, u, err, j.Head())
		}
		check(t, j)
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// txid reads the number of the write that a head is of.
func txid(b []byte, page int) uint64 {
	return binary.LittleEndian.Uint64(b[page*os.Getpagesize()+headAt+headLen-8:])
}

// TestNameIsDurable: a folder that cannot be synced is no place for a journal.
func TestNameIsDurable(t *testing.T) {
	if err := syncNames(filepath.Join(t.TempDir(), "gone", "journal.bolt")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing folder: %v", err)
	}
}
