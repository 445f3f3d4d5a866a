// Package hub is the terminal's side of the terminal API: JSON over HTTP/2 with
// mutual TLS 1.3, pinned roots, and the addresses of all nodes.
//
// A call goes to the node that led last; a node that does not lead answers 421
// with the leader's address, and one that cannot be reached is passed over. A
// request of which a byte may have left is not sent again, except a question,
// which is repeated once: what became of a payment is asked by its id.
//
// Every failed call ends in an [Error] that says what it proves: not sent,
// refused by the hub with a problem code, or unknown.
//
// Left out: enrolment and the keys of 3.0 cards.
package hub
