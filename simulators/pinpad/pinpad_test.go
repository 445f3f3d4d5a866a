package pinpad

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/shebao-pay/shebao/cardauth/epp"
	"github.com/shebao-pay/shebao/cardauth/pinblock"
	"github.com/shebao-pay/shebao/si"
)

// TestMain looks for goroutines left behind. net/http lingers half a second on a
// connection whose request was too long, whoever closes it.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

var (
	aesKey  = bytes.Repeat([]byte{0x11, 0x27, 0x3B, 0x4D}, 8)
	tdesKey = []byte("0123456789abcdef")
)

func startPad(t testing.TB, change func(*Config)) *Pad {
	t.Helper()
	cfg := Config{
		AESKey: aesKey, AESName: "terminal/1/tpk", TDESKey: tdesKey, TDESName: "terminal/1/tpk0",
		Socket: filepath.Join(t.TempDir(), "s"),
	}
	if change != nil {
		change(&cfg)
	}
	p, err := Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func testPAN(t testing.TB) si.PAN {
	t.Helper()
	body := "629900010000001"
	luhn, err := si.LuhnDigit(body)
	if err != nil {
		t.Fatal(err)
	}
	pan, err := si.ParsePAN(body + string(luhn))
	if err != nil {
		t.Fatal(err)
	}
	return pan
}

// ended is what a terminal's Enter gave.
type ended struct {
	block  epp.Block
	counts []int
	err    error
}

func enter(ctx context.Context, path string, r epp.Request) chan ended {
	out := make(chan ended, 1)
	go func() {
		var e ended
		e.block, e.err = epp.Dial(path).Enter(ctx, r, func(n int) { e.counts = append(e.counts, n) })
		out <- e
	}()
	return out
}

func ask4to6(t testing.TB) epp.Request {
	return epp.Request{PAN: testPAN(t), Format: si.PINFormat4AES, Amount: 148000, MinLen: 4, MaxLen: 6}
}

func waitEntry(t testing.TB, p *Pad) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := p.WaitEntry(ctx); err != nil {
		t.Fatal(err)
	}
}

func do(t testing.TB, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestEntry types with a mistake, too few digits, too many, and gets a block that
// opens to what was typed, in both formats.
func TestEntry(t *testing.T) {
	p := startPad(t, nil)
	for _, format := range []si.PINFormat{si.PINFormat4AES, si.PINFormat0TDES} {
		r := ask4to6(t)
		r.Format = format
		done := enter(t.Context(), p.cfg.Socket, r)
		waitEntry(t, p)
		do(t, p.Type("12"), p.Enter(), p.Type("9"), p.Clear(), p.Type("34567"), p.Enter())
		got := <-done
		do(t, got.err)
		if want := "[1 2 2 3 2 3 4 5 6 6]"; fmt.Sprint(got.counts) != want {
			t.Errorf("format %d: counts %v, want %s", format, got.counts, want)
		}
		key, name := aesKey, "terminal/1/tpk"
		if format == si.PINFormat0TDES {
			key, name = tdesKey, "terminal/1/tpk0"
		}
		if got.block.Key != name || got.block.Format != format {
			t.Errorf("format %d: block under %q in format %d", format, got.block.Key, got.block.Format)
		}
		c, err := pinblock.NewCipher(format, key)
		do(t, err)
		var pin, want pinblock.PIN
		for _, d := range []byte("123456") {
			want.Push(d)
		}
		if err := c.Decipher(&got.block.Block, &r.PAN, &pin); err != nil || pin != want {
			t.Errorf("format %d: the block opens to another PIN (%v)", format, err)
		}
	}
}

func TestEndings(t *testing.T) {
	short := Times{FirstKey: 40 * time.Millisecond, Between: 40 * time.Millisecond, Whole: 150 * time.Millisecond}
	for name, c := range map[string]struct {
		times Times
		play  func(t *testing.T, p *Pad, cancel context.CancelFunc)
		want  error
	}{
		"cancel key":       {Times{}, func(t *testing.T, p *Pad, _ context.CancelFunc) { do(t, p.Type("12"), p.Cancel()) }, epp.ErrCancelled},
		"terminal cancels": {Times{}, func(_ *testing.T, _ *Pad, cancel context.CancelFunc) { cancel() }, epp.ErrCancelled},
		"no first key":     {short, func(*testing.T, *Pad, context.CancelFunc) {}, epp.ErrTimeout},
		"no further key":   {short, func(t *testing.T, p *Pad, _ context.CancelFunc) { do(t, p.Type("1")) }, epp.ErrTimeout},
		"tamper":           {Times{}, func(t *testing.T, p *Pad, _ context.CancelFunc) { do(t, p.Type("12")); p.SetFault(Tamper) }, epp.ErrFault},
		"key lost":         {Times{}, func(_ *testing.T, p *Pad, _ context.CancelFunc) { p.SetFault(NoKey) }, epp.ErrFault},
		"keys without end": {short, func(_ *testing.T, p *Pad, _ context.CancelFunc) {
			for p.Type("1") == nil { // the whole entry is bounded, however busy it is
				time.Sleep(time.Millisecond)
			}
		}, epp.ErrTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			p := startPad(t, func(c2 *Config) { c2.Times = c.times })
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := enter(ctx, p.cfg.Socket, ask4to6(t))
			if c.times == (Times{}) {
				waitEntry(t, p)
			} else {
				_ = p.WaitEntry(ctx) // it may be over already
			}
			c.play(t, p, cancel)
			got := <-done
			if !errors.Is(got.err, c.want) || !got.block.Block.IsZero() {
				t.Errorf("Enter: %v, want %v", got.err, c.want)
			}
			waitIdle(t, p)
		})
	}
}

