package world

import (
	"encoding/binary"
	"time"

	"github.com/shebao-pay/shebao/settlement/banklink"
	"github.com/shebao-pay/shebao/settlement/day"
	"github.com/shebao-pay/shebao/settlement/engine"
	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// linksPerBank is how many links a hub keeps to each bank.
const linksPerBank = 2

// hub is the node that leads: the payment engine, its links, and the shell that
// carries out what they want. A crash ends one life of it; the next begins with
// what the ledger says is pending.
type hub struct {
	w     *World
	d     dice
	life  int
	alive bool
	// frozen is until when a hub that was paused does nothing.
	frozen time.Duration
	skew   time.Duration // of its wall clock

	engine  *engine.Engine
	effects []engine.Effect
	links   map[engine.LinkID]*link
	order   []engine.LinkID
	waiters map[si.PaymentID][]func(engine.Answer)
	ticking time.Duration // the earliest tick that is planned
	gen     uint32        // the last key generation of any link
	stats   engine.Stats  // of the lives that ended
}

func newHub(w *World, d dice) *hub { return &hub{w: w, d: d} }

// soon has do called in this life of the hub, when it is not paused.
func (h *hub) soon(wait time.Duration, do func()) {
	life := h.life
	var later func()
	later = func() {
		switch {
		case h.life != life || !h.alive:
		case h.w.k.now < h.frozen:
			h.w.k.at(h.frozen, later)
		default:
			do()
		}
	}
	h.w.k.after(wait, later)
}

// start begins a life.
func (h *hub) start() {
	h.life++
	h.alive, h.frozen, h.ticking = true, 0, 0
	e, err := engine.New(engine.Config{Banks: h.w.profiles, Rand: h.d.Uint64})
	if err != nil {
		h.w.violate("setup", si.PaymentID{}, "engine: %v", err)
		return
	}
	h.engine = e
	h.links, h.order = map[engine.LinkID]*link{}, nil
	h.waiters = map[si.PaymentID][]func(engine.Answer){}
	pending := h.w.ledger.m.Pending(0)
	h.w.story(si.PaymentID{}, "a hub begins, %d payments are pending", len(pending))
	for _, p := range pending {
		h.step(engine.Resume{Payment: p})
	}
	for _, p := range h.w.ledger.m.Advices() {
		h.step(engine.ResumeScript{Payment: p})
	}
	for _, p := range h.w.profiles {
		for n := range uint8(linksPerBank) {
			id := engine.LinkID{Bank: p.Number, N: n}
			h.links[id] = newLink(h, id, p)
			h.order = append(h.order, id)
			h.links[id].input(banklink.InStart)
		}
		h.window(p)
	}
}

// crash ends a life. What the hub had asked of others may still come about.
func (h *hub) crash() {
	h.w.story(si.PaymentID{}, "the hub dies")
	h.w.meetsAll(HubCrash, 0)
	h.w.k.note('X', uint64(h.life), 0)
	h.alive = false
	h.w.ledger.crash()
	h.life++ // nothing of this life happens any more
	for _, id := range h.order {
		h.links[id].hang()
	}
	s := h.engine.Stats()
	h.stats.Undeclared += s.Undeclared
	h.w.k.after(h.d.between(300*time.Millisecond, 25*time.Second), h.start)
}

// second is a hub's trouble that comes with time.
func (h *hub) second() {
	if !h.alive {
		return
	}
	switch {
	case h.w.chance(h.d, HubCrash):
		h.crash()
	case h.w.chance(h.d, HubPause):
		h.frozen = h.w.k.now + h.d.between(200*time.Millisecond, 30*time.Second)
		h.w.meetsAll(HubPause, 0)
	case h.w.chance(h.d, ClockJump):
		h.skew = h.d.between(-2*time.Minute, 2*time.Minute)
		h.w.meetsAll(ClockJump, 0)
	}
	if h.d.IntN(100) < 3 {
		id := h.order[h.d.IntN(len(h.order))]
		if h.w.chance(h.d, LinkCut) {
			h.links[id].cut()
		}
	}
}

// cutBank ends every connection to a bank.
func (h *hub) cutBank(no si.Bank) {
	if !h.alive {
		return
	}
	for _, id := range h.order {
		if id.Bank == no {
			h.links[id].cut()
		}
	}
}

// step gives the engine one event and carries out what it wants.
func (h *hub) step(ev engine.Event) {
	h.effects = h.engine.Step(h.w.true(), ev, h.effects[:0])
	todo := append([]engine.Effect(nil), h.effects...)
	for _, ef := range todo {
		h.perform(ef)
	}
	if at, ok := h.engine.Next(); ok {
		when := at.Sub(h.w.epoch)
		if h.ticking <= h.w.k.now || when < h.ticking {
			h.ticking = max(when, h.w.k.now)
			h.soon(h.ticking-h.w.k.now, func() { h.step(engine.Tick{}) })
		}
	}
}

// perform carries out one effect, as the shell of settlement does.
func (h *hub) perform(ef engine.Effect) {
	switch ef := ef.(type) {
	case engine.Submit:
		h.submit(ef)
	case engine.Translate:
		h.hsm(ef.ID, func(ok bool) {
			block, _ := si.NewPINBlock(make([]byte, 16))
			gen := uint32(0)
			if l := h.links[ef.Link]; l != nil {
				gen = l.gen
			}
			h.step(engine.Translated{ID: ef.ID, Op: ef.Op, Block: block, Gen: gen, OK: ok && gen != 0})
		})
	case engine.OpenMemo:
		h.hsm(ef.ID, func(ok bool) {
			memo, err := engine.ParseMemo(unseal(ef.Data))
			h.step(engine.MemoOpened{ID: ef.ID, Memo: memo, OK: ok && err == nil})
		})
	case engine.Look:
		p, _ := h.w.ledger.m.Payment(ef.ID)
		p.ID = ef.ID
		h.soon(0, func() { h.step(engine.Seen{Payment: p}) })
	case engine.SendDebit:
		h.soon(h.d.between(50*time.Microsecond, time.Millisecond), func() { h.links[ef.Link].debit(&ef) })
	case engine.SendReversal:
		h.soon(h.d.between(50*time.Microsecond, time.Millisecond), func() { h.links[ef.Link].reversal(&ef) })
	case engine.SendInquiry:
		h.soon(h.d.between(50*time.Microsecond, time.Millisecond), func() { h.links[ef.Link].inquiry(&ef) })
	case engine.SendScript:
		h.soon(h.d.between(50*time.Microsecond, time.Millisecond), func() { h.links[ef.Link].script(&ef) })
	case engine.SignOnAgain:
		if l := h.links[ef.Link]; l != nil {
			h.soon(0, func() { l.input(banklink.InSignOn) })
		}
	case engine.Tell:
		h.tell(&ef)
	case engine.Note:
		h.w.k.note('N', uint64(ef.Kind), binary.LittleEndian.Uint64(ef.ID[8:]))
		h.w.story(ef.ID, "the engine notes: %s (%s)", ef.Kind, ef.State)
		if ef.Kind == engine.NoteUndeclared || ef.Kind == engine.NoteLedgerOdd {
			h.w.violate("I12", ef.ID, "the engine notes %q in state %s, trigger %s, ledger %s", ef.Kind, ef.State, ef.Trigger, ef.Code)
		}
	case engine.ScriptHeld, engine.SendProof, engine.TellProof:
	}
}

// hsm is a verb of the HSM process.
func (h *hub) hsm(id si.PaymentID, then func(ok bool)) {
	ok := !h.w.chance(h.d, HSMAway)
	if !ok {
		h.w.meets(HSMAway, id)
	}
	h.soon(h.d.between(100*time.Microsecond, 2*time.Millisecond), func() { then(ok) })
}

// sealWith hides a memo as the HSM process would. What matters here is that the
// card's number cannot be read in it.
const sealWith = 0x5a

func seal(b []byte) []byte {
	out := make([]byte, len(b))
	for i := range b {
		out[i] = b[i] ^ sealWith
	}
	return out
}

func unseal(b []byte) []byte { return seal(b) }

func (h *hub) submit(s engine.Submit) {
	id, seq := s.ID, s.Seq
	done := func(r ledgerapi.Result, f engine.Fault) {
		h.step(engine.LedgerDone{ID: id, Seq: seq, Fault: f, Result: r})
	}
	if s.Memo == nil {
		h.w.ledger.submit(s.Command, 0, done)
		return
	}
	clear, err := engine.AppendMemo(nil, s.Memo)
	if err != nil {
		h.w.violate("I8", id, "a memo that cannot be written: %v", err)
	}
	switch c := s.Command.(type) {
	case ledgerapi.Reserve:
		c.Memo = seal(clear)
		s.Command = c
	case ledgerapi.Annotate:
		c.Memo = seal(clear)
		s.Command = c
	}
	h.hsm(id, func(ok bool) {
		if !ok {
			h.step(engine.LedgerDone{ID: id, Seq: seq, Fault: engine.FaultUnsent})
			return
		}
		h.w.ledger.submit(s.Command, 0, done)
	})
}

// tell answers who waits. Who just asked is the last in the list.
func (h *hub) tell(t *engine.Tell) {
	h.w.truth.told(t.ID, t.Answer.Ending)
	h.w.story(t.ID, "the hub says: %s", endingNames[t.Answer.Ending])
	list := h.waiters[t.ID]
	if n := len(list); t.Asker && n > 1 {
		list[n-1](t.Answer)
		h.waiters[t.ID] = list[:n-1]
		return
	}
	delete(h.waiters, t.ID)
	for _, w := range list {
		w(t.Answer)
	}
}

// pay is a terminal's payment, arrived.
func (h *hub) pay(in engine.Intent, answer func(engine.Answer)) {
	known, _ := h.w.ledger.m.Payment(in.ID)
	h.waiters[in.ID] = append(h.waiters[in.ID], answer)
	h.step(engine.Ask{Intent: in, Known: known})
}

// ask is a terminal's question about a payment. The zero Answer says that
// nobody knows the id.
func (h *hub) ask(id si.PaymentID, answer func(engine.Answer)) {
	if a, ok := h.engine.Answer(id); ok {
		answer(a)
		return
	}
	p, _ := h.w.ledger.m.Payment(id)
	answer(engine.Known(&p))
}

// close is a terminal's wish to be sure that an id is never paid.
func (h *hub) close(id si.PaymentID, answer func(engine.Answer)) {
	known, _ := h.w.ledger.m.Payment(id)
	h.waiters[id] = append(h.waiters[id], answer)
	h.step(engine.CloseAsked{ID: id, Known: known})
}

// card is the card's last word about a payment.
func (h *hub) card(id si.PaymentID, o engine.CardOutcome, de55 []byte) {
	known, _ := h.w.ledger.m.Payment(id)
	if a, ok := h.engine.Answer(id); ok && a.AwaitCard {
		rule := h.w.banks[known.Bank].prof.CardRefusal
		h.w.truth.fact(id).undo = o == engine.CardARPCBad || o == engine.CardAAC && rule.AACReverses ||
			o == engine.CardRemoved && rule.RemovedReverses
	}
	h.step(engine.CardSaid{ID: id, Outcome: o, DE55: de55, Known: known})
}

// window keeps a bank's business date open by the clock, as the node does.
func (h *hub) window(p *profile.Profile) {
	now := h.w.wall()
	open, _ := h.w.ledger.m.Window(p.Number)
	if want := day.Open(now, p.CutoverAt); want > open.Open {
		id := h.w.newID(h.d)
		h.w.ledger.submit(ledgerapi.Cutover{ID: id, Bank: p.Number, From: open.Open, To: want}, 0,
			func(_ ledgerapi.Result, f engine.Fault) {
				if f != engine.FaultNone {
					h.soon(time.Second, func() { h.window(p) })
				}
			})
	}
	h.soon(max(time.Second, day.Next(now, p.CutoverAt).Sub(now)), func() { h.window(p) })
}

// request is one message that waits for its reply on a link.
type request struct {
	id     si.PaymentID
	seq    uint32
	op     engine.Op
	amount si.Fen
	gen    uint32 // key generation that its reply is checked with
	about  dealKey
}

// link is one link of a bank: the session machine and what waits on it.
type link struct {
	h       *hub
	id      engine.LinkID
	prof    *profile.Profile
	session *banklink.Session
	breaker *banklink.Breaker
	acts    []banklink.Act
	conn    *conn
	acq     [8]byte
	gen     uint32
	stan    uint32
	waiting map[matchKey]*request
	order   []matchKey
	planned time.Duration
	up      bool
}

func newLink(h *hub, id engine.LinkID, p *profile.Profile) *link {
	t := p.Timers
	l := &link{h: h, id: id, prof: p, waiting: map[matchKey]*request{},
		breaker: banklink.NewBreaker(p.Limits.BreakerCount, p.Limits.BreakerWindow),
		session: banklink.NewSession(banklink.Times{Connect: t.Connect, SignOn: t.SignOn, EchoIdle: t.EchoIdle, Drain: t.Reply,
			ReconnectMin: t.ReconnectMin, ReconnectMost: t.ReconnectMost, BadReplies: p.Limits.BadReplies}, h.d.Uint64)}
	if p.Dialect == profile.POS {
		copy(l.acq[:], p.Terminals[int(id.N)%len(p.Terminals)].DE41)
	} else {
		copy(l.acq[:], p.TerminalB)
	}
	return l
}

// input gives the session one input and does what it wants.
func (l *link) input(in banklink.Input) {
	l.acts = l.session.Step(l.h.w.true(), in, l.acts[:0])
	for _, a := range append([]banklink.Act(nil), l.acts...) {
		l.act(a)
	}
	at, ok := l.session.Next()
	if when := at.Sub(l.h.w.epoch); ok && (l.planned <= l.h.w.k.now || when < l.planned) {
		l.planned = max(when, l.h.w.k.now)
		l.h.soon(l.planned-l.h.w.k.now, func() { l.input(banklink.InTick) })
	}
}

func (l *link) act(a banklink.Act) {
	switch a {
	case banklink.ActDial:
		l.dial()
	case banklink.ActHang:
		l.hang()
	case banklink.ActSignOn:
		l.talk(opSignOn, func() {
			if l.prof.Dialect == profile.POS {
				l.newKeys()
				l.input(banklink.InSignedOn)
				return
			}
			l.input(banklink.InNeedKeys)
		})
	case banklink.ActKeys:
		l.talk(opKeys, func() {
			l.newKeys()
			l.input(banklink.InKeys)
		})
	case banklink.ActEcho:
		l.talk(opEcho, func() { l.input(banklink.InHeard) })
	case banklink.ActUp:
		l.up = true
		batch := uint32(0)
		if l.prof.Dialect == profile.POS {
			batch = 1
		}
		l.h.step(engine.LinkUp{Link: l.id, Acq: l.acq, Batch: batch, Cap: l.prof.Limits.InFlight})
	case banklink.ActDown:
		l.up = false
		l.h.step(engine.LinkDown{Link: l.id})
	case banklink.ActSignOff, banklink.ActOutOfOrder, banklink.ActRefused, banklink.ActSilent:
	}
}

func (l *link) newKeys() {
	l.h.gen++
	l.gen = l.h.gen
}

// dial makes a connection, or not.
func (l *link) dial() {
	b := l.h.w.banks[l.id.Bank]
	fails := l.h.w.k.now < b.silent
	if l.h.w.chance(l.h.d, NoConnection) {
		fails = true
		l.h.w.meetsAll(NoConnection, b.no)
	}
	l.h.soon(l.h.d.tail(5*time.Millisecond), func() {
		if fails {
			l.input(banklink.InFailed)
			return
		}
		l.conn = &conn{link: l, open: true}
		l.input(banklink.InConnected)
	})
}

// hang closes the connection; whatever waits on it is lost.
func (l *link) hang() {
	if l.conn == nil {
		return
	}
	l.conn.open = false
	l.conn = nil
	lost := l.order
	l.order = nil
	for _, k := range lost {
		r := l.waiting[k]
		if r == nil {
			continue
		}
		delete(l.waiting, k)
		if l.h.alive {
			ev := engine.Lost{ID: r.id, Op: r.op, Seq: r.seq}
			l.h.soon(0, func() { l.h.step(ev) })
		}
	}
}

// cut is a connection that ends from outside.
func (l *link) cut() {
	if l.conn == nil {
		return
	}
	for _, k := range l.order {
		if r := l.waiting[k]; r != nil {
			l.h.w.meets(LinkCut, r.id)
		}
	}
	l.hang()
	l.h.soon(0, func() { l.input(banklink.InFailed) })
}

// talk sends a message of the session; heard is called if its answer comes in
// time on the same connection.
func (l *link) talk(o op, heard func()) {
	c := l.conn
	if c == nil {
		return // it has just ended, and the session is about to hear of it
	}
	l.stan++
	m := message{op: o, acq: l.acq, stan: l.stan, gen: l.gen}
	m.code = m.sealed(l.id.Bank)
	c.heard = append(c.heard, heardBy{m.key(), heard})
	c.toBank(m)
}

// debit writes a 0200.
func (l *link) debit(s *engine.SendDebit) {
	if late := l.h.w.true().After(s.By); late || l.conn == nil || !l.up || l.gen != s.Gen {
		l.h.step(engine.NotSent{ID: s.ID, Op: engine.OpDebit, Seq: s.Seq, Late: late})
		return
	}
	m := message{op: opDebit, acq: l.acq, stan: s.STAN, rrn: s.RRN, de7: s.DE7, batch: s.Batch, amount: s.Amount,
		card: l.h.w.cardOf(s.Card.PAN), gen: l.gen}
	l.h.w.truth.left(s.ID, l.id.Bank, dealKey{m.acq, m.stan, m.de7, m.batch}, m.amount)
	l.send(m, s.ID, s.Seq, engine.OpDebit, l.prof.Timers.Reply)
}

// reversal writes a 0400 or 0420.
func (l *link) reversal(s *engine.SendReversal) {
	if l.conn == nil || !l.up {
		l.h.step(engine.NotSent{ID: s.ID, Op: engine.OpReversal, Seq: s.Seq})
		return
	}
	m := message{op: opReversal, acq: s.Memo.Acq, stan: s.STAN, rrn: s.RRN, de7: s.DE7, batch: s.Memo.Batch,
		amount: s.Amount, repeat: s.Repeat, gen: l.gen}
	l.h.w.truth.undone(s.ID, l.id.Bank, dealKey{m.acq, m.stan, m.de7, m.batch})
	l.send(m, s.ID, s.Seq, engine.OpReversal, l.prof.Timers.ReversalReply)
}

// inquiry writes the question what became of a debit, under numbers of its own.
func (l *link) inquiry(s *engine.SendInquiry) {
	if l.h.w.true().After(s.By) || l.conn == nil || !l.up {
		l.h.step(engine.NotSent{ID: s.ID, Op: engine.OpInquiry, Seq: s.Seq})
		return
	}
	l.stan++
	m := message{op: opInquiry, acq: l.acq, stan: l.stan, amount: s.Amount, card: l.h.w.cardOf(s.Memo.PAN), gen: l.gen,
		about: dealKey{s.Memo.Acq, s.STAN, s.DE7, s.Memo.Batch}}
	l.h.w.truth.asked(s.ID, l.id.Bank, m.about)
	l.send(m, s.ID, s.Seq, engine.OpInquiry, s.By.Sub(l.h.w.true()))
}

// script writes a script notice.
func (l *link) script(s *engine.SendScript) {
	if l.conn == nil || !l.up {
		l.h.step(engine.NotSent{ID: s.ID, Op: engine.OpScript, Seq: s.Seq})
		return
	}
	m := message{op: opScript, acq: s.Memo.Acq, stan: s.STAN, rrn: s.RRN, de7: s.DE7, batch: s.Memo.Batch, amount: s.Amount,
		repeat: s.Repeat, gen: l.gen}
	l.h.w.truth.scriptLeft(s.ID)
	l.send(m, s.ID, s.Seq, engine.OpScript, l.prof.Timers.ReversalReply)
}

// send puts a message on the wire and waits for its reply.
func (l *link) send(m message, id si.PaymentID, seq uint32, o engine.Op, wait time.Duration) {
	key := m.key()
	if l.waiting[key] != nil {
		l.h.step(engine.NotSent{ID: id, Op: o, Seq: seq}) // two replies could not be told apart
		return
	}
	m.code = m.sealed(l.id.Bank)
	r := &request{id: id, seq: seq, op: o, amount: m.amount, gen: m.gen, about: m.about}
	l.waiting[key] = r
	l.order = append(l.order, key)
	l.h.w.story(id, "%s leaves for bank %s", [...]string{opDebit: "the debit", opReversal: "a reversal", opInquiry: "an inquiry", opScript: "a script notice"}[m.op], l.prof.Code)
	l.h.soon(wait, func() {
		if l.waiting[key] == r { // no reply: the engine has its own timer
			l.forget(key)
			if l.breaker.TimedOut(l.h.w.true()) {
				l.h.step(engine.Breaker{Bank: l.id.Bank, Open: true})
				l.probe()
			}
		}
	})
	l.conn.toBank(m)
}

// probe finds out whether a bank behind an open breaker answers again.
func (l *link) probe() {
	l.h.soon(l.prof.Limits.BreakerWindow, func() {
		if !l.breaker.Open() {
			return
		}
		l.breaker.Probe(l.h.w.true())
		l.input(banklink.InProbe)
		l.probe()
	})
}

func (l *link) forget(key matchKey) {
	delete(l.waiting, key)
	for i, k := range l.order {
		if k == key {
			l.order = append(l.order[:i], l.order[i+1:]...)
			return
		}
	}
}

// receive is a message of the bank that arrived.
func (l *link) receive(m message) {
	if m.op == opSignOn || m.op == opKeys || m.op == opEcho {
		for i, h := range l.conn.heard {
			if h.key == m.key() {
				l.conn.heard = append(l.conn.heard[:i], l.conn.heard[i+1:]...)
				l.good()
				h.do()
				return
			}
		}
		return
	}
	key := m.key()
	r := l.waiting[key]
	reply := engine.Reply{MAC: engine.MACGood, Resp: m.resp, Amount: m.amount, BankDate: m.date, KeyGen: m.gen}
	copy(reply.RRN[:], m.rrn[:])
	if m.code != m.sealed(l.id.Bank) {
		reply.MAC = engine.MACBad
	}
	o := map[op]engine.Op{opDebit: engine.OpDebit, opReversal: engine.OpReversal, opInquiry: engine.OpInquiry, opScript: engine.OpScript}[m.op]
	if r == nil {
		l.h.step(engine.Stray{Bank: l.id.Bank, Acq: m.acq, STAN: m.stan, Batch: m.batch, DE7: m.de7, Op: o, Reply: reply})
		return
	}
	l.forget(key)
	reply.Mismatch = m.amount != r.amount || m.gen != r.gen || m.about != r.about
	if reply.MAC == engine.MACGood && !reply.Mismatch {
		l.good()
	} else {
		l.input(banklink.InBad)
	}
	l.h.step(engine.Replied{ID: r.id, Op: r.op, Reply: reply})
}

// good is a good message of the bank.
func (l *link) good() {
	if l.breaker.Heard(l.h.w.true()) {
		l.h.step(engine.Breaker{Bank: l.id.Bank, Open: false})
	}
	l.input(banklink.InHeard)
}
