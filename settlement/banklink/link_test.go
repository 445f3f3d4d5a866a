package banklink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/shebao-pay/shebao/settlement/banklink/linktest"
	"github.com/shebao-pay/shebao/settlement/bankmsg"
	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func testProfile(t testing.TB, code string) *profile.Profile {
	t.Helper()
	p, err := profile.LoadFS(os.DirFS("../../data/banks"), code)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Terminals) > 1 {
		q := *p
		q.Terminals = p.Terminals[:1]
		p = &q
	}
	return p
}

func testCodec(t testing.TB, code string) *bankmsg.Codec {
	t.Helper()
	c, err := bankmsg.Compile(testProfile(t, code))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// ear collects events and lets a test wait for one.
type ear struct {
	mu   sync.Mutex
	list []Event
	more chan struct{}
}

func newEar() *ear { return &ear{more: make(chan struct{}, 1)} }

func (e *ear) Deliver(ev Event) {
	e.mu.Lock()
	e.list = append(e.list, ev)
	e.mu.Unlock()
	select {
	case e.more <- struct{}{}:
	default:
	}
}

// wait takes the first event of a kind.
func (e *ear) wait(t *testing.T, k EventKind) Event {
	t.Helper()
	over := time.NewTimer(10 * time.Second)
	defer over.Stop()
	for {
		e.mu.Lock()
		for i, ev := range e.list {
			if ev.Kind == k {
				e.list = append(e.list[:i], e.list[i+1:]...)
				e.mu.Unlock()
				return ev
			}
		}
		e.mu.Unlock()
		select {
		case <-e.more:
		case <-over.C:
			t.Fatalf("no event %d came; there are %+v", k, e.list)
		}
	}
}

// take empties the list.
func (e *ear) take() []Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := e.list
	e.list = nil
	return list
}

func (e *ear) count(k EventKind) (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, ev := range e.list {
		if ev.Kind == k {
			n++
		}
	}
	return n
}

// line is a pool with its bank, HSM and ear.
type line struct {
	t    *testing.T
	bank *linktest.Bank
	hsm  *linktest.HSM
	ear  *ear
	pool *Pool
	prof *profile.Profile
	link uint8
	at   Event // the LinkUp
	day  [10]byte
}

func newLine(t *testing.T, code string, change func(*profile.Profile)) *line {
	t.Helper()
	return newLineOn(t, code, change, nil)
}

// newLineOn is newLine with connections of the test's own.
func newLineOn(t *testing.T, code string, change func(*profile.Profile), dial func(context.Context, string) (net.Conn, error)) *line {
	t.Helper()
	p := testProfile(t, code)
	q := *p
	q.Timers.ReconnectMin, q.Timers.ReconnectMost = time.Millisecond, 20*time.Millisecond
	if change != nil {
		change(&q)
	}
	bank, err := linktest.NewBank(&q)
	if err != nil {
		t.Fatal(err)
	}
	codec, err := bankmsg.Compile(&q)
	if err != nil {
		t.Fatal(err)
	}
	l := &line{t: t, bank: bank, hsm: &linktest.HSM{}, ear: newEar(), prof: &q, day: de7(time.Now())}
	l.pool, err = New(Config{Codec: codec, Addrs: []string{bank.Addr}, HSM: l.hsm, Sink: l.ear, Rand: func() uint64 { return 1 }, Dial: dial})
	if err != nil {
		t.Fatal(err)
	}
	l.pool.Start(context.Background())
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		l.pool.Stop(ctx)
		bank.Close()
	})
	l.at = l.ear.wait(t, LinkUp)
	return l
}

