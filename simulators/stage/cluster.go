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
	"sync/atomic"
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
	still atomic.Bool // it has been paused
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
		if n.proc == nil || n.still.Load() || n.op.Ask(ctx, "/v1/status", nil, &st) != nil || !st.Leader {
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

// terminalURLs are where terminals reach the nodes, the one that leads first.
func (s *Stage) terminalURLs(ctx context.Context) ([]string, error) {
	url := func(port int) string { return "https://" + addr(port) }
	if !s.several() {
		return []string{url(s.cfg.Ports.Terminals)}, nil
	}
	lead, err := s.Leader(ctx)
	if err != nil {
		return nil, err
	}
	out := []string{url(lead.ports.Terminals)}
	for _, n := range s.nodes {
		if n != lead {
			out = append(out, url(n.ports.Terminals))
		}
	}
	return out, nil
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

// longestPause is how long a leader stands still at most: several times what the
// others wait for it.
const longestPause = 4 * time.Second

// strikeLeaders kills the node that leads l.Kill times over the run, or lets it
// stand still l.Pause times, in random order, and waits for the next acknowledged
// payment and until the nodes are level again. It answers how long each took. A
// pause is over before a payment is waited for: who asked the node that stands
// still waits with it.
func (s *Stage) strikeLeaders(ctx context.Context, l Load, f *failovers) (kills, pauses []time.Duration, err error) {
	end := time.Now().Add(time.Duration(l.Seconds) * time.Second)
	for len(kills) < l.Kill || len(pauses) < l.Pause {
		left := l.Kill - len(kills) + l.Pause - len(pauses)
		rest(ctx, rand.N(max(pollTime, time.Until(end)/time.Duration(left+1)))) // one more: catching up takes time too
		lead, err := s.Leader(ctx)
		if err != nil || ctx.Err() != nil {
			return kills, pauses, errors.Join(err, ctx.Err())
		}
		kill := rand.N(left) < l.Kill-len(kills)
		if err := s.strike(lead, kill, f); err != nil {
			return kills, pauses, err
		}
		if !kill {
			rest(ctx, rand.N(longestPause))
			lead.still.Store(false)
			if err := lead.proc.resume(); err != nil {
				return kills, pauses, err
			}
		}
		took, ok := s.nextAck(ctx, f)
		if !ok {
			return kills, pauses, ctx.Err()
		}
		if kill {
			err = s.startNode(lead)
		}
		if err != nil {
			return kills, pauses, err
		}
		if kill {
			kills = append(kills, took)
		} else {
			pauses = append(pauses, took)
		}
		if err := s.leveled(ctx); err != nil {
			return kills, pauses, err
		}
	}
	return kills, pauses, nil
}

// strike kills a node or lets it stand still, and begins to wait for an answer.
func (s *Stage) strike(n *hubNode, kill bool, f *failovers) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.since = time.Now()
	if !kill {
		n.still.Store(true)
		return n.proc.pause()
	}
	s.mournNode(n)
	f.since = time.Now()
	n.proc.kill()
	return nil
}

// leveled waits until every node is close behind the one that leads.
func (s *Stage) leveled(ctx context.Context) error {
	for {
		next, err := s.Leader(ctx)
		if err == nil && s.level(ctx, next, nearby) {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		rest(ctx, pollTime)
	}
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

// note adds the strikes to a result.
func (t *trouble) note(r *LoadResult) {
	kills, pauses := len(t.kills), len(t.pauses)
	r.Kills = &kills
	if !t.several {
		return
	}
	r.Pauses = &pauses
	r.FailoverP50, r.FailoverMax = middleAndWorst(t.kills)
	r.PauseP50, r.PauseMax = middleAndWorst(t.pauses)
}

func middleAndWorst(took []time.Duration) (middle, worst *float64) {
	if len(took) == 0 {
		return nil, nil
	}
	slices.Sort(took)
	half, last := took[len(took)/2].Seconds()*1000, took[len(took)-1].Seconds()*1000
	return &half, &last
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
