package replog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// Bounds of group commit.
const (
	// MaxBatch and MaxBatchBytes end a batch: large enough that a sync is
	// shared by everyone who waits, small enough that applying one does not
	// hold up the answers of the next. A record that does not fit waits.
	MaxBatch      = 1000
	MaxBatchBytes = 256 << 10
	// MaxRecord bounds one record; it may fill a batch of its own.
	MaxRecord = MaxBatchBytes

	// MaxQueue and MaxQueueBytes bound what waits for its batch: over half a
	// second of work at full rate. More is refused with ErrBusy, because an
	// answer that late helps nobody.
	MaxQueue      = 65_536
	MaxQueueBytes = 32 << 20

	// closeWait bounds how long Close waits for batches under way.
	closeWait = 10 * time.Second
)

// Errors that a waiter or a submitter is told.
var (
	// ErrUnknown means that the record may or may not be in the log. Whoever
	// gets it asks again by the same id.
	ErrUnknown = errors.New("replog: outcome unknown")
	// ErrNotLeader means that this node may not write now; nothing was written.
	ErrNotLeader = errors.New("replog: not the leader")
	// ErrBusy means that too much is waiting; nothing was written.
	ErrBusy = errors.New("replog: too many records waiting")
)

// Waiter is told the fate of one record. If the record is applied, the machine
// gets the waiter and answers it; if not, Fail is called, once, with ErrUnknown,
// ErrNotLeader or ErrClosed. It must not block.
type Waiter interface{ Fail(err error) }

// Entry is one batch as it stands in the log.
type Entry struct {
	Position             // where a checkpoint of everything up to here stands
	AppendedAt time.Time // by the leader's clock, to the nanosecond
	Data       []byte    // the records, one behind the other; not to be changed
}

// Machine is what the log is for.
type Machine interface {
	// Apply is called in log order, from one goroutine, when the entry is
	// durable. waiters are those of the batch's records in their order, or nil
	// when this process did not submit it. The next batch is being synced
	// meanwhile.
	Apply(e Entry, waiters []Waiter)
}

// Config says how a Log runs. The zero value of a field takes its default.
type Config struct {
	Dir     string // of the segments
	Meta    string // path of the file with term and vote
	NodeID  string // name of this node, for ever
	Segment int64
	// At is the position of the checkpoint that the machine starts from.
	At Position
	// Depth is how many batches may be under way at once. One is fastest on two
	// cores.
	Depth int
	// Heartbeat is the time without a leader before a node stands for election,
	// Election that of a vote that came to nothing, Lease how long a leader serves
	// without hearing from a majority, Commit how late a commit is told to nodes
	// at rest.
	Heartbeat time.Duration
	Election  time.Duration
	Lease     time.Duration
	Commit    time.Duration
	// Stuck is how long a write of the log may take on one of several nodes.
	Stuck time.Duration
	// Network carries the log to other nodes; nil is a lone node. State is asked
	// for copies of the state and given those of other nodes.
	Network   Network
	State     State
	LogOutput io.Writer // raft's own words; nil drops them
	Files     Files
	Fatal     func(error)
}

const (
	// A lone node waits for nobody's word but its own.
	loneElection = 200 * time.Millisecond
	loneLease    = 100 * time.Millisecond
	// With others, a pause of a garbage collector or a disk must not look like
	// death, and a death must be noticed well within a second.
	defaultHeartbeat = 250 * time.Millisecond
	defaultElection  = 300 * time.Millisecond
	defaultLease     = 200 * time.Millisecond
	defaultCommit    = 20 * time.Millisecond
	// A disk that has not answered for so long will not be waited for.
	defaultStuck = 5 * time.Second
	localAddress = "local"
)

// batch is the records that share one entry.
type batch struct {
	data    []byte
	waiters []Waiter
}

// Log takes records and has them applied in one order.
type Log struct {
	cfg     Config
	store   *Store
	stable  *stable
	raft    *raft.Raft
	machine Machine

	transport io.Closer // nil for a lone node
	notify    chan bool // raft's word whether this node leads
	role      roles
	rounds    rounds
	unfollow  chan struct{}
	followed  chan struct{}
	held      uint64   // what the state held at the start or got from a snapshot; raft's goroutine's own
	coming    Position // of the snapshot that is being received

	mu     sync.Mutex // of the queue
	queue  []byte
	ends   []int // where each queued record ends in queue
	who    []Waiter
	taken  int // records at the front that are in a batch already
	closed bool
	wake   chan struct{}

	flying  sync.Mutex
	pending []*batch // submitted, not applied yet, in order

	token   chan struct{}
	futures chan flight
	quit    chan struct{}
	ended   chan struct{}  // the watcher has read every future
	work    sync.WaitGroup // the submitter

	config  atomic.Pointer[Position] // ConfigIndex and Config only
	batches atomic.Uint64
	records atomic.Uint64
	unknown atomic.Uint64
	sizes   histogram
}

