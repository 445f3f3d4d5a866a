package core

import (
	"crypto/sha256"
	"slices"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// TestEntryRules holds the rules of the books that no command may break.
func TestEntryRules(t *testing.T) {
	const med, pen = si.MedRes, si.PensionRes
	out := func(f si.Fund, b si.Bank) line { return line{fund: f, acc: accDeposit, bank: b, cr: 5} }
	for _, tc := range []struct {
		name  string
		date  si.BusinessDate
		lines []line
		want  ledgerapi.Code
	}{
		{"a sweep", firstDay + 1, []line{{fund: med, acc: accFiscal, dr: 5}, out(med, 3)}, 0},
		{"a transfer", firstDay + 1, []line{{fund: med, acc: accTransfer, dr: 5}, out(med, 3)}, 0},
		{"a refund", firstDay + 1, []line{{fund: med, acc: accRefunds, bank: 3, dr: 5}, out(med, 3)}, 0},
		{"a refund through another bank", firstDay + 1, []line{{fund: med, acc: accRefunds, bank: 4, dr: 5}, out(med, 3)}, cBad},
		{"benefits out of the income account", firstDay + 1, []line{{fund: med, acc: accBenefits, dr: 5}, out(med, 3)}, cBad},
		{"expenditure out of the income account", firstDay + 1, []line{{fund: med, acc: accSpending, dr: 5}, out(med, 3)}, cBad},
		{"another bank's income account", firstDay + 1, []line{{fund: med, acc: accDeposit, bank: 4, dr: 5}, out(med, 3)}, cBad},
		{"a red debit of the income account", firstDay + 1, []line{{fund: med, acc: accDeposit, bank: 3, dr: -5}, {fund: med, acc: accInterest, cr: -5}}, cBad},
		{"a sealed date", firstDay, []line{{fund: med, acc: accFiscal, dr: 5}, out(med, 3)}, cSeal},
		{"unbalanced", firstDay + 1, []line{{fund: med, acc: accFiscal, dr: 6}, out(med, 3)}, cMal},
		{"a line of another book", firstDay + 1, []line{{fund: pen, acc: accFiscal, dr: 5}, out(med, 3)}, cMal},
		{"a line of no book", firstDay + 1, []line{{acc: accFiscal, dr: 5}, out(med, 3)}, cMal},
		{"both sides in one line", firstDay + 1, []line{{fund: med, acc: accFiscal, dr: 5, cr: 5}}, cMal},
		{"an income account of no bank", firstDay + 1, []line{{fund: med, acc: accFiscal, dr: 5}, out(med, 0)}, cMal},
		{"clearing of no date", firstDay + 1, []line{{fund: med, acc: accClearing, bank: 3, dr: 5}, {fund: med, acc: accSuspense, cr: 5}}, cMal},
		{"no line", firstDay + 1, nil, cMal},
		{"no such account", firstDay + 1, []line{{fund: med, acc: accounts, dr: 5}, out(med, 3)}, cMal},
	} {
		r := newRig(t, Config{}).open(1)
		r.sealPrev()
		if got := r.m.judgeEntry(&journalEntry{date: tc.date, lines: tc.lines}); got != tc.want {
			t.Errorf("%s: judgeEntry = %d, want %d", tc.name, got, tc.want)
		}
	}
}

func (r *rig) credit(on si.BusinessDate, amount si.Fen) ledgerapi.Result {
	r.t.Helper()
	return r.do(r.act(&ledgerapi.FundsCredited{StatementLine: r.shown(), For: on, Funds: []ledgerapi.FundAmount{{Fund: si.MedRes, Amount: amount}}}))
}

func (r *rig) balance(code uint32, part Part) (net si.Fen) {
	for _, b := range r.m.TrialBalance() {
		if b.Code == code && b.Part == part {
			net += b.PostedDr - b.PostedCr
		}
	}
	return net
}

// TestMonth lets money come in, be swept and be closed, and holds every account
// on the way.
func TestMonth(t *testing.T) {
	r := newRig(t, Config{Past: newMemPast()}).open(3)
	r.medical(2026, 1, 2, 3)
	r.paid(1)
	r.paid(2)
	if got := r.credit(firstDay, 102_001); got.Code != cBad || got.Total != 102_000 {
		t.Errorf("FundsCredited above the clearing account = %s %d, want BAD_TRANSITION 102000", got.Code, got.Total)
	}
	c := ledgerapi.FundsCredited{StatementLine: r.shown(), For: firstDay, Funds: []ledgerapi.FundAmount{{Fund: si.MedRes, Amount: 60_000}}}
	first := r.must(r.act(&c))
	if got := r.do(r.act(&c)); got.Code != cBad || got.Journal != first.Journal {
		t.Errorf("the same statement line again = %s %d, want BAD_TRANSITION with journal %d", got.Code, got.Journal, first.Journal)
	}
	if got := r.credit(firstDay, 42_000); got.Code != cOK {
		t.Errorf("FundsCredited of the rest = %s", got.Code)
	}
	if got := r.balance(CodeClearing, PartNone); got != 0 {
		t.Errorf("1191 after all funds = %d, want 0", got)
	}
	sweep := func(amount si.Fen) *ledgerapi.Sweep {
		return &ledgerapi.Sweep{StatementLine: r.shown(), Funds: []ledgerapi.FundAmount{{Fund: si.MedRes, Amount: amount}}}
	}
	if got := r.both(sweep(102_001)); got.Code != cBad {
		t.Errorf("Sweep of more than there is = %s, want BAD_TRANSITION", got.Code)
	}
	r.mustBoth(sweep(100_000))
	r.must(r.act(&ledgerapi.Interest{StatementLine: r.shown(), Funds: []ledgerapi.FundAmount{{Fund: si.MedRes, Amount: 7}}}))
	if d, f := r.balance(CodeDeposit, PartNone), r.balance(CodeFiscal, PartNone); d != 2_007 || f != 100_000 {
		t.Errorf("1002 = %d, 1004 = %d, want 2007 and 100000", d, f)
	}
	close := &ledgerapi.PeriodClose{Fund: si.MedRes, Through: firstDay}
	if got := r.both(close); got.Code != cBad {
		t.Errorf("PeriodClose before the seal = %s, want BAD_TRANSITION", got.Code)
	}
	r.sealPrev()
	r.paid(3) // of the next date: not in the period that is closed
	if got := r.mustBoth(close); got.Total != 102_007 {
		t.Errorf("PeriodClose = %d, want 102007", got.Total)
	}
	if got := r.both(close); got.Code != cBad {
		t.Errorf("PeriodClose again = %s, want BAD_TRANSITION", got.Code)
	}
	if fund, pool := r.balance(3002_02, PartPool), r.balance(CodePerson, PartPool); fund != -102_007 || pool != -51_000 {
		t.Errorf("3002.02 = %d, 4001.02 = %d, want −102007 and −51000", fund, pool)
	}
	r.check()
	balancesFromJournal(t, r.m, r.openDate())
}

// TestMonthEnd holds that an income account that is not empty at the end of a
// month is said, and on no other day.
func TestMonthEnd(t *testing.T) {
	r := newRig(t, Config{}).open(1)
	r.medical(2026, 1)
	r.paid(1)
	r.credit(firstDay, 51_000)
	end := si.Date(2026, time.November, 30)
	for r.openDate() <= end {
		r.sealPrev()
	}
	if got := r.m.BalanceOn(end); !got.Sealed || !slices.Equal(got.Rests, []DayRest{{testBank, si.MedRes, 51_000}}) {
		t.Errorf("BalanceOn(%s) has rests %+v, want 510.00", end, got.Rests)
	}
	if got := r.m.BalanceOn(end - 1); len(got.Rests) != 0 || len(got.Lines) != 2 {
		t.Errorf("BalanceOn(%s) = %+v, want two accounts and no rest", end-1, got)
	}
}

// TestDayHead holds the head of a sealed date byte by byte, and its signature.
func TestDayHead(t *testing.T) {
	r := newRig(t, Config{Past: newMemPast()}).open(2)
	r.medical(2026, 1, 2)
	r.paid(1)
	r.cut()
	last, head := r.m.Applied(), r.m.Head()
	r.must(ledgerapi.SealDay{ID: r.id(), Date: firstDay})
	d, ok := r.m.DayHead(firstDay)
	if !ok || d.Hash != sha256.Sum256(d.Bytes) || d.Head.Last != last || d.Head.Head != head || d.Head.First != 1 || d.Head.Batches != last {
		t.Fatalf("DayHead = %+v, %v", d, ok)
	}
	want := append([]byte("shebao/day/v1\x00"), 1, 0, 0x7e, 0x09, 0x05, 0)
	want = le.AppendUint16(want, uint16(firstDay))
	want = append(append(want, 0, 0), make([]byte, 32)...)
	want = le.AppendUint64(le.AppendUint64(want, 1), last)
	want = le.AppendUint64(append(want, head[:]...), last)
	want = le.AppendUint64(append(want, d.Head.Root[:]...), 1)
	want = le.AppendUint32(want, 2)
	for _, fund := range []byte{0, byte(si.MedRes)} {
		want = le.AppendUint32(append(want, byte(testBank), fund), 1)
		want = append(le.AppendUint64(want, 51_000), make([]byte, 12)...)
	}
	if want = append(want, d.Head.Balance[:]...); string(d.Bytes) != string(want) {
		t.Errorf("the head is\n%x, want\n%x", d.Bytes, want)
	}
	sign := func(change func(c *ledgerapi.DaySignature)) ledgerapi.Code {
		c := ledgerapi.DaySignature{Date: firstDay, Head: d.Hash, Alg: ledgerapi.SignEd25519, Key: [8]byte{1}, Signature: make([]byte, 64)}
		change(&c)
		return r.do(r.act(&c)).Code
	}
	for _, tc := range []struct {
		name   string
		change func(c *ledgerapi.DaySignature)
		want   ledgerapi.Code
	}{
		{"of another head", func(c *ledgerapi.DaySignature) { c.Head[0]++ }, cBad},
		{"of another date", func(c *ledgerapi.DaySignature) { c.Date++ }, cNone},
		{"too short", func(c *ledgerapi.DaySignature) { c.Signature = c.Signature[:63] }, cMal},
		{"by nothing", func(c *ledgerapi.DaySignature) { c.Alg = 3 }, cMal},
		{"good", func(*ledgerapi.DaySignature) {}, cOK},
		{"good again", func(*ledgerapi.DaySignature) {}, cAgain},
		{"another", func(c *ledgerapi.DaySignature) { c.Signature[0]++ }, cBad},
	} {
		if got := sign(tc.change); got != tc.want {
			t.Errorf("a signature %s = %s, want %s", tc.name, got, tc.want)
		}
	}
	if d, _ = r.m.DayHead(firstDay); d.Alg != ledgerapi.SignEd25519 || len(d.Signature) != 64 || d.Key != [8]byte{1} {
		t.Errorf("the signed head = %+v", d)
	}
	r.sealPrev()
	if next, _ := r.m.DayHead(firstDay + 1); next.Head.PrevHash != d.Hash || next.Head.Prev != firstDay || next.Head.First != last+1 {
		t.Errorf("the next head = %+v, want it to follow %x", next.Head, d.Hash)
	}
	if _, ok := ParseDayHead(d.Bytes[:len(d.Bytes)-1]); ok {
		t.Error("a head cut by a byte was read")
	}
}

// FuzzParseDayHead holds that what is read has no other form.
func FuzzParseDayHead(f *testing.F) {
	h := DayHead{Region: 1, Area: 330110, Sums: []DaySum{{Bank: 3}}}
	f.Add(h.Append(nil))
	f.Add([]byte(dayHeadText))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, ok := ParseDayHead(b); ok && string(h.Append(nil)) != string(b) {
			t.Errorf("%x is read and written as %x", b, h.Append(nil))
		}
	})
}

