package hub

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/shebao-pay/shebao/si/termapi"
)

// relay sits between a terminal and its hub and changes one byte of what goes
// by: the n-th byte of one direction.
type relay struct {
	l     net.Listener
	hub   string
	wg    sync.WaitGroup
	mu    sync.Mutex
	conns []net.Conn
	// set before a connection is made
	toHub bool
	at    int
}

func newRelay(t *testing.T, hub string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{l: l, hub: hub}
	r.wg.Go(r.accept)
	t.Cleanup(func() {
		_ = l.Close()
		r.hangUp()
		r.wg.Wait()
	})
	return r
}

func (r *relay) hangUp() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		_ = c.Close()
	}
	r.conns = nil
}

func (r *relay) accept() {
	for {
		near, err := r.l.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", r.hub)
		if err != nil {
			_ = near.Close()
			continue
		}
		r.mu.Lock()
		r.conns = append(r.conns, near, far)
		toHub, at := r.toHub, r.at
		r.mu.Unlock()
		r.wg.Go(func() { pass(far, near, toHub, at) })
		r.wg.Go(func() { pass(near, far, !toHub, at) })
	}
}

// pass carries bytes, and changes the one at a place if it is meant to.
func pass(to, from net.Conn, change bool, at int) {
	defer func() { _ = to.Close() }()
	buf, seen := make([]byte, 4096), 0
	for {
		n, err := from.Read(buf)
		if i := at - seen; change && i >= 0 && i < n {
			buf[i] ^= 0x20
		}
		seen += n
		if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
			return
		}
	}
}

// TestAlteredOnTheLine has somebody on the line change one byte at a time, in
// both directions, from the first of the handshake to the last of the answer. No
// payment that was altered reaches the hub, and no answer that was altered is
// believed: the terminal knows that it does not know, or that nothing was sent.
func TestAlteredOnTheLine(t *testing.T) {
	p := newPKI(t)
	want := termapi.Payment{ID: payID.String(), Total: 12_345}
	state := termapi.PaymentState{ID: payID.String(), State: termapi.PaymentPosted, Total: 12_345}
	var mu sync.Mutex
	served := 0
	r := newRelay(t, p.hubNode(t, func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		var got termapi.Payment
		if err != nil {
			return // the line broke within the body: nothing is taken
		}
		if json.Unmarshal(body, &got) != nil || got.ID != want.ID || got.Total != want.Total {
			t.Errorf("the hub was given %q", body)
		}
		mu.Lock()
		served++
		mu.Unlock()
		answer(w, http.StatusOK, state)
	}))
	try := func(toHub bool, at int) (termapi.PaymentState, error) {
		r.mu.Lock()
		r.toHub, r.at = toHub, at
		r.mu.Unlock()
		c := p.client(t, r.l.Addr().String())
		defer c.Close()
		defer r.hangUp()
		return c.Pay(context.Background(), want)
	}
	if got, err := try(true, 1<<30); err != nil || got.Total != state.Total {
		t.Fatalf("unaltered: %+v, %v", got, err)
	}
	for _, toHub := range []bool{true, false} {
		altered := 0
		for at := 0; at < 6000; at += 97 {
			got, err := try(toHub, at)
			var e *Error
			switch {
			case err == nil && got.ID == state.ID && got.State == state.State && got.Total == state.Total:
				// Behind the last byte that mattered to this call.
			case errors.As(err, &e) && (e.Kind == Unknown || e.Kind == NotSent):
				altered++
			default:
				t.Errorf("byte %d altered, to the hub %t: %+v, %v", at, toHub, got, err)
			}
		}
		if altered < 10 {
			t.Errorf("to the hub %t: %d calls failed; the relay alters nothing", toHub, altered)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if served == 0 {
		t.Error("no call got through")
	}
}
