package engine

import (
	"encoding/binary"
	"errors"

	"github.com/shebao-pay/shebao/si"
)

// Memo is what a reversal needs of a payment that the ledger does not know:
// the link that carried it, the card, and the chip data that reversals carry.
// It holds no track, PIN block or cryptogram. The shell seals it under the key
// of the bank's day, so the copies in the log die with that key.
type Memo struct {
	Tries  uint16  // reversal attempts, the one about to be made included
	Reason [2]byte // DE 39 of the reversal
	Acq    [8]byte // DE 41 of the link
	Batch  uint32  // DE 60.2
	Auth   [6]byte // DE 38, zero bytes if unknown
	PAN    si.PAN
	PSN    string // DE 23
	Expiry string // DE 14
	EMV    []byte // the tags of the profile's reversal list
	Script []byte // the tags of its script list, while a script notice waits
}

// The first byte of the encoding: a memo with a script notice has a version of
// its own, so that every other stays as it was.
const (
	memoVersion       = 1
	memoVersionScript = 2
)

// MaxMemoBytes bounds the encoding, which leaves the seal its part of
// ledgerapi.MaxMemo: fixed part, PAN, PSN, expiry and twice 255 bytes of chip data.
const MaxMemoBytes = 23 + 1 + 19 + 1 + 3 + 1 + 4 + 1 + 255 + 1 + 255

// forReversal is why the engine reads a PAN.
const forReversal si.Purpose = "reversal memo"

// ErrMemo is returned for bytes that are no memo.
var ErrMemo = errors.New("engine: memo has the wrong form")

// AppendMemo appends the canonical encoding.
func AppendMemo(dst []byte, m *Memo) ([]byte, error) {
	if len(m.PSN) > 3 || len(m.Expiry) > 4 || len(m.EMV) > 255 || len(m.Script) > 255 || m.PAN.IsZero() {
		return dst, ErrMemo
	}
	version := byte(memoVersion)
	if len(m.Script) > 0 {
		version = memoVersionScript
	}
	dst = append(dst, version)
	dst = binary.LittleEndian.AppendUint16(dst, m.Tries)
	dst = append(dst, m.Reason[:]...)
	dst = append(dst, m.Acq[:]...)
	dst = binary.LittleEndian.AppendUint32(dst, m.Batch)
	dst = append(dst, m.Auth[:]...)
	at := len(dst)
	dst = m.PAN.AppendDigits(append(dst, 0), forReversal)
	dst[at] = byte(len(dst) - at - 1)
	dst = append(append(dst, byte(len(m.PSN))), m.PSN...)
	dst = append(append(dst, byte(len(m.Expiry))), m.Expiry...)
	if dst = append(append(dst, byte(len(m.EMV))), m.EMV...); version == memoVersionScript {
		dst = append(append(dst, byte(len(m.Script))), m.Script...)
	}
	return dst, nil
}

// ParseMemo reads what AppendMemo wrote, and nothing else.
func ParseMemo(b []byte) (Memo, error) {
	var m Memo
	if len(b) < 23 || len(b) > MaxMemoBytes || b[0] != memoVersion && b[0] != memoVersionScript {
		return m, ErrMemo
	}
	scripts := b[0] == memoVersionScript
	m.Tries = binary.LittleEndian.Uint16(b[1:])
	copy(m.Reason[:], b[3:])
	copy(m.Acq[:], b[5:])
	m.Batch = binary.LittleEndian.Uint32(b[13:])
	copy(m.Auth[:], b[17:])
	b = b[23:]
	take := func(most int) ([]byte, bool) {
		if len(b) == 0 {
			return nil, false
		}
		n := int(b[0])
		if n > most || len(b) < 1+n {
			return nil, false
		}
		v := b[1 : 1+n]
		b = b[1+n:]
		return v, true
	}
	digits, ok := take(19)
	if !ok {
		return Memo{}, ErrMemo
	}
	pan, err := si.ParsePAN(string(digits))
	if err != nil {
		return Memo{}, ErrMemo
	}
	m.PAN = pan
	psn, ok1 := take(3)
	expiry, ok2 := take(4)
	emv, ok3 := take(255)
	if scripts && ok3 {
		script, ok := take(255)
		if !ok || len(script) == 0 {
			return Memo{}, ErrMemo
		}
		m.Script = append([]byte(nil), script...)
	}
	if !ok1 || !ok2 || !ok3 || len(b) != 0 {
		return Memo{}, ErrMemo
	}
	m.PSN, m.Expiry = string(psn), string(expiry)
	if len(emv) > 0 {
		m.EMV = append([]byte(nil), emv...)
	}
	return m, nil
}