// TestLatePost holds that a posting whose bank date is sealed is booked on the
// open date and opens a break in the same record.
func TestLatePost(t *testing.T) {
	r := newRig(t, Config{}).open(1)
	r.medical(2026, 1)
	c := r.reserve(1)
	r.must(c)
	r.sealPrev()
	if got := r.must(approval(c.ID, firstDay)); got.Bank != firstDay+1 {
		t.Errorf("Post of a sealed bank date is booked on %s, want %s", got.Bank, firstDay+1)
	}
	all := r.m.Breaks(false)
	if len(all) != 1 || all[0].Kind != 21 || all[0].Payment != c.ID || all[0].Date != firstDay || all[0].Amount != 51_000 {
		t.Errorf("Breaks = %+v, want one of B21", all)
	}
	r.check()
}

// TestRefundAfterSeal takes back a due of a sealed date, pays it again and seals
// that: each view gives the due once, as it is.
func TestRefundAfterSeal(t *testing.T) {
	for _, durable := range []bool{false, true} {
		past := newMemPast()
		r := newRig(t, Config{Past: past}).open(1)
		save := func() {
			if durable {
				c := r.m.Freeze()
				c.Step(1 << 30)
				(&storeRows{past: past}).save(t, c)
				r.m.Release(c)
			}
		}
		r.pension(2026, 100_000, 1)
		state := func(want ledgerapi.DueState, by si.PaymentID, individual si.Fen) {
			t.Helper()
			got := r.m.DuesOf(1, 0)
			got = slices.DeleteFunc(got, func(d ledgerapi.Due) bool { return d.Payer != ledgerapi.PayerPerson })
			if len(got) != 1 || got[0].State != want || got[0].HeldBy != by {
				t.Errorf("durable %v: DuesOf = %+v, want one that is %s", durable, got, want)
			}
			if all := r.m.IndividualOf(1); len(all) != 1 || all[0].Paid != individual {
				t.Errorf("durable %v: IndividualOf = %+v, want %d", durable, all, individual)
			}
			r.check()
		}
		first := r.posted(1)
		r.sealPrev()
		save()
		ask := r.refundOf(first)
		if ask.Amount--; r.both(ask).Code != cDue {
			t.Error("a refund of less than the due was approved")
		}
		if ask.Amount += 2; r.both(ask).Code != cDue {
			t.Error("a refund of more than the due was approved")
		}
		no := ledgerapi.RefundNo(r.mustBoth(r.refundOf(first)).No)
		state(ledgerapi.DueRefunded, si.PaymentID{}, 0)
		again := func() {
			if got := r.assess(si.PensionRes, si.Resident, si.YearPeriod(2026), 100_000, 1); got.Count != 0 {
				t.Errorf("durable %v: what was paid back was assessed again", durable)
			}
		}
		again()
		r.sealPrev()
		save()
		state(ledgerapi.DueRefunded, si.PaymentID{}, 0)
		again()
		r.must(r.act(&ledgerapi.RefundMove{Refund: no, To: ledgerapi.RefundSent}))
		r.must(r.act(&ledgerapi.RefundPaid{StatementLine: r.shown(), Refund: no, Amount: 100_000, Reopen: true}))
		state(ledgerapi.DueOpen, si.PaymentID{}, 0)
		second := r.paid(1)
		state(ledgerapi.DueStatePaid, second, 100_000)
		r.sealPrev()
		state(ledgerapi.DueStatePaid, second, 100_000)
		save()
		state(ledgerapi.DueStatePaid, second, 100_000)
		if got := r.both(r.refundOf(first)); got.Code != cDue {
			t.Errorf("a second refund of the first payment = %s, want DUE_CHANGED", got.Code)
		}
		no = ledgerapi.RefundNo(r.mustBoth(r.refundOf(second)).No)
		r.mustBoth(&ledgerapi.RefundMove{Refund: no, To: ledgerapi.RefundWithdrawn})
		state(ledgerapi.DueStatePaid, second, 100_000)
		r.mustBoth(&ledgerapi.CorrectUnpaid{Payment: second, Break: r.openBreak(second)})
		state(ledgerapi.DueOpen, si.PaymentID{}, 0)
		if v, _ := r.m.Payment(second); v.State != ledgerapi.PayVoided {
			t.Errorf("durable %v: the corrected payment is %s, want VOIDED", durable, v.State)
		}
		if all, _ := r.m.Rights(1, si.YearPeriod(2026), si.YearPeriod(2026)); len(all) != 0 {
			t.Errorf("durable %v: Rights = %+v, want none", durable, all)
		}
		third := r.paid(1)
		all, years := r.m.Rights(1, si.YearPeriod(2026), si.YearPeriod(2026))
		if len(all) != 1 || all[0].Payment != third || all[0].Individual != 100_000 || all[0].PaidOn != r.openDate() || len(years) != 1 {
			t.Errorf("durable %v: Rights = %+v, %+v, want the third payment", durable, all, years)
		}
		balancesFromJournal(t, r.m, r.openDate())
	}
}

