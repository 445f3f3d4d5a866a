package core

import (
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
	"github.com/shebao-pay/shebao/si/ledgerapi/wire"
)

// proxy is one person's leave for another to act (委托授权).
type proxy struct {
	key   proxyKey
	scope ledgerapi.Scope
	until si.BusinessDate
	next  [2]uint32 // in machine.agencies
}

type proxyKey struct{ person, agent si.PersonNo }

func (k proxyKey) hash() uint64 { return mix(uint64(k.person)<<32 | uint64(k.agent)) }

func proxyRow(dst []byte, k proxyKey) []byte {
	return be32(be32(dst, uint32(k.person)), uint32(k.agent))
}

func proxyFields(f *wire.Form, p *proxy) {
	wire.U32(f, &p.key.person)
	wire.U32(f, &p.key.agent)
	wire.U8(f, &p.scope)
	wire.U16(f, &p.until)
}

func (m *Machine) shelveProxies() {
	m.proxies = shelve(m, classProxy, BucketProxy, proxyKey.hash, func(p *proxy) proxyKey { return p.key }, proxyRow, proxyFields)
	m.agencies[0] = newThread(func(slot uint32) (si.PersonNo, *uint32) {
		p := m.proxies.at(slot)
		return p.key.person, &p.next[0]
	})
	m.agencies[1] = newThread(func(slot uint32) (si.PersonNo, *uint32) {
		p := m.proxies.at(slot)
		return p.key.agent, &p.next[1]
	})
	m.proxies.placed = func(slot uint32, _ *proxy) {
		m.agencies[0].put(slot)
		m.agencies[1].put(slot)
	}
}

const allScopes = ledgerapi.ScopeLook | ledgerapi.ScopePay | ledgerapi.ScopeCover | ledgerapi.ScopePaper

func (m *Machine) applyProxy(c *ledgerapi.Proxy, out *ledgerapi.Result) {
	if m.personOf(c.Person) == nil || m.personOf(c.Agent) == nil {
		refuse(out, ledgerapi.NotFound)
	} else if c.Scope != 0 && m.dead(c.Person, c.Agent) && refuse(out, ledgerapi.BadTransition) {
		out.Reasons = uint32(ledgerapi.ReasonDeceased)
	}
	if c.Person == c.Agent || c.Scope&^allScopes != 0 || (c.Scope != 0 && c.Until < m.today()) {
		refuse(out, ledgerapi.Malformed)
	}
	if out.Code != 0 {
		return
	}
	key := proxyKey{c.Person, c.Agent}
	if p := m.proxies.change(key); p != nil {
		p.scope, p.until = c.Scope, c.Until
	} else {
		m.proxies.add(proxy{key: key, scope: c.Scope, until: c.Until})
	}
	out.Code, out.Person = ledgerapi.OK, c.Person
}

// Scope is what agent may do for person on a date, 0 for nothing. It ends with
// the death of either.
func (m *Machine) Scope(person, agent si.PersonNo, on si.BusinessDate) ledgerapi.Scope {
	p := m.proxies.get(proxyKey{person, agent})
	if p == nil || p.until < m.on(on) || m.dead(person, agent) {
		return 0
	}
	return p.scope
}

// dead tells whether one of some persons is marked deceased.
func (m *Machine) dead(all ...si.PersonNo) bool {
	for _, no := range all {
		if m.personOf(no).flags&ledgerapi.FlagDeceased != 0 {
			return true
		}
	}
	return false
}
