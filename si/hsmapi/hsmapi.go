// Package hsmapi is the vocabulary of the HSM process: requests and answers of
// its payment verbs as plain structs. No answer carries a clear key or PIN.
// cardauth/hsm has the wire form and the client, cardauth/softhsm the software
// implementation; whoever needs a verb declares it as an interface of its own.
package hsmapi

import (
	"errors"

	"github.com/shebao-pay/shebao/si"
)

// Errors that callers branch on. The wire form carries them by number.
var (
	ErrNoKey     = errors.New("hsm: no such key")
	ErrKeyUsage  = errors.New("hsm: key is not for this use")
	ErrKCV       = errors.New("hsm: key check value differs")
	ErrKeyBlock  = errors.New("hsm: key block refused")
	ErrPINBlock  = errors.New("hsm: PIN block refused")
	ErrEnvelope  = errors.New("hsm: card envelope refused")
	ErrReplayed  = errors.New("hsm: card envelope counter was seen before")
	ErrForm      = errors.New("hsm: malformed request")
	ErrRateLimit = errors.New("hsm: too many PIN translations")
	ErrAway      = errors.New("hsm: process does not answer")
)

// KeyRef is a handle of a key inside the HSM process. It dies with that
// process; 0 is none. Long-lived keys are also known by name.
type KeyRef uint32

// MACAlg is a message authentication code of a bank profile
// (docs/spec/keys-and-macs.md).
type MACAlg uint8

// The algorithms.
const (
	MACCUPECB   MACAlg = iota + 1 // CUP ECB-MAC, 8 ASCII hex characters
	MACX919Pad1                   // ISO 9797-1 alg 3, zero padding
	MACX919Pad2                   // ISO 9797-1 alg 3, padding 80
	MACAESCMAC                    // RFC 4493, left 8 bytes
	MACSM4CMAC                    // RFC 4493 over SM4, left 8 bytes
	MACSM4POS                     // POS shape with 16-byte blocks, first 8 bytes
)

// MACJob is one code to make or to check. Jobs travel in batches: one call
// carries the checks of all frames read together and the codes of all answers
// about to be written.
type MACJob struct {
	Key    KeyRef
	Alg    MACAlg
	Verify bool
	Data   []byte
	MAC    [8]byte // made, or to be checked
	OK     bool    // the code was made, or it fits (compared in constant time)
}

// MaxMACJobs bounds one batch of jobs.
const MaxMACJobs = 1024

// WorkingKeys answers an import: handles of the new generation with check values.
type WorkingKeys struct {
	PIN    KeyRef
	MAC    KeyRef
	PINKCV [4]byte
	MACKCV [4]byte
}

// ImportDE62 unwraps the 40 bytes of DE 62 of a sign-on answer under a terminal
// master key. The check values in the block must fit.
type ImportDE62 struct {
	TMK       string // name, such as "icbc/tmk/90110001"
	Block     []byte
	MAKDouble bool // the MAK slot holds a full 16-byte key
	MACAlg    MACAlg
	PINFormat si.PINFormat
}

// ImportTR31 unwraps one key block (ANSI X9.143, TR-31) under a named key block
// protection key. The usage in the header must be that of the wanted key.
type ImportTR31 struct {
	KBPK      string // name, such as "ccb/kbpk"
	Block     string
	ForPIN    bool // P0; otherwise a MAC key (M*)
	MACAlg    MACAlg
	PINFormat si.PINFormat
	// SM4Code is the header's algorithm letter for an SM4 key; 0 takes SM4Algorithm.
	// It says nothing about other keys: A is AES and T is 3DES everywhere.
	SM4Code byte
}

// SM4Algorithm marks an SM4 key in a key block header where a bank says nothing
// else. ANSI X9.143 has no letter for SM4 and leaves the digits to private use.
const SM4Algorithm = '4'

// ImportedKey answers ImportTR31.
type ImportedKey struct {
	Key KeyRef
	KCV [4]byte
}

// TranslatePIN re-enciphers a PIN block from a terminal's key to a bank link's
// key. The PAN never changes and the pair of formats is fixed for a link.
type TranslatePIN struct {
	From       string // name of the terminal's PIN key, such as "terminal/1/tpk"
	FromFormat si.PINFormat
	To         KeyRef
	ToFormat   si.PINFormat
	PAN        si.PAN
	Block      si.PINBlock
}

// OpenCard opens a card envelope sealed by a terminal
// (docs/spec/keys-and-macs.md).
type OpenCard struct {
	Terminal    si.Terminal
	CardSession [16]byte
	Counter     uint64
	Sealed      []byte
}

// CardOpened is what leaves the HSM process of a card: hashes, and PAN and
// track for the switch. The ID number leaves as IDHash only.
type CardOpened struct {
	IDHash   si.Hash
	CardHash si.Hash
	NoHash   si.Hash
	PANHash  si.Hash
	PAN      si.PAN
	PSN      string // 2 digits
	Track2   si.Track2
	Expiry   string // YYMM
	Name     si.Name
}

// HashKind says what a keyed hash is of; each has a key of its own.
type HashKind uint8

// The kinds.
const (
	HashIDNumber HashKind = iota + 1
	HashCardID            // 卡识别码
	HashCardNo            // 卡号
	HashPAN
)

// PersonRecord is what is sealed of a person: never readable in the ledger.
type PersonRecord struct {
	IDNumber si.IDNumber
	Name     si.Name
	Phone    string
	Address  string
}

// SealedPerson answers the sealing of a PersonRecord.
type SealedPerson struct {
	IDHash si.Hash
	Blob   []byte
}

// PersonView answers the opening of a sealed person: what a screen or paper may
// show, and no more.
type PersonView struct {
	MaskedName string // 李*明
	IDTail     string // last four characters
}

// CardRecord is what is hashed of an issued card.
type CardRecord struct {
	IDNumber si.IDNumber
	CardID   string // 卡识别码, 32 hexadecimal digits (16 bytes)
	CardNo   string // 9 characters
	PAN      si.PAN
}

// CardHashes answers the hashing of a CardRecord.
type CardHashes struct {
	IDHash, CardHash, NoHash, PANHash si.Hash
}

// MaxPersons bounds one batch of person or card records. The crossing of the
// socket costs as much as some fifty records, so that a longer batch would win
// nothing; one of this size holds a worker of the process for some 2 ms, which a
// payment's verb can wait, and stays below the longest frame, a batch of codes.
const MaxPersons = 1000

// PersonRevision is what another register says of a person whose sealed record
// we hold.
type PersonRevision struct {
	IDNumber si.IDNumber
	Name     si.Name // zero: the other register does not say
	Blob     []byte  // ours, of the same person
}

// PersonRevised answers a PersonRevision: whether the names differ, what a
// report may show of ours, and, if they differ, our record sealed anew with the
// other name.
type PersonRevised struct {
	View        PersonView
	NameDiffers bool
	Blob        []byte
}

// SealMemo seals or opens settlement's note on a reservation under the key of
// (bank, business date), which dies with the date's refund window.
type SealMemo struct {
	Bank    si.Bank
	Date    si.BusinessDate
	Payment si.PaymentID // bound as additional data
	Data    []byte
}
