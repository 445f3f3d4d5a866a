package ledger

import (
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// The tests' ledger: the model district with one bank, on one day.
const (
	testBank   = si.Bank(1)
	testAmount = si.Fen(510_00) // MED_RES of 2026 in data/rates/330110.yaml
)

var (
	testDay   = si.Date(2026, time.November, 22)
	testStart = time.Date(2026, time.November, 22, 10, 0, 0, 0, si.China)
)

// testConfig is a node with small files and frequent checkpoints.
func testConfig(dir string) Config {
	return Config{
		Dir: dir, Region: 1, Area: 330110, Segment: 64 << 10, Election: 10 * time.Millisecond, MinFree: 1,
		Now: func() time.Time { return testStart }, CheckpointRecords: 300,
	}
}

func openNode(t testing.TB, cfg Config) *Node {
	t.Helper()
	n, err := Open(cfg)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return n
}

func closeNode(t testing.TB, n *Node) {
	t.Helper()
	if err := n.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
}

// id makes a payment id from a kind and a number, at the tests' time.
func id(kind byte, n int) (p si.PaymentID) {
	binary.BigEndian.PutUint64(p[:], uint64(testStart.UnixMilli())<<16)
	p[7] = kind
	binary.BigEndian.PutUint64(p[8:], uint64(n))
	return p
}

// do sends commands together and returns their results in order.
func do(t testing.TB, n *Node, cs ...ledgerapi.Command) []ledgerapi.Result {
	t.Helper()
	out := make([]ledgerapi.Result, len(cs))
	errs := make([]error, len(cs))
	var wait sync.WaitGroup
	// No more at once than the queue of the log takes.
	slots := make(chan struct{}, 4096)
	for i, c := range cs {
		wait.Add(1)
		slots <- struct{}{}
		n.Submit(c, 0, func(r ledgerapi.Result, err error) {
			out[i], errs[i] = r, err
			<-slots
			wait.Done()
		})
	}
	wait.Wait()
	for i, err := range errs {
		if err != nil {
			t.Fatalf("command %d (type %d): %v", i, cs[i].Type(), err)
		}
	}
	return out
}

// must sends commands that are all answered OK.
func must(t testing.TB, n *Node, cs ...ledgerapi.Command) []ledgerapi.Result {
	t.Helper()
	out := do(t, n, cs...)
	for i, r := range out {
		if r.Code != ledgerapi.OK {
			t.Fatalf("command %d (type %d): %v, want OK", i, cs[i].Type(), r.Code)
		}
	}
	return out
}

func read330110(t testing.TB, path ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(append([]string{"..", "data"}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// settle makes persons who each owe one due, numbered like the persons.
func settle(t testing.TB, n *Node, persons int) {
	t.Helper()
	rates := must(t, n, ledgerapi.PutConfig{ID: id('c', 1), Kind: ledgerapi.ConfigRates, Name: "330110",
		From: si.Date(2026, time.January, 1), Body: read330110(t, "rates", "330110.yaml"), Maker: 1, Checker: 2})
	must(t, n, ledgerapi.PutConfig{ID: id('c', 2), Kind: ledgerapi.ConfigBankFacts, Name: "rcb",
		From: si.Date(2026, time.January, 1), Body: read330110(t, "facts", "rcb.txt"), Maker: 1, Checker: 2})
	must(t, n, ledgerapi.Cutover{ID: id('w', 1), Bank: testBank, To: testDay})
	var cs []ledgerapi.Command
	for i := range persons {
		var h si.Hash
		binary.BigEndian.PutUint64(h[:], uint64(i+1))
		cs = append(cs, ledgerapi.PutPerson{ID: id('p', i), IDHash: h, PType: si.Resident, Household: 330110, Sex: 1})
	}
	must(t, n, cs...)
	cs = cs[:0]
	for i := 0; i < persons; i += ledgerapi.MaxAssess {
		a := ledgerapi.Assess{ID: id('a', i), Fund: si.MedRes, PType: si.Resident, Period: si.YearPeriod(2026),
			Kind: ledgerapi.DueYear, DueDay: si.Date(2026, time.December, 31), Version: rates[0].Version}
		for k := i; k < min(persons, i+ledgerapi.MaxAssess); k++ {
			a.Items = append(a.Items, ledgerapi.AssessItem{Person: si.PersonNo(k + 1)})
		}
		cs = append(cs, a)
	}
	must(t, n, cs...)
}

// payDue is the bank's payment of the n-th person's due (from 0).
func payDue(n int) ledgerapi.Pay {
	return ledgerapi.Pay{
		ID: id('y', n), Channel: si.ChannelCounter, Bank: testBank, Total: testAmount, HostSerial: "000000000001",
		BankDate: testDay, OurDate: testDay, STAN: uint32(n%899_999 + 1),
		Dues: []ledgerapi.DueRef{{ID: si.DueID(n + 1), Version: 1, Amount: testAmount}},
	}
}

func verifyOK(t testing.TB, dir string) Report {
	t.Helper()
	r, err := Verify(dir, nil)
	if err != nil {
		t.Fatalf("Verify: %v", err)
	}
	if !r.OK() {
		t.Fatalf("Verify found: %q", r.Problems)
	}
	return r
}

func background() context.Context { return context.Background() }
