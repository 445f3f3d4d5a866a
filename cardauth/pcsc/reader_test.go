package pcsc_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/ebfe/scard"

	"github.com/shebao-pay/shebao/cardauth/apdu"
	"github.com/shebao-pay/shebao/cardauth/pcsc"
	"github.com/shebao-pay/shebao/cardauth/sscard"
	"github.com/shebao-pay/shebao/simulators/chipcard"
	"github.com/shebao-pay/shebao/simulators/vpcd"
)

// eventWait is far above the half second that pcscd takes to see a card.
const eventWait = 15 * time.Second

// open opens virtual reader n and waits until it is ready.
func open(t *testing.T, n int, deadline time.Duration) *pcsc.Reader {
	t.Helper()
	r, err := pcsc.Open(pcsc.Config{Name: vpcd.ReaderName(n), Deadline: deadline, CryptogramDeadline: deadline})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	want(t, r, pcsc.Ready)
	return r
}

// want waits for the next event and holds it to a kind.
func want(t *testing.T, r *pcsc.Reader, kind pcsc.Kind) pcsc.Event {
	t.Helper()
	select {
	case e := <-r.Events():
		if e.Kind != kind {
			t.Fatalf("event = %+v, want kind %d", e, kind)
		}
		return e
	case <-time.After(eventWait):
		t.Fatalf("no event within %v, want kind %d", eventWait, kind)
	}
	return pcsc.Event{}
}

func insert(t *testing.T, n int, faults ...chipcard.Fault) chipcard.Data {
	t.Helper()
	data := chipcard.Example(n + 1)
	data.Faults = faults
	if err := rig.Insert(n, data, chipcard.State{}); err != nil {
		t.Fatalf("Insert: %v", err)
	}
	return data
}

func remove(t *testing.T, n int) {
	t.Helper()
	if _, err := rig.Remove(n); err != nil {
		t.Fatalf("Remove: %v", err)
	}
}

func connect(t *testing.T, r *pcsc.Reader) *pcsc.Card {
	t.Helper()
	card, err := r.Connect()
	if err != nil {
		t.Fatalf("Connect: %v", err)
	}
	return card
}

// TestCard inserts a card, reads it, lets it go and takes it up again.
func TestCard(t *testing.T) {
	r := open(t, 0, 0)
	if _, err := r.Connect(); !errors.Is(err, apdu.ErrRemoved) {
		t.Errorf("Connect to an empty reader: error %v, want ErrRemoved", err)
	}
	data := insert(t, 0)
	in := want(t, r, pcsc.In)
	for round := range 2 {
		card := connect(t, r)
		atr, err := card.ATR()
		if err != nil || !bytes.Equal(atr, in.ATR) || len(atr) != 17 {
			t.Errorf("ATR = %x, %v; want that of the event %x", atr, err, in.ATR)
		}
		social, err := sscard.Read(card)
		if err != nil || social.CardNo != data.Social.CardNo {
			t.Fatalf("round %d: sscard.Read = %v; want the inserted card", round, err)
		}
		for _, bad := range [][]byte{nil, {0x00, 0xA4, 0x04}, make([]byte, apdu.MaxCommand+1)} {
			if _, err := card.Transmit(bad); !errors.Is(err, apdu.ErrCommand) {
				t.Errorf("Transmit of %d bytes: error %v, want ErrCommand", len(bad), err)
			}
		}
		if err := card.Disconnect(); err != nil {
			t.Errorf("Disconnect: %v", err)
		}
		if _, err := card.Transmit([]byte{0, 0xA4, 0, 0, 0}); !errors.Is(err, apdu.ErrRemoved) {
			t.Errorf("Transmit after Disconnect: error %v, want ErrRemoved", err)
		}
	}
	remove(t, 0)
	want(t, r, pcsc.Out)
}

// TestOldHandle holds that a handle dies with the next Connect.
func TestOldHandle(t *testing.T) {
	r := open(t, 0, 0)
	insert(t, 0)
	want(t, r, pcsc.In)
	old := connect(t, r)
	fresh := connect(t, r)
	if _, err := old.Transmit([]byte{0, 0xA4, 0, 0, 0}); !errors.Is(err, apdu.ErrRemoved) {
		t.Errorf("Transmit on the old handle: error %v, want ErrRemoved", err)
	}
	if err := old.Disconnect(); err != nil {
		t.Errorf("Disconnect of the old handle: %v", err)
	}
	if _, err := sscard.Read(fresh); err != nil {
		t.Errorf("sscard.Read on the fresh handle: %v", err)
	}
	remove(t, 0)
	want(t, r, pcsc.Out)
}

