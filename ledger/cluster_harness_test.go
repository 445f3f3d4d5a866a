package ledger

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/ledger/replog"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// patience is how long a test waits for what must happen; it is never reached,
// however busy the machine.
const patience = 60 * time.Second

// testCA signs the certificates of a test's nodes.
type testCA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newTestCA(t testing.TB) *testCA {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &testCA{cert, key}
}

func (ca *testCA) issue(t testing.TB, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, ca.cert, &key.PublicKey, ca.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (ca *testCA) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(ca.cert)
	return p
}

// cable is a node's network with a switch that cuts it off.
type cable struct {
	*replog.Peers
	mu    sync.Mutex
	cut   bool
	conns map[net.Conn]struct{}
}

var errCut = errors.New("the cable is cut")

func (c *cable) take(conn net.Conn, err error) (net.Conn, error) {
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cut {
		return nil, errors.Join(errCut, conn.Close())
	}
	c.conns[conn] = struct{}{}
	return conn, nil
}

func (c *cable) Dial(id string, timeout time.Duration) (net.Conn, error) {
	c.mu.Lock()
	cut := c.cut
	c.mu.Unlock()
	if cut {
		return nil, errCut
	}
	return c.take(c.Peers.Dial(id, timeout))
}

func (c *cable) Accept() (net.Conn, error) {
	for {
		conn, err := c.take(c.Peers.Accept())
		if !errors.Is(err, errCut) {
			return conn, err
		}
	}
}

func (c *cable) set(cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = cut
	for conn := range c.conns {
		_ = conn.Close() // the other end closes it too
		delete(c.conns, conn)
	}
}

// region is three nodes in one process.
type region struct {
	t      *testing.T
	ca     *testCA
	addrs  map[string]string
	change func(id string, c *Config)
	dirs   map[string]string
	nodes  map[string]*Node
	cables map[string]*cable
	fatal  map[string]chan error
}

var nodeNames = []string{"node-1", "node-2", "node-3"}

// newRegion starts the first node alone with persons, and then the given number
// of nodes in all.
func newRegion(t *testing.T, size, persons int, change func(id string, c *Config)) *region {
	t.Helper()
	r := &region{t: t, ca: newTestCA(t), addrs: map[string]string{}, change: change, dirs: map[string]string{},
		nodes: map[string]*Node{}, cables: map[string]*cable{}, fatal: map[string]chan error{}}
	for _, id := range nodeNames {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		r.addrs[id] = l.Addr().String()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		r.dirs[id] = filepath.Join(t.TempDir(), id)
	}
	t.Cleanup(r.stop)
	first := testConfig(r.dirs[nodeNames[0]])
	n := openNode(t, first)
	settle(t, n, persons)
	closeNode(t, n)
	r.start(nodeNames[0])
	r.leader()
	for _, id := range nodeNames[1:size] {
		r.start(id)
		r.join(id)
	}
	return r
}

func (r *region) start(id string) *Node {
	r.t.Helper()
	p, err := replog.ListenPeers(replog.PeersConfig{Self: id, Nodes: r.addrs, Cert: r.ca.issue(r.t, id), Roots: r.ca.pool()})
	if err != nil {
		r.t.Fatal(err)
	}
	c := &cable{Peers: p, conns: map[net.Conn]struct{}{}}
	fatal := make(chan error, 16)
	cfg := testConfig(r.dirs[id])
	cfg.NodeID, cfg.Network, cfg.Fatal = id, c, func(err error) { fatal <- err }
	cfg.Heartbeat, cfg.Election, cfg.Lease, cfg.Commit = 100*time.Millisecond, 100*time.Millisecond, 80*time.Millisecond, 5*time.Millisecond
	if r.change != nil {
		r.change(id, &cfg)
	}
	n := openNode(r.t, cfg)
	r.nodes[id], r.cables[id], r.fatal[id] = n, c, fatal
	return n
}

// until waits for something that must come.
func (r *region) until(what string, ok func() bool) {
	r.t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("%s did not happen", what)
		}
	}
}

