package engine

import (
	"testing"
	"time"

	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// TestStages: the times of a paid payment are those that passed, and a bank's
// endings are its own.
func TestStages(t *testing.T) {
	r := newRig(t)
	r.linkUp(pos, 0)
	r.step(Ask{Intent: intent(t, 1, pos)})
	r.pass(3 * time.Millisecond)
	r.commit()
	r.translate()
	take[SendDebit](r)
	r.pass(700 * time.Millisecond)
	r.step(Replied{ID: pid(1), Op: OpDebit, Reply: reply("00")})
	r.pass(4 * time.Millisecond)
	r.commit()
	r.wantLedger(1, ledgerapi.PayPosted)
	want := map[Stage]time.Duration{
		StageReserve: 3 * time.Millisecond, StageBank: 700 * time.Millisecond, StagePost: 4 * time.Millisecond, StageTotal: 707 * time.Millisecond,
	}
	s := r.e.Stats()
	for stage, d := range want {
		n := uint64(0)
		for _, c := range s.Stages[stage].Counts {
			n += c
		}
		if s.Stages[stage].Sum != d || n != 1 {
			t.Errorf("%s: %v in %d counts, want %v in one", stage, s.Stages[stage].Sum, n, d)
		}
	}
	r.sent(2, pos)
	r.step(Replied{ID: pid(2), Op: OpDebit, Reply: reply("05")})
	r.commit()
	if got, want := r.e.Endings(pos), (Endings{Paid: 1, NotCharged: 1}); got != want {
		t.Errorf("endings %+v, want %+v", got, want)
	}
	if got := r.e.Endings(cups); got != (Endings{}) {
		t.Errorf("the other bank has %+v", got)
	}
}

// TestTimingBounds holds the counts at each bound and just past it.
func TestTimingBounds(t *testing.T) {
	for i, bound := range TimingBounds() {
		var at Timing
		at.add(bound)
		at.add(bound + 1)
		if at.Counts[i] != 1 || at.Counts[i+1] != 1 || at.Sum != 2*bound+1 {
			t.Errorf("bound %v: %v", bound, at.Counts)
		}
	}
}
