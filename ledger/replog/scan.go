package replog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/raft"
)

// Scanned is what Scan found.
type Scanned struct {
	Segments int
	Bytes    int64 // of all segments
	First    uint64
	Last     uint64
	Batches  uint64
	// Durable is the index up to which the end mark says that the log was synced.
	Durable uint64
	// Torn tells that bytes of a write that was never acknowledged follow the
	// last entry. The next start cuts them.
	Torn bool
}

// Scan reads a whole log that no process has open, archived segments first, and
// visits every batch in order. It checks each frame, each link between frames
// and the end; what does not fit is a *DamageError, and the batches before it
// have been visited. It changes nothing. progress, if not nil, hears the bytes
// read so far and in all; an error of visit ends the scan.
func Scan(dir string, progress func(done, total int64), visit func(e Entry) error) (Scanned, error) {
	var r Scanned
	paths, err := listSegments(Disk, filepath.Join(dir, archiveName))
	if err != nil {
		return r, err
	}
	live, err := listSegments(Disk, dir)
	if err != nil {
		return r, err
	}
	paths = append(paths, live...)
	for _, p := range paths {
		st, err := os.Stat(p)
		if err != nil {
			return r, fmt.Errorf("replog: %w", err)
		}
		r.Bytes += st.Size()
	}
	b, err := os.ReadFile(filepath.Join(dir, markName)) // #nosec G304 -- a name of ours in the node's folder
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return r, fmt.Errorf("replog: %w", err)
	}
	_, r.Durable = parseMark(b)
	s := scanner{r: &r, progress: progress, visit: visit}
	for i, p := range paths {
		if err := s.segment(p, i == len(paths)-1); err != nil {
			return r, err
		}
	}
	if r.Last < r.Durable {
		return r, &DamageError{Segment: s.name, Offset: s.end, Index: r.Last + 1,
			Why: fmt.Sprintf("the log was durable up to entry %d", r.Durable)}
	}
	return r, nil
}

type scanner struct {
	r        *Scanned
	progress func(done, total int64)
	visit    func(Entry) error
	done     int64
	crc      uint32
	name     string // of the segment last read
	end      int64  // of its frames
}

func (s *scanner) segment(path string, final bool) error {
	b, err := os.ReadFile(path) // #nosec G304 -- a name of ours in the node's folder
	if err != nil {
		return fmt.Errorf("replog: %w", err)
	}
	s.name, s.end = filepath.Base(path), 0
	h, err := parseHeader(b)
	next := s.r.Last + 1
	if s.r.Segments == 0 {
		next = h.first
	}
	if final && err != nil && s.unwritten(b, next) {
		return nil
	}
	if err != nil || h.first != next || h.prev != s.crc || segmentName(h.first) != s.name {
		return &DamageError{Segment: s.name, Index: next, Why: "the header of the segment is not sound or does not follow the segment before"}
	}
	if s.r.Segments == 0 {
		s.r.First = h.first
	}
	s.r.Segments++
	s.end, s.r.Last, s.crc, err = walk(b, h, func(off int64, f *frame) error {
		if s.progress != nil {
			s.progress(s.done+off, s.r.Bytes)
		}
		if f.kind != raft.LogCommand {
			return nil
		}
		s.r.Batches++
		e := Entry{Position: Position{Index: f.index, Term: f.term}, Data: f.data}
		if f.at != 0 {
			e.AppendedAt = time.Unix(0, f.at)
		}
		return s.visit(e)
	})
	if err != nil {
		return err
	}
	s.done += int64(len(b))
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

// unwritten tells whether a last segment without a sound header is one whose
// first write never became durable.
func (s *scanner) unwritten(b []byte, next uint64) bool {
	if _, found := later(b, 0, next-1); found {
		return false
	}
	s.r.Torn = len(trimZeros(b)) != 0
	return true
}
