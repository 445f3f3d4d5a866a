package ledger

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// TestAdviceAcrossRestarts notes that an advice about a posted payment waits, and
// finds it again from the state file and from the log, until it waits no more.
func TestAdviceAcrossRestarts(t *testing.T) {
	cfg := testConfig(t.TempDir())
	n := openNode(t, cfg)
	settle(t, n, 10)
	r := ledgerapi.Reserve{ID: id('r', 1), Channel: si.ChannelTerminal, Terminal: 7, Bank: testBank, OurDate: testDay,
		Dues: []ledgerapi.DueRef{{ID: 6, Version: 1, Amount: testAmount}}, Total: testAmount, Memo: []byte("sealed")}
	must(t, n, r, ledgerapi.Post{ID: r.ID, Evidence: ledgerapi.Evidence{Source: ledgerapi.SourceWire, Resp: [2]byte{'0', '0'}, MACOK: true, BankDate: testDay}})
	if list := n.Advices(); len(list) != 0 {
		t.Fatalf("Advices() = %+v before there was one", list)
	}
	must(t, n, ledgerapi.Annotate{ID: r.ID, Stage: ledgerapi.StageAdvice, Memo: []byte("with its advice")})
	for _, loss := range []string{"nothing", "the state file"} {
		closeNode(t, n)
		if loss == "the state file" {
			if err := os.Remove(filepath.Join(cfg.Dir, stateName)); err != nil {
				t.Fatal(err)
			}
		} else {
			verifyOK(t, cfg.Dir)
		}
		n = openNode(t, cfg)
		if list := n.Advices(); len(list) != 1 || list[0].ID != r.ID || !list[0].Advice || string(list[0].Memo) != "with its advice" ||
			list[0].State != ledgerapi.PayPosted {
			t.Fatalf("after losing %s: Advices() = %+v", loss, list)
		}
		if len(n.Pending(0)) != 0 {
			t.Fatalf("after losing %s: a posted payment is pending", loss)
		}
	}
	must(t, n, ledgerapi.Annotate{ID: r.ID, Stage: ledgerapi.StageAdvised, Memo: []byte("sealed")})
	if list := n.Advices(); len(list) != 0 {
		t.Errorf("Advices() = %+v after it was answered", list)
	}
	must(t, n, ledgerapi.Annotate{ID: r.ID, Stage: ledgerapi.StageAdvice, Memo: []byte("again")},
		ledgerapi.Unpost{ID: r.ID, Reason: ledgerapi.UnpostCardAAC})
	if list, p := n.Advices(), n.Pending(0); len(list) != 0 || len(p) != 1 || string(p[0].Memo) != "again" || p[0].Advice {
		t.Errorf("after Unpost: Advices() = %+v, Pending() = %+v", list, p)
	}
	closeNode(t, n)
}
