package recon

import (
	"fmt"

	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// Verdict is what comes of a row.
type Verdict uint8

// The verdicts that are no break.
const (
	Matched         Verdict = iota + 1
	MatchedUnaware          // agrees; the terminal never learnt it
	MatchedReversed         // debited and given back, and the ledger says so
	MatchedCrossDay         // the same, over two dates
	MatchedNone             // no money moved, and nobody was told that it did
	RefundLine              // a refund of the bank: funds are matched with the statement
	Carry                   // under way around the cut: matched against the next date
	PostByFile              // the file is the proof that the ledger lacked: Post
	VoidByFile              // debited and given back: Void
	VoidAbsent              // the files of two dates do not have it: Void
	breaks                  // the class of a break is added to it
)

// B is the verdict of a break of class n.
func B(n ledgerapi.BreakKind) Verdict { return breaks + Verdict(n) }

// Break gives the class, 0 if the verdict is no break.
func (v Verdict) Break() ledgerapi.BreakKind {
	if v <= breaks {
		return 0
	}
	return ledgerapi.BreakKind(v - breaks)
}

// The classes of breaks.
const (
	TerminalDisagrees  ledgerapi.BreakKind = 1  // paid; the terminal told the payer otherwise
	TerminalLost       ledgerapi.BreakKind = 2  // paid; the terminal has no trace of it
	ReversalNotApplied ledgerapi.BreakKind = 3  // debited; our reversal is under way
	DebitAfterVoid     ledgerapi.BreakKind = 4  // debited; the ledger has given it up
	ShortOfLedger      ledgerapi.BreakKind = 5  // debited at a terminal; not in the ledger (单边账)
	BankOnly           ledgerapi.BreakKind = 6  // debited; nobody else knows
	ReversedAtBank     ledgerapi.BreakKind = 7  // paid in the ledger; the bank gave it back
	NetZeroUnknown     ledgerapi.BreakKind = 8  // debited and given back; not in the ledger
	ReversalOddDay     ledgerapi.BreakKind = 9  // a reversal whose payment is in no file beside
	ReversalNoOriginal ledgerapi.BreakKind = 10 // a reversal that names nothing we know
	LedgerPaidBankNone ledgerapi.BreakKind = 11 // paid in the ledger; the bank has nothing
	LedgerOnly         ledgerapi.BreakKind = 12 // the same, and the terminal did not give a receipt
	InDoubt            ledgerapi.BreakKind = 13 // without an ending; the bank has nothing
	TerminalOnly       ledgerapi.BreakKind = 14 // a receipt was given for what was not paid
	WrongAmount        ledgerapi.BreakKind = 20
	WrongDate          ledgerapi.BreakKind = 21
	WrongBeneficiary   ledgerapi.BreakKind = 22
	WrongReference     ledgerapi.BreakKind = 23
	WrongFeeOrCurrency ledgerapi.BreakKind = 24 // the sign is not that of the kind
	Duplicate          ledgerapi.BreakKind = 25 // a key that names two rows of one source
)

var breakNames = map[ledgerapi.BreakKind]string{
	TerminalDisagrees: "TERMINAL_DISAGREES", TerminalLost: "TERMINAL_LOST", ReversalNotApplied: "REVERSAL_NOT_APPLIED",
	DebitAfterVoid: "DEBIT_AFTER_VOID", ShortOfLedger: "SI_SHORT", BankOnly: "BANK_ONLY", ReversedAtBank: "REVERSED_AT_BANK",
	NetZeroUnknown: "NET_ZERO_UNKNOWN", ReversalOddDay: "REVERSAL_ODD_DAY", ReversalNoOriginal: "REVERSAL_NO_ORIGINAL",
	LedgerPaidBankNone: "LEDGER_PAID_BANK_NONE", LedgerOnly: "LEDGER_ONLY", InDoubt: "IN_DOUBT", TerminalOnly: "TERMINAL_ONLY",
	WrongAmount: "AMOUNT", WrongDate: "DATE", WrongBeneficiary: "BENEFICIARY", WrongReference: "REFERENCE",
	WrongFeeOrCurrency: "FEE_OR_CURRENCY", Duplicate: "DUPLICATE",
}

var verdictNames = [...]string{
	Matched: "MATCHED", MatchedUnaware: "MATCHED T_UNAWARE", MatchedReversed: "MATCHED_REVERSED", MatchedCrossDay: "MATCHED_CROSS_DAY",
	MatchedNone: "MATCHED_NONE", RefundLine: "REFUND", Carry: "CARRY", PostByFile: "POST_BY_FILE", VoidByFile: "VOID_BY_FILE", VoidAbsent: "VOID_ABSENT",
}

func (v Verdict) String() string {
	if k := v.Break(); k != 0 {
		return fmt.Sprintf("B%02d %s", k, breakNames[k])
	}
	if v < breaks && verdictNames[v] != "" {
		return verdictNames[v]
	}
	return fmt.Sprintf("verdict %d", uint8(v))
}

// verdictTexts are the words of every verdict.
var verdictTexts = func() (t [int(breaks) + int(ledgerapi.LastBreak) + 1]string) {
	for v := range t {
		t[v] = Verdict(v).String() // #nosec G115 -- there are few
	}
	return t
}()

// BankState is what a bank's file says of a payment.
type BankState uint8

// The states.
const (
	BankNone     BankState = iota
	BankPaid               // debited
	BankPaidBack           // debited and given back, in this file
	BankBack               // given back; the debit is not in this file
	bankStates
)

// rule is how a cell of the table comes to its verdict.
type rule struct {
	v Verdict
	// carry: while the row may be carried the verdict is Carry.
	carry bool
	// paired: the verdict if the payment is in the file of a date beside.
	paired Verdict
	// absent: the verdict of a carried row where absence is proof.
	absent Verdict
}

// table has a rule for each state of ledger, bank and terminal.
var table = func() (t [ledgerStates][bankStates][terminalStates]rule) {
	all := func(l LedgerState, b BankState, r rule) {
		for s := range terminalStates {
			t[l][b][s] = r
		}
	}
	is := func(v Verdict) rule { return rule{v: v} }

	all(Posted, BankPaid, is(Matched)) // OK and without a terminal
	t[Posted][BankPaid][TerminalUnaware] = is(MatchedUnaware)
	t[Posted][BankPaid][TerminalUndone] = is(B(TerminalDisagrees))
	t[Posted][BankPaid][TerminalNone] = is(B(TerminalLost))
	all(Reserved, BankPaid, is(PostByFile))
	all(Reversing, BankPaid, is(B(ReversalNotApplied)))
	all(Voided, BankPaid, is(B(DebitAfterVoid)))
	all(LedgerNone, BankPaid, is(B(ShortOfLedger)))
	t[LedgerNone][BankPaid][TerminalNone] = is(B(BankOnly))
	t[LedgerNone][BankPaid][NoTerminal] = is(B(BankOnly))

	all(Posted, BankPaidBack, is(B(ReversedAtBank)))
	all(Reserved, BankPaidBack, is(VoidByFile))
	all(Reversing, BankPaidBack, is(VoidByFile))
	all(Voided, BankPaidBack, is(MatchedReversed))
	t[Voided][BankPaidBack][TerminalOK] = is(B(TerminalDisagrees))
	all(LedgerNone, BankPaidBack, is(B(NetZeroUnknown)))

	odd := B(ReversalOddDay)
	all(Posted, BankBack, rule{v: odd, paired: B(ReversedAtBank)})
	all(Reserved, BankBack, rule{v: odd, paired: VoidByFile})
	all(Reversing, BankBack, rule{v: odd, paired: VoidByFile})
	all(Voided, BankBack, rule{v: odd, paired: MatchedCrossDay})
	all(LedgerNone, BankBack, is(B(ReversalNoOriginal)))

	all(Posted, BankNone, rule{v: B(LedgerPaidBankNone), carry: true})
	t[Posted][BankNone][TerminalNone] = is(B(LedgerOnly))
	t[Posted][BankNone][TerminalUndone] = is(B(LedgerOnly))
	all(Reserved, BankNone, rule{v: B(InDoubt), carry: true, absent: VoidAbsent})
	all(Reversing, BankNone, rule{v: B(InDoubt), carry: true, absent: VoidAbsent})
	all(Voided, BankNone, is(MatchedNone))
	t[Voided][BankNone][TerminalOK] = is(B(TerminalOnly))
	all(LedgerNone, BankNone, is(MatchedNone))
	t[LedgerNone][BankNone][TerminalOK] = is(B(TerminalOnly))
	return t
}()

// judge gives the verdict of a row by its three states. paired tells that the
// payment of a reversal is in the file of a date beside, mayCarry that the row
// was under way around the cut, carried that it has been carried already.
func judge(l LedgerState, b BankState, t TerminalState, paired, mayCarry, carried, absenceIsProof bool) Verdict {
	r := &table[l][b][t]
	switch {
	case paired && r.paired != 0:
		return r.paired
	case r.carry && mayCarry && !carried:
		return Carry
	case carried && absenceIsProof && r.absent != 0:
		return r.absent
	}
	return r.v
}
