package core

import (
	"crypto/sha256"
	"slices"

	"github.com/shebao-pay/shebao/ledger/chain"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
	"github.com/shebao-pay/shebao/si/ledgerapi/wire"
)

// dayHead is a sealed date: what is signed, and the signature once it is there.
type dayHead struct {
	date      si.BusinessDate
	bytes     []byte // canonical, see DayHead.Append
	alg       ledgerapi.SignatureAlg
	key       [8]byte
	signature []byte
}

func dateKey(dst []byte, d si.BusinessDate) []byte { return be16(dst, uint16(d)) }

func dayHeadFields(f *wire.Form, h *dayHead) {
	wire.U16(f, &h.date)
	f.Blob(&h.bytes, maxDayHead)
	wire.U8(f, &h.alg)
	f.Fixed(h.key[:])
	f.Blob(&h.signature, ledgerapi.MaxSignature)
	if f.Reading() { // the bytes are the row's
		h.bytes, h.signature = append([]byte(nil), h.bytes...), append([]byte(nil), h.signature...)
	}
}

// DayHead is the head of a sealed date: what a signature covers.
type DayHead struct {
	Region si.Region
	Area   si.AreaCode
	Date   si.BusinessDate
	Prev   si.BusinessDate // the date sealed before it, 0 if none
	// PrevHash is SHA-256 of the head before it, zero if none: the heads are a
	// chain of their own.
	PrevHash [32]byte
	First    uint64   // index of the first batch since the head before it, 0 if none
	Last     uint64   // index of the last batch before the one that sealed the date
	Head     [32]byte // chain head at Last
	Batches  uint64
	Root     [32]byte // Merkle root over those batches
	Journal  uint64   // last journal number
	Sums     []DaySum // ascending by bank and fund
	Balance  [32]byte // SHA-256 of the date's trial balance, the row in BucketClosing
}

// DaySum is what one bank and fund took on the dates that the head seals; fund 0
// is the whole of the bank.
type DaySum struct {
	Bank      si.Bank
	Fund      si.Fund
	Payments  Sum
	Reversals Sum
}

// dayHeadText begins the bytes of every day head.
const dayHeadText = "shebao/day/v1\x00"

// maxDaySums is a row for each bank and fund, and the whole, of 255 banks;
// maxDayHead is what that takes.
const (
	maxDaySums = 255 * 9
	maxDayHead = 256 + 26*maxDaySums
)

// Append appends the canonical bytes (docs/format/ledger-rows.md).
func (h *DayHead) Append(dst []byte) []byte {
	dst = append(dst, dayHeadText...)
	return wire.Append(dst, h.fields)
}

func (h *DayHead) fields(f *wire.Form) {
	wire.U16(f, &h.Region)
	wire.U32(f, &h.Area)
	wire.U16(f, &h.Date)
	wire.U16(f, &h.Prev)
	f.Fixed(h.PrevHash[:])
	wire.U64(f, &h.First)
	wire.U64(f, &h.Last)
	f.Fixed(h.Head[:])
	wire.U64(f, &h.Batches)
	f.Fixed(h.Root[:])
	wire.U64(f, &h.Journal)
	wire.List(f, &h.Sums, maxDaySums, func(f *wire.Form, s *DaySum) {
		wire.U8(f, &s.Bank)
		wire.U8(f, &s.Fund)
		for _, x := range [...]*Sum{&s.Payments, &s.Reversals} {
			wire.U32(f, &x.Count)
			wire.U64(f, &x.Amount)
		}
	})
	f.Fixed(h.Balance[:])
}

// ParseDayHead reads what Append wrote.
func ParseDayHead(b []byte) (h DayHead, ok bool) {
	if len(b) < len(dayHeadText) || string(b[:len(dayHeadText)]) != dayHeadText {
		return h, false
	}
	return h, wire.Take(b[len(dayHeadText):], h.fields) == nil
}

// SealedDay is a sealed date with its signature.
type SealedDay struct {
	Head      DayHead
	Bytes     []byte   // what is signed
	Hash      [32]byte // SHA-256 of Bytes
	Alg       ledgerapi.SignatureAlg
	Key       [8]byte // first bytes of SHA-256 of the public key
	Signature []byte  // empty while there is none
}

// KeyID names a public key in a DaySignature.
func KeyID(key []byte) (id [8]byte) {
	sum := sha256.Sum256(key)
	copy(id[:], sum[:])
	return id
}

// leaf puts a batch into the tree of the day under way.
func (m *Machine) leaf(index uint64, batch, results [32]byte) {
	if m.tree.Len() == 0 {
		m.treeFrom = index
	}
	m.tree.Add(chain.Leaf(index, batch, results))
}

