// Package ledger is the ledger node: it takes commands, has them decided by the
// deterministic machine in core through one durable log, and answers queries.
//
//	Submit → encode → group commit in replog (raft, one fdatasync) → core.Apply
//	       → answers; checkpoints to bbolt by store; every batch chained by chain.
//
// An answer never leaves before its record is durable. The package sees neither
// PAN nor PIN; persons are numbers and keyed hashes.
package ledger
