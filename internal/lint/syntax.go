package lint

import (
	"go/ast"
	"go/token"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/shebao-pay/shebao/internal/source"
)

// goRules are the rules over one Go file.
var goRules = []struct {
	name  string
	check func(*source.File) []source.Problem
}{
	{"printing", printing},
	{"chance", chance},
	{"floats", floats},
	{"TLS", tlsChecks},
	{"markup", markup},
	{"reveal", reveals},
	{"skips", skips},
	{"exported names", exportedDocs},
	{"comments", comments},
}

// printing holds that only programs write to the standard streams: packages
// return errors and counters, shells log through zerolog.
func printing(f *source.File) []source.Problem {
	var out []source.Problem
	if f.Test {
		return nil
	}
	program := source.Within(f.Dir, "cmd")
	ast.Inspect(f.AST, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		switch pkg, name := callee(f, call); {
		case pkg == "fmt" && strings.HasPrefix(name, "Print") && !program, pkg == "" && (name == "print" || name == "println"):
			out = append(out, f.At(call.Pos(), "%s writes to a standard stream: return an error, or write to a writer that was passed in", name))
		case pkg == "log" && name != "New" || pkg == "log/slog": // net/http wants a *log.Logger for its own words
			out = append(out, f.At(call.Pos(), "%s.%s: the logger is zerolog, in top packages and cmd", pkg, name))
		}
		return true
	})
	return out
}

// chanceAllowed are files outside tests and simulators that may use weak
// chance.
var chanceAllowed = map[string]string{
	"settlement/hub.go":            "spreads retries of banks in time; nobody gains by guessing it",
	"settlement/msgtest/sample.go": "messages of tests, the same again from a seed",
	"internal/faultfs/disk.go":     "what a power failure leaves, the same again from a seed",
}

// chance holds that ids, keys and padding come from crypto/rand.
func chance(f *source.File) []source.Problem {
	if f.Test || source.Within(f.Dir, "simulators") || source.Within(f.Dir, "cmd/simulate") || chanceAllowed[f.Path] != "" {
		return nil
	}
	var out []source.Problem
	for _, spec := range f.AST.Imports {
		if source.Within(unquote(spec.Path.Value), "math/rand") {
			out = append(out, f.At(spec.Pos(), "import of math/rand: what must not be guessed comes from crypto/rand; what may be is listed in internal/lint with its reason"))
		}
	}
	return out
}

// exact are the folders where amounts, rates and counts live.
var exact = []string{"si", "ledger", "settlement", "data", "terminal/flow", "terminal/journal", "terminal/hub", "terminal/print",
	"simulators/bankhost", "simulators/residents"}

// exactAllowed are settings of libraries that no amount comes near.
var exactAllowed = map[string]string{
	"ledger/store/store.go": "how full bbolt packs its pages",
}

// floats holds that no floating point number is near money.
func floats(f *source.File) []source.Problem {
	if f.Test || exactAllowed[f.Path] != "" || !slices.ContainsFunc(exact, func(top string) bool { return source.Within(f.Dir, top) }) {
		return nil
	}
	var out []source.Problem
	ast.Inspect(f.AST, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Ident:
			if n.Name == "float32" || n.Name == "float64" {
				out = append(out, f.At(n.Pos(), "%s: amounts are si.Fen and rates are exact decimals", n.Name))
			}
		case *ast.BasicLit:
			if n.Kind == token.FLOAT {
				out = append(out, f.At(n.Pos(), "floating point number %s: amounts are si.Fen and rates are exact decimals", n.Value))
			}
		case *ast.SelectorExpr:
			if id, ok := n.X.(*ast.Ident); ok && id.Name == "strconv" && (n.Sel.Name == "ParseFloat" || n.Sel.Name == "FormatFloat") {
				out = append(out, f.At(n.Pos(), "strconv.%s: amounts are si.Fen and rates are exact decimals", n.Sel.Name))
			}
		}
		return true
	})
	return out
}

// tlsChecks holds that certificates are checked, in tests too.
func tlsChecks(f *source.File) []source.Problem {
	var out []source.Problem
	ast.Inspect(f.AST, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && id.Name == "Insecure"+"SkipVerify" {
			out = append(out, f.At(id.Pos(), "%s: the other side's certificate is always checked", id.Name))
		}
		return true
	})
	return out
}

// markupAllowed are the files that may make markup past the escaping of
// html/template.
var markupAllowed = map[string]string{
	"terminal/kiosk/pages.go": "puts the output of one template into another",
	"terminal/kiosk/codes.go": "draws codes from numbers and an escaped label",
}

