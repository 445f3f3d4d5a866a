package softhsm

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"

	"golang.org/x/crypto/argon2"
)

// The key store file: a header in clear, then everything else sealed.
//
//	magic "SBKS" | form 1 | time u32 | memory KiB u32 | lanes u8 | salt 16 | nonce 12 | AES-256-GCM
//
// The sealing key is argon2id of the passphrase; the header is the additional
// data. Inside: count u32, then per key, by name: name length u8, name, usage u8,
// key length u8, key.
const (
	magic     = "SBKS\x01"
	saltLen   = 16
	nonceLen  = 12
	headerLen = len(magic) + 4 + 4 + 1 + saltLen + nonceLen

	// Cost of a new store: the second recommended choice of RFC 9106.
	argonTime   = 3
	argonMemory = 64 * 1024
	argonLanes  = 4
	// Bounds when opening, so that a forged header cannot exhaust the machine.
	maxArgonTime   = 16
	maxArgonMemory = 1024 * 1024

	// MaxKeys bounds a store: 40 banks with 60 dates of memo keys, 1,000 terminals
	// and the rest fit.
	MaxKeys = 8192
	maxName = 64
	maxKey  = 64
	maxFile = headerLen + 4 + MaxKeys*(3+maxName+maxKey) + 16

	// MinPassphrase is the shortest passphrase a store is made with, in bytes.
	MinPassphrase = 8
)

// ErrPassphrase is returned when a store does not open: the passphrase is wrong or
// the file was changed. The two cannot be told apart.
var ErrPassphrase = errors.New("softhsm: wrong passphrase, or the key store was changed")

// ErrKeyStore is returned for a file that is no key store.
var ErrKeyStore = errors.New("softhsm: not a key store")

type namedKey struct {
	usage Usage
	key   []byte
}

// sealer keeps the sealing key of an open store, not the passphrase.
type sealer struct {
	path string
	head [headerLen - nonceLen]byte // everything before the nonce
	aead cipher.AEAD
}

func newSealer(path string, head [headerLen - nonceLen]byte, passphrase []byte) (*sealer, error) {
	fixed := head[len(magic):]
	passes, memory, lanes := binary.BigEndian.Uint32(fixed), binary.BigEndian.Uint32(fixed[4:]), fixed[8]
	if passes == 0 || passes > maxArgonTime || memory == 0 || memory > maxArgonMemory || lanes == 0 {
		return nil, fmt.Errorf("%w: %s: cost parameters", ErrKeyStore, path)
	}
	key := argon2.IDKey(passphrase, fixed[9:9+saltLen], passes, memory, lanes, 32)
	defer clear(key)
	b, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("softhsm: sealing key: %w", err)
	}
	s := &sealer{path: path, head: head}
	if s.aead, err = cipher.NewGCM(b); err != nil {
		return nil, fmt.Errorf("softhsm: sealing key: %w", err)
	}
	return s, nil
}

func createSealer(path string, passphrase []byte) (*sealer, error) {
	if len(passphrase) < MinPassphrase {
		return nil, fmt.Errorf("softhsm: passphrase has %d bytes, want at least %d", len(passphrase), MinPassphrase)
	}
	var head [headerLen - nonceLen]byte
	b := append(head[:0], magic...)
	b = binary.BigEndian.AppendUint32(b, argonTime)
	b = binary.BigEndian.AppendUint32(b, argonMemory)
	b = append(b, argonLanes)
	if _, err := rand.Read(head[len(b):]); err != nil {
		return nil, fmt.Errorf("softhsm: random salt: %w", err)
	}
	return newSealer(path, head, passphrase)
}

// load reads and opens a store file.
func load(path string, passphrase []byte) (*sealer, map[string]namedKey, error) {
	f, err := os.Open(path) // #nosec G304 -- the operator names the key store
	if err != nil {
		return nil, nil, fmt.Errorf("softhsm: open key store: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	file, err := io.ReadAll(io.LimitReader(f, int64(maxFile)+1))
	if err != nil {
		return nil, nil, fmt.Errorf("softhsm: read key store: %w", err)
	}
	if len(file) < headerLen+16 || len(file) > maxFile || string(file[:len(magic)]) != magic {
		return nil, nil, fmt.Errorf("%w: %s", ErrKeyStore, path)
	}
	s, err := newSealer(path, [headerLen - nonceLen]byte(file), passphrase)
	if err != nil {
		return nil, nil, err
	}
	plain, err := s.aead.Open(nil, file[headerLen-nonceLen:headerLen], file[headerLen:], file[:headerLen])
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %s", ErrPassphrase, path)
	}
	defer clear(plain)
	keys, err := decodeKeys(plain)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %s", err, path)
	}
	return s, keys, nil
}

