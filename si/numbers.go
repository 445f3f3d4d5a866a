package si

import (
	"errors"
	"fmt"
	"strconv"
)

// ErrCheckDigit is returned for a number whose check digits do not fit.
var ErrCheckDigit = errors.New("si: check digit does not fit")

// ErrNumberForm is returned for a number of the wrong length or alphabet.
var ErrNumberForm = errors.New("si: number has the wrong length or characters")

// NoticeNo is the number of a payment notice (缴费通知单) without its two check
// digits: region 6, year 2, serial 10. Ours.
type NoticeNo uint64

// NewNoticeNo makes the number of the serial-th notice of a region's year.
func NewNoticeNo(area AreaCode, year int, serial uint64) NoticeNo {
	return NoticeNo((uint64(area)*100+uint64(year%100))*10_000_000_000 + serial%10_000_000_000)
}

// String writes 20 digits; the last two are ISO 7064 MOD 97-10.
func (n NoticeNo) String() string {
	return string(n.Append(make([]byte, 0, 20)))
}

// Append appends what String writes. It allocates nothing when dst has room.
func (n NoticeNo) Append(dst []byte) []byte {
	return appendDigits(appendDigits(dst, uint64(n), 18), 98-uint64(n)%97*100%97, 2)
}

// ParseNoticeNo reads 20 digits and checks the last two.
func ParseNoticeNo(s string) (NoticeNo, error) {
	if len(s) != 20 {
		return 0, ErrNumberForm
	}
	var n, all uint64
	for i := 0; i < 20; i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, ErrNumberForm
		}
		if i < 18 {
			n = n*10 + uint64(s[i]-'0')
		}
		all = (all*10 + uint64(s[i]-'0')) % 97
	}
	// Of two values that fit, such as 01 and 98, String writes the one from 02 to 98.
	if check := (s[18]-'0')*10 + s[19] - '0'; all != 1 || check < 2 || check > 98 {
		return 0, ErrCheckDigit
	}
	return NoticeNo(n), nil
}

// ReceiptNo numbers the receipts of a region's day. The zero value is none.
type ReceiptNo struct {
	Area AreaCode
	Date BusinessDate
	Seq  uint32
}

// String writes 20 digits: area 6, date YYMMDD, sequence 8.
func (r ReceiptNo) String() string {
	if r == (ReceiptNo{}) {
		return ""
	}
	return string(r.Append(make([]byte, 0, 20)))
}

// Append appends what String writes. It allocates nothing when dst has room.
func (r ReceiptNo) Append(dst []byte) []byte {
	if r == (ReceiptNo{}) {
		return dst
	}
	y, m, d := r.Date.Time().Date()
	dst = appendDigits(dst, uint64(r.Area), 6)
	dst = appendDigits(dst, uint64(y%100*10_000+int(m)*100+d), 6)
	return appendDigits(dst, uint64(r.Seq), 8)
}

// appendDigits appends v with leading zeros; a number of more digits than width
// is written whole.
func appendDigits(dst []byte, v uint64, width int) []byte {
	for n := uint64(10); width > 1; width-- {
		if v < n {
			dst = append(dst, '0')
		}
		n *= 10
	}
	return strconv.AppendUint(dst, v, 10)
}

// ParseReceiptNo reads the form that String writes.
func ParseReceiptNo(s string) (ReceiptNo, error) {
	var r ReceiptNo
	var area, yy, mm, dd uint32
	if len(s) != 20 {
		return r, ErrNumberForm
	}
	if _, err := fmt.Sscanf(s, "%6d%2d%2d%2d%8d", &area, &yy, &mm, &dd, &r.Seq); err != nil {
		return ReceiptNo{}, ErrNumberForm
	}
	d, err := ParseDate(fmt.Sprintf("20%02d-%02d-%02d", yy, mm, dd))
	if err != nil {
		return ReceiptNo{}, ErrNumberForm
	}
	r.Area, r.Date = AreaCode(area), d
	if r.String() != s {
		return ReceiptNo{}, ErrNumberForm
	}
	return r, nil
}

// IDCheckDigit is the 18th character of a citizen number (GB 11643-1999,
// ISO 7064 MOD 11-2) whose first 17 digits are given.
func IDCheckDigit(first17 string) (byte, error) {
	if len(first17) != 17 {
		return 0, ErrNumberForm
	}
	sum := 0
	for i := 0; i < 17; i++ {
		if first17[i] < '0' || first17[i] > '9' {
			return 0, ErrNumberForm
		}
		sum += int(first17[i]-'0') * (1 << (17 - i) % 11)
	}
	return "10X98765432"[sum%11], nil
}

// LuhnDigit is the check digit that completes a card number (ISO/IEC 7812-1).
func LuhnDigit(digits string) (byte, error) {
	sum, double := 0, true
	for i := len(digits) - 1; i >= 0; i-- {
		if digits[i] < '0' || digits[i] > '9' {
			return 0, ErrNumberForm
		}
		d := int(digits[i] - '0')
		if double {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		double = !double
		sum += d
	}
	return byte('0' + (10-sum%10)%10), nil
}
