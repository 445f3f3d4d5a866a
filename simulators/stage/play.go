package stage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/shebao-pay/shebao/settlement/operator"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/simulators/bankhost"
)

// Result is what a play ended with. The money fields and DueState are read
// after everything is final.
type Result struct {
	Outcome    string `json:"outcome"`
	Fen        int64  `json:"fen"`
	Receipt    string `json:"receipt"`
	BankFen    int64  `json:"bank_debited_fen"`
	LedgerFen  int64  `json:"ledger_paid_fen"`
	DueState   string `json:"due_state"`
	ElapsedMS  int64  `json:"elapsed_ms"`
	CardInMS   int64  `json:"card_in_to_pin_ms"`
	ProofMS    int64  `json:"pin_to_menu_ms"`
	PaymentMS  int64  `json:"pin_to_ending_ms"`
	PaperLines int    `json:"-"`
}

// Waits of a play: a person is slow, a machine with a fault slower.
const (
	screenWait  = 15 * time.Second
	finalWait   = 25 * time.Second
	duesToPay   = 2
	pollFinal   = 50 * time.Millisecond
	stepOfHuman = 10 * time.Second
)

// paidDue is a due that the citizen chose.
type paidDue struct {
	id     string
	amount si.Fen
}

// player plays one citizen.
type player struct {
	stage   *Stage
	fault   Fault
	want    Expected
	card    Card
	host    *bankhost.Host
	tell    func(string)
	citizen *Citizen
	dues    []paidDue
	began   time.Time
	result  Result

	pullAtPIN bool
	later     []func() // done by the play when the bank has booked the payment
	after     []func() // done when the citizen has left
	booked    int      // debits of the card before this payment
	taps      int      // how often "confirm" is pressed; 0 is once
	killPaid  bool     // the terminal is killed when it shows the payment as paid

	mu  sync.Mutex
	err error // of a fault
}

// Play lets one citizen with a card of the bank pay two dues while the fault
// happens, waits until everything is final, and holds what came out against
// what the fault must lead to.
func (s *Stage) Play(ctx context.Context, bank string, f Fault, tell func(string)) (Result, error) {
	card, err := Find(s.Cards, "resident-"+bank)
	if err != nil {
		return Result{}, err
	}
	return s.PlayCard(ctx, card, f, tell)
}

// PlayCard is Play with one card; the bank host knows its account.
func (s *Stage) PlayCard(ctx context.Context, card Card, f Fault, tell func(string)) (Result, error) {
	prof, err := s.Bank(card.Bank)
	if err != nil {
		return Result{}, err
	}
	p := &player{stage: s, fault: f, want: f.ExpectAt(prof), card: card, host: s.Banks[card.Bank], tell: tell, began: time.Now()}
	if p.citizen, err = s.openKiosk(ctx); err != nil {
		return p.result, err
	}
	defer p.citizen.Leave()
	before := p.host.Debited(card.Person.PAN)
	for _, step := range []func(context.Context) error{p.insert, p.choose, p.pay, p.ending, p.leave, p.settle} {
		if err := errors.Join(step(ctx), p.trouble()); err != nil {
			return p.result, err
		}
	}
	p.result.BankFen = int64(p.host.Debited(card.Person.PAN) - before)
	p.result.ElapsedMS = time.Since(p.began).Milliseconds()
	return p.result, p.judge()
}

// insert puts the card in and gives the PIN until the menu is there.
func (p *player) insert(ctx context.Context) error {
	if _, err := p.citizen.Wait(ctx, screenWait, "attract"); err != nil {
		return err
	}
	at := time.Now()
	if err := p.stage.Insert(p.card); err != nil {
		return err
	}
	if _, err := p.citizen.Wait(ctx, screenWait, "pin"); err != nil {
		return err
	}
	p.result.CardInMS = time.Since(at).Milliseconds()
	p.tell(fmt.Sprintf("card of %s inserted, read and bound; the kiosk asks for the PIN (%d ms)", p.card.Bank, p.result.CardInMS))
	at, err := p.typePIN(ctx, p.card.PIN)
	if err != nil {
		return err
	}
	if err := p.citizen.toMenu(ctx); err != nil {
		return err
	}
	p.result.ProofMS = time.Since(at).Milliseconds()
	p.tell(fmt.Sprintf("the bank has proven the PIN; the menu is there (%d ms)", p.result.ProofMS))
	return nil
}

// typePIN types at the pad when it asks, and tells when the last key was hit.
func (p *player) typePIN(ctx context.Context, pin string) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, stepOfHuman)
	defer cancel()
	if err := p.stage.Pad.WaitEntry(ctx); err != nil {
		return time.Time{}, fmt.Errorf("the PIN pad does not ask: %w", err)
	}
	if err := p.stage.Pad.Type(pin); err != nil {
		return time.Time{}, err
	}
	return time.Now(), p.stage.Pad.Enter()
}

