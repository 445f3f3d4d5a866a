package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
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
	return readConfig(f)
}

func readConfig(r io.Reader) (Config, error) {
	c := defaults()
	d := yaml.NewDecoder(r)
	d.KnownFields(true)
	if err := d.Decode(&c); err != nil {
		return c, fmt.Errorf("config: %w", err)
	}
	return c, c.check()
}

func (c *Config) check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("config: "+format, args...)) }
	if c.Terminal == 0 {
		bad("terminal: number is missing")
	}
	for _, need := range []struct{ name, value string }{
		{"data", c.Data}, {"hub.server_name", c.Hub.ServerName}, {"hub.ca", c.Hub.CA}, {"hub.cert", c.Hub.Cert},
		{"hub.key", c.Hub.Key}, {"kiosk.token_file", c.Kiosk.TokenFile}, {"pin_pad.socket", c.PINPad.Socket},
		{"printer.address", c.Printer.Address},
	} {
		if need.value == "" {
			bad("%s is missing", need.name)
		}
	}
	if len(c.Hub.Addresses) == 0 {
		bad("hub.addresses: at least one node is needed")
	}
	for _, a := range c.Hub.Addresses {
		if _, _, err := net.SplitHostPort(a); err != nil {
			bad("hub.addresses: %q is no host:port", a)
		}
	}
	for _, l := range []struct{ name, addr string }{{"kiosk.listen", c.Kiosk.Listen}, {"admin.listen", c.Admin.Listen}} {
		host, _, err := net.SplitHostPort(l.addr)
		if err != nil {
			bad("%s: %q is no host:port", l.name, l.addr)
		} else if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
			bad("%s: %s is not a loopback address", l.name, l.addr)
		}
	}
	if c.Kiosk.FrameAncestors != "" && !c.Demo {
		bad("kiosk.frame_ancestors: only a demo may be framed")
	}
	if mm, err := strconv.ParseFloat(c.Kiosk.MMPerPixel, 64); err != nil || mm < 0.05 || mm > 1 {
		bad("kiosk.mm_per_px: %q is outside 0.05 to 1", c.Kiosk.MMPerPixel)
	}
	for _, t := range []struct {
		name string
		ms   int
	}{{"idle_ms", c.Times.IdleMillis}, {"warning_ms", c.Times.WarningMillis}, {"pay_ms", c.Times.PayMillis}, {"query_ms", c.Times.QueryMillis},
		{"result_ms", c.Times.ResultMillis}, {"take_card_ms", c.Times.TakeCardMillis}, {"heartbeat_ms", c.Times.HeartbeatMillis}, {"unresolved_ms", c.Times.UnresolvedMillis}} {
		if t.ms < 0 || t.ms > 600_000 {
			bad("times.%s: %d is outside 0 to 600000", t.name, t.ms)
		}
	}
	if c.PINPad.Format != "4" && c.PINPad.Format != "0" {
		bad("pin_pad.format: %q is neither 4 nor 0", c.PINPad.Format)
	}
	if c.FreeSpaceMiB < 1 || c.FreeSpaceMiB > 1<<20 {
		bad("free_space_mib: %d is outside 1 to 1048576", c.FreeSpaceMiB)
	}
	switch c.LogLevel {
	case "debug", "info", "warn", "error":
	default:
		bad("log_level: %q is none of debug, info, warn, error", c.LogLevel)
	}
	return errors.Join(errs...)
}

// millis turns a setting into a duration, or keeps the default.
func millis(ms int, standard time.Duration) time.Duration {
	if ms == 0 {
		return standard
	}
	return time.Duration(ms) * time.Millisecond
}
