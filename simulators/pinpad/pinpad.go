// Package pinpad is a simulated encrypting PIN pad: a process-able server with a
// page of its own origin, where a person clicks or types the digits, and a Unix
// socket, where the terminal asks for an entry and gets counts and one enciphered
// block. It holds its own PIN key. No digit leaves it: not over the socket, not in
// an answer to the page, not in a log (it has none).
//
// It misbehaves on demand ([Fault]) and can be typed on from Go ([Pad.Type]), for
// tests and scripted plays. It takes part in demonstration and tests only; the
// wire form is that of cardauth/epp's socket driver.
package pinpad

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/shebao-pay/shebao/cardauth/pinblock"
	"github.com/shebao-pay/shebao/si"
)

// Config is what a pad needs.
type Config struct {
	// AESKey makes format 4 blocks, TDESKey (double length) format 0; one may be nil.
	AESKey, TDESKey []byte
	// AESName and TDESName are what the hub calls these keys, such as
	// "terminal/1/tpk".
	AESName, TDESName string
	// Socket is the path of the terminal's socket.
	Socket string
	// HTTPAddr is where the page is served; empty means 127.0.0.1 and any port.
	HTTPAddr string
	// FrameAncestors is the origin that may show the page in a frame (the demo's
	// panel); empty means nobody.
	FrameAncestors string
	// Times bound an entry; zero values take the defaults.
	Times Times
}

// Times bound an entry.
type Times struct {
	FirstKey time.Duration // until the first key; default 30 s
	Between  time.Duration // between keys; default 30 s
	Whole    time.Duration // the whole entry; default 120 s
	Slow     time.Duration // what the Slow fault adds before the block; default 3 s
}

// Fault is how a pad misbehaves.
type Fault uint8

// The faults. Tamper erases the keys as it should; going back to None loads them
// again, as two custodians would.
const (
	None Fault = iota
	Tamper
	NoKey
	Slow
)

var faultNames = [...]string{"none", "tamper", "no key", "slow"}

// String writes the fault's name.
func (f Fault) String() string {
	if int(f) >= len(faultNames) {
		return fmt.Sprintf("Fault(%d)", uint8(f))
	}
	return faultNames[f]
}

// Errors of typing from Go.
var (
	ErrNoEntry = errors.New("pinpad: no entry is under way")
	ErrKey     = errors.New("pinpad: no such key")
)

// Pad is a running pad.
type Pad struct {
	cfg     Config
	ciphers map[si.PINFormat]*pinblock.Cipher
	token   string
	cookie  string

	mu    sync.Mutex
	fault Fault
	entry *entry
	turn  chan struct{} // closed when an entry begins or ends
	views map[chan view]bool

	socket net.Listener
	page   net.Listener
	web    *http.Server
	stop   context.CancelFunc
	wg     sync.WaitGroup
}

