package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/shebao-pay/shebao/internal/faultfs"
	"github.com/shebao-pay/shebao/ledger"
	"github.com/shebao-pay/shebao/ledger/core"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
	"github.com/shebao-pay/shebao/simulators/load"
)

// ledgerPoints are where the ledger alone is killed.
var ledgerPoints = []point{
	{name: "before append", trap: true, most: 12}, {name: "after append", trap: true, most: 12},
	{name: "before sync", trap: true, most: 12}, {name: "after sync", trap: true, most: 12},
	{name: "before mark", trap: true, most: 12}, {name: "after mark", trap: true, most: 12},
	{name: "before answer", trap: true, most: 60}, {name: "after answer", trap: true, most: 60},
	{name: "before segment rename", trap: true, most: 2}, {name: "after segment rename", trap: true, most: 2},
	{name: "before vote rename", trap: true, most: 2}, {name: "after vote rename", trap: true, most: 2},
	{name: "before archive rename", trap: true, most: 2}, {name: "after archive rename", trap: true, most: 2},
	{name: "before checkpoint", trap: true, most: 3}, {name: "after checkpoint", trap: true, most: 3},
	{name: "checkpoint page", call: "pwrite64", file: "state.bolt", most: 12},
	{name: "checkpoint sync", call: "fdatasync", file: "state.bolt", most: 5},
	{name: "any time"}, {name: "start"},
	{name: "write: disk full", fails: syscall.ENOSPC, refuse: faultfs.Write, most: 60},
	{name: "write: device error", fails: syscall.EIO, refuse: faultfs.Write, most: 60},
	{name: "sync: device error", fails: syscall.EIO, refuse: faultfs.Sync, most: 60},
	{name: "rename: device error", fails: syscall.EIO, refuse: faultfs.Rename, most: 3},
}

// bedKills is how often one ledger is killed before another takes its place.
const bedKills = 50

// childWait is the longest time, by the clock, that a child pays.
const childWait = 60 * time.Millisecond

// child is one life of a killed program: its words are told as they come.
type child struct {
	cmd   *exec.Cmd
	out   io.Reader
	words bytes.Buffer
}

// crashChild starts this program again as a child, under wrap if there is one.
func crashChild(ctx context.Context, wrap []string, args ...string) (*child, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	line := append(slices.Clone(wrap), append([]string{path}, args...)...)
	c := &child{cmd: exec.CommandContext(ctx, line[0], line[1:]...)} // #nosec G204 -- this program again
	if len(wrap) == 0 {
		c.cmd.Args[0] = os.Args[0] // and under the name it was started by
	}
	c.cmd.Stderr = &c.words
	if c.out, err = c.cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	return c, c.cmd.Start()
}

// kill ends the child, and what strace has started for it.
func (c *child) kill() {
	pid := c.cmd.Process.Pid
	if b, err := os.ReadFile(fmt.Sprintf("/proc/%[1]d/task/%[1]d/children", pid)); err == nil {
		for _, f := range bytes.Fields(b) {
			if n, err := strconv.Atoi(string(f)); err == nil {
				if p, err := os.FindProcess(n); err == nil {
					_ = p.Kill() // it may be gone
				}
			}
		}
	}
	_ = c.cmd.Process.Kill() // strace ends with its child
}

// next reads one word; false when the pipe ended with the process. A torn word
// is none.
func (c *child) next() (kind byte, a, b uint32, ok bool) {
	var w [wordBytes]byte
	if _, err := io.ReadFull(c.out, w[:]); err != nil {
		return 0, 0, 0, false
	}
	return w[0], binary.LittleEndian.Uint32(w[1:]), binary.LittleEndian.Uint32(w[5:]), true
}

