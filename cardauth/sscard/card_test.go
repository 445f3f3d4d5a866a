package sscard_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/shebao-pay/shebao/cardauth/apdu"
	"github.com/shebao-pay/shebao/cardauth/sscard"
	"github.com/shebao-pay/shebao/simulators/chipcard"
)

// TestCardNoCheck has the example of the notice and its neighbours.
func TestCardNoCheck(t *testing.T) {
	for first8, want := range map[string]byte{"D2143569": 'X', "X0000001": '9'} {
		if got, err := sscard.CardNoCheck(first8); err != nil || got != want {
			t.Errorf("CardNoCheck(%s) = %c, %v; want %c", first8, got, err, want)
		}
	}
	// Laid out by hand: sums of 0, 2 and 10 give 0, 9 and 1.
	for s, ok := range map[string]bool{
		"D2143569X": true, "X00000019": true, "000000019": true, "000000000": true, "000100001": true,
		"D21435690": false, "d2143569X": false, "D2143569": false, "D2143569XX": false, "": false, "D214-569X": false,
	} {
		if err := sscard.CheckCardNo(s); (err == nil) != ok {
			t.Errorf("CheckCardNo(%q) = %v, want ok %v", s, err, ok)
		}
	}
}

func read(t *testing.T, data chipcard.Data) (*sscard.Card, *chipcard.Card, error) {
	t.Helper()
	card, err := chipcard.New(data, chipcard.State{}, chipcard.Hooks{})
	if err != nil {
		t.Fatalf("chipcard.New: %v", err)
	}
	got, err := sscard.Read(card)
	return got, card, err
}

// TestVersions reads one person's card in each version and cipher.
func TestVersions(t *testing.T) {
	for _, v := range []struct {
		version string
		cipher  int
		want    sscard.Cipher
	}{
		{"1.00", 1, sscard.DES}, {"1.00", 0, sscard.DES}, {"", 1, sscard.DES}, {"2.00", 1, sscard.DES}, {"2.00", 3, sscard.SM4}, {"2.0", 3, sscard.SM4},
	} {
		data := chipcard.Example(30)
		data.Social.Version, data.Social.Cipher = v.version, v.cipher
		c, _, err := read(t, data)
		if err != nil {
			t.Errorf("Read of version %q: %v", v.version, err)
			continue
		}
		s := data.Social
		if c.Cipher != v.want || c.CardID != s.CardID || c.CardNo != s.CardNo || c.Version != s.Version || c.Area() != "330100" ||
			c.Issued != s.Issued || c.ValidUntil != s.ValidUntil || c.Class != "3" || c.Nation != "01" || c.BirthPlace != "330199" ||
			c.BirthDate != s.IDNumber[6:14] || c.IDNumber.Reveal("test") != s.IDNumber || c.HolderName.Reveal("test") != s.Name {
			t.Errorf("Read of version %q cipher %d is not what the card holds", v.version, v.cipher)
		}
		c.Wipe()
		if !c.IDNumber.IsZero() || c.CardID != "" {
			t.Error("Wipe leaves something")
		}
	}
}

// TestVersion3 gives the issuer's data and says what is missing; the card itself
// refuses EF06.
func TestVersion3(t *testing.T) {
	for _, cipher := range []int{1, 3} {
		data := chipcard.Example(31)
		data.Social.Version, data.Social.Cipher = "3.00", cipher
		c, card, err := read(t, data)
		if !errors.Is(err, sscard.ErrNeedsKeyService) || c == nil || c.CardNo != data.Social.CardNo || !c.IDNumber.IsZero() {
			t.Errorf("Read of version 3.0: %v, want the issuer data and ErrNeedsKeyService", err)
		}
		if _, err := apdu.Want(card, "select", apdu.Command{INS: 0xA4, P1: 2, Data: []byte{0xEF, 0x06}, Le: apdu.NoLe}); err != nil {
			t.Fatal(err)
		}
		_, sw, err := apdu.Send(card, apdu.Command{INS: 0xB2, P1: 0x08, Le: 0x14})
		if err != nil || sw != apdu.SecurityNotMet {
			t.Errorf("EF06 of version 3.0 answers %v, %v; want 6982", sw, err)
		}
	}
}

