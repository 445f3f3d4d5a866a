package engine

import (
	"time"

	"github.com/shebao-pay/shebao/settlement/day"
	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
	"github.com/shebao-pay/shebao/si/planted"
)

// Reasons of a reversal, DE 39.
var (
	reasonNoReply = [2]byte{'9', '8'}
	reasonBadMAC  = [2]byte{'A', '0'}
	reasonOther   = [2]byte{'0', '6'}
)

// firstReason is the reason of a reversal by what led to it.
func (e *Engine) firstReason(p *payment, t Trigger) [2]byte {
	switch {
	case t == Doubtful && e.in.reply.MAC != MACGood:
		return reasonBadMAC
	case t == Doubtful, p.durable, p.evidence.Source != 0: // the card refused, or Post did not commit
		return reasonOther
	}
	return reasonNoReply
}

// doubt begins what follows an unknown outcome: from here on no answer to the
// debit itself counts.
func (e *Engine) doubt(p *payment, t Trigger) {
	e.stats.Doubts++
	p.bank.endings.Doubts++
	if p.memo.Reason == ([2]byte{}) {
		p.memo.Reason = e.firstReason(p, t)
	}
	p.card = CardData{}
	if planted.On(planted.ReverseBeforeDurable) && p.stan != 0 && p.bank.links[p.link].up {
		e.out = append(e.out, SendReversal{ID: p.id, Link: p.on(), STAN: p.stan, RRN: p.rrn, DE7: p.de7, Date: p.date,
			Amount: p.total, Memo: p.memo})
	}
	e.gate(p)
	e.note(NoteDoubt, p, Note{Trigger: t, Resp: e.in.reply.Resp})
	e.out = append(e.out, Tell{ID: p.id, Answer: p.answer()})
}

// annotate makes the next attempt durable before any byte of it leaves. From
// here on the bank is not asked any more.
func (e *Engine) annotate(p *payment) {
	p.askable = false
	if !p.same {
		if p.memo.Tries < 1<<16-1 {
			p.memo.Tries++
		}
		p.same = true
	}
	e.submit(p, ledgerapi.Annotate{ID: p.id, Stage: ledgerapi.StageReversing, Reason: p.memo.Reason}, true)
}

// queue lines a durable attempt up for its link.
func (e *Engine) queue(p *payment) {
	if planted.On(planted.DropReversalAtMidnight) && si.DateOf(e.now) != p.date {
		return
	}
	if !p.bank.prof.CrossDaySend && day.Open(e.now, p.bank.prof.CutoverAt) != day.Open(p.made, p.bank.prof.CutoverAt) {
		if planted.On(planted.CrossDayIsProof) {
			p.state = Voiding
			e.void(p, ledgerapi.ProofReversalAck, [2]byte{})
			return
		}
		e.fire(p, CrossDay)
		return
	}
	e.line(p)
}

// line has a payment wait for a link.
func (e *Engine) line(p *payment) {
	key := p.bank.lineKey(p.memo.Acq)
	l := p.bank.waiting[key]
	if l == nil {
		l = &line{}
		p.bank.waiting[key] = l
	}
	l.list = append(l.list, p)
	e.pump(p.bank, key)
}

// line is the inquiries and reversals that wait for one link, or for any link of
// a CUPS bank.
type line struct{ list []*payment }

// lineKey says which line an inquiry or reversal waits in: with the POS dialect DE 41 and
// its keys bind it to its link, with CUPS any link will do.
func (b *bank) lineKey(acq [8]byte) [8]byte {
	if b.prof.Dialect == profile.POS {
		return acq
	}
	return [8]byte{}
}

// pump hands waiting inquiries and reversals to links with room, oldest first.
func (e *Engine) pump(b *bank, key [8]byte) {
	l := b.waiting[key]
	if l == nil {
		return
	}
	for len(l.list) > 0 {
		p := l.list[0]
		if p.state != Queued && p.state != InDoubt { // ended or given up while it waited
			l.list = l.list[1:]
			continue
		}
		n, ok := b.carrier(p)
		if !ok {
			return
		}
		l.list = l.list[1:]
		e.in.link = n
		e.fire(p, LinkReady)
	}
	l.list = nil
}

// carrier finds a link for an inquiry or reversal: the one of its debit, or with CUPS
// another one.
func (b *bank) carrier(p *payment) (uint8, bool) {
	fits := func(l *link) bool {
		return l.up && l.live < l.cap && (b.prof.Dialect != profile.POS || l.acq == p.memo.Acq)
	}
	if fits(&b.links[p.link]) {
		return p.link, true
	}
	for i := range b.links {
		if fits(&b.links[i]) {
			return uint8(i), true
		}
	}
	return 0, false
}

