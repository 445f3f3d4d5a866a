// Package tr31 wraps and unwraps key blocks (ANSI X9.143, formerly TR-31): a key
// under a key block protection key, with its use written in a header that is
// bound to it.
//
// Versions D (AES) and B (3DES, key derivation) are written and read, A and C
// (3DES, key variants) are read only. [Unwrap] gives a key to nobody who has not
// said what it is for: the caller's [Accept] names versions, usages, algorithms
// and modes, and a block whose header says otherwise is refused even if it is
// genuine.
//
// SM4 keys have no algorithm letter in the standard; the caller passes the one
// that its bank uses (by default a digit, which the standard leaves to private
// use). Optional header blocks are checked for form and otherwise not used; none
// is written.
//
// Specification: ANSI X9.143-2021; docs/spec/keys-and-macs.md.
package tr31

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Versions of a key block.
const (
	VersionA = 'A' // 3DES, variants; read only
	VersionB = 'B' // 3DES, derived keys
	VersionC = 'C' // 3DES, variants; read only
	VersionD = 'D' // AES, derived keys
)

// Usages (X9.143, table 2) that are in use here.
const (
	UsageBDK    = "B0" // base derivation key
	UsageData   = "D0" // data encipherment
	UsageKEK    = "K0" // key encipherment, wrapping
	UsageKBPK   = "K1" // key block protection
	UsageMAC919 = "M3" // ISO 9797-1 MAC algorithm 3, retail MAC
	UsageCMAC   = "M6" // ISO 9797-1:2011 MAC algorithm 5, CMAC
	UsagePIN    = "P0" // PIN encipherment
)

// Algorithms (X9.143, table 3).
const (
	AlgorithmAES  = 'A'
	AlgorithmDES  = 'D'
	AlgorithmHMAC = 'H'
	AlgorithmTDES = 'T'
)

// Modes of use (X9.143, table 4).
const (
	ModeBoth     = 'B' // encipher and decipher
	ModeMAC      = 'C' // make and verify codes
	ModeDecrypt  = 'D'
	ModeEncrypt  = 'E'
	ModeGenerate = 'G'
	ModeNone     = 'N' // no special restriction
	ModeVerify   = 'V'
)

// Bounds.
const (
	headerLen = 16
	// MaxBlock bounds a block: the header, its optional blocks and a 64-byte key
	// padded and in hexadecimal stay far below it. The length field could say 9,999.
	MaxBlock = 1024
	// maxKey bounds the key inside: HMAC keys of 64 bytes are the longest in use.
	maxKey = 64
)

// ErrRefused is returned for every block that is not genuine, not well formed or
// not for the use asked for.
var ErrRefused = errors.New("tr31: key block refused")

// Header is what a key block says of its key.
type Header struct {
	Version       byte
	Usage         string // 2 characters
	Algorithm     byte
	Mode          byte
	KeyVersion    string // 2 characters, "00" if not used
	Exportability byte   // E under a key block key, N never, S sensitive
	Optional      []Optional
}

// Optional is one optional block of a header.
type Optional struct {
	ID   string // 2 characters
	Data string
}

// Accept says which keys a caller wants. An empty list accepts nothing.
type Accept struct {
	Versions   string   // such as "BD"
	Usages     []string // such as "P0"
	Algorithms string   // such as "A"
	Modes      string   // such as "EBN"
}

func (a Accept) check(h Header) error {
	usage := false
	for _, u := range a.Usages {
		usage = usage || u == h.Usage
	}
	switch {
	case strings.IndexByte(a.Versions, h.Version) < 0:
		return fmt.Errorf("%w: version %q is not accepted here", ErrRefused, h.Version)
	case !usage:
		return fmt.Errorf("%w: usage %q is not %v", ErrRefused, h.Usage, a.Usages)
	case strings.IndexByte(a.Algorithms, h.Algorithm) < 0:
		return fmt.Errorf("%w: algorithm %q is not one of %q", ErrRefused, h.Algorithm, a.Algorithms)
	case strings.IndexByte(a.Modes, h.Mode) < 0:
		return fmt.Errorf("%w: mode %q is not one of %q", ErrRefused, h.Mode, a.Modes)
	}
	return nil
}

// parse reads the header of a block and checks the block's form: length,
// alphabet, optional blocks. It answers where the ciphertext begins.
func parse(block string) (h Header, body int, err error) {
	refuse := func(what string) (Header, int, error) {
		return Header{}, 0, fmt.Errorf("%w: %s", ErrRefused, what)
	}
	if len(block) < headerLen || len(block) > MaxBlock {
		return refuse("length")
	}
	for i := range len(block) {
		if block[i] < 0x20 || block[i] > 0x7E {
			return refuse("a character is not printable ASCII")
		}
	}
	if !isDigits(block[1:5]) || !isDigits(block[12:14]) || block[14:16] != "00" {
		return refuse("length, count of optional blocks or reserved field")
	}
	if n, _ := strconv.Atoi(block[1:5]); n != len(block) {
		return refuse("length field differs from the length")
	}
	h = Header{
		Version: block[0], Usage: block[5:7], Algorithm: block[7], Mode: block[8],
		KeyVersion: block[9:11], Exportability: block[11],
	}
	if strings.IndexByte("ENS", h.Exportability) < 0 {
		return refuse("exportability")
	}
	count, _ := strconv.Atoi(block[12:14])
	body = headerLen
	for range count {
		if len(block) < body+4 {
			return refuse("optional block is cut")
		}
		n, err := strconv.ParseUint(block[body+2:body+4], 16, 8)
		if err != nil || n < 4 || body+int(n) > len(block) {
			return refuse("length of an optional block") // also the extended form, which nobody here needs
		}
		o := Optional{ID: block[body : body+2], Data: block[body+4 : body+int(n)]}
		for _, before := range h.Optional {
			if before.ID == o.ID {
				return refuse("optional block comes twice")
			}
		}
		h.Optional = append(h.Optional, o)
		body += int(n)
	}
	return h, body, nil
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// text writes the header of a block of the given total length.
func (h Header) text(total int) (string, error) {
	if len(h.Usage) != 2 || len(h.KeyVersion) != 2 || len(h.Optional) != 0 {
		return "", fmt.Errorf("tr31: header has no two-character usage and key version, or has optional blocks")
	}
	return fmt.Sprintf("%c%04d%s%c%c%s%c0000", h.Version, total, h.Usage, h.Algorithm, h.Mode, h.KeyVersion, h.Exportability), nil
}
