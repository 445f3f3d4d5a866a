package archtest

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/shebao-pay/shebao/internal/source"
)

// cores are the packages that must do the same for the same input on every
// machine and at every time, and the files of each; none means all.
var cores = map[string][]string{
	"ledger/core":         nil,
	"ledger/assess":       nil,
	"ledger/chain":        nil,
	"ledger/enrol":        nil,
	"settlement/engine":   nil,
	"settlement/bankmsg":  nil,
	"settlement/recon":    nil,
	"settlement/bankfile": nil,
	"terminal/flow":       nil,
	"settlement/banklink": {"session.go", "pending.go", "breaker.go"}, // the machine half; the rest is its TCP shell
}

// coreImports are standard packages that a core may not see, with all below
// them.
var coreImports = map[string]string{
	"math/rand":   "chance is no input",
	"crypto/rand": "chance is no input",
	"net":         "no network in a core",
	"os":          "no files and no process in a core",
	"io/fs":       "no files in a core",
	"context":     "a core does not wait",
	"sync":        "a core has one caller at a time",
	"runtime":     "a core does not see the machine",
	"syscall":     "no operating system in a core",
	"unsafe":      "no memory tricks in a core",
	"log":         "a core returns what happened",
}

// clocks are the names of package time that look at or wait for the clock of
// the machine, or read its zone files.
var clocks = []string{"Now", "Since", "Until", "After", "AfterFunc", "Sleep", "Tick", "NewTicker", "NewTimer", "Local", "LoadLocation"}

// orderFree is the comment that allows a walk over a map, with the reason why
// its order cannot be seen.
var orderFree = regexp.MustCompile(`^//\s*order-free: \S+ \S+`)

// checkCore holds the ban list of the cores. It needs the packages' types to
// know a map from a slice.
func checkCore(files []*source.File, imp types.Importer) []source.Problem {
	var out []source.Problem
	for _, dir := range slices.Sorted(maps.Keys(cores)) {
		var pkg []*source.File
		for _, f := range files {
			if f.Dir == dir && !f.Test {
				pkg = append(pkg, f)
			}
		}
		if len(pkg) == 0 {
			continue
		}
		info, err := typesOf(dir, pkg, imp)
		if err != nil {
			out = append(out, source.Problem{Where: dir, Why: err.Error()})
			continue
		}
		for _, f := range pkg {
			if names := cores[dir]; names == nil || slices.Contains(names, strings.TrimPrefix(f.Path, dir+"/")) {
				out = append(out, coreFile(f, info)...)
			}
		}
	}
	return out
}

func coreFile(f *source.File, info *types.Info) []source.Problem {
	var out []source.Problem
	no := func(pos token.Pos, format string, args ...any) {
		out = append(out, f.At(pos, "core: "+format, args...))
	}
	for _, spec := range f.AST.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue
		}
		for _, banned := range slices.Sorted(maps.Keys(coreImports)) {
			if source.Within(p, banned) {
				no(spec.Pos(), "import of %s: %s", p, coreImports[banned])
			}
		}
	}
	allowed := map[int]bool{}
	for _, group := range f.AST.Comments {
		for _, c := range group.List {
			if orderFree.MatchString(c.Text) {
				line := f.Fset.Position(c.Pos()).Line
				allowed[line], allowed[f.Fset.Position(group.End()).Line+1] = true, true
			}
		}
	}
	sorted := map[ast.Node]bool{} // maps.Keys(m) inside slices.Sorted(…)
	ast.Inspect(f.AST, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			no(n.Pos(), "goroutine: a core has one caller and no life of its own")
		case *ast.SelectStmt, *ast.SendStmt, *ast.ChanType:
			no(n.Pos(), "channel: a core has one caller and no life of its own")
		case *ast.SelectorExpr:
			if path := packageOf(n, info); path == "time" && slices.Contains(clocks, n.Sel.Name) {
				no(n.Pos(), "time.%s: time comes in as an argument", n.Sel.Name)
			}
		case *ast.RangeStmt:
			if _, isMap := under(info.TypeOf(n.X)).(*types.Map); isMap && !allowed[f.Fset.Position(n.Pos()).Line] {
				no(n.Pos(), "walk over a map: its order differs from run to run; sort the keys, or say // order-free: and why")
			}
		case *ast.CallExpr:
			sel, ok := ast.Unparen(n.Fun).(*ast.SelectorExpr)
			if !ok {
				return true
			}
			switch packageOf(sel, info) {
			case "slices":
				if strings.HasPrefix(sel.Sel.Name, "Sorted") && len(n.Args) > 0 {
					sorted[n.Args[0]] = true
				}
			case "maps":
				walks := sel.Sel.Name == "Keys" || sel.Sel.Name == "Values" || sel.Sel.Name == "All"
				if walks && !sorted[n] && !allowed[f.Fset.Position(n.Pos()).Line] {
					no(n.Pos(), "maps.%s: its order differs from run to run; sort it, or say // order-free: and why", sel.Sel.Name)
				}
			}
		}
		return true
	})
	return out
}

// packageOf gives the import path that a selector's left side names, or nothing.
func packageOf(sel *ast.SelectorExpr, info *types.Info) string {
	id, ok := sel.X.(*ast.Ident)
	if !ok {
		return ""
	}
	if name, ok := info.Uses[id].(*types.PkgName); ok {
		return name.Imported().Path()
	}
	return ""
}

func under(t types.Type) types.Type {
	if t == nil {
		return nil
	}
	if p, ok := types.Unalias(t).(*types.TypeParam); ok {
		if core, ok := p.Constraint().Underlying().(*types.Interface); ok && core.NumEmbeddeds() == 1 {
			if u, ok := core.EmbeddedType(0).(*types.Union); ok && u.Len() == 1 {
				return u.Term(0).Type().Underlying()
			}
			return core.EmbeddedType(0).Underlying()
		}
	}
	return t.Underlying()
}

func typesOf(dir string, files []*source.File, imp types.Importer) (*types.Info, error) {
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{}}
	var trees []*ast.File
	for _, f := range files {
		trees = append(trees, f.AST)
	}
	conf := types.Config{Importer: imp}
	if _, err := conf.Check(source.Module+"/"+dir, files[0].Fset, trees, info); err != nil {
		return nil, fmt.Errorf("cannot check a core that does not compile: %w", err)
	}
	return info, nil
}

// exported makes an importer for everything the cores and the extra packages
// import, from what the go command has built.
func exported(root string, fset *token.FileSet, extra ...string) (types.Importer, error) {
	args := append([]string{"list", "-deps", "-export", "-f", "{{.ImportPath}}\t{{.Export}}"}, extra...)
	for _, dir := range slices.Sorted(maps.Keys(cores)) {
		args = append(args, "./"+dir)
	}
	cmd := exec.Command("go", args...) // #nosec G204 -- the go command with packages of our tables
	cmd.Dir = root
	var said bytes.Buffer
	cmd.Stderr = &said
	list, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("archtest: go list -export: %w\n%s", err, said.String())
	}
	where := map[string]string{}
	for line := range strings.Lines(string(list)) {
		pkg, file, _ := strings.Cut(strings.TrimSpace(line), "\t")
		where[pkg] = file
	}
	return importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) {
		file := where[path]
		if file == "" {
			return nil, fmt.Errorf("archtest: no export data of %s", path)
		}
		return os.Open(file) // #nosec G304 -- what the go command has built
	}), nil
}
