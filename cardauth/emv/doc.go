// Package emv drives the bank application of a card through one online
// transaction: choose the application, read it, take the first cryptogram,
// hand back the issuer's answer, take the second. It also holds the cryptogram
// mathematics, which the simulated banks and cards share.
//
// Nouns: an [Account] is what the records say; a [Transaction] is one run from
// SELECT to the card's last word and serves one bank message; [Terminal] is what
// the machine says of itself.
//
// Policy: always online, online PIN only, no offline approval, no magnetic
// stripe. Offline data authentication is not performed and the TVR says so: the
// issuer's check of the ARQC proves the card, the issuer's ARPC proves the host.
// A card that answers a TC where an ARQC was asked is refused.
//
// Specification: EMV 4.3 Books 1 and 3 and their PBOC profile as far as
// docs/spec/card.md says; what was not read in a primary text is marked there.
// Left out: SDA, DDA, CDA, offline PIN, electronic cash, contactless.
package emv
