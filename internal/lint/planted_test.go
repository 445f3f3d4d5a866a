package lint

import (
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shebao-pay/shebao/internal/source"
)

// Each test here plants breaches of one rule and the nearest thing that is
// allowed. The words of a breach are joined from parts where the rule also
// reads this file.

func plant(t *testing.T, name, text string) *source.File {
	t.Helper()
	f, err := source.Parse(token.NewFileSet(), name, text)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// expect wants a problem whose reason holds the given words, or none.
func expect(t *testing.T, what string, got []source.Problem, want string) {
	t.Helper()
	if want == "" {
		for _, p := range got {
			t.Errorf("%s: %v; want no problem", what, p)
		}
		return
	}
	for _, p := range got {
		if strings.Contains(p.Why, want) {
			return
		}
	}
	t.Errorf("%s: got %v, want a problem that says %q", what, got, want)
}

func TestPlantedGo(t *testing.T) {
	const (
		insecure = "Insecure" + "SkipVerify"
		nolint   = "//no" + "lint"
		nosec    = "// #no" + "sec"
	)
	for _, c := range []struct {
		rule  string
		check func(*source.File) []source.Problem
		file  string
		body  string
		want  string
	}{
		{"printing", printing, "si/x.go", "import \"fmt\"\n\nfunc f() { fmt.Println() }", "standard stream"},
		{"printing, renamed", printing, "si/x.go", "import say \"fmt\"\n\nfunc f() { say.Printf(\"\") }", "standard stream"},
		{"printing, builtin", printing, "si/x.go", "func f() { println(1) }", "standard stream"},
		{"printing in a program", printing, "cmd/settled/x.go", "import \"fmt\"\n\nfunc f() { fmt.Println() }", ""},
		{"printing to a writer", printing, "si/x.go", "import (\n\"fmt\"\n\"io\")\n\nfunc f(w io.Writer) { fmt.Fprintln(w) }", ""},
		{"logging", printing, "cmd/settled/x.go", "import \"log\"\n\nfunc f() { log.Fatal() }", "the logger is zerolog"},
		{"logger of net/http", printing, "cmd/settled/x.go", "import \"log\"\n\nvar l = log.New(nil, \"\", 0)", ""},

		{"chance", chance, "cardauth/x.go", "import _ \"math/rand/v2\"", "crypto/rand"},
		{"chance in a test", chance, "cardauth/x_test.go", "import _ \"math/rand/v2\"", ""},
		{"chance in a simulator", chance, "simulators/load/x.go", "import _ \"math/rand/v2\"", ""},

		{"float type", floats, "ledger/core/x.go", "var x float64", "amounts are si.Fen"},
		{"float literal", floats, "settlement/engine/x.go", "var x = 0.08", "floating point number 0.08"},
		{"float by exponent", floats, "settlement/x.go", "var x = 1e6", "floating point number 1e6"},
		{"float parser", floats, "settlement/x.go", "import \"strconv\"\n\nvar x, _ = strconv.ParseFloat(\"\", 64)", "strconv.ParseFloat"},
		{"float of a screen", floats, "terminal/kiosk/x.go", "var x float64", ""},

		{"TLS", tlsChecks, "terminal/hub/x_test.go", "import \"crypto/tls\"\n\nvar c = tls.Config{" + insecure + ": true}", "always checked"},

		{"markup", markup, "terminal/kiosk/x.go", "import \"html/template\"\n\nfunc f(s string) any { return template.HTML(s) }", "turns escaping off"},
		{"markup in an address", markup, "simulators/panel/x.go", "import \"html/template\"\n\nfunc f(s string) any { return template.URL(s) }", "turns escaping off"},
		{"template", markup, "terminal/kiosk/x.go", "import \"html/template\"\n\nvar t = template.New(\"\")", ""},

		{"reveal", reveals, "settlement/termsrv/x.go", "func f(p interface{ Reveal(string) string }) { p.Reveal(\"curiosity\") }", "not in the list"},
		{"digits", reveals, "ledger/x.go", "func f(p interface{ AppendDigits([]byte) []byte }) { p.AppendDigits(nil) }", "not in the list"},
		{"reveal inside the HSM", reveals, "cardauth/softhsm/card.go", "func f(p interface{ Reveal(string) string }) { p.Reveal(\"\") }", ""},

		{"skip", skips, "si/x_test.go", "import \"testing\"\n\nfunc TestX(t *testing.T) { t.Skip(\"no tool\") }", "it does not skip"},
		{"skip of long work", skips, "si/x_test.go", "import \"testing\"\n\nfunc TestX(t *testing.T) {\n\tif testing.Short() {\n\t\tt.Skip(\"long\")\n\t}\n}", ""},
		{"skip of a scanner", skips, "si/x_test.go", "func f(s interface{ Skip() }) { s.Skip() }", ""},

		{"type without comment", exportedDocs, "si/x.go", "type Fund int", "exported Fund"},
		{"function without comment", exportedDocs, "si/x.go", "func Parse() {}", "exported Parse"},
		{"method without comment", exportedDocs, "si/x.go", "type fund int\n\n// Fund is one.\ntype Fund int\n\nfunc (f *Fund) Add() {}", "exported Add"},
		{"method of a hidden type", exportedDocs, "si/x.go", "type fund int\n\nfunc (f fund) Add() {}", ""},
		{"method that says all", exportedDocs, "si/x.go", "// Fund is one.\ntype Fund int\n\nfunc (f Fund) String() string { return \"\" }", ""},
		{"constant without comment", exportedDocs, "si/x.go", "const Most = 3", "exported Most"},
		{"group with one comment", exportedDocs, "si/x.go", "// The funds.\nconst (\n\tA = 1\n\tB = 2\n)", ""},

		{"open end", comments, "si/x.go", "// TO" + "DO: the rest\nvar x int", "finish it"},
		{"open end in words", comments, "si/x.go", "// Good enough for " + "now.\nvar x int", "finish it"},
		{"silenced linter", comments, "si/x.go", "var x int " + nolint + ":errcheck", "a linter is silenced"},
		{"gosec without reason", comments, "si/x.go", "var x int " + nosec + " G304", "without rule and reason"},
		{"gosec without rule", comments, "si/x.go", "var x int " + nosec + " -- it is fine", "without rule and reason"},
		{"gosec with both", comments, "si/x.go", "var x int " + nosec + " G304 -- the operator names the file", ""},
	} {
		expect(t, c.rule, c.check(plant(t, c.file, "package p\n\n"+c.body+"\n")), c.want)
	}
}

func TestPlantedPackageDocs(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"none", map[string]string{"si/a.go": "package si\n"}, "has no doc comment"},
		{"two", map[string]string{"si/a.go": "// Package si is one.\npackage si\n", "si/b.go": "// Package si is two.\npackage si\n"}, "second doc comment"},
		{"other words", map[string]string{"si/a.go": "// Nouns.\npackage si\n"}, `"Package si "`},
		{"program", map[string]string{"cmd/settled/a.go": "// The hub.\npackage main\n"}, `"Command settled "`},
		{"good", map[string]string{"si/a.go": "// Package si is one.\npackage si\n", "si/b.go": "package si\n"}, ""},
	} {
		var files []*source.File
		for name, text := range c.files {
			files = append(files, plant(t, name, text))
		}
		expect(t, c.name, packageDocs(files), c.want)
	}
}

