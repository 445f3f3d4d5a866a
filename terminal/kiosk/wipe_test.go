package kiosk

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/shebao-pay/shebao/terminal/flow"
)

// TestNothingStays plays a session and wipes it: nothing of it may be in the
// document, its title and address, storage, cache, history or the accessibility
// announcer.
func TestNothingStays(t *testing.T) {
	r := newRig(t, displays[0])
	step := uint64(1)
	var canaries []string
	for _, s := range samples() {
		sc := s.in("zh", false)
		step++
		sc.Step = step
		sc.Name, sc.IDTail, sc.Area, sc.CardTail = "金丝*雀", "9K7X", "金丝雀区", "8642"
		r.show(sc)
	}
	canaries = append(canaries, "金丝", "9K7X", "8642", "33011026112200000017", "0193a1b2", "2,012.00")
	r.server.Wipe()
	r.until(`document.getElementById("stage").childNodes.length === 0`)
	attract := samples()[0].in("zh", false)
	attract.Step, attract.Name, attract.CardTail, attract.IDTail = step+1, "", "", ""
	dump := func() string {
		return eval[string](r, `(async () => {
			const parts = [document.documentElement.outerHTML, document.title, location.href, JSON.stringify(history.state)];
			parts.push(JSON.stringify({...localStorage}), JSON.stringify({...sessionStorage}), document.cookie);
			for (const k of await caches.keys()) parts.push("cache " + k);
			for (const d of await indexedDB.databases()) parts.push("database " + d.name);
			for (const e of performance.getEntries()) parts.push(e.name);
			parts.push("history " + history.length);
			return parts.join("\n");
		})()`)
	}
	for _, when := range []string{"after the wipe", "in the next session"} {
		text := dump()
		for _, c := range canaries {
			if strings.Contains(text, c) {
				t.Errorf("%s: %q is still there", when, c)
			}
		}
		for _, bad := range []string{"cache ", "database ", "?t="} {
			if strings.Contains(strings.ReplaceAll(text, r.server.URL(), ""), bad) {
				t.Errorf("%s: the page keeps %q", when, bad)
			}
		}
		if !strings.Contains(text, "\n{}\n{}\n\n") {
			t.Errorf("%s: storage or cookies are readable", when)
		}
		r.show(attract)
	}
	r.quiet()
}

// TestPress presses by touch and by keyboard.
func TestPress(t *testing.T) {
	r := newRig(t, displays[0])
	list := samples()[13].in("zh", false)
	list.Step = 41
	r.show(list)
	r.do(chromedp.Click(chromedp.CSS(`[data-action=toggle][data-value="2"]`)))
	if got, want := <-r.presses, (flow.Press{Step: 41, Action: flow.ActToggle, Value: "2"}); got != want {
		t.Errorf("touch: got %+v, want %+v", got, want)
	}
	list.Step = 42
	r.show(list)
	// The focus stays on the line that was touched; Space presses it again.
	r.do(chromedp.KeyEvent(" "))
	if got, want := <-r.presses, (flow.Press{Step: 42, Action: flow.ActToggle, Value: "2"}); got != want {
		t.Errorf("space: got %+v, want %+v", got, want)
	}
	confirm := samples()[15].in("zh", false)
	confirm.Step = 43
	r.show(confirm)
	r.do(chromedp.KeyEvent(kb.Enter))
	if got, want := <-r.presses, (flow.Press{Step: 43, Action: flow.ActConfirm}); got != want {
		t.Errorf("enter: got %+v, want %+v", got, want)
	}
	// Tab reaches every button in the order of the page.
	confirm.Step = 44
	r.show(confirm)
	var order []string
	for len(order) < 6 { // the turn from the last to the first may pass the page itself
		r.do(chromedp.KeyEvent(kb.Tab))
		if a := eval[string](r, `document.activeElement.dataset.action || ""`); a != "" {
			order = append(order, a)
		}
	}
	if got, want := strings.Join(order, " "), "confirm back help exit large language"; got != want {
		t.Errorf("focus order %q, want %q", got, want)
	}
	// A disabled button presses nothing.
	grey := samples()[9].in("zh", false)
	grey.Step = 45
	r.show(grey)
	r.do(chromedp.Click(chromedp.CSS(`[data-action=pay]`)), chromedp.Click(chromedp.CSS(`[data-action=receipts]`)))
	if got := <-r.presses; got.Action != flow.ActReceipts {
		t.Errorf("a grey tile pressed %+v", got)
	}
	r.quiet()
}

