package mac

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/emmansun/gmsm/sm4"

	"github.com/shebao-pay/shebao/internal/vectors"
	"github.com/shebao-pay/shebao/si/hsmapi"
)

var algs = map[string]hsmapi.MACAlg{
	"MACCUPECB": hsmapi.MACCUPECB, "MACX919Pad1": hsmapi.MACX919Pad1, "MACX919Pad2": hsmapi.MACX919Pad2,
	"MACAESCMAC": hsmapi.MACAESCMAC, "MACSM4CMAC": hsmapi.MACSM4CMAC, "MACSM4POS": hsmapi.MACSM4POS,
}

func newKey(t testing.TB, alg hsmapi.MACAlg, keyHex string) *Key {
	t.Helper()
	k, err := NewKey(alg, vectors.Hex(keyHex))
	if err != nil {
		t.Fatalf("NewKey(%d, %d bytes): %v", alg, len(keyHex)/2, err)
	}
	return k
}

func TestPublishedCodes(t *testing.T) {
	for _, v := range vectors.MACs {
		k := newKey(t, algs[v.Alg], v.Key)
		data, want := vectors.Hex(v.Data), vectors.Hex(v.Want)
		if got := k.Append(nil, data); !bytes.Equal(got, want) {
			t.Errorf("%s %s: Append = %X, want %X", v.Alg, v.Name, got, want)
		}
		if !k.Verify(data, [8]byte(want)) {
			t.Errorf("%s %s: Verify refuses the published code", v.Alg, v.Name)
		}
		want[7] ^= 1
		if k.Verify(data, [8]byte(want)) {
			t.Errorf("%s %s: Verify accepts a code with one bit changed", v.Alg, v.Name)
		}
	}
	for _, v := range vectors.CMACs {
		b, err := aes.NewCipher(vectors.Hex(v.Key))
		if err != nil {
			t.Fatal(err)
		}
		if got := NewCMAC(b).Append(nil, vectors.Hex(v.Data)); !bytes.Equal(got, vectors.Hex(v.Want)) {
			t.Errorf("CMAC %s = %X, want %s", v.Name, got, v.Want)
		}
	}
}

// TestSM4Codes holds the unpublished SM4 codes to a second, plain writing of
// their definitions.
func TestSM4Codes(t *testing.T) {
	key := vectors.Hex(vectors.SM4.Key)
	b, err := sm4.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]byte, 16)
	b.Encrypt(out, key)
	if got := strings.ToUpper(hex.EncodeToString(out)); got != vectors.SM4.Want {
		t.Fatalf("SM4 = %s, want %s", got, vectors.SM4.Want)
	}
	for n := range 70 {
		data := bytes.Repeat([]byte{0x5A, 0xC3, 0x01}, 24)[:n]
		if got, want := newKey(t, hsmapi.MACSM4POS, vectors.SM4.Key).Append(nil, data), plainSM4POS(b, data); !bytes.Equal(got, want) {
			t.Errorf("SM4 POS over %d bytes = %X, want %X", n, got, want)
		}
		if got, want := newKey(t, hsmapi.MACSM4CMAC, vectors.SM4.Key).Append(nil, data), plainCMAC(b, data)[:8]; !bytes.Equal(got, want) {
			t.Errorf("SM4-CMAC over %d bytes = %X, want %X", n, got, want)
		}
	}
}

func plainSM4POS(b cipher.Block, data []byte) []byte {
	fold := make([]byte, 16)
	for i, c := range data {
		fold[i%16] ^= c
	}
	text := []byte(fmt.Sprintf("%X", fold))
	first, second := make([]byte, 16), make([]byte, 16)
	b.Encrypt(first, text[:16])
	for i := range first {
		first[i] ^= text[16+i]
	}
	b.Encrypt(second, first)
	return second[:8]
}

func plainCMAC(b cipher.Block, data []byte) []byte {
	shift := func(in []byte) []byte {
		out := make([]byte, 16)
		for i := range out {
			out[i] = in[i] << 1
			if i < 15 && in[i+1]&0x80 != 0 {
				out[i] |= 1
			}
		}
		if in[0]&0x80 != 0 {
			out[15] ^= 0x87
		}
		return out
	}
	l := make([]byte, 16)
	b.Encrypt(l, l)
	sub := shift(l)
	msg := append([]byte(nil), data...)
	if len(msg) == 0 || len(msg)%16 != 0 {
		sub = shift(sub)
		msg = append(msg, 0x80)
		for len(msg)%16 != 0 {
			msg = append(msg, 0)
		}
	}
	for i := range 16 {
		msg[len(msg)-16+i] ^= sub[i]
	}
	out := make([]byte, len(msg))
	cipher.NewCBCEncrypter(b, make([]byte, 16)).CryptBlocks(out, msg)
	return out[len(out)-16:]
}

