package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/shebao-pay/shebao/ledger"
	"github.com/shebao-pay/shebao/ledger/replog"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
	"github.com/shebao-pay/shebao/simulators/load"
)

// The ledger that is killed.
const (
	// crashCommand is this program again, as a ledger that pays until it is killed.
	crashCommand = "crash-ledger"
	crashClients = 8
	crashPersons = 1000
	crashDues    = 20_000
	crashSegment = 64 << 10
	// crashEvery is how often the child makes a checkpoint, and so archives.
	crashEvery = 30 * time.Millisecond
	// crashPause keeps a child's clients from paying more than a kill needs.
	crashPause = 3 * time.Millisecond

	// A word of the child: its kind, the number of a due, the sequence of its
	// receipt. Less than a pipe's atomic write.
	wordBytes = 9
	wordHeld  = 'h' // the ledger holds this payment at the start
	wordReady = 'r' // all held ones have been told
	wordPaid  = 'p' // this payment was acknowledged to its client
)

// crashConfig is the ledger of the crash proof: small segments and few kept, so
// that each child meets new segments, checkpoints and the archive.
func crashConfig(dir string) ledger.Config {
	return ledger.Config{Dir: dir, Region: directRegion, Area: directArea, MinFree: 1, Segment: crashSegment, KeepSegments: 1,
		CheckpointEvery: crashEvery, Election: 20 * time.Millisecond}
}

// crashPay is the one payment that a due ever gets: asked for again it is the
// same.
func crashPay(due int, date si.BusinessDate) ledgerapi.Pay {
	p := ledgerapi.Pay{Channel: si.ChannelCounter, Bank: load.DirectBank, Total: load.DirectAmount, HostSerial: "000000000001",
		BankDate: date, OurDate: date, STAN: uint32(due%899_999 + 1), // #nosec G115 -- a small count
		Dues: []ledgerapi.DueRef{{ID: si.DueID(due + 1), Version: 1, Amount: load.DirectAmount}}} // #nosec G115 -- a small count
	binary.BigEndian.PutUint64(p.ID[:], uint64(date.Time().UnixMilli())<<16) // #nosec G115 -- a time of ours
	binary.BigEndian.PutUint64(p.ID[8:], uint64(due))                        // #nosec G115 -- a count
	return p
}

// trap ends this process with SIGKILL at the nth time that a point is passed.
type trap struct {
	point string
	left  atomic.Int64
}

func (t *trap) at(point string) {
	if t.point == point && t.left.Add(-1) == 0 {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // it does not go on
	}
}

// trapFiles passes points at the log's calls of the file system.
type trapFiles struct {
	replog.Files
	t *trap
}

func (f trapFiles) Open(path string, create bool) (replog.File, error) {
	g, err := f.Files.Open(path, create)
	if err != nil {
		return nil, err
	}
	return &trapFile{File: g, t: f.t, mark: filepath.Base(path) == "end"}, nil
}

func (f trapFiles) Rename(from, to string) error {
	what := "vote rename"
	switch {
	case strings.HasSuffix(to, ".seg"):
		what = "segment rename"
	case strings.HasSuffix(to, ".gz"):
		what = "archive rename"
	}
	f.t.at("before " + what)
	err := f.Files.Rename(from, to)
	f.t.at("after " + what)
	return err
}

type trapFile struct {
	replog.File
	t     *trap
	mark  bool
	wrote atomic.Bool // frames, not zeros ahead
}

func (f *trapFile) WriteAt(b []byte, off int64) (int, error) {
	if f.mark {
		f.t.at("before mark")
		n, err := f.File.WriteAt(b, off)
		f.t.at("after mark")
		return n, err
	}
	frames := len(bytes.Trim(b[:min(len(b), 64)], "\x00")) > 0
	if frames {
		f.t.at("before append")
	}
	n, err := f.File.WriteAt(b, off)
	if frames {
		f.wrote.Store(true)
		f.t.at("after append")
	}
	return n, err
}

func (f *trapFile) Sync() error {
	frames := f.wrote.Swap(false)
	if frames {
		f.t.at("before sync")
	}
	err := f.File.Sync()
	if frames {
		f.t.at("after sync")
	}
	return err
}

