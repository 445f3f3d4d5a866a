package termsrv

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"

	"github.com/shebao-pay/shebao/settlement/engine"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/hsmapi"
	"github.com/shebao-pay/shebao/si/ledgerapi"
	"github.com/shebao-pay/shebao/si/termapi"
)

// openCard opens an envelope made by the calling terminal.
func (s *Server) openCard(ctx context.Context, cardSession [16]byte, counter uint64, sealed []byte) (hsmapi.CardOpened, *failure) {
	c, err := s.cfg.Cards.OpenCard(ctx, hsmapi.OpenCard{
		Terminal: caller(ctx), CardSession: cardSession, Counter: counter, Sealed: sealed,
	})
	if err != nil {
		return c, errOf(err)
	}
	return c, nil
}

func (s *Server) openSession(ctx context.Context, in *bodyIn[termapi.Session]) (termapi.SessionOpened, *failure) {
	var none termapi.SessionOpened
	var cs [16]byte
	if n, err := hex.Decode(cs[:], []byte(in.Body.CardSession)); err != nil || n != len(cs) || len(in.Body.CardSession) != 32 {
		return none, problem(http.StatusBadRequest, termapi.ErrForm, "card_session is not 32 hexadecimal digits")
	}
	card, f := s.openCard(ctx, cs, in.Body.Counter, in.Body.Envelope)
	if f != nil {
		return none, f
	}
	defer wipe(&card)
	ses := &session{terminal: caller(ctx), cardSession: cs, panHash: card.PANHash, name: card.Name.Masked()}
	s.cfg.Random(ses.id[:])
	bank, known := s.cfg.Directory.BankByIIN(card.PAN)
	ses.bank = bank.Number
	up := known && s.cfg.Bank.BankUp(bank.Number)
	now := s.cfg.Now()
	switch {
	case !known:
		ses.problem = termapi.CardBankNotConnected
	case s.guard.tries(card.PANHash, now) >= WrongPINsPerDay:
		ses.problem = termapi.CardPINTries
	default:
		ses.person, ses.problem = s.bind(&card)
	}
	if ses.problem == "" && !up {
		ses.problem = termapi.CardBankDown
	}
	if ses.person != 0 {
		ses.idTail = s.idTail(ctx, card.IDHash)
	}
	if !s.sessions.open(ses, now) {
		return none, problem(http.StatusServiceUnavailable, termapi.ErrTooMany, "too many sessions on this node")
	}
	return termapi.SessionOpened{
		Session:   hex.EncodeToString(ses.id[:]),
		CardToken: hex.EncodeToString(card.PANHash[:4]),
		Bank:      bank.Info.Code, BankUp: up, CardProblem: ses.problem,
		PINFormat: s.cfg.PINFormat(ses.terminal),
	}, nil
}

// bind finds the person of a card: never by trust on first use. All three
// hashes must be those of the one active card on the person's record.
func (s *Server) bind(card *hsmapi.CardOpened) (si.PersonNo, string) {
	p, ok := s.cfg.Persons.Person(card.IDHash)
	if !ok {
		return 0, termapi.CardNotRegistered
	}
	found := ""
	for _, c := range s.cfg.Persons.Cards(p.No) {
		same := c.CardHash == card.CardHash && c.NoHash == card.NoHash
		switch {
		case same && c.PANHash != card.PANHash:
			return 0, termapi.CardMismatch
		case same && c.State == ledgerapi.CardActive:
			return p.No, ""
		case same && c.State == ledgerapi.CardLost:
			found = termapi.CardLost
		}
	}
	if found == "" {
		found = termapi.CardNotRegistered
	}
	return 0, found
}

func (s *Server) idTail(ctx context.Context, id si.Hash) string {
	p, ok := s.cfg.Persons.Person(id)
	if !ok {
		return ""
	}
	v, err := s.cfg.Cards.OpenPerson(ctx, p.Sealed)
	if err != nil {
		return "" // the tail is a comfort on paper; its absence stops nothing
	}
	return v.IDTail
}

func (s *Server) endSession(ctx context.Context, in *sessionIn) (empty, *failure) {
	ses, f := s.sessions.get(in.Session, caller(ctx), s.cfg.Now())
	if f == nil {
		s.sessions.end(ses.id)
	}
	return empty{}, nil // ending what has ended is no error
}

