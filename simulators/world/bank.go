package world

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"github.com/shebao-pay/shebao/settlement/day"
	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
)

// message is one message on a bank's wire, to the bank or back. Its code covers
// every other field, under the key that hub and bank share in a generation.
type message struct {
	op     op
	acq    [8]byte
	stan   uint32
	rrn    [12]byte
	de7    [10]byte
	batch  uint32
	amount si.Fen
	card   int // whose account: index of a citizen, 0 for none
	repeat bool
	resp   [2]byte
	date   si.BusinessDate
	gen    uint32
	code   uint64
	about  dealKey // of an inquiry: the debit that is asked for
}

// op is what a message is for.
type op uint8

const (
	opDebit op = iota + 1
	opReversal
	opSignOn
	opKeys
	opEcho
	opInquiry
	opScript
	opPay     // of the bank: paid at its counter
	opPayUndo // of the bank: it takes that back
)

// sealed computes the code of a message.
func (m *message) sealed(bank si.Bank) uint64 {
	h := fnv.New64a()
	var b [8]byte
	put := func(v uint64) {
		binary.LittleEndian.PutUint64(b[:], v)
		_, _ = h.Write(b[:])
	}
	put(uint64(bank)<<32 | uint64(m.gen))
	put(uint64(m.op)<<32 | uint64(m.stan))
	_, _ = h.Write(m.acq[:])
	_, _ = h.Write(m.rrn[:])
	_, _ = h.Write(m.de7[:])
	put(uint64(m.batch)<<32 | uint64(m.card))
	put(uint64(m.amount))
	if m.op == opInquiry {
		_, _ = h.Write(m.about.acq[:])
		_, _ = h.Write(m.about.de7[:])
		put(uint64(m.about.stan)<<32 | uint64(m.about.batch))
	}
	put(uint64(m.date)<<16 | uint64(m.resp[0])<<8 | uint64(m.resp[1]))
	return h.Sum64()
}

// matchKey is what a reply must share with its request.
type matchKey struct {
	op    op
	acq   [8]byte
	stan  uint32
	de7   [10]byte
	batch uint32
}

func (m *message) key() matchKey { return matchKey{m.op, m.acq, m.stan, m.de7, m.batch} }

// money tells whether a message is about a payment.
func (m *message) money() bool {
	return m.op == opDebit || m.op == opReversal || m.op == opInquiry || m.op == opScript
}

// deal is the payment that a message is about.
func (m *message) deal() dealKey {
	if m.op == opInquiry {
		return m.about
	}
	return dealKey{m.acq, m.stan, m.de7, m.batch}
}

// dealKey is how a bank knows a payment again.
type dealKey struct {
	acq   [8]byte
	stan  uint32
	de7   [10]byte
	batch uint32
}

// deal is what a bank knows of one payment, with the truth beside it.
type deal struct {
	amount   si.Fen
	card     int
	debited  int  // how often the account was debited; more than once is a lie
	reversed bool // a reversal was accepted
	decline  [2]byte
	answer   message // of the debit
	date     si.BusinessDate
	lost     bool // the bank has forgotten its debit
	unknown  bool // reversals of it are answered 25
	script   bool // it was told what issuer scripts did
}

// stands tells whether the citizen's money is with us by the bank's books.
func (d *deal) stands() bool { return d.debited > 0 && !d.reversed && !d.lost }

// bank is one bank: its accounts, its host, and what it does wrong.
type bank struct {
	w    *World
	d    dice
	prof *profile.Profile
	no   si.Bank

	deals   map[dealKey]*deal
	order   []dealKey
	book    []booking
	si      si.Fen          // our account at this bank
	taken   si.Fen          // from the citizens' accounts
	date    si.BusinessDate // the last that second saw
	opened  si.BusinessDate // until cut
	cut     time.Time
	last    message       // the last answer to a debit
	before  message       // and the one before it
	busy    time.Duration // until then it takes no reversal
	silent  time.Duration
	slow    time.Duration
	counter *counter
}

func newBank(w *World, d dice, p *profile.Profile) *bank {
	b := &bank{w: w, d: d, prof: p, no: p.Number, deals: map[dealKey]*deal{}}
	b.date = b.today()
	b.counter = newCounter(w, b)
	return b
}

// today is the bank's settlement date by its own clock.
func (b *bank) today() si.BusinessDate {
	if now := b.w.true(); !now.Before(b.cut) {
		b.opened, b.cut = day.Open(now, b.prof.CutoverAt), day.Next(now, b.prof.CutoverAt)
	}
	return b.opened
}

