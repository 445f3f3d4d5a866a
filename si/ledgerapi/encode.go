package ledgerapi

import (
	"encoding/binary"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi/wire"
)

// Bounds of text and blobs in commands, in bytes.
const (
	MaxSerial = 20      // a bank's own serial
	MaxSealed = 2 << 10 // a person's sealed data: name, number, phone, address and the seal
	MaxName   = 64      // of a piece of business data
	MaxOutlet = 32
)

// dueRefSize is the encoded size of a DueRef.
const dueRefSize = 8 + 2 + 8 + 8

var le = binary.LittleEndian

// AppendDueRef appends the canonical form of a due reference.
func AppendDueRef(dst []byte, d DueRef) []byte {
	dst = le.AppendUint64(dst, uint64(d.ID))
	dst = le.AppendUint16(dst, d.Version)
	dst = le.AppendUint64(dst, uint64(d.Amount))
	return le.AppendUint64(dst, uint64(d.LateFee))
}

func readDueRef(r *wire.Reader) DueRef {
	return DueRef{ID: si.DueID(r.U64()), Version: r.U16(), Amount: si.Fen(r.U64()), LateFee: si.Fen(r.U64())}
}

func appendDueRefs(dst []byte, dues []DueRef) []byte {
	dst = le.AppendUint32(dst, uint32(len(dues)))
	for _, d := range dues {
		dst = AppendDueRef(dst, d)
	}
	return dst
}

// readDueRefs fills dues again, so that its memory is reused.
func readDueRefs(r *wire.Reader, dues []DueRef) []DueRef {
	n := r.Count(MaxDues)
	dues = dues[:0]
	for range n {
		dues = append(dues, readDueRef(r))
	}
	return dues
}

// end gives ErrBody unless the reader took exactly its bytes.
func end(r *wire.Reader) error {
	if r.End() != nil {
		return ErrBody
	}
	return nil
}

// reserveHead is what stands before the dues of a Reserve.
const reserveHead = 1 + 4 + 1 + 1 + 8

// reserveTail is where the part begins that the hub adds to a Reserve.
func reserveTail(body []byte) int {
	if len(body) < reserveHead+4 {
		return len(body)
	}
	n := le.Uint32(body[reserveHead:])
	if n > MaxDues {
		return len(body)
	}
	return reserveHead + 4 + int(n)*dueRefSize
}

// Type is the number of the command in the log.
func (c Reserve) Type() Type { return TypeReserve }

// Key is the id that makes the command idempotent.
func (c Reserve) Key() si.PaymentID { return c.ID }

// AppendBody appends the canonical body.
func (c Reserve) AppendBody(dst []byte) []byte {
	dst = append(dst, byte(c.Channel))
	dst = le.AppendUint32(dst, uint32(c.Terminal))
	dst = append(dst, byte(c.Bank), c.CardKind)
	dst = le.AppendUint64(dst, uint64(c.Total))
	dst = appendDueRefs(dst, c.Dues)
	dst = le.AppendUint16(dst, uint16(c.OurDate))
	dst = append(dst, c.Acq[:]...)
	dst = le.AppendUint32(dst, c.Batch)
	return wire.AppendString32(dst, c.Memo)
}

// DecodeBody is the inverse of AppendBody. Dues are written over; Memo points
// into body.
func (c *Reserve) DecodeBody(id si.PaymentID, body []byte) error {
	r := wire.NewReader(body)
	dues := c.Dues
	*c = Reserve{ID: id, Channel: si.Channel(r.U8()), Terminal: si.Terminal(r.U32()), Bank: si.Bank(r.U8()),
		CardKind: r.U8(), Total: si.Fen(r.U64())}
	c.Dues = readDueRefs(&r, dues)
	c.OurDate = si.BusinessDate(r.U16())
	r.Fill(c.Acq[:])
	c.Batch = r.U32()
	c.Memo = r.String32(MaxMemo)
	return end(&r)
}

// Type is the number of the command in the log.
func (c Annotate) Type() Type { return TypeAnnotate }

// Key is the id that makes the command idempotent.
func (c Annotate) Key() si.PaymentID { return c.ID }

// AppendBody appends the canonical body.
func (c Annotate) AppendBody(dst []byte) []byte {
	dst = append(dst, byte(c.Stage), c.Reason[0], c.Reason[1])
	return wire.AppendString32(dst, c.Memo)
}

// DecodeBody is the inverse of AppendBody; Memo points into body.
func (c *Annotate) DecodeBody(id si.PaymentID, body []byte) error {
	r := wire.NewReader(body)
	*c = Annotate{ID: id, Stage: Stage(r.U8())}
	r.Fill(c.Reason[:])
	c.Memo = r.String32(MaxMemo)
	return end(&r)
}

// Type is the number of the command in the log.
func (c Post) Type() Type { return TypePost }

// Key is the id that makes the command idempotent.
func (c Post) Key() si.PaymentID { return c.ID }

// AppendBody appends the canonical body.
func (c Post) AppendBody(dst []byte) []byte {
	e := &c.Evidence
	dst = append(dst, byte(e.Source), e.Resp[0], e.Resp[1])
	dst = append(dst, e.Auth[:]...)
	dst = append(dst, e.BankRRN[:]...)
	dst = le.AppendUint16(dst, uint16(e.BankDate))
	dst = wire.AppendBool(dst, e.MACOK)
	dst = le.AppendUint32(dst, e.KeyGen)
	dst = le.AppendUint32(dst, uint32(c.Maker))
	dst = le.AppendUint32(dst, uint32(c.Checker))
	return wire.AppendString16(dst, e.HostSerial)
}

