package core

import (
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
	"github.com/shebao-pay/shebao/si/planted"
)

// find gives the payment of an id, from memory or from before the last seal.
// The slot is 0 for the latter: it can be read and not changed.
func (m *Machine) find(id si.PaymentID) (*pay, uint32) {
	if slot := m.payByID.get(id); slot != 0 {
		p := m.pays.at(slot)
		if m.isSealed(p) {
			slot = 0 // it has not left memory yet
		}
		return p, slot
	}
	if id.Millis() <= m.pastMillis && m.loadOld(id) {
		return &m.oldPay, 0
	}
	return nil, 0
}

// leave is find for a command that takes from a payment. One of a sealed date
// leaves memory for it, so that there is one way to do that: through history.
func (m *Machine) leave(id si.PaymentID) (*pay, uint32) {
	if slot := m.payByID.get(id); slot != 0 && m.isSealed(m.pays.at(slot)) {
		m.retireNow(m.pays.at(slot), slot)
	}
	return m.find(id)
}

// holdOf gives the hold of a payment, nil for a Pay or a tombstone.
func (m *Machine) holdOf(p *pay) *hold {
	switch {
	case p.hold == 0:
		return nil
	case p == &m.oldPay:
		return &m.oldHold
	}
	return m.holds.at(p.hold)
}

// describe states a payment in a result, first answer and repeated ones alike.
func (m *Machine) describe(p *pay, out *ledgerapi.Result) {
	out.State = p.state
	out.STAN = p.stan
	if h := m.holdOf(p); h != nil && h.rrn != 0 {
		out.RRN = rrnText(p.our, h.rrn)
	}
	out.DE7 = de7Text(p.de7)
	if p.receipt != 0 {
		out.Receipt = si.ReceiptNo{Area: m.cfg.Area, Date: p.receiptDate, Seq: p.receipt}
	}
	out.Journal = p.journal
	out.OurDate = p.our
	if p.journal != 0 {
		out.Bank = p.book
	}
	out.Total = p.total
}

// exists answers a command that was done before with its result.
func (m *Machine) exists(p *pay, out *ledgerapi.Result) {
	out.Code, out.First = ledgerapi.Exists, ledgerapi.OK
	m.describe(p, out)
	out.Unknown = p.state == ledgerapi.PayTombstone
}

// again answers a Reserve or Pay whose id is known.
func (m *Machine) again(p *pay, fp [16]byte, out *ledgerapi.Result) {
	switch {
	case p.state == ledgerapi.PayTombstone:
		out.Code = ledgerapi.Tombstoned
		out.State = p.state
	case p.fp != fp:
		out.Code = ledgerapi.IDReused
		out.State = p.state
	default:
		m.exists(p, out)
	}
}

// wrongState answers a command that the payment's state does not allow.
func wrongState(p *pay, out *ledgerapi.Result) {
	out.Code = ledgerapi.BadTransition
	if p.state == ledgerapi.PayTombstone {
		out.Code = ledgerapi.Tombstoned
	}
	out.State = p.state
}

func (m *Machine) applyReserve(h *ledgerapi.Header, body []byte, out *ledgerapi.Result) {
	c := &m.reserve
	if c.DecodeBody(h.ID, body) != nil || len(c.Dues) == 0 || c.Channel == si.ChannelBatch {
		out.Code = ledgerapi.Malformed // a batch line is held by its RunLine
		return
	}
	fp := m.fingerprint(h, body)
	if p, _ := m.find(c.ID); p != nil {
		m.again(p, fp, out)
		return
	}
	m.hold(c, fp, out)
}

// hold makes the payment of a Reserve whose id is new, or says what stands
// against it.
func (m *Machine) hold(c *ledgerapi.Reserve, fp [16]byte, out *ledgerapi.Result) {
	b := &m.banks[c.Bank]
	on := c.OurDate
	if on == 0 {
		on = b.open
	}
	m.choose(c.Dues, on, out)
	m.judge(c.ID, c.Bank, c.Channel, c.Total, on, out)
	if out.Code != 0 {
		return
	}
	de7 := m.de7()
	sent := c.Channel != si.ChannelBatch // a batch line goes in a file: no trace number
	acq, stan := m.nextSTAN(c.Bank, c.Acq, de7)
	if stan == 0 || (sent && b.rrn == lastRRN) {
		out.Code = ledgerapi.SeqExhausted
		return
	}
	slot, p := m.newPay(c.ID, fp, c.Bank, c.Channel, b.open)
	m.holdDues(p, slot, c.Total)
	p.state = ledgerapi.PayReserved
	p.de7 = de7
	ref, hd := m.holds.take()
	p.hold = ref
	hd.terminal, hd.batch, hd.acq, hd.cardKind = c.Terminal, c.Batch, m.acquirer(acq, c.Bank, c.Acq), c.CardKind
	m.setMemo(hd, c.Memo)
	if sent {
		b.rrn++
		p.stan, hd.rrn = stan, b.rrn
		m.acquirers[acq].stan = stan
	}
	if !planted.On(planted.DueNotHeld) {
		m.setDues(ledgerapi.DueStateHeld, slot, 0)
	}
	m.entry(p, b.day(p.our), 1, pending)
	m.addLive(slot, p)
	out.Code = ledgerapi.OK
	m.describe(p, out)
}

