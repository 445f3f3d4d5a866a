package core

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

func (p *memPast) keys(b Bucket, prefix string) (keys []string) {
	for _, k := range slices.Sorted(maps.Keys(p.rows[b])) {
		if strings.HasPrefix(k, prefix) {
			keys = append(keys, k)
		}
	}
	return keys
}

// TestTerminalPayment walks a payment at a terminal from Reserve to Post.
func TestTerminalPayment(t *testing.T) {
	r := newRig(t, Config{}).open(1)
	r.medical(2026, 1)
	r.pension(2026, 100_000, 1)
	c := r.reserve(1)
	res := r.must(c)
	if res.STAN != 1 || string(res.RRN[:]) != "632400000001" || string(res.DE7[:4]) != "1120" || res.State != ledgerapi.PayReserved {
		t.Errorf("Reserve = %+v", res)
	}
	if res.OurDate != firstDay || res.Total != 151_000 {
		t.Errorf("Reserve: our date %s, total %s, want %s, 1510.00", res.OurDate, res.Total, firstDay)
	}
	for _, b := range r.m.TrialBalance() {
		if b.PostedDr != 0 || b.PostedCr != 0 {
			t.Errorf("after Reserve %+v is posted", b)
		}
	}
	post := r.must(approval(c.ID, firstDay))
	if got := post.Receipt.String(); got != "33011026112000000001" || post.State != ledgerapi.PayPosted || post.Journal != 1 {
		t.Errorf("Post = receipt %s, %s, journal %d", got, post.State, post.Journal)
	}
	r.check()
	want := []Balance{
		{Fund: si.PensionRes, Code: CodeClearing, Bank: testBank, Date: firstDay, PostedDr: 100_000},
		{Fund: si.PensionRes, Code: CodePerson, Part: PartIndiv, PostedCr: 100_000},
		{Fund: si.MedRes, Code: CodeClearing, Bank: testBank, Date: firstDay, PostedDr: 51_000},
		{Fund: si.MedRes, Code: CodePerson, Part: PartPool, PostedCr: 51_000},
	}
	if got := r.m.TrialBalance(); !slices.Equal(got, want) {
		t.Errorf("TrialBalance = %+v,\nwant %+v", got, want)
	}
	if got := r.m.IndividualOf(1); len(got) != 1 || got[0] != (IndividualYear{1, si.PensionRes, 2026, 100_000, 0}) {
		t.Errorf("IndividualOf = %+v", got)
	}
	totals := r.m.Totals(testBank, firstDay)
	if totals.Payments != (Sum{1, 151_000}) || len(totals.Funds) != 2 || totals.Reversals != (Sum{}) {
		t.Errorf("Totals = %+v", totals)
	}
	v, ok := r.m.Payment(c.ID)
	if !ok || v.State != ledgerapi.PayPosted || len(v.Dues) != 2 || v.Dues[0].State != ledgerapi.DueStatePaid ||
		v.Dues[0].HeldBy != c.ID || string(v.Memo) != "memo" || v.Terminal != 7 || v.Receipt != post.Receipt {
		t.Errorf("Payment = %+v", v)
	}
	if v, ok = r.m.PaymentByReceipt(post.Receipt); !ok || v.ID != c.ID {
		t.Errorf("PaymentByReceipt = %v, %v", v.ID, ok)
	}
	if got := r.m.PaymentsOf(1, 5); len(got) != 1 || got[0].ID != c.ID {
		t.Errorf("PaymentsOf = %+v", got)
	}
}

// TestRepeats holds that the same command again gives the first result again,
// with another seal, link and date too, and another command under the id does not.
func TestRepeats(t *testing.T) {
	r := newRig(t, Config{}).open(2)
	r.medical(2026, 1, 2)
	c := r.reserve(1)
	first := r.must(c)
	c.Memo, c.Batch, c.Acq[0], c.OurDate = []byte("sealed anew"), 9, 'X', firstDay+1
	again := r.do(c)
	if again.Code != ledgerapi.Exists || again.First != ledgerapi.OK || again.STAN != first.STAN || again.RRN != first.RRN || again.DE7 != first.DE7 {
		t.Errorf("Reserve again = %+v, want EXISTS with %+v", again, first)
	}
	c.Total++
	if got := r.do(c); got.Code != ledgerapi.IDReused {
		t.Errorf("Reserve with another total = %s, want ID_REUSED", got.Code)
	}
	p := r.pay(2)
	p.ID = c.ID
	if got := r.do(p); got.Code != ledgerapi.IDReused {
		t.Errorf("Pay under the id of a Reserve = %s, want ID_REUSED", got.Code)
	}
	post := approval(c.ID, firstDay)
	posted := r.must(post)
	if got := r.do(post); got.Code != ledgerapi.Exists || got.Receipt != posted.Receipt || got.Journal != posted.Journal {
		t.Errorf("Post again = %+v, want EXISTS with receipt %s", got, posted.Receipt)
	}
	p = r.pay(2)
	paid := r.must(p)
	p.OurDate++
	if got := r.do(p); got.Code != ledgerapi.Exists || got.Receipt != paid.Receipt {
		t.Errorf("Pay again after the cutover = %+v, want EXISTS with receipt %s", got, paid.Receipt)
	}
	if paid.Receipt.Seq != 2 {
		t.Errorf("second receipt has number %d, want 2", paid.Receipt.Seq)
	}
	r.check()
}

