package flow

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/cardauth"
	"github.com/shebao-pay/shebao/si/termapi"
)

// moves declares where each state goes by which event. What is not listed must
// leave the state alone and ask for nothing. The events of every session state
// stand in everySession.
var moves = map[state]string{
	stOut:           "hub-open>out configured>out card-in>take-card",
	stAttract:       "card-in>reading gate-reader>out gate-hub>out disk-full>out disk-fault>out",
	stReading:       "read-ok>opening read-bad>card-problem read-gone>card-problem read-down>card-problem lapse>card-problem press:exit>take-card",
	stOpening:       "opened>pin opened-bad>card-problem opened-down>card-problem opened-odd>card-problem hub-refused>card-problem hub-unknown>card-problem hub-notsent>card-problem lapse>card-problem press:exit>take-card",
	stCardProblem:   "lapse>warning press:help>help press:exit>take-card",
	stPIN:           "pin-ok>proof-chip pin-cancel>take-card pin-time>take-card pin-fault>card-problem keys>pin lapse>take-card press:exit>take-card",
	stProofChip:     "auth-ok>proof-hub auth-bad>card-problem lapse>card-problem",
	stProofHub:      "proven>proof-card wrong>proof-card blocked>proof-card card>proof-card away>proof-card hub-refused>card-problem hub-unknown>proof-card hub-notsent>proof-card lapse>proof-card",
	stProofCard:     "word-tc>look-overview word-aac>look-overview word-bad>card-problem word-gone>look-overview lapse>look-overview",
	stPINWrong:      "press:retry>pin press:help>help press:exit>take-card lapse>warning",
	stBankAway:      "press:retry>pin press:help>help press:exit>take-card lapse>warning",
	stLookOverview:  "overview>menu overview-old>unresolved overview-odd>cannot-show hub-refused>card-problem hub-unknown>cannot-show hub-notsent>cannot-show lapse>cannot-show press:exit>take-card",
	stUnresolved:    "press:next>menu press:help>help press:exit>take-card lapse>warning",
	stMenu:          "press:pay>look-dues press:receipts>look-receipts press:help>help press:exit>take-card lapse>warning",
	stLookDues:      "dues>pay-list dues-none>pay-empty dues-odd>cannot-show hub-refused>card-problem hub-unknown>cannot-show hub-notsent>cannot-show lapse>cannot-show press:exit>take-card",
	stPayList:       "press:toggle>pay-list press:all>pay-list press:page>pay-list press:back>menu press:help>help press:exit>take-card lapse>warning",
	stPayEmpty:      "press:back>menu press:help>help press:exit>take-card lapse>warning",
	stPayConfirm:    "press:confirm>creating press:page>pay-confirm press:back>pay-list press:help>help press:exit>take-card lapse>warning",
	stCreating:      "disk-ok>pay-pin disk-full>not-charged disk-fault>not-charged",
	stPayPIN:        "pin-ok>pay-chip pin-cancel>not-charged pin-time>not-charged pin-fault>not-charged keys>pay-pin lapse>not-charged press:back>not-charged press:exit>take-card",
	stPayChip:       "auth-ok>sending auth-bad>not-charged lapse>not-charged",
	stSending:       "disk-ok>paying disk-full>not-charged disk-fault>not-charged",
	stPaying:        "posted>marking declined>marking refused>marking pending>marking alien>marking hub-refused>marking hub-unknown>marking hub-notsent>marking lapse>marking",
	stMarking:       "disk-ok>pay-card disk-full>pay-card disk-fault>pay-card",
	stPayCard:       "word-tc>mark-word word-aac>mark-word word-bad>mark-word word-gone>mark-word lapse>mark-word",
	stMarkWord:      "disk-ok>reporting disk-full>reporting disk-fault>reporting",
	stReporting:     "posted>paid declined>marking refused>marking pending>marking alien>pending hub-refused>pending hub-unknown>pending hub-notsent>pending lapse>pending",
	stPaid:          "press:next>receipt-choice press:menu>look-overview press:help>help press:exit>take-card lapse>take-card",
	stNotCharged:    "press:retry>look-dues press:back>look-dues press:menu>look-overview press:help>help press:exit>take-card lapse>take-card",
	stPending:       "declined>pending refused>pending press:print>printing press:menu>look-overview press:help>help press:exit>take-card lapse>take-card",
	stReceiptChoice: "press:print>printing press:qr>receipt-qr press:no-receipt>look-overview press:help>help press:exit>take-card lapse>warning",
	stPrinting:      "paper>printed paper-sent>printed paper-bad>printer-fault lapse>printer-fault",
	stPrinted:       "press:menu>look-overview press:help>help press:exit>take-card lapse>warning",
	stPrinterFault:  "press:retry>printing press:qr>receipt-qr press:menu>look-overview press:help>help press:exit>take-card lapse>warning",
	stReceiptQR:     "press:back>receipt-choice press:menu>look-overview press:help>help press:exit>take-card lapse>warning",
	stLookReceipts:  "receipts>receipts receipts-odd>cannot-show hub-refused>card-problem hub-unknown>cannot-show hub-notsent>cannot-show lapse>cannot-show press:exit>take-card",
	stReceipts:      "press:reprint>receipt-choice press:page>receipts press:back>menu press:help>help press:exit>take-card lapse>warning",
	stHelp:          "press:back>menu press:exit>take-card lapse>warning",
	stWarning:       "press:continue>menu press:exit>take-card lapse>take-card",
	stCannotShow:    "press:retry>look-dues press:menu>menu press:help>help press:exit>take-card lapse>warning",
	stTakeCard:      "card-out>attract card-in>reading lapse>retained",
	stRetained:      "card-in>reading lapse>attract",
}

