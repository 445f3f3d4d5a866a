package terminal

import (
	"sync"

	"github.com/shebao-pay/shebao/cardauth"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/termapi"
	"github.com/shebao-pay/shebao/terminal/device"
)

// forOneMessage is why an enciphered PIN block is read here: it goes into the
// body of the one call it was made for.
const forOneMessage si.Purpose = "body of the one hub call it was made for"

// secrets holds what the pad and the card made, from there to its message. It
// is not copied and not logged.
type secrets struct {
	mu    sync.Mutex
	gen   uint64   // counts wipes
	card  [16]byte // the card's power session
	pin   device.PINResult
	proof cardauth.Proof
}

// now names the time between two wipes. What was asked for in an earlier one is
// not kept any more.
func (s *secrets) now() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gen
}

func (s *secrets) begin(gen uint64, session [16]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.zero()
	if gen == s.gen {
		s.card = session
	}
}

func (s *secrets) session() [16]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.card
}

func (s *secrets) keepPIN(gen uint64, r device.PINResult) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pin = device.PINResult{}
	if gen == s.gen {
		s.pin = r
	}
}

// takePIN gives the block away: it serves one cryptogram.
func (s *secrets) takePIN() device.PINResult {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.pin
	s.pin = device.PINResult{}
	return r
}

func (s *secrets) keepProof(gen uint64, p cardauth.Proof) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.zeroProof()
	if gen == s.gen {
		s.proof = p
	}
}

// takeAuth gives the cryptogram and the block away: they serve one message.
func (s *secrets) takeAuth() termapi.CardAuth {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := termapi.CardAuth{Counter: s.proof.Counter, Envelope: s.proof.Envelope,
		PINBlock: s.proof.PINBlock.Reveal(forOneMessage), DE55: s.proof.DE55}
	s.proof.PINBlock.Wipe()
	s.proof = cardauth.Proof{}
	return a
}

func (s *secrets) wipe() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gen++
	s.zero()
	s.card = [16]byte{}
}

func (s *secrets) zero() {
	s.pin.Block.Wipe()
	s.pin = device.PINResult{}
	s.zeroProof()
}

func (s *secrets) zeroProof() {
	s.proof.PINBlock.Wipe()
	clear(s.proof.Envelope)
	clear(s.proof.DE55)
	s.proof = cardauth.Proof{}
}

// wipeAuth zeroes a message's parts after it was written.
func wipeAuth(a *termapi.CardAuth) {
	clear(a.PINBlock)
	clear(a.Envelope)
	clear(a.DE55)
}
