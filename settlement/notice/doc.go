// Package notice draws the payment notice (缴费通知单): one sheet of A4 with which
// a person pays at a bank's counter or in its e-bank.
//
// The number stands on it three times: in digits, as Code 128 for a counter's
// scanner and as a QR code for a telephone. It is what counts. What the sheet says
// of amounts is what was open when it was made; a bank is told anew each time it
// asks, so an old sheet can be refused or cost more, but it can never be paid
// wrong.
//
// The sheet shows a masked name and the last characters of the ID number, and
// whoever draws it knows no more than that.
package notice
