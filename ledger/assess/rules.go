package assess

import (
	"cmp"
	"slices"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// check holds the rows to the rules. The strict ones came with the second form
// of the file; a table of the first form was taken without them.
func (t *Table) check(r *report, strict bool) {
	if len(t.Rows) > MaxRows || len(t.Grades) > MaxGrades || len(t.LateRules) > MaxLateRules ||
		len(t.Interest) > MaxInterest || len(t.Injury) > MaxInjury {
		r.add("file", -1, "more than %d rates, %d grades, %d late rules, %d interest rates or %d injury classes",
			MaxRows, MaxGrades, MaxLateRules, MaxInterest, MaxInjury)
		return
	}
	late := t.checkLate(r)
	type key struct {
		fund  si.Fund
		ptype si.PType
		payer Payer
		from  si.Period
	}
	seen := map[key]bool{}
	for i := range t.Rows {
		x := &t.Rows[i]
		k := key{x.Fund, x.PType, x.Payer, x.From}
		if seen[k] {
			r.add("rates", i, "the same fund, person type, payer and from stand there twice")
		}
		seen[k] = true
		if !late[x.LateRule] {
			r.add("rates", i, "late_rule %d is not in late_rules", x.LateRule)
		}
		if why := x.broken(); why != "" {
			r.add("rates", i, "%s", why)
		} else if why := x.odd(); strict && why != "" {
			r.add("rates", i, "%s", why)
		}
	}
	t.checkGrades(r)
	if strict {
		t.checkOrder(r)
		t.checkGradeYears(r)
		t.checkInterest(r)
		t.checkInjury(r, late)
	}
}

// checkLate answers the numbers of the late rules, with 0, which is none.
func (t *Table) checkLate(r *report) map[uint8]bool {
	rules := map[uint8]bool{0: true}
	for i, l := range t.LateRules {
		if rules[l.ID] {
			r.add("late_rules", i, "id %d is 0 or there twice", l.ID)
		}
		if l.PPMPerDay > Million || l.CapPPM > Million {
			r.add("late_rules", i, "more than 100%% a day, or a cap above the principal")
		}
		rules[l.ID] = true
	}
	return rules
}

// broken says which rule of a row alone it breaks.
func (r *Row) broken() string {
	switch {
	case r.From.IsYear() != (r.Freq == Yearly):
		return "from must be a year for freq year and a month otherwise"
	case r.RatePPM > Million || r.IndividualPPM > Million:
		return "a rate is above 100%"
	case r.FloatPct < 1 || r.FloatPct > 1000:
		return "float must be 1% to 1000%"
	case uint64(r.RatePPM)*uint64(r.FloatPct)%100 != 0:
		return "rate × float is not a whole number of millionths"
	case uint64(r.RatePPM)*uint64(r.FloatPct)/100 > Million:
		return "rate × float is above 100%"
	case r.RoundUnit != 1 && r.RoundUnit != 10 && r.RoundUnit != 100:
		return "round must be 0.01, 0.10 or 1.00"
	case r.Fixed < 0 || r.Fixed > MaxBase || r.Floor < 0 || r.Cap < 0 || r.Cap > MaxBase || r.Floor > MaxBase:
		return "fixed, floor and cap must be 0 to " + MaxBase.String()
	case r.Cap != 0 && r.Floor > r.Cap:
		return "floor is above cap"
	case r.Payer == ledgerapi.PayerEmployer && r.IndividualPPM != 0:
		return "an employer's share has no individual part"
	}
	return ""
}

// odd says what of a row makes no sense although it could be computed.
func (r *Row) odd() string {
	switch {
	case r.RatePPM == 0 && r.Fixed == 0:
		return "neither rate nor fixed: nobody would owe anything"
	case r.RatePPM == 0 && (r.IndividualPPM != 0 || r.Floor != 0 || r.Cap != 0 || r.FloatPct != 100):
		return "individual, floor, cap and float mean nothing without a rate"
	case int64(r.IndividualPPM)*100 > int64(r.RatePPM)*int64(r.FloatPct):
		return "the individual part is above the rate"
	case r.Payer == ledgerapi.PayerEmployer && r.PType != si.Employee && r.PType != si.SiteWorker:
		return r.PType.String() + " has no employer"
	case r.Freq == Quarterly && (r.From.Month()-1)%3 != 0:
		return "a quarterly row begins in January, April, July or October"
	case r.Ends && r.Until.IsYear() != r.From.IsYear():
		return "until must be a year if from is one, and a month otherwise"
	case r.Ends && r.Until.Start() < r.From.Start():
		return "until is before from"
	}
	return ""
}

// checkOrder finds rows of one fund, person type and payer that overlap. A row
// without until gives way to the next one, a year only as a whole.
func (t *Table) checkOrder(r *report) {
	order := make([]int, len(t.Rows))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		x, y := &t.Rows[a], &t.Rows[b]
		return cmp.Or(cmp.Compare(x.Fund, y.Fund), cmp.Compare(x.PType, y.PType), cmp.Compare(x.Payer, y.Payer),
			cmp.Compare(x.From.Start(), y.From.Start()), cmp.Compare(x.From, y.From))
	})
	for k := 1; k < len(order); k++ {
		x, y := &t.Rows[order[k-1]], &t.Rows[order[k]]
		switch {
		case x.Fund != y.Fund || x.PType != y.PType || x.Payer != y.Payer || x.From == y.From:
		case x.From.Start() == y.From.Start():
			r.add("rates", order[k], "overlaps rates[%d]: a year and its January begin together", order[k-1])
		case x.Ends && x.last() >= y.From.Start():
			r.add("rates", order[k], "overlaps rates[%d], which is in force until %s", order[k-1], x.Until)
		case x.Freq == Yearly && y.From.Start()%12 != 0:
			r.add("rates", order[k], "overlaps rates[%d], which is for whole years", order[k-1])
		}
	}
}

