package emv

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/shebao-pay/shebao/cardauth/tlv"
)

// unhex reads hexadecimal digits, spaces between them allowed.
func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatalf("bad hex in test: %v", err)
	}
	return b
}

// TestVectors holds every derivation to published transactions. The ARPCs of V2
// and V3 were not published and are regression values of our own.
func TestVectors(t *testing.T) {
	for _, v := range []struct {
		name                    string
		cipher                  Cipher
		imk, digits, psn        string
		udk                     string
		atc                     ATC
		sk, data, ac, arc, arpc string
	}{
		{
			name: "V1 3DES", cipher: TDES,
			imk: "F0C34A8124CEE0A91A0B034AA97D6EAC", digits: "6228000100001", psn: "01",
			udk: "014D996FCC8F49157DC8B49E3BCDFD99", atc: 0x0240,
			sk:   "D4102725E6E5AD329E55AAB50BF23DA9",
			data: "000000000001000000000000015600800460000156140701001E78EEBC7D00024003A04002",
			ac:   "5D016C91005E7CC2", arc: "01", arpc: "21415243527CE78F",
		},
		{
			name: "V2 3DES", cipher: TDES,
			udk: "0D2E3CB0BC1F9E03AED58F663A2F9679", atc: 0x000E,
			sk:   "C3D3F062E9992B4E923D338D66193526",
			data: "0000000012340000000000340156D86004A800015612051601010101017C00000E03A4B904",
			ac:   "F294D7022FA9B058", arc: "00", arpc: "3846EEB4C8D34271",
		},
		{
			name: "V3 SM4", cipher: SM4,
			imk: "F23BF4AE92B554C116139D4F67322667", digits: "6214988660100000304", psn: "00",
			udk: "016F6E76BD8E6FB4A17C28C4B05E03A8", atc: 0x0001,
			sk:   "9ECF9220F32AE56187D3C2444967FC0E",
			data: "00000000000000000000000001560000000800015616051800412AB4B67D00000103A00000",
			ac:   "179E0D01A7D1791D", arc: "00", arpc: "DC16134D6FF5CF97",
		},
	} {
		t.Run(v.name, func(t *testing.T) {
			if v.imk != "" {
				udk, err := CardKey(v.cipher, Key(unhex(t, v.imk)), v.digits, v.psn)
				if got := fmt.Sprintf("%X", udk[:]); err != nil || got != v.udk {
					t.Errorf("CardKey = %s, %v; want %s", got, err, v.udk)
				}
			}
			sk, err := SessionKey(v.cipher, Key(unhex(t, v.udk)), v.atc)
			if got := fmt.Sprintf("%X", sk[:]); err != nil || got != v.sk {
				t.Errorf("SessionKey = %s, %v; want %s", got, err, v.sk)
			}
			ac, err := Cryptogram(v.cipher, Key(unhex(t, v.sk)), unhex(t, v.data))
			if got := fmt.Sprintf("%X", ac[:]); err != nil || got != v.ac {
				t.Errorf("Cryptogram = %s, %v; want %s", got, err, v.ac)
			}
			arpc, err := ARPC(v.cipher, Key(unhex(t, v.sk)), [8]byte(unhex(t, v.ac)), [2]byte([]byte(v.arc)))
			if got := fmt.Sprintf("%X", arpc[:]); err != nil || got != v.arpc {
				t.Errorf("ARPC = %s, %v; want %s", got, err, v.arpc)
			}
		})
	}
}

// TestZeroPaddingDiffers is the negative half of V1: the same data padded with
// zeros only gives the other published value, which must not be ours.
func TestZeroPaddingDiffers(t *testing.T) {
	data := unhex(t, "000000000001000000000000015600800460000156140701001E78EEBC7D00024003A04002")
	ac, err := Cryptogram(TDES, Key(unhex(t, "D4102725E6E5AD329E55AAB50BF23DA9")), data)
	if got := fmt.Sprintf("%X", ac[:]); err != nil || got == "D1972C87FBE0637C" {
		t.Errorf("Cryptogram = %s, %v: the padding is zeros, not 80", got, err)
	}
}

