package kiosk

import (
	"encoding/json"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/terminal/flow"
)

var (
	fixedKey = regexp.MustCompile(`\(?\bt[n]? "([a-z0-9.\-]+)"`)
	kindKey  = regexp.MustCompile(`either "([a-z\-]+)" [.$A-Za-z]+ "([A-Za-z_]+)"`)
)

// kinds are the closed lists of keys that reach the templates as values.
func kinds() map[string][]string {
	var funds []string
	for f := si.PensionEmp; f.Valid(); f++ {
		funds = append(funds, f.String())
	}
	dues := []string{"CURRENT", "ARREARS", "BACKPAY", "SUPPLEMENT", "YEAR"}
	return map[string][]string{
		"card": flow.CardProblems(), "card-do": flow.CardProblems(), "gate": flow.Gates(),
		"reason": flow.Reasons(), "reason-do": flow.Reasons(),
		"fund": funds, "kind": dues, "kind-term": dues,
		"why":     {flow.WhyHeld, flow.WhyNoAccount, flow.WhyOlderFirst, flow.WhyMaxDues},
		"channel": {"TERMINAL", "COUNTER", "EBANK", "BATCH", "DESK"},
		"printer": {flow.PrinterPaper, flow.PrinterJam, flow.PrinterCutter, flow.PrinterOffline, flow.PrinterUnknown},
	}
}

// used are all keys that the templates, the buttons and the closed lists need.
func used(t *testing.T, has map[string]bool) map[string]bool {
	t.Helper()
	keys := map[string]bool{}
	files, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		t.Fatal(err)
	}
	all := kinds()
	for _, f := range files {
		text, err := fs.ReadFile(templateFiles, f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range fixedKey.FindAllStringSubmatch(string(text), -1) {
			keys[m[1]] = true
		}
		for _, m := range kindKey.FindAllStringSubmatch(string(text), -1) {
			keys[m[1]+"."+m[2]] = true
			if len(all[m[1]]) == 0 {
				t.Errorf("%s: kind %q has no list", f, m[1])
			}
			for _, k := range all[m[1]] {
				keys[m[1]+"."+k] = true
			}
		}
	}
	for id, l := range layouts {
		for _, a := range append([]flow.Action{l.Primary, flow.ActBack, flow.ActHelp, flow.ActExit}, l.Beside...) {
			if a == "" {
				continue
			}
			if own := "act." + string(id) + "." + string(a); has[own] {
				keys[own] = true
			} else {
				keys["act."+string(a)] = true
			}
			if a == flow.ActAll {
				keys["act.all-off"] = true
			}
		}
	}
	return keys
}

// TestCatalogues holds that both languages have exactly the keys that are used.
func TestCatalogues(t *testing.T) {
	w, err := loadWords()
	if err != nil {
		t.Fatal(err)
	}
	for _, lang := range languages {
		keys := used(t, w.has[lang])
		for k := range keys {
			if !w.has[lang][k] {
				t.Errorf("%s: key %s is missing", lang, k)
			}
		}
		for k := range w.has[lang] {
			if !keys[k] {
				t.Errorf("%s: key %s is not used", lang, k)
			}
		}
	}
}

// TestEndingsAreDistinct holds that the three endings have three titles, and that
// only one text says that a payment was made.
func TestEndingsAreDistinct(t *testing.T) {
	for _, lang := range languages {
		raw, err := fs.ReadFile(wordFiles, "words/"+lang+".json")
		if err != nil {
			t.Fatal(err)
		}
		var all map[string]any
		if err := json.Unmarshal(raw, &all); err != nil {
			t.Fatal(err)
		}
		var titles []string
		for _, k := range []string{"result-paid.title", "result-not-charged.title", "result-pending.title"} {
			titles = append(titles, all[k].(string))
		}
		slices.Sort(titles)
		if len(slices.Compact(titles)) != 3 {
			t.Errorf("%s: two endings have one title", lang)
		}
		for k, v := range all {
			if s, ok := v.(string); ok && strings.Contains(s, "缴费成功") && k != "result-paid.title" {
				t.Errorf("%s: %s says 缴费成功", lang, k)
			}
		}
	}
}

