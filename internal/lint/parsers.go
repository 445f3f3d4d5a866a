package lint

import (
	"go/ast"
	"regexp"
	"slices"
	"strings"

	"github.com/shebao-pay/shebao/internal/source"
)

// parserName is how a function is called that reads what comes from outside.
var parserName = regexp.MustCompile(`^(Parse|Decode|Unpack|Unmarshal)`)

// fedOtherwise are parsers without a target that names them, and why.
var fedOtherwise = map[string]string{
	"terminal/flow ParsePayState": "looks its argument up in a closed list",
	"settlement/profile Unpack":   "LoadArchive begins with it",
	"si/ledgerapi DecodeBody":     "DecodeRecord ends with it",
}

// unfuzzed holds that every exported parser of bytes or text is fed by a fuzz
// target of its package, and that every target has seeds.
func unfuzzed(files []*source.File) []source.Problem {
	fed := map[string]string{} // folder to the text of its fuzz targets
	var out []source.Problem
	for _, f := range files {
		for _, fn := range functions(f) {
			if !f.Test || !strings.HasPrefix(fn.Name.Name, "Fuzz") || fn.Recv != nil {
				continue
			}
			text := f.Text[f.Fset.Position(fn.Pos()).Offset:f.Fset.Position(fn.End()).Offset]
			fed[f.Dir] += text
			if !strings.Contains(text, ".Add(") {
				out = append(out, f.At(fn.Pos(), "%s has no seed: give it what is good and what nearly is, with Add", fn.Name.Name))
			}
		}
	}
	for _, f := range files {
		if f.Test || strings.HasPrefix(f.Dir, "internal/") {
			continue
		}
		for _, fn := range functions(f) {
			name := fn.Name.Name
			if !parserName.MatchString(name) || !takesText(fn) || fedOtherwise[f.Dir+" "+name] != "" {
				continue
			}
			if !regexp.MustCompile(`\b` + name + `\b`).MatchString(fed[f.Dir]) {
				out = append(out, f.At(fn.Pos(), "parser %s is in no fuzz target of %s", name, f.Dir))
			}
		}
	}
	return out
}

func functions(f *source.File) (out []*ast.FuncDecl) {
	for _, d := range f.AST.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok {
			out = append(out, fn)
		}
	}
	return out
}

// takesText tells whether a function takes bytes or a string.
func takesText(fn *ast.FuncDecl) bool {
	return slices.ContainsFunc(fn.Type.Params.List, func(p *ast.Field) bool {
		switch t := p.Type.(type) {
		case *ast.ArrayType:
			id, ok := t.Elt.(*ast.Ident)
			return ok && t.Len == nil && id.Name == "byte"
		case *ast.Ident:
			return t.Name == "string"
		}
		return false
	})
}
