// Package settlement is the hub's money side: the shell that drives the payment
// engine and the bank links, and ties them to the ledger and the HSM process.
//
// A [Hub] lives as long as its node leads the region's log. It keeps no durable
// state: Start reads the ledger's pending payments and queues the reversal of
// each before the first new payment is taken; Stop lets go of everything, and
// the next hub begins again from the ledger. One goroutine owns the engine; a
// payment has no goroutine of its own beside its caller's.
//
// Caveats: a hub must be stopped when its node loses the lead, because "not
// sent" is proven by this hub's memory alone. Log lines name payment, bank and
// reference number, never card or person.
//
// Specification: docs/spec/payment-states.md. Left out: the terminal API
// (termsrv), bank-initiated payments (acceptor), the settlement day.
package settlement
