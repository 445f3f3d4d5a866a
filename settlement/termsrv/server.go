package termsrv

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/shebao-pay/shebao/settlement/engine"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/hsmapi"
	"github.com/shebao-pay/shebao/si/ledgerapi"
	"github.com/shebao-pay/shebao/si/termapi"
)

// Limits of the terminal API.
const (
	// MaxBody bounds a request: a journal batch of 500 records is the largest.
	MaxBody = 1 << 20
	// SessionIdle is how long a session lives without a call: longer than any
	// screen of a terminal waits.
	SessionIdle = 10 * time.Minute
	// MaxSessions bounds the sessions of one node: one per terminal is normal,
	// so this is room for four thousand terminals that never close theirs.
	MaxSessions = 4096
	// WrongPINsPerDay is how many wrong PINs a card may have in a day before
	// the hub asks no bank any more.
	WrongPINsPerDay = 3
	// MaxSkew is the clock difference beyond which a terminal may not pay.
	MaxSkew = time.Minute
	// CallsPerSecond and CallBurst bound what one terminal may ask: a person
	// presses a few buttons a minute, the program behind them asks a few calls.
	CallsPerSecond = 50
	CallBurst      = 200
	// ClosesPerSecond and CloseBurst bound the ids that one terminal may have
	// closed: each stays in the ledger. It asks for one at a time, for as many
	// after an outage as it may leave open.
	ClosesPerSecond = 1
	CloseBurst      = 256
	// JournalPerSecond and JournalBurst bound what one terminal may upload, in
	// bytes: 700 MB a day, far above what citizens can make it write, and what
	// gathered in an outage at once.
	JournalPerSecond = 8 << 10
	JournalBurst     = 8 << 20
)

// Bank is the money side's way to a card's bank.
type Bank interface {
	BankUp(si.Bank) bool
	Prove(context.Context, engine.Proof) (engine.ProofAnswer, error)
}

// Payments is the money side's way to a payment.
type Payments interface {
	Pay(context.Context, engine.Intent) (engine.Answer, error)
	State(context.Context, si.PaymentID) (engine.Answer, error)
	Close(context.Context, si.PaymentID) error
}

// Outcomes takes the card's last word about a payment.
type Outcomes interface {
	CardOutcome(context.Context, si.PaymentID, engine.CardOutcome, []byte) error
}

// Cards opens card envelopes and the names of persons inside the HSM process.
type Cards interface {
	OpenCard(context.Context, hsmapi.OpenCard) (hsmapi.CardOpened, error)
	OpenPerson(context.Context, []byte) (hsmapi.PersonView, error)
}

// Persons is the register: who, with which cards, owing what.
type Persons interface {
	Person(si.Hash) (ledgerapi.Person, bool)
	Cards(si.PersonNo) []ledgerapi.Card
	// DuesOf lists a person's dues with the late fees of that date.
	DuesOf(p si.PersonNo, on si.BusinessDate) []ledgerapi.Due
}

// Records is what was paid, and by which terminal.
type Records interface {
	Payment(si.PaymentID) (ledgerapi.Payment, bool)
	PaymentsOf(si.PersonNo, int) []ledgerapi.Payment
	Terminal(si.Terminal) (ledgerapi.PutTerminal, bool)
}

// BankFacts is a bank as this API needs it.
type BankFacts struct {
	Number      si.Bank
	Info        termapi.BankInfo
	Beneficiary bool // the region has an account there
}

// Directory is the business data behind the terminals' configuration. It is
// asked at each use, so a new version of the data is served at once.
type Directory interface {
	TerminalConfig() termapi.Config
	BankByIIN(pan si.PAN) (BankFacts, bool)
	BankByNumber(si.Bank) (BankFacts, bool)
}

// Config ties a server to the rest of the node.
type Config struct {
	Bank      Bank
	Payments  Payments
	Outcomes  Outcomes
	Cards     Cards
	Persons   Persons
	Records   Records
	Directory Directory
	Journal   func(terminal si.Terminal, first uint64, records [][]byte) (head uint64, err error)
	Area      si.AreaCode
	AllowSkip func() bool              // may a newer due be paid before an older one of its fund
	PINFormat func(si.Terminal) string // "4" or "0"
	Ready     func() error             // why nothing may be served now, nil if it may
	Leader    func() (address string, here bool)
	Now       func() time.Time
	Random    func([]byte) // session ids
}

