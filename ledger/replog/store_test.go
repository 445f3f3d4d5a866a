package replog

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"pgregory.net/rapid"
)

// entry makes the entry that every test expects at an index of one history.
func entry(index uint64, history byte) *raft.Log {
	rng := rand.New(rand.NewPCG(index, uint64(history)))
	data := make([]byte, rng.IntN(200))
	for i := range data {
		data[i] = byte(rng.Uint32())
	}
	return &raft.Log{
		Index: index, Term: 1 + index/100, Type: raft.LogType(index % 6),
		Data: data, AppendedAt: time.Unix(0, int64(index)*1_000_003),
	}
}

func entries(from, to uint64, history byte) (logs []*raft.Log) {
	for i := from; i <= to; i++ {
		logs = append(logs, entry(i, history))
	}
	return logs
}

func sameEntry(a, b *raft.Log) bool {
	return a.Index == b.Index && a.Term == b.Term && a.Type == b.Type && bytes.Equal(a.Data, b.Data) && a.AppendedAt.Equal(b.AppendedAt)
}

const memDir = "/log"

func memOptions(files Files, segment int64) StoreOptions {
	return StoreOptions{Dir: memDir, Segment: segment, Files: files, Fatal: func(error) {}}
}

// fill appends entries in writes of 1, 2, 3, … and tells how many bytes each
// segment then holds.
func fill(t testing.TB, s *Store, from, to uint64) {
	t.Helper()
	for n := uint64(1); from <= to; n = n%7 + 1 {
		last := min(from+n-1, to)
		if err := s.StoreLogs(entries(from, last, 0)); err != nil {
			t.Fatalf("StoreLogs(%d to %d): %v", from, last, err)
		}
		from = last + 1
	}
}

// expect checks that the store holds the history up to last, and no more.
func expect(t testing.TB, s *Store, last uint64) {
	t.Helper()
	if got, err := s.LastIndex(); err != nil || got != last {
		t.Fatalf("LastIndex() = %d, %v, want %d", got, err, last)
	}
	var l raft.Log
	for i := uint64(1); i <= last; i++ {
		if err := s.GetLog(i, &l); err != nil || !sameEntry(&l, entry(i, 0)) {
			t.Fatalf("GetLog(%d) = %v, %v, want the entry written", i, l.Index, err)
		}
	}
	if err := s.GetLog(last+1, &l); !errors.Is(err, raft.ErrLogNotFound) {
		t.Fatalf("GetLog(%d) behind the end: %v, want ErrLogNotFound", last+1, err)
	}
}

func openMem(t testing.TB, files Files, segment int64) *Store {
	t.Helper()
	s, err := OpenStore(memOptions(files, segment))
	if err != nil {
		t.Fatalf("OpenStore: %v", err)
	}
	return s
}

func closeStore(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
}

func TestStoreAcrossSegments(t *testing.T) {
	for _, segment := range []int64{MinSegment, 16 << 10, 1 << 20} {
		files := newMemFiles()
		s := openMem(t, files, segment)
		fill(t, s, 1, 300)
		expect(t, s, 300)
		closeStore(t, s)
		s = openMem(t, files, segment)
		fill(t, s, 301, 500)
		closeStore(t, s)
		s = openMem(t, files, segment)
		expect(t, s, 500)
		closeStore(t, s)
		if err := s.StoreLog(entry(501, 0)); !errors.Is(err, ErrClosed) {
			t.Errorf("StoreLog after Close: %v, want ErrClosed", err)
		}
	}
}

func TestStoreOnDisk(t *testing.T) {
	opt := StoreOptions{Dir: filepath.Join(t.TempDir(), "log"), Segment: 64 << 10}
	for round := range uint64(3) {
		s, err := OpenStore(opt)
		if err != nil {
			t.Fatalf("OpenStore: %v", err)
		}
		fill(t, s, round*500+1, round*500+500)
		expect(t, s, round*500+500)
		if st := s.Stats(); st.Appends == 0 || st.Bytes == 0 || st.SyncNanos == 0 {
			t.Errorf("Stats() = %+v, want counts", st)
		}
		closeStore(t, s)
	}
}