// judge finds what stands against a new payment of the chosen dues.
func (m *Machine) judge(id si.PaymentID, bankNo si.Bank, channel si.Channel, total si.Fen, on si.BusinessDate, out *ledgerapi.Result) {
	b := &m.banks[bankNo]
	var sum si.Fen
	for _, c := range m.chosen {
		sum += m.dues.at(c.slot).amount + c.late
	}
	if out.Code == 0 && sum != total && refuse(out, ledgerapi.DueChanged) {
		out.Total = sum
	}
	if !m.oneAccount(bankNo, b.open) {
		refuse(out, ledgerapi.NoBeneficiary)
	}
	if bankNo == 0 || b.open == 0 {
		refuse(out, ledgerapi.BadTransition)
	}
	if m.tooOld(id) {
		refuse(out, ledgerapi.IDTooOld)
	}
	if total <= 0 || total > si.MaxFen || !nearDate(on, b.open) || channel < si.ChannelTerminal || channel > si.ChannelDesk {
		refuse(out, ledgerapi.Malformed)
	}
}

// oneAccount tells whether the bank has one and the same beneficiary account
// for all chosen dues.
func (m *Machine) oneAccount(bankNo si.Bank, on si.BusinessDate) bool {
	f := m.factsOn(bankNo, on)
	first := ""
	for i, c := range m.chosen {
		account := f.Account(m.dues.at(c.slot).fund)
		if i == 0 {
			first = account
		}
		if account == "" || account != first {
			return false
		}
	}
	return true
}

// newPay makes a payment's record and puts it into the indexes.
func (m *Machine) newPay(id si.PaymentID, fp [16]byte, bankNo si.Bank, channel si.Channel, our si.BusinessDate) (uint32, *pay) {
	slot, p := m.pays.take()
	m.payments++
	p.id, p.fp, p.bank, p.channel, p.our, p.at, p.no = id, fp, bankNo, channel, our, m.at, m.payments
	m.payByID.put(id, slot)
	m.touch(classPay, slot)
	return slot, p
}

// holdDues writes the chosen dues into the payment and the payment into the
// list of the first due's person.
func (m *Machine) holdDues(p *pay, slot uint32, total si.Fen) {
	p.total = total
	p.n = uint8(len(m.chosen))
	if p.n == 1 && m.chosen[0].late == 0 {
		p.dues = uint64(m.dues.at(m.chosen[0].slot).id)
		p.flags |= payInline
	} else {
		ref, run := m.items.take(2 * len(m.chosen))
		for i, c := range m.chosen {
			run[2*i] = uint64(m.dues.at(c.slot).id)
			run[2*i+1] = uint64(c.late)
		}
		p.dues = uint64(ref)
	}
	p.person = m.dues.at(m.chosen[0].slot).person
	who := m.persons.at(uint32(p.person))
	p.next, who.pays = who.pays, slot
}

// item is the i-th due of a payment and its late fee.
func (m *Machine) item(p *pay, i int) (si.DueID, si.Fen) {
	if p.flags&payInline != 0 {
		return si.DueID(p.dues), 0
	}
	if p == &m.oldPay {
		return si.DueID(m.oldDues[2*i]), si.Fen(m.oldDues[2*i+1])
	}
	run := m.items.get(uint32(p.dues), 2*int(p.n))
	return si.DueID(run[2*i]), si.Fen(run[2*i+1])
}

// recall chooses the dues of a payment, to move them.
func (m *Machine) recall(p *pay) {
	m.chosen = m.chosen[:0]
	for i := range int(p.n) {
		id, late := m.item(p, i)
		slot := m.dueByID.get(id)
		if slot == 0 {
			m.fail("due %d of live payment %s is gone", id, p.id)
			return
		}
		m.chosen = append(m.chosen, chosen{slot, late})
	}
}