func (t *Table) checkGrades(r *report) {
	type key struct {
		fund si.Fund
		year int
		name string
		fen  si.Fen
	}
	seen := map[key]bool{}
	for i, g := range t.Grades {
		if g.Person <= 0 || g.Person > MaxBase || g.Subsidy < 0 || g.Subsidy > MaxBase {
			r.add("grades", i, "person must be above 0, subsidy not below")
		}
		name, amount := key{g.Fund, g.Year, g.Name, 0}, key{g.Fund, g.Year, "", g.Person}
		if seen[name] || seen[amount] {
			r.add("grades", i, "grade or amount is there twice in %d", g.Year)
		}
		seen[name], seen[amount] = true, true
	}
}

// checkGradeYears holds that a fund paid by grade is so in every year between
// its first and last, with one frequency a year, and by nothing else.
func (t *Table) checkGradeYears(r *report) {
	type fundYear struct {
		fund si.Fund
		year int
	}
	freq, first, told := map[fundYear]Freq{}, map[si.Fund]int{}, map[fundYear]bool{}
	for i, g := range t.Grades {
		k := fundYear{g.Fund, g.Year}
		if f, ok := freq[k]; ok && f != g.Freq {
			r.add("grades", i, "the grades of %s in %d differ in freq", g.Fund, g.Year)
		}
		freq[k] = g.Freq
		if y, ok := first[g.Fund]; !ok || g.Year < y {
			first[g.Fund] = g.Year
		}
		row, ok := t.Row(g.Fund, si.Resident, ledgerapi.PayerPerson, si.YearPeriod(g.Year))
		if ok && !told[k] {
			told[k] = true
			r.add("grades", i, "RESIDENT pays %s in %d by a rate from %s, too; which one counts?", g.Fund, g.Year, row.From)
		}
	}
	for i, g := range t.Grades {
		before := fundYear{g.Fund, g.Year - 1}
		if _, ok := freq[before]; !ok && g.Year > first[g.Fund] && !told[before] {
			told[before] = true
			r.add("grades", i, "%s has grades in %d and earlier, and none in %d", g.Fund, g.Year, g.Year-1)
		}
	}
}

func (t *Table) checkInterest(r *report) {
	for i, x := range t.Interest {
		switch {
		case x.From.IsYear():
			r.add("interest", i, "from must be a month")
		case x.PPMPerYear > Million:
			r.add("interest", i, "more than 100%% a year")
		case i > 0 && x.From.Start() <= t.Interest[i-1].From.Start():
			r.add("interest", i, "overlaps interest[%d]: each row begins after the one before", i-1)
		}
	}
}

// injuryClasses is how many risk classes there are.
const injuryClasses = 8

func (t *Table) checkInjury(r *report, late map[uint8]bool) {
	type key struct {
		class uint8
		from  si.Period
	}
	seen := map[key]bool{}
	for i := range t.Injury {
		c := &t.Injury[i]
		k := key{c.Class, c.From}
		switch {
		case c.Class < 1 || c.Class > injuryClasses:
			r.add("injury", i, "class must be 1 to %d", injuryClasses)
		case c.From.IsYear():
			r.add("injury", i, "from must be a month")
		case seen[k]:
			r.add("injury", i, "overlaps an earlier row of class %d from %s", c.Class, c.From)
		case len(c.Floats) == 0 || len(c.Floats) > MaxFloats || !slices.Contains(c.Floats, 100):
			r.add("injury", i, "floats must be 1 to %d percentages with 100%% among them", MaxFloats)
		case !late[c.LateRule]:
			r.add("injury", i, "late_rule %d is not in late_rules", c.LateRule)
		}
		seen[k] = true
		for _, f := range c.Floats {
			row := Row{Fund: si.Injury, PType: si.Employee, Payer: ledgerapi.PayerEmployer, From: c.From, RatePPM: c.RatePPM,
				FloatPct: f, RoundUnit: 1, Floor: c.Floor, Cap: c.Cap, Freq: Monthly}
			why := row.broken()
			if why == "" {
				why = row.odd()
			}
			if why != "" && !c.From.IsYear() {
				r.add("injury", i, "with float %d%%: %s", f, why)
			}
		}
	}
}
