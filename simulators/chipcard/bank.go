package chipcard

import (
	"bytes"
	"crypto/subtle"
	"encoding/binary"

	"github.com/shebao-pay/shebao/cardauth/apdu"
	"github.com/shebao-pay/shebao/cardauth/emv"
	"github.com/shebao-pay/shebao/cardauth/tlv"
)

// session is one transaction of the bank application.
type session struct {
	started bool // GET PROCESSING OPTIONS came
	first   bool // the first cryptogram was given
	second  bool
	tried   bool // EXTERNAL AUTHENTICATE came
	proven  bool
	key     emv.Key
	arqc    [8]byte
	known   map[tlv.Tag][]byte // what the terminal said
}

// Cryptogram types as P1 asks for them and as the CID says them.
const (
	typeMask = 0xC0
	typeAAC  = 0x00
	typeTC   = 0x40
	typeARQC = 0x80
)

// bankCommand is a command to the bank application.
func (c *Card) bankCommand(command apdu.Command) ([]byte, apdu.SW) {
	switch [2]byte{command.CLA, command.INS} {
	case [2]byte{0x80, 0xA8}:
		return c.start(command)
	case [2]byte{0x00, 0xB2}:
		return c.readBank(command)
	case [2]byte{0x80, 0xAE}:
		return c.generate(command)
	case [2]byte{0x00, 0x82}:
		return nil, c.authenticateIssuer(command)
	case [2]byte{0x84, 0x1E}: // APPLICATION BLOCK
		c.state.Blocked = true
		c.save()
		return nil, apdu.OK
	case [2]byte{0x84, 0x18}: // APPLICATION UNBLOCK
		c.state.Blocked = false
		c.save()
		return nil, apdu.OK
	case [2]byte{0x84, 0xDA}, [2]byte{0x84, 0x24}: // PUT DATA, PIN CHANGE/UNBLOCK
		return nil, apdu.OK
	}
	if command.CLA != 0x00 && command.CLA != 0x80 && command.CLA != 0x84 {
		return nil, apdu.WrongCLA
	}
	return nil, apdu.WrongINS
}

// start is GET PROCESSING OPTIONS: the counter rises and is kept before the
// answer leaves.
func (c *Card) start(command apdu.Command) ([]byte, apdu.SW) {
	value, err := tlv.Find(command.Data, 0x83)
	if err != nil || len(value) != c.bank.pdol.Len() {
		return nil, apdu.WrongLength
	}
	if c.power.emv.started {
		return nil, apdu.ConditionsNotMet
	}
	if c.state.ATC == 0xFFFF {
		return nil, apdu.ConditionsNotMet // the counter is used up
	}
	if !c.faulty(CounterBack) {
		c.state.ATC++
	} else if c.state.ATC > 0 {
		c.state.ATC--
	}
	c.save()
	key, err := emv.SessionKey(c.bank.cipher, c.bank.udk, emv.ATC(c.state.ATC))
	if err != nil {
		return nil, 0x6F00
	}
	if c.faulty(WrongCrypto) {
		key[0] ^= 0x10
	}
	c.power.emv = session{started: true, key: key, known: map[tlv.Tag][]byte{}}
	c.learn(c.bank.pdol, value)
	answer := append(append([]byte{}, c.bank.aip...), c.bank.afl...)
	return tlv.Append(nil, emv.TagFormat1, answer), apdu.OK
}

// learn keeps the data objects that the terminal sent for a DOL.
func (c *Card) learn(d tlv.DOL, data []byte) bool {
	l, err := d.Split(data)
	for _, item := range l {
		c.power.emv.known[item.Tag] = bytes.Clone(item.Value)
	}
	return err == nil
}

// readBank is READ RECORD by number.
func (c *Card) readBank(command apdu.Command) ([]byte, apdu.SW) {
	if command.P2&7 != 4 {
		return nil, apdu.WrongP1P2
	}
	record, ok := c.bank.records[[2]byte{command.P2 >> 3, command.P1}]
	if !ok {
		return nil, apdu.NoRecord
	}
	if c.faulty(OtherRecords) && c.state.ATC > 1 {
		record = append(record[:len(record):len(record)], 0x00)
	}
	return record, apdu.OK
}

