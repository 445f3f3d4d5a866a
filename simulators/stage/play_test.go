package stage

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/shebao-pay/shebao/settlement/operator"
	"github.com/shebao-pay/shebao/simulators/printer"
)

// TestPlay plays every fault on one bank and the main ones on the others. One
// system serves citizen after citizen, as a kiosk does; a play that fails gets
// the next one a new system, so that each tells of itself alone.
func TestPlay(t *testing.T) {
	type play struct{ bank, fault string }
	var plays []play
	for _, f := range Faults {
		plays = append(plays, play{"ccb", f.Name})
	}
	// boc comes last: there a payment that the bank never saw stays held.
	for _, bank := range []string{"rcb", "icbc", "boc"} {
		for _, fault := range []string{"none", "wrong-pin", "bank-silent"} {
			plays = append(plays, play{bank, fault})
		}
	}
	var s *Stage
	doubts := 0
	for _, p := range plays {
		// Five time-outs in half a minute close a bank to new payments. A play
		// that ends pending makes two at most, so a system serves two of them.
		if f, err := FindFault(p.fault); err == nil && f.Expect == pending {
			if doubts++; doubts > 2 && s != nil {
				s.Close()
				verified(t, s)
				s, doubts = nil, 1
			}
		}
		if s == nil {
			s = begin(t)
		}
		ok := t.Run(fmt.Sprintf("%s/%s", p.bank, p.fault), func(t *testing.T) {
			t.Cleanup(func() { s.logs(t) })
			f, err := FindFault(p.fault)
			if err != nil {
				t.Fatal(err)
			}
			s.Printer.SetFault(printer.None)
			s.OnRequest(nil)
			serves(t, s)
			r, err := s.PlayCard(t.Context(), deal(t, s, p.bank), f, func(line string) { t.Log(line) })
			if err != nil {
				t.Errorf("play %s on %s: %v; got %+v", p.fault, p.bank, err, r)
			}
		})
		if !ok {
			s.Close()
			s = nil
		}
	}
	if s != nil {
		needsPerson(t, s)
		s.Close()
		verified(t, s)
	}
}

// needsPerson waits until the payment that boc never saw is one that an operator
// is called for: after six reversals without a proof.
func needsPerson(t *testing.T, s *Stage) {
	t.Helper()
	until(t, "an operator is called for the payment that boc never saw", func() bool {
		list := ask[[]operator.PendingView](t, s, "/v1/pending", nil)
		return len(list) == 1 && list[0].Bank == "boc" && list[0].Why == operator.NeedsUnanswered && list[0].Tries >= 6 && list[0].RRN != ""
	})
	if text := metricsOf(t, s); !strings.Contains(text, `shebao_unresolved_needs_person{bank="boc",why="unanswered"} 1`) {
		t.Error("the metrics do not show that a person is needed")
	}
}

// serves waits until hub and terminal both know that every bank can be reached.
// The terminal learns it at its heartbeat.
func serves(t *testing.T, s *Stage) {
	t.Helper()
	if err := s.banksUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, "the terminal's heartbeat says that all banks are up", func() bool {
		return terminalSays(t, s, "shebao_terminal_banks_down 0\n") && terminalSays(t, s, "shebao_terminal_in_service 1\n")
	})
}

// terminalSays tells whether the terminal's metrics have a line.
func terminalSays(t *testing.T, s *Stage, line string) bool {
	t.Helper()
	resp, err := http.Get("http://" + addr(s.cfg.Ports.TAdmin) + "/metrics")
	if err != nil {
		return false
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	return err == nil && strings.Contains(string(b), line)
}
