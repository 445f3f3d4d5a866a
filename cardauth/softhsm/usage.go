package softhsm

import (
	"crypto/aes"
	"crypto/subtle"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/shebao-pay/shebao/cardauth/envelope"
	"github.com/shebao-pay/shebao/cardauth/mac"
	"github.com/shebao-pay/shebao/si"
)

// Usage is the one thing a key may do. The numbers are in key stores and never
// change.
type Usage uint8

// The usages. In brackets the usage of a key block (X9.143).
const (
	PINAES   Usage = iota + 1 // terminal's PIN key, format 4 (P0): 16, 24 or 32 bytes
	PINTDES                   // terminal's PIN key, format 0 (P0): 16 bytes
	Master                    // terminal master key, opens DE 62 (K0): 16 bytes
	Protect                   // key block protection key (K1): 16, 24 or 32 bytes
	HashID                    // HMAC of ID numbers: 32 bytes
	HashCard                  // HMAC of 卡识别码: 32 bytes
	HashNo                    // HMAC of 卡号: 32 bytes
	HashPAN                   // HMAC of PANs: 32 bytes
	Person                    // seals persons: 32 bytes, named pii/<region>/<year>
	Memo                      // seals memos: 32 bytes, named memo/<bank>/<date>
	Envelope                  // opens card envelopes: 32 bytes (X25519), named envelope/<year>
	usageEnd
)

var usageNames = [...]string{"", "PIN-AES", "PIN-TDES", "MASTER", "PROTECT", "HASH-ID", "HASH-CARD", "HASH-NO", "HASH-PAN", "PERSON", "MEMO", "ENVELOPE"}

// String writes the usage's name.
func (u Usage) String() string {
	if u == 0 || u >= usageEnd {
		return fmt.Sprintf("Usage(%d)", uint8(u))
	}
	return usageNames[u]
}

// ErrKeyForm is returned for a key whose name, usage or length do not go together.
var ErrKeyForm = errors.New("softhsm: name, usage and length of the key do not go together")

// UsageOf tells what a key is for by the form of its name: hash/id and the other
// names that exist once, envelope/<year>, pii/<region>/<year>,
// <bank>/tmk/<virtual terminal>, <bank>/kbpk, and terminal/<number>/tpk for a
// terminal's PIN key of format 4. 0 is a name of no such form.
func UsageOf(name string) Usage {
	for _, f := range []struct {
		pattern string
		usage   Usage
	}{
		{NameHashID, HashID}, {NameHashCard, HashCard}, {NameHashNo, HashNo}, {NameHashPAN, HashPAN},
		{"envelope/*", Envelope}, {"pii/*/*", Person}, {"*/tmk/*", Master}, {"*/kbpk", Protect}, {"terminal/*/tpk", PINAES},
	} {
		if ok, _ := path.Match(f.pattern, name); ok {
			return f.usage
		}
	}
	return 0
}

// Names of the keys that exist once.
const (
	NameHashID   = "hash/id"
	NameHashCard = "hash/card"
	NameHashNo   = "hash/no"
	NameHashPAN  = "hash/pan"
)

// PersonKeyName names the key that seals a region's persons from a year on.
func PersonKeyName(region si.Region, year int) string { return fmt.Sprintf("pii/%d/%d", region, year) }

// MemoKeyName names the key of a bank's business date.
func MemoKeyName(bank si.Bank, date si.BusinessDate) string {
	return fmt.Sprintf("memo/%d/%s", bank, date)
}

// EnvelopeKeyName names the key that opens card envelopes from a year on.
func EnvelopeKeyName(year int) string { return fmt.Sprintf("envelope/%d", year) }

// size is the length of a generated key of a usage.
func (u Usage) size() int {
	if u == PINTDES || u == Master {
		return 16
	}
	return 32
}

// checkKey holds name, usage and bytes together; names are printable and short.
func checkKey(name string, u Usage, key []byte) error {
	refuse := func(what string) error { return fmt.Errorf("%w: %q as %s: %s", ErrKeyForm, name, u, what) }
	if len(name) == 0 || len(name) > maxName {
		return refuse("name is empty or too long")
	}
	for i := range len(name) {
		if name[i] <= 0x20 || name[i] > 0x7E {
			return refuse("name has a character outside printable ASCII")
		}
	}
	want := map[Usage]string{HashID: NameHashID, HashCard: NameHashCard, HashNo: NameHashNo, HashPAN: NameHashPAN}[u]
	if want != "" && name != want {
		return refuse("the name must be " + want)
	}
	n := len(key)
	switch u {
	case PINAES, Protect:
		if n != 16 && n != 24 && n != 32 {
			return refuse("length")
		}
	case PINTDES, Master:
		if n != 16 || subtle.ConstantTimeCompare(key[:8], key[8:]) == 1 {
			return refuse("not a double-length 3DES key")
		}
	case HashID, HashCard, HashNo, HashPAN:
		if n != 32 {
			return refuse("length")
		}
	case Person:
		if _, _, ok := parsePersonName(name); !ok || n != 32 {
			return refuse("want pii/<region>/<year> and 32 bytes")
		}
	case Memo:
		if !isMemoName(name) || n != 32 {
			return refuse("want memo/<bank>/<date> and 32 bytes")
		}
	case Envelope:
		if _, ok := parseYear(strings.TrimPrefix(name, "envelope/")); !ok || !strings.HasPrefix(name, "envelope/") || n != envelope.KeySize {
			return refuse("want envelope/<year> and 32 bytes")
		}
	default:
		return refuse("unknown usage")
	}
	return nil
}

func parseYear(s string) (int, bool) {
	y, err := strconv.Atoi(s)
	return y, err == nil && len(s) == 4 && y >= 2000
}

func parsePersonName(name string) (region si.Region, year int, ok bool) {
	parts := strings.Split(name, "/")
	if len(parts) != 3 || parts[0] != "pii" {
		return 0, 0, false
	}
	r, err := strconv.ParseUint(parts[1], 10, 16)
	year, ok = parseYear(parts[2])
	return si.Region(r), year, ok && err == nil && name == PersonKeyName(si.Region(r), year)
}

func isMemoName(name string) bool {
	parts := strings.Split(name, "/")
	if len(parts) != 3 {
		return false
	}
	b, err := strconv.ParseUint(parts[1], 10, 8)
	d, derr := si.ParseDate(parts[2])
	return err == nil && derr == nil && name == MemoKeyName(si.Bank(b), d)
}

// kcv is the check value that ceremonies show: E(key, 0) for 3DES, CMAC of a zero
// block for AES and for keys of HMAC and X25519, which are treated as AES keys.
func kcv(u Usage, key []byte) ([4]byte, error) {
	if u == PINTDES || u == Master {
		b, err := mac.DES(key)
		if err != nil {
			return [4]byte{}, ErrKeyForm
		}
		return mac.KCV4(b), nil
	}
	b, err := aes.NewCipher(key)
	if err != nil {
		return [4]byte{}, ErrKeyForm
	}
	return mac.CMACKCV4(b), nil
}
