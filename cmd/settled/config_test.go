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

// example reads a shipped node file.
func example(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "deploy", name))
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

// edit is one change of the example and what the program says about it; empty is
// no objection.
type edit struct{ old, new, says string }

func tryEdits(t *testing.T, file string, read func(io.Reader) error, edits []edit) {
	t.Helper()
	for _, e := range edits {
		err := read(strings.NewReader(change(t, file, e.old, e.new)))
		switch {
		case e.says == "" && err != nil:
			t.Errorf("%q: refused: %v", e.new, err)
		case e.says != "" && (err == nil || !strings.Contains(err.Error(), e.says)):
			t.Errorf("%q: got %v, want %q", e.new, err, e.says)
		}
	}
}

// TestExample: the shipped example is sound, says every setting there is, and
// says of those with a default that default.
func TestExample(t *testing.T) {
	file := example(t, "settled.example.yaml")
	got, err := readConfig(strings.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	if got.Limits != defaults().Limits || got.Terminals.PINFormat != defaults().Terminals.PINFormat || got.LogLevel != defaults().LogLevel {
		t.Errorf("limits %+v, PIN format %s, level %s; the program's own are %+v", got.Limits, got.Terminals.PINFormat, got.LogLevel, defaults())
	}
	complete(t, file, Config{})
	var printed bytes.Buffer
	if err := yaml.NewEncoder(&printed).Encode(got); err != nil {
		t.Fatal(err)
	}
	again, err := readConfig(&printed)
	if err != nil || !reflect.DeepEqual(again, got) {
		t.Errorf("what -print-config prints is read as %+v, %v, want %+v", again, err, got)
	}
}

// complete checks that file has each key that c knows.
func complete(t *testing.T, file string, c any) {
	t.Helper()
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
				continue
			}
			if typ.Field(i).Type.Kind() == reflect.Struct {
				below, _ := v.(map[string]any)
				walk(at+key+".", typ.Field(i).Type, below)
			}
		}
	}
	walk("", reflect.TypeOf(c), said)
}

