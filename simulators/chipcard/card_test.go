package chipcard_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/cardauth/apdu"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/simulators/chipcard"
)

func newCard(t *testing.T, d chipcard.Data, state chipcard.State, hooks chipcard.Hooks) *chipcard.Card {
	t.Helper()
	c, err := chipcard.New(d, state, hooks)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return c
}

// talk sends commands in order and holds each answer to a prefix.
func talk(t *testing.T, c *chipcard.Card, pairs ...string) {
	t.Helper()
	for _, pair := range pairs {
		command, want, _ := strings.Cut(pair, ">")
		b, err := hex.DecodeString(command)
		if err != nil {
			t.Fatalf("bad hex in test: %v", err)
		}
		answer, err := c.Transmit(b)
		if got := hex.EncodeToString(answer); err != nil || !strings.HasPrefix(got, want) {
			t.Errorf("%s answers %s, %v; want %s", command, got, err, want)
		}
	}
}

const selectSocial = "00a404000f7378312e73682ec9e7bbe1b1a3d5cf"

// TestT0 holds the machine to protocol T=0: SELECT of the notice with 611E and
// GET RESPONSE, 6Cxx for a wrong Le, data in exactly the length asked for.
func TestT0(t *testing.T) {
	c := newCard(t, chipcard.Example(1), chipcard.State{}, chipcard.Hooks{})
	talk(t, c,
		selectSocial+">611e",
		"00c000001e>6f1c840f7378312e73682ec9e7bbe1b1a3d5cfa50988011e9f0c038601039000",
		"00c000001e>6985", // fetched already
		selectSocial+"00>611e",
		"00c0000000>6c1e",
		"00c000001e>6f1c",
		"00b2030006>6986", // no file yet
		"00a4020002ef05>9000",
		"00b2030000>6c06", "00b2030010>6c06",
		"00b2030006>0304322e30309000",
		"00b2990000>6a83",
		"00a4000002ef06>9000", // the form seen in the wild
		"00b20a0003>0a01",
		"00a4020002ef07>6a82",
		"00b2030700>6a86", // no such reference mode
	)
}

// TestRecordReferences reads by tag, by number, by file and number, next and
// previous; number 3 of EF06 is the extension of the name on 2.0 and the sex on 1.0.
func TestRecordReferences(t *testing.T) {
	two := newCard(t, chipcard.Example(1), chipcard.State{}, chipcard.Hooks{})
	talk(t, two, selectSocial+">61", "00b2032c06>0304", "00b2033416>4e14", "00b2043403>0a01",
		"00b2083102>6c14", "00b20a3303>6a83", "00b20a3203>0a01", "00b2083114>0812", "00b2ff3400>6a83", "00b2003400>6a83", "00b2013c00>6a82")
	old := chipcard.Example(1)
	old.Social.Version = "1.00"
	one := newCard(t, old, chipcard.State{}, chipcard.Hooks{})
	talk(t, one, selectSocial+">61", "00b2033403>0a01", "00b24e3016>6a83")
}

// TestFirewall holds that selecting one application ends what went on in another.
func TestFirewall(t *testing.T) {
	c := newCard(t, chipcard.Example(1), chipcard.State{}, chipcard.Hooks{})
	const bank = "00a4040008a000000333010101"
	talk(t, c, bank+">61", "80a800000b8309000000000000010156>61", selectSocial+">61", "80ae80000100>6e00",
		bank+">61", "80ae80000100>6985", "00b2010c00>6c", "00b2010800>6a86", "80a80000028300>6700",
		"0020000000>6d00", "a0b2010c00>6e00", "00a4000000>9000", "00b2010c00>6d00", "00a4090000>6a86")
}

// TestKept holds what a card keeps: the counter, before its answer leaves.
func TestKept(t *testing.T) {
	var saved []chipcard.State
	hooks := chipcard.Hooks{Save: func(s chipcard.State) { saved = append(saved, s) }}
	c := newCard(t, chipcard.Example(1), chipcard.State{ATC: 9}, hooks)
	start := []string{"00a4040008a000000333010101>61", "80a800000b8309000000000000010156>61"}
	talk(t, c, start...)
	c.Power()
	talk(t, c, start...)
	talk(t, c, "80a800000b8309000000000000010156>6985") // one for each selection
	if want := []chipcard.State{{ATC: 10}, {ATC: 11}}; !reflect.DeepEqual(saved, want) || c.State() != want[1] {
		t.Errorf("saved %v, kept %v; want %v", saved, c.State(), want)
	}
	worn := newCard(t, chipcard.Example(1), chipcard.State{ATC: 0xFFFF}, chipcard.Hooks{})
	talk(t, worn, start[0], "80a800000b8309000000000000010156>6985")
}

