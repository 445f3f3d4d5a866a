package terminal

import (
	"context"
	"encoding/hex"
	"errors"
	"time"

	"github.com/shebao-pay/shebao/cardauth"
	"github.com/shebao-pay/shebao/si/termapi"
	"github.com/shebao-pay/shebao/terminal/device"
	"github.com/shebao-pay/shebao/terminal/flow"
	"github.com/shebao-pay/shebao/terminal/hub"
)

// cardWorker makes the calls of the slot, one at a time.
func (t *Terminal) cardWorker(ctx context.Context) {
	defer t.workers.Done()
	for {
		select {
		case <-ctx.Done():
			return
		case job := <-t.jobs:
			job(ctx)
		}
	}
}

// queueCard hands an effect to the slot's worker. A PIN entry gets its cancel
// here, so that a CancelPIN finds it even before the worker has begun.
func (t *Terminal) queueCard(ctx context.Context, e flow.Effect) {
	gen := t.secrets.now()
	var job func(context.Context)
	switch e := e.(type) {
	case flow.StartPIN:
		pctx, cancel := context.WithTimeout(ctx, t.cfg.Times.PINWhole)
		t.mu.Lock()
		t.cancelPIN = cancel
		t.mu.Unlock()
		job = func(ctx context.Context) {
			defer cancel()
			t.enterPIN(ctx, pctx, e, gen)
		}
	default:
		job = func(ctx context.Context) { t.card(ctx, e, gen) }
	}
	select {
	case t.jobs <- job:
	default:
		t.cfg.Log.Error().Msg("card reader does not come back")
		t.follow = append(t.follow, flow.GateSet{Gate: flow.GateReader, On: true})
	}
}

// card makes one call of the slot. What it makes is kept only if no wipe came in
// between.
func (t *Terminal) card(ctx context.Context, e flow.Effect, gen uint64) {
	switch e := e.(type) {
	case flow.Read:
		rctx, cancel := context.WithTimeout(ctx, t.cfg.Times.Reading)
		defer cancel()
		c := t.cfg.Slot.Read(rctx)
		t.secrets.begin(gen, c.Session)
		t.answer(ctx, flow.CardRead{Op: e.Op, Card: c})
	case flow.Open:
		counter, sealed, err := t.cfg.Slot.Envelope()
		if err != nil {
			t.cfg.Log.Error().Err(err).Msg("card envelope")
			t.answer(ctx, flow.HubFailed{Op: e.Op, Kind: flow.FailRefused, Code: termapi.ErrEnvelope})
			return
		}
		session := t.secrets.session()
		body := termapi.Session{CardSession: hex.EncodeToString(session[:]), Counter: counter, Envelope: sealed}
		t.spawn(ctx, func(ctx context.Context) {
			a, err := t.cfg.Hub.Open(ctx, body)
			clear(body.Envelope)
			t.told(ctx, err, flow.Opened{Op: e.Op, Answer: a}, e.Op)
		})
	case flow.Authorise:
		actx, cancel := context.WithTimeout(ctx, t.cfg.Times.Chip)
		defer cancel()
		pin := t.secrets.takePIN()
		p, problem := t.cfg.Slot.Authorise(actx, e.Purpose, e.Amount, pin)
		pin.Block.Wipe()
		if problem == cardauth.OK {
			t.secrets.keepProof(gen, p)
		}
		t.answer(ctx, flow.Authorised{Op: e.Op, Problem: problem})
	case flow.Complete:
		cctx, cancel := context.WithTimeout(ctx, t.cfg.Times.Chip)
		defer cancel()
		t.answer(ctx, flow.Completed{Op: e.Op, Word: t.cfg.Slot.Complete(cctx, e.Answer)})
	case flow.Eject:
		t.cfg.Slot.Eject()
	case flow.Retain:
		if r, ok := t.cfg.Slot.(device.Retainer); ok {
			if err := r.Retain(); err != nil {
				t.cfg.Log.Error().Err(err).Msg("card not retained")
			}
		}
	}
}

// enterPIN asks the pad. The block stays in the shell.
func (t *Terminal) enterPIN(ctx, pctx context.Context, e flow.StartPIN, gen uint64) {
	r, err := device.PINResult{}, pctx.Err()
	if err == nil {
		r, err = t.cfg.Slot.EnterPIN(pctx, e.Amount, func(n int) { t.answer(pctx, flow.Keys{Op: e.Op, Count: n}) })
	}
	end := flow.PINEntered
	switch {
	case err == nil:
		t.secrets.keepPIN(gen, r)
	case errors.Is(err, device.ErrPINTimeout), errors.Is(err, context.DeadlineExceeded):
		end = flow.PINTimedOut
	case errors.Is(err, device.ErrPINCancelled), errors.Is(err, device.ErrCardGone), errors.Is(err, context.Canceled):
		end = flow.PINCancelled
	default:
		t.cfg.Log.Error().Err(err).Msg("PIN pad fault")
		end = flow.PINPadFault
	}
	t.answer(ctx, flow.PINEnded{Op: e.Op, End: end})
}

