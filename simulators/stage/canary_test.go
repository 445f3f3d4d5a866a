package stage

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf16"

	"golang.org/x/text/encoding/simplifiedchinese"
)

// tap keeps every body that a citizen's page received.
type tap struct {
	mu   sync.Mutex
	seen bytes.Buffer
}

func (c *tap) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err == nil {
		resp.Body = &tapped{resp.Body, c}
	}
	return resp, err
}

func (c *tap) bytes() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.seen.Bytes())
}

type tapped struct {
	io.ReadCloser
	tap *tap
}

func (b *tapped) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.tap.mu.Lock()
	defer b.tap.mu.Unlock()
	b.tap.seen.Write(p[:n])
	return n, err
}

// marker is a secret value with every form in which it could lie somewhere.
type marker struct {
	what  string
	forms map[string][]byte
}

func newMarker(t *testing.T, what, v string) marker {
	t.Helper()
	m := marker{what, map[string][]byte{"plain": []byte(v), "hexadecimal": []byte(hex.EncodeToString([]byte(v)))}}
	back := []rune(v)
	slices.Reverse(back)
	m.forms["backwards"] = []byte(string(back))
	for i := range 3 { // wherever it stands in what is encoded
		enc := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("\x00", i) + v))
		m.forms[fmt.Sprintf("base64 at %d", i)] = []byte(enc[4*((i+2)/3) : len(enc)-4])
	}
	var le, be []byte
	for _, u := range utf16.Encode([]rune(v)) {
		le, be = append(le, byte(u), byte(u>>8)), append(be, byte(u>>8), byte(u))
	}
	m.forms["UTF-16LE"], m.forms["UTF-16BE"] = le, be
	if bcd, err := hex.DecodeString(v); err == nil {
		m.forms["BCD"] = bcd
	}
	if gb, err := simplifiedchinese.GB18030.NewEncoder().Bytes([]byte(v)); err == nil { // a key is no text
		m.forms["GB 18030"] = gb
	}
	return m
}

// in names the form in which the marker lies in b.
func (m marker) in(b []byte) string {
	for name, f := range m.forms {
		if bytes.Contains(b, f) {
			return name
		}
	}
	return ""
}

// keyMarkers are the keys of the stage, as bytes and as text. The key store holds
// them sealed; the book of those who made them holds them in clear.
func keyMarkers(t *testing.T, s *Stage) (out []marker) {
	t.Helper()
	add := func(name, text string) {
		m := newMarker(t, "key "+name, string(unhex(text)))
		for form := range m.forms {
			if form != "plain" && form != "hexadecimal" && !strings.HasPrefix(form, "base64") {
				delete(m.forms, form) // of texts
			}
		}
		m.forms["capital hexadecimal"] = []byte(strings.ToUpper(text))
		out = append(out, m)
	}
	for name, text := range s.keys.Named {
		add(name, text)
	}
	for bank, text := range s.keys.IMK {
		add("imk of "+bank, text)
	}
	if len(out) < 10 {
		t.Fatalf("the stage has %d keys; there were more", len(out))
	}
	return out
}

// random12 is a PIN of twelve random digits: nothing else looks like it.
func random12(t *testing.T) string {
	t.Helper()
	b := make([]byte, 12)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	for i := range b {
		b[i] = '0' + b[i]%10
	}
	return string(b)
}

