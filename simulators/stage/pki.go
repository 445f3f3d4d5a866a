package stage

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// certLife is how long the throw-away certificates live: ten years, so that a
// demo directory found again still works.
const certLife = 10 * 365 * 24 * time.Hour

// pki is the throw-away certificate authority of one stage.
type pki struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// openPKI makes the authority, or reads the one that is there.
func openPKI(dir string) (*pki, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("stage: %w", err)
	}
	p := &pki{dir: dir}
	if _, err := os.Stat(p.path("ca.pem")); err == nil {
		return p, p.load()
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("stage: %w", err)
	}
	p.key = key
	tmpl := certTemplate("shebao demo CA")
	tmpl.IsCA, tmpl.BasicConstraintsValid = true, true
	tmpl.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("stage: %w", err)
	}
	if p.cert, err = x509.ParseCertificate(der); err != nil {
		return nil, fmt.Errorf("stage: %w", err)
	}
	return p, p.write("ca", der, key)
}

func certTemplate(name string) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic("stage: the system's random source failed: " + err.Error())
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name, Organization: []string{"shebao demo"}},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(certLife),
	}
}

func (p *pki) path(name string) string { return filepath.Join(p.dir, name) }

func (p *pki) load() error {
	block, err := readPEM(p.path("ca.pem"))
	if err != nil {
		return err
	}
	if p.cert, err = x509.ParseCertificate(block); err != nil {
		return fmt.Errorf("stage: %s: %w", p.path("ca.pem"), err)
	}
	if block, err = readPEM(p.path("ca.key")); err != nil {
		return err
	}
	if p.key, err = x509.ParseECPrivateKey(block); err != nil {
		return fmt.Errorf("stage: %s: %w", p.path("ca.key"), err)
	}
	return nil
}

func readPEM(path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("stage: %w", err)
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("stage: %s holds no PEM block; start with --fresh", path)
	}
	return block.Bytes, nil
}

func (p *pki) write(name string, der []byte, key *ecdsa.PrivateKey) error {
	kb, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return fmt.Errorf("stage: %w", err)
	}
	for _, f := range []struct {
		path, kind string
		body       []byte
		mode       os.FileMode
	}{{name + ".key", "EC PRIVATE KEY", kb, 0o600}, {name + ".pem", "CERTIFICATE", der, 0o644}} {
		if err := os.WriteFile(p.path(f.path), pem.EncodeToMemory(&pem.Block{Type: f.kind, Bytes: f.body}), f.mode); err != nil {
			return fmt.Errorf("stage: %w", err)
		}
	}
	return nil
}

// issue makes name.pem and name.key unless they are there, and gives the
// SHA-256 of the certificate.
func (p *pki) issue(file, name string, server bool) ([32]byte, error) {
	use := x509.ExtKeyUsageClientAuth
	if server {
		use = x509.ExtKeyUsageServerAuth
	}
	return p.issueFor(file, name, server, use)
}

// issueNode is issue for a node towards the others, at both ends of a connection.
func (p *pki) issueNode(name string) ([32]byte, error) {
	return p.issueFor(name, name, true, x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth)
}

func (p *pki) issueFor(file, name string, server bool, uses ...x509.ExtKeyUsage) ([32]byte, error) {
	if der, err := readPEM(p.path(file + ".pem")); err == nil {
		return sha256.Sum256(der), nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return [32]byte{}, fmt.Errorf("stage: %w", err)
	}
	tmpl := certTemplate(name)
	tmpl.KeyUsage = x509.KeyUsageDigitalSignature
	tmpl.ExtKeyUsage = uses
	if server {
		tmpl.DNSNames, tmpl.IPAddresses = []string{name}, []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, p.cert, &key.PublicKey, p.key)
	if err != nil {
		return [32]byte{}, fmt.Errorf("stage: %w", err)
	}
	return sha256.Sum256(der), p.write(file, der, key)
}
