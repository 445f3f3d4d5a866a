package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/shebao-pay/shebao/simulators/residents"
	"github.com/shebao-pay/shebao/simulators/stage"
)

// playPersons is the population of a private play: enough for the tray.
const playPersons = 1000

// binDir is where the programs lie: beside this one.
func binDir() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find the programs: %w", err)
	}
	return filepath.Dir(self), nil
}

func playCommand() *cobra.Command {
	var bank, fault string
	var asJSON, list, keep bool
	c := &cobra.Command{
		Use: "play", Args: cobra.NoArgs,
		Short: "One citizen pays two dues on a private whole system; checks what the fault must lead to",
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := cmd.OutOrStdout()
			if list {
				for _, f := range stage.Faults {
					_, _ = fmt.Fprintf(out, "%-28s %-4s %-12s paid=%-5v  %s\n", f.Name, f.Row, f.Expect.Outcome, f.Expect.Paid, f.What)
				}
				return nil
			}
			f, err := stage.FindFault(fault)
			if err != nil {
				return err
			}
			if err := knownBank(bank); err != nil {
				return err
			}
			tell := func(line string) { _, _ = fmt.Fprintf(cmd.ErrOrStderr(), "  %s\n", line) }
			r, err := play(cmd.Context(), bank, f, keep, tell)
			if asJSON {
				line, _ := json.Marshal(r)
				_, _ = fmt.Fprintf(out, "%s\n", line)
			} else if err == nil {
				_, _ = fmt.Fprintf(out, "%s: citizen saw %s, bank debited %d fen, ledger paid %d fen, dues %s, receipt %q (%d ms)\n",
					f.Name, r.Outcome, r.BankFen, r.LedgerFen, r.DueState, r.Receipt, r.ElapsedMS)
			}
			return err
		},
	}
	c.Flags().StringVar(&bank, "bank", "ccb", "bank of the card: rcb, icbc, ccb or boc")
	c.Flags().StringVar(&fault, "fault", "none", "what goes wrong (--list-faults)")
	c.Flags().BoolVar(&asJSON, "json", false, "last line as JSON")
	c.Flags().BoolVar(&list, "list-faults", false, "list the faults with what they must lead to")
	c.Flags().BoolVar(&keep, "keep", false, "keep the system's folder and say where it lies")
	return c
}

// knownBank refuses a mistyped bank before a whole system is started for it.
func knownBank(code string) error {
	var codes []string
	for _, b := range residents.Banks {
		if b.Code == code {
			return nil
		}
		codes = append(codes, b.Code)
	}
	return fmt.Errorf("no bank %q; there are %s", code, strings.Join(codes, ", "))
}

// play starts a system of its own in a temporary folder and ends it again.
func play(ctx context.Context, bank string, f stage.Fault, keep bool, tell func(string)) (stage.Result, error) {
	bin, err := binDir()
	if err != nil {
		return stage.Result{}, err
	}
	dir, err := os.MkdirTemp("", "shebao-play-")
	if err != nil {
		return stage.Result{}, fmt.Errorf("temporary folder: %w", err)
	}
	if keep {
		tell("folder: " + dir)
	} else {
		defer func() { _ = os.RemoveAll(dir) }()
	}
	ports, err := stage.FreePorts()
	if err != nil {
		return stage.Result{}, err
	}
	began := time.Now()
	s, err := stage.Start(ctx, stage.Config{
		Dir: dir, Bin: bin, Persons: playPersons, Seed: defaultSeed, Ports: ports, Quick: true, Tell: tell,
	})
	if err != nil {
		return stage.Result{}, err
	}
	defer s.Close()
	tell(fmt.Sprintf("the system runs (%.1f s)", time.Since(began).Seconds()))
	return s.Play(ctx, bank, f, tell)
}
