package replog

import (
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
)

// Member is a node that the log goes to.
type Member struct {
	ID    string
	Votes bool // false while it only listens, to catch up
}

// ErrMembers is returned when this node's place among the nodes does not fit.
var ErrMembers = errors.New("replog: this ledger has other nodes")

// changeWait bounds a change of the member list.
const changeWait = 10 * time.Second

// Members are the nodes of this log, as far as this node knows.
func (l *Log) Members() ([]Member, error) {
	f := l.raft.GetConfiguration()
	if err := f.Error(); err != nil {
		return nil, fmt.Errorf("replog: member list: %w", err)
	}
	var out []Member
	for _, s := range f.Configuration().Servers {
		out = append(out, Member{ID: string(s.ID), Votes: s.Suffrage == raft.Voter})
	}
	return out, nil
}

// Listen lets a node receive the log without a vote, so that it catches up while
// nothing waits for it.
func (l *Log) Listen(id string) error {
	// The log of a node that began alone has no name for the others to call.
	if err := l.Vote(l.cfg.NodeID); err != nil {
		return err
	}
	return l.change(l.raft.AddNonvoter(raft.ServerID(id), raft.ServerAddress(id), 0, changeWait))
}

// Vote gives a node its vote.
func (l *Log) Vote(id string) error {
	return l.change(l.raft.AddVoter(raft.ServerID(id), raft.ServerAddress(id), 0, changeWait))
}

// Remove takes a node off the list. It must not be this one, which leads.
func (l *Log) Remove(id string) error {
	return l.change(l.raft.RemoveServer(raft.ServerID(id), 0, changeWait))
}

// HandOver gives the lead to the node that is furthest, after everything under
// way has gone to it.
func (l *Log) HandOver() error { return l.change(l.raft.LeadershipTransfer()) }

func (l *Log) change(f raft.Future) error {
	err := f.Error()
	switch {
	case err == nil:
		return nil
	case errors.Is(err, raft.ErrNotLeader):
		return ErrNotLeader
	}
	return fmt.Errorf("replog: change of the member list: %w", err)
}

// Note puts data into the log as an entry of its own, without a waiter. It may
// be lost; it is applied like a batch where it is not.
func (l *Log) Note(data []byte) { l.raft.Apply(data, 0) }

// Archive compresses segments; see Store.Archive.
func (l *Log) Archive(upTo uint64, keep int, checkpoint uint64, head [32]byte) (int, error) {
	return l.store.Archive(upTo, keep, checkpoint, head)
}

// Term is raft's term now.
func (l *Log) Term() uint64 { return l.raft.CurrentTerm() }