// TestCanary plays sessions with a PIN that exists once in the world, at debug
// level, with a wrong PIN, a lost answer, a hub that is killed and a counter,
// and then looks for PIN, account, ID number, name, telephone number and keys in
// every file and in every byte that reached the page. The bank's own journal may
// hold the account, and the book of keys its keys.
func TestCanary(t *testing.T) {
	s := begin(t, func(c *Config) { c.LogLevel = "debug" })
	heard := &tap{}
	s.tap = heard
	wrong := random12(t)
	markers := append(keyMarkers(t, s), newMarker(t, "the wrong PIN", wrong))
	for _, bank := range []string{"ccb", "rcb"} { // a block of AES and one of 3DES
		pin := random12(t)
		c := deal(t, s, bank, func(c *Card) { c.PIN = pin })
		markers = append(markers, newMarker(t, "PIN", pin), newMarker(t, "account", c.Person.PAN),
			newMarker(t, "ID number", c.Person.IDNumber), newMarker(t, "name", c.Person.Name), newMarker(t, "telephone number", c.Person.Phone))
		for _, fault := range []string{"wrong-pin", "reply-lost", "hub-killed-after-send", "none"} {
			f, err := FindFault(fault)
			if err != nil {
				t.Fatal(err)
			}
			if f.pin != "" {
				f.pin = wrong
			}
			s.OnRequest(nil)
			serves(t, s)
			if _, err := s.PlayCard(t.Context(), c, f, func(string) {}); err != nil {
				t.Fatalf("%s on %s: %v", fault, bank, err)
			}
		}
		counter := counter(t, s, bank)
		if _, err := counter.InquireID(c.Person.IDNumber); err != nil {
			t.Error(err)
		}
		_ = counter.Close()
	}
	for _, strip := range s.Printer.Papers() {
		for _, m := range markers {
			if m.what != "name" && m.in([]byte(strip.Paper.Plain())) != "" {
				t.Errorf("a paper holds the %s", m.what)
			}
		}
	}
	for _, m := range markers {
		if form := m.in(heard.bytes()); form != "" {
			t.Errorf("the page received the %s (%s)", m.what, form)
		}
	}
	if len(heard.bytes()) < 10_000 {
		t.Errorf("only %d bytes of the page were heard", len(heard.bytes()))
	}
	if book, err := os.ReadFile(s.path("keys.json")); err != nil || markers[0].in(book) == "" {
		t.Errorf("the %s is not found where it is: %v", markers[0].what, err)
	}
	searched := search(t, s, markers) // while everything runs
	s.Close()
	search(t, s, markers)
	for _, want := range []string{"log/settled.log", "log/terminald.log", "log/hsm.log", "ledger/state.bolt", "terminal/journal.bolt", "ledger/log"} {
		if !slices.ContainsFunc(searched, func(f string) bool { return strings.HasPrefix(f, want) }) {
			t.Errorf("no file %s was searched", want)
		}
	}
	verified(t, s)
}

// search looks for the markers in every file of the stage and names the files.
func search(t *testing.T, s *Stage, markers []marker) (searched []string) {
	t.Helper()
	err := filepath.WalkDir(s.cfg.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(s.cfg.Dir, path)
		if err != nil {
			return err
		}
		searched = append(searched, name)
		b = bytes.TrimRight(b, "\x00") // log segments are made with their size
		for _, m := range markers {
			form := m.in(b)
			own := strings.HasPrefix(name, "bank-") && m.what == "account" || name == "keys.json" && strings.HasPrefix(m.what, "key ")
			if form != "" && !own {
				t.Errorf("%s holds the %s (%s)", name, m.what, form)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return searched
}

// TestCanaryIsFound plants a marker in every form: a search that finds nothing
// proves nothing.
func TestCanaryIsFound(t *testing.T) {
	const pin = "918273645546"
	m := newMarker(t, "PIN", pin)
	for form, planted := range m.forms {
		b := slices.Concat([]byte("\x01{\"a\":\""), planted, []byte("\"}\n"))
		if m.in(b) == "" {
			t.Errorf("the form %s is not found", form)
		}
	}
	for i := range 6 {
		enc := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", i) + pin + "yy"))
		if m.in([]byte(enc)) == "" {
			t.Errorf("%s is not found in base64 behind %d bytes", pin, i)
		}
	}
	if m.in([]byte("918273645545")) != "" {
		t.Error("another number was taken for the PIN")
	}
}