type flight struct {
	b *batch
	f raft.ApplyFuture
}

// Open starts the log. A lone node's is returned when it leads and everything in
// the log has been applied; one of several nodes at once, to be led or to lead
// (Role).
func Open(ctx context.Context, cfg Config, m Machine) (*Log, error) {
	if cfg.Depth == 0 {
		cfg.Depth = 1
	}
	cfg.times()
	if cfg.LogOutput == nil {
		cfg.LogOutput = io.Discard
	}
	if cfg.Files == nil {
		cfg.Files = Disk
	}
	if cfg.Fatal == nil {
		cfg.Fatal = func(err error) { panic(err) }
	}
	if cfg.NodeID == "" {
		return nil, errors.New("replog: a node needs a name that it keeps for ever")
	}
	l := &Log{
		cfg: cfg, machine: m, held: cfg.At.Index,
		notify: make(chan bool), followed: make(chan struct{}), unfollow: make(chan struct{}),
		role: roles{changed: make(chan struct{})},
		wake: make(chan struct{}, 1), token: make(chan struct{}, cfg.Depth),
		futures: make(chan flight, cfg.Depth+1), quit: make(chan struct{}), ended: make(chan struct{}),
	}
	l.config.Store(&Position{ConfigIndex: cfg.At.ConfigIndex, Config: cfg.At.Config})
	go l.follow()
	if err := l.start(); err != nil {
		close(l.unfollow)
		<-l.followed
		return nil, err
	}
	l.work.Add(1)
	go l.submitter()
	go l.watcher()
	if cfg.Network == nil {
		if err := l.ready(ctx); err != nil {
			return nil, errors.Join(err, l.Close())
		}
	}
	return l, nil
}

// times fills in the defaults.
func (c *Config) times() {
	set := func(d *time.Duration, def time.Duration) {
		if *d == 0 {
			*d = def
		}
	}
	set(&c.Commit, defaultCommit)
	if c.Network == nil {
		set(&c.Election, loneElection)
		set(&c.Heartbeat, c.Election)
		set(&c.Lease, min(loneLease, c.Election))
		return
	}
	set(&c.Stuck, defaultStuck)
	set(&c.Heartbeat, defaultHeartbeat)
	set(&c.Election, defaultElection)
	set(&c.Lease, defaultLease)
}

// ready waits until this node leads and has applied the whole log.
func (l *Log) ready(ctx context.Context) error {
	for {
		r, changed := l.role.get()
		if r.Leads {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("replog: waiting to lead: %w", ctx.Err())
		}
	}
}

// Close lets the batches under way end, fails what still waits, and closes the
// store. Nothing is applied after it returns.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	left := append([]Waiter(nil), l.who[l.taken:]...)
	l.queue, l.ends, l.who, l.taken = nil, nil, nil, 0
	l.mu.Unlock()
	for _, w := range left {
		w.Fail(ErrClosed)
	}
	close(l.quit)
	l.work.Wait()
	// Every batch under way is with raft now; give each the time to be applied.
	l.drained(closeWait)
	close(l.unfollow)
	err := l.raft.Shutdown().Error()
	<-l.followed
	if l.transport != nil {
		err = errors.Join(err, l.transport.Close())
	}
	l.flying.Lock()
	lost := l.pending
	l.pending = nil
	l.flying.Unlock()
	for _, b := range lost {
		l.lose(b, ErrUnknown)
	}
	return errors.Join(err, l.store.Close())
}

// drained waits until the watcher has read every future, or for d.
func (l *Log) drained(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-l.ended:
	case <-t.C:
	}
}

// Submit queues a copy of one record. If it returns an error, nothing was
// queued and w is never called.
func (l *Log) Submit(record []byte, w Waiter) error {
	if len(record) == 0 || len(record) > MaxRecord {
		return fmt.Errorf("%w: %d bytes, from 1 to %d are taken", ErrTooLarge, len(record), MaxRecord)
	}
	l.mu.Lock()
	switch {
	case l.closed:
		l.mu.Unlock()
		return ErrClosed
	case len(l.ends)-l.taken >= MaxQueue || len(l.queue)-l.front()+len(record) > MaxQueueBytes:
		l.mu.Unlock()
		return ErrBusy
	}
	l.queue = append(l.queue, record...)
	l.ends = append(l.ends, len(l.queue))
	l.who = append(l.who, w)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return nil
}

