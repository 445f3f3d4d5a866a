package core

import (
	"bytes"
	"encoding/binary"
	"os"
	"time"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

const (
	testArea = si.AreaCode(330110)
	testBank = si.Bank(3)
)

// firstDay is the open date of every bank in the harness.
var firstDay = si.Date(2026, time.November, 20)

// tester is what the harness needs of a testing.T, a testing.B or a rapid.T.
type tester interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Fatal(args ...any)
}

// rig drives a machine through its one entrance: encoded batches.
type rig struct {
	t     tester
	m     *Machine
	index uint64
	at    int64
	ids   uint64
	log   [][]byte        // batches, for replays
	actor func() si.Actor // who does an Act; nil for the machine
}

func newRig(t tester, cfg Config) *rig {
	cfg.Region, cfg.Area = 1, testArea
	return &rig{t: t, m: New(cfg), at: firstDay.Time().Add(9 * time.Hour).UnixMilli()}
}

// id makes a payment id that was created now.
func (r *rig) id() si.PaymentID {
	r.ids++
	var id si.PaymentID
	var at [8]byte
	binary.BigEndian.PutUint64(at[:], uint64(r.at))
	copy(id[:6], at[2:])
	binary.BigEndian.PutUint64(id[8:], r.ids)
	return id
}

// do applies commands as one batch and gives the last result.
func (r *rig) do(all ...ledgerapi.Command) ledgerapi.Result {
	r.t.Helper()
	results := r.batch(all...)
	return results[len(results)-1]
}

func (r *rig) batch(all ...ledgerapi.Command) []ledgerapi.Result {
	r.t.Helper()
	var b []byte
	for _, c := range all {
		r.at++
		h := ledgerapi.Header{AtMillis: uint64(r.at)}
		if _, ok := c.(ledgerapi.Act); ok && r.actor != nil {
			h.Actor = r.actor()
		}
		b = ledgerapi.AppendRecord(b, h, c)
	}
	r.log = append(r.log, b)
	r.index++
	results, err := r.m.ApplyBatch(r.index, b, nil)
	if err != nil {
		r.t.Fatalf("ApplyBatch: %v", err)
	}
	return results
}

// must applies a command that has to be answered OK.
func (r *rig) must(c ledgerapi.Command) ledgerapi.Result {
	r.t.Helper()
	res := r.do(c)
	if res.Code != ledgerapi.OK {
		r.t.Fatalf("%T = %s, want OK", c, res.Code)
	}
	return res
}

func (r *rig) check() {
	r.t.Helper()
	if err := r.m.Check(); err != nil {
		r.t.Fatal(err)
	}
}

func shippedRates(t tester) []byte { return shipped(t, "rates") }

