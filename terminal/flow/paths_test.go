package flow

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/cardauth"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/termapi"
)

// TestPayPath walks a payment from the list to the paper and checks what is on
// disk before each effect can be seen.
func TestPayPath(t *testing.T) {
	r := newRig(t).payConfirm()
	if r.shown.Total != 101234 || len(r.shown.Lines) != 3 {
		t.Fatalf("confirm page: total %v, %d lines", r.shown.Total, len(r.shown.Lines))
	}
	r.hold = true
	r.press(ActConfirm).want(stCreating)
	j := asked[Journal](r)
	if has[StartPIN](r) || j.Intent.State != Created {
		t.Fatal("the pad was asked before T_CREATED was on disk")
	}
	r.do(Journaled{j.Op, JournalOK}).want(stPayPIN)
	if got := asked[StartPIN](r).Amount; got != 101234 {
		t.Errorf("the pad shows %v, want the total", got)
	}
	r.do(PINEnded{asked[StartPIN](r).Op, PINEntered})
	if a := asked[Authorise](r); a.Purpose != cardauth.ForPayment || a.Amount != 101234 {
		t.Errorf("cryptogram for %v %v", a.Purpose, a.Amount)
	}
	r.do(Authorised{r.m.op, cardauth.OK}).want(stSending)
	j = asked[Journal](r)
	if has[Pay](r) || j.Intent.State != Sent {
		t.Fatal("the payment left before T_SENT was on disk")
	}
	r.do(Journaled{j.Op, JournalOK}).want(stPaying)
	p := asked[Pay](r)
	if p.ID != j.Intent.ID || p.Total != 101234 || len(p.Lines) != 3 || p.Session != testOpened.Session {
		t.Errorf("payment %+v", p)
	}
	r.do(PaymentTold{p.Op, p.ID, told(p, termapi.PaymentPosted)}).want(stMarking)
	if has[Complete](r) {
		t.Fatal("the chip was told before T_POSTED was on disk")
	}
	r.do(Journaled{asked[Journal](r).Op, JournalOK}).want(stPayCard)
	c := asked[Complete](r)
	if !c.Answer.Approved || !c.Answer.Answered || c.Answer.ARC != "00" || len(c.Answer.Auth) != 8 {
		t.Errorf("the chip was told %+v", c.Answer)
	}
	r.do(Completed{c.Op, cardauth.LastWord{Outcome: cardauth.OutcomeTC, DE55: []byte{0x95}}}).want(stMarkWord)
	r.do(Journaled{asked[Journal](r).Op, JournalOK}).want(stReporting)
	rep := asked[Report](r)
	if rep.Outcome.Outcome != termapi.OutcomeTC || len(rep.Outcome.DE55) != 1 {
		t.Errorf("reported %+v", rep.Outcome)
	}
	r.hold = false
	s := told(p, termapi.PaymentPosted)
	s.AwaitCard, s.Receipt.Name = false, ""
	r.do(PaymentTold{rep.Op, rep.ID, s}).want(stPaid)
	if r.shown.Receipt == nil || r.shown.Receipt.No == "" {
		t.Error("no receipt number on the paid page")
	}
	r.press(ActNext).press(ActPrint).want(stPrinting)
	doc := asked[Print](r).Doc
	if doc.Receipt == nil || doc.Receipt.Duplicate != 0 || doc.Receipt.Name != testOverview.Name {
		t.Errorf("printed %+v", doc.Receipt)
	}
	r.do(Printed{Op: r.m.op, End: PaperPresented}).want(stPrinted)
	if got := r.disk[p.ID].State; got != Receipted {
		t.Errorf("on disk %v, want %v", got, Receipted)
	}
}

