// Package softhsm is the software implementation of the HSM process's payment
// verbs: named keys in a key store file sealed by a passphrase, working keys of
// bank links behind volatile handles, and nothing that gives out a clear key or
// PIN. cardauth/hsm puts it behind a socket; the process that runs it is the only
// place where a PIN is ever in clear on the hub.
//
// A key does one thing ([Usage]); any other use answers hsmapi.ErrKeyUsage. Keys
// that must die one day (memo keys by bank and date, person keys by region and
// year) stand here and in no log: [Store.Destroy] ends what they sealed.
//
// Caveats. It protects keys at rest, not against whoever controls the running
// process: it is a stand-in for a payment HSM, for demonstration and tests. The
// counters of card envelopes and the handles live in memory and begin anew with
// the process.
//
// Left out: key ceremonies by components, signing keys, and the copying of memo
// keys between nodes (AddKey takes the same bytes on each).
//
// Specification: docs/spec/keys-and-macs.md.
package softhsm

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"os"
	"sort"
	"sync"
	"sync/atomic"

	"golang.org/x/time/rate"

	"github.com/shebao-pay/shebao/cardauth/envelope"
	"github.com/shebao-pay/shebao/cardauth/mac"
	"github.com/shebao-pay/shebao/cardauth/pinblock"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/hsmapi"
)

// ErrExists is returned when a key of that name is already in the store.
var ErrExists = errors.New("softhsm: a key of this name exists")

// ErrFull is returned when the store holds MaxKeys keys.
var ErrFull = errors.New("softhsm: key store is full")

// ErrClosed is returned by a store that was closed.
var ErrClosed = errors.New("softhsm: closed")

// Limits bound the PIN translations of a store, so that nobody can use them to
// search for PINs. A zero value takes the default.
type Limits struct {
	PINPerSecond         int // of the whole store; default 3,000: a whole city at its peak and as much again
	PINPerTerminalSecond int // under one terminal's key; default 20: people type slower, tests of a fleet faster
}

// Store holds keys and answers the verbs. Any number of goroutines may use it.
type Store struct {
	mu     sync.RWMutex // guards everything below but handles and cards
	named  map[string]*entry
	sealer *sealer // nil in a volatile store
	person *entry  // the newest person key
	region si.Region
	closed bool

	nextRef     hsmapi.KeyRef
	generations map[string][]hsmapi.KeyRef
	handles     atomic.Pointer[map[hsmapi.KeyRef]*handle] // copied on write

	limits Limits
	pins   *rate.Limiter
	cards  counters
}

// entry is a named key, expanded for its usage.
type entry struct {
	namedKey
	name   string
	kcv    [4]byte
	pin    *pinblock.Cipher // PINAES, PINTDES
	pins   *rate.Limiter    // PINAES, PINTDES
	des    cipher.Block     // Master
	aead   cipher.AEAD      // Person, Memo
	hashes *sync.Pool       // Hash…: of hash.Hash
	year   int              // Person
}

// Create makes a key store file, which must not exist, and opens it.
func Create(path string, passphrase []byte) (*Store, error) {
	if _, err := os.Lstat(path); err == nil { // said before the passphrase is worked on; save makes sure
		return nil, fmt.Errorf("softhsm: create key store: %s: %w", path, os.ErrExist)
	}
	sealer, err := createSealer(path, passphrase)
	if err != nil {
		return nil, err
	}
	if err := sealer.save(nil, true); err != nil {
		return nil, err
	}
	s, err := newStore(nil)
	if err != nil {
		return nil, err
	}
	s.sealer = sealer
	return s, nil
}

// Open opens a key store file.
func Open(path string, passphrase []byte) (*Store, error) {
	sealer, keys, err := load(path, passphrase)
	if err != nil {
		return nil, err
	}
	s, err := newStore(keys)
	if err != nil {
		return nil, err
	}
	s.sealer = sealer
	return s, nil
}

// NewVolatile is a store without a file: its keys die with it.
func NewVolatile() (*Store, error) { return newStore(nil) }

