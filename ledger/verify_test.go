package ledger

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/shebao-pay/shebao/ledger/core"
	"github.com/shebao-pay/shebao/ledger/store"
)

// A second reader and writer of docs/format/log-segments.md, made from that
// page alone: what an insider with time would use.

type rawFrame struct {
	kind, flags byte
	term, at    uint64
	data        []byte
}

var crcTable = crc32.MakeTable(crc32.Castagnoli)

func readRaw(t *testing.T, dir string) (frames []rawFrame) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "log", "*.seg"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no segments: %v", err)
	}
	sort.Strings(paths)
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		for at := 64; at+40 <= len(b); {
			n := int(binary.LittleEndian.Uint32(b[at:]))
			if n == 0 {
				break
			}
			frames = append(frames, rawFrame{b[at+12], b[at+13], binary.LittleEndian.Uint64(b[at+24:]),
				binary.LittleEndian.Uint64(b[at+32:]), bytes.Clone(b[at+40 : at+n])})
			at += (n + 7) / 8 * 8
		}
	}
	return frames
}

// writeRaw replaces the log by one segment with all checksums in order.
func writeRaw(t *testing.T, dir string, frames []rawFrame) {
	t.Helper()
	log := filepath.Join(dir, "log")
	if err := os.RemoveAll(log); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(log, 0o700); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 64)
	copy(b, "SHBSEG01")
	b[8] = 1
	binary.LittleEndian.PutUint32(b[60:], crc32.Checksum(b[:60], crcTable))
	var prev uint32
	for i, f := range frames {
		h := make([]byte, 40, 40+len(f.data)+8)
		binary.LittleEndian.PutUint32(h, uint32(40+len(f.data)))
		binary.LittleEndian.PutUint32(h[8:], prev)
		h[12], h[13] = f.kind, f.flags
		binary.LittleEndian.PutUint64(h[16:], uint64(i+1))
		binary.LittleEndian.PutUint64(h[24:], f.term)
		binary.LittleEndian.PutUint64(h[32:], f.at)
		h = append(h, f.data...)
		prev = crc32.Update(crc32.Checksum(h[:4], crcTable), crcTable, h[8:])
		binary.LittleEndian.PutUint32(h[4:], prev)
		for len(h)%8 != 0 {
			h = append(h, 0)
		}
		b = append(b, h...)
	}
	b = append(b, make([]byte, 4096)...)
	if err := os.WriteFile(filepath.Join(log, "0000000000000001.seg"), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func copyDir(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == lockName {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(to, rel)), 0o700); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), b, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// sample is a ledger of several segments whose checkpoint has a tail behind it,
// copied while the node stood still, as after a power failure.
func sample(t *testing.T) string {
	t.Helper()
	cfg := testConfig(t.TempDir())
	n := openNode(t, cfg)
	settle(t, n, 700)
	for i := range 700 {
		must(t, n, payDue(i))
		if i == 500 {
			if err := n.Checkpoint(); err != nil {
				t.Fatal(err)
			}
		}
	}
	n.saving.Lock() // no checkpoint while the files are copied
	dir := t.TempDir()
	copyDir(t, cfg.Dir, dir)
	n.saving.Unlock()
	closeNode(t, n)
	return dir
}

// isPay finds the frames that hold one Pay.
func isPay(f rawFrame) bool { return f.kind == 0 && len(f.data) > 0 && f.data[0] == 5 }

