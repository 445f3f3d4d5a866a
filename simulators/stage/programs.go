package stage

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/shebao-pay/shebao/data"
	"github.com/shebao-pay/shebao/settlement/operator"
	"github.com/shebao-pay/shebao/settlement/profile"
	"github.com/shebao-pay/shebao/simulators/pinpad"
	"github.com/shebao-pay/shebao/simulators/residents"
	"github.com/shebao-pay/shebao/simulators/vpcd"
)

// nodeFile begins the template of a node file. quote writes a string as YAML
// reads it back whatever is in it: a folder may have any name.
func nodeFile(name string) *template.Template {
	return template.New(name).Funcs(template.FuncMap{"quote": func(parts ...string) (string, error) {
		b, err := json.Marshal(strings.Join(parts, "")) // a JSON string is a YAML string
		return string(b), err
	}})
}

var hsmFile = template.Must(nodeFile("hsm").Parse(`# The HSM process of this demo. Test keys only.
socket: {{quote .Dir "/hsm.sock"}}
key_store: {{quote .Dir "/keystore"}}
passphrase_file: {{quote .Dir "/passphrase"}}
{{- if .HubOnly}}
# The kiosks are a load generator's: nobody types a PIN there, and each pays
# faster than any person. The default of 20 a second would be what is measured.
pin_per_terminal_second: 200
{{- end}}
demo: true
`))

var settledFile = template.Must(nodeFile("settled").Parse(`# The hub node of this demo; cmd/settled/config.go explains each setting.
region:
  number: 1
  area: 330110
  name: 示例区
  hotline: "0571-12333"
  issuing_areas: ["3301"]
data: {{quote .Dir "/" .Ledger}}
hsm: {socket: {{quote .Dir "/hsm.sock"}}}
terminals:
  listen: 127.0.0.1:{{.Ports.Terminals}}
  cert: {{quote .Dir "/pki/hub.pem"}}
  key: {{quote .Dir "/pki/hub.key"}}
  client_ca: {{quote .Dir "/pki/ca.pem"}}
  pin_format: "4"
banks:
{{- range $code, $port := .Ports.Banks}}
  {{$code}}: ["127.0.0.1:{{$port}}"]
{{- end}}
counters:
{{- range $code, $port := .Ports.Counters}}
  {{$code}}: 127.0.0.1:{{$port}}
{{- end}}
operator: {socket: {{quote .Dir "/" .Socket}}}
{{- if .Nodes}}
cluster:
  node: {{.Node}}
  nodes:
{{- range .Nodes}}
    {{.Name}}: {log: "127.0.0.1:{{.Log}}", terminals: "127.0.0.1:{{.Terminals}}"}
{{- end}}
  cert: {{quote .Dir "/pki/" .Node ".pem"}}
  key: {{quote .Dir "/pki/" .Node ".key"}}
  ca: {{quote .Dir "/pki/ca.pem"}}
{{- end}}
admin: {listen: "127.0.0.1:{{.Ports.Admin}}"}
limits:
  free_space_mib: 256
{{- if .Quick}}
timers:
  reply_ms: 2500
  reversal_reply_ms: 1500
  retry_first_ms: 500
  retry_most_ms: 5000
  reconnect_most_ms: 2000
  card_outcome_ms: 4000
{{- end}}
{{- if .Null}}
null_ledger: {{quote .Dir "/profiles"}}
{{- end}}
demo: true
{{- with .LogLevel}}
log_level: {{.}}
{{- end}}
`))

