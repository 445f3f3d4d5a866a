package core

import (
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
	"github.com/shebao-pay/shebao/si/ledgerapi/wire"
)

// run is an auto-debit run (批量代扣) of one bank and day. Its lines are
// reservations that belong to it: they end only as the run allows.
type run struct {
	no       ledgerapi.RunNo
	bank     si.Bank
	date     si.BusinessDate
	state    ledgerapi.RunState
	lines    uint32
	total    si.Fen
	answered uint32
	won      uint32          // lines that the bank debited
	live     uint32          // lines whose reservation has not ended
	debit    si.BusinessDate // bank date of the debits, 0 before the first
	sent     [32]byte
	result   [32]byte
	funds    [32]byte
	at       int64
	// By fund: what the bank debited, what it credited, what is posted.
	success, credited, posted [funds]si.Fen
}

type runDay struct {
	bank si.Bank
	date si.BusinessDate
}

func runRow(dst []byte, n ledgerapi.RunNo) []byte { return be32(dst, uint32(n)) }

func runFields(f *wire.Form, x *run) {
	wire.U32(f, &x.no)
	wire.U8(f, &x.bank)
	wire.U16(f, &x.date)
	wire.U8(f, &x.state)
	wire.U32(f, &x.lines)
	wire.U64(f, &x.total)
	wire.U32(f, &x.answered)
	wire.U32(f, &x.won)
	wire.U32(f, &x.live)
	wire.U16(f, &x.debit)
	f.Fixed(x.sent[:])
	f.Fixed(x.result[:])
	f.Fixed(x.funds[:])
	wire.U64(f, &x.at)
	for _, sums := range [...]*[funds]si.Fen{&x.success, &x.credited, &x.posted} {
		for i := 1; i < funds; i++ {
			wire.U64(f, &sums[i])
		}
	}
	if x.state < ledgerapi.RunCreated || x.state > ledgerapi.RunClosed {
		f.Fail()
	}
}

// runLine is one line of a run.
type runLine struct {
	key     lineKey
	mandate ledgerapi.MandateNo
	result  ledgerapi.LineResult
	serial  string
	total   si.Fen
}

type lineKey struct {
	run  ledgerapi.RunNo
	line uint32
}

func (k lineKey) hash() uint64 { return mix(uint64(k.run)<<32 | uint64(k.line)) }

func lineRow(dst []byte, k lineKey) []byte { return be32(be32(dst, uint32(k.run)), k.line) }

func lineFields(f *wire.Form, x *runLine) {
	wire.U32(f, &x.key.run)
	wire.U32(f, &x.key.line)
	wire.U64(f, &x.mandate)
	wire.U8(f, &x.result)
	f.Text(&x.serial, ledgerapi.MaxSerial)
	wire.U64(f, &x.total)
}

func (m *Machine) applyRunOpen(c *ledgerapi.RunOpen, out *ledgerapi.Result) {
	b := &m.banks[c.Bank]
	if c.Bank == 0 || c.Date == 0 || !nearDate(c.Date, b.open) {
		out.Code = ledgerapi.Malformed
		return
	}
	if no := m.runOf[runDay{c.Bank, c.Date}]; no != 0 {
		out.Code, out.First, out.No = ledgerapi.Exists, ledgerapi.OK, uint64(no)
		return
	}
	no := ledgerapi.RunNo(m.runs.used) + 1
	m.runs.add(run{no: no, bank: c.Bank, date: c.Date, state: ledgerapi.RunCreated, at: m.at})
	out.Code, out.No = ledgerapi.OK, uint64(no)
}

func (m *Machine) applyRunLine(a *act, c *ledgerapi.RunLine, out *ledgerapi.Result) {
	x := m.runs.get(c.Run)
	switch {
	case c.Line == 0 || c.Result > ledgerapi.LineDuplicate:
		out.Code = ledgerapi.Malformed
	case x == nil:
		out.Code = ledgerapi.NotFound
	case c.Result == ledgerapi.LineNone:
		m.addLine(x, c, out)
	default:
		m.answerLine(x, c, out)
	}
}

