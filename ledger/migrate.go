package ledger

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"

	"github.com/shebao-pay/shebao/ledger/core"
	"github.com/shebao-pay/shebao/ledger/replog"
	"github.com/shebao-pay/shebao/ledger/store"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// Migrated is what Migrate did.
type Migrated struct {
	Entries uint64 // index of the last batch
	Records uint64
	Head    string // chain head there, in hexadecimal
}

// Migrate builds the state file of a directory that no process has open anew
// from its log, in this version's form. The old file keeps its place until the
// new one is whole and durable, then its name with ".old" until that is so too;
// a fall in between leaves a directory that can be migrated again. The log is
// not changed. whose says which ledger it is where no state file is left to say
// it. progress, if not nil, is told how far it is.
func Migrate(dir string, whose store.Options, progress func(done, total int64)) (m Migrated, err error) {
	if _, err := os.Stat(filepath.Join(dir, logDir)); err != nil {
		return m, fmt.Errorf("ledger: no ledger in %s: %w", dir, err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if err := settleFiles(dir); err != nil {
		return m, err
	}
	owner, err := ownerOf(dir, whose)
	if err != nil {
		return m, err
	}
	state, old, fresh := filepath.Join(dir, stateName), filepath.Join(dir, oldState), filepath.Join(dir, newState)
	b := builder{log: filepath.Join(dir, logDir), known: owner.Index, area: owner.Area, progress: progress}
	if m, err = b.build(fresh, owner.Options); err != nil {
		return m, errors.Join(err, removed(fresh))
	}
	if !missing(state) {
		if err := os.Rename(state, old); err != nil {
			return m, fmt.Errorf("ledger: %w", err)
		}
	}
	if err := errors.Join(os.Rename(fresh, state), replog.Disk.SyncDir(dir), removed(old), replog.Disk.SyncDir(dir)); err != nil {
		return m, fmt.Errorf("ledger: %w", err)
	}
	return m, nil
}

// ownerOf tells whose ledger a directory holds and where its state stands. A
// migration that fell between its two renames left the old file alone.
func ownerOf(dir string, whose store.Options) (store.Owned, error) {
	for _, name := range []string{stateName, oldState} {
		path := filepath.Join(dir, name)
		if missing(path) {
			continue
		}
		owner, err := store.Owner(path)
		if err != nil {
			return owner, fmt.Errorf("ledger: the state file says whose ledger this is, and does not read; move it away "+
				"and say it with --region and --area: %w", err)
		}
		if owner.Index == 0 { // an empty one, made by a start that then found the log
			owner.Index = math.MaxUint64
		}
		return owner, nil
	}
	if whose.Area == 0 || whose.Region == 0 {
		return store.Owned{}, errors.New("ledger: there is no state file to say whose ledger this is; say it with --region and --area")
	}
	return store.Owned{Options: whose, Position: store.Position{Index: math.MaxUint64}}, nil
}

func removed(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("ledger: %w", err)
	}
	return nil
}

// builder makes a state file from a log.
type builder struct {
	log      string
	known    uint64
	area     si.AreaCode
	progress func(done, total int64)

	m       Migrated
	store   *store.Store
	machine *core.Machine
	results []ledgerapi.Result
	at      store.Position
	records int // since the last checkpoint
	heads   map[uint64][32]byte
}

func (b *builder) build(path string, opt store.Options) (Migrated, error) {
	var err error
	if b.store, b.machine, b.at, err = openBase(b.log, b.known, path, opt); err != nil {
		return b.m, err
	}
	if b.heads, err = manifestHeads(b.log); err == nil {
		_, err = replog.Scan(b.log, b.known, b.progress, b.apply)
	}
	if err == nil && b.records > 0 {
		err = b.save()
	}
	head := b.machine.Head()
	b.m.Entries, b.m.Head = b.machine.Applied(), fmt.Sprintf("%x", head)
	return b.m, errors.Join(err, b.store.Close())
}

// manifestHeads are the chain heads that the archive's manifest names, by entry.
func manifestHeads(log string) (map[uint64][32]byte, error) {
	lines, err := replog.Manifest(log)
	heads := map[uint64][32]byte{}
	for _, a := range lines {
		heads[a.Checkpoint] = a.Head
	}
	return heads, err
}

func (b *builder) apply(e replog.Entry) error {
	if isMark(e.Data) {
		return nil
	}
	var err error
	if b.results, err = b.machine.ApplyBatch(e.Index, e.Data, b.results[:0]); err != nil {
		return fmt.Errorf("ledger: entry %d: %w", e.Index, err)
	}
	if head, ok := b.heads[e.Index]; ok && head != b.machine.Head() {
		return fmt.Errorf("ledger: the chain head at entry %d is %x and in the archive's manifest %x: this is not the ledger "+
			"of region %06d, or it was changed", e.Index, b.machine.Head(), head, b.area)
	}
	b.m.Records += uint64(len(b.results))
	b.records += len(b.results)
	b.at.Index, b.at.Term = e.Index, e.Term
	if e.ConfigIndex > b.at.ConfigIndex {
		b.at.ConfigIndex, b.at.Config = e.ConfigIndex, e.Config
	}
	if b.records >= defaultRecords {
		return b.save()
	}
	return nil
}

func (b *builder) save() error {
	b.records = 0
	c := b.machine.Freeze()
	for !c.Step(freezeStep) {
	}
	b.at.Head = c.Head()
	if err := b.store.Save(b.at, c.Each); err != nil {
		return err
	}
	b.machine.Release(c)
	return nil
}

// openBase makes the state file that a replay of a log begins with: empty, or for
// a log that begins behind another node's state, that state.
func openBase(log string, known uint64, path string, opt store.Options) (st *store.Store, m *core.Machine, at store.Position, err error) {
	base, err := replog.BaseOf(log, known)
	if err != nil {
		return nil, nil, at, err
	}
	if base != 0 {
		r, err := replog.OpenBase(log, base)
		if err != nil {
			return nil, nil, at, err
		}
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) // #nosec G304 -- a name of ours
		if err != nil {
			return nil, nil, at, errors.Join(fmt.Errorf("ledger: %w", err), r.Close())
		}
		_, err = io.Copy(f, r) // #nosec G110 -- our own archive
		if err = errors.Join(err, f.Close(), r.Close()); err != nil {
			return nil, nil, at, fmt.Errorf("ledger: the state at entry %d, with which this log begins: %w", base, err)
		}
	}
	st, m, at, err = readState(path, opt, false)
	if errors.Is(err, store.ErrSchema) {
		err = fmt.Errorf("%w; this node's log begins with the state that another node sent, which is of that version too: "+
			"migrate a node whose log begins with entry 1, and let this one join again with an empty directory", err)
	}
	if err == nil && at.Index != base {
		err = errors.Join(fmt.Errorf("ledger: the state with which this log begins stands at entry %d, not %d", at.Index, base), st.Close())
	}
	return st, m, at, err
}