// TestPulled pulls the card between two commands and in the middle of one, and
// puts it back each time.
func TestPulled(t *testing.T) {
	r := open(t, 1, 0)
	for _, fault := range []chipcard.Fault{{Kind: chipcard.PullBefore, At: 5}, {Kind: chipcard.PullAfter, At: 6}} {
		insert(t, 1, fault)
		want(t, r, pcsc.In)
		card := connect(t, r)
		if _, err := sscard.Read(card); !errors.Is(err, apdu.ErrRemoved) {
			t.Errorf("%s: sscard.Read: error %v, want ErrRemoved", fault.Kind, err)
		}
		want(t, r, pcsc.Out)
		if _, err := card.Transmit([]byte{0, 0xA4, 0, 0, 0}); !errors.Is(err, apdu.ErrRemoved) {
			t.Errorf("%s: Transmit after the pull: error %v, want ErrRemoved", fault.Kind, err)
		}
	}
	insert(t, 1)
	want(t, r, pcsc.In)
	card := connect(t, r)
	remove(t, 1)
	if _, err := sscard.Read(card); !errors.Is(err, apdu.ErrRemoved) {
		t.Errorf("sscard.Read after Remove: error %v, want ErrRemoved", err)
	}
	want(t, r, pcsc.Out)
}

// TestMute wedges the reader with a card that does not answer. The caller is
// told at the deadline, the reader says so, and pulling the card heals it.
func TestMute(t *testing.T) {
	const deadline = 300 * time.Millisecond
	r := open(t, 2, deadline)
	insert(t, 2, chipcard.Fault{Kind: chipcard.Mute, At: 3})
	want(t, r, pcsc.In)
	card := connect(t, r)
	begin := time.Now()
	if _, err := sscard.Read(card); !errors.Is(err, pcsc.ErrWedged) || !errors.Is(err, apdu.ErrMute) {
		t.Errorf("sscard.Read of a mute card: error %v, want ErrWedged", err)
	}
	if took := time.Since(begin); took < deadline {
		t.Errorf("deadline of %v came after %v", deadline, took)
	}
	if _, err := card.Transmit([]byte{0, 0xA4, 0, 0, 0}); !errors.Is(err, pcsc.ErrWedged) {
		t.Errorf("Transmit on a wedged reader: error %v, want ErrWedged", err)
	}
	if e := want(t, r, pcsc.Fault); !errors.Is(e.Err, pcsc.ErrWedged) {
		t.Errorf("fault = %v, want ErrWedged", e.Err)
	}
	remove(t, 2)
	want(t, r, pcsc.Out)
	want(t, r, pcsc.Ready)
	insert(t, 2)
	want(t, r, pcsc.In)
	if _, err := sscard.Read(connect(t, r)); err != nil {
		t.Errorf("sscard.Read after the wedge: %v", err)
	}
	remove(t, 2)
	want(t, r, pcsc.Out)
}

// TestServiceRestart kills pcscd while a card is held, and wedged, and starts it
// again: the reader comes back with the card that stayed in it.
func TestServiceRestart(t *testing.T) {
	const deadline = 500 * time.Millisecond
	for name, faults := range map[string][]chipcard.Fault{
		"idle": nil, "wedged": {{Kind: chipcard.Mute, At: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			r := open(t, 3, deadline)
			insert(t, 3, faults...)
			want(t, r, pcsc.In)
			card := connect(t, r)
			if faults != nil {
				if _, err := sscard.Read(card); !errors.Is(err, pcsc.ErrWedged) {
					t.Errorf("sscard.Read: error %v, want ErrWedged", err)
				}
				want(t, r, pcsc.Fault)
			}
			if err := rig.StopService(); err != nil {
				t.Fatalf("StopService: %v", err)
			}
			want(t, r, pcsc.Out)
			if faults == nil {
				want(t, r, pcsc.Fault)
			}
			if _, err := card.Transmit([]byte{0, 0xA4, 0, 0, 0}); err == nil {
				t.Error("Transmit without a service succeeds")
			}
			if faults != nil {
				// The service is away; only the restart makes it ready.
				if err := rig.Fault(3); err != nil {
					t.Fatalf("Fault: %v", err)
				}
			}
			if err := rig.StartService(); err != nil {
				t.Fatalf("StartService: %v", err)
			}
			want(t, r, pcsc.Ready)
			want(t, r, pcsc.In)
			if _, err := sscard.Read(connect(t, r)); err != nil {
				t.Errorf("sscard.Read after the restart: %v", err)
			}
			remove(t, 3)
			want(t, r, pcsc.Out)
		})
	}
}