func newStore(keys map[string]namedKey) (*Store, error) {
	s := &Store{named: make(map[string]*entry), generations: make(map[string][]hsmapi.KeyRef)}
	// Handles begin at a random number: one of an earlier process means nothing here.
	var first [4]byte
	if _, err := rand.Read(first[:]); err != nil {
		return nil, fmt.Errorf("softhsm: random start of handles: %w", err)
	}
	s.nextRef = hsmapi.KeyRef(binary.BigEndian.Uint32(first[:]))
	s.handles.Store(new(map[hsmapi.KeyRef]*handle))
	s.SetLimits(Limits{})
	for name, k := range keys {
		if err := s.put(name, k); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// SetLimits changes the bounds of PIN translation.
func (s *Store) SetLimits(l Limits) {
	if l.PINPerSecond <= 0 {
		l.PINPerSecond = 3000
	}
	if l.PINPerTerminalSecond <= 0 {
		l.PINPerTerminalSecond = 20
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limits = l
	s.pins = rate.NewLimiter(rate.Limit(l.PINPerSecond), l.PINPerSecond)
	for _, e := range s.named {
		if e.pin != nil {
			e.pins = rate.NewLimiter(rate.Limit(l.PINPerTerminalSecond), l.PINPerTerminalSecond)
		}
	}
}

// AddKey adds a key and does not return before it is on disk. The caller may
// wipe key afterwards.
func (s *Store) AddKey(name string, usage Usage, key []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addLocked(name, usage, key)
}

// GenerateKey adds a random key and answers its check value.
func (s *Store) GenerateKey(name string, usage Usage) ([4]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.generateLocked(name, usage)
}

func (s *Store) generateLocked(name string, usage Usage) ([4]byte, error) {
	key := make([]byte, usage.size())
	defer clear(key)
	if _, err := rand.Read(key); err != nil {
		return [4]byte{}, fmt.Errorf("softhsm: random key: %w", err)
	}
	if err := s.addLocked(name, usage, key); err != nil {
		return [4]byte{}, err
	}
	return s.named[name].kcv, nil
}

func (s *Store) addLocked(name string, usage Usage, key []byte) error {
	switch {
	case s.closed:
		return ErrClosed
	case s.named[name] != nil:
		return fmt.Errorf("%w: %q", ErrExists, name)
	case len(s.named) >= MaxKeys:
		return ErrFull
	}
	if err := s.put(name, namedKey{usage, append([]byte(nil), key...)}); err != nil {
		return err
	}
	if err := s.saveLocked(); err != nil {
		s.dropLocked(name)
		return err
	}
	return nil
}

// Destroy removes a key for ever. What it sealed cannot be opened again.
func (s *Store) Destroy(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	if s.named[name] == nil {
		return fmt.Errorf("%w: %q", hsmapi.ErrNoKey, name)
	}
	s.dropLocked(name)
	return s.saveLocked()
}

func (s *Store) dropLocked(name string) {
	e := s.named[name]
	clear(e.key)
	delete(s.named, name)
	if s.person == e {
		s.person = nil
		for _, other := range s.named {
			if other.usage == Person && (s.person == nil || other.year > s.person.year) {
				s.person = other
			}
		}
	}
}

func (s *Store) saveLocked() error {
	if s.sealer == nil {
		return nil
	}
	keys := make(map[string]namedKey, len(s.named))
	for name, e := range s.named {
		keys[name] = e.namedKey
	}
	return s.sealer.save(keys, false)
}

// put checks and expands a key and files it.
func (s *Store) put(name string, k namedKey) error {
	if err := checkKey(name, k.usage, k.key); err != nil {
		return err
	}
	e := &entry{namedKey: k, name: name}
	var err error
	if e.kcv, err = kcv(k.usage, k.key); err != nil {
		return err
	}
	switch k.usage {
	case PINAES, PINTDES:
		format := si.PINFormat4AES
		if k.usage == PINTDES {
			format = si.PINFormat0TDES
		}
		e.pin, err = pinblock.NewCipher(format, k.key)
		e.pins = rate.NewLimiter(rate.Limit(s.limits.PINPerTerminalSecond), s.limits.PINPerTerminalSecond)
	case Master:
		e.des, err = mac.DES(k.key)
	case HashID, HashCard, HashNo, HashPAN:
		own := append([]byte(nil), k.key...) // Close wipes the other one while this may be in use
		e.hashes = &sync.Pool{New: func() any { return hmac.New(sha256.New, own) }}
	case Person:
		var region si.Region
		region, e.year, _ = parsePersonName(name)
		if s.person != nil && region != s.region {
			return fmt.Errorf("%w: %q: this store serves region %d", ErrKeyForm, name, s.region)
		}
		s.region = region
		e.aead, err = newGCM(k.key)
	case Memo:
		e.aead, err = newGCM(k.key)
	case Envelope:
		_, err = envelope.PublicKey(k.key)
	default: // Protect: expanded by tr31 for each block
	}
	if err != nil {
		return fmt.Errorf("%w: %q: %w", ErrKeyForm, name, err)
	}
	s.named[name] = e
	if k.usage == Person && (s.person == nil || e.year > s.person.year) {
		s.person = e
	}
	return nil
}

func newGCM(key []byte) (cipher.AEAD, error) {
	b, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(b)
}

// find answers a named key that may do one of the usages.
func (s *Store) find(name string, usages ...Usage) (*entry, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return nil, ErrClosed
	}
	e := s.named[name]
	if e == nil {
		return nil, fmt.Errorf("%w: %q", hsmapi.ErrNoKey, name)
	}
	for _, u := range usages {
		if e.usage == u {
			return e, nil
		}
	}
	return nil, fmt.Errorf("%w: %q is %s", hsmapi.ErrKeyUsage, name, e.usage)
}

// withKey lends the bytes of a key, which nobody wipes meanwhile. A key that was
// destroyed since it was found reads as zeros and opens nothing.
func (s *Store) withKey(e *entry, use func(key []byte)) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	use(e.key)
}

// KeyInfo is what may be shown of a key.
type KeyInfo struct {
	Name  string
	Usage Usage
	KCV   [4]byte
}

// Keys lists the named keys by name.
func (s *Store) Keys() []KeyInfo {
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := make([]KeyInfo, 0, len(s.named))
	for _, e := range s.named {
		list = append(list, KeyInfo{e.name, e.usage, e.kcv})
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Name < list[j].Name })
	return list
}

