// Package panel is the demonstration's hardware panel: one page that shows a
// whole bank terminal to a person at a desk. It frames the kiosk's screen and the
// PIN pad's page (both on their own origins), shows the card slot, the printer
// and its paper, a tray of cards with the story each one tells, switches for
// faults, a bank counter, and the text messages that were sent.
//
// The panel owns none of these. It asks for them through the interfaces [Tray],
// [Faults], [Paper] and [Counter] and the function [Config.Messages]; cmd/simulate
// ties them to the simulators. A part that is nil is not shown. Whoever changes
// something calls [Server.Changed]; the page follows through server-sent events.
//
// It listens on loopback for a fixed list of Host values, with its own cookie
// and a content security policy that allows its own origin and the two frames.
// Its address needs no token, so that it can be typed by hand: everything behind
// it is fictional. No PIN digit passes through it; the pad's page is the pad's.
package panel
