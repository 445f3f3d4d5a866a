package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
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
			held, err := takeFolder(abs, fresh)
			if err != nil {
				return err
			}
			asked := persons
			if held != 0 {
				persons = held
			}
			if persons < leastPersons || persons > mostPersons {
				return fmt.Errorf("--persons %d: a demo has %d to %d residents", persons, leastPersons, mostPersons)
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
				say(fmt.Sprintf("data of an earlier start was found and goes on, with %d residents; `make run FRESH=1` begins anew", persons))
				if asked != persons && asked != defaultPersons {
					say(fmt.Sprintf("for %d residents: `make run FRESH=1 PERSONS=%d`", asked, asked))
				}
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
	c.Flags().IntVar(&persons, "persons", defaultPersons, "residents of a new demo, 1,000 to 903,000")
	c.Flags().BoolVar(&fresh, "fresh", false, "forget the data of an earlier start")
	c.Flags().StringVar(&dir, "dir", filepath.Join("var", "demo"), "folder for everything")
	return c
}

// Residents of a demo: enough for the tray, and the model district.
const (
	leastPersons   = 1000
	mostPersons    = 903_000
	defaultPersons = 1000
)

// longestFolder leaves room for "/operator.sock", the longest socket in it: a
// Unix socket's name has at most 107 bytes (unix(7)).
const longestFolder = 107 - len("/operator.sock")

// The demo's mark in its folder, for us and for who finds it, and the file that
// says how many residents were loaded.
const (
	markName   = "DEMO"
	markText   = "Everything of a shebao demo lies here. `make run FRESH=1` removes it and begins anew.\n"
	filledName = "filled"
)

// takeFolder makes sure that dir is the demo's own: new, empty, or of an earlier
// start. It tells how many residents an earlier start loaded, 0 if none did. A
// fresh start removes what was there; nothing of anybody else's is touched.
func takeFolder(dir string, fresh bool) (persons int, err error) {
	if len(dir) > longestFolder {
		return 0, fmt.Errorf("the name of the folder %s has %d bytes; sockets in it need one of at most %d: give a shorter one with `bin/simulate demo --dir`", dir, len(dir), longestFolder)
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, fmt.Errorf("data folder: %w", err)
	}
	if len(entries) > 0 {
		names := make([]string, 0, len(entries))
		for _, e := range entries {
			names = append(names, e.Name())
		}
		text, err := os.ReadFile(filepath.Join(dir, markName)) // #nosec G304 -- the demo folder that the person names
		if err != nil || string(text) != markText {
			return 0, fmt.Errorf("%s holds no demo (%s): nothing was changed; give another folder with `bin/simulate demo --dir`", dir, strings.Join(names, ", "))
		}
		if err := stage.Idle(dir); err != nil {
			return 0, err
		}
		if !fresh {
			return filled(dir)
		}
		if err := os.RemoveAll(dir); err != nil {
			return 0, fmt.Errorf("data folder: %w", err)
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return 0, fmt.Errorf("data folder: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, markName), []byte(markText), 0o600); err != nil {
		return 0, fmt.Errorf("data folder: %w", err)
	}
	return 0, nil
}

// filled reads how many residents the demo of dir has, 0 while it has none.
func filled(dir string) (int, error) {
	b, err := os.ReadFile(filepath.Join(dir, filledName)) // #nosec G304 -- the demo folder that the person names
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("data folder: %w", err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0, fmt.Errorf("%s is damaged; `make run FRESH=1` begins anew", filepath.Join(dir, filledName))
	}
	return n, nil
}