func (e *Engine) reverse(p *payment) {
	p.link = e.in.link
	p.same = false
	p.seq++
	e.hold(p)
	e.stats.Reversals++
	p.bank.endings.Reversals++
	e.timers.arm(&p.timer, e.now.Add(p.bank.prof.Timers.ReversalReply))
	if planted.On(planted.ReversalAmountOff) {
		p.total++
	}
	if planted.On(planted.ReversalOtherTrace) {
		p.stan++
	}
	e.out = append(e.out, SendReversal{
		ID: p.id, Seq: p.seq, Link: p.on(), STAN: p.stan, RRN: p.rrn, DE7: p.de7, Date: p.date,
		Amount: p.total, Memo: p.memo, Repeat: p.memo.Tries > 1,
	})
}

// reversalReply takes a 0410 or 0430. One for a payment that is not REVERSING
// in the ledger answers nothing that we asked.
func (e *Engine) reversalReply(p *payment) {
	if !p.durable {
		e.stats.Unmatched++
		e.note(NoteUnmatched, p, Note{Resp: e.in.reply.Resp})
		return
	}
	e.fire(p, e.judgeReversal(p))
}

// judgeReversal says what a 0410 or 0430 means.
func (e *Engine) judgeReversal(p *payment) Trigger {
	r := &e.in.reply
	if !e.trusted(p) && !planted.On(planted.ReversalTrustsBadMAC) {
		return ReversalAgain
	}
	if planted.On(planted.ReversalTakesAnyCode) {
		return ReversalProven
	}
	switch string(r.Resp[:]) {
	case "00", "94": // 94: a repeat of what was done
		return ReversalProven
	case "12", "25": // the original was never seen, or is overtaken
		e.note(NoteNoOriginal, p, Note{Resp: r.Resp})
		if p.bank.prof.NoOriginalFinal || planted.On(planted.NoOriginalAlwaysFinal) {
			return ReversalProven
		}
		return ReversalAgain
	}
	if p.bank.prof.Classes[string(r.Resp[:])] == profile.ClassSignOn {
		e.signOnAgain(p)
	}
	return ReversalAgain
}

// backOff waits before the next attempt, longer each time, for ever.
func (e *Engine) backOff(p *payment) {
	kind := NoteReversalAgain
	most := p.bank.prof.Limits.AlarmAfter
	if most > 0 && int(p.memo.Tries) >= most && !p.alarmed {
		p.alarmed = true
		kind = NoteReversalStuck
	}
	e.note(kind, p, Note{Resp: e.in.reply.Resp})
	if planted.On(planted.DropReversalAfterSix) && p.memo.Tries >= 6 {
		return
	}
	e.timers.arm(&p.timer, e.now.Add(e.delay(p.bank.prof, int(p.memo.Tries))))
}

// backOffSame waits before the same attempt, which has not left.
func (e *Engine) backOffSame(p *payment) {
	p.same = true
	e.timers.arm(&p.timer, e.now.Add(e.delay(p.bank.prof, 1)))
}

// retryLater waits before the same ledger command or memo opening.
func (e *Engine) retryLater(p *payment, t Trigger) {
	p.retries++
	if t == MemoUnknown {
		e.note(NoteMemo, p, Note{Tries: p.retries})
	}
	e.timers.arm(&p.timer, e.now.Add(e.delay(p.bank.prof, p.retries)))
}

// delay is the wait before attempt n+1: doubled each time between the profile's
// first and longest, spread by a quarter to either side.
func (e *Engine) delay(prof *profile.Profile, n int) time.Duration {
	first, most := prof.Timers.RetryFirst, prof.Timers.RetryMost
	d := first
	for i := 1; i < n && d < most; i++ {
		d *= 2
	}
	d = min(d, most)
	if spread := uint64(d / 2); spread > 0 {
		d += time.Duration(e.rand()%spread) - d/4
	}
	return max(first, min(d, most))
}

// gate holds back new payments of the card until this one is proven.
func (e *Engine) gate(p *payment) {
	if !p.gated && !p.memo.PAN.IsZero() {
		p.gated = true
		e.cards[p.memo.PAN]++
	}
}

func (e *Engine) ungate(p *payment) {
	if !p.gated {
		return
	}
	p.gated = false
	if e.cards[p.memo.PAN]--; e.cards[p.memo.PAN] == 0 {
		delete(e.cards, p.memo.PAN)
	}
}