// statePrep brings a payment of a fresh rig into a state.
var statePrep = []struct {
	name string
	to   func(r *rig) si.PaymentID
}{
	{"NONE", func(r *rig) si.PaymentID { return r.id() }},
	{"RESERVED", func(r *rig) si.PaymentID { c := r.reserve(1); r.must(c); return c.ID }},
	{"REVERSING", func(r *rig) si.PaymentID { c := r.reserve(1); r.must(c); r.must(reversing(c.ID)); return c.ID }},
	{"POSTED", func(r *rig) si.PaymentID { c := r.reserve(1); r.must(c); r.must(approval(c.ID, 0)); return c.ID }},
	{"UNPOSTED", func(r *rig) si.PaymentID {
		c := r.reserve(1)
		r.must(c)
		r.must(approval(c.ID, 0))
		r.must(ledgerapi.Unpost{ID: c.ID, Reason: ledgerapi.UnpostCardAAC})
		return c.ID
	}},
	{"VOIDED", func(r *rig) si.PaymentID {
		c := r.reserve(1)
		r.must(c)
		r.must(voidBy(c.ID, ledgerapi.ProofDeclined))
		return c.ID
	}},
	{"PAID", func(r *rig) si.PaymentID { c := r.pay(1); r.must(c); return c.ID }},
	{"REVERSED", func(r *rig) si.PaymentID {
		c := r.pay(1)
		r.must(c)
		r.must(ledgerapi.Reverse{ID: c.ID, Bank: testBank, BankDate: firstDay})
		return c.ID
	}},
	{"TOMBSTONE", func(r *rig) si.PaymentID { id := r.id(); r.must(voidBy(id, ledgerapi.ProofNotSent)); return id }},
}

