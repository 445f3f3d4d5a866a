package settlement

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/shebao-pay/shebao/settlement/banklink"
	"github.com/shebao-pay/shebao/settlement/bankmsg"
	"github.com/shebao-pay/shebao/settlement/engine"
	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/hsmapi"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// Ledger is the ledger node as the hub needs it. done is called exactly once
// and a result only after it is durable.
type Ledger interface {
	Submit(c ledgerapi.Command, actor si.Actor, done func(ledgerapi.Result, error))
	Pending(bank si.Bank) []ledgerapi.Payment // 0: of all banks
	Advices() []ledgerapi.Payment             // posted, with a script notice that waits
	Payment(id si.PaymentID) (ledgerapi.Payment, bool)
}

// PINs re-enciphers PIN blocks inside the HSM process.
type PINs interface {
	TranslatePIN(ctx context.Context, r hsmapi.TranslatePIN) (si.PINBlock, error)
}

// Memos seals and opens the hub's notes on reservations.
type Memos interface {
	SealMemo(ctx context.Context, r hsmapi.SealMemo) ([]byte, error)
	OpenMemo(ctx context.Context, r hsmapi.SealMemo) ([]byte, error)
}

// HSM is every verb of the HSM process that the hub needs.
type HSM interface {
	banklink.HSM
	PINs
	Memos
}

// Bounds of a hub.
const (
	// DefaultWait is how long a terminal's call is kept before it is told
	// "pending": less than the 45 s that terminals wait, more than any bank's
	// reply time-out, which the profiles hold to 30 s.
	DefaultWait = 40 * time.Second
	// DefaultWorkers is how many HSM verbs are asked at once.
	DefaultWorkers = 32
	// boxMost is how many events of bank links wait before links stop reading.
	boxMost = 1 << 16
	// hsmWait bounds one verb of the HSM process.
	hsmWait = 5 * time.Second
	// settleEvery is how often Stop looks whether commits are still under way.
	settleEvery = 5 * time.Millisecond
)

// Errors of a hub.
var (
	ErrNotRunning = errors.New("settlement: the hub is not running; ask the node that leads")
	ErrStarted    = errors.New("settlement: a hub is started once; make a new one")
)

// Config is what a hub needs.
type Config struct {
	Ledger   Ledger
	HSM      HSM
	Profiles []*profile.Profile
	// Addrs are the bank hosts by bank. A bank without one has no links: its
	// pending payments are known and wait.
	Addrs map[si.Bank][]string
	// Dial makes a connection to a bank's host; nil is TCP. TLS is put here.
	Dial func(ctx context.Context, bank si.Bank, addr string) (banklink.Conn, error)
	// Cutover hears what the banks announce about their settlement dates; nil
	// only logs it. It is called by the bank's link and must not block.
	Cutover func(Cutover)
	// NotWritten tells of an error of Submit whether nothing was written. Nil
	// takes every error for an unknown outcome, which is always safe.
	NotWritten func(error) bool
	Clock      func() time.Time // nil is time.Now
	Rand       func() uint64    // spreads retries, safe for concurrent use; nil is math/rand/v2
	Log        zerolog.Logger
	Wait       time.Duration // 0 is DefaultWait
	Workers    int           // 0 is DefaultWorkers
	MaxLive    int           // 0 is engine.DefaultMaxLive
}

// Hub is the money side of one node.
type Hub struct {
	cfg    Config
	engine *engine.Engine
	profs  [256]*profile.Profile
	pools  [256]*banklink.Pool
	codes  [256]string
	box    *mailbox[message]
	work   *mailbox[func()]

	waiters map[si.PaymentID][]chan engine.Answer
	provers map[si.PaymentID][]chan engine.ProofAnswer
	scripts map[si.PaymentID][]chan struct{} // that wait for a script notice to be durable
	effects []engine.Effect

	state atomic.Uint32
	up    [256]atomic.Bool
	live  atomic.Int64
	notes [256]atomic.Uint64
	stats atomic.Pointer[engine.Stats]
	ends  [256]atomic.Pointer[engine.Endings]
	quit  chan struct{}
	done  sync.WaitGroup
}

