package replog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/shebao-pay/shebao/si/planted"
)

// Bounds of the store.
const (
	// DefaultSegment is the size of a segment: large enough that a new file is
	// rare, small enough to archive and to read whole.
	DefaultSegment = 64 << 20
	// MinSegment lets tests cross many segments with little data.
	MinSegment = 4 << 10
	// MaxSegment keeps a frame's place in 32 bits of 8-byte units and a whole
	// segment readable at once.
	MaxSegment = 256 << 20

	cacheEntries = 8192     // raft reads its newest entries back
	cacheBytes   = 16 << 20 // and no more of them than this
)

// Errors of the store.
var (
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("replog: the log is closed")
	// ErrGap is returned for an entry that does not follow the last one.
	ErrGap = errors.New("replog: entry does not follow the last one")
	// ErrState is returned when the state file is older than the log's beginning,
	// or missing: what lies between is in the archive.
	ErrState = errors.New("replog: the state file is missing or too old for this log")
	// ErrTooLarge is returned for what exceeds MaxFrame.
	ErrTooLarge = errors.New("replog: record too large")
)

// StoreOptions says where and how a Store keeps the log.
type StoreOptions struct {
	Dir     string
	Segment int64 // bytes of a segment; 0 is DefaultSegment
	// Known is an index that had been durable for certain, such as that of the
	// last checkpoint. A log that ends before it has lost entries.
	Known uint64
	Files Files // nil is Disk
	// Stuck is how long one write and its sync may take; after that Fatal is
	// called, because a leader whose disk hangs keeps its lead by its heartbeats
	// and lets everybody wait. 0 waits for ever.
	Stuck time.Duration
	// Fatal is called once with the first write or sync error. The default
	// panics. When it returns, the store refuses everything.
	Fatal func(error)
}

// Store is the log on disk. It is a raft.LogStore.
type Store struct {
	opt   StoreOptions
	files Files

	mu    sync.RWMutex
	segs  []*segment // in order; the last one is written to
	first uint64     // 0 when the log is empty
	last  uint64
	crc   uint32 // of the last frame
	mark  *mark
	buf   []byte // of the write under way
	cache ring
	dead  error // set by the first failure and by Close

	// base is the entry whose state another node sent: the log begins behind it.
	// 0 for a log that begins with entry 1.
	base      uint64
	archiving sync.Mutex // held while segments move

	filler *filler
	stats  storeStats
	stuck  *time.Timer // runs while a write is under way; nil without Stuck
}

// OpenStore opens the log and repairs a torn end. Damage is a *DamageError.
func OpenStore(opt StoreOptions) (*Store, error) {
	if opt.Files == nil {
		opt.Files = Disk
	}
	if opt.Segment == 0 {
		opt.Segment = DefaultSegment
	}
	if opt.Segment < MinSegment || opt.Segment > MaxSegment {
		return nil, fmt.Errorf("replog: segment size %d is not between %d and %d bytes", opt.Segment, MinSegment, MaxSegment)
	}
	if opt.Fatal == nil {
		opt.Fatal = func(err error) { panic(err) }
	}
	if err := errors.Join(opt.Files.MkdirAll(opt.Dir), opt.Files.SyncDir(filepath.Dir(opt.Dir))); err != nil {
		return nil, fmt.Errorf("replog: %w", err)
	}
	s := &Store{opt: opt, files: opt.Files}
	if opt.Stuck > 0 {
		s.stuck = time.AfterFunc(opt.Stuck, func() {
			opt.Fatal(fmt.Errorf("replog: the disk under %s has not finished a write for %s", opt.Dir, opt.Stuck))
		})
		s.stuck.Stop()
	}
	if err := s.recover(); err != nil {
		return nil, errors.Join(err, s.closeFiles())
	}
	var err error
	if s.filler, err = startFiller(s.files, filepath.Join(opt.Dir, nextName), opt.Segment, len(s.segs) == 0); err != nil {
		return nil, errors.Join(fmt.Errorf("replog: prepare a segment: %w", err), s.closeFiles())
	}
	return s, nil
}

