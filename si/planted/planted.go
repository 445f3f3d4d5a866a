// Package planted holds bugs that people really make, to find out whether the
// simulated world, or crashes of a disk, find them. A place in a core asks whether its bug is on; in
// every ordinary build the answer is a constant no, and the compiler leaves
// nothing of it behind. With the build tag planted, one of them can be switched
// on by name (docs/proof.md has the table).
package planted

// Bug is one planted bug.
type Bug uint8

// The bugs of the payment engine.
const (
	None Bug = iota
	TrustBadMAC
	TrustMismatch
	BadMACDeclines
	UnknownCodeDeclines
	DropReversalAfterSix
	DropReversalAtMidnight
	ReverseBeforeDurable
	HoldFreedByTimer
	NotSentAfterRestart
	ReviveLateApproval
	SendOnExists
	SendOnUnknown
	SendAfterDeadline
	LostIsNotSent
	ReversalTrustsBadMAC
	ReversalTakesAnyCode
	NoOriginalAlwaysFinal
	CrossDayIsProof
	CardNoIgnored
	ToldNotChargedEarly
	ToldPaidEarly
	UnsentPostIsPaid
	ReversalAmountOff
	ReversalOtherTrace
	ResumeForgetsReversing
	ResumeForgetsReserved
	InquiryAlwaysProof

	// The bug of the link session.
	NeverReconnects

	// The bugs of the ledger.
	TraceReused
	DueNotHeld
	HeldDuePaid
	PaidDuePaid
	TombstoneIgnored
	ReceiptTwice
	RedEntryForgotten
	UnpostKeepsPaid
	VoidKeepsHold
	IndividualForgotten
	VersionIgnored
	BookedOnOurDate
	PendingForgets
	MemoDropped
	RepeatPaysAgain

	// The bugs of the log on its disk.
	AckBeforeSync
	SegmentNotNamed
	End
)
