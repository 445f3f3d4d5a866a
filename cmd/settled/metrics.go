package main

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/shebao-pay/shebao/settlement/acceptor"
	"github.com/shebao-pay/shebao/settlement/banklink"
	"github.com/shebao-pay/shebao/settlement/engine"
	"github.com/shebao-pay/shebao/settlement/operator"
)

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
	descQueue      = desc("engine_queue", "events that wait for the engine")
	descPayments   = desc("payments_total", "what became of terminals' payments since the start", "bank", "result")
	descStage      = desc("payment_seconds", "time of payments that were paid, by stage", "stage")
	descOpen       = desc("unresolved", "payments whose outcome is not proven, by how long", "bank", "age")
	descOldest     = desc("unresolved_oldest_seconds", "age of the oldest payment whose outcome is not proven", "bank")
	descPerson     = desc("unresolved_needs_person", "payments that need a person, as shebaoctl pending lists", "bank", "why")
	descLink       = desc("link_state", "1 for the state that a bank link is in", "bank", "link", "state")
	descLinks      = desc("link_total", "what a bank's links have seen since the start", "bank", "what")
	descBatches    = desc("ledger_batches_total", "batches given to the log since the start")
	descRecords    = desc("ledger_batch_records_total", "commands in those batches")
	descQueued     = desc("ledger_queued", "commands that wait for a batch")
	descUnknown    = desc("ledger_unknown_total", "commands whose outcome was lost")
	descSyncTimes  = desc("ledger_log_sync_seconds", "time of one write and sync of the log")
	descState      = desc("ledger_state_bytes", "size of the state file")
)

func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descApplied, descLeader, descCheckpoint, descDirty, descFree, descLogBytes, descAppends, descSync, descPending, descBankUp, descLive, descEngine, descCounter, descEnded, descNotes,
		descQueue, descPayments, descStage, descOpen, descOldest, descPerson, descLink, descLinks, descBatches, descRecords, descQueued,
		descUnknown, descSyncTimes, descState} {
		ch <- d
	}
}

// out hands over one number after the other.
type out chan<- prometheus.Metric

