package engine

import (
	"time"

	"github.com/shebao-pay/shebao/settlement/bankmsg"
	"github.com/shebao-pay/shebao/si/ledgerapi"
	"github.com/shebao-pay/shebao/si/planted"
)

// cardTrigger is what the card's last word means by the bank's profile.
func (p *payment) cardTrigger(o CardOutcome) Trigger {
	rule := p.bank.prof.CardRefusal
	undo := false
	switch o {
	case CardTC:
		return CardYes
	case CardAAC:
		undo, p.reason = rule.AACReverses, ledgerapi.UnpostCardAAC
	case CardARPCBad: // an issuer that did not prove itself is never kept
		undo, p.reason = true, ledgerapi.UnpostARPC
	case CardRemoved:
		undo, p.reason = rule.RemovedReverses, ledgerapi.UnpostCardRemoved
	}
	if undo && !planted.On(planted.CardNoIgnored) {
		return CardUndo
	}
	return CardKeep
}

// cardSaid takes the card's last word. Of a payment that the engine does not
// hold it counts within the same time from its posting.
func (e *Engine) cardSaid(ev *CardSaid) {
	if p := e.pays[ev.ID]; p != nil {
		if p.state != Posted {
			e.note(NoteCardLate, p, Note{})
			return
		}
		e.cardWord(p, ev)
		return
	}
	b := e.banks[ev.Known.Bank]
	if b == nil || ev.Known.State != ledgerapi.PayPosted {
		return
	}
	if ev.Outcome == CardTC {
		if results := b.scriptOf(ev.DE55); results != nil {
			e.tellScript(b, results, nil, &ev.Known)
		}
		return
	}
	// The wire posts within the reply's time of the Reserve. What was posted
	// later was posted by file or desk, and a card takes nothing back from them.
	posted := time.UnixMilli(min(ev.Known.EndedAt, ev.Known.AtMillis+b.prof.Timers.Reply.Milliseconds()+b.prof.Timers.SendDeadline.Milliseconds()))
	if e.now.Sub(posted) > b.prof.Timers.CardOutcome {
		e.note(NoteCardLate, nil, Note{ID: ev.ID, Bank: ev.Known.Bank, STAN: ev.Known.STAN, RRN: ev.Known.RRN})
		return
	}
	p := e.adopt(b, &ev.Known)
	p.memo.Reason = reasonOther
	p.resp = ev.Known.Resp
	p.tried = true
	p.state = Posted
	e.cardWord(p, ev)
}

// cardWord takes the last word of the card of a posted payment that is held. What
// issuer scripts did goes into its reversal, or is told to the bank.
func (e *Engine) cardWord(p *payment, ev *CardSaid) {
	t := p.cardTrigger(ev.Outcome)
	if emv := bankmsg.PickTags(nil, ev.DE55, p.bank.prof.DE55["reversal"]); t == CardUndo && len(emv) > 0 && len(emv) <= 255 {
		p.memo.EMV = emv
	}
	if results := p.bank.scriptOf(ev.DE55); t != CardUndo && results != nil {
		e.tellScript(p.bank, results, p, nil)
	}
	e.fire(p, t)
}

// closeAsked makes sure that an id which nobody knows is never paid later.
func (e *Engine) closeAsked(ev *CloseAsked) {
	if p := e.pays[ev.ID]; p != nil {
		e.out = append(e.out, Tell{ID: ev.ID, Answer: p.answer(), Asker: true})
		return
	}
	if ev.Known.State != ledgerapi.PayNone {
		e.out = append(e.out, Tell{ID: ev.ID, Answer: Known(&ev.Known), Asker: true})
		return
	}
	p := &payment{id: ev.ID, bank: &e.nobank, since: e.now}
	e.add(p)
	p.state = Closing
	e.submit(p, ledgerapi.Void{ID: p.id, Proof: ledgerapi.ProofNotSent}, false)
}
