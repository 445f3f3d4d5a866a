package flow

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/cardauth"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/termapi"
)

var stateNames = [...]string{"", "out", "attract", "reading", "opening", "card-problem", "pin",
	"proof-chip", "proof-hub", "proof-card", "pin-wrong", "bank-away", "look-overview", "unresolved", "menu",
	"look-dues", "pay-list", "pay-empty", "pay-confirm", "creating", "pay-pin", "pay-chip", "sending", "paying",
	"marking", "pay-card", "mark-word", "reporting", "paid", "not-charged", "pending", "receipt-choice",
	"printing", "printed", "printer-fault", "receipt-qr", "look-receipts", "receipts", "help", "warning",
	"cannot-show", "take-card", "retained"}

func (s state) String() string { return stateNames[s] }

var start = time.Date(2026, 11, 2, 9, 30, 0, 0, si.China)

// rig drives a machine by hand: it answers writes of the journal by itself
// unless hold is set, and remembers what was asked for.
type rig struct {
	t     testing.TB
	m     *Machine
	now   time.Time
	out   []Effect // of the last event
	shown Screen
	hold  bool // leave writes unanswered, though they are on disk
	disk  map[si.PaymentID]Intent
	pays  []Pay
}

func newRig(t testing.TB) *rig {
	t.Helper()
	n := uint64(0)
	m, err := New(Setup{Times: DefaultTimes(), Retains: true,
		QR: func(r termapi.Receipt) string { return "qr:" + r.No },
		NewID: func(at time.Time) si.PaymentID {
			n++
			var id si.PaymentID
			binary.BigEndian.PutUint64(id[8:], n)
			return id
		}})
	if err != nil {
		t.Fatal(err)
	}
	return &rig{t: t, m: m, now: start, disk: map[si.PaymentID]Intent{}}
}

// do gives the machine events and keeps the effects of the last one.
func (r *rig) do(evs ...Event) *rig {
	r.t.Helper()
	for _, ev := range evs {
		r.out = r.step(ev)
	}
	return r
}

func (r *rig) step(ev Event) []Effect {
	r.t.Helper()
	all := r.m.Step(r.now, ev, nil)
	for i := 0; i < len(all); i++ {
		switch e := all[i].(type) {
		case Show:
			r.shown = e.Screen
		case Pay:
			r.pays = append(r.pays, e)
		case Journal:
			r.put(e.Intent)
			if r.hold {
				continue
			}
			all = append(all, r.m.Step(r.now, Journaled{Op: e.Op, End: JournalOK}, nil)...)
		}
	}
	return all
}

// put holds the machine to the table of payment states, as the journal does.
func (r *rig) put(i Intent) {
	r.t.Helper()
	if !MayFollow(r.disk[i.ID].State, i.State) {
		r.t.Fatalf("payment %s written as %v after %v", i.ID, i.State, r.disk[i.ID].State)
	}
	r.disk[i.ID] = i
}

func (r *rig) after(d time.Duration) *rig {
	r.now = r.now.Add(d)
	return r.do(Tick{})
}

func (r *rig) press(a Action, value ...string) *rig {
	r.t.Helper()
	p := Press{Step: r.shown.Step, Action: a}
	if len(value) > 0 {
		p.Value = value[0]
	}
	return r.do(p)
}

func (r *rig) want(s state) *rig {
	r.t.Helper()
	if r.m.state != s {
		r.t.Fatalf("state %v, want %v", r.m.state, s)
	}
	if s := table[s].screen; r.shown.ID != s {
		r.t.Fatalf("screen %q shown, want %q", r.shown.ID, s)
	}
	return r
}

// asked gives the last effect of a kind.
func asked[E Effect](r *rig) E {
	r.t.Helper()
	for i := len(r.out) - 1; i >= 0; i-- {
		if e, ok := r.out[i].(E); ok {
			return e
		}
	}
	var none E
	r.t.Fatalf("no effect %T in %v", none, r.out)
	return none
}

func has[E Effect](r *rig) bool {
	for _, e := range r.out {
		if _, ok := e.(E); ok {
			return true
		}
	}
	return false
}

// Data of the rig: a person with three dues of two funds.
var (
	testConfig = termapi.Config{Version: 1, Region: "330110", RegionName: "示范区", Hotline: "12333",
		Banks: []termapi.BankInfo{{Code: "rcb", Name: "农商银行", NameE: "Rural Commercial Bank", Phone: "96596", Up: true},
			{Code: "icbc", Name: "工商银行", Up: false}}}
	testCard = cardauth.Card{Session: [16]byte{1}, Bank: "rcb", MaskedName: "李*明", IDTail: "0017",
		MaskedPAN: "629900******1234", PANTail: "1234", Version: "2.00", Area: "330100"}
	testOpened   = termapi.SessionOpened{Session: "00000000000000000000000000000001", CardToken: "a1b2c3d4", Bank: "rcb", BankUp: true, PINFormat: "4"}
	testOverview = termapi.Overview{Name: "李*明", IDTail: "0017", Area: "330110", Unpaid: 3, UnpaidFen: 61234}
	testDues     = termapi.Dues{MaxDues: 24, Dues: []termapi.Due{
		due("11", "PENSION_RES", "2025", 30000, 1234),
		due("12", "PENSION_RES", "2026", 30000, 0),
		due("13", "MED_RES", "2026", 40000, 0)}}
	testReceipt = termapi.Receipt{No: "33011020261102000017", Time: "2026-11-01 10:00:00", Total: 500,
		Dues: []termapi.Due{due("9", "MED_RES", "2024", 500, 0)}}
	issuer = termapi.IssuerData{ARC: "00", Auth: []byte{1, 2, 3, 4, 5, 6, 7, 8}}
)

