package main

import (
	"bufio"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/shebao-pay/shebao/ledger/assess"
	"github.com/shebao-pay/shebao/settlement/operator"
	"github.com/shebao-pay/shebao/settlement/operator/sheet"
	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// newID makes the id of a change, so that a resend after a lost answer is the
// same change.
func newID() string {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		panic("shebaoctl: the system's random source failed: " + err.Error())
	}
	return hex.EncodeToString(b[:])
}

// socketFlag adds the flag that names the node.
func socketFlag(c *cobra.Command) *string {
	return c.Flags().String("socket", "/run/shebao/operator.sock", "operator socket of the node (operator.socket in its file)")
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// done prints a change's answer; a refusal of the ledger is an error.
func done(w io.Writer, a operator.Answer) error {
	if err := printJSON(w, a); err != nil {
		return err
	}
	if a.Code != "OK" && (a.Code != "EXISTS" || a.First != "OK") {
		return fmt.Errorf("the ledger refused: %s", a.Code)
	}
	return nil
}

// group makes a command that only holds others. A word that is none of them is
// an error: a script with a slip in it must not go on.
func group(c *cobra.Command, sub ...*cobra.Command) *cobra.Command {
	c.Args = cobra.NoArgs
	c.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	c.AddCommand(sub...)
	return c
}

// one asks for exactly one argument and calls it by its name.
func one(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch len(args) {
		case 0:
			return fmt.Errorf("%s is missing: %s", what, cmd.UseLine())
		case 1:
			return nil
		}
		return fmt.Errorf("one %s at a time: %s", what, cmd.UseLine())
	}
}

// required names the flags without which the command means nothing.
func required(c *cobra.Command, flags ...string) {
	for _, f := range flags {
		if err := c.MarkFlagRequired(f); err != nil {
			panic("shebaoctl: " + err.Error()) // a flag that this command does not have
		}
	}
}

func configCommand() *cobra.Command {
	return group(&cobra.Command{Use: "config", Short: "Business data in the ledger: bank profiles, rates, bank facts"}, configPutCommand(), configCheckCommand())
}

func configPutCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "put PATH", Args: one("PATH"),
		Short: "Puts a new version of business data; two persons stand behind it",
		Long: `Puts a new version of business data into the ledger. PATH is a file, or for a
bank profile the folder with spec.json and rules.yaml.`,
	}
	socket := socketFlag(c)
	kind := c.Flags().String("kind", "", "bank-profile, bank-facts, rates, iin-table, offices or calendar")
	name := c.Flags().String("name", "", "bank code, region or year that the data is of")
	from := c.Flags().String("from", time.Now().Format("2006-01-02"), "first day in force")
	maker := c.Flags().Uint32("maker", 0, "user number of the person who made it")
	checker := c.Flags().Uint32("checker", 0, "user number of the person who checked it")
	required(c, "kind", "name", "maker", "checker")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		body, err := configBody(*kind, args[0])
		if err != nil {
			return err
		}
		cl := operator.Dial(*socket)
		defer cl.Close()
		var a operator.Answer
		if err := cl.Ask(cmd.Context(), "/v1/config", operator.ConfigRequest{
			ID: newID(), Kind: *kind, Name: *name, From: *from, Body: body, Maker: *maker, Checker: *checker,
		}, &a); err != nil {
			return err
		}
		return done(cmd.OutOrStdout(), a)
	}
	return c
}

// configBody reads what is put; profiles and rates are checked before they travel.
func configBody(kind, path string) ([]byte, error) {
	if kind != "bank-profile" {
		b, err := os.ReadFile(path) // #nosec G304 -- the operator names the file
		if err != nil {
			return nil, fmt.Errorf("business data: %w", err)
		}
		if kind == "rates" {
			if _, err := assess.Parse(b); err != nil {
				return nil, fmt.Errorf("%s: %w; shebaoctl check-rates names all that is wrong", path, err)
			}
		}
		return b, nil
	}
	spec, rules, err := profileFiles(path)
	if err != nil {
		return nil, err
	}
	return profile.Pack(spec, rules)
}

func profileFiles(dir string) (spec, rules []byte, err error) {
	spec, err = os.ReadFile(filepath.Join(dir, profile.SpecName)) // #nosec G304 -- the operator names the folder
	if err != nil {
		return nil, nil, fmt.Errorf("read the profile: %w", err)
	}
	rules, err = os.ReadFile(filepath.Join(dir, profile.RulesName)) // #nosec G304 -- the operator names the folder
	if err != nil {
		return nil, nil, fmt.Errorf("read the profile: %w", err)
	}
	return spec, rules, nil
}