// submitter makes batches: when something waits, take the token, then
// everything that has arrived meanwhile. No timer and no lingering: the sync of
// the batch before is the time in which a batch gathers.
func (l *Log) submitter() {
	defer l.work.Done()
	defer close(l.futures)
	for {
		if !l.waiting() {
			select {
			case <-l.wake:
				continue
			case <-l.quit:
				return
			}
		}
		select {
		case l.token <- struct{}{}:
		case <-l.quit:
			return
		}
		b := l.gather()
		if b == nil {
			<-l.token
			continue
		}
		l.flying.Lock()
		l.pending = append(l.pending, b)
		l.flying.Unlock()
		l.batches.Add(1)
		l.records.Add(uint64(len(b.waiters)))
		l.sizes.add(uint64(len(b.waiters)))
		l.futures <- flight{b, l.raft.Apply(b.data, 0)}
	}
}

func (l *Log) waiting() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.ends) > l.taken
}

// front is where the first waiting record begins; it is called with mu held.
func (l *Log) front() int {
	if l.taken == 0 {
		return 0
	}
	return l.ends[l.taken-1]
}

// gather takes one batch from the front of the queue. The batch gets memory of
// its own, because raft and the store's cache keep it.
func (l *Log) gather() *batch {
	l.mu.Lock()
	defer l.mu.Unlock()
	from, n := l.front(), l.taken
	for n < len(l.ends) && n < l.taken+MaxBatch && (n == l.taken || l.ends[n]-from <= MaxBatchBytes) {
		n++
	}
	if n == l.taken {
		return nil
	}
	to := l.ends[n-1]
	b := &batch{
		data:    append(make([]byte, 0, to-from), l.queue[from:to]...),
		waiters: append([]Waiter(nil), l.who[l.taken:n]...),
	}
	l.taken = n
	if n == len(l.ends) || n >= MaxQueue/2 {
		l.compact()
	}
	return b
}

// compact moves what waits to the front of the queue's memory.
func (l *Log) compact() {
	at := l.front()
	l.queue = l.queue[:copy(l.queue, l.queue[at:])]
	l.ends = l.ends[:copy(l.ends, l.ends[l.taken:])]
	for i := range l.ends {
		l.ends[i] -= at
	}
	rest := copy(l.who, l.who[l.taken:])
	clear(l.who[rest:])
	l.who = l.who[:rest]
	l.taken = 0
}

// watcher reads the futures for their errors; answers do not come from here.
func (l *Log) watcher() {
	defer close(l.ended)
	for fl := range l.futures {
		err := fl.f.Error()
		if err == nil || !l.take(fl.b) {
			continue // applied, or failed by Close
		}
		if errors.Is(err, raft.ErrNotLeader) || errors.Is(err, raft.ErrLeadershipTransferInProgress) {
			l.lose(fl.b, ErrNotLeader)
		} else {
			l.lose(fl.b, fmt.Errorf("%w: %w", ErrUnknown, err))
		}
	}
}

// take removes b from the batches under way and gives its token back. It says
// false when that was done before.
func (l *Log) take(b *batch) bool {
	l.flying.Lock()
	defer l.flying.Unlock()
	for i, p := range l.pending {
		if p == b {
			l.pending = append(l.pending[:i], l.pending[i+1:]...)
			<-l.token
			return true
		}
	}
	return false
}

// match finds the batch whose very bytes were applied. Identity of the memory
// is enough: raft hands back the slice that it was given, and an entry of
// another node or another life has memory of its own.
func (l *Log) match(data []byte) *batch {
	l.flying.Lock()
	defer l.flying.Unlock()
	for i, p := range l.pending {
		if len(data) > 0 && &p.data[0] == &data[0] {
			l.pending = append(l.pending[:i], l.pending[i+1:]...)
			<-l.token
			return p
		}
	}
	return nil
}

func (l *Log) lose(b *batch, err error) {
	if !errors.Is(err, ErrNotLeader) {
		l.unknown.Add(uint64(len(b.waiters)))
	}
	for _, w := range b.waiters {
		w.Fail(err)
	}
}

// Leader tells whether this node leads, and the name of the node that does.
func (l *Log) Leader() (bool, string) {
	_, id := l.raft.LeaderWithID()
	r, _ := l.role.get()
	return r.Leads, string(id)
}

// Stats reads the counters.
func (l *Log) Stats() Stats {
	s := l.store.Stats()
	s.Batches, s.Records, s.Unknown = l.batches.Load(), l.records.Load(), l.unknown.Load()
	s.BatchRecords = l.sizes.read()
	l.mu.Lock()
	s.Queued = len(l.ends) - l.taken
	l.mu.Unlock()
	return s
}
