package core

import (
	"github.com/shebao-pay/shebao/ledger/enrol"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
	"github.com/shebao-pay/shebao/si/ledgerapi/wire"
)

// cover is one spell of a person's cover in an insurance type: 64 bytes at most
// and without a pointer, because everyone has two or more. Spells of a person
// and fund count from 1, so they are found by asking for one after the other.
type cover struct {
	key     coverKey
	base    si.Fen
	consent [16]byte
	rates   uint32
	maker   si.Actor // of the beginning
	from    si.Period
	to      si.Period // first period not covered any more, 0 while ACTIVE
	opened  si.BusinessDate
	changes uint16 // how many records of classCoverMove follow it
	ptype   si.PType
	state   ledgerapi.CoverState
	reason  ledgerapi.TerminateReason
	flags   uint8
}

// Flags of a cover.
const (
	coverArrived    = 1 << iota // began with a TransferIn
	coverUnverified             // the other region has not confirmed that it ended there
)

type coverKey struct {
	person si.PersonNo
	fund   si.Fund
	spell  uint8
}

// maxSpells is what a spell's number can say.
const maxSpells = 255

func (k coverKey) hash() uint64 {
	return mix(uint64(k.person)<<16 | uint64(k.fund)<<8 | uint64(k.spell))
}

func coverRow(dst []byte, k coverKey) []byte {
	return append(be32(dst, uint32(k.person)), byte(k.fund), k.spell)
}

func (k *coverKey) fields(f *wire.Form) {
	wire.U32(f, &k.person)
	wire.U8(f, &k.fund)
	wire.U8(f, &k.spell)
	if !k.fund.Valid() || k.spell == 0 {
		f.Fail()
	}
}

func coverFields(f *wire.Form, c *cover) {
	c.key.fields(f)
	wire.U8(f, &c.ptype)
	wire.U8(f, &c.state)
	wire.U8(f, &c.reason)
	wire.U8(f, &c.flags)
	wire.U64(f, &c.base)
	wire.U32(f, &c.rates)
	wire.U16(f, &c.from)
	wire.U16(f, &c.to)
	wire.U16(f, &c.opened)
	wire.U16(f, &c.changes)
	wire.U32(f, &c.maker)
	f.Fixed(c.consent[:])
	if c.state < ledgerapi.CoverActive || c.state > ledgerapi.CoverTerminated {
		f.Fail()
	}
}

// coverChange is one act on a spell after its beginning, with the base in force
// before it; the base after it is in the next one or in the cover.
type coverChange struct {
	key   coverChangeKey
	base  si.Fen
	rates uint32
	maker si.Actor
	from  si.Period
	on    si.BusinessDate
	act   ledgerapi.Type
}

type coverChangeKey struct {
	cover coverKey
	n     uint16 // from 1
}

func (k coverChangeKey) hash() uint64 { return mix(k.cover.hash() + uint64(k.n)) }

func coverChangeRow(dst []byte, k coverChangeKey) []byte { return be16(coverRow(dst, k.cover), k.n) }

func coverChangeFields(f *wire.Form, c *coverChange) {
	c.key.cover.fields(f)
	wire.U16(f, &c.key.n)
	wire.U8(f, &c.act)
	wire.U16(f, &c.on)
	wire.U16(f, &c.from)
	wire.U64(f, &c.base)
	wire.U32(f, &c.rates)
	wire.U32(f, &c.maker)
}

// arrival is what the certificate of another region said.
type arrival struct {
	key    coverKey
	area   si.AreaCode
	start  si.Period
	end    si.Period
	months uint16
	issued si.BusinessDate
	paid   si.Fen
	deskNo ledgerapi.CaseNo
}

func arrivalFields(f *wire.Form, a *arrival) {
	a.key.fields(f)
	wire.U32(f, &a.area)
	wire.U16(f, &a.start)
	wire.U16(f, &a.end)
	wire.U16(f, &a.months)
	wire.U16(f, &a.issued)
	wire.U64(f, &a.paid)
	wire.U64(f, &a.deskNo)
}

// certificate is what we gave along when cover went to another region.
type certificate struct {
	no      ledgerapi.CertificateNo
	cover   coverKey
	to      si.AreaCode
	paid    si.Fen
	arrears si.Fen
	count   uint32 // of the arrears
	next    uint32
	start   si.Period
	end     si.Period
	months  uint16
	issued  si.BusinessDate
}

func certificateFields(f *wire.Form, c *certificate) {
	wire.U64(f, &c.no)
	c.cover.fields(f)
	wire.U32(f, &c.to)
	wire.U16(f, &c.start)
	wire.U16(f, &c.end)
	wire.U16(f, &c.months)
	wire.U64(f, &c.paid)
	wire.U32(f, &c.count)
	wire.U64(f, &c.arrears)
	wire.U16(f, &c.issued)
}

