package terminal

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/shebao-pay/shebao/cardauth"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/termapi"
	"github.com/shebao-pay/shebao/terminal/device"
	"github.com/shebao-pay/shebao/terminal/flow"
	"github.com/shebao-pay/shebao/terminal/hub"
	"github.com/shebao-pay/shebao/terminal/journal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Canaries: values that must not be found in the journal or the log.
var (
	canaryBlock    = []byte("PINBLOCKCANARY01")
	canaryEnvelope = []byte("ENVELOPE-CANARY-WITH-PAN-AND-ID")
	canaryDE55     = []byte("DE55-CANARY")
	canaryName     = "李*金丝雀"
)

// slot is a card slot whose card does what the fields say.
type slot struct {
	events  chan device.CardEvent
	mu      sync.Mutex
	ejected int
	pin     func(ctx context.Context) error // nil: entered at once
	word    cardauth.Outcome
}

func newSlot() *slot {
	s := &slot{events: make(chan device.CardEvent, 16), word: cardauth.OutcomeTC}
	s.events <- device.CardEvent{Kind: device.SlotReady}
	return s
}

func (s *slot) Events() <-chan device.CardEvent { return s.events }
func (s *slot) in()                             { s.events <- device.CardEvent{Kind: device.CardIn} }
func (s *slot) pull()                           { s.events <- device.CardEvent{Kind: device.CardOut} }

func (s *slot) Read(context.Context) cardauth.Card {
	return cardauth.Card{Session: [16]byte{7}, Bank: "rcb", MaskedName: canaryName, IDTail: "0017", PANTail: "1234"}
}

func (s *slot) Envelope() (uint64, []byte, error) { return 1, bytes.Clone(canaryEnvelope), nil }

func (s *slot) EnterPIN(ctx context.Context, _ si.Fen, keys func(int)) (device.PINResult, error) {
	keys(1)
	if s.pin != nil {
		if err := s.pin(ctx); err != nil {
			return device.PINResult{}, err
		}
	}
	b, err := si.NewPINBlock(canaryBlock)
	return device.PINResult{Block: b, Key: "terminal-1/tpk", Format: si.PINFormat4AES}, err
}

func (s *slot) Authorise(_ context.Context, _ cardauth.Purpose, _ si.Fen, pin device.PINResult) (cardauth.Proof, cardauth.Problem) {
	return cardauth.Proof{Counter: 2, Envelope: bytes.Clone(canaryEnvelope), DE55: bytes.Clone(canaryDE55),
		PINBlock: pin.Block, PINKey: pin.Key, PINFormat: pin.Format}, cardauth.OK
}

func (s *slot) Complete(context.Context, cardauth.HostAnswer) cardauth.LastWord {
	return cardauth.LastWord{Outcome: s.word, DE55: []byte{0x95, 0x05}}
}

func (s *slot) Eject() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ejected++
}

// printer prints at once.
type printer struct {
	mu   sync.Mutex
	docs [][]byte
}

func (p *printer) State(context.Context) device.PrinterState { return device.PrinterReady }

func (p *printer) Print(_ context.Context, doc []byte, _ func(device.JobState)) (device.JobState, device.PrinterState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.docs = append(p.docs, bytes.Clone(doc))
	return device.JobPresented, device.PrinterReady
}

// truth is a hub that posts what it is asked, and remembers everything.
type truth struct {
	mu      sync.Mutex
	pays    map[string]*termapi.PaymentState
	closed  map[string]bool
	sent    []termapi.Payment
	asked   map[string]int
	beat    func() (termapi.HeartbeatAck, error)
	lose    bool // Pay reaches the hub, its answer is lost
	never   bool // Pay does not reach the hub, and nobody knows
	records int
	acked   uint64
}

func newTruth() *truth {
	return &truth{pays: map[string]*termapi.PaymentState{}, closed: map[string]bool{}, asked: map[string]int{}}
}

var testConfig = termapi.Config{Version: 1, RegionName: "示范区", Hotline: "12333",
	Banks: []termapi.BankInfo{{Code: "rcb", Name: "农商银行", Up: true}}}

