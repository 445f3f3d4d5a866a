package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// Config is the node file of settled: addresses, paths and limits of this
// machine. Business data (bank profiles, rates, terminals) is not here; it is
// in the ledger, put there by shebaoctl.
type Config struct {
	// Region names the pooling region (统筹区) that this process serves: its
	// internal number, its six-digit area code, and what people call it.
	Region struct {
		Number  uint16 `yaml:"number"`
		Area    uint32 `yaml:"area"`
		Name    string `yaml:"name"`
		Hotline string `yaml:"hotline"`
		// IssuingAreas are the areas whose cards are served: the first two, four
		// or six digits of the area code on the card.
		IssuingAreas []string `yaml:"issuing_areas"`
	} `yaml:"region"`

	// Data is the directory of log and state. One process at a time.
	Data string `yaml:"data"`

	// Cluster names the nodes of the region when there are several.
	Cluster Cluster `yaml:"cluster"`
	// HSM is the Unix socket of the process started with -hsm.
	HSM struct {
		Socket string `yaml:"socket"`
	} `yaml:"hsm"`

	// Terminals is where terminals connect: HTTP/2 with mutual TLS 1.3. Cert and
	// Key are this node's, ClientCA signs the terminals.
	Terminals struct {
		Listen   string `yaml:"listen"`
		Cert     string `yaml:"cert"`
		Key      string `yaml:"key"`
		ClientCA string `yaml:"client_ca"`
		// PINFormat is the ISO 9564 format of the terminals' pads: "4" or "0".
		PINFormat string `yaml:"pin_format"`
	} `yaml:"terminals"`

	// Banks are the addresses of the bank hosts, several per bank in order of
	// preference, by profile code. A bank without an address is not linked.
	Banks map[string][]string `yaml:"banks"`

	// BankTLS are the banks whose hosts are reached by TLS, by profile code; the
	// others by plain TCP, which needs a private line.
	BankTLS map[string]BankTLS `yaml:"bank_tls"`

	// Counters are the addresses at which each bank reaches our ISO 8583 server.
	Counters map[string]string `yaml:"counters"`

	// CounterTLS are the banks whose counters reach us by TLS, by profile code.
	CounterTLS map[string]CounterTLS `yaml:"counter_tls"`

	// Operator is the Unix socket for shebaoctl, mode 0600.
	Operator struct {
		Socket string `yaml:"socket"`
	} `yaml:"operator"`

	// Admin serves /metrics, /live and /ready; loopback only.
	Admin struct {
		Listen string `yaml:"listen"`
	} `yaml:"admin"`

	// Limits of this machine, each with its unit in its name.
	Limits struct {
		// FreeSpaceMiB is what must be free on the data disk before anything
		// new is reserved.
		FreeSpaceMiB int `yaml:"free_space_mib"`
		// TerminalWaitSeconds is how long a terminal waits for the answer to a
		// payment; every bank's reply timer plus 15 s must fit in.
		TerminalWaitSeconds int `yaml:"terminal_wait_seconds"`
		// CheckpointSeconds is the longest time between two checkpoints.
		CheckpointSeconds int `yaml:"checkpoint_seconds"`
		// SegmentMiB is the size of one segment of the log.
		SegmentMiB int `yaml:"segment_mib"`
		// KeepSegments is how many whole segments stay beside the archive, for
		// nodes that were away.
		KeepSegments int `yaml:"keep_segments"`
	} `yaml:"limits"`

	// Timers override those of the bank profiles, for tests and the demo; they
	// are refused unless demo is true.
	Timers struct {
		ReplyMillis         int `yaml:"reply_ms"`
		ReversalReplyMillis int `yaml:"reversal_reply_ms"`
		RetryFirstMillis    int `yaml:"retry_first_ms"`
		RetryMostMillis     int `yaml:"retry_most_ms"`
		ReconnectMostMillis int `yaml:"reconnect_most_ms"`
		CardOutcomeMillis   int `yaml:"card_outcome_ms"`
	} `yaml:"timers"`

	// NullLedger names a folder of bank profiles (a folder each). The node then
	// answers every command OK, keeps no state and takes its profiles from there:
	// the yardstick that the load generator holds the ledger against. Refused
	// unless demo is true.
	NullLedger string `yaml:"null_ledger"`

	// Demo marks a system with simulated banks, cards and the software HSM.
	// Screens and receipts then say 演示/DEMO.
	Demo bool `yaml:"demo"`

	// LogLevel is debug, info, warn or error.
	LogLevel string `yaml:"log_level"`
}

