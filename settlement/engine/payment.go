package engine

import (
	"slices"
	"time"

	"github.com/shebao-pay/shebao/settlement/bankmsg"
	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
	"github.com/shebao-pay/shebao/si/planted"
)

// payment is one live payment.
type payment struct {
	id    si.PaymentID
	bank  *bank
	state State
	since time.Time // when it came, or was found
	step  time.Time // when its 0200 left, then when that was approved

	terminal si.Terminal
	dues     []ledgerapi.DueRef
	total    si.Fen
	date     si.BusinessDate // ours
	made     time.Time       // of the Reserve

	link   uint8     // that carries or carried the message in flight
	holds  bool      // a place on that link
	sendBy time.Time // until then the 0200, later the inquiry, may leave
	stan   uint32
	rrn    [12]byte
	de7    [10]byte
	keyed  bool // stands in wires

	seq  uint32 // of the last act; answers to earlier ones are stale
	wait bool   // a ledger command is out
	cmd  ledgerapi.Type

	card     CardData // until the 0200 is handed over
	gen      uint32
	memo     Memo
	blind    bool   // the memo is not known
	tried    bool   // opening it was tried once
	sealed   []byte // the memo as found
	durable  bool   // the ledger says REVERSING
	same     bool   // the attempt that was noted has not left
	gated    bool   // counts in Engine.cards
	alarmed  bool
	askable  bool // the bank takes inquiries, none was made, and no reversal was asked for
	retries  int  // of a ledger command or memo opening
	evidence ledgerapi.Evidence
	proof    ledgerapi.Proof
	resp     [2]byte
	issuer   IssuerData
	reason   ledgerapi.UnpostReason

	timer         timer
	before, after *payment
}

// ask begins a payment, or joins the one of the same id.
func (e *Engine) ask(in *Intent, known *ledgerapi.Payment) {
	e.stats.Asked++
	if p := e.pays[in.ID]; p != nil {
		e.join(p, in)
		return
	}
	if known.State != ledgerapi.PayNone {
		e.askKnown(in, known)
		return
	}
	b := e.banks[in.Bank]
	n, why := e.admit(b, in)
	if why != WhyNone {
		if b != nil {
			b.endings.Refused++
		}
		e.refuse(in.ID, Answer{Ending: Refused, Why: why})
		return
	}
	l := &b.links[n]
	p := &payment{
		id: in.ID, bank: b, since: e.now, terminal: in.Terminal, dues: slices.Clone(in.Dues), total: in.Total,
		date: si.DateOf(e.now), made: e.now, link: n, card: in.Card,
		memo: Memo{
			Acq: l.acq, Batch: l.batch, PAN: in.Card.PAN, PSN: in.Card.PSN, Expiry: in.Card.Expiry,
			EMV: bankmsg.PickTags(nil, in.Card.DE55, b.prof.DE55["reversal"]),
		},
	}
	e.add(p)
	p.state = Reserving
	e.hold(p)
	e.submit(p, ledgerapi.Reserve{
		ID: p.id, Channel: si.ChannelTerminal, Terminal: p.terminal, Acq: l.acq, Batch: l.batch,
		Bank: in.Bank, Dues: p.dues, Total: p.total, OurDate: p.date,
	}, true)
}

// admit checks an intent against every bound before the ledger is asked, and
// chooses the link.
func (e *Engine) admit(b *bank, in *Intent) (uint8, Why) {
	switch {
	case e.draining:
		return 0, WhyStopping
	case b == nil:
		return 0, WhyBankAway
	case in.ID.IsZero(), len(in.Dues) == 0, len(in.Dues) > ledgerapi.MaxDues, in.Total <= 0, in.Total > si.MaxFen,
		b.prof.Limits.MaxAmount > 0 && in.Total > b.prof.Limits.MaxAmount,
		in.Card.PAN.IsZero(), in.Card.PINBlock.IsZero(), len(in.Card.PSN) > 3, len(in.Card.Expiry) > 4, len(in.Card.DE55) > 255:
		return 0, WhyForm
	case e.cards[in.Card.PAN] > 0:
		return 0, WhyCardBusy
	case len(e.pays) >= e.maxLive, b.opening > 0: // until the cards found at start are known
		return 0, WhyBusy
	}
	return b.pick()
}