func (h *truth) Open(context.Context, termapi.Session) (termapi.SessionOpened, error) {
	return termapi.SessionOpened{Session: strings.Repeat("0", 32), CardToken: "a1b2c3d4", BankUp: true}, nil
}
func (h *truth) Leave(context.Context, string) error { return nil }
func (h *truth) Prove(_ context.Context, _ string, p termapi.PINProof) (termapi.PINProofResult, error) {
	if !bytes.Equal(p.Auth.PINBlock, canaryBlock) || !bytes.Equal(p.Auth.DE55, canaryDE55) {
		return termapi.PINProofResult{}, errors.New("the proof came without its block")
	}
	return termapi.PINProofResult{Result: termapi.PINProven, IssuerData: termapi.IssuerData{ARC: "00"}}, nil
}
func (h *truth) Overview(context.Context, string) (termapi.Overview, error) {
	return termapi.Overview{Name: canaryName, Unpaid: 1, UnpaidFen: 100}, nil
}
func (h *truth) Dues(context.Context, string) (termapi.Dues, error) {
	return termapi.Dues{MaxDues: 24, Dues: []termapi.Due{{ID: "1", Fund: "MED_RES", Period: "2026", Amount: 100, State: "OPEN", Payable: true}}}, nil
}
func (h *truth) Receipts(context.Context, string) (termapi.Receipts, error) {
	return termapi.Receipts{}, nil
}

func (h *truth) Pay(_ context.Context, p termapi.Payment) (termapi.PaymentState, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	q := p
	q.Auth = termapi.CardAuth{PINBlock: bytes.Clone(p.Auth.PINBlock)}
	h.sent = append(h.sent, q)
	if h.never {
		return termapi.PaymentState{}, &hub.Error{Kind: hub.Unknown, Err: errors.New("lost")}
	}
	if h.closed[p.ID] {
		return termapi.PaymentState{ID: p.ID, State: termapi.PaymentRefused}, nil
	}
	if h.pays[p.ID] == nil {
		h.pays[p.ID] = &termapi.PaymentState{ID: p.ID, State: termapi.PaymentPosted, Total: p.Total, AwaitCard: true,
			Receipt: &termapi.Receipt{No: "R" + p.ID[:8], Total: p.Total}}
	}
	if h.lose {
		return termapi.PaymentState{}, &hub.Error{Kind: hub.Unknown, Err: errors.New("lost")}
	}
	return *h.pays[p.ID], nil
}

func (h *truth) Payment(_ context.Context, id si.PaymentID) (termapi.PaymentState, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked[id.String()]++
	if p := h.pays[id.String()]; p != nil {
		return *p, nil
	}
	return termapi.PaymentState{}, &hub.Error{Kind: hub.Refused, Code: termapi.ErrNotFound}
}

func (h *truth) ClosePayment(_ context.Context, id si.PaymentID) (termapi.PaymentState, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p := h.pays[id.String()]; p != nil {
		return *p, nil
	}
	h.closed[id.String()] = true
	return termapi.PaymentState{ID: id.String(), State: termapi.PaymentNotCharged}, nil
}

func (h *truth) CardOutcome(_ context.Context, id si.PaymentID, o termapi.CardOutcome) (termapi.PaymentState, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked[id.String()]++
	p := h.pays[id.String()]
	if p == nil {
		return termapi.PaymentState{}, &hub.Error{Kind: hub.Refused, Code: termapi.ErrNotFound}
	}
	p.AwaitCard = false
	return *p, nil
}

func (h *truth) Journal(_ context.Context, b termapi.JournalBatch) (termapi.JournalAck, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.records += len(b.Records)
	h.acked = b.First + uint64(len(b.Records)) - 1
	return termapi.JournalAck{Head: h.acked}, nil
}

func (h *truth) Heartbeat(context.Context, termapi.Heartbeat) (termapi.HeartbeatAck, error) {
	h.mu.Lock()
	beat := h.beat
	h.mu.Unlock()
	if beat != nil {
		return beat()
	}
	return termapi.HeartbeatAck{AtMillis: time.Now().UnixMilli(), Config: testConfig}, nil
}

// citizen looks at the page and presses what the script says for each screen.
type citizen struct {
	t      *Terminal
	script map[flow.ScreenID]flow.Action
	seen   chan flow.Screen
	last   uint64
	done   map[flow.ScreenID]bool
}

