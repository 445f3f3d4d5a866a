package replog

import (
	"github.com/shebao-pay/shebao/internal/faultfs"
)

// memFiles is the log's view of a disk in memory, which a test may open some
// hundred thousand times, crash and make fail.
type memFiles struct{ *faultfs.Disk }

func newMemFiles() *memFiles { return &memFiles{faultfs.New(1)} }

// clone copies every file.
func (m *memFiles) clone() *memFiles { return &memFiles{m.Clone()} }

func (m *memFiles) Open(path string, create bool) (File, error) {
	f, err := m.Disk.Open(path, create)
	if err != nil {
		return nil, err
	}
	return memFile{f}, nil
}

// drop takes a file away, as a person would.
func (m *memFiles) drop(path string) { _ = m.Remove(path) }

type memFile struct{ *faultfs.File }

// Truncate is durable when it returns, as File wants it.
func (f memFile) Truncate(size int64) error {
	if err := f.File.Truncate(size); err != nil {
		return err
	}
	return f.Sync()
}