// defaults are what a node gets whose file says nothing else.
func defaults() Config {
	var c Config
	c.Terminals.PINFormat = "4"
	c.Limits.FreeSpaceMiB = 1024
	c.Limits.TerminalWaitSeconds = 45
	c.Limits.CheckpointSeconds = 60
	c.Limits.SegmentMiB = 64
	c.Limits.KeepSegments = 4
	c.Cluster = clusterDefaults()
	c.LogLevel = "info"
	return c
}

// loadConfig reads and checks the node file. Every mistake is named, not only
// the first.
func loadConfig(path string) (Config, error) {
	f, err := os.Open(path) // #nosec G304 -- the operator names the file
	if err != nil {
		return Config{}, fmt.Errorf("config: %w", err)
	}
	defer func() { _ = f.Close() }()
	c, err := readConfig(f)
	if err != nil {
		return c, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

func readConfig(r io.Reader) (Config, error) {
	c := defaults()
	if err := decode(r, &c); err != nil {
		return c, err
	}
	return c, c.check()
}

// decode reads one YAML document into c and nothing else: a mistyped limit must
// not become no limit, and neither must one behind a second "---".
func decode(r io.Reader, c any) error {
	d := yaml.NewDecoder(r)
	d.KnownFields(true)
	if err := d.Decode(c); errors.Is(err, io.EOF) {
		return errors.New("config: the file is empty; deploy/ has commented examples")
	} else if err != nil {
		return fmt.Errorf("config: %w", err)
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return errors.New("config: one document is read, and more follows it")
	}
	return nil
}

// Bounds of the node file.
const (
	maxSocketPath = 107    // a Unix socket's name has 108 bytes with its end (unix(7))
	maxTimer      = 60_000 // ms: a demo that waits longer than any bank shows nothing
)

// mistakes collects what is wrong with a file, so that all of it is named at once.
type mistakes struct{ errs []error }

func (m *mistakes) bad(format string, args ...any) {
	m.errs = append(m.errs, fmt.Errorf("config: "+format, args...))
}

func (m *mistakes) need(name, value string) bool {
	if value == "" {
		m.bad("%s is missing", name)
	}
	return value != ""
}

func (m *mistakes) within(name string, v, least, most int) {
	if v < least || v > most {
		m.bad("%s: %d is outside %d to %d", name, v, least, most)
	}
}

func (m *mistakes) address(name, a string) {
	if _, port, err := net.SplitHostPort(a); err != nil || port == "" {
		m.bad("%s: %q is no host:port", name, a)
	}
}

func (m *mistakes) socket(name, path string) {
	if m.need(name, path) && len(path) > maxSocketPath {
		m.bad("%s: the path has %d bytes, a Unix socket's at most %d", name, len(path), maxSocketPath)
	}
}

// check names every mistake of the file.
func (c *Config) check() error {
	var m mistakes
	c.checkRegion(&m)
	for _, need := range []struct{ name, value string }{
		{"data", c.Data}, {"terminals.cert", c.Terminals.Cert}, {"terminals.key", c.Terminals.Key},
		{"terminals.client_ca", c.Terminals.ClientCA},
	} {
		m.need(need.name, need.value)
	}
	m.socket("hsm.socket", c.HSM.Socket)
	m.socket("operator.socket", c.Operator.Socket)
	if c.HSM.Socket != "" && c.HSM.Socket == c.Operator.Socket {
		m.bad("operator.socket: the same as hsm.socket")
	}
	c.checkAddresses(&m)
	if c.Terminals.PINFormat != "4" && c.Terminals.PINFormat != "0" {
		m.bad("terminals.pin_format: %q is neither 4 nor 0", c.Terminals.PINFormat)
	}
	m.within("limits.free_space_mib", c.Limits.FreeSpaceMiB, 64, 1<<20)
	m.within("limits.terminal_wait_seconds", c.Limits.TerminalWaitSeconds, 5, 120)
	m.within("limits.checkpoint_seconds", c.Limits.CheckpointSeconds, 1, 3600)
	m.within("limits.segment_mib", c.Limits.SegmentMiB, 1, 256)
	m.within("limits.keep_segments", c.Limits.KeepSegments, 1, 1000)
	c.Cluster.check(&m)
	c.checkDemo(&m)
	switch c.LogLevel {
	case "debug", "info", "warn", "error":
	default:
		m.bad("log_level: %q is none of debug, info, warn, error", c.LogLevel)
	}
	return errors.Join(m.errs...)
}

func (c *Config) checkRegion(m *mistakes) {
	if c.Region.Number == 0 || c.Region.Area < 100000 || c.Region.Area > 999999 {
		m.bad("region: number must not be 0 and area must have six digits")
	}
	m.need("region.name", c.Region.Name)
	m.need("region.hotline", c.Region.Hotline)
	if len(c.Region.IssuingAreas) == 0 {
		m.bad("region.issuing_areas: without one no card is served")
	}
	for _, a := range c.Region.IssuingAreas {
		if len(a) != 2 && len(a) != 4 && len(a) != 6 || strings.Trim(a, "0123456789") != "" {
			m.bad("region.issuing_areas: %q is not two, four or six digits in quotes", a)
		}
	}
}

// checkAddresses looks at where this node listens and whom it calls.
func (c *Config) checkAddresses(m *mistakes) {
	listens := map[string]string{"terminals.listen": c.Terminals.Listen, "admin.listen": c.Admin.Listen}
	for code, a := range c.Counters {
		listens["counters."+code] = a
	}
	taken := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(listens)) {
		a := listens[name]
		m.address(name, a)
		if other, twice := taken[a]; twice && a != "" {
			m.bad("%s: %s is taken by %s", name, a, other)
		}
		taken[a] = name
	}
	if host, _, err := net.SplitHostPort(c.Admin.Listen); err == nil && !isLoopback(host) {
		m.bad("admin.listen: %s is not loopback; the admin listener must not leave the machine", c.Admin.Listen)
	}
	for _, code := range slices.Sorted(maps.Keys(c.Banks)) {
		for _, a := range c.Banks[code] {
			m.address("banks."+code, a)
		}
	}
	c.checkBankTLS(m)
}

// checkDemo holds what belongs to demonstrations and tests alone.
func (c *Config) checkDemo(m *mistakes) {
	overrides := false
	for _, t := range []struct {
		name string
		ms   int
	}{
		{"reply_ms", c.Timers.ReplyMillis}, {"reversal_reply_ms", c.Timers.ReversalReplyMillis},
		{"retry_first_ms", c.Timers.RetryFirstMillis}, {"retry_most_ms", c.Timers.RetryMostMillis},
		{"reconnect_most_ms", c.Timers.ReconnectMostMillis}, {"card_outcome_ms", c.Timers.CardOutcomeMillis},
	} {
		m.within("timers."+t.name, t.ms, 0, maxTimer)
		overrides = overrides || t.ms != 0
	}
	if overrides && !c.Demo {
		m.bad("timers: only a demo may override the banks' timers")
	}
	if c.NullLedger != "" && !c.Demo {
		m.bad("null_ledger: only a demo may run without a ledger")
	}
	if c.NullLedger != "" && !c.Cluster.lone() {
		m.bad("null_ledger: a node without a ledger has no others")
	}
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// TerminalWait is how long a payment may keep its terminal waiting.
func (c *Config) TerminalWait() time.Duration {
	return time.Duration(c.Limits.TerminalWaitSeconds) * time.Second
}
