package ledgerapi

import (
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi/wire"
)

// Type is the number of the command in the log.
func (c Assess) Type() Type { return TypeAssess }

// Key is the id that makes the command idempotent.
func (c Assess) Key() si.PaymentID { return c.ID }

// AppendBody appends the canonical body.
func (c Assess) AppendBody(dst []byte) []byte {
	dst = append(dst, byte(c.Fund), byte(c.PType))
	dst = le.AppendUint16(dst, uint16(c.Period))
	dst = append(dst, byte(c.Kind))
	dst = le.AppendUint16(dst, uint16(c.DueDay))
	dst = le.AppendUint32(dst, c.Version)
	dst = wire.AppendBool(dst, c.Later)
	dst = wire.AppendBool(dst, c.Undeclared)
	dst = le.AppendUint32(dst, uint32(len(c.Items)))
	for _, it := range c.Items {
		dst = le.AppendUint32(dst, uint32(it.Person))
		dst = le.AppendUint64(dst, uint64(it.Base))
	}
	return dst
}

// DecodeBody is the inverse of AppendBody, and reads version 1, which had no
// Later, and version 2, which had no Undeclared. Items are written over.
func (c *Assess) DecodeBody(id si.PaymentID, version uint8, body []byte) error {
	r := wire.NewReader(body)
	items := c.Items[:0]
	*c = Assess{ID: id, Fund: si.Fund(r.U8()), PType: si.PType(r.U8()), Period: si.Period(r.U16()),
		Kind: DueKind(r.U8()), DueDay: si.BusinessDate(r.U16()), Version: r.U32()}
	if version > 1 {
		c.Later = r.Bool()
	}
	if version > 2 {
		c.Undeclared = r.Bool()
	}
	for range r.Count(MaxAssess) {
		items = append(items, AssessItem{Person: si.PersonNo(r.U32()), Base: si.Fen(r.U64())})
	}
	c.Items = items
	return end(&r)
}

// Type is the number of the command in the log.
func (c Notice) Type() Type { return TypeNotice }

// Key is the id that makes the command idempotent.
func (c Notice) Key() si.PaymentID { return c.ID }

// AppendBody appends the canonical body.
func (c Notice) AppendBody(dst []byte) []byte {
	dst = le.AppendUint32(dst, uint32(c.Person))
	dst = le.AppendUint16(dst, uint16(c.Date))
	dst = le.AppendUint16(dst, uint16(c.ValidUntil))
	dst = le.AppendUint32(dst, uint32(len(c.Dues)))
	for _, id := range c.Dues {
		dst = le.AppendUint64(dst, uint64(id))
	}
	return dst
}

// DecodeBody is the inverse of AppendBody. Dues are written over.
func (c *Notice) DecodeBody(id si.PaymentID, body []byte) error {
	r := wire.NewReader(body)
	dues := c.Dues[:0]
	*c = Notice{ID: id, Person: si.PersonNo(r.U32()), Date: si.BusinessDate(r.U16()), ValidUntil: si.BusinessDate(r.U16())}
	for range r.Count(MaxDues) {
		dues = append(dues, si.DueID(r.U64()))
	}
	c.Dues = dues
	return end(&r)
}

// Type is the number of the command in the log.
func (c PutPerson) Type() Type { return TypePutPerson }

// Key is the id that makes the command idempotent.
func (c PutPerson) Key() si.PaymentID { return c.ID }

// AppendBody appends the canonical body.
func (c PutPerson) AppendBody(dst []byte) []byte {
	dst = le.AppendUint16(dst, c.ExpectVersion)
	dst = append(dst, c.IDHash[:]...)
	dst = append(dst, byte(c.PType))
	dst = le.AppendUint32(dst, uint32(c.Household))
	dst = le.AppendUint16(dst, uint16(c.Birth))
	dst = append(dst, c.Sex, byte(c.Flags))
	return wire.AppendString32(dst, c.Sealed)
}

// DecodeBody is the inverse of AppendBody; Sealed points into body.
func (c *PutPerson) DecodeBody(id si.PaymentID, body []byte) error {
	r := wire.NewReader(body)
	*c = PutPerson{ID: id, ExpectVersion: r.U16()}
	r.Fill(c.IDHash[:])
	c.PType = si.PType(r.U8())
	c.Household = si.AreaCode(r.U32())
	c.Birth = si.BirthMonth(r.U16())
	c.Sex = r.U8()
	c.Flags = PersonFlags(r.U8())
	c.Sealed = r.String32(MaxSealed)
	return end(&r)
}

