// Package journal is a terminal's electronic journal (电子流水) in one bbolt file:
// a hash-chained list of records, and the payments of this terminal with the
// state of each.
//
// A payment's state is on disk before its effect can be seen: Put returns after
// the file is synced. Lines that nobody waits for (screens, results of a PIN
// entry) are kept back and written with the next Put or Flush. After a failed
// write nothing is known about the file: every further call returns ErrBroken,
// and only a restart, which reads the file anew, ends that.
//
// The journal holds masked values only: no PIN block, no card or ID number, no
// name. Layout and chain are described in docs/format/terminal-journal.md.
//
// Left out: what the hub does with the uploaded records.
package journal
