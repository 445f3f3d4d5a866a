package settlement

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/settlement/banklink"
	"github.com/shebao-pay/shebao/settlement/banklink/linktest"
	"github.com/shebao-pay/shebao/settlement/bankmsg"
	"github.com/shebao-pay/shebao/settlement/engine"
	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// wiretap sits on a line from a bank and hands the hub whatever the attacker
// makes of each frame. It knows the profile and no key.
type wiretap struct {
	net.Conn
	codec  *bankmsg.Codec
	attack func(frame []byte) []byte
	raw    []byte
	ready  []byte
}

// Read gives the bytes of the frames that were tampered with.
func (w *wiretap) Read(p []byte) (int, error) {
	for len(w.ready) == 0 {
		var b [4096]byte
		n, err := w.Conn.Read(b[:])
		if err != nil {
			return 0, err
		}
		w.raw = append(w.raw, b[:n]...)
		for {
			size, err := w.codec.Next(w.raw)
			if err != nil || size == 0 {
				break
			}
			w.ready = append(w.ready, w.attack(slices.Clone(w.raw[:size]))...)
			w.raw = w.raw[size:]
		}
	}
	n := copy(p, w.ready)
	w.ready = w.ready[n:]
	return n, nil
}

// attacker changes the replies to debits.
type attacker struct {
	t     *testing.T
	codec *bankmsg.Codec

	mu   sync.Mutex
	do   func(a *attacker, frame []byte) []byte
	past []byte // an approval that the attacker has recorded
}

func (a *attacker) set(do func(*attacker, []byte) []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.do = do
}

func (a *attacker) attack(frame []byte) []byte {
	var m bankmsg.Message
	var in bankmsg.Inbound
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.codec.Decode(frame, &m, &in) != nil || in.Kind != profile.Debit || !in.Reply {
		return frame
	}
	if a.do == nil {
		if string(m.Field(39)) == "00" {
			a.past = slices.Clone(frame)
		}
		return frame
	}
	return a.do(a, frame)
}

// with gives the frame with elements changed and the code as it came.
func (a *attacker) with(frame []byte, set map[int]string) []byte {
	var m bankmsg.Message
	var in bankmsg.Inbound
	var f bankmsg.Frame
	if err := a.codec.Decode(frame, &m, &in); err != nil {
		a.t.Error(err)
		return nil
	}
	for de, v := range set {
		m.SetString(de, v)
	}
	if err := a.codec.Encode(&f, in.Kind, in.Reply, &m); err != nil {
		a.t.Error(err)
		return nil
	}
	f.PutMAC(in.MAC)
	return slices.Clone(f.Wire)
}

// field reads one element of a frame.
func (a *attacker) field(frame []byte, de int) string {
	var m bankmsg.Message
	if err := a.codec.Decode(frame, &m, new(bankmsg.Inbound)); err != nil {
		a.t.Error(err)
	}
	return string(m.Field(de))
}

// bare takes the code's field off a frame, with its bit, and mends the length.
func (a *attacker) bare(frame []byte) []byte {
	p := a.codec.Profile()
	frame = frame[:len(frame)-8]
	if p.Dialect == profile.POS {
		frame[2+5+6+2+7] &^= 1
		binary.BigEndian.PutUint16(frame, uint16(len(frame)-2))
		return frame
	}
	const bits = 46 + 4
	if frame[bits+15] &^= 1; bytes.Equal(frame[bits+8:bits+16], make([]byte, 8)) {
		frame[bits] &^= 0x80
		frame = slices.Delete(frame, bits+8, bits+16)
	}
	n := len(frame) // ccb: the length includes the header
	copy(frame[2:6], []byte{byte('0' + n/1000), byte('0' + n/100%10), byte('0' + n/10%10), byte('0' + n%10)})
	return frame
}

