package sscard

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/shebao-pay/shebao/cardauth/apdu"
	"github.com/shebao-pay/shebao/cardauth/tlv"
	"github.com/shebao-pay/shebao/si"
)

// Name is the DF name of the application, sx1.sh.社会保障 in GBK.
var Name = []byte("sx1.sh.\xC9\xE7\xBB\xE1\xB1\xA3\xD5\xCF")

// Errors of a reading that a caller branches on.
var (
	ErrNotSocialCard   = errors.New("sscard: no social security application on this card")
	ErrBlocked         = errors.New("sscard: the social security application or the card is blocked")
	ErrVersion         = errors.New("sscard: version of the card is not 1.0, 2.0 or 3.0")
	ErrCipher          = errors.New("sscard: the card needs the unpublished cipher SSF33")
	ErrNeedsKeyService = errors.New("sscard: a version 3.0 card needs external authentication before EF06")
	ErrRecord          = errors.New("sscard: record is not what was asked for")
	ErrHolder          = errors.New("sscard: holder data contradict one another")
)

// Cipher is the algorithm that a card names in its FCI (template 86 in 9F0C).
type Cipher uint8

// The ciphers by their number on the card.
const (
	DES   Cipher = 1 // DES and 3DES
	SSF33 Cipher = 2 // not published
	SM4   Cipher = 3
)

// Sex as EF06 writes it.
type Sex byte

// The sexes (GB/T 2261.1).
const (
	Male     Sex = '1'
	Female   Sex = '2'
	Unstated Sex = '9'
)

// Card is what the application says. Dates are YYYYMMDD, empty if the card
// states none. Holder data are empty after [ErrNeedsKeyService].
type Card struct {
	Cipher     Cipher
	CardID     string // 卡识别码, 32 hexadecimal digits; the first six are the issuing area
	Class      string // 1 child, 2 student, 3 adult, 4 elder
	Version    string // such as 2.00
	Issued     string
	ValidUntil string
	CardNo     string // 卡号

	IDNumber   si.IDNumber
	HolderName si.Name
	Sex        Sex
	Nation     string // 民族, two digits
	BirthPlace string // area code
	BirthDate  string
}

// Area is the issuing area, six digits.
func (c *Card) Area() string { return c.CardID[:6] }

// Wipe forgets the card.
func (c *Card) Wipe() {
	c.IDNumber.Wipe()
	*c = Card{}
}

// Select selects the application and gives the cipher that its FCI names, or 0
// if it names none.
func Select(t apdu.Transmitter) (Cipher, error) {
	fci, sw, err := apdu.Send(t, apdu.Command{INS: 0xA4, P1: 0x04, Data: Name, Le: apdu.NoLe})
	switch {
	case err != nil:
		return 0, err
	case sw == apdu.NoFile:
		return 0, ErrNotSocialCard
	case sw == apdu.ApplicationLocked, sw == apdu.Invalidated, sw == apdu.NotSupported:
		return 0, ErrBlocked
	case sw != apdu.OK:
		return 0, &apdu.StatusError{What: "select SSSE", SW: sw}
	}
	if df, err := tlv.Find(fci, 0x6F, 0x84); err != nil || !bytes.Equal(df, Name) {
		return 0, fmt.Errorf("%w: FCI of another application", ErrRecord)
	}
	return cipherOf(fci)
}

// cipherOf finds template 86 inside the issuer data 9F0C of the FCI.
func cipherOf(fci []byte) (Cipher, error) {
	data, err := tlv.Find(fci, 0x6F, 0xA5, 0x9F0C)
	if errors.Is(err, tlv.ErrAbsent) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("sscard: FCI: %w", err)
	}
	v, err := tlv.Find(data, 0x86)
	if errors.Is(err, tlv.ErrAbsent) {
		return 0, nil
	}
	if err != nil || len(v) != 1 {
		return 0, fmt.Errorf("%w: algorithm template 86", ErrRecord)
	}
	switch c := Cipher(v[0]); c {
	case DES, SM4:
		return c, nil
	}
	return 0, ErrCipher
}

// record is one record of EF05 or EF06: its tag and the most its value may have.
type record struct {
	tag byte
	max byte
}

