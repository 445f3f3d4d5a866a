package bankfile

import (
	"crypto/sha256"
	"encoding/binary"
)

// keySet finds rows that come twice, by the first half of the SHA-256 of their
// keys: two keys with the same half do not happen.
type keySet struct {
	slots [][2]uint64 // zero: free; at most half are used
	used  int
	key   []byte
}

// grow makes room for n keys.
func (s *keySet) grow(n int) {
	size := 64
	for size < 2*n {
		size *= 2
	}
	s.slots, s.used = make([][2]uint64, size), 0
}

// add tells whether a row with the same key came before.
func (s *keySet) add(r row) bool {
	s.key = r.key(s.key[:0])
	sum := sha256.Sum256(s.key)
	if 2*s.used >= len(s.slots) {
		old := s.slots
		s.grow(len(old))
		for _, k := range old {
			if k != [2]uint64{} {
				s.put(k)
			}
		}
	}
	return !s.put([2]uint64{binary.LittleEndian.Uint64(sum[:]), binary.LittleEndian.Uint64(sum[8:])})
}

// put tells whether the key is new.
func (s *keySet) put(k [2]uint64) bool {
	mask := uint64(len(s.slots) - 1)
	for i := k[0] & mask; ; i = (i + 1) & mask {
		switch s.slots[i] {
		case k:
			return false
		case [2]uint64{}:
			s.slots[i] = k
			s.used++
			return true
		}
	}
}