// join answers a repeated Ask. The repeat never causes a second message.
func (e *Engine) join(p *payment, in *Intent) {
	if p.state == Closing || in.Bank != p.bank.prof.Number || in.Terminal != p.terminal || in.Total != p.total || !slices.Equal(in.Dues, p.dues) {
		e.refuse(in.ID, Answer{Ending: Refused, Refusal: ledgerapi.Result{Code: ledgerapi.IDReused}})
		return
	}
	if a := p.answer(); a.Ending != Pending || p.doubtful() {
		e.out = append(e.out, Tell{ID: p.id, Answer: a, Asker: true})
	}
}

// askKnown answers an Ask whose id is in the ledger: an earlier life has dealt
// with it. Nothing is sent for it but a reversal.
func (e *Engine) askKnown(in *Intent, known *ledgerapi.Payment) {
	if known.State != ledgerapi.PayTombstone && (known.Bank != in.Bank || known.Terminal != in.Terminal || known.Total != in.Total || len(known.Dues) != len(in.Dues)) {
		e.refuse(in.ID, Answer{Ending: Refused, Refusal: ledgerapi.Result{Code: ledgerapi.IDReused}})
		return
	}
	if a := Known(known); a.Ending == Pending && known.Channel == si.ChannelTerminal {
		e.resume(known)
	}
	e.out = append(e.out, Tell{ID: in.ID, Answer: Known(known), Asker: true})
}

func (e *Engine) refuse(id si.PaymentID, a Answer) {
	e.stats.Refused++
	e.out = append(e.out, Tell{ID: id, Answer: a, Asker: true})
}

// answer is what a terminal may be told now.
func (p *payment) answer() Answer {
	if p.state == Posted {
		return Answer{Ending: Paid, Resp: p.resp, Issuer: p.issuer, AwaitCard: true}
	}
	return Answer{Ending: Pending, Issuer: p.issuer}
}

// doubtful tells whether money may have moved without our knowing.
func (p *payment) doubtful() bool {
	switch p.state {
	case InDoubt, Inquiring, Unposting, Opening, Noting, Queued, Undoing, Waiting, Desk:
		return true
	case Voiding:
		return p.durable
	case Gone, Reserving, Translating, Sent, Posting, Posted, Closing, stateEnd:
	}
	return false
}

// fire moves a payment by the table. What the table does not list is noted and
// changes nothing.
func (e *Engine) fire(p *payment, t Trigger) {
	if planted.On(planted.HoldFreedByTimer) && p.state == Sent && t == TimeUp {
		t = Declined
	}
	m := table[p.state][t]
	if m.do == 0 {
		e.stats.Undeclared++
		e.note(NoteUndeclared, p, Note{Trigger: t, Resp: e.in.reply.Resp, Code: e.in.result.Code})
		return
	}
	if from := p.state; m.to != from {
		e.measure(p, m.to)
		p.state = m.to
		e.timers.disarm(&p.timer)
		p.retries = 0
		if m.to != Translating && m.to != Sent {
			e.release(p) // a reversal takes a place of its own
		}
	}
	e.do(p, m.do, t)
	if p.state == Gone {
		e.drop(p)
	}
}

