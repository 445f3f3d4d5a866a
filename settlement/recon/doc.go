// Package recon is the three-way match (三方对账) of one bank's business date:
// what terminals told people, what the bank's detail file says, and what the
// ledger holds. Every row of every source gets exactly one verdict; a row that
// does not agree is a break (差错) of a class, with the fields that differ.
//
// It is pure: rows in, verdicts out. The same rows give the same result and the
// same hash, in whatever order they come. Nothing is repaired here: a verdict
// says what may be done, a command in the ledger's log does it.
package recon
