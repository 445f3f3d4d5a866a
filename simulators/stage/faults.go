package stage

import (
	"fmt"
	"strings"
	"sync"
	"time"

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
