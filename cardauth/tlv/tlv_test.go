package tlv

import (
	"bytes"
	"encoding/hex"
	"errors"
	"slices"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatalf("bad hex in test: %v", err)
	}
	return b
}

func TestParse(t *testing.T) {
	long := bytes.Repeat([]byte{0xAA}, 0x80)
	for _, v := range []struct {
		name, in string
		want     List
		err      error
	}{
		{"nothing", "", nil, nil},
		{"two bytes of tag", "9f2608aabbccddeeff0011", List{{0x9F26, unhex(t, "aabbccddeeff0011")}}, nil},
		{"three bytes of tag", "df810401aa", List{{0xDF8104, []byte{0xAA}}}, nil},
		{"zeros between", "0082020000005a0101", List{{0x82, []byte{0, 0}}, {0x5A, []byte{1}}}, nil},
		{"length 81", "5a8180" + hex.EncodeToString(long), List{{0x5A, long}}, nil},
		{"length 82", "5a820080" + hex.EncodeToString(long), List{{0x5A, long}}, nil},
		{"length 81 below 80", "5a810101", List{{0x5A, []byte{1}}}, nil},
		{"empty value", "5a00", List{{0x5A, nil}}, nil},
		{"cut in tag", "9f", nil, ErrShort},
		{"cut in a long tag", "df81", nil, ErrShort},
		{"no length", "5a", nil, ErrShort},
		{"cut in length 81", "5a81", nil, ErrShort},
		{"cut in length 82", "5a8201", nil, ErrShort},
		{"cut in value", "82820001", nil, ErrShort},
		{"indefinite", "6f80", nil, ErrLength},
		{"three bytes of length", "5a83000001aa", nil, ErrLength},
		{"four bytes of tag", "df81818101aa", nil, ErrTag},
	} {
		t.Run(v.name, func(t *testing.T) {
			got, err := Parse(unhex(t, v.in))
			if !errors.Is(err, v.err) {
				t.Fatalf("Parse(%s): error %v, want %v", v.in, err, v.err)
			}
			same := func(a, b Item) bool { return a.Tag == b.Tag && bytes.Equal(a.Value, b.Value) }
			if !slices.EqualFunc(got, v.want, same) {
				t.Errorf("Parse(%s) = %v, want %v", v.in, got, v.want)
			}
		})
	}
}

func TestParseBound(t *testing.T) {
	many := bytes.Repeat([]byte{0x5A, 0x00}, MaxItems)
	if l, err := Parse(many); err != nil || len(l) != MaxItems {
		t.Errorf("Parse of %d objects = %d, %v; want all", MaxItems, len(l), err)
	}
	if _, err := Parse(append(many, 0x5A, 0x00)); !errors.Is(err, ErrMany) {
		t.Errorf("Parse of %d objects: error %v, want ErrMany", MaxItems+1, err)
	}
}

func TestFind(t *testing.T) {
	fci := unhex(t, "6f108408a000000333010101a5049f650155")
	got, err := Find(fci, 0x6F, 0xA5, 0x9F65)
	if err != nil || !bytes.Equal(got, []byte{0x55}) {
		t.Errorf("Find(6F, A5, 9F65) = %x, %v; want 55", got, err)
	}
	if _, err := Find(fci, 0x6F, 0xA5, 0x50); !errors.Is(err, ErrAbsent) {
		t.Errorf("Find of a missing tag: error %v, want ErrAbsent", err)
	}
}

func TestTag(t *testing.T) {
	for _, v := range []struct {
		tag         Tag
		text        string
		constructed bool
	}{
		{0x5A, "5A", false}, {0x70, "70", true}, {0x9F26, "9F26", false}, {0xBF0C, "BF0C", true}, {0xDF8104, "DF8104", false},
	} {
		if got := v.tag.String(); got != v.text {
			t.Errorf("Tag.String = %s, want %s", got, v.text)
		}
		if got := v.tag.Constructed(); got != v.constructed {
			t.Errorf("Tag %v Constructed = %v, want %v", v.tag, got, v.constructed)
		}
		if got := hex.EncodeToString(v.tag.Append(nil)); got != hex.EncodeToString(unhex(t, v.text)) {
			t.Errorf("Tag %v Append = %s", v.tag, got)
		}
	}
}

func TestAppendLengths(t *testing.T) {
	for _, v := range []struct {
		n    int
		head string
	}{{0x7F, "5a7f"}, {0x80, "5a8180"}, {0xFF, "5a81ff"}, {0x100, "5a820100"}} {
		got := Append(nil, 0x5A, make([]byte, v.n))
		if want := unhex(t, v.head); !bytes.HasPrefix(got, want) || len(got) != len(want)+v.n {
			t.Errorf("Append of %d bytes begins %x, want %s", v.n, got[:4], v.head)
		}
	}
}

