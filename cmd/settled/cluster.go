package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/shebao-pay/shebao/ledger"
	"github.com/shebao-pay/shebao/ledger/replog"
	"github.com/shebao-pay/shebao/settlement/operator"
)

// Cluster is the section of the node file that names the nodes of the region. A
// file without it is a lone node's.
type Cluster struct {
	// Node is this node's name among them, for ever: the log knows it by that. The
	// node that began alone is called node-1.
	Node string `yaml:"node"`
	// Nodes are all nodes by name, this one included, the same in every node's
	// file; at most five.
	Nodes map[string]ClusterNode `yaml:"nodes"`
	// Cert and Key are this node's towards the others; its name is a DNS name of
	// the certificate. CA signs the nodes' certificates and should sign nothing
	// else.
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
	CA   string `yaml:"ca"`
	// HeartbeatMillis is how long a node hears nothing before it stands for
	// election, ElectionMillis how long a vote may take, LeaseMillis how long a
	// leader serves without hearing from a majority, CommitMillis how late nodes at
	// rest are told of a commit.
	HeartbeatMillis int `yaml:"heartbeat_ms"`
	ElectionMillis  int `yaml:"election_ms"`
	LeaseMillis     int `yaml:"lease_ms"`
	CommitMillis    int `yaml:"commit_ms"`
}

// ClusterNode is where one node is reached.
type ClusterNode struct {
	// Log is where the other nodes reach it, host:port.
	Log string `yaml:"log"`
	// Terminals is where terminals reach it, as they have it in their own files: a
	// node that does not lead names it for the one that does.
	Terminals string `yaml:"terminals"`
}

func clusterDefaults() Cluster {
	return Cluster{HeartbeatMillis: 250, ElectionMillis: 300, LeaseMillis: 200, CommitMillis: 20}
}

// maxNodeName bounds a node's name: it is a label of a DNS name.
const maxNodeName = 32

// lone tells that the node has no others.
func (c *Cluster) lone() bool { return len(c.Nodes) == 0 }

// check names every mistake of the section.
func (c *Cluster) check(m *mistakes) {
	if c.lone() {
		if c.Node != "" || c.Cert != "" || c.Key != "" || c.CA != "" {
			m.bad("cluster.nodes: the section names no nodes; a lone node has none of it")
		}
		return
	}
	if _, ok := c.Nodes[c.Node]; !ok {
		m.bad("cluster.node: %q is none of cluster.nodes", c.Node)
	}
	if len(c.Nodes) > replog.MaxNodes {
		m.bad("cluster.nodes: %d nodes; at most %d are possible", len(c.Nodes), replog.MaxNodes)
	}
	taken := map[string]string{}
	for _, id := range slices.Sorted(maps.Keys(c.Nodes)) {
		if id == "" || len(id) > maxNodeName || strings.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			m.bad("cluster.nodes: %q is no name: lower-case letters, digits and hyphens, at most %d", id, maxNodeName)
		}
		n := c.Nodes[id]
		for what, a := range map[string]string{"log": n.Log, "terminals": n.Terminals} {
			name := "cluster.nodes." + id + "." + what
			m.address(name, a)
			if other, twice := taken[a]; twice && a != "" {
				m.bad("%s: %s is taken by %s", name, a, other)
			}
			taken[a] = name
		}
	}
	for _, f := range []struct{ name, value string }{{"cluster.cert", c.Cert}, {"cluster.key", c.Key}, {"cluster.ca", c.CA}} {
		m.need(f.name, f.value)
	}
	m.within("cluster.heartbeat_ms", c.HeartbeatMillis, 50, 10_000)
	m.within("cluster.election_ms", c.ElectionMillis, c.HeartbeatMillis, 10_000)
	m.within("cluster.lease_ms", c.LeaseMillis, 10, c.HeartbeatMillis)
	m.within("cluster.commit_ms", c.CommitMillis, 1, c.HeartbeatMillis)
}

// network connects this node with the others; nil for a lone node.
func (c *Cluster) network() (*replog.Peers, error) {
	if c.lone() {
		return nil, nil
	}
	cert, err := tls.LoadX509KeyPair(c.Cert, c.Key)
	if err != nil {
		return nil, fmt.Errorf("cluster.cert and cluster.key: %w", err)
	}
	if !slices.Contains(cert.Leaf.DNSNames, c.Node) {
		return nil, fmt.Errorf("cluster.cert: it is of %v; this node's name %s is none of its DNS names", cert.Leaf.DNSNames, c.Node)
	}
	roots, err := readRoots("cluster.ca", c.CA)
	if err != nil {
		return nil, err
	}
	addrs := map[string]string{}
	for id, n := range c.Nodes {
		addrs[id] = n.Log
	}
	return replog.ListenPeers(replog.PeersConfig{Self: c.Node, Nodes: addrs, Cert: cert, Roots: roots})
}

// readRoots reads the certificates of a file that a setting names.
func readRoots(name, path string) (*x509.CertPool, error) {
	b, err := os.ReadFile(path) // #nosec G304 -- the operator names the file
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("%s: %s holds no certificate", name, path)
	}
	return roots, nil
}

// operatorNode is the node as the operator's socket asks for it.
type operatorNode struct{ *ledger.Node }

// Members lists the nodes of the region.
func (o operatorNode) Members() ([]operator.Member, error) {
	list, err := o.Node.Members()
	out := make([]operator.Member, len(list))
	for i, m := range list {
		out[i] = operator.Member(m)
	}
	return out, err
}

// Backup copies the ledger.
func (o operatorNode) Backup(dir string, progress func(done, total int64)) (operator.Backup, error) {
	b, err := o.Node.Backup(dir, progress)
	return operator.Backup{Index: b.Index, Head: b.Head, Files: b.Files, Bytes: b.Bytes}, err
}
