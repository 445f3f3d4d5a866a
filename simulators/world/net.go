package world

import "time"

// heardBy is a message of the session that waits for its answer.
type heardBy struct {
	key matchKey
	do  func()
}

// conn is one connection between a link and its bank. It carries messages for
// as long as it stands, with what a network does to them.
type conn struct {
	link  *link
	open  bool
	heard []heardBy
}

// wireTime is how long a message is on its way.
const wireTime = 2 * time.Millisecond

// toBank carries a message to the bank.
func (c *conn) toBank(m message) {
	w := c.link.h.w
	b := w.banks[c.link.id.Bank]
	times := 1
	if m.money() {
		switch f := w.strikes(w.net, b, &m, RequestLost, RequestTwice, Tampered); f {
		case RequestLost:
			times = 0
		case RequestTwice:
			times = 2
		case Tampered:
			m = tamper(w.net, m)
		}
	}
	for range times {
		w.k.after(w.net.tail(wireTime), func() {
			if c.open {
				b.receive(c, m)
			}
		})
	}
}

// toHub carries a message to the link.
func (c *conn) toHub(m message) {
	w := c.link.h.w
	times := 1
	if m.money() {
		switch f := w.strikes(w.net, w.banks[c.link.id.Bank], &m, ReplyLost, ReplyTwice, Tampered); f {
		case ReplyLost:
			times = 0
		case ReplyTwice:
			times = 2
		case Tampered:
			m = tamper(w.net, m)
		}
	}
	for range times {
		c.link.h.soon(w.net.tail(wireTime), func() {
			if c.open {
				c.link.receive(m)
			}
		})
	}
}

// strikes draws which of some faults meets a message, if any, and notes it.
func (w *World) strikes(d dice, b *bank, m *message, faults ...Fault) Fault {
	for _, f := range faults {
		if w.chance(d, f) {
			w.meets(f, w.truth.byDeal[bankDeal{b.no, m.deal()}])
			return f
		}
	}
	return FaultNone
}

// tamper changes one field of a message and leaves its code.
func tamper(d dice, m message) message {
	switch d.IntN(5) {
	case 0:
		m.amount += 100
	case 1:
		if m.resp = [2]byte{'0', '0'}; m.op == opReversal {
			m.resp = [2]byte{'2', '5'}
		}
		m.date++
	case 2:
		m.stan = m.stan%899_999 + 1
	case 3:
		m.de7[9] ^= 1
	case 4:
		m.gen++
	}
	return m
}
