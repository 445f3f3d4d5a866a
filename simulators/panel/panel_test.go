package panel

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"go.uber.org/goleak"

	"github.com/shebao-pay/shebao/simulators/pinpad"
	"github.com/shebao-pay/shebao/simulators/printer"
	"github.com/shebao-pay/shebao/terminal/flow"
	"github.com/shebao-pay/shebao/terminal/kiosk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is everything behind the panel, faked.
type world struct {
	mu      sync.Mutex
	in      string
	faults  map[string]bool
	strips  []Strip
	inbox   []Message
	asked   []string
	changed func()
}

func (w *world) Cards() []Card {
	return []Card{
		{ID: "resident", Name: "李小明", Bank: "ccb", BankName: "示例建设银行", Tail: "0304", Story: "欠一年养老和两年医保，余额充足", StoryEn: "owes pension and medical dues"},
		{ID: "elder", Name: "王秀英", Bank: "rcb", BankName: "示例农商银行", Tail: "1188", Story: "高龄老人，只缴医保，宜用长辈版", StoryEn: "elder; try large type"},
		{ID: "icbc", Name: "陈建国", Bank: "icbc", BankName: "示例工商银行", Tail: "7781", Story: "19 位卡号", StoryEn: "19-digit account"},
		{ID: "boc", Name: "沈云", Bank: "boc", BankName: "示例中国银行", Tail: "2044", Story: "国密芯片卡", StoryEn: "SM4 chip"},
		{ID: "poor", Name: "周小燕", Bank: "ccb", BankName: "示例建设银行", Tail: "5523", Story: "卡内余额不足", StoryEn: "not enough money"},
		{ID: "expired", Name: "<b>吴强</b>", Bank: "icbc", BankName: "示例工商银行", Tail: "9034", Story: "卡已过有效期", StoryEn: "card past its date"},
	}
}
func (w *world) Inserted() string { w.mu.Lock(); defer w.mu.Unlock(); return w.in }
func (w *world) Insert(_ context.Context, id string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.in != "" {
		return errors.New("插卡口已有卡 the slot is taken")
	}
	w.in = id
	return nil
}
func (w *world) Pull(context.Context) error { w.mu.Lock(); defer w.mu.Unlock(); w.in = ""; return nil }
func (w *world) Groups() []FaultGroup {
	w.mu.Lock()
	defer w.mu.Unlock()
	return []FaultGroup{
		{ID: "bank", Title: "银行", TitleEn: "bank", Faults: []Fault{
			{ID: "drop-reply", Label: "扣款后不回复", LabelEn: "debits, never replies", On: w.faults["drop-reply"]},
			{ID: "wrong-mac", Label: "回复的校验码错误", LabelEn: "wrong MAC", On: w.faults["wrong-mac"]},
			{ID: "cutover", Label: "现在日切", LabelEn: "cutover now", Once: true}}},
		{ID: "printer", Title: "打印机", TitleEn: "printer", Faults: []Fault{
			{ID: "jam", Label: "卡纸", LabelEn: "paper jam", On: w.faults["jam"]}}},
	}
}
func (w *world) Set(_ context.Context, group, id string, on bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, group+"/"+id)
	w.faults[id] = on
	return nil
}
func (w *world) Strips() []Strip {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]Strip(nil), w.strips...)
}
func (w *world) Clear() { w.mu.Lock(); defer w.mu.Unlock(); w.strips = nil }
func (w *world) Banks() []Bank {
	return []Bank{{"rcb", "示例农商银行"}, {"ccb", "示例建设银行"}}
}
func (w *world) Notices() []Notice {
	return []Notice{{No: "33011026000000001742", Text: "李*明 城乡居民养老 2026", Total: 100000}, {No: "33011026000000001839", Text: "王*英 城乡居民医疗 2026", Total: 48000}}
}
func (w *world) Inquire(_ context.Context, bank, notice string) (CounterAnswer, error) {
	if len(notice) != 20 {
		return CounterAnswer{Lines: []string{"通知单号应为 20 位 a notice number has 20 digits"}}, nil
	}
	return CounterAnswer{OK: true, Lines: []string{"李*明", "应缴 ￥1,000.00"}}, nil
}
func (w *world) Pay(_ context.Context, bank, notice string) (CounterAnswer, error) {
	if bank == "down" {
		return CounterAnswer{}, errors.New("银行连接中断 bank link down")
	}
	return CounterAnswer{OK: true, Lines: []string{"已缴 paid", "回单号 33011026112200000018"}}, nil
}
func (w *world) Reverse(_ context.Context, bank, notice string) (CounterAnswer, error) {
	return CounterAnswer{OK: true, Lines: []string{"已冲正 reversed"}}, nil
}
func (w *world) messages() []Message {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]Message(nil), w.inbox...)
}

