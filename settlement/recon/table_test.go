package recon

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/shebao-pay/shebao/si"
)

// want is the match table as it stands in the agreement between agency and
// banks, written out by hand: bank, ledger, then what each state of the terminal
// comes to, in the order OK, REV, UNK, -, n/a. A cell with words behind a slash
// says what it is once the row has been carried, or with + when the payment of a
// reversal is in a file beside.
const want = `
P  POSTED    MATCHED B01 MATCHED_T B02 MATCHED
P  RESERVED  POST POST POST POST POST
P  REVERSING B03 B03 B03 B03 B03
P  VOIDED    B04 B04 B04 B04 B04
P  -         B05 B05 B05 B06 B06
PR POSTED    B07 B07 B07 B07 B07
PR RESERVED  VOID VOID VOID VOID VOID
PR REVERSING VOID VOID VOID VOID VOID
PR VOIDED    B01 REVERSED REVERSED REVERSED REVERSED
PR -         B08 B08 B08 B08 B08
R  POSTED    B09+B07 B09+B07 B09+B07 B09+B07 B09+B07
R  RESERVED  B09+VOID B09+VOID B09+VOID B09+VOID B09+VOID
R  REVERSING B09+VOID B09+VOID B09+VOID B09+VOID B09+VOID
R  VOIDED    B09+CROSS B09+CROSS B09+CROSS B09+CROSS B09+CROSS
R  -         B10 B10 B10 B10 B10
-  POSTED    CARRY/B11 B12 CARRY/B11 B12 CARRY/B11
-  RESERVED  CARRY/B13 CARRY/B13 CARRY/B13 CARRY/B13 CARRY/B13
-  REVERSING CARRY/B13 CARRY/B13 CARRY/B13 CARRY/B13 CARRY/B13
-  VOIDED    B14 NONE NONE NONE NONE
-  -         B14 NONE NONE . .
`

var short = map[Verdict]string{
	Matched: "MATCHED", MatchedUnaware: "MATCHED_T", MatchedReversed: "REVERSED", MatchedCrossDay: "CROSS", MatchedNone: "NONE",
	Carry: "CARRY", PostByFile: "POST", VoidByFile: "VOID",
}

func brief(v Verdict) string {
	if k := v.Break(); k != 0 {
		return fmt.Sprintf("B%02d", k)
	}
	return short[v]
}

func serial(n int) (s Serial) { copy(s[:], fmt.Sprintf("H%018d", n)); return s }

func trace(n int) (t Trace) {
	copy(t.DE41[:], fmt.Sprintf("T%07d", n%900))
	t.STAN = uint32(n % 1_000_000)
	copy(t.RRN[:], fmt.Sprintf("%012d", n))
	return t
}

func payment(n int) (p si.PaymentID) { copy(p[:], fmt.Sprintf("%016d", n)); return p }

const (
	day     = si.BusinessDate(400)
	cut     = int64(1_000_000_000)
	drift   = int64(1_800_000)
	someFen = si.Fen(51_000)
)

// case of one row in each source, as the states say.
func oneOf(b BankState, l LedgerState, t TerminalState, beside, carried bool) *Input {
	in := &Input{Date: day, CutMillis: cut, DriftMillis: drift}
	p := BankRow{Kind: Paid, Date: day, Serial: serial(1), Trace: trace(1), Amount: someFen}
	r := BankRow{Kind: Reversed, Credit: true, Date: day, Serial: serial(2), Original: serial(1), Trace: trace(1), Amount: someFen}
	if b == BankPaid || b == BankPaidBack {
		in.Bank = append(in.Bank, p)
	}
	if b == BankPaidBack || b == BankBack {
		in.Bank = append(in.Bank, r)
	}
	if beside {
		in.Beside = append(in.Beside, p)
	}
	if l != LedgerNone {
		row := LedgerRow{Payment: payment(1), State: l, Carried: carried, Terminal: 7, OurDate: day, BankDate: day, Trace: trace(1), Amount: someFen, EndMillis: cut - 1}
		if t == NoTerminal {
			row.Terminal, row.Serial = 0, serial(1)
		}
		if l == Reserved || l == Reversing {
			row.EndMillis = 0
		}
		in.Ledger = append(in.Ledger, row)
	}
	if t == TerminalOK || t == TerminalUndone || t == TerminalUnaware {
		in.Terminals = append(in.Terminals, TerminalRow{Payment: payment(1), Terminal: 7, State: t, Amount: someFen, Trace: trace(1)})
	}
	return in
}