func TestStoreRefuses(t *testing.T) {
	s := openMem(t, newMemFiles(), MinSegment)
	fill(t, s, 1, 10)
	large := &raft.Log{Index: 11, Data: make([]byte, MaxFrame-frameHeader+1)}
	for name, c := range map[string]struct {
		logs []*raft.Log
		want error
	}{
		"a gap":            {entries(12, 12, 0), ErrGap},
		"an old entry":     {entries(10, 10, 0), ErrGap},
		"a gap within":     {[]*raft.Log{entry(11, 0), entry(13, 0)}, ErrGap},
		"one byte too big": {[]*raft.Log{large}, ErrTooLarge},
	} {
		if err := s.StoreLogs(c.logs); !errors.Is(err, c.want) {
			t.Errorf("StoreLogs of %s: %v, want %v", name, err, c.want)
		}
	}
	large.Data = large.Data[:MaxFrame-frameHeader]
	if err := s.StoreLogs([]*raft.Log{large}); err != nil {
		t.Errorf("StoreLogs of the largest entry into a small segment: %v", err)
	}
	if err := s.StoreLogs([]*raft.Log{{Index: 12, Extensions: []byte{1}}}); err == nil {
		t.Error("StoreLogs of an entry with extensions succeeded")
	}
	var l raft.Log
	if err := s.GetLog(11, &l); err != nil || len(l.Data) != MaxFrame-frameHeader {
		t.Errorf("GetLog(11) = %d bytes, %v, want the largest entry", len(l.Data), err)
	}
	closeStore(t, s)
	for _, size := range []int64{MinSegment - 1, MaxSegment + 1} {
		if _, err := OpenStore(memOptions(newMemFiles(), size)); err == nil {
			t.Errorf("OpenStore with segments of %d bytes succeeded", size)
		}
	}
}

// TestStoreDeleteRange cuts both ends and goes on with another history.
func TestStoreDeleteRange(t *testing.T) {
	files := newMemFiles()
	s := openMem(t, files, MinSegment)
	fill(t, s, 1, 300)
	if err := s.DeleteRange(100, 200); err == nil {
		t.Error("DeleteRange inside the log succeeded")
	}
	for _, from := range []uint64{290, 150, 149} {
		if err := s.DeleteRange(from, s.last); err != nil {
			t.Fatalf("DeleteRange(%d, last): %v", from, err)
		}
		expect(t, s, from-1)
		closeStore(t, s)
		s = openMem(t, files, MinSegment)
		expect(t, s, from-1)
	}
	if err := s.StoreLogs(entries(149, 180, 1)); err != nil {
		t.Fatalf("StoreLogs behind a cut: %v", err)
	}
	closeStore(t, s)
	s = openMem(t, files, MinSegment)
	var l raft.Log
	if err := s.GetLog(149, &l); err != nil || !sameEntry(&l, entry(149, 1)) {
		t.Errorf("GetLog(149) = %+v, %v, want the second history", l, err)
	}
	if err := s.DeleteRange(1, 100); err != nil {
		t.Fatalf("DeleteRange(1, 100): %v", err)
	}
	if first, _ := s.FirstIndex(); first != 101 {
		t.Errorf("FirstIndex() = %d, want 101", first)
	}
	archived, err := listSegments(files, filepath.Join(memDir, archiveName))
	if err != nil || len(archived) == 0 {
		t.Errorf("the archive holds %v, %v, want segments", archived, err)
	}
	closeStore(t, s)
	s = openMem(t, files, MinSegment)
	if first, _ := s.FirstIndex(); first <= 1 || first > 101 {
		t.Errorf("FirstIndex() after a restart = %d, want between 2 and 101", first)
	}
	if err := s.DeleteRange(1, s.last); err != nil {
		t.Fatalf("DeleteRange of all: %v", err)
	}
	if first, last := s.first, s.last; first != 0 || last != 0 {
		t.Errorf("an emptied log goes from %d to %d", first, last)
	}
	if err := s.StoreLogs(entries(500, 510, 0)); err != nil {
		t.Errorf("StoreLogs into an emptied log: %v", err)
	}
	closeStore(t, s)
	s = openMem(t, files, MinSegment)
	if s.first != 500 || s.last != 510 {
		t.Errorf("the log goes from %d to %d, want 500 to 510", s.first, s.last)
	}
	closeStore(t, s)
}

