package termsrv

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"net/http"
	"slices"
	"time"

	"github.com/shebao-pay/shebao/settlement/engine"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
	"github.com/shebao-pay/shebao/si/termapi"
)

// MaxIDAge is how old an id may be when its payment comes: the id is made at the
// confirm page, and the PIN entry behind it may take two minutes.
const MaxIDAge = 5 * time.Minute

// pay makes a payment. What is known of the id comes first: a repeated call is
// answered with the payment's state even when its session has ended or its bank
// is away, because every refusal below says that nothing was asked of anyone.
func (s *Server) pay(ctx context.Context, in *bodyIn[termapi.Payment]) (termapi.PaymentState, *failure) {
	var none termapi.PaymentState
	b := &in.Body
	now := s.cfg.Now()
	id, err := si.ParsePaymentID(b.ID)
	if err != nil {
		return none, problem(http.StatusBadRequest, termapi.ErrForm, "id is not 32 hexadecimal digits")
	}
	refs, f := lines(b)
	if f != nil {
		return none, f
	}
	if p, seen := s.cfg.Records.Payment(id); seen {
		return s.repeated(ctx, &p, refs, si.Fen(b.Total))
	}
	if skew := now.Sub(time.UnixMilli(id.Millis())); skew > MaxIDAge || skew < -MaxSkew {
		if v, f := s.stateOf(ctx, id); f == nil || f.Code != termapi.ErrNotFound {
			return v, f
		}
		return none, problem(http.StatusConflict, termapi.ErrClock, "the terminal's clock is off by more than a minute")
	}
	sum := sha256.Sum256(bodyBytes(b))
	again, f := s.marks.mark(id, bodyHash(sum[:16]), now)
	if f != nil {
		return none, f
	}
	if again {
		return s.stateOf(ctx, id)
	}
	return s.payFirst(ctx, id, b, refs)
}

// payFirst takes the first call of an id.
func (s *Server) payFirst(ctx context.Context, id si.PaymentID, b *termapi.Payment, refs []ledgerapi.DueRef) (termapi.PaymentState, *failure) {
	var none termapi.PaymentState
	now := s.cfg.Now()
	ses, f := s.sessions.proven(b.Session, caller(ctx), now)
	if f == nil && !s.guard.begin(ses.panHash, now) {
		f = tooManyTries()
	}
	if f != nil {
		s.marks.forget(id)
		return none, f
	}
	wrong := false
	defer func() { s.guard.end(ses.panHash, wrong, s.cfg.Now()) }()
	intent, f := s.intent(ctx, id, &ses, b, refs)
	if f != nil {
		s.marks.forget(id)
		return none, f
	}
	a, err := s.cfg.Payments.Pay(ctx, intent)
	if err != nil {
		return none, errOf(err)
	}
	if a.Ending == engine.Refused && a.Refusal.Code == ledgerapi.IDReused {
		return none, reused() // of the id's own payment it says nothing
	}
	wrong = a.Ending == engine.NotCharged && classOf(a.Resp) == termapi.ReasonPINWrong
	v := s.view(id, a)
	if v.Receipt != nil {
		v.Receipt.Name, v.Receipt.IDTail = ses.name, ses.idTail
	}
	return v, nil
}

// repeated answers a call whose id is in the ledger.
func (s *Server) repeated(ctx context.Context, p *ledgerapi.Payment, refs []ledgerapi.DueRef, total si.Fen) (termapi.PaymentState, *failure) {
	if p.State == ledgerapi.PayTombstone {
		return s.stateOf(ctx, p.ID)
	}
	if p.Terminal != caller(ctx) {
		return termapi.PaymentState{}, problem(http.StatusConflict, termapi.ErrIDReused, "this payment id was used by another terminal")
	}
	same := p.Total == total && len(p.Dues) == len(refs)
	for i := range p.Dues { // in the ledger's order
		same = same && slices.Contains(refs, p.Dues[i].Ref)
	}
	if !same {
		return termapi.PaymentState{}, reused()
	}
	return s.stateOf(ctx, p.ID)
}

// intent holds a payment to its session and opens its card: everything that is
// checked before anything is reserved.
func (s *Server) intent(ctx context.Context, id si.PaymentID, ses *session, b *termapi.Payment, refs []ledgerapi.DueRef) (engine.Intent, *failure) {
	var none engine.Intent
	if f := s.payable(ses, refs); f != nil {
		return none, f
	}
	card, f := s.cardOf(ctx, ses, &b.Auth)
	if f != nil {
		return none, f
	}
	return engine.Intent{
		ID: id, Terminal: ses.terminal, Bank: ses.bank, Dues: refs, Total: si.Fen(b.Total), Card: card,
	}, nil
}

// lines turns the body's lines into references and checks their sum.
func lines(b *termapi.Payment) ([]ledgerapi.DueRef, *failure) {
	if len(b.Dues) == 0 || len(b.Dues) > ledgerapi.MaxDues {
		return nil, problem(http.StatusBadRequest, termapi.ErrForm, "a payment has 1 to 24 dues")
	}
	refs := make([]ledgerapi.DueRef, len(b.Dues))
	var sum si.Fen
	for i, l := range b.Dues {
		n, ok := parseDecimal(l.ID, 1<<63-1)
		if !ok || l.Amount <= 0 || l.LateFee < 0 || l.Amount > int64(si.MaxFen) || l.LateFee > int64(si.MaxFen) {
			return nil, problem(http.StatusBadRequest, termapi.ErrForm, "a due has a bad id or amount")
		}
		for _, r := range refs[:i] {
			if r.ID == si.DueID(n) {
				return nil, problem(http.StatusBadRequest, termapi.ErrForm, "a due stands twice")
			}
		}
		refs[i] = ledgerapi.DueRef{ID: si.DueID(n), Version: l.Version, Amount: si.Fen(l.Amount), LateFee: si.Fen(l.LateFee)}
		sum += refs[i].Amount + refs[i].LateFee
	}
	if sum != si.Fen(b.Total) || sum > si.MaxFen {
		return nil, problem(http.StatusBadRequest, termapi.ErrForm, "the total is not the sum of the dues")
	}
	return refs, nil
}