// Server is the terminal API of one node.
type Server struct {
	cfg      Config
	mux      *http.ServeMux
	api      huma.API
	sessions sessions
	guard    guard
	marks    marks
}

// New makes the server; Handler serves it.
func New(cfg Config) *Server {
	s := &Server{cfg: cfg, mux: http.NewServeMux()}
	s.sessions.byID = map[sessionID]*session{}
	s.guard.wrong, s.guard.asking = map[si.Hash]int{}, map[si.Hash]int{}
	s.guard.terminals = map[si.Terminal]*allowance{}
	hc := huma.DefaultConfig("shebao terminal API", "1.0.0")
	hc.OpenAPIPath, hc.DocsPath, hc.SchemasPath = "", "", ""
	hc.CreateHooks = nil // no $schema links: bodies are exactly si/termapi
	hc.Info.Description = "Calls of a self-service terminal to the hub. Mutual TLS 1.3; the terminal is the certificate."
	s.api = humago.New(s.mux, hc)
	s.routes()
	return s
}

// OpenAPI writes the description of every call.
func (s *Server) OpenAPI() ([]byte, error) { return s.api.OpenAPI().MarshalJSON() }

// Handler serves the API behind the identity, leader and size checks.
func (s *Server) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		if addr, here := s.cfg.Leader(); !here {
			NotLeading(w, addr)
			return
		}
		t, p := s.identify(r)
		if p == nil && !s.guard.of(t).calls.AllowN(s.cfg.Now(), 1) {
			p = problem(http.StatusTooManyRequests, termapi.ErrTooMany, "too many calls from this terminal; wait a second")
		}
		if p == nil {
			if err := s.cfg.Ready(); err != nil {
				p = problem(http.StatusServiceUnavailable, termapi.ErrUnavailable, err.Error())
			}
		}
		if p != nil {
			writeProblem(w, p)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, MaxBody)
		s.mux.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), terminalKey{}, t)))
	})
}

type terminalKey struct{}

// caller is the terminal that asks; Handler has put it there.
func caller(ctx context.Context) si.Terminal {
	t, _ := ctx.Value(terminalKey{}).(si.Terminal)
	return t
}

// identify finds the terminal by its certificate: the name gives the number,
// the hash in the terminal's record decides.
func (s *Server) identify(r *http.Request) (si.Terminal, *failure) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return 0, problem(http.StatusUnauthorized, termapi.ErrNotYours, "a terminal certificate is needed")
	}
	cert := r.TLS.PeerCertificates[0]
	n, ok := terminalNumber(cert.Subject.CommonName)
	if !ok {
		return 0, problem(http.StatusForbidden, termapi.ErrNotYours, "the certificate is not a terminal's")
	}
	rec, ok := s.cfg.Records.Terminal(n)
	if !ok || rec.CertHash != sha256.Sum256(cert.Raw) {
		return 0, problem(http.StatusForbidden, termapi.ErrNotYours, "the certificate is not the one on this terminal's record")
	}
	if rec.State != ledgerapi.TerminalInService && rec.State != ledgerapi.TerminalLocked {
		return 0, problem(http.StatusForbidden, termapi.ErrOutOfService, "this terminal is not in service")
	}
	return n, nil
}

// TerminalName is the certificate name of a terminal: terminal-7.
func TerminalName(t si.Terminal) string { return "terminal-" + decimal(uint64(t)) }

func terminalNumber(name string) (si.Terminal, bool) {
	digits, ok := strings.CutPrefix(name, "terminal-")
	n, valid := parseDecimal(digits, 1<<32-1)
	return si.Terminal(n), ok && valid && n != 0
}

// errOf turns an error of the money side or the HSM into an answer.
func errOf(err error) *failure {
	switch {
	case errors.Is(err, hsmapi.ErrEnvelope), errors.Is(err, hsmapi.ErrReplayed), errors.Is(err, hsmapi.ErrForm):
		return problem(http.StatusBadRequest, termapi.ErrEnvelope, "the card envelope was refused; read the card again")
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return problem(http.StatusGatewayTimeout, termapi.ErrUnavailable, "no answer in time; ask for the payment by its id")
	}
	return problem(http.StatusServiceUnavailable, termapi.ErrUnavailable, "the hub cannot do this now")
}
