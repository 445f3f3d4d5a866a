package enrol

import (
	"testing"

	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// TestCover compares the whole of states × acts with a table written out by
// hand; "." is refused.
func TestCover(t *testing.T) {
	acts := []ledgerapi.Type{ledgerapi.TypeEnrol, ledgerapi.TypeTransferIn, ledgerapi.TypeSuspend, ledgerapi.TypeResume,
		ledgerapi.TypeChangeGrade, ledgerapi.TypeTransferOut, ledgerapi.TypeTerminate}
	letter := map[byte]ledgerapi.CoverState{'A': ledgerapi.CoverActive, 'S': ledgerapi.CoverSuspended,
		'O': ledgerapi.CoverTransferredOut, 'T': ledgerapi.CoverTerminated}
	want := map[ledgerapi.CoverState]string{
		//                             E  In Su Re Gr Out Te
		ledgerapi.CoverNone:           "AA.....",
		ledgerapi.CoverActive:         "..S.AOT",
		ledgerapi.CoverSuspended:      "...ASOT",
		ledgerapi.CoverTransferredOut: "AA.....",
		ledgerapi.CoverTerminated:     "AA.....",
	}
	for s := ledgerapi.CoverNone; s <= ledgerapi.CoverTerminated; s++ {
		for i, a := range acts {
			got, ok := Cover(s, a)
			to, legal := letter[want[s][i]]
			if !legal {
				to = s
			}
			if ok != legal || got != to {
				t.Errorf("Cover(%s, %d) = %s, %v, want %s, %v", s, a, got, ok, to, legal)
			}
		}
		if _, ok := Cover(s, ledgerapi.TypeReserve); ok {
			t.Errorf("Cover(%s, Reserve) is allowed", s)
		}
	}
}

func TestMandate(t *testing.T) {
	want := map[ledgerapi.MandateState]string{
		//                          Si Ac Su Ca
		ledgerapi.MandateSigned:    ".xxx",
		ledgerapi.MandateActive:    "..xx",
		ledgerapi.MandateSuspended: "x..x",
		ledgerapi.MandateCancelled: "....",
	}
	for s := ledgerapi.MandateSigned; s <= ledgerapi.MandateCancelled; s++ {
		for to := ledgerapi.MandateSigned; to <= ledgerapi.MandateCancelled; to++ {
			if got := Mandate(s, to); got != (want[s][to-1] == 'x') {
				t.Errorf("Mandate(%d, %d) = %v", s, to, got)
			}
		}
	}
}

func TestCase(t *testing.T) {
	want := map[ledgerapi.CaseState]string{
		//                      N  A  W  D  R
		ledgerapi.CaseNew:      "xx..x",
		ledgerapi.CaseAccepted: ".xxxx",
		ledgerapi.CaseWaiting:  ".xx.x",
		ledgerapi.CaseDone:     ".....",
		ledgerapi.CaseRefused:  ".....",
	}
	for s := ledgerapi.CaseNew; s <= ledgerapi.CaseRefused; s++ {
		for to := ledgerapi.CaseNew; to <= ledgerapi.CaseRefused; to++ {
			if got := Case(s, to); got != (want[s][to-1] == 'x') {
				t.Errorf("Case(%d, %d) = %v", s, to, got)
			}
		}
	}
}
