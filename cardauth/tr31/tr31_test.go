package tr31

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/shebao-pay/shebao/internal/vectors"
)

// anyKey accepts every key of the published blocks.
var anyKey = Accept{Versions: "ABCD", Usages: []string{"P0", "M3"}, Algorithms: "AT", Modes: "EC"}

func TestPublishedBlocks(t *testing.T) {
	for _, v := range vectors.TR31s {
		h, key, err := Unwrap(vectors.Hex(v.KBPK), v.Block, anyKey)
		if err != nil {
			t.Errorf("Unwrap(%.16s…): %v", v.Block, err)
			continue
		}
		if !bytes.Equal(key, vectors.Hex(v.Key)) {
			t.Errorf("Unwrap(%.16s…): key %X, want %s", v.Block, key, v.Key)
		}
		if h.Version != VersionB && h.Version != VersionD {
			if _, err := Wrap(vectors.Hex(v.KBPK), h, key); !errors.Is(err, ErrRefused) {
				t.Errorf("Wrap in version %c: error %v, want ErrRefused", h.Version, err)
			}
			continue
		}
		// With the published padding our block is the published block.
		ver, err := newVersion(h.Version, vectors.Hex(v.KBPK), true)
		if err != nil {
			t.Fatal(err)
		}
		_, pad, err := ver.unwrap(v.Block, headerLen)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ver.wrap(h, key, pad); err != nil || got != v.Block {
			t.Errorf("wrap = %s (%v), want %s", got, err, v.Block)
		}
	}
}

// TestEveryBit changes each bit of each published block, also in the header. Each
// change is refused. (The case bit of a hexadecimal letter included: blocks are
// upper case.)
func TestEveryBit(t *testing.T) {
	for _, v := range vectors.TR31s {
		kbpk := vectors.Hex(v.KBPK)
		all := Accept{
			Versions: printable(), Algorithms: printable(), Modes: printable(),
			Usages: everyUsage(v.Block[5:7]),
		}
		for bit := range len(v.Block) * 8 {
			b := []byte(v.Block)
			b[bit/8] ^= 1 << (bit % 8)
			if _, _, err := Unwrap(kbpk, string(b), all); !errors.Is(err, ErrRefused) {
				t.Errorf("Unwrap(%.16s…) with bit %d changed: error %v, want ErrRefused", v.Block, bit, err)
			}
		}
	}
}

func printable() string {
	var b strings.Builder
	for c := byte(0x20); c < 0x7F; c++ {
		b.WriteByte(c)
	}
	return b.String()
}

// everyUsage is a usage and all those one bit away.
func everyUsage(u string) []string {
	all := []string{u}
	for bit := range 16 {
		b := []byte(u)
		b[bit/8] ^= 1 << (bit % 8)
		all = append(all, string(b))
	}
	return all
}

func TestRoundTrip(t *testing.T) {
	keys := map[string][]byte{
		"16": bytes.Repeat([]byte{0x5A}, 16), "24": bytes.Repeat([]byte{0x3C}, 24), "32": bytes.Repeat([]byte{0x77}, 32),
	}
	for _, c := range []struct {
		version, algorithm byte
		kbpk, key          string
	}{
		{VersionB, AlgorithmTDES, "16", "16"}, {VersionB, AlgorithmTDES, "16", "24"}, {VersionB, AlgorithmTDES, "24", "24"},
		{VersionD, AlgorithmAES, "16", "16"}, {VersionD, AlgorithmAES, "24", "24"}, {VersionD, AlgorithmAES, "32", "32"},
		{VersionD, AlgorithmTDES, "32", "16"}, {VersionD, '4', "32", "16"},
	} {
		h := Header{Version: c.version, Usage: UsagePIN, Algorithm: c.algorithm, Mode: ModeEncrypt, KeyVersion: "00", Exportability: 'N'}
		block, err := Wrap(keys[c.kbpk], h, keys[c.key])
		if err != nil {
			t.Fatal(err)
		}
		accept := Accept{Versions: string(c.version), Usages: []string{UsagePIN}, Algorithms: string(c.algorithm), Modes: "E"}
		got, key, err := Unwrap(keys[c.kbpk], block, accept)
		if err != nil || !bytes.Equal(key, keys[c.key]) || fmt.Sprint(got) != fmt.Sprint(h) {
			t.Errorf("%+v: Unwrap = %v, %v", c, got, err)
		}
		other := bytes.Clone(keys[c.kbpk])
		other[0] ^= 0x10
		if _, _, err := Unwrap(other, block, accept); !errors.Is(err, ErrRefused) {
			t.Errorf("%+v: another protection key: %v, want ErrRefused", c, err)
		}
	}
}