// generate is GENERATE AC, first and second.
func (c *Card) generate(command apdu.Command) ([]byte, apdu.SW) {
	e := &c.power.emv
	switch {
	case !e.started || e.second:
		return nil, apdu.ConditionsNotMet
	case !e.first:
		if !c.learn(c.bank.cdol1, command.Data) {
			return nil, apdu.WrongLength
		}
		e.first = true
		return c.cryptogram(c.firstType(command.P1 & typeMask))
	default:
		if c.faulty(NoSecond) {
			return nil, apdu.ConditionsNotMet
		}
		if !c.learn(c.bank.cdol2, command.Data) {
			return nil, apdu.WrongLength
		}
		e.second = true
		return c.cryptogram(c.secondType(command.P1 & typeMask))
	}
}

// firstType decides the first cryptogram. An honest card of an online-only
// system never gives a TC here.
func (c *Card) firstType(asked byte) byte {
	switch {
	case c.faulty(DeclinesFirst):
		return typeAAC
	case c.faulty(YesCard):
		return typeTC
	case asked == typeAAC:
		return typeAAC
	}
	return typeARQC
}

// secondType decides the second cryptogram.
func (c *Card) secondType(asked byte) byte {
	e := &c.power.emv
	switch {
	case asked != typeTC, c.faulty(DeclinesSecond):
		return typeAAC
	case e.tried && !e.proven, c.bank.mustProve && !e.proven:
		return typeAAC
	}
	return typeTC
}

// cryptogram makes the answer to GENERATE AC in format 1.
func (c *Card) cryptogram(kind byte) ([]byte, apdu.SW) {
	e := &c.power.emv
	iad := append([]byte{7, c.bank.iad[0], c.bank.iad[1]}, c.results(kind)...)
	iad = append(iad, c.bank.iad[2])
	var atc [2]byte
	binary.BigEndian.PutUint16(atc[:], c.state.ATC)
	e.known[emv.TagAIP], e.known[emv.TagATC], e.known[emv.TagIAD] = c.bank.aip, atc[:], iad
	data, err := emv.CryptogramData(func(t tlv.Tag) []byte {
		if v, ok := e.known[t]; ok {
			return v
		}
		return make([]byte, usualLength[t]) // not asked for: zeros
	})
	if err != nil {
		return nil, 0x6F00
	}
	ac, err := emv.Cryptogram(c.bank.cipher, e.key, data)
	if err != nil {
		return nil, 0x6F00
	}
	if kind == typeARQC {
		if c.faulty(Replays) {
			ac = [8]byte{0xA1, 0xA2, 0xA3, 0xA4, 0xA5, 0xA6, 0xA7, 0xA8}
		}
		e.arqc = ac
	}
	answer := append([]byte{kind}, atc[:]...)
	answer = append(append(answer, ac[:]...), iad...)
	return tlv.Append(nil, emv.TagFormat1, answer), apdu.OK
}

// usualLength is what a cryptogram covers of data objects that neither DOL asks
// for.
var usualLength = map[tlv.Tag]int{
	emv.TagAmount: 6, emv.TagAmountOther: 6, emv.TagCountry: 2, emv.TagTVR: 5, emv.TagCurrency: 2,
	emv.TagDate: 3, emv.TagType: 1, emv.TagUnpredictable: 4,
}

// results are the card verification results: length, then which cryptograms
// were given (bits 8-7 the second, 6-5 the first) and whether the issuer's proof
// failed (assumed, see docs/spec/card.md).
func (c *Card) results(kind byte) []byte {
	e := &c.power.emv
	b := byte(0x80) // second: not asked for
	if e.second {
		b = kind
	} else if kind != typeARQC {
		b |= kind >> 2
	}
	if e.second || kind == typeARQC {
		b |= typeARQC >> 2
	}
	if e.tried && !e.proven {
		b |= 0x08
	}
	return []byte{3, b, 0, 0}
}

// authenticateIssuer is EXTERNAL AUTHENTICATE: ARPC 8 and ARC 2, once.
func (c *Card) authenticateIssuer(command apdu.Command) apdu.SW {
	e := &c.power.emv
	if !e.first || e.second || e.tried {
		return apdu.ConditionsNotMet
	}
	if len(command.Data) != 10 {
		return apdu.WrongLength
	}
	e.tried = true
	want, err := emv.ARPC(c.bank.cipher, e.key, e.arqc, [2]byte(command.Data[8:10]))
	if err != nil {
		return 0x6F00
	}
	e.proven = subtle.ConstantTimeCompare(want[:], command.Data[:8]) == 1
	switch {
	case c.faulty(BelievesAll):
		e.proven = true
	case c.faulty(BelievesNone):
		e.proven = false
	}
	if !e.proven {
		return apdu.NotAuthenticated
	}
	return apdu.OK
}
