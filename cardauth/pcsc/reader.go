package pcsc

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ebfe/scard"

	"github.com/shebao-pay/shebao/cardauth/apdu"
)

// Errors of a reader. Those of a card wrap apdu.ErrRemoved, apdu.ErrReset or
// apdu.ErrMute.
var (
	ErrAway   = errors.New("pcsc: reader or card service is away")
	ErrBusy   = errors.New("pcsc: another program holds the card")
	ErrInUse  = errors.New("pcsc: this reader is open already in this program")
	ErrClosed = errors.New("pcsc: reader is closed")
	ErrWedged = fmt.Errorf("pcsc: reader is wedged by a card that does not answer: pull the card or restart the card service: %w", apdu.ErrMute)
)

// Config says which reader and how long to wait. Zero durations take the
// defaults.
type Config struct {
	// Name is a part of the reader's name, enough to tell it from others.
	Name string
	// Deadline of one command, and of powering a card.
	Deadline time.Duration
	// CryptogramDeadline of GENERATE AC, which takes a card longest.
	CryptogramDeadline time.Duration
}

// Defaults and bounds.
const (
	defaultDeadline           = 5 * time.Second
	defaultCryptogramDeadline = 10 * time.Second

	watchRound = time.Second            // one call of the watcher; short, so that nothing blocks it for ever
	retryAway  = 300 * time.Millisecond // between looks for a reader or service that is away
	busyTries  = 3                      // for a card that another program holds
	busyPause  = 100 * time.Millisecond //
	maxEvents  = 16                     // a caller that lags further behind stops the watcher, not the card
	closeWait  = 3 * time.Second        // for the goroutines of a reader; a wedged call outlives it
)

// Kind is what a reader says by itself.
type Kind uint8

// The events. After Ready comes In if a card is present; Fault is preceded by
// Out if one was, except where that card wedged the reader: it is still in.
const (
	Ready Kind = iota + 1 // reader and service answer
	Fault                 // reader gone, service gone, or wedged
	In                    // a card was put in; Event.ATR unless it is mute
	Out                   // the card is gone, or cannot be reached any more
)

// Event is one event of a reader.
type Event struct {
	Kind Kind
	ATR  []byte
	Err  error // Fault only
}

// Reader is one card slot.
type Reader struct {
	cfg     Config
	events  chan Event
	closing chan struct{}
	jobs    chan *job
	done    sync.WaitGroup
	wedged  atomic.Bool

	mu    sync.Mutex
	name  string         // full name while the reader is there
	watch *scard.Context // for Close to cancel
	shut  bool

	card held // the worker's own
}

// open names are registered here, see the package comment.
var (
	namesMu sync.Mutex
	names   = map[string]bool{}
)

// Open begins to look for the reader. It does not wait for it: Ready or Fault is
// the first event.
func Open(cfg Config) (*Reader, error) {
	if cfg.Name == "" {
		return nil, errors.New("pcsc: Config.Name is empty: say which reader")
	}
	if cfg.Deadline <= 0 {
		cfg.Deadline = defaultDeadline
	}
	if cfg.CryptogramDeadline <= 0 {
		cfg.CryptogramDeadline = max(defaultCryptogramDeadline, cfg.Deadline)
	}
	r := &Reader{
		cfg: cfg, events: make(chan Event, maxEvents),
		closing: make(chan struct{}), jobs: make(chan *job),
	}
	r.done.Add(2)
	go r.watchLoop()
	go r.workLoop()
	return r, nil
}

// Events is where the reader speaks. The channel closes with the reader.
func (r *Reader) Events() <-chan Event { return r.events }

// Close ends the reader. A call that a mute card holds up cannot be ended; its
// goroutine ends when the card is pulled or the service restarts, and Close then
// answers ErrWedged.
func (r *Reader) Close() error {
	r.mu.Lock()
	if r.shut {
		r.mu.Unlock()
		return ErrClosed
	}
	r.shut = true
	close(r.closing)
	r.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.mu.Lock()
		if r.watch != nil {
			// It may find nothing to cancel; the watcher's round then ends by
			// itself within a second.
			_ = r.watch.Cancel()
		}
		r.mu.Unlock()
		r.done.Wait()
	}()
	select {
	case <-ended:
		return nil
	case <-time.After(closeWait):
		return ErrWedged
	}
}

