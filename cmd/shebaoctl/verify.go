package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

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
		Short: "Prove a ledger offline: archive, log, chain, state file, books",
		Long: `verify reads every record of a ledger that no process has open, archive and log,
replays it from the first record into an empty machine, and holds the chain of
hashes, each row of the state file and the invariants of the books against that
replay. It
changes nothing in DIR; it builds a second state file in the system's folder for
temporary files (TMPDIR), about as large as DIR's. It exits with 1 when it finds
a problem.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var bar progress
			if !asJSON {
				bar = progress{out: cmd.ErrOrStderr(), what: "verify", bytes: true}
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
		Archived   int      `json:"archived"`
		Base       uint64   `json:"base"`
		Entries    uint64   `json:"entries"`
		Batches    uint64   `json:"batches"`
		Records    uint64   `json:"records"`
		Payments   uint64   `json:"payments"`
		Checkpoint uint64   `json:"checkpoint"`
		Torn       bool     `json:"torn"`
		Head       string   `json:"head"`
		Problems   []string `json:"problems"`
	}{
		OK: r.OK(), Segments: r.Segments, Archived: r.Archived, Base: r.Base, Entries: r.Entries, Batches: r.Batches, Records: r.Records,
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
	fmt.Fprintf(&b, "log         %d segments (%d archived), %d entries, %d batches, %d records\n", r.Segments, r.Archived, r.Entries, r.Batches, r.Records)
	fmt.Fprintf(&b, "payments    %d posted\n", r.Payments)
	fmt.Fprintf(&b, "state file  at entry %d\n", r.Checkpoint)
	fmt.Fprintf(&b, "chain head  %s\n", r.Head)
	if r.Base != 0 {
		fmt.Fprintf(&b, "note        the log begins behind the state at entry %d, which another node sent; what came before is proven there\n", r.Base)
	}
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