// setDues gives the chosen dues a state and the payment that has them, 0 for
// none. A due that was paid before gets a new version: who saw it must look again.
func (m *Machine) setDues(state ledgerapi.DueState, slot uint32, reversals uint8) {
	for _, c := range m.chosen {
		d := m.dues.at(c.slot)
		if reversals > 0 {
			m.touchDue(d.id)
			d.version++
			if d.reversals < 255 {
				d.reversals++
			}
		}
		d.state, d.pay = state, slot
	}
}

func (m *Machine) setMemo(h *hold, memo []byte) {
	if m.blobs.class(int(h.memoLen)) != m.blobs.class(len(memo)) || h.memo == 0 {
		m.blobs.drop(h.memo, int(h.memoLen))
		h.memo = 0
		if len(memo) > 0 {
			h.memo, _ = m.blobs.take(len(memo))
		}
	}
	h.memoLen = uint16(len(memo))
	if len(memo) > 0 {
		copy(m.blobs.get(h.memo, len(memo)), memo)
	}
}

func (m *Machine) addLive(slot uint32, p *pay) {
	m.live = append(m.live, slot)
	m.holds.at(p.hold).live = uint32(len(m.live))
	if p.stan != 0 {
		m.byTrace.put(m.traceOf(slot), slot)
	}
}

func (m *Machine) dropLive(slot uint32, p *pay) {
	if p.stan != 0 {
		m.byTrace.del(m.traceOf(slot), slot)
	}
	h := m.holds.at(p.hold)
	last := m.live[len(m.live)-1]
	m.live[h.live-1] = last
	m.holds.at(m.pays.at(last).hold).live = h.live
	m.live = m.live[:len(m.live)-1]
	h.live = 0
}

func (m *Machine) traceOf(slot uint32) traceKey {
	p := m.pays.at(slot)
	return traceKey{m.holds.at(p.hold).acq, p.stan, p.de7}
}

func (m *Machine) applyAnnotate(h *ledgerapi.Header, body []byte, out *ledgerapi.Result) {
	var c ledgerapi.Annotate
	if c.DecodeBody(h.ID, body) != nil {
		out.Code = ledgerapi.Malformed
		return
	}
	p, slot := m.find(c.ID)
	switch {
	case p == nil:
		out.Code = ledgerapi.NotFound
		return
	case c.Stage == ledgerapi.StageAdvice || c.Stage == ledgerapi.StageAdvised:
		m.annotatePosted(&c, p, slot, out)
		return
	case !p.live() || (p.state == ledgerapi.PayReversing && c.Stage == ledgerapi.StageReserved),
		p.channel == si.ChannelBatch && c.Stage == ledgerapi.StageReversing:
		wrongState(p, out)
		return
	case c.Stage != ledgerapi.StageReserved && c.Stage != ledgerapi.StageReversing:
		out.Code = ledgerapi.Malformed
		return
	}
	m.touch(classPay, slot)
	hd := m.holds.at(p.hold)
	if c.Stage == ledgerapi.StageReversing {
		p.state = ledgerapi.PayReversing
		hd.reason = c.Reason
	}
	if planted.On(planted.MemoDropped) {
		c.Memo = nil
	}
	m.setMemo(hd, c.Memo)
	out.Code = ledgerapi.OK
	m.describe(p, out)
}

// annotatePosted notes that an advice about a posted payment waits for its bank,
// or waits no more.
func (m *Machine) annotatePosted(c *ledgerapi.Annotate, p *pay, slot uint32, out *ledgerapi.Result) {
	hd := m.holdOf(p)
	if p.state != ledgerapi.PayPosted || hd == nil || p.channel == si.ChannelBatch || slot == 0 {
		wrongState(p, out)
		return
	}
	m.touch(classPay, slot)
	if p.flags &^= payAdvice; c.Stage == ledgerapi.StageAdvice {
		p.flags |= payAdvice
	}
	m.setMemo(hd, c.Memo)
	out.Code = ledgerapi.OK
	m.describe(p, out)
}

// twoPersons refuses an act that one person did alone.
func twoPersons(maker, checker si.Actor, out *ledgerapi.Result) {
	switch {
	case maker == 0 || checker == 0:
		refuse(out, ledgerapi.NeedsSecondPerson)
	case maker == checker:
		refuse(out, ledgerapi.SamePerson)
	}
}