// TestCheckValues also shows that a doubled single key is the single key.
func TestCheckValues(t *testing.T) {
	for _, v := range vectors.KCVs {
		var b cipher.Block
		var err error
		if v.Cipher == "SM4" {
			b, err = sm4.NewCipher(vectors.Hex(v.Key))
		} else {
			b, err = DES(vectors.Hex(v.Key))
		}
		if err != nil {
			t.Fatal(err)
		}
		kcv := KCV4(b)
		if want := vectors.Hex(v.Want); !bytes.Equal(kcv[:len(want)], want) {
			t.Errorf("KCV of %s key = %X, want %s", v.Cipher, kcv, v.Want)
		}
	}
	single, err := DES(vectors.Hex(vectors.DE62.MAK))
	if err != nil {
		t.Fatal(err)
	}
	double, err := DES(vectors.Hex(vectors.DE62.MAK + vectors.DE62.MAK))
	if err != nil {
		t.Fatal(err)
	}
	if KCV4(single) != KCV4(double) {
		t.Errorf("KCV of a doubled key = %X, want %X", KCV4(double), KCV4(single))
	}
	b, err := aes.NewCipher(vectors.Hex("2b7e151628aed2a6abf7158809cf4f3c"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := CMACKCV4(b), plainCMAC(b, make([]byte, 16)); !bytes.Equal(got[:], want[:4]) {
		t.Errorf("CMACKCV4 = %X, want %X", got, want[:4])
	}
}

func TestKeyLengths(t *testing.T) {
	good := map[hsmapi.MACAlg]string{
		hsmapi.MACCUPECB: "8 16", hsmapi.MACX919Pad1: "16", hsmapi.MACX919Pad2: "16",
		hsmapi.MACAESCMAC: "16 24 32", hsmapi.MACSM4CMAC: "16", hsmapi.MACSM4POS: "16",
	}
	for alg, lengths := range good {
		for n := range 40 {
			_, err := NewKey(alg, make([]byte, n))
			want := false
			for l := range strings.FieldsSeq(lengths) {
				want = want || l == fmt.Sprint(n)
			}
			if (err == nil) != want {
				t.Errorf("NewKey(%d, %d bytes): error %v, want accepted %v", alg, n, err, want)
			}
		}
	}
	for _, alg := range []hsmapi.MACAlg{0, hsmapi.MACSM4POS + 1, 255} {
		if _, err := NewKey(alg, make([]byte, 16)); err == nil {
			t.Errorf("NewKey(%d) accepted an unknown algorithm", alg)
		}
	}
}

// TestECBMACIsWeak documents why CUP ECB-MAC belongs inside TLS: blocks may
// change places and changes may cancel, and the code stays the same.
func TestECBMACIsWeak(t *testing.T) {
	a := []byte("0200AAAA00001000SETTLED!")
	swapped := []byte("00001000" + "0200AAAA" + "SETTLED!")
	cancelled := append([]byte(nil), a...)
	cancelled[3] ^= 0x11
	cancelled[11] ^= 0x11
	weak := newKey(t, hsmapi.MACCUPECB, vectors.DE62.MAK)
	strong := newKey(t, hsmapi.MACX919Pad1, vectors.DE62.PIK)
	for _, forged := range [][]byte{swapped, cancelled} {
		if weak.Sum(forged) != weak.Sum(a) {
			t.Errorf("ECB-MAC of %q differs from that of %q; the weakness is documented wrongly", forged, a)
		}
		if strong.Sum(forged) == strong.Sum(a) {
			t.Errorf("X9.19 of %q equals that of %q", forged, a)
		}
	}
}

// TestPadding tells messages apart that differ in trailing zeros, where the
// algorithm can.
func TestPadding(t *testing.T) {
	for _, alg := range []hsmapi.MACAlg{hsmapi.MACX919Pad2, hsmapi.MACAESCMAC, hsmapi.MACSM4CMAC} {
		k := newKey(t, alg, vectors.SM4.Key)
		seen := map[[8]byte]int{}
		for n := range 66 {
			sum := k.Sum(make([]byte, n))
			if m, ok := seen[sum]; ok {
				t.Errorf("algorithm %d: %d and %d zero bytes have the same code", alg, m, n)
			}
			seen[sum] = n
		}
	}
	k := newKey(t, hsmapi.MACX919Pad1, vectors.SM4.Key)
	if k.Sum(nil) != k.Sum(make([]byte, 8)) {
		t.Error("X9.19 padding 1: the empty message is not one block of zeros")
	}
}

func TestNoAllocation(t *testing.T) {
	data := make([]byte, 272)
	dst := make([]byte, 0, 16)
	for name, alg := range algs {
		k := newKey(t, alg, vectors.SM4.Key)
		if n := testing.AllocsPerRun(200, func() { dst = k.Append(dst[:0], data) }); n != 0 {
			t.Errorf("%s: Append allocates %v times", name, n)
		}
		var code [8]byte
		if n := testing.AllocsPerRun(200, func() { k.Verify(data, code) }); n != 0 {
			t.Errorf("%s: Verify allocates %v times", name, n)
		}
	}
}

func TestManyGoroutines(t *testing.T) {
	for name, alg := range algs {
		k := newKey(t, alg, vectors.SM4.Key)
		data := []byte("one key, many goroutines")
		want := k.Sum(data)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 200 {
					if k.Sum(data) != want {
						t.Errorf("%s: code differs between goroutines", name)
						return
					}
				}
			})
		}
		wg.Wait()
	}
}

func BenchmarkSum272(b *testing.B) {
	data := make([]byte, 272)
	for name, alg := range algs {
		k := newKey(b, alg, vectors.SM4.Key)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				k.Sum(data)
			}
		})
	}
}
