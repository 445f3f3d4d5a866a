package hub

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/termapi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pki is a throw-away authority with a hub's and a terminal's certificate.
type pki struct {
	roots    *x509.CertPool
	node     tls.Certificate
	terminal tls.Certificate
}

func newPKI(t testing.TB) pki {
	t.Helper()
	key := newKey(t)
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	root, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	p := pki{roots: x509.NewCertPool()}
	p.roots.AddCert(root)
	issue := func(n int64, name string, use x509.ExtKeyUsage) tls.Certificate {
		k := newKey(t)
		c := &x509.Certificate{SerialNumber: big.NewInt(n), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
			NotBefore: ca.NotBefore, NotAfter: ca.NotAfter, ExtKeyUsage: []x509.ExtKeyUsage{use}, KeyUsage: x509.KeyUsageDigitalSignature}
		der, err := x509.CreateCertificate(rand.Reader, c, root, &k.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: k}
	}
	p.node = issue(2, "hub", x509.ExtKeyUsageServerAuth)
	p.terminal = issue(3, "terminal-1", x509.ExtKeyUsageClientAuth)
	return p
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// hubNode serves h as a hub node does.
func (p pki) hubNode(t testing.TB, h http.HandlerFunc) string { return p.serve(t, h, tls.VersionTLS13) }

func (p pki) serve(t testing.TB, h http.HandlerFunc, version uint16) string {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.EnableHTTP2 = true
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{p.node}, ClientCAs: p.roots,
		ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: version, MaxVersion: version}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// dead is an address that refuses connections.
func dead(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (p pki) client(t testing.TB, addrs ...string) *Client {
	t.Helper()
	c, err := New(Config{Addrs: addrs, ServerName: "hub", Roots: p.roots, Cert: p.terminal, Read: 2 * time.Second, Pay: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func answer(w http.ResponseWriter, status int, v any) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func refuse(w http.ResponseWriter, status int, code, leader string) {
	answer(w, status, termapi.Problem{Status: status, Code: code, Leader: leader})
}

var payID = si.PaymentID{1, 2, 3}

func wantKind(t *testing.T, what string, err error, kind Kind, code string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Kind != kind || e.Code != code {
		t.Errorf("%s: %v, want kind %d code %q", what, err, kind, code)
	}
}

// TestCalls checks method, path and body of every call, over HTTP/2.
func TestCalls(t *testing.T) {
	p := newPKI(t)
	var got string
	addr := p.hubNode(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got = r.Proto + " " + r.Method + " " + r.URL.Path
		if len(b) > 0 && !json.Valid(b) {
			t.Errorf("%s: body %q", got, b)
		}
		if r.TLS.Version != tls.VersionTLS13 || len(r.TLS.PeerCertificates) != 1 {
			t.Errorf("%s: TLS %x with %d certificates", got, r.TLS.Version, len(r.TLS.PeerCertificates))
		}
		_, _ = io.WriteString(w, "{}")
	})
	c := p.client(t, addr)
	ctx := context.Background()
	id := strings.Repeat("a", 32)
	pay := "/v1/payments/" + payID.String()
	for want, call := range map[string]func() error{
		"POST /v1/sessions":                    func() error { _, err := c.Open(ctx, termapi.Session{}); return err },
		"DELETE /v1/sessions/" + id:            func() error { return c.Leave(ctx, id) },
		"POST /v1/sessions/" + id + "/pin":     func() error { _, err := c.Prove(ctx, id, termapi.PINProof{}); return err },
		"GET /v1/sessions/" + id + "/overview": func() error { _, err := c.Overview(ctx, id); return err },
		"GET /v1/sessions/" + id + "/dues":     func() error { _, err := c.Dues(ctx, id); return err },
		"GET /v1/sessions/" + id + "/receipts": func() error { _, err := c.Receipts(ctx, id); return err },
		"POST /v1/payments":                    func() error { _, err := c.Pay(ctx, termapi.Payment{}); return err },
		"GET " + pay:                           func() error { _, err := c.Payment(ctx, payID); return err },
		"POST " + pay + "/close":               func() error { _, err := c.ClosePayment(ctx, payID); return err },
		"POST " + pay + "/card-outcome":        func() error { _, err := c.CardOutcome(ctx, payID, termapi.CardOutcome{}); return err },
		"POST /v1/journal":                     func() error { _, err := c.Journal(ctx, termapi.JournalBatch{}); return err },
		"POST /v1/heartbeat":                   func() error { _, err := c.Heartbeat(ctx, termapi.Heartbeat{}); return err },
	} {
		if err := call(); err != nil || got != "HTTP/2.0 "+want {
			t.Errorf("got %q (%v), want %q", got, err, want)
		}
	}
	for _, bad := range []string{"", "../payments", strings.Repeat("a", 31) + "/"} {
		_, err := c.Dues(ctx, bad)
		wantKind(t, "session id "+bad, err, NotSent, "")
	}
}

// TestLeader follows a 421 to the node it names, and stays there.
func TestLeader(t *testing.T) {
	p := newPKI(t)
	var led, moved atomic.Int32
	leader := p.hubNode(t, func(w http.ResponseWriter, r *http.Request) { led.Add(1); answer(w, 200, termapi.Dues{MaxDues: 7}) })
	follower := p.hubNode(t, func(w http.ResponseWriter, r *http.Request) {
		moved.Add(1)
		refuse(w, http.StatusMisdirectedRequest, termapi.ErrNotLeader, leader)
	})
	c := p.client(t, dead(t), follower, leader)
	for range 2 {
		if d, err := c.Dues(context.Background(), strings.Repeat("0", 32)); err != nil || d.MaxDues != 7 {
			t.Fatalf("dues %+v, %v", d, err)
		}
	}
	if led.Load() != 2 || moved.Load() != 1 {
		t.Errorf("leader asked %d times, follower %d; want 2 and 1", led.Load(), moved.Load())
	}
	// A payment moves on as well: a node that does not lead did nothing.
	c = p.client(t, follower, leader)
	if _, err := c.Pay(context.Background(), termapi.Payment{}); err != nil {
		t.Errorf("payment over a follower: %v", err)
	}
}

// TestNobodyLeads ends, and proves that nothing was done.
func TestNobodyLeads(t *testing.T) {
	p := newPKI(t)
	var addrs [2]string
	var asked atomic.Int32
	for n := range addrs {
		addrs[n] = p.hubNode(t, func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			refuse(w, http.StatusMisdirectedRequest, termapi.ErrNotLeader, addrs[1-n])
		})
	}
	_, err := p.client(t, addrs[:]...).Pay(context.Background(), termapi.Payment{})
	wantKind(t, "two nodes that name each other", err, NotSent, "")
	if n := asked.Load(); n > int32(moves+len(addrs)) {
		t.Errorf("asked %d times", n)
	}
	_, err = p.client(t, dead(t), dead(t)).Pay(context.Background(), termapi.Payment{})
	wantKind(t, "all nodes dead", err, NotSent, "")
}

// TestPayIsSentOnce hangs up, stalls and answers nonsense: the payment is never
// sent again, and what is not known is called so.
func TestPayIsSentOnce(t *testing.T) {
	p := newPKI(t)
	for name, h := range map[string]http.HandlerFunc{
		"hang up":  func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"stall":    func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"not JSON": func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "ok") },
		"no code":  func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(503) },
		"redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
		"half an answer": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `{"id":"`)
		},
		"too long": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, `{"id":"`+strings.Repeat("0", MaxAnswer)+`"}`)
		},
	} {
		var asked atomic.Int32
		count := func(w http.ResponseWriter, r *http.Request) { asked.Add(1); h(w, r) }
		c := p.client(t, p.hubNode(t, count), p.hubNode(t, count))
		c.cfg.Pay = 300 * time.Millisecond
		_, err := c.Pay(context.Background(), termapi.Payment{ID: payID.String()})
		wantKind(t, name, err, Unknown, "")
		if n := asked.Load(); n != 1 {
			t.Errorf("%s: sent %d times, want once", name, n)
		}
	}
	c := p.client(t, p.hubNode(t, func(w http.ResponseWriter, r *http.Request) { refuse(w, 409, termapi.ErrDueConflict, "") }))
	_, err := c.Pay(context.Background(), termapi.Payment{})
	wantKind(t, "refused", err, Refused, termapi.ErrDueConflict)
}

