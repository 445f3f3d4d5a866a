package recon

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"github.com/shebao-pay/shebao/si"
)

// none is no row.
const none = -1

// group is what the bank's file says of one payment: a debit, what gave it back,
// or both, as numbers of rows.
type group struct {
	paid, back int32
	paired     bool // the debit of back is in the file of a date beside
	taken      bool // by a row of the ledger
}

// matcher is one match under way.
type matcher struct {
	in     *Input
	groups []group
	// more are the further lines of a group, by its number: they make it a
	// duplicate.
	more map[int32][]int32
	// Of each row of the ledger: its group, its row of a terminal, and whether
	// another row of the ledger has the same key.
	bank, term []int32
	twin       []bool
	res        *Result
}

// Match gives every row its verdict. An error is a row that cannot be: the
// caller's sources are broken, and nothing was matched.
func Match(in *Input) (*Result, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	m := &matcher{
		in: in, more: map[int32][]int32{}, bank: make([]int32, len(in.Ledger)), term: make([]int32, len(in.Ledger)), twin: make([]bool, len(in.Ledger)),
		res: &Result{Date: in.Date, Lines: make([]Line, 0, len(in.Ledger)+64)},
	}
	for i := range in.Ledger {
		m.bank[i], m.term[i] = none, none
	}
	m.gather()
	join(m, m.serialOf, func(r *LedgerRow) Serial { return r.Serial }, compareSerial)
	join(m, func(g *group) sumKey { return m.row(g).sum() }, (*LedgerRow).sum, compareSum)
	// What is left of one trace differs in its sum.
	join(m, func(g *group) Trace { return m.row(g).Trace }, func(r *LedgerRow) Trace { return r.Trace }, compareTrace)
	if err := m.verdicts(); err != nil {
		return nil, err
	}
	m.res.finish()
	return m.res, nil
}

// sumKey is a trace with the sum; all zero if there is no trace.
type sumKey struct {
	trace  Trace
	amount si.Fen
}

func (r *BankRow) sum() (k sumKey) {
	if r.Trace != (Trace{}) {
		k = sumKey{r.Trace, r.Amount}
	}
	return k
}

func (r *LedgerRow) sum() (k sumKey) {
	if r.Trace != (Trace{}) {
		k = sumKey{r.Trace, r.Amount}
	}
	return k
}

func compareSerial(a, b Serial) int { return bytes.Compare(a[:], b[:]) }

func compareTrace(a, b Trace) int {
	if a.STAN != b.STAN {
		return cmp.Compare(a.STAN, b.STAN)
	}
	if c := bytes.Compare(a.RRN[:], b.RRN[:]); c != 0 {
		return c
	}
	return bytes.Compare(a.DE41[:], b.DE41[:])
}

func compareSum(a, b sumKey) int {
	if c := compareTrace(a.trace, b.trace); c != 0 {
		return c
	}
	return cmp.Compare(a.amount, b.amount)
}

func comparePayment(a, b si.PaymentID) int { return bytes.Compare(a[:], b[:]) }

// compareLines is an order of a file's lines that does not depend on where they
// stand.
func compareLines(a, b *BankRow) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), compareSerial(a.Serial, b.Serial), compareSum(a.sum(), b.sum()), cmp.Compare(a.Amount, b.Amount),
		compareSerial(a.Original, b.Original), bytes.Compare(a.Reference[:], b.Reference[:]), bytes.Compare(a.Alias[:], b.Alias[:]))
}

// keyed is a row with one of its keys.
type keyed[K comparable] struct {
	key K
	row int32
}

// index sorts the rows of n that have a key; about so many of them do.
func index[K comparable](n, about int, key func(i int32) (K, bool), compare func(a, b K) int) []keyed[K] {
	var zero K
	out := make([]keyed[K], 0, about)
	for i := range int32(n) { // #nosec G115 -- at most MaxRows
		if k, ok := key(i); ok && k != zero {
			out = append(out, keyed[K]{k, i})
		}
	}
	slices.SortFunc(out, func(a, b keyed[K]) int {
		if c := compare(a.key, b.key); c != 0 {
			return c
		}
		return cmp.Compare(a.row, b.row)
	})
	return out
}

