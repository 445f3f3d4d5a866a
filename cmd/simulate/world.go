package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/simulators/oracle"
	"github.com/shebao-pay/shebao/simulators/world"
)

// worldFlags are what simulate world is asked for.
type worldFlags struct {
	seeds, payment, plan string
	payments, twice      int
	explain              uint64
	oracle, report       string
	asJSON               bool
}

// worldResult is the last line.
type worldResult struct {
	Seeds      int     `json:"seeds"`
	Payments   int     `json:"payments"`
	Hours      float64 `json:"virtual_hours"`
	Violations int     `json:"violations"`
	Below      int     `json:"cells_below_minimum"`
	Oracle     *int    `json:"oracle_findings,omitempty"`
	Twice      *int    `json:"same_hash_seeds,omitempty"`
	Hash       string  `json:"hash"`
	PerSecond  float64 `json:"payments_per_cpu_second"`
}

// worldReport is the result with everything that it was counted from.
type worldReport struct {
	origin
	worldResult
	From       uint64                       `json:"first_seed"`
	To         uint64                       `json:"last_seed"`
	Posted     int                          `json:"posted"`
	Voided     int                          `json:"voided"`
	Reversals  int                          `json:"reversals_sent"`
	Breaks     int                          `json:"breaks_found"`
	Seconds    float64                      `json:"seconds"`
	Checks     map[string]uint64            `json:"checks"`
	Faults     map[string]uint64            `json:"faults"`
	Cells      map[string]map[string]uint64 `json:"cells"` // fault by the state of the payment that it met
	Bars       []bar                        `json:"bars"`
	Violated   []world.Violation            `json:"violated,omitempty"`
	Found      []string                     `json:"found_by_the_oracle,omitempty"`
	DidNotPass string                       `json:"did_not_pass,omitempty"`
}

// maxSeeds bounds one run: at a second for a few seeds, a day's work.
const maxSeeds = 1_000_000

// cellShare is how many times a wanted cell must have happened for each five
// seeds: 100 times in the 500 seeds of every test run.
const cellShare = 5

// maxOracle is how many findings of the second oracle are kept.
const maxOracle = 20

func worldCommand() *cobra.Command {
	var f worldFlags
	c := &cobra.Command{
		Use: "world", Args: cobra.NoArgs,
		Short: "Days of the whole system on virtual time, with faults, from seeds; every invariant checked",
		Long: "Plays each seed's day in one goroutine on virtual time: the payment engine, the link sessions and the ledger\n" +
			"that production runs, between banks, terminals and counters that misbehave. The same seed gives the same hash.\n" +
			"Ends with 1 if an invariant broke, or if too few of the wanted faults met a payment to prove anything.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.payments < 1 || f.payments > 20_000 {
				return fmt.Errorf("--payments %d: 1 to 20,000 a seed", f.payments)
			}
			if f.oracle != "" && f.oracle != "sql" {
				return fmt.Errorf("--oracle %q: sql is the only one", f.oracle)
			}
			plan, err := readPlan(f.plan)
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("explain") {
				return f.tale(cmd.OutOrStdout(), plan)
			}
			return f.run(cmd, plan)
		},
	}
	fl := c.Flags()
	fl.StringVar(&f.seeds, "seeds", "1-20", "seeds, as A-B")
	fl.IntVar(&f.payments, "payments", 2000, "payments that people set out to make in each day")
	fl.StringVar(&f.plan, "plan", "", "file with the faults and their rates, instead of each seed's own")
	fl.Uint64Var(&f.explain, "explain", 0, "tell the tale of one payment of this seed (with --payment), or the seed's violations")
	fl.StringVar(&f.payment, "payment", "", "payment id, 32 hex digits")
	fl.IntVar(&f.twice, "twice", 0, "of this many seeds, the first, the day is played again on one processor and on two: the hashes must be equal")
	fl.StringVar(&f.oracle, "oracle", "", "judge each day a second time by another oracle: sql")
	fl.StringVar(&f.report, "report", "", "folder for the result with all its counts, as a dated file")
	fl.BoolVar(&f.asJSON, "json", true, "the result as one JSON line")
	plantedFlag(c)
	return c
}

func readPlan(path string) (world.Plan, error) {
	if path == "" {
		return nil, nil
	}
	body, err := os.ReadFile(path) //#nosec G304 -- the person at the keyboard names the file
	if err != nil {
		return nil, fmt.Errorf("--plan: %w", err)
	}
	var p world.Plan
	if err := json.Unmarshal(body, &p); err != nil {
		return nil, fmt.Errorf("--plan %s: %w", path, err)
	}
	return p, nil
}

// parseSeeds reads A-B or A.
func parseSeeds(s string) (a, b uint64, err error) {
	first, last, found := strings.Cut(s, "-")
	if !found {
		last = first
	}
	a, errA := strconv.ParseUint(first, 10, 64)
	b, errB := strconv.ParseUint(last, 10, 64)
	if errA != nil || errB != nil || b < a || b-a >= maxSeeds {
		return 0, 0, fmt.Errorf("--seeds %q: A-B, at most %d seeds", s, maxSeeds)
	}
	return a, b, nil
}

