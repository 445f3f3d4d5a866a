package stage

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/simulators/proxy"
)

// metricNames are what the admin listener must have under load: what operators
// build alerts and pictures on.
var metricNames = []string{
	"shebao_bank_up", "shebao_counter_ended_total", "shebao_counter_total", "shebao_engine_live", "shebao_engine_notes_total",
	"shebao_engine_queue", "shebao_engine_total", "shebao_ledger_applied_index", "shebao_ledger_batch_records_total",
	"shebao_ledger_batches_total", "shebao_ledger_checkpoint_age_seconds", "shebao_ledger_dirty_rows", "shebao_ledger_disk_free_bytes",
	"shebao_ledger_leader", "shebao_ledger_log_appends_total", "shebao_ledger_log_bytes_total", "shebao_ledger_log_sync_seconds_bucket",
	"shebao_ledger_log_sync_seconds_total", "shebao_ledger_queued", "shebao_ledger_state_bytes", "shebao_ledger_unknown_total",
	"shebao_link_state", "shebao_link_total", "shebao_payment_seconds_bucket", "shebao_payments_pending", "shebao_payments_total",
	"shebao_unresolved", "shebao_unresolved_needs_person", "shebao_unresolved_oldest_seconds", "go_goroutines", "process_resident_memory_bytes",
}

// maxSeries bounds what one node shows: four banks with some links each of seven
// states, and fixed words.
const maxSeries = 1500

// dropSome loses some frames, so that payments come to be in doubt.
func dropSome() (p proxy.Plan) {
	p[proxy.Drop] = 2000
	return p
}

// TestMetrics looks at the admin listener of a hub under load: every metric is
// there by its name, labels are fixed words, and nothing of a card or a person is
// to be seen.
func TestMetrics(t *testing.T) {
	t.Parallel()
	s := begin(t, hubOnly, func(c *Config) { c.Lines, c.Terminals = true, 4 })
	s.Lines["rcb"].Set(dropSome())
	r, err := s.soakTerminals(t.Context(), Soak{Duration: 3 * time.Second, Rate: 60, Final: 30 * time.Second})
	if err != nil || r.Payments == 0 {
		t.Fatalf("%d payments, %v: %v", r.Payments, err, r.Faults)
	}
	text := metricsOf(t, s)
	for _, name := range metricNames {
		if !strings.Contains(text, "\n"+name+"{") && !strings.Contains(text, "\n"+name+" ") {
			t.Errorf("no %s", name)
		}
	}
	for _, line := range []string{`shebao_link_state{bank="ccb",link="0",state="up"} 1`, `shebao_bank_up{bank="icbc"} 1`, "shebao_ledger_leader 1"} {
		if !strings.Contains(text, line) {
			t.Errorf("no line %s", line)
		}
	}
	for _, never := range []string{
		`shebao_payments_total{bank="ccb",result="paid"} 0`, `shebao_payments_total{bank="rcb",result="doubt"} 0`,
		`shebao_payment_seconds_count{stage="total"} 0`, `shebao_link_total{bank="icbc",what="replies"} 0`,
	} {
		if strings.Contains(text, never+"\n") {
			t.Errorf("after load: %s", never)
		}
	}
	holdLabels(t, text)
	holdPage(t, text)
	for i := range s.cfg.Persons {
		p, err := s.gen.At(i)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{p.IDNumber, p.PAN, p.Name, p.CardNo, p.CardID, p.Phone} {
			if strings.Contains(text, secret) {
				t.Fatalf("resident %d is in the metrics", i)
			}
		}
	}
}

func metricsOf(t *testing.T, s *Stage) string {
	t.Helper()
	resp, err := http.Get("http://" + addr(s.cfg.Ports.Admin) + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// holdLabels refuses labels that could be numbers of something, and too many
// series.
func holdLabels(t *testing.T, text string) {
	t.Helper()
	label, word, long := regexp.MustCompile(`="([^"]*)"`), regexp.MustCompile(`^[A-Za-z0-9_.+ -]{1,40}$`), regexp.MustCompile(`=\D*[0-9]{6}`)
	series := 0
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "shebao_") {
			continue
		}
		series++
		for _, m := range label.FindAllStringSubmatch(line, -1) {
			if !word.MatchString(m[1]) || !strings.Contains(line, `le="`) && long.MatchString(m[0]) {
				t.Errorf("label %q in %s", m[1], line)
			}
		}
	}
	if series > maxSeries {
		t.Errorf("%d series, at most %d", series, maxSeries)
	}
}

// holdPage compares docs/operating/metrics.md with what the hub shows.
func holdPage(t *testing.T, text string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", "operating", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, m := range regexp.MustCompile("`(shebao_[a-z_]+)").FindAllStringSubmatch(string(b), -1) {
		listed[m[1]] = true
	}
	shown := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (shebao_[a-z_]+) `).FindAllStringSubmatch(text, -1) {
		shown[m[1]] = true
		if !listed[m[1]] {
			t.Errorf("%s is not in docs/operating/metrics.md", m[1])
		}
	}
	for name := range listed {
		if !shown[name] {
			t.Errorf("docs/operating/metrics.md has %s, the hub does not", name)
		}
	}
}