// TestTamperedReplies lets somebody on the line change what the bank answers. No
// payment is ever posted by it: what had been debited is reversed, and the ledger
// and the bank agree in the end.
func TestTamperedReplies(t *testing.T) {
	approve := map[int]string{39: "00", 38: "A99999"}
	for _, tc := range []struct {
		name    string
		decline bool // what the bank really says
		do      func(a *attacker, frame []byte) []byte
	}{
		{"decline into approval", true, func(a *attacker, f []byte) []byte { return a.with(f, approve) }},
		{"decline into approval without a code", true, func(a *attacker, f []byte) []byte { return a.bare(a.with(f, approve)) }},
		{"amount of an approval", false, func(a *attacker, f []byte) []byte {
			return a.with(f, map[int]string{4: "000000000001"})
		}},
		{"code of an approval taken off", false, func(a *attacker, f []byte) []byte { return a.bare(f) }},
		{"approval of another payment", true, func(a *attacker, _ []byte) []byte { return a.past }},
		{"approval of another payment under this trace number", true, func(a *attacker, f []byte) []byte {
			same := map[int]string{11: a.field(f, 11)}
			if v := a.field(f, 37); v != "" {
				same[37] = v
			}
			return a.with(a.past, same)
		}},
		{"refusal without a code", false, func(a *attacker, f []byte) []byte {
			return a.bare(a.with(f, map[int]string{39: "51"}))
		}},
		{"both, the forged one first", true, func(a *attacker, f []byte) []byte {
			return append(a.with(f, approve), f...)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w, taps := tapped(t)
			for n, bank := range []si.Bank{rcb, ccb} {
				tap, id := taps[bank], 10*n+1
				if a := w.pay(id, bank); a.Ending != engine.Paid { // which the attacker records
					t.Fatalf("bank %d: got %+v", bank, a)
				}
				if tc.decline {
					w.banks[bank].Script(fault(linktest.Fault{Code: "51"}, profile.Debit))
				}
				tap.set(tc.do)
				if a := w.pay(id+1, bank); a.Ending == engine.Paid {
					t.Errorf("bank %d: told paid: %+v", bank, a)
				}
				w.until("the payment is undone", func() bool { return w.ledger(id+1) == ledgerapi.PayVoided })
				w.net(bank, 1)
				tap.set(nil)
				w.banks[bank].Script(nil)
			}
		})
	}
}

// TestYesterdaysReply plays an approval of an earlier sign-on to a payment that
// has its very numbers: the keys are others, so it proves nothing.
func TestYesterdaysReply(t *testing.T) {
	w, taps := tapped(t)
	for n, bank := range []si.Bank{rcb, ccb} {
		if a := w.pay(10*n+1, bank); a.Ending != engine.Paid {
			t.Fatalf("bank %d: got %+v", bank, a)
		}
	}
	w.stop()
	for _, b := range w.banks {
		b.CloseDay()
	}
	w.book.mu.Lock()
	w.book.stan = 0 // the numbers begin again, as after a million payments
	w.book.mu.Unlock()
	w.start()
	for n, bank := range []si.Bank{rcb, ccb} {
		w.banks[bank].Script(fault(linktest.Fault{Code: "51"}, profile.Debit))
		taps[bank].set(func(a *attacker, f []byte) []byte {
			// DE 7 names the second of the request; the rest of the old reply stands.
			same := map[int]string{11: a.field(f, 11)}
			for _, de := range []int{7, 37} {
				if v := a.field(f, de); v != "" {
					same[de] = v
				}
			}
			return append(slices.Clone(a.past), a.with(a.past, same)...)
		})
		if a := w.pay(10*n+2, bank); a.Ending == engine.Paid {
			t.Errorf("bank %d: told paid: %+v", bank, a)
		}
		w.until("the payment is undone", func() bool { return w.ledger(10*n+2) == ledgerapi.PayVoided })
		w.net(bank, 0)
	}
}

// tapped is a world with an attacker on each bank's line.
func tapped(t *testing.T) (*world, map[si.Bank]*attacker) {
	t.Helper()
	taps := map[si.Bank]*attacker{}
	for bank, code := range map[si.Bank]string{rcb: "rcb", ccb: "ccb"} {
		taps[bank] = &attacker{t: t, codec: codecOf(t, code)}
	}
	dial := func(ctx context.Context, bank si.Bank, addr string) (banklink.Conn, error) {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", addr)
		if err != nil {
			return nil, err
		}
		tap := taps[bank]
		return &wiretap{Conn: c, codec: tap.codec, attack: tap.attack}, nil
	}
	return newWorldOn(t, dial, func(p *profile.Profile) {
		p.Limits.BadReplies = 100 // the attacker must not merely close the link
		p.Timers.Reply, p.Timers.ReversalReply = tamperedReply, tamperedReply
	}), taps
}

// tamperedReply is how long a reply is waited for where none that counts comes.
const tamperedReply = 200 * time.Millisecond

func codecOf(t *testing.T, code string) *bankmsg.Codec {
	t.Helper()
	p, err := profile.LoadFS(os.DirFS("../data/banks"), code)
	if err != nil {
		t.Fatal(err)
	}
	c, err := bankmsg.Compile(p)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
