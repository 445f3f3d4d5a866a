//go:build planted

package planted

import "fmt"

var active Bug

var names = [End]string{"", "trust-bad-mac", "trust-mismatch", "bad-mac-declines", "unknown-code-declines",
	"drop-reversal-after-six", "drop-reversal-at-midnight", "reverse-before-durable", "hold-freed-by-timer",
	"not-sent-after-restart", "revive-late-approval", "send-on-exists", "send-on-unknown", "send-after-deadline",
	"lost-is-not-sent", "reversal-trusts-bad-mac", "reversal-takes-any-code", "no-original-always-final",
	"cross-day-is-proof", "card-no-ignored", "told-not-charged-early", "told-paid-early", "unsent-post-is-paid",
	"reversal-amount-off", "reversal-other-trace", "resume-forgets-reversing", "resume-forgets-reserved",
	"inquiry-always-proof",
	"never-reconnects", "trace-reused", "due-not-held",
	"held-due-paid", "paid-due-paid", "tombstone-ignored", "receipt-twice", "red-entry-forgotten", "unpost-keeps-paid",
	"void-keeps-hold", "individual-forgotten", "version-ignored", "booked-on-our-date", "pending-forgets", "memo-dropped",
	"repeat-pays-again", "ack-before-sync", "segment-not-named"}

// On tells whether a bug is switched on.
func On(b Bug) bool { return b == active }

// Active is the name of the bug that is switched on, or nothing.
func Active() string { return names[active] }

// Names lists the bugs that the simulated world must find.
func Names() []string { return names[1:AckBeforeSync] }

// DiskNames lists the bugs that crashes of a disk must find.
func DiskNames() []string { return names[AckBeforeSync:] }

// Set switches one bug on, before anything runs.
func Set(name string) error {
	for i, n := range names {
		if n == name && n != "" {
			active = Bug(i)
			return nil
		}
	}
	return fmt.Errorf("planted: no bug %q", name)
}
