package settlement

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/shebao-pay/shebao/settlement/banklink"
	"github.com/shebao-pay/shebao/settlement/banklink/linktest"
	"github.com/shebao-pay/shebao/settlement/bankmsg"
	"github.com/shebao-pay/shebao/settlement/engine"
	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errDown = errors.New("the log is away")

// book is a ledger in a map that answers from another goroutine, as the real
// one does.
type book struct {
	mu    sync.Mutex
	pays  map[si.PaymentID]*ledgerapi.Payment
	held  map[si.DueID]si.PaymentID
	order []si.PaymentID
	stan  uint32
	ahead si.BusinessDate // days from the date of the Reserve to the bank's open one
	seen  map[ledgerapi.Type]int
	fault func(ledgerapi.Command) (apply bool, err error)
	wg    sync.WaitGroup
}

func newBook() *book {
	return &book{pays: map[si.PaymentID]*ledgerapi.Payment{}, held: map[si.DueID]si.PaymentID{}, seen: map[ledgerapi.Type]int{}}
}

func (b *book) Submit(c ledgerapi.Command, _ si.Actor, done func(ledgerapi.Result, error)) {
	b.wg.Go(func() {
		b.mu.Lock()
		b.seen[c.Type()]++
		apply, err := true, error(nil)
		if b.fault != nil {
			apply, err = b.fault(c)
		}
		var r ledgerapi.Result
		if apply {
			r = b.apply(c)
		}
		b.mu.Unlock()
		if err != nil {
			r = ledgerapi.Result{}
		}
		done(r, err)
	})
}

func (b *book) setFault(f func(ledgerapi.Command) (bool, error)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fault = f
}

func (b *book) Payment(id si.PaymentID) (ledgerapi.Payment, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p := b.pays[id]; p != nil {
		return *p, true
	}
	return ledgerapi.Payment{}, false
}

func (b *book) Pending(bank si.Bank) (list []ledgerapi.Payment) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, id := range b.order {
		p := b.pays[id]
		if (bank == 0 || p.Bank == bank) && (p.State == ledgerapi.PayReserved || p.State == ledgerapi.PayReversing) {
			list = append(list, *p)
		}
	}
	return list
}

func (b *book) Advices() (list []ledgerapi.Payment) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, id := range b.order {
		if p := b.pays[id]; p.Advice {
			list = append(list, *p)
		}
	}
	return list
}

