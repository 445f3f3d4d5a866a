package ledger

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/ledger/replog"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// TestThreeNodes grows a ledger from one node to three, pays, and goes back to one.
func TestThreeNodes(t *testing.T) {
	r := newRegion(t, 3, 200, nil)
	told := map[int]ledgerapi.Result{}
	for i := range 60 {
		told[i] = r.pay(i)
	}
	lead := r.leader()
	members, err := lead.Members()
	if err != nil || len(members) != 3 {
		t.Fatalf("Members = %+v, %v, want three", members, err)
	}
	for _, m := range members {
		if !m.Votes || !m.Reached || m.Address != r.addrs[m.ID] || m.Leads != (m.ID == lead.cfg.NodeID) || m.Here != m.Leads {
			t.Errorf("member %+v: want one that votes and answers", m)
		}
	}
	follower := r.follower()
	if _, err := follower.Do(background(), payDue(100)); !errors.Is(err, ErrNotLeader) {
		t.Errorf("a payment at a node that follows: %v, want ErrNotLeader", err)
	}
	if leads, who := follower.Leader(); leads || who != lead.cfg.NodeID {
		t.Errorf("a node that follows says that %s leads (here: %v), it is %s", who, leads, lead.cfg.NodeID)
	}
	if err := follower.Current(background()); !errors.Is(err, ErrNotLeader) {
		t.Errorf("Current at a node that follows: %v, want ErrNotLeader", err)
	}
	if err := lead.Remove(lead.cfg.NodeID); !errors.Is(err, ErrNotLeader) {
		t.Errorf("Remove of the leader: %v, want that it handed over", err)
	}
	r.until("a hand-over", func() bool { leads, _ := lead.Leader(); return !leads })
	for i := 60; i < 80; i++ {
		told[i] = r.pay(i)
	}
	for range 2 { // back to one, whoever leads
		gone := r.follower()
		if err := r.leader().Remove(gone.cfg.NodeID); err != nil {
			t.Fatal(err)
		}
		closeNode(t, gone)
		delete(r.nodes, gone.cfg.NodeID)
		if err := os.RemoveAll(r.dirs[gone.cfg.NodeID]); err != nil {
			t.Fatal(err)
		}
	}
	for i := 80; i < 90; i++ {
		told[i] = r.pay(i)
	}
	r.settled(told)
}

// TestJoinRefuses: only an empty node of the region, by a name of the file.
func TestJoinRefuses(t *testing.T) {
	r := newRegion(t, 1, 10, nil)
	lead := r.leader()
	if err := lead.Join("node-9"); !errors.Is(err, ErrJoin) {
		t.Errorf("Join of a name that no file has: %v", err)
	}
	if err := lead.Join("node-2"); !errors.Is(err, ErrJoin) {
		t.Errorf("Join of a node that does not run: %v", err)
	}
	r.change = func(_ string, c *Config) { c.Area = 330102 }
	r.start("node-2")
	if err := lead.Join("node-2"); !errors.Is(err, ErrJoin) || !strings.Contains(err.Error(), "330102") {
		t.Errorf("Join of another region's node: %v", err)
	}
	r.change = nil
	other := testConfig(r.dirs["node-3"])
	other.NodeID = "node-3"
	n := openNode(t, other)
	settle(t, n, 3)
	closeNode(t, n)
	r.start("node-3")
	if err := lead.Join("node-3"); !errors.Is(err, ErrJoin) || !strings.Contains(err.Error(), "empty") {
		t.Errorf("Join of a node with a ledger of its own: %v", err)
	}
	alone := testConfig(t.TempDir())
	n = openNode(t, alone)
	for _, err := range []error{n.Join("node-2"), n.Promote("node-2"), n.Remove("node-1")} {
		if !errors.Is(err, ErrLone) {
			t.Errorf("a change of the members of a lone node: %v, want ErrLone", err)
		}
	}
	closeNode(t, n)
}

// TestMemberOpensAlone: a node of three that has lost its cluster section would
// wait for votes for ever, and says so instead.
func TestMemberOpensAlone(t *testing.T) {
	r := newRegion(t, 2, 10, nil)
	r.stop()
	if n, err := Open(testConfig(r.dirs["node-1"])); !errors.Is(err, replog.ErrMembers) || !strings.Contains(err.Error(), "node-2") {
		t.Errorf("Open of a member as a lone node: %v, want the names of the others", err)
		if err == nil {
			closeNode(t, n)
		}
	}
}

// TestLeaderKilled ends the leader again and again while payments go on.
func TestLeaderKilled(t *testing.T) {
	r := newRegion(t, 3, 200, nil)
	told := map[int]ledgerapi.Result{}
	for i := range 100 {
		if i%30 == 15 {
			lead := r.leader()
			r.crash(lead)
			r.leader(lead)
			told[i] = r.pay(i)
			r.start(lead.cfg.NodeID)
			continue
		}
		told[i] = r.pay(i)
	}
	r.settled(told)
}