func (m *Machine) applyPost(h *ledgerapi.Header, body []byte, out *ledgerapi.Result) {
	var c ledgerapi.Post
	serial, err := c.DecodeBody(h.ID, body)
	if err != nil {
		out.Code = ledgerapi.Malformed
		return
	}
	p, slot := m.find(c.ID)
	if p == nil {
		out.Code = ledgerapi.NotFound
		return
	}
	fp := m.fingerprint(h, body)
	hd := m.holdOf(p)
	if !p.live() {
		if p.state == ledgerapi.PayPosted && hd != nil && hd.endFP == fp {
			m.exists(p, out)
		} else {
			wrongState(p, out)
		}
		return
	}
	e := &c.Evidence
	reversing := p.state == ledgerapi.PayReversing
	switch e.Source {
	case ledgerapi.SourceWire, ledgerapi.SourceInquiry:
		if !e.MACOK {
			refuse(out, ledgerapi.EvidenceWeak)
		} else if reversing {
			refuse(out, ledgerapi.Late)
		}
	case ledgerapi.SourceFile:
		if reversing || c.Maker != 0 || c.Checker != 0 {
			twoPersons(c.Maker, c.Checker, out)
		}
	case ledgerapi.SourceDesk:
		twoPersons(c.Maker, c.Checker, out)
	default:
		refuse(out, ledgerapi.Malformed)
	}
	if p.channel == si.ChannelBatch && !m.linePosts(p, hd, e.BankDate) {
		refuse(out, ledgerapi.BadTransition)
	}
	if out.Code != 0 {
		out.State = p.state
		return
	}
	m.post(p, slot, hd, e)
	hd.endFP, hd.auth, hd.source = fp, e.Auth, e.Source
	p.resp = e.Resp
	out.Code = ledgerapi.OK
	m.describe(p, out)
	m.journalRow(JournalPost, p, h.Actor, &journalNote{source: uint8(e.Source), resp: e.Resp, maker: c.Maker,
		checker: c.Checker, evidence: e, serial: serial})
}

// post makes a live payment paid. It cannot fail.
func (m *Machine) post(p *pay, slot uint32, hd *hold, e *ledgerapi.Evidence) {
	b := &m.banks[p.bank]
	m.touch(classPay, slot)
	m.recall(p)
	m.entry(p, b.day(m.pendingDate(p)), -1, pending)
	m.dropLive(slot, p)
	p.bankDate = e.BankDate
	p.book = e.BankDate
	if p.book == 0 || planted.On(planted.BookedOnOurDate) {
		p.book = p.our
	}
	if p.book <= m.sealed || int(p.book) > int(b.open)+MaxDateSkew {
		p.book = b.open
	}
	p.state = ledgerapi.PayPosted
	p.flags &^= payUnposted
	m.booked(p, slot, b)
	if e.BankDate != 0 && e.BankDate <= m.sealed && p.channel != si.ChannelBatch {
		m.openBreak(&breakRow{kind: breakDate, bank: p.bank, date: e.BankDate, payment: p.id}, p.total, nil)
	}
}

// booked enters a payment that has just become POSTED on its book date.
func (m *Machine) booked(p *pay, slot uint32, b *bank) {
	m.journal++
	p.journal = m.journal
	p.ended = m.at
	if p.receipt == 0 {
		p.receiptDate = p.our
		if p.receiptDate <= m.sealed {
			p.receiptDate = b.open
		}
		r := m.receiptDay(p.receiptDate)
		if !planted.On(planted.ReceiptTwice) || r.last%7 != 6 {
			r.last++
		}
		r.slots = append(r.slots, slot)
		r.left++
		p.receipt = r.last
	}
	m.setDues(ledgerapi.DueStatePaid, slot, 0)
	m.tally(p, 1)
	switch {
	case p.channel == si.ChannelBatch:
		m.lineBooked(p)
	case p.flags&paySuspense == 0:
		m.entry(p, b.day(p.book), 1, posted)
	}
}

// pendingDate is the date whose clearing account the pending columns of a live
// payment are in.
func (m *Machine) pendingDate(p *pay) si.BusinessDate {
	if p.flags&payUnposted != 0 {
		return p.book
	}
	return p.our
}