// second is a bank's trouble that comes with time.
func (b *bank) second() {
	if b.w.chance(b.d, BankSilent) {
		b.w.meetsAll(BankSilent, b.no)
		b.silent = b.w.k.now + b.d.between(20*time.Second, 4*time.Minute)
		if b.d.IntN(4) == 0 {
			b.silent = b.w.k.now + b.d.between(4*time.Minute, time.Hour)
		}
	}
	if b.w.chance(b.d, BankBusy) {
		b.busy = b.w.k.now + b.d.between(time.Minute, time.Hour)
	}
	// Some banks are busy with their own cutover.
	if b.w.rates[BankSilent] > 0 && b.today() != b.date {
		b.date = b.today()
		if b.d.IntN(3) == 0 && !b.w.calm {
			b.w.meetsAll(BankSilent, b.no)
			b.silent = b.w.k.now + b.d.between(time.Minute, 20*time.Minute)
		}
	}
	if b.w.chance(b.d, BankSlow) {
		b.w.meetsAll(BankSlow, b.no)
		b.slow = b.w.k.now + b.d.between(10*time.Second, 2*time.Minute)
	}
	if b.w.chance(b.d, BankCrash) {
		b.w.meetsAll(BankCrash, b.no)
		b.w.hub.cutBank(b.no)
		b.silent = b.w.k.now + b.d.between(2*time.Second, 40*time.Second)
	}
}

// receive is a message that arrived on a connection.
func (b *bank) receive(c *conn, m message) {
	if b.w.k.now < b.silent || m.code != m.sealed(b.no) {
		return
	}
	wait := b.d.tail(15 * time.Millisecond)
	if b.w.k.now < b.slow {
		wait = b.d.between(2*time.Second, 25*time.Second)
	}
	b.w.k.after(wait, func() {
		if b.w.k.now >= b.silent {
			b.serve(c, m)
		}
	})
}

func (b *bank) serve(c *conn, m message) {
	r := m
	r.resp, r.date = [2]byte{'0', '0'}, b.today()
	switch m.op {
	case opDebit:
		r = b.debit(m)
	case opReversal:
		r.resp = b.reverse(&m)
	case opInquiry:
		r.resp, r.date = b.inquire(&m)
	case opScript:
		r.resp = b.scripted(&m)
	case opSignOn, opKeys, opEcho:
	case opPay, opPayUndo:
		return
	}
	if m.money() {
		b.w.k.note('B', uint64(m.stan)<<8|uint64(b.no), uint64(m.op)<<32|uint64(r.resp[0])<<8|uint64(r.resp[1]))
		b.w.story(b.w.truth.byDeal[bankDeal{b.no, m.deal()}], "bank %s answers the %s: %s", b.prof.Code,
			[...]string{opDebit: "debit", opReversal: "reversal", opInquiry: "inquiry", opScript: "script notice"}[m.op], r.resp)
	}
	b.reply(c, r)
}

// reply sends an answer, rightly or not.
func (b *bank) reply(c *conn, r message) {
	late := time.Duration(0)
	if r.money() {
		switch b.w.strikes(b.d, b, &r, StrangeCode, ReplyLate, Swapped) {
		case Swapped: // the answer of another payment, under a good code
			if b.before.op == r.op && b.before.amount != r.amount {
				r.resp, r.amount = b.before.resp, b.before.amount
			}
			if r.op == opInquiry && b.before.op == opDebit {
				r.resp, r.amount, r.about = b.before.resp, b.before.amount, b.before.deal()
			}
		case StrangeCode:
			r.resp = [2]byte{'Z', '9'}
		case ReplyLate:
			late = b.prof.Timers.Reply + b.d.between(time.Second, time.Minute)
		}
	}
	r.code = r.sealed(b.no)
	if r.money() && b.w.strikes(b.d, b, &r, BadCode) == BadCode {
		r.code ^= 1 << b.d.IntN(64)
	}
	b.w.k.after(late, func() { c.toHub(r) })
}

// debit takes the money once for a key, however often it is asked.
func (b *bank) debit(m message) message {
	key := dealKey{m.acq, m.stan, m.de7, m.batch}
	d := b.deals[key]
	if d == nil {
		d = b.open(key, &m)
	}
	if d.answer.op != 0 {
		return d.answer
	}
	r := m
	r.date = b.today()
	switch {
	case d.reversed:
		r.resp = [2]byte{'0', '5'} // the reversal was here first
	case b.w.strikes(b.d, b, &m, BankRefuses) == BankRefuses:
		r.resp = [...][2]byte{{'5', '1'}, {'5', '5'}, {'7', '5'}, {'0', '5'}}[b.d.IntN(4)]
	default:
		r.resp = [2]byte{'0', '0'}
		b.take(key, d)
		b.w.truth.debited(b, key, d)
		if b.w.chance(b.d, BankDoubles) {
			b.w.truth.lie(BankDoubles, b, key)
			b.take(key, d)
		}
		if b.w.chance(b.d, BankForgets) {
			b.w.truth.lie(BankForgets, b, key)
			b.give(d)
			b.book = slices.DeleteFunc(b.book, func(x booking) bool { return x.key == key })
			d.debited, d.lost = 0, true
		}
	}
	if r.resp != ([2]byte{'0', '0'}) {
		d.decline = r.resp
	}
	d.date, d.answer = r.date, r
	b.before, b.last = b.last, r
	return r
}

