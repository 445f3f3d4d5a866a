package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// Config is the node file of terminald: the devices and addresses of one
// kiosk. What banks and areas are served comes from the hub at the heartbeat.
type Config struct {
	// Terminal is this terminal's number; its certificate says the same.
	Terminal uint32 `yaml:"terminal"`

	// Data is the directory of the journal and the payment intents.
	Data string `yaml:"data"`

	// Hub lists the addresses of all hub nodes (host:port); ServerName is the
	// name in their certificates, CA the pinned root, Cert and Key our own.
	Hub struct {
		Addresses  []string `yaml:"addresses"`
		ServerName string   `yaml:"server_name"`
		CA         string   `yaml:"ca"`
		Cert       string   `yaml:"cert"`
		Key        string   `yaml:"key"`
	} `yaml:"hub"`

	// Kiosk is the page's own listener, loopback only. Token lets the browser
	// in once per start; it is a file that this program writes. FrameAncestors
	// may be set in a demo alone, for the hardware panel.
	Kiosk struct {
		Listen         string `yaml:"listen"`
		TokenFile      string `yaml:"token_file"`
		FrameAncestors string `yaml:"frame_ancestors"`
		MMPerPixel     string `yaml:"mm_per_px"` // as measured, such as 0.248
	} `yaml:"kiosk"`

	// Reader is the card reader: part of its PC/SC name, and the socket of the
	// card service (empty: the system's own).
	Reader struct {
		Name   string `yaml:"name"`
		Socket string `yaml:"socket"`
	} `yaml:"reader"`

	// PINPad is the socket of the encrypting PIN pad's driver.
	// Format is its ISO 9564 format, "4" (AES) or "0" (3DES).
	PINPad struct {
		Socket string `yaml:"socket"`
		Format string `yaml:"format"`
	} `yaml:"pin_pad"`

	// Printer is the receipt printer: unix:PATH or tcp:HOST:PORT.
	Printer struct {
		Address string `yaml:"address"`
	} `yaml:"printer"`

	// Admin serves /live, /ready and /metrics; loopback only.
	Admin struct {
		Listen string `yaml:"listen"`
	} `yaml:"admin"`

	// Times override the screen times of docs/spec/terminal-session.md, in
	// milliseconds; 0 keeps the default.
	Times struct {
		IdleMillis       int `yaml:"idle_ms"`
		WarningMillis    int `yaml:"warning_ms"`
		PayMillis        int `yaml:"pay_ms"`
		QueryMillis      int `yaml:"query_ms"`
		ResultMillis     int `yaml:"result_ms"`
		TakeCardMillis   int `yaml:"take_card_ms"`
		HeartbeatMillis  int `yaml:"heartbeat_ms"`
		UnresolvedMillis int `yaml:"unresolved_ms"` // between two questions about a pending payment
	} `yaml:"times"`

	// FreeSpaceMiB is what must be free on the data disk before a payment.
	FreeSpaceMiB int `yaml:"free_space_mib"`

	// Demo paints 演示/DEMO on every page and paper.
	Demo bool `yaml:"demo"`

	// LogLevel is debug, info, warn or error.
	LogLevel string `yaml:"log_level"`
}

func defaults() Config {
	var c Config
	c.Kiosk.MMPerPixel = "0.248"
	c.PINPad.Format = "4"
	c.FreeSpaceMiB = 64
	c.LogLevel = "info"
	return c
}

// loadConfig reads and checks the node file. Every mistake is named.
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
		return errors.New("config: the file is empty; deploy/ has a commented example")
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
	maxSocketPath = 107     // a Unix socket's name has 108 bytes with its end (unix(7))
	maxMillis     = 600_000 // flow.LongestTime: a mistyped unit must not switch a time-out off
	maxFreeMiB    = 1 << 20 // a tebibyte is a mistyped unit
	leastMM       = 0.05    // mm per pixel: finer than any display
	mostMM        = 1       // coarser than any kiosk's
)

// mistakes collects what is wrong with the file, so that all of it is named at once.
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

func (m *mistakes) socket(name, path string) {
	if len(path) > maxSocketPath {
		m.bad("%s: the path has %d bytes, a Unix socket's at most %d", name, len(path), maxSocketPath)
	}
}

