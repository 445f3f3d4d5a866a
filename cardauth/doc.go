// Package cardauth is the session of a card: what was read, whether its two
// applications and the person belong together, and what one EMV transaction
// gives for one bank message. It sees cards, enciphered PIN blocks and keys;
// nothing in clear leaves it but what [Card] and [Proof] hold: masked values,
// DE 55, the PIN block and the sealed card envelope.
//
// Children: pcsc (readers), apdu, tlv, emv, sscard (the two applications),
// envelope, epp (the PIN pad), and the hub's side of the keys: pinblock, tr31,
// mac, hsm, softhsm. The top package does no I/O; it drives a card through the
// one-method [Transmitter].
//
// Specification: PBOC/EMV contact debit, online only, and 人社信息函〔2012〕37号
// for the social security application; see docs/spec/card.md.
package cardauth
