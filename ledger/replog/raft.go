package replog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// start opens the store and raft on it.
func (l *Log) start() error {
	st, err := openStable(l.cfg.Files, l.cfg.Meta, l.cfg.Fatal)
	if err != nil {
		return err
	}
	l.stable = st
	l.store, err = OpenStore(StoreOptions{
		Dir: l.cfg.Dir, Segment: l.cfg.Segment, Known: l.cfg.At.Index, Files: l.cfg.Files, Stuck: l.cfg.Stuck, Fatal: l.cfg.Fatal,
	})
	if err != nil {
		return err
	}
	if first, _ := l.store.FirstIndex(); first > l.cfg.At.Index+1 { // it fails never
		err := fmt.Errorf("%w: it stands at entry %d and the log begins with entry %d", ErrState, l.cfg.At.Index, first)
		return errors.Join(err, l.store.Close())
	}
	if err := l.startRaft(); err != nil {
		return errors.Join(err, l.store.Close())
	}
	return nil
}

func (l *Log) startRaft() error {
	rc := l.raftConfig()
	snaps := snapshots{l}
	var trans raft.Transport
	if l.cfg.Network == nil {
		_, trans = raft.NewInmemTransport(localAddress)
		if err := l.begin(rc, snaps, trans); err != nil {
			return fmt.Errorf("replog: begin a log: %w", err)
		}
	} else {
		trans = over(l.cfg.Network, l.cfg.LogOutput)
	}
	var err error
	if l.raft, err = raft.NewRaft(rc, fsm{l}, l.store, l.stable, snaps, trans); err != nil {
		err = fmt.Errorf("replog: start raft: %w", err)
	} else if err = l.alone(); err != nil {
		err = errors.Join(err, l.raft.Shutdown().Error())
	}
	if c, ok := trans.(io.Closer); ok {
		if err != nil {
			return errors.Join(err, c.Close())
		}
		l.transport = c
	}
	return err
}

// over is raft's transport over a network of nodes.
func over(n Network, log io.Writer) raft.Transport {
	return oneByOne{raft.NewNetworkTransport(stream{n}, peerConns, rpcWait, log)}
}

// oneByOne is a transport that sends a follower the next entries when it has
// answered for the ones before. The pipeline of raft v1.7.3 can stand still for
// good when a follower answers no: its sender waits for a reader that has gone,
// the follower is never sent anything again while heartbeats go on, and the node
// cannot be closed. A batch is one entry, so little is lost; see
// docs/adr/0013-one-batch-at-a-time.md.
type oneByOne struct{ *raft.NetworkTransport }

// AppendEntriesPipeline says that there is none.
func (oneByOne) AppendEntriesPipeline(raft.ServerID, raft.ServerAddress) (raft.AppendPipeline, error) {
	return nil, raft.ErrPipelineReplicationNotSupported
}

var _ raft.WithPreVote = oneByOne{}

// begin starts the log of a lone node that has none. A node of a cluster never
// begins one: it waits to be joined, so that an emptied disk cannot become a
// second ledger.
func (l *Log) begin(rc *raft.Config, snaps raft.SnapshotStore, trans raft.Transport) error {
	if last, err := l.store.LastIndex(); err != nil || last != 0 || l.cfg.At.Index != 0 {
		return err
	}
	// A log that was never written promised nothing to anyone; a start that was
	// cut short between term and first entry begins anew.
	if err := l.stable.reset(); err != nil {
		return err
	}
	return raft.BootstrapCluster(rc, l.store, l.stable, snaps, trans, raft.Configuration{
		Servers: []raft.Server{{ID: rc.LocalID, Address: localAddress}},
	})
}

// alone refuses a node without a network whose log has other nodes: it would
// wait for their votes for ever.
func (l *Log) alone() error {
	if l.cfg.Network != nil {
		return nil
	}
	members, err := l.Members()
	if err != nil {
		return err
	}
	if len(members) == 1 && members[0].ID == l.cfg.NodeID {
		return nil
	}
	names := ""
	for _, m := range members {
		names += " " + m.ID
	}
	return fmt.Errorf("%w: its nodes are%s, and this one is %s without a cluster section in its node file", ErrMembers, names, l.cfg.NodeID)
}

func (l *Log) raftConfig() *raft.Config {
	rc := raft.DefaultConfig()
	rc.LocalID = raft.ServerID(l.cfg.NodeID)
	rc.HeartbeatTimeout, rc.ElectionTimeout = l.cfg.Heartbeat, l.cfg.Election
	rc.LeaderLeaseTimeout, rc.CommitTimeout = l.cfg.Lease, l.cfg.Commit
	rc.MaxAppendEntries = 64
	rc.NoSnapshotRestoreOnStart = true
	rc.NoLegacyTelemetry = true
	rc.ShutdownOnRemove = false
	// Checkpoints are the owner's: raft never makes one and never compacts.
	rc.SnapshotThreshold = math.MaxUint64
	rc.SnapshotInterval = 24 * time.Hour
	rc.TrailingLogs = math.MaxUint64
	rc.LogOutput, rc.LogLevel = l.cfg.LogOutput, "WARN"
	rc.NotifyCh = l.notify
	return rc
}