var terminaldFile = template.Must(nodeFile("terminald").Parse(`# The kiosk of this demo; cmd/terminald/config.go explains each setting.
terminal: 1
data: {{quote .Dir "/terminal"}}
hub:
  addresses: ["127.0.0.1:{{.Ports.Terminals}}"]
  server_name: hub.shebao.demo
  ca: {{quote .Dir "/pki/ca.pem"}}
  cert: {{quote .Dir "/pki/terminal-1.pem"}}
  key: {{quote .Dir "/pki/terminal-1.key"}}
kiosk:
  listen: 127.0.0.1:{{.Ports.Kiosk}}
  token_file: {{quote .Dir "/kiosk.token"}}
  frame_ancestors: http://127.0.0.1:{{.Ports.Panel}}
  mm_per_px: "0.252"
reader: {name: {{quote .ReaderName}}, socket: {{quote .Reader}}}
pin_pad: {socket: {{quote .Dir "/pad.sock"}}}
printer: {address: {{quote "unix:" .Dir "/printer.sock"}}}
admin: {listen: "127.0.0.1:{{.Ports.TAdmin}}"}
{{- if or .Quick .IdleMillis}}
times:
  idle_ms: {{.IdleMillis}}
{{- if .Quick}}
  heartbeat_ms: 1000
  unresolved_ms: 300
{{- end}}
{{- end}}
demo: true
{{- with .LogLevel}}
log_level: {{.}}
{{- end}}
`))

// writeFile fills a node file of this stage.
func (s *Stage) writeFile(name string, t *template.Template) (string, error) {
	return s.write(name, t, map[string]any{"Ports": s.cfg.Ports, "Ledger": "ledger", "Socket": "operator.sock"})
}

// writeNodeFile fills the file of one of several nodes.
func (s *Stage) writeNodeFile(n *hubNode) (string, error) {
	type node struct {
		Name           string
		Log, Terminals int
	}
	var list []node
	for _, o := range s.nodes {
		list = append(list, node{NodeName(o.no), o.log, o.ports.Terminals})
	}
	return s.write(n.fileName(), settledFile, map[string]any{
		"Ports": n.ports, "Ledger": n.ledger(), "Socket": n.socket(), "Node": NodeName(n.no), "Nodes": list,
	})
}

func (s *Stage) write(name string, t *template.Template, of map[string]any) (string, error) {
	var b bytes.Buffer
	reader := ""
	if s.Rig != nil {
		reader = s.Rig.Socket()
	}
	maps.Copy(of, map[string]any{
		"Dir": s.cfg.Dir, "Quick": s.cfg.Quick, "Null": s.cfg.NullLedger, "HubOnly": s.cfg.HubOnly,
		"Reader": reader, "ReaderName": vpcd.ReaderName(0), "IdleMillis": s.cfg.Idle.Milliseconds(), "LogLevel": s.cfg.LogLevel,
	})
	err := t.Execute(&b, of)
	if err != nil {
		return "", fmt.Errorf("stage: %w", err)
	}
	path := s.path(name)
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		return "", fmt.Errorf("stage: %w", err)
	}
	return path, nil
}

func (s *Stage) bin(name string) string { return filepath.Join(s.cfg.Bin, name) }

func (s *Stage) startHSM(ctx context.Context) error {
	file, err := s.writeFile("hsm.yaml", hsmFile)
	if err != nil {
		return err
	}
	p, err := start(s.path("log"), "hsm", s.bin("settled"), "-hsm", "-config", file)
	if err != nil {
		return err
	}
	s.onStop(p.stop)
	s.hsm = p
	return p.ready(ctx, func(ctx context.Context) error {
		var d net.Dialer
		c, err := d.DialContext(ctx, "unix", s.path("hsm.sock"))
		if err != nil {
			return err
		}
		return c.Close()
	})
}

// StartHub starts settled, also again after KillHub.
func (s *Stage) StartHub(ctx context.Context) error {
	if err := s.fallen("settled"); err != nil {
		return err
	}
	file, err := s.writeFile("settled.yaml", settledFile)
	if err != nil {
		return err
	}
	p, err := start(s.path("log"), "settled", s.bin("settled"), "-config", file)
	if err != nil {
		return err
	}
	s.mu.Lock()
	first := s.settled == nil
	s.settled = p
	s.mu.Unlock()
	if first {
		s.onStop(func() {
			s.mu.Lock()
			p := s.settled
			s.mu.Unlock()
			p.stop()
		})
		s.Operator = operator.Dial(s.path("operator.sock"))
		s.onStop(s.Operator.Close)
	}
	return p.ready(ctx, func(ctx context.Context) error { return get(ctx, "http://"+addr(s.cfg.Ports.Admin)+"/live") })
}

