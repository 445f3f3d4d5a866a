package archtest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"

	"github.com/shebao-pay/shebao/internal/source"
)

// module is one direct requirement: its version, why it is here, and the only
// packages that may import it. Raising a version begins with this table.
type module struct {
	version, why string
	code, tests  []string
}

// modules are all direct requirements of go.mod.
var modules = map[string]module{
	"github.com/ebfe/scard": {"v0.0.0-20241214075232-7af069cabc25", "PC/SC; cgo lives in one package",
		[]string{"cardauth/pcsc"}, nil},
	"github.com/moov-io/iso8583": {"v0.26.1", "the second implementation on each bank wire: simulated banks, oracle in tests",
		[]string{"simulators/bankhost"}, []string{"settlement/bankmsg"}},
	"github.com/emmansun/gmsm": {"v0.15.5", "SM4 of PBOC 3.0 cards and of bank profiles",
		[]string{"cardauth/emv", "cardauth/mac", "cardauth/pinblock", "cardauth/softhsm", "simulators/bankhost"}, nil},
	"github.com/shopspring/decimal": {"v1.6.0", "rates and bases at the edge; money is si.Fen",
		[]string{"ledger/assess"}, nil},
	"github.com/hashicorp/raft": {"v1.7.3", "the replicated log; v1.8.0 does not build with its own store",
		[]string{"ledger/replog"}, nil},
	"go.etcd.io/bbolt": {"v1.5.0", "materialised state, terminal journal; measured beside the ledger in simulators/rivals",
		[]string{"ledger/store", "terminal/journal", "simulators/rivals"}, nil},
	"github.com/jackc/pgx/v5": {"v5.12.0", "PostgreSQL measured beside the ledger",
		[]string{"simulators/rivals"}, nil},
	"github.com/hanwen/go-fuse/v2": {"v2.12.1", "a file system that loses what was not synced, under programs that know nothing of it",
		[]string{"internal/faultfs"}, nil},
	"github.com/rs/zerolog": {"v1.35.1", "log lines at the edge; leaves return errors and counters",
		[]string{"cardauth", "settlement", "ledger", "terminal", "cmd/..."}, nil},
	"gopkg.in/yaml.v3": {"v3.0.1", "files that people write",
		[]string{"ledger/assess", "ledger/enrol", "settlement/profile", "settlement/operator", "cmd/..."}, nil},
	"github.com/danielgtaylor/huma/v2": {"v2.37.2", "the terminal API's server and its OpenAPI",
		[]string{"settlement/termsrv"}, nil},
	"github.com/prometheus/client_golang": {"v1.25.0", "metrics are gathered where programs are tied",
		[]string{"cmd/..."}, nil},
	"github.com/spf13/cobra": {"v1.10.2", "commands of people's tools",
		[]string{"cmd/shebaoctl", "cmd/simulate"}, nil},
	"github.com/schollz/progressbar/v3": {"v3.19.1", "progress of commands that take more than a second",
		[]string{"cmd/shebaoctl", "cmd/simulate"}, nil},
	"github.com/boombuler/barcode": {"v1.1.0", "QR and Code 128",
		[]string{"terminal/kiosk", "terminal/print", "simulators/printer", "settlement/notice"}, nil},
	"github.com/nicksnyder/go-i18n/v2": {"v2.7.0", "words of the screens",
		[]string{"terminal/kiosk"}, nil},
	"golang.org/x/text": {"v0.43.0", "GBK and GB 18030; language tags of the kiosk",
		[]string{"cardauth/sscard", "settlement/bankfile", "settlement/bankmsg", "terminal/kiosk", "terminal/print", "simulators/..."}, []string{"terminal/..."}},
	"golang.org/x/crypto": {"v0.58.0", "argon2id of the key store",
		[]string{"cardauth/softhsm"}, nil},
	"golang.org/x/sys": {"v0.49.0", "what the operating system offers beyond package syscall",
		[]string{"cardauth/hsm", "ledger/...", "simulators/vpcd", "simulators/stage", "cmd/..."}, nil},
	"golang.org/x/time": {"v0.16.0", "rate limits at the doors",
		[]string{"cardauth/softhsm", "settlement/acceptor", "settlement/termsrv"}, nil},
	"github.com/xuri/excelize/v2": {"v2.10.0", "writes workbooks for the tests of the reader, which is ours; v2.11.1 does not build",
		nil, []string{"settlement/operator/sheet"}},
	"github.com/chromedp/chromedp": {"v0.23.0", "browser tests",
		nil, []string{"terminal/kiosk", "simulators/...", "cmd/..."}},
	"github.com/chromedp/cdproto": {"v0.159.0", "the protocol that chromedp speaks",
		nil, []string{"terminal/kiosk", "simulators/...", "cmd/..."}},
	"github.com/rogpeppe/go-internal": {"v1.14.1", "command scripts in tests",
		nil, []string{"cmd/..."}},
	"modernc.org/sqlite": {"v1.62.0", "the second oracle of the world: checks in plain SQL, in memory; no C",
		[]string{"simulators/oracle"}, nil},
	"github.com/anishathalye/porcupine": {"v1.3.1", "linearizability of recorded histories", nil, []string{"ledger", "simulators/..."}},
	"go.uber.org/goleak":                {"v1.3.0", "goroutine leaks", nil, []string{"..."}},
	"pgregory.net/rapid":                {"v1.3.0", "property tests", nil, []string{"..."}},
}

// unserved is the reason of modules that the ordinary download refuses.
const unserved = "does not resolve: the ordinary module download refuses it"

