package operator

import "net/http"

// PendingView is a payment whose outcome is not proven.
type PendingView struct {
	ID     string `json:"payment"`
	Bank   string `json:"bank"`  // code
	State  string `json:"state"` // of the engine, see docs/spec/payment-states.md
	Amount int64  `json:"amount"`
	STAN   uint32 `json:"stan,omitempty"`
	RRN    string `json:"rrn,omitempty"`
	Tries  int    `json:"tries"`
	Since  string `json:"since"` // RFC 3339
	// Why a person is needed: CROSS_DAY (the bank takes no reversal on another
	// date) or UNANSWERED (as many reversals as alarm_after says brought no proof;
	// they go on). Empty: the hub needs nobody.
	Why string `json:"needs,omitempty"`
}

// The reasons why a payment needs a person.
const (
	NeedsCrossDay   = "CROSS_DAY"
	NeedsUnanswered = "UNANSWERED"
)

// pending lists the payments that need a person, oldest first; all=1 adds those
// that the hub resolves by itself.
func (s *Server) pending(w http.ResponseWriter, r *http.Request) {
	out := []PendingView{}
	for _, p := range s.cfg.Pending() {
		if p.Why != "" || r.URL.Query().Get("all") == "1" {
			out = append(out, p)
		}
	}
	reply(w, out)
}