// TestEndings checks each answer of the hub against its ending, its state on
// disk, and what the chip hears.
func TestEndings(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer func(r *rig, p Pay)
		end    state
		disk   PayState
		reason string
		heard  bool // the chip hears an issuer
	}{
		{"declined", func(r *rig, p Pay) { r.do(PaymentTold{p.Op, p.ID, told(p, termapi.PaymentNotCharged)}) }, stNotCharged, Declined, termapi.ReasonFunds, true},
		{"refused", func(r *rig, p Pay) {
			s := told(p, termapi.PaymentRefused)
			s.Reason = termapi.ReasonDueTaken
			r.do(PaymentTold{p.Op, p.ID, s})
		}, stNotCharged, Declined, termapi.ReasonDueTaken, false},
		{"pending", func(r *rig, p Pay) { r.do(PaymentTold{p.Op, p.ID, told(p, termapi.PaymentPending)}) }, stPending, Unknown, "", false},
		{"silence", func(r *rig, p Pay) { r.after(DefaultTimes().HubPay) }, stPending, Unknown, "", false},
		{"lost", func(r *rig, p Pay) { r.do(HubFailed{p.Op, p.ID, FailUnknown, ""}) }, stPending, Unknown, "", false},
		{"not sent", func(r *rig, p Pay) { r.do(HubFailed{p.Op, p.ID, FailNotSent, ""}) }, stNotCharged, Unknown, termapi.ReasonSystem, false},
		{"session lost", func(r *rig, p Pay) { r.do(HubFailed{p.Op, p.ID, FailRefused, termapi.ErrNoSession}) }, stNotCharged, Declined, termapi.ReasonSystem, false},
		{"bank away", func(r *rig, p Pay) { r.do(HubFailed{p.Op, p.ID, FailRefused, termapi.ErrBankAway}) }, stNotCharged, Declined, termapi.ReasonBankAway, false},
		{"ledger away", func(r *rig, p Pay) { r.do(HubFailed{p.Op, p.ID, FailRefused, termapi.ErrUnavailable}) }, stPending, Unknown, "", false},
		{"id reused", func(r *rig, p Pay) { r.do(HubFailed{p.Op, p.ID, FailRefused, termapi.ErrIDReused}) }, stPending, Unknown, "", false},
		{"other amount", func(r *rig, p Pay) {
			s := told(p, termapi.PaymentPosted)
			s.Total--
			r.do(PaymentTold{p.Op, p.ID, s})
		}, stPending, Unknown, "", false},
		{"posted without receipt", func(r *rig, p Pay) {
			s := told(p, termapi.PaymentPosted)
			s.Receipt = nil
			r.do(PaymentTold{p.Op, p.ID, s})
		}, stPending, Unknown, "", false},
		{"other id", func(r *rig, p Pay) {
			s := told(p, termapi.PaymentPosted)
			s.ID = si.PaymentID{9}.String()
			r.do(PaymentTold{p.Op, p.ID, s})
		}, stPending, Unknown, "", false},
	} {
		r := newRig(t).paying()
		p := asked[Pay](r)
		c.answer(r, p)
		r.want(stPayCard)
		if a := asked[Complete](r).Answer; a.Approved || a.Answered != c.heard {
			t.Errorf("%s: the chip was told %+v", c.name, a)
		}
		r.do(Completed{r.m.op, cardauth.LastWord{Outcome: cardauth.OutcomeAAC}})
		if r.m.state != c.end || r.disk[p.ID].State != c.disk || r.shown.Reason != c.reason {
			t.Errorf("%s: %v %v %q, want %v %v %q", c.name, r.m.state, r.disk[p.ID].State, r.shown.Reason, c.end, c.disk, c.reason)
		}
		if wantOpen := c.disk == Unknown; (r.m.Unsettled() == 1) != wantOpen {
			t.Errorf("%s: %d unsettled", c.name, r.m.Unsettled())
		}
	}
}

// TestCardsWord checks what the hub makes of the card's last word.
func TestCardsWord(t *testing.T) {
	r := newRig(t).reported(cardauth.OutcomeAAC, termapi.PaymentPending).want(stPending)
	id := r.pays[0].ID
	if r.disk[id].State != Undoing || r.shown.Reason != termapi.ReasonCardRefuse || r.m.Unsettled() != 1 {
		t.Errorf("card refused, reversing: %v %q", r.disk[id].State, r.shown.Reason)
	}
	r = newRig(t).reported(cardauth.OutcomeARPCBad, termapi.PaymentNotCharged).want(stNotCharged)
	if r.disk[r.pays[0].ID].State != Declined {
		t.Errorf("card refused, reversed: %v", r.disk[r.pays[0].ID].State)
	}
	r = newRig(t).reported(cardauth.OutcomeAAC, termapi.PaymentPosted).want(stPaid) // card_refusal: keep
	if r.disk[r.pays[0].ID].State != Posted {
		t.Errorf("card refused, kept: %v", r.disk[r.pays[0].ID].State)
	}
	// The hub that announced the reversal died before that was durable, and the
	// next one calls the payment posted: it is told the card's word again, and
	// what it answers to that counts.
	for _, answer := range []string{termapi.PaymentPending, termapi.PaymentPosted} {
		r = newRig(t).reported(cardauth.OutcomeAAC, termapi.PaymentPending).want(stPending)
		r.after(DefaultTimes().AskFirst)
		ask := asked[AskPayment](r)
		s := told(r.pays[0], termapi.PaymentPosted)
		s.AwaitCard = false
		r.do(PaymentTold{ask.Op, ask.ID, s})
		rep := asked[Report](r)
		if got := r.disk[r.pays[0].ID]; got.State != Posted || got.Reported || r.m.Unsettled() != 1 {
			t.Errorf("a reversal that a hub forgot: %+v, %d unsettled", got, r.m.Unsettled())
		}
		if rep.Outcome.Outcome != termapi.OutcomeAAC {
			t.Errorf("reported again: %+v", rep.Outcome)
		}
		s.State = answer
		r.do(PaymentTold{rep.Op, rep.ID, s})
		want := map[string]PayState{termapi.PaymentPending: Undoing, termapi.PaymentPosted: Posted}[answer]
		if got := r.disk[r.pays[0].ID]; got.State != want || !got.Reported {
			t.Errorf("reported again, answered %s: %+v", answer, got)
		}
	}
	// The report finds no answer: not "paid", and it is repeated until it does.
	r = newRig(t).reporting(cardauth.OutcomeTC)
	r.do(HubFailed{Op: r.m.op, Kind: FailUnknown}).want(stPending)
	r.after(DefaultTimes().AskFirst)
	rep := asked[Report](r)
	if string(rep.Outcome.DE55) != cardSays || string(r.disk[r.pays[0].ID].CardWord) != cardSays {
		t.Errorf("the repeated report has DE 55 %q, the journal %q", rep.Outcome.DE55, r.disk[r.pays[0].ID].CardWord)
	}
	s := told(r.pays[0], termapi.PaymentPosted)
	s.AwaitCard = false
	r.do(PaymentTold{rep.Op, rep.ID, s}).want(stPaid)
	if got := r.disk[r.pays[0].ID]; got.State != Posted || !got.Reported || got.CardWord != nil || r.m.Unsettled() != 0 {
		t.Errorf("after the repeated report: %+v", got)
	}
}