func checkProfile(w io.Writer, dir string) error {
	spec, rules, err := profileFiles(dir)
	if err != nil {
		return err
	}
	p, err := profile.Load(spec, rules)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s: profile %s of bank %s (%d) is sound, hash %x\n", dir, p.Version, p.Code, p.Number, p.Hash[:8])
	return err
}

func configCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use: "check DIR", Args: one("DIR"), Short: "Checks a bank profile without a node",
		RunE: func(cmd *cobra.Command, args []string) error { return checkProfile(cmd.OutOrStdout(), args[0]) },
	}
}

func checkProfileCommand() *cobra.Command {
	return &cobra.Command{
		Use: "check-profile DIR", Args: one("DIR"), Short: "Checks a bank profile: names file, line and rule of each mistake",
		RunE: func(cmd *cobra.Command, args []string) error { return checkProfile(cmd.OutOrStdout(), args[0]) },
	}
}

func checkRatesCommand() *cobra.Command {
	return &cobra.Command{
		Use: "check-rates FILE", Args: one("FILE"), Short: "Checks a rate table: names line, row and rule of each mistake",
		RunE: func(cmd *cobra.Command, args []string) error { return checkRates(cmd.OutOrStdout(), args[0]) },
	}
}

func checkRates(w io.Writer, path string) error {
	body, err := os.ReadFile(path) // #nosec G304 -- the operator names the file
	if err != nil {
		return fmt.Errorf("rate table: %w", err)
	}
	if len(body) > ledgerapi.MaxConfig {
		return fmt.Errorf("%s: %d bytes, the ledger takes %d", path, len(body), ledgerapi.MaxConfig)
	}
	t, found := assess.Check(body)
	for _, p := range found {
		if _, err := fmt.Fprintf(w, "%s: %s\n", path, p.Error()); err != nil {
			return err
		}
	}
	if len(found) > 0 {
		return fmt.Errorf("%s: %d rules are broken", path, len(found))
	}
	_, err = fmt.Fprintf(w, "%s: rates of region %s are sound: %d rates, %d injury classes, %d grades, %d late rules, %d interest rates\n",
		path, t.Area, len(t.Rows), len(t.Injury), len(t.Grades), len(t.LateRules), len(t.Interest))
	return err
}

func importCommand() *cobra.Command {
	c := group(&cobra.Command{Use: "import", Short: "Persons, cards and enrolments from CSV or XLSX files; the whole file is checked first"})
	for _, what := range []string{"persons", "cards", "enrolments"} {
		sub := &cobra.Command{Use: what + " FILE", Args: one("FILE"), Short: "Imports " + what + " (columns: docs/format/import.md)"}
		socket := socketFlag(sub)
		q := url.Values{}
		if what == "enrolments" {
			rates := sub.Flags().Uint32("rates", 0, "version of the rate table that grades and bases are of")
			required(sub, "rates")
			sub.PreRun = func(*cobra.Command, []string) { q.Set("rates", strconv.FormatUint(uint64(*rates), 10)) }
		}
		sub.RunE = func(cmd *cobra.Command, args []string) error {
			return upload(cmd, *socket, "/v1/import/"+what, q, args[0])
		}
		c.AddCommand(sub)
	}
	return c
}

func assessCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "assess FILE", Args: one("FILE"),
		Short: "Makes dues for the persons of a file of contribution bases",
	}
	socket := socketFlag(c)
	names := map[string]*string{}
	for _, f := range [][2]string{
		{"fund", "insurance type, such as PENSION_RES"}, {"person-type", "RESIDENT, FLEX …"}, {"period", "2026 or 2026-11"},
		{"kind", "current or year"}, {"due-day", "last day to pay, 2026-12-31"}, {"rates", "version of the rate table"},
		{"use", "column of the file: grade or base"},
	} {
		names[strings.ReplaceAll(f[0], "-", "_")] = c.Flags().String(f[0], "", f[1])
		required(c, f[0])
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		q := url.Values{}
		for k, v := range names {
			q.Set(k, *v)
		}
		return upload(cmd, *socket, "/v1/assess", q, args[0])
	}
	return c
}

