package ledger

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shebao-pay/shebao/ledger/core"
	"github.com/shebao-pay/shebao/ledger/replog"
	"github.com/shebao-pay/shebao/ledger/store"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// Node is one node of a region's ledger. Its methods may be called by any
// goroutine.
type Node struct {
	cfg  Config
	lock *os.File
	log  *replog.Log

	mu      sync.Mutex // of the state and of what follows
	store   *store.Store
	machine *core.Machine
	sums    sums
	results []ledgerapi.Result
	at      replog.Position // of the last batch applied
	records int             // applied since the last checkpoint began
	tail    int             // applied since the last checkpoint that is durable began

	clock   atomic.Int64 // the last at_ms given out
	free    atomic.Uint64
	applied atomic.Uint64
	saving  sync.Mutex // one checkpoint at a time
	saved   savedStats
	savedAt atomic.Pointer[store.Position] // of the last checkpoint
	under   store.Position                 // of the one before it; of saving

	due   chan struct{} // a checkpoint is due by size
	marks chan mark     // to be put into the log by the leader
	quit  chan struct{}
	work  sync.WaitGroup
	once  sync.Once
	err   error // of Close
}

// savedStats tell about the last checkpoint.
type savedStats struct {
	count, index, nanos atomic.Uint64
	at                  atomic.Int64 // Unix nanoseconds
}

// Open starts the node: it takes the directory, loads the checkpoint, replays
// the log behind it, and returns when the node leads.
func Open(cfg Config) (*Node, error) {
	if err := cfg.defaults(); err != nil {
		return nil, err
	}
	// The directory's own name must be as durable as what will stand in it.
	if err := errors.Join(os.MkdirAll(cfg.Dir, 0o700), replog.Disk.SyncDir(filepath.Dir(cfg.Dir))); err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	lock, err := lockDir(cfg.Dir)
	if err != nil {
		return nil, err
	}
	n := &Node{cfg: cfg, lock: lock, due: make(chan struct{}, 1), marks: make(chan mark, sumsKept), quit: make(chan struct{})}
	if err := n.start(); err != nil {
		if n.store != nil {
			err = errors.Join(err, n.store.Close())
		}
		return nil, errors.Join(err, lock.Close())
	}
	n.work.Add(1)
	go n.keeper()
	return n, nil
}

// start loads the checkpoint and opens the log.
func (n *Node) start() error {
	began := time.Now()
	at, err := n.restore()
	if err != nil {
		return err
	}
	if err := n.measureSpace(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), openWait)
	defer cancel()
	n.log, err = replog.Open(ctx, replog.Config{
		Dir: filepath.Join(n.cfg.Dir, logDir), Meta: filepath.Join(n.cfg.Dir, metaName), NodeID: n.cfg.NodeID,
		Segment: n.cfg.Segment, At: at, Depth: n.cfg.Depth, Election: n.cfg.Election,
		Heartbeat: n.cfg.Heartbeat, Lease: n.cfg.Lease, Commit: n.cfg.Commit, Stuck: n.cfg.Stuck, Network: n.cfg.Network, State: stateSide{n},
		LogOutput: raftWords{n.cfg.Log}, Files: n.cfg.Files, Fatal: n.cfg.Fatal,
	}, n)
	if err != nil {
		return n.refusal(err)
	}
	if n.cfg.Network != nil {
		n.cfg.Network.Answer(n.status)
	}
	n.cfg.Log.Info().Uint64("checkpoint", at.Index).Uint64("applied", n.applied.Load()).
		Dur("took", time.Since(began)).Msg("ledger open")
	return nil
}

// options say whose state file this node takes.
func (n *Node) options() store.Options { return store.Options{Region: n.cfg.Region, Area: n.cfg.Area} }

// restore fills the machine from the state file and tells where it stands.
func (n *Node) restore() (replog.Position, error) {
	if err := settleFiles(n.cfg.Dir); err != nil {
		return replog.Position{}, err
	}
	path := filepath.Join(n.cfg.Dir, stateName)
	if missing(path) && !missing(filepath.Join(n.cfg.Dir, oldState)) {
		return replog.Position{}, n.refusal(fmt.Errorf("%w: a migration was cut short", store.ErrSchema))
	}
	p, err := n.load(path)
	if err != nil {
		return replog.Position{}, n.refusal(err)
	}
	n.savedAt.Store(&p)
	n.saved.index.Store(p.Index)
	return n.at, nil
}