// TestResolve does a break's resolution of each kind in one record.
func TestResolve(t *testing.T) {
	for _, tc := range []struct {
		name string
		make func(r *rig) (payment si.PaymentID, inside func(b ledgerapi.BreakNo) (ledgerapi.Command, si.PaymentID))
		want ledgerapi.PayState
		then ledgerapi.BreakState
	}{
		{"Post", func(r *rig) (si.PaymentID, func(ledgerapi.BreakNo) (ledgerapi.Command, si.PaymentID)) {
			c := r.reserve(1)
			r.must(c)
			r.must(reversing(c.ID))
			return c.ID, func(ledgerapi.BreakNo) (ledgerapi.Command, si.PaymentID) {
				p := approval(c.ID, firstDay)
				p.Evidence.Source, p.Maker, p.Checker = ledgerapi.SourceDesk, 8, 8 // the two persons of the resolution count
				return p, c.ID
			}
		}, ledgerapi.PayPosted, ledgerapi.BreakClosed},
		{"Void", func(r *rig) (si.PaymentID, func(ledgerapi.BreakNo) (ledgerapi.Command, si.PaymentID)) {
			c := r.reserve(1)
			r.must(c)
			return c.ID, func(ledgerapi.BreakNo) (ledgerapi.Command, si.PaymentID) {
				return ledgerapi.Void{ID: c.ID, Proof: ledgerapi.ProofDesk}, c.ID
			}
		}, ledgerapi.PayVoided, ledgerapi.BreakClosed},
		{"Unpost", func(r *rig) (si.PaymentID, func(ledgerapi.BreakNo) (ledgerapi.Command, si.PaymentID)) {
			id := r.posted(1)
			return id, func(ledgerapi.BreakNo) (ledgerapi.Command, si.PaymentID) {
				return ledgerapi.Unpost{ID: id, Reason: ledgerapi.UnpostBankRequest}, id
			}
		}, ledgerapi.PayReversing, ledgerapi.BreakClosed},
		{"CorrectUnpaid", func(r *rig) (si.PaymentID, func(ledgerapi.BreakNo) (ledgerapi.Command, si.PaymentID)) {
			id := r.posted(1)
			return id, func(b ledgerapi.BreakNo) (ledgerapi.Command, si.PaymentID) {
				a := r.act(&ledgerapi.CorrectUnpaid{Payment: id, Break: b})
				return a, a.ID
			}
		}, ledgerapi.PayVoided, ledgerapi.BreakClosed},
		{"RefundApprove", func(r *rig) (si.PaymentID, func(ledgerapi.BreakNo) (ledgerapi.Command, si.PaymentID)) {
			id := r.posted(1)
			return id, func(ledgerapi.BreakNo) (ledgerapi.Command, si.PaymentID) { a := r.act(r.refundOf(id)); return a, a.ID }
		}, ledgerapi.PayPosted, ledgerapi.BreakFollowUp},
		{"SuspenseIn", func(r *rig) (si.PaymentID, func(ledgerapi.BreakNo) (ledgerapi.Command, si.PaymentID)) {
			id := r.posted(1)
			return id, func(b ledgerapi.BreakNo) (ledgerapi.Command, si.PaymentID) {
				a := r.act(&ledgerapi.SuspenseIn{Bank: testBank, Date: firstDay, Fund: si.MedRes, Amount: 7, Break: b})
				return a, a.ID
			}
		}, ledgerapi.PayPosted, ledgerapi.BreakClosed},
	} {
		r := newRig(t, Config{}).open(1)
		r.medical(2026, 1)
		payment, inside := tc.make(r)
		b := r.openBreak(payment)
		c, key := inside(b)
		resolve := &ledgerapi.BreakResolve{Break: b, Act: c.Type(), Key: key, Body: c.AppendBody(nil), Note: "seen in the bank's file"}
		if got := r.both(resolve); got.Code != cOK {
			t.Errorf("%s inside a BreakResolve = %s, want OK", tc.name, got.Code)
		}
		p, _ := r.m.Payment(payment)
		v, _ := r.m.Break(b)
		if p.State != tc.want || v.State != tc.then || v.Act != c.Type() || v.Journal == 0 || len(v.History) != 3 {
			t.Errorf("after %s the payment is %s, the break %+v, want %s and state %d", tc.name, p.State, v, tc.want, tc.then)
		}
		if got := r.both(resolve); got.Code != cBad {
			t.Errorf("%s: the resolution again = %s, want BAD_TRANSITION", tc.name, got.Code)
		}
		r.check()
	}
}

