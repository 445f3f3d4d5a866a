package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/simulators/load"
)

// walkTime bounds the whole walk-through.
const walkTime = 2 * time.Minute

// commandsOf gives the sh blocks of a page, in order.
func commandsOf(t *testing.T, page string) string {
	t.Helper()
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for rest := string(b); ; {
		_, after, found := strings.Cut(rest, "```sh\n")
		if !found {
			break
		}
		block, behind, closed := strings.Cut(after, "\n```")
		if !closed {
			t.Fatalf("%s has a block without an end", page)
		}
		all.WriteString(block + "\n")
		rest = behind
	}
	return all.String()
}

// ownPorts replaces the ports of the page by free ones: others may run it too.
func ownPorts(t *testing.T, script string) string {
	t.Helper()
	free := map[string]string{}
	var held []net.Listener
	script = regexp.MustCompile(`127\.0\.0\.1:87\d\d`).ReplaceAllStringFunc(script, func(addr string) string {
		if free[addr] == "" {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			held = append(held, l)
			free[addr] = l.Addr().String()
		}
		return free[addr]
	})
	for _, l := range held {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(free) != 4 {
		t.Errorf("the page uses %d addresses, want 4", len(free))
	}
	return script
}

// TestFifthBank runs the walk-through of docs/operating/add-a-bank.md as it
// stands: a bank of files alone, its host, a payment at its counter and one by
// card, and the proof of the ledger.
func TestFifthBank(t *testing.T) {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "fifth-") // short: sockets lie in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "bin")+"/", "./cmd/settled", "./cmd/shebaoctl", "./cmd/simulate")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	if err := os.Symlink(filepath.Join(root, "data"), filepath.Join(dir, "data")); err != nil {
		t.Fatal(err)
	}
	script := "set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT\n" +
		ownPorts(t, commandsOf(t, filepath.Join(root, "docs", "operating", "add-a-bank.md")))
	ctx, cancel := context.WithTimeout(t.Context(), walkTime)
	defer cancel()
	c := exec.CommandContext(ctx, "bash", "-c", script)
	c.Dir = dir
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // what it started ends with it
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
	c.WaitDelay = 10 * time.Second
	out, err := c.CombinedOutput()
	work := filepath.Join(dir, "var", "fifth")
	if err != nil {
		for _, name := range []string{"settled.log", "hsm.log", "bankhost.jsonl"} {
			b, _ := os.ReadFile(filepath.Join(work, name))
			t.Logf("%s:\n%s", name, b[max(0, len(b)-3000):])
		}
		t.Fatalf("the walk-through: %v\n%s", err, out)
	}
	if !bytes.Contains(out, []byte("ycb: profile 2026.1 of bank ycb (5) is sound")) {
		t.Errorf("no word of the sound profile in\n%s", out)
	}
	paid, again, anew := counterFile(t, work, "paid.json"), counterFile(t, work, "again.json"), counterFile(t, work, "anew.json")
	if paid.Records["RN"] == "" || again.Records["RN"] != paid.Records["RN"] {
		t.Errorf("the same payment again has receipt %q, want %q", again.Records["RN"], paid.Records["RN"])
	}
	if anew.Records["RN"] == "" || anew.Records["RN"] == paid.Records["RN"] {
		t.Errorf("the payment anew has receipt %q, the one taken back %q", anew.Records["RN"], paid.Records["RN"])
	}
	var card load.Report
	readJSON(t, filepath.Join(work, "card.json"), &card)
	if card.Payments == 0 || card.Errors != 0 {
		t.Errorf("by card: %+v", card)
	}
	if want := card.Payments; debits(t, filepath.Join(work, "bankhost.jsonl")) != want {
		t.Errorf("the bank has not the %d debits of the card", want)
	}
}

func readJSON(t *testing.T, path string, to any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, to); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func counterFile(t *testing.T, work, name string) (a counterAnswer) {
	t.Helper()
	readJSON(t, filepath.Join(work, name), &a)
	return a
}

// debits counts the approved ones that the host has seen.
func debits(t *testing.T, path string) (n uint64) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(b) {
		var r hostRequest
		if json.Unmarshal(line, &r) == nil && r.Kind == "debit" && r.Code == "00" {
			n++
		}
	}
	return n
}