// closeDay writes the trial balance of every date that a seal closes, and the
// head of the last one. It is called before the date counts as sealed.
func (m *Machine) closeDay(date si.BusinessDate) {
	h := DayHead{Region: m.cfg.Region, Area: m.cfg.Area, Date: date, Prev: m.sealed, First: m.treeFrom, Last: m.applied,
		Head: m.head, Batches: m.tree.Len(), Root: m.tree.Root(), Journal: m.journal}
	if prev := m.heads.get(m.sealed); prev != nil {
		h.PrevHash = sha256.Sum256(prev.bytes)
	}
	for _, d := range m.datesTo(date) {
		first, _ := m.journalSpan(d)
		s := m.sheetOn(d)
		m.checkSheet(d, s)
		row := closingRow(closing{date: d, from: first, journal: m.journal, lines: s})
		m.old.closings[d] = m.old.add(row)
		m.row(BucketClosing, dateKey(m.key[:0], d), row)
		h.Balance = sha256.Sum256(row)
	}
	for i := range m.banks {
		for f := range funds {
			s := DaySum{Bank: si.Bank(i), Fund: si.Fund(f)}
			for _, d := range m.banks[i].days {
				if x := &d.funds[f]; d.date > m.sealed && d.date <= date {
					s.Payments.add(x.payments)
					s.Reversals.add(x.reversals)
				}
			}
			if s.Payments.Count+s.Reversals.Count > 0 {
				h.Sums = append(h.Sums, s)
			}
		}
	}
	m.heads.add(dayHead{date: date, bytes: h.Append(nil)})
	m.tree, m.treeFrom = chain.Tree{}, 0
	for len(m.dates) > 0 && m.dates[0].date <= date {
		m.row(BucketAccount, dateKey(append(m.key[:0], 2), m.dates[0].date), nil)
		m.dates = m.dates[1:]
	}
}

func (s *Sum) add(o Sum) {
	s.Count += o.Count
	s.Amount += o.Amount
}

