package load

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shebao-pay/shebao/cardauth/envelope"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/termapi"
	"github.com/shebao-pay/shebao/simulators/chipcard"
	"github.com/shebao-pay/shebao/simulators/pinpad"
)

// api is a hub that knows each card by its session and has three dues for it.
type api struct {
	t       *testing.T
	public  []byte
	mu      sync.Mutex
	next    int
	highest map[string]uint64
	paid    map[string]termapi.PaymentState
	words   map[string]int
	// pay changes an answer; nil answers POSTED.
	pay func(n int, st *termapi.PaymentState) (status int)
}

func newAPI(t *testing.T) (*api, *httptest.Server) {
	t.Helper()
	_, public, err := envelope.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	a := &api{t: t, public: public, highest: map[string]uint64{},
		paid: map[string]termapi.PaymentState{}, words: map[string]int{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/heartbeat", func(w http.ResponseWriter, _ *http.Request) {
		a.say(w, 200, termapi.HeartbeatAck{Config: termapi.Config{Areas: []string{"33"}, EnvelopeKey: a.public,
			IINs: []termapi.IIN{{Prefix: "62990001", Bank: "rcb"}}}})
	})
	mux.HandleFunc("POST /v1/sessions", a.open)
	mux.HandleFunc("DELETE /v1/sessions/{id}", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })
	mux.HandleFunc("POST /v1/sessions/{id}/pin", func(w http.ResponseWriter, r *http.Request) {
		var q termapi.PINProof
		a.read(r, &q)
		a.auth(r.PathValue("id"), &q.Auth)
		a.say(w, 200, termapi.PINProofResult{Result: termapi.PINProven})
	})
	mux.HandleFunc("GET /v1/sessions/{id}/dues", func(w http.ResponseWriter, _ *http.Request) {
		a.say(w, 200, termapi.Dues{Dues: []termapi.Due{
			{ID: "1", Version: 1, Amount: 51_000, Payable: true}, {ID: "2", Version: 1, Amount: 100, Payable: false},
			{ID: "3", Version: 1, Amount: 48_000, LateFee: 12, Payable: true}}})
	})
	mux.HandleFunc("POST /v1/payments", a.payment)
	mux.HandleFunc("GET /v1/payments/{id}", func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		st, ok := a.paid[r.PathValue("id")]
		a.mu.Unlock()
		if !ok {
			a.say(w, 404, termapi.Problem{Code: termapi.ErrNotFound})
			return
		}
		a.say(w, 200, st)
	})
	mux.HandleFunc("POST /v1/payments/{id}/close", func(w http.ResponseWriter, r *http.Request) {
		a.say(w, 200, termapi.PaymentState{ID: r.PathValue("id"), State: termapi.PaymentNotCharged})
	})
	mux.HandleFunc("POST /v1/payments/{id}/card-outcome", func(w http.ResponseWriter, r *http.Request) {
		var o termapi.CardOutcome
		a.read(r, &o)
		a.mu.Lock()
		a.words[o.Outcome]++
		a.mu.Unlock()
		w.WriteHeader(204)
	})
	s := httptest.NewUnstartedServer(mux)
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	return a, s
}

func (a *api) say(w http.ResponseWriter, status int, v any) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func (a *api) read(r *http.Request, v any) {
	if err := json.NewDecoder(r.Body).Decode(v); err != nil {
		a.t.Error(err)
	}
	if r.ProtoMajor != 2 {
		a.t.Errorf("the call came over %s, want HTTP/2", r.Proto)
	}
}

func (a *api) open(w http.ResponseWriter, r *http.Request) {
	var q termapi.Session
	a.read(r, &q)
	a.mu.Lock()
	a.next++
	id := fmt.Sprintf("%032x", a.next)
	a.mu.Unlock()
	if b, err := hex.DecodeString(q.CardSession); err != nil || len(b) != 16 {
		a.t.Errorf("card session %q is not 32 hexadecimal digits", q.CardSession)
	}
	a.auth(id, &termapi.CardAuth{Counter: q.Counter, Envelope: q.Envelope})
	a.say(w, 200, termapi.SessionOpened{Session: id, Bank: "rcb", BankUp: true, PINFormat: "4"})
}

// auth holds envelope counters to rising and the rest to being there.
func (a *api) auth(session string, c *termapi.CardAuth) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if c.Counter <= a.highest[session] || len(c.Envelope) != envelope.Size {
		a.t.Errorf("counter %d after %d, envelope of %d bytes", c.Counter, a.highest[session], len(c.Envelope))
	}
	a.highest[session] = c.Counter
}

