package kiosk

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/terminal/flow"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// desk is a kiosk server with a plain client: what another local program could
// send.
type desk struct {
	*Server
	t       *testing.T
	origin  string
	client  *http.Client
	presses chan flow.Press
	browser chan bool
}

func newDesk(t *testing.T, change func(*Config)) *desk {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{t: t, origin: "http://" + l.Addr().String(), presses: make(chan flow.Press, 16), browser: make(chan bool, 16)}
	conf := Config{Addr: l.Addr().String()}
	if change != nil {
		change(&conf)
	}
	d.Server, err = New(conf, func(p flow.Press) { d.presses <- p }, func(on bool) { d.browser <- on })
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	d.client = &http.Client{Transport: transport, Timeout: 10 * time.Second}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
		transport.CloseIdleConnections()
	})
	return d
}

// ask sends a request with the cookie; change spoils it.
func (d *desk) ask(method, path, body string, change func(*http.Request)) *http.Response {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), method, d.origin+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	req.AddCookie(&http.Cookie{Name: cookieName, Value: d.conf.Token})
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", d.origin)
		req.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	if change != nil {
		change(req)
	}
	res, err := d.client.Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	return res
}

// status is the answer's code; the body is read and dropped.
func (d *desk) status(method, path, body string, change func(*http.Request)) int {
	d.t.Helper()
	res := d.ask(method, path, body, change)
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

// events is an open stream of a browser.
type events struct {
	t      *testing.T
	body   io.ReadCloser
	lines  *bufio.Scanner
	cancel context.CancelFunc
}

func (d *desk) open() *events {
	d.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	res := d.ask(http.MethodGet, "/events?w=1080&h=1920", "", func(r *http.Request) { *r = *r.WithContext(ctx) })
	if res.StatusCode != http.StatusOK {
		d.t.Fatalf("events: %s", res.Status)
	}
	e := &events{t: d.t, body: res.Body, lines: bufio.NewScanner(res.Body), cancel: cancel}
	e.lines.Buffer(nil, 1<<20)
	d.t.Cleanup(e.close)
	return e
}

func (e *events) close() {
	e.cancel()
	_ = e.body.Close()
}

// next gives the next event; an ended stream is "end".
func (e *events) next() (kind, data string) {
	e.t.Helper()
	for e.lines.Scan() {
		line := e.lines.Text()
		switch {
		case strings.HasPrefix(line, "event: "):
			kind = line[7:]
		case strings.HasPrefix(line, "data:"):
			data += strings.TrimPrefix(line[5:], " ") + "\n"
		case line == "" && kind != "":
			return kind, data
		}
	}
	return "end", ""
}

var connForm = regexp.MustCompile(`data-conn="([0-9a-f]+)"`)

// screen reads events until a screen comes and gives its connection id.
func (e *events) screen(id flow.ScreenID) (conn, html string) {
	e.t.Helper()
	for {
		kind, data := e.next()
		if kind == "end" || kind == "gone" {
			e.t.Fatalf("stream says %s before screen %s", kind, id)
		}
		if kind == "screen" && strings.Contains(data, `data-screen="`+string(id)+`"`) {
			return connForm.FindStringSubmatch(data)[1], data
		}
	}
}

// TestGuard sends what must be refused. Each case differs from a good request in
// one thing.
func TestGuard(t *testing.T) {
	d := newDesk(t, nil)
	d.Show(samples()[0].screen)
	conn, _ := d.open().screen(flow.ScreenAttract)
	good := url.Values{"conn": {conn}, "step": {"7"}, "action": {"large"}, "value": {""}}.Encode()
	set := func(k, v string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(k, v) }
	}
	host := func(h string) func(*http.Request) { return func(r *http.Request) { r.Host = h } }
	none := func(r *http.Request) { r.Header.Del("Cookie") }
	tests := []struct {
		name, method, path, body string
		change                   func(*http.Request)
		want                     int
	}{
		{"good press", "POST", "/press", good, nil, 204},
		{"good page", "GET", "/", "", nil, 200},
		{"good asset", "GET", "/assets/kiosk.css", "", nil, 200},
		{"page with the token and no cookie", "GET", "/?t=" + d.conf.Token, "", none, 200},
		{"page with another token", "GET", "/?t=" + strings.Repeat("0", 32), "", none, 403},
		{"page with an empty token", "GET", "/?t=", "", nil, 403},
		{"page without cookie", "GET", "/", "", none, 403},
		{"events without cookie", "GET", "/events", "", none, 403},
		{"asset without cookie", "GET", "/assets/kiosk.css", "", none, 403},
		{"press without cookie", "POST", "/press", good, none, 403},
		{"press with the token in the address", "POST", "/press?t=" + d.conf.Token, good, none, 403},
		{"another program's cookie", "GET", "/", "", set("Cookie", cookieName+"=0123"), 403},
		{"rebound name", "GET", "/", "", host("evil.example:8701"), 403},
		{"localhost by name", "GET", "/", "", host("localhost:8701"), 403},
		{"host without port", "GET", "/", "", host("127.0.0.1"), 403},
		{"press from another origin", "POST", "/press", good, set("Origin", "http://evil.example"), 403},
		{"press from another port", "POST", "/press", good, func(r *http.Request) {
			r.Header.Set("Origin", "http://127.0.0.1:8702")
			r.Header.Set("Sec-Fetch-Site", "same-site")
		}, 403},
		{"press of origin null", "POST", "/press", good, func(r *http.Request) {
			r.Header.Set("Origin", "null")
			r.Header.Del("Sec-Fetch-Site")
		}, 403},
		{"cross-site press", "POST", "/press", good, set("Sec-Fetch-Site", "cross-site"), 403},
		{"press as text", "POST", "/press", good, set("Content-Type", "text/plain"), 415},
		{"press as JSON", "POST", "/press", "{}", set("Content-Type", "application/json"), 415},
		{"press as multipart", "POST", "/press", good, set("Content-Type", "multipart/form-data; boundary=x"), 415},
		{"press by GET", "GET", "/press?" + good, "", nil, 405},
		{"press by PUT", "PUT", "/press", good, nil, 405},
		{"page by POST", "POST", "/", good, nil, 405},
		{"unknown address", "GET", "/admin", "", nil, 404},
		{"asset outside", "GET", "/assets/..%2fserver.go", "", nil, 404},
		{"another connection", "POST", "/press", strings.Replace(good, conn, strings.Repeat("0", 32), 1), nil, 409},
		{"no connection", "POST", "/press", "step=7&action=large", nil, 409},
		{"step is no number", "POST", "/press", "conn=" + conn + "&step=x&action=large", nil, 400},
		{"step below zero", "POST", "/press", "conn=" + conn + "&step=-1&action=large", nil, 400},
		{"action in capitals", "POST", "/press", "conn=" + conn + "&step=7&action=LARGE", nil, 400},
		{"action too long", "POST", "/press", "conn=" + conn + "&step=7&action=" + strings.Repeat("a", maxAction+1), nil, 400},
		{"value too long", "POST", "/press", "conn=" + conn + "&step=7&action=toggle&value=" + strings.Repeat("1", maxValue+1), nil, 400},
		{"longest value", "POST", "/press", "conn=" + conn + "&step=7&action=toggle&value=" + strings.Repeat("1", maxValue), nil, 204},
		{"control character", "POST", "/press", "conn=" + conn + "&step=7&action=toggle&value=%0a", nil, 400},
		{"largest body", "POST", "/press", pad(good, maxBody), nil, 204},
		{"body too large", "POST", "/press", pad(good, maxBody+1), nil, 400},
	}
	for _, tt := range tests {
		if got := d.status(tt.method, tt.path, tt.body, tt.change); got != tt.want {
			t.Errorf("%s: got %d, want %d", tt.name, got, tt.want)
		}
		pressed := len(d.presses) > 0
		if pressed != (tt.want == 204) {
			t.Errorf("%s: press heard: %v", tt.name, pressed)
		}
		for len(d.presses) > 0 {
			<-d.presses
		}
	}
}

