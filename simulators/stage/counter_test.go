package stage

import (
	"fmt"
	"sync"
	"testing"

	"github.com/shebao-pay/shebao/settlement/operator"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/simulators/bankhost"
)

// counterBanks are those whose counters pay notices at our server.
var counterBanks = []string{"rcb", "ccb", "boc"}

// hubOnly leaves terminal and devices out.
func hubOnly(c *Config) { c.HubOnly = true }

// notice issues a payment notice for a card's person.
func notice(t *testing.T, s *Stage, c Card) (si.NoticeNo, si.Fen) {
	t.Helper()
	a := ask[operator.Answer](t, s, "/v1/notice", operator.PersonRequest{IDNumber: c.Person.IDNumber, Days: 7})
	n, err := si.ParseNoticeNo(a.Notice)
	if err != nil {
		t.Fatalf("the operator's notice %q of %+v: %v", a.Notice, a, err)
	}
	return n, si.Fen(a.Total)
}

// counter opens a counter that hangs up at the end of the test.
func counter(t *testing.T, s *Stage, bank string) *bankhost.Counter {
	t.Helper()
	c, err := s.Counter(t.Context(), bank)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// says is DE 39 as the bank's profile writes one of our codes.
func says(t *testing.T, s *Stage, bank, code string) string {
	t.Helper()
	p, err := s.Bank(bank)
	if err != nil {
		t.Fatal(err)
	}
	if v, ok := p.OwnCodes[code]; ok {
		return v
	}
	return code
}

// TestCounter walks a notice through a bank's counter: what it costs, paying,
// asking and paying again, other words about the same payment, taking it back
// on the same day, and paying anew.
func TestCounter(t *testing.T) {
	t.Parallel()
	s := begin(t, hubOnly)
	for _, bank := range counterBanks {
		t.Run(bank, func(t *testing.T) {
			it := deal(t, s, bank)
			no, total := notice(t, s, it)
			c := counter(t, s, bank)
			code := func(r *bankhost.Reply, err error) func(want string) *bankhost.Reply {
				return func(want string) *bankhost.Reply {
					t.Helper()
					if err != nil {
						t.Fatal(err)
					}
					if r.Code != says(t, s, bank, want) {
						t.Fatalf("got code %q, want %s", r.Code, want)
					}
					if !r.MACGood {
						t.Errorf("the answer %s has no good code", r.Code)
					}
					return r
				}
			}
			for how, r := range map[string]*bankhost.Reply{
				"notice": code(c.InquireNotice(no))("00"), "ID number": code(c.InquireID(it.Person.IDNumber))("00"),
			} {
				if r.Amount != total || r.Records["NN"] != no.String() {
					t.Errorf("inquiry by %s: %d fen for notice %s, want %d for %s", how, r.Amount, r.Records["NN"], total, no)
				}
				if r.Records["ID"] != "" {
					t.Errorf("inquiry by %s: the answer holds the ID number", how)
				}
			}
			code(c.Pay(c.NewPayment(no, total-1)))("N3")

			pay := c.NewPayment(no, total)
			first := code(c.Pay(pay))("00")
			again := code(c.Pay(pay))("00")
			if first.Records["RN"] == "" || again.Records["RN"] != first.Records["RN"] || again.Records["PY"] != first.Records["PY"] {
				t.Errorf("a repeat has receipt %q, the payment %q", again.Records["RN"], first.Records["RN"])
			}
			other := pay
			other.Amount--
			code(c.Pay(other))("94")
			if r := code(c.Status(pay))("00"); r.Records["RN"] != first.Records["RN"] {
				t.Errorf("status has receipt %q, want %q", r.Records["RN"], first.Records["RN"])
			}
			code(c.Pay(c.NewPayment(no, total)))("N1")
			if got := paidFen(t, s, it); got != total {
				t.Errorf("the ledger says %d fen are paid, want %d", got, total)
			}

			code(c.Reverse(pay, "98"))("00")
			code(c.Reverse(pay, "98"))("00")
			if got := paidFen(t, s, it); got != 0 {
				t.Errorf("after the reversal %d fen are paid", got)
			}
			unseen := c.NewPayment(no, total)
			code(c.Reverse(unseen, "98"))("25")
			if r, err := c.Pay(unseen); err != nil || r.Code == "00" {
				t.Errorf("a payment whose reversal came first: %+v, %v", r, err)
			}

			anew := code(c.Pay(c.NewPayment(no, total)))("00")
			if anew.Records["RN"] == first.Records["RN"] {
				t.Error("the payment anew has the receipt number of the one taken back")
			}
			if got := paidFen(t, s, it); got != total {
				t.Errorf("the ledger says %d fen are paid, want %d", got, total)
			}
			code(c.InquireNotice(no + 1))("25")
		})
	}
	s.Close()
	verified(t, s)
}

// TestManyCounters lets counters of three banks pay one notice at the same
// moment: one is told 00, the others that it is paid or being paid.
func TestManyCounters(t *testing.T) {
	t.Parallel()
	s := begin(t, hubOnly)
	const rounds, each = 5, 3
	stan := 0
	for range rounds {
		it := deal(t, s, "ccb")
		no, total := notice(t, s, it)
		var all []*bankhost.Counter
		var banks []string
		for _, bank := range counterBanks {
			for range each {
				all, banks = append(all, counter(t, s, bank)), append(banks, bank)
			}
		}
		replies := make([]*bankhost.Reply, len(all))
		start := make(chan struct{})
		var wg sync.WaitGroup
		for i, c := range all {
			pay := c.NewPayment(no, total)
			stan++ // a bank numbers across its counters
			pay.STAN, pay.Serial = stan, fmt.Sprintf("%012d", stan)
			wg.Go(func() {
				<-start
				r, err := c.Pay(pay)
				if err != nil {
					t.Error(err)
					return
				}
				replies[i] = r
			})
		}
		close(start)
		wg.Wait()
		paid := 0
		for i, r := range replies {
			switch {
			case r == nil:
			case r.Code == "00":
				paid++
			case r.Code != says(t, s, banks[i], "N1") && r.Code != says(t, s, banks[i], "N5"):
				t.Errorf("a counter of %s was told %q", banks[i], r.Code)
			}
		}
		if paid != 1 {
			t.Errorf("%d counters were told 00, want one", paid)
		}
		if got := paidFen(t, s, it); got != total {
			t.Errorf("the ledger says %d fen are paid, want %d", got, total)
		}
		for _, c := range all {
			_ = c.Close()
		}
	}
	s.Close()
	verified(t, s)
}

// TestTwoAtOneDue lets a bank's counter and a citizen at the kiosk pay the same
// dues: whoever is first is paid, the other is told, and nothing is debited
// twice.
func TestTwoAtOneDue(t *testing.T) {
	s := begin(t)
	kiosk := stand(t, s)
	c := counter(t, s, "rcb")

	t.Run("counter first", func(t *testing.T) {
		it := deal(t, s, "ccb")
		no, total := notice(t, s, it)
		v := toConfirm(t, s, kiosk, it)
		if r, err := c.Pay(c.NewPayment(no, total)); err != nil || r.Code != "00" {
			t.Fatalf("counter: %+v, %v", r, err)
		}
		press(t, kiosk, v, "confirm")
		see(t, kiosk, "pay-pin")
		give(t, s, it.PIN)
		v = see(t, kiosk, "result-not-charged", "result-paid", "result-pending")
		if v.ID != "result-not-charged" || !contains(v, "未扣款") || !contains(v, "已缴或正在缴费") {
			t.Errorf("the kiosk shows %s: %s", v.ID, v.Text)
		}
		press(t, kiosk, v, "exit")
		see(t, kiosk, "take-card")
		pull(t, s, kiosk)
		if n := len(debits(s, it)); n != 0 {
			t.Errorf("the citizen's card was debited %d times", n)
		}
		if got := paidFen(t, s, it); got != total {
			t.Errorf("the ledger says %d fen are paid, want %d", got, total)
		}
	})

	t.Run("citizen first", func(t *testing.T) {
		it := deal(t, s, "ccb")
		no, total := notice(t, s, it)
		v := toConfirm(t, s, kiosk, it)
		press(t, kiosk, v, "confirm")
		see(t, kiosk, "pay-pin")
		// While the citizen's bank works on the debit, the counter asks.
		var during *bankhost.Reply
		var err error
		s.OnRequest(onDebit(func() { during, err = c.Pay(c.NewPayment(no, total)) }))
		defer s.OnRequest(nil)
		give(t, s, it.PIN)
		v = see(t, kiosk, "result-paid", "result-not-charged", "result-pending")
		if v.ID != "result-paid" {
			t.Errorf("the kiosk shows %s: %s", v.ID, v.Text)
		}
		if err != nil || during == nil || during.Code != says(t, s, "rcb", "N5") {
			t.Errorf("the counter was told %+v, %v while the payment was under way, want N5", during, err)
		}
		press(t, kiosk, v, "exit")
		see(t, kiosk, "take-card")
		pull(t, s, kiosk)
		if r, err := c.Pay(c.NewPayment(no, total)); err != nil || r.Code == "00" {
			t.Errorf("the counter was told %+v, %v after the payment", r, err)
		}
		if n := len(debits(s, it)); n != 1 {
			t.Errorf("the citizen's card was debited %d times, want once", n)
		}
	})
	s.Close()
	verified(t, s)
}