const everySession = " card-out>attract card-in>reading gate-reader>out"

// events are samples of everything that can happen. op is what the state waits
// for; every sample that carries one is tried with a stale op as well.
func events(r *rig) map[string]Event {
	op := r.m.op
	var p Pay
	if len(r.pays) > 0 {
		p = r.pays[len(r.pays)-1]
	}
	alien := told(p, termapi.PaymentPosted)
	alien.Total++
	posted := told(p, termapi.PaymentPosted)
	old := testOverview
	old.Unresolved = []termapi.PaymentState{{ID: "1", State: termapi.PaymentNotCharged, Reason: termapi.ReasonReversed}}
	word := func(o cardauth.Outcome) Event { return Completed{op, cardauth.LastWord{Outcome: o}} }
	proof := func(s string) Event { return Proved{op, termapi.PINProofResult{Result: s}} }
	all := map[string]Event{
		"boot": Boot{}, "hub-open": GateSet{Gate: GateHub}, "gate-hub": GateSet{GateHub, true}, "gate-reader": GateSet{GateReader, true},
		"configured": Configured{testConfig}, "paper-set": PaperSet{true}, "browser": Browser{true},
		"card-in": CardIn{}, "card-out": CardOut{},
		"read-ok":     CardRead{op, testCard},
		"read-bad":    CardRead{op, cardauth.Card{Problem: cardauth.NotSocialCard}},
		"read-gone":   CardRead{op, cardauth.Card{Problem: cardauth.Removed}},
		"read-down":   CardRead{op, cardauth.Card{Bank: "icbc"}},
		"opened":      Opened{op, testOpened},
		"opened-bad":  Opened{op, termapi.SessionOpened{CardProblem: termapi.CardLost}},
		"opened-down": Opened{op, termapi.SessionOpened{Session: "1"}},
		"opened-odd":  Opened{op, termapi.SessionOpened{BankUp: true}},
		"keys":        Keys{op, 3}, "pin-ok": PINEnded{op, PINEntered}, "pin-cancel": PINEnded{op, PINCancelled},
		"pin-time": PINEnded{op, PINTimedOut}, "pin-fault": PINEnded{op, PINPadFault},
		"auth-ok": Authorised{op, cardauth.OK}, "auth-bad": Authorised{op, cardauth.CardFault},
		"word-tc": word(cardauth.OutcomeTC), "word-aac": word(cardauth.OutcomeAAC),
		"word-bad": word(cardauth.OutcomeARPCBad), "word-gone": word(cardauth.OutcomeRemoved),
		"proven": proof(termapi.PINProven), "wrong": proof(termapi.PINWrong), "blocked": proof(termapi.PINBlocked),
		"card": proof(termapi.PINCard), "away": proof(termapi.PINAway),
		"overview": Overviewed{op, testOverview}, "overview-old": Overviewed{op, old},
		"overview-odd": Overviewed{op, termapi.Overview{Unpaid: -1}},
		"dues":         DuesListed{op, testDues}, "dues-none": DuesListed{Op: op},
		"dues-odd":     DuesListed{op, termapi.Dues{Dues: []termapi.Due{due("1", "MED_RES", "2026", -5, 0)}}},
		"receipts":     ReceiptsListed{op, termapi.Receipts{Receipts: []termapi.Receipt{testReceipt}}},
		"receipts-odd": ReceiptsListed{op, termapi.Receipts{Receipts: []termapi.Receipt{{No: "1"}}}},
		"posted":       PaymentTold{op, p.ID, posted}, "alien": PaymentTold{op, p.ID, alien},
		"declined":    PaymentTold{op, p.ID, told(p, termapi.PaymentNotCharged)},
		"refused":     PaymentTold{op, p.ID, told(p, termapi.PaymentRefused)},
		"pending":     PaymentTold{op, p.ID, told(p, termapi.PaymentPending)},
		"hub-refused": HubFailed{op, p.ID, FailRefused, termapi.ErrNoSession},
		"hub-unknown": HubFailed{op, p.ID, FailUnknown, ""}, "hub-notsent": HubFailed{op, p.ID, FailNotSent, ""},
		"disk-ok": Journaled{op, JournalOK}, "disk-full": Journaled{op, JournalFull}, "disk-fault": Journaled{op, JournalFault},
		"paper": Printed{op, PaperPresented, ""}, "paper-sent": Printed{op, PaperSent, ""}, "paper-bad": Printed{op, PaperFailed, PrinterJam},
		"tick": Tick{}, "lapse": Tick{},
	}
	values := map[Action]string{ActToggle: "11", ActReprint: testReceipt.No}
	for _, a := range allActions {
		all["press:"+string(a)] = Press{r.m.step, a, values[a]}
		all["stale:"+string(a)] = Press{r.m.step - 1, a, values[a]}
	}
	all["long-value"] = Press{r.m.step, ActToggle, strings.Repeat("1", MaxPressValue+1)}
	all["unknown-action"] = Press{r.m.step, "open-the-safe", ""}
	return all
}

