package archtest

import (
	"go/ast"
	"slices"

	"github.com/shebao-pay/shebao/internal/source"
)

// tagged are the places where struct tags may stand: the one vocabulary that
// travels as JSON, the configuration of programs, and the private mirror
// structs of adapters, file by file.
var tagged = []string{
	"si/termapi/...",                 // bodies of the terminal API
	"cmd/...",                        // configuration files, lines of output
	"simulators/...",                 // scripts, control sockets and journals of the simulated world
	"cardauth/epp/socket.go",         // lines on the PIN pad's socket
	"ledger/assess/parse.go",         // the rate table as people write it
	"ledger/enrol/parse.go",          // the rules of cover as people write them
	"settlement/bankfile/camtxml.go", // elements of camt.053
	"settlement/profile/rules.go",    // a bank's rules as people write them
	"settlement/operator/...",        // bodies of the operator socket
	"settlement/termsrv/routes.go",   // places in a path, for the framework
	"terminal/journal/record.go",     // journal records
}

// checkTags holds that domain types carry no tags of a wire or a store.
func checkTags(files []*source.File) []source.Problem {
	var out []source.Problem
	for _, f := range files {
		if f.Test || coversAny(tagged, f.Dir) || slices.Contains(tagged, f.Path) {
			continue
		}
		ast.Inspect(f.AST, func(n ast.Node) bool {
			if s, ok := n.(*ast.StructType); ok {
				for _, field := range s.Fields.List {
					if field.Tag != nil {
						out = append(out, f.At(field.Tag.Pos(), "struct tag %s: domain types carry none; give the adapter a private mirror struct and its file a row in internal/archtest", field.Tag.Value))
					}
				}
			}
			return true
		})
	}
	return out
}
