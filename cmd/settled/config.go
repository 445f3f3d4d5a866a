package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sort"
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
		// IssuingAreas are the areas whose cards are served, six digits each.
		IssuingAreas []string `yaml:"issuing_areas"`
	} `yaml:"region"`

	// Data is the directory of log and state. One process at a time.
	Data string `yaml:"data"`

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

	// Counters are the addresses at which each bank reaches our ISO 8583 server.
	Counters map[string]string `yaml:"counters"`

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
	} `yaml:"limits"`

	// Timers override those of the bank profiles, for tests and the demo; they
	// are refused unless demo is true.
	Timers struct {
		ReplyMillis         int `yaml:"reply_ms"`
		ReversalReplyMillis int `yaml:"reversal_reply_ms"`
		RetryFirstMillis    int `yaml:"retry_first_ms"`
		CardOutcomeMillis   int `yaml:"card_outcome_ms"`
	} `yaml:"timers"`

	// NullLedger answers every command OK and keeps no state: the yardstick of
	// the load generator. Refused unless demo is true.
	NullLedger bool `yaml:"null_ledger"`

	// Demo marks a system with simulated banks, cards and the software HSM.
	// Screens and receipts then say 演示/DEMO.
	Demo bool `yaml:"demo"`

	// LogLevel is debug, info, warn or error.
	LogLevel string `yaml:"log_level"`
}

// defaults are the limits of 01: what a node gets that says nothing else.
func defaults() Config {
	var c Config
	c.Terminals.PINFormat = "4"
	c.Limits.FreeSpaceMiB = 1024
	c.Limits.TerminalWaitSeconds = 45
	c.Limits.CheckpointSeconds = 60
	c.Limits.SegmentMiB = 64
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
	return readConfig(f)
}

func readConfig(r io.Reader) (Config, error) {
	c := defaults()
	d := yaml.NewDecoder(r)
	d.KnownFields(true) // a mistyped limit must not become no limit
	if err := d.Decode(&c); err != nil {
		return c, fmt.Errorf("config: %w", err)
	}
	return c, c.check()
}

func (c *Config) check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("config: "+format, args...)) }
	if c.Region.Number == 0 || c.Region.Area < 100000 || c.Region.Area > 999999 {
		bad("region: number must not be 0 and area must have six digits")
	}
	for _, need := range []struct{ name, value string }{
		{"data", c.Data}, {"hsm.socket", c.HSM.Socket}, {"operator.socket", c.Operator.Socket},
		{"terminals.cert", c.Terminals.Cert}, {"terminals.key", c.Terminals.Key}, {"terminals.client_ca", c.Terminals.ClientCA},
	} {
		if need.value == "" {
			bad("%s is missing", need.name)
		}
	}
	listens := map[string]string{"terminals.listen": c.Terminals.Listen, "admin.listen": c.Admin.Listen}
	for code, a := range c.Counters {
		listens["counters."+code] = a
	}
	names := make([]string, 0, len(listens))
	for name := range listens {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if _, _, err := net.SplitHostPort(listens[name]); err != nil {
			bad("%s: %q is no host:port", name, listens[name])
		}
	}
	if host, _, err := net.SplitHostPort(c.Admin.Listen); err == nil && !isLoopback(host) {
		bad("admin.listen: %s is not loopback; the admin listener must not leave the machine", c.Admin.Listen)
	}
	if c.Terminals.PINFormat != "4" && c.Terminals.PINFormat != "0" {
		bad("terminals.pin_format: %q is neither 4 nor 0", c.Terminals.PINFormat)
	}
	within := func(name string, v, least, most int) {
		if v < least || v > most {
			bad("limits.%s: %d is outside %d to %d", name, v, least, most)
		}
	}
	within("free_space_mib", c.Limits.FreeSpaceMiB, 64, 1<<20)
	within("terminal_wait_seconds", c.Limits.TerminalWaitSeconds, 5, 120)
	within("checkpoint_seconds", c.Limits.CheckpointSeconds, 1, 3600)
	within("segment_mib", c.Limits.SegmentMiB, 1, 1024)
	if !c.Demo && (c.Timers.ReplyMillis != 0 || c.Timers.ReversalReplyMillis != 0 || c.Timers.RetryFirstMillis != 0 || c.Timers.CardOutcomeMillis != 0) {
		bad("timers: only a demo may override the banks' timers")
	}
	if !c.Demo && c.NullLedger {
		bad("null_ledger: only a demo may run without a ledger")
	}
	switch c.LogLevel {
	case "debug", "info", "warn", "error":
	default:
		bad("log_level: %q is none of debug, info, warn, error", c.LogLevel)
	}
	return errors.Join(errs...)
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// TerminalWait is how long a payment may keep its terminal waiting.
func (c *Config) TerminalWait() time.Duration {
	return time.Duration(c.Limits.TerminalWaitSeconds) * time.Second
}
