package ledger

import (
	"fmt"
	"time"

	"github.com/shebao-pay/shebao/ledger/store"
)

const (
	// freezeStep is how many rows are encoded at a time under the machine's
	// lock: about a millisecond, so that no batch waits long.
	freezeStep = 2000
	// spaceEvery is how often the disk's free space is read.
	spaceEvery = time.Second
)

// keeper makes the checkpoints and watches the disk.
func (n *Node) keeper() {
	defer n.work.Done()
	every := time.NewTicker(n.cfg.CheckpointEvery)
	defer every.Stop()
	space := time.NewTicker(spaceEvery)
	defer space.Stop()
	for {
		select {
		case <-n.quit:
			return
		case <-space.C:
			if err := n.measureSpace(); err != nil {
				n.cfg.Log.Error().Err(err).Msg("free space unknown; new payments are refused")
				n.free.Store(0)
			}
			continue
		case k := <-n.marks:
			if leads, _ := n.Leader(); leads {
				n.log.Note(appendMark(nil, k))
			}
			continue
		case <-every.C:
		case <-n.due:
		}
		if err := n.Checkpoint(); err != nil {
			n.cfg.Fatal(err)
			return
		}
		if err := n.archive(); err != nil {
			n.cfg.Log.Error().Err(err).Msg("the log could not be archived; it is kept as it is and tried again")
		}
	}
}

// Checkpoint writes what changed since the last one into the state file. The
// ledger goes on meanwhile: only the freeze and its short steps hold the lock.
// The keeper and Close call it; so may a backup. After an error the process must
// not go on.
func (n *Node) Checkpoint() error {
	n.saving.Lock()
	defer n.saving.Unlock()
	n.mu.Lock()
	if n.cfg.NullState || n.at.Index == n.saved.index.Load() {
		n.mu.Unlock()
		n.saved.at.Store(time.Now().UnixNano())
		return nil
	}
	began := time.Now()
	changes, at := n.machine.Freeze(), n.at
	n.records = 0
	n.mu.Unlock()
	for done := false; !done; {
		n.mu.Lock()
		done = changes.Step(freezeStep)
		n.mu.Unlock()
	}
	if changes.Applied() != at.Index {
		return fmt.Errorf("ledger: the checkpoint stands at entry %d, the log at %d", changes.Applied(), at.Index)
	}
	position := store.Position{Index: at.Index, Term: at.Term, Head: changes.Head(), ConfigIndex: at.ConfigIndex, Config: at.Config}
	if err := n.store.Save(position, changes.Each); err != nil { // saving holds the store in its place
		return fmt.Errorf("ledger: %w", err)
	}
	if before := n.savedAt.Swap(&position); before != nil {
		n.under = *before
	}
	n.mu.Lock()
	n.machine.Release(changes)
	n.tail = n.records
	n.mu.Unlock()
	took := time.Since(began)
	n.saved.index.Store(at.Index)
	n.saved.count.Add(1)
	n.saved.nanos.Store(uint64(took))
	n.saved.at.Store(time.Now().UnixNano())
	n.cfg.Log.Debug().Uint64("entry", at.Index).Dur("took", took).Msg("checkpoint")
	return nil
}

// archive compresses what lies below the last two checkpoints.
func (n *Node) archive() error {
	n.saving.Lock()
	defer n.saving.Unlock()
	if n.under.Index == 0 {
		return nil
	}
	done, err := n.log.Archive(n.under.Index, n.cfg.KeepSegments, n.under.Index, n.under.Head)
	if done > 0 {
		n.cfg.Log.Debug().Int("segments", done).Msg("archived")
	}
	return err
}

func (n *Node) measureSpace() error {
	free, err := FreeSpace(n.cfg.Dir)
	if err != nil {
		return err
	}
	n.free.Store(free)
	return nil
}

// SpaceLow tells that the disk is too full to begin a payment. Terminals are
// told before a card is asked for its PIN.
func (n *Node) SpaceLow() bool { return n.free.Load() < n.cfg.MinFree }
