package lint

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/shebao-pay/shebao/internal/source"
)

// asset is a file that others wrote, kept as they gave it.
type asset struct {
	path, name, version, licence string
	sha256                       string
	terms                        string // the licence's text, in the same folder
}

// vendored are all such files. They are used by tests and never shipped.
var vendored = []asset{
	{"terminal/kiosk/testdata/axe-core/axe.min.js", "axe-core", "4.14.1", "MPL-2.0",
		"29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c", "LICENSE"},
}

// vendoredLike are names that no file of ours has.
var vendoredLike = regexp.MustCompile(`(\.min\.(js|css)|(^|/)(htmx|uPlot|echarts|axe)[^/]*\.(js|css))$`)

// assets holds that vendored files are as they were given, carry their licence,
// and that no other file looks vendored.
func assets(root string, texts []source.Text, table []asset) []source.Problem {
	var out []source.Problem
	for _, v := range table {
		b, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(v.path))) // #nosec G304 -- a file of the module under test
		if err != nil {
			out = append(out, source.Problem{Where: v.path, Why: "vendored file cannot be read: " + err.Error()})
			continue
		}
		if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != v.sha256 {
			out = append(out, source.Problem{Where: v.path, Why: "is not the file that " + v.name + " " + v.version + " gave: its checksum differs"})
		}
		if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(path.Dir(v.path)), v.terms)); err != nil {
			out = append(out, source.Problem{Where: v.path, Why: "its licence " + v.terms + " is not beside it"})
		}
	}
	for _, t := range texts {
		if vendoredLike.MatchString(t.Path) && !slices.ContainsFunc(table, func(v asset) bool { return v.path == t.Path }) {
			out = append(out, source.Problem{Where: t.Path, Why: "looks like somebody else's file: give it a row with checksum and licence in internal/lint"})
		}
	}
	return out
}

var (
	mdLink   = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	htmlLink = regexp.MustCompile(`(?:src|href)="([^"]+)"`)
	docPage  = regexp.MustCompile(`(?:^|[^A-Za-z0-9_./-])(docs/[A-Za-z0-9_./-]+\.(?:md|png|json)|(?:README|SECURITY|CONTRIBUTING|CHANGELOG)(?:\.zh-CN)?\.md)`)
	fence    = regexp.MustCompile("^ *```")
	heading  = regexp.MustCompile(`^#{1,6} +(.*?) *#*$`)
)

// links holds that every relative link of a page leads to a file, every anchor
// to a heading, and that pages named in code exist.
func links(root string, texts []source.Text) []source.Problem {
	anchors := map[string]map[string]bool{}
	for _, t := range texts {
		if strings.HasSuffix(t.Path, ".md") {
			anchors[t.Path] = headings(t.Body)
		}
	}
	var out []source.Problem
	for _, t := range texts {
		if strings.HasSuffix(t.Path, ".md") {
			fenced := false
			for n, line := range lines(t.Body) {
				if fence.MatchString(line) {
					fenced = !fenced
				}
				if fenced {
					continue
				}
				for _, m := range append(mdLink.FindAllStringSubmatch(line, -1), htmlLink.FindAllStringSubmatch(line, -1)...) {
					if why := broken(root, t.Path, m[1], anchors); why != "" {
						out = append(out, at(t, n, "link to %s: %s", m[1], why))
					}
				}
			}
		}
		for n, line := range lines(t.Body) {
			if !strings.Contains(line, ".md") && !strings.Contains(line, "docs/") {
				continue
			}
			for _, m := range docPage.FindAllStringSubmatch(line, -1) {
				if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(m[1]))); err != nil {
					out = append(out, at(t, n, "names %s, which does not exist", m[1]))
				}
			}
		}
	}
	return out
}

func broken(root, from, to string, anchors map[string]map[string]bool) string {
	if strings.Contains(to, "://") || strings.HasPrefix(to, "mailto:") {
		return ""
	}
	file, anchor, _ := strings.Cut(to, "#")
	target := from
	if file != "" {
		target = path.Join(path.Dir(from), file)
		if strings.HasPrefix(target, "../") {
			return "leads out of the repository"
		}
		if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(target))); err != nil {
			return "no such file"
		}
	}
	if anchor != "" && anchors[target] != nil && !anchors[target][anchor] {
		return "no such heading"
	}
	return ""
}

// headings gives the anchors that code hosts make of a page's headings.
func headings(body string) map[string]bool {
	out := map[string]bool{}
	fenced := false
	for _, line := range lines(body) {
		if fence.MatchString(line) {
			fenced = !fenced
		}
		m := heading.FindStringSubmatch(line)
		if fenced || m == nil {
			continue
		}
		slug := strings.Map(func(r rune) rune {
			switch {
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return unicode.ToLower(r)
			case r == ' ':
				return '-'
			}
			return -1
		}, m[1])
		for n, base := 1, slug; out[slug]; n++ {
			slug = fmt.Sprintf("%s-%d", base, n)
		}
		out[slug] = true
	}
	return out
}

var (
	makeCall = regexp.MustCompile("(?:^|[`\\s$;&])make ((?:[A-Z]+=\\S+ )*)([a-z][a-z0-9-]*)")
	progCall = regexp.MustCompile("(?:^|[`\\s$;&(])bin/([a-z]+)((?: [a-z][a-z0-9-]*)*)")
	target   = regexp.MustCompile(`^([a-z][a-z0-9-]*):`)
	cobraUse = regexp.MustCompile(`Use:\s+"([a-z][a-z0-9-]*)`)
)

