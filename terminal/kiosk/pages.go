package kiosk

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"slices"
	"strings"

	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/terminal/flow"
)

//go:embed templates
var templateFiles embed.FS

// place says how the body of a screen stands.
type place string

const (
	middle place = "middle" // one message, in the middle
	list   place = "list"   // from the top down
)

// layout is what the kiosk knows of a screen: its template has the screen's
// name. The buttons at the foot are primary, then secondary; every other allowed
// action has its place in the body.
type layout struct {
	Place   place
	Tone    string // ok, wait, no: the three endings and what is like them
	Primary flow.Action
	Beside  []flow.Action
}

// layouts declares every screen once.
var layouts = map[flow.ScreenID]layout{
	flow.ScreenAttract:       {Place: middle},
	flow.ScreenOutOfService:  {Place: middle, Tone: "wait"},
	flow.ScreenReading:       {Place: middle},
	flow.ScreenCardProblem:   {Place: middle, Tone: "wait"},
	flow.ScreenPIN:           {Place: middle},
	flow.ScreenPINChecking:   {Place: middle},
	flow.ScreenPINWrong:      {Place: middle, Tone: "wait", Primary: flow.ActRetry},
	flow.ScreenBankAway:      {Place: middle, Tone: "wait", Primary: flow.ActRetry},
	flow.ScreenMenu:          {Place: list},
	flow.ScreenUnresolved:    {Place: list, Primary: flow.ActNext},
	flow.ScreenPayList:       {Place: list, Primary: flow.ActNext, Beside: []flow.Action{flow.ActAll}},
	flow.ScreenPayEmpty:      {Place: middle},
	flow.ScreenPayConfirm:    {Place: list, Primary: flow.ActConfirm},
	flow.ScreenPayPIN:        {Place: middle},
	flow.ScreenWorking:       {Place: middle},
	flow.ScreenPaid:          {Place: list, Tone: "ok", Primary: flow.ActNext, Beside: []flow.Action{flow.ActMenu}},
	flow.ScreenNotCharged:    {Place: list, Tone: "no", Primary: flow.ActRetry, Beside: []flow.Action{flow.ActMenu}},
	flow.ScreenPending:       {Place: list, Tone: "wait", Primary: flow.ActPrint, Beside: []flow.Action{flow.ActMenu}},
	flow.ScreenReceipts:      {Place: list},
	flow.ScreenReceiptChoice: {Place: list},
	flow.ScreenPrinting:      {Place: middle},
	flow.ScreenPrinted:       {Place: middle, Tone: "ok", Beside: []flow.Action{flow.ActMenu}},
	flow.ScreenPrinterFault:  {Place: middle, Tone: "wait", Primary: flow.ActRetry, Beside: []flow.Action{flow.ActShowQR, flow.ActMenu}},
	flow.ScreenReceiptQR:     {Place: middle, Beside: []flow.Action{flow.ActMenu}},
	flow.ScreenHelp:          {Place: list},
	flow.ScreenIdleWarning:   {Place: middle, Tone: "wait", Primary: flow.ActContinue},
	flow.ScreenCannotShow:    {Place: middle, Tone: "wait", Primary: flow.ActRetry, Beside: []flow.Action{flow.ActMenu}},
	flow.ScreenTakeCard:      {Place: middle},
	flow.ScreenCardRetained:  {Place: middle, Tone: "wait"},
}

// perPage is how many rows of a list stand on one page, by screen, type size and
// shape of the display: what fits without scrolling on the smallest display. In
// large type it is never more than four.
type perPage struct{ portrait, portraitLarge, landscape, landscapeLarge int }

var listRows = map[flow.ScreenID]perPage{
	flow.ScreenPayList:    {5, 3, 3, 2},
	flow.ScreenPayConfirm: {5, 3, 2, 1},
	flow.ScreenReceipts:   {6, 4, 3, 2},
}

