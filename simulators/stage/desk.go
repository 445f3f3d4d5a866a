package stage

import (
	"context"
	"fmt"
	"time"

	"github.com/shebao-pay/shebao/settlement/operator"
	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/simulators/bankhost"
)

// The two persons of the desk.
const (
	deskMaker   = 101
	deskChecker = 102
)

// deskEvery is how often the desk looks at what needs it.
const deskEvery = 500 * time.Millisecond

// openDesk has two persons end what needs them, by the books of the simulated
// banks, until leave is called. decided counts by ending and is theirs until
// then.
func (s *Stage) openDesk(ctx context.Context) (decided map[string]int, leave func() error) {
	ctx, cancel := context.WithCancel(ctx)
	decided = map[string]int{}
	ended := make(chan error, 1)
	go func() {
		for {
			rest(ctx, deskEvery)
			if ctx.Err() != nil {
				ended <- nil
				return
			}
			if err := s.decide(ctx, decided); err != nil && ctx.Err() == nil {
				ended <- err
				return
			}
		}
	}()
	return decided, func() error {
		cancel()
		return <-ended
	}
}

// decide ends each payment that needs a person.
func (s *Stage) decide(ctx context.Context, decided map[string]int) error {
	var list []operator.PendingView
	if err := s.Operator.Ask(ctx, "/v1/pending", nil, &list); err != nil {
		return fmt.Errorf("stage: desk: %w", err)
	}
	for _, p := range list {
		q := s.paperOf(p)
		if q.Ending == operator.EndingPaid && p.Why != operator.NeedsCrossDay {
			continue // its reversals go on, and the bank will take one
		}
		q.Maker, q.Checker = deskMaker, deskChecker
		var a operator.Answer
		if err := s.Operator.Ask(ctx, "/v1/pending/"+p.ID, q, &a); err != nil {
			return fmt.Errorf("stage: desk: payment %s: %w", p.ID, err)
		}
		if a.Code == "OK" { // else the bank's word came first
			decided[q.Ending]++
		}
	}
	return nil
}

// paperOf is what the bank has in its books about a payment: debited on a date
// and not reversed, or nothing. A POS bank has a reference number of its own.
func (s *Stage) paperOf(p operator.PendingView) operator.DecideRequest {
	q := operator.DecideRequest{Ending: operator.EndingNotCharged, Reference: p.Bank + "-" + p.RRN}
	for _, e := range s.Banks[p.Bank].Entries() {
		its := e.RRN == p.RRN || e.STAN == fmt.Sprintf("%06d", p.STAN) && s.posBank(p.Bank)
		if e.Op == bankhost.OpDebit && e.Code == "00" && !e.Reversed && its && int64(e.Amount) == p.Amount {
			q.Ending, q.BankDate = operator.EndingPaid, e.Date.String()
		}
	}
	return q
}

func (s *Stage) posBank(code string) bool {
	p, err := s.Bank(code)
	return err == nil && p.Dialect == profile.POS
}
