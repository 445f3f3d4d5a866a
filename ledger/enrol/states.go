package enrol

import "github.com/shebao-pay/shebao/si/ledgerapi"

// step is one row of a table of states: from a state, what may come next.
type step[S, E comparable] struct {
	from S
	by   E
	to   S
}

// next looks a pair up. What is not in the table is refused.
func next[S, E comparable](table []step[S, E], from S, by E) (to S, ok bool) {
	for _, s := range table {
		if s.from == from && s.by == by {
			return s.to, true
		}
	}
	return from, false
}

// coverSteps are the moves of cover (docs/spec/cover.md). From an ended spell
// cover begins anew, with the next spell.
var coverSteps = []step[ledgerapi.CoverState, ledgerapi.Type]{
	{ledgerapi.CoverNone, ledgerapi.TypeEnrol, ledgerapi.CoverActive},
	{ledgerapi.CoverNone, ledgerapi.TypeTransferIn, ledgerapi.CoverActive},
	{ledgerapi.CoverActive, ledgerapi.TypeSuspend, ledgerapi.CoverSuspended},
	{ledgerapi.CoverActive, ledgerapi.TypeChangeGrade, ledgerapi.CoverActive},
	{ledgerapi.CoverActive, ledgerapi.TypeTransferOut, ledgerapi.CoverTransferredOut},
	{ledgerapi.CoverActive, ledgerapi.TypeTerminate, ledgerapi.CoverTerminated},
	{ledgerapi.CoverSuspended, ledgerapi.TypeResume, ledgerapi.CoverActive},
	{ledgerapi.CoverSuspended, ledgerapi.TypeChangeGrade, ledgerapi.CoverSuspended},
	{ledgerapi.CoverSuspended, ledgerapi.TypeTransferOut, ledgerapi.CoverTransferredOut},
	{ledgerapi.CoverSuspended, ledgerapi.TypeTerminate, ledgerapi.CoverTerminated},
	{ledgerapi.CoverTransferredOut, ledgerapi.TypeEnrol, ledgerapi.CoverActive},
	{ledgerapi.CoverTransferredOut, ledgerapi.TypeTransferIn, ledgerapi.CoverActive},
	{ledgerapi.CoverTerminated, ledgerapi.TypeEnrol, ledgerapi.CoverActive},
	{ledgerapi.CoverTerminated, ledgerapi.TypeTransferIn, ledgerapi.CoverActive},
}

// Cover is the state after an act, false if the act is refused.
func Cover(from ledgerapi.CoverState, by ledgerapi.Type) (ledgerapi.CoverState, bool) {
	return next(coverSteps, from, by)
}

// mandateSteps are the moves of a mandate: the event is the state asked for.
// Signing again is how a suspended one comes back.
var mandateSteps = []step[ledgerapi.MandateState, ledgerapi.MandateState]{
	{ledgerapi.MandateSigned, ledgerapi.MandateActive, ledgerapi.MandateActive},
	{ledgerapi.MandateSigned, ledgerapi.MandateSuspended, ledgerapi.MandateSuspended},
	{ledgerapi.MandateSigned, ledgerapi.MandateCancelled, ledgerapi.MandateCancelled},
	{ledgerapi.MandateActive, ledgerapi.MandateSuspended, ledgerapi.MandateSuspended},
	{ledgerapi.MandateActive, ledgerapi.MandateCancelled, ledgerapi.MandateCancelled},
	{ledgerapi.MandateSuspended, ledgerapi.MandateSigned, ledgerapi.MandateSigned},
	{ledgerapi.MandateSuspended, ledgerapi.MandateCancelled, ledgerapi.MandateCancelled},
}

// Mandate tells whether a mandate may go from one state to another.
func Mandate(from, to ledgerapi.MandateState) bool {
	_, ok := next(mandateSteps, from, to)
	return ok
}

// caseSteps are the moves of a case. Staying where it is hands it to another
// owner or adds a note; what is done or refused stays so.
var caseSteps = []step[ledgerapi.CaseState, ledgerapi.CaseState]{
	{ledgerapi.CaseNew, ledgerapi.CaseNew, ledgerapi.CaseNew},
	{ledgerapi.CaseNew, ledgerapi.CaseAccepted, ledgerapi.CaseAccepted},
	{ledgerapi.CaseNew, ledgerapi.CaseRefused, ledgerapi.CaseRefused},
	{ledgerapi.CaseAccepted, ledgerapi.CaseAccepted, ledgerapi.CaseAccepted},
	{ledgerapi.CaseAccepted, ledgerapi.CaseWaiting, ledgerapi.CaseWaiting},
	{ledgerapi.CaseAccepted, ledgerapi.CaseDone, ledgerapi.CaseDone},
	{ledgerapi.CaseAccepted, ledgerapi.CaseRefused, ledgerapi.CaseRefused},
	{ledgerapi.CaseWaiting, ledgerapi.CaseWaiting, ledgerapi.CaseWaiting},
	{ledgerapi.CaseWaiting, ledgerapi.CaseAccepted, ledgerapi.CaseAccepted},
	{ledgerapi.CaseWaiting, ledgerapi.CaseRefused, ledgerapi.CaseRefused},
}

// Case tells whether a case may go from one state to another.
func Case(from, to ledgerapi.CaseState) bool {
	_, ok := next(caseSteps, from, to)
	return ok
}