// datesTo are the dates up to one that are not sealed and on which anything was
// booked, and that one, ascending.
func (m *Machine) datesTo(date si.BusinessDate) []si.BusinessDate {
	all := []si.BusinessDate{date}
	for i := range m.banks {
		for _, d := range m.banks[i].days {
			if d.date > m.sealed && d.date < date {
				all = append(all, d.date)
			}
		}
	}
	for _, x := range m.dates {
		if x.date < date {
			all = append(all, x.date)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// checkSheet holds that a trial balance is zero in each book, before the date
// and over it.
func (m *Machine) checkSheet(date si.BusinessDate, s sheet) {
	var opening, moved [funds]si.Fen
	for _, l := range s {
		opening[l.fund] += l.opening
		moved[l.fund] += l.dr - l.cr
	}
	if opening != [funds]si.Fen{} || moved != [funds]si.Fen{} {
		m.fail("the trial balance of %s is off: by %v when it began, by %v over it", date, opening, moved)
	}
}

// closing is the trial balance of a sealed date.
type closing struct {
	date          si.BusinessDate
	from, journal uint64 // no row of the date stands before or behind these numbers
	lines         sheet
}

func closingRow(c closing) []byte {
	v := le.AppendUint16(nil, uint16(c.date))
	v = le.AppendUint64(le.AppendUint64(v, c.from), c.journal)
	for _, l := range c.lines {
		v = appendSheetKey(v, l.sheetKey)
		for _, amount := range [...]si.Fen{l.opening, l.dr, l.cr} {
			v = le.AppendUint64(v, uint64(amount))
		}
	}
	return v
}

// closing finds the last trial balance of a sealed date that is not after date.
func (m *Machine) closing(date si.BusinessDate) (c closing, ok bool) {
	for d := min(date, m.sealed); d > 0; d-- {
		row, ok := recentRow(m, func(o *oldRows) map[si.BusinessDate]place { return o.closings }, d)
		if !ok {
			row, ok = m.pastGet(BucketClosing, dateKey(nil, d))
		}
		if !ok {
			continue
		}
		r := wire.NewReader(row)
		c = closing{date: si.BusinessDate(r.U16()), from: r.U64(), journal: r.U64()}
		for r.Len() > 0 {
			c.lines = append(c.lines, sheetLine{readSheetKey(&r), si.Fen(r.U64()), si.Fen(r.U64()), si.Fen(r.U64())})
		}
		if r.End() != nil || c.date != d {
			m.fail("the stored trial balance of %s is unreadable", d)
			return closing{}, false
		}
		return c, true
	}
	return closing{}, false
}

// ed25519Size is the size of an Ed25519 signature (RFC 8032, section 5.1.6).
const ed25519Size = 64

// applyDaySignature keeps a signature. Whether it is good is not for a machine
// that holds no key: verify says so.
func (m *Machine) applyDaySignature(c *ledgerapi.DaySignature, out *ledgerapi.Result) {
	h := m.heads.get(c.Date)
	size := len(c.Signature)
	switch {
	case c.Alg < ledgerapi.SignEd25519 || c.Alg > ledgerapi.SignSM2 || size == 0 ||
		(c.Alg == ledgerapi.SignEd25519 && size != ed25519Size):
		out.Code = ledgerapi.Malformed
		return
	case h == nil:
		out.Code = ledgerapi.NotFound
		return
	case sha256.Sum256(h.bytes) != c.Head, h.alg != 0 && (h.alg != c.Alg || h.key != c.Key || string(h.signature) != string(c.Signature)):
		out.Code = ledgerapi.BadTransition
		return
	case h.alg != 0:
		out.Code, out.First = ledgerapi.Exists, ledgerapi.OK
		return
	}
	h = m.heads.change(c.Date)
	h.alg, h.key, h.signature = c.Alg, c.Key, append([]byte(nil), c.Signature...)
	out.Code, out.OurDate = ledgerapi.OK, c.Date
}

// DayHead finds a sealed date.
func (m *Machine) DayHead(date si.BusinessDate) (SealedDay, bool) {
	h := m.heads.get(date)
	if h == nil {
		return SealedDay{}, false
	}
	d := SealedDay{Bytes: append([]byte(nil), h.bytes...), Hash: sha256.Sum256(h.bytes), Alg: h.alg, Key: h.key,
		Signature: append([]byte(nil), h.signature...)}
	var ok bool
	if d.Head, ok = ParseDayHead(h.bytes); !ok {
		m.fail("the head of %s is unreadable", date)
	}
	return d, ok
}

// DayHeads are the sealed dates after a date, ascending.
func (m *Machine) DayHeads(after si.BusinessDate) []SealedDay {
	var all []SealedDay
	for _, slot := range m.heads.sorted() {
		if date := m.heads.at(slot).date; date > after {
			if d, ok := m.DayHead(date); ok {
				all = append(all, d)
			}
		}
	}
	return all
}

// DayBalance is the trial balance of a date.
type DayBalance struct {
	Date   si.BusinessDate
	Sealed bool
	Lines  []DayLine // by fund, code, part, bank and date; opening + Dr − Cr = closing
	// Rests are what the income accounts still hold at the end of a month, when
	// they ought to be empty (收入户月末无余额). Empty on other dates.
	Rests []DayRest
}

// DayLine is one account over one date; balances are debit balances.
type DayLine struct {
	Fund                     si.Fund
	Code                     uint32
	Part                     Part
	Bank                     si.Bank
	Date                     si.BusinessDate // of CodeClearing
	Opening, Dr, Cr, Closing si.Fen
}

// DayRest is what the income account of a bank holds for a fund.
type DayRest struct {
	Bank   si.Bank
	Fund   si.Fund
	Amount si.Fen
}

// BalanceOn is the trial balance of a date: as it was sealed, or as it stands
// now. On a sealed date on which nothing was booked it is the balance of the
// last date before it, without movement.
func (m *Machine) BalanceOn(date si.BusinessDate) DayBalance {
	b := DayBalance{Date: date, Sealed: date <= m.sealed}
	var lines sheet
	if b.Sealed {
		c, _ := m.closing(date)
		lines = c.lines
		if c.date != date {
			for i := range lines {
				l := &lines[i]
				l.opening, l.dr, l.cr = l.opening+l.dr-l.cr, 0, 0
			}
		}
	} else {
		lines = m.sheetOn(date)
	}
	monthEnd := date.Time().Month() != (date + 1).Time().Month()
	for _, l := range lines {
		x := DayLine{l.fund, codeOf(l.fund, l.acc), chart[l.acc].part, l.bank, l.date, l.opening, l.dr, l.cr, l.opening + l.dr - l.cr}
		if x.Opening == 0 && x.Dr == 0 && x.Cr == 0 {
			continue
		}
		b.Lines = append(b.Lines, x)
		if monthEnd && l.acc == accDeposit && x.Closing != 0 {
			b.Rests = append(b.Rests, DayRest{l.bank, l.fund, x.Closing})
		}
	}
	return b
}
