package stage

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/shebao-pay/shebao/settlement/operator"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/simulators/bankhost"
)

// TestBrowser is a citizen before the real page in Chromium: the language and
// back, the card, the PIN, two dues, the receipt on paper; then a second one who
// walks away. Each screen is reloaded and looked at by axe-core, and every
// button that moves money is pressed more than once.
func TestBrowser(t *testing.T) {
	t.Parallel()
	s := begin(t)
	p := openPage(t, s)
	c := card(t, s, "resident-ccb")
	before := paidFen(t, s, c)

	p.visit("attract")
	for _, lang := range []string{"en", "zh-CN"} {
		p.press("language")
		p.until(wait, `document.getElementById("screen")?.dataset.lang === "`+lang+`"`)
		p.look("attract " + lang)
	}

	p.must(s.Insert(c))
	p.visit("pin")
	p.typePIN(c.PIN)
	p.visit("menu")
	if text := p.text(); strings.Contains(text, c.Name) || strings.Contains(text, c.Person.IDNumber) || strings.Contains(text, c.Person.PAN) {
		t.Errorf("the menu shows more of the citizen than a masked name: %s", text)
	}

	p.press("pay")
	p.wait("pay-list")
	total := p.tickTwo(c)
	p.visit("pay-list")
	p.press("next")
	p.visit("pay-confirm")
	if text := p.text(); !strings.Contains(text, total.Grouped()) || !strings.Contains(text, total.Capitals()) {
		t.Errorf("the confirm page shows neither %s nor %s: %s", total.Grouped(), total.Capitals(), text)
	}
	p.pressTwice("confirm")
	p.visit("pay-pin")
	p.typePIN(c.PIN)
	p.visit("result-paid")
	receipt := receiptOf(t, s, c)
	if text := digits(p.text()); !strings.Contains(text, receipt) {
		t.Errorf("the page does not show the receipt number %s", receipt)
	}
	p.pressTwice("next")
	p.visit("receipt-choice")
	p.pressTwice("print")
	p.visit("printed")

	papers := s.Printer.Papers()
	if len(papers) != 1 || !papers[0].Whole {
		t.Fatalf("%d papers came out, wanted one", len(papers))
	}
	if plain := papers[0].Paper.Plain(); !strings.Contains(digits(plain), receipt) || !strings.Contains(plain, total.Grouped()) {
		t.Errorf("the paper does not hold receipt number %s and amount %s:\n%s", receipt, total.Grouped(), plain)
	}
	paidOnce(t, s, c, total)
	if got := paidFen(t, s, c) - before; got != total {
		t.Errorf("the ledger has %d fen more paid, want %d", got, total)
	}

	p.press("exit")
	p.visit("take-card")
	p.must(s.Pull())
	p.wait("attract")
	p.wiped(c, total, receipt)
	p.picture("attract-again")
	p.quiet()

	walkAway(t, p)
}

// walkAway is the second session: its citizen says once that they are still
// there, and then is not.
func walkAway(t *testing.T, p *page) {
	s, c := p.s, card(t, p.s, "resident-rcb")
	s.KillTerminal()
	s.cfg.Idle = 2 * time.Second
	p.must(s.StartTerminal(t.Context()))
	p.forget()
	p.goTo()
	p.wait("attract")
	p.must(s.Insert(c))
	p.wait("pin")
	p.typePIN(c.PIN)
	p.wait("menu")
	p.visit("idle-warning")
	p.press("continue")
	p.wait("menu")
	p.wait("idle-warning")
	p.until(25*time.Second, isScreen("take-card")) // the warning lasts 20 s
	p.must(s.Pull())
	p.wait("attract")
	p.wiped(c, 0, "")
	if n := len(debits(s, c)); n != 0 {
		t.Errorf("a citizen who only looked was debited %d times", n)
	}
	p.quiet()
}

// tickTwo leaves the first two dues of the list ticked and gives their sum as
// the ledger has it.
func (p *page) tickTwo(c Card) (total si.Fen) {
	p.t.Helper()
	type row struct {
		ID string `json:"id"`
		On bool   `json:"on"`
	}
	rows := eval[[]row](p, `[...document.querySelectorAll("button[data-action=toggle]:not(:disabled)")].map((b) => ({id: b.dataset.value, on: b.getAttribute("aria-checked") === "true"}))`)
	if len(rows) < 2 {
		p.t.Fatalf("the list has %d dues to pay, wanted two", len(rows))
	}
	dues := map[string]operator.DueView{}
	for _, d := range duesOf(p.t, p.s, c) {
		dues[strconv.FormatUint(d.ID, 10)] = d
	}
	for i, r := range rows {
		if on := i < 2; r.On != on {
			p.do(chromedp.Click(`button[data-value="` + r.ID + `"]`))
			want := `"false"`
			if on {
				want = `"true"`
			}
			p.until(wait, `document.querySelector("button[data-value='`+r.ID+`']")?.getAttribute("aria-checked") === `+want)
		}
	}
	for _, r := range rows[:2] {
		d, ok := dues[r.ID]
		if !ok {
			p.t.Fatalf("due %s on the screen is not the ledger's", r.ID)
		}
		total += si.Fen(d.Amount + d.LateFee)
	}
	return total
}

// wiped holds that nothing of the citizen is left in the page.
func (p *page) wiped(c Card, total si.Fen, receipt string) {
	p.t.Helper()
	left := eval[string](p, `document.documentElement.outerHTML + JSON.stringify({...localStorage}) + JSON.stringify({...sessionStorage}) + location.href + history.length`)
	masked := string([]rune(c.Name)[:1]) + "*"
	for what, v := range map[string]string{"name": c.Name, "masked name": masked, "account": c.Person.PAN, "ID number": c.Person.IDNumber, "receipt": receipt} {
		if v != "" && strings.Contains(left, v) {
			p.t.Errorf("the %s is still in the page after the session", what)
		}
	}
	if total != 0 && (strings.Contains(left, total.Grouped()) || strings.Contains(left, total.Capitals())) {
		p.t.Error("the amount is still in the page after the session")
	}
}

// receiptOf is the receipt number of the card's payment in the ledger.
func receiptOf(t *testing.T, s *Stage, c Card) string {
	t.Helper()
	for _, d := range duesOf(t, s, c) {
		if d.State == "PAID" {
			return ask[operator.PaymentView](t, s, "/v1/payments/"+d.HeldBy, nil).Receipt
		}
	}
	t.Fatal("no due is paid")
	return ""
}

// debits are the bank's debits of a card that stand.
func debits(s *Stage, c Card) (out []bankhost.Entry) {
	for _, e := range s.Banks[c.Bank].Entries() {
		if e.Op == bankhost.OpDebit && e.PAN == c.Person.PAN && e.Code == "00" && !e.Reversed {
			out = append(out, e)
		}
	}
	return out
}

// paidOnce holds that the bank has debited the card once, with the total.
func paidOnce(t *testing.T, s *Stage, c Card, total si.Fen) {
	t.Helper()
	if got := debits(s, c); len(got) != 1 || got[0].Amount != total {
		t.Errorf("the bank's debits are %+v, want one of %d fen", got, total)
	}
}

// digits keeps the digits of a text: numbers are shown in groups.
func digits(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, s)
}
