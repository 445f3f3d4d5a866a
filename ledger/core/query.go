package core

import (
	"sort"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
	"github.com/shebao-pay/shebao/si/planted"
)

// Queries read and return copies. A date on asks for late fees as of that date;
// 0 means the China date of the last record.

func (m *Machine) on(date si.BusinessDate) si.BusinessDate {
	if date == 0 {
		return m.today()
	}
	return date
}

// Person finds a person by the hash of the ID number.
func (m *Machine) Person(idHash si.Hash) (ledgerapi.Person, bool) {
	return m.PersonByNo(si.PersonNo(m.byIDHash.get(idHash)))
}

// PersonByNo finds a person by number.
func (m *Machine) PersonByNo(no si.PersonNo) (ledgerapi.Person, bool) {
	p := m.personOf(no)
	if p == nil {
		return ledgerapi.Person{}, false
	}
	v := ledgerapi.Person{No: no, IDHash: p.idHash, Region: m.cfg.Region, PType: p.ptype, Household: p.household,
		Birth: p.birth, Sex: p.sex, Flags: p.flags, Version: p.version}
	if p.sealed != 0 {
		v.Sealed = append(v.Sealed, m.blobs.get(p.sealed, int(p.sealedLen))...)
	}
	return v, true
}

// Cards are a person's cards in order of registration.
func (m *Machine) Cards(no si.PersonNo) []ledgerapi.Card {
	p := m.personOf(no)
	if p == nil {
		return nil
	}
	var slots []uint32
	for s := p.cards; s != 0; s = m.cards.at(s).next {
		slots = append(slots, s)
	}
	sort.Slice(slots, func(i, j int) bool { return slots[i] < slots[j] })
	all := make([]ledgerapi.Card, len(slots))
	for i, s := range slots {
		all[i] = cardView(m.cards.at(s))
	}
	return all
}

// CardByPAN finds the card of an account number that is not REPLACED.
func (m *Machine) CardByPAN(panHash si.Hash) (ledgerapi.Card, bool) {
	slot := m.byPAN.get(panHash)
	if slot == 0 {
		return ledgerapi.Card{}, false
	}
	return cardView(m.cards.at(slot)), true
}

func cardView(c *card) ledgerapi.Card {
	return ledgerapi.Card{Person: c.person, CardHash: c.cardHash, NoHash: c.noHash, PANHash: c.panHash,
		Bank: c.bank, State: c.state, Source: c.source, Since: c.since}
}

// dueView is a due as it stands; late is the fee to show.
func dueView(d *due, by si.PaymentID, late si.Fen) ledgerapi.Due {
	return ledgerapi.Due{Ref: ledgerapi.DueRef{ID: d.id, Version: d.version, Amount: d.amount, LateFee: late},
		Person: d.person, Fund: d.fund, Period: d.period, Kind: d.kind, Payer: d.payer, State: d.state,
		DueDay: d.dueDay, HeldBy: by}
}

// liveDue views a due in memory. What a payment has keeps the late fee of that
// payment.
func (m *Machine) liveDue(d *due, on si.BusinessDate) ledgerapi.Due {
	if d.pay == 0 {
		late := si.Fen(0)
		if d.state == ledgerapi.DueOpen {
			late = m.lateFee(d, on)
		}
		return dueView(d, si.PaymentID{}, late)
	}
	p := m.pays.at(d.pay)
	for i := range int(p.n) {
		if id, late := m.item(p, i); id == d.id {
			return dueView(d, p.id, late)
		}
	}
	return dueView(d, p.id, 0)
}

// DuesOf are all dues of a person, paid ones of sealed dates included, by fund,
// then period, then id. Replaced and cancelled ones are left out.
func (m *Machine) DuesOf(no si.PersonNo, on si.BusinessDate) []ledgerapi.Due {
	p := m.personOf(no)
	if p == nil {
		return nil
	}
	on = m.on(on)
	var all []ledgerapi.Due
	for s := p.dues; s != 0; s = m.dues.at(s).next {
		if d := m.dues.at(s); d.state != ledgerapi.DueReplaced && d.state != ledgerapi.DueCancelled {
			all = append(all, m.liveDue(d, on))
		}
	}
	m.eachPaidDue(no, func(d *due, by si.PaymentID, late si.Fen) {
		if d.state != ledgerapi.DueReplaced && d.state != ledgerapi.DueCancelled {
			all = append(all, dueView(d, by, late))
		}
	})
	sort.Slice(all, func(i, j int) bool {
		a, b := &all[i], &all[j]
		switch {
		case a.Fund != b.Fund:
			return a.Fund < b.Fund
		case a.Period.Start() != b.Period.Start():
			return a.Period.Start() < b.Period.Start()
		}
		return a.Ref.ID < b.Ref.ID
	})
	return all
}