func (t *Terminal) pinCancel() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.cancelPIN != nil {
		t.cancelPIN()
	}
}

// spawn makes a call that waits in a goroutine of its own.
func (t *Terminal) spawn(ctx context.Context, f func(context.Context)) {
	t.workers.Add(1)
	go func() {
		defer t.workers.Done()
		f(ctx)
	}()
}

// callHub makes the call that an effect asks for.
func (t *Terminal) callHub(ctx context.Context, e flow.Effect) {
	h := t.cfg.Hub
	switch e := e.(type) {
	case flow.Overview:
		t.spawn(ctx, func(ctx context.Context) {
			a, err := h.Overview(ctx, e.Session)
			t.told(ctx, err, flow.Overviewed{Op: e.Op, Answer: a}, e.Op)
		})
	case flow.ListDues:
		t.spawn(ctx, func(ctx context.Context) {
			a, err := h.Dues(ctx, e.Session)
			t.told(ctx, err, flow.DuesListed{Op: e.Op, Answer: a}, e.Op)
		})
	case flow.ListReceipts:
		t.spawn(ctx, func(ctx context.Context) {
			a, err := h.Receipts(ctx, e.Session)
			t.told(ctx, err, flow.ReceiptsListed{Op: e.Op, Answer: a}, e.Op)
		})
	case flow.Leave:
		t.spawn(ctx, func(ctx context.Context) {
			if err := h.Leave(ctx, e.Session); err != nil {
				t.cfg.Log.Debug().Err(err).Msg("hub session not ended; it dies by itself")
			}
		})
	case flow.Prove:
		auth := t.secrets.takeAuth()
		t.spawn(ctx, func(ctx context.Context) {
			a, err := h.Prove(ctx, e.Session, termapi.PINProof{ID: e.ID.String(), Auth: auth})
			wipeAuth(&auth)
			t.told(ctx, err, flow.Proved{Op: e.Op, Answer: a}, e.Op)
		})
	default:
		t.callPayment(ctx, e)
	}
}

// callPayment makes the calls about one payment.
func (t *Terminal) callPayment(ctx context.Context, e flow.Effect) {
	h := t.cfg.Hub
	switch e := e.(type) {
	case flow.Pay:
		auth := t.secrets.takeAuth()
		t.spawn(ctx, func(ctx context.Context) {
			a, err := h.Pay(ctx, termapi.Payment{ID: e.ID.String(), Session: e.Session,
				Dues: e.Lines, Total: int64(e.Total), Auth: auth})
			wipeAuth(&auth)
			t.toldPayment(ctx, err, flow.PaymentTold{Op: e.Op, ID: e.ID, State: a})
		})
	case flow.Report:
		t.spawn(ctx, func(ctx context.Context) {
			a, err := h.CardOutcome(ctx, e.ID, e.Outcome)
			t.toldPayment(ctx, err, flow.PaymentTold{Op: e.Op, ID: e.ID, State: a})
		})
	case flow.AskPayment:
		t.spawn(ctx, func(ctx context.Context) {
			a, err := h.Payment(ctx, e.ID)
			t.toldPayment(ctx, err, flow.PaymentTold{Op: e.Op, ID: e.ID, State: a})
		})
	case flow.ClosePayment:
		t.spawn(ctx, func(ctx context.Context) {
			a, err := h.ClosePayment(ctx, e.ID)
			t.toldPayment(ctx, err, flow.PaymentTold{Op: e.Op, ID: e.ID, State: a})
		})
	}
}

// told brings the hub's answer, or what its absence proves.
func (t *Terminal) told(ctx context.Context, err error, ev flow.Event, op uint64) {
	if err == nil {
		t.answer(ctx, ev)
		return
	}
	kind, code := failure(err)
	t.answer(ctx, flow.HubFailed{Op: op, Kind: kind, Code: code})
}

func (t *Terminal) toldPayment(ctx context.Context, err error, ev flow.PaymentTold) {
	if err == nil {
		t.answer(ctx, ev)
		return
	}
	kind, code := failure(err)
	t.cfg.Log.Warn().Err(err).Str("payment", ev.ID.String()).Msg("hub call about a payment failed")
	t.answer(ctx, flow.HubFailed{Op: ev.Op, ID: ev.ID, Kind: kind, Code: code})
}

