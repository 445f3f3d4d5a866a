package bankhost

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/shebao-pay/shebao/cardauth/emv"
	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/hsmapi"
)

// Keys are what the bank and the hub have exchanged by hand. Test keys.
type Keys struct {
	TMK        map[string][]byte // POS: terminal master key of 16 bytes by DE 41
	KBPK       []byte            // CUPS: AES key block protection key, 16 or 32 bytes
	IMK        string            // issuer master key of the cards, 32 hexadecimal digits
	CardCipher emv.Cipher        // of the cards; 0 takes 3DES
	SM4Code    byte              // algorithm letter of an SM4 key block; 0 takes hsmapi.SM4Algorithm
}

// Config says what a host is.
type Config struct {
	Profile  *profile.Profile
	Keys     Keys
	Accounts []Account
	// Addr is where it listens; empty takes a free port of 127.0.0.1.
	Addr string
	// TLS, if set, is asked of every link.
	TLS *tls.Config
	// Clock gives the time; nil takes the system's.
	Clock func() time.Time
	// Rand gives keys and authorisation codes; nil takes the system's.
	Rand io.Reader
	// StateFile keeps the journal, from which balances, tries and counters are
	// found again; empty keeps nothing.
	StateFile string
	// Script says which fault the nth request (from 1) of a kind meets.
	Script func(n int, k profile.Kind) Fault
	// Watch, if set, hears of each request after the host has dealt with it. It
	// must not call the host back.
	Watch func(Seen)
}

// Seen is one request that the host has dealt with, as an engineer wants to read
// it. It holds no PAN and no key.
type Seen struct {
	Kind    profile.Kind
	MTI     string
	STAN    string
	Amount  si.Fen // of a debit or reversal
	Code    string // DE 39 of the answer, empty if none was made
	GoodMAC bool   // the request's code was good
	Fault   bool   // a fault was played
}

// Host serves one bank.
type Host struct {
	cfg Config
	w   *wire
	imk emv.Key
	ln  net.Listener

	away bool // under mu: nobody is let in

	mu       sync.Mutex
	accounts map[string]*Account
	entries  []Entry
	byKey    map[string]*outcome
	buried   map[string]bool // keys reversed before they were seen
	keys     map[string]*session
	conns    map[*conn]struct{}
	seen     map[profile.Kind]int
	plans    []planned
	date     si.BusinessDate // 0: from the clock
	stan     int
	script   []byte // that approvals carry for the chip
	state    *stateFile
	closed   bool

	wg     sync.WaitGroup
	ctx    context.Context
	cancel context.CancelFunc
}

// session is the working keys of a virtual terminal (POS) or a link (CUPS), the
// newest first; two generations are good.
type session struct {
	pin, mac [][]byte
}

func (s *session) newPIN(k []byte) { s.pin = append([][]byte{k}, s.pin...)[:min(2, len(s.pin)+1)] }
func (s *session) newMAC(k []byte) { s.mac = append([][]byte{k}, s.mac...)[:min(2, len(s.mac)+1)] }

// conn is one link.
type conn struct {
	net.Conn
	write sync.Mutex
	keys  *session
	// wanted are the keys on their way to the hub, by trace number.
	wanted map[string]wanted
}

type wanted struct {
	pin bool
	key []byte
}

