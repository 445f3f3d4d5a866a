package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/rs/zerolog"

	"github.com/shebao-pay/shebao/cardauth/hsm"
	"github.com/shebao-pay/shebao/ledger"
	"github.com/shebao-pay/shebao/settlement"
	"github.com/shebao-pay/shebao/settlement/acceptor"
	"github.com/shebao-pay/shebao/settlement/operator"
	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/settlement/termsrv"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// Bounds of starting and stopping.
const (
	hsmWait  = 30 * time.Second // for the HSM process at the start
	stopWait = 10 * time.Second // for payments under way at the end
)

// program is one running node, put together from the disk outwards.
type program struct {
	cfg   *Config
	log   zerolog.Logger
	hsm   *hsm.Client
	node  *ledger.Node
	dir   *directory
	hub   *settlement.Hub // nil until the ledger holds bank profiles
	stops []func()
	fail  chan error // the first thing that cannot go on

	counters map[string]*acceptor.Server // by bank code
}

// failed tells serve that a part cannot go on. The first one counts.
func (p *program) failed(err error) {
	select {
	case p.fail <- err:
	default:
	}
}

func (p *program) onStop(f func()) { p.stops = append(p.stops, f) }

// serve runs the node until ctx ends or a part of it cannot go on.
func serve(ctx context.Context, cfg *Config, log zerolog.Logger) (err error) {
	p := &program{cfg: cfg, log: log, fail: make(chan error, 1), counters: map[string]*acceptor.Server{}}
	defer func() {
		for i := len(p.stops) - 1; i >= 0; i-- {
			p.stops[i]()
		}
		log.Info().Err(err).Msg("node ended")
	}()
	for _, step := range []func(context.Context) error{p.openHSM, p.openLedger, p.startHub, p.startWindows, p.startOperator, p.startTerminals, p.startCounters, p.startAdmin} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	log.Info().Str("version", buildVersion()).Str("terminals", cfg.Terminals.Listen).Str("admin", cfg.Admin.Listen).Msg("node serves")
	select {
	case <-ctx.Done():
		return nil
	case err := <-p.fail:
		return err
	}
}

func (p *program) openHSM(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, hsmWait)
	defer cancel()
	c, err := hsm.Dial(ctx, p.cfg.HSM.Socket)
	if err != nil {
		return fmt.Errorf("HSM process: %w; start `settled -hsm` first", err)
	}
	p.hsm = c
	p.onStop(c.Close)
	return nil
}

func (p *program) openLedger(ctx context.Context) error {
	n, err := ledger.Open(ledger.Config{
		Dir: p.cfg.Data, Region: si.Region(p.cfg.Region.Number), Area: si.AreaCode(p.cfg.Region.Area),
		NullState: p.cfg.NullLedger != "", Log: p.log, Segment: int64(p.cfg.Limits.SegmentMiB) << 20,
		CheckpointEvery: time.Duration(p.cfg.Limits.CheckpointSeconds) * time.Second,
		MinFree:         uint64(p.cfg.Limits.FreeSpaceMiB) << 20,
		// A failed write or sync, or a broken invariant: nothing may be answered
		// any more, so the process ends here and now.
		Fatal: func(err error) {
			p.log.Error().Err(err).Msg("the ledger cannot go on; this node stops")
			os.Exit(1)
		},
	})
	if err != nil {
		return err
	}
	p.node = n
	p.onStop(func() {
		if err := n.Close(); err != nil {
			p.log.Error().Err(err).Msg("ledger did not close cleanly; the next start replays its log")
		}
	})
	envelope, err := p.hsm.EnvelopeKey(ctx)
	if err != nil {
		return fmt.Errorf("HSM process: envelope key: %w", err)
	}
	p.dir = &directory{cfg: p.cfg, node: n, envelope: envelope}
	return p.dir.loadProfiles(si.DateOf(time.Now()))
}

// timed applies the demo's shorter timers.
func (p *program) timed(b *profile.Profile) *profile.Profile {
	set := func(d *time.Duration, ms int) {
		if ms > 0 {
			*d = time.Duration(ms) * time.Millisecond
		}
	}
	return b.WithTimers(func(t *profile.Timers) {
		set(&t.Reply, p.cfg.Timers.ReplyMillis)
		set(&t.ReversalReply, p.cfg.Timers.ReversalReplyMillis)
		set(&t.RetryFirst, p.cfg.Timers.RetryFirstMillis)
		set(&t.CardOutcome, p.cfg.Timers.CardOutcomeMillis)
	})
}

