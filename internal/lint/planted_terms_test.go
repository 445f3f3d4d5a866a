package lint

import (
	"strings"
	"testing"

	"github.com/shebao-pay/shebao/internal/source"
)

// plantedPage is a small page of terms. Its words are of this file alone.
const plantedPage = "## Terms\n\n" + termsHead + "\n|---|---|---|---|\n" +
	"| pear | 梨 | a fruit, no apple | quince, sour pear, 木瓜 |\n" +
	"| plum, damson | 李子 | a fruit | |\n" +
	"\nPlain quince text.\n\n" + screensHead + "\n|---|---|---|\n" +
	"| pear | 梨 | |\n" +
	"| stone | 核, 石 | yes |\n"

func plantedGlossary(t *testing.T) glossary {
	t.Helper()
	g, problems := readGlossary(source.Text{Path: termsPage, Body: plantedPage})
	report(t, problems)
	if len(g.terms) != 2 || len(g.terms[1].english) != 2 || len(g.screens) != 2 {
		t.Fatalf("read %+v", g)
	}
	return g
}

func TestPlantedTables(t *testing.T) {
	for _, c := range []struct{ name, old, new, want string }{
		{"one name for two", "李子", "梨", `"pear" and "plum" are both called 梨`},
		{"a cell too few", "| a fruit | |", "| |", "a row of 2 cells"},
		{"no table of screens", screensHead, "| English | 中文 |", "tables of terms are gone"},
		{"no table of terms", termsHead, "| English | 中文 |", "tables of terms are gone"},
	} {
		_, got := readGlossary(source.Text{Path: termsPage, Body: strings.Replace(plantedPage, c.old, c.new, 1)})
		expect(t, c.name, got, c.want)
	}
}

func TestPlantedTerms(t *testing.T) {
	g := plantedGlossary(t)
	for _, c := range []struct{ name, file, body, want string }{
		{"a page", "docs/x.md", "Take a quince.", `here that is "pear", 梨`},
		{"more than one", "docs/x.md", "Quinces.", `"pear"`},
		{"two words", "README.md", "a sour-pear tree", `says "sour pear"`},
		{"a part of a word", "docs/x.md", "quincey", ""},
		{"the right word", "docs/x.md", "A pear.", ""},
		{"a screen", "terminal/kiosk/words/en.json", `{"x": "Quince"}`, `"pear"`},
		{"a paper", "terminal/print/testdata/x.txt", "quince", `"pear"`},
		{"a template", "terminal/kiosk/templates/x.html", "<b>quince</b>", `"pear"`},
		{"a comment", "si/x.go", "// quince", ""},
		{"Chinese in a comment", "si/x.go", "// 木瓜树", `says "木瓜"`},
		{"the table itself", termsPage, plantedPage, "says"}, // for the plain text under it
		{"the table alone", termsPage, strings.Replace(plantedPage, "Plain quince text.", "", 1), ""},
	} {
		expect(t, c.name, forbiddenWords(source.Text{Path: c.file, Body: c.body}, g), c.want)
	}
	for _, c := range []struct{ name, file, body, want string }{
		{"a function", "si/x.go", "func TakeQuinces() {}", `TakeQuinces says "quince"`},
		{"a method", "si/x.go", "type t int\n\nfunc (t) SourPear() {}", `says "sour pear"`},
		{"a constant", "si/x.go", "const QUINCEDue = 1", `"quince"`},
		{"a field", "si/x.go", "type t struct{ Quince int }", `"quince"`},
		{"a method of an interface", "si/x.go", "type t interface{ Quince() }", `"quince"`},
		{"nobody else's name", "si/x.go", "func quince() {}", ""},
		{"a variable inside", "si/x.go", "func f() { var Quince int; _ = Quince }", ""},
		{"a test", "si/x_test.go", "func TestQuince() {}", ""},
		{"the right word", "si/x.go", "func Pear() {}", ""},
	} {
		expect(t, c.name, forbiddenNames(plant(t, c.file, "package p\n\n"+c.body+"\n"), g), c.want)
	}
	freeze := g
	freeze.terms = append(freeze.terms, term{list("reservation"), newWord("预留"), list("freeze")})
	expect(t, "another thing", forbiddenNames(plant(t, "ledger/core/x.go", "package p\n\nfunc Freeze() {}\n"), freeze), "")
	expect(t, "another thing elsewhere", forbiddenNames(plant(t, "ledger/x.go", "package p\n\nfunc Freeze() {}\n"), freeze), `"freeze"`)
}

func TestPlantedScreens(t *testing.T) {
	g := plantedGlossary(t)
	const en, zh = `{"a": "A pear", "b": {"one": "{{.N}} stone", "other": "{{.N}} stones"}, "c": "none"}`, `{"a": "一个梨", "b": {"other": "{{.N}}个核"}, "c": "没有"}`
	for _, c := range []struct{ name, en, zh, want string }{
		{"good", en, zh, ""},
		{"Chinese has another word", en, strings.Replace(zh, "梨", "果", 1), "a says none of [梨]"},
		{"English has another word", strings.Replace(en, `"A pear"`, `"A plum"`, 1), zh, "no screen says [pear] any more"},
		{"English has another word, both ways", strings.Replace(en, "stone", "kernel", 2), zh, "b says none of [stone]"},
		{"another of the words", en, strings.Replace(zh, "核", "石", 1), ""},
		{"no catalogue", "{", zh, "cannot be read"},
	} {
		expect(t, c.name, spokenAlike(source.Text{Path: "en.json", Body: c.en}, source.Text{Path: "zh.json", Body: c.zh}, g), c.want)
	}
}

func TestPlantedTwinTerms(t *testing.T) {
	g := plantedGlossary(t)
	for _, c := range []struct{ name, en, zh, want string }{
		{"good", "A damson.", "李子。", ""},
		{"another word", "A damson.", "酸梅。", `never says 李子, and README.md says "plum"`},
		{"in output", "```\npear\n```\nSay `pear`.", "无", ""},
		{"in a diagram", "```mermaid\nA->>B: pear\n```", "无", "never says 梨"},
	} {
		expect(t, c.name, twinTerms(source.Text{Path: "README.md", Body: c.en}, source.Text{Path: "README.zh-CN.md", Body: c.zh}, g), c.want)
	}
	dead := deadTerms([]source.Text{{Path: termsPage, Body: plantedPage}, {Path: "si/x.go", Body: "// Pears and plums."}}, g)
	expect(t, "dead", dead, `nothing speaks of "damson"`)
	alive := deadTerms([]source.Text{{Path: "docs/x.md", Body: "pear, plum, damson"}}, g)
	expect(t, "alive", alive, "")
}
