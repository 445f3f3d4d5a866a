package emv

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"slices"

	"github.com/shebao-pay/shebao/cardauth/apdu"
	"github.com/shebao-pay/shebao/cardauth/tlv"
)

// Bounds of a reading. A real card has under ten records and 2 KiB.
const (
	MaxRecords     = 30
	MaxRecordBytes = 16 << 10
	// MaxCandidates bounds the applications that a directory may name.
	MaxCandidates = 8
)

// Errors of a transaction that a caller branches on.
var (
	ErrNoApplication = errors.New("emv: no usable bank application on this card")
	ErrBlocked       = errors.New("emv: bank application or card is blocked")
	ErrExpired       = errors.New("emv: card is past its expiry date")
	ErrNotEffective  = errors.New("emv: card is not valid yet")
	ErrNoOnlinePIN   = errors.New("emv: card has no rule for an online PIN")
	ErrRecords       = errors.New("emv: card data are malformed or contradict one another")
	ErrYesCard       = errors.New("emv: card approved by itself where it was asked to go online")
	ErrCardDeclined  = errors.New("emv: card declined the transaction")
	ErrOrder         = errors.New("emv: transaction is not at this step")
)

// pse is the name of the payment system directory.
const pse = "1PAY.SYS.DDF01"

// rid is the registered provider of PBOC applications, A000000333, and aids are
// the applications in use, best first: debit, credit, quasi-credit. Electronic
// cash (…0106) is never chosen.
var (
	rid  = []byte{0xA0, 0x00, 0x00, 0x03, 0x33}
	aids = [][]byte{
		append(slices.Clone(rid), 0x01, 0x01, 0x01),
		append(slices.Clone(rid), 0x01, 0x01, 0x02),
		append(slices.Clone(rid), 0x01, 0x01, 0x03),
	}
)

// usable tells whether a directory may lead us to this application.
func usable(aid []byte) bool {
	return len(aid) <= 16 && slices.ContainsFunc(aids, func(a []byte) bool { return bytes.HasPrefix(aid, a) })
}

// candidates are the applications to try: those of the directory, or the list
// where the card has no directory or nothing usable in it.
func candidates(t apdu.Transmitter) ([][]byte, error) {
	found, err := directory(t)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return aids, nil
	}
	return found, nil
}

// directory reads the payment system directory, best application first. A card
// without one, or with a broken one, gives none: the list of known applications
// is then asked for one by one, as EMV 4.3 Book 1, 12.3.2 has it.
func directory(t apdu.Transmitter) ([][]byte, error) {
	fci, sw, err := apdu.Send(t, apdu.Command{INS: 0xA4, P1: 0x04, Data: []byte(pse), Le: 0})
	switch {
	case err != nil:
		return nil, err
	case sw == apdu.NotSupported:
		return nil, ErrBlocked // the card answers so to everything
	case sw != apdu.OK:
		return nil, nil
	}
	sfi, err := tlv.Find(fci, TagFCI, TagProprietary, TagSFI)
	if err != nil || len(sfi) != 1 || sfi[0] < 1 || sfi[0] > 10 {
		return nil, nil
	}
	type entry struct {
		aid      []byte
		priority byte
	}
	var found []entry
	for n := byte(1); n <= MaxCandidates; n++ {
		data, sw, err := readRecord(t, sfi[0], n)
		if err != nil {
			return nil, err
		}
		if sw != apdu.OK {
			break
		}
		inner, err := tlv.Find(data, TagRecord)
		if err != nil {
			break
		}
		entries, err := tlv.Parse(inner)
		if err != nil {
			break
		}
		for _, e := range entries {
			aid, err := tlv.Find(e.Value, TagAID)
			if e.Tag != TagDirEntry || err != nil || !usable(aid) || len(found) == MaxCandidates {
				continue
			}
			priority := byte(0xFF) // no priority comes last
			if p, err := tlv.Find(e.Value, TagPriority); err == nil && len(p) == 1 && p[0]&0x0F != 0 {
				priority = p[0] & 0x0F
			}
			found = append(found, entry{aid, priority})
		}
	}
	slices.SortStableFunc(found, func(a, b entry) int { return int(a.priority) - int(b.priority) })
	list := make([][]byte, len(found))
	for i := range found {
		list[i] = found[i].aid
	}
	return list, nil
}

// readRecord reads one record of a file by its number.
func readRecord(t apdu.Transmitter, sfi, n byte) ([]byte, apdu.SW, error) {
	return apdu.Send(t, apdu.Command{INS: 0xB2, P1: n, P2: sfi<<3 | 4, Le: 0})
}