// addLine holds the dues of a line. Lines are numbered from 1 without a gap, so
// that a lost one is seen.
func (m *Machine) addLine(x *run, c *ledgerapi.RunLine, out *ledgerapi.Result) {
	id := ledgerapi.LinePayment(x.date, c.Run, c.Line)
	if p, _ := m.find(id); p != nil {
		m.again(p, id, out) // the same line asked for under another id
		if l := m.runLines.get(lineKey{c.Run, c.Line}); l != nil && (l.mandate != c.Mandate || l.total != c.Total) {
			*out = ledgerapi.Result{Code: ledgerapi.IDReused}
		}
		return
	}
	if x.state != ledgerapi.RunCreated || c.Line != x.lines+1 {
		out.Code, out.Count = ledgerapi.BadTransition, x.lines
		return
	}
	if c.Mandate == 0 || len(c.Dues) == 0 {
		out.Code = ledgerapi.Malformed
		return
	}
	if m.underMandate(x, c, out); out.Code != 0 {
		return
	}
	m.hold(&ledgerapi.Reserve{ID: id, Channel: si.ChannelBatch, Terminal: si.Terminal(c.Line), Batch: uint32(c.Run), Bank: x.bank,
		Dues: c.Dues, Total: c.Total}, id, out)
	if out.Code != ledgerapi.OK {
		return
	}
	x = m.runs.change(c.Run)
	x.lines++
	x.live++
	x.total += c.Total
	x.at = m.at
	m.runLines.add(runLine{key: lineKey{c.Run, c.Line}, mandate: c.Mandate, total: c.Total})
}

// underMandate refuses a line that its mandate does not cover: it must be ACTIVE,
// of the run's bank, of the person and funds of every due, and above the total.
func (m *Machine) underMandate(x *run, c *ledgerapi.RunLine, out *ledgerapi.Result) {
	g := m.mandates.get(c.Mandate)
	if g == nil {
		out.Code = ledgerapi.NotFound
		return
	}
	if g.state != ledgerapi.MandateActive || g.bank != x.bank || g.limit != 0 && c.Total > g.limit {
		refuse(out, ledgerapi.BadTransition)
	}
	for _, ref := range c.Dues {
		slot := m.dueByID.get(ref.ID)
		if slot == 0 {
			continue // hold says what became of it
		}
		if d := m.dues.at(slot); d.person != g.person || g.funds&ledgerapi.FundsOf(d.fund) == 0 {
			refuse(out, ledgerapi.BadTransition)
			out.Due = d.id
		}
	}
}

// answerLine notes what the bank says of a line. All debits of a run bear one
// bank date: its money comes in one sum.
func (m *Machine) answerLine(x *run, c *ledgerapi.RunLine, out *ledgerapi.Result) {
	l := m.runLines.get(lineKey{c.Run, c.Line})
	won := c.Result == ledgerapi.LineSuccess
	switch {
	case l == nil:
		out.Code = ledgerapi.NotFound
		return
	case won != (c.Serial != "") || won != (c.Date != 0):
		out.Code = ledgerapi.Malformed
		return
	case l.result != ledgerapi.LineNone && l.result == c.Result && l.serial == c.Serial && (!won || c.Date == x.debit):
		out.Code, out.First = ledgerapi.Exists, ledgerapi.OK
		return
	case l.result != ledgerapi.LineNone || x.state != ledgerapi.RunAcked || (won && x.debit != 0 && c.Date != x.debit) ||
		(won && c.Date > m.banks[x.bank].open):
		out.Code = ledgerapi.BadTransition
		return
	}
	l = m.runLines.change(l.key)
	l.result, l.serial = c.Result, c.Serial
	x = m.runs.change(c.Run)
	x.answered++
	x.at = m.at
	if won {
		x.won++
		x.debit = c.Date
		p, _ := m.find(ledgerapi.LinePayment(x.date, c.Run, c.Line)) // live until it is answered
		m.recall(p)
		for _, k := range m.chosen {
			d := m.dues.at(k.slot)
			x.success[d.fund] += d.amount + k.late
		}
	}
	out.Code, out.Count, out.Total = ledgerapi.OK, x.answered, l.total
}

// runMoves says where RunMove may take a run, by its state.
var runMoves = map[ledgerapi.RunState][]ledgerapi.RunState{
	ledgerapi.RunCreated:        {ledgerapi.RunSent, ledgerapi.RunRejected}, // the latter gives it up
	ledgerapi.RunSent:           {ledgerapi.RunAcked, ledgerapi.RunRejected},
	ledgerapi.RunAcked:          {ledgerapi.RunResult},
	ledgerapi.RunRejected:       {ledgerapi.RunClosed},
	ledgerapi.RunResult:         {ledgerapi.RunFundsConfirmed},
	ledgerapi.RunFundsConfirmed: {ledgerapi.RunPosted},
	ledgerapi.RunPosted:         {ledgerapi.RunClosed},
}

