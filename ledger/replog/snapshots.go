package replog

import (
	"errors"
	"io"

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

var errNoSnapshots = errors.New("replog: checkpoints are made by the owner of the state, not by raft")

// snapshots shows raft the checkpoint as its only snapshot, so that it neither
// reads nor applies what the checkpoint holds. raft never opens it, because it
// runs with NoSnapshotRestoreOnStart.
type snapshots struct{ at Position }

func (s snapshots) List() ([]*raft.SnapshotMeta, error) {
	if s.at.Index == 0 {
		return nil, nil
	}
	return []*raft.SnapshotMeta{s.meta()}, nil
}

func (s snapshots) meta() *raft.SnapshotMeta {
	return &raft.SnapshotMeta{
		Version: raft.SnapshotVersionMax, ID: "checkpoint", Index: s.at.Index, Term: s.at.Term,
		Configuration: raft.DecodeConfiguration(s.at.Config), ConfigurationIndex: s.at.ConfigIndex,
	}
}

func (s snapshots) Open(string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	return nil, nil, errNoSnapshots
}

func (s snapshots) Create(raft.SnapshotVersion, uint64, uint64, raft.Configuration, uint64, raft.Transport) (raft.SnapshotSink, error) {
	return nil, errNoSnapshots
}
