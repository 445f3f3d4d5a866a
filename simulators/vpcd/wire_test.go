package vpcd

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/shebao-pay/shebao/cardauth/apdu"
	"github.com/shebao-pay/shebao/simulators/chipcard"
)

// driver is the reader's end of the wire: it listens as the driver does.
type driver struct {
	t    *testing.T
	l    *net.TCPListener
	conn net.Conn
	end  chan error
	stop context.CancelFunc
}

func newDriver(t *testing.T, data chipcard.Data) (*driver, *chipcard.Card) {
	t.Helper()
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	card, err := chipcard.New(data, chipcard.State{}, chipcard.Hooks{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	d := &driver{t: t, l: l, end: make(chan error, 1), stop: stop}
	go func() { d.end <- play(ctx, l.Addr().(*net.TCPAddr).Port, card) }()
	if d.conn, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		_ = d.conn.Close()
		_ = l.Close()
	})
	return d, card
}

// ask sends one message, header and body apart as the driver does.
func (d *driver) ask(message []byte) {
	d.t.Helper()
	head := binary.BigEndian.AppendUint16(nil, uint16(len(message)))
	for _, part := range [][]byte{head, message} {
		if _, err := d.conn.Write(part); err != nil {
			d.t.Fatalf("write: %v", err)
		}
	}
}

func (d *driver) answer() []byte {
	d.t.Helper()
	var head [2]byte
	if _, err := io.ReadFull(d.conn, head[:]); err != nil {
		d.t.Fatalf("read: %v", err)
	}
	b := make([]byte, binary.BigEndian.Uint16(head[:]))
	if _, err := io.ReadFull(d.conn, b); err != nil {
		d.t.Fatalf("read: %v", err)
	}
	return b
}

// TestPlay speaks the wire: power, ATR between commands, commands, closing.
func TestPlay(t *testing.T) {
	d, card := newDriver(t, chipcard.Example(1))
	d.ask([]byte{powerOff})
	d.ask([]byte{powerOn})
	d.ask([]byte{reset})
	d.ask([]byte{askATR})
	atr, err := card.ATR()
	if got := d.answer(); err != nil || !bytes.Equal(got, atr) {
		t.Errorf("ATR = %x, want %x", got, atr)
	}
	d.ask([]byte{0x00, 0xA4, 0x04, 0x00, 0x08, 0xA0, 0, 0, 3, 0x33, 1, 1, 1})
	if got := d.answer(); !bytes.HasPrefix(got, []byte{0x61}) {
		t.Errorf("SELECT answers %x, want 61xx", got)
	}
	d.ask([]byte{askATR})
	d.answer()
	d.ask([]byte{0x00, 0xB2, 0x01, 0x0C, 0x00})
	if got := d.answer(); got[0] != 0x69 && got[0] != 0x6C {
		t.Errorf("READ RECORD answers %x", got)
	}
	d.ask([]byte{reset})
	d.ask([]byte{0x00, 0xB2, 0x01, 0x0C, 0x00})
	if got := d.answer(); !bytes.Equal(got, []byte{0x6D, 0x00}) {
		t.Errorf("READ RECORD after a reset answers %x, want 6D00: the selection is forgotten", got)
	}
	if err := d.conn.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-d.end; !errors.Is(err, io.EOF) && err == nil {
		t.Errorf("play ends with %v, want the end of the connection", err)
	}
}

// TestMessageBounds holds the longest message and one past it, and the empty one.
func TestMessageBounds(t *testing.T) {
	d, _ := newDriver(t, chipcard.Example(1))
	d.ask(make([]byte, maxMessage))
	if got := d.answer(); len(got) != 2 {
		t.Errorf("longest message answers %x, want a status word", got)
	}
	d.ask(make([]byte, maxMessage+1))
	if err := <-d.end; !errors.Is(err, errWire) {
		t.Errorf("message of %d bytes: play ends with %v, want errWire", maxMessage+1, err)
	}
	d, _ = newDriver(t, chipcard.Example(1))
	d.ask(nil)
	if err := <-d.end; !errors.Is(err, errWire) {
		t.Errorf("empty message: play ends with %v, want errWire", err)
	}
}

// TestPulledByFault closes the connection, and a mute card keeps it open.
func TestPulledByFault(t *testing.T) {
	data := chipcard.Example(1)
	data.Faults = []chipcard.Fault{{Kind: chipcard.PullBefore, At: 1}}
	d, _ := newDriver(t, data)
	d.ask([]byte{0, 0xA4, 0, 0, 0})
	if err := <-d.end; !errors.Is(err, apdu.ErrRemoved) {
		t.Errorf("play ends with %v, want ErrRemoved", err)
	}
	data.Faults = []chipcard.Fault{{Kind: chipcard.Mute, At: 1}}
	d, _ = newDriver(t, data)
	d.ask([]byte{0, 0xA4, 0, 0, 0})
	d.ask([]byte{askATR})
	select {
	case err := <-d.end:
		t.Errorf("play of a mute card ends with %v, want it to stay", err)
	default:
	}
	d.stop()
	if err := <-d.end; err == nil {
		t.Error("play of a mute card that was removed ends without an error")
	}
}
