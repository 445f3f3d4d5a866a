// Package replog is the command log: it makes batches of bytes durable in one
// order and hands them to a machine. It knows nothing of commands.
//
//	Submit → batch (group commit) → raft → Store: one pwrite, one fdatasync
//	       → Machine.Apply with the waiters of that batch
//
// The nouns: a record is what one Submit carries; a batch is the records that
// share one log entry; a [Store] is the log on disk in preallocated segments; a
// [Position] is a place in the log at which a checkpoint stands.
//
// The replication is hashicorp/raft, with one node too, so that there is no
// second implementation of the same rules. Raft's log store, stable store and
// snapshot list are ours, because an answer may not leave before its record is
// synced and raft itself only steps down on a write error: here an error inside
// the store stops the process (Config.Fatal).
//
// What a caller must know:
//   - A waiter that fails with [ErrUnknown] may or may not be in the log. Ask
//     again by the same id; never treat it as refused.
//   - After a failover a record can stand in the log twice. Whoever applies it
//     must make it one by its id.
//   - Nothing of the log is deleted: segments cut at the front move to archive/.
//
// The bytes are described in docs/format/log-segments.md. Left out: replication
// over a network (the transport is in memory, for one node) and snapshots sent
// to other nodes; the interfaces do not change with them.
package replog
