package recon

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// Field is one field in which the sources of a row differ, as text.
type Field struct{ Name, Terminal, Bank, Ledger string }

// Line is the verdict of one row.
type Line struct {
	Verdict  Verdict
	Bank     BankState
	Ledger   LedgerState
	Terminal TerminalState
	Payment  si.PaymentID // zero if only the bank has it
	Serial   Serial
	Trace    Trace
	Amount   si.Fen  // the ledger's, else the bank's, else the terminal's
	Fields   []Field // in which the sources differ
	Offset   int64   // of the bank's line in its file; -1 if there is none

	posted, carried bool
}

// Sum is a number of rows and what they come to.
type Sum struct {
	Rows   int
	Amount si.Fen
}

func (s *Sum) add(a si.Fen) {
	s.Rows++
	s.Amount += a
}

// Result is the match of one date.
type Result struct {
	Date  si.BusinessDate
	Lines []Line // by verdict, then payment, serial, trace
	// By verdict.
	Sums map[Verdict]Sum
	// Of what the ledger has posted: Posted + CarriedIn = Matched + CarriedOut +
	// Broken, in rows and in fen.
	Posted, CarriedIn, Matched, CarriedOut, Broken Sum
	// Hash is the SHA-256 of all lines as Write writes them.
	Hash [32]byte
}

func (r *Result) add(l Line) { r.Lines = append(r.Lines, l) }

// Breaks gives the lines that are breaks, in order.
func (r *Result) Breaks() []Line {
	at, _ := slices.BinarySearchFunc(r.Lines, breaks, func(l Line, v Verdict) int { return cmp.Compare(l.Verdict, v) })
	return r.Lines[at:]
}

// compareResult orders lines. Those that are equal in it are equal as text.
func compareResult(a, b *Line) int {
	if a.Verdict != b.Verdict {
		return cmp.Compare(a.Verdict, b.Verdict)
	}
	if c := bytes.Compare(a.Payment[:], b.Payment[:]); c != 0 {
		return c
	}
	if c := compareSerial(a.Serial, b.Serial); c != 0 {
		return c
	}
	return cmp.Or(compareTrace(a.Trace, b.Trace),
		cmp.Compare(a.Amount, b.Amount), cmp.Compare(a.Bank, b.Bank), cmp.Compare(a.Ledger, b.Ledger), cmp.Compare(a.Terminal, b.Terminal),
		slices.CompareFunc(a.Fields, b.Fields, func(x, y Field) int {
			return cmp.Or(cmp.Compare(x.Name, y.Name), cmp.Compare(x.Bank, y.Bank), cmp.Compare(x.Ledger, y.Ledger), cmp.Compare(x.Terminal, y.Terminal))
		}))
}

// finish sorts the lines and adds them up.
func (r *Result) finish() {
	slices.SortFunc(r.Lines, func(a, b Line) int { return compareResult(&a, &b) })
	r.Sums = map[Verdict]Sum{}
	h := sha256.New()
	var buf []byte
	for i := range r.Lines {
		l := &r.Lines[i]
		s := r.Sums[l.Verdict]
		s.add(l.Amount)
		r.Sums[l.Verdict] = s
		if l.posted {
			r.count(l)
		}
		if buf = l.appendText(buf); len(buf) > 1<<16 {
			_, _ = h.Write(buf) // a hash takes everything
			buf = buf[:0]
		}
	}
	_, _ = h.Write(buf)
	h.Sum(r.Hash[:0])
}

func (r *Result) count(l *Line) {
	if l.carried {
		r.CarriedIn.add(l.Amount)
	} else {
		r.Posted.add(l.Amount)
	}
	switch {
	case l.Verdict == Carry:
		r.CarriedOut.add(l.Amount)
	case l.Verdict.Break() != 0:
		r.Broken.add(l.Amount)
	default:
		r.Matched.add(l.Amount)
	}
}

var bankWords = [...]string{BankNone: "-", BankPaid: "P", BankPaidBack: "PR", BankBack: "R"}

func (s BankState) String() string { return bankWords[s] }

var ledgerWords = [...]string{LedgerNone: "-", Posted: "POSTED", Reserved: "RESERVED", Reversing: "REVERSING", Voided: "VOIDED"}

func (s LedgerState) String() string { return ledgerWords[s] }

var terminalWords = [...]string{TerminalNone: "-", TerminalOK: "OK", TerminalUndone: "REV", TerminalUnaware: "UNK", NoTerminal: "n/a"}

func (s TerminalState) String() string { return terminalWords[s] }

// appendText is a line of the result file. Where a row stands in the bank's file
// is not in it: the same rows in another order are the same result.
func (l *Line) appendText(b []byte) []byte {
	b = append(b, verdictTexts[l.Verdict]...)
	b = append(b, '|')
	if l.Payment != (si.PaymentID{}) {
		b = hex.AppendEncode(b, l.Payment[:])
	}
	b = append(b, '|')
	b = appendText(b, l.Serial[:])
	b = append(b, '|')
	b = l.Trace.appendText(b)
	for _, s := range [...]string{l.Terminal.String(), l.Bank.String(), l.Ledger.String()} {
		b = append(append(b, '|'), s...)
	}
	b = strconv.AppendInt(append(b, '|'), int64(l.Amount), 10)
	b = append(b, '|')
	for i := range l.Fields {
		f := &l.Fields[i]
		b = fmt.Appendf(b, "%s=%s/%s/%s;", f.Name, f.Terminal, f.Bank, f.Ledger)
	}
	return append(b, '|', '\n')
}

// Write writes every line, and a last one with the number of lines and the hash.
func (r *Result) Write(w io.Writer) error {
	var buf []byte
	for i := range r.Lines {
		if buf = r.Lines[i].appendText(buf); len(buf) > 1<<16 {
			if _, err := w.Write(buf); err != nil {
				return fmt.Errorf("recon: result: %w", err)
			}
			buf = buf[:0]
		}
	}
	buf = fmt.Appendf(buf, "END|%d|%x|\n", len(r.Lines), r.Hash)
	if _, err := w.Write(buf); err != nil {
		return fmt.Errorf("recon: result: %w", err)
	}
	return nil
}

// Open is the command that records a break; false if the line is none.
func (l *Line) Open(bank si.Bank, date si.BusinessDate) (ledgerapi.BreakOpen, bool) {
	k := l.Verdict.Break()
	if k == 0 {
		return ledgerapi.BreakOpen{}, false
	}
	c := ledgerapi.BreakOpen{Kind: k, Bank: bank, Date: date, Payment: l.Payment, Serial: l.Serial.String(), Amount: l.Amount}
	for i := range l.Fields {
		if i == ledgerapi.MaxFields {
			break
		}
		f := &l.Fields[i]
		c.Reasons = append(c.Reasons, ledgerapi.FieldReason{Field: clip(f.Name), Terminal: clip(f.Terminal), Bank: clip(f.Bank), Ledger: clip(f.Ledger)})
	}
	return c, true
}

func clip(s string) string {
	if len(s) > ledgerapi.MaxField {
		return s[:ledgerapi.MaxField]
	}
	return s
}
