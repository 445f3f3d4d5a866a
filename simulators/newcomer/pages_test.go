package newcomer

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/shebao-pay/shebao/internal/source"
)

// told is how a command begins that a page tells people to type. A program's
// name alone is a noun.
var told = regexp.MustCompile(`^(make [a-z]|bin/[a-z]+ \S|(settled|terminald|shebaoctl|simulate) \S|curl |go (test|run|install) |install |rm |export |id -|openssl |printf )`)

// showsOutput are the pages where a block that is no command shows what one
// prints.
func showsOutput(page string) bool {
	return strings.HasPrefix(page, "README") || strings.HasPrefix(page, "docs/operating/") || page == "CONTRIBUTING.md" || page == "SECURITY.md"
}

// walked are the pages whose sh blocks are one walk that a test of its own runs
// as they stand.
var walked = map[string]string{
	"docs/operating/add-a-bank.md": "TestFifthBank in cmd/simulate",
}

// command takes the remark from a line.
func command(line string) string {
	line, _, _ = strings.Cut(line, " # ")
	return strings.TrimSpace(line)
}

// prompt stands before a command whose output follows it in the same block.
const prompt = "$ "

// block is a fenced block that shows something, or a command with its prompt and
// what it printed.
type block struct {
	line  int
	lines []string
}

// output gives the lines of the block that a step must have printed.
func (b block) output() []string {
	if strings.HasPrefix(b.lines[0], prompt) {
		return b.lines[1:]
	}
	return b.lines
}

// read gives what a page tells people to type, and the blocks that show
// something else. What stands beside commands in their block shows nothing that
// is known.
func read(page source.Text) (commands []source.Code, shown []block) {
	last, typing := 0, false
	for _, c := range source.Codes(page.Body) {
		if c.Lang == "sh" && walked[page.Path] != "" {
			continue
		}
		if typed, ok := strings.CutPrefix(c.Text, prompt); ok && c.Block != 0 {
			commands = append(commands, source.Code{Line: c.Line, Text: typed, Block: c.Block})
			shown = append(shown, block{c.Line, []string{c.Text}})
			last, typing = c.Block, false
			continue
		}
		is := told.MatchString(command(c.Text))
		if is {
			c.Text = command(c.Text)
			commands = append(commands, c)
		}
		if c.Block == 0 || c.Lang == "mermaid" {
			continue
		}
		begins := c.Block != last
		if begins {
			last, typing = c.Block, is
		}
		switch {
		case is && typing || typing && c.Text == "":
		case begins || is != typing:
			shown = append(shown, block{c.Line, []string{c.Text}})
			typing = is
		default:
			at := len(shown) - 1
			shown[at].lines = append(shown[at].lines, c.Text)
		}
	}
	return commands, shown
}

// judge holds a page's commands and blocks against the steps.
func judge(page source.Text, steps []step, untyped map[string]string) []source.Problem {
	var out []source.Problem
	commands, shown := read(page)
	for _, c := range commands {
		known := slices.ContainsFunc(steps, func(s step) bool { return s.typed == c.Text || c.Block == 0 && names(c.Text, s.typed) })
		if !known && untyped[c.Text] == "" {
			out = append(out, source.Problem{Where: fmt.Sprintf("%s:%d", page.Path, c.Line),
				Why: fmt.Sprintf("%q is no step of simulators/newcomer: type it in a scene, or list why nobody can", c.Text)})
		}
	}
	for _, b := range shown {
		first := b.lines[0]
		if slices.ContainsFunc(steps, func(s step) bool { return s.showsFirst(first) }) {
			continue
		}
		if showsOutput(page.Path) {
			out = append(out, source.Problem{Where: fmt.Sprintf("%s:%d", page.Path, b.line),
				Why: fmt.Sprintf("the block that begins %q is compared with the output of no step", first)})
		}
	}
	return out
}

// names tells whether a span in a sentence names a command that is typed: its
// first words, with or without the folder of the program, and any word for one
// in capitals.
func names(span, typed string) bool {
	a, b := strings.Fields(strings.TrimPrefix(span, "bin/")), strings.Fields(strings.TrimPrefix(typed, "bin/"))
	for i, word := range a {
		if i == len(b) || word != b[i] && word != strings.ToUpper(word) {
			return false
		}
	}
	return true
}

