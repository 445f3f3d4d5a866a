package engine

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/si/ledgerapi"
)

func fullMemo(t testing.TB) Memo {
	m := Memo{
		Tries: 513, Reason: reasonBadMAC, Acq: [8]byte{'9', '0', '1', '1', '0', '0', '0', '1'}, Batch: 123456,
		Auth: [6]byte{'A', '1', '2', '3', '4', '5'}, PAN: testPAN(t, 7), PSN: "001", Expiry: "3012", EMV: bytes.Repeat([]byte{7}, 255),
		Script: bytes.Repeat([]byte{8}, 255),
	}
	return m
}

func TestMemo(t *testing.T) {
	m := fullMemo(t)
	b, err := AppendMemo([]byte("x"), &m)
	if err != nil || len(b)-1 > MaxMemoBytes || MaxMemoBytes+64 > ledgerapi.MaxMemo {
		t.Fatalf("AppendMemo: %d bytes, %v", len(b), err)
	}
	got, err := ParseMemo(b[1:])
	if err != nil || !reflect.DeepEqual(got, m) {
		t.Fatalf("ParseMemo: got %+v, %v", got, err)
	}
	for i := 1; i < len(b); i++ {
		if _, err := ParseMemo(b[1:i]); err == nil {
			t.Errorf("cut to %d bytes: accepted", i-1)
		}
	}
	if _, err := ParseMemo(append(b[1:], 0)); err == nil {
		t.Error("a byte more: accepted")
	}
	for name, change := range map[string]func(*Memo){
		"chip data": func(m *Memo) { m.EMV = append(m.EMV, 0) }, "script": func(m *Memo) { m.Script = append(m.Script, 0) }, "PSN": func(m *Memo) { m.PSN = "0001" },
		"expiry": func(m *Memo) { m.Expiry = "30123" }, "no PAN": func(m *Memo) { m.PAN.Wipe() },
	} {
		x := fullMemo(t)
		change(&x)
		if _, err := AppendMemo(nil, &x); err == nil {
			t.Errorf("%s one beyond its bound: accepted", name)
		}
	}
	// Laid out by hand from docs/spec/payment-states.md.
	small := Memo{Tries: 2, Reason: reasonNoReply, Batch: 1, PAN: testPAN(t, 7), Expiry: "3012"}
	want := "01" + "0200" + "3938" + "0000000000000000" + "01000000" + "000000000000" + "10" +
		hex.EncodeToString([]byte(testPAN(t, 7).Reveal("test"))) + "00" + "04" + "33303132" + "00"
	if b, _ := AppendMemo(nil, &small); hex.EncodeToString(b) != want {
		t.Errorf("AppendMemo: got %x, want %s", b, want)
	}
	small.Script = []byte{0xDF, 0x31, 0}
	if b, _ := AppendMemo(nil, &small); hex.EncodeToString(b) != "02"+want[2:]+"03df3100" {
		t.Errorf("AppendMemo with a script: got %x", b)
	}
	none, _ := hex.DecodeString("02" + want[2:] + "00")
	if _, err := ParseMemo(none); err == nil {
		t.Error("a second form of a memo without a script: accepted")
	}
}

// FuzzMemo feeds ParseMemo what a wrong key or a later version could yield.
// What it accepts must be written back byte for byte.
func FuzzMemo(f *testing.F) {
	m := fullMemo(f)
	b, _ := AppendMemo(nil, &m)
	f.Add(b)
	m.EMV, m.PSN = nil, ""
	b, _ = AppendMemo(nil, &m)
	f.Add(b)
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseMemo(b)
		if err != nil {
			return
		}
		again, err := AppendMemo(nil, &m)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("ParseMemo accepts %x, AppendMemo gives %x, %v", b, again, err)
		}
	})
}

// TestTimers holds that timers fire in the order of their times, equal ones in
// the order of arming, also when others are taken out between.
func TestTimers(t *testing.T) {
	var h timers
	base := time.Unix(0, 0)
	all := make([]*timer, 200)
	for i := range all {
		all[i] = &timer{}
		h.arm(all[i], base.Add(time.Duration(i*7919%53)))
	}
	for i := 0; i < len(all); i += 3 {
		h.disarm(all[i])
		h.disarm(all[i])
	}
	h.arm(all[1], base.Add(99)) // moved
	if x := h.due(base.Add(-1)); x != nil {
		t.Fatal("fired before its time")
	}
	var last *timer
	n := 0
	for x := h.due(base.Add(time.Hour)); x != nil; x = h.due(base.Add(time.Hour)) {
		n++
		if last != nil && (x.at.Before(last.at) || x.at.Equal(last.at) && x.order < last.order) {
			t.Fatalf("%v/%d fired after %v/%d", x.at, x.order, last.at, last.order)
		}
		last = x
	}
	if want := 200 - 67; n != want || last != all[1] {
		t.Errorf("got %d timers, want %d", n, want)
	}
}
