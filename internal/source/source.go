// Package source reads the module's own files for the tests that hold its
// rules, internal/archtest and internal/lint.
//
// Nouns: a [File] is one Go file with its syntax tree; a [Text] is any other
// text file; a [Problem] is a broken rule with its place and its reason.
//
// Go files of every build constraint are read, because a rule also binds the
// files that this machine does not build. Folders that Git ignores hold nothing
// of the project and are left out, as is testdata for Go files.
//
// Nothing but tests imports it.
package source

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Module is the import path of this module.
const Module = "github.com/shebao-pay/shebao"

// generated are the folders at the root that .gitignore names.
var generated = []string{".git", "bin", "build", "var"}

// File is one Go file.
type File struct {
	Path string // from the module's root, with slashes
	Dir  string // the folder, "." for the root
	Test bool   // the name ends in _test.go
	Fset *token.FileSet
	AST  *ast.File
	Text string
}

// Text is one file that is not Go.
type Text struct {
	Path string
	Body string
}

// Problem is one broken rule.
type Problem struct {
	Where string // path, or path:line
	Why   string
}

func (p Problem) String() string { return p.Where + ": " + p.Why }

// Root finds the module's root above the current folder.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("source: current folder: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", fmt.Errorf("source: no go.mod above the current folder; run the test inside the module")
		}
		dir = up
	}
}

// Parse makes a File of the given text. Files that are type-checked together
// share a file set.
func Parse(fset *token.FileSet, name, text string) (*File, error) {
	tree, err := parser.ParseFile(fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("source: %w", err)
	}
	return &File{Path: name, Dir: path.Dir(name), Test: strings.HasSuffix(name, "_test.go"),
		Fset: fset, AST: tree, Text: text}, nil
}

// Go reads every Go file of the module, in order of path.
func Go(root string) ([]*File, error) {
	var out []*File
	fset := token.NewFileSet()
	err := walk(root, func(name string) error {
		if !strings.HasSuffix(name, ".go") || slices.Contains(strings.Split(name, "/"), "testdata") {
			return nil
		}
		b, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name))) // #nosec G304 -- a file of the module under test
		if err != nil {
			return err
		}
		f, err := Parse(fset, name, string(b))
		if err != nil {
			return err
		}
		out = append(out, f)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("source: read the module: %w", err)
	}
	return out, nil
}

// Texts reads every file whose name ends in one of the given ways, Go files and
// testdata included, in order of path.
func Texts(root string, ends ...string) ([]Text, error) {
	var out []Text
	err := walk(root, func(name string) error {
		if !slices.ContainsFunc(ends, func(end string) bool { return strings.HasSuffix(name, end) }) {
			return nil
		}
		b, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name))) // #nosec G304 -- a file of the module under test
		if err != nil {
			return err
		}
		out = append(out, Text{Path: name, Body: string(b)})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("source: read the texts: %w", err)
	}
	return out, nil
}

func walk(root string, each func(name string) error) error {
	return filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(rel)
		if d.IsDir() {
			if slices.Contains(generated, name) {
				return filepath.SkipDir
			}
			return nil
		}
		return each(name)
	})
}

// Imports gives the file's import paths. Those of this module are given without
// the module's own path, so that "si" is si.
func (f *File) Imports() []string {
	var out []string
	for _, spec := range f.AST.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue // the parser has refused such a file
		}
		out = append(out, strings.TrimPrefix(p, Module+"/"))
	}
	return out
}

// At makes a Problem at a position of the file.
func (f *File) At(pos token.Pos, format string, args ...any) Problem {
	return Problem{fmt.Sprintf("%s:%d", f.Path, f.Fset.Position(pos).Line), fmt.Sprintf(format, args...)}
}

// Within tells whether a package path is the given one or lies below it.
func Within(pkg, top string) bool { return pkg == top || strings.HasPrefix(pkg, top+"/") }
