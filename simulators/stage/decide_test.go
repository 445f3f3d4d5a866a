package stage

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shebao-pay/shebao/settlement/operator"
)

// TestDecidePlay is one citizen at a bank that never saw the payment and whose "no
// such payment" proves nothing: the dues stay held until two persons end it with
// shebaoctl, and not before a person is needed, not by one alone, and not twice.
func TestDecidePlay(t *testing.T) {
	s := begin(t)
	f, err := FindFault("bank-silent")
	if err != nil {
		t.Fatal(err)
	}
	serves(t, s)
	card := deal(t, s, "boc")
	if r, err := s.PlayCard(t.Context(), card, f, func(line string) { t.Log(line) }); err != nil {
		t.Fatalf("%v; got %+v", err, r)
	}
	list := ask[[]operator.PendingView](t, s, "/v1/pending?all=1", nil)
	if len(list) != 1 || list[0].Bank != "boc" {
		t.Fatalf("pending are %+v, want the one payment", list)
	}
	id := list[0].ID
	decide := func(ok bool, says string, more ...string) {
		t.Helper()
		args := append([]string{"decide", id, "--socket", s.path("operator.sock"), "--reference", "boc-2026-1"}, more...)
		out, err := exec.Command(filepath.Join(binDir, "shebaoctl"), args...).CombinedOutput() // #nosec G204 -- our own program
		if (err == nil) != ok || !strings.Contains(string(out), says) {
			t.Errorf("shebaoctl %v: %v, %s; want %q", args, err, out, says)
		}
	}
	if list[0].Why == "" {
		decide(false, "still resolving", "--ending", "not-charged", "--maker", "101", "--checker", "102")
	}
	needsPerson(t, s)
	decide(false, "SAME_PERSON", "--ending", "not-charged", "--maker", "101", "--checker", "101")
	decide(true, `"OK"`, "--ending", "not-charged", "--maker", "101", "--checker", "102")
	decide(true, `"EXISTS"`, "--ending", "not-charged", "--maker", "101", "--checker", "102")
	decide(false, "BAD_TRANSITION", "--ending", "paid", "--bank-date", "2026-11-29", "--maker", "101", "--checker", "102")
	until(t, "the hub holds it no more", func() bool {
		return len(ask[[]operator.PendingView](t, s, "/v1/pending?all=1", nil)) == 0
	})
	for _, d := range duesOf(t, s, card) {
		if d.State != "OPEN" {
			t.Errorf("due %d is %s, want OPEN", d.ID, d.State)
		}
	}
	if got := s.Banks["boc"].Debited(card.Person.PAN); got != 0 {
		t.Errorf("the bank has debited %v", got)
	}
	s.Close()
	verified(t, s)
}
