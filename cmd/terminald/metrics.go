package main

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/shebao-pay/shebao/terminal"
	"github.com/shebao-pay/shebao/terminal/flow"
)

// metricsHandler shows how the terminal stands. No label has a value that a
// person or a card could give.
func metricsHandler(t *terminal.Terminal) http.Handler {
	r := prometheus.NewRegistry()
	gauge := func(name, help string, value func(terminal.Status) float64) {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: "shebao", Subsystem: "terminal", Name: name, Help: help,
		}, func() float64 { return value(t.Status()) }))
	}
	flag := func(b bool) float64 {
		if b {
			return 1
		}
		return 0
	}
	gauge("in_service", "1 while citizens can be served", func(s terminal.Status) float64 {
		return flag(!s.Broken && s.Screen != "" && s.Screen != string(flow.ScreenOutOfService))
	})
	gauge("in_session", "1 while a card is in", func(s terminal.Status) float64 { return flag(s.InSession) })
	gauge("payments_unsettled", "payments whose end is not known here", func(s terminal.Status) float64 { return float64(s.Unsettled) })
	gauge("banks_down", "banks that the hub said cannot be reached", func(s terminal.Status) float64 { return float64(s.BanksDown) })
	gauge("hub_clock_skew_seconds", "the hub's clock less ours", func(s terminal.Status) float64 { return s.HubSkew.Seconds() })
	gauge("journal_head", "number of the newest journal record", func(s terminal.Status) float64 { return float64(s.Journal) })
	gauge("journal_broken", "1 after a failed write", func(s terminal.Status) float64 { return flag(s.Broken) })
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{})
}
