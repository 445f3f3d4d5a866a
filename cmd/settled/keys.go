package main

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/shebao-pay/shebao/cardauth/hsm"
	"github.com/shebao-pay/shebao/cardauth/softhsm"
)

// Bounds of key work.
const (
	maxParts  = 8           // of one key: more hands than any ceremony has
	dialProbe = time.Second // for seeing whether the HSM process runs
)

const keysUsage = `-hsm keys create                   make the key store of the file, empty
-hsm keys add NAME PART PART …     add a key made of parts that different persons hold
-hsm keys random NAME              add a key that nobody knows
-hsm keys list                     names, usages and check values`

// workKeys does one piece of work on the key store while the HSM process is
// down: a running one holds the keys in memory and would write its own over it.
func workKeys(c *HSMConfig, args []string, out io.Writer) error {
	if conn, err := net.DialTimeout("unix", c.Socket, dialProbe); err == nil {
		_ = conn.Close()
		return fmt.Errorf("the HSM process is running on %s; stop it first", c.Socket)
	}
	passphrase, err := hsm.ReadSecretLine(c.PassphraseFile)
	if err != nil {
		return err
	}
	defer clear(passphrase)
	if len(args) == 1 && args[0] == "create" {
		s, err := softhsm.Create(c.KeyStore, passphrase)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(out, "%s: an empty key store\n", c.KeyStore)
		return errors.Join(err, s.Close())
	}
	s, err := softhsm.Open(c.KeyStore, passphrase)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }() // only wipes
	switch {
	case len(args) == 1 && args[0] == "list":
		for _, k := range s.Keys() {
			if err := showKey(out, k); err != nil {
				return err
			}
		}
		return nil
	case len(args) == 2 && args[0] == "random":
		usage, err := usageOf(args[1])
		if err != nil {
			return err
		}
		if _, err := s.GenerateKey(args[1], usage); err != nil {
			return err
		}
	case len(args) >= 4 && args[0] == "add":
		if err := addParts(s, args[1], args[2:]); err != nil {
			return err
		}
	default:
		return fmt.Errorf("settled %s", strings.ReplaceAll(keysUsage, "\n", "\n        settled "))
	}
	for _, k := range s.Keys() {
		if k.Name == args[1] {
			return showKey(out, k)
		}
	}
	return nil
}

func showKey(out io.Writer, k softhsm.KeyInfo) error {
	_, err := fmt.Fprintf(out, "%-28s %-10s check value %X\n", k.Name, k.Usage, k.KCV)
	return err
}

func usageOf(name string) (softhsm.Usage, error) {
	if u := softhsm.UsageOf(name); u != 0 {
		return u, nil
	}
	return 0, fmt.Errorf("%q has the form of no key: docs/spec/keys-and-macs.md lists the names", name)
}

// addParts adds the key that is the exclusive-or of its parts. No part alone
// says anything of it.
func addParts(s *softhsm.Store, name string, files []string) error {
	usage, err := usageOf(name)
	if err != nil {
		return err
	}
	if len(files) > maxParts {
		return fmt.Errorf("%d parts, at most %d", len(files), maxParts)
	}
	var key []byte
	defer func() { clear(key) }()
	var seen [][]byte
	for _, file := range files {
		part, err := readPart(file)
		if err != nil {
			return err
		}
		defer clear(part)
		for _, other := range seen {
			if bytes.Equal(other, part) {
				return fmt.Errorf("%s: the same part as another, which would cancel it", file)
			}
		}
		seen = append(seen, part)
		if key == nil {
			key = make([]byte, len(part))
		}
		if len(part) != len(key) {
			return fmt.Errorf("%s: %d bytes, the parts before have %d", file, len(part), len(key))
		}
		for i := range key {
			key[i] ^= part[i]
		}
	}
	return s.AddKey(name, usage, key)
}

// readPart reads a file of hexadecimal digits.
func readPart(file string) ([]byte, error) {
	text, err := hsm.ReadSecretLine(file)
	if err != nil {
		return nil, err
	}
	defer clear(text)
	part := make([]byte, hex.DecodedLen(len(text)))
	if _, err := hex.Decode(part, text); err != nil || len(part) == 0 {
		return nil, fmt.Errorf("%s: the first line is not hexadecimal digits", file)
	}
	return part, nil
}
