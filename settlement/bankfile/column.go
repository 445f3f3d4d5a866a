package bankfile

import (
	"bytes"

	"github.com/shebao-pay/shebao/si"
)

// column is one field of a line: what may stand in it.
type column struct {
	name     string
	class    class
	min, max int    // bytes; an empty field needs min 0
	set      string // of a choice
}

// class is a field's characters.
type class uint8

const (
	digits    class = iota // digits alone
	count                  // a number without zeros before it
	amount                 // fen, or yuan with two decimals
	signed                 // an amount that may have a minus before it
	date                   // YYYYMMDD, a day that exists
	clock                  // hhmmss
	stamp                  // MMDDhhmmss
	created                // YYYYMMDDhhmmss
	choice                 // one character of a set
	printable              // ASCII without space, separator and control
	masked                 // six digits, asterisks, four digits
	lowerHex               // hexadecimal, lower case
	upperHex               // whole bytes in hexadecimal, upper case
	dayHead                // YYYYMMDD:hex
	text                   // characters of the file's set, none of control
	classEnd
)

// number tells whether zeros before a value mean nothing, or belong to its
// fixed length.
func (c class) number() bool {
	switch c {
	case digits, count, amount, signed, date, clock, stamp, created:
		return true
	}
	return false
}

// classes check a field that is not empty, and say what is wrong. Amounts and
// text depend on the layout: scan checks them.
var classes = [classEnd]func(v []byte, c *column) string{
	digits: func(v []byte, _ *column) string { return onlyDigits(v) },
	count:  func(v []byte, _ *column) string { return plainNumber(v) },
	date:   func(v []byte, _ *column) string { return oneOf(isDate(v), "is no date") },
	clock:  func(v []byte, _ *column) string { return oneOf(isClock(v), "is no time of day") },
	stamp:  func(v []byte, _ *column) string { return oneOf(isStamp(v), "is no month, day and time") },
	created: func(v []byte, _ *column) string {
		return oneOf(len(v) == 14 && isDate(v[:8]) && isClock(v[8:]), "is no date and time")
	},
	choice: func(v []byte, c *column) string {
		return oneOf(bytes.IndexByte([]byte(c.set), v[0]) >= 0, "is none of the letters allowed here")
	},
	printable: func(v []byte, _ *column) string { return plainText(v) },
	masked: func(v []byte, _ *column) string {
		return oneOf(isMasked(v), "is no masked account: six digits, asterisks, four digits")
	},
	lowerHex: func(v []byte, c *column) string {
		return oneOf(len(v) == c.max && isHex(v, 'a'), "is not its number of lower-case hexadecimal digits")
	},
	upperHex: func(v []byte, _ *column) string {
		return oneOf(isHex(v, 'A') && len(v)%2 == 0, "is no whole bytes in upper-case hexadecimal")
	},
	dayHead: func(v []byte, _ *column) string {
		return oneOf(len(v) == 73 && isDate(v[:8]) && v[8] == ':' && isHex(v[9:], 'a'), "is no YYYYMMDD:hex")
	},
}

func oneOf(ok bool, why string) string {
	if ok {
		return ""
	}
	return why
}

func onlyDigits(v []byte) string {
	for _, c := range v {
		if c < '0' || c > '9' {
			return "has a character that is no digit"
		}
	}
	return ""
}

func plainNumber(v []byte) string {
	if len(v) > 1 && v[0] == '0' {
		return "has a zero before the number"
	}
	return onlyDigits(v)
}

func plainText(v []byte) string {
	for _, c := range v {
		switch {
		case c < 0x20 || c == 0x7f:
			return "has a control character"
		case c == ' ' || c == '|' || c > 0x7f:
			return "has a space, a separator or a character that is not ASCII"
		}
	}
	return ""
}

func isHex(v []byte, a byte) bool {
	for _, c := range v {
		if (c < '0' || c > '9') && (c < a || c > a+5) {
			return false
		}
	}
	return true
}

// isMasked tells whether at least three characters between the first six and
// the last four digits are hidden: the shortest account has thirteen.
func isMasked(v []byte) bool {
	if len(v) < 13 || onlyDigits(v[:6]) != "" || onlyDigits(v[len(v)-4:]) != "" {
		return false
	}
	for _, c := range v[6 : len(v)-4] {
		if c != '*' {
			return false
		}
	}
	return true
}

func two(v []byte) int { return int(v[0]-'0')*10 + int(v[1]-'0') }

func isClock(v []byte) bool {
	return len(v) == 6 && onlyDigits(v) == "" && two(v) < 24 && two(v[2:]) < 60 && two(v[4:]) < 60
}

// isStamp takes 29 February in every year: the stamp has none.
func isStamp(v []byte) bool {
	if len(v) != 10 || onlyDigits(v) != "" {
		return false
	}
	return dayInMonth(2000, two(v), two(v[2:])) && isClock(v[4:])
}

func dayInMonth(year, month, day int) bool {
	if month < 1 || month > 12 || day < 1 {
		return false
	}
	last := int("\x1f\x1c\x1f\x1e\x1f\x1e\x1f\x1f\x1e\x1f\x1e\x1f"[month-1])
	if month == 2 && year%4 == 0 && (year%100 != 0 || year%400 == 0) {
		last = 29
	}
	return day <= last
}

func isDate(v []byte) bool {
	if len(v) != 8 || onlyDigits(v) != "" {
		return false
	}
	year := two(v)*100 + two(v[2:])
	return year >= 2000 && year <= lastYear && dayInMonth(year, two(v[4:]), two(v[6:]))
}

// lastYear is the last whole year that si.BusinessDate can count.
const lastYear = 2178

// dateOf reads YYYYMMDD; false if it is no date.
func dateOf(v []byte) (si.BusinessDate, bool) {
	if !isDate(v) {
		return 0, false
	}
	year, month, day := two(v)*100+two(v[2:]), two(v[4:]), two(v[6:])
	if month < 3 { // days are counted from 1 March, so that 29 February is the last
		year, month = year-1, month+12
	}
	n := 365*year + year/4 - year/100 + year/400 + (153*(month-3)+2)/5 + day - 1
	return si.BusinessDate(n - daysBefore2000), true
}

// daysBefore2000 is the same count for 2000-01-01, which is day 0.
const daysBefore2000 = 365*1999 + 1999/4 - 1999/100 + 1999/400 + 306
