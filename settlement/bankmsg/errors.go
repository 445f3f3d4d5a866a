package bankmsg

import (
	"errors"
	"fmt"
)

// Errors of this package. A frame that breaks ErrFrame has lost the place
// where the next one begins, so its link must be closed; every other error
// concerns one message only.
var (
	ErrFrame   = errors.New("bankmsg: frame refused")
	ErrMessage = errors.New("bankmsg: message refused")
	ErrEcho    = errors.New("bankmsg: reply does not belong to its request")
)

// FieldError names the data element at fault and the reason, never the value.
// DE 0 is the message type, 1 the bitmap.
type FieldError struct {
	DE     int
	Reason string
	of     error
}

// Error writes the element and the reason.
func (e *FieldError) Error() string { return fmt.Sprintf("%v: DE %d: %s", e.of, e.DE, e.Reason) }

// Unwrap gives ErrMessage or ErrEcho.
func (e *FieldError) Unwrap() error { return e.of }

func refuse(de int, why reason) error { return refuseText(de, reasons[why]) }

func refuseText(de int, why string) error { return &FieldError{DE: de, Reason: why, of: ErrMessage} }

// reason is why a field was refused: a number, so that the way of a good
// message makes no garbage.
type reason uint8

// The reasons.
const (
	ok reason = iota
	whyShort
	whyLength
	whyLenForm
	whyDigits
	whyPad
	whyAlnum
	whyPrint
	whyTrack
	whySign
	whyTLV
	whyRecords
	whyAmount
	whyUnknown
	whyNot
	whyMissing
	whyFixed
	whyBare
	whyArena
	whyUnmatched
	whyLeftOver
	whySecondBitmap
	whyEmptyBitmap
	whyThirdBitmap
	whySmall
)

var reasons = [...]string{"", "cut short", "length out of range", "length is not digits", "not digits",
	"padding half byte is not 0", "not letters and digits", "not printable", "not a track",
	"not C or D and digits", "not well-formed BER-TLV", "not well-formed records",
	"over the limit of the profile", "not defined by the profile", "does not belong in this message",
	"missing", "not the value that the profile fixes", "missing from an approval", "message too large",
	"no message of the profile from this side", "bytes left over after the last field",
	"a second bitmap, where 64 fields are all there are", "an empty second bitmap", "a third bitmap",
	"a small letter, which the code does not tell from its capital"}

// HeaderError is a CUPS header that was refused: ours by the peer, or the
// peer's by us.
type HeaderError struct {
	Code   string // reject code, five characters
	ByPeer bool   // the peer sent the code back to us
	Reason string
}

// The reject codes of the CUPS header.
const (
	RejectNone        = "00000"
	RejectLength      = "00015" // header length
	RejectVersion     = "00025"
	RejectTotal       = "00035" // message length
	RejectDestination = "00045"
	RejectSource      = "00055"
)

// Error writes the code and the reason.
func (e *HeaderError) Error() string {
	who := "by us"
	if e.ByPeer {
		who = "by the peer"
	}
	return fmt.Sprintf("%v: header refused %s with %q: %s", ErrFrame, who, e.Code, e.Reason)
}

// Unwrap gives ErrFrame.
func (e *HeaderError) Unwrap() error { return ErrFrame }

func frameError(reason string) error { return fmt.Errorf("%w: %s", ErrFrame, reason) }