// frames tells where each frame of one segment ends, without its padding, and
// which of them began a write.
func frames(b []byte) (ends []int64, starts []bool) {
	h, err := parseHeader(b)
	if err != nil {
		return nil, nil
	}
	_, _, _, _ = walk(b, h, func(off int64, f *frame) error {
		ends = append(ends, off+frameHeader+int64(len(f.data)))
		starts = append(starts, f.flags&flagWrite != 0)
		return nil
	})
	return ends, starts
}

// stride thins the exhaustive tests out where they run slowly.
const stride = 1 + 12*raceEnabled

// oneSegment makes a log of about 64 KiB in one segment.
func oneSegment(t testing.TB) (*memFiles, string) {
	t.Helper()
	files := newMemFiles()
	s := openMem(t, files, 128<<10)
	fill(t, s, 1, 470)
	closeStore(t, s)
	return files, filepath.Join(memDir, segmentName(1))
}

// TestStoreCutAtEveryByte cuts the log at each byte of its last 64 KiB. With the
// end mark lost, as after a power failure, the log ends behind the last whole
// frame. With the mark in place a missing frame is never taken for a torn one.
func TestStoreCutAtEveryByte(t *testing.T) {
	files, path := oneSegment(t)
	whole := files.Bytes(path)
	ends, _ := frames(whole)
	if end := ends[len(ends)-1]; end < 64<<10 {
		t.Fatalf("the log has %d bytes, the test wants 64 KiB", end)
	}
	for p := ends[len(ends)-1] - 64<<10; p <= ends[len(ends)-1]; p += stride {
		want := uint64(0)
		for want < uint64(len(ends)) && ends[want] <= p {
			want++
		}
		lost := newMemFiles()
		lost.Put(path, bytes.Clone(whole[:p]))
		s, err := OpenStore(memOptions(lost, MinSegment))
		if err != nil {
			t.Fatalf("cut at %d, no mark: %v", p, err)
		}
		if s.last != want {
			t.Fatalf("cut at %d, no mark: the log ends at %d, want %d", p, s.last, want)
		}
		if p%997 == 0 {
			fill(t, s, want+1, want+20)
			expect(t, s, want+20)
		}
		closeStore(t, s)
		if p%(8*stride) != 0 && p != ends[len(ends)-1] {
			continue
		}
		marked := newMemFiles()
		marked.Put(path, bytes.Clone(whole[:p]))
		marked.Put(filepath.Join(memDir, markName), bytes.Clone(files.Bytes(filepath.Join(memDir, markName))))
		s, err = OpenStore(memOptions(marked, MinSegment))
		var damage *DamageError
		switch {
		case want == uint64(len(ends)) && err == nil:
			closeStore(t, s)
		case want < uint64(len(ends)) && errors.As(err, &damage) && damage.Index == want+1:
		default:
			t.Fatalf("cut at %d, mark in place: %v, want damage at entry %d or a whole log", p, err, want+1)
		}
	}
}