// rows is how many lines of sc stand on one page.
func rows(sc flow.Screen, portrait bool) int {
	n := listRows[sc.ID]
	switch {
	case portrait && sc.Large:
		return n.portraitLarge
	case portrait:
		return n.portrait
	case sc.Large:
		return n.landscapeLarge
	}
	return n.landscape
}

// length is how many rows the screen's list has; zero for a screen without one.
func length(sc flow.Screen) int {
	switch sc.ID {
	case flow.ScreenPayList, flow.ScreenPayConfirm:
		return len(sc.Lines)
	case flow.ScreenReceipts:
		return len(sc.Receipts)
	}
	return 0
}

func pageCount(sc flow.Screen, portrait bool) int {
	n := rows(sc, portrait)
	if n == 0 {
		return 1
	}
	return max(1, (length(sc)+n-1)/n)
}

// pages renders screens in both languages.
type pages struct {
	shell []byte
	tmpl  map[string]*template.Template // by language
	words *words
}

func loadPages() (*pages, error) {
	w, err := loadWords()
	if err != nil {
		return nil, err
	}
	p := &pages{tmpl: map[string]*template.Template{}, words: w}
	for _, lang := range languages {
		t, err := template.New("").Funcs(p.funcs(lang)).ParseFS(templateFiles, "templates/*.html")
		if err != nil {
			return nil, fmt.Errorf("kiosk: templates: %w", err)
		}
		p.tmpl[lang] = t
	}
	var b bytes.Buffer
	if err := p.tmpl["zh"].ExecuteTemplate(&b, "shell", nil); err != nil {
		return nil, fmt.Errorf("kiosk: templates: %w", err)
	}
	p.shell = b.Bytes()
	return p, nil
}

// view is what a template sees: the screen, and how it stands on this display.
type view struct {
	flow.Screen
	Conn     string
	Portrait bool
	Layout   layout
	Page     int // of the list, from 0
	Pages    int
	Body     template.HTML
}

// render makes the page of a screen. A screen that is not declared is shown as
// "cannot be shown now", which has a way out.
func (p *pages) render(sc flow.Screen, page int, c *conn, demo bool) ([]byte, error) {
	lay, ok := layouts[sc.ID]
	if !ok {
		sc.ID = flow.ScreenCannotShow
		lay = layouts[sc.ID]
	}
	if p.tmpl[sc.Lang] == nil {
		sc.Lang = "zh"
	}
	sc.Demo = sc.Demo || demo
	v := view{Screen: sc, Conn: c.id, Portrait: c.portrait, Layout: lay, Pages: pageCount(sc, c.portrait)}
	v.Page = min(page, v.Pages-1)
	t := p.tmpl[sc.Lang]
	var body, out bytes.Buffer
	if err := t.ExecuteTemplate(&body, string(sc.ID), v); err != nil {
		return nil, fmt.Errorf("kiosk: page %s: %w", sc.ID, err)
	}
	v.Body = template.HTML(body.String()) //#nosec G203 -- made by the template of the line above
	if err := t.ExecuteTemplate(&out, "screen", v); err != nil {
		return nil, fmt.Errorf("kiosk: page %s: %w", sc.ID, err)
	}
	return out.Bytes(), nil
}

// Has tells whether the action is allowed now.
func (v view) Has(a flow.Action) bool { return slices.Contains(v.Actions, a) }

// Grey tells whether the action is shown but cannot be chosen.
func (v view) Grey(a flow.Action) bool { return slices.Contains(v.Disabled, a) }

// Shown tells whether the action has a button.
func (v view) Shown(a flow.Action) bool { return v.Has(a) || v.Grey(a) }

// Beside are the layout's further buttons that the screen has now.
func (v view) Beside() []flow.Action {
	var b []flow.Action
	for _, a := range v.Layout.Beside {
		if v.Shown(a) {
			b = append(b, a)
		}
	}
	return b
}

// Foot are the three buttons that stand at the same place on every screen.
func (v view) Foot() []flow.Action {
	return []flow.Action{flow.ActBack, flow.ActHelp, flow.ActExit}
}

