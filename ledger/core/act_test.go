package core

import (
	"testing"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// as applies one command of a user.
func (r *rig) as(actor si.Actor, c ledgerapi.Command) ledgerapi.Result {
	r.t.Helper()
	r.at++
	b := ledgerapi.AppendRecord(nil, ledgerapi.Header{AtMillis: uint64(r.at), Actor: actor}, c)
	r.log = append(r.log, b)
	r.index++
	results, err := r.m.ApplyBatch(r.index, b, nil)
	if err != nil {
		r.t.Fatalf("ApplyBatch: %v", err)
	}
	return results[0]
}

// act makes an Act with a new id.
func (r *rig) act(do ledgerapi.Body) ledgerapi.Act { return ledgerapi.Act{ID: r.id(), Do: do} }

func TestProxy(t *testing.T) {
	r := newRig(t, Config{}).open(2)
	today := r.m.today()
	give := &ledgerapi.Proxy{Person: 1, Agent: 2, Scope: ledgerapi.ScopePay | ledgerapi.ScopeLook, Until: today + 3}
	r.must(r.act(give))
	for _, tc := range []struct {
		person, agent si.PersonNo
		on            si.BusinessDate
		want          ledgerapi.Scope
	}{{1, 2, today, give.Scope}, {1, 2, today + 3, give.Scope}, {1, 2, today + 4, 0}, {2, 1, today, 0}, {1, 1, today, 0}} {
		if got := r.m.Scope(tc.person, tc.agent, tc.on); got != tc.want {
			t.Errorf("Scope(%d, %d, %d) = %b, want %b", tc.person, tc.agent, tc.on, got, tc.want)
		}
	}
	r.must(r.act(&ledgerapi.Proxy{Person: 1, Agent: 2}))
	if got := r.m.Scope(1, 2, today); got != 0 {
		t.Errorf("Scope after its end = %b, want 0", got)
	}
	for _, tc := range []struct {
		c    ledgerapi.Proxy
		want ledgerapi.Code
	}{
		{ledgerapi.Proxy{Person: 3, Agent: 2, Scope: 1, Until: today}, ledgerapi.NotFound},
		{ledgerapi.Proxy{Person: 1, Agent: 3, Scope: 1, Until: today}, ledgerapi.NotFound},
		{ledgerapi.Proxy{Person: 1, Agent: 1, Scope: 1, Until: today}, ledgerapi.Malformed},
		{ledgerapi.Proxy{Person: 1, Agent: 2, Scope: 1, Until: today - 1}, ledgerapi.Malformed},
		{ledgerapi.Proxy{Person: 1, Agent: 2, Scope: 1 << 7, Until: today}, ledgerapi.Malformed},
	} {
		if got := r.do(r.act(&tc.c)).Code; got != tc.want {
			t.Errorf("%+v = %s, want %s", tc.c, got, tc.want)
		}
	}
	r.check()
}
