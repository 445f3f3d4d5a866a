package stage

import (
	"encoding/hex"
	"testing"

	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/simulators/bankhost"
)

// TestInquiryPlay is one citizen at a bank that answers inquiries: what stands at
// the bank is paid, though its reply was lost or the hub was killed, and what the
// bank never saw is not charged; no reversal leaves. An inquiry without an answer
// is followed by one.
func TestInquiryPlay(t *testing.T) {
	s := begin(t, func(c *Config) {
		c.Rules = func(code string, rules []byte) []byte {
			if code != "ccb" {
				return rules
			}
			return profile.Inquiring(rules, true)
		}
	})
	for _, tc := range []struct {
		fault     string
		inquiry   bankhost.Fault
		expect    Expected
		reversals bool
	}{
		{"reply-lost", bankhost.None, Expected{Outcome: SawPending, Paid: true}, false},
		{"hub-killed-after-send", bankhost.None, Expected{Outcome: SawPending, Paid: true}, false},
		{"bank-silent", bankhost.None, pending, false},
		{"reply-lost", bankhost.WrongMAC, pending, true},
	} {
		t.Run(tc.fault, func(t *testing.T) {
			t.Cleanup(func() { s.logs(t) })
			f, err := FindFault(tc.fault)
			if err != nil {
				t.Fatal(err)
			}
			f.Expect, f.unseen = tc.expect, false
			s.OnRequest(nil)
			serves(t, s)
			before := 0
			for _, e := range s.Banks["ccb"].Entries() {
				if e.Op == bankhost.OpReversal && e.Code == "00" {
					before++
				}
			}
			if tc.inquiry != bankhost.None {
				s.Banks["ccb"].SetFaultFor(profile.StatusInquiry, tc.inquiry, 1)
			}
			r, err := s.PlayCard(t.Context(), deal(t, s, "ccb"), f, func(line string) { t.Log(line) })
			if err != nil {
				t.Errorf("play %s: %v; got %+v", tc.fault, err, r)
			}
			after := 0
			for _, e := range s.Banks["ccb"].Entries() {
				if e.Op == bankhost.OpReversal && e.Code == "00" {
					after++
				}
			}
			if (after > before) != tc.reversals {
				t.Errorf("%d reversals took money back, want some: %v", after-before, tc.reversals)
			}
		})
	}
	s.Close()
	verified(t, s)
}

// TestScriptPlay is one citizen whose bank sends a script for the chip with its
// approval and wants to know what it did: the card runs it, and its result reaches
// the bank from card to host through every program.
func TestScriptPlay(t *testing.T) {
	s := begin(t, func(c *Config) {
		c.Rules = func(code string, rules []byte) []byte {
			if code != "ccb" {
				return rules
			}
			return profile.ScriptTold(rules)
		}
	})
	host := s.Banks["ccb"]
	script, err := hex.DecodeString("7213" + "9F180449443032" + "860A84DA9F14050102030405")
	if err != nil {
		t.Fatal(err)
	}
	host.SetScript(script)
	host.SetFaultFor(profile.ScriptNotify, bankhost.DropReply, 1) // it is told again
	f, err := FindFault("none")
	if err != nil {
		t.Fatal(err)
	}
	serves(t, s)
	card := deal(t, s, "ccb")
	if r, err := s.PlayCard(t.Context(), card, f, func(line string) { t.Log(line) }); err != nil {
		t.Fatalf("%v; got %+v", err, r)
	}
	told := func() (n int) {
		for _, e := range host.Entries() {
			if e.Op == bankhost.OpScript && e.PAN == card.Person.PAN && e.Script == "2049443032" {
				n++
			}
		}
		return n
	}
	until(t, "the bank is told what its script did", func() bool { return told() == 1 })
	until(t, "the hub has the bank's answer", func() bool {
		return counted(t, s, `shebao_engine_total{what="scripts_told"}`) == 1
	})
	if n := counted(t, s, `shebao_engine_total{what="scripts"}`); n < 2 {
		t.Errorf("the notice left %d times; its first answer was lost", n)
	}
	s.Close()
	verified(t, s)
}