func (l *line) debit(n uint32) *Request {
	l.t.Helper()
	pan, err := si.ParsePAN("6299000100000008")
	if err != nil {
		digit, _ := si.LuhnDigit("629900010000000")
		if pan, err = si.ParsePAN("629900010000000" + string(digit)); err != nil {
			l.t.Fatal(err)
		}
	}
	track, err := si.ParseTrack2(pan.Reveal("test") + "D30122010000000000")
	if err != nil {
		l.t.Fatal(err)
	}
	size := 8
	if l.prof.PINFormat != si.PINFormat0TDES {
		size = 16
	}
	block, err := si.NewPINBlock([]byte("0123456789abcdef")[:size])
	if err != nil {
		l.t.Fatal(err)
	}
	key, _ := l.pool.PINKey(l.link)
	d := &bankmsg.DebitRequest{
		STAN: n, At: time.Now(), Amount: 38000,
		Card: bankmsg.CardPart{PAN: pan, PSN: "01", Track2: track, Expiry: "3012", PINBlock: block, DE55: []byte{0x9F, 0x36, 2, 0, 7}},
	}
	if l.prof.Dialect == profile.POS {
		d.Place = bankmsg.Place{Terminal: l.prof.Terminals[0], Batch: l.at.Batch}
	}
	copy(d.RRN[:], fmt.Sprintf("6326%08d", n))
	d.DE7 = l.day
	return &Request{ID: si.PaymentID{15: byte(n), 14: byte(n >> 8)}, Seq: n, PINKey: key, Debit: d}
}

func (l *line) reversal(n uint32) *Request {
	d := l.debit(n).Debit
	return &Request{ID: si.PaymentID{15: byte(n), 14: byte(n >> 8)}, Seq: n, Reversal: &bankmsg.ReversalRequest{
		Place: d.Place, STAN: n, RRN: d.RRN, DE7: d.DE7, At: d.At, Amount: d.Amount, PAN: d.Card.PAN, PSN: "01", Expiry: "3012",
		Reason: "98", EMV: d.Card.DE55,
	}}
}

func (l *line) send(r *Request) {
	l.t.Helper()
	if !l.pool.Send(l.link, r) {
		l.t.Fatal("Send refused a request on a link that is up")
	}
}

// banks are one of each dialect and key form.
var banks = []string{"rcb", "icbc", "ccb", "boc"}

func TestDebitAndReversal(t *testing.T) {
	for _, code := range banks {
		t.Run(code, func(t *testing.T) {
			l := newLine(t, code, nil)
			if l.prof.Dialect == profile.POS && (l.at.Batch != 41 || string(l.at.Acq[:]) != l.prof.Terminals[0].DE41) {
				t.Errorf("LinkUp: got %+v, want the bank's batch and the virtual terminal", l.at)
			}
			r := l.debit(7)
			l.send(r)
			ev := l.ear.wait(t, Replied)
			if ev.ID != r.ID || ev.Seq != 7 || ev.Op != profile.Debit || ev.Reply.MAC != MACGood || ev.Reply.Mismatch || string(ev.Reply.Resp[:]) != "00" || string(ev.Reply.Auth[:]) != "A12345" {
				t.Fatalf("got %+v", ev)
			}
			codec := testCodec(t, code)
			if covered := codec.Covered(profile.Debit, 15); (ev.Reply.Date != 0) != covered {
				t.Errorf("DE 15: got date %v, covered by the code %v", ev.Reply.Date, covered)
			}
			if n, sum := l.bank.Net(); n != 1 || sum != 38000 {
				t.Errorf("the bank debited %d payments, %d fen", n, sum)
			}
			l.send(l.reversal(7))
			if ev = l.ear.wait(t, Replied); ev.Op != profile.Reversal || string(ev.Reply.Resp[:]) != "00" {
				t.Fatalf("reversal: got %+v", ev)
			}
			if n, _ := l.bank.Net(); n != 0 {
				t.Error("the debit still stands")
			}
			if l.bank.Field(profile.Reversal, 52) != "" || l.bank.Field(profile.Reversal, 35) != "" {
				t.Error("a reversal carries track or PIN block")
			}
			again := l.reversal(7)
			again.Reversal.Repeat = true
			l.send(again)
			l.ear.wait(t, Replied)
			if got := l.bank.Field(profile.Reversal, 0); got != "0401" && got != "0421" {
				t.Errorf("repeat: got type %s", got)
			}
			l.pool.Stop(context.Background())
			if !r.Debit.Card.PAN.IsZero() || !r.Debit.Card.PINBlock.IsZero() || !again.Reversal.PAN.IsZero() {
				t.Error("a request still holds the card after it was sent")
			}
		})
	}
}