// markup holds that data reaches pages through html/template.
func markup(f *source.File) []source.Problem {
	if f.Test || markupAllowed[f.Path] != "" {
		return nil
	}
	kinds := []string{"CSS", "HTML", "HTMLAttr", "JS", "JSStr", "Srcset", "URL"}
	var out []source.Problem
	ast.Inspect(f.AST, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if pkg, name := callee(f, call); pkg == "html/template" && slices.Contains(kinds, name) {
				out = append(out, f.At(call.Pos(), "template.%s turns escaping off: data goes through the template", name))
			}
		}
		return true
	})
	return out
}

// revealAllowed are the files that may take the clear form of a secret, with
// the purpose.
var revealAllowed = map[string]string{
	"si/secret.go":                        "masks are made of the clear form",
	"cardauth/session.go":                 "binds the two applications of a card to one person; finds the bank by the first digits",
	"cardauth/emv/read.go":                "compares the two card numbers on a chip",
	"cardauth/emv/account.go":             "compares the two card numbers on a chip",
	"cardauth/epp/socket.go":              "the card's number goes to the PIN pad, which binds the block to it",
	"settlement/engine/memo.go":           "what is sealed into the payment's memo",
	"cardauth/envelope/encode.go":         "what is sealed for the HSM process",
	"cardauth/hsm/bodies.go":              "the wire of the HSM process's socket",
	"cardauth/hsm/server.go":              "the wire of the HSM process's socket",
	"cardauth/pinblock/block.go":          "inside the PIN pad and the HSM",
	"cardauth/softhsm/card.go":            "inside the HSM process: opens envelopes, makes hashes",
	"cardauth/softhsm/person.go":          "inside the HSM process: seals and hashes the register's rows",
	"cardauth/softhsm/working.go":         "inside the HSM process: translates PIN blocks",
	"settlement/bankmsg/build.go":         "fields 2, 35 and 52 of a message to the card's own bank",
	"settlement/bankmsg/message.go":       "fields 2, 35 and 52 of a message to the card's own bank",
	"settlement/bankmsg/encode.go":        "fields 2, 35 and 52 of a message to the card's own bank",
	"terminal/secrets.go":                 "an enciphered PIN block goes into one message to the hub",
	"cmd/settled/directory.go":            "finds the bank by the first digits",
	"settlement/banklink/linktest/hsm.go": "a stand-in for tests",
}

// reveals holds that the clear form of a secret is taken in known files only.
func reveals(f *source.File) []source.Problem {
	if f.Test || source.Within(f.Dir, "simulators") || revealAllowed[f.Path] != "" {
		return nil
	}
	var out []source.Problem
	ast.Inspect(f.AST, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if sel, ok := call.Fun.(*ast.SelectorExpr); ok && (sel.Sel.Name == "Reveal" || sel.Sel.Name == "AppendDigits") {
				out = append(out, f.At(call.Pos(), "%s takes the clear form of a secret: this file is not in the list of internal/lint", sel.Sel.Name))
			}
		}
		return true
	})
	return out
}

// skips holds that a test whose tool is missing fails. Leaving long work out
// under -short is allowed.
func skips(f *source.File) []source.Problem {
	var out []source.Problem
	short := map[ast.Node]bool{}
	ast.Inspect(f.AST, func(n ast.Node) bool {
		if branch, ok := n.(*ast.IfStmt); ok {
			if call, ok := branch.Cond.(*ast.CallExpr); ok {
				if pkg, name := callee(f, call); pkg == "testing" && name == "Short" {
					for _, s := range branch.Body.List {
						if x, ok := s.(*ast.ExprStmt); ok {
							short[x.X] = true
						}
					}
				}
			}
		}
		if call, ok := n.(*ast.CallExpr); ok && f.Test && !short[call] {
			if sel, ok := call.Fun.(*ast.SelectorExpr); ok && slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, sel.Sel.Name) {
				if id, ok := sel.X.(*ast.Ident); ok && slices.Contains([]string{"t", "b", "f", "tb"}, id.Name) {
					out = append(out, f.At(call.Pos(), "%s.%s: a test whose tool is missing fails; it does not skip", id.Name, sel.Sel.Name))
				}
			}
		}
		return true
	})
	return out
}

// plain are methods whose name says all: those of well-known interfaces.
var plain = []string{"String", "GoString", "Format", "Error", "Unwrap", "Is", "As", "Len", "Less", "Swap", "Push", "Pop",
	"MarshalJSON", "UnmarshalJSON", "MarshalText", "UnmarshalText", "MarshalBinary", "UnmarshalBinary", "MarshalYAML", "UnmarshalYAML",
	"Read", "Write", "Close", "ServeHTTP", "Describe", "Collect"}

