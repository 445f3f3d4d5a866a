package core

import (
	"bytes"

	"github.com/shebao-pay/shebao/ledger/assess"
	"github.com/shebao-pay/shebao/ledger/enrol"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// applyData does the commands that are no payment. Each is remembered by its id
// until the day it came on is sealed.
func (m *Machine) applyData(h *ledgerapi.Header, body []byte, out *ledgerapi.Result) {
	fp := m.fingerprint(h, body)
	if m.acked(h.ID, fp, out) {
		return
	}
	switch h.Type {
	case ledgerapi.TypeAssess:
		m.applyAssess(h, body, out)
	case ledgerapi.TypeNotice:
		m.applyNotice(h, body, out)
	case ledgerapi.TypePutPerson:
		m.applyPutPerson(h, body, out)
	case ledgerapi.TypePutCard:
		m.applyPutCard(h, body, out)
	case ledgerapi.TypeCutover:
		m.applyCutover(h, body, out)
	case ledgerapi.TypeSealDay:
		m.applySealDay(h, body, out)
	case ledgerapi.TypePutConfig:
		m.applyPutConfig(h, body, out)
	case ledgerapi.TypePutTerminal:
		m.applyPutTerminal(h, body, out)
	default:
		m.applyAct(h, fp, body, out)
	}
	if out.Code == ledgerapi.OK {
		m.ack(h.ID, fp, out)
	}
}

// ack remembers what a command was answered.
func (m *Machine) ack(id si.PaymentID, fp [16]byte, out *ledgerapi.Result) {
	slot, a := m.acks.take()
	*a = ack{id: id, fp: fp, at: m.at, notice: out.Notice, total: out.Total, person: out.Person, count: out.Count,
		version: out.Version, our: out.OurDate, bank: out.Bank, due: out.Due, no: out.No, journal: out.Journal,
		receipt: out.Receipt.Seq, receiptDate: out.Receipt.Date, reasons: out.Reasons, state: out.State}
	m.ackByID.put(id, slot)
	m.ackQueue = append(m.ackQueue, slot)
	m.touch(classAck, slot)
}

// acked answers a command whose id is known.
func (m *Machine) acked(id si.PaymentID, fp [16]byte, out *ledgerapi.Result) bool {
	var a *ack
	if slot := m.ackByID.get(id); slot != 0 {
		a = m.acks.at(slot)
	} else if a = m.oldAck(id); a == nil {
		return false
	}
	if a.fp != fp {
		out.Code = ledgerapi.IDReused
		return true
	}
	*out = ledgerapi.Result{Code: ledgerapi.Exists, First: ledgerapi.OK, Notice: a.notice, Total: a.total,
		Person: a.person, Count: a.count, Version: a.version, OurDate: a.our, Bank: a.bank, Due: a.due, No: a.no,
		Journal: a.journal, Reasons: a.reasons, State: a.state}
	if a.receipt != 0 {
		out.Receipt = si.ReceiptNo{Area: m.cfg.Area, Date: a.receiptDate, Seq: a.receipt}
	}
	return true
}

func (m *Machine) personOf(no si.PersonNo) *person {
	if no == 0 || uint32(no) > m.persons.used {
		return nil
	}
	return m.persons.at(uint32(no))
}

// levy is what one payer is to owe for a person, fund and period.
type levy struct {
	payer    ledgerapi.Payer
	share    assess.Share
	lateRule uint8
}

// levies computes what a base or grade comes to. A nil list with no code set
// means that nothing is owed.
func levies(t *assess.Table, c *ledgerapi.Assess, base si.Fen, dst []levy, out *ledgerapi.Result) []levy {
	if base < 0 || base > assess.MaxBase {
		refuse(out, ledgerapi.Malformed)
		return dst
	}
	if c.PType == si.Resident && t.HasGrades(c.Fund, c.Period.Year()) {
		g, ok := t.Grade(c.Fund, c.Period.Year(), base)
		if !ok || c.Period.IsYear() != (g.Freq == assess.Yearly) {
			refuse(out, ledgerapi.Malformed)
			return dst
		}
		return append(dst, levy{ledgerapi.PayerPerson, assess.Share{Total: g.Person, Individual: g.Person}, 0},
			levy{ledgerapi.PayerGov, assess.Share{Total: g.Subsidy, Individual: g.Subsidy}, 0})
	}
	found := false
	for payer := ledgerapi.PayerPerson; payer <= ledgerapi.PayerGov; payer++ {
		r, ok := t.Row(c.Fund, c.PType, payer, c.Period)
		if !ok {
			continue
		}
		found = true
		s := r.Assess(base)
		if c.Period.IsYear() != (r.Freq == assess.Yearly) || s.Total > si.MaxFen {
			refuse(out, ledgerapi.Malformed)
		}
		dst = append(dst, levy{payer, s, r.LateRule})
	}
	if !found {
		refuse(out, ledgerapi.NotFound)
	}
	return dst
}

func (m *Machine) applyAssess(h *ledgerapi.Header, body []byte, out *ledgerapi.Result) {
	var c ledgerapi.Assess
	if c.DecodeBody(h.ID, h.Version, body) != nil || !c.Fund.Valid() || !c.PType.Valid() || len(c.Items) == 0 ||
		c.Kind < ledgerapi.DueCurrent || c.Kind > ledgerapi.DueYear || c.DueDay == 0 {
		out.Code = ledgerapi.Malformed
		return
	}
	t := m.ratesOf(c.Version)
	if t == nil {
		out.Code = ledgerapi.NotFound
		return
	}
	var all []levy
	for _, it := range c.Items {
		if m.personOf(it.Person) == nil {
			refuse(out, ledgerapi.NotFound)
			out.Person = it.Person
			continue
		}
		all = m.leviesOf(t, &c, it, all[:0], out)
	}
	if out.Code != 0 {
		return
	}
	for _, it := range c.Items {
		if !m.assessable(it.Person, c.Fund, c.Period) {
			continue
		}
		all = m.leviesOf(t, &c, it, all[:0], out)
		for _, l := range all {
			out.Count += m.levy(&c, it.Person, l)
		}
	}
	out.Code = ledgerapi.OK
}

// leviesOf computes what an Assess asks of one person.
func (m *Machine) leviesOf(t *assess.Table, c *ledgerapi.Assess, it ledgerapi.AssessItem, dst []levy, out *ledgerapi.Result) []levy {
	if !c.Undeclared {
		return levies(t, c, it.Base, dst, out)
	}
	if it.Base != 0 || c.Period.IsYear() || c.Period == 0 {
		refuse(out, ledgerapi.Malformed)
		return dst
	}
	l, ok := m.undeclared(t, c, it.Person)
	if !ok && refuse(out, ledgerapi.NotFound) {
		out.Person = it.Person
	}
	return append(dst, l)
}

// levy makes the due of one payer, unless it is there. A due of another figure
// is replaced while no money is under way; what is held, paid or paid back stays,
// and the rest becomes a supplement.
func (m *Machine) levy(c *ledgerapi.Assess, who si.PersonNo, l levy) (made uint32) {
	fixed, open := m.owed(who, c.Fund, c.Period, l.payer)
	if fixed.Total+open.Total == l.share.Total && fixed.Individual+open.Individual == l.share.Individual {
		return 0
	}
	for slot := m.personOf(who).dues; slot != 0 && open.Total > 0; slot = m.dues.at(slot).next {
		if d := m.dues.at(slot); d.fund == c.Fund && d.period == c.Period && d.payer == l.payer && unpaid(d) {
			m.endDue(slot, ledgerapi.DueReplaced)
		}
	}
	rest := assess.Share{Total: l.share.Total - fixed.Total, Individual: l.share.Individual - fixed.Individual}
	if rest.Total <= 0 {
		return 0
	}
	kind := c.Kind
	if fixed.Total > 0 {
		kind = ledgerapi.DueSupplement
	}
	state := ledgerapi.DueOpen
	if c.Later {
		state = ledgerapi.DueAssessed
	}
	m.newDue(due{amount: rest.Total, individual: min(max(rest.Individual, 0), rest.Total), person: who, rates: c.Version,
		dueDay: c.DueDay, period: c.Period, fund: c.Fund, kind: kind, state: state, payer: l.payer, lateRule: l.lateRule})
	return 1
}

// linkDue puts a due into its person's list, which is in order of period and id:
// the same whether a due is new, restored or came back.
func (m *Machine) linkDue(d *due, slot uint32) {
	link := &m.personOf(d.person).dues
	before := func(o *due) bool {
		return o.period.Start() < d.period.Start() || o.period.Start() == d.period.Start() && o.id < d.id
	}
	for *link != 0 && before(m.dues.at(*link)) {
		link = &m.dues.at(*link).next
	}
	d.next, *link = *link, slot
}

// Bounds of a notice: a citizen is given at most a year to pay it.
const maxNoticeDays = 366

func (m *Machine) applyNotice(h *ledgerapi.Header, body []byte, out *ledgerapi.Result) {
	var c ledgerapi.Notice
	if c.DecodeBody(h.ID, body) != nil || c.Date == 0 || c.ValidUntil < c.Date ||
		int(c.ValidUntil) > int(c.Date)+maxNoticeDays || !nearDate(c.Date, m.today()) {
		out.Code = ledgerapi.Malformed
		return
	}
	who := m.personOf(c.Person)
	if who == nil {
		out.Code = ledgerapi.NotFound
		return
	}
	m.chosen = m.chosen[:0]
	if len(c.Dues) == 0 {
		if m.chooseIn(who, func(d *due) bool { return d.state == ledgerapi.DueOpen }); len(m.chosen) == 0 {
			m.chooseIn(who, unpaid)
		}
	}
	// One live notice a person and day. One that is paid off gives way to a new
	// one only if there is something new to pay.
	for slot := who.notices; slot != 0; slot = m.notices.at(slot).next {
		n := m.notices.at(slot)
		if n.date != c.Date {
			continue
		}
		if len(c.Dues) == 0 && len(m.chosen) > 0 && !m.noticeOwes(n) {
			continue
		}
		*out = ledgerapi.Result{Code: ledgerapi.Exists, First: ledgerapi.OK, Notice: n.no, Person: c.Person, Total: m.noticeTotal(n, c.Date)}
		return
	}
	for i, id := range c.Dues {
		for _, other := range c.Dues[:i] {
			if other == id {
				refuse(out, ledgerapi.Malformed)
			}
		}
		slot := m.dueByID.get(id)
		switch {
		case slot == 0 || m.dues.at(slot).person != c.Person || m.dues.at(slot).payer != ledgerapi.PayerPerson:
			if refuse(out, ledgerapi.NotFound) {
				out.Due = id
			}
		case !unpaid(m.dues.at(slot)):
			m.refuseState(m.dues.at(slot), out)
		default:
			m.chosen = append(m.chosen, chosen{slot: slot})
		}
	}
	if out.Code == 0 && len(m.chosen) == 0 {
		refuse(out, ledgerapi.NotFound)
	}
	if out.Code != 0 {
		return
	}
	m.sortChosen()
	// A notice dated in December that comes in January is numbered in January.
	if year, _ := yearOf(c.Date); year > m.noticeYear {
		m.noticeYear, m.noticeNo = year, 0
	}
	if m.noticeNo == maxNoticeSerial {
		out.Code = ledgerapi.SeqExhausted
		return
	}
	m.noticeNo++
	slot, n := m.notices.take()
	*n = notice{no: si.NewNoticeNo(m.cfg.Area, m.noticeYear, m.noticeNo), person: c.Person, next: who.notices,
		date: c.Date, valid: c.ValidUntil, n: uint8(len(m.chosen))}
	who.notices = slot
	if n.n == 1 {
		n.dues = uint64(m.dues.at(m.chosen[0].slot).id)
	} else {
		ref, run := m.items.take(int(n.n))
		for i, c := range m.chosen {
			run[i] = uint64(m.dues.at(c.slot).id)
		}
		n.dues = uint64(ref)
	}
	m.byNotice.put(n.no, slot)
	m.touch(classNotice, slot)
	for _, c := range m.chosen {
		if m.dues.at(c.slot).state == ledgerapi.DueAssessed {
			m.setDueState(c.slot, ledgerapi.DueNoticed)
		}
	}
	*out = ledgerapi.Result{Code: ledgerapi.OK, Notice: n.no, Person: c.Person, Total: m.noticeTotal(n, c.Date)}
}

// maxNoticeSerial is what ten digits can say.
const maxNoticeSerial = 9_999_999_999

// chooseIn chooses those of a person's dues to pay that are in a state, the
// oldest of each fund first, as many as one payment may hold.
func (m *Machine) chooseIn(who *person, in func(*due) bool) {
	for slot := who.dues; slot != 0; slot = m.dues.at(slot).next {
		if d := m.dues.at(slot); in(d) && d.payer == ledgerapi.PayerPerson {
			m.chosen = append(m.chosen, chosen{slot: slot})
		}
	}
	m.sortChosen()
	if len(m.chosen) > ledgerapi.MaxDues {
		m.chosen = m.chosen[:ledgerapi.MaxDues]
	}
}

// sortChosen orders dues by period, fund and id, so that a cut keeps the oldest.
func (m *Machine) sortChosen() {
	less := func(a, b *due) bool {
		switch {
		case a.period.Start() != b.period.Start():
			return a.period.Start() < b.period.Start()
		case a.fund != b.fund:
			return a.fund < b.fund
		}
		return a.id < b.id
	}
	for i := 1; i < len(m.chosen); i++ {
		for j := i; j > 0 && less(m.dues.at(m.chosen[j].slot), m.dues.at(m.chosen[j-1].slot)); j-- {
			m.chosen[j], m.chosen[j-1] = m.chosen[j-1], m.chosen[j]
		}
	}
}

// noticeOwes tells whether anything on a notice is payable or will be.
func (m *Machine) noticeOwes(n *notice) bool {
	for i := range int(n.n) {
		if slot := m.dueByID.get(m.noticeDue(n, i)); slot != 0 && unpaid(m.dues.at(slot)) {
			return true
		}
	}
	return false
}

// noticeTotal is what the open dues of a notice come to on a date.
func (m *Machine) noticeTotal(n *notice, on si.BusinessDate) (total si.Fen) {
	for i := range int(n.n) {
		if slot := m.dueByID.get(m.noticeDue(n, i)); slot != 0 {
			if d := m.dues.at(slot); d.state == ledgerapi.DueOpen {
				total += d.amount + m.lateFee(d, on)
			}
		}
	}
	return total
}

// maxArea is the largest area code: six digits of a county (GB/T 2260), or nine
// of a town or street in it (GB/T 10114).
const maxArea = 999_999_999

func (m *Machine) applyPutPerson(h *ledgerapi.Header, body []byte, out *ledgerapi.Result) {
	var c ledgerapi.PutPerson
	if c.DecodeBody(h.ID, body) != nil || !c.PType.Valid() || c.IDHash == (si.Hash{}) || c.Household > maxArea {
		out.Code = ledgerapi.Malformed
		return
	}
	slot := m.byIDHash.get(c.IDHash)
	switch {
	case slot == 0 && c.ExpectVersion != 0:
		out.Code = ledgerapi.NotFound
		return
	case slot == 0:
		m.touchHead(si.PersonNo(m.persons.used + 1))
		slot, _ = m.persons.take()
		m.persons.at(slot).idHash = c.IDHash
		m.byIDHash.put(c.IDHash, slot)
	case m.persons.at(slot).version != c.ExpectVersion:
		// An import that runs twice brings the same facts; their seal is made
		// anew each time and says nothing.
		if p := m.persons.at(slot); c.ExpectVersion == 0 && p.ptype == c.PType && p.household == c.Household &&
			p.birth == c.Birth && p.sex == c.Sex && p.flags == c.Flags {
			out.Code, out.First = ledgerapi.Exists, ledgerapi.OK
		} else {
			out.Code = ledgerapi.BadTransition
		}
		out.Person, out.Version = si.PersonNo(slot), uint32(m.persons.at(slot).version)
		return
	case c.ExpectVersion == 1<<16-1:
		out.Code = ledgerapi.SeqExhausted
		return
	}
	m.touch(classPerson, slot)
	p := m.persons.at(slot)
	p.version++
	p.ptype, p.household, p.birth, p.sex, p.flags = c.PType, c.Household, c.Birth, c.Sex, c.Flags
	m.blobs.drop(p.sealed, int(p.sealedLen))
	p.sealed, p.sealedLen = m.putBlob(c.Sealed), uint16(len(c.Sealed))
	out.Code, out.Person, out.Version = ledgerapi.OK, si.PersonNo(slot), uint32(p.version)
}

// putBlob keeps bytes; the reference of none is 0.
func (m *Machine) putBlob(b []byte) uint32 {
	if len(b) == 0 {
		return 0
	}
	ref, run := m.blobs.take(len(b))
	copy(run, b)
	return ref
}

func (m *Machine) applyPutCard(h *ledgerapi.Header, body []byte, out *ledgerapi.Result) {
	var c ledgerapi.PutCard
	if c.DecodeBody(h.ID, body) != nil || c.State < ledgerapi.CardActive || c.State > ledgerapi.CardReplaced ||
		c.Source < ledgerapi.CardImport || c.Source > ledgerapi.CardBank || c.Bank == 0 ||
		c.CardHash == (si.Hash{}) || c.PANHash == (si.Hash{}) {
		out.Code = ledgerapi.Malformed
		return
	}
	who := si.PersonNo(m.byIDHash.get(c.IDHash))
	if who == 0 {
		out.Code = ledgerapi.NotFound
		return
	}
	want := card{cardHash: c.CardHash, noHash: c.NoHash, panHash: c.PANHash, person: who, since: c.Since,
		bank: c.Bank, state: c.State, source: c.Source}
	slot := m.byCard.get(c.CardHash)
	other := m.byPAN.get(c.PANHash)
	switch {
	case slot != 0 && m.cards.at(slot).person != who,
		c.State != ledgerapi.CardReplaced && other != 0 && m.cards.at(other).person != who:
		out.Code = ledgerapi.BadTransition
		return
	case slot != 0:
		is := *m.cards.at(slot)
		if is.next = 0; is == want {
			out.Code, out.First, out.Person = ledgerapi.Exists, ledgerapi.OK, who
			return
		}
	default:
		slot, _ = m.cards.take()
		p := m.personOf(who)
		m.cards.at(slot).next, p.cards = p.cards, slot
		m.cards.at(slot).cardHash = c.CardHash
		m.byCard.put(c.CardHash, slot)
	}
	if other != 0 && other != slot && c.State != ledgerapi.CardReplaced {
		m.setCardState(other, ledgerapi.CardReplaced)
	}
	if c.State == ledgerapi.CardActive {
		for s := m.personOf(who).cards; s != 0; s = m.cards.at(s).next {
			if s != slot && m.cards.at(s).state == ledgerapi.CardActive {
				m.setCardState(s, ledgerapi.CardReplaced)
			}
		}
		// A lost card stays lost; what was signed on its account is held up too.
		m.moveMandates(who, ledgerapi.MandateSuspended, func(x *mandate) bool { return x.account != c.PANHash })
	}
	m.touch(classCard, slot)
	is := m.cards.at(slot)
	m.byPAN.del(is.panHash, slot)
	if is.panHash != want.panHash || want.state == ledgerapi.CardReplaced {
		m.suspendMandates(is) // of the account that the card had
	}
	want.next = is.next
	*is = want
	if is.state != ledgerapi.CardReplaced {
		m.byPAN.put(is.panHash, slot)
	}
	out.Code, out.Person = ledgerapi.OK, who
}

func (m *Machine) setCardState(slot uint32, s ledgerapi.CardState) {
	m.touch(classCard, slot)
	c := m.cards.at(slot)
	c.state = s
	if s == ledgerapi.CardReplaced {
		m.byPAN.del(c.panHash, slot)
		m.suspendMandates(c)
	}
}

func (m *Machine) applyCutover(h *ledgerapi.Header, body []byte, out *ledgerapi.Result) {
	var c ledgerapi.Cutover
	if c.DecodeBody(h.ID, body) != nil || c.Bank == 0 || c.To == 0 || c.To <= c.From {
		out.Code = ledgerapi.Malformed
		return
	}
	b := &m.banks[c.Bank]
	out.Bank = b.open
	switch {
	case b.open != 0 && c.To == b.open && c.From == b.prev:
		out.Code, out.First = ledgerapi.Exists, ledgerapi.OK
		return
	case c.From != b.open:
		out.Code = ledgerapi.BadTransition
		return
	case c.To <= m.sealed:
		out.Code = ledgerapi.Sealed
		return
	}
	b.prev, b.open, b.rrn = b.open, c.To, 0
	out.Code, out.Bank, out.OurDate = ledgerapi.OK, b.open, b.prev
	for _, slot := range m.live {
		if p := m.pays.at(slot); p.bank == c.Bank {
			out.Count++
			out.Total += p.total
		}
	}
}

func (m *Machine) applyPutConfig(h *ledgerapi.Header, body []byte, out *ledgerapi.Result) {
	var c ledgerapi.PutConfig
	if c.DecodeBody(h.ID, body) != nil {
		out.Code = ledgerapi.Malformed
		return
	}
	twoPersons(c.Maker, c.Checker, out)
	if c.Kind < ledgerapi.ConfigBankProfile || c.Kind > ledgerapi.ConfigCover || c.Name == "" || len(c.Body) == 0 {
		refuse(out, ledgerapi.Malformed)
	}
	x := &config{kind: c.Kind, name: c.Name, from: c.From, maker: c.Maker, checker: c.Checker, body: bytes.Clone(c.Body)}
	for _, o := range m.configs {
		if o.kind == c.Kind {
			x.version = max(x.version, o.version)
		}
	}
	x.version++
	if out.Code == 0 {
		out.Code = m.putConfig(x)
	}
	if out.Code != ledgerapi.OK {
		return
	}
	m.row(BucketConfig, configKey(m.key[:0], x), configValue(m.value[:0], x))
	out.Version = x.version
}

// putConfig takes a version of business data into use.
func (m *Machine) putConfig(x *config) ledgerapi.Code {
	switch x.kind {
	case ledgerapi.ConfigRates:
		t, err := assess.Parse(x.body)
		if err != nil {
			return ledgerapi.Malformed
		}
		if t.Area != m.cfg.Area {
			return ledgerapi.WrongRegion
		}
		m.rates = append(m.rates, rates{x.from, x.version, t})
	case ledgerapi.ConfigBankFacts:
		f, err := ParseBankFacts(x.body)
		if err != nil {
			return ledgerapi.Malformed
		}
		m.facts[f.Bank] = append(m.facts[f.Bank], facts{x.from, x.name, x.version, f})
	case ledgerapi.ConfigCover:
		t, err := enrol.Parse(x.body)
		if err != nil {
			return ledgerapi.Malformed
		}
		if t.Area != m.cfg.Area {
			return ledgerapi.WrongRegion
		}
		m.coverTables = append(m.coverTables, coverTable{x.from, x.version, t})
	case ledgerapi.ConfigBankProfile, ledgerapi.ConfigIINTable, ledgerapi.ConfigOffices, ledgerapi.ConfigCalendar:
	}
	m.configs = append(m.configs, x)
	for i := len(m.configs) - 1; i > 0 && configLess(m.configs[i], m.configs[i-1]); i-- {
		m.configs[i], m.configs[i-1] = m.configs[i-1], m.configs[i]
	}
	return ledgerapi.OK
}

// configLess orders by kind, name, version.
func configLess(a, b *config) bool {
	switch {
	case a.kind != b.kind:
		return a.kind < b.kind
	case a.name != b.name:
		return a.name < b.name
	}
	return a.version < b.version
}

// ratesOf is the rate table of a version, nil if there is none.
func (m *Machine) ratesOf(version uint32) *assess.Table {
	for i := range m.rates {
		if m.rates[i].version == version {
			return m.rates[i].table
		}
	}
	return nil
}

// ratesOn is the rate table in force on a date: of those that have begun, the
// one that began last, and of several the newest.
func (m *Machine) ratesOn(on si.BusinessDate) *assess.Table {
	best := -1
	for i := range m.rates {
		r := &m.rates[i]
		if r.from <= on && (best < 0 || later(r.from, r.version, m.rates[best].from, m.rates[best].version)) {
			best = i
		}
	}
	if best < 0 {
		return nil
	}
	return m.rates[best].table
}

// factsOn are a bank's facts in force on a date, nil if there are none.
func (m *Machine) factsOn(b si.Bank, on si.BusinessDate) *BankFacts {
	all := m.facts[b]
	best := -1
	for i := range all {
		if all[i].from <= on && (best < 0 || later(all[i].from, all[i].version, all[best].from, all[best].version)) {
			best = i
		}
	}
	if best < 0 {
		return nil
	}
	return all[best].facts
}

func later(from si.BusinessDate, version uint32, than si.BusinessDate, thanVersion uint32) bool {
	return from > than || (from == than && version > thanVersion)
}

func (m *Machine) applyPutTerminal(h *ledgerapi.Header, body []byte, out *ledgerapi.Result) {
	var c ledgerapi.PutTerminal
	if c.DecodeBody(h.ID, body) != nil || c.Terminal == 0 || c.Bank == 0 ||
		c.State < ledgerapi.TerminalNew || c.State > ledgerapi.TerminalRevoked {
		out.Code = ledgerapi.Malformed
		return
	}
	t := TerminalRecord{Terminal: c.Terminal, Bank: c.Bank, Outlet: c.Outlet, State: c.State, CertHash: c.CertHash}
	i := m.terminalAt(c.Terminal)
	if i < len(m.terminals) && m.terminals[i].Terminal == c.Terminal {
		// A revoked certificate never comes back; the machine gets a new number.
		if is := m.terminals[i]; is.State == ledgerapi.TerminalRevoked && is != t {
			out.Code = ledgerapi.BadTransition
			return
		}
		m.terminals[i] = t
	} else {
		m.terminals = append(m.terminals, TerminalRecord{})
		copy(m.terminals[i+1:], m.terminals[i:])
		m.terminals[i] = t
	}
	m.row(BucketTerminal, be32(m.key[:0], uint32(t.Terminal)), terminalValue(m.value[:0], &t))
	out.Code = ledgerapi.OK
}

// terminalAt is where a terminal stands or would stand.
func (m *Machine) terminalAt(t si.Terminal) int {
	lo, hi := 0, len(m.terminals)
	for lo < hi {
		if mid := (lo + hi) / 2; m.terminals[mid].Terminal < t {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}
