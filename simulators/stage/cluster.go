package stage

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/shebao-pay/shebao/settlement/operator"
	"github.com/shebao-pay/shebao/simulators/load"
)

// hubNode is one of several nodes of the hub. Each has its own data directory,
// ports and operator socket; they share the HSM process and the banks.
type hubNode struct {
	no    int
	ports Ports
	log   int // port for the other nodes
	proc  *process
	op    *operator.Client
}

// NodeName is a node's name in its file and certificate.
func NodeName(n int) string { return "node-" + strconv.Itoa(n) }

func (n *hubNode) ledger() string {
	if n.no == 1 {
		return "ledger"
	}
	return "ledger-" + strconv.Itoa(n.no)
}

func (n *hubNode) socket() string { return "operator-" + strconv.Itoa(n.no) + ".sock" }

// fileName is the node file's.
func (n *hubNode) fileName() string { return "settled-" + strconv.Itoa(n.no) + ".yaml" }

// several tells that the hub has more than one node.
func (s *Stage) several() bool { return len(s.nodes) > 1 }

// grow makes a hub of several nodes out of the one that has been filled, as an
// operator does: the lone node gets a cluster section, the others start with
// nothing and join.
func (s *Stage) grow(ctx context.Context) error {
	if s.cfg.Nodes <= 1 {
		return nil
	}
	s.StopHub()
	for n := range s.cfg.Nodes {
		if err := s.addNode(n + 1); err != nil {
			return err
		}
	}
	// Whoever asks the operator's socket means the node that leads.
	s.Operator.Close()
	for _, n := range s.nodes {
		if err := s.startNode(n); err != nil {
			return err
		}
		if n.no == 1 {
			continue
		}
		if _, err := s.Leader(ctx); err != nil {
			return err
		}
		if err := s.join(ctx, NodeName(n.no)); err != nil {
			return err
		}
		s.cfg.Tell(NodeName(n.no) + " has joined")
	}
	return s.banksUp(ctx)
}

func (s *Stage) addNode(no int) error {
	n := &hubNode{no: no, ports: s.cfg.Ports}
	free, err := FreePorts()
	if err != nil {
		return err
	}
	n.log = free.Kiosk
	if no > 1 {
		n.ports.Terminals, n.ports.Admin, n.ports.Counters = free.Terminals, free.Admin, free.Counters
	}
	n.op = operator.Dial(s.path(n.socket()))
	s.onStop(n.op.Close)
	s.onStop(func() { n.proc.stop() })
	if _, err := s.pki.issueNode(NodeName(no)); err != nil {
		return err
	}
	s.nodes = append(s.nodes, n)
	return nil
}

// startNode starts a node, also again after it was killed.
func (s *Stage) startNode(n *hubNode) error {
	file, err := s.writeNodeFile(n)
	if err != nil {
		return err
	}
	p, err := start(s.path("log"), "settled-"+strconv.Itoa(n.no), s.bin("settled"), "-config", file)
	if err != nil {
		return err
	}
	s.mu.Lock()
	n.proc = p
	if n.no == 1 {
		s.settled = p
	}
	s.mu.Unlock()
	return nil
}

// join takes a node in and waits until it votes.
func (s *Stage) join(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	tick := time.NewTicker(pollTime)
	defer tick.Stop()
	var m operator.Members
	for {
		err := s.Operator.Ask(ctx, "/v1/cluster/join", operator.MemberRequest{ID: id}, &m)
		if err == nil {
			err = s.Operator.Ask(ctx, "/v1/cluster/promote", operator.MemberRequest{ID: id}, &m)
		}
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("stage: %s does not join: %w", id, err)
		}
	}
}

// Leader waits for the node that leads and lets the operator's socket be its.
func (s *Stage) Leader(ctx context.Context) (*hubNode, error) {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	tick := time.NewTicker(pollTime)
	defer tick.Stop()
	for {
		n, err := s.pointToLeader(ctx)
		if n != nil || err != nil {
			return n, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("stage: no node leads after %s", startTime)
		}
	}
}

// pointToLeader asks the nodes once which of them leads, nil for none, and lets
// the operator's socket be its.
func (s *Stage) pointToLeader(ctx context.Context) (*hubNode, error) {
	for _, n := range s.nodes {
		var st operator.Status
		if n.proc == nil || n.op.Ask(ctx, "/v1/status", nil, &st) != nil || !st.Leader {
			continue
		}
		link := s.path("operator.sock")
		if to, err := os.Readlink(link); err == nil && to == n.socket() {
			return n, nil
		}
		err := errors.Join(os.RemoveAll(link+".new"), os.Symlink(n.socket(), link+".new"), os.Rename(link+".new", link))
		if err != nil {
			return nil, fmt.Errorf("stage: %w", err)
		}
		s.Operator.Close()
		return n, nil
	}
	return nil, nil
}

// counterAddrs are the addresses at which a bank reaches the hub's nodes: one, or
// that of each node.
func (s *Stage) counterAddrs(bank, one string) []string {
	if !s.several() {
		return []string{one}
	}
	var out []string
	for _, n := range s.nodes {
		out = append(out, addr(n.ports.Counters[bank]))
	}
	return out
}

