package termsrv

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/termapi"
)

// Input and output shapes for huma: path, body, and nothing else.
type (
	bodyIn[T any]      struct{ Body T }
	out[T any]         struct{ Body T }
	sessionIn          struct{ PathSession }
	sessionBody[T any] struct {
		PathSession
		Body T
	}
	paymentIn          struct{ PathPayment }
	paymentBody[T any] struct {
		PathPayment
		Body T
	}
	// PathSession is the session id in a path; huma fills exported fields only.
	PathSession struct {
		Session string `path:"session" pattern:"^[0-9a-f]{32}$" doc:"session id"`
	}
	// PathPayment is the payment id in a path.
	PathPayment struct {
		ID string `path:"id" pattern:"^[0-9a-f]{32}$" doc:"payment id made by the terminal"`
	}
	empty struct{}
)

// route registers one call. do answers a *failure for a refusal.
func route[I, O any](s *Server, method, path, id, doc string, do func(context.Context, *I) (O, *failure)) {
	huma.Register(s.api, huma.Operation{
		OperationID: id, Method: method, Path: path, Summary: doc, MaxBodyBytes: MaxBody,
		DefaultStatus: http.StatusOK,
		Errors:        []int{400, 403, 404, 409, 421, 422, 429, 503},
	}, func(ctx context.Context, in *I) (*out[O], error) {
		o, f := do(ctx, in)
		if f != nil {
			return nil, f
		}
		return &out[O]{o}, nil
	})
}

func (s *Server) routes() {
	route(s, http.MethodPost, "/v1/sessions", "open-session",
		"Opens a session for the card in the slot; nothing of its record is answered.", s.openSession)
	route(s, http.MethodDelete, "/v1/sessions/{session}", "end-session",
		"Ends a session: the card is out.", s.endSession)
	route(s, http.MethodPost, "/v1/sessions/{session}/pin", "prove-pin",
		"Has the card's bank judge the PIN.", s.provePIN)
	route(s, http.MethodGet, "/v1/sessions/{session}/overview", "overview",
		"The first look at the person's record.", s.overview)
	route(s, http.MethodGet, "/v1/sessions/{session}/dues", "dues",
		"What the person owes, oldest first in each insurance type.", s.dues)
	route(s, http.MethodGet, "/v1/sessions/{session}/receipts", "receipts",
		"Receipts of the person's posted payments, newest first, from any channel.", s.receipts)
	route(s, http.MethodPost, "/v1/payments", "pay",
		"Pays several dues by one debit, all or nothing. Answers at the ending, or PENDING.", s.pay)
	route(s, http.MethodGet, "/v1/payments/{id}", "payment",
		"What is known of a payment that this terminal made.", s.payment)
	route(s, http.MethodPost, "/v1/payments/{id}/close", "close-payment",
		"Closes an id: one the hub never saw is refused for ever.", s.closePayment)
	route(s, http.MethodPost, "/v1/payments/{id}/card-outcome", "card-outcome",
		"The card's last word about a payment.", s.cardOutcome)
	route(s, http.MethodPost, "/v1/journal", "journal",
		"Uploads records of the terminal's journal in order.", s.journal)
	route(s, http.MethodPost, "/v1/heartbeat", "heartbeat",
		"The terminal's state for the hub's clock and configuration.", s.heartbeat)
}

func (s *Server) journal(ctx context.Context, in *bodyIn[termapi.JournalBatch]) (termapi.JournalAck, *failure) {
	if len(in.Body.Records) > 500 {
		return termapi.JournalAck{}, problem(http.StatusBadRequest, termapi.ErrForm, "at most 500 records at a time")
	}
	size := 0
	for _, r := range in.Body.Records {
		size += len(r)
	}
	if !s.guard.of(caller(ctx)).journal.AllowN(s.cfg.Now(), size) {
		return termapi.JournalAck{}, problem(http.StatusTooManyRequests, termapi.ErrTooMany, "too much journal from this terminal; go on later")
	}
	head, err := s.cfg.Journal(caller(ctx), in.Body.First, in.Body.Records)
	if err != nil {
		return termapi.JournalAck{}, problem(http.StatusConflict, termapi.ErrForm, "the records do not follow those held here")
	}
	return termapi.JournalAck{Head: head}, nil
}

func (s *Server) heartbeat(_ context.Context, _ *bodyIn[termapi.Heartbeat]) (termapi.HeartbeatAck, *failure) {
	c := s.cfg.Directory.TerminalConfig()
	for i := range c.Banks {
		if f, ok := s.bankByCode(c.Banks[i].Code, c); ok {
			c.Banks[i].Up = s.cfg.Bank.BankUp(f)
		}
	}
	return termapi.HeartbeatAck{AtMillis: s.cfg.Now().UnixMilli(), Config: c}, nil
}

// bankByCode finds a bank's number through one of its IINs.
func (s *Server) bankByCode(code string, c termapi.Config) (si.Bank, bool) {
	for n := si.Bank(1); n != 0; n++ {
		f, ok := s.cfg.Directory.BankByNumber(n)
		if ok && f.Info.Code == code {
			return n, true
		}
		if int(n) >= MaxBanks {
			break
		}
	}
	return 0, false
}

// MaxBanks is how many banks one region may have: the model district has four.
const MaxBanks = 64