// crashLedgerCommand is the child: it tells what the ledger holds, then clients
// that each wait for their answer pay one due after another and report each
// answer when they have it.
func crashLedgerCommand() *cobra.Command {
	var dir, point string
	var from, nth, day int
	c := &cobra.Command{
		Use: crashCommand, Hidden: true, Args: cobra.NoArgs,
		Short: "A ledger that pays until it is killed",
		RunE: func(cmd *cobra.Command, _ []string) error {
			t := &trap{point: point}
			t.left.Store(int64(nth))
			cfg := crashConfig(dir)
			cfg.Files = trapFiles{replog.Disk, t}
			n, err := ledger.Open(cfg)
			if err != nil {
				return err
			}
			date := si.BusinessDate(day) // #nosec G115 -- a date of ours
			out := &words{w: cmd.OutOrStdout()}
			if err := tellHeld(n, from, date, out); err != nil {
				return err
			}
			return payOn(cmd.Context(), n, t, from, date, out)
		},
	}
	plantedFlag(c)
	fl := c.Flags()
	fl.StringVar(&dir, "dir", "", "data directory")
	fl.StringVar(&point, "point", "", "where to die")
	fl.IntVar(&nth, "nth", 1, "at which time of it")
	fl.IntVar(&from, "from", 0, "first due to pay")
	fl.IntVar(&day, "day", 0, "open business date")
	return c
}

// words is where the child reports, whole words at a time.
type words struct {
	mu sync.Mutex
	w  io.Writer
}

func appendWord(b []byte, kind byte, due int, receipt uint32) []byte {
	b = binary.LittleEndian.AppendUint32(append(b, kind), uint32(due)) // #nosec G115 -- a small count
	return binary.LittleEndian.AppendUint32(b, receipt)
}

func (w *words) say(b []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err := w.w.Write(b)
	return err
}

// tellHeld reports every payment of the ledger, and holds its books to their
// count.
func tellHeld(n *ledger.Node, from int, date si.BusinessDate, out *words) error {
	var b []byte
	held := uint64(0)
	for due := range min(from+4*crashClients, crashDues) {
		p, ok := n.Payment(crashPay(due, date).ID)
		if ok && p.State != ledgerapi.PayPosted {
			return fmt.Errorf("payment of due %d is %v", due, p.State)
		}
		if ok {
			held++
			b = appendWord(b, wordHeld, due, p.Receipt.Seq)
		}
	}
	if got := n.Totals(load.DirectBank, date).Payments.Count; uint64(got) != held {
		return fmt.Errorf("the books count %d payments, the ledger holds %d", got, held)
	}
	return out.say(appendWord(b, wordReady, 0, 0))
}

// payOn pays until the process ends.
func payOn(ctx context.Context, n *ledger.Node, t *trap, from int, date si.BusinessDate, out *words) error {
	var next atomic.Int64
	next.Store(int64(from))
	failed := make(chan error, crashClients+1)
	for range crashClients {
		go func() {
			for {
				due := int(next.Add(1) - 1)
				if due >= crashDues {
					return // the child lives on until it is killed
				}
				r, err := n.Do(ctx, crashPay(due, date))
				if errors.Is(err, ledger.ErrUnknown) {
					return // the disk failed; the ledger itself ends the process
				}
				if err != nil || r.Code != ledgerapi.OK && r.Code != ledgerapi.Exists {
					failed <- fmt.Errorf("payment of due %d: %v, %w", due, r.Code, err)
					return
				}
				t.at("before answer")
				if err := out.say(appendWord(nil, wordPaid, due, r.Receipt.Seq)); err != nil {
					failed <- err
					return
				}
				t.at("after answer")
				time.Sleep(crashPause)
			}
		}()
	}
	go func() {
		// The ledger makes its own; these are for the points around one.
		for strings.HasSuffix(t.point, " checkpoint") {
			time.Sleep(crashEvery)
			t.at("before checkpoint")
			if err := n.Checkpoint(); err != nil {
				failed <- err
				return
			}
			t.at("after checkpoint")
		}
	}()
	return <-failed
}