// shipped is a table of the model district.
func shipped(t tester, kind string) []byte {
	body, err := os.ReadFile("../../data/" + kind + "/330110.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return body
}

const testFacts = `shebao-bank-facts 1
bank 3
# one account for all funds
account INCOME 330110-3-INCOME
fund PENSION_EMP INCOME
fund PENSION_RES INCOME
fund MED_EMP INCOME
fund MED_RES INCOME
fund INJURY INCOME
`

// open puts business data, opens the bank's window and registers persons.
func (r *rig) open(persons int) *rig {
	r.t.Helper()
	r.must(ledgerapi.PutConfig{ID: r.id(), Kind: ledgerapi.ConfigRates, Name: "330110", From: 1, Body: shippedRates(r.t), Maker: 1, Checker: 2})
	r.must(ledgerapi.PutConfig{ID: r.id(), Kind: ledgerapi.ConfigBankFacts, Name: "ccb", From: 1, Body: []byte(testFacts), Maker: 1, Checker: 2})
	r.must(ledgerapi.PutConfig{ID: r.id(), Kind: ledgerapi.ConfigCover, Name: "330110", From: 1, Body: shipped(r.t, "cover"), Maker: 1, Checker: 2})
	r.must(ledgerapi.Cutover{ID: r.id(), Bank: testBank, To: firstDay})
	for i := range persons {
		res := r.must(ledgerapi.PutPerson{ID: r.id(), IDHash: hashOf("id", i), PType: si.Resident, Sealed: []byte("sealed")})
		if res.Person != si.PersonNo(i+1) {
			r.t.Fatalf("person %d got number %d", i+1, res.Person)
		}
	}
	return r
}

func hashOf(kind string, i int) (h si.Hash) {
	copy(h[:], kind)
	binary.BigEndian.PutUint64(h[8:], uint64(i+1))
	return h
}

// medical assesses the yearly resident medical due (510.00 in 2026) of persons.
func (r *rig) medical(year int, persons ...si.PersonNo) {
	r.t.Helper()
	r.assess(si.MedRes, si.Resident, si.YearPeriod(year), 0, persons...)
}

// pension assesses a grade of the resident pension, all of it individual.
func (r *rig) pension(year int, grade si.Fen, persons ...si.PersonNo) {
	r.t.Helper()
	r.assess(si.PensionRes, si.Resident, si.YearPeriod(year), grade, persons...)
}

func (r *rig) assess(f si.Fund, p si.PType, period si.Period, base si.Fen, persons ...si.PersonNo) ledgerapi.Result {
	r.t.Helper()
	c := ledgerapi.Assess{ID: r.id(), Fund: f, PType: p, Period: period, Kind: ledgerapi.DueYear, DueDay: firstDay + 30, Version: 1}
	for _, no := range persons {
		c.Items = append(c.Items, ledgerapi.AssessItem{Person: no, Base: base})
	}
	return r.must(c)
}

// refs are a person's open dues as a terminal would name them.
func (r *rig) refs(no si.PersonNo) (refs []ledgerapi.DueRef, total si.Fen) {
	for _, d := range r.m.DuesOf(no, firstDay) {
		if d.State == ledgerapi.DueOpen && d.Payer == ledgerapi.PayerPerson {
			refs = append(refs, d.Ref)
			total += d.Ref.Amount + d.Ref.LateFee
		}
	}
	return refs, total
}

var testAcq = [8]byte{'1', '2', '3', '4', '5', '6', '7', '8'}

func (r *rig) reserve(no si.PersonNo) ledgerapi.Reserve {
	refs, total := r.refs(no)
	return ledgerapi.Reserve{ID: r.id(), Channel: si.ChannelTerminal, Terminal: 7, Acq: testAcq, Batch: 1, Bank: testBank,
		CardKind: 1, Dues: refs, Total: total, OurDate: r.openDate(), Memo: []byte("memo")}
}

func (r *rig) pay(no si.PersonNo) ledgerapi.Pay {
	refs, total := r.refs(no)
	return ledgerapi.Pay{ID: r.id(), Channel: si.ChannelCounter, Bank: testBank, Dues: refs, Total: total,
		HostSerial: "001122334455", BankDate: r.openDate(), OurDate: r.openDate(), STAN: 77, DE7: [10]byte([]byte("1120090000"))}
}

func (r *rig) openDate() si.BusinessDate {
	w, _ := r.m.Window(testBank)
	return w.Open
}

func approval(id si.PaymentID, date si.BusinessDate) ledgerapi.Post {
	return ledgerapi.Post{ID: id, Evidence: ledgerapi.Evidence{Source: ledgerapi.SourceWire, Resp: [2]byte{'0', '0'},
		Auth: [6]byte{'1', '2', '3', '4', '5', '6'}, HostSerial: "H1", BankDate: date, MACOK: true, KeyGen: 1}}
}

func voidBy(id si.PaymentID, proof ledgerapi.Proof) ledgerapi.Void {
	v := ledgerapi.Void{ID: id, Proof: proof, Resp: [2]byte{'0', '0'}}
	if proof == ledgerapi.ProofDesk {
		v.Maker, v.Checker = 1, 2
	}
	return v
}

func reversing(id si.PaymentID) ledgerapi.Annotate {
	return ledgerapi.Annotate{ID: id, Stage: ledgerapi.StageReversing, Reason: [2]byte{'9', '8'}, Memo: []byte("reversing")}
}

// cut moves the bank's window by one day, and the clock with it.
func (r *rig) cut() {
	r.t.Helper()
	open := r.openDate()
	r.at = max(r.at, (open + 1).Time().Add(time.Hour).UnixMilli())
	r.must(ledgerapi.Cutover{ID: r.id(), Bank: testBank, From: open, To: open + 1})
}

// memPast is a Past in memory, filled by checkpoints.
type memPast struct{ rows [bucketEnd]map[string][]byte }

func newMemPast() *memPast {
	p := &memPast{}
	for i := range p.rows {
		p.rows[i] = map[string][]byte{}
	}
	return p
}

func (p *memPast) Get(b Bucket, key []byte) ([]byte, bool) {
	v, ok := p.rows[b][string(key)]
	return v, ok
}

// rowsNext feeds Restore from rows, of each bucket in the order given.
func rowsNext(rows []Change) func(b Bucket, from []byte) (Change, bool, error) {
	var of [bucketEnd][]Change
	for _, c := range rows {
		of[c.Bucket] = append(of[c.Bucket], c)
	}
	return func(b Bucket, from []byte) (Change, bool, error) {
		for len(of[b]) > 0 && from != nil && bytes.Compare(of[b][0].Key, from) < 0 {
			of[b] = of[b][1:]
		}
		if len(of[b]) == 0 {
			return Change{}, false, nil
		}
		c := of[b][0]
		of[b] = of[b][1:]
		return c, true, nil
	}
}