func (a *api) payment(w http.ResponseWriter, r *http.Request) {
	var q termapi.Payment
	a.read(r, &q)
	a.auth(q.Session, &q.Auth)
	if len(q.Auth.PINBlock) != 16 || len(q.Auth.DE55) == 0 || len(q.Dues) != 1 || q.Total != q.Dues[0].Amount+q.Dues[0].LateFee {
		a.t.Errorf("payment of %d for %+v with PIN block of %d bytes, DE 55 of %d", q.Total, q.Dues, len(q.Auth.PINBlock), len(q.Auth.DE55))
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	n := len(a.paid)
	st := termapi.PaymentState{ID: q.ID, State: termapi.PaymentPosted, Total: q.Total, Receipt: &termapi.Receipt{No: fmt.Sprint(n)}}
	a.paid[q.ID] = st
	status := 200
	if a.pay != nil {
		status = a.pay(n, &st)
	}
	if status != 200 {
		a.say(w, status, termapi.Problem{Code: termapi.ErrDueConflict})
		return
	}
	a.say(w, 200, st)
}

func terminals(t *testing.T, s *httptest.Server, kiosks, cards int) TerminalConfig {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	var mu sync.Mutex
	n := 0
	cfg := TerminalConfig{
		URLs: []string{s.URL}, Duration: 20 * time.Second, Grace: time.Second,
		NextCard: func() (chipcard.Data, string, bool) {
			mu.Lock()
			defer mu.Unlock()
			n++
			return chipcard.Example(n), "123456", n <= cards
		},
	}
	for i := range kiosks {
		cfg.Kiosks = append(cfg.Kiosks, Kiosk{
			Terminal: si.Terminal(i + 1), PINKey: fmt.Sprintf("terminal/%d/tpk", i+1),
			TLS: &tls.Config{RootCAs: roots, ServerName: "example.com", MinVersion: tls.VersionTLS13},
			PINBlock: func(pan si.PAN, pin string) (si.PINBlock, error) {
				return pinpad.Block(si.PINFormat4AES, []byte("terminal pin key, 32 bytes long!"), pan, pin)
			},
		})
	}
	return cfg
}

func TestTerminals(t *testing.T) {
	a, s := newAPI(t)
	rep, err := Terminals(t.Context(), terminals(t, s, 3, 10))
	if err != nil {
		t.Fatal(err)
	}
	if rep.Payments != 20 || rep.Errors != 0 || len(a.paid) != 20 || rep.P50 <= 0 {
		t.Errorf("report %+v, want two payments for each of ten cards", rep)
	}
	words := 0
	for _, n := range a.words {
		words += n
	}
	if words != 20 || a.next != 10 {
		t.Errorf("%d last words in %d sessions, want 20 in 10", words, a.next)
	}
}

// TestTerminalEndings meets a payment that is pending first, one that is refused,
// one that was not charged, one without a receipt and one with another's.
func TestTerminalEndings(t *testing.T) {
	a, s := newAPI(t)
	a.pay = func(n int, st *termapi.PaymentState) int {
		switch n {
		case 0:
			st.State, st.Receipt = termapi.PaymentPending, nil // GET answers POSTED
		case 1:
			return http.StatusConflict
		case 2:
			st.State, st.Reason = termapi.PaymentNotCharged, termapi.ReasonFunds
		case 3:
			st.Receipt = nil
		case 4:
			st.Receipt = &termapi.Receipt{No: "5"}
		}
		return http.StatusOK
	}
	cfg := terminals(t, s, 1, 4)
	rep, err := Terminals(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	faults := strings.Join(rep.Faults, "\n")
	if rep.Payments != 4 || rep.Errors != 4 || rep.AskedAgain != 1 || rep.Refused[termapi.ErrDueConflict] != 1 ||
		rep.Refused["NOT_CHARGED FUNDS"] != 1 || !strings.Contains(faults, "has no receipt") || !strings.Contains(faults, "receipt of another") {
		t.Errorf("report %+v", rep)
	}
}

func TestTerminalBounds(t *testing.T) {
	_, s := newAPI(t)
	for name, change := range map[string]func(*TerminalConfig){
		"no kiosk": func(c *TerminalConfig) { c.Kiosks = nil },
		"too many": func(c *TerminalConfig) {
			for len(c.Kiosks) <= maxKiosks {
				k := c.Kiosks[0]
				k.Terminal = si.Terminal(len(c.Kiosks) + 1)
				c.Kiosks = append(c.Kiosks, k)
			}
		},
		"no certificate": func(c *TerminalConfig) { c.Kiosks[0].TLS = nil },
		"no PIN blocks":  func(c *TerminalConfig) { c.Kiosks[0].PINBlock = nil },
		"one twice":      func(c *TerminalConfig) { c.Kiosks = append(c.Kiosks, c.Kiosks[0]) },
		"no time":        func(c *TerminalConfig) { c.Duration = 0 }, "no cards": func(c *TerminalConfig) { c.NextCard = nil },
		"no hub":     func(c *TerminalConfig) { c.URLs = []string{"https://127.0.0.1:1"} },
		"no address": func(c *TerminalConfig) { c.URLs = nil },
	} {
		cfg := terminals(t, s, 1, 1)
		change(&cfg)
		if _, err := Terminals(t.Context(), cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestTurn has a kiosk stay within what the hub takes of one terminal: a burst at
// once, then an even rate, and nothing after the end.
func TestTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		k := kiosk{fleet: &fleet{stop: stop}}
		began := time.Now()
		for range callBurst {
			if !k.turn(1) {
				t.Fatal("over within the burst")
			}
		}
		if d := time.Since(began); d != 0 {
			t.Errorf("a burst of %d calls took %s, want no time", callBurst, d)
		}
		for range callsPerSecond {
			if !k.turn(1) {
				t.Fatal("over within a second")
			}
		}
		if d := time.Since(began); d < time.Second-time.Microsecond || d > time.Second {
			t.Errorf("%d calls after the burst took %s, want a second", callsPerSecond, d)
		}
		for k.turn(paymentCalls) {
		}
		if d := time.Since(began); d != 10*time.Second {
			t.Errorf("the last turn ended after %s, want the end of the run at 10 s", d)
		}
	})
}
