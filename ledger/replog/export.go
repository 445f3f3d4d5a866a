package replog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft"
)

// Exported is a file of a log as it was at one moment.
type Exported struct {
	Name string // under the log's folder, with forward slashes
	Path string // where its bytes are
	Size int64  // how many of them count
}

// Export gives the files of a log up to an entry that was applied, while the log
// goes on: each under a second name (a hard link) in the folder to, which the
// caller makes on the same file system, reads at leisure, and removes.
func (l *Log) Export(to string, upTo uint64) ([]Exported, error) {
	s := l.store
	s.archiving.Lock()
	defer s.archiving.Unlock()
	dir := filepath.Join(s.opt.Dir, archiveName)
	names, err := s.files.List(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("replog: %w", err)
	}
	var out []Exported
	for _, n := range names {
		st, err := os.Stat(filepath.Join(dir, n))
		if err != nil {
			return nil, fmt.Errorf("replog: %w", err)
		}
		if st.IsDir() || filepath.Ext(n) == ".tmp" {
			continue
		}
		out = append(out, Exported{archiveName + "/" + n, filepath.Join(dir, n), st.Size()})
	}
	s.mu.RLock()
	for _, g := range s.segs {
		if g.first > upTo {
			break
		}
		e := Exported{filepath.Base(g.path), g.path, g.end}
		if g.offs == nil { // before the checkpoint: full
			if e.Size, err = g.f.Size(); err != nil {
				s.mu.RUnlock()
				return nil, fmt.Errorf("replog: %w", err)
			}
		} else if keep := upTo + 1 - g.first; keep < uint64(len(g.offs)) {
			e.Size = int64(g.offs[keep]) * 8
		}
		out = append(out, e)
	}
	s.mu.RUnlock()
	for i := range out {
		link := filepath.Join(to, fmt.Sprint(i))
		if err := os.Link(out[i].Path, link); err != nil {
			return nil, fmt.Errorf("replog: export: %w", err)
		}
		out[i].Path = link
	}
	return out, nil
}

// Alone makes the log in dir, which no process has open, one of a lone node: the
// last entry becomes a member list that names nobody else. It is for a ledger
// that was restored from a backup, whose other nodes are gone.
func Alone(cfg Config) error {
	if cfg.Files == nil {
		cfg.Files = Disk
	}
	st, err := openStable(cfg.Files, cfg.Meta, func(error) {})
	if err != nil {
		return err
	}
	var fatal error
	s, err := OpenStore(StoreOptions{Dir: cfg.Dir, Segment: cfg.Segment, Known: cfg.At.Index, Files: cfg.Files,
		Fatal: func(err error) { fatal = err }})
	if err != nil {
		return err
	}
	last := raft.Log{Index: cfg.At.Index, Term: cfg.At.Term}
	if s.last != 0 {
		err = s.GetLog(s.last, &last)
	}
	if err == nil {
		err = s.StoreLog(&raft.Log{Index: last.Index + 1, Term: last.Term + 1, Type: raft.LogConfiguration,
			Data: raft.EncodeConfiguration(raft.Configuration{Servers: []raft.Server{{ID: raft.ServerID(cfg.NodeID), Address: localAddress}}})})
	}
	if err == nil {
		err = st.reset()
	}
	if err == nil {
		err = st.SetUint64([]byte("CurrentTerm"), last.Term+1)
	}
	return errors.Join(err, fatal, s.Close())
}