// do carries out one action. The state is already the new one.
func (e *Engine) do(p *payment, a action, t Trigger) {
	switch a {
	case stay:
	case translate:
		e.reserved(p)
	case send:
		e.send(p)
	case post:
		e.post(p, ledgerapi.SourceWire)
	case postInquired:
		e.stats.InquiriesProven++
		e.post(p, ledgerapi.SourceInquiry)
	case voidNotSent:
		e.void(p, ledgerapi.ProofNotSent, [2]byte{})
	case voidDeclined:
		p.issuer = e.in.reply.Issuer
		e.void(p, ledgerapi.ProofDeclined, e.in.reply.Resp)
	case voidReversed:
		e.stats.ReversalsProven++
		if planted.On(planted.ToldNotChargedEarly) {
			e.out = append(e.out, Tell{ID: p.id, Answer: Answer{Ending: NotCharged}})
		}
		p.bank.endings.Proven++
		e.void(p, ledgerapi.ProofReversalAck, e.in.reply.Resp)
	case voidAgain:
		e.void(p, p.proof, p.resp)
	case unpost:
		e.note(NoteCardReversed, p, Note{})
		e.submit(p, ledgerapi.Unpost{ID: p.id, Reason: p.reason}, false)
	case unpostAgain:
		e.submit(p, ledgerapi.Unpost{ID: p.id, Reason: p.reason}, false)
	case doubt:
		e.doubt(p, t)
		e.annotate(p)
	case askBank:
		e.doubt(p, t)
		e.lineUp(p)
	case lineUp:
		e.lineUp(p)
	case inquire:
		e.inquire(p)
	case annotate:
		e.annotate(p)
	case queue:
		e.queue(p)
	case reverse:
		e.reverse(p)
	case backOff:
		e.backOff(p)
	case backOffSame:
		e.backOffSame(p)
	case retryLater:
		e.retryLater(p, t)
	case find:
		e.find(p)
	case fence:
		at := e.now
		if at.Before(e.fence) {
			at = e.fence
		}
		e.timers.arm(&p.timer, at)
	case toDesk:
		e.ungate(p)
		e.note(NoteCrossDay, p, Note{})
	case tellPosted:
		e.posted(p)
	case tellPaid, tellKept, tellNotCharged, tellRefused, tellSystem, tellAbsent, tellUnknown:
		e.end(p, a)
	case noteLate:
		e.late(p)
	}
}

// end tells the ending of a payment that leaves the engine.
func (e *Engine) end(p *payment, a action) {
	ans := Answer{Resp: p.resp, Issuer: p.issuer}
	switch a {
	case tellPaid, tellKept:
		ans.Ending = Paid
		if a == tellKept {
			e.note(NoteCardKept, p, Note{Code: e.in.result.Code})
		}
	case tellNotCharged:
		ans.Ending = NotCharged
		e.stats.NotCharged++
		p.bank.endings.NotCharged++
	case tellRefused:
		ans.Ending, ans.Refusal = Refused, e.in.result
		e.stats.Refused++
		p.bank.endings.Refused++
	case tellSystem:
		ans.Ending, ans.Why = Refused, WhySystem
		e.stats.Refused++
		p.bank.endings.Refused++
	case tellAbsent:
		ans.Ending, ans.Refusal = Refused, ledgerapi.Result{Code: ledgerapi.NotFound}
		e.stats.Refused++
	default:
		ans.Ending = Pending
	}
	e.out = append(e.out, Tell{ID: p.id, Answer: ans})
}

// posted tells "paid". The dues are paid whatever the card says next.
func (e *Engine) posted(p *payment) {
	e.stats.Paid++
	p.bank.endings.Paid++
	p.durable = false
	e.ungate(p)
	e.timers.arm(&p.timer, e.now.Add(p.bank.prof.Timers.CardOutcome))
	e.out = append(e.out, Tell{ID: p.id, Answer: p.answer()})
}

// reserved asks for the PIN block: the clock to the first byte runs. A process
// that stood still between the commit and this moment has no more time than
// until twice the deadline after it asked, which is before the commit: a new
// leader waits that long before it reverses what it finds.
func (e *Engine) reserved(p *payment) {
	deadline := p.bank.prof.Timers.SendDeadline
	p.sendBy = e.now.Add(deadline)
	if last := p.since.Add(2 * deadline); last.Before(p.sendBy) {
		p.sendBy = last
	}
	if planted.On(planted.SendAfterDeadline) {
		p.sendBy = e.now.Add(time.Hour)
	}
	e.timers.arm(&p.timer, p.sendBy)
	e.out = append(e.out, Translate{ID: p.id, Op: OpDebit, Link: p.on(), Card: p.card})
}

