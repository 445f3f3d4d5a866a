package stage

import (
	"testing"
	"time"

	"github.com/shebao-pay/shebao/ledger"
	"github.com/shebao-pay/shebao/ledger/core"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
	"github.com/shebao-pay/shebao/simulators/bankhost"
)

// TestLoadTerminals has three kiosks pay side by side, each under a certificate
// and a key of its own, and counts what the bank has booked.
func TestLoadTerminals(t *testing.T) {
	const kiosks = 3
	s := begin(t, func(c *Config) { c.HubOnly, c.Terminals = true, kiosks })
	r, _, err := s.LoadTerminals(t.Context(), Load{Bank: "ccb", Seconds: 1, Tell: func(line string) { t.Log(line) }})
	if err != nil {
		t.Fatal(err)
	}
	if r.Payments < kiosks || r.Errors != 0 || r.P50 <= 0 || r.CPUMicros <= 0 || r.LogBytes <= 0 {
		t.Errorf("result %+v, want payments without errors", r)
	}
	var debits uint64
	for _, e := range s.Banks["ccb"].Entries() {
		if e.Op == bankhost.OpDebit && e.Code == "00" && !e.Reversed {
			debits++
		}
	}
	if debits != r.Payments {
		t.Errorf("the bank booked %d debits, the kiosks counted %d payments", debits, r.Payments)
	}
	if _, _, err := s.LoadTerminals(t.Context(), Load{Bank: "abc"}); err == nil {
		t.Error("a bank that is not there: accepted")
	}
}

// TestTerminalBounds holds a stage to the terminals it can have.
func TestTerminalBounds(t *testing.T) {
	for _, n := range []int{-1, MaxTerminals + 1} {
		if s, err := Start(t.Context(), Config{Dir: t.TempDir(), HubOnly: true, Terminals: n}); err == nil {
			s.Close()
			t.Errorf("%d terminals: accepted", n)
		}
	}
	k, err := makeKeys(nil, MaxTerminals)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.seal(t.TempDir()); err != nil {
		t.Errorf("keys of %d terminals: %v", MaxTerminals, err)
	}
}

// TestStruckLeaders has terminals pay at three nodes while the one that leads is
// killed once and stands still once: what a terminal was told is paid is posted
// on every node, and the bank has taken what the ledgers say.
func TestStruckLeaders(t *testing.T) {
	s := begin(t, func(c *Config) { c.HubOnly, c.Terminals, c.Nodes = true, 4, 3 })
	r, acks, err := s.LoadTerminals(t.Context(), Load{Bank: "ccb", Seconds: 6, Kill: 1, Pause: 1, Tell: func(line string) { t.Log(line) }})
	if err != nil {
		t.Fatal(err)
	}
	if r.Errors != 0 || *r.Kills != 1 || *r.Pauses != 1 || len(acks) == 0 || uint64(len(acks)) != r.Payments || r.FailoverMax == nil {
		t.Fatalf("result %+v with %d acknowledged payments", r, len(acks))
	}
	bank, err := s.Bank("ccb")
	if err != nil {
		t.Fatal(err)
	}
	for i, dir := range s.LedgerDirs() {
		rep, err := ledger.VerifyAnd(dir, nil, func(m *core.Machine) {
			for _, a := range acks {
				p, ok := m.Payment(a.Payment)
				if !ok || p.State != ledgerapi.PayPosted || p.Receipt != a.Receipt || p.Total != a.Amount {
					t.Errorf("%s: payment %s is %s with %d fen and receipt %s, was acknowledged with %d and %s",
						NodeName(i+1), a.Payment, p.State, p.Total, p.Receipt, a.Amount, a.Receipt)
				}
			}
			var fen int64
			today := si.DateOf(time.Now())
			for d := today - 2; d <= today+2; d++ {
				sum := m.Totals(bank.Number, d)
				fen += int64(sum.Payments.Amount - sum.Reversals.Amount)
			}
			if fen != *r.BankFen {
				t.Errorf("%s: the bank has taken %d fen and the ledger says %d", NodeName(i+1), *r.BankFen, fen)
			}
		})
		if err != nil || !rep.OK() {
			t.Errorf("%s: %v, %v", NodeName(i+1), err, rep.Problems)
		}
	}
}