var allActions = []Action{ActPay, ActReceipts, ActToggle, ActAll, ActNext, ActConfirm, ActBack, ActExit, ActRetry,
	ActContinue, ActHelp, ActPrint, ActShowQR, ActNoReceipt, ActMenu, ActReprint, ActPage}

// TestEveryPair walks every pair of state and event.
func TestEveryPair(t *testing.T) {
	for s := stOut; s < stateEnd; s++ {
		want := map[string]string{}
		text := moves[s]
		if table[s].session {
			text += everySession
		}
		for _, f := range strings.Fields(text) {
			ev, to, _ := strings.Cut(f, ">")
			want[ev] = to
		}
		if s == stCardProblem {
			delete(want, "gate-reader") // the card is only waited for
		}
		names := slices.Sorted(maps.Keys(events(at(t, s))))
		for ev := range want {
			if !slices.Contains(names, ev) {
				t.Fatalf("%v: the declared event %q has no sample", s, ev)
			}
		}
		for _, name := range names {
			r := at(t, s)
			r.hold = true
			ev := events(r)[name]
			if name == "lapse" && !r.m.deadline.IsZero() {
				r.now = r.m.deadline
			}
			r.do(ev)
			to, declared := want[name]
			if name == "lapse" && table[s].pace == still {
				declared, to = false, ""
			}
			switch {
			case declared && r.m.state.String() != to:
				t.Errorf("%v, %s: state %v, want %s", s, name, r.m.state, to)
			case !declared && r.m.state != s:
				t.Errorf("%v, %s: state %v, want it unchanged", s, name, r.m.state)
			case !declared:
				wantNothing(t, s, name, r)
			}
		}
	}
}