// life runs a child to its death at a point and gives each word to hear. It
// answers where it died. A child that ends by itself is an error: it found
// something, or could not start.
func (b *bed) life(ctx context.Context, p point, dir string, hear func(kind byte, a, b uint32) error, args ...string) (string, error) {
	rng := b.run.rng
	nth := 1
	if p.most > 0 {
		nth = 1 + rng.IntN(p.most)
	}
	var wrap []string
	if p.call != "" {
		wrap = p.strace(dir, nth)
	}
	if p.trap {
		args = append(args, "--point", p.name, "--nth", strconv.Itoa(nth))
	}
	if p.fails != 0 && b.disk == nil {
		p = point{name: "any time"}
	}
	calls := 0
	if p.fails != 0 {
		calls = b.disk.Count(p.refuse)
		b.disk.FailAt(p.refuse, nth, p.fails)
	}
	c, err := crashChild(ctx, wrap, append(args, plantedArgs()...)...)
	if err != nil {
		return "", fmt.Errorf("crash: %w", err)
	}
	where := p.name
	reached := func() bool { return p.fails != 0 && b.disk.Count(p.refuse)-calls >= nth }
	ended, hung := make(chan struct{}), atomic.Bool{}
	late := time.AfterFunc(crashStart, func() {
		if reached() {
			select { // it has met the failure and is to end by itself
			case <-ended:
				return
			case <-time.After(crashHang):
				hung.Store(true)
			}
		}
		c.kill()
	})
	defer late.Stop()
	byClock := p.call == "" && !p.trap && p.fails == 0
	if p.name == "start" {
		late.Reset(time.Duration(rng.IntN(60)) * time.Millisecond)
	}
	var wrong error
	for {
		kind, x, y, ok := c.next()
		if !ok {
			break
		}
		if kind == wordReady && p.name != "start" {
			if byClock {
				late.Reset(time.Duration(rng.Int64N(int64(childWait))))
			} else {
				late.Reset(crashWait)
			}
		}
		if wrong == nil {
			wrong = hear(kind, x, y)
		}
	}
	close(ended)
	if !late.Stop() && !byClock && !reached() {
		where = "any time" // the point was not passed so often
	}
	err = c.cmd.Wait()
	code := c.cmd.ProcessState.ExitCode()
	if hung.Load() {
		return where, errors.Join(wrong, fmt.Errorf("a disk that answers %q: it went on for %s", p.fails, crashHang))
	}
	if p.fails != 0 && code > 0 {
		if !strings.Contains(c.words.String(), p.fails.Error()) {
			return where, errors.Join(wrong, fmt.Errorf("a disk that answers %q: it ended with %s", p.fails, wordOf(c.words.String())))
		}
		return where, wrong
	}
	if code > 0 && code < 128 {
		return where, errors.Join(wrong, fmt.Errorf("a start behind a kill: %s: %w", wordOf(c.words.String()), err))
	}
	return where, wrong
}

// ledgerBed is a ledger that is killed, and what its clients were told.
type ledgerBed struct {
	*bed
	path    string
	day     si.BusinessDate
	told    map[uint32]uint32 // receipt of each acknowledged due
	highest int
}

// ledgers kills the ledger alone, on both layers in turn.
func (r *crashRun) ledgers(ctx context.Context, dir string, kills int) error {
	layers := []string{layerKill, layerPower}
	points := map[string]int{} // each layer goes through all points
	for n := 0; kills > 0; n++ {
		layer := layers[n%2]
		// Both layers get their half of what is left.
		k := min(bedKills, max(1, kills/(2-n%2)))
		done, err := r.ledger(ctx, dir, fmt.Sprintf("ledger-%d", n), layer, points[layer], k)
		if err != nil {
			return fmt.Errorf("ledger, layer %s, seed %d: %w", layer, r.seed, err)
		}
		points[layer] += done
		kills -= done
	}
	return nil
}