func (b *book) apply(c ledgerapi.Command) ledgerapi.Result {
	id := c.Key()
	p := b.pays[id]
	if r, ok := c.(ledgerapi.Reserve); ok {
		if p != nil && p.State == ledgerapi.PayTombstone {
			return ledgerapi.Result{Code: ledgerapi.Tombstoned}
		}
		if p != nil {
			return ledgerapi.Result{Code: ledgerapi.Exists, First: ledgerapi.OK, State: p.State, STAN: p.STAN, RRN: p.RRN, DE7: p.DE7}
		}
		if by, ok := b.held[r.Dues[0].ID]; ok {
			return ledgerapi.Result{Code: ledgerapi.DueHeld, HeldBy: by}
		}
		b.stan++
		p = &ledgerapi.Payment{ID: id, State: ledgerapi.PayReserved, Channel: r.Channel, Terminal: r.Terminal, Acq: r.Acq, Batch: r.Batch,
			Bank: r.Bank, STAN: b.stan, Total: r.Total, OurDate: r.OurDate + b.ahead, Memo: r.Memo, AtMillis: time.Now().UnixMilli()}
		copy(p.RRN[:], fmt.Sprintf("6326%08d", b.stan))
		copy(p.DE7[:], time.Now().In(si.China).Format("0102150405"))
		for _, d := range r.Dues {
			p.Dues = append(p.Dues, ledgerapi.Due{Ref: d})
			b.held[d.ID] = id
		}
		b.pays[id] = p
		b.order = append(b.order, id)
		return ledgerapi.Result{Code: ledgerapi.OK, State: p.State, STAN: p.STAN, RRN: p.RRN, DE7: p.DE7}
	}
	state := ledgerapi.PayNone
	if p != nil {
		state = p.State
	}
	live := state == ledgerapi.PayReserved || state == ledgerapi.PayReversing
	switch c := c.(type) {
	case ledgerapi.Annotate:
		if c.Stage == ledgerapi.StageAdvice || c.Stage == ledgerapi.StageAdvised {
			if state != ledgerapi.PayPosted {
				break
			}
			p.Advice, p.Memo = c.Stage == ledgerapi.StageAdvice, c.Memo
			return ledgerapi.Result{Code: ledgerapi.OK, State: p.State}
		}
		if live {
			p.State, p.Reason, p.Memo = ledgerapi.PayReversing, c.Reason, c.Memo
			return ledgerapi.Result{Code: ledgerapi.OK, State: p.State}
		}
	case ledgerapi.Post:
		if state == ledgerapi.PayReserved && c.Evidence.MACOK {
			p.State, p.Resp, p.EndedAt, p.BankDate = ledgerapi.PayPosted, c.Evidence.Resp, time.Now().UnixMilli(), c.Evidence.BankDate
			return ledgerapi.Result{Code: ledgerapi.OK, State: p.State}
		}
	case ledgerapi.Void:
		if state == ledgerapi.PayNone {
			b.pays[id] = &ledgerapi.Payment{ID: id, State: ledgerapi.PayTombstone}
			return ledgerapi.Result{Code: ledgerapi.OK, State: ledgerapi.PayTombstone}
		}
		if live {
			p.State, p.Proof, p.Resp = ledgerapi.PayVoided, c.Proof, c.Resp
			for _, d := range p.Dues {
				delete(b.held, d.Ref.ID)
			}
			return ledgerapi.Result{Code: ledgerapi.OK, State: p.State}
		}
	case ledgerapi.Unpost:
		if state == ledgerapi.PayPosted {
			p.State = ledgerapi.PayReversing
			return ledgerapi.Result{Code: ledgerapi.OK, State: p.State}
		}
	}
	return ledgerapi.Result{Code: ledgerapi.BadTransition, State: state}
}

