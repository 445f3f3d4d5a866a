package replog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
)

// DamageError says that the log is not what was written: something inside it
// changed, or its end is missing. The node does not open; a copy from another
// node or a backup takes the place of the damaged segment.
type DamageError struct {
	Segment string // file name
	Offset  int64  // in the segment
	Index   uint64 // of the entry that should be there
	Why     string
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("replog: segment %s, offset %d: entry %d is damaged or missing: %s; "+
		"restore the segment from a backup or another node, do not delete it", e.Segment, e.Offset, e.Index, e.Why)
}

// segment is one file of the log.
type segment struct {
	path string
	f    File
	header
	// offs holds the place of each frame in units of 8 bytes; nil until scanned.
	offs []uint32
	end  int64  // behind the last frame, valid once scanned
	crc  uint32 // of the last frame, valid once scanned
}

const (
	segmentSuffix = ".seg"
	nextName      = "next" // the segment that is being filled with zeros
	markName      = "end"
)

func segmentName(first uint64) string { return fmt.Sprintf("%016x%s", first, segmentSuffix) }

// listSegments gives the paths of a directory's segments in order.
func listSegments(files Files, dir string) ([]string, error) {
	names, err := files.List(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("replog: %w", err)
	}
	var paths []string
	for _, n := range names {
		hex, ok := strings.CutSuffix(n, segmentSuffix)
		if !ok {
			if hex, ok = strings.CutSuffix(n, archivedSuffix); !ok {
				continue
			}
		}
		if _, err := strconv.ParseUint(hex, 16, 64); err != nil || len(hex) != 16 {
			return nil, fmt.Errorf("replog: %s is no segment of ours; move it out of the log's folder", filepath.Join(dir, n))
		}
		paths = append(paths, filepath.Join(dir, n))
	}
	return paths, nil
}

// walk visits the frames of a segment's bytes as far as they continue the log
// one by one, and returns the place behind the last of them. ok tells whether
// nothing but zeros follows.
func walk(b []byte, h header, visit func(off int64, f *frame) error) (end int64, last uint64, crc uint32, err error) {
	pos, next, crc := segmentHeader, h.first, h.prev
	for pos < len(b) {
		f, n, err := parseFrame(b[pos:])
		if err != nil || f.prev != crc || f.index != next {
			break
		}
		if visit != nil {
			if err := visit(int64(pos), &f); err != nil {
				return int64(pos), next - 1, crc, err
			}
		}
		pos, next, crc = pos+n, next+1, f.crc
	}
	return int64(pos), next - 1, crc, nil
}

// later finds, at or behind a broken place, proof that the place had been
// durable: a sound frame that stands where it does not belong, or one further on
// that began a write of its own. A torn last write leaves neither.
func later(b []byte, from int64, last uint64) (off int64, found bool) {
	for pos := (from + 7) &^ 7; pos+frameHeader <= int64(len(b)); pos += 8 {
		if binary.LittleEndian.Uint64(b[pos:]) == 0 {
			continue
		}
		f, _, err := parseFrame(b[pos:])
		if err != nil {
			continue
		}
		if pos == from || f.flags&flagWrite != 0 && f.index > last {
			return pos, true
		}
	}
	return 0, false
}

// scan walks a segment and fills offs, end and crc.
func (s *segment) scan(b []byte) (last uint64) {
	s.offs = s.offs[:0]
	s.end, last, s.crc, _ = walk(b, s.header, func(off int64, _ *frame) error {
		s.offs = append(s.offs, uint32(off/8))
		return nil
	})
	if s.offs == nil {
		s.offs = []uint32{}
	}
	return last
}
