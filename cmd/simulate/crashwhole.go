package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/shebao-pay/shebao/ledger"
	"github.com/shebao-pay/shebao/simulators/stage"
)

const (
	// wholeRate is payments a second while settled is killed, wholeEach the time
	// for each kill and the start behind it.
	wholeRate = 150
	wholeEach = 3 * time.Second
	// playsEach is how many plays a system serves: one at each of these banks, or
	// time-outs would close a bank.
	playsEach = 3
)

var playBanks = [playsEach]string{"ccb", "rcb", "icbc"}

// wholePoints are the system calls at which settled is killed; the empty one is
// at any time. A write is an answer to a bank or a word between its threads.
var wholePoints = []struct{ name, call string }{
	{"log or page write", "pwrite64"}, {"sync", "fdatasync"}, {"send or answer", "write"}, {"any time", ""},
	{"rename", "renameat"}, {"file sync", "fsync"},
}

// crashPlays are the plays that kill something while a citizen pays.
var crashPlays = []struct{ fault, who, point string }{
	{"hub-killed-after-send", "settled", "after send"},
	{"terminal-killed-after-send", "terminald", "after send"},
	{"bank-crashes", "bank", "after debit, before answer"},
	{"hub-killed-before-post", "settled", "before post"},
	{"terminal-killed-after-paid", "terminald", "after posted, before print"},
}

// whole is a system on beds.
type whole struct {
	*stage.Stage
	ledger, terminal *bed
	dir              string
}

// begin starts a system whose ledger and terminal's journal lie on beds.
func (r *crashRun) begin(ctx context.Context, dir, layer string, c stage.Config) (w *whole, err error) {
	w = &whole{dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.end())
		}
	}()
	if w.ledger, err = r.newBed(dir, "ledger", layer); err != nil {
		return w, err
	}
	if w.terminal, err = r.newBed(dir, "terminal", layer); err != nil {
		return w, err
	}
	if c.Bin, err = binDir(); err != nil {
		return w, err
	}
	if c.Ports, err = stage.FreePorts(); err != nil {
		return w, err
	}
	c.Dir, c.Seed, c.Quick, c.Tell = dir, r.seed, true, func(string) {}
	c.Fallen = func(program string) error {
		if program == "settled" {
			return w.ledger.fall()
		}
		return w.terminal.fall()
	}
	w.Stage, err = stage.Start(ctx, c)
	return w, err
}

// verify stops the system and verifies its ledger.
func (w *whole) verify() error {
	w.Close()
	at, err := w.ledger.take("", filepath.Join(w.dir, "left"))
	if err != nil {
		return err
	}
	rep, err := ledger.Verify(at, nil)
	if err == nil && !rep.OK() {
		err = fmt.Errorf("verify: %s", strings.Join(rep.Problems, "; "))
	}
	return err
}

func (w *whole) end() error {
	if w.Stage != nil {
		w.Close()
	}
	var err error
	for _, b := range []*bed{w.ledger, w.terminal} {
		if b != nil {
			err = errors.Join(err, b.end())
		}
	}
	return err
}

// systems kills settled under the load of a bank's counters.
func (r *crashRun) systems(ctx context.Context, dir string, kills int) error {
	for i, layer := range []string{layerKill, layerPower} {
		k := kills / 2
		if i == 1 {
			k = kills - kills/2
		}
		if k == 0 {
			continue
		}
		if err := r.system(ctx, filepath.Join(dir, "system-"+layer), layer, k); err != nil {
			return fmt.Errorf("settled, layer %s, seed %d: %w", layer, r.seed, err)
		}
	}
	return nil
}

func (r *crashRun) system(ctx context.Context, dir, layer string, kills int) (err error) {
	seconds := int(wholeEach.Seconds()) * (kills + 1)
	w, err := r.begin(ctx, dir, layer, stage.Config{Persons: max(2000, 2*wholeRate*seconds), HubOnly: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.end()) }()
	struck := 0
	out, acks, err := w.Load(ctx, stage.Load{
		Bank: "ccb", Links: 4, InFlight: 4, Rate: wholeRate, Seconds: seconds, Kill: kills, Tell: func(string) {},
		Strike: func(pid int, within time.Duration) {
			p := wholePoints[struck%len(wholePoints)]
			struck++
			time.Sleep(within)
			if p.call != "" && !strikeAt(ctx, pid, p.call, 1+r.rng.IntN(8)) {
				p.name = "any time"
			}
			r.killed("settled", p.name, layer)
		},
	})
	if err != nil {
		return err
	}
	r.out.Acknowledged += len(acks)
	w.Close()
	at, err := w.ledger.take("", filepath.Join(dir, "left"))
	if err != nil {
		return err
	}
	if err := held([]string{at}, acks, nil, &out); err != nil {
		return err
	}
	r.out.Lost += *out.Lost
	r.out.Doubled += *out.Doubled
	if out.Verify != "ok" || out.Errors > 0 {
		return fmt.Errorf("verify: %s; %d errors: %v", out.Verify, out.Errors, out.Faults)
	}
	return nil
}

// strikeAt kills a process at the nth time that one of its threads makes a
// system call, and tells whether that happened in time.
func strikeAt(ctx context.Context, pid int, call string, nth int) bool {
	ctx, cancel := context.WithTimeout(ctx, crashWait)
	defer cancel()
	c := exec.CommandContext(ctx, "strace", "-f", "-qq", "-o", "/dev/null", "-p", strconv.Itoa(pid), "-e", "trace="+call, // #nosec G204 -- a call of our table
		"-e", fmt.Sprintf("inject=%s:signal=KILL:when=%d", call, nth))
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) } // it lets go
	return c.Run() == nil && ctx.Err() == nil
}

// plays kills the hub, the terminal and the bank while a citizen pays, and holds
// what each of them says of the payment against the others.
func (r *crashRun) plays(ctx context.Context, dir string, kills int) error {
	for done := 0; done < kills; done += playsEach {
		layer := []string{layerPower, layerKill}[done/playsEach%2]
		if err := r.play(ctx, filepath.Join(dir, fmt.Sprintf("play-%d", done)), layer, done, min(playsEach, kills-done)); err != nil {
			return fmt.Errorf("a citizen pays, layer %s, seed %d: %w", layer, r.seed, err)
		}
	}
	return nil
}

func (r *crashRun) play(ctx context.Context, dir, layer string, from, kills int) (err error) {
	w, err := r.begin(ctx, dir, layer, stage.Config{Persons: 1000})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.end()) }()
	for i := range kills {
		p := crashPlays[(from+i)%len(crashPlays)]
		f, err := stage.FindFault(p.fault)
		if err != nil {
			return err
		}
		var said []string
		_, err = w.Play(ctx, playBanks[i], f, func(line string) { said = append(said, line) })
		r.killed(p.who, p.point, layer)
		if err != nil {
			return fmt.Errorf("%s at %s: %w; it said: %s", p.fault, playBanks[i], err, strings.Join(said, "; "))
		}
		r.out.Acknowledged++
	}
	return w.verify()
}
