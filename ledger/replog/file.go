package replog

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// File is an open file of the log. Tests put a faulty one in its place.
type File interface {
	io.ReaderAt
	io.WriterAt
	// Sync returns when everything written is on the device, or with an error
	// after which the file must not be used again.
	Sync() error
	// Truncate sets the size and is durable when it returns.
	Truncate(size int64) error
	Size() (int64, error)
	Close() error
}

// Files is the part of a file system that the log needs.
type Files interface {
	// Open opens a file to read and write, and makes it if create is set.
	Open(path string, create bool) (File, error)
	// List names what is in a directory, sorted.
	List(dir string) ([]string, error)
	MkdirAll(dir string) error
	Rename(from, to string) error
	Remove(path string) error
	// SyncDir makes the names in a directory durable.
	SyncDir(dir string) error
}

// Disk is the real file system.
var Disk Files = disk{}

type disk struct{}

func (disk) Open(path string, create bool) (File, error) {
	flag := os.O_RDWR
	if create {
		flag |= os.O_CREATE
	}
	f, err := os.OpenFile(path, flag, 0o600) // #nosec G304 -- a name of ours in the node's folder
	if err != nil {
		return nil, err
	}
	return diskFile{f}, nil
}

func (disk) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

func (disk) MkdirAll(dir string) error { return os.MkdirAll(dir, 0o700) }

func (disk) Rename(from, to string) error { return os.Rename(from, to) }
func (disk) Remove(path string) error     { return os.Remove(path) }

func (disk) SyncDir(dir string) error {
	d, err := os.Open(dir) // #nosec G304 -- a name of ours in the node's folder
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

type diskFile struct{ *os.File }

func (f diskFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

// Truncate uses the full fsync: the size is not data.
func (f diskFile) Truncate(size int64) error {
	if err := f.File.Truncate(size); err != nil {
		return err
	}
	return f.File.Sync()
}

// writeDurable replaces a small file whole: a reader finds the old or the new
// one, and the new one is durable when it returns.
func writeDurable(files Files, path string, b []byte) error {
	tmp := path + ".tmp"
	f, err := files.Open(tmp, true)
	if err != nil {
		return err
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt(b, 0)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := files.Rename(tmp, path); err != nil {
		return err
	}
	return files.SyncDir(filepath.Dir(path))
}

// readAll reads a whole file; a missing one gives nil.
func readAll(files Files, path string) ([]byte, error) {
	f, err := files.Open(path, false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	b, err := readFile(f, nil)
	return b, errors.Join(err, f.Close())
}

// readFile reads f from its start to its end into buf, which grows as needed.
func readFile(f File, buf []byte) ([]byte, error) {
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if int64(cap(buf)) < size {
		buf = make([]byte, size)
	}
	buf = buf[:size]
	n, err := f.ReadAt(buf, 0)
	if err != nil && !(errors.Is(err, io.EOF) && int64(n) == size) {
		return nil, err
	}
	return buf[:n], nil
}
