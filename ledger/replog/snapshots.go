package replog

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/hashicorp/raft"
)

// Position is a place in the log at which a checkpoint stands: everything up to
// Index is in it. Config is raft's member list in force there, in raft's own
// encoding. The caller keeps it with the checkpoint and gives it back at start.
type Position struct {
	Index       uint64
	Term        uint64
	ConfigIndex uint64
	Config      []byte
}

// State is the state that the log leads to, as other nodes need it.
type State interface {
	// Saved is where the newest durable checkpoint stands.
	Saved() Position
	// Copy gives that checkpoint as a stream of size bytes and where it stands,
	// which may have become later than Saved.
	Copy() (at Position, size int64, r io.ReadCloser, err error)
	// Install takes the state of another node in place of this one's. When it
	// returns nil the state is durable and stands at at. After an error nothing
	// has changed.
	Install(at Position, r io.Reader) error
}

var errNoSnapshots = errors.New("replog: checkpoints are made by the owner of the state, not by raft")

// snapshots shows raft the newest checkpoint as its only snapshot. raft makes
// none of its own: a checkpoint is made more often, and it is what a start needs
// anyway. At a start raft reads nothing of it (NoSnapshotRestoreOnStart), only
// where it stands; it is opened to be sent to a node that is too far behind.
type snapshots struct{ l *Log }

const checkpointID = "checkpoint"

func meta(id string, at Position, size int64) *raft.SnapshotMeta {
	return &raft.SnapshotMeta{
		Version: raft.SnapshotVersionMax, ID: id, Index: at.Index, Term: at.Term, Size: size,
		Configuration: raft.DecodeConfiguration(at.Config), ConfigurationIndex: at.ConfigIndex,
	}
}

func (s snapshots) List() ([]*raft.SnapshotMeta, error) {
	at := s.l.cfg.At
	if s.l.cfg.State != nil {
		at = s.l.cfg.State.Saved()
	}
	if at.Index == 0 {
		return nil, nil
	}
	return []*raft.SnapshotMeta{meta(checkpointID, at, 0)}, nil
}

// Open gives the checkpoint to be sent, or the one that was received.
func (s snapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	if s.l.cfg.State == nil {
		return nil, nil, errNoSnapshots
	}
	if id == checkpointID {
		at, size, r, err := s.l.cfg.State.Copy()
		if err != nil {
			return nil, nil, err
		}
		return meta(id, at, size), r, nil
	}
	r, err := unzip(s.l.cfg.Files, filepath.Join(s.l.cfg.Dir, archiveName, id))
	if err != nil {
		return nil, nil, fmt.Errorf("replog: read the snapshot that was received: %w", err)
	}
	return meta(id, s.l.coming, 0), r, nil
}

// Create begins to receive the state of another node. It is kept in the archive,
// since this log will begin behind it.
func (s snapshots) Create(_ raft.SnapshotVersion, index, term uint64, c raft.Configuration, configIndex uint64, _ raft.Transport) (raft.SnapshotSink, error) {
	if s.l.cfg.State == nil {
		return nil, errNoSnapshots
	}
	dir := filepath.Join(s.l.cfg.Dir, archiveName)
	if err := s.l.cfg.Files.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("replog: %w", err)
	}
	z, err := newZipFile(s.l.cfg.Files, filepath.Join(dir, baseName(index)))
	if err != nil {
		return nil, fmt.Errorf("replog: receive a snapshot: %w", err)
	}
	s.l.coming = Position{Index: index, Term: term, ConfigIndex: configIndex, Config: raft.EncodeConfiguration(c)}
	return &sink{z}, nil
}

// sink is a snapshot that is being received.
type sink struct{ *zipFile }

// ID names the file.
func (s *sink) ID() string { return filepath.Base(s.path) }

// Cancel throws away what has come.
func (s *sink) Cancel() error { return s.abandon() }