// run cuts off the rows at the front that have one key.
func run[K comparable](rows []keyed[K]) (same, rest []keyed[K]) {
	n := 1
	for n < len(rows) && rows[n].key == rows[0].key {
		n++
	}
	return rows[:n], rows[n:]
}

// merge calls both for each key that rows of both sides have.
func merge[K comparable](left, right []keyed[K], compare func(a, b K) int, both func(l, r []keyed[K])) {
	for len(left) > 0 && len(right) > 0 {
		switch c := compare(left[0].key, right[0].key); {
		case c < 0:
			left = left[1:]
		case c > 0:
			right = right[1:]
		default:
			var l, r []keyed[K]
			l, left = run(left)
			r, right = run(right)
			both(l, r)
		}
	}
}

// row is the line that names a group: its debit, else what gave it back.
func (m *matcher) row(g *group) *BankRow {
	if g.paid != none {
		return &m.in.Bank[g.paid]
	}
	return &m.in.Bank[g.back]
}

// serialOf is the bank's number of a group's debit.
func (m *matcher) serialOf(g *group) Serial {
	if g.paid != none {
		return m.in.Bank[g.paid].Serial
	}
	return m.in.Bank[g.back].Original
}

// gather makes groups of the file's lines: each debit, with the line that gives
// it back, found by the debit's serial, else by trace and sum.
func (m *matcher) gather() {
	rows := m.in.Bank
	debits := index(len(rows), len(rows), func(i int32) (Serial, bool) {
		return rows[i].Serial, rows[i].Kind == Paid || rows[i].Kind == BatchPaid
	}, compareSerial)
	for len(debits) > 0 {
		var same []keyed[Serial]
		same, debits = run(debits)
		at := m.first(same)
		m.groups = append(m.groups, group{paid: at, back: none})
		m.add(int32(len(m.groups)-1), same, at) // #nosec G115 -- at most MaxRows
	}
	left := make([]bool, len(rows)) // what gives something back and has found no debit
	for i := range rows {
		left[i] = rows[i].Kind == Reversed
		if r := &rows[i]; r.Kind == Refunded {
			m.res.add(Line{Verdict: RefundLine, Serial: r.Serial, Trace: r.Trace, Bank: BankBack, Amount: r.Amount, Offset: r.Offset})
		}
	}
	giveBack(m, left, func(g *group) Serial { return rows[g.paid].Serial }, func(r *BankRow) Serial { return r.Original }, compareSerial)
	giveBack(m, left, func(g *group) sumKey { return rows[g.paid].sum() }, (*BankRow).sum, compareSum)

	serials, traces := make(map[Serial]bool, len(m.in.Beside)), make(map[Trace]bool, len(m.in.Beside))
	for i := range m.in.Beside {
		if b := &m.in.Beside[i]; b.Kind == Paid || b.Kind == BatchPaid {
			serials[b.Serial], traces[b.Trace] = true, true
		}
	}
	delete(serials, Serial{})
	delete(traces, Trace{})
	odd := index(len(rows), 0, func(i int32) (Serial, bool) { return rows[i].Serial, left[i] }, compareSerial)
	for len(odd) > 0 {
		var same []keyed[Serial]
		same, odd = run(odd)
		at := m.first(same)
		m.groups = append(m.groups, group{paid: none, back: at, paired: serials[rows[at].Original] || traces[rows[at].Trace]})
		m.add(int32(len(m.groups)-1), same, at) // #nosec G115 -- at most MaxRows
	}
}

// first is the line of several that comes first wherever they stand.
func (m *matcher) first(same []keyed[Serial]) int32 {
	at := same[0].row
	for _, k := range same[1:] {
		if compareLines(&m.in.Bank[k.row], &m.in.Bank[at]) < 0 {
			at = k.row
		}
	}
	return at
}

// add gives a group all but one of some lines.
func (m *matcher) add(g int32, lines []keyed[Serial], but int32) {
	for _, k := range lines {
		if k.row != but {
			m.more[g] = append(m.more[g], k.row)
		}
	}
}

