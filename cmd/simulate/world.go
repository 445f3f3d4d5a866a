package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/simulators/world"
)

// worldFlags are what simulate world is asked for.
type worldFlags struct {
	seeds, payment, plan string
	payments             int
	explain              uint64
	asJSON               bool
}

// worldResult is the last line.
type worldResult struct {
	Seeds      int     `json:"seeds"`
	Payments   int     `json:"payments"`
	Hours      float64 `json:"virtual_hours"`
	Violations int     `json:"violations"`
	Below      int     `json:"cells_below_minimum"`
	Hash       string  `json:"hash"`
}

// maxSeeds bounds one run: at a second for a few seeds, a day's work.
const maxSeeds = 1_000_000

// cellShare is how many times a wanted cell must have happened for each five
// seeds: 100 times in the 500 seeds of every test run.
const cellShare = 5

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
	s, err := world.PlayAll(cmd.Context(), a, b, f.payments, plan, days(cmd.ErrOrStderr(), int(b-a+1)))
	if err != nil {
		return err
	}
	below := s.Cells.Below(uint64(s.Seeds / cellShare))
	if plan != nil {
		below = nil // a plan of one's own is for looking, not for proving
	}
	errOut := cmd.ErrOrStderr()
	for i, v := range s.Violations {
		if i == 10 {
			_, _ = fmt.Fprintf(errOut, "  … and %d more\n", len(s.Violations)-i)
			break
		}
		_, _ = fmt.Fprintf(errOut, "  seed %d, %s, %s: payment %s %s\n", v.Seed, v.At, v.Invariant, v.ID, v.What)
	}
	if len(s.Violations) > 0 {
		f.repro(errOut, s.Violations[0], plan)
	}
	for _, c := range below {
		_, _ = fmt.Fprintf(errOut, "  too seldom: %s\n", c)
	}
	_, _ = fmt.Fprintf(errOut, "  %d payments asked, %d posted, %d voided, %d reversals sent, %d breaks found, each a bank's lie\n",
		s.Payments, s.Posted, s.Voided, s.Reversals, s.Breaks)
	_, _ = fmt.Fprintf(errOut, "  payments that a bank was asked for: %d posted, %d voided, %d reversed; %d script notices told\n", s.Inquiries.Posted, s.Inquiries.Voided, s.Inquiries.Reversed, s.Scripts)
	line, err := json.Marshal(worldResult{s.Seeds, s.Payments, s.Hours, len(s.Violations), len(below), s.Hash})
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
	return nil
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
	small, err := world.Shrink(v.Seed, f.payments, planOf(v.Seed, plan), v.Invariant)
	if err != nil {
		_, _ = fmt.Fprintf(out, "  shrink: %v\n", err)
		return
	}
	body, err := json.Marshal(small)
	if err != nil {
		_, _ = fmt.Fprintf(out, "  shrink: %v\n", err)
		return
	}
	name := fmt.Sprintf("plan-%d.json", v.Seed)
	if err := os.WriteFile(name, append(body, '\n'), 0o600); err != nil {
		_, _ = fmt.Fprintf(out, "  %v\n", err)
	}
	_, _ = fmt.Fprintf(out, "  again with the fewest faults: bin/simulate world --seeds %d-%d --payments %d --plan %s\n", v.Seed, v.Seed, f.payments, name)
	if v.ID != "" {
		_, _ = fmt.Fprintf(out, "  its tale: bin/simulate world --explain %d --payment %s --payments %d\n", v.Seed, v.ID, f.payments)
	}
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
