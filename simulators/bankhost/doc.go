// Package bankhost plays banks: a host that debits accounts for our links, and
// a counter that pays notices at our server.
//
// It is a second implementation of the wire on purpose: messages are read and
// written by moov-io/iso8583, framing, codes, PIN blocks and key blocks by code
// of this package, so that a mistake of settlement/bankmsg or of cardauth is not
// answered by the same mistake. Only a card's cryptograms come from
// cardauth/emv.
//
// Nouns: a [Host] serves one bank's profile; an [Account] is a card with its
// money and PIN; an [Entry] is one line of the host's journal; a [Fault] is what
// the host does wrong with one request; a [Counter] is the other direction.
//
// Caveats: PINs and keys are those of the demo and stand in memory in the clear.
// The host believes what a real one would check at length (expiry, limits,
// lists); it does check code, PIN, cryptogram, counter and balance.
//
// Specification: docs/spec/bank-wire.md. Left out: totals, files.
package bankhost
