package faultfs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

const (
	// remember is how long the kernel may keep names and sizes: nobody changes
	// them behind its back while the disk is mounted.
	remember = time.Hour
	// freeBlocks is what the mounted disk says is free: enough for any gate.
	freeBlocks = 1 << 30
	blockSize  = 4096
	// unmountTries and unmountPause bound how long an unmount waits for the last
	// files of a killed process to be closed.
	unmountTries = 200
	unmountPause = 5 * time.Millisecond
)

// Mounted is a disk that the kernel shows at a folder.
type Mounted struct {
	server *fuse.Server
	dir    string
}

// Mount shows the disk at an empty folder, through /dev/fuse. It needs the right
// to mount, or fusermount3 of the Debian package fuse3; the error says which is
// missing.
//
// Other processes use the folder. This one serves it, and must not map a file of
// it into memory, as bbolt does: whoever waits for such a page stops the garbage
// collector, and with it the goroutine that would bring the page.
func (d *Disk) Mount(dir string) (*Mounted, error) {
	v := &view{RawFileSystem: fuse.NewDefaultRawFileSystem(), d: d, nodes: map[uint64]*node{}, folders: map[uint64]string{}}
	d.mu.Lock()
	v.life = d.life
	v.learn("/", d.seen["/"])
	d.mu.Unlock()
	s, err := fuse.NewServer(v, dir, &fuse.MountOptions{
		FsName: "faultfs", Name: "faultfs", DirectMount: true, DisableXAttrs: true, DisableReadDirPlus: true, MaxWrite: 1 << 20,
	})
	if err != nil {
		return nil, fmt.Errorf("faultfs: mount %s: %w; /dev/fuse must be there, with the right to mount or the Debian package fuse3", dir, err)
	}
	go s.Serve()
	if err := s.WaitMount(); err != nil {
		return nil, fmt.Errorf("faultfs: mount %s: %w", dir, err)
	}
	return &Mounted{s, dir}, nil
}

// Unmount ends the mount. Files of a process that was just killed may be open for
// a moment longer: it waits a second for them.
func (m *Mounted) Unmount() error {
	var err error
	for range unmountTries {
		if err = m.server.Unmount(); err == nil {
			m.server.Wait()
			return nil
		}
		time.Sleep(unmountPause)
	}
	return fmt.Errorf("faultfs: unmount %s: %w; a process still has files there", m.dir, err)
}

// view is the disk in the kernel's terms. A node is known by its number; folders
// keep their path, which never changes.
type view struct {
	fuse.RawFileSystem
	d    *Disk
	life int

	mu      sync.Mutex
	nodes   map[uint64]*node
	folders map[uint64]string
}

func (v *view) learn(name string, n *node) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.nodes[n.id] = n
	if n.folder {
		v.folders[n.id] = name
	}
}

func (v *view) folder(id uint64) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.folders[id]
}

func (v *view) node(id uint64) *node {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.nodes[id]
}

func (v *view) file(id uint64) *File {
	return &File{d: v.d, n: v.node(id), name: fmt.Sprint("file ", id), life: v.life}
}

// status is an error in the kernel's terms.
func status(err error) fuse.Status {
	var no syscall.Errno
	switch {
	case err == nil:
		return fuse.OK
	case errors.As(err, &no):
		return fuse.Status(no)
	default:
		return fuse.EIO
	}
}

func (v *view) attr(n *node, a *fuse.Attr) {
	v.d.mu.Lock()
	defer v.d.mu.Unlock()
	a.Ino, a.Nlink, a.Mode, a.Blksize = n.id, 1, syscall.S_IFREG|0o600, blockSize
	a.Size = uint64(len(n.data))
	a.Blocks = (a.Size + Sector - 1) / Sector
	if n.folder {
		a.Mode = syscall.S_IFDIR | 0o700
	}
	a.Uid, a.Gid = uint32(os.Geteuid()), uint32(os.Getegid()) // #nosec G115 -- ids are not negative
}

func (v *view) entry(name string, n *node, out *fuse.EntryOut) {
	v.learn(name, n)
	v.attr(n, &out.Attr)
	out.NodeId, out.Generation = n.id, 1
	out.SetEntryTimeout(remember)
	out.SetAttrTimeout(remember)
}

