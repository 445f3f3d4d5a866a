package replog

import (
	"bytes"
	"io"
	"io/fs"
	"path/filepath"
	"sort"
	"sync"
)

// memFiles is a file system in memory, so that a test may open a log some
// hundred thousand times.
type memFiles struct {
	mu    sync.Mutex
	files map[string]*memFile
}

func newMemFiles() *memFiles { return &memFiles{files: map[string]*memFile{}} }

// clone copies every file.
func (m *memFiles) clone() *memFiles {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := newMemFiles()
	for p, f := range m.files {
		f.mu.Lock()
		c.files[p] = &memFile{b: bytes.Clone(f.b)}
		f.mu.Unlock()
	}
	return c
}

func (m *memFiles) Open(path string, create bool) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.files[path]
	if f == nil {
		if !create {
			return nil, fs.ErrNotExist
		}
		f = &memFile{}
		m.files[path] = f
	}
	return f, nil
}

func (m *memFiles) List(dir string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for p := range m.files {
		if filepath.Dir(p) == dir {
			names = append(names, filepath.Base(p))
		}
	}
	sort.Strings(names)
	return names, nil
}

func (m *memFiles) MkdirAll(string) error { return nil }

func (m *memFiles) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.files[to] = m.files[from]
	delete(m.files, from)
	return nil
}

func (m *memFiles) Remove(path string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.files, path)
	return nil
}

func (m *memFiles) SyncDir(string) error { return nil }

type memFile struct {
	mu sync.Mutex
	b  []byte
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if off >= int64(len(f.b)) {
		return 0, io.EOF
	}
	n := copy(p, f.b[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if end := off + int64(len(p)); end > int64(len(f.b)) {
		f.b = append(f.b, make([]byte, end-int64(len(f.b)))...)
	}
	return copy(f.b[off:], p), nil
}

func (f *memFile) Sync() error { return nil }

func (f *memFile) Truncate(size int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if size <= int64(len(f.b)) {
		f.b = f.b[:size]
	} else {
		f.b = append(f.b, make([]byte, size-int64(len(f.b)))...)
	}
	return nil
}

func (f *memFile) Size() (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return int64(len(f.b)), nil
}

func (f *memFile) Close() error { return nil }