// eachPaidDue visits the dues of a person that left memory, with the payment that
// paid each and its late fee; zero for those that died. The person's payments are
// read once, however many dues there are.
func (m *Machine) eachPaidDue(no si.PersonNo, visit func(d *due, by si.PaymentID, late si.Fen)) {
	type payer struct {
		by   si.PaymentID
		late si.Fen
	}
	paid := map[si.DueID]payer{}
	m.eachOldPay(no, func(p *pay) bool {
		for i := range int(p.n) {
			if id, late := m.item(p, i); m.paysFor(p, id) {
				paid[id] = payer{p.id, late}
			}
		}
		return true
	})
	m.eachOldDue(no, func(d *due) {
		x, ok := paid[d.id]
		if d.dead() {
			x = payer{}
		} else if !ok {
			x.by, x.late = m.oldPayer(d)
		}
		visit(d, x.by, x.late)
	})
}

// Payment finds a payment by id, in memory or in history.
func (m *Machine) Payment(id si.PaymentID) (ledgerapi.Payment, bool) {
	p, _ := m.find(id)
	if p == nil {
		return ledgerapi.Payment{}, false
	}
	return m.payView(p), true
}

func (m *Machine) payView(p *pay) ledgerapi.Payment {
	v := ledgerapi.Payment{ID: p.id, State: p.state, Channel: p.channel, Bank: p.bank, Person: p.person,
		STAN: p.stan, DE7: de7Text(p.de7), Total: p.total, OurDate: p.our, BankDate: p.bankDate,
		Resp: p.resp, Proof: p.proof, AtMillis: p.at, EndedAt: p.ended,
		Advice: p.state == ledgerapi.PayPosted && p.flags&payAdvice != 0}
	if p.receipt != 0 {
		v.Receipt = si.ReceiptNo{Area: m.cfg.Area, Date: p.receiptDate, Seq: p.receipt}
	}
	if h := m.holdOf(p); h != nil {
		v.Terminal, v.Batch, v.Auth, v.Reason = h.terminal, h.batch, h.auth, h.reason
		v.Acq = m.acquirers[h.acq].de41
		if h.rrn != 0 {
			v.RRN = rrnText(p.our, h.rrn)
		}
		if h.memo != 0 {
			v.Memo = append(v.Memo, m.blobs.get(h.memo, int(h.memoLen))...)
		}
	}
	type item struct {
		id   si.DueID
		late si.Fen
	}
	items := make([]item, p.n) // looking for another payment may read over p
	for i := range items {
		items[i].id, items[i].late = m.item(p, i)
	}
	for _, x := range items {
		if slot := m.dueByID.get(x.id); slot != 0 {
			d := m.dues.at(slot)
			v.Dues = append(v.Dues, dueView(d, m.payerOf(d), x.late))
		} else if d, ok := m.oldDue(x.id); ok {
			by := v.ID
			if d.dead() {
				by = si.PaymentID{}
			} else if v.State != ledgerapi.PayPosted || m.isRefunded(v.ID, d.id) {
				by, _ = m.oldPayer(&d)
			}
			v.Dues = append(v.Dues, dueView(&d, by, x.late))
		}
	}
	return v
}

// Pending are the payments that went or may have gone over a link of a bank (0:
// of any bank) and are in doubt, in order of their Reserve.
func (m *Machine) Pending(bank si.Bank) []ledgerapi.Payment {
	var slots []uint32
	for _, s := range m.live {
		if p := m.pays.at(s); p.channel != si.ChannelBatch && (bank == 0 || p.bank == bank) &&
			!(planted.On(planted.PendingForgets) && p.n == 1) {
			slots = append(slots, s)
		}
	}
	sort.Slice(slots, func(i, j int) bool { return m.pays.at(slots[i]).no < m.pays.at(slots[j]).no })
	all := make([]ledgerapi.Payment, len(slots))
	for i, s := range slots {
		all[i] = m.payView(m.pays.at(s))
	}
	return all
}

