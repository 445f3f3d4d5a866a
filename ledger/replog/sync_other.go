//go:build !linux

package replog

// Sync is fsync where there is no fdatasync.
func (f diskFile) Sync() error { return f.File.Sync() }
