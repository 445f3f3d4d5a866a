package lint

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shebao-pay/shebao/internal/source"
)

func root(t *testing.T) string {
	t.Helper()
	dir, err := source.Root()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func goFiles(t *testing.T) []*source.File {
	t.Helper()
	files, err := source.Go(root(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 100 {
		t.Fatalf("source.Go read %d files; the module has more", len(files))
	}
	return files
}

// texts are the module's own texts.
func texts(t *testing.T) []source.Text {
	t.Helper()
	all, err := source.Texts(root(t), textEnds...)
	if err != nil {
		t.Fatal(err)
	}
	var out []source.Text
	for _, x := range all {
		if ours(x) {
			out = append(out, x)
		}
	}
	if len(out) < 100 {
		t.Fatalf("source.Texts read %d files; the module has more", len(out))
	}
	return out
}

func page(t *testing.T, name string) source.Text {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root(t), filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return source.Text{Path: name, Body: string(b)}
}

func report(t *testing.T, problems []source.Problem) {
	t.Helper()
	for _, p := range problems {
		t.Error(p)
	}
}

func TestGo(t *testing.T) {
	files := goFiles(t)
	for _, rule := range goRules {
		t.Run(strings.ReplaceAll(rule.name, " ", "-"), func(t *testing.T) {
			for _, f := range files {
				report(t, rule.check(f))
			}
		})
	}
}

func TestPackageDocs(t *testing.T) { report(t, packageDocs(goFiles(t))) }

func TestHiddenWords(t *testing.T) {
	for _, x := range texts(t) {
		report(t, hiddenWords(x))
	}
}

func TestNumbers(t *testing.T) {
	for _, x := range texts(t) {
		report(t, numbers(x))
	}
}

func TestOrigins(t *testing.T) {
	for _, x := range texts(t) {
		report(t, origins(x))
	}
}

func TestAssets(t *testing.T) {
	all, err := source.Texts(root(t), ".js", ".css")
	if err != nil {
		t.Fatal(err)
	}
	report(t, assets(root(t), all, vendored))
}

func TestLinks(t *testing.T) { report(t, links(root(t), withoutPlants(texts(t)))) }

// withoutPlants leaves out the texts that break rules on purpose.
func withoutPlants(all []source.Text) []source.Text {
	var out []source.Text
	for _, x := range all {
		if !strings.HasPrefix(x.Path, "internal/lint/planted") {
			out = append(out, x)
		}
	}
	return out
}

func TestCommands(t *testing.T) {
	known := readPrograms(page(t, "Makefile").Body, goFiles(t))
	for _, name := range []string{"settled", "terminald", "shebaoctl", "simulate"} {
		if known.subs[name] == nil {
			t.Errorf("cmd/%s was not found", name)
		}
	}
	for _, x := range texts(t) {
		if strings.HasSuffix(x.Path, ".md") {
			report(t, commands(x, known))
		}
	}
}

func TestTwins(t *testing.T) { report(t, twins(page(t, "README.md"), page(t, "README.zh-CN.md"))) }

func TestNotices(t *testing.T) {
	report(t, notices(page(t, "go.mod").Body, vendored, page(t, "THIRD-PARTY-NOTICES.md")))
}

func terms(t *testing.T) glossary {
	t.Helper()
	g, problems := readGlossary(page(t, termsPage))
	report(t, problems)
	if len(g.terms) < 20 || len(g.screens) < 15 {
		t.Fatalf("%s has %d terms and %d words of screens; it had more", termsPage, len(g.terms), len(g.screens))
	}
	return g
}

func TestTerms(t *testing.T) {
	g := terms(t)
	all := withoutPlants(texts(t))
	for _, x := range all {
		report(t, forbiddenWords(x, g))
	}
	for _, f := range goFiles(t) {
		report(t, forbiddenNames(f, g))
	}
	report(t, deadTerms(all, g))
}

func TestTermsOfScreens(t *testing.T) {
	report(t, spokenAlike(page(t, "terminal/kiosk/words/en.json"), page(t, "terminal/kiosk/words/zh.json"), terms(t)))
}

func TestTermsOfTwins(t *testing.T) {
	report(t, twinTerms(page(t, "README.md"), page(t, "README.zh-CN.md"), terms(t)))
}

func TestParsers(t *testing.T) { report(t, unfuzzed(goFiles(t))) }

func TestPackages(t *testing.T) {
	report(t, packages(page(t, "scripts/need.sh"), goFiles(t), page(t, "README.md"), page(t, "README.zh-CN.md")))
}

func TestNamedTests(t *testing.T) {
	files, n := goFiles(t), 0
	for _, x := range texts(t) {
		if strings.HasSuffix(x.Path, ".md") {
			report(t, namedTests(x, files))
			n += strings.Count(x.Body, "`Test")
		}
	}
	if n == 0 {
		t.Error("no page names a test any more")
	}
}
