package sscard

import "errors"

// ErrCardNo is returned for a 卡号 of the wrong length or alphabet, or whose
// check character does not fit.
var ErrCardNo = errors.New("sscard: card number (卡号) or its check character is wrong")

// cardNoWeights are the weights of the check character of 卡号.
var cardNoWeights = [8]int{3, 7, 9, 10, 5, 8, 4, 2}

// CardNoCheck is the ninth character of a 卡号 whose first eight are given:
// 11 − (Σ Ci·Wi mod 11) with letters A=10 … Z=35; ten is X, eleven is 0.
func CardNoCheck(first8 string) (byte, error) {
	if len(first8) != len(cardNoWeights) {
		return 0, ErrCardNo
	}
	sum := 0
	for i, w := range cardNoWeights {
		switch c := first8[i]; {
		case c >= '0' && c <= '9':
			sum += int(c-'0') * w
		case c >= 'A' && c <= 'Z':
			sum += int(c-'A'+10) * w
		default:
			return 0, ErrCardNo
		}
	}
	switch r := 11 - sum%11; r {
	case 10:
		return 'X', nil
	case 11:
		return '0', nil
	default:
		return byte('0' + r), nil
	}
}

// CheckCardNo tells whether s is a 卡号 with a good check character.
func CheckCardNo(s string) error {
	if len(s) != 9 {
		return ErrCardNo
	}
	c, err := CardNoCheck(s[:8])
	if err != nil || c != s[8] {
		return ErrCardNo
	}
	return nil
}
