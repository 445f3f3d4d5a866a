package recon

import (
	"slices"

	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// fieldBreaks are the names of fields and the class of a break in each, the
// gravest first.
var fieldBreaks = []struct {
	name string
	kind ledgerapi.BreakKind
}{
	{"amount", WrongAmount}, {"date", WrongDate}, {"beneficiary", WrongBeneficiary}, {"reference", WrongReference}, {"sign", WrongFeeOrCurrency},
}

// worst gives the class of the gravest difference.
func worst(fields []Field) (ledgerapi.BreakKind, bool) {
	for _, b := range fieldBreaks {
		for i := range fields {
			if fields[i].Name == b.name {
				return b.kind, true
			}
		}
	}
	return 0, false
}

// fields compares what bank and ledger say of one payment. What one of them does
// not say is not compared.
func (m *matcher) fields(g *group, l *LedgerRow) []Field {
	b := m.row(g)
	var out []Field
	differ := func(name, bank, ledger string) { out = append(out, Field{Name: name, Bank: bank, Ledger: ledger}) }
	if b.Amount != l.Amount {
		differ("amount", b.Amount.String(), l.Amount.String())
	}
	if g.paid != none && b.Date != l.BankDate && l.BankDate != 0 {
		differ("date", b.Date.String(), l.BankDate.String())
	}
	if b.Alias != (Alias{}) && l.Alias != (Alias{}) && b.Alias != l.Alias {
		differ("beneficiary", b.Alias.String(), l.Alias.String())
	}
	if b.Reference != (Reference{}) && l.Reference != (Reference{}) && b.Reference != l.Reference {
		differ("reference", b.Reference.String(), l.Reference.String())
	}
	for _, i := range []int32{g.paid, g.back} {
		if i == none {
			continue
		}
		if r := &m.in.Bank[i]; r.Credit != (r.Kind == Reversed) {
			differ("sign", sign(r.Credit), sign(!r.Credit))
		}
		if r := &m.in.Bank[i]; i == g.back && g.paid != none && r.Amount != b.Amount {
			differ("amount", r.Amount.String(), l.Amount.String())
		}
	}
	return out
}

func sign(credit bool) string {
	if credit {
		return "C"
	}
	return "D"
}

// twins says which further lines of the bank make a row a duplicate.
func (m *matcher) twins(more []int32, l *LedgerRow) []Field {
	if len(more) == 0 { // several payments of the ledger have one key
		return []Field{{Name: "duplicate", Ledger: l.Trace.String()}}
	}
	lines := make([]*BankRow, len(more))
	for i, at := range more {
		lines[i] = &m.in.Bank[at]
	}
	slices.SortFunc(lines, compareLines)
	out := make([]Field, len(lines))
	for i, r := range lines {
		out[i] = Field{Name: "duplicate", Bank: string(rune(r.Kind)) + " " + r.Serial.String() + " " + r.Amount.String()}
	}
	return out
}
