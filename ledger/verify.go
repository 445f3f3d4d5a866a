package ledger

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/shebao-pay/shebao/ledger/core"
	"github.com/shebao-pay/shebao/ledger/replog"
	"github.com/shebao-pay/shebao/ledger/store"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// Report is what Verify found.
type Report struct {
	Region   si.Region
	Area     si.AreaCode
	Segments int
	Archived int    // of them, compressed ones
	Base     uint64 // the log begins behind the state that another node sent for this entry; 0: with entry 1
	Entries  uint64 // index of the last entry, raft's own included
	Batches  uint64
	Records  uint64
	Payments uint64 // posted by the records, before red entries
	Head     string // chain head over all batches, in hexadecimal
	// Checkpoint is the index at which the state file stands.
	Checkpoint uint64
	// Torn tells that the log ends in a write that was never acknowledged; that
	// is no problem, the next start cuts it.
	Torn bool
	// Sealed is how many dates are sealed, LastSealed the last of them, and
	// Signed how many have a signature that a given key made.
	Sealed     int
	LastSealed si.BusinessDate
	Signed     int
	Problems   []string
}

// OK tells that nothing is wrong.
func (r *Report) OK() bool { return len(r.Problems) == 0 }

func (r *Report) problem(format string, args ...any) {
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
}

// errStop ends a replay whose machine cannot go on.
var errStop = errors.New("replay stopped")

// maxDiffers bounds the rows of the state file that a report names.
const maxDiffers = 10

// Verify proves a data directory that no process has open: every frame of the
// log and its links, the chain by a replay from the first record into an empty
// machine, each row of the state file against the rows of that replay, a start
// from the state file against the replay, and the invariants of the books.
//
// It also computes the Merkle root of each sealed date from the log alone and
// holds it and the chain heads against the date's head. What only someone outside
// can know is asked of a [Witness].
//
// What does not hold is listed in the report; an error means that the check
// itself could not be made. The directory is not changed; a second state file is
// built in the system's folder for temporary files. progress, if not nil, is
// told how far the check is.
func Verify(dir string, progress func(done, total int64)) (Report, error) {
	return verify(dir, Witness{}, progress, func(*core.Machine) {})
}

// VerifyAnd is Verify that then lets look ask the machine to which the replay
// came, when it came to the log's end.
func VerifyAnd(dir string, progress func(done, total int64), look func(m *core.Machine)) (Report, error) {
	return verify(dir, Witness{}, progress, look)
}

// VerifyBy is Verify with the word of a witness.
func VerifyBy(dir string, w Witness, progress func(done, total int64)) (Report, error) {
	return verify(dir, w, progress, func(*core.Machine) {})
}

