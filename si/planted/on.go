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
	"repeat-pays-again"}

// On tells whether a bug is switched on.
func On(b Bug) bool { return b == active }

// Names lists every bug.
func Names() []string { return names[1:] }

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