func TestProofNumbers(t *testing.T) {
	l := newLine(t, "rcb", nil)
	d := l.debit(1)
	l.send(&Request{ID: d.ID, Seq: 1, PINKey: d.PINKey, Proof: &bankmsg.ProofRequest{Place: d.Debit.Place, Card: d.Debit.Card}})
	if ev := l.ear.wait(t, Replied); ev.Op != profile.PINProof || string(ev.Reply.Resp[:]) != "00" {
		t.Fatalf("got %+v", ev)
	}
	if stan := l.bank.Field(profile.PINProof, 11); stan < "900000" {
		t.Errorf("a proof took trace number %s, which belongs to payments", stan)
	}
	if n, _ := l.bank.Net(); n != 0 {
		t.Error("a proof moved money")
	}
}

func TestBadReplies(t *testing.T) {
	for name, c := range map[string]struct {
		fault linktest.Fault
		mac   MACState
		diff  bool
	}{
		"bad code":     {linktest.Fault{BadMAC: true}, MACBad, false},
		"other amount": {linktest.Fault{Wrong: 4}, MACGood, true},
	} {
		l := newLine(t, "ccb", nil)
		l.bank.Script(func(profile.Kind, *bankmsg.Message) linktest.Fault { return c.fault })
		l.send(l.debit(1))
		ev := l.ear.wait(t, Replied)
		if ev.Reply.MAC != c.mac || ev.Reply.Mismatch != c.diff || ev.Reply.Date != 0 || ev.Reply.Issuer.Auth != nil {
			t.Errorf("%s: got %+v", name, ev.Reply)
		}
		for n := uint32(2); n <= 3; n++ { // three in a row
			l.send(l.debit(n))
			l.ear.wait(t, Replied)
		}
		l.ear.wait(t, LinkDown)
		l.bank.Script(nil)
		l.ear.wait(t, LinkUp) // it comes back by itself, with a new sign-on
	}
}

// TestBadRepliesApart has a good reply between any two bad ones, all within one
// tick of the link: they are not in a row.
func TestBadRepliesApart(t *testing.T) {
	l := newLine(t, "ccb", nil)
	n := 0
	l.bank.Script(func(profile.Kind, *bankmsg.Message) linktest.Fault {
		n++
		return linktest.Fault{BadMAC: n%2 == 1}
	})
	for n := uint32(1); n <= 40; n++ {
		l.send(l.debit(n))
		l.ear.wait(t, Replied)
	}
	if l.ear.count(LinkDown) != 0 {
		t.Error("the link was taken down")
	}
}

func TestOtherTraceNumberIsStray(t *testing.T) {
	l := newLine(t, "rcb", nil)
	l.bank.Script(func(k profile.Kind, _ *bankmsg.Message) linktest.Fault { return linktest.Fault{Wrong: 11} })
	l.send(l.debit(1))
	ev := l.ear.wait(t, Stray)
	if ev.STAN != 2 || ev.Op != profile.Debit || ev.Batch != 41 || string(ev.Acq[:]) != l.prof.Terminals[0].DE41 || ev.Reply.MAC != MACGood {
		t.Errorf("got %+v", ev)
	}
	if l.ear.count(Replied) != 0 {
		t.Error("a reply with another trace number was matched")
	}
}

