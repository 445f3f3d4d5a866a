package stage

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/settlement/operator"
	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/simulators/bankhost"
	"github.com/shebao-pay/shebao/simulators/chipcard"
	"github.com/shebao-pay/shebao/simulators/load"
)

// TestNoQuorumAfterDebit takes the log's majority away while a bank works on a
// debit (F15): nobody is told "paid", nothing more is debited while nothing can be
// reserved, and when the majority is back the payment ends as the bank and the
// ledger agree.
func TestNoQuorumAfterDebit(t *testing.T) {
	s := begin(t, hubOnly, func(c *Config) { c.Nodes, c.Terminals = 3, 4 })
	const bank = "rcb"
	lead, err := s.Leader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	kiosks, err := s.kiosks()
	if err != nil {
		t.Fatal(err)
	}
	cards := make([]Card, len(kiosks))
	for i := range cards {
		cards[i] = deal(t, s, bank)
	}
	var debits atomic.Int32
	lost := make(chan struct{})
	s.OnRequest(func(k profile.Kind) bankhost.Fault {
		if k != profile.Debit || debits.Add(1) > 1 {
			return bankhost.None
		}
		for _, n := range s.nodes {
			if n != lead {
				n.proc.kill()
			}
		}
		close(lost)
		return bankhost.None
	})
	var dealt atomic.Int32
	r, err := load.Terminals(t.Context(), load.TerminalConfig{
		URLs: []string{"https://" + addr(lead.ports.Terminals)}, Kiosks: kiosks, Duration: 8 * time.Second, Grace: 2 * time.Second,
		NextCard: func() (chipcard.Data, string, bool) {
			n := dealt.Add(1)
			if int(n) > len(cards) {
				return chipcard.Data{}, "", false
			}
			if n > 1 { // the others come when the log cannot commit
				<-lost
			}
			return cards[n-1].Data, cards[n-1].PIN, true
		},
	})
	if err != nil {
		t.Logf("the terminals: %v", err) // nobody answers them at the end
	}
	if r.Payments != 0 || debits.Load() != 1 {
		t.Errorf("%d payments were told to be paid and the bank was asked for %d debits; want 0 and 1; refused %v", r.Payments, debits.Load(), r.Refused)
	}
	if got := s.Banks[bank].Total(); got == 0 {
		t.Error("the bank debited nothing: the test shows nothing")
	}
	for _, n := range s.nodes {
		if n != lead {
			if err := s.startNode(n); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := s.Leader(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, "every payment has its end", func() bool {
		_, _ = s.pointToLeader(t.Context())
		var st operator.Status
		return s.Operator.Ask(t.Context(), "/v1/status", nil, &st) == nil && st.Leader && st.Pending == 0
	})
	for i, c := range cards {
		if in, has := paidFen(t, s, c), s.Banks[bank].Debited(c.Person.PAN); in != has {
			t.Errorf("card %d: the ledger has %v paid, the bank %v debited", i, in, has)
		}
		for _, d := range duesOf(t, s, c) {
			if d.State != "OPEN" && d.State != "PAID" {
				t.Errorf("card %d: due %d is %s", i, d.ID, d.State)
			}
		}
	}

	// And the hub takes payments again.
	urls, err := s.terminalURLs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.OnRequest(nil)
	if err := s.banksUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	last := deal(t, s, bank)
	given := false
	r, err = load.Terminals(t.Context(), load.TerminalConfig{URLs: urls, Kiosks: kiosks[:1], Duration: 10 * time.Second,
		NextCard: func() (chipcard.Data, string, bool) {
			if given {
				return chipcard.Data{}, "", false
			}
			given = true
			return last.Data, last.PIN, true
		},
	})
	if err != nil || r.Payments == 0 || paidFen(t, s, last) != s.Banks[bank].Debited(last.Person.PAN) || paidFen(t, s, last) == si.Fen(0) {
		t.Errorf("with the majority back: %+v, %v; ledger %v, bank %v", r, err, paidFen(t, s, last), s.Banks[bank].Debited(last.Person.PAN))
	}
}