func TestConfigMistakes(t *testing.T) {
	read := func(r io.Reader) error { _, err := readConfig(r); return err }
	file := example(t, "settled.example.yaml")
	long := "/" + strings.Repeat("s", maxSocketPath-1) // at the bound
	tryEdits(t, file, read, []edit{
		{"log_level: info", "log_lvl: info", "line"}, // unknown, at every depth
		{"  number: 1", "  nummer: 1", "field nummer not found"},
		{"  free_space_mib: 1024", "  free_space: 1024", "field free_space not found"},
		{"  reply_ms: 0\n  rev", "  reply: 0\n  rev", "field reply not found"},
		{"log_level: info", "log_level: loud", `log_level: "loud"`},
		{"    server_name: host.ccb.example\n", "", "bank_tls.ccb.server_name is missing"},
		{"    key: /etc/shebao/pki/hub-at-ccb.key\n", "", "bank_tls.ccb: cert and key belong together"},
		{"bank_tls:\n  ccb:", "bank_tls:\n  boc:", "bank_tls.boc: the bank is not in banks"},
		{"    client_ca: /etc/shebao/pki/ccb-counters-ca.pem\n", "", "counter_tls.ccb.client_ca is missing"},
		{"counter_tls:\n  ccb:", "counter_tls:\n  boc:", "counter_tls.boc: the bank is not in counters"},
		{"log_level: info", "log_level: debug", ""},
		{"log_level: info", "log_level: info\n---\ndemo: true", "more follows"},

		{"  number: 1", "  number: 0", "region: number"},
		{"  area: 330110", "  area: 99999", "region:"},
		{"  area: 330110", "  area: 999999", ""},
		{"  area: 330110", "  area: 1000000", "region:"},
		{"  name: 示例区", "  name: ''", "region.name is missing"},
		{`  hotline: "0571-12333"`, "  hotline:", "region.hotline is missing"},
		{`["3301"]`, "[]", "region.issuing_areas"},
		{`["3301"]`, `["33011"]`, `region.issuing_areas: "33011"`},
		{`["3301"]`, `["33", "3301", "330110"]`, ""},
		{`["3301"]`, `["33a1"]`, `region.issuing_areas: "33a1"`},

		{"data: /var/lib/shebao/hub", "data:", "data is missing"},
		{"socket: /run/shebao-hsm/hsm.sock", "socket: ''", "hsm.socket is missing"},
		{"socket: /run/shebao-hsm/hsm.sock", "socket: " + long, ""},
		{"socket: /run/shebao-hsm/hsm.sock", "socket: " + long + "s", "hsm.socket: the path has 108 bytes"},
		{"socket: /run/shebao/operator.sock", "socket: ''", "operator.socket is missing"},
		{"socket: /run/shebao/operator.sock", "socket: " + long + "s", "operator.socket: the path has 108 bytes"},
		{"socket: /run/shebao/operator.sock", "socket: /run/shebao-hsm/hsm.sock", "operator.socket: the same as hsm.socket"},
		{"  cert: /etc/shebao/pki/hub.pem", "  cert: ''", "terminals.cert is missing"},
		{"  key: /etc/shebao/pki/hub.key", "  key: ''", "terminals.key is missing"},
		{"  client_ca: /etc/shebao/pki/terminals-ca.pem", "  client_ca: ''", "terminals.client_ca is missing"},
		{`  pin_format: "4"`, `  pin_format: "0"`, ""},
		{`  pin_format: "4"`, `  pin_format: "1"`, "terminals.pin_format"},

		{"  listen: 0.0.0.0:8710", "  listen: '8710'", "terminals.listen:"},
		{"  listen: 0.0.0.0:8710", "  listen: '0.0.0.0:'", "terminals.listen:"},
		{"  listen: 127.0.0.1:8711", "  listen: 0.0.0.0:8711", "admin.listen: 0.0.0.0:8711 is not loopback"},
		{"  listen: 127.0.0.1:8711", "  listen: '[::1]:8711'", ""},
		{"  listen: 0.0.0.0:8710", "  listen: 127.0.0.1:8711", "terminals.listen: 127.0.0.1:8711 is taken by admin.listen"},
		{"  ccb: 192.0.2.1:8732", "  ccb: 192.0.2.1:8731", "counters.rcb: 192.0.2.1:8731 is taken by counters.ccb"},
		{"  ccb: 192.0.2.1:8732", "  ccb: 192.0.2.1", "counters.ccb:"},
		{`  ccb: ["192.0.2.21:8723"]`, `  ccb: ["192.0.2.21"]`, "banks.ccb:"},
		{`  ccb: ["192.0.2.21:8723"]`, `  ccb: []`, ""},

		{"free_space_mib: 1024", "free_space_mib: 63", "limits.free_space_mib: 63 is outside 64 to 1048576"},
		{"free_space_mib: 1024", "free_space_mib: 64", ""},
		{"free_space_mib: 1024", "free_space_mib: 1048576", ""},
		{"free_space_mib: 1024", "free_space_mib: 1048577", "limits.free_space_mib"},
		{"terminal_wait_seconds: 45", "terminal_wait_seconds: 4", "limits.terminal_wait_seconds"},
		{"terminal_wait_seconds: 45", "terminal_wait_seconds: 5", ""},
		{"terminal_wait_seconds: 45", "terminal_wait_seconds: 120", ""},
		{"terminal_wait_seconds: 45", "terminal_wait_seconds: 121", "limits.terminal_wait_seconds"},
		{"checkpoint_seconds: 60", "checkpoint_seconds: 0", "limits.checkpoint_seconds"},
		{"checkpoint_seconds: 60", "checkpoint_seconds: 1", ""},
		{"checkpoint_seconds: 60", "checkpoint_seconds: 3600", ""},
		{"checkpoint_seconds: 60", "checkpoint_seconds: 3601", "limits.checkpoint_seconds"},
		{"segment_mib: 64", "segment_mib: 0", "limits.segment_mib"},
		{"segment_mib: 64", "segment_mib: 1", ""},
		{"segment_mib: 64", "segment_mib: 256", ""},
		{"segment_mib: 64", "segment_mib: 257", "limits.segment_mib"},
		{"keep_segments: 4", "keep_segments: 0", "limits.keep_segments"},
		{"keep_segments: 4", "keep_segments: 1", ""},
		{"keep_segments: 4", "keep_segments: 1000", ""},
		{"keep_segments: 4", "keep_segments: 1001", "limits.keep_segments"},
		{"segment_mib: 64", "segment_mib: many", "line"},

		{"  reply_ms: 0\n  rev", "  reply_ms: 1\n  rev", "timers: only a demo"},
		{"reversal_reply_ms: 0", "reversal_reply_ms: 1", "timers: only a demo"},
		{"retry_first_ms: 0", "retry_first_ms: 1", "timers: only a demo"},
		{"card_outcome_ms: 0", "card_outcome_ms: 1", "timers: only a demo"},
		{"card_outcome_ms: 0", "card_outcome_ms: -1", "timers.card_outcome_ms: -1 is outside"},
		{`null_ledger: ""`, "null_ledger: banks", "null_ledger: only a demo"},
	})
	demo := change(t, file, "demo: false", "demo: true")
	tryEdits(t, demo, read, []edit{
		{`null_ledger: ""`, "null_ledger: banks", ""},
		{"  reply_ms: 0\n  rev", "  reply_ms: 60000\n  rev", ""},
		{"  reply_ms: 0\n  rev", "  reply_ms: 60001\n  rev", "timers.reply_ms: 60001 is outside 0 to 60000"},
	})
	if err := read(strings.NewReader("")); err == nil || !strings.Contains(err.Error(), "empty") {
		t.Errorf("an empty file: %v", err)
	}
}

