package engine

import (
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// CardData is what one bank message needs of the card. It lives in memory until
// the message is written.
type CardData struct {
	PAN       si.PAN
	PSN       string
	Track2    si.Track2
	Expiry    string // YYMM
	PINBlock  si.PINBlock
	PINKey    string // name of the terminal's PIN key
	PINFormat si.PINFormat
	DE55      []byte
}

// Intent is a payment that a terminal asks for: checked against its session by
// termsrv, not yet known to the ledger.
type Intent struct {
	ID       si.PaymentID
	Terminal si.Terminal
	Bank     si.Bank
	Dues     []ledgerapi.DueRef
	Total    si.Fen
	Card     CardData
}

// Ending is what a terminal may be told of a payment.
type Ending uint8

// The endings.
const (
	Paid       Ending = iota + 1 // posted
	NotCharged                   // proven: declined, not sent, or reversed
	Refused                      // the ledger refused to hold the dues; nothing was sent
	Pending                      // unknown, being resolved
)

// Why says why a payment was refused before anything was asked of the ledger.
type Why uint8

// The reasons. With WhyNone the ledger refused, and Answer.Refusal tells why.
const (
	WhyNone     Why = iota
	WhyForm         // the intent is outside a limit of the bank's profile
	WhyBankAway     // no signed-on link, or the breaker is open
	WhyBusy         // as many payments are in flight as may be
	WhyCardBusy     // an earlier payment of this card is being reversed
	WhySystem       // the HSM process or the log cannot be reached
	WhyStopping     // this node is about to hand over
)

// Answer is the engine's answer to an Intent or to a question about it.
type Answer struct {
	Ending  Ending
	Why     Why
	Refusal ledgerapi.Result // Refused: why
	Resp    [2]byte          // DE 39, zero bytes if none
	Issuer  IssuerData
	// AwaitCard is set after an approval until the card's outcome is known.
	AwaitCard bool
}

// IssuerData is what the issuer sent for the chip.
type IssuerData struct {
	ARC     string
	Auth    []byte
	Scripts []byte
}

// Proof is a PIN proof that a terminal asks for.
type Proof struct {
	ID       si.PaymentID
	Terminal si.Terminal
	Bank     si.Bank
	Card     CardData
}

// Verdict is the bank's judgement of a PIN.
type Verdict uint8

// The verdicts: what the answer code of the card's bank says about the PIN.
const (
	Proven Verdict = iota + 1
	WrongPIN
	PINBlocked
	CardRefused
	BankAway
)

// ProofAnswer answers a Proof.
type ProofAnswer struct {
	Verdict   Verdict
	TriesLeft int // -1 when the bank did not say
	Resp      [2]byte
	Issuer    IssuerData
}

// CardOutcome is the card's last word about a payment, or its silence.
type CardOutcome uint8

// The outcomes: how the second GENERATE AC ended (EMV 4.3 Book 3, section 6.5.5).
const (
	CardTC CardOutcome = iota + 1
	CardAAC
	CardARPCBad
	CardRemoved
)
