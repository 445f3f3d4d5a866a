package operator

import (
	"bytes"
	"log"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// lines keeps what a server complains about.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestRefusedUpload: a file that is refused at its first line gets its answer,
// whether it is short or far longer than any buffer, and the connection serves
// the next call.
func TestRefusedUpload(t *testing.T) {
	n := &node{ids: map[si.PaymentID]ledgerapi.Command{}, persons: map[si.Hash]ledgerapi.Person{}}
	s := New(Config{Ledger: n, Register: n, Sealer: sealer{}, Now: time.Now, Status: func() Status { return Status{Version: "test"} }})
	path := filepath.Join(t.TempDir(), "op.sock")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	var said lines
	srv := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: time.Second, ErrorLog: log.New(&said, "", 0)}
	conns := map[net.Conn]bool{}
	srv.ConnState = func(c net.Conn, st http.ConnState) {
		if st == http.StateNew {
			conns[c] = true // called before the next request is sent
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	c := Dial(path)
	for _, size := range []int{1, 100, 10_000, 1_000_000} {
		body := "id_number,name\n" + strings.Repeat("x,y\n", size)
		if _, err := c.Upload(t.Context(), "/v1/import/persons", nil, strings.NewReader(body), func(int, int) {}); err == nil || !strings.Contains(err.Error(), "line 1: the header must be") {
			t.Errorf("%d lines: got %v, want the header's refusal", size, err)
		}
		var st Status
		if err := c.Ask(t.Context(), "/v1/status", nil, &st); err != nil || st.Version != "test" {
			t.Errorf("after %d lines: %+v, %v", size, st, err)
		}
	}
	c.Close()
	_ = srv.Close()
	<-ended
	if got := said.String(); got != "" {
		t.Errorf("the server complains: %s", got)
	}
	if len(conns) != 1 {
		t.Errorf("%d connections were made, want one", len(conns))
	}
}
