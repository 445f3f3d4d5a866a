package core

import (
	"encoding/binary"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// benchDues makes a ledger of persons with one open due each.
func benchDues(t tester, persons int, cfg Config) *rig {
	r := newRig(t, cfg)
	r.log = nil
	r.must(ledgerapi.PutConfig{ID: r.id(), Kind: ledgerapi.ConfigRates, Name: "330110", From: 1, Body: shippedRates(t), Maker: 1, Checker: 2})
	r.must(ledgerapi.PutConfig{ID: r.id(), Kind: ledgerapi.ConfigBankFacts, Name: "ccb", From: 1, Body: []byte(testFacts), Maker: 1, Checker: 2})
	r.must(ledgerapi.Cutover{ID: r.id(), Bank: testBank, To: firstDay})
	for i := 0; i < persons; {
		var batch []ledgerapi.Command
		for ; i < persons && len(batch) < 1000; i++ {
			batch = append(batch, ledgerapi.PutPerson{ID: r.id(), IDHash: hashOf("id", i), PType: si.Resident})
		}
		r.batch(batch...)
		r.log = r.log[:0]
	}
	r.refill(persons, 2026)
	return r
}

func (r *rig) refill(persons, year int) {
	for i := 0; i < persons; {
		c := ledgerapi.Assess{ID: r.id(), Fund: si.MedRes, PType: si.Resident, Period: si.YearPeriod(year),
			Kind: ledgerapi.DueYear, DueDay: firstDay + 30, Version: 1}
		for ; i < persons && len(c.Items) < ledgerapi.MaxAssess; i++ {
			c.Items = append(c.Items, ledgerapi.AssessItem{Person: si.PersonNo(i + 1)})
		}
		r.must(c)
		r.log = r.log[:0]
	}
}

// benchPays is n Pay records, each of another due, in random-looking order.
func benchPays(r *rig, n int) (recs [][]byte) {
	for i := range n {
		no := uint64(i)*7919%uint64(n) + 1
		c := ledgerapi.Pay{ID: r.id(), Channel: si.ChannelCounter, Bank: testBank, Dues: []ledgerapi.DueRef{{ID: si.DueID(no), Version: 1, Amount: 51_000}},
			Total: 51_000, HostSerial: "001122334455", BankDate: firstDay, OurDate: firstDay, STAN: 77, DE7: [10]byte([]byte("1120090000"))}
		binary.BigEndian.PutUint64(c.ID[6:], mix(uint64(i)))
		recs = append(recs, ledgerapi.AppendRecord(nil, ledgerapi.Header{AtMillis: uint64(r.at)}, c))
	}
	return recs
}

func benchTerminal(r *rig, n int) (recs [][]byte) {
	for i := range n {
		no := uint64(i)*7919%uint64(n) + 1
		c := ledgerapi.Reserve{ID: r.id(), Channel: si.ChannelTerminal, Terminal: 7, Acq: testAcq, Bank: testBank,
			Dues: []ledgerapi.DueRef{{ID: si.DueID(no), Version: 1, Amount: 51_000}}, Total: 51_000, OurDate: firstDay, Memo: make([]byte, 180)}
		binary.BigEndian.PutUint64(c.ID[6:], mix(uint64(i)))
		recs = append(recs, ledgerapi.AppendRecord(nil, ledgerapi.Header{AtMillis: uint64(r.at)}, c),
			ledgerapi.AppendRecord(nil, ledgerapi.Header{AtMillis: uint64(r.at)}, approval(c.ID, firstDay)))
	}
	return recs
}

func join(recs [][]byte, per int) (batches [][]byte) {
	for i := 0; i < len(recs); i += per {
		var b []byte
		for _, r := range recs[i:min(i+per, len(recs))] {
			b = append(b, r...)
		}
		batches = append(batches, b)
	}
	return batches
}

const benchPersons = 200_000

// run applies batches, making the ledger anew when they are used up.
func benchRun(b *testing.B, cfg Config, records, per int, make func(r *rig, n int) [][]byte) {
	var r *rig
	var batches [][]byte
	var results []ledgerapi.Result
	b.ReportAllocs()
	b.ResetTimer()
	next := 0
	for done := 0; done < b.N; {
		if r == nil || next == len(batches) {
			b.StopTimer()
			r = benchDues(b, benchPersons, cfg)
			batches = join(make(r, benchPersons), per)
			next = 0
			runtime.GC()
			b.StartTimer()
		}
		r.index++
		var err error
		if results, err = r.m.ApplyBatch(r.index, batches[next], results[:0]); err != nil {
			b.Fatal(err)
		}
		for i := range results {
			if results[i].Code != ledgerapi.OK {
				b.Fatalf("%+v", results[i])
			}
		}
		next++
		done += len(results) / records
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "payments/s")
}

// BenchmarkPay applies bank-initiated payments in batches of 100.
func BenchmarkPay(b *testing.B) { benchRun(b, Config{}, 1, 100, benchPays) }

// BenchmarkPayVolatile does without journal rows and change lists.
func BenchmarkPayVolatile(b *testing.B) { benchRun(b, Config{Volatile: true}, 1, 100, benchPays) }

// BenchmarkReservePost applies terminal payments, two records each.
func BenchmarkReservePost(b *testing.B) { benchRun(b, Config{}, 2, 100, benchTerminal) }

// BenchmarkCheckpoint freezes and encodes after 100,000 payments.
func BenchmarkCheckpoint(b *testing.B) {
	r := benchDues(b, benchPersons, Config{Past: newMemPast()})
	c := r.m.Freeze()
	c.Step(1 << 30)
	r.m.Release(c)
	batches := join(benchPays(r, 100_000), 100)
	for _, x := range batches {
		r.index++
		if _, err := r.m.ApplyBatch(r.index, x, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	start := time.Now()
	c = r.m.Freeze()
	b.ReportMetric(float64(time.Since(start).Microseconds()), "freeze-µs")
	longest := time.Duration(0)
	for done := false; !done; {
		t := time.Now()
		done = c.Step(1000)
		longest = max(longest, time.Since(t))
	}
	b.ReportMetric(float64(longest.Microseconds()), "longest-step-µs")
	b.ReportMetric(float64(time.Since(start).Milliseconds()), "encode-ms")
	t := time.Now()
	n := 0
	_ = c.Each(func(Change) error { n++; return nil })
	b.ReportMetric(float64(time.Since(t).Milliseconds()), "sort-ms")
	b.ReportMetric(float64(n), "rows")
}

// TestAllocations holds that Reserve, Post, Void and Pay allocate nothing in
// steady state. Chunks, indexes and change lists grow now and then; that is far
// below one allocation a batch.
func TestAllocations(t *testing.T) {
	const runs = 2000
	for _, tc := range []struct {
		name string
		make func(r *rig, n int) [][]byte
		per  int
	}{
		{"Reserve, Void", func(r *rig, n int) [][]byte {
			recs := benchTerminal(r, n)
			for i := 1; i < len(recs); i += 2 {
				h, _, _, _ := ledgerapi.SplitRecord(recs[i])
				recs[i] = ledgerapi.AppendRecord(nil, h, voidBy(h.ID, ledgerapi.ProofDeclined))
			}
			return recs
		}, 2},
		{"Reserve, Post", benchTerminal, 2},
		{"Pay", benchPays, 1},
	} {
		r := benchDues(t, runs+1, Config{})
		batches := join(tc.make(r, runs+1), tc.per)
		results := make([]ledgerapi.Result, 0, tc.per)
		i := 0
		got := testing.AllocsPerRun(runs, func() {
			r.index++
			var err error
			if results, err = r.m.ApplyBatch(r.index, batches[i], results[:0]); err != nil {
				t.Fatal(err)
			}
			for _, res := range results {
				if res.Code != ledgerapi.OK {
					t.Fatalf("%s: %s", tc.name, res.Code)
				}
			}
			i++
		})
		if got != 0 {
			t.Errorf("%s: %v allocations a batch, want 0", tc.name, got)
		}
	}
}

// TestMemory prints what dues and payments take; the sizes of the records are
// held, because a field too many costs a gigabyte in a city.
func TestMemory(t *testing.T) {
	for _, tc := range []struct {
		name      string
		got, want uintptr
	}{
		{"due", unsafe.Sizeof(due{}), 64},
		{"pay", unsafe.Sizeof(pay{}), 120},
		{"hold", unsafe.Sizeof(hold{}), 52},
	} {
		if tc.got != tc.want {
			t.Errorf("%s takes %d bytes, want %d", tc.name, tc.got, tc.want)
		}
	}
}

// BenchmarkMemory measures the heap per open due and per payment.
func BenchmarkMemory(b *testing.B) {
	heap := func() float64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	const n = 15 * chunkLen // dues; a third of them are paid
	for b.Loop() {
		empty := heap()
		r := benchDues(b, n/3, Config{Volatile: true})
		persons := heap()
		for y := 2027; y < 2029; y++ {
			r.refill(n/3, y)
		}
		full := heap()
		b.ReportMetric((full-empty)/n, "B/due")
		var results []ledgerapi.Result
		batches := join(benchPays(r, n/3), 100)
		before := heap()
		for _, x := range batches {
			r.index++
			var err error
			if results, err = r.m.ApplyBatch(r.index, x, results[:0]); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric((heap()-before)/(n/3), "B/payment")
		b.ReportMetric(persons-empty, "B-first-third")
		runtime.KeepAlive(r)
		runtime.KeepAlive(batches)
	}
}

// BenchmarkSealDay seals a day of 200,000 payments.
func BenchmarkSealDay(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		r := benchDues(b, benchPersons, Config{})
		var results []ledgerapi.Result
		for _, x := range join(benchPays(r, benchPersons), 100) {
			r.index++
			results, _ = r.m.ApplyBatch(r.index, x, results[:0])
		}
		r.cut()
		b.StartTimer()
		if got := r.must(ledgerapi.SealDay{ID: r.id(), Date: firstDay}); got.Count != benchPersons {
			b.Fatalf("sealed %d payments", got.Count)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/benchPersons*1000, "ns/payment")
}

// BenchmarkRestore fills a machine from the rows of 200,000 persons with a due each.
func BenchmarkRestore(b *testing.B) {
	r := benchDues(b, benchPersons, Config{})
	c := r.m.Freeze()
	c.Step(1 << 30)
	var rows []Change
	_ = c.Each(func(x Change) error {
		if x.Bucket <= LastLive {
			rows = append(rows, x)
		}
		return nil
	})
	for b.Loop() {
		if err := New(r.m.cfg).Restore(rowsNext(rows)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchPersons, "ns/person+due")
}