// find looks a name up.
func (v *view) find(parent uint64, name string) (string, *node) {
	full := path.Join(v.folder(parent), name)
	v.d.mu.Lock()
	defer v.d.mu.Unlock()
	return full, v.d.seen[full]
}

func (v *view) Lookup(_ <-chan struct{}, h *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	full, n := v.find(h.NodeId, name)
	if n == nil {
		return fuse.ENOENT
	}
	v.entry(full, n, out)
	return fuse.OK
}

func (v *view) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	n := v.node(in.NodeId)
	if n == nil {
		return fuse.ENOENT
	}
	v.attr(n, &out.Attr)
	out.SetTimeout(remember)
	return fuse.OK
}

func (v *view) SetAttr(_ <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	if in.Valid&fuse.FATTR_SIZE != 0 {
		if err := v.file(in.NodeId).Truncate(int64(in.Size)); err != nil { // #nosec G115 -- the kernel's own size
			return status(err)
		}
	}
	v.attr(v.node(in.NodeId), &out.Attr)
	out.SetTimeout(remember)
	return fuse.OK
}

func (v *view) Mkdir(_ <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	full, n := v.find(in.NodeId, name)
	if n != nil {
		return fuse.Status(syscall.EEXIST)
	}
	if err := v.d.MkdirAll(full); err != nil {
		return status(err)
	}
	_, n = v.find(in.NodeId, name)
	v.entry(full, n, out)
	return fuse.OK
}

func (v *view) Create(_ <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	full := path.Join(v.folder(in.NodeId), name)
	f, err := v.d.Open(full, true)
	if err != nil {
		return status(err)
	}
	v.entry(full, f.n, &out.EntryOut)
	return fuse.OK
}

func (v *view) Unlink(_ <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	return status(v.d.Remove(path.Join(v.folder(h.NodeId), name)))
}

func (v *view) Rmdir(_ <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	return status(v.d.Remove(path.Join(v.folder(h.NodeId), name)))
}

func (v *view) Rename(_ <-chan struct{}, in *fuse.RenameIn, from, to string) fuse.Status {
	return status(v.d.Rename(path.Join(v.folder(in.NodeId), from), path.Join(v.folder(in.Newdir), to)))
}

func (v *view) Open(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	if in.Flags&syscall.O_TRUNC != 0 {
		return status(v.file(in.NodeId).Truncate(0))
	}
	return fuse.OK
}

func (v *view) Read(_ <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	n, err := v.file(in.NodeId).ReadAt(buf, int64(in.Offset)) // #nosec G115 -- the kernel's own offset
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, status(err)
	}
	return fuse.ReadResultData(buf[:n]), fuse.OK
}

func (v *view) Write(_ <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	n, err := v.file(in.NodeId).WriteAt(data, int64(in.Offset)) // #nosec G115 -- the kernel's own offset
	if n > 0 {
		err = nil // a short write; the next one tells why
	}
	return uint32(n), status(err) // #nosec G115 -- at most len(data)
}

func (v *view) Fsync(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	return status(v.file(in.NodeId).Sync())
}

func (v *view) FsyncDir(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	return status(v.d.SyncDir(v.folder(in.NodeId)))
}

func (v *view) Flush(<-chan struct{}, *fuse.FlushIn) fuse.Status { return fuse.OK }

func (v *view) OpenDir(<-chan struct{}, *fuse.OpenIn, *fuse.OpenOut) fuse.Status { return fuse.OK }

func (v *view) ReadDir(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	dir := v.folder(in.NodeId)
	names, err := v.d.List(dir)
	if err != nil {
		return status(err)
	}
	for i := int(in.Offset); i < len(names); i++ { // #nosec G115 -- counts names
		_, n := v.find(in.NodeId, names[i])
		if n == nil {
			continue
		}
		mode := uint32(syscall.S_IFREG)
		if n.folder {
			mode = syscall.S_IFDIR
		}
		if !out.AddDirEntry(fuse.DirEntry{Name: names[i], Mode: mode, Ino: n.id, Off: uint64(i + 1)}) { // #nosec G115 -- counts names
			break
		}
	}
	return fuse.OK
}

func (v *view) StatFs(_ <-chan struct{}, _ *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	out.Bsize, out.Frsize, out.NameLen = blockSize, blockSize, 255
	out.Blocks, out.Bfree, out.Bavail = 2*freeBlocks, freeBlocks, freeBlocks
	return fuse.OK
}
