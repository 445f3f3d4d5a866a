package engine

// State is where a live payment is. Gone, the zero value, is none: the payment
// has ended and the ledger answers for it.
type State uint8

// The states. The ledger knows some of them as RESERVED (Translating to
// Posting, InDoubt, Inquiring), two as POSTED (Posted, Unposting) and the rest as REVERSING; which
// part of an act is done lives in memory only, so after a crash every pending
// payment begins again at Opening.
const (
	Gone        State = iota
	Reserving         // Reserve asked; nothing is held or sent
	Translating       // dues held; the PIN block is being re-enciphered for the link
	Sent              // 0200 handed to the link: money may have moved
	Posting           // a verified approval; Post asked
	Voiding           // proof that no money is with us; Void asked
	InDoubt           // the outcome is unknown and the bank may be asked: waits for a link
	Inquiring         // inquiry handed to the link
	Posted            // dues paid; the card's last word is awaited
	Unposting         // the card said no; Unpost asked
	Opening           // memo or numbers of a pending payment are being fetched
	Noting            // Annotate(REVERSING) of the next attempt asked
	Queued            // the attempt is durable and waits for its link
	Undoing           // 0400 or 0420 handed to the link
	Waiting           // until the next attempt
	Desk              // the bank forbids the reversal: people resolve it
	Closing           // an unknown id is being closed for ever
	stateEnd
)

var stateNames = [...]string{"GONE", "RESERVING", "TRANSLATING", "SENT", "POSTING", "VOIDING", "IN_DOUBT", "INQUIRING", "POSTED", "UNPOSTING",
	"OPENING", "NOTING", "QUEUED", "UNDOING", "WAITING", "DESK", "CLOSING"}

// String writes the state's name.
func (s State) String() string {
	if s >= stateEnd {
		return "State(?)"
	}
	return stateNames[s]
}

// Trigger is what an event means to a payment once it is judged.
type Trigger uint8

// The triggers.
const (
	LedgerOK        Trigger = iota + 1 // the command did what it says
	LedgerOKBlind                      // so, and memo or numbers are not known yet
	LedgerNo                           // refused, nothing changed
	LedgerUnsent                       // proven not submitted
	LedgerUnknown                      // whether it is in the log is not known
	LedgerPosted                       // the ledger says: posted
	LedgerReversing                    // the ledger says: reversing
	LedgerVoided                       // the ledger says: voided or tombstone
	LedgerAbsent                       // the ledger never saw the id
	PINReady                           // the block is enciphered for the link
	PINFailed                          // it is not
	TimeUp                             // the state's time has passed
	Unwritten                          // no byte of the 0200 left, proven in this life
	UnwrittenLate                      // so, but its send deadline passed
	LinkLost                           // the link ended with the 0200 unanswered
	Approved                           // 0210: good code, all fields equal, approved; or an inquiry's answer that says so
	Declined                           // 0210: good code, all fields equal, refused; or an inquiry's answer that proves it
	Doubtful                           // 0210: bad code, other fields, unknown code
	LateReply                          // a 0210 that no longer counts
	ReversalProven                     // 0410/0430: the money is back or was never taken
	ReversalAgain                      // 0410/0430: anything else
	ReversalUnsent                     // no byte of the reversal left
	ReversalLost                       // the link ended with the reversal unanswered
	LinkReady                          // a link can carry the inquiry or the reversal
	CrossDay                           // the bank takes no reversal of another date
	InquiryDue                         // found at start, and no earlier leader can still send
	NoInquiry                          // the bank is not, or no longer, to be asked
	NotKnown                           // answer to an inquiry: the bank does not know the debit, which proves it
	InquiryVain                        // an inquiry brought no answer that proves anything
	CardYes                            // TC
	CardKeep                           // no, but by the profile the payment stays
	CardUndo                           // no, and by the profile the payment is taken back
	MemoKnown                          // memo or numbers are known
	MemoUnknown                        // they are not
	EndedPosted                        // file or desk posted it
	EndedVoided                        // file or desk voided it
	triggerEnd
)

