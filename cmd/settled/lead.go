package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/shebao-pay/shebao/ledger/replog"
	"github.com/shebao-pay/shebao/settlement"
	"github.com/shebao-pay/shebao/settlement/acceptor"
	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/settlement/termsrv"
	"github.com/shebao-pay/shebao/si"
)

// serving is what only the node that leads has: bank links, bank listeners, the
// day's jobs, the terminal API. It is put together when the node begins to lead
// and taken down when it ends.
type serving struct {
	*program
	hub      *settlement.Hub             // nil until the ledger holds bank profiles
	counters map[string]*acceptor.Server // by bank code
	api      http.Handler                // nil without a hub
	stops    []func()
}

// onStop adds what is done when the lead ends.
func (s *serving) onStop(f func()) { s.stops = append(s.stops, f) }

// end takes everything down in reverse order.
func (s *serving) end() {
	for i := len(s.stops) - 1; i >= 0; i-- {
		s.stops[i]()
	}
}

// startRole serves whenever this node leads. A lone node leads from its start on,
// and what it cannot serve with ends the start.
func (p *program) startRole(ctx context.Context) error {
	role, changed := p.node.Role()
	if role.Leads {
		if err := p.begin(ctx); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.follow(ctx, changed)
	}()
	p.onStop(func() { cancel(); <-ended })
	return nil
}

// Bounds of taking up the lead.
const (
	// beginTries with beginPause between them outlast what a lost lead, of which
	// this node has not heard yet, makes of its first commands. After them the
	// process ends, and another node may do better.
	beginTries = 10
	beginPause = 200 * time.Millisecond
)

// follow takes the lead up and gives it away as the role changes, until ctx ends.
func (p *program) follow(ctx context.Context, changed <-chan struct{}) {
	for {
		select {
		case <-ctx.Done():
			p.yield("this node ends")
			return
		case <-changed:
		}
		var role replog.Role
		role, changed = p.node.Role()
		p.yield("another node may lead")
		var err error
		for try := 0; role.Leads && try < beginTries; try++ {
			if err = p.begin(ctx); err == nil || ctx.Err() != nil {
				break
			}
			p.log.Warn().Err(err).Msg("the lead could not be taken up; tried again")
			select {
			case <-time.After(beginPause):
				continue
			case <-ctx.Done():
			case <-changed:
			}
			err = nil // another role, or the end
			break
		}
		if err != nil {
			p.failed(err)
		}
	}
}

// begin serves. Every pending payment is taken up before anyone is listened to.
func (p *program) begin(ctx context.Context) error {
	began := time.Now()
	if err := p.dir.loadProfiles(si.DateOf(time.Now())); err != nil {
		return err
	}
	s := &serving{program: p, counters: map[string]*acceptor.Server{}}
	for _, step := range []func(context.Context) error{s.startHub, s.startWindows, s.startAPI, s.startCounters} {
		if err := step(ctx); err != nil {
			s.end()
			return err
		}
	}
	p.now.Store(s)
	p.log.Info().Dur("took", time.Since(began)).Msg("this node leads and serves")
	return nil
}

// yield ends serving.
func (p *program) yield(why string) {
	s := p.now.Swap(nil)
	if s == nil {
		return
	}
	s.end()
	p.log.Info().Str("why", why).Msg("no longer serves")
}

// startHub takes up what is pending and opens the bank links. A ledger without
// bank profiles has no hub yet: the operator puts them and starts the node anew.
func (s *serving) startHub(ctx context.Context) error {
	var banks []*profile.Profile
	addrs := map[si.Bank][]string{}
	for _, b := range sorted(s.dir.Profiles()) {
		if b.Timers.Reply+15*time.Second > s.cfg.TerminalWait() {
			return fmt.Errorf("bank %s: its reply timer of %s and 15 s more exceed limits.terminal_wait_seconds", b.Code, b.Timers.Reply)
		}
		banks = append(banks, s.timed(b))
		addrs[b.Number] = s.cfg.Banks[b.Code]
	}
	if len(banks) == 0 {
		s.log.Warn().Msg("the ledger holds no bank profile: put them with `shebaoctl config put` and start this node again")
		return nil
	}
	dial, err := s.cfg.bankDial(s.dir.number)
	if err != nil {
		return err
	}
	hub, err := settlement.New(settlement.Config{
		Ledger: s.node, HSM: s.program.hsm, Profiles: banks, Addrs: addrs, Log: s.log, Wait: s.cfg.TerminalWait() - 5*time.Second,
		NotWritten: notWritten, Dial: dial,
	})
	if err != nil {
		return err
	}
	if err := hub.Start(ctx); err != nil {
		return err
	}
	s.hub = hub
	s.onStop(func() {
		ctx, cancel := context.WithTimeout(context.Background(), s.stopWait())
		defer cancel()
		hub.Stop(ctx)
	})
	return nil
}

// stopWait is how long payments under way may take at the end. A node that has
// lost the lead can bring none to its end: its successor does.
func (s *serving) stopWait() time.Duration {
	if leads, _ := s.node.Leader(); !leads {
		return lostWait
	}
	return stopWait
}

// leader names the node that terminals ask, and tells whether it is this one, by
// the word of a majority.
func (p *program) leader() (string, bool) {
	here, id := p.node.Leader()
	return p.cfg.Cluster.Nodes[id].Terminals, here && p.current() == nil
}

// current returns nil when this node leads, by the word of a majority that was
// asked after the call.
func (p *program) current() error {
	ctx, cancel := context.WithTimeout(context.Background(), leaderWait)
	defer cancel()
	return p.node.Current(ctx)
}

// ServeHTTP serves terminals: by the API while this node leads, else with the
// name of the node that does.
func (p *program) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s := p.now.Load()
	switch {
	case s == nil:
		addr, _ := p.leader()
		termsrv.NotLeading(w, addr)
	case s.api == nil:
		termsrv.Unavailable(w, "the ledger holds no bank profile yet")
	default:
		s.api.ServeHTTP(w, r)
	}
}