// TestConfigMistakesTogether: who mends a file wants the whole list.
func TestConfigMistakesTogether(t *testing.T) {
	_, err := readConfig(strings.NewReader("region: {number: 1}\nlog_level: loud\n"))
	for _, want := range []string{"region:", "data is missing", "hsm.socket is missing", "terminals.listen", "log_level"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q among the mistakes", err, want)
		}
	}
}

func TestHSMConfig(t *testing.T) {
	read := func(r io.Reader) error { _, err := readHSMConfig(r); return err }
	file := example(t, "hsm.example.yaml")
	if err := read(strings.NewReader(file)); err != nil {
		t.Fatal(err)
	}
	complete(t, file, HSMConfig{})
	long := "/" + strings.Repeat("s", maxSocketPath-1)
	tryEdits(t, file, read, []edit{
		{"demo: true", "demo: false", "a real installation needs a payment HSM"},
		{"demo: true", "", "a real installation needs a payment HSM"},
		{"demo: true", "demo: true\npin: 1", "field pin not found"},
		{"socket: /run/shebao-hsm/hsm.sock", "socket: " + long, ""},
		{"socket: /run/shebao-hsm/hsm.sock", "socket: " + long + "s", "socket: the path has 108 bytes"},
		{"socket: /run/shebao-hsm/hsm.sock", "", "socket is missing"},
		{"key_store: /var/lib/shebao-hsm/keystore", "", "key_store is missing"},
		{"passphrase_file: /run/credentials/shebao-hsm.service/passphrase", "", "passphrase_file is missing"},
		{"uids: [990]", "uids: [-1]", "line"},
		{"uids: [990]", "uids: []", ""},
		{"pin_per_second: 0", "pin_per_second: 30000", ""},
		{"pin_per_second: 0", "pin_per_second: 30001", "pin_per_second: 30001 is outside 0 to 30000"},
		{"pin_per_terminal_second: 0", "pin_per_terminal_second: -1", "pin_per_terminal_second: -1"},
	})
}

// FuzzReadConfig: no file stops the program but with an error.
func FuzzReadConfig(f *testing.F) {
	for _, s := range []string{example(f, "settled.example.yaml"), example(f, "hsm.example.yaml"), "a: &a [*a]", "region: 3", "{", "---\n---\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := readConfig(bytes.NewReader(b)); err == nil {
			if host, _, err := net.SplitHostPort(c.Admin.Listen); err != nil || !isLoopback(host) || c.Data == "" {
				t.Errorf("taken: %+v", c)
			}
		}
		_, _ = readHSMConfig(bytes.NewReader(b)) // it only has to return
	})
}

