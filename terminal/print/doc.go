// Package print lays out what a terminal gives on paper: the receipt (回单) of a
// posted payment and the slip (待确认凭条) of a payment whose result is not known
// yet. Both are ESC/POS byte streams for an 80 mm thermal printer, text in
// GB 18030.
//
// A receipt exists for a posted payment only; every further copy carries 补打
// DUPLICATE n. A slip never calls itself a receipt. Neither holds more than the
// last four digits of a card or an ID number.
//
// Caveat: text that comes from outside (names, agencies) is refused when it
// holds a control character, because a control character is a printer command.
//
// The command set is listed in docs/spec/escpos.md. A4 statements are not made
// here.
package print
