package stage

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"
)

// cardWait is how long a card that says nothing may take to be given up.
const cardWait = 40 * time.Second

// stand opens the kiosk for a citizen without a browser.
func stand(t *testing.T, s *Stage) *Citizen {
	t.Helper()
	c, err := s.openKiosk(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Leave)
	see(t, c, "attract")
	return c
}

// see waits for one of the screens.
func see(t *testing.T, c *Citizen, ids ...string) View {
	t.Helper()
	v, err := c.Wait(t.Context(), screenWait, ids...)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// press presses a button of a screen.
func press(t *testing.T, c *Citizen, v View, action string) {
	t.Helper()
	if err := c.Press(t.Context(), v, action, ""); err != nil {
		t.Fatal(err)
	}
}

// give types a PIN at the pad when it asks.
func give(t *testing.T, s *Stage, pin string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	for _, err := range []error{s.Pad.WaitEntry(ctx), s.Pad.Type(pin), s.Pad.Enter()} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// insert puts a card in.
func insert(t *testing.T, s *Stage, c Card) {
	t.Helper()
	if err := s.Insert(c); err != nil {
		t.Fatal(err)
	}
}

// pull takes the card and waits until the kiosk is empty.
func pull(t *testing.T, s *Stage, c *Citizen) {
	t.Helper()
	if err := s.Pull(); err != nil {
		t.Fatal(err)
	}
	see(t, c, "attract")
}

// TestCardPages inserts every card of the tray that cannot be used: each has a
// page of its own with what is wrong, the card comes back, the page shows
// nothing of the person, and neither a PIN is asked nor the bank.
func TestCardPages(t *testing.T) {
	s := begin(t)
	c := stand(t, s)
	pages := map[string]string{} // text by card
	for _, k := range []struct{ card, says string }{
		{"expired-icbc", "已过有效期"}, {"inactive-boc", "没有激活"}, {"swapped-ccb", "信息不一致"},
		{"bankcard", "不是社会保障卡"}, {"mute", "读不出"}, {"stranger", "没有查到您的参保登记"},
	} {
		t.Run(k.card, func(t *testing.T) {
			it := card(t, s, k.card)
			insert(t, s, it)
			v, err := c.Wait(t.Context(), cardWait, "card-problem", "pin")
			if err != nil {
				t.Fatal(err)
			}
			if v.ID != "card-problem" {
				t.Fatalf("the kiosk shows %s", v.ID)
			}
			if !strings.Contains(v.Text, k.says) {
				t.Errorf("the page does not say %q: %s", k.says, v.Text)
			}
			for other, text := range pages {
				if text == v.Text {
					t.Errorf("the page is the same as that of %s", other)
				}
			}
			pages[k.card] = v.Text
			for what, secret := range map[string]string{
				"name": it.Person.Name, "masked name": string([]rune(it.Person.Name)[:1]) + "*", "ID number": it.Person.IDNumber,
				"its end": it.Person.IDNumber[14:], "account": it.Person.PAN, "its end ": it.Tail,
			} {
				if strings.Contains(v.Text, secret) {
					t.Errorf("the page shows the %s: %s", what, v.Text)
				}
			}
			if entering, _, _ := s.Pad.State(); entering {
				t.Error("a PIN is asked for a card that cannot be used")
			}
			press(t, c, v, "exit")
			see(t, c, "take-card")
			pull(t, s, c)
		})
	}
	for code, b := range s.Banks {
		if n := len(b.Entries()); n != 0 {
			t.Errorf("%s was asked %d times about a card that cannot be used", code, n)
		}
	}
	t.Run("poor-ccb", func(t *testing.T) { poor(t, s, c) })
}

// poor has a good card and too little money: the citizen is told so, nothing
// moves, and the dues can be paid again.
func poor(t *testing.T, s *Stage, c *Citizen) {
	it := card(t, s, "poor-ccb")
	toConfirm(t, s, c, it)
	press(t, c, c.Now(), "confirm")
	see(t, c, "pay-pin")
	give(t, s, it.PIN)
	v := see(t, c, "result-not-charged", "result-paid", "result-pending")
	if v.ID != "result-not-charged" || !strings.Contains(v.Text, "余额不足") || !strings.Contains(v.Text, "未扣款") {
		t.Errorf("the kiosk shows %s: %s", v.ID, v.Text)
	}
	press(t, c, v, "exit")
	see(t, c, "take-card")
	pull(t, s, c)
	for _, d := range duesOf(t, s, it) {
		if d.State != "OPEN" {
			t.Errorf("due %d is %s, want OPEN", d.ID, d.State)
		}
	}
	if got := s.Banks["ccb"].Balance(it.Person.PAN); got != it.Balance {
		t.Errorf("the account holds %d fen, want %d", got, it.Balance)
	}
}

// toConfirm takes a citizen with a good card to the confirm page of the dues
// that the list has ticked or, if there are none, of all.
func toConfirm(t *testing.T, s *Stage, c *Citizen, it Card) View {
	t.Helper()
	insert(t, s, it)
	see(t, c, "pin")
	give(t, s, it.PIN)
	press(t, c, see(t, c, "menu"), "pay")
	v := see(t, c, "pay-list")
	if !slices.ContainsFunc(v.Buttons, func(b Button) bool { return b.On }) {
		press(t, c, v, "all")
		until(t, "dues are ticked", func() bool {
			v = c.Now()
			return v.Can("next")
		})
	}
	press(t, c, v, "next")
	return see(t, c, "pay-confirm")
}

// contains tells whether a screen says something.
func contains(v View, what string) bool { return strings.Contains(v.Text, what) }