// TestWrongPINAtPayment wants a new id, a new PIN block and a new cryptogram.
func TestWrongPINAtPayment(t *testing.T) {
	r := newRig(t).paying()
	p := asked[Pay](r)
	s := told(p, termapi.PaymentNotCharged)
	s.Reason = termapi.ReasonPINWrong
	r.do(PaymentTold{p.Op, p.ID, s})
	r.do(Completed{r.m.op, cardauth.LastWord{Outcome: cardauth.OutcomeAAC}}).want(stNotCharged)
	r.press(ActRetry).want(stLookDues)
	r.do(DuesListed{r.m.op, testDues}).want(stPayPIN)
	r.do(PINEnded{asked[StartPIN](r).Op, PINEntered})
	r.do(Authorised{asked[Authorise](r).Op, cardauth.OK}).want(stPaying)
	if q := asked[Pay](r); q.ID == p.ID || q.Total != p.Total {
		t.Errorf("second try: id %s total %v, first %s %v", q.ID, q.Total, p.ID, p.Total)
	}
	// A changed amount is shown again before anything is asked of the pad.
	r = newRig(t).paying()
	p = asked[Pay](r)
	s.ID = p.ID.String()
	r.do(PaymentTold{p.Op, p.ID, s})
	r.do(Completed{r.m.op, cardauth.LastWord{Outcome: cardauth.OutcomeAAC}}).press(ActRetry)
	changed := termapi.Dues{Dues: slices.Clone(testDues.Dues)}
	changed.Dues[0].LateFee++
	r.do(DuesListed{r.m.op, changed}).want(stPayList)
	if r.shown.Chosen != 0 {
		t.Errorf("%d dues chosen after a change, want none", r.shown.Chosen)
	}
}

// TestCardPulled pulls the card at each step of a payment.
func TestCardPulled(t *testing.T) {
	for _, c := range []struct {
		at      state
		disk    PayState
		outcome string
	}{
		{stCreating, Failed, ""}, {stPayPIN, Failed, ""}, {stPayChip, Failed, ""},
		{stSending, Unknown, ""}, {stPaying, Unknown, termapi.OutcomeRemoved},
		{stMarking, Posted, termapi.OutcomeRemoved}, {stPayCard, Posted, termapi.OutcomeRemoved},
		{stMarkWord, Posted, termapi.OutcomeTC}, {stReporting, Posted, termapi.OutcomeTC},
	} {
		r := at(t, c.at)
		r.hold = false
		r.do(CardOut{}).want(stAttract)
		if has[Pay](r) {
			t.Errorf("%v: sent after the card was pulled", c.at)
		}
		if !has[Wipe](r) {
			t.Errorf("%v: not wiped", c.at)
		}
		if c.at == stPayPIN && !has[CancelPIN](r) {
			t.Errorf("%v: the pad's entry goes on", c.at)
		}
		for id, i := range r.disk {
			if i.State != c.disk || i.Outcome != c.outcome {
				t.Errorf("%v: payment %s is %v %q, want %v %q", c.at, id, i.State, i.Outcome, c.disk, c.outcome)
			}
			if i.Open() != (r.m.Unsettled() == 1) {
				t.Errorf("%v: open %v, unsettled %d", c.at, i.Open(), r.m.Unsettled())
			}
		}
	}
}

// TestPulledWhilePaying follows the payment behind the back of the citizen who
// left: asked for, told as removed, posted in the end.
func TestPulledWhilePaying(t *testing.T) {
	r := newRig(t).paying()
	p := asked[Pay](r)
	r.do(CardOut{}).want(stAttract)
	r.after(DefaultTimes().AskFirst)
	q := asked[AskPayment](r)
	r.do(PaymentTold{q.Op, q.ID, told(p, termapi.PaymentPosted)})
	rep := asked[Report](r)
	if rep.Outcome.Outcome != termapi.OutcomeRemoved {
		t.Fatalf("reported %q, want removed", rep.Outcome.Outcome)
	}
	s := told(p, termapi.PaymentPosted)
	s.AwaitCard = false
	r.do(PaymentTold{rep.Op, rep.ID, s}).want(stAttract)
	if got := r.disk[p.ID]; got.State != Posted || !got.Reported || r.m.Unsettled() != 0 {
		t.Errorf("on disk %+v, %d unsettled", got, r.m.Unsettled())
	}
}