// world is a hub with two banks, an HSM process and a book.
type world struct {
	t     *testing.T
	book  *book
	hsm   *linktest.HSM
	banks map[si.Bank]*linktest.Bank
	profs []*profile.Profile
	hub   *Hub
	dial  dialer
	log   *safeBuffer
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// dialer makes the connections to the banks' hosts; nil is TCP.
type dialer = func(ctx context.Context, bank si.Bank, addr string) (banklink.Conn, error)

const (
	rcb si.Bank = 1
	ccb si.Bank = 3
)

func newWorld(t *testing.T, change func(*profile.Profile)) *world {
	t.Helper()
	return newWorldOn(t, nil, change)
}

// newWorldOn is newWorld with connections of the test's own.
func newWorldOn(t *testing.T, dial dialer, change func(*profile.Profile)) *world {
	t.Helper()
	w := &world{t: t, dial: dial, book: newBook(), hsm: &linktest.HSM{}, banks: map[si.Bank]*linktest.Bank{}, log: &safeBuffer{}}
	for _, code := range []string{"rcb", "ccb"} {
		p, err := profile.LoadFS(os.DirFS("../data/banks"), code)
		if err != nil {
			t.Fatal(err)
		}
		q := *p
		q.Timers.ReconnectMin, q.Timers.ReconnectMost = time.Millisecond, 20*time.Millisecond
		q.Timers.RetryFirst, q.Timers.RetryMost = 5*time.Millisecond, 20*time.Millisecond
		q.Timers.SendDeadline = 500 * time.Millisecond
		q.CrossDaySend = true
		if change != nil {
			change(&q)
		}
		if w.banks[q.Number], err = linktest.NewBank(&q); err != nil {
			t.Fatal(err)
		}
		w.profs = append(w.profs, &q)
	}
	t.Cleanup(func() {
		w.stop()
		for _, b := range w.banks {
			b.Close()
		}
		w.book.wg.Wait()
	})
	w.start()
	return w
}

// start makes a hub and waits for its banks.
func (w *world) start() {
	w.t.Helper()
	addrs := map[si.Bank][]string{}
	for n, b := range w.banks {
		addrs[n] = []string{b.Addr}
	}
	h, err := New(Config{
		Ledger: w.book, HSM: w.hsm, Profiles: w.profs, Addrs: addrs, Log: zerolog.New(w.log), Wait: 10 * time.Second,
		NotWritten: func(err error) bool { return !errors.Is(err, errDown) }, Dial: w.dial,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := h.Pay(context.Background(), engine.Intent{}); !errors.Is(err, ErrNotRunning) {
		w.t.Errorf("Pay before Start: got %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel() // the hub outlives the context of its Start
	if err := h.Start(ctx); err != nil {
		w.t.Fatal(err)
	}
	w.hub = h
	w.until("both banks are up", func() bool { return h.BankUp(rcb) && h.BankUp(ccb) })
}

// stop lets the hub go as a crash does: nothing is waited for.
func (w *world) stop() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	w.hub.Stop(ctx)
}

func (w *world) until(what string, f func() bool) {
	w.t.Helper()
	for end := time.Now().Add(10 * time.Second); !f(); {
		if time.Now().After(end) {
			w.t.Fatalf("never: %s\n%s", what, w.log)
		}
		time.Sleep(time.Millisecond)
	}
}

func pid(n int) si.PaymentID { return si.PaymentID{5: 1, 14: byte(n >> 8), 15: byte(n)} }

func (w *world) intent(n int, bank si.Bank) engine.Intent {
	w.t.Helper()
	body := fmt.Sprintf("6299000%d%07d", bank, 7654321-n)
	d, err := si.LuhnDigit(body)
	if err != nil {
		w.t.Fatal(err)
	}
	pan, err := si.ParsePAN(body + string(d))
	if err != nil {
		w.t.Fatal(err)
	}
	track, err := si.ParseTrack2(body + string(d) + "D30122010000000000")
	if err != nil {
		w.t.Fatal(err)
	}
	block, err := si.NewPINBlock([]byte("sixteen byte pin"))
	if err != nil {
		w.t.Fatal(err)
	}
	return engine.Intent{
		ID: pid(n), Terminal: 9, Bank: bank, Total: 38000, Dues: []ledgerapi.DueRef{{ID: si.DueID(n), Version: 1, Amount: 38000}},
		Card: engine.CardData{PAN: pan, PSN: "01", Track2: track, Expiry: "3012", PINBlock: block, PINKey: "terminal-9/tpk",
			PINFormat: si.PINFormat4AES, DE55: []byte{0x9F, 0x36, 2, 0, 7, 0x95, 5, 0, 0, 0, 0, 0}},
	}
}

func (w *world) pay(n int, bank si.Bank) engine.Answer {
	w.t.Helper()
	a, err := w.hub.Pay(context.Background(), w.intent(n, bank))
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

func (w *world) ledger(n int) ledgerapi.PayState {
	p, _ := w.book.Payment(pid(n))
	return p.State
}

func (w *world) net(bank si.Bank, want int) {
	w.t.Helper()
	if n, sum := w.banks[bank].Net(); n != want || sum != uint64(want)*38000 {
		w.t.Errorf("bank %d stands at %d debits and %d fen, want %d", bank, n, sum, want)
	}
}

func fault(f linktest.Fault, only profile.Kind) func(profile.Kind, *bankmsg.Message) linktest.Fault {
	return func(k profile.Kind, _ *bankmsg.Message) linktest.Fault {
		if k == only {
			return f
		}
		return linktest.Fault{}
	}
}

func TestPaid(t *testing.T) {
	w := newWorld(t, nil)
	for i, bank := range []si.Bank{rcb, ccb} {
		if a := w.pay(i+1, bank); a.Ending != engine.Paid || !a.AwaitCard || string(a.Resp[:]) != "00" || a.Issuer.ARC != "00" {
			t.Errorf("bank %d: got %+v", bank, a)
		}
		if got := w.ledger(i + 1); got != ledgerapi.PayPosted {
			t.Errorf("ledger says %v", got)
		}
		w.net(bank, 1)
		if a := w.pay(i+1, bank); a.Ending != engine.Paid || a.Issuer.ARC != "00" { // pressed twice
			t.Errorf("the same again: got %+v", a)
		}
		if err := w.hub.CardOutcome(context.Background(), pid(i+1), engine.CardTC, nil); err != nil {
			t.Error(err)
		}
		if a, err := w.hub.State(context.Background(), pid(i+1)); err != nil || a.Ending != engine.Paid || a.AwaitCard {
			t.Errorf("State: got %+v, %v", a, err)
		}
		if p, _ := w.book.Payment(pid(i + 1)); bank == ccb && p.BankDate == 0 {
			t.Error("the bank's date is missing in the evidence")
		}
	}
	if s := w.hub.Snapshot(); s.Engine.Paid != 2 || s.Banks["rcb"].Replies != 1 {
		t.Errorf("Snapshot: got %+v", s)
	}
	if l := w.hub.LinkStates(); len(l) != 3 || l[0].DE41 == "" {
		t.Errorf("LinkStates: got %+v", l)
	}
	if w.banks[rcb].Seen(profile.Debit) != 1 {
		t.Error("a second 0200 left")
	}
}

func TestDeclinedAndRefused(t *testing.T) {
	w := newWorld(t, nil)
	w.banks[ccb].Script(fault(linktest.Fault{Code: "51"}, profile.Debit))
	if a := w.pay(1, ccb); a.Ending != engine.NotCharged || string(a.Resp[:]) != "51" {
		t.Errorf("declined: got %+v", a)
	}
	w.banks[ccb].Script(nil)
	w.pay(2, ccb)
	again := w.intent(3, rcb)
	again.Dues = w.intent(2, ccb).Dues
	if a, _ := w.hub.Pay(context.Background(), again); a.Ending != engine.Refused || a.Refusal.Code != ledgerapi.DueHeld {
		t.Errorf("a due twice: got %+v", a)
	}
}

// TestDoubt lets each thing go wrong once and wants net zero at the bank and
// VOIDED in the ledger, at both kinds of banks.
func TestDoubt(t *testing.T) {
	for name, f := range map[string]linktest.Fault{
		"request lost": {Deaf: true}, "reply lost": {Mute: true}, "hang up": {Hang: true}, "bad code": {BadMAC: true},
		"other amount": {Wrong: 4}, "unknown code": {Code: "Z9"}, "other trace number": {Wrong: 11},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(p *profile.Profile) { p.Timers.Reply = 300 * time.Millisecond })
			for i, bank := range []si.Bank{rcb, ccb} {
				n := i + 1
				w.banks[bank].Script(fault(f, profile.Debit))
				if a := w.pay(n, bank); a.Ending != engine.Pending {
					t.Fatalf("got %+v, want pending", a)
				}
				w.until("the reversal is proven", func() bool { return w.ledger(n) == ledgerapi.PayVoided })
				w.net(bank, 0)
				w.until("told", func() bool {
					a, err := w.hub.State(context.Background(), pid(n))
					return err == nil && a.Ending == engine.NotCharged
				})
				if w.banks[bank].Seen(profile.Debit) != 1 {
					t.Errorf("the 0200 was sent %d times", w.banks[bank].Seen(profile.Debit))
				}
			}
		})
	}
}

func TestReversalUntilProven(t *testing.T) {
	w := newWorld(t, func(p *profile.Profile) {
		p.Timers.Reply, p.Timers.ReversalReply = 100*time.Millisecond, 100*time.Millisecond
	})
	n := 0
	w.banks[ccb].Script(func(k profile.Kind, _ *bankmsg.Message) linktest.Fault {
		if n++; k == profile.Debit || n < 5 {
			return linktest.Fault{Mute: true}
		}
		return linktest.Fault{}
	})
	w.pay(1, ccb)
	if open := w.hub.Unresolved(); len(open) != 1 || open[0].ID != pid(1) || open[0].Amount != 38000 {
		t.Errorf("Unresolved: got %+v", open)
	}
	other := w.intent(2, ccb)
	other.Card.PAN = w.intent(1, ccb).Card.PAN
	if a, _ := w.hub.Pay(context.Background(), other); a.Why != engine.WhyCardBusy {
		t.Errorf("a new payment of the card: got %+v", a)
	}
	if a := w.pay(3, rcb); a.Ending != engine.Paid {
		t.Errorf("another bank: got %+v", a)
	}
	w.until("proven", func() bool { return w.ledger(1) == ledgerapi.PayVoided })
	w.net(ccb, 0)
	if got := w.banks[ccb].Field(profile.Reversal, 0); got != "0421" {
		t.Errorf("the repeat is of type %s", got)
	}
	w.until("nothing is open", func() bool { return len(w.hub.Unresolved()) == 0 })
}

// TestCrash kills the hub at different places and starts another one on the
// same ledger.
func TestCrash(t *testing.T) {
	for name, c := range map[string]struct {
		fault linktest.Fault
		post  bool // the log loses the Post
		ahead si.BusinessDate
	}{
		"before the reply": {linktest.Fault{Mute: true}, false, 0}, "request on its way": {linktest.Fault{Deaf: true}, false, 0},
		"between reply and post": {linktest.Fault{}, true, 0},
		// The ledger writes the bank's open date to the payment, which is
		// tomorrow's from the bank's cutover to midnight.
		"after the bank's cutover": {linktest.Fault{Mute: true}, false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			w.book.ahead = c.ahead
			w.banks[rcb].Script(fault(c.fault, profile.Debit))
			stuck := make(chan struct{})
			if c.post {
				w.book.setFault(func(cmd ledgerapi.Command) (bool, error) {
					if _, ok := cmd.(ledgerapi.Post); ok {
						close(stuck)
						return false, errDown
					}
					if _, ok := cmd.(ledgerapi.Annotate); ok {
						return false, errDown
					}
					return true, nil
				})
			}
			told := make(chan engine.Answer, 1)
			go func() {
				a, _ := w.hub.Pay(context.Background(), w.intent(1, rcb))
				told <- a
			}()
			w.until("the bank has it", func() bool { return w.banks[rcb].Seen(profile.Debit) == 1 })
			if c.post {
				<-stuck
			}
			w.stop()
			if a := <-told; a.Ending != engine.Pending {
				t.Errorf("told %+v by a hub that died", a)
			}
			w.book.setFault(nil)
			if got := w.ledger(1); got != ledgerapi.PayReserved && got != ledgerapi.PayReversing {
				t.Fatalf("ledger says %v, want it pending", got)
			}
			w.banks[rcb].Script(nil)
			w.start()
			if a := w.pay(1, rcb); a.Ending != engine.Pending {
				t.Errorf("the terminal asks again: got %+v", a)
			}
			w.until("reversed", func() bool { return w.ledger(1) == ledgerapi.PayVoided })
			w.net(rcb, 0)
			if w.banks[rcb].Seen(profile.Debit) != 1 {
				t.Error("the 0200 was sent again")
			}
		})
	}
}

func TestLogAway(t *testing.T) {
	w := newWorld(t, nil)
	w.book.setFault(func(c ledgerapi.Command) (bool, error) {
		if _, post := c.(ledgerapi.Post); post {
			return true, errDown
		}
		return true, nil
	})
	if a := w.pay(1, rcb); a.Ending != engine.Pending { // durable, but the answer was lost
		t.Errorf("got %+v", a)
	}
	w.book.setFault(nil)
	w.until("durable is posted", func() bool { return w.ledger(1) == ledgerapi.PayPosted })
	w.until("told so", func() bool {
		a, _ := w.hub.State(context.Background(), pid(1))
		return a.Ending == engine.Paid
	})
	w.net(rcb, 1)
	w.book.setFault(func(ledgerapi.Command) (bool, error) { return false, errors.New("disk nearly full") })
	if a := w.pay(2, rcb); a.Ending != engine.Refused || a.Why != engine.WhySystem {
		t.Errorf("nothing written: got %+v", a)
	}
	w.book.setFault(nil)
}

func TestHSMAway(t *testing.T) {
	w := newWorld(t, nil)
	w.hsm.SetAway(true)
	if a := w.pay(1, rcb); a.Ending != engine.Refused || a.Why != engine.WhySystem || w.ledger(1) != ledgerapi.PayNone {
		t.Errorf("no seal: got %+v, ledger %v", a, w.ledger(1))
	}
	w.hsm.SetAway(false)
	hold := make(chan struct{})
	w.hsm.Hold(hold)
	if a := w.pay(2, rcb); a.Ending != engine.Pending { // the send deadline passes
		t.Errorf("slow PIN: got %+v", a)
	}
	w.hsm.Hold(nil)
	close(hold)
	w.until("reversed all the same", func() bool { return w.ledger(2) == ledgerapi.PayVoided })
	if w.banks[rcb].Seen(profile.Debit) != 0 {
		t.Error("a 0200 left after its deadline")
	}
}

// TestHSMRestarts: the handles of working keys die with the process, and the
// links sign on again at the first payment that finds it out.
func TestHSMRestarts(t *testing.T) {
	w := newWorld(t, nil)
	w.pay(1, rcb)
	w.hsm.Restart()
	if a := w.pay(2, rcb); a.Ending != engine.NotCharged || w.ledger(2) != ledgerapi.PayVoided {
		t.Errorf("with keys that are gone: got %+v, ledger %v", a, w.ledger(2))
	}
	n := 2
	w.until("the bank takes payments again", func() bool { n++; return w.pay(n, rcb).Ending == engine.Paid })
	w.net(rcb, 2)
}

func TestCardSaysNo(t *testing.T) {
	w := newWorld(t, nil)
	w.pay(1, ccb)
	if err := w.hub.CardOutcome(context.Background(), pid(1), engine.CardAAC, nil); err != nil {
		t.Fatal(err)
	}
	w.until("taken back", func() bool { return w.ledger(1) == ledgerapi.PayVoided })
	w.net(ccb, 0)
	if got := w.banks[ccb].Field(profile.Reversal, 39); got != "06" {
		t.Errorf("got reason %s", got)
	}
	if got := w.banks[ccb].Field(profile.Reversal, 38); got != "A12345" {
		t.Errorf("got DE 38 %q", got)
	}
}

func TestProve(t *testing.T) {
	w := newWorld(t, func(p *profile.Profile) { p.Timers.Reply = 200 * time.Millisecond })
	i := w.intent(1, ccb)
	for _, c := range []struct {
		fault linktest.Fault
		want  engine.Verdict
	}{{linktest.Fault{}, engine.Proven}, {linktest.Fault{Code: "55"}, engine.WrongPIN}, {linktest.Fault{Mute: true}, engine.BankAway}} {
		w.banks[ccb].Script(fault(c.fault, profile.PINProof))
		a, err := w.hub.Prove(context.Background(), engine.Proof{ID: i.ID, Terminal: 9, Bank: ccb, Card: i.Card})
		if err != nil || a.Verdict != c.want {
			t.Errorf("%+v: got %+v, %v", c.fault, a, err)
		}
	}
	w.net(ccb, 0)
	if w.banks[ccb].Seen(profile.Reversal) != 0 {
		t.Error("a proof was reversed")
	}
}

func TestCloseID(t *testing.T) {
	w := newWorld(t, nil)
	ctx := context.Background()
	if a, err := w.hub.State(ctx, pid(1)); err != nil || a.Ending != 0 {
		t.Errorf("unknown id: got %+v, %v", a, err)
	}
	if err := w.hub.Close(ctx, pid(1)); err != nil {
		t.Fatal(err)
	}
	if w.ledger(1) != ledgerapi.PayTombstone {
		t.Errorf("ledger says %v", w.ledger(1))
	}
	if a := w.pay(1, rcb); a.Ending != engine.NotCharged || w.banks[rcb].Seen(profile.Debit) != 0 {
		t.Errorf("a closed id: got %+v", a)
	}
	w.pay(2, rcb)
	if err := w.hub.Close(ctx, pid(2)); err != nil || w.ledger(2) != ledgerapi.PayPosted {
		t.Errorf("closing a paid id: %v, ledger %v", err, w.ledger(2))
	}
}

// TestOthersKeepWaiting asks about a payment under way with another body and
// with a wish to close it: who waits for the payment still hears its ending.
func TestOthersKeepWaiting(t *testing.T) {
	w := newWorld(t, nil)
	free := make(chan struct{})
	w.banks[rcb].Script(fault(linktest.Fault{Wait: free}, profile.Debit))
	got := make(chan engine.Answer, 1)
	go func() {
		a, _ := w.hub.Pay(context.Background(), w.intent(1, rcb))
		got <- a
	}()
	w.until("sent", func() bool { return w.banks[rcb].Seen(profile.Debit) == 1 })
	other := w.intent(1, rcb)
	other.Total++
	if a, err := w.hub.Pay(context.Background(), other); err != nil || a.Refusal.Code != ledgerapi.IDReused {
		t.Errorf("another body: got %+v, %v; want ID_REUSED", a, err)
	}
	if err := w.hub.Close(context.Background(), pid(1)); err != nil {
		t.Errorf("closing a payment under way: %v", err)
	}
	close(free)
	if a := <-got; a.Ending != engine.Paid {
		t.Errorf("who waited was told %+v, want paid", a)
	}
}

func TestWaitAndContext(t *testing.T) {
	w := newWorld(t, nil)
	free := make(chan struct{})
	w.banks[rcb].Script(fault(linktest.Fault{Wait: free}, profile.Debit))
	ctx, cancel := context.WithCancel(context.Background())
	got := make(chan error, 1)
	go func() {
		a, err := w.hub.Pay(ctx, w.intent(1, rcb))
		if a.Ending != engine.Pending {
			err = fmt.Errorf("got %+v", a)
		}
		got <- err
	}()
	w.until("sent", func() bool { return w.banks[rcb].Seen(profile.Debit) == 1 })
	cancel()
	if err := <-got; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	close(free)
	w.until("paid without the caller", func() bool { return w.ledger(1) == ledgerapi.PayPosted })
}

func TestStopGivesTime(t *testing.T) {
	w := newWorld(t, nil)
	free := make(chan struct{})
	w.banks[rcb].Script(fault(linktest.Fault{Wait: free}, profile.Debit))
	told := make(chan engine.Answer, 1)
	go func() {
		a, _ := w.hub.Pay(context.Background(), w.intent(1, rcb))
		told <- a
	}()
	w.until("sent", func() bool { return w.banks[rcb].Seen(profile.Debit) == 1 })
	stopped := make(chan struct{})
	go func() {
		w.hub.Stop(context.Background())
		close(stopped)
	}()
	w.until("closed to new payments", func() bool { return !w.hub.BankUp(rcb) })
	close(free)
	<-stopped
	if a := <-told; a.Ending != engine.Paid || w.ledger(1) != ledgerapi.PayPosted {
		t.Errorf("a payment under way at Stop: got %+v, ledger %v", a, w.ledger(1))
	}
}

// TestMany runs many payments at once, over both banks, with faults, and counts.
func TestMany(t *testing.T) {
	// Deadlines that a loaded machine keeps: here only the faults count.
	w := newWorld(t, func(p *profile.Profile) { p.Timers.SendDeadline, p.Timers.Reply = 8*time.Second, 8*time.Second })
	n := 0
	for _, b := range w.banks {
		b.Script(func(k profile.Kind, _ *bankmsg.Message) linktest.Fault {
			if n++; k == profile.Debit && n%17 == 0 {
				return linktest.Fault{Wrong: 4}
			}
			if k == profile.Debit && n%13 == 0 {
				return linktest.Fault{Code: "51"}
			}
			return linktest.Fault{}
		})
		break // one source of numbers for one bank; the other is obedient
	}
	const many = 300
	var wg sync.WaitGroup
	answers := make([]engine.Answer, many)
	for i := range many {
		bank := rcb
		if i%2 == 1 {
			bank = ccb
		}
		wg.Go(func() { answers[i], _ = w.hub.Pay(context.Background(), w.intent(i+1, bank)) })
	}
	wg.Wait()
	w.until("nothing is open", func() bool { return len(w.hub.Unresolved()) == 0 })
	paid := 0
	for i, a := range answers {
		switch got := w.ledger(i + 1); got {
		case ledgerapi.PayPosted:
			paid++
		case ledgerapi.PayVoided:
			if a.Ending == engine.Paid {
				t.Errorf("payment %d: told paid, ledger %v", i+1, got)
			}
		default:
			t.Errorf("payment %d: told %+v, ledger %v", i+1, a, got)
		}
	}
	a, _ := w.banks[rcb].Net()
	b, _ := w.banks[ccb].Net()
	if a+b != paid || paid < many*8/10 {
		t.Errorf("the banks debited %d, the ledger posted %d of %d", a+b, paid, many)
	}
}

// TestCanary holds that no log line names a card.
func TestCanary(t *testing.T) {
	w := newWorld(t, func(p *profile.Profile) { p.Timers.Reply = 100 * time.Millisecond })
	w.banks[rcb].Script(fault(linktest.Fault{BadMAC: true}, profile.Debit))
	w.pay(1, rcb)
	w.until("reversed", func() bool { return w.ledger(1) == ledgerapi.PayVoided })
	w.stop()
	pan := w.intent(1, rcb).Card.PAN.Reveal("test")
	text := w.log.String()
	if !strings.Contains(text, pid(1).String()) {
		t.Error("the log does not name the payment")
	}
	for _, secret := range []string{pan, pan[6:12], "sixteen byte pin", "D3012201"} {
		if strings.Contains(text, secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
	p, _ := w.book.Payment(pid(1))
	if bytes.Contains(p.Memo, []byte(pan)) {
		t.Error("the memo holds the PAN in the clear")
	}
}

func TestNewRefuses(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("an empty configuration was accepted")
	}
	w := newWorld(t, nil)
	if err := w.hub.Start(context.Background()); !errors.Is(err, ErrStarted) {
		t.Errorf("second Start: got %v", err)
	}
	if _, err := New(Config{Ledger: w.book, HSM: w.hsm, Profiles: []*profile.Profile{w.profs[0], w.profs[0]}}); err == nil {
		t.Error("one bank twice was accepted")
	}
}

func TestTimeOf(t *testing.T) {
	for _, c := range []struct {
		de7  string
		date si.BusinessDate
		want string
	}{
		{"1122093005", si.Date(2026, 11, 22), "2026-11-22 09:30:05"},
		{"1231235959", si.Date(2027, 1, 1), "2026-12-31 23:59:59"},
		{"0101000001", si.Date(2026, 12, 31), "2027-01-01 00:00:01"},
	} {
		var de7 [10]byte
		copy(de7[:], c.de7)
		if got := timeOf(de7, c.date).Format("2006-01-02 15:04:05"); got != c.want {
			t.Errorf("timeOf(%s, %v): got %s, want %s", c.de7, c.date, got, c.want)
		}
	}
}

func TestMailbox(t *testing.T) {
	m := newMailbox[int](2)
	m.put(1)
	m.put(2)
	m.put(3) // put is never refused for want of room
	offered := make(chan bool)
	go func() { offered <- m.offer(4) }()
	if got := fmt.Sprint(m.take()); got != "[1 2 3]" {
		t.Errorf("take: got %s", got)
	}
	if !<-offered {
		t.Error("offer was refused although there is room now")
	}
	if x, ok := m.one(); !ok || x != 4 {
		t.Errorf("one: got %d, %v", x, ok)
	}
	if _, ok := m.one(); ok {
		t.Error("one gives something of an empty box")
	}
	m.put(5)
	m.put(6)
	go func() { offered <- m.offer(7) }()
	m.close()
	if <-offered || m.put(8) {
		t.Error("a closed box takes")
	}
}