func TestLateAndDuplicateReplies(t *testing.T) {
	l := newLine(t, "ccb", func(p *profile.Profile) { p.Timers.Reply = time.Millisecond })
	free := make(chan struct{})
	l.bank.Script(func(profile.Kind, *bankmsg.Message) linktest.Fault { return linktest.Fault{Wait: free} })
	r := l.debit(9)
	l.send(r)
	for l.pool.Counters().Timeouts == 0 { // the slot goes a second after its owner gave up
		time.Sleep(tick)
	}
	close(free)
	if ev := l.ear.wait(t, Stray); ev.STAN != 9 || string(ev.DE7[:]) != string(r.Debit.DE7[:]) || ev.Reply.MAC != MACGood || string(ev.Reply.Resp[:]) != "00" {
		t.Errorf("late: got %+v", ev)
	}
	l.bank.Script(func(profile.Kind, *bankmsg.Message) linktest.Fault { return linktest.Fault{Twice: true} })
	l.send(l.debit(10))
	l.ear.wait(t, Replied)
	if ev := l.ear.wait(t, Stray); ev.STAN != 10 {
		t.Errorf("duplicate: got %+v", ev)
	}
}

func TestLostAndNotSent(t *testing.T) {
	l := newLine(t, "rcb", nil)
	l.bank.Script(func(profile.Kind, *bankmsg.Message) linktest.Fault { return linktest.Fault{Hang: true} })
	l.send(l.debit(1))
	if ev := l.ear.wait(t, Lost); ev.Seq != 1 || ev.Op != profile.Debit {
		t.Errorf("got %+v", ev)
	}
	l.ear.wait(t, LinkDown)
	l.bank.Script(nil)
	l.ear.wait(t, LinkUp)

	late := l.debit(2)
	late.By = time.Now().Add(-time.Second)
	l.send(late)
	if ev := l.ear.wait(t, NotSent); ev.Seq != 2 || !ev.Late || !errors.Is(ev.Err, errLate) {
		t.Errorf("after the send deadline: got %+v", ev)
	}
	old := l.debit(3)
	old.PINKey++
	l.send(old)
	if ev := l.ear.wait(t, NotSent); ev.Seq != 3 || ev.Late || !errors.Is(ev.Err, errKeyChanged) {
		t.Errorf("with another PIN key: got %+v", ev)
	}
	broken := l.debit(4)
	broken.Debit.Amount = 0
	l.send(broken)
	if ev := l.ear.wait(t, NotSent); ev.Seq != 4 {
		t.Errorf("a message that cannot be made: got %+v", ev)
	}
	free := make(chan struct{})
	l.bank.Script(func(profile.Kind, *bankmsg.Message) linktest.Fault { return linktest.Fault{Wait: free} })
	l.send(l.debit(5))
	same := l.debit(5)
	same.Seq = 6
	l.send(same)
	if ev := l.ear.wait(t, NotSent); ev.Seq != 6 || !errors.Is(ev.Err, errTaken) {
		t.Errorf("a live key again: got %+v", ev)
	}
	close(free)
	if ev := l.ear.wait(t, Replied); ev.Seq != 5 {
		t.Errorf("the first of two equal keys: got %+v", ev)
	}
	if n := l.bank.Seen(profile.Debit); n != 2 {
		t.Errorf("the bank saw %d debits, want the two that left", n)
	}
	if l.pool.Send(7, l.debit(8)) {
		t.Error("a link that does not exist took a request")
	}
}

func TestHSMAway(t *testing.T) {
	l := newLine(t, "ccb", nil)
	l.send(l.debit(9)) // what the sign-on left to write needs its codes, too
	l.ear.wait(t, Replied)
	l.hsm.SetAway(true)
	l.send(l.debit(1))
	if ev := l.ear.wait(t, NotSent); ev.Seq != 1 {
		t.Errorf("got %+v", ev)
	}
	l.ear.wait(t, LinkDown)
	l.hsm.SetAway(false)
	l.ear.wait(t, LinkUp)
	if n := l.bank.Seen(profile.Debit); n != 1 {
		t.Errorf("%d frames without a code left", n-1)
	}
	free := make(chan struct{})
	l.bank.Script(func(profile.Kind, *bankmsg.Message) linktest.Fault { return linktest.Fault{Wait: free} })
	l.send(l.debit(2))
	for l.bank.Seen(profile.Debit) == 1 {
		time.Sleep(time.Millisecond)
	}
	l.hsm.SetAway(true) // the reply cannot be checked: it is no reply
	close(free)
	if ev := l.ear.wait(t, Lost); ev.Seq != 2 {
		t.Errorf("got %+v", ev)
	}
	l.hsm.SetAway(false)
}

