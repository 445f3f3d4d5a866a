package profile

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// An archive is the one body that the ledger keeps of a profile: the letters
// SBP1, the length of spec.json in four bytes, little-endian, spec.json, and
// rules.yaml to the end. One profile has one archive.
const archiveMagic = "SBP1"

// ErrArchive is returned for bytes that are no archive.
var ErrArchive = errors.New("profile: not an archive of spec.json and rules.yaml")

// Pack makes the archive of two files that Load accepts.
func Pack(spec, rules []byte) ([]byte, error) {
	if _, err := Load(spec, rules); err != nil {
		return nil, err
	}
	n := len(archiveMagic) + 4 + len(spec) + len(rules)
	if n > ledgerapi.MaxConfig {
		return nil, fmt.Errorf("profile: archive of %d bytes is over the ledger's %d", n, ledgerapi.MaxConfig)
	}
	b := make([]byte, 0, n)
	b = append(b, archiveMagic...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(spec)))
	b = append(b, spec...)
	return append(b, rules...), nil
}

// Unpack gives the two files of an archive. They are parts of body.
func Unpack(body []byte) (spec, rules []byte, err error) {
	const head = len(archiveMagic) + 4
	if len(body) < head || len(body) > ledgerapi.MaxConfig || string(body[:len(archiveMagic)]) != archiveMagic {
		return nil, nil, ErrArchive
	}
	n := binary.LittleEndian.Uint32(body[len(archiveMagic):])
	if uint64(n) > uint64(len(body)-head) {
		return nil, nil, ErrArchive
	}
	return body[head : head+int(n)], body[head+int(n):], nil
}

// LoadArchive loads the profile of an archive.
func LoadArchive(body []byte) (*Profile, error) {
	spec, rules, err := Unpack(body)
	if err != nil {
		return nil, err
	}
	return Load(spec, rules)
}
