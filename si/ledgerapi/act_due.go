package ledgerapi

import (
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi/wire"
)

// Open makes the ASSESSED and NOTICED dues of a fund and period payable, for
// persons in a range of numbers. Result: Count of dues opened, Total.
type Open struct {
	Fund   si.Fund
	Period si.Period
	First  si.PersonNo
	Last   si.PersonNo // at most MaxAssess persons from First
}

// Type is the number of the command in the log.
func (*Open) Type() Type { return TypeOpen }

func (c *Open) fields(f *wire.Form) {
	wire.U8(f, &c.Fund)
	wire.U16(f, &c.Period)
	wire.U32(f, &c.First)
	wire.U32(f, &c.Last)
}

// DueAct names one due as the clerk saw it, and why it is changed.
type DueAct struct {
	Due     si.DueID
	Version uint16
	Reason  string
}

func (c *DueAct) fields(f *wire.Form) {
	wire.U64(f, &c.Due)
	wire.U16(f, &c.Version)
	f.Text(&c.Reason, MaxNote)
}

// Replace computes one unpaid due anew from another base or grade: it becomes
// REPLACED and a new one takes its place; a held or paid one gets a SUPPLEMENT
// for what is missing. Result: Due, the new one; Total.
type Replace struct {
	DueAct
	Base  si.Fen // declared base, or the grade's own amount
	Rates uint32 // version of the rate table
}

// Type is the number of the command in the log.
func (*Replace) Type() Type { return TypeReplace }

func (c *Replace) fields(f *wire.Form) {
	c.DueAct.fields(f)
	wire.U64(f, &c.Base)
	wire.U32(f, &c.Rates)
}

// Cancel voids a due before any money. Arrears need two persons.
type Cancel struct{ DueAct }

// Type is the number of the command in the log.
func (*Cancel) Type() Type { return TypeCancel }

// WriteOff cancels arrears by rule (欠费注销). Two persons.
type WriteOff struct{ DueAct }

// Type is the number of the command in the log.
func (*WriteOff) Type() Type { return TypeWriteOff }

// SetLateRule gives an unpaid due another late rule, 0 for none. Two persons.
type SetLateRule struct {
	DueAct
	Rule uint8
}

// Type is the number of the command in the log.
func (*SetLateRule) Type() Type { return TypeSetLateRule }

func (c *SetLateRule) fields(f *wire.Form) {
	c.DueAct.fields(f)
	wire.U8(f, &c.Rule)
}

// BackPay makes the BACKPAY due of a period that has none, or only one that was
// written off or cancelled: principal by the rate row of the period, plus
// interest by the region's table. Result: Due, Total.
type BackPay struct {
	Person si.PersonNo
	Fund   si.Fund
	PType  si.PType
	Period si.Period
	Base   si.Fen
	Rates  uint32 // version of the rate table
	DueDay si.BusinessDate
}

// Type is the number of the command in the log.
func (*BackPay) Type() Type { return TypeBackPay }

func (c *BackPay) fields(f *wire.Form) {
	wire.U32(f, &c.Person)
	wire.U8(f, &c.Fund)
	wire.U8(f, &c.PType)
	wire.U16(f, &c.Period)
	wire.U64(f, &c.Base)
	wire.U32(f, &c.Rates)
	wire.U16(f, &c.DueDay)
}