func oneVerdict(t *testing.T, in *Input) Verdict {
	t.Helper()
	res, err := Match(in)
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Lines) != 1 {
		t.Fatalf("%d lines for one payment: %+v", len(res.Lines), res.Lines)
	}
	return res.Lines[0].Verdict
}

// TestTable matches each combination of the three states, as rows, and compares
// with the agreed table.
func TestTable(t *testing.T) {
	terminals := []TerminalState{TerminalOK, TerminalUndone, TerminalUnaware, TerminalNone, NoTerminal}
	cells := 0
	for line := range strings.Lines(strings.TrimSpace(want)) {
		f := strings.Fields(line)
		b, l := BankState(slices.Index(bankWords[:], f[0])), LedgerState(slices.Index(ledgerWords[:], f[1]))
		for i, cell := range f[2:] {
			if cell == "." { // nobody knows anything: there is no row
				continue
			}
			cells++
			name := fmt.Sprintf("bank %s, ledger %s, terminal %s", f[0], f[1], terminals[i])
			first, later, carries := strings.Cut(cell, "/")
			odd, paired, pairs := strings.Cut(first, "+")
			if got := brief(oneVerdict(t, oneOf(b, l, terminals[i], false, false))); got != odd {
				t.Errorf("%s: %s, want %s", name, got, odd)
			}
			if carries {
				if got := brief(oneVerdict(t, oneOf(b, l, terminals[i], false, true))); got != later {
					t.Errorf("%s, carried: %s, want %s", name, got, later)
				}
			}
			if pairs {
				if got := brief(oneVerdict(t, oneOf(b, l, terminals[i], true, false))); got != paired {
					t.Errorf("%s, with its payment in a file beside: %s, want %s", name, got, paired)
				}
			}
		}
	}
	if n := int(bankStates)*int(ledgerStates)*int(terminalStates) - 2; cells != n {
		t.Errorf("%d cells were looked at, there are %d", cells, n)
	}
}

// TestCarryEndsOnce: what was long over before the cut is not carried, what was
// carried is not carried again, and absence proves something only where the bank
// says so.
func TestCarryEndsOnce(t *testing.T) {
	in := oneOf(BankNone, Posted, TerminalOK, false, false)
	in.Ledger[0].EndMillis = cut - drift - 1
	if got := oneVerdict(t, in); got != B(LedgerPaidBankNone) {
		t.Errorf("ended before the drift: %s", got)
	}
	in.Ledger[0].EndMillis = cut - drift
	if got := oneVerdict(t, in); got != Carry {
		t.Errorf("ended at the drift: %s", got)
	}
	in.Ledger[0].EndMillis, in.Ledger[0].BankDate = cut-drift-1, day+1
	if got := oneVerdict(t, in); got != Carry {
		t.Errorf("ours of the date and the bank's of the next: %s", got)
	}
	in = oneOf(BankNone, Reserved, TerminalUnaware, false, true)
	in.AbsenceIsProof = true
	if got := oneVerdict(t, in); got != VoidAbsent {
		t.Errorf("absent from two files where that is proof: %s", got)
	}
	in.Ledger[0].Carried = false
	if got := oneVerdict(t, in); got != Carry {
		t.Errorf("absent from one file: %s", got)
	}
}

// TestLateJournal judges a payment as if it had no terminal while the journal of
// the date is not complete.
func TestLateJournal(t *testing.T) {
	in := oneOf(BankPaid, Posted, TerminalNone, false, false)
	in.Late = map[si.Terminal]bool{7: true}
	if got := oneVerdict(t, in); got != Matched {
		t.Errorf("journal late: %s", got)
	}
	in.Late = map[si.Terminal]bool{8: true}
	if got := oneVerdict(t, in); got != B(TerminalLost) {
		t.Errorf("journal of another terminal late: %s", got)
	}
}

