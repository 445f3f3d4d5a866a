package operator

import (
	"net/http"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// PersonRequest names a person by ID number; the number goes no further than
// the HSM process.
type PersonRequest struct {
	IDNumber string `json:"id_number"`
	Days     int    `json:"days,omitempty"` // notice: valid for so many days
}

// DueView is a due as the operator sees it.
type DueView struct {
	ID      uint64 `json:"id"`
	Fund    string `json:"fund"`
	Period  string `json:"period"`
	Amount  int64  `json:"amount"`
	LateFee int64  `json:"late_fee"`
	State   string `json:"state"`
	HeldBy  string `json:"payment,omitempty"`
}

// PaymentView is a payment as the operator sees it.
type PaymentView struct {
	ID       string    `json:"id"`
	State    string    `json:"state"`
	Bank     uint8     `json:"bank"`
	Terminal uint32    `json:"terminal"`
	Total    int64     `json:"total"`
	STAN     uint32    `json:"stan"`
	RRN      string    `json:"rrn"`
	Receipt  string    `json:"receipt,omitempty"`
	Proof    uint8     `json:"proof,omitempty"`
	Resp     string    `json:"resp,omitempty"`
	Dues     []DueView `json:"dues"`
}

func (s *Server) personOf(w http.ResponseWriter, r *http.Request, q *PersonRequest) (ledgerapi.Person, bool) {
	if !read(w, r, q) {
		return ledgerapi.Person{}, false
	}
	id, err := si.ParseIDNumber(q.IDNumber)
	q.IDNumber = ""
	if err != nil {
		refuse(w, http.StatusBadRequest, "id_number: "+err.Error())
		return ledgerapi.Person{}, false
	}
	h, err := s.cfg.Sealer.HashIDs(r.Context(), []si.IDNumber{id})
	if err != nil {
		refuse(w, http.StatusServiceUnavailable, "the HSM process does not answer: "+err.Error())
		return ledgerapi.Person{}, false
	}
	p, ok := s.cfg.Register.Person(h[0])
	if !ok {
		refuse(w, http.StatusNotFound, "no such person on the register")
	}
	return p, ok
}

func (s *Server) notice(w http.ResponseWriter, r *http.Request) {
	var q PersonRequest
	p, ok := s.personOf(w, r, &q)
	if !ok {
		return
	}
	s.do(w, r, s.noticeOf(p.No, q.Days))
}

func (s *Server) duesOf(w http.ResponseWriter, r *http.Request) {
	var q PersonRequest
	if p, ok := s.personOf(w, r, &q); ok {
		reply(w, views(s.cfg.Register.DuesOf(p.No, si.DateOf(s.cfg.Now()))))
	}
}

func views(dues []ledgerapi.Due) []DueView {
	out := make([]DueView, len(dues))
	for i, d := range dues {
		out[i] = DueView{
			ID: uint64(d.Ref.ID), Fund: d.Fund.String(), Period: d.Period.String(), Amount: int64(d.Ref.Amount),
			LateFee: int64(d.Ref.LateFee), State: d.State.String(),
		}
		if !d.HeldBy.IsZero() {
			out[i].HeldBy = d.HeldBy.String()
		}
	}
	return out
}

func (s *Server) payment(w http.ResponseWriter, r *http.Request) {
	id, err := si.ParsePaymentID(r.PathValue("id"))
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	p, ok := s.cfg.Register.Payment(id)
	if !ok {
		refuse(w, http.StatusNotFound, "no such payment")
		return
	}
	reply(w, PaymentView{
		ID: p.ID.String(), State: p.State.String(), Bank: uint8(p.Bank), Terminal: uint32(p.Terminal),
		Total: int64(p.Total), STAN: p.STAN, RRN: string(p.RRN[:]), Receipt: p.Receipt.String(),
		Proof: uint8(p.Proof), Resp: string(p.Resp[:]), Dues: views(p.Dues),
	})
}