// TestResolveRefuses holds that a command that is not about the break, or fails,
// leaves both alone.
func TestResolveRefuses(t *testing.T) {
	r := newRig(t, Config{}).open(2)
	r.medical(2026, 1, 2)
	id, other := r.posted(1), r.posted(2)
	b := r.openBreak(id)
	nest := func(c ledgerapi.Command, key si.PaymentID) *ledgerapi.BreakResolve {
		return &ledgerapi.BreakResolve{Break: b, Act: c.Type(), Key: key, Body: c.AppendBody(nil), Note: "seen in the bank's file"}
	}
	sweep := r.act(&ledgerapi.Sweep{StatementLine: r.shown(), Funds: []ledgerapi.FundAmount{{Fund: si.MedRes, Amount: 1}}})
	inner := r.act(&ledgerapi.BreakResolve{Break: b, Note: "seen in the bank's file"})
	cut := nest(ledgerapi.Unpost{ID: id, Reason: ledgerapi.UnpostARPC}, id)
	cut.Body = append(cut.Body, 0)
	for name, c := range map[string]*ledgerapi.BreakResolve{
		"a Sweep":           nest(sweep, sweep.ID),
		"itself":            nest(inner, inner.ID),
		"of another":        nest(ledgerapi.Unpost{ID: other, Reason: ledgerapi.UnpostARPC}, other),
		"with a byte more":  cut,
		"without a key":     {Break: b, Act: ledgerapi.TypeUnpost, Body: cut.Body[:1], Note: "seen in the bank's file"},
		"a body without it": {Break: b, Body: cut.Body, Note: "seen in the bank's file"},
	} {
		if got := r.both(c); got.Code != cMal {
			t.Errorf("a resolution that holds %s = %s, want MALFORMED", name, got.Code)
		}
	}
	refund := r.act(r.refundOf(id))
	resolve := r.act(nest(refund, refund.ID))
	r.as(1, resolve)
	r.must(ledgerapi.Unpost{ID: id, Reason: ledgerapi.UnpostARPC}) // meanwhile
	if got := r.as(2, r.act(&ledgerapi.Approve{Subject: resolve.ID, Verdict: ledgerapi.VerdictYes})); got.Code != cBad {
		t.Errorf("Approve of a resolution that no longer holds = %s, want BAD_TRANSITION", got.Code)
	}
	if v, _ := r.m.Break(b); v.State != ledgerapi.BreakProposed {
		t.Errorf("the break is in state %d, want it to wait", v.State)
	}
	r.check()
}