// check names every mistake of the file.
func (c *Config) check() error {
	var m mistakes
	if c.Terminal == 0 {
		m.bad("terminal: number is missing")
	}
	for _, need := range []struct{ name, value string }{
		{"data", c.Data}, {"hub.server_name", c.Hub.ServerName}, {"hub.ca", c.Hub.CA}, {"hub.cert", c.Hub.Cert},
		{"hub.key", c.Hub.Key}, {"kiosk.token_file", c.Kiosk.TokenFile}, {"reader.name", c.Reader.Name},
		{"pin_pad.socket", c.PINPad.Socket},
	} {
		m.need(need.name, need.value)
	}
	m.socket("reader.socket", c.Reader.Socket)
	m.socket("pin_pad.socket", c.PINPad.Socket)
	if c.PINPad.Format != "4" && c.PINPad.Format != "0" {
		m.bad("pin_pad.format: %q is neither 4 nor 0", c.PINPad.Format)
	}
	c.checkAddresses(&m)
	c.checkPrinter(&m)
	if c.Kiosk.FrameAncestors != "" && !c.Demo {
		m.bad("kiosk.frame_ancestors: only a demo may be framed")
	}
	if mm, err := strconv.ParseFloat(c.Kiosk.MMPerPixel, 64); err != nil || !(mm >= leastMM && mm <= mostMM) {
		m.bad("kiosk.mm_per_px: %q is outside %v to %v", c.Kiosk.MMPerPixel, leastMM, mostMM)
	}
	c.checkTimes(&m)
	if c.FreeSpaceMiB < 1 || c.FreeSpaceMiB > maxFreeMiB {
		m.bad("free_space_mib: %d is outside 1 to %d", c.FreeSpaceMiB, maxFreeMiB)
	}
	switch c.LogLevel {
	case "debug", "info", "warn", "error":
	default:
		m.bad("log_level: %q is none of debug, info, warn, error", c.LogLevel)
	}
	return errors.Join(m.errs...)
}

func (c *Config) checkAddresses(m *mistakes) {
	if len(c.Hub.Addresses) == 0 {
		m.bad("hub.addresses: at least one node is needed")
	}
	for _, a := range c.Hub.Addresses {
		if !hostPort(a) {
			m.bad("hub.addresses: %q is no host:port", a)
		}
	}
	for _, l := range []struct{ name, addr string }{{"kiosk.listen", c.Kiosk.Listen}, {"admin.listen", c.Admin.Listen}} {
		if !hostPort(l.addr) {
			m.bad("%s: %q is no host:port", l.name, l.addr)
			continue
		}
		host, _, _ := net.SplitHostPort(l.addr)
		if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
			m.bad("%s: %s is not a loopback address", l.name, l.addr)
		}
	}
	if c.Kiosk.Listen != "" && c.Kiosk.Listen == c.Admin.Listen {
		m.bad("admin.listen: %s is taken by kiosk.listen", c.Admin.Listen)
	}
}

func (c *Config) checkPrinter(m *mistakes) {
	if !m.need("printer.address", c.Printer.Address) {
		return
	}
	network, address, _ := strings.Cut(c.Printer.Address, ":")
	switch {
	case network == "unix" && address != "":
		m.socket("printer.address", address)
	case network == "tcp" && hostPort(address):
	default:
		m.bad("printer.address: %q is neither unix:PATH nor tcp:HOST:PORT", c.Printer.Address)
	}
}

// checkTimes holds each time within its bound, and all of them together against
// the rules of the screens.
func (c *Config) checkTimes(m *mistakes) {
	before := len(m.errs)
	for _, t := range []struct {
		name string
		ms   int
	}{
		{"idle_ms", c.Times.IdleMillis}, {"warning_ms", c.Times.WarningMillis}, {"pay_ms", c.Times.PayMillis},
		{"query_ms", c.Times.QueryMillis}, {"result_ms", c.Times.ResultMillis}, {"take_card_ms", c.Times.TakeCardMillis},
		{"heartbeat_ms", c.Times.HeartbeatMillis}, {"unresolved_ms", c.Times.UnresolvedMillis},
	} {
		if t.ms < 0 || t.ms > maxMillis {
			m.bad("times.%s: %d is outside 0 to %d", t.name, t.ms, maxMillis)
		}
	}
	if len(m.errs) > before {
		return
	}
	if err := c.times().Validate(); err != nil {
		m.bad("times: %w", err)
	}
}

func hostPort(a string) bool {
	_, port, err := net.SplitHostPort(a)
	return err == nil && port != ""
}

// millis turns a setting into a duration, or keeps the default.
func millis(ms int, standard time.Duration) time.Duration {
	if ms == 0 {
		return standard
	}
	return time.Duration(ms) * time.Millisecond
}
