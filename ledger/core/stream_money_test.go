package core

import (
	"fmt"
	"slices"

	"pgregory.net/rapid"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// among draws one of the latest numbers up to n, rarely one past it.
func (p *player) among(n uint32, label string) uint64 {
	back := rapid.SampledFrom([]uint32{0, 0, 0, 1, 1, 2, 3, 5}).Draw(p.t, label)
	if back == 5 || n == 0 {
		return uint64(n) + 1
	}
	return uint64(max(int(n)-int(back), 1))
}

// deepCommand draws commands that carry refunds, breaks, runs and suspense to
// their ends.
func (p *player) deepCommand() ledgerapi.Command {
	switch n := rapid.IntRange(0, 19).Draw(p.t, "deep"); {
	case n < 6:
		return p.approve()
	case n < 10:
		return p.runEnd(ledgerapi.RunNo(p.among(p.m.runs.used, "run")))
	case n < 12:
		no := ledgerapi.BreakNo(p.among(p.m.breaks.used, "break"))
		if v, ok := p.m.Break(no); !ok || v.State == ledgerapi.BreakClosed {
			return p.act(&ledgerapi.BreakOpen{Kind: 11, Bank: testBank, Date: p.openDate(), Payment: p.anyID(), Amount: 1})
		} else if v.State != ledgerapi.BreakAssigned {
			return p.act(&ledgerapi.BreakMove{Break: no, To: ledgerapi.BreakAssigned, Owner: 7})
		}
		return p.act(p.resolve(no))
	case n == 12:
		n := ledgerapi.RefundNo(p.among(p.m.refunds.used, "refund"))
		v, _ := p.m.Refund(n)
		if v.State == ledgerapi.RefundSent {
			return p.act(&ledgerapi.RefundPaid{StatementLine: p.line(), Refund: n, Amount: v.Amount, Reopen: v.Due != 0})
		}
		return p.act(&ledgerapi.RefundMove{Refund: n, To: ledgerapi.RefundSent})
	}
	return p.act(p.money())
}

func (p *player) amount() si.Fen {
	return rapid.SampledFrom([]si.Fen{1, 10_000, 30_000, 51_000, 102_000}).Draw(p.t, "amount")
}

func (p *player) line() ledgerapi.StatementLine {
	return ledgerapi.StatementLine{Bank: testBank, Date: p.openDate() - si.BusinessDate(rapid.IntRange(0, 1).Draw(p.t, "booked")),
		Ref: fmt.Sprint(rapid.IntRange(0, 60).Draw(p.t, "ref"))}
}

// funds draws what a bank owes for a date, or something else.
func (p *player) funds(of func(f si.Fund) si.Fen) (all []ledgerapi.FundAmount) {
	for _, f := range []si.Fund{si.PensionRes, si.MedRes} {
		x := of(f)
		if rapid.IntRange(0, 5).Draw(p.t, "off") == 0 {
			x += p.amount()
		}
		if x > 0 {
			all = append(all, ledgerapi.FundAmount{Fund: f, Amount: x})
		}
	}
	return all
}

// money draws an act of the money side.
func (p *player) money() ledgerapi.Body {
	m := p.m
	brk := func() ledgerapi.BreakNo { return ledgerapi.BreakNo(p.among(m.breaks.used, "break")) }
	sus := func() ledgerapi.SuspenseNo { return ledgerapi.SuspenseNo(p.among(m.suspenses.used, "suspense")) }
	ref := func() ledgerapi.RefundNo { return ledgerapi.RefundNo(p.among(m.refunds.used, "refund")) }
	no := func() ledgerapi.RunNo { return ledgerapi.RunNo(p.among(m.runs.used, "run")) }
	date := func() si.BusinessDate { return p.openDate() - si.BusinessDate(rapid.IntRange(0, 2).Draw(p.t, "for")) }
	switch rapid.IntRange(0, 17).Draw(p.t, "money") {
	case 0, 1:
		on := date()
		return &ledgerapi.FundsCredited{StatementLine: p.line(), For: on,
			Funds: p.funds(func(f si.Fund) si.Fen { return m.clearingOf(testBank, on, f) })}
	case 2:
		return &ledgerapi.Sweep{StatementLine: p.line(), Funds: p.funds(func(f si.Fund) si.Fen {
			c := m.banks[testBank].deposit[f]
			return c.postedDr - c.postedCr
		})}
	case 3:
		return &ledgerapi.SuspenseIn{Bank: testBank, Date: date(), Fund: si.MedRes, Amount: p.amount(), Break: brk(), Serial: "S"}
	case 4:
		refs, _ := p.refs(p.person())
		c := &ledgerapi.SuspenseUse{Suspense: sus()}
		if len(refs) > 0 {
			c.Due = refs[0]
		}
		return c
	case 5, 6:
		return p.refund(sus())
	case 7:
		return &ledgerapi.RefundMove{Refund: ref(), To: ledgerapi.RefundState(rapid.IntRange(1, 6).Draw(p.t, "to"))}
	case 8:
		n := ref()
		v, _ := m.Refund(n)
		return &ledgerapi.RefundPaid{StatementLine: p.line(), Refund: n, Amount: v.Amount, Reopen: rapid.Bool().Draw(p.t, "reopen")}
	case 9:
		b := brk()
		v, _ := m.Break(b)
		return &ledgerapi.CorrectUnpaid{Payment: v.Payment, Break: b}
	case 10:
		return &ledgerapi.Interest{StatementLine: p.line(), Funds: []ledgerapi.FundAmount{{Fund: si.MedRes, Amount: p.amount()}}}
	case 11:
		return &ledgerapi.PeriodClose{Fund: rapid.SampledFrom([]si.Fund{si.MedRes, si.PensionRes}).Draw(p.t, "fund"), Through: m.sealed}
	case 12:
		return &ledgerapi.BreakOpen{Kind: ledgerapi.BreakKind(rapid.IntRange(4, 6).Draw(p.t, "kind")), Bank: testBank, Date: date(),
			Payment: p.anyID(), Amount: p.amount()}
	case 13:
		c := &ledgerapi.BreakMove{Break: brk(), To: ledgerapi.BreakState(rapid.IntRange(1, 7).Draw(p.t, "to"))}
		if c.To == ledgerapi.BreakAssigned {
			c.Owner = 7
		}
		return c
	case 14:
		return p.resolve(brk())
	case 15:
		return &ledgerapi.RunOpen{Bank: testBank, Date: date()}
	case 16:
		return p.runLine(no())
	default:
		return p.runMove(no())
	}
}

func (p *player) refund(s ledgerapi.SuspenseNo) *ledgerapi.RefundApprove {
	c := &ledgerapi.RefundApprove{Reason: "paid twice"}
	if v := p.m.suspenses.get(s); v != nil && rapid.Bool().Draw(p.t, "suspense") {
		c.Suspense, c.Amount = s, v.rest
		return c
	}
	c.Payment = p.anyID()
	if v, ok := p.m.Payment(c.Payment); ok && len(v.Dues) > 0 {
		d := v.Dues[rapid.IntRange(0, len(v.Dues)-1).Draw(p.t, "due")]
		c.Due, c.Amount = d.Ref.ID, d.Ref.Amount+d.Ref.LateFee
	}
	return c
}

func (p *player) resolve(no ledgerapi.BreakNo) *ledgerapi.BreakResolve {
	c := &ledgerapi.BreakResolve{Break: no, Note: "looked at both files"}
	v, _ := p.m.Break(no)
	var do ledgerapi.Body
	switch rapid.IntRange(0, 4).Draw(p.t, "inside") {
	case 0:
		return c
	case 1:
		do = &ledgerapi.CorrectUnpaid{Payment: v.Payment, Break: no}
	case 2:
		do = &ledgerapi.SuspenseIn{Bank: testBank, Date: p.openDate(), Fund: si.MedRes, Amount: p.amount(), Break: no}
	case 3:
		r := p.refund(0)
		if r.Payment = v.Payment; r.Due != 0 {
			do = r
		}
	}
	if do == nil {
		post := approval(v.Payment, p.openDate())
		post.Evidence.Source = ledgerapi.SourceDesk
		c.Act, c.Key, c.Body = post.Type(), v.Payment, post.AppendBody(nil)
		return c
	}
	a := p.act(do)
	c.Act, c.Key, c.Body = a.Type(), a.ID, a.AppendBody(nil)
	return c
}

func (p *player) runLine(no ledgerapi.RunNo) *ledgerapi.RunLine {
	v, _ := p.m.Run(no)
	c := &ledgerapi.RunLine{Run: no}
	if v.State == ledgerapi.RunCreated {
		c.Line = v.Lines + 1
		for i := range p.persons { // one who owes; newPlayer gave each a mandate of the same number
			who := (int(p.person())+i)%p.persons + 1
			c.Mandate = ledgerapi.MandateNo(who)
			if c.Dues, c.Total = p.refs(si.PersonNo(who)); len(c.Dues) > 0 {
				break
			}
		}
		return c
	}
	c.Line = uint32(p.among(v.Lines, "line"))
	if c.Result = ledgerapi.LineInsufficient; rapid.Bool().Draw(p.t, "won") {
		c.Result, c.Serial, c.Date = ledgerapi.LineSuccess, "B1", p.openDate()
		if v.DebitDate != 0 {
			c.Date = v.DebitDate
		}
	}
	return c
}

func (p *player) runMove(no ledgerapi.RunNo) *ledgerapi.RunMove {
	v, _ := p.m.Run(no)
	c := &ledgerapi.RunMove{Run: no, To: v.State + 1, File: v.Sent, Count: v.Lines, Sum: v.Total}
	switch {
	case v.State == ledgerapi.RunCreated:
		c.File = [32]byte{1}
	case v.State == ledgerapi.RunSent && rapid.IntRange(0, 3).Draw(p.t, "ack") > 0:
		c.To = ledgerapi.RunAcked
	case v.State == ledgerapi.RunAcked:
		c.To, c.File, c.Count, c.Sum = ledgerapi.RunResult, [32]byte{2}, v.Debited, v.Success
	case v.State >= ledgerapi.RunResult:
		c.Sum = v.Success
	}
	return c
}

// runEnd draws what brings a run on: its lines, the bank's answers, its money,
// and the end of each line.
func (p *player) runEnd(no ledgerapi.RunNo) ledgerapi.Command {
	v, _ := p.m.Run(no)
	x := p.m.runs.get(no)
	switch {
	case x == nil || v.State == ledgerapi.RunClosed:
		return p.act(&ledgerapi.RunOpen{Bank: testBank, Date: p.openDate()})
	case v.State == ledgerapi.RunCreated && v.Lines < 3, v.State == ledgerapi.RunAcked && v.Answered < v.Lines:
		c := p.runLine(no)
		if v.State == ledgerapi.RunAcked {
			c.Line = v.Answered + 1
		}
		return p.act(c)
	case v.State == ledgerapi.RunResult && v.Credited < v.Success:
		return p.act(&ledgerapi.FundsCredited{StatementLine: p.line(), For: v.DebitDate, Run: no,
			Funds: p.funds(func(f si.Fund) si.Fen { return x.success[f] - x.credited[f] })})
	case v.Live == 0 || v.State == ledgerapi.RunSent || v.State == ledgerapi.RunAcked || v.State == ledgerapi.RunCreated ||
		v.State == ledgerapi.RunResult && rapid.Bool().Draw(p.t, "early"):
		return p.act(p.runMove(no))
	}
	for _, l := range p.m.RunLines(no, 0, 9) {
		if q, _ := p.m.Payment(l.Payment); q.State != ledgerapi.PayReserved {
			continue
		}
		if l.Result == ledgerapi.LineSuccess {
			post := approval(l.Payment, v.DebitDate)
			post.Evidence.Source = ledgerapi.SourceFile
			return post
		}
		if v.State == ledgerapi.RunRejected {
			return voidBy(l.Payment, ledgerapi.ProofNotSent)
		}
		return voidBy(l.Payment, ledgerapi.ProofDeclined)
	}
	return p.act(p.runMove(no))
}

// approve draws the second person's word on an act that waits.
func (p *player) approve() ledgerapi.Command {
	c := &ledgerapi.Approve{Verdict: ledgerapi.VerdictYes}
	if rapid.IntRange(0, 6).Draw(p.t, "verdict") == 0 {
		c.Verdict = ledgerapi.VerdictNo
	}
	if all := p.m.Waiting(); len(all) > 0 {
		c.Subject = all[len(all)-1-rapid.IntRange(0, min(len(all)-1, 5)).Draw(p.t, "waiting")].ID
	}
	return p.act(c)
}

// balancesFromJournal makes the trial balance of every date anew from the rows
// of the journal, and holds what was sealed, and what stands now, against it.
func balancesFromJournal(t tester, m *Machine, until si.BusinessDate) {
	t.Helper()
	type acct struct {
		fund si.Fund
		code uint32
		part Part
		bank si.Bank
		date si.BusinessDate
	}
	type moved struct{ dr, cr si.Fen }
	byDate := map[si.BusinessDate]map[acct]moved{}
	numbers := map[si.BusinessDate][]uint64{}
	for _, j := range m.Journal(1, 1<<20) {
		if byDate[j.Date] == nil {
			byDate[j.Date] = map[acct]moved{}
		}
		numbers[j.Date] = append(numbers[j.Date], j.No)
		var sum [funds]si.Fen
		for _, l := range j.Lines {
			a := acct{l.Fund, l.Code, l.Part, l.Bank, l.Date}
			if l.Code == CodeRefunds {
				a.bank = 0 // named in the line, not in the account
			}
			x := byDate[j.Date][a]
			byDate[j.Date][a] = moved{x.dr + l.Dr, x.cr + l.Cr}
			sum[l.Fund] += l.Dr - l.Cr
		}
		if sum != [funds]si.Fen{} {
			t.Fatalf("journal row %d (%s) does not balance: %v", j.No, j.Kind, sum)
		}
	}
	held := map[acct]si.Fen{}
	for date := firstDay - 5; date <= until; date++ {
		got := m.BalanceOn(date)
		seen := map[acct]bool{}
		for _, l := range got.Lines {
			a := acct{l.Fund, l.Code, l.Part, l.Bank, l.Date}
			seen[a] = true
			x := byDate[date][a]
			if l.Opening != held[a] || l.Dr != x.dr || l.Cr != x.cr || l.Closing != held[a]+x.dr-x.cr {
				t.Fatalf("balance of %s (sealed %v): %+v, the journal says %d, %d, %d", date, got.Sealed, l, held[a], x.dr, x.cr)
			}
		}
		for a, x := range byDate[date] {
			if held[a] += x.dr - x.cr; !seen[a] && (x.dr != 0 || x.cr != 0) {
				t.Fatalf("balance of %s lacks %+v", date, a)
			}
		}
		for a, x := range held {
			if x != 0 && !seen[a] {
				t.Fatalf("balance of %s lacks %+v, which holds %d", date, a, x)
			}
		}
		var rows []uint64
		for _, j := range m.JournalOn(date, 0, 1<<20) {
			rows = append(rows, j.No)
		}
		if !slices.Equal(rows, numbers[date]) {
			t.Fatalf("JournalOn(%s) gives rows %v, want %v", date, rows, numbers[date])
		}
	}
}