// cardOf opens the card of a money call and holds it to the session's card.
func (s *Server) cardOf(ctx context.Context, ses *session, a *termapi.CardAuth) (engine.CardData, *failure) {
	var none engine.CardData
	card, f := s.openCard(ctx, ses.cardSession, a.Counter, a.Envelope)
	if f != nil {
		return none, f
	}
	if card.PANHash != ses.panHash {
		wipe(&card)
		return none, problem(http.StatusForbidden, termapi.ErrOtherCard, "this is not the card of the session")
	}
	pin, err := si.NewPINBlock(a.PINBlock)
	if err != nil {
		return none, problem(http.StatusBadRequest, termapi.ErrForm, "the PIN block has neither 8 nor 16 bytes")
	}
	if len(a.DE55) == 0 || len(a.DE55) > 255 {
		return none, problem(http.StatusBadRequest, termapi.ErrForm, "the chip data has no or more than 255 bytes")
	}
	format := si.PINFormat4AES
	if s.cfg.PINFormat(ses.terminal) == "0" {
		format = si.PINFormat0TDES
	}
	return engine.CardData{
		PAN: card.PAN, PSN: card.PSN, Track2: card.Track2, Expiry: card.Expiry,
		PINBlock: pin, PINKey: "terminal/" + decimal(uint64(ses.terminal)) + "/tpk", PINFormat: format, DE55: a.DE55,
	}, nil
}

func (s *Server) provePIN(ctx context.Context, in *sessionBody[termapi.PINProof]) (termapi.PINProofResult, *failure) {
	var none termapi.PINProofResult
	now := s.cfg.Now()
	ses, f := s.sessions.get(in.Session, caller(ctx), now)
	if f != nil {
		return none, f
	}
	if ses.problem != "" {
		return none, problem(http.StatusForbidden, termapi.ErrNotYours, "this card cannot be served: "+ses.problem)
	}
	id, err := si.ParsePaymentID(in.Body.ID)
	if err != nil {
		return none, problem(http.StatusBadRequest, termapi.ErrForm, "id is not 32 hexadecimal digits")
	}
	id = proofID(&ses, id)
	if !s.guard.begin(ses.panHash, now) {
		return none, tooManyTries()
	}
	wrong := false
	defer func() { s.guard.end(ses.panHash, wrong, s.cfg.Now()) }()
	if !s.cfg.Bank.BankUp(ses.bank) {
		return none, problem(http.StatusServiceUnavailable, termapi.ErrBankAway, "the card's bank cannot be reached")
	}
	card, f := s.cardOf(ctx, &ses, &in.Body.Auth)
	if f != nil {
		return none, f
	}
	a, err := s.cfg.Bank.Prove(ctx, engine.Proof{ID: id, Terminal: ses.terminal, Bank: ses.bank, Card: card})
	if err != nil {
		return none, errOf(err)
	}
	r := termapi.PINProofResult{TriesLeft: a.TriesLeft, IssuerData: issuer(a.Issuer), Incident: incident(id)}
	switch a.Verdict {
	case engine.Proven:
		s.sessions.prove(ses.id)
		s.guard.forgive(ses.panHash)
		r.Result, r.Incident = termapi.PINProven, ""
	case engine.WrongPIN:
		wrong = true
		r.Result = termapi.PINWrong
	case engine.PINBlocked:
		r.Result = termapi.PINBlocked
	case engine.CardRefused:
		r.Result = termapi.PINCard
	default:
		r.Result = termapi.PINAway
	}
	return r, nil
}

// proofID is the terminal's id of a proof bound to the session: the answer to
// one session's proof can never be given to another session, whatever id that
// one sends.
func proofID(ses *session, id si.PaymentID) (bound si.PaymentID) {
	sum := sha256.Sum256(slices.Concat(ses.id[:], id[:]))
	copy(bound[:6], id[:6])
	copy(bound[6:], sum[:])
	return bound
}

func tooManyTries() *failure {
	return problem(http.StatusForbidden, termapi.ErrTooManyTries, "too many wrong PINs with this card today")
}

func issuer(d engine.IssuerData) termapi.IssuerData {
	return termapi.IssuerData{ARC: d.ARC, Auth: d.Auth, Scripts: d.Scripts}
}

// incident is a short number by which the desk finds the payment: the last
// eight digits of its id.
func incident(id si.PaymentID) string { return id.String()[24:] }

func wipe(c *hsmapi.CardOpened) {
	c.PAN.Wipe()
	c.Track2.Wipe()
}