// translated goes on with the block, if the link is still the one that the
// Reserve names. If it is not, no byte has left: the payment is not sent.
func (e *Engine) translated(ev *Translated) {
	if ev.Op == OpProof {
		e.proofTranslated(ev)
		return
	}
	p := e.pays[ev.ID]
	if p == nil || p.state != Translating {
		e.stats.Stale++
		ev.Block.Wipe()
		return
	}
	l := &p.bank.links[p.link]
	switch {
	case e.now.After(p.sendBy):
		e.fire(p, TimeUp)
	case !ev.OK:
		e.fire(p, PINFailed)
	case !l.up, l.acq != p.memo.Acq, l.batch != p.memo.Batch:
		e.fire(p, Unwritten)
	default:
		p.card.PINBlock, p.gen = ev.Block, ev.Gen
		e.fire(p, PINReady)
	}
}

func (e *Engine) send(p *payment) {
	p.seq++
	p.askable = p.bank.prof.InquireFirst
	e.timers.arm(&p.timer, e.now.Add(p.bank.prof.Timers.Reply))
	e.out = append(e.out, SendDebit{
		ID: p.id, Seq: p.seq, Link: p.on(), By: p.sendBy, STAN: p.stan, RRN: p.rrn, DE7: p.de7, Date: p.date,
		Batch: p.memo.Batch, Amount: p.total, Card: p.card, Gen: p.gen,
	})
	p.card = CardData{}
}

// post asks for Post on an approval that was judged.
func (e *Engine) post(p *payment, from ledgerapi.Source) {
	p.evidence = evidence(&e.in.reply, from)
	p.resp, p.issuer, p.memo.Auth = e.in.reply.Resp, e.in.reply.Issuer, e.in.reply.Auth
	e.submit(p, ledgerapi.Post{ID: p.id, Evidence: p.evidence}, false)
	if planted.On(planted.ToldPaidEarly) {
		e.out = append(e.out, Tell{ID: p.id, Answer: Answer{Ending: Paid, Resp: p.resp}})
	}
}

func (p *payment) on() LinkID { return LinkID{p.bank.prof.Number, p.link} }

// void asks for the end of the hold with the proof that no money is with us.
func (e *Engine) void(p *payment, proof ledgerapi.Proof, resp [2]byte) {
	p.proof, p.resp = proof, resp
	e.submit(p, ledgerapi.Void{ID: p.id, Proof: proof, Resp: resp}, false)
}

// submit asks the ledger. The state has one command out at a time.
func (e *Engine) submit(p *payment, c ledgerapi.Command, withMemo bool) {
	p.seq++
	p.wait, p.cmd = true, c.Type()
	s := Submit{ID: p.id, Seq: p.seq, Command: c, Bank: p.bank.prof.Number, Date: p.date}
	if withMemo {
		m := p.memo
		s.Memo = &m
	}
	e.out = append(e.out, s)
}

// ledgerDone judges a result and goes on.
func (e *Engine) ledgerDone(ev *LedgerDone) {
	p := e.pays[ev.ID]
	if s := e.scripts[ev.ID]; s != nil && ev.Seq > scriptSeq {
		e.scriptDone(s, ev)
		return
	}
	if p == nil || !p.wait || ev.Seq != p.seq {
		e.stats.Stale++
		return
	}
	p.wait = false
	e.in.result, e.in.fault = ev.Result, ev.Fault
	t := judge(p.cmd, ev.Fault, &ev.Result)
	switch t {
	case LedgerUnknown:
		e.note(NoteLedgerUnknown, p, Note{Trigger: t, Code: ev.Result.Code})
	case LedgerNo, LedgerAbsent:
		// A Reserve of unknown outcome may turn out never to have been made.
		if p.state != Reserving && (t == LedgerNo || p.stan != 0) {
			e.note(NoteLedgerOdd, p, Note{Trigger: t, Code: ev.Result.Code})
		}
	case LedgerReversing:
		p.durable = true
		if p.state == Unposting { // an Unpost of unknown outcome is in the log
			t = LedgerOK
		}
	case LedgerOK:
		p.durable = p.durable || p.cmd == ledgerapi.TypeAnnotate || p.cmd == ledgerapi.TypeUnpost
	}
	if p.stan == 0 && ev.Result.STAN != 0 { // Reserve, or Annotate when Reserve's answer was lost
		p.stan, p.rrn, p.de7 = ev.Result.STAN, ev.Result.RRN, ev.Result.DE7
		e.key(p)
	}
	if t == LedgerOK && (p.state == Unposting && p.blind || p.state == Noting && p.stan == 0) {
		t = LedgerOKBlind
	}
	e.fire(p, t)
}

