package faultfs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

func open(t *testing.T, d *Disk, name string) *File {
	t.Helper()
	f, err := d.Open(name, true)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func write(t *testing.T, f *File, b []byte, off int64) {
	t.Helper()
	if _, err := f.WriteAt(b, off); err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestCrash: what was synced is there; of the rest each sector is the old one,
// the new one or a part of each, and over many seeds each of these happens, and
// a later sector is there without an earlier one.
func TestCrash(t *testing.T) {
	const sectors = 8
	var all Losses
	reordered := false
	for seed := range uint64(300) {
		d := New(seed)
		f := open(t, d, "/f")
		write(t, f, bytes.Repeat([]byte{1}, sectors*Sector), 0)
		must(t, f.Sync())
		must(t, d.SyncDir("/"))
		write(t, f, bytes.Repeat([]byte{2}, (sectors-2)*Sector), 2*Sector)
		all.Add(d.Crash())
		b := d.Bytes("/f")
		if len(b) != sectors*Sector || !bytes.Equal(b[:2*Sector], bytes.Repeat([]byte{1}, 2*Sector)) {
			t.Fatalf("seed %d: what was synced is gone", seed)
		}
		var whole []bool
		for at := 2; at < sectors; at++ {
			s := b[at*Sector : (at+1)*Sector]
			ones, twos := bytes.Count(s, []byte{1}), bytes.Count(s, []byte{2})
			if ones+twos != Sector {
				t.Fatalf("seed %d: sector %d has bytes that nobody wrote", seed, at)
			}
			whole = append(whole, twos == Sector)
		}
		if first := slices.Index(whole, false); first >= 0 && slices.Contains(whole[first:], true) {
			reordered = true
		}
		if _, err := f.WriteAt([]byte{3}, 0); !errors.Is(err, ErrCrashed) {
			t.Fatalf("a file that was open writes on: %v", err)
		}
	}
	if all.Kept == 0 || all.Lost == 0 || all.Torn == 0 || !reordered {
		t.Errorf("300 crashes: %+v, reordered %v; want each", all, reordered)
	}
}

// TestCrashOfNames: a name is durable with its folder, a rename whole or not at all.
func TestCrashOfNames(t *testing.T) {
	seen := map[string]int{}
	for seed := range uint64(300) {
		d := New(seed)
		f := open(t, d, "/old")
		write(t, f, []byte("first"), 0)
		must(t, f.Sync())
		must(t, d.SyncDir("/"))
		g := open(t, d, "/new")
		write(t, g, []byte("second"), 0)
		must(t, g.Sync())
		must(t, d.Rename("/new", "/old"))
		d.Crash()
		names, err := d.List("/")
		must(t, err)
		seen[fmt.Sprintf("%v %s", names, d.Bytes("/old"))]++

		must(t, open(t, d, "/x").Sync())
		must(t, d.Rename("/x", "/old"))
		must(t, d.SyncDir("/"))
		d.Crash()
		if names, _ := d.List("/"); slices.Contains(names, "x") || len(d.Bytes("/old")) != 0 {
			t.Fatalf("seed %d: a synced rename is undone: %v", seed, names)
		}
	}
	want := []string{"[old] first", "[new old] first", "[old] second"}
	for _, w := range want {
		if seen[w] == 0 {
			t.Errorf("never saw %q: %v", w, seen)
		}
	}
	if len(seen) != len(want) {
		t.Errorf("saw %v, want %v alone", seen, want)
	}
}

// TestSize: a size is durable with a sync; what was cut off may come back, and
// what lies beyond the old size is what was written or zeros.
func TestSize(t *testing.T) {
	back, grown := 0, 0
	for seed := range uint64(200) {
		d := New(seed)
		f := open(t, d, "/f")
		write(t, f, bytes.Repeat([]byte{7}, 1000), 0)
		must(t, f.Sync())
		must(t, d.SyncDir("/"))
		must(t, f.Truncate(100))
		write(t, f, []byte{9}, 5000)
		d.Crash()
		b := d.Bytes("/f")
		switch len(b) {
		case 1000:
			if b[99] != 7 {
				t.Fatalf("seed %d: a byte that was not cut is %d", seed, b[99])
			}
			back++
		case 5001:
			if b[5000] != 9 && b[5000] != 0 {
				t.Fatalf("seed %d: the last byte is %d", seed, b[5000])
			}
			grown++
		default:
			t.Fatalf("seed %d: %d bytes", seed, len(b))
		}
	}
	if back == 0 || grown == 0 {
		t.Errorf("old size %d times, new size %d times", back, grown)
	}
}

// TestFailures: the nth call fails, and so does each after it; half of a failed
// write is written; a later sync does not bring back what a failed one lost.
func TestFailures(t *testing.T) {
	d := New(1)
	f := open(t, d, "/f")
	d.FailAt(Write, 2, syscall.ENOSPC)
	write(t, f, bytes.Repeat([]byte{1}, Sector), 0)
	for range 2 {
		if n, err := f.WriteAt(bytes.Repeat([]byte{2}, Sector), Sector); n != Sector/2 || !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("the second write: %d, %v", n, err)
		}
	}
	d.FailAt(Write, 0, nil)
	must(t, d.SyncDir("/"))
	d.FailAt(Sync, 1, syscall.EIO)
	if err := f.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("Sync: %v", err)
	}
	d.FailAt(Sync, 0, nil)
	write(t, f, bytes.Repeat([]byte{3}, Sector), Sector)
	must(t, f.Sync())
	d.Crash()
	if b := d.Bytes("/f"); !bytes.Equal(b, append(make([]byte, Sector), bytes.Repeat([]byte{3}, Sector)...)) {
		t.Errorf("after a failed sync and a good one: %v", b)
	}
	for _, c := range Calls {
		d.FailAt(c, 1, syscall.EIO)
	}
	_, openErr := d.Open("/g", true)
	for i, err := range []error{openErr, d.Rename("/f", "/h"), d.Remove("/f"), d.SyncDir("/")} {
		if !errors.Is(err, syscall.EIO) {
			t.Errorf("call %d of a broken disk: %v", i, err)
		}
	}
}