// Type is the number of the command in the log.
func (c PutCard) Type() Type { return TypePutCard }

// Key is the id that makes the command idempotent.
func (c PutCard) Key() si.PaymentID { return c.ID }

// AppendBody appends the canonical body.
func (c PutCard) AppendBody(dst []byte) []byte {
	dst = append(dst, c.IDHash[:]...)
	dst = append(dst, c.CardHash[:]...)
	dst = append(dst, c.NoHash[:]...)
	dst = append(dst, c.PANHash[:]...)
	dst = append(dst, byte(c.Bank), byte(c.State), byte(c.Source))
	return le.AppendUint16(dst, uint16(c.Since))
}

// DecodeBody is the inverse of AppendBody.
func (c *PutCard) DecodeBody(id si.PaymentID, body []byte) error {
	r := wire.NewReader(body)
	*c = PutCard{ID: id}
	r.Fill(c.IDHash[:])
	r.Fill(c.CardHash[:])
	r.Fill(c.NoHash[:])
	r.Fill(c.PANHash[:])
	c.Bank = si.Bank(r.U8())
	c.State = CardState(r.U8())
	c.Source = CardSource(r.U8())
	c.Since = si.BusinessDate(r.U16())
	return end(&r)
}

// Type is the number of the command in the log.
func (c Cutover) Type() Type { return TypeCutover }

// Key is the id that makes the command idempotent.
func (c Cutover) Key() si.PaymentID { return c.ID }

// AppendBody appends the canonical body.
func (c Cutover) AppendBody(dst []byte) []byte {
	dst = append(dst, byte(c.Bank))
	dst = le.AppendUint16(dst, uint16(c.From))
	return le.AppendUint16(dst, uint16(c.To))
}

// DecodeBody is the inverse of AppendBody.
func (c *Cutover) DecodeBody(id si.PaymentID, body []byte) error {
	r := wire.NewReader(body)
	*c = Cutover{ID: id, Bank: si.Bank(r.U8()), From: si.BusinessDate(r.U16()), To: si.BusinessDate(r.U16())}
	return end(&r)
}

// Type is the number of the command in the log.
func (c SealDay) Type() Type { return TypeSealDay }

// Key is the id that makes the command idempotent.
func (c SealDay) Key() si.PaymentID { return c.ID }

// AppendBody appends the canonical body.
func (c SealDay) AppendBody(dst []byte) []byte { return le.AppendUint16(dst, uint16(c.Date)) }

// DecodeBody is the inverse of AppendBody.
func (c *SealDay) DecodeBody(id si.PaymentID, body []byte) error {
	r := wire.NewReader(body)
	*c = SealDay{ID: id, Date: si.BusinessDate(r.U16())}
	return end(&r)
}

// Type is the number of the command in the log.
func (c PutConfig) Type() Type { return TypePutConfig }

// Key is the id that makes the command idempotent.
func (c PutConfig) Key() si.PaymentID { return c.ID }

// AppendBody appends the canonical body.
func (c PutConfig) AppendBody(dst []byte) []byte {
	dst = append(dst, byte(c.Kind))
	dst = le.AppendUint16(dst, uint16(c.From))
	dst = le.AppendUint32(dst, uint32(c.Maker))
	dst = le.AppendUint32(dst, uint32(c.Checker))
	dst = wire.AppendString16(dst, c.Name)
	return wire.AppendString32(dst, c.Body)
}

// DecodeBody is the inverse of AppendBody; Body points into body.
func (c *PutConfig) DecodeBody(id si.PaymentID, body []byte) error {
	r := wire.NewReader(body)
	*c = PutConfig{ID: id, Kind: ConfigKind(r.U8()), From: si.BusinessDate(r.U16()),
		Maker: si.Actor(r.U32()), Checker: si.Actor(r.U32())}
	c.Name = string(r.String16(MaxName))
	c.Body = r.String32(MaxConfig)
	return end(&r)
}

// Type is the number of the command in the log.
func (c PutTerminal) Type() Type { return TypePutTerminal }

// Key is the id that makes the command idempotent.
func (c PutTerminal) Key() si.PaymentID { return c.ID }

