package main

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/shebao-pay/shebao/simulators/stage"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"simulate": main})
}

// TestScript runs the sessions of testdata/script: what a newcomer types and
// reads.
func TestScript(t *testing.T) {
	data, err := filepath.Abs(filepath.Join("..", "..", "data"))
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Setup:               func(e *testscript.Env) error { e.Setenv("DATA", data); return nil },
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"hold": hold, "folder": folder},
	})
}

// hold keeps the demo's port of the kiosk page until the script ends, if nobody
// else on this machine does.
func hold(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: hold")
	}
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(stage.DemoPorts().Kiosk)))
	if err == nil {
		ts.Defer(func() { _ = l.Close() })
	}
}

// folder sets a variable to a path of so many bytes: folder NAME BYTES.
func folder(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: folder NAME BYTES")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	ts.Setenv(args[0], "/"+strings.Repeat("f", n-1))
}

// TestTakeFolder: the demo takes what is new, empty or its own, and removes
// nothing of anybody else's.
func TestTakeFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "demo")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := takeFolder(dir, false); n != 0 || err != nil {
		t.Fatalf("new folder: %d, %v", n, err)
	}
	if n, err := takeFolder(dir, false); n != 0 || err != nil {
		t.Fatalf("start that ended before anybody was loaded: %d, %v", n, err)
	}
	write(filledName, "3000\n")
	if n, err := takeFolder(dir, false); n != 3000 || err != nil {
		t.Errorf("second start: %d, %v, want 3000", n, err)
	}
	write(filledName, "many\n")
	if _, err := takeFolder(dir, false); err == nil {
		t.Error("a damaged file was taken")
	}
	if n, err := takeFolder(dir, true); n != 0 || err != nil {
		t.Errorf("fresh start: %d, %v", n, err)
	}
	if _, err := os.Stat(filepath.Join(dir, filledName)); !os.IsNotExist(err) {
		t.Errorf("after a fresh start: %v, want nothing of the old one", err)
	}
	write(markName, "somebody's own DEMO")
	for _, fresh := range []bool{false, true} {
		if _, err := takeFolder(dir, fresh); err == nil || !strings.Contains(err.Error(), "nothing was changed") {
			t.Errorf("a folder of somebody else's, fresh %t: %v", fresh, err)
		}
	}
	if b, err := os.ReadFile(filepath.Join(dir, markName)); string(b) != "somebody's own DEMO" {
		t.Errorf("somebody's file is now %q, %v", b, err)
	}
}
