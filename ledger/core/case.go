package core

import (
	"github.com/shebao-pay/shebao/ledger/enrol"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
	"github.com/shebao-pay/shebao/si/ledgerapi/wire"
)

// caseRecord is a case (办件): work with a number and, mostly, a deadline.
type caseRecord struct {
	no       ledgerapi.CaseNo
	payment  si.PaymentID
	cover    coverKey // of a CaseTransferIn, its fund 0 otherwise
	person   si.PersonNo
	next     uint32
	maker    si.Actor
	owner    si.Actor
	note     uint32 // reference to noteLen bytes
	noteLen  uint32
	steps    uint16
	opened   si.BusinessDate
	deadline si.BusinessDate
	kind     ledgerapi.CaseKind
	state    ledgerapi.CaseState
	office   officeCode
}

// officeCode is an office's code without a pointer: its length and its bytes.
type officeCode struct {
	n    uint8
	text [ledgerapi.MaxOffice]byte
}

func officeOf(s string) (o officeCode) {
	o.n = uint8(copy(o.text[:], s))
	return o
}

func (o *officeCode) String() string { return string(o.text[:o.n]) }

func (o *officeCode) field(f *wire.Form) {
	s := o.String()
	f.Text(&s, ledgerapi.MaxOffice)
	*o = officeOf(s)
}

func (m *Machine) caseFields(f *wire.Form, c *caseRecord) {
	wire.U64(f, &c.no)
	wire.U8(f, &c.kind)
	wire.U8(f, &c.state)
	wire.U32(f, &c.person)
	f.Fixed(c.payment[:])
	wire.U8(f, &c.cover.fund)
	wire.U8(f, &c.cover.spell)
	c.office.field(f)
	wire.U32(f, &c.maker)
	wire.U32(f, &c.owner)
	wire.U16(f, &c.opened)
	wire.U16(f, &c.deadline)
	wire.U16(f, &c.steps)
	m.blobField(f, &c.note, &c.noteLen, ledgerapi.MaxNote)
	if c.cover.fund != 0 {
		c.cover.person = c.person
	}
}

// caseStep is one move of a case.
type caseStep struct {
	key     caseStepKey
	owner   si.Actor
	maker   si.Actor
	note    uint32
	noteLen uint32
	on      si.BusinessDate
	to      ledgerapi.CaseState
}

type caseStepKey struct {
	no ledgerapi.CaseNo
	n  uint16 // from 1
}

func (k caseStepKey) hash() uint64 { return mix(uint64(k.no)<<16 ^ uint64(k.n)) }

func caseStepRow(dst []byte, k caseStepKey) []byte { return be16(be64(dst, uint64(k.no)), k.n) }

func (m *Machine) caseStepFields(f *wire.Form, s *caseStep) {
	wire.U64(f, &s.key.no)
	wire.U16(f, &s.key.n)
	wire.U8(f, &s.to)
	wire.U16(f, &s.on)
	wire.U32(f, &s.owner)
	wire.U32(f, &s.maker)
	m.blobField(f, &s.note, &s.noteLen, ledgerapi.MaxNote)
}

// caseShelves are cases and their steps.
type caseShelves struct {
	cases     *shelf[ledgerapi.CaseNo, caseRecord]
	caseSteps *shelf[caseStepKey, caseStep]
	casesOf   *thread
}

func (m *Machine) shelveCases() {
	m.cases = shelve(m, classCase, BucketCase, numberHash[ledgerapi.CaseNo], func(c *caseRecord) ledgerapi.CaseNo { return c.no },
		numberRow[ledgerapi.CaseNo], m.caseFields)
	m.caseSteps = shelve(m, classCaseStep, BucketCaseStep, caseStepKey.hash, func(s *caseStep) caseStepKey { return s.key },
		caseStepRow, m.caseStepFields)
	m.casesOf = newThread(func(slot uint32) (si.PersonNo, *uint32) {
		c := m.cases.at(slot)
		return c.person, &c.next
	})
	m.cases.placed = func(slot uint32, _ *caseRecord) { m.casesOf.put(slot) }
}

// openCase makes a new case of what c says and gives its number.
func (m *Machine) openCase(a *act, c caseRecord, note string) ledgerapi.CaseNo {
	c.no, c.state, c.opened, c.maker = ledgerapi.CaseNo(m.cases.used)+1, ledgerapi.CaseNew, m.today(), a.maker
	c.note, c.noteLen = m.putBlob([]byte(note)), uint32(len(note))
	m.cases.add(c)
	return c.no
}

func (m *Machine) applyCaseOpen(a *act, c *ledgerapi.CaseOpen, out *ledgerapi.Result) {
	if c.Kind < ledgerapi.CaseTransferIn || c.Kind > ledgerapi.CaseDevice || (c.Deadline != 0 && c.Deadline < m.today()) {
		refuse(out, ledgerapi.Malformed)
	}
	if c.Person != 0 && m.personOf(c.Person) == nil {
		refuse(out, ledgerapi.NotFound)
	}
	if out.Code != 0 {
		return
	}
	no := m.openCase(a, caseRecord{kind: c.Kind, person: c.Person, payment: c.Payment, office: officeOf(c.Office), deadline: c.Deadline}, c.Note)
	*out = ledgerapi.Result{Code: ledgerapi.OK, No: uint64(no), Person: c.Person}
}

// maxSteps bounds the steps of one case: no desk takes more.
const maxSteps = 1000

// applyCaseMove moves a case. When the desk is done with cover that came in
// unverified, the cover counts as verified.
func (m *Machine) applyCaseMove(a *act, c *ledgerapi.CaseMove, out *ledgerapi.Result) {
	if c.To < ledgerapi.CaseNew || c.To > ledgerapi.CaseRefused {
		refuse(out, ledgerapi.Malformed)
		return
	}
	x := m.cases.get(c.Case)
	switch {
	case x == nil:
		refuse(out, ledgerapi.NotFound)
		return
	case !enrol.Case(x.state, c.To):
		refuse(out, ledgerapi.BadTransition)
		return
	case x.steps == maxSteps:
		refuse(out, ledgerapi.SeqExhausted)
		return
	}
	x = m.cases.change(c.Case)
	x.steps++
	x.state, x.owner = c.To, c.Owner
	m.caseSteps.add(caseStep{key: caseStepKey{x.no, x.steps}, to: c.To, on: m.today(), owner: c.Owner, maker: a.maker,
		note: m.putBlob([]byte(c.Note)), noteLen: uint32(len(c.Note))})
	if x.cover.fund != 0 && c.To == ledgerapi.CaseDone {
		m.covers.change(x.cover).flags &^= coverUnverified
	}
	*out = ledgerapi.Result{Code: ledgerapi.OK, No: uint64(x.no), Person: x.person}
}