// Role is whether this node leads. Epoch changes with each change of it, also
// with one that nobody saw.
type Role struct {
	Leads bool
	Epoch uint64
}

// roles is the latest role, for whoever waits for it to change.
type roles struct {
	mu      sync.Mutex
	now     Role
	changed chan struct{} // closed at the next change
}

func (r *roles) set(leads bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = Role{Leads: leads, Epoch: r.now.Epoch + 1}
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *roles) get() (Role, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now, r.changed
}

// Role is this node's role and a channel that is closed when it is another. A
// node leads from when it has applied all that earlier leaders committed.
func (l *Log) Role() (Role, <-chan struct{}) { return l.role.get() }

// follow keeps the role. raft waits until a change of leadership is taken from
// it, so taking and acting are two goroutines' work.
func (l *Log) follow() {
	defer close(l.followed)
	var settling sync.WaitGroup
	over := make(chan struct{}) // the lead that is being settled
	end := func() {
		close(over)
		settling.Wait()
	}
	for {
		select {
		case leads := <-l.notify:
			end()
			if r, _ := l.role.get(); r.Leads {
				l.role.set(false)
			}
			over = make(chan struct{})
			if leads {
				mine := over
				settling.Go(func() { l.settle(mine) })
			}
		case <-l.unfollow:
			end()
			return
		}
	}
}

// settle waits until everything committed before is applied, and then leads.
func (l *Log) settle(over <-chan struct{}) {
	for {
		err := l.raft.Barrier(barrierWait).Error()
		select {
		case <-over:
			return
		default:
		}
		switch {
		case err == nil:
			l.role.set(true)
			return
		case errors.Is(err, raft.ErrRaftShutdown), errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipLost):
			return
		}
	}
}

// barrierWait bounds one try to have a barrier taken by raft.
const barrierWait = time.Second

// Current returns nil when this node led at some moment after it was called, as
// a majority has confirmed. What is read afterwards is as new as anything that
// was answered before. Callers share the round to the other nodes.
func (l *Log) Current(ctx context.Context) error {
	if l.cfg.Network == nil {
		return nil
	}
	if r, _ := l.role.get(); !r.Leads {
		return ErrNotLeader
	}
	v := l.verify()
	select {
	case <-v.done:
		return v.err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrNotLeader, ctx.Err())
	}
}

// verification is one round of asking the others.
type verification struct {
	done chan struct{}
	err  error
}

// verify joins the round that has not begun yet.
func (l *Log) verify() *verification {
	l.rounds.mu.Lock()
	defer l.rounds.mu.Unlock()
	if l.rounds.next == nil {
		l.rounds.next = &verification{done: make(chan struct{})}
		if !l.rounds.running {
			l.rounds.running = true
			go l.verifyAll()
		}
	}
	return l.rounds.next
}

func (l *Log) verifyAll() {
	for {
		l.rounds.mu.Lock()
		v := l.rounds.next
		l.rounds.next = nil
		l.rounds.running = v != nil
		l.rounds.mu.Unlock()
		if v == nil {
			return
		}
		if err := l.raft.VerifyLeader().Error(); err != nil {
			v.err = fmt.Errorf("%w: %w", ErrNotLeader, err)
		}
		close(v.done)
	}
}

// rounds are the verifications that wait.
type rounds struct {
	mu      sync.Mutex
	next    *verification
	running bool
}

// fsm is raft's side of the machine.
type fsm struct{ l *Log }

// Apply gives the token back before the machine begins, so that the next sync
// overlaps with applying and answering.
func (f fsm) Apply(e *raft.Log) any {
	var waiters []Waiter
	if b := f.l.match(e.Data); b != nil {
		waiters = b.waiters
	}
	if e.Index > f.l.held {
		at := *f.l.config.Load()
		at.Index, at.Term = e.Index, e.Term
		f.l.machine.Apply(Entry{Position: at, AppendedAt: e.AppendedAt, Data: e.Data}, waiters)
	}
	return nil
}

// StoreConfiguration notes the member list, which goes with the next checkpoint.
func (f fsm) StoreConfiguration(index uint64, c raft.Configuration) {
	f.l.config.Store(&Position{ConfigIndex: index, Config: raft.EncodeConfiguration(c)})
}

// Snapshot is never asked for: see snapshots.
func (f fsm) Snapshot() (raft.FSMSnapshot, error) { return nil, errNoSnapshots }

// Restore takes the state that another node sent. The log begins behind it.
func (f fsm) Restore(r io.ReadCloser) error {
	l, at := f.l, f.l.coming
	if err := errors.Join(l.cfg.State.Install(at, r), r.Close()); err != nil {
		return fmt.Errorf("replog: install the state at entry %d: %w", at.Index, err)
	}
	l.held = at.Index
	l.config.Store(&Position{ConfigIndex: at.ConfigIndex, Config: at.Config})
	l.store.beginBehind(at.Index)
	return nil
}

// beginBehind notes that the state came from a snapshot. raft removes the
// entries next.
func (s *Store) beginBehind(index uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.base = index
}