// TestPendingPageIsCorrected shows the final answer to a citizen still there,
// once it is on disk.
func TestPendingPageIsCorrected(t *testing.T) {
	for word, end := range map[string]state{termapi.PaymentPosted: stPaid, termapi.PaymentNotCharged: stNotCharged} {
		r := newRig(t).ended(termapi.PaymentPending).want(stPending)
		r.after(DefaultTimes().AskFirst)
		q := asked[AskPayment](r)
		s := told(r.pays[0], word)
		s.AwaitCard = false
		r.hold = true
		r.do(PaymentTold{q.Op, q.ID, s}).want(stPending)
		r.do(Journaled{asked[Journal](r).Op, JournalOK}).want(end)
	}
}

// TestUnknownIDIsClosed closes an id that the hub never saw.
func TestUnknownIDIsClosed(t *testing.T) {
	r := newRig(t).ended(termapi.PaymentPending)
	r.after(DefaultTimes().AskFirst)
	q := asked[AskPayment](r)
	r.do(HubFailed{q.Op, q.ID, FailRefused, termapi.ErrNotFound})
	c := asked[ClosePayment](r)
	if c.ID != q.ID {
		t.Fatalf("closed %s, want %s", c.ID, q.ID)
	}
	s := told(r.pays[0], termapi.PaymentNotCharged)
	r.do(PaymentTold{c.Op, c.ID, s}).want(stNotCharged)
	if r.disk[q.ID].State != Declined {
		t.Errorf("on disk %v", r.disk[q.ID].State)
	}
}

// TestBoot works off the payments of the last run before anyone is served.
func TestBoot(t *testing.T) {
	line := []termapi.PayLine{{ID: "1", Amount: 100}}
	intent := func(n byte, s PayState) Intent {
		return Intent{ID: si.PaymentID{n}, State: s, Lines: line, Total: 100}
	}
	r := newRig(t)
	boot := []Intent{intent(1, Created), intent(2, Sent), intent(3, Unknown), intent(4, Posted)}
	for _, i := range boot {
		r.disk[i.ID] = i
	}
	r.do(GateSet{Gate: GateReader}, GateSet{Gate: GateHub}, Configured{testConfig}, Boot{boot}).want(stOut)
	if r.shown.Problem != GateStarting.String() {
		t.Errorf("out of service for %q, want %v", r.shown.Problem, GateStarting)
	}
	if got := r.disk[si.PaymentID{1}].State; got != Failed {
		t.Errorf("never sent: %v, want %v", got, Failed)
	}
	if got := r.disk[si.PaymentID{2}]; got.State != Unknown || got.Outcome != termapi.OutcomeRemoved {
		t.Errorf("sent: %v %q", got.State, got.Outcome)
	}
	// A card in front is returned; nobody is served.
	r.step(CardIn{})
	if r.m.state != stTakeCard {
		t.Fatalf("card in while starting: %v", r.m.state)
	}
	r.step(CardOut{})
	for n := 0; n < 20 && r.m.state == stOut; n++ {
		var all []Effect
		all = append(all, r.out...)
		r.out = nil
		for _, e := range all {
			switch e := e.(type) {
			case AskPayment:
				r.do(PaymentTold{e.Op, e.ID, termapi.PaymentState{ID: e.ID.String(), State: termapi.PaymentPending}})
			case Report:
				r.do(PaymentTold{e.Op, e.ID, termapi.PaymentState{ID: e.ID.String(), State: termapi.PaymentPosted, Total: 100,
					Receipt: &termapi.Receipt{No: "1", Total: 100}}})
			}
		}
	}
	r.want(stAttract)
	if r.m.Unsettled() != 2 {
		t.Errorf("%d unsettled, want the two that are pending", r.m.Unsettled())
	}
}

// TestAskBackoff doubles the time between questions up to its bound.
func TestAskBackoff(t *testing.T) {
	r := newRig(t).ended(termapi.PaymentPending)
	r.do(CardOut{})
	want := []time.Duration{5, 5, 10, 20, 40, 60, 60}
	for n, w := range want {
		from := r.now
		r.now = r.m.unsettled.list[0].next
		if got := r.now.Sub(from); got != w*time.Second {
			t.Errorf("question %d after %v, want %v", n, got, w*time.Second)
		}
		r.do(Tick{})
		q := asked[AskPayment](r)
		r.do(HubFailed{q.Op, q.ID, FailUnknown, ""})
	}
	// A question that never ends is given up by the machine itself.
	r.now = r.m.unsettled.list[0].next
	r.do(Tick{})
	op := asked[AskPayment](r).Op
	r.after(DefaultTimes().readWait())
	if r.m.unsettled.op == op {
		t.Error("still waiting for a question without an end")
	}
}