// giveBack gives the lines of left to the debits with their key. More than one
// for a debit, or more than one debit, is a duplicate.
func giveBack[K comparable](m *matcher, left []bool, debit func(*group) K, original func(*BankRow) K, compare func(a, b K) int) {
	rows := m.in.Bank
	backs := index(len(rows), 0, func(i int32) (K, bool) {
		if !left[i] {
			var zero K
			return zero, false
		}
		return original(&rows[i]), true
	}, compare)
	named := make(map[K]bool, len(backs)) // few: most debits need not be sorted
	for _, k := range backs {
		named[k.key] = true
	}
	debits := index(len(m.groups), len(backs), func(g int32) (K, bool) {
		k := debit(&m.groups[g])
		return k, m.groups[g].back == none && named[k]
	}, compare)
	merge(debits, backs, compare, func(l, r []keyed[K]) {
		slices.SortFunc(l, func(a, b keyed[K]) int { return compareLines(m.row(&m.groups[a.row]), m.row(&m.groups[b.row])) })
		slices.SortFunc(r, func(a, b keyed[K]) int { return compareLines(&rows[a.row], &rows[b.row]) })
		for i, k := range r {
			left[k.row] = false
			if i < len(l) { // several debits and as many lines: each has its own
				m.groups[l[i].row].back = k.row
				continue
			}
			m.more[l[0].row] = append(m.more[l[0].row], k.row)
		}
	})
}

// join gives rows of the ledger the groups with their key. A key that several
// rows of one side have makes all of them duplicates.
func join[K comparable](m *matcher, of func(*group) K, ledger func(*LedgerRow) K, compare func(a, b K) int) {
	groups := index(len(m.groups), m.free(), func(g int32) (K, bool) {
		if m.groups[g].taken {
			var zero K
			return zero, false
		}
		return of(&m.groups[g]), true
	}, compare)
	rows := index(len(m.in.Ledger), 0, func(i int32) (K, bool) { return ledger(&m.in.Ledger[i]), m.bank[i] == none && !m.twin[i] }, compare)
	merge(groups, rows, compare, func(l, r []keyed[K]) {
		if len(l) > 1 {
			slices.SortFunc(l, func(a, b keyed[K]) int { return compareLines(m.row(&m.groups[a.row]), m.row(&m.groups[b.row])) })
		}
		if len(r) > 1 {
			slices.SortFunc(r, func(a, b keyed[K]) int {
				return comparePayment(m.in.Ledger[a.row].Payment, m.in.Ledger[b.row].Payment)
			})
		}
		main := l[0].row
		m.bank[r[0].row] = main
		for _, g := range l {
			m.groups[g.row].taken = true
		}
		for _, g := range l[1:] {
			for _, line := range []int32{m.groups[g.row].paid, m.groups[g.row].back} {
				if line != none {
					m.more[main] = append(m.more[main], line)
				}
			}
			m.more[main] = append(m.more[main], m.more[g.row]...)
		}
		if len(r) > 1 {
			for _, k := range r {
				m.twin[k.row] = true
			}
		}
	})
}

// free is how many groups no row of the ledger has taken.
func (m *matcher) free() (n int) {
	for i := range m.groups {
		if !m.groups[i].taken {
			n++
		}
	}
	return n
}

// verdicts judges every row of every source.
func (m *matcher) verdicts() error {
	in := m.in
	byPayment := index(len(in.Terminals), len(in.Terminals), func(i int32) (si.PaymentID, bool) { return in.Terminals[i].Payment, true }, comparePayment)
	payments := index(len(in.Ledger), len(in.Ledger), func(i int32) (si.PaymentID, bool) { return in.Ledger[i].Payment, true }, comparePayment)
	for _, rows := range [][]keyed[si.PaymentID]{byPayment, payments} {
		for i := 1; i < len(rows); i++ {
			if rows[i].key == rows[i-1].key {
				return fmt.Errorf("recon: payment %s stands twice in one source", rows[i].key)
			}
		}
	}
	joined := make([]bool, len(in.Terminals))
	merge(payments, byPayment, comparePayment, func(l, r []keyed[si.PaymentID]) {
		m.term[l[0].row], joined[r[0].row] = r[0].row, true
	})
	for i := range in.Ledger {
		m.ofLedger(int32(i)) // #nosec G115 -- at most MaxRows
	}
	// What a terminal knows and the ledger does not meets the bank by its trace.
	alone := index(len(in.Terminals), 0, func(i int32) (Trace, bool) { return in.Terminals[i].Trace, !joined[i] }, compareTrace)
	groups := index(len(m.groups), m.free(), func(g int32) (Trace, bool) { return m.row(&m.groups[g]).Trace, !m.groups[g].taken }, compareTrace)
	merge(groups, alone, compareTrace, func(l, r []keyed[Trace]) {
		if len(l) == 1 && len(r) == 1 {
			m.groups[l[0].row].taken, joined[r[0].row] = true, true
			m.ofGroup(l[0].row, &in.Terminals[r[0].row])
		}
	})
	for g := range m.groups {
		if !m.groups[g].taken {
			m.ofGroup(int32(g), nil) // #nosec G115 -- at most MaxRows
		}
	}
	for i := range in.Terminals {
		if t := &in.Terminals[i]; !joined[i] {
			m.res.add(Line{Verdict: judge(LedgerNone, BankNone, t.State, false, false, false, false), Payment: t.Payment, Trace: t.Trace,
				Terminal: t.State, Amount: t.Amount, Offset: none})
		}
	}
	return nil
}