// waitIdle waits until no entry is under way: after a terminal hung up, the pad
// learns it a moment later.
func waitIdle(t *testing.T, p *Pad) {
	t.Helper()
	for {
		p.mu.Lock()
		under, turn := p.entry != nil, p.turn
		p.mu.Unlock()
		if !under {
			return
		}
		select {
		case <-turn:
		case <-time.After(10 * time.Second):
			t.Fatal("the entry did not end in 10 s")
		}
	}
}

func TestFaults(t *testing.T) {
	p := startPad(t, func(c *Config) { c.Times.Slow = 30 * time.Millisecond; c.TDESKey = nil })
	pad := epp.Dial(p.cfg.Socket)
	ctx := t.Context()
	do(t, pad.Ready(ctx))
	for _, f := range []Fault{Tamper, NoKey} {
		p.SetFault(f)
		if err := pad.Ready(ctx); !errors.Is(err, epp.ErrFault) || !strings.Contains(err.Error(), f.String()) {
			t.Errorf("Ready with %s: %v, want ErrFault", f, err)
		}
		if _, err := pad.Enter(ctx, ask4to6(t), func(int) {}); !errors.Is(err, epp.ErrFault) {
			t.Errorf("Enter with %s: %v, want ErrFault", f, err)
		}
	}
	p.SetFault(None)
	r := ask4to6(t)
	r.Format = si.PINFormat0TDES
	if _, err := pad.Enter(ctx, r, func(int) {}); !errors.Is(err, epp.ErrFault) {
		t.Errorf("Enter in a format without a key: %v, want ErrFault", err)
	}

	p.SetFault(Slow)
	begin := time.Now()
	done := enter(ctx, p.cfg.Socket, ask4to6(t))
	waitEntry(t, p)
	do(t, p.Type("123456"), p.Enter())
	if err := p.Type("7"); !errors.Is(err, ErrNoEntry) {
		t.Errorf("a key after enter: %v, want ErrNoEntry", err)
	}
	if got := <-done; got.err != nil || time.Since(begin) < p.cfg.Times.Slow {
		t.Errorf("Enter on a slow pad: %v", got.err)
	}
	p.SetFault(None)

	// One entry at a time.
	done = enter(ctx, p.cfg.Socket, ask4to6(t))
	waitEntry(t, p)
	if _, err := pad.Enter(ctx, ask4to6(t), func(int) {}); !errors.Is(err, epp.ErrFault) {
		t.Errorf("a second entry: %v, want ErrFault", err)
	}
	do(t, p.Type("123456"), p.Enter())
	if got := <-done; got.err != nil {
		t.Errorf("the first entry: %v", got.err)
	}
	if err := p.Type("1"); !errors.Is(err, ErrNoEntry) {
		t.Errorf("a key without an entry: %v, want ErrNoEntry", err)
	}
	if err := p.press("F1"); !errors.Is(err, ErrKey) {
		t.Errorf("a key that is not there: %v, want ErrKey", err)
	}
}

func TestStartRefuses(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]Config{
		"key length":    {AESKey: aesKey[:5], AESName: "x", Socket: filepath.Join(dir, "a")},
		"key name":      {AESKey: aesKey, Socket: filepath.Join(dir, "a")},
		"socket folder": {AESKey: aesKey, AESName: "x", Socket: filepath.Join(dir, "none", "a")},
		"page address":  {AESKey: aesKey, AESName: "x", Socket: filepath.Join(dir, "a"), HTTPAddr: "nowhere:x"},
		"page for all":  {AESKey: aesKey, AESName: "x", Socket: filepath.Join(dir, "a"), HTTPAddr: "0.0.0.0:0"},
	} {
		if p, err := Start(c); err == nil {
			t.Errorf("%s: Start took it", name)
			_ = p.Close()
		}
	}
}