// save writes the whole store beside the old one and renames it; a crash leaves
// the old or the new one. It does not return before both file and folder are
// synced: a key that dies with a crash takes what it sealed with it.
func (s *sealer) save(keys map[string]namedKey, exclusive bool) (err error) {
	plain := encodeKeys(keys)
	defer clear(plain)
	file := append(make([]byte, 0, headerLen+len(plain)+16), s.head[:]...)
	var nonce [nonceLen]byte
	if _, err := rand.Read(nonce[:]); err != nil {
		return fmt.Errorf("softhsm: random nonce: %w", err)
	}
	file = append(file, nonce[:]...)
	file = s.aead.Seal(file, nonce[:], plain, file[:headerLen]) // #nosec G407 -- the nonce is random, see above

	dir := filepath.Dir(s.path)
	tmp, err := os.CreateTemp(dir, filepath.Base(s.path)+".new*") // mode 0600
	if err != nil {
		return fmt.Errorf("softhsm: save key store: %w", err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("softhsm: save key store: %w", err)
			_ = tmp.Close()           // the first error is the one to tell
			_ = os.Remove(tmp.Name()) // likewise
		}
	}()
	if _, err := tmp.Write(file); err != nil {
		return err
	}
	if err := tmp.Sync(); err != nil {
		return err
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	if exclusive { // a link fails where a rename would replace another store
		if err := os.Link(tmp.Name(), s.path); err != nil {
			return err
		}
		if err := os.Remove(tmp.Name()); err != nil {
			return err
		}
	} else if err := os.Rename(tmp.Name(), s.path); err != nil {
		return err
	}
	d, err := os.Open(dir) // #nosec G304 -- the folder of the key store the operator names
	if err != nil {
		return err
	}
	if err := d.Sync(); err != nil {
		_ = d.Close() // the first error is the one to tell
		return err
	}
	return d.Close()
}

func encodeKeys(keys map[string]namedKey) []byte {
	names := make([]string, 0, len(keys))
	for name := range keys {
		names = append(names, name)
	}
	sort.Strings(names)
	b := make([]byte, 0, 4+len(keys)*(3+maxName+maxKey)) // never grown: no clear copies left behind
	b = binary.BigEndian.AppendUint32(b, uint32(len(keys)))
	for _, name := range names {
		k := keys[name]
		b = append(b, byte(len(name)))
		b = append(b, name...)
		b = append(b, byte(k.usage), byte(len(k.key)))
		b = append(b, k.key...)
	}
	return b
}

func decodeKeys(b []byte) (map[string]namedKey, error) {
	r := bytes.NewReader(b)
	var count uint32
	if err := binary.Read(r, binary.BigEndian, &count); err != nil || count > MaxKeys {
		return nil, fmt.Errorf("%w: count of keys", ErrKeyStore)
	}
	keys := make(map[string]namedKey, count)
	take := func() ([]byte, bool) {
		n, err := r.ReadByte()
		if err != nil || int(n) > r.Len() {
			return nil, false
		}
		v := make([]byte, n)
		_, err = io.ReadFull(r, v)
		return v, err == nil
	}
	for range count {
		name, ok := take()
		if !ok {
			return nil, fmt.Errorf("%w: a key is cut", ErrKeyStore)
		}
		usage, err := r.ReadByte()
		key, ok := take()
		if err != nil || !ok {
			return nil, fmt.Errorf("%w: a key is cut", ErrKeyStore)
		}
		if err := checkKey(string(name), Usage(usage), key); err != nil {
			return nil, err
		}
		if _, twice := keys[string(name)]; twice {
			return nil, fmt.Errorf("%w: key %q comes twice", ErrKeyStore, name)
		}
		keys[string(name)] = namedKey{Usage(usage), key}
	}
	if r.Len() != 0 {
		return nil, fmt.Errorf("%w: bytes behind the last key", ErrKeyStore)
	}
	return keys, nil
}