func verify(dir string, w Witness, progress func(done, total int64), look func(m *core.Machine)) (Report, error) {
	var r Report
	if _, err := os.Stat(filepath.Join(dir, logDir)); err != nil {
		return r, fmt.Errorf("ledger: no ledger in %s: %w", dir, err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return r, err
	}
	tmp, err := os.MkdirTemp("", "shebao-verify-")
	if err != nil {
		return r, errors.Join(fmt.Errorf("ledger: %w", err), lock.Close())
	}
	v := verifier{r: &r, log: filepath.Join(dir, logDir), progress: progress, look: look, seals: sealCheck{r: &r, witness: w}}
	err = v.run(filepath.Join(dir, stateName), filepath.Join(tmp, stateName))
	return r, errors.Join(err, os.RemoveAll(tmp), lock.Close())
}

// verifier is one verification.
type verifier struct {
	r        *Report
	log      string
	progress func(done, total int64)
	look     func(m *core.Machine)

	state   *store.Store // the state file, nil if it does not open
	at      store.Position
	built   *store.Store // what the replay makes of it
	machine *core.Machine
	results []ledgerapi.Result
	records int  // replayed since the last checkpoint of the replay
	met     bool // the replay came by the state file's position
	sums    sums
	heads   map[uint64][32]byte // chain heads that the archive's manifest names, by entry
	seals   sealCheck
}

func (v *verifier) run(state, scratch string) error {
	owner, err := store.Owner(state)
	if err != nil {
		return fmt.Errorf("ledger: the state file says whose ledger this is, and does not read; "+
			"start the node once without it to build it from the log: %w", err)
	}
	v.r.Region, v.r.Area = owner.Region, owner.Area
	built, opt := owner.Options, owner.Options
	built.Scratch, opt.ReadOnly = true, true
	if v.built, v.machine, _, err = openBase(v.log, owner.Index, scratch, built); err != nil {
		return err
	}
	if v.state, err = store.Open(state, opt); err != nil {
		v.r.problem("state file: %v", err)
		v.state = nil
	} else if v.at, err = v.state.Position(); err != nil {
		v.r.problem("state file: %v", err)
	}
	if v.heads, err = manifestHeads(v.log); err != nil {
		v.r.problem("archive: %v", err)
	}
	v.r.Checkpoint = v.at.Index
	if v.both() {
		v.look(v.machine)
	}
	err = v.built.Close()
	if v.state != nil {
		err = errors.Join(err, v.state.Close())
	}
	return err
}

// both runs the full replay and, beside it, a start from the state file, and
// holds them against each other. They share nothing but the files that they read.
// It says whether the replay came to the log's end.
func (v *verifier) both() (whole bool) {
	var started *core.Machine
	var found []string
	done := make(chan struct{})
	go func() {
		defer close(done)
		if v.state != nil {
			started, found = v.restart()
		}
	}()
	whole = v.replay()
	<-done
	v.r.Problems = append(v.r.Problems, found...)
	if !whole || started == nil {
		return whole
	}
	if started.Head() != v.machine.Head() {
		v.r.problem("checkpoint and tail end in another chain head than the full replay")
	}
	if started.Digest() != v.machine.Digest() {
		v.r.problem("the state of checkpoint and tail differs from that of the full replay")
	}
	return whole
}

// replay applies the log from its first record, compares the state file on the
// way, and checks the books. It says whether the machine came to the log's end.
func (v *verifier) replay() bool {
	r := v.r
	v.met = v.at.Index == v.machine.Applied()
	scanned, err := replog.Scan(v.log, v.at.Index, v.progress, v.apply)
	head := v.machine.Head()
	r.Segments, r.Entries, r.Batches, r.Torn = scanned.Segments, scanned.Last, scanned.Batches, scanned.Torn
	r.Archived, r.Base = scanned.Archived, scanned.Base
	r.Head = hex.EncodeToString(head[:])
	if err != nil && !errors.Is(err, errStop) {
		r.problem("log: %v", err)
	}
	if !v.met {
		r.problem("the state file stands at entry %d, which the log does not hold", v.at.Index)
	}
	if errors.Is(err, errStop) {
		return false
	}
	if err := v.machine.Check(); err != nil {
		r.problem("invariant: %v", err)
	}
	balance(r, v.machine)
	v.seals.end(v.machine)
	return err == nil
}

// apply is the replay's step for one batch.
func (v *verifier) apply(e replog.Entry) error {
	if isMark(e.Data) {
		if err := v.sums.judge(e.Data); err != nil {
			v.r.problem("entry %d: %v", e.Index, err)
		}
		return nil
	}
	var err error
	before, was := v.machine.Applied(), v.machine.Head()
	if v.results, err = v.machine.ApplyBatch(e.Index, e.Data, v.results[:0]); err != nil {
		v.r.problem("entry %d cannot be applied: %v", e.Index, err)
		return errStop
	}
	v.sums.take(before, e.Index, v.machine)
	if head, ok := v.heads[e.Index]; ok && head != v.machine.Head() {
		v.r.problem("the chain head at entry %d is %x in the log and %x in the archive's manifest", e.Index, v.machine.Head(), head)
	}
	count(v.r, e.Data, v.results)
	v.seals.batch(v.machine, was, e.Index, e.Data, v.results)
	v.records += len(v.results)
	if e.Index == v.at.Index {
		v.met = true
		if v.machine.Head() != v.at.Head {
			v.r.problem("the chain head at entry %d is %x in the log and %x in the state file", e.Index, v.machine.Head(), v.at.Head)
		}
		if err := v.save(e.Index); err != nil {
			return err
		}
		return v.differ()
	}
	if v.records >= defaultRecords {
		return v.save(e.Index)
	}
	return nil
}

// save writes a checkpoint of the replay.
func (v *verifier) save(index uint64) error {
	v.records = 0
	c := v.machine.Freeze()
	for !c.Step(freezeStep) {
	}
	if err := v.built.Save(store.Position{Index: index, Head: c.Head()}, c.Each); err != nil {
		return err
	}
	v.machine.Release(c)
	return nil
}

// differ holds every row of the state file against the replay's.
func (v *verifier) differ() error {
	if v.state == nil {
		return nil
	}
	n := 0
	err := store.Differ(v.built, v.state, func(b core.Bucket, key, inLog, inFile []byte) bool {
		n++
		switch {
		case inFile == nil:
			v.r.problem("state file: row %x of bucket %s is missing", key, b)
		case inLog == nil:
			v.r.problem("state file: row %x of bucket %s should not be there", key, b)
		default:
			v.r.problem("state file: row %x of bucket %s differs from what the log says", key, b)
		}
		return n < maxDiffers
	})
	if err != nil {
		v.r.problem("state file: %v", err)
	}
	return nil
}

// count adds a batch to the report.
func count(r *Report, data []byte, results []ledgerapi.Result) {
	r.Records += uint64(len(results))
	for _, res := range results {
		h, _, n, err := ledgerapi.SplitRecord(data)
		if err != nil {
			return
		}
		data = data[n:]
		if res.Code == ledgerapi.OK && (h.Type == ledgerapi.TypePay || h.Type == ledgerapi.TypePost) {
			r.Payments++
		}
	}
}

// balance checks that every book balances, in both pairs of columns.
func balance(r *Report, m *core.Machine) {
	type sums struct{ posted, pending si.Fen }
	books := map[si.Fund]sums{}
	for _, b := range m.TrialBalance() {
		s := books[b.Fund]
		s.posted += b.PostedDr - b.PostedCr
		s.pending += b.PendingDr - b.PendingCr
		books[b.Fund] = s
	}
	for f := si.PensionEmp; f.Valid(); f++ {
		if s := books[f]; s != (sums{}) {
			r.problem("trial balance: the book of %s is off by %d fen posted, %d fen pending", f, s.posted, s.pending)
		}
	}
}

// restart does what a start does: it restores the checkpoint and replays the log
// behind it. Without a machine, what it says is wrong or is in the report already.
func (v *verifier) restart() (*core.Machine, []string) {
	problem := func(format string, args ...any) []string { return []string{fmt.Sprintf(format, args...)} }
	m := core.New(core.Config{Region: v.r.Region, Area: v.r.Area, Past: v.state})
	if v.at.Index > 0 {
		if err := v.state.Load(m.Restore); err != nil {
			return nil, problem("state file: %v", err)
		}
		if m.Applied() != v.at.Index || m.Head() != v.at.Head {
			return nil, problem("state file: it says entry %d, its rows say entry %d or another chain head", v.at.Index, m.Applied())
		}
	}
	var results []ledgerapi.Result
	var found []string
	_, err := replog.Scan(v.log, v.at.Index, nil, func(e replog.Entry) error {
		if e.Index <= v.at.Index || isMark(e.Data) {
			return nil
		}
		var err error
		if results, err = m.ApplyBatch(e.Index, e.Data, results[:0]); err != nil {
			found = problem("entry %d cannot be applied to the state file's checkpoint: %v", e.Index, err)
		}
		return err
	})
	if err != nil {
		return nil, found // a damaged log is named by the full replay
	}
	return m, nil
}
