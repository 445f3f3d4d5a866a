package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shebao-pay/shebao/ledger"
	"github.com/shebao-pay/shebao/si"
	"github.com/shebao-pay/shebao/si/ledgerapi"
)

// dataDir is a stopped node's directory with three commands in it.
func dataDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	n, err := ledger.Open(ledger.Config{Dir: dir, Region: 1, Area: 330110, Segment: 64 << 10, Election: 10 * time.Millisecond, MinFree: 1})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		c := ledgerapi.PutTerminal{ID: si.NewPaymentID(time.Now()), Terminal: si.Terminal(i + 1), Bank: 1, State: ledgerapi.TerminalNew}
		if r, err := n.Do(context.Background(), c); err != nil || r.Code != ledgerapi.OK {
			t.Fatalf("PutTerminal: %v, %v", r.Code, err)
		}
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestVerify(t *testing.T) {
	dir := dataDir(t)
	var out, errOut bytes.Buffer
	if err := run(context.Background(), []string{"verify", "--data", dir}, &out, &errOut); err != nil {
		t.Fatalf("verify: %v", err)
	}
	if got := out.String(); !strings.Contains(got, "3 records") || !strings.Contains(got, "agree") || strings.Contains(got, "PROBLEM") {
		t.Errorf("verify says:\n%s", got)
	}
	if errOut.Len() != 0 {
		t.Errorf("a short verify drew a bar: %q", errOut.String())
	}
}

func TestVerifyJSON(t *testing.T) {
	dir := dataDir(t)
	type line struct {
		OK       bool
		Batches  uint64
		Records  uint64
		Payments uint64
		Head     string
		Problems []string
	}
	verify := func() (l line, err error) {
		var out bytes.Buffer
		err = run(context.Background(), []string{"verify", "--data", dir, "--json"}, &out, io.Discard)
		if strings.Count(out.String(), "\n") != 1 {
			t.Fatalf("verify --json printed %q, want one line", out.String())
		}
		if err := json.Unmarshal(out.Bytes(), &l); err != nil {
			t.Fatal(err)
		}
		return l, err
	}
	l, err := verify()
	if err != nil || !l.OK || l.Records != 3 || l.Batches == 0 || len(l.Head) != 64 || l.Problems == nil || len(l.Problems) != 0 {
		t.Errorf("verify --json = %+v, %v", l, err)
	}
	path := filepath.Join(dir, "log", "0000000000000001.seg")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[200] ^= 4
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err = verify()
	if !errors.Is(err, errNotOK) || l.OK || len(l.Problems) == 0 {
		t.Errorf("verify --json of a damaged log = %+v, %v, want errNotOK", l, err)
	}
}

// TestVerifyWitness gives keys and heads from outside.
func TestVerifyWitness(t *testing.T) {
	dir := dataDir(t)
	key := filepath.Join(t.TempDir(), "day.pem")
	verify := func(args ...string) (string, error) {
		var out bytes.Buffer
		err := run(context.Background(), append([]string{"verify", "--data", dir}, args...), &out, io.Discard)
		return out.String(), err
	}
	// The public key of RFC 8032, section 7.1, test 1, as openssl writes it.
	const pem = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n"
	if err := os.WriteFile(key, []byte(pem), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := verify("--key", key); err != nil || !strings.Contains(out, "agree") {
		t.Errorf("verify --key of a ledger without a sealed day = %v:\n%s", err, out)
	}
	hash := strings.Repeat("ab", 32)
	if out, err := verify("--head", "20261120:"+hash); !errors.Is(err, errNotOK) || !strings.Contains(out, "does not seal that date") {
		t.Errorf("verify --head of a day that is not there = %v:\n%s", err, out)
	}
	for _, bad := range []string{"20261120", "20261120:ab", "20261320:" + hash, ":" + hash} {
		if _, err := verify("--head", bad); err == nil || errors.Is(err, errNotOK) {
			t.Errorf("verify --head %q = %v, want it refused", bad, err)
		}
	}
	for _, bad := range []string{"", "no key", pem + pem, "-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----\n"} {
		if err := os.WriteFile(key, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := verify("--key", key); err == nil || errors.Is(err, errNotOK) {
			t.Errorf("verify with the key file %q = %v, want it refused", bad, err)
		}
	}
}

func TestVerifyWithoutLedger(t *testing.T) {
	if err := run(context.Background(), []string{"verify", "--data", t.TempDir()}, io.Discard, io.Discard); err == nil {
		t.Error("verify of an empty directory succeeded")
	}
	if err := run(context.Background(), []string{"verify", "--dta", "x"}, io.Discard, io.Discard); err == nil {
		t.Error("an unknown flag was taken")
	}
}

func TestProgressBar(t *testing.T) {
	var out bytes.Buffer
	p := progress{out: &out, what: "verify"}
	p.set(1, 100)
	if out.Len() != 0 {
		t.Errorf("a bar after no time at all: %q", out.String())
	}
	p.began = time.Now().Add(-2 * patience)
	p.set(50, 100)
	p.end()
	if !strings.Contains(out.String(), "verify") {
		t.Errorf("no bar after %v: %q", 2*patience, out.String())
	}
}