// ledger kills one ledger so many times, or fewer when its dues are used up, and
// verifies it.
func (r *crashRun) ledger(ctx context.Context, dir, name, layer string, from, kills int) (done int, err error) {
	bed, err := r.newBed(dir, name, layer)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, bed.end()) }()
	b := &ledgerBed{bed: bed, path: filepath.Join(bed.dir, "ledger"), told: map[uint32]uint32{}}
	full := filepath.Join(dir, name+"-filled")
	if b.day, err = fillLedger(ctx, full); err != nil {
		return 0, err
	}
	if err := bed.put(full, "ledger"); err != nil {
		return 0, err
	}
	for done < kills && b.highest < crashDues*3/4 {
		if err := b.round(ctx, ledgerPoints[(from+done)%len(ledgerPoints)]); err != nil {
			return done, err
		}
		done++
	}
	at, err := bed.take("ledger", filepath.Join(dir, name+"-left"))
	if err != nil {
		return done, err
	}
	return done, b.verify(at)
}

// fillLedger makes a ledger of persons with dues, and gives its open date.
func fillLedger(ctx context.Context, dir string) (si.BusinessDate, error) {
	n, err := ledger.Open(crashConfig(dir))
	if err != nil {
		return 0, err
	}
	d, err := load.NewDirect(load.DirectConfig{Taker: n, Persons: crashPersons, Dues: crashDues})
	if err == nil {
		err = d.Fill(ctx, func(string) {})
	}
	w, _ := n.Window(load.DirectBank)
	return w.Open, errors.Join(err, n.Close())
}

// round is one life of the ledger and the fall of its disk.
func (b *ledgerBed) round(ctx context.Context, p point) error {
	held := map[uint32]uint32{}
	paid := 0
	where, err := b.life(ctx, p, b.path, func(kind byte, due, receipt uint32) error {
		switch kind {
		case wordHeld:
			held[due] = receipt
		case wordReady:
			return b.compare(held)
		case wordPaid:
			paid++
			b.run.out.Acknowledged++
			if was, ok := b.told[due]; ok && was != receipt {
				b.run.out.Doubled++
				return fmt.Errorf("due %d was paid with receipt %d and is now with %d", due, was, receipt)
			}
			b.told[due] = receipt
			b.highest = max(b.highest, int(due))
		}
		return nil
	}, crashCommand, "--dir", b.path, "--from", strconv.Itoa(max(0, b.highest-2*crashClients)), "--day", strconv.Itoa(int(b.day)))
	b.run.killed("ledger", where, b.layer())
	return errors.Join(err, b.fall())
}

// compare holds what a started ledger has against what was acknowledged.
func (b *ledgerBed) compare(held map[uint32]uint32) error {
	receipts := map[uint32]bool{}
	for due, receipt := range held {
		if receipts[receipt] {
			b.run.out.Doubled++
			return fmt.Errorf("receipt %d stands on two payments", receipt)
		}
		receipts[receipt] = true
		if int(due) > b.highest+4*crashClients {
			return fmt.Errorf("due %d is paid and nobody paid it", due)
		}
	}
	lost := 0
	for due, receipt := range b.told {
		if held[due] != receipt {
			lost++
		}
	}
	b.run.out.Lost += lost
	if lost > 0 {
		return fmt.Errorf("%d of %d acknowledged payments are not in the ledger as they were told", lost, len(b.told))
	}
	return nil
}

// verify opens the ledger once more, and replays it from nothing as shebaoctl
// verify does.
func (b *ledgerBed) verify(dir string) error {
	n, err := ledger.Open(crashConfig(dir))
	if err != nil {
		return err
	}
	if err := errors.Join(n.Check(), n.Close()); err != nil {
		return err
	}
	lost := 0
	rep, err := ledger.VerifyAnd(dir, nil, func(m *core.Machine) {
		for due, receipt := range b.told {
			p, ok := m.Payment(crashPay(int(due), b.day).ID)
			if !ok || p.State != ledgerapi.PayPosted || p.Receipt.Seq != receipt {
				lost++
			}
		}
	})
	if err != nil {
		return err
	}
	b.run.out.Lost += lost
	if !rep.OK() || lost > 0 {
		return fmt.Errorf("verify: %v; %d acknowledged payments are missing", rep.Problems, lost)
	}
	return nil
}
