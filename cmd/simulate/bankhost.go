package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/simulators/bankhost"
)

// lateReply is how late the fault late-reply answers: after every bank's own
// time-out, which is at most 30 s.
const lateReply = 35 * time.Second

// lines writes JSON objects, one a line, from several goroutines.
type lines struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lines) put(v any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = json.NewEncoder(l.w).Encode(v) // whoever stopped reading wants no more
}

// benchFlags are what both ends of the test bench are told.
type benchFlags struct{ profile, keys string }

func (f *benchFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.profile, "profile", "", "folder with the bank's spec.json and rules.yaml")
	c.Flags().StringVar(&f.keys, "keys", "", "JSON file of the test keys that bank and hub have exchanged")
	for _, name := range []string{"profile", "keys"} {
		_ = c.MarkFlagRequired(name) // the flag is there
	}
}

func (f *benchFlags) read() (*profile.Profile, bankhost.Keys, error) {
	dir := filepath.Clean(f.profile)
	p, err := profile.LoadFS(os.DirFS(filepath.Dir(dir)), filepath.Base(dir))
	if err != nil {
		return nil, bankhost.Keys{}, err
	}
	k, err := bankhost.ReadKeys(f.keys, p)
	return p, k, err
}

// The objects that the host writes.
type (
	hostListens struct {
		Event   string `json:"event"` // listens
		Bank    string `json:"bank"`
		Version string `json:"version"` // of the profile
		Address string `json:"address"`
	}
	hostRequest struct {
		Event   string `json:"event"` // request
		At      string `json:"at"`
		Kind    string `json:"kind"`
		MTI     string `json:"mti"`
		STAN    string `json:"stan"`
		Amount  int64  `json:"amount_fen,omitempty"`
		GoodMAC bool   `json:"good_mac"`
		Code    string `json:"code,omitempty"`
		Fault   bool   `json:"fault,omitempty"`
	}
	hostDid struct {
		Event string `json:"event"` // did, or refused
		What  string `json:"what"`
		Date  string `json:"date,omitempty"`
	}
)

func bankhostCommand() *cobra.Command {
	var bench benchFlags
	var listen, accounts, state string
	c := &cobra.Command{
		Use: "bankhost", Args: cobra.NoArgs,
		Short: "A bank's host for one profile: our links connect to it, or yours",
		Long: `Plays a bank's host for one profile. It answers sign-on, keys, echo, payments,
PIN proofs and reversals, checks code, PIN, cryptogram and balance, and writes a
JSON object for each request. On standard input it takes, one a line:

  fault NAME [TIMES]   what the next requests about cards meet
  new-keys             sends new working keys to every link (CUPS)
  cutover              moves to the next settlement date and says so
  hang-up              closes every link`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, keys, err := bench.read()
			if err != nil {
				return err
			}
			var list []bankhost.Account
			if accounts != "" {
				if list, err = bankhost.ReadAccounts(accounts); err != nil {
					return err
				}
			}
			out := &lines{w: cmd.OutOrStdout()}
			h, err := bankhost.New(bankhost.Config{
				Profile: p, Keys: keys, Accounts: list, Addr: listen, StateFile: state,
				Watch: func(s bankhost.Seen) {
					out.put(hostRequest{
						Event: "request", At: time.Now().Format(time.RFC3339Nano), Kind: s.Kind.String(), MTI: s.MTI, STAN: s.STAN,
						Amount: int64(s.Amount), GoodMAC: s.GoodMAC, Code: s.Code, Fault: s.Fault,
					})
				},
			})
			if err != nil {
				return err
			}
			if err := h.Start(); err != nil {
				return err
			}
			out.put(hostListens{Event: "listens", Bank: p.Code, Version: p.Version, Address: h.Addr()})
			go func() { obey(h, cmd.InOrStdin(), out) }() // it ends with the process: a read cannot be called back
			<-cmd.Context().Done()
			return h.Close()
		},
	}
	bench.add(c)
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:0", "address to listen on")
	c.Flags().StringVar(&accounts, "accounts", "", "CSV file of accounts: pan,pin,balance_fen")
	c.Flags().StringVar(&state, "state", "", "file that keeps the journal over restarts")
	return c
}

// obey takes a person's words until they end.
func obey(h *bankhost.Host, in io.Reader, out *lines) {
	for s := bufio.NewScanner(in); s.Scan(); {
		words := strings.Fields(s.Text())
		if len(words) == 0 {
			continue
		}
		did, err := act(h, words)
		if err != nil {
			did = hostDid{Event: "refused", What: err.Error()}
		}
		out.put(did)
	}
}

func act(h *bankhost.Host, words []string) (hostDid, error) {
	did := hostDid{Event: "did", What: strings.Join(words, " ")}
	switch words[0] {
	case "fault":
		if len(words) < 2 {
			return did, fmt.Errorf("fault NAME [TIMES]; there are %v", bankhost.FaultNames)
		}
		f, err := bankhost.NamedFault(words[1], lateReply)
		if err != nil {
			return did, err
		}
		times := 1
		if len(words) > 2 {
			if times, err = strconv.Atoi(words[2]); err != nil || times < 1 {
				return did, fmt.Errorf("%q is no number of times", words[2])
			}
		}
		h.SetFault(f, times)
	case "new-keys":
		h.NewKeys()
	case "cutover":
		did.Date = h.Cutover().String()
	case "hang-up":
		h.HangUp()
	default:
		return did, fmt.Errorf("%q: fault, new-keys, cutover or hang-up", words[0])
	}
	return did, nil
}

// firstTrace begins the trace numbers of a counter somewhere, so that two that
// are started in the same second do not share them.
func firstTrace() int {
	n, err := rand.Int(rand.Reader, big.NewInt(900_000))
	if err != nil {
		panic("simulate: the system's random source failed: " + err.Error())
	}
	return int(n.Int64())
}

// withCounter opens a counter for one exchange.
func withCounter(ctx context.Context, bench *benchFlags, addr, teller, channel string, do func(*bankhost.Counter) error) error {
	p, keys, err := bench.read()
	if err != nil {
		return err
	}
	if !p.BankInitiated {
		return fmt.Errorf("bank %s pays no notices at our server: bank_initiated is false in its profile", p.Code)
	}
	c, err := bankhost.DialCounter(ctx, bankhost.CounterConfig{
		Profile: p, Keys: keys, Addr: addr, Teller: teller, Channel: channel, First: firstTrace(),
	})
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	return do(c)
}
