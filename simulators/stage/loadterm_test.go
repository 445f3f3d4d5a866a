package stage

import (
	"testing"

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