// terminalURL is where terminals reach the node that leads.
func (s *Stage) terminalURL(ctx context.Context) (string, error) {
	port := s.cfg.Ports.Terminals
	if s.several() {
		n, err := s.Leader(ctx)
		if err != nil {
			return "", err
		}
		port = n.ports.Terminals
	}
	return "https://" + addr(port), nil
}

// LedgerDirs are the data directories of all nodes, to be looked at when they
// are stopped.
func (s *Stage) LedgerDirs() []string {
	if !s.several() {
		return []string{s.LedgerDir()}
	}
	var out []string
	for _, n := range s.nodes {
		out = append(out, s.path(n.ledger()))
	}
	return out
}

// stopNodes ends all nodes in order when they stand at one place, the one that
// leads last.
func (s *Stage) stopNodes() {
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	lead, err := s.Leader(ctx)
	for err == nil && ctx.Err() == nil && !s.level(ctx, lead, 0) {
		time.Sleep(pollTime)
	}
	for _, n := range s.nodes {
		if n != lead {
			n.proc.stop()
		}
	}
	if lead != nil {
		lead.proc.stop()
	}
}

// level tells that every node is at most so many entries behind the leader.
func (s *Stage) level(ctx context.Context, lead *hubNode, behind uint64) bool {
	var of operator.Status
	if lead.op.Ask(ctx, "/v1/status", nil, &of) != nil {
		return false
	}
	for _, n := range s.nodes {
		var st operator.Status
		if n.op.Ask(ctx, "/v1/status", nil, &st) != nil || st.Applied+behind < of.Applied {
			return false
		}
	}
	return true
}

// nearby is how many entries a node that was started again may be behind before
// the next kill: it would be needed for a majority.
const nearby = 64

// failovers measures how long nobody is answered when the leader is killed.
type failovers struct {
	mu    sync.Mutex
	since time.Time // of the kill; zero when nothing is waited for
	heard chan time.Duration
}

// hear is called for each acknowledged payment. Only an answer on a connection
// that was made after the kill counts: others may have been on their way.
func (f *failovers) hear(a load.Ack) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.since.IsZero() || !a.Linked.After(f.since) {
		return
	}
	f.heard <- time.Since(f.since)
	f.since = time.Time{}
}

// killLeaders kills the node that leads l.Kill times over the run, waits for the
// next acknowledged payment, and starts the node again.
func (s *Stage) killLeaders(ctx context.Context, l Load, f *failovers) (took []time.Duration) {
	end := time.Now().Add(time.Duration(l.Seconds) * time.Second)
	for len(took) < l.Kill {
		share := max(pollTime, time.Until(end)/time.Duration(l.Kill-len(took)+1)) // one more: catching up takes time too
		t := time.NewTimer(rand.N(share))
		select {
		case <-ctx.Done():
			t.Stop()
			return took
		case <-t.C:
		}
		lead, err := s.Leader(ctx)
		if err != nil {
			l.Tell(err.Error())
			return took
		}
		s.mournNode(lead)
		f.mu.Lock()
		lead.proc.kill()
		f.since = time.Now()
		f.mu.Unlock()
		d, ok := s.nextAck(ctx, f)
		if !ok {
			return took
		}
		took = append(took, d)
		if err := s.startNode(lead); err != nil {
			l.Tell(err.Error())
			return took
		}
		for {
			next, err := s.Leader(ctx)
			if err == nil && s.level(ctx, next, nearby) {
				break
			}
			if ctx.Err() != nil {
				return took
			}
			time.Sleep(pollTime)
		}
	}
	return took
}

// nextAck waits for the next acknowledged payment; meanwhile the operator's socket
// follows the lead, for whoever makes notices.
func (s *Stage) nextAck(ctx context.Context, f *failovers) (time.Duration, bool) {
	tick := time.NewTicker(pollTime)
	defer tick.Stop()
	for {
		select {
		case d := <-f.heard:
			return d, true
		case <-ctx.Done():
			return 0, false
		case <-tick.C:
			_, _ = s.pointToLeader(ctx) // none yet, most of the time
		}
	}
}

// note adds the failovers to a result.
func (r *LoadResult) note(took []time.Duration) {
	kills := len(took)
	r.Kills = &kills
	if kills == 0 {
		return
	}
	slices.Sort(took)
	half, worst := took[kills/2].Seconds()*1000, took[kills-1].Seconds()*1000
	r.FailoverP50, r.FailoverMax = &half, &worst
}

// mournNode adds what a node has spent before it is killed.
func (s *Stage) mournNode(n *hubNode) {
	cpu, logs := s.cpu(n.proc), logSize(n.ports.Admin)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deadCPU += cpu
	s.deadLog += logs
}

// nodesSpent is the processor time and the log bytes of the nodes that live.
func (s *Stage) nodesSpent() (cpu time.Duration, logs int64) {
	for _, n := range s.nodes {
		cpu += s.cpu(n.proc)
		logs += logSize(n.ports.Admin)
	}
	return cpu, logs
}