func due(id, fund, period string, amount, late int64) termapi.Due {
	return termapi.Due{ID: id, Version: 1, Fund: fund, Period: period, Kind: "CURRENT", Amount: amount,
		LateFee: late, State: "OPEN", Payable: true}
}

// told makes the hub's word about the payment under way.
func told(p Pay, stateWord string) termapi.PaymentState {
	s := termapi.PaymentState{ID: p.ID.String(), State: stateWord, Total: int64(p.Total)}
	switch stateWord {
	case termapi.PaymentPosted:
		s.Receipt = &termapi.Receipt{No: fmt.Sprintf("R%d", p.Op), Payment: s.ID, Total: s.Total, Name: "李*明"}
		s.IssuerData, s.AwaitCard = issuer, true
	case termapi.PaymentNotCharged:
		s.Reason, s.IssuerData = termapi.ReasonFunds, termapi.IssuerData{ARC: "51"}
	}
	return s
}

// The way to each state.

func (r *rig) boot() *rig {
	return r.do(Boot{}, GateSet{Gate: GateReader}, GateSet{Gate: GateHub}, Configured{testConfig}, Browser{true})
}

func (r *rig) opening() *rig {
	r.boot().do(CardIn{})
	return r.do(CardRead{Op: asked[Read](r).Op, Card: testCard})
}

func (r *rig) pin() *rig {
	r.opening()
	return r.do(Opened{asked[Open](r).Op, testOpened})
}

func (r *rig) proofChip() *rig {
	r.pin()
	return r.do(PINEnded{asked[StartPIN](r).Op, PINEntered})
}

func (r *rig) proofHub() *rig {
	r.proofChip()
	return r.do(Authorised{asked[Authorise](r).Op, cardauth.OK})
}

func (r *rig) proofCard(result string) *rig {
	r.proofHub()
	return r.do(Proved{asked[Prove](r).Op, termapi.PINProofResult{Result: result, TriesLeft: 2, IssuerData: issuer}})
}

func (r *rig) proven(result string) *rig {
	r.proofCard(result)
	return r.do(Completed{asked[Complete](r).Op, cardauth.LastWord{Outcome: cardauth.OutcomeTC}})
}

func (r *rig) menu() *rig {
	r.proven(termapi.PINProven)
	return r.do(Overviewed{asked[Overview](r).Op, testOverview}).want(stMenu)
}

func (r *rig) payList() *rig {
	r.menu().press(ActPay)
	return r.do(DuesListed{asked[ListDues](r).Op, testDues}).want(stPayList)
}

func (r *rig) payConfirm() *rig { return r.payList().press(ActAll).press(ActNext).want(stPayConfirm) }

func (r *rig) payPIN() *rig { return r.payConfirm().press(ActConfirm).want(stPayPIN) }

func (r *rig) payChip() *rig {
	r.payPIN()
	return r.do(PINEnded{asked[StartPIN](r).Op, PINEntered}).want(stPayChip)
}

func (r *rig) paying() *rig {
	r.payChip()
	return r.do(Authorised{asked[Authorise](r).Op, cardauth.OK}).want(stPaying)
}

func (r *rig) answered(stateWord string) *rig {
	r.paying()
	p := asked[Pay](r)
	return r.do(PaymentTold{p.Op, p.ID, told(p, stateWord)}).want(stPayCard)
}

func (r *rig) reporting(o cardauth.Outcome) *rig {
	r.answered(termapi.PaymentPosted)
	return r.do(Completed{asked[Complete](r).Op, cardauth.LastWord{Outcome: o, DE55: []byte(cardSays)}}).want(stReporting)
}

// cardSays stands for the DE 55 of a card's last word.
const cardSays = "chip and scripts"

// reported answers the card's word with the given state.
func (r *rig) reported(o cardauth.Outcome, stateWord string) *rig {
	r.reporting(o)
	rep := asked[Report](r)
	s := told(r.pays[len(r.pays)-1], stateWord)
	s.AwaitCard = false
	return r.do(PaymentTold{rep.Op, rep.ID, s})
}

func (r *rig) paid() *rig {
	return r.reported(cardauth.OutcomeTC, termapi.PaymentPosted).want(stPaid)
}

