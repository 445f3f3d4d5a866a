// Package termapi holds the bodies of the terminal API (terminal ↔ hub, JSON
// over HTTP/2 with mutual TLS 1.3): plain structs with JSON tags and nothing
// else. openapi.json beside this file describes the same calls; a test of the
// server compares the two.
//
// Shapes: amounts are integers of fen, dates YYYY-MM-DD, periods YYYY-MM or
// YYYY, ids lower-case hexadecimal, bytes base64. Every changing call carries a
// client-made id and is idempotent: same id and body, same answer; same id with
// another body is refused with 409.
package termapi

// Money is an amount in fen.
type Money = int64

// Problem is the error body (RFC 9457). Code is closed: see the Err constants.
type Problem struct {
	Type   string `json:"type,omitempty"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	Code   string `json:"code"`
	// Leader is the address to go to, with status 421.
	Leader string `json:"leader,omitempty"`
}

// Problem codes.
const (
	ErrNoSession    = "NO_SESSION"     // insert the card again
	ErrNotProven    = "NOT_PROVEN"     // PIN proof first
	ErrOtherCard    = "OTHER_CARD"     // not the session's card
	ErrNotYours     = "NOT_YOURS"      // due or payment outside the session
	ErrIDReused     = "ID_REUSED"      // same id, other body
	ErrNotFound     = "NOT_FOUND"      //
	ErrEnvelope     = "ENVELOPE"       // card envelope refused or replayed
	ErrBankAway     = "BANK_AWAY"      // bank link down or breaker open
	ErrForm         = "FORM"           // malformed request
	ErrTooMany      = "TOO_MANY"       // rate limit
	ErrUnavailable  = "UNAVAILABLE"    // ledger or HSM away
	ErrClock        = "CLOCK"          // terminal clock more than 60 s off
	ErrNotLeader    = "NOT_LEADER"     // 421
	ErrTooManyTries = "PIN_TRIES"      // 3 wrong PINs a day for this card
	ErrDueConflict  = "DUE_CONFLICT"   // due paid, held or changed
	ErrNotPayable   = "NOT_PAYABLE"    // no beneficiary account at this bank
	ErrOutOfService = "OUT_OF_SERVICE" // free-space gate, draining
)

// Session opens with the card's envelope. Nothing of the record is answered.
type Session struct {
	CardSession string `json:"card_session"` // 32 hex, one power-up of the card
	Counter     uint64 `json:"counter"`
	Envelope    []byte `json:"envelope"`
}

// SessionOpened answers Session. CardProblem is empty when the PIN may be asked.
type SessionOpened struct {
	Session     string `json:"session"` // 32 hex
	CardToken   string `json:"card_token"`
	Bank        string `json:"bank"` // bank code
	BankUp      bool   `json:"bank_up"`
	CardProblem string `json:"card_problem,omitempty"` // see the Card constants
	PINFormat   string `json:"pin_format"`             // "4" or "0"
}

// Card problem kinds that the hub finds.
const (
	CardNotRegistered    = "NOT_REGISTERED"
	CardMismatch         = "MISMATCH" // the two applications belong to different people
	CardLost             = "LOST"
	CardBankNotConnected = "BANK_NOT_CONNECTED"
	CardBankDown         = "BANK_DOWN"
	CardAreaNotServed    = "AREA_NOT_SERVED"
	CardPINTries         = "PIN_TRIES"
)

// CardAuth is what the card and the PIN pad made for one bank message.
type CardAuth struct {
	Counter  uint64 `json:"counter"`
	Envelope []byte `json:"envelope"`
	PINBlock []byte `json:"pin_block"`
	DE55     []byte `json:"de55"`
}

// PINProof asks the card's bank to judge the PIN; no personal data leaves the
// hub before it did.
type PINProof struct {
	ID   string   `json:"id"` // 32 hex
	Auth CardAuth `json:"auth"`
}

// PIN proof results.
const (
	PINProven  = "PROVEN"
	PINWrong   = "WRONG"
	PINBlocked = "BLOCKED"
	PINCard    = "CARD" // the card may not be used
	PINAway    = "AWAY" // the bank gave no trusted answer
)

// PINProofResult answers PINProof. IssuerData goes back to the chip.
type PINProofResult struct {
	Result     string     `json:"result"`
	TriesLeft  int        `json:"tries_left"` // -1 when the bank did not say
	Incident   string     `json:"incident,omitempty"`
	IssuerData IssuerData `json:"issuer_data"`
}

// IssuerData is what the issuer sent for the chip.
type IssuerData struct {
	ARC     string `json:"arc,omitempty"`     // tag 8A, 2 characters
	Auth    []byte `json:"auth,omitempty"`    // value of tag 91
	Scripts []byte `json:"scripts,omitempty"` // templates 71 and 72 as they came
}

// Overview is the first look after the PIN.
type Overview struct {
	Name       string         `json:"name"` // masked
	IDTail     string         `json:"id_tail"`
	Area       string         `json:"area"`
	Unpaid     int            `json:"unpaid"`
	UnpaidFen  Money          `json:"unpaid_fen"`
	Unresolved []PaymentState `json:"unresolved"` // pending, or newly resolved
}

// Due is one line of the list.
type Due struct {
	ID        string `json:"id"` // decimal
	Version   uint16 `json:"version"`
	Fund      string `json:"fund"`
	Period    string `json:"period"`
	Kind      string `json:"kind"` // CURRENT, ARREARS, BACKPAY, SUPPLEMENT, YEAR
	Amount    Money  `json:"amount"`
	LateFee   Money  `json:"late_fee"`
	State     string `json:"state"` // OPEN, HELD (being paid), REVERSING
	Payable   bool   `json:"payable"`
	Why       string `json:"why,omitempty"` // when not payable: HELD, NO_BENEFICIARY
	DueDay    string `json:"due_day"`
	PaymentID string `json:"payment_id,omitempty"` // HELD by the person's own payment
}

// Dues is the list of a person's open dues, oldest first per insurance type.
type Dues struct {
	Dues      []Due `json:"dues"`
	AllowSkip bool  `json:"allow_skip"`
	MaxDues   int   `json:"max_dues"`
}

// PayLine names a due as the citizen saw it.
type PayLine struct {
	ID      string `json:"id"`
	Version uint16 `json:"version"`
	Amount  Money  `json:"amount"`
	LateFee Money  `json:"late_fee"`
}

// Payment asks for one debit for several dues, all or nothing.
type Payment struct {
	ID      string    `json:"id"`
	Session string    `json:"session"`
	Dues    []PayLine `json:"dues"`
	Total   Money     `json:"total"`
	Auth    CardAuth  `json:"auth"`
}

// Payment states as a terminal sees them.
const (
	PaymentPosted     = "POSTED"      // paid
	PaymentNotCharged = "NOT_CHARGED" // proven: nothing was taken, or it is back
	PaymentRefused    = "REFUSED"     // before anything was sent
	PaymentPending    = "PENDING"     // unknown; being resolved
)

// PaymentState answers Payment and every question about it.
type PaymentState struct {
	ID         string     `json:"id"`
	State      string     `json:"state"`
	Reason     string     `json:"reason,omitempty"`   // reason class, see the Reason constants
	Incident   string     `json:"incident,omitempty"` // short number the console can look up
	Total      Money      `json:"total"`
	Dues       []Due      `json:"dues,omitempty"`
	Receipt    *Receipt   `json:"receipt,omitempty"` // POSTED only
	IssuerData IssuerData `json:"issuer_data"`
	// AwaitCard is set while the card's last word decides (card_refusal).
	AwaitCard bool `json:"await_card"`
}

// Reason classes: why nothing was paid. The kiosk has a sentence for each.
const (
	ReasonFunds      = "FUNDS"
	ReasonPINWrong   = "PIN_WRONG"
	ReasonPINTries   = "PIN_TRIES"
	ReasonLimit      = "LIMIT"
	ReasonCard       = "CARD"
	ReasonBankAway   = "BANK_AWAY"
	ReasonDueTaken   = "DUE_TAKEN"
	ReasonDueChanged = "DUE_CHANGED"
	ReasonSystem     = "SYSTEM"
	ReasonReversed   = "REVERSED" // was unknown, proven not charged
	ReasonCardRefuse = "CARD_REFUSED"
	ReasonOther      = "OTHER"
)

// Receipt is what the ledger says of a posted payment.
type Receipt struct {
	No        string `json:"no"`
	Payment   string `json:"payment"`
	Time      string `json:"time"` // 2006-01-02 15:04:05, China
	Name      string `json:"name"` // masked
	IDTail    string `json:"id_tail"`
	Area      string `json:"area"`
	Bank      string `json:"bank"`
	CardTail  string `json:"card_tail"`
	Terminal  string `json:"terminal"`
	STAN      string `json:"stan"`
	RRN       string `json:"rrn"`
	Auth      string `json:"auth,omitempty"`
	BankDate  string `json:"bank_date"`
	Total     Money  `json:"total"`
	Dues      []Due  `json:"dues"`
	Channel   string `json:"channel"`
	Duplicate int    `json:"duplicate"` // how often it was printed before
}

// Receipts lists a person's posted payments, newest first, from any channel.
type Receipts struct {
	Receipts []Receipt `json:"receipts"`
}

// CardOutcome is the card's last word about a payment.
type CardOutcome struct {
	Outcome string `json:"outcome"` // TC, AAC, ARPC_BAD, REMOVED
	DE55    []byte `json:"de55,omitempty"`
}

// Card outcomes.
const (
	OutcomeTC      = "TC"
	OutcomeAAC     = "AAC"
	OutcomeARPCBad = "ARPC_BAD"
	OutcomeRemoved = "REMOVED"
)

// JournalBatch uploads journal records in order.
type JournalBatch struct {
	First   uint64   `json:"first"`
	Records [][]byte `json:"records"` // at most 500
}

// JournalAck acknowledges the head.
type JournalAck struct {
	Head uint64 `json:"head"`
}

// Heartbeat goes out every 30 s.
type Heartbeat struct {
	Version     string `json:"version"`
	AtMillis    int64  `json:"at_ms"`
	JournalHead uint64 `json:"journal_head"`
	Unresolved  int    `json:"unresolved"`
	Paper       string `json:"paper"`
	State       string `json:"state"`
}

// HeartbeatAck carries the clock and the terminal's configuration.
type HeartbeatAck struct {
	AtMillis int64  `json:"at_ms"`
	Config   Config `json:"config"`
}

// Config is what the hub derives for terminals from its business data.
type Config struct {
	Version     uint32     `json:"version"`
	Region      string     `json:"region"`
	RegionName  string     `json:"region_name"`
	Hotline     string     `json:"hotline"`
	Areas       []string   `json:"areas"` // issuing areas served, 6 digits
	Banks       []BankInfo `json:"banks"`
	IINs        []IIN      `json:"iins"`
	EnvelopeKey []byte     `json:"envelope_key"` // HPKE public key, X25519
	Demo        bool       `json:"demo"`
}

// BankInfo is a bank as the terminal needs it.
type BankInfo struct {
	Code  string `json:"code"`
	Name  string `json:"name"`
	NameE string `json:"name_en"`
	Phone string `json:"phone"`
	Up    bool   `json:"up"`
}

// IIN maps an issuer identification number prefix to a bank.
type IIN struct {
	Prefix string `json:"prefix"`
	Bank   string `json:"bank"`
	Length int    `json:"length"`
}
