package ledger

import (
	"testing"

	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// TestThreeNodes grows a ledger from one node to three, pays, and goes back to one.
func TestThreeNodes(t *testing.T) {
	r := newRegion(t, 3, 200, nil)
	told := map[int]ledgerapi.Result{}
	for i := range 100 {
		told[i] = r.pay(i)
	}
	members, err := r.leader().Members()
	if err != nil || len(members) != 3 {
		t.Fatalf("Members = %+v, %v, want three", members, err)
	}
	for _, m := range members {
		if !m.Votes || !m.Reached || m.Address != r.addrs[m.ID] || m.Leads != (m.ID == r.leader().cfg.NodeID) {
			t.Errorf("member %+v: want one that votes and answers", m)
		}
	}
	r.settled(told)
}

// TestLeaderKilled ends the leader again and again while payments go on.
func TestLeaderKilled(t *testing.T) {
	r := newRegion(t, 3, 200, nil)
	told := map[int]ledgerapi.Result{}
	for i := range 120 {
		if i%30 == 15 {
			lead := r.leader()
			r.crash(lead)
			r.leader(lead)
			told[i] = r.pay(i)
			r.start(lead.cfg.NodeID)
			continue
		}
		told[i] = r.pay(i)
	}
	r.settled(told)
}