var triggerNames = [...]string{"", "LEDGER_OK", "LEDGER_OK_BLIND", "LEDGER_NO", "LEDGER_UNSENT", "LEDGER_UNKNOWN",
	"LEDGER_POSTED", "LEDGER_REVERSING", "LEDGER_VOIDED", "LEDGER_ABSENT", "PIN_READY", "PIN_FAILED", "TIME_UP",
	"UNWRITTEN", "UNWRITTEN_LATE", "LINK_LOST", "APPROVED", "DECLINED", "DOUBTFUL", "LATE_REPLY", "REVERSAL_PROVEN",
	"REVERSAL_AGAIN", "REVERSAL_UNSENT", "REVERSAL_LOST", "LINK_READY", "CROSS_DAY",
	"INQUIRY_DUE", "NO_INQUIRY", "NOT_KNOWN", "INQUIRY_VAIN", "CARD_YES", "CARD_KEEP",
	"CARD_UNDO", "MEMO_KNOWN", "MEMO_UNKNOWN", "ENDED_POSTED", "ENDED_VOIDED"}

// String writes the trigger's name.
func (t Trigger) String() string {
	if t == 0 || t >= triggerEnd {
		return "Trigger(?)"
	}
	return triggerNames[t]
}

// action is what is done on a transition.
type action uint8

// The actions. Zero is none: the pair is not declared.
const (
	stay           action = iota + 1 // nothing: the event is expected and changes nothing
	translate                        // ask for the PIN block
	send                             // put the 0200 on its link
	post                             // ask for Post
	postInquired                     // ask for Post, source INQUIRY
	voidNotSent                      // ask for Void, proof NOT_SENT
	voidDeclined                     // ask for Void, proof DECLINED
	voidReversed                     // ask for Void, proof REVERSAL_ACK
	voidAgain                        // ask for the same Void again
	unpost                           // ask for Unpost
	unpostAgain                      // ask for it again
	doubt                            // tell "pending", ask for Annotate(REVERSING)
	askBank                          // tell "pending", line up for the inquiry where the bank takes one
	lineUp                           // line up for the inquiry
	inquire                          // put the inquiry on the link
	annotate                         // ask for Annotate of the next attempt
	queue                            // line up for the link
	reverse                          // put the 0400 or 0420 on the link
	backOff                          // wait before the next attempt
	backOffSame                      // wait before the same attempt
	retryLater                       // wait before the same command
	find                             // ask for the memo, or for the numbers that Reserve gave
	fence                            // wait until an earlier leader can no longer send
	toDesk                           // hand over to people
	tellPosted                       // tell "paid", wait for the card
	tellPaid                         // tell "paid", it is over
	tellKept                         // the card said no, the payment stays
	tellNotCharged                   // tell "not charged"
	tellRefused                      // tell the ledger's refusal
	tellSystem                       // tell that nothing was asked of anyone
	tellAbsent                       // the ledger never saw it: nothing held, nothing sent
	tellUnknown                      // tell "pending": ask again
	noteLate                         // journal a reply that no longer counts
)

var actionNames = [...]string{"", "nothing", "ask for the PIN block", "send the 0200", "Post", "Post, source INQUIRY", "Void, proof NOT_SENT", "Void, proof DECLINED",
	"Void, proof REVERSAL_ACK", "the same Void again", "Unpost", "Unpost again", "tell pending; Annotate REVERSING", "tell pending; line up for the inquiry",
	"line up for the inquiry", "send the inquiry", "Annotate the next attempt",
	"line up for the link", "send the 0400 or 0420", "wait, longer each time", "wait; the attempt is not used up", "wait before the same again",
	"fetch memo or numbers", "wait until an earlier leader can send no more", "hand over to people", "tell paid; await the card", "tell paid",
	"tell paid; note the card's refusal", "tell not charged", "tell the refusal", "tell refused: nothing was asked", "tell refused: never held",
	"tell pending", "journal it as late"}

