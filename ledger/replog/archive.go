package replog

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Names in the archive folder, and their bounds.
const (
	archiveName    = "archive"
	archivedSuffix = segmentSuffix + ".gz"
	baseSuffix     = ".base.gz"
	manifestName   = "manifest"
	asidePrefix    = "before-" // folders of what a snapshot from another node replaced

	// DefaultKeep is how many whole segments stay beside the archive for nodes
	// that were away for a while: 256 MiB are sent sooner than a state file.
	DefaultKeep = 4
	// maxLine bounds one line of the manifest; ours have about 300 bytes.
	maxLine = 1024
)

// Archived is one line of the archive's manifest: a segment that was compressed
// when a checkpoint above it was durable.
type Archived struct {
	Name        string // of the file
	First, Last uint64 // entries
	Prev, CRC   uint32 // checksums of the frame before the first, and of the last
	Bytes       int64  // before compression, without the zeros at the end
	Sum         [sha256.Size]byte
	// Checkpoint and Head are the entry and the chain head of the checkpoint
	// under which it was archived.
	Checkpoint uint64
	Head       [sha256.Size]byte
}

// String is the line without its end.
func (a *Archived) String() string {
	return fmt.Sprintf("%s first %d last %d prev %08x crc %08x bytes %d sha256 %x checkpoint %d head %x",
		a.Name, a.First, a.Last, a.Prev, a.CRC, a.Bytes, a.Sum, a.Checkpoint, a.Head)
}

// errLine is a line of a manifest that no node wrote.
var errLine = errors.New("replog: no line of an archive's manifest")

// parseArchived reads one line.
func parseArchived(line string) (Archived, error) {
	var a Archived
	f := strings.Split(line, " ")
	if len(line) > maxLine || len(f) != 17 {
		return a, errLine
	}
	a.Name = f[0]
	number := func(i int, name string) uint64 {
		n, err := strconv.ParseUint(f[i+1], 10, 63)
		if err != nil || f[i] != name {
			a.Name = ""
		}
		return n
	}
	raw := func(i int, name string, to []byte) {
		b, err := hex.DecodeString(f[i+1])
		if err != nil || f[i] != name || copy(to, b) != len(to) || len(b) != len(to) {
			a.Name = ""
		}
	}
	word := func(i int, name string) uint32 {
		var b [4]byte
		raw(i, name, b[:])
		return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	}
	a.First, a.Last = number(1, "first"), number(3, "last")
	a.Prev, a.CRC = word(5, "prev"), word(7, "crc")
	a.Bytes = int64(number(9, "bytes")) // #nosec G115 -- 63 bits
	raw(11, "sha256", a.Sum[:])
	a.Checkpoint = number(13, "checkpoint")
	raw(15, "head", a.Head[:])
	if a.Name != segmentName(a.First)+".gz" || a.Last < a.First || a.String() != line {
		return a, errLine
	}
	return a, nil
}

// parseManifest reads a manifest. A last line without its end was being written
// when the node fell; its segment is archived again. The later line of a segment
// counts.
func parseManifest(b []byte) (lines []Archived, whole int64, err error) {
	end := bytes.LastIndexByte(b, '\n') + 1
	for text := range strings.Lines(string(b[:end])) {
		a, err := parseArchived(strings.TrimSuffix(text, "\n"))
		if err != nil {
			return nil, 0, err
		}
		if i := slices.IndexFunc(lines, func(o Archived) bool { return o.First == a.First }); i >= 0 {
			lines = slices.Delete(lines, i, i+1)
		}
		lines = append(lines, a)
	}
	return lines, int64(end), nil
}

// Manifest reads the manifest of the archive of a log's folder; a log without
// one gives nothing.
func Manifest(dir string) ([]Archived, error) {
	lines, _, err := readManifest(Disk, filepath.Join(dir, archiveName))
	return lines, err
}

func readManifest(files Files, dir string) ([]Archived, int64, error) {
	path := filepath.Join(dir, manifestName)
	b, err := readAll(files, path)
	if err != nil {
		return nil, 0, fmt.Errorf("replog: %w", err)
	}
	lines, whole, err := parseManifest(b)
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w; restore it from a backup", path, err)
	}
	return lines, whole, nil
}

