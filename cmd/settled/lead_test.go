package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/shebao-pay/shebao/ledger"
	"github.com/shebao-pay/shebao/si/termapi"
)

// issue writes certificates as openssl makes them by docs/operating/cluster.md:
// an authority that signs the names, each with its key.
func issue(t *testing.T, dir string, names ...string) {
	t.Helper()
	write := func(name, kind string, der []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "nodes"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	write("ca.pem", "CERTIFICATE", der)
	for i, name := range names {
		c := &x509.Certificate{SerialNumber: big.NewInt(int64(i + 2)), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
		if der, err = x509.CreateCertificate(rand.Reader, c, ca, &key.PublicKey, key); err != nil {
			t.Fatal(err)
		}
		write(name+".pem", "CERTIFICATE", der)
		write(name+".key", "EC PRIVATE KEY", raw)
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// TestFollowerServesNobody: a node that follows answers a terminal 421 with the
// leader's address, has no counter listener, and says whom it follows; the one
// that leads serves, and stops when it is removed from the lead.
func TestFollowerServesNobody(t *testing.T) {
	dir := t.TempDir()
	issue(t, dir, "node-1", "node-2")
	nodes := map[string]ClusterNode{
		"node-1": {Log: freePort(t), Terminals: "192.0.2.1:8710"}, "node-2": {Log: freePort(t), Terminals: "192.0.2.2:8710"},
	}
	first, err := ledger.Open(ledger.Config{Dir: filepath.Join(dir, "node-1"), Region: 1, Area: 330110, MinFree: 1, Segment: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	start := func(id string) *program {
		cfg := defaults()
		cfg.Region.Number, cfg.Region.Area, cfg.Data, cfg.Limits.SegmentMiB = 1, 330110, filepath.Join(dir, id), 1
		cfg.Cluster.Node, cfg.Cluster.Nodes = id, nodes
		cfg.Cluster.Cert, cfg.Cluster.Key, cfg.Cluster.CA = filepath.Join(dir, id+".pem"), filepath.Join(dir, id+".key"), filepath.Join(dir, "ca.pem")
		p := &program{cfg: &cfg, log: zerolog.Nop(), fail: make(chan error, 1)}
		if err := p.openNode(); err != nil {
			t.Fatal(err)
		}
		p.dir = &directory{cfg: p.cfg, node: p.node}
		if err := p.startRole(context.Background()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			for i := len(p.stops) - 1; i >= 0; i-- {
				p.stops[i]()
			}
		})
		return p
	}
	until := func(what string, ok func() bool) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s did not happen", what)
			}
		}
	}
	ask := func(p *program) (int, termapi.Problem) {
		w := httptest.NewRecorder()
		p.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v1/payments/0", nil))
		var out termapi.Problem
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
			t.Fatalf("%d %s: %v", w.Code, w.Body, err)
		}
		return w.Code, out
	}

	two := start("node-2") // waits to be joined
	if code, p := ask(two); code != http.StatusMisdirectedRequest || p.Leader != "" {
		t.Errorf("a node without a leader answers %d %+v", code, p)
	}
	one := start("node-1")
	until("serving", func() bool { return one.now.Load() != nil })
	if err := one.node.Join("node-2"); err != nil {
		t.Fatal(err)
	}
	until("a vote", func() bool { return one.node.Promote("node-2") == nil })
	until("a leader known", func() bool { _, id := two.node.Leader(); return id == "node-1" })
	if code, p := ask(two); code != http.StatusMisdirectedRequest || p.Code != termapi.ErrNotLeader || p.Leader != "192.0.2.1:8710" {
		t.Errorf("a node that follows answers %d %+v, want 421 and the leader's address", code, p)
	}
	if code, p := ask(one); code != http.StatusServiceUnavailable || !strings.Contains(p.Detail, "no bank profile") {
		t.Errorf("a node that leads an empty ledger answers %d %+v", code, p)
	}
	// The lead goes over, both ways of serving with it.
	if err := one.node.Remove("node-1"); err == nil {
		t.Error("the leader was removed without handing over")
	}
	until("the other serving", func() bool { return two.now.Load() != nil && one.now.Load() == nil })
	until("the successor known", func() bool { _, id := one.node.Leader(); return id == "node-2" })
	if code, p := ask(one); code != http.StatusMisdirectedRequest || p.Leader != "192.0.2.2:8710" {
		t.Errorf("the former leader answers %d %+v, want 421 and its successor's address", code, p)
	}
	select {
	case err := <-one.fail:
		t.Error(err)
	case err := <-two.fail:
		t.Error(err)
	default:
	}
}

// TestClusterCertificate: a certificate of another name is refused at the start.
func TestClusterCertificate(t *testing.T) {
	dir := t.TempDir()
	issue(t, dir, "node-1", "node-2")
	c := clusterDefaults()
	c.Node, c.Nodes = "node-1", map[string]ClusterNode{"node-1": {Log: freePort(t), Terminals: "a:1"}}
	c.Cert, c.Key, c.CA = filepath.Join(dir, "node-2.pem"), filepath.Join(dir, "node-2.key"), filepath.Join(dir, "ca.pem")
	if _, err := c.network(); err == nil || !strings.Contains(err.Error(), "node-1") {
		t.Errorf("another node's certificate: %v", err)
	}
	c.Cert, c.CA = filepath.Join(dir, "node-1.pem"), filepath.Join(dir, "node-1.key")
	if _, err := c.network(); err == nil || !strings.Contains(err.Error(), "cluster.ca") {
		t.Errorf("no authority: %v", err)
	}
	c.Cert = filepath.Join(dir, "none.pem")
	if _, err := c.network(); err == nil || !strings.Contains(err.Error(), "cluster.cert") {
		t.Errorf("no certificate: %v", err)
	}
}
