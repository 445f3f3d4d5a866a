package panel

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/shebao-pay/shebao/si"
)

// Card is one card on the tray.
type Card struct {
	ID       string
	Name     string // of the holder, as printed on the card
	Bank     string // bank code: chooses the card's colour
	BankName string
	Tail     string // last four digits
	Story    string // what happens with it, in Chinese
	StoryEn  string
}

// Tray is the cards and the slot.
type Tray interface {
	Cards() []Card
	// Inserted is the id of the card in the slot, or empty.
	Inserted() string
	Insert(ctx context.Context, id string) error
	Pull(ctx context.Context) error
}

// Fault is one switch.
type Fault struct {
	ID      string
	Label   string
	LabelEn string
	On      bool
	Once    bool // a push button: it happens and is over
}

// FaultGroup is the switches of one device: bank, printer, PIN pad, hub.
type FaultGroup struct {
	ID      string
	Title   string
	TitleEn string
	Faults  []Fault
}

// Faults are all switches.
type Faults interface {
	Groups() []FaultGroup
	// Set switches a fault of a group on or off; Once faults are only set on.
	Set(ctx context.Context, group, fault string, on bool) error
}

// Strip is a paper that came out of the printer.
type Strip struct {
	No    int // counts from 1
	At    time.Time
	SVG   string
	Whole bool // false: it stopped half way
}

// Paper is what hangs out of the printer.
type Paper interface {
	Strips() []Strip // oldest first
	Clear()
}

// Notice is a payment notice that a citizen could bring to the counter.
type Notice struct {
	No    string // 20 digits
	Text  string // name, what for; masked
	Total si.Fen
}

// CounterAnswer is what the counter's bank was told.
type CounterAnswer struct {
	OK    bool
	Lines []string // one fact a line, for the teller
}

// Counter is a teller at a bank counter.
type Counter interface {
	// Banks are codes and names of the banks that have a counter link.
	Banks() []Bank
	// Notices are a few open notices to try.
	Notices() []Notice
	Inquire(ctx context.Context, bank, notice string) (CounterAnswer, error)
	// Pay pays; a second Pay of the same notice repeats the same message.
	Pay(ctx context.Context, bank, notice string) (CounterAnswer, error)
	// Reverse takes back what this bank's counter has paid for the notice; a second
	// time repeats the same message.
	Reverse(ctx context.Context, bank, notice string) (CounterAnswer, error)
}

// Bank is a bank with a counter.
type Bank struct{ Code, Name string }

// Message is a text message that was sent.
type Message struct {
	At   time.Time
	To   string // masked
	Text string
}

// Config is what a panel is made with.
type Config struct {
	Addr     string   // host:port, such as 127.0.0.1:8702
	Hosts    []string // further Host values that are answered
	KioskURL string   // with its token
	PadURL   string   // with its token
	PIN      string   // the PIN of every demo card, shown as a hint
	Console  string   // address of the back office, shown as a link; may be empty

	Tray     Tray
	Faults   Faults
	Paper    Paper
	Counter  Counter
	Messages func() []Message // newest first
}

// Limits.
const (
	maxBody    = 1 << 10          // a few short fields
	maxStreams = 16               // open pages; the demo needs one
	maxLog     = 8                // answers of the counter that stay on the page
	actTime    = 20 * time.Second // a card takes 400 ms, a bank its own time
	writeWait  = 5 * time.Second
	keepAlive  = 15 * time.Second
)

// ErrConfig is wrapped by every error of New.
var ErrConfig = errors.New("panel: configuration")

// Server serves the panel.
type Server struct {
	conf    Config
	origins string // of the frames, for the policy
	cookie  string
	handler http.Handler
	done    chan struct{}

	mu      sync.Mutex
	streams map[chan struct{}]struct{}
	log     []logLine // counter answers, newest first
	closed  bool
}

// logLine is one exchange at the counter.
type logLine struct {
	Ask   string
	OK    bool
	Lines []string
}

var frameForm = regexp.MustCompile(`^(http://[a-z0-9.\-]+:[0-9]{1,5})/`)

// New makes a panel.
func New(conf Config) (*Server, error) {
	if _, port, err := net.SplitHostPort(conf.Addr); err != nil || port == "" {
		return nil, fmt.Errorf("%w: addr is %q, want host:port", ErrConfig, conf.Addr)
	}
	if conf.Tray == nil {
		return nil, fmt.Errorf("%w: a panel needs a tray", ErrConfig)
	}
	var origins []string
	for _, u := range []string{conf.KioskURL, conf.PadURL} {
		m := frameForm.FindStringSubmatch(u)
		if m == nil {
			return nil, fmt.Errorf("%w: a frame's address is %q, want http://host:port/…", ErrConfig, u)
		}
		origins = append(origins, m[1])
	}
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails: crypto/rand stops the program instead
	s := &Server{conf: conf, origins: strings.Join(origins, " "), cookie: hex.EncodeToString(b[:]),
		done: make(chan struct{}), streams: map[chan struct{}]struct{}{}}
	s.handler = s.guarded(s.routes())
	return s, nil
}

// Handler serves the pages.
func (s *Server) Handler() http.Handler { return s.handler }

// URL is the panel's address.
func (s *Server) URL() string { return "http://" + s.conf.Addr + "/" }

// Origin is what the framed pages must allow as their ancestor.
func (s *Server) Origin() string { return "http://" + s.conf.Addr }

// Changed tells the open pages to look again. It never blocks.
func (s *Server) Changed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.streams {
		select {
		case c <- struct{}{}:
		default: // it is already going to look
		}
	}
}

// Serve answers on l until ctx ends.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	srv := &http.Server{Handler: s.handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10}
	done := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		s.Close()
		wait, cancel := context.WithTimeout(context.Background(), writeWait)
		defer cancel()
		done <- srv.Shutdown(wait)
	})
	err := srv.Serve(l)
	if stop() {
		s.Close()
		return fmt.Errorf("panel: serve: %w", err)
	}
	return <-done
}

// Close ends the open streams.
func (s *Server) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		close(s.done)
	}
}

// note keeps a counter answer for the page.
func (s *Server) note(l logLine) {
	s.mu.Lock()
	s.log = append([]logLine{l}, s.log...)
	if len(s.log) > maxLog {
		s.log = s.log[:maxLog]
	}
	s.mu.Unlock()
	s.Changed()
}

func (s *Server) answers() []logLine {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]logLine(nil), s.log...)
}
