package ledger

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/shebao-pay/shebao/ledger/replog"
	"github.com/shebao-pay/shebao/ledger/store"
)

// stateSide is the node's state as other nodes get and give it. It implements
// replog.State.
type stateSide struct{ n *Node }

// Saved implements replog.State.
func (s stateSide) Saved() replog.Position { return position(*s.n.savedAt.Load()) }

func position(p store.Position) replog.Position {
	return replog.Position{Index: p.Index, Term: p.Term, ConfigIndex: p.ConfigIndex, Config: p.Config}
}

// Copy implements replog.State. The copy is written to this disk first: sending
// it takes as long as the network wants, and checkpoints must not wait for that.
func (s stateSide) Copy() (at replog.Position, size int64, r io.ReadCloser, err error) {
	path := filepath.Join(s.n.cfg.Dir, copyState)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600) // #nosec G304 -- a name of ours in the node's folder
	if err != nil {
		return at, 0, nil, fmt.Errorf("ledger: copy the state: %w", err)
	}
	s.n.saving.Lock()
	p, size, err := s.n.store.CopyTo(f)
	s.n.saving.Unlock()
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	// The open file outlives its name, and nothing is left behind by a kill.
	if err = errors.Join(err, os.Remove(path)); err != nil {
		return at, 0, nil, errors.Join(fmt.Errorf("ledger: copy the state: %w", err), f.Close())
	}
	s.n.cfg.Log.Info().Uint64("entry", p.Index).Int64("bytes", size).Msg("sending the state to another node")
	return position(p), size, f, nil
}

// Install implements replog.State: the file is received and proven under another
// name, and then takes the place of this node's.
func (s stateSide) Install(at replog.Position, r io.Reader) error {
	n := s.n
	fresh := filepath.Join(n.cfg.Dir, newState)
	if err := writeState(fresh, r); err != nil {
		return err
	}
	st, m, p, err := readState(fresh, n.options(), n.cfg.NullState)
	if err != nil {
		return err
	}
	if err := st.Close(); err != nil {
		return err
	}
	if p.Index != at.Index || p.Term != at.Term || m.Applied() != at.Index {
		return fmt.Errorf("ledger: the state that was received stands at entry %d, announced was %d", p.Index, at.Index)
	}
	n.saving.Lock()
	defer n.saving.Unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	path := filepath.Join(n.cfg.Dir, stateName)
	err = errors.Join(n.store.Close(), os.Rename(fresh, path), replog.Disk.SyncDir(n.cfg.Dir))
	if err == nil {
		p, err = n.load(path)
	}
	if err != nil { // between two states: nothing may be answered any more
		n.cfg.Fatal(fmt.Errorf("ledger: take the state of another node: %w", err))
		return err
	}
	n.savedAt.Store(&p)
	n.under = store.Position{}
	n.saved.index.Store(p.Index)
	n.cfg.Log.Info().Uint64("entry", p.Index).Msg("took the state of another node")
	return nil
}

// writeState writes a whole state file durably.
func writeState(path string, r io.Reader) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) // #nosec G304 -- a name of ours in the node's folder
	if err != nil {
		return fmt.Errorf("ledger: receive a state: %w", err)
	}
	_, err = io.Copy(f, r)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("ledger: receive a state: %w", err)
	}
	return nil
}

// settleFiles removes what a fall has left half done beside the state file.
func settleFiles(dir string) error {
	for _, name := range []string{newState, copyState} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("ledger: %w", err)
		}
	}
	return nil
}

// missing tells that there is no such file.
func missing(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, os.ErrNotExist)
}
