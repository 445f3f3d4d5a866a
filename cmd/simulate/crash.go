package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/shebao-pay/shebao/internal/faultfs"
)

// Bounds of a crash run.
const (
	maxCrashKills = 100_000
	// crashWait bounds a round whose point is never passed so often; the child is
	// then killed by the clock.
	crashWait = 1500 * time.Millisecond
	// crashStart is how long a child may take to start.
	crashStart = 30 * time.Second
	// crashHang is how long a child may live on a disk that has failed.
	crashHang = 5 * time.Second
	// crashTold is after how many kills a line of progress is told.
	crashTold = 20
)

// crashFlags are what simulate crash is asked for.
type crashFlags struct {
	kills, whole, plays int
	seed                uint64
	report              string
	asJSON              bool
}

// crashResult is what a run came to. It is the report, too.
type crashResult struct {
	Date    string         `json:"date"`
	Commit  string         `json:"commit"`
	Machine string         `json:"machine"`
	Seed    uint64         `json:"seed"`
	Kills   int            `json:"kills"`
	Points  map[string]int `json:"points"` // kills, by where the process died
	Layers  map[string]int `json:"layers"` // kills, by what became of the disk
	Faults  map[string]int `json:"faults"` // what the failing disk did
	// Acknowledged payments and journal steps, looked for after each kill.
	Acknowledged int     `json:"acknowledged"`
	Lost         int     `json:"lost"`
	Doubled      int     `json:"doubled"`
	Verify       string  `json:"verify"`
	Seconds      float64 `json:"seconds"`
}

// The layers: the page cache outlives a killed process, and is lost with the
// power.
const (
	layerKill  = "kill"  // kill -9, the disk keeps all
	layerPower = "power" // kill -9, and the disk loses what was not synced
)