// TestStates walks every pair of payment state and command. What is not OK or
// EXISTS must change nothing.
func TestStates(t *testing.T) {
	file := func(id si.PaymentID, src ledgerapi.Source, maker, checker si.Actor) ledgerapi.Post {
		p := approval(id, 0)
		p.Evidence.Source, p.Evidence.MACOK, p.Maker, p.Checker = src, false, maker, checker
		return p
	}
	weak := func(id si.PaymentID) ledgerapi.Post { p := approval(id, 0); p.Evidence.MACOK = false; return p }
	inquiry := func(id si.PaymentID) ledgerapi.Post {
		p := approval(id, 0)
		p.Evidence.Source = ledgerapi.SourceInquiry
		return p
	}
	desk := func(id si.PaymentID, maker, checker si.Actor) ledgerapi.Void {
		return ledgerapi.Void{ID: id, Proof: ledgerapi.ProofDesk, Maker: maker, Checker: checker}
	}
	type cmd func(r *rig, id si.PaymentID) ledgerapi.Command
	const (
		ok, ex, bad, tomb, nf = ledgerapi.OK, ledgerapi.Exists, ledgerapi.BadTransition, ledgerapi.Tombstoned, ledgerapi.NotFound
		two, same, weakC      = ledgerapi.NeedsSecondPerson, ledgerapi.SamePerson, ledgerapi.EvidenceWeak
		late, reused, day     = ledgerapi.Late, ledgerapi.IDReused, ledgerapi.NotSameDay
	)
	// Columns: NONE, RESERVED, REVERSING, POSTED, UNPOSTED, VOIDED, PAID, REVERSED, TOMBSTONE.
	for _, row := range []struct {
		name string
		cmd  cmd
		want [9]ledgerapi.Code
	}{
		{"Reserve", func(r *rig, id si.PaymentID) ledgerapi.Command {
			c := r.reserve(2)
			c.ID = id
			return c
		}, [9]ledgerapi.Code{ok, reused, reused, reused, reused, reused, reused, reused, tomb}},
		{"Pay", func(r *rig, id si.PaymentID) ledgerapi.Command {
			c := r.pay(2)
			c.ID = id
			return c
		}, [9]ledgerapi.Code{ok, reused, reused, reused, reused, reused, reused, reused, tomb}},
		{"Annotate RESERVED", func(_ *rig, id si.PaymentID) ledgerapi.Command {
			return ledgerapi.Annotate{ID: id, Stage: ledgerapi.StageReserved, Memo: []byte("x")}
		}, [9]ledgerapi.Code{nf, ok, bad, bad, bad, bad, bad, bad, tomb}},
		{"Annotate REVERSING", func(_ *rig, id si.PaymentID) ledgerapi.Command { return reversing(id) },
			[9]ledgerapi.Code{nf, ok, ok, bad, ok, bad, bad, bad, tomb}},
		{"Annotate ADVICE", func(_ *rig, id si.PaymentID) ledgerapi.Command {
			return ledgerapi.Annotate{ID: id, Stage: ledgerapi.StageAdvice, Memo: []byte("x")}
		}, [9]ledgerapi.Code{nf, bad, bad, ok, bad, bad, bad, bad, tomb}},
		{"Annotate ADVISED", func(_ *rig, id si.PaymentID) ledgerapi.Command {
			return ledgerapi.Annotate{ID: id, Stage: ledgerapi.StageAdvised, Memo: []byte("x")}
		}, [9]ledgerapi.Code{nf, bad, bad, ok, bad, bad, bad, bad, tomb}},
		{"Post WIRE", func(_ *rig, id si.PaymentID) ledgerapi.Command { return approval(id, 0) },
			[9]ledgerapi.Code{nf, ok, late, ex, late, bad, bad, bad, tomb}},
		{"Post WIRE without MAC", func(_ *rig, id si.PaymentID) ledgerapi.Command { return weak(id) },
			[9]ledgerapi.Code{nf, weakC, weakC, bad, weakC, bad, bad, bad, tomb}},
		{"Post INQUIRY", func(_ *rig, id si.PaymentID) ledgerapi.Command { return inquiry(id) },
			[9]ledgerapi.Code{nf, ok, late, bad, late, bad, bad, bad, tomb}},
		{"Post FILE", func(_ *rig, id si.PaymentID) ledgerapi.Command { return file(id, ledgerapi.SourceFile, 0, 0) },
			[9]ledgerapi.Code{nf, ok, two, bad, two, bad, bad, bad, tomb}},
		{"Post FILE by one", func(_ *rig, id si.PaymentID) ledgerapi.Command { return file(id, ledgerapi.SourceFile, 1, 0) },
			[9]ledgerapi.Code{nf, two, two, bad, two, bad, bad, bad, tomb}},
		{"Post FILE by two", func(_ *rig, id si.PaymentID) ledgerapi.Command { return file(id, ledgerapi.SourceFile, 1, 2) },
			[9]ledgerapi.Code{nf, ok, ok, bad, ok, bad, bad, bad, tomb}},
		{"Post DESK", func(_ *rig, id si.PaymentID) ledgerapi.Command { return file(id, ledgerapi.SourceDesk, 0, 0) },
			[9]ledgerapi.Code{nf, two, two, bad, two, bad, bad, bad, tomb}},
		{"Post DESK by the same", func(_ *rig, id si.PaymentID) ledgerapi.Command { return file(id, ledgerapi.SourceDesk, 1, 1) },
			[9]ledgerapi.Code{nf, same, same, bad, same, bad, bad, bad, tomb}},
		{"Post DESK by two", func(_ *rig, id si.PaymentID) ledgerapi.Command { return file(id, ledgerapi.SourceDesk, 1, 2) },
			[9]ledgerapi.Code{nf, ok, ok, bad, ok, bad, bad, bad, tomb}},
		{"Void NOT_SENT", func(_ *rig, id si.PaymentID) ledgerapi.Command { return voidBy(id, ledgerapi.ProofNotSent) },
			[9]ledgerapi.Code{ok, ok, bad, bad, bad, bad, bad, bad, ex}},
		{"Void DECLINED", func(_ *rig, id si.PaymentID) ledgerapi.Command { return voidBy(id, ledgerapi.ProofDeclined) },
			[9]ledgerapi.Code{ok, ok, bad, bad, bad, ex, bad, bad, ex}},
		{"Void REVERSAL_ACK", func(_ *rig, id si.PaymentID) ledgerapi.Command { return voidBy(id, ledgerapi.ProofReversalAck) },
			[9]ledgerapi.Code{ok, bad, ok, bad, ok, bad, bad, bad, ex}},
		{"Void FILE_ABSENT", func(_ *rig, id si.PaymentID) ledgerapi.Command { return voidBy(id, ledgerapi.ProofFileAbsent) },
			[9]ledgerapi.Code{ok, ok, ok, bad, ok, bad, bad, bad, ex}},
		{"Void DESK", func(_ *rig, id si.PaymentID) ledgerapi.Command { return desk(id, 1, 2) },
			[9]ledgerapi.Code{ok, ok, ok, bad, ok, bad, bad, bad, ex}},
		{"Void DESK by one", func(_ *rig, id si.PaymentID) ledgerapi.Command { return desk(id, 1, 0) },
			[9]ledgerapi.Code{two, two, two, bad, two, bad, bad, bad, ex}},
		{"Void DESK by the same", func(_ *rig, id si.PaymentID) ledgerapi.Command { return desk(id, 1, 1) },
			[9]ledgerapi.Code{same, same, same, bad, same, bad, bad, bad, ex}},
		{"Reverse", func(_ *rig, id si.PaymentID) ledgerapi.Command {
			return ledgerapi.Reverse{ID: id, Bank: testBank, BankDate: firstDay}
		}, [9]ledgerapi.Code{ok, bad, bad, bad, bad, bad, ok, ex, ex}},
		{"Reverse of another date", func(_ *rig, id si.PaymentID) ledgerapi.Command {
			return ledgerapi.Reverse{ID: id, Bank: testBank, BankDate: firstDay + 1}
		}, [9]ledgerapi.Code{ok, bad, bad, bad, bad, bad, day, ex, ex}},
		{"Reverse by another bank", func(_ *rig, id si.PaymentID) ledgerapi.Command {
			return ledgerapi.Reverse{ID: id, Bank: 1, BankDate: firstDay}
		}, [9]ledgerapi.Code{ok, nf, nf, nf, nf, nf, nf, nf, ex}},
		{"Unpost CARD_AAC", func(_ *rig, id si.PaymentID) ledgerapi.Command {
			return ledgerapi.Unpost{ID: id, Reason: ledgerapi.UnpostCardAAC}
		}, [9]ledgerapi.Code{nf, bad, bad, ok, ex, bad, bad, bad, tomb}},
		{"Unpost ARPC", func(_ *rig, id si.PaymentID) ledgerapi.Command {
			return ledgerapi.Unpost{ID: id, Reason: ledgerapi.UnpostARPC}
		}, [9]ledgerapi.Code{nf, bad, bad, ok, bad, bad, bad, bad, tomb}},
	} {
		for i, prep := range statePrep {
			r := newRig(t, Config{}).open(2)
			r.medical(2026, 1, 2)
			id := prep.to(r)
			before, had := r.m.Payment(id)
			books := r.m.TrialBalance()
			got := r.do(row.cmd(r, id))
			if got.Code != row.want[i] {
				t.Errorf("%s in %s = %s, want %s", row.name, prep.name, got.Code, row.want[i])
			}
			r.check()
			if got.Code == ok {
				continue
			}
			after, has := r.m.Payment(id)
			if before.State != after.State || had != has || string(before.Memo) != string(after.Memo) || !slices.Equal(books, r.m.TrialBalance()) {
				t.Errorf("%s in %s was %s and changed %s to %s", row.name, prep.name, got.Code, before.State, after.State)
			}
			if had && row.want[i] != tomb && got.Code != ledgerapi.NotFound && got.State != before.State {
				t.Errorf("%s in %s says state %s, want %s", row.name, prep.name, got.State, before.State)
			}
		}
	}
}