// TestBusy has another program hold the card, for too long and for a while.
func TestBusy(t *testing.T) {
	r := open(t, 0, 0)
	insert(t, 0)
	want(t, r, pcsc.In)
	ctx, err := scard.EstablishContext()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ctx.Release() }()
	other, err := ctx.Connect(vpcd.ReaderName(0), scard.ShareExclusive, scard.ProtocolAny)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Connect(); !errors.Is(err, pcsc.ErrBusy) {
		t.Errorf("Connect to a held card: error %v, want ErrBusy", err)
	}
	freed := make(chan error, 1)
	time.AfterFunc(50*time.Millisecond, func() { freed <- other.Disconnect(scard.LeaveCard) })
	card, err := r.Connect()
	if err != nil {
		t.Errorf("Connect to a card that is freed meanwhile: %v", err)
	} else if err := card.Disconnect(); err != nil {
		t.Errorf("Disconnect: %v", err)
	}
	if err := <-freed; err != nil {
		t.Errorf("other program: %v", err)
	}
	remove(t, 0)
	want(t, r, pcsc.Out)
}

// TestNames opens what is not there, what is ambiguous and what is open already.
func TestNames(t *testing.T) {
	if _, err := pcsc.Open(pcsc.Config{}); err == nil {
		t.Error("Open without a name succeeds")
	}
	for part, sentinel := range map[string]error{"No Such Reader": pcsc.ErrAway, "Virtual Reader": pcsc.ErrAway} {
		r, err := pcsc.Open(pcsc.Config{Name: part})
		if err != nil {
			t.Fatal(err)
		}
		if e := want(t, r, pcsc.Fault); !errors.Is(e.Err, sentinel) {
			t.Errorf("Open(%q): fault %v, want %v", part, e.Err, sentinel)
		}
		if _, err := r.Connect(); !errors.Is(err, pcsc.ErrAway) {
			t.Errorf("Connect(%q): error %v, want ErrAway", part, err)
		}
		if err := r.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if _, open := <-r.Events(); open {
			t.Error("events go on after Close")
		}
		if err := r.Close(); !errors.Is(err, pcsc.ErrClosed) {
			t.Errorf("second Close: error %v, want ErrClosed", err)
		}
	}
	open(t, 1, 0)
	second, err := pcsc.Open(pcsc.Config{Name: vpcd.ReaderName(1)})
	if err != nil {
		t.Fatal(err)
	}
	if e := want(t, second, pcsc.Fault); !errors.Is(e.Err, pcsc.ErrInUse) {
		t.Errorf("second Open: fault %v, want ErrInUse", e.Err)
	}
	if err := second.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// TestCloseWithCard closes a reader that holds a card: the next one gets it.
func TestCloseWithCard(t *testing.T) {
	insert(t, 2)
	for range 3 {
		r, err := pcsc.Open(pcsc.Config{Name: vpcd.ReaderName(2)})
		if err != nil {
			t.Fatal(err)
		}
		want(t, r, pcsc.Ready)
		if e := <-r.Events(); e.Kind != pcsc.In {
			t.Fatalf("event = %+v, want In", e)
		}
		card := connect(t, r)
		if err := r.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if _, err := card.Transmit([]byte{0, 0xA4, 0, 0, 0}); !errors.Is(err, pcsc.ErrClosed) {
			t.Errorf("Transmit after Close: error %v, want ErrClosed", err)
		}
	}
	// Only who sees it go may leave: the card service takes its time, and another
	// test must not meet this card.
	r := open(t, 2, 0)
	want(t, r, pcsc.In)
	remove(t, 2)
	want(t, r, pcsc.Out)
}
