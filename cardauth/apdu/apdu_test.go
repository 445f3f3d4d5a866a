package apdu

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

// script is a card that expects commands in order.
type script struct {
	t     *testing.T
	steps []string // "command>response" in hex
	err   error    // after the last step
}

func (s *script) Transmit(command []byte) ([]byte, error) {
	if len(s.steps) == 0 {
		return nil, s.err
	}
	want, answer, _ := strings.Cut(s.steps[0], ">")
	s.steps = s.steps[1:]
	if got := hex.EncodeToString(command); got != want {
		s.t.Errorf("command %s, want %s", got, want)
	}
	r, err := hex.DecodeString(answer)
	if err != nil {
		s.t.Fatalf("bad hex in test: %v", err)
	}
	return r, nil
}

var readRecord = Command{INS: 0xB2, P1: 1, P2: 0x0C, Le: 0}

func TestSend(t *testing.T) {
	for _, v := range []struct {
		name  string
		c     Command
		steps []string
		data  string
		sw    SW
		err   error
	}{
		{"plain", readRecord, []string{"00b2010c00>aabb9000"}, "aabb", OK, nil},
		{"status only", readRecord, []string{"00b2010c00>6a83"}, "", NoRecord, nil},
		{"right length", readRecord, []string{"00b2010c00>6c02", "00b2010c02>aabb9000"}, "aabb", OK, nil},
		{"right length, then more", readRecord,
			[]string{"00b2010c00>6c02", "00b2010c02>6102", "00c0000002>aabb9000"}, "aabb", OK, nil},
		{"get response", Command{INS: 0xA4, P1: 4, Data: []byte{1, 2}, Le: NoLe},
			[]string{"00a40400020102>6103", "00c0000003>aabbcc9000"}, "aabbcc", OK, nil},
		{"get response in parts", Command{INS: 0xA4, P1: 4, Data: []byte{1}, Le: 0},
			[]string{"00a40400010100>6102", "00c0000002>aabb6101", "00c0000001>cc9000"}, "aabbcc", OK, nil},
		{"get response of another length", Command{INS: 0xA4, P1: 4, Data: []byte{1}, Le: NoLe},
			[]string{"00a404000101>6100", "00c0000000>6c02", "00c0000002>aabb9000"}, "aabb", OK, nil},
		{"6C twice", readRecord, []string{"00b2010c00>6c02", "00b2010c02>6c03"}, "", 0, ErrLoop},
		{"6C twice in get response", readRecord,
			[]string{"00b2010c00>6102", "00c0000002>6c03", "00c0000003>6c02"}, "", 0, ErrLoop},
		{"answer without status", readRecord, []string{"00b2010c00>90"}, "", 0, ErrResponse},
		{"empty answer", readRecord, []string{"00b2010c00>"}, "", 0, ErrResponse},
		{"longest answer", readRecord, []string{"00b2010c00>" + strings.Repeat("ab", 256) + "9000"}, strings.Repeat("ab", 256), OK, nil},
		{"answer too long", readRecord, []string{"00b2010c00>" + strings.Repeat("ab", 257) + "9000"}, "", 0, ErrResponse},
		{"pulled", readRecord, nil, "", 0, ErrRemoved},
	} {
		t.Run(v.name, func(t *testing.T) {
			card := &script{t: t, steps: v.steps, err: ErrRemoved}
			data, sw, err := Send(card, v.c)
			if !errors.Is(err, v.err) || sw != v.sw || hex.EncodeToString(data) != v.data {
				t.Errorf("Send = %x, %v, %v; want %s, %v, %v", data, sw, err, v.data, v.sw, v.err)
			}
			if len(card.steps) != 0 {
				t.Errorf("Send left %d steps of the card's script", len(card.steps))
			}
		})
	}
}

// TestSendLoopBound holds the 61xx loop at its bound and one past it.
func TestSendLoopBound(t *testing.T) {
	for _, v := range []struct {
		parts int
		err   error
	}{{MaxGetResponse, nil}, {MaxGetResponse + 1, ErrLoop}} {
		steps := []string{"00b2010c00>6101"}
		for i := 1; i < v.parts; i++ {
			steps = append(steps, "00c0000001>aa6101")
		}
		steps = append(steps, "00c0000001>aa9000")
		data, _, err := Send(&script{t: t, steps: steps}, readRecord)
		if !errors.Is(err, v.err) {
			t.Errorf("Send with %d parts: error %v, want %v", v.parts, err, v.err)
		}
		if v.err == nil && !bytes.Equal(data, bytes.Repeat([]byte{0xAA}, v.parts)) {
			t.Errorf("Send with %d parts = %x", v.parts, data)
		}
	}
}

