package stage

import (
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
