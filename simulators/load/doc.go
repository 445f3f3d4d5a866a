// Package load is many people paying at once, counted and checked.
//
// [Run] plays a bank whose counters and e-bank pay notices at the ISO 8583
// server: real TCP links, several requests in flight on each, every message
// under its code. It keeps a closed loop (each answer is followed by the next
// payment) or an open one (payments fall due at a rate, and the latency of a
// payment that had to wait for a place counts from when it fell due).
//
// Every answer is checked: its code, the echoed fields, its receipt, which no
// other payment may have. One payment in a thousand is asked for a second time
// and must have the same receipt. When a link breaks, because the server was
// killed for one, it is made again, and every payment without an answer is asked
// for again by the same key until there is one; the last ones answered before
// are asked for too and must still be there.
//
// [Terminals] plays kiosks at the terminal API, and [Supply] keeps notices for
// both by the operator's own calls.
//
// The frames are laid out here from the profile and patched in place; this is
// the second writing of that wire beside simulators/bankhost, and neither is
// settlement/bankmsg. It speaks the CUPS dialect with the code over the whole
// message; other dialects are measured nowhere and left out.
package load
