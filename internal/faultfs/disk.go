package faultfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// Sector is how many bytes a device writes at once; a power failure may tear one.
const Sector = 512

// ErrCrashed is returned by every file that was open when the disk crashed.
var ErrCrashed = errors.New("faultfs: the file was open at a crash")

// Call is a kind of call that can be made to fail.
type Call uint8

// The kinds of calls.
const (
	Open Call = iota
	Write
	Sync
	Truncate
	Rename
	Remove
	SyncDir
	calls
)

// Calls is every kind of call.
var Calls = []Call{Open, Write, Sync, Truncate, Rename, Remove, SyncDir}

func (c Call) String() string {
	return [calls]string{"open", "write", "sync", "truncate", "rename", "remove", "syncdir"}[c]
}

// Losses is what a crash found unsynced and did with it. Sectors are of 512 bytes,
// Names are files made, renamed or removed.
type Losses struct {
	Kept, Lost, Torn     int // sectors
	NamesKept, NamesLost int
}

// Add sums up.
func (l *Losses) Add(o Losses) {
	l.Kept += o.Kept
	l.Lost += o.Lost
	l.Torn += o.Torn
	l.NamesKept += o.NamesKept
	l.NamesLost += o.NamesLost
}

// node is a file or a folder.
type node struct {
	id      uint64
	folder  bool
	data    []byte // as readers see it
	durable int64  // bytes that the device knows of
	// old holds, of each sector that was written since the last sync, what the
	// device has of it; nil beyond the durable size.
	old map[int64][]byte
	// doomed is the same of sectors whose sync failed: no later sync brings them
	// to the device, only writing them again does.
	doomed map[int64][]byte
}

// change is a change of names that no SyncDir has covered.
type change struct {
	from, to string // from is empty for a new name, to for a removed one
	n        *node
}

// Disk is a file system in memory. It is safe for use by several goroutines.
// Paths are absolute and clean.
type Disk struct {
	mu      sync.Mutex
	rng     *rand.Rand
	seen    map[string]*node
	durable map[string]*node
	changes []change
	life    int // counts crashes
	next    uint64
	left    [calls]int // calls until one fails; 0 is never
	fault   [calls]error
	count   [calls]int
}

// New makes an empty disk. The seed decides what its crashes keep.
func New(seed uint64) *Disk {
	d := &Disk{rng: rand.New(rand.NewPCG(seed, 0xD15C)), seen: map[string]*node{}, durable: map[string]*node{}} // #nosec G404 -- chance of a test
	root := d.node(true)
	d.seen["/"], d.durable["/"] = root, root
	return d
}

func (d *Disk) node(folder bool) *node {
	d.next++
	return &node{id: d.next, folder: folder, old: map[int64][]byte{}, doomed: map[int64][]byte{}}
}

// Clone copies the disk as its readers see it, all of it durable, without open
// files and planned failures.
func (d *Disk) Clone() *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := New(d.rng.Uint64())
	for p, n := range d.seen {
		m := c.node(n.folder)
		m.data, m.durable = slices.Clone(n.data), int64(len(n.data))
		c.seen[p], c.durable[p] = m, m
	}
	return c
}

// FailAt makes the nth call of a kind from now on fail with err, and after it
// every one: a disk that is full or broken stays so. A write that fails has
// written half. n = 0 takes the failure away.
func (d *Disk) FailAt(c Call, n int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left[c], d.fault[c] = n, err
}

// Count is how many calls of a kind there were.
func (d *Disk) Count(c Call) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.count[c]
}

// call counts a call and gives its failure. It is called with mu held.
func (d *Disk) call(c Call) error {
	d.count[c]++
	if d.left[c] == 0 {
		return nil
	}
	if d.left[c] > 1 {
		d.left[c]--
		return nil
	}
	return d.fault[c]
}

func failed(c Call, name string, err error) error { return fmt.Errorf("%v %s: %w", c, name, err) }

// Open opens a file to read and write, and makes it if create is set. A missing
// one, or folder, is syscall.ENOENT.
func (d *Disk) Open(name string, create bool) (*File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.call(Open); err != nil {
		return nil, failed(Open, name, err)
	}
	n := d.seen[name]
	switch {
	case n != nil && n.folder:
		return nil, failed(Open, name, syscall.EISDIR)
	case n == nil && (!create || d.seen[path.Dir(name)] == nil):
		return nil, failed(Open, name, syscall.ENOENT)
	case n == nil:
		n = d.node(false)
		d.add(name, n)
	}
	return &File{d: d, n: n, name: name, life: d.life}, nil
}

func (d *Disk) add(name string, n *node) {
	d.seen[name] = n
	d.changes = append(d.changes, change{to: name, n: n})
}

// List names what is in a folder, sorted.
func (d *Disk) List(dir string) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := d.seen[dir]; n == nil || !n.folder {
		return nil, failed(Open, dir, syscall.ENOENT)
	}
	var names []string
	for p := range d.seen {
		if p != "/" && path.Dir(p) == dir {
			names = append(names, path.Base(p))
		}
	}
	slices.Sort(names)
	return names, nil
}