// load opens a state file and takes its store and a machine that was filled from
// it as this node's. The caller holds the lock, or is alone with the node.
func (n *Node) load(path string) (store.Position, error) {
	st, m, p, err := readState(path, n.options(), n.cfg.NullState)
	if err != nil {
		return p, err
	}
	n.store, n.machine = st, m
	n.at = replog.Position{Index: p.Index, Term: p.Term, ConfigIndex: p.ConfigIndex, Config: p.Config}
	n.applied.Store(p.Index)
	n.records = 0
	n.sums = sums{}
	n.clock.Store(m.AtMillis())
	return p, nil
}

// readState opens a state file and fills a machine from it, which reads history
// there.
func readState(path string, opt store.Options, null bool) (*store.Store, *core.Machine, store.Position, error) {
	st, err := store.Open(path, opt)
	if err != nil {
		return nil, nil, store.Position{}, err
	}
	m := core.New(core.Config{Region: opt.Region, Area: opt.Area, Past: st, Volatile: null})
	p, err := st.Position()
	switch {
	case err != nil || p.Index == 0:
	case null:
		err = errors.New("ledger: this directory holds a real ledger; a null state needs one of its own")
	default:
		if err = st.Load(m.Restore); err != nil {
			err = fmt.Errorf("ledger: restore the checkpoint: %w", err)
		} else if m.Applied() != p.Index || m.Head() != p.Head {
			err = fmt.Errorf("%w: it says entry %d, its rows say entry %d or another chain head", store.ErrDamaged, p.Index, m.Applied())
		}
	}
	if err != nil {
		return nil, nil, p, errors.Join(err, st.Close())
	}
	return st, m, p, nil
}

// refusal names the command that makes a directory of an earlier version open.
func (n *Node) refusal(err error) error {
	if errors.Is(err, store.ErrSchema) || errors.Is(err, replog.ErrState) {
		return fmt.Errorf("%w; run `shebaoctl migrate --data %s`, which builds it anew from the log", err, n.cfg.Dir)
	}
	return err
}

// Close takes no more commands, lets those under way end, writes a checkpoint,
// and gives the directory back. Queries must have ended: a question for history
// that a closed file cannot answer panics rather than say that there is none.
func (n *Node) Close() error {
	n.once.Do(func() {
		n.handOver()
		close(n.quit)
		n.work.Wait()
		err := n.log.Close()
		if err == nil {
			err = n.Checkpoint()
		}
		n.mu.Lock()
		st := n.store
		n.mu.Unlock()
		n.err = errors.Join(err, st.Close(), n.lock.Close())
		n.cfg.Log.Info().Uint64("applied", n.applied.Load()).Err(n.err).Msg("ledger closed")
	})
	return n.err
}

// waiter is the caller of one command.
type waiter func(ledgerapi.Result, error)

// Fail is replog's side of a waiter.
func (w waiter) Fail(err error) { w(ledgerapi.Result{}, err) }

// scratch is memory to encode a record in.
var scratch = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// Submit sends one command. done is called exactly once, from another goroutine
// or before Submit returns; it must not block. A result has been made durable
// before done hears of it. An error other than ErrUnknown means that nothing
// was written.
func (n *Node) Submit(c ledgerapi.Command, actor si.Actor, done func(ledgerapi.Result, error)) {
	if n.SpaceLow() && begins(c.Type()) {
		done(ledgerapi.Result{}, ErrNoSpace)
		return
	}
	buf := scratch.Get().(*[]byte)
	defer scratch.Put(buf)
	*buf = ledgerapi.AppendRecord((*buf)[:0], ledgerapi.Header{AtMillis: n.now(), Actor: actor}, c)
	// What is logged must be readable for ever: a record that the machine could
	// not take apart would stop every node that meets it.
	if _, _, size, err := ledgerapi.SplitRecord(*buf); err != nil || size != len(*buf) {
		done(ledgerapi.Result{}, fmt.Errorf("%w: type %d, %d bytes", ErrCommand, c.Type(), len(*buf)))
		return
	}
	if err := n.log.Submit(*buf, waiter(done)); err != nil {
		done(ledgerapi.Result{}, err)
	}
}