// bodyBytes is the part of a payment that a resend repeats: all but the card's
// cryptogram, envelope and PIN block.
func bodyBytes(b *termapi.Payment) []byte {
	out := append([]byte(b.Session), 0)
	out = binary.LittleEndian.AppendUint64(out, uint64(b.Total))
	for _, l := range b.Dues {
		out = append(append(out, l.ID...), 0)
		out = binary.LittleEndian.AppendUint16(out, l.Version)
		out = binary.LittleEndian.AppendUint64(out, uint64(l.Amount))
		out = binary.LittleEndian.AppendUint64(out, uint64(l.LateFee))
	}
	return out
}

// payable holds every due to the session's person and the bank to an account.
// Whether a due may still be paid is the ledger's to say.
func (s *Server) payable(ses *session, refs []ledgerapi.DueRef) *failure {
	own := s.cfg.Persons.DuesOf(ses.person, si.DateOf(s.cfg.Now()))
	for _, r := range refs {
		found := false
		for i := range own {
			found = found || own[i].Ref.ID == r.ID
		}
		if !found {
			return problem(http.StatusForbidden, termapi.ErrNotYours, "a due is not one of this session's person")
		}
	}
	b, ok := s.cfg.Directory.BankByNumber(ses.bank)
	if !ok || !b.Beneficiary {
		return problem(http.StatusConflict, termapi.ErrNotPayable, "the region has no account at this bank")
	}
	if !s.cfg.Bank.BankUp(ses.bank) {
		return problem(http.StatusServiceUnavailable, termapi.ErrBankAway, "the card's bank cannot be reached")
	}
	return nil
}

// mine finds a payment that the calling terminal made. Another terminal's
// payment is as good as none.
func (s *Server) mine(ctx context.Context, text string) (si.PaymentID, *failure) {
	id, err := si.ParsePaymentID(text)
	if err != nil {
		return id, problem(http.StatusBadRequest, termapi.ErrForm, "id is not 32 hexadecimal digits")
	}
	if p, ok := s.cfg.Records.Payment(id); ok && p.State != ledgerapi.PayTombstone && p.Terminal != caller(ctx) {
		return id, problem(http.StatusNotFound, termapi.ErrNotFound, "no such payment of this terminal")
	}
	return id, nil
}

func (s *Server) payment(ctx context.Context, in *paymentIn) (termapi.PaymentState, *failure) {
	id, f := s.mine(ctx, in.ID)
	if f != nil {
		return termapi.PaymentState{}, f
	}
	return s.stateOf(ctx, id)
}

func (s *Server) closePayment(ctx context.Context, in *paymentIn) (termapi.PaymentState, *failure) {
	id, f := s.mine(ctx, in.ID)
	if f != nil {
		return termapi.PaymentState{}, f
	}
	if _, known := s.cfg.Records.Payment(id); !known && !s.guard.of(caller(ctx)).closes.AllowN(s.cfg.Now(), 1) {
		return termapi.PaymentState{}, problem(http.StatusTooManyRequests, termapi.ErrTooMany, "too many ids closed by this terminal; ask again later")
	}
	if err := s.cfg.Payments.Close(ctx, id); err != nil {
		return termapi.PaymentState{}, errOf(err)
	}
	return s.stateOf(ctx, id)
}

func (s *Server) cardOutcome(ctx context.Context, in *paymentBody[termapi.CardOutcome]) (termapi.PaymentState, *failure) {
	id, f := s.mine(ctx, in.ID)
	if f != nil {
		return termapi.PaymentState{}, f
	}
	outcomes := map[string]engine.CardOutcome{
		termapi.OutcomeTC: engine.CardTC, termapi.OutcomeAAC: engine.CardAAC,
		termapi.OutcomeARPCBad: engine.CardARPCBad, termapi.OutcomeRemoved: engine.CardRemoved,
	}
	o, ok := outcomes[in.Body.Outcome]
	if !ok || len(in.Body.DE55) > 255 {
		return termapi.PaymentState{}, problem(http.StatusBadRequest, termapi.ErrForm, "no such outcome")
	}
	if err := s.cfg.Outcomes.CardOutcome(ctx, id, o, in.Body.DE55); err != nil {
		return termapi.PaymentState{}, errOf(err)
	}
	return s.stateOf(ctx, id)
}

// stateOf asks the money side, which knows the payments in flight and asks the
// ledger for the others.
func (s *Server) stateOf(ctx context.Context, id si.PaymentID) (termapi.PaymentState, *failure) {
	a, err := s.cfg.Payments.State(ctx, id)
	if err != nil {
		return termapi.PaymentState{}, errOf(err)
	}
	if a.Ending == 0 {
		return termapi.PaymentState{}, problem(http.StatusNotFound, termapi.ErrNotFound, "no such payment of this terminal")
	}
	return s.view(id, a), nil
}