func pad(body string, n int) string {
	body += "&x="
	return body + strings.Repeat("x", n-len(body))
}

// TestHeaders holds the headers of every answer, refusals too.
func TestHeaders(t *testing.T) {
	for _, ancestors := range []string{"", "http://127.0.0.1:8702"} {
		d := newDesk(t, func(c *Config) { c.FrameAncestors = ancestors })
		for _, path := range []string{"/", "/assets/kiosk.js", "/no-such"} {
			res := d.ask("GET", path, "", nil)
			_ = res.Body.Close()
			csp := res.Header.Get("Content-Security-Policy")
			want := "frame-ancestors 'none'"
			if ancestors != "" {
				want = "frame-ancestors " + ancestors
			}
			if !strings.HasPrefix(csp, "default-src 'none';") || !strings.HasSuffix(csp, want) || strings.Contains(csp, "unsafe") {
				t.Errorf("%s: policy %q", path, csp)
			}
			for k, want := range map[string]string{"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"} {
				if got := res.Header.Get(k); got != want {
					t.Errorf("%s: %s is %q, want %q", path, k, got, want)
				}
			}
			if res.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s: another origin may read", path)
			}
		}
	}
	d := newDesk(t, nil)
	res := d.ask("GET", "/?t="+d.conf.Token, "", nil)
	_ = res.Body.Close()
	c := res.Cookies()
	if len(c) != 1 || c[0].Name != cookieName || !c[0].HttpOnly || c[0].SameSite != http.SameSiteStrictMode {
		t.Errorf("cookies %v, want one strict %s", c, cookieName)
	}
}

