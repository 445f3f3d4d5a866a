package ledger

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// TestRecordsAcrossRestarts does one act of each kind, asks everything, and asks
// again after a clean stop, from the log alone, and after verification.
func TestRecordsAcrossRestarts(t *testing.T) {
	cfg := testConfig(t.TempDir())
	n := openNode(t, cfg)
	settle(t, n, 4)
	body, err := os.ReadFile("../data/cover/330110.yaml")
	if err != nil {
		t.Fatal(err)
	}
	pan := si.Hash{7}
	first, _ := n.PersonByNo(1)
	last := uint64(0)
	act := func(do ledgerapi.Body) ledgerapi.Command {
		last++
		return ledgerapi.Act{ID: id('a', int(last)), Do: do}
	}
	enrol := ledgerapi.Enrol{Person: 1, Fund: si.MedRes, PType: si.Resident, From: si.YearPeriod(2026), Rates: 1}
	second := enrol
	second.Person = 2
	must(t, n,
		ledgerapi.PutConfig{ID: id('c', 9), Kind: ledgerapi.ConfigCover, Name: "330110", From: 1, Body: body, Maker: 1, Checker: 2},
		ledgerapi.PutCard{ID: id('k', 1), IDHash: first.IDHash, CardHash: si.Hash{5}, NoHash: si.Hash{6}, PANHash: pan, Bank: testBank,
			State: ledgerapi.CardActive, Source: ledgerapi.CardImport, Since: testDay},
		ledgerapi.PutPerson{ID: id('p', 90), IDHash: first.IDHash, ExpectVersion: first.Version, PType: si.Resident, Flags: ledgerapi.FlagRetired},
		act(&enrol),
		act(&ledgerapi.TransferIn{Enrol: second, Area: 330199, Start: 300, End: 310, Issued: 9000}),
		act(&ledgerapi.TransferOut{CoverAct: ledgerapi.CoverAct{Person: 2, Fund: si.MedRes, From: si.YearPeriod(2027)}, To: 330199}),
		act(&ledgerapi.MandateSign{Person: 1, Funds: ledgerapi.FundsOf(si.MedRes), Bank: testBank, Account: pan, Channel: si.ChannelCounter}),
		act(&ledgerapi.Bind{Person: 1, Phone: si.Hash{8}, Sealed: []byte("sealed")}),
		act(&ledgerapi.Certify{Person: 1, Kind: ledgerapi.CertifyClerk, On: testDay - 30, Until: testDay, Next: testDay}),
		act(&ledgerapi.Proxy{Person: 1, Agent: 2, Scope: ledgerapi.ScopePay, Until: testDay + 300}),
		act(&ledgerapi.CaseMove{Case: 1, To: ledgerapi.CaseAccepted, Owner: 5}),
		act(&ledgerapi.IssueStatement{Person: 1, Kind: 1, From: 300, To: 310, Hash: [32]byte{9}}),
	)
	day := si.DateOf(cfg.Now())
	must(t, n, act(&ledgerapi.Book{Person: 1, Office: "hall", Date: day, Minute: 540, Capacity: 3}))
	ask := func() []any {
		no, known := n.Eligible(1, si.MedEmp, si.Flex, 0)
		arrival, came := n.ArrivalOf(2, si.MedRes, 1)
		certificate, sent := n.Certificate(1)
		mandate, signed := n.Mandate(1)
		binding, bound := n.BindingOf(1)
		desk, opened := n.Case(1)
		paper, issued := n.Statement(1)
		if !known || !came || !sent || !signed || !bound || !opened || !issued || no&ledgerapi.ReasonExcluded == 0 {
			t.Fatalf("something is not found: %v %v %v %v %v %v %v, %s", known, came, sent, signed, bound, opened, issued, no)
		}
		return []any{no, arrival, certificate, mandate, binding, desk, paper, n.CoversOf(1), n.CoversOf(2), n.CertificatesOf(2),
			n.MandatesOf(1), n.CertifiedOf(1), n.Scope(1, 2, testDay), n.AgentsOf(1), n.PrincipalsOf(2), n.CasesOf(2), n.OpenCases(9),
			n.BookingsOf(1), n.Booked("hall", day, 540), n.StatementsOf(1)}
	}
	want := ask()
	for i, v := range want {
		if x := reflect.ValueOf(v); x.Kind() == reflect.Slice && x.Len() == 0 {
			t.Errorf("query %d gives nothing", i)
		}
	}
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
		if got := ask(); !reflect.DeepEqual(got, want) {
			t.Fatalf("after losing %s: %+v, want %+v", loss, got, want)
		}
		if err := n.Check(); err != nil {
			t.Error(err)
		}
	}
	closeNode(t, n)
}
