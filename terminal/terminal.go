package terminal

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/termapi"
	"github.com/shebao-pay/shebao/terminal/device"
	"github.com/shebao-pay/shebao/terminal/flow"
	"github.com/shebao-pay/shebao/terminal/journal"
)

// Hub is the terminal API. terminal/hub implements it; its errors are *hub.Error.
type Hub interface {
	Open(context.Context, termapi.Session) (termapi.SessionOpened, error)
	Leave(ctx context.Context, session string) error
	Prove(ctx context.Context, session string, p termapi.PINProof) (termapi.PINProofResult, error)
	Overview(ctx context.Context, session string) (termapi.Overview, error)
	Dues(ctx context.Context, session string) (termapi.Dues, error)
	Receipts(ctx context.Context, session string) (termapi.Receipts, error)
	Pay(context.Context, termapi.Payment) (termapi.PaymentState, error)
	Payment(context.Context, si.PaymentID) (termapi.PaymentState, error)
	ClosePayment(context.Context, si.PaymentID) (termapi.PaymentState, error)
	CardOutcome(context.Context, si.PaymentID, termapi.CardOutcome) (termapi.PaymentState, error)
	Journal(context.Context, termapi.JournalBatch) (termapi.JournalAck, error)
	Heartbeat(context.Context, termapi.Heartbeat) (termapi.HeartbeatAck, error)
}

// Display is the citizen's page. kiosk.Server implements it.
type Display interface {
	Show(flow.Screen)
	Wipe()
}

// Journal is the electronic journal. terminal/journal implements it; the tests
// put crashes between its writes.
type Journal interface {
	Put(at time.Time, i flow.Intent) error
	Note(at time.Time, e flow.Entry) error
	Flush() error
	Unresolved() ([]flow.Intent, error)
	Space() error
	Head() uint64
	Batch(maxBytes int) (first uint64, records [][]byte, err error)
	Acknowledge(head uint64) error
	Prune(now time.Time) (removed int, err error)
}

// PaperOptions is what is the same on every paper of a session.
type PaperOptions struct {
	Lang    string
	Demo    bool
	Hotline string
}

// Paper lays out what is printed.
type Paper struct {
	Receipt func(termapi.Receipt, PaperOptions) ([]byte, error)
	Slip    func(flow.Slip, PaperOptions) ([]byte, error)
}

// Config ties a terminal together.
type Config struct {
	Slot    device.CardSlot
	Printer device.Printer
	Hub     Hub
	Journal Journal
	Display Display
	Paper   Paper
	// QR gives the text of a receipt's code on the screen.
	QR func(termapi.Receipt) string
	// Alarm sounds for a card left in the slot; nil if there is nothing to sound.
	Alarm func(on bool)
	// Applied is told each configuration from the hub when it takes effect,
	// between sessions: the card side takes its areas, banks and envelope key
	// from it. It may be nil.
	Applied func(termapi.Config)

	Times   flow.Times
	Version string
	Now     func() time.Time // nil: time.Now
	Log     zerolog.Logger

	Heartbeat time.Duration // 0: HeartbeatEvery
}

// Bounds of the shell.
const (
	// HeartbeatEvery is the time between two heartbeats, HeartbeatRetry after
	// one that found no hub: the terminal is out of service until then.
	HeartbeatEvery = 30 * time.Second
	HeartbeatRetry = 5 * time.Second
	// MaxSkew is the clock difference to the hub beyond which nobody pays here.
	MaxSkew = time.Minute
	// devicesEvery is the time between two looks at printer, pad and disk.
	devicesEvery = 10 * time.Second
	// flushEvery bounds how long a line of the journal that nobody waits for
	// stays in memory.
	flushEvery = time.Second
	// pruneEvery is the time between two clean-ups of the journal.
	pruneEvery = time.Hour
	// uploadBytes bounds one upload below the hub's limit of 1 MiB for a body.
	uploadBytes = 512 << 10
	// pressQueue bounds presses that wait: a person presses a few a second; what
	// is beyond is dropped, and the page shows the present screen.
	pressQueue = 16
	// answerQueue bounds answers of workers that wait for the machine. A full
	// queue makes the worker wait.
	answerQueue = 64
	// cardQueue bounds calls that wait for the slot. A full queue is a slot that
	// does not come back: out of service.
	cardQueue = 16
)

// Terminal is one running terminal.
type Terminal struct {
	cfg     Config
	machine *flow.Machine
	answers chan flow.Event
	presses chan flow.Press
	browser chan struct{}
	page    atomic.Bool
	jobs    chan func(context.Context)
	papers  chan flow.Print
	workers sync.WaitGroup

	follow []flow.Event // answers of writes, taken after the step's effects
	buffer []flow.Effect

	mu        sync.Mutex
	status    Status
	cancelPIN context.CancelFunc
	conf      termapi.Config
	secrets   secrets
}

