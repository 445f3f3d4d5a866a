package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/shebao-pay/shebao/simulators/load"
	"github.com/shebao-pay/shebao/simulators/stage"
)

// loadFlags are what simulate load is asked for.
type loadFlags struct {
	path, bank            string
	links, inFlight, rate int
	seconds, persons      int
	dues, ready           int
	kill, pause           int
	nodes                 int
	null, asJSON          bool

	// Of the ledger alone.
	tail         int
	day          time.Duration
	dir, profile string
}

// loadResult adds the yardstick to a run.
type loadResult struct {
	stage.LoadResult
	NullPerSecond *float64 `json:"null_per_second,omitempty"`
	Ratio         *float64 `json:"ratio,omitempty"`
}

func loadCommand() *cobra.Command {
	var f loadFlags
	c := &cobra.Command{
		Use: "load", Args: cobra.NoArgs,
		Short: "Many payments against settled as its own process, counted, checked and verified",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.path == "ledger" {
				f.ledgerDefaults(cmd.Flags().Changed)
			}
			if f.path == "terminal" && !cmd.Flags().Changed("inflight") {
				f.inFlight = 1
			}
			if err := f.check(); err != nil {
				return err
			}
			tell := func(line string) { _, _ = fmt.Fprintf(cmd.ErrOrStderr(), "  %s\n", line) }
			r, shown, err := f.dispatch(cmd.Context(), tell)
			if err != nil {
				return err
			}
			line, err := json.Marshal(shown)
			if err != nil {
				return fmt.Errorf("result: %w", err)
			}
			if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\n", line); err != nil {
				return err
			}
			if bad := r.Verify != "ok" || r.Errors > 0 || (r.Lost != nil && *r.Lost+*r.Doubled > 0) || (r.BankFen != nil && *r.BankFen != *r.LedgerFen); bad {
				return errors.New("the run is void: see errors, verify, lost, doubled and the fen above")
			}
			return nil
		},
	}
	fl := c.Flags()
	fl.StringVar(&f.path, "path", "counter", "counter, terminal, or ledger: the ledger alone in this process")
	fl.StringVar(&f.bank, "bank", "ccb", "bank that pays; the counter path speaks for ccb, the terminal path for all four")
	fl.IntVar(&f.links, "links", 64, "connections (terminal: times --inflight, the kiosks at one time)")
	fl.IntVar(&f.inFlight, "inflight", 8, "payments under way on each connection (terminal: 1 unless it is given)")
	fl.IntVar(&f.rate, "rate", 0, "payments a second; 0 pays as fast as answers come")
	fl.IntVar(&f.seconds, "seconds", 10, "how long new payments are begun")
	fl.IntVar(&f.persons, "persons", 100_000, "residents in the ledger")
	fl.IntVar(&f.dues, "dues", 0, "open dues at the begin, at least; ledger: kept by assessing more")
	fl.IntVar(&f.ready, "ready", 0, "counter: assess and notice the next year beside the run when fewer notices are left; 0: while the clock stands still")
	fl.IntVar(&f.kill, "kill", 0, "kill settled with -9 so many times at random moments; of several nodes the one that leads")
	fl.IntVar(&f.pause, "pause", 0, "three nodes: let the one that leads stand still so many times")
	fl.IntVar(&f.nodes, "nodes", 1, "nodes of the hub, each a settled process of its own: 1 or 3")
	fl.BoolVar(&f.null, "null-ledger", false, "measure a node without a ledger as well, in alternating slices, and print the ratio")
	fl.IntVar(&f.tail, "tail", 0, "ledger: at the end pay so many more without a checkpoint, kill -9, and time the start")
	fl.DurationVar(&f.day, "day", 0, "ledger: cut the bank's date over and seal the one before so often")
	fl.StringVar(&f.dir, "dir", "", "ledger: where the data directory is made (default the folder for temporary files)")
	fl.StringVar(&f.profile, "cpuprofile", "", "ledger: write a processor profile of the measured part")
	fl.BoolVar(&f.asJSON, "json", true, "the result as one JSON line")
	return c
}

// ledgerDefaults are what the ledger path takes for flags that were not given:
// the load set of the model district, and a day a minute for a long run.
func (f *loadFlags) ledgerDefaults(given func(string) bool) {
	if !given("inflight") {
		f.inFlight = 512
	}
	if !given("dues") {
		f.dues = 5_000_000
	}
	if !given("persons") {
		f.persons = 903_000
	}
	if !given("day") && f.seconds > 60 {
		f.day = time.Minute
	}
}