// unused gives the rows that no page needs any more.
func unused(pages []source.Text, steps []step, untyped map[string]string) []string {
	commands, first := map[string]bool{}, map[string]bool{}
	for _, p := range pages {
		cs, bs := read(p)
		for _, c := range cs {
			commands[c.Text] = true
		}
		for _, b := range bs {
			first[b.lines[0]] = true
		}
	}
	var out []string
	for _, s := range steps {
		if s.typed != "" && !commands[s.typed] {
			out = append(out, s.typed)
		}
		if s.shows != "" && !first[s.shows] {
			out = append(out, s.shows)
		}
	}
	for row := range untyped {
		if !commands[row] {
			out = append(out, row)
		}
	}
	slices.Sort(out)
	return out
}

// loose are the parts of a line that may be others: numbers, hexadecimal words of
// 32 digits and more or of 16, the room between columns.
var loose = regexp.MustCompile(`[0-9a-f]{32,}|\b[0-9a-f]{16}\b|[0-9]+|  +`)

// alike makes a pattern of a line that a page shows: the loose parts and … may be
// others. Words, Chinese amounts included, are as shown.
func alike(line string) *regexp.Regexp {
	p := loose.ReplaceAllStringFunc(regexp.QuoteMeta(line), func(s string) string {
		switch {
		case s[0] == ' ':
			return "  +"
		case len(s) >= 32:
			return "[0-9a-f]{32,}"
		case len(s) == 16:
			return "[0-9a-f]{16}"
		}
		return "[0-9]+"
	})
	return regexp.MustCompile("^" + strings.ReplaceAll(p, "…", ".*") + "$")
}

// missing gives the first line of a block that an output does not have. The
// lines follow one another, as they do on the page, unless each may stand alone.
func missing(shown []string, output string, alone bool) string {
	lines := strings.Split(strings.TrimRight(output, "\n"), "\n")
	if alone {
		for _, s := range shown {
			if !slices.ContainsFunc(lines, alike(s).MatchString) {
				return s
			}
		}
		return ""
	}
	best := 0
	for at := range lines {
		n := 0
		for n < len(shown) && at+n < len(lines) && alike(shown[n]).MatchString(lines[at+n]) {
			n++
		}
		if n == len(shown) {
			return ""
		}
		best = max(best, n)
	}
	return shown[best]
}

func pages(t *testing.T) []source.Text {
	t.Helper()
	root, err := source.Root()
	if err != nil {
		t.Fatal(err)
	}
	all, err := source.Texts(root, ".md")
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("read %d pages; the module has more", len(all))
	}
	return all
}

func steps() (all []step) {
	for _, s := range scenes {
		all = append(all, s.steps...)
	}
	return all
}

// TestPages holds every command of every page to the scenes and lists.
func TestPages(t *testing.T) {
	all := pages(t)
	for _, p := range all {
		for _, problem := range judge(p, steps(), untyped) {
			t.Error(problem)
		}
	}
	for _, row := range unused(all, steps(), untyped) {
		t.Errorf("%q stands on no page", row)
	}
}

var bench = regexp.MustCompile(`^go test .*-bench (\w+)`)

// TestBenchmarks: a page that says how to measure names a benchmark that is
// there.
func TestBenchmarks(t *testing.T) {
	root, err := source.Root()
	if err != nil {
		t.Fatal(err)
	}
	files, err := source.Go(root)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for row := range untyped {
		m := bench.FindStringSubmatch(row)
		if m == nil {
			continue
		}
		n++
		_, dir, ok := strings.Cut(row, "./")
		dir, _, _ = strings.Cut(dir, " ")
		there := regexp.MustCompile(`(?m)^func Benchmark\w*` + m[1])
		if !ok || !slices.ContainsFunc(files, func(f *source.File) bool { return f.Dir == dir && there.MatchString(f.Text) }) {
			t.Errorf("%q: no such benchmark", row)
		}
	}
	if n == 0 {
		t.Error("no page says how to measure any more")
	}
}

