// Package acceptor is our ISO 8583 server: the way in for payments that a bank
// takes at its counter or in its e-bank against a payment notice (缴费通知单).
//
//	socket → strict decode → codes checked in one HSM call per read →
//	one ledger command → durable → answers coded in one HSM call → one write
//
// A connection has one reader and one writer, and nothing else: the ledger's
// answer is put on the connection's queue, which has room for every request
// that may be under way, so a slow bank never holds the ledger up. A reader
// that has let in as many requests as it may stops reading.
//
// A frame that breaks the rules closes its connection with a counted reason.
// A request without a good code is answered A0 and does nothing. An approval
// leaves only after its record is durable; when the outcome of a commit is not
// known, the connection is closed without an answer, and the bank asks again.
//
// Specification: docs/spec/bank-wire.md, the bank-initiated direction. Left out:
// totals, TLS to banks (put it into the listener).
package acceptor
