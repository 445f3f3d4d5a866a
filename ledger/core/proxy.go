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

const allScopes = ledgerapi.ScopeLook | ledgerapi.ScopePay | ledgerapi.ScopeCover | ledgerapi.ScopePaper

func (m *Machine) applyProxy(c *ledgerapi.Proxy, out *ledgerapi.Result) {
	if m.personOf(c.Person) == nil || m.personOf(c.Agent) == nil {
		refuse(out, ledgerapi.NotFound)
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
		m.proxies.add(proxy{key, c.Scope, c.Until})
	}
	out.Code, out.Person = ledgerapi.OK, c.Person
}

// Scope is what agent may do for person on a date, 0 for nothing.
func (m *Machine) Scope(person, agent si.PersonNo, on si.BusinessDate) ledgerapi.Scope {
	p := m.proxies.get(proxyKey{person, agent})
	if p == nil || p.until < m.on(on) {
		return 0
	}
	return p.scope
}
