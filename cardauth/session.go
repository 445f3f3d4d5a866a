package cardauth

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"github.com/shebao-pay/shebao/cardauth/apdu"
	"github.com/shebao-pay/shebao/cardauth/emv"
	"github.com/shebao-pay/shebao/cardauth/envelope"
	"github.com/shebao-pay/shebao/cardauth/sscard"
	"github.com/shebao-pay/shebao/si"
)

// Purposes of revealing a secret value here.
const (
	toFindBank   si.Purpose = "find the issuer by IIN"
	toBindPerson si.Purpose = "compare the holders of both applications"
)

// Chip is a powered card with its answer to reset. ATR asks the reader each
// time, so that a card that was exchanged shows.
type Chip interface {
	Transmitter
	ATR() ([]byte, error)
}

// PIN is an enciphered PIN block as the pad gave it.
type PIN struct {
	Block  si.PINBlock
	Key    string
	Format si.PINFormat
}

// Session is one uninterrupted power-up of one card, from reading to wiping. It
// is used by one goroutine. After [Session.Wipe], and after the card was lost,
// every call answers [Removed] or [OutcomeRemoved].
type Session struct {
	all     *Sessions
	chip    Chip
	atr     []byte
	id      [16]byte
	counter uint64

	social *sscard.Card
	aid    []byte
	first  emv.Account // as first read; later readings must be equal
	bank   string
	ready  bool // read, bound, no problem

	live *emv.Transaction // between Authorise and Complete
	atc  emv.ATC          // of the last cryptogram
	arqc []byte
	used bool // Read was called
	gone bool
	why  error // behind the last problem
}

// Open begins the session of a card that was just powered.
func (a *Sessions) Open(chip Chip) (*Session, error) {
	s := &Session{all: a, chip: chip}
	if _, err := io.ReadFull(a.cfg.Random, s.id[:]); err != nil {
		return nil, fmt.Errorf("cardauth: session id: %w", err)
	}
	return s, nil
}

// ID names the session.
func (s *Session) ID() [16]byte { return s.id }

// PAN is the account number for the PIN pad, zero unless the card was read
// without a problem.
func (s *Session) PAN() si.PAN {
	if !s.ready {
		return si.PAN{}
	}
	return s.first.PAN
}

// Read reads both applications, the social one first, and binds them to each
// other. The answer holds what may be shown; its Problem says why the card
// cannot be used. A card that has a problem is not read further.
func (s *Session) Read(now time.Time) Card {
	card := Card{Session: s.id}
	if s.gone || s.used {
		card.Problem = Removed // one power-up is read once
		return card
	}
	s.used = true
	card.Problem = s.read(now, &card)
	s.ready = card.Problem == OK
	if card.Problem == Removed {
		s.Wipe()
	}
	return card
}

func (s *Session) read(now time.Time, card *Card) Problem {
	var err error
	if s.atr, err = s.chip.ATR(); err != nil {
		return s.fail(err)
	}
	if p := s.readSocial(now, card); p != OK {
		return p
	}
	if p := s.readBank(now, card); p != OK {
		return p
	}
	atr, err := s.chip.ATR()
	if err != nil {
		return s.fail(err)
	}
	if !bytes.Equal(atr, s.atr) {
		return Removed // another card
	}
	return s.bind()
}

// readSocial reads the social security application and judges it by itself.
func (s *Session) readSocial(now time.Time, card *Card) Problem {
	social, err := sscard.Read(s.chip)
	if social != nil {
		s.social = social
		card.Version, card.Area = social.Version, social.Area()
	}
	if err != nil {
		return s.fail(err)
	}
	card.MaskedName, card.IDTail = social.HolderName.Masked(), social.IDNumber.Tail()
	if !s.all.cfg.serves(social.Area()) {
		return AreaNotServed
	}
	if social.ValidUntil != "" && si.DateOf(now).Compact() > social.ValidUntil {
		return Expired
	}
	return OK
}

// readBank reads the bank application without asking for a cryptogram.
func (s *Session) readBank(now time.Time, card *Card) Problem {
	x, err := s.begin(ForPINProof, 0, now)
	if err != nil {
		return s.fail(err)
	}
	account := x.Account()
	s.aid = bytes.Clone(x.AID())
	s.first = *account
	s.first.HolderName = bytes.Clone(account.HolderName)
	x.Wipe()
	card.MaskedPAN, card.PANTail = s.first.PAN.Masked(), s.first.PAN.Tail()
	s.bank = s.all.cfg.bankOf(s.first.PAN.Reveal(toFindBank))
	card.Bank = s.bank
	if s.bank == "" {
		return BankNotConnected
	}
	return OK
}

