package replog

import (
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shebao-pay/shebao/si/planted"
)

// The pace of writing zeros ahead: small steps, because a large one holds up
// the syncs of the payments beside it.
const (
	fillStep  = 256 << 10
	fillEvery = 20 * time.Millisecond
)

// filler prepares the next segment, really written with zeros, so that an
// append allocates nothing on the device. It begins when a quarter of the
// current segment is used and keeps ahead of its use.
type filler struct {
	files Files
	path  string
	size  int64
	eaten atomic.Int64 // bytes appended since the last step
	ready atomic.Bool

	mu     sync.Mutex
	f      File
	filled int64
	err    error

	kick chan struct{}
	quit chan struct{}
	done chan struct{}
	once sync.Once
}

// startFiller starts the filler; for an empty log the first segment is filled
// before it returns.
func startFiller(files Files, path string, size int64, empty bool) (*filler, error) {
	w := &filler{
		files: files, path: path, size: size,
		kick: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}),
	}
	if empty {
		if err := w.open(); err != nil {
			return nil, err
		}
		if err := fillZeros(w.f, 0, size); err != nil {
			return nil, errors.Join(err, w.f.Close())
		}
		w.filled = size
		w.ready.Store(true)
	}
	go w.run()
	return w, nil
}

func (w *filler) stop() {
	w.once.Do(func() { close(w.quit) })
	<-w.done
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.f != nil {
		w.err = errors.Join(w.err, w.f.Close())
		w.f = nil
	}
}

// used tells the filler that n bytes were appended and where the segment ends.
func (w *filler) used(n, end int64) {
	w.eaten.Add(n)
	if end < w.size/4 || w.ready.Load() {
		return
	}
	select {
	case w.kick <- struct{}{}:
	default:
	}
}

func (w *filler) run() {
	defer close(w.done)
	tick := time.NewTimer(fillEvery)
	defer tick.Stop()
	for {
		select {
		case <-w.kick:
		case <-w.quit:
			return
		}
		for w.step() {
			tick.Reset(fillEvery)
			select {
			case <-tick.C:
			case <-w.quit:
				return
			}
		}
	}
}

// step writes the next piece and tells whether more is to do. Under load a
// piece is a quarter more than what was appended meanwhile.
func (w *filler) step() bool {
	n := max(fillStep, w.eaten.Swap(0)*5/4)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil || w.filled >= w.size {
		return false
	}
	if w.err = w.open(); w.err != nil {
		return false
	}
	to := min(w.filled+n, w.size)
	if w.err = fillZeros(w.f, w.filled, to); w.err != nil {
		return false
	}
	w.filled = to
	w.ready.Store(to == w.size)
	return to < w.size
}

// open makes the file empty; it is called with mu held.
func (w *filler) open() error {
	if w.f != nil {
		return nil
	}
	f, err := w.files.Open(w.path, true)
	if err != nil {
		return err
	}
	if err := f.Truncate(0); err != nil {
		return errors.Join(err, f.Close())
	}
	w.f, w.filled = f, 0
	return nil
}

// take hands over the file as far as it is filled, under its lasting name.
func (w *filler) take(name string) (File, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = w.open()
	}
	if w.err == nil {
		w.err = w.files.Rename(w.path, name)
	}
	if w.err == nil && !planted.On(planted.SegmentNotNamed) {
		w.err = w.files.SyncDir(filepath.Dir(name))
	}
	if w.err != nil {
		return nil, w.err
	}
	f := w.f
	w.f, w.filled = nil, 0
	w.ready.Store(false)
	return f, nil
}

var zeros [fillStep]byte

// fillZeros writes zeros from one place to another and syncs them.
func fillZeros(f File, from, to int64) error {
	for at := from; at < to; at += fillStep {
		if _, err := f.WriteAt(zeros[:min(fillStep, to-at)], at); err != nil {
			return err
		}
	}
	return f.Sync()
}
