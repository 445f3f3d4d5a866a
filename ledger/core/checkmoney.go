package core

import (
	"fmt"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// checkMoney holds the books against the records of suspense, refunds and runs,
// and the days against the payments that are in memory.
func (m *Machine) checkMoney() error {
	var rest, owed [funds]si.Fen
	for i := uint32(1); i <= m.suspenses.used; i++ {
		s := m.suspenses.at(i)
		if s.rest < 0 || s.rest > s.amount {
			return fmt.Errorf("suspense %d of %d fen has %d left", s.no, s.amount, s.rest)
		}
		rest[s.fund] += s.rest
	}
	for i := uint32(1); i <= m.refunds.used; i++ {
		x := m.refunds.at(i)
		if x.open() {
			owed[x.fund] += x.amount
		}
		if x.due == 0 || x.state == ledgerapi.RefundWithdrawn || x.reopened {
			continue
		}
		if d, ok := m.anyDue(x.due); !ok || d.state != ledgerapi.DueRefunded {
			return fmt.Errorf("refund %d is in state %d, its due %d is %s", x.no, x.state, x.due, d.state)
		}
	}
	for f := 1; f < funds; f++ {
		b := &m.books[f].acc
		if got := b[accSuspense].credit(); got != rest[f] {
			return fmt.Errorf("2001.02 of %s is %d fen, its receipts have %d left", si.Fund(f), got, rest[f])
		}
		if got := b[accRefunds].credit(); got != owed[f] {
			return fmt.Errorf("2001.90 of %s is %d fen, its refunds owe %d", si.Fund(f), got, owed[f])
		}
	}
	if err := m.checkRuns(); err != nil {
		return err
	}
	if err := m.checkIndexes(); err != nil {
		return err
	}
	return m.checkDates()
}

// paidDue is a due as a payment paid it.
type paidDue struct {
	payment si.PaymentID
	due     si.DueID
}

// checkRuns counts the lines of every run anew.
func (m *Machine) checkRuns() error {
	type figures struct{ lines, answered, won, live uint32 }
	got := make([]figures, m.runs.used+1)
	for i := uint32(1); i <= m.runLines.used; i++ {
		l := m.runLines.at(i)
		x := m.runs.get(l.key.run)
		if x == nil {
			return fmt.Errorf("line %d of run %d has no run", l.key.line, l.key.run)
		}
		n := &got[x.no]
		n.lines++
		if l.result != ledgerapi.LineNone {
			n.answered++
		}
		if l.result == ledgerapi.LineSuccess {
			n.won++
		}
		p, _ := m.find(ledgerapi.LinePayment(x.date, x.no, l.key.line))
		if p == nil || p.channel != si.ChannelBatch || p.total != l.total {
			return fmt.Errorf("line %d of run %d has no payment of its own", l.key.line, l.key.run)
		}
		if p.live() {
			n.live++
		}
	}
	for i := uint32(1); i <= m.runs.used; i++ {
		x := m.runs.at(i)
		if (figures{x.lines, x.answered, x.won, x.live}) != got[x.no] {
			return fmt.Errorf("run %d counts %d lines, %d answered, %d debited, %d live; its lines are %+v", x.no, x.lines,
				x.answered, x.won, x.live, got[x.no])
		}
		for f := range x.success {
			if x.posted[f] > x.success[f] || x.credited[f] > x.success[f] {
				return fmt.Errorf("run %d of %s posted %d fen and was credited %d of %d", x.no, si.Fund(f), x.posted[f], x.credited[f], x.success[f])
			}
		}
		if x.state == ledgerapi.RunPosted && x.posted != x.credited {
			return fmt.Errorf("run %d is posted, its clearing account is not empty", x.no)
		}
	}
	return nil
}

// checkIndexes holds that statement lines, logins, breaks and runs are unique and
// found.
func (m *Machine) checkIndexes() error {
	for i := uint32(1); i <= m.statements.used; i++ {
		if m.statements.index.get(m.statements.at(i).key) != i {
			return fmt.Errorf("statement line %q is booked twice", m.statements.at(i).key.ref)
		}
	}
	for i := uint32(1); i <= m.users.used; i++ {
		if u := m.users.at(i); m.loginOf[u.login] != u.actor {
			return fmt.Errorf("login %q of user %d is another's", u.login, u.actor)
		}
	}
	open := map[breakRow]bool{}
	for i := uint32(1); i <= m.breaks.used; i++ {
		b := m.breaks.at(i)
		if b.state != ledgerapi.BreakClosed && (open[b.row] || m.breakOf[b.row] != b.no) {
			return fmt.Errorf("break %d is open twice, or not found by its row", b.no)
		}
		open[b.row] = open[b.row] || b.state != ledgerapi.BreakClosed
	}
	return nil
}

// checkDates holds that what a date took is what its payments say, red entries
// and corrections taken off, and that its trial balance is zero.
func (m *Machine) checkDates() error {
	type bankDate struct {
		bank si.Bank
		date si.BusinessDate
	}
	paid := map[bankDate]si.Fen{}
	dated := map[si.BusinessDate]Sum{}
	for slot := uint32(1); slot <= m.pays.used; slot++ {
		if p := m.pays.at(slot); p.state == ledgerapi.PayPosted && p.channel != si.ChannelBatch && p.flags&paySuspense == 0 {
			paid[bankDate{p.bank, p.book}] += p.total
		}
		if p := m.pays.at(slot); p.state == ledgerapi.PayPosted && p.book > m.sealed {
			s := dated[p.book]
			s.add(Sum{1, p.total})
			dated[p.book] = s
		}
	}
	for _, s := range m.postedOn {
		if dated[s.date] != s.Sum {
			return fmt.Errorf("%d payments of %d fen are posted on %s, the tally says %d of %d", dated[s.date].Count,
				dated[s.date].Amount, s.date, s.Count, s.Amount)
		}
	}
	for i := range m.banks {
		for _, d := range m.banks[i].days {
			x := &d.funds[0]
			if want := x.payments.Amount - x.reversals.Amount - x.corrected; d.date > m.sealed && paid[bankDate{si.Bank(i), d.date}] != want {
				return fmt.Errorf("bank %d took %d fen on %s, its payments come to %d", i, want, d.date, paid[bankDate{si.Bank(i), d.date}])
			}
		}
	}
	for _, x := range m.dates {
		if x.date <= m.sealed {
			return fmt.Errorf("the sealed %s is still open to entries", x.date)
		}
		if m.checkSheet(x.date, m.sheetOn(x.date)); m.broken != nil {
			return m.broken
		}
	}
	return nil
}