// selectApplication selects one application and keeps what its FCI says.
func (x *Transaction) selectApplication(t apdu.Transmitter, aid []byte) error {
	fci, sw, err := apdu.Send(t, apdu.Command{INS: 0xA4, P1: 0x04, Data: aid, Le: 0})
	switch {
	case err != nil:
		return err
	case sw == apdu.Invalidated, sw == apdu.ApplicationLocked, sw == apdu.NotSupported:
		return ErrBlocked
	case sw != apdu.OK:
		return ErrNoApplication
	}
	name, err := tlv.Find(fci, TagFCI, TagDFName)
	if err != nil || !bytes.HasPrefix(name, aid) {
		return fmt.Errorf("%w: FCI does not name the application that was asked for", ErrRecords)
	}
	x.card = objects{TagDFName: bytes.Clone(name)}
	x.aid = x.card[TagDFName]
	dol, err := tlv.Find(fci, TagFCI, TagProprietary, TagPDOL)
	if errors.Is(err, tlv.ErrAbsent) {
		x.pdol = nil
		return nil
	}
	if err == nil {
		x.pdol, err = tlv.ParseDOL(dol)
	}
	if err != nil {
		return fmt.Errorf("%w: PDOL: %w", ErrRecords, err)
	}
	return nil
}

// getProcessingOptions starts the transaction on the card. A card that does not
// want this application to be used answers 6985.
func (x *Transaction) getProcessingOptions(t apdu.Transmitter) (afl []byte, err error) {
	data := tlv.Append(nil, 0x83, x.pdol.Build(x.value))
	answer, sw, err := apdu.Send(t, apdu.Command{CLA: 0x80, INS: 0xA8, Data: data, Le: 0})
	switch {
	case err != nil:
		return nil, err
	case sw == apdu.ConditionsNotMet:
		return nil, ErrNoApplication
	case sw != apdu.OK:
		return nil, &apdu.StatusError{What: "get processing options", SW: sw}
	}
	l, err := tlv.Parse(answer)
	if err != nil || len(l) != 1 {
		return nil, fmt.Errorf("%w: answer to GET PROCESSING OPTIONS", ErrRecords)
	}
	var aip []byte
	switch l[0].Tag {
	case TagFormat1:
		if len(l[0].Value) >= 2 {
			aip, afl = l[0].Value[:2], l[0].Value[2:]
		}
	case TagFormat2:
		inner, err := tlv.Parse(l[0].Value)
		if err != nil {
			return nil, fmt.Errorf("%w: answer to GET PROCESSING OPTIONS", ErrRecords)
		}
		aip, _ = inner.Find(TagAIP)
		afl, _ = inner.Find(TagAFL)
	}
	if len(aip) != 2 || len(afl) == 0 || len(afl)%4 != 0 {
		return nil, fmt.Errorf("%w: AIP or AFL", ErrRecords)
	}
	x.card[TagAIP] = bytes.Clone(aip)
	return afl, nil
}

// readRecords reads what the application file locator names and keeps every
// data object once. The digest covers all bytes, so that a later transaction of
// the same session can be held to them.
func (x *Transaction) readRecords(t apdu.Transmitter, afl []byte) error {
	h := sha256.New()
	h.Write(x.aid)
	h.Write(x.card[TagAIP])
	h.Write(afl)
	count, total := 0, 0
	for ; len(afl) > 0; afl = afl[4:] {
		sfi, first, last := afl[0]>>3, afl[1], afl[2]
		if afl[0]&7 != 0 || sfi < 1 || sfi > 30 || first == 0 || last < first || afl[3] > last-first+1 {
			return fmt.Errorf("%w: AFL entry", ErrRecords)
		}
		for n := int(first); n <= int(last); n++ {
			if count++; count > MaxRecords {
				return fmt.Errorf("%w: more than %d records", ErrRecords, MaxRecords)
			}
			data, sw, err := readRecord(t, sfi, byte(n))
			if err != nil {
				return err
			}
			if sw != apdu.OK {
				return &apdu.StatusError{What: "read record", SW: sw}
			}
			if total += len(data); total > MaxRecordBytes {
				return fmt.Errorf("%w: more than %d bytes of records", ErrRecords, MaxRecordBytes)
			}
			if err := x.keep(data, h); err != nil {
				return err
			}
		}
	}
	x.account.Digest = [32]byte(h.Sum(nil))
	return nil
}

// keep takes the data objects out of one record. A data object that comes twice
// makes the card's data ambiguous and is refused.
func (x *Transaction) keep(record []byte, h hash.Hash) error {
	h.Write(record)
	l, err := tlv.Parse(record)
	if err != nil || len(l) != 1 || l[0].Tag != TagRecord {
		return fmt.Errorf("%w: record without template 70", ErrRecords)
	}
	inner, err := tlv.Parse(l[0].Value)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRecords, err)
	}
	for _, item := range inner {
		if item.Tag.Constructed() {
			continue
		}
		if _, twice := x.card[item.Tag]; twice {
			return fmt.Errorf("%w: %v comes twice", ErrRecords, item.Tag)
		}
		if _, ours := x.terminal[item.Tag]; ours && !cardMayState(item.Tag) {
			return fmt.Errorf("%w: record states the terminal's %v", ErrRecords, item.Tag)
		}
		x.card[item.Tag] = bytes.Clone(item.Value)
	}
	return nil
}

// cardMayState lists data objects of the terminal that cards also carry in
// records. The terminal's own value is the one that counts.
func cardMayState(t tlv.Tag) bool { return t == TagECash }
