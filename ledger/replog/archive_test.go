package replog

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/raft"
)

// archived gives a log of 300 entries whose oldest segments are archived.
func archived(t *testing.T) (*memFiles, *Store, int) {
	t.Helper()
	files := newMemFiles()
	s := openMem(t, files, MinSegment)
	fill(t, s, 1, 300)
	n, err := s.Archive(200, 1, 200, [32]byte{7})
	if err != nil || n == 0 {
		t.Fatalf("Archive = %d, %v", n, err)
	}
	return files, s, n
}

func TestArchive(t *testing.T) {
	files, s, n := archived(t)
	lines, _, err := readManifest(files, filepath.Join(memDir, archiveName))
	if err != nil || len(lines) != n {
		t.Fatalf("manifest of %d lines, %v; want %d", len(lines), err, n)
	}
	next, crc := uint64(1), uint32(0)
	for _, a := range lines {
		if a.First != next || a.Prev != crc || a.Last > 200 || a.Checkpoint != 200 || a.Head != [32]byte{7} {
			t.Errorf("line %s does not follow entry %d, crc %08x", &a, next-1, crc)
		}
		r, err := unzip(files, filepath.Join(memDir, archiveName, a.Name))
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if _, err := b.ReadFrom(r); err != nil || sha256.Sum256(b.Bytes()) != a.Sum || int64(b.Len()) != a.Bytes {
			t.Errorf("%s: %d bytes, %v; its line says %d", a.Name, b.Len(), err, a.Bytes)
		}
		next, crc = a.Last+1, a.CRC
	}
	if s.first != next {
		t.Errorf("the log begins with entry %d, want %d", s.first, next)
	}
	var l raft.Log
	if err := s.GetLog(next-1, &l); err != raft.ErrLogNotFound {
		t.Errorf("GetLog of an archived entry: %v, want that raft is told to send the state", err)
	}
	if again, err := s.Archive(200, 1, 200, [32]byte{7}); again != 0 || err != nil {
		t.Errorf("Archive again = %d, %v", again, err)
	}
	if some, err := s.Archive(300, len(s.segs), 300, [32]byte{8}); some != 0 || err != nil {
		t.Errorf("Archive that keeps all = %d, %v", some, err)
	}
	first, last := s.first, s.last
	closeStore(t, s)
	opt := memOptions(files, MinSegment)
	opt.Known = last
	if s, err = OpenStore(opt); err != nil || s.first != first || s.last != last {
		t.Fatalf("the log after a restart: %d to %d, %v; want %d to %d", s.first, s.last, err, first, last)
	}
	closeStore(t, s)
}

// TestArchiveFindsDamage: a segment that is not what was written is not archived.
func TestArchiveFindsDamage(t *testing.T) {
	files := newMemFiles()
	s := openMem(t, files, MinSegment)
	fill(t, s, 1, 300)
	files.Bytes(s.segs[0].path)[segmentHeader+frameHeader+3] ^= 1
	if n, err := s.Archive(200, 1, 200, [32]byte{}); n != 0 || err == nil {
		t.Errorf("Archive of a damaged segment = %d, %v", n, err)
	}
	if s.first != 1 {
		t.Errorf("it is gone from the log, which begins with %d", s.first)
	}
	closeStore(t, s)
}

// TestArchiveFalls opens what a fall leaves at each step of archiving: nothing is
// lost, and the next try ends it.
func TestArchiveFalls(t *testing.T) {
	for _, step := range []string{"half a copy", "copy without a line", "half a line", "line, segment still there"} {
		files := newMemFiles()
		s := openMem(t, files, MinSegment)
		fill(t, s, 1, 300)
		seg := s.segs[0].path
		raw := bytes.Clone(files.Bytes(s.segs[0].path))
		if _, err := s.Archive(s.segs[1].first-1, 1, 250, [32]byte{7}); err != nil {
			t.Fatal(err)
		}
		first := s.first
		closeStore(t, s)
		files.Put(seg, raw)
		dir := filepath.Join(memDir, archiveName)
		zip, manifest := filepath.Join(dir, filepath.Base(seg)+".gz"), filepath.Join(dir, manifestName)
		switch step {
		case "half a copy":
			z := files.Bytes(zip)
			files.drop(zip)
			files.drop(manifest)
			files.Put(zip+".tmp", z[:len(z)/2])
		case "copy without a line":
			files.drop(manifest)
		case "half a line":
			m := files.Bytes(manifest)
			files.Put(manifest, m[:len(m)/2])
		}
		s = openMem(t, files, MinSegment)
		if s.first != 1 {
			t.Errorf("%s: the log begins with entry %d", step, s.first)
		}
		if n, err := s.Archive(first-1, 1, 250, [32]byte{7}); n != 1 || err != nil || s.first != first {
			t.Errorf("%s: Archive = %d, %v and the log begins with %d, want 1 and %d", step, n, err, s.first, first)
		}
		lines, _, err := readManifest(files, dir)
		if err != nil || len(lines) != 1 {
			t.Errorf("%s: the manifest has %d lines, %v", step, len(lines), err)
		}
		closeStore(t, s)
	}
}