// open begins a deal.
func (b *bank) open(key dealKey, m *message) *deal {
	d := &deal{amount: m.amount, card: m.card, date: b.today()}
	b.deals[key] = d
	b.order = append(b.order, key)
	return d
}

// take brings money from a citizen's account to ours.
func (b *bank) take(key dealKey, d *deal) {
	b.si += d.amount
	b.taken += d.amount
	d.debited++
	b.book = append(b.book, booking{key: key, kind: bookDebit, date: b.today(), fen: d.amount})
}

// give brings back what was taken.
func (b *bank) give(d *deal) {
	b.si -= d.amount * si.Fen(d.debited)
	b.taken -= d.amount * si.Fen(d.debited)
}

// reverse gives the money back once, and remembers a reversal that came first.
func (b *bank) reverse(m *message) [2]byte {
	key := dealKey{m.acq, m.stan, m.de7, m.batch}
	d := b.deals[key]
	if b.w.k.now < b.busy {
		b.w.meets(BankBusy, b.w.truth.byDeal[bankDeal{b.no, key}])
		return [2]byte{'9', '6'}
	}
	switch {
	case d == nil && !b.prof.NoOriginalFinal && b.d.IntN(2) == 0:
		return [2]byte{'2', '5'} // it may have the original in a queue of its own, and forgets that we asked
	case d == nil:
		d = b.open(key, m)
		d.reversed = true
		return b.noOriginal(d)
	case d.reversed && d.unknown:
		return [2]byte{'2', '5'}
	case d.reversed:
		return [2]byte{'0', '0'}
	case d.lost:
		d.reversed = true
		return b.noOriginal(d)
	case d.debited > 0 && !b.prof.CrossDaySend && d.date != b.today():
		return [2]byte{'0', '5'} // the day is over
	}
	if d.amount != m.amount {
		b.w.violate("I5", si.PaymentID{}, "bank %s: a reversal of %d fen for a debit of %d", b.prof.Code, m.amount, d.amount)
	}
	d.reversed = true
	if d.debited > 0 {
		b.give(d)
		for range d.debited {
			b.book = append(b.book, booking{key: key, kind: bookReversal, date: d.date, fen: -d.amount})
		}
		return [2]byte{'0', '0'}
	}
	return b.noOriginal(d)
}

// inquire says what became of a debit, and on which date. Where "not known" is
// proof, the bank takes that debit no more.
func (b *bank) inquire(m *message) ([2]byte, si.BusinessDate) {
	d := b.deals[m.about]
	no := [2]byte{'2', '5'}
	switch {
	case d == nil && b.prof.InquiryIsProof:
		d = b.open(m.about, m)
		d.reversed, d.unknown = true, true
		return no, b.today()
	case d == nil, d.reversed:
		return no, b.today()
	case d.lost:
		d.reversed = b.prof.InquiryIsProof
		return no, b.today()
	}
	if d.amount != m.amount {
		b.w.violate("I5", si.PaymentID{}, "bank %s: an inquiry about %d fen for a debit of %d", b.prof.Code, m.amount, d.amount)
	}
	if d.debited > 0 {
		return [2]byte{'0', '0'}, d.date
	}
	return d.decline, b.today()
}

// scripted takes the notice of what issuer scripts did, once or again.
func (b *bank) scripted(m *message) [2]byte {
	d := b.deals[m.deal()]
	if d == nil || d.debited == 0 && !d.lost {
		b.w.violate("I5", si.PaymentID{}, "bank %s is told of scripts of a card that it never debited", b.prof.Code)
		return [2]byte{'2', '5'}
	}
	d.script = true
	return [2]byte{'0', '0'}
}

// noOriginal is what the bank says of a reversal whose original moved nothing.
// Where that is no proof, it is said for some of them for ever, and the day's
// file has to end them.
func (b *bank) noOriginal(d *deal) [2]byte {
	d.unknown = b.prof.NoOriginalFinal || b.d.IntN(4) == 0
	if d.unknown {
		return [2]byte{'2', '5'}
	}
	return [2]byte{'0', '0'}
}

func (k dealKey) String() string { return fmt.Sprintf("%s/%06d/%s", k.acq, k.stan, k.de7) }
