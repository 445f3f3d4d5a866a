// Package termsrv is the server side of the terminal API: JSON over HTTP/2 with
// mutual TLS 1.3, described by openapi.json beside si/termapi. It decides who may
// ask what; money is decided in settlement, records in the ledger.
//
// A caller is a terminal, known by the hash of its certificate in the terminal's
// record. A session is one card in one terminal, held in memory only: it dies
// with the card, after ten minutes without a call, or with the process. Personal
// data goes to PROVEN sessions alone; a payment is checked, before anything is
// reserved, for the session's card, the session's person and the session's
// terminal. No PAN or track is kept between calls, only hashes.
//
// Left out here: acting for another person, and the calls of services that move
// no money.
package termsrv
