package assess

import (
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
	MaxInterest  = 512 // a rate for each year of forty, and room
	MaxInjury    = 512
	MaxFloats    = 16
)

// Table is a region's rates, in force from the date of its configuration.
type Table struct {
	Area      si.AreaCode
	AllowSkip bool // a newer due may be paid before an older one
	Rows      []Row
	Injury    []InjuryClass
	Grades    []Grade
	LateRules []LateRule
	Interest  []InterestRate
}

// InjuryClass is one of the risk classes of work-injury insurance (行业差别费率)
// with the local floats (浮动) that an employer may be given. Rate × float is a
// whole number of millionths for each of them.
type InjuryClass struct {
	Class      uint8 // 1 to 8
	From       si.Period
	RatePPM    uint32
	Floats     []uint16 // per cent
	Floor, Cap si.Fen
	LateRule   uint8
}

// InjuryRow is what an employer of a class with a float owes for an employee
// from a period on: the class's row in force with that float. It is not found if
// the float is not one of the class's.
func (t *Table) InjuryRow(class uint8, float uint16, period si.Period) (Row, bool) {
	var best *InjuryClass
	for i := range t.Injury {
		c := &t.Injury[i]
		if c.Class == class && c.From.Start() <= period.Start() && (best == nil || c.From.Start() > best.From.Start()) {
			best = c
		}
	}
	if best == nil || !slices.Contains(best.Floats, float) {
		return Row{}, false
	}
	return Row{Fund: si.Injury, PType: si.Employee, Payer: ledgerapi.PayerEmployer, From: best.From, RatePPM: best.RatePPM,
		FloatPct: float, RoundUnit: 1, Floor: best.Floor, Cap: best.Cap, LateRule: best.LateRule, Freq: Monthly}, true
}

// Row is the row in force for a period: the one with the latest From that is
// not after the period, unless that has ended.
func (t *Table) Row(fund si.Fund, ptype si.PType, payer Payer, period si.Period) (*Row, bool) {
	var best *Row
	for i := range t.Rows {
		r := &t.Rows[i]
		if r.Fund == fund && r.PType == ptype && r.Payer == payer && r.From.Start() <= period.Start() &&
			(best == nil || r.From.Start() > best.From.Start()) {
			best = r
		}
	}
	if best != nil && best.Ends && best.last() < period.Start() {
		return nil, false
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
