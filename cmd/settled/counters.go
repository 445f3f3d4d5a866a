package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sort"
	"time"

	"github.com/shebao-pay/shebao/ledger"
	"github.com/shebao-pay/shebao/settlement/acceptor"
	"github.com/shebao-pay/shebao/si"
)

// startCounters serves the banks' counters and e-banks, one listener a bank.
func (p *program) startCounters(context.Context) error {
	codes := make([]string, 0, len(p.cfg.Counters))
	for code := range p.cfg.Counters {
		codes = append(codes, code)
	}
	sort.Strings(codes)
	for _, code := range codes {
		n, ok := p.dir.number(code)
		if !ok {
			if len(p.dir.Profiles()) == 0 {
				return nil // a new ledger: see startHub
			}
			return fmt.Errorf("counters.%s: the ledger holds no profile of this bank", code)
		}
		s, err := acceptor.New(acceptor.Config{
			Profile: p.timed(p.dir.Profiles()[n]), Ledger: p.node, Persons: p.node, Codes: p.hsm, Names: p.hsm,
			Open: p.openDate, Now: time.Now, NotWritten: notWritten,
		})
		if err != nil {
			return fmt.Errorf("counters.%s: %w", code, err)
		}
		l, err := net.Listen("tcp", p.cfg.Counters[code])
		if err != nil {
			return fmt.Errorf("counters.%s: %w", code, err)
		}
		if l, err = p.cfg.counterListener(code, l); err != nil {
			return err
		}
		p.counters[code] = s
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			if err := s.Serve(l); err != nil {
				p.failed(err)
			}
		}()
		p.onStop(func() {
			s.Close()
			_ = l.Close() // every connection has ended
			<-ended
		})
	}
	return nil
}

// openDate is the bank's open business date, today before its first cutover.
func (p *program) openDate(b si.Bank) si.BusinessDate {
	if w, ok := p.node.Window(b); ok {
		return w.Open
	}
	return si.DateOf(time.Now())
}

// notWritten tells of an error of the ledger node whether it is sure that
// nothing was logged.
func notWritten(err error) bool { return !errors.Is(err, ledger.ErrUnknown) }
