package core

import (
	"hash/fnv"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// money is the state of the money side that is not on the payment path.
type money struct {
	statements *shelf[statementKey, statementLine]
	suspenses  *shelf[ledgerapi.SuspenseNo, suspense]
	refunds    *shelf[ledgerapi.RefundNo, refund]
	undone     *shelf[si.PaymentID, undone]
	breaks     *shelf[ledgerapi.BreakNo, mismatch]
	files      *shelf[fileKey, file]
	runs       *shelf[ledgerapi.RunNo, run]
	runLines   *shelf[lineKey, runLine]
	heads      *shelf[si.BusinessDate, dayHead]
	anchors    *shelf[string, anchor]
	users      *shelf[si.Actor, user]

	breakOf  map[breakRow]ledgerapi.BreakNo // the latest of a row
	refundOf map[paidDue]ledgerapi.RefundNo // the latest of a due as a payment paid it
	runOf    map[runDay]ledgerapi.RunNo
	loginOf  map[string]si.Actor
}

func (m *Machine) shelveMoney() {
	m.breakOf, m.runOf, m.loginOf = map[breakRow]ledgerapi.BreakNo{}, map[runDay]ledgerapi.RunNo{}, map[string]si.Actor{}
	m.statements = shelve(m, classStatementLine, BucketStatementLine, func(k statementKey) uint64 { return mixText(k.ref) + uint64(k.bank) },
		func(l *statementLine) statementKey { return l.key }, statementRow, statementFields)
	m.suspenses = shelve(m, classSuspense, BucketSuspense, mixNo[ledgerapi.SuspenseNo],
		func(s *suspense) ledgerapi.SuspenseNo { return s.no }, noRow[ledgerapi.SuspenseNo], suspenseFields)
	m.refunds = shelve(m, classRefund, BucketRefund, mixNo[ledgerapi.RefundNo],
		func(x *refund) ledgerapi.RefundNo { return x.no }, noRow[ledgerapi.RefundNo], refundFields)
	m.refundOf = map[paidDue]ledgerapi.RefundNo{}
	m.refunds.placed = func(_ uint32, x *refund) {
		if x.due != 0 {
			k := paidDue{x.payment, x.due}
			m.refundOf[k] = max(m.refundOf[k], x.no)
		}
	}
	m.undone = shelve(m, classUndone, BucketUndone, mixID, func(u *undone) si.PaymentID { return u.payment }, appendID, undoneFields)
	m.breaks = shelve(m, classBreak, BucketBreak, mixNo[ledgerapi.BreakNo],
		func(b *mismatch) ledgerapi.BreakNo { return b.no }, noRow[ledgerapi.BreakNo], mismatchFields)
	m.breaks.placed = func(_ uint32, b *mismatch) { m.breakOf[b.row] = max(m.breakOf[b.row], b.no) }
	m.files = shelve(m, classFile, BucketFile, fileKey.hash, func(x *file) fileKey { return x.key }, fileRow, fileFields)
	m.runs = shelve(m, classRun, BucketRun, mixNo[ledgerapi.RunNo], func(x *run) ledgerapi.RunNo { return x.no }, runRow, runFields)
	m.runs.placed = func(_ uint32, x *run) { m.runOf[runDay{x.bank, x.date}] = x.no }
	m.runLines = shelve(m, classRunLine, BucketRunLine, lineKey.hash, func(x *runLine) lineKey { return x.key }, lineRow, lineFields)
	m.heads = shelve(m, classDayHead, BucketDayHead, mixNo[si.BusinessDate],
		func(h *dayHead) si.BusinessDate { return h.date }, dateKey, dayHeadFields)
	m.anchors = shelve(m, classAnchor, BucketAnchor, mixText, func(a *anchor) string { return a.node },
		func(dst []byte, node string) []byte { return append(dst, node...) }, anchorFields)
	m.users = shelve(m, classUser, BucketUser, mixNo[si.Actor], func(u *user) si.Actor { return u.actor },
		func(dst []byte, a si.Actor) []byte { return be32(dst, uint32(a)) }, userFields)
	m.users.placed = func(_ uint32, u *user) { m.loginOf[u.login] = u.actor }
}

// mixNo spreads a number.
func mixNo[N ~uint16 | ~uint32 | ~uint64](n N) uint64 { return mix(uint64(n)) }

// mixText spreads a text, the same on every machine.
func mixText(s string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(s)) // it never fails
	return mix(h.Sum64())
}

// noRow is the key of a record with a number.
func noRow[N ~uint64](dst []byte, n N) []byte { return be64(dst, uint64(n)) }

// doMoney does an Act of the money side.
func (m *Machine) doMoney(a *act, do ledgerapi.Body, out *ledgerapi.Result) {
	switch c := do.(type) {
	case *ledgerapi.FundsCredited:
		m.applyFundsCredited(a, c, out)
	case *ledgerapi.Sweep:
		m.applySweep(a, c, out)
	case *ledgerapi.Interest:
		m.applyInterest(a, c, out)
	case *ledgerapi.PeriodClose:
		m.applyPeriodClose(a, c, out)
	case *ledgerapi.SuspenseIn:
		m.applySuspenseIn(a, c, out)
	case *ledgerapi.SuspenseUse:
		m.applySuspenseUse(a, c, out)
	case *ledgerapi.RefundApprove:
		m.applyRefundApprove(a, c, 0, out)
	case *ledgerapi.RefundMove:
		m.applyRefundMove(a, c, out)
	case *ledgerapi.RefundPaid:
		m.applyRefundPaid(a, c, out)
	case *ledgerapi.CorrectUnpaid:
		m.applyCorrectUnpaid(a, c, out)
	case *ledgerapi.BreakOpen:
		m.applyBreakOpen(c, out)
	case *ledgerapi.BreakMove:
		m.applyBreakMove(a, c, out)
	case *ledgerapi.BreakResolve:
		m.applyBreakResolve(a, c, out)
	case *ledgerapi.FileRegister:
		m.applyFileRegister(c, out)
	case *ledgerapi.RunOpen:
		m.applyRunOpen(c, out)
	case *ledgerapi.RunLine:
		m.applyRunLine(a, c, out)
	case *ledgerapi.RunMove:
		m.applyRunMove(a, c, out)
	case *ledgerapi.DaySignature:
		m.applyDaySignature(c, out)
	case *ledgerapi.AuditAnchor:
		m.applyAuditAnchor(c, out)
	case *ledgerapi.PutUser:
		m.applyPutUser(a, c, out)
	default:
		out.Code = ledgerapi.Malformed
	}
}