// judge turns a result into what it means. Of a refusal, the state that the
// ledger names decides.
func judge(cmd ledgerapi.Type, fault Fault, r *ledgerapi.Result) Trigger {
	switch fault {
	case FaultUnsent:
		if planted.On(planted.UnsentPostIsPaid) && cmd == ledgerapi.TypePost {
			return LedgerOK
		}
		return LedgerUnsent
	case FaultUnknown:
		if planted.On(planted.SendOnUnknown) && cmd == ledgerapi.TypeReserve {
			return LedgerOK
		}
		return LedgerUnknown
	case FaultNone:
	}
	reserve := cmd == ledgerapi.TypeReserve
	switch {
	case r.Code == ledgerapi.OK:
		return LedgerOK
	case r.Code == ledgerapi.Exists && (!reserve || planted.On(planted.SendOnExists)):
		return LedgerOK
	case r.Code == ledgerapi.Exists && r.First != 0 && r.First != ledgerapi.OK:
		return LedgerNo
	case r.Code == ledgerapi.Late:
		return LedgerReversing
	case r.Code == ledgerapi.Exists, r.Code == ledgerapi.BadTransition && !reserve:
		switch r.State {
		case ledgerapi.PayPosted:
			return LedgerPosted
		case ledgerapi.PayReversing:
			return LedgerReversing
		case ledgerapi.PayVoided, ledgerapi.PayTombstone:
			return LedgerVoided
		case ledgerapi.PayNone, ledgerapi.PayReserved:
		}
		if reserve { // an earlier life reserved it and may have sent
			return LedgerUnknown
		}
	case r.Code == ledgerapi.NotFound && !reserve:
		return LedgerAbsent
	case r.Code == ledgerapi.Tombstoned && !reserve:
		return LedgerVoided
	}
	return LedgerNo
}

// linkNews is what a link tells of a message it could not bring to its end.
type linkNews uint8

const (
	linkNotSent linkNews = iota
	linkLost
)

// linkWord judges what a link says of a message that got no reply. Words about
// an earlier message are stale.
func (e *Engine) linkWord(id si.PaymentID, op Op, seq uint32, news linkNews, late bool) {
	if op == OpProof {
		if q := e.proofs[id]; q != nil && q.seq == seq && q.sent {
			e.endProof(q, ProofAnswer{Verdict: BankAway, TriesLeft: -1})
		}
		return
	}
	if op == OpScript {
		if s := e.scripts[id]; s != nil && s.seq == seq && s.state == scriptSent {
			e.scriptUnanswered(s)
		}
		return
	}
	p := e.pays[id]
	want := map[Op]State{OpDebit: Sent, OpReversal: Undoing, OpInquiry: Inquiring}[op]
	if p == nil || p.state != want || p.seq != seq {
		e.stats.Stale++
		return
	}
	switch {
	case op == OpInquiry:
		e.fire(p, InquiryVain)
	case op == OpDebit && news == linkLost && planted.On(planted.LostIsNotSent):
		e.fire(p, Unwritten)
	case op == OpDebit && news == linkLost:
		e.fire(p, LinkLost)
	case op == OpDebit && late:
		e.fire(p, UnwrittenLate)
	case op == OpDebit:
		e.fire(p, Unwritten)
	case news == linkLost:
		e.fire(p, ReversalLost)
	default:
		e.fire(p, ReversalUnsent)
	}
}

// replied judges a reply that was matched with its request.
func (e *Engine) replied(id si.PaymentID, op Op, r *Reply) {
	if op == OpProof {
		e.proofReplied(id, r)
		return
	}
	if op == OpScript {
		e.scriptReplied(e.scripts[id], r)
		return
	}
	p := e.pays[id]
	if p == nil {
		e.stats.Unmatched++
		e.note(NoteUnmatched, nil, Note{ID: id, Resp: r.Resp})
		return
	}
	e.in.reply = *r
	switch {
	case op == OpReversal:
		e.reversalReply(p)
	case op == OpInquiry:
		e.inquiryReply(p)
	case p.state != Sent:
		e.fire(p, LateReply)
	default:
		e.fire(p, e.judgeDebit(p))
	}
}

