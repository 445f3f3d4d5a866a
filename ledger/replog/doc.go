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
//   - Nothing of the log is deleted: old segments move to archive/, compressed.
//
// A lone node has its transport in memory. Several reach one another through a
// [Network] ([Peers]: TLS 1.3, known by name); [Log.Role] tells who leads. A node
// that is too far behind is sent the state that the log leads to ([State]): a
// checkpoint is the only snapshot there is.
//
// The bytes are described in docs/format/log-segments.md.
package replog