// failure says what an error of the hub's client proves. An error of another
// kind proves nothing.
func failure(err error) (flow.FailKind, string) {
	var e *hub.Error
	if errors.As(err, &e) {
		switch e.Kind {
		case hub.NotSent:
			return flow.FailNotSent, ""
		case hub.Refused:
			return flow.FailRefused, e.Code
		case hub.Unknown:
		}
	}
	return flow.FailUnknown, ""
}

// queuePaper hands a job to the printer's worker, which does one at a time.
func (t *Terminal) queuePaper(p flow.Print) {
	select {
	case t.papers <- p:
	default:
		t.follow = append(t.follow, flow.Printed{Op: p.Op, End: flow.PaperFailed, Printer: flow.PrinterUnknown})
	}
}

func (t *Terminal) paperWorker(ctx context.Context) {
	defer t.workers.Done()
	for {
		select {
		case <-ctx.Done():
			return
		case p := <-t.papers:
			t.answer(ctx, t.print(ctx, p))
		}
	}
}

// print makes one paper. What is not known to have come out has failed.
func (t *Terminal) print(ctx context.Context, p flow.Print) flow.Printed {
	t.mu.Lock()
	o := PaperOptions{Lang: p.Doc.Lang, Demo: t.conf.Demo, Hotline: t.conf.Hotline}
	t.mu.Unlock()
	var doc []byte
	var err error
	if p.Doc.Receipt != nil {
		doc, err = t.cfg.Paper.Receipt(*p.Doc.Receipt, o)
	} else if p.Doc.Slip != nil {
		doc, err = t.cfg.Paper.Slip(*p.Doc.Slip, o)
	} else {
		err = errors.New("terminal: a paper without content")
	}
	if err != nil {
		t.cfg.Log.Error().Err(err).Msg("paper not laid out")
		return flow.Printed{Op: p.Op, End: flow.PaperFailed, Printer: flow.PrinterUnknown}
	}
	pctx, cancel := context.WithTimeout(ctx, t.cfg.Times.Printer)
	defer cancel()
	job, state := t.cfg.Printer.Print(pctx, doc, func(device.JobState) {})
	clear(doc)
	switch job {
	case device.JobPresented, device.JobTaken:
		return flow.Printed{Op: p.Op, End: flow.PaperPresented}
	case device.JobSent:
		return flow.Printed{Op: p.Op, End: flow.PaperSent}
	default:
		return flow.Printed{Op: p.Op, End: flow.PaperFailed, Printer: printerWord(state)}
	}
}

func printerWord(s device.PrinterState) string {
	switch s {
	case device.PrinterPaperOut:
		return flow.PrinterPaper
	case device.PrinterJam:
		return flow.PrinterJam
	case device.PrinterCutter:
		return flow.PrinterCutter
	case device.PrinterOffline:
		return flow.PrinterOffline
	default:
		return flow.PrinterUnknown
	}
}

// deviceWorker looks at printer, pad and disk, and cleans the journal up.
func (t *Terminal) deviceWorker(ctx context.Context) {
	defer t.workers.Done()
	var pruned time.Time
	for {
		t.lookAtDevices(ctx)
		if now := t.cfg.Now(); now.Sub(pruned) >= pruneEvery {
			pruned = now
			if _, err := t.cfg.Journal.Prune(now); err != nil {
				t.answer(ctx, flow.GateSet{Gate: flow.GateJournal, On: true})
			}
		}
		if !sleep(ctx, devicesEvery) {
			return
		}
	}
}

func (t *Terminal) lookAtDevices(ctx context.Context) {
	pctx, cancel := context.WithTimeout(ctx, devicesEvery)
	defer cancel()
	state := t.cfg.Printer.State(pctx)
	ok := state == device.PrinterReady || state == device.PrinterPaperLow
	word := "ready"
	if state == device.PrinterPaperLow {
		word = "low"
	} else if !ok {
		word = printerWord(state)
	}
	t.mu.Lock()
	t.status.Paper = word
	inSession := t.status.InSession
	t.mu.Unlock()
	t.answer(ctx, flow.PaperSet{OK: ok})
	if !inSession {
		bad := false
		if p, is := t.cfg.Slot.(device.PadChecker); is {
			bad = p.PadReady(pctx) != nil
		}
		t.answer(ctx, flow.GateSet{Gate: flow.GatePad, On: bad})
	}
	err := t.cfg.Journal.Space()
	t.answer(ctx, flow.GateSet{Gate: flow.GateSpace, On: err != nil})
}

// sleep waits, or tells that the context ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
