package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/shebao-pay/shebao/ledger"
	"github.com/shebao-pay/shebao/si"
)

// errNotOK is the end of a check that found something.
var errNotOK = errors.New("the ledger is not what it should be")

func verifyCommand() *cobra.Command {
	var dir string
	var asJSON bool
	var keyFiles, heads []string
	cmd := &cobra.Command{
		Use:   "verify --data DIR",
		Short: "Prove a ledger offline: archive, log, chain, state file, books",
		Long: `verify reads every record of a ledger that no process has open, archive and log,
replays it from the first record into an empty machine, and holds the chain of
hashes, the heads of the sealed days, each row of the state file and the
invariants of the books against that replay. With --key it also checks the
signatures of the day heads: each sealed day but the last must bear one by a key
given. With --head it holds the head of a day against the hash that a bank was
sent. It changes nothing in DIR; it builds a second state file in the system's folder for
temporary files (TMPDIR), about as large as DIR's. It exits with 1 when it finds
a problem.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			w, err := readWitness(keyFiles, heads)
			if err != nil {
				return err
			}
			var bar progress
			if !asJSON {
				bar = progress{out: cmd.ErrOrStderr(), what: "verify", bytes: true}
			}
			r, err := ledger.VerifyBy(dir, w, bar.set)
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
	cmd.Flags().StringArrayVar(&keyFiles, "key", nil, "file with an Ed25519 public key that signs day heads (PEM); may be repeated")
	cmd.Flags().StringArrayVar(&heads, "head", nil, "day head known from outside, as YYYYMMDD:hex; may be repeated")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON line")
	return cmd
}

func readWitness(keyFiles, heads []string) (w ledger.Witness, err error) {
	if w.Keys, err = readKeys(keyFiles); err != nil {
		return w, err
	}
	w.Heads = map[si.BusinessDate][32]byte{}
	for _, s := range heads {
		day, hash, _ := strings.Cut(s, ":")
		date, err := time.Parse("20060102", day)
		b, hexErr := hex.DecodeString(hash)
		if err != nil || hexErr != nil || len(b) != 32 {
			return w, fmt.Errorf("--head %q: want YYYYMMDD:hex with 64 hexadecimal digits", s)
		}
		w.Heads[si.Date(date.Year(), date.Month(), date.Day())] = [32]byte(b)
	}
	return w, nil
}

// readKeys reads public keys in PEM form, as openssl writes them.
func readKeys(paths []string) ([]ed25519.PublicKey, error) {
	var keys []ed25519.PublicKey
	for _, path := range paths {
		b, err := os.ReadFile(path) //#nosec G304 -- the operator names the file
		if err != nil {
			return nil, err
		}
		block, rest := pem.Decode(b)
		if block == nil || block.Type != "PUBLIC KEY" || len(bytes.TrimSpace(rest)) != 0 {
			return nil, fmt.Errorf("%s: want one PEM block PUBLIC KEY", path)
		}
		any, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		key, ok := any.(ed25519.PublicKey)
		if !ok {
			return nil, fmt.Errorf("%s: the key is a %T, day heads are signed with Ed25519", path, any)
		}
		keys = append(keys, key)
	}
	return keys, nil
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
		Sealed     int      `json:"sealed"`
		LastSealed string   `json:"last_sealed,omitempty"`
		Signed     int      `json:"signed"`
		Head       string   `json:"head"`
		Problems   []string `json:"problems"`
	}{
		OK: r.OK(), Segments: r.Segments, Archived: r.Archived, Base: r.Base, Entries: r.Entries, Batches: r.Batches, Records: r.Records,
		Payments: r.Payments, Checkpoint: r.Checkpoint, Torn: r.Torn, Head: r.Head, Problems: r.Problems,
		Sealed: r.Sealed, Signed: r.Signed,
	}
	if r.Sealed > 0 {
		line.LastSealed = r.LastSealed.String()
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
	if r.Sealed > 0 {
		fmt.Fprintf(&b, "sealed      %d days, the last %s; %d signatures are good\n", r.Sealed, r.LastSealed, r.Signed)
	}
	if r.Torn {
		b.WriteString("note        the log ends in a write that was never acknowledged; the next start cuts it\n")
	}
	for _, p := range r.Problems {
		fmt.Fprintf(&b, "PROBLEM     %s\n", p)
	}
	if r.OK() {
		b.WriteString("ok          log, chain, seals, state file and books agree\n")
	}
	_, err := io.WriteString(out, b.String())
	return err
}