// The states of a hub.
const (
	hubNew uint32 = iota
	hubRunning
	hubStopped
)

// message is one thing for the goroutine that owns the engine.
type message struct {
	ev engine.Event
	do func()
}

// New makes a hub and checks what it was given. Start begins it.
func New(cfg Config) (*Hub, error) {
	if cfg.Ledger == nil || cfg.HSM == nil || len(cfg.Profiles) == 0 {
		return nil, errors.New("settlement: ledger, HSM and at least one bank profile are needed")
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Uint64
	}
	if cfg.Wait <= 0 {
		cfg.Wait = DefaultWait
	}
	if cfg.Workers <= 0 {
		cfg.Workers = DefaultWorkers
	}
	h := &Hub{
		cfg: cfg, box: newMailbox[message](boxMost), work: newMailbox[func()](boxMost), quit: make(chan struct{}),
		waiters: map[si.PaymentID][]chan engine.Answer{}, provers: map[si.PaymentID][]chan engine.ProofAnswer{},
		scripts: map[si.PaymentID][]chan struct{}{},
	}
	e, err := engine.New(engine.Config{Banks: cfg.Profiles, Rand: cfg.Rand, MaxLive: cfg.MaxLive})
	if err != nil {
		return nil, fmt.Errorf("settlement: %w", err)
	}
	h.engine = e
	h.stats.Store(&engine.Stats{})
	for _, p := range cfg.Profiles {
		h.profs[p.Number], h.codes[p.Number] = p, p.Code
		if len(cfg.Addrs[p.Number]) == 0 {
			continue
		}
		if h.pools[p.Number], err = h.newPool(p); err != nil {
			return nil, fmt.Errorf("settlement: %w", err)
		}
	}
	return h, nil
}

func (h *Hub) newPool(p *profile.Profile) (*banklink.Pool, error) {
	codec, err := bankmsg.Compile(p)
	if err != nil {
		return nil, err
	}
	c := banklink.Config{
		Codec: codec, Addrs: h.cfg.Addrs[p.Number], HSM: h.cfg.HSM, Sink: sink{h, p.Number}, Now: h.cfg.Clock, Rand: h.cfg.Rand,
	}
	if h.cfg.Dial != nil {
		c.Dial = func(ctx context.Context, addr string) (banklink.Conn, error) { return h.cfg.Dial(ctx, p.Number, addr) }
	}
	return banklink.New(c)
}

// Start takes up every pending payment of the ledger and then begins to serve.
// The hub lives until Stop, not until the end of ctx: what is under way is given
// its time there.
func (h *Hub) Start(ctx context.Context) error {
	if !h.state.CompareAndSwap(hubNew, hubRunning) {
		return ErrStarted
	}
	pending := h.cfg.Ledger.Pending(0)
	for _, p := range pending {
		h.step(engine.Resume{Payment: p})
	}
	for _, p := range h.cfg.Ledger.Advices() {
		h.step(engine.ResumeScript{Payment: p})
	}
	h.cfg.Log.Info().Int("pending", len(pending)).Msg("pending payments taken up")
	for range h.cfg.Workers {
		h.done.Go(h.worker)
	}
	h.done.Go(h.run)
	for _, p := range h.cfg.Profiles {
		if pool := h.pools[p.Number]; pool != nil {
			pool.Start(context.WithoutCancel(ctx))
		}
	}
	return nil
}

// Stop refuses new payments, gives those under way until ctx ends, and lets go
// of the links. What is not resolved by then stands in the ledger and is taken
// up by the next hub.
func (h *Hub) Stop(ctx context.Context) {
	if !h.state.CompareAndSwap(hubRunning, hubStopped) {
		return
	}
	h.box.put(message{ev: engine.Drain{}})
	var pools sync.WaitGroup
	for _, pool := range h.pools {
		if pool != nil {
			pools.Go(func() { pool.Stop(ctx) })
		}
	}
	pools.Wait()
	h.settle(ctx)
	close(h.quit)
	h.box.close()
	h.work.close()
	h.done.Wait()
}

