package si

import (
	"errors"
	"fmt"
	"strings"
)

// Fen is an amount in fen, the hundredth part of a yuan: the only money type in
// this program. It is exact and fits DE 4 (n 12). Rates live in ledger/assess,
// which rounds to Fen once, by a named rule. Nothing else rounds.
type Fen int64

// MaxFen is the largest amount a bank message can carry: twelve digits.
const MaxFen Fen = 999_999_999_999

// ErrAmountRange is returned for an amount that no bank message can carry.
var ErrAmountRange = errors.New("si: amount outside 0.00 to 9999999999.99 yuan")

// ErrAmountForm is returned for text that is not yuan with two decimals.
var ErrAmountForm = errors.New("si: amount is not yuan with two decimals, such as 12.30")

// ParseFen reads the form that String writes. It takes no shorthand: "12",
// "12.3", "+12.30" and "012.30" are errors, because a bank file that says so
// is a bank file we have misread.
func ParseFen(s string) (Fen, error) {
	t, negative := strings.CutPrefix(s, "-")
	n := len(t)
	if n < 4 || n > 13 || t[n-3] != '.' || (t[0] == '0' && n > 4) {
		return 0, ErrAmountForm
	}
	var v Fen
	for i := 0; i < n; i++ {
		if i == n-3 {
			continue
		}
		if t[i] < '0' || t[i] > '9' {
			return 0, ErrAmountForm
		}
		v = v*10 + Fen(t[i]-'0')
	}
	if v > MaxFen {
		return 0, ErrAmountRange
	}
	if negative {
		if v == 0 {
			return 0, ErrAmountForm
		}
		v = -v
	}
	return v, nil
}

// String writes yuan with two decimals, such as 1234.56.
func (f Fen) String() string {
	sign := ""
	u := uint64(f)
	if f < 0 {
		sign, u = "-", uint64(-f)
	}
	return fmt.Sprintf("%s%d.%02d", sign, u/100, u%100)
}

// Grouped writes yuan as people read them, such as 1,234.56.
func (f Fen) Grouped() string {
	s := f.String()
	sign := ""
	if s[0] == '-' {
		sign, s = "-", s[1:]
	}
	whole, cents := s[:len(s)-3], s[len(s)-3:]
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	return sign + whole + cents
}

// Capitals writes the amount in the capital figures of Chinese vouchers (大写),
// such as 壹仟贰佰叁拾肆元伍角陆分, by the rules of 支付结算办法 annex 1. Where the
// annex allows two readings it is the one listed first: 零 stands between 元 and
// 角 when the yuan end in 0, and not after 万 or 亿 when the next figure is no 0;
// 整 ends an amount without fen.
func (f Fen) Capitals() string {
	if f < 0 {
		return "负" + (-f).Capitals()
	}
	yuan, jiao, fen := int64(f)/100, int64(f)/10%10, int64(f)%10
	var b strings.Builder
	if yuan > 0 {
		writeCapitals(&b, yuan)
		b.WriteString("元")
	}
	switch {
	case yuan == 0 && jiao == 0 && fen == 0:
		return "零元整"
	case jiao > 0 && yuan > 0 && yuan%10 == 0, jiao == 0 && fen > 0 && yuan > 0:
		b.WriteString("零")
	}
	if jiao > 0 {
		b.WriteString(capital(jiao) + "角")
	}
	if fen > 0 {
		b.WriteString(capital(fen) + "分")
	} else {
		b.WriteString("整")
	}
	return b.String()
}

func capital(n int64) string {
	const digits = "零壹贰叁肆伍陆柒捌玖"
	return digits[n*3 : n*3+3]
}

// writeCapitals writes a whole number in groups of four figures; a run of zeros
// inside it is read once.
func writeCapitals(b *strings.Builder, n int64) {
	units := [...]string{"", "拾", "佰", "仟"}
	groups := [...]string{"", "万", "亿", "万亿"}
	zero := false // a zero is due before the next figure
	for g, pow := 3, int64(1_0000_0000_0000); g >= 0; g, pow = g-1, pow/10000 {
		part := n / pow % 10000
		if part == 0 {
			zero = b.Len() > 0
			continue
		}
		for i, p := 3, int64(1000); i >= 0; i, p = i-1, p/10 {
			d := part / p % 10
			if d == 0 {
				zero = b.Len() > 0
				continue
			}
			if zero {
				b.WriteString("零")
				zero = false
			}
			b.WriteString(capital(d) + units[i])
		}
		b.WriteString(groups[g])
		zero = false
	}
}