func (m *Machine) applyRunMove(a *act, c *ledgerapi.RunMove, out *ledgerapi.Result) {
	x := m.runs.get(c.Run)
	switch {
	case c.To < ledgerapi.RunCreated || c.To > ledgerapi.RunClosed:
		out.Code = ledgerapi.Malformed
		return
	case x == nil:
		out.Code = ledgerapi.NotFound
		return
	case c.To == x.state && c.To != ledgerapi.RunCreated:
		out.Code, out.First, out.No = ledgerapi.Exists, ledgerapi.OK, uint64(x.no)
		return
	case !has(runMoves[x.state], c.To), !x.ready(c):
		out.Code, out.Count, out.Total = ledgerapi.BadTransition, x.answered, x.expected(c.To)
		return
	}
	if c.To == ledgerapi.RunFundsConfirmed {
		if a.second(out); out.Code != 0 {
			return
		}
	}
	x = m.runs.change(c.Run)
	x.state, x.at = c.To, m.at
	switch c.To {
	case ledgerapi.RunSent:
		x.sent = c.File
	case ledgerapi.RunResult:
		x.result = c.File
	case ledgerapi.RunFundsConfirmed:
		x.funds = c.File
	case ledgerapi.RunCreated, ledgerapi.RunAcked, ledgerapi.RunRejected, ledgerapi.RunPosted, ledgerapi.RunClosed:
	}
	out.Code, out.No, out.Count, out.Total = ledgerapi.OK, uint64(x.no), x.lines, x.expected(c.To)
}

// expected is the sum that a move must name.
func (x *run) expected(to ledgerapi.RunState) (sum si.Fen) {
	if to < ledgerapi.RunResult {
		return x.total
	}
	for _, v := range x.success {
		sum += v
	}
	return sum
}

// ready tells whether a run may move on: figures agree with what the bank says,
// to the fen and line; money is proven before a line is posted; and the run is
// over when its clearing account is empty and no due of it is held.
func (x *run) ready(c *ledgerapi.RunMove) bool {
	same := c.Sum == x.expected(c.To)
	switch c.To {
	case ledgerapi.RunSent:
		return x.lines > 0 && c.Count == x.lines && same && c.File != [32]byte{}
	case ledgerapi.RunAcked:
		return c.Count == x.lines && same && c.File == x.sent
	case ledgerapi.RunRejected:
		return c.File == x.sent
	case ledgerapi.RunResult:
		return x.answered == x.lines && c.Count == x.won && same && c.File != [32]byte{}
	case ledgerapi.RunFundsConfirmed:
		return same && x.credited == x.success
	case ledgerapi.RunPosted:
		return x.live == 0 && x.posted == x.credited
	case ledgerapi.RunClosed:
		return x.live == 0
	case ledgerapi.RunCreated:
	}
	return false
}

// lineOf is the run and line that a reservation belongs to.
func (m *Machine) lineOf(hd *hold) (*run, *runLine) {
	no := ledgerapi.RunNo(hd.batch)
	return m.runs.get(no), m.runLines.get(lineKey{no, uint32(hd.terminal)})
}

// linePosts tells whether a line may be posted: the bank debited it on the
// evidence's date, and the run's money is proven.
func (m *Machine) linePosts(p *pay, hd *hold, bankDate si.BusinessDate) bool {
	x, l := m.lineOf(hd)
	return p.live() && x != nil && l != nil && x.state == ledgerapi.RunFundsConfirmed && l.result == ledgerapi.LineSuccess &&
		bankDate == x.debit
}

// lineBooked books a line of a run that has just been posted. Its clearing
// account is that of the debit's bank date, sealed or not, because that is where
// the run's money has been credited.
func (m *Machine) lineBooked(p *pay) {
	x, _ := m.lineOf(m.holds.at(p.hold))
	e := &journalEntry{kind: JournalPost, date: p.book}
	x = m.runs.change(x.no)
	for _, c := range m.chosen {
		u := m.dues.at(c.slot)
		whole := u.amount + c.late
		e.add(line{fund: u.fund, acc: accClearing, bank: p.bank, date: p.bankDate, dr: whole})
		e.income(u, c.late, 1)
		if u.individual != 0 {
			m.addIndividual(u, u.individual)
		}
		x.posted[u.fund] += whole
	}
	x.live--
	m.bookLines(e)
}

// lineVoids tells whether a proof may end the hold of a line: the bank refused
// the line, or the whole file, or the run was given up before it was sent. Until
// the bank has answered, nothing does: it may debit the line yet.
func (m *Machine) lineVoids(hd *hold, proof ledgerapi.Proof) bool {
	x, l := m.lineOf(hd)
	if x == nil || l == nil {
		return false
	}
	unsent := x.state == ledgerapi.RunRejected
	refused := l.result != ledgerapi.LineNone && l.result != ledgerapi.LineSuccess
	switch proof {
	case ledgerapi.ProofNotSent:
		return unsent
	case ledgerapi.ProofDeclined:
		return refused
	case ledgerapi.ProofFileAbsent, ledgerapi.ProofDesk:
		return unsent || refused
	case ledgerapi.ProofReversalAck:
	}
	return false
}

func (m *Machine) lineVoided(hd *hold) {
	x, _ := m.lineOf(hd)
	m.runs.change(x.no).live--
}
