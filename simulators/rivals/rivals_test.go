package rivals

import (
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

const testAmount = 51_000

// both makes each engine with so many dues.
func both(t *testing.T, dues int, do func(t *testing.T, e *Taker)) {
	t.Run("bbolt", func(t *testing.T) {
		e, err := Bolt(filepath.Join(t.TempDir(), "rival.bolt"), dues, testAmount)
		if err != nil {
			t.Fatal(err)
		}
		do(t, e)
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		// A path that the server's own user reaches, short enough for a socket.
		dir, err := os.MkdirTemp("/tmp", "rival-")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		e, err := Postgres(context.Background(), dir, dues, testAmount)
		if err != nil {
			t.Fatal(err)
		}
		do(t, e)
		if e.PID() == 0 {
			t.Error("the server's process is not known")
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
}

func pay(n uint64, due si.DueID) *ledgerapi.Pay {
	p := &ledgerapi.Pay{Bank: 3, Total: testAmount, HostSerial: "000000000001", OurDate: 9800, BankDate: 9800, STAN: 7,
		Dues: []ledgerapi.DueRef{{ID: due, Version: 1, Amount: testAmount}}}
	binary.BigEndian.PutUint64(p.ID[8:], n)
	return p
}

func ask(t *testing.T, e *Taker, c ledgerapi.Command) ledgerapi.Result {
	t.Helper()
	got := make(chan ledgerapi.Result, 1)
	e.Submit(c, 0, func(r ledgerapi.Result, err error) {
		if err != nil {
			t.Error(err)
		}
		got <- r
	})
	return <-got
}

// TestPay holds that a rival does the work that it is measured by: a due is paid
// once, an id is taken once, each receipt is given once.
func TestPay(t *testing.T) {
	both(t, 3000, func(t *testing.T, e *Taker) {
		results := make(chan ledgerapi.Result, 3000)
		for i := range 3000 {
			e.Submit(pay(uint64(i+1), si.DueID(i+1)), 0, func(r ledgerapi.Result, err error) {
				if err != nil {
					t.Error(err)
				}
				results <- r
			})
		}
		seen := map[uint32]bool{}
		for range 3000 {
			r := <-results
			if r.Code != ledgerapi.OK || r.Receipt.Seq == 0 || seen[r.Receipt.Seq] {
				t.Fatalf("%s with receipt %d, seen %v", r.Code, r.Receipt.Seq, seen[r.Receipt.Seq])
			}
			seen[r.Receipt.Seq] = true
		}
		if r := ask(t, e, pay(9999, 1)); r.Code == ledgerapi.OK {
			t.Error("a due was paid twice")
		}
		if r := ask(t, e, pay(1, 2)); r.Code == ledgerapi.OK {
			t.Error("an id was taken twice")
		}
		if r := ask(t, e, pay(5000, 70_000)); r.Code == ledgerapi.OK {
			t.Error("a due that is not there was paid")
		}
		e.Submit(ledgerapi.Void{}, 0, func(_ ledgerapi.Result, err error) {
			if err == nil {
				t.Error("a Void was taken")
			}
		})
	})
}
