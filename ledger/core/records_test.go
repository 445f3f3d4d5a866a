package core

import (
	"bytes"
	"errors"
	"reflect"
	"runtime"
	"slices"
	"testing"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// everyAct is one act of each type that goes through on the rig of allRecords,
// in this order.
func everyAct(r *rig) []ledgerapi.Body {
	named := func(no si.DueID) ledgerapi.DueAct {
		return ledgerapi.DueAct{Due: no, Version: r.m.dues.at(r.m.dueByID.get(no)).version, Reason: "reason"}
	}
	late := func(person si.PersonNo) si.DueID {
		for _, d := range r.m.DuesOf(person, 0) {
			if d.Fund == si.MedRes && d.State == ledgerapi.DueOpen {
				return d.Ref.ID
			}
		}
		r.t.Fatalf("person %d has no open medical due", person)
		return 0
	}
	pension := func(no si.PersonNo) ledgerapi.CoverAct { return coverAct(no, thisYear) }
	return []ledgerapi.Body{
		enrolled(1), enrolled(2), arriving(3),
		&ledgerapi.Suspend{CoverAct: pension(2)},
		&ledgerapi.Resume{CoverAct: pension(2)},
		&ledgerapi.ChangeGrade{CoverAct: pension(2), Base: 300_000, Rates: 1},
		&ledgerapi.TransferOut{CoverAct: pension(2), To: 330199},
		&ledgerapi.Terminate{CoverAct: pension(3), Reason: ledgerapi.TerminateMerged},
		&ledgerapi.BackPay{Person: 1, Fund: si.PensionRes, PType: si.Resident, Period: si.YearPeriod(2025), Base: testGrade, Rates: 1, DueDay: firstDay + 60},
		&ledgerapi.Open{Fund: si.MedRes, Period: si.YearPeriod(2026), First: 1, Last: 4},
		&ledgerapi.Replace{DueAct: named(late(1)), Rates: 1},
		&ledgerapi.SetLateRule{DueAct: named(late(1)), Rule: 1},
		&ledgerapi.Cancel{DueAct: named(late(2))},
		&ledgerapi.WriteOff{DueAct: named(late(3))},
		&ledgerapi.Proxy{Person: 1, Agent: 2, Scope: 1, Until: firstDay},
		&ledgerapi.Bind{Person: 1, Phone: hashOf("phone", 1), Sealed: []byte("sealed")},
		&ledgerapi.Certify{Person: 4, Kind: ledgerapi.CertifyVisit, On: firstDay, Until: firstDay + 9, Next: firstDay + 9},
		&ledgerapi.CaseOpen{Kind: ledgerapi.CaseRecord, Person: 1, Office: "hall", Note: "note"},
		&ledgerapi.CaseMove{Case: 1, To: ledgerapi.CaseAccepted, Owner: 3, Note: "step"},
		&ledgerapi.Book{Person: 1, Office: "hall", Date: firstDay, Minute: 540, Capacity: 1},
		&ledgerapi.Book{Person: 1, Office: "hall", Date: firstDay, Minute: 600, Capacity: 1},
		&ledgerapi.CancelBooking{Booking: 1},
		&ledgerapi.IssueStatement{Person: 1, Kind: 1, From: 300, To: 310, Hash: [32]byte{1}},
		r.sign(1, 1),
		&ledgerapi.MandateMove{Mandate: 1, To: ledgerapi.MandateActive, Agreement: "agreement"},
	}
}

// settled makes the people, cards and dues that everyAct is about.
func (r *rig) settled() *rig {
	r.open(3)
	r.must(ledgerapi.PutPerson{ID: r.id(), IDHash: hashOf("id", 3), PType: si.Resident, Flags: ledgerapi.FlagRetired})
	r.card(1, 1, 1, ledgerapi.CardActive)
	for no := si.PersonNo(1); no <= 3; no++ {
		r.must(ledgerapi.Assess{ID: r.id(), Fund: si.MedRes, PType: si.Resident, Period: si.YearPeriod(2026), Kind: ledgerapi.DueYear,
			DueDay: firstDay - 1, Version: 1, Items: []ledgerapi.AssessItem{{Person: no}}})
	}
	return r
}

// through does an act, with a second person where it needs one.
func (r *rig) through(a ledgerapi.Act) ledgerapi.Result {
	r.t.Helper()
	got := r.as(1, a)
	if got.Code == ledgerapi.NeedsSecondPerson {
		got = r.as(2, r.act(&ledgerapi.Approve{Subject: a.ID, Verdict: ledgerapi.VerdictYes}))
	}
	if got.Code != ledgerapi.OK {
		r.t.Fatalf("%T = %s %s, want OK", a.Do, got.Code, ledgerapi.Reasons(got.Reasons))
	}
	return got
}

// allRecords does everyAct.
func (r *rig) allRecords() *rig {
	r.settled()
	for _, do := range everyAct(r) {
		r.through(r.act(do))
	}
	return r
}

// TestActsAreIdempotent repeats each act under its id: the same answer, no
// change; and asks something else under the id.
func TestActsAreIdempotent(t *testing.T) {
	r := newRig(t, Config{}).settled()
	for _, do := range everyAct(r) {
		a := r.act(do)
		first := r.through(a)
		before := records(r.m, 1)
		again := r.as(3, a)
		want := first
		want.Code, want.First = ledgerapi.Exists, ledgerapi.OK
		if again != want {
			t.Errorf("%T again = %+v, want %+v", do, again, want)
		}
		other := ledgerapi.Act{ID: a.ID, Do: &ledgerapi.CancelBooking{Booking: 77}}
		if got := r.as(1, other); got.Code != ledgerapi.IDReused {
			t.Errorf("another act under the id of %T = %s, want ID_REUSED", do, got.Code)
		}
		if !reflect.DeepEqual(records(r.m, 1), before) {
			t.Errorf("%T again changed something", do)
		}
		r.check()
	}
	// Once its day is sealed an act is remembered too.
	a := r.act(&ledgerapi.IssueStatement{Person: 1, Kind: 2, From: 300, To: 310, Hash: [32]byte{2}})
	first := r.must(a)
	r.cut()
	r.must(ledgerapi.SealDay{ID: r.id(), Date: firstDay})
	if got := r.do(a); got.Code != ledgerapi.Exists || got.No != first.No {
		t.Errorf("an act of a sealed date again = %s %d, want EXISTS %d", got.Code, got.No, first.No)
	}
}

// TestRecordsSurvive restores every kind of record from its rows, and goes on
// from there.
func TestRecordsSurvive(t *testing.T) {
	store := &storeRows{past: newMemPast()}
	r := newRig(t, Config{Past: store.past}).allRecords()
	r.as(1, r.act(&ledgerapi.WriteOff{DueAct: r.dueAct(r.m.dueByID.get(1))})) // one that waits
	c := r.m.Freeze()
	c.Step(1 << 30)
	store.save(t, c)
	r.m.Release(c)
	for _, b := range []Bucket{BucketProxy, BucketCover, BucketCoverMove, BucketArrival, BucketCoverCert, BucketMandate, BucketBinding,
		BucketCertified, BucketStatement, BucketCase, BucketCaseStep, BucketBooking} {
		if len(store.past.keys(b, "")) == 0 {
			t.Errorf("the checkpoint has no row of %s", b)
		}
	}
	m := store.load(t)
	if m.Digest() != r.m.Digest() {
		t.Fatal("the restored ledger has another digest")
	}
	sameRecords(t, m, r.m, 4)
	if err := m.Check(); err != nil {
		t.Fatal(err)
	}
	r.m = m
	if got := r.must(r.act(&ledgerapi.CaseOpen{Kind: ledgerapi.CaseRecord, Person: 1})); got.No != 3 {
		t.Errorf("the next case is %d, want 3", got.No)
	}
	if got := r.do(r.act(&ledgerapi.Book{Person: 2, Office: "hall", Date: firstDay, Minute: 600, Capacity: 1})); got.Code != ledgerapi.BadTransition {
		t.Errorf("Book of a full slot after a restart = %s, want BAD_TRANSITION", got.Code)
	}
	if got := r.do(r.act(r.sign(1, 1))); got.Code != ledgerapi.Exists || got.No != 1 {
		t.Errorf("MandateSign after a restart = %s %d, want EXISTS 1", got.Code, got.No)
	}
	r.check()
}

// TestRecordsRefuse feeds rows of records that do not have their form.
func TestRecordsRefuse(t *testing.T) {
	r := newRig(t, Config{Past: newMemPast()}).allRecords()
	c := r.m.Freeze()
	c.Step(1 << 30)
	var rows []Change
	_ = c.Each(func(x Change) error {
		if x.Bucket <= LastLive {
			rows = append(rows, Change{x.Bucket, bytes.Clone(x.Key), bytes.Clone(x.Value)})
		}
		return nil
	})
	feed := func(i int, bad Change) error {
		all := slices.Clone(rows)
		all[i] = bad
		return New(Config{Region: 1, Area: testArea}).Restore(rowsNext(all))
	}
	seen := 0
	for i, x := range rows {
		if x.Bucket < BucketProxy {
			continue
		}
		seen++
		for what, bad := range map[string]Change{
			"cut":            {x.Bucket, x.Key, x.Value[:len(x.Value)-1]},
			"longer":         {x.Bucket, x.Key, append(bytes.Clone(x.Value), 0)},
			"of another key": {x.Bucket, append(bytes.Clone(x.Key), 0), x.Value},
		} {
			if err := feed(i, bad); !errors.Is(err, ErrRows) {
				t.Errorf("Restore with %s/%x %s = %v, want ErrRows", x.Bucket, x.Key, what, err)
			}
		}
	}
	if seen < 12 {
		t.Errorf("only %d rows of records", seen)
	}
}

// TestCheckFindsRecords plants damage in records and holds that the full check
// sees each.
func TestCheckFindsRecords(t *testing.T) {
	for name, plant := range map[string]func(m *Machine){
		"two of a group": func(m *Machine) {
			m.covers.add(cover{key: coverKey{1, si.PensionEmp, 1}, state: ledgerapi.CoverActive})
		},
		"a live spell before the last": func(m *Machine) {
			m.covers.add(cover{key: coverKey{1, si.PensionRes, 2}, state: ledgerapi.CoverActive})
		},
		"active until":                  func(m *Machine) { m.covers.get(coverKey{1, si.PensionRes, 1}).to = 5 },
		"ended for no reason":           func(m *Machine) { m.covers.get(coverKey{3, si.PensionRes, 1}).reason = 0 },
		"came in without a certificate": func(m *Machine) { m.covers.get(coverKey{1, si.PensionRes, 1}).flags = coverArrived },
		"a change too many":             func(m *Machine) { m.covers.get(coverKey{2, si.PensionRes, 1}).changes++ },
		"two mandates": func(m *Machine) {
			m.mandates.add(mandate{no: 2, person: 1, bank: testBank, funds: ledgerapi.FundsOf(si.MedRes), state: ledgerapi.MandateSigned})
		},
		"active without agreement":   func(m *Machine) { m.mandates.get(1).agreed = 0 },
		"mandate of nobody":          func(m *Machine) { m.mandates.get(1).person = 9 },
		"mandate off the thread":     func(m *Machine) { m.mandatesOf.heads.del(1, 1) },
		"certified backwards":        func(m *Machine) { m.certified.add(certified{key: certifiedKey{4, 2}, on: firstDay - 1}) },
		"certified out of order":     func(m *Machine) { m.certified.add(certified{key: certifiedKey{4, 3}, on: firstDay}) },
		"statement off the thread":   func(m *Machine) { m.papersOf.heads.del(1, 1) },
		"case state":                 func(m *Machine) { m.cases.get(1).state = ledgerapi.CaseDone },
		"case step":                  func(m *Machine) { m.caseSteps.get(caseStepKey{1, 1}).to = ledgerapi.CaseDone },
		"case steps":                 func(m *Machine) { m.cases.get(2).steps++ },
		"case about cover not there": func(m *Machine) { m.cases.get(1).cover = coverKey{1, si.PensionRes, 9} },
		"slot over its places": func(m *Machine) {
			m.bookings.get(1).state = ledgerapi.BookingTaken
			m.bookings.get(1).slot = m.bookings.get(2).slot
			m.taken[m.bookings.get(2).slot]++
		},
		"slot counted wrong":           func(m *Machine) { m.taken[m.bookings.get(2).slot] = 0 },
		"appointment off the thread":   func(m *Machine) { m.bookingsOf.heads.del(1, 2) },
		"leave to act off the threads": func(m *Machine) { m.agencies[1].heads.del(2, 1) },
	} {
		r := newRig(t, Config{}).allRecords()
		r.check()
		plant(r.m)
		if err := r.m.Check(); !errors.Is(err, ErrInvariant) {
			t.Errorf("%s: Check = %v, want ErrInvariant", name, err)
		}
	}
}

// BenchmarkCoverMemory measures the heap per spell of cover, index included, and
// what an Enrol costs.
func BenchmarkCoverMemory(b *testing.B) {
	heap := func() float64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	const n = 8 * chunkLen
	for b.Loop() {
		r := newRig(b, Config{Volatile: true}).open(1)
		for i := 1; i < n; i++ {
			slot, p := r.m.persons.take()
			p.idHash, p.ptype = hashOf("id", i), si.Resident
			r.m.byIDHash.put(p.idHash, slot)
		}
		before := heap()
		for i := range n {
			c := enrolled(si.PersonNo(i + 1))
			var out ledgerapi.Result
			if r.m.applyEnrol(&act{}, c, &out); out.Code != ledgerapi.OK {
				b.Fatal(out.Code)
			}
		}
		b.ReportMetric((heap()-before)/n, "B/spell")
		runtime.KeepAlive(r)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/spell")
}
