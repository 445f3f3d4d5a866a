// Package profile is a bank as data: a message specification in the form of
// moov-io/iso8583 (spec.json) and a rules file (rules.yaml) with framing, field
// lists, keys, MAC, reversal style, time-outs, response classes, cutover and
// limits. Load reads and checks both and names file, field and rule of each
// mistake; bankmsg compiles the result into a codec. Nothing about one bank
// stands in code.
package profile

import (
	"time"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/hsmapi"
)

// Dialect is the family of messages (docs/spec/bank-wire.md).
type Dialect uint8

// The dialects.
const (
	POS  Dialect = iota + 1 // A: TPDU, BCD, 64 fields, batches, 0400
	CUPS                    // B: 46-byte header, ASCII, 128 fields, 0420
)

// Kind is what a message is for. A profile has a field list for each kind it
// uses, in both directions.
type Kind uint8

// The kinds. Bank-initiated ones begin at Inquiry.
const (
	Debit         Kind = iota + 1 // 0200 payment
	PINProof                      // 0200 balance, or the bank's own verify message
	Reversal                      // 0400 or 0420
	SignOn                        // 0800 or 0820
	SignOff                       //
	Echo                          //
	KeyReset                      // 0820 101 (B)
	KeyDelivery                   // 0800 from the bank (B)
	CutoverFrom                   // 0820 201/202 from the bank (B)
	StatusInquiry                 // what became of a debit
	ScriptNotify                  // 0620 951: what issuer scripts did to the card (B)
	Inquiry                       // 0200 330000 from the bank
	NoticePay                     // 0200 500000 from the bank
	PayStatus                     // 0200 340000 from the bank
	PayReversal                   // 0400/0420 500000 from the bank
	PeerSignOn                    // 08xx from the bank to our server
	PeerEcho
	KindEnd
)

// ReversalStyle is how a bank wants reversals.
type ReversalStyle uint8

// The styles.
const (
	Request0400 ReversalStyle = iota + 1 // 0400, repeat 0401, original in DE 61
	Advice0420                           // 0420, repeat 0421, original in DE 90
)

// MACScope is what the code covers.
type MACScope uint8

// The scopes.
const (
	MACFull     MACScope = iota + 1 // every byte from the MTI up to the MAC field
	MACSelected                     // the CUPS field list, see docs/spec/bank-wire.md
)

// Class is what a response code (DE 39) means to the engine.
type Class uint8

// The classes; a code in none of them is unknown and leads to a reversal.
const (
	ClassNone     Class = iota
	ClassApproved       // A
	ClassRetry          // B: nothing moved, may be tried again
	ClassRefused        // C: nothing moved
	ClassCapture        // D: nothing moved, card not to be used
	ClassSystem         // E
	ClassSignOn         // nothing moved if MACed, sign on again
	ClassUnknown        // 68, 98 and whatever is in no class: reverse
)

// CardRefusal says what becomes of an approved payment whose card says no.
type CardRefusal struct {
	RemovedReverses bool // default keep
	AACReverses     bool // default reverse; ARPC_BAD always reverses
}

// VirtualTerminal is one DE 41 of a POS-dialect bank with what belongs to it.
type VirtualTerminal struct {
	DE41 string
	DE42 string
	TMK  string // key name in the HSM process
}

// Timers are a bank's waits.
type Timers struct {
	Connect       time.Duration
	SignOn        time.Duration
	Reply         time.Duration // 0200
	ReversalReply time.Duration
	Inquiry       time.Duration // from the doubt to the inquiry's answer; 0 without inquiries
	RetryFirst    time.Duration // first repeat of a reversal
	RetryMost     time.Duration
	EchoIdle      time.Duration
	Write         time.Duration
	SendDeadline  time.Duration // Reserve's commit to the first byte
	ReconnectMin  time.Duration
	ReconnectMost time.Duration
	CardOutcome   time.Duration // no report counts as removed
}

// Limits are a bank's bounds.
type Limits struct {
	InFlight      int // per link
	BreakerCount  int // time-outs …
	BreakerWindow time.Duration
	BadReplies    int    // mismatching replies in a row before the link is taken out
	AlarmAfter    int    // reversal attempts before the operator is told
	BatchPayments uint32 // POS dialect: payments per batch
	MaxAmount     si.Fen
	MaxFrame      int
	Connections   int // to our server
	InquiryPerMin int // per teller
}