// TestQuestionsAreRepeatedOnce asks another node when one hangs up.
func TestQuestionsAreRepeatedOnce(t *testing.T) {
	p := newPKI(t)
	var asked atomic.Int32
	bad := func(http.ResponseWriter, *http.Request) { asked.Add(1); panic(http.ErrAbortHandler) }
	good := p.hubNode(t, func(w http.ResponseWriter, r *http.Request) { answer(w, 200, termapi.PaymentState{State: "POSTED"}) })
	if s, err := p.client(t, p.hubNode(t, bad), good).Payment(context.Background(), payID); err != nil || s.State != "POSTED" {
		t.Errorf("second node: %+v, %v", s, err)
	}
	asked.Store(0)
	_, err := p.client(t, p.hubNode(t, bad)).Payment(context.Background(), payID)
	wantKind(t, "one bad node", err, Unknown, "")
	if n := asked.Load(); n != 2 {
		t.Errorf("asked %d times, want twice", n)
	}
}

// TestTLS refuses old versions, other authorities and callers without a name.
func TestTLS(t *testing.T) {
	p, other := newPKI(t), newPKI(t)
	hello := func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "{}") }
	ask := func(c *Client) error { _, err := c.Heartbeat(context.Background(), termapi.Heartbeat{}); return err }
	addr := p.hubNode(t, hello)
	if err := ask(p.client(t, addr)); err != nil {
		t.Fatalf("good client: %v", err)
	}
	wantKind(t, "TLS 1.2", ask(p.client(t, p.serve(t, hello, tls.VersionTLS12))), NotSent, "")
	wantKind(t, "hub of another authority", ask(other.client(t, addr)), NotSent, "")
	stranger := p
	stranger.terminal = other.terminal
	if err := ask(stranger.client(t, addr)); err == nil {
		t.Error("a terminal of another authority was served")
	}
	c, err := New(Config{Addrs: []string{addr}, ServerName: "another-hub", Roots: p.roots, Cert: p.terminal, Read: time.Second, Pay: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	wantKind(t, "hub of another name", ask(c), NotSent, "")
}

// TestConfig names what is missing, and takes the largest list of nodes.
func TestConfig(t *testing.T) {
	p := newPKI(t)
	good := Config{Addrs: make([]string, MaxNodes), Roots: p.roots, Cert: p.terminal, Read: 1, Pay: 1}
	if _, err := New(good); err != nil {
		t.Errorf("%d nodes: %v", MaxNodes, err)
	}
	for name, spoil := range map[string]func(*Config){
		"no address": func(c *Config) { c.Addrs = nil }, "too many": func(c *Config) { c.Addrs = make([]string, MaxNodes+1) },
		"no roots": func(c *Config) { c.Roots = nil }, "no certificate": func(c *Config) { c.Cert = tls.Certificate{} },
		"no time": func(c *Config) { c.Pay = 0 },
	} {
		bad := good
		spoil(&bad)
		if _, err := New(bad); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// FuzzRead feeds an answer's parser; it must say what it is or that it is
// unknown.
func FuzzRead(f *testing.F) {
	f.Add(200, []byte(`{"id":"00","state":"POSTED","total":1}`))
	f.Add(421, []byte(`{"status":421,"code":"NOT_LEADER","leader":"127.0.0.1:8710"}`))
	f.Add(503, []byte(`<html>`))
	f.Add(302, []byte(``))
	f.Fuzz(func(t *testing.T, status int, b []byte) {
		var out termapi.PaymentState
		p, err := read(status, b, &out)
		if p != nil && (err != nil || p.Code == "" || status < 400) {
			t.Errorf("status %d: problem %+v with %v", status, p, err)
		}
		if err != nil && err.Kind != Unknown {
			t.Errorf("status %d: kind %d", status, err.Kind)
		}
	})
}