// TestUnsettledBound begins no payment at the bound.
func TestUnsettledBound(t *testing.T) {
	r := newRig(t).payConfirm()
	for len(r.m.unsettled.list) < MaxUnsettled-1 {
		r.m.unsettled.list = append(r.m.unsettled.list, openPayment{next: r.now.Add(time.Hour)})
	}
	if !r.m.mayPay() {
		t.Error("one below the bound: no payment")
	}
	r.m.unsettled.list = append(r.m.unsettled.list, openPayment{next: r.now.Add(time.Hour)})
	if r.press(ActConfirm); has[Journal](r) {
		t.Error("a payment was begun at the bound")
	}
}

// TestChoosingDues holds the list to its rules.
func TestChoosingDues(t *testing.T) {
	r := newRig(t).payList()
	if r.shown.Chosen != 0 {
		t.Errorf("%d chosen at first, want none of several", r.shown.Chosen)
	}
	if l := r.shown.Lines[1]; !l.Disabled || l.Why != WhyOlderFirst {
		t.Errorf("newer due: %+v", l)
	}
	r.press(ActToggle, "12").want(stPayList)
	if r.shown.Chosen != 0 {
		t.Error("a newer due was chosen before the older one")
	}
	r.press(ActToggle, "11").press(ActToggle, "12")
	if r.shown.Chosen != 2 || r.shown.Total != 61234 {
		t.Errorf("chosen %d total %v", r.shown.Chosen, r.shown.Total)
	}
	stale := r.shown.Step
	r.press(ActToggle, "11")
	if r.shown.Chosen != 0 {
		t.Errorf("%d chosen after the older one was unticked, want none", r.shown.Chosen)
	}
	if r.do(Press{stale, ActToggle, "11"}); r.shown.Chosen != 0 {
		t.Error("a double tap ticked again")
	}
	if r.press(ActNext).want(stPayList); r.m.state != stPayList {
		t.Error("went on with nothing chosen")
	}

	list := termapi.Dues{AllowSkip: true, MaxDues: 2, Dues: []termapi.Due{
		due("1", "PENSION_RES", "2025", 100, 0), due("2", "PENSION_RES", "2026", 100, 0), due("3", "MED_RES", "2026", 100, 0),
		{ID: "4", Fund: "UNEMP", Amount: 5, State: "HELD"},
		{ID: "5", Fund: "INJURY", Amount: 5, State: "OPEN", Why: "NO_BENEFICIARY"}}}
	r = newRig(t).menu().press(ActPay)
	r.do(DuesListed{r.m.op, list}).press(ActToggle, "2").press(ActAll)
	if r.shown.Chosen != 2 || r.shown.Lines[2].Why != WhyMaxDues || r.shown.Lines[3].Why != WhyHeld || r.shown.Lines[4].Why != WhyNoAccount {
		t.Errorf("with skipping and a bound of 2: %+v", r.shown.Lines)
	}
	if r.press(ActAll); r.shown.Chosen != 0 {
		t.Errorf("%d chosen after the second press on all", r.shown.Chosen)
	}

	only := termapi.Dues{Dues: []termapi.Due{due("1", "MED_RES", "2026", 100, 0), {ID: "4", Fund: "UNEMP", Amount: 5, State: "HELD"}}}
	r = newRig(t).menu().press(ActPay)
	if r.do(DuesListed{r.m.op, only}); r.shown.Chosen != 1 {
		t.Errorf("the only due that can be paid: %d chosen", r.shown.Chosen)
	}
}

// TestListBounds takes the largest list and payment, and refuses one more.
func TestListBounds(t *testing.T) {
	var d termapi.Dues
	d.AllowSkip = true
	for n := 0; n <= MaxLines; n++ {
		d.Dues = append(d.Dues, due(string(rune('0'+n/10))+string(rune('0'+n%10)), "MED_RES", "2026", 1, 0))
	}
	r := newRig(t).menu().press(ActPay)
	r.do(DuesListed{r.m.op, d}).press(ActAll).want(stPayList)
	if len(r.shown.Lines) != MaxLines || r.shown.Chosen != MaxDues {
		t.Errorf("%d lines, %d chosen, want %d and %d", len(r.shown.Lines), r.shown.Chosen, MaxLines, MaxDues)
	}
	for name, bad := range map[string]termapi.Due{
		"no id": due("", "MED_RES", "2026", 1, 0), "zero": due("7", "MED_RES", "2026", 0, 0),
		"negative fee": due("7", "MED_RES", "2026", 1, -1), "beyond DE 4": due("7", "MED_RES", "2026", int64(si.MaxFen)+1, 0),
	} {
		if _, ok := takeDues([]termapi.Due{bad}); ok {
			t.Errorf("%s: taken", name)
		}
	}
	if _, ok := takeDues([]termapi.Due{due("7", "A", "2026", 1, 0), due("7", "A", "2026", 1, 0)}); ok {
		t.Error("the same due twice: taken")
	}
	top := []termapi.Due{due("1", "A", "2026", int64(si.MaxFen), 0), due("2", "B", "2026", 1, 0)}
	r = newRig(t).menu().press(ActPay)
	if r.do(DuesListed{r.m.op, termapi.Dues{Dues: top}}).press(ActAll); r.shown.Chosen != 1 || r.shown.Total != si.MaxFen {
		t.Errorf("at the largest amount: %d chosen, total %v", r.shown.Chosen, r.shown.Total)
	}
}

