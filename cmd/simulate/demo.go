package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/shebao-pay/shebao/simulators/stage"
)

func demoCommand() *cobra.Command {
	var persons int
	var fresh bool
	var dir string
	c := &cobra.Command{
		Use: "demo", Args: cobra.NoArgs, Short: "Everything on this machine, with pages to click",
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := cmd.OutOrStdout()
			say := func(line string) { _, _ = fmt.Fprintf(out, "  %s\n", line) }
			bin, err := binDir()
			if err != nil {
				return err
			}
			abs, err := filepath.Abs(dir)
			if err != nil {
				return fmt.Errorf("data folder: %w", err)
			}
			if fresh {
				if err := forget(abs); err != nil {
					return err
				}
			}
			_, _ = fmt.Fprintf(out, "shebao demo: data in %s\n", abs)
			var bar *progressbar.ProgressBar
			s, err := stage.Start(cmd.Context(), stage.Config{
				Dir: abs, Bin: bin, Persons: persons, Seed: defaultSeed, Ports: stage.DemoPorts(), Tell: say,
				Progress: func(what string, done, total int) {
					if bar == nil {
						bar = newBar(cmd.ErrOrStderr(), total, what)
					}
					bar.Describe(what)
					_ = bar.Set(done)
				},
			})
			if bar != nil {
				_ = bar.Finish()
			}
			if err != nil {
				return err
			}
			defer s.Close()
			if s.Resumed {
				say("data of an earlier start was found and goes on; `make run FRESH=1` begins anew")
			}
			if err := startPanel(cmd.Context(), s); err != nil {
				return err
			}
			_, _ = fmt.Fprintln(out, "Ready. Open the hardware panel, insert a card, type PIN 123456:")
			s.Addresses(out)
			_, _ = fmt.Fprintln(out, "  Ctrl-C ends everything that was started here.")
			<-cmd.Context().Done()
			_, _ = fmt.Fprintln(out, "\nending …")
			return nil
		},
	}
	c.Flags().IntVar(&persons, "persons", 1000, "residents of a new demo, 1,000 to 903,000")
	c.Flags().BoolVar(&fresh, "fresh", false, "forget the data of an earlier start")
	c.Flags().StringVar(&dir, "dir", filepath.Join("var", "demo"), "folder for everything")
	return c
}

// forget removes the data of an earlier demo, and nothing that is not one.
func forget(dir string) error {
	entries, err := os.ReadDir(dir)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	names := make([]string, 0, len(entries))
	ours := len(entries) == 0
	for _, e := range entries {
		names = append(names, e.Name())
		ours = ours || e.Name() == "LOCK"
	}
	if !ours {
		return fmt.Errorf("%s holds no demo (%s): nothing was removed; give another folder with --dir", dir, strings.Join(names, ", "))
	}
	if err := stage.Idle(dir); err != nil {
		return err
	}
	return os.RemoveAll(dir)
}
