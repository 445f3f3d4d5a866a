// Package operator is the door for the people who run a node: HTTP over a Unix
// socket that only the node's own user can open. shebaoctl is its client. Every
// change is a ledger command; what must have two persons carries both.
//
// Imports come as CSV in the clear (docs/format/import.md); the HSM process
// seals and hashes them before a command is made, and nothing of a line is kept
// or logged here. A file is checked and staged whole, then its commands are
// made: all of it or nothing. Another office's register is compared without
// change; what it says otherwise is a proposal that a second person applies.
//
// Long answers are streamed as JSON lines: progress, then one line with the
// outcome.
package operator
