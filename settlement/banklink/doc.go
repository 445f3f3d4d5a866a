// Package banklink keeps the links to a bank's host: connect, sign on, take
// working keys, send and match messages, echo when idle, come back after
// trouble.
//
// Nouns: a [Session] is the life of one link as a pure machine (no clock,
// goroutine or socket); a [Link] is the TCP shell around it with one reader and
// one writer; a [Pool] is the links of one bank, with its [Breaker]; a [Request]
// is one message that wants an answer; an [Event] is what a pool tells its
// owner.
//
// What the owner may rely on: a request that Send took ends in exactly one of
// NotSent, Lost and Replied, or in silence that the owner times itself. NotSent
// is a proof: no byte of the frame was handed to the operating system. A reply
// reaches the owner only after its code was checked with the key of its
// request's generation and its fields were compared with its request's. Replies
// that answer nothing under way are told as Stray, never dropped.
//
// Caveats: the owner's Deliver may block, and then the links stop reading; it
// must never wait for a link. Left out: settlement totals and batch upload, the
// bank-initiated direction.
//
// Specification: docs/spec/payment-states.md for timers and limits,
// docs/spec/bank-wire.md for the messages.
package banklink