// closed tells whether Close was called.
func (r *Reader) closed() bool {
	select {
	case <-r.closing:
		return true
	default:
		return false
	}
}

// said is what the reader told its caller last.
type said struct {
	anything, ready, in bool
}

// watchLoop watches until Close, through every loss of service and reader.
func (r *Reader) watchLoop() {
	defer r.done.Done()
	defer close(r.events)
	var s said
	for !r.closed() {
		err := r.watchService(&s)
		if r.closed() {
			return
		}
		r.tell(&s, err, false, nil)
		select {
		case <-r.closing:
		case <-time.After(retryAway):
		}
	}
}

// tell brings the caller up to date: err is nil while reader and service answer.
// A card that wedges its reader is still in it until it is pulled.
func (r *Reader) tell(s *said, err error, present bool, atr []byte) {
	if err == nil && r.wedged.Load() {
		err = ErrWedged
	}
	ready := err == nil
	in := present && (ready || s.in && errors.Is(err, ErrWedged))
	if s.in && !in {
		r.say(Event{Kind: Out})
	}
	if !s.anything || s.ready != ready {
		if ready {
			r.say(Event{Kind: Ready})
		} else {
			r.say(Event{Kind: Fault, Err: err})
		}
	}
	if in && !s.in {
		r.say(Event{Kind: In, ATR: append([]byte(nil), atr...)})
	}
	*s = said{anything: true, ready: ready, in: in}
}

func (r *Reader) say(e Event) {
	select {
	case r.events <- e:
	case <-r.closing:
	}
}

// watchService watches one connection to the card service. It returns when the
// service or the reader is gone.
func (r *Reader) watchService(s *said) error {
	ctx, err := scard.EstablishContext()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrAway, err)
	}
	r.setWatch(ctx)
	defer func() {
		r.setWatch(nil)
		_ = ctx.Release() // of no use to anyone if the service is gone
	}()
	name, err := findReader(ctx, r.cfg.Name)
	if err != nil {
		return err
	}
	if err := r.bind(name); err != nil {
		return err
	}
	defer r.unbind(name)
	// One slice for the whole watch: the call writes into it, and what it wrote
	// must be what it is asked with next.
	states := []scard.ReaderState{{Reader: name, CurrentState: scard.StateUnaware}}
	counter, present := uint32(0), false
	for !r.closed() {
		switch err := ctx.GetStatusChange(states, watchRound); {
		case errors.Is(err, scard.ErrTimeout), errors.Is(err, scard.ErrCancelled):
			r.tell(s, nil, present, states[0].Atr)
			continue
		case err != nil:
			return fmt.Errorf("%w: %w", ErrAway, err)
		}
		event := states[0].EventState
		states[0].CurrentState = event &^ scard.StateChanged
		if event&(scard.StateUnknown|scard.StateUnavailable|scard.StateIgnore) != 0 {
			return fmt.Errorf("%w: %s", ErrAway, name)
		}
		// The high half counts insertions and removals: a card that was
		// exchanged between two looks shows there only.
		count := uint32(event >> 16)
		if s.in && present && count != counter {
			r.tell(s, nil, false, nil)
		}
		counter, present = count, event&scard.StatePresent != 0
		r.tell(s, nil, present, states[0].Atr)
	}
	return nil
}

func (r *Reader) setWatch(ctx *scard.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.watch = ctx
}

// findReader gives the full name of the only reader that the name fits.
func findReader(ctx *scard.Context, part string) (string, error) {
	list, err := ctx.ListReaders()
	if err != nil && !errors.Is(err, scard.ErrNoReadersAvailable) {
		return "", fmt.Errorf("%w: %w", ErrAway, err)
	}
	var found []string
	for _, name := range list {
		if strings.Contains(name, part) {
			found = append(found, name)
		}
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("%w: no reader named %q among %d", ErrAway, part, len(list))
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("%w: %d readers fit %q: give more of the name", ErrAway, len(found), part)
}

func (r *Reader) bind(name string) error {
	namesMu.Lock()
	defer namesMu.Unlock()
	if names[name] {
		return ErrInUse
	}
	names[name] = true
	r.mu.Lock()
	defer r.mu.Unlock()
	r.name = name
	return nil
}

func (r *Reader) unbind(name string) {
	namesMu.Lock()
	defer namesMu.Unlock()
	delete(names, name)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.name = ""
}