// Paths is every file, sorted.
func (d *Disk) Paths() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []string
	for p, n := range d.seen {
		if !n.folder {
			out = append(out, p)
		}
	}
	slices.Sort(out)
	return out
}

// MkdirAll makes a folder and those above it.
func (d *Disk) MkdirAll(dir string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	at := ""
	for part := range strings.SplitSeq(strings.TrimPrefix(dir, "/"), "/") {
		at += "/" + part
		switch n := d.seen[at]; {
		case n == nil && part != "":
			d.add(at, d.node(true))
		case n != nil && !n.folder:
			return failed(Open, at, syscall.ENOTDIR)
		}
	}
	return nil
}

// Rename gives a file another name, at once for whoever looks.
func (d *Disk) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.call(Rename); err != nil {
		return failed(Rename, from, err)
	}
	n := d.seen[from]
	if n == nil || n.folder || d.seen[path.Dir(to)] == nil {
		return failed(Rename, from, syscall.ENOENT)
	}
	delete(d.seen, from)
	d.seen[to] = n
	d.changes = append(d.changes, change{from, to, n})
	return nil
}

// Remove takes a file, or an empty folder, away. Who has it open keeps it.
func (d *Disk) Remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.call(Remove); err != nil {
		return failed(Remove, name, err)
	}
	n := d.seen[name]
	if n == nil {
		return failed(Remove, name, syscall.ENOENT)
	}
	for p := range d.seen {
		if n.folder && path.Dir(p) == name {
			return failed(Remove, name, syscall.ENOTEMPTY)
		}
	}
	delete(d.seen, name)
	d.changes = append(d.changes, change{name, "", n})
	return nil
}

// SyncDir makes the names in a folder durable.
func (d *Disk) SyncDir(dir string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.call(SyncDir); err != nil {
		return failed(SyncDir, dir, err)
	}
	if n := d.seen[dir]; n == nil || !n.folder {
		return failed(SyncDir, dir, syscall.ENOENT)
	}
	var rest []change
	for _, c := range d.changes {
		if c.from != "" && path.Dir(c.from) == dir || c.to != "" && path.Dir(c.to) == dir {
			d.settle(c)
			continue
		}
		rest = append(rest, c)
	}
	d.changes = rest
	return nil
}

// settle makes one change of names durable.
func (d *Disk) settle(c change) {
	if c.from != "" && d.durable[c.from] == c.n {
		delete(d.durable, c.from)
	}
	if c.to != "" {
		d.durable[c.to] = c.n
	}
}

// Crash is a power failure: open files are dead, and of what was not synced each
// sector and each change of a name is kept, lost or torn. How much is kept
// differs from crash to crash, from nothing to all.
func (d *Disk) Crash() Losses {
	d.mu.Lock()
	defer d.mu.Unlock()
	var l Losses
	d.life++
	d.left = [calls]int{}
	keep := [...]float64{0, 0.1, 0.5, 0.5, 0.9, 1}[d.rng.IntN(6)]
	for _, c := range d.changes {
		if d.rng.Float64() >= keep || c.from != "" && d.durable[c.from] != c.n {
			l.NamesLost++
			continue
		}
		d.settle(c)
		l.NamesKept++
	}
	d.changes = nil
	for _, p := range slices.Sorted(maps.Keys(d.durable)) {
		if up := d.durable[path.Dir(p)]; up == nil || !up.folder {
			delete(d.durable, p) // its folder is gone
			continue
		}
	}
	done := map[*node]bool{}
	for _, p := range slices.Sorted(maps.Keys(d.durable)) {
		if n := d.durable[p]; !n.folder && !done[n] {
			done[n] = true
			d.fall(n, keep, &l)
		}
	}
	d.seen = maps.Clone(d.durable)
	return l
}

// fall leaves of a file what a power failure leaves.
func (d *Disk) fall(n *node, keep float64, l *Losses) {
	size := n.durable
	if int64(len(n.data)) != size && d.rng.Float64() < keep {
		size = int64(len(n.data))
	}
	restore := func(at int64, old []byte, from, to int64) {
		n.grow((at + 1) * Sector)
		s := n.data[at*Sector : (at+1)*Sector]
		var was [Sector]byte
		copy(was[:], old)
		copy(s[from:to], was[from:to])
	}
	for _, at := range slices.Sorted(maps.Keys(n.old)) {
		switch {
		case d.rng.Float64() < keep:
			l.Kept++
		case d.rng.IntN(4) == 0:
			l.Torn++
			from := 1 + d.rng.Int64N(Sector-1)
			if d.rng.IntN(2) == 0 {
				restore(at, n.old[at], 0, from)
			} else {
				restore(at, n.old[at], from, Sector)
			}
		default:
			l.Lost++
			restore(at, n.old[at], 0, Sector)
		}
	}
	for at, old := range n.doomed {
		l.Lost++
		restore(at, old, 0, Sector)
	}
	n.grow(size)
	n.data, n.durable = n.data[:size], size
	clear(n.old)
	clear(n.doomed)
}

