package archtest

import (
	"slices"
	"strings"

	"github.com/shebao-pay/shebao/internal/source"
)

// zones says what the packages of a folder at the root may import of this
// module. A row is a package; a row that ends in /... is a package and all
// below it. Everyone may import their own zone within the tables below.
var zones = map[string]zone{
	"si":         {why: "the base nouns lean on nothing"},
	"cardauth":   {code: []string{"si/..."}, tests: outside, why: "card and PIN stay apart from money and ledger"},
	"settlement": {code: []string{"si/..."}, tests: outside, why: "the money side meets cards and ledger through interfaces that cmd ties"},
	"ledger":     {code: []string{"si/..."}, tests: outside, why: "the ledger sees neither PAN nor PIN"},
	"terminal":   {code: []string{"si/...", "cardauth"}, tests: outside, why: "a terminal knows the result of a card session and nothing beneath"},
	"data":       {why: "data has no code to lean on"},
	"internal":   {code: []string{"si"}, why: "tooling reads source, it does not run it"},
	"simulators": {
		code:  []string{"si/...", "cardauth/...", "settlement/profile", "settlement/operator", "data"},
		tests: []string{"internal/...", "settlement/...", "ledger/...", "terminal/..."},
		why:   "the outside world has its own code on each wire, or an error on both sides would agree with itself",
	},
	"cmd": {code: []string{"si/...", "cardauth/...", "settlement/...", "ledger/...", "terminal/...", "data"},
		tests: outside, why: "programs tie packages together"},
}

type zone struct {
	code  []string // what any file may import
	tests []string // what test files may import besides
	why   string
}

// beyond are the packages that may import more than their zone, each with the
// reason.
var beyond = map[string]struct {
	code []string
	why  string
}{
	"simulators/world": {[]string{"settlement/engine", "settlement/banklink", "settlement/day", "ledger/core"},
		"the world on virtual time drives the very cores that production runs; the banks around them are its own"},
	"cmd/simulate": {[]string{"internal/faultfs"},
		"the crash proof puts settled's folder on the disk that the tests of the log fail"},
}

// outside is what tests lean on: the simulated world, vectors and demo data.
var outside = []string{"simulators/...", "internal/...", "data"}

// vocabulary are the parents that their children may import: nouns and
// interfaces, not shells.
var vocabulary = []string{"si", "terminal/device"}

// siblings says which packages beneath one zone may import one another: codec
// to codec, core to its pure helpers, shell to its core. Test files may import
// any package of their zone.
var siblings = map[string][]string{
	"si/ledgerapi": {"si/ledgerapi/wire"},

	"cardauth/emv":      {"cardauth/apdu", "cardauth/tlv"},
	"cardauth/sscard":   {"cardauth/apdu", "cardauth/tlv"},
	"cardauth/pcsc":     {"cardauth/apdu"},
	"cardauth/pinblock": {"cardauth/mac"},
	"cardauth/tr31":     {"cardauth/mac"},
	"cardauth/softhsm":  {"cardauth/envelope", "cardauth/mac", "cardauth/pinblock", "cardauth/tr31"},
	"cardauth/hsm":      {"cardauth/softhsm"},

	"settlement/bankmsg":           {"settlement/profile"},
	"settlement/engine":            {"settlement/bankmsg", "settlement/day", "settlement/profile"},
	"settlement/banklink":          {"settlement/bankmsg", "settlement/profile"},
	"settlement/banklink/linktest": {"settlement/bankmsg", "settlement/profile"},
	"settlement/msgtest":           {"settlement/bankmsg", "settlement/profile"},
	"settlement/acceptor":          {"settlement/bankmsg", "settlement/profile"},
	"settlement/notice":            {"settlement/paper"},
	"settlement/recon":             {"settlement/bankfile"},
	"settlement/termsrv":           {"settlement/engine"},
	"settlement/operator":          {"settlement/operator/sheet"},

	"ledger/core":  {"ledger/assess", "ledger/chain", "ledger/enrol"},
	"ledger/store": {"ledger/core"},

	"terminal/device/escpos": {"terminal/device"},
	"terminal/journal":       {"terminal/flow"},
	"terminal/kiosk":         {"terminal/flow"},
}

