package core

import (
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
	"github.com/shebao-pay/shebao/si/ledgerapi/wire"
)

// binding is a person's mobile number (手机绑定); a zero hash is none.
type binding struct {
	person si.PersonNo
	sealed uint32 // reference to length bytes
	length uint32
	phone  si.Hash
	since  si.BusinessDate
	optOut bool
}

func (m *Machine) bindingFields(f *wire.Form, b *binding) {
	wire.U32(f, &b.person)
	f.Fixed(b.phone[:])
	f.Bool(&b.optOut)
	wire.U16(f, &b.since)
	m.blobField(f, &b.sealed, &b.length, ledgerapi.MaxSealed)
}

// certified is one life certification (生存认证).
type certified struct {
	key   certifiedKey
	maker si.Actor
	on    si.BusinessDate
	until si.BusinessDate
	next  si.BusinessDate
	kind  ledgerapi.CertifyKind
}

type certifiedKey struct {
	person si.PersonNo
	n      uint16 // from 1
}

func (k certifiedKey) hash() uint64 { return mix(uint64(k.person)<<16 | uint64(k.n)) }

func certifiedRow(dst []byte, k certifiedKey) []byte { return be16(be32(dst, uint32(k.person)), k.n) }

func certifiedFields(f *wire.Form, c *certified) {
	wire.U32(f, &c.key.person)
	wire.U16(f, &c.key.n)
	wire.U8(f, &c.kind)
	wire.U16(f, &c.on)
	wire.U16(f, &c.until)
	wire.U16(f, &c.next)
	wire.U32(f, &c.maker)
}

// paper is one statement of rights that was issued (权益单).
type paper struct {
	no     ledgerapi.StatementNo
	person si.PersonNo
	next   uint32
	hash   [32]byte
	from   si.Period
	to     si.Period
	issued si.BusinessDate
	kind   uint8
}

func paperFields(f *wire.Form, s *paper) {
	wire.U64(f, &s.no)
	wire.U32(f, &s.person)
	wire.U8(f, &s.kind)
	wire.U16(f, &s.from)
	wire.U16(f, &s.to)
	wire.U16(f, &s.issued)
	f.Fixed(s.hash[:])
}

// paperShelves are bindings, life certifications and statements.
type paperShelves struct {
	bindings  *shelf[si.PersonNo, binding]
	certified *shelf[certifiedKey, certified]
	papers    *shelf[ledgerapi.StatementNo, paper]
	papersOf  *thread
}

func (m *Machine) shelvePapers() {
	m.bindings = shelve(m, classBinding, BucketBinding, func(no si.PersonNo) uint64 { return mix(uint64(no)) },
		func(b *binding) si.PersonNo { return b.person },
		func(dst []byte, no si.PersonNo) []byte { return be32(dst, uint32(no)) }, m.bindingFields)
	m.certified = shelve(m, classCertified, BucketCertified, certifiedKey.hash, func(c *certified) certifiedKey { return c.key },
		certifiedRow, certifiedFields)
	m.papers = shelve(m, classStatement, BucketStatement, numberHash[ledgerapi.StatementNo],
		func(s *paper) ledgerapi.StatementNo { return s.no }, numberRow[ledgerapi.StatementNo], paperFields)
	m.papersOf = newThread(func(slot uint32) (si.PersonNo, *uint32) {
		s := m.papers.at(slot)
		return s.person, &s.next
	})
	m.papers.placed = func(slot uint32, _ *paper) { m.papersOf.put(slot) }
}

// applyBind binds or, with a zero hash, ends a binding. What is so already is
// answered EXISTS, however it was sealed.
func (m *Machine) applyBind(c *ledgerapi.Bind, out *ledgerapi.Result) {
	if (c.Phone == (si.Hash{})) != (len(c.Sealed) == 0) || (c.Phone == (si.Hash{}) && c.OptOut) {
		refuse(out, ledgerapi.Malformed)
	}
	if m.personOf(c.Person) == nil {
		refuse(out, ledgerapi.NotFound)
	}
	if out.Code != 0 {
		return
	}
	b := m.bindings.get(c.Person)
	if b == nil && c.Phone == (si.Hash{}) || b != nil && b.phone == c.Phone && b.optOut == c.OptOut {
		*out = ledgerapi.Result{Code: ledgerapi.Exists, First: ledgerapi.OK, Person: c.Person}
		return
	}
	if b == nil {
		m.bindings.add(binding{person: c.Person})
	}
	b = m.bindings.change(c.Person)
	m.blobs.drop(b.sealed, int(b.length))
	b.phone, b.optOut, b.since = c.Phone, c.OptOut, m.today()
	b.sealed, b.length = m.putBlob(c.Sealed), uint32(len(c.Sealed))
	out.Code, out.Person = ledgerapi.OK, c.Person
}

// lastCertified is a person's latest life certification and its number.
func (m *Machine) lastCertified(who si.PersonNo) (last *certified) {
	for n := uint16(1); n != 0; n++ {
		c := m.certified.get(certifiedKey{who, n})
		if c == nil {
			break
		}
		last = c
	}
	return last
}

func (m *Machine) applyCertify(a *act, c *ledgerapi.Certify, out *ledgerapi.Result) {
	if c.Kind < ledgerapi.CertifyPINAndCard || c.Kind > ledgerapi.CertifyVisit || c.On == 0 || c.On > m.today() ||
		c.Until < c.On || c.Next < c.On {
		refuse(out, ledgerapi.Malformed)
		return
	}
	p := m.personOf(c.Person)
	if p == nil {
		refuse(out, ledgerapi.NotFound)
		return
	}
	var no ledgerapi.Reasons
	if m.dead(c.Person) {
		no |= ledgerapi.ReasonDeceased
	}
	if p.flags&ledgerapi.FlagRetired == 0 && p.ptype != si.Retiree {
		no |= ledgerapi.ReasonNotPensioner
	}
	if no != 0 && refuse(out, ledgerapi.BadTransition) {
		out.Reasons = uint32(no)
	}
	key := certifiedKey{c.Person, 1}
	if last := m.lastCertified(c.Person); last != nil {
		switch {
		case out.Code == 0 && last.kind == c.Kind && last.on == c.On && last.until == c.Until && last.next == c.Next:
			*out = ledgerapi.Result{Code: ledgerapi.Exists, First: ledgerapi.OK, Person: c.Person}
			return
		case c.On < last.on:
			refuse(out, ledgerapi.BadTransition) // a later one is on record
		case last.key.n == 1<<16-1:
			refuse(out, ledgerapi.SeqExhausted)
		}
		key.n = last.key.n + 1
	}
	if out.Code != 0 {
		return
	}
	m.certified.add(certified{key: key, kind: c.Kind, on: c.On, until: c.Until, next: c.Next, maker: a.maker})
	out.Code, out.Person = ledgerapi.OK, c.Person
}

func (m *Machine) applyIssueStatement(c *ledgerapi.IssueStatement, out *ledgerapi.Result) {
	if c.Kind == 0 || c.From.Start() > c.To.Start() || c.Hash == [32]byte{} {
		refuse(out, ledgerapi.Malformed)
	}
	if m.personOf(c.Person) == nil {
		refuse(out, ledgerapi.NotFound)
	}
	if out.Code != 0 {
		return
	}
	no := ledgerapi.StatementNo(m.papers.used) + 1
	m.papers.add(paper{no: no, person: c.Person, kind: c.Kind, from: c.From, to: c.To, hash: c.Hash, issued: m.today()})
	*out = ledgerapi.Result{Code: ledgerapi.OK, No: uint64(no), Person: c.Person}
}
