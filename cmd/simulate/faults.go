package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/shebao-pay/shebao/ledger/core"
	"github.com/shebao-pay/shebao/settlement/operator"
	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/simulators/load"
	"github.com/shebao-pay/shebao/simulators/stage"
)

// soakFlags are what simulate faults is asked for.
type soakFlags struct {
	minutes             float64
	rate, each, least   int
	terminals, persons  int
	seed                uint64
	finalSeconds        int
	asJSON              bool
	duration, withFinal time.Duration
}

// soakResult adds the ledger's side to a run.
type soakResult struct {
	stage.SoakResult
	LedgerFen map[string]int64 `json:"ledger_fen"`
	Lost      int              `json:"lost"`
	Doubled   int              `json:"doubled"`
	Verify    string           `json:"verify"`
}

// leastAt300 is how often each fault must have happened in ten minutes at 300
// payments a second.
const leastAt300 = 100

func faultsCommand() *cobra.Command {
	var f soakFlags
	c := &cobra.Command{
		Use: "faults", Args: cobra.NoArgs,
		Short: "Terminals and counters pay over bad lines at banks that misbehave; then everything must end and agree",
		Long: `Terminals and counters pay at once, over lines that delay, drop, cut, reorder,
corrupt, double, halve and drip frames, at banks that do everything wrong that
an honest bank can. In the last sixth of the time everything is healthy. Then
every payment must reach its ending, the banks' books and the ledger must agree
to the fen, nothing acknowledged may be lost or doubled, each fault must have
happened often enough; what a bank cannot prove two persons end by its books, and settled must be back at its size. The faults come from
the seed.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return err
			}
			tell := func(line string) { _, _ = fmt.Fprintf(cmd.ErrOrStderr(), "  %s\n", line) }
			r, err := f.run(cmd.Context(), tell)
			if r.BankFen != nil {
				if perr := f.say(cmd, &r); perr != nil {
					return perr
				}
			}
			return err
		},
	}
	fl := c.Flags()
	fl.Float64Var(&f.minutes, "minutes", 1, "how long payments are begun")
	fl.IntVar(&f.rate, "rate", 100, "payments a second, half of them at terminals")
	fl.IntVar(&f.each, "each", 30, "of ten thousand frames, and of requests at banks, meet each fault")
	fl.IntVar(&f.least, "least", -1, "how often each fault must have happened; -1: 100 times in ten minutes at 300 a second, and in proportion")
	fl.IntVar(&f.terminals, "terminals", 32, "terminals")
	fl.IntVar(&f.persons, "persons", 0, "residents in the ledger; 0: as many as the time needs")
	fl.Uint64Var(&f.seed, "seed", defaultSeed, "seed of people and faults")
	fl.IntVar(&f.finalSeconds, "final", 60, "seconds in which everything must have ended after the last payment began")
	fl.BoolVar(&f.asJSON, "json", false, "the result as one JSON line")
	return c
}

func (f *soakFlags) check() error {
	f.duration = time.Duration(f.minutes * float64(time.Minute))
	f.withFinal = time.Duration(f.finalSeconds) * time.Second
	if f.persons == 0 {
		f.persons = min(500_000, max(4000, f.rate*int(f.duration.Seconds())))
	}
	if f.least == -1 {
		f.least = int(leastAt300 * f.minutes * float64(f.rate) / (10 * 300))
	}
	switch {
	case f.duration < 6*time.Second || f.duration > 3*time.Hour:
		return errors.New("--minutes is 0.1 to 180")
	case f.rate < 2 || f.rate > 2000 || f.each < 0 || f.each > 300 || f.least < 0:
		return errors.New("--rate is 2 to 2000, --each 0 to 300, --least not negative")
	case f.terminals < 1 || f.terminals > stage.MaxTerminals || f.persons < 1000 || f.persons > 2_000_000:
		return fmt.Errorf("--terminals is 1 to %d, --persons 1,000 to 2,000,000", stage.MaxTerminals)
	case f.finalSeconds < 10 || f.finalSeconds > 3600:
		return errors.New("--final is 10 to 3600")
	}
	return nil
}

func (f *soakFlags) run(ctx context.Context, tell func(string)) (soakResult, error) {
	var out soakResult
	bin, err := binDir()
	if err != nil {
		return out, err
	}
	dir, err := os.MkdirTemp("", "shebao-faults-")
	if err != nil {
		return out, fmt.Errorf("temporary folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	ports, err := stage.FreePorts()
	if err != nil {
		return out, err
	}
	s, err := stage.Start(ctx, stage.Config{
		Dir: dir, Bin: bin, Persons: f.persons, Seed: f.seed, Ports: ports, HubOnly: true, Terminals: f.terminals,
		Quick: true, Lines: true, Tell: tell,
	})
	if err != nil {
		return out, err
	}
	defer s.Close()
	var acks []load.Ack
	out.SoakResult, acks, err = s.Soak(ctx, stage.Soak{
		Duration: f.duration, Rate: f.rate, Each: f.each, Least: uint64(f.least), Final: f.withFinal, Tell: tell, // #nosec G115 -- not negative
	})
	if out.BankFen == nil {
		return out, err
	}
	return out, errors.Join(err, agree(s.LedgerDir(), s.Profiles, acks, &out))
}

// agree holds the stopped ledger against the banks' books and against what
// counters were told.
func agree(dir string, banks []*profile.Profile, acks []load.Ack, out *soakResult) error {
	var held stage.LoadResult
	if err := checkLedger(dir, acks, &held, func(n *core.Machine) {
		out.LedgerFen = ledgerFen(n, banks)
	}); err != nil {
		return err
	}
	out.Verify, out.Lost, out.Doubled = held.Verify, *held.Lost, *held.Doubled
	var errs []error
	for _, code := range stage.SoakBanks {
		if out.BankFen[code] != out.LedgerFen[code] {
			errs = append(errs, fmt.Errorf("bank %s has taken %d fen and the ledger says %d", code, out.BankFen[code], out.LedgerFen[code]))
		}
	}
	if out.Verify != "ok" || out.Lost+out.Doubled > 0 {
		errs = append(errs, fmt.Errorf("ledger: %s; %d acknowledged payments lost, %d doubled", out.Verify, out.Lost, out.Doubled))
	}
	return errors.Join(errs...)
}

// ledgerFen is what the ledger says each bank has taken, around today.
func ledgerFen(n *core.Machine, banks []*profile.Profile) map[string]int64 {
	out := map[string]int64{}
	today := si.DateOf(time.Now())
	for _, b := range banks {
		for d := today - 2; d <= today+2; d++ {
			t := n.Totals(b.Number, d)
			out[b.Code] += int64(t.Payments.Amount - t.Reversals.Amount)
		}
	}
	return out
}

func (f *soakFlags) say(cmd *cobra.Command, r *soakResult) error {
	out := cmd.OutOrStdout()
	if f.asJSON {
		return json.NewEncoder(out).Encode(r)
	}
	var faults uint64
	for _, n := range r.Faults {
		faults += n
	}
	lines := []string{
		fmt.Sprintf("%d payments at terminals and %d at counters in %.0f s; %d faults of %d kinds", r.Terminals, r.Counters, r.Seconds, faults, len(r.Faults)),
		fmt.Sprintf("all had ended %.1f s after the last one began; %d are pending", float64(r.FinalMS)/1000, r.Pending),
		fmt.Sprintf("two persons ended %d by the bank's books: %d paid, %d not charged", r.Decided[operator.EndingPaid]+r.Decided[operator.EndingNotCharged], r.Decided[operator.EndingPaid], r.Decided[operator.EndingNotCharged]),
		fmt.Sprintf("lost %d, doubled %d, ledger verified: %s", r.Lost, r.Doubled, r.Verify),
		fmt.Sprintf("settled: goroutines %d to %d, memory %d to %d MiB", r.Goroutines[0], r.Goroutines[1], r.MemoryMiB[0], r.MemoryMiB[1]),
	}
	for _, code := range stage.SoakBanks {
		lines = append(lines, fmt.Sprintf("%-5s bank %15s yuan, ledger %15s yuan", code, si.Fen(r.BankFen[code]).Grouped(), si.Fen(r.LedgerFen[code]).Grouped()))
	}
	_, err := fmt.Fprintln(out, strings.Join(lines, "\n"))
	return err
}
