package pinpad

import (
	"errors"
	"testing"

	"github.com/shebao-pay/shebao/cardauth/pinblock"
	"github.com/shebao-pay/shebao/si"
)

func TestBlock(t *testing.T) {
	key := []byte("terminal pin key, 32 bytes long!")
	last, err := si.LuhnDigit("629900030000001")
	if err != nil {
		t.Fatal(err)
	}
	pan, err := si.ParsePAN("629900030000001" + string(last))
	if err != nil {
		t.Fatal(err)
	}
	b, err := Block(si.PINFormat4AES, key, pan, "123456")
	if err != nil {
		t.Fatal(err)
	}
	c, err := pinblock.NewCipher(si.PINFormat4AES, key)
	if err != nil {
		t.Fatal(err)
	}
	var pin pinblock.PIN
	if err := c.Decipher(&b, &pan, &pin); err != nil || pin.Len() != 6 {
		t.Errorf("the block opens to %d digits, %v", pin.Len(), err)
	}
	for _, bad := range []string{"123", "12345x", "1234567890123"} {
		if _, err := Block(si.PINFormat4AES, key, pan, bad); !errors.Is(err, pinblock.ErrPIN) {
			t.Errorf("Block of %d characters: %v, want ErrPIN", len(bad), err)
		}
	}
	if _, err := Block(si.PINFormat4AES, key[:5], pan, "123456"); err == nil {
		t.Error("a key of 5 bytes was taken")
	}
}