// coverShelves are the records of cover, and the rules they are held to.
type coverShelves struct {
	covers         *shelf[coverKey, cover]
	coverChanges   *shelf[coverChangeKey, coverChange]
	arrivals       *shelf[coverKey, arrival]
	certificates   *shelf[ledgerapi.CertificateNo, certificate]
	certificatesOf *thread
	coverTables    []coverTable // in order of arrival
}

func (m *Machine) shelveCover() {
	m.covers = shelve(m, classCover, BucketCover, coverKey.hash, func(c *cover) coverKey { return c.key }, coverRow, coverFields)
	m.coverChanges = shelve(m, classCoverMove, BucketCoverMove, coverChangeKey.hash,
		func(c *coverChange) coverChangeKey { return c.key }, coverChangeRow, coverChangeFields)
	m.arrivals = shelve(m, classArrival, BucketArrival, coverKey.hash, func(a *arrival) coverKey { return a.key }, coverRow, arrivalFields)
	m.certificates = shelve(m, classCoverCert, BucketCoverCert, numberHash[ledgerapi.CertificateNo],
		func(c *certificate) ledgerapi.CertificateNo { return c.no }, numberRow[ledgerapi.CertificateNo], certificateFields)
	m.certificatesOf = newThread(func(slot uint32) (si.PersonNo, *uint32) {
		c := m.certificates.at(slot)
		return c.cover.person, &c.next
	})
	m.certificates.placed = func(slot uint32, _ *certificate) { m.certificatesOf.put(slot) }
}

// coverTable is one version of the region's rules of cover.
type coverTable struct {
	from    si.BusinessDate
	version uint32
	table   *enrol.Table
}

// coverRules are the rules in force on a date, nil if there are none.
func (m *Machine) coverRules(on si.BusinessDate) *enrol.Table {
	var best *coverTable
	for i := range m.coverTables {
		if t := &m.coverTables[i]; t.from <= on && (best == nil || later(t.from, t.version, best.from, best.version)) {
			best = t
		}
	}
	if best == nil {
		return nil
	}
	return best.table
}

// coverOf is the latest spell of a person in a fund, nil if there was none.
func (m *Machine) coverOf(who si.PersonNo, fund si.Fund) (last *cover) {
	for spell := 1; spell <= maxSpells; spell++ {
		c := m.covers.get(coverKey{who, fund, uint8(spell)})
		if c == nil {
			break
		}
		last = c
	}
	return last
}

// assessable tells whether a person may be asked to pay for a period: alive, and
// covered in it as far as the ledger knows of cover in the fund at all.
func (m *Machine) assessable(who si.PersonNo, fund si.Fund, period si.Period) bool {
	if m.dead(who) {
		return false
	}
	for spell := 1; spell <= maxSpells; spell++ {
		c := m.covers.get(coverKey{who, fund, uint8(spell)})
		if c == nil {
			return spell == 1
		}
		if m.reaches(c, period) {
			return true
		}
	}
	return false
}

// reaches tells whether a spell covers a period: it has begun by then, and the
// last of the pauses, ends and resumptions that hold by then is no pause or end.
func (m *Machine) reaches(c *cover, period si.Period) bool {
	if period.Start() < c.from.Start() {
		return false
	}
	covered := true
	for n := 1; n <= int(c.changes); n++ {
		x := m.coverChanges.get(coverChangeKey{c.key, uint16(n)})
		if x.act != ledgerapi.TypeChangeGrade && x.from.Start() <= period.Start() {
			covered = x.act == ledgerapi.TypeResume
		}
	}
	return covered
}

// coverState is the state of the latest spell.
func coverState(c *cover) ledgerapi.CoverState {
	if c == nil {
		return ledgerapi.CoverNone
	}
	return c.state
}

// eligible gives the reasons against new cover, with what the ledger knows.
func (m *Machine) eligible(who si.PersonNo, t *enrol.Table, fund si.Fund, ptype si.PType, on si.BusinessDate) ledgerapi.Reasons {
	p := m.personOf(who)
	var has []enrol.Has
	for f := si.PensionEmp; f.Valid(); f++ {
		if c := m.coverOf(who, f); coverState(c).Live() {
			has = append(has, enrol.Has{Fund: f, Active: c.state == ledgerapi.CoverActive, Unverified: c.flags&coverUnverified != 0})
		}
	}
	return enrol.Eligible(enrol.Person{Household: p.household, Birth: p.birth, Woman: p.sex == sexFemale,
		Retired: p.flags&ledgerapi.FlagRetired != 0, Deceased: m.dead(who),
		LandRequisitioned: p.flags&ledgerapi.FlagLandRequisitioned != 0}, has, t, fund, ptype, on)
}