// Start opens the socket and the page.
func Start(cfg Config) (*Pad, error) {
	p := &Pad{cfg: cfg, ciphers: make(map[si.PINFormat]*pinblock.Cipher), turn: make(chan struct{}), views: make(map[chan view]bool)}
	p.cfg.Times = cfg.Times.withDefaults()
	for _, k := range []struct {
		format si.PINFormat
		key    []byte
		name   string
	}{{si.PINFormat4AES, cfg.AESKey, cfg.AESName}, {si.PINFormat0TDES, cfg.TDESKey, cfg.TDESName}} {
		if k.key == nil {
			continue
		}
		c, err := pinblock.NewCipher(k.format, k.key)
		if err != nil {
			return nil, fmt.Errorf("pinpad: key %q: %w", k.name, err)
		}
		if k.name == "" {
			return nil, errors.New("pinpad: a key needs the name the hub knows it by")
		}
		p.ciphers[k.format] = c
	}
	p.cfg.AESKey, p.cfg.TDESKey = nil, nil
	if err := p.listen(); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	p.web = &http.Server{
		Handler:           p.handler(),
		ReadHeaderTimeout: 5 * time.Second,
		MaxHeaderBytes:    8 << 10,
		ErrorLog:          log.New(io.Discard, "", 0), // requests carry keys; nothing of them is written
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	p.wg.Go(func() { _ = p.web.Serve(p.page) }) // ends with Close
	p.wg.Go(func() { p.serve(ctx) })
	return p, nil
}

func (t Times) withDefaults() Times {
	for _, d := range []struct {
		v *time.Duration
		d time.Duration
	}{{&t.FirstKey, 30 * time.Second}, {&t.Between, 30 * time.Second}, {&t.Whole, 120 * time.Second}, {&t.Slow, 3 * time.Second}} {
		if *d.v <= 0 {
			*d.v = d.d
		}
	}
	return t
}

func (p *Pad) listen() error {
	if err := os.Remove(p.cfg.Socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("pinpad: remove old socket: %w", err)
	}
	var err error
	if p.socket, err = net.Listen("unix", p.cfg.Socket); err != nil {
		return fmt.Errorf("pinpad: socket: %w", err)
	}
	if err = os.Chmod(p.cfg.Socket, 0o600); err != nil {
		_ = p.socket.Close() // the first error is the one to tell
		return fmt.Errorf("pinpad: socket: %w", err)
	}
	addr := p.cfg.HTTPAddr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	if p.page, err = net.Listen("tcp", addr); err != nil {
		_ = p.socket.Close() // the first error is the one to tell
		return fmt.Errorf("pinpad: page: %w", err)
	}
	host, _, err := net.SplitHostPort(p.page.Addr().String())
	if ip := net.ParseIP(host); err != nil || !ip.IsLoopback() {
		_, _ = p.socket.Close(), p.page.Close()
		return fmt.Errorf("pinpad: page: %s is not on this machine alone", addr)
	}
	return p.makeToken()
}

// Close ends the pad; an entry under way ends as a fault.
func (p *Pad) Close() error {
	p.finish(result{err: "fault", text: "switched off"})
	p.stop()
	_, _ = p.socket.Close(), p.web.Close() // nothing is left to send
	p.wg.Wait()
	return nil
}

// Origin is the page's origin, such as http://127.0.0.1:8703.
func (p *Pad) Origin() string { return "http://" + p.page.Addr().String() }

// URL is the page's address with the token that lets a browser in.
func (p *Pad) URL() string { return p.Origin() + "/?token=" + p.token }

// SetFault makes the pad misbehave, or behave again. Tamper and NoKey end an entry
// under way.
func (p *Pad) SetFault(f Fault) {
	p.mu.Lock()
	p.fault = f
	p.mu.Unlock()
	if f == Tamper || f == NoKey {
		p.finish(result{err: "fault", text: f.String()})
	}
	p.show()
}

// State tells whether an entry is under way, how many digits are held, and the
// fault.
func (p *Pad) State() (entering bool, count int, f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.entry != nil {
		return true, p.entry.pin.Len(), p.fault
	}
	return false, 0, p.fault
}

// WaitEntry waits until an entry is under way.
func (p *Pad) WaitEntry(ctx context.Context) error {
	for {
		p.mu.Lock()
		under, turn := p.entry != nil, p.turn
		p.mu.Unlock()
		if under {
			return nil
		}
		select {
		case <-turn:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ErrNoEntry, ctx.Err())
		}
	}
}

// Type presses digit keys.
func (p *Pad) Type(digits string) error {
	for i := range len(digits) {
		if err := p.press(digits[i : i+1]); err != nil {
			return err
		}
	}
	return nil
}

// Enter presses the green key.
func (p *Pad) Enter() error { return p.press(keyEnter) }

// Clear presses the yellow key: the last digit goes.
func (p *Pad) Clear() error { return p.press(keyClear) }

// Cancel presses the red key.
func (p *Pad) Cancel() error { return p.press(keyCancel) }