func crashCommandLine() *cobra.Command {
	var f crashFlags
	c := &cobra.Command{
		Use: "crash", Args: cobra.NoArgs,
		Short: "Kills the programs with -9 at every point that matters, takes unsynced writes from the disk, and looks for every acknowledged payment",
		Long: `Kills a paying ledger, a terminal's journal, settled, terminald and the banks with
-9, at chosen points and at random. Half of the time the disk under them is one of
ours, mounted through FUSE, which then loses, tears and reorders what was not
synced. After each kill the program starts again, and everything that was
acknowledged must be there, once; at the end the ledgers must verify.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(cmd.Flags().Changed); err != nil {
				return err
			}
			began := time.Now()
			tell := func(line string) {
				_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "  %4.0f s  %s\n", time.Since(began).Seconds(), line)
			}
			r := newCrashRun(f.seed, tell)
			err := f.run(cmd.Context(), r)
			r.out.Seconds = time.Since(began).Seconds()
			if err == nil {
				r.out.Verify = "ok"
			} else if r.out.Verify == "" {
				r.out.Verify = err.Error()
			}
			return errors.Join(err, f.say(cmd, r))
		},
	}
	plantedFlag(c)
	fl := c.Flags()
	fl.IntVar(&f.kills, "kills", 200, "how many times something is killed")
	fl.IntVar(&f.whole, "whole", 0, "how many of them settled in the whole system meets under load; a tenth unless it is given")
	fl.IntVar(&f.plays, "plays", 0, "how many of them meet hub, terminal or bank while a citizen pays; a twentieth unless it is given")
	fl.Uint64Var(&f.seed, "seed", defaultSeed, "seed of points, times and losses")
	fl.StringVar(&f.report, "report", "", "folder for the result as a dated file")
	fl.BoolVar(&f.asJSON, "json", false, "the result as one JSON line")
	return c
}

func (f *crashFlags) check(given func(string) bool) error {
	if !given("whole") {
		f.whole = f.kills / 10
	}
	if !given("plays") {
		f.plays = f.kills / 20
	}
	if f.kills < 1 || f.kills > maxCrashKills || f.whole < 0 || f.plays < 0 || f.whole+f.plays > f.kills {
		return fmt.Errorf("--kills is 1 to %d, --whole and --plays not negative and together no more", maxCrashKills)
	}
	if _, err := exec.LookPath("strace"); err != nil {
		return errors.New("strace is missing, which kills at system calls; `make test` installs it")
	}
	return nil
}

// crashRun is a run and what it has found.
type crashRun struct {
	seed uint64
	rng  *rand.Rand
	tell func(string)
	out  crashResult
}

func newCrashRun(seed uint64, tell func(string)) *crashRun {
	return &crashRun{seed: seed, rng: rand.New(rand.NewPCG(seed, 0xC4A5)), tell: tell, // #nosec G404 -- chance of a test
		out: crashResult{Seed: seed, Points: map[string]int{}, Layers: map[string]int{}, Faults: map[string]int{}}}
}

// killed counts one kill.
func (r *crashRun) killed(who, point, layer string) {
	r.out.Kills++
	r.out.Points[who+": "+point]++
	r.out.Layers[layer]++
	if r.out.Kills%crashTold == 0 {
		r.tell(fmt.Sprintf("%d kills, %d acknowledged, lost %d, doubled %d", r.out.Kills, r.out.Acknowledged, r.out.Lost, r.out.Doubled))
	}
}

func (r *crashRun) fell(l faultfs.Losses) {
	for name, n := range map[string]int{"sectors kept": l.Kept, "sectors lost": l.Lost, "sectors torn": l.Torn,
		"names kept": l.NamesKept, "names lost": l.NamesLost} {
		r.out.Faults[name] += n
	}
}

// run kills in turn what is cheap and what is whole.
func (f *crashFlags) run(ctx context.Context, r *crashRun) (err error) {
	dir, err := os.MkdirTemp("", "shebao-crash-")
	if err != nil {
		return fmt.Errorf("temporary folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	m, err := describe(dir)
	if err != nil {
		return err
	}
	r.out.Date, r.out.Commit, r.out.Machine = time.Now().Format(time.DateOnly), m.commit, m.String()
	alone := f.kills - f.whole - f.plays
	journal := alone / 4
	steps := []func() error{
		func() error { return r.ledgers(ctx, dir, alone-journal) },
		func() error { return r.journals(ctx, dir, journal) },
		func() error { return r.systems(ctx, dir, f.whole) },
		func() error { return r.plays(ctx, dir, f.plays) },
	}
	for _, step := range steps {
		if err := errors.Join(step(), ctx.Err()); err != nil {
			return err
		}
	}
	if r.out.Lost+r.out.Doubled > 0 {
		return fmt.Errorf("%d acknowledged payments are lost, %d doubled", r.out.Lost, r.out.Doubled)
	}
	return nil
}

func (f *crashFlags) say(cmd *cobra.Command, r *crashRun) error {
	if f.report != "" {
		path, err := writeReport(f.report, "crash", &r.out)
		if err != nil {
			return err
		}
		r.tell("report: " + path)
	}
	out := cmd.OutOrStdout()
	if f.asJSON {
		return json.NewEncoder(out).Encode(&r.out)
	}
	_, err := fmt.Fprintf(out, "%d kills at %d points, layers %v, disk %v\n%d acknowledged; lost %d, doubled %d, verify %s, %.0f s\n",
		r.out.Kills, len(r.out.Points), r.out.Layers, r.out.Faults, r.out.Acknowledged, r.out.Lost, r.out.Doubled, r.out.Verify, r.out.Seconds)
	return err
}

// bed is a folder in which something is killed: a real one, or one of the disk
// that loses what was not synced.
type bed struct {
	run   *crashRun
	dir   string
	disk  *faultfs.Disk // nil: the disk keeps all
	mount *faultfs.Mounted
}

// newBed makes the folder.
func (r *crashRun) newBed(dir, name, layer string) (*bed, error) {
	b := &bed{run: r, dir: filepath.Join(dir, name)}
	if err := os.MkdirAll(b.dir, 0o700); err != nil {
		return nil, fmt.Errorf("crash: %w", err)
	}
	if layer != layerPower {
		return b, nil
	}
	b.disk = faultfs.New(r.rng.Uint64())
	var err error
	b.mount, err = b.disk.Mount(b.dir)
	return b, err
}

func (b *bed) layer() string {
	if b.disk != nil {
		return layerPower
	}
	return layerKill
}

// fall is what the kill of a process does to the folder.
func (b *bed) fall() error {
	if b.disk == nil {
		return nil
	}
	if err := b.mount.Unmount(); err != nil {
		return err
	}
	b.run.fell(b.disk.Crash())
	var err error
	b.mount, err = b.disk.Mount(b.dir)
	return err
}

// put brings what was prepared in a real folder into the bed, durable. It is
// called before anything else is there.
func (b *bed) put(from, name string) error {
	if b.disk == nil {
		return os.Rename(from, filepath.Join(b.dir, name))
	}
	return b.disk.CopyIn("/"+name, from)
}

// take gives a real folder with what lies in the bed. This process serves the
// failing disk and must not map its files.
func (b *bed) take(name, to string) (string, error) {
	if b.disk == nil {
		return filepath.Join(b.dir, name), nil
	}
	return to, b.disk.CopyOut("/"+name, to)
}

// end takes the folder away.
func (b *bed) end() error {
	var err error
	if b.disk != nil && b.mount != nil {
		err = b.mount.Unmount()
	}
	return errors.Join(err, os.RemoveAll(b.dir))
}

// point is where a child dies: by its own trap, at a system call on a file, or
// by the clock.
type point struct {
	name string
	trap bool
	call string // of strace; "" without one
	file string // in the child's folder
	most int    // it dies at one of the first so many times
	// fails is the error with which a call of the failing disk is answered from
	// then on; 0 is none. The child must end by itself.
	fails  syscall.Errno
	refuse faultfs.Call
}

// strace is the command line that kills at the nth call on the file.
func (p point) strace(dir string, nth int) []string {
	return []string{"strace", "-f", "-qq", "-o", "/dev/null", "-P", filepath.Join(dir, p.file), "-e", "trace=" + p.call,
		"-e", fmt.Sprintf("inject=%s:signal=KILL:when=%d", p.call, nth)}
}

// wordOf makes a child's complaint one line.
func wordOf(s string) string { return strings.Join(strings.Fields(s), " ") }
