package replog

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/raft"
)

// Scanned is what Scan found.
type Scanned struct {
	Segments int
	Archived int   // of them, compressed ones
	Bytes    int64 // of all segments, as they lie on the disk
	// Base is the entry whose state another node sent, behind which this log
	// begins; 0 for a log that begins with entry 1. See OpenBase.
	Base    uint64
	First   uint64
	Last    uint64
	Batches uint64
	// Durable is the index up to which the end mark says that the log was synced.
	Durable uint64
	// Torn tells that bytes of a write that was never acknowledged follow the
	// last entry. The next start cuts them.
	Torn bool
}

// Scan reads a whole log that no process has open, archived segments first, and
// visits every batch in order. known is the entry at which the state file stands,
// 0 if there is none. It checks each frame, each link between frames, the end,
// and the archive against its manifest; what does not fit is a *DamageError, and
// the batches before it have been visited. It changes nothing. progress, if not
// nil, hears the bytes read so far and in all; an error of visit ends the scan.
func Scan(dir string, known uint64, progress func(done, total int64), visit func(e Entry) error) (Scanned, error) {
	s := scanner{r: &Scanned{}, progress: progress, visit: visit}
	r := s.r
	base, err := BaseOf(dir, known)
	if err != nil {
		return *r, err
	}
	r.Base, r.Last = base, base
	paths, err := s.segments(dir)
	if err != nil {
		return *r, err
	}
	b, err := os.ReadFile(filepath.Join(dir, markName)) // #nosec G304 -- a name of ours in the node's folder
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return *r, fmt.Errorf("replog: %w", err)
	}
	_, r.Durable = parseMark(b)
	for i, p := range paths {
		if err := s.segment(p, i == len(paths)-1); err != nil {
			return *r, err
		}
	}
	if r.Last < r.Durable {
		return *r, &DamageError{Segment: s.name, Offset: s.end, Index: r.Last + 1,
			Why: fmt.Sprintf("the log was durable up to entry %d", r.Durable)}
	}
	return *r, nil
}

type scanner struct {
	r        *Scanned
	progress func(done, total int64)
	visit    func(Entry) error
	manifest map[string]Archived
	config   Position // the member list in force
	done     int64
	crc      uint32
	name     string // of the segment last read
	end      int64  // of its frames
}

// segments lists what there is to read, in order, and holds the manifest against
// it. A segment that was being archived when the node fell lies in both places;
// what lies below a base was replaced by it.
func (s *scanner) segments(dir string) ([]string, error) {
	old, err := listSegments(Disk, filepath.Join(dir, archiveName))
	if err != nil {
		return nil, err
	}
	live, err := listSegments(Disk, dir)
	if err != nil {
		return nil, err
	}
	lines, err := Manifest(dir)
	if err != nil {
		return nil, err
	}
	s.manifest = map[string]Archived{}
	for _, a := range lines {
		s.manifest[a.Name] = a
	}
	plain := func(p string) string { return strings.TrimSuffix(filepath.Base(p), ".gz") }
	var paths []string
	for _, p := range append(old, live...) {
		if plain(p) <= segmentName(s.r.Base) && s.r.Base != 0 {
			continue
		}
		if n := len(paths); n > 0 && plain(paths[n-1]) == plain(p) {
			paths = paths[:n-1]
		}
		paths = append(paths, p)
	}
	for _, p := range paths {
		st, err := os.Stat(p)
		if err != nil {
			return nil, fmt.Errorf("replog: %w", err)
		}
		s.r.Bytes += st.Size()
	}
	return paths, nil
}

// load reads a segment's bytes, and of an archived one what its line says.
func (s *scanner) load(path string) (b []byte, size int64, err error) {
	if !strings.HasSuffix(path, ".gz") {
		b, err = os.ReadFile(path) // #nosec G304 -- a name of ours in the node's folder
		if err != nil {
			return nil, 0, fmt.Errorf("replog: %w", err)
		}
		return b, int64(len(b)), nil
	}
	st, err := os.Stat(path)
	if err != nil {
		return nil, 0, fmt.Errorf("replog: %w", err)
	}
	damage := &DamageError{Segment: s.name, Index: s.r.Last + 1}
	if b, err = readZip(path); err != nil {
		damage.Why = fmt.Sprintf("it does not decompress: %v", err)
		return nil, 0, damage
	}
	a, ok := s.manifest[s.name]
	switch {
	case !ok:
		damage.Why = "the archive's manifest does not name it"
	case sha256.Sum256(b) != a.Sum || int64(len(b)) != a.Bytes:
		damage.Why = "its SHA-256 is not the one in the archive's manifest"
	default:
		s.r.Archived++
		return b, st.Size(), nil
	}
	return nil, 0, damage
}

func (s *scanner) segment(path string, final bool) error {
	s.name, s.end = filepath.Base(path), 0
	next := s.r.Last + 1
	b, size, err := s.load(path)
	if err != nil {
		return err
	}
	h, err := parseHeader(b)
	if final && err != nil && s.unwritten(b, next) {
		return nil
	}
	if s.r.Segments == 0 && err == nil && h.first != next {
		return &DamageError{Segment: s.name, Index: next, Why: fmt.Sprintf(
			"the log begins with entry %d; the segments before it are missing", h.first)}
	}
	if err == nil && h.first > next {
		return &DamageError{Segment: s.name, Index: next, Why: fmt.Sprintf(
			"entries %d to %d are missing: a whole segment is gone", next, h.first-1)}
	}
	if err != nil || h.first != next || h.prev != s.crc || segmentName(h.first) != strings.TrimSuffix(s.name, ".gz") {
		return &DamageError{Segment: s.name, Index: next, Why: "the header of the segment is not sound or does not follow the segment before"}
	}
	if s.r.Segments == 0 {
		s.r.First = h.first
	}
	s.r.Segments++
	s.end, s.r.Last, s.crc, err = walk(b, h, func(off int64, f *frame) error {
		if s.progress != nil {
			s.progress(s.done+off*size/int64(len(b)), s.r.Bytes)
		}
		return s.frame(f)
	})
	if err != nil {
		return err
	}
	s.done += size
	if len(trimZeros(b[min(s.end, int64(len(b))):])) == 0 {
		return nil
	}
	why := "the chain of frames breaks before the next segment"
	if final {
		off, found := later(b, s.end, s.r.Last)
		if !found {
			s.r.Torn = true
			return nil
		}
		why = fmt.Sprintf("a sound frame follows at offset %d", off)
	}
	return &DamageError{Segment: s.name, Offset: s.end, Index: s.r.Last + 1, Why: why}
}

// frame visits a batch and notes a member list.
func (s *scanner) frame(f *frame) error {
	if f.kind == raft.LogConfiguration {
		s.config = Position{ConfigIndex: f.index, Config: bytes.Clone(f.data)}
	}
	if f.kind != raft.LogCommand {
		return nil
	}
	s.r.Batches++
	e := Entry{Position: s.config, Data: f.data}
	e.Index, e.Term = f.index, f.term
	if f.at != 0 {
		e.AppendedAt = time.Unix(0, f.at)
	}
	return s.visit(e)
}

// unwritten tells whether a last segment without a sound header is one whose
// first write never became durable.
func (s *scanner) unwritten(b []byte, next uint64) bool {
	if _, found := later(b, 0, next-1); found {
		return false
	}
	s.r.Torn = len(trimZeros(b)) != 0
	return true
}
