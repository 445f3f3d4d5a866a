package core

import (
	"testing"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// TestPayCost holds that a payment looks at about as many entries and dues in a
// large ledger as in a small one. It counts them: wall time proves nothing.
func TestPayCost(t *testing.T) {
	const payments = 2000
	cost := func(persons, years int) (probes, walked float64) {
		r := benchDues(t, persons, Config{Volatile: true})
		for y := 1; y < years; y++ {
			r.refill(persons, 2026+y)
		}
		batches := join(benchPays(r, payments), 100)
		before := r.m.payByID.probes
		r.m.walked = 0
		for _, b := range batches {
			r.index++
			results, err := r.m.ApplyBatch(r.index, b, nil)
			if err != nil || results[0].Code != ledgerapi.OK {
				t.Fatal(results, err)
			}
		}
		return float64(r.m.payByID.probes-before) / payments, float64(r.m.walked) / payments
	}
	smallProbes, smallWalked := cost(payments, 1)
	largeProbes, largeWalked := cost(30_000, 10)
	t.Logf("%d dues: %.1f entries and %.1f dues a payment; 300,000 dues: %.1f and %.1f", payments, smallProbes, smallWalked, largeProbes, largeWalked)
	// Linear probing at a load of at most 3/4 needs up to 8.5 entries for a key
	// that is not there, and a payment asks once whether its id is new; dues are
	// found in an array.
	if largeProbes > 9 || smallProbes > 9 {
		t.Errorf("a payment looks at %.1f and %.1f entries of the index, want at most 9", smallProbes, largeProbes)
	}
	if largeWalked > smallWalked+1 {
		t.Errorf("a payment walks %.1f dues of its person where ten are open, %.1f where one is", largeWalked, smallWalked)
	}
}

// TestDayLeavesSlowly seals a day of payments that leave memory a few with each
// record, and asks about them on the way: nothing may tell whether one has left.
func TestDayLeavesSlowly(t *testing.T) {
	const n = 40
	past := newMemPast()
	store := &storeRows{past: past, first: 1}
	r := newRig(t, Config{Past: past, sweepFirst: 1}).open(n)
	for i := range n {
		r.medical(2026, si.PersonNo(i+1))
	}
	var paid []ledgerapi.Pay
	for i := range n {
		c := r.pay(si.PersonNo(i + 1))
		r.must(c)
		paid = append(paid, c)
	}
	r.cut()
	if got := r.must(ledgerapi.SealDay{ID: r.id(), Date: firstDay}); got.Count != n || got.Total != n*51_000 {
		t.Fatalf("SealDay = %d payments of %s", got.Count, got.Total)
	}
	was := r.m.payByID.n
	if was != n-1-sweepPer {
		t.Fatalf("%d payments are in memory behind the seal, want %d", was, n-1-sweepPer)
	}
	for step := 0; r.m.payByID.n > 0; step++ {
		if step > n {
			t.Fatalf("%d payments never leave", r.m.payByID.n)
		}
		for _, c := range paid {
			if got, ok := r.m.Payment(c.ID); !ok || got.State != ledgerapi.PayPosted || len(got.Dues) != 1 || got.Dues[0].State != ledgerapi.DueStatePaid {
				t.Fatalf("step %d: Payment = %+v, %v", step, got, ok)
			}
			if got := r.m.PaymentsOf(r.m.oldPerson(c.ID), 5); len(got) != 1 || got[0].ID != c.ID {
				t.Fatalf("step %d: PaymentsOf = %v", step, got)
			}
		}
		// The first has left, the last has not: both are history.
		for _, c := range []ledgerapi.Pay{paid[0], paid[n-1]} {
			if got := r.do(c); got.Code != ledgerapi.Exists {
				t.Fatalf("step %d: Pay again = %s", step, got.Code)
			}
			if got := r.do(ledgerapi.Reverse{ID: c.ID, Bank: testBank, BankDate: firstDay}); got.Code != ledgerapi.NotSameDay {
				t.Fatalf("step %d: Reverse = %s", step, got.Code)
			}
		}
		if step == 2 {
			store.finish(t, r.m, r.m.Freeze())
			m := store.load(t)
			if m.Digest() != r.m.Digest() || m.payByID.n != r.m.payByID.n {
				t.Fatalf("restored in the middle: %d payments, want %d, or another state", m.payByID.n, r.m.payByID.n)
			}
		}
		if now := was - r.m.payByID.n; now > 4*sweepPer {
			t.Fatalf("step %d: %d payments left with 4 records", step, now)
		}
		was = r.m.payByID.n
		r.check()
	}
}

// oldPerson is whose payment it is, wherever it is.
func (m *Machine) oldPerson(id si.PaymentID) si.PersonNo {
	p, _ := m.find(id)
	return p.person
}

// TestGone plays bits against a set, over the ends of rows.
func TestGone(t *testing.T) {
	var g gone
	if g.has(1) || g.skip(1) != 1 {
		t.Fatal("an empty set has something")
	}
	for n := uint64(1); n < 2*goneLen; n++ {
		if n != goneLen+7 {
			g.add(n)
		}
	}
	for n, want := range map[uint64]bool{1: true, goneLen - 1: true, goneLen: true, goneLen + 7: false, 2*goneLen - 1: true, 2 * goneLen: false} {
		if g.has(n) != want {
			t.Errorf("has(%d) = %v", n, !want)
		}
	}
	if got := g.skip(1); got != goneLen {
		t.Errorf("skip(1) = %d, want the second row at %d", got, goneLen)
	}
	var again gone
	for i := range uint64(2) {
		if !again.restore(i, g.value(nil, uint32(i))) {
			t.Fatalf("row %d is refused", i)
		}
	}
	if again.has(goneLen+7) || !again.has(goneLen+8) || again.skip(1) != goneLen {
		t.Error("restored rows say something else")
	}
	again.add(goneLen + 7)
	if again.skip(1) != 2*goneLen {
		t.Errorf("with the last bit, skip(1) = %d, want %d", again.skip(1), 2*goneLen)
	}
	again.add(2 * goneLen)
	again.del(5)
	again.del(goneLen + 9)
	if again.has(5) || !again.has(6) || again.has(goneLen+9) || again.skip(1) != 1 {
		t.Error("what came back is still gone, or others came back with it")
	}
	again.add(5)
	again.add(goneLen + 9)
	if again.skip(1) != 2*goneLen {
		t.Errorf("gone again, skip(1) = %d, want %d", again.skip(1), 2*goneLen)
	}
	if again.restore(0, make([]byte, goneLen/8-1)) || again.restore(1<<32, make([]byte, goneLen/8)) {
		t.Error("a row of another size or place is taken")
	}
}

// TestDense plays the array of dues against a map, over the ends of pieces.
func TestDense(t *testing.T) {
	var x dense
	if x.get(0) != 0 || x.get(1) != 0 || x.get(1<<63) != 0 {
		t.Error("an empty index finds something")
	}
	for id := si.DueID(1); id <= 2*denseLen; id++ {
		x.put(id, uint32(id+7))
	}
	for id := si.DueID(1); id < 2*denseLen; id++ {
		if id != denseLen {
			x.del(id)
		}
	}
	if x.n != 2 || x.get(denseLen) != denseLen+7 || x.get(2*denseLen) != 2*denseLen+7 || x.get(denseLen-1) != 0 || x.get(2*denseLen+1) != 0 {
		t.Errorf("%d dues left, %d and %d", x.n, x.get(denseLen), x.get(2*denseLen))
	}
	if x.pieces[0] != nil || x.pieces[1] == nil {
		t.Error("a piece without dues stays, or one with a due has gone")
	}
}
