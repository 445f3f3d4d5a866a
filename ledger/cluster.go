package ledger

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/shebao-pay/shebao/ledger/replog"
)

// Errors of a change of the member list.
var (
	// ErrLone is returned by a node whose file has no cluster section.
	ErrLone = errors.New("ledger: this node is a lone one: its node file has no cluster section")
	// ErrJoin is returned when a node may not become a member, or not yet.
	ErrJoin = errors.New("ledger: the node cannot join")
)

// maxBehind is how many entries a node may be behind when it gets its vote: a
// second of work at full rate, which it makes up while it votes.
const maxBehind = 2048

// Member is one node of the region, as this node sees it.
type Member struct {
	ID      string
	Address string
	Votes   bool // false while it catches up
	Leads   bool
	Here    bool // it is this node
	Reached bool
	Why     string // it was not reached
	Applied uint64
	Head    string // chain head at Applied
}

// status is what this node says of itself to the others.
func (n *Node) status() replog.NodeStatus {
	head, at := n.Head()
	s := replog.NodeStatus{
		ID: n.cfg.NodeID, Region: uint16(n.cfg.Region), Area: uint32(n.cfg.Area), Applied: at,
		Head: hex.EncodeToString(head[:]), Term: n.log.Term(),
	}
	s.Fresh = at == 0 && n.log.Stats().LastIndex == 0
	return s
}

// Members lists the nodes of the region and asks each how it stands.
func (n *Node) Members() ([]Member, error) {
	list, err := n.log.Members()
	if err != nil {
		return nil, err
	}
	_, leader := n.log.Leader()
	out := make([]Member, len(list))
	var wg sync.WaitGroup
	for i, m := range list {
		out[i] = Member{ID: m.ID, Votes: m.Votes, Leads: m.ID == leader, Here: m.ID == n.cfg.NodeID}
		if n.cfg.Network != nil {
			out[i].Address, _ = n.cfg.Network.AddressOf(m.ID)
		}
		if out[i].Here {
			out[i].take(n.status())
			continue
		}
		wg.Go(func() {
			s, err := n.cfg.Network.Ask(out[i].ID)
			if err != nil {
				out[i].Why = err.Error()
				return
			}
			out[i].take(s)
		})
	}
	wg.Wait()
	return out, nil
}

func (m *Member) take(s replog.NodeStatus) { m.Reached, m.Applied, m.Head = true, s.Applied, s.Head }

// Join takes an empty node into the region. It receives the log or a copy of the
// state, and has no vote until Promote.
func (n *Node) Join(id string) error {
	if n.cfg.Network == nil {
		return ErrLone
	}
	list, err := n.log.Members()
	if err != nil {
		return err
	}
	if slices.ContainsFunc(list, func(m replog.Member) bool { return m.ID == id }) {
		return nil // a second time: it is being caught up
	}
	if len(list) >= replog.MaxNodes {
		return fmt.Errorf("%w: the region has %d nodes, more are not possible", ErrJoin, len(list))
	}
	s, err := n.cfg.Network.Ask(id)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrJoin, err)
	case s.Region != uint16(n.cfg.Region) || s.Area != uint32(n.cfg.Area):
		return fmt.Errorf("%w: %s is of region %d, area %06d", ErrJoin, id, s.Region, s.Area)
	case !s.Fresh:
		return fmt.Errorf("%w: %s has a ledger, at entry %d; move its data directory away and start it with an empty one", ErrJoin, id, s.Applied)
	}
	return n.log.Listen(id)
}

// Promote gives a node its vote once it has caught up.
func (n *Node) Promote(id string) error {
	if n.cfg.Network == nil {
		return ErrLone
	}
	s, err := n.cfg.Network.Ask(id)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrJoin, err)
	}
	if at := n.applied.Load(); s.Applied+maxBehind < at {
		return fmt.Errorf("%w: %s is at entry %d of %d", ErrJoin, id, s.Applied, at)
	}
	return n.log.Vote(id)
}

// Remove takes a node off the member list. The node that leads is not removed:
// it hands over first, and the command goes to its successor.
func (n *Node) Remove(id string) error {
	if n.cfg.Network == nil {
		return ErrLone
	}
	list, err := n.log.Members()
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(list, func(m replog.Member) bool { return m.ID == id }) {
		return fmt.Errorf("ledger: %s is no member", id)
	}
	if id != n.cfg.NodeID {
		return n.log.Remove(id)
	}
	if len(list) == 1 {
		return fmt.Errorf("ledger: %s is the only node of its ledger", id)
	}
	if err := n.log.HandOver(); err != nil {
		return err
	}
	return fmt.Errorf("%w: %s led and has handed over; say it again to the node that leads now", ErrNotLeader, id)
}

// handOver lets another node lead before this one stops, so that nobody has to
// find out by waiting.
func (n *Node) handOver() {
	if leads, _ := n.log.Leader(); n.cfg.Network == nil || !leads {
		return
	}
	if list, err := n.log.Members(); err != nil || len(list) < 2 {
		return
	}
	if err := n.log.HandOver(); err != nil {
		n.cfg.Log.Warn().Err(err).Msg("no node took over; the others find out by themselves")
	}
}