// New makes a host and reads its journal back. It does not listen yet.
func New(cfg Config) (*Host, error) {
	if cfg.Profile == nil {
		return nil, errors.New("bankhost: a profile is needed")
	}
	w, err := newWire(cfg.Profile)
	if err != nil {
		return nil, err
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	if cfg.Addr == "" {
		cfg.Addr = "127.0.0.1:0"
	}
	if cfg.Keys.CardCipher == 0 {
		cfg.Keys.CardCipher = emv.TDES
	}
	if cfg.Keys.SM4Code == 0 {
		cfg.Keys.SM4Code = hsmapi.SM4Algorithm
	}
	h := &Host{cfg: cfg, w: w, accounts: map[string]*Account{}, byKey: map[string]*outcome{}, buried: map[string]bool{},
		keys: map[string]*session{}, conns: map[*conn]struct{}{}, seen: map[profile.Kind]int{}}
	imk, err := hex.DecodeString(cfg.Keys.IMK)
	if err != nil || len(imk) != 16 {
		return nil, errors.New("bankhost: the issuer master key must be 32 hexadecimal digits")
	}
	copy(h.imk[:], imk)
	for _, a := range cfg.Accounts {
		if err := h.addAccount(a); err != nil {
			return nil, err
		}
	}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	if cfg.StateFile != "" {
		if err := h.openState(cfg.StateFile); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// SetScript has the approvals that follow carry issuer scripts for the chip,
// templates 71 and 72; nil ends it.
func (h *Host) SetScript(templates []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.script = slices.Clone(templates)
}

// Start listens and serves until Close.
func (h *Host) Start() error {
	ln, err := net.Listen("tcp", h.cfg.Addr)
	if err != nil {
		return fmt.Errorf("bankhost: %s: %w", h.cfg.Profile.Code, err)
	}
	if h.cfg.TLS != nil {
		ln = tls.NewListener(ln, h.cfg.TLS)
	}
	h.ln = ln
	h.wg.Go(h.accept)
	return nil
}

// Addr is where the host listens.
func (h *Host) Addr() string {
	if h.ln == nil {
		return h.cfg.Addr
	}
	return h.ln.Addr().String()
}

// Close hangs up and waits until everything has ended.
func (h *Host) Close() error {
	h.mu.Lock()
	h.closed = true
	for c := range h.conns {
		_ = c.Close()
	}
	h.mu.Unlock()
	h.cancel()
	if h.ln != nil {
		_ = h.ln.Close()
	}
	h.wg.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.state.close()
}

// HangUp closes every link; the host goes on listening.
func (h *Host) HangUp() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.conns {
		_ = c.Close()
	}
}

// Away hangs up and lets nobody in, until it is called with false.
func (h *Host) Away(away bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.away = away
	if away {
		for c := range h.conns {
			_ = c.Close()
		}
	}
}

func (h *Host) accept() {
	for {
		nc, err := h.ln.Accept()
		if err != nil {
			return
		}
		c := &conn{Conn: nc, keys: &session{}, wanted: map[string]wanted{}}
		h.mu.Lock()
		if h.closed || h.away {
			over := h.closed
			h.mu.Unlock()
			_ = nc.Close()
			if over {
				return
			}
			continue
		}
		h.conns[c] = struct{}{}
		h.mu.Unlock()
		h.wg.Go(func() { h.serve(c) })
	}
}

// serve reads one link to its end.
func (h *Host) serve(c *conn) {
	defer func() {
		_ = c.Close()
		h.mu.Lock()
		delete(h.conns, c)
		h.mu.Unlock()
	}()
	for {
		m, err := h.w.read(c)
		if err != nil {
			return
		}
		if !h.handle(c, m) {
			return
		}
	}
}

// handle does one message; false hangs up.
func (h *Host) handle(c *conn, m *message) bool {
	k, r := h.kind(m)
	if r == nil {
		h.keyAccepted(c, m)
		return true
	}
	h.mu.Lock()
	f := h.fault(k)
	if f.act == actDropRequest {
		h.mu.Unlock()
		return true
	}
	if f.act == actCloseBefore {
		h.mu.Unlock()
		return false
	}
	if f.act == actStall {
		h.mu.Unlock()
		h.later(f.delay, func() {
			h.mu.Lock()
			if !h.work(c, k, m, r, None) {
				_ = c.Close()
			}
		})
		return true
	}
	return h.work(c, k, m, r, f)
}

// work does a request and answers as the fault says; false hangs up. Called with
// h.mu held, which it gives back.
func (h *Host) work(c *conn, k profile.Kind, m *message, r *profile.MessageRule, f Fault) bool {
	reply, key := h.answer(c, k, m, r, f)
	h.watched(c, k, m, reply, f)
	if f.act == actCrash {
		h.crash(f.lost)
	}
	h.mu.Unlock()
	switch {
	case f.act == actCloseOnReply, f.act == actCrash:
		return false
	case reply == nil, f.act == actDropReply:
		return true
	}
	frame := h.spoiled(k, m, reply, key, f)
	switch {
	case frame == nil:
		return false
	case f.act == actTorn:
		h.send(c, frame[:len(frame)/2])
		return false
	case f.delay > 0:
		h.later(f.delay, func() { h.send(c, frame) })
		return true
	case f.act == actDuplicate:
		h.send(c, frame)
	}
	h.send(c, frame)
	if k == profile.KeyReset {
		h.deliverKey(c, m.fields[53] != "" && m.fields[53][0] == '1')
	}
	return true
}

// watched tells whoever watches of a request. Called with h.mu held.
func (h *Host) watched(c *conn, k profile.Kind, m, reply *message, f Fault) {
	if h.cfg.Watch == nil {
		return
	}
	s := Seen{Kind: k, MTI: m.mti, STAN: m.fields[11], GoodMAC: h.goodCode(h.sessionOf(c, m), m) != nil, Fault: f != None}
	if v, err := strconv.ParseInt(m.fields[4], 10, 64); err == nil {
		s.Amount = si.Fen(v)
	}
	if reply != nil {
		s.Code = reply.fields[39]
	}
	h.cfg.Watch(s)
}

// spoiled makes the reply's frame with what the fault does to it; nil if there is
// none.
func (h *Host) spoiled(k profile.Kind, m, reply *message, key []byte, f Fault) []byte {
	switch {
	case f.act == actWrongField && reply.fields[f.de] != "":
		v := []byte(reply.fields[f.de])
		v[len(v)-1] ^= 1
		reply.fields[f.de] = string(v)
	case f.act == actOtherCode:
		reply.fields[39] = f.code
	case f.act == actWrongType:
		reply.mti = "0130" // of an authorisation advice, which nobody asked for
	}
	if f.act == actNoMAC || !h.carriesCode(k) {
		key = nil
	}
	body, err := h.w.codedBody(reply, key, f.act == actWrongMAC)
	if err != nil {
		return nil
	}
	frame := h.w.frame(body, m.head)
	if f.act == actGarbage {
		for i := range frame {
			frame[i] ^= 0x5A
		}
	}
	return frame
}

// later does something after a while, unless the host is closed before.
func (h *Host) later(d time.Duration, do func()) {
	h.wg.Go(func() {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
			do()
		case <-h.ctx.Done():
		}
	})
}

func (h *Host) send(c *conn, frame []byte) {
	c.write.Lock()
	defer c.write.Unlock()
	_ = c.SetWriteDeadline(time.Now().Add(5 * time.Second))
	if _, err := c.Write(frame); err != nil {
		_ = c.Close()
	}
}

// kind tells what a request is and gives the rule of its reply; nil for what is
// no request to a host.
func (h *Host) kind(m *message) (profile.Kind, *profile.MessageRule) {
	p := h.cfg.Profile
	for k := profile.Debit; k < profile.Inquiry; k++ {
		r := &p.Rules[k].Request
		if !r.Used() || k.BankSends() || m.mti != r.MTI && (r.Repeat == "" || m.mti != r.Repeat) || r.Proc != "" && m.fields[3] != r.Proc {
			continue
		}
		network := m.fields[70]
		if p.Dialect == profile.POS && r.Network != "" {
			if len(m.fields[60]) < 11 || m.fields[60][:2] != r.Function {
				continue
			}
			network = m.fields[60][8:11]
		}
		if r.Network == "" || network == r.Network {
			return k, &p.Rules[k].Reply
		}
	}
	return 0, nil
}

// carriesCode tells whether replies of a kind have a code.
func (h *Host) carriesCode(k profile.Kind) bool {
	return lists(&h.cfg.Profile.Rules[k].Reply, h.cfg.Profile.MACField)
}

// lists tells whether a message may have the element.
func lists(r *profile.MessageRule, de int) bool {
	return slices.Contains(r.Mandatory, de) || slices.Contains(r.Optional, de)
}

// sessionOf gives the keys that a message is under. Called with h.mu held.
func (h *Host) sessionOf(c *conn, m *message) *session {
	if h.cfg.Profile.Dialect == profile.CUPS {
		return c.keys
	}
	s := h.keys[m.fields[41]]
	if s == nil {
		s = &session{}
		h.keys[m.fields[41]] = s
	}
	return s
}

// goodCode finds the key under which the message's code is good; nil if none.
func (h *Host) goodCode(s *session, m *message) []byte {
	code := m.fields[h.cfg.Profile.MACField]
	if len(code) != 8 || len(m.body) < 8 {
		return nil
	}
	for _, k := range s.mac {
		want, err := h.w.code(m, k)
		if err == nil && subtle.ConstantTimeCompare(want[:], []byte(code)) == 1 {
			return k
		}
	}
	return nil
}

// now is the host's time in China.
func (h *Host) now() time.Time { return h.cfg.Clock().In(si.China) }

// BusinessDate is the date that the bank books on.
func (h *Host) BusinessDate() si.BusinessDate {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.businessDate()
}

func (h *Host) businessDate() si.BusinessDate {
	if h.date != 0 {
		return h.date
	}
	t := h.now()
	d := si.DateOf(t)
	if at := h.cfg.Profile.CutoverAt; at < 24*time.Hour && t.Sub(d.Time()) >= at {
		d++
	}
	return d
}

// SetDate fixes the date that the bank books on; 0 takes the clock's again.
func (h *Host) SetDate(d si.BusinessDate) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.date = d
}
