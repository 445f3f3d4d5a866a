package sscard

import (
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/shebao-pay/shebao/cardauth/apdu"
)

// records reads records of the current file one after the other and keeps the
// first error.
type records struct {
	t   apdu.Transmitter
	err error
}

// selectFile selects EF05 or EF06 below the application.
func (r *records) selectFile(sfi byte) {
	_, r.err = apdu.Want(r.t, fmt.Sprintf("select EF%02X", sfi),
		apdu.Command{INS: 0xA4, P1: 0x02, Data: []byte{0xEF, sfi}, Le: apdu.NoLe})
}

// read reads the first record with the tag (P2 = 00: P1 is a tag) and gives its
// value.
func (r *records) read(rec record) []byte {
	v, _ := r.find(rec)
	return v
}

// optional is read where the card may have no such record.
func (r *records) optional(rec record) []byte {
	v, sw := r.find(rec)
	if sw == apdu.NoRecord {
		r.err = nil
	}
	return v
}

// find reads one record. The answer is tag, length, value and nothing else; a
// value may be shorter than the notice says, never longer.
func (r *records) find(rec record) ([]byte, apdu.SW) {
	if r.err != nil {
		return nil, 0
	}
	data, sw, err := apdu.Send(r.t, apdu.Command{INS: 0xB2, P1: rec.tag, Le: int(rec.max) + 2})
	switch {
	case err != nil:
		r.err = err
	case sw != apdu.OK:
		r.err = &apdu.StatusError{What: fmt.Sprintf("read record %02X", rec.tag), SW: sw}
	default:
		v, err := parseRecord(data, rec)
		if err == nil {
			return v, sw
		}
		r.err = err
	}
	return nil, sw
}

// parseRecord takes the value out of an answer.
func parseRecord(data []byte, rec record) ([]byte, error) {
	if len(data) < 2 || data[0] != rec.tag || int(data[1]) != len(data)-2 || data[1] > rec.max {
		return nil, fmt.Errorf("%w: tag %02X", ErrRecord, rec.tag)
	}
	return data[2:], nil
}

// text reads a record of ASCII characters.
func (r *records) text(rec record) string {
	v := trim(r.read(rec))
	for _, b := range v {
		if (b < 0x20 || b > 0x7E) && r.err == nil {
			r.err = fmt.Errorf("%w: tag %02X is not plain text", ErrRecord, rec.tag)
		}
	}
	return string(v)
}

// date reads four bytes of BCD as YYYYMMDD. Empty, all F and all 0 mean none
// (assumed, see docs/spec/card.md).
func (r *records) date(rec record) string {
	v := strings.ToUpper(hex.EncodeToString(r.read(rec)))
	if v == "" || v == "FFFFFFFF" || v == "00000000" {
		return ""
	}
	if (len(v) != 8 || strings.ContainsAny(v, "ABCDEF")) && r.err == nil {
		r.err = fmt.Errorf("%w: tag %02X is not a date", ErrRecord, rec.tag)
	}
	return v
}
