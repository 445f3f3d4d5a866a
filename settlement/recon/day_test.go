package recon

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// second is added to the serial of a second line of a payment.
const second = 10_000_000

// breakKinds are the classes that can be planted, all of them.
var breakKinds = func() (list []ledgerapi.BreakKind) {
	for k := range breakNames {
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}()

// planted makes a date of n payments, a third of them at counters, and plants
// breaks of every class in turn; truth is the verdict of each payment.
func planted(n, count int, r *rand.Rand) (in *Input, truth []Verdict) {
	in = &Input{Date: day, CutMillis: cut, DriftMillis: drift}
	truth = make([]Verdict, n)
	for i := range count {
		at := r.IntN(n)
		for truth[at] != 0 {
			at = r.IntN(n)
		}
		truth[at] = B(breakKinds[i%len(breakKinds)])
	}
	for i := range n {
		if truth[i] == 0 {
			truth[i] = []Verdict{Matched, Matched, Matched, Matched, Matched, MatchedReversed, MatchedNone, Carry, MatchedUnaware, PostByFile, VoidByFile, RefundLine}[min(11, r.IntN(200))%12]
		}
		plant(in, i, truth[i], r)
	}
	return in, truth
}

// plant adds the rows of one payment that has a verdict.
func plant(in *Input, n int, v Verdict, r *rand.Rand) {
	amount := si.Fen(1 + r.IntN(1_000_000))
	p := BankRow{Kind: Paid, Date: day, Serial: serial(n), Trace: trace(n), Amount: amount, Offset: int64(n)}
	copy(p.Alias[:], "SB330110")
	copy(p.Reference[:], strconv.Itoa(n))
	back := p
	back.Kind, back.Credit, back.Serial, back.Original = Reversed, true, serial(n+second), p.Serial
	l := LedgerRow{Payment: payment(n), State: Posted, Terminal: si.Terminal(n%900 + 1), OurDate: day, BankDate: day, Trace: p.Trace, Amount: amount,
		EndMillis: cut - drift - 1, Reference: p.Reference, Alias: p.Alias}
	t := TerminalRow{Payment: l.Payment, Terminal: l.Terminal, State: TerminalOK, Amount: amount, Trace: p.Trace}
	bank, ledger, term := true, true, true
	var more []BankRow
	counter := func() { // a payment at a counter: the bank's own number names it
		p.Trace, l.Trace, l.Serial, l.Terminal, term = Trace{}, Trace{}, p.Serial, 0, false
	}
	switch v {
	case Matched:
		if n%3 == 0 {
			counter()
		}
	case MatchedReversed:
		l.State, t.State = Voided, TerminalUndone
		more = []BankRow{back}
	case MatchedNone:
		l.State, t.State, bank = Voided, TerminalUndone, false
	case Carry:
		l.EndMillis, bank = cut-1, false
	case MatchedUnaware:
		t.State = TerminalUnaware
	case PostByFile:
		l.State, l.EndMillis, t.State = Reserved, 0, TerminalUnaware
	case VoidByFile:
		l.State, l.EndMillis, t.State = Reversing, 0, TerminalUnaware
		more = []BankRow{back}
	case RefundLine:
		back.Kind, back.Serial = Refunded, serial(n)
		more, bank, ledger, term = []BankRow{back}, false, false, false
	}
	switch v.Break() {
	case TerminalDisagrees:
		if t.State = TerminalUndone; n%2 == 0 { // or the sum is another
			t.State, t.Amount = TerminalOK, amount+1
		}
	case TerminalLost:
		term = false
	case ReversalNotApplied:
		l.State, l.EndMillis, t.State = Reversing, 0, TerminalUnaware
	case DebitAfterVoid:
		l.State, t.State = Voided, TerminalUndone
	case ShortOfLedger:
		ledger = false
	case BankOnly:
		ledger, term = false, false
	case ReversedAtBank:
		more = []BankRow{back}
	case NetZeroUnknown:
		more, ledger, term = []BankRow{back}, false, false
	case ReversalOddDay:
		more, bank = []BankRow{back}, false
	case ReversalNoOriginal:
		more, bank, ledger, term = []BankRow{back}, false, false, false
	case LedgerPaidBankNone:
		if bank = false; n%2 == 0 { // or after the carry
			l.Carried, l.EndMillis = true, cut
		}
	case LedgerOnly:
		bank, term = false, n%2 == 0
		t.State = TerminalUndone
	case InDoubt:
		l.State, l.EndMillis, l.Carried, bank, t.State = Reserved, 0, true, false, TerminalUnaware
	case TerminalOnly:
		if bank, ledger = false, n%2 == 0; ledger {
			l.State = Voided
		}
	case WrongAmount:
		p.Amount++
	case WrongDate:
		l.BankDate++
	case WrongBeneficiary:
		copy(p.Alias[:], "SB330109")
	case WrongReference:
		copy(p.Reference[:], "another")
	case WrongFeeOrCurrency:
		p.Credit = true
	case Duplicate:
		twice := p
		if twice.Serial = serial(n + second); n%2 == 0 { // or given back twice
			more = []BankRow{back}
			twice = back
			twice.Serial = serial(n + 2*second)
		}
		more = append(more, twice)
	}
	if bank {
		in.Bank = append(in.Bank, p)
	}
	in.Bank = append(in.Bank, more...)
	if ledger {
		in.Ledger = append(in.Ledger, l)
	}
	if term {
		in.Terminals = append(in.Terminals, t)
	}
}

// number is which payment a line is about.
func number(l *Line) int {
	digits := string(l.Payment[:])
	if l.Payment == (si.PaymentID{}) {
		digits = l.Serial.String()[1:]
	}
	n, err := strconv.Atoi(digits)
	if err != nil {
		return -1
	}
	return n % second
}

// judged compares a result with the truth.
func judged(t *testing.T, res *Result, truth []Verdict) {
	t.Helper()
	got := make([]Verdict, len(truth))
	for i := range res.Lines {
		l := &res.Lines[i]
		n := number(l)
		if n < 0 || n >= len(truth) || got[n] != 0 {
			t.Fatalf("line %d, %s of payment %d: nobody's, or its second", i, l.Verdict, n)
		}
		got[n] = l.Verdict
	}
	for n := range truth {
		if got[n] != truth[n] {
			t.Errorf("payment %d: %s, planted was %s", n, got[n], truth[n])
		}
	}
	if in, out := res.Posted.Rows+res.CarriedIn.Rows, res.Matched.Rows+res.CarriedOut.Rows+res.Broken.Rows; in != out ||
		res.Posted.Amount+res.CarriedIn.Amount != res.Matched.Amount+res.CarriedOut.Amount+res.Broken.Amount {
		t.Errorf("posted %v and carried in %v are not matched %v, carried out %v and broken %v", res.Posted, res.CarriedIn, res.Matched, res.CarriedOut, res.Broken)
	}
}

// TestDay finds every planted break with its class and no other, whatever the
// order of the rows, with the same hash.
func TestDay(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		in, truth := planted(3000, 300, r)
		res, err := Match(in)
		if err != nil {
			t.Fatal(err)
		}
		judged(t, res, truth)
		var first bytes.Buffer
		if err := res.Write(&first); err != nil {
			t.Fatal(err)
		}
		r.Shuffle(len(in.Bank), func(i, j int) { in.Bank[i], in.Bank[j] = in.Bank[j], in.Bank[i] })
		r.Shuffle(len(in.Ledger), func(i, j int) { in.Ledger[i], in.Ledger[j] = in.Ledger[j], in.Ledger[i] })
		r.Shuffle(len(in.Terminals), func(i, j int) { in.Terminals[i], in.Terminals[j] = in.Terminals[j], in.Terminals[i] })
		again, err := Match(in)
		if err != nil {
			t.Fatal(err)
		}
		var other bytes.Buffer
		if err := again.Write(&other); err != nil {
			t.Fatal(err)
		}
		if again.Hash != res.Hash || !bytes.Equal(first.Bytes(), other.Bytes()) {
			t.Fatalf("seed %d: the rows in another order are another result", seed)
		}
	}
}

