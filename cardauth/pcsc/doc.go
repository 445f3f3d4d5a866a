// Package pcsc is a card reader behind PC/SC (pcsc-lite) for a machine that
// nobody restarts by hand: it says when a card comes and goes, carries commands
// under a deadline, and comes back by itself after the reader was unplugged or
// the card service restarted.
//
// Nouns: a [Reader] is one slot, found by its name; an [Event] is what it says by
// itself; a [Card] is a powered card, held exclusively.
//
// A command cannot be cancelled in PC/SC. A card that never answers therefore
// leaves its reader wedged: the caller gets [ErrWedged] at the deadline, the
// reader says [Fault], and it is ready again when the card was pulled or the card
// service was restarted. The service itself is another program's to restart.
//
// Each reader has two goroutines, one that watches and one that works, with a
// PC/SC context each, because a blocked call holds its context. A program opens
// a reader's name once: the library under this package keeps names in a table of
// its own. PCSCLITE_CSOCK_NAME, where it is used, must be set before the first
// call; the library remembers it for ever.
//
// Specification: PC/SC part 5 as pcsc-lite implements it; ISO/IEC 7816-3 for
// T=0. Left out: PIN entry at the reader (the PIN pad is a device of its own),
// contactless, and power management.
package pcsc