// TestNames reads names of all lengths; 姓名 has 30 bytes and 姓名扩展 20, and the
// cut falls inside characters of two and of four bytes.
func TestNames(t *testing.T) {
	for _, name := range []string{
		"李明", "欧阳示例", "阿卜杜拉·买买提", "𠮷田", strings.Repeat("示", 15), strings.Repeat("示", 25),
		"a" + strings.Repeat("示", 24), strings.Repeat("𠮷", 12), "ab" + strings.Repeat("𠮷", 12), strings.Repeat("示例", 10) + "甲乙丙",
		strings.Repeat("N", 29) + " " + strings.Repeat("M", 20),
	} {
		data := chipcard.Example(32)
		data.Social.Name = name
		c, _, err := read(t, data)
		if err != nil || c.HolderName.Reveal("test") != name {
			t.Errorf("Read of a name of %d characters: %v", len([]rune(name)), err)
		}
	}
}

func TestNameRefused(t *testing.T) {
	for what, bytes := range map[string]string{
		"half a character": "C0EEC1", "not in the set": "FFFF", "control character": "C0EE07", "empty": "00",
	} {
		data := chipcard.Example(33)
		data.Social.NameBytes = bytes
		if _, _, err := read(t, data); !errors.Is(err, sscard.ErrText) && !errors.Is(err, sscard.ErrHolder) {
			t.Errorf("Read of a name with %s: error %v, want ErrText or ErrHolder", what, err)
		}
	}
}

// answers is a card that answers READ RECORD from a table by tag and everything
// else with a fixed FCI or 9000.
type answers struct {
	records map[byte]string // hex with status word
	fci     string
}

func (a *answers) Transmit(command []byte) ([]byte, error) {
	switch {
	case command[1] == 0xB2:
		s, ok := a.records[command[2]]
		if !ok {
			s = "6a83"
		}
		return hex.DecodeString(s)
	case command[2] == 0x04:
		return hex.DecodeString(a.fci)
	}
	return []byte{0x90, 0x00}, nil
}

// TestTrace reads answers that were laid out by hand from the notice's tables,
// with the FCI of 社会保障(个人)卡规范 part 5.
func TestTrace(t *testing.T) {
	good := func() *answers {
		return &answers{
			fci: "6f1c840f7378312e73682ec9e7bbe1b1a3d5cfa50988011e9f0c038601039000",
			records: map[byte]string{
				0x01: "0110330100d15600000500000001ffffffff9000", 0x02: "0201339000", 0x03: "0304322e30309000",
				0x04: "040c9156000002330100330100019000", 0x05: "0504202401029000", 0x06: "0604ffffffff9000",
				0x07: "0709" + hex.EncodeToString([]byte("D2143569X")) + "9000",
				0x08: "0812" + hex.EncodeToString([]byte("330199198503120021")) + "9000",
				0x09: "0904c0eec3f79000", 0x0A: "0a01329000", 0x0B: "0b01019000", 0x0C: "0c033301999000", 0x0D: "0d04198503129000",
			},
		}
	}
	c, err := sscard.Read(good())
	if err != nil || c.HolderName.Reveal("test") != "李明" || c.ValidUntil != "" || c.CardNo != "D2143569X" || c.Cipher != sscard.SM4 {
		t.Fatalf("Read of the laid out card: %v", err)
	}
	for name, v := range map[string]struct {
		tag    byte
		answer string
		want   error
	}{
		"wrong tag":            {0x02, "0301339000", sscard.ErrRecord},
		"length too small":     {0x02, "020033339000", sscard.ErrRecord},
		"length too large":     {0x02, "0202339000", sscard.ErrRecord},
		"longer than the rule": {0x02, "020233339000", sscard.ErrRecord},
		"one byte":             {0x02, "029000", sscard.ErrRecord},
		"short card id":        {0x01, "0102330" + "19000", sscard.ErrRecord},
		"version not text":     {0x03, "03040102030" + "49000", sscard.ErrRecord},
		"date not digits":      {0x05, "0504202401fa9000", sscard.ErrRecord},
		"date cut":             {0x05, "05022024" + "9000", sscard.ErrRecord},
		"empty date":           {0x05, "05009000", nil},
		"card number":          {0x07, "0709" + hex.EncodeToString([]byte("D2143569Y")) + "9000", sscard.ErrCardNo},
		"ID number":            {0x08, "0812" + hex.EncodeToString([]byte("330199198503120022")) + "9000", sscard.ErrHolder},
		"birth date":           {0x0D, "0d04198503139000", sscard.ErrHolder},
		"sex":                  {0x0A, "0a01319000", sscard.ErrHolder},
		"sex unknown letter":   {0x0A, "0a01419000", sscard.ErrHolder},
		"sex missing":          {0x0A, "0a009000", sscard.ErrHolder},
	} {
		a := good()
		a.records[v.tag] = v.answer
		if _, err := sscard.Read(a); !errors.Is(err, v.want) {
			t.Errorf("Read with %s: error %v, want %v", name, err, v.want)
		}
	}
	missing := good()
	delete(missing.records, 0x0B)
	var status *apdu.StatusError
	if _, err := sscard.Read(missing); !errors.As(err, &status) || status.SW != apdu.NoRecord {
		t.Errorf("Read without a record: error %v, want 6A83", err)
	}
	for fci, want := range map[string]error{
		"6a82": sscard.ErrNotSocialCard, "9303": sscard.ErrBlocked, "6283": sscard.ErrBlocked, "6a81": sscard.ErrBlocked,
		"6f0484020102" + "9000": sscard.ErrRecord, "9000": sscard.ErrRecord,
		"6f1c840f7378312e73682ec9e7bbe1b1a3d5cfa50988011e9f0c038601029000": sscard.ErrCipher,
		"6f1c840f7378312e73682ec9e7bbe1b1a3d5cfa50988011e9f0c038601049000": sscard.ErrCipher,
	} {
		a := good()
		a.fci = fci
		if _, err := sscard.Read(a); !errors.Is(err, want) {
			t.Errorf("Read with FCI %s: error %v, want %v", fci, err, want)
		}
	}
}