// fallen lets a disk fall before a program that has run is started again.
func (s *Stage) fallen(program string) error {
	s.mu.Lock()
	ran := program == "settled" && s.settled != nil || program == "terminald" && s.terminald != nil
	s.mu.Unlock()
	if !ran || s.cfg.Fallen == nil {
		return nil
	}
	return s.cfg.Fallen(program)
}

// KillHub ends settled as a power cut would.
func (s *Stage) KillHub() {
	s.mu.Lock()
	p := s.settled
	s.mu.Unlock()
	p.kill()
}

// StopHub ends settled in order.
func (s *Stage) StopHub() {
	if s.several() {
		s.stopNodes()
		return
	}
	s.mu.Lock()
	p := s.settled
	s.mu.Unlock()
	p.stop()
}

// HubPID is the process id of settled.
func (s *Stage) HubPID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.settled.cmd.Process.Pid
}

// StartTerminal starts terminald and waits until it serves citizens.
func (s *Stage) StartTerminal(ctx context.Context) error {
	if s.cfg.HubOnly {
		return nil
	}
	if err := s.fallen("terminald"); err != nil {
		return err
	}
	file, err := s.writeFile("terminald.yaml", terminaldFile)
	if err != nil {
		return err
	}
	p, err := start(s.path("log"), "terminald", s.bin("terminald"), "-config", file)
	if err != nil {
		return err
	}
	s.mu.Lock()
	first := s.terminald == nil
	s.terminald = p
	s.mu.Unlock()
	if first {
		s.onStop(func() {
			s.mu.Lock()
			p := s.terminald
			s.mu.Unlock()
			p.stop()
		})
	}
	if err := p.ready(ctx, func(ctx context.Context) error { return get(ctx, "http://"+addr(s.cfg.Ports.TAdmin)+"/ready") }); err != nil {
		return err
	}
	s.cfg.Tell("the terminal serves")
	return nil
}

// KillTerminal ends terminald as a power cut would.
func (s *Stage) KillTerminal() {
	s.mu.Lock()
	p := s.terminald
	s.mu.Unlock()
	p.kill()
}

// maker and checker are the two persons behind the demo's business data.
const maker, checker = 101, 102

// change sends one change with an id made of what it is, so that doing it again
// changes nothing.
func id(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	copy(sum[:6], make([]byte, 6)) // no payment has such an id
	return hex.EncodeToString(sum[:16])
}

// fill gives a new ledger its business data and residents. A ledger that has
// them is left as it is.
func (s *Stage) fill(ctx context.Context) error {
	if s.cfg.NullLedger {
		return s.banksUp(ctx)
	}
	var st operator.Status
	if err := s.Operator.Ask(ctx, "/v1/status", nil, &st); err != nil {
		return err
	}
	done := s.path("filled")
	if _, err := os.Stat(done); err == nil {
		s.Resumed = true
		return s.banksUp(ctx)
	}
	if err := s.putBusinessData(ctx); err != nil {
		return err
	}
	// Profiles take effect when the node starts.
	s.StopHub()
	if err := s.StartHub(ctx); err != nil {
		return err
	}
	if err := s.load(ctx); err != nil {
		return err
	}
	if err := os.WriteFile(done, []byte(strconv.Itoa(s.cfg.Persons)+"\n"), 0o600); err != nil {
		return fmt.Errorf("stage: %w", err)
	}
	return s.banksUp(ctx)
}