// judgeDebit says what a 0210 means: an approval and a refusal need a good code
// and every field equal, everything else is doubt.
func (e *Engine) judgeDebit(p *payment) Trigger {
	r := &e.in.reply
	if !e.trusted(p) {
		if planted.On(planted.BadMACDeclines) {
			return Declined
		}
		return Doubtful
	}
	switch p.bank.prof.Classes[string(r.Resp[:])] {
	case profile.ClassApproved:
		return Approved
	case profile.ClassRetry, profile.ClassRefused, profile.ClassCapture, profile.ClassSystem:
		return Declined
	case profile.ClassSignOn:
		e.signOnAgain(p)
		return Declined
	case profile.ClassNone, profile.ClassUnknown:
	}
	e.note(NoteUnknownCode, p, Note{Resp: r.Resp})
	if planted.On(planted.UnknownCodeDeclines) {
		return Declined
	}
	return Doubtful
}

// trusted tells whether a reply is an answer at all.
func (e *Engine) trusted(p *payment) bool {
	r := &e.in.reply
	if r.MAC != MACGood && !planted.On(planted.TrustBadMAC) {
		e.stats.BadMAC++
		e.note(NoteBadMAC, p, Note{Resp: r.Resp})
		return false
	}
	if planted.On(planted.TrustMismatch) {
		return true
	}
	if r.Mismatch || r.Amount != 0 && r.Amount != p.total {
		e.stats.Mismatch++
		e.note(NoteMismatch, p, Note{Resp: r.Resp})
		return false
	}
	return true
}

func (e *Engine) signOnAgain(p *payment) {
	e.note(NoteSignOn, p, Note{Resp: e.in.reply.Resp})
	e.out = append(e.out, SignOnAgain{p.on()})
}

// stray finds the payment of a reply whose request was given up. It can end a
// reversal; a debit it can never decide.
func (e *Engine) stray(ev *Stray) {
	if ev.Op == OpProof || ev.Op == OpInquiry || ev.Op == OpScript {
		return // nobody waits for it and no money moved
	}
	var p *payment
	if b := e.banks[ev.Bank]; b != nil {
		p = e.wires[b.wireKey(ev.Acq, ev.STAN, ev.Batch, ev.DE7)]
	}
	if p == nil {
		e.stats.Unmatched++
		e.note(NoteUnmatched, nil, Note{Bank: ev.Bank, STAN: ev.STAN, Resp: ev.Reply.Resp})
		return
	}
	e.in.reply = ev.Reply
	if ev.Op == OpReversal {
		e.reversalReply(p)
		return
	}
	e.fire(p, LateReply)
}

// late journals a 0210 that no longer counts.
func (e *Engine) late(p *payment) {
	r := &e.in.reply
	e.stats.Late++
	kind := NoteLateDecline
	switch {
	case r.MAC != MACGood || r.Mismatch:
		kind = NoteUnmatched
	case p.bank.prof.Classes[string(r.Resp[:])] == profile.ClassApproved:
		kind = NoteLateApproval
	}
	e.note(kind, p, Note{Resp: r.Resp})
	if planted.On(planted.ReviveLateApproval) && kind == NoteLateApproval {
		e.submit(p, ledgerapi.Post{ID: p.id, Evidence: evidence(r, ledgerapi.SourceWire)}, false)
	}
}

// evidence is a reply as the ledger keeps it.
func evidence(r *Reply, from ledgerapi.Source) ledgerapi.Evidence {
	serial := r.HostSerial
	if len(serial) > 20 {
		serial = serial[:20]
	}
	return ledgerapi.Evidence{
		Source: from, Resp: r.Resp, Auth: r.Auth, HostSerial: serial, BankRRN: r.RRN,
		BankDate: r.BankDate, MACOK: r.MAC == MACGood, KeyGen: r.KeyGen,
	}
}
