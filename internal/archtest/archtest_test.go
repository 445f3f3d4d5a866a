package archtest

import (
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shebao-pay/shebao/internal/source"
)

func load(t *testing.T) (string, []*source.File) {
	t.Helper()
	root, err := source.Root()
	if err != nil {
		t.Fatal(err)
	}
	files, err := source.Go(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 100 {
		t.Fatalf("source.Go read %d files; the module has more", len(files))
	}
	return root, files
}

func report(t *testing.T, problems []source.Problem) {
	t.Helper()
	for _, p := range problems {
		t.Error(p)
	}
}

func TestImports(t *testing.T) {
	_, files := load(t)
	report(t, checkImports(files))
}

func TestModuleHomes(t *testing.T) {
	_, files := load(t)
	report(t, checkModules(files))
}

func TestTags(t *testing.T) {
	_, files := load(t)
	report(t, checkTags(files))
}

func TestPins(t *testing.T) {
	root, _ := load(t)
	problems, err := checkPins(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	report(t, problems)
}

func TestCores(t *testing.T) {
	root, files := load(t)
	imp, err := exported(root, files[0].Fset)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, f := range files {
		seen[f.Dir] = true
		seen[f.Path] = true
	}
	for dir, names := range cores {
		if !seen[dir] {
			t.Errorf("core %s is in the table and not in the tree", dir)
		}
		for _, name := range names {
			if !seen[dir+"/"+name] {
				t.Errorf("core file %s/%s is in the table and not in the tree", dir, name)
			}
		}
	}
	report(t, checkCore(files, imp))
}

// planted makes one file whose package is named after its folder.
func planted(t *testing.T, fset *token.FileSet, name, body string) *source.File {
	t.Helper()
	f, err := source.Parse(fset, name, "package p\n\n"+body)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestPlantedImports plants one import for each rule. An empty reason means
// that the import is allowed, so that no rule refuses everything.
func TestPlantedImports(t *testing.T) {
	for _, c := range []struct{ file, imports, want string }{
		{"si/x.go", "settlement/profile", "lean on nothing"},
		{"si/termapi/x.go", "si", ""},
		{"cardauth/x.go", "settlement/profile", "card and PIN stay apart"},
		{"cardauth/emv/x.go", "ledger/core", "card and PIN stay apart"},
		{"settlement/x.go", "ledger", "cmd ties"},
		{"settlement/engine/x.go", "cardauth/emv", "cmd ties"},
		{"ledger/core/x.go", "settlement/engine", "neither PAN nor PIN"},
		{"ledger/x.go", "si/ledgerapi", ""},
		{"terminal/x.go", "cardauth", ""},
		{"terminal/flow/x.go", "cardauth/emv", "nothing beneath"},
		{"terminal/x.go", "settlement/termsrv", "nothing beneath"},
		{"data/x.go", "si", "no code to lean on"},
		{"simulators/bankhost/x.go", "settlement/bankmsg", "agree with itself"},
		{"simulators/bankhost/x_test.go", "settlement/bankmsg", ""},
		{"simulators/stage/x.go", "terminal/flow", "agree with itself"},
		{"settlement/engine/x.go", "settlement", "never imports its parent"},
		{"terminal/device/escpos/x.go", "terminal/device", ""},
		{"settlement/engine/x.go", "settlement/termsrv", "siblings meet in their parent"},
		{"settlement/engine/x.go", "settlement/profile", ""},
		{"settlement/engine/x_test.go", "settlement/termsrv", ""},
		{"cmd/settled/x.go", "cmd/terminald", "started, not imported"},
		{"settlement/x_test.go", "cmd/settled", "started, not imported"},
		{"cmd/settled/x.go", "simulators/bankhost", "must not reach a program"},
		{"cmd/settled/x_test.go", "simulators/bankhost", ""},
		{"cmd/simulate/x.go", "simulators/bankhost", ""},
		{"settlement/x.go", "simulators/bankhost", "must not reach a program"},
		{"settlement/x_test.go", "simulators/bankhost", ""},
		{"cmd/settled/x.go", "data", "takes business data from the log"},
		{"cardauth/hsm/x.go", "cardauth/pinblock", "inside the PIN pad and inside the HSM"},
		{"cardauth/hsm/x_test.go", "cardauth/pinblock", ""},
		{"simulators/pinpad/x.go", "cardauth/pinblock", ""},
		{"terminal/x_test.go", "cardauth/pinblock", "inside the PIN pad and inside the HSM"},
		{"cmd/terminald/x.go", "cardauth/softhsm", "stay inside the HSM process"},
		{"cmd/settled/x.go", "cardauth/softhsm", ""},
		{"si/x.go", "internal/vectors", "tooling and vectors are for tests"},
		{"settlement/banklink/x.go", "settlement/banklink/linktest", "a bank for tests"},
		{"settlement/bankmsg/x.go", "settlement/msgtest", "messages for tests"},
		{"settlement/bankmsg/x.go", "si/ledgerapi/wire", "belongs to the ledger"},
		{"extras/x.go", "si", "is in no zone"},
	} {
		f := planted(t, token.NewFileSet(), c.file, `import _ "`+source.Module+"/"+c.imports+`"`)
		expect(t, c.file+" imports "+c.imports, checkImports([]*source.File{f}), c.want)
	}
}

func TestPlantedModules(t *testing.T) {
	for _, c := range []struct{ file, imports, want string }{
		{"cardauth/emv/x.go", "github.com/ebfe/scard", "its home is cardauth/pcsc"},
		{"settlement/bankmsg/x.go", "github.com/moov-io/iso8583", "second implementation"},
		{"settlement/bankmsg/x_test.go", "github.com/moov-io/iso8583/specs", ""},
		{"settlement/engine/x.go", "github.com/rs/zerolog", "leaves return errors"},
		{"settlement/x.go", "github.com/rs/zerolog", ""},
		{"ledger/core/x.go", "github.com/shopspring/decimal", "its home is ledger/assess"},
		{"terminal/kiosk/x.go", "github.com/chromedp/chromedp", "browser tests"},
		{"cardauth/emv/x.go", "github.com/emmansun/gmsm/sm4", ""},
		{"cardauth/emv/x.go", "github.com/emmansun/gmsm/sm9", "only [sm4] may be imported"},
		{"ledger/x.go", "pgregory.net/rapid", "property tests"},
		{"ledger/x_test.go", "pgregory.net/rapid", ""},
		{"ledger/x_test.go", "github.com/stretchr/testify/assert", "belongs to no module"},
		{"ledger/x.go", "encoding/binary", ""},
	} {
		f := planted(t, token.NewFileSet(), c.file, `import _ "`+c.imports+`"`)
		expect(t, c.file+" imports "+c.imports, checkModules([]*source.File{f}), c.want)
	}
}

func TestPlantedTags(t *testing.T) {
	body := "type Due struct {\n\tAmount int64 `json:\"amount\"`\n}\n"
	for name, want := range map[string]string{
		"ledger/core/x.go":                   "domain types carry none",
		"settlement/profile/x.go":            "domain types carry none",
		"settlement/profile/rules.go":        "",
		"si/termapi/x.go":                    "",
		"ledger/core/x_test.go":              "",
		"cmd/settled/config.go":              "",
		"simulators/bankhost/wire/mirror.go": "",
	} {
		expect(t, name, checkTags([]*source.File{planted(t, token.NewFileSet(), name, body)}), want)
	}
}

func TestPlantedPins(t *testing.T) {
	root, _ := load(t)
	b, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	good := string(b)
	for _, c := range []struct{ name, mod, want string }{
		{"bump", strings.Replace(good, "go.etcd.io/bbolt v1.5.0", "go.etcd.io/bbolt v1.5.1", 1), "internal/archtest says v1.5.0"},
		{"drop", strings.Replace(good, "\tgo.etcd.io/bbolt v1.5.0\n", "", 1), "go.etcd.io/bbolt v1.5.0 is in internal/archtest and not required"},
		{"stranger", good + "\nrequire example.org/stranger v1.0.0\n", "example.org/stranger is required directly"},
		{"banned", good + "\nrequire github.com/spf13/viper v1.0.0 // indirect\n", "github.com/spf13/viper is banned"},
		{"replace", good + "\nreplace go.etcd.io/bbolt => ../bbolt\n", "replace is not allowed"},
		{"exclude", good + "\nexclude go.etcd.io/bbolt v1.4.0\n", "exclude is not allowed"},
	} {
		if c.mod == good {
			t.Fatalf("%s: the plant did not take", c.name)
		}
		file := filepath.Join(t.TempDir(), "go.mod")
		if err := os.WriteFile(file, []byte(c.mod), 0o600); err != nil {
			t.Fatal(err)
		}
		problems, err := checkPins(file)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		expect(t, c.name, problems, c.want)
	}
}

func TestPlantedCores(t *testing.T) {
	root, _ := load(t)
	fset := token.NewFileSet()
	imp, err := exported(root, fset, "maps", "math/rand/v2", "net/netip", "os", "sync/atomic")
	if err != nil {
		t.Fatal(err)
	}
	const walk = "func f(m map[int]int) (n int) {\n\t%s\n\tfor k := range m {\n\t\tn += k\n\t}\n\treturn n\n}"
	with := func(comment string) string { return strings.Replace(walk, "%s", comment, 1) }
	for _, c := range []struct{ name, body, want string }{
		{"goroutine", "func f() { go f() }", "goroutine"},
		{"channel", "var c chan int", "channel"},
		{"select", "func f() { select {} }", "channel"},
		{"clock", "import \"time\"\n\nvar t = time.Now()", "time.Now: time comes in as an argument"},
		{"renamed clock", "import clock \"time\"\n\nvar t = clock.Tick(1)", "time.Tick"},
		{"zone file", "import \"time\"\n\nvar z, _ = time.LoadLocation(\"Asia/Shanghai\")", "time.LoadLocation"},
		{"chance", "import _ \"math/rand/v2\"", "chance is no input"},
		{"network", "import _ \"net/netip\"", "no network in a core"},
		{"files", "import _ \"os\"", "no files"},
		{"lock", "import _ \"sync/atomic\"", "one caller at a time"},
		{"map", with(""), "walk over a map"},
		{"map behind a name", "type index map[string]int\n\nfunc f(m index) {\n\tfor range m {\n\t}\n}", "walk over a map"},
		{"map behind a parameter", "func f[M ~map[int]int](m M) {\n\tfor range m {\n\t}\n}", "walk over a map"},
		{"map without a reason", with("// order-free:"), "walk over a map"},
		{"map with a reason", with("// order-free: a sum does not know its order"), ""},
		{"keys", "import (\n\t\"maps\"\n\t\"slices\"\n)\n\nfunc f(m map[int]int) []int { return slices.Collect(maps.Keys(m)) }", "maps.Keys"},
		{"sorted keys", "import (\n\t\"maps\"\n\t\"slices\"\n)\n\nfunc f(m map[int]int) []int { return slices.Sorted(maps.Keys(m)) }", ""},
		{"slice", "func f(s []int) (n int) {\n\tfor _, v := range s {\n\t\tn += v\n\t}\n\treturn n\n}", ""},
		{"duration", "import \"time\"\n\nconst d = time.Second", ""},
		{"does not compile", "var x int = \"\"", "does not compile"},
	} {
		f := planted(t, fset, "ledger/core/planted.go", c.body)
		expect(t, c.name, checkCore([]*source.File{f}, imp), c.want)
	}
	shell := planted(t, fset, "settlement/banklink/conn.go", "func f() { go f() }")
	expect(t, "shell half of banklink", checkCore([]*source.File{shell}, imp), "")
	machine := planted(t, fset, "settlement/banklink/session.go", "func f() { go f() }")
	expect(t, "machine half of banklink", checkCore([]*source.File{machine}, imp), "goroutine")
}

// expect wants a problem whose reason holds the given words, or none.
func expect(t *testing.T, what string, got []source.Problem, want string) {
	t.Helper()
	if want == "" {
		for _, p := range got {
			t.Errorf("%s: %v; want no problem", what, p)
		}
		return
	}
	for _, p := range got {
		if strings.Contains(p.Why, want) {
			return
		}
	}
	t.Errorf("%s: got %v, want a problem that says %q", what, got, want)
}
