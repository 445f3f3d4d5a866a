package stage

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/shebao-pay/shebao/settlement/operator"
	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/simulators/bankhost"
	"github.com/shebao-pay/shebao/simulators/residents"
	"github.com/shebao-pay/shebao/simulators/vpcd"
)

// binDir has the real programs, built once for all tests of the package.
var binDir string

// TestMain is also the process that plays the cards, which starts this test
// program again.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == vpcd.ChildCommand {
		os.Exit(vpcd.ChildMain(os.Args[2:]))
	}
	code, err := runTests(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func runTests(m *testing.M) (code int, err error) {
	if binDir, err = os.MkdirTemp("", "shebao-bin-"); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(binDir)) }()
	build := exec.Command("go", "build", "-trimpath", "-o", binDir+"/", "../../cmd/settled", "../../cmd/terminald", "../../cmd/shebaoctl")
	if out, err := build.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("build the programs: %w\n%s", err, out)
	}
	code = m.Run()
	http.DefaultClient.CloseIdleConnections()
	return code, goleak.Find()
}

// Sizes of the tests' stages.
const (
	persons = 1000
	seed    = 20_260_101
)

// setting changes what a stage is.
type setting func(*Config)

// begin starts a system of its own. A test that fails shows the ends of its
// programs' logs.
func begin(t *testing.T, settings ...setting) *Stage {
	t.Helper()
	// A short path: a Unix socket's has at most 107 bytes.
	dir, err := os.MkdirTemp("", "stage-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	ports, err := FreePorts()
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Dir: dir, Bin: binDir, Persons: persons, Seed: seed, Ports: ports, Quick: true}
	for _, set := range settings {
		set(&cfg)
	}
	return open(t, cfg)
}

// open starts a stage, also again in the folder of an earlier one.
func open(t *testing.T, cfg Config) *Stage {
	t.Helper()
	s, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		s.logs(t)
	})
	return s
}

// logs shows the ends of the programs' logs for a test that failed.
func (s *Stage) logs(t *testing.T) {
	if t.Failed() {
		for _, name := range []string{"settled", "hsm", "terminald"} {
			t.Log(tail(s.path("log", name+".log")))
		}
	}
}

// dealt counts the cards made beside the tray, so that each has a person of
// its own.
func (s *Stage) dealt() int { return len(s.Cards) }

// deal makes another card of the bank for a citizen who owes at least three
// dues and has money, and opens the account.
func deal(t *testing.T, s *Stage, bank string, change ...func(*Card)) Card {
	t.Helper()
	used := map[string]bool{}
	for _, c := range s.Cards {
		used[c.Person.IDNumber] = true
	}
	for i := range s.cfg.Persons {
		p, err := s.gen.At(i)
		if err != nil {
			t.Fatal(err)
		}
		if used[p.IDNumber] || p.Bank.Code != bank || !owes(p) {
			continue
		}
		c := Card{
			ID: fmt.Sprintf("extra-%d", s.dealt()), Name: p.Name, Bank: bank, Tail: p.PAN[len(p.PAN)-4:],
			Person: p, Data: CardData(p, s.keys.IMK[bank]), PIN: DemoPIN, Balance: 10_000_00,
		}
		c.Data.ID = c.ID
		for _, f := range change {
			f(&c)
		}
		if err := s.Banks[bank].AddAccount(bankhost.Account{PAN: c.Person.PAN, PIN: c.PIN, Balance: c.Balance}); err != nil {
			t.Fatal(err)
		}
		s.Cards = append(s.Cards, c)
		return c
	}
	t.Fatalf("no resident of %s is left among %d", bank, s.cfg.Persons)
	return Card{}
}

// owes tells whether a resident has dues of medical insurance and pension, as
// the tray's paying cards have.
func owes(p residents.Resident) bool {
	return p.PType == si.Resident && !p.Retired && 2026-p.BirthYear < 60 && 2026-p.BirthYear > 20
}

// card gives a card of the tray.
func card(t *testing.T, s *Stage, id string) Card {
	t.Helper()
	c, err := Find(s.Cards, id)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// ask asks the operator's door.
func ask[T any](t *testing.T, s *Stage, path string, in any) T {
	t.Helper()
	var out T
	if err := s.Operator.Ask(t.Context(), path, in, &out); err != nil {
		t.Fatalf("operator %s: %v", path, err)
	}
	return out
}

// duesOf are the ledger's dues of a card's person.
func duesOf(t *testing.T, s *Stage, c Card) []operator.DueView {
	t.Helper()
	return ask[[]operator.DueView](t, s, "/v1/dues", operator.PersonRequest{IDNumber: c.Person.IDNumber})
}

// paidFen is what the ledger says a card's person has paid.
func paidFen(t *testing.T, s *Stage, c Card) (sum si.Fen) {
	t.Helper()
	for _, d := range duesOf(t, s, c) {
		if d.State == "PAID" {
			sum += si.Fen(d.Amount + d.LateFee)
		}
	}
	return sum
}

// wait is how long a test waits for a state that must come.
const wait = 20 * time.Second

// until waits for a state of something that gives no event.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	tick := time.NewTicker(pollTime)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited %s: %s", wait, what)
		}
	}
}

// verified proves the ledger of a stage that has been closed.
func verified(t *testing.T, s *Stage) {
	t.Helper()
	out, err := exec.Command(filepath.Join(binDir, "shebaoctl"), "verify", "--json", "--data", s.path("ledger")).CombinedOutput()
	if err != nil || !strings.Contains(string(out), `"ok":true`) {
		t.Errorf("shebaoctl verify: %v: %s", err, out)
	}
}

// onDebit does something once, while a bank works on a debit.
func onDebit(do func()) func(profile.Kind) bankhost.Fault {
	var once sync.Once
	return func(k profile.Kind) bankhost.Fault {
		if k == profile.Debit {
			once.Do(do)
		}
		return bankhost.None
	}
}
