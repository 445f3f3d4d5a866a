package core

import (
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// account is one account of a fund's book, in order of its code.
type account uint8

// The accounts. Deposit and clearing are here as sums: the former is kept per
// bank, the latter per bank and bank date.
const (
	accDeposit account = iota
	accSpending
	accFiscal
	accTreasury
	accAdvance
	accClearing
	accPrepaid
	accSuspense
	accRefunds
	accFundPool
	accFundIndiv
	accEmployer
	accPool
	accIndiv
	accInterest
	accTransfer
	accSubsidy
	accLate
	accBenefits
	accounts
)

// chart is the chart of accounts. The balance of a fund has a code of its own in
// each book, see fundCodes.
var chart = [accounts]struct {
	code uint32
	part Part
}{
	accDeposit:   {CodeDeposit, PartNone},
	accSpending:  {CodeSpending, PartNone},
	accFiscal:    {CodeFiscal, PartNone},
	accTreasury:  {CodeTreasury, PartNone},
	accAdvance:   {CodeAdvance, PartNone},
	accClearing:  {CodeClearing, PartNone},
	accPrepaid:   {CodePrepaid, PartNone},
	accSuspense:  {CodeSuspense, PartNone},
	accRefunds:   {CodeRefunds, PartNone},
	accFundPool:  {0, PartPool},
	accFundIndiv: {0, PartIndiv},
	accEmployer:  {CodeEmployer, PartPool},
	accPool:      {CodePerson, PartPool},
	accIndiv:     {CodePerson, PartIndiv},
	accInterest:  {CodeInterest, PartNone},
	accTransfer:  {CodeTransfer, PartNone},
	accSubsidy:   {CodeSubsidy, PartNone},
	accLate:      {CodeLate, PartNone},
	accBenefits:  {CodeBenefits, PartNone},
}

// fundCodes are the codes of the fund balances (基金余额).
var fundCodes = [funds]uint32{
	si.PensionEmp: 3001_01, si.PensionRes: 3001_02, si.PensionGov: 3001_03,
	si.MedEmp: 3002_01, si.MedRes: 3002_02, si.Injury: 3003_00, si.Unemp: 3004_00, si.Maternity: 3005_00,
}

// codeOf is the code of an account in the book of a fund.
func codeOf(f si.Fund, a account) uint32 {
	if a == accFundPool || a == accFundIndiv {
		return fundCodes[f]
	}
	return chart[a].code
}

// income are the accounts that PeriodClose empties.
var income = [...]account{accEmployer, accPool, accIndiv, accInterest, accTransfer, accSubsidy, accLate}

// line is one line of an entry: an amount on one side of one account. In a red
// entry the amount is negative.
type line struct {
	fund   si.Fund
	acc    account
	bank   si.Bank         // accDeposit, accClearing; of accRefunds the bank it is owed through
	date   si.BusinessDate // accClearing: the bank date
	dr, cr si.Fen
}

// journalEntry is one entry of the journal that is no payment: its lines
// balance in each book.
type journalEntry struct {
	kind  JournalKind
	date  si.BusinessDate // the date it is booked on
	lines []line

	// What a reader of the journal wants to know beside the lines.
	act       *act
	bank      si.Bank
	corrects  uint64 // journal number of the posting that is undone
	payment   si.PaymentID
	due       si.DueID
	no        uint64 // of the suspense or refund
	brk       ledgerapi.BreakNo
	run       ledgerapi.RunNo
	statement ledgerapi.StatementLine
}

func (e *journalEntry) debit(f si.Fund, a account, amount si.Fen) *journalEntry {
	return e.add(line{fund: f, acc: a, dr: amount})
}

func (e *journalEntry) credit(f si.Fund, a account, amount si.Fen) *journalEntry {
	return e.add(line{fund: f, acc: a, cr: amount})
}

// add puts a line that moves something.
func (e *journalEntry) add(l line) *journalEntry {
	if l.dr != 0 || l.cr != 0 {
		e.lines = append(e.lines, l)
	}
	return e
}

// judgeEntry holds an entry against the rules of the books, whatever command
// made it. 0 means that it may be booked.
func (m *Machine) judgeEntry(e *journalEntry) ledgerapi.Code {
	if e.date <= m.sealed {
		return ledgerapi.Sealed
	}
	if len(e.lines) == 0 {
		return ledgerapi.Malformed
	}
	var sum [funds]si.Fen
	for i := range e.lines {
		l := &e.lines[i]
		if !l.fund.Valid() || l.acc >= accounts || (l.dr != 0) == (l.cr != 0) {
			return ledgerapi.Malformed
		}
		perBank := l.acc == accDeposit || l.acc == accClearing || l.acc == accRefunds
		if perBank != (l.bank != 0) || (l.acc == accClearing) != (l.date != 0) {
			return ledgerapi.Malformed
		}
		sum[l.fund] += l.dr - l.cr
		if l.acc == accDeposit && (l.cr > 0 || l.dr < 0) && !e.mayLeave(l) {
			return ledgerapi.BadTransition
		}
	}
	if sum != [funds]si.Fen{} {
		return ledgerapi.Malformed
	}
	return 0
}

// mayLeave tells whether all debits of the book are such that money may leave
// the income account for them: to the fiscal account, to another agency, or as
// a refund through the bank that it was paid through.
func (e *journalEntry) mayLeave(out *line) bool {
	for i := range e.lines {
		l := &e.lines[i]
		if l == out || l.fund != out.fund || (l.dr <= 0 && l.cr >= 0) {
			continue
		}
		if l.acc != accFiscal && l.acc != accTransfer && (l.acc != accRefunds || l.bank != out.bank) {
			return false
		}
	}
	return true
}

// refuseEntry judges an entry for a command.
func (m *Machine) refuseEntry(e *journalEntry, out *ledgerapi.Result) bool {
	if code := m.judgeEntry(e); code != 0 {
		refuse(out, code)
		return true
	}
	return false
}

// enter books an entry that has been judged, and gives it the next number of
// the journal.
func (m *Machine) enter(e *journalEntry) {
	m.journal++
	m.bookLines(e)
	m.entryRow(e)
}

// bookLines moves the accounts.
func (m *Machine) bookLines(e *journalEntry) {
	x := m.dateBook(e.date)
	for i := range e.lines {
		l := &e.lines[i]
		m.books[l.fund].acc[l.acc].add(l.dr, l.cr, posted)
		key := sheetKey{fund: l.fund, acc: l.acc}
		switch l.acc {
		case accDeposit:
			key.bank = l.bank
			m.banks[l.bank].deposit[l.fund].add(l.dr, l.cr, posted)
		case accClearing:
			key.bank, key.date = l.bank, l.date
			m.clear(e.kind, l)
		}
		to := x.moves.at(key)
		to.dr += l.dr
		to.cr += l.cr
	}
}

// clear moves the clearing account of a bank date and says what for.
func (m *Machine) clear(kind JournalKind, l *line) {
	d := m.banks[l.bank].day(l.date)
	d.changed = true
	d.funds[l.fund].clearing.add(l.dr, l.cr, posted)
	for _, x := range [...]*dayFund{&d.funds[l.fund], &d.funds[0]} {
		switch kind {
		case JournalPost:
			x.batch += l.dr
		case JournalSuspenseIn:
			x.suspense += l.dr
		case JournalCorrectUnpaid:
			x.corrected -= l.dr
		default:
			x.credited += l.cr
		}
	}
}

// dateBook is what was booked on a date that is not sealed, other than by
// payments.
type dateBook struct {
	date  si.BusinessDate
	from  uint64 // journal number when the date was first booked on
	moves sheet
}

// dateBook gives the book of a date, making it at its first entry.
func (m *Machine) dateBook(date si.BusinessDate) *dateBook {
	i := len(m.dates)
	for i > 0 && m.dates[i-1].date >= date {
		i--
	}
	if i == len(m.dates) || m.dates[i].date != date {
		m.dates = append(m.dates, nil)
		copy(m.dates[i+1:], m.dates[i:])
		m.dates[i] = &dateBook{date: date, from: m.journal}
	}
	return m.dates[i]
}

// bookOn is the date on which money that a bank dates want is booked: that date
// if it is neither sealed nor yet to come, and the bank's open date otherwise.
func (m *Machine) bookOn(b si.Bank, want si.BusinessDate) si.BusinessDate {
	if open := m.banks[b].open; want <= m.sealed || want > open {
		return open
	}
	return want
}

// sheetKey names one account with its bank and bank date.
type sheetKey struct {
	fund si.Fund
	acc  account
	bank si.Bank
	date si.BusinessDate
}

func (k sheetKey) less(o sheetKey) bool {
	switch {
	case k.fund != o.fund:
		return k.fund < o.fund
	case k.acc != o.acc:
		return k.acc < o.acc
	case k.bank != o.bank:
		return k.bank < o.bank
	}
	return k.date < o.date
}

// sheetLine is one account over one date: posted balance before it, and what it
// was debited and credited. Closing is opening + dr − cr.
type sheetLine struct {
	sheetKey
	opening, dr, cr si.Fen
}

// sheet is accounts in ascending order.
type sheet []sheetLine

// at gives the line of an account, making it if need be. The pointer is good
// until the next call.
func (s *sheet) at(k sheetKey) *sheetLine {
	lo, hi := 0, len(*s)
	for lo < hi {
		if mid := (lo + hi) / 2; (*s)[mid].sheetKey.less(k) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == len(*s) || (*s)[lo].sheetKey != k {
		*s = append(*s, sheetLine{})
		copy((*s)[lo+1:], (*s)[lo:])
		(*s)[lo] = sheetLine{sheetKey: k}
	}
	return &(*s)[lo]
}

// eachBalance visits the columns of every account that is not a sum of others,
// in order of fund; within a fund in no order.
func (m *Machine) eachBalance(visit func(k sheetKey, c *columns)) {
	for f := si.PensionEmp; int(f) < funds; f++ {
		for a := range accounts {
			if a != accDeposit && a != accClearing {
				visit(sheetKey{fund: f, acc: a}, &m.books[f].acc[a])
			}
		}
		for i := range m.banks {
			b := &m.banks[i]
			visit(sheetKey{fund: f, acc: accDeposit, bank: si.Bank(i)}, &b.deposit[f])
			for _, d := range b.days {
				visit(sheetKey{f, accClearing, si.Bank(i), d.date}, &d.funds[f].clearing)
			}
		}
	}
}

// sheetOn is the trial balance of a date that is not sealed: what every account
// held when it began, and what was booked on it. Accounts without either are
// left out.
func (m *Machine) sheetOn(date si.BusinessDate) sheet {
	var s sheet
	m.eachBalance(func(k sheetKey, c *columns) {
		if net := c.postedDr - c.postedCr; net != 0 {
			s.at(k).opening = net
		}
	})
	move := func(on si.BusinessDate, k sheetKey, dr, cr si.Fen) {
		if dr == 0 && cr == 0 {
			return
		}
		l := s.at(k)
		l.opening -= dr - cr
		if on == date {
			l.dr += dr
			l.cr += cr
		}
	}
	for i := range m.banks {
		for _, d := range m.banks[i].days {
			if d.date < date {
				continue
			}
			for f := si.PensionEmp; int(f) < funds; f++ {
				x := &d.funds[f]
				move(d.date, sheetKey{f, accClearing, si.Bank(i), d.date}, x.pool+x.indiv+x.late, 0)
				move(d.date, sheetKey{fund: f, acc: accPool}, 0, x.pool)
				move(d.date, sheetKey{fund: f, acc: accIndiv}, 0, x.indiv)
				move(d.date, sheetKey{fund: f, acc: accLate}, 0, x.late)
			}
		}
	}
	for _, x := range m.dates {
		if x.date >= date {
			for _, l := range x.moves {
				move(x.date, l.sheetKey, l.dr, l.cr)
			}
		}
	}
	n := 0
	for _, l := range s {
		if l.opening != 0 || l.dr != 0 || l.cr != 0 {
			s[n] = l
			n++
		}
	}
	return s[:n]
}