// AppendBody appends the canonical body.
func (c PutTerminal) AppendBody(dst []byte) []byte {
	dst = le.AppendUint32(dst, uint32(c.Terminal))
	dst = append(dst, byte(c.Bank), byte(c.State))
	dst = append(dst, c.CertHash[:]...)
	return wire.AppendString16(dst, c.Outlet)
}

// DecodeBody is the inverse of AppendBody.
func (c *PutTerminal) DecodeBody(id si.PaymentID, body []byte) error {
	r := wire.NewReader(body)
	*c = PutTerminal{ID: id, Terminal: si.Terminal(r.U32()), Bank: si.Bank(r.U8()), State: TerminalState(r.U8())}
	r.Fill(c.CertHash[:])
	c.Outlet = string(r.String16(MaxOutlet))
	return end(&r)
}

// ResultSize is the encoded size of a Result without its extension.
const ResultSize = 4 + 4 + 12 + 10 + 10 + 8 + 2 + 2 + 16 + 8 + dueRefSize + 8 + 8 + 4 + 4 + 4

// ExtensionSize is the encoded size of a Result's extension.
const ExtensionSize = 8 + 4

// Bits of the fourth byte of a Result.
const (
	resultUnknown  = 1 << iota
	resultExtended // the extension follows: it is not all zero
)

// AppendResult appends the canonical form of a result: every field, zero or
// not, so that the chain covers what was answered and what was not. The fields
// of the extension are there if one of them is not zero.
func AppendResult(dst []byte, x *Result) []byte {
	dst = append(dst, byte(x.Code), byte(x.First), byte(x.State))
	flags := byte(0)
	if x.Unknown {
		flags |= resultUnknown
	}
	extended := x.No != 0 || x.Reasons != 0
	if extended {
		flags |= resultExtended
	}
	dst = append(dst, flags)
	dst = le.AppendUint32(dst, x.STAN)
	dst = append(dst, x.RRN[:]...)
	dst = append(dst, x.DE7[:]...)
	dst = le.AppendUint32(dst, uint32(x.Receipt.Area))
	dst = le.AppendUint16(dst, uint16(x.Receipt.Date))
	dst = le.AppendUint32(dst, x.Receipt.Seq)
	dst = le.AppendUint64(dst, x.Journal)
	dst = le.AppendUint16(dst, uint16(x.OurDate))
	dst = le.AppendUint16(dst, uint16(x.Bank))
	dst = append(dst, x.HeldBy[:]...)
	dst = le.AppendUint64(dst, uint64(x.Due))
	dst = AppendDueRef(dst, x.Now)
	dst = le.AppendUint64(dst, uint64(x.Notice))
	dst = le.AppendUint64(dst, uint64(x.Total))
	dst = le.AppendUint32(dst, uint32(x.Person))
	dst = le.AppendUint32(dst, x.Count)
	dst = le.AppendUint32(dst, x.Version)
	if extended {
		dst = le.AppendUint64(dst, x.No)
		dst = le.AppendUint32(dst, x.Reasons)
	}
	return dst
}

// DecodeResult is the strict inverse of AppendResult.
func DecodeResult(b []byte) (Result, error) {
	r := wire.NewReader(b)
	var x Result
	x.Code, x.First, x.State = Code(r.U8()), Code(r.U8()), PayState(r.U8())
	flags := r.U8()
	x.Unknown = flags&resultUnknown != 0
	x.STAN = r.U32()
	r.Fill(x.RRN[:])
	r.Fill(x.DE7[:])
	x.Receipt = si.ReceiptNo{Area: si.AreaCode(r.U32()), Date: si.BusinessDate(r.U16()), Seq: r.U32()}
	x.Journal = r.U64()
	x.OurDate = si.BusinessDate(r.U16())
	x.Bank = si.BusinessDate(r.U16())
	r.Fill(x.HeldBy[:])
	x.Due = si.DueID(r.U64())
	x.Now = readDueRef(&r)
	x.Notice = si.NoticeNo(r.U64())
	x.Total = si.Fen(r.U64())
	x.Person = si.PersonNo(r.U32())
	x.Count = r.U32()
	x.Version = r.U32()
	if flags&resultExtended != 0 {
		x.No, x.Reasons = r.U64(), r.U32()
	}
	if flags&^(resultUnknown|resultExtended) != 0 || flags&resultExtended != 0 && x.No == 0 && x.Reasons == 0 {
		r.Fail()
	}
	return x, end(&r)
}
