package ledger

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/rs/zerolog"

	"github.com/shebao-pay/shebao/ledger/replog"
	"github.com/shebao-pay/shebao/si"
)

// Errors that a command can end with instead of a result. With ErrUnknown the
// command may or may not be in the ledger, and the caller asks again by the same
// id; with every other error nothing was written.
var (
	ErrUnknown   = replog.ErrUnknown
	ErrNotLeader = replog.ErrNotLeader
	ErrBusy      = replog.ErrBusy
	ErrClosed    = replog.ErrClosed
	// ErrNoSpace is returned for commands that begin something while the disk
	// is nearly full. Commands that end something are still taken.
	ErrNoSpace = errors.New("ledger: the disk is nearly full")
	// ErrCommand is returned for a command that no log may hold.
	ErrCommand = errors.New("ledger: command cannot be logged")
)

// Names in the data directory.
const (
	logDir    = "log"
	stateName = "state.bolt"
	metaName  = "raft.meta"
	lockName  = "LOCK"

	newState  = stateName + ".new" // a state file that is being built or received
	oldState  = stateName + ".old" // what a migration replaces, until it is done
	copyState = stateName + ".copy"
)

// Defaults of a checkpoint and of the disk.
const (
	defaultEvery   = time.Minute
	defaultBytes   = 64 << 20
	defaultRecords = 500_000
	defaultFree    = 1 << 30
	defaultNode    = "node-1"

	// openWait bounds a start: the replay of the tail behind a checkpoint takes
	// seconds, and that of a long log from its first record may take minutes.
	openWait = 30 * time.Minute
)

// Config says how a node runs. A zero field takes its default.
type Config struct {
	// Dir holds everything the node keeps. One process at a time may open it.
	Dir string
	// Region and Area name the pooling region whose ledger this is.
	Region si.Region
	Area   si.AreaCode
	// NodeID is this node's name among the nodes of the region, for ever.
	NodeID string
	// Now is the leader's clock; each command carries its time. Default time.Now.
	Now func() time.Time
	// NullState answers OK to everything after the same log append and keeps no
	// state: the measure that the ledger is held against under load.
	NullState bool
	// Segment is the size of a log segment, Depth how many batches may be under
	// way at once, Election how long a node waits for a leader.
	Segment  int64
	Depth    int
	Election time.Duration
	// Network connects this node with the others of its region; nil is a lone
	// node. The times are for such nodes, see replog.Config.
	Network                         replog.Network
	Heartbeat, Lease, Commit, Stuck time.Duration
	// KeepSegments is how many whole segments stay beside the archive, for nodes
	// that were away.
	KeepSegments int
	// CheckpointEvery, CheckpointBytes and CheckpointRecords each start a
	// checkpoint: by time, by what changed, by records since the last one.
	CheckpointEvery   time.Duration
	CheckpointBytes   int
	CheckpointRecords int
	// MinFree is how many bytes the disk must have free for a new payment.
	MinFree uint64
	// Log gets one line per event of the node's life. Default none.
	Log zerolog.Logger
	// Files is the file system under the log. Default the real one.
	Files replog.Files
	// Fatal is told the first error after which the node must not go on: a
	// failed write or sync, a broken invariant. The default panics.
	Fatal func(error)
}

func (c *Config) defaults() error {
	if c.Dir == "" {
		return errors.New("ledger: a data directory is needed")
	}
	if c.Area == 0 || c.Area > 999_999 {
		return fmt.Errorf("ledger: area %d is no six-digit area code", c.Area)
	}
	if c.CheckpointEvery < 0 || c.CheckpointBytes < 0 || c.CheckpointRecords < 0 {
		return errors.New("ledger: the triggers of a checkpoint are positive; 0 takes the default")
	}
	set(&c.NodeID, defaultNode)
	set(&c.CheckpointEvery, defaultEvery)
	set(&c.CheckpointBytes, defaultBytes)
	set(&c.CheckpointRecords, defaultRecords)
	set(&c.MinFree, defaultFree)
	set(&c.KeepSegments, replog.DefaultKeep)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Fatal == nil {
		c.Fatal = func(err error) { panic(err) }
	}
	return nil
}

func set[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// raftWords takes raft's own log lines into ours.
type raftWords struct{ log zerolog.Logger }

func (w raftWords) Write(b []byte) (int, error) {
	w.log.Warn().Str("from", "raft").Msg(string(b[:max(0, len(b)-1)]))
	return len(b), nil
}

var _ io.Writer = raftWords{}
