package stage

import (
	"testing"
	"time"

	"github.com/shebao-pay/shebao/ledger"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// TestSoak is a short run of `simulate faults`: terminals and counters pay over
// bad lines at banks that misbehave; then all ends, and the banks, the counters
// and the ledger agree to the fen.
func TestSoak(t *testing.T) {
	s := begin(t, hubOnly, func(c *Config) { c.Lines, c.Terminals, c.Persons = true, 16, 3000 })
	r, acks, err := s.Soak(t.Context(), Soak{
		Duration: 24 * time.Second, Rate: 80, Each: 40, Least: 1, Final: 60 * time.Second, Tell: func(line string) { t.Log(line) },
	})
	if err != nil {
		t.Error(err)
	}
	t.Logf("%+v", r)
	if r.Terminals < 50 || r.Counters < 50 || r.Pending != 0 {
		t.Errorf("%d payments at terminals, %d at counters, %d pending", r.Terminals, r.Counters, r.Pending)
	}
	s.Close()
	verified(t, s)
	n, err := ledger.Open(ledger.Config{Dir: s.LedgerDir(), Region: 1, Area: regionArea})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}()
	for _, code := range SoakBanks {
		p, err := s.Bank(code)
		if err != nil {
			t.Fatal(err)
		}
		var ledgers si.Fen
		today := si.DateOf(time.Now())
		for d := today - 2; d <= today+2; d++ {
			sum := n.Totals(p.Number, d)
			ledgers += sum.Payments.Amount - sum.Reversals.Amount
		}
		if int64(ledgers) != r.BankFen[code] {
			t.Errorf("%s: the bank has taken %d fen, the ledger says %d", code, r.BankFen[code], ledgers)
		}
	}
	for _, a := range acks {
		if p, ok := n.Payment(a.Payment); !ok || p.State != ledgerapi.PayPosted || p.Receipt != a.Receipt || p.Total != a.Amount {
			t.Errorf("payment %s was said to be paid with receipt %s; the ledger has %s, receipt %s", a.Payment, a.Receipt, p.State, p.Receipt)
		}
	}
}
