package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/shebao-pay/shebao/ledger/core"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var demo = Options{Region: 1, Area: 330110}

func open(t *testing.T, path string, opt Options) *Store {
	t.Helper()
	s, err := Open(path, opt)
	if err != nil {
		t.Fatalf("Open(%+v): %v", opt, err)
	}
	return s
}

// feed is an each that gives the changes it was made of.
func feed(cs ...core.Change) func(func(core.Change) error) error {
	return func(visit func(core.Change) error) error {
		for _, c := range cs {
			if err := visit(c); err != nil {
				return err
			}
		}
		return nil
	}
}

func rows(t *testing.T, s *Store) (all []core.Change) {
	t.Helper()
	err := s.Load(func(next func(core.Bucket, []byte) (core.Change, bool, error)) error {
		for b := core.BucketMeta; b <= core.LastLive; b++ {
			for {
				c, ok, err := next(b, nil)
				if err != nil {
					return err
				}
				if !ok {
					break
				}
				all = append(all, core.Change{Bucket: c.Bucket, Key: bytes.Clone(c.Key), Value: bytes.Clone(c.Value)})
			}
		}
		return nil
	})
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	return all
}

func TestSaveLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.bolt")
	s := open(t, path, demo)
	at := Position{Index: 7, Term: 2, Head: [32]byte{1, 2, 3}, ConfigIndex: 1, Config: []byte("members")}
	want := []core.Change{
		{Bucket: core.BucketMeta, Key: []byte("a"), Value: []byte("1")},
		{Bucket: core.BucketPay, Key: []byte("p"), Value: []byte("2")},
		{Bucket: core.BucketPay, Key: []byte("q"), Value: []byte{}},
		{Bucket: core.BucketIndividual, Key: []byte("z"), Value: []byte("3")},
	}
	if err := s.Save(at, feed(want...)); err != nil {
		t.Fatalf("Save: %v", err)
	}
	history := core.Change{Bucket: core.BucketJournal, Key: []byte("j"), Value: []byte("4")}
	gone := core.Change{Bucket: core.BucketPay, Key: []byte("p")}
	at.Index = 8
	if err := s.Save(at, feed(gone, history)); err != nil {
		t.Fatalf("Save: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	s = open(t, path, Options{Region: demo.Region, Area: demo.Area, ReadOnly: true})
	want = slices.Delete(want, 1, 2)
	if got := rows(t, s); !slices.EqualFunc(got, want, sameChange) {
		t.Errorf("Load gave %v, want %v", got, want)
	}
	if got, err := s.Position(); err != nil || got.Index != 8 || got.Term != 2 || got.Head != at.Head || string(got.Config) != "members" {
		t.Errorf("Position() = %+v, %v, want %+v", got, err, at)
	}
	if v, ok := s.Get(core.BucketJournal, []byte("j")); !ok || string(v) != "4" {
		t.Errorf("Get(journal, j) = %q, %v, want 4, true", v, ok)
	}
	if v, ok := s.Get(core.BucketPay, []byte("q")); !ok || len(v) != 0 {
		t.Errorf("Get of an empty value = %q, %v, want nothing, true", v, ok)
	}
	if _, ok := s.Get(core.BucketJournal, []byte("k")); ok {
		t.Error("Get of a missing key says that it is there")
	}
	if err := s.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
}

func sameChange(a, b core.Change) bool {
	return a.Bucket == b.Bucket && bytes.Equal(a.Key, b.Key) && bytes.Equal(a.Value, b.Value) && (a.Value == nil) == (b.Value == nil)
}

// TestSaveIsWholeOrAbsent fails a checkpoint in its middle.
func TestSaveIsWholeOrAbsent(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "state.bolt"), demo)
	first := core.Change{Bucket: core.BucketPay, Key: []byte("p"), Value: []byte("1")}
	if err := s.Save(Position{Index: 1}, feed(first)); err != nil {
		t.Fatalf("Save: %v", err)
	}
	broken := errors.New("encoder gave up")
	err := s.Save(Position{Index: 2}, func(visit func(core.Change) error) error {
		if err := visit(core.Change{Bucket: core.BucketPay, Key: []byte("q"), Value: []byte("2")}); err != nil {
			return err
		}
		return broken
	})
	if !errors.Is(err, broken) {
		t.Fatalf("Save: %v, want the encoder's error", err)
	}
	if got := rows(t, s); len(got) != 1 || !sameChange(got[0], first) {
		t.Errorf("after a failed Save the file holds %v, want %v", got, first)
	}
	if at, err := s.Position(); err != nil || at.Index != 1 {
		t.Errorf("Position() = %+v, %v, want index 1", at, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.bolt")
	if _, err := Open(path, Options{ReadOnly: true}); !Missing(err) {
		t.Errorf("Open of a missing file to read: %v, want fs.ErrNotExist", err)
	}
	if err := open(t, path, demo).Close(); err != nil {
		t.Fatal(err)
	}
	for _, other := range []Options{{Region: 2, Area: demo.Area}, {Region: 1, Area: 330111}} {
		if _, err := Open(path, other); !errors.Is(err, ErrForeign) {
			t.Errorf("Open(%+v) of another ledger's file: %v, want ErrForeign", other, err)
		}
	}
	junk := filepath.Join(t.TempDir(), "junk")
	if err := os.WriteFile(junk, bytes.Repeat([]byte("no database "), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(junk, demo); err == nil {
		t.Error("Open of a file that is no database succeeded")
	}
}

// TestStoreAgainstMap drives the file and a map with the same checkpoints.
func TestStoreAgainstMap(t *testing.T) {
	dir := t.TempDir()
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		path := filepath.Join(dir, fmt.Sprint(run))
		s, err := Open(path, demo)
		if err != nil {
			rt.Fatal(err)
		}
		model := map[string][]byte{}
		for i := range rapid.IntRange(1, 4).Draw(rt, "checkpoints") {
			changes := map[string]core.Change{}
			for range rapid.IntRange(0, 20).Draw(rt, "rows") {
				c := core.Change{Bucket: core.Bucket(rapid.IntRange(1, int(core.LastLive)).Draw(rt, "bucket")),
					Key: []byte(rapid.StringMatching(`[a-d]{1,3}`).Draw(rt, "key"))}
				if rapid.Bool().Draw(rt, "put") {
					c.Value = rapid.SliceOfN(rapid.Byte(), 0, 8).Draw(rt, "value")
					if c.Value == nil {
						c.Value = []byte{}
					}
				}
				changes[string([]byte{byte(c.Bucket)})+string(c.Key)] = c
			}
			var names []string
			for k := range changes {
				names = append(names, k)
			}
			slices.Sort(names)
			var cs []core.Change
			for _, k := range names {
				cs = append(cs, changes[k])
				if changes[k].Value == nil {
					delete(model, k)
				} else {
					model[k] = changes[k].Value
				}
			}
			if err := s.Save(Position{Index: uint64(i + 1)}, feed(cs...)); err != nil {
				rt.Fatal(err)
			}
		}
		got := rows(t, s)
		if len(got) != len(model) {
			rt.Fatalf("file holds %d rows, the map %d", len(got), len(model))
		}
		last := ""
		for _, c := range got {
			k := string([]byte{byte(c.Bucket)}) + string(c.Key)
			if k <= last || !bytes.Equal(model[k], c.Value) {
				rt.Fatalf("row %q = %x after %q, the map has %x", k, c.Value, last, model[k])
			}
			last = k
		}
		if err := s.Close(); err != nil {
			rt.Fatal(err)
		}
	})
}

func TestParsePosition(t *testing.T) {
	p := Position{Index: 9, Term: 8, Head: [32]byte{31: 7}, ConfigIndex: 6, Config: []byte{5}}
	b := appendPosition(nil, p)
	got, err := parsePosition(b)
	if err != nil || got.Index != 9 || got.Term != 8 || got.Head != p.Head || got.ConfigIndex != 6 || !bytes.Equal(got.Config, p.Config) {
		t.Errorf("parsePosition(%x) = %+v, %v, want %+v", b, got, err, p)
	}
	if _, err := parsePosition(b[:positionFixed-1]); !errors.Is(err, ErrDamaged) {
		t.Errorf("parsePosition cut short: %v, want ErrDamaged", err)
	}
}

func TestDiffer(t *testing.T) {
	dir := t.TempDir()
	a := open(t, filepath.Join(dir, "a"), demo)
	b := open(t, filepath.Join(dir, "b"), Options{Region: demo.Region, Area: demo.Area, Scratch: true})
	row := func(b core.Bucket, k, v string) core.Change {
		return core.Change{Bucket: b, Key: []byte(k), Value: []byte(v)}
	}
	same := []core.Change{row(core.BucketMeta, "m", "1"), row(core.BucketJournal, "j", "1")}
	if err := a.Save(Position{Index: 1}, feed(append(same, row(core.BucketJournal, "k", "1"), row(core.BucketReceipt, "r", ""))...)); err != nil {
		t.Fatal(err)
	}
	if err := b.Save(Position{Index: 1}, feed(append(same, row(core.BucketJournal, "i", "2"), row(core.BucketJournal, "k", "2"))...)); err != nil {
		t.Fatal(err)
	}
	var got []string
	err := Differ(a, b, func(b core.Bucket, key, inA, inB []byte) bool {
		got = append(got, fmt.Sprintf("%v %s %s %v %s %v", b, key, inA, inA == nil, inB, inB == nil))
		return len(got) < 3
	})
	want := []string{"jrnl i  true 2 false", "jrnl k 1 false 2 false", "receipt r  false  true"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("Differ visited %q, %v, want %q", got, err, want)
	}
	for _, s := range []*Store{a, b} {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