// TestRefusals walks the reasons that stand against a Reserve or a Pay.
func TestRefusals(t *testing.T) {
	for _, tc := range []struct {
		name string
		prep func(r *rig, c *ledgerapi.Reserve)
		want ledgerapi.Code
	}{
		{"as it is", func(*rig, *ledgerapi.Reserve) {}, ledgerapi.OK},
		{"held", func(r *rig, _ *ledgerapi.Reserve) { r.must(r.reserve(1)) }, ledgerapi.DueHeld},
		{"paid", func(r *rig, _ *ledgerapi.Reserve) { r.must(r.pay(1)) }, ledgerapi.DuePaid},
		{"held wins over changed", func(r *rig, c *ledgerapi.Reserve) { r.must(r.reserve(1)); c.Dues[0].Version = 9 }, ledgerapi.DueHeld},
		{"version", func(_ *rig, c *ledgerapi.Reserve) { c.Dues[0].Version++ }, ledgerapi.DueChanged},
		{"amount", func(_ *rig, c *ledgerapi.Reserve) { c.Dues[0].Amount++; c.Total++ }, ledgerapi.DueChanged},
		{"late fee", func(_ *rig, c *ledgerapi.Reserve) { c.Dues[0].LateFee = 1; c.Total++ }, ledgerapi.DueChanged},
		{"total", func(_ *rig, c *ledgerapi.Reserve) { c.Total++ }, ledgerapi.DueChanged},
		{"older one open", func(_ *rig, c *ledgerapi.Reserve) { c.Total -= c.Dues[0].Amount; c.Dues = c.Dues[1:] }, ledgerapi.NotOldest},
		{"unknown due", func(_ *rig, c *ledgerapi.Reserve) { c.Dues[1].ID = 999 }, ledgerapi.NotFound},
		{"bank without account", func(_ *rig, c *ledgerapi.Reserve) { c.Bank = 2 }, ledgerapi.NoBeneficiary},
		{"the same due twice", func(_ *rig, c *ledgerapi.Reserve) { c.Dues[1] = c.Dues[0]; c.Total = 2 * c.Dues[0].Amount }, ledgerapi.Malformed},
		{"no dues", func(_ *rig, c *ledgerapi.Reserve) { c.Dues = nil }, ledgerapi.Malformed},
		{"date too far", func(_ *rig, c *ledgerapi.Reserve) { c.OurDate += MaxDateSkew + 1 }, ledgerapi.Malformed},
		{"date just near", func(_ *rig, c *ledgerapi.Reserve) { c.OurDate += MaxDateSkew }, ledgerapi.OK},
		{"no date", func(_ *rig, c *ledgerapi.Reserve) { c.OurDate = 0 }, ledgerapi.OK},
		{"no channel", func(_ *rig, c *ledgerapi.Reserve) { c.Channel = 0 }, ledgerapi.Malformed},
		{"memo at the bound", func(_ *rig, c *ledgerapi.Reserve) { c.Memo = make([]byte, ledgerapi.MaxMemo) }, ledgerapi.OK},
		{"memo one past it", func(_ *rig, c *ledgerapi.Reserve) { c.Memo = make([]byte, ledgerapi.MaxMemo+1) }, ledgerapi.Malformed},
		{"id 40 days old", func(r *rig, _ *ledgerapi.Reserve) { r.at += MaxIDAge - 1 }, ledgerapi.OK},
		{"id older", func(r *rig, _ *ledgerapi.Reserve) { r.at += MaxIDAge }, ledgerapi.IDTooOld},
	} {
		r := newRig(t, Config{}).open(1)
		r.medical(2025, 1)
		r.medical(2026, 1)
		c := r.reserve(1)
		tc.prep(r, &c)
		digest := r.m.TrialBalance()
		got := r.do(c)
		if got.Code != tc.want {
			t.Errorf("%s: Reserve = %s, want %s", tc.name, got.Code, tc.want)
		}
		if _, ok := r.m.Payment(c.ID); ok != (got.Code == ledgerapi.OK) {
			t.Errorf("%s: a payment is there: %v", tc.name, ok)
		}
		if got.Code != ledgerapi.OK && !slices.Equal(digest, r.m.TrialBalance()) {
			t.Errorf("%s: the books moved", tc.name)
		}
		r.check()
	}
}