// String says what is done.
func (a action) String() string {
	if int(a) >= len(actionNames) {
		return "action(?)"
	}
	return actionNames[a]
}

// move is one cell of the table.
type move struct {
	to State
	do action
}

// table is the payment's behaviour. A cell that is not here is refused and
// changes nothing. docs/spec/payment-states.md draws it.
var table = [stateEnd][triggerEnd]move{
	Reserving: {
		LedgerOK:        {Translating, translate},
		LedgerNo:        {Gone, tellRefused},
		LedgerUnsent:    {Gone, tellSystem},
		LedgerUnknown:   {Noting, doubt}, // EXISTS of an earlier life is judged as this, too
		LedgerPosted:    {Gone, tellPaid},
		LedgerReversing: {Noting, doubt},
		LedgerVoided:    {Gone, tellNotCharged},
	},
	Translating: {
		PINReady:    {Sent, send},
		PINFailed:   {Voiding, voidNotSent},
		Unwritten:   {Voiding, voidNotSent},
		TimeUp:      {Noting, doubt},
		EndedPosted: {Gone, tellPaid},
		EndedVoided: {Gone, tellNotCharged},
	},
	Sent: {
		Approved:      {Posting, post},
		Declined:      {Voiding, voidDeclined},
		Unwritten:     {Voiding, voidNotSent},
		Doubtful:      {InDoubt, askBank},
		LinkLost:      {InDoubt, askBank},
		TimeUp:        {InDoubt, askBank},
		UnwrittenLate: {Noting, doubt}, // the bank has nothing of it to tell
		LateReply:     {Sent, noteLate},
		EndedPosted:   {Gone, tellPaid},
		EndedVoided:   {Gone, tellNotCharged},
	},
	InDoubt: {
		LinkReady:   {Inquiring, inquire},
		NoInquiry:   {Noting, annotate},
		TimeUp:      {Noting, annotate},
		LateReply:   {InDoubt, noteLate},
		EndedPosted: {Gone, tellPaid},
		EndedVoided: {Gone, tellNotCharged},
	},
	Inquiring: {
		Approved:    {Posting, postInquired},
		Declined:    {Voiding, voidDeclined},
		NotKnown:    {Voiding, voidDeclined},
		InquiryVain: {Noting, annotate},
		TimeUp:      {Noting, annotate},
		LateReply:   {Inquiring, noteLate},
		EndedPosted: {Gone, tellPaid},
		EndedVoided: {Gone, tellNotCharged},
	},
	Posting: {
		LedgerOK:        {Posted, tellPosted},
		LedgerPosted:    {Posted, tellPosted},
		LedgerNo:        {Noting, doubt},
		LedgerUnsent:    {Noting, doubt},
		LedgerUnknown:   {Noting, doubt},
		LedgerReversing: {Noting, doubt},
		LedgerAbsent:    {Noting, doubt},
		LedgerVoided:    {Gone, tellNotCharged},
		LateReply:       {Posting, noteLate},
		EndedPosted:     {Gone, tellPaid},
		EndedVoided:     {Gone, tellNotCharged},
	},
	Voiding: {
		LedgerOK:        {Gone, tellNotCharged},
		LedgerVoided:    {Gone, tellNotCharged},
		LedgerPosted:    {Gone, tellPaid},
		LedgerReversing: {Noting, doubt},
		LedgerNo:        {Voiding, retryLater},
		LedgerAbsent:    {Voiding, retryLater},
		LedgerUnsent:    {Voiding, retryLater},
		LedgerUnknown:   {Voiding, retryLater},
		TimeUp:          {Voiding, voidAgain},
		LateReply:       {Voiding, noteLate},
		ReversalProven:  {Voiding, stay},
		ReversalAgain:   {Voiding, stay},
		EndedPosted:     {Gone, tellPaid},
		EndedVoided:     {Gone, tellNotCharged},
	},
	Posted: {
		CardYes:     {Gone, tellPaid},
		CardKeep:    {Gone, tellKept},
		CardUndo:    {Unposting, unpost},
		LateReply:   {Posted, noteLate},
		EndedPosted: {Posted, stay},
		EndedVoided: {Gone, tellNotCharged},
	},
	Unposting: {
		LedgerOK:      {Noting, doubt},
		LedgerOKBlind: {Opening, find},
		LedgerVoided:  {Gone, tellNotCharged},
		LedgerPosted:  {Gone, tellKept},
		LedgerNo:      {Gone, tellKept},
		LedgerAbsent:  {Gone, tellKept},
		LedgerUnsent:  {Unposting, retryLater},
		LedgerUnknown: {Unposting, retryLater},
		TimeUp:        {Unposting, unpostAgain},
		LateReply:     {Unposting, noteLate},
		EndedPosted:   {Gone, tellPaid},
		EndedVoided:   {Gone, tellNotCharged},
	},
	Opening: {
		MemoKnown:      {Waiting, fence},
		MemoUnknown:    {Opening, retryLater},
		TimeUp:         {Opening, find},
		LateReply:      {Opening, noteLate},
		ReversalProven: {Voiding, voidReversed},
		ReversalAgain:  {Opening, stay},
		EndedPosted:    {Gone, tellPaid},
		EndedVoided:    {Gone, tellNotCharged},
	},
	Noting: {
		LedgerOK:       {Queued, queue},
		LedgerOKBlind:  {Opening, find}, // the Reserve was of unknown outcome: its numbers are asked for
		LedgerPosted:   {Posted, tellPosted},
		LedgerVoided:   {Gone, tellNotCharged},
		LedgerAbsent:   {Gone, tellAbsent},
		LedgerNo:       {Waiting, backOffSame},
		LedgerUnsent:   {Waiting, backOffSame},
		LedgerUnknown:  {Waiting, backOffSame},
		LateReply:      {Noting, noteLate},
		ReversalProven: {Voiding, voidReversed},
		ReversalAgain:  {Noting, stay},
		EndedPosted:    {Gone, tellPaid},
		EndedVoided:    {Gone, tellNotCharged},
	},
	Queued: {
		LinkReady:      {Undoing, reverse},
		CrossDay:       {Desk, toDesk},
		LateReply:      {Queued, noteLate},
		ReversalProven: {Voiding, voidReversed},
		ReversalAgain:  {Queued, stay},
		EndedPosted:    {Gone, tellPaid},
		EndedVoided:    {Gone, tellNotCharged},
	},
	Undoing: {
		ReversalProven: {Voiding, voidReversed},
		ReversalAgain:  {Waiting, backOff},
		ReversalLost:   {Waiting, backOff},
		ReversalUnsent: {Waiting, backOffSame},
		TimeUp:         {Waiting, backOff},
		LateReply:      {Undoing, noteLate},
		EndedPosted:    {Gone, tellPaid},
		EndedVoided:    {Gone, tellNotCharged},
	},
	Waiting: {
		TimeUp:         {Noting, annotate},
		InquiryDue:     {InDoubt, lineUp},
		LateReply:      {Waiting, noteLate},
		ReversalProven: {Voiding, voidReversed},
		ReversalAgain:  {Waiting, stay},
		EndedPosted:    {Gone, tellPaid},
		EndedVoided:    {Gone, tellNotCharged},
	},
	Desk: {
		LateReply:      {Desk, noteLate},
		ReversalProven: {Voiding, voidReversed},
		ReversalAgain:  {Desk, stay},
		EndedPosted:    {Gone, tellPaid},
		EndedVoided:    {Gone, tellNotCharged},
	},
	Closing: {
		LedgerOK:        {Gone, tellNotCharged},
		LedgerVoided:    {Gone, tellNotCharged},
		LedgerPosted:    {Gone, tellPaid},
		LedgerReversing: {Gone, tellUnknown},
		LedgerNo:        {Gone, tellUnknown},
		LedgerAbsent:    {Gone, tellUnknown},
		LedgerUnsent:    {Gone, tellUnknown},
		LedgerUnknown:   {Gone, tellUnknown},
	},
}
