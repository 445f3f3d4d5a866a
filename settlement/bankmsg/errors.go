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

func refuse(de int, reason string) error { return &FieldError{DE: de, Reason: reason, of: ErrMessage} }

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
