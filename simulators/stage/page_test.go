package stage

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// The kiosk's display in pixels, upright.
const displayWidth, displayHeight = 1080, 1920

// page is the kiosk's page in a Chromium of its own.
type page struct {
	t      *testing.T
	s      *Stage
	ctx    context.Context
	axe    string
	images string // folder for pictures; empty: none
	shot   int

	mu       sync.Mutex
	origin   string
	problems []string
}

// openPage starts the browser and opens the page. The browser must be there:
// `make test` installs it.
func openPage(t *testing.T, s *Stage) *page {
	t.Helper()
	axe, err := os.ReadFile("../../terminal/kiosk/testdata/axe-core/axe.min.js")
	if err != nil {
		t.Fatal(err)
	}
	alloc, stop := chromedp.NewExecAllocator(context.Background(),
		chromedp.ExecPath("/usr/bin/chromium"), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck, chromedp.UserDataDir(t.TempDir()),
		chromedp.WindowSize(displayWidth, displayHeight),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("hide-scrollbars", true), chromedp.Flag("force-prefers-reduced-motion", true))
	tab, closeTab := chromedp.NewContext(alloc)
	ctx, cancel := context.WithTimeout(tab, 4*time.Minute)
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // it closes the browser and waits
		cancel()
		closeTab()
		stop()
	})
	p := &page{t: t, s: s, ctx: ctx, axe: string(axe)}
	if dir := os.Getenv("SHEBAO_IMAGES"); dir != "" {
		p.images = filepath.Join(dir, "browser")
		p.must(os.MkdirAll(p.images, 0o755))
	}
	if err := chromedp.Listen(ctx, p.hear); err != nil {
		t.Fatalf("start /usr/bin/chromium (package chromium): %v", err)
	}
	_, err = chromedp.Call(ctx, network.Enable, network.EnableParams{})
	p.must(err)
	_, err = chromedp.Call(ctx, cdplog.Enable, cdp.Empty{})
	p.must(err)
	p.do(chromedp.EmulateViewport(displayWidth, displayHeight))
	p.goTo()
	return p
}

// goTo opens the page with the token of the terminal's present life.
func (p *page) goTo() {
	p.t.Helper()
	url, err := p.s.KioskURL()
	p.must(err)
	p.mu.Lock()
	p.origin = url[:strings.LastIndex(url, "/")]
	p.mu.Unlock()
	p.do(chromedp.Navigate(url))
}

// hear notes what the page complains of and what it asks others for.
func (p *page) hear(ev any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	note := func(format string, args ...any) { p.problems = append(p.problems, fmt.Sprintf(format, args...)) }
	switch e := ev.(type) {
	case *runtime.EventConsoleAPICalled:
		note("console %s", e.Type)
	case *runtime.EventExceptionThrown:
		note("script: %s", e.ExceptionDetails.Text)
	case *cdplog.EventEntryAdded:
		note("browser's log: %s (%s)", e.Entry.Text, e.Entry.URL)
	case *network.EventRequestWillBeSent:
		if p.origin != "" && !strings.HasPrefix(e.Request.URL, p.origin+"/") {
			note("request to another origin: %s", e.Request.URL)
		}
	}
}

// forget drops what was heard while a terminal was killed under the page.
func (p *page) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.problems = nil
}

// quiet holds that the page complained of nothing and asked nobody else.
func (p *page) quiet() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.problems {
		p.t.Error(c)
	}
}

func (p *page) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *page) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	p.must(chromedp.Do(p.ctx, steps...))
}

// eval gives the value of a script in the page; a promise is awaited.
func eval[T any](p *page, script string) T {
	p.t.Helper()
	v, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("script %.80s: %v", script, err)
	}
	return v
}

// until waits for the page to make a condition true, looking at each change.
func (p *page) until(limit time.Duration, condition string) {
	p.t.Helper()
	if !eval[bool](p, fmt.Sprintf(`new Promise((done) => {
		const look = () => { if (%s) { watch.disconnect(); done(true); } };
		const watch = new MutationObserver(look);
		watch.observe(document, {subtree: true, childList: true, attributes: true, characterData: true});
		look();
		setTimeout(() => done(false), %d);
	})`, condition, limit.Milliseconds())) {
		p.t.Fatalf("waited %s for %s; the page shows %s", limit, condition, p.id())
	}
}

func isScreen(id string) string {
	return fmt.Sprintf(`document.getElementById("screen")?.dataset.screen === %q`, id)
}

// wait waits for a screen.
func (p *page) wait(id string) { p.t.Helper(); p.until(wait, isScreen(id)) }

func (p *page) id() string {
	return eval[string](p, `document.getElementById("screen")?.dataset.screen ?? "nothing"`)
}

func (p *page) text() string { return eval[string](p, `document.body.innerText`) }

// visit waits for a screen and looks at it: what axe-core finds, and that a
// reload shows the same screen again.
func (p *page) visit(id string) {
	p.t.Helper()
	p.wait(id)
	p.picture(id)
	p.look(id)
	p.do(chromedp.Reload())
	p.wait(id)
}

// look runs axe-core and fails on what it calls serious or critical.
func (p *page) look(id string) {
	p.t.Helper()
	bad := eval[string](p, p.axe+`; axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"], resultTypes: ["violations"]})
		.then((r) => r.violations.filter((v) => v.impact === "serious" || v.impact === "critical")
			.map((v) => v.id + " (" + v.impact + "): " + v.nodes.map((n) => n.target).join("; ")).join("\n"))`)
	if bad != "" {
		p.t.Errorf("%s: axe-core:\n%s", id, bad)
	}
}

// picture keeps a picture of the screen, half size, where SHEBAO_IMAGES says.
func (p *page) picture(id string) {
	p.t.Helper()
	if p.images == "" {
		return
	}
	p.shot++
	p.do(chromedp.EmulateViewport(displayWidth, displayHeight, chromedp.EmulateScale(0.5)))
	png, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	p.must(err)
	p.do(chromedp.EmulateViewport(displayWidth, displayHeight))
	p.must(os.WriteFile(filepath.Join(p.images, fmt.Sprintf("%02d-%s.png", p.shot, id)), png, 0o644))
}

// press clicks a button once.
func (p *page) press(action string) {
	p.t.Helper()
	p.do(chromedp.Click(fmt.Sprintf(`button[data-action=%s]:not(:disabled)`, action)))
}

// pressTwice is a double tap on a button of the present screen, and beside it
// the same request sent twice by other means, as a broken page would.
func (p *page) pressTwice(action string) {
	p.t.Helper()
	eval[bool](p, fmt.Sprintf(`(async () => {
		const s = document.getElementById("screen").dataset, b = document.querySelector("button[data-action=%s]:not(:disabled)");
		const send = () => fetch("/press", {method: "POST", cache: "no-store",
			body: new URLSearchParams({conn: s.conn, step: s.step, action: b.dataset.action, value: b.dataset.value || ""})});
		b.click();
		b.click();
		await Promise.all([send(), send()]);
		return true;
	})()`, action))
}

// typePIN types at the pad when it asks; the page shows a dot a digit.
func (p *page) typePIN(pin string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), wait)
	defer cancel()
	p.must(p.s.Pad.WaitEntry(ctx))
	p.must(p.s.Pad.Type(pin))
	p.until(wait, fmt.Sprintf(`document.querySelectorAll(".dots .on").length === %d`, len(pin)))
	p.must(p.s.Pad.Enter())
}