// TestDoubleTap taps twice on a money button: one press leaves the page.
func TestDoubleTap(t *testing.T) {
	r := newRig(t, displays[0])
	confirm := samples()[15].in("zh", false)
	confirm.Step = 50
	r.show(confirm)
	eval[bool](r, `(() => { const b = document.querySelector("[data-action=confirm]"); b.click(); b.click(); b.click(); return true; })()`)
	<-r.presses
	next := samples()[16].in("zh", false)
	next.Step = 51
	r.show(next)
	if n := len(r.presses); n != 0 {
		t.Errorf("%d more presses came", n)
	}
}

// TestKeysFiltered presses what could lead out of the page. The page must stay,
// and each key must be refused.
func TestKeysFiltered(t *testing.T) {
	r := newRig(t, displays[0])
	menu := samples()[8].in("zh", false)
	menu.Step = 60
	r.show(menu)
	eval[bool](r, `(() => { window.passed = []; addEventListener("keydown", (e) => { if (!e.defaultPrevented) window.passed.push(e.key); }); return true; })()`)
	const ctrl, alt, meta = 2, 1, 4
	for _, k := range []struct {
		key  string
		mods int64
	}{
		{"F1", 0}, {"F3", 0}, {"F5", 0}, {"F6", 0}, {"F7", 0}, {"F10", 0}, {"F11", 0}, {"F12", 0}, {"Escape", 0}, {"ContextMenu", 0}, {"PrintScreen", 0},
		{"p", ctrl}, {"s", ctrl}, {"o", ctrl}, {"u", ctrl}, {"j", ctrl}, {"h", ctrl}, {"l", ctrl}, {"n", ctrl}, {"t", ctrl}, {"w", ctrl}, {"r", ctrl}, {"f", ctrl}, {"g", ctrl}, {"d", ctrl},
		{"+", ctrl}, {"-", ctrl}, {"0", ctrl}, {"ArrowLeft", alt}, {"ArrowRight", alt}, {"Home", alt}, {"d", alt}, {"F4", alt}, {"Tab", alt}, {"q", meta}, {"i", ctrl | 8}, {"Delete", ctrl | 8}, {"Tab", ctrl},
		{"BrowserBack", 0}, {"BrowserHome", 0}, {"BrowserSearch", 0}, {"LaunchMail", 0}, {"Backspace", 0}, {"a", 0}, {"/", 0}, {"'", 0},
	} {
		p := input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeRawKeyDown, Key: k.key, Modifiers: k.mods}
		if _, err := chromedp.Call(r.ctx, input.DispatchKeyEvent, p); err != nil {
			t.Fatal(err)
		}
	}
	if passed := eval[string](r, `window.passed.join(" ")`); passed != "" {
		t.Errorf("keys came through: %s", passed)
	}
	for _, kind := range []string{"contextmenu", "dragstart", "drop", "selectstart", "copy", "paste", "auxclick"} {
		if eval[bool](r, fmt.Sprintf(`document.querySelector("h1").dispatchEvent(new Event(%q, {bubbles: true, cancelable: true}))`, kind)) {
			t.Errorf("%s is not refused", kind)
		}
	}
	if at := eval[string](r, `location.pathname + location.search`); at != "/" {
		t.Errorf("the page is at %s", at)
	}
	if got := eval[string](r, `document.getElementById("screen").dataset.screen`); got != "menu" {
		t.Errorf("the page shows %s", got)
	}
}

// TestReload shows the same screen again after a reload.
func TestReload(t *testing.T) {
	r := newRig(t, displays[0])
	paid := samples()[19].in("zh", true)
	paid.Step = 70
	r.show(paid)
	r.do(chromedp.Reload())
	r.until(`document.getElementById("screen")?.dataset.step === "70" && document.documentElement.classList.contains("large")`)
}