func (f *worldFlags) run(cmd *cobra.Command, plan world.Plan) error {
	a, b, err := parseSeeds(f.seeds)
	if err != nil {
		return err
	}
	if f.twice < 0 || f.twice > maxSeeds {
		return fmt.Errorf("--twice %d: 0 to %d seeds", f.twice, maxSeeds)
	}
	f.twice = min(f.twice, int(b-a+1))
	errOut := cmd.ErrOrStderr()
	judge := judge{}
	o := world.Options{Payments: f.payments, Plan: plan}
	if f.oracle != "" {
		o.Export = judge.day
	}
	began, cpu := time.Now(), cpuOfSelf()
	s, err := world.PlayAll(cmd.Context(), a, b, o, days(errOut, int(b-a+1)))
	if err != nil {
		return err
	}
	perSecond := float64(s.Payments) / (cpuOfSelf() - cpu).Seconds()
	below := s.Cells.Below(uint64(s.Seeds / cellShare))
	if plan != nil {
		below = nil // a plan of one's own is for looking, not for proving
	}
	result := worldResult{Seeds: s.Seeds, Payments: s.Payments, Hours: s.Hours, Violations: len(s.Violations), Below: len(below),
		Hash: s.Hash, PerSecond: math.Round(perSecond)}
	f.tellViolations(errOut, s.Violations, plan)
	for _, c := range below {
		_, _ = fmt.Fprintf(errOut, "  too seldom: %s\n", c)
	}
	bars := []bar{most("violations of an invariant", len(s.Violations), 0), most("cells below their minimum", len(below), 0)}
	if f.oracle != "" {
		n := judge.count
		result.Oracle = &n
		judge.say(errOut, f, plan)
		bars = append(bars, most("findings of the SQL oracle", n, 0))
	}
	if f.twice > 0 {
		n, err := f.again(cmd.Context(), errOut, a, s.Hashes, plan)
		if err != nil {
			return err
		}
		result.Twice = &n
		bars = append(bars, least("B2 seeds with the same hash, played again on 1 and on 2 processors", n, f.twice))
	}
	_, _ = fmt.Fprintf(errOut, "  %d payments asked, %d posted, %d voided, %d reversals sent, %d breaks found, each a bank's lie; %.0f payments a second of one core\n",
		s.Payments, s.Posted, s.Voided, s.Reversals, s.Breaks, perSecond)
	_, _ = fmt.Fprintf(errOut, "  payments that a bank was asked for: %d posted, %d voided, %d reversed; %d script notices told\n",
		s.Inquiries.Posted, s.Inquiries.Voided, s.Inquiries.Reversed, s.Scripts)
	tellBars(errOut, bars)
	failed := notMet(bars)
	if f.report != "" {
		r := worldReport{worldResult: result, From: a, To: b, Posted: s.Posted, Voided: s.Voided, Reversals: s.Reversals,
			Breaks: s.Breaks, Seconds: time.Since(began).Seconds(), Checks: s.Checks, Bars: bars, Violated: s.Violations, Found: judge.lines}
		r.Faults, r.Cells = s.Cells.Counts()
		if failed != nil {
			r.DidNotPass = failed.Error()
		}
		if r.origin, err = originNow(began); err != nil {
			return err
		}
		path, err := writeReport(f.report, "sim", r)
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(errOut, "  report: %s\n", path)
	}
	line, err := json.Marshal(result)
	if err != nil {
		return fmt.Errorf("result: %w", err)
	}
	if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\n", line); err != nil {
		return err
	}
	switch {
	case len(s.Violations) > 0:
		return errors.New("an invariant broke")
	case len(below) > 0:
		return errors.New("void: some faults met too few payments to prove anything")
	}
	return failed
}

// maxTold is how many violations are told in words.
const maxTold = 10

func (f *worldFlags) tellViolations(out io.Writer, all []world.Violation, plan world.Plan) {
	for i, v := range all {
		if i == maxTold {
			_, _ = fmt.Fprintf(out, "  … and %d more\n", len(all)-i)
			break
		}
		_, _ = fmt.Fprintf(out, "  seed %d, %s, %s: payment %s %s\n", v.Seed, v.At, v.Invariant, v.ID, v.What)
	}
	if len(all) > 0 {
		f.repro(out, all[0], plan)
	}
}

// again plays the first seeds again, on one processor and on two, and counts
// those that keep their hash both times.
func (f *worldFlags) again(ctx context.Context, out io.Writer, a uint64, hashes []string, plan world.Plan) (same int, err error) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	differ := map[int]bool{}
	for _, procs := range []int{1, 2} {
		runtime.GOMAXPROCS(procs)
		s, err := world.PlayAll(ctx, a, a+uint64(f.twice)-1, world.Options{Payments: f.payments, Plan: plan}, func(int) {})
		if err != nil {
			return 0, err
		}
		for i, h := range s.Hashes {
			if h != hashes[i] {
				differ[i] = true
				_, _ = fmt.Fprintf(out, "  seed %d played again on %d processors: hash %s, was %s\n", a+uint64(i), procs, h, hashes[i])
			}
		}
	}
	return f.twice - len(differ), nil
}

