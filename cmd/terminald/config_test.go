package main

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

func example(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "deploy", "terminald.example.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// change replaces the one place where old stands.
func change(t *testing.T, file, old, new string) string {
	t.Helper()
	if n := strings.Count(file, old); n != 1 {
		t.Fatalf("the example has %d times %q, the test wants to change one", n, old)
	}
	return strings.Replace(file, old, new, 1)
}

// TestExample: the shipped example is sound, shows every setting, and says of
// those with a default that default.
func TestExample(t *testing.T) {
	file := example(t)
	got, err := readConfig(strings.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	d := defaults()
	if got.Kiosk.MMPerPixel != d.Kiosk.MMPerPixel || got.PINPad.Format != d.PINPad.Format || got.FreeSpaceMiB != d.FreeSpaceMiB || got.LogLevel != d.LogLevel {
		t.Errorf("the example's %+v differs from the program's own %+v", got, d)
	}
	var said map[string]any
	if err := yaml.Unmarshal([]byte(file), &said); err != nil {
		t.Fatal(err)
	}
	var walk func(at string, typ reflect.Type, said map[string]any)
	walk = func(at string, typ reflect.Type, said map[string]any) {
		for i := range typ.NumField() {
			key := typ.Field(i).Tag.Get("yaml")
			v, ok := said[key]
			if !ok {
				t.Errorf("the example does not show %s%s", at, key)
			}
			if typ.Field(i).Type.Kind() == reflect.Struct {
				below, _ := v.(map[string]any)
				walk(at+key+".", typ.Field(i).Type, below)
			}
		}
	}
	walk("", reflect.TypeOf(got), said)
	var printed bytes.Buffer
	if err := yaml.NewEncoder(&printed).Encode(got); err != nil {
		t.Fatal(err)
	}
	again, err := readConfig(&printed)
	if err != nil || !reflect.DeepEqual(again, got) {
		t.Errorf("what -print-config prints is read as %+v, %v, want %+v", again, err, got)
	}
}

func TestConfigMistakes(t *testing.T) {
	file := example(t)
	long := "/" + strings.Repeat("s", maxSocketPath-1) // at the bound
	demo := change(t, file, "demo: false", "demo: true")
	for _, e := range []struct{ file, old, new, says string }{
		{file, "log_level: info", "log_lvl: info", "field log_lvl not found"},
		{file, "  server_name: hub.example.org", "  name: hub.example.org", "field name not found"},
		{file, "  idle_ms: 0", "  idle: 0", "field idle not found"},
		{file, "log_level: info", "log_level: info\n---\ndemo: true", "more follows"},
		{file, "log_level: info", "log_level: none", `log_level: "none"`},
		{file, "log_level: info", "log_level: error", ""},

		{file, "terminal: 1\n", "terminal: 0\n", "terminal: number is missing"},
		{file, "terminal: 1\n", "terminal: 4294967295\n", ""},
		{file, "terminal: 1\n", "terminal: 4294967296\n", "line"},
		{file, "data: /var/lib/shebao-terminal", "data:", "data is missing"},
		{file, "  server_name: hub.example.org", "  server_name:", "hub.server_name is missing"},
		{file, "  ca: /etc/shebao/pki/hub-ca.pem", "  ca:", "hub.ca is missing"},
		{file, "  cert: /etc/shebao/pki/terminal-1.pem", "  cert:", "hub.cert is missing"},
		{file, "  key: /etc/shebao/pki/terminal-1.key", "  key:", "hub.key is missing"},
		{file, `["192.0.2.1:8710"]`, "[]", "hub.addresses: at least one"},
		{file, `["192.0.2.1:8710"]`, `["192.0.2.1"]`, "hub.addresses:"},
		{file, "  token_file: /run/shebao-terminal/kiosk.token", "  token_file:", "kiosk.token_file is missing"},

		{file, "  listen: 127.0.0.1:8701", "  listen: 0.0.0.0:8701", "kiosk.listen: 0.0.0.0:8701 is not a loopback"},
		{file, "  listen: 127.0.0.1:8701", "  listen: '[::1]:8701'", ""},
		{file, "  listen: 127.0.0.1:8712", "  listen: 192.0.2.9:8712", "admin.listen: 192.0.2.9:8712 is not a loopback"},
		{file, "  listen: 127.0.0.1:8712", "  listen: '127.0.0.1:'", "admin.listen:"},
		{file, "  listen: 127.0.0.1:8712", "  listen: 127.0.0.1:8701", "admin.listen: 127.0.0.1:8701 is taken by kiosk.listen"},
		{file, `frame_ancestors: ""`, "frame_ancestors: http://127.0.0.1:8702", "kiosk.frame_ancestors: only a demo"},
		{demo, `frame_ancestors: ""`, "frame_ancestors: http://127.0.0.1:8702", ""},
		{file, `mm_per_px: "0.248"`, `mm_per_px: "0.049"`, "kiosk.mm_per_px"},
		{file, `mm_per_px: "0.248"`, `mm_per_px: "0.05"`, ""},
		{file, `mm_per_px: "0.248"`, `mm_per_px: "1"`, ""},
		{file, `mm_per_px: "0.248"`, `mm_per_px: "1.01"`, "kiosk.mm_per_px"},
		{file, `mm_per_px: "0.248"`, `mm_per_px: "NaN"`, "kiosk.mm_per_px"},

		{file, `  name: "ACS ACR38U"`, "  name:", "reader.name is missing"},
		{file, "  socket: \"\"", "  socket: " + long, ""},
		{file, "  socket: \"\"", "  socket: " + long + "s", "reader.socket: the path has 108 bytes"},
		{file, "  socket: /run/shebao-pad/pad.sock", "  socket:", "pin_pad.socket is missing"},
		{file, "  socket: /run/shebao-pad/pad.sock", "  socket: " + long + "s", "pin_pad.socket: the path has 108 bytes"},
		{file, `format: "4"`, `format: "0"`, ""},
		{file, `format: "4"`, `format: "3"`, `pin_pad.format: "3"`},
		{file, "  address: tcp:127.0.0.1:9100", "  address:", "printer.address is missing"},
		{file, "  address: tcp:127.0.0.1:9100", "  address: /dev/usb/lp0", "printer.address:"},
		{file, "  address: tcp:127.0.0.1:9100", "  address: tcp:printer", "printer.address:"},
		{file, "  address: tcp:127.0.0.1:9100", "  address: 'unix:'", "printer.address:"},
		{file, "  address: tcp:127.0.0.1:9100", "  address: 'unix:" + long + "'", ""},
		{file, "  address: tcp:127.0.0.1:9100", "  address: 'unix:" + long + "s'", "printer.address: the path has 108 bytes"},

		{file, "  idle_ms: 0", "  idle_ms: -1", "times.idle_ms: -1 is outside 0 to 600000"},
		{file, "  idle_ms: 0", "  idle_ms: 120000", ""},
		{file, "  idle_ms: 0", "  idle_ms: 120001", "idle_large must not be shorter than idle"},
		{file, "  warning_ms: 0", "  warning_ms: 20000", ""},
		{file, "  warning_ms: 0", "  warning_ms: 19999", "warning must be at least 20s"},
		{file, "  pay_ms: 0", "  pay_ms: 35000", ""},
		{file, "  pay_ms: 0", "  pay_ms: 34999", "hub_pay must be at least the bank deadline"},
		{file, "  query_ms: 0", "  query_ms: 600000", ""},
		{file, "  query_ms: 0", "  query_ms: 600001", "times.query_ms: 600001 is outside 0 to 600000"},
		{file, "  result_ms: 0", "  result_ms: 600001", "times.result_ms"},
		{file, "  take_card_ms: 0", "  take_card_ms: 5001", ""},
		{file, "  take_card_ms: 0", "  take_card_ms: 5000", "alarm must come before take_card ends"},
		{file, "  heartbeat_ms: 0", "  heartbeat_ms: 600001", "times.heartbeat_ms"},
		{file, "  unresolved_ms: 0", "  unresolved_ms: 60000", ""},
		{file, "  unresolved_ms: 0", "  unresolved_ms: 60001", "ask_first must not be longer than ask_most"},

		{file, "free_space_mib: 64", "free_space_mib: 0", "free_space_mib: 0 is outside 1 to 1048576"},
		{file, "free_space_mib: 64", "free_space_mib: 1", ""},
		{file, "free_space_mib: 64", "free_space_mib: 1048576", ""},
		{file, "free_space_mib: 64", "free_space_mib: 1048577", "free_space_mib: 1048577"},
	} {
		_, err := readConfig(strings.NewReader(change(t, e.file, e.old, e.new)))
		switch {
		case e.says == "" && err != nil:
			t.Errorf("%q: refused: %v", e.new, err)
		case e.says != "" && (err == nil || !strings.Contains(err.Error(), e.says)):
			t.Errorf("%q: got %v, want %q", e.new, err, e.says)
		}
	}
}

// TestConfigMistakesTogether: who mends a file wants the whole list.
func TestConfigMistakesTogether(t *testing.T) {
	_, err := readConfig(strings.NewReader("log_level: loud\n"))
	for _, want := range []string{"terminal:", "data is missing", "hub.addresses", "kiosk.listen", "printer.address", "log_level"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q among the mistakes", err, want)
		}
	}
	if _, err := readConfig(strings.NewReader("")); err == nil || !strings.Contains(err.Error(), "empty") {
		t.Errorf("an empty file: %v", err)
	}
}

// FuzzReadConfig: no file stops the program but with an error, and none opens
// the citizen's page to the network.
func FuzzReadConfig(f *testing.F) {
	for _, s := range []string{example(f), "a: &a [*a]", "kiosk: 3", "{", "---\n---\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := readConfig(io.LimitReader(bytes.NewReader(b), 1<<16))
		if err != nil {
			return
		}
		host, _, err := net.SplitHostPort(c.Kiosk.Listen)
		if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
			t.Errorf("taken: a page at %q", c.Kiosk.Listen)
		}
	})
}
