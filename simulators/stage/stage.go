package stage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/shebao-pay/shebao/data"
	"github.com/shebao-pay/shebao/settlement/operator"
	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/simulators/bankhost"
	"github.com/shebao-pay/shebao/simulators/chipcard"
	"github.com/shebao-pay/shebao/simulators/pinpad"
	"github.com/shebao-pay/shebao/simulators/printer"
	"github.com/shebao-pay/shebao/simulators/proxy"
	"github.com/shebao-pay/shebao/simulators/residents"
	"github.com/shebao-pay/shebao/simulators/vpcd"
)

// Config says what stands on the stage.
type Config struct {
	// Dir holds everything; Bin has the programs settled and terminald.
	Dir, Bin string
	Persons  int
	Seed     uint64
	// Ports are the demo's fixed ones, or free ones for tests and plays.
	Ports Ports
	// HubOnly leaves out terminal, cards, PIN pad and printer: for load.
	HubOnly bool
	// Terminals is how many terminals the hub knows: 1, which 0 means as well, to
	// MaxTerminals. LoadTerminals plays them. A folder keeps those it began with.
	Terminals int
	// Nodes is how many nodes the hub has: 1, which 0 means as well, or 3. Several
	// are for load; they begin as one that is filled and grow.
	Nodes int
	// NullLedger runs settled without a ledger: the yardstick of the load.
	NullLedger bool
	// Rules changes a bank's rules file, nil leaves them as they are: for what none
	// of the four banks has.
	Rules func(code string, rules []byte) []byte
	// Quick shortens the time-outs, so that each fault ends within seconds.
	Quick bool
	// Idle shortens the screen's idle time of a quick terminal further.
	Idle time.Duration
	// Lines puts a bad line between the hub and each bank, both ways; see
	// simulators/proxy. It is a good one until SetLines.
	Lines bool
	// Fallen, if it is set, is called when settled or terminald was killed and
	// before it is started again: what a power failure does to its disk.
	Fallen func(program string) error
	// LogLevel of settled and terminald; empty is info.
	LogLevel string
	// Self starts this program again as the process that plays the cards; empty
	// is this program with vpcd.ChildCommand.
	Self []string
	// Tell hears a line per step, and Progress the loading of residents.
	Tell     func(string)
	Progress func(what string, done, total int)
}

// Ports are where things listen on 127.0.0.1.
type Ports struct {
	Kiosk, Panel, Pad        int
	Terminals, Admin, TAdmin int
	Banks                    map[string]int
	Counters                 map[string]int
}

// DemoPorts are the ports of `make run`.
func DemoPorts() Ports {
	return Ports{
		Kiosk: 8701, Panel: 8702, Pad: 8703, Terminals: 8710, Admin: 8711, TAdmin: 8712,
		Banks:    map[string]int{"rcb": 8721, "icbc": 8722, "ccb": 8723, "boc": 8724},
		Counters: map[string]int{"rcb": 8731, "ccb": 8732, "boc": 8733},
	}
}

// FreePorts gives ports that nobody uses, and that no other process of ours is
// given until this one ends.
func FreePorts() (Ports, error) {
	p := Ports{Banks: map[string]int{}, Counters: map[string]int{}}
	var err error
	next := func() (n int) {
		if err == nil {
			n, err = claimPort()
		}
		return n
	}
	for _, at := range []*int{&p.Kiosk, &p.Panel, &p.Pad, &p.Terminals, &p.Admin, &p.TAdmin} {
		*at = next()
	}
	for code := range DemoPorts().Banks {
		p.Banks[code] = next()
	}
	for code := range DemoPorts().Counters {
		p.Counters[code] = next()
	}
	return p, err
}

// Ports are claimed below those that the system gives to outgoing connections.
const (
	firstPort  = 10_000
	portsEnd   = 32_768
	portsTried = 1000
)

