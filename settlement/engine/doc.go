// Package engine is one payment from intent to final state: a pure machine. Its
// inputs are events (a ledger result, a bank's reply, a timer, a card's last
// word), its outputs effects (submit a command, send a message, set a timer,
// tell the terminal). It holds no clock, goroutine, socket or file; the shell in
// settlement feeds it, and so does the simulated world.
//
// The rules are those of docs/spec/payment-states.md: intent is durable before
// the act, unknown is a state, a reversal is never dropped, a late approval
// never revives a payment whose reversal is durable.
package engine
