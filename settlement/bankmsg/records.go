package bankmsg

import "errors"

// The tags of the records in DE 48 or DE 62. Each record is a tag of two
// letters, the length of its value in three digits, and the value.
const (
	RecNotice   = "NN" // notice number, 20 digits
	RecID       = "ID" // social security number; in an inquiry only, never echoed
	RecChannel  = "CH" // CTR counter, EBK e-bank, MOB mobile
	RecTeller   = "OP" // teller
	RecTerm     = "TS" // first and last period, such as 2026-01/2026-12
	RecFund     = "IT" // insurance type
	RecCount    = "CN" // how many dues
	RecName     = "NM" // masked name, GB 18030
	RecReceipt  = "RN" // receipt number
	RecPayment  = "PY" // payment id
	RecOriginal = "OD" // original data, 42 digits as in DE 90
	RecDetail   = "ER" // detail of a refusal
	RecNewKey   = "NK" // TR-31 key block
	RecVerify   = "PV" // verify the PIN
	RecSM4PIN   = "SM" // PIN block under SM4, 16 bytes
)

// MaxRecords bounds the records of one field; the fullest message has nine.
const MaxRecords = 16

// ErrRecords is returned for bytes that are not records.
var ErrRecords = errors.New("bankmsg: records are malformed")

// AppendRecord appends one record. A value over 999 bytes does not fit and
// appends nothing.
func AppendRecord(dst []byte, tag, value string) []byte {
	n := len(value)
	if len(tag) != 2 || n > 999 {
		return dst
	}
	dst = append(dst, tag...)
	dst = append(dst, byte('0'+n/100), byte('0'+n/10%10), byte('0'+n%10))
	return append(dst, value...)
}

// nextRecord splits the first record off. ok is false when it is malformed.
func nextRecord(b []byte) (tag, value, rest []byte, ok bool) {
	if len(b) < 5 || b[0] < 'A' || b[0] > 'Z' || b[1] < 'A' || b[1] > 'Z' || !allOf(b[2:5], isDigit) {
		return nil, nil, nil, false
	}
	n := int(b[2]-'0')*100 + int(b[3]-'0')*10 + int(b[4]-'0')
	if len(b) < 5+n {
		return nil, nil, nil, false
	}
	return b[:2], b[5 : 5+n], b[5+n:], true
}

// Records calls do for each record, which may stop the walk with an error.
func Records(b []byte, do func(tag string, value []byte) error) error {
	if !wholeRecords(b) {
		return ErrRecords
	}
	for len(b) > 0 {
		tag, value, rest, _ := nextRecord(b)
		if err := do(string(tag), value); err != nil {
			return err
		}
		b = rest
	}
	return nil
}

// Record finds the value of one record.
func Record(b []byte, tag string) ([]byte, bool) {
	for len(b) > 0 {
		t, value, rest, ok := nextRecord(b)
		if !ok {
			return nil, false
		}
		if string(t) == tag {
			return value, true
		}
		b = rest
	}
	return nil, false
}

// wholeRecords checks that the bytes are records to the end, no tag twice.
func wholeRecords(b []byte) bool {
	var seen [MaxRecords][2]byte
	for n := 0; len(b) > 0; n++ {
		if n == MaxRecords {
			return false
		}
		_, _, rest, ok := nextRecord(b)
		if !ok {
			return false
		}
		t := [2]byte{b[0], b[1]}
		for _, s := range seen[:n] {
			if s == t {
				return false
			}
		}
		seen[n] = t
		b = rest
	}
	return true
}
