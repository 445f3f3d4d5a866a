package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/shebao-pay/shebao/cardauth/emv"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/simulators/bankhost"
	"github.com/shebao-pay/shebao/simulators/chipcard"
	"github.com/shebao-pay/shebao/simulators/load"
	"github.com/shebao-pay/shebao/simulators/pinpad"
	"github.com/shebao-pay/shebao/simulators/residents"
)

// kioskTime is how long one visit may take, a slow bank included.
const kioskTime = 2 * time.Minute

// kioskFlags are what a kiosk without a body is told.
type kioskFlags struct {
	bench                     benchFlags
	url, name, ca, cert, key  string
	pinKey, people, card, pin string
	number                    uint32
}

func kioskCommand() *cobra.Command {
	var f kioskFlags
	c := &cobra.Command{
		Use: "kiosk", Args: cobra.NoArgs,
		Short: "One citizen at a kiosk without a body: pays by card everything that is due, and prints JSON",
		Long: `Plays a kiosk and the citizen in front of it, at the terminal API of a hub: card
session, PIN proof, and one payment for each due. The card is that of --card, a
file in the form of "import cards" with one line; its holder stands in --people, a
file of "simulate residents". It ends with 1 when a payment fails or nothing was
due.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := f.visit(cmd)
			if err != nil {
				return err
			}
			(&lines{w: cmd.OutOrStdout()}).put(r)
			if r.Errors > 0 || r.Payments == 0 {
				return &exitError{"not everything was paid"}
			}
			return nil
		},
	}
	f.bench.add(c)
	for _, s := range []struct {
		to         *string
		name, what string
	}{
		{&f.url, "url", "terminal API, such as https://127.0.0.1:8710"}, {&f.name, "server-name", "name in the hub's certificate"},
		{&f.ca, "ca", "authority of the hub's certificate (PEM)"}, {&f.cert, "cert", "the terminal's certificate (PEM)"},
		{&f.key, "key", "its key (PEM)"}, {&f.pinKey, "pin-key", "file with the pad's AES key in hexadecimal digits"},
		{&f.people, "people", "persons.csv with the holder"}, {&f.card, "card", "cards.csv with one line: the card"},
	} {
		c.Flags().StringVar(s.to, s.name, "", s.what)
		_ = c.MarkFlagRequired(s.name) // the flag is there
	}
	c.Flags().StringVar(&f.pin, "pin", "123456", "what the citizen types")
	c.Flags().Uint32Var(&f.number, "number", 1, "terminal number")
	return c
}

// visit is one citizen's.
func (f *kioskFlags) visit(cmd *cobra.Command) (load.Report, error) {
	p, keys, err := f.bench.read()
	if err != nil {
		return load.Report{}, err
	}
	data, err := f.chip(keys)
	if err != nil {
		return load.Report{}, err
	}
	text, err := os.ReadFile(f.pinKey)
	if err != nil {
		return load.Report{}, fmt.Errorf("--pin-key: %w", err)
	}
	aes, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		return load.Report{}, errors.New("--pin-key: not hexadecimal digits")
	}
	conf, err := f.tls()
	if err != nil {
		return load.Report{}, err
	}
	if !p.Owns(data.Bank.PAN) {
		return load.Report{}, fmt.Errorf("the card of %s is none of bank %s", f.card, p.Code)
	}
	dealt := false
	return load.Terminals(cmd.Context(), load.TerminalConfig{
		URLs: []string{f.url}, Duration: kioskTime,
		Kiosks: []load.Kiosk{{
			Terminal: si.Terminal(f.number), TLS: conf, PINKey: fmt.Sprintf("terminal/%d/tpk", f.number),
			PINBlock: func(pan si.PAN, pin string) (si.PINBlock, error) {
				return pinpad.Block(si.PINFormat4AES, aes, pan, pin)
			},
		}},
		NextCard: func() (chipcard.Data, string, bool) {
			first := !dealt
			dealt = true
			return data, f.pin, first
		},
	})
}

func (f *kioskFlags) tls() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return nil, fmt.Errorf("--cert and --key: %w", err)
	}
	pem, err := os.ReadFile(f.ca)
	if err != nil {
		return nil, fmt.Errorf("--ca: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("--ca: %s holds no certificate", f.ca)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots, ServerName: f.name, MinVersion: tls.VersionTLS13}, nil
}

// chip makes the card: what is printed on it from the files, dates and sequence
// number as every resident's.
func (f *kioskFlags) chip(keys bankhost.Keys) (chipcard.Data, error) {
	card, err := oneRow(f.card, func([]string) bool { return true })
	if err != nil {
		return chipcard.Data{}, fmt.Errorf("--card: %w", err)
	}
	if len(card) < 6 {
		return chipcard.Data{}, errors.New("--card: not the columns of \"import cards\"")
	}
	person, err := oneRow(f.people, func(row []string) bool { return row[0] == card[0] })
	if err != nil {
		return chipcard.Data{}, fmt.Errorf("--people: %w", err)
	}
	sample, err := residents.New(defaultSeed).At(0)
	if err != nil {
		return chipcard.Data{}, err
	}
	b := &chipcard.Bank{PAN: card[3], PSN: sample.PSN, Expiry: sample.Expiry + "30", Cipher: "3DES", IMK: keys.IMK}
	if keys.CardCipher == emv.SM4 {
		b.Cipher, b.CipherID = "SM4", 4
	}
	return chipcard.Data{
		ID: card[2], Bank: b,
		Social: &chipcard.Social{
			Cipher: 1, Version: "2.00", CardID: card[1], Class: "3", Issued: sample.CardIssued, ValidUntil: sample.CardUntil,
			CardNo: card[2], IDNumber: card[0], Name: person[1],
		},
	}, nil
}

// oneRow finds the first row behind the header line that is wanted.
func oneRow(path string, want func([]string) bool) ([]string, error) {
	f, err := os.Open(path) // #nosec G304 -- the person at the keyboard names it
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	r := csv.NewReader(f)
	if _, err := r.Read(); err != nil {
		return nil, fmt.Errorf("%s has no header line", path)
	}
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%s has no such line", path)
		}
		if err != nil {
			return nil, fmt.Errorf("%s is no CSV file", path)
		}
		if want(row) {
			return append([]string(nil), row...), nil
		}
	}
}
