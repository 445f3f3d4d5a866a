// Package epp is the encrypting PIN pad as the terminal's card side sees it: the
// PAN goes in, counts of pressed keys and one enciphered PIN block come out. No
// digit ever does. The driver here talks to the simulated pad over a Unix
// socket; a serial or XFS4IoT pad would be another driver of the same interface.
package epp

import (
	"context"
	"errors"

	"github.com/shebao-pay/shebao/si"
)

// Errors of an entry.
var (
	ErrCancelled = errors.New("epp: entry cancelled")
	ErrTimeout   = errors.New("epp: entry timed out")
	ErrFault     = errors.New("epp: pad fault: tamper, no key, or not answering")
)

// Request is one PIN entry.
type Request struct {
	PAN    si.PAN
	Format si.PINFormat
	Amount si.Fen // shown on the pad for a payment, 0 for a proof
	MinLen int
	MaxLen int
}

// Block is the result.
type Block struct {
	Block  si.PINBlock
	Key    string // name of the pad's key at the hub, such as "terminal/1/tpk"
	Format si.PINFormat
}

// Pad is a PIN pad. Enter calls keys with the number of digits held after each
// key event and returns when the entry ends; a pad has one entry at a time.
// Closing ctx cancels it.
type Pad interface {
	Enter(ctx context.Context, r Request, keys func(count int)) (Block, error)
	// Ready tells whether the pad answers, holds a key and is untampered.
	Ready(ctx context.Context) error
}
