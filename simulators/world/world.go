package world

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"sync"
	"time"

	"github.com/shebao-pay/shebao/data"
	"github.com/shebao-pay/shebao/settlement/engine"
	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// The phases of a day, since it began at 07:00 China time.
const (
	warmUp  = time.Hour
	chaos   = 19 * time.Hour   // ends past midnight, behind every bank's cutover
	healing = 16 * time.Minute // the longest wait of a reversal, and a link that comes up
	dayEnd  = 22 * time.Hour
)

// Sizes of a world.
const (
	citizens  = 700
	terminals = 6
)

// citizen is one person with a card.
type citizen struct {
	n    int
	no   si.PersonNo
	bank *bank
	pan  string
}

// World is one seed's day.
type World struct {
	seed  uint64
	plan  Plan
	rates [faultEnd]int // of the plan
	k     *kernel
	epoch time.Time // virtual time 0
	net   dice
	calm  bool // no faults: warm-up, healing, day's end

	profiles  []*profile.Profile
	banks     map[si.Bank]*bank
	order     []*bank
	hub       *hub
	ledger    *ledger
	truth     *truth
	terminals []*terminal
	people    []*citizen
	crowd     dice

	asked  int
	checks map[string]uint64
	cells  Cells
	found  []Violation

	without string // an invariant that is switched off
	tale    tale
}

// Violation is an invariant that does not hold.
type Violation struct {
	Seed      uint64       `json:"seed"`
	Invariant string       `json:"invariant"`
	Payment   si.PaymentID `json:"-"`
	ID        string       `json:"payment,omitempty"`
	At        string       `json:"at"`
	What      string       `json:"what"`
}

// maxViolations is how many are kept of one seed: the first tells, the rest
// follow from it.
const maxViolations = 20

func (w *World) violate(inv string, id si.PaymentID, format string, args ...any) {
	if inv == w.without {
		return
	}
	if len(w.found) < maxViolations {
		v := Violation{Seed: w.seed, Invariant: inv, Payment: id, At: w.true().Format("15:04:05.000"), What: fmt.Sprintf(format, args...)}
		if !id.IsZero() {
			v.ID = id.String()
		}
		w.found = append(w.found, v)
	}
	w.story(id, "VIOLATION of %s: %s", inv, fmt.Sprintf(format, args...))
}

// chance is true when a fault happens now.
func (w *World) chance(d dice, f Fault) bool {
	if w.calm || !d.luck(w.rates[f]) {
		return false
	}
	w.cells.Faults[f]++
	return true
}

// meets notes that a fault has met a payment in its present state.
func (w *World) meets(f Fault, id si.PaymentID) {
	w.cells.Met[f][w.truth.state(id)]++
	w.story(id, "! %s", f)
}

// meetsAll notes that a fault has met every payment under way at a bank, 0 for
// all banks.
func (w *World) meetsAll(f Fault, no si.Bank) {
	for _, p := range w.ledger.m.Pending(no) {
		w.cells.Met[f][p.State]++
		w.story(p.ID, "! %s", f)
	}
}

// meetsEach notes that a fault has met the payments of a batch.
func (w *World) meetsEach(f Fault, batch []command) {
	for _, c := range batch {
		w.meets(f, c.body.Key())
	}
}

// true is the real time of the world; wall is the hub's clock.
func (w *World) true() time.Time { return w.epoch.Add(w.k.now) }
func (w *World) wall() time.Time { return w.epoch.Add(w.k.now + w.hub.skew) }

// newID makes a payment id: the moment, then chance.
func (w *World) newID(d dice) (id si.PaymentID) {
	binary.BigEndian.PutUint64(id[:8], uint64(w.true().UnixMilli())<<16)
	binary.BigEndian.PutUint16(id[6:8], uint16(d.Uint32()))
	binary.BigEndian.PutUint64(id[8:], d.Uint64())
	return id
}

