package emv

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/shebao-pay/shebao/cardauth/apdu"
	"github.com/shebao-pay/shebao/cardauth/tlv"
)

// step is how far a transaction has come.
type step uint8

const (
	begun step = iota + 1 // read and checked, no cryptogram yet
	asked                 // the card gave an ARQC
	done                  // the card said its last word, or the transaction ended
)

// Transaction is one run of the bank application and serves one bank message: a
// card gives one ARQC for one GET PROCESSING OPTIONS.
type Transaction struct {
	aid      []byte
	pdol     tlv.DOL
	terminal objects // what the terminal knows; wins over the card's in DOLs
	card     objects // what the card said
	account  Account
	step     step
}

// Begin selects an application, starts a transaction, reads the records and
// checks them: dates, account number, cardholder verification. aid is the
// application of an earlier transaction in the same session, or nil to choose
// one. The TVR is complete when Begin returns.
func Begin(t apdu.Transmitter, aid []byte, terminal *Terminal, p Params) (*Transaction, error) {
	own, err := terminalObjects(terminal, &p)
	if err != nil {
		return nil, err
	}
	own[TagTVR][3] |= terminal.OnlineTVR
	list := [][]byte{aid}
	if aid == nil {
		if list, err = candidates(t); err != nil {
			return nil, err
		}
	}
	x := &Transaction{terminal: own, step: begun}
	afl, err := x.start(t, list)
	if err != nil {
		return nil, err
	}
	for _, next := range []func() error{
		func() error { return x.readRecords(t, afl) },
		x.takeAccount, x.checkDates, x.chooseCVM,
	} {
		if err := next(); err != nil {
			x.Wipe()
			return nil, err
		}
	}
	return x, nil
}

// start selects the first application of the list that lets itself be used. A
// blocked one is remembered: it says more than that there is none.
func (x *Transaction) start(t apdu.Transmitter, list [][]byte) (afl []byte, err error) {
	verdict := ErrNoApplication
	for _, aid := range list {
		err := x.selectApplication(t, aid)
		if err == nil {
			if afl, err = x.getProcessingOptions(t); err == nil {
				return afl, nil
			}
		}
		switch {
		case errors.Is(err, ErrBlocked):
			verdict = ErrBlocked
		case !errors.Is(err, ErrNoApplication):
			return nil, err
		}
	}
	return nil, verdict
}

// Account is what the records say.
func (x *Transaction) Account() *Account { return &x.account }

// AID is the name of the application in use.
func (x *Transaction) AID() []byte { return x.aid }

// ATC is the card's transaction counter, 0 before the first cryptogram.
func (x *Transaction) ATC() ATC {
	if v := x.card[TagATC]; len(v) == 2 {
		return ATC(binary.BigEndian.Uint16(v))
	}
	return 0
}

// Cryptogram is the ARQC, nil before it was given.
func (x *Transaction) Cryptogram() []byte { return x.card[TagCryptogram] }

// Wipe forgets what was read. The transaction cannot go on.
func (x *Transaction) Wipe() {
	for _, v := range x.card {
		clear(v)
	}
	clear(x.card)
	x.account.Wipe()
	x.step = done
}

// Request asks the card for an ARQC. A TC is refused as [ErrYesCard], an AAC is
// [ErrCardDeclined]; both end the transaction, and so does any error.
func (x *Transaction) Request(t apdu.Transmitter) error {
	if x.step != begun {
		return ErrOrder
	}
	x.step = done
	cid, err := x.generateAC(t, cidARQC, TagCDOL1)
	if err != nil {
		return err
	}
	switch cid & cidMask {
	case cidARQC:
		x.step = asked
		return nil
	case cidTC:
		return ErrYesCard
	case cidAAC:
		return ErrCardDeclined
	}
	return fmt.Errorf("%w: cryptogram information %02X", ErrRecords, cid)
}

// Cryptogram types in the high bits of the cryptogram information data, which
// are also the P1 that asks for them (EMV 4.3 Book 3, 6.5.5).
const (
	cidMask = 0xC0
	cidAAC  = 0x00
	cidTC   = 0x40
	cidARQC = 0x80
)

// generateAC builds what the DOL asks for, takes a cryptogram and keeps it.
func (x *Transaction) generateAC(t apdu.Transmitter, kind byte, dol tlv.Tag) (cid byte, err error) {
	d, err := tlv.ParseDOL(x.card[dol])
	if err != nil {
		return 0, fmt.Errorf("%w: %v: %w", ErrRecords, dol, err)
	}
	answer, err := apdu.Want(t, "generate AC", apdu.Command{
		CLA: 0x80, INS: 0xAE, P1: kind, Data: d.Build(x.value), Le: 0,
	})
	if err != nil {
		return 0, err
	}
	got, err := parseCryptogram(answer)
	if err != nil {
		return 0, err
	}
	for _, item := range got {
		x.card[item.Tag] = bytes.Clone(item.Value)
	}
	return x.card[TagCID][0], nil
}

// parseCryptogram reads the answer to GENERATE AC in either format: CID 1, ATC
// 2, cryptogram 8, issuer application data up to 32 bytes.
func parseCryptogram(answer []byte) (tlv.List, error) {
	l, err := tlv.Parse(answer)
	if err != nil || len(l) != 1 {
		return nil, fmt.Errorf("%w: answer to GENERATE AC", ErrRecords)
	}
	v := l[0].Value
	switch l[0].Tag {
	case TagFormat1:
		if len(v) < 11 || len(v) > 11+32 {
			return nil, fmt.Errorf("%w: answer to GENERATE AC has %d bytes", ErrRecords, len(v))
		}
		return tlv.List{{Tag: TagCID, Value: v[:1]}, {Tag: TagATC, Value: v[1:3]},
			{Tag: TagCryptogram, Value: v[3:11]}, {Tag: TagIAD, Value: v[11:]}}, nil
	case TagFormat2:
		inner, err := tlv.Parse(v)
		if err != nil {
			return nil, fmt.Errorf("%w: answer to GENERATE AC: %w", ErrRecords, err)
		}
		var got tlv.List
		for _, want := range []struct {
			tag         tlv.Tag
			least, most int
		}{{TagCID, 1, 1}, {TagATC, 2, 2}, {TagCryptogram, 8, 8}, {TagIAD, 0, 32}} {
			v, ok := inner.Find(want.tag)
			if len(v) < want.least || len(v) > want.most || !ok && want.least > 0 {
				return nil, fmt.Errorf("%w: %v in the answer to GENERATE AC", ErrRecords, want.tag)
			}
			got = append(got, tlv.Item{Tag: want.tag, Value: v})
		}
		return got, nil
	}
	return nil, fmt.Errorf("%w: answer to GENERATE AC is neither 80 nor 77", ErrRecords)
}

// value gives a data object with its format for a DOL.
func (x *Transaction) value(t tlv.Tag) ([]byte, tlv.Format) {
	if v, ok := x.terminal[t]; ok {
		return v, format(t)
	}
	return x.card[t], format(t)
}
