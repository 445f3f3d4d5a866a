package chain

import (
	"crypto/sha256"
	"testing"
)

// root is the definition of RFC 6962 written down as it stands there.
func root(leaves []Head) Head {
	switch len(leaves) {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return leaves[0]
	}
	k := 1
	for 2*k < len(leaves) {
		k *= 2
	}
	l, r := root(leaves[:k]), root(leaves[k:])
	return sha256.Sum256(append(append([]byte{3}, l[:]...), r[:]...))
}

func TestTree(t *testing.T) {
	var tree Tree
	var leaves []Head
	for i := range uint64(70) {
		if got, want := tree.Root(), root(leaves); got != want || tree.Len() != i {
			t.Fatalf("Root of %d leaves = %x, want %x", i, got, want)
		}
		var again Tree
		b := tree.Append(nil)
		if !again.Read(b) || again != tree {
			t.Fatalf("a tree of %d leaves does not survive Append and Read", i)
		}
		if again.Read(append(b, 0)) || again.Read(b[:len(b)-1]) {
			t.Fatalf("a tree of %d leaves is read from another length", i)
		}
		leaf := Leaf(i, sha256.Sum256([]byte{byte(i)}), Head{})
		leaves = append(leaves, leaf)
		tree.Add(leaf)
	}
}

// TestLeaf lays the input of a leaf out by hand.
func TestLeaf(t *testing.T) {
	batch, results := sha256.Sum256([]byte("batch")), sha256.Sum256([]byte("results"))
	in := append([]byte{2, 7, 0, 0, 0, 0, 0, 0, 0}, batch[:]...)
	if got, want := Leaf(7, batch, results), Head(sha256.Sum256(append(in, results[:]...))); got != want {
		t.Errorf("Leaf = %x, want %x", got, want)
	}
}

func TestTreeAllocations(t *testing.T) {
	var tree Tree
	if n := testing.AllocsPerRun(100, func() { tree.Add(Leaf(1, Head{}, Head{})) }); n != 0 {
		t.Errorf("Add allocates %v times, want 0", n)
	}
}