// profiles are the four demo banks, read once.
var demoProfiles = sync.OnceValues(func() ([]*profile.Profile, error) {
	dirs, err := fs.Glob(data.Banks, "banks/*")
	if err != nil {
		return nil, err
	}
	var all []*profile.Profile
	for _, dir := range dirs {
		p, err := profile.LoadFS(data.Banks, dir)
		if err != nil {
			return nil, err
		}
		all = append(all, asking(p))
	}
	return all, nil
})

// asking has two of the banks take status inquiries and script notices, which
// none of the demo's does: at ccb "not known" is proof, at boc only "approved" is.
func asking(p *profile.Profile) *profile.Profile {
	if p.Code != "ccb" && p.Code != "boc" {
		return p
	}
	q := p.WithTimers(func(t *profile.Timers) { t.Inquiry = 10 * time.Second })
	q.InquireFirst, q.InquiryIsProof = true, p.Code == "ccb"
	q.Rules[profile.ScriptNotify].Request.MTI = "0620"
	q.DE55 = maps.Clone(p.DE55)
	q.DE55["script"] = []uint32{0x9F36, 0xDF31}
	return q
}

// newWorld makes a day that is about to begin.
func newWorld(seed uint64, plan Plan) (*World, error) {
	profiles, err := demoProfiles()
	if err != nil {
		return nil, fmt.Errorf("world: %w", err)
	}
	w := &World{seed: seed, plan: plan, k: newKernel(), epoch: time.Date(2026, 11, 24, 7, 0, 0, 0, si.China), calm: true,
		profiles: profiles, banks: map[si.Bank]*bank{}, checks: map[string]uint64{},
		net: newDice(seed, streamNet), crowd: newDice(seed, streamCitizen)}
	for _, f := range plan.faults() {
		w.rates[f] = plan[f]
	}
	w.truth = newTruth(w)
	w.hub = newHub(w, newDice(seed, streamHub))
	w.ledger = newLedger(w, newDice(seed, streamLog))
	for _, p := range profiles {
		b := newBank(w, newDice(seed, streamBank<<8|uint64(p.Number)), p)
		w.banks[p.Number] = b
		w.order = append(w.order, b)
	}
	for i := range terminals {
		w.terminals = append(w.terminals, &terminal{w: w, d: newDice(seed, streamClock<<8|uint64(i)), no: si.Terminal(i + 1), on: true})
	}
	return w, w.populate()
}

// populate sets the region up: rates, facts, open dates, people and their dues.
func (w *World) populate() error {
	l := w.ledger
	rates, err := data.Start.ReadFile("rates/330110.yaml")
	if err != nil {
		return fmt.Errorf("world: %w", err)
	}
	id := func(n int) (id si.PaymentID) {
		binary.BigEndian.PutUint64(id[:8], uint64(w.epoch.UnixMilli())<<16)
		id[7] = 's'
		binary.BigEndian.PutUint64(id[8:], uint64(n))
		return id
	}
	r := l.must(ledgerapi.PutConfig{ID: id(1), Kind: ledgerapi.ConfigRates, Name: "330110", From: 1, Body: rates, Maker: 1, Checker: 2}, 1)
	for i, b := range w.order {
		facts, err := data.Start.ReadFile("facts/" + b.prof.Code + ".txt")
		if err != nil {
			return fmt.Errorf("world: %w", err)
		}
		l.must(ledgerapi.PutConfig{ID: id(10 + i), Kind: ledgerapi.ConfigBankFacts, Name: b.prof.Code, From: 1, Body: facts, Maker: 1, Checker: 2}, 1)
		l.must(ledgerapi.Cutover{ID: id(20 + i), Bank: b.no, To: b.today()}, 0)
	}
	var items []ledgerapi.AssessItem
	for n := range citizens {
		var h si.Hash
		binary.BigEndian.PutUint64(h[:], uint64(n+1))
		p := l.must(ledgerapi.PutPerson{ID: id(1000 + n), IDHash: h, PType: si.Resident, Household: area, Sex: 1}, 0)
		c := &citizen{n: n, no: p.Person, bank: w.order[n%len(w.order)], pan: fmt.Sprintf("62990%d%08d", n%len(w.order), n)}
		check, err := si.LuhnDigit(c.pan)
		if err != nil {
			return fmt.Errorf("world: %w", err)
		}
		c.pan += string(check)
		w.people = append(w.people, c)
		items = append(items, ledgerapi.AssessItem{Person: p.Person})
	}
	for i, a := range []ledgerapi.Assess{
		{Fund: si.MedRes, Period: si.YearPeriod(2025)}, {Fund: si.MedRes, Period: si.YearPeriod(2026)},
		{Fund: si.PensionRes, Period: si.YearPeriod(2025)}, {Fund: si.PensionRes, Period: si.YearPeriod(2026)},
	} {
		a.ID, a.PType, a.Kind, a.DueDay, a.Version = id(30+i), si.Resident, ledgerapi.DueYear, si.Date(2026, 12, 31), r.Version
		a.Items = append([]ledgerapi.AssessItem(nil), items...)
		if a.Fund == si.PensionRes {
			for k := range a.Items {
				a.Items[k].Base = grades[a.Period.Year()]
			}
		}
		l.must(a, 0)
	}
	return nil
}