func TestCommandBounds(t *testing.T) {
	longest := Command{Data: make([]byte, MaxData), Le: 255}
	if b, err := longest.Append(nil); err != nil || len(b) != MaxCommand {
		t.Errorf("Append of the longest command = %d bytes, %v; want %d", len(b), err, MaxCommand)
	}
	if b, err := (Command{INS: 0x84, Le: NoLe}).Append(nil); err != nil || len(b) != 5 {
		t.Errorf("Append of a bare header = %x, %v; want five bytes", b, err)
	}
	for _, c := range []Command{{Data: make([]byte, MaxData+1)}, {Le: 256}, {Le: -2}} {
		if _, _, err := Send(&script{t: t}, c); !errors.Is(err, ErrCommand) {
			t.Errorf("Send with %d bytes, Le %d: error %v, want ErrCommand", len(c.Data), c.Le, err)
		}
	}
}

// TestClass is the table of part 5 with the neighbours of its ranges.
func TestClass(t *testing.T) {
	for sw, want := range map[SW]Class{
		0x9000: Success, 0x6100: Transport, 0x61FF: Transport, 0x6C00: Transport, 0x6C1E: Transport,
		0x63C0: AuthFailed, 0x63CF: AuthFailed, 0x63BF: Unlisted, 0x63D0: Unlisted, 0x6300: AuthFailed,
		0x6581: CardFault, 0x6F00: CardFault,
		0x6700: Misuse, 0x6A86: Misuse, 0x6B00: Misuse, 0x6D00: Misuse, 0x6E00: Misuse,
		0x6981: WrongCard, 0x6986: WrongCard, 0x6A81: WrongCard, 0x6A82: WrongCard, 0x6A83: WrongCard, 0x6A88: WrongCard,
		0x6901: NeedsAuth, 0x6985: NeedsAuth, 0x6982: NeedsAuth,
		0x6983: AuthFailed, 0x6984: AuthFailed, 0x6988: AuthFailed, 0x9302: AuthFailed,
		0x6283: Blocked, 0x9303: Blocked, 0x9401: Refused, 0x9402: Refused, 0x9403: Refused, 0x9406: Refused,
		0x0000: Unlisted, 0x9001: Unlisted, 0xFFFF: Unlisted,
	} {
		if got := sw.Class(); got != want {
			t.Errorf("%v.Class = %d, want %d", sw, got, want)
		}
	}
	if n, ok := SW(0x63C2).TriesLeft(); !ok || n != 2 {
		t.Errorf("63C2 TriesLeft = %d, %v; want 2", n, ok)
	}
	if _, ok := SW(0x6983).TriesLeft(); ok {
		t.Error("6983 TriesLeft says it knows")
	}
}

func TestWant(t *testing.T) {
	_, err := Want(&script{t: t, steps: []string{"00b2010c00>6a83"}}, "read record", readRecord)
	var status *StatusError
	if !errors.As(err, &status) || status.SW != NoRecord {
		t.Errorf("Want: error %v, want a StatusError with 6A83", err)
	}
}

func TestParse(t *testing.T) {
	for _, v := range []struct {
		in   string
		want Command
		err  error
	}{
		{"84160000", Command{CLA: 0x84, INS: 0x16, Le: NoLe}, nil},
		{"8416000004", Command{CLA: 0x84, INS: 0x16, Le: 4}, nil},
		{"841600000201ff", Command{CLA: 0x84, INS: 0x16, Data: []byte{1, 0xFF}, Le: NoLe}, nil},
		{"841600000201ff00", Command{CLA: 0x84, INS: 0x16, Data: []byte{1, 0xFF}, Le: 0}, nil},
		{"841600", Command{}, ErrCommand},
		{"841600000301ff", Command{}, ErrCommand},
		{"841600000101ff00", Command{}, ErrCommand},
		{"84160000000100", Command{}, ErrCommand}, // extended length
	} {
		b, err := hex.DecodeString(v.in)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Parse(b)
		if !errors.Is(err, v.err) || got.Le != v.want.Le || !bytes.Equal(got.Data, v.want.Data) || got.INS != v.want.INS {
			t.Errorf("Parse(%s) = %+v, %v; want %+v, %v", v.in, got, err, v.want, v.err)
		}
	}
}

// FuzzParse holds that an accepted command is written back as it was read.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"84160000", "8416000004", "841600000201ff", "841600000201ff00", "00", "0000000000000000"} {
		b, err := hex.DecodeString(seed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := Parse(b)
		if err != nil {
			return
		}
		got, err := c.Append(nil)
		if len(b) == 4 {
			b = append(b, 0) // T=0 has no four-byte command: P3 is 00
		}
		if err != nil || !bytes.Equal(got, b) {
			t.Fatalf("Append = %x, %v; want %x", got, err, b)
		}
	})
}
