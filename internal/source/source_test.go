package source

import (
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestRead(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":               "module x\n",
		"a/a.go":               "package a\n\nimport (\n\t\"fmt\"\n\n\t\"" + Module + "/si\"\n)\n\nvar _ = fmt.Sprint(si.China)\n",
		"a/a_test.go":          "package a\n",
		"a/testdata/broken.go": "not Go\n",
		"a/testdata/x.txt":     "x\n",
		"bin/b.go":             "package b\n",
		"sub/build/c.go":       "package c\n", // only the root's folders are left out
	} {
		file := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files, err := Go(root)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Path)
	}
	if want := []string{"a/a.go", "a/a_test.go", "sub/build/c.go"}; !slices.Equal(names, want) {
		t.Errorf("Go: got %v, want %v", names, want)
	}
	if got, want := files[0].Imports(), []string{"fmt", "si"}; !slices.Equal(got, want) {
		t.Errorf("Imports: got %v, want %v", got, want)
	}
	if files[0].Test || !files[1].Test || files[0].Dir != "a" {
		t.Errorf("a/a.go: Test %v, Dir %q; a/a_test.go: Test %v", files[0].Test, files[0].Dir, files[1].Test)
	}
	if got, want := files[0].At(files[0].AST.Imports[1].Pos(), "why %d", 1).String(), "a/a.go:6: why 1"; got != want {
		t.Errorf("At: got %q, want %q", got, want)
	}
	texts, err := Texts(root, ".txt", ".mod")
	if err != nil {
		t.Fatal(err)
	}
	if len(texts) != 2 || texts[0].Path != "a/testdata/x.txt" || texts[1].Body != "module x\n" {
		t.Errorf("Texts: got %v, want a/testdata/x.txt and go.mod", texts)
	}
	if _, err := Go(filepath.Join(root, "nothing")); err == nil {
		t.Error("Go of a missing folder: got no error")
	}
}

func TestRoot(t *testing.T) {
	got, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(got, "internal", "source", "source_test.go")); err != nil {
		t.Errorf("Root: got %s, which is not this module: %v", got, err)
	}
	t.Chdir(t.TempDir())
	if got, err := Root(); err == nil {
		t.Errorf("Root outside a module: got %s, want an error", got)
	}
}

func TestParseRefusesWhatIsNotGo(t *testing.T) {
	if _, err := Parse(token.NewFileSet(), "x.go", "not Go"); err == nil {
		t.Error("got no error")
	}
}

func TestWithin(t *testing.T) {
	for _, c := range []struct {
		pkg, top string
		want     bool
	}{{"si", "si", true}, {"si/termapi", "si", true}, {"simulators", "si", false}, {"si", "si/termapi", false}} {
		if got := Within(c.pkg, c.top); got != c.want {
			t.Errorf("Within(%q, %q): got %v, want %v", c.pkg, c.top, got, c.want)
		}
	}
}