// exportedDocs holds that exported names say what they are for. One comment may
// stand over a group.
func exportedDocs(f *source.File) []source.Problem {
	if f.Test || f.AST.Name.Name == "main" {
		return nil
	}
	var out []source.Problem
	missing := func(pos token.Pos, name string) {
		out = append(out, f.At(pos, "exported %s has no comment", name))
	}
	for _, decl := range f.AST.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() && d.Doc == nil && exportedReceiver(d) && !(d.Recv != nil && slices.Contains(plain, d.Name.Name)) {
				missing(d.Pos(), d.Name.Name)
			}
		case *ast.GenDecl:
			over := d.Doc != nil
			for _, spec := range d.Specs {
				switch s := spec.(type) {
				case *ast.TypeSpec:
					if s.Name.IsExported() && s.Doc == nil && !over && s.Comment == nil {
						missing(s.Pos(), s.Name.Name)
					}
				case *ast.ValueSpec:
					if s.Doc == nil && s.Comment == nil && !over && slices.ContainsFunc(s.Names, (*ast.Ident).IsExported) {
						missing(s.Pos(), s.Names[0].Name)
					}
				}
			}
		}
	}
	return out
}

func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	t := d.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return false
		}
	}
}

// comments holds that nothing is left open in a comment and that no public
// linter is silenced by name alone.
func comments(f *source.File) []source.Problem {
	var out []source.Problem
	for _, group := range f.AST.Comments {
		for _, c := range group.List {
			if word := openEnd(c.Text); word != "" {
				out = append(out, f.At(c.Pos(), "comment says %q: finish it, or say in docs/ what is left out and why", word))
			}
			if strings.HasPrefix(c.Text, "//no"+"lint") || strings.HasPrefix(c.Text, "//lint:") {
				out = append(out, f.At(c.Pos(), "a linter is silenced: mend what it found"))
			}
			if _, reason, silenced := strings.Cut(c.Text, "#no"+"sec"); silenced {
				if _, why, ok := strings.Cut(reason, " -- "); !ok || len(strings.Fields(why)) < 2 || !strings.HasPrefix(reason, " G") {
					out = append(out, f.At(c.Pos(), "gosec is silenced without rule and reason: write #no"+"sec G000 -- reason"))
				}
			}
		}
	}
	return out
}

// packageDocs holds that each package has exactly one doc comment, which begins
// as its kind wants.
func packageDocs(files []*source.File) []source.Problem {
	docs := map[string][]*source.File{}
	first := map[string]*source.File{}
	for _, f := range files {
		if f.Test {
			continue
		}
		if first[f.Dir] == nil {
			first[f.Dir] = f
		}
		if f.AST.Doc != nil {
			docs[f.Dir] = append(docs[f.Dir], f)
		}
	}
	var out []source.Problem
	for _, dir := range slices.Sorted(maps.Keys(first)) {
		f := first[dir]
		switch with := docs[dir]; {
		case len(with) == 0:
			out = append(out, f.At(f.AST.Package, "package %s has no doc comment", f.AST.Name.Name))
		case len(with) > 1:
			out = append(out, with[1].At(with[1].AST.Package, "package %s has a second doc comment, the first is in %s", f.AST.Name.Name, with[0].Path))
		default:
			want := "Package " + f.AST.Name.Name + " "
			if f.AST.Name.Name == "main" {
				want = "Command " + dir[strings.LastIndex(dir, "/")+1:] + " "
			}
			if text := with[0].AST.Doc.Text(); !strings.HasPrefix(text, want) {
				out = append(out, with[0].At(with[0].AST.Doc.Pos(), "the package comment should begin with %q", want))
			}
		}
	}
	return out
}

// callee gives the import path and the name that a call names; no path for a
// plain name.
func callee(f *source.File, call *ast.CallExpr) (pkg, name string) {
	switch fun := ast.Unparen(call.Fun).(type) {
	case *ast.Ident:
		return "", fun.Name
	case *ast.SelectorExpr:
		id, ok := fun.X.(*ast.Ident)
		if !ok {
			return "?", fun.Sel.Name
		}
		for _, spec := range f.AST.Imports {
			p := unquote(spec.Path.Value)
			if spec.Name != nil && spec.Name.Name == id.Name || spec.Name == nil && p[strings.LastIndex(p, "/")+1:] == id.Name {
				return p, fun.Sel.Name
			}
		}
		return "?", fun.Sel.Name
	}
	return "?", ""
}

func unquote(s string) string {
	p, err := strconv.Unquote(s)
	if err != nil {
		return ""
	}
	return p
}
