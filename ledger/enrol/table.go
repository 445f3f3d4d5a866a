package enrol

import (
	"fmt"
	"slices"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// Row says who may have cover in one insurance type as one person type.
type Row struct {
	Fund        si.Fund
	PType       si.PType
	MinAge      uint8 // full years, inclusive
	MaxAge      uint8 // full years, inclusive; 0 for no limit
	MaxAgeWomen uint8 // the same for women, 0 for as MaxAge
	Local       bool  // only for households of the region
	Retired     bool  // a retired person may
	BackPay     uint16
}

// Bounds of a table. Rows are at most one for each pair of insurance type and
// person type; a district has a few dozen areas.
const (
	MaxRows   = int(si.Maternity) * int(si.SiteWorker)
	MaxGroups = 8
	MaxAreas  = 256
	// MaxAge is above every age that a rule may name.
	MaxAge = 120
	// MaxBackPay is the most months back that a region may take: fifteen years,
	// the shortest time of contributions that a pension asks for.
	MaxBackPay = 180
)

// Table is a region's rules of cover, in force from the date of its
// configuration.
type Table struct {
	Area   si.AreaCode
	Local  []si.AreaCode // areas whose households count as local
	Groups []ledgerapi.FundSet
	Rows   []Row
}

// Row finds the rule of an insurance type and person type.
func (t *Table) Row(fund si.Fund, ptype si.PType) (*Row, bool) {
	for i := range t.Rows {
		if r := &t.Rows[i]; r.Fund == fund && r.PType == ptype {
			return r, true
		}
	}
	return nil, false
}

// Excludes tells whether active cover in one fund keeps a person from another.
func (t *Table) Excludes(has, wants si.Fund) bool {
	return has != wants && slices.ContainsFunc(t.Groups, func(g ledgerapi.FundSet) bool { return g.Has(has) && g.Has(wants) })
}

// BackPay is how many months back a missed period may be paid, 0 for not at all.
func (t *Table) BackPay(fund si.Fund, ptype si.PType) int {
	if r, ok := t.Row(fund, ptype); ok {
		return int(r.BackPay)
	}
	return 0
}

// check finds the first rule that the table breaks.
func (t *Table) check() error {
	if len(t.Rows) > MaxRows || len(t.Groups) > MaxGroups || len(t.Local) > MaxAreas {
		return fmt.Errorf("more than %d rows, %d groups or %d areas", MaxRows, MaxGroups, MaxAreas)
	}
	var grouped ledgerapi.FundSet
	for i, g := range t.Groups {
		if g&(g-1) == 0 {
			return fmt.Errorf("exclusive[%d]: a group has at least two insurance types", i)
		}
		if grouped&g != 0 {
			return fmt.Errorf("exclusive[%d]: an insurance type is in another group already", i)
		}
		grouped |= g
	}
	for i := range t.Rows {
		r := &t.Rows[i]
		if first, _ := t.Row(r.Fund, r.PType); first != r {
			return fmt.Errorf("cover[%d]: the same fund and person type stand there twice", i)
		}
		switch {
		case r.MinAge > MaxAge || r.MaxAge > MaxAge || r.MaxAgeWomen > MaxAge:
			return fmt.Errorf("cover[%d]: an age is above %d", i, MaxAge)
		case r.MaxAge == 0 && r.MaxAgeWomen != 0:
			return fmt.Errorf("cover[%d]: max_age_women without max_age", i)
		case r.MaxAge != 0 && r.MinAge > r.MaxAge, r.MaxAgeWomen != 0 && r.MinAge > r.MaxAgeWomen:
			return fmt.Errorf("cover[%d]: min_age is above the greatest age", i)
		case r.BackPay > MaxBackPay:
			return fmt.Errorf("cover[%d]: backpay is above %d months", i, MaxBackPay)
		}
	}
	return nil
}
