package lint

import (
	"fmt"
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/shebao-pay/shebao/internal/source"
)

// tools are the commands that code and tests start by name, with the Debian
// package that brings each; empty is a part of Go or of every Debian.
var tools = map[string]string{
	"go": "", "bash": "", "git": "git",
	"zbarimg": "zbar-tools", "pdftotext": "poppler-utils", "pdftoppm": "poppler-utils", "strace": "strace",
}

var group = regexp.MustCompile(`(?m)^(build|run|test)="([^"]*)"$`)

// packages holds what scripts/need.sh installs to what is used: a command that
// is started has its package there, a package that nothing needs is not, and the
// READMEs name them all.
func packages(need source.Text, files []*source.File, readmes ...source.Text) []source.Problem {
	var out []source.Problem
	all, building := map[string]bool{}, map[string]bool{}
	for _, m := range group.FindAllStringSubmatch(need.Body, -1) {
		for _, p := range strings.Fields(m[2]) {
			all[p], building[p] = true, m[1] == "build"
		}
	}
	if len(all) == 0 {
		return []source.Problem{{Where: need.Path, Why: "names no packages"}}
	}
	used := map[string]bool{}
	for _, f := range files {
		if strings.HasPrefix(f.Dir, "internal/lint") {
			continue
		}
		for p := range all {
			used[p] = used[p] || strings.Contains(f.Text, p)
		}
		for name, pos := range started(f) {
			p, known := tools[name]
			switch {
			case !known:
				out = append(out, f.At(pos, "starts %s: give it a row with its Debian package in internal/lint", name))
			case p != "" && p != "git" && !all[p]: // git is there where this was cloned
				out = append(out, f.At(pos, "starts %s: %s does not install %s", name, need.Path, p))
			}
			used[p] = true
		}
	}
	for p := range all {
		for _, page := range readmes {
			if !regexp.MustCompile(`[^\w-]` + regexp.QuoteMeta(p) + `[^\w-]`).MatchString(page.Body) {
				out = append(out, source.Problem{Where: page.Path, Why: fmt.Sprintf("does not name %s, which %s installs", p, need.Path)})
			}
			used[p] = used[p] || slices.ContainsFunc(typed(page.Body), func(c string) bool { return strings.HasPrefix(c, p+" ") })
		}
		if !used[p] && !building[p] {
			out = append(out, source.Problem{Where: need.Path, Why: fmt.Sprintf("installs %s, which nothing uses", p)})
		}
	}
	slices.SortFunc(out, func(a, b source.Problem) int { return strings.Compare(a.Where+a.Why, b.Where+b.Why) })
	return out
}

// started gives the commands that a file starts by a plain name.
func started(f *source.File) map[string]token.Pos {
	out := map[string]token.Pos{}
	ast.Inspect(f.AST, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		sel, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || !slices.Contains([]string{"Command", "CommandContext", "LookPath"}, sel.Sel.Name) {
			return true
		}
		if x, ok := sel.X.(*ast.Ident); !ok || x.Name != "exec" {
			return true
		}
		at := 0
		if sel.Sel.Name == "CommandContext" {
			at = 1
		}
		if at < len(call.Args) {
			if lit, ok := call.Args[at].(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if name, err := strconv.Unquote(lit.Value); err == nil && !strings.Contains(name, "/") {
					out[name] = lit.Pos()
				}
			}
		}
		return true
	})
	return out
}
