package bankmsg

import (
	"time"

	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
)

// Place is where a message enters the bank: the virtual terminal of a POS link
// with its batch. With the CUPS dialect it is left zero, the profile has it.
type Place struct {
	Terminal profile.VirtualTerminal
	Batch    uint32 // DE 60.2, six digits
}

// CardPart is what a message says of the card.
type CardPart struct {
	PAN      si.PAN
	PSN      string // DE 23, two or three digits
	Track2   si.Track2
	Expiry   string // DE 14, YYMM
	PINBlock si.PINBlock
	DE55     []byte
}

// DebitRequest is a 0200 that asks the bank to debit the card's account.
type DebitRequest struct {
	Place  Place
	STAN   uint32
	RRN    [12]byte
	DE7    [10]byte  // MMDDhhmmss, assigned by the ledger
	At     time.Time // DE 12 and 13, in China time
	Amount si.Fen
	Card   CardPart
}

// ProofRequest is a 0200 that moves no money and makes the bank judge the PIN.
type ProofRequest struct {
	Place Place
	STAN  uint32
	RRN   [12]byte
	DE7   [10]byte
	At    time.Time
	Card  CardPart
}

// ReversalRequest is a 0400 or 0420 for a debit that may have happened. It
// carries neither track nor PIN block: they no longer exist.
type ReversalRequest struct {
	Place  Place // of the original
	STAN   uint32
	RRN    [12]byte
	DE7    [10]byte  // of the original
	NewDE7 [10]byte  // of this message
	At     time.Time // DE 12 and 13 of the original
	Amount si.Fen
	PAN    si.PAN
	PSN    string
	Expiry string
	Auth   string // DE 38 if it is known
	Reason string // DE 39: 98, A0, 06
	EMV    []byte // 95 9F1E 9F10 9F36 DF31, empty if there was no chip data
	Repeat bool
}

// InquiryRequest asks what became of a debit. It is a message of its own, with
// numbers of its own, and moves no money; the debit stands in DE 61 or DE 90.
type InquiryRequest struct {
	Place    Place // of the debit; Batch is the link's when it leaves
	STAN     uint32
	DE7      [10]byte
	At       time.Time
	Original OriginalPayment
	Amount   si.Fen
	PAN      si.PAN
}

// ScriptNotice is a 0620 or its repeat: what issuer scripts did to the card of a
// payment that is posted. It keeps the numbers of the payment but for DE 7.
type ScriptNotice struct {
	STAN   uint32
	RRN    [12]byte
	DE7    [10]byte // of the payment
	NewDE7 [10]byte
	At     time.Time // DE 12 and 13 of the payment
	Amount si.Fen
	PAN    si.PAN
	PSN    string
	Resp   string // DE 39 of the payment
	DE55   []byte // the profile's script list
	Repeat bool
}

// OriginalPayment is what DE 61 or DE 90 says of a debit.
type OriginalPayment struct {
	Batch uint32 // POS
	STAN  uint32
	RRN   [12]byte // DE 37 of the inquiry, too
	DE7   [10]byte
	At    time.Time // DE 13 of the debit
}

// NetRequest is a message of the link itself: sign-on, sign-off, echo, key
// reset.
type NetRequest struct {
	Place    Place
	STAN     uint32
	DE7      [10]byte
	At       time.Time
	Operator string // DE 63 of a POS sign-on, three digits
	PINKey   bool   // key reset and delivery: for the PIN key, else the MAC key
}