func TestKeysThatDoNotCheck(t *testing.T) {
	for _, code := range []string{"rcb", "ccb"} {
		l := newLine(t, code, nil)
		key, _ := l.pool.PINKey(0)
		l.bank.BadKeys(true)
		l.pool.SignOn(0)
		if code == "ccb" {
			l.bank.HangUp()
		}
		l.ear.wait(t, LinkDown)
		l.ear.wait(t, Alarm)
		if now, ok := l.pool.PINKey(0); !ok || now != key {
			t.Errorf("%s: the old key is gone", code)
		}
		if l.pool.Send(0, l.debit(1)) {
			t.Errorf("%s: a link without a good sign-on took a request", code)
		}
		l.bank.BadKeys(false)
		l.ear.wait(t, LinkUp)
		if now, _ := l.pool.PINKey(0); now == key {
			t.Errorf("%s: the new key was not taken", code)
		}
	}
}

// TestKeysOfANewConnection hangs up and comes back: keys are of a connection, so
// the answers to their delivery must not carry a code of the one before, which
// the bank cannot check.
func TestKeysOfANewConnection(t *testing.T) {
	for _, code := range []string{"ccb", "boc"} {
		l := newLine(t, code, nil)
		for n := uint32(1); n <= 3; n++ {
			l.bank.HangUp()
			l.ear.wait(t, LinkDown)
			l.ear.wait(t, LinkUp)
			l.send(l.debit(n)) // behind the last answer on the same connection
			l.ear.wait(t, Replied)
		}
		if got := l.bank.Strange(); got != 0 {
			t.Errorf("%s: %d answers to key deliveries were under a key of an earlier connection", code, got)
		}
	}
}

// TestKeyChangeInFlight changes the keys with requests under way on both
// dialects: each reply is checked with its request's generation.
func TestKeyChangeInFlight(t *testing.T) {
	for _, code := range []string{"icbc", "ccb"} {
		t.Run(code, func(t *testing.T) {
			l := newLine(t, code, nil)
			free := make(chan struct{})
			l.bank.Script(func(profile.Kind, *bankmsg.Message) linktest.Fault { return linktest.Fault{Wait: free} })
			const many = 200
			for n := uint32(1); n <= many; n++ {
				l.send(l.debit(n))
			}
			for l.bank.Seen(profile.Debit) < many {
				time.Sleep(time.Millisecond)
			}
			before := l.pool.Counters().KeyChanges
			if l.prof.Dialect == profile.POS {
				l.pool.SignOn(0)
				l.ear.wait(t, LinkUp)
			} else {
				l.bank.NewKeys()
				for l.pool.Counters().KeyChanges < before+2 {
					time.Sleep(time.Millisecond)
				}
			}
			close(free)
			for range many {
				if ev := l.ear.wait(t, Replied); ev.Reply.MAC != MACGood || ev.Reply.Mismatch {
					t.Fatalf("a payment of the old keys was lost: %+v", ev)
				}
			}
			l.bank.Script(nil)
			l.send(l.debit(many + 1))
			if ev := l.ear.wait(t, Replied); ev.Reply.MAC != MACGood {
				t.Errorf("a payment of the new keys: %+v", ev)
			}
		})
	}
}