// choose ticks two dues and goes to the confirm page.
func (p *player) choose(ctx context.Context) error {
	v := p.citizen.Now()
	if err := p.citizen.Press(ctx, v, "pay", ""); err != nil {
		return err
	}
	v, err := p.citizen.Wait(ctx, screenWait, "pay-list")
	if err != nil {
		return err
	}
	var rows []Button
	for _, b := range v.Buttons {
		if b.Action == "toggle" && !b.Disabled {
			rows = append(rows, b)
		}
	}
	if len(rows) < duesToPay {
		return fmt.Errorf("the list has %d dues to pay, wanted %d", len(rows), duesToPay)
	}
	// Whatever is ticked at first, the first two are at last.
	for i, b := range rows {
		if want := i < duesToPay; b.On != want {
			if v, err = p.tick(ctx, v, b.Value, want); err != nil {
				return err
			}
		}
	}
	if err := p.amounts(ctx, rows[:duesToPay]); err != nil {
		return err
	}
	if err := p.citizen.Press(ctx, v, "next", ""); err != nil {
		return err
	}
	if v, err = p.citizen.Wait(ctx, screenWait, "pay-confirm"); err != nil {
		return err
	}
	total := fen(p.dues)
	p.result.Fen = int64(total)
	if !strings.Contains(v.Text, total.Grouped()) || !strings.Contains(v.Text, total.Capitals()) {
		return fmt.Errorf("the confirm page shows neither %s nor %s: %s", total.Grouped(), total.Capitals(), v.Text)
	}
	p.tell(fmt.Sprintf("two dues chosen, %s yuan (%s)", total.Grouped(), total.Capitals()))
	return nil
}

// tick presses a row and waits until it is as wanted.
func (p *player) tick(ctx context.Context, v View, id string, on bool) (View, error) {
	if err := p.citizen.Press(ctx, v, "toggle", id); err != nil {
		return v, err
	}
	deadline := time.Now().Add(stepOfHuman)
	for time.Now().Before(deadline) {
		v = p.citizen.Now()
		for _, b := range v.Buttons {
			if b.Action == "toggle" && b.Value == id && b.On == on {
				return v, nil
			}
		}
		time.Sleep(pollTime)
	}
	return v, fmt.Errorf("row %s does not change", id)
}

// amounts asks the ledger what the chosen dues come to: the play believes no
// screen.
func (p *player) amounts(ctx context.Context, rows []Button) error {
	dues, err := p.ledgerDues(ctx)
	if err != nil {
		return err
	}
	for _, b := range rows {
		i := slices.IndexFunc(dues, func(d operator.DueView) bool { return strconv.FormatUint(d.ID, 10) == b.Value })
		if i < 0 {
			return fmt.Errorf("due %s on the screen is not the ledger's", b.Value)
		}
		p.dues = append(p.dues, paidDue{b.Value, si.Fen(dues[i].Amount + dues[i].LateFee)})
	}
	return nil
}

func (p *player) ledgerDues(ctx context.Context) ([]operator.DueView, error) {
	var dues []operator.DueView
	err := p.stage.Operator.Ask(ctx, "/v1/dues", operator.PersonRequest{IDNumber: p.card.Person.IDNumber}, &dues)
	return dues, err
}

// pay confirms and gives the PIN of the payment while the fault is set.
func (p *player) pay(ctx context.Context) error {
	p.booked = p.debits()
	if p.fault.set != nil {
		p.fault.set(p)
	}
	v := p.citizen.Now()
	for range max(1, p.taps) { // a second tap is of a page that is gone, and does nothing
		if err := p.citizen.Press(ctx, v, "confirm", ""); err != nil {
			return err
		}
	}
	if _, err := p.citizen.Wait(ctx, screenWait, "pay-pin"); err != nil {
		return err
	}
	if p.pullAtPIN {
		p.tell("the card is pulled while the PIN is asked")
		return p.stage.Pull()
	}
	pin := p.card.PIN
	if p.fault.pin != "" {
		pin = p.fault.pin
	}
	at, err := p.typePIN(ctx, pin)
	if err != nil {
		return err
	}
	p.tell("payment confirmed and PIN given" + p.fault.comment())
	if len(p.later) > 0 {
		if err := p.afterDebit(ctx); err != nil {
			return err
		}
	}
	p.began = minTime(p.began, at)
	_, err = p.citizen.Wait(ctx, finalWait, "result-paid", "result-not-charged", "result-pending", "pin-wrong", "take-card", "attract", "receipt-choice")
	p.result.PaymentMS = time.Since(at).Milliseconds()
	return err
}

