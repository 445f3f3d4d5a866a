package world

import "maps"

// Shrink leaves out of a plan every fault without which a day is still bad, so
// that a person has little to look at. bad plays the day with a plan and says
// whether what is looked for is there.
func Shrink(plan Plan, bad func(Plan) (bool, error)) (Plan, error) {
	small := maps.Clone(plan)
	for _, f := range plan.faults() {
		rate := small[f]
		delete(small, f)
		still, err := bad(small)
		if err != nil {
			return nil, err
		}
		if !still {
			small[f] = rate
		}
	}
	return small, nil
}

// Breaks tells whether a day with a plan breaks an invariant, as Shrink asks.
func Breaks(seed uint64, payments int, invariant string) func(Plan) (bool, error) {
	return func(p Plan) (bool, error) {
		d, err := Play(seed, Options{Payments: payments, Plan: p})
		if err != nil {
			return false, err
		}
		for _, v := range d.Violations {
			if v.Invariant == invariant {
				return true, nil
			}
		}
		return false, nil
	}
}
