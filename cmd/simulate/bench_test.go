package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/simulators/bankhost"
)

// startBench runs `simulate bankhost` for the profile ccb and gives what a
// person types and reads.
func startBench(t *testing.T) (say io.Writer, hear *bufio.Scanner, addr string) {
	t.Helper()
	dir := t.TempDir()
	keys := filepath.Join(dir, "keys.json")
	if err := os.WriteFile(keys, []byte(`{"kbpk":"`+strings.Repeat("33", 32)+`","imk":"`+strings.Repeat("0B1C", 8)+`"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	typed, say := io.Pipe()
	heard, out := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		c := bankhostCommand()
		c.SetArgs([]string{"--profile", "../../data/banks/ccb", "--keys", keys})
		c.SetIn(typed)
		c.SetOut(out)
		ended <- c.ExecuteContext(ctx)
		_ = out.Close()
	}()
	t.Cleanup(func() {
		cancel()
		_ = say.(io.Closer).Close()
		go func() { _, _ = io.Copy(io.Discard, heard) }()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	hear = bufio.NewScanner(heard)
	var l hostListens
	next(t, hear, &l)
	if l.Event != "listens" || l.Bank != "ccb" || l.Address == "" {
		t.Fatalf("got %+v", l)
	}
	return say, hear, l.Address
}

// next reads one line of JSON.
func next(t *testing.T, hear *bufio.Scanner, to any) {
	t.Helper()
	if !hear.Scan() {
		t.Fatalf("no line: %v", hear.Err())
	}
	if err := json.Unmarshal(hear.Bytes(), to); err != nil {
		t.Fatalf("%s: %v", hear.Text(), err)
	}
}

// TestBankhostObeys types what the host takes, and what it does not.
func TestBankhostObeys(t *testing.T) {
	say, hear, _ := startBench(t)
	for _, tc := range []struct{ typed, event, what string }{
		{"fault drop-reply 3", "did", "fault drop-reply 3"}, {"new-keys", "did", "new-keys"}, {"hang-up", "did", "hang-up"},
		{"cutover", "did", "cutover"}, {"fault", "refused", "fault NAME"}, {"fault earthquake", "refused", "no fault"},
		{"fault decline often", "refused", "no number of times"}, {"fault decline 0", "refused", "no number of times"},
		{"dance", "refused", "fault, new-keys, cutover or hang-up"},
	} {
		if _, err := io.WriteString(say, "\n"+tc.typed+"\n"); err != nil { // an empty line says nothing
			t.Fatal(err)
		}
		var d hostDid
		next(t, hear, &d)
		if d.Event != tc.event || !strings.Contains(d.What, tc.what) || (tc.typed == "cutover") != (d.Date != "") {
			t.Errorf("%q: got %+v", tc.typed, d)
		}
	}
}

// TestBankhostTellsRequests signs on at the host and reads what it saw.
func TestBankhostTellsRequests(t *testing.T) {
	_, hear, addr := startBench(t)
	p, err := profile.LoadFS(os.DirFS("../../data/banks"), "ccb")
	if err != nil {
		t.Fatal(err)
	}
	// A counter's sign-on is the hub's own in this dialect; the host takes it.
	go func() {
		c, err := bankhost.DialCounter(t.Context(), bankhost.CounterConfig{Profile: p, Addr: addr, Keys: bankhost.Keys{KBPK: make([]byte, 32)}})
		if err == nil {
			_ = c.Close()
		}
	}()
	var r hostRequest
	next(t, hear, &r)
	if r.Event != "request" || r.Kind != "sign_on" || r.MTI != "0820" || r.Code != "00" || r.GoodMAC {
		t.Errorf("got %+v", r)
	}
}