// TestRefusalDetails holds the fields that a refusal carries.
func TestRefusalDetails(t *testing.T) {
	r := newRig(t, Config{}).open(2)
	r.medical(2025, 1)
	r.medical(2026, 1)
	first := r.reserve(1)
	second := r.reserve(1)
	changed := second
	changed.Dues = slices.Clone(changed.Dues)
	changed.Dues[0].Version = 7
	if got := r.do(changed); got.Due != second.Dues[0].ID || got.Now != second.Dues[0] {
		t.Errorf("DUE_CHANGED = %+v, want due %d as %+v", got, second.Dues[0].ID, second.Dues[0])
	}
	newer := second
	newer.Dues, newer.Total = second.Dues[1:], second.Dues[1].Amount
	if got := r.do(newer); got.Code != ledgerapi.NotOldest || got.Due != second.Dues[0].ID {
		t.Errorf("NOT_OLDEST = %+v, want due %d", got, second.Dues[0].ID)
	}
	r.must(first)
	if got := r.do(second); got.Code != ledgerapi.DueHeld || got.HeldBy != first.ID || got.Due != first.Dues[0].ID {
		t.Errorf("DUE_HELD = %+v, want by %s", got, first.ID)
	}
	r.must(approval(first.ID, 0))
	if got := r.do(second); got.Code != ledgerapi.DuePaid || got.Due != first.Dues[0].ID {
		t.Errorf("DUE_PAID = %+v", got)
	}
}