// DecodeBody is the inverse of AppendBody, but for the host serial: it is given
// as bytes that point into body, and Evidence.HostSerial is left empty, so that
// nothing is allocated.
func (c *Post) DecodeBody(id si.PaymentID, body []byte) (hostSerial []byte, err error) {
	r := wire.NewReader(body)
	*c = Post{ID: id}
	e := &c.Evidence
	e.Source = Source(r.U8())
	r.Fill(e.Resp[:])
	r.Fill(e.Auth[:])
	r.Fill(e.BankRRN[:])
	e.BankDate = si.BusinessDate(r.U16())
	e.MACOK = r.Bool()
	e.KeyGen = r.U32()
	c.Maker = si.Actor(r.U32())
	c.Checker = si.Actor(r.U32())
	hostSerial = r.String16(MaxSerial)
	return hostSerial, end(&r)
}

// Type is the number of the command in the log.
func (c Void) Type() Type { return TypeVoid }

// Key is the id that makes the command idempotent.
func (c Void) Key() si.PaymentID { return c.ID }

// AppendBody appends the canonical body.
func (c Void) AppendBody(dst []byte) []byte {
	dst = append(dst, byte(c.Proof), c.Resp[0], c.Resp[1])
	dst = le.AppendUint32(dst, uint32(c.Maker))
	return le.AppendUint32(dst, uint32(c.Checker))
}

// DecodeBody is the inverse of AppendBody.
func (c *Void) DecodeBody(id si.PaymentID, body []byte) error {
	r := wire.NewReader(body)
	*c = Void{ID: id, Proof: Proof(r.U8())}
	r.Fill(c.Resp[:])
	c.Maker = si.Actor(r.U32())
	c.Checker = si.Actor(r.U32())
	return end(&r)
}

// payTail is the length of the part that the hub adds to a Pay: our date.
const payTail = 2

// Type is the number of the command in the log.
func (c Pay) Type() Type { return TypePay }

// Key is the id that makes the command idempotent.
func (c Pay) Key() si.PaymentID { return c.ID }

// AppendBody appends the canonical body.
func (c Pay) AppendBody(dst []byte) []byte {
	dst = append(dst, byte(c.Channel), byte(c.Bank))
	dst = le.AppendUint64(dst, uint64(c.Notice))
	dst = le.AppendUint64(dst, uint64(c.Total))
	dst = le.AppendUint16(dst, uint16(c.BankDate))
	dst = le.AppendUint32(dst, c.STAN)
	dst = append(dst, c.DE7[:]...)
	dst = appendDueRefs(dst, c.Dues)
	dst = wire.AppendString16(dst, c.HostSerial)
	return le.AppendUint16(dst, uint16(c.OurDate))
}

// DecodeBody is the inverse of AppendBody, but for the host serial, as with
// Post. Dues are written over.
func (c *Pay) DecodeBody(id si.PaymentID, body []byte) (hostSerial []byte, err error) {
	r := wire.NewReader(body)
	dues := c.Dues
	*c = Pay{ID: id, Channel: si.Channel(r.U8()), Bank: si.Bank(r.U8()), Notice: si.NoticeNo(r.U64()),
		Total: si.Fen(r.U64()), BankDate: si.BusinessDate(r.U16()), STAN: r.U32()}
	r.Fill(c.DE7[:])
	c.Dues = readDueRefs(&r, dues)
	hostSerial = r.String16(MaxSerial)
	c.OurDate = si.BusinessDate(r.U16())
	return hostSerial, end(&r)
}

// Type is the number of the command in the log.
func (c Reverse) Type() Type { return TypeReverse }

// Key is the id that makes the command idempotent.
func (c Reverse) Key() si.PaymentID { return c.ID }

// AppendBody appends the canonical body.
func (c Reverse) AppendBody(dst []byte) []byte {
	dst = append(dst, byte(c.Bank))
	dst = le.AppendUint16(dst, uint16(c.BankDate))
	return append(dst, c.Reason[0], c.Reason[1])
}

// DecodeBody is the inverse of AppendBody.
func (c *Reverse) DecodeBody(id si.PaymentID, body []byte) error {
	r := wire.NewReader(body)
	*c = Reverse{ID: id, Bank: si.Bank(r.U8()), BankDate: si.BusinessDate(r.U16())}
	r.Fill(c.Reason[:])
	return end(&r)
}

// Type is the number of the command in the log.
func (c Unpost) Type() Type { return TypeUnpost }

// Key is the id that makes the command idempotent.
func (c Unpost) Key() si.PaymentID { return c.ID }

// AppendBody appends the canonical body.
func (c Unpost) AppendBody(dst []byte) []byte { return append(dst, byte(c.Reason)) }

// DecodeBody is the inverse of AppendBody.
func (c *Unpost) DecodeBody(id si.PaymentID, body []byte) error {
	r := wire.NewReader(body)
	*c = Unpost{ID: id, Reason: UnpostReason(r.U8())}
	return end(&r)
}
