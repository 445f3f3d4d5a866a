package recon

import "github.com/shebao-pay/shebao/settlement/bankfile"

// BankRowOf takes a line of a bank's detail file as a row to match. debitView is
// the file's setting: from whose side D and C are said.
func BankRowOf(d *bankfile.Detail, debitView bool) BankRow {
	r := BankRow{Kind: BankKind(d.Type), Credit: (d.Sign == 'D') != debitView, Date: d.Settle, Amount: d.Amount, Offset: d.Offset}
	copy(r.Serial[:], d.HostSerial)
	copy(r.Original[:], d.Original)
	copy(r.Reference[:], d.Reference)
	copy(r.Alias[:], d.Alias)
	if d.RRN[0] != 0 {
		r.Trace.DE41, r.Trace.RRN = d.DE41, d.RRN
		for _, c := range d.STAN {
			r.Trace.STAN = r.Trace.STAN*10 + uint32(c-'0')
		}
	}
	return r
}
