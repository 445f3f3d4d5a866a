package assess

import (
	"errors"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// InterestRate is the interest on back-payments (补缴利息) from a month on, until
// the next row. Before the first row there is none.
type InterestRate struct {
	From       si.Period // a month
	PPMPerYear uint32
}

// InterestOn is the interest on a principal that was owed for a period and is
// paid on a date: simple interest for every whole month between, from the month
// after the period to the month before the date, each at the rate of that month,
// a twelfth of the year's. It is rounded once, halves up, and at most si.MaxFen.
// Regions that compound, or count days, are not provided for.
func (t *Table) InterestOn(principal si.Fen, period si.Period, on si.BusinessDate) si.Fen {
	if principal <= 0 || len(t.Interest) == 0 {
		return 0
	}
	month := int(period.Start()) + 1
	if period.IsYear() {
		month += 11
	}
	end := monthOf(on)
	sum := uint64(0) // ppm a year, over the months: at most 12 × 180 × 10^6
	for i, x := range t.Interest {
		from, until := max(int(x.From.Start()), month), end
		if i+1 < len(t.Interest) {
			until = min(until, int(t.Interest[i+1].From.Start()))
		}
		if until > from {
			sum += uint64(until-from) * uint64(x.PPMPerYear)
		}
	}
	return mulDiv(uint64(principal), sum, 12*Million)
}

// monthOf counts the month of a date from 2000-01, as periods do.
func monthOf(d si.BusinessDate) int {
	t := d.Time()
	return (t.Year()-2000)*12 + int(t.Month()) - 1
}

// BackPayment is what a missed period costs when it is paid later.
type BackPayment struct {
	Share    Share // by the figures of that period
	Interest si.Fen
	LateFee  si.Fen
	LateRule uint8
}

// Total is what is collected.
func (b BackPayment) Total() si.Fen { return b.Share.Total + b.Interest + b.LateFee }

// The reasons why a back-payment cannot be computed.
var (
	ErrNoRate = errors.New("assess: no rate or grade is in force for this period")
	ErrBase   = errors.New("assess: the base is below 0, too high, or no grade of that year")
)

// BackPay computes the back-payment of one payer for a missed period that was
// due on a day and is paid on a date: principal by the row or grade of that
// period, interest, and the late rule of the row.
func (t *Table) BackPay(fund si.Fund, ptype si.PType, payer Payer, period si.Period, base si.Fen, dueDay, on si.BusinessDate) (BackPayment, error) {
	if base < 0 || base > MaxBase {
		return BackPayment{}, ErrBase
	}
	var b BackPayment
	if ptype == si.Resident && t.HasGrades(fund, period.Year()) {
		g, ok := t.Grade(fund, period.Year(), base)
		switch {
		case !ok || period.IsYear() != (g.Freq == Yearly):
			return BackPayment{}, ErrBase
		case payer == ledgerapi.PayerPerson:
			b.Share = Share{g.Person, g.Person}
		case payer == ledgerapi.PayerGov:
			b.Share = Share{g.Subsidy, g.Subsidy}
		default:
			return BackPayment{}, ErrNoRate
		}
	} else {
		r, ok := t.Row(fund, ptype, payer, period)
		if !ok || period.IsYear() != (r.Freq == Yearly) {
			return BackPayment{}, ErrNoRate
		}
		b.Share, b.LateRule = r.Assess(base), r.LateRule
	}
	b.Interest = t.InterestOn(b.Share.Total, period, on)
	b.LateFee = t.LateRule(b.LateRule).Fee(b.Share.Total, dueDay, on)
	return b, nil
}

// Supplement is what is still owed when a grade or base was raised after a part
// was paid (补差): the difference, of which the individual part is what the raise
// adds to it. It is nothing when the figure was lowered: that is a refund.
func Supplement(now, paid Share) Share {
	total := max(now.Total-paid.Total, 0)
	return Share{Total: total, Individual: min(max(now.Individual-paid.Individual, 0), total)}
}