// TestBatchChangeInFlight moves a virtual terminal to the next batch while as many
// payments as a batch may have are under way: each is answered under its own
// batch, and those that follow are of the next.
func TestBatchChangeInFlight(t *testing.T) {
	const many = 900
	l := newLine(t, "icbc", func(p *profile.Profile) { p.Limits.InFlight = many })
	old := l.at.Batch
	free := make(chan struct{})
	l.bank.Script(func(profile.Kind, *bankmsg.Message) linktest.Fault { return linktest.Fault{Wait: free} })
	for n := uint32(1); n <= many; n++ {
		l.send(l.debit(n))
	}
	for l.bank.Seen(profile.Debit) < many {
		time.Sleep(time.Millisecond)
	}
	l.bank.NextBatch()
	l.pool.SignOn(0)
	up := l.ear.wait(t, LinkUp)
	if up.Batch != old+1 {
		t.Fatalf("the link is in batch %d, want %d", up.Batch, old+1)
	}
	close(free)
	for range many {
		if ev := l.ear.wait(t, Replied); ev.Reply.MAC != MACGood || ev.Reply.Mismatch {
			t.Fatalf("a payment of the batch before was lost: %+v", ev)
		}
	}
	if n := l.ear.count(Stray); n != 0 {
		t.Errorf("%d answers were taken for nobody's", n)
	}
	l.bank.Script(nil)
	l.at = up
	l.send(l.debit(1)) // the same trace number: the batch tells them apart
	if ev := l.ear.wait(t, Replied); ev.Reply.MAC != MACGood || ev.Reply.Mismatch {
		t.Errorf("a payment of the next batch: %+v", ev)
	}
	if got := l.bank.Field(profile.Debit, 60)[2:8]; got != fmt.Sprintf("%06d", old+1) {
		t.Errorf("it left in batch %s, want %d", got, old+1)
	}
	if n, _ := l.bank.Net(); n != many+1 {
		t.Errorf("the bank has %d debits, want %d", n, many+1)
	}
}

func TestEchoKeepsAndEnds(t *testing.T) {
	l := newLine(t, "ccb", func(p *profile.Profile) {
		p.Timers.EchoIdle, p.Timers.SignOn = 2*tick, 5*tick
	})
	for l.bank.Seen(profile.Echo) < 3 {
		time.Sleep(tick)
	}
	if l.ear.count(LinkDown) != 0 {
		t.Fatal("an answered echo took the link down")
	}
	l.bank.Script(func(k profile.Kind, _ *bankmsg.Message) linktest.Fault {
		return linktest.Fault{Mute: k == profile.Echo}
	})
	l.ear.wait(t, LinkDown)
	l.bank.Script(nil)
	l.ear.wait(t, LinkUp)
}

func TestBreakerOfPool(t *testing.T) {
	l := newLine(t, "ccb", func(p *profile.Profile) {
		p.Timers.Reply = time.Millisecond
		p.Limits.BreakerCount, p.Limits.BreakerWindow = 5, 3*time.Second
	})
	l.bank.Script(func(k profile.Kind, _ *bankmsg.Message) linktest.Fault {
		return linktest.Fault{Deaf: k == profile.Debit}
	})
	for n := uint32(1); n <= 5; n++ {
		l.send(l.debit(n))
	}
	l.ear.wait(t, BreakerOpen)
	if l.ear.count(LinkDown) != 0 {
		t.Error("the breaker took the link down: reversals still need it")
	}
	l.ear.wait(t, BreakerClosed) // by the answer to its probe
	if n := l.bank.Seen(profile.Echo); n != 1 {
		t.Errorf("%d probes, want 1", n)
	}
}