// resume takes up a payment that an earlier life left. What that life sent is
// not known, so a reservation is a payment in doubt.
func (e *Engine) resume(v *ledgerapi.Payment) {
	b := e.banks[v.Bank]
	if b == nil || e.pays[v.ID] != nil || (v.State != ledgerapi.PayReserved && v.State != ledgerapi.PayReversing) {
		e.stats.Undeclared++
		e.note(NoteUndeclared, nil, Note{ID: v.ID, Bank: v.Bank, STAN: v.STAN})
		return
	}
	if planted.On(planted.ResumeForgetsReversing) && v.State == ledgerapi.PayReversing ||
		planted.On(planted.ResumeForgetsReserved) && v.State == ledgerapi.PayReserved {
		return
	}
	wait := 2 * b.prof.Timers.SendDeadline // an earlier leader's 0200 has left by then
	if at := e.now.Add(wait); !e.started || at.After(e.fence) {
		e.started, e.fence = true, at
	}
	p := e.adopt(b, v)
	p.durable = v.State == ledgerapi.PayReversing
	p.askable = b.prof.InquireFirst && !p.durable
	if planted.On(planted.NotSentAfterRestart) && !p.durable {
		p.state = Voiding
		e.void(p, ledgerapi.ProofNotSent, [2]byte{})
		return
	}
	b.opening++
	p.state = Opening
	e.find(p)
}

// adopt makes a live payment of the ledger's view.
func (e *Engine) adopt(b *bank, v *ledgerapi.Payment) *payment {
	p := &payment{
		id: v.ID, bank: b, since: e.now, terminal: v.Terminal, total: v.Total, date: v.OurDate,
		made: time.UnixMilli(v.AtMillis), stan: v.STAN, rrn: v.RRN, de7: v.DE7, blind: true, sealed: v.Memo,
	}
	for i := range v.Dues {
		p.dues = append(p.dues, v.Dues[i].Ref)
	}
	p.memo.Reason = v.Reason
	p.memo.Acq, p.memo.Batch = v.Acq, v.Batch
	e.add(p)
	e.key(p)
	return p
}

// find asks for what a reversal needs and the engine does not have: the memo of
// a payment that an earlier life left, or the numbers of a Reserve whose answer
// never came.
func (e *Engine) find(p *payment) {
	if p.blind {
		e.out = append(e.out, OpenMemo{ID: p.id, Bank: p.bank.prof.Number, Data: p.sealed})
		return
	}
	e.out = append(e.out, Look{p.id})
}

// seen takes the numbers from the ledger's view of a payment.
func (e *Engine) seen(v *ledgerapi.Payment) {
	p := e.pays[v.ID]
	if p == nil || p.state != Opening || p.blind {
		e.stats.Stale++
		return
	}
	if v.STAN == 0 {
		e.fire(p, MemoUnknown)
		return
	}
	p.stan, p.rrn, p.de7 = v.STAN, v.RRN, v.DE7
	e.key(p)
	e.fire(p, MemoKnown)
}

func (e *Engine) memoOpened(ev *MemoOpened) {
	p := e.pays[ev.ID]
	if s := e.scripts[ev.ID]; s != nil && s.state == scriptOpening {
		e.scriptOpened(s, ev)
		if p == nil || p.state != Opening {
			return
		}
	}
	if p == nil || p.state != Opening {
		e.stats.Stale++
		return
	}
	if !p.tried {
		p.tried = true
		p.bank.opening = max(0, p.bank.opening-1)
	}
	if !ev.OK {
		e.fire(p, MemoUnknown)
		return
	}
	noted := p.memo.Reason
	p.memo, p.blind, p.sealed = ev.Memo, false, nil
	if p.memo.Reason == ([2]byte{}) {
		p.memo.Reason = noted
	}
	if p.memo.Reason == ([2]byte{}) {
		p.memo.Reason = reasonNoReply
		if p.durable { // taken back because the card refused
			p.memo.Reason = reasonOther
		}
	}
	e.gate(p)
	e.fire(p, MemoKnown)
}

// resolved ends a payment that file or desk has ended in the ledger.
func (e *Engine) resolved(ev *Resolved) {
	p := e.pays[ev.ID]
	if p == nil {
		return
	}
	switch ev.State {
	case ledgerapi.PayPosted:
		e.fire(p, EndedPosted)
	case ledgerapi.PayVoided, ledgerapi.PayTombstone:
		e.fire(p, EndedVoided)
	case ledgerapi.PayNone, ledgerapi.PayReserved, ledgerapi.PayReversing:
		e.stats.Stale++
	}
}