// TestClusterMistakes makes the example one of three nodes and then mistakes in it.
func TestClusterMistakes(t *testing.T) {
	read := func(r io.Reader) error { _, err := readConfig(r); return err }
	lone := example(t, "settled.example.yaml")
	tryEdits(t, lone, read, []edit{
		{`  node: ""`, "  node: node-1", "cluster.nodes: the section names no nodes"},
		{`  nodes: {}`, `  nodes: {node-1: {log: "192.0.2.1:8740", terminals: "192.0.2.1:8710"}}`, `cluster.node: "" is none of cluster.nodes`},
	})
	file := change(t, lone, `  nodes: {}
  # This`, `  nodes:
    node-1: {log: "192.0.2.1:8740", terminals: "192.0.2.1:8710"}
    node-2: {log: "192.0.2.2:8740", terminals: "192.0.2.2:8710"}
    n3: {log: "192.0.2.33:8740", terminals: "192.0.2.33:8710"}
  # This`)
	for _, e := range []edit{
		{`  node: ""`, "  node: node-1", ""}, {`  cert: ""`, "  cert: c.pem", ""}, {`  key: ""`, "  key: c.key", ""}, {`  ca: ""`, "  ca: ca.pem", ""},
	} {
		file = change(t, file, e.old, e.new)
	}
	four := `n3: {log: "192.0.2.4:8740", terminals: "192.0.2.4:8710"}` + "\n    "
	five := four + `n5: {log: "192.0.2.5:8740", terminals: "192.0.2.5:8710"}` + "\n    "
	tryEdits(t, file, read, []edit{
		{"  node: node-1", "  node: node-1", ""},
		{"  node: node-1", "  node: node-4", `cluster.node: "node-4" is none`},
		{"  cert: c.pem", "  cert: ''", "cluster.cert is missing"},
		{"  key: c.key", "  key: ''", "cluster.key is missing"},
		{"  ca: ca.pem", "  ca: ''", "cluster.ca is missing"},
		{"    n3:", "    N3:", `cluster.nodes: "N3" is no name`},
		{"    n3:", "    " + strings.Repeat("n", maxNodeName) + ":", ""},
		{"    n3:", "    " + strings.Repeat("n", maxNodeName+1) + ":", "is no name"},
		{`log: "192.0.2.33:8740"`, `log: "192.0.2.33"`, "cluster.nodes.n3.log:"},
		{`log: "192.0.2.33:8740"`, `log: "192.0.2.33:8710"`, "is taken by cluster.nodes.n3"},
		{`terminals: "192.0.2.33:8710"`, `terminals: ""`, "cluster.nodes.n3.terminals:"},
		{`terminals: "192.0.2.33:8710"`, `port: 1`, "field port not found"},
		{"    n3:", "    " + strings.Replace(five, "n3", "n4", 1) + "n3:", ""},
		{"    n3:", "    " + strings.Replace(five, "n3", "n4", 1) + `n6: {log: "a:1", terminals: "a:2"}` + "\n    n3:", "6 nodes; at most 5"},
		{"heartbeat_ms: 250", "heartbeat_ms: 49", "cluster.heartbeat_ms: 49 is outside 50 to 10000"},
		{"heartbeat_ms: 250", "heartbeat_ms: 200", ""},
		{"heartbeat_ms: 250", "heartbeat_ms: 301", "cluster.election_ms: 300 is outside 301"},
		{"election_ms: 300", "election_ms: 249", "cluster.election_ms: 249 is outside 250"},
		{"lease_ms: 200", "lease_ms: 250", ""},
		{"lease_ms: 200", "lease_ms: 251", "cluster.lease_ms: 251 is outside 10 to 250"},
		{"commit_ms: 20", "commit_ms: 0", "cluster.commit_ms: 0 is outside 1 to 250"},
	})
}