func TestVerifyFinds(t *testing.T) {
	whole := sample(t)
	clean := verifyOK(t, whole)
	if clean.Payments != 700 || clean.Checkpoint == 0 || clean.Checkpoint >= clean.Entries || clean.Segments < 2 {
		t.Fatalf("the sample %+v wants 700 payments, a tail behind its checkpoint and several segments", clean)
	}
	frames := readRaw(t, whole)
	var pays []int
	for i, f := range frames {
		if isPay(f) && uint64(i+1) < clean.Checkpoint {
			pays = append(pays, i)
		}
	}
	a, b := pays[10], pays[20]
	var none []string
	for _, c := range []struct {
		name   string
		change func(t *testing.T, dir string)
		want   []string // one of these words stands in a problem
	}{
		{"nothing", func(*testing.T, string) {}, none},
		{"the same log written again", func(t *testing.T, dir string) { writeRaw(t, dir, frames) }, none},
		{"a record removed, the rest made to fit", func(t *testing.T, dir string) {
			writeRaw(t, dir, append(append([]rawFrame(nil), frames[:a]...), frames[a+1:]...))
		}, []string{"chain head", "cannot be applied"}},
		{"two records swapped", func(t *testing.T, dir string) {
			fs := append([]rawFrame(nil), frames...)
			fs[a], fs[b] = fs[b], fs[a]
			writeRaw(t, dir, fs)
		}, []string{"chain head"}},
		{"a record repeated", func(t *testing.T, dir string) {
			fs := append([]rawFrame(nil), frames[:b]...)
			writeRaw(t, dir, append(append(fs, frames[a]), frames[b:]...))
		}, []string{"chain head", "stands at entry"}},
		{"an amount changed", func(t *testing.T, dir string) {
			fs := append([]rawFrame(nil), frames...)
			fs[a].data = bytes.Clone(fs[a].data)
			fs[a].data[len(fs[a].data)-30] ^= 1
			writeRaw(t, dir, fs)
		}, []string{"chain head", "cannot be applied"}},
		{"the tail cut below the checkpoint", func(t *testing.T, dir string) { writeRaw(t, dir, frames[:clean.Checkpoint-3]) },
			[]string{"which the log does not hold"}},
		{"the tail cut behind the checkpoint", func(t *testing.T, dir string) {
			end, err := os.ReadFile(filepath.Join(dir, "log", "end"))
			if err != nil {
				t.Fatal(err)
			}
			writeRaw(t, dir, frames[:clean.Entries-2])
			if err := os.WriteFile(filepath.Join(dir, "log", "end"), end, 0o600); err != nil {
				t.Fatal(err)
			}
		}, []string{"was durable up to"}},
		{"the first segment missing", func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, "log", "0000000000000001.seg")); err != nil {
				t.Fatal(err)
			}
		}, []string{"header", "begins with entry"}},
		{"a payment changed in the state file", func(t *testing.T, dir string) { alterRow(t, dir, core.BucketPay) },
			[]string{"differs from", "state file"}},
		{"an account changed in the state file", func(t *testing.T, dir string) { alterRow(t, dir, core.BucketAccount) },
			[]string{"differs from", "state file"}},
		{"another state file position", func(t *testing.T, dir string) {
			st, at := openState(t, dir)
			at.Index++
			saveState(t, st, at)
		}, []string{"chain head", "state file"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			copyDir(t, whole, dir)
			c.change(t, dir)
			r, err := Verify(dir, nil)
			if err != nil {
				t.Fatalf("Verify: %v", err)
			}
			text := strings.Join(r.Problems, "; ")
			if len(c.want) == 0 {
				if !r.OK() || r.Head != clean.Head || r.Payments != clean.Payments {
					t.Errorf("Verify = %+v, want what the whole ledger gives", r)
				}
				return
			}
			for _, w := range c.want {
				if strings.Contains(text, w) {
					return
				}
			}
			t.Errorf("Verify found %q, want one of %q", text, c.want)
		})
	}
}

func openState(t *testing.T, dir string) (*store.Store, store.Position) {
	t.Helper()
	st, err := store.Open(filepath.Join(dir, stateName), store.Options{Region: 1, Area: 330110})
	if err != nil {
		t.Fatal(err)
	}
	at, err := st.Position()
	if err != nil {
		t.Fatal(err)
	}
	return st, at
}

func saveState(t *testing.T, st *store.Store, at store.Position, cs ...core.Change) {
	t.Helper()
	err := st.Save(at, func(visit func(core.Change) error) error {
		for _, c := range cs {
			if err := visit(c); err != nil {
				return err
			}
		}
		return nil
	})
	if err := errors.Join(err, st.Close()); err != nil {
		t.Fatal(err)
	}
}

