package terminal

import (
	"context"
	"errors"
	"time"

	"github.com/shebao-pay/shebao/si/termapi"
	"github.com/shebao-pay/shebao/terminal/flow"
	"github.com/shebao-pay/shebao/terminal/hub"
)

// hubWorker sends the heartbeat and uploads the journal.
func (t *Terminal) hubWorker(ctx context.Context) {
	defer t.workers.Done()
	for {
		wait := t.cfg.Heartbeat
		if t.heartbeat(ctx) {
			t.upload(ctx)
		} else {
			wait = min(wait, HeartbeatRetry)
		}
		if !sleep(ctx, wait) {
			return
		}
	}
}

// heartbeat tells the hub how the terminal stands, and takes its clock and
// configuration.
func (t *Terminal) heartbeat(ctx context.Context) bool {
	t.mu.Lock()
	s := t.status
	t.mu.Unlock()
	from := t.cfg.Now()
	ack, err := t.cfg.Hub.Heartbeat(ctx, termapi.Heartbeat{Version: t.cfg.Version, AtMillis: from.UnixMilli(),
		JournalHead: s.Journal, Unresolved: s.Unsettled, Paper: s.Paper, State: s.Screen})
	if err != nil {
		if ctx.Err() != nil {
			return false
		}
		t.cfg.Log.Warn().Err(err).Msg("heartbeat")
		var e *hub.Error
		locked := errors.As(err, &e) && e.Kind == hub.Refused && e.Code == termapi.ErrOutOfService
		t.answer(ctx, flow.GateSet{Gate: flow.GateLocked, On: locked})
		t.answer(ctx, flow.GateSet{Gate: flow.GateHub, On: true})
		return false
	}
	to := t.cfg.Now()
	off := skew(from, to, ack.AtMillis)
	t.answer(ctx, flow.Configured{Config: ack.Config})
	down := 0
	for _, b := range ack.Config.Banks {
		if !b.Up {
			down++
		}
	}
	t.mu.Lock()
	t.status.HubSkew, t.status.BanksDown = off, down
	t.mu.Unlock()
	t.answer(ctx, flow.GateSet{Gate: flow.GateClock, On: off > MaxSkew || off < -MaxSkew})
	t.answer(ctx, flow.GateSet{Gate: flow.GateLocked})
	t.answer(ctx, flow.GateSet{Gate: flow.GateHub})
	return true
}

// skew is how far the hub's clock is ahead of this one: its time compared with
// the middle of the call, by the monotonic clock.
func skew(from, to time.Time, hubMillis int64) time.Duration {
	middle := from.Add(to.Sub(from) / 2)
	return time.Duration(hubMillis-middle.UnixMilli()) * time.Millisecond
}

// upload brings the hub the records it has not acknowledged.
func (t *Terminal) upload(ctx context.Context) {
	for {
		first, records, err := t.cfg.Journal.Batch(uploadBytes)
		if err != nil || len(records) == 0 {
			if err != nil {
				t.cfg.Log.Error().Err(err).Msg("journal not readable for upload")
			}
			return
		}
		ack, err := t.cfg.Hub.Journal(ctx, termapi.JournalBatch{First: first, Records: records})
		if err != nil {
			t.cfg.Log.Warn().Err(err).Msg("journal upload")
			return
		}
		last := first + uint64(len(records)) - 1
		if ack.Head < first {
			t.cfg.Log.Error().Uint64("head", ack.Head).Uint64("first", first).Msg("journal upload not taken")
			return
		}
		if err := t.cfg.Journal.Acknowledge(min(ack.Head, last)); err != nil {
			t.answer(ctx, flow.GateSet{Gate: flow.GateJournal, On: true})
			return
		}
	}
}
