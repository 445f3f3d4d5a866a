package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/shebao-pay/shebao/cardauth/hsm"
	"github.com/shebao-pay/shebao/ledger"
	"github.com/shebao-pay/shebao/settlement/operator"
	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/settlement/termsrv"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// Bounds of starting and stopping.
const (
	hsmWait  = 30 * time.Second      // for the HSM process at the start
	stopWait = 10 * time.Second      // for payments under way at the end
	lostWait = 50 * time.Millisecond // and when another node ends them
	// leaderWait bounds the question to the other nodes whether this one leads:
	// a lease of theirs and a round more.
	leaderWait = time.Second
)

// program is one running node, put together from the disk outwards.
type program struct {
	cfg   *Config
	log   zerolog.Logger
	hsm   *hsm.Client
	node  *ledger.Node
	dir   *directory
	stops []func()
	fail  chan error              // the first thing that cannot go on
	now   atomic.Pointer[serving] // nil while another node leads
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
	p := &program{cfg: cfg, log: log, fail: make(chan error, 1)}
	defer func() {
		for i := len(p.stops) - 1; i >= 0; i-- {
			p.stops[i]()
		}
		log.Info().Err(err).Msg("node ended")
	}()
	for _, step := range []func(context.Context) error{p.openHSM, p.openLedger, p.startRole, p.startOperator, p.startTerminals, p.startAdmin} {
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
	if err := p.openNode(); err != nil {
		return err
	}
	envelope, err := p.hsm.EnvelopeKey(ctx)
	if err != nil {
		return fmt.Errorf("HSM process: envelope key: %w", err)
	}
	p.dir = &directory{cfg: p.cfg, node: p.node, envelope: envelope}
	return nil
}

// openNode opens the ledger, alone or as one of several nodes.
func (p *program) openNode() error {
	peers, err := p.cfg.Cluster.network()
	if err != nil {
		return err
	}
	lc := ledger.Config{
		Dir: p.cfg.Data, Region: si.Region(p.cfg.Region.Number), Area: si.AreaCode(p.cfg.Region.Area),
		NullState: p.cfg.NullLedger != "", Log: p.log, Segment: int64(p.cfg.Limits.SegmentMiB) << 20,
		CheckpointEvery: time.Duration(p.cfg.Limits.CheckpointSeconds) * time.Second,
		MinFree:         uint64(p.cfg.Limits.FreeSpaceMiB) << 20,
		NodeID:          p.cfg.Cluster.Node, KeepSegments: p.cfg.Limits.KeepSegments,
		// A failed write or sync, or a broken invariant: nothing may be answered
		// any more, so the process ends here and now.
		Fatal: func(err error) {
			p.log.Error().Err(err).Msg("the ledger cannot go on; this node stops")
			os.Exit(1)
		},
	}
	if peers != nil {
		ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
		c := &p.cfg.Cluster
		lc.Network, lc.Heartbeat, lc.Election = peers, ms(c.HeartbeatMillis), ms(c.ElectionMillis)
		lc.Lease, lc.Commit = ms(c.LeaseMillis), ms(c.CommitMillis)
	}
	n, err := ledger.Open(lc)
	if err != nil {
		if peers != nil {
			err = errors.Join(err, peers.Close())
		}
		return err
	}
	p.node = n
	p.onStop(func() {
		if err := n.Close(); err != nil {
			p.log.Error().Err(err).Msg("ledger did not close cleanly; the next start replays its log")
		}
	})
	return nil
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
		set(&t.RetryMost, p.cfg.Timers.RetryMostMillis)
		set(&t.ReconnectMost, p.cfg.Timers.ReconnectMostMillis)
		set(&t.CardOutcome, p.cfg.Timers.CardOutcomeMillis)
	})
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
		Ledger: p.node, Register: p.node, Sealer: p.hsm, Node: operatorNode{p.node}, Status: p.status, Banks: p.dir.number, Now: time.Now,
		Stage: p.cfg.Data, Agency: p.agency, Pending: p.pending, Decided: p.decided,
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
	now := p.now.Load()
	for n, b := range p.dir.Profiles() {
		st.Banks[b.Code] = "not linked"
		if now != nil && now.hub != nil && now.hub.BankUp(n) {
			st.Banks[b.Code] = "up"
		} else if len(p.cfg.Banks[b.Code]) > 0 {
			st.Banks[b.Code] = "down"
		}
	}
	return st
}

// startTerminals listens to terminals. Who answers is ServeHTTP's.
func (p *program) startTerminals(context.Context) error {
	cert, err := tls.LoadX509KeyPair(p.cfg.Terminals.Cert, p.cfg.Terminals.Key)
	if err != nil {
		return fmt.Errorf("terminals.cert and terminals.key: %w", err)
	}
	roots, err := readRoots("terminals.client_ca", p.cfg.Terminals.ClientCA)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", p.cfg.Terminals.Listen)
	if err != nil {
		return fmt.Errorf("terminals.listen: %w", err)
	}
	srv := &http.Server{
		Handler: p, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: quiet(p.log),
		TLSConfig: &tls.Config{
			MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert},
			ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: roots,
		},
	}
	p.http("terminal API", l, srv, func(l net.Listener) error { return srv.ServeTLS(l, "", "") })
	return nil
}

// startAPI makes the terminal API of the node that leads.
func (s *serving) startAPI(context.Context) error {
	if s.hub == nil {
		return nil
	}
	journals, err := termsrv.OpenJournals(filepath.Join(s.cfg.Data, "journals"), !s.cfg.Cluster.lone())
	if err != nil {
		return err
	}
	s.onStop(func() { _ = journals.Close() }) // every record in it is synced
	s.api = termsrv.New(termsrv.Config{
		Bank: s.hub, Payments: s.hub, Outcomes: s.hub, Cards: s.program.hsm, Persons: s.node, Records: records{s.node}, Directory: s.dir,
		Journal: journals.Take, Area: si.AreaCode(s.cfg.Region.Area), AllowSkip: s.dir.allowSkip,
		PINFormat: func(si.Terminal) string { return s.cfg.Terminals.PINFormat },
		Ready:     s.ready, Leader: s.leader, Now: time.Now,
		Random: func(b []byte) {
			if _, err := io.ReadFull(rand.Reader, b); err != nil {
				panic("settled: the system's random source failed: " + err.Error())
			}
		},
	}).Handler()
	return nil
}

// ready tells why no terminal may be served now.
func (p *program) ready() error {
	if !p.hsm.Up() {
		return errors.New("the HSM process does not answer")
	}
	return nil
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
