package assess

import (
	"math/bits"

	"github.com/shebao-pay/shebao/si"
)

// Million is the denominator of every rate.
const Million = 1_000_000

// MaxBase bounds a base, so that base × rate fits 63 bits.
const MaxBase si.Fen = 1_000_000_000_000

// RoundHalfUp is n/d rounded to the nearest integer, halves up. n must not be
// negative, d must be positive, and 2n+d must fit int64.
func RoundHalfUp(n, d int64) int64 { return (2*n + d) / (2 * d) }

// Clamp is v moved into floor … cap. A cap of 0 is none.
func Clamp(v, floor, cap si.Fen) si.Fen {
	if v < floor {
		return floor
	}
	if cap != 0 && v > cap {
		return cap
	}
	return v
}

// share is a ppm share of an amount.
func share(amount si.Fen, ppm int64) si.Fen {
	return si.Fen(RoundHalfUp(int64(amount)*ppm, Million))
}

// Undeclared is what an employer owes that did not declare: last month's amount
// and a tenth (Social Insurance Law, art. 62).
func Undeclared(lastMonth si.Fen) si.Fen { return si.Fen(RoundHalfUp(int64(lastMonth)*110, 100)) }

// LateRule says how a late fee grows. The zero value never asks for one.
type LateRule struct {
	ID          uint8
	PPMPerDay   uint32
	FirstOffset uint16 // the first counted day is due day + FirstOffset
	CapPPM      uint32 // of the principal, 0 for no cap
}

// Fee is the late fee on a due of the given amount and due day, as of a date.
// It never exceeds si.MaxFen.
func (l LateRule) Fee(amount si.Fen, dueDay, on si.BusinessDate) si.Fen {
	days := int64(on) - int64(dueDay) - int64(l.FirstOffset) + 1
	if l.PPMPerDay == 0 || days <= 0 || amount <= 0 {
		return 0
	}
	fee := mulDiv(uint64(amount), uint64(days)*uint64(l.PPMPerDay), Million)
	if l.CapPPM != 0 {
		fee = min(fee, share(amount, int64(l.CapPPM)))
	}
	return fee
}

// mulDiv is a × b / d, halves up, at most si.MaxFen. The product may have 128
// bits: an amount below 2^40 over 65,535 days at 10^6 ppm needs 76. d must not be
// 0.
func mulDiv(a, b, d uint64) si.Fen {
	hi, lo := bits.Mul64(a, b)
	lo, carry := bits.Add64(lo, d/2, 0)
	hi += carry
	if hi >= d {
		return si.MaxFen
	}
	q, _ := bits.Div64(hi, lo, d)
	return si.Fen(min(q, uint64(si.MaxFen)))
}

// Row is one line of a rate table: what one payer owes for one fund and person
// type from a period on.
type Row struct {
	Fund          si.Fund
	PType         si.PType
	Payer         Payer
	From          si.Period
	Until         si.Period // last period in force, if Ends
	Ends          bool
	RatePPM       uint32
	FloatPct      uint16 // of work-injury classes; 100 elsewhere
	IndividualPPM uint32 // goes to the individual account
	Fixed         si.Fen // added after rounding
	RoundUnit     si.Fen // 1, 10 or 100
	Floor, Cap    si.Fen // of the base; a cap of 0 is none
	LateRule      uint8
	Freq          Freq
}

// last is the last month that the row covers, if it ends.
func (r *Row) last() uint16 {
	if r.Until.IsYear() {
		return r.Until.Start() + 11
	}
	return r.Until.Start()
}

// Share is what one payer owes for one period.
type Share struct {
	Total      si.Fen
	Individual si.Fen // the part for the individual account
}

// Pool is the part for the pooled fund.
func (s Share) Pool() si.Fen { return s.Total - s.Individual }

// Assess applies the row to a declared base of 0 to MaxBase.
func (r *Row) Assess(declared si.Fen) Share {
	base := Clamp(declared, r.Floor, r.Cap)
	ppm := int64(r.RatePPM) * int64(r.FloatPct) / 100 // divides exactly: Table.check
	total := share(base, ppm)
	if r.RoundUnit > 1 {
		total = si.Fen(RoundHalfUp(int64(total), int64(r.RoundUnit))) * r.RoundUnit
	}
	total += r.Fixed
	return Share{Total: total, Individual: min(total, share(base, int64(r.IndividualPPM)))}
}
