package enrol

import (
	"slices"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// Person is what the register says of a person, as far as cover asks.
type Person struct {
	Household         si.AreaCode
	Birth             si.BirthMonth // 0 if unknown
	Woman             bool
	Retired           bool
	Deceased          bool
	LandRequisitioned bool
}

// Has is one insurance type in which a person has live cover now.
type Has struct {
	Fund       si.Fund
	Active     bool // not suspended
	Unverified bool
}

// Hard are the reasons that no register can overrule: cover that is already
// there and death. An import of what is so already is held to these alone.
const Hard = ledgerapi.ReasonDeceased | ledgerapi.ReasonCovered | ledgerapi.ReasonExcluded | ledgerapi.ReasonReview

// Eligible gives every reason why a person may not begin cover in a fund as a
// person type on a date, 0 if there is none.
func Eligible(p Person, has []Has, t *Table, fund si.Fund, ptype si.PType, on si.BusinessDate) (no ledgerapi.Reasons) {
	if p.Deceased {
		no |= ledgerapi.ReasonDeceased
	}
	for _, h := range has {
		switch {
		case h.Fund == fund:
			no |= ledgerapi.ReasonCovered
		case h.Active && t.Excludes(h.Fund, fund):
			no |= ledgerapi.ReasonExcluded
		default:
			continue
		}
		if h.Unverified {
			no |= ledgerapi.ReasonReview
		}
	}
	if ptype == si.LandReq && !p.LandRequisitioned {
		no |= ledgerapi.ReasonLand
	}
	r, ok := t.Row(fund, ptype)
	if !ok {
		return no | ledgerapi.ReasonNotOffered
	}
	if p.Retired && !r.Retired {
		no |= ledgerapi.ReasonRetired
	}
	if r.Local && p.Household != t.Area && !slices.Contains(t.Local, p.Household) {
		no |= ledgerapi.ReasonHousehold
	}
	return no | r.age(p, on)
}

// age judges the age limits.
func (r *Row) age(p Person, on si.BusinessDate) ledgerapi.Reasons {
	most := r.MaxAge
	if p.Woman && r.MaxAgeWomen != 0 {
		most = r.MaxAgeWomen
	}
	if r.MinAge == 0 && most == 0 {
		return 0
	}
	if p.Birth == 0 {
		return ledgerapi.ReasonAgeUnknown
	}
	switch age := Age(p.Birth, on); {
	case age < int(r.MinAge):
		return ledgerapi.ReasonTooYoung
	case most != 0 && age > int(most):
		return ledgerapi.ReasonTooOld
	}
	return 0
}

// Age is how many full years have passed since a birth month, by the month: who
// was born in May is a year older from the first of May. It is negative before
// the birth.
func Age(born si.BirthMonth, on si.BusinessDate) int {
	at := on.Time()
	months := (at.Year()-1900)*12 + int(at.Month()) - 1 - int(born)
	if months < 0 {
		return -1
	}
	return months / 12
}