// Archive compresses the oldest segments, as far as they end at or below the
// entry upTo and more than keep segments stay behind the newest. checkpoint and
// head go into the manifest. It answers how many it archived. Nothing else may
// change the archive meanwhile; appends go on.
func (s *Store) Archive(upTo uint64, keep int, checkpoint uint64, head [sha256.Size]byte) (n int, err error) {
	s.archiving.Lock()
	defer s.archiving.Unlock()
	for {
		g, next := s.oldest(upTo, keep)
		if g == nil {
			return n, nil
		}
		a := Archived{Name: segmentName(g.first) + ".gz", First: g.first, Last: next.first - 1,
			Prev: g.prev, CRC: next.prev, Checkpoint: checkpoint, Head: head}
		if err := s.compress(g, &a); err != nil {
			return n, err
		}
		if err := s.forget(g, next); err != nil {
			return n, err
		}
		n++
	}
}

// oldest gives the oldest segment if it may be archived, and the one behind it.
func (s *Store) oldest(upTo uint64, keep int) (g *segment, next header) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.dead != nil || len(s.segs) < keep+2 || s.segs[1].first-1 > upTo {
		return nil, next
	}
	return s.segs[0], s.segs[1].header
}

// compress writes the segment's archive file and its line.
func (s *Store) compress(g *segment, a *Archived) error {
	b, err := readFile(g.f, nil)
	if err != nil {
		return fmt.Errorf("replog: archive %s: %w", g.path, err)
	}
	end, last, crc, _ := walk(b, g.header, nil)
	if last != a.Last || crc != a.CRC {
		d := &segment{path: g.path, end: end}
		return d.damage(last+1, "the chain of frames breaks before the next segment")
	}
	b = b[:end]
	a.Bytes, a.Sum = end, sha256.Sum256(b)
	dir := filepath.Join(s.opt.Dir, archiveName)
	if err := errors.Join(s.files.MkdirAll(dir), s.files.SyncDir(s.opt.Dir)); err != nil {
		return fmt.Errorf("replog: archive: %w", err)
	}
	z, err := newZipFile(s.files, filepath.Join(dir, a.Name))
	if err == nil {
		_, err = z.Write(b)
		err = errors.Join(err, z.Close())
	}
	if err == nil {
		err = appendManifest(s.files, dir, a)
	}
	if err != nil {
		return fmt.Errorf("replog: archive %s: %w", g.path, err)
	}
	return nil
}

// forget removes the segment, whose copy is durable.
func (s *Store) forget(g *segment, next header) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead != nil {
		return s.dead
	}
	s.segs, s.first = s.segs[1:], next.first
	if err := errors.Join(g.f.Close(), s.files.Remove(g.path), s.files.SyncDir(s.opt.Dir)); err != nil {
		return s.fail(fmt.Errorf("replog: archive %s: %w", g.path, err))
	}
	return nil
}

func appendManifest(files Files, dir string, a *Archived) error {
	_, whole, err := readManifest(files, dir)
	if err != nil {
		return err
	}
	f, err := files.Open(filepath.Join(dir, manifestName), true)
	if err != nil {
		return err
	}
	err = f.Truncate(whole)
	if err == nil {
		_, err = f.WriteAt([]byte(a.String()+"\n"), whole)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close(), files.SyncDir(dir))
}

// zipFile is a compressed file that gets its name when it is whole and durable.
type zipFile struct {
	*gzip.Writer
	files Files
	f     File
	path  string
	at    int64
}

func newZipFile(files Files, path string) (*zipFile, error) {
	f, err := files.Open(path+".tmp", true)
	if err != nil {
		return nil, err
	}
	if err := f.Truncate(0); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	z := &zipFile{files: files, f: f, path: path}
	z.Writer, err = gzip.NewWriterLevel((*zipOut)(z), gzip.BestSpeed)
	return z, err
}

// Close makes the file durable under its name.
func (z *zipFile) Close() error {
	err := z.Writer.Close()
	if err == nil {
		err = z.f.Sync()
	}
	if err = errors.Join(err, z.f.Close()); err != nil {
		return err
	}
	if err := z.files.Rename(z.path+".tmp", z.path); err != nil {
		return err
	}
	return z.files.SyncDir(filepath.Dir(z.path))
}

// abandon throws away what was written.
func (z *zipFile) abandon() error {
	return errors.Join(z.f.Close(), z.files.Remove(z.path+".tmp"))
}

type zipOut zipFile

func (z *zipOut) Write(b []byte) (int, error) {
	n, err := z.f.WriteAt(b, z.at)
	z.at += int64(n)
	return n, err
}

// unzip opens a compressed file of ours.
func unzip(files Files, path string) (io.ReadCloser, error) {
	f, err := files.Open(path, false)
	if err != nil {
		return nil, err
	}
	size, err := f.Size()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	z, err := gzip.NewReader(io.NewSectionReader(f, 0, size))
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &unzipped{z, f}, nil
}

