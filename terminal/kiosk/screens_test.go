package kiosk

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/shebao-pay/shebao/terminal/flow"
)

// capRatio is the height of a capital letter of the kiosk's font in parts of its
// size. TestCapRatio measures it.
const capRatio = 0.733

// TestScreens looks at every declared screen in both languages and both type
// sizes on every display: sizes, gaps, cuts, places, axe-core, requests and
// complaints of the browser.
func TestScreens(t *testing.T) {
	axe, err := os.ReadFile("testdata/axe-core/axe.min.js")
	if err != nil {
		t.Fatal(err)
	}
	check, err := os.ReadFile("testdata/check.js")
	if err != nil {
		t.Fatal(err)
	}
	on := displays
	if testing.Short() {
		on = displays[:1]
	}
	for _, d := range on {
		t.Run(d.name, func(t *testing.T) {
			r := newRig(t, d)
			eval[bool](r, string(axe)+"; true")
			visited := map[flow.ScreenID]int{}
			step := uint64(100)
			for _, lang := range languages {
				for _, large := range []bool{false, true} {
					places := map[string]string{} // of Back, Help, Exit
					for _, s := range samples() {
						sc := s.in(lang, large)
						step++
						sc.Step = step
						r.show(sc)
						visited[sc.ID]++
						what := fmt.Sprintf("%s %s large=%v %s", d.name, lang, large, s.name)
						looks(t, r, string(check), what, d, large)
						fixed(t, r, places, what)
						if d.name != "landscape18" { // the same markup in the same colours
							axeFinds(t, r, what)
						}
					}
				}
			}
			for id := range layouts {
				if visited[id] != 4*countSamples(id) || visited[id] == 0 {
					t.Errorf("screen %s was visited %d times, want %d", id, visited[id], 4*countSamples(id))
				}
			}
			r.quiet()
		})
	}
}

func countSamples(id flow.ScreenID) (n int) {
	for _, s := range samples() {
		if s.screen.ID == id {
			n++
		}
	}
	return n
}

// looks runs the display's rules on the present screen.
func looks(t *testing.T, r *rig, check, what string, d display, large bool) {
	t.Helper()
	capMM, box := 4.8, 80
	if large {
		capMM, box = 7.3, 112
	}
	if bad := eval[string](r, fmt.Sprintf("%s(%v, %d, %v, %v)", check, capMM, box, d.mm, capRatio)); bad != "" {
		t.Errorf("%s:\n%s", what, bad)
	}
}

// fixed holds that Back, Help and Exit stand where they stood on the screens
// before.
func fixed(t *testing.T, r *rig, places map[string]string, what string) {
	t.Helper()
	raw := eval[string](r, `JSON.stringify(Object.fromEntries(["back", "help", "exit"].flatMap((a) => {
		const b = document.querySelector("[data-action=" + a + "]");
		if (!b) return [];
		const r = b.getBoundingClientRect();
		return [[a, [r.left, r.top, r.width, r.height].map(Math.round).join(" ")]];
	})))`)
	var now map[string]string
	if err := json.Unmarshal([]byte(raw), &now); err != nil {
		t.Fatal(err)
	}
	for a, at := range now {
		if was, ok := places[a]; ok && was != at {
			t.Errorf("%s: %s is at %s, was at %s", what, a, at, was)
		}
		places[a] = at
	}
}

// axeFinds runs axe-core and fails on what it calls serious or critical.
func axeFinds(t *testing.T, r *rig, what string) {
	t.Helper()
	bad := eval[string](r, `axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"], resultTypes: ["violations"]})
		.then((r) => r.violations.filter((v) => v.impact === "serious" || v.impact === "critical")
			.map((v) => v.id + " (" + v.impact + "): " + v.nodes.map((n) => n.target + " " + (n.any[0]?.message || "")).join("; ")).join("\n"))`)
	if bad != "" {
		t.Errorf("%s: axe-core:\n%s", what, bad)
	}
}

// quiet holds that the page asked for nothing outside its origin and complained
// of nothing.
func (r *rig) quiet() {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, u := range r.requests {
		if !strings.HasPrefix(u, "http://"+r.server.conf.Addr+"/") {
			r.t.Errorf("request to another origin: %s", u)
		}
	}
	for _, c := range r.console {
		r.t.Errorf("console: %s", c)
	}
}

// TestCapRatio measures the font that is installed: the stylesheet and the size
// checks rest on this number.
func TestCapRatio(t *testing.T) {
	r := newRig(t, displays[0])
	got := eval[float64](r, `document.fonts.ready.then(() => {
		const c = document.createElement("canvas").getContext("2d");
		c.font = "1000px " + getComputedStyle(document.body).fontFamily;
		return c.measureText("H").actualBoundingBoxAscent / 1000;
	})`)
	if got < capRatio-0.003 || got > capRatio+0.01 {
		t.Errorf("cap height of the font is %v of its size, want %v: is fonts-noto-cjk installed?", got, capRatio)
	}
}
