package hsm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/shebao-pay/shebao/si/hsmapi"
)

// A frame is length u32 (of what follows), id u32, code u8, body. The code is a
// verb in a request and a status in an answer. The first frame on a connection is
// the server's greeting: id 0, code 0, body helloText.
const (
	frameHead = 4 + 4 + 1
	helloText = "shebao hsm 1"

	// MaxMACData bounds the bytes under one code: bank frames have at most 2,048.
	MaxMACData = 4096
	// maxFrame is a full batch of the largest codes; nothing else is longer.
	maxFrame = 5 + 2 + hsmapi.MaxMACJobs*(macJobHead+MaxMACData)

	macJobHead = 4 + 1 + 1 + 2 + 8
	macResult  = 1 + 8
)

type verb uint8

const (
	verbMAC verb = iota + 1
	verbImportDE62
	verbImportTR31
	verbTranslatePIN
	verbOpenCard
	verbEnvelopeKey
	verbHash
	verbHashCards
	verbSealPersons
	verbOpenPerson
	verbSealMemo
	verbOpenMemo
	verbHashIDs
	verbOpenPersons
	verbRevisePersons
)

// statusFault is an answer's status when the error is none of hsmapi's.
const statusFault = 255

// ErrFault is returned when the HSM process failed at something that is no error
// of hsmapi: a full disk, for one. The text says what.
var ErrFault = errors.New("hsm: the process could not do it")

// statuses are the errors by number; the numbers never change.
var statuses = [...]error{
	nil, hsmapi.ErrNoKey, hsmapi.ErrKeyUsage, hsmapi.ErrKCV, hsmapi.ErrKeyBlock, hsmapi.ErrPINBlock,
	hsmapi.ErrEnvelope, hsmapi.ErrReplayed, hsmapi.ErrForm, hsmapi.ErrRateLimit,
}

func statusOf(err error) uint8 {
	if err == nil {
		return 0
	}
	for i, known := range statuses[1:] {
		if errors.Is(err, known) {
			return uint8(i + 1)
		}
	}
	return statusFault
}

// remoteError is an error of the HSM process on the client's side: its text, and
// the error of hsmapi to branch on.
type remoteError struct {
	text string
	is   error
}

func (e *remoteError) Error() string { return e.text }
func (e *remoteError) Unwrap() error { return e.is }

func errorOf(status uint8, text []byte) error {
	is := ErrFault
	if int(status) < len(statuses) {
		is = statuses[status]
	}
	if len(text) == 0 || is == nil {
		return is
	}
	return &remoteError{string(text), is}
}

// beginFrame appends a frame's head; endFrame sets its length.
func beginFrame(dst []byte, id uint32, code uint8) []byte {
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, id)
	return append(dst, code)
}

func endFrame(dst []byte, begin int) []byte {
	binary.BigEndian.PutUint32(dst[begin:], uint32(len(dst)-begin-4))
	return dst
}

// errFrame is returned for a frame that breaks the form; the connection ends.
var errFrame = errors.New("hsm: frame is too short or too long")

// readFrame reads one frame into buf, which it may grow, and answers id, code and
// body; the body is valid until the next call.
func readFrame(r io.Reader, buf *[]byte) (id uint32, code uint8, body []byte, err error) {
	if cap(*buf) < frameHead {
		*buf = make([]byte, 4096)
	}
	head := (*buf)[:frameHead]
	if _, err := io.ReadFull(r, head); err != nil {
		return 0, 0, nil, err
	}
	n := binary.BigEndian.Uint32(head)
	if n < frameHead-4 || n > maxFrame {
		return 0, 0, nil, errFrame
	}
	id, code = binary.BigEndian.Uint32(head[4:]), head[8]
	rest := int(n) - (frameHead - 4)
	if cap(*buf) < rest {
		*buf = make([]byte, rest+rest/4)
	}
	body = (*buf)[:rest]
	if _, err := io.ReadFull(r, body); err != nil {
		return 0, 0, nil, err
	}
	return id, code, body, nil
}

// reader takes values off a body. After a short read bad is set and everything
// reads as zero; done tells whether the body was used up exactly.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if r.bad || n > len(r.b) {
		r.bad = true
		return nil
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) u8() uint8 {
	if v := r.take(1); v != nil {
		return v[0]
	}
	return 0
}

func (r *reader) u16() uint16 {
	if v := r.take(2); v != nil {
		return binary.BigEndian.Uint16(v)
	}
	return 0
}

func (r *reader) u32() uint32 {
	if v := r.take(4); v != nil {
		return binary.BigEndian.Uint32(v)
	}
	return 0
}

func (r *reader) u64() uint64 {
	if v := r.take(8); v != nil {
		return binary.BigEndian.Uint64(v)
	}
	return 0
}

// flag is a byte of 0 or 1.
func (r *reader) flag() bool {
	v := r.u8()
	r.bad = r.bad || v > 1
	return v == 1
}

// bytes and text are length u16 and what it counts.
func (r *reader) bytes() []byte { return r.take(int(r.u16())) }
func (r *reader) text() string  { return string(r.bytes()) }

func (r *reader) fill(dst []byte) { copy(dst, r.take(len(dst))) }

func (r *reader) done() error {
	if r.bad || len(r.b) != 0 {
		return fmt.Errorf("%w: body is too short, too long or has a bad flag", hsmapi.ErrForm)
	}
	return nil
}

// maxText bounds what appendBytes can count. A longer value is cut, and what is
// left is far above every bound of the verbs, so it is refused there.
const maxText = 0xFFFF

func appendBytes(dst, v []byte) []byte {
	v = v[:min(len(v), maxText)]
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(v)))
	return append(dst, v...)
}

func appendText(dst []byte, v string) []byte { return appendBytes(dst, []byte(v)) }

func appendFlag(dst []byte, v bool) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}
