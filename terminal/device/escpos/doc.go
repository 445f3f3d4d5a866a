// Package escpos drives a receipt printer that speaks ESC/POS over a Unix or TCP
// socket. It implements device.Printer.
//
// It says "presented" only when the printer has confirmed that everything sent
// is on paper (process id response). A printer that takes the bytes and cannot
// confirm ends with "sent". A printer that reports a fault, or hangs up, ends
// with "failed" and the fault. Nothing is concluded from time alone.
//
// Not here: paper taken (no common receipt printer reports it), serial lines
// (a serial server or systemd socket in front gives the same stream).
package escpos
