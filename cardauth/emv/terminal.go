package emv

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/shebao-pay/shebao/cardauth/tlv"
	"github.com/shebao-pay/shebao/si"
)

// ErrTerminal is returned for terminal data of the wrong form.
var ErrTerminal = errors.New("emv: terminal data")

// Terminal is what the machine says of itself: settings, not guesses, because
// banks differ in what they want to see.
type Terminal struct {
	Country      [2]byte // 9F1A, BCD of ISO 3166
	Currency     [2]byte // 5F2A, BCD of ISO 4217
	Type         byte    // 9F35
	Capabilities [3]byte // 9F33
	Additional   [5]byte // 9F40
	Serial       string  // 9F1E, 8 characters
	Merchant     string  // 9F4E, at most 20 bytes of ASCII
	Version      [2]byte // 9F09
	OnlineTVR    byte    // fourth byte of the TVR that makes the card go online
}

// NewTerminal gives the data of an unattended, online-only terminal of a bank in
// mainland China that can read chips and take an online PIN, and nothing else.
func NewTerminal(serial string) Terminal {
	return Terminal{
		Country:      [2]byte{0x01, 0x56},
		Currency:     [2]byte{0x01, 0x56},
		Type:         0x14,
		Capabilities: [3]byte{0x20, 0x40, 0x00},
		Serial:       serial,
		Merchant:     "SHEBAO",
		Version:      [2]byte{0x00, 0x30},
		OnlineTVR:    tvrForcedOnline,
	}
}

// Check tells what is wrong with the data.
func (t *Terminal) Check() error {
	if len(t.Serial) != 8 || !printable(t.Serial) {
		return fmt.Errorf("%w: serial (9F1E) %q is not 8 characters", ErrTerminal, t.Serial)
	}
	if len(t.Merchant) > 20 || !printable(t.Merchant) {
		return fmt.Errorf("%w: merchant name (9F4E) %q is not at most 20 ASCII characters", ErrTerminal, t.Merchant)
	}
	if t.OnlineTVR&(tvrForcedOnline|tvrOverFloor) == 0 {
		return fmt.Errorf("%w: TVR byte 4 %02X does not force the card online", ErrTerminal, t.OnlineTVR)
	}
	return nil
}

func printable(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < 0x20 || s[i] > 0x7E {
			return false
		}
	}
	return true
}

// Bits of the terminal verification results (EMV 4.3 Book 3, Annex C5).
const (
	tvrNoODA        = 0x80 // byte 1: offline data authentication not performed
	tvrOnlinePIN    = 0x04 // byte 3: online PIN entered
	tvrOverFloor    = 0x80 // byte 4: floor limit exceeded
	tvrForcedOnline = 0x08 // byte 4: merchant forced transaction online
	tvrIssuerAuth   = 0x40 // byte 5: issuer authentication failed
	tvrScriptBefore = 0x20 // byte 5: script failed before the final cryptogram
	tvrScriptAfter  = 0x10 // byte 5: script failed after it
)

// Bits of the first byte of the application interchange profile.
const (
	aipCVM        = 0x10 // cardholder verification is supported
	aipIssuerAuth = 0x04 // issuer authentication is supported
)

// Params is what one transaction is about.
type Params struct {
	Type          byte // 9C: 00 payment, 31 inquiry
	Amount        si.Fen
	At            time.Time
	Unpredictable [4]byte
	Sequence      uint32 // 9F41
}

// objects are data objects by tag. Every value is the transaction's own.
type objects map[tlv.Tag][]byte

// terminalObjects are the terminal's data objects for one transaction.
func terminalObjects(t *Terminal, p *Params) (objects, error) {
	amount, err := bcd(uint64(p.Amount), 6)
	if p.Amount < 0 || err != nil {
		return nil, fmt.Errorf("emv: amount: %w", si.ErrAmountRange)
	}
	sequence, err := bcd(uint64(p.Sequence)%100_000_000, 4)
	if err != nil {
		return nil, err
	}
	at := p.At.In(si.China)
	year, month, day := at.Date()
	date, err := bcd(uint64(year%100*10000+int(month)*100+day), 3)
	if err != nil {
		return nil, err
	}
	clock, err := bcd(uint64(at.Hour()*10000+at.Minute()*100+at.Second()), 3)
	if err != nil {
		return nil, err
	}
	merchant := make([]byte, 20)
	copy(merchant, t.Merchant)
	var binaryAmount [4]byte
	binary.BigEndian.PutUint32(binaryAmount[:], uint32(min(p.Amount, 0xFFFFFFFF)))
	return objects{
		TagAmount: amount, TagAmountBinary: binaryAmount[:], TagAmountOther: make([]byte, 6),
		TagCountry: t.Country[:], TagCurrency: t.Currency[:],
		TagDate: date, TagTime: clock, TagType: {p.Type},
		TagUnpredictable: p.Unpredictable[:], TagSequence: sequence,
		TagTerminalType: {t.Type}, TagCapabilities: t.Capabilities[:], TagAddCapability: t.Additional[:],
		TagSerial: []byte(t.Serial), TagMerchantName: merchant, TagVersion: t.Version[:],
		TagTVR: {tvrNoODA, 0, 0, 0, 0}, TagECash: {0x00},
	}, nil
}

// bcd packs v into n bytes of decimal digits.
func bcd(v uint64, n int) ([]byte, error) {
	b := make([]byte, n)
	for i := n - 1; i >= 0; i-- {
		b[i] = byte(v%10 | v/10%10<<4)
		v /= 100
	}
	if v != 0 {
		return nil, fmt.Errorf("%w: number has more than %d digits", ErrTerminal, 2*n)
	}
	return b, nil
}

// format is how a data object is fitted into a DOL (EMV 4.3 Book 3, Annex A).
func format(t tlv.Tag) tlv.Format {
	switch t {
	case TagAmount, TagAmountOther, TagCountry, TagCurrency, TagDate, TagTime, TagType, TagSequence,
		TagTerminalType, TagPSN, TagExpiry, TagEffective, TagAppCurrency:
		return tlv.Numeric
	case TagPAN:
		return tlv.CompressedNumeric
	}
	return tlv.Binary
}