// TestHoldHasNoExpiry advances 400 days over a hold: nothing frees it, and the
// approval of then still posts, on the open date.
func TestHoldHasNoExpiry(t *testing.T) {
	r := newRig(t, Config{}).open(2)
	r.medical(2026, 1, 2)
	c := r.reserve(1)
	r.must(c)
	for range 400 {
		r.cut()
	}
	r.must(ledgerapi.SealDay{ID: r.id(), Date: r.openDate() - 1})
	r.check()
	if v, ok := r.m.Payment(c.ID); !ok || v.State != ledgerapi.PayReserved || len(r.m.Pending(testBank)) != 1 {
		t.Fatalf("after 400 days the payment is %s", v.State)
	}
	other := c
	if other.ID, other.OurDate = r.id(), 0; r.do(other).Code != ledgerapi.DueHeld {
		t.Error("after 400 days another payment may hold the due")
	}
	res := r.must(approval(c.ID, firstDay))
	if res.Bank != r.openDate() || res.Receipt.Date != r.openDate() {
		t.Errorf("posted on %s with a receipt of %s, want the open %s", res.Bank, res.Receipt.Date, r.openDate())
	}
	if v, _ := r.m.Payment(c.ID); v.BankDate != firstDay {
		t.Errorf("bank date is %s, want %s as the bank said", v.BankDate, firstDay)
	}
	r.check()
}

// TestCutoverUnderTraffic holds that evidence decides the bank date, and the
// window the other one.
func TestCutoverUnderTraffic(t *testing.T) {
	r := newRig(t, Config{}).open(3)
	r.medical(2026, 1, 2, 3)
	a, b, c := r.reserve(1), r.reserve(2), r.reserve(3)
	r.must(a)
	r.must(b)
	open := r.openDate()
	cut := r.must(ledgerapi.Cutover{ID: r.id(), Bank: testBank, From: open, To: open + 1})
	if cut.Count != 2 || cut.Total != 102_000 {
		t.Errorf("Cutover lists %d in flight of %s, want 2 of 1020.00", cut.Count, cut.Total)
	}
	if got := r.must(approval(a.ID, open)); got.Bank != open {
		t.Errorf("evidence of %s booked on %s", open, got.Bank)
	}
	if got := r.must(approval(b.ID, open+1)); got.Bank != open+1 || got.Receipt.Date != open {
		t.Errorf("evidence of %s booked on %s, receipt of %s", open+1, got.Bank, got.Receipt.Date)
	}
	if got := r.must(c); got.OurDate != open+1 || string(got.RRN[:]) != "632500000001" {
		t.Errorf("Reserve after the cut: our date %s, RRN %s", got.OurDate, got.RRN)
	}
	if got := r.do(ledgerapi.Cutover{ID: r.id(), Bank: testBank, From: open, To: open + 1}); got.Code != ledgerapi.Exists {
		t.Errorf("the same cutover by another id = %s, want EXISTS", got.Code)
	}
	if got := r.do(ledgerapi.Cutover{ID: r.id(), Bank: testBank, From: open, To: open + 2}); got.Code != ledgerapi.BadTransition {
		t.Errorf("a late cutover = %s, want BAD_TRANSITION", got.Code)
	}
	if a, b := r.m.Totals(testBank, open), r.m.Totals(testBank, open+1); a.Payments.Count != 1 || b.Payments.Count != 1 {
		t.Errorf("totals %+v and %+v, want one payment each", a.Payments, b.Payments)
	}
	r.check()
}

