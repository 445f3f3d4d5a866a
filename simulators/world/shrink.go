package world

// Shrink leaves out of a plan every fault without which the seed still breaks
// the same invariant, so that a person has little to look at.
func Shrink(seed uint64, payments int, plan Plan, invariant string) (Plan, error) {
	small := Plan{}
	for f, ppm := range plan {
		small[f] = ppm
	}
	for _, f := range small.faults() {
		rate := small[f]
		delete(small, f)
		d, err := Play(seed, Options{Payments: payments, Plan: small})
		if err != nil {
			return nil, err
		}
		if !breaks(d.Violations, invariant) {
			small[f] = rate
		}
	}
	return small, nil
}

func breaks(all []Violation, invariant string) bool {
	for _, v := range all {
		if v.Invariant == invariant {
			return true
		}
	}
	return false
}