// TestEqualTotals: two errors that cancel out are two breaks.
func TestEqualTotals(t *testing.T) {
	in := &Input{Date: day, CutMillis: cut, DriftMillis: drift}
	r := rand.New(rand.NewPCG(1, 1))
	for n := range 2 {
		plant(in, n+1, Matched, r)
	}
	in.Bank[0].Amount++
	in.Bank[1].Amount--
	res, err := Match(in)
	if err != nil {
		t.Fatal(err)
	}
	if got := res.Sums[B(WrongAmount)].Rows; got != 2 {
		t.Errorf("%d breaks of the amount, want 2: %v", got, res.Sums)
	}
}

// TestBreakCommand turns lines into the commands that record them.
func TestBreakCommand(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	in, _ := planted(2000, len(breakKinds)*4, r)
	res, err := Match(in)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[ledgerapi.BreakKind]int{}
	for _, l := range res.Breaks() {
		c, ok := l.Open(3, day)
		if !ok || c.Kind != l.Verdict.Break() || c.Bank != 3 || c.Date != day || c.Payment != l.Payment || c.Amount != l.Amount || c.Kind > ledgerapi.LastBreak {
			t.Errorf("%s: %+v", l.Verdict, c)
		}
		if c.Kind >= WrongAmount && len(c.Reasons) == 0 {
			t.Errorf("%s says no field that differs", l.Verdict)
		}
		seen[c.Kind]++
	}
	for _, k := range breakKinds {
		if seen[k] != 4 {
			t.Errorf("%d commands of class %d, want 4", seen[k], k)
		}
	}
	if l := res.Lines[0]; l.Verdict.Break() == 0 {
		if _, ok := l.Open(3, day); ok {
			t.Error("a line that is no break makes a command")
		}
	}
}

