package stage

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/shebao-pay/shebao/settlement/operator"
	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/simulators/bankhost"
	"github.com/shebao-pay/shebao/simulators/chipcard"
	"github.com/shebao-pay/shebao/simulators/printer"
)

// Fault is one thing that goes wrong with a citizen's payment, and what it must
// lead to.
type Fault struct {
	Name   string
	Row    string // of the failure table in docs/spec/payment-states.md
	What   string
	Expect Expected
	// set makes it happen to the payment that is about to be confirmed.
	set func(*player)
	pin string // typed for the payment; empty: the right one
	// unseen: the bank never has the payment, so it answers the reversal with
	// "original not found".
	unseen bool
}

// Expected is what must be true when everything is final.
type Expected struct {
	Outcome string // the ending the citizen saw
	Paid    bool   // money moved and the dues are paid
	Held    bool   // nothing moved, and the dues stay held until the day is matched
}

// ExpectAt is what the fault must lead to at a bank. Where "original not found"
// does not end a reversal, a payment that the bank never saw has no proof before
// the bank's file of the day: it stays held, and the reversal is repeated.
func (f Fault) ExpectAt(p *profile.Profile) Expected {
	e := f.Expect
	e.Held = f.unseen && !p.NoOriginalFinal
	return e
}

// The endings a citizen may see.
const (
	SawPaid       = "paid"
	SawNotCharged = "not_charged"
	SawPending    = "pending"
	SawRefused    = "refused"
)

var (
	paid       = Expected{Outcome: SawPaid, Paid: true}
	notCharged = Expected{Outcome: SawNotCharged}
	pending    = Expected{Outcome: SawPending}
)

