package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/rs/zerolog"
)

// quiet turns what the HTTP server says about bad clients into debug lines.
func quiet(l zerolog.Logger) *log.Logger { return log.New(debugLines{l}, "", 0) }

type debugLines struct{ log zerolog.Logger }

func (d debugLines) Write(b []byte) (int, error) {
	d.log.Debug().Str("from", "http").Msg(string(b[:max(0, len(b)-1)]))
	return len(b), nil
}

// startAdmin serves /live, /ready and /metrics on loopback. Nothing there
// changes anything.
func (p *program) startAdmin(context.Context) error {
	l, err := net.Listen("tcp", p.cfg.Admin.Listen)
	if err != nil {
		return fmt.Errorf("admin.listen: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /live", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, _ *http.Request) {
		now := p.now.Load()
		if now == nil {
			_, id := p.node.Leader()
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = fmt.Fprintf(w, "not ready: this node follows %s\n", id)
			return
		}
		if err := p.ready(); err != nil || now.hub == nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = fmt.Fprintf(w, "not ready: %v, bank profiles %d\n", err, len(p.dir.Profiles()))
			return
		}
		st := p.status()
		_, _ = fmt.Fprintf(w, "ready, applied %d, pending %d, banks %v\n", st.Applied, st.Pending, st.Banks)
	})
	mux.Handle("GET /metrics", p.metrics())
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	p.http("admin listener", l, srv, srv.Serve)
	return nil
}