// TestMount walks the same disk through the kernel: writes, names, sizes, and a
// crash that takes what no fsync covered.
func TestMount(t *testing.T) {
	dir := t.TempDir()
	d := New(3)
	m, err := d.Mount(dir)
	must(t, err)
	must(t, os.MkdirAll(filepath.Join(dir, "a", "b"), 0o700))
	name := filepath.Join(dir, "a", "b", "f")
	big := bytes.Repeat([]byte("0123456789"), 300_000)
	f, err := os.Create(name + ".tmp")
	must(t, err)
	_, err = f.Write(big)
	must(t, errors.Join(err, f.Sync()))
	must(t, os.Rename(name+".tmp", name))
	for _, p := range []string{dir, filepath.Join(dir, "a"), filepath.Join(dir, "a", "b")} {
		g, err := os.Open(p)
		must(t, err)
		must(t, errors.Join(g.Sync(), g.Close()))
	}
	if b, err := os.ReadFile(name); err != nil || !bytes.Equal(b, big) {
		t.Errorf("read back %d bytes, %v", len(b), err)
	}
	must(t, os.WriteFile(filepath.Join(dir, "unsynced"), big, 0o600))
	if e, err := os.ReadDir(dir); err != nil || len(e) != 2 || !e[0].IsDir() || e[1].Name() != "unsynced" {
		t.Errorf("the folder has %v, %v", e, err)
	}
	must(t, f.Truncate(77))
	must(t, errors.Join(f.Sync(), f.Close()))
	must(t, m.Unmount())
	l := d.Crash()
	if l.Kept+l.Lost+l.Torn+l.NamesKept+l.NamesLost == 0 {
		t.Error("the crash found nothing unsynced")
	}
	m, err = d.Mount(dir)
	must(t, err)
	if b, err := os.ReadFile(name); err != nil || !bytes.Equal(b, big[:77]) {
		t.Errorf("behind the crash %d bytes, %v; want 77", len(b), err)
	}
	must(t, os.Remove(name))
	if _, err := os.Stat(name); !os.IsNotExist(err) {
		t.Errorf("a removed file: %v", err)
	}
	must(t, m.Unmount())
}