func TestPlantedTexts(t *testing.T) {
	// Digits in two parts, so that this file names nobody.
	const (
		realCard   = "622202000" + "0000000000"
		foreignID  = "11010519491231" + "002X"
		testingIIN = "62990001000" + "00014"
	)
	for _, c := range []struct {
		name  string
		check func(source.Text) []source.Problem
		file  string
		body  string
		want  string
	}{
		{"machine path", hiddenWords, "docs/x.md", "see /ho" + "me/someone/x", "one machine"},
		{"system path", hiddenWords, "docs/x.md", "unpack to /usr/local/go", ""},
		{"address with such a word", hiddenWords, "docs/x.md", "GET /v1/ho" + "me/x", ""},
		{"registry", hiddenWords, "scripts/x.sh", "GOPROXY=https://pro" + "xy.golang.org", "package registry"},
		{"foreign document", hiddenWords, "si/x.go", "// as 08 sec" + "tion 6.2 says", "not in this repository"},
		{"section of a standard", hiddenWords, "si/x.go", "// EMV 4.3 Book 3, section 6.5.5", ""},
		{"open end", hiddenWords, "docs/x.md", "FIX" + "ME", "finish it"},

		{"card", numbers, "simulators/x/testdata/a.csv", realCard, "could be a real card"},
		{"card between commas", numbers, "a.csv", "x," + realCard + ",y", "could be a real card"},
		{"second of two", numbers, "a.csv", testingIIN + "," + realCard, "could be a real card"},
		{"fictional card", numbers, "a.csv", testingIIN, ""},
		{"no card: check digit", numbers, "a.csv", "6222020000000000001", ""},
		{"published card", numbers, "a.go", "6214988660100000304", ""},
		{"person", numbers, "testdata/a.txt", "id=" + foreignID, "real person"},
		{"fictional person", numbers, "testdata/a.txt", "33019919800101002X", ""},

		{"font from elsewhere", origins, "terminal/kiosk/assets/x.css", "@import url(https://fonts.example.com/x.css)", "another origin"},
		{"script without scheme", origins, "terminal/kiosk/templates/x.html", `<script src="//cdn.example.com/x.js">`, "another origin"},
		{"name of a language", origins, "x.svg", `xmlns="http://www.w3.org/2000/svg"`, ""},
		{"own script", origins, "x.html", `<script src="/assets/x.js">`, ""},
	} {
		expect(t, c.name, c.check(source.Text{Path: c.file, Body: c.body}), c.want)
	}
}

