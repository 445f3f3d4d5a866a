package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/shebao-pay/shebao/simulators/residents"
)

// defaultSeed is the seed of the demo's population.
const defaultSeed = 20261122

func residentsCommand() *cobra.Command {
	var persons, register int
	var out string
	var seed uint64
	c := &cobra.Command{
		Use: "residents", Short: "Writes fictional persons, cards and contribution bases as import files",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			began := time.Now()
			bar := newBar(cmd.ErrOrStderr(), persons, "persons")
			if err := residents.New(seed).Write(cmd.Context(), out, persons, func(done int) { _ = bar.Set(done) }); err != nil {
				return err
			}
			_ = bar.Finish()
			_, _ = fmt.Fprintf(cmd.OutOrStdout(), "%d persons in %s: %s, %s, %s (%.1f s)\n", persons, out,
				residents.PersonsFile, residents.CardsFile, residents.BasesFile, time.Since(began).Seconds())
			if register < 0 {
				return nil
			}
			began = time.Now()
			bar = newBar(cmd.ErrOrStderr(), persons+register, "register")
			if err := residents.New(seed).WriteRegister(cmd.Context(), out, persons, register, func(done int) { _ = bar.Set(done) }); err != nil {
				return err
			}
			_ = bar.Finish()
			_, _ = fmt.Fprintf(cmd.OutOrStdout(), "their register in %s with %d differences of each kind, listed in %s (%.1f s)\n",
				residents.RegisterFile, register, residents.PlantedFile, time.Since(began).Seconds())
			return nil
		},
	}
	c.Flags().IntVar(&persons, "persons", 1000, "how many, 1 to 2,000,000")
	c.Flags().StringVar(&out, "out", "residents", "folder for the files")
	c.Flags().IntVar(&register, "register", -1, "also write a register as another office sends it, with so many differences of each kind; -1 writes none")
	c.Flags().Uint64Var(&seed, "seed", defaultSeed, "the same seed makes the same people")
	return c
}

// newBar shows progress to a person at a terminal.
func newBar(w io.Writer, total int, what string) *progressbar.ProgressBar {
	seen := false // in a file a bar is a thousand lines of nothing
	if f, ok := w.(*os.File); ok {
		info, err := f.Stat()
		seen = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return progressbar.NewOptions(total, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(what), progressbar.OptionSetVisibility(seen),
		progressbar.OptionShowCount(), progressbar.OptionSetWidth(30), progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish())
}
