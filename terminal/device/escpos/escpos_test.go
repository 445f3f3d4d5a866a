package escpos

import (
	"bytes"
	"context"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/simulators/printer"
	"github.com/shebao-pay/shebao/terminal/device"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var doc = []byte("\x1b@\x1c&one\ntwo\nthree\nfour\n\x1dVB\x03")

// start serves a simulated printer and returns a driver for it.
func start(t *testing.T) (*printer.Server, *Printer) {
	t.Helper()
	s := printer.New(time.Now, nil)
	path := filepath.Join(t.TempDir(), "p")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return s, NewTimes("unix", path, Times{Job: 3 * time.Second, Status: 300 * time.Millisecond, Poll: 20 * time.Millisecond})
}

// TestPrint holds what the driver says for each fault: presented only when the
// printer said so.
func TestPrint(t *testing.T) {
	queued, printing := device.JobQueued, device.JobPrinting
	tests := []struct {
		fault printer.Fault
		steps []device.JobState
		state device.PrinterState
		paper bool
	}{
		{printer.None, []device.JobState{queued, printing, device.JobPresented}, device.PrinterReady, true},
		{printer.PaperLow, []device.JobState{queued, printing, device.JobPresented}, device.PrinterPaperLow, true},
		{printer.PaperOut, []device.JobState{queued, device.JobFailed}, device.PrinterPaperOut, false},
		{printer.Jam, []device.JobState{queued, device.JobFailed}, device.PrinterJam, false},
		{printer.Cutter, []device.JobState{queued, device.JobFailed}, device.PrinterCutter, false},
		{printer.Offline, []device.JobState{queued, device.JobFailed}, device.PrinterOffline, false},
	}
	for _, tt := range tests {
		t.Run(tt.fault.String(), func(t *testing.T) {
			s, p := start(t)
			s.SetFault(tt.fault)
			if got := p.State(t.Context()); got != tt.state {
				t.Errorf("State = %d, want %d", got, tt.state)
			}
			var steps []device.JobState
			job, state := p.Print(t.Context(), doc, func(j device.JobState) { steps = append(steps, j) })
			if !slices.Equal(steps, tt.steps) || state != tt.state || job != tt.steps[len(tt.steps)-1] {
				t.Errorf("Print: steps %v, last %d, state %d; want %v and %d", steps, job, state, tt.steps, tt.state)
			}
			if got := len(s.Papers()) == 1; got != tt.paper {
				t.Errorf("paper came out: %v, want %v", got, tt.paper)
			}
		})
	}
}

// TestSilent prints on a printer that answers nothing: sent, never presented.
func TestSilent(t *testing.T) {
	s, p := start(t)
	s.SetFault(printer.Silent)
	job, state := p.Print(t.Context(), doc, nil)
	if job != device.JobSent || state != device.PrinterUnknown {
		t.Errorf("got %d, %d; want JobSent, PrinterUnknown", job, state)
	}
}

// fake is a printer that answers each status request by rule and hands the rest
// to sent.
func fake(t *testing.T, status func(n byte) []byte, sent func(c net.Conn, all []byte)) *Printer {
	t.Helper()
	path := filepath.Join(t.TempDir(), "p")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			var all []byte
			buf := make([]byte, 1024)
			for {
				n, err := c.Read(buf)
				all = append(all, buf[:n]...)
				for {
					i := bytes.Index(all, []byte{0x10, 0x04})
					if i < 0 || i+2 >= len(all) {
						break
					}
					q := all[i+2]
					all = append(all[:i:i], all[i+3:]...)
					if _, err := c.Write(status(q)); err != nil {
						break
					}
				}
				sent(c, all)
				if err != nil {
					break
				}
			}
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return NewTimes("unix", path, Times{Job: 400 * time.Millisecond, Status: 200 * time.Millisecond, Poll: 10 * time.Millisecond})
}

// TestJamMeanwhile has a printer that is sound before the job and jams in it.
func TestJamMeanwhile(t *testing.T) {
	asked := 0
	p := fake(t, func(n byte) []byte {
		asked++
		if asked > 4 {
			return []byte{printer.Status(printer.Jam, n)}
		}
		return []byte{0x12}
	}, func(net.Conn, []byte) {})
	job, state := p.Print(t.Context(), doc, nil)
	if job != device.JobFailed || state != device.PrinterJam {
		t.Errorf("got %d, %d; want JobFailed, PrinterJam", job, state)
	}
}

// TestNoConfirmation has a printer that is well and never confirms: sent.
func TestNoConfirmation(t *testing.T) {
	p := fake(t, func(byte) []byte { return []byte{0x12} }, func(net.Conn, []byte) {})
	job, state := p.Print(t.Context(), doc, nil)
	if job != device.JobSent || state != device.PrinterReady {
		t.Errorf("got %d, %d; want JobSent, PrinterReady", job, state)
	}
}

// TestFallsSilent has a printer that answers before the job and never again:
// sent, and its state is unknown.
func TestFallsSilent(t *testing.T) {
	asked := 0
	p := fake(t, func(byte) []byte {
		if asked++; asked > 4 {
			return nil
		}
		return []byte{0x12}
	}, func(net.Conn, []byte) {})
	job, state := p.Print(t.Context(), doc, nil)
	if job != device.JobSent || state != device.PrinterUnknown {
		t.Errorf("got %d, %d; want JobSent, PrinterUnknown", job, state)
	}
}

// TestHangUp has a printer that leaves in the middle of the document.
func TestHangUp(t *testing.T) {
	p := fake(t, func(byte) []byte { return []byte{0x12} }, func(c net.Conn, all []byte) {
		if strings.Contains(string(all), "one") {
			_ = c.Close()
		}
	})
	job, state := p.Print(t.Context(), doc, nil)
	if job != device.JobFailed || state != device.PrinterOffline {
		t.Errorf("got %d, %d; want JobFailed, PrinterOffline", job, state)
	}
}

// TestOtherID has a printer that confirms another job's id.
func TestOtherID(t *testing.T) {
	p := fake(t, func(byte) []byte { return []byte{0x12} }, func(c net.Conn, all []byte) {
		if strings.Contains(string(all), "\x1d(H") {
			_, _ = c.Write([]byte("\x37\x22zzzz\x00"))
		}
	})
	job, _ := p.Print(t.Context(), doc, nil)
	if job != device.JobSent {
		t.Errorf("got %d, want JobSent", job)
	}
}

func TestDocBounds(t *testing.T) {
	_, p := start(t)
	for n, want := range map[int]device.JobState{0: device.JobFailed, MaxDoc: device.JobPresented, MaxDoc + 1: device.JobFailed} {
		d := bytes.Repeat([]byte("\n"), n)
		if n > len(doc) {
			copy(d, doc)
		}
		if job, _ := p.Print(t.Context(), d, nil); job != want {
			t.Errorf("document of %d bytes: got %d, want %d", n, job, want)
		}
	}
}

func TestDecoder(t *testing.T) {
	tests := []struct {
		name, in string
		want     []reply
	}{
		{"status bytes", "\x12\x1a", []reply{{status: 0x12}, {status: 0x1a}}},
		{"noise is dropped", "\x00\xff\x13\x12", []reply{{status: 0x12}}},
		{"process id", "\x37\x22abcd\x00", []reply{{isID: true, id: [4]byte{'a', 'b', 'c', 'd'}}}},
		{"id between statuses", "\x12\x37\x22abcd\x00\x16", []reply{{status: 0x12}, {isID: true, id: [4]byte{'a', 'b', 'c', 'd'}}, {status: 0x16}}},
		{"another 37h block", "\x37\x21\x12", []reply{{status: 0x12}}},
		{"id without its end", "\x37\x22abcd\x01\x12", []reply{{status: 0x12}}},
	}
	for _, tt := range tests {
		var d decoder
		var got []reply
		for _, c := range []byte(tt.in) {
			if r, ok := d.next(c); ok {
				got = append(got, r)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

// FuzzDecoder holds that no bytes of a printer can break the driver, and that a
// process id has its printable form.
func FuzzDecoder(f *testing.F) {
	for _, s := range []string{"\x12", "\x37\x22abcd\x00", "\x37", "\x37\x37\x22"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var d decoder
		for _, c := range in {
			if r, ok := d.next(c); ok && !r.isID && r.status&0x93 != 0x12 {
				t.Fatalf("status %02x accepted", r.status)
			}
		}
	})
}

// TestProcessIDs holds that every id is made of bytes 20h to 7Eh and none comes
// twice.
func TestProcessIDs(t *testing.T) {
	seen := map[[4]byte]bool{}
	for n := range 1 << 16 {
		id := processID(uint16(n))
		for _, c := range id {
			if c < 0x20 || c > 0x7E {
				t.Fatalf("id %d holds byte %02x", n, c)
			}
		}
		if seen[id] {
			t.Fatalf("id % x comes twice", id)
		}
		seen[id] = true
	}
}
