package core

import "crypto/sha256"

// Sum is SHA-256 over counters, chain head, books, bank dates and sequences: what
// every payment moves. It takes some microseconds and is compared between nodes
// as they go on; Digest, over everything, takes seconds.
func (m *Machine) Sum() [32]byte {
	var rows rowBuf
	m.smallRows(&rows, true)
	refs := rows.sorted()
	h := sha256.New()
	var n [6]byte
	for i := range refs {
		c := rows.change(&refs[i])
		le.PutUint16(n[:], uint16(len(c.Key)))
		le.PutUint32(n[2:], uint32(len(c.Value)))
		_, _ = h.Write(n[:])
		_, _ = h.Write(c.Key)
		_, _ = h.Write(c.Value)
	}
	return [32]byte(h.Sum(nil))
}