// onlyIn names the importers of our own packages that not everyone in reach may
// import. Test files of the named zones come after the bar.
var onlyIn = []struct {
	pkg, why    string
	code, tests []string
}{
	{"cmd/...", "programs are started, not imported", nil, nil},
	{"simulators/...", "the simulated world must not reach a program that a bank runs",
		[]string{"cmd/simulate", "simulators/..."}, []string{"..."}},
	{"internal/...", "tooling and vectors are for tests", []string{"internal/...", "cmd/simulate"}, []string{"..."}},
	{"data", "a running node takes business data from the log", []string{"simulators/...", "cmd/simulate"}, []string{"..."}},
	{"cardauth/pinblock", "a clear PIN exists inside the PIN pad and inside the HSM only",
		[]string{"cardauth/softhsm", "simulators/pinpad"}, []string{"cardauth/...", "simulators/..."}},
	{"cardauth/softhsm", "keys and clear PINs stay inside the HSM process; the stage makes the demo's keys",
		[]string{"cardauth/hsm", "cmd/settled", "simulators/stage"}, []string{"cardauth/...", "simulators/...", "cmd/..."}},
	{"settlement/banklink/linktest", "a bank for tests", nil, []string{"settlement/..."}},
	{"settlement/msgtest", "messages for tests", nil, []string{"settlement/...", "simulators/..."}},
	{"si/ledgerapi/wire", "the byte form of records belongs to the ledger",
		[]string{"si/ledgerapi", "ledger/core"}, []string{"si/...", "ledger/..."}},
}

// checkImports holds the rules between the packages of this module.
func checkImports(files []*source.File) []source.Problem {
	var out []source.Problem
	for _, f := range files {
		for i, to := range f.Imports() {
			if !ours(to) {
				continue
			}
			if why := forbidden(f, to); why != "" {
				out = append(out, f.At(f.AST.Imports[i].Pos(), "%s may not import %s: %s", f.Dir, to, why))
			}
		}
	}
	return out
}

// forbidden gives the reason why a file may not import a package of ours, or
// nothing.
func forbidden(f *source.File, to string) string {
	for _, rule := range onlyIn {
		if !covers(rule.pkg, to) || f.Dir == to {
			continue
		}
		if !coversAny(rule.code, f.Dir) && !(f.Test && coversAny(rule.tests, f.Dir)) {
			return rule.why
		}
	}
	here, there := top(f.Dir), top(to)
	z, known := zones[here]
	if !known {
		return "the folder " + here + " is in no zone; give it a row in internal/archtest"
	}
	if here != there {
		if coversAny(z.code, to) || f.Test && coversAny(z.tests, to) || coversAny(beyond[f.Dir].code, to) {
			return ""
		}
		if here == "cmd" && coversAny([]string{"simulators/..."}, to) {
			return "" // onlyIn has judged it
		}
		return z.why
	}
	if f.Dir != to && source.Within(f.Dir, to) && !f.Test && !slices.Contains(vocabulary, to) {
		return "a child never imports its parent, which ties its children together"
	}
	if here == "cmd" || here == "internal" || here == "simulators" || f.Test || f.Dir == here || slices.Contains(vocabulary, to) {
		return ""
	}
	if f.Dir != to && !slices.Contains(siblings[f.Dir], to) {
		return "siblings meet in their parent; an edge between them needs a row in internal/archtest"
	}
	return ""
}

func ours(p string) bool {
	_, known := zones[top(p)]
	return known
}

func top(p string) string {
	first, _, _ := strings.Cut(p, "/")
	return first
}

// covers tells whether a row of a table stands for a package.
func covers(row, pkg string) bool {
	if base, all := strings.CutSuffix(row, "..."); all {
		base = strings.TrimSuffix(base, "/")
		return base == "" || source.Within(pkg, base)
	}
	return row == pkg
}

func coversAny(rows []string, pkg string) bool {
	return slices.ContainsFunc(rows, func(row string) bool { return covers(row, pkg) })
}
