package lint

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/shebao-pay/shebao/internal/source"
	"github.com/shebao-pay/shebao/si"
)

// textEnds are the names of the files whose text is checked.
var textEnds = []string{".go", ".md", ".sh", ".yaml", ".yml", ".json", ".html", ".css", ".js", ".svg", ".txt", ".txtar", ".csv",
	".service", "Makefile", ".ci/run", "go.mod"}

// ours leaves out what others wrote and is kept as they gave it.
func ours(t source.Text) bool {
	return !slices.ContainsFunc(vendored, func(v asset) bool { return path.Dir(v.path) == path.Dir(t.Path) })
}

var open = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|X` + `XX|HA` + `CK)\b|(?i:\bfor ` + `now\b|\bplace` + `holder\b|\bnot ` + `implemented yet\b|\bnot yet ` + `implemented\b)`)

// openEnd gives the word by which a text says that it is unfinished.
func openEnd(text string) string { return open.FindString(text) }

// hidden are words that bind the tree to one machine or to one way of fetching
// modules. The parts are joined here so that this file does not hold them.
var hidden = []struct {
	cues []string // a line without any of them is not looked at further
	re   *regexp.Regexp
	why  string
}{
	{[]string{"/wo" + "rk/", "/ho" + "me/", "/ro" + "ot/", "/Us" + "ers/"}, regexp.MustCompile(`(^|[\s"'(=:` + "`" + `])/(wo` + `rk|ho` + `me|ro` + `ot|Us` + `ers)/`), "absolute path of one machine"},
	{[]string{"pro" + "xy", "golang", "npmjs", "py" + "pi", "un" + "pkg", "cd" + "njs", "js" + "delivr"}, regexp.MustCompile(`\b(pro` + `xy\.golang|su` + `m\.golang|go` + `proxy|registry\.np` + `mjs|py` + `pi\.org|un` + `pkg\.com|cd` + `njs|js` + `delivr)\b`), "host of a package registry"},
	{[]string{"§", "sec" + "tion"}, regexp.MustCompile(`\b(0\d|10)(-[a-z]+)?(\.md)? (§|sec` + `tions?\b)`), "a section of a document that is not in this repository; name the page of docs/ or the standard"},
}

// hiddenWords holds that the tree speaks of itself alone.
func hiddenWords(t source.Text) []source.Problem {
	var out []source.Problem
	for n, line := range lines(t.Body) {
		for _, h := range hidden {
			if !slices.ContainsFunc(h.cues, func(cue string) bool { return strings.Contains(line, cue) }) {
				continue
			}
			if m := h.re.FindString(line); m != "" {
				out = append(out, at(t, n, "%q: %s", strings.TrimSpace(m), h.why))
			}
		}
		if strings.HasSuffix(t.Path, ".md") || strings.HasSuffix(t.Path, ".sh") || strings.HasSuffix(t.Path, ".yaml") {
			if word := openEnd(line); word != "" {
				out = append(out, at(t, n, "text says %q: finish it, or say what is left out and why", word))
			}
		}
	}
	return out
}

// The fictional numbers of the demo: issuer numbers and the area code of
// generated persons, which no authority has given away.
const (
	fictionalIIN  = "6299"
	fictionalArea = "330199"
)

// published are card numbers of vectors that others printed, and numbers that
// only look like one.
var published = map[string]string{
	"6214988660100000304": "card number in a published SM4 cryptogram vector",
}

var (
	digitRun = regexp.MustCompile(`(^|[^0-9A-Za-z.])([3-6][0-9]{15,18})($|[^0-9A-Za-z])`)
	idRun    = regexp.MustCompile(`(^|[^0-9A-Za-z])([1-8][0-9]{16}[0-9Xx])($|[^0-9A-Za-z])`)
)

// numbers holds that no text names a real card or person: card numbers with a
// good check digit are of the fictional issuers or published, citizens' numbers
// of the fictional area.
func numbers(t source.Text) []source.Problem {
	var out []source.Problem
	for n, line := range lines(t.Body) {
		if !manyDigits(line) {
			continue
		}
		for _, m := range overlapping(digitRun, line) {
			if _, err := si.ParsePAN(m); err == nil && !strings.HasPrefix(m, fictionalIIN) && published[m] == "" {
				out = append(out, at(t, n, "%s… of %d digits could be a real card: use the fictional issuers %s…, or list a published vector in internal/lint", m[:6], len(m), fictionalIIN))
			}
		}
		for _, m := range overlapping(idRun, line) {
			if _, err := si.ParseIDNumber(strings.ToUpper(m)); err == nil && !strings.HasPrefix(m, fictionalArea) && birthLike(m[6:14]) {
				out = append(out, at(t, n, "%s… could be a real person's number: use the fictional area %s", m[:6], fictionalArea))
			}
		}
	}
	return out
}

// manyDigits tells whether a line has a run of 16 digits.
func manyDigits(line string) bool {
	run := 0
	for i := range len(line) {
		if line[i] < '0' || line[i] > '9' {
			run = 0
		} else if run++; run == 16 {
			return true
		}
	}
	return false
}

func birthLike(s string) bool {
	return s >= "19000101" && s <= "20991231" && s[4:6] >= "01" && s[4:6] <= "12" && s[6:] >= "01" && s[6:] <= "31"
}

// overlapping finds the second group of every match, also when one separator
// ends a match and begins the next.
func overlapping(re *regexp.Regexp, s string) []string {
	var out []string
	for at := 0; at < len(s); {
		m := re.FindStringSubmatchIndex(s[at:])
		if m == nil {
			return out
		}
		out = append(out, s[at+m[4]:at+m[5]])
		at += m[5]
	}
	return out
}

var elsewhere = regexp.MustCompile(`(https?:)?//([A-Za-z0-9.-]+\.[a-z]{2,})`)

// origins holds that pages, styles and scripts load from their own server only.
func origins(t source.Text) []source.Problem {
	if !slices.Contains([]string{".html", ".css", ".js", ".svg"}, path.Ext(t.Path)) || strings.Contains(t.Path, "/testdata/") {
		return nil
	}
	var out []source.Problem
	for n, line := range lines(t.Body) {
		for _, m := range elsewhere.FindAllStringSubmatch(line, -1) {
			if m[2] != "www.w3.org" { // names of markup languages, never fetched
				out = append(out, at(t, n, "%s: a page loads nothing from another origin", m[0]))
			}
		}
	}
	return out
}

// lines counts from one.
func lines(s string) func(func(int, string) bool) {
	return func(yield func(int, string) bool) {
		n := 0
		for line := range strings.Lines(s) {
			n++
			if !yield(n, strings.TrimRight(line, "\r\n")) {
				return
			}
		}
	}
}

func at(t source.Text, line int, format string, args ...any) source.Problem {
	return source.Problem{Where: fmt.Sprintf("%s:%d", t.Path, line), Why: fmt.Sprintf(format, args...)}
}
