package world

import (
	"fmt"

	"github.com/shebao-pay/shebao/ledger/core"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// Table is one table of a day's records, as their keepers have them: each bank
// its book, the ledger its log and its journal, each terminal and counter its
// own. Rows have the columns of simulators/oracle/schema.sql, in that order.
type Table struct {
	Name string
	Rows [][]any // int64 or string
}

func (t *Table) add(row ...any) { t.Rows = append(t.Rows, row) }

// booking is one line of a bank's own book about our account.
type booking struct {
	key  dealKey      // of a payment over the wire
	id   si.PaymentID // of one at the counter
	kind string
	date si.BusinessDate // settlement date of the debit, also of its reversal
	fen  si.Fen          // to our account; negative: from it
}

// The kinds of bookings.
const (
	bookDebit    = "debit"
	bookReversal = "reversal"
	bookCash     = "cash"
	bookCashBack = "cash-back"
)

// export writes the day's records as tables. What the ledger has is read from
// its log again, by a machine that keeps its journal; nothing is taken from the
// truth but what a bank lied about and what the world's own match found.
func (w *World) export() ([]Table, error) {
	deals, ledgerSide, err := w.exportLedger()
	if err != nil {
		return nil, fmt.Errorf("world: export: %w", err)
	}
	return append(append(w.exportBanks(), w.exportPeople()...), append(ledgerSide, deals)...), nil
}

func (w *World) exportBanks() []Table {
	bank, book, lie, found := Table{Name: "bank"}, Table{Name: "booking"}, Table{Name: "lie"}, Table{Name: "found"}
	for _, b := range w.order {
		bank.add(int64(b.no), int64(b.si), int64(b.taken), int64(b.counter.cash))
		for _, x := range b.book {
			deal := x.id.String()
			if x.kind == bookDebit || x.kind == bookReversal {
				deal = x.key.text()
			}
			book.add(int64(b.no), deal, x.kind, ymd(x.date), int64(x.fen))
		}
		for _, key := range b.order {
			if f := w.truth.lies[bankDeal{b.no, key}]; f != FaultNone {
				lie.add(int64(b.no), key.text(), f.String())
			}
		}
	}
	for _, k := range w.truth.breaks {
		found.add(int64(k.bank), k.key.text())
	}
	return []Table{bank, book, lie, found}
}

func (w *World) exportPeople() []Table {
	told, intents, tellers := Table{Name: "told"}, Table{Name: "intent"}, Table{Name: "teller"}
	for _, t := range w.terminals {
		for _, x := range t.told {
			told.add(x.id.String(), endingNames[x.ending])
		}
		for _, i := range t.journal {
			intents.add(i.id.String(), int64(i.total), i.state.String())
		}
	}
	for _, b := range w.order {
		for _, t := range b.counter.tellers {
			cash := int64(0)
			if t.kept {
				cash = 1
			}
			tellers.add(int64(b.no), t.pay.ID.String(), int64(t.pay.Total), cash)
		}
	}
	return []Table{told, intents, tellers}
}

// exportLedger reads the log again: the deals that it knows, then what it did
// and what it has.
func (w *World) exportLedger() (deals Table, all []Table, err error) {
	m := core.New(core.Config{Region: region, Area: area})
	deals = Table{Name: "deal"}
	proof := Table{Name: "proof"}
	var ids []si.PaymentID
	seen := map[si.PaymentID]bool{}
	for _, e := range w.ledger.batches {
		results, err := m.ApplyBatch(e.index, e.data, nil)
		if err != nil {
			return deals, nil, fmt.Errorf("entry %d: %w", e.index, err)
		}
		rest := e.data
		for i := range results {
			_, c, n, err := ledgerapi.DecodeRecord(rest)
			if err != nil {
				return deals, nil, fmt.Errorf("entry %d, record %d: %w", e.index, i, err)
			}
			rest = rest[n:]
			r := &results[i]
			if r.Code != ledgerapi.OK {
				continue
			}
			id := c.Key()
			switch c := c.(type) {
			case ledgerapi.Reserve:
				deals.add(int64(c.Bank), dealKey{c.Acq, r.STAN, r.DE7, c.Batch}.text(), id.String())
			case ledgerapi.Pay:
				deals.add(int64(c.Bank), id.String(), id.String())
			case ledgerapi.Post:
				proof.add(id.String(), int64(c.Evidence.Source), bit(c.Evidence.MACOK), string(c.Evidence.Resp[:]), int64(c.Maker), int64(c.Checker))
				continue
			case ledgerapi.Void, ledgerapi.Reverse:
			default:
				continue
			}
			if !seen[id] {
				seen[id] = true
				ids = append(ids, id)
			}
		}
	}
	return deals, append(journalOf(m), w.payments(m, ids), w.dues(m), w.totals(m), proof), nil
}

func (w *World) payments(m *core.Machine, ids []si.PaymentID) Table {
	t := Table{Name: "payment"}
	for _, id := range ids {
		p, _ := m.Payment(id)
		t.add(id.String(), int64(p.Bank), int64(p.Channel), int64(p.Total), p.State.String())
	}
	return t
}

// journalOf are the entries of the ledger's journal that are about payments.
func journalOf(m *core.Machine) []Table {
	entries, lines, parts := Table{Name: "entry"}, Table{Name: "line"}, Table{Name: "part"}
	const page = 1000
	for from := uint64(1); ; from += page {
		rows := m.Journal(from, page)
		for _, j := range rows {
			sign := int64(0)
			switch j.Kind {
			case core.JournalPost, core.JournalPay:
				sign = 1
			case core.JournalUnpost, core.JournalReverse:
				sign = -1
			default:
				continue // a void moves nothing that is posted
			}
			entries.add(int64(j.No), j.ID.String(), int64(j.Bank), ymd(j.Date), sign, int64(j.Total))
			for _, l := range j.Lines {
				lines.add(int64(j.No), int64(l.Fund), int64(l.Code), int64(l.Dr), int64(l.Cr))
			}
			for _, d := range j.Dues {
				parts.add(int64(j.No), int64(d.ID), int64(d.Amount+d.LateFee))
			}
		}
		if len(rows) < page {
			return []Table{entries, lines, parts}
		}
	}
}

func (w *World) dues(m *core.Machine) Table {
	t := Table{Name: "due"}
	for _, c := range w.people {
		for _, d := range m.DuesOf(c.no, si.DateOf(w.true())) {
			t.add(int64(d.Ref.ID), int64(d.Ref.Amount), d.State.String())
		}
	}
	return t
}

func (w *World) totals(m *core.Machine) Table {
	t := Table{Name: "total"}
	first := si.DateOf(w.epoch) - 1
	for _, b := range w.order {
		for date := first; date < first+5; date++ {
			tot := m.Totals(b.no, date)
			t.add(int64(b.no), ymd(date), int64(tot.Payments.Amount), int64(tot.Reversals.Amount))
		}
	}
	return t
}

// ymd is a date as the number that a person reads, such as 20261124.
func ymd(d si.BusinessDate) int64 {
	t := d.Time().In(si.China)
	return int64(t.Year()*10_000 + int(t.Month())*100 + t.Day())
}

func bit(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// text is how both sides write the numbers of a payment on the wire.
func (k dealKey) text() string { return fmt.Sprintf("%s/%06d/%s/%d", k.acq, k.stan, k.de7, k.batch) }
