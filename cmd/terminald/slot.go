package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/shebao-pay/shebao/cardauth"
	"github.com/shebao-pay/shebao/cardauth/envelope"
	"github.com/shebao-pay/shebao/cardauth/epp"
	"github.com/shebao-pay/shebao/cardauth/pcsc"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/termapi"
	"github.com/shebao-pay/shebao/terminal/device"
)

// PIN lengths that every pad takes (ISO 9564-1).
const minPIN, maxPIN = 4, 12

// errNoCard is the answer to a call without a card.
var errNoCard = errors.New("no card is in session")

// slot is the card side of this terminal behind device.CardSlot: the reader,
// the card's session, and the PIN pad that needs the card's number. What the
// terminal gets of it is masked or sealed.
type slot struct {
	cfg    *Config
	pad    epp.Pad
	reader *pcsc.Reader
	log    zerolog.Logger
	events chan device.CardEvent
	ended  chan struct{}

	mu       sync.Mutex    // one call at a time
	sequence atomic.Uint32 // 9F41, goes on from card to card
	sessions *cardauth.Sessions
	card     *pcsc.Card
	session  *cardauth.Session

	conf sync.Mutex
	hub  termapi.Config // set by the heartbeat
}

// openSlot begins to watch the reader. The card service's socket is named in
// the environment, where the PC/SC library looks for it.
func openSlot(cfg *Config, pad epp.Pad, log zerolog.Logger) (*slot, error) {
	if cfg.Reader.Socket != "" {
		if err := os.Setenv("PCSCLITE_CSOCK_NAME", cfg.Reader.Socket); err != nil {
			return nil, fmt.Errorf("reader.socket: %w", err)
		}
	}
	r, err := pcsc.Open(pcsc.Config{Name: cfg.Reader.Name})
	if err != nil {
		return nil, err
	}
	s := &slot{cfg: cfg, pad: pad, reader: r, log: log, events: make(chan device.CardEvent, 8), ended: make(chan struct{})}
	go s.pump()
	return s, nil
}

// pump turns the reader's events into the slot's.
func (s *slot) pump() {
	defer close(s.ended)
	kinds := map[pcsc.Kind]device.CardEventKind{
		pcsc.In: device.CardIn, pcsc.Out: device.CardOut, pcsc.Ready: device.SlotReady, pcsc.Fault: device.SlotFault,
	}
	for e := range s.reader.Events() {
		why := ""
		if e.Err != nil {
			why = e.Err.Error()
			s.log.Warn().Err(e.Err).Msg("card slot")
		}
		s.events <- device.CardEvent{Kind: kinds[e.Kind], Why: why}
	}
}

// close ends the reader.
func (s *slot) close() {
	s.Eject()
	if err := s.reader.Close(); err != nil {
		s.log.Warn().Err(err).Msg("card reader did not close")
		return
	}
	for {
		select {
		case <-s.events: // nobody listens any more; let the pump end
		case <-s.ended:
			return
		}
	}
}

// applied takes the hub's configuration for the cards to come.
func (s *slot) applied(c termapi.Config) {
	s.conf.Lock()
	defer s.conf.Unlock()
	s.hub = c
}

// settings makes the card side's configuration from the hub's.
func (s *slot) settings() (*cardauth.Sessions, error) {
	s.conf.Lock()
	c := s.hub
	s.conf.Unlock()
	iins := map[string]string{}
	for _, i := range c.IINs {
		iins[i.Prefix] = i.Bank
	}
	return cardauth.New(cardauth.Config{
		IINs: iins, Areas: c.Areas, Random: rand.Reader, Sequence: func() uint32 { return s.sequence.Add(1) },
		Terminal: cardauth.NewTerminalData(fmt.Sprintf("%08d", s.cfg.Terminal)),
		Seal: func(card [16]byte, counter uint64, f envelope.Fields) ([]byte, error) {
			return envelope.Seal(c.EnvelopeKey, s.cfg.terminalNo(), card, counter, f)
		},
	})
}

func (s *slot) Events() <-chan device.CardEvent { return s.events }

func (s *slot) Read(context.Context) cardauth.Card {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop()
	broken := cardauth.Card{Problem: cardauth.Unreadable}
	sessions, err := s.settings()
	if err != nil {
		s.log.Error().Err(err).Msg("card settings from the hub")
		return broken
	}
	card, err := s.reader.Connect()
	if err != nil {
		s.log.Warn().Err(err).Msg("card does not power up")
		return broken
	}
	session, err := sessions.Open(card)
	if err != nil {
		s.log.Error().Err(err).Msg("card session")
		_ = card.Disconnect() // it was never used
		return broken
	}
	s.sessions, s.card, s.session = sessions, card, session
	c := session.Read(time.Now())
	if c.Problem != cardauth.OK {
		s.log.Info().Uint8("problem", uint8(c.Problem)).AnErr("why", session.Why()).Msg("card cannot be used")
	}
	return c
}

// drop ends the card's session and takes its power.
func (s *slot) drop() {
	if s.session != nil {
		s.session.Wipe()
	}
	if s.card != nil {
		_ = s.card.Disconnect() // a pulled card says it is gone
	}
	s.session, s.card = nil, nil
}

func (s *slot) Envelope() (uint64, []byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.session == nil {
		return 0, nil, errNoCard
	}
	return s.session.Envelope()
}

func (s *slot) EnterPIN(ctx context.Context, amount si.Fen, keys func(int)) (device.PINResult, error) {
	s.mu.Lock()
	var pan si.PAN
	if s.session != nil {
		pan = s.session.PAN()
	}
	s.mu.Unlock()
	if pan.IsZero() {
		return device.PINResult{}, device.ErrCardGone
	}
	format := si.PINFormat4AES
	if s.cfg.PINPad.Format == "0" {
		format = si.PINFormat0TDES
	}
	b, err := s.pad.Enter(ctx, epp.Request{PAN: pan, Format: format, Amount: amount, MinLen: minPIN, MaxLen: maxPIN}, keys)
	switch {
	case errors.Is(err, epp.ErrCancelled), errors.Is(err, context.Canceled):
		return device.PINResult{}, device.ErrPINCancelled
	case errors.Is(err, epp.ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		return device.PINResult{}, device.ErrPINTimeout
	case err != nil:
		return device.PINResult{}, fmt.Errorf("%w: %w", device.ErrPadFault, err)
	}
	return device.PINResult{Block: b.Block, Key: b.Key, Format: b.Format}, nil
}

// PadReady tells whether the PIN pad can be used.
func (s *slot) PadReady(ctx context.Context) error { return s.pad.Ready(ctx) }

func (s *slot) Authorise(_ context.Context, p cardauth.Purpose, amount si.Fen, pin device.PINResult) (cardauth.Proof, cardauth.Problem) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.session == nil {
		return cardauth.Proof{}, cardauth.Removed
	}
	proof, problem := s.session.Authorise(p, amount, time.Now(), cardauth.PIN{Block: pin.Block, Key: pin.Key, Format: pin.Format})
	if problem != cardauth.OK {
		s.log.Info().Uint8("problem", uint8(problem)).AnErr("why", s.session.Why()).Msg("card gives no cryptogram")
	}
	return proof, problem
}

func (s *slot) Complete(_ context.Context, a cardauth.HostAnswer) cardauth.LastWord {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.session == nil {
		return cardauth.LastWord{Outcome: cardauth.OutcomeRemoved}
	}
	return s.session.Complete(a)
}

func (s *slot) Eject() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop()
}