func (s *Store) closeFiles() error {
	var errs []error
	for _, g := range s.segs {
		errs = append(errs, g.f.Close())
	}
	if s.mark != nil {
		errs = append(errs, s.mark.f.Close())
	}
	s.segs, s.mark = nil, nil
	return errors.Join(errs...)
}

// Close makes the end mark durable and closes the files.
func (s *Store) Close() error {
	s.filler.stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	if errors.Is(s.dead, ErrClosed) {
		return nil
	}
	var err error
	if s.dead == nil {
		err = s.mark.f.Sync()
	}
	s.dead = ErrClosed
	return errors.Join(err, s.closeFiles())
}

// fail ends the store's life. It is called with mu held for writing.
func (s *Store) fail(err error) error {
	if s.dead == nil {
		s.dead = err
		s.opt.Fatal(err)
	}
	return err
}

// FirstIndex is the first entry kept, 0 if there is none.
func (s *Store) FirstIndex() (uint64, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.first, nil
}

// LastIndex is the last entry, 0 if there is none.
func (s *Store) LastIndex() (uint64, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.last, nil
}

// IsMonotonic tells raft that entries follow one another without gaps.
func (s *Store) IsMonotonic() bool { return true }

// StoreLog appends one entry.
func (s *Store) StoreLog(l *raft.Log) error { return s.StoreLogs([]*raft.Log{l}) }

// StoreLogs appends entries by one write and one sync. When it returns nil they
// are durable.
func (s *Store) StoreLogs(logs []*raft.Log) error {
	if len(logs) == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead != nil {
		return s.dead
	}
	size := 0
	for i, l := range logs {
		if len(l.Data)+frameHeader > MaxFrame {
			return fmt.Errorf("%w: entry %d has %d bytes, at most %d", ErrTooLarge, l.Index, len(l.Data), MaxFrame-frameHeader)
		}
		if len(l.Extensions) != 0 {
			return fmt.Errorf("replog: entry %d carries extensions, which the log does not keep", l.Index)
		}
		if want := logs[0].Index + uint64(i); l.Index != want || l.Index == 0 || s.last != 0 && i == 0 && l.Index != s.last+1 {
			return fmt.Errorf("%w: entry %d behind %d", ErrGap, l.Index, s.last)
		}
		size += frameSize(len(l.Data))
	}
	if err := s.room(logs[0].Index, int64(size)); err != nil {
		return s.fail(err)
	}
	return s.write(logs)
}

// room makes sure that the last segment takes n bytes more. A write never
// spans segments; one that is larger than a segment makes its segment longer.
func (s *Store) room(index uint64, n int64) error {
	if len(s.segs) > 0 {
		g := s.segs[len(s.segs)-1]
		if g.end+n <= s.opt.Segment || g.end == segmentHeader {
			return nil
		}
	}
	path := filepath.Join(s.opt.Dir, segmentName(index))
	f, err := s.filler.take(path)
	if err != nil {
		return fmt.Errorf("replog: prepare a segment: %w", err)
	}
	s.segs = append(s.segs, &segment{
		path: path, f: f, header: header{first: index, prev: s.crc},
		offs: []uint32{}, end: segmentHeader, crc: s.crc,
	})
	s.stats.segments.Add(1)
	return nil
}

