package bankhost

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFileBound reads a file of the largest size and refuses one byte more.
func TestFileBound(t *testing.T) {
	p := testProfile(t, "ccb")
	text := `{"kbpk":"` + strings.Repeat("33", 32) + `","imk":"` + strings.Repeat("0B1C", 8) + `"}`
	for extra, ok := range map[int]bool{0: true, 1: false} {
		path := filepath.Join(t.TempDir(), "keys.json")
		b := append([]byte(text), bytes.Repeat([]byte(" "), maxFile-len(text)+extra)...)
		must(t, os.WriteFile(path, b, 0o600))
		if _, err := ReadKeys(path, p); (err == nil) != ok {
			t.Errorf("%d bytes: got %v", len(b), err)
		}
	}
}

// FuzzFiles reads keys and accounts from anything. What is taken makes a host.
func FuzzFiles(f *testing.F) {
	for _, seed := range []string{
		`{"kbpk":"` + strings.Repeat("33", 32) + `","imk":"` + strings.Repeat("0B1C", 8) + `","card":"sm4"}`, `{"tmk":{"x":"00"}}`, `[]`, `{"kbpk":1}`,
		"pan,pin,balance_fen\n" + panOf("ccb", 1) + ",123456,100\n", "pan,pin,balance_fen\n\"", "pan,pin,balance_fen\n1,2\n", "\xff\xfe",
	} {
		f.Add([]byte(seed))
	}
	p := testProfile(f, "ccb")
	f.Fuzz(func(t *testing.T, b []byte) {
		if k, err := parseKeys("f", b, p); err == nil {
			if _, err := New(Config{Profile: p, Keys: k}); err != nil {
				t.Errorf("keys that were taken make no host: %v", err)
			}
		}
		list, err := parseAccounts("f", b)
		if err == nil {
			for _, a := range list {
				if a.Balance < 0 || len(a.PAN) < 13 {
					t.Errorf("account with balance %d", a.Balance)
				}
			}
		}
	})
}
