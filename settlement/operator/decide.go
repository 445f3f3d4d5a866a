package operator

import (
	"net/http"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// DecideRequest ends a payment that needs a person: one reads the bank's paper
// and decides, another checks it.
type DecideRequest struct {
	Ending string `json:"ending"` // paid, or not-charged
	// Reference is the bank's number of the paper that proves it, 1 to 20
	// printable characters. It stands in the node's log, and of a payment that is
	// paid in the ledger as the bank's serial.
	Reference string `json:"reference"`
	BankDate  string `json:"bank_date,omitempty"` // YYYY-MM-DD, of paid: the date on which the bank booked it
	Maker     uint32 `json:"maker"`
	Checker   uint32 `json:"checker"`
}

// The endings that people may decide.
const (
	EndingPaid       = "paid"
	EndingNotCharged = "not-charged"
)

// Decision is a decision that the ledger took.
type Decision struct {
	ID        si.PaymentID
	State     ledgerapi.PayState // posted or voided
	Maker     si.Actor
	Checker   si.Actor
	Reference string
}

// maxReference bounds the bank's number of a paper: what the ledger keeps of one.
const maxReference = 20

// decide ends a payment by two persons. Only what needs a person may be decided:
// while the hub still resolves a payment by itself, its word comes first. The
// same decision again is answered EXISTS.
func (s *Server) decide(w http.ResponseWriter, r *http.Request) {
	id, err := si.ParsePaymentID(r.PathValue("id"))
	if err != nil {
		refuse(w, http.StatusBadRequest, "payment: "+err.Error())
		return
	}
	var q DecideRequest
	if !read(w, r, &q) {
		return
	}
	c, d, why := q.command(id)
	if why != "" {
		refuse(w, http.StatusBadRequest, why)
		return
	}
	switch p, known := s.cfg.Register.Payment(id); {
	case !known:
		refuse(w, http.StatusNotFound, "no such payment")
		return
	case (p.State == ledgerapi.PayReserved || p.State == ledgerapi.PayReversing) && !s.needsPerson(id):
		refuse(w, http.StatusConflict, "the hub is still resolving this payment by itself; shebaoctl pending lists what needs a person")
		return
	}
	res, err := s.cfg.Ledger.Do(r.Context(), c)
	if err != nil {
		refuse(w, http.StatusServiceUnavailable, "the outcome is not known: "+err.Error()+"; ask again with the same words")
		return
	}
	if res.Code == ledgerapi.OK || res.Code == ledgerapi.Exists && res.First == ledgerapi.OK {
		s.cfg.Decided(d)
	}
	reply(w, answer(res))
}

// needsPerson tells whether a payment is listed as one that needs a person.
func (s *Server) needsPerson(id si.PaymentID) bool {
	for _, p := range s.cfg.Pending() {
		if p.ID == id.String() {
			return p.Why != ""
		}
	}
	return false
}

// command is the decision as the ledger takes it, or why it does not fit.
func (q *DecideRequest) command(id si.PaymentID) (c ledgerapi.Command, d Decision, why string) {
	d = Decision{ID: id, Maker: si.Actor(q.Maker), Checker: si.Actor(q.Checker), Reference: q.Reference}
	if q.Reference == "" || len(q.Reference) > maxReference || !printable(q.Reference) {
		return nil, d, "reference: 1 to 20 printable characters, the bank's number of the paper"
	}
	switch q.Ending {
	case EndingPaid:
		date, err := si.ParseDate(q.BankDate)
		if err != nil {
			return nil, d, "bank_date: " + err.Error()
		}
		d.State = ledgerapi.PayPosted
		return ledgerapi.Post{ID: id, Maker: d.Maker, Checker: d.Checker, Evidence: ledgerapi.Evidence{
			Source: ledgerapi.SourceDesk, Resp: [2]byte{'0', '0'}, HostSerial: q.Reference, BankDate: date}}, d, ""
	case EndingNotCharged:
		if q.BankDate != "" {
			return nil, d, "bank_date: belongs to paid"
		}
		d.State = ledgerapi.PayVoided
		return ledgerapi.Void{ID: id, Proof: ledgerapi.ProofDesk, Maker: d.Maker, Checker: d.Checker}, d, ""
	}
	return nil, d, "ending: paid or not-charged"
}

func printable(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
