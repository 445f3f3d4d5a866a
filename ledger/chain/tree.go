package chain

import (
	"crypto/sha256"
	"encoding/binary"
)

// Prefixes of the tree's hashes, apart from that of a step.
const (
	leafPrefix = 0x02
	nodePrefix = 0x03
)

// Leaf is the hash of one batch in the day's tree.
func Leaf(index uint64, batch, results Head) Head {
	var b [1 + 8 + 2*sha256.Size]byte
	b[0] = leafPrefix
	binary.LittleEndian.PutUint64(b[1:], index)
	copy(b[9:], batch[:])
	copy(b[9+sha256.Size:], results[:])
	return sha256.Sum256(b[:])
}

// Tree is a Merkle tree built leaf by leaf. It keeps its right edge only: the
// roots of the full trees that the leaves so far make, as the bits of their
// number say. The zero value is empty. Its shape is that of RFC 6962, section
// 2.1; its prefixes are ours.
type Tree struct {
	n    uint64
	edge [64]Head
}

// Len is the number of leaves.
func (t *Tree) Len() uint64 { return t.n }

// Add adds a leaf behind the last.
func (t *Tree) Add(leaf Head) {
	level := 0
	for ; t.n>>level&1 == 1; level++ {
		leaf = Node(t.edge[level], leaf)
		t.edge[level] = Head{}
	}
	t.edge[level] = leaf
	t.n++
}

// Root is the hash over all leaves; of none it is SHA-256 of nothing.
func (t *Tree) Root() (root Head) {
	if t.n == 0 {
		return sha256.Sum256(nil)
	}
	first := true
	for level := range t.edge {
		switch {
		case t.n>>level&1 == 0:
		case first:
			root, first = t.edge[level], false
		default:
			root = Node(t.edge[level], root)
		}
	}
	return root
}

// Node is the hash over two neighbours of the tree.
func Node(left, right Head) Head {
	var b [1 + 2*sha256.Size]byte
	b[0] = nodePrefix
	copy(b[1:], left[:])
	copy(b[1+sha256.Size:], right[:])
	return sha256.Sum256(b[:])
}

// Append appends the tree: the number of leaves u64, then the roots of the full
// trees, the smallest first.
func (t *Tree) Append(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, t.n)
	for level := range t.edge {
		if t.n>>level&1 == 1 {
			dst = append(dst, t.edge[level][:]...)
		}
	}
	return dst
}

// Read takes a tree back from exactly the bytes that Append wrote, or tells that
// they are none.
func (t *Tree) Read(b []byte) bool {
	*t = Tree{}
	if len(b) < 8 {
		return false
	}
	t.n, b = binary.LittleEndian.Uint64(b), b[8:]
	for level := range t.edge {
		if t.n>>level&1 == 1 {
			if len(b) < sha256.Size {
				return false
			}
			copy(t.edge[level][:], b)
			b = b[sha256.Size:]
		}
	}
	return len(b) == 0
}
