package replog

import "syscall"

// Sync is fdatasync: the segments are written with zeros ahead, so an append
// changes no metadata that a reader needs.
func (f diskFile) Sync() error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if err != syscall.EINTR {
			return err
		}
	}
}