func TestDOL(t *testing.T) {
	d, err := ParseDOL(unhex(t, "9f02065f2a029f4e04820257049f2604"))
	if err != nil {
		t.Fatalf("ParseDOL: %v", err)
	}
	values := map[Tag]struct {
		v string
		f Format
	}{
		0x9F02: {"1234", Numeric},         // short: zeros in front
		0x5F2A: {"000156", Numeric},       // long: the right end stays
		0x9F4E: {"4142", Binary},          // short: zeros behind
		0x82:   {"7d00ff", Binary},        // long: the left end stays
		0x57:   {"62", CompressedNumeric}, // short: F behind
		0x9F26: {"", CompressedNumeric},   // present and empty: F behind
		0x9F99: {"ff", Binary},            // not asked for
	}
	got := d.Build(func(tag Tag) ([]byte, Format) {
		v, ok := values[tag]
		if !ok {
			return nil, Binary
		}
		return unhex(t, v.v), v.f
	})
	const want = "000000001234" + "0156" + "41420000" + "7d00" + "62ffffff" + "ffffffff"
	if hex.EncodeToString(got) != want {
		t.Errorf("Build = %x, want %s", got, want)
	}
	got = d.Build(func(Tag) ([]byte, Format) { return nil, Numeric })
	if !bytes.Equal(got, make([]byte, d.Len())) {
		t.Errorf("Build of unknown objects = %x, want zeros", got)
	}
	l, err := d.Split(unhex(t, want))
	if err != nil || len(l) != 6 || hex.EncodeToString(l[1].Value) != "0156" {
		t.Errorf("Split = %v, %v; want the six values", l, err)
	}
	if _, err := d.Split(unhex(t, want)[1:]); !errors.Is(err, ErrShort) {
		t.Errorf("Split of short data: error %v, want ErrShort", err)
	}
}

func TestParseDOLRefuses(t *testing.T) {
	for _, v := range []struct {
		name, in string
		err      error
	}{
		{"cut in tag", "9f", ErrShort},
		{"no length", "9f02", ErrShort},
		{"constructed", "7002", ErrDOLEntry},
		{"zero length", "8200", ErrDOLEntry},
		{"long length", "8280", ErrDOLEntry},
		{"253 bytes", "827f827e", ErrDOLSize},
	} {
		if _, err := ParseDOL(unhex(t, v.in)); !errors.Is(err, v.err) {
			t.Errorf("ParseDOL(%s, %s): error %v, want %v", v.name, v.in, err, v.err)
		}
	}
	if d, err := ParseDOL(unhex(t, "827f827d")); err != nil || d.Len() != MaxDOLData {
		t.Errorf("ParseDOL of 252 bytes: %d, %v; want accepted", d.Len(), err)
	}
	full := bytes.Repeat([]byte{0x82, 1}, MaxItems)
	if _, err := ParseDOL(full); err != nil {
		t.Errorf("ParseDOL of %d entries: %v", MaxItems, err)
	}
	if _, err := ParseDOL(append(full, 0x82, 1)); !errors.Is(err, ErrMany) {
		t.Errorf("ParseDOL of %d entries: error %v, want ErrMany", MaxItems+1, err)
	}
}

// FuzzParse feeds Parse what a broken or hostile card could send. Whatever it
// accepts must survive Append and a second Parse unchanged.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"6f108408a000000333010101a5049f650155", // FCI of a PBOC debit application
		"9f2608aabbccddeeff0011",               // ARQC
		"80127c0008010200100104001801030020010100",
		"9f", "5a81", "82820001", "df818181", "6f80", "000000",
	} {
		f.Add(unhex(f, seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := Parse(b)
		if err != nil {
			return
		}
		var again []byte
		for _, item := range l {
			if len(item.Value) > len(b) {
				t.Fatalf("value of %v is longer than the input", item.Tag)
			}
			again = Append(again, item.Tag, item.Value)
		}
		l2, err := Parse(again)
		if err != nil {
			t.Fatalf("second Parse of %x: %v", again, err)
		}
		same := func(a, b Item) bool { return a.Tag == b.Tag && bytes.Equal(a.Value, b.Value) }
		if !slices.EqualFunc(l, l2, same) {
			t.Fatalf("second Parse gives %v, first gave %v", l2, l)
		}
	})
}

// FuzzDOL holds that an accepted DOL asks for what it says and no more than a
// command can carry, and that the card's side cuts it back.
func FuzzDOL(f *testing.F) {
	for _, seed := range []string{
		"9f02069f03069f1a0295055f2a029a039c019f37049f21039f4e14", // CDOL1 of a real card
		"8a029f0206", "9f380082", "827f827f", "9f",
	} {
		f.Add(unhex(f, seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := ParseDOL(b)
		if err != nil {
			return
		}
		data := d.Build(func(tag Tag) ([]byte, Format) { return tag.Append(nil), Format(tag % 3) })
		if len(data) != d.Len() || len(data) > MaxDOLData {
			t.Fatalf("Build gives %d bytes, Len says %d", len(data), d.Len())
		}
		if l, err := d.Split(data); err != nil || len(l) != len(d) {
			t.Fatalf("Split gives %d values, %v; want %d", len(l), err, len(d))
		}
	})
}