// FuzzText holds that decoded text is written back as it was read, and that
// nothing decodes to a replacement character.
func FuzzText(f *testing.F) {
	for _, s := range []string{"李明", "阿卜杜拉·买买提", "𠮷", "A B"} {
		b, err := simplifiedchinese.GB18030.NewEncoder().Bytes([]byte(s))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte{0xFF})
	f.Add([]byte{0x84, 0x31, 0xA4, 0x37})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := sscard.DecodeText(b)
		if err != nil {
			return
		}
		if strings.ContainsRune(s, 0xFFFD) {
			t.Fatalf("DecodeText(%x) gives a replacement character", b)
		}
		again, err := simplifiedchinese.GB18030.NewEncoder().Bytes([]byte(s))
		if err != nil {
			t.Fatalf("text of %x cannot be written back: %v", b, err)
		}
		if s2, err := sscard.DecodeText(again); err != nil || s2 != s {
			t.Fatalf("text of %x does not survive", b)
		}
	})
}

// tape is a card that answers from a fuzzed tape: length, bytes, length, bytes …
type tape []byte

func (c *tape) Transmit([]byte) ([]byte, error) {
	if len(*c) == 0 {
		return nil, apdu.ErrRemoved
	}
	n := min(int((*c)[0]), len(*c)-1)
	r := (*c)[1 : 1+n]
	*c = (*c)[1+n:]
	return append([]byte(nil), r...), nil
}

// FuzzRead feeds a reading with whatever a card could answer. It must end, and
// what it accepts must be a whole card.
func FuzzRead(f *testing.F) {
	fci, err := hex.DecodeString("1e6f1c840f7378312e73682ec9e7bbe1b1a3d5cfa50988011e9f0c038601039000")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(fci)
	f.Add(append(fci, 2, 0x90, 0x00, 20, 0x01, 0x10))
	f.Add([]byte{2, 0x61, 0x10, 2, 0x6C, 0x10, 2, 0x6C, 0x10})
	f.Add([]byte{1, 0x90})
	f.Fuzz(func(t *testing.T, b []byte) {
		card := tape(b)
		c, err := sscard.Read(&card)
		if err == nil && (c.IDNumber.IsZero() || c.HolderName.IsZero() || len(c.CardID) != 32) {
			t.Fatal("a card without a holder was accepted: " + fmt.Sprint(c.Version))
		}
	})
}
