package world

import (
	"fmt"
	"time"

	"github.com/shebao-pay/shebao/settlement/engine"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// truth knows everything and touches nothing: it sees each record that the log
// takes, each debit that a bank makes and each word that a citizen is told, and
// holds them against one another at once.
type truth struct {
	w        *World
	facts    map[si.PaymentID]*fact
	order    []si.PaymentID
	byDeal   map[bankDeal]si.PaymentID
	paid     map[si.DueID]si.PaymentID // net
	receipts map[si.ReceiptNo]si.PaymentID
	versions map[si.DueID]uint16 // bumped when a paid due is taken back
	lies     map[bankDeal]Fault
	breaks   []bankDeal // that the match found
	// counts of what came about, for the report and for "void if too few".
	posted, voided, reversals int
	inquiries                 Inquiries
	scripts                   int
}

type bankDeal struct {
	bank si.Bank
	key  dealKey
}

// fact is what is known of one payment.
type fact struct {
	id      si.PaymentID
	bank    si.Bank
	total   si.Fen
	dues    []si.DueID
	state   ledgerapi.PayState
	left    bool          // a 0200 of it has been written
	script  bool          // what issuer scripts did to its card is to be told
	advised bool          // and waits no more
	asked   bool          // an inquiry about it has been written
	life    int           // of the hub, when it was
	held    time.Duration // when it was reserved
	again   bool          // the hub was told that it had been reserved before
	undo    bool          // the card's word in time says that it is to be taken back
	deal    bankDeal
	counter bool // paid at a bank's counter
	cash    bool // the counter has the citizen's money
	receipt si.ReceiptNo
	endings [engine.Pending + 1]bool // told so far
}

func newTruth(w *World) *truth {
	return &truth{w: w, facts: map[si.PaymentID]*fact{}, byDeal: map[bankDeal]si.PaymentID{}, paid: map[si.DueID]si.PaymentID{},
		receipts: map[si.ReceiptNo]si.PaymentID{}, versions: map[si.DueID]uint16{}, lies: map[bankDeal]Fault{}}
}

// fact gives what is known of a payment, beginning with nothing.
func (t *truth) fact(id si.PaymentID) *fact {
	f := t.facts[id]
	if f == nil {
		f = &fact{id: id}
		t.facts[id] = f
		t.order = append(t.order, id)
	}
	return f
}

// state is the ledger's state of a payment.
func (t *truth) state(id si.PaymentID) ledgerapi.PayState {
	if f := t.facts[id]; f != nil {
		return f.state
	}
	return ledgerapi.PayNone
}

// legal lists the transitions of a payment in the ledger.
var legal = [ledgerapi.PayTombstone + 1][]ledgerapi.PayState{
	ledgerapi.PayNone:      {ledgerapi.PayReserved, ledgerapi.PayPosted, ledgerapi.PayTombstone},
	ledgerapi.PayReserved:  {ledgerapi.PayReserved, ledgerapi.PayReversing, ledgerapi.PayPosted, ledgerapi.PayVoided},
	ledgerapi.PayReversing: {ledgerapi.PayReversing, ledgerapi.PayVoided, ledgerapi.PayPosted},
	ledgerapi.PayPosted:    {ledgerapi.PayReversing, ledgerapi.PayVoided},
	ledgerapi.PayVoided:    nil,
	ledgerapi.PayTombstone: nil,
}

// applied is one record that the log has taken, with its result.
func (t *truth) applied(c ledgerapi.Command, r *ledgerapi.Result) {
	if r.Code != ledgerapi.OK {
		return
	}
	switch c := c.(type) {
	case ledgerapi.Reserve:
		f := t.fact(c.ID)
		f.bank, f.total, f.dues, f.held = c.Bank, c.Total, dueIDs(c.Dues), t.w.k.now
		t.seen(f, c.Dues)
		t.move(f, ledgerapi.PayReserved)
	case ledgerapi.Annotate:
		f := t.fact(c.ID)
		f.script = f.script || c.Stage == ledgerapi.StageAdvice
		f.advised = f.advised || c.Stage == ledgerapi.StageAdvised
		if c.Stage == ledgerapi.StageReversing {
			if f.asked && f.state == ledgerapi.PayReserved {
				t.inquiries.Reversed++
			}
			t.move(f, ledgerapi.PayReversing)
		}
	case ledgerapi.Post:
		f := t.fact(c.ID)
		wire := c.Evidence.Source == ledgerapi.SourceWire || c.Evidence.Source == ledgerapi.SourceInquiry
		if wire && f.state != ledgerapi.PayReserved {
			t.w.violate("I12", f.id, "is posted by the bank's word in state %s", f.state)
		}
		t.move(f, ledgerapi.PayPosted)
		t.post(f, r)
		if wire && !c.Evidence.MACOK {
			t.w.violate("I3", f.id, "posted without a good code")
		}
		if c.Evidence.Source == ledgerapi.SourceInquiry {
			t.inquiries.Posted++
		}
		t.mustStand(f, "is posted")
	case ledgerapi.Void:
		f := t.fact(c.ID)
		if f.state == ledgerapi.PayNone {
			t.move(f, ledgerapi.PayTombstone)
			return
		}
		if f.asked && f.state == ledgerapi.PayReserved && c.Proof == ledgerapi.ProofDeclined {
			t.inquiries.Voided++
		}
		t.move(f, ledgerapi.PayVoided)
		t.voided++
		t.mustNotStand(f, fmt.Sprintf("is voided with proof %d", c.Proof))
		if c.Proof == ledgerapi.ProofNotSent && f.left {
			t.w.violate("I5", f.id, "is voided as not sent, and its debit has left")
		}
	case ledgerapi.Unpost:
		f := t.fact(c.ID)
		f.script = false // its reversal tells it
		t.move(f, ledgerapi.PayReversing)
		t.unpay(f)
	case ledgerapi.Pay:
		f := t.fact(c.ID)
		f.bank, f.total, f.dues, f.counter = c.Bank, c.Total, dueIDs(c.Dues), true
		t.seen(f, c.Dues)
		t.move(f, ledgerapi.PayPosted)
		t.post(f, r)
	case ledgerapi.Reverse:
		f := t.fact(c.ID)
		if f.state == ledgerapi.PayNone {
			t.move(f, ledgerapi.PayTombstone)
			return
		}
		t.unpay(f)
		t.move(f, ledgerapi.PayVoided)
		t.voided++
	}
}

// answered is a result on its way to the hub.
func (t *truth) answered(c ledgerapi.Command, r *ledgerapi.Result) {
	if c.Type() == ledgerapi.TypeReserve && r.Code == ledgerapi.Exists {
		t.fact(c.Key()).again = true
	}
}

// seen holds that a payment names its dues as they are.
func (t *truth) seen(f *fact, refs []ledgerapi.DueRef) {
	var sum si.Fen
	for _, r := range refs {
		sum += r.Amount + r.LateFee
		if r.Version != 1+t.versions[r.ID] {
			t.w.violate("I3", f.id, "names version %d of due %d, which is at %d", r.Version, r.ID, 1+t.versions[r.ID])
		}
	}
	if sum != f.total {
		t.w.violate("I3", f.id, "of %d fen names dues of %d", f.total, sum)
	}
}

func dueIDs(refs []ledgerapi.DueRef) []si.DueID {
	out := make([]si.DueID, len(refs))
	for i, r := range refs {
		out[i] = r.ID
	}
	return out
}

// move is one step of a payment; only those of the table are allowed.
func (t *truth) move(f *fact, to ledgerapi.PayState) {
	t.w.checks["I12"]++
	ok := false
	for _, s := range legal[f.state] {
		ok = ok || s == to
	}
	if !ok {
		t.w.violate("I12", f.id, "goes from %s to %s", f.state, to)
	}
	if f.state == to {
		t.w.story(f.id, "the ledger keeps a note, and still says %s", to)
	} else {
		t.w.story(f.id, "the ledger says %s, not %s", to, f.state)
	}
	f.state = to
}

// post makes the dues of a payment paid. Each due is paid once, net, and each
// receipt is given once.
func (t *truth) post(f *fact, r *ledgerapi.Result) {
	t.posted++
	t.w.checks["I3"]++
	for _, d := range f.dues {
		if by, ok := t.paid[d]; ok {
			t.w.violate("I3", f.id, "pays due %d, which %s has paid", d, by)
		}
		t.paid[d] = f.id
	}
	t.w.checks["I6"]++
	switch by, ok := t.receipts[r.Receipt]; {
	case r.Receipt == (si.ReceiptNo{}):
		t.w.violate("I6", f.id, "is posted without a receipt")
	case ok && by != f.id:
		t.w.violate("I6", f.id, "has the receipt %s of %s", r.Receipt, by)
	case f.receipt != (si.ReceiptNo{}) && f.receipt != r.Receipt:
		t.w.violate("I6", f.id, "had receipt %s and has %s", f.receipt, r.Receipt)
	}
	f.receipt = r.Receipt
	t.receipts[r.Receipt] = f.id
}

func (t *truth) unpay(f *fact) {
	for _, d := range f.dues {
		t.versions[d]++
		if t.paid[d] == f.id {
			delete(t.paid, d)
		}
	}
}

// deal is what the bank has of a payment, nil if nothing reached it.
func (t *truth) deal(f *fact) *deal {
	if !f.left {
		return nil
	}
	return t.w.banks[f.bank].deals[f.deal.key]
}

// mustStand holds that the bank has debited what the ledger says, once.
func (t *truth) mustStand(f *fact, how string) {
	t.w.checks["I2"]++
	if t.lies[f.deal] != FaultNone {
		return // a lie is the match's to find
	}
	if d := t.deal(f); d == nil || !d.stands() || d.debited != 1 || d.amount != f.total {
		t.w.violate("I2", f.id, "%s, and the bank has %+v of %d fen", how, d, f.total)
	}
}

// mustNotStand holds that no money of the payment is with us.
func (t *truth) mustNotStand(f *fact, how string) {
	t.w.checks["I2"]++
	if t.lies[f.deal] != FaultNone {
		return
	}
	if d := t.deal(f); d != nil && d.stands() {
		t.w.violate("I2", f.id, "%s, and the bank's debit stands", how)
	}
}

// left notes that a 0200 has been written. It may be written once, for a
// payment that is reserved, and before another leader could reverse it: such a
// one waits twice the deadline.
func (t *truth) left(id si.PaymentID, b si.Bank, key dealKey, amount si.Fen) {
	f := t.fact(id)
	t.w.checks["I1"]++
	if f.left {
		t.w.violate("I5", id, "its debit leaves a second time")
	}
	if f.again {
		t.w.violate("R1", id, "its debit leaves, and its Reserve was answered EXISTS")
	}
	if late := t.w.k.now - f.held; late > 2*t.w.banks[b].prof.Timers.SendDeadline {
		t.w.violate("R1", id, "its debit leaves %s after it was reserved", late)
	}
	if f.state != ledgerapi.PayReserved || amount != f.total {
		// Another leader may have begun to reverse what this one is about to
		// send within its deadline; the bank then gets both, in either order.
		if f.state != ledgerapi.PayReversing && f.state != ledgerapi.PayVoided || amount != f.total {
			t.w.violate("I3", id, "a debit of %d fen leaves for a payment of %d in state %s", amount, f.total, f.state)
		}
	}
	f.left, f.deal = true, bankDeal{b, key}
	if other, ok := t.byDeal[f.deal]; ok && other != id {
		t.w.violate("I5", id, "has the numbers of %s", other)
	}
	t.byDeal[f.deal] = id
}

// undone notes that a reversal leaves, which must be durable by then.
func (t *truth) undone(id si.PaymentID, b si.Bank, key dealKey) {
	f := t.fact(id)
	t.reversals++
	t.w.checks["I5"]++
	if f.state != ledgerapi.PayReversing && f.state != ledgerapi.PayVoided {
		t.w.violate("I5", id, "a reversal leaves in state %s", f.state)
	}
	if f.left && f.deal != (bankDeal{b, key}) {
		t.w.violate("I5", id, "a reversal names %s of bank %d, the debit was %s of bank %d", key, b, f.deal.key, f.deal.bank)
	}
}

// Inquiries counts what became of the payments that a bank was asked for.
type Inquiries struct{ Posted, Voided, Reversed int }

// asked notes that an inquiry leaves: once, and never when a reversal is durable.
func (t *truth) asked(id si.PaymentID, b si.Bank, key dealKey) {
	f := t.fact(id)
	t.w.checks["I5"]++
	if f.asked && f.life == t.w.hub.life {
		t.w.violate("I5", id, "its inquiry leaves a second time")
	}
	if f.state != ledgerapi.PayReserved {
		t.w.violate("I5", id, "an inquiry leaves in state %s", f.state)
	}
	if f.left && f.deal != (bankDeal{b, key}) {
		t.w.violate("I5", id, "an inquiry names %s of bank %d, the debit was %s of bank %d", key, b, f.deal.key, f.deal.bank)
	}
	f.asked, f.life = true, t.w.hub.life
}

// scriptLeft notes that a script notice leaves, which must be durable by then.
func (t *truth) scriptLeft(id si.PaymentID) {
	t.w.checks["I5"]++
	if f := t.fact(id); !f.script {
		t.w.violate("I5", id, "a script notice leaves in state %s and is not in the ledger", f.state)
	}
}

// debited is a bank that takes the money.
func (t *truth) debited(b *bank, key dealKey, d *deal) {
	id, ok := t.byDeal[bankDeal{b.no, key}]
	t.w.checks["I1"]++
	if !ok {
		t.w.violate("I1", si.PaymentID{}, "bank %s debits %s, which nobody sent", b.prof.Code, key)
		return
	}
	t.w.story(id, "bank %s debits %d fen", b.prof.Code, d.amount)
	f := t.fact(id)
	if d.debited != 1 || d.amount != f.total {
		t.w.violate("I1", id, "bank %s debits %d fen %d times for %d", b.prof.Code, d.amount, d.debited, f.total)
	}
	if f.state == ledgerapi.PayVoided {
		t.w.violate("I2", id, "bank %s debits after the payment was voided", b.prof.Code)
	}
}

// lie notes that a bank is about to do what no bank may.
func (t *truth) lie(kind Fault, b *bank, key dealKey) {
	k := bankDeal{b.no, key}
	t.lies[k] = kind
	id := t.byDeal[k]
	t.w.meets(kind, id)
	t.w.story(id, "bank %s lies: %s", b.prof.Code, kind)
}

// told is what a terminal is told of a payment.
func (t *truth) told(id si.PaymentID, e engine.Ending) {
	f := t.fact(id)
	t.w.checks["R7"]++
	switch e {
	case engine.Paid:
		if f.state != ledgerapi.PayPosted && !f.endings[engine.Paid] {
			t.w.violate("R7", id, "is told paid in state %s", f.state)
		}
	case engine.NotCharged:
		if f.state != ledgerapi.PayVoided && f.state != ledgerapi.PayTombstone {
			t.w.violate("R7", id, "is told not charged in state %s", f.state)
		}
	case engine.Refused:
		if f.state == ledgerapi.PayPosted || f.state == ledgerapi.PayReserved || f.state == ledgerapi.PayReversing {
			t.w.violate("R7", id, "is told refused in state %s", f.state)
		}
	case engine.Pending:
	}
	f.endings[e] = true
}

var endingNames = [...]string{engine.Paid: "paid", engine.NotCharged: "not charged", engine.Refused: "refused",
	engine.Pending: "not confirmed yet"}

// printed is an original receipt that came out.
func (t *truth) printed(id si.PaymentID) {
	f := t.fact(id)
	t.w.checks["I6"]++
	if f.state != ledgerapi.PayPosted || f.receipt == (si.ReceiptNo{}) {
		t.w.violate("I6", id, "a receipt is printed in state %s", f.state)
	}
}

// final holds at the day's end: every payment has its end, the bank's money is
// where the ledger says, and what differs is what a bank lied about.
func (t *truth) final() {
	byBank := map[si.Bank]si.Fen{}
	for _, id := range t.order {
		f := t.facts[id]
		t.w.checks["I10"]++
		switch f.state {
		case ledgerapi.PayReserved, ledgerapi.PayReversing:
			t.w.violate("I10", id, "is still %s at the day's end", f.state)
		case ledgerapi.PayPosted:
			byBank[f.bank] += f.total
			if d := t.deal(f); f.script {
				t.scripts++
				if d == nil || !d.script || !f.advised {
					t.w.violate("I10", id, "what scripts did to its card was never told to the bank")
				}
			}
			if f.undo {
				t.w.violate("R8", id, "ends posted, and its card had said no in time")
			}
			if f.counter {
				if !f.cash {
					t.w.violate("I2", id, "is posted, and the counter has no money for it")
				}
			} else {
				t.mustStand(f, "ends posted")
			}
		case ledgerapi.PayVoided, ledgerapi.PayTombstone, ledgerapi.PayNone:
			if f.cash {
				t.w.violate("I2", id, "ends %s, and the counter keeps the money", f.state)
			}
			t.mustNotStand(f, "ends "+f.state.String())
		}
	}
	for _, b := range t.w.order {
		t.w.checks["I1"]++
		if b.si != b.taken+b.counter.cash {
			t.w.violate("I1", si.PaymentID{}, "bank %s: our account has %d fen, the citizens gave %d", b.prof.Code, b.si, b.taken+b.counter.cash)
		}
		lied := t.lied(b)
		if b.si+b.counter.out != byBank[b.no]+lied {
			t.w.violate("I2", si.PaymentID{}, "bank %s: our account has %d fen, the ledger %d, lies come to %d", b.prof.Code, b.si,
				byBank[b.no], lied)
		}
		t.match(b)
		t.books(b, byBank[b.no])
	}
}

// books holds the ledger's totals of each date against the payments, and the
// dates against the bank's.
func (t *truth) books(b *bank, posted si.Fen) {
	t.w.checks["I1"]++
	byDate := map[si.BusinessDate]si.Fen{}
	for _, key := range b.order {
		k := bankDeal{b.no, key}
		if d := b.deals[key]; d.stands() && t.lies[k] == FaultNone && t.fact(t.byDeal[k]).state == ledgerapi.PayPosted {
			byDate[d.date] += d.amount
		}
	}
	var sum si.Fen
	first := si.DateOf(t.w.epoch) - 1
	for date := first; date < first+5; date++ {
		tot := t.w.ledger.m.Totals(b.no, date)
		net := tot.Payments.Amount - tot.Reversals.Amount
		sum += net
		if own := net - t.others(b, date); own != byDate[date] {
			t.w.violate("I2", si.PaymentID{}, "bank %s, %s: the ledger has %d fen, the bank %d", b.prof.Code, date, own, byDate[date])
		}
	}
	if sum != posted {
		t.w.violate("I1", si.PaymentID{}, "bank %s: the books come to %d fen, the payments to %d", b.prof.Code, sum, posted)
	}
}

// others is what the counters and the lies brought into a date's books.
func (t *truth) others(b *bank, date si.BusinessDate) (sum si.Fen) {
	for _, id := range t.order {
		f := t.facts[id]
		if f.bank != b.no || f.state != ledgerapi.PayPosted || !f.counter && t.lies[f.deal] == FaultNone {
			continue
		}
		if p, ok := t.w.ledger.m.Payment(id); ok && p.BankDate == date || ok && p.BankDate == 0 && p.OurDate == date {
			sum += f.total
		}
	}
	return sum
}

// lied is by how much a bank's books differ from the ledger's by its lies.
func (t *truth) lied(b *bank) (sum si.Fen) {
	for _, key := range b.order {
		k := bankDeal{b.no, key}
		if t.lies[k] == FaultNone {
			continue
		}
		d := b.deals[key]
		has := si.Fen(0)
		if d.stands() {
			has = d.amount * si.Fen(d.debited)
		}
		if f := t.fact(t.byDeal[k]); f.state == ledgerapi.PayPosted {
			has -= f.total
		}
		sum += has
	}
	return sum
}

// match compares the bank's day with the ledger row by row, as the settlement
// does, and holds its breaks against the lies: none more, none less.
func (t *truth) match(b *bank) {
	for _, key := range b.order {
		k := bankDeal{b.no, key}
		d, f := b.deals[key], t.fact(t.byDeal[k])
		t.w.checks["I7"]++
		bankHas := si.Fen(0)
		if d.stands() {
			bankHas = d.amount * si.Fen(d.debited)
		}
		ledgerHas := si.Fen(0)
		if f.state == ledgerapi.PayPosted {
			ledgerHas = f.total
		}
		if found := bankHas != ledgerHas; found && t.lies[k] == FaultNone {
			t.w.violate("I7", f.id, "bank %s has %d fen, the ledger %d, and nobody lied", b.prof.Code, bankHas, ledgerHas)
		} else if found {
			t.breaks = append(t.breaks, k)
		}
	}
}
