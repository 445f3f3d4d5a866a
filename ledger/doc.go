// Package ledger is the ledger node: it takes commands, has them decided by the
// deterministic machine in core through one durable log, and answers queries.
//
//	Submit → encode → group commit in replog (raft, one fdatasync) → core.Apply
//	       → answers; checkpoints to bbolt by store; every batch chained by chain.
//
// An answer never leaves before its record is durable. The package sees neither
// PAN nor PIN; persons are numbers and keyed hashes.
//
// # Use
//
// [Open] takes a data directory. A lone node is returned when it leads and stands
// at the end of its log; one of several is led or leads, as [Node.Role] tells, and
// only the one that leads takes commands and is asked. [Node.Do] sends one command and waits; [Node.Submit] is
// for those who keep many in flight. [Verify] proves the directory of a stopped
// node, [Migrate] makes one of an earlier version open, [Node.Backup], [Backup] and
// [Restore] copy it.
//
// # Caveats
//
// [ErrUnknown] is not a refusal: the command may be in the ledger, and the caller
// asks again by the same id. Every other error means that nothing was written. A
// command that the rules do not allow is no error at all but a result.
//
// A failed write, a failed sync and a broken invariant end the process
// (Config.Fatal). Nothing is retried on a file whose sync has failed; the next
// start finds out what is durable.
//
// What is on disk: docs/format/ledger-log.md, docs/format/log-segments.md,
// docs/format/state-bolt.md, docs/format/archive.md.
package ledger
