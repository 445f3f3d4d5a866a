package chain

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"
)

func TestGenesis(t *testing.T) {
	// SHA-256 of "shebao/ledger/v1", a zero byte and "330110", made with sha256sum.
	const want = "974a516541fd8a732fbb09170cea622228e8da4c2f6cec36be92032286b22d46"
	if got := Genesis(330110); hex.EncodeToString(got[:]) != want {
		t.Errorf("Genesis(330110) = %x, want %s", got, want)
	}
	if Genesis(330111) == Genesis(330110) {
		t.Error("two regions begin with the same head")
	}
}

// TestNext lays the input of one step out by hand.
func TestNext(t *testing.T) {
	prev, batch, results := Genesis(330110), sha256.Sum256([]byte("batch")), sha256.Sum256([]byte("results"))
	in := append([]byte{1}, prev[:]...)
	in = append(in, 7, 0, 0, 0, 0, 0, 0, 0)
	in = append(in, batch[:]...)
	in = append(in, results[:]...)
	if got, want := Next(prev, 7, batch, results), Head(sha256.Sum256(in)); got != want {
		t.Errorf("Next = %x, want %x", got, want)
	}
}

// TestNextCovers holds that every input moves the head.
func TestNextCovers(t *testing.T) {
	a, b := Genesis(1), Genesis(2)
	base := Next(a, 1, a, a)
	for name, got := range map[string]Head{
		"previous head": Next(b, 1, a, a), "index": Next(a, 2, a, a), "batch": Next(a, 1, b, a), "results": Next(a, 1, a, b),
	} {
		if got == base {
			t.Errorf("another %s gives the same head", name)
		}
	}
}

func BenchmarkNext(b *testing.B) {
	h := Genesis(330110)
	for b.Loop() {
		h = Next(h, 1, h, h)
	}
}