// grades is what every citizen chose, from the table of the model district.
var grades = map[int]si.Fen{2025: 100_00, 2026: 300_00}

// cardOf is the citizen of a card.
func (w *World) cardOf(pan si.PAN) int {
	digits := pan.AppendDigits(nil, "simulated bank")
	n := 0
	for _, c := range digits[6 : len(digits)-1] {
		n = 10*n + int(c-'0')
	}
	return n
}

// intentOf is a terminal's payment as the hub takes it.
func (w *World) intentOf(t *terminal, i *intent) engine.Intent {
	pan, err := si.ParsePAN(i.who.pan)
	if err != nil {
		w.violate("setup", i.id, "card %d: %v", i.who.n, err)
	}
	block, _ := si.NewPINBlock(make([]byte, 16))
	return engine.Intent{ID: i.id, Terminal: t.no, Bank: i.who.bank.no, Dues: i.dues, Total: i.total,
		Card: engine.CardData{PAN: pan, PSN: "01", Expiry: "3012", PINBlock: block, PINKey: "pad", PINFormat: si.PINFormat4AES}}
}

// payable are a citizen's dues that may be paid now, the oldest of each fund
// first, at most n.
func (w *World) payable(c *citizen, n int) (refs []ledgerapi.DueRef) {
	for _, d := range w.ledger.m.DuesOf(c.no, si.DateOf(w.true())) {
		if len(refs) < n && d.Payer == ledgerapi.PayerPerson && d.State == ledgerapi.DueOpen {
			refs = append(refs, d.Ref)
		}
	}
	return refs
}

// visit is one citizen who goes to pay.
func (w *World) visit() {
	c := w.people[w.crowd.IntN(len(w.people))]
	dues := w.payable(c, 1+w.crowd.IntN(2)*w.crowd.IntN(3))
	if len(dues) == 0 {
		return
	}
	w.pay(c, dues)
	if w.chance(w.crowd, SameDue) {
		w.cells.Met[SameDue][ledgerapi.PayNone]++
		w.k.after(w.crowd.between(0, 20*time.Second), func() { w.pay(c, dues) })
	}
}

func (w *World) pay(c *citizen, dues []ledgerapi.DueRef) {
	if w.crowd.IntN(4) == 0 {
		c.bank.counter.serve(dues)
		return
	}
	if t := w.terminals[w.crowd.IntN(len(w.terminals))]; t.on {
		t.serve(c, dues)
	}
}

// seconds are the troubles that come with time.
func (w *World) seconds() {
	for _, b := range w.order {
		b.second()
	}
	w.hub.second()
	w.k.after(time.Second, w.seconds)
}