// state is what a group says of its payment.
func (g *group) state() BankState {
	switch {
	case g.paid == none:
		return BankBack
	case g.back == none:
		return BankPaid
	}
	return BankPaidBack
}

// ofLedger judges a payment of the ledger with what was found for it.
func (m *matcher) ofLedger(i int32) {
	in, r := m.in, &m.in.Ledger[i]
	l := Line{Payment: r.Payment, Serial: r.Serial, Trace: r.Trace, Ledger: r.State, Terminal: NoTerminal, Amount: r.Amount, Offset: none,
		posted: r.State == Posted, carried: r.Carried}
	var term *TerminalRow
	switch {
	case m.term[i] != none:
		term = &in.Terminals[m.term[i]]
		l.Terminal = term.State
	case r.Terminal != 0 && !in.Late[r.Terminal]:
		l.Terminal = TerminalNone
	}
	var g *group
	if m.bank[i] != none {
		g = &m.groups[m.bank[i]]
		b := m.row(g)
		l.Bank, l.Serial, l.Offset = g.state(), b.Serial, b.Offset
	}
	mayCarry := r.EndMillis == 0 || r.EndMillis >= in.CutMillis-in.DriftMillis || r.OurDate == in.Date && r.BankDate == in.Date+1
	l.Verdict = judge(r.State, l.Bank, l.Terminal, g != nil && g.paired, mayCarry, r.Carried, in.AbsenceIsProof)
	if g != nil {
		l.Fields = m.fields(g, r)
	}
	var more []int32
	if g != nil {
		more = m.more[m.bank[i]]
	}
	if len(more) > 0 || m.twin[i] {
		l.Verdict = B(Duplicate)
		l.Fields = append(l.Fields, m.twins(more, r)...)
	}
	if k, ok := worst(l.Fields); ok && (l.Verdict == Matched || l.Verdict == MatchedUnaware || l.Verdict == PostByFile || l.Verdict == MatchedReversed || l.Verdict == MatchedCrossDay || l.Verdict == VoidByFile) {
		l.Verdict = B(k)
	}
	if term != nil && term.Amount != r.Amount {
		l.Fields = append(l.Fields, Field{Name: "amount at terminal", Terminal: term.Amount.String(), Ledger: r.Amount.String()})
		if l.Verdict == Matched {
			l.Verdict = B(TerminalDisagrees)
		}
	}
	m.res.add(l)
}

// ofGroup judges what the bank has and the ledger has not.
func (m *matcher) ofGroup(g int32, t *TerminalRow) {
	b := m.row(&m.groups[g])
	l := Line{Serial: b.Serial, Trace: b.Trace, Bank: m.groups[g].state(), Amount: b.Amount, Offset: b.Offset}
	if t != nil {
		l.Payment, l.Terminal = t.Payment, t.State
	}
	l.Verdict = judge(LedgerNone, l.Bank, l.Terminal, m.groups[g].paired, false, false, false)
	if more := m.more[g]; len(more) > 0 {
		l.Verdict = B(Duplicate)
		l.Fields = m.twins(more, nil)
	}
	m.res.add(l)
}