// Status is how a terminal stands, for the heartbeat and the admin page.
type Status struct {
	Screen    string
	InSession bool
	Unsettled int
	Paper     string
	HubSkew   time.Duration
	BanksDown int    // banks that the hub said cannot be reached
	Journal   uint64 // newest record
	Broken    bool   // a write of the journal failed
}

// New checks the configuration.
func New(cfg Config) (*Terminal, error) {
	switch {
	case cfg.Slot == nil, cfg.Printer == nil, cfg.Hub == nil, cfg.Journal == nil, cfg.Display == nil:
		return nil, errors.New("terminal: slot, printer, hub, journal and display must be given")
	case cfg.Paper.Receipt == nil || cfg.Paper.Slip == nil:
		return nil, errors.New("terminal: the layouts of receipt and slip must be given")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Heartbeat == 0 {
		cfg.Heartbeat = HeartbeatEvery
	}
	_, retains := cfg.Slot.(device.Retainer)
	m, err := flow.New(flow.Setup{Times: cfg.Times, NewID: si.NewPaymentID, QR: cfg.QR, Retains: retains})
	if err != nil {
		return nil, fmt.Errorf("terminal: %w", err)
	}
	return &Terminal{cfg: cfg, machine: m,
		answers: make(chan flow.Event, answerQueue),
		presses: make(chan flow.Press, pressQueue),
		browser: make(chan struct{}, 1),
		jobs:    make(chan func(context.Context), cardQueue),
		papers:  make(chan flow.Print, 1),
	}, nil
}

// Press takes a press of the page. It never waits.
func (t *Terminal) Press(p flow.Press) {
	select {
	case t.presses <- p:
	default:
	}
}

// Browser takes the coming and going of the page. It never waits.
func (t *Terminal) Browser(connected bool) {
	t.page.Store(connected)
	select {
	case t.browser <- struct{}{}:
	default:
	}
}

// Status tells how the terminal stands.
func (t *Terminal) Status() Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.status
}

// Run serves citizens until ctx ends. It returns an error only if it cannot
// start; a broken journal or device takes the terminal out of service, which
// the page and the heartbeat tell.
func (t *Terminal) Run(ctx context.Context) error {
	intents, err := t.cfg.Journal.Unresolved()
	if err != nil {
		return fmt.Errorf("terminal: payments of the last run: %w", err)
	}
	if err := t.cfg.Journal.Note(t.cfg.Now(), flow.Entry{Kind: "boot", Word: t.cfg.Version}); err != nil {
		return fmt.Errorf("terminal: %w", err)
	}
	t.cfg.Log.Info().Str("version", t.cfg.Version).Int("unsettled", len(intents)).Msg("terminal starts")
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	t.workers.Add(4)
	go t.cardWorker(work)
	go t.paperWorker(work)
	go t.hubWorker(work)
	go t.deviceWorker(work)
	t.step(work, flow.Boot{Intents: intents})
	t.loop(ctx, work)

	// The card goes back first; then the workers end, then the last lines are
	// written. What was under way is in the journal and is taken up at the next
	// start.
	t.cfg.Display.Wipe()
	t.pinCancel()
	cancel()
	t.workers.Wait()
	t.cfg.Slot.Eject()
	t.secrets.wipe()
	t.cfg.Log.Info().Msg("terminal ends")
	if err := t.cfg.Journal.Flush(); err != nil && !errors.Is(err, journal.ErrBroken) {
		return fmt.Errorf("terminal: last lines of the journal: %w", err)
	}
	return nil
}

// loop gives the machine its events, one at a time.
func (t *Terminal) loop(ctx, work context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	flush := time.NewTicker(flushEvery)
	defer flush.Stop()
	for {
		wait := time.Hour
		if at := t.machine.Wake(); !at.IsZero() {
			wait = max(0, at.Sub(t.cfg.Now()))
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return
		case ev := <-t.answers:
			t.step(work, ev)
		case p := <-t.presses:
			t.step(work, p)
		case <-t.browser:
			t.step(work, flow.Browser{Connected: t.page.Load()})
		case e := <-t.cfg.Slot.Events():
			t.slotEvent(work, e)
		case <-timer.C:
			t.step(work, flow.Tick{})
		case <-flush.C:
			if err := t.cfg.Journal.Flush(); err != nil {
				t.journalFault(err)
				t.step(work, flow.GateSet{Gate: flow.GateJournal, On: true})
			}
		}
	}
}

