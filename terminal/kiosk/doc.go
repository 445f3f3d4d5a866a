// Package kiosk is the screen of a terminal: it renders flow.Screen values as
// pages for the one browser on the terminal's display and hands the citizen's
// presses back.
//
// The server owns the session. The page is a shell that is empty until its event
// stream brings the present screen; each [Server.Show] sends the next one, a
// reload brings the same one again, [Server.Wipe] empties it. A press is a POST
// with the screen's step number; no GET changes anything. Exactly one browser
// connection is live: a newer one takes over and the older goes blank.
//
// Around it: loopback only, a list of allowed Host values, a token of this boot
// that is exchanged for a cookie, Origin and Sec-Fetch-Site checks
// (http.CrossOriginProtection), a content security policy that allows this
// origin only, no caching, no password field, no text field of any kind.
//
// The page's own script is one short file: it opens the stream, swaps the
// screen, posts presses and filters keys. docs/design-system.md says why no
// library does it, and holds the look, the sizes and the words.
//
// Left out: speech, on-screen keypads, scanning.
package kiosk