func (c *citizen) Show(s flow.Screen) {
	select {
	case c.seen <- s:
	default:
	}
	if s.Step == c.last {
		return
	}
	c.last = s.Step
	a, ok := c.script[s.ID]
	if s.ID == flow.ScreenPayList && s.Chosen == 0 {
		a = flow.ActAll
	}
	if ok && !c.done[s.ID] {
		if s.ID == flow.ScreenMenu {
			c.done[s.ID] = true
		}
		c.t.Press(flow.Press{Step: s.Step, Action: a})
	}
}

func (c *citizen) Wipe() {}

// payer pays everything, takes the receipt and leaves.
func payer() map[flow.ScreenID]flow.Action {
	return map[flow.ScreenID]flow.Action{
		flow.ScreenMenu: flow.ActPay, flow.ScreenPayList: flow.ActNext, flow.ScreenPayConfirm: flow.ActConfirm,
		flow.ScreenPaid: flow.ActNext, flow.ScreenReceiptChoice: flow.ActPrint, flow.ScreenPrinted: flow.ActExit,
		flow.ScreenPending: flow.ActExit, flow.ScreenNotCharged: flow.ActExit,
		flow.ScreenCardProblem: flow.ActExit,
	}
}

// world is a terminal with its fakes.
type world struct {
	t       *testing.T
	dir     string
	hub     *truth
	slot    *slot
	printer *printer
	citizen *citizen
	journal *journal.Journal
	term    *Terminal
	log     *syncBuffer
	stop    func() error
	pin     func(ctx context.Context) error // what happens at the pad; nil: entered at once
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func newWorld(t *testing.T) *world {
	return &world{t: t, dir: t.TempDir(), hub: newTruth(), log: &syncBuffer{}}
}

// start runs the terminal; wrap may put something between it and its journal.
func (w *world) start(wrap func(Journal) Journal) *world {
	w.t.Helper()
	j, err := journal.Open(filepath.Join(w.dir, "journal.bolt"), journal.Options{Terminal: "terminal-1",
		Free: func() (uint64, error) { return 1 << 40, nil }})
	if err != nil {
		w.t.Fatal(err)
	}
	w.journal, w.slot, w.printer = j, newSlot(), &printer{}
	w.slot.pin = w.pin
	w.citizen = &citizen{script: payer(), seen: make(chan flow.Screen, 4096), done: map[flow.ScreenID]bool{}}
	var jj Journal = j
	if wrap != nil {
		jj = wrap(j)
	}
	w.term, err = New(Config{Slot: w.slot, Printer: w.printer, Hub: w.hub, Journal: jj, Display: w.citizen,
		Paper: Paper{
			Receipt: func(r termapi.Receipt, _ PaperOptions) ([]byte, error) {
				return []byte("receipt " + r.No + " " + strconv.Itoa(r.Duplicate)), nil
			},
			Slip: func(s flow.Slip, _ PaperOptions) ([]byte, error) { return []byte("slip " + s.ID.String()), nil },
		},
		QR: func(r termapi.Receipt) string { return r.No }, Times: flow.DefaultTimes(), Version: "test",
		Log: zerolog.New(w.log).Level(zerolog.DebugLevel), Heartbeat: time.Hour})
	if err != nil {
		w.t.Fatal(err)
	}
	w.citizen.t = w.term
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		defer func() {
			if r := recover(); r != nil {
				ended <- errKilled
			}
		}()
		ended <- w.term.Run(ctx)
	}()
	w.stop = sync.OnceValue(func() error {
		cancel()
		err := <-ended
		w.term.workers.Wait()
		return errors.Join(err, j.Close())
	})
	w.t.Cleanup(func() { _ = w.stop() })
	return w
}

var errKilled = errors.New("killed")

// until waits for a screen.
func (w *world) until(id flow.ScreenID, also ...func(flow.Screen) bool) flow.Screen {
	w.t.Helper()
	limit := time.After(20 * time.Second)
	for {
		select {
		case s := <-w.citizen.seen:
			if s.ID == id && (len(also) == 0 || also[0](s)) {
				return s
			}
		case <-limit:
			w.t.Fatalf("never saw %s; log:\n%s", id, w.log)
		}
	}
}