// write puts the frames, and the segment's header before its first ones, at the
// end of the last segment.
func (s *Store) write(logs []*raft.Log) error {
	g := s.segs[len(s.segs)-1]
	b, at := s.buf[:0], g.end
	if at == segmentHeader {
		b, at = appendHeader(b, g.header), 0
	}
	crc, flags := s.crc, uint8(flagWrite)
	for _, l := range logs {
		g.offs = append(g.offs, uint32((at+int64(len(b)))/8))
		b, crc = appendFrame(b, l, crc, flags)
		flags = 0
	}
	s.buf = b
	start := time.Now()
	if s.stuck != nil {
		s.stuck.Reset(s.opt.Stuck)
		defer s.stuck.Stop()
	}
	if _, err := g.f.WriteAt(b, at); err != nil {
		return s.fail(fmt.Errorf("replog: write %s: %w", g.path, err))
	}
	if !planted.On(planted.AckBeforeSync) {
		if err := g.f.Sync(); err != nil {
			return s.fail(fmt.Errorf("replog: sync %s: %w", g.path, err))
		}
	}
	s.stats.append(len(b), time.Since(start))
	g.end, g.crc, s.crc = at+int64(len(b)), crc, crc
	s.last = logs[len(logs)-1].Index
	if s.first == 0 {
		s.first = logs[0].Index
	}
	if err := s.mark.set(s.last); err != nil {
		return s.fail(fmt.Errorf("replog: write the end mark: %w", err))
	}
	for _, l := range logs {
		s.cache.add(*l)
	}
	s.filler.used(int64(len(b)), g.end)
	return nil
}

// GetLog reads one entry.
func (s *Store) GetLog(index uint64, l *raft.Log) error {
	s.mu.RLock()
	if s.dead != nil {
		defer s.mu.RUnlock()
		return s.dead
	}
	if index < s.first || index > s.last || s.first == 0 {
		s.mu.RUnlock()
		return raft.ErrLogNotFound
	}
	if s.cache.get(index, l) {
		s.mu.RUnlock()
		return nil
	}
	g := s.find(index)
	if g.offs != nil || index == g.first {
		defer s.mu.RUnlock()
		return s.read(g, index, l)
	}
	s.mu.RUnlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead != nil {
		return s.dead
	}
	if index < s.first || index > s.last {
		return raft.ErrLogNotFound
	}
	g = s.find(index)
	if g.offs == nil {
		b, err := readFile(g.f, nil)
		if err != nil {
			return fmt.Errorf("replog: read %s: %w", g.path, err)
		}
		g.scan(b)
	}
	return s.read(g, index, l)
}

// find gives the segment that holds index, which lies between first and last.
func (s *Store) find(index uint64) *segment {
	i := len(s.segs) - 1
	for i > 0 && s.segs[i].first > index {
		i--
	}
	return s.segs[i]
}

// read takes one frame from the file. Where the frames of a segment are known,
// so is the frame's length; the first one's is read from the frame itself.
func (s *Store) read(g *segment, index uint64, l *raft.Log) error {
	i := int(index - g.first)
	off, end := int64(segmentHeader), int64(segmentHeader+frameHeader)
	switch {
	case g.offs == nil: // only asked for the first frame
		var h [4]byte
		if _, err := g.f.ReadAt(h[:], off); err != nil {
			return fmt.Errorf("replog: read %s: %w", g.path, err)
		}
		end = off + int64(min(max(binary.LittleEndian.Uint32(h[:]), frameHeader), MaxFrame))
	case i >= len(g.offs):
		return &DamageError{Segment: filepath.Base(g.path), Offset: g.end, Index: index, Why: "the chain of frames ends before it"}
	case i == len(g.offs)-1:
		off, end = int64(g.offs[i])*8, g.end
	default:
		off, end = int64(g.offs[i])*8, int64(g.offs[i+1])*8
	}
	b := make([]byte, end-off)
	if n, err := g.f.ReadAt(b, off); err != nil && !(errors.Is(err, io.EOF) && n >= frameHeader) {
		return fmt.Errorf("replog: read %s: %w", g.path, err)
	}
	f, _, err := parseFrame(b)
	if err != nil || f.index != index {
		return &DamageError{Segment: filepath.Base(g.path), Offset: off, Index: index, Why: "checksum or index does not fit"}
	}
	*l = raft.Log{Index: f.index, Term: f.term, Type: f.kind, Data: f.data}
	if f.at != 0 {
		l.AppendedAt = time.Unix(0, f.at)
	}
	return nil
}