func (m *Machine) applyVoid(h *ledgerapi.Header, body []byte, out *ledgerapi.Result) {
	var c ledgerapi.Void
	if c.DecodeBody(h.ID, body) != nil || c.Proof < ledgerapi.ProofNotSent || c.Proof > ledgerapi.ProofDesk {
		out.Code = ledgerapi.Malformed
		return
	}
	p, slot := m.find(c.ID)
	if p == nil {
		if c.Proof == ledgerapi.ProofDesk {
			twoPersons(c.Maker, c.Checker, out)
		}
		m.tombstone(c.ID, c.Proof, out)
		return
	}
	fp := m.fingerprint(h, body)
	hd := m.holdOf(p)
	switch {
	case p.state == ledgerapi.PayTombstone, p.state == ledgerapi.PayVoided && hd != nil && hd.endFP == fp:
		m.exists(p, out)
		return
	case !voids(p.state, c.Proof), p.channel == si.ChannelBatch && !m.lineVoids(hd, c.Proof):
		wrongState(p, out)
		return
	case c.Proof == ledgerapi.ProofDesk:
		if twoPersons(c.Maker, c.Checker, out); out.Code != 0 {
			out.State = p.state
			return
		}
	}
	b := &m.banks[p.bank]
	m.touch(classPay, slot)
	m.recall(p)
	m.entry(p, b.day(m.pendingDate(p)), -1, pending)
	m.dropLive(slot, p)
	if !planted.On(planted.VoidKeepsHold) {
		m.setDues(ledgerapi.DueOpen, 0, 0)
	}
	m.setMemo(hd, nil)
	if p.channel == si.ChannelBatch {
		m.lineVoided(hd)
	}
	hd.endFP = fp
	p.state, p.proof, p.resp, p.ended = ledgerapi.PayVoided, c.Proof, c.Resp, m.at
	if p.book = p.our; p.book <= m.sealed {
		p.book = b.open
	}
	b.day(p.book).meet(m.journal)
	if p.receipt == 0 {
		m.closed = append(m.closed, slot)
	}
	m.journal++
	out.Code = ledgerapi.OK
	m.describe(p, out)
	m.journalRow(JournalVoid, p, h.Actor, &journalNote{source: uint8(c.Proof), resp: c.Resp, maker: c.Maker, checker: c.Checker})
}

// voids tells whether a proof can end a hold in a state. Without a reversal
// there is no acknowledgement of one; once it is under way, neither "not sent"
// nor a decline proves that no money is with us.
func voids(s ledgerapi.PayState, proof ledgerapi.Proof) bool {
	switch proof {
	case ledgerapi.ProofNotSent, ledgerapi.ProofDeclined:
		return s == ledgerapi.PayReserved
	case ledgerapi.ProofReversalAck:
		return s == ledgerapi.PayReversing
	case ledgerapi.ProofFileAbsent, ledgerapi.ProofDesk:
		return s == ledgerapi.PayReserved || s == ledgerapi.PayReversing
	}
	return false
}

// tombstone closes an id that was never seen, so that it can never be paid.
func (m *Machine) tombstone(id si.PaymentID, proof ledgerapi.Proof, out *ledgerapi.Result) {
	if m.tooOld(id) {
		refuse(out, ledgerapi.IDTooOld)
	}
	if out.Code != 0 {
		return
	}
	slot, p := m.newPay(id, [16]byte{}, 0, 0, 0)
	m.closed = append(m.closed, slot)
	p.state, p.proof, p.ended = ledgerapi.PayTombstone, proof, m.at
	p.book = max(m.today(), m.sealed+1)
	out.Code, out.State = ledgerapi.OK, ledgerapi.PayTombstone
}

func (m *Machine) applyPay(h *ledgerapi.Header, body []byte, out *ledgerapi.Result) {
	c := &m.payBody
	serial, err := c.DecodeBody(h.ID, body)
	de7, ok := parseDE7(c.DE7)
	if err != nil || !ok || c.STAN > 999_999 || (c.Notice != 0) == (len(c.Dues) != 0) {
		out.Code = ledgerapi.Malformed
		return
	}
	fp := m.fingerprint(h, body)
	if p, _ := m.find(c.ID); p != nil && !planted.On(planted.RepeatPaysAgain) &&
		!(planted.On(planted.TombstoneIgnored) && p.state == ledgerapi.PayTombstone) {
		m.again(p, fp, out)
		return
	}
	b := &m.banks[c.Bank]
	on, bankDate := c.OurDate, c.BankDate
	if on == 0 {
		on = b.open
	}
	if bankDate == 0 {
		bankDate = b.open
	}
	if c.Notice != 0 {
		m.chooseNotice(c.Notice, on, out)
	} else {
		m.choose(c.Dues, on, out)
	}
	m.judge(c.ID, c.Bank, c.Channel, c.Total, on, out)
	if bankDate <= m.sealed {
		refuse(out, ledgerapi.Sealed)
	}
	if int(bankDate) > int(b.open)+MaxDateSkew {
		refuse(out, ledgerapi.Malformed)
	}
	if out.Code != 0 {
		return
	}
	slot, p := m.newPay(c.ID, fp, c.Bank, c.Channel, b.open)
	m.holdDues(p, slot, c.Total)
	p.flags |= payByBank
	p.stan, p.de7 = c.STAN, de7
	p.bankDate, p.book = bankDate, bankDate
	p.state = ledgerapi.PayPosted
	m.booked(p, slot, b)
	out.Code = ledgerapi.OK
	m.describe(p, out)
	m.journalRow(JournalPay, p, h.Actor, &journalNote{serial: serial})
}

