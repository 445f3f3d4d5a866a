// Package bankmsg turns bank messages into bytes and back: a strict codec of
// ISO 8583:1987, compiled from a bank's profile, with the framing of both
// dialects, the input of the message authentication codes, builders for each
// message we send and typed views of each message we receive.
//
// Nouns: a [Message] is the logical form, the same for both dialects; a [Codec]
// is one profile compiled; a [Frame] is one encoded message, an [Inbound] what
// is known of a decoded one besides its fields; [Sent] is what a reply must
// echo; a [BankCall] is what a bank asks of our own server.
//
// Caveats: Decode checks form, not authenticity. Nothing that it gives but the
// kind and the routing may be used before the code over Inbound.MACIn was
// checked, and a reply without a code is never an approval. With the selected
// scope the code does not cover every field: see [Codec.Covered]. Values of
// fields are never part of an error text. A Codec may be used by any number of
// goroutines, a Message, Frame or Inbound by one at a time.
//
// Specification: docs/spec/bank-wire.md. Left out: making and checking the
// codes (the HSM process does), connections (settlement/banklink), settlement
// totals, files.
package bankmsg
