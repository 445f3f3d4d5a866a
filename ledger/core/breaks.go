package core

import (
	"unicode/utf8"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
	"github.com/shebao-pay/shebao/si/ledgerapi/wire"
)

// breakDate is the class of a break whose dates differ: a posting whose bank
// date is sealed.
const breakDate ledgerapi.BreakKind = 21

// breakRow is the row that does not match. One of a class is open at a time.
type breakRow struct {
	kind    ledgerapi.BreakKind
	bank    si.Bank
	date    si.BusinessDate
	payment si.PaymentID
	serial  string
}

// mismatch is a break (差错). Break is a word of the language.
type mismatch struct {
	no       ledgerapi.BreakNo
	row      breakRow
	amount   si.Fen
	reasons  []ledgerapi.FieldReason
	state    ledgerapi.BreakState
	owner    si.Actor
	opened   int64
	suspense ledgerapi.SuspenseNo // what SuspenseIn made of it
	refund   ledgerapi.RefundNo   // what it waits for
	proposal si.PaymentID         // act that proposes its resolution
	act      ledgerapi.Type       // what resolved it, 0 if no entry did
	journal  uint64
	moves    []breakMove
}

// breakMove is one step of a break's history.
type breakMove struct {
	at    int64
	actor si.Actor
	to    ledgerapi.BreakState
	note  string
}

// maxBreakMoves bounds the history of a break: a case that is handed on more
// often is not handled at this desk.
const maxBreakMoves = 100

func mismatchFields(f *wire.Form, b *mismatch) {
	wire.U64(f, &b.no)
	wire.U8(f, &b.row.kind)
	wire.U8(f, &b.row.bank)
	wire.U16(f, &b.row.date)
	f.Fixed(b.row.payment[:])
	f.Text(&b.row.serial, ledgerapi.MaxSerial)
	wire.U64(f, &b.amount)
	wire.List(f, &b.reasons, ledgerapi.MaxFields, func(f *wire.Form, x *ledgerapi.FieldReason) {
		f.Text(&x.Field, ledgerapi.MaxField)
		f.Text(&x.Terminal, ledgerapi.MaxField)
		f.Text(&x.Bank, ledgerapi.MaxField)
		f.Text(&x.Ledger, ledgerapi.MaxField)
	})
	wire.U8(f, &b.state)
	wire.U32(f, &b.owner)
	wire.U64(f, &b.opened)
	wire.U64(f, &b.suspense)
	wire.U64(f, &b.refund)
	f.Fixed(b.proposal[:])
	wire.U8(f, &b.act)
	wire.U64(f, &b.journal)
	wire.List(f, &b.moves, maxBreakMoves, func(f *wire.Form, x *breakMove) {
		wire.U64(f, &x.at)
		wire.U32(f, &x.actor)
		wire.U8(f, &x.to)
		f.Text(&x.note, ledgerapi.MaxNote)
	})
	if b.state < ledgerapi.BreakNew || b.state > ledgerapi.BreakClosed {
		f.Fail()
	}
}

// move takes a break to a state and writes that into its history. The last place
// of the history is kept for its end.
func (b *mismatch) move(at int64, actor si.Actor, to ledgerapi.BreakState, note string) {
	b.state = to
	if len(b.moves) < maxBreakMoves-1 || (to == ledgerapi.BreakClosed && len(b.moves) < maxBreakMoves) {
		b.moves = append(b.moves, breakMove{at, actor, to, note})
	}
}

// openBreak opens a break, unless the row has one of the class open: then no is
// that one and fresh is false.
func (m *Machine) openBreak(row *breakRow, amount si.Fen, reasons []ledgerapi.FieldReason) (no ledgerapi.BreakNo, fresh bool) {
	if no = m.breakOf[*row]; no != 0 && m.breaks.get(no).state != ledgerapi.BreakClosed {
		return no, false
	}
	no = ledgerapi.BreakNo(m.breaks.used) + 1
	m.breaks.add(mismatch{no: no, row: *row, amount: amount, reasons: reasons, state: ledgerapi.BreakNew, opened: m.at})
	return no, true
}

func (m *Machine) applyBreakOpen(c *ledgerapi.BreakOpen, out *ledgerapi.Result) {
	if c.Kind == 0 || c.Kind > ledgerapi.LastBreak || c.Bank == 0 || c.Date == 0 || c.Amount < 0 || c.Amount > si.MaxFen ||
		(c.Payment.IsZero() && c.Serial == "") {
		out.Code = ledgerapi.Malformed
		return
	}
	no, fresh := m.openBreak(&breakRow{c.Kind, c.Bank, c.Date, c.Payment, c.Serial}, c.Amount, append([]ledgerapi.FieldReason(nil), c.Reasons...))
	if out.Code, out.No = ledgerapi.OK, uint64(no); !fresh {
		out.Code, out.First = ledgerapi.Exists, ledgerapi.OK
	}
}