// banned have no path into go.mod, as a requirement of any kind, with the
// reason.
var banned = map[string]string{
	"github.com/moov-io/pinblock":           "secrets pass through our own codecs, held to published vectors",
	"github.com/moov-io/tr31":               "secrets pass through our own codecs, held to published vectors",
	"github.com/moov-io/bertlv":             "card bytes pass through our own bounded codec",
	"github.com/moov-io/dukpt":              "no such key scheme is offered",
	"github.com/moov-io/iso8583-connection": "banklink is the link",
	"github.com/moov-io/iso20022":           "keeps amounts as floating point",
	"github.com/moov-io/ach":                unserved,
	"github.com/moov-io/bai2":               unserved,
	"github.com/moov-io/wire20022":          unserved,
	"github.com/skythen/apdu":               unserved,
	"github.com/aead/cmac":                  unserved,
	"github.com/sf1/go-card":                unserved,
	"github.com/hennedo/escpos":             unserved,
	"github.com/6tail/lunar-go":             unserved,
	"charm.land/bubbletea/v2":               "neither builds nor tidies",
	"codeberg.org/go-pdf/fpdf":              "panics on characters above U+FFFF",
	"github.com/signintech/gopdf":           "drops characters above U+FFFF without a word",
	"github.com/skip2/go-qrcode":            "boombuler/barcode is maintained and has Code 128 as well",
	"github.com/ogen-go/ogen":               "the API is written in Go first",
	"github.com/go-pdf/fpdf":                "panics on characters above U+FFFF",
	"github.com/jung-kurt/gofpdf":           "panics on characters above U+FFFF",
	"github.com/spf13/viper":                "folds the case of keys and takes unknown ones",
	"github.com/gorilla/websocket":          "github.com/coder/websocket is maintained",
	"github.com/gorilla/csrf":               "net/http has CrossOriginProtection",
	"github.com/mattn/go-sqlite3":           "the truth is the log",
	"github.com/stretchr/testify":           "tests use package testing",
	"github.com/sirupsen/logrus":            "zerolog is the logger",
	"go.uber.org/zap":                       "zerolog is the logger",
	"github.com/tjfoc/gmsm":                 "github.com/emmansun/gmsm is maintained",
	"github.com/go-errors/errors":           "errors are wrapped by fmt",
	"github.com/pkg/errors":                 "errors are wrapped by fmt",
}

// packagesOf narrows a module to some of its packages.
var packagesOf = map[string][]string{
	"github.com/emmansun/gmsm": {"sm4"}, // a known flaw of v0.15.5 is in its SM9
}

// checkModules holds the homes of outside modules.
func checkModules(files []*source.File) []source.Problem {
	var out []source.Problem
	for _, f := range files {
		for i, to := range f.Imports() {
			first := top(to)
			if ours(to) || !strings.Contains(first, ".") {
				continue
			}
			pos := f.AST.Imports[i].Pos()
			name, m := moduleOf(to)
			switch {
			case name == "":
				out = append(out, f.At(pos, "%s belongs to no module of internal/archtest; a new module needs a reason and a home there", to))
			case packagesOf[name] != nil && !slices.Contains(packagesOf[name], strings.TrimPrefix(to, name+"/")):
				out = append(out, f.At(pos, "of %s only %v may be imported", name, packagesOf[name]))
			case !coversAny(m.code, f.Dir) && !(f.Test && coversAny(m.tests, f.Dir)):
				out = append(out, f.At(pos, "%s may not import %s: its home is %s (%s)", f.Dir, to, home(m), m.why))
			}
		}
	}
	return out
}

func moduleOf(pkg string) (string, module) {
	for name, m := range modules {
		if source.Within(pkg, name) {
			return name, m
		}
	}
	return "", module{}
}

func home(m module) string {
	out := slices.Clone(m.code)
	for _, t := range m.tests {
		out = append(out, "tests of "+t)
	}
	return strings.Join(out, ", ")
}

// checkPins compares a go.mod with the table: same direct requirements, same
// versions, nothing banned, nothing replaced or excluded.
func checkPins(goMod string) ([]source.Problem, error) {
	text, err := exec.Command("go", "mod", "edit", "-json", goMod).Output()
	if err != nil {
		return nil, fmt.Errorf("archtest: go mod edit -json %s: %w", goMod, err)
	}
	var mod struct {
		Require []struct {
			Path, Version string
			Indirect      bool
		}
		Replace, Exclude []any
	}
	if err := json.Unmarshal(text, &mod); err != nil {
		return nil, fmt.Errorf("archtest: output of go mod edit: %w", err)
	}
	var out []source.Problem
	add := func(format string, args ...any) {
		out = append(out, source.Problem{Where: "go.mod", Why: fmt.Sprintf(format, args...)})
	}
	if len(mod.Replace) > 0 {
		add("replace is not allowed: what is built is what the table names")
	}
	if len(mod.Exclude) > 0 {
		add("exclude is not allowed: what is built is what the table names")
	}
	seen := map[string]bool{}
	for _, r := range mod.Require {
		if why := banned[r.Path]; why != "" {
			add("%s is banned: %s", r.Path, why)
		}
		m, listed := modules[r.Path]
		seen[r.Path] = true
		switch {
		case !listed && !r.Indirect:
			add("%s is required directly and has no row in internal/archtest", r.Path)
		case listed && m.version != r.Version:
			add("%s is %s, internal/archtest says %s: change the table and its reason first", r.Path, r.Version, m.version)
		}
	}
	for _, name := range slices.SortedFunc(maps.Keys(modules), cmp.Compare[string]) {
		if !seen[name] {
			add("%s %s is in internal/archtest and not required", name, modules[name].version)
		}
	}
	return out, nil
}
