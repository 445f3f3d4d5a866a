package world

import (
	"fmt"
	"strings"

	"github.com/shebao-pay/shebao/si"
)

// tale is the story of one payment, told while it happens.
type tale struct {
	id      si.PaymentID
	tell    func(line string)
	begun   bool
	between []string // what happened to others since its last line
}

// maxBetween is how many lines about the hub stand between two lines of the
// payment; of more, the last are told.
const maxBetween = 6

// story adds a line to the tale of a payment, or, with no id, about something
// that all of them meet. What happens before the payment begins and after its
// last line is left out.
func (w *World) story(id si.PaymentID, format string, args ...any) {
	t := &w.tale
	if t.tell == nil || t.id.IsZero() || (!id.IsZero() && id != t.id) || (id.IsZero() && !t.begun) {
		return
	}
	line := w.true().In(si.China).Format("01-02 15:04:05.000") + "  " + fmt.Sprintf(format, args...)
	if id.IsZero() {
		t.between = append(t.between, line)
		return
	}
	if !t.begun {
		t.begun = true
		t.tell(w.prologue())
	}
	if skip := len(t.between) - maxBetween; skip > 0 {
		t.tell(fmt.Sprintf("…  %d lines about hubs that come and go", skip))
		t.between = t.between[skip:]
	}
	for _, l := range t.between {
		t.tell(l)
	}
	t.between = t.between[:0]
	t.tell(line)
}

// prologue says which faults this day may have.
func (w *World) prologue() string {
	var names []string
	for _, f := range w.plan.faults() {
		names = append(names, f.String())
	}
	if names == nil {
		names = []string{"none"}
	}
	return fmt.Sprintf("Payment %s of seed %d. Faults of this day: %s. A line with ! is a fault that meets the payment.", w.tale.id, w.seed, strings.Join(names, ", "))
}

// epilogue says what everybody has of the payment in the end.
func (w *World) epilogue() {
	t := &w.tale
	if t.tell == nil || t.id.IsZero() {
		return
	}
	if !t.begun {
		t.tell(fmt.Sprintf("Nothing happens to payment %s in seed %d with these payments and this plan.", t.id, w.seed))
		return
	}
	f := w.truth.fact(t.id)
	what := "no debit"
	if d := w.truth.deal(f); d != nil && d.stands() {
		what = fmt.Sprintf("%d debit of %d fen", d.debited, d.amount)
	} else if f.cash {
		what = fmt.Sprintf("%d fen at its counter", f.total)
	}
	end := fmt.Sprintf("In the end the ledger says %s, the bank has %s", f.state, what)
	for _, term := range w.terminals {
		for _, i := range term.journal {
			if i.id == t.id {
				end += fmt.Sprintf(", terminal %d has %s", term.no, i.state)
			}
		}
	}
	if w.truth.lies[f.deal] != FaultNone {
		end += fmt.Sprintf("; the bank lied (%s), which the match found", w.truth.lies[f.deal])
	}
	t.tell(end + ".")
}