// TestLeaderCutOff cuts the leader's cables: it may not serve any more, the others
// go on without it, and what it could not commit is no payment.
func TestLeaderCutOff(t *testing.T) {
	r := newRegion(t, 3, 200, nil)
	told := map[int]ledgerapi.Result{}
	for i := range 20 {
		told[i] = r.pay(i)
	}
	old := r.leader()
	r.cables[old.cfg.NodeID].set(true)
	lost := make(chan error, 1)
	old.Submit(payDue(150), 0, func(_ ledgerapi.Result, err error) { lost <- err })
	if err := old.Current(background()); err == nil {
		t.Error("a leader that was cut off says that it is current")
	}
	if err := <-lost; !errors.Is(err, ErrUnknown) && !errors.Is(err, ErrNotLeader) {
		t.Errorf("a payment at a leader that was cut off: %v, want that nobody knows", err)
	}
	r.leader(old)
	for i := 20; i < 60; i++ {
		told[i] = r.pay(i)
	}
	r.cables[old.cfg.NodeID].set(false)
	for i := 60; i < 80; i++ {
		told[i] = r.pay(i)
	}
	r.settled(told)
}

// TestCurrentSharesRounds asks many times at once.
func TestCurrentSharesRounds(t *testing.T) {
	r := newRegion(t, 3, 5, nil)
	lead := r.leader()
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for range 20 {
				if err := lead.Current(background()); err != nil {
					t.Errorf("Current: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// disk is the real file system with a hold on its syncs and a fault in its writes.
type disk struct {
	replog.Files
	slow, full atomic.Bool
	hold       chan struct{} // syncs wait while slow is set, until it is closed
}

var errFull = errors.New("no space left on device")

type diskFile struct {
	replog.File
	d *disk
}

func (d *disk) Open(path string, create bool) (replog.File, error) {
	f, err := d.Files.Open(path, create)
	if err != nil {
		return nil, err
	}
	return diskFile{f, d}, nil
}

func (f diskFile) Sync() error {
	if f.d.slow.Load() {
		<-f.d.hold
	}
	return f.File.Sync()
}

func (f diskFile) WriteAt(b []byte, off int64) (int, error) {
	if f.d.full.Load() {
		return 0, errFull
	}
	return f.File.WriteAt(b, off)
}

// TestLeaderDisk hangs the leader's disk, then fills it: it stops by itself, as a
// process does, and the others go on.
func TestLeaderDisk(t *testing.T) {
	disks := map[string]*disk{}
	r := newRegion(t, 3, 200, func(id string, c *Config) {
		d := &disk{Files: replog.Disk, hold: make(chan struct{})}
		disks[id], c.Files, c.Stuck = d, d, 300*time.Millisecond
	})
	told := map[int]ledgerapi.Result{}
	next := 0
	pay := func(n int) {
		for range n {
			told[next] = r.pay(next)
			next++
		}
	}
	pay(10)
	for _, fault := range []string{"hangs", "is full"} {
		lead := r.leader()
		id := lead.cfg.NodeID
		if fault == "hangs" {
			disks[id].slow.Store(true)
		} else {
			disks[id].full.Store(true)
		}
		lead.Submit(payDue(199), 0, func(ledgerapi.Result, error) {}) // nobody hears of it
		select {
		case err := <-r.fatal[id]:
			t.Logf("a disk that %s: %v", fault, err)
		case <-time.After(patience):
			t.Fatalf("a leader whose disk %s goes on", fault)
		}
		r.cables[id].set(true) // the process has ended
		close(disks[id].hold)
		r.leader(lead)
		pay(10)
		r.crashed(lead)
		r.start(id)
		pay(10)
	}
	// The payment that nobody heard of may be in the ledger: it was sent.
	if res := r.pay(199); res.Receipt.Seq != 0 {
		told[199] = res
	}
	r.settled(told)
}

// TestSnapshotUnderLoad lets an empty node join a ledger whose first segments are
// archived, while payments go on: it is sent the state. Its state is then that of
// a full replay, through restarts at every stage.
func TestSnapshotUnderLoad(t *testing.T) {
	r := newRegion(t, 2, 900, func(_ string, c *Config) { c.Segment, c.KeepSegments, c.CheckpointRecords = 8<<10, 1, 60 })
	told := map[int]ledgerapi.Result{}
	next := 0
	pay := func(n int) {
		for range n {
			told[next] = r.pay(next)
			next++
		}
	}
	for pay(200); r.leader().log.Stats().FirstIndex == 1; {
		pay(20)
	}
	r.start("node-3")
	stop, paid := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(paid)
		for {
			select {
			case <-stop:
				return
			default:
				pay(1)
			}
		}
	}()
	r.join("node-3")
	close(stop)
	<-paid
	three := r.nodes["node-3"]
	r.until("the first entry behind the state", func() bool { return three.log.Stats().FirstIndex != 0 })
	if st := three.log.Stats(); st.FirstIndex == 1 {
		t.Error("node-3 has the log from its first entry: it was sent no state")
	}
	r.crash(three) // before its first own checkpoint
	pay(10)
	three = r.start("node-3")
	pay(80)
	r.until("node-3 catching up", func() bool { return three.applied.Load() == r.leader().applied.Load() })
	if err := three.Checkpoint(); err != nil { // the first of its own
		t.Fatal(err)
	}
	r.crash(three)
	pay(10)
	r.start("node-3")
	pay(10)
	lead := r.leader()
	r.until("all nodes at one place", func() bool {
		for _, n := range r.nodes {
			if n.applied.Load() != lead.applied.Load() {
				return false
			}
		}
		return true
	})
	want := lead.digest()
	for id, n := range r.nodes {
		if got := n.digest(); got != want {
			t.Errorf("%s has digest %x, the leader %x", id, got, want)
		}
	}
	r.settled(told)
	rep := verifyOK(t, r.dirs["node-3"])
	if rep.Base == 0 || rep.Entries < rep.Base {
		t.Errorf("node-3's log begins behind entry %d, want the snapshot's", rep.Base)
	}
	// The migration of a node that began with a snapshot begins there too.
	if _, err := Migrate(r.dirs["node-3"], stateOptions, nil); err != nil {
		t.Error(err)
	}
	verifyOK(t, r.dirs["node-3"])
}

// TestLateFollower keeps a node away until the log that it needs is archived: it
// is sent the state, and its old log is set aside, not deleted.
func TestLateFollower(t *testing.T) {
	r := newRegion(t, 3, 900, func(_ string, c *Config) { c.Segment, c.KeepSegments, c.CheckpointRecords = 8<<10, 1, 60 })
	told := map[int]ledgerapi.Result{}
	for i := range 20 {
		told[i] = r.pay(i)
	}
	late := r.follower()
	id := late.cfg.NodeID
	_, away := late.Head()
	r.crash(late)
	for i := 20; r.leader().log.Stats().FirstIndex <= away+1; i++ {
		told[i] = r.pay(i)
	}
	r.start(id)
	r.settled(told)
	if aside, err := filepath.Glob(filepath.Join(r.dirs[id], "log", "archive", "before-*", "*.seg*")); err != nil || len(aside) == 0 {
		t.Errorf("the old log of %s is not set aside: %v, %v", id, aside, err)
	}
}

// digest is the machine's digest.
func (n *Node) digest() [32]byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.machine.Digest()
}

// TestDivergedFollowerHalts plants a person into one follower's state. The
// leader's next sum stops it, with a sentence for the operator; the others go on.
func TestDivergedFollowerHalts(t *testing.T) {
	const name = "node-3"
	r := newRegion(t, 3, 5, func(id string, c *Config) {
		if id == name { // it never stands for election: the leader's sum is the measure
			c.Heartbeat, c.Election = time.Minute, time.Minute
		}
	})
	lead, odd := r.leader(), r.nodes[name]
	// An entry that is no batch leaves a place in the order of batches.
	before := lead.log.Stats().LastIndex
	lead.log.Note(appendMark(nil, mark{}))
	r.until("the gap", func() bool {
		return odd.log.Stats().LastIndex > before && odd.applied.Load() == lead.applied.Load()
	})
	gap := odd.log.Stats().LastIndex
	planted := ledgerapi.AppendRecord(nil, ledgerapi.Header{}, ledgerapi.PutPerson{ID: id('x', 1), IDHash: si.Hash{9}, PType: si.Resident, Household: 330110, Sex: 1})
	odd.mu.Lock()
	_, at := odd.machine.Head(), odd.machine.Applied()
	_, err := odd.machine.ApplyBatch(max(gap, at+1), planted, nil)
	odd.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; ; i++ {
		// One that ends without an answer counts too: another follows.
		_, _ = r.leader().Do(background(), ledgerapi.PutTerminal{ID: id('t', i), Terminal: 1, Bank: testBank, State: ledgerapi.TerminalNew})
		select {
		case err := <-r.fatal[name]:
			if !errors.Is(err, ErrDiverged) || !strings.Contains(err.Error(), "join again") {
				t.Errorf("the follower stopped with: %v, want ErrDiverged and what to do", err)
			}
			t.Logf("after %d commands: %v", i, err)
			r.crash(odd)
			for other, n := range r.nodes {
				if n.Check() != nil {
					t.Errorf("%s is broken", other)
				}
			}
			return
		default:
		}
		if i > 3*sumEvery {
			t.Fatalf("%d commands later the follower goes on", i)
		}
	}
}

// TestMarks: what a mark is and is not.
func TestMarks(t *testing.T) {
	m := mark{77, [32]byte{1, 2, 3}}
	b := appendMark(nil, m)
	if got, err := parseMark(b); err != nil || got != m || !isMark(b) || len(b) != markSize {
		t.Errorf("parseMark(appendMark(%v)) = %v, %v", m, got, err)
	}
	for _, bad := range [][]byte{nil, b[:len(b)-1], append(append([]byte(nil), b...), 0), {markByte, markVersion + 1}} {
		if _, err := parseMark(bad); err == nil {
			t.Errorf("parseMark of %x succeeded", bad)
		}
	}
	if isMark(ledgerapi.AppendRecord(nil, ledgerapi.Header{}, payDue(1))) {
		t.Error("a batch is taken for a mark")
	}
}