// bind holds the holder that the bank application names to the holder of the
// social security application: the ID number where the card states one,
// otherwise the name where it is Chinese text. Where the bank application names
// nobody no claim is made; the hub holds the pair to the person register.
func (s *Session) bind() Problem {
	if s.first.HolderID != "" {
		if s.first.HolderID != s.social.IDNumber.Reveal(toBindPerson) {
			return TwoPeople
		}
		return OK
	}
	name, err := sscard.DecodeText(bytes.TrimRight(s.first.HolderName, "\x00 "))
	if err != nil || !strings.ContainsFunc(name, func(r rune) bool { return unicode.Is(unicode.Han, r) }) {
		return OK
	}
	if name != s.social.HolderName.Reveal(toBindPerson) {
		return TwoPeople
	}
	return OK
}

// begin starts one EMV transaction.
func (s *Session) begin(p Purpose, amount si.Fen, now time.Time) (*emv.Transaction, error) {
	params := emv.Params{Type: 0x31, At: now, Sequence: s.all.cfg.Sequence()}
	if p == ForPayment {
		params.Type, params.Amount = 0x00, amount
	}
	if _, err := io.ReadFull(s.all.cfg.Random, params.Unpredictable[:]); err != nil {
		return nil, fmt.Errorf("cardauth: unpredictable number: %w", err)
	}
	return emv.Begin(s.chip, s.aid, &s.all.cfg.Terminal, params)
}

// Why is the error behind the last problem, for operators: it names commands,
// tags and status words, and no data of the card. Nil where a rule of binding
// found the problem.
func (s *Session) Why() error { return s.why }

// fail notes an error and says what it means.
func (s *Session) fail(err error) Problem {
	s.why = err
	return problemOf(err)
}

// Envelope seals what was read for the hub, with the next counter.
func (s *Session) Envelope() (counter uint64, sealed []byte, err error) {
	if !s.ready {
		return 0, nil, errors.New("cardauth: no card was read, so there is nothing to seal")
	}
	s.counter++
	sealed, err = s.all.cfg.Seal(s.id, s.counter, envelope.Fields{
		IDNumber: s.social.IDNumber, Name: s.social.HolderName, CardID: s.social.CardID, CardNo: s.social.CardNo,
		ATR: s.atr, PAN: s.first.PAN, PSN: s.first.PSN, Track2: s.first.Track2, Expiry: s.first.Expiry,
		IssuerID: s.first.HolderID,
	})
	if err != nil {
		return 0, nil, fmt.Errorf("cardauth: seal card envelope: %w", err)
	}
	return s.counter, sealed, nil
}

// Authorise runs one EMV transaction up to the first cryptogram and gives what
// one bank message needs. amount counts for a payment only. The records must be
// those of the first reading, the counter of the card must have risen and the
// cryptogram must be another one. A transaction that was never completed is
// forgotten: the card drops it by itself when the next one begins.
func (s *Session) Authorise(p Purpose, amount si.Fen, now time.Time, pin PIN) (Proof, Problem) {
	if s.gone || !s.ready {
		return Proof{}, Removed
	}
	if s.live != nil {
		s.live.Wipe()
		s.live = nil
	}
	proof, err := s.authorise(p, amount, now, pin)
	if err != nil {
		problem := s.fail(err)
		if problem == Removed {
			s.Wipe()
		}
		return Proof{}, problem
	}
	return proof, OK
}

// errChanged is a card that is not the one that was read, or that repeats itself.
var errChanged = errors.New("cardauth: card is not the one that was read, or repeats itself")