// The records (V2.0 notice, tables 3 and 4).
var (
	recCardID     = record{0x01, 0x10}
	recClass      = record{0x02, 0x01}
	recVersion    = record{0x03, 0x04}
	recInitialise = record{0x04, 0x0C}
	recIssued     = record{0x05, 0x04}
	recValid      = record{0x06, 0x04}
	recCardNo     = record{0x07, 0x09}
	recIDNumber   = record{0x08, 0x12}
	recName       = record{0x09, 0x1E}
	recNameMore   = record{0x4E, 0x14}
	recSex        = record{0x0A, 0x01}
	recNation     = record{0x0B, 0x01}
	recBirthPlace = record{0x0C, 0x03}
	recBirthDate  = record{0x0D, 0x04}
)

// Read selects the application and reads EF05 and EF06. With
// [ErrNeedsKeyService] the issuer data in the answer are good.
func Read(t apdu.Transmitter) (*Card, error) {
	cipher, err := Select(t)
	if err != nil {
		return nil, err
	}
	c := &Card{Cipher: cipher}
	if err := c.readIssuer(t); err != nil {
		return nil, err
	}
	if c.Cipher == 0 {
		// No algorithm template: area codes beginning 11 mean SSF33, all
		// others DES (读写机具规范 10.1).
		c.Cipher = DES
		if strings.HasPrefix(c.CardID, "11") {
			return nil, ErrCipher
		}
	}
	switch major(c.Version) {
	case "1.0", "2.0":
		if err := c.readHolder(t); err != nil {
			c.Wipe()
			return nil, err
		}
		return c, nil
	case "3.0":
		return c, ErrNeedsKeyService
	}
	return nil, ErrVersion
}

// major is the part of a version that counts: the first three characters. An
// empty version is a 1.0 card.
func major(version string) string {
	if version == "" {
		return "1.0"
	}
	return version[:min(3, len(version))]
}

// readIssuer reads EF05.
func (c *Card) readIssuer(t apdu.Transmitter) error {
	r := records{t: t}
	r.selectFile(0x05)
	id := r.read(recCardID)
	c.Class = r.text(recClass)
	c.Version = r.text(recVersion)
	r.read(recInitialise)
	c.Issued = r.date(recIssued)
	c.ValidUntil = r.date(recValid)
	no := r.read(recCardNo)
	if r.err != nil {
		return r.err
	}
	if len(id) != int(recCardID.max) {
		return fmt.Errorf("%w: card id (卡识别码) has %d bytes", ErrRecord, len(id))
	}
	c.CardID = strings.ToUpper(hex.EncodeToString(id))
	c.CardNo = string(no)
	return CheckCardNo(c.CardNo)
}

// readHolder reads EF06 and holds its parts to one another.
func (c *Card) readHolder(t apdu.Transmitter) error {
	r := records{t: t}
	r.selectFile(0x06)
	id := r.text(recIDNumber)
	name := r.read(recName)
	var more []byte
	if major(c.Version) != "1.0" {
		more = r.optional(recNameMore)
	}
	sex := r.read(recSex)
	c.Nation = hex.EncodeToString(r.read(recNation))
	c.BirthPlace = hex.EncodeToString(r.read(recBirthPlace))
	c.BirthDate = r.date(recBirthDate)
	if r.err != nil {
		return r.err
	}
	var err error
	if c.IDNumber, err = si.ParseIDNumber(id); err != nil {
		return fmt.Errorf("%w: social security number (社会保障号码): %w", ErrHolder, err)
	}
	clear, err := DecodeText(joinName(name, more))
	if err != nil {
		return err
	}
	if clear == "" {
		return fmt.Errorf("%w: no name", ErrHolder)
	}
	c.HolderName = si.NewName(clear)
	if len(sex) == 1 {
		c.Sex = Sex(sex[0])
	}
	return c.checkHolder()
}

// checkHolder holds birth date and sex to the social security number, which
// states both (GB 11643).
func (c *Card) checkHolder() error {
	if c.BirthDate != c.IDNumber.BirthDate() {
		return fmt.Errorf("%w: birth date", ErrHolder)
	}
	switch c.Sex {
	case Unstated:
		return nil
	case Male, Female:
		if c.IDNumber.Male() == (c.Sex == Male) {
			return nil
		}
	}
	return fmt.Errorf("%w: sex", ErrHolder)
}
