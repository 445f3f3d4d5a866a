package main

import (
	"fmt"
	"strings"
	"time"
)

// page is everything that a run of simulate bench found.
type page struct {
	machine      machine
	short        bool
	plan         plan
	engines      []*contender
	small, large *contender
	closed, long ledgerResult
	minutes      []string
	wires        []loadResult
	steal        float64
	took         time.Duration
}

// String is the page in Markdown.
func (p *page) String() string {
	var b strings.Builder
	b.WriteString(textOf("# Benchmarks", "",
		"Written by `make bench`, which repeats everything on this page; figures of another machine or a busy one differ. What the flags and figures mean: [measuring under load](operating/load.md).", ""))
	void := ""
	if p.steal > maxSteal {
		void = fmt.Sprintf(" **Void: more than %.0f %% of the processor time was taken by other guests of the host.**", maxSteal)
	}
	if p.machine.busy() {
		void += " **Void: other work was running on the machine; repeat it when there is none.**"
	}
	short := ""
	if p.short {
		short = " A short run of small ledgers: no bar is judged by it."
	}
	fmt.Fprintf(&b, "Commit %s. Machine: %s. Steal time %.1f %%.%s%s It took %.0f minutes.\n\n", p.machine.commit, p.machine, p.steal, void, short, p.took.Minutes())
	p.besides(&b)
	p.bars(&b)
	p.overTCP(&b)
	p.sustained(&b)
	return b.String()
}

// section is the page, or one part of it.
func (p *page) section(part string) string {
	var b strings.Builder
	switch part {
	case "engines":
		p.besides(&b)
	case "ledger":
		p.bars(&b)
		p.sustained(&b)
	case "tcp":
		p.overTCP(&b)
	default:
		return p.String()
	}
	return b.String()
}

// void tells that the figures say nothing about the bars.
func (p *page) void() bool { return p.steal > maxSteal || p.machine.busy() }

// verdict is the last column of a bar.
func (p *page) verdict(held bool) string {
	switch {
	case p.short || p.void():
		return "not judged"
	case held:
		return "held"
	}
	return "**missed**"
}

// besides is the table of engines.
func (p *page) besides(b *strings.Builder) {
	fmt.Fprintf(b, "## Beside other engines\n\nThe same clients (%d, each waiting for its answer) pay the same dues (%d) at each engine in turn, %d rounds of %d s, medians. "+
		"Everything is in one process but PostgreSQL, whose server is counted with it. Every answer left after its sync. What a rival does for a payment, and what it is spared: `simulators/rivals`.\n\n",
		rivalInFlight, rivalDues, rivalRounds, p.plan.round)
	b.WriteString("| engine | payments/s | p50 ms | p99 ms | p99.9 ms | CPU µs | bytes to disk |\n|---|---|---|---|---|---|---|\n")
	for _, c := range p.engines {
		fmt.Fprintf(b, "| %s | %.0f | %.2f | %.2f | %.2f | %.1f | %.0f |\n", c.name, c.rate(),
			c.median(func(m *measured) float64 { return m.P50 }), c.median(func(m *measured) float64 { return m.P99 }),
			c.median(func(m *measured) float64 { return m.P999 }), c.median(func(m *measured) float64 { return m.cpu }),
			c.median(func(m *measured) float64 { return m.bytes }))
	}
	b.WriteString("\nCPU and bytes are per payment, clients and checkpoints included; the null ledger appends to the same log, answers, and keeps nothing.\n\n")
}

