package flow

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/cardauth"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/termapi"
)

// hubModel is the truth about payments: what the hub and the bank did.
type hubModel struct {
	t    *dice
	pays map[si.PaymentID]*hubPayment
}

type hubPayment struct {
	pay    Pay
	sent   bool // the request is under way and may still arrive
	state  string
	closed bool // tombstone
	await  bool
}

// arrive is the request reaching the hub, perhaps late.
func (h *hubModel) arrive(p *hubPayment) {
	if !p.sent {
		return
	}
	p.sent = false
	if p.closed {
		return
	}
	p.state = pick(h.t, []string{termapi.PaymentPosted, termapi.PaymentNotCharged, termapi.PaymentPending})
	p.await = p.state == termapi.PaymentPosted
}

// resolve ends what was pending.
func (h *hubModel) resolve(p *hubPayment) {
	if p.state == termapi.PaymentPending {
		p.state = pick(h.t, []string{termapi.PaymentPosted, termapi.PaymentNotCharged})
	}
	p.await = false
}

func (h *hubModel) answer(p *hubPayment) termapi.PaymentState {
	s := told(p.pay, p.state)
	s.AwaitCard = p.await
	return s
}

// model is the outside of one terminal: hub, disk, card, citizen. It draws what
// happens next.
type model struct {
	t     *dice
	m     *Machine
	now   time.Time
	hub   hubModel
	disk  map[si.PaymentID]Intent
	todo  []Effect // asked for and not answered
	shown Screen
	card  bool
	ids   uint64
	ended map[si.PaymentID]state // what a citizen was told last
}

func newModel(t *dice) *model {
	return &model{t: t, now: start, hub: hubModel{t: t, pays: map[si.PaymentID]*hubPayment{}},
		disk: map[si.PaymentID]Intent{}, ended: map[si.PaymentID]state{}}
}

