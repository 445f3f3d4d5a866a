// Package core is the ledger as a deterministic state machine: it applies
// batches of logged commands to persons, dues, payments and books, and answers
// each command with a result.
//
// # Nouns
//
// A record is one command as it stands in the log (docs/format/ledger-log.md).
// A batch is one log entry: records one after the other. Applying a batch gives
// one result per record and moves the chain head, which covers the batch and
// its results. A due is one amount of one person, fund and period. A payment
// holds dues (RESERVED), may be taken back (REVERSING), and ends POSTED or
// VOIDED; an id that was closed before it was seen is a TOMBSTONE. A window is
// a bank's open business date. An act is a command that is no payment and may
// wait for a second person. Cover is a person's relation to an insurance type, in
// spells (docs/spec/cover.md). Records off the payment path stand on shelves.
//
// An act is a command of the desk, of finance or of a job; one that needs two
// persons waits for an Approve and then runs again as a whole. Books are kept in
// double entry, one for each fund: payments book themselves, every other event
// is an entry of lines that balance and keep the rules of the books
// (docs/spec/books.md). A break is a row on which terminal, bank and ledger do
// not agree, a refund money owed back, a suspense money that nobody could name
// yet, a run an auto-debit of many reservations. Sealing a date freezes it and
// gives the day head, which is signed outside.
//
// # Caveats
//
// A Machine is not safe for concurrent use: its owner serialises Apply, Step
// and the queries. Nothing in here reads a clock, draws a random number, starts
// a goroutine, touches a file or depends on the order of a map; time is at_ms
// of the record, and never runs backwards. Reserve, Post, Void and Pay do not
// allocate in steady state.
//
// A command that cannot be done is a result. An error from ApplyBatch means
// that the log is not what this program wrote, or that an invariant is broken;
// the owner stops the process, and no answer of that batch may leave.
//
// Left out: what a bank file says and whether a signature is good, which are not
// for a machine without files and keys.
package core