func TestFileRegister(t *testing.T) {
	r := newRig(t, Config{})
	good := ledgerapi.FileRegister{Bank: 3, Kind: 'D', Date: firstDay, Seq: 1, Version: 1, Name: "n", SHA256: [32]byte{1}, Verdict: ledgerapi.FileAccepted}
	for _, tc := range []struct {
		name   string
		change func(c *ledgerapi.FileRegister)
		want   ledgerapi.Code
		no     uint64
	}{
		{"first", func(*ledgerapi.FileRegister) {}, cOK, 1},
		{"the same bytes", func(c *ledgerapi.FileRegister) { c.Version = 2; c.Name = "other" }, cAgain, 1},
		{"other bytes, same version", func(c *ledgerapi.FileRegister) { c.SHA256[0] = 2 }, cBad, 0},
		{"other bytes, higher version", func(c *ledgerapi.FileRegister) { c.SHA256[0], c.Version = 2, 3 }, cOK, 2},
		{"a version between", func(c *ledgerapi.FileRegister) { c.SHA256[0], c.Version = 3, 2 }, cBad, 0},
		{"another sequence", func(c *ledgerapi.FileRegister) { c.Seq = 2 }, cOK, 3},
		{"quarantined", func(c *ledgerapi.FileRegister) {
			c.Kind, c.Verdict, c.Reason, c.Offset = 'T', ledgerapi.FileQuarantined, 11, 7
		}, cOK, 4},
		{"quarantined for nothing", func(c *ledgerapi.FileRegister) { c.Kind, c.Verdict = 'A', ledgerapi.FileQuarantined }, cMal, 0},
		{"quarantined for Q12", func(c *ledgerapi.FileRegister) { c.Kind, c.Verdict, c.Reason = 'A', ledgerapi.FileQuarantined, 12 }, cMal, 0},
		{"no kind", func(c *ledgerapi.FileRegister) { c.Kind = 'X' }, cMal, 0},
		{"no version", func(c *ledgerapi.FileRegister) { c.Version = 0 }, cMal, 0},
		{"the last version", func(c *ledgerapi.FileRegister) { c.SHA256[0], c.Version = 9, 255 }, cOK, 5},
	} {
		c := good
		tc.change(&c)
		if got := r.do(r.act(&c)); got.Code != tc.want || got.No != tc.no {
			t.Errorf("%s: FileRegister = %s %d, want %s %d", tc.name, got.Code, got.No, tc.want, tc.no)
		}
	}
	if all := r.m.Files(3, firstDay); len(all) != 5 || all[0].Kind != 'D' || all[1].Version != 3 {
		t.Errorf("Files = %+v", all)
	}
}

