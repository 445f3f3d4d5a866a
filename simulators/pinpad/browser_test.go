package pinpad

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/shebao-pay/shebao/cardauth/pinblock"
	"github.com/shebao-pay/shebao/si"
)

// chromium starts a browser of its own for the test; problems gets what the page
// does and should not.
func chromium(t *testing.T, origin string, problems chan<- string) context.Context {
	t.Helper()
	alloc, stop := chromedp.NewExecAllocator(context.Background(),
		chromedp.ExecPath("/usr/bin/chromium"), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck, chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(480, 744),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-dev-shm-usage", true))
	tab, closeTab := chromedp.NewContext(alloc)
	ctx, cancel := context.WithTimeout(tab, time.Minute)
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // it closes the browser and waits
		cancel()
		closeTab()
		stop()
	})
	err := chromedp.Listen(ctx, func(ev any) {
		switch e := ev.(type) {
		case *network.EventRequestWillBeSent:
			if !strings.HasPrefix(e.Request.URL, origin+"/") {
				problems <- "request to " + e.Request.URL
			}
		case *runtime.EventExceptionThrown:
			problems <- "script error: " + e.ExceptionDetails.Text
		case *runtime.EventConsoleAPICalled:
			problems <- "console: " + string(e.Type)
		}
	})
	if err != nil {
		t.Fatalf("start /usr/bin/chromium (package chromium): %v", err)
	}
	if _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	return ctx
}

// TestBrowser uses the page in Chromium: clicks and keys arrive in their order,
// the page shows dots and no digit, the keys stay where they are whatever is
// shown, and nothing is asked of anyone else.
func TestBrowser(t *testing.T) {
	p := startPad(t, nil)
	problems := make(chan string, 256)
	ctx := chromium(t, p.Origin(), problems)
	run := func(steps ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		do(t, chromedp.Do(ctx, steps...))
	}
	number := func(script string) int {
		t.Helper()
		n, err := chromedp.Run(ctx, chromedp.Evaluate[int](script))
		do(t, err)
		return n
	}
	const keysTop = `Math.round(document.querySelector(".keys").getBoundingClientRect().top)`

	run(chromedp.Navigate(p.URL()), chromedp.WaitVisible(`.pad[data-state=idle]`))
	idle := number(keysTop)

	r := ask4to6(t)
	done := enter(t.Context(), p.cfg.Socket, r)
	waitEntry(t, p)
	run(chromedp.WaitVisible(`.pad[data-state=entry]`))
	entry := number(keysTop)
	for _, k := range []string{"9", "0", "7", "7", "clear", "1"} {
		run(chromedp.Click(`button[data-k="` + k + `"]`))
	}
	run(chromedp.KeyEvent("85"), chromedp.KeyEvent(kb.Backspace), chromedp.KeyEvent("3"),
		chromedp.WaitVisible(`.dots[aria-label="已输入 6 位"]`))
	if n := number(`document.querySelectorAll(".dots .on").length`); n != 6 {
		t.Errorf("%d dots after six digits", n)
	}
	text, err := chromedp.Run(ctx, chromedp.TextContent(`.glass`))
	do(t, err)
	if want := "￥1,480.00"; !strings.Contains(text, want) || strings.Contains(text, "9071") {
		t.Errorf("the display says %q, want %s and no PIN", text, want)
	}
	run(chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(`.pad[data-state=idle]`))
	got := <-done
	do(t, got.err)
	c, err := pinblock.NewCipher(si.PINFormat4AES, aesKey)
	do(t, err)
	var pin, want pinblock.PIN
	for _, d := range []byte("907183") {
		want.Push(d)
	}
	if err := c.Decipher(&got.block.Block, &r.PAN, &pin); err != nil || pin != want {
		t.Errorf("the block opens to another PIN: keys arrived in another order (%v)", err)
	}

	p.SetFault(Tamper)
	run(chromedp.WaitVisible(`.pad[data-state=fault]`))
	if fault := number(keysTop); idle != entry || idle != fault {
		t.Errorf("the keys move: top at %d idle, %d in an entry, %d at a fault", idle, entry, fault)
	}
	if over := number(`Math.max(document.documentElement.scrollWidth - innerWidth, document.documentElement.scrollHeight - innerHeight)`); over > 0 {
		t.Errorf("the page scrolls by %d pixels", over)
	}
	for len(problems) > 0 {
		t.Error(<-problems)
	}
}
