package newcomer

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/internal/source"
	"github.com/shebao-pay/shebao/simulators/stage"
)

const (
	stepTime = 2 * time.Minute       // a step ends or serves within this time on a busy machine
	pollTime = 20 * time.Millisecond // between looks at what gives no event
)

// world is the copy of the tree with what runs in it.
type world struct {
	dir  string
	env  []string
	runs map[string]*job // by what was typed
}

// job is a command that stays.
type job struct {
	cmd   *exec.Cmd
	ended chan struct{}

	mu      sync.Mutex
	out     bytes.Buffer
	until   string
	started chan struct{} // closed when until was printed
}

// Write takes what the command prints.
func (j *job) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	had := strings.Contains(j.out.String(), j.until)
	j.out.Write(b)
	if !had && strings.Contains(j.out.String(), j.until) {
		close(j.started)
	}
	return len(b), nil
}

func (j *job) text() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.out.String()
}

// notCloned are folders of the tree that a clone does not have.
var notCloned = []string{".git", "bin", "build", "var"}

// clone copies the tree into a new folder with a short name: Unix sockets are
// made beneath it.
func clone(t *testing.T) *world {
	t.Helper()
	root, err := source.Root()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "newcomer-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		to := filepath.Join(dir, rel)
		switch {
		case slices.Contains(notCloned, rel) && d.IsDir():
			return fs.SkipDir
		case rel == ".git":
			return nil // the file of a second working tree
		case d.IsDir():
			return os.MkdirAll(to, 0o755)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(to, b, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{dir: dir, runs: map[string]*job{}}
	for _, v := range os.Environ() {
		// A Make that runs the tests hands its flags and its standing down.
		if name, _, _ := strings.Cut(v, "="); !slices.Contains([]string{"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "PATH", "PWD"}, name) {
			w.env = append(w.env, v)
		}
	}
	w.env = append(w.env, "PWD="+dir, "PATH="+filepath.Join(dir, "bin")+":"+os.Getenv("PATH"), "SHEBAO_NEWCOMER_DIR="+dir)
	t.Cleanup(func() {
		for _, j := range w.runs {
			_ = syscall.Kill(-j.cmd.Process.Pid, syscall.SIGKILL)
			<-j.ended
		}
	})
	return w
}

func (w *world) path(name string) string { return filepath.Join(w.dir, filepath.FromSlash(name)) }

func (w *world) read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(w.path(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func (w *world) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(w.path(name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// command prepares a line for the shell, in a process group of its own, as a
// shell at a terminal does.
func (w *world) command(line string) *exec.Cmd {
	cmd := exec.Command("bash", "-c", line)
	cmd.Dir, cmd.Env = w.dir, w.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// do types one step and gives what it printed.
func (w *world) do(t *testing.T, s step) string {
	t.Helper()
	switch {
	case s.stop != "":
		return w.stop(t, s.stop)
	case s.stays != "":
		return w.start(t, s)
	}
	line := s.as
	if line == "" {
		line = s.typed
	}
	cmd := w.command(line)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(stepTime, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	err := cmd.Wait()
	if !late.Stop() {
		t.Fatalf("%s: does not end within %s; it printed\n%s", line, stepTime, out.String())
	}
	if (err != nil) != s.fails {
		t.Fatalf("%s: %v; it printed\n%s", line, err, out.String())
	}
	if s.log != "" {
		return w.read(t, s.log)
	}
	return out.String()
}

// start types a command that stays, and waits until it serves.
func (w *world) start(t *testing.T, s step) string {
	t.Helper()
	line := s.as
	if line == "" {
		line = s.typed
	}
	j := &job{cmd: w.command(line), until: s.stays, ended: make(chan struct{}), started: make(chan struct{})}
	j.cmd.Stdout, j.cmd.Stderr = j, j
	if err := j.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.runs[s.name()] = j
	go func() {
		_ = j.cmd.Wait() // Make gives an error when it is interrupted
		close(j.ended)
	}()
	select {
	case <-j.started:
	case <-j.ended:
		t.Fatalf("%s: ended before it served; it printed\n%s", line, j.text())
	case <-time.After(stepTime):
		t.Fatalf("%s: does not serve within %s; it printed\n%s", line, stepTime, j.text())
	}
	return j.text()
}

// stop is Ctrl-C for what was typed: the whole foreground group hears it.
func (w *world) stop(t *testing.T, typed string) string {
	t.Helper()
	j := w.runs[typed]
	if err := syscall.Kill(-j.cmd.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatalf("Ctrl-C for %s: %v", typed, err)
	}
	select {
	case <-j.ended:
	case <-time.After(stepTime):
		t.Fatalf("%s: does not end within %s of Ctrl-C; it printed\n%s", typed, stepTime, j.text())
	}
	delete(w.runs, typed)
	return j.text()
}

// children gives the command lines of every process that was started in the
// copy, however far down.
func (w *world) children(t *testing.T) (out []string) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		env, _ := os.ReadFile(filepath.Join(p, "environ")) // it may have ended, or be another user's
		if bytes.Contains(env, []byte("SHEBAO_NEWCOMER_DIR="+w.dir+"\x00")) {
			line, _ := os.ReadFile(filepath.Join(p, "cmdline"))
			if len(line) > 0 { // one that has ended and is not yet reaped has none
				out = append(out, strings.ReplaceAll(strings.TrimRight(string(line), "\x00"), "\x00", " "))
			}
		}
	}
	return out
}

// says checks that the output matches.
func says(pattern string) func(*testing.T, *world, string) {
	re := regexp.MustCompile(pattern)
	return func(t *testing.T, _ *world, out string) {
		t.Helper()
		if !re.MatchString(out) {
			t.Errorf("nothing matches %q in\n%s", pattern, out)
		}
	}
}

// built: the four programs are there.
func built(t *testing.T, w *world, _ string) {
	for _, name := range []string{"settled", "terminald", "shebaoctl", "simulate"} {
		if _, err := os.Stat(w.path("bin/" + name)); err != nil {
			t.Error(err)
		}
	}
}

var address = regexp.MustCompile(`http://\S+`)

// demoPages: every address that the demo prints answers, the kiosk's and the
// pad's only with their tokens, and the real programs run.
func demoPages(t *testing.T, w *world, out string) {
	found := address.FindAllString(out, -1)
	if len(found) != 5 {
		t.Fatalf("the demo prints %d addresses, want 5: %q", len(found), found)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	mine := &visitor{t, &http.Client{Jar: jar}}
	for _, url := range found {
		if bare, _, secret := strings.Cut(url, "?"); secret {
			if code := mine.get(bare); code != http.StatusForbidden {
				t.Errorf("%s without its token: %d", bare, code)
			}
		}
		if code := mine.get(url); code != http.StatusOK {
			t.Errorf("%s: %d", url, code)
		}
	}
	run := strings.Join(w.children(t), "\n")
	for _, name := range []string{"bin/simulate demo", "settled -hsm -config", "settled -config", "terminald -config", "pcscd"} {
		if !strings.Contains(run, name) {
			t.Errorf("no process %q runs; there are\n%s", name, run)
		}
	}
	mine.pay(strings.TrimRight(found[0], "/"), found[1], strings.Split(found[2], "/?")[0])
}

// visitor sits before the pages of the demo.
type visitor struct {
	t    *testing.T
	http *http.Client
}

func (v *visitor) get(url string) int {
	v.t.Helper()
	return v.do(http.MethodGet, url, nil)
}

// post presses a button of a page.
func (v *visitor) post(page, act string, form url.Values) {
	v.t.Helper()
	if code := v.do(http.MethodPost, page+act, form); code != http.StatusNoContent {
		v.t.Fatalf("%s%s %v: %d", page, act, form, code)
	}
}

func (v *visitor) do(method, at string, form url.Values) int {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.t.Context(), stepTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, at, strings.NewReader(form.Encode()))
	if err != nil {
		v.t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", "http://"+req.Host)
		req.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	resp, err := v.http.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		v.t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// wait reads a page's event stream until it says what is wanted.
func (v *visitor) wait(at, want string) {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.t.Context(), stepTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	resp, err := v.http.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if strings.Contains(lines.Text(), want) {
			return
		}
	}
	v.t.Fatalf("%s: %s and nothing like %s: %v", at, resp.Status, want, lines.Err())
}

// pay does what README says under "What to click", steps 1 to 4: the first card,
// the PIN on the pad's page, dues, the PIN again, and the card back.
func (v *visitor) pay(panel, kiosk, pad string) {
	t := v.t
	c, err := stage.NewCitizen(t.Context(), kiosk)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Leave()
	see := func(id string) stage.View {
		t.Helper()
		got, err := c.Wait(t.Context(), stepTime, id)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	press := func(view stage.View, act string) {
		t.Helper()
		if err := c.Press(t.Context(), view, act, ""); err != nil {
			t.Fatal(err)
		}
	}
	pin := func() {
		t.Helper()
		v.wait(pad+"/events", `"state":"entry","count":0`)
		for _, key := range []string{"1", "2", "3", "4", "5", "6", "enter"} {
			v.post(pad, "/key", url.Values{"k": {key}})
		}
	}
	see("attract")
	v.post(panel, "/insert", url.Values{"id": {"resident-ccb"}})
	see("pin")
	pin()
	press(see("menu"), "pay")
	press(see("pay-list"), "all")
	for end := time.Now().Add(stepTime); !c.Now().Can("next"); time.Sleep(pollTime) {
		if time.Now().After(end) {
			t.Fatalf("with all dues chosen the kiosk does not go on: %+v", c.Now())
		}
	}
	press(c.Now(), "next")
	press(see("pay-confirm"), "confirm")
	see("pay-pin")
	pin()
	see("result-paid")
	v.post(panel, "/pull", url.Values{})
	see("attract")
}

// allEnded: nothing that was started is left.
func allEnded(t *testing.T, w *world, _ string) {
	if left := w.children(t); len(left) > 0 {
		t.Errorf("after Ctrl-C there still run\n%s", strings.Join(left, "\n"))
	}
}

// unitsFindAll: each program and file that a unit starts with is where the guide
// has put it.
func unitsFindAll(t *testing.T, w *world, _ string) {
	for _, unit := range []string{"shebao-hsm.service", "shebao-settled.service"} {
		n := 0
		for line := range strings.Lines(w.read(t, "var/root/etc/systemd/system/"+unit)) {
			start, ok := strings.CutPrefix(line, "ExecStart=")
			if !ok {
				continue
			}
			for _, word := range strings.Fields(start) {
				if strings.HasPrefix(word, "/") {
					n++
					if _, err := os.Stat(w.path("var/root" + word)); err != nil {
						t.Errorf("%s: %v", unit, err)
					}
				}
			}
		}
		if n != 2 {
			t.Errorf("%s starts with %d files, want program and configuration", unit, n)
		}
	}
	if _, err := os.Stat(w.path("var/root/usr/lib/sysusers.d/shebao.conf")); err != nil {
		t.Error(err)
	}
}

// nodeFiles makes the files of a new node out of the demo's, as install.md says:
// its own ledger, its own operator socket.
func nodeFiles(t *testing.T, w *world, _ string) {
	for _, name := range []string{"hsm.yaml", "settled.yaml", "terminald.yaml"} {
		text := w.read(t, "var/demo/"+name)
		text = strings.ReplaceAll(text, w.path("var/demo/ledger"), w.path("var/ledger"))
		text = strings.ReplaceAll(text, w.path("var/demo/operator.sock"), w.path("operator.sock"))
		w.write(t, name, regexp.MustCompile(`(?m)^  (boc|icbc|rcb): .*\n`).ReplaceAllString(text, "")) // the guide puts one bank
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{SerialNumber: big.NewInt(17), Subject: pkix.Name{CommonName: "terminal-17"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	w.write(t, "terminal-17.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
}

// clusterFiles makes the files of three nodes out of the lone node's, with the
// section that the guide shows: the first has the ledger, the others nothing.
func clusterFiles(t *testing.T, w *world, _ string) {
	_, blocks := read(source.Text{Path: "docs/operating/cluster.md", Body: w.read(t, "docs/operating/cluster.md")})
	at := slices.IndexFunc(blocks, func(b block) bool { return b.lines[0] == "cluster:" })
	if at < 0 {
		t.Fatal("docs/operating/cluster.md shows no cluster section")
	}
	section := strings.Join(blocks[at].lines, "\n") + "\n"
	if err := os.Rename(w.path("var/ledger"), w.path("var/data-1")); err != nil {
		t.Fatal(err)
	}
	ports := regexp.MustCompile(`127\.0\.0\.1:[0-9]+`)
	for n := 1; n <= 3; n++ {
		next := 9700 + n // of the node's own listeners: terminals, counter, admin
		var out strings.Builder
		banks := false
		for line := range strings.Lines(w.read(t, "settled.yaml")) {
			if !strings.HasPrefix(line, " ") {
				banks = strings.HasPrefix(line, "banks:")
			}
			if !banks && ports.MatchString(line) {
				next += 10
				line = ports.ReplaceAllString(line, fmt.Sprintf("127.0.0.1:%d", next))
			}
			out.WriteString(line)
		}
		text := strings.ReplaceAll(out.String(), w.path("var/ledger"), w.path(fmt.Sprintf("var/data-%d", n)))
		text = strings.ReplaceAll(text, w.path("operator.sock"), w.path(fmt.Sprintf("op-%d.sock", n)))
		own := strings.NewReplacer("node: node-1", fmt.Sprintf("node: node-%d", n), "node-1.pem", fmt.Sprintf("node-%d.pem", n), "node-1.key", fmt.Sprintf("node-%d.key", n))
		w.write(t, fmt.Sprintf("n%d.yaml", n), text+own.Replace(section))
	}
}

// figures: a run of load is sound, and the figures it gives are those that the
// page explains, kills and yardstick included.
func figures(t *testing.T, w *world, out string) {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	var got map[string]any
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &got); err != nil {
		t.Fatalf("last line of load: %v: %s", err, out)
	}
	if got["verify"] != "ok" || fmt.Sprint(got["errors"]) != "0" {
		t.Errorf("load: %v", got)
	}
	page := w.read(t, "docs/operating/load.md")
	for name := range got {
		if !strings.Contains(page, "`"+name+"`") {
			t.Errorf("docs/operating/load.md does not explain %s", name)
		}
	}
}
