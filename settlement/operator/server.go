package operator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/hsmapi"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// MaxRequest bounds a JSON request, in bytes; an upload is streamed and has the
// bounds of package sheet.
const MaxRequest = 512 << 10

// inFlight is how many commands an import keeps under way: two full commits.
const inFlight = 2000

// Ledger takes commands.
type Ledger interface {
	Submit(c ledgerapi.Command, actor si.Actor, done func(ledgerapi.Result, error))
	Do(ctx context.Context, c ledgerapi.Command) (ledgerapi.Result, error)
}

// Register answers what the operator asks about.
type Register interface {
	Person(si.Hash) (ledgerapi.Person, bool)
	PersonByNo(si.PersonNo) (ledgerapi.Person, bool)
	DuesOf(p si.PersonNo, on si.BusinessDate) []ledgerapi.Due
	Payment(si.PaymentID) (ledgerapi.Payment, bool)
	NoticeByNo(no si.NoticeNo, on si.BusinessDate) (ledgerapi.NoticeView, bool)
	Config(kind ledgerapi.ConfigKind, name string, on si.BusinessDate) (ledgerapi.Config, bool)
}

// Sealer hides personal data before it goes anywhere.
type Sealer interface {
	SealPersons(ctx context.Context, in []hsmapi.PersonRecord) ([]hsmapi.SealedPerson, error)
	HashCards(ctx context.Context, in []hsmapi.CardRecord) ([]hsmapi.CardHashes, error)
	HashIDs(ctx context.Context, in []si.IDNumber) ([]si.Hash, error)
	OpenPersons(ctx context.Context, blobs [][]byte) ([]hsmapi.PersonView, error)
	RevisePersons(ctx context.Context, in []hsmapi.PersonRevision) ([]hsmapi.PersonRevised, error)
}

// Config ties the door to the node.
type Config struct {
	Ledger   Ledger
	Register Register
	Sealer   Sealer
	Node     Node // nil for a node that always leads and is asked nothing
	Status   func() Status
	Banks    func(code string) (si.Bank, bool) // by profile code
	Stage    string                            // folder for files under check, without names; the system's if empty
	Agency   func() Agency                     // without its offices: they are in the ledger; nil: nameless
	Pending  func() []PendingView              // oldest first; nil: none
	Decided  func(Decision)                    // hears of each decision that the ledger took; nil: nobody
	Now      func() time.Time
	Random   func([]byte)
}

// Status is what shebaoctl health prints.
type Status struct {
	Version string            `json:"version"`
	Area    string            `json:"area"`
	Leader  bool              `json:"leader"`
	Applied uint64            `json:"applied"`
	Head    string            `json:"head"`
	Pending int               `json:"pending"`
	Banks   map[string]string `json:"banks"`
}

// Outcome is the last line of an import.
type Outcome struct {
	OK      bool           `json:"ok"`
	Done    int            `json:"done"`
	Made    int            `json:"made"`   // commands that changed something
	Exists  int            `json:"exists"` // were there already, the same
	Refused int            `json:"refused"`
	Codes   map[string]int `json:"codes,omitempty"` // refusals by result code
	Lines   []string       `json:"lines,omitempty"` // those that do not fit, at most 100, never what stands there
	Error   string         `json:"error,omitempty"` // why nothing or not everything was made
}

// Server serves the socket.
type Server struct {
	cfg Config
	mux *http.ServeMux
}

// New makes the server.
func New(cfg Config) *Server {
	if cfg.Agency == nil {
		cfg.Agency = func() Agency { return Agency{} }
	}
	if cfg.Pending == nil {
		cfg.Pending = func() []PendingView { return nil }
	}
	if cfg.Decided == nil {
		cfg.Decided = func(Decision) {}
	}
	s := &Server{cfg: cfg, mux: http.NewServeMux()}
	s.mux.HandleFunc("GET /v1/status", s.status)
	s.mux.HandleFunc("POST /v1/config", s.putConfig)
	s.mux.HandleFunc("POST /v1/terminal", s.putTerminal)
	s.mux.HandleFunc("POST /v1/import/persons", s.importPersons)
	s.mux.HandleFunc("POST /v1/import/cards", s.importCards)
	s.mux.HandleFunc("POST /v1/import/enrolments", s.importEnrolments)
	s.mux.HandleFunc("POST /v1/compare/register", s.compareRegister)
	s.mux.HandleFunc("POST /v1/compare/apply", s.applyProposal)
	s.mux.HandleFunc("POST /v1/assess", s.assess)
	s.mux.HandleFunc("POST /v1/notice", s.notice)
	s.mux.HandleFunc("POST /v1/notices", s.notices)
	s.mux.HandleFunc("GET /v1/agency", s.agency)
	s.mux.HandleFunc("GET /v1/pending", s.pending)
	s.mux.HandleFunc("POST /v1/pending/{id}", s.decide)
	s.mux.HandleFunc("POST /v1/dues", s.duesOf)
	s.mux.HandleFunc("GET /v1/payments/{id}", s.payment)
	if cfg.Node != nil {
		s.clusterRoutes()
	}
	return s
}

