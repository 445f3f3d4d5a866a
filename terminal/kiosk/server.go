package kiosk

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/shebao-pay/shebao/terminal/flow"
)

// Config is what a kiosk page server is made with.
type Config struct {
	// Addr is the host and port that the browser uses, such as 127.0.0.1:8701.
	// It makes the URL and is the only Host value that is answered, beside Hosts.
	Addr string
	// Hosts are further Host values that are answered. Mostly empty.
	Hosts []string
	// FrameAncestors is the origin that may frame the page: the demo's panel.
	// Empty, as on every real terminal, means none.
	FrameAncestors string
	// MMPerPx is the size of a pixel of the display in millimetres, measured at
	// installation. Text heights are computed from it. Zero means DefaultMMPerPx.
	MMPerPx float64
	// Token is the secret of this boot in the URL. Empty: a random one is made.
	Token string
	// Demo shows the ribbon 演示 DEMO on every screen.
	Demo bool
}

// Limits.
const (
	// DefaultMMPerPx is a 21.5-inch display of 1080 × 1920 pixels.
	DefaultMMPerPx = 0.248
	// Sizes outside this range are a mistyped measurement: 0.05 mm is finer than
	// any display, 1 mm is a wall.
	minMMPerPx, maxMMPerPx = 0.05, 1.0
	// maxBody is the largest press: four short fields.
	maxBody = 1 << 10
	// maxValue is the contract's bound on flow.Press.Value.
	maxValue = 64
	// maxAction is longer than every action's name.
	maxAction = 24
	// writeWait is how long the browser, which is on the same machine, may take
	// to accept an event before its connection counts as gone.
	writeWait = 5 * time.Second
	// keepAlive is how often a silent stream is tested.
	keepAlive = 10 * time.Second
)

// ErrConfig is wrapped by every error of New.
var ErrConfig = errors.New("kiosk: configuration")

// Server renders screens for one browser. Its methods may be called from any
// goroutine.
type Server struct {
	conf    Config
	press   func(flow.Press)
	browser func(connected bool)
	pages   *pages
	handler http.Handler
	close   chan struct{}

	mu     sync.Mutex
	screen *flow.Screen // nil after a wipe
	page   int          // of a list, from 0; belongs to the kiosk, not to the flow
	wipes  uint64
	live   *conn
	closed bool

	tell     sync.Mutex // orders the calls of browser
	attached bool       // last told, guarded by tell
}

// conn is one browser connection.
type conn struct {
	id       string
	portrait bool
	wake     chan struct{} // capacity 1: something changed
	gone     chan struct{} // closed when a newer connection took over
}

// New makes a server. press hears every well-formed press, browser hears when
// the display gets and loses its connection; both are called from the server's
// goroutines and may call Show and Wipe.
func New(conf Config, press func(flow.Press), browser func(connected bool)) (*Server, error) {
	if press == nil || browser == nil {
		return nil, fmt.Errorf("%w: press and browser must be given", ErrConfig)
	}
	if _, port, err := net.SplitHostPort(conf.Addr); err != nil || port == "" {
		return nil, fmt.Errorf("%w: addr is %q, want host:port", ErrConfig, conf.Addr)
	}
	if conf.MMPerPx == 0 {
		conf.MMPerPx = DefaultMMPerPx
	}
	if !(conf.MMPerPx >= minMMPerPx && conf.MMPerPx <= maxMMPerPx) {
		return nil, fmt.Errorf("%w: mm_per_px is %v, want %v to %v", ErrConfig, conf.MMPerPx, minMMPerPx, maxMMPerPx)
	}
	if conf.FrameAncestors != "" && !originForm.MatchString(conf.FrameAncestors) {
		return nil, fmt.Errorf("%w: frame_ancestors is %q, want one origin such as http://127.0.0.1:8702", ErrConfig, conf.FrameAncestors)
	}
	if conf.Token == "" {
		conf.Token = random()
	}
	if !tokenForm.MatchString(conf.Token) {
		return nil, fmt.Errorf("%w: token must be 32 to 64 hexadecimal digits", ErrConfig)
	}
	p, err := loadPages()
	if err != nil {
		return nil, err
	}
	s := &Server{conf: conf, press: press, browser: browser, pages: p, close: make(chan struct{})}
	s.handler = s.guarded(s.routes())
	return s, nil
}

// Handler serves the pages.
func (s *Server) Handler() http.Handler { return s.handler }

// URL is the address with this boot's token, for the browser's command line.
func (s *Server) URL() string { return "http://" + s.conf.Addr + "/?t=" + s.conf.Token }

// Serve answers on l until ctx ends.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	srv := &http.Server{
		Handler:           s.handler,
		ReadHeaderTimeout: 5 * time.Second, // the browser is on the same machine
		ReadTimeout:       10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
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
		return fmt.Errorf("kiosk: serve: %w", err)
	}
	return <-done
}

// Close ends the live connection and refuses new ones.
func (s *Server) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		close(s.close)
	}
}

// Show makes sc the present screen.
func (s *Server) Show(sc flow.Screen) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.screen == nil || s.screen.ID != sc.ID {
		s.page = 0
	}
	s.screen = &sc
	s.wakeLive()
}

// Wipe empties the page and forgets the screen.
func (s *Server) Wipe() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.screen = nil
	s.page = 0
	s.wipes++
	s.wakeLive()
}

// wakeLive tells the live connection to look. It is called with mu held.
func (s *Server) wakeLive() {
	if s.live == nil {
		return
	}
	select {
	case s.live.wake <- struct{}{}:
	default: // it is already going to look
	}
}

// attach makes c the live connection; the one before goes blank.
func (s *Server) attach(c *conn) bool {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return false
	}
	if s.live != nil {
		close(s.live.gone)
	}
	s.live = c
	s.mu.Unlock()
	s.tellBrowser()
	return true
}

// detach ends c. A connection that was taken over from changes nothing.
func (s *Server) detach(c *conn) {
	s.mu.Lock()
	if s.live == c {
		s.live = nil
	}
	s.mu.Unlock()
	s.tellBrowser()
}

// tellBrowser tells whether a connection is live, in order and once per change.
func (s *Server) tellBrowser() {
	s.tell.Lock()
	defer s.tell.Unlock()
	s.mu.Lock()
	on := s.live != nil
	s.mu.Unlock()
	if on != s.attached {
		s.attached = on
		s.browser(on)
	}
}

// turn moves to a page of the present list. It answers false when the list has
// no such page.
func (s *Server) turn(step uint64, page int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.screen == nil || s.screen.Step != step || s.live == nil {
		return false
	}
	if page < 0 || page >= pageCount(*s.screen, s.live.portrait) {
		return false
	}
	s.page = page
	s.wakeLive()
	return true
}

// random makes 32 hexadecimal digits.
func random() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails: crypto/rand stops the program instead
	return hex.EncodeToString(b[:])
}