// TestUnpostAndRepost takes a posted payment back and posts it again by the desk.
func TestUnpostAndRepost(t *testing.T) {
	r := newRig(t, Config{}).open(1)
	r.pension(2026, 100_000, 1)
	c := r.reserve(1)
	r.must(c)
	first := r.must(approval(c.ID, firstDay))
	r.must(ledgerapi.Unpost{ID: c.ID, Reason: ledgerapi.UnpostARPC})
	if got := r.m.DuesOf(1, 0); got[0].State != ledgerapi.DueReversing {
		t.Errorf("due is %s, want REVERSING", got[0].State)
	}
	if got := r.m.IndividualOf(1); len(got) != 1 || got[0].Paid != 0 {
		t.Errorf("individual account after Unpost = %+v", got)
	}
	if p := r.m.Pending(0); len(p) != 1 || string(p[0].Memo) != "memo" {
		t.Errorf("Pending after Unpost = %+v, want the payment with its memo", p)
	}
	r.check()
	post := approval(c.ID, firstDay)
	post.Evidence.Source, post.Maker, post.Checker = ledgerapi.SourceDesk, 1, 2
	again := r.must(post)
	if again.Receipt != first.Receipt || again.Journal <= first.Journal {
		t.Errorf("repost has receipt %s and journal %d, want %s and a new one", again.Receipt, again.Journal, first.Receipt)
	}
	if got := r.m.Totals(testBank, firstDay); got.Payments.Count != 2 || got.Reversals.Count != 1 {
		t.Errorf("totals = %+v, want two postings and one red entry", got)
	}
	r.check()
}

// TestReopenedDue holds that a due that was paid before comes back with a new
// version, so that nobody pays what he saw before.
func TestReopenedDue(t *testing.T) {
	r := newRig(t, Config{}).open(1)
	r.medical(2026, 1)
	stale := r.reserve(1)
	p := r.pay(1)
	r.must(p)
	res := r.must(ledgerapi.Reverse{ID: p.ID, Bank: testBank, BankDate: firstDay})
	if res.State != ledgerapi.PayVoided || res.Unknown {
		t.Errorf("Reverse = %+v", res)
	}
	if got := r.do(stale); got.Code != ledgerapi.DueChanged || got.Now.Version != 2 {
		t.Errorf("Reserve of the old version = %+v, want DUE_CHANGED to version 2", got)
	}
	r.must(r.reserve(1))
	r.check()
}

func TestReverseUnknown(t *testing.T) {
	r := newRig(t, Config{}).open(1)
	r.medical(2026, 1)
	p := r.pay(1)
	rev := ledgerapi.Reverse{ID: p.ID, Bank: testBank, BankDate: firstDay}
	if got := r.must(rev); !got.Unknown || got.State != ledgerapi.PayTombstone {
		t.Errorf("Reverse before the Pay = %+v, want a tombstone", got)
	}
	if got := r.do(rev); got.Code != ledgerapi.Exists || !got.Unknown {
		t.Errorf("Reverse again = %+v, want EXISTS and unknown", got)
	}
	if got := r.do(p); got.Code != ledgerapi.Tombstoned {
		t.Errorf("Pay after its reversal = %s, want TOMBSTONED", got.Code)
	}
}

// TestLateFee pays an employer-like due with a late fee, frozen while held.
func TestLateFee(t *testing.T) {
	r := newRig(t, Config{}).open(1)
	body := strings.Replace(string(shippedRates(t)), `floor: "3803.00", cap: "20268.00"}`,
		`floor: "3803.00", cap: "20268.00", late_rule: 1}`, 1)
	r.must(ledgerapi.PutConfig{ID: r.id(), Kind: ledgerapi.ConfigRates, Name: "330110", From: 1, Body: []byte(body), Maker: 1, Checker: 2})
	c := ledgerapi.Assess{ID: r.id(), Fund: si.PensionEmp, PType: si.Flex, Period: si.MonthPeriod(2025, time.October),
		Kind: ledgerapi.DueCurrent, DueDay: firstDay - 30, Version: 2, Items: []ledgerapi.AssessItem{{Person: 1, Base: 380_300}}}
	r.must(c)
	pay := r.reserve(1)
	if pay.Total != 76_060+1_141 || pay.Dues[0].LateFee != 1_141 {
		t.Fatalf("the due costs %s with late fee %s, want 772.01 and 11.41", pay.Total, pay.Dues[0].LateFee)
	}
	r.must(pay)
	r.cut()
	if got := r.m.DuesOf(1, firstDay+100)[0].Ref.LateFee; got != 1_141 {
		t.Errorf("late fee while held = %s, want 11.41", got)
	}
	r.must(approval(pay.ID, firstDay))
	late := si.Fen(0)
	for _, b := range r.m.TrialBalance() {
		if b.Code == CodeLate {
			late += b.PostedCr
		}
	}
	if late != 1_141 {
		t.Errorf("4090 has %s, want 11.41", late)
	}
	r.check()
}