// run starts the terminal, also after a crash.
func (w *model) run() {
	m, err := New(Setup{Times: DefaultTimes(), QR: func(termapi.Receipt) string { return "" },
		NewID: func(time.Time) si.PaymentID {
			w.ids++
			return si.PaymentID{0: byte(w.ids >> 8), 1: byte(w.ids), 15: 1}
		}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.m, w.todo, w.card = m, nil, false
	var open []Intent
	for n := uint64(1); n <= w.ids; n++ {
		if i, ok := w.disk[si.PaymentID{0: byte(n >> 8), 1: byte(n), 15: 1}]; ok && i.Open() {
			open = append(open, i)
		}
	}
	w.step(Boot{open})
	w.step(GateSet{Gate: GateReader})
	w.step(GateSet{Gate: GateHub})
	w.step(Configured{testConfig})
}

func (w *model) step(ev Event) {
	for _, e := range w.m.Step(w.now, ev, nil) {
		switch e := e.(type) {
		case Show:
			w.shown = e.Screen
			w.checkShown()
		case Journal:
			w.write(e)
		case Pay:
			w.checkPay(e)
			w.hub.pays[e.ID] = &hubPayment{pay: e, sent: true, state: ""}
			w.todo = append(w.todo, e)
		case Eject, Wipe, Note, Apply, CancelPIN, Alarm, Leave, Retain:
		case Print:
			if e.Doc.Receipt != nil && e.Doc.Receipt.Duplicate == 0 {
				w.checkPosted(w.m.s.pay.intent.ID, "an original receipt was printed")
			}
			w.todo = append(w.todo, e)
		default:
			w.todo = append(w.todo, e)
		}
	}
}

// write is the disk: it holds the machine to the table of states.
func (w *model) write(e Journal) {
	if !MayFollow(w.disk[e.Intent.ID].State, e.Intent.State) {
		w.t.Fatalf("payment %s written as %v after %v", e.Intent.ID, e.Intent.State, w.disk[e.Intent.ID].State)
	}
	w.disk[e.Intent.ID] = e.Intent
	w.todo = append(w.todo, e)
}

// checkPay holds a sent payment to its record on disk.
func (w *model) checkPay(p Pay) {
	i, ok := w.disk[p.ID]
	if !ok || i.State != Sent || i.Total != p.Total {
		w.t.Fatalf("payment %s was sent, on disk it is %v of %v", p.ID, i.State, i.Total)
	}
	if w.hub.pays[p.ID] != nil {
		w.t.Fatalf("payment %s was sent twice", p.ID)
	}
}

// checkShown holds what the citizen is told to the truth.
func (w *model) checkShown() {
	if w.m.s.pay == nil {
		return
	}
	id := w.m.s.pay.intent.ID
	switch w.m.state {
	case stPaid:
		w.checkPosted(id, "the screen says paid")
		w.ended[id] = stPaid
	case stNotCharged:
		if p := w.hub.pays[id]; p != nil && (p.state == termapi.PaymentPosted || p.state == termapi.PaymentPending) {
			w.t.Fatalf("the screen says not charged, payment %s is %s", id, p.state)
		}
		w.ended[id] = stNotCharged
	}
}

func (w *model) checkPosted(id si.PaymentID, what string) {
	if p := w.hub.pays[id]; p == nil || p.state != termapi.PaymentPosted {
		w.t.Fatalf("%s, payment %s is not posted: %+v", what, id, p)
	}
	if i := w.disk[id]; i.State != Posted && i.State != Receipted {
		w.t.Fatalf("%s, on disk payment %s is %v", what, id, i.State)
	}
}

// serve answers one thing that was asked for, in a way that is drawn.
func (w *model) serve(e Effect, calm bool) {
	lucky := calm || w.t.between(0, 99) < 92
	switch e := e.(type) {
	case Journal:
		w.step(Journaled{e.Op, JournalOK})
	case Read:
		w.step(CardRead{e.Op, testCard})
	case Open:
		w.reply(lucky, e.Op, Opened{e.Op, testOpened})
	case StartPIN:
		end := PINEntered
		if !lucky {
			end = pick(w.t, []PINEnd{PINCancelled, PINTimedOut})
		}
		w.step(PINEnded{e.Op, end})
	case Authorise:
		p := cardauth.OK
		if !lucky {
			p = cardauth.CardFault
		}
		w.step(Authorised{e.Op, p})
	case Prove:
		w.reply(lucky, e.Op, Proved{e.Op, termapi.PINProofResult{Result: termapi.PINProven, IssuerData: issuer}})
	case Complete:
		o := cardauth.OutcomeTC
		if !lucky {
			o = pick(w.t, []cardauth.Outcome{cardauth.OutcomeAAC, cardauth.OutcomeRemoved})
		}
		w.step(Completed{e.Op, cardauth.LastWord{Outcome: o}})
	case Overview:
		w.reply(lucky, e.Op, Overviewed{e.Op, testOverview})
	case ListDues:
		w.reply(lucky, e.Op, DuesListed{e.Op, testDues})
	case ListReceipts:
		w.reply(lucky, e.Op, ReceiptsListed{Op: e.Op})
	case Print:
		w.step(Printed{e.Op, pick(w.t, []PaperEnd{PaperPresented, PaperSent, PaperFailed}), PrinterJam})
	default:
		w.servePayment(e, lucky, calm)
	}
}

func (w *model) reply(lucky bool, op uint64, ev Event) {
	if !lucky {
		w.step(HubFailed{Op: op, Kind: FailUnknown})
		return
	}
	w.step(ev)
}

func (w *model) servePayment(e Effect, lucky, calm bool) {
	switch e := e.(type) {
	case Pay:
		p := w.hub.pays[e.ID]
		if p == nil {
			return
		}
		if !lucky && p.sent { // it has not arrived yet
			switch w.t.between(0, 3) {
			case 0: // never left
				p.sent = false
				w.step(HubFailed{e.Op, e.ID, FailNotSent, ""})
			case 1: // refused at the door
				p.sent, p.closed = false, true
				w.step(HubFailed{e.Op, e.ID, FailRefused, termapi.ErrNoSession})
			case 2: // the answer is lost
				w.hub.arrive(p)
				w.step(HubFailed{e.Op, e.ID, FailUnknown, ""})
			case 3: // the request is late: it may arrive at any time
				w.step(HubFailed{e.Op, e.ID, FailUnknown, ""})
			}
			return
		}
		w.hub.arrive(p)
		w.tell(e.Op, e.ID)
	case AskPayment:
		if !lucky {
			w.step(HubFailed{e.Op, e.ID, FailUnknown, ""})
			return
		}
		w.tell(e.Op, e.ID)
	case ClosePayment:
		p := w.known(e.ID)
		if p.state == "" {
			p.closed, p.state = true, termapi.PaymentNotCharged
		}
		if !lucky {
			w.step(HubFailed{e.Op, e.ID, FailUnknown, ""})
			return
		}
		w.tell(e.Op, e.ID)
	case Report:
		p := w.known(e.ID)
		if p.await {
			p.await = false
			if e.Outcome.Outcome == termapi.OutcomeAAC && p.state == termapi.PaymentPosted {
				p.state = termapi.PaymentPending
			}
		}
		if !lucky {
			w.step(HubFailed{e.Op, e.ID, FailUnknown, ""})
			return
		}
		w.tell(e.Op, e.ID)
	default:
		w.t.Fatalf("nobody serves %T (calm %v)", e, calm)
	}
}

func (w *model) known(id si.PaymentID) *hubPayment {
	p := w.hub.pays[id]
	if p == nil {
		// T_SENT was on disk and the request never left.
		p = &hubPayment{pay: Pay{ID: id, Total: w.disk[id].Total}}
		w.hub.pays[id] = p
	}
	return p
}

func (w *model) tell(op uint64, id si.PaymentID) {
	p := w.known(id)
	if p.state == "" {
		w.step(HubFailed{op, id, FailRefused, termapi.ErrNotFound})
		return
	}
	w.step(PaymentTold{op, id, w.hub.answer(p)})
}

// act lets one thing happen.
func (w *model) act() {
	switch n := w.t.between(0, 199); {
	case n < 2:
		w.card = !w.card
		if w.card {
			w.step(CardIn{})
		} else {
			w.step(CardOut{})
		}
	case n < 8:
		w.now = w.now.Add(time.Duration(w.t.between(1, 50)) * time.Second)
		w.step(Tick{})
	case n < 10:
		if w.t.between(0, 2) == 0 {
			w.run() // power loss: everything but disk and hub is gone
		}
	case n < 20:
		for n := uint64(1); n <= w.ids; n++ { // late requests arrive
			if p := w.hub.pays[si.PaymentID{0: byte(n >> 8), 1: byte(n), 15: 1}]; p != nil && w.t.between(0, 1) == 0 {
				w.hub.arrive(p)
			}
		}
	case n < 60:
		w.press()
	default:
		if len(w.todo) > 0 {
			n := 0
			if w.t.between(0, 3) == 0 {
				n = w.t.between(0, len(w.todo)-1)
			}
			e := w.todo[n]
			w.todo = append(w.todo[:n:n], w.todo[n+1:]...)
			w.serve(e, false)
		} else if !w.card {
			w.card = true
			w.step(CardIn{})
		} else {
			w.press()
		}
	}
}

func (w *model) press() {
	a := pick(w.t, append(slices.Clone(w.shown.Actions), ActConfirm, ActAll, ActNext, ActPay, ActNoReceipt, ActMenu))
	if a == ActExit && w.t.between(0, 3) > 0 {
		return
	}
	w.step(Press{w.shown.Step, a, ""})
	if w.t.between(0, 4) == 0 {
		w.step(Press{w.shown.Step - 1, a, ""})
	}
}

// heal lets everything end well and wants every payment final.
func (w *model) heal() {
	if w.card {
		w.card = false
		w.step(CardOut{})
	}
	for n := 0; n < 3000; n++ {
		for _, p := range w.hub.pays {
			p.sent = false
			w.hub.resolve(p)
		}
		if len(w.todo) > 0 {
			e := w.todo[0]
			w.todo = w.todo[1:]
			w.serve(e, true)
			continue
		}
		if w.m.Unsettled() == 0 && w.m.state == stAttract {
			break
		}
		if at := w.m.Wake(); at.After(w.now) {
			w.now = at
		}
		w.step(Tick{})
	}
	if w.m.Unsettled() != 0 || w.m.state != stAttract {
		w.t.Fatalf("after healing: %d unsettled, state %v", w.m.Unsettled(), w.m.state)
	}
	for id, i := range w.disk {
		if i.Open() {
			w.t.Fatalf("after healing payment %s is %v on disk", id, i.State)
		}
		p := w.hub.pays[id]
		posted := p != nil && p.state == termapi.PaymentPosted
		if says := i.State == Posted || i.State == Receipted; says != posted {
			w.t.Fatalf("payment %s: the terminal holds %v, the hub %+v", id, i.State, p)
		}
		if w.ended[id] == stNotCharged && posted {
			w.t.Fatalf("payment %s was told as not charged, and is posted", id)
		}
	}
}

// TestTruth drives terminals through lost and late messages, pulled cards,
// crashes and impatient citizens: nobody is told "paid" without a posting or
// "not charged" with a live debit, no payment is sent without its record or
// twice, and every payment ends as the hub says. A run is repeated by its seed.
func TestTruth(t *testing.T) {
	counts := map[string]int{}
	for seed := range uint64(1200) {
		d := &dice{TB: t, seed: seed, r: rand.New(rand.NewPCG(seed, 1))}
		w := newModel(d)
		w.run()
		for range d.between(100, 1500) {
			w.act()
		}
		w.heal()
		for _, i := range w.disk {
			counts[i.State.String()]++
		}
		counts["sent"] += len(w.hub.pays)
		for _, s := range w.ended {
			counts["told "+s.String()]++
		}
	}
	t.Log(counts)
	for _, need := range []string{"T_POSTED", "T_DECLINED", "T_FAILED", "T_RECEIPTED", "sent", "told paid", "told not-charged"} {
		if counts[need] < 25 {
			t.Errorf("void: %d of %q in the whole run, want at least 25", counts[need], need)
		}
	}
}

// dice draws what happens, and names its seed when something is wrong.
type dice struct {
	testing.TB
	seed uint64
	r    *rand.Rand
}

func (d *dice) between(low, high int) int { return low + d.r.IntN(high-low+1) }

func (d *dice) Fatalf(format string, args ...any) {
	d.Helper()
	d.TB.Fatalf("seed %d: "+format, slices.Insert(args, 0, any(d.seed))...)
}

func pick[T any](d *dice, from []T) T { return from[d.r.IntN(len(from))] }