// startHub takes up what is pending and opens the bank links. A ledger without
// bank profiles has no hub yet: the operator puts them and starts the node anew.
func (p *program) startHub(ctx context.Context) error {
	var banks []*profile.Profile
	addrs := map[si.Bank][]string{}
	for _, b := range sorted(p.dir.Profiles()) {
		if b.Timers.Reply+15*time.Second > p.cfg.TerminalWait() {
			return fmt.Errorf("bank %s: its reply timer of %s and 15 s more exceed limits.terminal_wait_seconds", b.Code, b.Timers.Reply)
		}
		banks = append(banks, p.timed(b))
		addrs[b.Number] = p.cfg.Banks[b.Code]
	}
	if len(banks) == 0 {
		p.log.Warn().Msg("the ledger holds no bank profile: put them with `shebaoctl config put` and start this node again")
		return nil
	}
	hub, err := settlement.New(settlement.Config{
		Ledger: p.node, HSM: p.hsm, Profiles: banks, Addrs: addrs, Log: p.log, Wait: p.cfg.TerminalWait() - 5*time.Second,
		NotWritten: notWritten,
	})
	if err != nil {
		return err
	}
	if err := hub.Start(ctx); err != nil {
		return err
	}
	p.hub = hub
	p.onStop(func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopWait)
		defer cancel()
		hub.Stop(ctx)
	})
	return nil
}

// http runs a server until the program ends.
func (p *program) http(name string, l net.Listener, srv *http.Server, serve func(net.Listener) error) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := serve(l); !errors.Is(err, http.ErrServerClosed) {
			p.failed(fmt.Errorf("%s: %w", name, err))
		}
	}()
	p.onStop(func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopWait)
		defer cancel()
		if srv.Shutdown(ctx) != nil {
			_ = srv.Close() // callers had their time
		}
		<-ended
	})
}

func (p *program) startOperator(context.Context) error {
	l, err := operator.Listen(p.cfg.Operator.Socket)
	if err != nil {
		return err
	}
	srv := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: operator.New(operator.Config{
		Ledger: p.node, Register: p.node, Sealer: p.hsm, Status: p.status, Banks: p.dir.number, Now: time.Now,
		Stage: p.cfg.Data,
	}).Handler()}
	p.http("operator socket", l, srv, srv.Serve)
	return nil
}

func (p *program) status() operator.Status {
	head, applied := p.node.Head()
	leads, _ := p.node.Leader()
	st := operator.Status{
		Version: buildVersion(), Area: fmt.Sprintf("%06d", p.cfg.Region.Area), Leader: leads, Applied: applied,
		Head: hex.EncodeToString(head[:]), Pending: len(p.node.Pending(0)), Banks: map[string]string{},
	}
	for n, b := range p.dir.Profiles() {
		st.Banks[b.Code] = "not linked"
		if p.hub != nil && p.hub.BankUp(n) {
			st.Banks[b.Code] = "up"
		} else if len(p.cfg.Banks[b.Code]) > 0 {
			st.Banks[b.Code] = "down"
		}
	}
	return st
}

// startTerminals serves the terminal API.
func (p *program) startTerminals(context.Context) error {
	if p.hub == nil {
		return nil
	}
	cert, err := tls.LoadX509KeyPair(p.cfg.Terminals.Cert, p.cfg.Terminals.Key)
	if err != nil {
		return fmt.Errorf("terminals.cert and terminals.key: %w", err)
	}
	ca, err := os.ReadFile(p.cfg.Terminals.ClientCA)
	if err != nil {
		return fmt.Errorf("terminals.client_ca: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return fmt.Errorf("terminals.client_ca: %s holds no certificate", p.cfg.Terminals.ClientCA)
	}
	journals, err := termsrv.OpenJournals(filepath.Join(p.cfg.Data, "journals"))
	if err != nil {
		return err
	}
	p.onStop(func() { _ = journals.Close() }) // every record in it is synced
	l, err := net.Listen("tcp", p.cfg.Terminals.Listen)
	if err != nil {
		return fmt.Errorf("terminals.listen: %w", err)
	}
	api := termsrv.New(termsrv.Config{
		Bank: p.hub, Payments: p.hub, Outcomes: p.hub, Cards: p.hsm, Persons: p.node, Records: records{p.node}, Directory: p.dir,
		Journal: journals.Take, Area: si.AreaCode(p.cfg.Region.Area), AllowSkip: p.dir.allowSkip,
		PINFormat: func(si.Terminal) string { return p.cfg.Terminals.PINFormat },
		Ready:     p.ready, Leader: p.leader, Now: time.Now,
		Random: func(b []byte) {
			if _, err := io.ReadFull(rand.Reader, b); err != nil {
				panic("settled: the system's random source failed: " + err.Error())
			}
		},
	})
	srv := &http.Server{
		Handler: api.Handler(), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: quiet(p.log),
		TLSConfig: &tls.Config{
			MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert},
			ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: roots,
		},
	}
	p.http("terminal API", l, srv, func(l net.Listener) error { return srv.ServeTLS(l, "", "") })
	return nil
}

// ready tells why no terminal may be served now.
func (p *program) ready() error {
	if !p.hsm.Up() {
		return errors.New("the HSM process does not answer")
	}
	return nil
}

func (p *program) leader() (string, bool) {
	here, addr := p.node.Leader()
	return addr, here
}

// records adds the terminal's record to the node's queries.
type records struct{ *ledger.Node }

// Terminal gives a terminal's record in the form in which it was put.
func (r records) Terminal(t si.Terminal) (ledgerapi.PutTerminal, bool) {
	rec, ok := r.Node.Terminal(t)
	return ledgerapi.PutTerminal{
		Terminal: rec.Terminal, Bank: rec.Bank, Outlet: rec.Outlet, State: rec.State, CertHash: rec.CertHash,
	}, ok
}
