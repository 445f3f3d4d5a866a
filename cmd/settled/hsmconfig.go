package main

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// maxPINRate bounds the PIN limits of the HSM process: ten times the peak of a
// whole city.
const maxPINRate = 30_000

// HSMConfig is the file of the HSM process.
type HSMConfig struct {
	// Socket is the Unix socket that settled connects to.
	Socket string `yaml:"socket"`

	// KeyStore is the sealed file with the keys.
	KeyStore string `yaml:"key_store"`

	// PassphraseFile holds the passphrase that opens the key store on its first
	// line; nobody else may be able to read it.
	PassphraseFile string `yaml:"passphrase_file"`

	// UIDs are the users that may connect; empty: this process's own.
	UIDs []uint32 `yaml:"uids"`

	// PINPerSecond and PINPerTerminalSecond bound PIN translations, of the whole
	// process and under one terminal's key; 0 keeps the default (3,000 and 20).
	PINPerSecond         int `yaml:"pin_per_second"`
	PINPerTerminalSecond int `yaml:"pin_per_terminal_second"`

	// Demo must be true: the software key store is no payment HSM, and a real
	// installation puts its own behind the same socket.
	Demo bool `yaml:"demo"`
}

func loadHSMConfig(path string) (HSMConfig, error) {
	f, err := os.Open(path) // #nosec G304 -- the operator names the file
	if err != nil {
		return HSMConfig{}, fmt.Errorf("config: %w", err)
	}
	defer func() { _ = f.Close() }()
	c, err := readHSMConfig(f)
	if err != nil {
		return c, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

func readHSMConfig(r io.Reader) (HSMConfig, error) {
	var c HSMConfig
	if err := decode(r, &c); err != nil {
		return c, err
	}
	return c, c.check()
}

func (c *HSMConfig) check() error {
	var m mistakes
	m.socket("socket", c.Socket)
	m.need("key_store", c.KeyStore)
	m.need("passphrase_file", c.PassphraseFile)
	m.within("pin_per_second", c.PINPerSecond, 0, maxPINRate)
	m.within("pin_per_terminal_second", c.PINPerTerminalSecond, 0, maxPINRate)
	if !c.Demo {
		m.bad("demo: the software key store serves PINs in a demo only (demo: true); a real installation needs a payment HSM behind this socket")
	}
	return errors.Join(m.errs...)
}
