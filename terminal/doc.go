// Package terminal is the shell of a self-service terminal (自助机): it drives the
// pure machine of terminal/flow with a card slot, a PIN pad, a printer, a page
// in a browser, the hub and the electronic journal.
//
// One goroutine owns the machine. Calls that wait (card, pad, printer, hub) run
// in workers, whose answers come back as events; writes of a payment's state
// run in the machine's own goroutine, because nothing may overtake them. On
// start the payments of the last run are worked off before the first citizen:
// what was never sent has failed, and the hub is asked for everything else by
// its id.
//
// The shell holds what the machine must not see: the enciphered PIN block and
// the card's cryptogram, from the moment the pad or the card gives them to the
// moment their one message is written. A wipe zeroes them.
//
// Children: flow (behaviour), journal (electronic journal), hub (client of the
// terminal API), device (hardware), kiosk (page), print (paper). Specification:
// docs/spec/terminal-session.md.
package terminal