// Do sends one command of a machine's and waits for its result. When ctx ends
// first, the outcome is unknown.
func (n *Node) Do(ctx context.Context, c ledgerapi.Command) (ledgerapi.Result, error) {
	return n.DoAs(ctx, c, 0)
}

// DoAs is Do for a command that a user caused.
func (n *Node) DoAs(ctx context.Context, c ledgerapi.Command, actor si.Actor) (ledgerapi.Result, error) {
	type answer struct {
		r   ledgerapi.Result
		err error
	}
	got := make(chan answer, 1)
	n.Submit(c, actor, func(r ledgerapi.Result, err error) { got <- answer{r, err} })
	select {
	case a := <-got:
		return a.r, a.err
	case <-ctx.Done():
		return ledgerapi.Result{}, fmt.Errorf("%w: %w", ErrUnknown, ctx.Err())
	}
}

// now is the leader's time, which never runs backwards.
func (n *Node) now() uint64 {
	at := n.cfg.Now().UnixMilli()
	for {
		last := n.clock.Load()
		if at <= last {
			return uint64(last)
		}
		if n.clock.CompareAndSwap(last, at) {
			return uint64(at)
		}
	}
}

// begins tells whether a command starts something that others must end. Those
// that end something are taken on a full disk too.
func begins(t ledgerapi.Type) bool {
	switch t {
	case ledgerapi.TypeAnnotate, ledgerapi.TypePost, ledgerapi.TypeVoid, ledgerapi.TypeReverse,
		ledgerapi.TypeUnpost, ledgerapi.TypeCutover, ledgerapi.TypeSealDay:
		return false
	}
	return true
}

// Apply is replog's call for one durable batch: the machine decides, the answers
// leave. A batch that cannot be applied stops the node before any answer.
func (n *Node) Apply(e replog.Entry, waiters []replog.Waiter) {
	if isMark(e.Data) {
		n.applyMark(e)
		return
	}
	n.mu.Lock()
	results, err := n.decide(e, len(waiters))
	if err == nil && waiters != nil && len(results) != len(waiters) {
		err = fmt.Errorf("%d results for %d commands", len(results), len(waiters))
	}
	if err != nil {
		n.mu.Unlock()
		n.cfg.Fatal(fmt.Errorf("ledger: apply entry %d: %w", e.Index, err))
		for _, w := range waiters {
			w.Fail(ErrUnknown)
		}
		return
	}
	n.results = results
	if !n.cfg.NullState {
		if k, due := n.sums.take(n.at.Index, e.Index, n.machine); due {
			select {
			case n.marks <- k:
			default: // the leader has put none for a while; the next will do
			}
		}
	}
	n.at = e.Position
	n.records += len(results)
	n.tail += len(results)
	rows, bytes := 0, 0
	if !n.cfg.NullState {
		rows, bytes = n.machine.Dirty()
	}
	full := bytes >= n.cfg.CheckpointBytes || n.records >= n.cfg.CheckpointRecords && rows > 0
	n.mu.Unlock()
	n.applied.Store(e.Index)
	if full {
		select {
		case n.due <- struct{}{}:
		default:
		}
	}
	// results is safe to read without the lock: Apply alone writes it, and it
	// runs in one goroutine.
	for i, w := range waiters {
		w.(waiter)(results[i], nil)
	}
}

// decide has the machine apply a batch; the null state says OK to each record.
func (n *Node) decide(e replog.Entry, waiting int) ([]ledgerapi.Result, error) {
	if !n.cfg.NullState {
		return n.machine.ApplyBatch(e.Index, e.Data, n.results[:0])
	}
	results := n.results[:0]
	for range waiting {
		results = append(results, ledgerapi.Result{Code: ledgerapi.OK})
	}
	return results, nil
}
