package flow

import "github.com/shebao-pay/shebao/si"

// ScreenID names a screen. Every screen is declared once in the screen table.
type ScreenID string

// The screens. docs/spec/terminal-session.md says what each one is for.
const (
	ScreenAttract       ScreenID = "attract"
	ScreenOutOfService  ScreenID = "out-of-service"
	ScreenReading       ScreenID = "reading"
	ScreenCardProblem   ScreenID = "card-problem"
	ScreenPIN           ScreenID = "pin"
	ScreenPINChecking   ScreenID = "pin-checking"
	ScreenPINWrong      ScreenID = "pin-wrong"
	ScreenBankAway      ScreenID = "bank-away"
	ScreenMenu          ScreenID = "menu"
	ScreenUnresolved    ScreenID = "unresolved"
	ScreenPayList       ScreenID = "pay-list"
	ScreenPayEmpty      ScreenID = "pay-empty"
	ScreenPayConfirm    ScreenID = "pay-confirm"
	ScreenPayPIN        ScreenID = "pay-pin"
	ScreenWorking       ScreenID = "working"
	ScreenPaid          ScreenID = "result-paid"
	ScreenNotCharged    ScreenID = "result-not-charged"
	ScreenPending       ScreenID = "result-pending"
	ScreenReceipts      ScreenID = "receipts"
	ScreenReceiptChoice ScreenID = "receipt-choice"
	ScreenPrinting      ScreenID = "printing"
	ScreenPrinted       ScreenID = "printed"
	ScreenPrinterFault  ScreenID = "printer-fault"
	ScreenReceiptQR     ScreenID = "receipt-qr"
	ScreenHelp          ScreenID = "help"
	ScreenIdleWarning   ScreenID = "idle-warning"
	ScreenCannotShow    ScreenID = "cannot-show" // hub query failed
	ScreenTakeCard      ScreenID = "take-card"
	ScreenCardRetained  ScreenID = "card-retained"
)

// Action is what a button does. A screen lists the actions it allows.
type Action string

// The actions.
const (
	ActLanguage  Action = "language" // toggles zh-CN and English
	ActLarge     Action = "large"    // toggles large type (长辈版)
	ActPay       Action = "pay"
	ActReceipts  Action = "receipts"
	ActToggle    Action = "toggle" // value: due id
	ActAll       Action = "all"
	ActNext      Action = "next"
	ActConfirm   Action = "confirm"
	ActBack      Action = "back"
	ActExit      Action = "exit" // exit and return the card
	ActRetry     Action = "retry"
	ActContinue  Action = "continue"
	ActHelp      Action = "help"
	ActPrint     Action = "print"
	ActShowQR    Action = "qr"
	ActNoReceipt Action = "no-receipt"
	ActMenu      Action = "menu"
	ActReprint   Action = "reprint" // value: receipt number
	ActPage      Action = "page"    // the screen turned a page of a list by itself: a touch, nothing else
)

// Press is what a page sends. It counts only if Step is the screen's.
type Press struct {
	Step   uint64
	Action Action
	Value  string // at most 64 bytes
}

// Screen is everything a page shows: values made for the screen, masked, never
// domain objects. A field is empty where the screen has no use for it.
type Screen struct {
	ID       ScreenID
	Step     uint64
	Lang     string // "zh" or "en"
	Large    bool
	Demo     bool
	Actions  []Action // allowed now
	Disabled []Action // shown grey
	Region   string   // name of the region
	Hotline  string

	Name      string // masked
	IDTail    string
	Area      string
	Bank      string // name in the screen's language
	BankPhone string
	CardTail  string

	Problem   string // card-problem and out-of-service: kind, catalogue key; unresolved: state of the payment
	TriesLeft int    // pin-wrong; -1 unknown
	Keys      int    // PIN digits held by the pad
	Seconds   int    // countdown of idle-warning and take-card
	WorkStep  int    // working: 0 looking up (no payment), 1 check, 2 bank, 3 record

	Unpaid    int
	UnpaidSum si.Fen
	Lines     []Line
	Total     si.Fen
	Chosen    int

	Reason   string // ending's reason class, catalogue key
	Incident string
	Payment  string // payment id shown as barcode on the pending page
	Receipt  *ReceiptView
	Receipts []ReceiptView
	NoPaper  bool     // the printer cannot print now
	Printer  string   // printer-fault: paper, jam, cutter, offline, unknown; printed: sent
	QR       string   // data of the QR
	Over     ScreenID // help and idle-warning: the screen beneath
}

// Line is one due as the screen shows it.
type Line struct {
	ID       string
	Fund     string // catalogue key, PENSION_RES …
	Period   string // 2026 or 2026-11
	Kind     string // CURRENT, ARREARS, BACKPAY, SUPPLEMENT, YEAR
	Amount   si.Fen
	LateFee  si.Fen
	Chosen   bool
	Payable  bool
	Why      string // why not payable: HELD, NO_BENEFICIARY, OLDER_FIRST
	Disabled bool
}

// ReceiptView is a receipt as the screen shows it.
type ReceiptView struct {
	No       string
	Time     string
	Total    si.Fen
	Lines    []Line
	CardTail string
	Bank     string
	Channel  string
}