// MessageRule is the field list of one kind in one direction. The zero value
// means that the profile does not use the message.
type MessageRule struct {
	MTI       string   // four digits
	Repeat    string   // MTI of a repeat, empty if the same
	Proc      string   // DE 3, empty if absent
	Network   string   // 60.3 (A) or DE 70 (B), empty if absent
	Networks  []string // further values of it that mean the same kind
	Function  string   // 60.1 (A), two digits, empty where DE 60 is not sent
	Tail      string   // 60.4 and on (A)
	Mandatory []int
	Optional  []int
	Dropped   []int          // received but never read, such as a balance
	Fixed     map[int]string // values that never change, such as DE 22 051
}

// Used tells whether the profile has the message.
func (r *MessageRule) Used() bool { return r.MTI != "" }

// Encoding is how a field's characters are laid out.
type Encoding uint8

// The encodings, by the names of the specification file.
const (
	ASCII  Encoding = iota + 1 // one byte a character
	BCD                        // two digits a byte, an odd number has a zero before it
	LBCD                       // two digits a byte, an odd number has a zero behind it
	Binary                     // bytes
)

// Content is what a field may hold. The rules file gives it, because the
// specification file cannot say it.
type Content uint8

// The contents (ISO 8583:1987, 4.1).
const (
	Digits        Content = iota + 1 // n
	Alphanumeric                     // an, spaces at the right end
	Printable                        // ans, printable ASCII
	Track                            // z: digits and one separator
	SignedNumber                     // x+n: C or D, then digits
	Bytes                            // b
	ICC                              // b: BER-TLV of EMV
	RecordContent                    // records of tag, length, value (docs/spec/bank-wire.md)
)

// Field is the wire form of one data element. The zero value means that the
// specification does not define it.
type Field struct {
	Name         string
	Encoding     Encoding
	LengthDigits int  // 0 for a fixed length
	LengthBCD    bool // the length is BCD, else ASCII digits
	Length       int  // fixed or largest, in characters, digits or bytes
	Content      Content
}

// Profile is one version of one bank.
type Profile struct {
	Code    string  // rcb, icbc, ccb, boc …
	Number  si.Bank // its number in the ledger
	Name    string
	NameEn  string
	Phone   string
	Version string
	Hash    [32]byte // SHA-256 over spec.json ‖ 00 ‖ rules.yaml
	Dialect Dialect

	// Framing.
	LengthBytes  int    // of the prefix: 2, binary big-endian (A); 0 where the header carries it (B)
	LengthScope  string // what the length counts: "excludes" the prefix (A) or the header (B), "includes" it, or (B) "includes-less-length": the header without its own four digits
	TPDU         []byte // 5 bytes (A)
	Header       []byte // 6 bytes (A)
	HeaderDest   string // 11 (B)
	HeaderSource string // 11 (B)
	HeaderFlag   byte   // flag and version (B)

	// Keys and codes.
	MACAlg    hsmapi.MACAlg
	MACScope  MACScope
	MACField  int  // 64 or 128
	AllowWeak bool // CUP ECB-MAC, only over TLS or a private line
	PINFormat si.PINFormat
	PINField  string // "52", "52b128" or "63.SM"
	KeyForm   string // "de62" or "nk-tr31"
	MAKDouble bool
	KBPK      string // name (B)
	Terminals []VirtualTerminal
	Acquirer  string // DE 32 (B)
	Forwarder string // DE 33 (B)
	MerchantB string // DE 42 (B)
	TerminalB string // DE 41 (B)
	Account   string // DE 103 beneficiary alias (B)

	// Behaviour.
	Proof           string // "balance" or "verify"
	Reversal        ReversalStyle
	CrossDaySend    bool
	NoOriginalFinal bool // 12 and 25 end a reversal
	InquireFirst    bool // a debit in doubt is asked for before it is reversed
	InquiryIsProof  bool // "declined" and "not known" to an inquiry end it
	CardRefusal     CardRefusal
	CutoverAt       time.Duration // local time of day
	BankInitiated   bool
	Timers          Timers
	Limits          Limits
	Classes         map[string]Class    // by DE 39
	OwnCodes        map[string]string   // N1 … N6 and the like → code sent to this bank
	DE55            map[string][]uint32 // "request", "reply", "reversal", "script" → tags in order
	Rules           [KindEnd]struct{ Request, Reply MessageRule }
	Fields          [129]Field // by number; 0 is the MTI, 1 the bitmap
	TrackSeparator  byte       // of DE 35 in ASCII: '=' or 'D'
	RecordField     int        // 48 or 62, 0 where the bank sends us nothing

	// IINs that belong to this bank, longest first.
	IINs []string

	spec []byte // spec.json as it came

	// Address of the bank host and whether a link is kept to it are node
	// settings, not part of a profile.
}