// Close wipes the keys. The expanded forms inside the ciphers are left to the
// garbage collector; the process should end soon.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.named {
		clear(e.key)
	}
	s.named = map[string]*entry{}
	s.person = nil
	s.closed = true
	s.handles.Store(new(map[hsmapi.KeyRef]*handle))
	return nil
}

// EnvelopeKey is the public key that terminals seal card envelopes to: of the
// newest generation.
func (s *Store) EnvelopeKey(context.Context) ([]byte, error) {
	keys := s.envelopeKeys()
	if len(keys) == 0 {
		return nil, fmt.Errorf("%w: no envelope key", hsmapi.ErrNoKey)
	}
	var public []byte
	var err error
	s.withKey(keys[0], func(key []byte) { public, err = envelope.PublicKey(key) })
	return public, err
}

// envelopeKeys lists the envelope keys, newest first.
func (s *Store) envelopeKeys() []*entry {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var keys []*entry
	for _, e := range s.named {
		if e.usage == Envelope {
			keys = append(keys, e)
		}
	}
	sort.Slice(keys, func(i, j int) bool { return keys[i].name > keys[j].name })
	return keys
}

// sum makes a keyed hash.
func (e *entry) sum(data []byte) (out si.Hash) {
	h := e.hashes.Get().(hash.Hash)
	h.Reset()
	_, _ = h.Write(data) // a hash never fails
	var full [sha256.Size]byte
	copy(out[:], h.Sum(full[:0]))
	e.hashes.Put(h)
	return out
}