func TestOrderAndCoalescing(t *testing.T) {
	l := newLine(t, "ccb", nil)
	const many = 400 // under the bank's cap per link
	free := make(chan struct{})
	l.bank.Script(func(profile.Kind, *bankmsg.Message) linktest.Fault { return linktest.Fault{Wait: free} })
	before := l.pool.Counters()
	reqs := make([]*Request, many)
	for i := range reqs {
		reqs[i] = l.debit(uint32(i + 1))
	}
	for _, r := range reqs {
		l.send(r)
	}
	for l.bank.Seen(profile.Debit) < many {
		time.Sleep(time.Millisecond)
	}
	close(free) // the answers come in no order at all
	seen := map[uint32]bool{}
	for range many {
		ev := l.ear.wait(t, Replied)
		if seen[ev.Seq] || ev.Reply.MAC != MACGood {
			t.Fatalf("got %+v", ev)
		}
		seen[ev.Seq] = true
	}
	after := l.pool.Counters()
	t.Logf("%d requests in %d writes, %d jobs in %d HSM calls", many, after.Writes-before.Writes, l.hsm.MACJobs.Load(), l.hsm.MACCalls.Load())
	if after.Writes-before.Writes >= many || l.hsm.MACCalls.Load() >= l.hsm.MACJobs.Load() {
		t.Error("nothing travelled together")
	}
}

// TestQueueBound holds the bound of the queue of a link.
func TestQueueBound(t *testing.T) {
	l := newLine(t, "ccb", func(p *profile.Profile) { p.Limits.InFlight = 3 })
	link := l.pool.links[0]
	link.mu.Lock() // nothing leaves the queue meanwhile
	for n := uint32(1); n <= 4; n++ {
		if got, want := link.enqueue(l.debit(n)), n <= 3; got != want {
			t.Errorf("request %d of a queue of 3: taken %v, want %v", n, got, want)
		}
	}
	link.mu.Unlock()
	link.rouse()
	for range 3 {
		l.ear.wait(t, Replied)
	}
	l.send(l.debit(4))
	l.ear.wait(t, Replied)
}

func TestStopDrains(t *testing.T) {
	l := newLine(t, "rcb", nil)
	free := make(chan struct{})
	l.bank.Script(func(profile.Kind, *bankmsg.Message) linktest.Fault { return linktest.Fault{Wait: free} })
	l.send(l.debit(1))
	for l.bank.Seen(profile.Debit) == 0 {
		time.Sleep(time.Millisecond)
	}
	stopped := make(chan struct{})
	go func() {
		l.pool.Stop(context.Background())
		close(stopped)
	}()
	l.ear.wait(t, LinkDown)
	close(free)
	if ev := l.ear.wait(t, Replied); string(ev.Reply.Resp[:]) != "00" {
		t.Errorf("got %+v", ev)
	}
	<-stopped
	for l.bank.Seen(profile.SignOff) == 0 {
		time.Sleep(time.Millisecond)
	}
	if s := l.pool.States(); s[0] != Stopped {
		t.Errorf("got state %v", s[0])
	}
	l.pool.Stop(context.Background())
}

// TestGarbage lets a peer that is no bank answer.
func TestGarbage(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			_ = c.Close()
		}
	})
	p := *testProfile(t, "ccb")
	p.Timers.ReconnectMin, p.Timers.ReconnectMost = time.Millisecond, 5*time.Millisecond
	codec, err := bankmsg.Compile(&p)
	if err != nil {
		t.Fatal(err)
	}
	e := newEar()
	pool, err := New(Config{Codec: codec, Addrs: []string{ln.Addr().String()}, HSM: &linktest.HSM{}, Sink: e, Rand: func() uint64 { return 1 }})
	if err != nil {
		t.Fatal(err)
	}
	pool.Start(context.Background())
	for range 3 {
		if ev := e.wait(t, Alarm); !errors.Is(ev.Err, bankmsg.ErrFrame) {
			t.Errorf("got %v", ev.Err)
		}
	}
	pool.Stop(context.Background())
	_ = ln.Close()
	wg.Wait()
}

func TestNewRefuses(t *testing.T) {
	codec := testCodec(t, "rcb")
	for name, c := range map[string]Config{
		"nothing":    {},
		"no address": {Codec: codec, HSM: &linktest.HSM{}, Sink: newEar(), Rand: func() uint64 { return 0 }},
		"too many links": {Codec: testCodec(t, "ccb"), HSM: &linktest.HSM{}, Sink: newEar(), Rand: func() uint64 { return 0 },
			Addrs: make([]string, MaxLinks+1)},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