func (s *Stage) put(ctx context.Context, kind, name string, body []byte) (uint32, error) {
	var a operator.Answer
	err := s.Operator.Ask(ctx, "/v1/config", operator.ConfigRequest{
		ID: id("config", kind, name), Kind: kind, Name: name, From: "2020-01-01", Body: body, Maker: maker, Checker: checker,
	}, &a)
	if err == nil && a.Code != "OK" && a.First != "OK" {
		err = fmt.Errorf("stage: %s of %s: the ledger refused: %s", kind, name, a.Code)
	}
	return a.Version, err
}

// putBusinessData brings profiles, bank facts, rates and the terminal.
func (s *Stage) putBusinessData(ctx context.Context) error {
	for _, p := range s.Profiles {
		spec, _ := data.Banks.ReadFile("banks/" + p.Code + "/" + profile.SpecName)
		rules, _ := data.Banks.ReadFile("banks/" + p.Code + "/" + profile.RulesName)
		rules = s.rulesOf(p.Code, rules)
		body, err := profile.Pack(spec, rules)
		if err != nil {
			return err
		}
		if _, err := s.put(ctx, "bank-profile", p.Code, body); err != nil {
			return err
		}
		facts, err := data.Start.ReadFile("facts/" + p.Code + ".txt")
		if err != nil {
			return fmt.Errorf("stage: %w", err)
		}
		if _, err := s.put(ctx, "bank-facts", p.Code, facts); err != nil {
			return err
		}
	}
	rates, err := data.Start.ReadFile("rates/330110.yaml")
	if err != nil {
		return fmt.Errorf("stage: %w", err)
	}
	if s.rates, err = s.put(ctx, "rates", strconv.Itoa(regionArea), rates); err != nil {
		return err
	}
	cover, err := data.Start.ReadFile("cover/330110.yaml")
	if err != nil {
		return fmt.Errorf("stage: %w", err)
	}
	if _, err = s.put(ctx, "cover", strconv.Itoa(regionArea), cover); err != nil {
		return err
	}
	offices, err := data.Start.ReadFile("offices/330110.yaml")
	if err != nil {
		return fmt.Errorf("stage: %w", err)
	}
	_, err = s.put(ctx, "offices", strconv.Itoa(regionArea), offices)
	return err
}

// terminalName is the name of a terminal in its certificate and of its files.
func terminalName(n int) string { return "terminal-" + strconv.Itoa(n) }

// putTerminal issues a terminal's certificate and puts the terminal on record.
func (s *Stage) putTerminal(ctx context.Context, n int) error {
	hash, err := s.pki.issue(terminalName(n), terminalName(n), false)
	if err != nil {
		return err
	}
	var a operator.Answer
	err = s.Operator.Ask(ctx, "/v1/terminal", operator.TerminalRequest{
		ID: id("terminal", strconv.Itoa(n), hex.EncodeToString(hash[:])), Terminal: uint32(n), // #nosec G115 -- 1 to MaxTerminals
		Bank: "ccb", Outlet: "示例支行", CertHash: hash[:], State: "in-service",
	}, &a)
	if err == nil && a.Code != "OK" && a.First != "OK" {
		err = fmt.Errorf("stage: terminal %d: the ledger refused: %s", n, a.Code)
	}
	return err
}

// load makes the residents and brings them into the ledger.
func (s *Stage) load(ctx context.Context) error {
	for n := range s.cfg.Terminals {
		if err := s.putTerminal(ctx, n+1); err != nil {
			return err
		}
	}
	dir := s.path("residents")
	began := time.Now()
	if err := s.gen.Write(ctx, dir, s.cfg.Persons, func(n int) { s.cfg.Progress("making residents", n, s.cfg.Persons) }); err != nil {
		return err
	}
	made := time.Since(began)
	began = time.Now()
	steps := []struct {
		what, path, file string
		query            url.Values
	}{
		{"persons", "/v1/import/persons", residents.PersonsFile, nil},
		{"cards", "/v1/import/cards", residents.CardsFile, nil},
	}
	for _, d := range duesOfTheDemo() {
		d.Set("rates", strconv.Itoa(int(s.rates)))
		steps = append(steps, struct {
			what, path, file string
			query            url.Values
		}{"dues " + d.Get("fund") + " " + d.Get("period"), "/v1/assess", residents.BasesFile, d})
	}
	for _, st := range steps {
		if err := s.uploadFile(ctx, st.what, st.path, filepath.Join(dir, st.file), st.query); err != nil {
			return fmt.Errorf("loading %s: %w", st.what, err)
		}
	}
	s.cfg.Tell(fmt.Sprintf("%d residents made in %.1f s and loaded in %.1f s", s.cfg.Persons, made.Seconds(), time.Since(began).Seconds()))
	return os.RemoveAll(dir) // clear ID numbers lie on no disk longer than needed
}