// TestBase opens what a fall leaves at each step of installing a snapshot for
// entry 500 over a log of 300.
func TestBase(t *testing.T) {
	const at = 500
	base := filepath.Join(memDir, archiveName, baseName(at))
	older := func() *memFiles {
		files, s, _ := archived(t)
		closeStore(t, s)
		files.Put(base, []byte("a state"))
		return files
	}
	open := func(files Files, known uint64) (*Store, error) {
		opt := memOptions(files, MinSegment)
		opt.Known = known
		return OpenStore(opt)
	}
	aside := func(files *memFiles) (n int) {
		for _, p := range files.Paths() {
			if strings.Contains(p, fmt.Sprintf("%s%016x", asidePrefix, at)) {
				n++
			}
		}
		return n
	}

	// Received, and the state file not replaced: the node goes on as it was.
	files := older()
	s, err := open(files, 290)
	if err != nil || s.last != 300 || s.base != 0 || files.Bytes(base) != nil {
		t.Fatalf("not installed: log to %d, base %d, %v; want 300 and the snapshot gone", s.last, s.base, err)
	}
	closeStore(t, s)

	// The state file replaced, and the log not set aside.
	files = older()
	if s, err = open(files, at); err != nil || s.last != 0 || s.base != at || aside(files) < 3 {
		t.Fatalf("installed: log to %d, base %d, %d files set aside, %v; want none, %d and all", s.last, s.base, aside(files), err, at)
	}
	if err := s.StoreLogs(entries(at+1, at+150, 0)); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	if s, err = open(files, at+20); err != nil || s.first != at+1 || s.last != at+150 {
		t.Fatalf("with entries behind it: %d to %d, %v", s.first, s.last, err)
	}
	closeStore(t, s)

	// The same by raft, without a fall.
	files, s, _ = archived(t)
	files.Put(base, []byte("a state"))
	s.beginBehind(at)
	if err := s.DeleteRange(s.first, s.last); err != nil || s.last != 0 || aside(files) < 3 || files.Bytes(base) == nil {
		t.Fatalf("DeleteRange behind a snapshot: %v, log to %d, %d set aside", err, s.last, aside(files))
	}
	if err := s.StoreLogs(entries(at+1, at+2, 0)); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)

	// The state file lost or old: the log alone is not enough, and nothing goes.
	if _, err = open(files, 0); err == nil || !strings.Contains(err.Error(), ErrState.Error()) || files.Bytes(base) == nil {
		t.Errorf("a log behind a snapshot without its state: %v, want ErrState", err)
	}
}

func TestParseManifest(t *testing.T) {
	a := Archived{Name: segmentName(1) + ".gz", First: 1, Last: 9, CRC: 0xdeadbeef, Bytes: 7, Sum: [32]byte{1}, Checkpoint: 12, Head: [32]byte{2}}
	b := a
	b.First, b.Last, b.Name = 10, 20, segmentName(10)+".gz"
	newer := a
	newer.Checkpoint = 13
	lines, whole, err := parseManifest([]byte(a.String() + "\n" + b.String() + "\n" + newer.String() + "\n" + a.String()[:20]))
	if err != nil || len(lines) != 2 || lines[0] != b || lines[1] != newer || whole == 0 {
		t.Errorf("parseManifest = %v, %d, %v", lines, whole, err)
	}
	for _, bad := range []string{"", "x", a.String() + " ", strings.Replace(a.String(), "first 1", "first 2", 1), strings.Replace(a.String(), "crc", "cr", 1),
		strings.Replace(a.String(), "last 9", "last 0", 1), strings.Repeat("x ", maxLine)} {
		if _, _, err := parseManifest([]byte(bad + "\n")); err == nil {
			t.Errorf("%q is taken for a line", bad)
		}
	}
}

func FuzzParseManifest(f *testing.F) {
	a := Archived{Name: segmentName(1) + ".gz", First: 1, Last: 9, CRC: 0xdeadbeef, Bytes: 7, Checkpoint: 12}
	f.Add([]byte(a.String() + "\n"))
	f.Add([]byte(a.String() + "\n" + a.String()[:9]))
	f.Add([]byte("\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		lines, whole, err := parseManifest(b)
		if err != nil {
			return
		}
		var again bytes.Buffer
		for _, a := range lines {
			again.WriteString(a.String() + "\n")
		}
		if more, n, err := parseManifest(again.Bytes()); err != nil || len(more) != len(lines) || n != int64(again.Len()) || whole > int64(len(b)) {
			t.Errorf("read again: %v, %d, %v", more, n, err)
		}
	})
}
