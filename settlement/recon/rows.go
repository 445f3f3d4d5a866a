package recon

import (
	"encoding/hex"
	"fmt"

	"github.com/shebao-pay/shebao/si"
)

// MaxRows bounds each source: the most lines that a bank's file may have.
const MaxRows = 5_000_000

// DefaultDriftMillis is how long before the cut a payment may have been under way
// to be carried, unless a region says otherwise.
const DefaultDriftMillis = 30 * 60 * 1000

// Serial is a bank's own number of a booking (host serial), as the file has it,
// with zero bytes behind it. All zero is none.
type Serial [20]byte

func (s Serial) String() string { return string(appendText(nil, s[:])) }

// Trace is how the wire names a payment: terminal (DE 41), trace number (DE 11,
// six digits) and retrieval reference number (DE 37). All zero is none. The
// reversal of a payment carries the trace of what it reverses.
type Trace struct {
	DE41 [8]byte
	STAN uint32
	RRN  [12]byte
}

func (t Trace) String() string { return string(t.appendText(nil)) }

func (t *Trace) appendText(b []byte) []byte {
	b = append(appendText(b, t.DE41[:]), '|')
	for d := uint32(100_000); d > 0; d /= 10 {
		b = append(b, byte('0'+t.STAN/d%10)) // #nosec G115 -- a digit
	}
	return appendText(append(b, '|'), t.RRN[:])
}

// Reference is what the payer gave, a notice or a payment id, with zero bytes
// behind it. All zero is none.
type Reference [32]byte

func (r Reference) String() string { return string(appendText(nil, r[:])) }

// Alias names the account that was credited, with zero bytes behind it. All zero
// is none.
type Alias [8]byte

func (a Alias) String() string { return string(appendText(nil, a[:])) }

// appendText shows a field; what is not plain is shown in hexadecimal digits.
func appendText(to, b []byte) []byte {
	for len(b) > 0 && b[len(b)-1] == 0 {
		b = b[:len(b)-1]
	}
	for _, c := range b {
		if c < ' ' || c > '~' || c == '|' {
			return hex.AppendEncode(to, b)
		}
	}
	return append(to, b...)
}

// BankKind is what a line of the bank's file is.
type BankKind byte

// The kinds, by the letter that the file has.
const (
	Paid      BankKind = 'P'
	Reversed  BankKind = 'R'
	Refunded  BankKind = 'F'
	BatchPaid BankKind = 'B' // of an auto-debit run
)

// BankRow is a line of the bank's detail file.
type BankRow struct {
	Kind      BankKind
	Credit    bool // to the payer: reversals and refunds are, payments are not
	Date      si.BusinessDate
	Serial    Serial
	Original  Serial // Reversed, Refunded: of the payment
	Trace     Trace
	Amount    si.Fen
	Reference Reference
	Alias     Alias
	Offset    int64 // of the line in the file
}

// LedgerState is what the ledger holds of a payment.
type LedgerState uint8

// The states.
const (
	LedgerNone LedgerState = iota
	Posted
	Reserved  // held, and no reversal has been made durable
	Reversing // a reversal has
	Voided    // a payment that was posted and taken back is, too
	ledgerStates
)

// LedgerRow is a payment of the ledger: one whose own date or bank date is the
// date that is matched, one carried from the date before, or one that a reversal
// of the file names.
type LedgerRow struct {
	Payment   si.PaymentID
	State     LedgerState
	Carried   bool        // from the date before: it is not carried again
	Terminal  si.Terminal // 0: paid without a terminal
	OurDate   si.BusinessDate
	BankDate  si.BusinessDate
	Serial    Serial // none if the bank gave none
	Trace     Trace
	Amount    si.Fen
	EndMillis int64 // UTC; 0 while it is alive
	Reference Reference
	Alias     Alias
}

// TerminalState is what a terminal's journal says of a payment.
type TerminalState uint8

// The states.
const (
	TerminalNone    TerminalState = iota
	TerminalOK                    // a receipt was given
	TerminalUndone                // told "not completed", or that it was reversed
	TerminalUnaware               // no result
	NoTerminal                    // paid without a terminal, or a journal not complete yet
	terminalStates
)

// TerminalRow is what a terminal's journal holds of a payment, folded to its
// last word.
type TerminalRow struct {
	Payment  si.PaymentID
	Terminal si.Terminal
	State    TerminalState
	Amount   si.Fen
	Trace    Trace // none if the terminal was not told
}

// Input is one date of one bank.
type Input struct {
	Date si.BusinessDate
	// CutMillis is when the date was cut, DriftMillis how long before it a payment
	// may have been under way to be carried into the next date.
	CutMillis, DriftMillis int64
	// AbsenceIsProof: a payment without an ending that the files of two dates do
	// not name was not debited.
	AbsenceIsProof bool

	Bank []BankRow
	// Beside are the payments in the files of the dates before and after: a
	// reversal may name one.
	Beside    []BankRow
	Ledger    []LedgerRow
	Terminals []TerminalRow
	// Late are the terminals whose journal of the date is not complete.
	Late map[si.Terminal]bool
}

func (in *Input) check() error {
	for _, s := range []struct {
		name string
		n    int
	}{{"bank", len(in.Bank)}, {"neighbouring bank", len(in.Beside)}, {"ledger", len(in.Ledger)}, {"terminal", len(in.Terminals)}} {
		if s.n > MaxRows {
			return fmt.Errorf("recon: %d %s rows; at most %d are matched at once", s.n, s.name, MaxRows)
		}
	}
	for i := range in.Bank {
		switch r := &in.Bank[i]; {
		case r.Kind != Paid && r.Kind != BatchPaid && r.Kind != Reversed && r.Kind != Refunded:
			return fmt.Errorf("recon: bank row at byte %d is of kind %q", r.Offset, r.Kind)
		case r.Serial == Serial{}:
			return fmt.Errorf("recon: bank row at byte %d has no serial", r.Offset)
		}
	}
	for i := range in.Ledger {
		if r := &in.Ledger[i]; r.State == LedgerNone || r.State >= ledgerStates {
			return fmt.Errorf("recon: payment %s of the ledger is in state %d", r.Payment, r.State)
		}
	}
	for i := range in.Terminals {
		if r := &in.Terminals[i]; r.State == TerminalNone || r.State >= NoTerminal {
			return fmt.Errorf("recon: payment %s of terminal %d is in state %d", r.Payment, r.Terminal, r.State)
		}
	}
	return nil
}
