package replog

import (
	"errors"
	"sync/atomic"
)

var errFault = errors.New("planted fault")

// faultyFiles is the disk with a switch that makes every sync fail, and one
// that makes every write fail.
type faultyFiles struct {
	disk
	syncErr, writeErr atomic.Bool
}

func (d *faultyFiles) Open(path string, create bool) (File, error) {
	f, err := d.disk.Open(path, create)
	if err != nil {
		return nil, err
	}
	return &faultyFile{f, d}, nil
}

type faultyFile struct {
	File
	d *faultyFiles
}

func (f *faultyFile) Sync() error {
	if f.d.syncErr.Load() {
		return errFault
	}
	return f.File.Sync()
}

func (f *faultyFile) WriteAt(b []byte, off int64) (int, error) {
	if f.d.writeErr.Load() {
		return 0, errFault
	}
	return f.File.WriteAt(b, off)
}