// TestJournalFaults never says "paid" without the journal, and goes out of
// service.
func TestJournalFaults(t *testing.T) {
	for _, s := range []state{stMarking, stMarkWord} {
		r := at(t, s)
		r.do(Journaled{r.m.op, JournalFault})
		if r.m.state == stPayCard {
			r.do(Completed{r.m.op, cardauth.LastWord{Outcome: cardauth.OutcomeTC}})
			r.do(Journaled{r.m.op, JournalFault})
		}
		rep := asked[Report](r)
		st := told(r.pays[0], termapi.PaymentPosted)
		r.do(PaymentTold{rep.Op, rep.ID, st}).want(stPending)
		r.press(ActExit).do(CardOut{}).want(stOut)
		if r.shown.Problem != GateJournal.String() {
			t.Errorf("%v: out of service for %q", s, r.shown.Problem)
		}
	}
}

// TestReceipts marks every further paper, and says "printed" only of what the
// device presented.
func TestReceipts(t *testing.T) {
	r := newRig(t).receipts().press(ActReprint, testReceipt.No).want(stReceiptChoice)
	r.press(ActPrint)
	if d := asked[Print](r).Doc.Receipt; d.Duplicate != 1 || d.No != testReceipt.No {
		t.Errorf("reprint: %+v", d)
	}
	r.do(Printed{r.m.op, PaperFailed, PrinterJam}).want(stPrinterFault)
	if r.shown.Printer != PrinterJam {
		t.Errorf("fault page says %q", r.shown.Printer)
	}
	r.press(ActRetry)
	if d := asked[Print](r).Doc.Receipt; d.Duplicate != 1 {
		t.Errorf("second try: duplicate %d", d.Duplicate)
	}
	r.do(Printed{r.m.op, PaperSent, ""}).want(stPrinted)
	if r.shown.Printer != PrinterSent {
		t.Errorf("a printer that cannot say: %q", r.shown.Printer)
	}
	// The first paper of a payment is the original, each further one marked.
	r = newRig(t).printing()
	if d := asked[Print](r).Doc.Receipt.Duplicate; d != 0 {
		t.Errorf("original: duplicate %d", d)
	}
	r.after(DefaultTimes().Printer).want(stPrinterFault).press(ActRetry)
	if d := asked[Print](r).Doc.Receipt.Duplicate; d != 1 {
		t.Errorf("after a job without an end: duplicate %d, want 1", d)
	}
	// A slip is no receipt.
	r = newRig(t).ended(termapi.PaymentPending).press(ActPrint).want(stPrinting)
	if d := asked[Print](r).Doc; d.Receipt != nil || d.Slip == nil || d.Slip.Total != 101234 || d.Slip.CardTail != "1234" {
		t.Errorf("slip: %+v", d)
	}
	if r.do(Printed{r.m.op, PaperPresented, ""}); r.disk[r.pays[0].ID].State != Unknown {
		t.Errorf("slip printed: %v", r.disk[r.pays[0].ID].State)
	}
	// QR and "none" count as delivered.
	r = newRig(t).paid().press(ActNext).press(ActShowQR).want(stReceiptQR)
	if r.shown.QR != "qr:"+r.shown.Receipt.No || r.disk[r.pays[0].ID].State != Receipted {
		t.Errorf("QR %q, %v", r.shown.QR, r.disk[r.pays[0].ID].State)
	}
}

// TestNoPaper is told before the PIN, and greys the print button.
func TestNoPaper(t *testing.T) {
	r := newRig(t).payConfirm().do(PaperSet{false})
	if !r.shown.NoPaper {
		t.Error("the confirm page does not tell")
	}
	r = newRig(t).paid().do(PaperSet{false}).press(ActNext)
	if !slices.Contains(r.shown.Disabled, ActPrint) {
		t.Errorf("print is not grey: %v", r.shown.Disabled)
	}
	if r.press(ActPrint).want(stReceiptChoice); has[Print](r) {
		t.Error("printed without paper")
	}
}

// TestIdle warns, counts down under one step, extends, and returns the card.
func TestIdle(t *testing.T) {
	r := newRig(t).menu()
	r.after(60 * time.Second).want(stWarning)
	step := r.shown.Step
	if r.shown.Seconds != 20 || r.shown.Over != ScreenMenu {
		t.Errorf("warning: %d s over %q", r.shown.Seconds, r.shown.Over)
	}
	for n := 0; n < 12; n++ { // at least ten extensions
		r.after(time.Second)
		if r.shown.Seconds != 19 || r.shown.Step != step {
			t.Fatalf("countdown %d step %d, want 19 and %d", r.shown.Seconds, r.shown.Step, step)
		}
		r.press(ActContinue).want(stMenu)
		r.after(60 * time.Second).want(stWarning)
		step = r.shown.Step
	}
	r.after(20 * time.Second).want(stTakeCard)
	if !has[Wipe](r) || !has[Eject](r) || r.shown.Name != "" {
		t.Error("the card is not returned, or the session is not wiped")
	}
	r = newRig(t).menu().press(ActLarge)
	if r.after(119 * time.Second).want(stMenu); r.after(time.Second).want(stWarning).shown.Seconds != 30 {
		t.Errorf("large type: %d s of warning", r.shown.Seconds)
	}
}