// settle waits until no commit of a payment is under way.
func (h *Hub) settle(ctx context.Context) {
	t := time.NewTicker(settleEvery)
	defer t.Stop()
	for {
		busy := make(chan int, 1)
		h.box.put(message{do: func() { busy <- h.engine.Settling() }})
		select {
		case <-ctx.Done():
			return
		case n := <-busy:
			if n == 0 {
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// run owns the engine.
func (h *Hub) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		wait := time.Hour
		if at, ok := h.engine.Next(); ok {
			wait = max(0, at.Sub(h.cfg.Clock()))
		}
		timer.Reset(wait)
		select {
		case <-h.quit:
			return
		case <-timer.C:
			h.step(engine.Tick{})
		case <-h.box.ready:
		}
		for _, m := range h.box.take() {
			if m.do != nil {
				m.do()
			}
			if m.ev != nil {
				h.step(m.ev)
			}
		}
		h.publish()
	}
}

// publish copies what others may read without asking the loop.
func (h *Hub) publish() {
	for _, p := range h.cfg.Profiles {
		h.up[p.Number].Store(h.engine.BankUp(p.Number))
		ends := h.engine.Endings(p.Number)
		h.ends[p.Number].Store(&ends)
	}
	h.live.Store(int64(h.engine.Live()))
	s := h.engine.Stats()
	h.stats.Store(&s)
}

// step gives the engine one event and carries out what it wants.
func (h *Hub) step(ev engine.Event) {
	h.effects = h.engine.Step(h.cfg.Clock(), ev, h.effects[:0])
	for i, ef := range h.effects {
		h.perform(ef)
		h.effects[i] = nil
	}
}

// worker asks the HSM process.
func (h *Hub) worker() {
	for {
		select {
		case <-h.quit:
			return
		case <-h.work.ready:
		}
		for {
			f, ok := h.work.one()
			if !ok {
				break
			}
			f()
		}
	}
}

// ask runs f on the goroutine that owns the engine.
func (h *Hub) ask(f func()) error {
	if h.state.Load() != hubRunning || !h.box.put(message{do: f}) {
		return ErrNotRunning
	}
	return nil
}

// Pay makes a payment, or joins the one of the same id. It returns at the
// ending, when the payment comes to be in doubt, or when the wait has passed,
// whichever is first; then the answer is Pending and State knows the rest. An
// error says that the hub did not take the payment, or that ctx ended.
func (h *Hub) Pay(ctx context.Context, in engine.Intent) (engine.Answer, error) {
	ch := make(chan engine.Answer, 1)
	err := h.ask(func() {
		h.waiters[in.ID] = append(h.waiters[in.ID], ch)
		ask := engine.Ask{Intent: in}
		if _, live := h.engine.Answer(in.ID); !live {
			ask.Known, _ = h.cfg.Ledger.Payment(in.ID)
		}
		h.step(ask)
	})
	if err != nil {
		return engine.Answer{}, err
	}
	return h.await(ctx, in.ID, ch)
}

// await waits for an answer about a payment.
func (h *Hub) await(ctx context.Context, id si.PaymentID, ch chan engine.Answer) (engine.Answer, error) {
	t := time.NewTimer(h.cfg.Wait)
	defer t.Stop()
	var err error
	select {
	case a := <-ch:
		return a, nil
	case <-t.C:
	case <-h.quit:
	case <-ctx.Done():
		err = fmt.Errorf("settlement: payment %s is pending: %w", id, ctx.Err())
	}
	_ = h.ask(func() { without(h.waiters, id, ch) })
	return engine.Answer{Ending: engine.Pending}, err
}

// without takes one channel out of an id's waiters, and the id when none is left.
func without[T any](m map[si.PaymentID][]chan T, id si.PaymentID, ch chan T) {
	list := slices.DeleteFunc(m[id], func(c chan T) bool { return c == ch })
	if len(list) == 0 {
		delete(m, id)
		return
	}
	m[id] = list
}

// Prove asks the card's bank about a PIN. Whatever goes wrong is BankAway.
func (h *Hub) Prove(ctx context.Context, p engine.Proof) (engine.ProofAnswer, error) {
	away := engine.ProofAnswer{Verdict: engine.BankAway, TriesLeft: -1}
	ch := make(chan engine.ProofAnswer, 1)
	err := h.ask(func() {
		h.provers[p.ID] = append(h.provers[p.ID], ch)
		h.step(engine.AskProof{Proof: p})
	})
	if err != nil {
		return away, err
	}
	t := time.NewTimer(h.cfg.Wait)
	defer t.Stop()
	select {
	case a := <-ch:
		return a, nil
	case <-t.C:
	case <-h.quit:
	case <-ctx.Done():
		err = fmt.Errorf("settlement: PIN proof: %w", ctx.Err())
	}
	_ = h.ask(func() { without(h.provers, p.ID, ch) })
	return away, err
}

// State tells what is known of a payment: from the engine while it is live,
// else from the ledger. The zero Answer means that nobody knows the id.
func (h *Hub) State(ctx context.Context, id si.PaymentID) (engine.Answer, error) {
	ch := make(chan engine.Answer, 1)
	err := h.ask(func() {
		a, live := h.engine.Answer(id)
		if !live {
			if p, ok := h.cfg.Ledger.Payment(id); ok {
				a = engine.Known(&p)
			}
		}
		ch <- a
	})
	if err != nil {
		return engine.Answer{}, err
	}
	select {
	case a := <-ch:
		return a, nil
	case <-h.quit:
		return engine.Answer{}, ErrNotRunning
	case <-ctx.Done():
		return engine.Answer{}, fmt.Errorf("settlement: state of %s: %w", id, ctx.Err())
	}
}

// Close makes sure that an id which nobody knows is never paid later: the
// ledger keeps a tombstone. Of an id that is known it changes nothing.
func (h *Hub) Close(ctx context.Context, id si.PaymentID) error {
	ch := make(chan engine.Answer, 1)
	err := h.ask(func() {
		h.waiters[id] = append(h.waiters[id], ch)
		known, _ := h.cfg.Ledger.Payment(id)
		h.step(engine.CloseAsked{ID: id, Known: known})
	})
	if err != nil {
		return err
	}
	_, err = h.await(ctx, id, ch)
	return err
}

// CardOutcome takes the card's last word about a payment. de55 holds the
// results of issuer scripts, if there were any; where the bank wants to know them
// it returns when their notice is durable.
func (h *Hub) CardOutcome(ctx context.Context, id si.PaymentID, o engine.CardOutcome, de55 []byte) error {
	ch := make(chan struct{})
	err := h.ask(func() {
		known, _ := h.cfg.Ledger.Payment(id)
		h.cfg.Log.Debug().Str("payment", id.String()).Str("bank", h.codes[known.Bank]).Uint8("outcome", uint8(o)).Int("script_bytes", len(de55)).Msg("card outcome")
		h.step(engine.CardSaid{ID: id, Outcome: o, DE55: de55, Known: known})
		if h.engine.ScriptPending(id) {
			h.scripts[id] = append(h.scripts[id], ch)
			return
		}
		close(ch)
	})
	if err != nil {
		return err
	}
	select {
	case <-ch:
		return nil
	case <-h.quit:
		return ErrNotRunning
	case <-ctx.Done():
		return fmt.Errorf("settlement: card outcome of %s: %w", id, ctx.Err())
	}
}

// Resolved tells the hub that file or desk has ended a payment in the ledger.
func (h *Hub) Resolved(id si.PaymentID, s ledgerapi.PayState) {
	h.box.put(message{ev: engine.Resolved{ID: id, State: s}})
}

// BankUp tells whether a payment at the bank would be tried now.
func (h *Hub) BankUp(b si.Bank) bool { return h.state.Load() == hubRunning && h.up[b].Load() }