// DeleteRange removes entries at one end of the log, both bounds included. At
// the front nothing is destroyed: segments that lie wholly in the range move to
// the archive folder. At the back, entries that were never committed are cut.
func (s *Store) DeleteRange(from, to uint64) error {
	s.archiving.Lock()
	defer s.archiving.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead != nil {
		return s.dead
	}
	if s.first == 0 || to < s.first || from > s.last {
		return nil
	}
	var err error
	switch {
	case from <= s.first:
		err = s.archive(min(to, s.last))
	case to >= s.last:
		err = s.cut(from)
	default:
		return fmt.Errorf("replog: entries %d to %d lie inside the log (%d to %d) and cannot be removed", from, to, s.first, s.last)
	}
	if err != nil {
		return s.fail(err)
	}
	return nil
}

func (s *Store) archive(to uint64) error {
	if to >= s.last && s.base != 0 {
		return s.restartLog()
	}
	dir := filepath.Join(s.opt.Dir, archiveName)
	if err := s.files.MkdirAll(dir); err != nil {
		return fmt.Errorf("replog: %w", err)
	}
	for len(s.segs) > 0 {
		g := s.segs[0]
		if to < s.last && (len(s.segs) == 1 || s.segs[1].first > to+1) {
			break
		}
		if err := s.files.Rename(g.path, filepath.Join(dir, filepath.Base(g.path))); err != nil {
			return fmt.Errorf("replog: archive %s: %w", g.path, err)
		}
		if err := g.f.Close(); err != nil {
			return fmt.Errorf("replog: archive %s: %w", g.path, err)
		}
		s.segs = s.segs[1:]
	}
	if err := errors.Join(s.files.SyncDir(dir), s.files.SyncDir(s.opt.Dir)); err != nil {
		return fmt.Errorf("replog: archive: %w", err)
	}
	if to < s.last {
		s.first = to + 1
		return nil
	}
	s.first, s.last, s.crc = 0, 0, 0
	s.cache.cut(0)
	return s.setMarkDurable(0)
}

// restartLog sets everything aside that a snapshot has replaced.
func (s *Store) restartLog() error {
	var paths []string
	for _, g := range s.segs {
		if err := g.f.Close(); err != nil {
			return fmt.Errorf("replog: set aside %s: %w", g.path, err)
		}
		paths = append(paths, g.path)
	}
	s.segs = nil
	s.first, s.last, s.crc = 0, 0, 0
	s.cache.cut(0)
	return s.setAside(paths)
}

// cut removes the entries from index on. The mark goes first, so that a fall in
// between leaves entries too many and never a mark too high.
func (s *Store) cut(index uint64) error {
	if err := s.setMarkDurable(index - 1); err != nil {
		return err
	}
	s.cache.cut(index)
	for g := s.segs[len(s.segs)-1]; g.first >= index; g = s.segs[len(s.segs)-1] {
		if err := errors.Join(g.f.Close(), s.files.Remove(g.path), s.files.SyncDir(s.opt.Dir)); err != nil {
			return fmt.Errorf("replog: cut %s: %w", g.path, err)
		}
		s.segs = s.segs[:len(s.segs)-1]
	}
	g := s.segs[len(s.segs)-1]
	b, err := readFile(g.f, nil)
	if err != nil {
		return fmt.Errorf("replog: read %s: %w", g.path, err)
	}
	g.scan(b)
	if keep := int(index - g.first); keep < len(g.offs) {
		end := int64(g.offs[keep]) * 8
		if err := g.f.Truncate(end); err != nil {
			return fmt.Errorf("replog: cut %s: %w", g.path, err)
		}
		g.scan(b[:end])
	}
	s.last, s.crc = index-1, g.crc
	return nil
}

func (s *Store) setMarkDurable(index uint64) error {
	if err := s.mark.set(index); err != nil {
		return fmt.Errorf("replog: write the end mark: %w", err)
	}
	if err := s.mark.f.Sync(); err != nil {
		return fmt.Errorf("replog: sync the end mark: %w", err)
	}
	return nil
}