// TestTakeCard sounds the alarm, keeps what is left, and never keeps a card
// where the slot cannot.
func TestTakeCard(t *testing.T) {
	r := newRig(t).menu().press(ActExit).want(stTakeCard)
	for n := 1; n <= 5; n++ {
		r.after(time.Second)
		if has[Alarm](r) != (n == 5) {
			t.Errorf("second %d: alarm %v", n, has[Alarm](r))
		}
	}
	r.after(25 * time.Second).want(stRetained)
	if !has[Retain](r) || asked[Alarm](r).On {
		t.Error("not retained, or the alarm goes on")
	}
	r.after(10 * time.Second).want(stAttract)

	r = newRig(t)
	r.m.set.Retains = false
	r.menu().press(ActExit)
	for n := 0; n < 5; n++ {
		r.after(30 * time.Second).want(stTakeCard)
	}
	if has[Retain](r) {
		t.Error("a hand-held slot was told to retain")
	}
	r.do(CardOut{}).want(stAttract)
}

// TestPINTimes checks the three times of an entry at their limits.
func TestPINTimes(t *testing.T) {
	r := newRig(t).pin()
	if r.after(30*time.Second - 1).want(stPIN); !r.after(1).m.deadline.After(r.now) || r.m.state != stTakeCard {
		t.Errorf("first key: %v", r.m.state)
	}
	r = newRig(t).pin()
	for n := 1; n <= 4; n++ { // a key each 29 s: the whole entry ends after 120 s
		r.after(29 * time.Second).do(Keys{r.m.op, n}).want(stPIN)
		if r.shown.Keys != n {
			t.Errorf("%d keys shown, want %d", r.shown.Keys, n)
		}
	}
	r.after(4*time.Second - 1).want(stPIN)
	r.after(1).want(stTakeCard)
	if !has[CancelPIN](r) {
		t.Error("the pad's entry goes on")
	}
	r = newRig(t).pin().do(Keys{Op: 0, Count: 4})
	r.do(Keys{r.m.op, MaxPINDigits}).do(Keys{r.m.op, MaxPINDigits + 1})
	if r.shown.Keys != MaxPINDigits {
		t.Errorf("%d keys shown, want %d", r.shown.Keys, MaxPINDigits)
	}
}

// TestPINWrong tells the tries left and asks again with a new entry.
func TestPINWrong(t *testing.T) {
	r := newRig(t).proven(termapi.PINWrong).want(stPINWrong)
	if r.shown.TriesLeft != 2 {
		t.Errorf("tries left %d", r.shown.TriesLeft)
	}
	r.press(ActRetry).want(stPIN)
	r = newRig(t).proven(termapi.PINBlocked).want(stCardProblem)
	if r.shown.Problem != CardPINTries {
		t.Errorf("blocked: %q", r.shown.Problem)
	}
	r = newRig(t).proven(termapi.PINAway).want(stBankAway).press(ActRetry).want(stPIN)
	if r.shown.Name == "" {
		t.Error("the PIN page does not name the card holder")
	}
}

// TestCardProblems gives each problem its own page kind.
func TestCardProblems(t *testing.T) {
	seen := map[string]bool{}
	for p := cardauth.Unreadable; p < cardauth.Removed; p++ {
		r := newRig(t).boot().do(CardIn{})
		r.do(CardRead{r.m.op, cardauth.Card{Problem: p}}).want(stCardProblem)
		if k := r.shown.Problem; k == "" || seen[k] || !slices.Contains(CardProblems(), k) {
			t.Errorf("problem %d: kind %q", p, r.shown.Problem)
		}
		seen[r.shown.Problem] = true
	}
	for _, k := range []string{termapi.CardNotRegistered, termapi.CardMismatch, termapi.CardLost, termapi.CardBankNotConnected,
		termapi.CardBankDown, termapi.CardAreaNotServed, termapi.CardPINTries} {
		if hubCardProblem(k) != k || !slices.Contains(CardProblems(), k) {
			t.Errorf("hub's kind %q has no page", k)
		}
	}
	if got := hubCardProblem("SOMETHING_NEW"); got != CardRefused {
		t.Errorf("an unknown kind reads %q", got)
	}
}

// TestGates shows the first reason, and keeps a session going.
func TestGates(t *testing.T) {
	r := newRig(t).boot().do(GateSet{GateHub, true}).want(stOut)
	r.do(GateSet{GateClock, true})
	if r.shown.Problem != GateClock.String() {
		t.Errorf("two reasons: shows %q", r.shown.Problem)
	}
	r.do(GateSet{Gate: GateClock}, GateSet{Gate: GateHub}).want(stAttract)
	r = newRig(t).payConfirm().do(GateSet{GateClock, true}).want(stPayConfirm)
	if r.press(ActConfirm); has[Journal](r) {
		t.Error("a payment was begun with a wrong clock")
	}
	down := testConfig
	down.Banks = []termapi.BankInfo{{Code: "rcb"}}
	if r = newRig(t).boot().do(Configured{down}).want(stOut); r.shown.Problem != GateBanks.String() {
		t.Errorf("all banks down: %q", r.shown.Problem)
	}
	if r.do(GateSet{gateEnd, true}); r.shown.Problem != GateBanks.String() {
		t.Error("a gate out of range counted")
	}
}

