package main

import (
	"bufio"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/shebao-pay/shebao/settlement/operator"
	"github.com/shebao-pay/shebao/settlement/operator/sheet"
)

func compareCommand() *cobra.Command {
	return group(&cobra.Command{Use: "compare", Short: "Our persons beside another office's register"},
		compareRegisterCommand(), compareApplyCommand())
}

func compareRegisterCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "register FILE", Args: one("FILE"),
		Short: "Lists what a register says otherwise, and proposes the changes",
		Long: `Compares the register of another office (CSV or XLSX, columns in
docs/format/import.md) with the ledger's persons. Nothing is changed. The report
lists every difference, masked; the proposal holds the changes, sealed, for a
second person to apply.`,
	}
	socket := socketFlag(c)
	maker := c.Flags().Uint32("maker", 0, "user number of the person who compares")
	report := c.Flags().String("report", "comparison.csv", "file for the differences")
	proposal := c.Flags().String("proposal", "comparison.proposal", "file for the proposed changes")
	required(c, "maker")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		began := time.Now()
		f, err := sheet.Open(args[0])
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		var to [2]*output
		for i, path := range []string{*report, *proposal} {
			if to[i], err = newOutput(path); err != nil {
				return err
			}
			defer to[i].discard()
		}
		to[0].line(reportHead)
		bar := newBar(cmd.ErrOrStderr(), -1, "comparing lines")
		cl := operator.Dial(*socket)
		defer cl.Close()
		out, err := cl.Compare(cmd.Context(), *maker, f, func(d operator.Difference) { to[0].line(reportLine(&d)) }, to[1].line,
			func(n int) { _ = bar.Set(n) })
		_ = bar.Finish()
		if f.Err() != nil {
			err = fmt.Errorf("%s: %w; the register was not compared", args[0], f.Err())
		}
		for _, l := range out.Wrong {
			_, _ = fmt.Fprintln(cmd.ErrOrStderr(), l)
		}
		if err != nil {
			return err
		}
		for _, o := range to {
			if err := o.keep(); err != nil {
				return err
			}
		}
		_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "%d lines compared in %.1f s; report in %s, proposal in %s\n", out.Lines, time.Since(began).Seconds(), *report, *proposal)
		return printJSON(cmd.OutOrStdout(), out)
	}
	return c
}

func compareApplyCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "apply PROPOSAL", Args: one("PROPOSAL"),
		Short: "Makes the changes of a comparison; another person than who compared",
	}
	socket := socketFlag(c)
	checker := c.Flags().Uint32("checker", 0, "user number of the person who has read the report")
	required(c, "checker")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		q := url.Values{"checker": {strconv.FormatUint(uint64(*checker), 10)}}
		return upload(cmd, *socket, "/v1/compare/apply", q, args[0])
	}
	return c
}

const reportHead = `"kind","line","person","id_tail","name","field","ours","theirs","proposed"`

// reportLine is a difference as a line that a spreadsheet opens as text.
func reportLine(d *operator.Difference) string {
	number := func(n int) string {
		if n == 0 {
			return ""
		}
		return strconv.Itoa(n)
	}
	proposed := ""
	if d.Proposed {
		proposed = "yes"
	}
	cells := []string{d.Kind, number(d.Line), number(int(d.Person)), d.ID, d.Name, d.Field, d.Ours, d.Theirs, proposed}
	for i, c := range cells {
		cells[i] = `"` + strings.ReplaceAll(harmless(c), `"`, `""`) + `"`
	}
	return strings.Join(cells, ",")
}

// harmless keeps a spreadsheet from taking a cell for a formula.
func harmless(cell string) string {
	if strings.IndexAny(cell, "=+-@\t\r＝＋－＠") == 0 {
		return "'" + cell
	}
	return cell
}

// output is a file that takes its name only when it is whole. It holds what is
// known of persons, if only masked, and is its owner's alone.
type output struct {
	path string
	f    *os.File
	w    *bufio.Writer
}

func newOutput(path string) (*output, error) {
	f, err := os.OpenFile(path+".part", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600) // #nosec G304 -- the operator names the file
	if err != nil {
		return nil, fmt.Errorf("write: %w", err)
	}
	return &output{path, f, bufio.NewWriterSize(f, 1<<16)}, nil
}

// line keeps the first error inside the writer; keep reports it.
func (o *output) line(s string) {
	_, _ = o.w.WriteString(s)
	_ = o.w.WriteByte('\n')
}

func (o *output) keep() error {
	for _, step := range []func() error{o.w.Flush, o.f.Sync, o.f.Close, func() error { return os.Rename(o.path+".part", o.path) }} {
		if err := step(); err != nil {
			return fmt.Errorf("write %s: %w", o.path, err)
		}
	}
	return nil
}

// discard removes a file that was not kept.
func (o *output) discard() {
	_ = o.f.Close()
	_ = os.Remove(o.path + ".part")
}
