package pinpad

import (
	"fmt"

	"github.com/shebao-pay/shebao/cardauth/pinblock"
	"github.com/shebao-pay/shebao/si"
)

// Block is what a pad with this key makes of these digits: for many simulated
// kiosks at once, where no pad is clicked.
func Block(format si.PINFormat, key []byte, pan si.PAN, digits string) (si.PINBlock, error) {
	c, err := pinblock.NewCipher(format, key)
	if err != nil {
		return si.PINBlock{}, fmt.Errorf("pinpad: %w", err)
	}
	var pin pinblock.PIN
	defer pin.Wipe()
	for i := range len(digits) {
		if !pin.Push(digits[i]) {
			return si.PINBlock{}, fmt.Errorf("pinpad: %w", pinblock.ErrPIN)
		}
	}
	b, err := c.Encipher(&pin, &pan)
	if err != nil {
		return si.PINBlock{}, fmt.Errorf("pinpad: %w", err)
	}
	return b, nil
}
