package termsrv

import (
	"context"
	"fmt"
	"time"

	"github.com/shebao-pay/shebao/settlement/engine"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
	"github.com/shebao-pay/shebao/si/termapi"
)

// receiptsShown is how many receipts a person may look back on at a terminal;
// resolvedFor is how long a payment that ended late is still told at card-in.
const (
	receiptsShown = 60
	resolvedFor   = 30 * 24 * time.Hour
)

// view turns the engine's answer and the ledger's record into what a terminal
// is told.
func (s *Server) view(id si.PaymentID, a engine.Answer) termapi.PaymentState {
	st := termapi.PaymentState{ID: id.String(), IssuerData: issuer(a.Issuer), AwaitCard: a.AwaitCard}
	rec, known := s.cfg.Records.Payment(id)
	if known {
		st.Total = int64(rec.Total)
		st.Dues = s.dueViews(rec.Dues, rec.Bank)
	}
	switch a.Ending {
	case engine.Paid:
		st.State = termapi.PaymentPosted
		if known && rec.State == ledgerapi.PayPosted {
			r := s.receipt(&rec)
			st.Receipt = &r
		}
	case engine.NotCharged:
		st.State, st.Reason = termapi.PaymentNotCharged, classOf(a.Resp)
		if known && rec.Proof == ledgerapi.ProofReversalAck {
			st.Reason = termapi.ReasonReversed
		}
		if known && rec.Proof == ledgerapi.ProofNotSent {
			st.Reason = termapi.ReasonBankAway
		}
	case engine.Refused:
		st.State, st.Reason = termapi.PaymentRefused, refused(&a)
	default:
		st.State = termapi.PaymentPending
	}
	if st.State != termapi.PaymentPosted {
		st.Incident = incident(id)
	}
	return st
}

// classOf is the reason class of a response code as the citizen is told it.
func classOf(resp [2]byte) string {
	switch string(resp[:]) {
	case "51":
		return termapi.ReasonFunds
	case "55":
		return termapi.ReasonPINWrong
	case "75", "38":
		return termapi.ReasonPINTries
	case "61", "65":
		return termapi.ReasonLimit
	case "04", "07", "33", "34", "36", "37", "41", "43", "54", "59", "62":
		return termapi.ReasonCard
	case "90", "91", "92", "96":
		return termapi.ReasonBankAway
	}
	return termapi.ReasonOther
}

// refused is the reason class of a payment that never began.
func refused(a *engine.Answer) string {
	switch a.Why {
	case engine.WhyNone:
		return refusal(a.Refusal.Code)
	case engine.WhyBankAway, engine.WhyBusy:
		return termapi.ReasonBankAway
	case engine.WhyCardBusy:
		return termapi.ReasonDueTaken
	default:
		return termapi.ReasonSystem
	}
}

// refusal is the reason class of a ledger refusal.
func refusal(c ledgerapi.Code) string {
	switch c {
	case ledgerapi.DueHeld, ledgerapi.DuePaid:
		return termapi.ReasonDueTaken
	case ledgerapi.DueChanged, ledgerapi.NotOldest, ledgerapi.NotFound:
		return termapi.ReasonDueChanged
	default: // nothing the citizen could mend
		return termapi.ReasonSystem
	}
}

func (s *Server) overview(ctx context.Context, in *sessionIn) (termapi.Overview, *failure) {
	now := s.cfg.Now()
	ses, f := s.sessions.proven(in.Session, caller(ctx), now)
	if f != nil {
		return termapi.Overview{}, f
	}
	o := termapi.Overview{Name: ses.name, IDTail: ses.idTail, Area: s.cfg.Directory.TerminalConfig().RegionName}
	for _, d := range s.cfg.Persons.DuesOf(ses.person, si.DateOf(s.cfg.Now())) {
		if d.State == ledgerapi.DueOpen && d.Payer == ledgerapi.PayerPerson {
			o.Unpaid++
			o.UnpaidFen += int64(d.Ref.Amount + d.Ref.LateFee)
		}
	}
	for _, p := range s.cfg.Records.PaymentsOf(ses.person, receiptsShown) {
		if p.Channel != si.ChannelTerminal || !tellAtCardIn(&p, now) {
			continue
		}
		a, err := s.cfg.Payments.State(ctx, p.ID)
		if err != nil {
			return termapi.Overview{}, errOf(err)
		}
		o.Unresolved = append(o.Unresolved, s.view(p.ID, a))
	}
	return o, nil
}

