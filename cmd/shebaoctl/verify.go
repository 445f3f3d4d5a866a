package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/shebao-pay/shebao/ledger"
)

// errNotOK is the end of a check that found something.
var errNotOK = errors.New("the ledger is not what it should be")

func verifyCommand() *cobra.Command {
	var dir string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify --data DIR",
		Short: "Prove a ledger offline: log, chain, state file, books",
		Long: `verify reads every record of a ledger's log that no process has open, replays it
from the first record into an empty machine, and holds the chain of hashes, each
row of the state file and the invariants of the books against that replay. It
changes nothing in DIR; it builds a second state file in the system's folder for
temporary files (TMPDIR), about as large as DIR's. It exits with 1 when it finds
a problem.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var bar progress
			if !asJSON {
				bar.out = cmd.ErrOrStderr()
			}
			r, err := ledger.Verify(dir, bar.set)
			bar.end()
			if err != nil {
				return err
			}
			if asJSON {
				err = printVerifyJSON(cmd.OutOrStdout(), &r)
			} else {
				err = printVerify(cmd.OutOrStdout(), &r)
			}
			if err == nil && !r.OK() {
				err = errNotOK
			}
			return err
		},
	}
	cmd.Flags().StringVar(&dir, "data", "data", "the node's data directory")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON line")
	return cmd
}

func printVerifyJSON(out io.Writer, r *ledger.Report) error {
	line := struct {
		OK         bool     `json:"ok"`
		Segments   int      `json:"segments"`
		Entries    uint64   `json:"entries"`
		Batches    uint64   `json:"batches"`
		Records    uint64   `json:"records"`
		Payments   uint64   `json:"payments"`
		Checkpoint uint64   `json:"checkpoint"`
		Torn       bool     `json:"torn"`
		Head       string   `json:"head"`
		Problems   []string `json:"problems"`
	}{
		OK: r.OK(), Segments: r.Segments, Entries: r.Entries, Batches: r.Batches, Records: r.Records,
		Payments: r.Payments, Checkpoint: r.Checkpoint, Torn: r.Torn, Head: r.Head, Problems: r.Problems,
	}
	if line.Problems == nil {
		line.Problems = []string{}
	}
	return json.NewEncoder(out).Encode(line)
}

func printVerify(out io.Writer, r *ledger.Report) error {
	var b strings.Builder
	fmt.Fprintf(&b, "ledger      %s (region %d)\n", r.Area, r.Region)
	fmt.Fprintf(&b, "log         %d segments, %d entries, %d batches, %d records\n", r.Segments, r.Entries, r.Batches, r.Records)
	fmt.Fprintf(&b, "payments    %d posted\n", r.Payments)
	fmt.Fprintf(&b, "state file  at entry %d\n", r.Checkpoint)
	fmt.Fprintf(&b, "chain head  %s\n", r.Head)
	if r.Torn {
		b.WriteString("note        the log ends in a write that was never acknowledged; the next start cuts it\n")
	}
	for _, p := range r.Problems {
		fmt.Fprintf(&b, "PROBLEM     %s\n", p)
	}
	if r.OK() {
		b.WriteString("ok          log, chain, state file and books agree\n")
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// patience is how long a command runs before it shows its progress.
const patience = time.Second

// progress is a bar that appears when the work takes a while.
type progress struct {
	out   io.Writer // nil shows nothing
	began time.Time
	bar   *progressbar.ProgressBar
}

func (p *progress) set(done, total int64) {
	if p.out == nil {
		return
	}
	if p.began.IsZero() {
		p.began = time.Now()
	}
	if p.bar == nil && time.Since(p.began) < patience {
		return
	}
	if p.bar == nil {
		p.bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(p.out), progressbar.OptionSetDescription("verify"),
			progressbar.OptionShowBytes(true), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100*time.Millisecond))
	}
	// A bar that cannot be drawn is no reason to stop the check.
	_ = p.bar.Set64(min(done, total))
}

func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
