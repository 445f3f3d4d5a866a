package assess

import (
	"fmt"
	"slices"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// Payer is who owes a share.
type Payer = ledgerapi.Payer

// Freq is how often a row is due.
type Freq uint8

// The frequencies. A yearly row is assessed for a year period, the others for
// month periods.
const (
	Monthly Freq = iota + 1
	Quarterly
	Yearly
)

// Grade is one of the yearly amounts a resident may choose (缴费档次). Both the
// person's share and the subsidy go to the individual account.
type Grade struct {
	Fund    si.Fund
	Year    int
	Name    string
	Person  si.Fen
	Subsidy si.Fen
	Freq    Freq
}

// Bounds of a table: a region publishes a few dozen rows a year.
const (
	MaxRows      = 4096
	MaxGrades    = 4096
	MaxLateRules = 64
)

// Table is a region's rates, in force from the date of its configuration.
type Table struct {
	Area      si.AreaCode
	AllowSkip bool // a newer due may be paid before an older one
	Rows      []Row
	Grades    []Grade
	LateRules []LateRule
}

// Row is the row in force for a period: the one with the latest From that is
// not after the period.
func (t *Table) Row(fund si.Fund, ptype si.PType, payer Payer, period si.Period) (*Row, bool) {
	var best *Row
	for i := range t.Rows {
		r := &t.Rows[i]
		if r.Fund == fund && r.PType == ptype && r.Payer == payer && r.From.Start() <= period.Start() &&
			(best == nil || r.From.Start() > best.From.Start()) {
			best = r
		}
	}
	return best, best != nil
}

// HasGrades tells whether a fund is paid by grade in a year.
func (t *Table) HasGrades(fund si.Fund, year int) bool {
	return slices.ContainsFunc(t.Grades, func(g Grade) bool { return g.Fund == fund && g.Year == year })
}

// Grade finds the grade of a fund and year by the person's amount.
func (t *Table) Grade(fund si.Fund, year int, person si.Fen) (*Grade, bool) {
	for i := range t.Grades {
		if g := &t.Grades[i]; g.Fund == fund && g.Year == year && g.Person == person {
			return g, true
		}
	}
	return nil, false
}

// LateRule finds a late rule; an unknown number is the rule without a fee.
func (t *Table) LateRule(id uint8) LateRule {
	for _, l := range t.LateRules {
		if l.ID == id {
			return l
		}
	}
	return LateRule{}
}

// check finds the first rule that the table breaks.
func (t *Table) check() error {
	if t.Area > 999999 {
		return fmt.Errorf("region: %d is no area code", t.Area)
	}
	if len(t.Rows) > MaxRows || len(t.Grades) > MaxGrades || len(t.LateRules) > MaxLateRules {
		return fmt.Errorf("more than %d rates, %d grades or %d late rules", MaxRows, MaxGrades, MaxLateRules)
	}
	rules := map[uint8]bool{0: true}
	for i, l := range t.LateRules {
		if rules[l.ID] {
			return fmt.Errorf("late_rules[%d]: id %d is 0 or there twice", i, l.ID)
		}
		if l.PPMPerDay > Million || l.CapPPM > Million {
			return fmt.Errorf("late_rules[%d]: more than 100%% a day, or a cap above the principal", i)
		}
		rules[l.ID] = true
	}
	type key struct {
		fund  si.Fund
		ptype si.PType
		payer Payer
		from  si.Period
	}
	seen := map[key]bool{}
	for i := range t.Rows {
		r := &t.Rows[i]
		k := key{r.Fund, r.PType, r.Payer, r.From}
		if seen[k] {
			return fmt.Errorf("rates[%d]: the same fund, person type, payer and from stand there twice", i)
		}
		seen[k] = true
		if !rules[r.LateRule] {
			return fmt.Errorf("rates[%d]: late_rule %d is not in late_rules", i, r.LateRule)
		}
		if err := r.check(); err != nil {
			return fmt.Errorf("rates[%d]: %w", i, err)
		}
	}
	for i, g := range t.Grades {
		if g.Person <= 0 || g.Person > MaxBase || g.Subsidy < 0 || g.Subsidy > MaxBase {
			return fmt.Errorf("grades[%d]: person must be above 0, subsidy not below", i)
		}
		for _, o := range t.Grades[:i] {
			if o.Fund == g.Fund && o.Year == g.Year && (o.Name == g.Name || o.Person == g.Person) {
				return fmt.Errorf("grades[%d]: grade or amount is there twice in %d", i, g.Year)
			}
		}
	}
	return nil
}

func (r *Row) check() error {
	switch {
	case r.From.IsYear() != (r.Freq == Yearly):
		return fmt.Errorf("from must be a year for freq year and a month otherwise")
	case r.RatePPM > Million || r.IndividualPPM > Million:
		return fmt.Errorf("a rate is above 100%%")
	case r.FloatPct < 1 || r.FloatPct > 1000:
		return fmt.Errorf("float must be 1%% to 1000%%")
	case uint64(r.RatePPM)*uint64(r.FloatPct)%100 != 0:
		return fmt.Errorf("rate × float is not a whole number of millionths")
	case uint64(r.RatePPM)*uint64(r.FloatPct)/100 > Million:
		return fmt.Errorf("rate × float is above 100%%")
	case r.RoundUnit != 1 && r.RoundUnit != 10 && r.RoundUnit != 100:
		return fmt.Errorf("round must be 0.01, 0.10 or 1.00")
	case r.Fixed < 0 || r.Fixed > MaxBase || r.Floor < 0 || r.Cap < 0 || r.Cap > MaxBase || r.Floor > MaxBase:
		return fmt.Errorf("fixed, floor and cap must be 0 to %s", MaxBase)
	case r.Cap != 0 && r.Floor > r.Cap:
		return fmt.Errorf("floor is above cap")
	case r.Payer == ledgerapi.PayerEmployer && r.IndividualPPM != 0:
		return fmt.Errorf("an employer's share has no individual part")
	}
	return nil
}