func TestAuditAnchor(t *testing.T) {
	r := newRig(t, Config{})
	for _, tc := range []struct {
		node string
		seq  uint64
		head byte
		want ledgerapi.Code
	}{{"a", 5, 1, cOK}, {"a", 5, 1, cAgain}, {"a", 5, 2, cBad}, {"a", 4, 1, cBad}, {"a", 6, 1, cOK}, {"b", 1, 1, cOK}, {"", 1, 1, cMal}, {"c", 0, 1, cMal}} {
		if got := r.do(r.act(&ledgerapi.AuditAnchor{Node: tc.node, Seq: tc.seq, Head: [32]byte{tc.head}})).Code; got != tc.want {
			t.Errorf("AuditAnchor %q %d = %s, want %s", tc.node, tc.seq, got, tc.want)
		}
	}
}

func TestPutUser(t *testing.T) {
	r := newRig(t, Config{})
	put := func(u si.Actor, login string, state ledgerapi.UserState) ledgerapi.Code {
		return r.both(&ledgerapi.PutUser{User: u, Login: login, State: state, Roles: 3, Credential: []byte("sealed")}).Code
	}
	for _, tc := range []struct {
		user  si.Actor
		login string
		state ledgerapi.UserState
		want  ledgerapi.Code
	}{
		{10, "li", ledgerapi.UserActive, cOK}, {11, "li", ledgerapi.UserActive, cBad}, {11, "wang", ledgerapi.UserActive, cOK},
		{10, "wang", ledgerapi.UserActive, cBad}, {10, "li2", ledgerapi.UserLocked, cOK}, {12, "li", ledgerapi.UserActive, cOK},
		{11, "wang", ledgerapi.UserEnded, cOK}, {11, "wang", ledgerapi.UserActive, cBad}, {13, "wang", ledgerapi.UserActive, cBad},
		{0, "x", ledgerapi.UserActive, cMal}, {14, "", ledgerapi.UserActive, cMal}, {14, "x", 4, cMal},
	} {
		if got := put(tc.user, tc.login, tc.state); got != tc.want {
			t.Errorf("PutUser %d %q = %s, want %s", tc.user, tc.login, got, tc.want)
		}
		r.check()
	}
	if u, ok := r.m.UserByLogin("li2"); !ok || u.User != 10 || u.Version != 2 || u.State != ledgerapi.UserLocked || string(u.Credential) != "sealed" {
		t.Errorf("UserByLogin = %+v, %v", u, ok)
	}
	if _, ok := r.m.UserByLogin("nobody"); ok || len(r.m.Users()) != 3 {
		t.Errorf("Users = %+v", r.m.Users())
	}
}