// FootUsed tells whether one of them is there now.
func (v view) FootUsed() bool { return slices.ContainsFunc(v.Foot(), v.Shown) }

// PageLines are the lines of the present page of the list.
func (v view) PageLines() []flow.Line { return part(v.Lines, v.Page, rows(v.Screen, v.Portrait)) }

// PageReceipts are the receipts of the present page of the list.
func (v view) PageReceipts() []flow.ReceiptView {
	return part(v.Receipts, v.Page, rows(v.Screen, v.Portrait))
}

// More tells whether another page follows, Less whether one comes before.
func (v view) More() bool { return v.Page+1 < v.Pages }

// Less tells whether a page comes before this one.
func (v view) Less() bool { return v.Page > 0 }

// AllChosen tells whether every line that can be chosen is.
func (v view) AllChosen() bool {
	for _, l := range v.Lines {
		if !l.Chosen && l.Payable && !l.Disabled {
			return false
		}
	}
	return true
}

// Dots are the six places of a PIN; longer ones add places.
func (v view) Dots() []bool {
	d := make([]bool, max(6, v.Keys))
	for i := range d {
		d[i] = i < v.Keys
	}
	return d
}

// Shut tells whether a line cannot be chosen.
func (v view) Shut(l flow.Line) bool { return !l.Payable || l.Disabled }

// LateFee is the sum of the late fees of the lines.
func (v view) LateFee() si.Fen {
	var sum si.Fen
	for _, l := range v.Lines {
		sum += l.LateFee
	}
	return sum
}

func part[T any](all []T, page, n int) []T {
	from := min(page*n, len(all))
	return all[from:min(from+n, len(all))]
}

// funcs are the functions of the templates in one language.
func (p *pages) funcs(lang string) template.FuncMap {
	return template.FuncMap{
		"t":       func(key string, pairs ...any) (string, error) { return p.words.say(lang, key, nil, pairs...) },
		"tn":      func(key string, n int, pairs ...any) (string, error) { return p.words.say(lang, key, n, pairs...) },
		"either":  func(kind, key, fallback string) (string, error) { return p.words.either(lang, kind, key, fallback) },
		"label":   func(v view, a flow.Action) (string, error) { return p.words.label(lang, v, a) },
		"yuan":    func(f si.Fen) string { return "￥" + f.Grouped() },
		"caps":    func(f si.Fen) string { return f.Capitals() },
		"period":  func(s string) string { return period(lang, s) },
		"groups":  func(n int, s string) string { return groups(n, s) },
		"receipt": receiptNo,
		"qr":      qrSVG,
		"bars":    barsSVG,
		"plus":    func(a, b int) int { return a + b },
		"due":     func(l flow.Line) si.Fen { return l.Amount + l.LateFee },
		"tag":     func() string { return htmlLang[lang] },
	}
}

var months = [...]string{"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"}

// period writes 2026 or 2026-11 as people of the language read it.
func period(lang, s string) string {
	p, err := si.ParsePeriod(s)
	if err != nil {
		return s
	}
	switch {
	case lang == "zh" && p.IsYear():
		return fmt.Sprintf("%d年", p.Year())
	case lang == "zh":
		return fmt.Sprintf("%d年%d月", p.Year(), int(p.Month()))
	case p.IsYear():
		return fmt.Sprintf("Year %d", p.Year())
	}
	return fmt.Sprintf("%s %d", months[p.Month()-1], p.Year())
}

// receiptNo writes a receipt number as area, day and sequence.
func receiptNo(s string) string {
	if len(s) != 20 {
		return s
	}
	return s[:6] + " " + s[6:12] + " " + s[12:]
}

// groups writes a long number in groups of n.
func groups(n int, s string) string {
	var parts []string
	for len(s) > n {
		parts, s = append(parts, s[:n]), s[n:]
	}
	return strings.Join(append(parts, s), " ")
}
