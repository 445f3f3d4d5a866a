package settlement

import (
	"github.com/shebao-pay/shebao/settlement/banklink"
	"github.com/shebao-pay/shebao/settlement/engine"
	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
)

// sink turns what one bank's links tell into events of the engine.
type sink struct {
	h    *Hub
	bank si.Bank
}

// Deliver waits while too many events are under way, so that a flood from a
// bank stays in its socket.
func (s sink) Deliver(ev banklink.Event) {
	if e := s.event(&ev); e != nil {
		s.h.box.offer(message{ev: e})
	}
}

func (s sink) event(ev *banklink.Event) engine.Event {
	link := engine.LinkID{Bank: s.bank, N: ev.Link}
	log := s.h.cfg.Log
	code := s.h.codes[s.bank]
	switch ev.Kind {
	case banklink.LinkUp:
		log.Info().Str("bank", code).Uint8("link", ev.Link).Uint32("batch", ev.Batch).Msg("link signed on")
		return engine.LinkUp{Link: link, Acq: ev.Acq, Batch: ev.Batch, Cap: s.h.profs[s.bank].Limits.InFlight}
	case banklink.LinkDown:
		log.Warn().Str("bank", code).Uint8("link", ev.Link).Msg("link down")
		return engine.LinkDown{Link: link}
	case banklink.NotSent:
		if ev.Err != nil {
			log.Warn().Str("payment", ev.ID.String()).Str("bank", code).Uint8("link", ev.Link).Err(ev.Err).Msg("not sent")
		}
		return engine.NotSent{ID: ev.ID, Op: op(ev.Op), Seq: ev.Seq, Late: ev.Late}
	case banklink.Lost:
		return engine.Lost{ID: ev.ID, Op: op(ev.Op), Seq: ev.Seq}
	case banklink.Replied:
		return engine.Replied{ID: ev.ID, Op: op(ev.Op), Reply: reply(&ev.Reply)}
	case banklink.Stray:
		return engine.Stray{Bank: s.bank, Acq: ev.Acq, STAN: ev.STAN, Batch: ev.Batch, DE7: ev.DE7, Op: op(ev.Op), Reply: reply(&ev.Reply)}
	case banklink.BreakerOpen:
		log.Error().Str("bank", code).Msg("too many time-outs: the bank is closed to new payments")
		return engine.Breaker{Bank: s.bank, Open: true}
	case banklink.BreakerClosed:
		log.Info().Str("bank", code).Msg("the bank answers again and is open")
		return engine.Breaker{Bank: s.bank}
	case banklink.Cutover:
		log.Info().Str("bank", code).Stringer("date", ev.Date).Bool("end", ev.End).Bool("covered", ev.Covered).Msg("the bank announces a settlement date")
		if f := s.h.cfg.Cutover; f != nil {
			f(Cutover{Bank: s.bank, Link: ev.Link, Date: ev.Date, End: ev.End, Covered: ev.Covered})
		}
	case banklink.Alarm:
		log.Error().Str("bank", code).Uint8("link", ev.Link).Err(ev.Err).Msg("link alarm")
	}
	return nil
}

func op(k profile.Kind) engine.Op {
	switch k {
	case profile.Debit:
		return engine.OpDebit
	case profile.PINProof:
		return engine.OpProof
	case profile.StatusInquiry:
		return engine.OpInquiry
	case profile.ScriptNotify:
		return engine.OpScript
	}
	return engine.OpReversal
}

func reply(r *banklink.Reply) engine.Reply {
	mac := map[banklink.MACState]engine.MACState{banklink.MACGood: engine.MACGood, banklink.MACBad: engine.MACBad}[r.MAC]
	return engine.Reply{
		MAC: mac, Mismatch: r.Mismatch, Resp: r.Resp, Amount: r.Amount, Auth: r.Auth, RRN: r.RRN, BankDate: r.Date, KeyGen: r.KeyGen,
		Issuer: engine.IssuerData{ARC: r.Issuer.ARC, Auth: r.Issuer.Auth, Scripts: r.Issuer.Scripts},
	}
}

// Cutover is what a bank's host announced about its settlement date, once for
// each link that it was told on.
type Cutover struct {
	Bank si.Bank
	Link uint8
	Date si.BusinessDate
	End  bool // the change is over (DE 70 202), else it begins (201)
	// Covered tells that the message carried a good code over its date. Without
	// it the announcement is a hint: the date of a payment comes with its own
	// reply.
	Covered bool
}

// LinkState is one link for the console and the metrics.
type LinkState struct {
	Bank  si.Bank
	Code  string
	Link  int
	DE41  string // POS: the virtual terminal
	State banklink.State
}

// LinkStates lists the links by bank and number.
func (h *Hub) LinkStates() []LinkState {
	var list []LinkState
	for b, pool := range h.pools {
		if pool == nil {
			continue
		}
		for i, s := range pool.States() {
			list = append(list, LinkState{Bank: si.Bank(b), Code: h.codes[b], Link: i, DE41: pool.Terminal(uint8(i)).DE41, State: s})
		}
	}
	return list
}

// Unresolved lists the payments in doubt, oldest first.
func (h *Hub) Unresolved() []engine.Open {
	ch := make(chan []engine.Open, 1)
	if h.ask(func() { ch <- h.engine.Unresolved() }) != nil {
		return nil
	}
	select {
	case list := <-ch:
		return list
	case <-h.quit:
		return nil
	}
}

// Snapshot is the hub's counters at one moment.
type Snapshot struct {
	Engine engine.Stats
	Live   int64             // payments held
	Queue  int               // events that wait for the engine
	Notes  map[string]uint64 // by what happened
	Banks  map[string]banklink.Counters
	Ends   map[string]engine.Endings // by bank
}

// Snapshot gives the counters without waiting for the engine.
func (h *Hub) Snapshot() Snapshot {
	s := Snapshot{Engine: *h.stats.Load(), Live: h.live.Load(), Queue: h.box.len(), Notes: map[string]uint64{}, Banks: map[string]banklink.Counters{}, Ends: map[string]engine.Endings{}}
	for k := range h.notes {
		if n := h.notes[k].Load(); n > 0 {
			s.Notes[engine.NoteKind(k).String()] = n
		}
	}
	for _, p := range h.cfg.Profiles {
		if ends := h.ends[p.Number].Load(); ends != nil {
			s.Ends[p.Code] = *ends
		}
	}
	for b, pool := range h.pools {
		if pool != nil {
			s.Banks[h.codes[b]] = pool.Counters()
		}
	}
	return s
}