// TestConfigurationBetweenSessions keeps the old one to the end of a session.
func TestConfigurationBetweenSessions(t *testing.T) {
	next := testConfig
	next.RegionName, next.Version = "新区", 2
	r := newRig(t).menu().do(Configured{next})
	if r.press(ActHelp); r.shown.Region != testConfig.RegionName || has[Apply](r) {
		t.Error("the new configuration came into a session")
	}
	r.do(CardOut{})
	if asked[Apply](r).Config.Version != 2 || r.shown.Region != "新区" {
		t.Error("the new configuration did not come after the session")
	}
	if r.do(Configured{next}); has[Apply](r) {
		t.Error("the same configuration was applied again")
	}
}

// TestAttractChoiceFallsBack resets language and type when nobody comes.
func TestAttractChoiceFallsBack(t *testing.T) {
	r := newRig(t).boot().press(ActLanguage).press(ActLarge)
	r.after(30*time.Second - 1)
	if r.shown.Lang != langEn || !r.shown.Large {
		t.Error("fell back early")
	}
	if r.after(1); r.shown.Lang != langZh || r.shown.Large {
		t.Error("did not fall back")
	}
	r.press(ActLanguage).do(CardIn{}).want(stReading)
	if r.after(DefaultTimes().Attract - 11*time.Second); r.shown.Lang != langEn {
		t.Error("a session lost its language")
	}
}

// TestBrowserGone ends a session after its time, but never a payment.
func TestBrowserGone(t *testing.T) {
	r := newRig(t).menu().do(Browser{false})
	r.after(5*time.Second - 1).want(stMenu)
	r.do(Browser{true}).after(time.Second).want(stMenu)
	r.do(Browser{false}).after(5 * time.Second)
	if r.m.state != stTakeCard {
		t.Errorf("without a page for 5 s: %v", r.m.state)
	}
	r = newRig(t).paying().do(Browser{false}).after(20 * time.Second)
	if r.m.state != stPaying {
		t.Errorf("a payment without a page: %v", r.m.state)
	}
}

// TestTimes refuses each broken relation by its name.
func TestTimes(t *testing.T) {
	if err := DefaultTimes().Validate(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Times){
		"zero":        func(x *Times) { x.Idle = 0 },
		"too long":    func(x *Times) { x.HubRead = LongestTime + 1 },
		"warning":     func(x *Times) { x.Warning = LeastWarning - 1 },
		"large warn":  func(x *Times) { x.WarningLarge = x.Warning - 1 },
		"large idle":  func(x *Times) { x.IdleLarge = x.Idle - 1 },
		"pin first":   func(x *Times) { x.PINFirst = x.PINWhole + 1 },
		"pin between": func(x *Times) { x.PINBetween = x.PINWhole + 1 },
		"hub pay":     func(x *Times) { x.HubPay = BankDeadline + PayMargin - 1 },
		"id too old":  func(x *Times) { x.PINWhole = OldestID - x.Chip },
		"alarm":       func(x *Times) { x.Alarm = x.TakeCard },
		"ask":         func(x *Times) { x.AskFirst = x.AskMost + 1 },
	} {
		x := DefaultTimes()
		spoil(&x)
		if err := x.Validate(); !errors.Is(err, ErrTimes) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := New(Setup{Times: DefaultTimes()}); !errors.Is(err, ErrSetup) {
		t.Errorf("without functions: %v", err)
	}
}

// TestPayStates walks every pair of payment states.
func TestPayStates(t *testing.T) {
	want := map[[2]PayState]bool{
		{0, Created}: true, {Created, Sent}: true, {Created, Failed}: true,
		{Sent, Unknown}: true, {Sent, Posted}: true, {Sent, Declined}: true,
		{Unknown, Unknown}: true, {Unknown, Posted}: true, {Unknown, Declined}: true,
		{Posted, Posted}: true, {Posted, Undoing}: true, {Posted, Receipted}: true, {Posted, Archived}: true,
		{Undoing, Undoing}: true, {Undoing, Posted}: true, {Undoing, Declined}: true,
		{Declined, Archived}: true, {Failed, Archived}: true, {Receipted, Archived}: true,
	}
	for from := PayState(0); from <= payStateEnd; from++ {
		for to := PayState(0); to <= payStateEnd; to++ {
			if got := MayFollow(from, to); got != want[[2]PayState{from, to}] {
				t.Errorf("MayFollow(%v, %v) = %v", from, to, got)
			}
		}
		if from > 0 && from < payStateEnd {
			if s, ok := ParsePayState(from.String()); !ok || s != from {
				t.Errorf("ParsePayState(%v) = %v, %v", from, s, ok)
			}
		}
	}
}
