package flow

import (
	"github.com/shebao-pay/shebao/cardauth"
	"github.com/shebao-pay/shebao/si/termapi"
)

// Card problem kinds, as Screen.Problem of the card-problem page. Each has its
// own words: what is wrong, what to do, where.
const (
	CardUnreadable       = "UNREADABLE"
	CardNotSocial        = "NOT_SOCIAL_CARD"
	CardVersionUnknown   = "VERSION_UNKNOWN"
	CardCipherUnknown    = "CIPHER_UNKNOWN"
	CardNeedsKeyService  = "NEEDS_KEY_SERVICE"
	CardNotActivated     = "NOT_ACTIVATED"
	CardTwoPeople        = "TWO_PEOPLE"
	CardExpired          = "EXPIRED"
	CardBankNotConnected = termapi.CardBankNotConnected
	CardBankDown         = termapi.CardBankDown
	CardAreaNotServed    = termapi.CardAreaNotServed
	CardAppBlocked       = "APP_BLOCKED"
	CardFault            = "CARD_FAULT"
	CardNotRegistered    = termapi.CardNotRegistered
	CardMismatch         = termapi.CardMismatch
	CardLost             = termapi.CardLost
	CardPINTries         = termapi.CardPINTries
	CardRefused          = "CARD_REFUSED"  // the bank says this card may not be used
	CardSessionLost      = "SESSION_LOST"  // insert the card again
	CardHubAway          = "HUB_AWAY"      // the social insurance system does not answer
	CardPadFault         = "PAD_FAULT"     // the PIN pad of this terminal
	CardTerminalBusy     = "TERMINAL_GATE" // this terminal may not serve now
)

// CardProblems lists every card problem kind, for catalogues and their tests.
func CardProblems() []string {
	return []string{CardUnreadable, CardNotSocial, CardVersionUnknown, CardCipherUnknown,
		CardNeedsKeyService, CardNotActivated, CardTwoPeople, CardExpired, CardBankNotConnected,
		CardBankDown, CardAreaNotServed, CardAppBlocked, CardFault, CardNotRegistered,
		CardMismatch, CardLost, CardPINTries, CardRefused, CardSessionLost, CardHubAway,
		CardPadFault, CardTerminalBusy}
}

// cardProblem gives the page's kind for what the card side found. Removed has
// no page: the card is gone, and so is the citizen.
func cardProblem(p cardauth.Problem) string {
	switch p {
	case cardauth.OK, cardauth.Removed:
		return ""
	case cardauth.Unreadable:
		return CardUnreadable
	case cardauth.NotSocialCard:
		return CardNotSocial
	case cardauth.VersionUnknown:
		return CardVersionUnknown
	case cardauth.CipherUnknown:
		return CardCipherUnknown
	case cardauth.NeedsKeyService:
		return CardNeedsKeyService
	case cardauth.NotActivated:
		return CardNotActivated
	case cardauth.TwoPeople:
		return CardTwoPeople
	case cardauth.Expired:
		return CardExpired
	case cardauth.BankNotConnected:
		return CardBankNotConnected
	case cardauth.AreaNotServed:
		return CardAreaNotServed
	case cardauth.AppBlocked:
		return CardAppBlocked
	case cardauth.CardFault:
		return CardFault
	}
	return CardFault
}

// hubCardProblem gives the page's kind for what the hub found. A kind that this
// terminal does not know reads as a card that may not be used.
func hubCardProblem(kind string) string {
	switch kind {
	case "":
		return ""
	case termapi.CardNotRegistered, termapi.CardMismatch, termapi.CardLost,
		termapi.CardBankNotConnected, termapi.CardBankDown, termapi.CardAreaNotServed,
		termapi.CardPINTries:
		return kind
	}
	return CardRefused
}

// Gate is a reason for which the terminal serves nobody. The out-of-service
// page shows the first one that stands, in the order of the list.
type Gate uint8

// The gates.
const (
	GateJournal  Gate = iota // journal or disk fault: nothing may be paid
	GateSpace                // free space below the gate
	GateLocked               // locked by an operator
	GateReader               // reader or card service
	GatePad                  // PIN pad fault, tamper or no key
	GateClock                // clock too far off the hub's
	GateHub                  // hub unreachable
	GateConfig               // no configuration yet
	GateBanks                // no bank can be reached
	GateStarting             // payments of the last run are not asked for yet
	gateEnd
)

var gateNames = [...]string{"JOURNAL", "SPACE", "LOCKED", "READER", "PAD", "CLOCK", "HUB", "CONFIG", "BANKS", "STARTING"}

// String is the kind that the out-of-service page shows (Screen.Problem).
func (g Gate) String() string {
	if g >= gateEnd {
		return "Gate(?)"
	}
	return gateNames[g]
}

// Gates lists every out-of-service reason, for catalogues and their tests.
func Gates() []string { return append([]string(nil), gateNames[:]...) }

// Reasons of endings that the terminal gives by itself, beside termapi's.
const (
	ReasonCancelled = "CANCELLED" // the citizen cancelled the PIN entry
	ReasonPINTime   = "PIN_TIME"  // the PIN was not entered in time
	ReasonPad       = "PAD_FAULT" // the PIN pad failed
	ReasonTerminal  = "TERMINAL"  // this terminal cannot pay now (journal, space)
)

// Reasons lists every reason class of an ending (Screen.Reason on
// result-not-charged and result-pending), for catalogues and their tests.
func Reasons() []string {
	return []string{termapi.ReasonFunds, termapi.ReasonPINWrong, termapi.ReasonPINTries,
		termapi.ReasonLimit, termapi.ReasonCard, termapi.ReasonBankAway, termapi.ReasonDueTaken,
		termapi.ReasonDueChanged, termapi.ReasonSystem, termapi.ReasonReversed,
		termapi.ReasonCardRefuse, termapi.ReasonOther,
		ReasonCancelled, ReasonPINTime, ReasonPad, ReasonTerminal}
}

// known keeps a reason that has words, and turns any other into OTHER.
func knownReason(r string) string {
	for _, k := range Reasons() {
		if k == r {
			return r
		}
	}
	return termapi.ReasonOther
}

// Why a line cannot be ticked (Line.Why).
const (
	WhyHeld       = "HELD"           // being paid: here, at a counter, by a batch
	WhyNoAccount  = "NO_BENEFICIARY" // not payable at this bank
	WhyOlderFirst = "OLDER_FIRST"    // an older due of the fund comes first
	WhyMaxDues    = "MAX_DUES"       // no more dues in one payment
)

// Printer words (Screen.Printer). On the printed page only "sent" may stand: the
// printer cannot say whether the paper came out.
const (
	PrinterPaper   = "paper"
	PrinterJam     = "jam"
	PrinterCutter  = "cutter"
	PrinterOffline = "offline"
	PrinterUnknown = "unknown"
	PrinterSent    = "sent"
)
