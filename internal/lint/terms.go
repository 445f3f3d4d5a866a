package lint

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/shebao-pay/shebao/internal/source"
)

// term is one row of the table of terms: what a thing is called, and words for
// it that nobody uses here.
type term struct {
	english []word
	chinese word
	never   []word // English and Chinese
}

// word is one word of a table with the pattern that finds it.
type word struct {
	text string
	re   *regexp.Regexp
}

// spoken is one row of the table of screen words. A text that says one of the
// English words says one of the Chinese ones in the other language; of a strict
// row the reverse holds as well.
type spoken struct {
	english, chinese []word
	strict           bool
}

// glossary is what the page of terms says.
type glossary struct {
	terms   []term
	screens []spoken
	lines   map[int]bool // of the page, with the tables
}

// Heads of the two tables.
const (
	termsHead   = "| English | 中文 | meaning | never |"
	screensHead = "| English screens | 中文界面 | both ways |"
)

// readGlossary reads the tables of a page.
func readGlossary(page source.Text) (g glossary, out []source.Problem) {
	g.lines = map[int]bool{}
	head := ""
	for n, line := range lines(page.Body) {
		if line == termsHead || line == screensHead {
			head = line
		}
		if !strings.HasPrefix(line, "|") {
			head = ""
		}
		if head == "" {
			continue
		}
		g.lines[n] = true
		cells := strings.Split(strings.Trim(line, "| "), "|")
		if line == head || strings.HasPrefix(line, "|---") {
			continue
		}
		if want := strings.Count(head, "|") - 1; len(cells) == want-1 && strings.HasSuffix(line, "| |") {
			cells = append(cells, "")
		} else if len(cells) != want {
			out = append(out, at(page, n, "a row of %d cells, want %d", len(cells), want))
			continue
		}
		switch head {
		case termsHead:
			g.terms = append(g.terms, term{list(cells[0]), newWord(strings.TrimSpace(cells[1])), list(cells[3])})
		case screensHead:
			g.screens = append(g.screens, spoken{list(cells[0]), list(cells[1]), strings.TrimSpace(cells[2]) == "yes"})
		}
	}
	if len(g.terms) == 0 || len(g.screens) == 0 {
		out = append(out, source.Problem{Where: page.Path, Why: "the tables of terms are gone"})
	}
	for i, a := range g.terms {
		for _, b := range g.terms[i+1:] {
			if a.chinese.text == b.chinese.text {
				out = append(out, source.Problem{Where: page.Path, Why: fmt.Sprintf("%q and %q are both called %s", a.english[0].text, b.english[0].text, a.chinese)})
			}
		}
	}
	return g, out
}

func list(cell string) (out []word) {
	for _, w := range strings.Split(cell, ",") {
		if w = strings.TrimSpace(w); w != "" {
			out = append(out, newWord(w))
		}
	}
	return out
}

func (w word) String() string { return w.text }

// isChinese tells which way a word is looked for.
func (w word) isChinese() bool {
	return strings.ContainsFunc(w.text, func(r rune) bool { return unicode.Is(unicode.Han, r) })
}

// newWord makes the pattern of a word: Chinese anywhere, which has no gaps;
// English as a whole word, one or more of it, its parts in one, with a gap or a
// hyphen.
func newWord(text string) word {
	w := word{text: text}
	if w.isChinese() {
		w.re = regexp.MustCompile(regexp.QuoteMeta(text))
		return w
	}
	parts := regexp.MustCompile(`[ -]`).Split(text, -1)
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	w.re = regexp.MustCompile(`(?i)\b` + strings.Join(parts, `[ -]?`) + `s?\b`)
	return w
}

func says(text string, words ...word) bool {
	return slices.ContainsFunc(words, func(w word) bool { return w.re.MatchString(text) })
}

// forSomebody tells whether a text is read by people who are not its authors:
// pages, screens, papers.
func forSomebody(name string) bool {
	return path.Ext(name) == ".md" || path.Ext(name) == ".html" || strings.HasPrefix(name, "terminal/kiosk/words/") ||
		strings.HasPrefix(name, "terminal/print/testdata/")
}

// forbiddenWords holds that a thing has one name: no page, screen or paper says
// a word that its row rules out, and no text at all a Chinese one.
func forbiddenWords(t source.Text, g glossary) []source.Problem {
	var out []source.Problem
	for _, row := range g.terms {
		for _, word := range row.never {
			if !word.isChinese() && !forSomebody(t.Path) || !says(t.Body, word) {
				continue
			}
			for n, line := range lines(t.Body) {
				if says(line, word) && !(t.Path == termsPage && g.lines[n]) {
					out = append(out, at(t, n, "says %q: here that is %q, %s (terms in %s)", word.text, row.english[0].text, row.chinese, termsPage))
				}
			}
		}
	}
	return out
}

// termsPage is where the table of terms stands.
const termsPage = "docs/ARCHITECTURE.md"

// otherThings are exported names with a forbidden word that speak of something
// else.
var otherThings = map[string]string{
	"ledger/core Freeze": "keeps the rows of a checkpoint still; no money",
}