// duesOfTheDemo are the dues that everybody has: this year's, last year's
// arrears of medical insurance, and three months of flexible workers.
func duesOfTheDemo() []url.Values {
	return []url.Values{
		dues("PENSION_RES", "RESIDENT", "2026", "year", "2026-12-31", "grade"),
		dues("MED_RES", "RESIDENT", "2025", "year", "2025-12-31", "base"),
		dues("MED_RES", "RESIDENT", "2026", "year", "2026-12-31", "base"),
		dues("MED_RES", "STUDENT", "2026", "year", "2026-12-31", "base"),
		dues("PENSION_EMP", "FLEX", "2026-09", "current", "2026-09-25", "base"),
		dues("PENSION_EMP", "FLEX", "2026-10", "current", "2026-10-25", "base"),
		dues("PENSION_EMP", "FLEX", "2026-11", "current", "2026-11-25", "base"),
		dues("MED_EMP", "FLEX", "2026-10", "current", "2026-10-25", "base"),
		dues("MED_EMP", "FLEX", "2026-11", "current", "2026-11-25", "base"),
	}
}

func dues(fund, ptype, period, kind, day, use string) url.Values {
	return url.Values{"fund": {fund}, "person_type": {ptype}, "period": {period}, "kind": {kind}, "due_day": {day}, "use": {use}}
}

func (s *Stage) uploadFile(ctx context.Context, what, path, file string, q url.Values) error {
	f, err := os.Open(file) // #nosec G304 -- a file this stage wrote
	if err != nil {
		return fmt.Errorf("stage: %w", err)
	}
	defer func() { _ = f.Close() }()
	o, err := s.Operator.Upload(ctx, path, q, f, func(checked, done int) { s.cfg.Progress(what, (checked+done)/2, s.cfg.Persons) })
	if err != nil {
		return err
	}
	if !o.OK {
		return fmt.Errorf("stage: %d lines were refused: %v", o.Refused, o.Codes)
	}
	return nil
}

// banksUp waits until every bank link is signed on.
func (s *Stage) banksUp(ctx context.Context) error {
	s.mu.Lock()
	p := s.settled
	s.mu.Unlock()
	return p.ready(ctx, func(ctx context.Context) error {
		var st operator.Status
		if err := s.Operator.Ask(ctx, "/v1/status", nil, &st); err != nil {
			return err
		}
		for _, b := range s.Profiles {
			if st.Banks[b.Code] != "up" {
				return fmt.Errorf("bank %s is %q", b.Code, st.Banks[b.Code])
			}
		}
		return nil
	})
}

// startPad runs the simulated PIN pad with the key that the hub also holds.
func (s *Stage) startPad() error {
	pad, err := pinpad.Start(pinpad.Config{
		AESKey: unhex(s.keys.Named[padKey(1)]), AESName: padKey(1), Socket: s.path("pad.sock"),
		HTTPAddr: addr(s.cfg.Ports.Pad), FrameAncestors: "http://" + addr(s.cfg.Ports.Panel),
	})
	if err != nil {
		return err
	}
	s.Pad = pad
	s.onStop(func() { _ = pad.Close() })
	return nil
}