func (m *Machine) applyReverse(h *ledgerapi.Header, body []byte, out *ledgerapi.Result) {
	var c ledgerapi.Reverse
	if c.DecodeBody(h.ID, body) != nil || c.Bank == 0 {
		out.Code = ledgerapi.Malformed
		return
	}
	p, slot := m.find(c.ID)
	switch {
	case p == nil:
		m.tombstone(c.ID, 0, out)
		out.Unknown = out.Code == ledgerapi.OK
		return
	case p.state == ledgerapi.PayTombstone:
		m.exists(p, out)
		return
	case p.bank != c.Bank:
		out.Code = ledgerapi.NotFound
		return
	case p.flags&payReversed != 0:
		m.exists(p, out)
		return
	case p.flags&payByBank == 0 || p.state != ledgerapi.PayPosted:
		wrongState(p, out)
		return
	case slot == 0 || c.BankDate != p.bankDate:
		out.Code, out.State = ledgerapi.NotSameDay, p.state
		return
	case !m.whole(p, slot): // a due of it was refunded
		wrongState(p, out)
		return
	}
	m.touch(classPay, slot)
	m.recall(p)
	if !planted.On(planted.RedEntryForgotten) {
		m.entry(p, m.banks[p.bank].day(p.book), -1, posted)
	}
	m.setDues(ledgerapi.DueOpen, 0, 1)
	m.tally(p, -1)
	p.state, p.resp, p.ended = ledgerapi.PayVoided, c.Reason, m.at
	p.flags |= payReversed
	m.journal++
	out.Code = ledgerapi.OK
	m.describe(p, out)
	m.journalRow(JournalReverse, p, h.Actor, &journalNote{corrects: p.journal, resp: c.Reason})
}

func (m *Machine) applyUnpost(h *ledgerapi.Header, body []byte, out *ledgerapi.Result) {
	var c ledgerapi.Unpost
	if c.DecodeBody(h.ID, body) != nil || c.Reason < ledgerapi.UnpostCardAAC || c.Reason > ledgerapi.UnpostBankRequest {
		out.Code = ledgerapi.Malformed
		return
	}
	p, slot := m.find(c.ID)
	switch {
	case p == nil:
		out.Code = ledgerapi.NotFound
		return
	case p.state == ledgerapi.PayReversing && p.flags&payUnposted != 0 && m.holdOf(p).unpost == c.Reason:
		m.exists(p, out)
		return
	case p.state != ledgerapi.PayPosted || p.hold == 0 || p.channel == si.ChannelBatch:
		wrongState(p, out)
		return
	case slot == 0:
		out.Code, out.State = ledgerapi.Sealed, p.state
		return
	case !m.whole(p, slot):
		wrongState(p, out)
		return
	}
	day := m.banks[p.bank].day(p.book)
	m.touch(classPay, slot)
	m.recall(p)
	m.entry(p, day, -1, posted)
	m.entry(p, day, 1, pending)
	if !planted.On(planted.UnpostKeepsPaid) {
		m.setDues(ledgerapi.DueReversing, slot, 1)
	}
	m.tally(p, -1)
	p.state, p.ended = ledgerapi.PayReversing, 0
	p.flags = p.flags&^payAdvice | payUnposted // what scripts did goes into the reversal
	m.holdOf(p).unpost = c.Reason
	m.addLive(slot, p)
	m.journal++
	out.Code = ledgerapi.OK
	m.describe(p, out)
	m.journalRow(JournalUnpost, p, h.Actor, &journalNote{corrects: p.journal, source: uint8(c.Reason)})
}