// Bytes is a file as its readers see it; nil if it is missing. The slice is the
// file's own until the next write.
func (d *Disk) Bytes(name string) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := d.seen[name]; n != nil {
		return n.data
	}
	return nil
}

// Put makes a file with its content and the folders above it, all durable. The
// disk keeps the slice.
func (d *Disk) Put(name string, b []byte) {
	if err := d.MkdirAll(path.Dir(name)); err != nil {
		panic(err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.node(false)
	n.data, n.durable = b, int64(len(b))
	d.add(name, n)
	for _, c := range d.changes {
		d.settle(c)
	}
	d.changes = nil
}

// CopyIn puts every file of a real folder under dir, durable.
func (d *Disk) CopyIn(dir, from string) error {
	return filepath.WalkDir(from, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(name) // #nosec G304 -- the caller's own folder
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, name)
		d.Put(path.Join(dir, filepath.ToSlash(rel)), b)
		return err
	})
}

// CopyOut writes every file under dir, as its readers see it, into a real folder.
func (d *Disk) CopyOut(dir, to string) error {
	for _, p := range d.Paths() {
		rel, ok := strings.CutPrefix(p, strings.TrimSuffix(dir, "/")+"/")
		if !ok {
			continue
		}
		name := filepath.Join(to, filepath.FromSlash(rel))
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(name, d.Bytes(p), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// grow makes sure that data has a size, zeros behind.
func (n *node) grow(size int64) {
	if more := size - int64(len(n.data)); more > 0 {
		n.data = append(n.data, make([]byte, more)...)
	}
}

// touch remembers what the device has of the sectors from one place to another.
func (n *node) touch(from, to int64) {
	for at := from / Sector; at*Sector < to; at++ {
		if _, ok := n.old[at]; ok {
			continue
		}
		if was, ok := n.doomed[at]; ok {
			n.old[at] = was
			delete(n.doomed, at)
			continue
		}
		var was []byte
		if end := min((at+1)*Sector, n.durable, int64(len(n.data))); end > at*Sector {
			was = slices.Clone(n.data[at*Sector : end])
		}
		n.old[at] = was
	}
}

// File is an open file.
type File struct {
	d    *Disk
	n    *node
	name string
	life int
}

// lock takes the disk's lock if the file is alive.
func (f *File) lock() error {
	f.d.mu.Lock()
	if f.life != f.d.life {
		f.d.mu.Unlock()
		return failed(Open, f.name, ErrCrashed)
	}
	return nil
}

// ReadAt is io.ReaderAt.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	if err := f.lock(); err != nil {
		return 0, err
	}
	defer f.d.mu.Unlock()
	if len(p) == 0 {
		return 0, nil
	}
	if off >= int64(len(f.n.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.n.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt is io.WriterAt; what it writes is durable by Sync.
func (f *File) WriteAt(p []byte, off int64) (int, error) {
	if err := f.lock(); err != nil {
		return 0, err
	}
	defer f.d.mu.Unlock()
	err := f.d.call(Write)
	if err != nil {
		p, err = p[:len(p)/2], failed(Write, f.name, err)
	}
	f.n.touch(off, off+int64(len(p)))
	f.n.grow(off + int64(len(p)))
	return copy(f.n.data[off:], p), err
}

// Sync makes what was written durable. After it failed the disk has forgotten
// that it ever was to.
func (f *File) Sync() error {
	if err := f.lock(); err != nil {
		return err
	}
	defer f.d.mu.Unlock()
	if err := f.d.call(Sync); err != nil {
		maps.Copy(f.n.doomed, f.n.old)
		clear(f.n.old)
		return failed(Sync, f.name, err)
	}
	clear(f.n.old)
	f.n.durable = int64(len(f.n.data))
	return nil
}

// Truncate sets the size; it is durable by Sync.
func (f *File) Truncate(size int64) error {
	if err := f.lock(); err != nil {
		return err
	}
	defer f.d.mu.Unlock()
	if err := f.d.call(Truncate); err != nil {
		return failed(Truncate, f.name, err)
	}
	if size < int64(len(f.n.data)) {
		f.n.touch(size, int64(len(f.n.data)))
		clear(f.n.data[size:]) // what a later growth shows
		f.n.data = f.n.data[:size]
		return nil
	}
	f.n.grow(size)
	return nil
}

// Size is the size in bytes.
func (f *File) Size() (int64, error) {
	if err := f.lock(); err != nil {
		return 0, err
	}
	defer f.d.mu.Unlock()
	return int64(len(f.n.data)), nil
}

// Close closes the file. It syncs nothing.
func (f *File) Close() error { return nil }