func (o out) gauge(d *prometheus.Desc, v float64, labels ...string) {
	o <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func (o out) counter(d *prometheus.Desc, v uint64, labels ...string) {
	o <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
}

// each counts several things under the label that names them.
func (o out) each(d *prometheus.Desc, what map[string]uint64, labels ...string) {
	for name, v := range what {
		o.counter(d, v, append(slices.Clone(labels), name)...)
	}
}

func bit(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Collect reads everything.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	o := out(ch)
	now := c.p.now.Load()
	if now == nil {
		now = &serving{} // a node that follows has no links and no engine
	}
	c.ledger(o)
	c.banks(o, now)
	if now.hub != nil {
		c.engine(o, now)
		c.unresolved(o)
	}
}

func (c collector) ledger(o out) {
	s := c.p.node.Stats()
	o.gauge(descApplied, float64(s.Applied))
	o.gauge(descLeader, bit(s.Leader))
	o.gauge(descCheckpoint, s.CheckpointAge.Seconds())
	o.gauge(descDirty, float64(s.DirtyRows))
	o.gauge(descFree, float64(s.FreeBytes))
	o.gauge(descState, float64(s.StateBytes))
	o.counter(descLogBytes, s.Log.Bytes)
	o.counter(descAppends, s.Log.Appends)
	o <- prometheus.MustNewConstMetric(descSync, prometheus.CounterValue, float64(s.Log.SyncNanos)/1e9)
	o.counter(descBatches, s.Log.Batches)
	o.counter(descRecords, s.Log.Records)
	o.counter(descUnknown, s.Log.Unknown)
	o.gauge(descQueued, float64(s.Log.Queued))
	// Bucket i of the log counts what took less than 2^i microseconds.
	times, sum := map[float64]uint64{}, uint64(0)
	for i, n := range s.Log.SyncMicros[:len(s.Log.SyncMicros)-1] {
		sum += n
		times[float64(uint64(1)<<i)/1e6] = sum
	}
	sum += s.Log.SyncMicros[len(s.Log.SyncMicros)-1]
	o <- prometheus.MustNewConstHistogram(descSyncTimes, sum, float64(s.Log.SyncNanos)/1e9, times)
}

// banks is what each bank's links and counters have seen.
func (c collector) banks(o out, now *serving) {
	for n, b := range c.p.dir.Profiles() {
		o.gauge(descPending, float64(len(c.p.node.Pending(n))), b.Code)
		o.gauge(descBankUp, bit(now.hub != nil && now.hub.BankUp(n)), b.Code)
	}
	for code, srv := range now.counters {
		st := srv.Stats()
		o.each(descCounter, map[string]uint64{
			"requests": st.Requests, "answers": st.Answers, "payments": st.Payments, "bad_codes": st.BadCodes, "writes": st.Writes,
		}, code)
		for why, n := range st.Ended {
			o.counter(descEnded, n, code, acceptor.Reason(why).String()) //#nosec G115 -- an index of the list of reasons
		}
	}
	if now.hub == nil {
		return
	}
	for _, l := range now.hub.LinkStates() {
		for s := banklink.Down; s <= banklink.Stopped; s++ {
			o.gauge(descLink, bit(s == l.State), l.Code, strconv.Itoa(l.Link), strings.ToLower(s.String()))
		}
	}
}

func (c collector) engine(o out, now *serving) {
	h := now.hub.Snapshot()
	o.gauge(descLive, float64(h.Live))
	o.gauge(descQueue, float64(h.Queue))
	e := h.Engine
	o.each(descEngine, map[string]uint64{
		"asked": e.Asked, "paid": e.Paid, "not_charged": e.NotCharged, "refused": e.Refused, "doubts": e.Doubts,
		"inquiries": e.Inquiries, "inquiries_proven": e.InquiriesProven, "scripts": e.Scripts, "scripts_told": e.ScriptsTold, "reversals": e.Reversals, "reversals_proven": e.ReversalsProven, "late": e.Late, "unmatched": e.Unmatched,
		"bad_mac": e.BadMAC, "mismatch": e.Mismatch, "proofs": e.Proofs, "proven": e.Proven,
	})
	o.each(descNotes, h.Notes)
	for code, n := range h.Ends {
		o.each(descPayments, map[string]uint64{
			"paid": n.Paid, "not_charged": n.NotCharged, "refused": n.Refused, "doubt": n.Doubts, "reversal_sent": n.Reversals, "reversal_proven": n.Proven,
		}, code)
	}
	for code, n := range h.Banks {
		o.each(descLinks, map[string]uint64{
			"sent": n.Sent, "replies": n.Replies, "strays": n.Strays, "not_sent": n.NotSent, "lost": n.Lost, "timeouts": n.Timeouts,
			"bad_replies": n.BadReplies, "writes": n.Writes, "alarms": n.Alarms, "key_changes": n.KeyChanges,
		}, code)
	}
	for s := engine.StageReserve; s <= engine.StageTotal; s++ {
		t, buckets, sum := &e.Stages[s], map[float64]uint64{}, uint64(0)
		for i, bound := range engine.TimingBounds() {
			sum += t.Counts[i]
			buckets[bound.Seconds()] = sum
		}
		sum += t.Counts[len(t.Counts)-1]
		o <- prometheus.MustNewConstHistogram(descStage, sum, t.Sum.Seconds(), buckets, s.String())
	}
}

// age is a label of how long a payment has been without a proof.
type age struct {
	label string
	below time.Duration
}

var ages = [...]age{{"1m", time.Minute}, {"10m", 10 * time.Minute}, {"1h", time.Hour}, {"1d", 24 * time.Hour}, {"more", 1<<63 - 1}}

// unresolved counts the payments in doubt. Their age is that of this life of the
// hub: one that was found at its start is as old as the hub.
func (c collector) unresolved(o out) {
	now := time.Now()
	type count struct {
		ages   [len(ages)]int
		oldest time.Duration
		why    map[string]int
	}
	byBank := map[string]*count{}
	for _, b := range c.p.dir.Profiles() {
		byBank[b.Code] = &count{why: map[string]int{operator.NeedsCrossDay: 0, operator.NeedsUnanswered: 0}}
	}
	for _, p := range c.p.pending() {
		n := byBank[p.Bank]
		since, err := time.Parse(time.RFC3339, p.Since)
		if n == nil || err != nil {
			continue
		}
		old := max(0, now.Sub(since))
		n.oldest = max(n.oldest, old)
		n.ages[slices.IndexFunc(ages[:], func(a age) bool { return old < a.below })]++
		if p.Why != "" {
			n.why[p.Why]++
		}
	}
	for code, n := range byBank {
		for i, a := range ages {
			o.gauge(descOpen, float64(n.ages[i]), code, a.label)
		}
		o.gauge(descOldest, n.oldest.Seconds(), code)
		for why, k := range n.why {
			o.gauge(descPerson, float64(k), code, strings.ToLower(why))
		}
	}
}
