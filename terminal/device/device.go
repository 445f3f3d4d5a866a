// Package device is the hardware of a terminal as interfaces: card slot, PIN
// pad, printer, lights. Drivers beneath and in cmd/terminald implement them; the
// shell in terminal drives them for the flow machine.
package device

import (
	"context"

	"github.com/shebao-pay/shebao/cardauth"
	"github.com/shebao-pay/shebao/si"
)

// CardEventKind is what the slot says by itself.
type CardEventKind uint8

// The events of a slot.
const (
	CardIn CardEventKind = iota + 1
	CardOut
	SlotReady // reader and service answer (also after a fault)
	SlotFault // reader gone, service gone, or a wedged card
)

// CardEvent is one event of a slot.
type CardEvent struct {
	Kind CardEventKind
	Why  string // SlotFault: for operators, no card data
}

// CardSlot is the card reader with the card's session in it. Calls after CardOut
// answer cardauth.Removed or OutcomeRemoved. One call at a time, but Events.
type CardSlot interface {
	Events() <-chan CardEvent
	// Read reads both applications and binds them.
	Read(ctx context.Context) cardauth.Card
	// Envelope seals what was read for the hub, with the next counter.
	Envelope() (counter uint64, sealed []byte, err error)
	// EnterPIN asks the pad for a block bound to this card. keys gets counts.
	EnterPIN(ctx context.Context, amount si.Fen, keys func(count int)) (PINResult, error)
	// Authorise runs one EMV transaction up to the first cryptogram.
	Authorise(ctx context.Context, p cardauth.Purpose, amount si.Fen, pin PINResult) (cardauth.Proof, cardauth.Problem)
	// Complete gives the chip the issuer's answer and takes its last word.
	Complete(ctx context.Context, a cardauth.HostAnswer) cardauth.LastWord
	// Eject ends the card's session: power off, light, and the citizen may pull.
	Eject()
}

// PINResult is an enciphered PIN block; nothing in it can be read or printed.
type PINResult struct {
	Block  si.PINBlock
	Key    string
	Format si.PINFormat
}

// PrinterState is what a printer says of itself.
type PrinterState uint8

// The states.
const (
	PrinterReady PrinterState = iota + 1
	PrinterPaperLow
	PrinterPaperOut
	PrinterJam
	PrinterCutter
	PrinterOffline
	PrinterUnknown
)

// JobState is how far a printed page has come.
type JobState uint8

// The job states. A printer that cannot say Presented ends with Sent.
const (
	JobQueued JobState = iota + 1
	JobPrinting
	JobPresented
	JobTaken
	JobSent
	JobFailed
)

// Printer prints one document at a time. Print calls state for each step and
// returns the last one, within its job time-out.
type Printer interface {
	State(ctx context.Context) PrinterState
	Print(ctx context.Context, doc []byte, state func(JobState)) (JobState, PrinterState)
}
