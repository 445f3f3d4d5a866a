package main

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
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
-hsm keys random NAME …            add keys that nobody knows
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
	work, err := parseWork(args)
	if err != nil {
		return err
	}
	defer clear(work.key)
	s, err := softhsm.Open(c.KeyStore, passphrase)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }() // only wipes
	for i, name := range work.names {
		if work.key != nil {
			err = s.AddKey(name, work.usages[i], work.key)
		} else {
			_, err = s.GenerateKey(name, work.usages[i])
		}
		if err != nil {
			return err
		}
	}
	return showKeys(out, s, work.names)
}

// keyWork is what is to be done with the opened store: nothing but showing it
// when there are no names.
type keyWork struct {
	names  []string
	usages []softhsm.Usage
	key    []byte // of the one name; nil makes a random key for each
}

// parseWork checks everything that can be checked before the store is opened,
// which takes its time on purpose.
func parseWork(args []string) (w keyWork, err error) {
	switch {
	case len(args) == 1 && args[0] == "list":
		return w, nil
	case len(args) >= 2 && args[0] == "random":
		w.names = args[1:]
	case len(args) >= 4 && args[0] == "add":
		w.names = args[1:2]
	default:
		return w, fmt.Errorf("settled %s", strings.ReplaceAll(keysUsage, "\n", "\n        settled "))
	}
	for _, name := range w.names {
		u := softhsm.UsageOf(name)
		if u == 0 {
			return w, fmt.Errorf("%q has the form of no key: docs/spec/keys-and-macs.md lists the names", name)
		}
		w.usages = append(w.usages, u)
	}
	if args[0] == "add" {
		w.key, err = joinParts(args[2:])
	}
	return w, err
}

// showKeys shows those of the names; nil is all.
func showKeys(out io.Writer, s *softhsm.Store, names []string) error {
	for _, k := range s.Keys() {
		if names != nil && !slices.Contains(names, k.Name) {
			continue
		}
		if _, err := fmt.Fprintf(out, "%-28s %-10s check value %X\n", k.Name, k.Usage, k.KCV); err != nil {
			return err
		}
	}
	return nil
}

// joinParts gives the key that is the exclusive-or of its parts. No part alone
// says anything of it.
func joinParts(files []string) (key []byte, err error) {
	if len(files) > maxParts {
		return nil, fmt.Errorf("%d parts, at most %d", len(files), maxParts)
	}
	defer func() {
		if err != nil {
			clear(key)
			key = nil
		}
	}()
	var seen [][]byte
	for _, file := range files {
		part, err := readPart(file)
		if err != nil {
			return key, err
		}
		defer clear(part)
		for _, other := range seen {
			if bytes.Equal(other, part) {
				return key, fmt.Errorf("%s: the same part as another, which would cancel it", file)
			}
		}
		seen = append(seen, part)
		if key == nil {
			key = make([]byte, len(part))
		}
		if len(part) != len(key) {
			return key, fmt.Errorf("%s: %d bytes, the parts before have %d", file, len(part), len(key))
		}
		for i := range key {
			key[i] ^= part[i]
		}
	}
	return key, nil
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