// TestReversalWithoutOriginal: where a bank does not name the payment that it
// gave back, trace and amount name it in the same file, and the trace in a file
// beside.
func TestReversalWithoutOriginal(t *testing.T) {
	in := oneOf(BankPaidBack, Posted, TerminalOK, false, false)
	in.Bank[1].Original = Serial{}
	if got := oneVerdict(t, in); got != B(ReversedAtBank) {
		t.Errorf("in the same file: %s", got)
	}
	in = oneOf(BankPaidBack, Posted, TerminalOK, false, false)
	in.Bank[1].Original, in.Bank[1].Amount = Serial{}, someFen-1
	res, err := Match(in)
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Lines) != 2 || res.Sums[Matched].Rows != 1 || res.Sums[B(ReversalNoOriginal)].Rows != 1 {
		t.Errorf("another amount: %+v, want a reversal that nobody guesses a payment for", res.Lines)
	}
	in = oneOf(BankBack, Voided, TerminalUndone, true, false)
	in.Bank[0].Original = Serial{}
	if got := oneVerdict(t, in); got != MatchedCrossDay {
		t.Errorf("in a file beside: %s", got)
	}
}

// TestTwoForOneTerminal: what a terminal knows and the ledger does not is not
// given to one of two lines of the bank.
func TestTwoForOneTerminal(t *testing.T) {
	in := oneOf(BankPaid, LedgerNone, TerminalOK, false, false)
	other := in.Bank[0]
	other.Serial = serial(9)
	in.Bank = append(in.Bank, other)
	res, err := Match(in)
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Lines) != 3 || res.Sums[B(BankOnly)].Rows != 2 || res.Sums[B(TerminalOnly)].Rows != 1 {
		t.Errorf("lines %+v, want two that only the bank has and one that only the terminal has", res.Lines)
	}
}

// TestTwoOfTheLedger: two payments of the ledger under one key of the bank's line
// are both breaks, and neither is matched.
func TestTwoOfTheLedger(t *testing.T) {
	in := oneOf(BankPaid, Posted, NoTerminal, false, false)
	other := in.Ledger[0]
	other.Payment = payment(2)
	in.Ledger = append(in.Ledger, other)
	res, err := Match(in)
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Lines) != 2 || res.Lines[0].Verdict != B(Duplicate) || res.Lines[1].Verdict != B(Duplicate) {
		t.Errorf("lines %+v, want two duplicates", res.Lines)
	}
}

// TestDocument holds the page to the code.
func TestDocument(t *testing.T) {
	page, err := os.ReadFile("../../docs/spec/settlement-match.md")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("| bank | ledger | OK | REV | UNK | – | n/a |\n|---|---|---|---|---|---|---|\n")
	for bank := range bankStates {
		for ledger := range ledgerStates {
			fmt.Fprintf(&b, "| %s | %s |", BankState((bank+1)%bankStates), LedgerState((ledger+1)%ledgerStates))
			before := ""
			for _, term := range []TerminalState{TerminalOK, TerminalUndone, TerminalUnaware, TerminalNone, NoTerminal} {
				r := table[(ledger+1)%ledgerStates][(bank+1)%bankStates][term]
				cell := r.v.String()
				if r.carry {
					cell = "CARRY, then " + cell
				}
				if r.paired != 0 {
					cell += "; paired: " + r.paired.String()
				}
				if cell == before {
					b.WriteString(" ″ |")
					continue
				}
				before = cell
				fmt.Fprintf(&b, " %s |", cell)
			}
			b.WriteString("\n")
		}
	}
	_, rest, ok := strings.Cut(string(page), "<!-- table -->\n")
	got, _, ok2 := strings.Cut(rest, "<!-- end -->\n")
	if !ok || !ok2 || got != b.String() {
		t.Errorf("docs/spec/settlement-match.md does not have the table of the code; put this there:\n%s", b.String())
	}
	for k := range breakNames {
		if line := fmt.Sprintf("| %s |", B(k)); !strings.Contains(string(page), line) {
			t.Errorf("the page does not explain %s", B(k))
		}
	}
}