func TestConfig(t *testing.T) {
	press, browser := func(flow.Press) {}, func(bool) {}
	tests := []struct {
		name string
		conf Config
		ok   bool
	}{
		{"least", Config{Addr: "127.0.0.1:8701"}, true},
		{"no address", Config{}, false},
		{"no port", Config{Addr: "127.0.0.1"}, false},
		{"finest display", Config{Addr: "127.0.0.1:1", MMPerPx: minMMPerPx}, true},
		{"finer", Config{Addr: "127.0.0.1:1", MMPerPx: minMMPerPx - 0.001}, false},
		{"coarsest display", Config{Addr: "127.0.0.1:1", MMPerPx: maxMMPerPx}, true},
		{"coarser", Config{Addr: "127.0.0.1:1", MMPerPx: maxMMPerPx + 0.001}, false},
		{"frame of an origin", Config{Addr: "127.0.0.1:1", FrameAncestors: "http://127.0.0.1:8702"}, true},
		{"frame of everybody", Config{Addr: "127.0.0.1:1", FrameAncestors: "*"}, false},
		{"frame with a second policy", Config{Addr: "127.0.0.1:1", FrameAncestors: "http://a; script-src *"}, false},
		{"short token", Config{Addr: "127.0.0.1:1", Token: "abc"}, false},
	}
	for _, tt := range tests {
		_, err := New(tt.conf, press, browser)
		if (err == nil) != tt.ok || (err != nil && !errors.Is(err, ErrConfig)) {
			t.Errorf("%s: got %v", tt.name, err)
		}
	}
	if _, err := New(Config{Addr: "127.0.0.1:1"}, nil, browser); !errors.Is(err, ErrConfig) {
		t.Errorf("no press: got %v", err)
	}
}

// TestTakeOver opens a second browser: the first goes blank and may not press,
// and the terminal hears of one connection only.
func TestTakeOver(t *testing.T) {
	d := newDesk(t, nil)
	d.Show(samples()[8].screen)
	first := d.open()
	old, _ := first.screen(flow.ScreenMenu)
	if !<-d.browser {
		t.Fatal("browser: got false, want true")
	}
	second := d.open()
	fresh, _ := second.screen(flow.ScreenMenu)
	if kind, _ := first.next(); kind != "gone" {
		t.Errorf("first stream says %s, want gone", kind)
	}
	if kind, _ := first.next(); kind != "end" {
		t.Errorf("first stream goes on with %s", kind)
	}
	if got := d.status("POST", "/press", "conn="+old+"&step=7&action=pay&value=", nil); got != http.StatusConflict {
		t.Errorf("press of the old page: got %d, want 409", got)
	}
	if got := d.status("POST", "/press", "conn="+fresh+"&step=7&action=pay&value=", nil); got != http.StatusNoContent {
		t.Errorf("press of the new page: got %d, want 204", got)
	}
	if p := <-d.presses; p != (flow.Press{Step: 7, Action: flow.ActPay}) {
		t.Errorf("press %+v", p)
	}
	if len(d.browser) != 0 {
		t.Error("the terminal heard of the change of connection")
	}
	second.close()
	if <-d.browser {
		t.Error("browser: got true, want false")
	}
}