// TestAccept refuses a genuine block whose header is not what the caller wants.
func TestAccept(t *testing.T) {
	v := vectors.TR31s[0] // D, P0, A, E
	good := Accept{Versions: "D", Usages: []string{"P0"}, Algorithms: "A", Modes: "E"}
	for _, c := range []struct {
		name   string
		change func(*Accept)
	}{
		{"version", func(a *Accept) { a.Versions = "ABC" }},
		{"usage", func(a *Accept) { a.Usages = []string{"M6", "K0"} }},
		{"algorithm", func(a *Accept) { a.Algorithms = "T" }},
		{"mode", func(a *Accept) { a.Modes = "CGV" }},
		{"nothing", func(a *Accept) { *a = Accept{} }},
	} {
		a := good
		c.change(&a)
		if _, key, err := Unwrap(vectors.Hex(v.KBPK), v.Block, a); !errors.Is(err, ErrRefused) || key != nil {
			t.Errorf("%s: error %v, want ErrRefused", c.name, err)
		}
	}
	if _, _, err := Unwrap(vectors.Hex(v.KBPK), v.Block, good); err != nil {
		t.Errorf("the wanted key: %v", err)
	}
}

func TestForm(t *testing.T) {
	v := vectors.TR31s[0]
	kbpk := vectors.Hex(v.KBPK)
	for name, block := range map[string]string{
		"empty":                 "",
		"header only":           v.Block[:16],
		"cut":                   v.Block[:len(v.Block)-2],
		"longer than it says":   v.Block + "00",
		"over the bound":        "D1026" + v.Block[5:] + strings.Repeat("0", MaxBlock+2-len(v.Block)),
		"optional block cut":    strings.Replace(v.Block, "E0000", "E0099", 1),
		"control character":     "D0112P0AE00E000\n" + v.Block[16:],
		"reserved field in use": v.Block[:14] + "01" + v.Block[16:],
	} {
		if _, _, err := Unwrap(kbpk, block, anyKey); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: error %v, want ErrRefused", name, err)
		}
	}
	for _, n := range []int{0, 8, 15, 17, 33} {
		if _, _, err := Unwrap(make([]byte, n), v.Block, anyKey); !errors.Is(err, ErrRefused) {
			t.Errorf("protection key of %d bytes: error %v, want ErrRefused", n, err)
		}
	}
	h := Header{Version: VersionD, Usage: "P0", Algorithm: 'A', Mode: 'E', KeyVersion: "00", Exportability: 'N'}
	for n, want := range map[int]bool{0: false, 1: true, maxKey: true, maxKey + 1: false} {
		if _, err := Wrap(kbpk, h, make([]byte, n)); (err == nil) != want {
			t.Errorf("Wrap of %d bytes: error %v, want accepted %v", n, err, want)
		}
	}
	h.Usage = "P"
	if _, err := Wrap(kbpk, h, make([]byte, 16)); err == nil {
		t.Error("Wrap took a usage of one character")
	}
}

// FuzzUnwrap: never a panic, and nothing is accepted but by the key's owner.
func FuzzUnwrap(f *testing.F) {
	for _, v := range vectors.TR31s {
		f.Add(v.Block)
	}
	f.Add("D0144P0AE00E0100KP10012331550BC9" + strings.Repeat("0", 112))
	kbpk := vectors.Hex(vectors.TR31s[0].KBPK)
	f.Fuzz(func(t *testing.T, block string) {
		_, key, err := Unwrap(kbpk, block, anyKey)
		if err != nil {
			return
		}
		if block != vectors.TR31s[0].Block && block != vectors.TR31s[1].Block {
			t.Errorf("accepted %q with a key of %d bytes", block, len(key))
		}
	})
}
