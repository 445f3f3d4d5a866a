// Package ledgerapi is the vocabulary between whoever moves money and the
// ledger: commands, results and views as plain structs. The ledger's meaning of
// each command is in ledger/core; this package holds the shapes and their one
// canonical encoding (little-endian, one encoding per value), because a command
// is hashed and logged in exactly the form in which it is asked.
//
// Values carry no person's data in the clear: persons are numbers and keyed
// hashes, memos and blobs are sealed by the HSM process.
package ledgerapi