type rig struct {
	*Server
	w      *world
	client *http.Client
}

// newRig serves a panel with a fake world around the two frames.
func newRig(t *testing.T, l net.Listener, kioskURL, padURL string) *rig {
	t.Helper()
	r := &rig{w: &world{faults: map[string]bool{}}}
	var err error
	r.Server, err = New(Config{Addr: l.Addr().String(), KioskURL: kioskURL, PadURL: padURL, PIN: "123456",
		Tray: r.w, Faults: r.w, Paper: r.w, Counter: r.w, Messages: r.w.messages, Console: "http://127.0.0.1:8704/"})
	if err != nil {
		t.Fatal(err)
	}
	r.w.changed = r.Changed
	tr := &http.Transport{}
	r.client = &http.Client{Transport: tr, Timeout: 10 * time.Second}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
		tr.CloseIdleConnections()
	})
	return r
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// ask sends a request with the panel's cookie; change spoils it.
func (r *rig) ask(t *testing.T, method, path string, form url.Values, change func(*http.Request)) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, r.Origin()+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.AddCookie(&http.Cookie{Name: cookieName, Value: r.cookie})
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", r.Origin())
	}
	if change != nil {
		change(req)
	}
	res, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func TestGuard(t *testing.T) {
	r := newRig(t, listen(t), "http://127.0.0.1:8701/?t=1", "http://127.0.0.1:8703/")
	set := func(k, v string) func(*http.Request) { return func(q *http.Request) { q.Header.Set(k, v) } }
	form := url.Values{"id": {"resident"}}
	_, port, _ := strings.Cut(r.conf.Addr, ":")
	for _, tt := range []struct {
		name, method, path string
		change             func(*http.Request)
		want               int
	}{
		{"page", "GET", "/", nil, 200},
		{"page of a newcomer", "GET", "/", set("Cookie", ""), 200},
		{"another host", "GET", "/", func(q *http.Request) { q.Host = "evil.example" }, 403},
		{"localhost by name goes to the address", "GET", "/", func(q *http.Request) { q.Host = "localhost:" + port }, 200},
		{"localhost by name elsewhere", "GET", "/events", func(q *http.Request) { q.Host = "localhost:" + port }, 403},
		{"events without cookie", "GET", "/events", set("Cookie", ""), 403},
		{"insert by GET", "GET", "/insert?id=resident", nil, 405},
		{"insert without cookie", "POST", "/insert", set("Cookie", ""), 403},
		{"insert from the kiosk's origin", "POST", "/insert", set("Origin", "http://127.0.0.1:8701"), 403},
		{"insert cross-site", "POST", "/insert", set("Sec-Fetch-Site", "cross-site"), 403},
		{"file outside", "GET", "/page/..%2fpanel.go", nil, 404},
		{"template as a file", "GET", "/page/panel.html", nil, 404},
		{"no such paper", "GET", "/paper/9", nil, 404},
		{"insert", "POST", "/insert", nil, 204},
		{"insert twice", "POST", "/insert", nil, 422},
	} {
		if got, body := r.ask(t, tt.method, tt.path, form, tt.change); got != tt.want {
			t.Errorf("%s: got %d %s, want %d", tt.name, got, body, tt.want)
		}
	}
	long := url.Values{"id": {strings.Repeat("x", maxBody)}}
	if got, _ := r.ask(t, "POST", "/insert", long, nil); got != http.StatusBadRequest {
		t.Errorf("long body: got %d, want 400", got)
	}
}

func TestConfig(t *testing.T) {
	w := &world{}
	good := Config{Addr: "127.0.0.1:8702", KioskURL: "http://127.0.0.1:8701/", PadURL: "http://127.0.0.1:8703/", Tray: w}
	if _, err := New(good); err != nil {
		t.Errorf("least configuration: %v", err)
	}
	for name, change := range map[string]func(*Config){
		"no address":        func(c *Config) { c.Addr = "" },
		"no tray":           func(c *Config) { c.Tray = nil },
		"no kiosk":          func(c *Config) { c.KioskURL = "" },
		"policy in a frame": func(c *Config) { c.PadURL = "http://a; script-src */" },
	} {
		c := good
		change(&c)
		if _, err := New(c); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: got %v, want %v", name, err, ErrConfig)
		}
	}
}

