package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/cardauth/softhsm"
	"github.com/shebao-pay/shebao/settlement/banklink"
	"github.com/shebao-pay/shebao/settlement/bankmsg"
	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/simulators/bankhost"
)

// authority signs certificates in a folder of a test.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// newAuthority writes name.pem of a new authority.
func newAuthority(t *testing.T, dir, name string) *authority {
	t.Helper()
	a := &authority{t: t, dir: dir}
	a.cert, a.key = a.make(name, nil)
	return a
}

// make writes name.pem and name.key, signed by a, or by itself where a has no key yet.
func (a *authority) make(name string, change func(*x509.Certificate)) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	parent, signer := c, key
	if a.key != nil {
		parent, signer = a.cert, a.key
	} else {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	kb, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	for ext, block := range map[string]*pem.Block{".pem": {Type: "CERTIFICATE", Bytes: der}, ".key": {Type: "EC PRIVATE KEY", Bytes: kb}} {
		if err := os.WriteFile(filepath.Join(a.dir, name+ext), pem.EncodeToMemory(block), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		a.t.Fatal(err)
	}
	return c, key
}

// heard collects the kinds of a pool's events.
type heard chan banklink.EventKind

// Deliver passes them on.
func (h heard) Deliver(ev banklink.Event) { h <- ev.Kind }

// TestBankByTLS signs a link on to a host that asks for TLS with certificates on
// both sides, by the settings of a node file.
func TestBankByTLS(t *testing.T) {
	dir := t.TempDir()
	ca := newAuthority(t, dir, "ca")
	newAuthority(t, dir, "other")
	ca.make("host.ccb.example", nil)
	ca.make("hub", nil)
	file := func(name string) string { return filepath.Join(dir, name) }
	p, err := profile.LoadFS(os.DirFS("../../data/banks"), "ccb")
	if err != nil {
		t.Fatal(err)
	}
	hostSide, err := (&CounterTLS{Cert: file("host.ccb.example.pem"), Key: file("host.ccb.example.key"), ClientCA: file("ca.pem")}).server()
	if err != nil {
		t.Fatal(err)
	}
	kbpk := []byte("0123456789abcdefFEDCBA9876543210")
	host, err := bankhost.New(bankhost.Config{Profile: p, TLS: hostSide, Keys: bankhost.Keys{KBPK: kbpk, IMK: strings.Repeat("0B", 16)}})
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = host.Close() }()
	good := BankTLS{CA: file("ca.pem"), ServerName: "host.ccb.example", Cert: file("hub.pem"), Key: file("hub.key")}
	number := func(code string) (si.Bank, bool) { return p.Number, code == "ccb" }

	dial := func(b BankTLS) func(context.Context, string) (net.Conn, error) {
		t.Helper()
		c := Config{BankTLS: map[string]BankTLS{"ccb": b}}
		d, err := c.bankDial(number)
		if err != nil {
			t.Fatal(err)
		}
		return func(ctx context.Context, addr string) (net.Conn, error) { return d(ctx, p.Number, addr) }
	}
	store, err := softhsm.NewVolatile()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	if err := store.AddKey(p.KBPK, softhsm.Protect, kbpk); err != nil {
		t.Fatal(err)
	}
	codec, err := bankmsg.Compile(p)
	if err != nil {
		t.Fatal(err)
	}
	ear := make(heard, 16)
	pool, err := banklink.New(banklink.Config{Codec: codec, Addrs: []string{host.Addr()}, HSM: store, Sink: ear, Rand: func() uint64 { return 1 }, Dial: dial(good)})
	if err != nil {
		t.Fatal(err)
	}
	pool.Start(t.Context())
	if k := <-ear; k != banklink.LinkUp {
		t.Errorf("got event %d, want that the link is up", k)
	}
	stopped, cancel := context.WithCancel(context.Background())
	cancel()
	pool.Stop(stopped)

	for name, change := range map[string]func(*BankTLS){
		"another authority": func(b *BankTLS) { b.CA = file("other.pem") },
		"another name":      func(b *BankTLS) { b.ServerName = "host.example" },
	} {
		b := good
		change(&b)
		if c, err := dial(b)(t.Context(), host.Addr()); err == nil {
			_ = c.Close()
			t.Errorf("%s: connected", name)
		}
	}
	b := good
	b.Cert, b.Key = "", ""
	c, err := dial(b)(t.Context(), host.Addr())
	if err == nil { // with TLS 1.3 the host's refusal comes with the first read
		_, err = c.Read(make([]byte, 1))
		_ = c.Close()
	}
	if err == nil || errors.Is(err, io.EOF) {
		t.Errorf("no certificate of ours: got %v", err)
	}
}

// TestBankTLSFiles names what is missing or no certificate.
func TestBankTLSFiles(t *testing.T) {
	dir := t.TempDir()
	newAuthority(t, dir, "ca")
	empty := filepath.Join(dir, "empty.pem")
	if err := os.WriteFile(empty, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	here := func(string) (si.Bank, bool) { return 3, true }
	for _, tc := range []struct {
		b      BankTLS
		number func(string) (si.Bank, bool)
		says   string
	}{
		{BankTLS{CA: empty, ServerName: "x"}, here, "bank_tls.ccb: ca: " + empty + " holds no certificate"},
		{BankTLS{CA: filepath.Join(dir, "none.pem"), ServerName: "x"}, here, "no such file"},
		{BankTLS{CA: filepath.Join(dir, "ca.pem"), ServerName: "x", Cert: empty, Key: empty}, here, "cert and key"},
		{BankTLS{}, func(string) (si.Bank, bool) { return 0, false }, "no profile of this bank"},
	} {
		c := Config{BankTLS: map[string]BankTLS{"ccb": tc.b}}
		if _, err := c.bankDial(tc.number); err == nil || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("got %v, want %q", err, tc.says)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := Config{CounterTLS: map[string]CounterTLS{"ccb": {Cert: empty, Key: empty, ClientCA: empty}}}
	if _, err := c.counterListener("ccb", l); err == nil || !strings.Contains(err.Error(), "counter_tls.ccb: cert and key") {
		t.Errorf("got %v", err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the listener lives on: %v", err)
	}
	if got, err := c.counterListener("rcb", nil); got != nil || err != nil {
		t.Errorf("a bank without TLS: got %v, %v", got, err)
	}
}
