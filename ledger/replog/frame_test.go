package replog

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// TestFrameLayout holds the bytes to docs/format/log-segments.md. The vector was
// laid out by hand; its checksums are CRC-32C of the bytes they cover.
func TestFrameLayout(t *testing.T) {
	l := &raft.Log{Index: 0x0102, Term: 3, Type: raft.LogBarrier, Data: []byte("abc"), AppendedAt: time.Unix(0, 0x11)}
	got, crc := appendFrame(nil, l, 0xAABBCCDD, flagWrite)
	want, err := hex.DecodeString("2b000000" + hex.EncodeToString(got[4:8]) + "ddccbbaa" + "04010000" +
		"0201000000000000" + "0300000000000000" + "1100000000000000" + "616263" + "0000000000")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("appendFrame = %x, want %x", got, want)
	}
	if crc != frameCRC(got[:43]) {
		t.Errorf("checksum %08x does not cover length and the bytes behind it", crc)
	}
	f, n, err := parseFrame(got)
	if err != nil || n != 48 || f.index != 0x0102 || f.term != 3 || f.kind != raft.LogBarrier || f.prev != 0xAABBCCDD || string(f.data) != "abc" {
		t.Errorf("parseFrame(%x) = %+v, %d, %v", got, f, n, err)
	}
}

// TestCRC32C holds the polynomial to the check value of RFC 3720, appendix B.4:
// 32 bytes of zeros.
func TestCRC32C(t *testing.T) {
	if got := frameCRC(make([]byte, 36)); got != 0x8a9136aa { // 4 bytes, 4 left out, 28 bytes
		t.Errorf("CRC-32C of 32 zero bytes = %08x, want 8a9136aa", got)
	}
}

func FuzzParseFrame(f *testing.F) {
	good, _ := appendFrame(nil, &raft.Log{Index: 1, Term: 1, Data: []byte("data")}, 7, flagWrite)
	empty, _ := appendFrame(nil, &raft.Log{Index: 1 << 60, Type: raft.LogNoop}, 0, 0)
	for _, seed := range [][]byte{good, empty, append(empty, good...), good[:20], good[:45], make([]byte, 64), {1}} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		fr, n, err := parseFrame(b)
		if err != nil {
			if !errors.Is(err, errNoFrame) && !errors.Is(err, errFrame) {
				t.Errorf("parseFrame(%x): unexpected error %v", b, err)
			}
			return
		}
		var l raft.Log
		fr.fill(&l)
		again, crc := appendFrame(nil, &l, fr.prev, fr.flags)
		if len(again) != n || crc != fr.crc || !bytes.Equal(again[:min(n, len(b))], b[:min(n, len(b))]) {
			t.Errorf("parseFrame(%x) encodes again as %x", b, again)
		}
	})
}

func FuzzParseHeader(f *testing.F) {
	f.Add(appendHeader(nil, header{first: 1}))
	f.Add(appendHeader(nil, header{first: 1 << 40, prev: 0xFFFFFFFF}))
	f.Add(make([]byte, segmentHeader))
	f.Add([]byte("SHBSEG01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := parseHeader(b)
		if err != nil {
			return
		}
		if again := appendHeader(nil, h); !bytes.Equal(again[:20], b[:20]) {
			t.Errorf("parseHeader(%x) encodes again as %x", b, again)
		}
	})
}

func FuzzParseMark(f *testing.F) {
	files := newMemFiles()
	m, err := openMark(files, "/"+markName)
	if err != nil {
		f.Fatal(err)
	}
	for i := range uint64(3) {
		if err := m.set(i); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(files.Bytes("/" + markName))
	f.Add([]byte{})
	f.Add(make([]byte, 2*markSlot))
	f.Fuzz(func(t *testing.T, b []byte) {
		seq, index := parseMark(b)
		if seq == 0 && index != 0 {
			t.Errorf("parseMark(%x) = %d, %d", b, seq, index)
		}
	})
}

func FuzzParseStable(f *testing.F) {
	f.Add(appendStable(nil, nil))
	f.Add(appendStable(nil, map[string][]byte{"CurrentTerm": {1, 0, 0, 0, 0, 0, 0, 0}, "LastVoteCand": []byte("n1")}))
	f.Add([]byte("SHBMET01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		vals, err := parseStable(b)
		if err != nil {
			return
		}
		if got, err := parseStable(appendStable(nil, vals)); err != nil || len(got) != len(vals) {
			t.Errorf("parseStable(%x) = %v, and again %v, %v", b, vals, got, err)
		}
	})
}

func TestStable(t *testing.T) {
	path := t.TempDir() + "/raft.meta"
	open := func() *stable {
		s, err := openStable(Disk, path, func(err error) { t.Errorf("Fatal: %v", err) })
		if err != nil {
			t.Fatalf("openStable: %v", err)
		}
		return s
	}
	s := open()
	if _, err := s.GetUint64([]byte("CurrentTerm")); err == nil || err.Error() != "not found" {
		t.Errorf("GetUint64 of a missing key: %v, want exactly the text raft compares", err)
	}
	if err := s.SetUint64([]byte("CurrentTerm"), 7); err != nil {
		t.Fatal(err)
	}
	if err := s.Set([]byte("LastVoteCand"), []byte("n1")); err != nil {
		t.Fatal(err)
	}
	s = open()
	if v, err := s.GetUint64([]byte("CurrentTerm")); err != nil || v != 7 {
		t.Errorf("CurrentTerm = %d, %v, want 7", v, err)
	}
	if v, err := s.Get([]byte("LastVoteCand")); err != nil || string(v) != "n1" {
		t.Errorf("LastVoteCand = %q, %v, want n1", v, err)
	}
	if _, err := s.GetUint64([]byte("LastVoteCand")); err == nil {
		t.Error("GetUint64 of a name succeeded")
	}
	if err := s.Set([]byte("big"), make([]byte, maxStable)); err == nil {
		t.Error("Set beyond the bound of the file succeeded")
	}
	f, err := Disk.Open(path, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{0xFF}, 14); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := openStable(Disk, path, nil); err == nil {
		t.Error("a damaged file was read")
	}
}

func TestRing(t *testing.T) {
	var r ring
	for i := uint64(1); i <= cacheEntries+10; i++ {
		r.add(raft.Log{Index: i, Data: []byte{1}})
	}
	var l raft.Log
	for index, want := range map[uint64]bool{10: false, 11: true, cacheEntries + 10: true, cacheEntries + 11: false} {
		if got := r.get(index, &l); got != want || got && l.Index != index {
			t.Errorf("get(%d) = %v, %d, want %v", index, got, l.Index, want)
		}
	}
	r.cut(100)
	if r.get(100, &l) || !r.get(99, &l) {
		t.Error("cut(100) does not keep exactly what is before")
	}
	r.add(raft.Log{Index: 500})
	if r.get(99, &l) || !r.get(500, &l) {
		t.Error("an entry behind a gap does not begin anew")
	}
	for i := range uint64(40) {
		r.add(raft.Log{Index: 501 + i, Data: make([]byte, 1<<20)})
	}
	if r.bytes > cacheBytes || r.n > cacheBytes>>20 {
		t.Errorf("the cache holds %d bytes in %d entries, at most %d bytes", r.bytes, r.n, cacheBytes)
	}
}
