package vpcd_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/simulators/chipcard"
	"github.com/shebao-pay/shebao/simulators/vpcd"
)

// TestRig starts a rig, puts a card in and out, restarts pcscd under it and ends
// it. What readers see of it is tested in cardauth/pcsc.
func TestRig(t *testing.T) {
	rig, err := vpcd.Start(t.Context(), vpcd.Config{Dir: shortDir(t), Readers: 2})
	if err != nil {
		t.Fatalf("Start: %v", err)
	}
	defer rig.Close()
	if e := <-rig.Events(); e.Kind != vpcd.Ready {
		t.Fatalf("first event = %+v, want ready", e)
	}
	if _, err := os.Stat(rig.Socket()); err != nil {
		t.Errorf("socket: %v", err)
	}
	if _, err := rig.Remove(0); !errors.Is(err, vpcd.ErrEmpty) {
		t.Errorf("Remove from an empty reader: error %v, want ErrEmpty", err)
	}
	if err := rig.Insert(1, chipcard.Example(1), chipcard.State{ATC: 41}); err != nil {
		t.Fatalf("Insert: %v", err)
	}
	if err := rig.Insert(1, chipcard.Example(2), chipcard.State{}); !errors.Is(err, vpcd.ErrTaken) {
		t.Errorf("Insert into a taken reader: error %v, want ErrTaken", err)
	}
	if err := rig.Insert(2, chipcard.Example(2), chipcard.State{}); !errors.Is(err, vpcd.ErrReader) {
		t.Errorf("Insert into a reader that is not there: error %v, want ErrReader", err)
	}
	if err := rig.Insert(0, chipcard.Data{Social: &chipcard.Social{}}, chipcard.State{}); err == nil {
		t.Error("Insert of a card without data succeeds")
	}
	if err := rig.StopService(); err != nil {
		t.Errorf("StopService: %v", err)
	}
	if e := <-rig.Events(); e.Kind != vpcd.Down {
		t.Errorf("event after the kill = %+v, want down", e)
	}
	if err := rig.StartService(); err != nil {
		t.Errorf("StartService: %v", err)
	}
	stats, err := rig.Remove(1)
	if err != nil || stats.Card != "example-1" || stats.State.ATC != 41 {
		t.Errorf("Remove = %+v, %v; want the card with what it kept", stats, err)
	}
	rig.Close()
	if err := rig.Insert(0, chipcard.Example(1), chipcard.State{}); !errors.Is(err, vpcd.ErrClosed) {
		t.Errorf("Insert after Close: error %v, want ErrClosed", err)
	}
}

// parentCommand makes this program a process that starts a rig and waits to be
// killed.
const parentCommand = "parent-of-a-rig"

func parentMain(dir string) int {
	if _, err := vpcd.Start(context.Background(), vpcd.Config{Dir: dir, Readers: 1}); err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("ready")
	select {}
}

// TestParentDies kills a program that has a rig: nothing of it may stay.
func TestParentDies(t *testing.T) {
	dir := shortDir(t)
	cmd := exec.Command("/proc/self/exe", parentCommand, dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "ready\n" {
		t.Fatalf("parent says %q, %v", line, err)
	}
	if n := processesOf(t, dir); n < 3 { // parent, rig, pcscd
		t.Errorf("%d processes name the rig's folder, want at least 3", n)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	for deadline := time.Now().Add(10 * time.Second); processesOf(t, dir) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d processes of the rig outlive its parent", processesOf(t, dir))
		}
	}
}

// processesOf counts the live processes whose arguments name a folder.
func processesOf(t *testing.T, dir string) int {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil && bytes.Contains(b, []byte(dir)) {
			n++ // one that is gone meanwhile, or a zombie, has no arguments
		}
	}
	return n
}

// shortDir is a temporary folder whose path leaves room for a socket's name.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "vpcd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func TestStartRefuses(t *testing.T) {
	dir := t.TempDir()
	driver := filepath.Join(dir, "driver.so")
	if err := os.WriteFile(driver, []byte("no driver"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]struct {
		cfg  vpcd.Config
		says string
	}{
		"no reader":        {vpcd.Config{Dir: dir}, "1 to 8"},
		"too many readers": {vpcd.Config{Dir: dir, Readers: vpcd.MaxReaders + 1}, "1 to 8"},
		"no pcscd":         {vpcd.Config{Dir: dir, Readers: 1, PCSCD: dir + "/none"}, "apt-get install pcscd"},
		"no driver":        {vpcd.Config{Dir: dir, Readers: 1, Driver: dir + "/none"}, "apt-get install vsmartcard-vpcd"},
		"long path":        {vpcd.Config{Dir: dir + "/" + strings.Repeat("d", 100), Readers: 1}, "shorter"},
		"not pcscd":        {vpcd.Config{Dir: shortDir(t), Readers: 1, PCSCD: "/bin/false"}, "ended"},
	} {
		rig, err := vpcd.Start(t.Context(), v.cfg)
		if err == nil {
			rig.Close()
			t.Errorf("Start with %s succeeds", name)
		} else if !strings.Contains(err.Error(), v.says) {
			t.Errorf("Start with %s: error %q does not say %q", name, err, v.says)
		}
	}
}
