package ledgerapi

import (
	"bytes"
	"testing"
)

// FuzzDecodeAct feeds DecodeAct what a damaged log could hold. Whatever it takes
// must be the only bytes that say it.
func FuzzDecodeAct(f *testing.F) {
	for _, c := range samples() {
		if a, ok := c.(Act); ok {
			f.Add(uint8(a.Type()), a.AppendBody(nil))
		}
	}
	f.Add(uint8(TypeReserve), []byte{1})
	f.Fuzz(func(t *testing.T, kind uint8, body []byte) {
		do, err := DecodeAct(Type(kind), body)
		if err != nil {
			return
		}
		if got := (Act{Do: do}).AppendBody(nil); do.Type() != Type(kind) || !bytes.Equal(got, body) {
			t.Errorf("type %d, %x decodes to %+v, which is %x", kind, body, do, got)
		}
	})
}
