package flow

import "time"

// state is where the machine is. Several states may share a screen: the screen
// is what the citizen sees, the state is what the terminal waits for.
type state uint8

const (
	stOut          state = iota + 1 // out of service
	stAttract                       // nobody there
	stReading                       // waits for the card
	stOpening                       // waits for the hub's session
	stCardProblem                   // told why the card cannot be used
	stPIN                           // waits for the PIN pad, PIN proof
	stProofChip                     // waits for the card's cryptogram
	stProofHub                      // waits for the bank's judgement
	stProofCard                     // waits for the card's last word
	stPINWrong                      // told that the PIN was wrong
	stBankAway                      // told that the bank does not answer
	stLookOverview                  // waits for the hub's overview
	stUnresolved                    // shows one payment of before
	stMenu                          // chooses a service
	stLookDues                      // waits for the list of dues
	stPayList                       // ticks dues
	stPayEmpty                      // nothing to pay
	stPayConfirm                    // reads what will be paid
	stCreating                      // waits for T_CREATED on disk
	stPayPIN                        // waits for the PIN pad, payment
	stPayChip                       // waits for the card's cryptogram
	stSending                       // waits for T_SENT on disk
	stPaying                        // waits for the hub's answer
	stMarking                       // waits for the answer on disk
	stPayCard                       // waits for the card's last word
	stMarkWord                      // waits for the word on disk
	stReporting                     // waits for the hub's answer to the word
	stPaid                          // the three endings
	stNotCharged
	stPending
	stReceiptChoice // print, show, or neither
	stPrinting      // waits for the printer
	stPrinted       // told how the print went
	stPrinterFault  // told that it failed
	stReceiptQR     // shows the receipt's code
	stLookReceipts  // waits for the list of receipts
	stReceipts      // chooses a receipt
	stHelp          // reads about the screen beneath
	stWarning       // idle warning over the screen beneath
	stCannotShow    // told that a question found no answer
	stTakeCard      // waits for the card to be pulled
	stRetained      // told that the card was kept
	stateEnd
)

// pace says whether the citizen is awaited, and so whether the idle time runs.
// The other states end by an answer or by a time-out of their own.
type pace uint8

const (
	still pace = iota // no time-out: see decl.why
	idle              // Times.Idle, then the warning, then the card
	timed             // its own time, see decl.wait
)

// decl declares a state: everything that does not depend on the session.
type decl struct {
	screen  ScreenID
	actions []Action // besides language and large, which are allowed everywhere
	pace    pace
	wait    func(Times) time.Duration // timed
	lapse   func(*Machine)            // timed: where the time-out leads
	why     string                    // still: why nothing runs out
	// bound marks states that a citizen or a missing page cannot end: something
	// is under way that must come to its own end first.
	bound bool
	// session marks states with a card in the slot.
	session bool
}

// table is the one declaration of every state. It is filled by init because the
// machine's methods, which it names, read it.
var table [stateEnd]decl