// TestPay goes from the card to the paper.
func TestPay(t *testing.T) {
	w := newWorld(t).start(nil)
	w.until(flow.ScreenAttract)
	w.slot.in()
	if s := w.until(flow.ScreenPaid); s.Receipt == nil || s.Total != 100 {
		t.Errorf("paid page: %+v", s)
	}
	w.until(flow.ScreenTakeCard)
	w.slot.pull()
	w.until(flow.ScreenAttract)
	if err := w.stop(); err != nil {
		t.Error(err)
	}
	if len(w.hub.sent) != 1 || !bytes.Equal(w.hub.sent[0].Auth.PINBlock, canaryBlock) {
		t.Errorf("sent %d payments: %+v", len(w.hub.sent), w.hub.sent)
	}
	if len(w.printer.docs) != 1 || !strings.HasPrefix(string(w.printer.docs[0]), "receipt R") {
		t.Errorf("printed %q", w.printer.docs)
	}
	j := w.reopen()
	defer j.Close()
	id, _ := si.ParsePaymentID(w.hub.sent[0].ID)
	if i, found, err := j.Payment(id); !found || err != nil || i.State != flow.Receipted || !i.Reported {
		t.Errorf("journal holds %+v, %v", i, err)
	}
	if err := j.Check(); err != nil {
		t.Error(err)
	}
}

func (w *world) reopen() *journal.Journal {
	w.t.Helper()
	j, err := journal.Open(filepath.Join(w.dir, "journal.bolt"), journal.Options{Terminal: "terminal-1"})
	if err != nil {
		w.t.Fatal(err)
	}
	return j
}

// TestCanary looks for the PIN block, the sealed card, the cryptogram and the
// name in journal and log, in every form they could take there.
func TestCanary(t *testing.T) {
	w := newWorld(t)
	w.hub.lose = true
	w.start(nil).until(flow.ScreenAttract)
	w.slot.in()
	w.until(flow.ScreenPending)
	w.until(flow.ScreenTakeCard)
	w.slot.pull()
	w.until(flow.ScreenAttract)
	if err := w.stop(); err != nil {
		t.Error(err)
	}
	file, err := os.ReadFile(filepath.Join(w.dir, "journal.bolt"))
	if err != nil {
		t.Fatal(err)
	}
	all := string(file) + w.log.String()
	if !strings.Contains(all, w.hub.sent[0].ID) {
		t.Fatal("the search finds nothing at all")
	}
	for _, c := range [][]byte{canaryBlock, canaryEnvelope, canaryDE55, []byte(canaryName), []byte("0017")} {
		for _, form := range []string{string(c), hex.EncodeToString(c), strings.ToUpper(hex.EncodeToString(c)),
			base64.StdEncoding.EncodeToString(c), base64.RawStdEncoding.EncodeToString(c)} {
			if strings.Contains(all, form) {
				t.Errorf("%q found as %q", c, form)
			}
		}
	}
	w.term.secrets.mu.Lock()
	defer w.term.secrets.mu.Unlock()
	if s := &w.term.secrets; !s.pin.Block.IsZero() || s.proof.Envelope != nil || s.card != [16]byte{} {
		t.Error("secrets are left after the session")
	}
}

// killer ends the terminal at its nth write of a payment, before or after the
// write is on disk, as a power loss would.
type killer struct {
	Journal
	left  int
	after bool
}

func (k *killer) Put(at time.Time, i flow.Intent) error {
	k.left--
	if k.left == 0 && !k.after {
		panic(errKilled)
	}
	err := k.Journal.Put(at, i)
	if k.left == 0 {
		panic(errKilled)
	}
	return err
}

// TestKillAtEachWrite kills the terminal at each write of a payment, starts it
// again, and wants the payment resolved before the next citizen, as the hub
// says, with nothing sent twice.
func TestKillAtEachWrite(t *testing.T) {
	for _, net := range []string{"calm", "answer lost", "request lost"} {
		for _, after := range []bool{false, true} {
			killed := 0
			for n := 1; n < 12; n++ {
				w := newWorld(t)
				w.hub.lose, w.hub.never = net == "answer lost", net == "request lost"
				w.start(func(j Journal) Journal { return &killer{Journal: j, left: n, after: after} })
				w.until(flow.ScreenAttract)
				w.slot.in()
				if !w.killed() {
					break
				}
				killed++
				w.hub.lose, w.hub.never = false, false
				w.start(nil)
				w.until(flow.ScreenAttract)
				w.judge(net, after, n)
			}
			if want := map[string]int{"calm": 5, "answer lost": 3, "request lost": 3}[net]; killed < want {
				t.Errorf("%s, after %v: killed %d times, want at least %d", net, after, killed, want)
			}
		}
	}
}