// alterRow flips a bit in the middle of the first row of a bucket.
func alterRow(t *testing.T, dir string, b core.Bucket) {
	t.Helper()
	st, at := openState(t, dir)
	var row core.Change
	err := st.Load(func(next func(core.Bucket, []byte) (core.Change, bool, error)) error {
		c, _, err := next(b, nil)
		row = core.Change{Bucket: b, Key: bytes.Clone(c.Key), Value: bytes.Clone(c.Value)}
		return err
	})
	if err != nil || row.Key == nil {
		t.Fatalf("no row in bucket %v: %v", b, err)
	}
	row.Value[len(row.Value)/2] ^= 1
	saveState(t, st, at, row)
}

// TestVerifyFindsEveryFlip flips single bits all over the log. None passes, and
// none is read as another record.
func TestVerifyFindsEveryFlip(t *testing.T) {
	whole := sample(t)
	paths, err := filepath.Glob(filepath.Join(whole, "log", "*.seg"))
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(4, 4))
	for range 60 {
		path := paths[rng.IntN(len(paths))]
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		used := len(bytes.TrimRight(good, "\x00"))
		at, bit := rng.IntN(used), byte(1)<<rng.IntN(8)
		bad := bytes.Clone(good)
		bad[at] ^= bit
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := Verify(whole, nil)
		if err != nil || r.OK() {
			t.Errorf("bit %02x of %s at %d: %v, %q, want a problem", bit, filepath.Base(path), at, err, r.Problems)
		}
		if err := os.WriteFile(path, good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	verifyOK(t, whole)
}

// TestVerifyTornTail shows that a write that was never acknowledged is no
// problem, and is said.
func TestVerifyTornTail(t *testing.T) {
	dir := sample(t)
	paths, err := filepath.Glob(filepath.Join(dir, "log", "*.seg"))
	if err != nil {
		t.Fatal(err)
	}
	last := paths[len(paths)-1]
	b, err := os.ReadFile(last)
	if err != nil {
		t.Fatal(err)
	}
	used := (len(bytes.TrimRight(b, "\x00")) + 7) / 8 * 8
	copy(b[used:], "half a write")
	if err := os.WriteFile(last, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if r := verifyOK(t, dir); !r.Torn || r.Payments != 700 {
		t.Errorf("Verify = %+v, want 700 payments and a torn tail", r)
	}
	n := openNode(t, testConfig(dir))
	if s := n.Stats().Log; s.TornTails != 1 {
		t.Errorf("the start cut %d torn tails, want 1", s.TornTails)
	}
	closeNode(t, n)
	if r := verifyOK(t, dir); r.Torn {
		t.Error("the torn tail is still there")
	}
}

// TestVerifyStateFlips damages the state file anywhere: Verify answers, and a
// start either refuses or stands where the log says.
func TestVerifyStateFlips(t *testing.T) {
	whole := sample(t)
	path := filepath.Join(whole, stateName)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(5, 5))
	found := 0
	for range 15 {
		at := rng.IntN(len(good))
		for good[at] == 0 { // most of the file has never been written
			at = rng.IntN(len(good))
		}
		bad := bytes.Clone(good)
		bad[at] ^= byte(1) << rng.IntN(8)
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if r, err := Verify(whole, nil); err != nil || !r.OK() {
			found++
		}
	}
	t.Logf("%d of 15 damaged state files were found out; the others are damaged in pages that are free", found)
	if found == 0 {
		t.Error("no damage of the state file was found out")
	}
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	verifyOK(t, whole)
}

func TestVerifyNeedsALedger(t *testing.T) {
	if _, err := Verify(t.TempDir(), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Verify of an empty directory: %v, want fs.ErrNotExist", err)
	}
	dir := sample(t)
	if err := os.Remove(filepath.Join(dir, stateName)); err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(dir, nil); err == nil || !strings.Contains(err.Error(), "start the node once") {
		t.Errorf("Verify without a state file: %v, want a way out", err)
	}
}

func TestVerifyProgress(t *testing.T) {
	dir := sample(t)
	var last, total int64
	if _, err := Verify(dir, func(done, of int64) {
		if done < last || done > of || total != 0 && of != total {
			t.Errorf("progress went from %d to %d of %d", last, done, of)
		}
		last, total = done, of
	}); err != nil {
		t.Fatal(err)
	}
	if total == 0 || last <= total/2 {
		t.Errorf("progress ended at %d of %d", last, total)
	}
}