func init() {
	read := func(t Times) time.Duration { return t.readWait() }
	table = [stateEnd]decl{
		stOut:     {screen: ScreenOutOfService, why: "nobody is served; a gate's end leads out"},
		stAttract: {screen: ScreenAttract, why: "nobody is there; a card leads on"},

		stReading: {screen: ScreenReading, actions: []Action{ActExit}, session: true, pace: timed,
			wait: func(t Times) time.Duration { return t.Reading }, lapse: (*Machine).cardUnreadable},
		stOpening: {screen: ScreenReading, actions: []Action{ActExit}, session: true, pace: timed,
			wait: read, lapse: (*Machine).hubAwayAtCard},
		stCardProblem: {screen: ScreenCardProblem, actions: []Action{ActHelp, ActExit}, session: true, pace: idle},

		stPIN: {screen: ScreenPIN, actions: []Action{ActExit}, session: true, pace: timed,
			wait: func(t Times) time.Duration { return t.PINFirst }, lapse: (*Machine).pinTimedOut},
		stProofChip: {screen: ScreenPINChecking, session: true, bound: true, pace: timed,
			wait: func(t Times) time.Duration { return t.Chip }, lapse: (*Machine).proofChipSilent},
		stProofHub: {screen: ScreenPINChecking, session: true, bound: true, pace: timed,
			wait: func(t Times) time.Duration { return t.HubPay }, lapse: (*Machine).proofAway},
		stProofCard: {screen: ScreenPINChecking, session: true, bound: true, pace: timed,
			wait: func(t Times) time.Duration { return t.Chip }, lapse: (*Machine).proofWordSilent},
		stPINWrong: {screen: ScreenPINWrong, actions: []Action{ActRetry, ActHelp, ActExit}, session: true, pace: idle},
		stBankAway: {screen: ScreenBankAway, actions: []Action{ActRetry, ActHelp, ActExit}, session: true, pace: idle},
		stLookOverview: {screen: ScreenPINChecking, session: true, pace: timed, actions: []Action{ActExit},
			wait: read, lapse: (*Machine).cannotShow},
		stUnresolved: {screen: ScreenUnresolved, actions: []Action{ActNext, ActHelp, ActExit}, session: true, pace: idle},
		stMenu:       {screen: ScreenMenu, actions: []Action{ActPay, ActReceipts, ActHelp, ActExit}, session: true, pace: idle},

		stLookDues: {screen: ScreenWorking, session: true, pace: timed, actions: []Action{ActExit},
			wait: read, lapse: (*Machine).cannotShow},
		stPayList: {screen: ScreenPayList, actions: []Action{ActToggle, ActAll, ActPage, ActNext, ActBack, ActHelp, ActExit},
			session: true, pace: idle},
		stPayEmpty: {screen: ScreenPayEmpty, actions: []Action{ActBack, ActHelp, ActExit}, session: true, pace: idle},
		stPayConfirm: {screen: ScreenPayConfirm, actions: []Action{ActConfirm, ActPage, ActBack, ActHelp, ActExit},
			session: true, pace: idle},
		stCreating: {screen: ScreenWorking, session: true, bound: true,
			why: "a write to the disk ends by itself, well or badly"},
		stPayPIN: {screen: ScreenPayPIN, actions: []Action{ActBack, ActExit}, session: true, pace: timed,
			wait: func(t Times) time.Duration { return t.PINFirst }, lapse: (*Machine).payPINTimedOut},
		stPayChip: {screen: ScreenWorking, session: true, bound: true, pace: timed,
			wait: func(t Times) time.Duration { return t.Chip }, lapse: (*Machine).payChipSilent},
		stSending: {screen: ScreenWorking, session: true, bound: true,
			why: "a write to the disk ends by itself, well or badly"},
		stPaying: {screen: ScreenWorking, session: true, bound: true, pace: timed,
			wait: func(t Times) time.Duration { return t.HubPay }, lapse: (*Machine).paySilent},
		stMarking: {screen: ScreenWorking, session: true, bound: true,
			why: "a write to the disk ends by itself, well or badly"},
		stPayCard: {screen: ScreenWorking, session: true, bound: true, pace: timed,
			wait: func(t Times) time.Duration { return t.Chip }, lapse: (*Machine).payWordSilent},
		stMarkWord: {screen: ScreenWorking, session: true, bound: true,
			why: "a write to the disk ends by itself, well or badly"},
		stReporting: {screen: ScreenWorking, session: true, bound: true, pace: timed,
			wait: read, lapse: (*Machine).reportSilent},

		stPaid: {screen: ScreenPaid, actions: []Action{ActNext, ActMenu, ActHelp, ActExit}, session: true, pace: timed,
			wait: func(t Times) time.Duration { return t.Result }, lapse: (*Machine).endSession},
		stNotCharged: {screen: ScreenNotCharged, actions: []Action{ActRetry, ActBack, ActMenu, ActHelp, ActExit},
			session: true, pace: timed, wait: func(t Times) time.Duration { return t.Result }, lapse: (*Machine).endSession},
		stPending: {screen: ScreenPending, actions: []Action{ActPrint, ActMenu, ActHelp, ActExit}, session: true, pace: timed,
			wait: func(t Times) time.Duration { return t.Result }, lapse: (*Machine).endSession},

		stReceiptChoice: {screen: ScreenReceiptChoice, actions: []Action{ActPrint, ActShowQR, ActNoReceipt, ActHelp, ActExit},
			session: true, pace: idle},
		stPrinting: {screen: ScreenPrinting, session: true, bound: true, pace: timed,
			wait: func(t Times) time.Duration { return t.Printer }, lapse: (*Machine).printerSilent},
		stPrinted: {screen: ScreenPrinted, actions: []Action{ActMenu, ActHelp, ActExit}, session: true, pace: idle},
		stPrinterFault: {screen: ScreenPrinterFault, actions: []Action{ActRetry, ActShowQR, ActMenu, ActHelp, ActExit},
			session: true, pace: idle},
		stReceiptQR: {screen: ScreenReceiptQR, actions: []Action{ActBack, ActMenu, ActHelp, ActExit}, session: true, pace: idle},
		stLookReceipts: {screen: ScreenWorking, session: true, pace: timed, actions: []Action{ActExit},
			wait: read, lapse: (*Machine).cannotShow},
		stReceipts: {screen: ScreenReceipts, actions: []Action{ActReprint, ActPage, ActBack, ActHelp, ActExit},
			session: true, pace: idle},

		stHelp: {screen: ScreenHelp, actions: []Action{ActBack, ActExit}, session: true, pace: idle},
		stWarning: {screen: ScreenIdleWarning, actions: []Action{ActContinue, ActExit}, session: true, pace: timed,
			wait: func(t Times) time.Duration { return t.Warning }, lapse: (*Machine).endSession},
		stCannotShow: {screen: ScreenCannotShow, actions: []Action{ActRetry, ActMenu, ActHelp, ActExit},
			session: true, pace: idle},
		stTakeCard: {screen: ScreenTakeCard, pace: timed,
			wait: func(t Times) time.Duration { return t.TakeCard }, lapse: (*Machine).cardLeft},
		stRetained: {screen: ScreenCardRetained, pace: timed,
			wait: func(t Times) time.Duration { return t.Retained }, lapse: (*Machine).rest},
	}
}

// allowed tells whether the state declares the action.
func (d *decl) allowed(a Action) bool {
	for _, x := range d.actions {
		if x == a {
			return true
		}
	}
	return false
}
