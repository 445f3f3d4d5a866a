package ledger

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shebao-pay/shebao/ledger/store"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// TestBackupOfARunningNode copies a node that pays meanwhile, proves the copy, and
// restores it as a lone node that goes on paying.
func TestBackupOfARunningNode(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.Segment, cfg.KeepSegments = 8<<10, 1
	n := openNode(t, cfg)
	settle(t, n, 600)
	early := filepath.Join(t.TempDir(), "early") // before there is an archive
	if _, err := n.Backup(early, nil); err != nil {
		t.Fatal(err)
	}
	verifyOK(t, early)
	told := map[int]ledgerapi.Result{}
	for i := range 300 {
		told[i] = must(t, n, payDue(i))[0]
		if i%100 == 50 {
			if err := n.Checkpoint(); err != nil {
				t.Fatal(err)
			}
			if err := n.archive(); err != nil {
				t.Fatal(err)
			}
		}
	}
	stop := make(chan struct{})
	paid := make(chan int, 1)
	go func() {
		i := 300
		for ; i < 500; i++ {
			select {
			case <-stop:
				paid <- i
				return
			default:
			}
			if r, err := n.Do(background(), payDue(i)); err != nil || r.Code != ledgerapi.OK {
				t.Errorf("payment %d beside the backup: %v %v", i, r.Code, err)
			}
		}
		paid <- i
	}()
	out := filepath.Join(t.TempDir(), "copy")
	var last, total int64
	info, err := n.Backup(out, func(done, all int64) { last, total = done, all })
	close(stop)
	upTo := <-paid
	if err != nil {
		t.Fatal(err)
	}
	if last != total || last != info.Bytes || info.Files < 4 {
		t.Errorf("the backup of %+v told of %d bytes of %d", info, last, total)
	}
	if _, err := n.Backup(out, nil); err == nil {
		t.Error("a second backup into the same folder succeeded")
	}
	if left, _ := filepath.Glob(filepath.Join(cfg.Dir, "backup*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	closeNode(t, n)
	r := verifyOK(t, out)
	if r.Archived == 0 || r.Payments < 300 || r.Payments > uint64(upTo) {
		t.Errorf("the copy holds %d payments and %d archived segments; 300 to %d were paid", r.Payments, r.Archived, upTo)
	}
	dir := filepath.Join(t.TempDir(), "restored")
	if _, err := Restore(out, dir, "", nil); err != nil {
		t.Fatal(err)
	}
	back := cfg
	back.Dir = dir
	n = openNode(t, back)
	for i, want := range told {
		if p, ok := n.Payment(payDue(i).ID); !ok || p.Receipt != want.Receipt {
			t.Fatalf("payment %d after the restore: %v %v, want receipt %v", i, ok, p.Receipt, want.Receipt)
		}
	}
	must(t, n, payDue(550))
	closeNode(t, n)
	verifyOK(t, dir)
	if _, err := Restore(out, dir, "", nil); err == nil || !strings.Contains(err.Error(), "exists") {
		t.Errorf("Restore over a ledger: %v, want a refusal", err)
	}
}

// TestRestoreRefuses plants one fault in each file of a backup.
func TestRestoreRefuses(t *testing.T) {
	dir := sample(t)
	out := filepath.Join(t.TempDir(), "copy")
	if _, err := Backup(dir, out, nil); err != nil {
		t.Fatal(err)
	}
	files, err := sources(out)
	if err != nil || len(files) < 3 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, f := range append(files, source{name: listName, path: filepath.Join(out, listName)}) {
		good, err := os.ReadFile(f.path)
		if err != nil {
			t.Fatal(err)
		}
		for what, bad := range map[string][]byte{
			"one bit flipped": func() []byte { b := append([]byte(nil), good...); b[len(b)/3] ^= 4; return b }(),
			"cut short":       good[:len(good)-2],
			"missing":         nil,
		} {
			if bad == nil {
				err = os.Remove(f.path)
			} else {
				err = os.WriteFile(f.path, bad, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			to := filepath.Join(t.TempDir(), "restored")
			if _, err := Restore(out, to, "", nil); err == nil || !missing(to) {
				t.Errorf("%s %s: Restore = %v and the folder is there: %v", f.name, what, err, !missing(to))
			}
		}
		if err := os.WriteFile(f.path, good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Restore(out, filepath.Join(t.TempDir(), "restored"), "", nil); err != nil {
		t.Errorf("the untouched backup: %v", err)
	}
}

// TestArchiveFaults plants faults in an archive: each is found, and a fall while
// a segment was being archived is none.
func TestArchiveFaults(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.Segment, cfg.KeepSegments = 8<<10, 1
	n := openNode(t, cfg)
	settle(t, n, 400)
	for i := range 400 {
		must(t, n, payDue(i))
	}
	for range 2 {
		must(t, n, ledgerapi.PutTerminal{ID: id('t', int(n.applied.Load())), Terminal: 1, Bank: testBank, State: ledgerapi.TerminalNew})
		if err := n.Checkpoint(); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.archive(); err != nil {
		t.Fatal(err)
	}
	closeNode(t, n)
	whole := verifyOK(t, cfg.Dir)
	if whole.Archived < 3 || whole.Segments <= whole.Archived {
		t.Fatalf("%d of %d segments are archived", whole.Archived, whole.Segments)
	}
	old, err := filepath.Glob(filepath.Join(cfg.Dir, "log", "archive", "*.gz"))
	if err != nil || len(old) != whole.Archived {
		t.Fatalf("%v %v", old, err)
	}
	manifest := filepath.Join(cfg.Dir, "log", "archive", "manifest")
	for _, c := range []struct{ name, path, want string }{
		{"a flipped bit", old[1], "decompress"},
		{"a missing segment", old[1], "missing"},
		{"the first missing", old[0], "missing"},
		{"a changed manifest", manifest, "manifest"},
		{"no manifest", manifest, "manifest does not name it"},
	} {
		good, err := os.ReadFile(c.path)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(c.name, "missing") || strings.HasPrefix(c.name, "no") {
			err = os.Remove(c.path)
		} else {
			bad := append([]byte(nil), good...)
			bad[len(bad)/2] ^= 1
			err = os.WriteFile(c.path, bad, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		r, err := Verify(cfg.Dir, nil)
		if text := fmt.Sprint(err, r.Problems); r.OK() && err == nil || !strings.Contains(text, c.want) && c.name != "a flipped bit" {
			t.Errorf("%s: Verify says %q, want %q", c.name, text, c.want)
		}
		if err := os.WriteFile(c.path, good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// Without its state file the log that is left on the disk is not enough, and
	// the migration reads the archive too.
	if err := os.Remove(filepath.Join(cfg.Dir, stateName)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(cfg); err == nil || !strings.Contains(err.Error(), "shebaoctl migrate") {
		t.Fatalf("Open of an archived log without its state: %v, want the command that helps", err)
	}
	if err := os.Remove(filepath.Join(cfg.Dir, stateName)); err != nil { // the empty one that Open made
		t.Fatal(err)
	}
	if _, err := Migrate(cfg.Dir, stateOptions, nil); err != nil {
		t.Fatal(err)
	}
	n = openNode(t, cfg)
	must(t, n, ledgerapi.PutTerminal{ID: id('t', 9), Terminal: 9, Bank: testBank, State: ledgerapi.TerminalNew})
	closeNode(t, n)
	verifyOK(t, cfg.Dir)
}

// stateOptions say whose the tests' ledger is.
var stateOptions = store.Options{Region: 1, Area: 330110}

func FuzzParseList(f *testing.F) {
	sum := strings.Repeat("ab", 32)
	f.Add("shebao-backup 1 region 1 area 330110 index 7 head " + sum + "\n" + sum + " 10 state.bolt\n" + sum + " 5 log/0000000000000001.seg\nend 2\n")
	f.Add("shebao-backup 1 region 1 area 330110 index 7 head " + sum + "\n" + sum + " 10 ../state.bolt\nend 1\n")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		info, files, err := parseList(strings.NewReader(text))
		if err != nil {
			return
		}
		if info.Files != len(files) || info.Bytes < 0 {
			t.Errorf("%+v of %d files", info, len(files))
		}
		for _, l := range files {
			if l.size < 0 || !filepath.IsLocal(l.name) {
				t.Errorf("file %+v", l)
			}
		}
	})
}

func FuzzParseMark(f *testing.F) {
	f.Add(appendMark(nil, mark{7, [32]byte{1}}))
	f.Add([]byte{markByte})
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := parseMark(b); err == nil && string(appendMark(nil, m)) != string(b) {
			t.Errorf("%x is read as %+v", b, m)
		}
	})
}