// judge asks the second oracle about each day.
type judge struct {
	mu    sync.Mutex
	count int
	seed  uint64 // the first in which it found something
	id    string // a payment of it, if one is named
	lines []string
}

// aPayment is how a finding names a payment.
var aPayment = regexp.MustCompile(`payment ([0-9a-f]{32})`)

// maxOfCheck is how many findings of one check are told of a day.
const maxOfCheck = 3

func (j *judge) day(seed uint64, tables []world.Table) error {
	found, err := oracle.Check(tables)
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.count += len(found)
	of := map[string]int{}
	for _, x := range found {
		if j.seed == 0 || seed < j.seed {
			j.seed, j.id = seed, ""
		}
		if m := aPayment.FindStringSubmatch(x.String()); m != nil && seed == j.seed && j.id == "" {
			j.id = m[1]
		}
		if of[x.Check]++; of[x.Check] <= maxOfCheck && len(j.lines) < maxOracle {
			j.lines = append(j.lines, fmt.Sprintf("seed %d: %s", seed, x))
		}
	}
	return nil
}

func (j *judge) say(out io.Writer, f *worldFlags, plan world.Plan) {
	for _, l := range j.lines {
		_, _ = fmt.Fprintf(out, "  SQL: %s\n", l)
	}
	if j.count == 0 {
		return
	}
	f.smallest(out, j.seed, plan, func(p world.Plan) (bool, error) {
		var one judge
		_, err := world.Play(j.seed, world.Options{Payments: f.payments, Plan: p, Export: one.day})
		return one.count > 0, err
	}, " --oracle sql")
	if j.id != "" {
		_, _ = fmt.Fprintf(out, "  the tale of one of its payments: bin/simulate world --explain %d --payment %s --payments %d\n", j.seed, j.id, f.payments)
	}
}

// days shows how many of n days are played: a bar at a terminal, a line for each
// tenth elsewhere.
func days(out io.Writer, n int) func(done int) {
	if f, ok := out.(*os.File); ok {
		if st, err := f.Stat(); err == nil && st.Mode()&os.ModeCharDevice != 0 {
			bar := progressbar.NewOptions(n, progressbar.OptionSetWriter(out), progressbar.OptionShowCount(),
				progressbar.OptionSetDescription("days"), progressbar.OptionClearOnFinish())
			return func(done int) { _ = bar.Set(done) }
		}
	}
	return func(done int) {
		if step := max(n/10, 1); done%step == 0 {
			_, _ = fmt.Fprintf(out, "  %d of %d days\n", done, n)
		}
	}
}

// repro says how to see a violation again, with as few faults as it takes.
func (f *worldFlags) repro(out io.Writer, v world.Violation, plan world.Plan) {
	f.smallest(out, v.Seed, plan, world.Breaks(v.Seed, f.payments, v.Invariant), "")
	if v.ID != "" {
		_, _ = fmt.Fprintf(out, "  its tale: bin/simulate world --explain %d --payment %s --payments %d\n", v.Seed, v.ID, f.payments)
	}
}

// smallest writes the fewest faults with which a day is still bad into a file,
// and the line that plays it again.
func (f *worldFlags) smallest(out io.Writer, seed uint64, plan world.Plan, bad func(world.Plan) (bool, error), more string) {
	small, err := world.Shrink(planOf(seed, plan), bad)
	if err != nil {
		_, _ = fmt.Fprintf(out, "  shrink: %v\n", err)
		return
	}
	body, err := json.Marshal(small)
	if err != nil {
		_, _ = fmt.Fprintf(out, "  shrink: %v\n", err)
		return
	}
	name := fmt.Sprintf("plan-%d%s.json", seed, strings.ReplaceAll(strings.ReplaceAll(more, " --oracle ", "-"), " ", ""))
	if err := os.WriteFile(name, append(body, '\n'), 0o600); err != nil {
		_, _ = fmt.Fprintf(out, "  %v\n", err)
	}
	_, _ = fmt.Fprintf(out, "  again with the fewest faults: bin/simulate world --seeds %d-%d --payments %d --plan %s%s\n", seed, seed, f.payments, name, more)
}

func planOf(seed uint64, plan world.Plan) world.Plan {
	if plan == nil {
		return world.PlanOf(seed)
	}
	return plan
}

// tale tells one payment's story.
func (f *worldFlags) tale(out io.Writer, plan world.Plan) error {
	var id si.PaymentID
	if f.payment != "" {
		b, err := hex.DecodeString(f.payment)
		if err != nil || len(b) != len(id) {
			return fmt.Errorf("--payment %q: 32 hex digits", f.payment)
		}
		copy(id[:], b)
	}
	d, err := world.Play(f.explain, world.Options{Payments: f.payments, Plan: plan, Explain: id,
		Tell: func(line string) { _, _ = fmt.Fprintln(out, line) }})
	if err != nil {
		return err
	}
	for _, v := range d.Violations {
		_, _ = fmt.Fprintf(out, "%s  %s: payment %s %s\n", v.At, v.Invariant, v.ID, v.What)
	}
	return nil
}