// claims keeps what this process has claimed.
var claims struct {
	mu   sync.Mutex
	held []net.Listener
}

// claimPort finds a free port. The claim is a Unix socket without a file, which
// ends with the process: between the look at a port and its use by a program that
// is started, another process would find it free as well.
func claimPort() (int, error) {
	claims.mu.Lock()
	defer claims.mu.Unlock()
	for range portsTried {
		n := firstPort + rand.IntN(portsEnd-firstPort)
		claim, err := net.Listen("unix", "@shebao-port-"+strconv.Itoa(n))
		if err != nil {
			continue // somebody's
		}
		l, err := net.Listen("tcp", addr(n))
		if err != nil {
			_ = claim.Close()
			continue
		}
		_ = l.Close()
		claims.held = append(claims.held, claim)
		return n, nil
	}
	return 0, fmt.Errorf("stage: no free port among %d tried from %d to %d", portsTried, firstPort, portsEnd-1)
}

// free tells which of the ports is taken, in words for the person at the keyboard.
func (p Ports) free() error {
	all := map[int]string{p.Kiosk: "kiosk page", p.Panel: "hardware panel", p.Pad: "PIN pad", p.Terminals: "terminal API",
		p.Admin: "health of settled", p.TAdmin: "health of terminald"}
	for code, n := range p.Banks {
		all[n] = "bank host " + code
	}
	for code, n := range p.Counters {
		all[n] = "counter server of " + code
	}
	var numbers []int
	for n := range all {
		numbers = append(numbers, n)
	}
	sort.Ints(numbers)
	for _, n := range numbers {
		l, err := net.Listen("tcp", addr(n))
		if err != nil {
			return fmt.Errorf("port %d, wanted for the %s, is taken by another program; is a demo running already? End that program (`ss -ltnp 'sport = :%d'` names it) and start again", n, all[n], n)
		}
		_ = l.Close()
	}
	return nil
}

func addr(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }

// Stage is a running system.
type Stage struct {
	cfg   Config
	keys  *keyBook
	pki   *pki
	gen   residents.Generator
	rates uint32 // version of the rate table
	stops []func()

	// Resumed tells that data of an earlier start was found.
	Resumed  bool
	Profiles []*profile.Profile
	Cards    []Card
	Banks    map[string]*bankhost.Host
	Lines    map[string]*proxy.Proxy // by bank code; those of counters have "/counter" behind it
	Pad      *pinpad.Pad
	Printer  *printer.Server
	Rig      *vpcd.Rig
	Operator *operator.Client

	mu        sync.Mutex
	hsm       *process
	settled   *process
	nodes     []*hubNode    // of a hub of several
	deadCPU   time.Duration // of killed hubs
	deadLog   int64
	terminald *process
	inserted  string
	states    map[string]chipcard.State
	watch     func(Event)
	hook      func(profile.Kind) bankhost.Fault
	moods     map[string]func(int, profile.Kind) bankhost.Fault

	supply *supply // of counter loads

	tap http.RoundTripper // of the citizens' requests, where a test listens
}

// Event tells what happened on the stage, for pages that show it.
type Event struct {
	Kind string // card-in, card-out
	Card string
}

