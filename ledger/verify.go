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
	Entries  uint64 // index of the last entry, raft's own included
	Batches  uint64
	Records  uint64
	Payments uint64 // posted by the records, before red entries
	Head     string // chain head over all batches, in hexadecimal
	// Checkpoint is the index at which the state file stands.
	Checkpoint uint64
	// Torn tells that the log ends in a write that was never acknowledged; that
	// is no problem, the next start cuts it.
	Torn     bool
	Problems []string
}

// OK tells that nothing is wrong.
func (r *Report) OK() bool { return len(r.Problems) == 0 }

func (r *Report) problem(format string, args ...any) {
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
}

// errStop ends a replay whose machine cannot go on.
var errStop = errors.New("replay stopped")

// Verify proves a data directory that no process has open: every frame of the
// log and its links, the chain by a replay from the first record into an empty
// machine, the state file against that replay, and the invariants of the books.
// What does not hold is listed in the report; an error means that the check
// itself could not be made. progress, if not nil, is told how far it is.
func Verify(dir string, progress func(done, total int64)) (Report, error) {
	var r Report
	if _, err := os.Stat(filepath.Join(dir, logDir)); err != nil {
		return r, fmt.Errorf("ledger: no ledger in %s: %w", dir, err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return r, err
	}
	err = verify(&r, dir, progress)
	return r, errors.Join(err, lock.Close())
}

func verify(r *Report, dir string, progress func(done, total int64)) error {
	path := filepath.Join(dir, stateName)
	owner, err := store.Owner(path)
	if err != nil {
		return fmt.Errorf("ledger: the state file says whose ledger this is, and does not read; "+
			"start the node once without it to build it from the log: %w", err)
	}
	r.Region, r.Area = owner.Region, owner.Area
	owner.ReadOnly = true
	st, err := store.Open(path, owner)
	if err != nil {
		r.problem("state file: %v", err)
		st = nil
	}
	var at store.Position
	if st != nil {
		if at, err = st.Position(); err != nil {
			r.problem("state file: %v", err)
		}
	}
	r.Checkpoint = at.Index
	// Both replays read the whole log: the progress runs over both.
	half := func(part int64) func(done, total int64) {
		return func(done, total int64) {
			if progress != nil {
				progress(done+part*total, 2*total)
			}
		}
	}
	full := replay(r, filepath.Join(dir, logDir), at, half(0))
	if st != nil {
		if full != nil {
			compare(r, st, full, filepath.Join(dir, logDir), at, half(1))
		}
		return st.Close()
	}
	return nil
}

// replay applies the log from its first record and checks the books. It returns
// nil when the machine could not be brought to the log's end.
func replay(r *Report, dir string, at store.Position, progress func(done, total int64)) *core.Machine {
	m := core.New(core.Config{Region: r.Region, Area: r.Area, Volatile: true})
	var results []ledgerapi.Result
	met := at.Index == 0
	scanned, err := replog.Scan(dir, progress, func(e replog.Entry) error {
		var err error
		if results, err = m.ApplyBatch(e.Index, e.Data, results[:0]); err != nil {
			r.problem("entry %d cannot be applied: %v", e.Index, err)
			return errStop
		}
		count(r, e.Data, results)
		if e.Index == at.Index {
			met = true
			if m.Head() != at.Head {
				r.problem("the chain head at entry %d is %x in the log and %x in the state file", e.Index, m.Head(), at.Head)
			}
		}
		return nil
	})
	head := m.Head()
	r.Segments, r.Entries, r.Batches, r.Torn = scanned.Segments, scanned.Last, scanned.Batches, scanned.Torn
	r.Head = hex.EncodeToString(head[:])
	if err != nil && !errors.Is(err, errStop) {
		r.problem("log: %v", err)
	}
	if !met {
		r.problem("the state file stands at entry %d, which the log does not hold", at.Index)
	}
	if scanned.Segments > 0 && scanned.First != 1 {
		r.problem("the log begins with entry %d; the segments before it are missing", scanned.First)
	}
	if errors.Is(err, errStop) {
		return nil
	}
	if err := m.Check(); err != nil {
		r.problem("invariant: %v", err)
	}
	balance(r, m)
	if err != nil {
		return nil
	}
	return m
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

// compare restores the checkpoint, replays the log behind it, and holds the
// outcome against the full replay.
func compare(r *Report, st *store.Store, full *core.Machine, dir string, at store.Position, progress func(done, total int64)) {
	m := core.New(core.Config{Region: r.Region, Area: r.Area, Past: st})
	if at.Index > 0 {
		if err := st.Load(m.Restore); err != nil {
			r.problem("state file: %v", err)
			return
		}
		if m.Applied() != at.Index || m.Head() != at.Head {
			r.problem("state file: it says entry %d, its rows say entry %d or another chain head", at.Index, m.Applied())
			return
		}
	}
	var results []ledgerapi.Result
	_, err := replog.Scan(dir, progress, func(e replog.Entry) error {
		if e.Index <= at.Index {
			return nil
		}
		var err error
		if results, err = m.ApplyBatch(e.Index, e.Data, results[:0]); err != nil {
			r.problem("entry %d cannot be applied to the state file's checkpoint: %v", e.Index, err)
		}
		return err
	})
	if err != nil {
		return
	}
	if m.Head() != full.Head() {
		r.problem("checkpoint and tail end in another chain head than the full replay")
	}
	if m.Digest() != full.Digest() {
		r.problem("the state of checkpoint and tail differs from that of the full replay")
	}
}
