package main

import (
	"fmt"
	"strings"

	"github.com/shebao-pay/shebao/ledger"
	"github.com/shebao-pay/shebao/ledger/core"
	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
	"github.com/shebao-pay/shebao/simulators/load"
	"github.com/shebao-pay/shebao/simulators/stage"
)

// held verifies each node's stopped ledger as shebaoctl does, and asks it for
// every payment that was acknowledged: each must be posted with its receipt and
// amount, and none but one for a notice. All nodes must end in one chain head.
// What the bank says it has taken is held against the first node.
func held(dirs []string, acks []load.Ack, bank *profile.Profile, out *stage.LoadResult) error {
	lost, doubled, head := 0, 0, ""
	var wrong []string
	for i, dir := range dirs {
		rep, err := ledger.VerifyAnd(dir, nil, func(m *core.Machine) {
			l, d := missed(m, acks)
			lost, doubled = max(lost, l), max(doubled, d)
			if out.BankFen != nil && out.LedgerFen == nil {
				fen := ledgerFen(m, []*profile.Profile{bank})[bank.Code]
				out.LedgerFen = &fen
			}
		})
		if err != nil {
			return err
		}
		wrong = append(wrong, rep.Problems...)
		if i > 0 && rep.Head != head {
			wrong = append(wrong, fmt.Sprintf("%s ends in chain head %s, %s in %s", stage.NodeName(i), head, stage.NodeName(i+1), rep.Head))
		}
		head = rep.Head
	}
	out.Verify = "ok"
	if len(wrong) > 0 {
		out.Verify = strings.Join(wrong, "; ")
	}
	if out.Kills != nil {
		out.Lost, out.Doubled = &lost, &doubled
	}
	return nil
}

// checkLedger verifies one node's stopped ledger and asks it for every payment
// that was acknowledged. look may ask for more.
func checkLedger(dir string, acks []load.Ack, out *stage.LoadResult, look func(*core.Machine)) error {
	lost, doubled := 0, 0
	rep, err := ledger.VerifyAnd(dir, nil, func(m *core.Machine) {
		lost, doubled = missed(m, acks)
		look(m)
	})
	if err != nil {
		return err
	}
	out.Verify, out.Lost, out.Doubled = "ok", &lost, &doubled
	if !rep.OK() {
		out.Verify = strings.Join(rep.Problems, "; ")
	}
	return nil
}

// missed counts the acknowledged payments that a ledger does not hold as they
// were acknowledged, and those of a notice that another payment had paid. A due
// that two payments paid at terminals shows in the bank's books and nowhere else.
func missed(m *core.Machine, acks []load.Ack) (lost, doubled int) {
	paid := make(map[si.NoticeNo]si.PaymentID, len(acks))
	for _, a := range acks {
		p, ok := m.Payment(a.Payment)
		if !ok || p.State != ledgerapi.PayPosted || p.Receipt != a.Receipt || p.Total != a.Amount {
			lost++
		}
		if a.Notice == 0 {
			continue // paid at a terminal, without a notice
		}
		if other, twice := paid[a.Notice]; twice && other != a.Payment {
			doubled++
		}
		paid[a.Notice] = a.Payment
	}
	return lost, doubled
}
