package bankmsg

import "github.com/shebao-pay/shebao/settlement/profile"

// The field lists of the selected scope, for money and for key messages
// (docs/spec/bank-wire.md). 1 is the message type.
var (
	selectedMoney = []int{1, 2, 3, 4, 7, 11, 18, 25, 28, 32, 33, 38, 39, 41, 42, 90, 102, 103}
	selectedKeys  = []int{1, 2, 3, 4, 7, 11, 18, 25, 28, 32, 33, 38, 39, 41, 42, 53, 70, 90, 100}
)

// selected90 is how much of DE 90 is covered: type, trace number and time of
// the original, without the institutions.
const selected90 = 20

func selectedFields(k profile.Kind) []int {
	switch k {
	case profile.SignOn, profile.SignOff, profile.Echo, profile.KeyReset, profile.KeyDelivery,
		profile.CutoverFrom, profile.PeerSignOn, profile.PeerEcho:
		return selectedKeys
	}
	return selectedMoney
}

// selectedText appends the text that the code of the selected scope is made
// over: each listed field that is present, variable ones with the digits of
// their length, joined by one space, in capitals. A small letter in one of them
// is refused: the code could not tell it from its capital. de is then the field.
func (c *Codec) selectedText(dst []byte, m *Message, k profile.Kind) (text []byte, de int) {
	for _, de := range selectedFields(k) {
		if de == 1 {
			dst = appendMTI(dst, m.mti)
			continue
		}
		v := m.Field(de)
		if v == nil {
			continue
		}
		if de == 90 && len(v) > selected90 {
			v = v[:selected90]
		}
		dst = append(dst, ' ')
		if e := &c.fields[de]; e.digits > 0 {
			var digits [3]byte
			dst = append(dst, digits[:e.putLength(digits[:], len(v))]...)
		}
		if hasSmall(v) {
			return dst, de
		}
		dst = append(dst, v...)
	}
	return dst, 0
}

func hasSmall(v []byte) bool {
	for _, b := range v {
		if b >= 'a' && b <= 'z' {
			return true
		}
	}
	return false
}