// TestNoticeAfterPayment: a notice that is paid off stands until there is
// something new to pay, even on the same day.
func TestNoticeAfterPayment(t *testing.T) {
	r := newRig(t, Config{}).open(1)
	r.medical(2025, 1)
	notice := func() ledgerapi.Result {
		return r.do(ledgerapi.Notice{ID: r.id(), Person: 1, Date: firstDay, ValidUntil: firstDay + 10})
	}
	first := notice()
	r.must(ledgerapi.Pay{ID: r.id(), Channel: si.ChannelCounter, Bank: testBank, Notice: first.Notice, Total: first.Total,
		HostSerial: "1", BankDate: firstDay, OurDate: firstDay, STAN: 1, DE7: [10]byte([]byte("1120090000"))})
	if got := notice(); got.Code != ledgerapi.Exists || got.Notice != first.Notice || got.Total != 0 {
		t.Errorf("notice with nothing new = %s %s of %s, want EXISTS, the same, of nothing", got.Code, got.Notice, got.Total)
	}
	r.medical(2026, 1)
	second := notice()
	if second.Code != ledgerapi.OK || second.Notice == first.Notice || second.Total != 51_000 {
		t.Errorf("notice with a new due = %s %s of %s, want OK, another, of 510.00", second.Code, second.Notice, second.Total)
	}
	if got := notice(); got.Code != ledgerapi.Exists || got.Notice != second.Notice {
		t.Errorf("asked again = %s %s, want EXISTS and the second", got.Code, got.Notice)
	}
	r.check()
}

func TestPayByNotice(t *testing.T) {
	r := newRig(t, Config{}).open(1)
	r.medical(2025, 1)
	r.medical(2026, 1)
	n := r.must(ledgerapi.Notice{ID: r.id(), Person: 1, Date: firstDay, ValidUntil: firstDay + 10})
	if n.Notice.String() != "33011026000000000119" || n.Total != 99_000 {
		t.Errorf("Notice = %s of %s, want 33011026000000000119 of 990.00", n.Notice, n.Total)
	}
	if got := r.do(ledgerapi.Notice{ID: r.id(), Person: 1, Date: firstDay, ValidUntil: firstDay + 9}); got.Code != ledgerapi.Exists || got.Notice != n.Notice {
		t.Errorf("second notice of the day = %s %s, want EXISTS", got.Code, got.Notice)
	}
	p := ledgerapi.Pay{ID: r.id(), Channel: si.ChannelCounter, Bank: testBank, Notice: n.Notice, Total: 98_999,
		HostSerial: "1", BankDate: firstDay, OurDate: firstDay, STAN: 1, DE7: [10]byte([]byte("1120090000"))}
	if got := r.do(p); got.Code != ledgerapi.DueChanged || got.Total != 99_000 {
		t.Errorf("Pay of another amount = %+v, want DUE_CHANGED with 990.00", got)
	}
	both := p
	both.Dues = []ledgerapi.DueRef{{ID: 1}}
	if got := r.do(both); got.Code != ledgerapi.Malformed {
		t.Errorf("Pay of notice and dues = %s, want MALFORMED", got.Code)
	}
	expired := p
	expired.OurDate, expired.Total = firstDay, 99_000
	for range 11 {
		r.cut()
	}
	expired.BankDate, expired.OurDate = r.openDate(), r.openDate()
	if got := r.do(expired); got.Code != ledgerapi.NotFound {
		t.Errorf("Pay of an expired notice = %s, want NOT_FOUND", got.Code)
	}
	if _, ok := r.m.LiveNoticeOf(1, r.openDate()); ok {
		t.Error("LiveNoticeOf gives an expired notice")
	}
	m := r.must(ledgerapi.Notice{ID: r.id(), Person: 1, Date: r.openDate(), ValidUntil: r.openDate() + 10})
	p.ID, p.Notice, p.Total, p.BankDate, p.OurDate = r.id(), m.Notice, 99_000, r.openDate(), r.openDate()
	r.must(p)
	p.ID = r.id()
	if got := r.do(p); got.Code != ledgerapi.DuePaid {
		t.Errorf("Pay of a paid notice = %s, want DUE_PAID", got.Code)
	}
	if v, ok := r.m.NoticeByNo(m.Notice, 0); !ok || !v.Paid || v.Total != 0 {
		t.Errorf("NoticeByNo = %+v, want paid", v)
	}
	r.check()
}
