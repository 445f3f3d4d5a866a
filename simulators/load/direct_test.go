package load

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/ledger"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

func directNode(t *testing.T) (*ledger.Node, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "ledger")
	node, err := ledger.Open(ledger.Config{Dir: dir, Region: 1, Area: 330110, MinFree: 1, Segment: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	return node, dir
}

// TestDirect pays more dues than there were at a real node, over a change of date
// that is sealed, asks some a second time, and finds every payment in the books.
func TestDirect(t *testing.T) {
	node, dir := directNode(t)
	d, err := NewDirect(DirectConfig{Taker: node, Persons: 1000, Dues: 2000})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Fill(t.Context(), func(string) {}); err != nil {
		t.Fatal(err)
	}
	const n = 3000
	minutes := 0
	rep, err := d.Run(t.Context(), DirectRun{InFlight: 64, Rate: 1000, Payments: n, Duration: time.Hour, DayEvery: 1200 * time.Millisecond,
		OnMinute: func(Minute) { minutes++ }})
	if err != nil {
		t.Fatal(err)
	}
	if rep.Payments != n || rep.Errors != 0 || rep.Days < 1 || rep.Repeats != n/repeatEvery || rep.Assessed < n-2000 || minutes == 0 || rep.CutLongest == 0 {
		t.Errorf("report %+v", rep)
	}
	if open := d.Open(); open < 2000 || open > 2000+maxAssessing*ledgerapi.MaxAssess {
		t.Errorf("%d dues are open, want 2000 and no more than was being assessed", open)
	}
	if err := node.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := ledger.Verify(dir, nil)
	if err != nil || !r.OK() || r.Payments != n {
		t.Errorf("Verify = %d payments, %v, %v; want %d", r.Payments, r.Problems, err, n)
	}
}

// TestDirectOrder holds that every due is paid once, a person's oldest first, with
// more dues than persons and with fewer.
func TestDirectOrder(t *testing.T) {
	for _, c := range []DirectConfig{{Persons: 1500, Dues: 3000}, {Persons: 3000, Dues: 1000}} {
		d, err := NewDirect(c)
		if err != nil {
			t.Fatal(err)
		}
		seen, last := map[si.DueID]bool{}, map[int]si.DueID{}
		scattered, before := 0, si.DueID(0)
		for range 9000 {
			for d.asked-d.paid < c.Dues {
				d.made += len(d.assess().Items)
			}
			id, ok := d.next()
			if !ok || seen[id] || int(id) > d.made {
				t.Fatalf("%+v: due %d, %v, seen %v, %d made", c, id, ok, seen[id], d.made)
			}
			who := int(id-1) % c.Persons
			if last[who] > id {
				t.Fatalf("%+v: person %d pays due %d after %d", c, who, id, last[who])
			}
			if id != before+1 {
				scattered++
			}
			seen[id], last[who], before = true, id, id
		}
		if scattered < 8990 {
			t.Errorf("%+v: only %d payers did not follow their neighbour", c, scattered)
		}
	}
}

// liar is a taker that answers wrongly.
type liar struct {
	code    ledgerapi.Code
	receipt si.ReceiptNo
	total   si.Fen
}

func (l liar) Submit(_ ledgerapi.Command, _ si.Actor, done func(ledgerapi.Result, error)) {
	done(ledgerapi.Result{Code: l.code, Total: l.total, Receipt: l.receipt}, nil)
}

// TestDirectFindsWrongAnswers: a refusal, a wrong sum and a receipt that was given
// before are errors.
func TestDirectFindsWrongAnswers(t *testing.T) {
	for name, l := range map[string]liar{
		"refused":   {code: ledgerapi.DuePaid},
		"wrong sum": {code: ledgerapi.OK, total: 1, receipt: si.ReceiptNo{Area: 330110, Date: 9000, Seq: 1}},
		"receipt":   {code: ledgerapi.OK, total: DirectAmount, receipt: si.ReceiptNo{Area: 330110, Date: 9000, Seq: 7}},
	} {
		d, err := NewDirect(DirectConfig{Taker: l, Persons: 1000, Dues: 1000, PayOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		rep, err := d.Run(t.Context(), DirectRun{InFlight: 1, Payments: 10, Duration: time.Hour})
		if err != nil || rep.Errors < 9 || len(rep.Faults) == 0 {
			t.Errorf("%s: %d errors of 10 payments, %v, %v", name, rep.Errors, rep.Faults, err)
		}
	}
}

func TestDirectBounds(t *testing.T) {
	for _, c := range []DirectConfig{{Persons: 999, Dues: 2000}, {Persons: 2000, Dues: 999}} {
		if _, err := NewDirect(c); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
	d, err := NewDirect(DirectConfig{Taker: liar{code: ledgerapi.OK}, Persons: 1000, Dues: 1000, Null: true})
	if err != nil {
		t.Fatal(err)
	}
	for n, good := range map[int]bool{0: false, 1: true, MaxDirectInFlight: true, MaxDirectInFlight + 1: false} {
		if _, err := d.Run(t.Context(), DirectRun{InFlight: n, Payments: 1, Duration: time.Hour}); (err == nil) != good {
			t.Errorf("%d in flight: %v", n, err)
		}
	}
	if _, err := d.Run(t.Context(), DirectRun{InFlight: 1}); err == nil {
		t.Error("a run without time is taken")
	}
}
