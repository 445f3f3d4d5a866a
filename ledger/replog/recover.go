package replog

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// recover opens the segments, walks those that may hold what a checkpoint does
// not, and settles how the log ends: cleanly, with a torn write that is cut, or
// with damage, which is refused.
func (s *Store) recover() error {
	var err error
	if s.mark, err = openMark(s.files, filepath.Join(s.opt.Dir, markName)); err != nil {
		return fmt.Errorf("replog: open the end mark: %w", err)
	}
	if err := s.settleBase(); err != nil {
		return err
	}
	if err := s.openSegments(); err != nil {
		return err
	}
	durable := s.mark.index
	if s.opt.Known > s.base {
		durable = max(durable, s.opt.Known)
	}
	var buf []byte
	for i, g := range s.segs {
		final := i == len(s.segs)-1
		if !final && s.segs[i+1].first <= s.opt.Known {
			continue // older than the checkpoint; read when asked for
		}
		if buf, err = readFile(g.f, buf); err != nil {
			return fmt.Errorf("replog: read %s: %w", g.path, err)
		}
		s.last = g.scan(buf)
		s.crc = g.crc
		rest := trimZeros(buf[min(g.end, int64(len(buf))):])
		if !final {
			if n := s.segs[i+1]; s.last+1 != n.first || g.crc != n.prev || len(rest) != 0 {
				return g.damage(s.last+1, "the chain of frames breaks before the next segment")
			}
			continue
		}
		if off, found := later(buf, g.end, s.last); len(rest) != 0 && found {
			return g.damage(s.last+1, fmt.Sprintf("a sound frame follows at offset %d", off))
		}
		if s.last < durable {
			return g.damage(s.last+1, fmt.Sprintf("the log was durable up to entry %d", durable))
		}
		if err := s.mend(g, int64(len(buf)), len(rest) != 0); err != nil {
			return err
		}
	}
	if len(s.segs) == 0 {
		if durable != 0 {
			return &DamageError{Segment: segmentName(1), Index: 1, Why: fmt.Sprintf("the log was durable up to entry %d and has no segment", durable)}
		}
		return nil
	}
	s.first = s.segs[0].first
	if s.last != s.mark.index {
		return s.setMarkDurable(s.last)
	}
	return nil
}

func (g *segment) damage(index uint64, why string) error {
	return &DamageError{Segment: filepath.Base(g.path), Offset: g.end, Index: index, Why: why}
}

// openSegments opens the files and reads their headers. A last file without a
// header was named and never written; it goes.
func (s *Store) openSegments() error {
	paths, err := listSegments(s.files, s.opt.Dir)
	if err != nil {
		return err
	}
	for i, path := range paths {
		f, err := s.files.Open(path, false)
		if err != nil {
			return fmt.Errorf("replog: %w", err)
		}
		g := &segment{path: path, f: f}
		s.segs = append(s.segs, g)
		named, err := strconv.ParseUint(strings.TrimSuffix(filepath.Base(path), segmentSuffix), 16, 64)
		if err != nil {
			return fmt.Errorf("replog: %s: %w", path, err)
		}
		g.header, err = readHeader(f)
		if err == nil && g.first != named {
			err = errFrame
		}
		if err == nil && i > 0 && g.first <= s.segs[i-1].first {
			err = errFrame
		}
		if err == nil {
			continue
		}
		if !errors.Is(err, errNoFrame) && !errors.Is(err, errFrame) {
			return fmt.Errorf("replog: read %s: %w", path, err)
		}
		if err := s.dropEmpty(g, named, i == len(paths)-1); err != nil {
			return err
		}
	}
	return nil
}

// dropEmpty removes a last segment whose first write never became durable.
func (s *Store) dropEmpty(g *segment, named uint64, final bool) error {
	b, err := readFile(g.f, nil)
	if err != nil {
		return fmt.Errorf("replog: read %s: %w", g.path, err)
	}
	if _, found := later(b, 0, named-1); found || !final || s.mark.index >= named || s.opt.Known >= named {
		return g.damage(named, "the header of the segment is not sound")
	}
	s.segs = s.segs[:len(s.segs)-1]
	if err := errors.Join(g.f.Close(), s.files.Remove(g.path), s.files.SyncDir(s.opt.Dir)); err != nil {
		return fmt.Errorf("replog: remove the unwritten %s: %w", g.path, err)
	}
	return nil
}

func readHeader(f File) (header, error) {
	size, err := f.Size()
	if err != nil {
		return header{}, err
	}
	b := make([]byte, min(size, segmentHeader))
	if _, err := f.ReadAt(b, 0); err != nil {
		return header{}, err
	}
	return parseHeader(b)
}

// mend cuts a torn write behind the end and fills the segment up with zeros
// again, so that the next appends change no metadata.
func (s *Store) mend(g *segment, size int64, torn bool) error {
	if torn {
		if err := g.f.Truncate(g.end); err != nil {
			return fmt.Errorf("replog: cut %s: %w", g.path, err)
		}
		size = g.end
		s.stats.torn.Add(1)
	}
	if size >= s.opt.Segment {
		return nil
	}
	if err := fillZeros(g.f, size, s.opt.Segment); err != nil {
		return fmt.Errorf("replog: fill %s: %w", g.path, err)
	}
	return nil
}