// sexFemale is the code of the card and of the register (GB/T 2261.1).
const sexFemale = 2

// maxAhead bounds how many months ahead an act may begin: two years, further
// than any region publishes rates.
const maxAhead = 24

// tooFarAhead tells whether a period begins further ahead than an act may.
func (m *Machine) tooFarAhead(p si.Period) bool { return int(p.Start()) > m.thisMonth()+maxAhead }

// thisMonth counts the months from 2000-01 to that of the last record.
func (m *Machine) thisMonth() int { return monthOf(m.today()) }

func monthOf(on si.BusinessDate) int {
	at := on.Time()
	return (at.Year()-2000)*12 + int(at.Month()) - 1
}

func (m *Machine) applyEnrol(a *act, c *ledgerapi.Enrol, out *ledgerapi.Result) {
	if m.mayBegin(ledgerapi.TypeEnrol, c, out); out.Code == 0 {
		m.begin(a, c, 0, out)
	}
}

// mayBegin refuses cover that must not begin. An import, which has no consent
// record, says what is so already: it is held to what no register can overrule,
// and its base is checked only if it names a rate table.
func (m *Machine) mayBegin(by ledgerapi.Type, c *ledgerapi.Enrol, out *ledgerapi.Result) {
	if !c.Fund.Valid() || !c.PType.Valid() || m.tooFarAhead(c.From) {
		refuse(out, ledgerapi.Malformed)
		return
	}
	t := m.coverRules(m.today())
	if m.personOf(c.Person) == nil || t == nil {
		refuse(out, ledgerapi.NotFound)
		return
	}
	isImport := c.Consent == [16]byte{}
	if !isImport || c.Rates != 0 {
		m.checkBase(c.Fund, c.PType, c.From, c.Base, c.Rates, out)
	}
	k := m.coverOf(c.Person, c.Fund)
	no := m.eligible(c.Person, t, c.Fund, c.PType, m.today())
	if isImport {
		no &= enrol.Hard
	}
	_, ok := enrol.Cover(coverState(k), by)
	if !ok {
		no |= ledgerapi.ReasonFrom(coverState(k))
	}
	if no != 0 && refuse(out, ledgerapi.BadTransition) {
		out.Reasons = uint32(no)
	}
	if k != nil && k.key.spell == maxSpells {
		refuse(out, ledgerapi.SeqExhausted)
	}
}

// checkBase refuses a base or grade that the rate table has nothing for.
func (m *Machine) checkBase(fund si.Fund, ptype si.PType, period si.Period, base si.Fen, rates uint32, out *ledgerapi.Result) {
	t := m.ratesOf(rates)
	if t == nil {
		refuse(out, ledgerapi.NotFound)
		return
	}
	levies(t, &ledgerapi.Assess{Fund: fund, PType: ptype, Period: period}, base, nil, out)
}

// begin makes the record of a new spell.
func (m *Machine) begin(a *act, c *ledgerapi.Enrol, flags uint8, out *ledgerapi.Result) coverKey {
	key := coverKey{c.Person, c.Fund, 1}
	if k := m.coverOf(c.Person, c.Fund); k != nil {
		key.spell = k.key.spell + 1
	}
	m.covers.add(cover{key: key, ptype: c.PType, state: ledgerapi.CoverActive, flags: flags, base: c.Base, rates: c.Rates,
		from: c.From, opened: m.today(), maker: a.maker, consent: c.Consent})
	out.Code, out.Person = ledgerapi.OK, c.Person
	return key
}

func (m *Machine) applyTransferIn(a *act, c *ledgerapi.TransferIn, out *ledgerapi.Result) {
	if c.Area == 0 || c.Area > maxAreaCode || c.Area == m.cfg.Area || c.Start.Start() > c.End.Start() || c.Paid < 0 ||
		c.Issued == 0 || c.Issued > m.today() {
		refuse(out, ledgerapi.Malformed)
	}
	if m.mayBegin(ledgerapi.TypeTransferIn, &c.Enrol, out); out.Code != 0 {
		return
	}
	flags := uint8(coverArrived)
	if !c.Verified {
		flags |= coverUnverified
	}
	key := m.begin(a, &c.Enrol, flags, out)
	if !c.Verified {
		out.No = uint64(m.openCase(a, caseRecord{kind: ledgerapi.CaseTransferIn, cover: key, person: c.Person}, ""))
	}
	m.arrivals.add(arrival{key: key, area: c.Area, start: c.Start, end: c.End, months: c.Months, paid: c.Paid, issued: c.Issued,
		deskNo: ledgerapi.CaseNo(out.No)})
}

// maxAreaCode is what six digits can say.
const maxAreaCode = 999_999