// Start brings everything up in order and returns when citizens can be served.
// Whatever it started is ended by Close, also after an error.
func Start(ctx context.Context, cfg Config) (_ *Stage, err error) {
	if cfg.Tell == nil {
		cfg.Tell = func(string) {}
	}
	if cfg.Progress == nil {
		cfg.Progress = func(string, int, int) {}
	}
	if cfg.Terminals == 0 {
		cfg.Terminals = 1
	}
	if cfg.Terminals < 1 || cfg.Terminals > MaxTerminals {
		return nil, fmt.Errorf("stage: %d terminals; 1 to %d are possible", cfg.Terminals, MaxTerminals)
	}
	if cfg.Nodes > 1 && (cfg.Nodes > 5 || !cfg.HubOnly || cfg.NullLedger) {
		return nil, fmt.Errorf("stage: %d nodes; several, at most 5, are for load on a real ledger", cfg.Nodes)
	}
	if cfg.Dir, err = filepath.Abs(cfg.Dir); err != nil {
		return nil, fmt.Errorf("stage: %w", err)
	}
	s := &Stage{cfg: cfg, gen: residents.New(cfg.Seed), Banks: map[string]*bankhost.Host{}, Lines: map[string]*proxy.Proxy{}, states: map[string]chipcard.State{}}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	for _, step := range []func(context.Context) error{
		s.takeDir, s.prepare, s.startBanks, s.startDevices, s.startHSM, s.StartHub, s.fill, s.grow, s.StartTerminal,
	} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// onStop remembers what Close must undo; the last started ends first.
func (s *Stage) onStop(f func()) { s.stops = append(s.stops, f) }

// OnStop lets Close end something that was started on the stage.
func (s *Stage) OnStop(f func()) { s.onStop(f) }

// PanelAddr is where the hardware panel belongs.
func (s *Stage) PanelAddr() string { return addr(s.cfg.Ports.Panel) }

// Close ends everything in reverse order.
func (s *Stage) Close() {
	for i := len(s.stops) - 1; i >= 0; i-- {
		s.stops[i]()
	}
	s.stops = nil
}

// hold takes the folder's lock.
func hold(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "LOCK"), os.O_CREATE|os.O_RDWR, 0o600) // #nosec G304 -- the caller's own folder
	if err != nil {
		return nil, fmt.Errorf("stage: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("%s is in use: a demo is running already on this machine; open its pages, or end it with Ctrl-C first", dir)
	}
	return f, nil
}

// Idle tells whether nobody runs on the folder.
func Idle(dir string) error {
	f, err := hold(dir)
	if err != nil {
		return err
	}
	return f.Close()
}

// takeDir holds the folder against a second start.
func (s *Stage) takeDir(context.Context) error {
	if err := os.MkdirAll(s.path("log"), 0o700); err != nil {
		return fmt.Errorf("stage: %w", err)
	}
	f, err := hold(s.cfg.Dir)
	if err != nil {
		return err
	}
	s.onStop(func() { _ = f.Close() })
	return s.cfg.Ports.free()
}

func (s *Stage) path(parts ...string) string {
	return filepath.Join(append([]string{s.cfg.Dir}, parts...)...)
}

// prepare reads the profiles and makes or finds certificates, keys and cards.
func (s *Stage) prepare(context.Context) error {
	for _, b := range residents.Banks {
		spec, err := data.Banks.ReadFile("banks/" + b.Code + "/" + profile.SpecName)
		if err != nil {
			return fmt.Errorf("stage: %w", err)
		}
		rules, err := data.Banks.ReadFile("banks/" + b.Code + "/" + profile.RulesName)
		if err != nil {
			return fmt.Errorf("stage: %w", err)
		}
		rules = s.rulesOf(b.Code, rules)
		p, err := profile.Load(spec, rules)
		if err != nil {
			return err
		}
		s.Profiles = append(s.Profiles, p)
		if s.cfg.NullLedger {
			if err := s.writeProfile(b.Code, spec, rules); err != nil {
				return err
			}
		}
	}
	var err error
	if s.keys, err = openKeys(s.cfg.Dir, s.Profiles, s.cfg.Terminals); err != nil {
		return err
	}
	if s.pki, err = openPKI(s.path("pki")); err != nil {
		return err
	}
	if _, err := s.pki.issue("hub", hubName, true); err != nil {
		return err
	}
	s.Cards, err = dealTray(s.gen, s.cfg.Persons, func(code string) string { return s.keys.IMK[code] })
	return err
}