// killed waits until the terminal is killed, or offers the card.
func (w *world) killed() bool {
	w.t.Helper()
	limit := time.After(20 * time.Second)
	gone := make(chan error, 1)
	go func() { w.term.workers.Wait(); gone <- w.stop() }()
	for {
		select {
		case err := <-gone:
			return errors.Is(err, errKilled)
		case s := <-w.citizen.seen:
			if s.ID == flow.ScreenTakeCard {
				_ = w.stop()
				return false
			}
		case <-limit:
			w.t.Fatalf("neither killed nor done; log:\n%s", w.log)
		}
	}
}

// judge compares the journal of the second run, at its first attract page, with
// the hub.
func (w *world) judge(net string, after bool, n int) {
	w.t.Helper()
	name := net + ", write " + strconv.Itoa(n)
	if err := w.stop(); err != nil {
		w.t.Errorf("%s: second run: %v", name, err)
	}
	w.hub.mu.Lock()
	defer w.hub.mu.Unlock()
	if len(w.hub.sent) > 1 {
		w.t.Errorf("%s: %d payments sent, want at most one", name, len(w.hub.sent))
	}
	j := w.reopen()
	defer j.Close()
	if err := j.Check(); err != nil {
		w.t.Errorf("%s: %v", name, err)
	}
	open, err := j.Unresolved()
	if err != nil || len(open) != 0 {
		w.t.Errorf("%s: unresolved at the first citizen: %+v, %v", name, open, err)
	}
	for _, p := range w.hub.sent {
		id, _ := si.ParsePaymentID(p.ID)
		i, found, err := j.Payment(id)
		if err != nil || !found {
			w.t.Errorf("%s: payment %s was sent without a record (%v)", name, p.ID, err)
			continue
		}
		posted := w.hub.pays[p.ID] != nil
		if says := i.State == flow.Posted || i.State == flow.Receipted; says != posted {
			w.t.Errorf("%s: the journal holds %v, the hub posted: %v", name, i.State, posted)
		}
		if !posted && !w.hub.closed[p.ID] {
			w.t.Errorf("%s: payment %s is neither posted nor closed", name, p.ID)
		}
	}
}

// TestPullAtThePad ends the pad's entry when the card is pulled.
func TestPullAtThePad(t *testing.T) {
	w := newWorld(t)
	entered, left := make(chan struct{}), make(chan struct{})
	w.pin = func(ctx context.Context) error { close(entered); <-ctx.Done(); close(left); return ctx.Err() }
	w.start(nil).until(flow.ScreenAttract)
	w.slot.in()
	<-entered
	w.slot.pull()
	<-left
	w.until(flow.ScreenAttract)
}

// TestPadFault goes out of service after the card is back.
func TestPadFault(t *testing.T) {
	w := newWorld(t)
	w.pin = func(context.Context) error { return device.ErrPadFault }
	w.start(nil).until(flow.ScreenAttract)
	w.slot.in()
	if s := w.until(flow.ScreenCardProblem); s.Problem != flow.CardPadFault {
		t.Errorf("problem %q", s.Problem)
	}
	w.until(flow.ScreenTakeCard)
	w.slot.pull()
	if s := w.until(flow.ScreenOutOfService); s.Problem != flow.GatePad.String() {
		t.Errorf("out of service for %q", s.Problem)
	}
}

