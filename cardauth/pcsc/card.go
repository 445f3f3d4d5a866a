package pcsc

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/ebfe/scard"

	"github.com/shebao-pay/shebao/cardauth/apdu"
)

// Card is a powered card, held exclusively from Connect to Disconnect. It stays
// powered all that time. It is used by one goroutine at a time.
type Card struct {
	r     *Reader
	power uint64 // which Connect it came from
}

// held is the card that the worker holds; the worker alone touches it.
type held struct {
	ctx   *scard.Context
	card  *scard.Card
	power uint64
}

// job is one call that may never come back.
type job struct {
	run   func() ([]byte, error)
	state atomic.Int32
	done  chan struct{} // closed with out and err set, unless the job was left
	out   []byte
	err   error
}

// States of a job.
const (
	jobOpen   = iota // neither side has decided
	jobDone          // the worker delivered in time
	jobWaived        // the caller left at its deadline
)

// workLoop runs jobs one after the other. A job that its caller has left leaves
// the card in an unknown state: it is let go, and the reader is whole again.
func (r *Reader) workLoop() {
	defer r.done.Done()
	defer r.release()
	for {
		select {
		case <-r.closing:
			return
		case j := <-r.jobs:
			j.out, j.err = j.run()
			if j.state.CompareAndSwap(jobOpen, jobDone) {
				close(j.done)
				continue
			}
			r.release()
			r.wedged.Store(false)
		}
	}
}

// do runs a call on the worker and waits for it until the deadline.
func (r *Reader) do(deadline time.Duration, run func() ([]byte, error)) ([]byte, error) {
	if r.wedged.Load() {
		return nil, ErrWedged
	}
	timer := time.NewTimer(deadline)
	defer timer.Stop()
	j := &job{run: run, done: make(chan struct{})}
	select {
	case r.jobs <- j:
	case <-r.closing:
		return nil, ErrClosed
	case <-timer.C:
		return nil, ErrWedged
	}
	select {
	case <-j.done:
		return j.out, j.err
	case <-timer.C:
	}
	r.wedged.Store(true)
	if !j.state.CompareAndSwap(jobOpen, jobWaived) {
		r.wedged.Store(false) // it came back in the last moment
		<-j.done
		return j.out, j.err
	}
	return nil, ErrWedged
}

// Connect powers the card in the reader and holds it exclusively. A card that
// another program holds is asked for three times.
func (r *Reader) Connect() (*Card, error) {
	r.mu.Lock()
	name := r.name
	r.mu.Unlock()
	if name == "" {
		return nil, ErrAway
	}
	c := &Card{r: r}
	_, err := r.do(r.cfg.Deadline, func() ([]byte, error) {
		r.release()
		ctx, err := scard.EstablishContext()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrAway, err)
		}
		card, err := r.connect(ctx, name)
		if err != nil {
			_ = ctx.Release()
			return nil, classify("connect", err)
		}
		r.card = held{ctx: ctx, card: card, power: r.card.power + 1}
		c.power = r.card.power
		return nil, nil
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (r *Reader) connect(ctx *scard.Context, name string) (*scard.Card, error) {
	for try := 1; ; try++ {
		// Either protocol: a T=0 card refuses to be asked for T=1 only.
		card, err := ctx.Connect(name, scard.ShareExclusive, scard.ProtocolAny)
		if err == nil || !errors.Is(err, scard.ErrSharingViolation) || try == busyTries {
			return card, err
		}
		select {
		case <-time.After(busyPause):
		case <-r.closing:
			return nil, err
		}
	}
}

// release lets the held card go, without power. Only the worker calls it.
func (r *Reader) release() {
	if r.card.card != nil {
		_ = r.card.card.Disconnect(scard.UnpowerCard) // a pulled card says it is gone
	}
	if r.card.ctx != nil {
		_ = r.card.ctx.Release()
	}
	r.card = held{power: r.card.power}
}

// insGenerateAC is the command that takes a card longest.
const insGenerateAC = 0xAE

// Transmit carries one command. It does not follow 61xx or 6Cxx: package apdu
// does.
func (c *Card) Transmit(command []byte) ([]byte, error) {
	if len(command) < 4 || len(command) > apdu.MaxCommand {
		return nil, apdu.ErrCommand
	}
	deadline := c.r.cfg.Deadline
	if command[1] == insGenerateAC {
		deadline = c.r.cfg.CryptogramDeadline
	}
	command = append([]byte(nil), command...) // a call that was left keeps it
	return c.r.do(deadline, func() ([]byte, error) {
		card, err := c.mine()
		if err != nil {
			return nil, err
		}
		switch card.ActiveProtocol() {
		case scard.ProtocolT0:
			command = forT0(command)
		case scard.ProtocolT1:
		default:
			return nil, fmt.Errorf("%w: card speaks neither T=0 nor T=1", apdu.ErrMute)
		}
		answer, err := card.Transmit(command)
		if err != nil {
			return nil, classify("transmit", err)
		}
		if len(answer) == 0 {
			// No card says nothing; a driver whose card was pulled in the
			// middle of a command may.
			return nil, fmt.Errorf("pcsc: transmit: answer without a byte: %w", apdu.ErrRemoved)
		}
		return append([]byte(nil), answer...), nil // not the 64 KiB behind it
	})
}

// forT0 leaves Le out of a command that carries data: T=0 has one length byte
// only, and the card says by 61xx how much there is to fetch (ISO/IEC 7816-3,
// 12.2.5).
func forT0(command []byte) []byte {
	if len(command) > 5 && command[4] != 0 && len(command) == 6+int(command[4]) {
		return command[:len(command)-1]
	}
	return command
}

// ATR asks the reader for the card's answer to reset.
func (c *Card) ATR() ([]byte, error) {
	return c.r.do(c.r.cfg.Deadline, func() ([]byte, error) {
		card, err := c.mine()
		if err != nil {
			return nil, err
		}
		status, err := card.Status()
		if err != nil {
			return nil, classify("status", err)
		}
		return append([]byte(nil), status.Atr...), nil
	})
}

// Disconnect lets the card go and takes its power.
func (c *Card) Disconnect() error {
	_, err := c.r.do(c.r.cfg.Deadline, func() ([]byte, error) {
		if c.r.card.power == c.power {
			c.r.release()
		}
		return nil, nil
	})
	return err
}

// mine gives the handle if the worker still holds this card.
func (c *Card) mine() (*scard.Card, error) {
	if c.r.card.card == nil || c.r.card.power != c.power {
		return nil, fmt.Errorf("pcsc: card was let go: %w", apdu.ErrRemoved)
	}
	return c.r.card.card, nil
}

// classify says what an error of PC/SC means for the session of a card.
func classify(what string, err error) error {
	kind := ErrAway
	var code scard.Error
	if errors.As(err, &code) {
		switch code {
		case scard.ErrNotTransacted, // first sign of a pull; the reader says so up to 0.5 s later
			scard.ErrRemovedCard, scard.ErrNoSmartcard:
			kind = apdu.ErrRemoved
		case scard.ErrResetCard, scard.ErrUnpoweredCard:
			kind = apdu.ErrReset
		case scard.ErrUnresponsiveCard, scard.ErrUnsupportedCard, scard.ErrProtoMismatch, scard.ErrCommError:
			kind = apdu.ErrMute
		case scard.ErrSharingViolation:
			kind = ErrBusy
		}
	}
	return fmt.Errorf("pcsc: %s: %w: %w", what, kind, err)
}
