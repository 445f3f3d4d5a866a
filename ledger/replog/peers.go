package replog

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// Bounds of the links between nodes.
const (
	// MinNodes and MaxNodes: two nodes survive no more than one does, and more
	// than five only add to what each commit waits for. Two is a step on the way.
	MinNodes = 1
	MaxNodes = 5

	// greetWait bounds the handshake of a caller and the byte that says what it
	// wants; askWait bounds a question to a node.
	greetWait = 5 * time.Second
	askWait   = 2 * time.Second
	// maxStatus bounds a node's answer to a question.
	maxStatus = 4 << 10
	// peerConns is how many connections to each node are kept for the log.
	peerConns = 3
	// rpcWait bounds a write to another node; a snapshot gets as much for each
	// 256 KiB of it.
	rpcWait = 10 * time.Second
)

// What the first byte of a connection asks for.
const (
	wantLog    = 'L' // entries and votes, in raft's own form
	wantStatus = 'S' // one NodeStatus
)

// NodeStatus is what a node says of itself to another.
type NodeStatus struct {
	ID      string
	Region  uint16
	Area    uint32
	Applied uint64 // entry
	Term    uint64
	Head    string // chain head at Applied, in hexadecimal
	// Fresh tells that the node has nothing yet: neither entry nor state.
	Fresh bool
}

// Network carries the log between nodes.
type Network interface {
	net.Listener
	// Dial connects to a node, by its name.
	Dial(id string, timeout time.Duration) (net.Conn, error)
	// AddressOf is the address of a node, by its name.
	AddressOf(id string) (string, bool)
	// Ask asks a node, by its name, how it stands.
	Ask(id string) (NodeStatus, error)
	// Answer says how this node answers such a question. It is called once,
	// before the network is used.
	Answer(status func() NodeStatus)
}

// PeersConfig says how nodes reach one another.
type PeersConfig struct {
	Self string // name of this node
	// Nodes are the addresses (host:port) of all nodes by name, this one's
	// included. A node's certificate carries its name as a DNS name.
	Nodes map[string]string
	Cert  tls.Certificate
	// Roots sign the nodes' certificates, and none but theirs.
	Roots *x509.CertPool
}

// Peers is the network of a cluster: TCP with TLS 1.3, certificates on both
// sides, each node known by name. It is a Network.
type Peers struct {
	cfg  PeersConfig
	l    net.Listener
	logs chan net.Conn
	quit chan struct{}
	work sync.WaitGroup
	once sync.Once

	mu     sync.Mutex
	status func() NodeStatus
	open   map[net.Conn]struct{} // all connections
	closed bool
}

// link is a connection that Close ends: raft forgets those it was given.
type link struct {
	net.Conn
	p *Peers
}

// Close ends the connection.
func (c link) Close() error {
	c.p.forget(c.Conn)
	return c.Conn.Close()
}

// keep notes a connection; false once the network is closed.
func (p *Peers) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.open[c] = struct{}{}
	}
	return !p.closed
}

func (p *Peers) forget(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, c)
}

// ListenPeers begins to listen at this node's address.
func ListenPeers(cfg PeersConfig) (*Peers, error) {
	addr, ok := cfg.Nodes[cfg.Self]
	if !ok {
		return nil, fmt.Errorf("replog: node %q is none of %s", cfg.Self, strings.Join(slices.Sorted(maps.Keys(cfg.Nodes)), ", "))
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("replog: listen for other nodes: %w", err)
	}
	p := &Peers{cfg: cfg, l: l, logs: make(chan net.Conn), quit: make(chan struct{}), open: map[net.Conn]struct{}{}}
	p.work.Go(p.accept)
	return p, nil
}

// tls is the configuration towards one node, "" for any that is on the list.
func (p *Peers) tls(id string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{p.cfg.Cert}, RootCAs: p.cfg.Roots,
		ServerName: id, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: p.cfg.Roots,
		VerifyConnection: func(s tls.ConnectionState) error {
			for _, name := range s.PeerCertificates[0].DNSNames {
				if _, ok := p.cfg.Nodes[name]; ok && (id == "" || name == id) {
					return nil
				}
			}
			return fmt.Errorf("replog: the certificate of %v is no node's of this cluster", s.PeerCertificates[0].DNSNames)
		},
	}
}

