package envelope

import (
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/shebao-pay/shebao/si"
)

// Size is the length of every envelope: 32 bytes of encapsulated key, the padded
// fields and a tag of 16 bytes. One size for all tells nothing about a name.
const Size = 32 + plainSize + 16

// KeySize is the length of a public and of a private key (X25519).
const KeySize = 32

// ErrRefused is returned for an envelope that does not open: another key,
// terminal, card session or counter, a changed byte, or fields that no card has.
var ErrRefused = errors.New("envelope: refused")

// NewKey makes a pair of keys; the private one belongs into the HSM process.
func NewKey() (private, public []byte, err error) {
	k, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("envelope: make a key: %w", err)
	}
	return k.Bytes(), k.PublicKey().Bytes(), nil
}

// PublicKey is the public half of a private key.
func PublicKey(private []byte) ([]byte, error) {
	k, err := ecdh.X25519().NewPrivateKey(private)
	if err != nil {
		return nil, fmt.Errorf("envelope: private key: %w", err)
	}
	return k.PublicKey().Bytes(), nil
}

// Seal seals f to the hub's public key. The envelope opens only for the same
// terminal, card session and counter.
func Seal(hubKey []byte, terminal si.Terminal, cardSession [16]byte, counter uint64, f Fields) ([]byte, error) {
	pub, err := ecdh.X25519().NewPublicKey(hubKey)
	if err != nil {
		return nil, fmt.Errorf("envelope: hub key: %w", err)
	}
	pk, err := hpke.NewDHKEMPublicKey(pub)
	if err != nil {
		return nil, fmt.Errorf("envelope: hub key: %w", err)
	}
	plain, err := encode(&f)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	sealed, err := hpke.Seal(pk, hpke.HKDFSHA256(), hpke.AES256GCM(), info(terminal, cardSession, counter), plain)
	if err != nil {
		return nil, fmt.Errorf("envelope: seal: %w", err)
	}
	return sealed, nil
}

// Open opens what Seal made. Whether the counter is new is for the caller to say.
func Open(private []byte, terminal si.Terminal, cardSession [16]byte, counter uint64, sealed []byte) (Fields, error) {
	k, err := ecdh.X25519().NewPrivateKey(private)
	if err != nil {
		return Fields{}, fmt.Errorf("envelope: private key: %w", err)
	}
	sk, err := hpke.NewDHKEMPrivateKey(k)
	if err != nil {
		return Fields{}, fmt.Errorf("envelope: private key: %w", err)
	}
	if len(sealed) != Size {
		return Fields{}, fmt.Errorf("%w: %d bytes, want %d", ErrRefused, len(sealed), Size)
	}
	plain, err := hpke.Open(sk, hpke.HKDFSHA256(), hpke.AES256GCM(), info(terminal, cardSession, counter), sealed)
	if err != nil {
		return Fields{}, ErrRefused // why it does not open is nobody's business
	}
	defer clear(plain)
	return decode(plain)
}

// info binds an envelope to its terminal, card session and counter.
func info(terminal si.Terminal, cardSession [16]byte, counter uint64) []byte {
	b := append([]byte("shebao card envelope 1\x00"), 0, 0, 0, 0)
	binary.BigEndian.PutUint32(b[len(b)-4:], uint32(terminal))
	b = append(b, cardSession[:]...)
	return binary.BigEndian.AppendUint64(b, counter)
}