// TestStoreEveryFlip flips one bit of each byte of the last 8 KiB, and of every
// seventh byte before. It is found wherever it is, if
// the mark or a later write proves the place durable; else the write it is in
// was the last one and is cut. No flip ever gives a wrong record.
func TestStoreEveryFlip(t *testing.T) {
	files, path := oneSegment(t)
	whole := files.Bytes(path)
	ends, starts := frames(whole)
	lastWrite := len(starts) - 1
	for !starts[lastWrite] {
		lastWrite--
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for p := range ends[len(ends)-1] {
		if p%stride != 0 || p%7 != 0 && p < ends[len(ends)-1]-8<<10 {
			continue
		}
		bad := bytes.Clone(whole)
		bad[p] ^= 1 << rng.IntN(8)
		var damage *DamageError
		marked := newMemFiles()
		marked.Put(path, bad)
		marked.Put(filepath.Join(memDir, markName), bytes.Clone(files.Bytes(filepath.Join(memDir, markName))))
		if s, err := OpenStore(memOptions(marked, MinSegment)); !errors.As(err, &damage) {
			t.Fatalf("flip at %d, mark in place: %v, want damage (log %v)", p, err, s)
		}
		lost := newMemFiles()
		lost.Put(path, bad)
		s, err := OpenStore(memOptions(lost, MinSegment))
		if errors.As(err, &damage) {
			continue
		}
		if err != nil {
			t.Fatalf("flip at %d, no mark: %v", p, err)
		}
		if s.last < uint64(lastWrite) || s.last >= uint64(len(ends)) {
			t.Fatalf("flip at %d, no mark: the log ends at %d, the last write began at %d", p, s.last, lastWrite+1)
		}
		if p%1009 == 0 {
			expect(t, s, s.last)
		}
		closeStore(t, s)
	}
}

// TestStoreFindsMovedSegments takes segments away, swaps and copies them.
func TestStoreFindsMovedSegments(t *testing.T) {
	files := newMemFiles()
	s := openMem(t, files, MinSegment)
	fill(t, s, 1, 300)
	closeStore(t, s)
	paths, err := listSegments(files, memDir)
	if err != nil || len(paths) < 5 {
		t.Fatalf("%d segments, %v, want at least 5", len(paths), err)
	}
	mark := filepath.Join(memDir, markName)
	last := len(paths) - 1
	for name, change := range map[string]func(m *memFiles){
		"one in the middle removed": func(m *memFiles) { m.drop(paths[2]) },
		"the last removed":          func(m *memFiles) { m.drop(paths[last]) },
		"all removed": func(m *memFiles) {
			m.Disk = newMemFiles().Disk
			m.Put(mark, bytes.Clone(files.Bytes(mark)))
		},
		"two swapped": func(m *memFiles) {
			one, two := m.Bytes(paths[1]), m.Bytes(paths[2])
			m.Put(paths[1], two)
			m.Put(paths[2], one)
		},
		"one copied over another": func(m *memFiles) { m.Put(paths[2], bytes.Clone(m.Bytes(paths[1]))) },
		"a header zeroed":         func(m *memFiles) { clear(m.Bytes(paths[3])[:segmentHeader]) },
		"the last header zeroed":  func(m *memFiles) { clear(m.Bytes(paths[last])[:segmentHeader]) },
		"the last one zeroed":     func(m *memFiles) { clear(m.Bytes(paths[last])) },
	} {
		m := files.clone()
		change(m)
		var damage *DamageError
		if _, err := OpenStore(memOptions(m, MinSegment)); !errors.As(err, &damage) {
			t.Errorf("%s: %v, want damage", name, err)
		} else if damage.Segment == "" || damage.Index == 0 {
			t.Errorf("%s: %v names no segment or entry", name, damage)
		}
	}
	m := files.clone()
	m.Put(filepath.Join(memDir, "zz.seg"), []byte{})
	if _, err := OpenStore(memOptions(m, MinSegment)); err == nil {
		t.Error("a foreign file among the segments was taken")
	}
}

// TestStoreMarkFlips shows that the end mark can lose either slot.
func TestStoreMarkFlips(t *testing.T) {
	files, _ := oneSegment(t)
	mark := filepath.Join(memDir, markName)
	for p := range len(files.Bytes(mark)) {
		m := files.clone()
		m.Bytes(mark)[p] ^= 0x10
		s, err := OpenStore(memOptions(m, 128<<10))
		if err != nil {
			t.Fatalf("flip at %d of the mark: %v", p, err)
		}
		closeStore(t, s)
	}
}

// TestStoreKnown shows that a checkpoint ahead of the log is refused.
func TestStoreKnown(t *testing.T) {
	files, _ := oneSegment(t)
	for known, ok := range map[uint64]bool{0: true, 470: true, 471: false} {
		opt := memOptions(files.clone(), 128<<10)
		opt.Known = known
		s, err := OpenStore(opt)
		if (err == nil) != ok {
			t.Errorf("OpenStore with a checkpoint at %d of 470: %v", known, err)
		}
		if err == nil {
			closeStore(t, s)
		}
	}
}

// TestStoreAgainstModel drives appends, cuts and restarts against a slice.
func TestStoreAgainstModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		files := newMemFiles()
		var model []*raft.Log
		open := func() *Store {
			s, err := OpenStore(memOptions(files, MinSegment))
			if err != nil {
				rt.Fatalf("OpenStore: %v", err)
			}
			return s
		}
		s := open()
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			switch rapid.SampledFrom([]string{"append", "append", "cut", "restart", "kill"}).Draw(rt, "step") {
			case "append":
				last := uint64(len(model))
				logs := entries(last+1, last+uint64(rapid.IntRange(1, 20).Draw(rt, "n")), byte(rapid.IntRange(0, 255).Draw(rt, "history")))
				if err := s.StoreLogs(logs); err != nil {
					rt.Fatalf("StoreLogs: %v", err)
				}
				model = append(model, logs...)
			case "cut":
				if len(model) < 2 {
					continue
				}
				keep := rapid.IntRange(1, len(model)-1).Draw(rt, "keep")
				if err := s.DeleteRange(uint64(keep+1), uint64(len(model))); err != nil {
					rt.Fatalf("DeleteRange: %v", err)
				}
				model = model[:keep]
			case "restart":
				if err := s.Close(); err != nil {
					rt.Fatal(err)
				}
				s = open()
			case "kill": // the files as they are, without a Close
				files = files.clone()
				old := s
				s = open()
				if err := old.Close(); err != nil {
					rt.Fatal(err)
				}
			}
			if s.last != uint64(len(model)) {
				rt.Fatalf("the log ends at %d, want %d", s.last, len(model))
			}
			var l raft.Log
			for i, want := range model {
				if err := s.GetLog(uint64(i+1), &l); err != nil || !sameEntry(&l, want) {
					rt.Fatalf("GetLog(%d): %v, want the entry written", i+1, err)
				}
			}
		}
		if err := s.Close(); err != nil {
			rt.Fatal(err)
		}
	})
}

// TestFillerKeepsAhead begins several segments; the next one is ready, full of
// zeros, before it is needed, or taken as far as it is.
func TestFillerKeepsAhead(t *testing.T) {
	files := newMemFiles()
	if err := files.MkdirAll(memDir); err != nil {
		t.Fatal(err)
	}
	w, err := startFiller(files, filepath.Join(memDir, nextName), 3*fillStep, true)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if i > 0 {
			w.used(2*fillStep, 2*fillStep)
			for deadline := time.Now().Add(5 * time.Second); !w.ready.Load(); time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("the next segment is not ready after 5 s")
				}
			}
		}
		f, err := w.take(filepath.Join(memDir, fmt.Sprint(i)))
		if err != nil {
			t.Fatal(err)
		}
		if size, _ := f.Size(); size != 3*fillStep {
			t.Errorf("segment %d was taken with %d bytes, want %d", i, size, 3*fillStep)
		}
	}
	f, err := w.take(filepath.Join(memDir, "early"))
	if err != nil {
		t.Fatal(err)
	}
	if size, _ := f.Size(); size > 3*fillStep {
		t.Errorf("a segment taken early has %d bytes", size)
	}
	w.stop()
}