// Faults are all of them, in the order in which they are listed.
var Faults = []Fault{
	{Name: "none", Row: "-", What: "nothing goes wrong", Expect: paid},
	{Name: "wrong-pin", Row: "F19", What: "the PIN of the payment is wrong", Expect: notCharged, pin: "654321"},
	{Name: "insufficient", Row: "F19", What: "the account holds too little", Expect: notCharged, set: func(p *player) {
		p.failed(p.host.AddAccount(bankhost.Account{PAN: p.card.Person.PAN, PIN: p.card.PIN, Balance: 100}))
	}},
	{Name: "declined", Row: "F19", What: "the bank says no (DE 39 05)", Expect: notCharged, set: bankDoes(bankhost.Decline("05"))},
	{Name: "bank-silent", Row: "F1", What: "the request is lost before the bank", Expect: pending, unseen: true, set: bankDoes(bankhost.DropRequest)},
	{Name: "reply-lost", Row: "F3", What: "the bank debits and its reply is lost", Expect: pending, set: bankDoes(bankhost.DropReply)},
	{Name: "late-approval", Row: "F4", What: "the approval comes after the reversal began", Expect: pending, set: bankDoes(bankhost.LateReply(3500 * time.Millisecond))},
	{Name: "bad-mac", Row: "F6", What: "the approval's code is wrong", Expect: pending, set: bankDoes(bankhost.WrongMAC)},
	{Name: "no-mac", Row: "F6", What: "the approval has no code", Expect: pending, set: bankDoes(bankhost.NoMAC)},
	{Name: "wrong-amount", Row: "F6", What: "the approval names another amount", Expect: pending, set: bankDoes(bankhost.WrongField(4))},
	{Name: "bank-hangs-up", Row: "F3", What: "the bank debits and hangs up", Expect: pending, set: bankDoes(bankhost.CloseOnReply)},
	{Name: "duplicate-reply", Row: "F9", What: "the approval comes twice", Expect: paid, set: bankDoes(bankhost.Duplicate)},
	{Name: "link-down", Row: "F2", What: "the bank has hung up and lets nobody in", Expect: notCharged, set: (*player).linkDown},
	{Name: "late-decline", Row: "F5", What: "the bank declines after the reversal began", Expect: pending, unseen: true, set: bankDoes(bankhost.LateDecline("05", 3500*time.Millisecond))},
	{Name: "unknown-code", Row: "F6", What: "the bank debits and answers that the issuer is silent (68)", Expect: pending, set: bankDoes(bankhost.Answer("68"))},
	{Name: "garbage", Row: "F6", What: "the bank debits and sends bytes that are no message", Expect: pending, set: bankDoes(bankhost.Garbage)},
	{Name: "reversal-lost", Row: "F7", What: "the reply is lost, and so is the first reversal", Expect: pending, set: func(p *player) {
		p.host.SetFaultFor(profile.Debit, bankhost.DropReply, 1)
		p.host.SetFaultFor(profile.Reversal, bankhost.DropRequest, 1)
	}},
	{Name: "reversal-reply-lost", Row: "F7", What: "the reply is lost, and so is the first reversal's", Expect: pending, set: func(p *player) {
		p.host.SetFaultFor(profile.Debit, bankhost.DropReply, 1)
		p.host.SetFaultFor(profile.Reversal, bankhost.DropReply, 1)
	}},
	{Name: "overtaken", Row: "F8", What: "the bank sees the reversal before the payment", Expect: pending, unseen: true, set: bankDoes(bankhost.LateWork(3500 * time.Millisecond))},
	{Name: "double-tap", Row: "F9", What: "the citizen confirms twice", Expect: paid, set: func(p *player) { p.taps = 2 }},
	{Name: "counter-at-once", Row: "F10", What: "the same dues are asked for at a counter meanwhile", Expect: paid, set: (*player).counterAtOnce},
	{Name: "hub-killed-before-post", Row: "F13", What: "the hub is killed between the approval and its posting, and starts again", Expect: pending, set: (*player).killHubAtReply},
	{Name: "terminal-killed-after-paid", Row: "F14", What: "the terminal is killed when the payment is posted, before the receipt", Expect: paid, set: func(p *player) { p.killPaid = true }},
	{Name: "cutover", Row: "F20", What: "the bank changes its date while it works on the payment", Expect: paid, set: func(p *player) {
		p.atDebit(bankhost.LateReply(500*time.Millisecond), func() { go p.host.Cutover() })
	}},
	{Name: "bank-crashes", Row: "F3", What: "the bank debits, crashes and starts again", Expect: pending, set: bankDoes(bankhost.CrashAfter(0))},
	{Name: "bank-slow", Row: "F30", What: "the bank takes almost as long as it may", Expect: paid, set: bankDoes(bankhost.LateReply(1500 * time.Millisecond))},
	{Name: "keys-change", Row: "F31", What: "the bank sends new keys while the payment is under way", Expect: paid, set: (*player).newKeys},
	{Name: "card-pulled-before-send", Row: "F11", What: "the card is pulled while the PIN is asked", Expect: notCharged, set: func(p *player) { p.pullAtPIN = true }},
	{Name: "card-pulled-after-approval", Row: "F18", What: "the card is pulled before its last word; card_refusal says keep", Expect: paid, set: (*player).pullAtLastWord},
	{Name: "card-refuses", Row: "F18", What: "the card says no after the approval; card_refusal says reverse", Expect: pending, set: func(p *player) {
		p.failed(p.stage.Rig.Fault(0, chipcard.Fault{Kind: chipcard.DeclinesSecond}))
	}},
	{Name: "printer-jam", Row: "F17", What: "the receipt jams", Expect: paid, set: func(p *player) { p.stage.Printer.SetFault(printer.Jam) }},
	{Name: "hub-killed-after-send", Row: "F12", What: "the hub is killed when the bank has debited, and starts again", Expect: pending, set: (*player).killHubAtDebit},
	{Name: "terminal-killed-after-send", Row: "F12", What: "the terminal is killed when the bank has debited, and starts again", Expect: pending, set: (*player).killTerminalAtDebit},
}

// FindFault gives the fault of that name.
func FindFault(name string) (Fault, error) {
	var names []string
	for _, f := range Faults {
		if f.Name == name {
			return f, nil
		}
		names = append(names, f.Name)
	}
	return Fault{}, fmt.Errorf("no fault %q; there are %s", name, strings.Join(names, ", "))
}

