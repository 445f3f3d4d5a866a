package engine

import (
	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
)

// askProof begins a PIN proof. A repeat joins the one in flight.
func (e *Engine) askProof(in *Proof) {
	if e.proofs[in.ID] != nil {
		return
	}
	e.stats.Proofs++
	away := TellProof{in.ID, ProofAnswer{Verdict: BankAway, TriesLeft: -1}}
	b := e.banks[in.Bank]
	if b == nil || e.draining || len(e.proofs) >= e.maxLive || in.ID.IsZero() || in.Card.PAN.IsZero() || in.Card.PINBlock.IsZero() {
		e.out = append(e.out, away)
		return
	}
	n, why := b.pick()
	if why != WhyNone {
		e.out = append(e.out, away)
		return
	}
	q := &proof{id: in.ID, bank: b, link: n, card: in.Card}
	q.timer.proof = q
	e.proofs[q.id] = q
	b.links[n].live++
	e.timers.arm(&q.timer, e.now.Add(b.prof.Timers.SendDeadline))
	e.out = append(e.out, Translate{ID: q.id, Op: OpProof, Link: q.on(), Card: q.card})
}

func (q *proof) on() LinkID { return LinkID{q.bank.prof.Number, q.link} }

func (e *Engine) proofTranslated(ev *Translated) {
	q := e.proofs[ev.ID]
	if q == nil || q.sent {
		e.stats.Stale++
		ev.Block.Wipe()
		return
	}
	if !ev.OK || !q.bank.links[q.link].up {
		e.endProof(q, ProofAnswer{Verdict: BankAway, TriesLeft: -1})
		return
	}
	q.sent = true
	q.seq++
	by := q.timer.at
	q.card.PINBlock = ev.Block
	e.timers.arm(&q.timer, e.now.Add(q.bank.prof.Timers.Reply))
	e.out = append(e.out, SendProof{ID: q.id, Seq: q.seq, Link: q.on(), By: by, Card: q.card, Gen: ev.Gen})
	q.card = CardData{}
}

func (e *Engine) proofReplied(id si.PaymentID, r *Reply) {
	q := e.proofs[id]
	if q == nil || !q.sent {
		e.stats.Stale++
		return
	}
	e.endProof(q, e.verdict(q, r))
}

// verdict reads a reply. Whatever is not a trusted word about PIN or card is
// silence: the citizen may try again, and nothing is reversed, because no money
// can have moved.
func (e *Engine) verdict(q *proof, r *Reply) ProofAnswer {
	a := ProofAnswer{Verdict: BankAway, TriesLeft: -1, Resp: r.Resp, Issuer: r.Issuer}
	where := Note{ID: q.id, Bank: q.bank.prof.Number, Resp: r.Resp}
	switch {
	case r.MAC != MACGood:
		e.stats.BadMAC++
		e.note(NoteBadMAC, nil, where)
		return ProofAnswer{Verdict: BankAway, TriesLeft: -1}
	case r.Mismatch:
		e.stats.Mismatch++
		e.note(NoteMismatch, nil, where)
		return ProofAnswer{Verdict: BankAway, TriesLeft: -1}
	}
	code := string(r.Resp[:])
	switch class := q.bank.prof.Classes[code]; {
	case class == profile.ClassApproved:
		e.stats.Proven++
		a.Verdict = Proven
	case code == "55":
		a.Verdict = WrongPIN
	case code == "75", code == "38":
		a.Verdict = PINBlocked
	case class == profile.ClassCapture:
		a.Verdict = CardRefused
	case class == profile.ClassSignOn:
		e.note(NoteSignOn, nil, where)
		e.out = append(e.out, SignOnAgain{q.on()})
	}
	return a
}

func (e *Engine) endProof(q *proof, a ProofAnswer) {
	e.timers.disarm(&q.timer)
	delete(e.proofs, q.id)
	q.card = CardData{}
	e.out = append(e.out, TellProof{q.id, a})
	l := &q.bank.links[q.link]
	l.live--
	e.pump(q.bank, q.bank.lineKey(l.acq))
}