// TestWipe holds that a page that was away meanwhile is emptied before the next
// screen.
func TestWipe(t *testing.T) {
	d := newDesk(t, nil)
	d.Show(samples()[8].screen)
	e := d.open()
	e.screen(flow.ScreenMenu)
	d.Wipe()
	if kind, data := e.next(); kind != "wipe" || strings.TrimSpace(data) != "" {
		t.Errorf("got %s %q, want an empty wipe", kind, data)
	}
	if got := d.status("POST", "/press", "conn=0&step=7&action=pay", nil); got != http.StatusConflict {
		t.Errorf("press on a wiped page: got %d", got)
	}
	d.Wipe()
	d.Show(samples()[0].screen)
	kind, _ := e.next()
	if kind != "wipe" {
		t.Errorf("got %s first, want wipe", kind)
	}
	e.screen(flow.ScreenAttract)
}

// TestTurn turns the pages of a list: the kiosk does it, the flow hears a touch.
func TestTurn(t *testing.T) {
	d := newDesk(t, nil)
	sc := samples()[13].screen
	d.Show(sc)
	e := d.open()
	conn, html := e.screen(flow.ScreenPayList)
	if !strings.Contains(html, "1 / 2") {
		t.Errorf("first page does not say 1 / 2")
	}
	press := func(value string) flow.Press {
		if got := d.status("POST", "/press", "conn="+conn+"&step=7&action=page&value="+value, nil); got != http.StatusNoContent {
			t.Fatalf("page %s: got %d", value, got)
		}
		return <-d.presses
	}
	if p := press("1"); p != (flow.Press{Step: 7, Action: flow.ActPage, Value: "1"}) {
		t.Errorf("flow heard %+v", p)
	}
	if _, html := e.screen(flow.ScreenPayList); !strings.Contains(html, "2 / 2") || !strings.Contains(html, `data-value="7"`) {
		t.Errorf("second page does not show the last line")
	}
	for _, beyond := range []string{"2", "-1", "x"} {
		if p := press(beyond); p.Value != "" {
			t.Errorf("page %s was turned", beyond)
		}
	}
	sc.Step, sc.Chosen = 8, 1 // a touch that changes the screen stays on the page
	d.Show(sc)
	if _, html := e.screen(flow.ScreenPayList); !strings.Contains(html, "2 / 2") {
		t.Errorf("page is lost when the list changes")
	}
	d.Show(samples()[8].screen)
	d.Show(sc)
	for {
		_, html := e.screen(flow.ScreenPayList)
		if strings.Contains(html, "1 / 2") {
			break
		}
	}
}

// TestVendored holds the checksums of files that were made by others.
func TestVendored(t *testing.T) {
	for file, want := range map[string]string{
		"axe.min.js":            "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c",
		"LICENSE":               "af175b9d96ee93c21a036152e1b905b0b95304d4ae8c2c921c7609100ba8df7e",
		"LICENSE-3RD-PARTY.txt": "4f8563870d0fca38bbc3e00b6f670cb7fa9f380ba9f26a7f7d1184a6b18b1653",
	} {
		data, err := os.ReadFile("testdata/axe-core/" + file)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(data)
		if got := hex.EncodeToString(sum[:]); got != want {
			t.Errorf("%s: checksum %s, want %s", file, got, want)
		}
	}
}

// TestNoOutside holds that no page, style or script names another origin.
func TestNoOutside(t *testing.T) {
	outside := regexp.MustCompile(`(?i)(https?:)?//[a-z0-9]`)
	for _, dir := range []string{"assets", "templates"} {
		files, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			data, err := os.ReadFile(dir + "/" + f.Name())
			if err != nil {
				t.Fatal(err)
			}
			text := strings.ReplaceAll(string(data), "http://www.w3.org/2000/svg", "")
			if m := outside.FindString(text); m != "" {
				t.Errorf("%s/%s names %q", dir, f.Name(), m)
			}
			for _, bad := range []string{"type=\"password\"", "localStorage", "sessionStorage", "eval(", "innerHTML"} {
				if strings.Contains(text, bad) {
					t.Errorf("%s/%s uses %s", dir, f.Name(), bad)
				}
			}
		}
	}
}

// TestScreenAtAttach: a screen that changes while the page is being attached
// leaves the page waiting for nothing.
func TestScreenAtAttach(t *testing.T) {
	d := newDesk(t, nil)
	d.listen(func(on bool) {
		if on {
			d.Show(flow.Screen{ID: flow.ScreenAttract, Step: 1, Lang: "zh", Actions: []flow.Action{flow.ActLanguage}})
		}
	})
	e := d.open()
	e.screen(flow.ScreenAttract)
}

// listen puts another listener in place before the first page comes.
func (d *desk) listen(f func(bool)) {
	d.tell.Lock()
	defer d.tell.Unlock()
	d.Server.browser = f
}