// upload streams a table and shows progress: lines checked, then lines made.
func upload(cmd *cobra.Command, socket, path string, q url.Values, file string) error {
	f, err := sheet.Open(file)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	bar := newBar(cmd.ErrOrStderr(), -1, "checking lines")
	cl := operator.Dial(socket)
	defer cl.Close()
	o, err := cl.Upload(cmd.Context(), path, q, f, func(checked, done int) {
		if done > 0 {
			bar.Describe("lines")
			bar.ChangeMax(checked)
			checked = done
		}
		_ = bar.Set(checked)
	})
	_ = bar.Finish()
	if f.Err() != nil {
		return fmt.Errorf("%s: %w; nothing was imported", file, f.Err()) // the node only saw the lines end
	}
	for _, l := range o.Lines {
		_, _ = fmt.Fprintln(cmd.ErrOrStderr(), l)
	}
	if err != nil {
		return err
	}
	if err := printJSON(cmd.OutOrStdout(), o); err != nil {
		return err
	}
	if !o.OK {
		return errors.New("some lines were refused; the codes say why")
	}
	return nil
}

// newBar shows progress; a total below 0 is not known.
func newBar(w io.Writer, total int, what string) *progressbar.ProgressBar {
	return progressbar.NewOptions(total, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(what),
		progressbar.OptionShowCount(), progressbar.OptionSetVisibility(atTerminal(w)),
		progressbar.OptionThrottle(200*time.Millisecond), progressbar.OptionClearOnFinish())
}

func terminalCommand() *cobra.Command {
	put := &cobra.Command{Use: "put", Args: cobra.NoArgs, Short: "Writes a terminal's record: bank, outlet, certificate, state"}
	socket := socketFlag(put)
	number := put.Flags().Uint32("number", 0, "terminal number")
	bank := put.Flags().String("bank", "", "code of the bank in whose outlet it stands")
	outlet := put.Flags().String("outlet", "", "name of the outlet")
	cert := put.Flags().String("cert", "", "file with the terminal's certificate (PEM)")
	state := put.Flags().String("state", "in-service", "new, in-service, locked, retired or revoked")
	put.RunE = func(cmd *cobra.Command, _ []string) error {
		b, err := os.ReadFile(*cert)
		if err != nil {
			return fmt.Errorf("certificate: %w", err)
		}
		block, _ := pem.Decode(b)
		if block == nil || block.Type != "CERTIFICATE" {
			return fmt.Errorf("%s holds no certificate", *cert)
		}
		sum := sha256.Sum256(block.Bytes)
		cl := operator.Dial(*socket)
		defer cl.Close()
		var a operator.Answer
		if err := cl.Ask(cmd.Context(), "/v1/terminal", operator.TerminalRequest{
			ID: newID(), Terminal: *number, Bank: *bank, Outlet: *outlet, CertHash: sum[:], State: *state,
		}, &a); err != nil {
			return err
		}
		return done(cmd.OutOrStdout(), a)
	}
	required(put, "number", "bank", "outlet", "cert")
	return group(&cobra.Command{Use: "terminal", Short: "Terminals in the ledger"}, put)
}

// idNumber reads an ID number from standard input: on a command line every
// other user of the machine could see it.
func idNumber(r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, 64)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the ID number: %w", err)
	}
	if line = strings.TrimSpace(line); line == "" {
		return "", errors.New("the ID number is missing: it is read from standard input")
	}
	return line, nil
}

// atTerminal tells whether somebody sits before a stream.
func atTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func noticeCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "notice", Args: cobra.NoArgs,
		Short: "Makes today's payment notice of a person; the ID number is read from standard input",
	}
	socket := socketFlag(c)
	days := c.Flags().Int("days", 30, "valid for so many days")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if atTerminal(cmd.InOrStdin()) {
			_, _ = fmt.Fprint(cmd.ErrOrStderr(), "ID number: ")
		}
		id, err := idNumber(cmd.InOrStdin())
		if err != nil {
			return err
		}
		cl := operator.Dial(*socket)
		defer cl.Close()
		var a operator.Answer
		if err := cl.Ask(cmd.Context(), "/v1/notice", operator.PersonRequest{IDNumber: id, Days: *days}, &a); err != nil {
			return err
		}
		return done(cmd.OutOrStdout(), a)
	}
	return c
}

func healthCommand() *cobra.Command {
	c := &cobra.Command{Use: "health", Args: cobra.NoArgs, Short: "What a running node says of itself"}
	socket := socketFlag(c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		cl := operator.Dial(*socket)
		defer cl.Close()
		var s operator.Status
		if err := cl.Ask(cmd.Context(), "/v1/status", nil, &s); err != nil {
			return err
		}
		return printJSON(cmd.OutOrStdout(), s)
	}
	return c
}
