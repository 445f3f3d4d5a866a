package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/shebao-pay/shebao/internal/faultfs"
	"github.com/shebao-pay/shebao/ledger/replog"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/termapi"
	"github.com/shebao-pay/shebao/terminal/flow"
	"github.com/shebao-pay/shebao/terminal/journal"
)

// crashJournalCommand is this program again, as a terminal's journal that is
// written until it is killed.
const crashJournalCommand = "crash-journal"

// journalSteps are the states of each payment in turn.
var journalSteps = []flow.PayState{flow.Created, flow.Sent, flow.Posted, flow.Receipted}

// journalPoints are where the journal is killed.
var journalPoints = []point{
	{name: "journal page", call: "pwrite64", file: "journal.bolt", most: 24},
	{name: "journal sync", call: "fdatasync", file: "journal.bolt", most: 16},
	{name: "before answer", trap: true, most: 12}, {name: "after answer", trap: true, most: 12},
	{name: "any time"}, {name: "start"},
	{name: "write: disk full", fails: syscall.ENOSPC, refuse: faultfs.Write, most: 24},
	{name: "write: device error", fails: syscall.EIO, refuse: faultfs.Write, most: 24},
	{name: "sync: device error", fails: syscall.EIO, refuse: faultfs.Sync, most: 16},
}

func crashIntent(n int, s flow.PayState, at time.Time) flow.Intent {
	i := flow.Intent{State: s, Session: uint64(n + 1), At: at, Bank: "ccb", // #nosec G115 -- a count
		Lines: []termapi.PayLine{{ID: strconv.Itoa(n + 1), Version: 1, Amount: 51000}}, Total: 51000}
	binary.BigEndian.PutUint64(i.ID[:], uint64(si.Date(2026, time.November, 2).Time().UnixMilli())<<16) // #nosec G115 -- a time of ours
	binary.BigEndian.PutUint64(i.ID[8:], uint64(n))                                                     // #nosec G115 -- a count
	return i
}

// crashJournalChild tells what the journal holds, then writes one payment after
// another, reporting each state when it is on disk.
func crashJournalChild() *cobra.Command {
	var dir, point string
	var from, nth int
	c := &cobra.Command{
		Use: crashJournalCommand, Hidden: true, Args: cobra.NoArgs,
		Short: "A terminal's journal that is written until it is killed",
		RunE: func(cmd *cobra.Command, _ []string) error {
			t := &trap{point: point}
			t.left.Store(int64(nth))
			j, err := journal.Open(filepath.Join(dir, "journal.bolt"), journal.Options{Terminal: "terminal-1"})
			if err != nil {
				return err
			}
			if err := j.Check(); err != nil {
				return err
			}
			out := &words{w: cmd.OutOrStdout()}
			var b []byte
			last, next := flow.PayState(0), from
			for n := range from + 2 {
				i, found, err := j.Payment(crashIntent(n, 0, time.Time{}).ID)
				if err != nil {
					return err
				}
				if found {
					b = appendWord(b, wordHeld, n, uint32(i.State))
					last, next = i.State, n
				}
			}
			if err := out.say(appendWord(b, wordReady, 0, 0)); err != nil {
				return err
			}
			for n := next; ; n++ {
				for _, s := range journalSteps[slices.Index(journalSteps, last)+1:] {
					now := time.Now().Truncate(time.Millisecond)
					if err := j.Put(now, crashIntent(n, s, now)); err != nil {
						return err
					}
					t.at("before answer")
					if err := out.say(appendWord(nil, wordPaid, n, uint32(s))); err != nil {
						return err
					}
					t.at("after answer")
				}
				last = 0
			}
		},
	}
	plantedFlag(c)
	fl := c.Flags()
	fl.StringVar(&dir, "dir", "", "folder of the journal")
	fl.StringVar(&point, "point", "", "where to die")
	fl.IntVar(&nth, "nth", 1, "at which time of it")
	fl.IntVar(&from, "from", 0, "first payment to write")
	return c
}

// journals kills a journal so many times, on both layers in turn.
func (r *crashRun) journals(ctx context.Context, dir string, kills int) error {
	for i, layer := range []string{layerKill, layerPower} {
		k := kills / 2
		if i == 1 {
			k = kills - kills/2
		}
		// Several, because a new file has perils of its own.
		for n := 0; k > 0; n++ {
			m := min(k, len(journalPoints))
			if err := r.journal(ctx, dir, fmt.Sprintf("journal-%s-%d", layer, n), layer, m); err != nil {
				return fmt.Errorf("journal, layer %s, seed %d: %w", layer, r.seed, err)
			}
			k -= m
		}
	}
	return nil
}

func (r *crashRun) journal(ctx context.Context, dir, name, layer string, kills int) (err error) {
	b, err := r.newBed(dir, name, layer)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.end()) }()
	path := filepath.Join(b.dir, "terminal")
	if err := errors.Join(os.Mkdir(path, 0o700), replog.Disk.SyncDir(b.dir)); err != nil {
		return err
	}
	told := map[uint32]flow.PayState{}
	for i := range kills {
		p := journalPoints[i%len(journalPoints)]
		held := map[uint32]flow.PayState{}
		from := max(0, len(told)-1)
		where, err := b.life(ctx, p, path, func(kind byte, n, s uint32) error {
			switch state := flow.PayState(s); kind { // #nosec G115 -- a state that a child wrote
			case wordHeld:
				held[n] = state
			case wordReady:
				return r.compareJournal(told, held)
			case wordPaid:
				told[n] = state
				r.out.Acknowledged++
			}
			return nil
		}, crashJournalCommand, "--dir", path, "--from", strconv.Itoa(from))
		r.killed("journal", where, layer)
		if err := errors.Join(err, b.fall()); err != nil {
			return err
		}
	}
	at, err := b.take("terminal", filepath.Join(dir, name+"-left"))
	if err != nil {
		return err
	}
	return r.checkJournal(at, told)
}

// checkJournal reads what is left of a journal, every link of its chain.
func (r *crashRun) checkJournal(dir string, told map[uint32]flow.PayState) (err error) {
	j, err := journal.Open(filepath.Join(dir, "journal.bolt"), journal.Options{Terminal: "terminal-1"})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	held := map[uint32]flow.PayState{}
	for n := range uint32(len(told) + 1) { // #nosec G115 -- a count
		i, found, err := j.Payment(crashIntent(int(n), 0, time.Time{}).ID)
		if err != nil {
			return err
		}
		if found {
			held[n] = i.State
		}
	}
	return errors.Join(j.Check(), r.compareJournal(told, held))
}

// compareJournal wants each payment in the state that was acknowledged, or the
// one behind it, whose answer may have been lost with the process.
func (r *crashRun) compareJournal(told, held map[uint32]flow.PayState) error {
	for n, s := range told {
		at, is := slices.Index(journalSteps, s), slices.Index(journalSteps, held[n])
		if is < at || is > at+1 {
			r.out.Lost++
			return fmt.Errorf("payment %d was acknowledged as %v and stands at %v", n, s, held[n])
		}
	}
	if len(held) > len(told)+1 {
		r.out.Doubled++
		return fmt.Errorf("%d payments are held, %d were written", len(held), len(told))
	}
	maps.Copy(told, held) // the start has told where each stands
	return nil
}
