package cardauth

import "github.com/shebao-pay/shebao/si"

// Transmitter is a powered card: one command APDU in, one response out, status
// word included. cardauth/pcsc implements it on a reader, tests on a simulated
// card in process.
type Transmitter interface {
	Transmit(command []byte) (response []byte, err error)
}

// Problem says why a card cannot be used. Each has its own page at the kiosk.
type Problem uint8

// The problems a terminal can find by itself. The hub knows further ones
// (termapi.Card constants).
const (
	OK               Problem = iota
	Unreadable               // mute, torn TLV, reader error
	NotSocialCard            // no social security application
	VersionUnknown           // a version we do not know
	CipherUnknown            // needs the unpublished SSF33 cipher
	NeedsKeyService          // version 3.0: external authentication is not set up
	NotActivated             // no usable financial application (金融功能未激活)
	TwoPeople                // the two applications belong to different people
	Expired                  // either application is past its date
	BankNotConnected         // issuer is not in the IIN table
	AreaNotServed            // issuing area is not served by this hub
	AppBlocked               // application or card blocked
	CardFault                // breaks the protocol: TC for an ARQC, bad records
	Removed                  // pulled
)

// Card is what the terminal may know of a card that was read.
type Card struct {
	Session    [16]byte // one uninterrupted power-up
	Problem    Problem
	Bank       string // bank code by IIN table, empty if unknown
	MaskedName string // 李*明
	IDTail     string // last four characters
	MaskedPAN  string // first six and last four digits
	PANTail    string
	Version    string // of the social security application, such as 2.00
	Area       string // issuing area, six digits
}

// Purpose is what one EMV transaction is for.
type Purpose uint8

// The purposes, each with its own EMV transaction.
const (
	ForPINProof Purpose = iota + 1 // 9C 31, amount zero
	ForPayment                     // 9C 00, amount the confirmed total
)

// Proof is what one EMV transaction gives for one bank message: everything the
// hub needs, and nothing the terminal can read.
type Proof struct {
	CardSession [16]byte
	Counter     uint64
	Envelope    []byte // HPKE, opened by the hub's HSM process only
	DE55        []byte
	PINBlock    si.PINBlock
	PINKey      string
	PINFormat   si.PINFormat
}

// HostAnswer is what came back for the chip.
type HostAnswer struct {
	Approved bool
	Answered bool   // false: no answer in time, ask the card for AAC with ARC Z3
	ARC      string // two characters
	Auth     []byte // value of tag 91
	Scripts  []byte // templates 71 and 72
}

// Outcome is the card's last word.
type Outcome uint8

// The outcomes.
const (
	OutcomeTC      Outcome = iota + 1 // the card agrees
	OutcomeAAC                        // the card refuses
	OutcomeARPCBad                    // the card did not accept the issuer's proof
	OutcomeRemoved                    // pulled before its last word
)

// LastWord is the outcome with what goes back to the bank.
type LastWord struct {
	Outcome Outcome
	DE55    []byte // 95 9F1E 9F10 9F36 DF31
}