// breakMoves says where BreakMove may take a break, by its state. PROPOSED and
// FOLLOW_UP are entered by a BreakResolve only.
var breakMoves = map[ledgerapi.BreakState][]ledgerapi.BreakState{
	ledgerapi.BreakNew:       {ledgerapi.BreakAssigned, ledgerapi.BreakEscalated, ledgerapi.BreakClosed},
	ledgerapi.BreakAssigned:  {ledgerapi.BreakAssigned, ledgerapi.BreakEscalated},
	ledgerapi.BreakProposed:  {ledgerapi.BreakReturned, ledgerapi.BreakEscalated},
	ledgerapi.BreakReturned:  {ledgerapi.BreakAssigned, ledgerapi.BreakEscalated},
	ledgerapi.BreakEscalated: {ledgerapi.BreakAssigned},
	ledgerapi.BreakFollowUp:  {ledgerapi.BreakEscalated},
}

// applyBreakMove moves a break by hand. Only the machine closes one so, and only
// one that nobody has taken up: its row has come to match.
func (m *Machine) applyBreakMove(a *act, c *ledgerapi.BreakMove, out *ledgerapi.Result) {
	b := m.breaks.get(c.Break)
	switch {
	case c.To < ledgerapi.BreakNew || c.To > ledgerapi.BreakClosed || (c.To == ledgerapi.BreakAssigned) != (c.Owner != 0):
		out.Code = ledgerapi.Malformed
		return
	case b == nil:
		out.Code = ledgerapi.NotFound
		return
	case !has(breakMoves[b.state], c.To), c.To == ledgerapi.BreakClosed && a.maker != 0:
		out.Code = ledgerapi.BadTransition
		return
	case len(b.moves) >= maxBreakMoves-1 && c.To != ledgerapi.BreakClosed:
		out.Code = ledgerapi.SeqExhausted
		return
	}
	b = m.breaks.change(c.Break)
	b.move(m.at, a.maker, c.To, c.Note)
	if c.Owner != 0 {
		b.owner = c.Owner
	}
	out.Code, out.No = ledgerapi.OK, uint64(b.no)
}

// resolvers are the commands that may resolve a break.
var resolvers = []ledgerapi.Type{0, ledgerapi.TypePost, ledgerapi.TypeVoid, ledgerapi.TypeUnpost, ledgerapi.TypeCorrectUnpaid,
	ledgerapi.TypeSuspenseIn, ledgerapi.TypeSuspenseUse, ledgerapi.TypeRefundApprove}

// applyBreakResolve proposes a resolution when one person asks for it, and does
// it when a second agrees: the command inside and the close of the break are one
// record, or neither is.
func (m *Machine) applyBreakResolve(a *act, c *ledgerapi.BreakResolve, out *ledgerapi.Result) {
	b := m.breaks.get(c.Break)
	want := ledgerapi.BreakAssigned
	if a.checker != 0 {
		want = ledgerapi.BreakProposed
	}
	switch {
	case !has(resolvers, c.Act), (c.Act == 0) != (len(c.Body) == 0), (c.Act == 0) != c.Key.IsZero(),
		utf8.RuneCountInString(c.Note) < ledgerapi.MinNote:
		out.Code = ledgerapi.Malformed
		return
	case b == nil:
		out.Code = ledgerapi.NotFound
		return
	case b.state != want, a.checker != 0 && b.proposal != a.id:
		out.Code = ledgerapi.BadTransition
		return
	case !m.fits(b, c):
		out.Code = ledgerapi.Malformed
		return
	}
	if a.checker == 0 {
		if a.second(out); a.maker != 0 {
			b = m.breaks.change(c.Break)
			b.proposal = a.id
			b.move(m.at, a.maker, ledgerapi.BreakProposed, c.Note)
		}
		return
	}
	before := m.journal
	if c.Act != 0 {
		if m.doInside(a, c, out); out.Code == ledgerapi.Exists { // done already, by no resolution
			*out = ledgerapi.Result{Code: ledgerapi.BadTransition, State: out.State}
		}
		if out.Code != ledgerapi.OK {
			return
		}
	}
	b = m.breaks.change(c.Break)
	to := ledgerapi.BreakClosed
	if c.Act == ledgerapi.TypeRefundApprove {
		to, b.refund = ledgerapi.BreakFollowUp, ledgerapi.RefundNo(out.No)
	}
	b.act = c.Act
	if m.journal != before {
		b.journal = m.journal
	}
	b.move(m.at, a.checker, to, c.Note)
	out.Code = ledgerapi.OK
}