// TestPlantedPages plants pages that have moved away from the steps.
func TestPlantedPages(t *testing.T) {
	steps := []step{{typed: "make run"}, {typed: "bin/simulate play --fault x", shows: "none: paid 1 fen"}}
	untyped := map[string]string{"make test": "runs this"}
	for _, c := range []struct{ name, body, want string }{
		{"good", "```\nmake run    # starts\nbin/simulate play --fault x\n```\n\n```\nnone: paid 1 fen\n```\nSay `make test`; `make run` and `bin/simulate play` too.", ""},
		{"other flag", "```\nbin/simulate play --fault y\n```", "no step"},
		{"new command in a line", "Say `make money`.", "no step"},
		{"half a command in a block", "```\nbin/simulate play\n```", "no step"},
		{"new output", "```\nnone: paid 2 yuan\n```", "output of no step"},
		{"a place for a value", "`bin/simulate play --fault NAME`", ""},
		{"output beside commands", "```\nmake run\nnone: paid 2 yuan\n```", "output of no step"},
		{"a prompt and its output", "```\n$ make run\nanything\n$ bin/simulate play --fault x\nmore\n```", ""},
		{"a prompt before a new command", "```\n$ make run\n$ make money\n```", "no step"},
		{"unknown program in a block of commands", "```\nmake run\nwget x\n```", "output of no step"},
		{"a diagram", "```mermaid\nflowchart LR\n```", ""},
	} {
		got := judge(source.Text{Path: "README.md", Body: c.body}, steps, untyped)
		if bad := c.want != ""; len(got) > 0 != bad || bad && !strings.Contains(got[0].Why, c.want) {
			t.Errorf("%s: got %v, want %q", c.name, got, c.want)
		}
	}
	got := unused([]source.Text{{Path: "README.md", Body: "`make run`"}}, steps, untyped)
	if want := []string{"bin/simulate play --fault x", "make test", "none: paid 1 fen"}; !slices.Equal(got, want) {
		t.Errorf("unused: got %q, want %q", got, want)
	}
}

// TestPlantedOutput plants output that has moved away from what a page shows.
func TestPlantedOutput(t *testing.T) {
	const hash = "05c6a946b925408c06b0408491590bc5b0a887d52bedaa369260c5aee5da8a8a"
	shown := []string{"paid 3,480.00 yuan (叁仟元整) (12 ms)", "head " + hash, "at …/x?t=…"}
	good := "before\npaid 1,480.25 yuan (叁仟元整) (1 ms)\nhead " + strings.Repeat("ab", 32) + "\nat /y/x?t=9\nafter\n"
	for _, c := range []struct{ name, output, want string }{
		{"good", good, ""},
		{"other amount in words", strings.Replace(good, "叁", "肆", 1), shown[0]},
		{"a line between", strings.Replace(good, "\nat", "\nnew\nat", 1), shown[2]},
		{"no number", strings.Replace(good, "1 ms", "a ms", 1), shown[0]},
		{"shorter hash", strings.Replace(good, "abab", "", 9), shown[1]},
		{"nothing", "", shown[0]},
	} {
		if got := missing(shown, c.output, false); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
	row := []string{"node-1 *  leads     9       acd9208556192323"}
	if got := missing(row, "node-2 *  leads   1234  0123456789abcdef\n", false); got != "" {
		t.Errorf("other numbers, other room between columns: %q is missing", got)
	}
	if got := missing(row, "node-2 * leads   1234  0123456789abcdef\n", false); got != row[0] {
		t.Error("columns that stand no longer apart are taken for columns")
	}
	if got := (block{1, []string{"$ make run", "out"}}).output(); !slices.Equal(got, []string{"out"}) {
		t.Errorf("output behind a prompt: got %q", got)
	}
	if got := missing([]string{"b", "a"}, "a\nb\n", true); got != "" {
		t.Errorf("lines alone: %q is missing", got)
	}
	if got := missing([]string{"b", "c"}, "a\nb\n", true); got != "c" {
		t.Errorf("lines alone: got %q, want c", got)
	}
}