// recorder keeps what is read from every connection it makes: all that leaves the
// pad by its page.
type recorder struct {
	mu   sync.Mutex
	read bytes.Buffer
}

func (r *recorder) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return recorded{c, r}, nil
}

type recorded struct {
	net.Conn
	r *recorder
}

func (c recorded) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	c.r.read.Write(b[:n])
	return n, err
}

func (r *recorder) bytes() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.Clone(r.read.Bytes())
}

// browser is an http client with cookies, whose every received byte is recorded.
func browser(t testing.TB) (*http.Client, *recorder) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	do(t, err)
	rec := new(recorder)
	tr := &http.Transport{DialContext: rec.dial}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Jar: jar, Transport: tr}, rec
}

// proxy passes the terminal's socket through and keeps what the pad says.
func proxy(t testing.TB, to string) (path string, said func() []byte) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "p")
	l, err := net.Listen("unix", path)
	do(t, err)
	var mu sync.Mutex
	var all bytes.Buffer
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("unix", to)
			if err != nil {
				t.Error(err)
				return
			}
			wg.Go(func() { _, _ = io.Copy(out, in); _ = out.Close() })
			wg.Go(func() {
				b := make([]byte, 512)
				for {
					n, err := out.Read(b)
					mu.Lock()
					all.Write(b[:n])
					mu.Unlock()
					_, _ = in.Write(b[:n])
					if err != nil {
						_ = in.Close()
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	return path, func() []byte {
		mu.Lock()
		defer mu.Unlock()
		return bytes.Clone(all.Bytes())
	}
}

// forms are the shapes in which digits could leave.
func forms(digits string) [][]byte {
	bcd, _ := hex.DecodeString(digits)
	raw := make([]byte, len(digits))
	reversed := make([]byte, len(digits))
	var wide []byte
	for i := range len(digits) {
		raw[i] = digits[i] - '0'
		reversed[len(digits)-1-i] = digits[i]
		wide = append(wide, digits[i], 0)
	}
	return [][]byte{
		[]byte(digits), bcd, raw, reversed, wide, []byte(hex.EncodeToString([]byte(digits))),
		[]byte(strings.Join(strings.Split(digits, ""), ",")),
	}
}

// TestNoDigitLeaves types a PIN on the page, as a browser does, and looks at every
// byte that leaves the pad: to the terminal, to the page, to the log.
func TestNoDigitLeaves(t *testing.T) {
	const canary = "907183"
	var logged bytes.Buffer
	log.SetOutput(&logged)
	defer log.SetOutput(io.Discard)

	p := startPad(t, nil)
	through, said := proxy(t, p.cfg.Socket)
	c, rec := browser(t)
	resp, err := c.Get(p.URL())
	do(t, err)
	_, _ = io.Copy(io.Discard, resp.Body)
	do(t, resp.Body.Close())
	events, err := c.Get(p.Origin() + "/events")
	do(t, err)
	defer func() { _ = events.Body.Close() }()
	stream := bufio.NewScanner(events.Body)
	next := func() (v view) {
		for stream.Scan() {
			if data, ok := strings.CutPrefix(stream.Text(), "data: "); ok {
				d := json.NewDecoder(strings.NewReader(data))
				d.DisallowUnknownFields()
				do(t, d.Decode(&v))
				return v
			}
		}
		t.Fatal("the event stream ended")
		return v
	}
	if v := next(); v.State != "idle" {
		t.Errorf("first view %+v, want idle", v)
	}

	r := ask4to6(t)
	done := enter(t.Context(), through, r)
	waitEntry(t, p)
	if v := next(); v.State != "entry" || v.Amount != "1,480.00" || v.Count != 0 {
		t.Errorf("view of a new entry %+v", v)
	}
	for i := range canary {
		press(t, c, p, canary[i:i+1], http.StatusNoContent)
		if v := next(); v.Count != i+1 {
			t.Errorf("after %d keys the page shows %d", i+1, v.Count)
		}
	}
	press(t, c, p, "enter", http.StatusNoContent)
	got := <-done
	do(t, got.err)
	if v := next(); v.State != "idle" {
		t.Errorf("last view %+v, want idle", v)
	}

	cipher, err := pinblock.NewCipher(si.PINFormat4AES, aesKey)
	do(t, err)
	var pin, want pinblock.PIN
	for _, d := range []byte(canary) {
		want.Push(d)
	}
	if err := cipher.Decipher(&got.block.Block, &r.PAN, &pin); err != nil || pin != want {
		t.Errorf("the block does not open to what was typed (%v)", err)
	}
	if !bytes.Contains(said(), []byte(hex.EncodeToString(got.block.Block.Reveal("test")))) {
		t.Error("the recording of the socket misses the block: the test looks at nothing")
	}
	if !bytes.Contains(rec.bytes(), []byte(`"count":6`)) {
		t.Error("the recording of the page misses the counts: the test looks at nothing")
	}
	for _, form := range forms(canary) {
		for where, b := range map[string][]byte{"socket": said(), "page": rec.bytes(), "log": logged.Bytes()} {
			if bytes.Contains(b, form) {
				t.Errorf("the PIN left by the %s as %q", where, form)
			}
		}
	}
	pan := r.PAN.Reveal("test")
	for where, b := range map[string][]byte{"socket": said(), "page": rec.bytes()} {
		if bytes.Contains(b, []byte(pan)) {
			t.Errorf("the card number left by the %s", where)
		}
	}
	if logged.Len() != 0 {
		t.Errorf("the pad logged %d bytes", logged.Len())
	}
}

func press(t testing.TB, c *http.Client, p *Pad, key string, want int) {
	t.Helper()
	resp, err := c.PostForm(p.Origin()+"/key", url.Values{"k": {key}})
	do(t, err)
	body, err := io.ReadAll(resp.Body)
	do(t, err, resp.Body.Close())
	if resp.StatusCode != want || want == http.StatusNoContent && len(body) != 0 {
		t.Errorf("POST /key: %s with %d bytes, want %d and nothing", resp.Status, len(body), want)
	}
}

// TestPageGuards asks as nobody should.
func TestPageGuards(t *testing.T) {
	p := startPad(t, func(c *Config) { c.FrameAncestors = "http://127.0.0.1:8702" })
	in, _ := browser(t)
	resp, err := in.Get(p.URL())
	do(t, err, resp.Body.Close())
	if resp.StatusCode != http.StatusOK || resp.Request.URL.RawQuery != "" {
		t.Fatalf("page: %s at %s", resp.Status, resp.Request.URL)
	}
	policy := resp.Header.Get("Content-Security-Policy")
	if !strings.HasPrefix(policy, "default-src 'none';") || !strings.Contains(policy, "frame-ancestors http://127.0.0.1:8702") ||
		strings.Contains(policy, "unsafe") {
		t.Errorf("policy %q", policy)
	}
	cookies := in.Jar.Cookies(resp.Request.URL)
	if len(cookies) != 1 || cookies[0].Name != p.cookie {
		t.Errorf("cookies %v", cookies)
	}

	out, _ := browser(t)
	ask := func(c *http.Client, method, path, body string, change func(*http.Request)) int {
		t.Helper()
		r, err := http.NewRequest(method, p.Origin()+path, strings.NewReader(body))
		do(t, err)
		if body != "" {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		if change != nil {
			change(r)
		}
		resp, err := c.Do(r)
		do(t, err)
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	header := func(k, v string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(k, v) }
	}
	for name, got := range map[string]int{
		"page without cookie":    ask(out, "GET", "/", "", nil),
		"events without cookie":  ask(out, "GET", "/events", "", nil),
		"key without cookie":     ask(out, "POST", "/key", "k=1", nil),
		"wrong token":            ask(out, "GET", "/?token=00", "", nil),
		"another host":           ask(in, "GET", "/", "", func(r *http.Request) { r.Host = "evil.example" }),
		"another origin":         ask(in, "POST", "/key", "k=1", header("Origin", "http://127.0.0.1:8702")),
		"another site":           ask(in, "POST", "/key", "k=1", header("Sec-Fetch-Site", "cross-site")),
		"another port's page":    ask(in, "POST", "/key", "k=1", header("Sec-Fetch-Site", "same-site")),
		"no origin at all, null": ask(in, "POST", "/key", "k=1", header("Origin", "null")),
	} {
		if got != http.StatusForbidden {
			t.Errorf("%s: %d, want 403", name, got)
		}
	}
	for name, c := range map[string]struct{ got, want int }{
		"key by GET":       {ask(in, "GET", "/key?k=1", "", nil), http.StatusMethodNotAllowed},
		"plain text":       {ask(in, "POST", "/key", "k=1", header("Content-Type", "text/plain")), http.StatusBadRequest},
		"unknown key":      {ask(in, "POST", "/key", "k=f1", nil), http.StatusBadRequest},
		"two digits":       {ask(in, "POST", "/key", "k=12", nil), http.StatusBadRequest},
		"body too long":    {ask(in, "POST", "/key", "k="+strings.Repeat("1", maxForm), nil), http.StatusBadRequest},
		"other path":       {ask(in, "GET", "/page/pinpad.html", "", nil), http.StatusNotFound},
		"script":           {ask(in, "GET", "/pinpad.js", "", nil), http.StatusOK},
		"key, no entry":    {ask(in, "POST", "/key", "k=1", nil), http.StatusNoContent},
		"post to the page": {ask(in, "POST", "/", "k=1", nil), http.StatusMethodNotAllowed},
	} {
		if c.got != c.want {
			t.Errorf("%s: %d, want %d", name, c.got, c.want)
		}
	}
}

// TestPageIsClosed finds no way out of the page's own files.
func TestPageIsClosed(t *testing.T) {
	for _, name := range []string{"pinpad.html", "pinpad.css", "pinpad.js"} {
		b, err := files.ReadFile("page/" + name)
		do(t, err)
		for _, bad := range []string{"http:", "https:", "//", "@import", "url(", "innerHTML", "eval(", "localStorage", "type=\"password\""} {
			text := string(b)
			if name == "pinpad.js" {
				var code []string
				for line := range strings.Lines(text) {
					if !strings.HasPrefix(strings.TrimSpace(line), "//") {
						code = append(code, line)
					}
				}
				text = strings.Join(code, "")
			}
			if strings.Contains(text, bad) {
				t.Errorf("%s contains %q", name, bad)
			}
		}
	}
}

// TestViewBound lets maxViews pages look on, and not one more.
func TestViewBound(t *testing.T) {
	p := startPad(t, nil)
	c, _ := browser(t)
	resp, err := c.Get(p.URL())
	do(t, err, resp.Body.Close())
	var open []io.Closer
	defer func() {
		for _, o := range open {
			_ = o.Close()
		}
	}()
	for i := range maxViews + 1 {
		resp, err := c.Get(p.Origin() + "/events")
		do(t, err)
		open = append(open, resp.Body)
		want := http.StatusOK
		if i == maxViews {
			want = http.StatusServiceUnavailable
		}
		if resp.StatusCode != want {
			t.Errorf("page %d: %s, want %d", i+1, resp.Status, want)
		}
	}
}

// TestQuestions sends what no terminal says.
func TestQuestions(t *testing.T) {
	p := startPad(t, nil)
	pan := testPAN(t)
	good := fmt.Sprintf(`{"op":"enter","pan":"%s","format":1,"amount":0,"min":4,"max":6}`, pan.Reveal("test"))
	for name, q := range map[string]string{
		"empty": "\n", "no JSON": "hello\n", "other op": `{"op":"show me"}` + "\n", "unknown field": `{"op":"ready","x":1}` + "\n",
		"two lines": `{"op":"ready"}` + "\n" + `{"op":"ready"}` + "\n", "no card": `{"op":"enter","format":1,"min":4,"max":6}` + "\n",
		"three digits":    strings.Replace(good, `"min":4`, `"min":3`, 1) + "\n",
		"thirteen digits": strings.Replace(good, `"max":6`, `"max":13`, 1) + "\n",
		"format 9":        strings.Replace(good, `"format":1`, `"format":9`, 1) + "\n",
		"negative amount": strings.Replace(good, `"amount":0`, `"amount":-1`, 1) + "\n",
		"endless":         strings.Repeat("x", maxLine+1) + "\n",
	} {
		conn, err := net.Dial("unix", p.cfg.Socket)
		do(t, err)
		_, _ = conn.Write([]byte(q)) // the pad may hang up before the end
		got, _ := io.ReadAll(conn)
		if !strings.Contains(string(got), `"error":"fault"`) {
			t.Errorf("%s: answered %q, want a fault", name, got)
		}
		do(t, conn.Close())
	}
}

// FuzzQuestion: never a panic.
func FuzzQuestion(f *testing.F) {
	f.Add([]byte(`{"op":"enter","pan":"62","format":1,"amount":1,"min":4,"max":6}`))
	f.Add([]byte(`{"op":"ready"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if q, ok := parseQuestion(text); ok && q.Op != "enter" && q.Op != "ready" {
			t.Errorf("took op %q", q.Op)
		}
	})
}