// Listen opens the socket with mode 0600; a stale one of a dead node is removed.
func Listen(path string) (net.Listener, error) {
	if c, err := net.Dial("unix", path); err == nil {
		_ = c.Close()
		return nil, fmt.Errorf("operator: %s: another node already serves this socket", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("operator: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("operator: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("operator: %w", err)
	}
	return l, nil
}

// Handler serves the calls.
func (s *Server) Handler() http.Handler { return s.leading(s.mux) }

func (s *Server) status(w http.ResponseWriter, _ *http.Request) { reply(w, s.cfg.Status()) }

// ConfigRequest puts one version of business data.
type ConfigRequest struct {
	ID      string `json:"id"` // 32 hex made by the caller; a resend repeats it
	Kind    string `json:"kind"`
	Name    string `json:"name"`
	From    string `json:"from"`
	Body    []byte `json:"body"`
	Maker   uint32 `json:"maker"`
	Checker uint32 `json:"checker"`
}

var configKinds = map[string]ledgerapi.ConfigKind{
	"bank-profile": ledgerapi.ConfigBankProfile, "iin-table": ledgerapi.ConfigIINTable,
	"bank-facts": ledgerapi.ConfigBankFacts, "rates": ledgerapi.ConfigRates,
	"offices": ledgerapi.ConfigOffices, "calendar": ledgerapi.ConfigCalendar,
	"cover": ledgerapi.ConfigCover,
}

// Answer is a ledger result as JSON.
type Answer struct {
	Code    string `json:"code"`
	First   string `json:"first,omitempty"`
	Version uint32 `json:"version,omitempty"`
	Person  uint32 `json:"person,omitempty"`
	Notice  string `json:"notice,omitempty"`
	Total   int64  `json:"total,omitempty"`
}

func answer(r ledgerapi.Result) Answer {
	a := Answer{Code: r.Code.String(), Version: r.Version, Person: uint32(r.Person), Total: int64(r.Total)}
	if r.First != 0 {
		a.First = r.First.String()
	}
	if r.Notice != 0 {
		a.Notice = r.Notice.String()
	}
	return a
}

func (s *Server) putConfig(w http.ResponseWriter, r *http.Request) {
	var q ConfigRequest
	if !read(w, r, &q) {
		return
	}
	id, err := si.ParsePaymentID(q.ID)
	if err != nil {
		refuse(w, http.StatusBadRequest, "id: "+err.Error())
		return
	}
	kind, ok := configKinds[q.Kind]
	if !ok {
		refuse(w, http.StatusBadRequest, "kind: none of bank-profile, iin-table, bank-facts, rates, offices, calendar, cover")
		return
	}
	from, err := si.ParseDate(q.From)
	if err != nil {
		refuse(w, http.StatusBadRequest, "from: "+err.Error())
		return
	}
	if kind == ledgerapi.ConfigOffices {
		if _, err := ParseOffices(q.Body); err != nil {
			refuse(w, http.StatusBadRequest, err.Error())
			return
		}
	}
	s.do(w, r, ledgerapi.PutConfig{
		ID: id, Kind: kind, Name: q.Name, From: from, Body: q.Body,
		Maker: si.Actor(q.Maker), Checker: si.Actor(q.Checker),
	})
}

// TerminalRequest writes a terminal's record.
type TerminalRequest struct {
	ID       string `json:"id"`
	Terminal uint32 `json:"terminal"`
	Bank     string `json:"bank"`
	Outlet   string `json:"outlet"`
	CertHash []byte `json:"cert_hash"` // SHA-256 of the certificate
	State    string `json:"state"`     // new, in-service, locked, retired, revoked
}

var terminalStates = map[string]ledgerapi.TerminalState{
	"new": ledgerapi.TerminalNew, "in-service": ledgerapi.TerminalInService,
	"locked": ledgerapi.TerminalLocked, "retired": ledgerapi.TerminalRetired, "revoked": ledgerapi.TerminalRevoked,
}

func (s *Server) putTerminal(w http.ResponseWriter, r *http.Request) {
	var q TerminalRequest
	if !read(w, r, &q) {
		return
	}
	id, err := si.ParsePaymentID(q.ID)
	bank, known := s.cfg.Banks(q.Bank)
	state, ok := terminalStates[q.State]
	if err != nil || !known || !ok || len(q.CertHash) != 32 || q.Terminal == 0 {
		refuse(w, http.StatusBadRequest, "id, terminal number, bank code, state or certificate hash does not fit")
		return
	}
	c := ledgerapi.PutTerminal{ID: id, Terminal: si.Terminal(q.Terminal), Bank: bank, Outlet: q.Outlet, State: state}
	copy(c.CertHash[:], q.CertHash)
	s.do(w, r, c)
}

// do runs one command and writes its result.
func (s *Server) do(w http.ResponseWriter, r *http.Request, c ledgerapi.Command) {
	res, err := s.cfg.Ledger.Do(r.Context(), c)
	if err != nil {
		refuse(w, http.StatusServiceUnavailable, "the outcome is not known: "+err.Error()+"; ask again with the same id")
		return
	}
	reply(w, answer(res))
}

func read(w http.ResponseWriter, r *http.Request, into any) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, MaxRequest))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		refuse(w, http.StatusBadRequest, "request does not fit: "+err.Error())
		return false
	}
	return true
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the peer may be gone
}

func refuse(w http.ResponseWriter, status int, why string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": why})
}
