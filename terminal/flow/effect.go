package flow

import (
	"github.com/shebao-pay/shebao/cardauth"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/termapi"
)

// Effect is what the shell must do. Effects of one step are done in their
// order; those with an Op are answered by one event with the same Op.
type Effect interface{ effect() }

// Show puts a screen on the page.
type Show struct{ Screen Screen }

// Wipe ends a session: the page is emptied, and every value of the session that
// the shell holds (PIN block, cryptogram, envelope, print data) is zeroed.
type Wipe struct{}

// Read reads the card.
type Read struct{ Op uint64 }

// StartPIN asks the pad for a PIN block, with the amount of a payment or 0.
type StartPIN struct {
	Op     uint64
	Amount si.Fen
}

// CancelPIN ends the entry under way; its answer is not waited for.
type CancelPIN struct{}

// Authorise has the card make the cryptogram for the block just entered.
type Authorise struct {
	Op      uint64
	Purpose cardauth.Purpose
	Amount  si.Fen
}

// Complete gives the chip the issuer's answer and takes its last word.
type Complete struct {
	Op     uint64
	Answer cardauth.HostAnswer
}

// Eject ends the card's power session and lets the citizen pull it. Retain
// moves a card that was left behind into the machine.
type (
	Eject  struct{}
	Retain struct{}
)

// Alarm sounds, or stops sounding, for a card left in the slot.
type Alarm struct{ On bool }

// Open opens the hub's session with the card's envelope.
type Open struct{ Op uint64 }

// Overview, ListDues and ListReceipts ask the hub for a proven session's record.
type (
	Overview struct {
		Op      uint64
		Session string
	}
	ListDues struct {
		Op      uint64
		Session string
	}
	ListReceipts struct {
		Op      uint64
		Session string
	}
)

// Leave ends the hub's session; nobody waits for an answer.
type Leave struct{ Session string }

// Prove sends the PIN proof that Authorise made.
type Prove struct {
	Op      uint64
	Session string
	ID      si.PaymentID
}

// Pay sends the payment, with the cryptogram that Authorise made. There is one
// Pay for an id, and it comes after its T_SENT is on disk.
type Pay struct {
	Op      uint64
	Session string
	ID      si.PaymentID
	Lines   []termapi.PayLine
	Total   si.Fen
}

// Report tells the hub the card's last word about a payment.
type Report struct {
	Op      uint64
	ID      si.PaymentID
	Outcome termapi.CardOutcome
}

// AskPayment asks for a payment by its id; ClosePayment closes an id that the
// hub never saw, so that a delayed request cannot pay later.
type (
	AskPayment struct {
		Op uint64
		ID si.PaymentID
	}
	ClosePayment struct {
		Op uint64
		ID si.PaymentID
	}
)

// Apply says that a configuration is in force from here on: it came while nobody
// was served, or the session that was under way has ended.
type Apply struct{ Config termapi.Config }

// Journal writes a payment's state. The answer comes when it is on disk.
type Journal struct {
	Op     uint64
	Intent Intent
}

// Note adds a line to the electronic journal; nobody waits for it.
type Note struct{ Note Entry }

// Entry is one line of the electronic journal. It holds masked values only.
type Entry struct {
	Session uint64
	Kind    string // see the Note constants
	Screen  ScreenID
	Ref     string // payment id, receipt number, card token
	Word    string // class of result
}

// Kinds of entries that the machine writes.
const (
	NoteOpen    = "session-open"
	NoteClose   = "session-close"
	NoteCard    = "card"
	NotePIN     = "pin"
	NoteScreen  = "screen"
	NoteConfirm = "confirm"
	NoteEnding  = "ending"
	NotePrint   = "print"
	NoteGate    = "gate"
	NoteRetain  = "card-retained"
	NoteOdd     = "odd" // the hub said something that cannot be
)

// Print prints a receipt or, without one, the slip of a pending payment.
type Print struct {
	Op  uint64
	Doc Document
}

// Document is what goes on paper.
type Document struct {
	Lang    string
	Receipt *termapi.Receipt // Duplicate is set: 0 original, else the mark's number
	Slip    *Slip
}

// Slip is the paper of a payment whose result is not known yet.
type Slip struct {
	ID       si.PaymentID
	Name     string // masked
	IDTail   string
	Dues     []termapi.Due
	Total    si.Fen
	Bank     string
	CardTail string
	Time     string // 2006-01-02 15:04:05, China
}

func (Show) effect()         {}
func (Wipe) effect()         {}
func (Read) effect()         {}
func (StartPIN) effect()     {}
func (CancelPIN) effect()    {}
func (Authorise) effect()    {}
func (Complete) effect()     {}
func (Eject) effect()        {}
func (Retain) effect()       {}
func (Alarm) effect()        {}
func (Open) effect()         {}
func (Overview) effect()     {}
func (ListDues) effect()     {}
func (ListReceipts) effect() {}
func (Leave) effect()        {}
func (Prove) effect()        {}
func (Pay) effect()          {}
func (Report) effect()       {}
func (AskPayment) effect()   {}
func (ClosePayment) effect() {}
func (Apply) effect()        {}
func (Journal) effect()      {}
func (Note) effect()         {}
func (Print) effect()        {}