// TestWays walks the faults of the way at the second command.
func TestWays(t *testing.T) {
	for _, v := range []struct {
		kind   chipcard.Kind
		answer string // prefix
		err    error
	}{
		{chipcard.Mute, "", apdu.ErrMute},
		{chipcard.PullBefore, "", apdu.ErrRemoved},
		{chipcard.PullAfter, "", apdu.ErrRemoved},
		{chipcard.ResetSelf, "", apdu.ErrReset},
		{chipcard.WrongSW, "6f00", nil},
		{chipcard.Loop61, "6110", nil},
		{chipcard.Loop6C, "6c10", nil},
		{chipcard.WrongTag, "6e1c", nil},
		{chipcard.Slow, "6f1c", nil},
	} {
		var slept time.Duration
		pulled := 0
		d := chipcard.Example(1)
		d.Faults = []chipcard.Fault{{Kind: v.kind, At: 2, Millis: 30}}
		c := newCard(t, d, chipcard.State{}, chipcard.Hooks{
			Sleep: func(d time.Duration) { slept += d }, Pulled: func() { pulled++ },
		})
		talk(t, c, selectSocial+">611e")
		answer, err := c.Transmit([]byte{0, 0xC0, 0, 0, 0x1E})
		if !errors.Is(err, v.err) || !strings.HasPrefix(hex.EncodeToString(answer), v.answer) {
			t.Errorf("%s: answer %x, %v; want %s, %v", v.kind, answer, err, v.answer, v.err)
		}
		if (v.kind == chipcard.Slow) != (slept == 30*time.Millisecond) {
			t.Errorf("%s: slept %v", v.kind, slept)
		}
		if (v.err == apdu.ErrRemoved) != (pulled == 1) {
			t.Errorf("%s: pulled %d times", v.kind, pulled)
		}
		if v.kind == chipcard.Mute {
			if _, err := c.Transmit([]byte{0, 0xC0, 0, 0, 0x1E}); !errors.Is(err, apdu.ErrMute) {
				t.Errorf("mute: next command: %v, want ErrMute", err)
			}
		}
		if v.err == apdu.ErrRemoved {
			if _, err := c.ATR(); !errors.Is(err, apdu.ErrRemoved) {
				t.Errorf("%s: ATR: %v, want ErrRemoved", v.kind, err)
			}
			c.Insert()
			talk(t, c, selectSocial+">611e")
		}
	}
}

// TestJSON holds that a card survives being written as JSON.
func TestJSON(t *testing.T) {
	d := chipcard.Example(5)
	d.Faults = []chipcard.Fault{{Kind: chipcard.Mute, At: 3}}
	b, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	var again chipcard.Data
	if err := json.Unmarshal(b, &again); err != nil || !reflect.DeepEqual(d, again) {
		t.Errorf("card read back = %+v, %v; want %+v", again, err, d)
	}
}

// TestExamples holds that the example citizens are whole and fictional.
func TestExamples(t *testing.T) {
	for n := range 200 {
		d := chipcard.Example(n)
		if _, err := si.ParseIDNumber(d.Social.IDNumber); err != nil || !strings.HasPrefix(d.Social.IDNumber, "330199") {
			t.Fatalf("Example(%d): ID number: %v", n, err)
		}
		if _, err := si.ParsePAN(d.Bank.PAN); err != nil {
			t.Fatalf("Example(%d): account number: %v", n, err)
		}
		atr, err := newCard(t, d, chipcard.State{}, chipcard.Hooks{}).ATR()
		if err != nil || len(atr) != 17 || atr[1] != 0x6D {
			t.Fatalf("Example(%d): ATR %x, %v; want 13 historical bytes", n, atr, err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for name, change := range map[string]func(*chipcard.Data){
		"ID number":  func(d *chipcard.Data) { d.Social.IDNumber = "330199" },
		"card id":    func(d *chipcard.Data) { d.Social.CardID = "330100" },
		"date":       func(d *chipcard.Data) { d.Social.Issued = "2024-01-02" },
		"long name":  func(d *chipcard.Data) { d.Social.Name = strings.Repeat("示", 26) },
		"name bytes": func(d *chipcard.Data) { d.Social.NameBytes = "C" },
		"account":    func(d *chipcard.Data) { d.Bank.PAN = "6299000100000000" },
		"cipher":     func(d *chipcard.Data) { d.Bank.Cipher = "AES" },
		"key":        func(d *chipcard.Data) { d.Bank.IMK = "00" },
		"list":       func(d *chipcard.Data) { d.Bank.CDOL1 = "9F" },
		"expiry":     func(d *chipcard.Data) { d.Bank.Expiry = "4912" + "3" },
		"ATR":        func(d *chipcard.Data) { d.ATR = "3" },
	} {
		d := chipcard.Example(1)
		change(&d)
		if _, err := chipcard.New(d, chipcard.State{}, chipcard.Hooks{}); !errors.Is(err, chipcard.ErrData) {
			t.Errorf("New with wrong %s: error %v, want ErrData", name, err)
		}
	}
}