func TestPlantedLinks(t *testing.T) {
	dir := t.TempDir()
	body := "# One\n\n## A heading, with: marks\n"
	for name, text := range map[string]string{"docs/a.md": body, "README.md": "x"} {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const missing = "docs" + "/missing.md"
	for _, c := range []struct{ name, file, text, want string }{
		{"good file", "README.md", "[a](docs/a.md)", ""},
		{"good heading", "README.md", "[a](docs/a.md#a-heading-with-marks)", ""},
		{"good own heading", "docs/a.md", body + "[a](#one)", ""},
		{"address elsewhere", "README.md", "[a](https://example.org/x)", ""},
		{"in a code block", "README.md", "```\n[a](nothing.md)\n```", ""},
		{"missing file", "README.md", "[a](nothing.md)", "no such file"},
		{"missing heading", "README.md", "[a](docs/a.md#two)", "no such heading"},
		{"missing picture", "README.md", `<img src="nothing.png">`, "no such file"},
		{"out of the repository", "README.md", "[a](../../x)", "leads out"},
		{"page named in code", "si/x.go", "// see " + missing, "does not exist"},
		{"page that exists", "si/x.go", "// see docs/a.md.", ""},
	} {
		set := []source.Text{{Path: "docs/a.md", Body: body}, {Path: c.file, Body: c.text}}
		expect(t, c.name, links(dir, set), c.want)
	}
}

func TestPlantedCommands(t *testing.T) {
	known := readPrograms("build:\n\tgo build\nrun: build\n", []*source.File{
		plant(t, "cmd/shebaoctl/main.go", "package main\n\nvar c = struct{ Use string }{Use: \"verify DIR\"}\n"),
		plant(t, "cmd/settled/main.go", "package main\n"),
	})
	for _, c := range []struct{ name, text, want string }{
		{"target", "```\nmake run\n```", ""},
		{"target in a line", "say `make build`", ""},
		{"variable", "```\nmake PERSONS=10 run\n```", ""},
		{"plain words", "These make payments safe.", ""},
		{"missing target", "```\nmake money\n```", "make money is no target"},
		{"missing target in a line", "say `make money`", "make money is no target"},
		{"command", "```\nbin/shebaoctl verify var/demo\n```", ""},
		{"missing command", "```\nbin/shebaoctl guess\n```", "no command guess"},
		{"missing program", "```\nbin/shebao run\n```", "no program"},
		{"program without commands", "`bin/settled -version`", ""},
	} {
		expect(t, c.name, commands(source.Text{Path: "README.md", Body: c.text}, known), c.want)
	}
	a := source.Text{Path: "README.md", Body: "```\nmake run # one\nmake test\n```"}
	expect(t, "same", twins(a, source.Text{Path: "README.zh-CN.md", Body: "```\nmake run # 一\nmake test\n```"}), "")
	expect(t, "differ", twins(a, source.Text{Path: "README.zh-CN.md", Body: "```\nmake run\n```"}), "differ")
}

func TestPlantedNotices(t *testing.T) {
	const mod = "module x\n\nrequire example.org/a v1.0.0\n\nrequire (\n\texample.org/b/v2 v2.0.0 // indirect\n)\n"
	const head = "| module | version | licence | for |\n|---|---|---|---|\n"
	const good = head + "| `example.org/a` | v1.0.0 | MIT | x |\n| `example.org/b/v2` | v2.0.0 | MIT | x |\n"
	for _, c := range []struct{ name, page, want string }{
		{"good", good, ""},
		{"missing", head + "| `example.org/a` | v1.0.0 | MIT | x |\n", "example.org/b/v2 v2.0.0 is used"},
		{"old version", strings.Replace(good, "v1.0.0", "v0.9.0", 1), "example.org/a v1.0.0 is used"},
		{"without licence", strings.Replace(good, "MIT", "", 1), "has no licence"},
		{"left over", good + "| `example.org/c` | v1.0.0 | MIT | x |\n", "not used any more"},
	} {
		expect(t, c.name, notices(mod, nil, source.Text{Path: "N.md", Body: c.page}), c.want)
	}
}

func TestPlantedAssets(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "x.min.js"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	sum := "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
	row := asset{"x.min.js", "x", "1.0", "MIT", sum, "LICENSE"}
	expect(t, "no licence", assets(dir, nil, []asset{row}), "not beside it")
	if err := os.WriteFile(filepath.Join(dir, "LICENSE"), []byte("MIT"), 0o600); err != nil {
		t.Fatal(err)
	}
	expect(t, "good", assets(dir, nil, []asset{row}), "")
	row.sha256 = strings.Repeat("0", 64)
	expect(t, "changed", assets(dir, nil, []asset{row}), "checksum differs")
	expect(t, "unlisted", assets(dir, []source.Text{{Path: "a/htmx.js"}}, nil), "somebody else's file")
	row.path = "gone.js"
	expect(t, "gone", assets(dir, nil, []asset{row}), "cannot be read")
}

func TestPlantedParsers(t *testing.T) {
	const parser = "package p\n\n// ParsePear reads one.\nfunc ParsePear(s string) error { return nil }\n"
	const target = "package p\n\nimport \"testing\"\n\nfunc FuzzPear(f *testing.F) {\n\tf.Add(\"pear\")\n\tf.Fuzz(func(t *testing.T, s string) { _ = ParsePear(s) })\n}\n"
	for _, c := range []struct{ name, code, test, want string }{
		{"good", parser, target, ""},
		{"no target", parser, "package p\n", "ParsePear is in no fuzz target"},
		{"a target for another", parser, strings.Replace(target, "ParsePear", "ParsePearTree", 1), "ParsePear is in no fuzz target"},
		{"a test is no target", parser, strings.Replace(target, "FuzzPear", "TestPear", 1), "ParsePear is in no fuzz target"},
		{"no seed", parser, strings.Replace(target, "\tf.Add(\"pear\")\n", "", 1), "FuzzPear has no seed"},
		{"bytes", strings.Replace(parser, "s string", "b []byte", 1), "package p\n", "ParsePear is in no fuzz target"},
		{"a method", strings.Replace(parser, "func Parse", "func (t tree) Decode", 1), "package p\n", "DecodePear is in no fuzz target"},
		{"a number", strings.Replace(parser, "s string", "n int", 1), "package p\n", ""},
		{"not exported", strings.Replace(parser, "ParsePear", "parsePear", 2), "package p\n", ""},
	} {
		got := unfuzzed([]*source.File{plant(t, "si/x.go", c.code), plant(t, "si/x_test.go", c.test)})
		expect(t, c.name, got, c.want)
	}
}

func TestPlantedPackages(t *testing.T) {
	const need = "build=\"gcc\"\nrun=\"curl\"\ntest=\"zbar-tools\"\n"
	const readme = "Debian: gcc, curl, zbar-tools.\n```\ncurl -s http://127.0.0.1/\n```\n"
	const code = "package p\n\nimport \"os/exec\"\n\nvar c = exec.Command(\"zbarimg\", \"x\")\n"
	for _, c := range []struct{ name, need, readme, code, want string }{
		{"good", need, readme, code, ""},
		{"not installed", strings.Replace(need, "zbar-tools", "", 1), readme, code, "does not install zbar-tools"},
		{"unknown tool", need, readme, strings.Replace(code, "zbarimg", "zbar", 1), "starts zbar: give it a row"},
		{"by context", need, readme, strings.Replace(code, "Command(", "CommandContext(nil, ", 1), ""},
		{"unknown by context", need, readme, strings.Replace(code, "Command(\"zbarimg\"", "CommandContext(nil, \"x\"", 1), "starts x"},
		{"own program", need, readme, code + "\nvar d = exec.Command(\"bin/x\")\n", ""},
		{"nothing uses it", need, readme, "package p\n", "installs zbar-tools, which nothing uses"},
		{"typed no more", need, strings.Replace(readme, "curl -s", "true", 1), code, "installs curl, which nothing uses"},
		{"not in the README", need, strings.Replace(readme, "zbar-tools", "zbar", 1), code, "does not name zbar-tools"},
		{"no groups", "x", readme, code, "names no packages"},
	} {
		got := packages(source.Text{Path: "scripts/need.sh", Body: c.need}, []*source.File{plant(t, "si/x.go", c.code)}, source.Text{Path: "README.md", Body: c.readme})
		expect(t, c.name, got, c.want)
	}
}

func TestPlantedNamedTests(t *testing.T) {
	files := []*source.File{plant(t, "si/x_test.go", "package p\n\nfunc TestPear() {}\n"), plant(t, "si/x.go", "package p\n\nfunc TestPlum() {}\n")}
	for _, c := range []struct{ name, body, want string }{
		{"good", "Held by `TestPear`.", ""},
		{"with its package", "Held by `si.TestPear`.", ""},
		{"another that ends alike", "Held by `i.TestPear`.", "is no test"},
		{"another package", "Held by `settlement/engine.TestPear`.", "is no test"},
		{"gone", "Held by `TestApple`.", "is no test"},
		{"the beginning of one", "Held by `TestPea`.", "is no test"},
		{"no test file", "Held by `TestPlum`.", "is no test"},
		{"in output", "```\nTestApple\n```", ""},
	} {
		expect(t, c.name, namedTests(source.Text{Path: "docs/x.md", Body: c.body}, files), c.want)
	}
}
