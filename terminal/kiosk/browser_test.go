package kiosk

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	cdpruntime "github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/shebao-pay/shebao/terminal/flow"
)

// display is a panel of a kiosk.
type display struct {
	name          string
	width, height int64
	mm            float64
}

var displays = []display{
	{"portrait", 1080, 1920, 0.248},   // 21.5 inch
	{"landscape", 1366, 768, 0.252},   // 15.6 inch, the smallest type in millimetres a pixel
	{"landscape18", 1366, 768, 0.300}, // 18.5 inch
}

// rig is a kiosk server and the browser that shows it.
type rig struct {
	t       *testing.T
	server  *Server
	ctx     context.Context
	presses chan flow.Press
	browser chan bool

	mu       sync.Mutex
	console  []string // errors and warnings of the page
	requests []string // addresses asked for
}

// chromium starts a browser of its own for the test; it ends with it.
func chromium(t *testing.T, width, height int64) context.Context {
	t.Helper()
	opts := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath("/usr/bin/chromium"),
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		chromedp.UserDataDir(t.TempDir()),
		chromedp.WindowSize(int(width), int(height)),
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("hide-scrollbars", true),
		chromedp.Flag("force-prefers-reduced-motion", true),
	}
	alloc, cancelAlloc := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, cancel := chromedp.NewContext(alloc)
	ctx, cancelTime := context.WithTimeout(ctx, 4*time.Minute)
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // it closes the browser and waits
		cancelTime()
		cancel()
		cancelAlloc()
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start /usr/bin/chromium (package chromium): %v", err)
	}
	return ctx
}

// newRig serves a kiosk and opens it in a browser of the display's size.
func newRig(t *testing.T, d display) *rig {
	t.Helper()
	r := &rig{t: t, presses: make(chan flow.Press, 64), browser: make(chan bool, 64)}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.server, err = New(Config{Addr: l.Addr().String(), MMPerPx: d.mm},
		func(p flow.Press) { r.presses <- p }, func(on bool) { r.browser <- on })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.server.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	r.ctx = chromium(t, d.width, d.height)
	if err := chromedp.Listen(r.ctx, r.listen); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(r.ctx, network.Enable, network.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(r.ctx, cdplog.Enable, cdp.Empty{}); err != nil {
		t.Fatal(err)
	}
	r.do(chromedp.EmulateViewport(d.width, d.height), chromedp.Navigate(r.server.URL()))
	if !<-r.browser {
		t.Fatal("browser: got false first, want true")
	}
	return r
}

// listen notes what the page complains of and asks for.
func (r *rig) listen(ev any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch ev := ev.(type) {
	case *cdpruntime.EventConsoleAPICalled:
		r.console = append(r.console, fmt.Sprintf("console %s", ev.Type))
	case *cdpruntime.EventExceptionThrown:
		r.console = append(r.console, ev.ExceptionDetails.Text)
	case *cdplog.EventEntryAdded:
		r.console = append(r.console, ev.Entry.Text)
	case *network.EventRequestWillBeSent:
		r.requests = append(r.requests, ev.Request.URL)
	}
}

func (r *rig) do(steps ...chromedp.Action[chromedp.Void]) {
	r.t.Helper()
	if err := chromedp.Do(r.ctx, steps...); err != nil {
		r.t.Fatal(err)
	}
}

// eval gives the value of a script in the page; a promise is awaited.
func eval[T any](r *rig, script string) T {
	r.t.Helper()
	v, err := chromedp.Run(r.ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		r.t.Fatalf("script %.80s: %v", script, err)
	}
	return v
}

// until waits for the page to make a condition true, looking at each change.
func (r *rig) until(condition string) {
	r.t.Helper()
	if !eval[bool](r, `new Promise((done) => {
		const look = () => { if (`+condition+`) { watch.disconnect(); done(true); } };
		const watch = new MutationObserver(look);
		watch.observe(document, {subtree: true, childList: true, attributes: true, characterData: true});
		look();
		setTimeout(() => done(false), 10000);
	})`) {
		r.t.Fatalf("the page never had %s", condition)
	}
}

// show shows sc and waits until the page has it.
func (r *rig) show(sc flow.Screen) {
	r.t.Helper()
	r.server.Show(sc)
	r.until(fmt.Sprintf(`document.getElementById("screen")?.dataset.screen === %q && document.getElementById("screen").dataset.step === "%d"`, sc.ID, sc.Step))
}

// picture takes a picture of the page.
func (r *rig) picture(file string) {
	r.t.Helper()
	png, err := chromedp.Run(r.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		r.t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(file, png, 0o644); err != nil {
		r.t.Fatal(err)
	}
}

// TestPictures writes a picture of every sample to KIOSK_PICTURES, for a look
// with one's own eyes.
func TestPictures(t *testing.T) {
	dir := os.Getenv("KIOSK_PICTURES")
	if dir == "" {
		return // nobody asked for pictures
	}
	only := os.Getenv("KIOSK_ONLY")
	for _, d := range displays {
		if only != "" && !strings.Contains(only, d.name) {
			continue
		}
		r := newRig(t, d)
		step := uint64(1)
		for _, lang := range languages {
			for _, large := range []bool{false, true} {
				for i, s := range samples() {
					sc := s.in(lang, large)
					step++
					sc.Step = step
					r.show(sc)
					mode := map[bool]string{false: "normal", true: "large"}[large]
					r.picture(filepath.Join(dir, d.name, lang+"-"+mode, fmt.Sprintf("%02d-%s.png", i+1, s.name)))
				}
			}
		}
	}
}