func (f *loadFlags) check() error {
	switch {
	case f.path != "counter" && f.path != "terminal" && f.path != "ledger":
		return fmt.Errorf("--path %q: counter, terminal or ledger", f.path)
	case f.path == "ledger" && (f.kill != 0 || f.pause != 0 || f.nodes != 1 || f.inFlight > load.MaxDirectInFlight):
		return fmt.Errorf("--kill, --pause and --nodes are not for --path ledger, and --inflight is at most %d", load.MaxDirectInFlight)
	case f.path != "ledger" && (f.tail != 0 || f.day != 0 || f.dir != "" || f.profile != ""):
		return errors.New("--tail, --day, --dir and --cpuprofile are for --path ledger")
	case f.tail < 0 || f.tail > 10_000_000 || f.day < 0 || f.day > 0 && f.day < 2*time.Second:
		return errors.New("--tail is 0 to 10,000,000, --day 0 or at least 2s")
	case f.persons < 1000 || f.persons > 2_000_000:
		return fmt.Errorf("--persons %d: 1,000 to 2,000,000", f.persons)
	case f.seconds < 1 || f.seconds > 3600 || f.kill < 0 || f.kill > 1000 || f.pause < 0 || f.pause > 1000 || f.dues < 0 || f.ready < 0:
		return errors.New("--seconds is 1 to 3600, --kill and --pause are 0 to 1000, --dues and --ready not negative")
	case f.nodes != 1 && f.nodes != 3 || f.nodes == 3 && f.null:
		return errors.New("--nodes is 1 or 3, and 1 with --null-ledger")
	case f.path == "terminal" && (f.links < 1 || f.inFlight < 1 || f.links*f.inFlight > stage.MaxTerminals):
		return fmt.Errorf("--links %d --inflight %d: on the terminal path their product is the kiosks at one time, 1 to %d", f.links, f.inFlight, stage.MaxTerminals)
	case f.pause > 0 && f.nodes == 1:
		return errors.New("--pause is for --nodes 3")
	case f.path == "terminal" && (f.rate != 0 || f.dues != 0 || f.null):
		return errors.New("--rate, --dues and --null-ledger are for --path counter")
	case f.path != "counter" && f.ready != 0:
		return errors.New("--ready is for --path counter")
	}
	return nil
}

// dispatch runs the path and gives the result in the form to judge and in the
// form to print.
func (f *loadFlags) dispatch(ctx context.Context, tell func(string)) (stage.LoadResult, any, error) {
	if f.path == "ledger" {
		r, err := f.runLedger(ctx, tell)
		return r.LoadResult, r, err
	}
	r, err := f.run(ctx, tell)
	return r.LoadResult, r, err
}

// turns is in how many parts a run with the yardstick is measured, in turn.
const turns = 3

func (f *loadFlags) run(ctx context.Context, tell func(string)) (loadResult, error) {
	real, err := f.begin(ctx, false, tell)
	if err != nil {
		return loadResult{}, err
	}
	defer real.end()
	if !f.null {
		r, err := f.once(ctx, real, f.seconds, false, tell)
		return loadResult{LoadResult: r}, err
	}
	null, err := f.begin(ctx, true, tell)
	if err != nil {
		return loadResult{}, err
	}
	defer null.end()
	out, err := f.inTurn(ctx, real, null, tell)
	if err != nil {
		return out, err
	}
	real.StopHub()
	return out, held(real.LedgerDirs(), nil, nil, &out.LoadResult)
}

// inTurn has a hub and one without a ledger pay in turn.
func (f *loadFlags) inTurn(ctx context.Context, real, null *hub, tell func(string)) (loadResult, error) {
	var out loadResult
	part := max(1, f.seconds/turns)
	var with, without float64
	for i := range turns {
		r, err := f.once(ctx, real, part, true, tell)
		if err != nil {
			return out, err
		}
		n, err := f.once(ctx, null, part, true, tell)
		if err != nil {
			return out, err
		}
		tell(fmt.Sprintf("slice %d of %d: ledger %.0f, null ledger %.0f payments a second", i+1, turns, r.PerSecond, n.PerSecond))
		with, without = with+r.PerSecond, without+n.PerSecond
		r.Payments += out.Payments
		r.Errors += out.Errors + n.Errors
		out.LoadResult = r
	}
	out.PerSecond = with / turns
	mean, ratio := without/turns, with/without
	out.NullPerSecond, out.Ratio = &mean, &ratio
	return out, nil
}

// hub is a system of its own that is measured.
type hub struct {
	*stage.Stage
	dir string
}

func (h *hub) end() {
	h.Close()
	_ = os.RemoveAll(h.dir)
}

// begin starts a system to be measured.
func (f *loadFlags) begin(ctx context.Context, null bool, tell func(string)) (*hub, error) {
	bin, err := binDir()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "shebao-load-")
	if err != nil {
		return nil, fmt.Errorf("temporary folder: %w", err)
	}
	c := stage.Config{
		Dir: dir, Bin: bin, Persons: f.persons, Seed: defaultSeed,
		HubOnly: true, NullLedger: null, Quick: true, Tell: tell, Nodes: f.nodes,
	}
	if f.path == "terminal" {
		c.Terminals = f.links * f.inFlight
	}
	if c.Ports, err = stage.FreePorts(); err == nil {
		var s *stage.Stage
		if s, err = stage.Start(ctx, c); err == nil {
			return &hub{s, dir}, nil
		}
	}
	return nil, errors.Join(err, os.RemoveAll(dir))
}

// once measures a system, which stays for the next time, or ends and has its
// ledger verified.
func (f *loadFlags) once(ctx context.Context, s *hub, seconds int, stay bool, tell func(string)) (stage.LoadResult, error) {
	l := stage.Load{
		Bank: f.bank, Links: f.links, InFlight: f.inFlight, Rate: f.rate, Seconds: seconds, Dues: f.dues, Ready: f.ready, Stay: stay,
		Kill: f.kill, Pause: f.pause, Tell: tell,
	}
	if f.path == "terminal" {
		r, acks, err := s.LoadTerminals(ctx, l)
		if err != nil {
			return r, err
		}
		p, err := s.Bank(f.bank)
		if err != nil {
			return r, err
		}
		err = held(s.LedgerDirs(), acks, p, &r)
		return r, err
	}
	r, acks, err := s.Load(ctx, l)
	if err != nil || stay {
		return r, err
	}
	err = held(s.LedgerDirs(), acks, nil, &r)
	return r, err
}
