package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/zerolog"

	"github.com/shebao-pay/shebao/settlement/acceptor"
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
		if err := p.ready(); err != nil || p.hub == nil {
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

// metrics collects the counters of ledger, links and engine. Labels are bank
// codes and fixed words only.
func (p *program) metrics() http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(collector{p}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{})
}

// collector reads the node's counters when they are asked for.
type collector struct{ p *program }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("shebao_"+name, help, labels, nil)
}

var (
	descApplied    = desc("ledger_applied_index", "index of the last log entry applied")
	descLeader     = desc("ledger_leader", "1 on the node that leads")
	descCheckpoint = desc("ledger_checkpoint_age_seconds", "time since the last checkpoint")
	descDirty      = desc("ledger_dirty_rows", "rows that the next checkpoint would write")
	descFree       = desc("ledger_disk_free_bytes", "free space of the data disk")
	descLogBytes   = desc("ledger_log_bytes_total", "bytes written to the log since the start")
	descAppends    = desc("ledger_log_appends_total", "writes of the log, each with one sync")
	descSync       = desc("ledger_log_sync_seconds_total", "time spent in writing and syncing the log")
	descPending    = desc("payments_pending", "payments reserved or being reversed", "bank")
	descBankUp     = desc("bank_up", "1 while payments of the bank are taken", "bank")
	descLive       = desc("engine_live", "payments the engine holds in memory")
	descEngine     = desc("engine_total", "what the engine has seen since the start", "what")
	descCounter    = desc("counter_total", "what the counter servers have seen since the start", "bank", "what")
	descEnded      = desc("counter_ended_total", "connections of the counter servers that ended since the start", "bank", "why")
	descNotes      = desc("engine_notes_total", "notes by kind since the start", "kind")
)

func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descApplied, descLeader, descCheckpoint, descDirty, descFree, descLogBytes, descAppends, descSync, descPending, descBankUp, descLive, descEngine, descCounter, descEnded, descNotes} {
		ch <- d
	}
}

func (c collector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	flag := func(b bool) float64 {
		if b {
			return 1
		}
		return 0
	}
	s := c.p.node.Stats()
	gauge(descApplied, float64(s.Applied))
	gauge(descLeader, flag(s.Leader))
	gauge(descCheckpoint, s.CheckpointAge.Seconds())
	gauge(descDirty, float64(s.DirtyRows))
	gauge(descFree, float64(s.FreeBytes))
	counter(descLogBytes, s.Log.Bytes)
	counter(descAppends, s.Log.Appends)
	ch <- prometheus.MustNewConstMetric(descSync, prometheus.CounterValue, float64(s.Log.SyncNanos)/1e9)
	for n, b := range c.p.dir.Profiles() {
		gauge(descPending, float64(len(c.p.node.Pending(n))), b.Code)
		gauge(descBankUp, flag(c.p.hub != nil && c.p.hub.BankUp(n)), b.Code)
	}
	for code, srv := range c.p.counters {
		st := srv.Stats()
		for what, v := range map[string]uint64{
			"requests": st.Requests, "answers": st.Answers, "payments": st.Payments, "bad_codes": st.BadCodes, "writes": st.Writes,
		} {
			counter(descCounter, v, code, what)
		}
		for why, n := range st.Ended {
			counter(descEnded, n, code, acceptor.Reason(why).String()) //#nosec G115 -- an index of the list of reasons
		}
	}
	if c.p.hub == nil {
		return
	}
	h := c.p.hub.Snapshot()
	gauge(descLive, float64(h.Live))
	e := h.Engine
	for what, v := range map[string]uint64{
		"asked": e.Asked, "paid": e.Paid, "not_charged": e.NotCharged, "refused": e.Refused, "doubts": e.Doubts,
		"reversals": e.Reversals, "reversals_proven": e.ReversalsProven, "late": e.Late, "unmatched": e.Unmatched,
		"bad_mac": e.BadMAC, "mismatch": e.Mismatch, "proofs": e.Proofs, "proven": e.Proven,
	} {
		counter(descEngine, v, what)
	}
	for kind, v := range h.Notes {
		counter(descNotes, v, kind)
	}
}
