package ledgerapi

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi/wire"
)

// Version is the version of a type's body in this program: 1, and one more for
// each change since. A body that changes its meaning gets the next number, and
// the old ones are still applied in the old way.
func (t Type) Version() uint8 {
	if t == TypeAssess {
		return 3 // Later came in with 2, Undeclared with 3
	}
	return 1
}

// HeaderSize is the fixed part of a record up to the body, its length included.
const HeaderSize = 1 + 1 + 2 + 8 + 4 + 16 + 4

// atOffset is where at_ms stands in a record.
const atOffset = 4

// MaxRecord bounds one record: the largest body is a piece of business data,
// with room for its other fields.
const MaxRecord = MaxConfig + 4<<10

// ErrRecord is returned for bytes that AppendRecord did not write: a log that
// says so is damaged or of a later program, and must not be applied.
var ErrRecord = errors.New("ledgerapi: bytes are not a record of this version")

// ErrBody is returned for a body that is cut short, too long, or has a field
// outside its range. Such a command is answered MALFORMED.
var ErrBody = errors.New("ledgerapi: command has a field outside its range")

// Header is what stands before every body.
type Header struct {
	Type     Type
	Version  uint8
	Flags    uint16 // 0 in this version
	AtMillis uint64 // UTC, put in by the leader
	Actor    si.Actor
	ID       si.PaymentID
}

// AppendRecord appends the record of c. Type, version, flags and id of the
// header come from the command and from this program; AtMillis and Actor from h.
// A record longer than MaxRecord must not be logged: no reader takes it. Other
// fields outside their range are logged and answered MALFORMED.
func AppendRecord(dst []byte, h Header, c Command) []byte {
	le := binary.LittleEndian
	dst = append(dst, byte(c.Type()), c.Type().Version(), 0, 0)
	dst = le.AppendUint64(dst, h.AtMillis)
	dst = le.AppendUint32(dst, uint32(h.Actor))
	id := c.Key()
	dst = append(dst, id[:]...)
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = c.AppendBody(dst)
	le.PutUint32(dst[start:], uint32(len(dst)-start-4))
	return dst
}

// SetAtMillis puts the leader's time into the record that begins rec.
func SetAtMillis(rec []byte, at uint64) {
	binary.LittleEndian.PutUint64(rec[atOffset:], at)
}

// SplitRecord takes the first record off b without looking into its body. It
// allocates nothing; body points into b.
func SplitRecord(b []byte) (h Header, body []byte, n int, err error) {
	r := wire.NewReader(b)
	h.Type = Type(r.U8())
	h.Version = r.U8()
	h.Flags = r.U16()
	h.AtMillis = r.U64()
	h.Actor = si.Actor(r.U32())
	r.Fill(h.ID[:])
	body = r.String32(MaxRecord - HeaderSize)
	if r.Err() != nil || h.Version == 0 || h.Version > h.Type.Version() || h.Flags != 0 || !h.Type.Valid() || h.AtMillis>>48 != 0 {
		return Header{}, nil, 0, ErrRecord
	}
	return h, body, HeaderSize + len(body), nil
}

// DecodeRecord takes the first record off b. What it returns shares no memory
// with b. It is the strict inverse of AppendRecord: a record of the type's
// newest version, encoded again, is the same bytes.
func DecodeRecord(b []byte) (h Header, c Command, n int, err error) {
	h, body, n, err := SplitRecord(b)
	if err != nil {
		return Header{}, nil, 0, err
	}
	if c, err = decodeBody(h, append([]byte(nil), body...)); err != nil {
		return Header{}, nil, 0, fmt.Errorf("%w (type %d)", err, h.Type)
	}
	return h, c, n, nil
}

func decodeBody(h Header, body []byte) (Command, error) {
	var serial []byte
	var err error
	switch h.Type {
	case TypeReserve:
		var c Reserve
		err = c.DecodeBody(h.ID, body)
		return c, err
	case TypeAnnotate:
		var c Annotate
		err = c.DecodeBody(h.ID, body)
		return c, err
	case TypePost:
		var c Post
		serial, err = c.DecodeBody(h.ID, body)
		c.Evidence.HostSerial = string(serial)
		return c, err
	case TypeVoid:
		var c Void
		err = c.DecodeBody(h.ID, body)
		return c, err
	case TypePay:
		var c Pay
		serial, err = c.DecodeBody(h.ID, body)
		c.HostSerial = string(serial)
		return c, err
	case TypeReverse:
		var c Reverse
		err = c.DecodeBody(h.ID, body)
		return c, err
	case TypeUnpost:
		var c Unpost
		err = c.DecodeBody(h.ID, body)
		return c, err
	case TypeAssess:
		var c Assess
		err = c.DecodeBody(h.ID, h.Version, body)
		return c, err
	case TypeNotice:
		var c Notice
		err = c.DecodeBody(h.ID, body)
		return c, err
	case TypePutPerson:
		var c PutPerson
		err = c.DecodeBody(h.ID, body)
		return c, err
	case TypePutCard:
		var c PutCard
		err = c.DecodeBody(h.ID, body)
		return c, err
	case TypeCutover:
		var c Cutover
		err = c.DecodeBody(h.ID, body)
		return c, err
	case TypeSealDay:
		var c SealDay
		err = c.DecodeBody(h.ID, body)
		return c, err
	case TypePutConfig:
		var c PutConfig
		err = c.DecodeBody(h.ID, body)
		return c, err
	case TypePutTerminal:
		var c PutTerminal
		err = c.DecodeBody(h.ID, body)
		return c, err
	}
	do, err := DecodeAct(h.Type, body)
	return Act{ID: h.ID, Do: do}, err
}

// Valid tells whether t is a command of this version.
func (t Type) Valid() bool {
	switch t {
	case TypeReserve, TypeAnnotate, TypePost, TypeVoid, TypePay, TypeReverse, TypeUnpost,
		TypeAssess, TypeNotice, TypePutPerson, TypePutCard, TypeCutover, TypeSealDay,
		TypePutConfig, TypePutTerminal:
		return true
	}
	return bodies[t] != nil
}

// Fingerprint is what two commands with the same id must share to be the same
// request: the first half of SHA-256 over type and body, without what the hub
// adds or seals anew at each try (our date, DE 41, batch, memo). The caller's
// scratch buffer is used and returned, so that nothing is allocated.
func Fingerprint(t Type, body, scratch []byte) (fp [16]byte, _ []byte) {
	scratch = append(scratch[:0], byte(t))
	scratch = append(scratch, asked(t, body)...)
	sum := sha256.Sum256(scratch)
	copy(fp[:], sum[:])
	return fp, scratch
}

// asked is the part of a body that the requester decides.
func asked(t Type, body []byte) []byte {
	switch t {
	case TypeReserve:
		if n := reserveTail(body); n <= len(body) {
			return body[:n]
		}
	case TypePay:
		if len(body) >= payTail {
			return body[:len(body)-payTail]
		}
	}
	return body
}
