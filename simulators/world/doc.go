// Package world plays the whole system in one goroutine on virtual time: hubs
// that crash, a log that loses leaders, four banks that misbehave, terminals,
// counters and citizens that meet at the same dues. It drives the very cores
// that run in production (the payment engine, the link session, the ledger) and
// knows the truth about every fen, so that it can say whether what the citizen
// was told, what the bank debited and what the ledger posted agree.
//
// # Nouns
//
// A seed decides everything that happens. A plan says which faults may happen
// and how often; each seed draws its own. A day begins with a warm-up without
// faults, goes through chaos, heals, and ends with the cutover, the bank's file
// and the match. An invariant is a sentence about the truth that must hold at
// every event, or at the end. A cell is a fault that met a payment in a state;
// cells that never happened make a run worthless, and it says so.
//
// # Caveats
//
// Same seed and plan, same hash: over every event in its order. The log is a
// model behind the same commands as the real one (append, commit, lost
// leadership with unknown outcome, prefix after a crash); the real log is
// tested with real processes. Messages are structs with a keyed code over their
// fields; the codecs are held to another reader elsewhere.
//
// Left out: the kiosk's pages, the card's bytes, files of the settlement day
// beyond a model of them.
package world