// TestRefuses sources that cannot be.
func TestRefuses(t *testing.T) {
	good := func() *Input { return oneOf(BankPaid, Posted, TerminalOK, false, false) }
	if _, err := Match(good()); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Input){
		"a bank row of no kind":         func(in *Input) { in.Bank[0].Kind = 'X' },
		"a bank row without a serial":   func(in *Input) { in.Bank[0].Serial = Serial{} },
		"a payment of no state":         func(in *Input) { in.Ledger[0].State = LedgerNone },
		"a terminal row of no state":    func(in *Input) { in.Terminals[0].State = NoTerminal },
		"a payment twice in the ledger": func(in *Input) { in.Ledger = append(in.Ledger, in.Ledger[0]) },
		"a payment at two terminals":    func(in *Input) { in.Terminals = append(in.Terminals, in.Terminals[0]) },
		"one row too many":              func(in *Input) { in.Terminals = make([]TerminalRow, MaxRows+1) },
	} {
		in := good()
		change(in)
		if res, err := Match(in); err == nil {
			t.Errorf("%s: matched, %d lines", name, len(res.Lines))
		}
	}
}

// TestHostileKeys: rows that share keys in every way get a verdict each and no
// key is matched by guessing.
func TestHostileKeys(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 2))
		in := &Input{Date: day, CutMillis: cut, DriftMillis: drift}
		few := func() int { return 1 + r.IntN(3) }
		for i := range 12 {
			b := BankRow{Kind: Paid, Date: day, Serial: serial(few()), Trace: trace(few()), Amount: si.Fen(few()), Offset: int64(i)}
			if r.IntN(3) == 0 {
				b.Kind, b.Credit, b.Original = Reversed, true, serial(few())
			}
			in.Bank = append(in.Bank, b)
		}
		for i := range 6 {
			in.Ledger = append(in.Ledger, LedgerRow{Payment: payment(i), State: LedgerState(1 + r.IntN(4)), Terminal: si.Terminal(r.IntN(2)),
				OurDate: day, BankDate: day, Trace: trace(few()), Amount: si.Fen(few()), Serial: serial(r.IntN(4))})
			if r.IntN(2) == 0 {
				in.Terminals = append(in.Terminals, TerminalRow{Payment: payment(i * r.IntN(2) * 2), Terminal: 1, State: TerminalOK, Trace: trace(few())})
			}
		}
		in.Terminals = slices.CompactFunc(in.Terminals, func(a, b TerminalRow) bool { return a.Payment == b.Payment })
		res, err := Match(in)
		if err != nil {
			continue // a payment twice
		}
		of := map[si.PaymentID]int{}
		for i := range res.Lines {
			of[res.Lines[i].Payment]++
		}
		for i := range in.Ledger {
			if of[in.Ledger[i].Payment] != 1 {
				t.Fatalf("seed %d: payment %d of the ledger has %d verdicts", seed, i, of[in.Ledger[i].Payment])
			}
		}
		if len(res.Lines) > len(in.Bank)+len(in.Ledger)+len(in.Terminals) {
			t.Fatalf("seed %d: %d lines", seed, len(res.Lines))
		}
	}
}

// BenchmarkMatch matches dates of several sizes.
func BenchmarkMatch(b *testing.B) {
	for _, n := range []int{10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			in, _ := planted(n, 500, rand.New(rand.NewPCG(1, 3)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Match(in); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/payment")
		})
	}
}