// TestApprove holds what the second person may say, and when.
func TestApprove(t *testing.T) {
	r := newRig(t, Config{}).open(1)
	r.medical(2026, 1)
	id := r.posted(1)
	yes := func(a ledgerapi.Act) ledgerapi.Act {
		return r.act(&ledgerapi.Approve{Subject: a.ID, Verdict: ledgerapi.VerdictYes})
	}
	ask := r.act(r.refundOf(id))
	if got := r.do(r.act(r.refundOf(id))); got.Code != cTwo || len(r.m.Waiting()) != 0 {
		t.Errorf("an act of nobody = %s, %d waiting, want NEEDS_SECOND_PERSON and none", got.Code, len(r.m.Waiting()))
	}
	steps := []struct {
		name  string
		actor si.Actor
		c     ledgerapi.Act
		want  ledgerapi.Code
	}{
		{"the act", 1, ask, cTwo},
		{"the act again", 1, ask, cTwo},
		{"other content under its id", 1, ledgerapi.Act{ID: ask.ID, Do: &ledgerapi.PeriodClose{Fund: 1, Through: 1}}, cReuse},
		{"approved by its maker", 1, yes(ask), ledgerapi.SamePerson},
		{"approved by nobody", 0, yes(ask), cTwo},
		{"approved without a verdict", 2, r.act(&ledgerapi.Approve{Subject: ask.ID}), cMal},
		{"approved", 2, yes(ask), cOK},
		{"approved again", 3, yes(ask), cBad},
		{"the act, sent again", 1, ask, cAgain},
		{"unknown", 2, yes(r.act(nil)), cNone},
	}
	for _, s := range steps {
		if got := r.as(s.actor, s.c); got.Code != s.want {
			t.Errorf("%s = %s, want %s", s.name, got.Code, s.want)
		}
	}
	if len(r.m.Waiting()) != 0 {
		t.Errorf("Waiting = %+v, want none", r.m.Waiting())
	}
	back := r.act(&ledgerapi.RefundMove{Refund: 1, To: ledgerapi.RefundWithdrawn})
	if got := r.as(1, back); got.Code != cTwo {
		t.Errorf("a withdrawal by one = %s", got.Code)
	}
	if all := r.m.Waiting(); len(all) != 1 || all[0].ID != back.ID || all[0].Maker != 1 {
		t.Errorf("Waiting = %+v, want the withdrawal", all)
	}
	r.must(r.act(&ledgerapi.RefundMove{Refund: 1, To: ledgerapi.RefundSent})) // changed meanwhile
	again := yes(back)
	if got := r.as(2, again); got.Code != cBad {
		t.Errorf("Approve of what has changed meanwhile = %s, want BAD_TRANSITION", got.Code)
	}
	no := r.act(&ledgerapi.Approve{Subject: back.ID, Verdict: ledgerapi.VerdictNo, Note: "sent already"})
	for _, s := range []struct {
		name  string
		actor si.Actor
		c     ledgerapi.Act
		want  ledgerapi.Code
	}{{"rejected", 2, no, cOK}, {"rejected again", 2, no, cAgain}, {"approved after all", 3, yes(back), cBad}, {"the act, sent again", 1, back, cBad}} {
		if got := r.as(s.actor, s.c); got.Code != s.want {
			t.Errorf("%s = %s, want %s", s.name, got.Code, s.want)
		}
	}
	r.check()
}