func (t *Terminal) slotEvent(ctx context.Context, e device.CardEvent) {
	switch e.Kind {
	case device.CardIn:
		t.step(ctx, flow.CardIn{})
	case device.CardOut:
		t.pinCancel()
		t.step(ctx, flow.CardOut{})
	case device.SlotReady:
		t.step(ctx, flow.GateSet{Gate: flow.GateReader})
	case device.SlotFault:
		t.cfg.Log.Error().Str("why", e.Why).Msg("card reader fault")
		t.pinCancel()
		t.step(ctx, flow.GateSet{Gate: flow.GateReader, On: true})
	}
}

// step gives the machine one event and does what it asks for, in order. Answers
// of writes come after the effects of their own step.
func (t *Terminal) step(ctx context.Context, ev flow.Event) {
	t.follow = append(t.follow, ev)
	for len(t.follow) > 0 {
		ev := t.follow[0]
		t.follow = t.follow[1:]
		t.buffer = t.machine.Step(t.cfg.Now(), ev, t.buffer[:0])
		for _, e := range t.buffer {
			t.perform(ctx, e)
		}
		clear(t.buffer)
	}
	t.follow = nil
	t.mu.Lock()
	t.status.Screen, t.status.InSession = t.machine.State(), t.machine.InSession()
	t.status.Unsettled = t.machine.Unsettled()
	t.status.Journal = t.cfg.Journal.Head()
	t.mu.Unlock()
}

// answer brings a worker's answer to the machine.
func (t *Terminal) answer(ctx context.Context, ev flow.Event) {
	select {
	case t.answers <- ev:
	case <-ctx.Done():
	}
}

// perform does one effect. Only writes of the journal are done on the spot.
func (t *Terminal) perform(ctx context.Context, e flow.Effect) {
	switch e := e.(type) {
	case flow.Show:
		t.cfg.Display.Show(e.Screen)
	case flow.Wipe:
		t.cfg.Display.Wipe()
		t.secrets.wipe()
	case flow.Note:
		t.note(e.Note)
	case flow.Journal:
		t.put(e)
	case flow.Apply:
		t.mu.Lock()
		t.conf = e.Config
		t.mu.Unlock()
		if t.cfg.Applied != nil {
			t.cfg.Applied(e.Config)
		}
	case flow.Alarm:
		if t.cfg.Alarm != nil {
			t.cfg.Alarm(e.On)
		}
	case flow.CancelPIN:
		t.pinCancel()
	case flow.Print:
		t.queuePaper(e)
	case flow.Read, flow.StartPIN, flow.Authorise, flow.Complete, flow.Eject, flow.Retain, flow.Open:
		t.queueCard(ctx, e)
	default:
		t.callHub(ctx, e)
	}
}

// put writes a payment's state; the machine hears of it after this step.
func (t *Terminal) put(e flow.Journal) {
	err := t.cfg.Journal.Put(t.cfg.Now(), e.Intent)
	end := flow.JournalOK
	switch {
	case err == nil:
	case errors.Is(err, journal.ErrFull):
		end = flow.JournalFull
		t.cfg.Log.Error().Err(err).Msg("no payment can be begun")
	default:
		end = flow.JournalFault
		t.journalFault(err)
	}
	t.follow = append(t.follow, flow.Journaled{Op: e.Op, End: end})
}

// journalFault tells the operator once that the terminal is out of service:
// without a journal nothing may be paid, and the file is not written again
// before a restart.
func (t *Terminal) journalFault(err error) {
	t.mu.Lock()
	first := !t.status.Broken
	t.status.Broken = true
	t.mu.Unlock()
	if first {
		t.cfg.Log.Error().Err(err).Msg("journal: out of service until the terminal is restarted")
	}
}

// note writes a line of the journal, and the log's own line for those that an
// operator wants.
func (t *Terminal) note(e flow.Entry) {
	if err := t.cfg.Journal.Note(t.cfg.Now(), e); err != nil {
		if errors.Is(err, journal.ErrBroken) {
			t.journalFault(err)
			t.follow = append(t.follow, flow.GateSet{Gate: flow.GateJournal, On: true})
		} else {
			t.cfg.Log.Error().Err(err).Str("kind", e.Kind).Msg("journal line not written")
		}
	}
	switch e.Kind {
	case flow.NoteGate, flow.NoteRetain:
		t.cfg.Log.Warn().Str("kind", e.Kind).Str("what", e.Word).Msg("terminal")
	case flow.NoteOdd:
		t.cfg.Log.Error().Str("payment", e.Ref).Str("what", e.Word).Msg("the hub said what cannot be")
	default:
		t.cfg.Log.Debug().Uint64("session", e.Session).Str("kind", e.Kind).Str("screen", string(e.Screen)).
			Str("ref", e.Ref).Str("what", e.Word).Msg("session")
	}
}
