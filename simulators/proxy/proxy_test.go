package proxy

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// split finds frames with a length of two bytes before them.
func split(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	if n := int(binary.BigEndian.Uint16(b)); n < 1000 {
		return 2 + n
	}
	return -1
}

func frame(body string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(body))), body...)
}

// far is the other end: what it reads arrives in got, piece by piece.
type far struct {
	ln  net.Listener
	got chan []byte
	nc  chan net.Conn
}

func listen(t *testing.T) *far {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &far{ln: ln, got: make(chan []byte, 10_000), nc: make(chan net.Conn, 10)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			f.nc <- c
			for {
				b := make([]byte, 4096)
				n, err := c.Read(b)
				if n > 0 {
					f.got <- b[:n]
				}
				if err != nil {
					f.got <- nil
					_ = c.Close()
					break
				}
			}
		}
	}()
	t.Cleanup(func() { _ = ln.Close(); <-done })
	return f
}

// all reads until n bytes have come or the line ends.
func (f *far) all(t *testing.T, n int) (b []byte, pieces int) {
	t.Helper()
	for len(b) < n {
		select {
		case p := <-f.got:
			if p == nil {
				return b, pieces
			}
			b = append(b, p...)
			pieces++
		case <-time.After(20 * time.Second):
			t.Fatalf("%d bytes of %d came", len(b), n)
		}
	}
	return b, pieces
}

func only(k Kind) (p Plan) {
	if k != None {
		p[k] = 10_000
	}
	return p
}

// through opens a line with one kind of fault.
func through(t *testing.T, k Kind) (*Proxy, *far, net.Conn) {
	t.Helper()
	f := listen(t)
	p, err := Start(Config{Target: f.ln.Addr().String(), Seed: 7, Plan: only(k), Split: split, Pause: 40 * time.Millisecond, Hold: 60 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(); p.Close() })
	return p, f, c
}

// TestEachKind sends two frames and looks what comes out at the other end.
func TestEachKind(t *testing.T) {
	one, two := frame("the first frame"), frame("the second one")
	both := slices.Concat(one, two)
	for _, k := range append(Kinds(), None) {
		t.Run(k.String(), func(t *testing.T) {
			p, f, c := through(t, k)
			if _, err := c.Write(both); err != nil {
				t.Fatal(err)
			}
			switch k {
			case Drop:
				for end := time.Now().Add(20 * time.Second); p.Counts()[Drop] < 2; {
					if time.Now().After(end) {
						t.Fatal("the frames were not read")
					}
					runtime.Gosched()
				}
				p.Heal()
				if _, err := c.Write(frame("third")); err != nil {
					t.Fatal(err)
				}
				if got, _ := f.all(t, 7); !bytes.Equal(got, frame("third")) {
					t.Errorf("got %q", got)
				}
			case Cut:
				if got, _ := f.all(t, 1); got != nil {
					t.Errorf("got %q, want the end", got)
				}
				if _, err := io.ReadAll(c); err != nil && !errors.Is(err, net.ErrClosed) {
					t.Logf("our side ended with %v", err)
				}
			case Torn:
				if got, _ := f.all(t, len(both)); !bytes.Equal(got, one[:len(one)/2]) {
					t.Errorf("got %q, want half of the first frame and the end", got)
				}
			case Reorder:
				if got, _ := f.all(t, len(both)); !bytes.Equal(got, both) && !bytes.Equal(got, slices.Concat(two, one)) {
					t.Errorf("got %q, want whole frames in any order", got)
				}
			case Duplicate:
				if got, _ := f.all(t, 2*len(both)); !bytes.Equal(got, slices.Concat(one, one, two, two)) {
					t.Errorf("got %q", got)
				}
			case Corrupt:
				got, _ := f.all(t, len(both))
				for i, pair := range [][2][]byte{{got[:len(one)], one}, {got[len(one):], two}} {
					bits := 0
					for j, b := range pair[0] {
						for x := b ^ pair[1][j]; x != 0; x &= x - 1 {
							bits++
						}
					}
					if bits != 1 {
						t.Errorf("frame %d: %d bits differ, want one", i+1, bits)
					}
				}
			case Drip, Half:
				if got, pieces := f.all(t, len(both)); !bytes.Equal(got, both) || pieces < 3 {
					t.Errorf("got %q in %d pieces, want it whole in several", got, pieces)
				}
			default:
				if got, _ := f.all(t, len(both)); !bytes.Equal(got, both) {
					t.Errorf("got %q", got)
				}
			}
			if k != None && p.Counts()[k] == 0 || k == None && p.Frames() != 2 {
				t.Errorf("counted %v and %d whole", p.Counts(), p.Frames())
			}
		})
	}
}

// TestBack: the other direction has faults as well.
func TestBack(t *testing.T) {
	p, f, c := through(t, None)
	if _, err := c.Write(frame("hello")); err != nil {
		t.Fatal(err)
	}
	f.all(t, 7)
	p.Set(only(Duplicate))
	if _, err := (<-f.nc).Write(frame("answer")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 16)
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, slices.Concat(frame("answer"), frame("answer"))) {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestSame: what is drawn depends on seed, connection, direction and number.
func TestSame(t *testing.T) {
	plan := Even(500)
	draws := func(seed, conn uint64, back bool) (out []draw) {
		d := newDeck(seed, conn, back)
		for range 2000 {
			out = append(out, d.next(&plan))
		}
		return out
	}
	first := draws(1, 1, false)
	if !slices.Equal(first, draws(1, 1, false)) {
		t.Error("the same seed draws otherwise")
	}
	for name, other := range map[string][]draw{"seed": draws(2, 1, false), "connection": draws(1, 2, false), "direction": draws(1, 1, true)} {
		if slices.Equal(first, other) {
			t.Errorf("another %s draws the same", name)
		}
	}
	seen := map[Kind]int{}
	for _, d := range first {
		seen[d.kind]++
	}
	for _, k := range Kinds() {
		if seen[k] < 50 || seen[k] > 150 {
			t.Errorf("%s: %d of 2,000 frames, planned are 100", k, seen[k])
		}
	}
}

// TestNoFrame: bytes that are no frame go through, and a frame longer than any
// ends nothing.
func TestNoFrame(t *testing.T) {
	_, f, c := through(t, Drop)
	junk := bytes.Repeat([]byte{0xFF}, 300)
	if _, err := c.Write(junk); err != nil {
		t.Fatal(err)
	}
	if got, _ := f.all(t, len(junk)); !bytes.Equal(got, junk) {
		t.Errorf("%d bytes came through", len(got))
	}
}

func TestStartRefuses(t *testing.T) {
	for name, cfg := range map[string]Config{
		"no target":   {Split: split},
		"no frames":   {Target: "127.0.0.1:1"},
		"too much":    {Target: "127.0.0.1:1", Split: split, Plan: Even(1001)},
		"bad address": {Target: "127.0.0.1:1", Split: split, Addr: "nowhere:x"},
	} {
		if p, err := Start(cfg); err == nil {
			p.Close()
			t.Errorf("%s: started", name)
		}
	}
	p, err := Start(Config{Target: "127.0.0.1:1", Split: split, Plan: Even(1000)})
	if err != nil {
		t.Fatal(err)
	}
	// Nobody listens behind it: a caller is hung up on.
	var d net.Dialer
	c, err := d.DialContext(context.Background(), "tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(c); err != nil {
		t.Logf("ended with %v", err)
	}
	_ = c.Close()
	p.Close()
}
