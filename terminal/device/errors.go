package device

import (
	"context"
	"errors"
)

// Errors of EnterPIN. A driver turns its pad's errors into these, so that the
// shell needs to know no pad.
var (
	ErrPINCancelled = errors.New("device: PIN entry cancelled")
	ErrPINTimeout   = errors.New("device: PIN entry timed out")
	ErrPadFault     = errors.New("device: PIN pad fault: tamper, no key, or not answering")
	ErrCardGone     = errors.New("device: card removed")
)

// Retainer is a slot that can keep a card in the machine. A hand-held slot has
// no such method: there the terminal only tells and waits.
type Retainer interface {
	Retain() error
}

// PadChecker is a slot that can tell whether its PIN pad answers, holds a key
// and is untampered. The shell asks between sessions.
type PadChecker interface {
	PadReady(ctx context.Context) error
}