func (r *rig) ended(stateWord string) *rig {
	r.answered(stateWord)
	return r.do(Completed{asked[Complete](r).Op, cardauth.LastWord{Outcome: cardauth.OutcomeAAC}})
}

func (r *rig) printing() *rig { return r.paid().press(ActNext).press(ActPrint).want(stPrinting) }

func (r *rig) receipts() *rig {
	r.menu().press(ActReceipts)
	return r.do(ReceiptsListed{asked[ListReceipts](r).Op, termapi.Receipts{Receipts: []termapi.Receipt{testReceipt}}}).want(stReceipts)
}

// reach brings a new rig to a state.
var reach = map[state]func(*rig){
	stOut:     func(r *rig) { r.do(Boot{}) },
	stAttract: func(r *rig) { r.boot() },
	stReading: func(r *rig) { r.boot().do(CardIn{}) },
	stOpening: func(r *rig) { r.opening() },
	stCardProblem: func(r *rig) {
		r.boot().do(CardIn{}).do(CardRead{Op: r.m.op, Card: cardauth.Card{Problem: cardauth.Expired}})
	},
	stPIN:          func(r *rig) { r.pin() },
	stProofChip:    func(r *rig) { r.proofChip() },
	stProofHub:     func(r *rig) { r.proofHub() },
	stProofCard:    func(r *rig) { r.proofCard(termapi.PINProven) },
	stPINWrong:     func(r *rig) { r.proven(termapi.PINWrong) },
	stBankAway:     func(r *rig) { r.proven(termapi.PINAway) },
	stLookOverview: func(r *rig) { r.proven(termapi.PINProven) },
	stUnresolved: func(r *rig) {
		o := testOverview
		o.Unresolved = []termapi.PaymentState{{ID: "1", State: termapi.PaymentPending, Total: 1}}
		r.proven(termapi.PINProven).do(Overviewed{r.m.op, o})
	},
	stMenu:     func(r *rig) { r.menu() },
	stLookDues: func(r *rig) { r.menu().press(ActPay) },
	stPayList:  func(r *rig) { r.payList() },
	stPayEmpty: func(r *rig) {
		r.menu().press(ActPay)
		r.do(DuesListed{Op: r.m.op})
	},
	stPayConfirm: func(r *rig) { r.payConfirm() },
	stCreating: func(r *rig) {
		r.payConfirm()
		r.hold = true
		r.press(ActConfirm)
	},
	stPayPIN:  func(r *rig) { r.payPIN() },
	stPayChip: func(r *rig) { r.payChip() },
	stSending: func(r *rig) {
		r.payChip()
		r.hold = true
		r.do(Authorised{r.m.op, cardauth.OK})
	},
	stPaying: func(r *rig) { r.paying() },
	stMarking: func(r *rig) {
		r.paying()
		r.hold = true
		r.do(PaymentTold{r.m.op, r.pays[0].ID, told(r.pays[0], termapi.PaymentPosted)})
	},
	stPayCard: func(r *rig) { r.answered(termapi.PaymentPosted) },
	stMarkWord: func(r *rig) {
		r.answered(termapi.PaymentPosted)
		r.hold = true
		r.do(Completed{r.m.op, cardauth.LastWord{Outcome: cardauth.OutcomeTC}})
	},
	stReporting:     func(r *rig) { r.reporting(cardauth.OutcomeTC) },
	stPaid:          func(r *rig) { r.paid() },
	stNotCharged:    func(r *rig) { r.payPIN().do(PINEnded{r.m.op, PINCancelled}) },
	stPending:       func(r *rig) { r.ended(termapi.PaymentPending) },
	stReceiptChoice: func(r *rig) { r.paid().press(ActNext) },
	stPrinting:      func(r *rig) { r.printing() },
	stPrinted:       func(r *rig) { r.printing().do(Printed{Op: r.m.op, End: PaperPresented}) },
	stPrinterFault:  func(r *rig) { r.printing().do(Printed{Op: r.m.op, End: PaperFailed, Printer: PrinterJam}) },
	stReceiptQR:     func(r *rig) { r.paid().press(ActNext).press(ActShowQR) },
	stLookReceipts:  func(r *rig) { r.menu().press(ActReceipts) },
	stReceipts:      func(r *rig) { r.receipts() },
	stHelp:          func(r *rig) { r.menu().press(ActHelp) },
	stWarning:       func(r *rig) { r.menu().after(DefaultTimes().Idle) },
	stCannotShow:    func(r *rig) { r.menu().press(ActPay).do(HubFailed{Op: r.m.op, Kind: FailUnknown}) },
	stTakeCard:      func(r *rig) { r.menu().press(ActExit) },
	stRetained:      func(r *rig) { r.menu().press(ActExit).after(DefaultTimes().TakeCard) },
}

func at(t testing.TB, s state) *rig {
	t.Helper()
	r := newRig(t)
	reach[s](r)
	return r.want(s)
}
