package si

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// PersonNo is a person's number inside one region's ledger. 0 is nobody.
type PersonNo uint32

// Region is a pooling region (统筹区) by its internal number. Every key, id and
// call carries it; one settled process serves one region.
type Region uint16

// AreaCode is an administrative area code: six digits of a county (GB/T 2260), or
// nine of a town or street in it (GB/T 10114); 330110 for the demo district.
type AreaCode uint32

// String writes six digits, or nine.
func (a AreaCode) String() string { return fmt.Sprintf("%06d", uint32(a)) }

// County is the county that an area lies in, in six digits.
func (a AreaCode) County() AreaCode {
	if a > 999_999 {
		return a / 1000
	}
	return a
}

// Bank is a bank by the number its profile gives it. 0 is none.
type Bank uint8

// Terminal is a terminal's number. 0 is none (a counter or a batch).
type Terminal uint32

// Actor is who caused a command: a user number, or 0 for a machine.
type Actor uint32

// DueID identifies one due (应缴费款) in a region's ledger.
type DueID uint64

// Fund is an insurance type (险种). The numbers are in the log and never change.
type Fund uint8

// The insurance types of 社会保险. External codes are a table of the region.
const (
	PensionEmp Fund = iota + 1 // 企业职工养老
	PensionRes                 // 城乡居民养老
	PensionGov                 // 机关事业养老
	MedEmp                     // 职工医疗
	MedRes                     // 居民医疗
	Injury                     // 工伤
	Unemp                      // 失业
	Maternity                  // 生育
	fundEnd
)

var fundNames = [...]string{"", "PENSION_EMP", "PENSION_RES", "PENSION_GOV", "MED_EMP", "MED_RES", "INJURY", "UNEMP", "MATERNITY"}

// Valid tells whether f is one of the insurance types.
func (f Fund) Valid() bool { return f >= PensionEmp && f < fundEnd }

// String writes the name used in files and messages, such as PENSION_RES.
func (f Fund) String() string {
	if !f.Valid() {
		return fmt.Sprintf("Fund(%d)", uint8(f))
	}
	return fundNames[f]
}

// ParseFund reads the form that String writes.
func ParseFund(s string) (Fund, error) {
	for i := PensionEmp; i < fundEnd; i++ {
		if fundNames[i] == s {
			return i, nil
		}
	}
	return 0, fmt.Errorf("si: unknown insurance type %q", s)
}

// PType is a person type (人员类别).
type PType uint8

// The person types.
const (
	Employee   PType = iota + 1 // 职工
	Flex                        // 灵活就业
	Resident                    // 城乡居民
	Student                     // 学生
	LandReq                     // 征地农转非
	Retiree                     // 退休
	SiteWorker                  // 建筑业农民工
	ptypeEnd
)

var ptypeNames = [...]string{"", "EMPLOYEE", "FLEX", "RESIDENT", "STUDENT", "LANDREQ", "RETIREE", "SITE_WORKER"}

// Valid tells whether p is one of the person types.
func (p PType) Valid() bool { return p >= Employee && p < ptypeEnd }

// String writes the name used in files, such as RESIDENT.
func (p PType) String() string {
	if !p.Valid() {
		return fmt.Sprintf("PType(%d)", uint8(p))
	}
	return ptypeNames[p]
}

// ParsePType reads the form that String writes.
func ParsePType(s string) (PType, error) {
	for i := Employee; i < ptypeEnd; i++ {
		if ptypeNames[i] == s {
			return i, nil
		}
	}
	return 0, fmt.Errorf("si: unknown person type %q", s)
}

// Channel is the way a payment came in.
type Channel uint8

// The channels.
const (
	ChannelTerminal Channel = iota + 1
	ChannelCounter
	ChannelEBank
	ChannelBatch
	ChannelDesk
)

var channelNames = [...]string{"", "TERMINAL", "COUNTER", "EBANK", "BATCH", "DESK"}

// String writes the channel's name.
func (c Channel) String() string {
	if c == 0 || int(c) >= len(channelNames) {
		return fmt.Sprintf("Channel(%d)", uint8(c))
	}
	return channelNames[c]
}

// Hash is a keyed hash (HMAC-SHA-256 cut to 16 bytes) of an ID number, a card
// number or a PAN, made inside the HSM process. It is no secret, yet no name
// either: it prints as hexadecimal.
type Hash [16]byte

// String writes 32 hexadecimal digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// PaymentID names one payment for ever. Whoever starts a payment makes the id
// and keeps it across every retry; bytes 0–5 are the creation time in Unix
// milliseconds, so ids sort by time.
type PaymentID [16]byte

// ErrPaymentID is returned for text that is no payment id.
var ErrPaymentID = errors.New("si: payment id is not 32 hexadecimal digits")

// NewPaymentID makes an id for a payment that starts at the given time, with
// ten random bytes from the operating system.
func NewPaymentID(at time.Time) PaymentID {
	var id PaymentID
	var t [8]byte
	binary.BigEndian.PutUint64(t[:], uint64(at.UnixMilli()))
	copy(id[:6], t[2:])
	if _, err := rand.Read(id[6:]); err != nil {
		panic("si: the system's random source failed: " + err.Error())
	}
	return id
}

// ParsePaymentID reads the form that String writes.
func ParsePaymentID(s string) (PaymentID, error) {
	var id PaymentID
	if len(s) != 32 {
		return id, ErrPaymentID
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil {
		return PaymentID{}, ErrPaymentID
	}
	return id, nil
}

// String writes 32 lower-case hexadecimal digits.
func (id PaymentID) String() string { return hex.EncodeToString(id[:]) }

// IsZero tells whether the id is missing.
func (id PaymentID) IsZero() bool { return id == PaymentID{} }

// Millis is the creation time in Unix milliseconds.
func (id PaymentID) Millis() int64 {
	var t [8]byte
	copy(t[2:], id[:6])
	return int64(binary.BigEndian.Uint64(t[:]))
}