// writeProfile puts a profile where a node without a ledger finds it.
func (s *Stage) writeProfile(code string, spec, rules []byte) error {
	dir := s.path("profiles", code)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("stage: %w", err)
	}
	for name, body := range map[string][]byte{profile.SpecName: spec, profile.RulesName: rules} {
		if err := os.WriteFile(filepath.Join(dir, name), body, 0o600); err != nil {
			return fmt.Errorf("stage: %w", err)
		}
	}
	return nil
}

// hubName is the name in the hub's certificate.
const hubName = "hub.shebao.demo"

// startBanks opens the four bank hosts.
func (s *Stage) startBanks(context.Context) error {
	for _, p := range s.Profiles {
		if err := s.startBank(p); err != nil {
			return err
		}
	}
	s.cfg.Tell("four bank hosts answer")
	return nil
}

// startBank opens a bank host with an account behind every card of the bank. It
// finds what an earlier one has booked.
func (s *Stage) startBank(p *profile.Profile) error {
	var accounts []bankhost.Account
	for _, c := range s.Cards {
		if c.Bank == p.Code {
			accounts = append(accounts, bankhost.Account{PAN: c.Person.PAN, PIN: c.PIN, Balance: c.Balance})
		}
	}
	at := addr(s.cfg.Ports.Banks[p.Code])
	if s.cfg.Lines {
		at = "" // the line listens where the hub looks for the bank
	}
	h, err := bankhost.New(bankhost.Config{
		Profile: p, Keys: s.keys.bank(p), Accounts: accounts, Addr: at, StateFile: s.path("bank-" + p.Code + ".jsonl"),
		Script: func(n int, k profile.Kind) bankhost.Fault { return s.script(p.Code, n, k) },
	})
	if err != nil {
		return err
	}
	if err := h.Start(); err != nil {
		return err
	}
	s.Banks[p.Code] = h
	s.onStop(func() { _ = h.Close() })
	return s.startLines(p, h.Addr())
}

// startDevices brings up pad, printer and the card service with its reader.
func (s *Stage) startDevices(ctx context.Context) error {
	if s.cfg.HubOnly {
		return nil
	}
	// The card service's own file cannot name a driver in a folder with a space
	// or a Chinese letter in it; nothing in there outlives the stage.
	dir, err := os.MkdirTemp("", "shebao-pcsc-")
	if err != nil {
		return fmt.Errorf("stage: %w", err)
	}
	s.onStop(func() { _ = os.RemoveAll(dir) })
	rig, err := vpcd.Start(ctx, vpcd.Config{Dir: dir, Readers: 1, Self: s.cfg.Self})
	if err != nil {
		return err
	}
	s.Rig = rig
	s.onStop(rig.Close)
	go s.follow(rig)

	s.Printer = printer.New(time.Now, func() { s.tell(Event{Kind: "paper"}) })
	if err := s.serveUnix("printer.sock", s.Printer.Serve); err != nil {
		return err
	}
	if err := s.startPad(); err != nil {
		return err
	}
	s.cfg.Tell("card service, PIN pad and printer are there")
	return nil
}

// script asks the hook, if one is set, what a request meets.
func (s *Stage) script(bank string, n int, k profile.Kind) bankhost.Fault {
	s.mu.Lock()
	hook, mood := s.hook, s.moods[bank]
	s.mu.Unlock()
	if mood != nil {
		return mood(n, k)
	}
	if hook == nil {
		return bankhost.None
	}
	return hook(k)
}

// rulesOf are a bank's rules in this stage.
func (s *Stage) rulesOf(code string, rules []byte) []byte {
	if s.cfg.Rules == nil {
		return rules
	}
	return s.cfg.Rules(code, rules)
}

// OnRequest sets who decides about each request that reaches a bank host. It is
// called while the host works on that request.
func (s *Stage) OnRequest(hook func(profile.Kind) bankhost.Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hook = hook
}

