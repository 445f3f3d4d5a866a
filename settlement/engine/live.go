package engine

import (
	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
)

// add takes a payment in.
func (e *Engine) add(p *payment) {
	e.pays[p.id] = p
	p.timer.pay = p
	p.before = e.tail
	if e.tail == nil {
		e.head = p
	} else {
		e.tail.after = p
	}
	e.tail = p
}

// drop lets a payment go and forgets its card.
func (e *Engine) drop(p *payment) {
	e.release(p)
	e.ungate(p)
	e.timers.disarm(&p.timer)
	delete(e.pays, p.id)
	if p.keyed {
		delete(e.wires, p.wire())
	}
	if p.before == nil {
		e.head = p.after
	} else {
		p.before.after = p.after
	}
	if p.after == nil {
		e.tail = p.before
	} else {
		p.after.before = p.before
	}
	p.before, p.after = nil, nil
	if !p.tried && p.sealed != nil && p.bank.opening > 0 {
		p.bank.opening--
	}
	p.card, p.memo = CardData{}, Memo{}
}

// hold takes a place on the payment's link, release gives it back.
func (e *Engine) hold(p *payment) {
	if !p.holds {
		p.holds = true
		p.bank.links[p.link].live++
	}
}

func (e *Engine) release(p *payment) {
	if !p.holds {
		return
	}
	p.holds = false
	l := &p.bank.links[p.link]
	l.live--
	e.pump(p.bank, p.bank.lineKey(l.acq))
}

// key makes a payment findable by what a late reply repeats.
func (e *Engine) key(p *payment) {
	k := p.wire()
	if p.stan == 0 || e.wires[k] != nil {
		return
	}
	e.wires[k] = p
	p.keyed = true
}

func (p *payment) wire() wireKey { return p.bank.wireKey(p.memo.Acq, p.stan, p.memo.Batch, p.de7) }

func (b *bank) wireKey(acq [8]byte, stan, batch uint32, de7 [10]byte) wireKey {
	k := wireKey{bank: b.prof.Number, stan: stan}
	if b.prof.Dialect == profile.POS {
		k.acq, k.batch = acq, batch
	} else {
		k.de7 = de7
	}
	return k
}

// proof is one PIN proof in flight. It moves no money, so it has no ledger, no
// reversal and one way out of every trouble: the bank is away.
type proof struct {
	id    si.PaymentID
	bank  *bank
	link  uint8
	seq   uint32
	sent  bool
	card  CardData
	timer timer
}