// programs are the commands a person can type: make targets, and programs with
// their subcommands.
type programs struct {
	targets map[string]bool
	subs    map[string]map[string]bool // program to the words of its command tree
}

func readPrograms(makefile string, files []*source.File) programs {
	p := programs{map[string]bool{}, map[string]map[string]bool{}}
	for _, line := range lines(makefile) {
		if m := target.FindStringSubmatch(line); m != nil {
			p.targets[m[1]] = true
		}
	}
	for _, f := range files {
		name, isCmd := strings.CutPrefix(f.Dir, "cmd/")
		if !isCmd || f.Test {
			continue
		}
		if p.subs[name] == nil {
			p.subs[name] = map[string]bool{}
		}
		for _, m := range cobraUse.FindAllStringSubmatch(f.Text, -1) {
			p.subs[name][m[1]] = true
		}
	}
	return p
}

// commands holds that a command which a page tells people to type exists. It
// looks at code only.
func commands(t source.Text, known programs) []source.Problem {
	var out []source.Problem
	for _, c := range source.Codes(t.Body) {
		code, _, _ := strings.Cut(c.Text, " # ")
		for _, m := range makeCall.FindAllStringSubmatch(code, -1) {
			if !known.targets[m[2]] {
				out = append(out, at(t, c.Line, "make %s is no target of the Makefile", m[2]))
			}
		}
		for _, m := range progCall.FindAllStringSubmatch(code, -1) {
			subs, ok := known.subs[m[1]]
			if !ok {
				out = append(out, at(t, c.Line, "bin/%s is no program of cmd/", m[1]))
				continue
			}
			// The first word must be a command; those after it may be values.
			if words := strings.Fields(m[2]); len(words) > 0 && len(subs) > 0 && !subs[words[0]] {
				out = append(out, at(t, c.Line, "bin/%s has no command %s", m[1], words[0]))
			}
		}
	}
	return out
}

var testName = regexp.MustCompile(`^(?:([a-z0-9/]+)\.)?((?:Test|Fuzz|Benchmark)[A-Z]\w*)$`)

// namedTests holds that a test which a page names is there, and in the package
// that the page says.
func namedTests(t source.Text, files []*source.File) []source.Problem {
	var out []source.Problem
	for _, c := range source.Codes(t.Body) {
		m := testName.FindStringSubmatch(c.Text)
		if m == nil || c.Block > 0 {
			continue
		}
		if !slices.ContainsFunc(files, func(f *source.File) bool {
			return f.Test && (m[1] == "" || strings.HasSuffix("/"+f.Dir, "/"+m[1])) && strings.Contains(f.Text, "\nfunc "+m[2]+"(")
		}) {
			out = append(out, at(t, c.Line, "names %s, which is no test", c.Text))
		}
	}
	return out
}

// typed gives every command of a page's fenced blocks, in order.
func typed(body string) []string {
	var out []string
	for _, c := range source.Codes(body) {
		code, _, _ := strings.Cut(c.Text, " # ")
		if code = strings.TrimSpace(code); c.Block > 0 && (strings.HasPrefix(code, "make ") || strings.HasPrefix(code, "bin/") || strings.HasPrefix(code, "curl ")) {
			out = append(out, code)
		}
	}
	return out
}

// twins holds that the two languages of a page tell people to type the same.
func twins(a, b source.Text) []source.Problem {
	x, y := typed(a.Body), typed(b.Body)
	if slices.Equal(x, y) {
		return nil
	}
	return []source.Problem{{Where: b.Path, Why: fmt.Sprintf("its commands differ from those of %s:\n%s\nand\n%s", a.Path, strings.Join(y, "\n"), strings.Join(x, "\n"))}}
}

var required = regexp.MustCompile(`^\t?(?:require )?([a-z0-9.-]+\.[a-z]+/\S+|gopkg\.in/\S+) (v\S+)`)

// notices holds that each module of go.mod and each vendored file stands with
// its version and licence in the notices, and nothing else.
func notices(goMod string, table []asset, page source.Text) []source.Problem {
	rows := map[string]string{}
	for n, line := range lines(page.Body) {
		cells := strings.Split(line, "|")
		if len(cells) < 5 || !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| module") || strings.HasPrefix(line, "| file") {
			continue
		}
		name, version, licence := strings.Trim(cells[1], " `"), strings.TrimSpace(cells[2]), strings.TrimSpace(cells[3])
		if licence == "" {
			return []source.Problem{at(page, n, "%s has no licence", name)}
		}
		rows[name] = version
	}
	var out []source.Problem
	want := map[string]string{}
	for _, line := range lines(goMod) {
		if m := required.FindStringSubmatch(line); m != nil {
			want[m[1]] = m[2]
		}
	}
	for _, v := range table {
		want[v.name] = v.version
	}
	for name, version := range want {
		if got := rows[name]; got != version {
			out = append(out, source.Problem{Where: page.Path, Why: fmt.Sprintf("%s %s is used; the page has %q", name, version, got)})
		}
	}
	for name := range rows {
		if want[name] == "" {
			out = append(out, source.Problem{Where: page.Path, Why: name + " is not used any more"})
		}
	}
	slices.SortFunc(out, func(a, b source.Problem) int { return strings.Compare(a.Why, b.Why) })
	return out
}