func (f Fault) comment() string {
	if f.Name == "none" {
		return ""
	}
	return "; fault: " + f.What
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// failed notes what went wrong with a fault.
func (p *player) failed(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = errors.Join(p.err, err)
}

// trouble is what went wrong with the fault so far.
func (p *player) trouble() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// debits are how many times the bank has debited the card, reversed or not.
func (p *player) debits() (n int) {
	for _, e := range p.host.Entries() {
		if e.Op == bankhost.OpDebit && e.PAN == p.card.Person.PAN {
			n++
		}
	}
	return n
}

// afterDebit waits until the bank has booked the payment and does what the
// fault asks for then.
func (p *player) afterDebit(ctx context.Context) error {
	deadline := time.Now().Add(stepOfHuman)
	for {
		if p.debits() > p.booked {
			for _, do := range p.later {
				do()
			}
			return p.trouble()
		}
		if time.Now().After(deadline) {
			return errors.New("the bank never saw the payment")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pollTime):
		}
	}
}

func (p *player) startHub() {
	p.tell("the hub was killed with -9 and starts again")
	p.failed(errors.Join(p.stage.StartHub(context.Background()), p.stage.banksUp(context.Background())))
}

// startTerminal starts the kiosk again; its page is opened anew, as a browser
// does when its server comes back.
func (p *player) startTerminal() {
	p.tell("the terminal was killed with -9 and starts again")
	// The card still sticks in the slot: the citizen pulls it.
	p.failed(errors.Join(p.stage.StartTerminal(context.Background()), p.stage.Pull()))
	p.citizen.Leave()
	next, err := p.stage.openKiosk(context.Background())
	if err == nil {
		p.citizen = next
	}
	p.failed(err)
}

// ending notes what the citizen saw, and takes the receipt where there is one.
func (p *player) ending(ctx context.Context) error {
	seen := p.citizen.Seen()
	switch {
	case slices.Contains(seen, "result-paid"):
		p.result.Outcome = SawPaid
	case slices.Contains(seen, "result-pending"):
		p.result.Outcome = SawPending
	case slices.Contains(seen, "result-not-charged"), slices.Contains(seen, "pin-wrong"):
		p.result.Outcome = SawNotCharged
	case p.pullAtPIN: // the session ended with the card, before anything was asked
		p.result.Outcome = SawNotCharged
	default:
		// The card or the terminal went away before the ending; what the next
		// card-in tells is the ending.
		return p.comeBack(ctx)
	}
	p.tell("the kiosk says: " + p.result.Outcome + " (" + p.citizen.Now().ID + ")")
	if p.killPaid {
		p.stage.KillTerminal()
		p.startTerminal()
		return p.comeBack(ctx)
	}
	if p.result.Outcome == SawPaid {
		return p.receipt(ctx)
	}
	return nil
}

// comeBack inserts the card again and reads what became of the payment.
func (p *player) comeBack(ctx context.Context) error {
	if err := p.stage.Pull(); err != nil {
		return err
	}
	if _, err := p.citizen.Wait(ctx, screenWait, "attract"); err != nil {
		return err
	}
	if err := p.final(ctx); err != nil {
		return err
	}
	if err := p.stage.Insert(p.card); err != nil {
		return err
	}
	if _, err := p.citizen.Wait(ctx, screenWait, "pin"); err != nil {
		return err
	}
	if _, err := p.typePIN(ctx, p.card.PIN); err != nil {
		return err
	}
	v, err := p.citizen.Wait(ctx, screenWait, "unresolved", "menu")
	if err != nil {
		return err
	}
	dues, err := p.ledgerDues(ctx)
	if err != nil {
		return err
	}
	p.result.Outcome = SawPending
	if state := p.stateOf(dues); state == "PAID" {
		p.result.Outcome = SawPaid
	}
	p.tell(fmt.Sprintf("card inserted again: the kiosk shows %s first", v.ID))
	return nil
}