// live plays the day with about n payments.
func (w *World) live(n int) {
	w.hub.start()
	w.k.run(time.Minute)
	w.seconds()
	for i := range n {
		at := time.Minute + w.crowd.between(0, warmUp+chaos-2*time.Minute)
		if i%3 == 0 { // people come in crowds
			at = at.Truncate(20*time.Minute) + w.crowd.between(0, 30*time.Second)
		}
		w.k.at(at, w.visit)
	}
	w.k.run(warmUp)
	w.calm = false
	w.k.run(warmUp + chaos)
	w.heal()
	w.k.run(warmUp + chaos + healing)
	w.healed()
	w.k.run(dayEnd)
	w.end()
}

// heal ends the faults; what is under way goes on.
func (w *World) heal() {
	w.calm = true
	w.hub.skew, w.hub.frozen = 0, 0
	for _, b := range w.order {
		b.silent, b.slow, b.busy = 0, 0, 0
	}
}

// healed holds that everything that a bank can still prove has come to its end.
func (w *World) healed() {
	w.checks["I10"]++
	for _, p := range w.ledger.m.Pending(0) {
		if _, ok := w.hub.engine.Answer(p.ID); !ok {
			w.violate("I10", p.ID, "is %s, and the engine does not know of it", p.State)
		}
	}
	for _, o := range w.hub.engine.Unresolved() {
		b := w.banks[o.Bank]
		if o.State == engine.Desk || !b.prof.NoOriginalFinal {
			continue // the day's file ends it
		}
		// A bank that reverses nothing of another date can prove nothing of a
		// payment that it dates otherwise than a hub whose clock had jumped.
		if d := w.truth.deal(w.truth.fact(o.ID)); !b.prof.CrossDaySend && d != nil && d.date != b.today() {
			continue
		}
		w.violate("I10", o.ID, "is still %s %s after the last fault, attempt %d", o.State, healing, o.Tries)
	}
}

// end is the day's end: the banks' files end what is in doubt, and everything
// is added up.
func (w *World) end() {
	for _, p := range w.ledger.m.Pending(0) {
		w.byFile(p)
	}
	w.k.run(w.k.now + time.Minute)
	if n, m := w.hub.engine.Scripts(), len(w.ledger.m.Advices()); n+m > 0 {
		w.violate("I10", si.PaymentID{}, "%d script notices wait in the engine, %d in the ledger", n, m)
	}
	if n := w.hub.engine.Live(); n > 0 {
		w.violate("I10", si.PaymentID{}, "the engine still holds %d payments", n)
	}
	w.truth.final()
	w.checks["I4"]++
	if err := w.ledger.m.Check(); err != nil {
		w.violate("I4", si.PaymentID{}, "%v", err)
	}
	if err := w.ledger.replay(); err != nil {
		w.violate("I4", si.PaymentID{}, "%v", err)
	}
}

// byFile ends a payment by what the bank's file says of it, as two persons do.
func (w *World) byFile(p ledgerapi.Payment) {
	f := w.truth.fact(p.ID)
	d := w.truth.deal(f)
	w.story(p.ID, "the bank's file ends it")
	if d != nil && d.stands() {
		f.undo = false // people keep what the bank no longer reverses
		w.ledger.direct(ledgerapi.Post{ID: p.ID, Evidence: ledgerapi.Evidence{Source: ledgerapi.SourceFile, Resp: [2]byte{'0', '0'}, BankDate: d.date},
			Maker: 1, Checker: 2}, 0)
		w.hub.step(engine.Resolved{ID: p.ID, State: ledgerapi.PayPosted})
		return
	}
	w.ledger.direct(ledgerapi.Void{ID: p.ID, Proof: ledgerapi.ProofFileAbsent, Maker: 1, Checker: 2}, 0)
	w.hub.step(engine.Resolved{ID: p.ID, State: ledgerapi.PayVoided})
}

// hash is the day's fingerprint.
func (w *World) hash() string {
	head := w.ledger.m.Head()
	w.k.note('E', uint64(w.truth.posted)<<32|uint64(w.truth.voided), binary.LittleEndian.Uint64(head[:]))
	return hex.EncodeToString(w.k.sum.Sum(nil))
}