// serveUnix runs serve on a Unix socket of the stage until Close.
func (s *Stage) serveUnix(name string, serve func(context.Context, net.Listener) error) error {
	path := s.path(name)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("stage: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return fmt.Errorf("stage: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = serve(ctx, l) // it ends with the stage
	}()
	s.onStop(func() { cancel(); _ = l.Close(); <-done })
	return nil
}

// follow keeps what cards remember without power, and tells what happens.
func (s *Stage) follow(rig *vpcd.Rig) {
	for e := range rig.Events() {
		if e.Kind == vpcd.Pulled { // by a fault of the card: it keeps its counter
			s.mu.Lock()
			s.states[e.Card], s.inserted = e.State, ""
			s.mu.Unlock()
		}
		s.tell(Event{Kind: "card"})
	}
}

// Watch sets who hears what happens on the stage.
func (s *Stage) Watch(f func(Event)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watch = f
}

func (s *Stage) tell(e Event) {
	s.mu.Lock()
	f := s.watch
	s.mu.Unlock()
	if f != nil {
		f(e)
	}
}

// Insert puts a card of the tray into the reader.
func (s *Stage) Insert(c Card) error {
	s.mu.Lock()
	kept := s.states[c.ID]
	s.mu.Unlock()
	if err := s.Rig.Insert(0, c.Data, kept); err != nil {
		return err
	}
	s.mu.Lock()
	s.inserted = c.ID
	s.mu.Unlock()
	s.tell(Event{Kind: "card-in", Card: c.ID})
	return nil
}

// Pull takes the card out and keeps its counter for the next time.
func (s *Stage) Pull() error {
	st, err := s.Rig.Remove(0)
	if errors.Is(err, vpcd.ErrEmpty) {
		return nil // it was pulled before
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	id := s.inserted
	s.inserted = ""
	s.states[id] = st.State
	s.mu.Unlock()
	s.tell(Event{Kind: "card-out", Card: id})
	return nil
}

// Inserted names the card in the reader, empty if there is none.
func (s *Stage) Inserted() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inserted
}

// Bank finds a profile by its code.
func (s *Stage) Bank(code string) (*profile.Profile, error) {
	for _, p := range s.Profiles {
		if p.Code == code {
			return p, nil
		}
	}
	return nil, fmt.Errorf("stage: no bank %q; there are rcb, icbc, ccb and boc", code)
}

// Counter opens a bank's counter at our ISO 8583 server.
func (s *Stage) Counter(ctx context.Context, code string) (*bankhost.Counter, error) {
	p, err := s.Bank(code)
	if err != nil {
		return nil, err
	}
	at, err := s.counterAddr(code)
	if err != nil {
		return nil, err
	}
	return bankhost.DialCounter(ctx, bankhost.CounterConfig{Profile: p, Keys: s.keys.bank(p), Addr: at})
}

// KioskURL is the page with this boot's token.
func (s *Stage) KioskURL() (string, error) {
	token, err := os.ReadFile(s.path("kiosk.token"))
	if err != nil {
		return "", fmt.Errorf("stage: %w", err)
	}
	return fmt.Sprintf("http://%s/?t=%s", addr(s.cfg.Ports.Kiosk), string(token[:len(token)-1])), nil
}

// PadURL is the PIN pad's page.
func (s *Stage) PadURL() string { return s.Pad.URL() }

// Addresses lists where to look, for the person at the keyboard.
func (s *Stage) Addresses(w io.Writer) {
	url, _ := s.KioskURL()
	for _, l := range [][2]string{
		{"hardware panel", "http://" + addr(s.cfg.Ports.Panel) + "/"},
		{"kiosk page", url}, {"PIN pad", s.PadURL()},
		{"health", "http://" + addr(s.cfg.Ports.Admin) + "/ready and http://" + addr(s.cfg.Ports.TAdmin) + "/ready"},
	} {
		_, _ = fmt.Fprintf(w, "  %-15s %s\n", l[0], l[1])
	}
}