type unzipped struct {
	*gzip.Reader
	f File
}

func (u *unzipped) Close() error { return errors.Join(u.Reader.Close(), u.f.Close()) }

// readZip reads a whole archived segment.
func readZip(path string) (b []byte, err error) {
	z, err := unzip(Disk, path)
	if err != nil {
		return nil, err
	}
	b, err = io.ReadAll(io.LimitReader(z, MaxSegment+MaxFrame+1))
	if err == nil && len(b) > MaxSegment+MaxFrame {
		err = ErrTooLarge
	}
	return b, errors.Join(err, z.Close())
}

// listBases gives the entries at which snapshots from other nodes began this
// log, ascending.
func listBases(files Files, dir string) ([]uint64, error) {
	names, err := files.List(filepath.Join(dir, archiveName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("replog: %w", err)
	}
	var at []uint64
	for _, n := range names {
		if digits, ok := strings.CutSuffix(n, baseSuffix); ok {
			if i, err := strconv.ParseUint(digits, 16, 64); err == nil && len(digits) == 16 {
				at = append(at, i)
			}
		}
	}
	return at, nil
}

func baseName(index uint64) string { return fmt.Sprintf("%016x%s", index, baseSuffix) }

// BaseOf is the entry whose state another node sent and behind which the log in a
// folder begins; 0 for a log that begins with entry 1. known is the entry at
// which the state file stands.
func BaseOf(dir string, known uint64) (base uint64, err error) {
	bases, err := listBases(Disk, dir)
	for _, b := range bases {
		if b <= known {
			base = b
		}
	}
	return base, err
}

// OpenBase opens the state file with which a log began that does not begin with
// entry 1: the snapshot that another node sent.
func OpenBase(dir string, index uint64) (io.ReadCloser, error) {
	r, err := unzip(Disk, filepath.Join(dir, archiveName, baseName(index)))
	if err != nil {
		return nil, fmt.Errorf("replog: the state at entry %d, with which this log begins: %w", index, err)
	}
	return r, nil
}

// settleBase decides where the log begins. A snapshot from another node counts
// when the state file has come from it, which Known shows; entries at or below
// it are then set aside. One that was being installed when the node fell goes.
func (s *Store) settleBase() error {
	bases, err := listBases(s.files, s.opt.Dir)
	if err != nil {
		return err
	}
	live, err := listSegments(s.files, s.opt.Dir)
	if err != nil {
		return err
	}
	dir := filepath.Join(s.opt.Dir, archiveName)
	for _, b := range bases {
		if b <= s.opt.Known {
			s.base = b
			continue
		}
		if len(live) > 0 && filepath.Base(live[0]) > segmentName(b) {
			return fmt.Errorf("%w: it stands at entry %d and the log begins behind entry %d", ErrState, s.opt.Known, b)
		}
		if err := errors.Join(s.files.Remove(filepath.Join(dir, baseName(b))), s.files.SyncDir(dir)); err != nil {
			return fmt.Errorf("replog: remove a snapshot that was not installed: %w", err)
		}
	}
	if s.base == 0 || len(live) == 0 || filepath.Base(live[0]) > segmentName(s.base) {
		return nil
	}
	return s.setAside(live)
}

// setAside moves the given segments and the archive below the base to a folder
// of their own: a snapshot holds what they hold, and nothing is deleted.
func (s *Store) setAside(live []string) error {
	// The mark goes first: a fall in between leaves entries too many and never a
	// mark that asks for entries that are gone.
	if err := s.setMarkDurable(0); err != nil {
		return err
	}
	dir := filepath.Join(s.opt.Dir, archiveName)
	to := filepath.Join(dir, fmt.Sprintf("%s%016x", asidePrefix, s.base))
	if err := s.files.MkdirAll(to); err != nil {
		return fmt.Errorf("replog: %w", err)
	}
	names, err := s.files.List(dir)
	if err != nil {
		return fmt.Errorf("replog: %w", err)
	}
	for _, n := range names {
		if n != baseName(s.base) && !strings.HasPrefix(n, asidePrefix) {
			live = append(live, filepath.Join(dir, n))
		}
	}
	for _, p := range live {
		if err := s.files.Rename(p, filepath.Join(to, filepath.Base(p))); err != nil {
			return fmt.Errorf("replog: set aside %s: %w", p, err)
		}
	}
	if err := errors.Join(s.files.SyncDir(to), s.files.SyncDir(dir), s.files.SyncDir(s.opt.Dir)); err != nil {
		return fmt.Errorf("replog: set aside: %w", err)
	}
	return nil
}
