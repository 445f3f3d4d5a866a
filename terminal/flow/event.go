package flow

import (
	"github.com/shebao-pay/shebao/cardauth"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/termapi"
)

// Event is what happens to a terminal. Answers to an effect carry its Op; an
// answer that nobody waits for any more changes nothing on the screen.
type Event interface{ event() }

// Boot is the first event: the payments of earlier runs that are not final.
type Boot struct{ Intents []Intent }

// Tick says that the time given by Machine.Wake has come.
type Tick struct{}

// GateSet opens or closes an out-of-service reason.
type GateSet struct {
	Gate Gate
	On   bool
}

// Configured brings the hub's configuration. It takes effect between sessions.
type Configured struct{ Config termapi.Config }

// PaperSet says whether the printer can print, before anyone needs it.
type PaperSet struct{ OK bool }

// Browser says that the page came or went.
type Browser struct{ Connected bool }

// CardIn and CardOut come from the slot.
type (
	CardIn  struct{}
	CardOut struct{}
)

// CardRead answers Read.
type CardRead struct {
	Op   uint64
	Card cardauth.Card
}

// Keys is the number of digits that the PIN pad holds.
type Keys struct {
	Op    uint64
	Count int
}

// PINEnd is how a PIN entry ended.
type PINEnd uint8

// The ends.
const (
	PINEntered PINEnd = iota + 1
	PINCancelled
	PINTimedOut
	PINPadFault
)

// PINEnded answers StartPIN. The block itself stays in the shell.
type PINEnded struct {
	Op  uint64
	End PINEnd
}

// Authorised answers Authorise. The cryptogram stays in the shell.
type Authorised struct {
	Op      uint64
	Problem cardauth.Problem
}

// Completed answers Complete.
type Completed struct {
	Op   uint64
	Word cardauth.LastWord
}

// Opened, Overviewed, DuesListed, ReceiptsListed and Proved are the hub's
// answers of the same names.
type (
	Opened struct {
		Op     uint64
		Answer termapi.SessionOpened
	}
	Overviewed struct {
		Op     uint64
		Answer termapi.Overview
	}
	DuesListed struct {
		Op     uint64
		Answer termapi.Dues
	}
	ReceiptsListed struct {
		Op     uint64
		Answer termapi.Receipts
	}
	Proved struct {
		Op     uint64
		Answer termapi.PINProofResult
	}
)

// PaymentTold is the hub's word about a payment: the answer to Pay, to Report,
// and to AskPayment and ClosePayment.
type PaymentTold struct {
	Op    uint64
	ID    si.PaymentID
	State termapi.PaymentState
}

// FailKind says what a failed call proves.
type FailKind uint8

// The kinds.
const (
	// FailNotSent: no byte of the request left this process.
	FailNotSent FailKind = iota + 1
	// FailRefused: the hub answered the only attempt with a problem (Code).
	FailRefused
	// FailUnknown: anything else; the hub may have acted.
	FailUnknown
)

// HubFailed answers any hub call that brought no answer of its own.
type HubFailed struct {
	Op   uint64
	ID   si.PaymentID // calls about a payment
	Kind FailKind
	Code string // FailRefused: a termapi problem code
}

// JournalEnd is how a journal write ended.
type JournalEnd uint8

// The ends. After Fault nothing is known about the file, and nothing more is
// written to it.
const (
	JournalOK JournalEnd = iota + 1
	JournalFull
	JournalFault
)

// Journaled answers Journal: the record is on disk, or it is not.
type Journaled struct {
	Op  uint64
	End JournalEnd
}

// PaperEnd is how a print job ended.
type PaperEnd uint8

// The ends. PaperSent is a printer that cannot say whether paper came out.
const (
	PaperPresented PaperEnd = iota + 1
	PaperSent
	PaperFailed
)

// Printed answers Print. Printer is the word for the fault page.
type Printed struct {
	Op      uint64
	End     PaperEnd
	Printer string
}

func (Boot) event()           {}
func (Tick) event()           {}
func (GateSet) event()        {}
func (Configured) event()     {}
func (PaperSet) event()       {}
func (Browser) event()        {}
func (CardIn) event()         {}
func (CardOut) event()        {}
func (Press) event()          {}
func (CardRead) event()       {}
func (Keys) event()           {}
func (PINEnded) event()       {}
func (Authorised) event()     {}
func (Completed) event()      {}
func (Opened) event()         {}
func (Overviewed) event()     {}
func (DuesListed) event()     {}
func (ReceiptsListed) event() {}
func (Proved) event()         {}
func (PaymentTold) event()    {}
func (HubFailed) event()      {}
func (Journaled) event()      {}
func (Printed) event()        {}