// tellAtCardIn picks the payments that are still unknown, and those that were
// unknown once and ended in the last month.
func tellAtCardIn(p *ledgerapi.Payment, now time.Time) bool {
	switch p.State {
	case ledgerapi.PayReserved, ledgerapi.PayReversing:
		return true
	case ledgerapi.PayVoided:
		return p.Proof == ledgerapi.ProofReversalAck && now.Sub(time.UnixMilli(p.EndedAt)) < resolvedFor
	default:
		return false
	}
}

func (s *Server) dues(ctx context.Context, in *sessionIn) (termapi.Dues, *failure) {
	ses, f := s.sessions.proven(in.Session, caller(ctx), s.cfg.Now())
	if f != nil {
		return termapi.Dues{}, f
	}
	var show []ledgerapi.Due
	for _, d := range s.cfg.Persons.DuesOf(ses.person, si.DateOf(s.cfg.Now())) {
		open := d.State == ledgerapi.DueOpen || d.State == ledgerapi.DueStateHeld || d.State == ledgerapi.DueReversing
		if open && d.Payer == ledgerapi.PayerPerson {
			show = append(show, d)
		}
	}
	return termapi.Dues{Dues: s.dueViews(show, ses.bank), AllowSkip: s.cfg.AllowSkip(), MaxDues: ledgerapi.MaxDues}, nil
}

// dueViews writes dues as a terminal shows them.
func (s *Server) dueViews(dues []ledgerapi.Due, bank si.Bank) []termapi.Due {
	b, ok := s.cfg.Directory.BankByNumber(bank)
	account := ok && b.Beneficiary
	today := si.DateOf(s.cfg.Now())
	out := make([]termapi.Due, len(dues))
	for i, d := range dues {
		v := termapi.Due{
			ID: decimal(uint64(d.Ref.ID)), Version: d.Ref.Version, Fund: d.Fund.String(), Period: d.Period.String(),
			Kind: kindOf(&d, today), Amount: int64(d.Ref.Amount), LateFee: int64(d.Ref.LateFee),
			State: d.State.String(), DueDay: d.DueDay.String(),
		}
		switch {
		case d.State == ledgerapi.DueStateHeld || d.State == ledgerapi.DueReversing:
			v.Why, v.PaymentID = "HELD", d.HeldBy.String()
		case d.State != ledgerapi.DueOpen:
		case !account:
			v.Why = "NO_BENEFICIARY"
		default:
			v.Payable = true
		}
		out[i] = v
	}
	return out
}

func kindOf(d *ledgerapi.Due, today si.BusinessDate) string {
	switch d.Kind {
	case ledgerapi.DueBackPay:
		return "BACKPAY"
	case ledgerapi.DueSupplement:
		return "SUPPLEMENT"
	}
	if d.DueDay != 0 && d.DueDay < today {
		return "ARREARS"
	}
	if d.Kind == ledgerapi.DueYear {
		return "YEAR"
	}
	return "CURRENT"
}

func (s *Server) receipts(ctx context.Context, in *sessionIn) (termapi.Receipts, *failure) {
	ses, f := s.sessions.proven(in.Session, caller(ctx), s.cfg.Now())
	if f != nil {
		return termapi.Receipts{}, f
	}
	var r termapi.Receipts
	for _, p := range s.cfg.Records.PaymentsOf(ses.person, receiptsShown) {
		if p.State == ledgerapi.PayPosted {
			v := s.receipt(&p)
			v.Name, v.IDTail = ses.name, ses.idTail
			r.Receipts = append(r.Receipts, v)
		}
	}
	return r, nil
}

// receipt is the ledger's text of a posted payment. Name and number tail are
// added where a proven session stands behind the question.
func (s *Server) receipt(p *ledgerapi.Payment) termapi.Receipt {
	b, _ := s.cfg.Directory.BankByNumber(p.Bank)
	r := termapi.Receipt{
		No: p.Receipt.String(), Payment: p.ID.String(),
		Time: time.UnixMilli(p.EndedAt).In(si.China).Format("2006-01-02 15:04:05"),
		Area: s.cfg.Directory.TerminalConfig().RegionName, Bank: b.Info.Name,
		Terminal: decimal(uint64(p.Terminal)), STAN: fmt.Sprintf("%06d", p.STAN), RRN: string(p.RRN[:]),
		Auth: trim(p.Auth[:]), BankDate: p.BankDate.String(), Total: int64(p.Total),
		Dues: s.dueViews(p.Dues, p.Bank), Channel: p.Channel.String(),
	}
	return r
}

func trim(b []byte) string {
	for len(b) > 0 && (b[len(b)-1] == 0 || b[len(b)-1] == ' ') {
		b = b[:len(b)-1]
	}
	return string(b)
}
