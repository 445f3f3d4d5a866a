package apdu

import "fmt"

// SW is a status word.
type SW uint16

// Status words that the flows branch on (LB part 5 table 5, EMV 4.3 Book 1).
const (
	OK                SW = 0x9000
	Invalidated       SW = 0x6283 // selected file is blocked
	NotAuthenticated  SW = 0x6300
	SecurityNotMet    SW = 0x6982
	AuthBlocked       SW = 0x6983
	ConditionsNotMet  SW = 0x6985
	NotSupported      SW = 0x6A81 // also: the card is blocked
	NoFile            SW = 0x6A82
	NoRecord          SW = 0x6A83
	WrongP1P2         SW = 0x6A86
	NoKey             SW = 0x6A88
	WrongLength       SW = 0x6700
	WrongINS          SW = 0x6D00
	WrongCLA          SW = 0x6E00
	ApplicationLocked SW = 0x9303 // for ever
)

// Class is what a status word means to a terminal.
type Class uint8

// The classes.
const (
	Unlisted   Class = iota // in no table: the card is not understood
	Success                 // 9000
	Transport               // 61xx, 6Cxx: handled by Send
	AuthFailed              // wrong key, PIN or MAC, or tries used up
	CardFault               // memory or data fault inside the card
	Misuse                  // our bug, or a card of another kind
	WrongCard               // file, record or function is not there
	NeedsAuth               // state or security condition not met
	Blocked                 // application locked for ever
	Refused                 // codes of the medical purse, which no flow here uses
)

var classes = map[SW]Class{
	OK:     Success,
	0x6581: CardFault, 0x6F00: CardFault,
	WrongLength: Misuse, WrongP1P2: Misuse, 0x6B00: Misuse, WrongINS: Misuse, WrongCLA: Misuse,
	0x6981: WrongCard, 0x6986: WrongCard, NotSupported: WrongCard, NoFile: WrongCard, NoRecord: WrongCard, NoKey: WrongCard,
	0x6901: NeedsAuth, ConditionsNotMet: NeedsAuth, SecurityNotMet: NeedsAuth,
	NotAuthenticated: AuthFailed, AuthBlocked: AuthFailed, 0x6984: AuthFailed, 0x6988: AuthFailed, 0x9302: AuthFailed,
	Invalidated: Blocked, ApplicationLocked: Blocked,
	0x9401: Refused, 0x9402: Refused, 0x9403: Refused, 0x9406: Refused,
}

// Class sorts the status word.
func (sw SW) Class() Class {
	switch {
	case sw>>8 == 0x61, sw>>8 == 0x6C:
		return Transport
	case sw&0xFFF0 == 0x63C0:
		return AuthFailed
	}
	return classes[sw]
}

// TriesLeft is the x of 63Cx.
func (sw SW) TriesLeft() (int, bool) {
	return int(sw & 0xF), sw&0xFFF0 == 0x63C0
}

// String writes four hexadecimal digits.
func (sw SW) String() string { return fmt.Sprintf("%04X", uint16(sw)) }

// StatusError is a status word where another was needed. It names the command
// and never its data.
type StatusError struct {
	What string // such as "read record"
	SW   SW
}

// Error says what the card answered.
func (e *StatusError) Error() string {
	return fmt.Sprintf("apdu: %s: card answered %v", e.What, e.SW)
}

// Want sends c and takes nothing but 9000: any other status word becomes a
// [StatusError] that says what was being done.
func Want(t Transmitter, what string, c Command) ([]byte, error) {
	data, sw, err := Send(t, c)
	if err != nil {
		return nil, err
	}
	if sw != OK {
		return nil, &StatusError{What: what, SW: sw}
	}
	return data, nil
}
