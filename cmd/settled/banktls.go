package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"time"

	"github.com/shebao-pay/shebao/settlement/banklink"
	"github.com/shebao-pay/shebao/si"
)

// BankTLS says how the links to one bank's host are enciphered.
type BankTLS struct {
	// CA is the file of the certificate authority that signs the host's
	// certificate (PEM); the system's own list is never asked.
	CA string `yaml:"ca"`

	// ServerName is the name in the host's certificate.
	ServerName string `yaml:"server_name"`

	// Cert and Key are this node's, where the bank asks for one (PEM); both or
	// neither.
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
}

// bankKeepAlive is how often an idle connection to a bank is probed by the
// system: a peer that vanished is found before the next payment.
const bankKeepAlive = 15 * time.Second

// checkBankTLS looks at both directions.
func (c *Config) checkBankTLS(m *mistakes) {
	for _, code := range slices.Sorted(maps.Keys(c.BankTLS)) {
		t, name := c.BankTLS[code], "bank_tls."+code
		if _, ok := c.Banks[code]; !ok {
			m.bad("%s: the bank is not in banks", name)
		}
		m.need(name+".ca", t.CA)
		m.need(name+".server_name", t.ServerName)
		if (t.Cert == "") != (t.Key == "") {
			m.bad("%s: cert and key belong together", name)
		}
	}
	for _, code := range slices.Sorted(maps.Keys(c.CounterTLS)) {
		t, name := c.CounterTLS[code], "counter_tls."+code
		if _, ok := c.Counters[code]; !ok {
			m.bad("%s: the bank is not in counters", name)
		}
		m.need(name+".cert", t.Cert)
		m.need(name+".key", t.Key)
		m.need(name+".client_ca", t.ClientCA)
	}
}

// CounterTLS says how one bank's counters reach our server by TLS.
type CounterTLS struct {
	// Cert and Key are this node's (PEM).
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`

	// ClientCA is the file of the certificate authority that signs the bank's
	// certificate (PEM): who has none is not let in.
	ClientCA string `yaml:"client_ca"`
}

// counterListener enciphers what a bank's counters connect to, where the node
// file says so.
func (c *Config) counterListener(code string, l net.Listener) (net.Listener, error) {
	t, ok := c.CounterTLS[code]
	if !ok {
		return l, nil
	}
	conf, err := t.server()
	if err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("counter_tls.%s: %w", code, err)
	}
	return tls.NewListener(l, conf), nil
}

func (t *CounterTLS) server() (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	if err != nil {
		return nil, fmt.Errorf("cert and key: %w", err)
	}
	roots, err := authorities(t.ClientCA)
	if err != nil {
		return nil, fmt.Errorf("client_ca: %w", err)
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: roots,
	}, nil
}

func authorities(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path) // #nosec G304 -- the node file names it
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", path)
	}
	return roots, nil
}

// client reads the files.
func (t *BankTLS) client() (*tls.Config, error) {
	roots, err := authorities(t.CA)
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	// Hosts of banks are older than this program: 1.2 with its modern suites, 1.3
	// where they have it.
	c := &tls.Config{RootCAs: roots, ServerName: t.ServerName, MinVersion: tls.VersionTLS12}
	if t.Cert != "" {
		cert, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("cert and key: %w", err)
		}
		c.Certificates = []tls.Certificate{cert}
	}
	return c, nil
}

// bankDial makes the connections to the banks' hosts: TLS where the node file
// says so, else TCP. number finds a bank by its code.
func (c *Config) bankDial(number func(string) (si.Bank, bool)) (func(context.Context, si.Bank, string) (banklink.Conn, error), error) {
	ciphered := map[si.Bank]*tls.Config{}
	for _, code := range slices.Sorted(maps.Keys(c.BankTLS)) {
		n, ok := number(code)
		if !ok {
			return nil, fmt.Errorf("bank_tls.%s: the ledger holds no profile of this bank", code)
		}
		t := c.BankTLS[code]
		conf, err := t.client()
		if err != nil {
			return nil, fmt.Errorf("bank_tls.%s: %w", code, err)
		}
		ciphered[n] = conf
	}
	d := &net.Dialer{KeepAlive: bankKeepAlive}
	return func(ctx context.Context, bank si.Bank, addr string) (banklink.Conn, error) {
		if conf := ciphered[bank]; conf != nil {
			return (&tls.Dialer{NetDialer: d, Config: conf}).DialContext(ctx, "tcp", addr)
		}
		return d.DialContext(ctx, "tcp", addr)
	}, nil
}