func (p *Peers) accept() {
	for {
		c, err := p.l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			select {
			case <-time.After(100 * time.Millisecond): // out of files, most likely
				continue
			case <-p.quit:
				return
			}
		}
		p.work.Go(func() { p.greet(c) })
	}
}

// greet proves a caller and gives it what it wants.
func (p *Peers) greet(raw net.Conn) {
	handed := false
	c := tls.Server(raw, p.tls(""))
	live := p.keep(c)
	defer func() {
		if !handed {
			p.forget(c)
			_ = c.Close() // a caller without business here
		}
	}()
	if !live || c.SetDeadline(time.Now().Add(greetWait)) != nil {
		return
	}
	var want [1]byte
	if _, err := io.ReadFull(c, want[:]); err != nil || c.SetDeadline(time.Time{}) != nil {
		return
	}
	switch want[0] {
	case wantLog:
		select {
		case p.logs <- link{c, p}:
			handed = true
		case <-p.quit:
		}
	case wantStatus:
		p.mu.Lock()
		status := p.status
		p.mu.Unlock()
		if status != nil && c.SetDeadline(time.Now().Add(greetWait)) == nil {
			_ = json.NewEncoder(c).Encode(status()) // the caller may be gone
		}
	}
}

// Answer implements Network.
func (p *Peers) Answer(status func() NodeStatus) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status = status
}

// Accept gives the next connection for the log.
func (p *Peers) Accept() (net.Conn, error) {
	select {
	case c := <-p.logs:
		return c, nil
	case <-p.quit:
		return nil, net.ErrClosed
	}
}

// Close ends listening and every connection.
func (p *Peers) Close() error {
	var err error
	p.once.Do(func() {
		close(p.quit)
		err = p.l.Close()
		p.mu.Lock()
		p.closed = true
		for c := range p.open {
			_ = c.Close() // whoever reads from it ends
		}
		clear(p.open)
		p.mu.Unlock()
		p.work.Wait()
	})
	return err
}

// Addr is this node's address.
func (p *Peers) Addr() net.Addr { return p.l.Addr() }

// AddressOf implements Network.
func (p *Peers) AddressOf(id string) (string, bool) {
	a, ok := p.cfg.Nodes[id]
	return a, ok
}

// Dial implements Network.
func (p *Peers) Dial(id string, timeout time.Duration) (net.Conn, error) {
	if _, ok := p.cfg.Nodes[id]; !ok {
		return nil, fmt.Errorf("replog: the node file names no node %q", id)
	}
	return p.dial(id, wantLog, timeout)
}

func (p *Peers) dial(id string, want byte, timeout time.Duration) (net.Conn, error) {
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: timeout}, Config: p.tls(id)}
	c, err := d.Dial("tcp", p.cfg.Nodes[id])
	if err != nil {
		return nil, fmt.Errorf("replog: node %s: %w", id, err)
	}
	if err = c.SetDeadline(time.Now().Add(timeout)); err == nil {
		_, err = c.Write([]byte{want})
	}
	if err == nil {
		err = c.SetDeadline(time.Time{})
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("replog: node %s: %w", id, err), c.Close())
	}
	if !p.keep(c) {
		return nil, errors.Join(net.ErrClosed, c.Close())
	}
	return link{c, p}, nil
}

// Ask implements Network.
func (p *Peers) Ask(id string) (NodeStatus, error) {
	var s NodeStatus
	if _, ok := p.cfg.Nodes[id]; !ok {
		return s, fmt.Errorf("replog: the node file names no node %q", id)
	}
	c, err := p.dial(id, wantStatus, askWait)
	if err != nil {
		return s, err
	}
	if err = c.SetDeadline(time.Now().Add(askWait)); err == nil {
		err = json.NewDecoder(io.LimitReader(c, maxStatus)).Decode(&s)
	}
	if err = errors.Join(err, c.Close()); err != nil {
		return s, fmt.Errorf("replog: node %s: %w", id, err)
	}
	if s.ID != id {
		return s, fmt.Errorf("replog: at the address of node %s answers %s", id, s.ID)
	}
	return s, nil
}

// stream is raft's side of a Network. To raft a node's address is its name: where
// it is reached stands in the node files alone, so that it can be changed there.
// Raft has at most two requests under way to a node, its own default.
type stream struct{ Network }

// Dial implements raft.StreamLayer.
func (s stream) Dial(id raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	return s.Network.Dial(string(id), timeout)
}