// bars is the table of what must hold of the ledger alone.
func (p *page) bars(b *strings.Builder) {
	c, l := &p.closed, &p.long
	drop := 100 * (1 - p.large.rate()/p.small.rate())
	b.WriteString("## The ledger alone\n\n")
	fmt.Fprintf(b, "`bin/simulate load --path ledger --inflight 512 --seconds %d --persons %d --dues %d --tail %d`\n\n", p.plan.load, p.plan.persons, p.plan.dues, p.plan.tail)
	b.WriteString("| bar | measured | |\n|---|---|---|\n")
	row := func(bar string, held bool, format string, args ...any) {
		fmt.Fprintf(b, "| %s | %s | %s |\n", bar, fmt.Sprintf(format, args...), p.verdict(held))
	}
	row("512 in flight: ≥ 100,000 durable payments/s, p99 ≤ 10 ms", c.PerSecond >= 100_000 && c.P99 <= 10,
		"%.0f/s, p50 %.2f, p99 %.2f, p99.9 %.2f ms; %.1f µs of CPU, %.0f bytes of log", c.PerSecond, c.P50, c.P99, c.P999, c.CPUMicros, c.LogBytes)
	if len(p.engines) > 0 {
		bolt := p.engines[0].rate() / p.engines[2].rate()
		row("≥ 10 × bbolt with group commit", bolt >= 10, "%.1f ×", bolt)
	}
	row("drop from 10,000 to "+p.large.name+" ≤ 20 %", drop <= 20, "%.0f %% (%.0f and %.0f payments/s)", drop, p.small.rate(), p.large.rate())
	row("≤ 200 bytes of memory an open due", c.HeapPerDue <= 200, "%.0f, with %d persons, a card and a notice each", c.HeapPerDue, p.plan.persons)
	row("≤ 150 bytes a payment of unsealed dates", c.HeapPerPay <= 150, "%.0f", c.HeapPerPay)
	row(fmt.Sprintf("restart with %s and %d records behind the checkpoint, after kill -9: < 10 s to the first answer", p.large.name, p.plan.tail), c.RestartMs < 10_000,
		"%.1f s with %d records", c.RestartMs/1000, c.Tail)
	row("sustained 50,000/s, a date cut over and sealed each minute", l.PerSecond >= 49_500, "%.0f/s, p99 %.2f ms, %d dates", l.PerSecond, l.P99, l.Days)
	row("checkpoint lag bounded", l.Lag <= 4_000_000, "at most %d records, %d checkpoints", l.Lag, l.Checkpoints)
	row("restart behind it: < 10 s", l.RestartMs < 10_000, "%.1f s with %d records", l.RestartMs/1000, l.Tail)
	row("a cutover delays no batch by more than 20 ms", l.CutLongest <= 20, "longest answer beside a cutover %.1f ms, beside a seal %.1f ms", l.CutLongest, l.SealLongest)
	row("the log verifies", c.Verify == "ok" && l.Verify == "ok", "%s in %.0f s, %s in %.0f s", c.Verify, c.VerifySecond, l.Verify, l.VerifySecond)
	b.WriteString("\nPayments a batch at " + p.large.name + ":")
	for i, n := range p.large.got[0].batches {
		if n > 0 {
			fmt.Fprintf(b, " %d–%d: %d;", 1<<max(i-1, 0), 1<<i-1, n)
		}
	}
	b.WriteString("\n\n")
}

func (p *page) overTCP(b *strings.Builder) {
	b.WriteString("## Over TCP\n\nBank-initiated payments at `settled` and its HSM process, a code on every message, the load on the same machine: `bin/simulate load --path counter`.\n\n")
	b.WriteString("| load | bar | payments/s | p50 ms | p99 ms | p99.9 ms | CPU µs | |\n|---|---|---|---|---|---|---|---|\n")
	for i, w := range wires {
		r := &p.wires[i]
		ratio := ""
		if r.Ratio != nil {
			ratio = fmt.Sprintf(" (%.2f)", *r.Ratio)
		}
		fmt.Fprintf(b, "| %s | %s | %.0f%s | %.2f | %.2f | %.2f | %.1f | %s |\n", w.name, w.bar, r.PerSecond, ratio, r.P50, r.P99, r.P999, r.CPUMicros,
			p.verdict(w.held(r) && r.Errors == 0 && r.Verify == "ok"))
	}
	b.WriteString("\n")
}

func (p *page) sustained(b *strings.Builder) {
	b.WriteString("## Minute by minute\n\nThe sustained run. Live heap is what the garbage collector found alive; dues are refilled by assessment while it goes on.\n\n```\n")
	for _, m := range p.minutes {
		b.WriteString(m + "\n")
	}
	b.WriteString("```\n")
}
