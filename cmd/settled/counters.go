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
func (s *serving) startCounters(context.Context) error {
	codes := make([]string, 0, len(s.cfg.Counters))
	for code := range s.cfg.Counters {
		codes = append(codes, code)
	}
	sort.Strings(codes)
	for _, code := range codes {
		n, ok := s.dir.number(code)
		if !ok {
			if len(s.dir.Profiles()) == 0 {
				return nil // a new ledger: see startHub
			}
			return fmt.Errorf("counters.%s: the ledger holds no profile of this bank", code)
		}
		srv, err := acceptor.New(acceptor.Config{
			Profile: s.timed(s.dir.Profiles()[n]), Ledger: s.node, Persons: s.node, Codes: s.program.hsm, Names: s.program.hsm,
			Open: s.openDate, Now: time.Now, NotWritten: notWritten, Current: s.current,
		})
		if err != nil {
			return fmt.Errorf("counters.%s: %w", code, err)
		}
		l, err := net.Listen("tcp", s.cfg.Counters[code])
		if err != nil {
			return fmt.Errorf("counters.%s: %w", code, err)
		}
		if l, err = s.cfg.counterListener(code, l); err != nil {
			return err
		}
		s.counters[code] = srv
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			if err := srv.Serve(l); err != nil {
				s.failed(err)
			}
		}()
		s.onStop(func() {
			srv.Close()
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
// nothing was logged and that asking here again makes sense. A node that has lost
// the lead says nothing at all: its caller comes to the one that has it.
func notWritten(err error) bool {
	return !errors.Is(err, ledger.ErrUnknown) && !errors.Is(err, ledger.ErrNotLeader)
}
