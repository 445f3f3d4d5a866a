package replog

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key}
}

func (a *authority) issue(t *testing.T, names ...string) tls.Certificate {
	t.Helper()
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(2), DNSNames: names, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		NotBefore:   time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: a.key}
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// TestPeers: nodes of one list reach one another by name; everybody else is
// turned away at the handshake.
func TestPeers(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	nodes := map[string]string{"a": freeAddr(t), "b": freeAddr(t)}
	listen := func(self string, cert tls.Certificate, nodes map[string]string) *Peers {
		p, err := ListenPeers(PeersConfig{Self: self, Nodes: nodes, Cert: cert, Roots: ca.pool()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		})
		return p
	}
	a, b := listen("a", ca.issue(t, "a"), nodes), listen("b", ca.issue(t, "b"), nodes)
	b.Answer(func() NodeStatus { return NodeStatus{ID: "b", Region: 1, Applied: 7, Head: "00"} })
	if s, err := a.Ask("b"); err != nil || s.Applied != 7 {
		t.Errorf("Ask = %+v, %v", s, err)
	}
	if _, err := a.Ask("c"); err == nil {
		t.Error("a node that no file names was asked")
	}
	go func() {
		if c, err := b.Accept(); err == nil {
			_, _ = io.WriteString(c, "hello")
			_ = c.Close()
		}
	}()
	c, err := a.Dial("b", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); string(got) != "hello" {
		t.Errorf("over the link: %q, %v", got, err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}

	for what, cert := range map[string]tls.Certificate{
		"another authority's":        other.issue(t, "a"),
		"a terminal's":               ca.issue(t, "terminal-7"),
		"without a name":             ca.issue(t),
		"none":                       {},
		"of a node not on b's list ": ca.issue(t, "c"),
	} {
		conn, err := tls.Dial("tcp", nodes["b"], &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: ca.pool(), ServerName: "b", MinVersion: tls.VersionTLS13})
		if err != nil {
			continue // refused in the handshake
		}
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		_, _ = conn.Write([]byte{wantStatus})
		if n, err := conn.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("a caller with a certificate %s got an answer", what)
		}
		_ = conn.Close()
	}
	// Who answers at b's address is not b.
	wrong := map[string]string{"a": nodes["a"], "c": nodes["b"]}
	lost := &Peers{cfg: PeersConfig{Self: "a", Nodes: wrong, Cert: ca.issue(t, "a"), Roots: ca.pool()}, open: map[net.Conn]struct{}{}}
	if _, err := lost.Ask("c"); err == nil {
		t.Error("b was taken for c")
	}
	if _, err := ListenPeers(PeersConfig{Self: "x", Nodes: nodes}); err == nil {
		t.Error("a node that is none of the list listens")
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if _, err := a.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close: %v", err)
	}
}

// TestOneByOne: raft finds no pipeline, but the other abilities of its transport.
func TestOneByOne(t *testing.T) {
	ca := newAuthority(t)
	p, err := ListenPeers(PeersConfig{Self: "a", Nodes: map[string]string{"a": freeAddr(t)}, Cert: ca.issue(t, "a"), Roots: ca.pool()})
	if err != nil {
		t.Fatal(err)
	}
	trans := over(p, io.Discard)
	if _, err := trans.AppendEntriesPipeline("b", "b"); !errors.Is(err, raft.ErrPipelineReplicationNotSupported) {
		t.Errorf("pipeline: %v", err)
	}
	if _, ok := trans.(raft.WithPreVote); !ok {
		t.Error("a node that comes back would stop the one that leads: no vote before the vote")
	}
	c, ok := trans.(raft.WithClose)
	if !ok {
		t.Fatal("the transport cannot be closed")
	}
	if err := errors.Join(c.Close(), p.Close()); err != nil {
		t.Error(err)
	}
}