// Advices are the posted payments about which an advice to their bank waits for
// its answer, in order of their Reserve; those of a sealed date wait no more. It
// walks all payments in memory and is asked once, when a hub starts.
func (m *Machine) Advices() []ledgerapi.Payment {
	var all []ledgerapi.Payment
	var slots []uint32
	for slot := uint32(1); slot <= m.pays.used; slot++ {
		if p := m.pays.at(slot); p.state == ledgerapi.PayPosted && p.flags&payAdvice != 0 && !m.isSealed(p) {
			slots = append(slots, slot)
		}
	}
	sort.Slice(slots, func(i, j int) bool { return m.pays.at(slots[i]).no < m.pays.at(slots[j]).no })
	for _, s := range slots {
		all = append(all, m.payView(m.pays.at(s)))
	}
	return all
}

// PaymentsOf are a person's latest payments, newest first, at most limit. What
// left memory is taken in the order in which it did.
func (m *Machine) PaymentsOf(no si.PersonNo, limit int) []ledgerapi.Payment {
	who := m.personOf(no)
	if who == nil || limit <= 0 {
		return nil
	}
	type numbered struct {
		no   uint64
		view ledgerapi.Payment
	}
	var all []numbered
	add := func(p *pay) bool {
		all = append(all, numbered{p.no, m.payView(p)})
		return len(all) < limit
	}
	more := true
	for s := who.pays; s != 0 && more; s = m.pays.at(s).next {
		more = add(m.pays.at(s))
	}
	if more {
		m.eachOldPay(no, add)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].no > all[j].no })
	views := make([]ledgerapi.Payment, len(all))
	for i := range all {
		views[i] = all[i].view
	}
	return views
}

// PaymentByReceipt finds the payment of a receipt number.
func (m *Machine) PaymentByReceipt(r si.ReceiptNo) (ledgerapi.Payment, bool) {
	if r.Area != m.cfg.Area || r.Seq == 0 {
		return ledgerapi.Payment{}, false
	}
	is := func(slot uint32) bool {
		if slot == 0 {
			return false
		}
		p := m.pays.at(slot)
		return p.receipt == r.Seq && p.receiptDate == r.Date
	}
	for _, d := range m.receipts {
		if d.date == r.Date && int(r.Seq) <= len(d.slots) && is(d.slots[r.Seq-1]) {
			return m.payView(m.pays.at(d.slots[r.Seq-1])), true
		}
	}
	id, ok := m.old.receipts[r]
	if !ok && m.frozen != nil {
		id, ok = m.frozen.old.receipts[r]
	}
	if !ok {
		row, found := m.pastGet(BucketReceipt, be32(be16(nil, uint16(r.Date)), r.Seq))
		if !found || len(row) != len(id) {
			return ledgerapi.Payment{}, false
		}
		id = si.PaymentID(row)
	}
	return m.Payment(id)
}

// NoticeByNo is a notice with its dues as they stand; the total is of the open
// ones on the date asked for.
func (m *Machine) NoticeByNo(no si.NoticeNo, on si.BusinessDate) (ledgerapi.NoticeView, bool) {
	slot := m.byNotice.get(no)
	if slot == 0 {
		return ledgerapi.NoticeView{}, false
	}
	return m.noticeView(m.notices.at(slot), m.on(on)), true
}

// LiveNoticeOf is a person's latest notice that is valid on a date.
func (m *Machine) LiveNoticeOf(no si.PersonNo, on si.BusinessDate) (ledgerapi.NoticeView, bool) {
	p := m.personOf(no)
	if p == nil {
		return ledgerapi.NoticeView{}, false
	}
	on = m.on(on)
	best := uint32(0)
	for s := p.notices; s != 0; s = m.notices.at(s).next {
		if n := m.notices.at(s); n.valid >= on && s > best {
			best = s
		}
	}
	if best == 0 {
		return ledgerapi.NoticeView{}, false
	}
	return m.noticeView(m.notices.at(best), on), true
}

func (m *Machine) noticeView(n *notice, on si.BusinessDate) ledgerapi.NoticeView {
	v := ledgerapi.NoticeView{No: n.no, Person: n.person, ValidUntil: n.valid}
	paid := 0
	for i := range int(n.n) {
		id := m.noticeDue(n, i)
		slot := m.dueByID.get(id)
		if slot == 0 {
			if d, ok := m.oldDue(id); ok && d.state == ledgerapi.DueStatePaid {
				paid++
			}
			continue
		}
		switch d := m.dues.at(slot); d.state {
		case ledgerapi.DueOpen:
			view := m.liveDue(d, on)
			v.Dues = append(v.Dues, view)
			v.Total += view.Ref.Amount + view.Ref.LateFee
		case ledgerapi.DueStateHeld, ledgerapi.DueReversing:
			v.Held = true
		case ledgerapi.DueStatePaid:
			paid++
		case ledgerapi.DueAssessed, ledgerapi.DueNoticed:
			v.Ahead = append(v.Ahead, m.liveDue(d, on))
		case ledgerapi.DueWrittenOff, ledgerapi.DueRefunded, ledgerapi.DueCancelled, ledgerapi.DueReplaced:
		}
	}
	v.Paid = paid == int(n.n)
	return v
}