// bankDoes makes the bank do one thing to the payment's 0200.
func bankDoes(f bankhost.Fault) func(*player) {
	return func(p *player) { p.host.SetFaultFor(profile.Debit, f, 1) }
}

// atDebit calls do while the bank works on the payment's 0200. It runs beside
// the play, so what goes wrong in it goes through failed.
func (p *player) atDebit(f bankhost.Fault, do func()) {
	var once sync.Once
	p.stage.OnRequest(func(k profile.Kind) bankhost.Fault {
		out := bankhost.None
		if k == profile.Debit {
			once.Do(func() { do(); out = f })
		}
		return out
	})
}

// pullAtLastWord makes the card disappear at the first command after its
// cryptogram: the issuer's answer.
func (p *player) pullAtLastWord() {
	p.atDebit(bankhost.None, func() {
		st, err := p.stage.Rig.Stats(0)
		if err == nil {
			err = p.stage.Rig.Fault(0, chipcard.Fault{Kind: chipcard.PullBefore, At: st.Powered + 1})
		}
		p.failed(err)
	})
}

// killHubAtDebit kills the hub as soon as the bank has taken the money, and
// starts it again.
func (p *player) killHubAtDebit() {
	p.later = []func(){p.stage.KillHub, p.startHub}
	p.atDebit(bankhost.DropReply, func() {})
}

// linkDown takes the bank away before the payment, and lets it back when the
// citizen has seen the ending.
func (p *player) linkDown() {
	p.host.Away(true)
	p.after = append(p.after, func() { p.host.Away(false); p.failed(p.stage.banksUp(context.Background())) })
}

// counterAtOnce pays the person's notice at a counter while the bank works on the
// payment: the counter must be refused.
func (p *player) counterAtOnce() {
	var a operator.Answer
	if err := p.stage.Operator.Ask(context.Background(), "/v1/notice", operator.PersonRequest{IDNumber: p.card.Person.IDNumber, Days: 30}, &a); err != nil {
		p.failed(err)
		return
	}
	no, err := si.ParseNoticeNo(a.Notice)
	if err != nil {
		p.failed(err)
		return
	}
	const counter = "rcb"
	teller, err := p.stage.Counter(context.Background(), counter)
	if err != nil {
		p.failed(err)
		return
	}
	p.after = append(p.after, func() { p.failed(teller.Close()) })
	// The reply is held back until the counter has had its answer.
	p.atDebit(bankhost.LateReply(time.Second), func() {
		r, err := teller.Pay(teller.NewPayment(no, si.Fen(a.Total)))
		prof, perr := p.stage.Bank(counter)
		if err = errors.Join(err, perr); err != nil {
			p.failed(err)
			return
		}
		// N3 if the notice has further dues: what is held is not in its sum any more.
		if r.Code != prof.OwnCode("N5") && r.Code != prof.OwnCode("N3") {
			p.failed(fmt.Errorf("the counter was answered %s, want that of N5 or N3", r.Code))
			return
		}
		p.tell("the counter was refused meanwhile: " + r.Code)
	})
}

// killHubAtReply kills the hub while the approval is on its way: nothing is
// posted, or it is whole.
func (p *player) killHubAtReply() {
	p.later = []func(){p.stage.KillHub, p.startHub}
	p.atDebit(bankhost.LateReply(300*time.Millisecond), func() {})
}

// newKeys sends new keys over every link while the bank works on the payment. A
// POS bank gives keys at a sign-on only, which nobody asks for meanwhile.
func (p *player) newKeys() {
	p.atDebit(bankhost.LateReply(500*time.Millisecond), func() { go p.host.NewKeys() })
}

// killTerminalAtDebit does the same to the terminal; the bank's answer is lost
// as well, so that nothing but the reversal ends the payment.
func (p *player) killTerminalAtDebit() {
	p.later = []func(){p.stage.KillTerminal, p.startTerminal}
	p.atDebit(bankhost.DropReply, func() {})
}

// fen adds up dues.
func fen(dues []paidDue) si.Fen {
	var sum si.Fen
	for _, d := range dues {
		sum += d.amount
	}
	return sum
}