// TestActs presses each kind of button and looks at the page.
func TestActs(t *testing.T) {
	r := newRig(t, listen(t), "http://127.0.0.1:8701/?t=1", "http://127.0.0.1:8703/")
	must := func(path string, form url.Values) {
		t.Helper()
		if got, body := r.ask(t, "POST", path, form, nil); got != http.StatusNoContent {
			t.Fatalf("%s: %d %s", path, got, body)
		}
	}
	must("/insert", url.Values{"id": {"resident"}})
	must("/fault", url.Values{"group": {"printer"}, "id": {"jam"}, "on": {"true"}})
	must("/inquire", url.Values{"bank": {"ccb"}, "notice": {"3301 1026 0000 0000 1742"}})
	must("/pay", url.Values{"bank": {"ccb"}, "notice": {"33011026000000001742"}})
	r.w.mu.Lock()
	r.w.strips = []Strip{{No: 3, SVG: "<svg/>", Whole: false}}
	r.w.inbox = []Message{{To: "138****0000", Text: "<i>您的缴费已确认</i>"}}
	r.w.mu.Unlock()
	_, page := r.ask(t, "GET", "/", nil, nil)
	for _, want := range []string{"已插入 in the slot", `aria-checked="true"`, "应缴 ￥1,000.00", "回单号 33011026112200000018", "/paper/3", "stopped half way", "&lt;i&gt;您的缴费", "&lt;b&gt;吴强"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q", want)
		}
	}
	if got, svg := r.ask(t, "GET", "/paper/3", nil, nil); got != 200 || svg != "<svg/>" {
		t.Errorf("paper: %d %q", got, svg)
	}
	must("/tear", nil)
	must("/pull", nil)
	_, page = r.ask(t, "GET", "/", nil, nil)
	if strings.Contains(page, "/paper/3") || strings.Contains(page, "已插入") {
		t.Error("paper or card is still there")
	}
	if got, body := r.ask(t, "POST", "/pay", url.Values{"bank": {"down"}, "notice": {"1"}}, nil); got != 422 || !strings.Contains(body, "bank link down") {
		t.Errorf("bank down: %d %q", got, body)
	}
	for range maxLog + 3 {
		must("/inquire", url.Values{"bank": {"ccb"}, "notice": {"1"}})
	}
	if n := len(r.answers()); n != maxLog {
		t.Errorf("%d answers are kept, want %d", n, maxLog)
	}
}

func TestStreamsBound(t *testing.T) {
	s, err := New(Config{Addr: "127.0.0.1:8702", KioskURL: "http://127.0.0.1:8701/", PadURL: "http://127.0.0.1:8703/", Tray: &world{}})
	if err != nil {
		t.Fatal(err)
	}
	for range maxStreams {
		if s.subscribe() == nil {
			t.Fatalf("fewer than %d pages", maxStreams)
		}
	}
	if s.subscribe() != nil {
		t.Errorf("more than %d pages", maxStreams)
	}
}