// Config is the version of a piece of business data in force on a date.
func (m *Machine) Config(kind ledgerapi.ConfigKind, name string, on si.BusinessDate) (ledgerapi.Config, bool) {
	on = m.on(on)
	var best *config
	for _, x := range m.configs {
		if x.kind == kind && x.name == name && x.from <= on &&
			(best == nil || later(x.from, x.version, best.from, best.version)) {
			best = x
		}
	}
	if best == nil {
		return ledgerapi.Config{}, false
	}
	return configView(best), true
}

// Configs are all versions of a kind of business data, by name and version.
func (m *Machine) Configs(kind ledgerapi.ConfigKind) []ledgerapi.Config {
	var all []ledgerapi.Config
	for _, x := range m.configs {
		if x.kind == kind {
			all = append(all, configView(x))
		}
	}
	return all
}

func configView(x *config) ledgerapi.Config {
	return ledgerapi.Config{Kind: x.kind, Name: x.name, Version: x.version, From: x.from,
		Body: append([]byte(nil), x.body...)}
}

// Terminal finds a terminal.
func (m *Machine) Terminal(t si.Terminal) (TerminalRecord, bool) {
	i := m.terminalAt(t)
	if i == len(m.terminals) || m.terminals[i].Terminal != t {
		return TerminalRecord{}, false
	}
	return m.terminals[i], true
}

// Totals are what a bank's business date comes to so far.
func (m *Machine) Totals(bank si.Bank, date si.BusinessDate) Totals {
	t := Totals{Bank: bank, Date: date}
	for _, d := range m.banks[bank].days {
		if d.date != date {
			continue
		}
		t.Payments, t.Reversals = d.funds[0].payments, d.funds[0].reversals
		for f := si.PensionEmp; int(f) < funds; f++ {
			if x := &d.funds[f]; x.payments.Count+x.reversals.Count > 0 {
				t.Funds = append(t.Funds, FundTotals{f, x.payments, x.reversals})
			}
		}
	}
	return t
}

// Window is a bank's open date.
func (m *Machine) Window(bank si.Bank) (Window, bool) {
	b := &m.banks[bank]
	return Window{Bank: bank, Open: b.open, Prev: b.prev, Sealed: m.sealed}, b.open != 0
}

// Windows are the windows of all banks, by number.
func (m *Machine) Windows() []Window {
	var all []Window
	for i := range m.banks {
		if w, ok := m.Window(si.Bank(i)); ok {
			all = append(all, w)
		}
	}
	return all
}

// TrialBalance lists every account that ever moved, by fund, code, part, bank and
// date. Of each fund, Σ Dr = Σ Cr in both pairs of columns.
func (m *Machine) TrialBalance() []Balance {
	var keys sheet
	m.eachBalance(func(k sheetKey, c *columns) {
		if *c != (columns{}) {
			keys.at(k)
		}
	})
	all := make([]Balance, 0, len(keys))
	for _, l := range keys {
		c := &m.books[l.fund].acc[l.acc]
		switch l.acc {
		case accDeposit:
			c = &m.banks[l.bank].deposit[l.fund]
		case accClearing:
			c = &m.banks[l.bank].day(l.date).funds[l.fund].clearing
		}
		all = append(all, Balance{l.fund, codeOf(l.fund, l.acc), l.bank, l.date, chart[l.acc].part,
			c.postedDr, c.postedCr, c.pendingDr, c.pendingCr})
	}
	return all
}

// IndividualOf is a person's individual account, by fund and year.
func (m *Machine) IndividualOf(no si.PersonNo) []IndividualYear {
	var all []IndividualYear
	year, _ := yearOf(m.today())
	for f := si.PensionEmp; int(f) < funds; f++ {
		for y := 2000; y <= year+2; y++ {
			if slot := m.byIndiv.get(indivKey{no, uint16(y), f}); slot != 0 {
				x := m.indivs.at(slot)
				all = append(all, IndividualYear{no, f, uint16(y), x.paid, x.subsidy})
			}
		}
	}
	return all
}