// wantNothing fails if an undeclared event asked for anything but a screen or a
// line of the journal.
func wantNothing(t *testing.T, s state, name string, r *rig) {
	t.Helper()
	for _, e := range r.out {
		switch e.(type) {
		case Show, Note:
		default:
			t.Errorf("%v, %s: undeclared, yet it asked for %T", s, name, e)
		}
	}
}

// TestStaleAnswers gives every state every answer with an op that is not waited
// for: nothing may change.
func TestStaleAnswers(t *testing.T) {
	for s := stOut; s < stateEnd; s++ {
		for _, name := range slices.Sorted(maps.Keys(events(at(t, s)))) {
			r := at(t, s)
			r.hold = true
			r.m.op += 1000 // the samples take their op from here
			ev := events(r)[name]
			r.m.op -= 1000
			switch ev.(type) {
			case CardRead, Opened, Keys, PINEnded, Authorised, Completed, Proved, Overviewed, DuesListed, ReceiptsListed,
				PaymentTold, HubFailed, Printed:
			default:
				continue
			}
			r.do(ev)
			if r.m.state != s {
				t.Errorf("%v, stale %s: state %v, want it unchanged", s, name, r.m.state)
			}
			if s != stPaying && s != stPending { // their payment may be told about by id
				wantNothing(t, s, "stale "+name, r)
			}
		}
	}
}

// TestEveryStateHasAWayOut checks the declarations themselves.
func TestEveryStateHasAWayOut(t *testing.T) {
	if len(stateNames) != int(stateEnd) {
		t.Fatalf("%d state names, want %d", len(stateNames), stateEnd)
	}
	used := map[ScreenID]bool{}
	for s := stOut; s < stateEnd; s++ {
		d := &table[s]
		used[d.screen] = true
		if d.screen == "" || reach[s] == nil || moves[s] == "" {
			t.Errorf("%v: not declared", s)
		}
		if (d.pace == still) != (d.why != "") {
			t.Errorf("%v: a state without a time-out needs a reason, and only such a one", s)
		}
		if (d.pace == timed) != (d.wait != nil && d.lapse != nil) {
			t.Errorf("%v: a timed state needs its time and where it leads", s)
		}
		if d.bound && d.allowed(ActExit) {
			t.Errorf("%v: bound, yet it offers exit", s)
		}
		if d.session && !d.bound && !d.allowed(ActExit) {
			t.Errorf("%v: no exit", s)
		}
		out := false
		for _, f := range strings.Fields(moves[s]) {
			_, to, _ := strings.Cut(f, ">")
			out = out || to != s.String()
		}
		if !out && s != stOut {
			t.Errorf("%v: no way out", s)
		}
	}
	for _, id := range []ScreenID{ScreenAttract, ScreenOutOfService, ScreenReading, ScreenCardProblem, ScreenPIN,
		ScreenPINChecking, ScreenPINWrong, ScreenBankAway, ScreenMenu, ScreenUnresolved, ScreenPayList, ScreenPayEmpty,
		ScreenPayConfirm, ScreenPayPIN, ScreenWorking, ScreenPaid, ScreenNotCharged, ScreenPending, ScreenReceipts,
		ScreenReceiptChoice, ScreenPrinting, ScreenPrinted, ScreenPrinterFault, ScreenReceiptQR, ScreenHelp,
		ScreenIdleWarning, ScreenCannotShow, ScreenTakeCard, ScreenCardRetained} {
		if !used[id] {
			t.Errorf("screen %s belongs to no state", id)
		}
	}
}

