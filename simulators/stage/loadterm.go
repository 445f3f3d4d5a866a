package stage

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/simulators/bankhost"
	"github.com/shebao-pay/shebao/simulators/chipcard"
	"github.com/shebao-pay/shebao/simulators/load"
	"github.com/shebao-pay/shebao/simulators/pinpad"
)

// plenty is on every account of a load: nobody pays that much in a lifetime.
const plenty si.Fen = 100_000_000

// wallet deals the cards of a bank's residents, each once.
type wallet struct {
	s    *Stage
	bank string

	mu   sync.Mutex
	next int // resident
	err  error
}

// Next gives a card with an account behind it; false when all have been dealt.
func (w *wallet) Next() (chipcard.Data, string, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.err == nil && w.next < w.s.cfg.Persons {
		r, err := w.s.gen.At(w.next)
		w.next++
		if err != nil {
			w.err = err
			break
		}
		if r.Bank.Code != w.bank {
			continue
		}
		if w.err = w.s.Banks[w.bank].AddAccount(bankhost.Account{PAN: r.PAN, PIN: DemoPIN, Balance: plenty}); w.err != nil {
			break
		}
		return CardData(r, w.s.keys.IMK[w.bank]), DemoPIN, true
	}
	return chipcard.Data{}, "", false
}

// kiosks are the stage's terminals with their certificates and pad keys.
func (s *Stage) kiosks() ([]load.Kiosk, error) {
	roots := x509.NewCertPool()
	roots.AddCert(s.pki.cert)
	list := make([]load.Kiosk, s.cfg.Terminals)
	for i := range list {
		name, key := terminalName(i+1), padKey(i+1)
		cert, err := tls.LoadX509KeyPair(s.pki.path(name+".pem"), s.pki.path(name+".key"))
		if err != nil {
			return nil, fmt.Errorf("stage: certificate of %s: %w; a folder keeps the terminals it began with", name, err)
		}
		aes := unhex(s.keys.Named[key])
		list[i] = load.Kiosk{
			Terminal: si.Terminal(i + 1), // #nosec G115 -- below MaxTerminals
			TLS: &tls.Config{
				Certificates: []tls.Certificate{cert}, RootCAs: roots, ServerName: hubName, MinVersion: tls.VersionTLS13,
			},
			PINKey: key,
			PINBlock: func(pan si.PAN, pin string) (si.PINBlock, error) {
				return pinpad.Block(si.PINFormat4AES, aes, pan, pin)
			},
		}
	}
	return list, nil
}

// LoadTerminals drives the terminal path with every terminal of the stage at
// once and stops settled: the residents of l.Bank come one after the other and
// pay what they owe, until the time is over or all have come. Of l only Bank,
// Seconds, Kill, Pause and Tell are looked at. It answers the payments that
// terminals were told are paid, if settled is troubled.
func (s *Stage) LoadTerminals(ctx context.Context, l Load) (LoadResult, []load.Ack, error) {
	if _, err := s.Bank(l.Bank); err != nil {
		return LoadResult{}, nil, err
	}
	kiosks, err := s.kiosks()
	if err != nil {
		return LoadResult{}, nil, err
	}
	l.Tell(fmt.Sprintf("%d terminals are in service", len(kiosks)))
	urls, err := s.terminalURLs(ctx)
	if err != nil {
		return LoadResult{}, nil, err
	}
	w := &wallet{s: s, bank: l.Bank}
	t := s.trouble(ctx, l)
	cpu, logs := s.spent()
	rep, err := load.Terminals(t.ctx, load.TerminalConfig{
		URLs: urls, Kiosks: kiosks, Duration: t.duration, Grace: startTime, NextCard: w.Next, Killed: t.on, OnBegin: t.begin, OnAck: t.hear,
	})
	if err = errors.Join(err, t.end()); err != nil {
		return LoadResult{}, nil, err
	}
	cpuEnd, logsEnd := s.spent()
	if w.err != nil {
		rep.Errors++
		rep.Faults = append(rep.Faults, "cards: "+w.err.Error())
	}
	if w.next == s.cfg.Persons {
		l.Tell(fmt.Sprintf("all residents of %s had come after %.1f s; take more persons for a longer run", l.Bank, rep.Seconds))
	}
	out := LoadResult{
		Payments: rep.Payments, PerSecond: rep.PerSecond, P50: rep.P50, P99: rep.P99, P999: rep.P999, Errors: rep.Errors,
		AskedAgain: rep.AskedAgain, BegunAgain: rep.BegunAgain, Refused: rep.Refused, Faults: rep.Faults,
	}
	if n := float64(rep.Payments); n > 0 {
		out.CPUMicros, out.LogBytes = float64((cpuEnd-cpu).Microseconds())/n, float64(logsEnd-logs)/n
	}
	if l.strikes() > 0 {
		t.note(&out)
		err = s.settleUp(ctx, l.Bank, &out)
	}
	s.StopHub()
	return out, t.acks, err
}

// settleUp waits until no payment is without an ending, and notes what the bank
// has taken.
func (s *Stage) settleUp(ctx context.Context, bank string, out *LoadResult) error {
	if s.several() {
		if _, err := s.Leader(ctx); err != nil {
			return err
		}
	}
	var r SoakResult
	if err := s.allFinal(ctx, startTime, &r); err != nil {
		return err
	}
	fen := int64(s.Banks[bank].Total())
	out.BankFen = &fen
	return nil
}