// leader waits for a node that leads.
func (r *region) leader(not ...*Node) (lead *Node) {
	r.t.Helper()
	r.until("an election", func() bool {
		for _, n := range r.nodes {
			if leads, _ := n.Leader(); leads && !contains(not, n) && n.Current(background()) == nil {
				lead = n
				return true
			}
		}
		return false
	})
	return lead
}

func contains(list []*Node, n *Node) bool {
	for _, o := range list {
		if o == n {
			return true
		}
	}
	return false
}

func (r *region) join(id string) {
	r.t.Helper()
	r.until(id+" joining", func() bool { return r.leader().Join(id) == nil })
	r.until(id+" catching up", func() bool { return r.leader().Promote(id) == nil })
}

// follower is a node that does not lead.
func (r *region) follower() *Node {
	lead := r.leader()
	for _, id := range nodeNames {
		if n := r.nodes[id]; n != nil && n != lead {
			return n
		}
	}
	r.t.Fatal("there is no follower")
	return nil
}

// crash stops a node without a word: what a kill leaves behind, in one process.
// Its lead is not handed over and no checkpoint is written.
func (r *region) crash(n *Node) {
	r.t.Helper()
	id := n.cfg.NodeID
	r.cables[id].set(true)
	if r.crashed(n); n.err != nil {
		r.t.Fatal(n.err)
	}
}

// crashed clears away a node that has stopped by itself.
func (r *region) crashed(n *Node) {
	n.once.Do(func() {
		close(n.quit)
		n.work.Wait()
		n.err = errors.Join(n.log.Close(), n.store.Close(), n.lock.Close())
	})
	delete(r.nodes, n.cfg.NodeID)
}

// pay pays a due at whatever node leads, as a client that tries all of them, by
// the same id until there is an answer.
func (r *region) pay(i int) ledgerapi.Result {
	r.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		for _, n := range r.nodes {
			res, err := n.Do(background(), payDue(i))
			if err == nil {
				if res.Code != ledgerapi.OK && res.Code != ledgerapi.Exists {
					r.t.Fatalf("payment %d: %v", i, res.Code)
				}
				return res
			}
		}
	}
	r.t.Fatalf("payment %d has no answer", i)
	return ledgerapi.Result{}
}

// settled waits until all nodes stand where the leader does, stops them, and
// holds each against the receipts that were told: equal heads, every payment
// once, a sound ledger on each disk.
func (r *region) settled(receipts map[int]ledgerapi.Result) {
	r.t.Helper()
	head, at := r.leader().Head()
	r.until("all nodes at one place", func() bool {
		for _, n := range r.nodes {
			if _, i := n.Head(); i != at {
				return false
			}
		}
		return true
	})
	for id, n := range r.nodes {
		if h, _ := n.Head(); h != head {
			r.t.Errorf("%s ends in head %x, the leader in %x", id, h, head)
		}
		seen := map[string]bool{}
		for i, res := range receipts {
			p, ok := n.Payment(payDue(i).ID)
			if !ok || p.State != ledgerapi.PayPosted || p.Receipt != res.Receipt || seen[p.Receipt.String()] {
				r.t.Errorf("%s: payment %d was acknowledged with receipt %s; it has %v %s", id, i, res.Receipt, p.State, p.Receipt)
			}
			seen[p.Receipt.String()] = true
		}
		if tot := n.Totals(testBank, testDay); int(tot.Payments.Count) != len(receipts) {
			r.t.Errorf("%s counts %d payments, acknowledged were %d", id, tot.Payments.Count, len(receipts))
		}
	}
	r.stop()
	for _, id := range nodeNames {
		if missing(r.dirs[id]) {
			continue
		}
		if rep := verifyOK(r.t, r.dirs[id]); rep.Head != fmt.Sprintf("%x", head) {
			r.t.Errorf("%s: Verify ends in head %s, want %x", id, rep.Head, head)
		}
	}
}

func (r *region) stop() {
	for id, n := range r.nodes {
		if err := n.Close(); err != nil {
			r.t.Errorf("close %s: %v", id, err)
		}
		select {
		case err := <-r.fatal[id]:
			r.t.Errorf("%s stopped: %v", id, err)
		default:
		}
	}
	clear(r.nodes)
}