// TestHeartbeat shuts the terminal for a hub that is away, a clock that is off,
// and an operator's lock.
func TestHeartbeat(t *testing.T) {
	off := func(d time.Duration) func() (termapi.HeartbeatAck, error) {
		return func() (termapi.HeartbeatAck, error) {
			return termapi.HeartbeatAck{AtMillis: time.Now().Add(d).UnixMilli(), Config: testConfig}, nil
		}
	}
	for name, c := range map[string]struct {
		beat func() (termapi.HeartbeatAck, error)
		gate flow.Gate
	}{
		"away": {func() (termapi.HeartbeatAck, error) {
			return termapi.HeartbeatAck{}, &hub.Error{Kind: hub.NotSent, Err: errors.New("refused")}
		}, flow.GateHub},
		"ahead":  {off(MaxSkew + 2*time.Second), flow.GateClock},
		"behind": {off(-MaxSkew - 2*time.Second), flow.GateClock},
		"locked": {func() (termapi.HeartbeatAck, error) {
			return termapi.HeartbeatAck{}, &hub.Error{Kind: hub.Refused, Code: termapi.ErrOutOfService}
		}, flow.GateLocked},
	} {
		w := newWorld(t)
		w.hub.beat = c.beat
		w.start(nil)
		w.until(flow.ScreenOutOfService, func(s flow.Screen) bool { return s.Problem == c.gate.String() })
		if err := w.stop(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	w := newWorld(t)
	w.hub.beat = off(MaxSkew - 2*time.Second)
	w.start(nil).until(flow.ScreenAttract)
}

// TestSkew compares the hub's clock with the middle of the call.
func TestSkew(t *testing.T) {
	from := time.UnixMilli(1_000_000)
	for _, c := range []struct{ took, hub, want time.Duration }{
		{0, 0, 0}, {2 * time.Second, time.Second, 0}, {0, time.Minute, time.Minute},
		{0, time.Minute + time.Millisecond, time.Minute + time.Millisecond}, {2 * time.Second, -time.Minute, -61 * time.Second},
	} {
		if got := skew(from, from.Add(c.took), from.Add(c.hub).UnixMilli()); got != c.want {
			t.Errorf("skew after %v with the hub at +%v = %v, want %v", c.took, c.hub, got, c.want)
		}
	}
}

// broken is a journal whose disk fails at the nth write.
type broken struct {
	Journal
	left int
}

func (b *broken) Put(at time.Time, i flow.Intent) error {
	if b.left--; b.left <= 0 {
		return journal.ErrBroken
	}
	return b.Journal.Put(at, i)
}

// TestDiskFault never says "paid" and goes out of service.
func TestDiskFault(t *testing.T) {
	for n := 1; n <= 4; n++ {
		w := newWorld(t)
		w.start(func(j Journal) Journal { return &broken{j, n} })
		w.until(flow.ScreenAttract)
		w.slot.in()
		for done := false; !done; {
			select {
			case s := <-w.citizen.seen:
				if s.ID == flow.ScreenPaid {
					t.Errorf("write %d failed, and the screen says paid", n)
				}
				done = s.ID == flow.ScreenTakeCard
			case <-time.After(20 * time.Second):
				t.Fatalf("write %d: the card never came back; log:\n%s", n, w.log)
			}
		}
		w.slot.pull()
		w.until(flow.ScreenOutOfService, func(s flow.Screen) bool { return s.Problem == flow.GateJournal.String() })
		if !w.term.Status().Broken {
			t.Error("the status does not tell")
		}
	}
}

// TestUpload brings the journal to the hub after a heartbeat.
func TestUpload(t *testing.T) {
	w := newWorld(t)
	w.start(nil).until(flow.ScreenAttract)
	_ = w.stop()
	w.start(nil)
	w.until(flow.ScreenAttract)
	_ = w.stop()
	w.hub.mu.Lock()
	defer w.hub.mu.Unlock()
	if w.hub.records == 0 {
		t.Error("the second run uploaded nothing of the first")
	}
}

// TestQueues drops presses beyond the bound and never waits for the page.
func TestQueues(t *testing.T) {
	w := newWorld(t).start(nil)
	_ = w.stop()
	for range pressQueue + 1 {
		w.term.Press(flow.Press{})
	}
	if got := len(w.term.presses); got != pressQueue {
		t.Errorf("%d presses wait, want %d", got, pressQueue)
	}
	for range 3 {
		w.term.Browser(true)
	}
}

// TestNew names what is missing.
func TestNew(t *testing.T) {
	w := newWorld(t).start(nil)
	good := w.term.cfg
	for name, spoil := range map[string]func(*Config){
		"slot": func(c *Config) { c.Slot = nil }, "journal": func(c *Config) { c.Journal = nil },
		"paper": func(c *Config) { c.Paper.Slip = nil }, "times": func(c *Config) { c.Times.Idle = 0 },
		"qr": func(c *Config) { c.QR = nil },
	} {
		bad := good
		spoil(&bad)
		if _, err := New(bad); err == nil {
			t.Errorf("without %s: taken", name)
		}
	}
}