// TestTimesAtTheLimit checks each time-out one nanosecond before and at its end.
func TestTimesAtTheLimit(t *testing.T) {
	for s := stOut; s < stateEnd; s++ {
		if table[s].pace == still {
			continue
		}
		r := at(t, s)
		end := r.m.deadline
		r.now = end.Add(-time.Nanosecond)
		if r.do(Tick{}); r.m.state != s {
			t.Errorf("%v: ended a nanosecond early", s)
		}
		r.now = end
		r.do(Tick{})
		if r.m.state == s {
			t.Errorf("%v: still there at the end of its time", s)
		}
	}
}

// TestToggles presses language and large type on every screen: the state stays,
// the screen changes, and the old step is stale.
func TestToggles(t *testing.T) {
	for s := stOut; s < stateEnd; s++ {
		r := at(t, s)
		was := r.shown
		r.press(ActLanguage).want(s)
		if r.shown.Lang != langEn || r.shown.Step == was.Step {
			t.Errorf("%v: language %q step %d after %d", s, r.shown.Lang, r.shown.Step, was.Step)
		}
		if r.do(Press{was.Step, ActLanguage, ""}); r.shown.Lang != langEn {
			t.Errorf("%v: a stale press changed the language", s)
		}
		if r.press(ActLarge).want(s); !r.shown.Large {
			t.Errorf("%v: not large", s)
		}
	}
}

// TestEverySessionEnds drives every state of a session out by each of the ways
// that the outside has, and checks what the next citizen could see.
func TestEverySessionEnds(t *testing.T) {
	ways := map[string]func(*rig){
		"card out": func(r *rig) { r.do(CardOut{}) },
		"reader": func(r *rig) {
			r.do(GateSet{GateReader, true})
			if r.m.state == stCardProblem { // it says so until the card is taken
				r.do(CardOut{})
			}
			r.do(GateSet{Gate: GateReader})
		},
		"no browser": func(r *rig) { r.do(Browser{false}); untilRest(r) },
		"idle":       func(r *rig) { untilRest(r) },
		"hub loss":   func(r *rig) { r.do(GateSet{GateHub, true}); untilRest(r); r.do(GateSet{Gate: GateHub}) },
	}
	for s := stReading; s < stateEnd; s++ {
		if !table[s].session {
			continue
		}
		for name, leave := range ways {
			r := at(t, s)
			r.hold = false
			leave(r)
			if r.m.state != stAttract {
				t.Errorf("%v, %s: ends in %v, want attract", s, name, r.m.state)
			}
			if got, want := fmt.Sprintf("%+v", r.m.s), fmt.Sprintf("%+v", session{}); got != want {
				t.Errorf("%v, %s: the session's data are still there: %s", s, name, got)
			}
			if r.shown.Name != "" || r.shown.CardTail != "" || r.shown.Lang != langZh || r.shown.Large {
				t.Errorf("%v, %s: the next screen shows the last session: %+v", s, name, r.shown)
			}
			for id, i := range r.disk {
				if i.State == Created || i.State == Sent {
					t.Errorf("%v, %s: payment %s left in %v", s, name, id, i.State)
				}
			}
		}
	}
}

// untilRest lets time pass, with the disk answering and the card pulled when it
// is offered, until the session is over.
func untilRest(r *rig) {
	for n := 0; n < 200; n++ {
		switch r.m.state {
		case stCreating, stSending, stMarking, stMarkWord:
			r.do(Journaled{r.m.op, JournalOK})
			continue
		case stTakeCard:
			r.do(CardOut{})
		}
		if r.m.state == stAttract || r.m.state == stOut {
			return
		}
		if at := r.m.Wake(); at.After(r.now) {
			r.now = at
		}
		r.do(Tick{})
	}
}