// fits tells whether the command inside reads, and is about the break's own row.
func (m *Machine) fits(b *mismatch, c *ledgerapi.BreakResolve) bool {
	switch c.Act {
	case 0:
		return true
	case ledgerapi.TypePost:
		var p ledgerapi.Post
		_, err := p.DecodeBody(c.Key, c.Body)
		return err == nil && c.Key == b.row.payment
	case ledgerapi.TypeVoid:
		var v ledgerapi.Void
		return v.DecodeBody(c.Key, c.Body) == nil && c.Key == b.row.payment
	case ledgerapi.TypeUnpost:
		var u ledgerapi.Unpost
		return u.DecodeBody(c.Key, c.Body) == nil && c.Key == b.row.payment
	}
	do, err := ledgerapi.DecodeAct(c.Act, c.Body)
	if err != nil {
		return false
	}
	switch x := do.(type) {
	case *ledgerapi.CorrectUnpaid:
		return x.Break == b.no
	case *ledgerapi.SuspenseIn:
		return x.Break == b.no
	case *ledgerapi.SuspenseUse:
		return x.Suspense != 0 && x.Suspense == b.suspense
	case *ledgerapi.RefundApprove:
		return (x.Suspense != 0 && x.Suspense == b.suspense) || (!x.Payment.IsZero() && x.Payment == b.row.payment)
	}
	return false
}

// doInside does the command inside a resolution, by the two persons who agreed
// on it. out is then what it answers.
func (m *Machine) doInside(a *act, c *ledgerapi.BreakResolve, out *ledgerapi.Result) {
	h := ledgerapi.Header{Type: c.Act, Version: 1, Actor: a.maker, ID: c.Key}
	switch c.Act {
	case ledgerapi.TypePost:
		var p ledgerapi.Post
		serial, err := p.DecodeBody(c.Key, c.Body)
		if err != nil {
			out.Code = ledgerapi.Malformed
			return
		}
		p.Maker, p.Checker, p.Evidence.HostSerial = a.maker, a.checker, string(serial)
		m.applyPost(&h, p.AppendBody(nil), out)
		return
	case ledgerapi.TypeVoid:
		var v ledgerapi.Void
		if v.DecodeBody(c.Key, c.Body) != nil {
			out.Code = ledgerapi.Malformed
			return
		}
		v.Maker, v.Checker = a.maker, a.checker
		m.applyVoid(&h, v.AppendBody(nil), out)
		return
	case ledgerapi.TypeUnpost:
		m.applyUnpost(&h, c.Body, out)
		return
	}
	fp := m.fingerprint(&h, c.Body)
	if m.acked(c.Key, fp, out) || m.proposals.get(c.Key) != nil {
		*out = ledgerapi.Result{Code: ledgerapi.IDReused}
		return
	}
	do, err := ledgerapi.DecodeAct(c.Act, c.Body)
	if err != nil {
		out.Code = ledgerapi.Malformed
		return
	}
	inside := &act{id: c.Key, maker: a.maker, checker: a.checker}
	if x, ok := do.(*ledgerapi.RefundApprove); ok {
		m.applyRefundApprove(inside, x, c.Break, out)
	} else {
		m.do(inside, do, out)
	}
	if out.Code == ledgerapi.OK {
		m.ack(c.Key, fp, out)
	}
}

// rejected is told of an act that the second person did not agree to.
func (m *Machine) rejected(p *proposal, checker si.Actor, note string) {
	if p.kind != ledgerapi.TypeBreakResolve {
		return
	}
	do, err := ledgerapi.DecodeAct(p.kind, append([]byte(nil), m.blobs.get(p.body, int(p.n))...))
	if err != nil {
		m.fail("the act that %s proposes does not decode", p.id)
		return
	}
	no := do.(*ledgerapi.BreakResolve).Break
	if b := m.breaks.get(no); b != nil && b.state == ledgerapi.BreakProposed && b.proposal == p.id {
		m.breaks.change(no).move(m.at, checker, ledgerapi.BreakReturned, note)
	}
}

// followUp moves the break that waits for a refund.
func (m *Machine) followUp(a *act, x *refund) {
	b := m.breaks.get(x.brk)
	if b == nil || b.refund != x.no || b.state == ledgerapi.BreakClosed {
		return
	}
	b = m.breaks.change(x.brk)
	switch x.state {
	case ledgerapi.RefundDone:
		b.move(m.at, a.maker, ledgerapi.BreakClosed, "")
	case ledgerapi.RefundWithdrawn:
		b.refund = 0
		b.move(m.at, a.maker, ledgerapi.BreakReturned, "")
	case ledgerapi.RefundFailed: // back to the desk
		b.move(m.at, a.maker, ledgerapi.BreakReturned, "")
	case ledgerapi.RefundSent:
		if b.state != ledgerapi.BreakFollowUp {
			b.move(m.at, a.maker, ledgerapi.BreakFollowUp, "")
		}
	case ledgerapi.RefundApproved, ledgerapi.RefundAccepted:
	}
}