// TestEveryKindRenders renders every card problem, gate, reason and printer
// word in both languages: none may fall back to OTHER.
func TestEveryKindRenders(t *testing.T) {
	p, err := loadPages()
	if err != nil {
		t.Fatal(err)
	}
	render := func(sc flow.Screen) string {
		out, err := p.render(sc, 0, &conn{id: "c", portrait: true}, false)
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	for _, lang := range languages {
		for _, tt := range []struct {
			id    flow.ScreenID
			kinds []string
			set   func(*flow.Screen, string)
		}{
			{flow.ScreenCardProblem, flow.CardProblems(), func(s *flow.Screen, k string) { s.Problem = k }},
			{flow.ScreenOutOfService, flow.Gates(), func(s *flow.Screen, k string) { s.Problem = k }},
			{flow.ScreenNotCharged, flow.Reasons(), func(s *flow.Screen, k string) { s.Reason = k }},
		} {
			other := base(tt.id)
			other.Lang = lang
			tt.set(&other, "NO-SUCH-KIND")
			seen := map[string]string{render(other): "OTHER"}
			for _, k := range tt.kinds {
				sc := base(tt.id)
				sc.Lang = lang
				tt.set(&sc, k)
				html := render(sc)
				if was, ok := seen[html]; ok && k != "OTHER" {
					t.Errorf("%s %s: %s reads like %s", lang, tt.id, k, was)
				}
				seen[html] = k
			}
		}
	}
}

// TestUnknownScreen shows a screen that is not declared as one with a way out.
func TestUnknownScreen(t *testing.T) {
	p, err := loadPages()
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.render(flow.Screen{ID: "no-such", Lang: "xx", Actions: []flow.Action{flow.ActExit}}, 0, &conn{}, false)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(out), `data-screen="cannot-show"`) || !strings.Contains(string(out), `data-action="exit"`) {
		t.Errorf("got %s", out)
	}
}

// TestEscaped holds that a value cannot become markup.
func TestEscaped(t *testing.T) {
	p, err := loadPages()
	if err != nil {
		t.Fatal(err)
	}
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(1)>`
	for _, s := range samples() {
		sc := s.screen
		sc.Name, sc.Bank, sc.Area, sc.Region, sc.Hotline, sc.Incident, sc.Payment, sc.QR = evil, evil, evil, evil, evil, evil, evil, evil
		sc.Problem, sc.Reason, sc.Printer, sc.CardTail, sc.IDTail = evil, evil, evil, evil, evil
		sc.Lines = []flow.Line{{ID: evil, Fund: evil, Period: evil, Kind: evil, Why: evil}}
		sc.Receipts = []flow.ReceiptView{{No: evil, Time: evil, Channel: evil, Bank: evil}}
		out, err := p.render(sc, 0, &conn{}, true)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(out), "<script") || strings.Contains(string(out), "<img") {
			t.Errorf("%s: markup in a value comes through", s.name)
		}
	}
}

func TestPages(t *testing.T) {
	for _, tt := range []struct{ lines, want int }{{0, 1}, {1, 1}, {5, 1}, {6, 2}, {10, 2}, {11, 3}, {24, 5}} {
		sc := flow.Screen{ID: flow.ScreenPayList, Lines: make([]flow.Line, tt.lines)}
		if got := pageCount(sc, true); got != tt.want {
			t.Errorf("%d lines: %d pages, want %d", tt.lines, got, tt.want)
		}
	}
	if got := pageCount(flow.Screen{ID: flow.ScreenMenu, Lines: make([]flow.Line, 50)}, true); got != 1 {
		t.Errorf("menu: %d pages, want 1", got)
	}
}

func TestPeriod(t *testing.T) {
	for _, tt := range []struct{ lang, in, want string }{
		{"zh", "2026", "2026年"}, {"zh", "2026-03", "2026年3月"}, {"en", "2026", "Year 2026"}, {"en", "2026-11", "Nov 2026"}, {"en", "odd", "odd"},
	} {
		if got := period(tt.lang, tt.in); got != tt.want {
			t.Errorf("period(%s, %s) = %s, want %s", tt.lang, tt.in, got, tt.want)
		}
	}
}
