package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/shebao-pay/shebao/settlement/day"
	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// Bounds of keeping the business dates.
const (
	cutWait  = 10 * time.Second // for one Cutover command
	cutRetry = 5 * time.Second  // after one that was not known to be done
	// cutLook is how long a cutover is slept over at most: a timer does not feel
	// that somebody set the clock.
	cutLook = time.Minute
)

// startWindows opens each bank's business date, and goes on at each cutover
// time while the node runs.
func (s *serving) startWindows(ctx context.Context) error {
	if s.hub == nil {
		return nil
	}
	next, err := s.cut(ctx, time.Now())
	if err != nil {
		return err
	}
	stop := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			t := time.NewTimer(min(time.Until(next), cutLook))
			select {
			case <-stop:
				t.Stop()
				return
			case <-t.C:
			}
			if next, err = s.cut(context.Background(), time.Now()); err != nil {
				s.log.Error().Err(err).Msg("cutover; tried again")
				next = time.Now().Add(cutRetry)
			}
		}
	}()
	s.onStop(func() { close(stop); <-ended })
	return nil
}

// cut brings every bank to its open date and tells when the next cutover is. A
// bank that cannot be brought there holds up no other.
func (p *program) cut(ctx context.Context, now time.Time) (next time.Time, err error) {
	var errs []error
	for _, b := range sorted(p.dir.Profiles()) {
		if at := day.Next(now, b.CutoverAt); next.IsZero() || at.Before(next) {
			next = at
		}
		w, _ := p.node.Window(b.Number)
		if to := day.Open(now, b.CutoverAt); to > w.Open {
			errs = append(errs, p.cutover(ctx, b, w.Open, to))
		}
	}
	return next, errors.Join(errs...)
}

func (p *program) cutover(ctx context.Context, b *profile.Profile, from, to si.BusinessDate) error {
	ctx, cancel := context.WithTimeout(ctx, cutWait)
	defer cancel()
	sum := sha256.Sum256(fmt.Appendf(nil, "cutover|%d|%d|%d", b.Number, from, to))
	var id si.PaymentID
	copy(id[6:], sum[:]) // the same cutover has the same id, whoever asks for it
	r, err := p.node.Do(ctx, ledgerapi.Cutover{ID: id, Bank: b.Number, From: from, To: to})
	if err != nil {
		return fmt.Errorf("cutover of bank %s to %s: %w", b.Code, to, err)
	}
	if r.Code != ledgerapi.OK && r.Code != ledgerapi.Exists {
		return fmt.Errorf("cutover of bank %s from %s to %s: the ledger answers %s", b.Code, from, to, r.Code)
	}
	p.log.Info().Str("bank", b.Code).Stringer("date", to).Uint32("in_flight", r.Count).Msg("business date open")
	return nil
}