// TestBrowser opens the panel with a real kiosk and a real PIN pad page in its
// frames: both load, a card is inserted by a click, the page follows.
func TestBrowser(t *testing.T) {
	own, kl := listen(t), listen(t)
	attached := make(chan bool, 8)
	k, err := kiosk.New(kiosk.Config{Addr: kl.Addr().String(), FrameAncestors: "http://" + own.Addr().String(), MMPerPx: 0.252, Demo: true},
		func(flow.Press) {}, func(on bool) { attached <- on })
	if err != nil {
		t.Fatal(err)
	}
	k.Show(flow.Screen{ID: flow.ScreenAttract, Step: 1, Lang: "zh", Region: "示范区", Hotline: "12333", Actions: []flow.Action{flow.ActLanguage, flow.ActLarge}})
	kctx, kstop := context.WithCancel(context.Background())
	kdone := make(chan error, 1)
	go func() { kdone <- k.Serve(kctx, kl) }()
	t.Cleanup(func() { kstop(); <-kdone })
	pad, err := pinpad.Start(pinpad.Config{AESKey: make([]byte, 16), AESName: "t", Socket: filepath.Join(t.TempDir(), "pad"), FrameAncestors: "http://" + own.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pad.Close() })
	r := newRig(t, own, k.URL(), pad.URL())

	ctx, complaints := chromium(t)
	if err := chromedp.Do(ctx, chromedp.Navigate(r.URL())); err != nil {
		t.Fatal(err)
	}
	if !<-attached {
		t.Fatal("the kiosk lost its browser")
	}
	picture(t, ctx, "1-empty")
	if err := chromedp.Do(ctx, chromedp.Click(chromedp.CSS(`[data-post="/insert"][data-id="resident"]`))); err != nil {
		t.Fatal(err)
	}
	until(t, ctx, `document.querySelector("#slot .held") && document.querySelector(".steps .done")`)
	if got := r.w.Inserted(); got != "resident" {
		t.Errorf("inserted %q", got)
	}
	k.Show(flow.Screen{ID: flow.ScreenPIN, Step: 2, Lang: "zh", Region: "示范区", Bank: "示例建设银行", CardTail: "0304", Actions: []flow.Action{flow.ActExit}})
	paper, err := printer.Interpret([]byte("\x1b@\x1c&\x1ba\x01\x1d!\x11Receipt\n\x1d!\x00hello\n\x1d(k\x05\x00\x31\x50\x30hi\x1d(k\x03\x00\x31\x51\x30\n\x1dVB\x03"))
	if err != nil {
		t.Fatal(err)
	}
	r.w.mu.Lock()
	r.w.strips = []Strip{{No: 1, SVG: paper.SVG(), Whole: true}}
	r.w.inbox = []Message{{At: time.Unix(0, 0), To: "138****0000", Text: "您的缴费已确认，回单 …0017"}}
	r.w.mu.Unlock()
	r.Changed()
	until(t, ctx, `document.querySelector(".roll img")?.complete`)
	if err := chromedp.Do(ctx, chromedp.Click(chromedp.CSS(`[data-notice]`)), chromedp.Click(chromedp.CSS(`[data-teller="/inquire"]`))); err != nil {
		t.Fatal(err)
	}
	until(t, ctx, `document.querySelector("#answers .ok")`)
	for _, b := range []struct{ button, says string }{{"/pay", "已缴"}, {"/reverse", "已冲正"}} {
		if err := chromedp.Do(ctx, chromedp.Click(chromedp.CSS(`[data-teller="`+b.button+`"]`))); err != nil {
			t.Fatal(err)
		}
		until(t, ctx, `document.querySelector("#answers li")?.textContent.includes("`+b.says+`")`)
	}
	// A scanner types the digits and Enter.
	if err := chromedp.Do(ctx, chromedp.Evaluate[chromedp.Void](`document.querySelector("[name=notice]").value = ""`),
		chromedp.SendKeys(chromedp.CSS(`[name="notice"]`), "3301102600000000183\r")); err != nil {
		t.Fatal(err)
	}
	until(t, ctx, `document.querySelector("#answers li.no")?.textContent.includes("20 位")`)
	if err := chromedp.Do(ctx, chromedp.Evaluate[chromedp.Void](`document.getElementById("counter").scrollIntoView()`)); err != nil {
		t.Fatal(err)
	}
	picture(t, ctx, "3-counter")
	if err := chromedp.Do(ctx, chromedp.Evaluate[chromedp.Void](`scrollTo(0, 0)`)); err != nil {
		t.Fatal(err)
	}
	picture(t, ctx, "2-inserted")
	wide, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`document.documentElement.scrollWidth > innerWidth`))
	if err != nil || wide {
		t.Errorf("the page scrolls sideways (%v)", err)
	}
	for len(complaints) > 0 {
		t.Errorf("browser: %s", <-complaints)
	}
}

func until(t *testing.T, ctx context.Context, condition string) {
	t.Helper()
	ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`new Promise((done) => {
		const look = () => { if (`+condition+`) { watch.disconnect(); done(true); } };
		const watch = new MutationObserver(look);
		watch.observe(document, {subtree: true, childList: true, attributes: true});
		document.addEventListener("load", look, true);
		look();
		setTimeout(() => done(false), 10000);
	})`, chromedp.EvalAwaitPromise))
	if err != nil || !ok {
		t.Fatalf("the page never had %s (%v)", condition, err)
	}
}

// picture writes a picture of the page to PANEL_PICTURES, when that is set.
func picture(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	dir := os.Getenv("PANEL_PICTURES")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		t.Fatal(err)
	}
}

// chromium starts a browser of its own and notes what it complains of.
func chromium(t *testing.T) (context.Context, chan string) {
	t.Helper()
	alloc, cancelAlloc := chromedp.NewExecAllocator(context.Background(),
		chromedp.ExecPath("/usr/bin/chromium"), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(1440, 900),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("force-prefers-reduced-motion", true))
	ctx, cancel := chromedp.NewContext(alloc)
	ctx, cancelTime := context.WithTimeout(ctx, time.Minute)
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // it closes the browser and waits
		cancelTime()
		cancel()
		cancelAlloc()
	})
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(1440, 900)); err != nil {
		t.Fatalf("start /usr/bin/chromium (package chromium): %v", err)
	}
	complaints := make(chan string, 64)
	if err := chromedp.Listen(ctx, func(ev any) {
		switch ev := ev.(type) {
		case *cdplog.EventEntryAdded:
			complaints <- ev.Entry.Text
		case *runtime.EventExceptionThrown:
			complaints <- ev.ExceptionDetails.Text
		}
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, cdplog.Enable, cdp.Empty{}); err != nil {
		t.Fatal(err)
	}
	return ctx, complaints
}
