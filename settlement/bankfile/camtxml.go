package bankfile

import (
	"github.com/shebao-pay/shebao/si"
)

// The parts of camt.053 that are read, by the names of the standard.

type headXML struct {
	MsgId    string `xml:"MsgId"`
	MsgPgntn struct {
		PgNb      string `xml:"PgNb"`
		LastPgInd string `xml:"LastPgInd"`
	} `xml:"MsgPgntn"`
}

type spanXML struct {
	FrDtTm string `xml:"FrDtTm"`
	ToDtTm string `xml:"ToDtTm"`
}

type amountXML struct {
	Ccy   string `xml:"Ccy,attr"`
	Value string `xml:",chardata"`
}

func (a amountXML) fen() (si.Fen, bool) {
	n, ok := decimalFen(a.Value)
	return n, ok && a.Ccy == "CNY"
}

type dayXML struct {
	Dt   string `xml:"Dt"`
	DtTm string `xml:"DtTm"`
}

// day reads one of the two forms; both at once, or neither, is none.
func (d dayXML) day() (si.BusinessDate, bool) {
	if d.Dt != "" && d.DtTm == "" {
		day, err := si.ParseDate(d.Dt)
		return day, err == nil
	}
	t, ok := isoTime(d.DtTm)
	if !ok || d.Dt != "" {
		return 0, false
	}
	return si.DateOf(t), true
}

type balanceXML struct {
	Code      string    `xml:"Tp>CdOrPrtry>Cd"`
	Amt       amountXML `xml:"Amt"`
	CdtDbtInd string    `xml:"CdtDbtInd"`
	Dt        dayXML    `xml:"Dt"`
}

type totalXML struct {
	NbOfNtries string `xml:"NbOfNtries"`
	Sum        string `xml:"Sum"`
}

// says tells whether a summary is that of count and sum. Both must be there.
func (t *totalXML) says(count int, sum si.Fen) bool {
	if t == nil {
		return false
	}
	n, okCount := wholeNumber(t.NbOfNtries)
	f, okSum := decimalFen(t.Sum)
	return okCount && okSum && n == uint64(count) && f == sum
}

type summaryXML struct {
	TtlNtries    *totalXML `xml:"TtlNtries"`
	TtlCdtNtries *totalXML `xml:"TtlCdtNtries"`
	TtlDbtNtries *totalXML `xml:"TtlDbtNtries"`
}

type entryXML struct {
	NtryRef   string    `xml:"NtryRef"`
	Amt       amountXML `xml:"Amt"`
	CdtDbtInd string    `xml:"CdtDbtInd"`
	RvslInd   string    `xml:"RvslInd"`
	Sts       struct {
		Cd   string `xml:"Cd"`
		Text string `xml:",chardata"`
	} `xml:"Sts"`
	BookgDt     dayXML `xml:"BookgDt"`
	ValDt       dayXML `xml:"ValDt"`
	AcctSvcrRef string `xml:"AcctSvcrRef"`
	BkTxCd      struct {
		Domn struct {
			Cd   string `xml:"Cd"`
			Fmly struct {
				Cd        string `xml:"Cd"`
				SubFmlyCd string `xml:"SubFmlyCd"`
			} `xml:"Fmly"`
		} `xml:"Domn"`
		Prtry struct {
			Cd string `xml:"Cd"`
		} `xml:"Prtry"`
	} `xml:"BkTxCd"`
}