// receipt prints the receipt and waits for an honest word about it.
func (p *player) receipt(ctx context.Context) error {
	v, err := p.citizen.Wait(ctx, screenWait, "result-paid")
	if err != nil {
		return err
	}
	if p.stage.Inserted() == "" {
		return nil // the card is gone, and the session with it
	}
	if err := p.citizen.Press(ctx, v, "next", ""); err != nil {
		return err
	}
	if v, err = p.citizen.Wait(ctx, screenWait, "receipt-choice"); err != nil {
		return err
	}
	papers := len(p.stage.Printer.Papers())
	if err := p.citizen.Press(ctx, v, "print", ""); err != nil {
		return err
	}
	if v, err = p.citizen.Wait(ctx, finalWait, "printed", "printer-fault"); err != nil {
		return err
	}
	jam := p.fault.Name == "printer-jam"
	if (v.ID == "printer-fault") != jam {
		return fmt.Errorf("the kiosk shows %s after printing", v.ID)
	}
	if got := len(p.stage.Printer.Papers()) - papers; !jam && got != 1 {
		return fmt.Errorf("%d papers came out, wanted one", got)
	}
	p.tell("the kiosk says about the paper: " + v.ID)
	return nil
}

// leave takes the card and waits until the kiosk is empty again.
func (p *player) leave(ctx context.Context) error {
	if p.stage.Inserted() != "" {
		if v := p.citizen.Now(); v.Can("exit") {
			if err := p.citizen.Press(ctx, v, "exit", ""); err != nil {
				return err
			}
			if _, err := p.citizen.Wait(ctx, screenWait, "take-card", "attract"); err != nil {
				return err
			}
		}
		if err := p.stage.Pull(); err != nil {
			return err
		}
	}
	_, err := p.citizen.Wait(ctx, screenWait, "attract")
	return err
}

// settle waits until nothing is open and reads what the ledger says.
func (p *player) settle(ctx context.Context) error {
	for _, do := range p.after {
		do()
	}
	if err := p.trouble(); err != nil {
		return err
	}
	final := p.final
	if p.want.Held {
		final = p.repeated
	}
	if err := final(ctx); err != nil {
		return err
	}
	dues, err := p.ledgerDues(ctx)
	if err != nil {
		return err
	}
	p.result.DueState = p.stateOf(dues)
	for _, d := range dues {
		if p.chose(d) && d.State == "PAID" {
			p.result.LedgerFen += d.Amount + d.LateFee
			var v operator.PaymentView
			if err := p.stage.Operator.Ask(ctx, "/v1/payments/"+d.HeldBy, nil, &v); err != nil {
				return err
			}
			p.result.Receipt = v.Receipt
		}
	}
	return nil
}

func (p *player) chose(d operator.DueView) bool {
	return slices.ContainsFunc(p.dues, func(c paidDue) bool { return c.id == strconv.FormatUint(d.ID, 10) })
}

// stateOf is the state of the chosen dues, MIXED if they differ.
func (p *player) stateOf(dues []operator.DueView) string {
	state := ""
	for _, d := range dues {
		if !p.chose(d) {
			continue
		}
		if state != "" && state != d.State {
			return "MIXED"
		}
		state = d.State
	}
	return state
}

// final waits until no payment is pending.
func (p *player) final(ctx context.Context) error {
	deadline := time.Now().Add(finalWait)
	for {
		var st operator.Status
		if err := p.stage.Operator.Ask(ctx, "/v1/status", nil, &st); err != nil {
			return err
		}
		if st.Pending == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d payments are still pending after %s", st.Pending, finalWait)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pollFinal):
		}
	}
}

// repeated waits until the bank has refused the reversal and its repeat: what
// goes on until the day is matched is as final as it gets here.
func (p *player) repeated(ctx context.Context) error {
	deadline := time.Now().Add(finalWait)
	for {
		refused := 0
		for _, e := range p.host.Entries() {
			if e.Op == bankhost.OpReversal && e.PAN == p.card.Person.PAN && e.Code != "00" {
				refused++
			}
		}
		if refused >= 2 {
			p.tell("the bank knows no such payment, which is no proof at this bank: the dues stay held until the day is matched")
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the bank refused %d reversals in %s, wanted one and its repeat", refused, finalWait)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pollFinal):
		}
	}
}

// judge holds the result against what the fault must lead to.
func (p *player) judge() error {
	r, want := p.result, p.want
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if r.Outcome != want.Outcome {
		bad("the citizen saw %q, must see %q", r.Outcome, want.Outcome)
	}
	wantFen, wantState := int64(0), "OPEN"
	if want.Paid {
		wantFen, wantState = r.Fen, "PAID"
	}
	if want.Held {
		wantState = "HELD"
	}
	if r.BankFen != wantFen || r.LedgerFen != wantFen {
		bad("the bank debited %d fen and the ledger says %d are paid, both must be %d", r.BankFen, r.LedgerFen, wantFen)
	}
	if r.DueState != wantState {
		bad("the dues are %s, must be %s", r.DueState, wantState)
	}
	if (r.Receipt != "") != want.Paid {
		bad("receipt number %q", r.Receipt)
	}
	return errors.Join(errs...)
}