func (s *Session) authorise(p Purpose, amount si.Fen, now time.Time, pin PIN) (Proof, error) {
	if p != ForPINProof && p != ForPayment || p == ForPayment && (amount <= 0 || amount > si.MaxFen) {
		return Proof{}, fmt.Errorf("cardauth: authorise: %w", si.ErrAmountRange)
	}
	x, err := s.begin(p, amount, now)
	if err != nil {
		return Proof{}, err
	}
	if x.Account().Digest != s.first.Digest {
		x.Wipe()
		return Proof{}, errChanged
	}
	if err := x.Request(s.chip); err != nil {
		x.Wipe()
		return Proof{}, err
	}
	if x.ATC() <= s.atc || bytes.Equal(x.Cryptogram(), s.arqc) {
		x.Wipe()
		return Proof{}, errChanged
	}
	s.atc, s.arqc = x.ATC(), bytes.Clone(x.Cryptogram())
	de55, err := x.DE55(s.all.cfg.tags(s.bank))
	if err != nil {
		x.Wipe()
		return Proof{}, err
	}
	counter, sealed, err := s.Envelope()
	if err != nil {
		x.Wipe()
		return Proof{}, err
	}
	s.live = x
	return Proof{
		CardSession: s.id, Counter: counter, Envelope: sealed, DE55: de55,
		PINBlock: pin.Block, PINKey: pin.Key, PINFormat: pin.Format,
	}, nil
}

// Complete gives the chip the issuer's answer and takes its last word, once for
// each Authorise.
func (s *Session) Complete(a HostAnswer) LastWord {
	x := s.live
	if s.gone || x == nil {
		return LastWord{Outcome: OutcomeRemoved}
	}
	s.live = nil
	defer x.Wipe()
	verdict, err := x.Finish(s.chip, emv.Answer{
		Approved: a.Approved, Answered: a.Answered, ARC: a.ARC, Auth: a.Auth, Scripts: a.Scripts,
	})
	word := LastWord{Outcome: outcomes[verdict]}
	if err != nil {
		s.why = err
		word.Outcome = OutcomeRemoved
	}
	if de55, err := x.DE55(emv.ReversalTags); err == nil {
		word.DE55 = de55
	}
	if word.Outcome == OutcomeRemoved {
		s.Wipe()
	}
	return word
}

var outcomes = map[emv.Verdict]Outcome{
	emv.Accepted: OutcomeTC, emv.Declined: OutcomeAAC, emv.IssuerUnproven: OutcomeARPCBad,
}

// Wipe ends the session and forgets the card.
func (s *Session) Wipe() {
	if s.live != nil {
		s.live.Wipe()
		s.live = nil
	}
	if s.social != nil {
		s.social.Wipe()
	}
	s.first.Wipe()
	clear(s.atr)
	clear(s.arqc)
	s.social, s.aid, s.atr, s.arqc = nil, nil, nil, nil
	s.ready, s.gone = false, true
}

// problems says what an error means to the citizen. The first that fits counts.
var problems = []struct {
	err     error
	problem Problem
}{
	{apdu.ErrRemoved, Removed},
	{apdu.ErrReset, Removed},
	{apdu.ErrMute, Unreadable},
	{sscard.ErrNotSocialCard, NotSocialCard},
	{sscard.ErrVersion, VersionUnknown},
	{sscard.ErrCipher, CipherUnknown},
	{sscard.ErrNeedsKeyService, NeedsKeyService},
	{sscard.ErrBlocked, AppBlocked},
	{emv.ErrBlocked, AppBlocked},
	{emv.ErrNoApplication, NotActivated},
	{emv.ErrExpired, Expired},
	{emv.ErrNotEffective, NotActivated},
	{emv.ErrNoOnlinePIN, NotActivated},
	{emv.ErrCardDeclined, AppBlocked},
	{emv.ErrYesCard, CardFault},
	{emv.ErrRecords, CardFault},
	{sscard.ErrHolder, CardFault},
	{sscard.ErrCardNo, CardFault},
	{sscard.ErrText, CardFault},
	{sscard.ErrRecord, CardFault},
	{apdu.ErrResponse, CardFault},
	{apdu.ErrLoop, CardFault},
	{errChanged, CardFault},
}

// problemOf sorts an error. A status word that no rule names is a fault of the
// card; whatever else happened on the way to it makes it unreadable.
func problemOf(err error) Problem {
	for _, p := range problems {
		if errors.Is(err, p.err) {
			return p.problem
		}
	}
	var status *apdu.StatusError
	if errors.As(err, &status) {
		if status.SW.Class() == apdu.Blocked {
			return AppBlocked
		}
		return CardFault
	}
	return Unreadable
}