// forbiddenNames holds exported names to the same table.
func forbiddenNames(f *source.File, g glossary) []source.Problem {
	var out []source.Problem
	if f.Test {
		return nil
	}
	for _, name := range exportedNames(f) {
		if otherThings[f.Dir+" "+name.Name] != "" {
			continue
		}
		text := inWords(name.Name)
		for _, row := range g.terms {
			for _, word := range row.never {
				if !word.isChinese() && says(text, word) {
					out = append(out, f.At(name.Pos(), "%s says %q: here that is %q (terms in %s)", name.Name, word.text, row.english[0].text, termsPage))
				}
			}
		}
	}
	return out
}

// exportedNames gives what another package can name: functions, methods, types,
// values, fields.
func exportedNames(f *source.File) []*ast.Ident {
	var out []*ast.Ident
	add := func(names ...*ast.Ident) {
		for _, n := range names {
			if n.IsExported() {
				out = append(out, n)
			}
		}
	}
	ast.Inspect(f.AST, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			add(n.Name)
			return false // what stands inside is nobody else's
		case *ast.TypeSpec:
			add(n.Name)
		case *ast.ValueSpec:
			add(n.Names...)
		case *ast.Field:
			add(n.Names...)
		}
		return true
	})
	return out
}

var hump = regexp.MustCompile(`([a-z0-9])([A-Z])|([A-Z])([A-Z][a-z])`)

// inWords takes a name apart: "HTTPFreezeNow" is "HTTP Freeze Now".
func inWords(name string) string { return hump.ReplaceAllString(name, "$1$3 $2$4") }

// spokenAlike holds that the two languages of the screens speak of the same
// things: key by key, by the table of screen words.
func spokenAlike(en, zh source.Text, g glossary) []source.Problem {
	a, err := catalogue(en)
	b, err2 := catalogue(zh)
	if err != nil || err2 != nil {
		return []source.Problem{{Where: en.Path, Why: fmt.Sprintf("cannot be read: %v, %v", err, err2)}}
	}
	var out []source.Problem
	used := make([]bool, len(g.screens))
	for _, key := range slices.Sorted(maps.Keys(a)) {
		for i, row := range g.screens {
			e, z := says(a[key], row.english...), says(b[key], row.chinese...)
			used[i] = used[i] || e && z
			if e && !z {
				out = append(out, source.Problem{Where: zh.Path, Why: fmt.Sprintf("%s says none of %v where English says %v: %q, %q", key, row.chinese, row.english, b[key], a[key])})
			}
			if z && !e && row.strict {
				out = append(out, source.Problem{Where: en.Path, Why: fmt.Sprintf("%s says none of %v where Chinese says %v: %q, %q", key, row.english, row.chinese, a[key], b[key])})
			}
		}
	}
	for i, row := range g.screens {
		if !used[i] {
			out = append(out, source.Problem{Where: termsPage, Why: fmt.Sprintf("no screen says %v any more", row.english)})
		}
	}
	return out
}

// catalogue reads the words of one language; the forms of a plural are one text.
func catalogue(t source.Text) (map[string]string, error) {
	var raw map[string]any
	if err := json.Unmarshal([]byte(t.Body), &raw); err != nil {
		return nil, err
	}
	out := map[string]string{}
	for key, v := range raw {
		if forms, ok := v.(map[string]any); ok {
			for _, form := range slices.Sorted(maps.Keys(forms)) {
				out[key] += fmt.Sprint(forms[form]) + " / "
			}
			continue
		}
		out[key] = fmt.Sprint(v)
	}
	return out, nil
}

// twinTerms holds that what a page calls by a term, its Chinese twin calls by
// the Chinese term. Blocks that show output are in no language. The reverse is
// not asked: 拒绝 and 证明 are also plain verbs.
func twinTerms(en, zh source.Text, g glossary) []source.Problem {
	var out []source.Problem
	a, b := prose(en.Body), prose(zh.Body)
	for _, row := range g.terms {
		if says(a, row.english...) && !says(b, row.chinese) {
			out = append(out, source.Problem{Where: zh.Path, Why: fmt.Sprintf("never says %s, and %s says %q", row.chinese, en.Path, row.english[0].text)})
		}
	}
	return out
}

// prose is a page without its code, diagrams kept.
func prose(body string) string {
	var out strings.Builder
	fenced, diagram := false, false
	for _, line := range lines(body) {
		if fence.MatchString(line) {
			fenced = !fenced
			diagram = fenced && strings.Contains(line, "mermaid")
			continue
		}
		if !fenced || diagram {
			out.WriteString(inlineCode.ReplaceAllString(line, "") + "\n")
		}
	}
	return out.String()
}

var inlineCode = regexp.MustCompile("`[^`]*`")

// deadTerms gives rows whose English term stands nowhere but in the table.
func deadTerms(texts []source.Text, g glossary) []source.Problem {
	var out []source.Problem
	for _, row := range g.terms {
		for _, word := range row.english {
			if !slices.ContainsFunc(texts, func(t source.Text) bool {
				if !forSomebody(t.Path) && path.Ext(t.Path) != ".go" || strings.HasPrefix(t.Path, "internal/lint/") {
					return false
				}
				for n, line := range lines(t.Body) {
					if !(t.Path == termsPage && g.lines[n]) && says(line, word) {
						return true
					}
				}
				return false
			}) {
				out = append(out, source.Problem{Where: termsPage, Why: fmt.Sprintf("nothing speaks of %q any more", word.text)})
			}
		}
	}
	return out
}