// TestEMVCommonSessionKey is V4: the derivations of EMV itself.
func TestEMVCommonSessionKey(t *testing.T) {
	mk, err := EMVCardKey(Key(unhex(t, "0123456789ABCDEFFEDCBA9876543210")), "99012345678901234", "45")
	if got, want := fmt.Sprintf("%X", mk[:]), "67F8292358083E5EA7AB7FDA58D53B6B"; err != nil || got != want {
		t.Errorf("EMVCardKey = %s, %v; want %s", got, err, want)
	}
	sk, err := EMVSessionKey(mk, [8]byte(unhex(t, "1234567890123456")))
	if got, want := fmt.Sprintf("%X", sk[:]), "29B33180E567CE38EA4CBC9D753B0E61"; err != nil || got != want {
		t.Errorf("EMVSessionKey = %s, %v; want %s", got, err, want)
	}
	ac, err := Cryptogram(TDES, sk, unhex(t, "0123456789ABCDEF0123456789ABCDEF"))
	if got, want := fmt.Sprintf("%X", ac[:]), "FA624250B008B59A"; err != nil || got != want {
		t.Errorf("Cryptogram = %s, %v; want %s", got, err, want)
	}
	one, err := ARPC(TDES, sk, ac, [2]byte{})
	if got, want := fmt.Sprintf("%X", one[:]), "45D4255EEF10C920"; err != nil || got != want {
		t.Errorf("ARPC = %s, %v; want %s", got, err, want)
	}
	two, err := ARPC2(sk, ac, [4]byte{})
	if got, want := fmt.Sprintf("%X", two[:]), "CB56FA40"; err != nil || got != want {
		t.Errorf("ARPC2 = %s, %v; want %s", got, err, want)
	}
}

// TestCryptogramData lays V1's covered bytes out from its data objects.
func TestCryptogramData(t *testing.T) {
	objects := map[tlv.Tag][]byte{
		TagAmount: unhex(t, "000000000001"), TagAmountOther: unhex(t, "000000000000"),
		TagCountry: unhex(t, "0156"), TagTVR: unhex(t, "0080046000"), TagCurrency: unhex(t, "0156"),
		TagDate: unhex(t, "140701"), TagType: unhex(t, "00"), TagUnpredictable: unhex(t, "1E78EEBC"),
		TagAIP: unhex(t, "7D00"), TagATC: unhex(t, "0240"),
		TagIAD: unhex(t, "07000103A04002010A010000001000D1F61152"),
	}
	get := func(tag tlv.Tag) []byte { return objects[tag] }
	got, err := CryptogramData(get)
	want := "000000000001000000000000015600800460000156140701001E78EEBC7D00024003A04002"
	if s := fmt.Sprintf("%X", got); err != nil || s != want {
		t.Errorf("CryptogramData = %s, %v; want %s", s, err, want)
	}
	for tag := range objects {
		kept := objects[tag]
		objects[tag] = kept[:len(kept)-1]
		if tag == TagIAD {
			objects[tag] = kept[:7]
		}
		if _, err := CryptogramData(get); !errors.Is(err, ErrCryptogramData) {
			t.Errorf("CryptogramData without a byte of %v: error %v, want ErrCryptogramData", tag, err)
		}
		objects[tag] = kept
	}
}

func TestCardKeyRefuses(t *testing.T) {
	for _, v := range []struct{ digits, psn string }{
		{"", "01"}, {"62990001", ""}, {"62990001", "1"}, {"6299000A", "01"}, {"62990001", "0x"},
	} {
		if _, err := CardKey(TDES, Key{}, v.digits, v.psn); !errors.Is(err, ErrDigits) {
			t.Errorf("CardKey(%q, %q): error %v, want ErrDigits", v.digits, v.psn, err)
		}
	}
	if _, err := CardKey(0, Key{}, "62990001", "01"); !errors.Is(err, ErrCipher) {
		t.Errorf("CardKey with no cipher: error %v, want ErrCipher", err)
	}
	if _, err := Cryptogram(9, Key{}, nil); !errors.Is(err, ErrCipher) {
		t.Errorf("Cryptogram with no cipher: error %v, want ErrCipher", err)
	}
}

// TestKeyPrintsNothing holds that no verb shows a key.
func TestKeyPrintsNothing(t *testing.T) {
	k := Key{0xCA, 0xFE}
	for _, verb := range []string{"%v", "%+v", "%#v", "%x", "%X", "%s", "%d"} {
		if got := fmt.Sprintf(verb, k); got != "(redacted)" {
			t.Errorf("Sprintf(%q, key) = %q, want (redacted)", verb, got)
		}
	}
}
